/* SPDX-License-Identifier: Apache-2.0 */
/* For elect*.c and their tests only. */
#ifndef PF_COMMON_ELECT_ELECT_INTERNAL_H
#define PF_COMMON_ELECT_ELECT_INTERNAL_H

#include "common/base/compiler.h"
#include "common/elect/elect.h"
#include "common/fb/build.h"

enum {
    ELECT_NODE_BYTES = 4096,      /* a larger node is none of ours */
    ELECT_RETRY_MS = 1000,        /* what failed for good is tried again; doubles */
    ELECT_RETRY_MAX_MS = 30000,
    ELECT_PAUSE_MS = 100,         /* a session that lost its connection, until it says so */
    ELECT_AGAIN_MS = 10,          /* a takeover that failed twice in a row; doubles */
    ELECT_AGAIN_MAX_MS = 1000,
    ELECT_AWAY_MS = 2000,         /* after RESIGN, and how long a TAKE counts */
    ELECT_OWN_MS = 1000,          /* then an own /leader that cannot be retaken is deleted */
    ELECT_SUSPECT_MAX_MS = 3600000,
    ELECT_SESSION_MS = 6000,      /* while the servers granted none */
    ELECT_MINUTE_MS = 60000,
    ELECT_TEXT = 256,
    ELECT_TOLD_MAX = 32,
    ELECT_LOOKS_MAX = 4,          /* of one thing, unanswered by one session */
};
/* An epoch above it is nonsense, and would leave no room to count on. */
#define ELECT_EPOCH_MAX (UINT64_C(1) << 62)

enum elect_role { ROLE_STANDBY, ROLE_TAKING, ROLE_RESOLVING, ROLE_LEADING, ROLE_RESIGNED,
                  ROLE_COUNT };
enum elect_setup {
    SETUP_AWAY,   /* no session */
    SETUP_TREE,   /* /masters is being created */
    SETUP_RIGHTS, /* they are being probed */
    SETUP_EPOCH,  /* /epoch is being read */
    SETUP_MAKE,   /* or created */
    SETUP_WAIT,   /* something is wrong: again later */
    SETUP_DONE,
    SETUP_COUNT
};
enum elect_place { PLACE_ABSENT, PLACE_CREATING, PLACE_LOOKING, PLACE_DROPPING, PLACE_STANDING,
                   PLACE_COUNT };
enum elect_probing { PROBE_IDLE, PROBE_ASKING, PROBE_PAUSE, PROBE_COUNT };

/* The tables, indexed by what follows; `session` by enum pf_zk_state. */
enum elect_table { TABLE_SESSION, TABLE_SETUP, TABLE_PLACE, TABLE_ROLE, TABLE_PROBE, TABLE_COUNT };
extern const struct pf_sm_table elect_tables[TABLE_COUNT];

/* What a request was for: bits 48 to 55 of its id. */
enum elect_ask {
    ASK_NOTHING = 0, /* its answer does not matter: SYNC, setting a watch */
    ASK_SETUP,
    ASK_EPOCH,
    ASK_LEADER,
    ASK_MASTERS,
    ASK_MASTER,
    ASK_STALE, /* delete a /masters node of our former self */
    ASK_PLACE,
    ASK_PLACE_SET,
    ASK_TAKE,
    ASK_RELEASE,
    ASK_RENEW,
};

enum elect_trouble {
    TROUBLE_FORMAT, /* the first that stands is the one told */
    TROUBLE_EPOCH,
    TROUBLE_RIGHTS,
    TROUBLE_LEADER,
    TROUBLE_MASTERS,
    TROUBLE_TAKE,
    TROUBLE_REACH,
    TROUBLE_LEASE,
    TROUBLE_COUNT
};

enum elect_why { WHY_VACANT, WHY_OWN, WHY_PLACE, WHY_HANDOVER, WHY_FAST, WHY_COUNT };

struct elect_session {
    struct pf_sm sm;
    uint64_t id; /* 0: none */
    int32_t timeout_ms;
    int64_t pause_until_ms;
};

/* The reading of /epoch, /leader or the children of /masters. */
struct elect_look {
    bool dirty;
    bool blocked; /* nothing is decided before it was read anew */
    uint64_t seq; /* outstanding, 0 = none */
    uint8_t session;
    int64_t sent_ms;
    uint32_t n_out[PF_ZK_SESSIONS]; /* unanswered, those of no use any more included */
};

struct elect_leader {
    bool stands;
    bool is_bad; /* it stands, but nobody can say what it is */
    char instance[PF_UUID_TEXT_LEN + 1], place[PF_UUID_TEXT_LEN + 1];
    char address[80];
    uint64_t epoch, owner;
    int32_t version;
};

