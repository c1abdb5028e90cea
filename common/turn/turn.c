/* SPDX-License-Identifier: Apache-2.0 */
/* Few batches are not stored: those in flight and the one that gathers. So an effect is either
 * ready or held under the number of one of them, and a ring of first-in first-out lists is all
 * there is: what an effect must wait for never decreases along a peer's effects, and a list moves
 * to the end of the ready one when its batch is stored. */
#include "common/turn/turn.h"

#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "common/turn/turn_internal.h"

enum {
    SPARE_TURNS = 3, /* and one for each batch that may be in flight */
    OPEN_RESET_BYTES = 64 << 10,
    WINDOW = 16, /* slots of the ring; a power of two */
};

_Static_assert(PF_TURN_IN_FLIGHT_MAX + 1 <= WINDOW,
               "the batches not stored have slots of their own");

struct pf_turn {
    struct pf_turns *owner;
    struct pf_arena arena;
    struct pf_fb_builder builder, nested;
    struct turn_rows rows;
    uint32_t n_effects; /* not yet carried out, the lent one included */
    struct pf_batch batch;
    bool is_open;         /* gathers */
    bool is_fenced;       /* makes a batch even without rows */
    bool in_flight;       /* its batch is being stored */
    struct pf_turn *next; /* among the spare ones */
};

/* A batch that is not stored yet. */
struct turn_slot {
    struct pf_turn *flying; /* NULL: gathers still */
    struct turn_list held;
    struct turn_peers peers; /* with effects in `held` */
};

struct pf_turns {
    uint32_t batch_max_bytes, in_flight_max;
    uint64_t stored, sealed; /* numbers; those between are in flight */
    struct pf_turn *open;
    struct turn_list ready;
    struct turn_slot ring[WINDOW]; /* by number */
    uint64_t act_tag;              /* of the last action: later ones do not overtake it */
    struct turn_effect *lent;      /* handed out by the last pf_turns_next */
    uint64_t n_effects;            /* in the lists, without dropped ones */
    struct pf_turn *spare;
    uint32_t n_spare;
    uint32_t n_closed; /* turns that wait for their batch or their effects */
};

static struct turn_slot *turns_slot(const struct pf_turns *ts, uint64_t tag)
{
    return (struct turn_slot *)&ts->ring[tag & (WINDOW - 1)];
}

static struct pf_turn *turn_create(struct pf_turns *ts)
{
    struct pf_turn *t = PF_NEW(struct pf_turn);

    t->owner = ts;
    pf_fb_builder_init(&t->builder, &t->arena);
    pf_fb_builder_init(&t->nested, &t->arena);
    return t;
}

static void turn_destroy(struct pf_turn *t)
{
    if (!t) {
        return;
    }
    pf_fb_builder_fini(&t->builder);
    pf_fb_builder_fini(&t->nested);
    turn_rows_fini(&t->rows);
    pf_arena_fini(&t->arena);
    pf_free(t);
}

/* Forgets what the turn held; what its builders have in the arena goes with it. */
static void turn_reset(struct pf_turn *t)
{
    PF_ASSERT(t->n_effects == 0);
    PF_ASSERT(!t->in_flight);
    t->is_fenced = false;
    turn_rows_clear(&t->rows);
    pf_arena_reset(&t->arena);
    pf_fb_builder_init(&t->builder, &t->arena);
    pf_fb_builder_init(&t->nested, &t->arena);
}

/* Recycles a turn that nobody needs any more. */
static void turn_release(struct pf_turn *t)
{
    struct pf_turns *ts = t->owner;

    if (t->is_open || t->in_flight || t->n_effects > 0) {
        return;
    }
    PF_ASSERT(ts->n_closed > 0);
    ts->n_closed--;
    if (ts->n_spare == SPARE_TURNS + ts->in_flight_max) {
        turn_destroy(t);
        return;
    }
    turn_reset(t);
    t->next = ts->spare;
    ts->spare = t;
    ts->n_spare++;
}

