/* SPDX-License-Identifier: Apache-2.0 */
/* pf_master_check: every index agrees with every other, every sum is right. */
#include <string.h>
#include "master/core/agents.h"
#include "master/core/demand.h"
#include "master/core/drain.h"
#include "master/core/executors.h"
#include "master/core/history.h"
#include "master/core/masters.h"
#include "master/core/removals.h"
#include "master/core/seen.h"
#include "master/core/state.h"
#include "master/core/tasks.h"

static void check_agent(const struct pf_master *m, const struct m_agent *a)
{
    struct pf_resources sum = {0};
    const struct m_executor *x;
    const struct m_task *t;
    const struct m_link *l;
    uint32_t n_tasks = 0, n_executors = 0;
    bool is_linked = a->sm.state == M_AGENT_REGISTERED || a->sm.state == M_AGENT_REGISTERING;

    PF_ASSERT(pf_map_get(&m->agents, a->id, (uint32_t)strlen(a->id)) == a);
    PF_ASSERT(is_linked == (a->peer != NULL));
    PF_ASSERT(!a->peer || a->peer->agent == a);
    PF_ASSERT((a->al != NULL) == (is_linked || a->sm.state == M_AGENT_DISCONNECTED));
    TAILQ_FOREACH(t, &a->tasks, of_agent)
    {
        PF_ASSERT(t->agent == a);
        PF_ASSERT(!t->is_history);
        n_tasks += !t->is_ended && t->sm.state != M_TASK_UNREACHABLE;
        if (t->uses_resources) {
            pf_res_add(&sum, &t->resources);
        }
    }
    LIST_FOREACH(l, &a->links, of_agent)
    {
        LIST_FOREACH(x, &l->executors, of_link)
        {
            PF_ASSERT(x->link == l && l->agent == a);
            pf_res_add(&sum, &x->resources);
            n_executors++;
        }
    }
    PF_ASSERT(n_executors == a->executors.len);
    PF_ASSERT(n_tasks == a->n_tasks);
    pf_m_drain_check(a);
    if (a->al) {
        PF_ASSERT(pf_al_agent_owner(a->al) == a);
        PF_ASSERT(pf_al_agent_is_open(a->al) == pf_m_agent_is_offered(a));
        for (const struct pf_al_hold *h = pf_al_agent_holds(a->al); h; h = h->next) {
            PF_ASSERT(h->owner != NULL);
            PF_ASSERT(((const struct m_offer *)h->owner)->hold == h);
            pf_res_add(&sum, &h->resources);
        }
        pf_res_add(&sum, pf_al_agent_free(a->al));
        PF_ASSERT(pf_res_eq(&sum, pf_al_agent_total(a->al))); /* no-double-spend */
    } else {
        PF_ASSERT(pf_res_is_empty(&sum));
    }
    pf_res_fini(&sum);
}

static void check_task(const struct pf_master *m, const struct m_framework *f,
                       const struct m_task *t)
{
    (void)m;
    PF_ASSERT(t->framework == f);
    PF_ASSERT(t->change <= f->sequence);
    PF_ASSERT(t->is_ended == pf_sm_is_final(&t->sm));
    PF_ASSERT(!t->is_ended || !t->uses_resources);
    PF_ASSERT(t->is_history || pf_map_get(&f->tasks, t->id, t->id_len) == t);
    pf_res_check(&t->resources);
    pf_m_history_check(t);
}

static void check_changes(const struct pf_master *m, const struct m_framework *f)
{
    const struct m_task *t;
    uint64_t before = 0;
    uint32_t n = 0, n_history = 0;

    TAILQ_FOREACH(t, &f->changes, by_change)
    {
        PF_ASSERT(t->change > before);
        before = t->change;
        n_history += t->is_history;
        n++;
        check_task(m, f, t);
    }
    PF_ASSERT(n_history == f->ended.n_live);
    PF_ASSERT(n - n_history == f->tasks.len);
    PF_ASSERT(f->task_order.n_live == f->tasks.len);
}

