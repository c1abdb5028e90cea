/* SPDX-License-Identifier: Apache-2.0 */
/* The allocator's books: agents and the log of what grew, frameworks and their shares, wants,
 * holds. Decisions are in allocator_run.c. */
#include "master/core/allocator_internal.h"

#include <string.h>
#include "common/base/alloc.h"
#include "common/base/limits.h"

enum { AL_LOG_CAP_MIN = 64 };

struct pf_allocator *pf_allocator_create(uint64_t seed)
{
    struct pf_allocator *al = PF_NEW(struct pf_allocator);

    al->filters.seed = seed;
    TAILQ_INIT(&al->aside);
    TAILQ_INIT(&al->reclaim);
    return al;
}

void pf_allocator_destroy(struct pf_allocator *al)
{
    if (!al) {
        return;
    }
    struct pf_order_cursor c = {0};

    for (struct pf_al_agent *a; (a = pf_order_next(&al->agents, &c));) {
        while (a->holds) {
            pf_al_hold_end(al, a->holds, NULL, 0);
        }
    }
    c = (struct pf_order_cursor){0};
    for (struct pf_al_framework *f; (f = pf_order_next(&al->frameworks, &c));) {
        pf_al_framework_remove(al, f);
    }
    c = (struct pf_order_cursor){0};
    for (struct pf_al_agent *a; (a = pf_order_next(&al->agents, &c));) {
        pf_al_agent_remove(al, a);
    }
    pf_order_fini(&al->agents);
    pf_order_fini(&al->frameworks);
    pf_res_fini(&al->total);
    pf_res_fini(&al->basis);
    pf_free(al->log);
    pf_heap_fini(&al->wanting);
    pf_heap_fini(&al->behind);
    pf_map_fini(&al->filters);
    pf_heap_fini(&al->filter_ends);
    pf_ptrs_fini(&al->reclaimed);
    pf_free(al);
}

/* --- the log --- */

static void log_remove(struct pf_allocator *al, struct pf_al_agent *a)
{
    if (a->place == AL_NOWHERE) {
        return;
    }
    al->log[a->place] = NULL;
    al->log_live--;
    al->n_fresh -= a->place >= al->floor;
    a->place = AL_NOWHERE;
    while (al->log_first < al->log_len && !al->log[al->log_first]) {
        al->log_first++;
    }
}

/* Closes the holes; every remembered place moves along. */
static void log_compact(struct pf_allocator *al)
{
    uint32_t *live_before = pf_realloc(NULL, (al->log_len + 1) * sizeof *live_before);
    uint32_t to = 0;
    struct pf_order_cursor c = {0};
    struct pf_al_want *w;

    for (uint32_t i = 0; i < al->log_len; i++) {
        live_before[i] = to;
        if (al->log[i]) {
            al->log[to] = al->log[i];
            al->log[to]->place = to;
            to++;
        }
    }
    live_before[al->log_len] = to;
    for (struct pf_al_framework *f; (f = pf_order_next(&al->frameworks, &c));) {
        TAILQ_FOREACH(w, &f->wants, of_framework)
        {
            w->seen = live_before[w->seen];
        }
    }
    al->floor = live_before[al->floor];
    al->log_len = to;
    al->log_first = 0;
    pf_free(live_before);
}

/* What is free of the agent grew, or it opened: to the end of the log. */
void pf_al_agent_touch(struct pf_allocator *al, struct pf_al_agent *a)
{
    log_remove(al, a);
    if (!a->is_open || pf_res_is_empty(&a->free)) {
        return;
    }
    if (al->log_len == al->log_cap && al->log_live <= al->log_cap / 2 && al->log_cap > 0) {
        log_compact(al);
    } else if (al->log_len == al->log_cap) {
        al->log_cap = al->log_cap == 0 ? AL_LOG_CAP_MIN : al->log_cap * 2;
        al->log = pf_realloc(al->log, al->log_cap * sizeof *al->log);
    }
    a->place = al->log_len;
    al->log[al->log_len++] = a;
    al->log_live++;
    al->n_fresh++;
    al->again = true;
}

/* --- agents --- */

