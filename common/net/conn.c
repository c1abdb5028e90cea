/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a framed connection. Reading is in conn_read.c, writing in conn_write.c. */
#include "common/net/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include "common/base/alloc.h"
#include "common/net/conn_internal.h"
#include "common/sys/fd.h"

static void set_flush(struct pf_loop_flusher *f)
{
    struct pf_conn_set *set = PF_CONTAINER(f, struct pf_conn_set, flusher);
    struct pf_conn *c;
    while ((c = TAILQ_FIRST(&set->dirty)) != NULL) {
        TAILQ_REMOVE(&set->dirty, c, dirty_link);
        c->is_dirty = false;
        pf_conn_flush(c);
    }
}

void pf_conn_set_init(struct pf_conn_set *set, struct pf_loop *loop, const struct pf_conn_ops *ops,
                      struct pf_net_counters *counters, uint32_t out_max_bytes)
{
    memset(set, 0, sizeof *set);
    set->loop = loop;
    set->ops = ops;
    set->counters = counters;
    set->out_max_bytes = out_max_bytes;
    TAILQ_INIT(&set->dirty);
    TAILQ_INIT(&set->stalled);
    set->scratch = pf_alloc(PF_CONN_SCRATCH_BYTES);
    set->flusher.flush = set_flush;
    pf_loop_add_flusher(loop, &set->flusher);
}

void pf_conn_set_fini(struct pf_conn_set *set)
{
    PF_ASSERT(TAILQ_EMPTY(&set->dirty));
    PF_ASSERT(TAILQ_EMPTY(&set->stalled));
    pf_loop_remove_flusher(set->loop, &set->flusher);
    PF_FREE(set->scratch);
}

void pf_conn_set_pause(struct pf_conn_set *set, bool is_paused)
{
    struct pf_conn *c;
    set->is_paused = is_paused;
    while (!is_paused && (c = TAILQ_FIRST(&set->stalled)) != NULL) {
        TAILQ_REMOVE(&set->stalled, c, stalled_link);
        c->is_stalled = false;
        pf_loop_queue(&c->item);
    }
}

/* --- events ---------------------------------------------------------------------------------- */

/* Edge triggered: a turn that has no time for all that is ready is not told of it again. */
static void conn_fired(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    struct pf_conn *c = arg;
    if (c->is_blocked && (what & EV_WRITE) != 0) {
        c->is_blocked = false;
        pf_conn_mark_dirty(c);
    }
    if (c->state == PF_CONN_CONNECTING || (what & EV_READ) != 0) {
        c->is_ready = true;
        pf_loop_queue(&c->item);
    }
}

static void conn_watch(struct pf_conn *c)
{
    (void)event_assign(&c->ev, c->set->loop->base, c->fd, EV_READ | EV_WRITE | EV_PERSIST | EV_ET,
                       conn_fired, c);
    if (event_add(&c->ev, NULL) != 0) {
        pf_conn_break(c, PF_EIO, 0, "the socket cannot be watched");
        return;
    }
    c->is_watched = true;
}

static void conn_unwatch(struct pf_conn *c)
{
    if (c->is_watched) {
        c->is_watched = false;
        (void)event_del(&c->ev); /* cannot fail for a valid event */
    }
}

void pf_conn_stall(struct pf_conn *c)
{
    if (!c->is_stalled) {
        c->is_stalled = true;
        TAILQ_INSERT_TAIL(&c->set->stalled, c, stalled_link);
    }
}

static void conn_unstall(struct pf_conn *c)
{
    if (c->is_stalled) {
        c->is_stalled = false;
        TAILQ_REMOVE(&c->set->stalled, c, stalled_link);
    }
}

/* Refused is evidence that nobody is there; all else may be the network between. */
static void conn_refused(struct pf_conn *c, int sys)
{
    pf_conn_break(c, sys == ECONNREFUSED ? PF_EREFUSED : PF_ECONN, sys, "cannot connect");
}

static void conn_connected(struct pf_conn *c)
{
    int sys = 0;
    socklen_t len = sizeof sys;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &sys, &len) != 0) {
        sys = errno;
    }
    if (sys != 0) {
        conn_refused(c, sys);
        return;
    }
    c->state = PF_CONN_OPEN;
    pf_loop_queue(&c->item); /* the same edge may have told of something to read */
    c->set->ops->on_connected(c);
}

static void conn_report(struct pf_conn *c)
{
    struct pf_err why = *c->why;
    PF_FREE(c->why);
    c->set->ops->on_broken(c, &why);
}