static void check_framework(const struct pf_master *m, const struct m_framework *f)
{
    const struct m_offer *o;
    const struct m_demand *d;
    uint32_t n_offers = 0, n_demands = 0;

    PF_ASSERT(f->peer == NULL || f->peer->framework == f);
    PF_ASSERT((f->peer != NULL) == m_framework_is_active(f));
    PF_ASSERT((f->al != NULL) == (f->sm.state != M_FRAMEWORK_COMPLETED));
    PF_ASSERT(!f->is_woken && f->n_fresh == 0);
    TAILQ_FOREACH(o, &f->offers, of_framework)
    {
        PF_ASSERT(o->framework == f && f->peer);
        PF_ASSERT(pf_map_get(&m->offers, o->id, o->id_len) == o);
        PF_ASSERT(o->hold->owner == o);
        PF_ASSERT(pf_m_agent_is_offered(o->agent));
        n_offers++;
    }
    PF_ASSERT(n_offers == f->n_offers);
    TAILQ_FOREACH(d, &f->demands, of_framework)
    {
        PF_ASSERT(d->framework == f && f->has_demands);
        PF_ASSERT(pf_al_want_owner(d->want) == d);
        PF_ASSERT(pf_al_want_held(d->want) <= pf_al_want_count(d->want));
        PF_ASSERT(pf_al_want_count(d->want) > 0);
        PF_ASSERT(!(d->is_waiting && d->is_unsettled));
        PF_ASSERT(!d->is_waiting || pf_heap_has(&d->deadline));
        n_demands++;
    }
    PF_ASSERT(n_demands == f->n_demands);
    check_changes(m, f);
}

static void check_peers(const struct pf_master *m)
{
    uint32_t cursor = 0, n_waits = 0;

    for (const struct m_peer *p; (p = pf_map_next(&m->peers, &cursor));) {
        const struct m_wait *w;

        PF_ASSERT(!p->agent || p->agent->peer == p);
        PF_ASSERT(!p->framework || p->framework->peer == p);
        TAILQ_FOREACH(w, &p->waits, of_peer)
        {
            PF_ASSERT(w->peer == p);
            n_waits++;
        }
    }
    PF_ASSERT(n_waits == m->n_waits);
}

void pf_master_check(const struct pf_master *m)
{
    struct pf_order_cursor c = {0};
    uint32_t n_awaited = 0, n_registered = 0, n_connected = 0, n_offers = 0;
    uint64_t n_tasks = 0;

    pf_allocator_check(m->al);
    pf_order_check(&m->agent_order);
    pf_order_check(&m->framework_order);
    pf_order_check(&m->offer_order);
    pf_order_check(&m->completed);
    pf_heap_check(&m->agent_deadlines);
    pf_heap_check(&m->framework_deadlines);
    pf_heap_check(&m->offer_deadlines);
    pf_heap_check(&m->demand_deadlines);
    for (const struct m_agent *a; (a = pf_order_next(&m->agent_order, &c));) {
        check_agent(m, a);
        n_awaited += m_agent_is_awaited(a);
        n_registered += m_agent_is_registered(a);
    }
    PF_ASSERT(n_awaited == m->n_awaited);
    PF_ASSERT(n_registered == m->stats.n_agents_registered);
    c = (struct pf_order_cursor){0};
    for (const struct m_framework *f; (f = pf_order_next(&m->framework_order, &c));) {
        check_framework(m, f);
        n_connected += m_framework_is_active(f);
        n_offers += f->n_offers;
        n_tasks += f->tasks.len;
    }
    PF_ASSERT(n_connected == m->stats.n_frameworks_connected);
    PF_ASSERT(n_offers == m->stats.n_offers && n_offers == m->offers.len);
    PF_ASSERT(n_tasks == m->stats.n_tasks);
    c = (struct pf_order_cursor){0};
    for (const struct m_framework *f; (f = pf_order_next(&m->completed, &c));) {
        PF_ASSERT(f->tasks.len == 0);
        check_changes(m, f);
    }
    check_peers(m);
    pf_m_executors_check(m);
    pf_m_masters_check(m);
    pf_m_seen_check(m);
    pf_m_removals_check(m);
    PF_ASSERT(TAILQ_EMPTY(&m->woken) && TAILQ_EMPTY(&m->with_fresh));
    PF_ASSERT(TAILQ_EMPTY(&m->drains));
}
