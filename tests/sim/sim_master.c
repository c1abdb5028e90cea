/* SPDX-License-Identifier: Apache-2.0 */
/* A master: quorum, core and turns, translated as master/daemon does. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "common/base/alloc.h"
#include "common/link/envelope.h"
#include "schemas/rows.h"
#include "tests/sim/sim_internal.h"

struct master_peer {
    uint64_t peer; /* 0: free */
    bool is_client;
    char instance[PF_UUID_TEXT_LEN + 1];
};

struct other {
    char address[80];
    uint64_t peer;
    int64_t retry_us;
    bool is_listed;
};

enum { TAG_PROBE = 1000 };

struct master {
    struct sim_node n;
    char place[PF_UUID_TEXT_LEN + 1], instance[PF_UUID_TEXT_LEN + 1];
    struct pf_quorum *quorum;
    struct pf_master *core;
    struct pf_turns *turns;
    bool leads, is_stopping, lead_pending, is_draining;
    uint64_t probe;
    struct pf_map agents; /* linked ones, by peer */
    struct master_peer peer[PF_MASTERS_MAX * 2];
    struct other other[PF_MASTERS_MAX];
    char leader[80];
};

static struct master *of(struct sim_node *n)
{
    return PF_CONTAINER(n, struct master, n);
}

static void quorum_step(struct master *m, struct pf_quorum_event *ev);

static bool may_act(const struct master *m)
{
    return !m->is_stopping && pf_quorum_may_act(m->quorum, sim_now_ms(m->n.s));
}

static void gate_shut(struct master *m)
{
    if (!m->is_stopping) {
        quorum_step(m, &(struct pf_quorum_event){.type = PF_QUORUM_EV_TICK});
    }
}

static void core_step(struct master *m, struct pf_master_event *ev)
{
    if (m->is_stopping || m->core == NULL) {
        return;
    }
    if (m->leads && !may_act(m)) {
        gate_shut(m);
        return;
    }
    ev->now_ms = sim_now_ms(m->n.s);
    ev->wall_ms = sim_wall_ms(m->n.s);
    pf_master_step(m->core, ev, pf_turns_open(m->turns));
    pf_master_check(m->core);
}

static void tell_peer(struct master *m, uint64_t peer, enum PeerKind kind, const char *instance)
{
    struct pf_master_event ev = {.type = PF_MASTER_PEER_UP, .peer = peer};
    struct pf_fb_builder b;

    pf_fb_builder_init(&b, NULL);
    sim_put_hello(&b, kind, "", instance, &ev.peer_up.hello);
    ev.peer_up.trusted = true;
    core_step(m, &ev);
    pf_fb_builder_fini(&b);
}

/* --- core ------------------------------------------------------------------------------------- */

static void core_begin(struct master *m)
{
    struct sim *s = m->n.s;
    const struct pf_master_options o = {.seed = pf_rng_next(&s->rng),
                                        .instance = m->instance,
                                        .cluster = "",
                                        .address = m->n.address,
                                        .http_address = m->n.address,
                                        .hostname = m->n.name,
                                        .pid = 100 + m->n.index,
                                        .offer_timeout_ms = 30000,
                                        .agent_unreachable_ms = 75000,
                                        .recovery_ms = 120000,
                                        .recovery_removals_percent = 100,
                                        .row_max_bytes = PF_REPLOG_ROW_BYTES,
                                        .task_user = "nobody"};

    m->core = pf_master_create(&o);
    m->turns = pf_turns_create(PF_REPLOG_BATCH_BYTES, PF_REPLOG_DEPTH);
    m->leads = false;
}

static void core_end(struct master *m)
{
    pf_turns_destroy(m->turns);
    pf_master_destroy(m->core);
    m->turns = NULL;
    m->core = NULL;
}

static const struct pf_fb_table_desc *row_desc(uint8_t table)
{
    return table == RegistryTable_AGENTS       ? &Row_Agent__desc
           : table == RegistryTable_FRAMEWORKS ? &Row_Framework__desc
                                               : &Row_Registry__desc;
}

static void tell_row(void *ctx, uint8_t table, bool is_del, struct pf_bytes key,
                     struct pf_bytes row)
{
    struct master *m = ctx;
    struct pf_master_event ev = {.type = PF_MASTER_ROW, .row = {.table = table, .key = key}};
    struct pf_err err = {0};

