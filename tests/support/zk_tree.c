/* SPDX-License-Identifier: Apache-2.0 */
/* See zk_tree.h. A multi is carried out op by op and undone when one fails. */
#include "tests/support/zk_tree.h"

#include <string.h>
#include "common/base/alloc.h"
#include "common/base/compiler.h"

struct undo {
    enum pf_zk_op_type type;
    struct zk_node *node;
    uint8_t *data; /* SET: before */
    uint32_t len;
};

static void node_free(struct zk_node *n)
{
    pf_free(n->path);
    pf_free(n->data);
    pf_free(n);
}

static void changed_clear(struct zk_tree *t)
{
    for (uint32_t i = 0; i < t->changed.len; i++) {
        pf_free(t->changed.at[i]);
    }
    t->changed.len = 0;
}

void zk_tree_fini(struct zk_tree *t)
{
    for (uint32_t i = 0; i < t->nodes.len; i++) {
        node_free(t->nodes.at[i]);
    }
    changed_clear(t);
    pf_ptrs_fini(&t->nodes);
    pf_ptrs_fini(&t->changed);
    pf_map_fini(&t->by_path);
}

static struct zk_node *find(const struct zk_tree *t, struct pf_str path)
{
    return pf_map_get_str(&t->by_path, path);
}

struct zk_node *zk_tree_find(const struct zk_tree *t, const char *path)
{
    return find(t, pf_str(path));
}

static struct pf_str parent_of(struct pf_str path)
{
    while (path.len > 0 && path.at[path.len - 1] != '/') {
        path.len--;
    }
    path.len -= path.len > 0;
    return path;
}

static void link_node(struct zk_tree *t, struct zk_node *n)
{
    struct zk_node *parent = find(t, parent_of(pf_str(n->path)));

    pf_map_put(&t->by_path, n->path, (uint32_t)strlen(n->path), n);
    n->place = t->nodes.len;
    pf_ptrs_push(&t->nodes, n);
    if (parent != NULL) {
        parent->n_children++;
    }
}

static void unlink_node(struct zk_tree *t, struct zk_node *n)
{
    struct zk_node *parent = find(t, parent_of(pf_str(n->path)));

    (void)pf_map_del(&t->by_path, n->path, (uint32_t)strlen(n->path));
    pf_ptrs_remove_swap(&t->nodes, n->place);
    if (n->place < t->nodes.len) {
        ((struct zk_node *)t->nodes.at[n->place])->place = n->place;
    }
    if (parent != NULL) {
        parent->n_children--;
    }
}

static enum pf_zk_code carry_out(struct zk_tree *t, const struct pf_zk_op *op, struct undo *u)
{
    struct zk_node *n = find(t, op->path);
    struct pf_str parent = parent_of(op->path);

    if (op->type == PF_ZK_CREATE) {
        if (n != NULL) {
            return PF_ZK_NODE_EXISTS;
        }
        if (parent.len > 0 && find(t, parent) == NULL) {
            return PF_ZK_NO_NODE;
        }
        n = PF_NEW(struct zk_node);
        n->path = pf_strndup(op->path.at, op->path.len);
        n->data = pf_memdup(op->data.at, op->data.len);
        n->len = op->data.len;
        link_node(t, n);
        *u = (struct undo){.type = PF_ZK_CREATE, .node = n};
        return PF_ZK_OK;
    }
    if (n == NULL) {
        return PF_ZK_NO_NODE;
    }
    if (op->version != -1 && op->version != n->version) {
        return PF_ZK_BAD_VERSION;
    }
    if (op->type == PF_ZK_DELETE && n->n_children > 0) {
        return PF_ZK_NOT_EMPTY;
    }
    *u = (struct undo){.type = op->type, .node = n, .data = n->data, .len = n->len};
    if (op->type == PF_ZK_SET) {
        n->data = pf_memdup(op->data.at, op->data.len);
        n->len = op->data.len;
        n->version++;
    } else if (op->type == PF_ZK_DELETE) {
        unlink_node(t, n);
    }
    return PF_ZK_OK;
}

