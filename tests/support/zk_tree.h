/* SPDX-License-Identifier: Apache-2.0 */
/* The least of a ZooKeeper: one tree in memory that carries out requests at once, all or nothing.
 * No sessions, no ephemeral nodes, no watches but the list of what changed. For tests and benches
 * of the registry log; tests/sim has the full model. */
#ifndef PF_TESTS_SUPPORT_ZK_TREE_H
#define PF_TESTS_SUPPORT_ZK_TREE_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/map.h"
#include "common/elect/zk_op.h"

struct zk_node {
    char *path;
    uint8_t *data;
    uint32_t len, n_children;
    uint32_t place; /* in zk_tree.nodes */
    int32_t version;
};

/* All zero = empty. */
struct zk_tree {
    struct pf_map by_path;
    struct pf_ptrs nodes;   /* struct zk_node *, owned */
    struct pf_ptrs changed; /* char *, owned: by the last request */
};

void zk_tree_fini(struct zk_tree *t);
/* `*out` borrows the tree and `a`. */
void zk_tree_execute(struct zk_tree *t, const struct pf_zk_request *q, struct pf_arena *a,
                     struct pf_zk_reply *out);
struct zk_node *zk_tree_find(const struct zk_tree *t, const char *path);
/* By somebody who does not ask: 0, or the node's code. */
enum pf_zk_code zk_tree_do(struct zk_tree *t, enum pf_zk_op_type type, const char *path,
                           struct pf_bytes data);
/* How many nodes are right below `path`. */
uint32_t zk_tree_count(const struct zk_tree *t, const char *path);

#endif
