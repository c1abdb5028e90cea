/* SPDX-License-Identifier: Apache-2.0 */
/* libproffer: writing a framework's scheduler for a Proffer cluster.
 *
 * A scheduler subscribes at the master, is offered resources of agents, launches tasks on them and
 * hears what becomes of each. Say what you want by pf_scheduler_demand(); without a demand you are
 * offered everything that is free, as in Mesos. The library keeps the connection: it finds the
 * leading master, comes back after breaks and restarts, repeats what got lost and asks about every
 * task whose fate is open. Its only libraries are libevent and libcrypto.
 *
 *     struct pf_scheduler_options options = PF_SCHEDULER_OPTIONS_INIT;
 *     struct pf_scheduler_callbacks callbacks = PF_SCHEDULER_CALLBACKS_INIT;
 *     options.name = "hello";
 *     callbacks.on_offers = my_offers;   (accept or decline each)
 *     callbacks.on_status = my_status;
 *     pf_scheduler_create(&options, &callbacks, me, &scheduler, &problem);
 *     pf_scheduler_demand(scheduler, &demand, 1, NULL);
 *     pf_scheduler_run(scheduler, &problem);
 *     pf_scheduler_destroy(scheduler);
 *
 * Threads: a scheduler belongs to one thread, which makes all calls and gets all callbacks.
 * Schedulers of different threads are independent.
 * Callbacks run only inside pf_scheduler_run() and pf_scheduler_process(), never inside other
 * calls. They may make any call but these two and pf_scheduler_destroy().
 * Ownership: what you pass is copied; what a callback gets is borrowed for the callback.
 * Errors: calls return 0 or a negative enum pf_error and then fill `problem` (which may be NULL).
 * Out of memory ends the process. */
#ifndef PROFFER_PROFFER_H
#define PROFFER_PROFFER_H

#include <proffer/task.h>

#ifndef PF_API
#define PF_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum pf_error {
    PF_ERROR_INVALID = -2,     /* what you passed makes no sense */
    PF_ERROR_PROTOCOL = -3,    /* the other side, or a file, does */
    PF_ERROR_LIMIT = -4,       /* too large, too many */
    PF_ERROR_NOT_FOUND = -5,
    PF_ERROR_EXISTS = -6,
    PF_ERROR_ACCESS = -7,      /* not allowed */
    PF_ERROR_BUSY = -8,
    PF_ERROR_IO = -9,
    PF_ERROR_CONNECTION = -11, /* no master there */
    PF_ERROR_TIMEOUT = -12,
    PF_ERROR_KEY = -13,        /* wrong or missing key */
    PF_ERROR_VERSION = -14,    /* the other side is too old or too new */
    PF_ERROR_REMOVED = -16     /* the framework was ended, or another instance took it over */
};

/* Filled when a call fails. */
struct pf_problem {
    int code; /* enum pf_error; 0 = none */
    char text[256];
};

struct pf_scheduler; /* opaque */

struct pf_scheduler_options {
    size_t size;
    const char *masters;     /* "host:port,host:port", any of them will do; NULL: the environment's
                              * PROFFER_MASTER, else 127.0.0.1:5055 */
    const char *key_file;    /* of the cluster; "": none; NULL: that of PROFFER_KEY_FILE, else
                              * none */
    const char *name;        /* of the framework; required (or framework_json) */
    const char *user;        /* tasks run as; NULL: who runs this process */
    const char *role;        /* NULL: "*" */
    const char *framework_id; /* take over this framework, as a newer instance of its scheduler */
    int64_t failover_ms;     /* tasks outlive a scheduler that is gone for so long; 0: not at all */
    bool is_durable;         /* the master keeps the framework over its own restarts */
    bool is_partition_aware; /* wants TASK_UNREACHABLE and TASK_DROPPED instead of TASK_LOST */
    bool explicit_acks;      /* you acknowledge statuses (pf_scheduler_acknowledge); else each is
                              * acknowledged when on_status returned */
    bool is_suppressed;      /* no offers until pf_scheduler_revive() */
    int64_t give_up_ms;      /* an error if not subscribed for the first time by then; 0: try on */
    /* A whole FrameworkInfo of Mesos's v1 API as JSON text instead of name, user, role,
     * framework_id, failover_ms and is_partition_aware. */
    const char *framework_json;
};
#define PF_SCHEDULER_OPTIONS_INIT \
    {sizeof(struct pf_scheduler_options), 0, 0, 0, 0, 0, 0, 0, false, false, false, false, 0, 0}

