/* SPDX-License-Identifier: Apache-2.0 */
/* An executor's side of the executor API as a pure state machine: a link to the agent that started
 * it, the subscription with the token it was given, tasks to run, updates that are kept until the
 * agent has stored them, messages both ways. It rides through restarts of the agent and gives up
 * when the agent stays away. One door, pf_executor_driver_step. No clock, no dice but the seeded
 * ones, no system call.
 *
 * What it promises: each launched task is told once; an update is sent again with every
 * subscription until it is acknowledged, in order; a message is sent at most once. */
#ifndef PF_FRAMEWORK_DRIVER_EXECUTOR_H
#define PF_FRAMEWORK_DRIVER_EXECUTOR_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/err.h"
#include "common/base/sm.h"
#include "common/fb/fb.h"
#include "common/turn/turn.h"
#include "schemas/executor.h"

struct pf_executor_driver;

/* Copied by pf_executor_driver_create. */
struct pf_executor_driver_options {
    uint64_t seed; /* of the dice: jitter, map seed, uuids of updates */
    struct pf_str agent;        /* host:port */
    struct pf_str token;        /* absent: none */
    struct pf_str framework_id, executor_id;
    int64_t recovery_ms;        /* without the agent for so long it shuts down */
    int64_t grace_ms;           /* what it has from SHUTDOWN to its end */
    struct pf_sm_tracer tracer;
};

enum pf_executor_event_type {
    PF_EXECUTOR_START = 1,
    PF_EXECUTOR_STOP, /* it tells nothing more, and ends when its updates are acknowledged */
    PF_EXECUTOR_LINK_UP,
    PF_EXECUTOR_LINK_DOWN, /* also when connecting failed */
    PF_EXECUTOR_MESSAGE,
    PF_EXECUTOR_DEADLINE,
    /* calls of the owner; harmless after the end */
    PF_EXECUTOR_UPDATE, /* ignored unless pf_executor_driver_may_update() */
    PF_EXECUTOR_SEND,   /* a message for the scheduler; ignored unless ..._may_send() */
};

struct pf_executor_update {
    struct pf_str task_id;
    enum TaskState state;
    struct pf_str message; /* absent: none */
    struct pf_bytes data;  /* absent: none */
    struct pf_opt_bool healthy;
    struct pf_opt_i32 exit_status, signal;
};

/* Everything is borrowed for the step. */
struct pf_executor_event {
    enum pf_executor_event_type type;
    int64_t now_ms;  /* monotonic */
    int64_t wall_ms; /* since 1970 */
    union {
        uint64_t peer;         /* LINK_UP: what SEND and CLOSE are to name */
        struct pf_err down;
        struct pf_msg message; /* an Envelope */
        struct pf_executor_update update;
        struct pf_bytes data;  /* SEND */
    };
};

/* Kinds of PF_EFFECT_ACT, each with its data. */
enum pf_executor_act {
    PF_EXECUTOR_CONNECT = 1,  /* pf_str, the address: answer with LINK_UP or LINK_DOWN */
    PF_EXECUTOR_SUBSCRIBED,   /* pf_executor_subscribed */
    PF_EXECUTOR_DISCONNECTED, /* pf_err: was subscribed and is not now; it comes back by itself */
    PF_EXECUTOR_LAUNCH,       /* pf_executor_launch */
    PF_EXECUTOR_KILL,         /* pf_executor_kill; may come again, with another grace */
    PF_EXECUTOR_TOLD,         /* pf_bytes: a message of the scheduler */
    PF_EXECUTOR_SHUTDOWN,     /* pf_executor_shutdown: end all tasks, say so, then it ends */
    PF_EXECUTOR_ERROR,        /* pf_err: refused for good; the driver has ended */
    PF_EXECUTOR_STOPPED,      /* pf_err (code 0): the last effect after STOP and SHUTDOWN */
};

struct pf_executor_subscribed {
    struct Executor_Event_Subscribed event;
    bool is_again; /* not for the first time */
};

struct pf_executor_launch {
    const struct TaskInfo *task;
    uint32_t n;
    bool is_group; /* of LAUNCH_GROUP: all or none are to start */
};

struct pf_executor_kill {
    struct pf_str task_id;
    int64_t grace_ms; /* -1: not said */
};

struct pf_executor_shutdown {
    int64_t grace_ms;
    struct pf_str why;
};

/* Never fails; a bad option is our bug. Does nothing until START. */
struct pf_executor_driver *pf_executor_driver_create(
    const struct pf_executor_driver_options *options);
void pf_executor_driver_destroy(struct pf_executor_driver *d); /* NULL is fine */

void pf_executor_driver_step(struct pf_executor_driver *d, const struct pf_executor_event *ev,
                             struct pf_turn *turn);
/* Monotonic ms of the next wanted DEADLINE; INT64_MAX = none. */
int64_t pf_executor_driver_deadline(const struct pf_executor_driver *d);
void pf_executor_driver_check(const struct pf_executor_driver *d);

/* --- looking, between steps --- */

/* Whether the call would do anything: PF_ENOENT (no such task here), PF_EEXIST (it is over),
 * PF_EINVAL (STAGING and what is no state of an executor's task), PF_ELIMIT (too large, or too much
 * is unacknowledged; a final state is always taken), PF_ECANCELED (it has ended). */
PF_MUST_USE int pf_executor_driver_may_update(const struct pf_executor_driver *d,
                                              const struct pf_executor_update *u,
                                              struct pf_err *err);
/* PF_ELIMIT, PF_ECANCELED. */
PF_MUST_USE int pf_executor_driver_may_send(const struct pf_executor_driver *d, uint32_t bytes,
                                            struct pf_err *err);
bool pf_executor_driver_is_ended(const struct pf_executor_driver *d);
bool pf_executor_driver_is_subscribed(const struct pf_executor_driver *d);

struct pf_executor_driver_stats {
    uint64_t n_tasks, n_unacknowledged; /* now: live tasks; updates */
    uint64_t subscriptions, disconnects, updates, resent, repeated_launches, refused_launches,
        dropped_messages, bad_messages;
};
void pf_executor_driver_stats(const struct pf_executor_driver *d,
                              struct pf_executor_driver_stats *out);

#endif
