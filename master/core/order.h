/* SPDX-License-Identifier: Apache-2.0 */
/* Things in the order of their making, numbered 1, 2, 3, ...: the order of every list that goes out
 * in pages. A page continues behind a number even when the thing that had it is gone. */
#ifndef PF_MASTER_CORE_ORDER_H
#define PF_MASTER_CORE_ORDER_H

#include <stdint.h>

struct pf_order_entry {
    uint64_t number;
    void *value; /* NULL: gone */
};

/* All zero = empty. The values belong to the caller. */
struct pf_order {
    struct pf_order_entry *at;
    uint32_t len, cap, n_live;
    uint64_t last_number;
};

/* Where a walk is; all zero = before the first. */
struct pf_order_cursor {
    uint64_t number; /* of the last thing given out */
    uint32_t place;  /* a guess where the next one is */
};

void pf_order_fini(struct pf_order *o);
/* Puts `value` at the end; returns its number. */
uint64_t pf_order_add(struct pf_order *o, void *value);
/* The thing must be there. */
void pf_order_del(struct pf_order *o, uint64_t number);
/* NULL: gone, or never there. */
void *pf_order_get(const struct pf_order *o, uint64_t number);
/* The next thing, NULL at the end. The order may change between two calls. */
void *pf_order_next(const struct pf_order *o, struct pf_order_cursor *c);
void pf_order_check(const struct pf_order *o);

#endif
