/* SPDX-License-Identifier: Apache-2.0 */
/* The heap against a search for the smallest. */
#include "common/base/heap.h"

#include "common/base/rng.h"
#include "tests/support/test.h"

enum { NODES = 200 };

static void test_equal_keys_come_in_order_of_insertion(void **state)
{
    struct pf_heap h = {0};
    struct pf_heap_node n[50] = {0};

    (void)state;
    assert_null(pf_heap_first(&h));
    for (int i = 0; i < 50; i++) {
        pf_heap_set(&h, &n[i], 7);
    }
    pf_heap_set(&h, &n[0], 7); /* no change, keeps its place */
    pf_heap_set(&h, &n[1], 8);
    pf_heap_set(&h, &n[1], 7); /* moved, goes behind */
    for (int i = 0; i < 50; i++) {
        if (i != 1) {
            assert_ptr_equal(pf_heap_first(&h), &n[i]);
            pf_heap_remove(&h, &n[i]);
        }
    }
    assert_ptr_equal(pf_heap_first(&h), &n[1]);
    pf_heap_fini(&h);
    assert_false(pf_heap_has(&n[1]));
}

static void test_random_operations_agree_with_the_model(void **state)
{
    struct pf_rng rng;

    (void)state;
    for (uint64_t seed = 0; seed < 5; seed++) {
        struct pf_heap h = {0};
        struct pf_heap_node n[NODES] = {0};
        bool is_in[NODES] = {false};

        pf_rng_seed(&rng, seed);
        for (int step = 0; step < 5000; step++) {
            uint64_t i = pf_rng_below(&rng, NODES);
            const struct pf_heap_node *least = NULL;

            if (pf_rng_below(&rng, 3) > 0) {
                pf_heap_set(&h, &n[i], (int64_t)pf_rng_below(&rng, 100) - 50);
                is_in[i] = true;
            } else {
                pf_heap_remove(&h, &n[i]);
                is_in[i] = false;
            }
            pf_heap_check(&h);
            for (uint32_t k = 0; k < NODES; k++) {
                assert_int_equal(pf_heap_has(&n[k]), is_in[k]);
                if (is_in[k] && (!least || n[k].key < least->key ||
                                 (n[k].key == least->key && n[k].sequence < least->sequence))) {
                    least = &n[k];
                }
            }
            assert_ptr_equal(pf_heap_first(&h), least);
        }
        pf_heap_fini(&h);
    }
}

static void check_broken(void *ctx)
{
    struct pf_heap h = {0};
    struct pf_heap_node n[3] = {0};

    (void)ctx;
    for (int i = 0; i < 3; i++) {
        pf_heap_set(&h, &n[i], i);
    }
    n[2].key = -1;
    pf_heap_check(&h);
}

static void test_check_finds_a_broken_order(void **state)
{
    (void)state;
    assert_true(test_aborts(check_broken, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_keys_come_in_order_of_insertion),
        cmocka_unit_test(test_random_operations_agree_with_the_model),
        cmocka_unit_test(test_check_finds_a_broken_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
