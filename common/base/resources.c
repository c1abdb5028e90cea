/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic of resources. Amounts without items touch four numbers and no memory. */
#include "common/base/resources_internal.h"

#include <string.h>
#include "common/base/alloc.h"
#include "common/base/limits.h"

enum { RES_ITEMS_CAP_MIN = 1 };

const char *const pf_res_scalar_names[PF_RES_SCALAR_COUNT] = {
    [PF_RES_CPUS] = "cpus",
    [PF_RES_MEM] = "mem",
    [PF_RES_DISK] = "disk",
    [PF_RES_GPUS] = "gpus",
};

/* The first item that is not before `like`; `*out_found`: it is the one. */
static uint32_t items_search(const struct pf_resources *r, const struct pf_res_item *like,
                             bool *out_found)
{
    uint32_t i = 0;
    int order = -1;

    *out_found = false;
    while (i < r->n_items && (order = pf_res_item_cmp(&r->item[i], like)) < 0) {
        i++;
    }
    *out_found = order == 0;
    return i;
}

struct pf_res_item *pf_res_item_get(const struct pf_resources *r, const struct pf_res_item *like)
{
    bool is_there;
    uint32_t i = items_search(r, like, &is_there);

    return is_there ? &r->item[i] : NULL;
}

/* An empty item of the name and kind of `like` at place i. */
static struct pf_res_item *items_insert(struct pf_resources *r, uint32_t i,
                                        const struct pf_res_item *like)
{
    if (r->n_items == r->cap_items) {
        r->cap_items = r->cap_items == 0 ? RES_ITEMS_CAP_MIN : r->cap_items * 2;
        r->item = pf_realloc(r->item, r->cap_items * sizeof *r->item);
    }
    memmove(r->item + i + 1, r->item + i, (r->n_items - i) * sizeof *r->item);
    r->item[i] = (struct pf_res_item){.name = pf_res_name_dup(like->name), .kind = like->kind};
    r->n_items++;
    return &r->item[i];
}

struct pf_res_item *pf_res_item_need(struct pf_resources *r, const struct pf_res_item *like)
{
    bool is_there;
    uint32_t i = items_search(r, like, &is_there);

    return is_there ? &r->item[i] : items_insert(r, i, like);
}

static void items_remove(struct pf_resources *r, uint32_t i)
{
    pf_res_item_fini(&r->item[i]);
    r->n_items--;
    memmove(r->item + i, r->item + i + 1, (r->n_items - i) * sizeof *r->item);
    if (r->n_items == 0) {
        PF_FREE(r->item);
        r->cap_items = 0;
    }
}

void pf_res_fini(struct pf_resources *r)
{
    for (uint32_t i = 0; i < r->n_items; i++) {
        pf_res_item_fini(&r->item[i]);
    }
    pf_free(r->item);
    *r = (struct pf_resources){0};
}

void pf_res_clear(struct pf_resources *r)
{
    pf_res_fini(r);
}

struct pf_resources pf_res_dup(const struct pf_resources *r)
{
    struct pf_resources copy = *r;

    if (r->n_items > 0) {
        copy.item = pf_realloc(NULL, r->n_items * sizeof *r->item);
        copy.cap_items = r->n_items;
        for (uint32_t i = 0; i < r->n_items; i++) {
            copy.item[i] = pf_res_item_dup(&r->item[i]);
        }
    }
    return copy;
}

void pf_res_assign(struct pf_resources *to, const struct pf_resources *from)
{
    if (to->n_items == 0 && from->n_items == 0) {
        *to = *from;
        return;
    }
    struct pf_resources copy = pf_res_dup(from); /* first: they may be the same */

    pf_res_fini(to);
    *to = copy;
}

bool pf_res_is_empty(const struct pf_resources *r)
{
    int64_t any = (int64_t)r->n_items;

    for (uint32_t i = 0; i < PF_RES_SCALAR_COUNT; i++) {
        any |= r->scalar_milli[i];
    }
    return any == 0;
}

