/* SPDX-License-Identifier: Apache-2.0 */
/* ZooKeeper for a program that does one thing and ends: one question at a time, on a loop of its
 * own; and the reading of a registry by the follower of common/elect. */
#include "master/daemon/masterd_transfer_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/arena.h"
#include "common/elect/elect.h"
#include "common/sys/clock.h"
#include "common/sys/log.h"
#include "common/sys/random.h"
#include "common/zk/client.h"
#include "master/daemon/masterd_internal.h"
#include "schemas/quorum.h"

enum {
    WAIT_MS = 30000,    /* for a connection, and for an answer */
    READ_MS = 300000,   /* for a whole registry */
    TROUBLE_MS = 10000, /* how long reading may be in trouble */
    LOOK_TRIES = 20,    /* whose answers were lost */
};

struct transfer_zk {
    char url[TRANSFER_PLACE];
    struct pf_loop *loop;
    struct pf_timer *timer;
    struct pf_zk *zk;
    struct pf_zk_session session; /* `why` points to `why` */
    char why[256];
    uint64_t id; /* of the last question */
    bool is_answered;
    struct pf_arena arena;
    struct pf_zk_reply reply; /* in `arena` */
    struct pf_replog *log;    /* NULL: nothing is read */
    struct pf_outbox outbox;
    char fatal[256];
};

/* --- what comes in ---------------------------------------------------------------------------- */

static void log_step(struct transfer_zk *z, struct pf_replog_event *ev)
{
    if (z->log != NULL) {
        ev->boot_ms = pf_boot_ms();
        pf_replog_step(z->log, ev);
    }
}

static void on_session(void *ctx, const struct pf_zk_session *s)
{
    struct transfer_zk *z = ctx;
    struct pf_replog_event ev = {.type = PF_REPLOG_SESSION, .session = *s};
    if (s->why.len > 0) {
        (void)snprintf(z->why, sizeof z->why, "%.*s", PF_STR_ARG(s->why));
    }
    z->session = *s;
    z->session.why = pf_str(z->why);
    log_step(z, &ev);
}

static void keep_reply(struct transfer_zk *z, const struct pf_zk_reply *r)
{
    struct pf_str *child = NULL;
    pf_arena_reset(&z->arena);
    z->reply = *r;
    z->reply.data.at = pf_arena_memdup(&z->arena, r->data.at, r->data.len);
    if (r->n_children > 0) {
        child = pf_arena_alloc(&z->arena, r->n_children * sizeof *child);
        for (uint32_t i = 0; i < r->n_children; i++) {
            child[i] = pf_arena_strdup(&z->arena, r->child[i]);
        }
    }
    z->reply.child = child;
    z->is_answered = true;
}

static void on_reply(void *ctx, const struct pf_zk_reply *r)
{
    struct transfer_zk *z = ctx;
    struct pf_replog_event ev = {.type = PF_REPLOG_REPLY, .reply = r};
    if ((r->id & PF_ZK_OWNER_LOG) != 0) {
        log_step(z, &ev);
    } else if (r->id == z->id) {
        keep_reply(z, r);
    }
}

static void on_watch(void *ctx, const struct pf_zk_watch *w)
{
    struct pf_replog_event ev = {.type = PF_REPLOG_WATCH, .watch = *w};
    log_step(ctx, &ev);
}

static void on_time(void *ctx)
{
    (void)ctx; /* it only ends a waiting turn */
}

/* --- waiting ---------------------------------------------------------------------------------- */

static int one_turn(struct transfer_zk *z, int64_t until_ms, struct pf_err *err)
{
    pf_timer_set(z->timer, until_ms);
    return pf_loop_turn(z->loop, true, err);
}

static int await_connection(struct transfer_zk *z, struct pf_err *err)
{
    int64_t until_ms = pf_now_ms() + WAIT_MS;
    int rc = 0;
    while (rc == 0 && z->session.state != PF_ZK_CONNECTED) {
        if (z->session.state == PF_ZK_AUTH_FAILED) {
            return pf_err_set(err, PF_EACCESS, "ZooKeeper at %s refuses us: %s", z->url, z->why);
        }
        if (pf_now_ms() >= until_ms) {
            return pf_err_set(err, PF_ETIMEOUT, "cannot reach ZooKeeper at %s%s%s", z->url,
                              z->why[0] != '\0' ? ": " : "", z->why);
        }
        rc = one_turn(z, until_ms, err);
    }
    return rc;
}

