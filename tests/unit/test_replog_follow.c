/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the registry log: whatever is there, missing, damaged, streamed or cut off, a follower
 * ends with the committed rows, and tells its core each difference once. */
#include "common/elect/replog_nodes.h"
#include "tests/support/replog_world.h"
#include "tests/support/test.h"

enum { LEADER, FOLLOWER };

static struct rw *world(uint64_t seed, uint32_t log_nodes)
{
    struct rw *w = rw_create(seed, log_nodes, 1 << 20);

    assert_int_equal(rw_add(w), LEADER);
    rw_advance(w, 10);
    assert_true(rw_lead(w, LEADER, 0));
    rw_run(w);
    return w;
}

static void append(struct rw *w, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        assert_true(rw_submit(w, LEADER, 3, 100));
        rw_run(w);
    }
    assert_int_equal(rw_open(w, LEADER), 0);
}

static uint64_t reads_of_head, reads_of_log;

static void count_reads(struct rw *w, uint32_t m, const struct pf_zk_request *q)
{
    (void)w;
    if (m == FOLLOWER && q->op[0].type == PF_ZK_GET) {
        reads_of_head += pf_str_is(q->op[0].path, "/registry/head");
        reads_of_log += pf_str_has_prefix(q->op[0].path, PF_STR("/registry/log/"));
    }
}

static void test_follow_begins_with_nothing(void **state)
{
    struct rw *w = rw_create(1, 0, 0);
    uint32_t a = rw_add(w), b = rw_add(w);

    (void)state;
    assert_false(pf_replog_is_ready(rw_log(w, a)));
    rw_advance(w, 10);
    rw_check_equal(w, a);
    rw_check_equal(w, b);
    assert_int_equal(pf_replog_head_version(rw_log(w, a)), 0);
    assert_int_equal(pf_replog_format(rw_log(w, a)), 1);
    assert_null(pf_replog_trouble(rw_log(w, a)));
    assert_int_equal(pf_replog_deadline(rw_log(w, a)), INT64_MAX);
    rw_check_clean(w);
    rw_destroy(w);
}

static void test_follow_tells_each_final_row_once(void **state)
{
    struct rw *w = world(2, 20);

    (void)state;
    append(w, 50);
    (void)rw_add(w);
    rw_advance(w, 10);
    rw_check_equal(w, FOLLOWER);
    assert_int_equal(w->master[FOLLOWER].told, pf_replica_len(w->truth));
    rw_destroy(w);
}

static void test_follow_takes_streams_and_reads_nothing(void **state)
{
    struct rw *w = world(3, 0);
    struct pf_replog_stats stats;

    (void)state;
    (void)rw_add(w);
    rw_advance(w, 10);
    reads_of_head = reads_of_log = 0;
    w->on_request = count_reads;
    append(w, 500);
    rw_check_equal(w, FOLLOWER);
    rw_advance(w, 1000);
    rw_check_equal(w, FOLLOWER);
    pf_replog_stats(rw_log(w, FOLLOWER), &stats);
    assert_int_equal(stats.streamed, 500);
    assert_int_equal(reads_of_log, 0);
    assert_int_equal(reads_of_head, 1); /* for the watch */
    assert_int_equal(w->master[LEADER].streams, 500);
    rw_destroy(w);
}

static void test_follow_reads_after_hints_but_not_often(void **state)
{
    struct rw *w = world(4, 0);

    (void)state;
    (void)rw_add(w);
    rw_advance(w, 10);
    w->master[FOLLOWER].is_deaf = true;
    reads_of_head = reads_of_log = 0;
    w->on_request = count_reads;
    for (uint32_t i = 0; i < 100; i++) {
        append(w, 1);
        rw_advance(w, 10);
    }
    assert_true(reads_of_head >= 8 && reads_of_head <= 11); /* a second */
    rw_advance(w, 200);
    rw_check_equal(w, FOLLOWER);
    assert_int_equal(reads_of_log, 100);
    rw_destroy(w);
}

