/* SPDX-License-Identifier: Apache-2.0 */
/* See replog_world.h. */
#include "tests/support/replog_world.h"

#include "common/base/alloc.h"
#include "common/base/crc32c.h"
#include "common/link/envelope.h"
#include "schemas/proffer.h"
#include "schemas/quorum.h"
#include "tests/support/test.h"

struct rw_request {
    struct pf_arena arena;
    struct pf_zk_request q;
    uint32_t master;
};

struct rw_answer {
    struct pf_arena arena;
    struct pf_zk_reply r;
};

static void settle(struct rw *w, struct rw_master *m);

struct rw *rw_create(uint64_t seed, uint32_t log_nodes, uint32_t log_bytes)
{
    struct rw *w = PF_NEW(struct rw);

    pf_rng_seed(&w->rng, seed);
    w->now_ms = 1000;
    w->log_nodes = log_nodes;
    w->log_bytes = log_bytes;
    w->truth = pf_replica_create(seed + 1);
    assert_int_equal(zk_tree_do(&w->tree, PF_ZK_CREATE, "/epoch", (struct pf_bytes){0}), 0);
    return w;
}

static void request_free(struct rw_request *q)
{
    pf_arena_fini(&q->arena);
    pf_free(q);
}

static void answer_free(struct rw_answer *a)
{
    pf_arena_fini(&a->arena);
    pf_free(a);
}

static void *shift(struct pf_ptrs *v)
{
    void *p = v->at[0];

    pf_ptrs_remove(v, 0);
    return p;
}

static void master_fini(struct rw_master *m)
{
    pf_replog_destroy(m->log);
    pf_outbox_fini(&m->out);
    pf_replica_destroy(m->core);
    for (uint32_t s = 0; s < RW_SESSIONS; s++) {
        while (m->session[s].queue.len > 0) {
            request_free(shift(&m->session[s].queue));
        }
        while (m->session[s].answers.len > 0) {
            answer_free(shift(&m->session[s].answers));
        }
        pf_ptrs_fini(&m->session[s].queue);
        pf_ptrs_fini(&m->session[s].answers);
    }
    memset(m, 0, sizeof *m);
}

void rw_destroy(struct rw *w)
{
    if (w == NULL) {
        return;
    }
    for (uint32_t i = 0; i < RW_MASTERS; i++) {
        if (w->master[i].is_used) {
            master_fini(&w->master[i]);
        }
    }
    while (w->late.len > 0) {
        request_free(shift(&w->late));
    }
    pf_ptrs_fini(&w->late);
    zk_tree_fini(&w->tree);
    pf_replica_destroy(w->truth);
    pf_free(w->batch);
    pf_free(w);
}

struct pf_replog *rw_log(struct rw *w, uint32_t m)
{
    assert_true(w->master[m].is_used);
    return w->master[m].log;
}

static void step(struct rw *w, struct rw_master *m, struct pf_replog_event *ev)
{
    ev->boot_ms = w->now_ms;
    pf_replog_step(m->log, ev);
    if (!w->is_quick) {
        pf_replog_check(m->log);
    }
    settle(w, m);
}

/* --- the truth -------------------------------------------------------------------------------- */

