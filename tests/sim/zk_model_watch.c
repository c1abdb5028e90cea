/* SPDX-License-Identifier: Apache-2.0 */
/* Watches of the model: one shot; armed by reads, fired when the client's server applies a change,
 * or, after a reconnect, because the node is not what it was. */
#include <string.h>
#include "common/base/alloc.h"
#include "tests/sim/zk_model_internal.h"

static void arm(struct zkm_client *c, struct zkm_watch w)
{
    for (uint32_t i = 0; i < c->n_watches; i++) {
        if (c->watch[i].type == w.type && strcmp(c->watch[i].path, w.path) == 0) {
            pf_free(c->watch[i].path);
            c->watch[i] = w;
            return;
        }
    }
    if (c->n_watches == c->cap_watches) {
        c->cap_watches = c->cap_watches > 0 ? c->cap_watches * 2 : 16;
        c->watch = pf_realloc(c->watch, c->cap_watches * sizeof *c->watch);
    }
    c->watch[c->n_watches++] = w;
}

void zkm_watch_add(struct zkm_client *c, const struct pf_zk_op *op, const struct zkm_tree_node *n)
{
    if (n == NULL && op->type != PF_ZK_EXISTS) {
        return; /* a failed read arms nothing */
    }
    arm(c, (struct zkm_watch){.path = pf_strndup(op->path.at, op->path.len),
                              .type = op->type == PF_ZK_CHILDREN ? PF_ZK_CHILDREN : PF_ZK_GET,
                              .existed = n != NULL,
                              .mzxid = n != NULL ? n->mzxid : 0,
                              .czxid = n != NULL ? n->czxid : 0,
                              .pzxid = n != NULL ? n->pzxid : 0});
}

void zkm_watch_rearm(struct zkm_client *c, const struct zkm_out *fired)
{
    /* As if nothing had been seen since: it fires again at the reconnect. */
    arm(c, (struct zkm_watch){.path = pf_strdup(fired->path),
                              .type = (enum pf_zk_op_type)fired->watched,
                              .existed = fired->watch_type != PF_ZK_NODE_CREATED,
                              .mzxid = -1,
                              .czxid = -1,
                              .pzxid = -1});
}

void zkm_watches_forget(struct zkm_client *c)
{
    for (uint32_t i = 0; i < c->n_watches; i++) {
        pf_free(c->watch[i].path);
    }
    PF_FREE(c->watch);
    c->n_watches = c->cap_watches = 0;
}

static void fire(struct zkm *z, struct zkm_client *c, uint32_t i, enum pf_zk_watch_type type)
{
    struct zkm_watch w = c->watch[i];

    if (c->n_out == c->cap_out) {
        c->cap_out = c->cap_out > 0 ? c->cap_out * 2 : 16;
        c->out = pf_realloc(c->out, c->cap_out * sizeof *c->out);
    }
    c->last_out_us = c->last_out_us > z->now_us ? c->last_out_us : z->now_us;
    c->last_out_us += zkm_dice(z, 0, 39) == 0 ? zkm_dice(z, 1000, 80000) : zkm_dice(z, 20, 400);
    c->out[c->n_out++] = (struct zkm_out){.type = ZKM_WATCH,
                                          .at_us = c->last_out_us,
                                          .number = ++z->next_number,
                                          .watch_type = type,
                                          .path = w.path,
                                          .watched = (uint8_t)w.type};
    c->watch[i] = c->watch[--c->n_watches];
}

void zkm_watches_fire(struct zkm *z, struct zkm_client *c, enum pf_zk_watch_type type,
                      const char *path)
{
    for (uint32_t i = 0; i < c->n_watches;) {
        bool is_children = c->watch[i].type == PF_ZK_CHILDREN;
        bool matches = type == PF_ZK_CHILDREN_CHANGED ? is_children
                       : type == PF_ZK_NODE_DELETED   ? true
                                                      : !is_children;

        if (matches && strcmp(c->watch[i].path, path) == 0) {
            fire(z, c, i, type);
        } else {
            i++;
        }
    }
}

void zkm_watches_check(struct zkm *z, struct zkm_client *c)
{
    const struct zkm_tree *t = &z->server[c->server].tree;

    for (uint32_t i = 0; i < c->n_watches;) {
        const struct zkm_watch *w = &c->watch[i];
        const struct zkm_tree_node *n = zkm_tree_find(t, pf_str(w->path));

        if (n == NULL && w->existed) {
            fire(z, c, i, PF_ZK_NODE_DELETED);
        } else if (n != NULL && w->type == PF_ZK_CHILDREN && n->pzxid != w->pzxid) {
            fire(z, c, i, PF_ZK_CHILDREN_CHANGED);
        } else if (n != NULL && w->type != PF_ZK_CHILDREN && !w->existed) {
            fire(z, c, i, PF_ZK_NODE_CREATED);
        } else if (n != NULL && w->type != PF_ZK_CHILDREN &&
                   (n->mzxid != w->mzxid || n->czxid != w->czxid)) {
            fire(z, c, i, PF_ZK_NODE_CHANGED);
        } else {
            i++;
        }
    }
}

void zkm_children(const struct zkm_tree *t, struct pf_str path, struct zkm_out *o)
{
    size_t bytes = 0;
    uint32_t n = 0;

    for (int round = 0; round < 2; round++) {
        char *text = round == 1 ? (char *)(o->names + n) : NULL;

        n = round == 1 ? 0 : n;
        for (uint32_t i = 0; i < t->n; i++) {
            const struct zkm_tree_node *x = t->node[i];
            size_t len = strlen(x->path);

            if (!x->is_live || len <= path.len + 1 || x->path[path.len] != '/' ||
                (path.len > 0 && memcmp(x->path, path.at, path.len) != 0) ||
                strchr(x->path + path.len + 1, '/') != NULL) {
                continue;
            }
            if (round == 1) {
                memcpy(text, x->path + path.len + 1, len - path.len);
                o->names[n] = (struct pf_str){text, (uint32_t)(len - path.len - 1)};
                text += len - path.len;
            }
            bytes += len - path.len;
            n++;
        }
        if (round == 0) {
            o->names = n > 0 ? pf_alloc(n * sizeof *o->names + bytes) : NULL;
            if (n == 0) {
                return;
            }
        }
    }
    o->n_names = n;
}
