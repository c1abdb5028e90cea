/* SPDX-License-Identifier: Apache-2.0 */
/* LMDB on a disk that is really full: a tmpfs of 24 MiB in a mount namespace of our own. Needs the
 * right to make one (root, or unprivileged user namespaces); see tests/needs. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "common/store/store.h"
#include "tests/support/test.h"

enum { MIB = 1 << 20, EXIT_SKIP = 77 };

static char mount_dir[] = "/tmp/pf-store-full-XXXXXX";

static int open_in(const char *dir, struct pf_store **out, struct pf_err *err)
{
    struct pf_store_lmdb_options o = {.dir = dir, .kind = "test", .level = 1};

    return pf_store_lmdb_open(&o, out, err);
}

static void path_of(const char *name, char *out, size_t bytes)
{
    (void)snprintf(out, bytes, "%s/db%s%s", mount_dir, name ? "/" : "", name ? name : "");
}

/* Stores one row of `row_bytes` under the key; the store's answer. */
static int store_row(struct pf_store *s, struct pf_turns *ts, uint32_t key, uint32_t row_bytes,
                     struct pf_err *err)
{
    struct pf_turn *t = pf_turns_open(ts);
    const struct pf_batch *b;
    struct pollfd p = {.fd = pf_store_wake_fd(s), .events = POLLIN};
    uint64_t number = 0;
    int rc;

    pf_turn_put(t, 1, (struct pf_bytes){(const uint8_t *)&key, sizeof key},
                (struct pf_bytes){pf_arena_zalloc(pf_turn_arena(t), row_bytes), row_bytes});
    b = pf_turns_seal(ts);
    assert_non_null(b);
    pf_store_submit(s, b);
    assert_int_equal(poll(&p, 1, 30000), 1);
    rc = pf_store_collect(s, &number, err);
    if (rc == 0) {
        assert_int_equal(number, b->number);
        pf_turns_stored(ts, number);
    }
    return rc;
}

static int count_row(void *ctx, uint8_t table, struct pf_bytes key, struct pf_bytes row)
{
    (void)table;
    (void)key;
    (void)row;
    ++*(uint32_t *)ctx;
    return 0;
}

/* The ballast goes first and saves the batch that met the full disk; when the disk is full again
 * the store fails for good, keeps what it said it stored, and opens again. */
static void test_store_full_disk_spends_the_ballast_first(void **state)
{
    struct pf_store *s = NULL;
    struct pf_turns *ts = pf_turns_create(PF_BATCH_MAX_BYTES, 1);
    struct pf_store_stats stats;
    struct pf_err err = {0};
    struct stat st;
    char dir[64], ballast[64];
    uint32_t n = 0, n_at_ballast = 0, n_found = 0;
    int rc = 0;

    (void)state;
    path_of(NULL, dir, sizeof dir);
    path_of("ballast", ballast, sizeof ballast);
    assert_int_equal(open_in(dir, &s, &err), 0);
    assert_int_equal(stat(ballast, &st), 0);
    while ((rc = store_row(s, ts, n, MIB / 2, &err)) == 0) {
        n++;
        assert_true(n < 100);
        pf_store_lmdb_stats(s, &stats);
        if (stats.ballast_spent && n_at_ballast == 0) {
            n_at_ballast = n;
            assert_int_not_equal(stat(ballast, &st), 0);
        }
    }
    assert_int_equal(rc, PF_ENOSPC);
    assert_int_equal(err.code, PF_ENOSPC);
    assert_non_null(strstr(err.msg, "data.mdb"));
    assert_true(n_at_ballast >= 8);
    assert_true(n >= n_at_ballast + 24);
    pf_store_destroy(s);
    pf_turns_destroy(ts);

    s = NULL;
    assert_int_equal(open_in(dir, &s, NULL), 0);
    assert_int_equal(pf_store_load(s, count_row, &n_found, NULL), 0);
    assert_int_equal(n_found, n);
    pf_store_lmdb_stats(s, &stats);
    assert_true(stats.ballast_spent);
    pf_store_destroy(s);
}

/* Room came back: the store works on, and at the next open it has a ballast again. */
static void test_store_full_disk_recovers(void **state)
{
    struct pf_store *s = NULL;
    struct pf_turns *ts = pf_turns_create(PF_BATCH_MAX_BYTES, 1);
    struct pf_store_stats stats;
    char dir[64];

    (void)state;
    path_of(NULL, dir, sizeof dir);
    assert_int_equal(mount("x", mount_dir, "tmpfs", MS_REMOUNT, "size=64m"), 0);
    assert_int_equal(open_in(dir, &s, NULL), 0);
    assert_int_equal(store_row(s, ts, 1000, MIB / 2, NULL), 0);
    pf_store_lmdb_stats(s, &stats);
    assert_false(stats.ballast_spent);
    pf_store_destroy(s);
    pf_turns_destroy(ts);
}

/* No room even to begin: an error that says so, not a SIGBUS in LMDB's lock file. */
static void test_store_full_disk_refuses_to_begin(void **state)
{
    struct pf_store *s = NULL;
    struct pf_err err = {0};
    char dir[64], filler[sizeof mount_dir + 8];
    FILE *f;

    (void)state;
    assert_int_equal(umount(mount_dir), 0);
    assert_int_equal(mount("x", mount_dir, "tmpfs", 0, "size=64k"), 0);
    (void)snprintf(filler, sizeof filler, "%s/filler", mount_dir);
    f = fopen(filler, "w");
    assert_non_null(f);
    for (int i = 0; i < 64 << 10; i++) {
        (void)fputc('x', f);
    }
    (void)fclose(f); /* fails: full */
    path_of(NULL, dir, sizeof dir);
    assert_true(open_in(dir, &s, &err) < 0);
    assert_int_equal(err.code, PF_ENOSPC);
    assert_null(s);
}

static bool write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    bool ok = f && fputs(text, f) >= 0;

    return f && fclose(f) == 0 && ok;
}

/* Being root in a user namespace of our own gives an unprivileged user the mount namespace. */
static bool unshare_as_user(void)
{
    char uids[64], gids[64];

    (void)snprintf(uids, sizeof uids, "0 %ld 1\n", (long)getuid());
    (void)snprintf(gids, sizeof gids, "0 %ld 1\n", (long)getgid());
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_text("/proc/self/uid_map", uids) &&
           write_text("/proc/self/setgroups", "deny\n") && write_text("/proc/self/gid_map", gids);
}

static bool mount_own(void)
{
    if (unshare(CLONE_NEWNS) != 0 && !unshare_as_user()) {
        return false;
    }
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        return false;
    }
    return mkdtemp(mount_dir) && mount("x", mount_dir, "tmpfs", 0, "size=24m") == 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_full_disk_spends_the_ballast_first),
        cmocka_unit_test(test_store_full_disk_recovers),
        cmocka_unit_test(test_store_full_disk_refuses_to_begin),
    };
    int failed;

    if (!mount_own()) {
        (void)fprintf(stderr, "needs a mount namespace: %s\n", strerror(errno));
        (void)rmdir(mount_dir);
        return EXIT_SKIP;
    }
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)umount(mount_dir);
    (void)rmdir(mount_dir);
    return failed;
}
