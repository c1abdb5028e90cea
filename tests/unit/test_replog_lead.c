/* SPDX-License-Identifier: Apache-2.0 */
/* Appending to the registry log: pipelined, fenced, told in order; what is unknown is found out and
 * what was not done is done again, once. */
#include "common/elect/replog_nodes.h"
#include "tests/support/replog_world.h"
#include "tests/support/test.h"

static struct rw *world(uint64_t seed)
{
    struct rw *w = rw_create(seed, 0, 0);

    assert_int_equal(rw_add(w), 0);
    rw_advance(w, 10);
    assert_true(rw_lead(w, 0, 0));
    rw_run(w);
    return w;
}

/* One request of `m` at the main session is carried out, without its answer being delivered. */
static void carry_out(struct rw *w, uint32_t n)
{
    while (n-- > 0) {
        w->is_slow = true;
        assert_true(rw_one(w));
        w->is_slow = false;
    }
}

static void test_lead_pipelines_and_tells_in_order(void **state)
{
    struct rw *w = world(1);
    struct pf_replog_stats stats;

    (void)state;
    (void)rw_add(w);
    rw_run(w);
    for (uint32_t i = 0; i < PF_REPLOG_DEPTH; i++) {
        assert_true(rw_submit(w, 0, i == 3 ? 0 : 2, 100));
    }
    assert_int_equal(w->master[0].session[0].queue.len, PF_REPLOG_DEPTH);
    assert_int_equal(w->head, 0);
    pf_replog_stats(rw_log(w, 0), &stats);
    assert_int_equal(stats.n_in_flight, PF_REPLOG_DEPTH);
    w->now_ms += 7;
    rw_run(w);
    assert_int_equal(rw_open(w, 0), 0);
    assert_int_equal(w->head, PF_REPLOG_DEPTH - 1);
    assert_int_equal(w->master[0].streams, PF_REPLOG_DEPTH - 1);
    assert_int_equal(pf_replog_head_version(rw_log(w, 0)), w->head);
    assert_int_equal(pf_replog_renewed_ms(rw_log(w, 0)), w->now_ms - 7);
    pf_replog_stats(rw_log(w, 0), &stats);
    assert_int_equal(stats.batches, PF_REPLOG_DEPTH - 1);
    assert_int_equal(stats.rows, 3 * (PF_REPLOG_DEPTH - 1));
    assert_int_equal(stats.commit_ms_last, 7);
    assert_int_equal(stats.n_log_nodes, PF_REPLOG_DEPTH - 1);
    assert_int_equal(stats.n_in_flight, 0);
    rw_check_equal(w, 0);
    rw_check_equal(w, 1);
    rw_destroy(w);
}

static void submit_nine(void *ctx)
{
    for (uint32_t i = 0; i < PF_REPLOG_DEPTH + 1; i++) {
        uint8_t key = 1;
        struct pf_row_op op = {.table = 1, .key = {&key, 1}};
        struct pf_batch batch = {.number = i + 1, .op = &op, .n_ops = 1};

        pf_replog_step(ctx, &(struct pf_replog_event){
                                .type = PF_REPLOG_SUBMIT, .boot_ms = 2000, .submit = &batch});
    }
}

static void test_lead_asserts_its_depth(void **state)
{
    struct rw *w = world(2);

    (void)state;
    assert_true(test_aborts(submit_nine, rw_log(w, 0)));
    rw_destroy(w);
}

static void test_lead_fence_alone_writes_nothing(void **state)
{
    struct rw *w = world(3);

    (void)state;
    w->now_ms += 5;
    assert_true(rw_submit(w, 0, 0, 0));
    assert_int_equal(rw_open(w, 0), 1);
    rw_run(w);
    assert_int_equal(rw_open(w, 0), 0);
    assert_int_equal(pf_replog_renewed_ms(rw_log(w, 0)), w->now_ms);
    assert_int_equal(w->head, 0);
    assert_int_equal(w->master[0].streams, 0);
    rw_destroy(w);
}

/* Whatever was carried out and whatever was not, only a delay is seen: by the other session, or by
 * the same one later, and even if the first sending is carried out long after the second. */
