/* SPDX-License-Identifier: Apache-2.0 */
/* libproffer: writing an executor, a process that runs tasks of a framework on an agent.
 *
 * The agent starts the executor with the first task that names it (pf_task_spec.executor), and
 * tells it by the environment where the agent is and who it is. The executor then gets its tasks,
 * says what becomes of each, and talks to the framework's scheduler by messages. The library keeps
 * the connection: it comes back when the agent was restarted, and sends updates again until the
 * agent has stored them, so that none gets lost. When the agent stays away for too long, or says
 * so, the executor is told to shut down.
 *
 *     struct pf_executor_options options = PF_EXECUTOR_OPTIONS_INIT;
 *     struct pf_executor_callbacks callbacks = PF_EXECUTOR_CALLBACKS_INIT;
 *     callbacks.on_launch = my_launch;   (start it, then say that it runs)
 *     callbacks.on_kill = my_kill;       (end it, then say that it was killed)
 *     pf_executor_create(&options, &callbacks, me, &executor, &problem);
 *     pf_executor_run(executor, &problem);
 *     pf_executor_destroy(executor);
 *
 * Threads, callbacks, ownership and errors are as with schedulers (<proffer/proffer.h>): one thread
 * makes all calls and gets all callbacks, callbacks run only inside pf_executor_run() and
 * pf_executor_process(), what you pass is copied, what a callback gets is borrowed for the
 * callback. */
#ifndef PROFFER_EXECUTOR_H
#define PROFFER_EXECUTOR_H

#include <proffer/proffer.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pf_executor;

/* What is not said comes from the environment that the agent made. Begin with
 * PF_EXECUTOR_OPTIONS_INIT. */
struct pf_executor_options {
    size_t size;
    const char *agent;        /* "host:port"; NULL: PROFFER_AGENT */
    const char *token;        /* that proves who it is; "": none; NULL: PROFFER_EXECUTOR_TOKEN, else
                               * MESOS_EXECUTOR_AUTHENTICATION_TOKEN */
    const char *framework_id; /* NULL: PROFFER_FRAMEWORK_ID, else MESOS_FRAMEWORK_ID */
    const char *executor_id;  /* NULL: PROFFER_EXECUTOR_ID, else MESOS_EXECUTOR_ID */
    int64_t recovery_ms;      /* without the agent for so long it shuts down; 0:
                               * MESOS_RECOVERY_TIMEOUT, else 15 min */
    int64_t shutdown_grace_ms; /* from on_shutdown to the end; 0:
                                * MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD, else 5 s */
};
#define PF_EXECUTOR_OPTIONS_INIT {sizeof(struct pf_executor_options), 0, 0, 0, 0, 0, 0}

struct pf_executor_subscription {
    const char *framework_id;
    const char *executor_id;
    const char *agent_id;    /* NULL if not told */
    const char *hostname;    /* of the agent */
    const void *data;        /* of the pf_executor_spec */
    size_t data_bytes;
    bool is_again;           /* not the first time: the agent was away */
};

struct pf_label {
    const char *key;
    const char *value; /* NULL: none */
};

/* A task to run. Borrowed for the callback. */
struct pf_task_view {
    const char *task_id;
    const char *name;
    const void *data;      /* for you, from the scheduler */
    size_t data_bytes;
    const char *command;   /* value of its CommandInfo; NULL: it has none, as with executors */
    int64_t cpus_milli, mem_bytes, disk_bytes, gpus_milli;
    const struct pf_label *labels;
    size_t n_labels;
    const void *impl;      /* for pf_executor_task_json() */
};

/* News of a task of yours. Begin with PF_TASK_UPDATE_INIT. */
struct pf_task_update {
    size_t size;
    const char *task_id;      /* required */
    enum pf_task_state state; /* STARTING, RUNNING, KILLING, or how it ended */
    const char *message;      /* for people; NULL: none */
    const void *data;         /* for the scheduler */
    size_t data_bytes;        /* with the message at most 256 KiB */
    bool has_healthy;
    bool is_healthy;
    bool has_exit_status;
    int exit_status;
    int signal;               /* that ended it; 0: none */
};
#define PF_TASK_UPDATE_INIT \
    {sizeof(struct pf_task_update), 0, PF_TASK_STARTING, 0, 0, 0, false, false, false, 0, 0}

