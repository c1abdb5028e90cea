/* SPDX-License-Identifier: Apache-2.0 */
/* Messages as JSON text, and the writer that is used piece by piece. */
#include "common/fb/json_writer.h"
#include <float.h>
#include <locale.h>
#include <math.h>
#include "common/fb/json.h"
#include "tests/support/msg.h"
#include "tests/support/testmsg.h"

static void writes_msg(struct pf_msg msg, uint32_t flags, const char *want)
{
    struct pf_buf out = {0};
    struct pf_err err = {0};
    if (pf_json_write(&out, TestMsg__root(msg).tab, &TestMsg__desc, flags, &err) != 0) {
        fail_msg("%s", err.msg);
    }
    char *plain = test_json_quotes(want);
    assert_string_equal(pf_buf_cstr(&out), plain);
    pf_free(plain);
    pf_buf_fini(&out);
}

static void writes(const struct TestMsg__args *args, uint32_t flags, const char *want)
{
    struct pf_fb_builder b;
    struct TestMsg__args all = *args;
    all.plain_default = 7; /* arguments know no schema defaults: 0 would be said as 0 */
    pf_fb_builder_init(&b, NULL);
    writes_msg(TestMsg__finish(&b, TestMsg__put(&b, &all)), flags, want);
    pf_fb_builder_fini(&b);
}

static void test_json_write_adds_defaults_that_mesos_shows(void **state)
{
    (void)state;
    /* "role" has a default too, but a deprecated one. */
    writes(&(struct TestMsg__args){.i32 = PF_OPT(0)}, 0,
           "{'i32':0,'u32':5050,'f64':5.5,'flag':true,'color':'GREEN'}");
    writes(&(struct TestMsg__args){.flag = PF_OPT(false), .f64 = PF_OPT(15), .u32 = PF_OPT(1),
                                   .color = PF_OPT(Color_RED), .role = PF_STR("r")}, 0,
           "{'u32':1,'f64':15.0,'flag':false,'color':'RED','role':'r'}");
    writes(&(struct TestMsg__args){0}, PF_JSON_NO_DEFAULTS, "{}");
}

static void test_json_write_reads_defaults_through_accessors(void **state)
{
    (void)state;
    struct pf_fb_builder b;
    pf_fb_builder_init(&b, NULL);
    struct TestMsg m = TestMsg__root(test_msg(&b, &TestMsg__desc, "{}"));
    assert_int_equal(TestMsg_u32(m), 5050);
    assert_true(TestMsg_f64(m) == 5.5);
    assert_true(TestMsg_flag(m));
    assert_int_equal(TestMsg_color(m), Color_GREEN);
    assert_string_equal(TestMsg_role(m).at, "*");
    assert_int_equal(TestMsg_i32(m), 0);
    assert_int_equal(TestMsg_plain_default(m), 7);
    assert_false(TestMsg__has_u32(m) || TestMsg__has_role(m) || TestMsg__has_flag(m));
    pf_fb_builder_fini(&b);
}

static void test_json_write_leaves_out_ours_when_told(void **state)
{
    (void)state;
    struct TestMsg__args args = {.secret = PF_STR("s"), .plain = 1, .text = PF_STR("t")};
    writes(&args, PF_JSON_NO_DEFAULTS, "{'text':'t','plain':1,'secret':'s'}");
    writes(&args, PF_JSON_NO_DEFAULTS | PF_JSON_SKIP_OURS, "{'text':'t'}");
}

static void test_json_write_is_ascii(void **state)
{
    (void)state;
    struct pf_str text = PF_STR("\"\\/\b\f\n\r\t\x01\x7f\xc3\xa9\xf0\x9f\x98\x80");
    writes(&(struct TestMsg__args){.text = text}, PF_JSON_NO_DEFAULTS,
           "{'text':'\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u007f\\u00e9\\ud83d\\ude00'}");
}

