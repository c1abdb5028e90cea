/* SPDX-License-Identifier: Apache-2.0 */
/* The verifier against buffers that lie: whatever it accepts can be read, copied and printed. */
#include "common/fb/fb.h"
#include "common/base/limits.h"
#include "common/fb/path.h"
#include "tests/support/msg.h"
#include "tests/support/testmsg.h"

static const char sample_text[] =
    "{'u64':12,'text':'hello','data':'AAE=','job':{'name':'n','job_id':{'value':'v'}},"
    "'carried':{'name':'c','sub':{'name':'s'}},'carried_list':[{'name':'e'},{'name':'g'}],"
    "'i32s':[1,2],'f64s':[1.5],'texts':['a','bc'],'jobs':[{'name':'h'},{'name':'i'}],"
    "'labels':{'k':'l'},'body':{'Test_Pong':{'text':'t'}},'i16s':[1]}";

/* The sample in memory of its own, exactly as long as it is, for the sanitizer to watch. */
struct sample {
    struct pf_fb_builder b;
    uint8_t *data;
    uint32_t len;
};

static struct TestMsg sample_root(const struct sample *s)
{
    return (struct TestMsg){pf_fb_root(s->data)};
}

static int setup(void **state)
{
    struct sample *s = PF_NEW(struct sample);
    pf_fb_builder_init(&s->b, NULL);
    struct pf_msg msg = test_msg(&s->b, &TestMsg__desc, sample_text);
    s->data = pf_memdup(msg.data, msg.len);
    s->len = msg.len;
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct sample *s = *state;
    pf_free(s->data);
    pf_fb_builder_fini(&s->b);
    pf_free(s);
    return 0;
}

static int verify(const uint8_t *data, uint32_t len, struct pf_err *err)
{
    struct pf_msg out;
    return pf_fb_verify((struct pf_bytes){data, len}, &TestMsg__desc, &out, err);
}

static void refuses(const struct sample *s, int code, const char *message)
{
    struct pf_msg out = {NULL, 7, NULL};
    struct pf_err err = {0};
    int rc = pf_fb_verify((struct pf_bytes){s->data, s->len}, &TestMsg__desc, &out, &err);
    if (rc == 0) {
        fail_msg("accepted instead of \"%s\"", message);
    }
    assert_string_equal(err.msg, message);
    assert_int_equal(rc, code);
    assert_int_equal(out.len, 7); /* untouched */
}

static uint8_t *writable(const void *p)
{
    union {
        const void *from;
        uint8_t *to;
    } u = {p};
    return u.to;
}

/* The place in the vtable of the field `slot` of `t`. */
static uint8_t *vtable_entry(struct pf_tab t, uint32_t slot)
{
    int32_t back;
    memcpy(&back, t.p, sizeof back);
    return writable(t.p - back + slot);
}

static void set_u32(const void *p, uint32_t v)
{
    memcpy(writable(p), &v, sizeof v);
}

static void set_u16(const void *p, uint16_t v)
{
    memcpy(writable(p), &v, sizeof v);
}

enum { SLOT_U64 = 18, SLOT_TEXT = 30, SLOT_I32S = 42, SLOT_JOBS = 56, SLOT_BODY = 68 };

static void test_fb_verify_accepts_what_was_built(void **state)
{
    struct sample *s = *state;
    struct pf_err err = {0};
    assert_int_equal(verify(s->data, s->len, &err), 0);
    assert_string_equal(err.msg, "");
}

static void test_fb_verify_refuses_every_cut(void **state)
{
    struct sample *s = *state;
    assert_int_equal(verify(NULL, 0, NULL), PF_EPROTO);
    for (uint32_t len = 0; len < s->len; len++) {
        uint8_t *cut = pf_alloc(len + 1);
        uint8_t *exact = pf_realloc(cut, len > 0 ? len : 1);
        memcpy(exact, s->data, len);
        if (verify(exact, len, NULL) == 0) {
            /* Only padding may be missing. */
            assert_true(s->len - len < 8);
        }
        pf_free(exact);
    }
}

/* Reads, copies and prints all of a message that the verifier accepted. */
static void exercise(struct pf_msg msg)
{
    struct pf_buf out = {.limit = 1 << 20};
    struct pf_fb_builder b;
    struct pf_msg copied, again;
    pf_fb_builder_init(&b, NULL);
    int rc = pf_json_write(&out, TestMsg__root(msg).tab, &TestMsg__desc, 0, NULL);
    assert_true(rc == 0 || rc == PF_ELIMIT);
    copied = TestMsg__finish(&b, TestMsg__copy(&b, TestMsg__root(msg)));
    assert_int_equal(pf_fb_verify(pf_msg_bytes(copied), &TestMsg__desc, &again, NULL), 0);
    pf_fb_builder_fini(&b);
    pf_buf_fini(&out);
}

