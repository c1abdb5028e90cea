/* SPDX-License-Identifier: Apache-2.0 */
/* Moving along the edges of a state table, and nowhere else. */
#include "common/base/sm.h"

#include <stddef.h>
#include "common/base/compiler.h"

static void sm_trace(const struct pf_sm_tracer *tracer, const struct pf_sm *sm, const char *id,
                     const char *from, const char *why)
{
    if (tracer && tracer->on_move) {
        tracer->on_move(tracer->ctx, sm->table->entity, id, from, pf_sm_name(sm), why);
    }
}

void pf_sm_init(struct pf_sm *sm, const struct pf_sm_table *table, uint32_t state, const char *id,
                const char *why, const struct pf_sm_tracer *tracer)
{
    PF_ASSERT(table->n_states <= 32);
    PF_ASSERT(state < table->n_states);
    PF_ASSERT((table->states[state].flags & PF_SM_INITIAL) != 0);
    *sm = (struct pf_sm){.table = table, .state = state};
    sm_trace(tracer, sm, id, "none", why);
}

bool pf_sm_may(const struct pf_sm *sm, uint32_t next)
{
    return next < sm->table->n_states && (sm->table->states[sm->state].next >> next & 1) != 0;
}

void pf_sm_move(struct pf_sm *sm, uint32_t next, const char *id, const char *why,
                const struct pf_sm_tracer *tracer)
{
    PF_ASSERT(pf_sm_may(sm, next));
    const char *from = pf_sm_name(sm);

    sm->state = next;
    sm_trace(tracer, sm, id, from, why);
}

const char *pf_sm_name(const struct pf_sm *sm)
{
    return sm->table->states[sm->state].name;
}

bool pf_sm_is_final(const struct pf_sm *sm)
{
    return (sm->table->states[sm->state].flags & PF_SM_FINAL) != 0;
}
