/* SPDX-License-Identifier: Apache-2.0 */
/* The real proffer-launcher, driven over its socket by a controller of our own. */
#include "tests/support/launcher_client.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>

static void test_exit_and_signal_are_told(void **state)
{
    struct launcher_client c;

    (void)state;
    client_open(&c);
    struct LauncherMessage hello = client_next(&c);
    assert_int_equal(LauncherMessage_body_type(hello), LauncherBody_LauncherHello);
    struct LauncherHello h = LauncherMessage_body_as_LauncherHello(hello);
    assert_int_equal(LauncherHello_protocol(h), 1);
    assert_int_equal(LauncherHello_pid(h), c.pid);
    client_shell(&c, uuid_of(1), "exit 7");
    struct LauncherProcess p = client_report(&c, uuid_of(1));
    assert_int_equal(LauncherProcess_state(p), LauncherState_RUNNING);
    assert_true(LauncherProcess_pid(p) > 0);
    assert_true(LauncherProcess_start_time(p) > 0);
    p = client_end(&c, uuid_of(1));
    assert_int_equal(LauncherProcess_state(p), LauncherState_EXITED);
    assert_true(WIFEXITED(LauncherProcess_wait_status(p)));
    assert_int_equal(WEXITSTATUS(LauncherProcess_wait_status(p)), 7);
    assert_true(LauncherProcess_ended_ms(p) >= LauncherProcess_started_ms(p));
    client_shell(&c, uuid_of(2), "kill -TERM $$");
    p = client_end(&c, uuid_of(2));
    assert_true(WIFSIGNALED(LauncherProcess_wait_status(p)));
    assert_int_equal(WTERMSIG(LauncherProcess_wait_status(p)), SIGTERM);
    client_shell(&c, uuid_of(3), "exec sleep 1000");
    p = client_report(&c, uuid_of(3));
    assert_int_equal(getsid((pid_t)LauncherProcess_pid(p)), LauncherProcess_pid(p));
    client_signal(&c, uuid_of(3), SIGUSR1);
    p = client_end(&c, uuid_of(3));
    assert_int_equal(WTERMSIG(LauncherProcess_wait_status(p)), SIGUSR1);
    client_finish(&c);
}

static void test_output_environment_and_directory_are_as_asked(void **state)
{
    struct launcher_client c;
    char out[300];
    char text[512];
    char want[512];

    (void)state;
    client_open(&c);
    (void)snprintf(out, sizeof out, "%s/out", c.dir);
    client_start(&c, &(struct start_spec){
                         .uuid = uuid_of(1),
                         .path = "sh",
                         .args = {"sh", "-c", "pwd; echo $A; env | grep -c .; trap; ulimit -n"},
                         .env = {"A=b c", "PATH=/bin:/usr/bin"},
                         .cwd = c.dir,
                         .out = out,
                         .search_path = "/nonexistent:/usr/bin:/bin"});
    struct LauncherProcess p = client_end(&c, uuid_of(1));
    assert_int_equal(LauncherProcess_wait_status(p), 0);
    client_read_file(&c, "out", text, sizeof text);
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    /* A, PATH, PWD of the shell, and the launch's mark; the limit is ours, not the raised one. */
    (void)snprintf(want, sizeof want, "%s\nb c\n4\n%llu\n", c.dir,
                   (unsigned long long)limit.rlim_cur);
    if (limit.rlim_cur == RLIM_INFINITY) {
        (void)snprintf(want, sizeof want, "%s\nb c\n4\nunlimited\n", c.dir);
    }
    assert_string_equal(text, want);
    client_finish(&c);
}

static void expect_failure(struct launcher_client *c, const struct start_spec *s, int error,
                           const char *stage)
{
    client_start(c, s);
    struct LauncherProcess p = client_end(c, s->uuid);
    assert_int_equal(LauncherProcess_state(p), LauncherState_FAILED);
    assert_int_equal(LauncherProcess_error(p), error);
    assert_true(pf_str_is(LauncherProcess_stage(p), stage));
    assert_int_equal(LauncherProcess_pid(p), 0);
}

