/* SPDX-License-Identifier: Apache-2.0 */
/* The allocator's decisions. A framework that finds nothing is put aside until the run ends, so a
 * run tries each at most once for what is fresh, in the order of shares. */
#include "master/core/allocator_internal.h"

#include "common/base/limits.h"

enum try_result { TRY_NOTHING, TRY_GIVEN, TRY_RECLAIM, TRY_BOUND };

/* The smallest share among the others in `h`, whose first is the one in question; false: alone. */
static bool second_share(const struct pf_heap *h, uint64_t *out)
{
    int64_t key = INT64_MAX;

    for (uint32_t i = 1; i < h->len && i <= 2; i++) {
        key = h->at[i]->key < key ? h->at[i]->key : key;
    }
    *out = (uint64_t)key / 2;
    return h->len > 1;
}

/* How many of `fits` instances to give before others have their turn: until the share passes that
 * of the next framework, but no fewer than a fair part of what is here. */
static uint32_t fair_chunk(const struct pf_allocator *al, const struct pf_al_want *w,
                           const struct pf_heap *h, uint32_t fits)
{
    uint64_t other, n = fits;
    uint32_t least = fits / (4 * h->len) + 1;

    if (!second_share(h, &other)) {
        return fits;
    }
    for (uint32_t i = 0; i < PF_RES_SCALAR_COUNT; i++) {
        int64_t need = w->need.scalar_milli[i], total = al->basis.scalar_milli[i];
        int64_t has = w->framework->allocated.scalar_milli[i];

        if (need <= 0 || total <= 0) {
            continue;
        }
        uint32_t shift = pf_al_shift(total);
        int64_t until = (int64_t)(((uint64_t)(total >> shift) * other) >> 31) << shift;
        uint64_t chunk = until > has ? (uint64_t)((until - has) / need) + 1 : 1;

        n = chunk < n ? chunk : n;
    }
    n = n < least ? least : n;
    return n < fits ? (uint32_t)n : fits;
}

static bool is_filtered(const struct pf_allocator *al, const struct pf_al_want *w,
                        const struct pf_al_agent *a, const struct pf_resources *candidate)
{
    const struct pf_al_filter *filter = pf_al_filter_find(al, w->framework, a);
    int64_t lacking;

    return filter && !filter->is_over && !pf_res_shortage(&filter->refused, candidate, &lacking);
}

/* Gives `count` instances that fit what is free. */
static void give(struct pf_allocator *al, struct pf_al_want *w, struct pf_al_agent *a,
                 uint32_t count)
{
    struct pf_resources part = {0}, wanted = {0};
    struct pf_al_hold *h = w->last_hold;

    if (w->is_whole) {
        part = a->free;
        a->free = (struct pf_resources){0};
    } else {
        pf_al_times(&w->need, count, &wanted);
        bool is_there = pf_res_pick(&a->free, &wanted, &part);

        PF_ASSERT(is_there);
        pf_res_fini(&wanted);
        pf_res_sub(&a->free, &part);
    }
    if (h && !w->is_whole && h->agent == a && h->count + count <= PF_TASKS_PER_ACCEPT_MAX) {
        pf_al_hold_grow(al, h, &part, count);
    } else {
        (void)pf_al_hold_make(al, w, a, &part, count);
    }
    if (pf_res_is_empty(&a->free)) {
        pf_al_agent_touch(al, a); /* leaves the log */
    }
}

static enum try_result try_whole(struct pf_allocator *al, struct pf_al_want *w,
                                 struct pf_al_agent *a)
{
    if (a->free.scalar_milli[PF_RES_CPUS] < PF_AL_MIN_CPU_MILLI &&
        a->free.scalar_milli[PF_RES_MEM] < PF_AL_MIN_MEM_MILLI) {
        return TRY_NOTHING;
    }
    const struct pf_al_filter *filter = pf_al_filter_find(al, w->framework, a);

    if (filter && !filter->is_over && pf_res_contains(&filter->refused, &a->free)) {
        return TRY_NOTHING;
    }
    give(al, w, a, 0);
    return TRY_GIVEN;
}

/* Collects the holds to end so that `w` gets `a`. None is ended here: that would change the shares
 * by which they were chosen. */
static void reclaim(struct pf_allocator *al, struct pf_al_want *w, struct pf_al_agent *a)
{
    for (struct pf_al_hold *h = a->holds; h; h = h->next) {
        if (pf_al_may_reclaim(al, w, h)) {
            pf_ptrs_push(&al->reclaimed, h);
        }
    }
    al->forced_want = w;
    al->forced_agent = a;
}

