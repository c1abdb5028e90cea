/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks go forward and agree; randomness differs. */
#include "common/sys/clock.h"

#include <time.h>
#include "common/sys/random.h"
#include "tests/support/test.h"

static void test_clocks_go_forward_and_agree(void **state)
{
    int64_t last = pf_now_us(), last_boot = pf_boot_ms();

    (void)state;
    assert_true(last_boot >= last / 1000); /* the machine may have slept */
    for (int i = 0; i < 1000; i++) {
        int64_t ms = pf_now_ms(), now = pf_now_us();

        assert_true(now >= last);
        assert_true(ms <= now / 1000);
        assert_true(ms >= last / 1000);
        last = now;
        assert_true(pf_boot_ms() >= last_boot);
        last_boot = pf_boot_ms();
    }
    assert_in_range((uint64_t)pf_wall_ms() / 1000, (uint64_t)time(NULL) - 2,
                    (uint64_t)time(NULL) + 2);
}

static void test_random_bytes_fill_all(void **state)
{
    uint8_t any[1000] = {0}, page[70000];
    uint32_t n_zero = 0;

    (void)state;
    for (int round = 0; round < 8; round++) { /* a byte stays 0 in all rounds: 2^-64 */
        uint8_t now[1000];

        pf_random_bytes(now, sizeof now);
        for (size_t i = 0; i < sizeof now; i++) {
            any[i] |= now[i];
        }
    }
    for (size_t i = 0; i < sizeof any; i++) {
        assert_int_not_equal(any[i], 0);
    }
    pf_random_bytes(page, sizeof page);
    for (size_t i = 0; i < sizeof page; i++) {
        n_zero += page[i] == 0 ? 1 : 0;
    }
    assert_in_range(n_zero, 100, 500);
    pf_random_bytes(page, 0);
}

static void test_random_values_differ(void **state)
{
    struct pf_rng a, b;

    (void)state;
    assert_int_not_equal(pf_random_u64(), pf_random_u64());
    assert_false(pf_uuid_eq(pf_random_uuid(), pf_random_uuid()));
    pf_random_seed_rng(&a);
    pf_random_seed_rng(&b);
    assert_int_not_equal(pf_rng_next(&a), pf_rng_next(&b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clocks_go_forward_and_agree),
        cmocka_unit_test(test_random_bytes_fill_all),
        cmocka_unit_test(test_random_values_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
