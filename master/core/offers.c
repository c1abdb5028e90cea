/* SPDX-License-Identifier: Apache-2.0 */
/* See offers.h. */
#include "master/core/offers.h"

#include <string.h>
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "master/core/convert.h"
#include "master/core/demand.h"
#include "master/core/executors.h"
#include "master/core/out.h"

enum { FILTER_DEFAULT_MS = 5000 };
#define FILTER_MAX_S 31536000.0 /* 365 days */

struct m_offer *pf_m_offer_get(const struct pf_master *m, struct pf_str id)
{
    return id.len > 0 ? pf_map_get_str(&m->offers, id) : NULL;
}

/* --- the end of one --- */

void pf_m_offer_free(struct pf_master *m, struct m_offer *o, enum m_offer_state state,
                     const char *why)
{
    struct m_framework *f = o->framework;

    pf_sm_move(&o->sm, state, o->id, why, &m->o.tracer);
    m->stats.offers_declined += state == M_OFFER_DECLINED;
    m->stats.offers_rescinded += state == M_OFFER_RESCINDED;
    m->stats.offers_expired += state == M_OFFER_EXPIRED;
    m->stats.n_offers--;
    pf_heap_remove(&m->offer_deadlines, &o->deadline);
    pf_map_del(&m->offers, o->id, o->id_len);
    pf_order_del(&m->offer_order, o->number);
    TAILQ_REMOVE(&f->offers, o, of_framework);
    f->n_offers--;
    pf_free(o);
}

/* An offer of this step that nobody was told yet leaves no message. */
static bool forget_fresh(struct m_framework *f, const struct m_offer *o)
{
    for (uint32_t i = 0; i < f->n_fresh; i++) {
        if (f->fresh[i] == o) {
            f->fresh[i] = f->fresh[--f->n_fresh];
            return true;
        }
    }
    return false;
}

void pf_m_offer_end(struct pf_master *m, struct m_offer *o, enum m_offer_state state,
                    const char *why, bool tells)
{
    struct m_demand *d = o->hold->want ? pf_al_want_owner(o->hold->want) : NULL;

    if (!forget_fresh(o->framework, o) && tells) {
        pf_m_send_rescind(m, o);
    }
    pf_al_hold_end(m->al, o->hold, NULL, 0);
    pf_m_offer_free(m, o, state, why);
    if (d) {
        pf_m_demand_update(m, d);
    }
}

void pf_m_agent_rescind_offers(struct pf_master *m, struct m_agent *a)
{
    struct pf_al_hold *next;

    for (struct pf_al_hold *h = pf_al_agent_holds(a->al); h; h = next) {
        next = h->next;
        pf_m_offer_end(m, h->owner, M_OFFER_RESCINDED, "agent_lost", true);
    }
}

void pf_m_framework_end_offers(struct pf_master *m, struct m_framework *f, const char *why,
                               bool tells)
{
    while (!TAILQ_EMPTY(&f->offers)) {
        pf_m_offer_end(m, TAILQ_FIRST(&f->offers), M_OFFER_RESCINDED, why, tells);
    }
}

void pf_m_offer_deadline(struct pf_master *m, struct m_offer *o)
{
    pf_m_offer_end(m, o, M_OFFER_EXPIRED, "timeout", true);
}

/* --- making them --- */

static void offer_make(struct pf_master *m, struct pf_al_hold *h)
{
    struct m_offer *o = PF_NEW(struct m_offer);
    struct m_framework *f = pf_al_framework_owner(h->framework);

    o->hold = h;
    h->owner = o;
    o->framework = f;
    o->agent = pf_al_agent_owner(h->agent);
    o->created_ms = m->wall_ms;
    pf_short_id('o', m->epoch, ++m->next_offer, o->id);
    o->id_len = (uint32_t)strlen(o->id);
    o->number = pf_order_add(&m->offer_order, o);
    pf_map_put(&m->offers, o->id, o->id_len, o);
    TAILQ_INSERT_TAIL(&f->offers, o, of_framework);
    f->n_offers++;
    pf_sm_init(&o->sm, &pf_m_offer_table, M_OFFER_OPEN, o->id, f->id, &m->o.tracer);
    if (m->o.offer_timeout_ms > 0) {
        pf_heap_set(&m->offer_deadlines, &o->deadline, m->now_ms + m->o.offer_timeout_ms);
    }
    if (f->n_fresh == 0 && f->cap_fresh == 0) {
        TAILQ_INSERT_TAIL(&m->with_fresh, f, with_fresh);
    }
    if (f->n_fresh == f->cap_fresh) {
        uint32_t cap = f->cap_fresh == 0 ? 8 : f->cap_fresh * 2;
        struct m_offer **grown = pf_arena_alloc(pf_m_arena(m), cap * sizeof *grown);

        if (f->n_fresh > 0) {
            memcpy(grown, f->fresh, f->n_fresh * sizeof *grown);
        }
        f->fresh = grown;
        f->cap_fresh = cap;
    }
    f->fresh[f->n_fresh++] = o;
    m->stats.offers_made++;
    m->stats.n_offers++;
    if (h->want) {
        pf_m_demand_update(m, pf_al_want_owner(h->want));
    }
}