    ev.row.is_del = is_del;
    if (!is_del && pf_fb_verify(row, row_desc(table), &ev.row.row, &err) < 0) {
        sim_broken(m->n.s, "recovery-equals", "%s got a malformed row: %s", m->n.name, err.msg);
    }
    core_step(m, &ev);
}

static void tell_view(struct master *m)
{
    struct pf_quorum_master v[PF_MASTERS_MAX];
    struct pf_master_view view[PF_MASTERS_MAX];
    uint32_t n = pf_quorum_view(m->quorum, v);
    struct pf_master_event ev = {.type = PF_MASTER_MASTERS, .masters = {view, n}};

    for (uint32_t i = 0; i < n; i++) {
        view[i] = (struct pf_master_view){.instance = v[i].m->instance,
                                          .address = v[i].m->address,
                                          .http_address = v[i].m->http_address,
                                          .hostname = v[i].m->hostname,
                                          .version = v[i].m->version,
                                          .is_self = v[i].is_self,
                                          .is_leading = v[i].is_leading,
                                          .is_linked = v[i].is_linked,
                                          .epoch = v[i].epoch,
                                          .has_lag = v[i].has_lag,
                                          .lag = v[i].lag,
                                          .trouble = ""};
    }
    core_step(m, &ev);
}

static void begin_to_lead(struct master *m)
{
    struct pf_master_event ev = {.type = PF_MASTER_ELECTED};

    m->lead_pending = false;
    m->leads = true;
    ev.elected.incarnation = pf_quorum_incarnation(m->quorum);
    ev.elected.epoch = pf_quorum_epoch(m->quorum);
    ev.elected.is_stored = true;
    sim_log(m->n.s, "%s leads epoch %" PRIu64, m->n.name, ev.elected.epoch);
    m->n.s->result->takeovers++;
    sim_saw_lead(m->n.s, &m->n, ev.elected.epoch);
    sim_check_rows(m->n.s, m->quorum);
    core_step(m, &ev);
    tell_view(m);
    sim_welcome_again(&m->n);
}

static bool is_master_peer(const struct master *m, uint64_t peer)
{
    for (size_t i = 0; i < PF_ARRAY_LEN(m->peer); i++) {
        if (m->peer[i].peer == peer && peer != 0) {
            return true;
        }
    }
    return false;
}

static void drop_links(struct master *m)
{
    struct sim_link *l;

    LIST_FOREACH(l, &m->n.s->links, next)
    {
        if (l->end[1] == &m->n && l->life[1] == m->n.life && !is_master_peer(m, l->peer[1])) {
            sim_close(&m->n, l->peer[1]);
        }
    }
    pf_map_fini(&m->agents);
    m->agents.seed = pf_rng_next(&m->n.s->rng);
}

static void restart_core(struct sim *s, struct sim_node *n, void *data)
{
    struct master *m = of(n);

    (void)s;
    (void)data;
    core_end(m);
    drop_links(m);
    core_begin(m);
    m->is_stopping = false;
    pf_quorum_rows(m->quorum, tell_row, m);
    for (size_t i = 0; i < PF_ARRAY_LEN(m->peer); i++) {
        if (m->peer[i].peer != 0) {
            tell_peer(m, m->peer[i].peer, PeerKind_MASTER, m->peer[i].instance);
        }
    }
    tell_view(m);
    if (m->lead_pending) {
        begin_to_lead(m);
    }
    sim_settle(n);
}

/* --- other masters ---------------------------------------------------------------------------- */

static void connect_others(struct master *m)
{
    for (size_t i = 0; i < PF_ARRAY_LEN(m->other); i++) {
        struct other *o = &m->other[i];

        if (o->is_listed && o->peer == 0 && o->retry_us <= m->n.s->now_us) {
            struct pf_fb_builder b;
            struct pf_msg hello;

            pf_fb_builder_init(&b, NULL);
            sim_put_hello(&b, PeerKind_MASTER, "", m->instance, &hello);
            o->peer = sim_connect(&m->n, pf_str(o->address), pf_msg_bytes(hello), i);
            pf_fb_builder_fini(&b);
        }
    }
}