static void test_follow_ignores_streams_that_do_not_fit(void **state)
{
    struct rw *w = world(5, 0);
    struct zk_node *n;

    (void)state;
    (void)rw_add(w);
    rw_advance(w, 10);
    append(w, 2);
    w->master[FOLLOWER].is_deaf = true;
    append(w, 2);
    n = zk_tree_find(&w->tree, "/registry/log/000000000004");
    rw_stream(w, FOLLOWER, 4, (struct pf_bytes){n->data, n->len}); /* 3 is missing */
    assert_int_equal(pf_replog_applied(rw_log(w, FOLLOWER)), 2);
    rw_stream(w, FOLLOWER, 3, (struct pf_bytes){n->data, n->len}); /* it is 4 */
    rw_stream(w, FOLLOWER, 3, (struct pf_bytes){n->data, 7});
    rw_stream(w, FOLLOWER, 3, (struct pf_bytes){0});
    assert_int_equal(pf_replog_applied(rw_log(w, FOLLOWER)), 2);
    n = zk_tree_find(&w->tree, "/registry/log/000000000002");
    rw_stream(w, FOLLOWER, 2, (struct pf_bytes){n->data, n->len}); /* known */
    assert_int_equal(pf_replog_applied(rw_log(w, FOLLOWER)), 2);
    rw_advance(w, 100);
    rw_check_equal(w, FOLLOWER);
    rw_destroy(w);
}

/* A stream that was altered on its way but is well formed: the head tells. */
static void test_follow_finds_out_a_false_stream(void **state)
{
    struct rw *w = world(6, 0);
    uint8_t bytes[4096];

    (void)state;
    (void)rw_add(w);
    rw_advance(w, 10);
    w->master[FOLLOWER].is_deaf = true;
    append(w, 1);
    const struct zk_node *n = zk_tree_find(&w->tree, "/registry/log/000000000001");
    struct pf_msg msg;

    assert_true(n->len < sizeof bytes);
    memcpy(bytes, n->data, n->len);
    assert_int_equal(pf_fb_verify((struct pf_bytes){bytes, n->len}, &ZkBatch__desc, &msg, NULL), 0);
    struct pf_bytes key = ZkRow_key(ZkBatch_rows__at(ZkBatch__root(msg), 0));

    bytes[key.at - bytes] = 'X';
    rw_stream(w, FOLLOWER, 1, (struct pf_bytes){bytes, n->len});
    assert_int_equal(pf_replog_applied(rw_log(w, FOLLOWER)), 1);
    rw_advance(w, 110);
    assert_false(pf_replog_is_ready(rw_log(w, FOLLOWER)));
    assert_non_null(strstr(pf_replog_trouble(rw_log(w, FOLLOWER)), "log/000000000001"));
    rw_advance(w, 1100);
    rw_check_equal(w, FOLLOWER);
    assert_null(pf_replog_trouble(rw_log(w, FOLLOWER)));
    rw_destroy(w);
}

static void test_follow_catches_up_when_asked(void **state)
{
    struct rw *w = world(7, 0);

    (void)state;
    (void)rw_add(w);
    rw_advance(w, 10);
    w->master[FOLLOWER].is_deaf = true;
    append(w, 40);
    assert_true(pf_replog_is_ready(rw_log(w, FOLLOWER)));
    rw_catch_up(w, FOLLOWER);
    assert_false(pf_replog_is_ready(rw_log(w, FOLLOWER)));
    rw_run(w); /* no time passes */
    rw_check_equal(w, FOLLOWER);
    rw_destroy(w);
}

static void test_follow_catches_up_with_what_comes_while_it_reads(void **state)
{
    struct rw *w = world(8, 0);

    (void)state;
    (void)rw_add(w);
    rw_advance(w, 10);
    w->master[FOLLOWER].is_deaf = true;
    append(w, 40);
    rw_catch_up(w, FOLLOWER);
    for (uint32_t i = 0; i < 20; i++) {
        assert_true(rw_one(w)); /* the head is known, the log is being read */
    }
    assert_true(rw_submit(w, LEADER, 1, 10));
    while (rw_open(w, LEADER) > 0) {
        assert_true(rw_one(w));
    }
    rw_catch_up(w, FOLLOWER);
    rw_run(w);
    rw_check_equal(w, FOLLOWER);
    assert_int_equal(pf_replog_applied(rw_log(w, FOLLOWER)), 41);
    rw_destroy(w);
}

/* --- damage ----------------------------------------------------------------------------------- */

static struct zk_node *some_part(struct rw *w)
{
    for (uint32_t i = 0; i < w->tree.nodes.len; i++) {
        struct zk_node *n = w->tree.nodes.at[i];

        if (strncmp(n->path, "/registry/snap-", 15) == 0 && n->n_children == 0) {
            return n;
        }
    }
    fail_msg("no snapshot");
    return NULL;
}

