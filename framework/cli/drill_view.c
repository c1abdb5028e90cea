/* SPDX-License-Identifier: Apache-2.0 */
/* See drill_view.h. One timer for all links, one question at a time. */
#include "framework/cli/drill_view.h"

#include <pwd.h>
#include <stdio.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "common/link/envelope.h"
#include "common/sys/clock.h"
#include "common/sys/parse.h"
#include "common/sys/random.h"
#include "framework/cli/reply.h"
#include "schemas/proffer.h"

enum {
    RETRY_MIN_MS = 2,
    RETRY_MAX_MS = 10,
    CONNECT_MS = 2000,
    ANSWER_MS = 3000,  /* an unanswered question is asked again */
    ASK_AGAIN_MS = 20, /* at least, and what the last answer took */
    STEP_DOWN_ID = 1,  /* of that request; those of questions come after it */
    STEP_DOWN_AGAIN_MS = 20,
};

/* The lists of a census, in the order in which they are asked for. */
enum stage { STAGE_NONE, STAGE_MASTERS, STAGE_AGENTS, STAGE_FRAMEWORKS };

struct pf_drill_view {
    struct pf_loop *loop;
    struct pf_net *net;
    const struct pf_drill_view_ops *ops;
    void *ctx;
    struct pf_timer *retry, *ask, *step_down;
    struct pf_link_self self;
    char user[64];
    struct pf_seen_master master[PF_MASTERS_MAX];
    uint32_t n;
    uint64_t epoch;     /* the highest of a leader */
    char instance[128]; /* who leads in it */
    struct pf_fb_builder builder;
    bool wants_census;
    enum stage stage;
    uint64_t asked_peer, request_id;
    int64_t asked_ms;
    char after_id[600];
    struct pf_drill_census census, next; /* told last; being gathered */
    uint32_t agents_cap;
};

static void ask_page(struct pf_drill_view *v);

static void census_clear(struct pf_drill_census *c)
{
    for (uint32_t i = 0; i < c->frameworks.len; i++) {
        pf_free(c->frameworks.at[i]);
    }
    c->frameworks.len = 0;
    c->n_agents = c->n_active = c->n_masters = 0;
}

static void text_set(char *out, size_t size, struct pf_str s)
{
    (void)snprintf(out, size, "%.*s", PF_STR_ARG(s));
}

/* --- links ----------------------------------------------------------------------------------- */

static void retry_plan(struct pf_drill_view *v)
{
    int64_t at_ms = INT64_MAX;
    for (uint32_t i = 0; i < v->n; i++) {
        at_ms = v->master[i].retry_ms < at_ms ? v->master[i].retry_ms : at_ms;
    }
    pf_timer_set(v->retry, at_ms);
}

static void link_try(struct pf_drill_view *v, struct pf_seen_master *m)
{
    const struct pf_connect_options o = {.prio = PF_PRIO_NORMAL, .timeout_ms = CONNECT_MS};
    m->peer = pf_net_connect(v->net, m->address, &o);
    m->retry_ms = INT64_MAX;
}

static void on_retry(void *ctx)
{
    struct pf_drill_view *v = ctx;
    int64_t now_ms = pf_loop_now_ms(v->loop);
    for (uint32_t i = 0; i < v->n; i++) {
        if (v->master[i].retry_ms <= now_ms) {
            link_try(v, &v->master[i]);
        }
    }
    retry_plan(v);
}

static void master_add(struct pf_drill_view *v, struct pf_str address)
{
    if (address.len == 0 || address.len >= PF_ADDRESS_MAX || v->n == PF_MASTERS_MAX) {
        return;
    }
    for (uint32_t i = 0; i < v->n; i++) {
        if (pf_str_is(address, v->master[i].address)) {
            return;
        }
    }
    struct pf_seen_master *m = &v->master[v->n++];
    *m = (struct pf_seen_master){.backoff_ms = RETRY_MIN_MS};
    text_set(m->address, sizeof m->address, address);
    link_try(v, m);
}

