/* SPDX-License-Identifier: Apache-2.0 */
/* One conformance test for all stores: each test runs against the memory store, LMDB, and a store
 * whose owner (here: one with another memory store) does the storing. What only LMDB has (files,
 * locks, the growing map, disk errors) follows. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/base/limits.h"
#include "common/base/map.h"
#include "common/base/rng.h"
#include "tests/support/store.h"

/* The simulated device: what the kernel would say of a filesystem, and of syncing a file. */
static bool statfs_says_nfs, fdatasync_fails;

int statfs(const char *path, struct statfs *out)
{
    long rc = syscall(SYS_statfs, path, out);

    if (rc == 0 && statfs_says_nfs) {
        out->f_type = NFS_SUPER_MAGIC;
    }
    return (int)rc;
}

__attribute__((visibility("default"))) int fdatasync(int fd) /* LMDB calls it */
{
    if (fdatasync_fails) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

static int end(void **state)
{
    statfs_says_nfs = fdatasync_fails = false;
    return teardown(state);
}

static void test_store_begins_empty(void **state)
{
    uint64_t number = 7;

    expect_rows(*state, "");
    assert_int_equal(pf_store_collect(((struct fixture *)*state)->store, &number, NULL), 0);
    assert_int_equal(number, 0);
}

static void test_store_keeps_rows_over_a_reopen(void **state)
{
    struct fixture *f = *state;

    put(f, 2, "b", "two");
    put(f, 1, "z", "last of one");
    put(f, 1, "a", "first");
    put(f, 32, "x", "");
    commit(f);
    put(f, 1, "ab", "prefix sorts first");
    commit(f);
    reopen(f);
    expect_rows(f, "1/a=first 1/ab=prefix sorts first 1/z=last of one 2/b=two 32/x= ");
    expect_rows(f, "1/a=first 1/ab=prefix sorts first 1/z=last of one 2/b=two 32/x= ");
}

static void test_store_overwrites_and_deletes(void **state)
{
    struct fixture *f = *state;

    put(f, 1, "a", "old");
    put(f, 1, "b", "goes");
    put(f, 2, "a", "other table");
    commit(f);
    put(f, 1, "a", "new");
    del(f, 1, "b");
    del(f, 1, "never was");
    commit(f);
    reopen(f);
    expect_rows(f, "1/a=new 2/a=other table ");
}

static void test_store_last_put_wins_within_a_batch(void **state)
{
    struct fixture *f = *state;

    put(f, 1, "a", "one");
    put(f, 1, "a", "two");
    put(f, 1, "b", "goes");
    del(f, 1, "b");
    del(f, 1, "c");
    put(f, 1, "c", "comes");
    commit(f);
    reopen(f);
    expect_rows(f, "1/a=two 1/c=comes ");
}

static int add_hash(void *ctx, uint8_t table, struct pf_bytes key, struct pf_bytes row)
{
    uint64_t *sum = ctx;

    *sum += pf_hash(key.at, key.len, table) ^ pf_hash(row.at, row.len, 1);
    return 0;
}

static void test_store_takes_any_bytes_and_the_longest_key(void **state)
{
    struct fixture *f = *state;
    uint8_t key[PF_STORE_KEY_MAX_BYTES], row[3] = {0, 0xff, 0};
    struct pf_turn *t = pf_turns_open(f->turns);
    uint64_t expected = 0, got = 0;

    memset(key, 0xff, sizeof key);
    key[0] = 0;
    pf_turn_put(t, 32, (struct pf_bytes){key, sizeof key},
                (struct pf_bytes){pf_arena_memdup(pf_turn_arena(t), row, 3), 3});
    commit(f);
    reopen(f);
    add_hash(&expected, 32, (struct pf_bytes){key, sizeof key}, (struct pf_bytes){row, 3});
    assert_int_equal(pf_store_load(rows_of(f), add_hash, &got, NULL), 0);
    assert_true(expected == got);
}

static int refuse_second(void *ctx, uint8_t table, struct pf_bytes key, struct pf_bytes row)
{
    int *n = ctx;

    (void)table;
    (void)key;
    (void)row;
    return ++*n == 2 ? PF_EPROTO : 0;
}

static void test_store_load_ends_when_a_row_is_refused(void **state)
{
    struct fixture *f = *state;
    struct pf_err err = {0};
    int n = 0;

    put(f, 1, "a", "");
    put(f, 1, "b", "");
    put(f, 1, "c", "");
    commit(f);
    reopen(f);
    assert_int_equal(pf_store_load(rows_of(f), refuse_second, &n, &err), PF_EPROTO);
    assert_int_equal(err.code, PF_EPROTO);
    assert_int_equal(n, 2);
}

static void test_store_finishes_the_batch_in_flight_when_closed(void **state)
{
    struct fixture *f = *state;

    put(f, 1, "a", "stored");
    pf_store_submit(f->store, pf_turns_seal(f->turns));
    reopen(f);
    expect_rows(f, "1/a=stored ");
}

/* Rows of up to 1 MiB, many at once, over and over: the map must grow and space be reused. */
static void test_store_takes_big_batches(void **state)
{
    struct fixture *f = *state;
    struct pf_buf big = {0}, expected = {0};
    char key[16];

    for (uint32_t i = 0; i < PF_ROW_MAX_BYTES; i++) {
        pf_buf_add_byte(&big, (uint8_t)('a' + i % 26));
    }
    for (int round = 0; round < 6; round++) {
        for (int i = 0; i < 2000; i++) {
            (void)snprintf(key, sizeof key, "small%d", i);
            put(f, 1, key, "a row of usual length, more or less");
        }
        for (int i = 0; i < 4; i++) {
            (void)snprintf(key, sizeof key, "big%d", i);
            put(f, 2, key, pf_buf_cstr(&big));
        }
        commit(f);
    }
    for (int i = 0; i < 2000; i++) {
        (void)snprintf(key, sizeof key, "small%d", i);
        del(f, 1, key);
    }
    for (int i = 1; i < 4; i++) {
        (void)snprintf(key, sizeof key, "big%d", i);
        del(f, 2, key);
    }
    commit(f);
    reopen(f);
    pf_buf_printf(&expected, "2/big0=%s ", pf_buf_cstr(&big));
    expect_rows(f, pf_buf_cstr(&expected));
    pf_buf_fini(&expected);
    pf_buf_fini(&big);
}

/* Random puts and deletes against an array of what must be there. */
static void test_store_agrees_with_a_naive_model(void **state)
{
    struct fixture *f = *state;
    enum { KEYS = 200 };
    uint32_t model[KEYS] = {0};
    struct pf_rng dice;

    pf_rng_seed(&dice, 42);
    for (int batch = 0; batch < 60; batch++) {
        uint64_t n_ops = 1 + pf_rng_below(&dice, 50), expected = 0, got = 0;

        while (n_ops-- > 0) {
            struct pf_turn *t = pf_turns_open(f->turns);
            uint32_t k = (uint32_t)pf_rng_below(&dice, KEYS);
            struct pf_bytes key = {(const uint8_t *)&k, sizeof k};

            model[k] = pf_rng_below(&dice, 3) ? 1 + (uint32_t)pf_rng_below(&dice, 900) : 0;
            if (model[k]) {
                void *row = pf_arena_zalloc(pf_turn_arena(t), model[k]);

                pf_turn_put(t, 1, key, (struct pf_bytes){row, model[k]});
            } else {
                pf_turn_del(t, 1, key);
            }
        }
        commit(f);
        if (batch % 7 == 0) {
            static const uint8_t zeros[1024];

            reopen(f);
            for (uint32_t k = 0; k < KEYS; k++) {
                if (model[k]) {
                    add_hash(&expected, 1, (struct pf_bytes){(const uint8_t *)&k, sizeof k},
                             (struct pf_bytes){zeros, model[k]});
                }
            }
            assert_int_equal(pf_store_load(rows_of(f), add_hash, &got, NULL), 0);
            assert_true(expected == got);
        }
    }
}

static void test_store_takes_a_batch_without_rows(void **state)
{
    struct fixture *f = *state;
    uint64_t n_batches = 0;

    assert_int_equal(pf_store_depth(f->store), 1);
    pf_turn_fence(pf_turns_open(f->turns));
    commit(f);
    put(f, 1, "a", "row");
    commit(f);
    pf_turn_fence(pf_turns_open(f->turns));
    commit(f);
    if (f->is_lmdb) {
        struct pf_store_stats stats;

        pf_store_lmdb_stats(f->store, &stats);
        n_batches = stats.n_batches;
        assert_int_equal(n_batches, 1); /* no transaction for a fence */
    }
    reopen(f);
    expect_rows(f, "1/a=row ");
}

static void submit_empty_key(void *ctx)
{
    struct fixture *f = ctx;
    struct pf_row_op op = {.table = 1};
    uint64_t number;

    pf_store_submit(f->store, &(struct pf_batch){.number = 1, .op = &op, .n_ops = 1});
    (void)!await(f, &number, NULL);
}

static void submit_twice(void *ctx)
{
    struct fixture *f = ctx;
    struct pf_row_op op = {.table = 1, .key = bytes_of("k")};
    struct pf_batch b = {.number = 1, .op = &op, .n_ops = 1};

    pf_store_submit(f->store, &b);
    pf_store_submit(f->store, &b);
}

static void test_store_refuses_misuse(void **state)
{
    assert_true(test_aborts(submit_empty_key, *state));
    assert_true(test_aborts(submit_twice, *state));
}

/* After batch 2 failed nothing of it is there, and nothing after it is taken. */
static void expect_sticky_failure(struct fixture *f, int code)
{
    struct pf_err err = {0};
    uint64_t number = 0;

    put(f, 1, "a", "changed");
    put(f, 1, "b", "new");
    pf_store_submit(f->store, pf_turns_seal(f->turns));
    assert_int_equal(await(f, &number, &err), code);
    assert_int_equal(err.code, code);
    assert_int_equal(number, 0);
    fdatasync_fails = false;
    pf_turns_destroy(f->turns);
    f->turns = pf_turns_create(PF_BATCH_MAX_BYTES, 1);
    put(f, 1, "c", "too late");
    pf_store_submit(f->store, pf_turns_seal(f->turns));
    assert_int_equal(await(f, &number, NULL), code);
    assert_int_equal(pf_store_collect(f->store, &number, NULL), code);
    reopen(f);
    expect_rows(f, "1/a=first ");
}

static void test_store_memory_fails_for_good(void **state)
{
    struct fixture *f = *state;

    put(f, 1, "a", "first");
    commit(f);
    pf_store_memory_fail_at(f->store, 2, PF_ENOSPC);
    expect_sticky_failure(f, PF_ENOSPC);
}

static void test_store_lmdb_fails_for_good(void **state)
{
    struct fixture *f = *state;

    put(f, 1, "a", "first");
    commit(f);
    fdatasync_fails = true;
    expect_sticky_failure(f, PF_EIO);
}

/* --- LMDB ------------------------------------------------------------------------------------- */

static void expect_refused(struct fixture *f, const char *kind, uint32_t level, int code,
                           const char *words)
{
    struct pf_store *s = NULL;
    struct pf_err err = {0};

    assert_int_equal(lmdb_open_as(f, kind, level, &s, &err), code);
    assert_null(s);
    if (!strstr(err.msg, words) || !strstr(err.msg, f->dir)) {
        fail_msg("'%s' lacks '%s' or the directory", err.msg, words);
    }
}

static void test_store_lmdb_refuses_a_second_holder(void **state)
{
    char words[48];

    (void)snprintf(words, sizeof words, "locked by process %ld", (long)getpid());
    expect_refused(*state, "test", 3, PF_EBUSY, words);
}

static void test_store_lmdb_refuses_another_kind_or_level(void **state)
{
    struct fixture *f = *state;

    close_store(f);
    expect_refused(f, "agent", 3, PF_EINVAL, "test instead of agent");
    expect_refused(f, "test", 2, PF_EVERSION, "level 3 by a newer version; this one knows 2");
}

static void test_store_lmdb_raises_the_level(void **state)
{
    struct fixture *f = *state;
    struct pf_store *s = NULL;

    put(f, 1, "a", "row");
    commit(f);
    close_store(f);
    assert_int_equal(lmdb_open_as(f, "test", 4, &s, NULL), 0);
    pf_store_destroy(s);
    expect_refused(f, "test", 3, PF_EVERSION, "level 4");
    assert_int_equal(lmdb_open_as(f, "test", 4, &f->store, NULL), 0);
    expect_rows(f, "1/a=row ");
}

static void data_path(const struct fixture *f, char *out, size_t bytes)
{
    (void)snprintf(out, bytes, "%s/data.mdb", f->dir);
}

static void test_store_lmdb_names_a_file_cut_short(void **state)
{
    struct fixture *f = *state;
    char path[96];

    for (int i = 0; i < 100; i++) {
        char key[8];

        (void)snprintf(key, sizeof key, "%d", i);
        put(f, 1, key, "some row that takes room, so that the file has several pages of rows");
    }
    commit(f);
    close_store(f);
    data_path(f, path, sizeof path);
    assert_int_equal(truncate(path, 3 * 4096), 0);
    expect_refused(f, "test", 3, PF_EPROTO, "data.mdb is cut short");
    assert_int_equal(truncate(path, 100), 0);
    expect_refused(f, "test", 3, PF_EPROTO, "data.mdb is not an LMDB file");
}

static void test_store_lmdb_names_a_foreign_file(void **state)
{
    struct fixture *f = *state;
    char path[96];
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val v = {1, (void *)(uintptr_t) "x"};
    FILE *file;

    close_store(f);
    data_path(f, path, sizeof path);
    file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 1000; i++) {
        (void)fputs("not a database\n", file);
    }
    assert_int_equal(fclose(file), 0);
    expect_refused(f, "test", 3, PF_EPROTO, "data.mdb is not an LMDB file");

    assert_int_equal(remove(path), 0);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_open(env, f->dir, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    assert_int_equal(mdb_put(txn, dbi, &v, &v, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    assert_int_equal(truncate(path, 1 << 20), 0);
    expect_refused(f, "test", 3, PF_EINVAL, "data.mdb is not a file of Proffer");
}

static void test_store_lmdb_refuses_a_network_filesystem(void **state)
{
    struct fixture *f = *state;

    close_store(f);
    statfs_says_nfs = true;
    expect_refused(f, "test", 3, PF_EINVAL, "network filesystem (nfs)");
}

static void test_store_lmdb_refuses_a_bad_directory(void **state)
{
    struct fixture *f = *state;
    char good[sizeof f->dir];

    close_store(f);
    memcpy(good, f->dir, sizeof good);
    (void)snprintf(f->dir, sizeof f->dir, "%.40s/no/such", good);
    expect_refused(f, "test", 3, PF_ENOENT, "making");
    (void)snprintf(f->dir, sizeof f->dir, "%.40s/data.mdb", good);
    expect_refused(f, "test", 3, PF_EINVAL, "data.mdb");
    memcpy(f->dir, good, sizeof good);
}

static void test_store_lmdb_makes_its_directory_private(void **state)
{
    struct fixture *f = *state;
    char good[sizeof f->dir], path[96];
    struct stat st;

    close_store(f);
    memcpy(good, f->dir, sizeof good);
    (void)snprintf(f->dir, sizeof f->dir, "%.40s/new", good);
    open_store(f);
    assert_int_equal(stat(f->dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    data_path(f, path, sizeof path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    (void)snprintf(path, sizeof path, "%s/ballast", f->dir);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_blocks * 512 >= 16 << 20);
    close_store(f);
    memcpy(f->dir, good, sizeof good);
}

static void test_store_lmdb_counts(void **state)
{
    struct fixture *f = *state;
    struct pf_store_stats before, after;

    pf_store_lmdb_stats(f->store, &before);
    assert_int_equal(before.n_batches, 0);
    assert_false(before.ballast_spent);
    for (int i = 0; i < 3; i++) {
        char key[8];
        struct pf_turn *t = pf_turns_open(f->turns);

        (void)snprintf(key, sizeof key, "%d", i);
        for (int k = 0; k < 4; k++) {
            key[1] = (char)('a' + k);
            key[2] = '\0';
            pf_turn_put(t, 1, bytes_of(key),
                        (struct pf_bytes){pf_arena_zalloc(pf_turn_arena(t), 1 << 20), 1 << 20});
        }
        commit(f);
    }
    pf_store_lmdb_stats(f->store, &after);
    assert_int_equal(after.n_batches, 3);
    assert_int_equal(after.n_rows, 12);
    assert_int_equal(after.bytes, 12 * ((1 << 20) + 2));
    assert_true(after.commit_us_max > 0);
    assert_true(after.commit_us_sum >= after.commit_us_max);
    assert_true(after.map_bytes >= before.map_bytes * 4);
}

/* A crash loses no stored batch: a child stores and is killed, we read. */
static void test_store_lmdb_survives_a_kill(void **state)
{
    struct fixture *f = *state;
    int fds[2], status;
    char byte;
    pid_t child;

    close_store(f);
    assert_int_equal(pipe(fds), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        open_store(f);
        put(f, 1, "a", "stored");
        commit(f);
        _exit(write(fds[1], "x", 1) == 1 && pause() ? 0 : 1);
    }
    assert_int_equal(read(fds[0], &byte, 1), 1);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    (void)close(fds[0]);
    (void)close(fds[1]);
    open_store(f);
    expect_rows(f, "1/a=stored ");
}

int main(void)
{
#define ALL(f)                                                                                     \
    cmocka_unit_test_setup_teardown(f, setup_memory, end),                                         \
        cmocka_unit_test_setup_teardown(f, setup_remote, end),                                     \
        cmocka_unit_test_setup_teardown(f, setup_lmdb, end)
#define LMDB(f) cmocka_unit_test_setup_teardown(f, setup_lmdb, end)
    const struct CMUnitTest tests[] = {
        ALL(test_store_begins_empty),
        ALL(test_store_keeps_rows_over_a_reopen),
        ALL(test_store_overwrites_and_deletes),
        ALL(test_store_last_put_wins_within_a_batch),
        ALL(test_store_takes_any_bytes_and_the_longest_key),
        ALL(test_store_load_ends_when_a_row_is_refused),
        ALL(test_store_finishes_the_batch_in_flight_when_closed),
        ALL(test_store_takes_big_batches),
        ALL(test_store_agrees_with_a_naive_model),
        ALL(test_store_takes_a_batch_without_rows),
        ALL(test_store_refuses_misuse),
        cmocka_unit_test_setup_teardown(test_store_memory_fails_for_good, setup_memory, end),
        LMDB(test_store_lmdb_fails_for_good),
        LMDB(test_store_lmdb_refuses_a_second_holder),
        LMDB(test_store_lmdb_refuses_another_kind_or_level),
        LMDB(test_store_lmdb_raises_the_level),
        LMDB(test_store_lmdb_names_a_file_cut_short),
        LMDB(test_store_lmdb_names_a_foreign_file),
        LMDB(test_store_lmdb_refuses_a_network_filesystem),
        LMDB(test_store_lmdb_refuses_a_bad_directory),
        LMDB(test_store_lmdb_makes_its_directory_private),
        LMDB(test_store_lmdb_counts),
        LMDB(test_store_lmdb_survives_a_kill),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
