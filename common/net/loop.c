/* SPDX-License-Identifier: Apache-2.0 */
/* Turns over libevent. libevent's own priorities are not used: descriptors are level triggered and
 * read later in the turn, so its loop would come back to the urgent ones for ever. It runs once to
 * note what is ready; the order of delivery is ours. */
#include "common/net/loop.h"

#include <event2/dns.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "common/net/loop_internal.h"
#include "common/sys/clock.h"
#include "common/sys/log.h"

#define US_PER_MS    1000
#define CLOCK_EVERY  8      /* callbacks between two looks at the clock */
#define TOP_FDS      64     /* reserved for listeners and urgent peers */
#define FD_TABLE_MAX 131072 /* numbers above are not used: the kernel's table grows with them */

static int fd_limit(void)
{
    struct rlimit rl;
    if (getrlimit(RLIMIT_NOFILE, &rl) != 0 || rl.rlim_cur > FD_TABLE_MAX) {
        return FD_TABLE_MAX;
    }
    return (int)rl.rlim_cur;
}

/* Its errors end the process behind this call; its warnings are reported by us as errors. */
static void libevent_says(int severity, const char *text)
{
    pf_log(severity == EVENT_LOG_ERR ? PF_LOG_ERROR : PF_LOG_DEBUG, "libevent", "text=%s", text);
}

static void deadline_on_time(void *ctx)
{
    struct pf_loop *loop = ctx;
    if (loop->on_deadline != NULL) {
        loop->on_deadline(loop->on_deadline_ctx);
    }
}

static void marker_fired(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    (void)ctx;
}

static void timeout_fired(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct pf_loop *loop = ctx;
    loop->timeout_at_ms = INT64_MAX; /* what is due is found when the turn begins */
}

int pf_loop_create(struct pf_loop **out, struct pf_err *err)
{
    event_set_log_callback(libevent_says);
    struct event_config *config = event_config_new();
    if (config == NULL) {
        return pf_err_set(err, PF_ENOMEM, "event loop");
    }
    /* Probes of a dying leader come every ms; libevent's coarse clock steps by 4. */
    (void)event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER); /* only tunes */
    int rc = event_config_require_features(config, EV_FEATURE_ET | EV_FEATURE_O1); /* epoll */
    struct event_base *base = rc == 0 ? event_base_new_with_config(config) : NULL;
    event_config_free(config);
    if (base == NULL) {
        return pf_err_set(err, PF_EIO, "cannot create an event loop");
    }
    struct pf_loop *loop = PF_NEW(struct pf_loop);
    loop->base = base;
    for (int i = 0; i < PF_PRIO_COUNT; i++) {
        TAILQ_INIT(&loop->queue[i]);
    }
    TAILQ_INIT(&loop->flushers);
    TAILQ_INIT(&loop->acceptors);
    loop->timeout_at_ms = INT64_MAX;
    loop->now_ms = pf_now_ms();
    int limit = fd_limit();
    loop->fd_max = limit - (limit / 8 > TOP_FDS ? limit / 8 : TOP_FDS);
    loop->timeout = event_new(base, -1, 0, timeout_fired, loop);
    loop->marker = event_new(base, -1, EV_PERSIST, marker_fired, loop);
    static const struct timeval far_off = {86400 * 365, 0};
    if (loop->timeout == NULL || loop->marker == NULL || event_add(loop->marker, &far_off) != 0) {
        pf_loop_destroy(loop);
        return pf_err_set(err, PF_ENOMEM, "event loop");
    }
    loop->deadline = pf_timer_create(loop, PF_PRIO_NORMAL, deadline_on_time, loop);
    *out = loop;
    return 0;
}

