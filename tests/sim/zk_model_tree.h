/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes of a ZooKeeper as one server sees them, for zk_model.c only. */
#ifndef PF_TESTS_SIM_ZK_MODEL_TREE_H
#define PF_TESTS_SIM_ZK_MODEL_TREE_H

#include "common/base/arena.h"
#include "common/base/map.h"
#include "common/elect/zk_op.h"

struct zkm_tree_node {
    char *path;
    uint8_t *data;
    uint32_t len;
    int32_t version;
    int64_t czxid, mzxid, pzxid; /* pzxid: of its children */
    uint64_t owner;
    uint32_t n_children;
    bool is_live; /* nodes are kept, so that walks see them in the order of their making */
};

struct zkm_tree {
    struct pf_map by_path;
    struct zkm_tree_node **node;
    uint32_t n, cap;
};

typedef void zkm_changed_fn(void *ctx, enum pf_zk_watch_type type, const char *path);

void zkm_tree_init(struct zkm_tree *t, uint64_t seed);
void zkm_tree_fini(struct zkm_tree *t);
struct zkm_tree_node *zkm_tree_find(const struct zkm_tree *t, struct pf_str path);
/* Would these writes be done? The code of the first that would not, and which it is. */
enum pf_zk_code zkm_tree_try(struct zkm_tree *t, const struct pf_zk_op *op, uint32_t n,
                             uint32_t *out_failed);
/* Does them; they were tried before. `changed` (may be NULL) is told of each change. */
void zkm_tree_do(struct zkm_tree *t, const struct pf_zk_op *op, uint32_t n, uint64_t session_id,
                 int64_t zxid, zkm_changed_fn *changed, void *ctx);
/* All ephemeral nodes of the session go. */
void zkm_tree_end_session(struct zkm_tree *t, uint64_t session_id, int64_t zxid,
                          zkm_changed_fn *changed, void *ctx);

#endif
