/* SPDX-License-Identifier: Apache-2.0 */
/* See elect_world.h. */
#include "tests/support/elect_world.h"

#include "common/base/alloc.h"
#include "tests/support/test.h"

/* --- requests --------------------------------------------------------------------------------- */

static enum pf_zk_code judge_op(struct ew_world *w, const struct ew_op *o)
{
    char parent[96];
    const struct ew_node *n = ew_node(w, o->path);

    ew_parent(o->path, parent);
    if (w->no_auth[0] != '\0' && strncmp(w->no_auth, o->path, strlen(w->no_auth)) == 0 &&
        (w->no_auth_op == PF_ZK_INVALID || w->no_auth_op == o->op.type)) {
        return w->no_auth_code;
    }
    if (o->op.type == PF_ZK_CREATE) {
        bool has_parent = parent[0] == '\0' || ew_node(w, parent) != NULL;

        return n != NULL ? PF_ZK_NODE_EXISTS : has_parent ? PF_ZK_OK : PF_ZK_NO_NODE;
    }
    if (o->op.type == PF_ZK_SYNC) {
        return PF_ZK_OK;
    }
    if (n == NULL) {
        return PF_ZK_NO_NODE;
    }
    bool is_versioned =
        o->op.type == PF_ZK_SET || o->op.type == PF_ZK_DELETE || o->op.type == PF_ZK_CHECK;

    return is_versioned && o->op.version != -1 && o->op.version != n->version ? PF_ZK_BAD_VERSION
                                                                              : PF_ZK_OK;
}

static void apply_op(struct ew_world *w, const struct ew_op *o, uint64_t session_id)
{
    switch (o->op.type) {
    case PF_ZK_CREATE:
        ew_put(w, o->path, o->data, o->op.data.len, o->op.is_ephemeral ? session_id : 0);
        break;
    case PF_ZK_SET: ew_set(w, o->path, o->data, o->op.data.len); break;
    case PF_ZK_DELETE: ew_delete(w, o->path); break;
    default: break;
    }
}

/* All or nothing: tried first, without watches. */
static enum pf_zk_code carry_out_multi(struct ew_world *w, const struct ew_request *r,
                                       uint64_t session_id, uint32_t *failed_op)
{
    struct ew_node *before = pf_memdup(w->node, sizeof w->node);
    uint32_t n_before = w->n_nodes;
    enum pf_zk_code code = PF_ZK_OK;

    w->is_trial = true;
    for (uint32_t i = 0; code == PF_ZK_OK && i < r->n_ops; i++) {
        *failed_op = i;
        code = judge_op(w, &r->op[i]);
        if (code == PF_ZK_OK) {
            apply_op(w, &r->op[i], session_id);
        }
    }
    w->is_trial = false;
    memcpy(w->node, before, sizeof w->node);
    w->n_nodes = n_before;
    pf_free(before);
    for (uint32_t i = 0; code == PF_ZK_OK && i < r->n_ops; i++) {
        apply_op(w, &r->op[i], session_id);
    }
    return code;
}

static void read_node(struct ew_world *w, const struct ew_op *o, struct ew_item *item)
{
    const struct ew_node *n = ew_node(w, o->path);
    size_t len = strlen(o->path);

    item->reply.stat.version = n->version;
    item->reply.stat.ephemeral_owner = n->owner;
    if (o->op.type == PF_ZK_GET) {
        memcpy(item->data, n->data, n->len);
        item->reply.data = (struct pf_bytes){item->data, n->len};
    }
    for (uint32_t i = 0; o->op.type == PF_ZK_CHILDREN && i < w->n_nodes; i++) {
        const char *p = w->node[i].path;

        if (strncmp(p, o->path, len) == 0 && p[len] == '/' && strchr(p + len + 1, '/') == NULL) {
            uint32_t k = item->reply.n_children++;

            assert_true(k < 24);
            (void)snprintf(item->child[k], sizeof item->child[k], "%s", p + len + 1);
            item->name[k] = pf_str(item->child[k]);
        }
    }
    item->reply.child = item->name;
}