static struct pf_seen_master *master_of(struct pf_drill_view *v, uint64_t peer)
{
    for (uint32_t i = 0; i < v->n; i++) {
        if (v->master[i].peer == peer) {
            return &v->master[i];
        }
    }
    return NULL;
}

static void leads(struct pf_drill_view *v, struct pf_seen_master *m, int64_t at_us)
{
    if (m->epoch == v->epoch && v->instance[0] != '\0' && strcmp(v->instance, m->instance) != 0) {
        struct pf_buf text = {0};
        pf_buf_printf(&text, "%s and %s both lead in epoch %llu", v->instance, m->instance,
                      (unsigned long long)m->epoch);
        v->ops->on_wrong(v->ctx, pf_buf_cstr(&text));
        pf_buf_fini(&text);
    } else if (m->epoch > v->epoch) {
        v->epoch = m->epoch;
        v->stage = STAGE_NONE; /* what the former leader was asked does not matter any more */
        (void)snprintf(v->instance, sizeof v->instance, "%s", m->instance);
        v->ops->on_leader(v->ctx, m, at_us);
    }
}

static void take_welcome(struct pf_drill_view *v, struct pf_seen_master *m, struct Welcome w)
{
    int64_t at_us = pf_now_us();
    struct pf_str instance = Welcome_instance(w);
    if (!pf_str_is(instance, m->instance)) {
        text_set(m->instance, sizeof m->instance, instance);
        m->pid = 0; /* another life */
    }
    m->epoch = Welcome_epoch(w);
    m->is_leading = Welcome_role(w) == MasterRole_LEADER;
    for (uint32_t i = 0; i < Welcome_masters__len(w); i++) {
        master_add(v, Welcome_masters__at(w, i));
    }
    if (m->is_leading) {
        leads(v, m, at_us);
    }
    if (v->wants_census && v->stage == STAGE_NONE) {
        pf_timer_set(v->ask, pf_loop_now_ms(v->loop));
    }
    v->ops->on_change(v->ctx);
}

static void on_up(void *ctx, const struct pf_peer_up *up)
{
    struct pf_drill_view *v = ctx;
    struct pf_seen_master *m = master_of(v, up->peer);
    if (m != NULL) {
        m->is_up = true;
        m->backoff_ms = RETRY_MIN_MS;
        take_welcome(v, m, Envelope_body_as_Welcome(Envelope__root(up->greeting)));
    }
}

static void on_down(void *ctx, uint64_t peer, const struct pf_err *why)
{
    struct pf_drill_view *v = ctx;
    struct pf_seen_master *m = master_of(v, peer);
    (void)why;
    if (m == NULL) {
        return;
    }
    bool was_up = m->is_up;
    m->is_up = m->is_leading = false;
    m->peer = 0;
    m->retry_ms = pf_loop_now_ms(v->loop) + m->backoff_ms;
    m->backoff_ms = 2 * m->backoff_ms < RETRY_MAX_MS ? 2 * m->backoff_ms : RETRY_MAX_MS;
    retry_plan(v);
    if (v->stage != STAGE_NONE && v->asked_peer == peer) {
        v->stage = STAGE_NONE;
        pf_timer_set(v->ask, pf_loop_now_ms(v->loop) + ASK_AGAIN_MS);
    }
    if (was_up) {
        v->ops->on_change(v->ctx);
    }
}

const struct pf_seen_master *pf_drill_view_leader(const struct pf_drill_view *v)
{
    for (uint32_t i = 0; i < v->n; i++) {
        const struct pf_seen_master *m = &v->master[i];
        if (m->is_up && m->is_leading && m->epoch == v->epoch) {
            return m;
        }
    }
    return NULL;
}

uint64_t pf_drill_view_epoch(const struct pf_drill_view *v)
{
    return v->epoch;
}

const struct pf_seen_master *pf_drill_view_masters(const struct pf_drill_view *v, uint32_t *out_n)
{
    *out_n = v->n;
    return v->master;
}

