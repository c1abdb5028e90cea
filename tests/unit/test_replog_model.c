/* SPDX-License-Identifier: Apache-2.0 */
/* Registry logs against the truth of tests/support/replog_world.h: a leader that stops at each of
 * its requests, and random histories of submissions, losses, takeovers and deaths. Whatever
 * happens, what was told stored is there, in order, and nothing else but a tail of what was under
 * way. */
#include "tests/support/replog_world.h"
#include "tests/support/test.h"

/* A reign with appends, fences, a snapshot, its cleaning, and more appends. */
static void history(struct rw *w, uint32_t m)
{
    for (uint32_t i = 0; i < 12 && w->died == 0; i++) {
        for (uint32_t k = 0; k < 4 && w->died == 0; k++) {
            (void)rw_submit(w, m, k == 2 ? 0 : 3, 700);
        }
        rw_advance(w, 200);
    }
}

/* Everybody who is there gets well, and somebody leads, until nothing is open. */
static uint32_t heal(struct rw *w)
{
    uint32_t m = 0;

    w->stop_at = w->lose_at = 0;
    while (!w->master[m].is_used) {
        m++;
    }
    for (uint32_t i = 0; i < 400; i++) {
        for (uint32_t k = 0; k < RW_MASTERS; k++) {
            if (w->master[k].is_used) {
                rw_connect(w, k, 0);
                rw_connect(w, k, 1);
            }
            if (w->master[k].is_used && w->master[k].leads && k != m) {
                rw_stop(w, k);
            }
        }
        while (rw_late(w)) {
        }
        rw_advance(w, 500);
        if (w->master[m].leads && pf_replog_is_fenced(w->master[m].log)) {
            rw_stop(w, m);
        } else if (!w->master[m].leads) {
            (void)rw_lead(w, m, 0);
        } else if (i % 50 == 20) {
            (void)rw_submit(w, m, 0, 0); /* it may have been deposed and not know it */
        } else if (rw_open(w, m) == 0 && i > 100) {
            break;
        }
    }
    if (!w->master[m].leads) {
        fail_msg("nobody leads: %s", w->master[m].said);
    }
    assert_int_equal(rw_open(w, m), 0);
    return m;
}

static void verify(struct rw *w)
{
    uint32_t m = heal(w);
    bool is_open = false; /* something of this reign was not committed */

    assert_true(rw_submit(w, m, 2, 50));
    rw_advance(w, 31000);
    assert_int_equal(rw_open(w, m), 0);
    for (uint32_t i = 0; i < w->n_batches; i++) {
        is_open = is_open && w->batch[i].reign == w->batch[i - 1].reign;
        assert_true(w->batch[i].is_committed || !w->batch[i].is_stored);
        assert_false(is_open && w->batch[i].is_committed);
        is_open = is_open || !w->batch[i].is_committed;
    }
    uint32_t fresh = rw_add(w);

    rw_advance(w, 5000);
    for (uint32_t k = 0; k < RW_MASTERS; k++) {
        if (w->master[k].is_used) {
            rw_check_equal(w, k);
        }
    }
    assert_null(pf_replog_trouble(rw_log(w, fresh)));
    rw_check_clean(w);
}

static uint64_t walk_one(uint64_t stop_at, bool is_after, enum rw_loss loss, uint64_t seed)
{
    struct rw *w = rw_create(seed, 12, 1 << 20);
    uint32_t m = rw_add(w);

    rw_advance(w, 100);
    assert_true(rw_lead(w, m, 0));
    uint64_t before = w->n_requests;

    w->stop_at = stop_at == 0 ? 0 : before + stop_at;
    w->is_after = is_after;
    w->loss = loss;
    history(w, m);
    uint64_t n = w->n_requests - before;

    if (stop_at != 0) {
        assert_int_equal(w->died, m + 1);
        (void)rw_add(w);
        if (loss == RW_LATE) {
            rw_advance(w, 1000); /* the late ones come while the next one reads or leads */
            if (stop_at % 2 == 0) {
                assert_true(rw_lead(w, 0, 0));
            }
        }
    }
    verify(w);
    rw_destroy(w);
    return n;
}

static void test_replog_model_leader_stops_at_each_request(void **state)
{
    uint64_t n = walk_one(0, false, RW_DROP, 1), done = 0;

    (void)state;
    assert_true(n > 60);
    for (uint64_t i = 1; i <= n; i++) {
        for (uint32_t how = 0; how < 6; how++) {
            enum rw_loss loss = how / 2 == 0 ? RW_DROP : how / 2 == 1 ? RW_DO : RW_LATE;

            (void)walk_one(i, how % 2 == 1, loss, 1);
        }
        done++;
    }
    print_message("stopped at %u of %u requests, in 6 ways each\n", (unsigned)done, (unsigned)n);
    assert_int_equal(done, n);
}

