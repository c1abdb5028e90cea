/* SPDX-License-Identifier: Apache-2.0 */
/* Effects must not leave before the rows they depend on, and each peer must get its own in order.
 * tests/unit/test_turn_model.c compares with a model. */
#include "common/base/alloc.h"
#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/limits.h"
#include "common/turn/turn.h"
#include "tests/support/test.h"

static int setup(void **state)
{
    *state = pf_turns_create(PF_BATCH_MAX_BYTES, 1);
    return 0;
}

static int teardown(void **state)
{
    pf_turns_check(*state);
    pf_turns_destroy(*state);
    return 0;
}

static struct pf_bytes bytes_of(const char *text)
{
    return (struct pf_bytes){(const uint8_t *)text, (uint32_t)strlen(text)};
}

static struct pf_bytes in_arena(struct pf_turn *t, const char *text)
{
    struct pf_str s = pf_arena_strdup(pf_turn_arena(t), pf_str(text));

    return (struct pf_bytes){(const uint8_t *)s.at, s.len};
}

static void put(struct pf_turns *ts, const char *key)
{
    struct pf_turn *t = pf_turns_open(ts);

    pf_turn_put(t, 1, bytes_of(key), in_arena(t, "row"));
}

static void send_to(struct pf_turns *ts, uint64_t peer, const char *text)
{
    struct pf_turn *t = pf_turns_open(ts);

    pf_turn_send(t, peer, in_arena(t, text));
}

static void send_now(struct pf_turns *ts, uint64_t peer, const char *text)
{
    struct pf_turn *t = pf_turns_open(ts);

    pf_turn_send_now(t, peer, in_arena(t, text));
}

static void act(struct pf_turns *ts, uint32_t kind)
{
    pf_turn_act(pf_turns_open(ts), kind, NULL);
}

static void seal(struct pf_turns *ts, uint64_t expected)
{
    const struct pf_batch *b = pf_turns_seal(ts);

    assert_int_equal(b ? b->number : 0, expected);
    pf_turns_check(ts);
}

/* All that may leave now, as "1:text 2:text 1:close !7" (peer:message, !action). */
static void expect(struct pf_turns *ts, const char *expected)
{
    struct pf_buf got = {0};
    const struct pf_effect *e;

    while ((e = pf_turns_next(ts))) {
        if (got.len > 0) {
            pf_buf_add_byte(&got, ' ');
        }
        if (e->kind == PF_EFFECT_ACT) {
            pf_buf_printf(&got, "!%u", e->act);
        } else if (e->kind == PF_EFFECT_CLOSE) {
            pf_buf_printf(&got, "%u:close", (unsigned)e->peer);
        } else {
            pf_buf_printf(&got, "%u:%.*s", (unsigned)e->peer, (int)e->message.len,
                          (const char *)e->message.at);
        }
        pf_turns_check(ts);
    }
    assert_string_equal(pf_buf_cstr(&got), expected);
    pf_buf_fini(&got);
}

static void test_turn_effects_without_rows_leave_at_once(void **state)
{
    struct pf_turns *ts = *state;

    send_to(ts, 1, "a");
    act(ts, 7);
    send_to(ts, 2, "b");
    expect(ts, "1:a !7 2:b");
    seal(ts, 0);
    send_to(ts, 1, "c");
    seal(ts, 0);
    expect(ts, "1:c");
    assert_true(pf_turns_is_idle(ts));
}

static void test_turn_holds_effects_until_their_rows_are_stored(void **state)
{
    struct pf_turns *ts = *state;

    send_to(ts, 1, "before");
    put(ts, "k");
    send_to(ts, 1, "after");
    act(ts, 1);
    expect(ts, "1:before");
    assert_false(pf_turns_is_idle(ts));
    seal(ts, 1);
    expect(ts, "");
    pf_turns_stored(ts, 1);
    expect(ts, "1:after !1");
    assert_true(pf_turns_is_idle(ts));
}

/* One batch is in flight: the next one gathers across seals until the first is stored. */
static void test_turn_keeps_one_batch_in_flight(void **state)
{
    struct pf_turns *ts = *state;

    put(ts, "k1");
    send_to(ts, 1, "one");
    seal(ts, 1);
    send_to(ts, 2, "no row of its own");
    put(ts, "k2");
    send_to(ts, 1, "two");
    seal(ts, 0);
    put(ts, "k3");
    send_to(ts, 3, "three");
    seal(ts, 0);
    expect(ts, "");
    pf_turns_stored(ts, 1);
    expect(ts, "1:one 2:no row of its own");
    seal(ts, 2);
    expect(ts, "");
    pf_turns_stored(ts, 2);
    expect(ts, "1:two 3:three");
}