struct pf_subscription {
    const char *framework_id; /* keep it to take over after a crash of yours */
    const char *master;       /* address */
    uint64_t epoch;           /* of the leadership */
    bool is_again;            /* not the first time */
};

/* All optional. `ctx` is what pf_scheduler_create() got. */
struct pf_scheduler_callbacks {
    size_t size;
    void (*on_subscribed)(void *ctx, struct pf_scheduler *s, const struct pf_subscription *sub);
    /* The connection is gone; it comes back by itself. For information. */
    void (*on_disconnected)(void *ctx, struct pf_scheduler *s, const char *why);
    /* Accept, decline, or keep for later: an offer is rescinded after some time (30 s). Without
     * this callback all offers are declined. */
    void (*on_offers)(void *ctx, struct pf_scheduler *s, const struct pf_offer_view *offers,
                      size_t n);
    /* An offer that you neither accepted nor declined is not good any more. */
    void (*on_rescinded)(void *ctx, struct pf_scheduler *s, const char *offer_id);
    void (*on_status)(void *ctx, struct pf_scheduler *s, const struct pf_task_status *status);
    void (*on_demand)(void *ctx, struct pf_scheduler *s, const struct pf_demand_status *status);
    /* The end: refused, removed, or given up. pf_scheduler_run() returns this problem. */
    void (*on_error)(void *ctx, struct pf_scheduler *s, const struct pf_problem *problem);
    /* From one of your executors; at most once. */
    void (*on_message)(void *ctx, struct pf_scheduler *s, const char *agent_id,
                       const char *executor_id, const void *data, size_t data_bytes);
    /* For information: its tasks get statuses of their own. */
    void (*on_failure)(void *ctx, struct pf_scheduler *s, const struct pf_failure *failure);
};
#define PF_SCHEDULER_CALLBACKS_INIT \
    {sizeof(struct pf_scheduler_callbacks), 0, 0, 0, 0, 0, 0, 0, 0, 0}

/* --- life ------------------------------------------------------------------------------------ */

/* Connects to nothing yet. PF_ERROR_INVALID (an option), PF_ERROR_NOT_FOUND, PF_ERROR_ACCESS (the
 * key file), PF_ERROR_LIMIT, PF_ERROR_IO. */
PF_API int pf_scheduler_create(const struct pf_scheduler_options *options,
                               const struct pf_scheduler_callbacks *callbacks, void *ctx,
                               struct pf_scheduler **out, struct pf_problem *problem);
/* Closes the connection without a word; the framework stays for its failover time. NULL is fine. */
PF_API void pf_scheduler_destroy(struct pf_scheduler *s);

/* Runs until pf_scheduler_stop(), pf_scheduler_teardown() or an error. 0 after the former two. */
PF_API int pf_scheduler_run(struct pf_scheduler *s, struct pf_problem *problem);

/* The same inside your own event loop: poll the descriptor for reading, no longer than
 * pf_scheduler_wait_ms() (-1: for ever), then call pf_scheduler_process(), which does not wait. Ask
 * for the time anew after every call of this library. */
PF_API int pf_scheduler_fd(struct pf_scheduler *s, int *out_fd, struct pf_problem *problem);
PF_API int pf_scheduler_wait_ms(const struct pf_scheduler *s);
/* 0: go on; 1: stopped, do not call it again; negative: the error that ended it. */
PF_API int pf_scheduler_process(struct pf_scheduler *s, struct pf_problem *problem);

/* Leaves: tasks run on, and the framework waits for its failover time for somebody to take over. */
PF_API void pf_scheduler_stop(struct pf_scheduler *s);
/* Ends the framework: its tasks are killed, its id is never used again. Then it stops. */
PF_API void pf_scheduler_teardown(struct pf_scheduler *s);

/* --- calls: made at once when subscribed, else with the next subscription --------------------- */

