/* SPDX-License-Identifier: Apache-2.0 */
/* What must be so when a world of registry logs is quiet. */
#include "schemas/quorum.h"
#include "tests/support/replog_world.h"
#include "tests/support/test.h"

static void is_different(void *ctx, uint8_t table, bool is_del, struct pf_bytes key,
                         struct pf_bytes row)
{
    (void)ctx;
    fail_msg("row %u %.*s (%u bytes, %s)", table, (int)key.len, (const char *)key.at, row.len,
             is_del ? "too much" : "differs or is missing");
}

void rw_check_equal(struct rw *w, uint32_t m)
{
    struct rw_master *x = &w->master[m];

    assert_true(x->is_used);
    pf_replog_check(x->log);
    assert_true(pf_replog_is_ready(x->log));
    assert_int_equal(pf_replog_applied(x->log), w->head);
    pf_replica_diff(pf_replog_rows(x->log), w->truth, is_different, NULL);
    if (!x->leads) {
        pf_replica_diff(x->core, w->truth, is_different, NULL);
    }
}

void rw_check_clean(struct rw *w)
{
    struct pf_msg msg;
    const struct zk_node *base = zk_tree_find(&w->tree, "/registry/base");

    assert_non_null(base);
    assert_int_equal(
        pf_fb_verify((struct pf_bytes){base->data, base->len}, &ZkBase__desc, &msg, NULL), 0);
    struct ZkBase b = ZkBase__root(msg);
    bool has_snapshot = ZkBase_snapshot(b).len > 0;

    assert_int_equal(zk_tree_count(&w->tree, "/registry"), 3 + has_snapshot);
    assert_int_equal(zk_tree_count(&w->tree, "/registry/log"), w->head - ZkBase_number(b));
    if (has_snapshot) {
        char path[128];

        (void)snprintf(path, sizeof path, "/registry/%.*s", PF_STR_ARG(ZkBase_snapshot(b)));
        assert_int_equal(zk_tree_count(&w->tree, path), ZkBase_n_parts(b));
    }
}
