/* SPDX-License-Identifier: Apache-2.0 */
/* The cache of fetched files: hits, fills, eviction by use, what is in use, what was left over. */
#include "agent/fetcher/cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include "common/base/alloc.h"
#include "common/sys/fd.h"
#include "common/sys/file.h"
#include "tests/support/test.h"

#define MAX_BYTES 30

static char base[] = "/tmp/pf-cache-XXXXXX";
static const char ten[] = "0123456789";

static int group_setup(void **state)
{
    (void)state;
    return mkdtemp(base) != NULL && chdir(base) == 0 ? 0 : -1;
}

static int group_teardown(void **state)
{
    (void)state;
    return chdir("/") == 0 ? pf_remove_tree(base, NULL) : -1;
}

static int setup(void **state)
{
    struct pf_cache *c = PF_NEW(struct pf_cache);

    *state = c;
    return pf_remove_tree("c", NULL) == 0 ? pf_cache_open("c", MAX_BYTES, c, NULL) : -1;
}

static int teardown(void **state)
{
    struct pf_cache *c = *state;

    pf_cache_close(c);
    pf_free(c);
    return 0;
}

/* The context counts the calls. */
static int fill_ten(void *ctx, int fd, uint64_t max_bytes, struct pf_err *err)
{
    *(int *)ctx += 1;
    if (max_bytes < 10) {
        return pf_err_set(err, PF_ELIMIT, "too large");
    }
    return pf_fd_write_all(fd, ten, 10, err);
}

static int fill_fails(void *ctx, int fd, uint64_t max_bytes, struct pf_err *err)
{
    (void)max_bytes;
    *(int *)ctx += 1;
    int rc = pf_fd_write_all(fd, "part", 4, NULL);
    return rc != 0 ? rc : pf_err_set(err, PF_ECONN, "lost");
}

static struct pf_cache_entry get(struct pf_cache *c, const char *uri, bool is_hit)
{
    struct pf_cache_entry e = PF_CACHE_ENTRY_NONE;
    char got[16];
    int n = 0;

    assert_int_equal(pf_cache_get(c, pf_str(uri), fill_ten, &n, &e, NULL), 0);
    assert_int_equal(e.is_hit, is_hit);
    assert_int_equal(n, is_hit ? 0 : 1);
    assert_int_equal(pread(e.fd, got, sizeof got, 0), 10);
    assert_memory_equal(got, ten, 10);
    return e;
}

static void touch(struct pf_cache *c, const char *uri, bool is_hit)
{
    struct pf_cache_entry e = get(c, uri, is_hit);

    pf_cache_release(&e);
}

/* How many names of the directory end with `end` ("" counts entries). */
static int count(const char *end)
{
    DIR *dir = opendir("c");
    struct dirent *e;
    int n = 0;

    assert_non_null(dir);
    while ((e = readdir(dir)) != NULL) {
        size_t len = strlen(e->d_name);
        n += len == 64 + strlen(end) && strcmp(e->d_name + 64, end) == 0;
    }
    (void)closedir(dir);
    return n;
}

static void test_fetcher_cache_hit(void **state)
{
    touch(*state, "u", false);
    touch(*state, "u", true);
    touch(*state, "v", false);
    assert_int_equal(count(""), 2);
    assert_int_equal(count(".tmp"), 0);
}

static void test_fetcher_cache_evicts_least_recently_used(void **state)
{
    touch(*state, "a", false);
    touch(*state, "b", false);
    touch(*state, "c", false);
    /* kernel time is coarse: say when each was used */
    struct pf_cache *c = *state;
    struct timespec old[2] = {{1000, 0}, {1000, 0}};
    DIR *dir = opendir("c");
    struct dirent *e;
    while ((e = readdir(dir)) != NULL) {
        assert_true(strlen(e->d_name) != 64 || utimensat(c->dir_fd, e->d_name, old, 0) == 0);
    }
    (void)closedir(dir);
    touch(*state, "a", true);
    touch(*state, "c", true);
    touch(*state, "d", false);
    touch(*state, "a", true);
    touch(*state, "c", true);
    touch(*state, "d", true);
    assert_int_equal(count(""), 3);
    assert_int_equal(count(".lock"), 3);
}