static void agent_copy_attributes(struct pf_al_agent *a, const struct pf_al_agent_info *info)
{
    size_t bytes = 0, at = 0;

    for (uint32_t i = 0; i < info->n_attributes; i++) {
        bytes += info->attribute[i].name.len + info->attribute[i].value.len + 2;
    }
    a->attribute_text = bytes > 0 ? pf_alloc(bytes) : NULL;
    a->attribute = pf_memdup(info->attribute, info->n_attributes * sizeof *info->attribute);
    a->n_attributes = info->n_attributes;
    for (uint32_t i = 0; i < a->n_attributes; i++) {
        struct pf_str *part[2] = {&a->attribute[i].name, &a->attribute[i].value};

        for (uint32_t k = 0; k < 2; k++) {
            if (part[k]->len > 0) {
                memcpy(a->attribute_text + at, part[k]->at, part[k]->len);
            }
            part[k]->at = a->attribute_text + at;
            at += part[k]->len + 1;
        }
    }
}

struct pf_al_agent *pf_al_agent_add(struct pf_allocator *al, const struct pf_al_agent_info *info)
{
    struct pf_al_agent *a = PF_NEW(struct pf_al_agent);

    a->slot = al->next_slot++;
    a->place = AL_NOWHERE;
    a->number = info->number;
    a->owner = info->owner;
    a->traits = info->traits;
    a->closed_as = PF_AL_CLOSED;
    a->id = pf_strndup(info->id.at ? info->id.at : "", info->id.len);
    a->hostname = pf_strndup(info->hostname.at ? info->hostname.at : "", info->hostname.len);
    agent_copy_attributes(a, info);
    a->total = pf_res_dup(info->total);
    a->free = pf_res_dup(info->total);
    LIST_INIT(&a->filters);
    a->order = pf_order_add(&al->agents, a);
    pf_res_add_scalars(&al->total, &a->total);
    return a;
}

void pf_al_agent_remove(struct pf_allocator *al, struct pf_al_agent *a)
{
    PF_ASSERT(a->holds == NULL);
    log_remove(al, a);
    while (!LIST_EMPTY(&a->filters)) {
        pf_al_filter_drop(al, LIST_FIRST(&a->filters));
    }
    if (al->forced_agent == a) {
        al->forced_agent = NULL;
        al->forced_want = NULL;
    }
    pf_res_sub_scalars(&al->total, &a->total);
    pf_order_del(&al->agents, a->order);
    pf_res_fini(&a->total);
    pf_res_fini(&a->free);
    pf_free(a->attribute);
    pf_free(a->attribute_text);
    pf_free(a->id);
    pf_free(a->hostname);
    pf_free(a);
}

void pf_al_agent_set_open(struct pf_allocator *al, struct pf_al_agent *a, bool is_open)
{
    if (a->is_open != is_open) {
        a->is_open = is_open;
        pf_al_agent_touch(al, a);
    }
}

void pf_al_agent_set_closed_as(struct pf_al_agent *a, int reason)
{
    a->closed_as = reason;
}

bool pf_al_agent_is_open(const struct pf_al_agent *a)
{
    return a->is_open;
}

const struct pf_resources *pf_al_agent_free(const struct pf_al_agent *a)
{
    return &a->free;
}

const struct pf_resources *pf_al_agent_total(const struct pf_al_agent *a)
{
    return &a->total;
}

struct pf_al_hold *pf_al_agent_holds(const struct pf_al_agent *a)
{
    return a->holds;
}

void *pf_al_agent_owner(const struct pf_al_agent *a)
{
    return a->owner;
}

/* --- shares --- */

/* amount / total in units of 2^-31. */
static uint64_t share_of(int64_t amount, int64_t total)
{
    if (amount <= 0 || total <= 0) {
        return amount > 0 ? UINT64_C(1) << 31 : 0;
    }
    if (amount > total) { /* the basis lags behind */
        amount = total;
    }
    uint32_t shift = pf_al_shift(total);

    return ((uint64_t)(amount >> shift) << 31) / (uint64_t)(total >> shift);
}

uint64_t pf_al_share(const struct pf_allocator *al, const struct pf_al_framework *f)
{
    uint64_t share = 0;

    for (uint32_t i = 0; i < PF_RES_SCALAR_COUNT; i++) {
        uint64_t s = share_of(f->allocated.scalar_milli[i], al->basis.scalar_milli[i]);

        share = s > share ? s : share;
    }
    for (uint32_t i = 0; i < f->allocated.n_items; i++) {
        const struct pf_res_item *item = &f->allocated.item[i];
        uint64_t s = share_of(item->milli, pf_res_scalar(&al->basis, pf_str(item->name)));

        share = s > share ? s : share;
    }
    return share;
}

/* Shares are measured by totals of a while ago, so that the joining of an agent does not move every
 * framework; they are taken anew when a total is off by 1/64. */