void pf_drill_view_retry(struct pf_drill_view *v)
{
    for (uint32_t i = 0; i < v->n; i++) {
        struct pf_seen_master *m = &v->master[i];
        m->retry_ms = m->retry_ms != INT64_MAX ? pf_loop_now_ms(v->loop) : INT64_MAX;
        m->backoff_ms = RETRY_MIN_MS;
    }
    retry_plan(v);
}

/* --- the census ------------------------------------------------------------------------------ */

static void take_masters(struct pf_drill_view *v, struct Master_Response_GetMasters list)
{
    for (uint32_t i = 0; i < Master_Response_GetMasters_masters__len(list); i++) {
        struct MasterView view = Master_Response_GetMasters_masters__at(list, i);
        v->next.n_masters++;
        for (uint32_t k = 0; k < v->n; k++) {
            struct pf_seen_master *m = &v->master[k];
            if (pf_str_is(MasterView_id(view), m->instance)) {
                m->pid = MasterView_pid(view);
                text_set(m->hostname, sizeof m->hostname, MasterView_hostname(view));
            }
        }
    }
}

static bool is_simulated(struct AgentInfo info)
{
    for (uint32_t i = 0; i < AgentInfo_attributes__len(info); i++) {
        if (pf_str_is(Attribute_name(AgentInfo_attributes__at(info, i)), "sim")) {
            return true;
        }
    }
    return false;
}

static void take_agents(struct pf_drill_view *v, struct Master_Response_GetAgents list)
{
    struct pf_drill_census *c = &v->next;
    for (uint32_t i = 0; i < Master_Response_GetAgents_agents__len(list); i++) {
        struct Master_Response_GetAgents_Agent a = Master_Response_GetAgents_agents__at(list, i);
        struct AgentInfo info = Master_Response_GetAgents_Agent_agent_info(a);
        if (c->n_agents == v->agents_cap) {
            v->agents_cap = v->agents_cap > 0 ? 2 * v->agents_cap : 16;
            c->agent = pf_realloc(c->agent, v->agents_cap * sizeof *c->agent);
            v->census.agent = pf_realloc(v->census.agent, v->agents_cap * sizeof *c->agent);
        }
        struct pf_seen_agent *to = &c->agent[c->n_agents++];
        uint64_t pid = 0;
        *to = (struct pf_seen_agent){.is_active = Master_Response_GetAgents_Agent_state(a) ==
                                                  AgentState_REGISTERED,
                                     .is_sim = is_simulated(info)};
        (void)!pf_parse_u64(Master_Response_GetAgents_Agent_pid(a), &pid, NULL); /* 0: not known */
        to->pid = (int64_t)pid;
        text_set(to->id, sizeof to->id, AgentID_value(AgentInfo_id(info)));
        text_set(to->hostname, sizeof to->hostname, AgentInfo_hostname(info));
        text_set(to->address, sizeof to->address, Master_Response_GetAgents_Agent_address(a));
        c->n_active += to->is_active ? 1 : 0;
    }
}

static void take_frameworks(struct pf_drill_view *v, struct Master_Response_GetFrameworks list)
{
    for (uint32_t i = 0; i < Master_Response_GetFrameworks_frameworks__len(list); i++) {
        struct Master_Response_GetFrameworks_Framework f =
            Master_Response_GetFrameworks_frameworks__at(list, i);
        struct FrameworkInfo info = Master_Response_GetFrameworks_Framework_framework_info(f);
        if (Master_Response_GetFrameworks_Framework_connected(f)) {
            struct pf_str id = FrameworkID_value(FrameworkInfo_id(info));
            pf_ptrs_push(&v->next.frameworks, pf_strndup(id.at, id.len));
        }
    }
}

/* Tells what was gathered; the two change places. */
static void census_done(struct pf_drill_view *v)
{
    struct pf_drill_census told = v->census;
    int64_t took_ms = pf_now_us() / 1000 - v->next.asked_us / 1000;
    v->next.epoch = v->epoch;
    v->census = v->next;
    v->next = told;
    v->stage = STAGE_NONE;
    if (v->wants_census) {
        int64_t wait_ms = took_ms > ASK_AGAIN_MS ? took_ms : ASK_AGAIN_MS;
        pf_timer_set(v->ask, pf_loop_now_ms(v->loop) + wait_ms);
    }
    v->ops->on_census(v->ctx, &v->census);
}

