/* SPDX-License-Identifier: Apache-2.0 */
/* The allocator's wants, the holds made for them, and what tasks use. */
#include "master/core/allocator_internal.h"

#include <string.h>
#include "common/base/alloc.h"

/* --- wants --- */

static void want_set_behind(struct pf_al_want *w, bool is_behind)
{
    if (w->is_behind != is_behind) {
        w->is_behind = is_behind;
        w->framework->n_behind += is_behind ? 1 : UINT32_MAX;
    }
}

/* Recomputes whether the want takes part in runs. */
void pf_al_want_update(struct pf_allocator *al, struct pf_al_want *w)
{
    struct pf_al_framework *f = w->framework;
    bool is_active = f->is_active && (w->is_whole ? f->is_whole : w->count > w->held);

    if (is_active == w->is_active) {
        return;
    }
    w->is_active = is_active;
    f->n_active += is_active ? 1 : UINT32_MAX;
    if (is_active) {
        w->tries_reclaim = !w->is_whole;
        want_set_behind(w, w->tries_reclaim || w->seen < al->floor);
    } else {
        if (!w->is_behind && w->seen < al->floor) {
            w->seen = al->floor;
        }
        want_set_behind(w, false);
    }
    pf_al_framework_place(al, f);
}

static void want_copy_constraints(struct pf_al_want *w, const struct pf_al_constraint *constraint,
                                  uint32_t n)
{
    size_t bytes = 0, at = 0;

    for (uint32_t i = 0; i < n; i++) {
        bytes += constraint[i].attribute.len + constraint[i].value.len + 2;
    }
    w->constraint_text = bytes > 0 ? pf_alloc(bytes) : NULL;
    w->constraint = pf_memdup(constraint, n * sizeof *constraint);
    w->n_constraints = n;
    for (uint32_t i = 0; i < n; i++) {
        struct pf_str *part[2] = {&w->constraint[i].attribute, &w->constraint[i].value};

        for (uint32_t k = 0; k < 2; k++) {
            if (part[k]->len > 0) {
                memcpy(w->constraint_text + at, part[k]->at, part[k]->len);
            }
            part[k]->at = w->constraint_text + at;
            at += part[k]->len + 1;
        }
    }
}

struct pf_al_want *pf_al_want_add(struct pf_allocator *al, struct pf_al_framework *f,
                                  const struct pf_resources *need,
                                  const struct pf_al_constraint *constraint, uint32_t n_constraints,
                                  uint32_t count, void *owner)
{
    struct pf_al_want *w = PF_NEW(struct pf_al_want);

    PF_ASSERT(!pf_res_is_empty(need));
    w->framework = f;
    w->owner = owner;
    w->need = pf_res_dup(need);
    want_copy_constraints(w, constraint, n_constraints);
    w->count = count;
    TAILQ_INSERT_TAIL(&f->wants, w, of_framework);
    pf_al_want_update(al, w);
    return w;
}

void pf_al_want_remove(struct pf_allocator *al, struct pf_al_want *w)
{
    struct pf_al_framework *f = w->framework;
    struct pf_order_cursor c = {0};

    for (struct pf_al_agent *a; w->held > 0 && (a = pf_order_next(&al->agents, &c));) {
        for (struct pf_al_hold *h = a->holds; h; h = h->next) {
            if (h->want == w) {
                h->want = NULL;
                w->held -= h->count;
            }
        }
    }
    PF_ASSERT(w->held == 0);
    w->count = 0;
    pf_al_want_update(al, w);
    TAILQ_REMOVE(&f->wants, w, of_framework);
    if (al->forced_want == w) {
        al->forced_want = NULL;
        al->forced_agent = NULL;
    }
    pf_res_fini(&w->need);
    pf_free(w->constraint);
    pf_free(w->constraint_text);
    pf_free(w);
}

void pf_al_want_set_count(struct pf_allocator *al, struct pf_al_want *w, uint32_t count)
{
    bool has_grown = count > w->count;

    w->count = count;
    pf_al_want_update(al, w);
    if (has_grown) {
        pf_al_want_retry(al, w);
    }
}

uint32_t pf_al_want_count(const struct pf_al_want *w)
{
    return w->count;
}

uint32_t pf_al_want_held(const struct pf_al_want *w)
{
    return w->held;
}

const struct pf_resources *pf_al_want_need(const struct pf_al_want *w)
{
    return &w->need;
}

bool pf_al_want_is_same(const struct pf_al_want *w, const struct pf_resources *need,
                        const struct pf_al_constraint *constraint, uint32_t n_constraints)
{
    if (!pf_res_eq(&w->need, need) || w->n_constraints != n_constraints) {
        return false;
    }
    for (uint32_t i = 0; i < n_constraints; i++) {
        if (w->constraint[i].op != constraint[i].op ||
            !pf_str_eq(w->constraint[i].attribute, constraint[i].attribute) ||
            !pf_str_eq(w->constraint[i].value, constraint[i].value)) {
            return false;
        }
    }
    return true;
}

void *pf_al_want_owner(const struct pf_al_want *w)
{
    return w->owner;
}

uint32_t pf_al_want_n_constraints(const struct pf_al_want *w)
{
    return w->n_constraints;
}

const struct pf_al_constraint *pf_al_want_constraint(const struct pf_al_want *w, uint32_t i)
{
    PF_ASSERT(i < w->n_constraints);
    return &w->constraint[i];
}

bool pf_al_want_is_unplaced(const struct pf_allocator *al, const struct pf_al_want *w)
{
    return w->is_active && !w->is_behind && al->n_fresh == 0 && !al->is_unfinished;
}