void pf_loop_destroy(struct pf_loop *loop)
{
    if (loop == NULL) {
        return;
    }
    PF_ASSERT(!loop->is_in_turn);
    pf_timer_destroy(loop->deadline);
    pf_loop_signals_fini(loop);
    PF_ASSERT(TAILQ_EMPTY(&loop->flushers));
    PF_ASSERT(loop->timers.len == 0);
    pf_heap_fini(&loop->timers);
    if (loop->dns != NULL) {
        evdns_base_free(loop->dns, 1);
        (void)event_base_loop(loop->base, EVLOOP_NONBLOCK); /* look-ups learn of it and end */
    }
    if (loop->timeout != NULL) {
        event_free(loop->timeout);
    }
    if (loop->marker != NULL) {
        event_free(loop->marker);
    }
    event_base_free(loop->base);
    pf_free(loop);
}

/* --- work ------------------------------------------------------------------------------------ */

void pf_loop_item_init(struct pf_loop_item *item, struct pf_loop *loop, enum pf_prio prio,
                       void (*deliver)(struct pf_loop_item *item))
{
    item->loop = loop;
    item->prio = (uint8_t)prio;
    item->deliver = deliver;
    item->is_queued = false;
}

void pf_loop_queue(struct pf_loop_item *item)
{
    if (!item->is_queued) {
        item->is_queued = true;
        TAILQ_INSERT_TAIL(&item->loop->queue[item->prio], item, link);
    }
}

void pf_loop_unqueue(struct pf_loop_item *item)
{
    if (item->is_queued) {
        item->is_queued = false;
        TAILQ_REMOVE(&item->loop->queue[item->prio], item, link);
    }
}

bool pf_loop_spend(struct pf_loop *loop)
{
    loop->spent++;
    loop->counters.events++;
    if (loop->spent % CLOCK_EVERY == 0 &&
        pf_now_us() - loop->began_us >= (int64_t)PF_TURN_MS_MAX * US_PER_MS) {
        loop->spent = PF_TURN_EVENTS_MAX;
    }
    return loop->spent < PF_TURN_EVENTS_MAX;
}

void pf_loop_add_flusher(struct pf_loop *loop, struct pf_loop_flusher *f)
{
    TAILQ_INSERT_TAIL(&loop->flushers, f, link);
}

void pf_loop_remove_flusher(struct pf_loop *loop, struct pf_loop_flusher *f)
{
    TAILQ_REMOVE(&loop->flushers, f, link);
}

static bool loop_has_work(const struct pf_loop *loop)
{
    return loop->wants_turn || !TAILQ_EMPTY(&loop->queue[PF_PRIO_URGENT]) ||
           !TAILQ_EMPTY(&loop->queue[PF_PRIO_NORMAL]);
}

static struct pf_loop_item *loop_first_item(struct pf_loop *loop)
{
    struct pf_loop_item *item = TAILQ_FIRST(&loop->queue[PF_PRIO_URGENT]);
    return item != NULL ? item : TAILQ_FIRST(&loop->queue[PF_PRIO_NORMAL]);
}

static void loop_deliver(struct pf_loop *loop)
{
    struct pf_loop_item *item;
    while (loop->spent < PF_TURN_EVENTS_MAX && (item = loop_first_item(loop)) != NULL) {
        pf_loop_unqueue(item);
        (void)pf_loop_spend(loop); /* a visit counts, even if it delivers nothing */
        item->deliver(item);
    }
    if (loop_first_item(loop) != NULL) {
        loop->counters.cut_turns++;
    }
}

static void loop_flush(struct pf_loop *loop)
{
    struct pf_loop_flusher *f;
    TAILQ_FOREACH(f, &loop->flushers, link) {
        f->flush(f); /* calls nobody, so the list stands still */
    }
}