static void test_lead_resolves_what_is_unknown(void **state)
{
    (void)state;
    for (uint32_t done = 0; done <= PF_REPLOG_DEPTH; done++) {
        for (uint32_t how = 0; how < 6; how++) {
            struct rw *w = world(4);
            struct pf_replog_stats stats;
            enum rw_loss loss = (enum rw_loss)(how % 3);

            for (uint32_t i = 0; i < PF_REPLOG_DEPTH; i++) {
                assert_true(rw_submit(w, 0, i % 3 == 1 ? 0 : 2, 100));
            }
            carry_out(w, done);
            if (how / 3 == 1) {
                rw_connect(w, 0, 1);
            }
            rw_lose(w, 0, 0, loss);
            rw_run(w);
            assert_int_equal(rw_open(w, 0), how / 3 == 1 ? 0 : PF_REPLOG_DEPTH);
            rw_connect(w, 0, 0);
            rw_run(w);
            assert_int_equal(rw_open(w, 0), 0);
            while (rw_late(w)) {
            }
            assert_true(rw_submit(w, 0, 2, 100));
            rw_run(w);
            assert_int_equal(rw_open(w, 0), 0);
            assert_int_equal(w->head, 6);
            assert_false(pf_replog_is_fenced(rw_log(w, 0)));
            assert_null(pf_replog_trouble(rw_log(w, 0)));
            pf_replog_stats(rw_log(w, 0), &stats);
            assert_int_equal(stats.unknown_outcomes, 1);
            rw_check_equal(w, 0);
            rw_destroy(w);
        }
    }
}

/* Late requests are carried out between the reading of the head and what follows from it. */
static void test_lead_resolves_what_is_carried_out_late(void **state)
{
    (void)state;
    for (uint32_t at = 1; at < 12; at++) {
        struct rw *w = world(5);

        for (uint32_t i = 0; i < 4; i++) {
            assert_true(rw_submit(w, 0, 2, 100));
        }
        rw_lose(w, 0, 0, RW_LATE);
        rw_connect(w, 0, 0);
        for (uint32_t i = 0; i < at; i++) {
            (void)rw_one(w);
        }
        assert_true(rw_late(w));
        assert_true(rw_late(w));
        rw_run(w);
        while (rw_late(w)) {
        }
        rw_run(w);
        assert_int_equal(rw_open(w, 0), 0);
        assert_int_equal(w->head, 4);
        rw_check_equal(w, 0);
        rw_destroy(w);
    }
}

static void test_lead_goes_back_to_the_session_that_owns_the_lead(void **state)
{
    struct rw *w = world(6);

    (void)state;
    rw_connect(w, 0, 1);
    rw_lose(w, 0, 0, RW_DROP);
    assert_true(rw_submit(w, 0, 1, 10));
    assert_int_equal(w->master[0].session[1].queue.len, 1);
    rw_connect(w, 0, 0);
    assert_true(rw_submit(w, 0, 1, 10)); /* behind the other one */
    assert_int_equal(w->master[0].session[1].queue.len, 2);
    rw_run(w);
    assert_true(rw_submit(w, 0, 1, 10));
    assert_int_equal(w->master[0].session[0].queue.len, 1);
    rw_run(w);
    rw_check_equal(w, 0);
    rw_destroy(w);
}

static void test_lead_is_fenced_by_another_epoch(void **state)
{
    struct rw *w = world(7);

    (void)state;
    (void)rw_add(w);
    rw_run(w);
    assert_true(rw_submit(w, 0, 2, 100));
    rw_run(w);
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(rw_submit(w, 0, i == 0 ? 0 : 2, 100)); /* too late */
    }
    assert_true(rw_lead(w, 1, 0));
    assert_true(rw_submit(w, 1, 1, 10));
    rw_run(w);
    assert_true(pf_replog_is_fenced(rw_log(w, 0)));
    assert_int_equal(rw_open(w, 0), 4);
    rw_advance(w, 60000);
    assert_true(pf_replog_is_fenced(rw_log(w, 0)));
    assert_int_equal(w->head, 2);
    rw_stop(w, 0);
    assert_false(pf_replog_is_fenced(rw_log(w, 0)));
    assert_false(pf_replog_is_ready(rw_log(w, 0)));
    rw_run(w);
    rw_check_equal(w, 0);
    rw_check_equal(w, 1);
    rw_destroy(w);
}

/* What was under way at STOP may be committed: then it is a row like any other. */
static void test_lead_stops_with_batches_under_way(void **state)
{
    (void)state;
    for (uint32_t done = 0; done < 5; done++) {
        struct rw *w = world(8);

        for (uint32_t i = 0; i < 4; i++) {
            assert_true(rw_submit(w, 0, 2, 100));
        }
        carry_out(w, done < 4 ? done : 4);
        rw_stop(w, 0);
        rw_run(w);
        rw_check_equal(w, 0);
        rw_sum(w);
        assert_int_equal(w->sum.rereads, 0); /* only what is behind its rows */
        assert_true(rw_lead(w, 0, 0));
        assert_true(rw_submit(w, 0, 2, 100));
        rw_run(w);
        rw_check_equal(w, 0);
        rw_destroy(w);
    }
}

