/* SPDX-License-Identifier: Apache-2.0 */
/* The door: events in, each to its handler by table; allocation at the end of a step that calls for
 * it, else at the next deadline. */
#include "master/core/master.h"

#include <string.h>
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "master/core/agents.h"
#include "master/core/demand.h"
#include "master/core/drain.h"
#include "master/core/executors.h"
#include "master/core/frameworks.h"
#include "master/core/masters.h"
#include "master/core/offers.h"
#include "master/core/operator.h"
#include "master/core/out.h"
#include "master/core/peers.h"
#include "master/core/reconcile.h"
#include "master/core/removals.h"
#include "master/core/seen.h"
#include "master/core/state.h"
#include "master/core/tasks.h"

/* --- life --- */

static void options_copy(struct pf_master_options *to, const struct pf_master_options *from)
{
    *to = *from;
    to->instance = pf_strdup(from->instance ? from->instance : "");
    to->cluster = pf_strdup(from->cluster ? from->cluster : "");
    to->address = pf_strdup(from->address ? from->address : "");
    to->http_address = pf_strdup(from->http_address ? from->http_address : "");
    to->hostname = pf_strdup(from->hostname ? from->hostname : "");
    to->row_max_bytes = from->row_max_bytes ? from->row_max_bytes : PF_ROW_MAX_BYTES;
    to->task_user = pf_strdup(from->task_user ? from->task_user : "nobody");
}

struct pf_master *pf_master_create(const struct pf_master_options *options)
{
    struct pf_master *m = PF_NEW(struct pf_master);

    PF_ASSERT(options->agent_unreachable_ms > 0);
    PF_ASSERT(options->row_max_bytes == 0 || (options->row_max_bytes > 2 * PF_M_ROW_EXTRA_BYTES &&
                                              options->row_max_bytes <= PF_ROW_MAX_BYTES));
    options_copy(&m->o, options);
    pf_rng_seed(&m->rng, options->seed);
    m->peers.seed = pf_rng_next(&m->rng);
    m->agents.seed = pf_rng_next(&m->rng);
    m->frameworks.seed = pf_rng_next(&m->rng);
    m->completed_by_id.seed = pf_rng_next(&m->rng);
    m->offers.seed = pf_rng_next(&m->rng);
    m->linked.seed = pf_rng_next(&m->rng);
    m->al = pf_allocator_create(pf_rng_next(&m->rng));
    TAILQ_INIT(&m->woken);
    TAILQ_INIT(&m->with_fresh);
    TAILQ_INIT(&m->unsettled);
    TAILQ_INIT(&m->masters);
    TAILQ_INIT(&m->drains);
    pf_m_seen_init(m);
    pf_m_removals_init(m);
    return m;
}

/* What the allocator holds goes with it; here only what refers to it. */
static void offers_fini(struct pf_master *m)
{
    struct pf_order_cursor c = {0};

    for (struct m_offer *o; (o = pf_order_next(&m->offer_order, &c));) {
        pf_al_hold_end(m->al, o->hold, NULL, 0);
        TAILQ_REMOVE(&o->framework->offers, o, of_framework);
        pf_free(o);
    }
    pf_order_fini(&m->offer_order);
    pf_map_fini(&m->offers);
}

void pf_master_destroy(struct pf_master *m)
{
    if (!m) {
        return;
    }
    m->turn = NULL;
    pf_heap_fini(&m->offer_deadlines); /* while their nodes are there */
    pf_heap_fini(&m->framework_deadlines);
    pf_heap_fini(&m->agent_deadlines);
    pf_heap_fini(&m->demand_deadlines);
    offers_fini(m);
    pf_m_peers_fini(m);
    pf_m_executors_fini(m);
    pf_m_frameworks_fini(m);
    pf_m_agents_fini(m);
    pf_m_masters_fini(m);
    pf_m_removals_fini(m);
    pf_allocator_destroy(m->al);
    pf_m_stamps_fini(&m->update_stamps);
    pf_m_stamps_fini(&m->acknowledge_stamps);
    pf_free((char *)(uintptr_t)m->o.instance);
    pf_free((char *)(uintptr_t)m->o.cluster);
    pf_free((char *)(uintptr_t)m->o.address);
    pf_free((char *)(uintptr_t)m->o.http_address);
    pf_free((char *)(uintptr_t)m->o.hostname);
    pf_free((char *)(uintptr_t)m->o.task_user);
    pf_free(m);
}

/* --- rows and leadership --- */