/* A fresh turn gathers from now on; the former one waits for its effects, or its batch. */
static void turns_rotate(struct pf_turns *ts)
{
    struct pf_turn *former = ts->open, *t = ts->spare;

    if (t) {
        ts->spare = t->next;
        ts->n_spare--;
    } else {
        t = turn_create(ts);
    }
    t->next = NULL;
    t->is_open = true;
    ts->open = t;
    if (former) {
        former->is_open = false;
        ts->n_closed++;
        turn_release(former);
    }
}

static void effect_unref(struct turn_effect *e)
{
    PF_ASSERT(e->turn->n_effects > 0);
    e->turn->n_effects--;
    turn_release(e->turn);
}

static bool turn_makes_batch(const struct pf_turn *t)
{
    return t->rows.n_ops > 0 || t->is_fenced;
}

/* The batch that an effect appended now waits for. */
static uint64_t turn_tag(const struct pf_turn *t)
{
    return t->owner->sealed + (turn_makes_batch(t) ? 1 : 0);
}

/* The tag that the last held effect of the peer waits for, 0 = none is held. */
static uint64_t peer_tag(const struct pf_turns *ts, uint64_t peer)
{
    for (uint64_t tag = ts->sealed + 1; tag > ts->stored; tag--) {
        const struct turn_peer *p = turn_peers_find(&turns_slot(ts, tag)->peers, peer);

        if (p && p->first) {
            return tag;
        }
    }
    return 0;
}

static void list_append(struct turn_list *l, struct turn_effect *e)
{
    if (l->last) {
        l->last->next = e;
    } else {
        l->first = e;
    }
    l->last = e;
}

static void peer_hold(struct pf_turns *ts, struct turn_effect *e)
{
    struct turn_peer *p = turn_peers_get(&turns_slot(ts, e->tag)->peers, e->pub.peer);

    if (p->last) {
        p->last->next_of_peer = e;
    } else {
        p->first = e;
    }
    p->last = e;
}

static void effect_append(struct pf_turn *t, uint64_t tag, const struct pf_effect *effect)
{
    struct pf_turns *ts = t->owner;
    struct turn_effect *e = pf_arena_alloc(&t->arena, sizeof *e);

    PF_ASSERT(t->is_open);
    *e = (struct turn_effect){.pub = *effect, .tag = tag, .turn = t};
    t->n_effects++;
    ts->n_effects++;
    if (tag <= ts->stored) {
        list_append(&ts->ready, e);
        return;
    }
    list_append(&turns_slot(ts, tag)->held, e);
    if (effect->kind != PF_EFFECT_ACT) {
        peer_hold(ts, e);
    }
}

/* --- for cores ------------------------------------------------------------------------------ */

struct pf_arena *pf_turn_arena(struct pf_turn *t)
{
    return &t->arena;
}

struct pf_fb_builder *pf_turn_builder(struct pf_turn *t)
{
    pf_fb_builder_reset(&t->builder);
    return &t->builder;
}

struct pf_fb_builder *pf_turn_nested_builder(struct pf_turn *t)
{
    pf_fb_builder_reset(&t->nested);
    return &t->nested;
}

void pf_turn_put(struct pf_turn *t, uint8_t table, struct pf_bytes key, struct pf_bytes row)
{
    PF_ASSERT(t->is_open);
    turn_rows_add(&t->rows, &t->arena, &(struct pf_row_op){.table = table, .key = key, .row = row});
}

void pf_turn_del(struct pf_turn *t, uint8_t table, struct pf_bytes key)
{
    PF_ASSERT(t->is_open);
    turn_rows_add(&t->rows, &t->arena,
                  &(struct pf_row_op){.table = table, .is_del = true, .key = key});
}

void pf_turn_fence(struct pf_turn *t)
{
    PF_ASSERT(t->is_open);
    t->is_fenced = true;
}

void pf_turn_send(struct pf_turn *t, uint64_t peer, struct pf_bytes message)
{
    effect_append(t, turn_tag(t),
                  &(struct pf_effect){.kind = PF_EFFECT_SEND, .peer = peer, .message = message});
}

void pf_turn_send_now(struct pf_turn *t, uint64_t peer, struct pf_bytes message)
{
    effect_append(t, peer_tag(t->owner, peer),
                  &(struct pf_effect){.kind = PF_EFFECT_SEND, .peer = peer, .message = message});
}

