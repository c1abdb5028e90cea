/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's link to the real launcher, on a loop: starts, finds and outlives it. */
#include "agent/daemon/launcher_link.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "agent/daemon/sandbox.h"
#include "common/base/buf.h"
#include "common/sys/file.h"
#include "schemas/launcher.h"
#include "tests/support/test.h"

struct world {
    char dir[64], run[80], box[80];
    struct pf_loop *loop;
    struct pf_launcher_link *link;
    bool is_up;
    uint32_t n_ups, n_downs, n_list_ends, n_made, n_stdin, n_started;
    int stdin_fd;
    bool has_ended;
    int state, wait_status, error;
    char stage[16];
    pid_t pid;
};

static const struct pf_uuid launch = {{0xab, 0xcd}};

static void on_up(void *ctx, struct pf_msg hello)
{
    struct world *w = ctx;

    assert_int_equal(LauncherHello_protocol(LauncherHello__root(hello)), 1);
    w->is_up = true;
    w->n_ups++;
}

static void on_down(void *ctx)
{
    struct world *w = ctx;

    assert_true(w->is_up);
    w->is_up = false;
    w->n_downs++;
}

static void on_process(void *ctx, struct pf_msg process)
{
    struct world *w = ctx;
    struct LauncherProcess p = LauncherProcess__root(process);
    struct pf_str stage = LauncherProcess_stage(p);

    assert_memory_equal(LauncherProcess_uuid(p).at, launch.b, sizeof launch.b);
    w->state = (int)LauncherProcess_state(p);
    w->wait_status = LauncherProcess_wait_status(p);
    w->error = LauncherProcess_error(p);
    (void)snprintf(w->stage, sizeof w->stage, "%.*s", PF_STR_ARG(stage));
    if (w->state == LauncherState_RUNNING) {
        w->pid = (pid_t)LauncherProcess_pid(p);
        w->n_started++;
    }
    w->has_ended = w->state == LauncherState_EXITED || w->state == LauncherState_FAILED;
}

static void on_list_end(void *ctx)
{
    struct world *w = ctx;

    w->n_list_ends++;
}

static void keep_fd(struct world *w, int fd)
{
    if (w->stdin_fd >= 0) {
        assert_int_equal(close(w->stdin_fd), 0);
    }
    w->stdin_fd = fd;
}

static void on_made(void *ctx, struct pf_uuid l, struct pf_str sandbox, int stdin_fd)
{
    struct world *w = ctx;

    assert_true(pf_uuid_eq(l, launch));
    assert_true(pf_str_is(sandbox, w->box));
    w->n_made++;
    keep_fd(w, stdin_fd);
}

static void on_stdin(void *ctx, struct pf_uuid l, int fd)
{
    struct world *w = ctx;

    assert_true(pf_uuid_eq(l, launch));
    w->n_stdin++;
    keep_fd(w, fd);
}

static const struct pf_launcher_link_ops ops = {on_up, on_down, on_process, on_list_end, on_made,
                                                on_stdin};

static void link_open_as(struct world *w, const char *version)
{
    const struct pf_launcher_link_options o = {
        .dir = w->run, .program = PF_LAUNCHER_PATH, .version = version};

    assert_int_equal(pf_launcher_link_create(w->loop, &o, &ops, w, &w->link, NULL), 0);
}

static void link_open(struct world *w)
{
    link_open_as(w, NULL);
}

/* A deadline that fails the test instead of waiting for ever. */
static void on_alarm(void *ctx)
{
    (void)ctx;
    fail_msg("the launcher is silent");
}

#define UNTIL(w, cond)                                                        \
    do {                                                                      \
        struct pf_timer *alarm_ = pf_timer_create((w)->loop, PF_PRIO_NORMAL, on_alarm, (w)); \
        pf_timer_set(alarm_, pf_loop_now_ms((w)->loop) + 20000);              \
        while (!(cond)) {                                                     \
            pf_launcher_link_flush((w)->link);                                \
            assert_int_equal(pf_loop_turn((w)->loop, true, NULL), 0);         \
        }                                                                     \
        pf_timer_destroy(alarm_);                                             \
    } while (0)

