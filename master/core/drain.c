/* SPDX-License-Identifier: Apache-2.0 */
/* See drain.h. A drain kills what is on the agent, once now and again at each registration, and
 * ends when nothing is left that could still run or be told of. */
#include "master/core/drain.h"

#include "common/base/alloc.h"
#include "master/core/agents.h"
#include "master/core/allocator.h"
#include "master/core/executors.h"
#include "master/core/offers.h"
#include "master/core/out.h"

enum { EXECUTORS_LATER_MS = 1000 };

bool pf_m_agent_is_offered(const struct m_agent *a)
{
    return m_agent_is_registered(a) && !a->is_deactivated && !a->is_leaving;
}

void pf_m_agent_set_open(struct pf_master *m, struct m_agent *a)
{
    bool is_open = pf_m_agent_is_offered(a);

    if (!a->al) {
        return;
    }
    pf_al_agent_set_closed_as(a->al, !m_agent_is_registered(a)         ? PF_AL_CLOSED
                                     : a->drain.is_on || a->is_leaving ? PF_AL_DRAINING
                                                                       : PF_AL_DEACTIVATED);
    pf_al_agent_set_open(m->al, a->al, is_open);
    if (!is_open) {
        pf_m_agent_rescind_offers(m, a);
    }
}

/* --- in words --- */

const char *pf_m_agent_word(const struct m_agent *a)
{
    if (!m_agent_is_registered(a)) {
        return pf_sm_name(&a->sm);
    }
    if (a->is_leaving) {
        return "leaving";
    }
    if (a->drain.is_on) {
        return a->drain.is_done ? "drained" : "draining";
    }
    return a->is_deactivated ? "deactivated" : pf_sm_name(&a->sm);
}

void pf_m_drain_text(const struct m_agent *a, struct pf_buf *out)
{
    if (a->is_leaving) {
        pf_buf_add_cstr(out, "leaves the cluster");
    } else if (a->drain.is_done) {
        pf_buf_add_cstr(out, "drained: nothing runs there, and nothing is offered");
    } else if (a->drain.is_on) {
        pf_buf_add_cstr(out, "draining");
    } else if (a->is_deactivated) {
        pf_buf_add_cstr(out, "deactivated: nothing of it is offered");
    } else {
        return;
    }
    if (!a->drain.is_done && (a->drain.is_on || a->is_leaving)) {
        pf_buf_printf(out, ", %u task%s left", a->n_tasks, a->n_tasks == 1 ? "" : "s");
    }
}

/* --- the row --- */

void pf_m_drain_row(struct m_agent *a, struct Row_Agent row)
{
    struct DrainConfig config = Row_Agent_drain(row);
    struct DurationInfo grace = DrainConfig_max_grace_period(config);

    a->is_deactivated = Row_Agent_is_deactivated(row);
    a->gone_ms = Row_Agent_gone_ms(row);
    a->drain = (struct m_drain){.is_on = Row_Agent__has_drain(row),
                                .is_done = Row_Agent_is_drained(row),
                                .marks_gone = DrainConfig_mark_gone(config),
                                .has_grace = DurationInfo__has_nanoseconds(grace),
                                .grace_ms = DurationInfo_nanoseconds(grace) / 1000000,
                                .started_ms = Row_Agent_drain_started_ms(row)};
}

struct pf_ref pf_m_drain_put(struct pf_fb_builder *b, const struct m_agent *a)
{
    struct DrainConfig__args args = {.mark_gone = PF_OPT(a->drain.marks_gone)};

    if (!a->drain.is_on) {
        return (struct pf_ref){0};
    }
    if (a->drain.has_grace) {
        args.max_grace_period = DurationInfo__put(
            b, &(struct DurationInfo__args){.nanoseconds = PF_OPT(a->drain.grace_ms * 1000000)});
    }
    return DrainConfig__put(b, &args);
}

/* --- its course --- */

static void shut_executors_down(struct pf_master *m, struct m_agent *a)
{
    struct m_executor *x;
    struct m_link *l;

    LIST_FOREACH(l, &a->links, of_agent)
    {
        LIST_FOREACH(x, &l->executors, of_link)
        {
            if (!x->is_shut_down) {
                x->is_shut_down = true;
                pf_m_send_shutdown(m, x);
            }
        }
    }
}

/* Executors have the time of the longest of their tasks: then they are to end with what they have
 * left. */
static void kill_all(struct pf_master *m, struct m_agent *a)
{
    int64_t last_ms = m->wall_ms;
    struct m_task *t;

    if (!m_agent_is_registered(a)) {
        return;
    }
    a->needs_list = true; /* it may not hear of this */
    TAILQ_FOREACH(t, &a->tasks, of_agent)
    {
        if (!t->is_ended) {
            pf_m_send_drain_kill(m, t);
            last_ms = t->kill_deadline_ms > last_ms ? t->kill_deadline_ms : last_ms;
        }
    }
    if (a->executors.len > 0) {
        pf_heap_set(&m->agent_deadlines, &a->deadline,
                    m->now_ms + last_ms - m->wall_ms + EXECUTORS_LATER_MS);
    }
}

