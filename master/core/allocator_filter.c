/* SPDX-License-Identifier: Apache-2.0 */
/* Decline filters. One that is over moves to the `revisit` list of its framework, which then looks
 * at that agent again; nobody else has to. */
#include "master/core/allocator_internal.h"

#include "common/base/alloc.h"
#include "common/base/limits.h"

struct pf_al_filter *pf_al_filter_find(const struct pf_allocator *al,
                                       const struct pf_al_framework *f, const struct pf_al_agent *a)
{
    uint32_t key[2] = {f->slot, a->slot};

    return f->n_filters > 0 ? pf_map_get(&al->filters, key, sizeof key) : NULL;
}

void pf_al_filter_drop(struct pf_allocator *al, struct pf_al_filter *filter)
{
    struct pf_al_framework *f = filter->framework;

    pf_map_del(&al->filters, filter->key, sizeof filter->key);
    pf_heap_remove(&al->filter_ends, &filter->until);
    LIST_REMOVE(filter, of_agent);
    if (filter->is_over) {
        TAILQ_REMOVE(&f->revisit, filter, of_framework);
    } else {
        TAILQ_REMOVE(&f->filters, filter, of_framework);
    }
    f->n_filters--;
    pf_res_fini(&filter->refused);
    pf_free(filter);
}

/* An inactive framework keeps no list: it looks at all agents when it comes back. */
static void filter_end(struct pf_allocator *al, struct pf_al_filter *filter)
{
    struct pf_al_framework *f = filter->framework;

    if (!f->is_active) {
        pf_al_filter_drop(al, filter);
        return;
    }
    pf_heap_remove(&al->filter_ends, &filter->until);
    TAILQ_REMOVE(&f->filters, filter, of_framework);
    TAILQ_INSERT_TAIL(&f->revisit, filter, of_framework);
    filter->is_over = true;
    pf_al_framework_place(al, f);
}

static struct pf_al_filter *first_to_end(const struct pf_allocator *al)
{
    struct pf_heap_node *n = pf_heap_first(&al->filter_ends);

    return n ? PF_CONTAINER(n, struct pf_al_filter, until) : NULL;
}

void pf_al_filter_add(struct pf_allocator *al, struct pf_al_framework *f, struct pf_al_agent *a,
                      const struct pf_resources *refused, int64_t until_ms)
{
    struct pf_al_filter *filter = pf_al_filter_find(al, f, a);

    if (filter && filter->is_over) {
        pf_al_filter_drop(al, filter);
        filter = NULL;
    }
    if (!filter) {
        if (al->filter_ends.len >= PF_FILTERS_MAX) {
            filter_end(al, first_to_end(al));
        }
        filter = PF_NEW(struct pf_al_filter);
        filter->key[0] = f->slot;
        filter->key[1] = a->slot;
        filter->framework = f;
        filter->agent = a;
        pf_map_put(&al->filters, filter->key, sizeof filter->key, filter);
        LIST_INSERT_HEAD(&a->filters, filter, of_agent);
        TAILQ_INSERT_TAIL(&f->filters, filter, of_framework);
        f->n_filters++;
    }
    pf_res_assign(&filter->refused, refused);
    pf_heap_set(&al->filter_ends, &filter->until, until_ms);
}

void pf_al_filters_clear(struct pf_allocator *al, struct pf_al_framework *f)
{
    while (!TAILQ_EMPTY(&f->filters)) {
        filter_end(al, TAILQ_FIRST(&f->filters));
    }
}

void pf_al_filters_expire(struct pf_allocator *al, int64_t now_ms)
{
    struct pf_al_filter *filter = first_to_end(al);

    while (filter && filter->until.key <= now_ms) {
        filter_end(al, filter);
        filter = first_to_end(al);
    }
}