/* Up to three in flight: each effect waits for the very batch it was put behind. */
static void test_turn_pipelines_batches(void **state)
{
    struct pf_turns *ts = pf_turns_create(PF_BATCH_MAX_BYTES, 3);
    char key[2] = "a", text[2] = "1";

    (void)state;
    for (uint64_t i = 1; i <= 3; i++, key[0]++, text[0]++) {
        put(ts, key);
        send_to(ts, i, text);
        seal(ts, i);
        assert_int_equal(pf_turns_in_flight(ts), i);
    }
    send_to(ts, 4, "behind three");
    put(ts, "d");
    send_to(ts, 1, "four");
    send_now(ts, 2, "now");
    seal(ts, 0);
    expect(ts, "");
    pf_turns_stored(ts, 1);
    expect(ts, "1:1");
    seal(ts, 4);
    pf_turns_stored(ts, 2);
    expect(ts, "2:2 2:now");
    pf_turns_stored(ts, 3);
    expect(ts, "3:3 4:behind three");
    act(ts, 9);
    pf_turns_forget_peer(ts, 1);
    pf_turns_stored(ts, 4);
    expect(ts, "!9");
    assert_true(pf_turns_is_idle(ts));
    pf_turns_destroy(ts);
}

static void test_turn_ends_with_batches_in_flight(void **state)
{
    struct pf_turns *ts = pf_turns_create(PF_BATCH_MAX_BYTES, PF_TURN_IN_FLIGHT_MAX);
    char key[2] = "a";

    (void)state;
    for (uint64_t i = 1; i <= PF_TURN_IN_FLIGHT_MAX; i++, key[0]++) {
        put(ts, key);
        send_to(ts, i, "x");
        seal(ts, i);
    }
    put(ts, "one more");
    send_to(ts, 1, "x");
    seal(ts, 0);
    pf_turns_stored(ts, 1);
    assert_string_equal((const char *)pf_turns_next(ts)->message.at, "x");
    pf_turns_destroy(ts); /* with an effect lent, too */
}

static void test_turn_fence_waits_without_rows(void **state)
{
    struct pf_turns *ts = *state;
    const struct pf_batch *b;

    send_to(ts, 1, "before");
    pf_turn_fence(pf_turns_open(ts));
    pf_turn_fence(pf_turns_open(ts));
    send_to(ts, 1, "lost");
    send_now(ts, 2, "now");
    assert_false(pf_turns_is_idle(ts));
    expect(ts, "1:before 2:now");
    b = pf_turns_seal(ts);
    assert_non_null(b);
    assert_int_equal(b->number, 1);
    assert_int_equal(b->n_ops, 0);
    assert_int_equal(b->bytes, 0);
    send_to(ts, 3, "the fence is of one turn");
    seal(ts, 0);
    expect(ts, "");
    pf_turns_stored(ts, 1);
    expect(ts, "1:lost 3:the fence is of one turn");
    send_to(ts, 1, "free");
    expect(ts, "1:free");
    seal(ts, 0);
    assert_true(pf_turns_is_idle(ts));
}

/* A fence must be sent after what it guards was computed: one in flight is too old. */
static void test_turn_fence_is_not_one_in_flight(void **state)
{
    struct pf_turns *ts = pf_turns_create(PF_BATCH_MAX_BYTES, 2);

    (void)state;
    pf_turn_fence(pf_turns_open(ts));
    seal(ts, 1);
    pf_turn_fence(pf_turns_open(ts));
    send_to(ts, 1, "lost");
    put(ts, "k"); /* rows and fences share a batch */
    pf_turns_stored(ts, 1);
    expect(ts, "");
    seal(ts, 2);
    seal(ts, 0);
    pf_turns_stored(ts, 2);
    expect(ts, "1:lost");
    pf_turn_fence(pf_turns_open(ts)); /* with nothing behind it: a batch all the same */
    assert_false(pf_turns_is_idle(ts));
    seal(ts, 3);
    pf_turns_stored(ts, 3);
    assert_true(pf_turns_is_idle(ts));
    pf_turns_destroy(ts);
}

static void test_turn_closes_a_peer_after_its_sends(void **state)
{
    struct pf_turns *ts = *state;

    put(ts, "k");
    send_to(ts, 1, "a");
    pf_turn_close(pf_turns_open(ts), 1);
    send_now(ts, 1, "b");
    pf_turn_close(pf_turns_open(ts), 2);
    seal(ts, 1);
    expect(ts, "");
    pf_turns_stored(ts, 1);
    expect(ts, "1:a 1:close 1:b 2:close");
}