void pf_turn_close(struct pf_turn *t, uint64_t peer)
{
    effect_append(t, turn_tag(t), &(struct pf_effect){.kind = PF_EFFECT_CLOSE, .peer = peer});
}

void pf_turn_act(struct pf_turn *t, uint32_t kind, const void *data)
{
    t->owner->act_tag = turn_tag(t);
    pf_turn_act_now(t, kind, data);
}

void pf_turn_act_now(struct pf_turn *t, uint32_t kind, const void *data)
{
    effect_append(t, t->owner->act_tag,
                  &(struct pf_effect){.kind = PF_EFFECT_ACT, .act = kind, .data = data});
}

/* --- for drivers ---------------------------------------------------------------------------- */

struct pf_turns *pf_turns_create(uint32_t batch_max_bytes, uint32_t in_flight_max)
{
    struct pf_turns *ts = PF_NEW(struct pf_turns);

    PF_ASSERT(batch_max_bytes > 0);
    PF_ASSERT(in_flight_max >= 1 && in_flight_max <= PF_TURN_IN_FLIGHT_MAX);
    ts->batch_max_bytes = batch_max_bytes;
    ts->in_flight_max = in_flight_max;
    for (uint32_t i = 0; i < WINDOW; i++) {
        ts->ring[i].peers.stamp = 1;
    }
    turns_rotate(ts);
    return ts;
}

/* Drops the effects of a list, and with the last one of a turn the turn. */
static void turns_drop_list(struct turn_list *l)
{
    for (struct turn_effect *e = l->first; e;) {
        struct turn_effect *next = e->next; /* `e` may die with its turn */

        effect_unref(e);
        e = next;
    }
    *l = (struct turn_list){0};
}

void pf_turns_destroy(struct pf_turns *ts)
{
    if (!ts) {
        return;
    }
    if (ts->lent) {
        effect_unref(ts->lent);
    }
    turns_drop_list(&ts->ready);
    for (uint64_t tag = ts->stored + 1; tag <= ts->sealed + 1; tag++) {
        turns_drop_list(&turns_slot(ts, tag)->held);
    }
    PF_ASSERT(ts->n_closed == ts->sealed - ts->stored);
    for (uint32_t i = 0; i < WINDOW; i++) {
        turn_destroy(ts->ring[i].flying);
        turn_peers_fini(&ts->ring[i].peers);
    }
    turn_destroy(ts->open);
    while (ts->spare) {
        struct pf_turn *t = ts->spare;

        ts->spare = t->next;
        turn_destroy(t);
    }
    pf_free(ts);
}

struct pf_turn *pf_turns_open(struct pf_turns *ts)
{
    struct pf_turn *t = ts->open;

    /* While a batch is in flight this turn stays open; what it sent at once is no longer needed. */
    if (t->n_effects == 0 && !turn_makes_batch(t) && t->arena.used_bytes > OPEN_RESET_BYTES) {
        turn_reset(t);
    }
    return t;
}

bool pf_turns_is_full(const struct pf_turns *ts)
{
    return ts->open->rows.bytes >= ts->batch_max_bytes ||
           ts->open->arena.used_bytes >= PF_TURN_HELD_MAX_BYTES;
}

const struct pf_batch *pf_turns_seal(struct pf_turns *ts)
{
    struct pf_turn *t = ts->open;
    bool makes_batch = turn_makes_batch(t);

    if (!makes_batch && ts->sealed == ts->stored && t->n_effects > 0) {
        turns_rotate(ts);
    }
    if (!makes_batch || pf_turns_in_flight(ts) == ts->in_flight_max) {
        return NULL;
    }
    ts->sealed++;
    t->batch = (struct pf_batch){.number = ts->sealed,
                                 .op = t->rows.op,
                                 .n_ops = t->rows.n_ops,
                                 .bytes = (uint32_t)t->rows.bytes};
    t->in_flight = true;
    turns_slot(ts, ts->sealed)->flying = t;
    turns_rotate(ts);
    return &t->batch;
}

uint32_t pf_turns_in_flight(const struct pf_turns *ts)
{
    return (uint32_t)(ts->sealed - ts->stored);
}