static void commit(struct rw *w, struct pf_bytes node, struct pf_bytes head_node)
{
    struct pf_msg msg;
    struct rw_batch *batch = NULL;

    assert_int_equal(pf_fb_verify(head_node, &ZkHead__desc, &msg, NULL), 0);
    struct ZkHead head = ZkHead__root(msg);

    assert_int_equal(ZkHead_crc(head), pf_crc32c(0, node.at, node.len));
    assert_int_equal(pf_fb_verify(node, &ZkBatch__desc, &msg, NULL), 0);
    struct ZkBatch b = ZkBatch__root(msg);

    assert_int_equal(ZkBatch_number(b), ++w->head);
    assert_int_equal(ZkHead_number(head), w->head);
    assert_memory_equal(ZkHead_uuid(head).at, ZkBatch_uuid(b).at, 16);
    for (uint32_t i = 0; i < ZkBatch_rows__len(b); i++) {
        struct ZkRow row = ZkBatch_rows__at(b, i);
        uint32_t id;

        if (ZkRow_is_del(row)) {
            pf_replica_del(w->truth, ZkRow_table(row), ZkRow_key(row));
            continue;
        }
        pf_replica_put(w->truth, ZkRow_table(row), ZkRow_key(row), ZkRow_row(row));
        if (ZkRow_table(row) == 2) {
            memcpy(&id, ZkRow_row(row).at, sizeof id);
            assert_true(batch == NULL && id < w->n_batches);
            batch = &w->batch[id];
        }
    }
    if (w->is_free && batch == NULL) {
        return;
    }
    assert_non_null(batch);
    assert_false(batch->is_committed);
    batch->is_committed = true;
    w->n_committed++;
    /* In the order of submission, and never again of a former leader. */
    assert_true(batch->reign >= w->last_committed_reign);
    assert_true(batch->reign > w->last_committed_reign || batch->number > w->last_committed_number);
    w->last_committed_reign = batch->reign;
    w->last_committed_number = batch->number;
}

static void execute(struct rw *w, const struct pf_zk_request *q, struct pf_arena *a,
                    struct pf_zk_reply *out)
{
    zk_tree_execute(&w->tree, q, a, out);
    if (out->code == PF_ZK_OK && q->n_ops == 3 && q->op[1].type == PF_ZK_SET &&
        q->op[2].type == PF_ZK_CREATE) {
        commit(w, q->op[2].data, q->op[1].data);
    }
    for (uint32_t i = 0; i < w->tree.changed.len; i++) {
        for (uint32_t m = 0; m < RW_MASTERS * RW_SESSIONS; m++) {
            struct rw_session *s = &w->master[m / RW_SESSIONS].session[m % RW_SESSIONS];

            if (s->has_watch && strcmp(w->tree.changed.at[i], "/registry/head") == 0) {
                s->has_watch = false;
                s->is_due = true;
            }
        }
    }
}

/* --- effects ---------------------------------------------------------------------------------- */

static struct rw_request *request_dup(const struct pf_zk_request *q, uint32_t master)
{
    struct rw_request *d = PF_NEW(struct rw_request);
    struct pf_zk_op *op = pf_arena_memdup(&d->arena, q->op, q->n_ops * sizeof *op);

    for (uint32_t i = 0; i < q->n_ops; i++) {
        op[i].path = pf_arena_strdup(&d->arena, op[i].path);
        op[i].data.at = pf_arena_memdup(&d->arena, op[i].data.at, op[i].data.len);
    }
    d->q = *q;
    d->q.op = op;
    d->master = master;
    return d;
}

static void on_stream(struct rw *w, struct rw_master *from, struct pf_bytes message)
{
    struct pf_msg msg;

    assert_true(from->leads);
    assert_int_equal(pf_envelope_parse(message, &msg, NULL), 0);
    struct RegistryBatch b = {pf_envelope_body(msg, Body_RegistryBatch)};
    struct pf_replog_event ev = {.type = PF_REPLOG_STREAMED};

    from->streams++;
    ev.streamed.number = RegistryBatch_number(b);
    ev.streamed.node = RegistryBatch_node(b);
    assert_true(ev.streamed.number <= w->head);
    for (uint32_t i = 0; i < RW_MASTERS; i++) {
        struct rw_master *m = &w->master[i];
        bool is_lost = w->is_shuffled && pf_rng_below(&w->rng, 4) == 0;

        if (m->is_used && m != from && !m->is_deaf && !is_lost) {
            step(w, m, &ev);
        }
    }
}

