/* SPDX-License-Identifier: Apache-2.0 */
/* Keeping the log short, and publishing rows at once: limits, parts, pacing, what is left behind by
 * leaders that stopped, and what happens to a switch nobody knows the outcome of. */
#include "common/base/alloc.h"
#include "common/elect/replog_import.h"
#include "common/elect/replog_nodes.h"
#include "tests/support/replog_world.h"
#include "tests/support/test.h"

static struct rw *world(uint64_t seed, uint32_t log_nodes, uint32_t log_bytes)
{
    struct rw *w = rw_create(seed, log_nodes, log_bytes);

    assert_int_equal(rw_add(w), 0);
    rw_advance(w, 10);
    assert_true(rw_lead(w, 0, 0));
    rw_run(w);
    return w;
}

static void append(struct rw *w, uint32_t n, uint32_t row_bytes)
{
    for (uint32_t i = 0; i < n; i++) {
        assert_true(rw_submit(w, 0, 3, row_bytes));
        rw_run(w);
    }
}

static uint64_t snapshots(struct rw *w)
{
    struct pf_replog_stats stats;

    pf_replog_stats(rw_log(w, 0), &stats);
    return stats.snapshots;
}

static void test_snapshot_is_made_over_the_limit_of_nodes(void **state)
{
    struct rw *w = world(1, 10, 1 << 20);
    struct pf_replog_stats stats;

    (void)state;
    append(w, 10, 50);
    assert_int_equal(snapshots(w), 0);
    assert_int_equal(zk_tree_count(&w->tree, "/registry/log"), 10);
    append(w, 1, 50);
    assert_int_equal(snapshots(w), 1);
    rw_check_clean(w);
    pf_replog_stats(rw_log(w, 0), &stats);
    assert_int_equal(stats.n_log_nodes, 0);
    assert_int_equal(stats.log_bytes, 0);
    append(w, 11, 50);
    assert_int_equal(snapshots(w), 2);
    rw_check_clean(w);
    (void)rw_add(w);
    rw_run(w);
    rw_check_equal(w, 1);
    rw_destroy(w);
}

static void test_snapshot_is_made_over_the_limit_of_bytes(void **state)
{
    struct rw *w = world(2, 1000, 40000);

    (void)state;
    append(w, 9, 1000); /* about 3 KiB each, with deletions less */
    assert_int_equal(snapshots(w), 0);
    append(w, 12, 1000);
    assert_int_equal(snapshots(w), 1);
    rw_check_clean(w);
    rw_destroy(w);
}

static uint32_t most_puts, most_bytes, most_deletes;
static uint64_t unfenced;

/* What is under way of the writing of snapshots, whenever one of its requests is carried out. */
static void watch_pace(struct rw *w, uint32_t m, const struct pf_zk_request *q)
{
    uint32_t n_puts = 0;
    const struct pf_ptrs *queue = &w->master[m].session[0].queue;

    if (q->n_ops < 2 || (q->op[1].type != PF_ZK_CREATE && q->op[1].type != PF_ZK_DELETE)) {
        return;
    }
    unfenced += q->op[0].type != PF_ZK_CHECK || !pf_str_is(q->op[0].path, "/epoch");
    if (q->op[1].type == PF_ZK_DELETE) {
        most_deletes = q->n_ops - 1 > most_deletes ? q->n_ops - 1 : most_deletes;
        return;
    }
    n_puts = queue->len;
    most_puts = n_puts > most_puts ? n_puts : most_puts;
    most_bytes = q->op[1].data.len > most_bytes ? q->op[1].data.len : most_bytes;
}

static void test_snapshot_is_paced_and_fenced(void **state)
{
    struct rw *w = world(3, 100, 8 << 20);

    (void)state;
    append(w, 100, 16 << 10);
    most_puts = most_bytes = most_deletes = 0;
    unfenced = 0;
    assert_true(rw_submit(w, 0, 3, 16 << 10));
    assert_true(rw_one(w)); /* carried out */
    w->on_request = watch_pace;
    rw_run(w);
    assert_int_equal(snapshots(w), 1);
    rw_check_clean(w);
    assert_true(most_puts >= 1 && most_puts <= 4);
    assert_true(most_bytes > 32 << 10 && most_bytes <= PF_REPLOG_PART_BYTES);
    assert_true(most_deletes > 0 && most_deletes <= 64);
    assert_int_equal(unfenced, 0);
    (void)rw_add(w);
    rw_run(w);
    rw_check_equal(w, 1);
    rw_destroy(w);
}

