/* SPDX-License-Identifier: Apache-2.0 */
/* Files: reading with a limit, atomic writing, trees of every shape, locks, file systems. */
#include "common/sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include "common/base/alloc.h"
#include "common/sys/fd.h"
#include "tests/support/test.h"

static char dir[] = "/tmp/pf-file-XXXXXX";

static int group_setup(void **state)
{
    (void)state;
    return mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

static int group_teardown(void **state)
{
    (void)state;
    return chdir("/") == 0 ? pf_remove_tree(dir, NULL) : -1;
}

static bool is_there(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

static unsigned mode_of(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static void put(const char *path, const char *text)
{
    assert_int_equal(pf_file_write(path, text, strlen(text), 0644, NULL), 0);
}

static void test_write_and_read(void **state)
{
    struct pf_buf b = {0};

    (void)state;
    put("f", "one");
    assert_int_equal(pf_file_write("f", "other", 5, 0640, NULL), 0);
    assert_int_equal(mode_of("f"), 0640);
    pf_buf_add_cstr(&b, ">");
    assert_int_equal(pf_file_read("f", 5, &b, NULL), 0);
    assert_string_equal(pf_buf_cstr(&b), ">other");
    assert_int_equal(pf_file_read("f", 4, &b, NULL), PF_ELIMIT);
    assert_string_equal(pf_buf_cstr(&b), ">other");
    assert_int_equal(pf_file_write("empty", "", 0, 0600, NULL), 0);
    assert_int_equal(pf_file_read("empty", 0, &b, NULL), 0);
    assert_int_equal(b.len, 6);
    pf_buf_fini(&b);
}

static void test_large_files_and_proc(void **state)
{
    char *text = pf_alloc(300000);
    struct pf_buf b = {0};

    (void)state;
    memset(text, 'l', 299999);
    put("large", text);
    assert_int_equal(pf_file_read("large", 300000, &b, NULL), 0);
    assert_int_equal(b.len, 299999);
    pf_buf_clear(&b);
    assert_int_equal(pf_file_read("/proc/self/stat", 4096, &b, NULL), 0);
    assert_true(b.len > 10);
    pf_buf_fini(&b);
    b = (struct pf_buf){.limit = 1000};
    assert_int_equal(pf_file_read("large", 300000, &b, NULL), PF_ELIMIT);
    pf_buf_fini(&b);
    pf_free(text);
}

static void test_failed_write_leaves_nothing(void **state)
{
    struct pf_err err = {0};
    struct pf_buf b = {0};

    (void)state;
    assert_int_equal(pf_mkdir_p("d", 0755, NULL), 0);
    put("d/x", "old");
    assert_int_equal(mkdir("d/target", 0755), 0);
    assert_true(pf_file_write("d/target", "x", 1, 0600, &err) < 0); /* a directory is in the way */
    assert_non_null(strstr(err.msg, "d/target"));
    assert_int_equal(rmdir("d/target"), 0);
    assert_int_equal(unlink("d/x"), 0);
    assert_int_equal(rmdir("d"), 0); /* so no temporary file is left */
    assert_int_equal(pf_file_write("none/x", "x", 1, 0600, NULL), PF_ENOENT);
    assert_int_equal(pf_file_read("none", 10, &b, NULL), PF_ENOENT);
    assert_int_equal(pf_file_read(".", 10, &b, NULL), PF_EINVAL);
    pf_buf_fini(&b);
}

static void test_mkdir_p(void **state)
{
    mode_t was = umask(077);

    (void)state;
    assert_int_equal(pf_mkdir_p("p//q/r/", 0755, NULL), 0);
    assert_int_equal(mode_of("p/q"), 0755);
    assert_int_equal(mode_of("p/q/r"), 0755);
    assert_int_equal(pf_mkdir_p("p/q/r", 0700, NULL), 0);
    assert_int_equal(mode_of("p/q/r"), 0755);
    umask(was);
    put("p/file", "x");
    assert_int_equal(pf_mkdir_p("p/file", 0755, NULL), PF_EEXIST);
    assert_true(pf_mkdir_p("p/file/x", 0755, NULL) < 0);
    assert_int_equal(pf_mkdir_p("", 0755, NULL), PF_EINVAL);
    assert_int_equal(pf_mkdir_p("/", 0755, NULL), 0);
}

static void test_remove_tree_spares_what_links_point_to(void **state)
{
    (void)state;
    assert_int_equal(pf_mkdir_p("keep", 0755, NULL), 0);
    put("keep/me", "x");
    assert_int_equal(pf_mkdir_p("t/a/b", 0755, NULL), 0);
    put("t/a/f", "x");
    assert_int_equal(symlink("../../keep", "t/a/link"), 0);
    assert_int_equal(symlink("../keep/me", "t/link"), 0);
    assert_int_equal(symlink("nowhere", "t/dangling"), 0);
    assert_int_equal(mkfifo("t/fifo", 0600), 0);
    assert_int_equal(pf_remove_tree("t", NULL), 0);
    assert_false(is_there("t"));
    assert_true(is_there("keep/me"));
    assert_int_equal(symlink("keep", "l"), 0);
    assert_int_equal(pf_remove_tree("l", NULL), 0);
    assert_false(is_there("l"));
    assert_true(is_there("keep/me"));
    assert_int_equal(pf_remove_tree("keep/me", NULL), 0);
    assert_int_equal(pf_remove_tree("keep", NULL), 0);
    assert_int_equal(pf_remove_tree("keep", NULL), 0); /* not there: fine */
    assert_int_equal(pf_remove_tree("keep/me/more", NULL), 0);
}

static void test_remove_tree_of_any_depth_and_width(void **state)
{
    enum { DEPTH = 500, WIDTH = 1500 };
    int at = open(".", O_RDONLY | O_DIRECTORY);

    (void)state;
    assert_int_equal(mkdirat(at, "deep", 0755), 0);
    for (int i = 0; i < DEPTH; i++) { /* longer than any path may be */
        const char *name = i == 0 ? "deep" : "a-name-of-some-length";
        int next = openat(at, name, O_RDONLY | O_DIRECTORY);

        assert_true(next >= 0);
        close(at);
        at = next;
        assert_int_equal(mkdirat(at, "a-name-of-some-length", 0755), 0);
        assert_int_equal(mkdirat(at, "brother", 0755), 0);
        close(openat(at, "file", O_CREAT | O_WRONLY, 0644));
    }
    close(at);
    for (int i = 0; i < WIDTH; i++) {
        char name[32];

        (void)snprintf(name, sizeof name, "deep/f%d", i);
        close(open(name, O_CREAT | O_WRONLY, 0644));
    }
    assert_int_equal(pf_remove_tree("deep", NULL), 0);
    assert_false(is_there("deep"));
}

/* As an ordinary user: directories without rights go too, those of others do not. */
static void remove_as_nobody(void *ctx)
{
    (void)ctx;
    if (getuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0)) {
        _exit(1);
    }
    if (mkdir("open/mine", 0755) < 0 || mkdir("open/mine/shut", 0755) < 0 ||
        mkdir("open/mine/shut/in", 0755) < 0 || chmod("open/mine/shut/in", 0) < 0 ||
        chmod("open/mine/shut", 0) < 0 || chmod("open/mine", 0500) < 0 ||
        pf_remove_tree("open/mine", NULL) < 0 || is_there("open/mine")) {
        _exit(2);
    }
    struct pf_err err = {0};
    if (getuid() == 65534 &&
        (pf_remove_tree("foreign", &err) != PF_EACCESS || err.code != PF_EACCESS)) {
        _exit(3);
    }
    abort(); /* what test_aborts takes for success */
}

static void test_remove_tree_without_rights(void **state)
{
    (void)state;
    assert_int_equal(chmod(dir, 0755), 0);
    assert_int_equal(pf_mkdir_p("open", 0777, NULL), 0);
    assert_int_equal(pf_mkdir_p("foreign", 0755, NULL), 0);
    put("foreign/f", "x");
    assert_true(test_aborts(remove_as_nobody, NULL));
    assert_true(is_there("foreign/f"));
}

static void test_lock_is_held_and_names_its_holder(void **state)
{
    struct pf_err err = {0};
    char pid[32];
    int one = -1, two = -1;

    (void)state;
    assert_int_equal(pf_file_lock("lock", &one, NULL), 0);
    assert_true((fcntl(one, F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(pf_file_lock("lock", &two, &err), PF_EBUSY);
    assert_int_equal(two, -1);
    (void)snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_non_null(strstr(err.msg, pid));
    pf_fd_close(&one);
    assert_int_equal(pf_file_lock("lock", &two, NULL), 0);
    pf_fd_close(&two);
    assert_int_equal(pf_file_lock("none/lock", &two, NULL), PF_ENOENT);
}

static void test_file_systems(void **state)
{
    uint64_t free_bytes = 1, total_bytes = 0;
    const char *name = "x";

    (void)state;
    assert_int_equal(pf_fs_space(".", &free_bytes, &total_bytes, NULL), 0);
    assert_true(total_bytes > 0);
    assert_true(free_bytes <= total_bytes);
    assert_int_equal(pf_fs_network("/proc", &name, NULL), 0);
    assert_null(name);
    assert_int_equal(pf_fs_space("none", &free_bytes, &total_bytes, NULL), PF_ENOENT);
    assert_int_equal(pf_fs_network("none", &name, NULL), PF_ENOENT);
    assert_int_equal(pf_dir_sync(".", NULL), 0);
    assert_int_equal(pf_dir_sync("none", NULL), PF_ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_and_read),
        cmocka_unit_test(test_large_files_and_proc),
        cmocka_unit_test(test_failed_write_leaves_nothing),
        cmocka_unit_test(test_mkdir_p),
        cmocka_unit_test(test_remove_tree_spares_what_links_point_to),
        cmocka_unit_test(test_remove_tree_of_any_depth_and_width),
        cmocka_unit_test(test_remove_tree_without_rights),
        cmocka_unit_test(test_lock_is_held_and_names_its_holder),
        cmocka_unit_test(test_file_systems),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
