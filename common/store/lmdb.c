/* SPDX-License-Identifier: Apache-2.0 */
/* Batches over LMDB. A commit waits for the disk, so it runs on a thread of its own; the caller's
 * loop hears of it by an eventfd. No WRITEMAP: a stray pointer must not write into the registry,
 * and a full disk must be an error, not SIGBUS. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/base/limits.h"
#include "common/store/lmdb_internal.h"
#include "common/sys/clock.h"

enum { THREAD_STACK_BYTES = 1 << 20, FREE_MIN_BYTES = 4 << 20 };

/* The map may double up to this; beyond it the disk is the limit we mean. */
#define MAP_MAX_BYTES (UINT64_C(1) << 40)

static struct lmdb_store *store_of(const struct pf_store *s)
{
    return PF_CONTAINER(s, struct lmdb_store, base);
}

bool lmdb_disk_is_full(const struct lmdb_store *s, int rc)
{
    struct statvfs fs;

    if (rc == ENOSPC || rc == EDQUOT) {
        return true;
    }
    return rc == EIO && statvfs(s->dir, &fs) == 0 &&
           (uint64_t)fs.f_bavail * fs.f_frsize < FREE_MIN_BYTES;
}

int lmdb_err_set(const struct lmdb_store *s, struct pf_err *err, int rc, const char *doing)
{
    if (lmdb_disk_is_full(s, rc)) {
        rc = ENOSPC;
    }
    if (rc > 0) {
        return pf_err_set_sys(err, pf_err_from_errno(rc), rc, "%s %s", doing, s->data_path);
    }
    switch (rc) {
    case MDB_INVALID: return pf_err_set(err, PF_EPROTO, "%s is not an LMDB file", s->data_path);
    case MDB_VERSION_MISMATCH:
        return pf_err_set(err, PF_EVERSION, "%s is of another version of LMDB", s->data_path);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
        return pf_err_set(err, PF_EPROTO, "%s is damaged: %s", s->data_path, mdb_strerror(rc));
    default: return pf_err_set(err, PF_EIO, "%s %s: %s", doing, s->data_path, mdb_strerror(rc));
    }
}

/* --- the store thread ----------------------------------------------------------------------- */

