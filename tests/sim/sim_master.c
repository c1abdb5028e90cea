/* SPDX-License-Identifier: Apache-2.0 */
/* A master: quorum, core and turns, translated as master/daemon does. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "common/base/alloc.h"
#include "common/link/envelope.h"
#include "schemas/rows.h"
#include "tests/sim/sim_master_internal.h"

static bool may_act(const struct master *m)
{
    return !m->is_stopping && pf_quorum_may_act(m->quorum, sim_boot_ms(&m->n));
}

static void gate_shut(struct master *m)
{
    if (!m->is_stopping) {
        sim_m_quorum_step(m, &(struct pf_quorum_event){.type = PF_QUORUM_EV_TICK});
    }
}

void sim_m_core_step(struct master *m, struct pf_master_event *ev)
{
    if (m->is_stopping || m->core == NULL) {
        return;
    }
    if (m->leads && !may_act(m)) {
        gate_shut(m);
        return;
    }
    ev->now_ms = sim_mono_ms(&m->n);
    ev->wall_ms = sim_wall_ms(&m->n);
    pf_master_step(m->core, ev, pf_turns_open(m->turns));
    pf_master_check(m->core);
}

void sim_m_tell_peer(struct master *m, uint64_t peer, enum PeerKind kind, const char *instance)
{
    struct pf_master_event ev = {.type = PF_MASTER_PEER_UP, .peer = peer};
    struct pf_fb_builder b;

    pf_fb_builder_init(&b, NULL);
    sim_put_hello(&b, kind, "", instance, &ev.peer_up.hello);
    ev.peer_up.trusted = true;
    sim_m_core_step(m, &ev);
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
                                        .task_user = "nobody",
                                        .tracer = sim_tracer(&m->n)};

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
    sim_m_core_step(m, &ev);
}

void sim_m_tell_view(struct master *m)
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
    sim_m_core_step(m, &ev);
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
    sim_m_core_step(m, &ev);
    sim_m_tell_view(m);
    sim_welcome_again(&m->n);
}

static void restart_core(struct sim *s, struct sim_node *n, void *data)
{
    struct master *m = sim_m_of(n);

    (void)s;
    (void)data;
    core_end(m);
    sim_m_drop_links(m);
    core_begin(m);
    m->is_stopping = false;
    pf_quorum_rows(m->quorum, tell_row, m);
    for (size_t i = 0; i < PF_ARRAY_LEN(m->peer); i++) {
        if (m->peer[i].peer != 0) {
            sim_m_tell_peer(m, m->peer[i].peer, PeerKind_MASTER, m->peer[i].instance);
        }
    }
    sim_m_tell_view(m);
    if (m->lead_pending) {
        begin_to_lead(m);
    }
    sim_settle(n);
}

/* --- the quorum's effects --------------------------------------------------------------------- */

static void carry_out(struct master *m, const struct pf_quorum_effect *e)
{
    struct sim *s = m->n.s;

    switch (e->type) {
    case PF_QUORUM_ZK: sim_zk_submit(&m->n, &e->zk); break;
    case PF_QUORUM_PROBE: sim_m_probe(m, e->probe.address); break;
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
    case PF_QUORUM_STREAM: sim_m_send(m, (struct pf_str){NULL, 0}, e->send.message); break;
    case PF_QUORUM_SEND: sim_m_send(m, e->send.instance, e->send.message); break;
    case PF_QUORUM_VIEW: sim_m_on_view(m); break;
    case PF_QUORUM_SAY: sim_log(s, "%s says: %.*s", m->n.name, PF_STR_ARG(e->say.text)); break;
    case PF_QUORUM_FATAL:
        sim_broken(s, "progress", "%s gave up: %.*s", m->n.name, PF_STR_ARG(e->say.text));
    }
}

void sim_m_quorum_step(struct master *m, struct pf_quorum_event *ev)
{
    const struct pf_quorum_effect *e;

    ev->boot_ms = sim_boot_ms(&m->n);
    ev->wall_ms = sim_wall_ms(&m->n);
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
    sim_m_quorum_step(sim_m_of(n), &ev);
    sim_settle(n);
}

void sim_master_zk_reply(struct sim_node *n, const struct pf_zk_reply *x)
{
    struct pf_quorum_event ev = {.type = PF_QUORUM_EV_REPLY, .reply = x};

    sim_log(n->s, "%s zk reply %u %" PRIx64 " %s", n->name, x->session, x->id,
            pf_zk_code_str(x->code));
    sim_m_quorum_step(sim_m_of(n), &ev);
    sim_settle(n);
}

void sim_master_zk_watch(struct sim_node *n, const struct pf_zk_watch *x)
{
    struct pf_quorum_event ev = {.type = PF_QUORUM_EV_WATCH, .watch = *x};

    sim_m_quorum_step(sim_m_of(n), &ev);
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
    sim_m_quorum_step(m, &ev);
}

