/* SPDX-License-Identifier: Apache-2.0 */
/* A world for registry logs: a tree, a few masters with two sessions each, a clock that tests move,
 * and the truth: what the tree has committed, decoded independently of the module. A connection
 * that is lost may lose requests, their answers, or delay them until after it.
 *
 * Every batch carries a row of its own in table 2, by which the truth knows it. Checked all along:
 * the log is contiguous, each batch is committed at most once and in the order of its leader's
 * submissions, STORED is told in order and only of what is committed. */
#ifndef PF_TESTS_SUPPORT_REPLOG_WORLD_H
#define PF_TESTS_SUPPORT_REPLOG_WORLD_H

#include "common/base/rng.h"
#include "common/elect/effect.h"
#include "common/elect/replog.h"
#include "tests/support/zk_tree.h"

enum { RW_MASTERS = 8, RW_SESSIONS = 2 };

/* What becomes of the requests of a connection that is lost. */
enum rw_loss {
    RW_DROP,  /* none of them is carried out */
    RW_DO,    /* all are, their answers are lost */
    RW_LATE,  /* all are, but later: see rw_late() */
    RW_SOME,  /* by the dice: some done, some late, the rest dropped */
};

struct rw_session {
    bool is_connected;
    struct pf_ptrs queue;   /* struct rw_request *: sent */
    struct pf_ptrs answers; /* struct rw_answer *: carried out, not delivered */
    bool has_watch;         /* on /registry/head */
    bool is_due;            /* it fired */
};

struct rw_master {
    bool is_used;
    uint32_t index;
    struct pf_replog *log;
    struct pf_outbox out;
    struct pf_replica *core; /* what a core would know by ROW, while it follows */
    struct rw_session session[RW_SESSIONS];
    bool is_deaf;       /* nothing is streamed to it */
    bool leads;
    uint32_t reign;     /* counts all leaderships of the world */
    uint64_t submitted, stored;
    uint32_t fatal, streams, told; /* how many FATAL, STREAM, ROW */
    char said[512];
};

/* One submitted batch with rows. */
struct rw_batch {
    uint32_t reign;
    uint64_t number; /* of the turns */
    bool is_committed, is_stored;
};

struct rw {
    struct zk_tree tree;
    struct pf_rng rng;
    int64_t now_ms;
    uint32_t log_nodes, log_bytes;
    struct rw_master master[RW_MASTERS];
    struct pf_replica *truth;
    uint64_t head; /* committed */
    struct rw_batch *batch;
    uint32_t n_batches, cap_batches, n_committed;
    uint32_t last_committed_reign;
    uint64_t last_committed_number;
    struct pf_ptrs late; /* struct rw_request *: carried out some time, answered never */
    uint32_t n_reigns;
    bool is_shuffled;      /* by the dice, whose request comes next; else in order */
    bool is_slow;          /* answers are not delivered for now */
    bool is_free;          /* batches need no row of table 2 */
    bool is_quick;         /* no checks after each step */
    uint64_t n_requests;   /* carried out for masters */
    /* Before (is_after: behind) this request its master dies, and `loss` says what becomes of those
     * behind it; 0: never. */
    uint64_t stop_at;
    bool is_after;
    uint32_t died;         /* of that: index + 1, 0: nobody */
    uint64_t lose_at;      /* likewise its session loses its connection, as `loss` says */
    enum rw_loss loss;
    void (*on_request)(struct rw *w, uint32_t m, const struct pf_zk_request *q); /* before it */
    uint64_t ctx;
    struct pf_replog_stats sum; /* of the dead */
};

struct rw *rw_create(uint64_t seed, uint32_t log_nodes, uint32_t log_bytes);
void rw_destroy(struct rw *w);
/* A new master, whose main session is connected. */
uint32_t rw_add(struct rw *w);
uint32_t rw_add_format(struct rw *w, uint32_t format_min, uint32_t format_max);
void rw_kill(struct rw *w, uint32_t m, enum rw_loss loss);
void rw_connect(struct rw *w, uint32_t m, uint8_t session);
void rw_lose(struct rw *w, uint32_t m, uint8_t session, enum rw_loss loss);
/* Carries out one request, or delivers one answer, watch or ...; false: nothing is under way. */
bool rw_one(struct rw *w);
void rw_run(struct rw *w);
/* rw_run(), and so much time passes. */
void rw_advance(struct rw *w, int64_t ms);
/* One of the late requests is carried out now; false: there is none. */
bool rw_late(struct rw *w);

/* Takes /epoch over and leads, as elect would: false if the log was not read to its head. */
bool rw_lead(struct rw *w, uint32_t m, uint8_t session);
void rw_stop(struct rw *w, uint32_t m);
void rw_catch_up(struct rw *w, uint32_t m);
void rw_stream(struct rw *w, uint32_t m, uint64_t number, struct pf_bytes node);
/* Leader: `n_rows` puts by the dice (some are dels) of at most `row_bytes`; 0 rows: a fence. False:
 * it leads no more, or all slots are taken. */
bool rw_submit(struct rw *w, uint32_t m, uint32_t n_rows, uint32_t row_bytes);
/* The same with a batch of the caller's. */
void rw_give(struct rw *w, uint32_t m, const struct pf_batch *batch);
/* Batches of `m` that are not stored. */
uint32_t rw_open(const struct rw *w, uint32_t m);
/* The master is ready, and core and replica have exactly the truth. */
void rw_check_equal(struct rw *w, uint32_t m);
/* What is in the tree is what the base needs, and nothing else. */
void rw_check_clean(struct rw *w);
/* The living count as well, from now on. */
void rw_sum(struct rw *w);
struct pf_replog *rw_log(struct rw *w, uint32_t m);

#endif