static void test_lead_without_having_read_is_fenced(void **state)
{
    struct rw *w = rw_create(9, 0, 0);
    struct pf_replog_event ev = {.type = PF_REPLOG_LEAD, .boot_ms = 1001};

    (void)state;
    (void)rw_add(w);
    pf_replog_step(rw_log(w, 0), &ev);
    assert_true(pf_replog_is_fenced(rw_log(w, 0)));
    assert_non_null(pf_replog_trouble(rw_log(w, 0)));
    assert_false(pf_replog_is_ready(rw_log(w, 0)));
    rw_stop(w, 0);
    rw_run(w);
    rw_check_equal(w, 0);
    assert_null(pf_replog_trouble(rw_log(w, 0)));
    rw_destroy(w);
}

static void test_lead_does_not_write_behind_a_foreign_head(void **state)
{
    struct rw *w = world(10);
    struct pf_fb_builder b;

    (void)state;
    assert_true(rw_submit(w, 0, 2, 100));
    rw_run(w);
    pf_fb_builder_init(&b, NULL);
    assert_int_equal(zk_tree_do(&w->tree, PF_ZK_SET, "/registry/head",
                                log_head_put(&b, &(struct log_head){.number = 2})),
                     0);
    pf_fb_builder_fini(&b);
    assert_true(rw_submit(w, 0, 2, 100));
    rw_run(w);
    assert_true(pf_replog_is_fenced(rw_log(w, 0)));
    assert_non_null(strstr(pf_replog_trouble(rw_log(w, 0)), "none of ours"));
    assert_int_equal(rw_open(w, 0), 1);
    rw_destroy(w);
}

/* Trouble that people must mend: told, held, tried again, and over by itself. */
static void test_lead_waits_until_trouble_is_mended(void **state)
{
    static const char path[] = "/registry/log/000000000002";
    struct rw *w = world(11);

    (void)state;
    assert_true(rw_submit(w, 0, 2, 100));
    rw_run(w);
    assert_int_equal(zk_tree_do(&w->tree, PF_ZK_CREATE, path, (struct pf_bytes){0}), 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(rw_submit(w, 0, 2, 100));
    }
    uint64_t before = w->n_requests;

    rw_advance(w, 60000);
    assert_true(w->n_requests - before < 100); /* more seldom, up to a limit */
    assert_int_equal(rw_open(w, 0), 3);
    assert_non_null(strstr(pf_replog_trouble(rw_log(w, 0)), path));
    assert_false(pf_replog_is_fenced(rw_log(w, 0)));
    assert_int_equal(zk_tree_do(&w->tree, PF_ZK_DELETE, path, (struct pf_bytes){0}), 0);
    rw_advance(w, 31000);
    assert_int_equal(rw_open(w, 0), 0);
    assert_null(pf_replog_trouble(rw_log(w, 0)));
    rw_check_equal(w, 0);
    rw_destroy(w);
}

static void test_lead_is_fenced_when_the_fence_is_gone(void **state)
{
    struct rw *w = world(12);

    (void)state;
    assert_int_equal(zk_tree_do(&w->tree, PF_ZK_DELETE, "/epoch", (struct pf_bytes){0}), 0);
    assert_true(rw_submit(w, 0, 0, 0));
    rw_run(w);
    assert_true(pf_replog_is_fenced(rw_log(w, 0)));
    rw_destroy(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lead_pipelines_and_tells_in_order),
        cmocka_unit_test(test_lead_asserts_its_depth),
        cmocka_unit_test(test_lead_fence_alone_writes_nothing),
        cmocka_unit_test(test_lead_resolves_what_is_unknown),
        cmocka_unit_test(test_lead_resolves_what_is_carried_out_late),
        cmocka_unit_test(test_lead_goes_back_to_the_session_that_owns_the_lead),
        cmocka_unit_test(test_lead_is_fenced_by_another_epoch),
        cmocka_unit_test(test_lead_stops_with_batches_under_way),
        cmocka_unit_test(test_lead_without_having_read_is_fenced),
        cmocka_unit_test(test_lead_does_not_write_behind_a_foreign_head),
        cmocka_unit_test(test_lead_waits_until_trouble_is_mended),
        cmocka_unit_test(test_lead_is_fenced_when_the_fence_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
