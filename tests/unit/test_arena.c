/* SPDX-License-Identifier: Apache-2.0 */
/* Arenas: alignment, reuse after a reset, the limit, copies. */
#include "common/base/arena.h"

#include "common/base/alloc.h"
#include "common/base/rng.h"
#include "tests/support/test.h"

static void test_pieces_are_aligned_and_apart(void **state)
{
    struct pf_arena a = {0};
    struct pf_rng rng;
    struct {
        unsigned char *at;
        size_t len;
    } piece[400];

    (void)state;
    pf_rng_seed(&rng, 3);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 400; i++) {
            piece[i].len = (size_t)pf_rng_below(&rng, i % 50 == 0 ? 100000 : 300);
            piece[i].at = pf_arena_alloc(&a, piece[i].len);
            assert_int_equal((uintptr_t)piece[i].at % 16, 0);
            memset(piece[i].at, i & 255, piece[i].len);
        }
        for (int i = 0; i < 400; i++) {
            for (size_t k = 0; k < piece[i].len; k++) {
                assert_int_equal(piece[i].at[k], i & 255);
            }
        }
        pf_arena_reset(&a);
        assert_int_equal(a.used_bytes, 0);
    }
    pf_arena_fini(&a);
}

static void test_reset_reuses_the_same_memory(void **state)
{
    struct pf_arena a = {0};
    void *one = pf_arena_alloc(&a, 100);

    (void)state;
    pf_arena_reset(&a);
    assert_ptr_equal(pf_arena_alloc(&a, 50), one);
    pf_arena_fini(&a);
    assert_null(a.first);
}

static void test_reset_frees_what_is_over_a_mebibyte(void **state)
{
    struct pf_arena a = {0};

    (void)state;
    void *big = pf_arena_alloc(&a, 2u << 20);

    assert_non_null(big);
    pf_arena_reset(&a);
    assert_null(a.first);
    for (int i = 0; i < 100; i++) {
        assert_non_null(pf_arena_alloc(&a, 64u << 10));
    }
    pf_arena_reset(&a);
    assert_non_null(a.first);
    pf_arena_fini(&a);
}

static void test_zalloc_zeroes_dirty_memory(void **state)
{
    struct pf_arena a = {0};

    (void)state;
    memset(pf_arena_alloc(&a, 64), 0xee, 64);
    pf_arena_reset(&a);
    const unsigned char *p = pf_arena_zalloc(&a, 64);
    for (int i = 0; i < 64; i++) {
        assert_int_equal(p[i], 0);
    }
    pf_arena_fini(&a);
}

static void test_try_stops_at_the_limit(void **state)
{
    struct pf_arena a = {.limit_bytes = 1024};

    (void)state;
    assert_non_null(pf_arena_try(&a, 1000));
    assert_null(pf_arena_try(&a, 17));
    assert_non_null(pf_arena_try(&a, 16));
    assert_null(pf_arena_try(&a, 1));
    assert_null(pf_arena_try(&a, SIZE_MAX));
    assert_non_null(pf_arena_alloc(&a, 10)); /* our own pieces know no limit */
    assert_null(pf_arena_try(&a, 1));
    pf_arena_reset(&a);
    assert_non_null(pf_arena_try(&a, 1));
    pf_arena_fini(&a);
    assert_int_equal(a.limit_bytes, 1024);
}

static void test_try_without_memory(void **state)
{
    struct pf_arena a = {0};

    (void)state;
    (void)pf_alloc_fail_try_at(1);
    assert_null(pf_arena_try(&a, 10));
    (void)pf_alloc_fail_try_at(0);
    assert_int_equal(a.used_bytes, 0);
    assert_non_null(pf_arena_try(&a, 10));
    assert_null(pf_arena_try(&a, SIZE_MAX / 3));
    pf_arena_fini(&a);
}

static void test_copies_of_text(void **state)
{
    struct pf_arena a = {0};
    struct pf_str s = pf_arena_strdup(&a, (struct pf_str){"abcd", 3});
    struct pf_str p = pf_arena_printf(&a, "%s %d", "task", 7);
    int *n = pf_arena_memdup(&a, &(int){42}, sizeof(int));

    (void)state;
    assert_string_equal(s.at, "abc");
    assert_int_equal(s.len, 3);
    assert_string_equal(p.at, "task 7");
    assert_int_equal(p.len, 6);
    assert_int_equal(*n, 42);
    assert_null(pf_arena_strdup(&a, pf_str(NULL)).at);
    assert_string_equal(pf_arena_strdup(&a, PF_STR("")).at, "");
    assert_non_null(pf_arena_memdup(&a, NULL, 0));
    pf_arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_are_aligned_and_apart),
        cmocka_unit_test(test_reset_reuses_the_same_memory),
        cmocka_unit_test(test_reset_frees_what_is_over_a_mebibyte),
        cmocka_unit_test(test_zalloc_zeroes_dirty_memory),
        cmocka_unit_test(test_try_stops_at_the_limit),
        cmocka_unit_test(test_try_without_memory),
        cmocka_unit_test(test_copies_of_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