/* A new follower meets a damaged node, tells of it, tries again, and recovers once it is mended. */
static void damage(struct rw *w, struct zk_node *n, uint32_t how)
{
    uint8_t *good = n->data;
    uint32_t good_len = n->len;
    uint32_t m = rw_add(w);

    n->data = test_malloc(good_len + 1);
    memcpy(n->data, good, good_len);
    switch (how) {
    case 0: n->len = 0; break;
    case 1: n->len = good_len / 2; break;
    case 2: memset(n->data, 0xff, good_len); break;
    default: n->data[good_len - 1 - how % 64 % good_len] ^= 0x55; break;
    }
    uint8_t *bad = n->data;

    rw_advance(w, 7500);
    if (!pf_replog_is_ready(rw_log(w, m))) {
        assert_non_null(pf_replog_trouble(rw_log(w, m)));
        assert_true(strstr(pf_replog_trouble(rw_log(w, m)), n->path) != NULL || how >= 3);
        assert_int_equal(w->master[m].told, 0);
    } else {
        assert_true(how >= 3); /* what nobody reads, such as padding */
    }
    n->data = good;
    n->len = good_len;
    rw_advance(w, 10000);
    rw_check_equal(w, m);
    assert_null(pf_replog_trouble(rw_log(w, m)));
    test_free(bad);
    rw_kill(w, m, RW_DROP);
}

static void test_follow_survives_damaged_nodes(void **state)
{
    struct rw *w = world(9, 10);
    struct zk_node *n[4];

    (void)state;
    append(w, 18);
    rw_advance(w, 100);
    n[0] = zk_tree_find(&w->tree, "/registry/head");
    n[1] = zk_tree_find(&w->tree, "/registry/base");
    n[2] = zk_tree_find(&w->tree, "/registry/log/000000000018");
    n[3] = some_part(w);
    for (uint32_t i = 0; i < 4; i++) {
        assert_non_null(n[i]);
        for (uint32_t how = 0; how < 60; how++) {
            damage(w, n[i], how);
        }
    }
    rw_destroy(w);
}

static void test_follow_tells_of_what_is_missing(void **state)
{
    static const char *const path[] = {"/registry/log/000000000016", "/registry/head",
                                       "/registry/base"};

    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        struct rw *w = world(10, 10);
        uint32_t m = rw_add(w);

        append(w, 18);
        rw_advance(w, 100);
        rw_check_equal(w, m);
        assert_int_equal(zk_tree_do(&w->tree, PF_ZK_DELETE, path[i], (struct pf_bytes){0}), 0);
        rw_lose(w, m, 0, RW_DROP);
        rw_connect(w, m, 0);
        uint32_t other = rw_add(w);

        rw_advance(w, 2000);
        assert_false(pf_replog_is_ready(rw_log(w, other)));
        assert_non_null(pf_replog_trouble(rw_log(w, other)));
        assert_true(i == 1 || pf_replog_is_ready(rw_log(w, m)));
        rw_destroy(w);
    }
}

static void test_follow_does_not_believe_a_head_that_went_back(void **state)
{
    struct rw *w = world(11, 0);
    struct zk_node *head = zk_tree_find(&w->tree, "/registry/head");
    struct pf_fb_builder b;
    struct pf_bytes data;

    (void)state;
    (void)rw_add(w);
    append(w, 5);
    rw_advance(w, 200);
    pf_fb_builder_init(&b, NULL);
    data = log_head_put(&b, &(struct log_head){.number = 2});
    head->version = 1;
    assert_int_equal(zk_tree_do(&w->tree, PF_ZK_SET, "/registry/head", data), 0);
    pf_fb_builder_fini(&b);
    rw_catch_up(w, FOLLOWER);
    rw_advance(w, 10);
    assert_false(pf_replog_is_ready(rw_log(w, FOLLOWER)));
    assert_non_null(strstr(pf_replog_trouble(rw_log(w, FOLLOWER)), "went back"));
    rw_destroy(w);
}

static void expect_fatal(uint32_t min, uint32_t max, const char *versions)
{
    struct rw *w = rw_create(12, 0, 0);

    (void)rw_add_format(w, 3, 4);
    rw_advance(w, 10);
    assert_int_equal(pf_replog_format(rw_log(w, 0)), 3);
    uint32_t m = rw_add_format(w, min, max);

    rw_advance(w, 60000);
    assert_int_equal(w->master[m].fatal, 1);
    assert_false(pf_replog_is_ready(rw_log(w, m)));
    assert_non_null(strstr(pf_replog_trouble(rw_log(w, m)), versions));
    rw_destroy(w);
}

static void test_follow_ends_at_a_format_it_does_not_know(void **state)
{
    (void)state;
    expect_fatal(1, 2, "of format 3, and this binary knows 1 to 2");
    expect_fatal(4, 9, "of format 3, and this binary knows 4 to 9");
}

