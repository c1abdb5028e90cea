/* SPDX-License-Identifier: Apache-2.0 */
/* JSON to messages: what Mesos's clients send, and what must be refused. */
#include "common/fb/json.h"
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "tests/support/msg.h"
#include "tests/support/testmsg.h"

static void reads(const char *text, const char *want)
{
    struct pf_fb_builder b;
    struct pf_msg msg, again;
    struct pf_err err = {0};
    char *json = test_json_quotes(text), *plain = test_json_quotes(want);
    pf_fb_builder_init(&b, NULL);
    if (pf_json_read(pf_str(json), &TestMsg__desc, &b, &msg, 0, &err) != 0) {
        fail_msg("%s in %s", err.msg, json);
    }
    if (pf_fb_verify(pf_msg_bytes(msg), &TestMsg__desc, &again, &err) != 0) {
        fail_msg("built an invalid buffer: %s", err.msg);
    }
    char *have = test_json_of(TestMsg__root(msg).tab, &TestMsg__desc);
    assert_string_equal(have, plain);
    pf_free(have);
    pf_free(plain);
    pf_free(json);
    pf_fb_builder_fini(&b);
}

static void refuses(const char *text, int code, const char *message)
{
    struct pf_fb_builder b;
    struct pf_msg msg = {NULL, 7, NULL};
    struct pf_err err = {0};
    char *json = test_json_quotes(text);
    pf_fb_builder_init(&b, NULL);
    int rc = pf_json_read(pf_str(json), &TestMsg__desc, &b, &msg, 0, &err);
    if (rc == 0) {
        fail_msg("accepted %s", json);
    }
    assert_string_equal(err.msg, message);
    assert_int_equal(rc, code);
    assert_int_equal(err.code, code);
    assert_int_equal(msg.len, 7); /* untouched */
    pf_free(json);
    pf_fb_builder_fini(&b);
}

static void test_json_read_takes_every_type(void **state)
{
    (void)state;
    const char *all =
        "{'i8':-128,'u8':255,'i16':-32768,'u16':65535,'i32':-2147483648,'u32':4294967295,"
        "'i64':-9223372036854775808,'u64':18446744073709551615,'f32':0.1,'f64':1e-20,"
        "'flag':false,'color':'BLUE','small':'ZERO','text':'x','role':'r','data':'AAEC/w==',"
        "'job':{'name':'n','job_id':{'value':'v'},'weight':1.5},"
        "'carried':{'name':'c','carried':{'name':'d'}},"
        "'carried_list':[{'name':'e','sub':{'name':'f'}},{'name':'g'}],'i32s':[1,-2],"
        "'u64s':[18446744073709551615],'f64s':[0.5,-0.0],'flags':[true,false],"
        "'colors':['RED','GREEN'],'smalls':['TWO','ZERO'],'texts':['','a'],"
        "'jobs':[{'name':'h'}],'jobs_by_name':{'k':{'name':'i'}},'labels':{'a':'1','b':''},"
        "'numbers':{'n':-5},'empty':{},'body':{'Test_Pong':{'text':'t'}},'pick_number':0,"
        "'plain':3,'plain_default':8,'plain_small':'ONE','plain_flag':true,'secret':'s',"
        "'default':0,'register':{'kept':'k'},'delta':-1,'i16s':[-1,2]}";
    reads(all, all);
}

static void test_json_read_null_is_unset(void **state)
{
    (void)state;
    reads("{'i32':null,'job':null,'jobs':null,'labels':null,'body':null,'text':null}", "{}");
    reads("{'texts':['a',null,'b'],'labels':{'k':null,'l':'v'}}",
          "{'texts':['a','b'],'labels':{'l':'v'}}");
    reads("{'body':{'Test_Ping':null}}", "{}");
}

