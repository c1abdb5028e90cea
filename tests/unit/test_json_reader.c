/* SPDX-License-Identifier: Apache-2.0 */
/* The pull reader, numbers as text, base64. */
#include "common/fb/json_reader.h"
#include <math.h>
#include "common/base/alloc.h"
#include "common/base/rng.h"
#include "common/fb/base64.h"
#include "common/fb/json_number.h"
#include "tests/support/test.h"

static void test_json_reader_walks_a_document(void **state)
{
    (void)state;
    struct pf_json_reader r;
    struct pf_str key, text;
    int64_t number = 0;
    bool truth = false;
    pf_jr_init(&r, PF_STR(" { \"a\" : [ 1 , \"x\\n\", true, null ] , \"b\\t\": {} } "));
    assert_int_equal(pf_jr_kind(&r), PF_JSON_OBJECT);
    assert_int_equal(pf_jr_enter(&r), 0);
    assert_int_equal(pf_jr_key(&r, &key), 1);
    assert_true(pf_str_is(key, "a"));
    assert_int_equal(pf_jr_kind(&r), PF_JSON_ARRAY);
    assert_int_equal(pf_jr_enter(&r), 0);
    assert_int_equal(pf_jr_item(&r), 1);
    assert_int_equal(pf_jr_int(&r, &number), 0);
    assert_int_equal(number, 1);
    assert_int_equal(pf_jr_item(&r), 1);
    assert_int_equal(pf_jr_str(&r, &text), 0);
    assert_true(pf_str_is(text, "x\n"));
    assert_int_equal(pf_jr_item(&r), 1);
    assert_int_equal(pf_jr_bool(&r, &truth), 0);
    assert_true(truth);
    assert_int_equal(pf_jr_item(&r), 1);
    assert_int_equal(pf_jr_kind(&r), PF_JSON_NULL);
    assert_int_equal(pf_jr_null(&r), 0);
    assert_int_equal(pf_jr_item(&r), 0);
    assert_int_equal(pf_jr_key(&r, &key), 1);
    assert_true(pf_str_is(key, "b\t"));
    assert_int_equal(pf_jr_skip(&r), 0);
    assert_int_equal(pf_jr_key(&r, &key), 0);
    assert_int_equal(pf_jr_end(&r), 0);
    pf_jr_fini(&r);
}

static void test_json_reader_skips_any_value(void **state)
{
    (void)state;
    static const char *const values[] = {"1", "\"x\"", "null", "false", "[]", "{}",
                                         "[[],[1,[2]],{}]", "{\"a\":{\"b\":[{}]},\"c\":1}"};
    for (size_t i = 0; i < PF_ARRAY_LEN(values); i++) {
        struct pf_json_reader r;
        char text[64];
        (void)snprintf(text, sizeof text, "[%s,7]", values[i]);
        pf_jr_init(&r, pf_str(text));
        int64_t v = 0;
        assert_int_equal(pf_jr_enter(&r), 0);
        assert_int_equal(pf_jr_item(&r), 1);
        assert_int_equal(pf_jr_skip(&r), 0);
        assert_int_equal(pf_jr_item(&r), 1);
        assert_int_equal(pf_jr_int(&r, &v), 0);
        assert_int_equal(v, 7);
        assert_int_equal(pf_jr_item(&r), 0);
        assert_int_equal(pf_jr_end(&r), 0);
        pf_jr_fini(&r);
    }
}

static void test_json_reader_tells_what_is_wrong(void **state)
{
    (void)state;
    struct pf_json_reader r;
    struct pf_err err = {0};
    int64_t v;
    pf_jr_init(&r, PF_STR("  1.5"));
    int rc = pf_jr_int(&r, &v);
    assert_int_equal(rc, PF_EPROTO);
    assert_int_equal(pf_jr_err(&r, rc, &err), PF_EPROTO);
    assert_string_equal(err.msg, "expected a 64-bit integer at byte 5");
    pf_jr_fini(&r);
    pf_jr_init(&r, (struct pf_str){NULL, 0});
    assert_int_equal(pf_jr_kind(&r), PF_JSON_INVALID);
    assert_int_equal(pf_jr_skip(&r), PF_EPROTO);
    pf_jr_fini(&r);
}

static void test_json_reader_fails_when_memory_does(void **state)
{
    (void)state;
    struct pf_json_reader r;
    struct pf_str text;
    pf_jr_init(&r, PF_STR("\"a\\nb\""));
    (void)pf_alloc_fail_try_at(1);
    assert_int_equal(pf_jr_str(&r, &text), PF_ENOMEM);
    (void)pf_alloc_fail_try_at(0);
    pf_jr_fini(&r);
}

static void test_json_number_accepts_the_grammar_only(void **state)
{
    (void)state;
    static const char *const good[] = {"0", "-0", "10", "1.5", "1e5", "1E+5", "1.25e-3",
                                       "Infinity", "-Infinity", "NaN"};
    static const char *const bad[] = {"", "-", "01", "1.", ".5", "1e", "1e+", "+1", "x", "-NaN",
                                      "Infinit"};
    for (size_t i = 0; i < PF_ARRAY_LEN(good); i++) {
        assert_int_equal(pf_json_number_len(pf_str(good[i])), strlen(good[i]));
    }
    for (size_t i = 0; i < PF_ARRAY_LEN(bad); i++) {
        double v;
        assert_false(pf_json_to_double(pf_str(bad[i]), &v));
    }
}