/* --- connections -------------------------------------------------------------------------------
 */

static uint64_t read_with_a_loss(uint64_t at, enum rw_loss loss, bool has_spare)
{
    struct rw *w = world(13, 10);

    append(w, 25);
    rw_advance(w, 100);
    (void)rw_add(w);
    uint64_t before = w->n_requests;

    if (has_spare) {
        rw_connect(w, FOLLOWER, 1);
    }
    w->loss = loss;
    w->lose_at = at == 0 ? 0 : before + at;
    rw_advance(w, 50);
    uint64_t n = w->n_requests - before;

    if (has_spare) {
        rw_advance(w, 200);
        rw_check_equal(w, FOLLOWER); /* by the other session */
    }
    rw_connect(w, FOLLOWER, 0);
    rw_advance(w, 200);
    rw_check_equal(w, FOLLOWER);
    w->master[FOLLOWER].is_deaf = true;
    append(w, 1);
    rw_advance(w, 200);
    rw_check_equal(w, FOLLOWER); /* there is a watch again */
    rw_destroy(w);
    return n;
}

static void test_follow_goes_on_after_a_loss_at_each_request(void **state)
{
    uint64_t n = read_with_a_loss(0, RW_DROP, false), done = 0;

    (void)state;
    assert_true(n >= 10);
    for (uint64_t i = 1; i <= n; i++) {
        for (uint32_t how = 0; how < 4; how++) {
            (void)read_with_a_loss(i, how % 2 == 0 ? RW_DROP : RW_DO, how / 2 == 1);
        }
        done++;
    }
    print_message("cut off at %u of %u requests, in 4 ways each\n", (unsigned)done, (unsigned)n);
}

/* Compaction runs to its end between any two requests of a reader. */
static uint64_t pause_at;

static void compact_meanwhile(struct rw *w, uint32_t m, const struct pf_zk_request *q)
{
    (void)q;
    if (m != FOLLOWER || ++w->ctx != pause_at) {
        return;
    }
    /* The reader's answers stay where they are meanwhile. */
    struct rw_master reader = w->master[FOLLOWER];

    w->master[FOLLOWER].is_used = false;
    memset(&w->master[FOLLOWER].session, 0, sizeof reader.session);
    for (uint32_t i = 0; i < 30; i++) {
        append(w, 1);
        rw_advance(w, 20);
    }
    w->master[FOLLOWER] = reader;
}

static void test_follow_reads_while_the_log_is_compacted(void **state)
{
    uint64_t n = 1, rereads = 0;
    struct pf_replog_stats stats;

    (void)state;
    for (pause_at = 1; pause_at <= n; pause_at++) {
        struct rw *w = world(14, 12);

        append(w, 24);
        rw_advance(w, 100);
        (void)rw_add(w);
        w->master[FOLLOWER].is_deaf = true;
        w->on_request = compact_meanwhile;
        rw_advance(w, 500);
        n = pause_at == 1 ? w->ctx : n;
        rw_check_equal(w, FOLLOWER);
        assert_null(pf_replog_trouble(rw_log(w, FOLLOWER)));
        pf_replog_stats(rw_log(w, FOLLOWER), &stats);
        rereads += stats.rereads;
        rw_destroy(w);
    }
    print_message("compacted before %u of %u requests, read again %u times\n",
                  (unsigned)(pause_at - 1), (unsigned)n, (unsigned)rereads);
    assert_true(rereads > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_follow_begins_with_nothing),
        cmocka_unit_test(test_follow_tells_each_final_row_once),
        cmocka_unit_test(test_follow_takes_streams_and_reads_nothing),
        cmocka_unit_test(test_follow_reads_after_hints_but_not_often),
        cmocka_unit_test(test_follow_ignores_streams_that_do_not_fit),
        cmocka_unit_test(test_follow_finds_out_a_false_stream),
        cmocka_unit_test(test_follow_catches_up_when_asked),
        cmocka_unit_test(test_follow_catches_up_with_what_comes_while_it_reads),
        cmocka_unit_test(test_follow_survives_damaged_nodes),
        cmocka_unit_test(test_follow_tells_of_what_is_missing),
        cmocka_unit_test(test_follow_does_not_believe_a_head_that_went_back),
        cmocka_unit_test(test_follow_ends_at_a_format_it_does_not_know),
        cmocka_unit_test(test_follow_goes_on_after_a_loss_at_each_request),
        cmocka_unit_test(test_follow_reads_while_the_log_is_compacted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
