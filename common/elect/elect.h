/* SPDX-License-Identifier: Apache-2.0 */
/* Who leads: election, lease and takeover over ZooKeeper as a pure state machine (DESIGN 7, rules 1
 * to 5 and 10). One per master. Driven by quorum.c, which is also fed by the registry log.
 *
 * Nodes (schemas/quorum.fbs): /epoch ZkEpoch; /leader ZkLeader, ephemeral; /masters/<instance>
 * ZkMaster, ephemeral. All times are of CLOCK_BOOTTIME, so that a suspended machine's lease ends.
 */
#ifndef PF_COMMON_ELECT_ELECT_H
#define PF_COMMON_ELECT_ELECT_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/err.h"
#include "common/base/id.h"
#include "common/base/limits.h"
#include "common/base/sm.h"
#include "common/elect/effect.h"

struct pf_elect;

/* Request ids: the owner stands in the top byte. */
#define PF_ZK_OWNER_ELECT (UINT64_C(1) << 56)
#define PF_ZK_OWNER_LOG   (UINT64_C(2) << 56)

/* Copied. */
struct pf_elect_options {
    uint64_t seed;
    const char *instance;     /* uuid text of this start */
    const char *place;        /* uuid text kept in the work directory, whose lock we hold: whose old
                               * node we may replace */
    const char *cluster;      /* "" = any */
    const char *address, *http_address, *hostname, *version;
    int64_t pid, started_wall_ms;
    uint32_t format_min, format_max; /* of the registry that this binary reads and writes */
    struct pf_sm_tracer tracer;
};

/* Times in ms, for tests to see. Session = what the servers granted. */
enum {
    PF_ELECT_HEDGE_MS = 300,           /* a takeover without an answer is tried on the spare too */
    PF_ELECT_PROBE_EVERY_MS = 1,
    PF_ELECT_PROBE_MS = 1000,          /* then the matter is left to ZooKeeper */
    PF_ELECT_SUSPECT_MS = 60000,       /* no fast path against one deposed alive; doubles */
    PF_ELECT_FAST_PER_MINUTE = 3,      /* fast takeovers whose deposed leader proved alive */
    PF_ELECT_EPOCH_RETRIES = 3,        /* retakes because an agent obeys a higher epoch, a minute */
};

enum pf_elect_event_type {
    PF_ELECT_SESSION = 1,
    PF_ELECT_REPLY, /* to a request with PF_ZK_OWNER_ELECT */
    PF_ELECT_WATCH,
    PF_ELECT_LINK,       /* our link to the master of `instance` came up or broke */
    PF_ELECT_PROBED,     /* the answer to PF_QUORUM_PROBE */
    PF_ELECT_APPLIED,    /* the log was read up to this version of /registry/head */
    PF_ELECT_RENEWED,    /* a fenced multi of the log, sent at `sent_ms`, was acknowledged */
    PF_ELECT_FENCED,     /* one met another epoch: somebody else leads */
    PF_ELECT_RESIGN,     /* stop leading now and stay away until another leads, or 2 s passed */
    PF_ELECT_TAKE,       /* the leader of `epoch` hands over to us: depose it, alive as it is */
    PF_ELECT_EPOCH_SEEN, /* an agent obeys `epoch`, higher than ours: retake above it */
    PF_ELECT_TICK,
};

enum pf_elect_probe {
    PF_PROBE_FAILED = 0, /* time-out, reset, unreachable: says nothing */
    PF_PROBE_REFUSED,
    PF_PROBE_ANSWERED, /* by a master that says it is `instance` */
};

struct pf_elect_event {
    enum pf_elect_event_type type;
    int64_t boot_ms, wall_ms;
    union {
        struct pf_zk_session session;
        const struct pf_zk_reply *reply;
        struct pf_zk_watch watch;
        struct {
            struct pf_str instance;
            bool is_up;
        } link;
        struct {
            enum pf_elect_probe result;
            struct pf_str instance;
        } probed;
        struct {
            bool is_ready; /* false: the log is being read; version does not count */
            int32_t head_version;
            uint32_t format; /* of the registry; 0: it is empty */
        } applied;
        struct {
            int64_t sent_ms;
        } renewed;
        struct {
            uint64_t epoch;
        } take, epoch_seen;
        struct {
            struct pf_str why;
        } resign;
    };
};

/* Another master, or we ourselves, as /masters and /leader tell. */
struct pf_elect_master {
    char instance[PF_UUID_TEXT_LEN + 1];
    char address[80], http_address[80], version[32], hostname[64];
    int64_t pid, started_wall_ms;
    uint32_t format_max;
    int64_t suspect_until_wall_ms; /* it was deposed alive: no fast path against it until then */
};

struct pf_elect *pf_elect_create(const struct pf_elect_options *options, struct pf_outbox *out);
void pf_elect_destroy(struct pf_elect *e);
/* Appends to the outbox: ZK requests, PROBE, SAY, FATAL. LEAD and STOP are quorum.c's: it looks at
 * pf_elect_is_leading() after each step. */
void pf_elect_step(struct pf_elect *e, const struct pf_elect_event *ev);
int64_t pf_elect_deadline(const struct pf_elect *e); /* boot_ms of the next wanted TICK */
void pf_elect_check(const struct pf_elect *e);

bool pf_elect_is_leading(const struct pf_elect *e);
/* Leading, and the lease stands at `boot_ms`: the question before each step and each release of
 * sends. False although is_leading: step with a TICK, which ends it. */
bool pf_elect_may_act(const struct pf_elect *e, int64_t boot_ms);
/* While leading: until when the lease stands. */
int64_t pf_elect_lease_ms(const struct pf_elect *e);
/* A takeover failed because the log went on: read it up to /registry/head, then tell APPLIED. */
bool pf_elect_wants_log(const struct pf_elect *e);
/* What is known of the fence; 0 and nil before it was read. While leading: ours. */
uint64_t pf_elect_epoch(const struct pf_elect *e);
struct pf_uuid pf_elect_incarnation(const struct pf_elect *e);
/* While leading: the version of /epoch that every fenced write checks. */
int32_t pf_elect_epoch_version(const struct pf_elect *e);
/* While leading: the session that owns /leader. */
uint8_t pf_elect_session(const struct pf_elect *e);
/* The leader's instance text, "" = nobody (known). */
const char *pf_elect_leader(const struct pf_elect *e);
/* All masters of /masters, ourselves included, sorted by instance. */
uint32_t pf_elect_masters(const struct pf_elect *e, const struct pf_elect_master **out);
/* Counts up whenever masters, leader or epoch changed. */
uint64_t pf_elect_view_number(const struct pf_elect *e);
/* Why this master is no healthy candidate ("cannot reach ZooKeeper at ...: ..."); NULL: it is. */
const char *pf_elect_trouble(const struct pf_elect *e);

struct pf_elect_stats {
    uint64_t takeovers_fast, takeovers_slow, handovers, depositions, renewals, unknown_outcomes,
        hedges, expiries;
    int64_t renew_ms_last, renew_ms_max; /* how long ZooKeeper took to answer */
};
void pf_elect_stats(const struct pf_elect *e, struct pf_elect_stats *out);

#endif