void pf_al_refresh_basis(struct pf_allocator *al)
{
    bool is_off = al->total.n_items != al->basis.n_items;
    struct pf_order_cursor c = {0};

    for (uint32_t i = 0; i < PF_RES_SCALAR_COUNT; i++) {
        int64_t off = al->total.scalar_milli[i] - al->basis.scalar_milli[i];

        is_off |= (off < 0 ? -off : off) > al->basis.scalar_milli[i] / 64;
    }
    if (!is_off) {
        return;
    }
    pf_res_assign(&al->basis, &al->total);
    for (struct pf_al_framework *f; (f = pf_order_next(&al->frameworks, &c));) {
        pf_al_framework_place(al, f);
    }
}

/* --- frameworks --- */

/* Puts it where it belongs in the heaps. */
void pf_al_framework_place(struct pf_allocator *al, struct pf_al_framework *f)
{
    if (f->is_aside) {
        return; /* comes back with the end of the run */
    }
    if (f->n_active == 0 || f->n_holds >= PF_FRAMEWORK_OFFERS_MAX) {
        pf_heap_remove(&al->wanting, &f->wanting);
        pf_heap_remove(&al->behind, &f->behind);
        return;
    }
    int64_t key = (int64_t)(pf_al_share(al, f) * 2 + f->whole.is_active);

    pf_heap_set(&al->wanting, &f->wanting, key);
    if (f->n_behind > 0 || !TAILQ_EMPTY(&f->revisit)) {
        pf_heap_set(&al->behind, &f->behind, key);
    } else {
        pf_heap_remove(&al->behind, &f->behind);
    }
}

struct pf_al_framework *pf_al_framework_add(struct pf_allocator *al, uint64_t number, void *owner)
{
    struct pf_al_framework *f = PF_NEW(struct pf_al_framework);

    f->slot = al->next_slot++;
    f->number = number;
    f->owner = owner;
    f->is_whole = true;
    f->whole.framework = f;
    f->whole.is_whole = true;
    TAILQ_INIT(&f->wants);
    TAILQ_INIT(&f->filters);
    TAILQ_INIT(&f->revisit);
    TAILQ_INSERT_TAIL(&f->wants, &f->whole, of_framework);
    f->order = pf_order_add(&al->frameworks, f);
    return f;
}

void pf_al_framework_remove(struct pf_allocator *al, struct pf_al_framework *f)
{
    PF_ASSERT(f->n_holds == 0);
    pf_al_framework_set_active(al, f, false);
    while (TAILQ_NEXT(&f->whole, of_framework)) {
        pf_al_want_remove(al, TAILQ_NEXT(&f->whole, of_framework));
    }
    while (!TAILQ_EMPTY(&f->filters)) {
        pf_al_filter_drop(al, TAILQ_FIRST(&f->filters));
    }
    while (!TAILQ_EMPTY(&f->revisit)) {
        pf_al_filter_drop(al, TAILQ_FIRST(&f->revisit));
    }
    if (f->is_aside) {
        TAILQ_REMOVE(&al->aside, f, aside);
    }
    pf_heap_remove(&al->wanting, &f->wanting);
    pf_heap_remove(&al->behind, &f->behind);
    pf_order_del(&al->frameworks, f->order);
    pf_res_fini(&f->allocated);
    pf_free(f);
}

void pf_al_framework_set_active(struct pf_allocator *al, struct pf_al_framework *f, bool is_active)
{
    struct pf_al_want *w;

    if (f->is_active == is_active) {
        return;
    }
    f->is_active = is_active;
    while (!is_active && !TAILQ_EMPTY(&f->revisit)) {
        pf_al_filter_drop(al, TAILQ_FIRST(&f->revisit));
    }
    TAILQ_FOREACH(w, &f->wants, of_framework)
    {
        pf_al_want_update(al, w);
        if (!is_active) {
            w->seen = 0; /* it comes back rarely: then it looks at everything */
        }
    }
}

void pf_al_framework_set_needs(struct pf_allocator *al, struct pf_al_framework *f, uint32_t traits)
{
    (void)al;
    f->needs = traits;
}

void pf_al_framework_set_whole(struct pf_allocator *al, struct pf_al_framework *f, bool is_whole)
{
    f->is_whole = is_whole;
    pf_al_want_update(al, &f->whole);
}

void *pf_al_framework_owner(const struct pf_al_framework *f)
{
    return f->owner;
}

const struct pf_resources *pf_al_framework_allocated(const struct pf_al_framework *f)
{
    return &f->allocated;
}
