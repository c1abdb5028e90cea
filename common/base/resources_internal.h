/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of resources share: arithmetic on single items. For resources*.c only. */
#ifndef PF_COMMON_BASE_RESOURCES_INTERNAL_H
#define PF_COMMON_BASE_RESOURCES_INTERNAL_H

#include "common/base/resources.h"

/* Numbers in ranges stay below this, so that their count fits an int64. */
#define PF_RES_RANGE_END_MAX ((uint64_t)INT64_MAX - 1)

/* The order of items: by name, then kind. */
int pf_res_item_cmp(const struct pf_res_item *a, const struct pf_res_item *b);
bool pf_res_item_is_empty(const struct pf_res_item *a);
bool pf_res_item_eq(const struct pf_res_item *a, const struct pf_res_item *b);
bool pf_res_item_contains(const struct pf_res_item *a, const struct pf_res_item *b);
void pf_res_item_add(struct pf_res_item *a, const struct pf_res_item *b);
/* `b` is contained in `a`. */
void pf_res_item_sub(struct pf_res_item *a, const struct pf_res_item *b);
struct pf_res_item pf_res_item_dup(const struct pf_res_item *a);
void pf_res_item_fini(struct pf_res_item *a);
uint64_t pf_res_item_count(const struct pf_res_item *a); /* numbers of ranges, items of a set */
void pf_res_item_check(const struct pf_res_item *a);
/* How much of `want` (numbers, set items or thousandths) `have` (NULL: nothing) lacks. */
int64_t pf_res_item_shortage(const struct pf_res_item *have, const struct pf_res_item *want);

void pf_res_ranges_add(struct pf_res_item *a, struct pf_range add);
void pf_res_set_add(struct pf_res_item *a, const char *text);

/* An owned copy of a name, or the static one of "ports". */
const char *pf_res_name_dup(const char *name);

/* The item with the name and kind of `like`, or NULL. */
struct pf_res_item *pf_res_item_get(const struct pf_resources *r, const struct pf_res_item *like);
/* The same; puts an empty one there if there is none, which the caller must fill. */
struct pf_res_item *pf_res_item_need(struct pf_resources *r, const struct pf_res_item *like);

#endif
