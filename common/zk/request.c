/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to the library and its completions back, in order. A request that is answered UNKNOWN
 * stays with the orphans until the library lets go of it. */
#include <string.h>
#include "common/base/alloc.h"
#include "common/sys/clock.h"
#include "common/zk/client_internal.h"

/* The servers cut a connection that brings more than 1 MiB (jute.maxbuffer). */
#define REQUEST_BYTES_MAX ((1u << 20) - (16u << 10))

static const int64_t bucket_us[PF_ZK_BUCKETS - 1] = {1000,   3000,   10000,  30000,
                                                     100000, 300000, 1000000};

static enum pf_zk_code code_of(int rc)
{
    switch (rc) {
    case ZOK: return PF_ZK_OK;
    case ZNONODE: return PF_ZK_NO_NODE;
    case ZNODEEXISTS: return PF_ZK_NODE_EXISTS;
    case ZBADVERSION: return PF_ZK_BAD_VERSION;
    case ZNOTEMPTY: return PF_ZK_NOT_EMPTY;
    case ZNOAUTH: return PF_ZK_NO_AUTH;
    case ZCONNECTIONLOSS:
    case ZOPERATIONTIMEOUT:
    case ZSESSIONEXPIRED:
    case ZSESSIONMOVED:
    case ZAUTHFAILED:
    case ZCLOSING: return PF_ZK_UNKNOWN;
    default: return PF_ZK_FAILED;
    }
}

/* --- answers --------------------------------------------------------------------------------- */

static struct zk_event *reply_new(const struct zk_session *s, uint64_t id, enum pf_zk_code code)
{
    struct zk_event *e = PF_NEW(struct zk_event);
    e->kind = ZK_EVENT_REPLY;
    e->reply.id = id;
    e->reply.session = s->index;
    e->reply.code = code;
    return e;
}

static void reply_push(struct zk_session *s, struct zk_event *e)
{
    s->stats.replies[e->reply.code]++;
    zk_push(s->z, e);
}

static void stat_copy(struct pf_zk_stat *out, const struct Stat *stat)
{
    if (stat != NULL) {
        out->version = stat->version;
        out->ephemeral_owner = (uint64_t)stat->ephemeralOwner;
        out->czxid = stat->czxid;
        out->mzxid = stat->mzxid;
        out->n_children = (uint32_t)stat->numChildren;
    }
}

static void request_free(struct zk_request *r)
{
    pf_free(r->result);
    pf_free(r);
}

void zk_requests_free(struct zk_requests *list)
{
    struct zk_request *r;
    while ((r = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, r, link);
        request_free(r);
    }
}

/* Requests that were never sent, and that no one is before any more. */
static void locals_answer(struct zk_session *s)
{
    struct zk_request *r;
    while ((r = TAILQ_FIRST(&s->pending)) != NULL && r->is_local) {
        TAILQ_REMOVE(&s->pending, r, link);
        if (!r->is_setup) {
            reply_push(s, reply_new(s, r->id, PF_ZK_FAILED));
        }
        request_free(r);
    }
}

static void latency_note(struct zk_stats *stats, int64_t us)
{
    size_t i = 0;
    us = us < 0 ? 0 : us;
    while (i < PF_ARRAY_LEN(bucket_us) && us > bucket_us[i]) {
        i++;
    }
    stats->bucket[i]++;
    stats->latency_us_sum += (uint64_t)us;
    stats->latency_us_max = us > stats->latency_us_max ? us : stats->latency_us_max;
}

/* The result of a multi: the operation that it failed at. */
static int multi_result(const struct zk_request *r, int rc, uint32_t *out_failed_op)
{
    if (rc == ZOK || code_of(rc) == PF_ZK_UNKNOWN) {
        return rc;
    }
    for (uint32_t i = 0; i < r->n_results; i++) {
        if (r->result[i].err != ZOK && r->result[i].err != ZRUNTIMEINCONSISTENCY) {
            *out_failed_op = i;
            return r->result[i].err;
        }
    }
    return rc;
}

/* Takes what the library answered off its list. NULL: nobody is to hear of it. */
static struct zk_event *request_take(struct zk_request *r, int rc)
{
    struct zk_session *s = r->s;
    if (s->is_closing) {
        return NULL; /* freed with the session's lists */
    }
    uint32_t failed_op = 0;
    if (r->result != NULL) {
        rc = multi_result(r, rc, &failed_op);
    }
    if (r->is_orphan) {
        TAILQ_REMOVE(&s->orphans, r, link);
        request_free(r);
        return NULL;
    }
    TAILQ_REMOVE(&s->pending, r, link);
    struct zk_event *e = NULL;
    if (r->is_setup) {
        zk_setup_answer(s, r, rc);
    } else {
        latency_note(&s->stats, pf_now_us() - r->began_us);
        e = reply_new(s, r->id, code_of(rc));
        e->reply.failed_op = failed_op;
    }
    request_free(r);
    return e;
}

