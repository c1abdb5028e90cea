/* SPDX-License-Identifier: Apache-2.0 */
/* The routes and connections of proffer-relay: bytes in, rules, bytes out. */
#include "tests/support/relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/base/limits.h"
#include "common/link/envelope.h"
#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/parse.h"
#include "schemas/proffer.h"

void pf_relay_watch(struct relay *r, struct source *s, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = s};
    if (events == s->events || s->fd < 0) {
        return;
    }
    int op = s->events == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
    PF_ASSERT(epoll_ctl(r->epoll_fd, op, s->fd, &e) == 0);
    s->events = events;
}

void pf_relay_source_close(struct relay *r, struct source *s)
{
    pf_relay_watch(r, s, 0);
    pf_fd_close(&s->fd);
}

/* --- routes ---------------------------------------------------------------------------------- */

int pf_relay_route_bind(struct route *t)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    socklen_t len = sizeof t->at;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, (struct sockaddr *)&t->at, sizeof t->at) != 0 ||
        getsockname(fd, (struct sockaddr *)&t->at, &len) != 0) {
        pf_fd_close(&fd);
        return -1;
    }
    t->listener.fd = fd;
    return 0;
}

/* Listens, or (bound only) refuses while keeping the port. */
void pf_relay_route_update(struct relay *r, struct route *t)
{
    bool wants = !t->is_dead && !t->is_refusing;
    if (wants && !t->is_listening) {
        PF_ASSERT(listen(t->listener.fd, 512) == 0);
        t->is_listening = true;
        pf_relay_watch(r, &t->listener, EPOLLIN);
    } else if (!wants && t->is_listening) {
        pf_relay_source_close(r, &t->listener);
        PF_ASSERT(pf_relay_route_bind(t) == 0);
        t->is_listening = false;
    }
}

void pf_relay_probe_start(struct relay *r, struct route *t)
{
    if (t->probe.fd >= 0) {
        return;
    }
    t->probe.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    t->probe_ms = INT64_MAX;
    if (t->probe.fd >= 0) {
        (void)!connect(t->probe.fd, (struct sockaddr *)&t->target, sizeof t->target);
        pf_relay_watch(r, &t->probe, EPOLLOUT);
    }
}

void pf_relay_probe_done(struct relay *r, struct route *t)
{
    int sys = 0;
    socklen_t len = sizeof sys;
    bool is_alive = getsockopt(t->probe.fd, SOL_SOCKET, SO_ERROR, &sys, &len) == 0 && sys == 0;
    pf_relay_source_close(r, &t->probe);
    t->is_dead = !is_alive;
    t->probe_ms = is_alive ? INT64_MAX : pf_now_ms() + PROBE_MS;
    pf_relay_route_update(r, t);
}

/* --- rules ----------------------------------------------------------------------------------- */

bool pf_relay_fits(const char *pattern, const char *text)
{
    return pf_str_glob(pf_str(pattern), pf_str(text));
}

static const struct rule *rule_of(const struct relay *r, const struct conn *c, int dir)
{
    static const struct rule pass = {.mode = MODE_PASS};
    for (uint32_t i = r->n_rules; i > 0; i--) {
        const struct rule *rule = &r->rule[i - 1];
        if (rule->dir[dir] && pf_relay_fits(rule->route, c->route->name) &&
            pf_relay_fits(rule->peer, c->peer)) {
            return rule;
        }
    }
    return &pass;
}

/* --- connections ----------------------------------------------------------------------------- */

static void chunks_free(struct conn *c, int dir)
{
    struct chunk *k;
    while ((k = STAILQ_FIRST(&c->queue[dir])) != NULL) {
        STAILQ_REMOVE_HEAD(&c->queue[dir], link);
        pf_free(k);
    }
}