struct elect_peer {
    struct pf_elect_master m;
    char place[PF_UUID_TEXT_LEN + 1];
    bool is_known, dirty, is_stale;
    uint64_t seq;
};

struct elect_take {
    bool is_under_way;
    uint64_t attempt, seq;
    uint64_t session_id;
    int64_t sent_ms;
};

struct elect_renewal {
    uint64_t seq; /* 0 = none under way */
    int64_t sent_ms;
};

struct elect_attempt {
    uint64_t number;
    enum elect_why why;
    uint64_t epoch; /* that we would lead in */
    int32_t epoch_version, leader_version, head_version;
    bool has_head, has_leader, is_hedged, is_unknown;
    int64_t began_ms;
};

struct pf_elect {
    struct pf_outbox *out;
    struct pf_sm_tracer tracer;
    struct pf_rng rng;
    struct pf_fb_builder builder;
    char *cluster, *address, *http_address, *hostname, *version;
    char instance[PF_UUID_TEXT_LEN + 1], place_id[PF_UUID_TEXT_LEN + 1];
    int64_t pid, started_wall_ms;
    uint32_t format_min, format_max;
    int64_t now_ms, wall_ms;
    uint64_t seq;

    struct elect_session session[PF_ZK_SESSIONS];
    int home; /* the session that reads, -1: none */

    struct pf_sm setup;
    bool was_done;
    uint8_t setup_session;
    uint32_t rights_i;
    uint64_t setup_seq;
    int64_t retry_ms; /* 0: nothing to try again */
    int64_t retry_gap_ms;

    struct pf_sm place;
    uint8_t place_session;
    uint64_t place_seq, place_owner, place_set_seq;
    int64_t place_after_ms;
    bool place_dirty;
    int64_t suspect_until_ms, suspect_gap_ms;

    struct elect_look epoch_look, leader_look, masters_look;
    bool knows_epoch;
    struct pf_uuid incarnation;
    uint64_t epoch;
    int32_t epoch_version;
    char epoch_cluster[64];
    struct elect_leader leader;
    struct elect_peer peer[PF_MASTERS_MAX];
    uint32_t n_peers;
    struct pf_elect_master view[PF_MASTERS_MAX];
    uint32_t n_view;
    uint64_t view_number;

    bool log_ready, wants_log;
    int32_t head_version, wanted_head;
    uint32_t format;

    struct pf_sm role;
    bool is_open; /* leading, and the log was ready since */
    uint8_t owner;
    uint64_t owner_id;
    int64_t lease_from_ms, next_renew_ms;
    struct elect_renewal renewal[PF_ZK_SESSIONS];
    bool was_fenced; /* stepped down because another epoch stands: was it while alive? */
    struct elect_attempt attempt;
    struct elect_take take[PF_ZK_SESSIONS];
    uint64_t n_attempts;
    uint32_t n_failed; /* attempts in a row */
    int64_t take_after_ms;
    uint64_t above; /* an agent obeys this epoch */
    int64_t retakes_ms[PF_ELECT_EPOCH_RETRIES];
    uint64_t take_epoch; /* handed over to us, 0: not */
    int64_t take_until_ms, away_until_ms, own_since_ms;
    uint64_t release_seq;

    struct pf_sm probe;
    bool probe_is_out, probe_is_old; /* its answer is of no use any more */
    char probed[PF_UUID_TEXT_LEN + 1], evidence[PF_UUID_TEXT_LEN + 1];
    int64_t probe_began_ms, probe_next_ms, evidence_ms;
    int64_t alive_ms[PF_ELECT_FAST_PER_MINUTE]; /* when masters proved alive that were deposed */

    char trouble[TROUBLE_COUNT][ELECT_TEXT], said[TROUBLE_COUNT][ELECT_TEXT];
    char why[ELECT_TEXT / 2]; /* the main session is not connected */
    bool is_fatal;
    uint64_t told[ELECT_TOLD_MAX]; /* hashes of the texts that are said once */
    uint32_t n_told;
    struct pf_elect_stats stats;
};

/* elect.c */
void elect_move(struct pf_elect *e, struct pf_sm *sm, uint32_t next, const char *why);
bool elect_is(const struct pf_sm *sm, uint32_t state);
/* Connected, as far as is known. */
bool elect_usable(const struct pf_elect *e, uint8_t session);
/* Returns the request's number. */
uint64_t elect_ask(struct pf_elect *e, enum elect_ask what, uint8_t session, uint32_t n_ops,
                   const struct pf_zk_op *op);
void elect_set_trouble(struct pf_elect *e, enum elect_trouble t, const char *fmt, ...)
    PF_PRINTF(3, 4);