/* Batches go on while a snapshot is written, and belong to the log behind it. */
static void test_snapshot_leaves_later_batches_alone(void **state)
{
    struct rw *w = world(4, 10, 1 << 20);

    (void)state;
    append(w, 10, 8 << 10);
    w->is_slow = false;
    for (uint32_t i = 0; i < 30; i++) {
        assert_true(rw_submit(w, 0, 3, 8 << 10));
        for (uint32_t k = 0; k < 3; k++) {
            (void)rw_one(w);
        }
        while (rw_open(w, 0) > 4) {
            assert_true(rw_one(w));
        }
    }
    rw_run(w);
    assert_true(snapshots(w) >= 2);
    rw_check_clean(w);
    struct pf_replog_stats stats;
    uint32_t bytes = 0;

    for (uint32_t i = 0; i < w->tree.nodes.len; i++) {
        const struct zk_node *n = w->tree.nodes.at[i];

        bytes += strncmp(n->path, "/registry/log/", 14) == 0 ? n->len : 0;
    }
    pf_replog_stats(rw_log(w, 0), &stats);
    assert_true(bytes > 0);
    assert_int_equal(stats.log_bytes, bytes);
    assert_int_equal(stats.n_log_nodes, zk_tree_count(&w->tree, "/registry/log"));
    (void)rw_add(w);
    rw_run(w);
    rw_check_equal(w, 1);
    rw_destroy(w);
}

static void test_snapshot_left_behind_is_cleaned_by_the_next_leader(void **state)
{
    static const char *const left[] = {
        "/registry/snap-000000000003-left", "/registry/snap-000000000003-left/000000",
        "/registry/snap-000000000003-left/000001", "/registry/snap-000000000009-empty",
        "/registry/log/000000000000"};
    struct rw *w = world(5, 10, 1 << 20);

    (void)state;
    append(w, 14, 50);
    for (uint32_t i = 0; i < PF_ARRAY_LEN(left); i++) {
        assert_int_equal(zk_tree_do(&w->tree, PF_ZK_CREATE, left[i], (struct pf_bytes){0}), 0);
    }
    /* It is none of ours. */
    assert_int_equal(zk_tree_do(&w->tree, PF_ZK_CREATE, "/registry/notes", (struct pf_bytes){0}),
                     0);
    (void)rw_add(w);
    rw_run(w);
    assert_true(rw_lead(w, 1, 0));
    rw_run(w);
    assert_int_equal(zk_tree_do(&w->tree, PF_ZK_DELETE, "/registry/notes", (struct pf_bytes){0}),
                     0);
    rw_check_clean(w);
    rw_destroy(w);
}

/* A deposed leader's deletions and switches do nothing: each is fenced. */
static void test_snapshot_of_a_deposed_leader_changes_nothing(void **state)
{
    (void)state;
    for (uint32_t at = 0; at < 12; at++) {
        struct rw *w = world(6, 10, 1 << 20);

        (void)rw_add(w);
        append(w, 10, 4 << 10);
        assert_true(rw_submit(w, 0, 3, 4 << 10));
        for (uint32_t i = 0; i < at; i++) {
            (void)rw_one(w);
        }
        rw_lose(w, 0, 0, RW_LATE);
        rw_catch_up(w, 1);
        rw_run(w);
        assert_true(rw_lead(w, 1, 0));
        while (rw_late(w)) {
            rw_run(w);
        }
        rw_connect(w, 0, 0);
        assert_true(rw_submit(w, 1, 3, 100));
        rw_advance(w, 1000);
        assert_true(rw_submit(w, 0, 0, 0) == !pf_replog_is_fenced(rw_log(w, 0)));
        rw_advance(w, 1000);
        rw_stop(w, 0);
        rw_advance(w, 1000);
        rw_check_equal(w, 0);
        rw_check_equal(w, 1);
        rw_check_clean(w);
        rw_destroy(w);
    }
}

/* The switch is lost, and carried out at any moment after that: before or behind the next try. */
static void find_switch(struct rw *w, uint32_t m, const struct pf_zk_request *q)
{
    (void)m;
    if (q->n_ops == 2 && q->op[1].type == PF_ZK_SET) {
        w->ctx = w->n_requests;
    }
}

