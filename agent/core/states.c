/* SPDX-License-Identifier: Apache-2.0 */
/* What was told of a task so far: its oldest states and its latest, with times, reasons and who
 * said so, in 16 bytes each. */
#include "agent/core/calls_internal.h"

#include "common/base/alloc.h"

enum { STATES_OLDEST = 8, STATES_MAX = 16 };

struct state_at {
    int64_t at_ms;
    int16_t reason; /* TaskStatus_Reason, -1 = none */
    int8_t state;   /* TaskState */
    bool by_agent;
};

_Static_assert(sizeof(struct state_at) <= 16, "thousands of tasks have some");

struct states {
    uint8_t n, cap;
    struct state_at at[];
};

static void states_add(struct task *t, struct state_at x)
{
    struct states *s = t->states;

    if (!s || (s->n == s->cap && s->cap < STATES_MAX)) {
        uint8_t cap = s ? (uint8_t)(s->cap * 2) : 2;
        struct states *more = pf_alloc(sizeof *more + cap * sizeof more->at[0]);
        if (s) {
            memcpy(more, s, sizeof *s + s->n * sizeof s->at[0]);
        }
        more->cap = cap;
        pf_free(s);
        t->states = s = more;
    }
    if (s->n == STATES_MAX) {
        memmove(&s->at[STATES_OLDEST], &s->at[STATES_OLDEST + 1],
                (STATES_MAX - STATES_OLDEST - 1) * sizeof s->at[0]);
        s->n--;
    }
    s->at[s->n++] = x;
}

void ag_states_add(struct pf_agent *a, struct task *t, enum TaskState state, const struct ending *e)
{
    states_add(t, (struct state_at){
                      .at_ms = e && e->at_wall_ms > 0 ? e->at_wall_ms : a->wall_ms,
                      .state = (int8_t)state,
                      .reason = (int16_t)(e && e->has_reason ? (int)e->reason : -1),
                      .by_agent = e && e->by_agent,
                  });
}

void ag_states_free(struct task *t)
{
    PF_FREE(t->states);
}

struct pf_refs ag_states_put_rows(struct pf_agent *a, struct pf_fb_builder *b, const struct task *t)
{
    uint32_t n = t->states ? t->states->n : 0;
    struct pf_ref *refs = n > 0 ? pf_arena_alloc(pf_turn_arena(a->turn), n * sizeof *refs) : NULL;

    for (uint32_t i = 0; i < n; i++) {
        const struct state_at *x = &t->states->at[i];
        refs[i] = Row_TaskStateAt__put(
            b, &(struct Row_TaskStateAt__args){
                   .state = (enum TaskState)x->state,
                   .reason = {x->reason >= 0, (enum TaskStatus_Reason)x->reason},
                   .at_ms = x->at_ms,
                   .by_agent = x->by_agent,
               });
    }
    return (struct pf_refs){refs, n};
}

void ag_states_restore(struct task *t, struct Row_AgentTask row)
{
    for (uint32_t i = 0; i < Row_AgentTask_states__len(row); i++) {
        struct Row_TaskStateAt x = Row_AgentTask_states__at(row, i);
        bool has_reason = Row_TaskStateAt__has_reason(x);
        states_add(t, (struct state_at){
                          .at_ms = Row_TaskStateAt_at_ms(x),
                          .state = (int8_t)Row_TaskStateAt_state(x),
                          .reason = (int16_t)(has_reason ? (int)Row_TaskStateAt_reason(x) : -1),
                          .by_agent = Row_TaskStateAt_by_agent(x),
                      });
    }
}

/* As statuses without texts; the last one as `last` says it, if that is there. */
struct pf_refs ag_states_put(struct pf_agent *a, struct pf_fb_builder *b, const struct task *t,
                             struct pf_bytes last)
{
    uint32_t n = t->states ? t->states->n : 0, n_plain = last.len > 0 && n > 0 ? n - 1 : n;
    struct pf_ref *refs = pf_arena_alloc(pf_turn_arena(a->turn), (n + 1) * sizeof *refs);
    struct pf_ref id = n_plain > 0
                           ? TaskID__put(b, &(struct TaskID__args){.value = ag_run_id(&t->run)})
                           : (struct pf_ref){0};

    for (uint32_t i = 0; i < n_plain; i++) {
        const struct state_at *x = &t->states->at[i];
        refs[i] = TaskStatus__put(
            b, &(struct TaskStatus__args){
                   .task_id = id,
                   .state = PF_OPT((enum TaskState)x->state),
                   .source = PF_OPT(x->by_agent ? TaskStatus_Source_SOURCE_AGENT
                                                : TaskStatus_Source_SOURCE_EXECUTOR),
                   .reason = {x->reason >= 0, (enum TaskStatus_Reason)x->reason},
                   .timestamp = PF_OPT((double)x->at_ms / 1000.0),
               });
    }
    if (last.len > 0) {
        refs[n_plain++] = TaskStatus__copy(b, TaskStatus__from_bytes(last));
    }
    return (struct pf_refs){refs, n_plain};
}