bool ew_carry_out(struct ew_world *w, uint32_t i, uint8_t si)
{
    struct ew_session *s = &w->m[i].session[si];
    struct ew_request r;

    if (s->n_requests == 0 || s->is_hung) {
        return false;
    }
    r = s->request[0];
    memmove(&s->request[0], &s->request[1], (--s->n_requests) * sizeof r);
    struct ew_item *item = PF_NEW(struct ew_item);
    const struct ew_op *o = &r.op[0];

    item->reply.id = r.id;
    item->reply.session = si;
    if (s->is_gone) {
        item->reply.code = PF_ZK_UNKNOWN;
    } else if (r.n_ops > 1 || o->op.type <= PF_ZK_CHECK) {
        item->reply.code = carry_out_multi(w, &r, s->id, &item->reply.failed_op);
    } else {
        item->reply.code = judge_op(w, o);
        if (o->op.watch && (item->reply.code == PF_ZK_OK || o->op.type == PF_ZK_EXISTS)) {
            ew_add_watch(w, s->id, o->path, o->op.type == PF_ZK_CHILDREN);
        }
        if (item->reply.code == PF_ZK_OK && o->op.type != PF_ZK_SYNC) {
            read_node(w, o, item);
        }
    }
    assert_true(s->n_items < EW_QUEUE);
    s->item[s->n_items++] = item;
    return true;
}

static void take_request(struct ew_world *w, uint32_t i, const struct pf_zk_request *r)
{
    struct ew_session *s = &w->m[i].session[r->session];

    w->m[i].n_requests++;
    assert_true(r->n_ops >= 1 && r->n_ops <= 4);
    if (!s->is_connected) {
        struct ew_item *item = PF_NEW(struct ew_item);

        item->reply.id = r->id;
        item->reply.session = r->session;
        item->reply.code = PF_ZK_NOT_SENT;
        s->item[s->n_items++] = item;
        return;
    }
    assert_true(s->n_requests < EW_QUEUE);
    struct ew_request *q = &s->request[s->n_requests++];

    q->id = r->id;
    q->n_ops = r->n_ops;
    for (uint32_t k = 0; k < r->n_ops; k++) {
        const struct pf_zk_op *op = &r->op[k];

        assert_true(op->path.len < 96 && op->data.len <= 1024);
        q->op[k].op = *op;
        (void)snprintf(q->op[k].path, 96, "%.*s", PF_STR_ARG(op->path));
        if (op->data.len > 0) {
            memcpy(q->op[k].data, op->data.at, op->data.len);
        }
    }
}

/* --- machines --------------------------------------------------------------------------------- */

static void append(char *to, size_t size, const char *text)
{
    size_t len = strlen(to);

    if (len + strlen(text) + 2 > size) {
        len /= 2; /* the older half goes */
        memmove(to, to + len, strlen(to + len) + 1);
        len = strlen(to);
    }
    (void)snprintf(to + len, size - len, "%s\n", text);
}

static void drain(struct ew_world *w, uint32_t i)
{
    struct ew_machine *m = &w->m[i];
    const struct pf_quorum_effect *f;
    char text[600];

    while ((f = pf_outbox_take(&m->out)) != NULL) {
        switch (f->type) {
        case PF_QUORUM_ZK: take_request(w, i, &f->zk); break;
        case PF_QUORUM_PROBE:
            m->n_probes++;
            (void)snprintf(m->probed, sizeof m->probed, "%.*s", PF_STR_ARG(f->probe.address));
            break;
        case PF_QUORUM_FATAL: m->n_fatal++; /* fall through */
        case PF_QUORUM_SAY:
            (void)snprintf(text, sizeof text, "%.*s", PF_STR_ARG(f->say.text));
            append(m->said, sizeof m->said, text);
            break;
        default: fail_msg("an effect that is not the election's");
        }
    }
}

int ew_leader(struct ew_world *w)
{
    int leader = -1;

    for (uint32_t i = 0; i < w->n; i++) {
        const struct ew_machine *m = &w->m[i];

        if (m->e == NULL || !pf_elect_is_leading(m->e)) {
            continue;
        }
        uint64_t epoch = pf_elect_epoch(m->e);
        uint64_t *led = &w->led_epoch[epoch % 512];

        /* An epoch has one leader for ever; the table is long enough for a test. */
        if (*led >> 8 == epoch) {
            assert_int_equal(*led & 0xff, i);
        }
        *led = epoch << 8 | i;
        if (leader < 0 || epoch > pf_elect_epoch(w->m[leader].e)) {
            leader = (int)i;
        }
    }
    return leader;
}

