/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of one turn: an array for the store, and an index so that the last put of a key wins. */
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "common/base/map.h"
#include "common/turn/turn_internal.h"

enum { ROWS_CAP_MIN = 32, ROWS_CAP_KEPT = 16 << 10 };

static uint32_t row_hash(uint8_t table, struct pf_bytes key)
{
    return (uint32_t)pf_hash(key.at, key.len, table);
}

static bool row_is(const struct pf_row_op *op, uint8_t table, struct pf_bytes key)
{
    return op->table == table && op->key.len == key.len &&
           memcmp(op->key.at, key.at, key.len) == 0;
}

/* The slot of the row, or the free one where it belongs. */
static struct turn_row_slot *rows_place(const struct turn_rows *r, uint8_t table,
                                        struct pf_bytes key, uint32_t hash)
{
    uint32_t i = hash & (r->n_slots - 1);

    while (r->slots[i].stamp == r->stamp &&
           !(r->slots[i].hash == hash && row_is(&r->op[r->slots[i].op_i], table, key))) {
        i = (i + 1) & (r->n_slots - 1);
    }
    return &r->slots[i];
}

/* Room for one more: the array doubles, and the index with it to twice its size. */
static void rows_grow(struct turn_rows *r)
{
    r->cap = r->cap ? r->cap * 2 : ROWS_CAP_MIN;
    r->op = pf_realloc(r->op, r->cap * sizeof *r->op);
    pf_free(r->slots);
    r->n_slots = r->cap * 2;
    r->slots = pf_alloc(r->n_slots * sizeof *r->slots);
    r->stamp = 1;
    for (uint32_t i = 0; i < r->n_ops; i++) {
        uint32_t hash = row_hash(r->op[i].table, r->op[i].key);

        *rows_place(r, r->op[i].table, r->op[i].key, hash) =
            (struct turn_row_slot){.op_i = i, .stamp = r->stamp, .hash = hash};
    }
}

static uint64_t row_bytes(const struct pf_row_op *op)
{
    return (uint64_t)op->key.len + op->row.len;
}

void turn_rows_fini(struct turn_rows *r)
{
    PF_FREE(r->op);
    PF_FREE(r->slots);
    *r = (struct turn_rows){0};
}

void turn_rows_clear(struct turn_rows *r)
{
    if (r->cap > ROWS_CAP_KEPT) {
        turn_rows_fini(r);
        return;
    }
    r->n_ops = 0;
    r->bytes = 0;
    if (++r->stamp == 0) { /* stamps of 2^32 turns ago would count again */
        for (uint32_t i = 0; i < r->n_slots; i++) {
            r->slots[i].stamp = 0;
        }
        r->stamp = 1;
    }
}

void turn_rows_add(struct turn_rows *r, struct pf_arena *arena, const struct pf_row_op *op)
{
    struct turn_row_slot *slot;
    struct pf_row_op *to;
    uint32_t hash;

    PF_ASSERT(op->table >= 1 && op->table <= PF_STORE_TABLES_MAX);
    PF_ASSERT(op->key.len >= 1 && op->key.len <= PF_STORE_KEY_MAX_BYTES);
    PF_ASSERT(op->row.len <= PF_ROW_MAX_BYTES);
    if (r->n_ops == r->cap) {
        rows_grow(r);
    }
    hash = row_hash(op->table, op->key);
    slot = rows_place(r, op->table, op->key, hash);
    if (slot->stamp == r->stamp) {
        to = &r->op[slot->op_i];
        r->bytes -= row_bytes(to);
        to->is_del = op->is_del;
        to->row = op->row;
    } else {
        *slot = (struct turn_row_slot){.op_i = r->n_ops, .stamp = r->stamp, .hash = hash};
        to = &r->op[r->n_ops++];
        *to = *op;
        to->key.at = pf_arena_memdup(arena, op->key.at, op->key.len);
    }
    r->bytes += row_bytes(to);
}

void turn_rows_check(const struct turn_rows *r)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < r->n_ops; i++) {
        const struct pf_row_op *op = &r->op[i];
        const struct turn_row_slot *slot =
            rows_place(r, op->table, op->key, row_hash(op->table, op->key));

        PF_ASSERT(slot->stamp == r->stamp);
        PF_ASSERT(slot->op_i == i);
        PF_ASSERT(!op->is_del || op->row.len == 0);
        bytes += row_bytes(op);
    }
    PF_ASSERT(bytes == r->bytes);
}
