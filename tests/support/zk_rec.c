/* SPDX-License-Identifier: Apache-2.0 */
/* See zk_rec.h. */
#include "tests/support/zk_rec.h"

#include <stdio.h>
#include <stdlib.h>
#include "common/base/alloc.h"
#include "common/base/compiler.h"

static struct zk_rec_event *rec_add(struct zk_rec *r, enum zk_rec_kind kind, uint8_t session)
{
    if (r->n == r->cap) {
        r->cap = r->cap > 0 ? r->cap * 2 : 64;
        r->at = pf_realloc(r->at, r->cap * sizeof *r->at);
    }
    struct zk_rec_event *e = &r->at[r->n++];
    memset(e, 0, sizeof *e);
    e->kind = kind;
    e->session = session;
    return e;
}

void zk_rec_fini(struct zk_rec *r)
{
    PF_FREE(r->at);
    r->n = r->cap = 0;
}

void zk_rec_session(void *ctx, const struct pf_zk_session *s)
{
    struct zk_rec *r = ctx;
    struct zk_rec_event *e = rec_add(r, ZK_REC_SESSION, s->session);
    e->state = s->state;
    e->id = s->session_id;
    e->timeout_ms = s->timeout_ms;
    (void)snprintf(e->text, sizeof e->text, "%.*s", PF_STR_ARG(s->why));
    r->has_state[s->session] = true;
    r->state[s->session] = s->state;
    if (s->state == PF_ZK_CONNECTED) {
        r->session_id[s->session] = s->session_id;
    }
}

static int names_cmp(const void *a, const void *b)
{
    return pf_str_cmp(*(const struct pf_str *)a, *(const struct pf_str *)b);
}

void zk_rec_reply(void *ctx, const struct pf_zk_reply *reply)
{
    struct zk_rec_event *e = rec_add(ctx, ZK_REC_REPLY, reply->session);
    e->id = reply->id;
    e->code = reply->code;
    e->failed_op = reply->failed_op;
    e->stat = reply->stat;
    size_t n = reply->data.len < sizeof e->text - 1 ? reply->data.len : sizeof e->text - 1;
    if (n > 0) {
        memcpy(e->text, reply->data.at, n);
    }
    if (reply->n_children > 0) {
        struct pf_str *names = pf_memdup(reply->child, reply->n_children * sizeof *names);
        qsort(names, reply->n_children, sizeof *names, names_cmp);
        for (uint32_t i = 0; i < reply->n_children; i++) {
            size_t at = strlen(e->text);
            (void)snprintf(e->text + at, sizeof e->text - at, "%s%.*s", i > 0 ? "," : "",
                           PF_STR_ARG(names[i]));
        }
        pf_free(names);
    }
}

void zk_rec_watch(void *ctx, const struct pf_zk_watch *w)
{
    struct zk_rec_event *e = rec_add(ctx, ZK_REC_WATCH, w->session);
    e->watch = w->type;
    (void)snprintf(e->text, sizeof e->text, "%.*s", PF_STR_ARG(w->path));
}

bool zk_rec_is_connected(const struct zk_rec *r, uint8_t session)
{
    return r->has_state[session] && r->state[session] == PF_ZK_CONNECTED;
}

int zk_rec_find_reply(const struct zk_rec *r, uint64_t id)
{
    for (uint32_t i = 0; i < r->n; i++) {
        if (r->at[i].kind == ZK_REC_REPLY && r->at[i].id == id) {
            return (int)i;
        }
    }
    return -1;
}

int zk_rec_find_watch(const struct zk_rec *r, enum pf_zk_watch_type type, const char *path)
{
    for (uint32_t i = 0; i < r->n; i++) {
        if (r->at[i].kind == ZK_REC_WATCH && r->at[i].watch == type &&
            strcmp(r->at[i].text, path) == 0) {
            return (int)i;
        }
    }
    return -1;
}

int zk_rec_find_state(const struct zk_rec *r, uint8_t session, enum pf_zk_state state, uint32_t n)
{
    for (uint32_t i = 0; i < r->n; i++) {
        const struct zk_rec_event *e = &r->at[i];
        if (e->kind == ZK_REC_SESSION && e->session == session && e->state == state && n-- == 0) {
            return (int)i;
        }
    }
    return -1;
}