static void on_stored(struct rw *w, struct rw_master *m, uint64_t number)
{
    assert_true(m->leads);
    assert_int_equal(number, ++m->stored);
    for (uint32_t i = w->n_batches; i-- > 0;) {
        struct rw_batch *b = &w->batch[i];

        if (b->reign == m->reign && b->number == number) {
            assert_true(b->is_committed);
            b->is_stored = true;
        }
        if (b->reign < m->reign) {
            break;
        }
    }
}

static void settle(struct rw *w, struct rw_master *m)
{
    const struct pf_quorum_effect *e;

    while (m->is_used && (e = pf_outbox_take(&m->out)) != NULL) {
        struct rw_session *s = &m->session[e->type == PF_QUORUM_ZK ? e->zk.session : 0];

        switch (e->type) {
        case PF_QUORUM_ZK: pf_ptrs_push(&s->queue, request_dup(&e->zk, m->index)); break;
        case PF_QUORUM_ROW:
            assert_false(m->leads);
            m->told++;
            if (e->row.is_del) {
                pf_replica_del(m->core, e->row.table, e->row.key);
            } else {
                pf_replica_put(m->core, e->row.table, e->row.key, e->row.row);
            }
            break;
        case PF_QUORUM_STORED: on_stored(w, m, e->stored.number); break;
        case PF_QUORUM_STREAM: on_stream(w, m, e->send.message); break;
        case PF_QUORUM_SAY:
            (void)snprintf(m->said, sizeof m->said, "%.*s", PF_STR_ARG(e->say.text));
            break;
        case PF_QUORUM_FATAL: m->fatal++; break;
        case PF_QUORUM_PROBE:
        case PF_QUORUM_LEAD:
        case PF_QUORUM_STOP:
        case PF_QUORUM_SEND:
        case PF_QUORUM_VIEW: fail_msg("effect %d is not the log's", (int)e->type);
        }
    }
}

/* --- masters and their sessions --------------------------------------------------------------- */

uint32_t rw_add_format(struct rw *w, uint32_t format_min, uint32_t format_max)
{
    struct pf_replog_options o = {.seed = pf_rng_next(&w->rng),
                                  .format_min = format_min,
                                  .format_max = format_max,
                                  .log_nodes = w->log_nodes,
                                  .log_bytes = w->log_bytes};
    uint32_t i = 0;

    while (w->master[i].is_used) {
        i++;
        assert_true(i < RW_MASTERS);
    }
    struct rw_master *m = &w->master[i];

    m->is_used = true;
    m->index = i;
    pf_outbox_init(&m->out);
    m->core = pf_replica_create(o.seed);
    m->log = pf_replog_create(&o, &m->out);
    rw_connect(w, i, 0);
    return i;
}

uint32_t rw_add(struct rw *w)
{
    return rw_add_format(w, 1, 1);
}

static void tell_session(struct rw *w, uint32_t m, uint8_t session, enum pf_zk_state state)
{
    struct pf_replog_event ev = {.type = PF_REPLOG_SESSION};

    ev.session.session = session;
    ev.session.state = state;
    ev.session.session_id = 100 + m * RW_SESSIONS + session;
    ev.session.timeout_ms = 4000;
    step(w, &w->master[m], &ev);
}

void rw_connect(struct rw *w, uint32_t m, uint8_t session)
{
    if (!w->master[m].session[session].is_connected) {
        w->master[m].session[session].is_connected = true;
        tell_session(w, m, session, PF_ZK_CONNECTED);
    }
}

/* True: it was or will be carried out. */
static void fate(struct rw *w, struct rw_request *q, enum rw_loss *loss)
{
    struct pf_zk_reply r;

    if (*loss == RW_SOME) {
        uint64_t dice = pf_rng_below(&w->rng, 6);

        /* The order stands: once one is late, so are those behind it. */
        *loss = dice == 0 ? RW_LATE : dice == 1 ? RW_DROP : RW_SOME;
    }
    if (*loss == RW_DO || *loss == RW_SOME) {
        execute(w, &q->q, &q->arena, &r);
    } else if (*loss == RW_LATE) {
        pf_ptrs_push(&w->late, q);
        return;
    }
    request_free(q);
}