static void on_row(struct pf_master *m, const struct pf_master_event *ev)
{
    PF_ASSERT(!m->is_leading);
    switch ((enum RegistryTable)ev->row.table) {
    case RegistryTable_AGENTS:
        if (ev->row.is_del) {
            pf_m_agent_row_gone(m, ev->row.key);
        } else {
            pf_m_agent_row(m, ev->row.key, Row_Agent__root(ev->row.row));
        }
        return;
    case RegistryTable_FRAMEWORKS:
        if (ev->row.is_del) {
            pf_m_framework_row_gone(m, ev->row.key);
        } else {
            pf_m_framework_row(m, ev->row.key, Row_Framework__root(ev->row.row));
        }
        return;
    case RegistryTable_META: /* the caller knows it: it says so with ELECTED */
    case RegistryTable_NONE: return;
    }
}

static void on_elected(struct pf_master *m, const struct pf_master_event *ev)
{
    PF_ASSERT(!m->is_leading);
    m->is_leading = true;
    m->incarnation = ev->elected.incarnation;
    m->epoch = ev->elected.epoch;
    m->stats.epoch = m->epoch;
    m->elected_wall_ms = m->wall_ms;
    m->has_meta_row = !ev->elected.is_stored;
    if (m->has_meta_row) {
        pf_turn_put(m->turn, RegistryTable_META, (struct pf_bytes){(const uint8_t *)"registry", 8},
                    pf_msg_bytes(pf_m_registry_row_of(pf_m_builder(m), m)));
    }
    pf_m_removals_elected(m);
    pf_m_agents_elected(m);
    pf_m_frameworks_elected(m);
}

/* --- messages --- */

typedef void call_handler(struct pf_master *m, struct m_peer *p, struct Scheduler_Call call,
                          uint64_t request_id);

static void on_teardown(struct pf_master *m, struct m_peer *p, struct Scheduler_Call call,
                        uint64_t request_id)
{
    (void)call;
    pf_m_reply(m, p, request_id, ReplyCode_ACCEPTED, "%s", "");
    pf_m_framework_remove(m, p->framework, "teardown", NULL);
}

static const struct {
    enum Scheduler_Call_Type type;
    bool (*has_part)(struct Scheduler_Call call); /* NULL: needs none */
    call_handler *handle;
} calls[] = {
    {Scheduler_Call_Type_SUBSCRIBE, Scheduler_Call__has_subscribe, pf_m_on_subscribe},
    {Scheduler_Call_Type_TEARDOWN, NULL, on_teardown},
    {Scheduler_Call_Type_ACCEPT, Scheduler_Call__has_accept, pf_m_on_accept},
    {Scheduler_Call_Type_DECLINE, Scheduler_Call__has_decline, pf_m_on_decline},
    {Scheduler_Call_Type_REVIVE, NULL, pf_m_on_revive},
    {Scheduler_Call_Type_SUPPRESS, NULL, pf_m_on_suppress},
    {Scheduler_Call_Type_MESSAGE, Scheduler_Call__has_message, pf_m_on_message_call},
    {Scheduler_Call_Type_SHUTDOWN, Scheduler_Call__has_shutdown, pf_m_on_shutdown_call},
    {Scheduler_Call_Type_KILL, Scheduler_Call__has_kill, pf_m_on_kill},
    {Scheduler_Call_Type_ACKNOWLEDGE, Scheduler_Call__has_acknowledge, pf_m_on_acknowledge},
    {Scheduler_Call_Type_RECONCILE, Scheduler_Call__has_reconcile, pf_m_on_reconcile},
    {Scheduler_Call_Type_DEMAND, Scheduler_Call__has_demand, pf_m_on_demand},
};

/* Is the call from the framework's own, present scheduler? */
static bool is_subscribed(struct pf_master *m, struct m_peer *p, struct Scheduler_Call call,
                          uint64_t request_id)
{
    struct pf_str id = FrameworkID_value(Scheduler_Call_framework_id(call));

    if (!p->framework) {
        m->stats.bad_messages++;
        pf_m_reply(m, p, request_id, ReplyCode_NOT_SUBSCRIBED, "Framework is not subscribed");
        return false;
    }
    if (id.len > 0 && !pf_str_is(id, p->framework->id)) {
        m->stats.bad_messages++;
        pf_m_reply(m, p, request_id, ReplyCode_FORBIDDEN, "this link is subscribed as framework %s",
                   p->framework->id);
        return false;
    }
    return true;
}

