/* SPDX-License-Identifier: Apache-2.0 */
/* A dying master: the kernel closes its highest descriptors first, so the links to other masters
 * and the listener must be those. A child with two thousand connections is killed; what it looks
 * like from outside is the order of the ends of file. Times are printed, not judged. */
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "common/net/http.h"
#include "common/net/peer.h"
#include "schemas/proffer.h"
#include "tests/support/net.h"

enum { CONNS_MAX = 2000, TOP_FDS = 64 };

struct child {
    pid_t pid;
    int out; /* of its pipe: the address, then 'u' for each master that came up */
    char address[PF_ADDRESS_MAX];
};

/* --- in the child ----------------------------------------------------------------------------- */

static void child_up(void *ctx, const struct pf_peer_up *up)
{
    bool is_master = up->kind == PeerKind_MASTER;

    if (is_master && write(*(int *)ctx, "u", 1) != 1) {
        _exit(3);
    }
}

static void child_message(void *ctx, uint64_t peer, struct pf_msg msg)
{
    (void)ctx;
    (void)peer;
    (void)msg;
}

static void child_down(void *ctx, uint64_t peer, const struct pf_err *why)
{
    (void)ctx;
    (void)peer;
    (void)why;
}

static void child_main(int out)
{
    static const struct pf_net_ops ops = {
        .on_up = child_up, .on_message = child_message, .on_down = child_down};
    const struct pf_link_self self = {.kind = PeerKind_MASTER};
    const struct pf_net_options o = {.self = &self, .handshake_ms = 600000, .has_top_fds = true};
    char address[PF_ADDRESS_MAX] = {0};
    struct pf_loop *loop;
    struct pf_http *http;
    struct pf_net *net;

    if (pf_loop_create(&loop, NULL) < 0 ||
        pf_http_create(loop, &(struct pf_http_options){0}, &http, NULL) < 0 ||
        pf_http_listen(http, "127.0.0.1:0", NULL, NULL) < 0 ||
        pf_net_create(loop, &o, &ops, &out, &net, NULL) < 0 ||
        pf_net_listen(net, "127.0.0.1:0", address, NULL) < 0 ||
        write(out, address, sizeof address) != sizeof address) {
        _exit(1);
    }
    _exit(pf_loop_run(loop, NULL) < 0 ? 2 : 0);
}

/* --- around it -------------------------------------------------------------------------------- */

static struct child child_start(void)
{
    struct child c;
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    c.pid = fork();
    assert_true(c.pid >= 0);
    if (c.pid == 0) {
        (void)close(fds[0]);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves it behind */
        child_main(fds[1]);
    }
    (void)close(fds[1]);
    c.out = fds[0];
    assert_int_equal(read(c.out, c.address, sizeof c.address), sizeof c.address);
    return c;
}

static void child_kill(struct child *c)
{
    int status;

    assert_int_equal(kill(c->pid, SIGKILL), 0);
    assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(close(c->out), 0);
}

static void frame_write(int fd, struct pf_msg msg)
{
    uint8_t head[4];

    test_put_length(head, msg.len);
    test_write(fd, head, sizeof head);
    test_write(fd, msg.data, msg.len);
}

/* What the other side says first, waiting for it. */
static size_t frame_read(int fd, uint8_t *buf, size_t cap)
{
    assert_int_equal(recv(fd, buf, 4, MSG_WAITALL), 4);
    size_t len = (size_t)buf[0] | (size_t)buf[1] << 8;
    assert_true(buf[2] == 0 && buf[3] == 0 && len <= cap);
    assert_int_equal(recv(fd, buf, len, MSG_WAITALL), len);
    return len;
}

static int dial_blocking(const char *address)
{
    int fd = test_dial(address);

    assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
    return fd;
}

/* A link as another master has it, greeted by hand. */
static int dial_as_master(struct child *c)
{
    static const uint8_t nonce[PF_NONCE_BYTES] = {7};
    const struct pf_link_self self = {.kind = PeerKind_MASTER};
    _Alignas(16) uint8_t buf[4096];
    struct pf_fb_builder b;
    struct pf_link link;
    struct pf_msg hello, welcome;
    char byte;
    int fd = dial_blocking(c->address);

    pf_fb_builder_init(&b, NULL);
    pf_link_connect(&link, &self, nonce);
    struct pf_bytes frame = {buf, (uint32_t)frame_read(fd, buf, sizeof buf)};
    assert_int_equal(pf_link_on_greeting(&link, frame, &b, &hello, &welcome, NULL), 0);
    frame_write(fd, hello);
    frame.len = (uint32_t)frame_read(fd, buf, sizeof buf);
    assert_int_equal(pf_link_on_greeting(&link, frame, &b, &hello, &welcome, NULL), 0);
    assert_int_equal(read(c->out, &byte, 1), 1); /* it is up there, and in its place */
    pf_fb_builder_fini(&b);
    return fd;
}

