/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this module share. Included by driver*.c only. */
#ifndef PF_FRAMEWORK_DRIVER_DRIVER_INTERNAL_H
#define PF_FRAMEWORK_DRIVER_DRIVER_INTERNAL_H

#include <sys/queue.h>
#include "common/base/limits.h"
#include "common/base/map.h"
#include "common/base/rng.h"
#include "common/link/backoff.h"
#include "common/link/leader.h"
#include "framework/driver/driver.h"
#include "schemas/proffer.h"

enum {
    DRIVER_ANSWER_MS = 10000,      /* SUBSCRIBE and TEARDOWN are answered by then */
    DRIVER_GIVE_UP_MS = 1000,      /* looks again so often whether any master answers */
    DRIVER_ASK_MIN_MS = 100,       /* between questions about the same tasks */
    DRIVER_ASK_MAX_MS = 15000,
    DRIVER_ASKED_PER_MS = 8,       /* the more tasks, the later the first question, but not */
    DRIVER_ASK_LATER_MS = 1000,    /* later than this */
    DRIVER_ENDED_MAX = 10000,      /* ended tasks remembered, to know repeated statuses */
    DRIVER_PAST = 3,               /* updates before the last: a stream has four */
    DRIVER_WAITING_MAX = 10000,    /* calls that wait for a subscription */
    DRIVER_WAITING_MAX_BYTES = 8 << 20, /* of messages among them */
    DRIVER_QUESTIONS_MAX = 10000,  /* tasks asked about by the owner, until there is an answer */
    DRIVER_UUID_BYTES = 16,
};

/* --- links to masters --- */

void driver_links_start(struct pf_driver *d, struct pf_turn *t);
void driver_link_up(struct pf_driver *d, const struct pf_driver_event *ev, struct pf_turn *t);
void driver_link_down(struct pf_driver *d, const struct pf_driver_event *ev, struct pf_turn *t);
/* The master says anew what it is. */
void driver_link_role(struct pf_driver *d, uint32_t master, struct Welcome w, struct pf_turn *t);
void driver_links_due(struct pf_driver *d, int64_t now_ms, struct pf_turn *t);
/* Closes one link and waits before it is tried again. */
void driver_link_drop(struct pf_driver *d, uint32_t master, struct pf_turn *t);
void driver_links_close(struct pf_driver *d, struct pf_turn *t);
/* Of the one we subscribe at. */
const char *driver_leader_address(const struct pf_driver *d);

/* --- the subscription --- */

enum driver_state {
    DRIVER_IDLE,
    DRIVER_SEEKING,     /* nobody to subscribe at, or the next try waits */
    DRIVER_SUBSCRIBING,
    DRIVER_SUBSCRIBED,
    DRIVER_ENDED,
    DRIVER_STATE_COUNT
};

/* Looks whether there is somebody (better) to subscribe at. */
void driver_seek(struct pf_driver *d, struct pf_turn *t);
/* Not subscribed any more: offers are gone. `why` goes to the owner. */
void driver_lose(struct pf_driver *d, const struct pf_err *why, struct pf_turn *t);
void driver_on_subscribed(struct pf_driver *d, struct Scheduler_Event_Subscribed s,
                          struct pf_turn *t);
void driver_on_reply(struct pf_driver *d, struct Envelope e, struct pf_turn *t);
void driver_session_due(struct pf_driver *d, int64_t now_ms, struct pf_turn *t);
void driver_teardown(struct pf_driver *d, struct pf_turn *t);
void driver_end(struct pf_driver *d, enum pf_driver_act act, const struct pf_err *why,
                struct pf_turn *t);

/* --- offers and demands --- */

struct driver_offer {
    char *id, *agent_id, *demand_id; /* demand_id: NULL = none */
    uint32_t demand_count;
    struct pf_range *port;
    uint32_t n_ports;
    TAILQ_ENTRY(driver_offer) entry;
};
TAILQ_HEAD(driver_offers, driver_offer);

struct driver_offer *driver_offer_find(const struct pf_driver *d, struct pf_str id);
void driver_on_offers(struct pf_driver *d, struct Scheduler_Event_Offers offers,
                      struct pf_turn *t);