bool pf_res_eq(const struct pf_resources *a, const struct pf_resources *b)
{
    if (memcmp(a->scalar_milli, b->scalar_milli, sizeof a->scalar_milli) != 0 ||
        a->n_items != b->n_items) {
        return false;
    }
    for (uint32_t i = 0; i < a->n_items; i++) {
        if (!pf_res_item_eq(&a->item[i], &b->item[i])) {
            return false;
        }
    }
    return true;
}

bool pf_res_contains(const struct pf_resources *a, const struct pf_resources *b)
{
    bool holds = true;

    for (uint32_t i = 0; i < PF_RES_SCALAR_COUNT; i++) {
        holds &= a->scalar_milli[i] >= b->scalar_milli[i];
    }
    for (uint32_t i = 0; holds && i < b->n_items; i++) {
        const struct pf_res_item *item = pf_res_item_get(a, &b->item[i]);

        holds = item && pf_res_item_contains(item, &b->item[i]);
    }
    return holds;
}

void pf_res_add(struct pf_resources *a, const struct pf_resources *b)
{
    PF_ASSERT(a != b);
    for (uint32_t i = 0; i < PF_RES_SCALAR_COUNT; i++) {
        a->scalar_milli[i] += b->scalar_milli[i];
    }
    for (uint32_t i = 0; i < b->n_items; i++) {
        pf_res_item_add(pf_res_item_need(a, &b->item[i]), &b->item[i]);
    }
}

static void items_sub(struct pf_resources *a, const struct pf_res_item *b)
{
    bool is_there;
    uint32_t i = items_search(a, b, &is_there);

    PF_ASSERT(is_there);
    pf_res_item_sub(&a->item[i], b);
    if (pf_res_item_is_empty(&a->item[i])) {
        items_remove(a, i);
    }
}

void pf_res_sub(struct pf_resources *a, const struct pf_resources *b)
{
    PF_ASSERT(a != b);
    PF_ASSERT(pf_res_contains(a, b));
    for (uint32_t i = 0; i < PF_RES_SCALAR_COUNT; i++) {
        a->scalar_milli[i] -= b->scalar_milli[i];
    }
    for (uint32_t i = 0; i < b->n_items; i++) {
        items_sub(a, &b->item[i]);
    }
}

void pf_res_add_scalars(struct pf_resources *a, const struct pf_resources *b)
{
    PF_ASSERT(a != b);
    for (uint32_t i = 0; i < PF_RES_SCALAR_COUNT; i++) {
        a->scalar_milli[i] += b->scalar_milli[i];
    }
    for (uint32_t i = 0; i < b->n_items; i++) {
        if (b->item[i].kind == PF_RES_KIND_SCALAR) {
            pf_res_item_need(a, &b->item[i])->milli += b->item[i].milli;
        }
    }
}

void pf_res_sub_scalars(struct pf_resources *a, const struct pf_resources *b)
{
    PF_ASSERT(a != b);
    for (uint32_t i = 0; i < PF_RES_SCALAR_COUNT; i++) {
        PF_ASSERT(a->scalar_milli[i] >= b->scalar_milli[i]);
        a->scalar_milli[i] -= b->scalar_milli[i];
    }
    for (uint32_t i = 0; i < b->n_items; i++) {
        if (b->item[i].kind == PF_RES_KIND_SCALAR) {
            items_sub(a, &b->item[i]);
        }
    }
}

/* Index of a well-known scalar, or PF_RES_SCALAR_COUNT. */
static uint32_t scalar_index(struct pf_str name)
{
    uint32_t i = 0;

    while (i < PF_RES_SCALAR_COUNT && !pf_str_is(name, pf_res_scalar_names[i])) {
        i++;
    }
    return i;
}