void pf_al_want_retry(struct pf_allocator *al, struct pf_al_want *w)
{
    if (w->is_active && !w->is_whole) {
        if (!w->is_behind && w->seen < al->floor) {
            w->seen = al->floor;
        }
        w->tries_reclaim = true;
        want_set_behind(w, true);
        pf_al_framework_place(al, w->framework);
    }
}

/* --- holds --- */

/* `part` left what is free: the framework has it now. */
static void hold_take(struct pf_allocator *al, struct pf_al_hold *h,
                      const struct pf_resources *part, uint32_t count)
{
    pf_res_add_scalars(&h->framework->allocated, part);
    h->count += count;
    if (h->want) {
        h->want->held += count;
        pf_al_want_update(al, h->want);
    }
    pf_al_framework_place(al, h->framework);
}

struct pf_al_hold *pf_al_hold_make(struct pf_allocator *al, struct pf_al_want *w,
                                   struct pf_al_agent *a, struct pf_resources *take_part,
                                   uint32_t count)
{
    struct pf_al_hold *h = PF_NEW(struct pf_al_hold);

    h->agent = a;
    h->framework = w->framework;
    h->want = w->is_whole ? NULL : w;
    h->is_reclaimable = w->is_whole;
    h->is_new = true;
    h->since_ms = al->now_ms;
    h->resources = *take_part;
    *take_part = (struct pf_resources){0};
    h->next = a->holds;
    if (h->next) {
        h->next->prev = h;
    }
    a->holds = h;
    if (h->is_reclaimable && a->n_reclaimable++ == 0) {
        TAILQ_INSERT_TAIL(&al->reclaim, a, in_reclaim);
    }
    if (al->new_last) {
        al->new_last->next_new = h;
    } else {
        al->new_first = h;
    }
    al->new_last = h;
    al->n_new++;
    h->framework->n_holds++;
    w->last_hold = h;
    hold_take(al, h, &h->resources, count);
    return h;
}

void pf_al_hold_grow(struct pf_allocator *al, struct pf_al_hold *h, struct pf_resources *take_part,
                     uint32_t count)
{
    pf_res_add(&h->resources, take_part);
    hold_take(al, h, take_part, count);
    pf_res_fini(take_part);
}

/* Out of the list of those that nobody has seen. */
static void hold_unnew(struct pf_allocator *al, struct pf_al_hold *h)
{
    struct pf_al_hold *before = NULL;

    if (al->new_first != h) {
        for (before = al->new_first; before->next_new != h;) {
            before = before->next_new;
        }
        before->next_new = h->next_new;
    } else {
        al->new_first = h->next_new;
    }
    if (al->new_last == h) {
        al->new_last = before;
    }
    al->n_new--;
    h->is_new = false;
    h->next_new = NULL;
    if (h->want && h->want->last_hold == h) {
        h->want->last_hold = NULL;
    }
    if (h->framework->whole.last_hold == h) {
        h->framework->whole.last_hold = NULL;
    }
}

struct pf_al_hold *pf_al_new_hold(struct pf_allocator *al)
{
    struct pf_al_hold *h = al->new_first;

    if (h) {
        hold_unnew(al, h);
    }
    return h;
}

/* Out of every list; it is the caller's to free. */
static void hold_unlink(struct pf_allocator *al, struct pf_al_hold *h)
{
    struct pf_al_agent *a = h->agent;

    if (h->is_new) {
        hold_unnew(al, h);
    }
    if (h->prev) {
        h->prev->next = h->next;
    } else {
        a->holds = h->next;
    }
    if (h->next) {
        h->next->prev = h->prev;
    }
    if (h->is_reclaimable && --a->n_reclaimable == 0) {
        TAILQ_REMOVE(&al->reclaim, a, in_reclaim);
    }
    h->framework->n_holds--;
}

/* Back to what is free; `r` is emptied. */
static void agent_give(struct pf_allocator *al, struct pf_al_agent *a, struct pf_resources *r)
{
    if (pf_res_is_empty(r)) {
        return;
    }
    if (pf_res_is_empty(&a->free)) {
        a->free = *r;
        *r = (struct pf_resources){0};
    } else {
        pf_res_add(&a->free, r);
        pf_res_fini(r);
    }
    pf_al_agent_touch(al, a);
}

void pf_al_hold_end(struct pf_allocator *al, struct pf_al_hold *h, const struct pf_resources *used,
                    uint32_t n_placed)
{
    struct pf_al_framework *f = h->framework;
    struct pf_al_want *w = h->want;

    hold_unlink(al, h);
    if (used) {
        pf_res_sub(&h->resources, used);
    }
    pf_res_sub_scalars(&f->allocated, &h->resources);
    agent_give(al, h->agent, &h->resources);
    if (w) {
        w->held -= h->count;
        w->count -= n_placed < w->count ? n_placed : w->count;
        pf_al_want_update(al, w);
    }
    pf_al_framework_place(al, f);
    pf_free(h);
}

/* --- tasks --- */

void pf_al_use(struct pf_allocator *al, struct pf_al_agent *a, struct pf_al_framework *f,
               const struct pf_resources *r)
{
    pf_res_sub(&a->free, r);
    pf_res_add_scalars(&f->allocated, r);
    if (pf_res_is_empty(&a->free)) {
        pf_al_agent_touch(al, a);
    }
    pf_al_framework_place(al, f);
}

void pf_al_unuse(struct pf_allocator *al, struct pf_al_agent *a, struct pf_al_framework *f,
                 const struct pf_resources *r)
{
    struct pf_resources back = pf_res_dup(r);

    pf_res_sub_scalars(&f->allocated, r);
    agent_give(al, a, &back);
    pf_al_framework_place(al, f);
}
