/* SPDX-License-Identifier: Apache-2.0 */
/* Open addressing with linear probing; a removal shifts the followers back, so there are no
 * tombstones and a lookup ends at the first free slot. */
#include "common/base/map.h"

#include <stddef.h>
#include <string.h>
#include "common/base/alloc.h"

enum { MAP_CAP_MIN = 8, MAP_CAP_SHRINKS = 1024 };

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

static void map_resize(struct pf_map *m, uint32_t cap)
{
    struct pf_map_slot *slots = pf_alloc(cap * sizeof *slots);
    uint32_t mask = cap - 1;

    for (uint32_t from = 0; from < m->cap; from++) {
        if (!m->slots[from].value) {
            continue;
        }
        uint32_t to = m->slots[from].hash & mask;

        while (slots[to].value) {
            to = (to + 1) & mask;
        }
        slots[to] = m->slots[from];
    }
    pf_free(m->slots);
    m->slots = slots;
    m->cap = cap;
}

void pf_map_fini(struct pf_map *m)
{
    pf_free(m->slots);
    *m = (struct pf_map){.seed = m->seed};
}

void *pf_map_get(const struct pf_map *m, const void *key, uint32_t key_len)
{
    if (m->len == 0) {
        return NULL;
    }
    return map_find(m, map_hash(m, key, key_len), key, key_len)->value;
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
    struct pf_map_slot *s = map_find(m, map_hash(m, key, key_len), key, key_len);
    void *value = s->value;

    if (!value) {
        return NULL;
    }
    uint32_t mask = m->cap - 1;
    uint32_t hole = (uint32_t)(s - m->slots);

    for (uint32_t i = (hole + 1) & mask; m->slots[i].value; i = (i + 1) & mask) {
        /* who sits as far from home as the hole is, or farther, may move into it */
        if (((i - m->slots[i].hash) & mask) >= ((i - hole) & mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole] = (struct pf_map_slot){0};
    m->len--;
    if (m->cap >= MAP_CAP_SHRINKS && m->len < m->cap / 8) {
        map_resize(m, m->cap / 2);
    }
    return value;
}

void *pf_map_next(const struct pf_map *m, uint32_t *cursor)
{
    while (*cursor < m->cap) {
        void *value = m->slots[(*cursor)++].value;

        if (value) {
            return value;
        }
    }
    return NULL;
}