static void test_json_read_takes_what_is_empty(void **state)
{
    (void)state;
    struct pf_fb_builder b;
    struct pf_msg msg, again;
    reads("{}", "{}");
    reads("{'labels':{},'texts':[],'jobs':[],'body':{},'empty':{}}", "{'empty':{}}");
    pf_fb_builder_init(&b, NULL);
    assert_int_equal(pf_json_read(PF_STR("{}"), &Test_Empty__desc, &b, &msg, 0, NULL), 0);
    assert_int_equal(pf_fb_verify(pf_msg_bytes(msg), &Test_Empty__desc, &again, NULL), 0);
    pf_fb_builder_fini(&b);
}

static void test_json_read_ignores_unknown_fields(void **state)
{
    (void)state;
    reads("{'x':[{'y':[1,'s',null,true,{}]}],'i32':1,'z':{},'w':-1.5e3,'v':'a\\nb'}",
          "{'i32':1}");
    /* deprecated fields have no name */
    reads("{'register':{'gone':'x','kept':'y'}}", "{'register':{'kept':'y'}}");
}

static void test_json_read_refuses_unknown_fields_when_told(void **state)
{
    (void)state;
    struct pf_fb_builder b;
    struct pf_msg msg;
    struct pf_err err = {0};
    pf_fb_builder_init(&b, NULL);
    struct pf_str json = PF_STR("{\"job\":{\"name\":\"n\",\"nmae\":1}}");
    int rc = pf_json_read(json, &TestMsg__desc, &b, &msg, PF_JSON_REFUSE_UNKNOWN, &err);
    assert_int_equal(rc, PF_EINVAL);
    assert_string_equal(err.msg, "job: unknown field 'nmae'");
    pf_fb_builder_fini(&b);
}

static void test_json_read_skips_ours_when_told(void **state)
{
    (void)state;
    struct pf_fb_builder b;
    struct pf_msg msg;
    pf_fb_builder_init(&b, NULL);
    struct pf_str json = PF_STR("{\"secret\":\"s\",\"i32\":1}");
    assert_int_equal(pf_json_read(json, &TestMsg__desc, &b, &msg, PF_JSON_SKIP_OURS, NULL), 0);
    assert_false(TestMsg__has_secret(TestMsg__root(msg)));
    assert_true(TestMsg__has_i32(TestMsg__root(msg)));
    pf_fb_builder_fini(&b);
}

static void test_json_read_takes_numbers_and_booleans_as_strings(void **state)
{
    (void)state;
    reads("{'u64':'5','i32':'-5','f64':'Infinity','flag':'true','f64s':['-Infinity','1e3']}",
          "{'i32':-5,'u64':5,'f64':Infinity,'flag':true,'f64s':[-Infinity,1000.0]}");
    reads("{'f64':3.6e+06,'i32':3.6e+06,'u64':5.0}", "{'i32':3600000,'u64':5,'f64':3600000.0}");
    reads("{'f64':NaN}", "{'f64':NaN}");
}

static void test_json_read_takes_one_value_as_a_list(void **state)
{
    (void)state;
    reads("{'texts':'a','i32s':5,'jobs':{'name':'n'},'colors':'RED','carried_list':{'name':'c'}}",
          "{'carried_list':[{'name':'c'}],'i32s':[5],'colors':['RED'],'texts':['a'],"
          "'jobs':[{'name':'n'}]}");
}

static void test_json_read_last_of_equal_keys_wins(void **state)
{
    (void)state;
    reads("{'i32':1,'i32':2,'texts':['a'],'texts':['b'],'text':'x','text':null}",
          "{'i32':2,'texts':['b']}");
    reads("{'job':{'name':'a','weight':1},'job':{'name':'b'}}", "{'job':{'name':'b'}}");
    reads("{'labels':{'b':'1','a':'2','b':'3','':'4'}}", "{'labels':{'':'4','a':'2','b':'3'}}");
}

static void test_json_read_unknown_enum_name_is_unset(void **state)
{
    (void)state;
    reads("{'color':'PINK','colors':['RED','PINK','BLUE']}", "{'colors':['RED','BLUE']}");
}

