/* SPDX-License-Identifier: Apache-2.0 */
/* See stamp.h. Direct-mapped: a newer shape takes the place of an older one. */
#include "master/core/stamp.h"

#include <string.h>
#include "common/base/alloc.h"

static uint32_t place_of(const struct pf_bytes part[M_STAMP_PARTS])
{
    uint32_t hash = 0;

    for (uint32_t i = 0; i < M_STAMP_PARTS; i++) {
        hash = (hash ^ part[i].len) * 0x9E3779B1u;
    }
    return (hash >> 16) % M_STAMPS;
}

void pf_m_stamps_fini(struct m_stamps *s)
{
    for (uint32_t i = 0; i < M_STAMPS; i++) {
        PF_FREE(s->at[i].bytes);
    }
}

struct pf_bytes pf_m_stamp_use(const struct m_stamps *s, struct pf_arena *arena,
                               const struct pf_bytes part[M_STAMP_PARTS])
{
    const struct m_stamp *t = &s->at[place_of(part)];
    uint8_t *copy;

    if (!t->bytes) {
        return (struct pf_bytes){NULL, 0};
    }
    for (uint32_t i = 0; i < M_STAMP_PARTS; i++) {
        if (t->part_len[i] != part[i].len) {
            return (struct pf_bytes){NULL, 0};
        }
    }
    copy = pf_arena_alloc(arena, t->len);
    memcpy(copy, t->bytes, t->len);
    for (uint32_t i = 0; i < M_STAMP_PARTS; i++) {
        if (part[i].len > 0) {
            memcpy(copy + t->part_at[i], part[i].at, part[i].len);
        }
    }
    return (struct pf_bytes){copy, t->len};
}

void pf_m_stamp_learn(struct m_stamps *s, struct pf_bytes message,
                      const struct pf_bytes at[M_STAMP_PARTS])
{
    struct m_stamp *t = &s->at[place_of(at)];

    if (message.len > M_STAMP_BYTES_MAX) {
        return;
    }
    pf_free(t->bytes);
    t->bytes = pf_memdup(message.at, message.len);
    t->len = message.len;
    for (uint32_t i = 0; i < M_STAMP_PARTS; i++) {
        t->part_len[i] = at[i].len;
        t->part_at[i] = at[i].len > 0 ? (uint32_t)(at[i].at - message.at) : 0;
    }
}