static void conn_deliver(struct pf_loop_item *item)
{
    struct pf_conn *c = PF_CONTAINER(item, struct pf_conn, item);
    struct pf_conn_set *set = c->set;
    PF_ASSERT(!set->is_visiting);
    set->is_visiting = true;
    switch ((enum pf_conn_state)c->state) {
    case PF_CONN_CONNECTING: conn_connected(c); break;
    case PF_CONN_OPEN: pf_conn_read(c); break;
    case PF_CONN_LINGERING: pf_conn_discard(c); break;
    case PF_CONN_BROKEN: conn_report(c); break;
    case PF_CONN_NEW:
    case PF_CONN_DRAINING: break;
    }
    set->is_visiting = false;
    if (set->is_doomed) {
        set->on_doomed(set);
    }
}

/* --- life ------------------------------------------------------------------------------------ */

void pf_conn_init(struct pf_conn *c, struct pf_conn_set *set, enum pf_prio prio,
                  uint32_t frame_max_bytes)
{
    pf_loop_item_init(&c->item, set->loop, prio, conn_deliver);
    c->set = set;
    c->fd = -1;
    c->frame_max_bytes = frame_max_bytes;
    set->counters->n_conns++;
}

static void conn_close(struct pf_conn *c)
{
    conn_unwatch(c);
    conn_unstall(c);
    pf_conn_drop_output(c);
    if (c->is_dirty) {
        c->is_dirty = false;
        TAILQ_REMOVE(&c->set->dirty, c, dirty_link);
    }
    pf_fd_close(&c->fd);
}

void pf_conn_fini(struct pf_conn *c)
{
    conn_close(c);
    pf_loop_unqueue(&c->item);
    PF_FREE(c->in);
    PF_FREE(c->why);
    c->set->counters->n_conns--;
}

void pf_conn_open(struct pf_conn *c, int fd)
{
    PF_ASSERT(c->state == PF_CONN_NEW);
    c->fd = fd;
    c->state = PF_CONN_OPEN;
    conn_watch(c);
}

void pf_conn_connect(struct pf_conn *c, const struct pf_address *to)
{
    static const int on = 1;
    PF_ASSERT(c->state == PF_CONN_NEW);
    c->state = PF_CONN_CONNECTING;
    c->fd = socket(to->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        pf_conn_break(c, pf_err_from_errno(errno), errno, "cannot make a socket");
        return;
    }
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* only slower without */
    if (connect(c->fd, (const struct sockaddr *)&to->sa, to->len) != 0 && errno != EINPROGRESS) {
        conn_refused(c, errno);
        return;
    }
    conn_watch(c);
}

void pf_conn_reset(struct pf_conn *c)
{
    PF_ASSERT(c->state == PF_CONN_CONNECTING || c->state == PF_CONN_BROKEN);
    conn_close(c);
    pf_loop_unqueue(&c->item);
    PF_FREE(c->why);
    c->is_ready = c->is_blocked = false;
    c->state = PF_CONN_NEW;
}

void pf_conn_drain(struct pf_conn *c)
{
    if (c->state == PF_CONN_NEW || c->state == PF_CONN_CONNECTING) {
        pf_conn_break(c, PF_ECANCELED, 0, "closed by us");
    } else if (c->state == PF_CONN_OPEN) {
        c->state = PF_CONN_DRAINING;
        conn_unstall(c);
        pf_conn_mark_dirty(c);
    }
}

void pf_conn_break(struct pf_conn *c, int code, int sys, const char *fmt, ...)
{
    if (c->state == PF_CONN_BROKEN) {
        return;
    }
    char text[160];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap); /* cut if too long */
    va_end(ap);
    c->why = PF_NEW(struct pf_err);
    if (sys != 0) {
        (void)pf_err_set_sys(c->why, code, sys, "%s", text);
    } else {
        (void)pf_err_set(c->why, code, "%s", text);
    }
    c->state = PF_CONN_BROKEN;
    conn_close(c); /* its input stays: a callback may be looking at it */
    pf_loop_queue(&c->item);
}

void pf_conn_set_prio(struct pf_conn *c, enum pf_prio prio)
{
    bool was_queued = c->item.is_queued;
    pf_loop_unqueue(&c->item);
    c->item.prio = (uint8_t)prio;
    if (was_queued) {
        pf_loop_queue(&c->item);
    }
}

void pf_conn_to_top(struct pf_conn *c)
{
    if (c->fd < 0) {
        return;
    }
    conn_unwatch(c);
    c->fd = pf_loop_fd_to_top(c->fd);
    conn_watch(c);
}