void driver_on_rescind(struct pf_driver *d, struct pf_str id, struct pf_turn *t);
void driver_offers_rescind_all(struct pf_driver *d, struct pf_turn *t);
void driver_offer_forget(struct pf_driver *d, struct driver_offer *o);
void driver_accept(struct pf_driver *d, const struct pf_driver_event *ev, struct pf_turn *t);
void driver_suppress(struct pf_driver *d, struct pf_turn *t);
void driver_revive(struct pf_driver *d, struct pf_turn *t);
void driver_demand(struct pf_driver *d, struct pf_msg demand, struct pf_turn *t);

/* --- tasks --- */

struct driver_task {
    char *id, *agent_id;         /* agent_id: NULL = not known */
    enum TaskState state;        /* last told; STAGING before the first */
    bool is_ended;               /* in `ended` instead of `live` */
    bool is_question;            /* only asked about by the owner, nothing known of it yet */
    bool was_heard_of;           /* some status was told */
    bool never_started;          /* ended by our own word */
    uint64_t launched_in;        /* stats.subscriptions when its ACCEPT left */
    bool is_asked;               /* not heard of in this subscription: we ask until we hear */
    uint64_t asked_in;           /* stats.subscriptions when it was last asked about */
    uint32_t n_asked;            /* questions in that subscription, by us or the owner */
    uint32_t n_stale;            /* ... about earlier launches of the id: answers may come yet */
    uint32_t n_questions;        /* of ours in this subscription: answers without news not told */
    bool has_uuid, is_acked;     /* of the last status told that had one */
    uint64_t past[DRIVER_PAST];  /* beginnings of the uuids told before that one; 0 = none */
    bool is_killing;             /* `kill` is repeated in every subscription */
    uint8_t uuid[DRIVER_UUID_BYTES];
    struct pf_driver_kill kill;  /* task_id unused */
    TAILQ_ENTRY(driver_task) entry;
};
TAILQ_HEAD(driver_tasks, driver_task);

struct driver_task *driver_task_find(const struct pf_driver *d, struct pf_str id);
/* A launch leaves: false if a live task has the id. */
bool driver_task_launch(struct pf_driver *d, struct pf_str id, struct pf_str agent_id);
void driver_on_update(struct pf_driver *d, struct TaskStatus s, struct pf_turn *t);
/* A status of our own for a launch that never left. */
void driver_tell_dropped(struct pf_driver *d, struct pf_str task_id, enum TaskState state,
                         enum TaskStatus_Reason reason, const char *why, struct pf_turn *t);
void driver_kill(struct pf_driver *d, const struct pf_driver_kill *k, struct pf_turn *t);
void driver_acknowledge(struct pf_driver *d, struct pf_str task_id, struct pf_str agent_id,
                        struct pf_bytes uuid, struct pf_turn *t);
void driver_reconcile(struct pf_driver *d, const struct pf_driver_event *ev, struct pf_turn *t);
/* After a subscription: asks about every live task. */
void driver_tasks_resume(struct pf_driver *d, struct pf_turn *t);
/* Asks again about those without an answer: the master gives none while an agent is not back. */
void driver_tasks_due(struct pf_driver *d, struct pf_turn *t);
void driver_tasks_fini(struct pf_driver *d);
/* A question about the task leaves now. */
void driver_task_is_asked(struct pf_driver *d, struct pf_str id);

/* --- calls --- */

/* A call that waits for a subscription. */
struct driver_waiting {
    enum Scheduler_Call_Type type; /* KILL, ACKNOWLEDGE, RECONCILE, REVIVE, MESSAGE, SHUTDOWN */
    char *task_id, *agent_id, *executor_id;
    char *data; /* of MESSAGE */
    uint32_t n_data;
    uint8_t uuid[DRIVER_UUID_BYTES];
    struct pf_driver_kill kill;
    STAILQ_ENTRY(driver_waiting) entry;
};
STAILQ_HEAD(driver_waitings, driver_waiting);

struct pf_ref driver_put_demand(struct pf_fb_builder *b, struct Demand one, uint32_t count,
                                struct pf_turn *t);
void driver_send_subscribe(struct pf_driver *d, struct pf_turn *t);
void driver_send_teardown(struct pf_driver *d, struct pf_turn *t);
void driver_send_accept(struct pf_driver *d, const struct pf_driver_event *ev, struct pf_turn *t);
void driver_send_decline(struct pf_driver *d, const struct pf_str *offer, uint32_t n,
                         int64_t refuse_ms, struct pf_turn *t);
