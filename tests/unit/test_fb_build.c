/* SPDX-License-Identifier: Apache-2.0 */
/* What the builder writes, the accessors read; limits, sharing, nesting, copies. */
#include "common/fb/build.h"
#include "common/base/alloc.h"
#include "common/fb/desc.h"
#include "tests/support/test.h"
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

static void test_fb_build_absent_tables_give_absent_values(void **state)
{
    (void)state;
    struct TestMsg m = TestMsg__root((struct pf_msg){NULL, 0, NULL});
    assert_null(TestMsg_text(m).at);
    assert_null(TestMsg_data(m).at);
    assert_null(Test_Id_value(Test_Job_job_id(TestMsg_job(m))).at);
    assert_null(Test_Job_name(TestMsg_carried(m)).at);
    assert_int_equal(TestMsg_jobs__len(m), 0);
    assert_int_equal(TestMsg_body_type(m), TestBody_NONE);
    assert_int_equal(TestMsg_i32(m), 0);
    assert_int_equal(TestMsg_u32(m), 5050);
    assert_false(TestMsg__has_i32(m) || TestMsg__has_body(m) || TestMsg__has_jobs(m));
}

static void test_fb_build_empty_is_not_absent(void **state)
{
    (void)state;
    struct pf_fb_builder b;
    pf_fb_builder_init(&b, NULL);
    struct TestMsg__args args = {.text = PF_STR(""), .data = {(const uint8_t *)"", 0}};
    struct TestMsg m = TestMsg__root(TestMsg__finish(&b, TestMsg__put(&b, &args)));
    assert_true(TestMsg__has_text(m) && TestMsg_text(m).len == 0 && TestMsg_text(m).at != NULL);
    assert_true(TestMsg__has_data(m) && TestMsg_data(m).len == 0);
    assert_false(TestMsg__has_role(m) || TestMsg__has_texts(m));
    pf_fb_builder_fini(&b);
}

static uint32_t bytes_of_jobs(uint32_t n)
{
    struct pf_fb_builder b;
    struct pf_ref refs[64];
    pf_fb_builder_init(&b, NULL);
    for (uint32_t i = 0; i < n; i++) {
        refs[i] = Test_Job__put(&b, &(struct Test_Job__args){.name = PF_STR("abc")});
    }
    struct TestMsg__args args = {.jobs = {refs, n}};
    struct pf_msg msg = TestMsg__finish(&b, TestMsg__put(&b, &args));
    pf_fb_builder_fini(&b);
    return msg.len;
}

static void test_fb_build_tables_of_one_shape_share_a_vtable(void **state)
{
    (void)state;
    /* A reference, a table of two words, a string of two: no vtable of six bytes again. */
    assert_int_equal(bytes_of_jobs(64) - bytes_of_jobs(32), 32 * (4 + 8 + 8));
}

static void test_fb_build_messages_in_an_arena_outlive_a_reset(void **state)
{
    (void)state;
    struct pf_arena arena = {0};
    struct pf_fb_builder b;
    struct pf_msg msgs[50];
    pf_fb_builder_init(&b, &arena);
    for (uint32_t i = 0; i < PF_ARRAY_LEN(msgs); i++) {
        char text[200];
        memset(text, 'a' + (int)(i % 26), sizeof text);
        pf_fb_builder_reset(&b);
        struct TestMsg__args args = {.text = {text, i * 4}, .u64 = PF_OPT(i)};
        msgs[i] = TestMsg__finish(&b, TestMsg__put(&b, &args));
    }
    assert_true(arena.used_bytes < 32768);
    for (uint32_t i = 0; i < PF_ARRAY_LEN(msgs); i++) {
        verified(msgs[i]);
        assert_true(TestMsg_u64(TestMsg__root(msgs[i])) == i);
        assert_int_equal(TestMsg_text(TestMsg__root(msgs[i])).len, i * 4);
    }
    pf_arena_fini(&arena);
}

static void test_fb_build_grows_over_many_doublings(void **state)
{
    (void)state;
    struct pf_fb_builder b;
    static struct pf_str strs[20000];
    pf_fb_builder_init(&b, NULL);
    for (size_t i = 0; i < PF_ARRAY_LEN(strs); i++) {
        strs[i] = i % 2 == 0 ? PF_STR("even") : PF_STR("uneven text");
    }
    struct TestMsg__args args = {.texts = {strs, PF_ARRAY_LEN(strs)}};
    struct pf_msg msg = TestMsg__finish(&b, TestMsg__put(&b, &args));
    verified(msg);
    assert_str(TestMsg_texts__at(TestMsg__root(msg), 19999), "uneven text");
    assert_str(TestMsg_texts__at(TestMsg__root(msg), 0), "even");
    pf_fb_builder_fini(&b);
}