static void test_failures_tell_errno_and_stage(void **state)
{
    struct launcher_client c;
    struct start_spec s = {.path = "/nonexistent/x", .args = {"x"}};

    (void)state;
    client_open(&c);
    s.uuid = uuid_of(1);
    expect_failure(&c, &s, ENOENT, "exec");
    s.uuid = uuid_of(2);
    s.path = "/etc/passwd";
    expect_failure(&c, &s, EACCES, "exec");
    s.uuid = uuid_of(3);
    s.path = "no-such-program";
    s.search_path = "/usr/bin:/bin";
    expect_failure(&c, &s, ENOENT, "exec");
    s.uuid = uuid_of(4);
    s.path = "passwd";
    s.search_path = "/etc:/nonexistent";
    expect_failure(&c, &s, EACCES, "exec");
    s.uuid = uuid_of(5);
    s.path = "/bin/true";
    s.cwd = "/nonexistent";
    expect_failure(&c, &s, ENOENT, "chdir");
    s.uuid = uuid_of(6);
    s.cwd = "/";
    s.args[0] = NULL;
    expect_failure(&c, &s, EINVAL, "request");
    client_finish(&c);
}

/* As root the ids change; without the right to, the failure names the stage. */
static void test_ids_are_set_or_the_failure_named(void **state)
{
    struct launcher_client c;
    char out[300];
    char text[128];

    (void)state;
    client_open(&c);
    (void)snprintf(out, sizeof out, "%s/out", c.dir);
    struct start_spec s = {.uuid = uuid_of(1),
                           .path = "/bin/sh",
                           .args = {"sh", "-c", "id -u; id -g; id -G"},
                           .out = out,
                           .env = {"PATH=/usr/bin:/bin"},
                           .set_ids = true,
                           .uid = 65534,
                           .gid = 65534};
    if (geteuid() == 0) {
        client_start(&c, &s);
        struct LauncherProcess p = client_end(&c, s.uuid);
        assert_int_equal(LauncherProcess_wait_status(p), 0);
        client_read_file(&c, "out", text, sizeof text);
        assert_string_equal(text, "65534\n65534\n65534\n");
        s.uuid = uuid_of(2);
        s.cwd = "/root";
        assert_int_equal(access("/root", F_OK), 0);
    }
    expect_failure(&c, &s, geteuid() == 0 ? EACCES : EPERM, geteuid() == 0 ? "chdir" : "groups");
    client_finish(&c);
}