static void request_done(struct zk_session *s, struct zk_event *e)
{
    if (e != NULL) {
        reply_push(s, e);
    }
    if (!s->is_closing) {
        locals_answer(s);
    }
}

/* The library hands back the pointer that it got, with a const that is not ours. */
static struct zk_request *request_of(const void *ctx)
{
    return (struct zk_request *)(uintptr_t)ctx;
}

void zk_request_done_void(int rc, const void *ctx)
{
    struct zk_session *s = request_of(ctx)->s;
    request_done(s, request_take(request_of(ctx), rc));
}

void zk_request_done_string(int rc, const char *value, const void *ctx)
{
    (void)value;
    zk_request_done_void(rc, ctx);
}

static void done_stat(int rc, const struct Stat *stat, const void *ctx)
{
    struct zk_session *s = request_of(ctx)->s;
    struct zk_event *e = request_take(request_of(ctx), rc);
    if (e != NULL && rc == ZOK) {
        stat_copy(&e->reply.stat, stat);
    }
    request_done(s, e);
}

void zk_request_done_data(int rc, const char *value, int len, const struct Stat *stat,
                          const void *ctx)
{
    struct zk_session *s = request_of(ctx)->s;
    struct zk_event *e = request_take(request_of(ctx), rc);
    if (e != NULL && rc == ZOK) {
        stat_copy(&e->reply.stat, stat);
        if (value != NULL && len > 0) {
            e->text = pf_memdup(value, (size_t)len);
            e->reply.data = (struct pf_bytes){(const uint8_t *)e->text, (uint32_t)len};
        }
    }
    request_done(s, e);
}

static void done_children(int rc, const struct String_vector *names, const struct Stat *stat,
                          const void *ctx)
{
    struct zk_session *s = request_of(ctx)->s;
    struct zk_event *e = request_take(request_of(ctx), rc);
    if (e != NULL && rc == ZOK) {
        stat_copy(&e->reply.stat, stat);
        uint32_t n = names != NULL ? (uint32_t)names->count : 0;
        size_t bytes = 0;
        for (uint32_t i = 0; i < n; i++) {
            bytes += strlen(names->data[i]) + 1;
        }
        e->text = pf_alloc(bytes + 1);
        e->names = pf_alloc((n + 1) * sizeof *e->names);
        char *at = e->text;
        for (uint32_t i = 0; i < n; i++) {
            size_t len = strlen(names->data[i]);
            memcpy(at, names->data[i], len + 1);
            e->names[i] = (struct pf_str){at, (uint32_t)len};
            at += len + 1;
        }
        e->reply.child = e->names;
        e->reply.n_children = n;
    }
    request_done(s, e);
}

void zk_requests_orphan(struct zk_session *s)
{
    struct zk_request *r;
    while ((r = TAILQ_FIRST(&s->pending)) != NULL) {
        TAILQ_REMOVE(&s->pending, r, link);
        if (!r->is_setup) {
            reply_push(s, reply_new(s, r->id, r->is_local ? PF_ZK_FAILED : PF_ZK_UNKNOWN));
        }
        if (r->is_local) {
            request_free(r);
        } else {
            r->is_orphan = true;
            TAILQ_INSERT_TAIL(&s->orphans, r, link);
        }
    }
}

/* --- asking ---------------------------------------------------------------------------------- */

struct zk_request *zk_request_new(struct zk_session *s, uint64_t id, uint32_t n_results)
{
    struct zk_request *r = PF_NEW(struct zk_request);
    r->s = s;
    r->id = id;
    r->began_us = pf_now_us();
    r->n_results = n_results;
    if (n_results > 0) {
        r->result = pf_alloc(n_results * sizeof *r->result);
    }
    TAILQ_INSERT_TAIL(&s->pending, r, link);
    return r;
}

void zk_request_sent(struct zk_request *r, int rc)
{
    if (rc != ZOK) {
        pf_log(PF_LOG_DEBUG, "zookeeper refuses a request", "why=%s", zerror(rc));
        struct zk_session *s = r->s;
        r->is_local = true;
        if (r->is_setup) {
            zk_setup_answer(s, r, rc);
        }
        locals_answer(s);
    }
}

