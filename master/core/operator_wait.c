/* SPDX-License-Identifier: Apache-2.0 */
/* WAIT_TASKS: answered when a task of the framework changed. */
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "master/core/demand.h"
#include "master/core/frameworks.h"
#include "master/core/operator.h"
#include "master/core/out.h"
#include "master/core/peers.h"
#include "master/core/tasks.h"

static bool waits_for(const struct m_wait *w, const struct m_task *t)
{
    for (uint32_t i = 0; i < w->n_task_ids; i++) {
        if (pf_str_is(m_task_id(t), w->task_id[i])) {
            return true;
        }
    }
    return w->n_task_ids == 0;
}

/* The first change that the waiter has not seen; NULL: none. */
static const struct m_task *first_news(const struct m_framework *f, const struct m_wait *w)
{
    const struct m_task *t, *first = NULL;

    TAILQ_FOREACH_REVERSE(t, &f->changes, m_tasks, by_change)
    {
        if (t->change <= w->sequence) {
            break;
        }
        first = waits_for(w, t) ? t : first;
    }
    return first;
}

static void answer(struct pf_master *m, const struct m_framework *f, const struct m_wait *w,
                   const struct m_task *t)
{
    struct pf_ref *refs = pf_arena_alloc(pf_m_arena(m), PF_PAGE_MAX * sizeof *refs);
    struct pf_ref waiting[PF_DEMANDS_MAX];
    uint32_t n = 0, n_waiting = 0;
    uint64_t sequence = f->sequence;
    const struct m_demand *d;

    (void)pf_m_builder(m);
    for (; t; t = TAILQ_NEXT(t, by_change)) {
        if (!waits_for(w, t)) {
            continue;
        }
        if (n == PF_PAGE_MAX || m->b->used > M_PAGE_BYTES) {
            sequence = t->change - 1; /* the rest at the next request */
            break;
        }
        refs[n++] = pf_m_task_put(m, m->b, t);
    }
    TAILQ_FOREACH(d, &f->demands, of_framework)
    {
        waiting[n_waiting++] = pf_m_demand_put(m, m->b, d);
    }
    struct Master_Response_WaitTasks__args args = {.sequence = sequence,
                                                   .tasks = {refs, n},
                                                   .framework_removed =
                                                       f->sm.state == M_FRAMEWORK_COMPLETED,
                                                   .waiting = {waiting, n_waiting}};
    struct Master_Response__args response = {.type = PF_OPT(Master_Response_Type_WAIT_TASKS),
                                             .wait_tasks =
                                                 Master_Response_WaitTasks__put(m->b, &args)};

    pf_m_respond(m, &(struct m_call){.peer = w->peer, .request_id = w->request_id}, &response);
}

/* True: answered; `w` is gone. */
static bool maybe_answer(struct pf_master *m, struct m_framework *f, struct m_wait *w)
{
    const struct m_task *t = first_news(f, w);

    if (!t && w->sequence > 0 && f->sm.state != M_FRAMEWORK_COMPLETED) {
        return false;
    }
    answer(m, f, w, t);
    pf_m_wait_free(m, w);
    return true;
}

void pf_m_on_wait_tasks(struct pf_master *m, const struct m_call *c)
{
    struct Master_Call_WaitTasks x = Master_Call_wait_tasks(c->call);
    struct pf_str id = Master_Call_WaitTasks_framework_id(x);
    struct m_framework *f = pf_m_framework_get(m, id);
    uint32_t n = Master_Call_WaitTasks_task_ids__len(x);
    struct m_wait *w;

    if (!f) {
        f = pf_m_framework_completed(m, id);
    }
    if (!f) {
        pf_m_reply(m, c->peer, c->request_id, ReplyCode_NOT_FOUND, "framework %.*s does not exist",
                   PF_STR_ARG(id));
        return;
    }
    w = n <= PF_PAGE_MAX ? pf_m_wait_add(m, c->peer, c->request_id, &f->waits) : NULL;
    if (!w) {
        pf_m_reply(m, c->peer, c->request_id, ReplyCode_TOO_MANY, "too much is waited for already");
        return;
    }
    w->sequence = Master_Call_WaitTasks_sequence(x);
    w->task_id = n > 0 ? pf_alloc(n * sizeof *w->task_id) : NULL;
    for (; w->n_task_ids < n; w->n_task_ids++) {
        struct pf_str task_id = Master_Call_WaitTasks_task_ids__at(x, w->n_task_ids);

        w->task_id[w->n_task_ids] = pf_strndup(task_id.at, task_id.len);
    }
    (void)maybe_answer(m, f, w);
}

void pf_m_answer_woken(struct pf_master *m)
{
    struct m_framework *f;

    while ((f = TAILQ_FIRST(&m->woken)) != NULL) {
        struct m_wait *w, *next;

        TAILQ_REMOVE(&m->woken, f, woken);
        f->is_woken = false;
        for (w = TAILQ_FIRST(&f->waits); w; w = next) {
            next = TAILQ_NEXT(w, of_target);
            (void)maybe_answer(m, f, w);
        }
    }
}