/* Native peers' strings are not checked for UTF-8; what is none must still become valid JSON. */
static void test_json_write_replaces_invalid_utf8(void **state)
{
    (void)state;
    writes(&(struct TestMsg__args){.text = PF_STR("a\xffz\xc0\xaf\xed\xa0\x80\xe2\x82")},
           PF_JSON_NO_DEFAULTS,
           "{'text':'a\\ufffdz\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd'}");
}

static void test_json_write_shows_unknown_enum_numbers(void **state)
{
    (void)state;
    static const enum Color colors[] = {(enum Color)77, Color_RED};
    writes(&(struct TestMsg__args){.color = PF_OPT((enum Color)99), .colors = {colors, 2}},
           PF_JSON_NO_DEFAULTS, "{'color':99,'colors':[77,'RED']}");
}

static void test_json_write_stops_at_the_buffers_limit(void **state)
{
    (void)state;
    struct pf_fb_builder b;
    struct pf_buf out = {.limit = 40};
    struct pf_err err = {0};
    pf_fb_builder_init(&b, NULL);
    struct pf_msg msg = test_msg(&b, &TestMsg__desc,
                                 "{'text':'0123456789012345678901234567890'}");
    pf_buf_add_cstr(&out, "before");
    int rc = pf_json_write(&out, TestMsg__root(msg).tab, &TestMsg__desc, PF_JSON_NO_DEFAULTS, &err);
    assert_int_equal(rc, PF_ELIMIT);
    assert_string_equal(err.msg, "JSON of TestMsg is longer than 40 bytes");
    assert_true(out.failed);
    assert_int_equal(out.len, 6);
    pf_buf_fini(&out);
    pf_fb_builder_fini(&b);
}

/* A small buffer in which one text stands in ten thousand places must not fill the memory. */
static void test_json_write_shared_strings_meet_the_limit(void **state)
{
    (void)state;
    enum { PLACES = 10000, TEXT = 5000 };
    struct pf_fb_builder b;
    struct pf_buf out = {.limit = 1 << 20};
    static struct pf_ref refs[PLACES];
    static char text[TEXT];
    pf_fb_builder_init(&b, NULL);
    memset(text, 'x', sizeof text);
    struct pf_ref one = Test_Job__put(&b, &(struct Test_Job__args){.name = {text, TEXT}});
    for (size_t i = 0; i < PLACES; i++) {
        refs[i] = one;
    }
    struct TestMsg__args args = {.jobs = {refs, PLACES}};
    struct pf_msg msg = TestMsg__finish(&b, TestMsg__put(&b, &args));
    assert_true(msg.len < 60000);
    assert_int_equal(pf_json_write(&out, TestMsg__root(msg).tab, &TestMsg__desc, 0, NULL),
                     PF_ELIMIT);
    pf_buf_fini(&out);
    pf_fb_builder_fini(&b);
}

static void test_json_write_pretty(void **state)
{
    (void)state;
    struct pf_fb_builder b;
    pf_fb_builder_init(&b, NULL);
    struct pf_msg msg = test_msg(&b, &TestMsg__desc,
                                 "{'i32s':[1,2],'empty':{},'labels':{'a':'b'}}");
    writes_msg(msg, PF_JSON_NO_DEFAULTS | PF_JSON_PRETTY,
               "{\n  'i32s': [\n    1,\n    2\n  ],\n  'labels': {\n    'a': 'b'\n  },\n"
               "  'empty': {}\n}");
    pf_fb_builder_fini(&b);
}

/* `v` is written as `want`, under the present locale. */
static void writes_double(double v, const char *want)
{
    struct pf_buf out = {0};
    struct pf_json_writer w;
    pf_jw_init(&w, &out, false);
    pf_jw_double(&w, v);
    assert_string_equal(pf_buf_cstr(&out), want);
    pf_buf_fini(&out);
}