void ew_step(struct ew_world *w, uint32_t i, struct pf_elect_event ev)
{
    struct ew_machine *m = &w->m[i];

    ev.boot_ms = w->now_ms;
    ev.wall_ms = w->wall_ms;
    pf_elect_step(m->e, &ev);
    pf_elect_check(m->e);
    drain(w, i);
    (void)ew_leader(w);
    if (w->auto_log && pf_elect_wants_log(m->e)) {
        const struct ew_node *head = ew_node(w, "/registry/head");

        ew_applied(w, i, true, head != NULL ? head->version : -1, 0);
    }
}

void ew_applied(struct ew_world *w, uint32_t i, bool is_ready, int32_t version, uint32_t format)
{
    struct pf_elect_event ev = {.type = PF_ELECT_APPLIED};

    ev.applied.is_ready = is_ready;
    ev.applied.head_version = version;
    ev.applied.format = format;
    ew_step(w, i, ev);
}

void ew_link(struct ew_world *w, uint32_t i, uint32_t other, bool is_up)
{
    struct pf_elect_event ev = {.type = PF_ELECT_LINK};

    ev.link.instance = pf_str(w->m[other].instance);
    ev.link.is_up = is_up;
    ew_step(w, i, ev);
}

void ew_probed(struct ew_world *w, uint32_t i, enum pf_elect_probe result, const char *instance)
{
    struct pf_elect_event ev = {.type = PF_ELECT_PROBED};

    ev.probed.result = result;
    ev.probed.instance = pf_str(instance);
    ew_step(w, i, ev);
}

/* --- sessions --------------------------------------------------------------------------------- */

static void tell_session(struct ew_world *w, uint32_t i, uint8_t s, enum pf_zk_state state)
{
    struct pf_elect_event ev = {.type = PF_ELECT_SESSION};

    ev.session.session = s;
    ev.session.state = state;
    ev.session.session_id = state == PF_ZK_CONNECTED ? w->m[i].session[s].id : 0;
    ev.session.timeout_ms = w->timeout_ms;
    ev.session.why = PF_STR("as the test wants");
    ew_step(w, i, ev);
}

/* Ends what is under way: all of it is answered, watches stay for later. */
static void answer_unknown(struct ew_world *w, uint32_t i, uint8_t si)
{
    struct ew_session *s = &w->m[i].session[si];
    uint64_t id[EW_QUEUE * 2];
    uint32_t n = 0, n_watches = 0;

    for (uint32_t k = 0; k < s->n_items; k++) {
        if (s->item[k]->is_watch) {
            s->item[n_watches++] = s->item[k];
        } else {
            id[n++] = s->item[k]->reply.id;
            pf_free(s->item[k]);
        }
    }
    for (uint32_t k = 0; k < s->n_requests; k++) {
        id[n++] = s->request[k].id;
    }
    s->n_items = n_watches;
    s->n_requests = 0;
    for (uint32_t k = 0; k < n; k++) {
        struct pf_zk_reply r = {.id = id[k], .session = si, .code = PF_ZK_UNKNOWN};

        ew_step(w, i, (struct pf_elect_event){.type = PF_ELECT_REPLY, .reply = &r});
    }
}

void ew_drop(struct ew_world *w, uint32_t i, uint8_t si, bool commits)
{
    struct ew_session *s = &w->m[i].session[si];

    if (!s->is_connected) {
        return;
    }
    s->is_hung = s->is_hung && !commits;
    while (commits && ew_carry_out(w, i, si)) {
    }
    s->is_connected = s->is_hung = false;
    answer_unknown(w, i, si);
    tell_session(w, i, si, PF_ZK_CONNECTING);
}

static void forget_watches(struct ew_world *w, uint64_t session_id)
{
    for (uint32_t i = 0; i < w->n_watches;) {
        if (w->watch[i].session_id == session_id) {
            w->watch[i] = w->watch[--w->n_watches];
        } else {
            i++;
        }
    }
}