static void test_fb_verify_survives_every_changed_bit(void **state)
{
    struct sample *s = *state;
    int accepted = 0;
    for (uint32_t i = 0; i < s->len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            struct pf_msg msg;
            struct pf_bytes in = {s->data, s->len};
            s->data[i] ^= (uint8_t)(1 << bit);
            if (pf_fb_verify(in, &TestMsg__desc, &msg, NULL) == 0) {
                exercise(msg);
                accepted++;
            }
            s->data[i] ^= (uint8_t)(1 << bit);
        }
    }
    assert_true(accepted > 0);
}

static void test_fb_verify_survives_every_changed_word(void **state)
{
    struct sample *s = *state;
    static const uint32_t words[] = {0, 1, 3, 4, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFF0};
    for (uint32_t i = 0; i + 4 <= s->len; i++) {
        for (size_t k = 0; k < PF_ARRAY_LEN(words); k++) {
            struct pf_msg msg;
            struct pf_bytes in = {s->data, s->len};
            uint32_t was = pf_fb_load_u32(s->data + i);
            set_u32(s->data + i, words[k]);
            if (pf_fb_verify(in, &TestMsg__desc, &msg, NULL) == 0) {
                exercise(msg);
            }
            set_u32(s->data + i, was);
        }
    }
}

static void test_fb_verify_demands_no_alignment(void **state)
{
    struct sample *s = *state;
    for (uint32_t shift = 1; shift < 8; shift++) {
        struct pf_msg msg;
        uint8_t *moved = pf_alloc(s->len + shift);
        memcpy(moved + shift, s->data, s->len);
        struct pf_bytes in = {moved + shift, s->len};
        assert_int_equal(pf_fb_verify(in, &TestMsg__desc, &msg, NULL), 0);
        assert_true(TestMsg_u64(TestMsg__root(msg)) == 12);
        exercise(msg);
        pf_free(moved);
    }
}

static void test_fb_verify_refuses_another_identifier(void **state)
{
    struct sample *s = *state;
    s->data[4] = 'X';
    refuses(s, PF_EPROTO, "wrong file identifier");
}

static void test_fb_verify_refuses_offsets_outside(void **state)
{
    struct sample *s = *state;
    set_u32(s->data, s->len - 3);
    refuses(s, PF_EPROTO, "offset out of bounds");
    set_u32(s->data, 0);
    refuses(s, PF_EPROTO, "offset out of bounds");
}

static void test_fb_verify_refuses_malformed_vtables(void **state)
{
    struct sample *s = *state;
    struct pf_tab root = sample_root(s).tab;
    uint8_t *vtable = vtable_entry(root, 0);
    uint16_t size = pf_fb_load_u16(vtable), inlined = pf_fb_load_u16(vtable + 2);
    set_u16(vtable, (uint16_t)(size - 1)); /* odd */
    refuses(s, PF_EPROTO, "malformed vtable");
    set_u16(vtable, 2);
    refuses(s, PF_EPROTO, "malformed vtable");
    set_u16(vtable, 0xFFFE);
    refuses(s, PF_EPROTO, "malformed vtable");
    set_u16(vtable, size);
    set_u16(vtable + 2, 0xFFFF);
    refuses(s, PF_EPROTO, "table out of bounds");
    set_u16(vtable + 2, inlined);
    set_u32(root.p, 0x7FFFFFFF);
    refuses(s, PF_EPROTO, "vtable out of bounds");
}

static void test_fb_verify_refuses_fields_outside_their_table(void **state)
{
    struct sample *s = *state;
    struct pf_tab root = sample_root(s).tab;
    uint16_t inlined = pf_fb_load_u16(vtable_entry(root, 2));
    set_u16(vtable_entry(root, SLOT_U64), (uint16_t)(inlined - 7));
    refuses(s, PF_EPROTO, "u64: field outside of its table");
    set_u16(vtable_entry(root, SLOT_U64), 2);
    refuses(s, PF_EPROTO, "u64: field outside of its table");
}

static void test_fb_verify_refuses_strings_without_nul(void **state)
{
    struct sample *s = *state;
    struct pf_str text = TestMsg_text(sample_root(s));
    writable(text.at)[text.len] = 'x';
    refuses(s, PF_EPROTO, "text: string is not NUL-terminated");
    set_u32(text.at - 4, 0xFFFFFFFF);
    refuses(s, PF_EPROTO, "text: string out of bounds");
}