static void take_answer(struct pf_drill_view *v, struct Master_Response r)
{
    struct pf_str next = Master_Response_next_after_id(r);
    switch (v->stage) {
    case STAGE_MASTERS: take_masters(v, Master_Response_get_masters(r)); break;
    case STAGE_AGENTS: take_agents(v, Master_Response_get_agents(r)); break;
    case STAGE_FRAMEWORKS: take_frameworks(v, Master_Response_get_frameworks(r)); break;
    case STAGE_NONE: return;
    }
    text_set(v->after_id, sizeof v->after_id, next.len < sizeof v->after_id ? next : PF_STR(""));
    if (v->after_id[0] != '\0') {
        ask_page(v);
    } else if (v->stage == STAGE_FRAMEWORKS) {
        census_done(v);
    } else {
        v->stage = v->stage == STAGE_MASTERS ? STAGE_AGENTS : STAGE_FRAMEWORKS;
        ask_page(v);
    }
}

static void on_message(void *ctx, uint64_t peer, struct pf_msg msg)
{
    struct pf_drill_view *v = ctx;
    struct pf_seen_master *m = master_of(v, peer);
    struct pf_envelope e = pf_envelope_of(msg);
    if (m == NULL) {
        return;
    }
    if (e.body_type == Body_Welcome) {
        take_welcome(v, m, Envelope_body_as_Welcome(Envelope__root(msg)));
        return;
    }
    if (e.is_reply && e.request_id == STEP_DOWN_ID && pf_reply_error(&e, NULL) != 0) {
        pf_timer_set(v->step_down, pf_loop_now_ms(v->loop) + STEP_DOWN_AGAIN_MS);
        return;
    }
    if (v->stage == STAGE_NONE || peer != v->asked_peer || !e.is_reply ||
        e.request_id != v->request_id) {
        return;
    }
    if (e.body_type != Body_Master_Response || pf_reply_error(&e, NULL) != 0) {
        v->stage = STAGE_NONE; /* it does not lead any more, or not yet */
        pf_timer_set(v->ask, pf_loop_now_ms(v->loop) + ASK_AGAIN_MS);
        return;
    }
    take_answer(v, Envelope_body_as_Master_Response(Envelope__root(msg)));
}

static void ask_page(struct pf_drill_view *v)
{
    static const enum Master_Call_Type types[] = {
        [STAGE_MASTERS] = Master_Call_Type_GET_MASTERS,
        [STAGE_AGENTS] = Master_Call_Type_GET_AGENTS,
        [STAGE_FRAMEWORKS] = Master_Call_Type_GET_FRAMEWORKS,
    };
    pf_fb_builder_reset(&v->builder);
    struct Page__args page = {.limit = PF_PAGE_MAX};
    if (v->after_id[0] != '\0') {
        page.after_id = pf_str(v->after_id);
    }
    struct Master_Call__args call = {.type = PF_OPT(types[v->stage]),
                                     .page = Page__put(&v->builder, &page)};
    struct pf_ref body = Master_Call__put(&v->builder, &call);
    struct pf_envelope e = {.request_id = ++v->request_id, .body_type = Body_Master_Call};
    pf_peer_send(v->net, v->asked_peer, pf_msg_bytes(pf_envelope_finish(&v->builder, &e, body)));
    v->asked_ms = pf_loop_now_ms(v->loop);
    pf_timer_set(v->ask, v->asked_ms + ANSWER_MS);
}

/* Time to begin a census, or to give up waiting for an answer. */
static void on_ask(void *ctx)
{
    struct pf_drill_view *v = ctx;
    const struct pf_seen_master *leader = pf_drill_view_leader(v);
    v->stage = STAGE_NONE;
    if (!v->wants_census || leader == NULL) {
        return; /* the next welcome of a leader begins it */
    }
    census_clear(&v->next);
    v->next.asked_us = pf_now_us();
    v->after_id[0] = '\0';
    v->asked_peer = leader->peer;
    v->stage = STAGE_MASTERS;
    ask_page(v);
}

