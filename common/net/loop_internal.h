/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of common/net know of the loop: libevent's base, queues of work to deliver, and
 * hooks of the end of a turn. Libevent's callbacks only note and queue; what they noted is
 * delivered by the loop itself, outside of libevent. */
#ifndef PF_COMMON_NET_LOOP_INTERNAL_H
#define PF_COMMON_NET_LOOP_INTERNAL_H

#include <stddef.h>
#include <sys/queue.h>
#include "common/base/heap.h"
#include "common/net/loop.h"

struct event;
struct event_base;
struct evconnlistener;
struct evdns_base;

/* Something with work to deliver; lives in its owner. */
struct pf_loop_item {
    TAILQ_ENTRY(pf_loop_item) link;
    /* Runs outside of the queue; may queue itself again, and may free its owner. */
    void (*deliver)(struct pf_loop_item *item);
    struct pf_loop *loop;
    uint8_t prio; /* enum pf_prio; changed only while not queued */
    bool is_queued;
};

/* Told at the end of each turn, after on_turn, to write what was gathered. */
struct pf_loop_flusher {
    TAILQ_ENTRY(pf_loop_flusher) link;
    void (*flush)(struct pf_loop_flusher *f);
};

/* One that accepts through libevent's listener and wants to hear of its errors. */
struct pf_loop_acceptor {
    TAILQ_ENTRY(pf_loop_acceptor) link;
    struct evconnlistener *lev;
    void (*on_error)(struct pf_loop_acceptor *a, int sys);
};

struct pf_loop_signal {
    struct pf_loop_item item;
    struct event *ev;
    int signo;
    void (*on_signal)(void *ctx, int signo);
    void *ctx;
};

TAILQ_HEAD(pf_loop_items, pf_loop_item);
TAILQ_HEAD(pf_loop_flushers, pf_loop_flusher);
TAILQ_HEAD(pf_loop_acceptors, pf_loop_acceptor);

struct pf_loop {
    struct event_base *base;
    struct event *marker; /* never fires: leads from the base to the loop */
    struct evdns_base *dns;
    struct pf_loop_items queue[PF_PRIO_COUNT];
    struct pf_loop_flushers flushers;
    struct pf_loop_acceptors acceptors;

    struct pf_heap timers;
    struct event *timeout; /* at the first of the timers */
    int64_t timeout_at_ms; /* what it is set to, INT64_MAX = not */
    struct pf_loop_signal signals[PF_LOOP_SIGNALS_MAX];
    uint32_t n_signals;

    bool (*on_turn)(void *ctx);
    void *on_turn_ctx;
    void (*on_deadline)(void *ctx);
    void *on_deadline_ctx;
    struct pf_timer *deadline;

    int64_t now_ms;
    int64_t began_us;  /* this turn */
    uint32_t spent;    /* callbacks of this turn */
    bool wants_turn;   /* on_turn has work left */
    bool is_in_turn;
    bool is_stopping;
    int fd_max;
    struct pf_loop_counters counters;
};

void pf_loop_item_init(struct pf_loop_item *item, struct pf_loop *loop, enum pf_prio prio,
                       void (*deliver)(struct pf_loop_item *item));
void pf_loop_queue(struct pf_loop_item *item); /* no-op when queued */
void pf_loop_unqueue(struct pf_loop_item *item);
/* Counts one delivered callback. False: the turn's budget is used up, leave the rest queued. */
bool pf_loop_spend(struct pf_loop *loop);

void pf_loop_add_flusher(struct pf_loop *loop, struct pf_loop_flusher *f);
void pf_loop_remove_flusher(struct pf_loop *loop, struct pf_loop_flusher *f);

/* The resolver, made at first use; NULL = out of memory. */
struct evdns_base *pf_loop_dns(struct pf_loop *loop);
/* Moves a descriptor to the reserved top ones; it stays where it is if that fails. */
int pf_loop_fd_to_top(int fd);

void pf_loop_add_acceptor(struct pf_loop *loop, struct pf_loop_acceptor *a);
void pf_loop_remove_acceptor(struct pf_loop *loop, struct pf_loop_acceptor *a);
/* For evconnlistener_set_error_cb(). libevent passes the argument of the listener's owner, which
 * for evhttp's listeners is not ours: this finds our acceptor by the listener. */
void pf_loop_accept_error(struct evconnlistener *lev, void *arg);

/* Queues the timers whose time has come, and sets the timeout for the next one. */
void pf_loop_timers_due(struct pf_loop *loop);
void pf_loop_timers_arm(struct pf_loop *loop);
void pf_loop_signals_fini(struct pf_loop *loop);

#endif
