/* SPDX-License-Identifier: Apache-2.0 */
/* Growable bytes with their limit, and growable pointers. */
#include "common/base/buf.h"

#include "common/base/alloc.h"
#include "common/base/rng.h"
#include "tests/support/test.h"

static void test_appends_of_every_kind(void **state)
{
    struct pf_buf b = {0};

    (void)state;
    assert_string_equal(pf_buf_cstr(&b), "");
    pf_buf_add(&b, NULL, 0);
    pf_buf_add(&b, "ab", 2);
    pf_buf_add_byte(&b, 'c');
    pf_buf_add_cstr(&b, "de");
    pf_buf_add_str(&b, PF_STR("fg"));
    pf_buf_printf(&b, "%d-%s", 7, "x");
    assert_string_equal(pf_buf_cstr(&b), "abcdefg7-x");
    assert_int_equal(b.len, 10);
    pf_buf_drop_front(&b, 3);
    assert_string_equal(pf_buf_cstr(&b), "defg7-x");
    pf_buf_drop_front(&b, 7);
    assert_string_equal(pf_buf_cstr(&b), "");
    assert_false(b.failed);
    pf_buf_fini(&b);
    assert_null(b.data);
}

static void test_printf_longer_than_the_room(void **state)
{
    struct pf_buf b = {0};
    char text[1001];

    (void)state;
    memset(text, 'y', 1000);
    text[1000] = '\0';
    pf_buf_add_cstr(&b, "x");
    pf_buf_printf(&b, "%s!", text);
    assert_int_equal(b.len, 1002);
    assert_int_equal(pf_buf_cstr(&b)[1001], '!');
    pf_buf_fini(&b);
}

static void test_every_length_around_the_growth_steps(void **state)
{
    (void)state;
    for (size_t n = 1; n < 300; n++) {
        struct pf_buf b = {0};

        for (size_t i = 0; i < n; i++) {
            pf_buf_add_byte(&b, (uint8_t)('a' + i % 26));
        }
        assert_int_equal(strlen(pf_buf_cstr(&b)), n);
        pf_buf_printf(&b, "%s", "12345");
        assert_int_equal(b.len, n + 5);
        pf_buf_fini(&b);
    }
}

static void test_limit_is_exact_and_failure_is_sticky(void **state)
{
    struct pf_buf b = {.limit = 100};

    (void)state;
    for (int i = 0; i < 100; i++) {
        pf_buf_add_byte(&b, 'z');
    }
    assert_false(b.failed);
    pf_buf_add(&b, "", 0);
    assert_false(b.failed);
    pf_buf_add_byte(&b, 'z');
    assert_true(b.failed);
    assert_int_equal(b.len, 100);
    assert_int_equal(strlen(pf_buf_cstr(&b)), 100);
    pf_buf_drop_front(&b, 50);
    pf_buf_add_byte(&b, 'z');
    assert_int_equal(b.len, 50);
    pf_buf_clear(&b);
    pf_buf_printf(&b, "%0101d", 1);
    assert_true(b.failed);
    assert_int_equal(b.len, 0);
    pf_buf_clear(&b);
    pf_buf_printf(&b, "%0100d", 1);
    assert_false(b.failed);
    assert_int_equal(b.len, 100);
    pf_buf_fini(&b);
    assert_int_equal(b.limit, 100);
}

static void test_failed_allocation_with_a_limit(void **state)
{
    struct pf_buf b = {.limit = SIZE_MAX};

    (void)state;
    (void)pf_alloc_fail_try_at(1);
    pf_buf_add_cstr(&b, "x");
    assert_int_equal(pf_alloc_fail_try_at(0), 1);
    assert_true(b.failed);
    assert_string_equal(pf_buf_cstr(&b), "");
    pf_buf_clear(&b);
    pf_buf_add_cstr(&b, "x");
    assert_string_equal(pf_buf_cstr(&b), "x");
    pf_buf_fini(&b);
}

static void test_reserve_gives_room_to_write(void **state)
{
    struct pf_buf b = {.limit = 10};

    (void)state;
    assert_true(pf_buf_reserve(&b, 10));
    memset(b.data, 'q', 10);
    b.len = 10;
    assert_string_equal(pf_buf_cstr(&b), "qqqqqqqqqq");
    assert_false(pf_buf_reserve(&b, 1));
    assert_true(b.failed);
    pf_buf_fini(&b);
}

static void drop_too_much(void *ctx)
{
    struct pf_buf b = {0};

    (void)ctx;
    pf_buf_add_byte(&b, 1);
    pf_buf_drop_front(&b, 2);
}

static void remove_behind_the_end(void *ctx)
{
    struct pf_ptrs v = {0};

    pf_ptrs_push(&v, ctx);
    pf_ptrs_remove(&v, 1);
}

static void test_misuse_aborts(void **state)
{
    (void)state;
    assert_true(test_aborts(drop_too_much, NULL));
    assert_true(test_aborts(remove_behind_the_end, NULL));
}

static void test_ptrs_remove(void **state)
{
    static int n[5];
    struct pf_ptrs v = {0};

    (void)state;
    for (int i = 0; i < 5; i++) {
        pf_ptrs_push(&v, &n[i]);
    }
    pf_ptrs_remove(&v, 1);
    assert_int_equal(v.len, 4);
    assert_ptr_equal(v.at[1], &n[2]);
    assert_ptr_equal(v.at[3], &n[4]);
    pf_ptrs_remove_swap(&v, 0);
    assert_ptr_equal(v.at[0], &n[4]);
    assert_ptr_equal(v.at[1], &n[2]);
    pf_ptrs_remove_swap(&v, 2);
    assert_int_equal(v.len, 2);
    pf_ptrs_fini(&v);
    assert_null(v.at);
}

struct item {
    uint64_t key;
    uint32_t order;
};

static int item_cmp(const void *a, const void *b)
{
    const struct item *x = a, *y = b;

    return (x->key > y->key) - (x->key < y->key);
}

static void test_ptrs_sort_is_stable(void **state)
{
    static struct item item[500];
    struct pf_rng rng;

    (void)state;
    pf_rng_seed(&rng, 2);
    for (uint32_t n = 0; n < 500; n += n < 20 ? 1 : 37) {
        struct pf_ptrs v = {0};

        for (uint32_t i = 0; i < n; i++) {
            item[i] = (struct item){pf_rng_below(&rng, 10), i};
            pf_ptrs_push(&v, &item[i]);
        }
        pf_ptrs_sort(&v, item_cmp);
        for (uint32_t i = 1; i < n; i++) {
            const struct item *a = v.at[i - 1], *b = v.at[i];

            assert_true(a->key < b->key || (a->key == b->key && a->order < b->order));
        }
        pf_ptrs_push(&v, &item[0]);
        assert_int_equal(v.len, n + 1);
        pf_ptrs_fini(&v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends_of_every_kind),
        cmocka_unit_test(test_printf_longer_than_the_room),
        cmocka_unit_test(test_every_length_around_the_growth_steps),
        cmocka_unit_test(test_limit_is_exact_and_failure_is_sticky),
        cmocka_unit_test(test_failed_allocation_with_a_limit),
        cmocka_unit_test(test_reserve_gives_room_to_write),
        cmocka_unit_test(test_misuse_aborts),
        cmocka_unit_test(test_ptrs_remove),
        cmocka_unit_test(test_ptrs_sort_is_stable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
