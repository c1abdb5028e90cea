/* SPDX-License-Identifier: Apache-2.0 */
/* See agents.h. */
#include "master/core/agents.h"

#include "common/base/alloc.h"
#include "master/core/drain.h"
#include "master/core/executors.h"
#include "master/core/frameworks.h"
#include "master/core/offers.h"
#include "master/core/out.h"
#include "master/core/removals.h"
#include "master/core/seen.h"
#include "master/core/tasks.h"

struct m_agent *pf_m_agent_get(const struct pf_master *m, struct pf_str id)
{
    return id.len > 0 ? pf_map_get_str(&m->agents, id) : NULL;
}

struct m_agent *pf_m_agent_new(struct pf_master *m, struct pf_str id, enum m_agent_state state,
                               const char *why)
{
    struct m_agent *a = PF_NEW(struct m_agent);

    a->id = pf_strndup(id.at, id.len);
    TAILQ_INIT(&a->tasks);
    STAILQ_INIT(&a->doomed);
    LIST_INIT(&a->links);
    a->links_by_framework.seed = m->agents.seed;
    a->executors.seed = m->agents.seed;
    pf_m_text_set(&a->hostname, PF_STR(""));
    pf_m_text_set(&a->address, PF_STR(""));
    pf_m_text_set(&a->http_address, PF_STR(""));
    pf_m_text_set(&a->version, PF_STR(""));
    pf_m_text_set(&a->isolation, PF_STR(""));
    pf_m_text_set(&a->task_user, PF_STR(""));
    pf_m_text_set(&a->instance, PF_STR(""));
    a->number = pf_order_add(&m->agent_order, a);
    pf_map_put(&m->agents, a->id, id.len, a);
    pf_sm_init(&a->sm, &pf_m_agent_table, state, a->id, why, &m->o.tracer);
    m->n_awaited += m_agent_is_awaited(a);
    m->stats.n_agents++;
    return a;
}

void pf_m_agent_move(struct pf_master *m, struct m_agent *a, enum m_agent_state next,
                     const char *why)
{
    m->n_awaited -= m_agent_is_awaited(a);
    m->stats.n_agents_registered -= a->sm.state == M_AGENT_REGISTERED;
    m->stats.n_agents_registered += next == M_AGENT_REGISTERED;
    pf_sm_move(&a->sm, next, a->id, why, &m->o.tracer);
    a->is_learnt = a->is_learnt || next == M_AGENT_REGISTERED;
    m->n_awaited += m_agent_is_awaited(a);
}

struct pf_bytes pf_m_agent_info_copy(struct pf_master *m, struct AgentInfo info)
{
    struct pf_fb_builder *b = pf_m_builder(m);

    return pf_msg_bytes(AgentInfo__finish(b, AgentInfo__copy(b, info)));
}

void pf_m_agent_set_info(struct m_agent *a, struct pf_bytes info)
{
    pf_m_blob_set(&a->info, info);
    pf_m_text_set(&a->hostname, AgentInfo_hostname(AgentInfo__from_bytes(info)));
}

void pf_m_agent_row(struct pf_master *m, struct pf_bytes key, struct Row_Agent row)
{
    struct pf_str id = {(const char *)key.at, key.len};
    enum m_agent_state state = Row_Agent_state(row) == AgentState_UNREACHABLE ? M_AGENT_UNREACHABLE
                               : Row_Agent_state(row) == AgentState_GONE      ? M_AGENT_GONE
                                                                              : M_AGENT_RECOVERED;
    struct m_agent *a = pf_m_agent_get(m, id);

    if (!a) {
        a = pf_m_agent_new(m, id, state, "row");
    } else if (a->sm.state != state) {
        pf_m_agent_move(m, a, state, "row");
    }
    pf_m_agent_set_info(a, pf_m_agent_info_copy(m, Row_Agent_info(row)));
    a->admitted_ms = Row_Agent_admitted_ms(row);
    a->unreachable_ms = Row_Agent_unreachable_ms(row);
    a->seen_ms = a->unreachable_ms;
    pf_m_drain_row(a, row);
}

void pf_m_agent_free(struct m_agent *a)
{
    pf_m_doomed_drop(a);
    pf_m_blob_fini(&a->info);
    pf_map_fini(&a->links_by_framework);
    pf_map_fini(&a->executors);
    pf_free(a->id);
    pf_free(a->hostname);
    pf_free(a->address);
    pf_free(a->http_address);
    pf_free(a->version);
    pf_free(a->isolation);
    pf_free(a->task_user);
    pf_free(a->instance);
    pf_free(a);
}

void pf_m_agent_row_gone(struct pf_master *m, struct pf_bytes key)
{
    struct m_agent *a = pf_map_del(&m->agents, key.at, key.len);

    if (!a) {
        return;
    }
    PF_ASSERT(!m->is_leading && !a->peer && !a->al); /* so nothing points to it */
    PF_ASSERT(TAILQ_EMPTY(&a->tasks) && LIST_EMPTY(&a->links));
    m->n_awaited -= m_agent_is_awaited(a);
    m->stats.n_agents--;
    pf_order_del(&m->agent_order, a->number);
    pf_m_agent_free(a);
}