/* A file without a magic number is a script; a name without '/' is found in the directory too. */
static void test_scripts_and_programs_of_the_directory_run(void **state)
{
    struct launcher_client c;
    char path[300];

    (void)state;
    client_open(&c);
    (void)snprintf(path, sizeof path, "%s/tool", c.dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    assert_int_equal(write(fd, "exit $1\n", 8), 8);
    assert_int_equal(close(fd), 0);
    client_start(&c, &(struct start_spec){.uuid = uuid_of(1),
                                          .path = "tool",
                                          .args = {"tool", "42"},
                                          .cwd = c.dir,
                                          .search_path = "/usr/bin:/bin"});
    struct LauncherProcess p = client_end(&c, uuid_of(1));
    assert_int_equal(LauncherProcess_wait_status(p), 42 << 8);
    client_finish(&c);
}

/* Waits for the end of the pipe: the last holder of its write end is gone. */
static void expect_pipe_end(int fd)
{
    char byte[64];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    ssize_t n;

    do {
        assert_int_equal(poll(&p, 1, CLIENT_WAIT_MS), 1);
        n = read(fd, byte, sizeof byte);
        assert_true(n >= 0);
    } while (n > 0);
}

/* Starts `script` with a pipe as its stdout that every descendant holds; the read end. */
static int start_with_pipe(struct launcher_client *c, struct pf_uuid uuid, const char *script)
{
    struct pf_buf out = {0};
    int fds[4];
    int pipe_fd[2];
    struct start_spec s = {.uuid = uuid,
                           .path = "/bin/sh",
                           .args = {"sh", "-c", script},
                           .env = {"PATH=/usr/bin:/bin"}};

    uint32_t n = client_start_frame(c, &s, &out, fds);
    assert_int_equal(pipe2(pipe_fd, O_CLOEXEC), 0);
    assert_int_equal(close(fds[1]), 0);
    fds[1] = pipe_fd[1];
    client_send_bytes(c, out.data, out.len, fds, n);
    close_fds(fds, n);
    pf_buf_fini(&out);
    return pipe_fd[0];
}

/* Children in the group, and one that made a session of its own, end with their launch. */
static void test_descendants_end_with_the_launch(void **state)
{
    struct launcher_client c;

    (void)state;
    client_open(&c);
    int fd = start_with_pipe(&c, uuid_of(1), "sleep 1000 & sleep 1000 & exit 3");
    struct LauncherProcess p = client_end(&c, uuid_of(1));
    assert_int_equal(LauncherProcess_wait_status(p), 3 << 8);
    expect_pipe_end(fd);
    assert_int_equal(close(fd), 0);
    fd = start_with_pipe(&c, uuid_of(2), "setsid sleep 1000 & exit 4");
    p = client_end(&c, uuid_of(2));
    assert_int_equal(LauncherProcess_wait_status(p), 4 << 8);
    expect_pipe_end(fd);
    assert_int_equal(close(fd), 0);
    client_finish(&c);
}

static void test_newer_controller_replaces_the_older(void **state)
{
    struct launcher_client c;

    (void)state;
    client_open(&c);
    client_shell(&c, uuid_of(1), "exec sleep 1000");
    (void)client_report(&c, uuid_of(1));
    int older = c.fd;
    client_connect(&c);
    int newer = c.fd;
    c.fd = older;
    assert_true(client_is_closed(&c));
    client_close(&c);
    c.fd = newer;
    pf_buf_clear(&c.in);
    client_list(&c);
    struct LauncherProcess p = client_report(&c, uuid_of(1));
    assert_int_equal(LauncherProcess_state(p), LauncherState_RUNNING);
    client_finish(&c);
}

/* The agent dies; what ends meanwhile is told to its successor with its real status. */
static void test_end_without_a_controller_is_kept(void **state)
{
    struct launcher_client c;

    (void)state;
    client_open(&c);
    int fd = start_with_pipe(&c, uuid_of(1), "read x; exit 9");
    client_shell(&c, uuid_of(2), "exec sleep 1000");
    (void)client_report(&c, uuid_of(2));
    client_close(&c);
    expect_pipe_end(fd);
    assert_int_equal(close(fd), 0);
    client_connect(&c);
    /* The pipe's end is seen before the launcher has reaped: it lists until it has. */
    struct LauncherProcess p;
    do {
        client_list(&c);
        p = client_report(&c, uuid_of(1));
    } while (LauncherProcess_state(p) == LauncherState_RUNNING);
    assert_int_equal(LauncherProcess_wait_status(p), 9 << 8);
    client_forget(&c, uuid_of(1));
    client_forget(&c, uuid_of(2)); /* lives: must stay */
    struct LauncherMessage m;
    do {
        m = client_next(&c);
    } while (LauncherMessage_body_type(m) != LauncherBody_LauncherListEnd);
    client_list(&c);
    uint32_t n = 0;
    do {
        m = client_next(&c);
        n += LauncherMessage_body_type(m) == LauncherBody_LauncherProcess ? 1 : 0;
    } while (LauncherMessage_body_type(m) != LauncherBody_LauncherListEnd || n == 0);
    assert_int_equal(LauncherListEnd_n(LauncherMessage_body_as_LauncherListEnd(m)), 1);
    client_finish(&c);
}

static void test_second_start_of_a_launch_starts_nothing(void **state)
{
    struct launcher_client c;
    char out[300];
    char text[64];

    (void)state;
    client_open(&c);
    (void)snprintf(out, sizeof out, "%s/out", c.dir);
    struct start_spec s = {
        .uuid = uuid_of(1), .path = "/bin/sh", .args = {"sh", "-c", "echo once"}, .out = out};
    client_start(&c, &s);
    client_start(&c, &s);
    (void)client_end(&c, uuid_of(1));
    client_start(&c, &s);
    struct LauncherProcess p = client_end(&c, uuid_of(1));
    assert_int_equal(LauncherProcess_state(p), LauncherState_EXITED);
    client_read_file(&c, "out", text, sizeof text);
    assert_string_equal(text, "once\n");
    client_finish(&c);
}

static void test_stdin_is_kept_over_a_reconnect(void **state)
{
    struct launcher_client c;
    char out[300];
    char text[64];

    (void)state;
    client_open(&c);
    (void)snprintf(out, sizeof out, "%s/out", c.dir);
    client_start(&c, &(struct start_spec){.uuid = uuid_of(1),
                                          .path = "/bin/cat",
                                          .args = {"cat"},
                                          .out = out,
                                          .keeps_stdin = true});
    struct LauncherProcess p = client_report(&c, uuid_of(1));
    assert_true(LauncherProcess_has_stdin(p));
    client_close(&c);
    client_connect(&c);
    pf_fb_builder_reset(&c.b);
    struct pf_uuid id = uuid_of(1);
    struct LauncherStdin__args get = {.uuid = {id.b, 16}};
    client_send(&c, LauncherBody_LauncherStdin, LauncherStdin__put(&c.b, &get), NULL, 0);
    p = client_report(&c, uuid_of(1));
    assert_int_equal(LauncherProcess_state(p), LauncherState_RUNNING);
    assert_true(c.got_fd >= 0);
    assert_int_equal(write(c.got_fd, "hello\n", 6), 6);
    assert_int_equal(close(c.got_fd), 0);
    c.got_fd = -1;
    pf_fb_builder_reset(&c.b);
    struct LauncherStdinClose__args end = {.uuid = {id.b, 16}};
    client_send(&c, LauncherBody_LauncherStdinClose, LauncherStdinClose__put(&c.b, &end), NULL, 0);
    p = client_end(&c, id);
    assert_int_equal(LauncherProcess_wait_status(p), 0);
    assert_false(LauncherProcess_has_stdin(p));
    client_read_file(&c, "out", text, sizeof text);
    assert_string_equal(text, "hello\n");
    client_finish(&c);
}

static uint32_t count_fds(pid_t pid)
{
    char path[64];
    uint32_t n = 0;

    (void)snprintf(path, sizeof path, "/proc/%ld/fd", (long)pid);
    DIR *d = opendir(path);
    assert_non_null(d);
    while (readdir(d) != NULL) {
        n++;
    }
    assert_int_equal(closedir(d), 0);
    return n;
}

/* A thousand starts, many in one message, all told; no descriptor is left behind. */
static void test_thousand_processes_leave_nothing(void **state)
{
    enum { N = 1000, PACK = 50 };
    struct launcher_client c;
    struct pf_buf out = {0};
    uint32_t n_ended = 0;

    (void)state;
    client_open(&c);
    client_shell(&c, uuid_of(0), "exit 0");
    (void)client_end(&c, uuid_of(0));
    uint32_t before = count_fds(c.pid);
    for (uint32_t i = 0; i < N; i += PACK) {
        int fds[4 * PACK];
        uint32_t n_fds = 0;
        pf_buf_clear(&out);
        for (uint32_t k = 0; k < PACK; k++) {
            struct start_spec s = {
                .uuid = uuid_of(1 + i + k), .path = "/bin/true", .args = {"true"}};
            n_fds += client_start_frame(&c, &s, &out, fds + n_fds);
        }
        client_send_bytes(&c, out.data, out.len, fds, n_fds);
        close_fds(fds, n_fds);
    }
    while (n_ended < N) {
        struct LauncherMessage m = client_next(&c);
        assert_int_equal(LauncherMessage_body_type(m), LauncherBody_LauncherProcess);
        struct LauncherProcess p = LauncherMessage_body_as_LauncherProcess(m);
        if (LauncherProcess_state(p) != LauncherState_RUNNING) {
            assert_int_equal(LauncherProcess_state(p), LauncherState_EXITED);
            assert_int_equal(LauncherProcess_wait_status(p), 0);
            n_ended++;
        }
    }
    for (uint32_t i = 0; i < N; i++) {
        client_forget(&c, uuid_of(1 + i));
    }
    client_list(&c);
    (void)client_report(&c, uuid_of(0));
    assert_int_equal(count_fds(c.pid), before);
    pf_buf_fini(&out);
    client_finish(&c);
}

/* How many bytes the list of the launcher's children has; 0 = it has none. */
static ssize_t children_bytes(pid_t pid)
{
    char path[64];
    char text[64];

    (void)snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", (long)pid, (long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t n = read(fd, text, sizeof text);
    assert_true(n >= 0);
    assert_int_equal(close(fd), 0);
    return n;
}

/* More orphans that end at once than one read of the list of children tells are all reaped, with
 * nothing else that happens. */
static void test_crowd_of_orphans_is_reaped(void **state)
{
    enum { STEP_MS = 10 };
    struct launcher_client c;
    int waited_ms = 0;

    (void)state;
    client_open(&c);
    client_shell(&c, uuid_of(1),
                 "sleep 1000 | { exec 3<&0; i=0; while [ $i -lt 2000 ]; do read x <&3 & "
                 "i=$((i+1)); done; kill -9 0; }");
    struct LauncherProcess p = client_end(&c, uuid_of(1));
    assert_int_equal(LauncherProcess_wait_status(p), SIGKILL);
    while (children_bytes(c.pid) > 0) {
        assert_true(waited_ms < CLIENT_WAIT_MS);
        (void)poll(NULL, 0, STEP_MS); /* nothing tells when a stranger's child is reaped */
        waited_ms += STEP_MS;
    }
    client_finish(&c);
}

static void expect_closed_by(struct launcher_client *c, const void *bytes, size_t len)
{
    client_connect(c);
    client_send_bytes(c, bytes, len, NULL, 0);
    while (!client_is_closed(c)) {
    }
    client_close(c);
}

static void test_garbage_closes_only_the_link(void **state)
{
    struct launcher_client c;
    struct pf_buf frame = {0};
    int fds[4];

    (void)state;
    client_open(&c);
    client_shell(&c, uuid_of(1), "exec sleep 1000");
    (void)client_report(&c, uuid_of(1));
    uint32_t before = count_fds(c.pid);
    client_close(&c);
    expect_closed_by(&c, "\xff\xff\xff\xff", 4);
    expect_closed_by(&c, "\0\0\0\0", 4);
    expect_closed_by(&c, "\x10\0\0\0................", 20);
    /* A whole Start, but without its descriptors. */
    struct start_spec s = {.uuid = uuid_of(2), .path = "/bin/true", .args = {"true"}};
    uint32_t n = client_start_frame(&c, &s, &frame, fds);
    close_fds(fds, n);
    expect_closed_by(&c, frame.data, frame.len);
    pf_buf_fini(&frame);
    client_connect(&c);
    client_list(&c);
    struct LauncherProcess p = client_report(&c, uuid_of(1));
    assert_int_equal(LauncherProcess_state(p), LauncherState_RUNNING);
    assert_int_equal(count_fds(c.pid), before);
    client_finish(&c);
}

/* The launcher is killed: its successor knows what had ended, what was started and failed, and
 * watches what still runs, though its status is nobody's any more. */
static void test_successor_of_a_killed_launcher_goes_on(void **state)
{
    struct launcher_client c;

    (void)state;
    client_open(&c);
    client_shell(&c, uuid_of(1), "exit 5");
    (void)client_end(&c, uuid_of(1));
    struct start_spec bad = {.uuid = uuid_of(2), .path = "/nonexistent", .args = {"x"}};
    expect_failure(&c, &bad, ENOENT, "exec");
    int fd = start_with_pipe(&c, uuid_of(3), "exec sleep 1000");
    pid_t pid = (pid_t)LauncherProcess_pid(client_report(&c, uuid_of(3)));
    client_shell(&c, uuid_of(4), "exit 0");
    (void)client_end(&c, uuid_of(4));
    client_forget(&c, uuid_of(4));
    client_list(&c);
    while (LauncherMessage_body_type(client_next(&c)) != LauncherBody_LauncherListEnd) {
    }
    assert_int_equal(kill(c.pid, SIGKILL), 0);
    (void)client_wait(&c);
    client_close(&c);
    client_spawn(&c);
    client_list(&c);
    bool seen[5] = {false};
    for (;;) {
        struct LauncherMessage m = client_next(&c);
        if (LauncherMessage_body_type(m) == LauncherBody_LauncherListEnd) {
            break;
        }
        if (LauncherMessage_body_type(m) == LauncherBody_LauncherProcess) {
            struct LauncherProcess p = LauncherMessage_body_as_LauncherProcess(m);
            uint32_t i;
            memcpy(&i, LauncherProcess_uuid(p).at + 12, sizeof i);
            assert_true(i < 5);
            seen[i] = true;
            /* That the fourth was forgotten may be lost: the agent says so again. */
            static const enum LauncherState want[] = {LauncherState_UNKNOWN, LauncherState_EXITED,
                                                      LauncherState_FAILED, LauncherState_RUNNING,
                                                      LauncherState_EXITED};
            assert_int_equal(LauncherProcess_state(p), want[i]);
            assert_int_equal(LauncherProcess_wait_status(p), i == 1 ? 5 << 8 : 0);
            assert_int_equal(LauncherProcess_error(p), i == 2 ? ENOENT : 0);
            assert_true(i != 3 || LauncherProcess_pid(p) == pid);
        }
    }
    assert_true(seen[1] && seen[2] && seen[3]);
    client_signal(&c, uuid_of(3), SIGKILL);
    struct LauncherProcess end = client_end(&c, uuid_of(3));
    assert_int_equal(LauncherProcess_state(end), LauncherState_EXITED);
    assert_int_equal(LauncherProcess_wait_status(end), -1);
    expect_pipe_end(fd);
    assert_int_equal(close(fd), 0);
    client_finish(&c);
}

static void test_second_launcher_of_a_directory_is_refused(void **state)
{
    struct launcher_client c;
    struct launcher_client second;

    (void)state;
    client_open(&c);
    (void)client_next(&c);
    second = c;
    second.in = (struct pf_buf){0};
    client_spawn(&second);
    assert_true(client_is_closed(&second));
    int status = client_wait(&second);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 3);
    client_close(&second);
    client_shell(&c, uuid_of(1), "exit 0");
    (void)client_end(&c, uuid_of(1));
    client_finish(&c);
}