static void on_view(struct master *m)
{
    struct pf_quorum_master v[PF_MASTERS_MAX];
    uint32_t n = pf_quorum_view(m->quorum, v);
    char before[80];

    memcpy(before, m->leader, sizeof before);
    m->leader[0] = '\0';
    for (size_t i = 0; i < PF_ARRAY_LEN(m->other); i++) {
        m->other[i].is_listed = false;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (v[i].is_leading) {
            (void)snprintf(m->leader, sizeof m->leader, "%s", v[i].m->address);
        }
        struct other *free_one = NULL, *o = NULL;

        if (strcmp(v[i].m->address, m->n.address) == 0) {
            continue; /* we, or the node of our former life */
        }

        for (size_t k = 0; !v[i].is_self && k < PF_ARRAY_LEN(m->other) && o == NULL; k++) {
            if (strcmp(m->other[k].address, v[i].m->address) == 0) {
                o = &m->other[k];
            } else if (m->other[k].address[0] == '\0' && free_one == NULL) {
                free_one = &m->other[k];
            }
        }
        if (o == NULL && !v[i].is_self && free_one != NULL) {
            o = free_one;
            (void)snprintf(o->address, sizeof o->address, "%s", v[i].m->address);
        }
        if (o != NULL) {
            o->is_listed = true;
        }
    }
    tell_view(m);
    if (strcmp(before, m->leader) != 0) {
        sim_welcome_again(&m->n);
    }
    connect_others(m);
}

static void send_master(struct master *m, struct pf_str instance, struct pf_bytes message)
{
    for (size_t i = 0; i < PF_ARRAY_LEN(m->peer); i++) {
        if (m->peer[i].peer != 0 && m->peer[i].is_client &&
            (instance.at == NULL || pf_str_is(instance, m->peer[i].instance))) {
            sim_send(&m->n, m->peer[i].peer, message);
        }
    }
}

/* --- the quorum's effects --------------------------------------------------------------------- */

static void carry_out(struct master *m, const struct pf_quorum_effect *e)
{
    struct sim *s = m->n.s;

    switch (e->type) {
    case PF_QUORUM_ZK: sim_zk_submit(&m->n, &e->zk); break;
    case PF_QUORUM_PROBE: {
        struct pf_fb_builder b;
        struct pf_msg hello;

        pf_fb_builder_init(&b, NULL);
        sim_put_hello(&b, PeerKind_MASTER, "", m->instance, &hello);
        m->probe = sim_connect(&m->n, e->probe.address, pf_msg_bytes(hello), TAG_PROBE);
        pf_fb_builder_fini(&b);
        break;
    }
    case PF_QUORUM_LEAD:
        if (m->is_stopping) {
            m->lead_pending = true;
        } else {
            begin_to_lead(m);
        }
        break;
    case PF_QUORUM_STOP:
        sim_log(s, "%s leads no more: %.*s", m->n.name, PF_STR_ARG(e->stop.why));
        m->lead_pending = false;
        m->leads = false;
        m->is_stopping = true;
        sim_at(s, s->now_us, &m->n, restart_core, NULL);
        break;
    case PF_QUORUM_ROW:
        if (!m->is_stopping) {
            tell_row(m, e->row.table, e->row.is_del, e->row.key, e->row.row);
        }
        break;
    case PF_QUORUM_STORED:
        if (!m->is_stopping) {
            pf_turns_stored(m->turns, e->stored.number);
        }
        break;
    case PF_QUORUM_STREAM: send_master(m, (struct pf_str){NULL, 0}, e->send.message); break;
    case PF_QUORUM_SEND: send_master(m, e->send.instance, e->send.message); break;
    case PF_QUORUM_VIEW: on_view(m); break;
    case PF_QUORUM_SAY: sim_log(s, "%s says: %.*s", m->n.name, PF_STR_ARG(e->say.text)); break;
    case PF_QUORUM_FATAL:
        sim_broken(s, "progress", "%s gave up: %.*s", m->n.name, PF_STR_ARG(e->say.text));
    }
}

static void quorum_step(struct master *m, struct pf_quorum_event *ev)
{
    const struct pf_quorum_effect *e;

    ev->boot_ms = sim_now_ms(m->n.s);
    ev->wall_ms = sim_wall_ms(m->n.s);
    pf_quorum_step(m->quorum, ev);
    pf_quorum_check(m->quorum);
    if (m->is_draining) {
        return;
    }
    m->is_draining = true;
    while ((e = pf_quorum_next(m->quorum)) != NULL) {
        carry_out(m, e);
    }
    m->is_draining = false;
}

