/* SPDX-License-Identifier: Apache-2.0 */
/* State machines as tables: a table of states, each with its name and a mask of the states that may
 * follow. There is no engine: an entity holds a pf_sm and moves it. */
#ifndef PF_COMMON_BASE_SM_H
#define PF_COMMON_BASE_SM_H

#include <stdbool.h>
#include <stdint.h>

enum { PF_SM_INITIAL = 1, PF_SM_FINAL = 2 };

struct pf_sm_state {
    const char *name;
    uint32_t flags; /* PF_SM_* */
    uint32_t next;  /* bit i: state i may follow */
};

struct pf_sm_table {
    const char *entity; /* "task" */
    const struct pf_sm_state *states;
    uint32_t n_states; /* at most 32 */
};

/* Told of each move: where scenario tests read what happened. */
struct pf_sm_tracer {
    void (*on_move)(void *ctx, const char *entity, const char *id, const char *from,
                    const char *to, const char *why);
    void *ctx;
};

struct pf_sm {
    const struct pf_sm_table *table;
    uint32_t state;
};

/* `state` must be an initial one. Traces "none->state". */
void pf_sm_init(struct pf_sm *sm, const struct pf_sm_table *table, uint32_t state, const char *id,
                const char *why, const struct pf_sm_tracer *tracer);
bool pf_sm_may(const struct pf_sm *sm, uint32_t next);
/* Asserts the edge, moves, tells the tracer (NULL: nobody). */
void pf_sm_move(struct pf_sm *sm, uint32_t next, const char *id, const char *why,
                const struct pf_sm_tracer *tracer);
const char *pf_sm_name(const struct pf_sm *sm);
bool pf_sm_is_final(const struct pf_sm *sm);

#endif
