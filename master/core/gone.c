/* SPDX-License-Identifier: Apache-2.0 */
/* The end of an agent: marked gone by an operator, or unregistered by itself. See drain.h. */
#include <string.h>
#include "common/base/alloc.h"
#include "master/core/agents.h"
#include "master/core/drain.h"
#include "master/core/executors.h"
#include "master/core/frameworks.h"
#include "master/core/out.h"
#include "master/core/removals.h"
#include "master/core/seen.h"
#include "master/core/tasks.h"

bool pf_m_agent_is_gone(const struct pf_master *m, struct pf_str id)
{
    const struct m_agent *a = pf_m_agent_get(m, id);

    return a && a->sm.state == M_AGENT_GONE;
}

/* Whatever it had is over. Its state is final already, so that nothing is done about it twice. */
static void lose_all(struct pf_master *m, struct m_agent *a, const struct m_loss *loss)
{
    struct m_task *next;

    if (a->is_drain_due) {
        TAILQ_REMOVE(&m->drains, a, of_drains);
        a->is_drain_due = false;
    }
    pf_heap_remove(&m->agent_deadlines, &a->deadline);
    pf_m_agent_set_open(m, a);
    pf_m_doomed_drop(a);
    pf_m_agent_tell_failures(m, a);
    for (struct m_task *t = TAILQ_FIRST(&a->tasks); t; t = next) {
        next = TAILQ_NEXT(t, of_agent);
        pf_m_task_give_up(m, t, loss);
    }
    pf_m_agent_end_executors(m, a);
    while (!LIST_EMPTY(&a->links)) {
        pf_m_link_free(LIST_FIRST(&a->links));
    }
    if (a->al) {
        pf_al_agent_remove(m->al, a->al);
        a->al = NULL;
    }
}

void pf_m_agent_gone(struct pf_master *m, struct m_agent *a, const char *why)
{
    static const struct m_loss loss = {.aware = TaskState_TASK_GONE_BY_OPERATOR,
                                       .reason = TaskStatus_Reason_REASON_AGENT_REMOVED_BY_OPERATOR,
                                       .why = "gone",
                                       .message = "was marked gone by an operator"};
    struct m_peer *p = a->peer;
    bool was_awaited = m_agent_is_awaited(a);

    pf_m_seen_forget(m, a);
    pf_m_removal_forget(m, a);
    pf_m_agent_move(m, a, M_AGENT_GONE, why);
    a->gone_ms = m->wall_ms;
    pf_m_agent_put_row(m, a);
    lose_all(m, a, &loss);
    if (p) {
        a->peer = NULL;
        p->agent = NULL;
        pf_turn_fence(m->turn);
        pf_m_send_leave(m, p, true, NULL, PF_STR("an operator marked this agent gone"));
        pf_m_close(m, p);
    }
    if (was_awaited && m->n_awaited == 0) {
        pf_m_frameworks_all_back(m);
    }
}

void pf_m_agent_unknown(struct m_agent *a)
{
    if (--a->n_known == 0 && a->sm.state == M_AGENT_LEFT) {
        LIST_REMOVE(a, of_left);
        pf_m_agent_free(a);
    }
}

/* Tasks of the history still name it. */
static void forget(struct pf_master *m, struct m_agent *a)
{
    pf_map_del(&m->agents, a->id, (uint32_t)strlen(a->id));
    pf_order_del(&m->agent_order, a->number);
    m->stats.n_agents--;
    if (a->n_known == 0) {
        pf_m_agent_free(a);
    } else {
        LIST_INSERT_HEAD(&m->left, a, of_left);
    }
}

void pf_m_on_agent_unregister(struct pf_master *m, struct m_peer *p, struct Envelope e)
{
    static const struct m_loss loss = {.aware = TaskState_TASK_GONE,
                                       .reason = TaskStatus_Reason_REASON_AGENT_REMOVED,
                                       .why = "unregistered",
                                       .message = "left the cluster"};
    struct AgentUnregister x = Envelope_body_as_AgentUnregister(e);
    struct m_agent *a = p->agent;

    if (!a || !m_agent_is_registered(a) || !pf_str_is(AgentUnregister_agent_id(x), a->id)) {
        m->stats.bad_messages++;
        pf_m_reply(m, p, Envelope_request_id(e), ReplyCode_CONFLICT,
                   "the agent is not registered here");
        return;
    }
    pf_m_agent_move(m, a, M_AGENT_LEFT, "unregister");
    pf_turn_del(m->turn, RegistryTable_AGENTS,
                (struct pf_bytes){(const uint8_t *)a->id, (uint32_t)strlen(a->id)});
    lose_all(m, a, &loss);
    a->peer = NULL;
    p->agent = NULL;
    forget(m, a);
    pf_m_reply(m, p, Envelope_request_id(e), ReplyCode_OK, "%s", "");
}