static void answer_unknown(struct rw *w, struct rw_master *m, uint64_t id, uint8_t session)
{
    struct pf_zk_reply r = {.id = id, .session = session, .code = PF_ZK_UNKNOWN};

    step(w, m, &(struct pf_replog_event){.type = PF_REPLOG_REPLY, .reply = &r});
}

void rw_lose(struct rw *w, uint32_t m, uint8_t session, enum rw_loss loss)
{
    struct rw_session *s = &w->master[m].session[session];

    if (!s->is_connected) {
        return;
    }
    s->is_connected = false;
    uint32_t n = s->queue.len; /* what is sent from now on is not sent */

    while (s->answers.len > 0) {
        struct rw_answer *a = shift(&s->answers);

        answer_unknown(w, &w->master[m], a->r.id, session);
        answer_free(a);
    }
    while (n-- > 0) {
        struct rw_request *q = shift(&s->queue);
        uint64_t id = q->q.id;

        fate(w, q, &loss);
        answer_unknown(w, &w->master[m], id, session);
    }
    tell_session(w, m, session, PF_ZK_CONNECTING);
}

static void sum_one(struct rw *w, uint32_t m)
{
    struct pf_replog_stats stats;

    pf_replog_stats(w->master[m].log, &stats);
    w->sum.snapshots += stats.snapshots;
    w->sum.unknown_outcomes += stats.unknown_outcomes;
    w->sum.rereads += stats.rereads;
    w->sum.streamed += stats.streamed;
}

void rw_sum(struct rw *w)
{
    for (uint32_t i = 0; i < RW_MASTERS; i++) {
        if (w->master[i].is_used) {
            sum_one(w, i);
        }
    }
}

void rw_kill(struct rw *w, uint32_t m, enum rw_loss loss)
{
    sum_one(w, m);
    for (uint32_t s = 0; s < RW_SESSIONS; s++) {
        struct rw_session *session = &w->master[m].session[s];

        while (session->queue.len > 0) {
            fate(w, shift(&session->queue), &loss);
        }
    }
    master_fini(&w->master[m]);
}

bool rw_late(struct rw *w)
{
    struct pf_zk_reply r;

    if (w->late.len == 0) {
        return false;
    }
    struct rw_request *q = shift(&w->late);

    execute(w, &q->q, &q->arena, &r);
    request_free(q);
    return true;
}

/* --- what is under way ------------------------------------------------------------------------ */

/* The hooks; false: the request does not come to be carried out as usual. */
static bool carry_on(struct rw *w, struct rw_master *m, uint8_t session)
{
    w->n_requests++;
    if (w->n_requests == w->stop_at) {
        w->died = m->index + 1;
        if (w->is_after) {
            struct rw_request *q = shift(&m->session[session].queue);
            enum rw_loss loss = RW_DO;

            fate(w, q, &loss);
        }
        rw_kill(w, m->index, w->loss);
        return false;
    }
    if (w->n_requests == w->lose_at) {
        rw_lose(w, m->index, session, w->loss);
        return false;
    }
    if (w->on_request != NULL) {
        struct rw_request *q = m->session[session].queue.at[0];

        w->on_request(w, m->index, &q->q);
    }
    return true;
}

static void not_sent(struct rw *w, struct rw_master *m, uint8_t session)
{
    struct rw_request *q = shift(&m->session[session].queue);
    struct pf_zk_reply r = {.id = q->q.id, .session = session, .code = PF_ZK_NOT_SENT};

    request_free(q);
    step(w, m, &(struct pf_replog_event){.type = PF_REPLOG_REPLY, .reply = &r});
}

static void serve(struct rw *w, struct rw_master *m, uint8_t session)
{
    struct rw_session *s = &m->session[session];

    if (!carry_on(w, m, session)) {
        return;
    }
    struct rw_request *q = shift(&s->queue);
    struct rw_answer *a = PF_NEW(struct rw_answer);

    execute(w, &q->q, &a->arena, &a->r);
    s->has_watch = s->has_watch || q->q.op[0].watch;
    pf_ptrs_push(&s->answers, a);
    request_free(q);
}

