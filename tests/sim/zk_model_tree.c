/* SPDX-License-Identifier: Apache-2.0 */
/* See zk_model_tree.h. */
#include "tests/sim/zk_model_tree.h"

#include <string.h>
#include "common/base/alloc.h"

static void node_put(struct zkm_tree *t, struct zkm_tree_node *n)
{
    pf_map_put(&t->by_path, n->path, (uint32_t)strlen(n->path), n);
    if (t->n == t->cap) {
        t->cap = t->cap > 0 ? t->cap * 2 : 64;
        t->node = pf_realloc(t->node, t->cap * sizeof(struct zkm_tree_node *));
    }
    t->node[t->n++] = n;
}

void zkm_tree_init(struct zkm_tree *t, uint64_t seed)
{
    *t = (struct zkm_tree){0};
    t->by_path.seed = seed;
    struct zkm_tree_node *prefix = PF_NEW(struct zkm_tree_node); /* always there */

    prefix->path = pf_strdup("");
    prefix->is_live = true;
    node_put(t, prefix);
}

void zkm_tree_fini(struct zkm_tree *t)
{
    for (uint32_t i = 0; i < t->n; i++) {
        pf_free(t->node[i]->path);
        pf_free(t->node[i]->data);
        pf_free(t->node[i]);
    }
    pf_free(t->node);
    pf_map_fini(&t->by_path);
}

struct zkm_tree_node *zkm_tree_find(const struct zkm_tree *t, struct pf_str path)
{
    struct zkm_tree_node *n = pf_map_get(&t->by_path, path.len > 0 ? path.at : "", path.len);

    return n != NULL && n->is_live ? n : NULL;
}

static struct pf_str parent_of(struct pf_str path)
{
    uint32_t len = path.len;

    while (len > 0 && path.at[len - 1] != '/') {
        len--;
    }
    return (struct pf_str){path.at, len > 0 ? len - 1 : 0};
}

static bool parent_is_there(const struct zkm_tree *t, struct pf_str path)
{
    return zkm_tree_find(t, parent_of(path)) != NULL;
}

/* --- trying: each operation sees those before it, so a small overlay stands for them ------------
 */

struct overlay {
    struct pf_str path;
    bool exists;
    int32_t version;
    int32_t children; /* more or less than the tree's */
};

enum { OPS_MAX = 160 };

static struct overlay *overlay_of(struct overlay *o, uint32_t *n, const struct zkm_tree *t,
                                  struct pf_str path)
{
    for (uint32_t i = 0; i < *n; i++) {
        if (pf_str_eq(o[i].path, path)) {
            return &o[i];
        }
    }
    const struct zkm_tree_node *node = zkm_tree_find(t, path);

    o[*n] = (struct overlay){path, node != NULL || path.len == 0, node ? node->version : 0, 0};
    return &o[(*n)++];
}

static enum pf_zk_code try_one(struct overlay *o, uint32_t *n, const struct zkm_tree *t,
                               const struct pf_zk_op *op)
{
    struct overlay *x = overlay_of(o, n, t, op->path);
    struct overlay *parent = overlay_of(o, n, t, parent_of(op->path));
    const struct zkm_tree_node *node = zkm_tree_find(t, op->path);

    if (op->type == PF_ZK_CREATE) {
        if (!parent->exists) {
            return PF_ZK_NO_NODE;
        }
        if (x->exists) {
            return PF_ZK_NODE_EXISTS;
        }
        x->exists = true;
        x->version = 0;
        parent->children++;
        return PF_ZK_OK;
    }
    if (!x->exists) {
        return PF_ZK_NO_NODE;
    }
    if (op->version >= 0 && op->version != x->version) {
        return PF_ZK_BAD_VERSION;
    }
    if (op->type == PF_ZK_DELETE) {
        if ((node != NULL ? (int32_t)node->n_children : 0) + x->children > 0) {
            return PF_ZK_NOT_EMPTY;
        }
        x->exists = false;
        parent->children--;
    } else if (op->type == PF_ZK_SET) {
        x->version++;
    }
    return PF_ZK_OK;
}