static void test_turn_send_now_overtakes_other_peers_only(void **state)
{
    struct pf_turns *ts = *state;

    put(ts, "k1");
    send_to(ts, 1, "held1");
    seal(ts, 1);
    put(ts, "k2");
    send_to(ts, 2, "held2");
    send_now(ts, 1, "now1");
    send_now(ts, 2, "now2");
    send_now(ts, 3, "now3");
    expect(ts, "3:now3");
    pf_turns_stored(ts, 1);
    expect(ts, "1:held1 1:now1");
    send_now(ts, 1, "again1");
    expect(ts, "1:again1");
    seal(ts, 2);
    pf_turns_stored(ts, 2);
    expect(ts, "2:held2 2:now2");
}

static void test_turn_act_now_waits_for_actions_only(void **state)
{
    struct pf_turns *ts = *state;

    put(ts, "k");
    pf_turn_act_now(pf_turns_open(ts), 1, NULL);
    expect(ts, "!1");
    act(ts, 2);
    pf_turn_act_now(pf_turns_open(ts), 3, NULL);
    expect(ts, "");
    seal(ts, 1);
    pf_turns_stored(ts, 1);
    pf_turn_act_now(pf_turns_open(ts), 4, NULL);
    expect(ts, "!2 !3 !4");
}

static void test_turn_forgets_a_peer(void **state)
{
    struct pf_turns *ts = *state;

    send_to(ts, 1, "ready1");
    send_to(ts, 2, "ready2");
    put(ts, "k");
    send_to(ts, 1, "held1");
    act(ts, 1);
    send_to(ts, 2, "held2");
    seal(ts, 1);
    put(ts, "k2");
    send_to(ts, 1, "later1");
    pf_turns_forget_peer(ts, 1);
    pf_turns_forget_peer(ts, 99);
    pf_turns_check(ts);
    send_now(ts, 1, "a new 1");
    expect(ts, "2:ready2 1:a new 1");
    pf_turns_stored(ts, 1);
    expect(ts, "!1 2:held2");
    seal(ts, 2);
    pf_turns_stored(ts, 2);
    expect(ts, "");
    assert_true(pf_turns_is_idle(ts));
}

static void test_turn_last_put_of_a_key_wins(void **state)
{
    struct pf_turns *ts = *state;
    struct pf_turn *t = pf_turns_open(ts);
    const struct pf_batch *b;
    char key[8] = "k1";

    pf_turn_put(t, 1, bytes_of(key), in_arena(t, "old and long"));
    key[1] = '2'; /* keys are copied */
    pf_turn_put(t, 1, bytes_of(key), in_arena(t, "two"));
    pf_turn_put(t, 2, bytes_of("k1"), in_arena(t, "other table"));
    pf_turn_put(t, 1, bytes_of("k1"), in_arena(t, "new"));
    pf_turn_del(t, 1, bytes_of("k2"));
    b = pf_turns_seal(ts);
    assert_non_null(b);
    assert_int_equal(b->n_ops, 3);
    assert_int_equal(b->bytes, 2 + 3 + 2 + 2 + 11);
    assert_memory_equal(b->op[0].key.at, "k1", 2);
    assert_memory_equal(b->op[0].row.at, "new", 3);
    assert_int_equal(b->op[0].row.len, 3);
    assert_true(b->op[1].is_del);
    assert_int_equal(b->op[2].table, 2);
    pf_turns_stored(ts, 1);
    put(ts, "k1"); /* a new batch knows nothing of the old one */
    assert_int_equal(pf_turns_seal(ts)->n_ops, 1);
    pf_turns_stored(ts, 2);
}

static void test_turn_is_full_at_the_limit_of_rows(void **state)
{
    struct pf_turns *ts = pf_turns_create(100, 1);
    uint8_t row[64] = {0};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct pf_turn *t = pf_turns_open(ts);
        struct pf_bytes in = {pf_arena_memdup(pf_turn_arena(t), row, sizeof row), sizeof row};

        assert_false(pf_turns_is_full(ts));
        pf_turn_put(t, 1, bytes_of(i ? "a" : "b"), in);
    }
    assert_true(pf_turns_is_full(ts));
    seal(ts, 1);
    assert_false(pf_turns_is_full(ts));
    pf_turns_destroy(ts); /* with a batch in flight */
}

