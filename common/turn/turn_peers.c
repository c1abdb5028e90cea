/* SPDX-License-Identifier: Apache-2.0 */
/* Which peers have held effects under a tag, and which those are. */
#include "common/base/alloc.h"
#include "common/turn/turn_internal.h"

enum { PEERS_CAP_MIN = 64 };

/* Peers are counters of the driver, mostly: multiply and take high bits. */
static uint32_t peers_start(const struct turn_peers *s, uint64_t peer)
{
    uint64_t h = (peer + 1) * UINT64_C(0x9e3779b97f4a7c15);

    return (uint32_t)(h >> 32) & (s->cap - 1);
}

/* The peer's slot, or the free one where it belongs. */
static struct turn_peer *peers_place(const struct turn_peers *s, uint64_t peer)
{
    uint32_t i = peers_start(s, peer);

    while (s->slots[i].stamp == s->stamp && s->slots[i].peer != peer) {
        i = (i + 1) & (s->cap - 1);
    }
    return &s->slots[i];
}

static void peers_grow(struct turn_peers *s)
{
    struct turn_peers bigger = {.len = s->len, .stamp = 1};

    bigger.cap = s->cap ? s->cap * 2 : PEERS_CAP_MIN;
    bigger.slots = pf_alloc(bigger.cap * sizeof *bigger.slots);
    for (uint32_t i = 0; i < s->cap; i++) {
        if (s->slots[i].stamp == s->stamp) {
            struct turn_peer *to = peers_place(&bigger, s->slots[i].peer);

            *to = s->slots[i];
            to->stamp = bigger.stamp;
        }
    }
    pf_free(s->slots);
    *s = bigger;
}

void turn_peers_fini(struct turn_peers *s)
{
    PF_FREE(s->slots);
    *s = (struct turn_peers){0};
}

void turn_peers_clear(struct turn_peers *s)
{
    s->len = 0;
    if (++s->stamp == 0) { /* stamps of 2^32 turns ago would count again */
        for (uint32_t i = 0; i < s->cap; i++) {
            s->slots[i].stamp = 0;
        }
        s->stamp = 1;
    }
}

struct turn_peer *turn_peers_find(const struct turn_peers *s, uint64_t peer)
{
    struct turn_peer *p;

    if (s->len == 0) {
        return NULL;
    }
    p = peers_place(s, peer);
    return p->stamp == s->stamp ? p : NULL;
}

struct turn_peer *turn_peers_get(struct turn_peers *s, uint64_t peer)
{
    struct turn_peer *p;

    if (s->len >= s->cap / 2) {
        peers_grow(s);
    }
    p = peers_place(s, peer);
    if (p->stamp != s->stamp) {
        *p = (struct turn_peer){.peer = peer, .stamp = s->stamp};
        s->len++;
    }
    return p;
}
