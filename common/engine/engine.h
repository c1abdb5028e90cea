/* SPDX-License-Identifier: Apache-2.0 */
/* Runs one pure core on a loop: the daemon feeds events into the open turn; at the end of each turn
 * of the loop the engine seals the batch, has it stored, and carries out what may become visible:
 * sends and closes go to the net, actions to the daemon. It pauses reading while the gathering
 * batch is full. One thread; the daemon's callbacks run in the delivery part of a turn (loop.h), or
 * at its end.
 *
 * An engine ends with its core: a master that leads no more destroys both and makes them anew on
 * the same loop and net. What was queued and not shown is dropped. */
#ifndef PF_COMMON_ENGINE_ENGINE_H
#define PF_COMMON_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/err.h"
#include "common/net/loop.h"
#include "common/net/peer.h"
#include "common/store/store.h"
#include "common/turn/turn.h"

struct pf_engine;

struct pf_engine_ops {
    /* Monotonic ms of the core's next wanted deadline, INT64_MAX = none. */
    int64_t (*next_deadline)(void *ctx);
    /* That time has come: step the core. */
    void (*on_deadline)(void *ctx);
    /* An effect of the core's own kind (PF_EFFECT_ACT). NULL where the core has none. */
    void (*on_act)(void *ctx, uint32_t act, const void *data);
    /* A send or close for a peer that is not of the net (an HTTP request): true = taken. NULL:
     * all peers are of the net. */
    bool (*on_virtual)(void *ctx, const struct pf_effect *e);
    /* The store failed for good; nothing is stored or shown any more. The daemon ends. */
    void (*on_store_failed)(void *ctx, const struct pf_err *why);
    /* May effects be shown now? Asked before they are, and again after some of them: a master whose
     * lease has run out must fall silent at once. NULL: always. */
    bool (*may_act)(void *ctx);
    /* may_act said no: this engine shows and stores nothing any more, and wants no deadlines. Told
     * once, at the end of a turn; the engine may be destroyed in it. */
    void (*on_gate_shut)(void *ctx);
};

struct pf_engine_options {
    struct pf_loop *loop;
    struct pf_net *net;       /* NULL: all peers are virtual */
    struct pf_store *store;   /* owned from now on; destroyed with the engine */
    uint32_t batch_max_bytes; /* 0: PF_BATCH_MAX_BYTES */
};

/* Takes the loop's on_turn and on_deadline. On failure the store stays the caller's. */
PF_MUST_USE int pf_engine_create(const struct pf_engine_options *options,
                                 const struct pf_engine_ops *ops, void *ctx, struct pf_engine **out,
                                 struct pf_err *err);
/* Waits for the batch in flight (LMDB); what was not shown is dropped. Reading goes on if it was
 * paused. Not from inside of its callbacks, but on_gate_shut. NULL is fine. */
void pf_engine_destroy(struct pf_engine *e);

/* Where the next step appends; asked for anew for each step: a batch that has reached its limit is
 * given to the store first, or, if that has no room, reading pauses at once. */
struct pf_turn *pf_engine_turn(struct pf_engine *e);
/* A peer is gone: its effects are dropped. */
void pf_engine_forget_peer(struct pf_engine *e, uint64_t peer);
/* Takes the store's word for what became durable: said by the owner of a store of the sort
 * PF_STORE_WAKE_OWNER after telling it, in the delivery part of a turn or inside on_submit. */
void pf_engine_collect(struct pf_engine *e);
/* Everything so far is stored and was carried out. */
bool pf_engine_is_idle(const struct pf_engine *e);

#endif