enum pf_zk_code zkm_tree_try(struct zkm_tree *t, const struct pf_zk_op *op, uint32_t n,
                             uint32_t *out_failed)
{
    struct overlay o[OPS_MAX * 2];
    uint32_t n_overlay = 0;

    PF_ASSERT(n <= OPS_MAX);
    for (uint32_t i = 0; i < n; i++) {
        enum pf_zk_code code = try_one(o, &n_overlay, t, &op[i]);

        if (code != PF_ZK_OK) {
            *out_failed = i;
            return code;
        }
    }
    return PF_ZK_OK;
}

/* --- doing ------------------------------------------------------------------------------------ */

static void tell(zkm_changed_fn *changed, void *ctx, enum pf_zk_watch_type type, struct pf_str path)
{
    char text[512];

    if (changed != NULL) {
        PF_ASSERT(path.len < sizeof text);
        if (path.len > 0) {
            memcpy(text, path.at, path.len);
        }
        text[path.len] = '\0';
        changed(ctx, type, text);
    }
}

static void children_changed(struct zkm_tree *t, struct pf_str path, int32_t more, int64_t zxid,
                             zkm_changed_fn *changed, void *ctx)
{
    struct pf_str parent = parent_of(path);
    struct zkm_tree_node *p = zkm_tree_find(t, parent);

    if (p != NULL) {
        p->n_children = (uint32_t)((int32_t)p->n_children + more);
        p->pzxid = zxid;
    }
    tell(changed, ctx, PF_ZK_CHILDREN_CHANGED, parent);
}

static void set_data(struct zkm_tree_node *n, struct pf_bytes data)
{
    pf_free(n->data);
    n->data = data.len > 0 ? pf_memdup(data.at, data.len) : NULL;
    n->len = data.len;
}

static void do_create(struct zkm_tree *t, const struct pf_zk_op *op, uint64_t session_id,
                      int64_t zxid)
{
    struct zkm_tree_node *n = pf_map_get_str(&t->by_path, op->path);

    PF_ASSERT(parent_is_there(t, op->path));
    if (n == NULL) {
        n = PF_NEW(struct zkm_tree_node);
        n->path = pf_strndup(op->path.at, op->path.len);
        node_put(t, n);
    }
    set_data(n, op->data);
    n->is_live = true;
    n->version = 0;
    n->n_children = 0;
    n->czxid = n->mzxid = n->pzxid = zxid;
    n->owner = op->is_ephemeral ? session_id : 0;
}

void zkm_tree_do(struct zkm_tree *t, const struct pf_zk_op *op, uint32_t n, uint64_t session_id,
                 int64_t zxid, zkm_changed_fn *changed, void *ctx)
{
    for (uint32_t i = 0; i < n; i++) {
        struct zkm_tree_node *node = zkm_tree_find(t, op[i].path);

        switch (op[i].type) {
        case PF_ZK_CREATE:
            do_create(t, &op[i], session_id, zxid);
            tell(changed, ctx, PF_ZK_NODE_CREATED, op[i].path);
            children_changed(t, op[i].path, 1, zxid, changed, ctx);
            break;
        case PF_ZK_DELETE:
            node->is_live = false;
            tell(changed, ctx, PF_ZK_NODE_DELETED, op[i].path);
            children_changed(t, op[i].path, -1, zxid, changed, ctx);
            break;
        case PF_ZK_SET:
            set_data(node, op[i].data);
            node->version++;
            node->mzxid = zxid;
            tell(changed, ctx, PF_ZK_NODE_CHANGED, op[i].path);
            break;
        default: break;
        }
    }
}

void zkm_tree_end_session(struct zkm_tree *t, uint64_t session_id, int64_t zxid,
                          zkm_changed_fn *changed, void *ctx)
{
    for (uint32_t i = 0; i < t->n; i++) {
        struct zkm_tree_node *n = t->node[i];

        if (n->is_live && n->owner == session_id) {
            n->is_live = false;
            tell(changed, ctx, PF_ZK_NODE_DELETED, pf_str(n->path));
            children_changed(t, pf_str(n->path), -1, zxid, changed, ctx);
        }
    }
}