static void test_turn_is_full_at_the_limit_of_memory(void **state)
{
    struct pf_turns *ts = *state;
    uint32_t n = 0;

    put(ts, "k");
    seal(ts, 1);
    while (!pf_turns_is_full(ts)) {
        struct pf_turn *t = pf_turns_open(ts);
        struct pf_bytes m = {pf_arena_zalloc(pf_turn_arena(t), 1 << 20), 1 << 20};

        pf_turn_send(t, 1, m);
        n++;
        assert_true(n <= PF_TURN_HELD_MAX_BYTES >> 20);
    }
    pf_turns_stored(ts, 1);
    while (pf_turns_next(ts)) {
        n--;
    }
    assert_int_equal(n, 0);
    (void)pf_turns_open(ts);
    assert_false(pf_turns_is_full(ts));
}

static void test_turn_builders_make_separate_messages(void **state)
{
    struct pf_turns *ts = *state;
    struct pf_turn *t = pf_turns_open(ts);
    struct pf_fb_builder *outer = pf_turn_builder(t), *inner = pf_turn_nested_builder(t);

    assert_ptr_not_equal(outer, inner);
    assert_ptr_equal(outer->arena, pf_turn_arena(t));
    assert_ptr_equal(inner->arena, pf_turn_arena(t));
    assert_int_not_equal(pf_fb_put_str(outer, PF_STR("x")).at, 0);
    assert_int_equal(pf_turn_builder(t)->used, 0);
}

static void put_empty_key(void *ts)
{
    put(ts, "");
}

static void put_long_key(void *ts)
{
    char key[PF_STORE_KEY_MAX_BYTES + 2];

    memset(key, 'k', sizeof key - 1);
    key[sizeof key - 1] = '\0';
    put(ts, key);
}

static void put_table_zero(void *ts)
{
    pf_turn_del(pf_turns_open(ts), 0, bytes_of("k"));
}

static void stored_wrong_number(void *ts)
{
    put(ts, "k");
    (void)pf_turns_seal(ts);
    pf_turns_stored(ts, 2);
}

static void stored_nothing(void *ts)
{
    pf_turns_stored(ts, 0);
}

static void stored_twice(void *ts)
{
    put(ts, "k");
    (void)pf_turns_seal(ts);
    pf_turns_stored(ts, 1);
    pf_turns_stored(ts, 1);
}

static void stored_out_of_order(void *state)
{
    struct pf_turns *ts = pf_turns_create(PF_BATCH_MAX_BYTES, 2);

    (void)state;
    for (int i = 0; i < 2; i++) {
        put(ts, "k");
        (void)pf_turns_seal(ts);
    }
    pf_turns_stored(ts, 2);
}

static void create_without_depth(void *state)
{
    (void)state;
    pf_turns_destroy(pf_turns_create(PF_BATCH_MAX_BYTES, 0));
}

static void create_too_deep(void *state)
{
    (void)state;
    pf_turns_destroy(pf_turns_create(PF_BATCH_MAX_BYTES, PF_TURN_IN_FLIGHT_MAX + 1));
}

static void test_turn_refuses_misuse(void **state)
{
    assert_true(test_aborts(put_empty_key, *state));
    assert_true(test_aborts(put_long_key, *state));
    assert_true(test_aborts(put_table_zero, *state));
    assert_true(test_aborts(stored_wrong_number, *state));
    assert_true(test_aborts(stored_nothing, *state));
    assert_true(test_aborts(stored_twice, *state));
    assert_true(test_aborts(stored_out_of_order, *state));
    assert_true(test_aborts(create_without_depth, *state));
    assert_true(test_aborts(create_too_deep, *state));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(test_turn_effects_without_rows_leave_at_once),
        T(test_turn_holds_effects_until_their_rows_are_stored),
        T(test_turn_keeps_one_batch_in_flight),
        T(test_turn_pipelines_batches),
        T(test_turn_ends_with_batches_in_flight),
        T(test_turn_fence_waits_without_rows),
        T(test_turn_fence_is_not_one_in_flight),
        T(test_turn_closes_a_peer_after_its_sends),
        T(test_turn_send_now_overtakes_other_peers_only),
        T(test_turn_act_now_waits_for_actions_only),
        T(test_turn_forgets_a_peer),
        T(test_turn_last_put_of_a_key_wins),
        T(test_turn_is_full_at_the_limit_of_rows),
        T(test_turn_is_full_at_the_limit_of_memory),
        T(test_turn_builders_make_separate_messages),
        T(test_turn_refuses_misuse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
