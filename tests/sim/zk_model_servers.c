/* SPDX-License-Identifier: Apache-2.0 */
/* The servers: history, leader, lag, sessions that run out, and what may happen to them. */
#include <string.h>
#include "common/base/alloc.h"
#include "tests/sim/zk_model_internal.h"

static void job_tick(struct zkm *z, const struct zkm_job *job);

struct zkm *zkm_create(const struct zkm_options *o)
{
    struct zkm *z = PF_NEW(struct zkm);

    PF_ASSERT(o->n_servers >= 1 && o->n_servers <= ZKM_SERVERS_MAX && o->tick_ms > 0);
    z->o = *o;
    pf_rng_seed(&z->rng, o->seed);
    z->n_servers = o->n_servers;
    zkm_tree_init(&z->head, pf_rng_next(&z->rng));
    for (uint32_t i = 0; i < z->n_servers; i++) {
        zkm_tree_init(&z->server[i].tree, pf_rng_next(&z->rng));
        z->server[i].is_up = true;
    }
    zkm_at(z, (int64_t)o->tick_ms * 1000, (struct zkm_job){.fn = job_tick});
    return z;
}

void zkm_servers_fini(struct zkm *z)
{
    for (int64_t i = 0; i < z->n_txns; i++) {
        if (z->txn[i].request != NULL) {
            zkm_request_put(z->txn[i].request);
        }
    }
    pf_free(z->txn);
    zkm_tree_fini(&z->head);
    for (uint32_t i = 0; i < z->n_servers; i++) {
        zkm_tree_fini(&z->server[i].tree);
    }
}

/* --- history ---------------------------------------------------------------------------------- */

struct fire {
    struct zkm *z;
    uint32_t server;
};

static void on_changed(void *ctx, enum pf_zk_watch_type type, const char *path)
{
    struct fire *f = ctx;

    for (uint32_t i = 0; i < f->z->n_clients; i++) {
        struct zkm_client *c = &f->z->client[i];

        if (c->server == (int32_t)f->server && !c->is_gone) {
            zkm_watches_fire(f->z, c, type, path);
        }
    }
}

static void apply_up_to(struct zkm *z, uint32_t server, int64_t zxid)
{
    struct zkm_server *s = &z->server[server];
    struct fire fire = {z, server};

    while (s->applied < zxid) {
        const struct zkm_txn *t = &z->txn[s->applied++];

        if (t->request == NULL) {
            zkm_tree_end_session(&s->tree, t->session_id, s->applied, on_changed, &fire);
        } else {
            zkm_tree_do(&s->tree, t->request->op, t->request->n_ops, t->session_id, s->applied,
                        on_changed, &fire);
        }
    }
}

static void job_apply(struct zkm *z, const struct zkm_job *job)
{
    struct zkm_server *s = &z->server[job->server];

    if (!s->is_up || s->is_cut) {
        return; /* it catches up when it is back */
    }
    apply_up_to(z, job->server, job->zxid);
    for (uint32_t i = 0; i < z->n_clients; i++) {
        if (z->client[i].server == (int32_t)job->server) {
            zkm_progress(z, &z->client[i]);
        }
    }
}

static void append(struct zkm *z, struct zkm_request *r, uint64_t session_id)
{
    if (z->n_txns == z->cap_txns) {
        z->cap_txns = z->cap_txns > 0 ? z->cap_txns * 2 : 256;
        z->txn = pf_realloc(z->txn, (size_t)z->cap_txns * sizeof *z->txn);
    }
    z->txn[z->n_txns++] = (struct zkm_txn){r, session_id};
    for (uint32_t i = 0; i < z->n_servers; i++) {
        struct zkm_server *s = &z->server[i];
        int64_t at_us = z->now_us + (zkm_dice(z, 0, 29) == 0 ? zkm_dice(z, 1000, 100000)
                                                             : zkm_dice(z, 20, 400));

        s->apply_us = at_us > s->apply_us ? at_us : s->apply_us;
        zkm_at(z, s->apply_us, (struct zkm_job){.fn = job_apply, .server = i, .zxid = z->n_txns});
    }
}

