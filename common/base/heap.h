/* SPDX-License-Identifier: Apache-2.0 */
/* Binary heap of intrusive nodes ordered by (key, sequence): the smallest first, equal keys in the
 * order of insertion. Serves deadlines (key = monotonic ms) and priorities. */
#ifndef PF_COMMON_BASE_HEAP_H
#define PF_COMMON_BASE_HEAP_H

#include <stdbool.h>
#include <stdint.h>

struct pf_heap_node {
    int64_t key;
    uint64_t sequence;
    uint32_t place; /* 1-based place in the heap, 0 = not in one */
};

/* All zero = empty. Nodes belong to the caller. */
struct pf_heap {
    struct pf_heap_node **at;
    uint32_t len, cap;
    uint64_t next_sequence;
};

void pf_heap_fini(struct pf_heap *h);
/* Inserts, or moves a node that is in the heap already: behind those with an equal key, unless its
 * key does not change. A node starts as all zero. */
void pf_heap_set(struct pf_heap *h, struct pf_heap_node *n, int64_t key);
void pf_heap_remove(struct pf_heap *h, struct pf_heap_node *n); /* no-op if not in it */
struct pf_heap_node *pf_heap_first(const struct pf_heap *h);    /* NULL when empty */
void pf_heap_check(const struct pf_heap *h);

static inline bool pf_heap_has(const struct pf_heap_node *n)
{
    return n->place != 0;
}

#endif
