/* SPDX-License-Identifier: Apache-2.0 */
/* Who gets which free resources. Knows agents (total, free), frameworks (what they hold, in tasks
 * and in offers, and what they want) and nothing of messages, tasks or time-outs: its caller makes
 * an offer of every hold that a run yields, and gives back what is not used.
 *
 * A framework wants whole agents (it never stated a demand) or instances of its demands. The
 * framework with the smallest dominant share is served first; on a tie demands come before whole
 * agents. A demand that finds nothing free may reclaim holds of whole agents: at once from a
 * framework with at least its own share, from any after PF_AL_RIPE_MS.
 *
 * Cost grows with what changed: each want looks once at every open agent, later only at those whose
 * free resources grew. A run is bounded and continues at the next call.
 *
 * Handles are owned by the allocator and borrowed by the caller until their removal. */
#ifndef PF_MASTER_CORE_ALLOCATOR_H
#define PF_MASTER_CORE_ALLOCATOR_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/buf.h"
#include "common/base/resources.h"
#include "common/base/str.h"

#define PF_AL_RIPE_MS       1000  /* a hold may be reclaimed by anyone after this */
#define PF_AL_RUN_PAIRS     20000 /* (want, agent) pairs a run looks at */
#define PF_AL_RUN_HOLDS     1000  /* holds a run makes */
#define PF_AL_MIN_CPU_MILLI 10    /* less of both is not worth offering as a whole agent */
#define PF_AL_MIN_MEM_MILLI 32000

struct pf_allocator;
struct pf_al_agent;
struct pf_al_framework;
struct pf_al_want;

/* What an agent can do, what a framework insists on. */
enum { PF_AL_TRAIT_ROOT = 1 }; /* runs tasks as other users */

struct pf_al_attribute {
    struct pf_str name, value;
};

/* Numbers as ConstraintOperator in the schema. */
enum pf_al_op { PF_AL_EQUALS, PF_AL_NOT_EQUALS, PF_AL_EXISTS, PF_AL_NOT_EXISTS, PF_AL_GLOB };

struct pf_al_constraint {
    struct pf_str attribute; /* "hostname" and "agent" stand for the agent's name and id */
    enum pf_al_op op;
    struct pf_str value;
};

/* Resources of one agent in the hand of one framework: an offer, or one to be made. */
struct pf_al_hold {
    struct pf_al_agent *agent;
    struct pf_al_framework *framework;
    struct pf_al_want *want; /* NULL: a whole agent, or the demand is gone */
    struct pf_resources resources;
    uint32_t count; /* instances of the demand */
    bool is_reclaimable;
    bool is_new; /* not yet given out by pf_al_new_hold */
    int64_t since_ms;
    void *owner;                    /* the caller's offer; it sets this at once */
    struct pf_al_hold *next, *prev; /* of the agent */
    struct pf_al_hold *next_new;
};

struct pf_allocator *pf_allocator_create(uint64_t seed);
void pf_allocator_destroy(struct pf_allocator *al);

/* --- agents --- */
struct pf_al_agent_info {
    struct pf_str id, hostname;
    const struct pf_resources *total;
    const struct pf_al_attribute *attribute;
    uint32_t n_attributes;
    uint32_t traits;
    uint64_t number; /* the caller's, for pf_al_scan */
    void *owner;
};
/* All is copied. Closed, with all of `total` free. */
struct pf_al_agent *pf_al_agent_add(struct pf_allocator *al, const struct pf_al_agent_info *info);
/* Nothing of it may be held or used. */
void pf_al_agent_remove(struct pf_allocator *al, struct pf_al_agent *a);
/* Only open agents are offered. Closing leaves holds to the caller. */
void pf_al_agent_set_open(struct pf_allocator *al, struct pf_al_agent *a, bool is_open);
/* What pf_al_explain says of it while it is closed: CLOSED (the beginning), DEACTIVATED, DRAINING.
 */
void pf_al_agent_set_closed_as(struct pf_al_agent *a, int reason);
bool pf_al_agent_is_open(const struct pf_al_agent *a);
const struct pf_resources *pf_al_agent_free(const struct pf_al_agent *a);
const struct pf_resources *pf_al_agent_total(const struct pf_al_agent *a);
struct pf_al_hold *pf_al_agent_holds(const struct pf_al_agent *a); /* first; then ->next */
void *pf_al_agent_owner(const struct pf_al_agent *a);

/* --- frameworks --- */
/* `number` is the caller's, for pf_al_cause. */
struct pf_al_framework *pf_al_framework_add(struct pf_allocator *al, uint64_t number, void *owner);
/* Must hold and use nothing. Its wants go with it. */
void pf_al_framework_remove(struct pf_allocator *al, struct pf_al_framework *f);
/* An inactive framework (disconnected, suppressed) is offered nothing. */
void pf_al_framework_set_active(struct pf_allocator *al, struct pf_al_framework *f, bool is_active);
void pf_al_framework_set_needs(struct pf_allocator *al, struct pf_al_framework *f, uint32_t traits);
/* True (the beginning): wants whole agents. Its demands and holds are the caller's to end first. */
void pf_al_framework_set_whole(struct pf_allocator *al, struct pf_al_framework *f, bool is_whole);
void *pf_al_framework_owner(const struct pf_al_framework *f);
/* Scalars in its tasks and holds, over all agents. */
const struct pf_resources *pf_al_framework_allocated(const struct pf_al_framework *f);