void pf_m_drain_deadline(struct pf_master *m, struct m_agent *a)
{
    if (a->drain.is_on && !a->drain.is_done) {
        shut_executors_down(m, a);
    }
}

void pf_m_drain_begin(struct pf_master *m, struct m_agent *a, const struct m_drain *d)
{
    bool goes_on = a->drain.is_on && !a->drain.is_done;
    int64_t started_ms = goes_on ? a->drain.started_ms : m->wall_ms;

    a->is_deactivated = true;
    a->drain = *d;
    a->drain.is_on = true;
    a->drain.is_done = false;
    a->drain.started_ms = started_ms;
    pf_m_agent_put_row(m, a);
    pf_m_agent_set_open(m, a);
    kill_all(m, a);
    pf_m_drain_touch(m, a);
}

void pf_m_drain_go_on(struct pf_master *m, struct m_agent *a)
{
    if (a->drain.is_on) {
        kill_all(m, a);
        pf_m_drain_touch(m, a);
    }
}

void pf_m_drain_touch(struct pf_master *m, struct m_agent *a)
{
    if (a->drain.is_on && !a->is_drain_due && m_agent_is_registered(a)) {
        a->is_drain_due = true;
        TAILQ_INSERT_TAIL(&m->drains, a, of_drains);
    }
}

/* Does nothing run there, and has every framework that is here taken the ends of its tasks? */
static bool is_empty(const struct m_agent *a)
{
    const struct m_task *t;

    if (!m_agent_is_registered(a) || a->n_tasks > 0 || a->executors.len > 0 ||
        !STAILQ_EMPTY(&a->doomed)) {
        return false;
    }
    TAILQ_FOREACH(t, &a->tasks, of_agent)
    {
        if (t->framework->peer) {
            return false;
        }
    }
    return true;
}

void pf_m_drains_settle(struct pf_master *m)
{
    struct m_agent *a;

    while ((a = TAILQ_FIRST(&m->drains)) != NULL) {
        TAILQ_REMOVE(&m->drains, a, of_drains);
        a->is_drain_due = false;
        if (!a->drain.is_on || a->drain.is_done) {
            continue;
        }
        if (a->n_tasks == 0) {
            shut_executors_down(m, a);
        }
        if (!is_empty(a)) {
            continue;
        }
        a->drain.is_done = true;
        if (a->drain.marks_gone) {
            pf_m_agent_gone(m, a, "drained");
        } else {
            pf_m_agent_put_row(m, a);
        }
    }
}

void pf_m_drain_check(const struct m_agent *a)
{
    PF_ASSERT(!a->drain.is_on || a->is_deactivated);
    PF_ASSERT(a->drain.is_on || (!a->drain.is_done && !a->drain.marks_gone));
    PF_ASSERT(!a->is_drain_due);
    PF_ASSERT((a->sm.state == M_AGENT_GONE) == (a->gone_ms > 0));
    PF_ASSERT(a->sm.state != M_AGENT_GONE || TAILQ_EMPTY(&a->tasks));
    PF_ASSERT(a->n_known >= a->n_tasks);
}

/* --- launches that may not be --- */

void pf_m_doom(struct m_agent *a, struct Task x, bool has_own_grace)
{
    struct m_doomed *d = PF_NEW(struct m_doomed);
    struct pf_str framework_id = FrameworkID_value(Task_framework_id(x));
    struct pf_str task_id = TaskID_value(Task_task_id(x));

    a->needs_list = true; /* it may not hear of this */
    d->framework_id = pf_strndup(framework_id.at, framework_id.len);
    d->task_id = pf_strndup(task_id.at, task_id.len);
    memcpy(d->launch.b, Task_launch_uuid(x).at, sizeof d->launch.b);
    d->has_own_grace = has_own_grace;
    STAILQ_INSERT_TAIL(&a->doomed, d, link);
}

static void doomed_free(struct m_agent *a)
{
    struct m_doomed *d = STAILQ_FIRST(&a->doomed);

    STAILQ_REMOVE_HEAD(&a->doomed, link);
    pf_free(d->framework_id);
    pf_free(d->task_id);
    pf_free(d);
}

/* A registered agent obeys, one that is registering does not yet. */
void pf_m_doomed_kill(struct pf_master *m, struct m_agent *a)
{
    while (!STAILQ_EMPTY(&a->doomed)) {
        const struct m_doomed *d = STAILQ_FIRST(&a->doomed);
        struct pf_fb_builder *b = pf_m_builder(m);
        struct AgentKill__args args = {.framework_id = pf_str(d->framework_id),
                                       .task_id = pf_str(d->task_id),
                                       .launch_uuid = {d->launch.b, sizeof d->launch.b}};

        if (!d->has_own_grace) {
            args.grace_ms = (struct pf_opt_i64)PF_OPT(0);
        }
        pf_m_send(m, a->peer, Body_AgentKill, AgentKill__put(b, &args));
        doomed_free(a);
    }
}

void pf_m_doomed_drop(struct m_agent *a)
{
    while (!STAILQ_EMPTY(&a->doomed)) {
        doomed_free(a);
    }
}