int pf_loop_turn(struct pf_loop *loop, bool may_wait, struct pf_err *err)
{
    PF_ASSERT(!loop->is_in_turn);
    loop->is_in_turn = true;
    pf_loop_timers_arm(loop);
    int flags = EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY;
    if (!may_wait || loop_has_work(loop)) {
        flags |= EVLOOP_NONBLOCK;
    }
    if (event_base_loop(loop->base, flags) < 0) {
        loop->is_in_turn = false;
        return pf_err_set(err, PF_EIO, "polling descriptors failed");
    }
    loop->began_us = pf_now_us();
    loop->now_ms = loop->began_us / US_PER_MS;
    loop->spent = 0;
    pf_loop_timers_due(loop);
    loop_deliver(loop);
    loop->wants_turn = loop->on_turn != NULL && loop->on_turn(loop->on_turn_ctx);
    loop_flush(loop);

    uint64_t took_us = (uint64_t)(pf_now_us() - loop->began_us);
    struct pf_loop_counters *c = &loop->counters;
    c->turns++;
    c->turn_ns_sum += took_us * 1000;
    c->turn_ns_max = took_us * 1000 > c->turn_ns_max ? took_us * 1000 : c->turn_ns_max;
    c->long_turns += took_us > (uint64_t)10 * PF_TURN_MS_MAX * US_PER_MS ? 1 : 0;
    loop->is_in_turn = false;
    return 0;
}

int pf_loop_run(struct pf_loop *loop, struct pf_err *err)
{
    loop->is_stopping = false;
    while (!loop->is_stopping) {
        int rc = pf_loop_turn(loop, true, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

void pf_loop_stop(struct pf_loop *loop)
{
    loop->is_stopping = true;
}

int64_t pf_loop_now_ms(const struct pf_loop *loop)
{
    return loop->now_ms;
}

const struct pf_loop_counters *pf_loop_counters(const struct pf_loop *loop)
{
    return &loop->counters;
}

void pf_loop_set_on_turn(struct pf_loop *loop, bool (*on_turn)(void *ctx), void *ctx)
{
    loop->on_turn = on_turn;
    loop->on_turn_ctx = ctx;
}

void pf_loop_set_on_deadline(struct pf_loop *loop, void (*on_deadline)(void *ctx), void *ctx)
{
    loop->on_deadline = on_deadline;
    loop->on_deadline_ctx = ctx;
}

void pf_loop_set_timer(struct pf_loop *loop, int64_t at_ms)
{
    pf_timer_set(loop->deadline, at_ms);
}

/* --- for the rest of common/net -------------------------------------------------------------- */

struct evdns_base *pf_loop_dns(struct pf_loop *loop)
{
    if (loop->dns == NULL) {
        loop->dns = evdns_base_new(loop->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
        if (loop->dns != NULL) {
            /* Without a readable file it falls back to a server on this machine by itself. */
            (void)evdns_base_resolv_conf_parse(loop->dns, DNS_OPTIONS_ALL, "/etc/resolv.conf");
        }
    }
    return loop->dns;
}

void pf_loop_set_fd_max(struct pf_loop *loop, int max)
{
    loop->fd_max = max;
}

int pf_loop_fd_to_top(int fd)
{
    int top = fcntl(fd, F_DUPFD_CLOEXEC, fd_limit() - TOP_FDS);
    if (top < 0) {
        return fd;
    }
    (void)close(fd); /* the duplicate lives on */
    return top;
}

void pf_loop_add_acceptor(struct pf_loop *loop, struct pf_loop_acceptor *a)
{
    TAILQ_INSERT_TAIL(&loop->acceptors, a, link);
}

void pf_loop_remove_acceptor(struct pf_loop *loop, struct pf_loop_acceptor *a)
{
    TAILQ_REMOVE(&loop->acceptors, a, link);
}

static int find_loop(const struct event_base *base, const struct event *ev, void *arg)
{
    (void)base;
    if (event_get_callback(ev) != marker_fired) {
        return 0;
    }
    *(struct pf_loop **)arg = event_get_callback_arg(ev);
    return 1;
}

void pf_loop_accept_error(struct evconnlistener *lev, void *arg)
{
    (void)arg;
    int sys = EVUTIL_SOCKET_ERROR();
    struct pf_loop *loop = NULL;
    (void)event_base_foreach_event(evconnlistener_get_base(lev), find_loop, &loop);
    PF_ASSERT(loop != NULL);
    struct pf_loop_acceptor *a;
    TAILQ_FOREACH(a, &loop->acceptors, link) {
        if (a->lev == lev) {
            a->on_error(a, sys);
            return;
        }
    }
}
