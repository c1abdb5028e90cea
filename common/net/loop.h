/* SPDX-License-Identifier: Apache-2.0 */
/* The one event loop of a process: descriptors, signals, timers, and turns. Libevent stays inside
 * common/net.
 *
 * A turn: (1) libevent waits and notes what is ready; (2) what came in is delivered: the callbacks
 * of pf_net, pf_http, pf_timer, pf_watch and signals run, PF_TURN_EVENTS_MAX of them or
 * PF_TURN_MS_MAX ms at most, urgent ones first; (3) on_turn runs: here a daemon seals its batch and
 * carries out effects; (4) sockets are written, once each. What was left over comes in the next
 * turn, which does not wait. So no callback of ours ever runs inside a library's, nor inside
 * another of ours, and a callback may destroy any object of this layer but the loop. One thread. */
#ifndef PF_COMMON_NET_LOOP_H
#define PF_COMMON_NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/compiler.h"
#include "common/base/err.h"

#define PF_ADDRESS_MAX 80 /* bytes of "host:port" as listening tells it, with the NUL */

struct pf_loop;
struct pf_timer;
struct pf_watch;

enum pf_prio {
    PF_PRIO_URGENT, /* election, lease, links between masters */
    PF_PRIO_NORMAL,
    PF_PRIO_COUNT
};

enum { PF_WATCH_READ = 1, PF_WATCH_WRITE = 2 };

/* Since the loop was made; a turn's length counts (2) to (4), not the waiting. */
struct pf_loop_counters {
    uint64_t turns;
    uint64_t events;       /* callbacks delivered */
    uint64_t cut_turns;    /* that ended by their budget with work left */
    uint64_t long_turns;   /* longer than 10 times PF_TURN_MS_MAX */
    uint64_t turn_ns_sum, turn_ns_max;
};

/* PF_ENOMEM, PF_EIO. */
PF_MUST_USE int pf_loop_create(struct pf_loop **out, struct pf_err *err);
/* Everything that was made on the loop must be destroyed before. NULL is fine. */
void pf_loop_destroy(struct pf_loop *loop);

/* Runs turns until pf_loop_stop(). PF_EIO if the kernel's poll fails. */
PF_MUST_USE int pf_loop_run(struct pf_loop *loop, struct pf_err *err);
/* Runs one turn; waits for something to happen if `may_wait`. For tests and benches. */
PF_MUST_USE int pf_loop_turn(struct pf_loop *loop, bool may_wait, struct pf_err *err);
/* For a loop inside another: poll the descriptor for reading, no longer than pf_loop_wait_ms() (-1:
 * as long as you like), then run a turn that does not wait. The descriptor stays the loop's. */
PF_MUST_USE int pf_loop_fd(const struct pf_loop *loop, int *out_fd, struct pf_err *err);
int64_t pf_loop_wait_ms(const struct pf_loop *loop);
/* From a callback: pf_loop_run() returns after the turn (its (3) and (4) still happen). */
void pf_loop_stop(struct pf_loop *loop);

/* pf_now_ms(), read when the wait of this turn ended. */
int64_t pf_loop_now_ms(const struct pf_loop *loop);
const struct pf_loop_counters *pf_loop_counters(const struct pf_loop *loop);

/* Called once at the end of every turn. NULL = nobody. Returns whether there is work left that
 * needs another turn at once (events that did not fit into a batch): then the next turn does not
 * wait. */
void pf_loop_set_on_turn(struct pf_loop *loop, bool (*on_turn)(void *ctx), void *ctx);

/* The deadline of the process (the core's next deadline): calls `on_deadline` once, in a turn whose
 * time is >= at_ms. INT64_MAX = none. Setting again moves it; cheap when it stays the same. */
void pf_loop_set_on_deadline(struct pf_loop *loop, void (*on_deadline)(void *ctx), void *ctx);
void pf_loop_set_timer(struct pf_loop *loop, int64_t at_ms);

/* More timers of the same sort, for those who need their own. The callback may set or destroy. */
struct pf_timer *pf_timer_create(struct pf_loop *loop, enum pf_prio prio,
                                 void (*on_time)(void *ctx), void *ctx);
void pf_timer_set(struct pf_timer *t, int64_t at_ms); /* INT64_MAX = off */
void pf_timer_destroy(struct pf_timer *t);

/* Watches a descriptor that stays the caller's: eventfd of the store, pidfds, other sockets. Level
 * triggered: called in each turn in which it is ready for `what` (PF_WATCH_*), with what it is
 * ready for (an error or hang-up counts as all of `what`). Destroy before closing it. */
PF_MUST_USE int pf_watch_create(struct pf_loop *loop, int fd, unsigned what, enum pf_prio prio,
                                void (*on_ready)(void *ctx, unsigned ready), void *ctx,
                                struct pf_watch **out, struct pf_err *err);
void pf_watch_set(struct pf_watch *w, unsigned what); /* 0 = pause */
void pf_watch_destroy(struct pf_watch *w);

/* Delivers a signal as a callback; at most PF_LOOP_SIGNALS_MAX of them. Ends with the loop. Several
 * arrivals may be told as one. */
#define PF_LOOP_SIGNALS_MAX 8
PF_MUST_USE int pf_loop_on_signal(struct pf_loop *loop, int signo,
                                  void (*on_signal)(void *ctx, int signo), void *ctx,
                                  struct pf_err *err);

/* Accepting (native and HTTP) pauses while the next free descriptor is not below `max`, so that a
 * reserve stays for files, processes and urgent links. Default: RLIMIT_NOFILE less an eighth, at
 * least 64. */
void pf_loop_set_fd_max(struct pf_loop *loop, int max);

#endif