void zkm_commit(struct zkm *z, struct zkm_request *r)
{
    r->is_decided = true;
    r->code = PF_ZK_OK;
    if (r->is_write) {
        r->code = zkm_tree_try(&z->head, r->op, r->n_ops, &r->failed_op);
    }
    if (r->is_write && r->code == PF_ZK_OK) {
        zkm_tree_do(&z->head, r->op, r->n_ops, r->session_id, z->n_txns + 1, NULL, NULL);
        r->refs++;
        append(z, r, r->session_id);
        const struct zkm_tree_node *n = zkm_tree_find(&z->head, r->op[0].path);

        r->version = n != NULL ? n->version : 0;
    }
    r->zxid = z->n_txns;
}

void zkm_end_session(struct zkm *z, uint64_t session_id)
{
    for (uint32_t i = 0; i < z->n_live; i++) {
        if (z->live[i].id == session_id) {
            z->live[i] = z->live[--z->n_live];
            zkm_tree_end_session(&z->head, session_id, z->n_txns + 1, NULL, NULL);
            append(z, NULL, session_id);
            return;
        }
    }
}

/* --- sessions run out ------------------------------------------------------------------------- */

static void job_tick(struct zkm *z, const struct zkm_job *job)
{
    uint64_t ended[64];
    uint32_t n_ended = 0;

    for (uint32_t i = 0; i < z->n_clients; i++) {
        const struct zkm_client *c = &z->client[i];
        struct zkm_live *s = zkm_live_of(z, c->session_id);

        if (s != NULL && c->server >= 0 && !c->is_cut && !c->is_paused && !c->is_gone &&
            z->server[c->server].is_up && !z->server[c->server].is_cut && z->leader >= 0) {
            s->heard_us = z->now_us;
        }
    }
    for (uint32_t i = 0; z->leader >= 0 && i < z->n_live && n_ended < 64; i++) {
        if (z->now_us - z->live[i].heard_us > z->live[i].timeout_us) {
            ended[n_ended++] = z->live[i].id;
        }
    }
    for (uint32_t i = 0; i < n_ended; i++) {
        zkm_end_session(z, ended[i]);
        for (uint32_t k = 0; k < z->n_clients; k++) {
            struct zkm_client *c = &z->client[k];

            if (c->session_id == ended[i] && !c->is_cut && c->server >= 0 &&
                !z->server[c->server].is_cut) {
                zkm_drop(z, c); /* its server closes the connection; it hears when it can */
            }
        }
    }
    zkm_at(z, z->now_us + (int64_t)z->o.tick_ms * 1000, *job);
}

void zkm_expire(struct zkm *z, uint32_t client)
{
    struct zkm_client *c = &z->client[client];

    if (z->leader >= 0 && zkm_live_of(z, c->session_id) != NULL) {
        zkm_end_session(z, c->session_id);
        zkm_drop(z, c);
    }
}

/* --- leaders ---------------------------------------------------------------------------------- */

static bool is_member(const struct zkm *z, uint32_t i)
{
    return z->server[i].is_up && !z->server[i].is_cut;
}

static void drop_clients_of(struct zkm *z, uint32_t server)
{
    for (uint32_t i = 0; i < z->n_clients; i++) {
        if (z->client[i].server == (int32_t)server) {
            zkm_drop(z, &z->client[i]);
        }
    }
}

static void job_elect(struct zkm *z, const struct zkm_job *job)
{
    uint32_t n = 0;
    int32_t best = -1;

    if (job->zxid != (int64_t)z->election || z->leader >= 0) {
        return;
    }
    for (uint32_t i = 0; i < z->n_servers; i++) {
        if (is_member(z, i)) {
            n++;
            best = best < 0 || z->server[i].applied > z->server[best].applied ? (int32_t)i : best;
        }
    }
    if (n <= z->n_servers / 2) {
        return;
    }
    z->leader = best;
    for (uint32_t i = 0; i < z->n_servers; i++) {
        if (is_member(z, i)) {
            apply_up_to(z, i, z->n_txns);
        }
    }
    for (uint32_t i = 0; i < z->n_live; i++) {
        z->live[i].heard_us = z->now_us; /* a new leader begins to count anew */
    }
}

static void look_for_leader(struct zkm *z)
{
    int64_t ms = z->n_servers == 1 ? zkm_dice(z, 5, 30) : zkm_dice(z, 150, 900);

    zkm_at(z, z->now_us + ms * 1000,
           (struct zkm_job){.fn = job_elect, .zxid = (int64_t)++z->election});
}