static void test_replog_model_leader_loses_connection_at_each_request(void **state)
{
    uint64_t n = walk_one(0, false, RW_DROP, 2), done = 0;

    (void)state;
    for (uint64_t i = 1; i <= n; i++) {
        for (uint32_t loss = RW_DROP; loss <= RW_LATE; loss++) {
            for (uint32_t spare = 0; spare < 2; spare++) {
                struct rw *w = rw_create(2, 12, 1 << 20);
                uint32_t m = rw_add(w);

                rw_advance(w, 100);
                if (spare == 1) {
                    rw_connect(w, m, 1);
                }
                assert_true(rw_lead(w, m, 0));
                w->lose_at = w->n_requests + i;
                w->loss = (enum rw_loss)loss;
                for (uint32_t k = 0; k < 12; k++) {
                    (void)rw_submit(w, m, 3, 700);
                    (void)rw_submit(w, m, 0, 0);
                    (void)rw_submit(w, m, 2, 700);
                    rw_advance(w, 150);
                    (void)rw_late(w);
                    rw_connect(w, m, 0);
                }
                rw_advance(w, 2000);
                assert_int_equal(rw_open(w, m), 0); /* a loss only delays */
                assert_int_equal(w->n_reigns, 1);
                verify(w);
                rw_destroy(w);
            }
        }
        done++;
    }
    print_message("cut off at %u of %u requests, in 6 ways each\n", (unsigned)done, (unsigned)n);
}

static void random_event(struct rw *w)
{
    uint32_t m = (uint32_t)pf_rng_below(&w->rng, 3);
    uint8_t s = (uint8_t)pf_rng_below(&w->rng, 2);
    struct rw_master *x = &w->master[m];

    if (!x->is_used) {
        (void)rw_add(w);
        return;
    }
    switch (pf_rng_below(&w->rng, 40)) {
    case 0: rw_lose(w, m, s, RW_SOME); break;
    case 1: rw_kill(w, m, RW_SOME); break;
    case 2: rw_advance(w, (int64_t)pf_rng_below(&w->rng, 300)); break;
    case 3:
    case 4: rw_connect(w, m, s); break;
    case 5:
        if (!x->leads && pf_rng_below(&w->rng, 3) == 0) {
            (void)rw_lead(w, m, s);
        }
        break;
    case 6:
        if (x->leads && (pf_replog_is_fenced(x->log) || pf_rng_below(&w->rng, 8) == 0)) {
            rw_stop(w, m);
        }
        break;
    case 7:
        if (!x->leads) {
            rw_catch_up(w, m);
        }
        break;
    case 8:
    case 9:
    case 10:
    case 11:
    case 12:
        for (uint32_t i = 0; i < 3; i++) {
            (void)rw_submit(w, i, (uint32_t)pf_rng_below(&w->rng, 5), 300);
        }
        break;
    default:
        for (uint32_t i = 0; i < 3; i++) {
            (void)rw_one(w);
        }
        break;
    }
}

static void test_replog_model_random_histories(void **state)
{
    uint64_t batches = 0, reigns = 0, snapshots = 0, unknown = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        struct rw *w = rw_create(seed, 6, 1 << 20);

        w->is_shuffled = true;
        for (uint32_t i = 0; i < 3; i++) {
            (void)rw_add(w);
        }
        for (uint32_t i = 0; i < 1500; i++) {
            random_event(w);
        }
        verify(w);
        rw_sum(w);
        snapshots += w->sum.snapshots;
        unknown += w->sum.unknown_outcomes;
        batches += w->n_committed;
        reigns += w->n_reigns;
        rw_destroy(w);
    }
    print_message("400 seeds: %llu batches in %llu reigns, %llu snapshots, %llu unknown outcomes\n",
                  (unsigned long long)batches, (unsigned long long)reigns,
                  (unsigned long long)snapshots, (unsigned long long)unknown);
    assert_true(batches > 10000 && reigns > 1000 && snapshots > 200 && unknown > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replog_model_leader_stops_at_each_request),
        cmocka_unit_test(test_replog_model_leader_loses_connection_at_each_request),
        cmocka_unit_test(test_replog_model_random_histories),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
