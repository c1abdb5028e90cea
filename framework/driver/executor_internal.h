/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the executor driver share. Included by executor*.c only. */
#ifndef PF_FRAMEWORK_DRIVER_EXECUTOR_INTERNAL_H
#define PF_FRAMEWORK_DRIVER_EXECUTOR_INTERNAL_H

#include <sys/queue.h>
#include "common/base/id.h"
#include "common/base/limits.h"
#include "common/base/map.h"
#include "common/base/rng.h"
#include "common/link/backoff.h"
#include "framework/driver/executor.h"
#include "schemas/proffer.h"

enum {
    EXDRV_ANSWER_MS = 10000,  /* SUBSCRIBE is answered by then */
    EXDRV_PAUSE_MAX_MS = 400, /* an agent that is back waits for its executors for 2 s */
    EXDRV_LASTING_MS = 2000,  /* a subscription that held for so long was a good one */
    EXDRV_STOP_MS = 60000,    /* for the last acknowledgements */
    EXDRV_TASKS_MAX = 10000,
    EXDRV_UPDATES_MAX = 10000, /* unacknowledged; those of final states come on top */
    EXDRV_UPDATES_MAX_BYTES = 64 << 20,
    EXDRV_LISTED_MAX_BYTES = 1 << 20, /* of tasks in SUBSCRIBE, and again of updates */
    EXDRV_LISTED_TASK_BYTES = 128,    /* that one takes there beside its id, twice */
    EXDRV_MESSAGES_MAX = 1000,        /* that wait for a subscription */
    EXDRV_MESSAGES_MAX_BYTES = 8 << 20,
};

/* An update from when it is made until it is acknowledged. */
struct exdrv_update {
    struct exdrv_task *task;
    struct pf_uuid uuid;
    struct pf_bytes status; /* TaskStatus, owned */
    uint64_t sent_in;       /* stats.subscriptions; 0 = not yet */
    TAILQ_ENTRY(exdrv_update) entry;   /* of all */
    TAILQ_ENTRY(exdrv_update) of_task; /* of its task */
};
TAILQ_HEAD(exdrv_updates, exdrv_update);

/* Known from its launch until its final update is acknowledged. */
struct exdrv_task {
    char *id;
    bool was_acked; /* some update of it: the agent knows that we have the task */
    bool is_over;   /* a final update was made */
    struct exdrv_updates updates;
    TAILQ_ENTRY(exdrv_task) entry;
};
TAILQ_HEAD(exdrv_tasks, exdrv_task);

struct exdrv_message {
    struct pf_bytes data; /* owned */
    STAILQ_ENTRY(exdrv_message) entry;
};
STAILQ_HEAD(exdrv_messages, exdrv_message);

enum exdrv_state {
    EXDRV_IDLE,
    EXDRV_WAITING,    /* before the next try */
    EXDRV_CONNECTING,
    EXDRV_SUBSCRIBING,
    EXDRV_SUBSCRIBED,
    EXDRV_ENDED,
    EXDRV_STATE_COUNT
};

struct pf_executor_driver {
    struct pf_rng dice;
    struct pf_sm sm; /* enum exdrv_state */
    struct pf_sm_tracer tracer;
    int64_t now_ms, wall_ms; /* of this step */

    char *agent, *token, *framework_id, *executor_id; /* token: NULL = none */
    int64_t recovery_ms, grace_ms;

    uint64_t peer; /* 0 unless SUBSCRIBING or SUBSCRIBED */
    uint64_t next_request, subscribe_request;
    struct pf_backoff tries;
    int64_t retry_ms, answer_ms; /* INT64_MAX = off */
    int64_t subscribed_ms;       /* when, last */
    int64_t lost_ms;             /* the agent is away: shut down at this time */
    int64_t end_ms;              /* shutting down or stopping: end at this time */
    bool is_shutting, is_stopping;

    struct pf_map tasks;
    struct exdrv_tasks task_list; /* in the order of their launch */
    uint32_t n_over;
    uint32_t unacked_id_bytes;    /* of tasks to be listed in SUBSCRIBE */
    struct exdrv_updates updates;
    uint32_t n_updates;
    uint64_t update_bytes;
    struct exdrv_messages messages;
    uint32_t n_messages, message_bytes;

    struct pf_executor_driver_stats stats;
};

void exdrv_act(struct pf_turn *t, enum pf_executor_act act, const void *data, size_t bytes);
/* Ends: the last effect is `act`. */
void exdrv_end(struct pf_executor_driver *d, enum pf_executor_act act, const struct pf_err *why,
               struct pf_turn *t);
/* Ends if everything was said that is to be said. */
void exdrv_end_if_done(struct pf_executor_driver *d, struct pf_turn *t);

/* --- tasks and updates (executor_tasks.c) --- */

void exdrv_on_launch(struct pf_executor_driver *d, struct pf_msg envelope, struct pf_turn *t);
void exdrv_on_kill(struct pf_executor_driver *d, struct Executor_Event_Kill kill,
                   struct pf_turn *t);
void exdrv_on_acknowledged(struct pf_executor_driver *d, struct Executor_Event_Acknowledged a);
void exdrv_update(struct pf_executor_driver *d, const struct pf_executor_update *u,
                  struct pf_turn *t);
void exdrv_tasks_fini(struct pf_executor_driver *d);
void exdrv_tasks_check(const struct pf_executor_driver *d);

/* --- calls (executor_calls.c) --- */

void exdrv_send_subscribe(struct pf_executor_driver *d, struct pf_turn *t);
void exdrv_send_update(struct pf_executor_driver *d, struct pf_bytes status, struct pf_turn *t);
/* After a subscription: what SUBSCRIBE had no room for, and what waited. */
void exdrv_send_rest(struct pf_executor_driver *d, struct pf_turn *t);
void exdrv_message(struct pf_executor_driver *d, struct pf_bytes data, struct pf_turn *t);
void exdrv_messages_fini(struct pf_executor_driver *d);
/* A TaskStatus in memory of the turn, with a new uuid. */
struct pf_msg exdrv_put_status(struct pf_executor_driver *d, const struct pf_executor_update *u,
                               struct pf_uuid *out_uuid, struct pf_turn *t);

#endif