static int setup(void **state)
{
    struct world *w = test_calloc(1, sizeof *w);
    struct pf_users users = {0};
    struct pf_user own;
    struct pf_sandbox_failure why;

    (void)signal(SIGCHLD, SIG_IGN);
    (void)snprintf(w->dir, sizeof w->dir, "/tmp/pf-link-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    (void)snprintf(w->run, sizeof w->run, "%s/run", w->dir);
    (void)snprintf(w->box, sizeof w->box, "%s/box", w->dir);
    assert_int_equal(mkdir(w->run, 0700), 0);
    assert_int_equal(pf_users_find(&users, PF_STR(""), 0, &own), 0);
    assert_true(pf_sandbox_make(pf_str(w->box), &own, (struct pf_bytes){NULL, 0}, &why));
    w->stdin_fd = -1;
    assert_int_equal(pf_loop_create(&w->loop, NULL), 0);
    link_open(w);
    UNTIL(w, w->n_list_ends == 1);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    UNTIL(w, w->is_up); /* a launcher that was killed has a successor */
    assert_int_equal(kill((pid_t)pf_launcher_link_pid(w->link), SIGTERM), 0);
    UNTIL(w, !w->is_up); /* it leaves before the next is looked for */
    pf_launcher_link_destroy(w->link);
    pf_loop_destroy(w->loop);
    keep_fd(w, -1);
    assert_int_equal(pf_remove_tree(w->dir, NULL), 0);
    test_free(w);
    return 0;
}

static void start(struct world *w, const char *script, bool keeps_stdin)
{
    const struct pf_str args[] = {PF_STR("sh"), PF_STR("-c"), pf_str(script)};
    const struct pf_str env[] = {PF_STR("PATH=/usr/bin:/bin")};
    const struct pf_agent_act_start a = {.launch = launch,
                                         .sandbox = pf_str(w->box),
                                         .path = PF_STR("sh"),
                                         .args = args,
                                         .n_args = 3,
                                         .env = env,
                                         .n_env = 1,
                                         .keeps_stdin = keeps_stdin};
    const struct pf_user own = {.uid = geteuid(), .gid = getegid(), .is_own = true};

    w->has_ended = false;
    pf_launcher_link_start(w->link, &a, &own);
}

static void expect_output(const struct world *w, const char *name, const char *want)
{
    char path[128];
    struct pf_buf text = {0};

    (void)snprintf(path, sizeof path, "%s/%s", w->box, name);
    assert_int_equal(pf_file_read(path, 1000, &text, NULL), 0);
    assert_string_equal(pf_buf_cstr(&text), want);
    pf_buf_fini(&text);
}

static void test_start_runs_in_its_sandbox(void **state)
{
    struct world *w = *state;
    char want[128];

    start(w, "pwd; echo e >&2; exit 4", false);
    UNTIL(w, w->has_ended);
    assert_int_equal(w->state, LauncherState_EXITED);
    assert_int_equal(w->wait_status, 4 << 8);
    assert_int_equal(w->n_made, 1);
    assert_int_equal(w->stdin_fd, -1);
    (void)snprintf(want, sizeof want, "%s\n", w->box);
    expect_output(w, "stdout", want);
    expect_output(w, "stderr", "e\n");
}

static void test_start_without_a_sandbox_fails_here(void **state)
{
    struct world *w = *state;

    assert_int_equal(rmdir(w->box), 0);
    start(w, "exit 0", true);
    UNTIL(w, w->has_ended);
    assert_int_equal(w->state, LauncherState_FAILED);
    assert_int_equal(w->error, ENOENT);
    assert_string_equal(w->stage, "stdout");
    assert_int_equal(w->n_made, 0);
    assert_int_equal(pf_launcher_link_counters(w->link)->failed_starts, 1);
}

static void test_signal_ends_what_runs_and_what_waits(void **state)
{
    struct world *w = *state;

    start(w, "exec sleep 1000", false);
    pf_launcher_link_signal(w->link, launch, SIGKILL); /* still in line */
    UNTIL(w, w->has_ended);
    assert_int_equal(w->state, LauncherState_FAILED);
    assert_int_equal(w->error, ECANCELED);
    start(w, "exec sleep 1000", false);
    UNTIL(w, w->n_started == 1);
    pf_launcher_link_signal(w->link, launch, SIGKILL);
    UNTIL(w, w->has_ended);
    assert_int_equal(w->wait_status, SIGKILL);
}

/* The agent comes again: the task runs on, and its standard input is still open. */
static void test_new_link_finds_launcher_task_and_input(void **state)
{
    struct world *w = *state;

    start(w, "read x; echo got $x; exec cat", true);
    UNTIL(w, w->n_started == 1);
    assert_true(w->stdin_fd >= 0);
    int64_t pid = pf_launcher_link_pid(w->link);
    pf_launcher_link_destroy(w->link);
    keep_fd(w, -1);
    w->is_up = false;
    w->n_started = 0;
    link_open(w);
    UNTIL(w, w->n_list_ends == 2);
    assert_int_equal(pf_launcher_link_pid(w->link), pid);
    assert_int_equal(w->n_started, 1);
    assert_true(pf_launcher_link_ask_stdin(w->link, launch));
    UNTIL(w, w->n_stdin == 1);
    assert_true(w->stdin_fd >= 0);
    assert_int_equal(write(w->stdin_fd, "it\n", 3), 3);
    keep_fd(w, -1);
    assert_true(pf_launcher_link_close_stdin(w->link, launch));
    UNTIL(w, w->has_ended);
    assert_int_equal(w->wait_status, 0);
    expect_output(w, "stdout", "got it\n");
    assert_true(pf_launcher_link_ask_stdin(w->link, launch));
    UNTIL(w, w->n_stdin == 2);
    assert_int_equal(w->stdin_fd, -1);
    pf_launcher_link_forget(w->link, launch);
}

/* The launcher is killed: its successor tells of the task, whose status nobody can know. */
static void test_killed_launcher_is_replaced(void **state)
{
    struct world *w = *state;

    start(w, "exec sleep 1000", false);
    UNTIL(w, w->n_started == 1);
    assert_int_equal(kill((pid_t)pf_launcher_link_pid(w->link), SIGKILL), 0);
    UNTIL(w, w->n_list_ends == 2);
    assert_int_equal(w->n_downs, 1);
    assert_int_equal(w->n_started, 2);
    assert_int_equal(kill(w->pid, SIGKILL), 0);
    UNTIL(w, w->has_ended);
    assert_int_equal(w->state, LauncherState_EXITED);
    assert_int_equal(w->wait_status, -1);
}

/* The same process in another program: what it ran is still its own, the status is real. */
static void test_launcher_of_another_version_is_upgraded(void **state)
{
    struct world *w = *state;

    start(w, "read x; exit 7", true);
    UNTIL(w, w->n_started == 1 && w->stdin_fd >= 0);
    int64_t pid = pf_launcher_link_pid(w->link);
    pf_launcher_link_destroy(w->link);
    w->is_up = false;
    link_open_as(w, "0.0.0");
    UNTIL(w, w->n_downs == 1 && w->is_up);
    assert_int_equal(pf_launcher_link_pid(w->link), pid);
    assert_false(w->has_ended);
    assert_true(pf_launcher_link_close_stdin(w->link, launch));
    keep_fd(w, -1);
    UNTIL(w, w->has_ended);
    assert_int_equal(w->wait_status, 7 << 8);
}

/* Under systemd: a launcher that is missing is waited for, never started. */
static void test_external_launcher_is_never_started(void **state)
{
    struct world *w = *state;
    const struct pf_launcher_link_options o = {.dir = w->run};
    pid_t pid = (pid_t)pf_launcher_link_pid(w->link);

    pf_launcher_link_destroy(w->link);
    w->is_up = false;
    assert_int_equal(pf_launcher_link_create(w->loop, &o, &ops, w, &w->link, NULL), 0);
    UNTIL(w, w->is_up);
    assert_int_equal(pf_launcher_link_pid(w->link), pid);
    assert_int_equal(kill(pid, SIGKILL), 0);
    UNTIL(w, !w->is_up);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)execl(PF_LAUNCHER_PATH, "proffer-launcher", "--dir", w->run, (char *)NULL);
        _exit(1);
    }
    UNTIL(w, w->is_up);
    assert_int_equal(pf_launcher_link_pid(w->link), pid);
    assert_int_equal(pf_launcher_link_counters(w->link)->spawned, 0);
}

static void test_missing_program_is_refused(void **state)
{
    struct world *w = *state;
    const struct pf_launcher_link_options o = {.dir = w->run, .program = "/nonexistent/launcher"};
    struct pf_launcher_link *link = NULL;
    struct pf_err err = {0};

    assert_int_equal(pf_launcher_link_create(w->loop, &o, &ops, w, &link, &err), PF_ENOENT);
    assert_non_null(strstr(err.msg, "--launcher"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_start_runs_in_its_sandbox),
        CASE(test_start_without_a_sandbox_fails_here),
        CASE(test_signal_ends_what_runs_and_what_waits),
        CASE(test_new_link_finds_launcher_task_and_input),
        CASE(test_killed_launcher_is_replaced),
        CASE(test_launcher_of_another_version_is_upgraded),
        CASE(test_external_launcher_is_never_started),
        CASE(test_missing_program_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