void driver_send_demand(struct pf_driver *d, struct pf_turn *t);
void driver_send_suppress(struct pf_driver *d, struct pf_turn *t);
void driver_send_revive(struct pf_driver *d, struct pf_turn *t);
void driver_send_kill(struct pf_driver *d, struct pf_str task_id, struct pf_str agent_id,
                      const struct pf_driver_kill *k, struct pf_turn *t);
void driver_send_ack(struct pf_driver *d, struct pf_str task_id, struct pf_str agent_id,
                     const uint8_t uuid[DRIVER_UUID_BYTES], struct pf_turn *t);
/* At most PF_PAGE_MAX tasks; none = all. Absent agent ids are left out. */
struct driver_question {
    struct pf_str task_id, agent_id;
};
void driver_send_reconcile(struct pf_driver *d, const struct driver_question *q, uint32_t n,
                           struct pf_turn *t);
void driver_send_message(struct pf_driver *d, struct pf_str agent_id, struct pf_str executor_id,
                         struct pf_bytes data, struct pf_turn *t);
void driver_send_shutdown(struct pf_driver *d, struct pf_str agent_id, struct pf_str executor_id,
                          struct pf_turn *t);
/* SEND_MESSAGE and SHUTDOWN_EXECUTOR: now, or with the next subscription. */
void driver_executor_call(struct pf_driver *d, const struct pf_driver_event *ev,
                          struct pf_turn *t);
void driver_wait_add(struct pf_driver *d, const struct driver_waiting *w);
void driver_waiting_send(struct pf_driver *d, struct pf_turn *t);
void driver_waiting_fini(struct pf_driver *d);
/* The FrameworkInfo with the id that we got. */
void driver_framework_set_id(struct pf_driver *d, struct pf_str id);

/* --- the whole --- */

struct pf_driver {
    struct pf_rng dice;
    struct pf_sm sm; /* enum driver_state */
    struct pf_sm_tracer tracer;
    int64_t now_ms, wall_ms; /* of this step */

    char *instance;
    struct pf_bytes framework; /* FrameworkInfo, owned */
    char *framework_id;        /* NULL: not known yet */
    bool explicit_acks, is_durable, is_suppressed;
    bool is_partition_aware;
    bool takes_over;           /* the first subscription must ask for all tasks */

    struct pf_leader *links;
    uint64_t peer[PF_MASTERS_MAX]; /* of the links that are up */
    int32_t leader;                /* number of a link; -1 but SUBSCRIBING and SUBSCRIBED */
    uint64_t asked_epoch;          /* of the leader, when it was asked */
    uint64_t epoch;                /* highest we subscribed in */
    uint64_t generation;           /* of this instance, 0 = not told yet */
    uint64_t next_request, subscribe_request, teardown_request;
    struct pf_backoff refusals; /* of SUBSCRIBE, in a row */
    int64_t answer_ms, retry_ms, give_up_ms, teardown_ms, ask_ms; /* INT64_MAX = off */
    int64_t ask_pause_ms;
    int64_t lost_ms; /* when the last subscription was lost */
    int64_t give_up_after_ms;
    bool was_subscribed, wants_teardown;
    bool demand_waits, suppress_waits; /* changed since SUBSCRIBE left */
    struct pf_err last_trouble; /* why no link stands; for give_up */

    struct pf_map offers;
    struct driver_offers offer_list;
    struct pf_map tasks;
    struct driver_tasks live, ended;
    uint32_t n_open_questions; /* live ones that are only asked about */
    uint32_t n_ended;
    struct driver_waitings waiting;
    uint32_t n_waiting, waiting_bytes;

    struct pf_bytes demand; /* Scheduler_Call_Demand, owned */
    bool has_demand;
    uint32_t demand_placed[PF_DEMANDS_MAX]; /* launched for it since it was stated */

    struct pf_driver_stats stats;
};

/* An action with its data, copied into the turn. */
void driver_act(struct pf_turn *t, enum pf_driver_act act, const void *data, size_t bytes);
struct pf_str driver_dup_str(struct pf_turn *t, struct pf_str s);
/* now + ms, spread over its second half. */
int64_t driver_later(struct pf_driver *d, int64_t ms);

#endif