void sim_master_zk_session(struct sim_node *n, const struct pf_zk_session *x)
{
    struct pf_quorum_event ev = {.type = PF_QUORUM_EV_SESSION, .session = *x};

    sim_log(n->s, "%s zk session %u %s", n->name, x->session, pf_zk_state_str(x->state));
    quorum_step(of(n), &ev);
    sim_settle(n);
}

void sim_master_zk_reply(struct sim_node *n, const struct pf_zk_reply *x)
{
    struct pf_quorum_event ev = {.type = PF_QUORUM_EV_REPLY, .reply = x};

    sim_log(n->s, "%s zk reply %u %" PRIx64 " %s", n->name, x->session, x->id, pf_zk_code_str(x->code));
    quorum_step(of(n), &ev);
    sim_settle(n);
}

void sim_master_zk_watch(struct sim_node *n, const struct pf_zk_watch *x)
{
    struct pf_quorum_event ev = {.type = PF_QUORUM_EV_WATCH, .watch = *x};

    quorum_step(of(n), &ev);
    sim_settle(n);
}

/* --- the core's effects ----------------------------------------------------------------------- */

static void on_act(struct master *m, const struct pf_effect *e)
{
    struct pf_quorum_event ev = {0};

    if (e->act == PF_MASTER_ACT_STEP_DOWN) {
        ev.type = PF_QUORUM_EV_STEP_DOWN;
        ev.step_down.to = pf_str(e->data);
    } else {
        ev.type = PF_QUORUM_EV_EPOCH_SEEN;
        memcpy(&ev.epoch_seen.epoch, e->data, sizeof ev.epoch_seen.epoch);
    }
    quorum_step(m, &ev);
}

static int64_t on_settle(struct sim_node *n)
{
    struct master *m = of(n);
    const struct pf_batch *batch;
    const struct pf_effect *e;
    int64_t at_ms = INT64_MAX, other_us = INT64_MAX;

    while (!m->is_stopping && (batch = pf_turns_seal(m->turns)) != NULL) {
        struct pf_quorum_event ev = {.type = PF_QUORUM_EV_SUBMIT, .submit = batch};

        quorum_step(m, &ev);
    }
    while (!m->is_stopping && (!m->leads || may_act(m)) && (e = pf_turns_next(m->turns)) != NULL) {
        switch (e->kind) {
        case PF_EFFECT_SEND: sim_send(n, e->peer, e->message); break;
        case PF_EFFECT_CLOSE: sim_close(n, e->peer); break;
        case PF_EFFECT_ACT: on_act(m, e); break;
        }
    }
    if (!m->is_stopping) {
        pf_turns_check(m->turns);
        at_ms = pf_master_deadline(m->core);
    }
    if (pf_quorum_is_frozen(m->quorum)) {
        if (!m->is_stopping && pf_turns_is_idle(m->turns)) {
            quorum_step(m, &(struct pf_quorum_event){.type = PF_QUORUM_EV_DRAINED});
        } else {
            at_ms = sim_now_ms(n->s) + 1;
        }
    }
    at_ms = pf_quorum_deadline(m->quorum) < at_ms ? pf_quorum_deadline(m->quorum) : at_ms;
    for (size_t i = 0; i < PF_ARRAY_LEN(m->other); i++) {
        if (m->other[i].is_listed && m->other[i].peer == 0 && m->other[i].retry_us < other_us) {
            other_us = m->other[i].retry_us;
        }
    }
    int64_t at_us = at_ms < INT64_MAX / SIM_MS ? at_ms * SIM_MS : INT64_MAX;

    at_us = other_us < at_us ? other_us : at_us;
    /* Never again at this very moment for the same deadline: clocks of ms, turns of us. */
    return at_us != INT64_MAX && at_us <= n->s->now_us ? n->s->now_us + 10 : at_us;
}

static void on_time(struct sim_node *n)
{
    struct master *m = of(n);
    int64_t now_ms = sim_now_ms(n->s);
    struct pf_quorum_event peers = {.type = PF_QUORUM_EV_PEERS};

    peers.peers.n_agents = m->agents.len;
    quorum_step(m, &peers);
    if (pf_quorum_deadline(m->quorum) <= now_ms) {
        quorum_step(m, &(struct pf_quorum_event){.type = PF_QUORUM_EV_TICK});
    }
    connect_others(m);
    if (!m->is_stopping && pf_master_deadline(m->core) <= now_ms) {
        core_step(m, &(struct pf_master_event){.type = PF_MASTER_DEADLINE});
    }
}