static void test_quit_waits_for_the_last_process(void **state)
{
    struct launcher_client c;

    (void)state;
    client_open(&c);
    client_start(&c,
                 &(struct start_spec){
                     .uuid = uuid_of(1), .path = "/bin/cat", .args = {"cat"}, .keeps_stdin = true});
    (void)client_report(&c, uuid_of(1));
    client_quit(&c, false);
    struct pf_uuid id = uuid_of(1);
    pf_fb_builder_reset(&c.b);
    struct LauncherStdinClose__args end = {.uuid = {id.b, 16}};
    client_send(&c, LauncherBody_LauncherStdinClose, LauncherStdinClose__put(&c.b, &end), NULL, 0);
    assert_int_equal(LauncherProcess_wait_status(client_end(&c, id)), 0);
    assert_true(client_is_closed(&c));
    assert_int_equal(client_wait(&c), 0);
    client_finish(&c);
}

static void test_sigterm_ends_it_and_its_processes(void **state)
{
    struct launcher_client c;

    (void)state;
    client_open(&c);
    int fd = start_with_pipe(&c, uuid_of(1), "trap '' TERM; echo; while :; do sleep 1000; done");
    (void)client_report(&c, uuid_of(1));
    assert_int_equal(kill(c.pid, SIGTERM), 0);
    assert_int_equal(WTERMSIG(LauncherProcess_wait_status(client_end(&c, uuid_of(1)))), SIGKILL);
    assert_int_equal(client_wait(&c), 0);
    expect_pipe_end(fd);
    assert_int_equal(close(fd), 0);
    client_finish(&c);
}