static void end_told(struct ew_world *w, uint32_t i, uint8_t si, enum pf_zk_state state)
{
    struct ew_session *s = &w->m[i].session[si];

    s->is_connected = s->is_gone = s->is_hung = false;
    answer_unknown(w, i, si);
    for (uint32_t k = 0; k < s->n_items; k++) {
        pf_free(s->item[k]);
    }
    s->n_items = 0;
    s->id = 0;
    tell_session(w, i, si, state);
}

void ew_expire(struct ew_world *w, uint32_t i, uint8_t si)
{
    struct ew_session *s = &w->m[i].session[si];

    if (s->id == 0 || s->is_gone) {
        return;
    }
    forget_watches(w, s->id);
    s->is_gone = true;
    for (uint32_t k = 0; k < w->n_nodes;) {
        if (w->node[k].owner == s->id) {
            ew_delete(w, w->node[k].path);
            k = 0;
        } else {
            k++;
        }
    }
    if (s->is_connected && !s->is_hung) {
        end_told(w, i, si, PF_ZK_EXPIRED);
    }
}

void ew_auth_failed(struct ew_world *w, uint32_t i, uint8_t s)
{
    ew_expire(w, i, s);
    end_told(w, i, s, PF_ZK_AUTH_FAILED);
}

void ew_connect(struct ew_world *w, uint32_t i, uint8_t si)
{
    struct ew_session *s = &w->m[i].session[si];

    if (s->is_gone && !s->is_hung) {
        end_told(w, i, si, PF_ZK_EXPIRED);
    }
    if (s->is_connected) {
        return;
    }
    if (s->id == 0) {
        s->id = ++w->next_session;
    }
    s->is_connected = true;
    tell_session(w, i, si, PF_ZK_CONNECTED);
}

/* --- time and order --------------------------------------------------------------------------- */

bool ew_deliver(struct ew_world *w, uint32_t i, uint8_t si)
{
    struct ew_session *s = &w->m[i].session[si];
    struct pf_elect_event ev = {.type = PF_ELECT_REPLY};

    if (s->n_items == 0 || s->is_hung || (!s->is_connected && s->item[0]->is_watch)) {
        return false;
    }
    struct ew_item *item = s->item[0];

    memmove(&s->item[0], &s->item[1], (--s->n_items) * sizeof(struct ew_item *));
    if (item->is_watch) {
        ev.type = PF_ELECT_WATCH;
        ev.watch = (struct pf_zk_watch){si, item->watch, pf_str(item->path)};
    } else {
        ev.reply = &item->reply;
    }
    ew_step(w, i, ev);
    pf_free(item);
    return true;
}

void ew_run(struct ew_world *w)
{
    bool more = true;

    for (uint32_t rounds = 0; more; rounds++) {
        more = false;
        assert_true(rounds < 10000);
        for (uint32_t k = 0; k < w->n * PF_ZK_SESSIONS; k++) {
            uint32_t i = k / 2;
            uint8_t s = (uint8_t)(k % 2);

            more = (w->m[i].e != NULL && (ew_carry_out(w, i, s) || ew_deliver(w, i, s))) || more;
        }
    }
}

static void tick_due(struct ew_world *w)
{
    for (uint32_t i = 0; i < w->n; i++) {
        if (w->m[i].e != NULL && pf_elect_deadline(w->m[i].e) <= w->now_ms) {
            ew_step(w, i, (struct pf_elect_event){.type = PF_ELECT_TICK});
        }
    }
    ew_run(w);
}

void ew_advance(struct ew_world *w, int64_t ms)
{
    int64_t end = w->now_ms + ms;

    ew_run(w);
    tick_due(w);
    while (w->now_ms < end) {
        int64_t next = end;

        for (uint32_t i = 0; i < w->n; i++) {
            int64_t at = w->m[i].e != NULL ? pf_elect_deadline(w->m[i].e) : INT64_MAX;

            assert_true(at > w->now_ms); /* else a daemon would spin */
            next = at < next ? at : next;
        }
        w->wall_ms += next - w->now_ms;
        w->now_ms = next;
        tick_due(w);
    }
}

/* --- life ------------------------------------------------------------------------------------- */