static void test_fb_build_fails_at_its_limit(void **state)
{
    (void)state;
    static char text[5000];
    struct pf_fb_builder b;
    struct pf_str s = {text, sizeof text};
    pf_fb_builder_init(&b, NULL);
    b.limit = 4096;
    struct pf_msg msg = TestMsg__finish(&b, TestMsg__put(&b, &(struct TestMsg__args){.text = s}));
    assert_true(b.failed);
    assert_null(msg.data);
    pf_fb_builder_reset(&b);
    assert_false(b.failed);
    s.len = 3000;
    msg = TestMsg__finish(&b, TestMsg__put(&b, &(struct TestMsg__args){.text = s}));
    assert_false(b.failed);
    verified(msg);
    pf_fb_builder_fini(&b);
}

/* A message of each kind of content, in a builder with a limit. */
static struct pf_msg limited(struct pf_fb_builder *b)
{
    static const enum Small smalls[] = {Small_ONE};
    struct pf_str texts[40];
    for (size_t i = 0; i < PF_ARRAY_LEN(texts); i++) {
        texts[i] = PF_STR("a text that makes the builder grow");
    }
    struct pf_fb_nest nest = pf_fb_nested_begin(b);
    struct pf_ref info = pf_fb_nested_end(b, nest, &Test_Job__desc, put_job(b, "n"));
    struct pf_fb_cell cell = {info.at, info.at != 0};
    struct pf_ref wrapped = pf_fb_put_cells(b, &Test_Job_Nested__desc, &cell);
    struct TestMsg__args args = {.texts = {texts, PF_ARRAY_LEN(texts)}, .smalls = {smalls, 1},
                                 .carried_list = {&wrapped, 1}};
    return TestMsg__finish(b, TestMsg__put(b, &args));
}

static void test_fb_build_fails_with_each_allocation(void **state)
{
    (void)state;
    struct pf_fb_builder b;
    pf_fb_builder_init(&b, NULL);
    b.limit = 1 << 20;
    (void)pf_alloc_fail_try_at(0);
    verified(limited(&b));
    pf_fb_builder_fini(&b);
    size_t n = pf_alloc_fail_try_at(0);
    assert_true(n >= 4);
    for (size_t i = 1; i <= n; i++) {
        b.limit = 1 << 20;
        (void)pf_alloc_fail_try_at(i);
        struct pf_msg msg = limited(&b);
        (void)pf_alloc_fail_try_at(0);
        assert_true(b.failed);
        assert_null(msg.data);
        pf_fb_builder_fini(&b);
    }
}

static void test_fb_build_copies_say_the_same(void **state)
{
    (void)state;
    struct pf_fb_builder b, other;
    pf_fb_builder_init(&b, NULL);
    pf_fb_builder_init(&other, NULL);
    b.limit = 1 << 20;
    struct pf_msg msg = limited(&b);
    struct pf_ref root = TestMsg__copy(&other, TestMsg__root(msg));
    struct pf_msg copy = TestMsg__finish(&other, root);
    verified(copy);
    struct TestMsg m = TestMsg__root(copy);
    assert_int_equal(TestMsg_texts__len(m), 40);
    assert_int_equal(TestMsg_smalls__at(m, 0), Small_ONE);
    assert_str(Test_Job_name(Test_Job_Nested_info(TestMsg_carried_list__at(m, 0))), "n");
    pf_fb_builder_reset(&other);
    assert_int_equal(Test_Job__copy(&other, (struct Test_Job){{NULL}}).at, 0);
    pf_fb_builder_fini(&b);
    pf_fb_builder_fini(&other);
}

static void test_fb_build_enums_by_name(void **state)
{
    (void)state;
    enum Color color = Color_RED;
    assert_string_equal(Color__str(Color_BLUE), "BLUE");
    assert_string_equal(Color__str(1), "RED");
    assert_null(Color__str(0));
    assert_true(Color__parse(PF_STR("GREEN"), &color));
    assert_int_equal(color, Color_GREEN);
    assert_false(Color__parse(PF_STR("GREE"), &color));
    assert_false(Color__parse(PF_STR("GREENS"), &color));
    assert_false(Color__parse((struct pf_str){NULL, 0}, &color));
    assert_int_equal(color, Color_GREEN);
}

