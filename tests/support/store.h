/* SPDX-License-Identifier: Apache-2.0 */
/* A store of each kind in a directory and an image of its own, with the turns that feed it. */
#ifndef PF_TESTS_SUPPORT_STORE_H
#define PF_TESTS_SUPPORT_STORE_H

#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/base/limits.h"
#include "common/store/store.h"
#include "tests/support/test.h"

struct fixture {
    bool is_lmdb, is_remote;
    struct pf_store *behind; /* remote: where the owner stores */
    char dir[64];
    struct pf_store_image *image;
    struct pf_store *store;
    struct pf_turns *turns;
    uint64_t next_number;
};

static inline struct pf_bytes bytes_of(const char *text)
{
    return (struct pf_bytes){(const uint8_t *)text, (uint32_t)strlen(text)};
}

static inline int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline int lmdb_open_as(const struct fixture *f, const char *kind, uint32_t level,
                        struct pf_store **out, struct pf_err *err)
{
    struct pf_store_lmdb_options o = {.dir = f->dir, .kind = kind, .level = level};

    return pf_store_lmdb_open(&o, out, err);
}

static inline void behind_submit(void *ctx, const struct pf_batch *batch)
{
    struct fixture *f = ctx;
    uint64_t number = 0;

    pf_store_submit(f->behind, batch);
    assert_int_equal(pf_store_collect(f->behind, &number, NULL), 0);
    pf_store_remote_stored(f->store, number);
}

static inline void open_store(struct fixture *f)
{
    struct pf_err err = {0};

    if (f->is_remote) {
        f->behind = pf_store_memory_open(f->image);
        f->store = pf_store_remote_open(behind_submit, f, 1);
    } else if (!f->is_lmdb) {
        f->store = pf_store_memory_open(f->image);
    } else if (lmdb_open_as(f, "test", 3, &f->store, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    f->turns = pf_turns_create(PF_BATCH_MAX_BYTES, 1);
    f->next_number = 1;
}

static inline void close_store(struct fixture *f)
{
    pf_store_destroy(f->store);
    pf_store_destroy(f->behind);
    f->store = f->behind = NULL;
    pf_turns_destroy(f->turns);
    f->turns = NULL;
}

static inline void reopen(struct fixture *f)
{
    close_store(f);
    open_store(f);
}

static inline int setup(void **state, bool is_lmdb, bool is_remote)
{
    struct fixture *f = PF_NEW(struct fixture);

    f->is_lmdb = is_lmdb;
    f->is_remote = is_remote;
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/pf-store-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->image = pf_store_image_create();
    open_store(f);
    *state = f;
    return 0;
}

static inline int setup_memory(void **state)
{
    return setup(state, false, false);
}

static inline int setup_remote(void **state)
{
    return setup(state, false, true);
}

static inline int setup_lmdb(void **state)
{
    return setup(state, true, false);
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;

    close_store(f);
    pf_store_image_destroy(f->image);
    assert_int_equal(nftw(f->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
    pf_free(f);
    return 0;
}

static inline void put(struct fixture *f, uint8_t table, const char *key, const char *row)
{
    struct pf_turn *t = pf_turns_open(f->turns);
    struct pf_str copy = pf_arena_strdup(pf_turn_arena(t), pf_str(row));

    pf_turn_put(t, table, bytes_of(key), (struct pf_bytes){(const uint8_t *)copy.at, copy.len});
}

static inline void del(struct fixture *f, uint8_t table, const char *key)
{
    pf_turn_del(pf_turns_open(f->turns), table, bytes_of(key));
}

/* Waits for the outcome as a loop does. */
static inline int await(struct fixture *f, uint64_t *out_number, struct pf_err *err)
{
    int fd = pf_store_wake_fd(f->store);

    if (fd >= 0) {
        struct pollfd p = {.fd = fd, .events = POLLIN};

        assert_int_equal(poll(&p, 1, 30000), 1);
    }
    return pf_store_collect(f->store, out_number, err);
}

static inline void commit(struct fixture *f)
{
    const struct pf_batch *b = pf_turns_seal(f->turns);
    struct pf_err err = {0};
    uint64_t number = 0;

    assert_non_null(b);
    pf_store_submit(f->store, b);
    if (await(f, &number, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    assert_int_equal(number, f->next_number++);
    pf_turns_stored(f->turns, number);
}

/* Where the rows are read: a store whose owner stores has none of its own. */
static inline struct pf_store *rows_of(struct fixture *f)
{
    return f->behind ? f->behind : f->store;
}

static inline int format_row(void *ctx, uint8_t table, struct pf_bytes key, struct pf_bytes row)
{
    pf_buf_printf(ctx, "%u/%.*s=%.*s ", table, (int)key.len, (const char *)key.at, (int)row.len,
                  row.len ? (const char *)row.at : "");
    assert_int_equal((uintptr_t)row.at % 8, 0);
    return 0;
}

static inline void expect_rows(struct fixture *f, const char *expected)
{
    struct pf_buf got = {0};
    struct pf_err err = {0};

    if (pf_store_load(rows_of(f), format_row, &got, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    assert_string_equal(pf_buf_cstr(&got), expected);
    pf_buf_fini(&got);
}

#endif
