/* SPDX-License-Identifier: Apache-2.0 */
/* A store whose owner stores: batches are handed over in order, several at once, and durable when
 * the owner says so. */
#include "common/base/limits.h"
#include "common/store/store.h"
#include "tests/support/test.h"

struct owner {
    const struct pf_batch *got[PF_TURN_IN_FLIGHT_MAX];
    uint32_t n;
    struct pf_store *store;
    struct pf_turns *turns;
};

static void owner_submit(void *ctx, const struct pf_batch *batch)
{
    struct owner *o = ctx;

    assert_true(o->n < PF_TURN_IN_FLIGHT_MAX);
    o->got[o->n++] = batch;
}

static void owner_open(struct owner *o, uint32_t depth)
{
    *o = (struct owner){.turns = pf_turns_create(PF_BATCH_MAX_BYTES, depth)};
    o->store = pf_store_remote_open(owner_submit, o, depth);
    assert_int_equal(pf_store_depth(o->store), depth);
    assert_int_equal(pf_store_wake_fd(o->store), PF_STORE_WAKE_OWNER);
}

static void owner_close(struct owner *o)
{
    pf_store_destroy(o->store);
    pf_turns_destroy(o->turns);
}

static void owner_put(struct owner *o)
{
    struct pf_turn *t = pf_turns_open(o->turns);

    pf_turn_put(t, 1, (struct pf_bytes){(const uint8_t *)"key", 3}, (struct pf_bytes){NULL, 0});
    pf_store_submit(o->store, pf_turns_seal(o->turns));
}

static void expect_collected(struct owner *o, uint64_t expected)
{
    uint64_t number = 99;

    assert_int_equal(pf_store_collect(o->store, &number, NULL), 0);
    assert_int_equal(number, expected);
}

static void test_store_remote_hands_batches_to_its_owner(void **state)
{
    struct owner o;

    (void)state;
    owner_open(&o, PF_TURN_IN_FLIGHT_MAX);
    for (uint32_t i = 0; i < PF_TURN_IN_FLIGHT_MAX; i++) {
        owner_put(&o);
        assert_int_equal(o.n, i + 1);
        assert_int_equal(o.got[i]->number, i + 1);
        assert_int_equal(o.got[i]->n_ops, 1);
    }
    expect_collected(&o, 0);
    pf_store_remote_stored(o.store, 1);
    expect_collected(&o, 1);
    expect_collected(&o, 0);
    pf_store_remote_stored(o.store, 2);
    pf_store_remote_stored(o.store, 3);
    expect_collected(&o, 3);                      /* the newest: 2 as well */
    assert_int_equal(o.got[7]->op[0].key.len, 3); /* not recycled yet */
    owner_close(&o);
}

static void test_store_remote_fails_for_good(void **state)
{
    struct owner o;
    struct pf_err why = {0}, other = {0}, err = {0};
    uint64_t number = 99;

    (void)state;
    owner_open(&o, 3);
    owner_put(&o);
    owner_put(&o);
    pf_store_remote_stored(o.store, 1);
    (void)pf_err_set(&why, PF_ECANCELED, "leads no more");
    (void)pf_err_set(&other, PF_EIO, "another");
    pf_store_remote_failed(o.store, &why);
    pf_store_remote_failed(o.store, &other);
    pf_store_remote_stored(o.store, 2); /* late: not heard */
    assert_int_equal(pf_store_collect(o.store, &number, &err), PF_ECANCELED);
    assert_string_equal(err.msg, "leads no more");
    assert_int_equal(pf_store_collect(o.store, &number, NULL), PF_ECANCELED);
    assert_int_equal(number, 99);
    owner_put(&o);
    assert_int_equal(o.n, 2); /* not handed on */
    owner_close(&o);
}

static void remote_too_many(void *o)
{
    const struct pf_batch b = {.number = 3};

    owner_put(o);
    owner_put(o);
    pf_store_submit(((struct owner *)o)->store, &b);
}

static void remote_out_of_order(void *o)
{
    owner_put(o);
    owner_put(o);
    pf_store_remote_stored(((struct owner *)o)->store, 2);
}

static void remote_nothing_in_flight(void *o)
{
    pf_store_remote_stored(((struct owner *)o)->store, 1);
}

static void test_store_remote_refuses_misuse(void **state)
{
    struct owner o;

    (void)state;
    owner_open(&o, 2);
    assert_true(test_aborts(remote_too_many, &o));
    assert_true(test_aborts(remote_out_of_order, &o));
    assert_true(test_aborts(remote_nothing_in_flight, &o));
    owner_close(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_remote_hands_batches_to_its_owner),
        cmocka_unit_test(test_store_remote_fails_for_good),
        cmocka_unit_test(test_store_remote_refuses_misuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