static void undo(struct zk_tree *t, struct undo *u)
{
    if (u->type == PF_ZK_CREATE) {
        unlink_node(t, u->node);
        node_free(u->node);
    } else if (u->type == PF_ZK_DELETE) {
        link_node(t, u->node);
    } else if (u->type == PF_ZK_SET) {
        pf_free(u->node->data);
        u->node->data = u->data;
        u->node->len = u->len;
        u->node->version--;
    }
}

static void keep(struct zk_tree *t, struct undo *u)
{
    if (u->type != PF_ZK_CHECK) {
        pf_ptrs_push(&t->changed, pf_strdup(u->node->path));
    }
    if (u->type == PF_ZK_DELETE) {
        node_free(u->node);
    } else if (u->type == PF_ZK_SET) {
        pf_free(u->data);
    }
}

static void write_nodes(struct zk_tree *t, const struct pf_zk_request *q, struct pf_arena *a,
                        struct pf_zk_reply *out)
{
    struct undo *u = pf_arena_zalloc(a, q->n_ops * sizeof *u);
    uint32_t n = 0;

    while (n < q->n_ops && out->code == PF_ZK_OK) {
        out->code = carry_out(t, &q->op[n], &u[n]);
        n++;
    }
    if (out->code != PF_ZK_OK) {
        out->failed_op = --n;
        while (n-- > 0) {
            undo(t, &u[n]);
        }
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        keep(t, &u[i]);
    }
}

static bool is_child(const struct zk_node *n, struct pf_str of)
{
    return pf_str_eq(parent_of(pf_str(n->path)), of);
}

static void read_node(struct zk_tree *t, const struct pf_zk_op *op, struct pf_arena *a,
                      struct pf_zk_reply *out)
{
    const struct zk_node *n = find(t, op->path);

    if (n == NULL) {
        out->code = PF_ZK_NO_NODE;
        return;
    }
    out->stat.version = n->version;
    out->stat.n_children = n->n_children;
    if (op->type == PF_ZK_GET) {
        out->data = (struct pf_bytes){pf_arena_memdup(a, n->data, n->len), n->len};
    } else if (op->type == PF_ZK_CHILDREN) {
        struct pf_str *child = pf_arena_alloc(a, (n->n_children + (size_t)1) * sizeof *child);

        for (uint32_t i = 0; i < t->nodes.len; i++) {
            const struct zk_node *c = t->nodes.at[i];

            if (is_child(c, op->path)) {
                child[out->n_children++] = pf_arena_strdup(a, pf_str(c->path + op->path.len + 1));
            }
        }
        out->child = child;
    }
}

void zk_tree_execute(struct zk_tree *t, const struct pf_zk_request *q, struct pf_arena *a,
                     struct pf_zk_reply *out)
{
    enum pf_zk_op_type first = q->op[0].type;

    changed_clear(t);
    memset(out, 0, sizeof *out);
    out->id = q->id;
    out->session = q->session;
    if (first == PF_ZK_GET || first == PF_ZK_EXISTS || first == PF_ZK_CHILDREN) {
        PF_ASSERT(q->n_ops == 1);
        read_node(t, &q->op[0], a, out);
    } else if (first != PF_ZK_SYNC) {
        write_nodes(t, q, a, out);
    }
}

enum pf_zk_code zk_tree_do(struct zk_tree *t, enum pf_zk_op_type type, const char *path,
                           struct pf_bytes data)
{
    struct pf_arena a = {0};
    struct pf_zk_op op = {.type = type, .path = pf_str(path), .data = data, .version = -1};
    struct pf_zk_request q = {.n_ops = 1, .op = &op};
    struct pf_zk_reply r;

    zk_tree_execute(t, &q, &a, &r);
    pf_arena_fini(&a);
    return r.code;
}

uint32_t zk_tree_count(const struct zk_tree *t, const char *path)
{
    const struct zk_node *n = zk_tree_find(t, path);

    return n != NULL ? n->n_children : 0;
}