static void test_json_read_decodes_escapes(void **state)
{
    (void)state;
    reads("{'text':'\\u0041\\/\\\\\\t\\u00e9\\ud83d\\ude00\\u0000z'}",
          "{'text':'A/\\\\\\t\\u00e9\\ud83d\\ude00\\u0000z'}");
    reads("{'text':'\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80'}",
          "{'text':'\\u00e9\\u20ac\\ud83d\\ude00'}");
    reads("{'\\u0069\\u0033\\u0032':1}", "{'i32':1}");
}

static void test_json_read_refuses_what_is_not_json(void **state)
{
    (void)state;
    refuses("", PF_EPROTO, "expected an object at byte 0");
    refuses("{'i32':1", PF_EPROTO, "expected ',' or '}' at byte 8");
    refuses("{'i32':1}x", PF_EPROTO, "text after the end at byte 9");
    refuses("{'i32' 1}", PF_EPROTO, "expected ':' at byte 7");
    refuses("{'i32':}", PF_EPROTO, "i32: expected a value at byte 7");
    refuses("{'i32s':[1,]}", PF_EPROTO, "i32s[1]: expected a value at byte 11");
    refuses("{,}", PF_EPROTO, "expected a string at byte 1");
    refuses("{'i32':01}", PF_EPROTO, "i32: malformed number at byte 7");
    refuses("{'text':'a\nb'}", PF_EPROTO, "text: control character in a string at byte 10");
    refuses("{'text':'a", PF_EPROTO, "text: string without end at byte 10");
    refuses("{'text':'\\x'}", PF_EPROTO, "text: unknown escape at byte 11");
    refuses("{'text':'\\ud800'}", PF_EPROTO, "text: lone surrogate at byte 15");
    refuses("{'text':'\\ud800\\u0041'}", PF_EPROTO, "text: lone surrogate at byte 21");
    refuses("{'text':'\\u00g0'}", PF_EPROTO, "text: malformed \\u escape at byte 14");
    refuses("{'text':'\xc3'}", PF_EPROTO, "text: invalid UTF-8 at byte 9");
    refuses("{'text':'\xc0\xaf'}", PF_EPROTO, "text: invalid UTF-8 at byte 9");
    refuses("{'text':'\xed\xa0\x80'}", PF_EPROTO, "text: invalid UTF-8 at byte 9");
    refuses("{'x':tru}", PF_EPROTO, "expected true or false at byte 5");
}

static void test_json_read_refuses_wrong_kinds_with_the_path(void **state)
{
    (void)state;
    refuses("[]", PF_EINVAL, "expected an object at byte 0");
    refuses("{'i32':true}", PF_EINVAL, "i32: expected a number at byte 7");
    refuses("{'i32':'x'}", PF_EINVAL, "i32: expected an integer in its range at byte 7");
    refuses("{'i32':[1]}", PF_EINVAL, "i32: expected a single value at byte 7");
    refuses("{'text':5}", PF_EINVAL, "text: expected a string at byte 8");
    refuses("{'data':5}", PF_EINVAL, "data: expected a string at byte 8");
    refuses("{'data':'A'}", PF_EINVAL, "data: expected base64 at byte 8");
    refuses("{'data':'A?=='}", PF_EINVAL, "data: expected base64 at byte 8");
    refuses("{'flag':1}", PF_EINVAL, "flag: expected true or false at byte 8");
    refuses("{'flag':'yes'}", PF_EINVAL, "flag: expected true or false at byte 8");
    refuses("{'color':1}", PF_EINVAL, "color: expected the name of an enum's value at byte 9");
    refuses("{'job':5}", PF_EINVAL, "job: expected an object at byte 7");
    refuses("{'labels':[]}", PF_EINVAL, "labels: expected an object at byte 10");
    refuses("{'jobs':[{'name':'a'},{'name':[]}]}", PF_EINVAL,
            "jobs[1].name: expected a single value at byte 30");
    refuses("{'body':{'Nobody':{}}}", PF_EINVAL, "body: unknown member of a union at byte 8");
    refuses("{'body':{'Test_Ping':{},'Test_Pong':{}}}", PF_EINVAL,
            "body: more than one member of a union at byte 21");
}

