/* SPDX-License-Identifier: Apache-2.0 */
/* Single items of resources: sorted disjoint ranges, sorted sets, custom scalars. */
#include "common/base/resources_internal.h"

#include <string.h>
#include "common/base/alloc.h"

enum { RES_CAP_MIN = 2 };

/* Almost every amount has ports: their name is shared, not copied. */
static const char ports_name[] = "ports";

const char *pf_res_name_dup(const char *name)
{
    return strcmp(name, ports_name) == 0 ? ports_name : pf_strdup(name);
}

static void res_name_free(const char *name)
{
    if (name != ports_name) {
        pf_free((void *)name); /* owned: made by pf_strdup */
    }
}

static int res_name_cmp(const char *a, const char *b)
{
    return a == b ? 0 : strcmp(a, b);
}

int pf_res_item_cmp(const struct pf_res_item *a, const struct pf_res_item *b)
{
    int order = res_name_cmp(a->name, b->name);

    return order != 0 ? order : (int)a->kind - (int)b->kind;
}

bool pf_res_item_is_empty(const struct pf_res_item *a)
{
    return a->kind == PF_RES_KIND_SCALAR ? a->milli == 0 : a->n == 0;
}

static uint32_t res_grown_cap(uint32_t cap)
{
    PF_ASSERT(cap < UINT32_MAX / 2);
    return cap < RES_CAP_MIN ? RES_CAP_MIN : cap * 2;
}

/* The first range that ends at `value` or later. */
static uint32_t ranges_search(const struct pf_res_item *a, uint64_t value)
{
    uint32_t low = 0, high = a->n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (a->range[middle].end < value) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void ranges_insert(struct pf_res_item *a, uint32_t i, struct pf_range range)
{
    if (a->n == a->cap) {
        a->cap = res_grown_cap(a->cap);
        a->range = pf_realloc(a->range, a->cap * sizeof *a->range);
    }
    memmove(a->range + i + 1, a->range + i, (a->n - i) * sizeof *a->range);
    a->range[i] = range;
    a->n++;
}

static void ranges_remove(struct pf_res_item *a, uint32_t i, uint32_t n)
{
    a->n -= n;
    memmove(a->range + i, a->range + i + n, (a->n - i) * sizeof *a->range);
}

void pf_res_ranges_add(struct pf_res_item *a, struct pf_range add)
{
    uint32_t i = ranges_search(a, add.begin == 0 ? 0 : add.begin - 1);
    uint32_t n_merged = 0;

    while (i + n_merged < a->n && a->range[i + n_merged].begin <= add.end + 1) {
        n_merged++;
    }
    if (n_merged == 0) {
        ranges_insert(a, i, add);
        return;
    }
    if (a->range[i].begin < add.begin) {
        add.begin = a->range[i].begin;
    }
    if (a->range[i + n_merged - 1].end > add.end) {
        add.end = a->range[i + n_merged - 1].end;
    }
    a->range[i] = add;
    if (n_merged > 1) {
        ranges_remove(a, i + 1, n_merged - 1);
    }
}

static void ranges_sub(struct pf_res_item *a, struct pf_range sub)
{
    uint32_t i = ranges_search(a, sub.begin);
    struct pf_range *r = &a->range[i];

    if (r->begin == sub.begin && r->end == sub.end) {
        ranges_remove(a, i, 1);
    } else if (r->begin == sub.begin) {
        r->begin = sub.end + 1;
    } else if (r->end == sub.end) {
        r->end = sub.begin - 1;
    } else {
        struct pf_range right = {sub.end + 1, r->end};

        r->end = sub.begin - 1;
        ranges_insert(a, i + 1, right);
    }
}

static bool ranges_contain(const struct pf_res_item *a, struct pf_range range)
{
    uint32_t i = ranges_search(a, range.begin);

    return i < a->n && a->range[i].begin <= range.begin && a->range[i].end >= range.end;
}

/* Place of `text` in the set, or where it would stand. */
static uint32_t set_search(const struct pf_res_item *a, const char *text, bool *out_found)
{
    uint32_t low = 0, high = a->n;

    *out_found = false;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = strcmp(a->item[middle], text);

        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
            *out_found = *out_found || order == 0;
        }
    }
    return low;
}

void pf_res_set_add(struct pf_res_item *a, const char *text)
{
    bool is_there;
    uint32_t i = set_search(a, text, &is_there);

    if (is_there) {
        return;
    }
    if (a->n == a->cap) {
        a->cap = res_grown_cap(a->cap);
        a->item = pf_realloc(a->item, a->cap * sizeof *a->item);
    }
    memmove(a->item + i + 1, a->item + i, (a->n - i) * sizeof *a->item);
    a->item[i] = pf_strdup(text);
    a->n++;
}

static void set_sub(struct pf_res_item *a, const char *text)
{
    bool is_there;
    uint32_t i = set_search(a, text, &is_there);

    PF_ASSERT(is_there);
    pf_free(a->item[i]);
    a->n--;
    memmove(a->item + i, a->item + i + 1, (a->n - i) * sizeof *a->item);
}

static bool set_contains(const struct pf_res_item *a, const char *text)
{
    bool is_there;

    (void)set_search(a, text, &is_there); /* the place does not matter */
    return is_there;
}