/* Launches tasks on offers of one agent; what they leave is given back. Each task gets statuses
 * until a final one, also if an offer turns out to be gone (then TASK_LOST or TASK_DROPPED).
 * `refuse_ms`: do not offer the rest again for so long; -1: the default (5 s). An accept of nothing
 * is a decline. PF_ERROR_INVALID (a spec; too few ports), PF_ERROR_LIMIT: nothing is launched. */
PF_API int pf_scheduler_accept(struct pf_scheduler *s, const char *const *offer_ids,
                               size_t n_offers, const struct pf_task_spec *tasks, size_t n_tasks,
                               int64_t refuse_ms, struct pf_problem *problem);
/* The same for tasks that start all or not at all, under one executor. An executor without a
 * command stands for the agent itself, which then runs the commands of the tasks, and kills the
 * others when one of them fails. */
PF_API int pf_scheduler_launch_group(struct pf_scheduler *s, const char *const *offer_ids,
                                     size_t n_offers, const struct pf_executor_spec *executor,
                                     const struct pf_task_spec *tasks, size_t n_tasks,
                                     int64_t refuse_ms, struct pf_problem *problem);
PF_API void pf_scheduler_decline(struct pf_scheduler *s, const char *const *offer_ids,
                                 size_t n_offers, int64_t refuse_ms);
/* Replaces what was demanded before; n = 0: nothing is wanted. PF_ERROR_INVALID, PF_ERROR_LIMIT. */
PF_API int pf_scheduler_demand(struct pf_scheduler *s, const struct pf_demand *demands, size_t n,
                               struct pf_problem *problem);
/* `grace_ms` before SIGKILL, -1: the task's own. `signal` that comes first, 0: SIGTERM. Repeated by
 * itself until the task is over. */
PF_API void pf_scheduler_kill(struct pf_scheduler *s, const char *task_id, int64_t grace_ms,
                              int signal);
/* No offers any more; and again, forgetting what was declined. */
PF_API void pf_scheduler_suppress(struct pf_scheduler *s);
PF_API void pf_scheduler_revive(struct pf_scheduler *s);
/* With explicit_acks, for each status with wants_ack. What is not acknowledged comes again. */
PF_API void pf_scheduler_acknowledge(struct pf_scheduler *s, const char *task_id,
                                     const char *agent_id, const uint8_t uuid[16]);
/* Asks for the statuses of these tasks, n = 0: of all. The library asks by itself after a break. */
PF_API void pf_scheduler_reconcile(struct pf_scheduler *s, const char *const *task_ids, size_t n);

/* Bytes for one of your executors: they arrive once or not at all. PF_ERROR_INVALID,
 * PF_ERROR_LIMIT (over 512 KiB). */
PF_API int pf_scheduler_message(struct pf_scheduler *s, const char *agent_id,
                                const char *executor_id, const void *data, size_t data_bytes,
                                struct pf_problem *problem);
/* Ends an executor with its tasks. */
PF_API void pf_scheduler_shutdown_executor(struct pf_scheduler *s, const char *agent_id,
                                           const char *executor_id);

/* --- looking --------------------------------------------------------------------------------- */

/* NULL until subscribed for the first time. Borrowed until the next call. */
PF_API const char *pf_scheduler_framework_id(const struct pf_scheduler *s);
PF_API bool pf_scheduler_is_subscribed(const struct pf_scheduler *s);

/* "TASK_RUNNING"; never NULL. */
PF_API const char *pf_task_state_name(enum pf_task_state state);
PF_API bool pf_task_state_is_final(enum pf_task_state state);

/* The whole message as JSON of Mesos's v1 API, inside the callback that got it. Borrowed from `s`
 * until the next such call. */
PF_API const char *pf_offer_json(struct pf_scheduler *s, const struct pf_offer_view *offer);
PF_API const char *pf_task_status_json(struct pf_scheduler *s, const struct pf_task_status *status);
PF_API const char *pf_demand_status_json(struct pf_scheduler *s,
                                         const struct pf_demand_status *status);

/* "0.1.0" of the library. */
PF_API const char *pf_library_version(void);

#ifdef __cplusplus
}
#endif
#endif