static bool may_reclaim_fit(struct pf_allocator *al, const struct pf_al_want *w,
                            const struct pf_al_agent *a)
{
    struct pf_resources potential = {0};
    bool fits = false;

    if (pf_al_fit(&a->total, &w->need, 1) == 0 ||
        pf_al_broken_constraint(w, a) < w->n_constraints || is_filtered(al, w, a, &w->need)) {
        return false;
    }
    if (pf_al_potential(al, w, a, &potential)) {
        fits = pf_al_fit(&potential, &w->need, 1) > 0;
    }
    pf_res_fini(&potential);
    return fits;
}

static enum try_result try_demand(struct pf_allocator *al, struct pf_al_want *w,
                                  struct pf_al_agent *a, const struct pf_heap *h)
{
    uint32_t max = w->count - w->held;
    uint32_t fits;

    max = max < PF_TASKS_PER_ACCEPT_MAX ? max : PF_TASKS_PER_ACCEPT_MAX;
    fits = pf_al_fit(&a->free, &w->need, max);
    if (fits == 0) {
        if (a->n_reclaimable > 0 && may_reclaim_fit(al, w, a)) {
            reclaim(al, w, a);
            return TRY_RECLAIM;
        }
        return TRY_NOTHING;
    }
    if (pf_al_broken_constraint(w, a) < w->n_constraints) {
        return TRY_NOTHING;
    }
    if (w->framework->n_filters > 0) {
        struct pf_resources wanted = {0};

        pf_al_times(&w->need, fits, &wanted);
        bool is_refused = is_filtered(al, w, a, &wanted);

        pf_res_fini(&wanted);
        if (is_refused) {
            return TRY_NOTHING;
        }
    }
    give(al, w, a, h ? fair_chunk(al, w, h, fits) : fits);
    return TRY_GIVEN;
}

static enum try_result try_agent(struct pf_allocator *al, struct pf_al_want *w,
                                 struct pf_al_agent *a, const struct pf_heap *h)
{
    if (!a->is_open || (w->framework->needs & ~a->traits) != 0) {
        return TRY_NOTHING;
    }
    return w->is_whole ? try_whole(al, w, a) : try_demand(al, w, a, h);
}

/* Agents whose filter is over, for all wants. */
static enum try_result try_revisits(struct pf_allocator *al, struct pf_al_framework *f,
                                    const struct pf_heap *h, uint32_t *pairs)
{
    struct pf_al_filter *filter;
    struct pf_al_want *w;

    while ((filter = TAILQ_FIRST(&f->revisit)) != NULL) {
        TAILQ_FOREACH(w, &f->wants, of_framework)
        {
            enum try_result r = TRY_NOTHING;

            if (w->is_active) {
                (*pairs)++;
                r = try_agent(al, w, filter->agent, h);
            }
            if (r != TRY_NOTHING) {
                return r;
            }
        }
        pf_al_filter_drop(al, filter);
        if (*pairs >= PF_AL_RUN_PAIRS) {
            return TRY_BOUND;
        }
    }
    return TRY_NOTHING;
}

static enum try_result try_reclaims(struct pf_allocator *al, struct pf_al_want *w, uint32_t *pairs)
{
    struct pf_al_agent *a;

    TAILQ_FOREACH(a, &al->reclaim, in_reclaim)
    {
        (*pairs)++;
        if (a->is_open && (w->framework->needs & ~a->traits) == 0 && may_reclaim_fit(al, w, a)) {
            reclaim(al, w, a);
            return TRY_RECLAIM;
        }
    }
    w->tries_reclaim = false;
    return TRY_NOTHING;
}

static enum try_result try_want(struct pf_allocator *al, struct pf_al_want *w,
                                const struct pf_heap *h, uint32_t *pairs)
{
    enum try_result r;

    if (!w->is_behind && w->seen < al->floor) {
        w->seen = al->floor;
    }
    if (w->seen < al->log_first) {
        w->seen = al->log_first;
    }
    for (; w->seen < al->log_len; w->seen++) {
        struct pf_al_agent *a = al->log[w->seen];

        if (!a) {
            continue;
        }
        if (*pairs >= PF_AL_RUN_PAIRS) {
            return TRY_BOUND;
        }
        (*pairs)++;
        r = try_agent(al, w, a, h);
        if (r != TRY_NOTHING) {
            return r;
        }
    }
    if (w->tries_reclaim) {
        r = try_reclaims(al, w, pairs);
        if (r != TRY_NOTHING) {
            return r;
        }
    }
    if (w->is_behind) {
        w->is_behind = false;
        w->framework->n_behind--;
    }
    return TRY_NOTHING;
}

