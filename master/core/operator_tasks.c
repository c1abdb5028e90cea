/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of tasks: the live ones, then the unreachable, then the ended (of live frameworks, then of
 * ended ones). A page begins at "phase.framework.task". */
#include "common/base/limits.h"
#include "master/core/operator.h"
#include "master/core/out.h"
#include "master/core/tasks.h"

enum { PHASE_LIVE, PHASE_UNREACHABLE, PHASE_ENDED, PHASE_OF_ENDED, PHASE_COUNT };
enum { SCAN_MAX = 20000 }; /* tasks and frameworks a page looks at */

struct walk {
    const struct m_call *call;
    struct pf_ref *ref;
    uint32_t n, limit, n_seen;
    uint32_t n_of[PHASE_COUNT];
    uint64_t phase;
    struct pf_order_cursor framework, task;
    bool is_cut;
};

static bool is_wanted(const struct walk *w, const struct m_task *t)
{
    uint32_t n = Master_Call_states__len(w->call->call);
    struct pf_str agent_id = Master_Call_agent_id(w->call->call);

    if (agent_id.len > 0 && !pf_str_is(agent_id, t->agent->id)) {
        return false;
    }

    if ((w->phase == PHASE_LIVE || w->phase == PHASE_UNREACHABLE) &&
        (t->sm.state == M_TASK_UNREACHABLE) != (w->phase == PHASE_UNREACHABLE)) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (Master_Call_states__at(w->call->call, i) == t->state) {
            return true;
        }
    }
    return n == 0;
}

static bool page_is_full(const struct pf_master *m, const struct walk *w)
{
    return w->n == w->limit || (w->n > 0 && m->b->used > M_PAGE_BYTES) || w->n_seen >= SCAN_MAX;
}

/* Tasks of one framework from w->task on. False: the page is full before w->task moved on. */
static bool walk_framework(struct pf_master *m, struct walk *w, const struct m_framework *f)
{
    const struct pf_order *o = w->phase <= PHASE_UNREACHABLE ? &f->task_order : &f->ended;
    struct pf_order_cursor next = w->task;
    const struct m_task *t;

    while ((t = pf_order_next(o, &next)) != NULL) {
        if (page_is_full(m, w)) {
            return false;
        }
        w->n_seen++;
        if (is_wanted(w, t)) {
            w->ref[w->n++] = pf_m_task_put(m, m->b, t);
            w->n_of[w->phase]++;
        }
        w->task = next;
    }
    return true;
}

static void walk_all(struct pf_master *m, struct walk *w)
{
    struct pf_str only = Master_Call_framework_id(w->call->call);

    for (; w->phase < PHASE_COUNT; w->phase++) {
        const struct pf_order *o = w->phase == PHASE_OF_ENDED ? &m->completed : &m->framework_order;
        struct pf_order_cursor next = w->framework;
        const struct m_framework *f;

        while ((f = pf_order_next(o, &next)) != NULL) {
            w->n_seen++;
            if ((only.len == 0 || pf_str_is(only, f->id)) && !walk_framework(m, w, f)) {
                w->is_cut = true;
                return;
            }
            w->framework = next;
            w->task = (struct pf_order_cursor){0};
        }
        w->framework = (struct pf_order_cursor){0};
    }
}

void pf_m_on_get_tasks(struct pf_master *m, const struct m_call *c)
{
    uint64_t after[3];
    struct walk w = {.call = c, .limit = pf_m_page_limit(c)};
    struct Master_Response__args response = {.type = PF_OPT(Master_Response_Type_GET_TASKS)};

    pf_m_page_after(c, after, 3);
    w.phase = after[0];
    w.framework.number = after[1];
    w.task.number = after[2];
    w.ref = pf_arena_alloc(pf_m_arena(m), w.limit * sizeof *w.ref);
    (void)pf_m_builder(m);
    walk_all(m, &w);

    uint32_t n_live = w.n_of[PHASE_LIVE], n_lost = w.n_of[PHASE_UNREACHABLE];

    response.get_tasks = Master_Response_GetTasks__put(
        m->b, &(struct Master_Response_GetTasks__args){
                  .tasks = {w.ref, n_live},
                  .unreachable_tasks = {w.ref + n_live, n_lost},
                  .completed_tasks = {w.ref + n_live + n_lost, w.n - n_live - n_lost}});
    if (w.is_cut) {
        response.next_after_id = pf_arena_printf(
            pf_m_arena(m), "%llu.%llu.%llu", (unsigned long long)w.phase,
            (unsigned long long)w.framework.number, (unsigned long long)w.task.number);
    }
    pf_m_respond(m, c, &response);
}