/* All optional. `ctx` is what pf_executor_create() got. */
struct pf_executor_callbacks {
    size_t size;
    void (*on_subscribed)(void *ctx, struct pf_executor *e,
                          const struct pf_executor_subscription *sub);
    /* The agent is gone; it comes back by itself. Tasks go on. For information. */
    void (*on_disconnected)(void *ctx, struct pf_executor *e, const char *why);
    /* Each task comes once. Without this callback it is said to have failed. */
    void (*on_launch)(void *ctx, struct pf_executor *e, const struct pf_task_view *task);
    /* Tasks that are to start all or not at all; without it on_launch gets each. */
    void (*on_launch_group)(void *ctx, struct pf_executor *e, const struct pf_task_view *tasks,
                            size_t n);
    /* End the task within the grace (-1: as you like), then say so: PF_TASK_KILLED. May come again,
     * with another grace. */
    void (*on_kill)(void *ctx, struct pf_executor *e, const char *task_id, int64_t grace_ms);
    /* From the scheduler; at most once. */
    void (*on_message)(void *ctx, struct pf_executor *e, const void *data, size_t data_bytes);
    /* End all tasks and say so. pf_executor_run() returns when all is said and stored, at the
     * latest after the grace. Without this callback it stops. */
    void (*on_shutdown)(void *ctx, struct pf_executor *e, int64_t grace_ms, const char *why);
    /* The end: refused. pf_executor_run() returns this problem. End your tasks. */
    void (*on_error)(void *ctx, struct pf_executor *e, const struct pf_problem *problem);
};
#define PF_EXECUTOR_CALLBACKS_INIT {sizeof(struct pf_executor_callbacks), 0, 0, 0, 0, 0, 0, 0, 0}

/* --- life ------------------------------------------------------------------------------------ */

/* Connects to nothing yet. PF_ERROR_INVALID: an option, or it was not started by an agent. */
PF_API int pf_executor_create(const struct pf_executor_options *options,
                              const struct pf_executor_callbacks *callbacks, void *ctx,
                              struct pf_executor **out, struct pf_problem *problem);
/* Closes the connection without a word. NULL is fine. */
PF_API void pf_executor_destroy(struct pf_executor *e);

/* Runs until pf_executor_stop(), a shutdown or an error. 0 after the former two. */
PF_API int pf_executor_run(struct pf_executor *e, struct pf_problem *problem);

/* The same inside your own event loop: poll the descriptor for reading, no longer than
 * pf_executor_wait_ms() (-1: for ever), then call pf_executor_process(), which does not wait. Ask
 * for the time anew after every call of this library. */
PF_API int pf_executor_fd(struct pf_executor *e, int *out_fd, struct pf_problem *problem);
PF_API int pf_executor_wait_ms(const struct pf_executor *e);
/* 0: go on; 1: stopped, do not call it again; negative: the error that ended it. */
PF_API int pf_executor_process(struct pf_executor *e, struct pf_problem *problem);

/* Ends when all updates are stored by the agent, for at most a minute. Nothing more is told. Tasks
 * that are not over then are said to have failed, by the agent. */
PF_API void pf_executor_stop(struct pf_executor *e);

/* --- calls: made at once when subscribed, else with the next subscription --------------------- */

/* PF_ERROR_NOT_FOUND (not one of its tasks), PF_ERROR_EXISTS (it is over), PF_ERROR_INVALID,
 * PF_ERROR_LIMIT (too large; or too many wait for the agent, but how a task ended is always
 * taken), PF_ERROR_REMOVED (the executor has stopped). */
PF_API int pf_executor_update(struct pf_executor *e, const struct pf_task_update *update,
                              struct pf_problem *problem);
/* Bytes for the scheduler: they arrive once or not at all. PF_ERROR_LIMIT (over 512 KiB; too many
 * wait), PF_ERROR_REMOVED. */
PF_API int pf_executor_message(struct pf_executor *e, const void *data, size_t data_bytes,
                               struct pf_problem *problem);

/* --- looking --------------------------------------------------------------------------------- */

PF_API bool pf_executor_is_subscribed(const struct pf_executor *e);
/* The whole TaskInfo as JSON of Mesos's v1 API, inside the callback that got it. Borrowed from `e`
 * until the next such call. */
PF_API const char *pf_executor_task_json(struct pf_executor *e, const struct pf_task_view *task);

#ifdef __cplusplus
}
#endif
#endif