static void writes_doubles(void)
{
    writes_double(0, "0.0");
    writes_double(-0.0, "-0.0");
    writes_double(15, "15.0");
    writes_double(0.1, "0.1");
    writes_double(-1.25, "-1.25");
    writes_double(1024.001, "1024.001");
    writes_double(0.1 + 0.2, "0.30000000000000004");
    writes_double(1.0 / 3, "0.3333333333333333");
    writes_double(1e20, "1e+20");
    writes_double(1e-20, "1e-20");
    writes_double(123456789012345680.0, "1.2345678901234568e+17");
    writes_double(999999999999999.0, "999999999999999.0");
    writes_double(DBL_MAX, "1.7976931348623157e+308");
    writes_double(5e-324, "4.94065645841247e-324");
    writes_double((double)INFINITY, "Infinity");
    writes_double(-(double)INFINITY, "-Infinity");
    writes_double((double)NAN, "NaN");
}

static void test_json_write_doubles_have_a_point_or_an_exponent(void **state)
{
    (void)state;
    writes_doubles();
}

static void test_json_write_doubles_whatever_the_locale(void **state)
{
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "ru_RU.UTF-8", "C"};
    for (size_t i = 0; i < PF_ARRAY_LEN(names); i++) {
        if (setlocale(LC_NUMERIC, names[i]) != NULL) {
            writes_doubles();
        }
    }
    assert_non_null(setlocale(LC_NUMERIC, "C"));
}

static void test_json_writer_keeps_commas(void **state)
{
    (void)state;
    struct pf_buf out = {0};
    struct pf_json_writer w;
    pf_jw_init(&w, &out, false);
    pf_jw_begin_object(&w);
    pf_jw_field_str(&w, "a", PF_STR("x"));
    pf_jw_key(&w, "b");
    pf_jw_begin_array(&w);
    pf_jw_int(&w, INT64_MIN);
    pf_jw_uint(&w, UINT64_MAX);
    pf_jw_null(&w);
    pf_jw_begin_object(&w);
    pf_jw_end_object(&w);
    pf_jw_base64(&w, (struct pf_bytes){(const uint8_t *)"ab", 2});
    pf_jw_raw(&w, PF_STR("[1]"));
    pf_jw_str(&w, (struct pf_str){NULL, 0});
    pf_jw_end_array(&w);
    pf_jw_field_milli(&w, "c", 1500);
    pf_jw_field_milli(&w, "d", -2);
    pf_jw_field_milli(&w, "e", 3000);
    pf_jw_field_milli(&w, "f", 1010);
    pf_jw_field_bool(&w, "g", false);
    pf_jw_key(&w, "h");
    pf_jw_table(&w, (struct pf_tab){NULL}, &TestMsg__desc, 0);
    pf_jw_field_cstr(&w, "i\n", NULL);
    pf_jw_end_object(&w);
    char *want = test_json_quotes(
        "{'a':'x','b':[-9223372036854775808,18446744073709551615,null,{},'YWI=',[1],null],"
        "'c':1.5,'d':-0.002,'e':3,'f':1.01,'g':false,'h':{},'i\\n':null}");
    assert_string_equal(pf_buf_cstr(&out), want);
    pf_free(want);
    pf_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_write_adds_defaults_that_mesos_shows),
        cmocka_unit_test(test_json_write_reads_defaults_through_accessors),
        cmocka_unit_test(test_json_write_leaves_out_ours_when_told),
        cmocka_unit_test(test_json_write_is_ascii),
        cmocka_unit_test(test_json_write_replaces_invalid_utf8),
        cmocka_unit_test(test_json_write_shows_unknown_enum_numbers),
        cmocka_unit_test(test_json_write_stops_at_the_buffers_limit),
        cmocka_unit_test(test_json_write_shared_strings_meet_the_limit),
        cmocka_unit_test(test_json_write_pretty),
        cmocka_unit_test(test_json_write_doubles_have_a_point_or_an_exponent),
        cmocka_unit_test(test_json_write_doubles_whatever_the_locale),
        cmocka_unit_test(test_json_writer_keeps_commas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