static void test_json_read_refuses_missing_and_conflicting_fields(void **state)
{
    (void)state;
    refuses("{'job':{}}", PF_EINVAL, "job.name: required field is missing at byte 7");
    refuses("{'carried_list':[{'name':'a'},{}]}", PF_EINVAL,
            "carried_list[1].name: required field is missing at byte 30");
    refuses("{'job':{'name':null}}", PF_EINVAL, "job.name: required field is missing at byte 7");
    refuses("{'pick_text':'a','pick_number':1}", PF_EINVAL,
            "pick_number: another field of its oneof is set at byte 0");
}

static void test_json_read_bounds_integers(void **state)
{
    (void)state;
    refuses("{'i8':128}", PF_EINVAL, "i8: expected an integer in its range at byte 6");
    refuses("{'i8':-129}", PF_EINVAL, "i8: expected an integer in its range at byte 6");
    refuses("{'u8':256}", PF_EINVAL, "u8: expected an integer in its range at byte 6");
    refuses("{'u64':-1}", PF_EINVAL, "u64: expected an integer in its range at byte 7");
    refuses("{'u64':18446744073709551616}", PF_EINVAL,
            "u64: expected an integer in its range at byte 7");
    refuses("{'i64':9223372036854775808}", PF_EINVAL,
            "i64: expected an integer in its range at byte 7");
    refuses("{'i32':1.5}", PF_EINVAL, "i32: expected an integer in its range at byte 7");
    refuses("{'i32':1e400}", PF_EINVAL, "i32: expected an integer in its range at byte 7");
    refuses("{'i32':'Infinity'}", PF_EINVAL, "i32: expected an integer in its range at byte 7");
    refuses("{'f64':1e400}", PF_EINVAL, "f64: expected a number at byte 7");
    refuses("{'f32':1e39}", PF_EINVAL, "f32: number is too large at byte 7");
}

/* `n` times `open`, then `inner`, then `n` times `close`. */
static char *nest(const char *open, const char *inner, const char *close, int n)
{
    struct pf_buf text = {0};
    for (int i = 0; i < n; i++) {
        pf_buf_add_cstr(&text, open);
    }
    pf_buf_add_cstr(&text, inner);
    for (int i = 0; i < n; i++) {
        pf_buf_add_cstr(&text, close);
    }
    char *all = pf_strdup(pf_buf_cstr(&text));
    pf_buf_fini(&text);
    return all;
}

/* Reads {"job": ...} with `n` jobs inside each other. */
static int read_jobs(const char *open, int n)
{
    struct pf_fb_builder b;
    struct pf_msg msg, again;
    char *text = nest(open, "{'name':'x'}", "}", n - 1);
    char *json = test_json_quotes(text);
    struct pf_buf all = {0};
    pf_buf_printf(&all, "{\"job\":%s}", json);
    pf_fb_builder_init(&b, NULL);
    int rc = pf_json_read(pf_str(pf_buf_cstr(&all)), &TestMsg__desc, &b, &msg, 0, NULL);
    if (rc == 0) {
        assert_int_equal(pf_fb_verify(pf_msg_bytes(msg), &TestMsg__desc, &again, NULL), 0);
        pf_free(test_json_of(TestMsg__root(msg).tab, &TestMsg__desc));
    }
    pf_buf_fini(&all);
    pf_free(text);
    pf_free(json);
    pf_fb_builder_fini(&b);
    return rc;
}