static void op_fill(zoo_op_t *out, const struct pf_zk *z, const struct pf_zk_op *op,
                    const char *path)
{
    const char *data = (const char *)op->data.at;
    switch (op->type) {
    case PF_ZK_CREATE:
        zoo_create_op_init(out, path, data != NULL ? data : "", (int)op->data.len, &z->acls,
                           op->is_ephemeral ? ZOO_EPHEMERAL : 0, NULL, 0);
        return;
    case PF_ZK_DELETE: zoo_delete_op_init(out, path, op->version); return;
    case PF_ZK_SET:
        zoo_set_op_init(out, path, data != NULL ? data : "", (int)op->data.len, op->version, NULL);
        return;
    case PF_ZK_CHECK: zoo_check_op_init(out, path, op->version); return;
    case PF_ZK_INVALID:
    case PF_ZK_GET:
    case PF_ZK_EXISTS:
    case PF_ZK_CHILDREN:
    case PF_ZK_SYNC: break;
    }
    bool fits_a_multi = false;
    PF_ASSERT(fits_a_multi);
}

static void multi_send(struct zk_session *s, const struct pf_zk_request *q)
{
    struct zk_request *r = zk_request_new(s, q->id, q->n_ops);
    zoo_op_t *ops = pf_alloc(q->n_ops * sizeof *ops);
    char **paths = pf_alloc(q->n_ops * sizeof *paths);
    for (uint32_t i = 0; i < q->n_ops; i++) {
        paths[i] = zk_path_join(s->z, q->op[i].path);
        op_fill(&ops[i], s->z, &q->op[i], paths[i]);
    }
    zk_request_sent(r, zoo_amulti(s->zh, (int)q->n_ops, ops, r->result, zk_request_done_void, r));
    for (uint32_t i = 0; i < q->n_ops; i++) {
        pf_free(paths[i]);
    }
    pf_free(paths);
    pf_free(ops);
}

static int single_call(struct zk_request *r, const struct pf_zk_op *op, const char *path)
{
    zhandle_t *zh = r->s->zh;
    const char *data = op->data.at != NULL ? (const char *)op->data.at : "";
    switch (op->type) {
    case PF_ZK_CREATE:
        return zoo_acreate(zh, path, data, (int)op->data.len, &r->s->z->acls,
                           op->is_ephemeral ? ZOO_EPHEMERAL : 0, zk_request_done_string, r);
    case PF_ZK_DELETE: return zoo_adelete(zh, path, op->version, zk_request_done_void, r);
    case PF_ZK_SET: return zoo_aset(zh, path, data, (int)op->data.len, op->version, done_stat, r);
    case PF_ZK_GET: return zoo_aget(zh, path, op->watch ? 1 : 0, zk_request_done_data, r);
    case PF_ZK_EXISTS: return zoo_aexists(zh, path, op->watch ? 1 : 0, done_stat, r);
    case PF_ZK_CHILDREN: return zoo_aget_children2(zh, path, op->watch ? 1 : 0, done_children, r);
    case PF_ZK_SYNC: return zoo_async(zh, path, zk_request_done_string, r);
    case PF_ZK_INVALID:
    case PF_ZK_CHECK: break;
    }
    bool is_known = false;
    PF_ASSERT(is_known);
    return ZBADARGUMENTS;
}

static bool is_too_large(const struct pf_zk_request *q)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < q->n_ops; i++) {
        bytes += q->op[i].data.len + q->op[i].path.len + PF_ZK_PATH_MAX + 64u;
    }
    return bytes > REQUEST_BYTES_MAX;
}

void zk_request_send(struct zk_session *s, const struct pf_zk_request *q)
{
    PF_ASSERT(q->n_ops > 0);
    zk_session_look(s);
    if (s->phase != ZK_UP) {
        reply_push(s, reply_new(s, q->id, PF_ZK_NOT_SENT));
        return;
    }
    bool is_multi = q->n_ops > 1 || q->op[0].type == PF_ZK_CHECK;
    if (is_too_large(q)) {
        zk_request_new(s, q->id, 0)->is_local = true;
        locals_answer(s);
    } else if (is_multi) {
        multi_send(s, q);
    } else {
        struct zk_request *r = zk_request_new(s, q->id, 0);
        char *path = zk_path_join(s->z, q->op[0].path);
        zk_request_sent(r, single_call(r, &q->op[0], path));
        pf_free(path);
    }
    zk_session_look(s);
    zk_session_arm_soon(s);
}