struct pf_msg pf_m_agent_row_of(struct pf_fb_builder *b, const struct m_agent *a)
{
    bool is_unreachable = a->sm.state == M_AGENT_UNREACHABLE;
    struct Row_Agent__args args = {
        .drain = pf_m_drain_put(b, a),
        .info = AgentInfo__copy(b, AgentInfo__from_bytes(m_blob_bytes(&a->info))),
        .admitted_ms = a->admitted_ms,
        .state = is_unreachable                ? AgentState_UNREACHABLE
                 : a->sm.state == M_AGENT_GONE ? AgentState_GONE
                                               : AgentState_REGISTERED,
        .unreachable_ms = is_unreachable ? a->unreachable_ms : 0,
        .is_deactivated = a->is_deactivated,
        .drain_started_ms = a->drain.started_ms,
        .is_drained = a->drain.is_done,
        .gone_ms = a->gone_ms};

    return Row_Agent__finish(b, Row_Agent__put(b, &args));
}

void pf_m_agent_put_row(struct pf_master *m, const struct m_agent *a)
{
    struct pf_msg row = pf_m_agent_row_of(pf_m_builder(m), a);

    pf_turn_put(m->turn, RegistryTable_AGENTS,
                (struct pf_bytes){(const uint8_t *)a->id, (uint32_t)strlen(a->id)},
                pf_msg_bytes(row));
}

void pf_m_agents_elected(struct pf_master *m)
{
    struct pf_order_cursor c = {0};

    for (struct m_agent *a; (a = pf_order_next(&m->agent_order, &c));) {
        if (a->sm.state == M_AGENT_RECOVERED) {
            pf_heap_set(&m->agent_deadlines, &a->deadline, m->now_ms + m->o.recovery_ms);
        }
    }
}

/* --- the link --- */

void pf_m_agent_link_down(struct pf_master *m, struct m_agent *a)
{
    PF_ASSERT(a->peer != NULL);
    a->peer->agent = NULL;
    a->peer = NULL;
    a->seen_ms = m->wall_ms;
    pf_m_agent_move(m, a, M_AGENT_DISCONNECTED, "link");
    pf_m_agent_set_open(m, a);
    pf_heap_set(&m->agent_deadlines, &a->deadline, m->now_ms + m->o.agent_unreachable_ms);
}

static void tell_failure(struct pf_master *m, const struct m_agent *a, struct m_framework *f)
{
    struct pf_fb_builder *b = pf_m_builder(m);
    struct pf_ref id = AgentID__put(b, &(struct AgentID__args){.value = pf_str(a->id)});

    pf_m_send_event(m, f->peer,
                    &(struct Scheduler_Event__args){
                        .type = PF_OPT(Scheduler_Event_Type_FAILURE),
                        .failure = Scheduler_Event_Failure__put(
                            b, &(struct Scheduler_Event_Failure__args){.agent_id = id})});
}

/* Its frameworks are told, beside what each of their tasks tells; all of them if it is not known
 * which ones had tasks there. */
void pf_m_agent_tell_failures(struct pf_master *m, const struct m_agent *a)
{
    struct pf_order_cursor c = {0};
    struct m_framework *f;
    struct m_link *l;

    pf_turn_fence(m->turn);
    if (!a->is_learnt) {
        while ((f = pf_order_next(&m->framework_order, &c)) != NULL) {
            if (f->peer) {
                tell_failure(m, a, f);
            }
        }
        return;
    }
    LIST_FOREACH(l, &a->links, of_agent)
    {
        if (l->framework->peer) {
            tell_failure(m, a, l->framework);
        }
    }
}

void pf_m_agent_deadline(struct pf_master *m, struct m_agent *a)
{
    struct m_task *next;
    bool was_awaited = m_agent_is_awaited(a);

    if (!pf_m_removal_take(m, a)) {
        a->is_given_up = false; /* what was heard then is old when its time comes */
        return;
    }
    pf_m_seen_forget(m, a);
    pf_m_agent_move(m, a, M_AGENT_UNREACHABLE, "timeout");
    a->unreachable_ms = m->wall_ms;
    pf_m_agent_put_row(m, a);
    for (struct m_task *t = TAILQ_FIRST(&a->tasks); t; t = next) {
        next = TAILQ_NEXT(t, of_agent);
        pf_m_task_unreachable(m, t);
    }
    pf_m_agent_tell_failures(m, a);
    if (a->al) {
        pf_m_agent_end_executors(m, a);
        pf_al_agent_remove(m->al, a->al);
        a->al = NULL;
    }
    if (was_awaited && m->n_awaited == 0) {
        pf_m_frameworks_all_back(m);
    }
}

/* --- links between agents and frameworks --- */

struct m_link *pf_m_link_need(struct m_agent *a, struct m_framework *f)
{
    struct m_link *l = pf_map_get_u64(&a->links_by_framework, &f->number);

    if (!l) {
        l = PF_NEW(struct m_link);
        l->key = f->number;
        l->agent = a;
        l->framework = f;
        LIST_INIT(&l->executors);
        LIST_INSERT_HEAD(&a->links, l, of_agent);
        LIST_INSERT_HEAD(&f->links, l, of_framework);
        pf_map_put(&a->links_by_framework, &l->key, sizeof l->key, l);
    }
    return l;
}

void pf_m_link_free(struct m_link *l)
{
    PF_ASSERT(LIST_EMPTY(&l->executors));
    pf_map_del(&l->agent->links_by_framework, &l->key, sizeof l->key);
    LIST_REMOVE(l, of_agent);
    LIST_REMOVE(l, of_framework);
    pf_free(l);
}

void pf_m_agents_fini(struct pf_master *m)
{
    struct pf_order_cursor c = {0};

    for (struct m_agent *a; (a = pf_order_next(&m->agent_order, &c));) {
        pf_m_agent_free(a); /* the links went with the frameworks */
    }
    pf_map_fini(&m->agents);
    pf_order_fini(&m->agent_order);
}
