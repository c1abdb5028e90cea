/* SPDX-License-Identifier: Apache-2.0 */
/* How much of what happened here the leader has been told (the rule stands at agent.h). Everything
 * a master must hear of takes the next number; what is not told yet is listed in their order. */
#include "agent/core/calls_internal.h"

void ag_told_count(struct pf_agent *a, struct untold *u)
{
    PF_ASSERT(u->number == 0);
    u->number = ++a->sequence;
    TAILQ_INSERT_TAIL(&a->untold, u, link);
}

void ag_told(struct pf_agent *a, struct untold *u)
{
    if (u->number != 0) {
        TAILQ_REMOVE(&a->untold, u, link);
        u->number = 0;
    }
}

/* The leader knows all that had a number when the agent registered. */
void ag_told_until(struct pf_agent *a, uint64_t sequence)
{
    struct untold *u = NULL;

    while ((u = TAILQ_FIRST(&a->untold)) != NULL && u->number <= sequence) {
        ag_told(a, u);
    }
}

uint64_t ag_told_number(const struct pf_agent *a)
{
    const struct untold *u = TAILQ_FIRST(&a->untold);

    return u ? u->number - 1 : a->sequence;
}

void ag_told_check(const struct pf_agent *a)
{
    const struct untold *u = NULL;
    uint64_t last = 0;

    TAILQ_FOREACH(u, &a->untold, link)
    {
        PF_ASSERT(u->number > last);
        last = u->number;
    }
    PF_ASSERT(last <= a->sequence);
}
