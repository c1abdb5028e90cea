/* SPDX-License-Identifier: Apache-2.0 */
/* Sandboxes, their output files, users, and what a machine offers. */
#include "agent/daemon/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "agent/daemon/detect.h"
#include "common/base/buf.h"
#include "common/sys/file.h"
#include "tests/support/test.h"

struct place {
    char dir[64];
    char box[128];
};

static int setup(void **state)
{
    struct place *p = test_calloc(1, sizeof *p);

    (void)snprintf(p->dir, sizeof p->dir, "/tmp/pf-sandbox-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    assert_int_equal(chmod(p->dir, 0755), 0);
    (void)snprintf(p->box, sizeof p->box, "%s/frameworks/f1/tasks/t1", p->dir);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;

    assert_int_equal(pf_remove_tree(p->dir, NULL), 0);
    test_free(p);
    return 0;
}

static const struct pf_bytes no_script = {NULL, 0};

static struct pf_user own(void)
{
    struct pf_users users = {0};
    struct pf_user u;

    assert_int_equal(pf_users_find(&users, PF_STR(""), 0, &u), 0);
    assert_true(u.is_own);
    pf_users_fini(&users);
    return u;
}

static void test_sandbox_is_made_with_parents_and_twice(void **state)
{
    struct place *p = *state;
    struct pf_user u = own();
    struct pf_sandbox_failure why;
    struct stat st;
    char path[160];

    assert_true(pf_sandbox_make(pf_str(p->box), &u, no_script, &why));
    assert_int_equal(stat(p->box, &st), 0);
    assert_int_equal(st.st_mode & 07, 0);
    const struct pf_bytes script = {(const uint8_t *)"exit 3\n", 7};
    assert_true(pf_sandbox_make(pf_str(p->box), &u, script, &why));
    assert_true(pf_sandbox_make(pf_str(p->box), &u, script, &why));
    (void)snprintf(path, sizeof path, "%s/script", p->box);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 7);
    assert_int_equal(st.st_mode & 0777, 0750);
}

static void test_sandbox_failures_name_their_stage(void **state)
{
    struct place *p = *state;
    struct pf_user u = own();
    struct pf_sandbox_failure why;
    char path[160];

    (void)snprintf(path, sizeof path, "%s/file", p->dir);
    assert_int_equal(pf_file_write(path, "x", 1, 0600, NULL), 0);
    (void)snprintf(path, sizeof path, "%s/file/box", p->dir);
    assert_false(pf_sandbox_make(pf_str(path), &u, no_script, &why));
    assert_int_equal(why.error, ENOTDIR);
    assert_string_equal(why.stage, "mkdir");
    assert_true(pf_sandbox_make(pf_str(p->box), &u, no_script, &why));
    (void)snprintf(path, sizeof path, "%s/script", p->box);
    assert_int_equal(mkdir(path, 0700), 0);
    const struct pf_bytes script = {(const uint8_t *)"x", 1};
    assert_false(pf_sandbox_make(pf_str(p->box), &u, script, &why));
    assert_int_equal(why.error, EISDIR);
    assert_string_equal(why.stage, "script");
}

/* A link that a task left where its script goes is replaced, not followed. */
static void test_script_never_writes_through_a_link(void **state)
{
    struct place *p = *state;
    struct pf_user u = own();
    struct pf_sandbox_failure why;
    char victim[160];
    char path[160];
    struct stat st;

    assert_true(pf_sandbox_make(pf_str(p->box), &u, no_script, &why));
    (void)snprintf(victim, sizeof victim, "%s/victim", p->dir);
    assert_int_equal(pf_file_write(victim, "precious", 8, 0600, NULL), 0);
    (void)snprintf(path, sizeof path, "%s/script", p->box);
    assert_int_equal(symlink(victim, path), 0);
    const struct pf_bytes script = {(const uint8_t *)"x", 1};
    assert_true(pf_sandbox_make(pf_str(p->box), &u, script, &why));
    assert_int_equal(stat(victim, &st), 0);
    assert_int_equal(st.st_size, 8);
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISREG(st.st_mode));
}

static void close_both(int fd[2])
{
    assert_int_equal(close(fd[0]), 0);
    assert_int_equal(close(fd[1]), 0);
}

static void test_output_is_appended_to(void **state)
{
    struct place *p = *state;
    struct pf_user u = own();
    struct pf_sandbox_failure why;
    int fd[2];
    char path[160];
    struct pf_buf text = {0};

    assert_true(pf_sandbox_make(pf_str(p->box), &u, no_script, &why));
    for (int i = 0; i < 2; i++) {
        assert_true(pf_sandbox_open_output(pf_str(p->box), &u, fd, &why));
        assert_int_equal(write(fd[0], "out\n", 4), 4);
        assert_int_equal(write(fd[1], "err\n", 4), 4);
        assert_int_equal(fcntl(fd[0], F_GETFL) & O_NONBLOCK, 0);
        close_both(fd);
    }
    (void)snprintf(path, sizeof path, "%s/stdout", p->box);
    assert_int_equal(pf_file_read(path, 100, &text, NULL), 0);
    assert_string_equal(pf_buf_cstr(&text), "out\nout\n");
    pf_buf_fini(&text);
}

