/* SPDX-License-Identifier: Apache-2.0 */
/* Random messages of every kind: built, verified, aligned, copied, to JSON and back. */
#include "common/fb/json.h"
#include "schemas/operator.h"
#include "schemas/proffer.h"
#include "schemas/rows.h"
#include "schemas/scheduler.h"
#include "tests/support/msg.h"
#include "tests/support/random_msg.h"
#include "tests/support/testmsg.h"

static void assert_verified(struct pf_msg msg)
{
    struct pf_msg again;
    struct pf_err err = {0};
    if (pf_fb_verify(pf_msg_bytes(msg), msg.desc, &again, &err) != 0) {
        fail_msg("%s: %s", msg.desc->name, err.msg);
    }
}

/* JSON of the message, read again and written again, is the same text. */
static void round_trip(struct pf_msg msg)
{
    struct pf_fb_builder b;
    struct pf_msg back;
    struct pf_err err = {0};
    pf_fb_builder_init(&b, NULL);
    char *json = test_json_of(pf_msg_root(msg, msg.desc), msg.desc);
    if (pf_json_read(pf_str(json), msg.desc, &b, &back, PF_JSON_REFUSE_UNKNOWN, &err) != 0) {
        fail_msg("%s: %s in %s", msg.desc->name, err.msg, json);
    }
    assert_verified(back);
    char *again = test_json_of(pf_msg_root(back, msg.desc), msg.desc);
    assert_string_equal(again, json);
    pf_free(again);
    pf_free(json);
    pf_fb_builder_fini(&b);
}

static void copy_says_the_same(struct pf_msg msg)
{
    struct pf_fb_builder b;
    pf_fb_builder_init(&b, NULL);
    struct pf_ref root = pf_fb_copy(&b, msg.desc, pf_msg_root(msg, msg.desc));
    struct pf_msg copy = pf_fb_finish(&b, msg.desc, root);
    assert_verified(copy);
    char *want = test_json_of(pf_msg_root(msg, msg.desc), msg.desc);
    char *have = test_json_of(pf_msg_root(copy, msg.desc), msg.desc);
    assert_string_equal(have, want);
    pf_free(want);
    pf_free(have);
    pf_fb_builder_fini(&b);
}

static void test_fb_random_messages_survive_every_way(void **state)
{
    (void)state;
    static const struct pf_fb_table_desc *const types[] = {
        &TestMsg__desc, &Scheduler_Call__desc, &Scheduler_Event__desc, &Master_Call__desc,
        &Master_Response__desc, &Envelope__desc, &TaskInfo__desc, &FrameworkInfo__desc,
        &Row_AgentTask__desc};
    struct pf_fb_builder b;
    struct pf_rng rng;
    pf_fb_builder_init(&b, NULL);
    for (size_t t = 0; t < PF_ARRAY_LEN(types); t++) {
        pf_rng_seed(&rng, 1 + t);
        for (int i = 0; i < 100; i++) {
            struct pf_msg msg = random_msg(&b, types[t], &rng);
            assert_verified(msg);
            round_trip(msg);
            copy_says_the_same(msg);
        }
    }
    pf_fb_builder_fini(&b);
}

/* Other readers demand what ours does not: every part aligned to its size, counted from the start
 * of its buffer. */
static void assert_aligned(const uint8_t *base, const void *p, uint32_t size)
{
    if (p != NULL && (size_t)((const uint8_t *)p - base) % size != 0) {
        fail_msg("at %zu, size %u", (size_t)((const uint8_t *)p - base), (unsigned)size);
    }
}

static void check_alignment(const uint8_t *base, struct pf_tab t,
                            const struct pf_fb_table_desc *d);

static void check_field(const uint8_t *base, struct pf_tab t, const struct pf_fb_field *f)
{
    bool vector = pf_fb_is_vector(f);
    if (pf_fb_is_scalar(f->type) && !vector) {
        assert_aligned(base, pf_fb_slot(t, f->slot), f->size);
        return;
    }
    assert_aligned(base, pf_fb_slot(t, f->slot), 4);
    assert_aligned(base, pf_fb_target(t, f->slot), 4);
    uint32_t n = vector ? pf_fb_vec_len(t, f->slot) : 0;
    if (n > 0 && pf_fb_is_scalar(f->type)) {
        assert_aligned(base, pf_fb_vec_at(t, f->slot, 0, f->size), f->size);
    }
    for (uint32_t i = 0; i < n && f->type == PF_FB_TABLE; i++) {
        check_alignment(base, pf_fb_vec_tab(t, f->slot, i), f->table);
    }
    for (uint32_t i = 0; i < n && f->type == PF_FB_STRING; i++) {
        assert_aligned(base, pf_fb_vec_str(t, f->slot, i).at, 4);
    }
    if (!vector && f->type == PF_FB_TABLE && pf_fb_has(t, f->slot)) {
        check_alignment(base, pf_fb_get_tab(t, f->slot), f->table);
    }
    if (f->type == PF_FB_NESTED && pf_fb_has(t, f->slot)) {
        const uint8_t *data = pf_fb_get_bytes(t, f->slot).at;
        assert_aligned(base, data, 8);
        check_alignment(data, pf_fb_root(data), f->table);
    }
}

static void check_alignment(const uint8_t *base, struct pf_tab t,
                            const struct pf_fb_table_desc *d)
{
    assert_aligned(base, t.p, 4);
    assert_aligned(base, t.p - (int32_t)pf_fb_load_u32(t.p), 2);
    for (uint32_t i = 0; i < d->n_fields; i++) {
        check_field(base, t, &d->fields[i]);
    }
}

static void test_fb_random_messages_are_aligned(void **state)
{
    (void)state;
    struct pf_fb_builder b, other;
    struct pf_rng rng;
    pf_rng_seed(&rng, 77);
    pf_fb_builder_init(&b, NULL);
    pf_fb_builder_init(&other, NULL);
    for (int i = 0; i < 300; i++) {
        struct pf_msg back, msg = random_msg(&b, &TestMsg__desc, &rng);
        check_alignment(msg.data, TestMsg__root(msg).tab, &TestMsg__desc);
        char *json = test_json_of(TestMsg__root(msg).tab, &TestMsg__desc);
        assert_int_equal(pf_json_read(pf_str(json), &TestMsg__desc, &other, &back, 0, NULL), 0);
        check_alignment(back.data, TestMsg__root(back).tab, &TestMsg__desc);
        pf_free(json);
    }
    pf_fb_builder_fini(&b);
    pf_fb_builder_fini(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fb_random_messages_survive_every_way),
        cmocka_unit_test(test_fb_random_messages_are_aligned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