/* Where the agent's HTTP is; absent where that is not known. */
static struct pf_ref url_put(struct pf_master *m, struct pf_fb_builder *b, const struct m_agent *a)
{
    const char *colon = strrchr(a->http_address, ':');
    struct Address__args address = {.hostname = pf_str(a->hostname)};
    int32_t port = 0;

    for (const char *p = colon ? colon + 1 : ""; *p >= '0' && *p <= '9' && port < 65536; p++) {
        port = port * 10 + (*p - '0');
    }
    if (!colon || port == 0 || port > 65535) {
        return (struct pf_ref){0};
    }
    address.ip = (struct pf_str){a->http_address, (uint32_t)(colon - a->http_address)};
    address.port = (struct pf_opt_i32)PF_OPT(port);
    (void)m;
    return URL__put(b, &(struct URL__args){.scheme = PF_STR("http"),
                                           .address = Address__put(b, &address),
                                           .path = PF_STR("/slave(1)")});
}

struct pf_ref pf_m_offer_put(struct pf_master *m, struct pf_fb_builder *b, const struct m_offer *o)
{
    struct AgentInfo info = AgentInfo__from_bytes(m_blob_bytes(&o->agent->info));
    uint32_t n_attributes = AgentInfo_attributes__len(info);
    struct pf_str role =
        o->framework->is_multi_role ? pf_str(o->framework->role) : (struct pf_str){NULL, 0};
    const struct m_demand *d = o->hold->want ? pf_al_want_owner(o->hold->want) : NULL;
    struct Offer__args args = {.hostname = pf_str(o->agent->hostname),
                               .agent_address = pf_str(o->agent->address),
                               .created_ms = o->created_ms,
                               .demand_id = pf_str(d ? d->id : NULL),
                               .demand_count = o->hold->count};

    if (n_attributes > 0) {
        struct pf_ref *refs = pf_arena_alloc(pf_m_arena(m), n_attributes * sizeof *refs);

        for (uint32_t i = 0; i < n_attributes; i++) {
            refs[i] = Attribute__copy(b, AgentInfo_attributes__at(info, i));
        }
        args.attributes = (struct pf_refs){refs, n_attributes};
    }
    args.url = url_put(m, b, o->agent);
    args.executor_ids = pf_m_executor_ids_put(m, b, o->agent, o->framework);
    if (role.at) {
        args.allocation_info =
            Resource_AllocationInfo__put(b, &(struct Resource_AllocationInfo__args){.role = role});
    }
    args.resources = pf_m_resources_put(b, pf_m_arena(m), &o->hold->resources, role);
    args.id = OfferID__put(b, &(struct OfferID__args){.value = {o->id, o->id_len}});
    args.framework_id =
        FrameworkID__put(b, &(struct FrameworkID__args){.value = pf_str(o->framework->id)});
    args.agent_id = AgentID__put(b, &(struct AgentID__args){.value = pf_str(o->agent->id)});
    return Offer__put(b, &args);
}