static void test_json_number_doubles_are_the_nearest(void **state)
{
    (void)state;
    struct pf_rng rng;
    pf_rng_seed(&rng, 42);
    for (int i = 0; i < 200000; i++) {
        uint64_t bits = pf_rng_next(&rng);
        double v, back;
        char text[40];
        memcpy(&v, &bits, sizeof v);
        if (isnan(v) || isinf(v)) {
            continue;
        }
        if (i % 2 == 0) {
            v = (double)(bits % 1000000000) / 1000;
        }
        size_t n = pf_json_from_double(text, v, false);
        assert_true(n < sizeof text);
        text[n] = '\0';
        assert_true(strtod(text, NULL) == v);
        assert_true(pf_json_to_double((struct pf_str){text, (uint32_t)n}, &back));
        assert_true(back == v);
        assert_true(strpbrk(text, ".e") != NULL);
    }
}

static void test_json_number_floats_read_back(void **state)
{
    (void)state;
    struct pf_rng rng;
    pf_rng_seed(&rng, 43);
    for (int i = 0; i < 100000; i++) {
        uint32_t bits = (uint32_t)pf_rng_next(&rng);
        float v;
        double back;
        char text[40];
        memcpy(&v, &bits, sizeof v);
        if (isnan(v) || isinf(v)) {
            continue;
        }
        size_t n = pf_json_from_double(text, (double)v, true);
        assert_true(pf_json_to_double((struct pf_str){text, (uint32_t)n}, &back));
        assert_true((float)back == v);
        assert_true(n <= 16);
    }
}

static void test_json_number_integers(void **state)
{
    (void)state;
    bool negative;
    uint64_t v;
    assert_true(pf_json_to_integer(PF_STR("18446744073709551615"), &negative, &v));
    assert_true(v == UINT64_MAX && !negative);
    assert_true(pf_json_to_integer(PF_STR("-120e-1"), &negative, &v));
    assert_true(v == 12 && negative);
    assert_true(pf_json_to_integer(PF_STR("-0.0"), &negative, &v));
    assert_true(v == 0 && !negative);
    assert_true(pf_json_to_integer(PF_STR("0e999999999999"), &negative, &v));
    assert_false(pf_json_to_integer(PF_STR("18446744073709551616"), &negative, &v));
    assert_false(pf_json_to_integer(PF_STR("1e20"), &negative, &v));
    assert_false(pf_json_to_integer(PF_STR("1e-1"), &negative, &v));
    assert_false(pf_json_to_integer(PF_STR("1e999999999999"), &negative, &v));
    assert_false(pf_json_to_integer(PF_STR("Infinity"), &negative, &v));
}

static void test_base64_both_ways(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="},
                                           {"foo", "Zm9v"}, {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"},
                                           {"\xfb\xff", "+/8="}};
    for (size_t i = 0; i < PF_ARRAY_LEN(pairs); i++) {
        struct pf_buf out = {0};
        uint8_t back[16];
        uint32_t n, len = (uint32_t)strlen(pairs[i][0]);
        pf_base64_encode(&out, (struct pf_bytes){(const uint8_t *)pairs[i][0], len});
        assert_string_equal(pf_buf_cstr(&out), pairs[i][1]);
        struct pf_str text = pf_str(pairs[i][1]);
        assert_true(pf_base64_decoded_len(text, &n) && n == len);
        assert_true(pf_base64_decode(text, back));
        assert_memory_equal(back, pairs[i][0], len);
        pf_buf_fini(&out);
    }
}

static void test_base64_of_long_bytes(void **state)
{
    (void)state;
    for (uint32_t len = 760; len < 776; len++) {
        static uint8_t bytes[800], back[800];
        struct pf_buf out = {0};
        uint32_t n;
        for (uint32_t i = 0; i < len; i++) {
            bytes[i] = (uint8_t)(i * 7);
        }
        pf_base64_encode(&out, (struct pf_bytes){bytes, len});
        struct pf_str text = {(const char *)out.data, (uint32_t)out.len};
        assert_true(pf_base64_decoded_len(text, &n) && n == len);
        assert_true(pf_base64_decode(text, back));
        assert_memory_equal(back, bytes, len);
        pf_buf_fini(&out);
    }
}

static void test_base64_refuses_what_is_none(void **state)
{
    (void)state;
    static const char *const bad[] = {"A", "Zg=", "Zg===", "Z===", "=", "Zm9v=", "Z\n==",
                                      "Zg==Zg=="};
    uint8_t back[16];
    for (size_t i = 0; i < PF_ARRAY_LEN(bad); i++) {
        assert_false(pf_base64_decode(pf_str(bad[i]), back));
    }
    uint32_t n;
    assert_true(pf_base64_decoded_len(PF_STR("Zg"), &n) && n == 1); /* padding left out */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_reader_walks_a_document),
        cmocka_unit_test(test_json_reader_skips_any_value),
        cmocka_unit_test(test_json_reader_tells_what_is_wrong),
        cmocka_unit_test(test_json_reader_fails_when_memory_does),
        cmocka_unit_test(test_json_number_accepts_the_grammar_only),
        cmocka_unit_test(test_json_number_doubles_are_the_nearest),
        cmocka_unit_test(test_json_number_floats_read_back),
        cmocka_unit_test(test_json_number_integers),
        cmocka_unit_test(test_base64_both_ways),
        cmocka_unit_test(test_base64_of_long_bytes),
        cmocka_unit_test(test_base64_refuses_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
