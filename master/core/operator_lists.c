/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of agents, frameworks and offers. */
#include <string.h>
#include "common/base/limits.h"
#include "master/core/convert.h"
#include "master/core/demand.h"
#include "master/core/drain.h"
#include "master/core/offers.h"
#include "master/core/operator.h"
#include "master/core/out.h"
#include "master/core/removals.h"

uint32_t pf_m_page_limit(const struct m_call *c)
{
    uint32_t limit = Page_limit(Master_Call_page(c->call));

    return limit > 0 && limit < PF_PAGE_MAX ? limit : PF_PAGE_MAX;
}

void pf_m_page_after(const struct m_call *c, uint64_t *out, uint32_t n)
{
    struct pf_str text = Page_after_id(Master_Call_page(c->call));
    uint32_t k = 0;

    for (uint32_t i = 0; i < n; i++) {
        out[i] = 0;
    }
    for (uint32_t i = 0; i < text.len && k < n; i++) {
        if (text.at[i] == '.') {
            k++;
        } else if (text.at[i] >= '0' && text.at[i] <= '9') {
            out[k] = out[k] * 10 + (uint64_t)(text.at[i] - '0');
        }
    }
}

/* The entries of a page as they are put. */
struct page {
    struct pf_ref *ref;
    uint32_t n, limit;
    struct pf_str next; /* where the next page begins; absent: the list ends here */
};

static struct page page_begin(struct pf_master *m, const struct m_call *c)
{
    struct page p = {.limit = pf_m_page_limit(c)};

    p.ref = pf_arena_alloc(pf_m_arena(m), p.limit * sizeof *p.ref);
    return p;
}

static bool page_is_full(const struct pf_master *m, const struct page *p)
{
    return p->n == p->limit || (p->n > 0 && m->b->used > M_PAGE_BYTES);
}

static struct pf_ref time_put(struct pf_fb_builder *b, int64_t wall_ms)
{
    if (wall_ms == 0) {
        return (struct pf_ref){0};
    }
    return TimeInfo__put(b, &(struct TimeInfo__args){.nanoseconds = PF_OPT(wall_ms * 1000000)});
}

static struct pf_refs res_put(struct pf_master *m, const struct pf_resources *r)
{
    return pf_m_resources_put(m->b, pf_m_arena(m), r, (struct pf_str){NULL, 0});
}

/* --- agents --- */

static enum AgentState agent_state(const struct m_agent *a)
{
    switch ((enum m_agent_state)a->sm.state) {
    case M_AGENT_RECOVERED: return AgentState_RECOVERED;
    case M_AGENT_REGISTERING:
    case M_AGENT_DISCONNECTED: return AgentState_DISCONNECTED;
    case M_AGENT_REGISTERED: return AgentState_REGISTERED;
    case M_AGENT_UNREACHABLE: return AgentState_UNREACHABLE;
    case M_AGENT_GONE: return AgentState_GONE;
    case M_AGENT_INVALID:
    case M_AGENT_LEFT:
    case M_AGENT_COUNT: break;
    }
    return AgentState_UNKNOWN;
}

static void agent_amounts(struct pf_master *m, const struct m_agent *a,
                          struct Master_Response_GetAgents_Agent__args *args)
{
    struct pf_resources used = pf_res_dup(pf_al_agent_total(a->al));
    struct pf_resources offered = {0};

    for (const struct pf_al_hold *h = pf_al_agent_holds(a->al); h; h = h->next) {
        pf_res_add(&offered, &h->resources);
    }
    args->total_resources = res_put(m, &used);
    pf_res_sub(&used, pf_al_agent_free(a->al));
    pf_res_sub(&used, &offered);
    args->allocated_resources = res_put(m, &used);
    args->offered_resources = res_put(m, &offered);
    pf_res_fini(&used);
    pf_res_fini(&offered);
}

static struct pf_ref agent_put(struct pf_master *m, const struct m_agent *a)
{
    struct AgentInfo info = AgentInfo__from_bytes(m_blob_bytes(&a->info));
    struct Master_Response_GetAgents_Agent__args args = {
        .active = PF_OPT(pf_m_agent_is_offered(a)),
        .deactivated = PF_OPT(a->is_deactivated),
        .leaving = a->is_leaving,
        .version = pf_str(a->version),
        .address = pf_str(a->address),
        .http_address = pf_str(a->http_address),
        .state = agent_state(a),
        .n_tasks = a->n_tasks,
        .last_seen_ms = m_agent_is_registered(a) ? m->wall_ms : a->seen_ms,
        .isolation = pf_str(a->isolation)};

