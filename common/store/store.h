/* SPDX-License-Identifier: Apache-2.0 */
/* Durable rows: tables of key -> row, changed by numbered atomic batches. Implementations: LMDB
 * (common/store/lmdb.c), memory (common/store/memory.c, for tests and simulated agents) and one
 * whose owner does the storing (common/store/remote.c: a registry over ZooKeeper); all pass
 * tests/unit/test_store.c. Calls come from one thread; LMDB commits on a thread of its own and
 * tells by a descriptor. At most `depth` batches are in flight. They are stored in order and never
 * fail one by one: after a failure the store answers nothing but that failure, so nobody sees k
 * fail and k+1 succeed. A batch without rows is a fence: stored once those before it are. */
#ifndef PF_COMMON_STORE_STORE_H
#define PF_COMMON_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/err.h"
#include "common/turn/turn.h"

struct pf_store;

/* Called for each row at load, in key order within a table, tables in rising order. Borrowed for
 * the call. A negative return ends the load with that code. */
typedef int pf_store_row_fn(void *ctx, uint8_t table, struct pf_bytes key, struct pf_bytes row);

struct pf_store_ops {
    int (*load)(struct pf_store *s, pf_store_row_fn *on_row, void *ctx, struct pf_err *err);
    void (*submit)(struct pf_store *s, const struct pf_batch *batch);
    int (*collect)(struct pf_store *s, uint64_t *out_number, struct pf_err *err);
    int (*wake_fd)(const struct pf_store *s);
    void (*destroy)(struct pf_store *s);
};

struct pf_store {
    const struct pf_store_ops *ops;
    uint32_t depth;
};

/* What pf_store_wake_fd says where there is no descriptor. */
enum {
    PF_STORE_WAKE_AT_ONCE = -1, /* collect right after submit */
    PF_STORE_WAKE_OWNER = -2,   /* the store's owner says when to collect */
};

/* How many batches may be in flight: 1 for LMDB and memory. */
static inline uint32_t pf_store_depth(const struct pf_store *s)
{
    return s->depth;
}

/* All rows, before the first submit. */
PF_MUST_USE static inline int pf_store_load(struct pf_store *s, pf_store_row_fn *on_row, void *ctx,
                                            struct pf_err *err)
{
    return s->ops->load(s, on_row, ctx, err);
}
/* Starts to store; the batch is borrowed until collect reports its number. Asserts that there is
 * room for it. */
static inline void pf_store_submit(struct pf_store *s, const struct pf_batch *batch)
{
    s->ops->submit(s, batch);
}
/* The number of the newest batch that became durable since the last call (so did those before it),
 * 0 = none yet. Negative: storing failed for good (PF_ENOSPC, PF_EIO, ...), err says why. */
PF_MUST_USE static inline int pf_store_collect(struct pf_store *s, uint64_t *out_number,
                                               struct pf_err *err)
{
    return s->ops->collect(s, out_number, err);
}
/* Readable when collect has something; or PF_STORE_WAKE_*. */
static inline int pf_store_wake_fd(const struct pf_store *s)
{
    return s->ops->wake_fd(s);
}
/* Waits for the batch in flight (LMDB), then closes. NULL is fine. */
static inline void pf_store_destroy(struct pf_store *s)
{
    if (s) {
        s->ops->destroy(s);
    }
}

/* LMDB in directory `dir` (made if missing, mode 0700): data.mdb, lock.mdb and a ballast file of
 * 16 MiB that is given up when the disk is full. `kind` ("registry", "agent") and the schema level
 * are stamped at creation; another kind, a newer level, a network filesystem, a torn file or a
 * second holder are refused with the reason. */
struct pf_store_lmdb_options {
    const char *dir;
    const char *kind;
    uint32_t level;
    bool no_sync; /* only for simulated agents and benchmarks */
};
PF_MUST_USE int pf_store_lmdb_open(const struct pf_store_lmdb_options *o, struct pf_store **out,
                                   struct pf_err *err);

/* Metrics of an LMDB store since open. */
struct pf_store_stats {
    uint64_t n_batches, n_rows, bytes;
    uint64_t commit_us_sum, commit_us_max;
    uint64_t map_bytes;
    bool ballast_spent; /* the disk was full once */
};
void pf_store_lmdb_stats(const struct pf_store *s, struct pf_store_stats *out);

/* Memory. `*_image` shares the rows of a store that "crashed" with its successor in tests: the
 * image holds what was durable. */
struct pf_store_image;
struct pf_store_image *pf_store_image_create(void);
void pf_store_image_destroy(struct pf_store_image *image);
struct pf_store *pf_store_memory_open(struct pf_store_image *image); /* NULL: an own, empty one */
/* Test hook: the commit of batch `number` fails with `code`. */
void pf_store_memory_fail_at(struct pf_store *s, uint64_t number, int code);

/* A store whose owner does the storing. `on_submit` gets each batch, inside pf_store_submit; it is
 * borrowed until it was told stored and collected, or the store is destroyed (then the owner has
 * forgotten it). Nothing to load: the rows come another way. `depth`: 1..PF_TURN_IN_FLIGHT_MAX. */
typedef void pf_store_submit_fn(void *ctx, const struct pf_batch *batch);
struct pf_store *pf_store_remote_open(pf_store_submit_fn *on_submit, void *ctx, uint32_t depth);
/* Batch `number`, the oldest in flight, is durable; may be said inside on_submit. The owner has it
 * collected (pf_engine_collect). Ignored after a failure. */
void pf_store_remote_stored(struct pf_store *s, uint64_t number);
/* Nothing more is stored; `why` has a code. The first reason stays. */
void pf_store_remote_failed(struct pf_store *s, const struct pf_err *why);

#endif
