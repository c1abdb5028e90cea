/* SPDX-License-Identifier: Apache-2.0 */
/* Files beneath a sandbox: made, replaced, given up, and nothing that gets outside. */
#include "agent/fetcher/place.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include "common/base/alloc.h"
#include "common/sys/fd.h"
#include "common/sys/file.h"
#include "tests/support/test.h"

struct world {
    char dir[32];
    int fd;
};

static int setup(void **state)
{
    struct world *w = PF_NEW(struct world);

    (void)snprintf(w->dir, sizeof w->dir, "/tmp/pf-place-XXXXXX");
    w->fd = mkdtemp(w->dir) != NULL ? open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    *state = w;
    return w->fd >= 0 ? 0 : -1;
}

static int teardown(void **state)
{
    struct world *w = *state;
    int rc = pf_remove_tree(w->dir, NULL);

    pf_fd_close(&w->fd);
    pf_free(w);
    return rc;
}

static int put(struct world *w, const char *path, const char *text, struct pf_err *err)
{
    struct pf_place p = PF_PLACE_NONE;
    int rc = pf_place_open(w->fd, pf_str(path), &p, err);

    if (rc == 0) {
        rc = pf_fd_write_all(p.fd, text, strlen(text), err);
    }
    if (rc == 0) {
        rc = pf_place_commit(&p, err);
    }
    pf_place_fini(&p);
    pf_place_fini(&p);
    return rc;
}

static bool holds(struct world *w, const char *path, const char *text)
{
    struct pf_buf full = {0};
    struct pf_buf got = {0};

    pf_buf_printf(&full, "%s/%s", w->dir, path);
    int rc = pf_file_read(pf_buf_cstr(&full), 1000, &got, NULL);
    bool is_same = rc == 0 && strcmp(pf_buf_cstr(&got), text) == 0;
    pf_buf_fini(&full);
    pf_buf_fini(&got);
    return is_same;
}

static void test_fetcher_place_makes_directories(void **state)
{
    struct world *w = *state;
    struct stat st;

    assert_int_equal(put(w, "f", "one", NULL), 0);
    assert_int_equal(put(w, "f", "two", NULL), 0);
    assert_true(holds(w, "f", "two"));
    assert_int_equal(put(w, "a//./b/f", "three", NULL), 0);
    assert_true(holds(w, "a/b/f", "three"));
    assert_int_equal(fstatat(w->fd, "a/b/f", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(fstatat(w->fd, "a", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(unlinkat(w->fd, "a/b/f", 0), 0);
    assert_int_equal(unlinkat(w->fd, "a/b", AT_REMOVEDIR), 0); /* nothing was left beside it */
}

static void test_fetcher_place_refuses_paths(void **state)
{
    static const char *const paths[] = {"",   "/f", "..",  "../f", "a/../f", "a/..",
                                        "f/", ".",  "a/.", "//",   "a\nb"};

    for (size_t i = 0; i < PF_ARRAY_LEN(paths); i++) {
        struct pf_err err = {0};
        assert_int_equal(put(*state, paths[i], "x", &err), PF_EINVAL);
        assert_true(err.msg[0] != '\0');
    }
}

static void test_fetcher_place_follows_no_link(void **state)
{
    struct world *w = *state;
    struct pf_err err = {0};
    struct stat st;

    assert_int_equal(symlinkat("/tmp", w->fd, "out"), 0);
    assert_int_equal(put(w, "out/pf-place-escaped", "x", &err), PF_EINVAL);
    assert_string_equal(err.msg, "out is a symbolic link");
    assert_int_equal(access("/tmp/pf-place-escaped", F_OK), -1);
    assert_int_equal(put(w, "out", "x", NULL), 0); /* the link is replaced, not its target */
    assert_int_equal(fstatat(w->fd, "out", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(S_ISREG(st.st_mode));
}

static void test_fetcher_place_meets_other_kinds(void **state)
{
    struct world *w = *state;
    struct pf_err err = {0};

    assert_int_equal(put(w, "f", "x", NULL), 0);
    assert_true(put(w, "f/g", "x", &err) < 0);
    assert_non_null(strstr(err.msg, "f"));
    assert_int_equal(mkdirat(w->fd, "d", 0700), 0);
    assert_true(put(w, "d", "x", NULL) < 0);
}

static void test_fetcher_place_given_up_leaves_nothing(void **state)
{
    struct world *w = *state;
    struct pf_place p = PF_PLACE_NONE;

    assert_int_equal(pf_place_open(w->fd, PF_STR("d/f"), &p, NULL), 0);
    pf_place_fini(&p);
    assert_int_equal(unlinkat(w->fd, "d", AT_REMOVEDIR), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fetcher_place_makes_directories, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fetcher_place_refuses_paths, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fetcher_place_follows_no_link, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fetcher_place_meets_other_kinds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fetcher_place_given_up_leaves_nothing, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