    if (a->pid > 0) {
        args.pid = pf_arena_printf(pf_m_arena(m), "%lld", (long long)a->pid);
    }
    if (!pf_m_agent_is_offered(a)) {
        struct pf_buf text = {0};

        pf_m_agent_text(m, a, &text);
        args.text = pf_arena_strdup(pf_m_arena(m), pf_str(pf_buf_cstr(&text)));
        pf_buf_fini(&text);
    }
    if (a->al) {
        agent_amounts(m, a, &args);
    }
    if (a->drain.is_on) {
        args.drain_info = DrainInfo__put(
            m->b, &(struct DrainInfo__args){
                      .state = PF_OPT(a->drain.is_done ? DrainState_DRAINED : DrainState_DRAINING),
                      .config = pf_m_drain_put(m->b, a)});
        args.estimated_drain_start_time = time_put(m->b, a->drain.started_ms);
    }
    args.registered_time = time_put(m->b, a->registered_ms);
    args.reregistered_time = time_put(m->b, a->reregistered_ms);
    args.agent_info = AgentInfo__copy(m->b, info);
    return Master_Response_GetAgents_Agent__put(m->b, &args);
}

/* Gone ones only for who asks for them. */
static bool is_listed(const struct m_agent *a, struct pf_str only)
{
    return only.len > 0 ? pf_str_is(only, a->id) : a->sm.state != M_AGENT_GONE;
}

/* Those that are known in this epoch first, then those only known from rows ("1." before the
 * number). */
void pf_m_on_get_agents(struct pf_master *m, const struct m_call *c)
{
    uint64_t after[2];
    struct pf_order_cursor at = {0};
    struct page p = page_begin(m, c), recovered = {0};
    struct pf_str only = Master_Call_agent_id(c->call);
    struct Master_Response_GetAgents__args args = {0};
    struct Master_Response__args response = {.type = PF_OPT(Master_Response_Type_GET_AGENTS)};

    pf_m_page_after(c, after, 2);
    at.number = after[1];
    (void)pf_m_builder(m);
    recovered.ref = p.ref;
    for (uint64_t phase = after[0]; phase < 2 && !p.next.at; phase++) {
        const struct m_agent *a;
        struct pf_order_cursor before = at;

        while (!p.next.at && (a = pf_order_next(&m->agent_order, &at)) != NULL) {
            if ((a->sm.state == M_AGENT_RECOVERED) != (phase == 1) || !is_listed(a, only)) {
                before = at;
                continue;
            }
            if (page_is_full(m, &p)) {
                p.next = pf_arena_printf(pf_m_arena(m), "%llu.%llu", (unsigned long long)phase,
                                         (unsigned long long)before.number);
            } else if (phase == 0) {
                p.ref[p.n++] = agent_put(m, a);
                recovered.ref = p.ref + p.n;
            } else {
                p.ref[p.n++] = AgentInfo__copy(m->b, AgentInfo__from_bytes(m_blob_bytes(&a->info)));
                recovered.n++;
            }
            before = at;
        }
        at = (struct pf_order_cursor){0};
    }
    args.agents = (struct pf_refs){p.ref, p.n - recovered.n};
    args.recovered_agents = (struct pf_refs){recovered.ref, recovered.n};
    response.get_agents = Master_Response_GetAgents__put(m->b, &args);
    response.next_after_id = p.next;
    pf_m_respond(m, c, &response);
}

/* --- frameworks --- */

static void framework_amounts(struct pf_master *m, const struct m_framework *f,
                              struct Master_Response_GetFrameworks_Framework__args *args)
{
    struct pf_resources used, offered = {0};
    const struct m_offer *o;

    if (!f->al) {
        return;
    }
    used = pf_res_dup(pf_al_framework_allocated(f->al));
    TAILQ_FOREACH(o, &f->offers, of_framework)
    {
        pf_res_add_scalars(&offered, &o->hold->resources);
    }
    pf_res_sub_scalars(&used, &offered);
    args->allocated_resources = res_put(m, &used);
    args->offered_resources = res_put(m, &offered);
    pf_res_fini(&used);
    pf_res_fini(&offered);
}