int transfer_zk_ask(struct transfer_zk *z, const struct pf_zk_request *q, struct pf_zk_reply *out,
                    struct pf_err *err)
{
    struct pf_zk_request request = *q;
    int rc = await_connection(z, err);
    if (rc < 0) {
        return rc;
    }
    int64_t until_ms = pf_now_ms() + WAIT_MS;
    request.id = ++z->id;
    request.session = 0;
    z->is_answered = false;
    pf_zk_submit(z->zk, &request);
    while (rc == 0 && !z->is_answered) {
        if (pf_now_ms() >= until_ms) {
            return pf_err_set(err, PF_ETIMEOUT, "ZooKeeper at %s does not answer", z->url);
        }
        rc = one_turn(z, until_ms, err);
    }
    *out = z->reply;
    return rc;
}

int transfer_zk_open(const struct transfer *t, struct transfer_zk **out, struct pf_err *err)
{
    struct transfer_zk *z = PF_NEW(struct transfer_zk);
    const struct pf_zk_ops ops = {on_session, on_reply, on_watch};
    const struct pf_zk_options zo = {
        .url = t->o->zk, .session_ms = (int32_t)t->o->zk_session_ms, .seed = pf_random_u64()};
    (void)snprintf(z->url, sizeof z->url, "%s", t->url);
    pf_outbox_init(&z->outbox);
    int rc = pf_loop_create(&z->loop, err);
    if (rc == 0) {
        z->timer = pf_timer_create(z->loop, PF_PRIO_NORMAL, on_time, z);
        rc = pf_zk_create(z->loop, &zo, &ops, z, &z->zk, err);
    }
    rc = rc < 0 ? rc : await_connection(z, err);
    if (rc < 0) {
        transfer_zk_close(z, false);
        return rc;
    }
    *out = z;
    return 0;
}

void transfer_zk_close(struct transfer_zk *z, bool is_crash)
{
    if (z == NULL) {
        return;
    }
    if (is_crash && z->zk != NULL) {
        pf_zk_abandon(z->zk);
    } else {
        pf_zk_destroy(z->zk);
    }
    pf_timer_destroy(z->timer);
    pf_loop_destroy(z->loop);
    pf_outbox_fini(&z->outbox);
    pf_arena_fini(&z->arena);
    pf_free(z);
}

/* --- looking ---------------------------------------------------------------------------------- */

/* A read that sees what was committed before it; asked again when its answer is lost. */
static int get(struct transfer_zk *z, enum pf_zk_op_type type, const char *path,
               struct pf_zk_reply *out, struct pf_err *err)
{
    for (int i = 0; i < LOOK_TRIES; i++) {
        const struct pf_zk_op sync = {.type = PF_ZK_SYNC, .path = pf_str(path)};
        const struct pf_zk_op read = {.type = type, .path = pf_str(path)};
        struct pf_zk_request q = {.n_ops = 1, .op = &sync};
        int rc = transfer_zk_ask(z, &q, out, err);
        if (rc == 0) {
            q.op = &read;
            rc = transfer_zk_ask(z, &q, out, err);
        }
        if (rc < 0 || out->code == PF_ZK_OK || out->code == PF_ZK_NO_NODE) {
            return rc;
        }
        if (out->code != PF_ZK_UNKNOWN && out->code != PF_ZK_NOT_SENT) {
            return pf_err_set(err, out->code == PF_ZK_NO_AUTH ? PF_EACCESS : PF_EIO,
                              "cannot read %s in ZooKeeper: %s", path, pf_zk_code_str(out->code));
        }
    }
    return pf_err_set(err, PF_ETIMEOUT, "the connection to ZooKeeper at %s breaks again and again",
                      z->url);
}

static int take_epoch(struct transfer_target *t, const struct pf_zk_reply *r, struct pf_err *err)
{
    struct pf_msg msg;
    t->has_epoch = r->code == PF_ZK_OK;
    if (!t->has_epoch) {
        return 0;
    }
    if (pf_fb_verify(r->data, &ZkEpoch__desc, &msg, NULL) < 0 ||
        ZkEpoch_incarnation(ZkEpoch__root(msg)).len != sizeof t->incarnation.b) {
        return pf_err_set(err, PF_EPROTO, "/epoch in ZooKeeper is none of ours");
    }
    struct ZkEpoch e = ZkEpoch__root(msg);
    memcpy(t->incarnation.b, ZkEpoch_incarnation(e).at, sizeof t->incarnation.b);
    t->epoch = ZkEpoch_epoch(e);
    t->epoch_version = r->stat.version;
    (void)snprintf(t->cluster, sizeof t->cluster, "%.*s", PF_STR_ARG(ZkEpoch_cluster(e)));
    (void)snprintf(t->exported_to, sizeof t->exported_to, "%.*s",
                   PF_STR_ARG(ZkEpoch_exported_to(e)));
    return 0;
}

static void take_leader(struct transfer_target *t, const struct pf_zk_reply *r)
{
    struct pf_msg msg;
    t->has_leader = r->code == PF_ZK_OK;
    if (t->has_leader && pf_fb_verify(r->data, &ZkLeader__desc, &msg, NULL) == 0) {
        (void)snprintf(t->leader, sizeof t->leader, "%.*s",
                       PF_STR_ARG(ZkLeader_address(ZkLeader__root(msg))));
    }
}

