/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the allocator share. For allocator*.c only.
 *
 * The log: open agents with something free, in the order in which their free resources last grew;
 * an agent that moves to the end leaves a hole. A want remembers up to where it has seen the log.
 * Wants that are not `behind` have seen everything before `floor`, whatever their `seen` says. */
#ifndef PF_MASTER_CORE_ALLOCATOR_INTERNAL_H
#define PF_MASTER_CORE_ALLOCATOR_INTERNAL_H

#include <sys/queue.h>
#include "common/base/heap.h"
#include "common/base/map.h"
#include "master/core/allocator.h"
#include "master/core/order.h"

#define AL_NOWHERE UINT32_MAX

struct pf_al_filter {
    uint32_t key[2]; /* framework, agent: their slots */
    struct pf_al_framework *framework;
    struct pf_al_agent *agent;
    struct pf_resources refused;
    struct pf_heap_node until;
    bool is_over; /* waits in `revisit` of its framework, filters nothing any more */
    LIST_ENTRY(pf_al_filter) of_agent;
    TAILQ_ENTRY(pf_al_filter) of_framework; /* in filters or in revisit */
};
LIST_HEAD(pf_al_agent_filters, pf_al_filter);
TAILQ_HEAD(pf_al_filters, pf_al_filter);

struct pf_al_agent {
    uint32_t slot;
    uint32_t place; /* in the log, or AL_NOWHERE */
    uint64_t number, order;
    void *owner;
    bool is_open;
    int closed_as; /* pf_al_reason */
    uint32_t traits;
    char *id, *hostname;
    struct pf_al_attribute *attribute;
    char *attribute_text; /* owned bytes of `attribute` */
    uint32_t n_attributes;
    struct pf_resources total, free;
    struct pf_al_hold *holds;
    uint32_t n_reclaimable;
    TAILQ_ENTRY(pf_al_agent) in_reclaim;
    struct pf_al_agent_filters filters;
};

struct pf_al_want {
    struct pf_al_framework *framework;
    void *owner;
    bool is_whole, is_active, is_behind, tries_reclaim;
    struct pf_resources need;
    struct pf_al_constraint *constraint;
    char *constraint_text;
    uint32_t n_constraints;
    uint32_t count, held;
    uint32_t seen;                /* place in the log */
    struct pf_al_hold *last_hold; /* made in this run: may still grow */
    TAILQ_ENTRY(pf_al_want) of_framework;
};
TAILQ_HEAD(pf_al_wants, pf_al_want);

struct pf_al_framework {
    uint32_t slot;
    uint64_t number, order;
    void *owner;
    bool is_active, is_whole, is_aside;
    uint32_t needs;
    struct pf_resources allocated; /* scalars */
    struct pf_al_want whole;       /* the want for whole agents */
    struct pf_al_wants wants;      /* `whole` among them */
    uint32_t n_active, n_behind, n_holds;
    struct pf_al_filters filters, revisit;
    uint32_t n_filters;          /* in both */
    struct pf_heap_node wanting; /* by share, while n_active > 0 */
    struct pf_heap_node behind;  /* by share, while it must look at more than the log's end */
    TAILQ_ENTRY(pf_al_framework) aside;
};
TAILQ_HEAD(pf_al_frameworks, pf_al_framework);

struct pf_allocator {
    struct pf_order agents, frameworks;
    uint32_t next_slot;
    struct pf_resources total; /* scalars of all agents */
    struct pf_resources basis; /* a recent `total`: what shares are measured by */
    struct pf_al_agent **log;
    uint32_t log_len, log_cap, log_live, floor, n_fresh; /* n_fresh: live ones from floor on */
    uint32_t log_first;                                  /* only holes before this */
    struct pf_heap wanting, behind;
    struct pf_al_frameworks aside; /* tried in this run, nothing found */
    bool again, is_unfinished;
    TAILQ_HEAD(, pf_al_agent) reclaim; /* agents with n_reclaimable > 0 */
    struct pf_map filters;             /* by slots */
    struct pf_heap filter_ends;
    struct pf_al_hold *new_first, *new_last;
    uint32_t n_new;
    struct pf_ptrs reclaimed;
    struct pf_al_want *forced_want; /* goes first at the next call, on forced_agent */
    struct pf_al_agent *forced_agent;
    int64_t now_ms;
    uint64_t n_pairs;
};

/* How far to shift a positive total so that it fits 31 bits. */
static inline uint32_t pf_al_shift(int64_t total)
{
    uint32_t bits = 64 - (uint32_t)__builtin_clzll((unsigned long long)total);

    return bits > 31 ? bits - 31 : 0;
}

/* allocator.c */
void pf_al_agent_touch(struct pf_allocator *al, struct pf_al_agent *a);
void pf_al_framework_place(struct pf_allocator *al, struct pf_al_framework *f);
void pf_al_want_update(struct pf_allocator *al, struct pf_al_want *w);
struct pf_al_hold *pf_al_hold_make(struct pf_allocator *al, struct pf_al_want *w,
                                   struct pf_al_agent *a, struct pf_resources *take_part,
                                   uint32_t count);
void pf_al_hold_grow(struct pf_allocator *al, struct pf_al_hold *h, struct pf_resources *take_part,
                     uint32_t count);
uint64_t pf_al_share(const struct pf_allocator *al, const struct pf_al_framework *f);
void pf_al_refresh_basis(struct pf_allocator *al);

/* allocator_fit.c */
/* How many instances of `need` are in `have`, at most `max`. */
uint32_t pf_al_fit(const struct pf_resources *have, const struct pf_resources *need, uint32_t max);
/* `count` instances as one amount. `out` is empty on entry. */
void pf_al_times(const struct pf_resources *need, uint32_t count, struct pf_resources *out);
/* The place of the first constraint that the agent breaks, or n_constraints. */
uint32_t pf_al_broken_constraint(const struct pf_al_want *w, const struct pf_al_agent *a);
/* May the want reclaim this hold now? */
bool pf_al_may_reclaim(const struct pf_allocator *al, const struct pf_al_want *w,
                       const struct pf_al_hold *h);
/* Free, and what `w` could reclaim. `out` is empty on entry. False: nothing to reclaim. */
bool pf_al_potential(const struct pf_allocator *al, const struct pf_al_want *w,
                     const struct pf_al_agent *a, struct pf_resources *out);

/* allocator_filter.c */
struct pf_al_filter *pf_al_filter_find(const struct pf_allocator *al,
                                       const struct pf_al_framework *f,
                                       const struct pf_al_agent *a);
void pf_al_filter_drop(struct pf_allocator *al, struct pf_al_filter *filter);
void pf_al_filters_expire(struct pf_allocator *al, int64_t now_ms);

#endif
