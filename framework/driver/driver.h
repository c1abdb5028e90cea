/* SPDX-License-Identifier: Apache-2.0 */
/* A framework's side of the scheduler API as a pure state machine: keeps a link to every master,
 * subscribes at the one that leads, comes back by itself after any break with what was wanted and
 * what was left open, and tells its owner only what it must know. One door, pf_driver_step. No
 * clock, no dice but the seeded ones, no system call.
 *
 * What it promises: an ACCEPT is sent once, over the link its offers came from, and never again;
 * each task launched gets statuses until a final one (a launch whose outcome is open is reconciled
 * at every subscription; one that certainly never started ends as TASK_DROPPED, so that it may be
 * placed again; TASK_LOST for frameworks that are not partition aware); a status is told once per
 * uuid; an acknowledgement that got lost is repeated when the status comes again. */
#ifndef PF_FRAMEWORK_DRIVER_DRIVER_H
#define PF_FRAMEWORK_DRIVER_DRIVER_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/resources.h"
#include "common/base/sm.h"
#include "common/fb/fb.h"
#include "common/turn/turn.h"
#include "schemas/scheduler.h"

struct pf_driver;

/* Copied by pf_driver_create. */
struct pf_driver_options {
    uint64_t seed;             /* of the dice: jitter, map seeds */
    struct pf_str instance;    /* uuid text of this start of the scheduler */
    struct pf_msg framework;   /* FrameworkInfo; with an id: takes that framework over */
    const struct pf_str *master; /* host:port, at least one; at most PF_MASTERS_MAX */
    uint32_t n_masters;
    bool explicit_acks;        /* the owner acknowledges; else it is done when it was told */
    bool is_durable;           /* the master keeps the framework in its registry */
    bool is_suppressed;        /* to begin with */
    int64_t give_up_ms;        /* not subscribed for the first time by then and no master answers:
                                * an error; 0 = never */
    struct pf_sm_tracer tracer;
};

enum pf_driver_event_type {
    PF_DRIVER_START = 1,
    PF_DRIVER_STOP,     /* leaves; the framework and its tasks stay for its failover time-out */
    PF_DRIVER_TEARDOWN, /* ends the framework and its tasks, then stops */
    PF_DRIVER_LINK_UP,
    PF_DRIVER_LINK_DOWN, /* also when connecting failed */
    PF_DRIVER_MESSAGE,
    PF_DRIVER_DEADLINE,
    /* calls of the owner; harmless after the end */
    PF_DRIVER_ACCEPT,
    PF_DRIVER_DECLINE,
    PF_DRIVER_DEMAND,
    PF_DRIVER_KILL,
    PF_DRIVER_REVIVE,
    PF_DRIVER_SUPPRESS,
    PF_DRIVER_ACKNOWLEDGE,
    PF_DRIVER_RECONCILE,
    PF_DRIVER_SEND_MESSAGE,      /* to an executor; at most once */
    PF_DRIVER_SHUTDOWN_EXECUTOR, /* ends it with its tasks */
};

struct pf_driver_kill {
    struct pf_str task_id;
    int64_t grace_ms; /* -1: the task's own */
    int32_t signal;   /* 0: the usual one */
};

/* Everything is borrowed for the step. */
struct pf_driver_event {
    enum pf_driver_event_type type;
    int64_t now_ms;  /* monotonic */
    int64_t wall_ms; /* since 1970 */
    uint32_t master; /* LINK_*, MESSAGE: which, as CONNECT said */
    union {
        struct {
            uint64_t peer;        /* what SEND and CLOSE are to name */
            struct pf_msg greeting; /* an Envelope with Welcome */
        } up;
        struct pf_err down;
        struct pf_msg message; /* an Envelope */
        struct {               /* DECLINE: without tasks */
            const struct pf_str *offer;
            uint32_t n_offers;
            const struct pf_msg *task; /* TaskInfo */
            uint32_t n_tasks;
            int64_t refuse_ms; /* -1: the master's default */
            bool is_group;     /* all or none of the tasks start, under `executor` */
            struct pf_msg executor; /* ExecutorInfo */
        } accept;
        struct pf_msg demand; /* Scheduler_Call_Demand; replaces what was demanded before */
        struct pf_driver_kill kill;
        struct {
            struct pf_str task_id, agent_id;
            struct pf_bytes uuid;
        } acknowledge;
        struct {
            const struct pf_str *task;
            uint32_t n_tasks; /* 0: all of the framework */
        } reconcile;          /* a task not known here is asked about until there is an answer */
        struct {
            struct pf_str agent_id, executor_id;
            struct pf_bytes data; /* SEND_MESSAGE: at most PF_EXECUTOR_MESSAGE_MAX_BYTES */
        } executor;
    };
};

