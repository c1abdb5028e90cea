/* SPDX-License-Identifier: Apache-2.0 */
/* See engine.h. */
#include "common/engine/engine.h"

#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "common/sys/clock.h"
#include "common/sys/fault.h"

#define SHOW_US_MAX  (PF_TURN_MS_MAX * 1000) /* of a turn's effects */
#define CHEAP_A_LOOK 64 /* sends between two looks at clock and gate; actions take one each */

struct pf_engine {
    struct pf_engine_options o;
    struct pf_engine_ops ops;
    void *ctx;
    struct pf_turns *turns;
    struct pf_watch *store_watch;
    uint64_t stored; /* number of the last batch the turns were told of */
    bool is_at_once; /* the store is done when submit returns */
    bool is_failed, is_shut, is_paused;
};

enum shown { SHOWN_NOTHING, SHOWN_SOME, SHOWN_TIME_IS_UP };

static void engine_fail(struct pf_engine *e, const struct pf_err *why)
{
    e->is_failed = true;
    if (e->store_watch != NULL) {
        pf_watch_set(e->store_watch, 0);
    }
    e->ops.on_store_failed(e->ctx, why);
}

void pf_engine_collect(struct pf_engine *e)
{
    uint64_t number = 0;
    struct pf_err err = {0};
    if (e->is_failed) {
        return;
    }
    if (pf_store_collect(e->o.store, &number, &err) < 0) {
        engine_fail(e, &err);
        return;
    }
    while (e->stored < number) {
        pf_fault_point("stored");
        pf_turns_stored(e->turns, ++e->stored);
    }
}

static void engine_store_ready(void *ctx, unsigned ready)
{
    (void)ready;
    pf_engine_collect(ctx);
}

static void engine_carry_out(struct pf_engine *e, const struct pf_effect *f)
{
    if (f->kind == PF_EFFECT_ACT) {
        e->ops.on_act(e->ctx, f->act, f->data);
        return;
    }
    if (e->ops.on_virtual != NULL && e->ops.on_virtual(e->ctx, f)) {
        return;
    }
    if (f->kind == PF_EFFECT_SEND) {
        pf_peer_send(e->o.net, f->peer, f->message);
    } else {
        pf_peer_close(e->o.net, f->peer, true);
    }
}

static bool engine_may_show(struct pf_engine *e)
{
    if (!e->is_shut && e->ops.may_act != NULL && !e->ops.may_act(e->ctx)) {
        e->is_shut = true;
    }
    return !e->is_shut && !e->is_failed;
}

/* Carries out what may be seen until there is nothing more, or the time of the turn is used up:
 * making a thousand sandboxes must not keep a heartbeat waiting. */
static enum shown engine_show(struct pf_engine *e, int64_t end_us)
{
    const struct pf_effect *f;
    uint32_t n = 0;
    bool may_show = engine_may_show(e);
    while (may_show && (f = pf_turns_next(e->turns)) != NULL) {
        bool is_cheap = f->kind != PF_EFFECT_ACT;
        engine_carry_out(e, f);
        pf_fault_point("shown");
        may_show = !e->is_failed;
        if (!is_cheap || ++n % CHEAP_A_LOOK == 0) {
            if (pf_now_us() >= end_us) {
                return SHOWN_TIME_IS_UP;
            }
            may_show = engine_may_show(e);
        }
        n += is_cheap ? 0 : CHEAP_A_LOOK;
    }
    return n > 0 ? SHOWN_SOME : SHOWN_NOTHING;
}

/* Gives what was gathered to the store. False: there is nothing, or the store has no room. */
static bool engine_store(struct pf_engine *e)
{
    const struct pf_batch *batch = pf_turns_seal(e->turns);
    if (batch == NULL) {
        return false;
    }
    pf_store_submit(e->o.store, batch);
    if (e->is_at_once) {
        pf_engine_collect(e);
    }
    return true;
}