static void on_scheduler_call(struct pf_master *m, struct m_peer *p, struct Envelope e)
{
    struct Scheduler_Call call = Envelope_body_as_Scheduler_Call(e);
    enum Scheduler_Call_Type type = Scheduler_Call_type(call);
    uint64_t request_id = Envelope_request_id(e);

    for (size_t i = 0; i < PF_ARRAY_LEN(calls); i++) {
        if (calls[i].type != type || !Scheduler_Call__has_type(call)) {
            continue;
        }
        if (calls[i].has_part && !calls[i].has_part(call)) {
            m->stats.bad_messages++;
            pf_m_reply(m, p, request_id, ReplyCode_BAD_REQUEST, "call %s lacks its part",
                       Scheduler_Call_Type__str((int)type));
        } else if (type == Scheduler_Call_Type_SUBSCRIBE || is_subscribed(m, p, call, request_id)) {
            calls[i].handle(m, p, call, request_id);
        }
        return;
    }
    const char *name = Scheduler_Call_Type__str((int)type);

    m->stats.bad_messages++;
    pf_m_reply(m, p, request_id, ReplyCode_UNSUPPORTED, "call %s is not supported",
               name ? name : "of an unknown type");
}

#define KIND(k) (1u << PeerKind_##k)

static const struct {
    enum Body body;
    uint32_t kinds;   /* of peers that may send it */
    bool needs_trust; /* the key */
    bool on_standby;
    void (*handle)(struct pf_master *m, struct m_peer *p, struct Envelope e);
} bodies[] = {
    {Body_AgentUpdate, KIND(AGENT), true, false, pf_m_on_agent_update},
    {Body_AgentMessage, KIND(AGENT), true, false, pf_m_on_agent_message},
    {Body_AgentExecutorExited, KIND(AGENT), true, false, pf_m_on_executor_exited},
    {Body_AgentRegister, KIND(AGENT), true, false, pf_m_on_agent_register},
    {Body_AgentTasks, KIND(AGENT), true, false, pf_m_on_agent_tasks},
    {Body_AgentUnregister, KIND(AGENT), true, false, pf_m_on_agent_unregister},
    {Body_Scheduler_Call, KIND(SCHEDULER), false, false, on_scheduler_call},
    {Body_Master_Call, KIND(OPERATOR) | KIND(SCHEDULER) | KIND(AGENT) | KIND(MASTER), false, true,
     pf_m_on_master_call},
    {Body_AgentsSeenCall, KIND(MASTER), true, true, pf_m_on_agents_seen_call},
};

static void on_message(struct pf_master *m, uint64_t peer, struct pf_msg message)
{
    struct Envelope e = Envelope__root(message);
    struct m_peer *p = pf_m_peer_get(m, peer);
    enum Body body = Envelope_body_type(e);

    if (!p || body == Body_Heartbeat) {
        return; /* closed, or of no interest here */
    }
    if (Envelope_is_reply(e)) {
        pf_m_on_seen_reply(m, p, e); /* masters are asked nothing else, others nothing */
        return;
    }
    for (size_t i = 0; i < PF_ARRAY_LEN(bodies); i++) {
        if (bodies[i].body != body) {
            continue;
        }
        if ((bodies[i].kinds & (1u << p->kind)) == 0) {
            m->stats.bad_messages++;
            pf_m_reply(m, p, Envelope_request_id(e), ReplyCode_BAD_REQUEST,
                       "this kind of peer may not send that");
        } else if (bodies[i].needs_trust && !p->is_trusted) {
            m->stats.bad_messages++;
            pf_m_reply(m, p, Envelope_request_id(e), ReplyCode_FORBIDDEN,
                       "that needs the cluster's key");
        } else if (!m->is_leading && !bodies[i].on_standby) {
            pf_m_reply_not_leader(m, p, Envelope_request_id(e));
        } else {
            bodies[i].handle(m, p, e);
        }
        return;
    }
    m->stats.bad_messages++;
    pf_m_reply(m, p, Envelope_request_id(e), ReplyCode_UNSUPPORTED,
               "a master does not understand this message");
}

/* --- time --- */

enum { DEADLINES_PER_STEP = 256, AGENTS_PER_STEP = 8, SCANS_PER_STEP = 4 };
enum { FRAMEWORKS_TOLD = 1024 }; /* of an agent's loss, at the cost of a deadline of an agent */

/* What a step may still do. */
struct budget {
    uint32_t deadlines, agents;
    uint32_t row_bytes; /* it may go a row above, so that rows stay below twice the largest */
};

static void spend(struct budget *left, uint32_t row_bytes, uint32_t agents)
{
    left->deadlines--;
    left->row_bytes -= row_bytes < left->row_bytes ? row_bytes : left->row_bytes;
    left->agents -= agents < left->agents ? agents : left->agents;
}

static void agent_deadline(struct pf_master *m, struct budget *left, struct m_agent *a)
{
    pf_heap_remove(&m->agent_deadlines, &a->deadline);
    if (m_agent_is_registered(a)) {
        pf_m_drain_deadline(m, a);
        spend(left, 0, 1);
        return;
    }
    if (pf_m_seen_is_wanted(m, a)) {
        pf_m_seen_want(m, a);
        spend(left, 0, 0);
        return;
    }
    spend(left, a->info.len + PF_M_ROW_EXTRA_BYTES,
          1 + (uint32_t)m->stats.n_frameworks_connected / FRAMEWORKS_TOLD);
    pf_m_agent_deadline(m, a);
}

