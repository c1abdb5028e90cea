/* SPDX-License-Identifier: Apache-2.0 */
/* What the real proffer-launcher gives a child besides its files: a terminal, limits. */
#include "tests/support/launcher_client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

/* All that comes until the other side is closed by everybody. */
static void read_all(int fd, char *out, size_t out_bytes)
{
    size_t have = 0;
    struct pollfd p = {.fd = fd, .events = POLLIN};

    for (;;) {
        assert_int_equal(poll(&p, 1, CLIENT_WAIT_MS), 1);
        ssize_t n = read(fd, out + have, out_bytes - 1 - have);
        if (n <= 0) {
            assert_true(n == 0 || errno == EIO);
            break;
        }
        have += (size_t)n;
    }
    out[have] = '\0';
}

static void test_terminal_is_the_sessions_own(void **state)
{
    struct launcher_client c;
    char text[512];

    (void)state;
    client_open(&c);
    client_start(&c,
                 &(struct start_spec){.uuid = uuid_of(1),
                                      .path = "/bin/sh",
                                      .args = {"sh", "-c",
                                               "stty size; [ -t 2 ] && ps -o tty= -p $$ | grep -c "
                                               "pts; echo to-tty >/dev/tty"},
                                      .env = {"PATH=/usr/bin:/bin"},
                                      .keeps_stdin = true,
                                      .terminal = true,
                                      .rows = 33,
                                      .columns = 101});
    struct LauncherProcess p = client_end(&c, uuid_of(1));
    assert_int_equal(LauncherProcess_state(p), LauncherState_EXITED);
    assert_int_equal(LauncherProcess_wait_status(p), 0);
    read_all(c.got_fd, text, sizeof text);
    assert_string_equal(text, "33 101\r\n1\r\nto-tty\r\n");
    client_finish(&c);
}

/* When nobody holds the other side any more, the session is hung up. */
static void test_closed_terminal_hangs_up(void **state)
{
    struct launcher_client c;

    (void)state;
    client_open(&c);
    client_start(&c, &(struct start_spec){.uuid = uuid_of(1),
                                          .path = "/bin/cat",
                                          .args = {"cat"},
                                          .keeps_stdin = true,
                                          .terminal = true});
    (void)client_report(&c, uuid_of(1));
    assert_int_equal(close(c.got_fd), 0);
    c.got_fd = -1;
    struct pf_uuid id = uuid_of(1);
    pf_fb_builder_reset(&c.b);
    struct LauncherStdinClose__args end = {.uuid = {id.b, 16}};
    client_send(&c, LauncherBody_LauncherStdinClose, LauncherStdinClose__put(&c.b, &end), NULL, 0);
    struct LauncherProcess p = client_end(&c, id);
    assert_true(WIFSIGNALED(LauncherProcess_wait_status(p)));
    assert_int_equal(WTERMSIG(LauncherProcess_wait_status(p)), SIGHUP);
    client_finish(&c);
}

/* The first descriptor is no terminal. */
static void test_terminal_that_is_none_is_named(void **state)
{
    struct launcher_client c;
    int fds[4];
    struct pf_buf frame = {0};

    (void)state;
    client_open(&c);
    struct start_spec s = {
        .uuid = uuid_of(1), .path = "/bin/true", .args = {"true"}, .terminal = true};
    uint32_t n = client_start_frame(&c, &s, &frame, fds);
    assert_int_equal(close(fds[0]), 0);
    fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    client_send_bytes(&c, frame.data, frame.len, fds, n);
    close_fds(fds, n);
    pf_buf_fini(&frame);
    struct LauncherProcess p = client_end(&c, uuid_of(1));
    assert_int_equal(LauncherProcess_state(p), LauncherState_FAILED);
    assert_int_equal(LauncherProcess_error(p), ENOTTY);
    assert_true(pf_str_is(LauncherProcess_stage(p), "tty"));
    client_finish(&c);
}

static void test_limits_are_set_or_the_failure_named(void **state)
{
    const struct LauncherRlimit__args some[] = {
        {.resource = RLIMIT_CORE, .soft = 0, .hard = UINT64_MAX},
        {.resource = RLIMIT_NOFILE, .soft = 77, .hard = 88},
        {.resource = RLIMIT_CPU, .soft = 1000, .hard = 2000}};
    const struct LauncherRlimit__args wrong = {.resource = RLIMIT_NOFILE, .soft = 9, .hard = 8};
    struct launcher_client c;
    struct rlimit core;
    char out[300];
    char text[128];

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_CORE, &core), 0);
    client_open(&c);
    (void)snprintf(out, sizeof out, "%s/out", c.dir);
    struct start_spec s = {
        .uuid = uuid_of(1),
        .path = "/bin/sh",
        .args = {"sh", "-c", "ulimit -Sc; ulimit -Sn; ulimit -Hn; ulimit -St; ulimit -Ht"},
        .out = out,
        .rlimits = core.rlim_max == RLIM_INFINITY ? some : some + 1,
        .n_rlimits = core.rlim_max == RLIM_INFINITY ? 3 : 2};
    client_start(&c, &s);
    struct LauncherProcess p = client_end(&c, uuid_of(1));
    assert_int_equal(LauncherProcess_wait_status(p), 0);
    client_read_file(&c, "out", text, sizeof text);
    assert_string_equal(strchr(text, '\n'), "\n77\n88\n1000\n2000\n");
    s.uuid = uuid_of(2);
    s.rlimits = &wrong;
    s.n_rlimits = 1;
    client_start(&c, &s);
    p = client_end(&c, uuid_of(2));
    assert_int_equal(LauncherProcess_state(p), LauncherState_FAILED);
    assert_int_equal(LauncherProcess_error(p), EINVAL);
    assert_true(pf_str_is(LauncherProcess_stage(p), "limit"));
    client_finish(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_terminal_is_the_sessions_own),
        cmocka_unit_test(test_closed_terminal_hangs_up),
        cmocka_unit_test(test_terminal_that_is_none_is_named),
        cmocka_unit_test(test_limits_are_set_or_the_failure_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