/* Kinds of PF_EFFECT_ACT, each with its data. */
enum pf_driver_act {
    PF_DRIVER_CONNECT = 1,  /* pf_driver_connect: answer with LINK_UP or LINK_DOWN */
    PF_DRIVER_SUBSCRIBED,   /* pf_driver_subscribed */
    PF_DRIVER_DISCONNECTED, /* pf_err: was subscribed and is not now; it comes back by itself */
    PF_DRIVER_OFFERS,       /* Scheduler_Event_Offers */
    PF_DRIVER_RESCINDED,    /* pf_str: id of an offer that was told, used up by nobody */
    PF_DRIVER_UPDATE,       /* pf_driver_update */
    PF_DRIVER_DEMAND_STATUS, /* Scheduler_Event_DemandStatus */
    PF_DRIVER_TOLD,         /* Scheduler_Event_Message, of an executor */
    PF_DRIVER_FAILURE,      /* Scheduler_Event_Failure: an executor or (without its id) an agent
                             * is gone */
    PF_DRIVER_ERROR,        /* pf_err: refused for good; the driver has stopped */
    PF_DRIVER_STOPPED,      /* pf_err (code 0): the last effect after STOP and TEARDOWN */
};

struct pf_driver_connect {
    uint32_t master;
    struct pf_str address;
};

struct pf_driver_subscribed {
    struct pf_str framework_id, master;
    uint64_t epoch, generation;
    bool is_again; /* not for the first time */
};

struct pf_driver_update {
    struct TaskStatus status;
    bool wants_ack; /* explicit_acks, and the status has a uuid */
    bool is_local;  /* made by the driver: what was launched never left it */
};

/* Never fails; a bad option is our bug. Does nothing until START. */
struct pf_driver *pf_driver_create(const struct pf_driver_options *options);
void pf_driver_destroy(struct pf_driver *d); /* NULL is fine */

void pf_driver_step(struct pf_driver *d, const struct pf_driver_event *ev, struct pf_turn *turn);
/* Monotonic ms of the next wanted DEADLINE; INT64_MAX = none. */
int64_t pf_driver_deadline(const struct pf_driver *d);
void pf_driver_check(const struct pf_driver *d);

/* --- looking, between steps; borrowed until the next one --- */

bool pf_driver_is_ended(const struct pf_driver *d);
bool pf_driver_is_subscribed(const struct pf_driver *d);
struct pf_str pf_driver_framework_id(const struct pf_driver *d); /* absent: not yet known */
/* Since when it has no leader to work with (monotonic), and what the masters do instead, for
 * people; INT64_MAX: it is subscribed, or has not begun. */
int64_t pf_driver_leaderless_since(const struct pf_driver *d, struct pf_buf *out_why);
/* An offer that was told and is still good. */
struct pf_driver_offer_info {
    struct pf_str agent_id, demand_id;
    const struct pf_range *port; /* free ports, in rising order */
    uint32_t n_ports;            /* ranges */
};
bool pf_driver_find_offer(const struct pf_driver *d, struct pf_str offer_id,
                          struct pf_driver_offer_info *out);
/* A final state says all there is to say; UNKNOWN counts as one. */
bool pf_driver_state_is_final(enum TaskState state);

struct pf_driver_stats {
    uint64_t n_tasks, n_offers; /* now: live tasks, offers held */
    uint64_t subscriptions, disconnects, connects, updates, duplicates, acks, accepts;
    uint64_t dropped_tasks, reconciled_tasks, dropped_messages,
        bad_messages;
};
void pf_driver_stats(const struct pf_driver *d, struct pf_driver_stats *out);

#endif
