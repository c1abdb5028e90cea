/* SPDX-License-Identifier: Apache-2.0 */
/* Does this agent suit this want: amounts, constraints, what could be reclaimed. */
#include "master/core/allocator_internal.h"

#include "common/base/limits.h"

/* Instances that one item allows. */
static uint64_t fit_item(const struct pf_resources *have, const struct pf_res_item *need)
{
    const struct pf_res_item *item = pf_res_find(have, pf_str(need->name));
    uint64_t per;

    if (!item || item->kind != need->kind) {
        return 0;
    }
    switch (need->kind) {
    case PF_RES_KIND_SCALAR: return (uint64_t)(item->milli / need->milli);
    case PF_RES_KIND_RANGES:
        per = 0;
        for (uint32_t i = 0; i < need->n; i++) {
            per += need->range[i].end - need->range[i].begin + 1;
        }
        return pf_res_range_count(have, pf_str(need->name)) / per;
    case PF_RES_KIND_SET: break; /* named things exist once: pf_res_shortage looks */
    }
    return 1;
}

uint32_t pf_al_fit(const struct pf_resources *have, const struct pf_resources *need, uint32_t max)
{
    uint64_t n = max;
    int64_t lacking;

    for (uint32_t i = 0; i < PF_RES_SCALAR_COUNT; i++) {
        if (need->scalar_milli[i] > have->scalar_milli[i]) {
            return 0;
        }
    }
    for (uint32_t i = 0; i < PF_RES_SCALAR_COUNT; i++) {
        if (need->scalar_milli[i] > 0) {
            uint64_t fits = (uint64_t)(have->scalar_milli[i] / need->scalar_milli[i]);

            n = fits < n ? fits : n;
        }
    }
    for (uint32_t i = 0; n > 0 && i < need->n_items; i++) {
        uint64_t fits = fit_item(have, &need->item[i]);

        n = fits < n ? fits : n;
    }
    if (n > 0 && need->n_items > 0 && pf_res_shortage(have, need, &lacking)) {
        return 0;
    }
    return (uint32_t)n;
}

void pf_al_times(const struct pf_resources *need, uint32_t count, struct pf_resources *out)
{
    *out = pf_res_dup(need);
    for (uint32_t i = 0; i < PF_RES_SCALAR_COUNT; i++) {
        out->scalar_milli[i] *= (int64_t)count;
    }
    for (uint32_t i = 0; i < out->n_items; i++) {
        struct pf_res_item *item = &out->item[i];

        if (item->kind == PF_RES_KIND_SCALAR) {
            item->milli *= (int64_t)count;
        } else if (item->kind == PF_RES_KIND_RANGES) {
            uint64_t per = 0;

            for (uint32_t k = 0; k < item->n; k++) {
                per += item->range[k].end - item->range[k].begin + 1;
            }
            item->range[0] = (struct pf_range){1, per * count}; /* only the number counts */
            item->n = 1;
        }
    }
}

/* Does any attribute of that name match (`op` EXISTS, EQUALS or GLOB)? */
static bool attribute_matches(const struct pf_al_agent *a, const struct pf_al_constraint *c,
                              enum pf_al_op op)
{
    struct pf_str own = {NULL, 0};

    if (pf_str_is(c->attribute, "HOSTNAME") || pf_str_is(c->attribute, "hostname")) {
        own = pf_str(a->hostname);
    } else if (pf_str_is(c->attribute, "agent")) {
        own = pf_str(a->id);
    }
    for (uint32_t i = 0; i <= a->n_attributes; i++) {
        struct pf_str value = i == 0 ? own : a->attribute[i - 1].value;

        if (i == 0 ? own.at == NULL : !pf_str_eq(a->attribute[i - 1].name, c->attribute)) {
            continue;
        }
        if (op == PF_AL_EXISTS || (op == PF_AL_EQUALS && pf_str_eq(value, c->value)) ||
            (op == PF_AL_GLOB && pf_str_glob(c->value, value))) {
            return true;
        }
    }
    return false;
}

static bool constraint_holds(const struct pf_al_agent *a, const struct pf_al_constraint *c)
{
    switch (c->op) {
    case PF_AL_EQUALS:
    case PF_AL_EXISTS:
    case PF_AL_GLOB: return attribute_matches(a, c, c->op);
    case PF_AL_NOT_EQUALS: return !attribute_matches(a, c, PF_AL_EQUALS);
    case PF_AL_NOT_EXISTS: return !attribute_matches(a, c, PF_AL_EXISTS);
    }
    return false;
}

uint32_t pf_al_broken_constraint(const struct pf_al_want *w, const struct pf_al_agent *a)
{
    uint32_t i = 0;

    while (i < w->n_constraints && constraint_holds(a, &w->constraint[i])) {
        i++;
    }
    return i;
}

bool pf_al_may_reclaim(const struct pf_allocator *al, const struct pf_al_want *w,
                       const struct pf_al_hold *h)
{
    return h->is_reclaimable && h->framework != w->framework &&
           (al->now_ms - h->since_ms >= PF_AL_RIPE_MS ||
            pf_al_share(al, h->framework) >= pf_al_share(al, w->framework));
}

bool pf_al_potential(const struct pf_allocator *al, const struct pf_al_want *w,
                     const struct pf_al_agent *a, struct pf_resources *out)
{
    bool is_more = false;

    if (a->n_reclaimable == 0) {
        return false;
    }
    for (const struct pf_al_hold *h = a->holds; h; h = h->next) {
        if (pf_al_may_reclaim(al, w, h)) {
            if (!is_more) {
                *out = pf_res_dup(&a->free);
                is_more = true;
            }
            pf_res_add(out, &h->resources);
        }
    }
    return is_more;
}