int transfer_zk_look(struct transfer_zk *z, struct transfer_target *out, struct pf_err *err)
{
    struct transfer_target t = {.head_version = -1};
    struct pf_zk_reply r;
    int rc = get(z, PF_ZK_GET, "/epoch", &r, err);
    rc = rc < 0 ? rc : take_epoch(&t, &r, err);
    if (rc == 0) {
        rc = get(z, PF_ZK_EXISTS, "/registry/base", &r, err);
        t.has_base = rc == 0 && r.code == PF_ZK_OK;
    }
    if (rc == 0) {
        rc = get(z, PF_ZK_EXISTS, "/registry/head", &r, err);
        t.has_head = rc == 0 && r.code == PF_ZK_OK;
        t.head_version = t.has_head ? r.stat.version : -1;
    }
    if (rc == 0) {
        rc = get(z, PF_ZK_GET, "/leader", &r, err);
        if (rc == 0) {
            take_leader(&t, &r);
        }
    }
    if (rc == 0) {
        rc = get(z, PF_ZK_CHILDREN, "/masters", &r, err);
        for (uint32_t i = 0; rc == 0 && r.code == PF_ZK_OK && i < r.n_children; i++) {
            t.n_masters += r.child[i].len > 0 && r.child[i].at[0] != '.'; /* those probe rights */
        }
    }
    if (rc == 0) {
        *out = t;
    }
    return rc;
}

/* --- reading ---------------------------------------------------------------------------------- */

static void carry_out(struct transfer_zk *z)
{
    const struct pf_quorum_effect *e;
    while ((e = pf_outbox_take(&z->outbox)) != NULL) {
        if (e->type == PF_QUORUM_ZK) {
            pf_zk_submit(z->zk, &e->zk);
        } else if (e->type == PF_QUORUM_FATAL) {
            (void)snprintf(z->fatal, sizeof z->fatal, "%.*s", PF_STR_ARG(e->say.text));
        }
    }
}

/* One turn; 1 = ready. */
static int read_on(struct transfer_zk *z, int64_t until_ms, int64_t *trouble_since_ms,
                   struct pf_err *err)
{
    const char *trouble = pf_replog_trouble(z->log);
    int64_t now_ms = pf_now_ms();
    carry_out(z);
    if (z->fatal[0] != '\0') {
        return pf_err_set(err, PF_EVERSION, "%s", z->fatal);
    }
    if (pf_replog_is_ready(z->log)) {
        return 1;
    }
    *trouble_since_ms = trouble == NULL ? now_ms : *trouble_since_ms;
    if (trouble != NULL && now_ms - *trouble_since_ms >= TROUBLE_MS) {
        return pf_err_set(err, PF_EPROTO, "%s", trouble);
    }
    if (now_ms >= until_ms) {
        return pf_err_set(err, PF_ETIMEOUT, "cannot read the registry in ZooKeeper at %s%s%s",
                          z->url, z->why[0] != '\0' ? ": " : "", z->why);
    }
    int64_t boot_ms = pf_replog_deadline(z->log), at_ms = now_ms + 1000;
    if (boot_ms != INT64_MAX && now_ms + boot_ms - pf_boot_ms() < at_ms) {
        at_ms = now_ms + boot_ms - pf_boot_ms();
    }
    return one_turn(z, at_ms < until_ms ? at_ms : until_ms, err);
}

int transfer_zk_read(struct transfer_zk *z, struct pf_replog **out, struct pf_err *err)
{
    const struct pf_replog_options lo = {
        .seed = pf_random_u64(), .format_min = REGISTRY_FORMAT, .format_max = REGISTRY_FORMAT};
    struct pf_replog_event ev = {.type = PF_REPLOG_SESSION, .session = z->session};
    int64_t until_ms = pf_now_ms() + READ_MS, trouble_since_ms = pf_now_ms();
    int rc = 0;
    z->log = pf_replog_create(&lo, &z->outbox);
    log_step(z, &ev);
    while (rc == 0) {
        rc = read_on(z, until_ms, &trouble_since_ms, err);
        if (rc == 0 && pf_replog_deadline(z->log) <= pf_boot_ms()) {
            ev = (struct pf_replog_event){.type = PF_REPLOG_TICK};
            log_step(z, &ev);
        }
    }
    *out = z->log;
    if (rc < 0) {
        transfer_zk_forget(z, z->log);
        *out = NULL;
    }
    return rc < 0 ? rc : 0;
}

void transfer_zk_forget(struct transfer_zk *z, struct pf_replog *log)
{
    PF_ASSERT(z->log == log);
    pf_replog_destroy(log);
    z->log = NULL;
}