void elect_clear_trouble(struct pf_elect *e, enum elect_trouble t);
void elect_say_once(struct pf_elect *e, const char *fmt, ...) PF_PRINTF(2, 3);
void elect_retry_later(struct pf_elect *e);
int64_t elect_min(int64_t a, int64_t b);

/* elect_nodes.c: NULL, or what is wrong with the node. Put: borrowed until the next put. */
struct elect_epoch_node {
    struct pf_uuid incarnation;
    uint64_t epoch;
    char cluster[64];
    char exported_to[128]; /* "": it is here */
};
const char *elect_epoch_parse(struct pf_bytes node, struct elect_epoch_node *out);
const char *elect_leader_parse(struct pf_bytes node, struct elect_leader *out);
const char *elect_master_parse(struct pf_bytes node, struct pf_str instance,
                               struct elect_peer *out);
struct pf_bytes elect_epoch_put(struct pf_elect *e, struct pf_uuid incarnation, uint64_t epoch,
                                const char *cluster);
struct pf_bytes elect_leader_put(struct pf_elect *e, uint64_t epoch);
struct pf_bytes elect_master_put(struct pf_elect *e);

/* elect_setup.c */
void elect_setup_pump(struct pf_elect *e);
void elect_setup_reply(struct pf_elect *e, uint64_t seq, const struct pf_zk_reply *r);
void elect_setup_lost(struct pf_elect *e, uint8_t session);
/* /epoch was read, for a set-up that may wait for it. */
void elect_setup_epoch(struct pf_elect *e, bool is_there);
/* /masters is gone, or /epoch is wrong. */
void elect_setup_again(struct pf_elect *e, const char *why);
void elect_place_pump(struct pf_elect *e);
void elect_place_reply(struct pf_elect *e, uint64_t seq, const struct pf_zk_reply *r);
void elect_place_set_reply(struct pf_elect *e, uint64_t seq, const struct pf_zk_reply *r);
void elect_place_gone(struct pf_elect *e, const char *why);

/* elect_read.c */
void elect_look_again(struct elect_look *l, bool blocks);
void elect_read_all(struct pf_elect *e, bool blocks);
/* It came or went, and with it the watches of looks that it answered. */
void elect_read_session(struct pf_elect *e, uint8_t session);
void elect_read_pump(struct pf_elect *e);
int64_t elect_read_deadline(const struct pf_elect *e);
void elect_epoch_reply(struct pf_elect *e, uint64_t seq, const struct pf_zk_reply *r);
void elect_leader_reply(struct pf_elect *e, uint64_t seq, const struct pf_zk_reply *r);
void elect_masters_reply(struct pf_elect *e, uint64_t seq, const struct pf_zk_reply *r);
void elect_master_reply(struct pf_elect *e, uint64_t seq, const struct pf_zk_reply *r);
void elect_read_watch(struct pf_elect *e, const struct pf_zk_watch *w);
const struct elect_peer *elect_peer_of(const struct pf_elect *e, const char *instance);
void elect_view_changed(struct pf_elect *e);

/* elect_take.c */
bool elect_leader_is_own(const struct pf_elect *e);
void elect_take_pump(struct pf_elect *e);
void elect_take_reply(struct pf_elect *e, uint64_t seq, const struct pf_zk_reply *r);
void elect_release_reply(struct pf_elect *e, uint64_t seq, const struct pf_zk_reply *r);
int64_t elect_take_deadline(const struct pf_elect *e);

/* elect_probe.c */
void elect_probe_link(struct pf_elect *e, struct pf_str instance, bool is_up);
void elect_probe_answer(struct pf_elect *e, enum pf_elect_probe result, struct pf_str instance);
void elect_probe_pump(struct pf_elect *e);
int64_t elect_probe_deadline(const struct pf_elect *e);
bool elect_probe_has_evidence(const struct pf_elect *e); /* that the known leader is dead */
/* A master proved alive that had been deposed. */
void elect_probe_alive(struct pf_elect *e);

/* elect_lease.c */
int64_t elect_lease_end(const struct pf_elect *e);
void elect_lead(struct pf_elect *e, uint8_t session, uint64_t session_id, int64_t sent_ms);
/* `is_fenced`: because another epoch stands. */
void elect_step_down(struct pf_elect *e, const char *why, bool is_fenced);
void elect_lease_check(struct pf_elect *e);
void elect_lease_pump(struct pf_elect *e);
int64_t elect_lease_deadline(const struct pf_elect *e);
void elect_lease_renewed(struct pf_elect *e, int64_t sent_ms);
void elect_renew_reply(struct pf_elect *e, uint64_t seq, const struct pf_zk_reply *r);
/* Another master leads: if that happened to us while our session lived, it is recorded. */
void elect_lease_deposed(struct pf_elect *e);

#endif