static void test_fb_verify_refuses_vectors_outside(void **state)
{
    struct sample *s = *state;
    const uint8_t *n = pf_fb_target(sample_root(s).tab, SLOT_I32S);
    set_u32(n, 0x40000000); /* times four wraps around */
    refuses(s, PF_EPROTO, "i32s: vector out of bounds");
}

static void test_fb_verify_names_the_place(void **state)
{
    struct sample *s = *state;
    struct Test_Job job = TestMsg_jobs__at(sample_root(s), 1);
    struct pf_str name = Test_Job_name(job);
    writable(name.at)[name.len] = 'x';
    refuses(s, PF_EPROTO, "jobs[1].name: string is not NUL-terminated");
}

static void test_fb_verify_looks_into_nested_buffers(void **state)
{
    struct sample *s = *state;
    struct TestMsg root = sample_root(s);
    struct pf_str name = Test_Job_name(Test_Job_sub(TestMsg_carried(root)));
    writable(name.at)[name.len] = 'x';
    refuses(s, PF_EPROTO, "carried.sub.name: string is not NUL-terminated");
    writable(name.at)[name.len] = 0;
    name = Test_Job_name(Test_Job_Nested_info(TestMsg_carried_list__at(root, 1)));
    /* Inside the message, but outside of the nested buffer. */
    set_u32(name.at - 4, TestMsg_carried__bytes(root).len);
    refuses(s, PF_EPROTO, "carried_list[1].info.name: string out of bounds");
}

static void test_fb_verify_refuses_unions_without_type_or_value(void **state)
{
    struct sample *s = *state;
    struct pf_tab root = sample_root(s).tab;
    uint8_t *type = writable(pf_fb_slot(root, SLOT_BODY - 2));
    *type = 0;
    refuses(s, PF_EPROTO, "body: union type and value do not agree");
    *type = 9;
    set_u16(vtable_entry(root, SLOT_BODY), 0);
    refuses(s, PF_EPROTO, "body: union type and value do not agree");
}

static void test_fb_verify_accepts_unknown_union_members_and_enum_numbers(void **state)
{
    struct sample *s = *state;
    struct TestMsg root = sample_root(s);
    struct pf_msg msg;
    *writable(pf_fb_slot(root.tab, SLOT_BODY - 2)) = 99;
    struct pf_bytes in = {s->data, s->len};
    assert_int_equal(pf_fb_verify(in, &TestMsg__desc, &msg, NULL), 0);
    assert_int_equal(TestMsg_body_type(root), 99);
    assert_null(TestMsg_body_as_Test_Pong(root).tab.p);
    exercise(msg);
}

static void test_fb_verify_demands_required_fields(void **state)
{
    struct sample *s = *state;
    struct Test_TextEntry entry = TestMsg_labels__at(sample_root(s), 0);
    set_u16(vtable_entry(entry.tab, 4), 0);
    refuses(s, PF_EPROTO, "labels[0].key: required field is missing");
}

/* `n` jobs inside each other, the first with this `name`. */
static struct pf_ref chain(struct pf_fb_builder *b, uint32_t n)
{
    struct pf_ref job = {0};
    for (uint32_t i = 0; i < n; i++) {
        job = Test_Job__put(b, &(struct Test_Job__args){.name = PF_STR("n"), .sub = job});
    }
    return job;
}

static int verify_chain(uint32_t n)
{
    struct pf_fb_builder b;
    struct pf_msg out;
    pf_fb_builder_init(&b, NULL);
    struct pf_msg msg = Test_Job__finish(&b, chain(&b, n));
    int rc = pf_fb_verify(pf_msg_bytes(msg), &Test_Job__desc, &out, NULL);
    pf_fb_builder_fini(&b);
    return rc;
}

static void test_fb_verify_bounds_depth(void **state)
{
    (void)state;
    assert_int_equal(verify_chain(PF_MSG_DEPTH_MAX), 0);
    assert_int_equal(verify_chain(PF_MSG_DEPTH_MAX + 1), PF_ELIMIT);
}

/* A list of `n` references to one job of `depth` levels. */
static int verify_shared(uint32_t n, uint32_t depth, uint32_t name_len)
{
    struct pf_fb_builder b;
    struct pf_msg out;
    struct pf_err err = {0};
    pf_fb_builder_init(&b, NULL);
    struct pf_ref *refs = pf_alloc(n * sizeof *refs);
    char *name = pf_alloc(name_len + 1);
    memset(name, 'x', name_len);
    struct pf_ref job = Test_Job__put(
        &b, &(struct Test_Job__args){.name = {name, name_len}, .sub = chain(&b, depth)});
    for (uint32_t i = 0; i < n; i++) {
        refs[i] = job;
    }
    struct TestMsg__args args = {.jobs = {refs, n}};
    struct pf_msg msg = TestMsg__finish(&b, TestMsg__put(&b, &args));
    int rc = pf_fb_verify(pf_msg_bytes(msg), &TestMsg__desc, &out, &err);
    pf_free(refs);
    pf_free(name);
    pf_fb_builder_fini(&b);
    return rc;
}