static enum try_result try_framework(struct pf_allocator *al, struct pf_al_framework *f,
                                     const struct pf_heap *h, uint32_t *pairs)
{
    enum try_result r = try_revisits(al, f, h, pairs);
    struct pf_al_want *w;

    (*pairs)++;
    TAILQ_FOREACH(w, &f->wants, of_framework)
    {
        if (r != TRY_NOTHING) {
            break;
        }
        if (w->is_active) {
            r = try_want(al, w, h, pairs);
        }
    }
    return r;
}

static void aside_put(struct pf_allocator *al, struct pf_al_framework *f)
{
    pf_heap_remove(&al->wanting, &f->wanting);
    pf_heap_remove(&al->behind, &f->behind);
    f->is_aside = true;
    TAILQ_INSERT_TAIL(&al->aside, f, aside);
}

static void aside_return(struct pf_allocator *al)
{
    struct pf_al_framework *f;

    while ((f = TAILQ_FIRST(&al->aside)) != NULL) {
        TAILQ_REMOVE(&al->aside, f, aside);
        f->is_aside = false;
        pf_al_framework_place(al, f);
    }
}

/* What was reclaimed for a want goes to it before anyone else. */
static void give_forced(struct pf_allocator *al)
{
    struct pf_al_want *w = al->forced_want;

    al->forced_want = NULL;
    if (w && w->is_active && al->forced_agent->is_open) {
        (void)try_demand(al, w, al->forced_agent, NULL);
    }
    al->forced_agent = NULL;
}

enum pf_al_result pf_allocator_run(struct pf_allocator *al, int64_t now_ms, uint32_t *pairs)
{
    uint32_t pairs_before = *pairs;
    enum pf_al_result result = PF_AL_DONE;

    PF_ASSERT(al->reclaimed.len == 0);
    al->now_ms = now_ms;
    pf_al_filters_expire(al, now_ms);
    pf_al_refresh_basis(al);
    give_forced(al);
    al->again = al->again && !TAILQ_EMPTY(&al->aside); /* those must see what was reclaimed */
    al->is_unfinished = false;
    if (al->reclaimed.len > 0) {
        return PF_AL_RECLAIM;
    }
    for (;;) {
        const struct pf_heap *h = al->n_fresh > 0 ? &al->wanting : &al->behind;
        struct pf_heap_node *first = pf_heap_first(h);

        if (first && (*pairs >= PF_AL_RUN_PAIRS || al->n_new >= PF_AL_RUN_HOLDS)) {
            al->is_unfinished = true;
            result = PF_AL_MORE;
            break;
        }
        if (!first) {
            aside_return(al);
            if (!al->again) {
                break;
            }
            al->again = false;
            continue;
        }
        struct pf_al_framework *f = al->n_fresh > 0
                                        ? PF_CONTAINER(first, struct pf_al_framework, wanting)
                                        : PF_CONTAINER(first, struct pf_al_framework, behind);
        enum try_result r = try_framework(al, f, h, pairs);

        if (r == TRY_RECLAIM) {
            result = PF_AL_RECLAIM;
            break;
        }
        if (r == TRY_NOTHING) {
            aside_put(al, f);
        }
    }
    if (result == PF_AL_DONE) {
        al->floor = al->log_len;
        al->n_fresh = 0;
    } else if (result == PF_AL_MORE) {
        aside_return(al);
    }
    al->n_pairs += *pairs - pairs_before;
    return result;
}

struct pf_al_hold *pf_al_reclaimed(struct pf_allocator *al)
{
    while (al->reclaimed.len > 0) {
        struct pf_al_hold *h = al->reclaimed.at[--al->reclaimed.len];

        if (!h->is_new) {
            return h;
        }
        pf_al_hold_end(al, h, NULL, 0); /* nobody has seen it */
    }
    return NULL;
}

bool pf_allocator_is_due(const struct pf_allocator *al)
{
    return (al->n_fresh > 0 && al->wanting.len > 0) || al->behind.len > 0 || al->is_unfinished ||
           al->forced_want != NULL;
}

int64_t pf_allocator_deadline(const struct pf_allocator *al)
{
    const struct pf_heap_node *n = pf_heap_first(&al->filter_ends);

    return n ? n->key : INT64_MAX;
}

uint64_t pf_allocator_n_pairs(const struct pf_allocator *al)
{
    return al->n_pairs;
}