/* The number of the child's highest sockets, as /proc tells. */
static uint32_t count_fds(pid_t pid, int from, int to)
{
    uint32_t n = 0;

    for (int fd = from; fd < to; fd++) {
        char path[64], target[64];

        (void)snprintf(path, sizeof path, "/proc/%ld/fd/%d", (long)pid, fd);
        ssize_t len = readlink(path, target, sizeof target - 1);
        n += len > 7 && memcmp(target, "socket:", 7) == 0 ? 1 : 0;
    }
    return n;
}

/* All descriptors that may be had; returns how many that are. */
static int raise_limit(void)
{
    struct rlimit rl;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &rl), 0);
    rl.rlim_cur = rl.rlim_max > 20000 ? 20000 : rl.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &rl), 0);
    return (int)rl.rlim_cur;
}

static void test_top_fds_hold_listener_and_masters(void **state)
{
    int limit = raise_limit();
    struct child c = child_start();

    (void)state;
    assert_int_equal(count_fds(c.pid, limit - TOP_FDS, limit), 1); /* not that of HTTP */
    int other = dial_blocking(c.address);
    int master = dial_as_master(&c);
    assert_int_equal(count_fds(c.pid, limit - TOP_FDS, limit), 2);
    child_kill(&c);
    (void)close(master);
    (void)close(other);
}

/* --- the death -------------------------------------------------------------------------------- */

struct death {
    struct child child;
    int epoll, master;
    int conn[CONNS_MAX];
    uint32_t n_conns, n_ended, n_before_master, n_before_refusal;
    int64_t killed_us, master_us, refused_us, all_us;
};

static void watch(struct death *d, int fd)
{
    struct epoll_event ev = {.events = EPOLLRDHUP, .data.fd = fd};

    assert_int_equal(epoll_ctl(d->epoll, EPOLL_CTL_ADD, fd, &ev), 0);
}

/* What a standby does whose link broke. */
static void probe(struct death *d)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    sa.sin_port = htons((uint16_t)strtoul(strrchr(d->child.address, ':') + 1, NULL, 10));
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa) != 0) {
        assert_int_equal(errno, ECONNREFUSED);
        d->refused_us = pf_now_us();
        d->n_before_refusal = d->n_ended;
    }
    assert_int_equal(close(fd), 0);
}

/* One event at a time: the kernel tells them in the order of the ends. */
static void watch_it_die(struct death *d)
{
    while (d->n_ended < d->n_conns || d->master_us == 0) {
        struct epoll_event ev;
        int n = epoll_wait(d->epoll, &ev, 1, TEST_NET_MS_MAX);

        assert_int_equal(n, 1);
        assert_int_equal(epoll_ctl(d->epoll, EPOLL_CTL_DEL, ev.data.fd, NULL), 0);
        d->all_us = pf_now_us();
        if (ev.data.fd == d->master) {
            d->master_us = d->all_us;
            d->n_before_master = d->n_ended;
        } else {
            d->n_ended++;
        }
        if (d->master_us != 0 && d->refused_us == 0) {
            probe(d);
        }
    }
    if (d->refused_us == 0) {
        probe(d);
    }
}

static void test_top_fds_are_closed_first_by_a_killed_process(void **state)
{
    struct death *d = PF_NEW(struct death);
    int limit = raise_limit(), status;
    char byte[1024];

    (void)state;
    d->n_conns =
        limit - limit / 8 - 100 < CONNS_MAX ? (uint32_t)(limit - limit / 8 - 100) : CONNS_MAX;
    d->child = child_start();
    d->epoll = epoll_create1(EPOLL_CLOEXEC);
    d->master = dial_as_master(&d->child); /* accepted first: the lowest, but for its place */
    watch(d, d->master);
    for (uint32_t i = 0; i < d->n_conns; i++) {
        d->conn[i] = dial_blocking(d->child.address);
        assert_true(recv(d->conn[i], byte, sizeof byte, 0) > 4); /* its Challenge: accepted */
        watch(d, d->conn[i]);
    }
    d->killed_us = pf_now_us();
    assert_int_equal(kill(d->child.pid, SIGKILL), 0);
    watch_it_die(d);
    print_message("%u connections: end of the master's link after %lld us and %u others, refused "
                  "after %lld us and %u others, all ended after %lld us\n",
                  d->n_conns, (long long)(d->master_us - d->killed_us), d->n_before_master,
                  (long long)(d->refused_us - d->killed_us), d->n_before_refusal,
                  (long long)(d->all_us - d->killed_us));
    assert_true(d->n_before_master < d->n_conns / 10);
    assert_true(d->refused_us != 0);
    assert_int_equal(waitpid(d->child.pid, &status, 0), d->child.pid);
    for (uint32_t i = 0; i < d->n_conns; i++) {
        assert_int_equal(close(d->conn[i]), 0);
    }
    (void)close(d->master);
    (void)close(d->epoll);
    (void)close(d->child.out);
    pf_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_top_fds_hold_listener_and_masters),
        cmocka_unit_test(test_top_fds_are_closed_first_by_a_killed_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