static void test_snapshot_switch_with_unknown_outcome(void **state)
{
    (void)state;
    for (uint32_t loss = RW_DROP; loss <= RW_LATE; loss++) {
        for (uint32_t late_after = 0; late_after < 8; late_after++) {
            struct rw *w = world(7, 10, 1 << 20);

            append(w, 10, 100);
            /* The dry run tells when the switch is sent. */
            w->on_request = find_switch;
            assert_true(rw_submit(w, 0, 3, 100));
            rw_run(w);
            uint64_t at = w->ctx;

            assert_true(at > 0);
            rw_destroy(w);

            w = world(7, 10, 1 << 20);
            append(w, 10, 100);
            assert_true(rw_submit(w, 0, 3, 100));
            w->lose_at = at;
            w->loss = (enum rw_loss)loss;
            rw_run(w);
            rw_connect(w, 0, 0);
            for (uint32_t i = 0; i < late_after; i++) {
                (void)rw_one(w);
            }
            while (rw_late(w)) {
            }
            rw_advance(w, 1000);
            assert_int_equal(snapshots(w), 1);
            assert_null(pf_replog_trouble(rw_log(w, 0)));
            rw_check_clean(w);
            (void)rw_add(w);
            rw_run(w);
            rw_check_equal(w, 1);
            rw_destroy(w);
        }
    }
}

static void test_snapshot_tells_when_somebody_else_changes_the_base(void **state)
{
    struct rw *w = world(8, 10, 1 << 20);
    struct zk_node *base = zk_tree_find(&w->tree, "/registry/base");

    (void)state;
    base->version++;
    append(w, 11, 100);
    assert_non_null(pf_replog_trouble(rw_log(w, 0)));
    rw_advance(w, 60000);
    assert_null(pf_replog_trouble(rw_log(w, 0)));
    rw_check_clean(w);
    rw_check_equal(w, 0);
    rw_destroy(w);
}

static void test_snapshot_folder_that_vanishes_is_written_anew(void **state)
{
    struct rw *w = world(9, 10, 8 << 20);

    (void)state;
    append(w, 10, 16 << 10);
    assert_true(rw_submit(w, 0, 3, 16 << 10));
    while (zk_tree_count(&w->tree, "/registry") < 4) {
        assert_true(rw_one(w));
    }
    for (uint32_t i = 0; i < w->tree.nodes.len; i++) {
        struct zk_node *n = w->tree.nodes.at[i];

        if (strncmp(n->path, "/registry/snap-", 15) == 0) {
            assert_int_equal(zk_tree_do(&w->tree, PF_ZK_DELETE, n->path, (struct pf_bytes){0}), 0);
            break;
        }
    }
    rw_advance(w, 60000);
    assert_int_equal(snapshots(w), 1);
    assert_null(pf_replog_trouble(rw_log(w, 0)));
    rw_check_clean(w);
    rw_destroy(w);
}

static void test_snapshot_with_no_rows(void **state)
{
    struct rw *w = world(10, 3, 1 << 20);
    struct pf_row_op op = {.table = 2, .is_del = true, .key = {(const uint8_t *)"last", 4}};

    (void)state;
    w->is_free = true;
    for (uint32_t i = 0; i < 5; i++) {
        struct pf_batch batch = {.number = i + 1, .op = &op, .n_ops = 1};

        rw_give(w, 0, &batch);
        rw_run(w);
    }
    assert_int_equal(snapshots(w), 1);
    rw_check_clean(w);
    (void)rw_add(w);
    rw_run(w);
    rw_check_equal(w, 1);
    rw_destroy(w);
}

/* --- import ----------------------------------------------------------------------------------- */

static struct pf_replica *rows(uint32_t n, uint32_t row_bytes)
{
    struct pf_replica *r = pf_replica_create(1);
    uint8_t *row = pf_alloc(row_bytes + (size_t)1);

    for (uint32_t i = 0; i < n; i++) {
        memcpy(row, &i, sizeof i);
        pf_replica_put(r, (uint8_t)(1 + i % 5), (struct pf_bytes){(const uint8_t *)&i, 4},
                       (struct pf_bytes){row, row_bytes});
    }
    pf_free(row);
    return r;
}

static struct pf_replog_import *import_of(struct pf_replica *r)
{
    struct pf_replog_import_options o = {.seed = 5, .epoch = 41, .cluster = "c1", .format = 1};

    o.incarnation.b[3] = 7;
    return pf_replog_import_create(r, &o);
}

