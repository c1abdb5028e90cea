/* SPDX-License-Identifier: Apache-2.0 */
/* What the builder writes, the accessors read; limits, sharing, nesting, copies. */
#include "common/fb/build.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "tests/support/testmsg.h"

static void verified(struct pf_msg msg)
{
    struct pf_msg again;
    struct pf_err err = {0};
    int rc = pf_fb_verify(pf_msg_bytes(msg), msg.desc, &again, &err);
    if (rc != 0) {
        fail_msg("not verified: %s", err.msg);
    }
    assert_ptr_equal(again.data, msg.data);
}

static struct pf_ref put_job(struct pf_fb_builder *b, const char *name)
{
    struct pf_ref id = Test_Id__put(b, &(struct Test_Id__args){.value = PF_STR("id")});
    return Test_Job__put(b, &(struct Test_Job__args){
        .name = pf_str(name), .job_id = id, .weight = PF_OPT(1.5)});
}

static void put_scalars(struct TestMsg__args *a)
{
    static const int32_t i32s[] = {1, -2, 3};
    static const uint64_t u64s[] = {UINT64_MAX, 0};
    static const double f64s[] = {0.5};
    static const bool flags[] = {true, false, true};
    static const enum Color colors[] = {Color_BLUE, Color_RED};
    static const enum Small smalls[] = {Small_TWO, Small_ONE, Small_ZERO};
    static const int16_t i16s[] = {-5, 5};
    *a = (struct TestMsg__args){
        .i8 = PF_OPT(-8), .u8 = PF_OPT(200), .i16 = PF_OPT(-1600), .u16 = PF_OPT(65535),
        .i32 = PF_OPT(INT32_MIN), .u32 = PF_OPT(UINT32_MAX), .i64 = PF_OPT(INT64_MIN),
        .u64 = PF_OPT(UINT64_MAX), .f32 = PF_OPT(0.25f), .f64 = PF_OPT(-0.0),
        .flag = PF_OPT(false), .color = PF_OPT(Color_BLUE), .small = PF_OPT(Small_ZERO),
        .i32s = {i32s, 3}, .u64s = {u64s, 2}, .f64s = {f64s, 1}, .flags = {flags, 3},
        .colors = {colors, 2}, .smalls = {smalls, 3}, .i16s = {i16s, 2},
        .plain = 4, .plain_default = 7, .plain_small = Small_ONE, .plain_flag = true,
        .default_ = PF_OPT(0), .delta = PF_OPT(-1)};
}

static void test_fb_build_scalars_come_back(void **state)
{
    (void)state;
    struct pf_fb_builder b;
    struct TestMsg__args a;
    pf_fb_builder_init(&b, NULL);
    put_scalars(&a);
    struct pf_msg msg = TestMsg__finish(&b, TestMsg__put(&b, &a));
    verified(msg);
    struct TestMsg m = TestMsg__root(msg);
    assert_int_equal(TestMsg_i8(m), -8);
    assert_int_equal(TestMsg_u8(m), 200);
    assert_int_equal(TestMsg_i16(m), -1600);
    assert_int_equal(TestMsg_u16(m), 65535);
    assert_int_equal(TestMsg_i32(m), INT32_MIN);
    assert_int_equal(TestMsg_u32(m), UINT32_MAX);
    assert_true(TestMsg_i64(m) == INT64_MIN);
    assert_true(TestMsg_u64(m) == UINT64_MAX);
    assert_true(TestMsg_f32(m) == 0.25f);
    assert_true(TestMsg_f64(m) == 0 && TestMsg__has_f64(m));
    assert_true(!TestMsg_flag(m) && TestMsg__has_flag(m));
    assert_int_equal(TestMsg_color(m), Color_BLUE);
    assert_true(TestMsg__has_small(m));
    assert_int_equal(TestMsg_i32s__len(m), 3);
    assert_int_equal(TestMsg_i32s__at(m, 1), -2);
    assert_true(TestMsg_u64s__at(m, 0) == UINT64_MAX);
    assert_true(TestMsg_f64s__at(m, 0) == 0.5);
    assert_true(TestMsg_flags__at(m, 2) && !TestMsg_flags__at(m, 1));
    assert_int_equal(TestMsg_colors__at(m, 0), Color_BLUE);
    assert_int_equal(TestMsg_smalls__at(m, 0), Small_TWO);
    assert_int_equal(TestMsg_smalls__at(m, 2), Small_ZERO);
    assert_int_equal(TestMsg_i16s__at(m, 0), -5);
    assert_int_equal(TestMsg_plain(m), 4);
    assert_int_equal(TestMsg_plain_default(m), 7);
    assert_false(TestMsg__has_plain_default(m));
    assert_int_equal(TestMsg_plain_small(m), Small_ONE);
    assert_true(TestMsg_plain_flag(m));
    assert_true(TestMsg__has_default(m) && TestMsg_default(m) == 0);
    assert_int_equal(TestMsg_delta(m), -1);
    pf_fb_builder_fini(&b);
}