/* Closed at the end of the round of epoll, as its other side may be in the same round. */
void pf_relay_conn_end(struct relay *r, struct conn *c, bool by_rst)
{
    if (c->is_dying) {
        return;
    }
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    for (int d = 0; d < DIRS; d++) {
        if (by_rst && c->side[d].fd >= 0) {
            (void)setsockopt(c->side[d].fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        }
        pf_relay_source_close(r, &c->side[d]);
    }
    c->is_dying = true;
    c->route->n_conns--;
}

void pf_relay_update(struct relay *r, struct conn *c)
{
    uint32_t want[DIRS] = {0, 0};
    if (c->is_dying) {
        return;
    }
    if (!c->is_connected) {
        want[DOWN] = EPOLLOUT;
    } else {
        for (int d = 0; d < DIRS; d++) {
            const struct rule *rule = rule_of(r, c, d);
            const struct chunk *first = STAILQ_FIRST(&c->queue[d]);
            if (rule->mode == MODE_DROP) {
                continue;
            }
            want[d] |= !c->has_eof[d] && c->queued[d] < QUEUE_MAX ? (uint32_t)EPOLLIN : 0;
            if (first != NULL && (rule->mode == MODE_PASS || first->due_ms <= pf_now_ms())) {
                want[1 - d] |= EPOLLOUT;
            }
        }
    }
    pf_relay_watch(r, &c->side[UP], want[UP]);
    pf_relay_watch(r, &c->side[DOWN], want[DOWN]);
}

/* Learns from the client's first frame who it is. */
static void sniff(struct conn *c, const uint8_t *data, size_t len)
{
    static const char *const words[] = {"unknown",  "agent",  "scheduler",
                                        "operator", "master", "executor"};
    if (c->is_known) {
        return;
    }
    pf_buf_add(&c->hello, data, len);
    const uint8_t *p = c->hello.data;
    uint32_t frame = c->hello.len < 4 ? 0
                                      : (uint32_t)p[0] | (uint32_t)p[1] << 8 |
                                            (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    if (c->hello.len < 4 || (frame <= PF_HELLO_MAX_BYTES && c->hello.len < 4 + (size_t)frame)) {
        return;
    }
    struct pf_msg msg;
    if (frame <= PF_HELLO_MAX_BYTES &&
        pf_envelope_parse((struct pf_bytes){p + 4, frame}, &msg, NULL) == 0 &&
        pf_envelope_of(msg).body_type == Body_Hello) {
        struct Hello h = Envelope_body_as_Hello(Envelope__root(msg));
        size_t kind = (size_t)Hello_kind(h);
        struct pf_str id = kind == PeerKind_MASTER ? Hello_instance(h) : Hello_id(h);
        (void)snprintf(c->peer, sizeof c->peer, "%s:%.*s",
                       words[kind < PF_ARRAY_LEN(words) ? kind : 0], PF_STR_ARG(id));
    }
    c->is_known = true;
    pf_buf_fini(&c->hello);
}

static void side_read(struct relay *r, struct conn *c, int dir)
{
    struct chunk *k = pf_alloc(sizeof *k + CHUNK);
    ssize_t n = read(c->side[dir].fd, k->data, CHUNK);
    if (n <= 0) {
        pf_free(k);
        if (n == 0) {
            c->has_eof[dir] = true;
        } else if (errno != EAGAIN && errno != EINTR) {
            pf_relay_conn_end(r, c, true);
        }
        if (dir == DOWN && (c->has_eof[dir] || c->is_dying)) {
            pf_relay_probe_start(r, c->route); /* perhaps nobody is there any more */
        }
        return;
    }
    if (dir == UP) {
        sniff(c, k->data, (size_t)n);
    }
    const struct rule *rule = rule_of(r, c, dir);
    k = pf_realloc(k, sizeof *k + (size_t)n);
    k->len = (size_t)n;
    k->done = 0;
    k->due_ms = pf_now_ms() + (rule->mode == MODE_DELAY ? rule->ms : 0);
    STAILQ_INSERT_TAIL(&c->queue[dir], k, link);
    c->queued[dir] += k->len;
}

/* Writes what is due in that direction. */
void pf_relay_flush(struct relay *r, struct conn *c, int dir)
{
    const struct rule *rule = rule_of(r, c, dir);
    struct chunk *k;
    if (rule->mode == MODE_DROP || c->is_dying || !c->is_connected) {
        return;
    }
    while ((k = STAILQ_FIRST(&c->queue[dir])) != NULL) {
        if (rule->mode == MODE_DELAY && k->due_ms > pf_now_ms()) {
            return;
        }
        ssize_t n = send(c->side[1 - dir].fd, k->data + k->done, k->len - k->done, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN && errno != EINTR) {
                pf_relay_conn_end(r, c, true);
            }
            return;
        }
        k->done += (size_t)n;
        c->queued[dir] -= (size_t)n;
        if (k->done < k->len) {
            return;
        }
        STAILQ_REMOVE_HEAD(&c->queue[dir], link);
        pf_free(k);
    }
    if (c->has_eof[dir] && !c->is_shut[dir]) {
        c->is_shut[dir] = true;
        (void)shutdown(c->side[1 - dir].fd, SHUT_WR);
    }
    if (c->is_shut[UP] && c->is_shut[DOWN]) {
        pf_relay_conn_end(r, c, false);
    }
}

void pf_relay_side_ready(struct relay *r, struct conn *c, int dir, uint32_t events)
{
    if (c->is_dying) {
        return;
    }
    if (!c->is_connected) {
        int sys = 0;
        socklen_t len = sizeof sys;
        if (dir == UP) {
            return;
        }
        (void)getsockopt(c->side[DOWN].fd, SOL_SOCKET, SO_ERROR, &sys, &len);
        c->is_connected = sys == 0;
        if (sys != 0) {
            pf_relay_conn_end(r, c, true);
            pf_relay_probe_start(r, c->route);
        }
    } else if ((events & (EPOLLHUP | EPOLLERR)) != 0 && rule_of(r, c, dir)->mode == MODE_DROP) {
        pf_relay_watch(r, &c->side[dir], 0); /* even this may not be known on the other side */
    } else if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && !c->has_eof[dir]) {
        side_read(r, c, dir);
    } else if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
        pf_relay_conn_end(r, c, true);
    }
    pf_relay_flush(r, c, UP);
    pf_relay_flush(r, c, DOWN);
    pf_relay_update(r, c);
}

void pf_relay_accept_one(struct relay *r, struct route *t)
{
    int fd = accept4(t->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
    if (fd < 0) {
        return;
    }
    struct conn *c = PF_NEW(struct conn);
    c->route = t;
    t->n_conns++;
    (void)snprintf(c->peer, sizeof c->peer, "-");
    for (int d = 0; d < DIRS; d++) {
        STAILQ_INIT(&c->queue[d]);
        c->side[d] = (struct source){.kind = KIND_SIDE, .fd = -1, .owner = c};
    }
    c->side[UP].fd = fd;
    c->side[DOWN].fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    LIST_INSERT_HEAD(&r->conns, c, link);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (c->side[DOWN].fd < 0 ||
        (connect(c->side[DOWN].fd, (struct sockaddr *)&t->target, sizeof t->target) != 0 &&
         errno != EINPROGRESS)) {
        pf_relay_conn_end(r, c, true);
        return;
    }
    (void)setsockopt(c->side[DOWN].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    pf_relay_update(r, c);
}

void pf_relay_conn_free(struct conn *c)
{
    chunks_free(c, UP);
    chunks_free(c, DOWN);
    pf_buf_fini(&c->hello);
    pf_free(c);
}
