/* SPDX-License-Identifier: Apache-2.0 */
/* A master's part in a quorum: election and registry log as one pure state machine with one door.
 * The daemon (or the simulator) translates: requests to ZooKeeper, links to the other masters,
 * LEAD and STOP into the life of the master's core. */
#ifndef PF_COMMON_ELECT_QUORUM_H
#define PF_COMMON_ELECT_QUORUM_H

#include "common/elect/elect.h"
#include "common/elect/replog.h"
#include "common/fb/fb.h"

struct pf_quorum;

struct pf_quorum_options {
    struct pf_elect_options elect;
    struct pf_replog_options log;
};

enum pf_quorum_event_type {
    PF_QUORUM_EV_SESSION = 1,
    PF_QUORUM_EV_REPLY,
    PF_QUORUM_EV_WATCH,
    PF_QUORUM_EV_MASTER_UP,      /* our link (we connected) to another master: its Welcome */
    PF_QUORUM_EV_MASTER_DOWN,    /* that link broke */
    PF_QUORUM_EV_MASTER_MESSAGE, /* from another master, by either of the two links */
    PF_QUORUM_EV_PROBED,
    PF_QUORUM_EV_SUBMIT, /* the leader's core has this batch to store */
    PF_QUORUM_EV_STEP_DOWN, /* leader: hand over to `to` ("" = the best standby) */
    PF_QUORUM_EV_DRAINED,   /* the answer to having been frozen: nothing is under way any more */
    PF_QUORUM_EV_EPOCH_SEEN,
    PF_QUORUM_EV_PEERS, /* so many agents are linked to us now */
    PF_QUORUM_EV_TICK,
};

struct pf_quorum_event {
    enum pf_quorum_event_type type;
    int64_t boot_ms, wall_ms;
    union {
        struct pf_zk_session session;
        const struct pf_zk_reply *reply;
        struct pf_zk_watch watch;
        struct {
            struct pf_str instance;
            struct pf_msg message; /* MASTER_MESSAGE: an Envelope with RegistryBatch, MasterStatus
                                    * or HandOver; others are ignored */
        } master;
        struct {
            enum pf_elect_probe result;
            struct pf_str instance;
        } probed;
        const struct pf_batch *submit;
        struct {
            struct pf_str to;
        } step_down;
        struct {
            uint64_t epoch;
        } epoch_seen;
        struct {
            uint32_t n_agents;
        } peers;
    };
};

/* What people and other programs are told of a master. */
struct pf_quorum_master {
    const struct pf_elect_master *m;
    bool is_self, is_leading, is_linked;
    uint64_t epoch;
    bool has_lag;
    uint64_t lag; /* committed batches that it has not applied, as far as it told */
    const char *trouble; /* why it could not lead, as far as it told; "" = it could */
};

struct pf_quorum *pf_quorum_create(const struct pf_quorum_options *options);
void pf_quorum_destroy(struct pf_quorum *q);
void pf_quorum_step(struct pf_quorum *q, const struct pf_quorum_event *ev);
/* The next effect to carry out, NULL = none for now; valid until the next call of this function. */
const struct pf_quorum_effect *pf_quorum_next(struct pf_quorum *q);
int64_t pf_quorum_deadline(const struct pf_quorum *q); /* boot_ms */
void pf_quorum_check(const struct pf_quorum *q);

bool pf_quorum_is_leading(const struct pf_quorum *q);
/* See pf_elect_may_act(). */
bool pf_quorum_may_act(const struct pf_quorum *q, int64_t boot_ms);
/* Handing over: the caller takes in no more events for the core, and says DRAINED when its turns
 * are idle. */
bool pf_quorum_is_frozen(const struct pf_quorum *q);
uint64_t pf_quorum_epoch(const struct pf_quorum *q);
struct pf_uuid pf_quorum_incarnation(const struct pf_quorum *q);
uint32_t pf_quorum_view(const struct pf_quorum *q, struct pf_quorum_master out[PF_MASTERS_MAX]);
const char *pf_quorum_trouble(const struct pf_quorum *q);
/* All committed rows, to a core that was made anew. */
void pf_quorum_rows(const struct pf_quorum *q, pf_replica_row_fn *fn, void *ctx);
void pf_quorum_stats(const struct pf_quorum *q, struct pf_elect_stats *elect,
                     struct pf_replog_stats *log);

#endif
