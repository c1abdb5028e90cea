/* SPDX-License-Identifier: Apache-2.0 */
/* Durable rows: tables of key -> row, changed by numbered atomic batches. Implementations: LMDB
 * (common/store/lmdb.c) and memory (common/store/memory.c, for tests and simulated agents); both
 * pass tests/unit/test_store.c. Calls come from one thread; LMDB commits on a thread of its own and
 * tells by a descriptor. One batch in flight. Batches never fail one by one: after a failure the
 * store answers nothing but that failure, so nobody sees k fail and k+1 succeed. */
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
};

/* All rows, before the first submit. */
PF_MUST_USE static inline int pf_store_load(struct pf_store *s, pf_store_row_fn *on_row, void *ctx,
                                            struct pf_err *err)
{
    return s->ops->load(s, on_row, ctx, err);
}
/* Starts to store; the batch is borrowed until collect reports its number. Asserts that none is in
 * flight. */
static inline void pf_store_submit(struct pf_store *s, const struct pf_batch *batch)
{
    s->ops->submit(s, batch);
}
/* The number of the batch that became durable since the last call, 0 = none yet. Negative: storing
 * failed for good (PF_ENOSPC, PF_EIO, ...), err says why. */
PF_MUST_USE static inline int pf_store_collect(struct pf_store *s, uint64_t *out_number,
                                               struct pf_err *err)
{
    return s->ops->collect(s, out_number, err);
}
/* Readable when collect has something; -1: collect right after submit (memory). */
static inline int pf_store_wake_fd(const struct pf_store *s)
{
    return s->ops->wake_fd(s);
}
/* Waits for the batch in flight, then closes. NULL is fine. */
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

#endif