/* --- demands --- */
/* All is copied; `need` is one instance and not empty. */
struct pf_al_want *pf_al_want_add(struct pf_allocator *al, struct pf_al_framework *f,
                                  const struct pf_resources *need,
                                  const struct pf_al_constraint *constraint, uint32_t n_constraints,
                                  uint32_t count, void *owner);
/* Its holds stay, belonging to no demand, until the caller ends them. */
void pf_al_want_remove(struct pf_allocator *al, struct pf_al_want *w);
/* Instances wanted, those in holds included. */
void pf_al_want_set_count(struct pf_allocator *al, struct pf_al_want *w, uint32_t count);
uint32_t pf_al_want_count(const struct pf_al_want *w);
uint32_t pf_al_want_held(const struct pf_al_want *w);
const struct pf_resources *pf_al_want_need(const struct pf_al_want *w);
bool pf_al_want_is_same(const struct pf_al_want *w, const struct pf_resources *need,
                        const struct pf_al_constraint *constraint, uint32_t n_constraints);
void *pf_al_want_owner(const struct pf_al_want *w);
/* Looked at every agent and still lacks instances. */
bool pf_al_want_is_unplaced(const struct pf_allocator *al, const struct pf_al_want *w);
/* Looks for reclaimable holds again (once a second while it waits). */
void pf_al_want_retry(struct pf_allocator *al, struct pf_al_want *w);

/* --- resources --- */
/* Tasks: takes out of what is free, which must contain it. */
void pf_al_use(struct pf_allocator *al, struct pf_al_agent *a, struct pf_al_framework *f,
               const struct pf_resources *r);
void pf_al_unuse(struct pf_allocator *al, struct pf_al_agent *a, struct pf_al_framework *f,
                 const struct pf_resources *r);
/* Ends a hold: `used` of it (NULL: nothing) goes to tasks, the rest is free again. `n_placed`
 * instances count as placed. Frees `h`. */
void pf_al_hold_end(struct pf_allocator *al, struct pf_al_hold *h, const struct pf_resources *used,
                    uint32_t n_placed);

/* --- filters --- */
/* Until `until_ms` the framework is not offered what is contained in `refused` on this agent. The
 * oldest give way over PF_FILTERS_MAX. */
void pf_al_filter_add(struct pf_allocator *al, struct pf_al_framework *f, struct pf_al_agent *a,
                      const struct pf_resources *refused, int64_t until_ms);
void pf_al_filters_clear(struct pf_allocator *al, struct pf_al_framework *f);

/* --- runs --- */
enum pf_al_result {
    PF_AL_DONE = 1, /* nothing more to give until something changes */
    PF_AL_MORE,     /* the bound was reached: call again soon */
    PF_AL_RECLAIM,  /* end the holds that pf_al_reclaimed yields, then call again */
};
/* Expires filters and decides. `pairs` counts what was looked at and is bounded by
 * PF_AL_RUN_PAIRS; give 0 at the first call of a step. */
enum pf_al_result pf_allocator_run(struct pf_allocator *al, int64_t now_ms, uint32_t *pairs);
struct pf_al_hold *pf_al_reclaimed(struct pf_allocator *al); /* NULL: no more */
/* The holds that the run made, to become offers, in order; NULL: no more. */
struct pf_al_hold *pf_al_new_hold(struct pf_allocator *al);
/* Would a run do anything? */
bool pf_allocator_is_due(const struct pf_allocator *al);
/* Monotonic ms when the next filter expires; INT64_MAX: never. */
int64_t pf_allocator_deadline(const struct pf_allocator *al);
uint64_t pf_allocator_n_pairs(const struct pf_allocator *al); /* since creation */

/* --- why not --- (allocator_explain.c) */
enum pf_al_reason { /* numbers as WaitReason in the schema */
                    PF_AL_NONE = 0,
                    PF_AL_TOO_LITTLE = 2, /* of its total */
                    PF_AL_CONSTRAINT = 3,
                    PF_AL_HELD = 4,
                    PF_AL_FILTERED = 5,
                    PF_AL_CLOSED = 6,
                    PF_AL_FAIR_SHARE = 7,
                    PF_AL_IN_USE = 12, /* by tasks */
                    PF_AL_DEACTIVATED = 13,
                    PF_AL_DRAINING = 14,
};
#define PF_AL_CAUSES_MAX 8

/* With CONSTRAINT, `constraint` = the number of constraints means a trait is missing. */
struct pf_al_cause {
    enum pf_al_reason reason;
    uint32_t n_agents;
    const char *resource; /* TOO_LITTLE, IN_USE: the nearest miss; borrowed */
    int64_t short_milli;
    uint32_t constraint; /* CONSTRAINT: its place */
    uint64_t holder;     /* HELD: number of the framework */
    int64_t since_ms;
};

/* A scan over all agents that may pause. All zero = at the beginning. */
struct pf_al_scan {
    uint64_t number; /* where it is */
    struct pf_al_cause cause[PF_AL_CAUSES_MAX];
    uint32_t n_causes, n_agents;
    bool is_done;
    const char *largest_resource; /* of the nearest miss among totals; borrowed from the want */
    int64_t largest_milli;
    uint64_t largest; /* number of its agent */
};
/* Looks at up to `n` more agents. */
void pf_al_explain(const struct pf_allocator *al, const struct pf_al_want *w, int64_t now_ms,
                   uint32_t n, struct pf_al_scan *scan);
uint32_t pf_al_want_n_constraints(const struct pf_al_want *w);
const struct pf_al_constraint *pf_al_want_constraint(const struct pf_al_want *w, uint32_t i);

void pf_allocator_check(const struct pf_allocator *al);

#endif