static void deliver(struct rw *w, struct rw_master *m, uint8_t session)
{
    struct rw_answer *a = shift(&m->session[session].answers);

    step(w, m, &(struct pf_replog_event){.type = PF_REPLOG_REPLY, .reply = &a->r});
    answer_free(a);
}

static bool session_one(struct rw *w, struct rw_master *m, uint8_t session)
{
    struct rw_session *s = &m->session[session];
    bool is_late = w->is_shuffled && s->queue.len > 0 && pf_rng_below(&w->rng, 2) == 0;

    if (!m->is_used) {
        return false;
    }
    if (!s->is_connected && s->queue.len > 0) {
        not_sent(w, m, session);
    } else if (s->is_connected && s->is_due) {
        struct pf_replog_event ev = {.type = PF_REPLOG_WATCH};

        s->is_due = false;
        ev.watch.session = session;
        ev.watch.type = PF_ZK_NODE_CHANGED;
        ev.watch.path = PF_STR("/registry/head");
        step(w, m, &ev);
    } else if (s->answers.len > 0 && !is_late && !w->is_slow) {
        deliver(w, m, session);
    } else if (s->queue.len > 0) {
        serve(w, m, session);
    } else {
        return false;
    }
    return true;
}

bool rw_one(struct rw *w)
{
    uint64_t from = w->is_shuffled ? pf_rng_below(&w->rng, RW_MASTERS * RW_SESSIONS) : 0;

    if (w->late.len > 0 && w->is_shuffled && pf_rng_below(&w->rng, 20) == 0) {
        return rw_late(w);
    }
    for (uint64_t i = 0; i < RW_MASTERS * RW_SESSIONS; i++) {
        uint64_t k = (from + i) % (RW_MASTERS * RW_SESSIONS);

        if (session_one(w, &w->master[k / RW_SESSIONS], (uint8_t)(k % RW_SESSIONS))) {
            return true;
        }
    }
    return false;
}

void rw_run(struct rw *w)
{
    for (uint32_t n = 0; rw_one(w); n++) {
        assert_true(n < 2000000);
    }
}

void rw_advance(struct rw *w, int64_t ms)
{
    int64_t until = w->now_ms + ms;

    for (;;) {
        struct rw_master *due = NULL;
        int64_t at = until;

        rw_run(w);
        for (uint32_t i = 0; i < RW_MASTERS; i++) {
            struct rw_master *m = &w->master[i];

            if (m->is_used && pf_replog_deadline(m->log) <= at) {
                at = pf_replog_deadline(m->log);
                due = m;
            }
        }
        w->now_ms = at > w->now_ms ? at : w->now_ms;
        if (due == NULL) {
            break;
        }
        step(w, due, &(struct pf_replog_event){.type = PF_REPLOG_TICK});
    }
}

/* --- leading ---------------------------------------------------------------------------------- */

bool rw_lead(struct rw *w, uint32_t m, uint8_t session)
{
    struct rw_master *x = &w->master[m];
    struct zk_node *head = zk_tree_find(&w->tree, "/registry/head");
    struct pf_replog_event ev = {.type = PF_REPLOG_LEAD};

    if (!pf_replog_is_ready(x->log) || head == NULL ||
        head->version != pf_replog_head_version(x->log) || x->leads) {
        return false;
    }
    assert_int_equal(zk_tree_do(&w->tree, PF_ZK_SET, "/epoch", (struct pf_bytes){0}), 0);
    x->leads = true;
    x->reign = ++w->n_reigns;
    x->submitted = x->stored = 0;
    ev.lead.epoch_version = zk_tree_find(&w->tree, "/epoch")->version;
    ev.lead.epoch = (uint64_t)ev.lead.epoch_version;
    ev.lead.session = session;
    step(w, x, &ev);
    return true;
}