static void test_fetcher_cache_keeps_what_is_in_use(void **state)
{
    struct pf_cache *c = *state;
    struct pf_cache_entry e[4];

    e[0] = get(c, "a", false);
    e[1] = get(c, "b", false);
    e[2] = get(c, "c", false);
    e[3] = get(c, "d", false); /* given, not kept */
    assert_int_equal(count(""), 3);
    touch(c, "a", true);
    for (size_t i = 0; i < 4; i++) {
        pf_cache_release(&e[i]);
    }
    touch(c, "d", false);
    touch(c, "d", true);
    assert_int_equal(count(""), 3);
}

static void test_fetcher_cache_fill_that_fails(void **state)
{
    struct pf_cache *c = *state;
    struct pf_cache_entry e = PF_CACHE_ENTRY_NONE;
    struct pf_err err = {0};
    int n = 0;

    assert_int_equal(pf_cache_get(c, PF_STR("u"), fill_fails, &n, &e, &err), PF_ECONN);
    assert_string_equal(err.msg, "lost");
    assert_int_equal(n, 1);
    assert_int_equal(count("") + count(".tmp"), 0);
    c->max_bytes = 9;
    assert_int_equal(pf_cache_get(c, PF_STR("u"), fill_ten, &n, &e, NULL), PF_ELIMIT);
    c->max_bytes = MAX_BYTES;
    touch(c, "u", false);
}

static void test_fetcher_cache_open_clears(void **state)
{
    struct pf_cache *c = *state;
    struct pf_cache again;
    char name[80];

    touch(c, "a", false);
    touch(c, "b", false);
    (void)snprintf(name, sizeof name, "c/%064d.tmp", 0);
    assert_int_equal(pf_file_write(name, "x", 1, 0600, NULL), 0);
    (void)snprintf(name, sizeof name, "c/%064d.lock", 0);
    assert_int_equal(pf_file_write(name, "", 0, 0600, NULL), 0);
    (void)snprintf(name, sizeof name, "c/%064d.lock", 1);
    assert_int_equal(pf_file_write(name, "", 0, 0600, NULL), 0);
    assert_int_equal(pf_cache_open("c", 10, &again, NULL), 0);
    pf_cache_close(&again);
    assert_int_equal(count(".tmp"), 0);
    assert_int_equal(count(".lock"), 1);
    assert_int_equal(count(""), 1); /* a smaller limit holds at once */
}

static void test_fetcher_cache_refuses_shared_directory(void **state)
{
    struct pf_cache c;

    (void)state;
    assert_int_equal(chmod("c", 0770), 0);
    assert_int_equal(pf_cache_open("c", MAX_BYTES, &c, NULL), PF_EACCESS);
    assert_int_equal(chmod("c", 0700), 0);
    assert_int_equal(symlink("c", "l"), 0);
    assert_true(pf_cache_open("l", MAX_BYTES, &c, NULL) < 0);
    assert_true(pf_cache_open("no/where", MAX_BYTES, &c, NULL) < 0);
}

/* Many processes want the same few things, the cache holds one of them: each gets its content. */
static void test_fetcher_cache_many_processes(void **state)
{
    enum { N_CHILDREN = 8, N_ROUNDS = 50 };
    pid_t children[N_CHILDREN];

    (void)state;
    for (int i = 0; i < N_CHILDREN; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            struct pf_cache c;
            int rc = pf_cache_open("c", 15, &c, NULL);
            for (int r = 0; r < N_ROUNDS && rc == 0; r++) {
                static const char *const uris[] = {"a", "b", "c"};
                struct pf_cache_entry e = PF_CACHE_ENTRY_NONE;
                char got[16];
                int n = 0;
                rc = pf_cache_get(&c, pf_str(uris[(r + i) % 3]), fill_ten, &n, &e, NULL);
                rc = rc == 0 && (pread(e.fd, got, 16, 0) != 10 || memcmp(got, ten, 10) != 0)
                         ? PF_EIO
                         : rc;
                pf_cache_release(&e);
            }
            _exit(rc == 0 ? 0 : 1);
        }
    }
    for (int i = 0; i < N_CHILDREN; i++) {
        int status = -1;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    assert_true(count("") <= 1);
    assert_int_equal(count(".tmp"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fetcher_cache_hit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fetcher_cache_evicts_least_recently_used, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_fetcher_cache_keeps_what_is_in_use, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fetcher_cache_fill_that_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fetcher_cache_open_clears, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fetcher_cache_refuses_shared_directory, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_fetcher_cache_many_processes, setup, teardown),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