static struct pf_ref framework_put(struct pf_master *m, const struct m_framework *f)
{
    const struct m_demand *d;
    uint32_t n = 0;
    struct pf_ref demands[PF_DEMANDS_MAX];
    struct Master_Response_GetFrameworks_Framework__args args = {
        .framework_info = m_blob_bytes(&f->info),
        .active = PF_OPT(m_framework_is_active(f)),
        .connected = PF_OPT(f->peer != NULL),
        .recovered = PF_OPT(f->sm.state == M_FRAMEWORK_RECOVERED),
        .n_tasks = f->tasks.len,
        .n_offers = f->n_offers,
        .role = pf_str(f->role),
        .has_demands = f->has_demands};

    TAILQ_FOREACH(d, &f->demands, of_framework)
    {
        demands[n++] = pf_m_demand_put(m, m->b, d);
    }
    args.demands = (struct pf_refs){demands, n};
    framework_amounts(m, f, &args);
    args.registered_time = time_put(m->b, f->registered_ms);
    args.reregistered_time = time_put(m->b, f->reregistered_ms);
    args.unregistered_time = time_put(m->b, f->unregistered_ms);
    return Master_Response_GetFrameworks_Framework__put(m->b, &args);
}

void pf_m_on_get_frameworks(struct pf_master *m, const struct m_call *c)
{
    uint64_t after[2];
    struct pf_order_cursor at = {0};
    struct page p = page_begin(m, c);
    uint32_t n_live = 0;
    struct Master_Response_GetFrameworks__args args = {0};
    struct Master_Response__args response = {.type = PF_OPT(Master_Response_Type_GET_FRAMEWORKS)};
    struct pf_str only = Master_Call_framework_id(c->call);

    pf_m_page_after(c, after, 2);
    at.number = after[1];
    (void)pf_m_builder(m);
    for (uint64_t phase = after[0]; phase < 2 && !p.next.at; phase++) {
        const struct pf_order *o = phase == 0 ? &m->framework_order : &m->completed;
        struct pf_order_cursor before = at;
        const struct m_framework *f;

        while (!p.next.at && (f = pf_order_next(o, &at)) != NULL) {
            if (only.len > 0 && !pf_str_is(only, f->id)) {
                continue;
            }
            if (page_is_full(m, &p)) {
                p.next = pf_arena_printf(pf_m_arena(m), "%llu.%llu", (unsigned long long)phase,
                                         (unsigned long long)before.number);
            } else {
                p.ref[p.n++] = framework_put(m, f);
                n_live += phase == 0;
            }
            before = at;
        }
        at = (struct pf_order_cursor){0};
    }
    args.frameworks = (struct pf_refs){p.ref, n_live};
    args.completed_frameworks = (struct pf_refs){p.ref + n_live, p.n - n_live};
    response.get_frameworks = Master_Response_GetFrameworks__put(m->b, &args);
    response.next_after_id = p.next;
    pf_m_respond(m, c, &response);
}

/* --- offers --- */

void pf_m_on_get_offers(struct pf_master *m, const struct m_call *c)
{
    struct pf_order_cursor at = {0}, before;
    struct page p = page_begin(m, c);
    struct Master_Response__args response = {.type = PF_OPT(Master_Response_Type_GET_OFFERS)};
    struct pf_str only = Master_Call_framework_id(c->call);
    const struct m_offer *o;

    pf_m_page_after(c, &at.number, 1);
    before = at;
    (void)pf_m_builder(m);
    while (!p.next.at && (o = pf_order_next(&m->offer_order, &at)) != NULL) {
        if (only.len > 0 && !pf_str_is(only, o->framework->id)) {
            continue;
        }
        if (page_is_full(m, &p)) {
            p.next = pf_arena_printf(pf_m_arena(m), "%llu", (unsigned long long)before.number);
        } else {
            p.ref[p.n++] = pf_m_offer_put(m, m->b, o);
        }
        before = at;
    }
    response.get_offers = Master_Response_GetOffers__put(
        m->b, &(struct Master_Response_GetOffers__args){.offers = {p.ref, p.n}});
    response.next_after_id = p.next;
    pf_m_respond(m, c, &response);
}