static void assert_str(struct pf_str s, const char *want)
{
    assert_non_null(s.at);
    assert_string_equal(s.at, want);
    assert_int_equal(s.len, strlen(want));
}

/* A nested Test_Job, in memory of its own builder. */
static struct pf_bytes job_bytes(struct pf_fb_builder *own, const char *name)
{
    pf_fb_builder_init(own, NULL);
    return pf_msg_bytes(Test_Job__finish(own, put_job(own, name)));
}

static void test_fb_build_contents_come_back(void **state)
{
    (void)state;
    struct pf_fb_builder b, own;
    pf_fb_builder_init(&b, NULL);
    struct pf_bytes nested = job_bytes(&own, "inner");
    struct pf_ref jobs[] = {put_job(&b, "a"), put_job(&b, "b")};
    struct pf_ref wrapped[] = {
        Test_Job_Nested__put(&b, &(struct Test_Job_Nested__args){.info = nested})};
    struct pf_ref entry[] = {Test_Entry__put(
        &b, &(struct Test_Entry__args){.key = PF_STR("k"), .value = put_job(&b, "v")})};
    struct pf_str texts[] = {PF_STR("x"), PF_STR(""), PF_STR("zz")};
    struct TestMsg__args args = {
        .text = PF_STR("hello"), .data = {(const uint8_t *)"a\0b", 3}, .job = put_job(&b, "one"),
        .carried = nested, .carried_list = {wrapped, 1}, .texts = {texts, 3}, .jobs = {jobs, 2},
        .jobs_by_name = {entry, 1}, .empty = Test_Empty__put(&b, &(struct Test_Empty__args){0}),
        .body_type = TestBody_Test_Pong,
        .body = Test_Pong__put(&b, &(struct Test_Pong__args){.text = PF_STR("pong")})};
    struct pf_msg msg = TestMsg__finish(&b, TestMsg__put(&b, &args));
    verified(msg);
    struct TestMsg m = TestMsg__root(msg);
    assert_str(TestMsg_text(m), "hello");
    assert_int_equal(TestMsg_data(m).len, 3);
    assert_memory_equal(TestMsg_data(m).at, "a\0b", 3);
    assert_str(Test_Id_value(Test_Job_job_id(TestMsg_job(m))), "id");
    assert_str(Test_Job_name(TestMsg_carried(m)), "inner");
    assert_int_equal(TestMsg_carried__bytes(m).len, nested.len);
    assert_str(Test_Job_name(Test_Job__from_bytes(TestMsg_carried__bytes(m))), "inner");
    assert_str(Test_Job_name(Test_Job_Nested_info(TestMsg_carried_list__at(m, 0))), "inner");
    assert_str(TestMsg_texts__at(m, 1), "");
    assert_str(TestMsg_texts__at(m, 2), "zz");
    assert_str(Test_Job_name(TestMsg_jobs__at(m, 1)), "b");
    assert_str(Test_Entry_key(TestMsg_jobs_by_name__at(m, 0)), "k");
    assert_true(TestMsg__has_empty(m));
    assert_int_equal(TestMsg_body_type(m), TestBody_Test_Pong);
    assert_str(Test_Pong_text(TestMsg_body_as_Test_Pong(m)), "pong");
    assert_null(TestMsg_body_as_Test_Ping(m).tab.p);
    pf_fb_builder_fini(&own);
    pf_fb_builder_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fb_build_scalars_come_back),
        cmocka_unit_test(test_fb_build_contents_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