/* A status of its own about a task that it does not know to run. */
static void check_negative(struct master *m, struct pf_bytes message)
{
    struct Scheduler_Event ev;
    struct TaskStatus status;
    struct pf_msg msg;
    struct pf_err err = {0};

    if (pf_envelope_parse(message, &msg, &err) < 0 ||
        Envelope_body_type(Envelope__root(msg)) != Body_Scheduler_Event) {
        return;
    }
    ev = Envelope_body_as_Scheduler_Event(Envelope__root(msg));
    status = Scheduler_Event_Update_status(Scheduler_Event_update(ev));
    if (Scheduler_Event_type(ev) != Scheduler_Event_Type_UPDATE ||
        TaskStatus_source(status) != TaskStatus_Source_SOURCE_MASTER) {
        return;
    }
    switch ((int)TaskStatus_state(status)) {
    case TaskState_TASK_LOST:
    case TaskState_TASK_DROPPED:
    case TaskState_TASK_GONE:
    case TaskState_TASK_UNKNOWN:
    case TaskState_TASK_UNREACHABLE: break;
    default: return;
    }
    /* When it was found, by the wall clock of this master: a millisecond off. */
    int64_t ago_ms = sim_wall_ms(&m->n) - (int64_t)(TaskStatus_timestamp(status) * 1000.0 + 0.5);
    int64_t at_us = m->n.s->now_us - (ago_ms + 2) * SIM_MS;

    if (m->n.jumped_us == 0 || m->n.jumped_us < at_us) {
        sim_saw_negative(m->n.s, &m->n, pf_quorum_epoch(m->quorum), at_us);
    }
}

static void show(struct master *m, const struct pf_effect *e)
{
    if (m->leads) {
        sim_saw_act(m->n.s, &m->n, pf_quorum_epoch(m->quorum));
        if (e->kind == PF_EFFECT_SEND) {
            check_negative(m, e->message);
        }
    }
    switch (e->kind) {
    case PF_EFFECT_SEND: sim_send(&m->n, e->peer, e->message); break;
    case PF_EFFECT_CLOSE: sim_close(&m->n, e->peer); break;
    case PF_EFFECT_ACT: on_act(m, e); break;
    }
}

/* When it wants on_time, us of the world. */
static int64_t next_us(const struct master *m)
{
    const struct sim_node *n = &m->n;
    int64_t at_us = m->is_stopping ? INT64_MAX : sim_mono_us(n, pf_master_deadline(m->core));
    int64_t boot_ms = pf_quorum_deadline(m->quorum);
    int64_t boot_us = boot_ms < INT64_MAX / SIM_MS ? boot_ms * SIM_MS - n->boot_us : INT64_MAX;

    at_us = boot_us < at_us ? boot_us : at_us;
    for (size_t i = 0; i < PF_ARRAY_LEN(m->other); i++) {
        if (m->other[i].is_listed && m->other[i].peer == 0 && m->other[i].retry_us < at_us) {
            at_us = m->other[i].retry_us;
        }
    }
    if (pf_quorum_is_frozen(m->quorum) && n->s->now_us + 1000 < at_us) {
        at_us = n->s->now_us + 1000;
    }
    /* Never again at this very moment for the same deadline: clocks of ms, turns of us. */
    return at_us != INT64_MAX && at_us <= n->s->now_us ? n->s->now_us + 10 : at_us;
}

static int64_t on_settle(struct sim_node *n)
{
    struct master *m = sim_m_of(n);
    const struct pf_batch *batch;
    const struct pf_effect *e;

    while (!m->is_stopping && (batch = pf_turns_seal(m->turns)) != NULL) {
        struct pf_quorum_event ev = {.type = PF_QUORUM_EV_SUBMIT, .submit = batch};

        sim_m_quorum_step(m, &ev);
    }
    while (!m->is_stopping && (!m->leads || may_act(m)) && (e = pf_turns_next(m->turns)) != NULL) {
        show(m, e);
    }
    if (!m->is_stopping) {
        pf_turns_check(m->turns);
    }
    if (pf_quorum_is_frozen(m->quorum) && !m->is_stopping && pf_turns_is_idle(m->turns)) {
        sim_m_quorum_step(m, &(struct pf_quorum_event){.type = PF_QUORUM_EV_DRAINED});
    }
    return next_us(m);
}

static void on_time(struct sim_node *n)
{
    struct master *m = sim_m_of(n);
    struct pf_quorum_event peers = {.type = PF_QUORUM_EV_PEERS};

    peers.peers.n_agents = m->agents.len;
    sim_m_quorum_step(m, &peers);
    if (pf_quorum_deadline(m->quorum) <= sim_boot_ms(n)) {
        sim_m_quorum_step(m, &(struct pf_quorum_event){.type = PF_QUORUM_EV_TICK});
    }
    sim_m_connect_others(m);
    if (!m->is_stopping && pf_master_deadline(m->core) <= sim_mono_ms(n)) {
        sim_m_core_step(m, &(struct pf_master_event){.type = PF_MASTER_DEADLINE});
    }
}

/* --- life ------------------------------------------------------------------------------------- */

static void on_start(struct sim_node *n)
{
    struct master *m = sim_m_of(n);
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
                  .started_wall_ms = sim_wall_ms(n),
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
    struct master *m = sim_m_of(n);

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

static const struct sim_node_ops ops = {.on_up = sim_m_on_up,
                                        .on_message = sim_m_on_message,
                                        .on_down = sim_m_on_down,
                                        .on_time = on_time,
                                        .settle = on_settle,
                                        .welcome = sim_m_welcome,
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
    pf_free(sim_m_of(n));
}

bool sim_master_leads(const struct sim_node *n)
{
    const struct master *m = PF_CONTAINER(n, struct master, n);

    return n->is_up && m->leads && !m->is_stopping;
}

void sim_master_hand_over(struct sim_node *n, struct sim_node *to)
{
    struct pf_quorum_event ev = {.type = PF_QUORUM_EV_STEP_DOWN};

    ev.step_down.to = to != NULL ? pf_str(sim_m_of(to)->instance) : PF_STR("");
    sim_m_quorum_step(sim_m_of(n), &ev);
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