void pf_drill_view_ask(struct pf_drill_view *v)
{
    v->wants_census = true;
    v->stage = STAGE_NONE;
    pf_timer_set(v->ask, pf_loop_now_ms(v->loop));
}

void pf_drill_view_rest(struct pf_drill_view *v)
{
    v->wants_census = false;
}

const struct pf_drill_census *pf_drill_view_census(const struct pf_drill_view *v)
{
    return &v->census;
}

/* --- handing over ----------------------------------------------------------------------------- */

static void on_step_down(void *ctx)
{
    pf_drill_view_step_down(ctx);
}

void pf_drill_view_step_down(struct pf_drill_view *v)
{
    const struct pf_seen_master *leader = pf_drill_view_leader(v);
    if (leader == NULL) {
        return; /* the round misses its new leader, or there is one */
    }
    pf_fb_builder_reset(&v->builder);
    struct Master_Call_StepDown__args any = {.to = {NULL, 0}};
    struct Master_Call__args call = {.type = PF_OPT(Master_Call_Type_STEP_DOWN),
                                     .step_down = Master_Call_StepDown__put(&v->builder, &any)};
    struct pf_ref body = Master_Call__put(&v->builder, &call);
    struct pf_envelope e = {.request_id = STEP_DOWN_ID, .body_type = Body_Master_Call};
    pf_peer_send(v->net, leader->peer, pf_msg_bytes(pf_envelope_finish(&v->builder, &e, body)));
}

/* --- life ------------------------------------------------------------------------------------ */

int pf_drill_view_create(struct pf_loop *loop, const char *masters, const struct pf_key *key,
                         const struct pf_drill_view_ops *ops, void *ctx, struct pf_drill_view **out,
                         struct pf_err *err)
{
    static const struct pf_net_ops net_ops = {
        .on_up = on_up, .on_message = on_message, .on_down = on_down};
    struct pf_drill_view *v = PF_NEW(struct pf_drill_view);
    const struct passwd *me = getpwuid(geteuid());
    (void)snprintf(v->user, sizeof v->user, "%s", me != NULL ? me->pw_name : "");
    v->loop = loop;
    v->ops = ops;
    v->ctx = ctx;
    v->self = (struct pf_link_self){
        .kind = PeerKind_OPERATOR, .version = PF_VERSION, .user = v->user, .key = key};
    pf_fb_builder_init(&v->builder, NULL);
    struct pf_net_options net = {.self = &v->self, .seed = pf_random_u64()};
    int rc = pf_net_create(loop, &net, &net_ops, v, &v->net, err);
    if (rc != 0) {
        pf_drill_view_destroy(v);
        return rc;
    }
    v->retry = pf_timer_create(loop, PF_PRIO_URGENT, on_retry, v);
    v->ask = pf_timer_create(loop, PF_PRIO_NORMAL, on_ask, v);
    v->step_down = pf_timer_create(loop, PF_PRIO_NORMAL, on_step_down, v);
    v->request_id = STEP_DOWN_ID;
    for (const char *at = masters; *at != '\0';) {
        uint32_t len = (uint32_t)strcspn(at, ",");
        master_add(v, (struct pf_str){at, len});
        at += len + (at[len] == ',' ? 1 : 0);
    }
    *out = v;
    return 0;
}

void pf_drill_view_destroy(struct pf_drill_view *v)
{
    if (v == NULL) {
        return;
    }
    if (v->retry != NULL) {
        pf_timer_destroy(v->retry);
        pf_timer_destroy(v->ask);
        pf_timer_destroy(v->step_down);
    }
    pf_net_destroy(v->net);
    pf_fb_builder_fini(&v->builder);
    census_clear(&v->census);
    census_clear(&v->next);
    pf_ptrs_fini(&v->census.frameworks);
    pf_ptrs_fini(&v->next.frameworks);
    pf_free(v->census.agent);
    pf_free(v->next.agent);
    pf_free(v);
}