/* --- net -------------------------------------------------------------------------------------- */

static void link_event(struct master *m, enum pf_quorum_event_type type, const char *instance)
{
    struct pf_quorum_event ev = {.type = type};

    ev.master.instance = pf_str(instance);
    quorum_step(m, &ev);
}

static void probed(struct master *m, enum pf_elect_probe result, struct pf_str instance)
{
    struct pf_quorum_event ev = {.type = PF_QUORUM_EV_PROBED};

    m->probe = 0;
    ev.probed.result = result;
    ev.probed.instance = instance;
    quorum_step(m, &ev);
}

static struct master_peer *peer_of(struct master *m, uint64_t peer)
{
    for (size_t i = 0; i < PF_ARRAY_LEN(m->peer); i++) {
        if (m->peer[i].peer == peer) {
            return &m->peer[i];
        }
    }
    return NULL;
}

static void on_up(struct sim_node *n, uint64_t peer, bool is_client, struct pf_msg greeting,
                  uint64_t tag)
{
    struct master *m = of(n);
    struct Envelope e = Envelope__root(greeting);
    struct Hello hello = Envelope_body_as_Hello(e);
    struct pf_str instance =
        is_client ? Welcome_instance(Envelope_body_as_Welcome(e)) : Hello_instance(hello);

    if (is_client && tag == TAG_PROBE) {
        sim_close(n, peer);
        probed(m, PF_PROBE_ANSWERED, instance);
        return;
    }
    if (is_client || Hello_kind(hello) == PeerKind_MASTER) {
        struct master_peer *p = peer_of(m, 0);

        *p = (struct master_peer){.peer = peer, .is_client = is_client};
        (void)snprintf(p->instance, sizeof p->instance, "%.*s", PF_STR_ARG(instance));
        tell_peer(m, peer, PeerKind_MASTER, p->instance);
        if (is_client) {
            link_event(m, PF_QUORUM_EV_MASTER_UP, p->instance);
        }
        return;
    }
    struct pf_master_event ev = {.type = PF_MASTER_PEER_UP, .peer = peer};

    if (Hello_kind(hello) == PeerKind_AGENT) {
        struct sim_link *l = pf_map_get_u64(&n->s->peers, &peer);

        pf_map_put(&m->agents, &l->peer[1], sizeof l->peer[1], l);
    }
    ev.peer_up.hello = greeting;
    ev.peer_up.trusted = true;
    core_step(m, &ev);
}

static void on_message(struct sim_node *n, uint64_t peer, struct pf_msg envelope)
{
    struct master *m = of(n);
    enum Body body = Envelope_body_type(Envelope__root(envelope));

    if (peer == m->probe) {
        return;
    }
    if (body == Body_MasterStatus || body == Body_HandOver || body == Body_RegistryBatch) {
        struct pf_quorum_event ev = {.type = PF_QUORUM_EV_MASTER_MESSAGE};

        ev.master.message = envelope;
        quorum_step(m, &ev);
        return;
    }
    if (body == Body_Welcome) {
        return;
    }
    struct pf_master_event ev = {.type = PF_MASTER_MESSAGE, .peer = peer, .message = envelope};

    core_step(m, &ev);
}

static void on_down(struct sim_node *n, uint64_t peer, int code, uint64_t tag)
{
    struct master *m = of(n);
    struct master_peer *p = peer_of(m, peer);
    bool is_client = tag != 0 || (p != NULL && p->is_client);
    char instance[PF_UUID_TEXT_LEN + 1] = "";

    if (peer == m->probe) {
        probed(m, code == PF_EREFUSED ? PF_PROBE_REFUSED : PF_PROBE_FAILED,
               (struct pf_str){NULL, 0});
        return;
    }
    for (size_t i = 0; i < PF_ARRAY_LEN(m->other); i++) {
        if (m->other[i].peer == peer) {
            m->other[i].peer = 0;
            m->other[i].retry_us = n->s->now_us + 20 * SIM_MS + (int64_t)sim_dice(n->s, 500000);
            is_client = true;
        }
    }
    (void)pf_map_del(&m->agents, &peer, sizeof peer);
    if (p != NULL) {
        memcpy(instance, p->instance, sizeof instance);
        *p = (struct master_peer){0};
    }
    if (!m->is_stopping) {
        struct pf_master_event ev = {.type = PF_MASTER_PEER_DOWN, .peer = peer};

        pf_turns_forget_peer(m->turns, peer);
        core_step(m, &ev);
    }
    if (p != NULL && is_client) {
        link_event(m, PF_QUORUM_EV_MASTER_DOWN, instance);
    }
}

