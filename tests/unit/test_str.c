/* SPDX-License-Identifier: Apache-2.0 */
/* Borrowed text: order, prefixes, glob patterns. */
#include "common/base/str.h"

#include "common/base/rng.h"
#include "tests/support/test.h"

static void test_absent_and_empty(void **state)
{
    (void)state;
    assert_int_equal(pf_str(NULL).len, 0);
    assert_null(pf_str(NULL).at);
    assert_true(pf_str_eq(pf_str(NULL), PF_STR("")));
    assert_true(pf_str_is(PF_STR("abc"), "abc"));
    assert_false(pf_str_is(PF_STR("abc"), "ab"));
    assert_int_equal(PF_STR("a\0b").len, 3);
}

static void test_order(void **state)
{
    (void)state;
    assert_true(pf_str_cmp(PF_STR("a"), PF_STR("b")) < 0);
    assert_true(pf_str_cmp(PF_STR("ab"), PF_STR("a")) > 0);
    assert_true(pf_str_cmp(PF_STR("a"), PF_STR("ab")) < 0);
    assert_int_equal(pf_str_cmp(PF_STR("a"), PF_STR("a")), 0);
    assert_int_equal(pf_str_cmp(pf_str(NULL), PF_STR("")), 0);
    assert_true(pf_str_cmp(pf_str(NULL), PF_STR("a")) < 0);
    assert_true(pf_str_cmp(PF_STR("\xff"), PF_STR("a")) > 0);
}

static void test_prefix(void **state)
{
    (void)state;
    assert_true(pf_str_has_prefix(PF_STR("abc"), PF_STR("ab")));
    assert_true(pf_str_has_prefix(PF_STR("abc"), PF_STR("")));
    assert_true(pf_str_has_prefix(pf_str(NULL), pf_str(NULL)));
    assert_false(pf_str_has_prefix(PF_STR("ab"), PF_STR("abc")));
    assert_false(pf_str_has_prefix(PF_STR("abc"), PF_STR("b")));
}

static void test_glob(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool matches;
    } row[] = {
        {"", "", true},          {"", "a", false},        {"*", "", true},
        {"*", "abc", true},      {"?", "", false},        {"?", "a", true},
        {"a*c", "abbc", true},   {"a*c", "abbd", false},  {"k7m2.*", "k7m2.13", true},
        {"k7m2.*", "k7m2", false}, {"*a*b*", "xxaxxbx", true}, {"*a*b*", "xxbxxax", false},
        {"**", "x", true},       {"a?c", "abc", true},    {"a?c", "ac", false},
        {"*ab", "aab", true},    {"[a]", "a", false},     {"abc", "abcd", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        assert_int_equal(pf_str_glob(pf_str(row[i].pattern), pf_str(row[i].text)),
                         row[i].matches);
    }
}

/* The definition, for short texts: a star takes nothing or one byte more. */
static bool glob_naive(const char *p, const char *s)
{
    if (*p == '\0') {
        return *s == '\0';
    }
    if (*p == '*') {
        return glob_naive(p + 1, s) || (*s != '\0' && glob_naive(p, s + 1));
    }
    return *s != '\0' && (*p == '?' || *p == *s) && glob_naive(p + 1, s + 1);
}

static void test_glob_agrees_with_the_definition(void **state)
{
    struct pf_rng rng;

    (void)state;
    pf_rng_seed(&rng, 1);
    for (int round = 0; round < 20000; round++) {
        char pattern[8] = "", text[10] = "";

        for (uint64_t i = 0, n = pf_rng_below(&rng, sizeof pattern); i < n; i++) {
            pattern[i] = "ab*?"[pf_rng_below(&rng, 4)];
        }
        for (uint64_t i = 0, n = pf_rng_below(&rng, sizeof text); i < n; i++) {
            text[i] = "ab"[pf_rng_below(&rng, 2)];
        }
        assert_int_equal(pf_str_glob(pf_str(pattern), pf_str(text)), glob_naive(pattern, text));
    }
}

static void test_glob_is_not_exponential(void **state)
{
    char pattern[201], text[2001];

    (void)state;
    for (int i = 0; i < 200; i++) {
        pattern[i] = i % 2 ? 'a' : '*';
    }
    pattern[199] = 'b';
    pattern[200] = '\0';
    memset(text, 'a', 2000);
    text[2000] = '\0';
    assert_false(pf_str_glob(pf_str(pattern), pf_str(text)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_absent_and_empty),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_glob),
        cmocka_unit_test(test_glob_agrees_with_the_definition),
        cmocka_unit_test(test_glob_is_not_exponential),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