bool pf_res_item_eq(const struct pf_res_item *a, const struct pf_res_item *b)
{
    if (pf_res_item_cmp(a, b) != 0 || a->milli != b->milli || a->n != b->n) {
        return false;
    }
    for (uint32_t i = 0; i < a->n; i++) {
        if (a->kind == PF_RES_KIND_RANGES ? a->range[i].begin != b->range[i].begin ||
                                                a->range[i].end != b->range[i].end
                                          : strcmp(a->item[i], b->item[i]) != 0) {
            return false;
        }
    }
    return true;
}

bool pf_res_item_contains(const struct pf_res_item *a, const struct pf_res_item *b)
{
    if (a->milli < b->milli) {
        return false;
    }
    for (uint32_t i = 0; i < b->n; i++) {
        if (b->kind == PF_RES_KIND_RANGES ? !ranges_contain(a, b->range[i])
                                          : !set_contains(a, b->item[i])) {
            return false;
        }
    }
    return true;
}

void pf_res_item_add(struct pf_res_item *a, const struct pf_res_item *b)
{
    a->milli += b->milli;
    for (uint32_t i = 0; i < b->n; i++) {
        if (b->kind == PF_RES_KIND_RANGES) {
            pf_res_ranges_add(a, b->range[i]);
        } else {
            pf_res_set_add(a, b->item[i]);
        }
    }
}

void pf_res_item_sub(struct pf_res_item *a, const struct pf_res_item *b)
{
    PF_ASSERT(a->milli >= b->milli);
    a->milli -= b->milli;
    for (uint32_t i = 0; i < b->n; i++) {
        if (b->kind == PF_RES_KIND_RANGES) {
            ranges_sub(a, b->range[i]);
        } else {
            set_sub(a, b->item[i]);
        }
    }
}

struct pf_res_item pf_res_item_dup(const struct pf_res_item *a)
{
    struct pf_res_item copy = {
        .name = pf_res_name_dup(a->name),
        .kind = a->kind,
        .milli = a->milli,
        .range = a->kind == PF_RES_KIND_RANGES ? pf_memdup(a->range, a->n * sizeof *a->range)
                                               : NULL,
        .item = a->kind == PF_RES_KIND_SET ? pf_memdup(a->item, a->n * sizeof *a->item) : NULL,
        .n = a->n,
        .cap = a->n,
    };

    for (uint32_t i = 0; copy.item && i < copy.n; i++) {
        copy.item[i] = pf_strdup(copy.item[i]);
    }
    return copy;
}

void pf_res_item_fini(struct pf_res_item *a)
{
    for (uint32_t i = 0; a->item && i < a->n; i++) {
        pf_free(a->item[i]);
    }
    pf_free(a->item);
    pf_free(a->range);
    res_name_free(a->name);
    *a = (struct pf_res_item){0};
}

uint64_t pf_res_item_count(const struct pf_res_item *a)
{
    uint64_t count = 0;

    if (a->kind != PF_RES_KIND_RANGES) {
        return a->n;
    }
    for (uint32_t i = 0; i < a->n; i++) {
        count += a->range[i].end - a->range[i].begin + 1;
    }
    return count;
}

int64_t pf_res_item_shortage(const struct pf_res_item *have, const struct pf_res_item *want)
{
    static const struct pf_res_item nothing;
    int64_t lacking = 0;

    have = have ? have : &nothing;
    switch (want->kind) {
    case PF_RES_KIND_SCALAR:
        lacking = want->milli - have->milli;
        break;
    case PF_RES_KIND_RANGES:
        /* PF_RES_RANGE_END_MAX keeps both counts in an int64 */
        lacking = (int64_t)pf_res_item_count(want) -
                  (have->n == 0 ? 0 : (int64_t)pf_res_item_count(have));
        break;
    case PF_RES_KIND_SET:
        for (uint32_t i = 0; i < want->n; i++) {
            lacking += set_contains(have, want->item[i]) ? 0 : 1;
        }
        break;
    }
    return lacking > 0 ? lacking : 0;
}

void pf_res_item_check(const struct pf_res_item *a)
{
    PF_ASSERT(a->name[0] != '\0');
    PF_ASSERT(!pf_res_item_is_empty(a));
    PF_ASSERT(a->n <= a->cap);
    PF_ASSERT(a->kind == PF_RES_KIND_SCALAR ? a->milli > 0 && a->n == 0 : a->milli == 0);
    PF_ASSERT((a->range != NULL) == (a->kind == PF_RES_KIND_RANGES));
    PF_ASSERT((a->item != NULL) == (a->kind == PF_RES_KIND_SET));
    for (uint32_t i = 0; i < a->n; i++) {
        if (a->kind == PF_RES_KIND_RANGES) {
            PF_ASSERT(a->range[i].begin <= a->range[i].end);
            PF_ASSERT(a->range[i].end <= PF_RES_RANGE_END_MAX);
            PF_ASSERT(i == 0 || a->range[i - 1].end + 1 < a->range[i].begin);
        } else {
            PF_ASSERT(i == 0 || strcmp(a->item[i - 1], a->item[i]) < 0);
        }
    }
}
