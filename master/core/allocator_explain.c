/* SPDX-License-Identifier: Apache-2.0 */
/* Why a demand waits: each agent's first reason to say no, counted by kind; and the checks. */
#include "master/core/allocator_internal.h"

/* The hold to blame: the oldest of another framework. */
static const struct pf_al_hold *oldest_hold(const struct pf_al_agent *a,
                                            const struct pf_al_framework *f)
{
    const struct pf_al_hold *oldest = NULL;

    for (const struct pf_al_hold *h = a->holds; h; h = h->next) {
        if (h->framework != f && (!oldest || h->since_ms < oldest->since_ms)) {
            oldest = h;
        }
    }
    return oldest;
}

/* What is free, and what others hold in offers. */
static void free_without_holds(const struct pf_al_want *w, const struct pf_al_agent *a,
                               struct pf_resources *out)
{
    *out = pf_res_dup(&a->free);
    for (const struct pf_al_hold *h = a->holds; h; h = h->next) {
        if (h->framework != w->framework) {
            pf_res_add(out, &h->resources);
        }
    }
}

/* Its total would do: who has it? */
static void classify_taken(const struct pf_al_want *w, const struct pf_al_agent *a,
                           struct pf_al_cause *cause)
{
    struct pf_resources without_holds;
    const struct pf_al_hold *h = oldest_hold(a, w->framework);

    free_without_holds(w, a, &without_holds);
    cause->resource = pf_res_shortage(&without_holds, &w->need, &cause->short_milli);
    if (cause->resource) {
        cause->reason = PF_AL_IN_USE;
    } else if (h) {
        cause->reason = PF_AL_HELD;
        cause->holder = h->framework->number;
        cause->since_ms = h->since_ms;
    } else {
        cause->reason = PF_AL_FAIR_SHARE;
    }
    pf_res_fini(&without_holds);
}

static struct pf_al_cause classify(const struct pf_allocator *al, const struct pf_al_want *w,
                                   const struct pf_al_agent *a)
{
    struct pf_al_cause cause = {.n_agents = 1};
    const struct pf_al_filter *filter = pf_al_filter_find(al, w->framework, a);
    int64_t lacking;
    uint32_t broken = pf_al_broken_constraint(w, a);

    cause.resource = pf_res_shortage(&a->total, &w->need, &cause.short_milli);
    if (cause.resource) {
        cause.reason = PF_AL_TOO_LITTLE;
    } else if (broken < w->n_constraints || (w->framework->needs & ~a->traits) != 0) {
        cause.reason = PF_AL_CONSTRAINT;
        cause.constraint = broken;
    } else if (!a->is_open) {
        cause.reason = (enum pf_al_reason)a->closed_as;
    } else if (filter && !filter->is_over &&
               !pf_res_shortage(&filter->refused, &w->need, &lacking)) {
        cause.reason = PF_AL_FILTERED;
    } else if (pf_al_fit(&a->free, &w->need, 1) > 0) {
        cause.reason = PF_AL_FAIR_SHARE;
    } else {
        classify_taken(w, a, &cause);
    }
    return cause;
}

static bool cause_is_like(const struct pf_al_cause *a, const struct pf_al_cause *b)
{
    return a->reason == b->reason && a->constraint == b->constraint && a->holder == b->holder &&
           (a->resource == b->resource ||
            (a->resource && b->resource && pf_str_is(pf_str(a->resource), b->resource)));
}

/* Adds one agent's answer. Kinds beyond the table go to the last entry of the same reason, or to
 * the last one. */
static void scan_add(struct pf_al_scan *scan, const struct pf_al_cause *cause)
{
    struct pf_al_cause *to = NULL;

    for (uint32_t i = 0; i < scan->n_causes && !to; i++) {
        to = cause_is_like(&scan->cause[i], cause) ? &scan->cause[i] : NULL;
    }
    if (!to && scan->n_causes < PF_AL_CAUSES_MAX) {
        scan->cause[scan->n_causes++] = *cause;
        return;
    }
    for (uint32_t i = scan->n_causes; i > 0 && !to; i--) {
        to = scan->cause[i - 1].reason == cause->reason ? &scan->cause[i - 1] : NULL;
    }
    to = to ? to : &scan->cause[PF_AL_CAUSES_MAX - 1];
    to->n_agents++;
    if (to->reason == cause->reason && cause->short_milli < to->short_milli) {
        to->short_milli = cause->short_milli;
    }
    if (to->reason == cause->reason && cause->since_ms < to->since_ms) {
        to->since_ms = cause->since_ms;
    }
}

