/* SPDX-License-Identifier: Apache-2.0 */
/* For tests on real loopback sockets: turning a loop until something holds, and a raw client that
 * says whatever a test wants. */
#ifndef PF_TESTS_SUPPORT_NET_H
#define PF_TESTS_SUPPORT_NET_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include "common/net/loop.h"
#include "common/sys/clock.h"
#include "tests/support/test.h"

#define TEST_NET_MS_MAX 20000 /* a loop that needs longer hangs */

static inline void test_wake(void *ctx)
{
    (void)ctx;
}

struct test_wait {
    struct pf_loop *loop;
    struct pf_timer *wake; /* so that conditions outside of the loop are looked at */
    int64_t until_ms;
};

static inline struct test_wait test_wait_begin(struct pf_loop *loop)
{
    return (struct test_wait){loop, pf_timer_create(loop, PF_PRIO_NORMAL, test_wake, NULL),
                              pf_now_ms() + TEST_NET_MS_MAX};
}

static inline bool test_wait_is_over(struct test_wait *w, bool holds)
{
    if (holds) {
        pf_timer_destroy(w->wake);
    }
    return holds;
}

static inline void test_wait_turn(struct test_wait *w)
{
    pf_timer_set(w->wake, pf_now_ms() + 20);
    assert_int_equal(pf_loop_turn(w->loop, true, NULL), 0);
    assert_true(pf_now_ms() < w->until_ms);
}

/* Turns the loop until the condition holds; fails if that takes too long. */
#define test_turn_until(loop, cond)                                                             \
    for (struct test_wait wait_ = test_wait_begin(loop); !test_wait_is_over(&wait_, (cond));) { \
        test_wait_turn(&wait_);                                                                 \
    }

/* A connected, non-blocking socket to "127.0.0.1:port". */
static inline int test_dial(const char *address)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    const char *colon = strrchr(address, ':');
    sa.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

/* Writes all of it at once (it must fit the kernel's buffers). */
static inline void test_write(int fd, const void *p, size_t n)
{
    assert_int_equal(send(fd, p, n, MSG_NOSIGNAL), (ssize_t)n);
}

static inline void test_put_length(uint8_t out[4], uint32_t len)
{
    for (int i = 0; i < 4; i++) {
        out[i] = (uint8_t)(len >> (8 * i));
    }
}

/* Reads what is there; adds to *len. True at end of file or reset. */
static inline bool test_read(int fd, uint8_t *buf, size_t cap, size_t *len)
{
    for (;;) {
        if (*len == cap) {
            return false;
        }
        ssize_t n = read(fd, buf + *len, cap - *len);
        if (n > 0) {
            *len += (size_t)n;
        } else if (n < 0 && errno == EINTR) {
            continue;
        } else {
            return n == 0 || errno != EAGAIN;
        }
    }
}

#endif