static void test_fb_build_fields_by_name_and_number(void **state)
{
    (void)state;
    const struct pf_fb_table_desc *d = &TestMsg__desc;
    for (uint32_t i = 0; i < d->n_fields; i++) {
        const struct pf_fb_field *f = &d->fields[i];
        assert_int_equal(f->name_len, strlen(f->name));
        assert_int_equal(pf_fb_field_by_name(d, pf_str(f->name)), i);
        if (f->pb != 0) {
            assert_int_equal(pf_fb_field_by_pb(d, f->pb), i);
        }
    }
    assert_int_equal(pf_fb_field_by_name(d, PF_STR("")), -1);
    assert_int_equal(pf_fb_field_by_name(d, PF_STR("i3")), -1);
    assert_int_equal(pf_fb_field_by_pb(d, 0), -1);
    assert_int_equal(pf_fb_field_by_pb(d, 99), -1);
    const struct pf_fb_field *delta = &d->fields[pf_fb_field_by_pb(d, 32)];
    assert_int_equal(delta->pbt, PF_PBT_SINT32);
    assert_int_equal(d->fields[pf_fb_field_by_pb(d, 12)].pbt, PF_PBT_BYTES);
    assert_int_equal(d->fields[pf_fb_field_by_pb(d, 15)].pbt, PF_PBT_MESSAGE);
    assert_int_equal(d->fields[pf_fb_field_by_pb(d, 8)].pbt, PF_PBT_ENUM);
}

static void use_foreign_reference(void *ctx)
{
    struct pf_fb_builder *b = ctx;
    struct pf_ref outside = put_job(b, "outside");
    (void)pf_fb_nested_begin(b);
    (void)Test_Job__put(b, &(struct Test_Job__args){.name = PF_STR("n"), .sub = outside});
}

static void forget_required(void *ctx)
{
    (void)Test_TextEntry__put(ctx, &(struct Test_TextEntry__args){.value = PF_STR("v")});
}

static void put_after_finish(void *ctx)
{
    (void)Test_Job__finish(ctx, put_job(ctx, "n"));
    (void)put_job(ctx, "late");
}

static void take_root_of_another_type(void *ctx)
{
    (void)TestMsg__root(Test_Job__finish(ctx, put_job(ctx, "n")));
}

static void read_behind_the_end(void *ctx)
{
    struct TestMsg__args args = {.texts = {&(struct pf_str){"a", 1}, 1}};
    struct pf_msg msg = TestMsg__finish(ctx, TestMsg__put(ctx, &args));
    (void)TestMsg_texts__at(TestMsg__root(msg), 1);
}

static void test_fb_build_asserts_on_misuse(void **state)
{
    (void)state;
    static void (*const misuses[])(void *) = {use_foreign_reference, forget_required,
                                              put_after_finish, take_root_of_another_type,
                                              read_behind_the_end};
    for (size_t i = 0; i < PF_ARRAY_LEN(misuses); i++) {
        struct pf_fb_builder b;
        pf_fb_builder_init(&b, NULL);
        assert_true(test_aborts(misuses[i], &b));
        pf_fb_builder_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fb_build_scalars_come_back),
        cmocka_unit_test(test_fb_build_contents_come_back),
        cmocka_unit_test(test_fb_build_absent_tables_give_absent_values),
        cmocka_unit_test(test_fb_build_empty_is_not_absent),
        cmocka_unit_test(test_fb_build_tables_of_one_shape_share_a_vtable),
        cmocka_unit_test(test_fb_build_messages_in_an_arena_outlive_a_reset),
        cmocka_unit_test(test_fb_build_grows_over_many_doublings),
        cmocka_unit_test(test_fb_build_fails_at_its_limit),
        cmocka_unit_test(test_fb_build_fails_with_each_allocation),
        cmocka_unit_test(test_fb_build_copies_say_the_same),
        cmocka_unit_test(test_fb_build_enums_by_name),
        cmocka_unit_test(test_fb_build_fields_by_name_and_number),
        cmocka_unit_test(test_fb_build_asserts_on_misuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
