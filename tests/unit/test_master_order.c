/* SPDX-License-Identifier: Apache-2.0 */
/* Order: numbers grow, holes close, walks go on whatever happens between their steps. */
#include "master/core/order.h"

#include "common/base/rng.h"
#include "tests/support/test.h"

static void test_order_walks_in_order(void **state)
{
    struct pf_order o = {0};
    struct pf_order_cursor c = {0};
    int things[3];

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pf_order_add(&o, &things[i]), i + 1);
    }
    for (int i = 0; i < 3; i++) {
        assert_ptr_equal(pf_order_next(&o, &c), &things[i]);
    }
    assert_null(pf_order_next(&o, &c));
    pf_order_fini(&o);
}

static void test_order_walk_survives_changes(void **state)
{
    struct pf_order o = {0};
    struct pf_order_cursor c = {0};
    int things[100];

    (void)state;
    for (int i = 0; i < 100; i++) {
        (void)pf_order_add(&o, &things[i]);
    }
    assert_ptr_equal(pf_order_next(&o, &c), &things[0]);
    for (uint64_t n = 1; n <= 90; n++) { /* closes the holes on the way */
        pf_order_del(&o, n);
    }
    pf_order_check(&o);
    assert_ptr_equal(pf_order_next(&o, &c), &things[90]);
    assert_null(pf_order_get(&o, 5));
    assert_ptr_equal(pf_order_get(&o, 95), &things[94]);
    c = (struct pf_order_cursor){.number = 97};
    assert_ptr_equal(pf_order_next(&o, &c), &things[97]);
    pf_order_fini(&o);
}

static void test_order_random(void **state)
{
    struct pf_order o = {0};
    struct pf_rng rng;
    static char there[5001];
    uint32_t n_live = 0;

    (void)state;
    pf_rng_seed(&rng, 3);
    for (uint32_t i = 1; i <= 5000; i++) {
        assert_int_equal(pf_order_add(&o, &there[i]), i);
        there[i] = 1;
        uint32_t k = (uint32_t)pf_rng_below(&rng, i) + 1;

        if (there[k] && pf_rng_below(&rng, 4) > 0) {
            pf_order_del(&o, k);
            there[k] = 0;
        }
        pf_order_check(&o);
    }
    struct pf_order_cursor c = {0};
    uint64_t before = 0;

    for (char *t; (t = pf_order_next(&o, &c)) != NULL; n_live++) {
        assert_int_equal(*t, 1);
        assert_true(c.number > before);
        assert_ptr_equal(t, &there[c.number]);
        before = c.number;
    }
    assert_int_equal(n_live, o.n_live);
    pf_order_fini(&o);
}

static void del_twice(void *ctx)
{
    struct pf_order o = {0};

    pf_order_del(&o, pf_order_add(&o, ctx));
    pf_order_del(&o, 1);
}

static void test_order_del_of_nothing_aborts(void **state)
{
    int thing;

    (void)state;
    assert_true(test_aborts(del_twice, &thing));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_walks_in_order),
        cmocka_unit_test(test_order_walk_survives_changes),
        cmocka_unit_test(test_order_random),
        cmocka_unit_test(test_order_del_of_nothing_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
