/* SPDX-License-Identifier: Apache-2.0 */
/* See zk_model.h. A write is carried out once, on the head tree, when it is committed; each server
 * carries it out again when it applies it, fires its clients' watches and answers. */
#include "tests/sim/zk_model.h"

#include <stdio.h>
#include <string.h>
#include "common/base/alloc.h"
#include "common/base/rng.h"
#include "tests/sim/zk_model_internal.h"

/* --- dice and time ---------------------------------------------------------------------------- */

int64_t zkm_dice(struct zkm *z, int64_t from, int64_t to)
{
    return from + (int64_t)pf_rng_below(&z->rng, (uint64_t)(to - from + 1));
}

static int64_t hop_us(struct zkm *z)
{
    int64_t us = zkm_dice(z, 0, 49) == 0 ? zkm_dice(z, 5000, 60000) : zkm_dice(z, 50, 500);

    return us + (z->slow_us > 0 ? zkm_dice(z, 0, z->slow_us) : 0);
}

void zkm_slow(struct zkm *z, int64_t max_us)
{
    z->slow_us = max_us;
}

static bool is_sooner(const struct zkm_job *a, const struct zkm_job *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->number < b->number;
}

void zkm_at(struct zkm *z, int64_t at_us, struct zkm_job job)
{
    if (z->n_jobs == z->cap_jobs) {
        z->cap_jobs = z->cap_jobs > 0 ? z->cap_jobs * 2 : 256;
        z->job = pf_realloc(z->job, z->cap_jobs * sizeof *z->job);
    }
    uint32_t i = z->n_jobs++;

    job.at_us = at_us > z->now_us ? at_us : z->now_us;
    job.number = ++z->next_number;
    while (i > 0 && is_sooner(&job, &z->job[(i - 1) / 2])) {
        z->job[i] = z->job[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    z->job[i] = job;
}

static struct zkm_job job_pop(struct zkm *z)
{
    struct zkm_job first = z->job[0], last = z->job[--z->n_jobs];
    uint32_t i = 0;

    for (uint32_t child; (child = 2 * i + 1) < z->n_jobs; i = child) {
        if (child + 1 < z->n_jobs && is_sooner(&z->job[child + 1], &z->job[child])) {
            child++;
        }
        if (!is_sooner(&z->job[child], &last)) {
            break;
        }
        z->job[i] = z->job[child];
    }
    z->job[i] = last;
    return first;
}

/* --- requests as they travel ------------------------------------------------------------------ */

static struct zkm_request *request_new(struct zkm *z, const struct pf_zk_request *from)
{
    struct zkm_request *r = PF_NEW(struct zkm_request);

    r->number = ++z->next_number;
    r->id = from->id;
    r->n_ops = from->n_ops;
    r->refs = 1;
    r->op = pf_arena_memdup(&r->arena, from->op, from->n_ops * sizeof *from->op);
    for (uint32_t i = 0; i < r->n_ops; i++) {
        r->op[i].path = pf_arena_strdup(&r->arena, r->op[i].path);
        if (r->op[i].data.at != NULL) {
            r->op[i].data.at = pf_arena_memdup(&r->arena, r->op[i].data.at, r->op[i].data.len);
        }
        switch (r->op[i].type) {
        case PF_ZK_CREATE:
        case PF_ZK_DELETE:
        case PF_ZK_SET:
        case PF_ZK_CHECK: r->is_write = true; break;
        default: break;
        }
    }
    return r;
}

void zkm_request_put(struct zkm_request *r)
{
    if (--r->refs == 0) {
        pf_arena_fini(&r->arena);
        pf_free(r);
    }
}

/* --- what clients are told -------------------------------------------------------------------- */

static struct zkm_out *out_push(struct zkm *z, struct zkm_client *c, enum zkm_event_type type)
{
    if (c->n_out == c->cap_out) {
        c->cap_out = c->cap_out > 0 ? c->cap_out * 2 : 16;
        c->out = pf_realloc(c->out, c->cap_out * sizeof *c->out);
    }
    struct zkm_out *o = &c->out[c->n_out++];

    c->last_out_us = z->now_us > c->last_out_us ? z->now_us : c->last_out_us;
    *o = (struct zkm_out){.type = type, .at_us = c->last_out_us, .number = ++z->next_number};
    return o;
}

static void out_free(struct zkm_out *o)
{
    if (o->request != NULL) {
        zkm_request_put(o->request);
    }
    pf_free(o->data);
    pf_free(o->names);
    pf_free(o->path);
}

static void tell_session(struct zkm *z, struct zkm_client *c, enum pf_zk_state state)
{
    struct zkm_out *o = out_push(z, c, ZKM_SESSION);

    o->state = state;
    o->session_id = c->session_id;
}

static struct zkm_out *tell_reply(struct zkm *z, struct zkm_client *c, struct zkm_request *r,
                                  enum pf_zk_code code)
{
    struct zkm_out *o = out_push(z, c, ZKM_REPLY);

    o->request = r; /* the queue's reference goes with it */
    o->code = code;
    o->failed_op = r->failed_op;
    return o;
}

/* --- sessions and connections ----------------------------------------------------------------- */

struct zkm_live *zkm_live_of(struct zkm *z, uint64_t session_id)
{
    for (uint32_t i = 0; i < z->n_live; i++) {
        if (z->live[i].id == session_id && session_id != 0) {
            return &z->live[i];
        }
    }
    return NULL;
}

static bool is_heard(const struct zkm *z, const struct zkm_client *c)
{
    return c->server >= 0 && !c->is_cut && !c->is_paused && !c->is_gone &&
           z->server[c->server].is_up && !z->server[c->server].is_cut && z->leader >= 0;
}

static void note_heard(struct zkm *z, struct zkm_client *c)
{
    struct zkm_live *s = zkm_live_of(z, c->session_id);

    if (s != NULL && is_heard(z, c)) {
        s->heard_us = z->now_us;
    }
}

/* The connection is gone: what was under way is unknown, in the order it was asked. */
void zkm_drop(struct zkm *z, struct zkm_client *c)
{
    uint32_t n = 0;

    if (c->server < 0 || c->is_gone) {
        return;
    }
    note_heard(z, c);
    c->server = -1;
    c->connection++;
    for (uint32_t i = 0; i < c->n_out; i++) { /* on the wire: lost; a watch is armed again */
        struct zkm_out *o = &c->out[i];

        if (o->at_us > z->now_us && o->type == ZKM_WATCH) {
            zkm_watch_rearm(c, o);
            out_free(o);
            continue;
        }
        if (o->at_us > z->now_us && o->type == ZKM_REPLY) {
            o->code = PF_ZK_UNKNOWN;
        }
        c->out[n++] = *o;
    }
    c->n_out = n;
    for (uint32_t i = 0; i < c->n_queue; i++) {
        (void)tell_reply(z, c, c->queue[i], PF_ZK_UNKNOWN);
    }
    c->n_queue = 0;
    tell_session(z, c, PF_ZK_CONNECTING);
    zkm_at(z, z->now_us + zkm_dice(z, 200, 60000),
           (struct zkm_job){.fn = zkm_connect, .client = c->number, .connection = c->connection});
}

static void session_new(struct zkm *z, struct zkm_client *c)
{
    z->live = pf_realloc(z->live, (z->n_live + 1) * sizeof *z->live);
    c->session_id = ++z->next_session;
    z->live[z->n_live++] =
        (struct zkm_live){.id = c->session_id, .timeout_us = c->timeout_us, .heard_us = z->now_us};
}

static bool serves(const struct zkm *z, uint32_t i, const struct zkm_client *c)
{
    const struct zkm_server *s = &z->server[i];

    return s->is_up && !s->is_cut && z->leader >= 0 && s->applied >= c->last_zxid;
}

void zkm_connect(struct zkm *z, const struct zkm_job *job)
{
    struct zkm_client *c = &z->client[job->client];
    int64_t again_us = zkm_dice(z, 10000, 200000);

    if (c->is_gone || c->server >= 0 || c->connection != job->connection) {
        return;
    }
    for (uint32_t i = 0; !c->is_cut && i < z->n_servers; i++) {
        uint32_t server = (c->prefers + i) % z->n_servers;

        if (!serves(z, server, c)) {
            continue;
        }
        if (c->session_id != 0 && zkm_live_of(z, c->session_id) == NULL) {
            tell_session(z, c, PF_ZK_EXPIRED);
            c->session_id = 0;
            zkm_watches_forget(c);
            again_us = zkm_dice(z, 500, 20000);
            break;
        }
        if (c->session_id == 0) {
            session_new(z, c);
        }
        c->server = (int32_t)server;
        c->connection++;
        c->last_arrival_us = 0;
        note_heard(z, c);
        tell_session(z, c, PF_ZK_CONNECTED);
        zkm_watches_check(z, c);
        return;
    }
    c->prefers = (c->prefers + 1) % z->n_servers;
    zkm_at(z, z->now_us + again_us, *job);
}

/* --- requests --------------------------------------------------------------------------------- */

static void read_now(struct zkm *z, struct zkm_client *c, struct zkm_request *r)
{
    const struct pf_zk_op *op = &r->op[0];
    struct zkm_tree *t = &z->server[c->server].tree;
    const struct zkm_tree_node *n = zkm_tree_find(t, op->path);
    struct zkm_out *o;

    if (op->watch) {
        zkm_watch_add(c, op, n);
    }
    o = tell_reply(z, c, r, n != NULL ? PF_ZK_OK : PF_ZK_NO_NODE);
    if (n != NULL) {
        o->stat = (struct pf_zk_stat){.version = n->version,
                                      .ephemeral_owner = n->owner,
                                      .czxid = n->czxid,
                                      .mzxid = n->mzxid,
                                      .n_children = n->n_children};
    }
    if (n != NULL && op->type == PF_ZK_GET && n->len > 0) {
        o->data = pf_memdup(n->data, n->len);
        o->len = n->len;
    }
    if (op->type == PF_ZK_CHILDREN && o->code == PF_ZK_OK) {
        zkm_children(t, op->path, o);
    }
}

/* Answers what can be answered, in order. */
void zkm_progress(struct zkm *z, struct zkm_client *c)
{
    uint32_t n = 0;

    if (c->server < 0 || c->is_cut || c->is_gone) {
        return;
    }
    const struct zkm_server *s = &z->server[c->server];

    while (n < c->n_queue) {
        struct zkm_request *r = c->queue[n];
        bool waits = r->is_write || r->op[0].type == PF_ZK_SYNC;

        if (!r->has_arrived || (waits && (!r->is_decided || s->applied < r->zxid))) {
            break;
        }
        n++;
        c->last_zxid = s->applied > c->last_zxid ? s->applied : c->last_zxid;
        c->last_out_us = c->last_out_us > z->now_us ? c->last_out_us : z->now_us;
        c->last_out_us += hop_us(z);
        if (!waits) {
            read_now(z, c, r);
            continue;
        }
        struct zkm_out *o = tell_reply(z, c, r, r->code);

        if (r->code == PF_ZK_OK && r->n_ops == 1 && r->op[0].type == PF_ZK_SET) {
            o->stat.version = r->version;
        }
    }
    if (n > 0) {
        memmove(c->queue, c->queue + n, (c->n_queue - n) * sizeof(struct zkm_request *));
        c->n_queue -= n;
    }
}

static void job_commit(struct zkm *z, const struct zkm_job *job)
{
    struct zkm_client *c = &z->client[job->client];
    struct zkm_request *r = job->request;
    bool is_same = c->connection == job->connection;

    if (z->leader < 0 || zkm_live_of(z, r->session_id) == NULL ||
        (!is_same && zkm_dice(z, 0, 1) == 0)) {
        /* Nobody decides it any more, nor what came behind it on that connection. */
        c->lost_connection = job->connection;
    } else if (c->lost_connection != job->connection) {
        zkm_commit(z, r);
        if (is_same && r->breaks) {
            zkm_drop(z, c);
        } else if (is_same) {
            zkm_progress(z, c);
        }
    }
    zkm_request_put(r);
}

static void job_arrive(struct zkm *z, const struct zkm_job *job)
{
    struct zkm_client *c = &z->client[job->client];
    struct zkm_request *r = job->request;

    if (c->connection != job->connection || c->is_gone) {
        zkm_request_put(r);
        return;
    }
    if (c->is_cut) { /* sent again and again until the connection is given up */
        zkm_at(z, z->now_us + 20000, *job);
        return;
    }
    note_heard(z, c);
    r->has_arrived = true;
    if (r->is_write && c->breaks != 0) {
        r->breaks = c->breaks == 2;
        c->breaks = 0;
        if (!r->breaks) {
            zkm_drop(z, c);
            zkm_request_put(r);
            return;
        }
    }
    if (r->is_write || r->op[0].type == PF_ZK_SYNC) {
        int64_t at_us = z->now_us + hop_us(z);

        c->last_commit_us = at_us > c->last_commit_us ? at_us : c->last_commit_us;
        zkm_at(z, c->last_commit_us,
               (struct zkm_job){.fn = z->server[c->server].is_cut ? zkm_never : job_commit,
                                .client = job->client,
                                .connection = job->connection,
                                .request = r});
        return;
    }
    zkm_progress(z, c);
    zkm_request_put(r);
}

void zkm_never(struct zkm *z, const struct zkm_job *job)
{
    (void)z;
    zkm_request_put(job->request);
}

/* The client asks over a connection of which it has not heard yet that it is gone (its process was
 * stopped, perhaps, and there is a new one already): the answer stands before that news. */
static bool submit_to_lost(struct zkm *z, struct zkm_client *c, struct zkm_request *r)
{
    for (uint32_t i = 0; i < c->n_out; i++) {
        if (c->out[i].type != ZKM_SESSION) {
            continue;
        }
        (void)tell_reply(z, c, r,
                         c->out[i].state == PF_ZK_CONNECTING ? PF_ZK_UNKNOWN : PF_ZK_NOT_SENT);
        struct zkm_out reply = c->out[c->n_out - 1];

        reply.at_us = c->out[i].at_us;
        memmove(&c->out[i + 1], &c->out[i], (c->n_out - 1 - i) * sizeof *c->out);
        c->out[i] = reply;
        return true;
    }
    return false;
}

void zkm_submit(struct zkm *z, uint32_t client, const struct pf_zk_request *request)
{
    struct zkm_client *c = &z->client[client];
    struct zkm_request *r = request_new(z, request);

    if (submit_to_lost(z, c, r)) {
        return;
    }
    if (c->server < 0) {
        (void)tell_reply(z, c, r, PF_ZK_NOT_SENT);
        return;
    }
    if (c->n_queue == c->cap_queue) {
        c->cap_queue = c->cap_queue > 0 ? c->cap_queue * 2 : 16;
        c->queue = pf_realloc(c->queue, c->cap_queue * sizeof(struct zkm_request *));
    }
    c->queue[c->n_queue++] = r;
    r->session_id = c->session_id;
    r->refs++;
    int64_t at_us = z->now_us + hop_us(z);

    c->last_arrival_us = at_us > c->last_arrival_us ? at_us : c->last_arrival_us;
    zkm_at(z, c->last_arrival_us,
           (struct zkm_job){
               .fn = job_arrive, .client = client, .connection = c->connection, .request = r});
}

/* --- the caller's side ------------------------------------------------------------------------ */

/* Whose next event is the first; a stopped process takes none. UINT32_MAX: nobody's. */
static uint32_t next_client(const struct zkm *z)
{
    const struct zkm_client *best = NULL;

    for (uint32_t i = 0; i < z->n_clients; i++) {
        const struct zkm_client *c = &z->client[i];

        if (c->n_out > 0 && !c->is_gone && !c->is_paused &&
            (best == NULL || c->out[0].at_us < best->out[0].at_us ||
             (c->out[0].at_us == best->out[0].at_us && c->out[0].number < best->out[0].number))) {
            best = c;
        }
    }
    return best != NULL ? best->number : UINT32_MAX;
}

int64_t zkm_next_us(const struct zkm *z)
{
    uint32_t i = next_client(z);
    int64_t at_us = z->n_jobs > 0 ? z->job[0].at_us : INT64_MAX;

    return i != UINT32_MAX && z->client[i].out[0].at_us < at_us ? z->client[i].out[0].at_us : at_us;
}

void zkm_run(struct zkm *z, int64_t now_us)
{
    while (z->n_jobs > 0 && z->job[0].at_us <= now_us) {
        struct zkm_job job = job_pop(z);

        z->now_us = job.at_us > z->now_us ? job.at_us : z->now_us;
        job.fn(z, &job);
    }
    z->now_us = now_us > z->now_us ? now_us : z->now_us;
}

bool zkm_take(struct zkm *z, struct zkm_event *out)
{
    uint32_t i = next_client(z);
    struct zkm_client *c = i != UINT32_MAX ? &z->client[i] : NULL;

    if (z->has_taken) {
        out_free(&z->taken);
        z->has_taken = false;
    }
    if (c == NULL || c->out[0].at_us > z->now_us) {
        return false;
    }
    z->taken = c->out[0];
    z->has_taken = true;
    c->n_out--;
    memmove(c->out, c->out + 1, c->n_out * sizeof *c->out);
    const struct zkm_out *o = &z->taken;

    *out = (struct zkm_event){.type = o->type, .client = c->number};
    switch (o->type) {
    case ZKM_SESSION:
        out->session = (struct pf_zk_session){.session = c->session,
                                              .state = o->state,
                                              .session_id = o->session_id,
                                              .timeout_ms = (int32_t)(c->timeout_us / 1000),
                                              .why = PF_STR("")};
        break;
    case ZKM_REPLY:
        out->reply = (struct pf_zk_reply){.id = o->request->id,
                                          .session = c->session,
                                          .code = o->code,
                                          .failed_op = o->failed_op,
                                          .stat = o->stat};
        if (o->code == PF_ZK_OK) {
            out->reply.data = (struct pf_bytes){o->data, o->len};
            out->reply.child = o->names;
            out->reply.n_children = o->n_names;
        }
        break;
    case ZKM_WATCH:
        out->watch = (struct pf_zk_watch){c->session, o->watch_type, pf_str(o->path)};
        break;
    }
    return true;
}

uint32_t zkm_open(struct zkm *z, uint8_t session, uint32_t server, int32_t timeout_ms)
{
    PF_ASSERT(z->n_clients < ZKM_CLIENTS_MAX);
    struct zkm_client *c = &z->client[z->n_clients];

    *c = (struct zkm_client){.number = z->n_clients++,
                             .session = session,
                             .server = -1,
                             .prefers = server % z->n_servers,
                             .timeout_us = (int64_t)timeout_ms * 1000};
    zkm_at(z, z->now_us + zkm_dice(z, 200, 5000),
           (struct zkm_job){.fn = zkm_connect, .client = c->number, .connection = 0});
    return c->number;
}

static void client_end(struct zkm_client *c)
{
    for (uint32_t i = 0; i < c->n_out; i++) {
        out_free(&c->out[i]);
    }
    for (uint32_t i = 0; i < c->n_queue; i++) {
        zkm_request_put(c->queue[i]);
    }
    c->n_out = c->n_queue = 0;
    PF_FREE(c->out);
    PF_FREE(c->queue);
    c->cap_out = c->cap_queue = 0;
    zkm_watches_forget(c);
    c->is_gone = true;
    c->server = -1;
    c->connection++;
}

void zkm_abandon(struct zkm *z, uint32_t client)
{
    note_heard(z, &z->client[client]);
    client_end(&z->client[client]);
}

void zkm_close(struct zkm *z, uint32_t client)
{
    struct zkm_client *c = &z->client[client];
    bool is_told = is_heard(z, c);

    client_end(c);
    if (is_told) {
        zkm_end_session(z, c->session_id);
    }
}

void zkm_destroy(struct zkm *z)
{
    if (z == NULL) {
        return;
    }
    if (z->has_taken) {
        out_free(&z->taken);
    }
    for (uint32_t i = 0; i < z->n_clients; i++) {
        client_end(&z->client[i]);
    }
    for (uint32_t i = 0; i < z->n_jobs; i++) {
        if (z->job[i].request != NULL) {
            zkm_request_put(z->job[i].request);
        }
    }
    zkm_servers_fini(z);
    pf_free(z->job);
    pf_free(z->live);
    pf_free(z);
}