static void copy_row(void *ctx, uint8_t table, bool is_del, struct pf_bytes key,
                     struct pf_bytes row)
{
    assert_false(is_del);
    pf_replica_put(ctx, table, key, row);
}

void rw_stop(struct rw *w, uint32_t m)
{
    struct rw_master *x = &w->master[m];

    x->leads = false;
    pf_replica_destroy(x->core);
    x->core = pf_replica_create(7);
    pf_replica_each(pf_replog_rows(x->log), copy_row, x->core);
    step(w, x, &(struct pf_replog_event){.type = PF_REPLOG_STOP});
}

void rw_catch_up(struct rw *w, uint32_t m)
{
    step(w, &w->master[m], &(struct pf_replog_event){.type = PF_REPLOG_CATCH_UP});
}

void rw_stream(struct rw *w, uint32_t m, uint64_t number, struct pf_bytes node)
{
    struct pf_replog_event ev = {.type = PF_REPLOG_STREAMED};

    ev.streamed.number = number;
    ev.streamed.node = node;
    step(w, &w->master[m], &ev);
}

static uint32_t note_batch(struct rw *w, const struct rw_master *m, uint64_t number)
{
    if (w->n_batches == w->cap_batches) {
        w->cap_batches = w->cap_batches == 0 ? 64 : w->cap_batches * 2;
        w->batch = pf_realloc(w->batch, w->cap_batches * sizeof *w->batch);
    }
    w->batch[w->n_batches] = (struct rw_batch){.reign = m->reign, .number = number};
    return w->n_batches++;
}

void rw_give(struct rw *w, uint32_t m, const struct pf_batch *batch)
{
    assert_int_equal(batch->number, ++w->master[m].submitted);
    step(w, &w->master[m], &(struct pf_replog_event){.type = PF_REPLOG_SUBMIT, .submit = batch});
}

bool rw_submit(struct rw *w, uint32_t m, uint32_t n_rows, uint32_t row_bytes)
{
    struct rw_master *x = &w->master[m];
    struct pf_arena a = {0};
    struct pf_row_op *op = pf_arena_zalloc(&a, (n_rows + (size_t)1) * sizeof *op);
    struct pf_batch batch = {.op = op, .n_ops = n_rows > 0 ? n_rows + 1 : 0};

    if (!x->is_used || !x->leads || rw_open(w, m) == PF_REPLOG_DEPTH ||
        pf_replog_is_fenced(x->log)) {
        pf_arena_fini(&a);
        return false;
    }
    batch.number = x->submitted + 1;
    for (uint32_t i = 0; i < n_rows; i++) {
        uint8_t *row = pf_arena_zalloc(&a, row_bytes + (size_t)8);
        struct pf_str key = pf_arena_printf(&a, "key-%u", (unsigned)pf_rng_below(&w->rng, 40));
        uint64_t dice = pf_rng_next(&w->rng);

        memcpy(row, &dice, sizeof dice);
        op[i] = (struct pf_row_op){.table = 1, .is_del = pf_rng_below(&w->rng, 5) == 0};
        op[i].key = (struct pf_bytes){(const uint8_t *)key.at, key.len};
        op[i].row = op[i].is_del ? (struct pf_bytes){0} : (struct pf_bytes){row, row_bytes};
    }
    if (n_rows > 0) {
        uint32_t id = note_batch(w, x, batch.number);

        op[n_rows] = (struct pf_row_op){.table = 2, .key = {(const uint8_t *)"last", 4}};
        op[n_rows].row =
            (struct pf_bytes){pf_arena_memdup(&a, &id, sizeof id), (uint32_t)sizeof id};
    }
    rw_give(w, m, &batch);
    pf_arena_fini(&a);
    return true;
}

uint32_t rw_open(const struct rw *w, uint32_t m)
{
    return (uint32_t)(w->master[m].submitted - w->master[m].stored);
}