static void test_json_read_bounds_depth(void **state)
{
    (void)state;
    assert_int_equal(read_jobs("{'name':'n','sub':", PF_MSG_DEPTH_MAX - 1), 0);
    assert_int_equal(read_jobs("{'name':'n','sub':", PF_MSG_DEPTH_MAX), PF_ELIMIT);
    assert_int_equal(read_jobs("{'name':'n','carried':", PF_MSG_DEPTH_MAX - 1), 0);
    assert_int_equal(read_jobs("{'name':'n','carried':", PF_MSG_DEPTH_MAX), PF_ELIMIT);
    struct pf_fb_builder b;
    struct pf_msg msg;
    pf_fb_builder_init(&b, NULL);
    char *unknown = nest("{\"x\":[", "1", "]}", 100);
    char *deeper = nest("{\"x\":[", "1", "]}", 101);
    char *open = nest("[", "", "", 1000000);
    assert_int_equal(pf_json_read(pf_str(unknown), &TestMsg__desc, &b, &msg, 0, NULL), 0);
    assert_int_equal(pf_json_read(pf_str(deeper), &TestMsg__desc, &b, &msg, 0, NULL), PF_ELIMIT);
    assert_int_equal(pf_json_read(pf_str(open), &TestMsg__desc, &b, &msg, 0, NULL), PF_EINVAL);
    pf_free(unknown);
    pf_free(deeper);
    pf_free(open);
    pf_fb_builder_fini(&b);
}

static void test_json_read_stops_at_the_builders_limit(void **state)
{
    (void)state;
    struct pf_fb_builder b;
    struct pf_msg msg;
    struct pf_err err = {0};
    pf_fb_builder_init(&b, NULL);
    char *texts = nest("\"abcdefgh\",", "\"\"", "", 1000);
    struct pf_buf json = {0};
    pf_buf_printf(&json, "{\"texts\":[%s]}", texts);
    struct pf_str text = pf_str(pf_buf_cstr(&json));
    b.limit = 8192;
    assert_int_equal(pf_json_read(text, &TestMsg__desc, &b, &msg, 0, &err), PF_ELIMIT);
    assert_non_null(strstr(err.msg, "message is too large"));
    assert_int_equal(b.limit, 8192);
    b.limit = 0;
    assert_int_equal(pf_json_read(text, &TestMsg__desc, &b, &msg, 0, NULL), 0);
    assert_int_equal(TestMsg_texts__len(TestMsg__root(msg)), 1001);
    pf_buf_fini(&json);
    pf_free(texts);
    pf_fb_builder_fini(&b);
}

/* The densest lists there are must fit the limit that the reader gives itself. */
static void test_json_read_own_limit_fits_dense_texts(void **state)
{
    (void)state;
    static const char *const fields[] = {"carried_list", "jobs", "u64s", "texts"};
    static const char *const elements[] = {"{\"name\":\"\"},", "{\"name\":\"\"},", "1,", "\"\","};
    for (size_t i = 0; i < PF_ARRAY_LEN(fields); i++) {
        struct pf_fb_builder b;
        struct pf_msg msg;
        struct pf_err err = {0};
        struct pf_buf json = {0};
        char *list = nest(elements[i], "", "", 20000);
        list[strlen(list) - 1] = '\0';
        pf_buf_printf(&json, "{\"%s\":[%s]}", fields[i], list);
        pf_fb_builder_init(&b, NULL);
        if (pf_json_read(pf_str(pf_buf_cstr(&json)), &TestMsg__desc, &b, &msg, 0, &err) != 0) {
            fail_msg("%s: %s", fields[i], err.msg);
        }
        pf_buf_fini(&json);
        pf_free(list);
        pf_fb_builder_fini(&b);
    }
}

