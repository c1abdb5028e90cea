/* SPDX-License-Identifier: Apache-2.0 */
/* What a loop waits for on behalf of others: timers, descriptors, signals. */
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include "common/base/alloc.h"
#include "common/net/loop.h"
#include "common/net/loop_internal.h"

struct pf_timer {
    struct pf_heap_node node;
    struct pf_loop_item item;
    void (*on_time)(void *ctx);
    void *ctx;
};

struct pf_watch {
    struct pf_loop_item item;
    struct event ev;
    void (*on_ready)(void *ctx, unsigned ready);
    void *ctx;
    int fd;
    unsigned what, ready;
};

/* --- timers ---------------------------------------------------------------------------------- */

static void timer_deliver(struct pf_loop_item *item)
{
    struct pf_timer *t = PF_CONTAINER(item, struct pf_timer, item);
    t->on_time(t->ctx); /* may destroy it */
}

struct pf_timer *pf_timer_create(struct pf_loop *loop, enum pf_prio prio,
                                 void (*on_time)(void *ctx), void *ctx)
{
    struct pf_timer *t = PF_NEW(struct pf_timer);
    pf_loop_item_init(&t->item, loop, prio, timer_deliver);
    t->on_time = on_time;
    t->ctx = ctx;
    return t;
}

void pf_timer_set(struct pf_timer *t, int64_t at_ms)
{
    struct pf_loop *loop = t->item.loop;
    pf_loop_unqueue(&t->item); /* an expiry that was not told yet is overruled */
    if (at_ms == INT64_MAX) {
        pf_heap_remove(&loop->timers, &t->node);
    } else if (!pf_heap_has(&t->node) || t->node.key != at_ms) {
        pf_heap_set(&loop->timers, &t->node, at_ms);
    }
}

void pf_timer_destroy(struct pf_timer *t)
{
    if (t != NULL) {
        pf_timer_set(t, INT64_MAX);
        pf_free(t);
    }
}

void pf_loop_timers_due(struct pf_loop *loop)
{
    struct pf_heap_node *node;
    while ((node = pf_heap_first(&loop->timers)) != NULL && node->key <= loop->now_ms) {
        pf_heap_remove(&loop->timers, node);
        pf_loop_queue(&PF_CONTAINER(node, struct pf_timer, node)->item);
    }
}

void pf_loop_timers_arm(struct pf_loop *loop)
{
    struct pf_heap_node *node = pf_heap_first(&loop->timers);
    int64_t at_ms = node != NULL ? node->key : INT64_MAX;
    if (at_ms == loop->timeout_at_ms) {
        return;
    }
    loop->timeout_at_ms = at_ms;
    if (at_ms == INT64_MAX) {
        (void)event_del(loop->timeout); /* cannot fail for a valid event */
        return;
    }
    /* now_ms was read when the turn began: the wait errs on the late side, by a turn's length.
     * An early expiry (rounding) only costs a turn with nothing in it. */
    int64_t wait_ms = at_ms - loop->now_ms;
    wait_ms = wait_ms < 0 ? 0 : wait_ms;
    struct timeval tv = {(time_t)(wait_ms / 1000), (suseconds_t)(wait_ms % 1000 * 1000)};
    (void)event_add(loop->timeout, &tv); /* fails only without memory for the first timer */
}

/* --- descriptors ----------------------------------------------------------------------------- */

static void watch_fired(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    struct pf_watch *w = ctx;
    w->ready |= (what & EV_READ) != 0 ? PF_WATCH_READ : 0u;
    w->ready |= (what & EV_WRITE) != 0 ? PF_WATCH_WRITE : 0u;
    pf_loop_queue(&w->item);
}

static void watch_deliver(struct pf_loop_item *item)
{
    struct pf_watch *w = PF_CONTAINER(item, struct pf_watch, item);
    unsigned ready = w->ready & w->what;
    w->ready = 0;
    if (ready != 0) {
        w->on_ready(w->ctx, ready); /* may destroy it */
    }
}

static int watch_arm(struct pf_watch *w)
{
    if (w->what == 0) {
        return 0;
    }
    short events = EV_PERSIST;
    events = (short)(events | ((w->what & PF_WATCH_READ) != 0 ? EV_READ : 0));
    events = (short)(events | ((w->what & PF_WATCH_WRITE) != 0 ? EV_WRITE : 0));
    (void)event_assign(&w->ev, w->item.loop->base, w->fd, events, watch_fired, w);
    return event_add(&w->ev, NULL);
}

int pf_watch_create(struct pf_loop *loop, int fd, unsigned what, enum pf_prio prio,
                    void (*on_ready)(void *ctx, unsigned ready), void *ctx, struct pf_watch **out,
                    struct pf_err *err)
{
    struct pf_watch *w = PF_NEW(struct pf_watch);
    pf_loop_item_init(&w->item, loop, prio, watch_deliver);
    w->on_ready = on_ready;
    w->ctx = ctx;
    w->fd = fd;
    w->what = what;
    if (watch_arm(w) != 0) {
        pf_free(w);
        return pf_err_set(err, PF_EIO, "descriptor %d cannot be watched", fd);
    }
    *out = w;
    return 0;
}

void pf_watch_set(struct pf_watch *w, unsigned what)
{
    if (what == w->what) {
        return;
    }
    if (w->what != 0) {
        (void)event_del(&w->ev); /* cannot fail for a valid event */
    }
    w->what = what;
    int rc = watch_arm(w); /* it was watchable at first */
    PF_ASSERT(rc == 0);
}

void pf_watch_destroy(struct pf_watch *w)
{
    if (w != NULL) {
        pf_loop_unqueue(&w->item);
        pf_watch_set(w, 0);
        pf_free(w);
    }
}

/* --- signals --------------------------------------------------------------------------------- */

static void signal_fired(evutil_socket_t signo, short what, void *ctx)
{
    (void)signo;
    (void)what;
    pf_loop_queue(&((struct pf_loop_signal *)ctx)->item);
}

static void signal_deliver(struct pf_loop_item *item)
{
    struct pf_loop_signal *s = PF_CONTAINER(item, struct pf_loop_signal, item);
    s->on_signal(s->ctx, s->signo);
}

int pf_loop_on_signal(struct pf_loop *loop, int signo, void (*on_signal)(void *ctx, int signo),
                      void *ctx, struct pf_err *err)
{
    PF_ASSERT(loop->n_signals < PF_LOOP_SIGNALS_MAX);
    struct pf_loop_signal *s = &loop->signals[loop->n_signals];
    s->ev = evsignal_new(loop->base, signo, signal_fired, s);
    if (s->ev == NULL || event_add(s->ev, NULL) != 0) {
        if (s->ev != NULL) {
            event_free(s->ev);
            s->ev = NULL;
        }
        return pf_err_set_sys(err, PF_EIO, errno, "signal %d cannot be watched", signo);
    }
    pf_loop_item_init(&s->item, loop, PF_PRIO_NORMAL, signal_deliver);
    s->signo = signo;
    s->on_signal = on_signal;
    s->ctx = ctx;
    loop->n_signals++;
    return 0;
}

void pf_loop_signals_fini(struct pf_loop *loop)
{
    for (uint32_t i = 0; i < loop->n_signals; i++) {
        pf_loop_unqueue(&loop->signals[i].item);
        event_free(loop->signals[i].ev);
    }
    loop->n_signals = 0;
}