static struct pf_msg on_welcome(struct sim_node *n, struct pf_fb_builder *b)
{
    struct master *m = of(n);
    struct pf_uuid incarnation = pf_quorum_incarnation(m->quorum);
    struct pf_bytes bytes = {incarnation.b, sizeof incarnation.b};
    struct Welcome__args w = {.kind = PeerKind_MASTER,
                              .instance = pf_str(m->instance),
                              .role = m->leads ? MasterRole_LEADER : MasterRole_STANDBY,
                              .masters = {n->s->masters, n->s->o.n_masters},
                              .incarnation =
                                  pf_uuid_is_nil(incarnation) ? (struct pf_bytes){NULL, 0} : bytes,
                              .epoch = pf_quorum_epoch(m->quorum),
                              .trusted = true,
                              .leader = pf_str(m->leads ? n->address : m->leader)};

    return pf_envelope_finish(b, &(struct pf_envelope){.body_type = Body_Welcome},
                              Welcome__put(b, &w));
}

/* --- life ------------------------------------------------------------------------------------- */

static void on_start(struct sim_node *n)
{
    struct master *m = of(n);
    struct sim *s = n->s;
    struct pf_quorum_options o = {
        .elect = {.seed = pf_rng_next(&s->rng),
                  .instance = m->instance,
                  .place = m->place,
                  .cluster = "",
                  .address = n->address,
                  .http_address = n->address,
                  .hostname = n->name,
                  .version = "1",
                  .started_wall_ms = sim_wall_ms(s),
                  .format_min = 1,
                  .format_max = 1},
        .log = {.seed = pf_rng_next(&s->rng),
                .format_min = 1,
                .format_max = 1,
                .log_nodes = 20 + (uint32_t)sim_dice(s, 40)},
    };

    pf_uuid_format(pf_uuid_random(&s->rng), m->instance);
    m->agents.seed = pf_rng_next(&s->rng);
    m->quorum = pf_quorum_create(&o);
    core_begin(m);
    sim_zk_open(n);
}

static void on_kill(struct sim_node *n)
{
    struct master *m = of(n);

    sim_zk_abandon(n);
    core_end(m);
    pf_quorum_destroy(m->quorum);
    pf_map_fini(&m->agents);
    m->quorum = NULL;
    m->leads = m->is_stopping = m->lead_pending = m->is_draining = false;
    m->probe = 0;
    memset(m->peer, 0, sizeof m->peer);
    memset(m->other, 0, sizeof m->other);
    m->leader[0] = '\0';
}

static const struct sim_node_ops ops = {.on_up = on_up,
                                        .on_message = on_message,
                                        .on_down = on_down,
                                        .on_time = on_time,
                                        .settle = on_settle,
                                        .welcome = on_welcome,
                                        .start = on_start,
                                        .kill = on_kill};

struct sim_node *sim_master_new(struct sim *s, uint32_t index)
{
    struct master *m = PF_NEW(struct master);

    pf_uuid_format(pf_uuid_random(&s->rng), m->place);
    sim_node_add(s, &m->n, SIM_MASTER, index, &ops);
    return &m->n;
}

void sim_master_free(struct sim_node *n)
{
    pf_free(of(n));
}

bool sim_master_leads(const struct sim_node *n)
{
    const struct master *m = PF_CONTAINER(n, struct master, n);

    return n->is_up && m->leads && !m->is_stopping;
}

void sim_master_hand_over(struct sim_node *n)
{
    struct pf_quorum_event ev = {.type = PF_QUORUM_EV_STEP_DOWN};

    quorum_step(of(n), &ev);
    sim_settle(n);
}

uint32_t sim_master_agents(const struct sim_node *n)
{
    const struct master *m = PF_CONTAINER(n, struct master, n);
    struct pf_master_stats stats;

    if (m->core == NULL) {
        return 0;
    }
    pf_master_stats(m->core, &stats);
    return (uint32_t)stats.n_agents_registered;
}