/* Answers by the tree; at the n-th request the connection is lost, behind it or before. */
static int run_import(struct pf_replog_import *i, struct zk_tree *t, uint32_t lose_at,
                      bool is_after, uint32_t *n)
{
    const struct pf_zk_request *q;
    struct pf_err err = {0};

    *n = 0;
    while ((q = pf_replog_import_request(i)) != NULL) {
        struct pf_arena a = {0};
        struct pf_zk_reply r = {.code = PF_ZK_UNKNOWN};
        bool is_lost = ++*n == lose_at;

        assert_true(*n < 10000);
        if (!is_lost || is_after) {
            zk_tree_execute(t, q, &a, &r);
        }
        r.code = is_lost ? PF_ZK_UNKNOWN : r.code;
        int rc = pf_replog_import_reply(i, &r, &err);

        pf_arena_fini(&a);
        if (rc != 0) {
            assert_int_equal(err.code, rc);
            assert_null(pf_replog_import_request(i));
            return rc;
        }
    }
    return 0;
}

static void expect_imported(struct rw *w, struct pf_replica *r)
{
    struct pf_msg msg;
    struct zk_node *n = zk_tree_find(&w->tree, "/epoch");

    assert_int_equal(pf_fb_verify((struct pf_bytes){n->data, n->len}, &ZkEpoch__desc, &msg, NULL),
                     0);
    assert_int_equal(ZkEpoch_epoch(ZkEpoch__root(msg)), 42);
    assert_int_equal(ZkEpoch_incarnation(ZkEpoch__root(msg)).at[3], 7);
    assert_true(pf_str_is(ZkEpoch_cluster(ZkEpoch__root(msg)), "c1"));
    pf_replica_destroy(w->truth);
    w->truth = r;
    uint32_t m = rw_add(w);

    rw_run(w);
    rw_check_equal(w, m);
    assert_true(rw_lead(w, m, 0));
    assert_true(rw_submit(w, m, 2, 100));
    rw_run(w);
    rw_check_equal(w, m);
    rw_check_clean(w);
}

static void test_import_publishes_all_or_nothing(void **state)
{
    uint32_t n_all = 1, n, done = 0;

    (void)state;
    for (uint32_t at = 0; at <= n_all; at++) {
        for (uint32_t is_after = 0; is_after < 2; is_after++) {
            struct rw *w = rw_create(20, 0, 0);
            struct pf_replica *r = rows(1000, 300);
            struct pf_replog_import *i = import_of(r);

            assert_int_equal(zk_tree_do(&w->tree, PF_ZK_DELETE, "/epoch", (struct pf_bytes){0}), 0);
            assert_int_equal(run_import(i, &w->tree, at, is_after == 1, &n), 0);
            assert_true(pf_replog_import_is_done(i));
            n_all = at == 0 ? n : n_all;
            pf_replog_import_destroy(i);
            expect_imported(w, r);
            rw_destroy(w);
        }
        done += at > 0;
    }
    print_message("lost the answer to %u of %u requests, in 2 ways each\n", done, n_all);
    assert_int_equal(done, n_all);
}

/* Broken off after each request: nothing is published, and another import succeeds. */
static void test_import_can_be_broken_off(void **state)
{
    (void)state;
    for (uint32_t stop = 0; stop < 8; stop++) {
        struct rw *w = rw_create(21, 0, 0);
        struct pf_replica *r = rows(1000, 300);
        struct pf_replog_import *i = import_of(r);
        uint32_t n;

        assert_int_equal(zk_tree_do(&w->tree, PF_ZK_DELETE, "/epoch", (struct pf_bytes){0}), 0);
        for (uint32_t k = 0; k < stop; k++) {
            struct pf_arena a = {0};
            struct pf_zk_reply reply;

            zk_tree_execute(&w->tree, pf_replog_import_request(i), &a, &reply);
            assert_int_equal(pf_replog_import_reply(i, &reply, NULL), 0);
            pf_arena_fini(&a);
        }
        assert_false(pf_replog_import_is_done(i));
        assert_null(zk_tree_find(&w->tree, "/registry/head"));
        pf_replog_import_destroy(i);
        struct pf_replog_import_options o = {.seed = 6, .epoch = 41, .cluster = "c1", .format = 1};

        o.incarnation.b[3] = 7;
        i = pf_replog_import_create(r, &o);
        assert_int_equal(run_import(i, &w->tree, 0, false, &n), 0);
        pf_replog_import_destroy(i);
        expect_imported(w, r);
        rw_destroy(w);
    }
}

