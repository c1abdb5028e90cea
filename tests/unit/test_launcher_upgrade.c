/* SPDX-License-Identifier: Apache-2.0 */
/* The real proffer-launcher replaces itself: same process, its children stay its own. */
#include "tests/support/launcher_client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

static void upgrade(struct launcher_client *c, const char *path)
{
    pf_fb_builder_reset(&c->b);
    struct LauncherUpgrade__args a = {.path = pf_str(path)};
    client_send(c, LauncherBody_LauncherUpgrade, LauncherUpgrade__put(&c->b, &a), NULL, 0);
}

/* The program that it runs now. */
static void upgrade_to_itself(struct launcher_client *c)
{
    char path[64];
    char program[4096];

    (void)snprintf(path, sizeof path, "/proc/%ld/exe", (long)c->pid);
    ssize_t n = readlink(path, program, sizeof program - 1);
    assert_true(n > 0);
    program[n] = '\0';
    upgrade(c, program);
    while (!client_is_closed(c)) {
    }
    client_close(c);
}

static bool hello_of(struct launcher_client *c, char instance[64])
{
    struct LauncherMessage m = client_next(c);

    if (m.tab.p == NULL) {
        return false;
    }
    assert_int_equal(LauncherMessage_body_type(m), LauncherBody_LauncherHello);
    struct LauncherHello h = LauncherMessage_body_as_LauncherHello(m);
    assert_int_equal(LauncherHello_pid(h), c->pid);
    (void)snprintf(instance, 64, "%.*s", PF_STR_ARG(LauncherHello_instance(h)));
    return true;
}

/* Its socket is away for a moment, and who waits at the old one is sent away. */
static void connect_again(struct launcher_client *c, char instance[64])
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    assert_true(snprintf(at.sun_path, sizeof at.sun_path, "%s/launcher.sock", c->dir) <
                (int)sizeof at.sun_path);
    for (int tries = 0;; tries++) {
        assert_true(tries < CLIENT_WAIT_MS);
        c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(c->fd >= 0);
        pf_buf_clear(&c->in);
        if (connect(c->fd, (const struct sockaddr *)&at, sizeof at) == 0 && hello_of(c, instance)) {
            return;
        }
        client_close(c);
        (void)poll(NULL, 0, 1);
    }
}

/* One runs on with its standard input, one ended and was not forgotten, one ends while nobody is
 * connected: real statuses of all, from the same instance. */
static void test_upgrade_keeps_children_and_pipes(void **state)
{
    struct launcher_client c;
    char before[64];
    char after[64];
    char out[300];
    char text[64];
    int go[2];

    (void)state;
    client_open(&c);
    assert_true(hello_of(&c, before));
    (void)snprintf(out, sizeof out, "%s/out", c.dir);
    client_start(&c, &(struct start_spec){.uuid = uuid_of(1),
                                          .path = "/bin/cat",
                                          .args = {"cat"},
                                          .out = out,
                                          .keeps_stdin = true});
    (void)client_report(&c, uuid_of(1));
    client_shell(&c, uuid_of(2), "exit 7");
    (void)client_end(&c, uuid_of(2));
    assert_int_equal(pipe2(go, O_CLOEXEC), 0);
    struct pf_buf frame = {0};
    int fds[4];
    struct start_spec s = {
        .uuid = uuid_of(3), .path = "/bin/sh", .args = {"sh", "-c", "read x; exit 8"}};
    uint32_t n = client_start_frame(&c, &s, &frame, fds);
    assert_int_equal(close(fds[0]), 0);
    fds[0] = go[0];
    client_send_bytes(&c, frame.data, frame.len, fds, n);
    close_fds(fds, n);
    pf_buf_fini(&frame);
    (void)client_report(&c, uuid_of(3));
    upgrade_to_itself(&c);
    assert_int_equal(close(go[1]), 0);
    connect_again(&c, after);
    assert_string_equal(before, after);
    client_list(&c);
    struct LauncherProcess p = client_end(&c, uuid_of(2));
    assert_int_equal(LauncherProcess_wait_status(p), 7 << 8);
    client_list(&c);
    p = client_end(&c, uuid_of(3));
    assert_int_equal(LauncherProcess_wait_status(p), 8 << 8);
    struct pf_uuid id = uuid_of(1);
    pf_fb_builder_reset(&c.b);
    struct LauncherStdin__args get = {.uuid = {id.b, 16}};
    client_send(&c, LauncherBody_LauncherStdin, LauncherStdin__put(&c.b, &get), NULL, 0);
    while (c.got_fd < 0) {
        p = client_report(&c, id);
        assert_int_equal(LauncherProcess_state(p), LauncherState_RUNNING);
    }
    assert_int_equal(write(c.got_fd, "hello\n", 6), 6);
    assert_int_equal(close(c.got_fd), 0);
    c.got_fd = -1;
    pf_fb_builder_reset(&c.b);
    struct LauncherStdinClose__args end = {.uuid = {id.b, 16}};
    client_send(&c, LauncherBody_LauncherStdinClose, LauncherStdinClose__put(&c.b, &end), NULL, 0);
    p = client_end(&c, id);
    assert_int_equal(LauncherProcess_wait_status(p), 0);
    client_read_file(&c, "out", text, sizeof text);
    assert_string_equal(text, "hello\n");
    client_finish(&c);
}

/* Again and again, also by signal, and the lock holds all the time. */
static void test_upgraded_launcher_holds_its_lock(void **state)
{
    struct launcher_client c;
    struct launcher_client second;
    char instance[64];

    (void)state;
    client_open(&c);
    assert_true(hello_of(&c, instance));
    for (int i = 0; i < 3; i++) {
        if (i == 1) {
            assert_int_equal(kill(c.pid, SIGHUP), 0);
            while (!client_is_closed(&c)) {
            }
            client_close(&c);
        } else {
            upgrade_to_itself(&c);
        }
        connect_again(&c, instance);
    }
    second = c;
    second.in = (struct pf_buf){0};
    client_spawn(&second);
    assert_true(client_is_closed(&second));
    assert_int_equal(WEXITSTATUS(client_wait(&second)), 3);
    client_close(&second);
    client_shell(&c, uuid_of(1), "exit 0");
    assert_int_equal(LauncherProcess_wait_status(client_end(&c, uuid_of(1))), 0);
    client_finish(&c);
}

static void test_program_that_cannot_run_changes_nothing(void **state)
{
    struct launcher_client c;
    char instance[64];

    (void)state;
    client_open(&c);
    assert_true(hello_of(&c, instance));
    upgrade(&c, "/nonexistent/launcher");
    upgrade(&c, "relative");
    client_shell(&c, uuid_of(1), "exit 3");
    assert_int_equal(LauncherProcess_wait_status(client_end(&c, uuid_of(1))), 3 << 8);
    client_finish(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_upgrade_keeps_children_and_pipes),
        cmocka_unit_test(test_upgraded_launcher_holds_its_lock),
        cmocka_unit_test(test_program_that_cannot_run_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
