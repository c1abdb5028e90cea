/* SPDX-License-Identifier: Apache-2.0 */
/* The master as a pure state machine: agents, frameworks, offers, tasks, allocation. One door,
 * pf_master_step. No clock, no dice but the seeded ones, no system call. */
#ifndef PF_MASTER_CORE_MASTER_H
#define PF_MASTER_CORE_MASTER_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/err.h"
#include "common/base/id.h"
#include "common/base/sm.h"
#include "common/fb/fb.h"
#include "common/turn/turn.h"

struct pf_master;

/* Copied by pf_master_create. */
struct pf_master_options {
    uint64_t seed;            /* of the dice: ids, jitter, map seeds */
    const char *instance;     /* uuid text of this start of the daemon */
    const char *cluster;      /* name, may be "" */
    const char *address;      /* native host:port told to others */
    const char *http_address; /* host:port */
    const char *hostname;
    int64_t pid;
    int64_t offer_timeout_ms;     /* 30000; 0 = never */
    int64_t agent_unreachable_ms; /* 75000: link broken -> unreachable */
    int64_t recovery_ms; /* how long recovered agents may take before they are unreachable */
    /* At most `removals` agents become unreachable in any `removals_ms`; 0 = no limit. And of those
     * known at a takeover at most so many percent because they did not come back: the others stay
     * recovered, and the trouble is told (Mesos: agent_removal_rate_limit,
     * recovery_agent_removal_limit). */
    uint32_t removals;
    int64_t removals_ms;
    uint32_t recovery_removals_percent; /* 100 = no limit; 0 = none is removed */
    uint32_t row_max_bytes; /* 0: PF_ROW_MAX_BYTES. A larger row is refused, a step's rows stay
                             * below twice that */
    const char *task_user;  /* for peers without the key ("nobody") */
    bool allow_any_user;
    struct pf_sm_tracer tracer; /* of state moves, for tests; may be empty */
};

enum pf_master_event_type {
    PF_MASTER_ROW = 1, /* a committed row, before ELECTED; a standby is told each as it comes */
    PF_MASTER_ELECTED, /* all rows are in: lead with this incarnation and epoch */
    PF_MASTER_MASTERS, /* the masters of the quorum, or what is known of them, changed */
    PF_MASTER_PEER_UP, /* authenticated; `hello` valid for the call */
    PF_MASTER_PEER_DOWN,
    PF_MASTER_MESSAGE,  /* a verified Envelope from a peer that is up */
    PF_MASTER_DEADLINE, /* the time of pf_master_deadline has come (early or late is harmless) */
};

/* A master of the quorum, for people and for redirection. */
struct pf_master_view {
    const char *instance, *address, *http_address, *hostname, *version;
    int64_t pid, started_wall_ms;
    bool is_self, is_leading, is_linked;
    uint64_t epoch;
    bool has_lag;
    uint64_t lag;        /* committed batches not applied yet */
    const char *trouble; /* "" = none */
};

struct pf_master_event {
    enum pf_master_event_type type;
    int64_t now_ms;  /* monotonic */
    int64_t wall_ms; /* since 1970 */
    uint64_t peer;   /* PEER_*, MESSAGE: never reused by the daemon */
    union {
        struct {
            uint8_t table;
            struct pf_bytes key;
            struct pf_msg row; /* verified against the table's schema by the caller */
            bool is_del;       /* the row is gone; no `row` then */
        } row;
        struct {
            struct pf_uuid incarnation;
            uint64_t epoch;
            bool is_stored; /* the pair is kept elsewhere: put no META row */
        } elected;
        struct {
            const struct pf_master_view *at; /* borrowed; none: this master is alone */
            uint32_t n;
        } masters;
        struct {
            struct pf_msg hello; /* an Envelope whose body is Hello; HTTP requests make one too */
            bool trusted;        /* proved the key (or the daemon has none and is on loopback) */
        } peer_up;
        struct pf_msg message; /* Envelope; borrowed for the call */
    };
};

/* What the core wants of its daemon besides rows and sends (pf_turn_act). */
enum pf_master_act {
    PF_MASTER_ACT_STEP_DOWN = 1, /* data: char *, instance of the master to follow; "" = any */
    PF_MASTER_ACT_EPOCH_SEEN,    /* data: uint64_t *: an agent obeys this epoch, above ours */
};

/* Never fails; a bad option is our bug. The core leads nothing until ELECTED. Until then it is a
 * standby: it answers reads from its rows, marked stale; all else is answered NOT_LEADER (the text
 * names the leader) or UNAVAILABLE (none is known). It leads until it is destroyed. */
struct pf_master *pf_master_create(const struct pf_master_options *options);
void pf_master_destroy(struct pf_master *m);

/* Advances by one event. Never blocks, never calls out. `ev` and all below it is borrowed for the
 * call; what must happen is appended to `turn`. A request (request_id > 0) gets exactly one reply,
 * now or in a later step. */
void pf_master_step(struct pf_master *m, const struct pf_master_event *ev, struct pf_turn *turn);
/* Monotonic ms of the next wanted DEADLINE; INT64_MAX = none. */
int64_t pf_master_deadline(const struct pf_master *m);

/* Walks every index and sum; aborts on the first broken invariant (no-double-spend: free + offered
 * + allocated = total on each agent; indices agree both ways; heaps and limits). */
void pf_master_check(const struct pf_master *m);

/* For /metrics and the benchmark; cheap. */
struct pf_master_stats {
    uint64_t n_agents, n_agents_registered, n_frameworks, n_frameworks_connected, n_offers, n_tasks,
        n_executors;
    uint64_t offers_made, offers_declined, offers_rescinded, offers_expired;
    uint64_t tasks_launched, tasks_refused, tasks_ended, updates, acknowledgements;
    uint64_t messages, messages_dropped; /* between schedulers and executors */
    uint64_t bad_messages, allocation_runs, allocation_pairs;
    uint64_t n_watchers, epoch;
    uint64_t n_removals_held; /* agents that are gone and not called unreachable: a limit */
    uint64_t n_agents_linked; /* registered here or not: also a standby counts them */
};
void pf_master_stats(const struct pf_master *m, struct pf_master_stats *out);

#endif