/* One deadline that has come; false: none, or the step has done enough. */
static bool one_deadline(struct pf_master *m, struct budget *left)
{
    struct pf_heap_node *n;

    if (left->deadlines == 0) {
        return false;
    }
    if ((n = pf_heap_first(&m->offer_deadlines)) && n->key <= m->now_ms) {
        spend(left, 0, 0);
        pf_m_offer_deadline(m, PF_CONTAINER(n, struct m_offer, deadline));
        return true;
    }
    n = pf_heap_first(&m->framework_deadlines);
    if (left->row_bytes > 0 && n && n->key <= m->now_ms) {
        spend(left, PF_M_ROW_EXTRA_BYTES, 0);
        pf_m_framework_deadline(m, PF_CONTAINER(n, struct m_framework, deadline));
        return true;
    }
    n = pf_heap_first(&m->agent_deadlines);
    if (left->row_bytes > 0 && left->agents > 0 && n && n->key <= m->now_ms) {
        agent_deadline(m, left, PF_CONTAINER(n, struct m_agent, deadline));
        return true;
    }
    return false;
}

static void on_deadline(struct pf_master *m)
{
    struct pf_heap_node *n;
    struct budget left = {DEADLINES_PER_STEP, AGENTS_PER_STEP, m->o.row_max_bytes};

    pf_m_seen_on_deadline(m);
    while (one_deadline(m, &left)) {
    }
    if (left.deadlines > 0 || m->seen.n_waiting >= PF_AGENTS_ASKED_MAX) {
        pf_m_seen_ask(m);
    }
    for (uint32_t i = 0; i < SCANS_PER_STEP; i++) {
        n = pf_heap_first(&m->demand_deadlines);
        if (!n || n->key > m->now_ms) {
            break;
        }
        pf_heap_remove(&m->demand_deadlines, n);
        pf_m_demand_deadline(m, PF_CONTAINER(n, struct m_demand, deadline));
    }
    if (pf_allocator_is_due(m->al) || pf_allocator_deadline(m->al) <= m->now_ms) {
        m->allocates_now = true;
    }
}

int64_t pf_master_deadline(const struct pf_master *m)
{
    const struct pf_heap *heaps[] = {&m->offer_deadlines, &m->framework_deadlines,
                                     &m->agent_deadlines, &m->demand_deadlines};
    int64_t at = pf_allocator_deadline(m->al);

    if (!m->is_leading) {
        return INT64_MAX;
    }
    for (size_t i = 0; i < PF_ARRAY_LEN(heaps); i++) {
        const struct pf_heap_node *n = pf_heap_first(heaps[i]);

        at = n && n->key < at ? n->key : at;
    }
    if (pf_m_seen_deadline(m) < at) {
        at = pf_m_seen_deadline(m);
    }
    return pf_allocator_is_due(m->al) && m->now_ms < at ? m->now_ms : at;
}

/* --- the door --- */

void pf_master_step(struct pf_master *m, const struct pf_master_event *ev, struct pf_turn *turn)
{
    m->turn = turn;
    m->now_ms = ev->now_ms > m->now_ms ? ev->now_ms : m->now_ms;
    m->wall_ms = ev->wall_ms;
    if (m->started_wall_ms == 0) {
        m->started_wall_ms = ev->wall_ms;
    }
    switch (ev->type) {
    case PF_MASTER_ROW: on_row(m, ev); break;
    case PF_MASTER_ELECTED: on_elected(m, ev); break;
    case PF_MASTER_MASTERS: pf_m_masters_set(m, ev->masters.at, ev->masters.n); break;
    case PF_MASTER_PEER_UP:
        pf_m_peer_up(m, ev->peer, ev->peer_up.hello, ev->peer_up.trusted);
        break;
    case PF_MASTER_PEER_DOWN: pf_m_peer_down(m, ev->peer); break;
    case PF_MASTER_MESSAGE: on_message(m, ev->peer, ev->message); break;
    case PF_MASTER_DEADLINE: on_deadline(m); break;
    }
    pf_m_drains_settle(m);
    if (m->allocates_now) {
        m->allocates_now = false;
        pf_m_allocate(m);
    }
    pf_m_answer_woken(m);
    m->turn = NULL;
    m->b = NULL;
}

void pf_master_stats(const struct pf_master *m, struct pf_master_stats *out)
{
    *out = m->stats;
    out->n_watchers = m->n_waits;
    out->n_agents_linked = m->linked.len;
    out->n_removals_held = m->removals.n_held[M_HOLD_RATE] + m->removals.n_held[M_HOLD_SAFETY];
}
