/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor with real processes: small scripts stand for the daemons, so that what it does
 * with them can be told apart from what they do. */
#include "framework/cli/supervisor.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "common/base/alloc.h"
#include "common/sys/file.h"
#include "framework/cli/local.h"

struct fixture {
    struct pf_arena arena;
    char root[64];
    const char *dir, *bin;
    struct pf_shape shape;
    struct pf_err err;
    const char *hint;
    uint32_t n_ready, n_daemons;
    bool stops_when_ready;
};

static void write_script(struct fixture *f, const char *name, const char *body)
{
    const char *text = pf_arena_printf(&f->arena, "#!/bin/sh\n%s", body).at;
    const char *path = pf_local_path(&f->arena, f->bin, name);
    assert_int_equal(pf_file_write(path, text, strlen(text), 0755, NULL), 0);
}

#define READY "echo '{\"native\":\"127.0.0.1:7\",\"http\":\"127.0.0.1:8\",\"pid\":1}' >&3\n"
#define STAYS "exec 3>&- tail -f /dev/null\n"
/* Each says what it was started with; an agent that cleans up ends at once. */
#define MASTER "echo \"$*\" >> \"$0.args\"\n"
#define AGENT  MASTER "case $1 in --stop-launcher) exit 0 ;; esac\n"

static int setup(void **state)
{
    struct fixture *f = PF_NEW(struct fixture);
    (void)snprintf(f->root, sizeof f->root, "/tmp/proffer-test-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    f->dir = pf_local_path(&f->arena, f->root, "cluster");
    f->bin = pf_local_path(&f->arena, f->root, "bin");
    assert_int_equal(pf_mkdir_p(f->dir, 0700, NULL), 0);
    assert_int_equal(pf_mkdir_p(f->bin, 0700, NULL), 0);
    f->shape = (struct pf_shape){.agents = 2, .cpus_milli = 1000, .mem_bytes = 64 << 20};
    write_script(f, "proffer-master", MASTER READY STAYS);
    write_script(f, "proffer-agent", AGENT READY STAYS);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(pf_remove_tree(f->root, NULL), 0);
    pf_arena_fini(&f->arena);
    pf_free(f);
    return 0;
}

static void on_ready(void *ctx, struct LocalCluster cluster)
{
    struct fixture *f = ctx;
    f->n_ready++;
    f->n_daemons = LocalCluster_daemons__len(cluster);
    assert_true(pf_str_is(LocalCluster_state(cluster), "up"));
    if (f->stops_when_ready) {
        assert_int_equal(kill(getpid(), SIGTERM), 0);
    }
}

static const char *no_env(const char *name)
{
    (void)name;
    return NULL;
}

static int supervise(struct fixture *f)
{
    const struct pf_supervisor_options options = {.dir = f->dir,
                                                  .name = "test",
                                                  .bin_dir = f->bin,
                                                  .env = no_env,
                                                  .shape = &f->shape,
                                                  .on_ready = on_ready,
                                                  .ctx = f};
    return pf_supervise(&options, &f->arena, &f->hint, &f->err);
}

static const char *contents(struct fixture *f, const char *dir, const char *name)
{
    struct pf_buf text = {0};
    assert_int_equal(pf_file_read(pf_local_path(&f->arena, dir, name), 1 << 20, &text, NULL), 0);
    const char *kept = pf_arena_strdup(&f->arena, pf_str(pf_buf_cstr(&text))).at;
    pf_buf_fini(&text);
    return kept;
}

static uint32_t count(const char *text, const char *part)
{
    uint32_t n = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++) {
        n++;
    }
    return n;
}

static void test_supervisor_starts_tells_and_stops(void **state)
{
    struct fixture *f = *state;
    struct LocalCluster c;
    f->stops_when_ready = true;
    assert_int_equal(supervise(f), 0);
    assert_int_equal(f->n_ready, 1);
    assert_int_equal(f->n_daemons, 3);
    assert_int_equal(pf_local_holder(f->dir), 0);
    assert_int_equal(pf_local_read(f->dir, &f->arena, &c, NULL), 0);
    assert_true(pf_str_is(LocalCluster_state(c), "down"));
    assert_true(pf_str_is(LocalDaemon_native(LocalCluster_daemons__at(c, 0)), "127.0.0.1:7"));
    assert_int_equal(LocalDaemon_pid(LocalCluster_daemons__at(c, 1)), 0);
    struct stat st;
    assert_int_equal(stat(pf_local_path(&f->arena, f->dir, "key"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    const char *agent = contents(f, f->bin, "proffer-agent.args");
    assert_int_equal(count(agent, "--master 127.0.0.1:7 --ready-when registered"), 2);
    assert_int_equal(count(agent, "cpus:1.000;mem:64;"), 2);
    assert_int_equal(count(agent, "--stop-launcher --work-dir"), 2);
    assert_int_equal(count(agent, "/agent-1 "), 1);
    assert_int_equal(count(contents(f, f->bin, "proffer-master.args"), "--ready-fd 3"), 1);
}

/* An agent that dies is started again, at the address it had; the second one ends the test. */
static void test_supervisor_restarts_what_dies(void **state)
{
    struct fixture *f = *state;
    struct LocalCluster c;
    f->shape.agents = 1;
    write_script(f, "proffer-agent",
                 AGENT "if test -e \"$0.second\"; then\n" READY "kill -TERM $PPID\n" STAYS "fi\n"
                       ": > \"$0.second\"\n" READY "exit 3\n");
    assert_int_equal(supervise(f), 0);
    assert_int_equal(f->n_ready, 1);
    assert_int_equal(pf_local_read(f->dir, &f->arena, &c, NULL), 0);
    struct LocalDaemon d = LocalCluster_daemons__at(c, 1);
    assert_int_equal(LocalDaemon_restarts(d), 1);
    const char *agent = contents(f, f->bin, "proffer-agent.args");
    assert_int_equal(count(agent, "--listen 127.0.0.1:7 "), 1);
    assert_non_null(strstr(contents(f, f->dir, "log/supervisor.log"), "exited with status 3"));
}

/* A daemon that cannot start: its last words are the error, and nothing stays. */
static void test_supervisor_tells_why_a_daemon_cannot_start(void **state)
{
    struct fixture *f = *state;
    write_script(f, "proffer-agent",
                 AGENT "echo first >&2\necho 'no such thing: xyz' >&2\nexit 1\n");
    assert_int_equal(supervise(f), PF_EIO);
    assert_int_equal(f->n_ready, 0);
    assert_non_null(strstr(f->err.msg, "exited with status 1: no such thing: xyz"));
    assert_non_null(strstr(f->hint, "/log/agent-"));
    assert_int_equal(pf_local_holder(f->dir), 0);
}

static void test_supervisor_misses_a_program(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(unlink(pf_local_path(&f->arena, f->bin, "proffer-master")), 0);
    assert_int_equal(supervise(f), PF_EIO);
    assert_non_null(strstr(f->err.msg, "proffer-master: No such file"));
}

static void test_supervisor_refuses_a_second_one(void **state)
{
    struct fixture *f = *state;
    int fd = -1;
    assert_int_equal(pf_file_lock(pf_local_path(&f->arena, f->dir, "lock"), &fd, NULL), 0);
    assert_int_equal(supervise(f), PF_EBUSY);
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_supervisor_starts_tells_and_stops, setup, teardown),
        cmocka_unit_test_setup_teardown(test_supervisor_restarts_what_dies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_supervisor_tells_why_a_daemon_cannot_start, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_supervisor_misses_a_program, setup, teardown),
        cmocka_unit_test_setup_teardown(test_supervisor_refuses_a_second_one, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
