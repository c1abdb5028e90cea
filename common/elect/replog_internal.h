/* SPDX-License-Identifier: Apache-2.0 */
/* For replog*.c and their tests only. */
#ifndef PF_COMMON_ELECT_REPLOG_INTERNAL_H
#define PF_COMMON_ELECT_REPLOG_INTERNAL_H

#include "common/base/buf.h"
#include "common/base/compiler.h"
#include "common/base/sm.h"
#include "common/elect/elect.h"
#include "common/elect/replog.h"
#include "common/elect/replog_nodes.h"

enum {
    LOG_READ_WINDOW = 32,    /* log nodes being read at once */
    LOG_PART_WINDOW = 8,     /* parts of a snapshot being read at once */
    LOG_WRITE_WINDOW = 4,    /* parts being written at once; then all are waited for */
    LOG_CLEAN_OPS = 64,      /* nodes deleted at once; then they are waited for */
    LOG_HINT_MS = 100,       /* the watch fired: what was committed is being streamed meanwhile */
    LOG_PAUSE_MS = 100,      /* a session that lost its connection, until it says so */
    LOG_RETRY_MS = 1000,     /* what failed for good is tried again; doubles */
    LOG_RETRY_MAX_MS = 5000,
    LOG_NODE_MAX = 1000 << 10, /* the servers refuse 1 MiB */
    LOG_TEXT = 320,
};

enum log_follow_state {
    FOLLOW_AWAY, /* no session */
    FOLLOW_MAKE, /* the nodes are being created */
    FOLLOW_BASE,
    FOLLOW_PARTS,
    FOLLOW_HEAD,
    FOLLOW_LOG,
    FOLLOW_READY,
    FOLLOW_WAIT,    /* something is wrong: from the base again later */
    FOLLOW_STUCK,   /* of a format that this binary does not know */
    FOLLOW_LEADING, /* the leader's own batches are the log */
    FOLLOW_COUNT
};
enum log_lead_state {
    LEAD_NONE,
    LEAD_FLOWING,
    LEAD_DRAINING,  /* one failed: until all under way are answered */
    LEAD_RESOLVING, /* the head is read: which of them were committed? */
    LEAD_FENCED,
    LEAD_COUNT
};
enum log_snap_state {
    SNAP_NONE,
    SNAP_LOOK, /* what base is there, and what was left behind */
    SNAP_IDLE,
    SNAP_WRITE,
    SNAP_SWITCH,
    SNAP_VERIFY, /* /registry/base is not what it was: because of us? */
    SNAP_CLEAN,
    SNAP_COUNT
};
extern const struct pf_sm_table log_follow_table, log_lead_table, log_snap_table;

/* What a request was for: bits 48 to 55 of its id. */
enum log_ask {
    ASK_FOLLOW_MAKE = 1,
    ASK_FOLLOW_SYNC,
    ASK_FOLLOW_BASE,
    ASK_FOLLOW_PART,
    ASK_FOLLOW_HEAD,
    ASK_FOLLOW_LOG,
    ASK_LEAD_APPEND,
    ASK_LEAD_SYNC,
    ASK_LEAD_HEAD,
    ASK_SNAP_SYNC,
    ASK_SNAP_BASE,
    ASK_SNAP_CHILDREN,
    ASK_SNAP_LOGS,
    ASK_SNAP_PUT,
    ASK_SNAP_SWITCH,
    ASK_SNAP_LIST,
    ASK_SNAP_DELETE,
};

enum log_trouble { TROUBLE_LEAD, TROUBLE_FOLLOW, TROUBLE_SNAP, TROUBLE_COUNT };

/* How far a replica is. */
struct log_place {
    uint64_t number;
    bool has_last; /* batch `number` was seen: `last` is what the head has to say of it */
    struct log_head last;
    struct log_base base; /* that was begun with, or that we made since */
    uint64_t log_bytes;   /* of the log nodes since then */
};

struct log_session {
    bool is_connected;
    int64_t pause_until_ms;
};

struct log_retry {
    int64_t at_ms; /* 0: nothing to wait for */
    int64_t gap_ms;
};

