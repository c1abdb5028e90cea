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
    int64_t recovery_ms;   /* how long recovered agents may take before they are unreachable */
    const char *task_user; /* for peers without the key ("nobody") */
    bool allow_any_user;
    struct pf_sm_tracer tracer; /* of state moves, for tests; may be empty */
};

enum pf_master_event_type {
    PF_MASTER_ROW = 1, /* one recovered row, before ELECTED */
    PF_MASTER_ELECTED, /* all rows are in: lead with this incarnation and epoch */
    PF_MASTER_PEER_UP, /* authenticated; `hello` valid for the call */
    PF_MASTER_PEER_DOWN,
    PF_MASTER_MESSAGE,  /* a verified Envelope from a peer that is up */
    PF_MASTER_DEADLINE, /* the time of pf_master_deadline has come (early or late is harmless) */
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
        } row;
        struct {
            struct pf_uuid incarnation;
            uint64_t epoch;
        } elected;
        struct {
            struct pf_msg hello; /* an Envelope whose body is Hello; HTTP requests make one too */
            bool trusted;        /* proved the key (or the daemon has none and is on loopback) */
        } peer_up;
        struct pf_msg message; /* Envelope; borrowed for the call */
    };
};

/* Never fails; a bad option is our bug. The core leads nothing until ELECTED: until then requests
 * are answered NOT_LEADER or UNAVAILABLE. */
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
    uint64_t n_agents, n_agents_registered, n_frameworks, n_frameworks_connected, n_offers, n_tasks;
    uint64_t offers_made, offers_declined, offers_rescinded, offers_expired;
    uint64_t tasks_launched, tasks_refused, tasks_ended, updates, acknowledgements;
    uint64_t bad_messages, allocation_runs, allocation_pairs;
    uint64_t n_watchers, epoch;
};
void pf_master_stats(const struct pf_master *m, struct pf_master_stats *out);

#endif
