/* SPDX-License-Identifier: Apache-2.0 */
/* A sorted array with holes; it closes them when half of it is holes, so that walks and searches
 * cost what is there. */
#include "master/core/order.h"

#include <stddef.h>
#include "common/base/alloc.h"
#include "common/base/compiler.h"

enum { ORDER_CAP_MIN = 16 };

void pf_order_fini(struct pf_order *o)
{
    pf_free(o->at);
    *o = (struct pf_order){.last_number = o->last_number};
}

uint64_t pf_order_add(struct pf_order *o, void *value)
{
    PF_ASSERT(value != NULL);
    if (o->len == o->cap) {
        o->cap = o->cap == 0 ? ORDER_CAP_MIN : o->cap * 2;
        o->at = pf_realloc(o->at, o->cap * sizeof *o->at);
    }
    o->at[o->len++] = (struct pf_order_entry){++o->last_number, value};
    o->n_live++;
    return o->last_number;
}

/* The first place whose number is over `number`. */
static uint32_t order_search(const struct pf_order *o, uint64_t number)
{
    uint32_t low = 0, high = o->len;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (o->at[mid].number > number) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    return low;
}

static void order_compact(struct pf_order *o)
{
    uint32_t to = 0;

    for (uint32_t i = 0; i < o->len; i++) {
        if (o->at[i].value) {
            o->at[to++] = o->at[i];
        }
    }
    o->len = to;
}

void pf_order_del(struct pf_order *o, uint64_t number)
{
    uint32_t i = order_search(o, number);

    PF_ASSERT(i > 0 && o->at[i - 1].number == number);
    PF_ASSERT(o->at[i - 1].value != NULL);
    o->at[i - 1].value = NULL;
    o->n_live--;
    if (o->len >= ORDER_CAP_MIN && o->n_live <= o->len / 2) {
        order_compact(o);
    }
}

void *pf_order_get(const struct pf_order *o, uint64_t number)
{
    uint32_t i = order_search(o, number);

    return i > 0 && o->at[i - 1].number == number ? o->at[i - 1].value : NULL;
}

void *pf_order_next(const struct pf_order *o, struct pf_order_cursor *c)
{
    uint32_t i = c->place;

    if (i > o->len || (i > 0 && o->at[i - 1].number != c->number) || (i == 0 && c->number != 0)) {
        i = order_search(o, c->number);
    }
    while (i < o->len && !o->at[i].value) {
        i++;
    }
    if (i == o->len) {
        return NULL;
    }
    c->number = o->at[i].number;
    c->place = i + 1;
    return o->at[i].value;
}

void pf_order_check(const struct pf_order *o)
{
    uint32_t n_live = 0;

    PF_ASSERT(o->len <= o->cap);
    for (uint32_t i = 0; i < o->len; i++) {
        PF_ASSERT(i == 0 || o->at[i - 1].number < o->at[i].number);
        n_live += o->at[i].value != NULL;
    }
    PF_ASSERT(n_live == o->n_live);
    PF_ASSERT(o->len == 0 || o->at[o->len - 1].number <= o->last_number);
}