struct log_follow {
    struct pf_sm sm;
    uint8_t session;
    uint64_t since; /* answers to earlier requests do not count */
    bool is_made;   /* the nodes were created, or were there */
    bool is_based;  /* the target is what the log tells up to its place */
    struct pf_replica *build; /* from the base anew, beside the rows that were told; NULL: not */
    struct log_place place;   /* of build */
    struct log_base missed;   /* a node after it was missing; if it is still the base: damage */
    bool has_missed;
    uint32_t n_made, n_bases;
    bool is_bad_sync, is_asked;
    bool again; /* CATCH_UP while the log was being read */
    bool is_dirty;
    int64_t dirty_at_ms;
    struct log_head head;
    uint32_t part_asked, part_got, rows_got, crc;
    uint64_t log_asked, log_got;
    struct log_retry retry;
};

struct log_slot {
    uint64_t batch; /* as the turns number it */
    uint64_t number; /* of the log, 0: only a fence */
    struct log_head head;
    struct pf_bytes node; /* owned */
    uint32_t n_rows;
    int64_t submitted_ms, sent_ms;
    uint64_t seq; /* outstanding, 0 = none */
    bool is_done;
};

struct log_lead {
    struct pf_sm sm;
    int32_t epoch_version;
    uint64_t epoch;
    uint8_t owner, session;
    bool was_ready;
    struct log_slot slot[PF_REPLOG_DEPTH]; /* in order of submission */
    uint32_t n_slots, n_under_way;
    uint64_t ask_seq;
    bool is_bad_sync;
    int64_t renewed_ms;
    struct log_retry retry;
};

struct log_snap {
    struct pf_sm sm;
    uint8_t session;
    uint64_t since;
    uint32_t n_pending; /* requests without an answer */
    bool was_asked;     /* something was: when all is answered, that is what to go on with */
    bool has_failed;    /* one of them */
    bool is_gone;       /* the folder that is being written */
    int64_t sent_ms;
    int32_t base_version;
    struct log_base base;          /* as it stands */
    struct log_base next;          /* being written */
    struct pf_replica_cut *cut;
    uint32_t *part_from;           /* first row of each part, and the end */
    uint32_t item;                 /* 0: the folder, i: part i - 1; the first of the window */
    uint32_t next_crc;             /* of next, with the window's parts */
    uint64_t cut_log_bytes;
    uint64_t *log_left;            /* numbers of the log nodes that are there */
    uint32_t n_log_left;
    struct pf_ptrs folders, paths; /* char *: to be cleaned */
    uint32_t path_i, path_n;       /* of paths: next, being deleted */
    struct log_retry retry;
};

struct pf_replog {
    struct pf_outbox *out;
    struct pf_rng rng;
    struct pf_fb_builder builder;
    uint64_t seed;
    uint32_t format_min, format_max, log_nodes, log_bytes;
    int64_t now_ms;
    uint64_t seq;
    struct log_session session[PF_ZK_SESSIONS];
    struct pf_replica *rows; /* as they were told */
    struct log_place place;
    struct log_follow follow;
    struct log_lead lead;
    struct log_snap snap;
    char trouble[TROUBLE_COUNT][LOG_TEXT];
    struct pf_replog_stats stats;
};

/* replog.c */
void log_move(struct pf_sm *sm, uint32_t next, const char *why);
static inline bool log_is(const struct pf_sm *sm, uint32_t state)
{
    return sm->state == state;
}
bool log_usable(const struct pf_replog *l, uint8_t session);
/* `preferred` if it is connected, else another, else -1. */
int log_session(const struct pf_replog *l, uint8_t preferred);
/* Returns the number of the request, which its reply will carry. */
uint64_t log_send(struct pf_replog *l, enum log_ask ask, uint8_t session, uint32_t n_ops,
                  const struct pf_zk_op *op);
void log_sync(struct pf_replog *l, enum log_ask ask, uint8_t session);
static inline bool log_is_lost(enum pf_zk_code code)
{
    return code == PF_ZK_UNKNOWN || code == PF_ZK_NOT_SENT;
}
/* Later each time, until reset. */
void log_retry_later(const struct pf_replog *l, struct log_retry *r);
static inline bool log_retry_is_due(const struct pf_replog *l, const struct log_retry *r)
{
    return l->now_ms >= r->at_ms;
}
void log_set_trouble(struct pf_replog *l, enum log_trouble t, const char *fmt, ...)
    PF_PRINTF(3, 4);