/* Over a registry that nobody may lead, whichever answer is lost: its log goes on behind it. */
static void test_import_replaces_what_stands(void **state)
{
    uint32_t n_all = 1, n;

    (void)state;
    for (uint32_t at = 0; at <= n_all; at++) {
        for (uint32_t is_after = 0; is_after < 2; is_after++) {
            struct rw *w = rw_create(22, 0, 0);
            uint32_t m = rw_add(w);

            rw_run(w);
            assert_true(rw_lead(w, m, 0));
            for (uint32_t k = 0; k < 5; k++) {
                assert_true(rw_submit(w, m, 2, 100));
                rw_run(w);
            }
            rw_kill(w, m, RW_DO);
            struct pf_replica *r = rows(500, 300);
            struct pf_replog_import_options o = {
                .seed = 5, .epoch = 41, .cluster = "c1", .format = 1};

            o.incarnation.b[3] = 7;
            o.has_epoch = o.has_head = o.has_base = true;
            o.epoch_version = zk_tree_find(&w->tree, "/epoch")->version;
            o.head_version = zk_tree_find(&w->tree, "/registry/head")->version;
            assert_int_equal(o.head_version, 5);
            struct pf_replog_import *i = pf_replog_import_create(r, &o);

            assert_int_equal(run_import(i, &w->tree, at, is_after == 1, &n), 0);
            n_all = at == 0 ? n : n_all;
            pf_replog_import_destroy(i);
            assert_int_equal(zk_tree_find(&w->tree, "/registry/head")->version, 6);
            w->head = 6;
            expect_imported(w, r);
            i = pf_replog_import_create(r, &o); /* it stands no more as it did */
            assert_int_equal(run_import(i, &w->tree, 0, false, &n), PF_EEXIST);
            pf_replog_import_destroy(i);
            rw_destroy(w);
        }
    }
    assert_int_equal(n_all, 7);
}

static void test_import_refuses_what_is_not_empty(void **state)
{
    static const char *const there[] = {"/epoch", "/registry/base", "/registry/head"};

    (void)state;
    for (uint32_t k = 0; k < PF_ARRAY_LEN(there); k++) {
        for (uint32_t lost = 0; lost < 2; lost++) {
            struct zk_tree t = {0};
            struct pf_replica *r = rows(10, 300);
            struct pf_replog_import *i = import_of(r);
            uint32_t n;

            if (k > 0) {
                (void)zk_tree_do(&t, PF_ZK_CREATE, "/registry", (struct pf_bytes){0});
            }
            assert_int_equal(zk_tree_do(&t, PF_ZK_CREATE, there[k], (struct pf_bytes){0}), 0);
            assert_int_equal(run_import(i, &t, lost == 0 ? 0 : 5, false, &n), PF_EEXIST);
            assert_false(pf_replog_import_is_done(i));
            pf_replog_import_destroy(i);
            pf_replica_destroy(r);
            zk_tree_fini(&t);
        }
    }
}

static void test_import_tells_what_was_refused(void **state)
{
    static const enum pf_zk_code code[] = {PF_ZK_NO_AUTH, PF_ZK_FAILED, PF_ZK_NO_NODE};
    static const int expected[] = {PF_EACCESS, PF_EIO, PF_EIO};

    (void)state;
    for (uint32_t k = 0; k < PF_ARRAY_LEN(code); k++) {
        struct pf_replica *r = rows(0, 8);
        struct pf_replog_import *i = import_of(r);
        struct pf_zk_reply reply = {.code = code[k]};
        struct pf_err err = {0};

        assert_non_null(pf_replog_import_request(i));
        assert_int_equal(pf_replog_import_reply(i, &reply, &err), expected[k]);
        assert_non_null(strstr(err.msg, "/registry"));
        pf_replog_import_destroy(i);
        pf_replica_destroy(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_snapshot_is_made_over_the_limit_of_nodes),
        cmocka_unit_test(test_snapshot_is_made_over_the_limit_of_bytes),
        cmocka_unit_test(test_snapshot_is_paced_and_fenced),
        cmocka_unit_test(test_snapshot_leaves_later_batches_alone),
        cmocka_unit_test(test_snapshot_left_behind_is_cleaned_by_the_next_leader),
        cmocka_unit_test(test_snapshot_of_a_deposed_leader_changes_nothing),
        cmocka_unit_test(test_snapshot_switch_with_unknown_outcome),
        cmocka_unit_test(test_snapshot_tells_when_somebody_else_changes_the_base),
        cmocka_unit_test(test_snapshot_folder_that_vanishes_is_written_anew),
        cmocka_unit_test(test_snapshot_with_no_rows),
        cmocka_unit_test(test_import_publishes_all_or_nothing),
        cmocka_unit_test(test_import_can_be_broken_off),
        cmocka_unit_test(test_import_replaces_what_stands),
        cmocka_unit_test(test_import_refuses_what_is_not_empty),
        cmocka_unit_test(test_import_tells_what_was_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