static void test_json_read_survives_each_allocation_failing(void **state)
{
    (void)state;
    char *json = test_json_quotes(
        "{'text':'a\\nb','data':'AAEC','jobs':[{'name':'x'}],'carried_list':[{'name':'y'}],"
        "'labels':{'a':'b'},'u64s':[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]}");
    struct pf_fb_builder b;
    struct pf_msg msg;
    pf_fb_builder_init(&b, NULL);
    (void)pf_alloc_fail_try_at(0);
    assert_int_equal(pf_json_read(pf_str(json), &TestMsg__desc, &b, &msg, 0, NULL), 0);
    pf_fb_builder_fini(&b);
    size_t n = pf_alloc_fail_try_at(0);
    assert_true(n >= 4);
    for (size_t i = 1; i <= n; i++) {
        struct pf_err err = {0};
        (void)pf_alloc_fail_try_at(i);
        int rc = pf_json_read(pf_str(json), &TestMsg__desc, &b, &msg, 0, &err);
        (void)pf_alloc_fail_try_at(0);
        assert_true(rc == PF_ENOMEM || rc == PF_ELIMIT);
        assert_int_equal(err.code, rc);
        pf_fb_builder_fini(&b);
    }
    pf_free(json);
}

/* Every beginning of a text and every byte of it changed: no crash, and what is accepted is a
 * valid buffer. */
static void test_json_read_survives_cut_and_changed_texts(void **state)
{
    (void)state;
    static const char bytes[] = "\"{}[],:\\0e-.\x01\xff\xc3";
    char *json = test_json_quotes(
        "{'u64':12,'text':'\\u00e9','data':'AAE=','body':{'Test_Ping':{'n':1}},'flag':true,"
        "'jobs':[{'name':'x'}],'labels':{'a':'b','a':'c'},'carried':{'name':'y'}}");
    size_t len = strlen(json);
    struct pf_fb_builder b;
    struct pf_msg msg, again;
    int accepted = 0;
    pf_fb_builder_init(&b, NULL);
    for (uint32_t i = 0; i < len; i++) {
        struct pf_str cut = {json, i};
        assert_int_not_equal(pf_json_read(cut, &TestMsg__desc, &b, &msg, 0, NULL), 0);
        for (size_t k = 0; k < sizeof bytes; k++) {
            char was = json[i];
            json[i] = bytes[k];
            if (pf_json_read(pf_str(json), &TestMsg__desc, &b, &msg, 0, NULL) == 0) {
                struct pf_bytes built = pf_msg_bytes(msg);
                assert_int_equal(pf_fb_verify(built, &TestMsg__desc, &again, NULL), 0);
                accepted++;
            }
            json[i] = was;
        }
    }
    assert_true(accepted > 0);
    pf_free(json);
    pf_fb_builder_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_read_takes_every_type),
        cmocka_unit_test(test_json_read_null_is_unset),
        cmocka_unit_test(test_json_read_takes_what_is_empty),
        cmocka_unit_test(test_json_read_ignores_unknown_fields),
        cmocka_unit_test(test_json_read_refuses_unknown_fields_when_told),
        cmocka_unit_test(test_json_read_skips_ours_when_told),
        cmocka_unit_test(test_json_read_takes_numbers_and_booleans_as_strings),
        cmocka_unit_test(test_json_read_takes_one_value_as_a_list),
        cmocka_unit_test(test_json_read_last_of_equal_keys_wins),
        cmocka_unit_test(test_json_read_unknown_enum_name_is_unset),
        cmocka_unit_test(test_json_read_decodes_escapes),
        cmocka_unit_test(test_json_read_refuses_what_is_not_json),
        cmocka_unit_test(test_json_read_refuses_wrong_kinds_with_the_path),
        cmocka_unit_test(test_json_read_refuses_missing_and_conflicting_fields),
        cmocka_unit_test(test_json_read_bounds_integers),
        cmocka_unit_test(test_json_read_bounds_depth),
        cmocka_unit_test(test_json_read_stops_at_the_builders_limit),
        cmocka_unit_test(test_json_read_own_limit_fits_dense_texts),
        cmocka_unit_test(test_json_read_survives_each_allocation_failing),
        cmocka_unit_test(test_json_read_survives_cut_and_changed_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
