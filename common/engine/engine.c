/* SPDX-License-Identifier: Apache-2.0 */
/* See engine.h. */
#include "common/engine/engine.h"

#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "common/sys/clock.h"

#define SHOW_US_MAX  (PF_TURN_MS_MAX * 1000) /* of a turn's effects */
#define CHEAP_A_LOOK 64 /* sends between two looks at the clock; actions take one each */

struct pf_engine {
    struct pf_engine_options o;
    struct pf_engine_ops ops;
    void *ctx;
    struct pf_turns *turns;
    struct pf_watch *store_watch;
    uint64_t in_flight; /* number of the batch at the store, 0 = none */
    bool is_failed, is_paused;
};

static void engine_fail(struct pf_engine *e, const struct pf_err *why)
{
    e->is_failed = true;
    if (e->store_watch != NULL) {
        pf_watch_set(e->store_watch, 0);
    }
    e->ops.on_store_failed(e->ctx, why);
}

/* Takes the store's word for the batch in flight, if it is there. */
static void engine_collect(struct pf_engine *e)
{
    uint64_t number = 0;
    struct pf_err err = {0};
    if (pf_store_collect(e->o.store, &number, &err) < 0) {
        engine_fail(e, &err);
        return;
    }
    if (number != 0) {
        PF_ASSERT(number == e->in_flight);
        e->in_flight = 0;
        pf_turns_stored(e->turns, number);
    }
}

static void engine_store_ready(void *ctx, unsigned ready)
{
    struct pf_engine *e = ctx;
    (void)ready;
    if (!e->is_failed) {
        engine_collect(e);
    }
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

/* Carries out what may be seen until there is nothing more, or the time of the turn is used up:
 * making a thousand sandboxes must not keep a heartbeat waiting. True: there is more. */
static bool engine_show(struct pf_engine *e, int64_t end_us)
{
    const struct pf_effect *f;
    uint32_t n = 0;
    while (!e->is_failed && (f = pf_turns_next(e->turns)) != NULL) {
        engine_carry_out(e, f);
        bool is_cheap = f->kind != PF_EFFECT_ACT;
        if ((!is_cheap || ++n % CHEAP_A_LOOK == 0) && pf_now_us() >= end_us) {
            return true;
        }
    }
    return false;
}

/* Stores what was gathered and shows what may be seen; a store that is done at once (memory) lets
 * the next batch follow in the same turn. True: there is work left for another turn. */
static bool engine_advance(struct pf_engine *e)
{
    int64_t end_us = pf_now_us() + SHOW_US_MAX;
    for (;;) {
        const struct pf_batch *batch = pf_turns_seal(e->turns);
        if (batch != NULL) {
            e->in_flight = batch->number;
            pf_store_submit(e->o.store, batch);
            if (e->store_watch == NULL) {
                engine_collect(e);
            }
        }
        if (e->is_failed) {
            return false;
        }
        if (engine_show(e, end_us)) {
            return true;
        }
        if (batch == NULL || e->in_flight != 0) {
            return false;
        }
    }
}

static bool engine_on_turn(void *ctx)
{
    struct pf_engine *e = ctx;
    if (e->is_failed) {
        return false;
    }
    bool has_more = engine_advance(e);
    bool is_full = !e->is_failed && pf_turns_is_full(e->turns);
    if (is_full != e->is_paused && e->o.net != NULL) {
        e->is_paused = is_full;
        pf_net_pause(e->o.net, is_full);
    }
    pf_loop_set_timer(e->o.loop, e->ops.next_deadline(e->ctx));
    return has_more;
}

static void engine_on_deadline(void *ctx)
{
    struct pf_engine *e = ctx;
    if (!e->is_failed) {
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
    e->turns = pf_turns_create(
        options->batch_max_bytes != 0 ? options->batch_max_bytes : PF_BATCH_MAX_BYTES, 1);
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
    pf_watch_destroy(e->store_watch);
    pf_store_destroy(e->o.store);
    pf_turns_destroy(e->turns);
    pf_free(e);
}

struct pf_turn *pf_engine_turn(struct pf_engine *e)
{
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