/* Remembers the largest agent among those that are too small. */
static void scan_note_largest(struct pf_al_scan *scan, const struct pf_al_agent *a,
                              const struct pf_al_cause *cause)
{
    struct pf_str name = pf_str(cause->resource);
    int64_t has = pf_res_scalar(&a->total, name);

    if (has == 0) {
        has = (int64_t)pf_res_range_count(&a->total, name) * 1000;
    }
    if (scan->largest == 0 || !pf_str_is(name, scan->largest_resource) ||
        has > scan->largest_milli) {
        scan->largest = a->number;
        scan->largest_resource = cause->resource;
        scan->largest_milli = has;
    }
}

void pf_al_explain(const struct pf_allocator *al, const struct pf_al_want *w, int64_t now_ms,
                   uint32_t n, struct pf_al_scan *scan)
{
    struct pf_order_cursor c = {.number = scan->number};
    const struct pf_al_agent *a = NULL;

    (void)now_ms;
    while (n > 0 && (a = pf_order_next(&al->agents, &c)) != NULL) {
        struct pf_al_cause cause = classify(al, w, a);

        scan->n_agents++;
        if (cause.reason == PF_AL_TOO_LITTLE) {
            scan_note_largest(scan, a, &cause);
        }
        scan_add(scan, &cause);
        n--;
    }
    scan->number = c.number;
    scan->is_done = n > 0;
}

/* --- checks --- */

static void check_agent(const struct pf_allocator *al, const struct pf_al_agent *a)
{
    struct pf_resources held = {0};
    uint32_t n_reclaimable = 0;

    pf_res_check(&a->total);
    pf_res_check(&a->free);
    PF_ASSERT(pf_res_contains(&a->total, &a->free));
    for (const struct pf_al_hold *h = a->holds; h; h = h->next) {
        PF_ASSERT(h->agent == a);
        PF_ASSERT(!h->next || h->next->prev == h);
        pf_res_add(&held, &h->resources);
        n_reclaimable += h->is_reclaimable;
    }
    PF_ASSERT(n_reclaimable == a->n_reclaimable);
    pf_res_add(&held, &a->free);
    PF_ASSERT(pf_res_contains(&a->total, &held));
    pf_res_fini(&held);
    PF_ASSERT((a->place != AL_NOWHERE) == (a->is_open && !pf_res_is_empty(&a->free)));
    PF_ASSERT(a->place == AL_NOWHERE || al->log[a->place] == a);
}

static void check_framework(const struct pf_allocator *al, const struct pf_al_framework *f)
{
    const struct pf_al_want *w;
    uint32_t n_active = 0, n_behind = 0, n_filters = 0;
    const struct pf_al_filter *filter;

    TAILQ_FOREACH(w, &f->wants, of_framework)
    {
        PF_ASSERT(w->seen <= al->log_len);
        PF_ASSERT(w->is_active ==
                  (f->is_active && (w->is_whole ? f->is_whole : w->count > w->held)));
        PF_ASSERT(!w->is_behind || w->is_active);
        n_active += w->is_active;
        n_behind += w->is_behind;
    }
    PF_ASSERT(n_active == f->n_active);
    PF_ASSERT(n_behind == f->n_behind);
    TAILQ_FOREACH(filter, &f->filters, of_framework)
    {
        PF_ASSERT(!filter->is_over && pf_heap_has(&filter->until));
        n_filters++;
    }
    TAILQ_FOREACH(filter, &f->revisit, of_framework)
    {
        PF_ASSERT(filter->is_over && !pf_heap_has(&filter->until));
        n_filters++;
    }
    PF_ASSERT(n_filters == f->n_filters);
    if (!f->is_aside && pf_heap_has(&f->behind)) {
        PF_ASSERT(pf_heap_has(&f->wanting));
    }
    pf_res_check(&f->allocated);
}

void pf_allocator_check(const struct pf_allocator *al)
{
    struct pf_order_cursor c = {0};
    struct pf_resources total = {0};
    uint32_t n_live = 0, n_fresh = 0;

    pf_order_check(&al->agents);
    pf_order_check(&al->frameworks);
    pf_heap_check(&al->wanting);
    pf_heap_check(&al->behind);
    pf_heap_check(&al->filter_ends);
    for (const struct pf_al_agent *a; (a = pf_order_next(&al->agents, &c));) {
        check_agent(al, a);
        pf_res_add_scalars(&total, &a->total);
        n_live += a->place != AL_NOWHERE;
        n_fresh += a->place != AL_NOWHERE && a->place >= al->floor;
    }
    PF_ASSERT(pf_res_eq(&total, &al->total));
    pf_res_fini(&total);
    PF_ASSERT(n_live == al->log_live);
    for (uint32_t i = 0; i < al->log_first; i++) {
        PF_ASSERT(al->log[i] == NULL);
    }
    PF_ASSERT(n_fresh == al->n_fresh);
    c = (struct pf_order_cursor){0};
    for (const struct pf_al_framework *f; (f = pf_order_next(&al->frameworks, &c));) {
        check_framework(al, f);
    }
    PF_ASSERT(al->filters.len >= al->filter_ends.len);
}