static void test_fb_verify_bounds_shared_parts(void **state)
{
    (void)state;
    assert_int_equal(verify_shared(1000, 20, 10), 0);
    assert_int_equal(verify_shared(100000, 20, 10), PF_ELIMIT);
    assert_int_equal(verify_shared(100, 0, 100000), 0);
    assert_int_equal(verify_shared(1000, 0, 100000), PF_ELIMIT);
}

/* A sender with a newer schema: fields that we do not know are no error and are not followed. */
static void test_fb_verify_accepts_unknown_fields(void **state)
{
    (void)state;
    static const uint8_t newer[] = {
        16, 0, 0, 0,                                   /* root at 16 */
        10, 0, 12, 0, 0, 0, 0, 0, 4, 0, 0, 0,          /* vtable: slots 0 and 1 empty, 2 at 4 */
        12, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0 /* back 12, a wild value */
    };
    struct pf_msg msg;
    struct pf_bytes in = {newer, sizeof newer};
    assert_int_equal(pf_fb_verify(in, &Test_Pong__desc, &msg, NULL), 0);
    assert_null(Test_Pong_text(Test_Pong__root(msg)).at);
}

static void test_fb_path_of_a_deep_place_keeps_its_end(void **state)
{
    (void)state;
    const struct pf_fb_field job = {.name = "a_rather_long_name"}, last = {.name = "last"};
    struct pf_fb_step steps[2 * PF_MSG_DEPTH_MAX];
    struct pf_err err = {0};
    for (size_t i = 0; i < PF_ARRAY_LEN(steps); i++) {
        steps[i] = (struct pf_fb_step){i > 0 ? &steps[i - 1] : NULL, &job, PF_FB_NO_INDEX};
    }
    steps[PF_ARRAY_LEN(steps) - 1].field = &last;
    steps[PF_ARRAY_LEN(steps) - 1].index = UINT32_MAX - 1;
    const struct pf_fb_step *at = &steps[PF_ARRAY_LEN(steps) - 1];
    assert_int_equal(pf_fb_path_err(&err, PF_EPROTO, at, "bad %s", "thing"), PF_EPROTO);
    assert_int_equal(strncmp(err.msg, "...", 3), 0);
    assert_non_null(strstr(err.msg, "a_rather_long_name.last[4294967294]: bad thing"));
    assert_int_equal(pf_fb_path_err(NULL, PF_EPROTO, at, "bad"), PF_EPROTO);
}

int main(void)
{
#define VERIFY_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        VERIFY_TEST(test_fb_verify_accepts_what_was_built),
        VERIFY_TEST(test_fb_verify_refuses_every_cut),
        VERIFY_TEST(test_fb_verify_survives_every_changed_bit),
        VERIFY_TEST(test_fb_verify_survives_every_changed_word),
        VERIFY_TEST(test_fb_verify_demands_no_alignment),
        VERIFY_TEST(test_fb_verify_refuses_another_identifier),
        VERIFY_TEST(test_fb_verify_refuses_offsets_outside),
        VERIFY_TEST(test_fb_verify_refuses_malformed_vtables),
        VERIFY_TEST(test_fb_verify_refuses_fields_outside_their_table),
        VERIFY_TEST(test_fb_verify_refuses_strings_without_nul),
        VERIFY_TEST(test_fb_verify_refuses_vectors_outside),
        VERIFY_TEST(test_fb_verify_names_the_place),
        VERIFY_TEST(test_fb_verify_looks_into_nested_buffers),
        VERIFY_TEST(test_fb_verify_refuses_unions_without_type_or_value),
        VERIFY_TEST(test_fb_verify_accepts_unknown_union_members_and_enum_numbers),
        VERIFY_TEST(test_fb_verify_demands_required_fields),
        cmocka_unit_test(test_fb_verify_bounds_depth),
        cmocka_unit_test(test_fb_verify_bounds_shared_parts),
        cmocka_unit_test(test_fb_verify_accepts_unknown_fields),
        cmocka_unit_test(test_fb_path_of_a_deep_place_keeps_its_end),
    };
#undef VERIFY_TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
