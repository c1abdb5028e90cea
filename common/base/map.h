/* SPDX-License-Identifier: Apache-2.0 */
/* The one hash map: byte-string keys to pointers. A key is borrowed from its value and must live
 * and stay unchanged while it is in the map. The hash is seeded per map; no order of it may reach
 * an effect, so pf_map_next serves checks, clean-up and counting only. */
#ifndef PF_COMMON_BASE_MAP_H
#define PF_COMMON_BASE_MAP_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/str.h"

struct pf_map_slot {
    const void *key;
    void *value; /* NULL = free slot */
    uint32_t key_len, hash;
};

/* All zero = empty map with seed 0. */
struct pf_map {
    struct pf_map_slot *slots;
    uint32_t len, cap; /* cap: power of two or 0 */
    /* A large table that was outgrown: each change moves some of it over, so that none is slow. */
    struct pf_map_slot *old;
    uint32_t old_cap, old_start, n_moved; /* slots from old_start on, round; start is a free one */
    uint64_t seed;     /* set before the first insert; from the daemon's dice for keys that come
                        * from outside */
};

void pf_map_fini(struct pf_map *m);
void *pf_map_get(const struct pf_map *m, const void *key, uint32_t key_len);
/* Adds; asserts that the key is not there and that value is not NULL. */
void pf_map_put(struct pf_map *m, const void *key, uint32_t key_len, void *value);
/* Removes and returns the value, NULL if there was none. */
void *pf_map_del(struct pf_map *m, const void *key, uint32_t key_len);
/* Walks: *cursor starts at 0; NULL at the end. The map must not change meanwhile. */
void *pf_map_next(const struct pf_map *m, uint32_t *cursor);

static inline void *pf_map_get_str(const struct pf_map *m, struct pf_str key)
{
    return pf_map_get(m, key.at, key.len);
}

static inline void *pf_map_get_u64(const struct pf_map *m, const uint64_t *key)
{
    return pf_map_get(m, key, (uint32_t)sizeof *key);
}

/* 64-bit hash of bytes (for map seeds and spreading); not cryptographic. */
uint64_t pf_hash(const void *p, size_t len, uint64_t seed);

#endif