void log_clear_trouble(struct pf_replog *l, enum log_trouble t);
/* Which sees to it that no requests are sent by one that leads no more. */
struct pf_zk_op log_check_epoch(const struct pf_replog *l);
/* An answer to a multi that begins with log_check_epoch(). */
bool log_is_refused(const struct pf_zk_reply *r);

/* replog_follow.c */
void log_follow_reply(struct pf_replog *l, enum log_ask ask, uint64_t seq,
                      const struct pf_zk_reply *r);
void log_follow_hint(struct pf_replog *l);
void log_follow_session(struct pf_replog *l, uint8_t session);
void log_follow_streamed(struct pf_replog *l, uint64_t number, struct pf_bytes node);
void log_follow_catch_up(struct pf_replog *l);
void log_follow_lead(struct pf_replog *l);
void log_follow_stop(struct pf_replog *l);
void log_follow_pump(struct pf_replog *l);
int64_t log_follow_deadline(const struct pf_replog *l);
void log_follow_fini(struct pf_replog *l);

/* For replog_base.c. */
void log_drop_build(struct log_follow *f);
/* Answers to what was asked before do not count any more. */
void log_forget_asked(struct pf_replog *l);
void log_follow_trouble(struct pf_replog *l, const char *path, const char *what);
void log_follow_get(struct pf_replog *l, enum log_ask ask, struct pf_str path, bool watch);
void log_begin_head(struct pf_replog *l, const char *why);
void log_node_missing(struct pf_replog *l, const char *path);

/* replog_base.c */
void log_begin_make(struct pf_replog *l);
void log_begin_base(struct pf_replog *l, const char *why);
void log_on_made(struct pf_replog *l, const struct pf_zk_reply *r);
void log_on_base(struct pf_replog *l, const struct pf_zk_reply *r);
void log_on_part(struct pf_replog *l, const struct pf_zk_reply *r);
void log_parts_ask_more(struct pf_replog *l);

/* replog_lead.c */
void log_lead_begin(struct pf_replog *l, const struct pf_replog_event *ev);
void log_lead_submit(struct pf_replog *l, const struct pf_batch *batch);
void log_lead_stop(struct pf_replog *l);
void log_lead_reply(struct pf_replog *l, enum log_ask ask, uint64_t seq,
                    const struct pf_zk_reply *r);
void log_lead_pump(struct pf_replog *l);
int64_t log_lead_deadline(const struct pf_replog *l);
void log_lead_check(const struct pf_replog *l);
void log_fence(struct pf_replog *l, const char *why);
/* A fenced multi sent at `sent_ms` was acknowledged. */
void log_renewed(struct pf_replog *l, int64_t sent_ms);

/* replog_snapshot.c, replog_clean.c */
void log_snap_begin(struct pf_replog *l);
void log_snap_stop(struct pf_replog *l);
void log_snap_reply(struct pf_replog *l, enum log_ask ask, const struct pf_zk_reply *r);
void log_snap_pump(struct pf_replog *l);
int64_t log_snap_deadline(const struct pf_replog *l);
void log_snap_check(const struct pf_replog *l);
void log_clean_children(struct pf_replog *l, const struct pf_zk_reply *r);
void log_clean_logs(struct pf_replog *l, const struct pf_zk_reply *r);
/* All of that is known: what the base does not need goes. */
void log_clean_left_behind(struct pf_replog *l);
void log_clean_range(struct pf_replog *l, uint64_t from, uint64_t to);
void log_clean_folder(struct pf_replog *l, const char *snapshot);
void log_clean_pump(struct pf_replog *l);
void log_clean_reply(struct pf_replog *l, enum log_ask ask, const struct pf_zk_reply *r);
void log_clean_forget(struct pf_replog *l);
/* Whether the request of this answer failed; then it is noted, and told unless it was just lost. */
bool log_snap_failed(struct pf_replog *l, const struct pf_zk_reply *r, const char *doing);

#endif
