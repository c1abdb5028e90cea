/* SPDX-License-Identifier: Apache-2.0 */
/* Uuids, short ids, the rule for users' ids, and the dice they come from. */
#include "common/base/id.h"

#include "tests/support/test.h"

static void test_dice_are_fixed_by_their_seed(void **state)
{
    struct pf_rng a, b;

    (void)state;
    pf_rng_seed(&a, 42);
    pf_rng_seed(&b, 42);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(pf_rng_next(&a), pf_rng_next(&b));
    }
    pf_rng_seed(&b, 43);
    assert_int_not_equal(pf_rng_next(&a), pf_rng_next(&b));
}

static void test_dice_below_a_bound_are_even(void **state)
{
    struct pf_rng r;
    uint32_t count[7] = {0};

    (void)state;
    pf_rng_seed(&r, 1);
    for (int i = 0; i < 70000; i++) {
        count[pf_rng_below(&r, 7)]++;
    }
    for (int i = 0; i < 7; i++) {
        assert_in_range(count[i], 9500, 10500);
    }
    assert_int_equal(pf_rng_below(&r, 1), 0);
    for (int i = 0; i < 100; i++) {
        assert_true(pf_rng_below(&r, (UINT64_C(1) << 63) + 1) <= UINT64_C(1) << 63);
    }
}

static void throw_below_nothing(void *ctx)
{
    struct pf_rng r;

    (void)ctx;
    pf_rng_seed(&r, 1);
    (void)pf_rng_below(&r, 0);
}

static void test_dice_below_nothing_abort(void **state)
{
    (void)state;
    assert_true(test_aborts(throw_below_nothing, NULL));
}

static void test_uuid_round_trip(void **state)
{
    struct pf_rng r;
    char text[PF_UUID_TEXT_LEN + 1];

    (void)state;
    pf_rng_seed(&r, 7);
    for (int i = 0; i < 1000; i++) {
        struct pf_uuid u = pf_uuid_random(&r), again = {{0}};

        pf_uuid_format(u, text);
        assert_int_equal(strlen(text), PF_UUID_TEXT_LEN);
        assert_int_equal(text[14], '4');
        assert_non_null(strchr("89ab", text[19]));
        assert_true(pf_uuid_parse(pf_str(text), &again));
        assert_true(pf_uuid_eq(u, again));
        assert_false(pf_uuid_is_nil(u));
    }
}

static void test_uuid_text_is_exact(void **state)
{
    static const char *const bad[] = {
        "", "00112233-4455-6677-8899-aabbccddeef", "00112233-4455-6677-8899-aabbccddeefff",
        "00112233x4455-6677-8899-aabbccddeeff", "00112233-4455-6677-8899-aabbccddeefg",
        "0011223-34455-6677-8899-aabbccddeeff", "00112233-4455-6677-8899-aabbccdd-eff",
    };
    struct pf_uuid u = {{1}};
    char text[PF_UUID_TEXT_LEN + 1];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(pf_uuid_parse(pf_str(bad[i]), &u));
        assert_int_equal(u.b[0], 1);
    }
    assert_true(pf_uuid_parse(PF_STR("00112233-4455-6677-8899-AABBccddeeff"), &u));
    pf_uuid_format(u, text);
    assert_string_equal(text, "00112233-4455-6677-8899-aabbccddeeff");
    assert_true(pf_uuid_is_nil((struct pf_uuid){{0}}));
}

static void test_short_ids_of_small_numbers_are_short(void **state)
{
    char id[PF_SHORT_ID_MAX];

    (void)state;
    pf_short_id('f', 1, 0, id);
    assert_string_equal(id, "f10");
    pf_short_id('o', 19, 20, id);
    assert_string_equal(id, "okm0m");
    pf_short_id('o', 1, 1023, id);
    assert_string_equal(id, "o1mzz");
    pf_short_id('o', 1, 1024, id);
    assert_string_equal(id, "o1n100");
    pf_short_id('o', UINT64_MAX, UINT64_MAX, id);
    assert_string_equal(id, "ozfzzzzzzzzzzzzzfzzzzzzzzzzzz");
    assert_int_equal(strlen(id), 29);
}

static int text_cmp(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Sorted, a text that is another's prefix or equal stands right before it or before a third that
 * has the same prefix: looking at neighbours finds all. */
static void test_short_ids_are_prefix_free(void **state)
{
    enum { N = 130 };
    static char id[N * N][PF_SHORT_ID_MAX];
    uint64_t number[N];
    size_t n = 0;

    (void)state;
    for (uint32_t i = 0; i < N; i++) {
        number[i] = i < 66 ? i : (UINT64_C(1) << (i - 66)) - (i % 2);
    }
    number[66] = 66;
    number[67] = 67;
    for (uint32_t i = 68; i < N; i++) {
        number[i] = (UINT64_C(1) << (i - 66)) + 100 + i;
    }
    for (uint32_t i = 0; i < N; i++) {
        for (uint32_t k = 0; k < N; k++) {
            pf_short_id('t', number[i], number[k], id[n++]);
        }
    }
    qsort(id, n, sizeof id[0], text_cmp);
    for (size_t i = 1; i < n; i++) {
        assert_int_not_equal(strncmp(id[i - 1], id[i], strlen(id[i - 1])), 0);
    }
}

static void test_rule_for_ids_of_users(void **state)
{
    char text[257];

    (void)state;
    memset(text, 'a', sizeof text);
    assert_null(pf_id_problem((struct pf_str){text, 1}));
    assert_null(pf_id_problem((struct pf_str){text, 255}));
    assert_non_null(pf_id_problem((struct pf_str){text, 256}));
    assert_non_null(pf_id_problem(pf_str(NULL)));
    assert_non_null(pf_id_problem(PF_STR("")));
    assert_non_null(pf_id_problem(PF_STR(".")));
    assert_non_null(pf_id_problem(PF_STR("..")));
    assert_null(pf_id_problem(PF_STR("...")));
    assert_null(pf_id_problem(PF_STR("with space and \xc3\xa4")));
    assert_non_null(pf_id_problem(PF_STR("a/b")));
    assert_non_null(pf_id_problem(PF_STR("a\\b")));
    assert_non_null(pf_id_problem(PF_STR("a\0b")));
    assert_non_null(pf_id_problem(PF_STR("a\x1f")));
    assert_non_null(pf_id_problem(PF_STR("a\x7f")));
}

static void test_unique_prefix_length(void **state)
{
    struct pf_str none = {0};

    (void)state;
    assert_int_equal(pf_id_unique_len(PF_STR("abcd"), none, none, 2), 2);
    assert_int_equal(pf_id_unique_len(PF_STR("abcd"), PF_STR("abc0"), none, 2), 4);
    assert_int_equal(pf_id_unique_len(PF_STR("abcd"), PF_STR("aaaa"), PF_STR("abxx"), 1), 3);
    assert_int_equal(pf_id_unique_len(PF_STR("abc"), none, PF_STR("abcd"), 1), 3);
    assert_int_equal(pf_id_unique_len(PF_STR("a"), none, none, 4), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dice_are_fixed_by_their_seed),
        cmocka_unit_test(test_dice_below_a_bound_are_even),
        cmocka_unit_test(test_dice_below_nothing_abort),
        cmocka_unit_test(test_uuid_round_trip),
        cmocka_unit_test(test_uuid_text_is_exact),
        cmocka_unit_test(test_short_ids_of_small_numbers_are_short),
        cmocka_unit_test(test_short_ids_are_prefix_free),
        cmocka_unit_test(test_rule_for_ids_of_users),
        cmocka_unit_test(test_unique_prefix_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