/* One event for all that the framework got in this step, or a few where they are many. */
static void send_fresh(struct pf_master *m, struct m_framework *f)
{
    for (uint32_t from = 0; from < f->n_fresh; from += PF_PAGE_MAX) {
        uint32_t n = f->n_fresh - from < PF_PAGE_MAX ? f->n_fresh - from : PF_PAGE_MAX;
        struct pf_ref *refs = pf_arena_alloc(pf_m_arena(m), n * sizeof *refs);
        struct pf_fb_builder *b = pf_m_builder(m);

        for (uint32_t i = 0; i < n; i++) {
            refs[i] = pf_m_offer_put(m, b, f->fresh[from + i]);
        }
        pf_m_send_event(m, f->peer,
                        &(struct Scheduler_Event__args){
                            .type = PF_OPT(Scheduler_Event_Type_OFFERS),
                            .offers = Scheduler_Event_Offers__put(
                                b, &(struct Scheduler_Event_Offers__args){.offers = {refs, n}})});
    }
    f->fresh = NULL;
    f->n_fresh = 0;
    f->cap_fresh = 0;
}

void pf_m_allocate(struct pf_master *m)
{
    uint32_t pairs = 0;
    enum pf_al_result r;
    struct pf_al_hold *h;
    struct m_framework *f;

    do {
        r = pf_allocator_run(m->al, m->now_ms, &pairs);
        m->stats.allocation_runs++;
        while ((h = pf_al_reclaimed(m->al)) != NULL) {
            pf_m_offer_end(m, h->owner, M_OFFER_RESCINDED, "demand_waits", true);
        }
    } while (r == PF_AL_RECLAIM);
    while ((h = pf_al_new_hold(m->al)) != NULL) {
        offer_make(m, h);
    }
    while ((f = TAILQ_FIRST(&m->with_fresh)) != NULL) {
        TAILQ_REMOVE(&m->with_fresh, f, with_fresh);
        send_fresh(m, f);
    }
    m->stats.allocation_pairs = pf_allocator_n_pairs(m->al);
    pf_m_demands_settle(m);
}

/* --- calls --- */

int64_t pf_m_filter_ms(struct Filters filters, bool has_filters)
{
    double seconds = Filters_refuse_seconds(filters);
    int64_t ms;

    if (has_filters && seconds > FILTER_MAX_S) {
        return (int64_t)FILTER_MAX_S * 1000;
    }
    return has_filters && pf_milli_from_double(seconds, &ms, NULL) == 0 ? ms : FILTER_DEFAULT_MS;
}

void pf_m_on_decline(struct pf_master *m, struct m_peer *p, struct Scheduler_Call call,
                     uint64_t request_id)
{
    struct Scheduler_Call_Decline x = Scheduler_Call_decline(call);
    uint32_t n = Scheduler_Call_Decline_offer_ids__len(x);
    int64_t ms =
        pf_m_filter_ms(Scheduler_Call_Decline_filters(x), Scheduler_Call_Decline__has_filters(x));

    if (n > PF_OFFERS_PER_CALL_MAX) {
        m->stats.bad_messages++;
        pf_m_reply(m, p, request_id, ReplyCode_TOO_LARGE, "more than %d offers",
                   PF_OFFERS_PER_CALL_MAX);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct m_offer *o =
            pf_m_offer_get(m, OfferID_value(Scheduler_Call_Decline_offer_ids__at(x, i)));

        if (o && o->framework == p->framework) { /* else it is over already */
            if (ms > 0) {
                pf_al_filter_add(m->al, o->framework->al, o->agent->al, &o->hold->resources,
                                 m->now_ms + ms);
            }
            pf_m_offer_end(m, o, M_OFFER_DECLINED, "decline", false);
        }
    }
    pf_m_reply(m, p, request_id, ReplyCode_ACCEPTED, "%s", "");
}

void pf_m_on_revive(struct pf_master *m, struct m_peer *p, struct Scheduler_Call call,
                    uint64_t request_id)
{
    struct m_framework *f = p->framework;

    (void)call; /* a framework has one role */
    f->is_suppressed = false;
    pf_al_filters_clear(m->al, f->al);
    pf_al_framework_set_active(m->al, f->al, true);
    pf_m_demands_unsettle(m, f);
    m->allocates_now = true;
    pf_m_reply(m, p, request_id, ReplyCode_ACCEPTED, "%s", "");
}

void pf_m_on_suppress(struct pf_master *m, struct m_peer *p, struct Scheduler_Call call,
                      uint64_t request_id)
{
    struct m_framework *f = p->framework;

    (void)call;
    f->is_suppressed = true;
    pf_al_framework_set_active(m->al, f->al, false);
    pf_m_framework_end_offers(m, f, "suppress", true);
    pf_m_reply(m, p, request_id, ReplyCode_ACCEPTED, "%s", "");
}