void pf_turns_stored(struct pf_turns *ts, uint64_t number)
{
    struct turn_slot *slot = turns_slot(ts, number);
    struct turn_list *l = &slot->held;
    struct pf_turn *t = slot->flying;

    PF_ASSERT(number <= ts->sealed);
    PF_ASSERT(number == ts->stored + 1);
    ts->stored = number;
    if (l->first) {
        if (ts->ready.last) {
            ts->ready.last->next = l->first;
        } else {
            ts->ready.first = l->first;
        }
        ts->ready.last = l->last;
        *l = (struct turn_list){0};
    }
    turn_peers_clear(&slot->peers);
    slot->flying = NULL;
    t->in_flight = false;
    turn_release(t);
}

const struct pf_effect *pf_turns_next(struct pf_turns *ts)
{
    if (ts->lent) {
        effect_unref(ts->lent);
        ts->lent = NULL;
    }
    while (ts->ready.first) {
        struct turn_effect *e = ts->ready.first;

        ts->ready.first = e->next;
        if (!ts->ready.first) {
            ts->ready.last = NULL;
        }
        if (e->pub.kind) {
            ts->n_effects--;
            ts->lent = e;
            return &e->pub;
        }
        effect_unref(e);
    }
    return NULL;
}

static void effect_drop(struct pf_turns *ts, struct turn_effect *e)
{
    if (e->pub.kind) {
        e->pub.kind = (enum pf_effect_kind)0;
        ts->n_effects--;
    }
}

void pf_turns_forget_peer(struct pf_turns *ts, uint64_t peer)
{
    for (uint64_t tag = ts->stored + 1; tag <= ts->sealed + 1; tag++) {
        struct turn_peer *p = turn_peers_find(&turns_slot(ts, tag)->peers, peer);

        if (p) {
            for (struct turn_effect *e = p->first; e; e = e->next_of_peer) {
                effect_drop(ts, e);
            }
            p->first = p->last = NULL;
        }
    }
    for (struct turn_effect *e = ts->ready.first; e; e = e->next) {
        if (e->pub.kind != PF_EFFECT_ACT && e->pub.peer == peer) {
            effect_drop(ts, e);
        }
    }
}

bool pf_turns_is_idle(const struct pf_turns *ts)
{
    return ts->sealed == ts->stored && !turn_makes_batch(ts->open) && ts->n_effects == 0;
}

/* Counts the living effects of a list; a held one (tag > 0) stands under its own tag. */
static uint64_t list_check(const struct turn_list *l, uint64_t tag)
{
    uint64_t n = 0;
    const struct turn_effect *last = NULL;

    for (const struct turn_effect *e = l->first; e; last = e, e = e->next) {
        PF_ASSERT(e->turn->n_effects > 0);
        PF_ASSERT(tag == 0 || e->tag == tag);
        n += e->pub.kind ? 1 : 0;
    }
    PF_ASSERT(last == l->last);
    return n;
}

void pf_turns_check(const struct pf_turns *ts)
{
    uint64_t n = list_check(&ts->ready, 0);

    for (uint64_t tag = ts->stored + 1; tag <= ts->stored + WINDOW; tag++) {
        const struct turn_slot *slot = turns_slot(ts, tag);
        const struct pf_turn *t = slot->flying;

        n += list_check(&slot->held, tag);
        PF_ASSERT(tag <= ts->sealed + 1 || !slot->held.first);
        PF_ASSERT((t != NULL) == (tag <= ts->sealed));
        if (t) {
            PF_ASSERT(t->in_flight && !t->is_open);
            PF_ASSERT(t->batch.number == tag);
            PF_ASSERT(t->batch.n_ops == t->rows.n_ops);
            turn_rows_check(&t->rows);
        }
    }
    PF_ASSERT(n == ts->n_effects);
    PF_ASSERT(pf_turns_in_flight(ts) <= ts->in_flight_max);
    PF_ASSERT(ts->open->is_open && !ts->open->in_flight);
    PF_ASSERT(ts->act_tag <= ts->sealed + 1);
    turn_rows_check(&ts->open->rows);
}