static int batch_apply(struct lmdb_store *s, MDB_txn *txn, const struct pf_row_op *op)
{
    uint8_t name[1 + PF_STORE_KEY_MAX_BYTES];
    MDB_val key = {1 + (size_t)op->key.len, name};
    MDB_val row = {op->row.len, (void *)(uintptr_t)op->row.at};
    int rc;

    PF_ASSERT(op->table >= 1 && op->table <= PF_STORE_TABLES_MAX);
    PF_ASSERT(op->key.len >= 1 && op->key.len <= PF_STORE_KEY_MAX_BYTES);
    name[0] = op->table;
    memcpy(name + 1, op->key.at, op->key.len);
    if (!op->is_del) {
        return mdb_put(txn, s->dbi, &key, &row, 0);
    }
    rc = mdb_del(txn, s->dbi, &key, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* One attempt; 0, an errno or MDB_*. */
static int batch_try(struct lmdb_store *s, const struct pf_batch *batch)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(s->env, NULL, 0, &txn);

    if (rc) {
        return rc;
    }
    for (uint32_t i = 0; i < batch->n_ops && !rc; i++) {
        rc = batch_apply(s, txn, &batch->op[i]);
    }
    if (rc) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

static bool map_grow(struct lmdb_store *s, int *out_rc)
{
    if (s->map_bytes >= MAP_MAX_BYTES || s->map_bytes > SIZE_MAX / 2) {
        return false;
    }
    *out_rc = lmdb_set_map(s, s->map_bytes * 2);
    return *out_rc == 0;
}

/* Stores the batch whatever it takes: a bigger map, the room of the ballast. */
static int batch_store(struct lmdb_store *s, const struct pf_batch *batch, struct pf_err *err)
{
    for (;;) {
        int rc = batch_try(s, batch);

        if (rc == 0) {
            return 0;
        }
        if (rc == MDB_MAP_FULL && map_grow(s, &rc)) {
            continue;
        }
        if (!lmdb_disk_is_full(s, rc) || !s->has_ballast) {
            return lmdb_err_set(s, err, rc, "writing");
        }
        s->has_ballast = false;
        if (unlink(s->ballast_path) != 0 && errno != ENOENT) {
            return pf_err_set_sys(err, PF_ENOSPC, errno, "disk full; removing %s", s->ballast_path);
        }
    }
}

static void wake(const struct lmdb_store *s)
{
    const uint64_t one = 1;

    (void)!write(s->wake_fd, &one, sizeof one); /* fails only when it is readable anyway */
}

/* Commits `batch` and notes the outcome. Called and returns with the mutex held. */
static void thread_commit(struct lmdb_store *s, const struct pf_batch *batch)
{
    struct pf_err failure = {0};
    uint64_t us, number = batch->number;
    int64_t start_us;
    int rc;

    (void)pthread_mutex_unlock(&s->mutex);
    start_us = pf_now_us();
    rc = batch_store(s, batch, &failure);
    us = (uint64_t)(pf_now_us() - start_us);
    (void)pthread_mutex_lock(&s->mutex);
    s->stats.map_bytes = s->map_bytes;
    s->stats.ballast_spent = !s->has_ballast && !s->no_sync;
    if (rc < 0) {
        s->failure = failure;
    } else {
        s->stats.n_batches++;
        s->stats.n_rows += batch->n_ops;
        s->stats.bytes += batch->bytes;
        s->stats.commit_us_sum += us;
        s->stats.commit_us_max = us > s->stats.commit_us_max ? us : s->stats.commit_us_max;
        s->done = number;
    }
    wake(s);
}

static void *thread_main(void *ctx)
{
    struct lmdb_store *s = ctx;

    (void)pthread_mutex_lock(&s->mutex);
    for (;;) {
        const struct pf_batch *batch = s->job;

        if (batch) {
            s->job = NULL;
            thread_commit(s, batch);
        } else if (s->stop) {
            break;
        } else {
            (void)pthread_cond_wait(&s->work, &s->mutex);
        }
    }
    (void)pthread_mutex_unlock(&s->mutex);
    return NULL;
}

/* Signals belong to the caller's thread. */
static int thread_start(struct lmdb_store *s)
{
    pthread_attr_t attr;
    sigset_t all, before;
    int rc = pthread_attr_init(&attr);

    if (rc) {
        return rc;
    }
    (void)sigfillset(&all);
    (void)pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&s->thread, &attr, thread_main, s);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    s->has_thread = rc == 0;
    return rc;
}

/* --- the caller's thread -------------------------------------------------------------------- */

/* Rows are handed out in aligned memory, which pages of the map do not give. */
static int load_rows(MDB_cursor *cursor, pf_store_row_fn *on_row, void *ctx, int *out_refused)
{
    uint8_t first[] = {1};
    MDB_val key = {sizeof first, first}, value;
    struct pf_buf row = {0};
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);

    while (rc == 0 && *out_refused == 0) {
        const uint8_t *name = key.mv_data;
        int answer;

        pf_buf_clear(&row);
        pf_buf_add(&row, value.mv_data, value.mv_size);
        answer = on_row(ctx, name[0], (struct pf_bytes){name + 1, (uint32_t)key.mv_size - 1},
                        (struct pf_bytes){row.data, (uint32_t)row.len});
        if (answer < 0) {
            *out_refused = answer;
        } else {
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        }
    }
    pf_buf_fini(&row);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int lmdb_load(struct pf_store *store, pf_store_row_fn *on_row, void *ctx, struct pf_err *err)
{
    struct lmdb_store *s = store_of(store);
    MDB_txn *txn = NULL;
    MDB_cursor *cursor = NULL;
    int refused = 0, rc;

    PF_ASSERT(!s->has_thread);
    rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
    if (!rc) {
        rc = mdb_cursor_open(txn, s->dbi, &cursor);
    }
    if (!rc) {
        rc = load_rows(cursor, on_row, ctx, &refused);
    }
    if (cursor) {
        mdb_cursor_close(cursor);
    }
    if (txn) {
        mdb_txn_abort(txn);
    }
    if (rc) {
        return lmdb_err_set(s, err, rc, "reading");
    }
    if (refused < 0 && err && !err->code) {
        (void)pf_err_set(err, refused, "a row of %s was not accepted", s->data_path);
    }
    return refused;
}

static void lmdb_submit(struct pf_store *store, const struct pf_batch *batch)
{
    struct lmdb_store *s = store_of(store);
    int rc = s->has_thread ? 0 : thread_start(s);

    (void)pthread_mutex_lock(&s->mutex);
    if (rc && !s->failure.code) {
        (void)pf_err_set_sys(&s->failure, PF_ENOMEM, rc, "starting the store's thread");
    }
    if (s->failure.code) {
        wake(s);
    } else {
        PF_ASSERT(!s->in_flight);
        s->in_flight = true;
        if (batch->n_ops > 0) {
            s->job = batch;
            (void)pthread_cond_signal(&s->work);
        } else { /* a fence: nobody else can write here */
            s->done = batch->number;
            wake(s);
        }
    }
    (void)pthread_mutex_unlock(&s->mutex);
}

static int lmdb_collect(struct pf_store *store, uint64_t *out_number, struct pf_err *err)
{
    struct lmdb_store *s = store_of(store);
    struct pf_err failure;
    uint64_t count, number;

    (void)!read(s->wake_fd, &count, sizeof count); /* empty: nothing has ended */
    (void)pthread_mutex_lock(&s->mutex);
    failure = s->failure;
    number = s->done;
    s->done = 0;
    (void)pthread_mutex_unlock(&s->mutex);
    if (failure.code) {
        if (err) {
            PF_ASSERT(err->code == 0);
            *err = failure;
        }
        return failure.code;
    }
    if (number) {
        s->in_flight = false;
    }
    *out_number = number;
    return 0;
}

static int lmdb_wake_fd(const struct pf_store *store)
{
    return store_of(store)->wake_fd;
}

static void lmdb_destroy(struct pf_store *store)
{
    struct lmdb_store *s = store_of(store);

    if (s->has_thread) {
        (void)pthread_mutex_lock(&s->mutex);
        s->stop = true;
        (void)pthread_cond_signal(&s->work);
        (void)pthread_mutex_unlock(&s->mutex);
        (void)pthread_join(s->thread, NULL);
    }
    lmdb_dir_close(s);
    if (s->wake_fd >= 0) {
        (void)close(s->wake_fd);
    }
    (void)pthread_cond_destroy(&s->work);
    (void)pthread_mutex_destroy(&s->mutex);
    pf_free(s);
}

static const struct pf_store_ops lmdb_ops = {
    .load = lmdb_load,
    .submit = lmdb_submit,
    .collect = lmdb_collect,
    .wake_fd = lmdb_wake_fd,
    .destroy = lmdb_destroy,
};

int pf_store_lmdb_open(const struct pf_store_lmdb_options *o, struct pf_store **out,
                       struct pf_err *err)
{
    struct lmdb_store *s = PF_NEW(struct lmdb_store);
    int rc = 0;

    s->base = (struct pf_store){.ops = &lmdb_ops, .depth = 1};
    s->lock_fd = -1;
    (void)pthread_mutex_init(&s->mutex, NULL); /* default ones cannot fail on Linux */
    (void)pthread_cond_init(&s->work, NULL);
    s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (s->wake_fd < 0) {
        rc = pf_err_set_sys(err, pf_err_from_errno(errno), errno, "making an eventfd");
    } else {
        rc = lmdb_dir_open(s, o, err);
    }
    if (rc < 0) {
        lmdb_destroy(&s->base);
        return rc;
    }
    *out = &s->base;
    return 0;
}

void pf_store_lmdb_stats(const struct pf_store *store, struct pf_store_stats *out)
{
    struct lmdb_store *s = store_of(store);

    PF_ASSERT(store->ops == &lmdb_ops);
    (void)pthread_mutex_lock(&s->mutex);
    *out = s->stats;
    (void)pthread_mutex_unlock(&s->mutex);
}