/* Without its leader, or without a majority, nobody serves. */
static void members_changed(struct zkm *z)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < z->n_servers; i++) {
        n += is_member(z, i);
    }
    if (z->leader >= 0 && is_member(z, (uint32_t)z->leader) && n > z->n_servers / 2) {
        return;
    }
    z->leader = -1;
    for (uint32_t i = 0; i < z->n_servers; i++) {
        if (is_member(z, i)) {
            drop_clients_of(z, i);
        }
    }
    look_for_leader(z);
}

void zkm_server_kill(struct zkm *z, uint32_t server)
{
    if (z->server[server].is_up) {
        z->server[server].is_up = false;
        drop_clients_of(z, server);
        members_changed(z);
    }
}

static void rejoin(struct zkm *z, uint32_t server)
{
    if (z->leader >= 0 && is_member(z, server)) {
        apply_up_to(z, server, z->n_txns);
    }
    members_changed(z);
}

static void job_start(struct zkm *z, const struct zkm_job *job)
{
    z->server[job->server].is_up = true;
    rejoin(z, job->server);
}

void zkm_server_start(struct zkm *z, uint32_t server)
{
    if (!z->server[server].is_up) {
        zkm_at(z, z->now_us + zkm_dice(z, 400, 1100) * 1000,
               (struct zkm_job){.fn = job_start, .server = server});
    }
}

static void job_sync_limit(struct zkm *z, const struct zkm_job *job)
{
    if (z->server[job->server].is_cut) {
        drop_clients_of(z, job->server);
    }
}

void zkm_server_cut(struct zkm *z, uint32_t server, bool is_cut)
{
    struct zkm_server *s = &z->server[server];

    if (s->is_cut == is_cut || z->n_servers == 1) {
        return;
    }
    s->is_cut = is_cut;
    if (!is_cut) {
        drop_clients_of(z, server); /* it gave up leading or following meanwhile */
        rejoin(z, server);
        return;
    }
    for (uint32_t i = 0; i < z->n_clients; i++) { /* the others hear of its clients no more */
        struct zkm_live *live = zkm_live_of(z, z->client[i].session_id);

        if (z->client[i].server == (int32_t)server && live != NULL) {
            live->heard_us = z->now_us;
        }
    }
    zkm_at(z, z->now_us + (int64_t)z->o.sync_limit_ms * 1000,
           (struct zkm_job){.fn = job_sync_limit, .server = server});
    members_changed(z);
}

uint32_t zkm_leader(const struct zkm *z)
{
    return z->leader >= 0 ? (uint32_t)z->leader : UINT32_MAX;
}

uint32_t zkm_n_servers(const struct zkm *z)
{
    return z->n_servers;
}

const struct pf_bytes *zkm_node(struct zkm *z, struct pf_str path)
{
    const struct zkm_tree_node *n = zkm_tree_find(&z->head, path);

    if (n == NULL) {
        return NULL;
    }
    z->looked = (struct pf_bytes){n->data, n->len};
    return &z->looked;
}

/* --- clients are cut off ---------------------------------------------------------------------- */

static void job_notice(struct zkm *z, const struct zkm_job *job)
{
    struct zkm_client *c = &z->client[job->client];

    if (c->connection == job->connection && c->is_cut) {
        zkm_drop(z, c);
    }
}

void zkm_client_cut(struct zkm *z, uint32_t client, bool is_cut)
{
    struct zkm_client *c = &z->client[client];
    struct zkm_live *s = zkm_live_of(z, c->session_id);

    if (c->is_cut == is_cut || c->is_gone) {
        return;
    }
    if (is_cut && s != NULL && c->server >= 0 && !c->is_paused) {
        s->heard_us = z->now_us;
    }
    c->is_cut = is_cut;
    if (is_cut) {
        zkm_at(z, z->now_us + c->timeout_us * 2 / 3,
               (struct zkm_job){.fn = job_notice, .client = client, .connection = c->connection});
    } else if (c->server >= 0 && s == NULL) {
        zkm_drop(z, c); /* it expired meanwhile */
    } else {
        zkm_progress(z, c);
    }
}

void zkm_client_pause(struct zkm *z, uint32_t client, bool is_paused)
{
    struct zkm_client *c = &z->client[client];
    struct zkm_live *s = zkm_live_of(z, c->session_id);

    if (s != NULL && c->server >= 0 && !c->is_cut && !c->is_paused) {
        s->heard_us = z->now_us;
    }
    c->is_paused = is_paused;
}

void zkm_break_at_write(struct zkm *z, uint32_t client, bool is_committed)
{
    z->client[client].breaks = is_committed ? 2 : 1;
}