static void on_move(void *ctx, const char *entity, const char *id, const char *from, const char *to,
                    const char *why)
{
    struct ew_machine *m = ctx;
    char line[300];

    (void)id;
    (void)snprintf(line, sizeof line, "%s %s->%s %s", entity, from, to, why);
    append(m->trace, sizeof m->trace, line);
}

struct pf_elect_options ew_options(struct ew_world *w, uint32_t i)
{
    static const char *const place[EW_MACHINES] = {"00000000-0000-4000-8000-0000000000a0",
                                                   "00000000-0000-4000-8000-0000000000a1",
                                                   "00000000-0000-4000-8000-0000000000a2"};
    struct pf_elect_options o = {.seed = i + 1,
                                 .instance = w->m[i].instance,
                                 .place = place[i],
                                 .cluster = "c",
                                 .address = w->m[i].address,
                                 .http_address = "127.0.0.1:80",
                                 .hostname = "host",
                                 .version = "1.0",
                                 .pid = 100 + i,
                                 .started_wall_ms = 5,
                                 .format_min = 1,
                                 .format_max = 2};

    o.tracer = (struct pf_sm_tracer){on_move, &w->m[i]};
    return o;
}

void ew_restart(struct ew_world *w, uint32_t i, const char *instance,
                const struct pf_elect_options *options)
{
    struct ew_machine *m = &w->m[i];

    for (uint8_t s = 0; s < PF_ZK_SESSIONS; s++) {
        for (uint32_t k = 0; k < m->session[s].n_items; k++) {
            pf_free(m->session[s].item[k]);
        }
        m->session[s] = (struct ew_session){.id = 0};
    }
    pf_elect_destroy(m->e);
    pf_outbox_fini(&m->out);
    (void)snprintf(m->instance, sizeof m->instance, "%s", instance);
    struct pf_elect_options o = options != NULL ? *options : ew_options(w, i);

    o.instance = m->instance;
    pf_outbox_init(&m->out);
    m->e = pf_elect_create(&o, &m->out);
    pf_elect_check(m->e);
}

struct ew_world *ew_create(uint32_t n)
{
    struct ew_world *w = PF_NEW(struct ew_world);

    assert_true(n <= EW_MACHINES);
    w->n = n;
    w->now_ms = 1000;
    w->wall_ms = INT64_C(1700000000000);
    w->timeout_ms = 6000;
    w->next_session = 100;
    w->auto_log = true;
    w->no_auth_code = PF_ZK_NO_AUTH;
    ew_put(w, "/registry", "", 0, 0);
    ew_put(w, "/registry/head", "", 0, 0);
    for (uint32_t i = 0; i < n; i++) {
        char instance[PF_UUID_TEXT_LEN + 1];

        w->m[i].w = w;
        (void)snprintf(instance, sizeof instance, "00000000-0000-4000-8000-%012u", i + 1);
        (void)snprintf(w->m[i].address, sizeof w->m[i].address, "10.0.0.%u:5050", i + 1);
        ew_restart(w, i, instance, NULL);
    }
    return w;
}

void ew_destroy(struct ew_world *w)
{
    for (uint32_t i = 0; i < EW_MACHINES; i++) {
        if (w->m[i].e == NULL) {
            continue;
        }
        pf_elect_destroy(w->m[i].e);
        pf_outbox_fini(&w->m[i].out);
        for (uint8_t s = 0; s < PF_ZK_SESSIONS; s++) {
            for (uint32_t k = 0; k < w->m[i].session[s].n_items; k++) {
                pf_free(w->m[i].session[s].item[k]);
            }
        }
    }
    pf_free(w);
}

void ew_start(struct ew_world *w)
{
    const struct ew_node *head = ew_node(w, "/registry/head");

    for (uint32_t i = 0; i < w->n; i++) {
        ew_connect(w, i, 0);
        ew_connect(w, i, 1);
        ew_applied(w, i, true, head != NULL ? head->version : -1, 0);
        ew_run(w);
    }
}

bool ew_said(const struct ew_world *w, uint32_t i, const char *text)
{
    return strstr(w->m[i].said, text) != NULL;
}

bool ew_traced(const struct ew_world *w, uint32_t i, const char *text)
{
    return strstr(w->m[i].trace, text) != NULL;
}