static void engine_pause(struct pf_engine *e, bool is_paused)
{
    if (e->o.net != NULL && (is_paused || e->is_paused)) { /* others may have ended the pause */
        pf_net_pause(e->o.net, is_paused);
        e->is_paused = is_paused;
    }
}

/* Stores what was gathered and shows what may be seen, which may bring more to store. True: there
 * is work left for another turn. */
static bool engine_advance(struct pf_engine *e)
{
    int64_t end_us = pf_now_us() + SHOW_US_MAX;
    for (;;) {
        bool has_stored = engine_store(e);
        enum shown shown = engine_show(e, end_us);
        if (e->is_failed || e->is_shut) {
            return false;
        }
        if (shown == SHOWN_TIME_IS_UP) {
            return true;
        }
        if (!has_stored && shown == SHOWN_NOTHING) {
            return false;
        }
    }
}

static bool engine_on_turn(void *ctx)
{
    struct pf_engine *e = ctx;
    if (e->is_failed || e->is_shut) {
        return false;
    }
    bool has_more = engine_advance(e);
    if (e->is_shut) {
        pf_loop_set_timer(e->o.loop, INT64_MAX);
        if (e->ops.on_gate_shut != NULL) {
            e->ops.on_gate_shut(e->ctx); /* may destroy it */
        }
        return false;
    }
    engine_pause(e, !e->is_failed && pf_turns_is_full(e->turns));
    pf_loop_set_timer(e->o.loop, e->ops.next_deadline(e->ctx));
    return has_more;
}

static void engine_on_deadline(void *ctx)
{
    struct pf_engine *e = ctx;
    if (!e->is_failed && !e->is_shut) {
        e->ops.on_deadline(e->ctx);
    }
}

int pf_engine_create(const struct pf_engine_options *options, const struct pf_engine_ops *ops,
                     void *ctx, struct pf_engine **out, struct pf_err *err)
{
    struct pf_engine *e = PF_NEW(struct pf_engine);
    e->o = *options;
    e->ops = *ops;
    e->ctx = ctx;
    int fd = pf_store_wake_fd(options->store);
    if (fd >= 0) {
        int rc = pf_watch_create(options->loop, fd, PF_WATCH_READ, PF_PRIO_URGENT,
                                 engine_store_ready, e, &e->store_watch, err);
        if (rc < 0) {
            pf_free(e);
            return rc;
        }
    }
    e->is_at_once = fd == PF_STORE_WAKE_AT_ONCE;
    uint32_t batch_max_bytes = options->batch_max_bytes;
    e->turns = pf_turns_create(batch_max_bytes != 0 ? batch_max_bytes : PF_BATCH_MAX_BYTES,
                               pf_store_depth(options->store));
    pf_loop_set_on_turn(options->loop, engine_on_turn, e);
    pf_loop_set_on_deadline(options->loop, engine_on_deadline, e);
    *out = e;
    return 0;
}

void pf_engine_destroy(struct pf_engine *e)
{
    if (e == NULL) {
        return;
    }
    pf_loop_set_on_turn(e->o.loop, NULL, NULL);
    pf_loop_set_on_deadline(e->o.loop, NULL, NULL);
    pf_loop_set_timer(e->o.loop, INT64_MAX);
    engine_pause(e, false);
    pf_watch_destroy(e->store_watch);
    pf_store_destroy(e->o.store);
    pf_turns_destroy(e->turns);
    pf_free(e);
}

struct pf_turn *pf_engine_turn(struct pf_engine *e)
{
    if (pf_turns_is_full(e->turns) && !e->is_failed && !e->is_shut) {
        (void)engine_store(e); /* what follows gathers in the next one */
        if (pf_turns_is_full(e->turns)) {
            engine_pause(e, true);
        }
    }
    return pf_turns_open(e->turns);
}

void pf_engine_forget_peer(struct pf_engine *e, uint64_t peer)
{
    pf_turns_forget_peer(e->turns, peer);
}

bool pf_engine_is_idle(const struct pf_engine *e)
{
    return pf_turns_is_idle(e->turns);
}
