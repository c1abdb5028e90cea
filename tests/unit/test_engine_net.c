/* SPDX-License-Identifier: Apache-2.0 */
/* An engine on a net: reading pauses while the store has no room, and a new engine takes over links
 * that stand. */
#include "common/engine/engine.h"

#include "tests/support/peers.h"

enum { BATCH_BYTES = 100, ROW_BYTES = 60 }; /* two rows fill a batch */

struct core {
    struct world *w;
    struct pf_engine *engine;
    struct pf_store *store;
    uint64_t submitted;
};

static void core_submit(void *ctx, const struct pf_batch *batch)
{
    struct core *c = ctx;
    assert_int_equal(batch->number, ++c->submitted);
    assert_true(batch->bytes <= 2 * (ROW_BYTES + 8));
}

static int64_t no_deadline(void *ctx)
{
    (void)ctx;
    return INT64_MAX;
}

static void unexpected(void *ctx, const struct pf_err *why)
{
    (void)ctx;
    fail_msg("%s", why->msg);
}

static void core_begin(struct core *c, struct world *w)
{
    static const struct pf_engine_ops engine_ops = {.next_deadline = no_deadline,
                                                    .on_store_failed = unexpected};
    *c = (struct core){.w = w};
    c->store = pf_store_remote_open(core_submit, c, 2);
    const struct pf_engine_options o = {
        .loop = w->loop, .net = w->server.net, .store = c->store, .batch_max_bytes = BATCH_BYTES};
    assert_int_equal(pf_engine_create(&o, &engine_ops, c, &c->engine, NULL), 0);
}

/* A step with a row and a message to the client. */
static void core_step(struct core *c, uint64_t sequence)
{
    struct pf_turn *t = pf_engine_turn(c->engine);
    char key[8];
    struct pf_bytes k = {(uint8_t *)key, 8};
    (void)snprintf(key, sizeof key, "%07u", (unsigned)sequence);
    pf_turn_put(t, 1, k,
                (struct pf_bytes){pf_arena_zalloc(pf_turn_arena(t), ROW_BYTES), ROW_BYTES});
    struct pf_msg msg = envelope(c->w, sequence, 10);
    pf_turn_send(t, c->w->server.peer,
                 (struct pf_bytes){pf_arena_memdup(pf_turn_arena(t), msg.data, msg.len), msg.len});
}

static void stored(struct core *c, uint64_t number)
{
    pf_store_remote_stored(c->store, number);
    pf_engine_collect(c->engine);
}

static void turn_some(struct world *w)
{
    for (int i = 0; i < 20; i++) {
        assert_int_equal(pf_loop_turn(w->loop, false, NULL), 0);
    }
}

static void test_engine_closes_a_batch_at_its_limit(void **state)
{
    struct world *w = *state;
    struct core c;
    open_both(w, (struct pf_net_options){0});
    connect_up(w);
    core_begin(&c, w);
    for (uint64_t i = 1; i <= 6; i++) { /* all in one turn of the loop */
        core_step(&c, i);
        assert_int_equal(c.submitted, (i - 1) / 2);
    }
    (void)pf_engine_turn(c.engine); /* no room: paused at once, not at the end of the turn */
    send_to_server(w, 1, 10);
    turn_some(w);
    assert_int_equal(c.submitted, 2);
    assert_int_equal(w->server.n_messages, 0);
    assert_int_equal(w->client.n_messages, 0);
    stored(&c, 1);
    test_turn_until(w->loop, w->client.n_messages == 2 && w->server.n_messages == 1);
    assert_int_equal(c.submitted, 3);
    stored(&c, 2);
    stored(&c, 3);
    test_turn_until(w->loop, w->client.n_messages == 6);
    assert_false(w->client.is_out_of_order);
    assert_true(pf_engine_is_idle(c.engine));
    pf_engine_destroy(c.engine);
}

/* A master steps down in the middle of it all: peers stay, its queued words do not. */
static void test_engine_begins_anew_on_links_that_stand(void **state)
{
    struct world *w = *state;
    struct core c;
    open_both(w, (struct pf_net_options){0});
    connect_up(w);
    core_begin(&c, w);
    for (uint64_t i = 1; i <= 7; i++) {
        core_step(&c, i);
    }
    send_to_server(w, 1, 10);
    turn_some(w);
    stored(&c, 1);
    pf_engine_destroy(c.engine);                         /* stored, and not shown: too late */
    test_turn_until(w->loop, w->server.n_messages == 1); /* reading goes on */
    assert_int_equal(w->client.n_messages, 0);
    core_begin(&c, w);
    core_step(&c, 100);
    turn_some(w);
    stored(&c, 1);
    test_turn_until(w->loop, w->client.n_messages == 1);
    assert_int_equal(w->client.sum, 100);
    assert_int_equal(w->client.n_down + w->server.n_down, 0);
    pf_engine_destroy(c.engine);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_engine_closes_a_batch_at_its_limit),
        T(test_engine_begins_anew_on_links_that_stand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