/* Its directory is removed and nobody is connected: nobody will ever reach it again. */
static void test_launcher_ends_with_its_directory(void **state)
{
    struct launcher_client c;
    char path[300];

    (void)state;
    client_open(&c);
    int fd = start_with_pipe(&c, uuid_of(1), "exec sleep 1000");
    (void)client_report(&c, uuid_of(1));
    (void)snprintf(path, sizeof path, "%s/launcher.sock", c.dir);
    assert_int_equal(unlink(path), 0);
    client_signal(&c, uuid_of(99), SIGTERM); /* unknown: ignored */
    client_list(&c);
    (void)client_report(&c, uuid_of(1)); /* the connected controller is still obeyed */
    client_close(&c);
    assert_int_equal(client_wait(&c), 0);
    expect_pipe_end(fd);
    assert_int_equal(close(fd), 0);
    client_finish(&c);
}

static void test_directory_with_a_long_path_works(void **state)
{
    struct launcher_client c;
    char long_dir[sizeof c.dir + 160];

    (void)state;
    client_open(&c);
    client_quit(&c, true);
    while (!client_is_closed(&c)) {
    }
    assert_int_equal(client_wait(&c), 0);
    client_close(&c);
    (void)snprintf(long_dir, sizeof long_dir, "%s/%0150d", c.dir, 0);
    assert_int_equal(mkdir(long_dir, 0700), 0);
    struct launcher_client deep = {.got_fd = -1};
    assert_true(strlen(long_dir) < sizeof deep.dir);
    memcpy(deep.dir, long_dir, strlen(long_dir) + 1);
    pf_fb_builder_init(&deep.b, NULL);
    client_spawn(&deep);
    (void)client_next(&deep);
    client_close(&deep);
    client_connect(&deep);
    client_shell(&deep, uuid_of(1), "exit 0");
    (void)client_end(&deep, uuid_of(1));
    client_finish(&deep);
    client_finish(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exit_and_signal_are_told),
        cmocka_unit_test(test_output_environment_and_directory_are_as_asked),
        cmocka_unit_test(test_failures_tell_errno_and_stage),
        cmocka_unit_test(test_ids_are_set_or_the_failure_named),
        cmocka_unit_test(test_scripts_and_programs_of_the_directory_run),
        cmocka_unit_test(test_descendants_end_with_the_launch),
        cmocka_unit_test(test_newer_controller_replaces_the_older),
        cmocka_unit_test(test_end_without_a_controller_is_kept),
        cmocka_unit_test(test_second_start_of_a_launch_starts_nothing),
        cmocka_unit_test(test_stdin_is_kept_over_a_reconnect),
        cmocka_unit_test(test_thousand_processes_leave_nothing),
        cmocka_unit_test(test_crowd_of_orphans_is_reaped),
        cmocka_unit_test(test_garbage_closes_only_the_link),
        cmocka_unit_test(test_successor_of_a_killed_launcher_goes_on),
        cmocka_unit_test(test_second_launcher_of_a_directory_is_refused),
        cmocka_unit_test(test_quit_waits_for_the_last_process),
        cmocka_unit_test(test_sigterm_ends_it_and_its_processes),
        cmocka_unit_test(test_launcher_ends_with_its_directory),
        cmocka_unit_test(test_directory_with_a_long_path_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