static void test_output_is_a_regular_file_or_nothing(void **state)
{
    struct place *p = *state;
    struct pf_user u = own();
    struct pf_sandbox_failure why;
    int fd[2];
    char path[160], second[192];

    assert_false(pf_sandbox_open_output(pf_str(p->box), &u, fd, &why));
    assert_int_equal(why.error, ENOENT);
    assert_true(pf_sandbox_make(pf_str(p->box), &u, no_script, &why));
    (void)snprintf(path, sizeof path, "%s/stderr", p->box);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_false(pf_sandbox_open_output(pf_str(p->box), &u, fd, &why));
    assert_string_equal(why.stage, "stderr");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_false(pf_sandbox_open_output(pf_str(p->box), &u, fd, &why));
    assert_int_equal(why.error, ELOOP);
    assert_int_equal(pf_sandbox_open_file(pf_str(path)), -1);
    assert_int_equal(errno, ELOOP);
    assert_int_equal(pf_sandbox_open_file(PF_STR("nowhere")), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(unlink(path), 0);
    assert_true(pf_sandbox_open_output(pf_str(p->box), &u, fd, &why));
    assert_int_equal(close(fd[0]), 0);
    assert_int_equal(close(fd[1]), 0);
    (void)snprintf(second, sizeof second, "%s/second", p->box);
    assert_int_equal(link(path, second), 0); /* maybe of somebody else's file */
    assert_false(pf_sandbox_open_output(pf_str(p->box), &u, fd, &why));
}

/* What another user owns is given to it, where we may. */
static void test_owner_gets_the_sandbox_or_the_failure_says_chown(void **state)
{
    struct place *p = *state;
    struct pf_sandbox_failure why = {0, NULL};
    const struct pf_user other = {.uid = 65534, .gid = 65534};
    struct stat st;
    int fd[2];

    bool did = pf_sandbox_make(pf_str(p->box), &other, no_script, &why);
    if (geteuid() != 0) {
        assert_false(did);
        assert_int_equal(why.error, EPERM);
        assert_string_equal(why.stage, "chown");
        return;
    }
    assert_true(did);
    assert_int_equal(stat(p->box, &st), 0);
    assert_int_equal(st.st_uid, 65534);
    assert_true(pf_sandbox_open_output(pf_str(p->box), &other, fd, &why));
    assert_int_equal(fstat(fd[1], &st), 0);
    assert_int_equal(st.st_uid, 65534);
    close_both(fd);
}

static void test_users_are_found_and_kept_and_forgotten(void **state)
{
    struct pf_users users = {0};
    struct pf_user u;

    (void)state;
    assert_int_equal(pf_users_find(&users, PF_STR("root"), 0, &u), 0);
    assert_int_equal(u.uid, 0);
    assert_true(u.n_groups >= 1);
    assert_int_equal(u.is_own, geteuid() == 0);
    assert_int_equal(pf_users_find(&users, PF_STR("root"), 1, &u), 0);
    assert_int_equal(users.by_name.len, 1);
    assert_int_equal(pf_users_find(&users, PF_STR("root"), 100000, &u), 0);
    assert_int_equal(pf_users_find(&users, PF_STR("no-such-user-here"), 0, &u), ENOENT);
    const struct pf_str with_nul = {"root\0x", 6};
    assert_int_equal(pf_users_find(&users, with_nul, 0, &u), ENOENT);
    pf_users_fini(&users);
}

static void expect_resources(const char *text, uint64_t mem_gib, uint64_t disk_gib,
                             const char *want)
{
    const struct pf_machine m = {8, mem_gib << 30, disk_gib << 30};
    struct pf_resources r = {0};
    struct pf_buf out = {0};

    assert_int_equal(pf_detect_resources(text, &m, &r, NULL), 0);
    pf_res_format(&r, &out);
    assert_string_equal(pf_buf_cstr(&out), want);
    pf_buf_fini(&out);
    pf_res_fini(&r);
}

static void test_what_is_not_named_is_detected(void **state)
{
    const struct pf_machine m = {1, 1, 1};
    struct pf_resources r = {0};
    struct pf_err err = {0};

    (void)state;
    expect_resources("", 16, 100, "cpus:8;mem:15360;disk:97280;ports:[31000-32000]");
    expect_resources("", 1, 4, "cpus:8;mem:512;disk:2048;ports:[31000-32000]");
    expect_resources("cpus:2.5; mem(*):100", 16, 100,
                     "cpus:2.5;mem:100;disk:97280;ports:[31000-32000]");
    expect_resources("disk:0;ports:[1-2];tapes:{a,b}", 2, 1,
                     "cpus:8;mem:1024;ports:[1-2];tapes:{a,b}");
    expect_resources("cpusx:3", 2, 10, "cpus:8;mem:1024;disk:5120;cpusx:3;ports:[31000-32000]");
    assert_int_equal(pf_detect_resources("cpus:-1", &m, &r, &err), PF_EUSAGE);
    assert_non_null(strstr(err.msg, "--resources"));
}

static void test_this_machine_has_something(void **state)
{
    struct place *p = *state;
    struct pf_machine m;

    assert_int_equal(pf_machine_read(p->dir, &m, NULL), 0);
    assert_true(m.cpus > 0 && m.mem_bytes > 0 && m.disk_bytes > 0);
    assert_int_equal(pf_machine_read("/nonexistent", &m, NULL), PF_ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sandbox_is_made_with_parents_and_twice, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_sandbox_failures_name_their_stage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_script_never_writes_through_a_link, setup, teardown),
        cmocka_unit_test_setup_teardown(test_output_is_appended_to, setup, teardown),
        cmocka_unit_test_setup_teardown(test_output_is_a_regular_file_or_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_owner_gets_the_sandbox_or_the_failure_says_chown,
                                        setup, teardown),
        cmocka_unit_test(test_users_are_found_and_kept_and_forgotten),
        cmocka_unit_test(test_what_is_not_named_is_detected),
        cmocka_unit_test_setup_teardown(test_this_machine_has_something, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
