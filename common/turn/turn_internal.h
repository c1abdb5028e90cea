/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this module share. Included by turn*.c only. */
#ifndef PF_COMMON_TURN_TURN_INTERNAL_H
#define PF_COMMON_TURN_TURN_INTERNAL_H

#include "common/turn/turn.h"

/* An effect in the arena of its turn. It stands in exactly one list: ready, or held under its
 * tag. */
struct turn_effect {
    struct pf_effect pub; /* kind 0: dropped, skipped when its place comes */
    uint64_t tag;         /* the batch that must be stored before */
    struct pf_turn *turn;
    struct turn_effect *next;         /* in its list */
    struct turn_effect *next_of_peer; /* while held: the peer's next one under the same tag */
};

struct turn_list {
    struct turn_effect *first, *last;
};

/* The peers with held effects of one tag: open addressing; a slot counts while its stamp is that
 * of the set, so emptying the set costs nothing. */
struct turn_peer {
    uint64_t peer;
    uint32_t stamp;
    struct turn_effect *first, *last; /* both NULL: the peer was forgotten */
};

struct turn_peers {
    struct turn_peer *slots;
    uint32_t len, cap; /* cap: power of two or 0 */
    uint32_t stamp;
};

void turn_peers_fini(struct turn_peers *s);
void turn_peers_clear(struct turn_peers *s);
struct turn_peer *turn_peers_find(const struct turn_peers *s, uint64_t peer); /* NULL: none */
struct turn_peer *turn_peers_get(struct turn_peers *s, uint64_t peer);        /* added if missing */

/* The rows of one turn, at most one for each (table, key). The index works like turn_peers. */
struct turn_row_slot {
    uint32_t op_i, stamp, hash;
};

struct turn_rows {
    struct pf_row_op *op;
    uint32_t n_ops, cap;
    uint64_t bytes; /* of keys and rows */
    struct turn_row_slot *slots;
    uint32_t n_slots; /* power of two or 0 */
    uint32_t stamp;
};

void turn_rows_fini(struct turn_rows *r);
void turn_rows_clear(struct turn_rows *r);
/* `op` replaces an earlier one of the same table and key. Its key is copied into the arena. */
void turn_rows_add(struct turn_rows *r, struct pf_arena *arena, const struct pf_row_op *op);
void turn_rows_check(const struct turn_rows *r);

#endif
