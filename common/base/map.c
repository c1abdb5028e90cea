/* SPDX-License-Identifier: Apache-2.0 */
/* Open addressing with linear probing; a removal shifts the followers back, so there are no
 * tombstones and a lookup ends at the first free slot. A large table is not rehashed at once: the
 * old one is moved over from a free slot on, in the order of its chains, so that what is left of it
 * can still be searched. */
#include "common/base/map.h"

#include <stddef.h>
#include <string.h>
#include "common/base/alloc.h"

enum { MAP_CAP_MIN = 8, MAP_CAP_SHRINKS = 1024, MAP_CAP_AT_ONCE = 1024, MAP_MOVES = 16 };

/* Product of two words, both halves folded into one. */
static inline uint64_t hash_mix(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 u128;
    u128 product = (u128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t hash_word(const uint8_t *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof word);
    return word;
}

/* The last 1..8 bytes of a key of `len`, without a loop: where they are fewer than a word, bytes
 * are read twice (of the word before them, or of themselves). */
static inline uint64_t hash_tail(const uint8_t *at, size_t left, size_t len)
{
    uint32_t low, high;

    if (len >= 8) {
        return hash_word(at + left - 8);
    }
    if (left >= 4) {
        memcpy(&low, at, sizeof low);
        memcpy(&high, at + left - 4, sizeof high);
        return (uint64_t)high << 32 | low;
    }
    return (uint64_t)at[0] << 16 | (uint64_t)at[left / 2] << 8 | at[left - 1];
}

uint64_t pf_hash(const void *p, size_t len, uint64_t seed)
{
    static const uint64_t k0 = UINT64_C(0x9e3779b97f4a7c15); /* odd, bits well spread */
    static const uint64_t k1 = UINT64_C(0xd6e8feb86659fd93);
    static const uint64_t k2 = UINT64_C(0xa0761d6478bd642f); /* not k0: seed 0 would give 0 * key */
    const uint8_t *at = p;
    size_t left = len;
    uint64_t h = seed ^ k0;

    while (left >= 16) {
        h = hash_mix(hash_word(at) ^ k1, hash_word(at + 8) ^ h);
        at += 16;
        left -= 16;
    }
    if (left > 8) {
        h = hash_mix(hash_word(at) ^ k1, h ^ k2);
        at += 8;
        left -= 8;
    }
    if (left > 0) {
        h = hash_mix(hash_tail(at, left, len) ^ k1, h ^ k2);
    }
    return hash_mix(h ^ k0, (uint64_t)len ^ seed ^ k1);
}

static inline uint32_t map_hash(const struct pf_map *m, const void *key, uint32_t key_len)
{
    uint64_t h = pf_hash(key, key_len, m->seed);

    return (uint32_t)(h ^ (h >> 32));
}

static inline bool slot_holds(const struct pf_map_slot *s, uint32_t hash, const void *key,
                              uint32_t key_len)
{
    return s->hash == hash && s->key_len == key_len &&
           (key_len == 0 || memcmp(s->key, key, key_len) == 0);
}

/* The slot of the key, or the free one where its search ends. cap > 0. */
static struct pf_map_slot *map_find(const struct pf_map *m, uint32_t hash, const void *key,
                                    uint32_t key_len)
{
    uint32_t mask = m->cap - 1;

    for (uint32_t i = hash & mask;; i = (i + 1) & mask) {
        struct pf_map_slot *s = &m->slots[i];

        if (!s->value || slot_holds(s, hash, key, key_len)) {
            return s;
        }
    }
}

/* --- the old table --- */

static void slot_add(struct pf_map *m, const struct pf_map_slot *s)
{
    uint32_t mask = m->cap - 1, to = s->hash & mask;

    while (m->slots[to].value) {
        to = (to + 1) & mask;
    }
    m->slots[to] = *s;
}

/* How many slots behind the start; those before n_moved were moved. */
static inline uint32_t old_rank(const struct pf_map *m, uint32_t slot)
{
    return (slot - m->old_start) & (m->old_cap - 1);
}

/* The slot of the key in what is left; NULL: it is not there. */
static struct pf_map_slot *old_find(const struct pf_map *m, uint32_t hash, const void *key,
                                    uint32_t key_len)
{
    uint32_t mask = m->old_cap - 1, rank;

    if (!m->old) {
        return NULL;
    }
    rank = old_rank(m, hash & mask);
    for (rank = rank > m->n_moved ? rank : m->n_moved; rank < m->old_cap; rank++) {
        struct pf_map_slot *s = &m->old[(m->old_start + rank) & mask];

        if (!s->value) {
            break;
        }
        if (slot_holds(s, hash, key, key_len)) {
            return s;
        }
    }
    return NULL;
}

static void old_move(struct pf_map *m, uint32_t n)
{
    uint32_t mask = m->old_cap - 1;

    for (; n > 0 && m->old && m->n_moved < m->old_cap; n--, m->n_moved++) {
        struct pf_map_slot *s = &m->old[(m->old_start + m->n_moved) & mask];

        if (s->value) {
            slot_add(m, s);
            *s = (struct pf_map_slot){0};
        }
    }
    if (m->old && m->n_moved == m->old_cap) {
        PF_FREE(m->old);
    }
}

static void map_resize(struct pf_map *m, uint32_t cap)
{
    old_move(m, UINT32_MAX);
    m->old = m->slots;
    m->old_cap = m->cap;
    m->old_start = 0;
    m->n_moved = 0;
    m->slots = pf_alloc(cap * sizeof *m->slots);
    m->cap = cap;
    while (m->old && m->old[m->old_start].value) { /* it is never full */
        m->old_start++;
    }
    if (m->old_cap <= MAP_CAP_AT_ONCE) {
        old_move(m, UINT32_MAX);
    }
}

/* Empties the slot of a table; followers move up. */
static void slot_remove(struct pf_map_slot *slots, uint32_t mask, uint32_t hole)
{
    for (uint32_t i = (hole + 1) & mask; slots[i].value; i = (i + 1) & mask) {
        /* who sits as far from home as the hole is, or farther, may move into it */
        if (((i - slots[i].hash) & mask) >= ((i - hole) & mask)) {
            slots[hole] = slots[i];
            hole = i;
        }
    }
    slots[hole] = (struct pf_map_slot){0};
}

/* --- the map --- */

void pf_map_fini(struct pf_map *m)
{
    pf_free(m->slots);
    pf_free(m->old);
    *m = (struct pf_map){.seed = m->seed};
}

void *pf_map_get(const struct pf_map *m, const void *key, uint32_t key_len)
{
    const struct pf_map_slot *s;
    uint32_t hash;

    if (m->len == 0) {
        return NULL;
    }
    hash = map_hash(m, key, key_len);
    s = map_find(m, hash, key, key_len);
    if (!s->value && m->old) {
        s = old_find(m, hash, key, key_len);
    }
    return s ? s->value : NULL;
}

void pf_map_put(struct pf_map *m, const void *key, uint32_t key_len, void *value)
{
    PF_ASSERT(key != NULL);
    PF_ASSERT(value != NULL);
    if (m->len >= m->cap - m->cap / 4) {
        PF_ASSERT(m->cap < UINT32_MAX / 2);
        map_resize(m, m->cap == 0 ? MAP_CAP_MIN : m->cap * 2);
    }
    uint32_t hash = map_hash(m, key, key_len);

    old_move(m, MAP_MOVES);
    PF_ASSERT(old_find(m, hash, key, key_len) == NULL);
    struct pf_map_slot *s = map_find(m, hash, key, key_len);

    PF_ASSERT(s->value == NULL);
    *s = (struct pf_map_slot){.key = key, .value = value, .key_len = key_len, .hash = hash};
    m->len++;
}

void *pf_map_del(struct pf_map *m, const void *key, uint32_t key_len)
{
    if (m->len == 0) {
        return NULL;
    }
    uint32_t hash = map_hash(m, key, key_len);

    old_move(m, MAP_MOVES);
    struct pf_map_slot *s = map_find(m, hash, key, key_len), *in_old = NULL;

    if (!s->value) {
        in_old = old_find(m, hash, key, key_len);
        s = in_old ? in_old : s;
    }
    void *value = s->value;

    if (!value) {
        return NULL;
    }
    if (in_old) {
        slot_remove(m->old, m->old_cap - 1, (uint32_t)(s - m->old));
    } else {
        slot_remove(m->slots, m->cap - 1, (uint32_t)(s - m->slots));
    }
    m->len--;
    if (m->cap >= MAP_CAP_SHRINKS && m->len < m->cap / 8) {
        map_resize(m, m->cap / 2);
    }
    return value;
}

void *pf_map_next(const struct pf_map *m, uint32_t *cursor)
{
    uint32_t n_old = m->old ? m->old_cap : 0;

    while (*cursor < m->cap || *cursor - m->cap < n_old) {
        uint32_t i = (*cursor)++;
        void *value = i < m->cap ? m->slots[i].value : m->old[i - m->cap].value;

        if (value) {
            return value;
        }
    }
    return NULL;
}