int64_t pf_res_scalar(const struct pf_resources *r, struct pf_str name)
{
    uint32_t known = scalar_index(name);

    if (known < PF_RES_SCALAR_COUNT) {
        return r->scalar_milli[known];
    }
    for (uint32_t i = 0; i < r->n_items; i++) {
        if (r->item[i].kind == PF_RES_KIND_SCALAR && pf_str_is(name, r->item[i].name)) {
            return r->item[i].milli;
        }
    }
    return 0;
}

const struct pf_res_item *pf_res_find(const struct pf_resources *r, struct pf_str name)
{
    for (uint32_t i = 0; i < r->n_items; i++) {
        if (pf_str_is(name, r->item[i].name)) {
            return &r->item[i];
        }
    }
    return NULL;
}

uint64_t pf_res_range_count(const struct pf_resources *r, struct pf_str name)
{
    for (uint32_t i = 0; i < r->n_items; i++) {
        if (r->item[i].kind == PF_RES_KIND_RANGES && pf_str_is(name, r->item[i].name)) {
            return pf_res_item_count(&r->item[i]);
        }
    }
    return 0;
}

/* Adds the `n` lowest numbers of `from` to `to`, which holds lower numbers at most. */
static void ranges_take_lowest(struct pf_res_item *to, const struct pf_res_item *from, uint64_t n)
{
    for (uint32_t i = 0; n > 0 && i < from->n; i++) {
        struct pf_range part = from->range[i];

        if (part.end - part.begin >= n) {
            part.end = part.begin + n - 1;
        }
        pf_res_ranges_add(to, part);
        n -= part.end - part.begin + 1;
    }
}

bool pf_res_pick(const struct pf_resources *have, const struct pf_resources *want,
                 struct pf_resources *out_part)
{
    int64_t lacking;

    if (pf_res_shortage(have, want, &lacking)) {
        return false;
    }
    PF_ASSERT(pf_res_is_empty(out_part));
    memcpy(out_part->scalar_milli, want->scalar_milli, sizeof out_part->scalar_milli);
    for (uint32_t i = 0; i < want->n_items; i++) {
        const struct pf_res_item *w = &want->item[i];
        struct pf_res_item *part = pf_res_item_need(out_part, w);

        if (w->kind == PF_RES_KIND_RANGES) {
            ranges_take_lowest(part, pf_res_item_get(have, w), pf_res_item_count(w));
        } else {
            pf_res_item_add(part, w);
        }
    }
    return true;
}

const char *pf_res_shortage(const struct pf_resources *have, const struct pf_resources *want,
                            int64_t *out_short)
{
    *out_short = 0;
    for (uint32_t i = 0; i < PF_RES_SCALAR_COUNT; i++) {
        if (have->scalar_milli[i] < want->scalar_milli[i]) {
            *out_short = want->scalar_milli[i] - have->scalar_milli[i];
            return pf_res_scalar_names[i];
        }
    }
    for (uint32_t i = 0; i < want->n_items; i++) {
        const struct pf_res_item *w = &want->item[i];

        *out_short = pf_res_item_shortage(pf_res_item_get(have, w), w);
        if (*out_short > 0) {
            return w->name;
        }
    }
    return NULL;
}

void pf_res_check(const struct pf_resources *r)
{
    for (uint32_t i = 0; i < PF_RES_SCALAR_COUNT; i++) {
        PF_ASSERT(r->scalar_milli[i] >= 0);
    }
    PF_ASSERT(r->n_items <= r->cap_items);
    PF_ASSERT((r->item == NULL) == (r->n_items == 0));
    for (uint32_t i = 0; i < r->n_items; i++) {
        PF_ASSERT(i == 0 || pf_res_item_cmp(&r->item[i - 1], &r->item[i]) < 0);
        PF_ASSERT(scalar_index(pf_str(r->item[i].name)) == PF_RES_SCALAR_COUNT);
        pf_res_item_check(&r->item[i]);
    }
}
