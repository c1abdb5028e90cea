/* SPDX-License-Identifier: Apache-2.0 */
/* Binary heap in an array; each node knows its place, so it can be moved and removed. */
#include "common/base/heap.h"

#include <stddef.h>
#include "common/base/alloc.h"

enum { HEAP_CAP_MIN = 8 };

static bool node_before(const struct pf_heap_node *a, const struct pf_heap_node *b)
{
    return a->key != b->key ? a->key < b->key : a->sequence < b->sequence;
}

static void heap_put(struct pf_heap *h, uint32_t i, struct pf_heap_node *n)
{
    h->at[i] = n;
    n->place = i + 1;
}

/* Seats `n` at free place i or above. */
static void heap_up(struct pf_heap *h, uint32_t i, struct pf_heap_node *n)
{
    while (i > 0 && node_before(n, h->at[(i - 1) / 2])) {
        heap_put(h, i, h->at[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    heap_put(h, i, n);
}

/* Seats `n` at free place i or below. */
static void heap_down(struct pf_heap *h, uint32_t i, struct pf_heap_node *n)
{
    while (i < h->len / 2) {
        uint32_t child = 2 * i + 1;

        if (child + 1 < h->len && node_before(h->at[child + 1], h->at[child])) {
            child++;
        }
        if (!node_before(h->at[child], n)) {
            break;
        }
        heap_put(h, i, h->at[child]);
        i = child;
    }
    heap_put(h, i, n);
}

static void heap_seat(struct pf_heap *h, uint32_t i, struct pf_heap_node *n)
{
    if (i > 0 && node_before(n, h->at[(i - 1) / 2])) {
        heap_up(h, i, n);
    } else {
        heap_down(h, i, n);
    }
}

void pf_heap_fini(struct pf_heap *h)
{
    for (uint32_t i = 0; i < h->len; i++) {
        h->at[i]->place = 0;
    }
    pf_free(h->at);
    *h = (struct pf_heap){0};
}

void pf_heap_set(struct pf_heap *h, struct pf_heap_node *n, int64_t key)
{
    if (n->place != 0) {
        PF_ASSERT(n->place <= h->len);
        PF_ASSERT(h->at[n->place - 1] == n);
        if (n->key == key) {
            return;
        }
        n->key = key;
        n->sequence = h->next_sequence++;
        heap_seat(h, n->place - 1, n);
        return;
    }
    if (h->len == h->cap) {
        PF_ASSERT(h->cap < UINT32_MAX / 2);
        h->cap = h->cap == 0 ? HEAP_CAP_MIN : h->cap * 2;
        h->at = pf_realloc(h->at, h->cap * sizeof(struct pf_heap_node *));
    }
    n->key = key;
    n->sequence = h->next_sequence++;
    h->len++;
    heap_up(h, h->len - 1, n);
}

void pf_heap_remove(struct pf_heap *h, struct pf_heap_node *n)
{
    if (n->place == 0) {
        return;
    }
    uint32_t i = n->place - 1;

    PF_ASSERT(i < h->len);
    PF_ASSERT(h->at[i] == n);
    n->place = 0;
    struct pf_heap_node *last = h->at[--h->len];
    if (last != n) {
        heap_seat(h, i, last);
    }
}

struct pf_heap_node *pf_heap_first(const struct pf_heap *h)
{
    return h->len == 0 ? NULL : h->at[0];
}

void pf_heap_check(const struct pf_heap *h)
{
    PF_ASSERT(h->len <= h->cap);
    for (uint32_t i = 0; i < h->len; i++) {
        PF_ASSERT(h->at[i]->place == i + 1);
        PF_ASSERT(h->at[i]->sequence < h->next_sequence);
        PF_ASSERT(i == 0 || node_before(h->at[(i - 1) / 2], h->at[i]));
    }
}
