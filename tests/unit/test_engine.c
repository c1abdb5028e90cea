/* SPDX-License-Identifier: Apache-2.0 */
/* The engine on a real loop: nothing is shown before it is stored, whatever the store. */
#include "common/engine/engine.h"

#include "common/base/alloc.h"
#include "common/sys/file.h"
#include "tests/support/net.h"

#define SHOW     7
#define SHOW_NOW 8

struct world {
    struct pf_loop *loop;
    struct pf_store_image *image;
    struct pf_store *store;
    struct pf_engine *engine;
    uint32_t n_shown, n_shown_now, n_virtual, n_deadlines;
    int64_t deadline_ms;
    bool is_slow; /* an action takes 2 ms */
    struct pf_err failure;
    uint64_t submitted;  /* to the owner of a remote store */
    bool stores_at_once; /* it does */
    uint32_t n_may_show; /* the gate: looks that it passes still */
    uint32_t n_gate_shut;
};

static int64_t next_deadline(void *ctx)
{
    return ((struct world *)ctx)->deadline_ms;
}

static void on_deadline(void *ctx)
{
    struct world *w = ctx;
    w->n_deadlines++;
    w->deadline_ms = INT64_MAX;
}

static void on_act(void *ctx, uint32_t act, const void *data)
{
    struct world *w = ctx;
    (void)data;
    w->n_shown += act == SHOW ? 1 : 0;
    w->n_shown_now += act == SHOW_NOW ? 1 : 0;
    for (int64_t end_us = pf_now_us() + 2000; w->is_slow && pf_now_us() < end_us;) {
    }
}

static bool on_virtual(void *ctx, const struct pf_effect *e)
{
    struct world *w = ctx;
    assert_int_equal(e->peer, 42);
    w->n_virtual++;
    return true;
}

static void on_store_failed(void *ctx, const struct pf_err *why)
{
    struct world *w = ctx;
    assert_int_equal(w->failure.code, 0); /* told once */
    w->failure = *why;
}

static bool may_act(void *ctx)
{
    struct world *w = ctx;
    if (w->n_may_show == 0) {
        return false;
    }
    w->n_may_show--;
    return true;
}

static void on_gate_shut(void *ctx)
{
    struct world *w = ctx;
    w->n_gate_shut++;
}

static void engine_make(struct world *w, struct pf_store *store)
{
    static const struct pf_engine_ops ops = {
        .next_deadline = next_deadline,
        .on_deadline = on_deadline,
        .on_act = on_act,
        .on_virtual = on_virtual,
        .on_store_failed = on_store_failed,
        .may_act = may_act,
        .on_gate_shut = on_gate_shut,
    };
    w->store = store;
    const struct pf_engine_options o = {.loop = w->loop, .store = w->store};
    assert_int_equal(pf_engine_create(&o, &ops, w, &w->engine, NULL), 0);
}

static struct world *world_make(struct pf_store *store)
{
    struct world *w = PF_NEW(struct world);
    w->deadline_ms = INT64_MAX;
    w->n_may_show = UINT32_MAX;
    assert_int_equal(pf_loop_create(&w->loop, NULL), 0);
    w->image = pf_store_image_create();
    engine_make(w, store != NULL ? store : pf_store_memory_open(w->image));
    return w;
}

static void world_end(struct world *w)
{
    pf_engine_destroy(w->engine);
    pf_store_image_destroy(w->image);
    pf_loop_destroy(w->loop);
    pf_free(w);
}

static void put_row(struct world *w, const char *key)
{
    struct pf_bytes k = {(const uint8_t *)key, (uint32_t)strlen(key)};
    struct pf_turn *t = pf_engine_turn(w->engine);
    uint8_t *row = pf_arena_memdup(pf_turn_arena(t), "row", 3);
    pf_turn_put(t, 1, k, (struct pf_bytes){row, 3});
}

static void act(struct world *w, uint32_t kind)
{
    struct pf_turn *t = pf_engine_turn(w->engine);
    void *data = pf_arena_zalloc(pf_turn_arena(t), 8);
    if (kind == SHOW) {
        pf_turn_act(t, kind, data);
    } else {
        pf_turn_act_now(t, kind, data);
    }
}

static void turn(struct world *w, bool may_wait)
{
    assert_int_equal(pf_loop_turn(w->loop, may_wait, NULL), 0);
}

static void test_engine_shows_what_a_memory_store_kept_in_the_same_turn(void **state)
{
    struct world *w = world_make(NULL);
    (void)state;
    put_row(w, "a");
    act(w, SHOW);
    assert_int_equal(w->n_shown, 0);
    assert_false(pf_engine_is_idle(w->engine));
    turn(w, false);
    assert_int_equal(w->n_shown, 1);
    assert_true(pf_engine_is_idle(w->engine));
    world_end(w);
}

static void test_engine_holds_effects_until_lmdb_has_stored(void **state)
{
    char dir[] = "/tmp/pf.engine.XXXXXX";
    struct pf_store *store;
    (void)state;
    assert_non_null(mkdtemp(dir));
    const struct pf_store_lmdb_options so = {.dir = dir, .kind = "test", .level = 1};
    assert_int_equal(pf_store_lmdb_open(&so, &store, NULL), 0);
    struct world *w = world_make(store);
    put_row(w, "a");
    act(w, SHOW);
    turn(w, false); /* sealed and given to the store: its thread works now */
    act(w, SHOW_NOW);
    while (!pf_engine_is_idle(w->engine)) {
        turn(w, true);
    }
    assert_int_equal(w->n_shown, 1);
    assert_int_equal(w->n_shown_now, 1);
    struct pf_store_stats stats;
    pf_store_lmdb_stats(store, &stats);
    assert_int_equal(stats.n_batches, 1);
    world_end(w);
    assert_int_equal(pf_remove_tree(dir, NULL), 0);
}

static void test_engine_shows_nothing_after_a_failed_store(void **state)
{
    struct world *w = world_make(NULL);
    (void)state;
    pf_store_memory_fail_at(w->store, 2, PF_ENOSPC);
    put_row(w, "a");
    act(w, SHOW);
    turn(w, false);
    assert_int_equal(w->n_shown, 1);
    put_row(w, "b");
    act(w, SHOW);
    turn(w, false);
    assert_int_equal(w->failure.code, PF_ENOSPC);
    assert_int_equal(w->n_shown, 1);
    put_row(w, "c");
    act(w, SHOW_NOW);
    turn(w, false);
    assert_int_equal(w->n_shown_now, 0);
    world_end(w);
}

static void test_engine_gives_virtual_peers_to_the_daemon(void **state)
{
    struct world *w = world_make(NULL);
    (void)state;
    struct pf_turn *t = pf_engine_turn(w->engine);
    uint8_t *message = pf_arena_memdup(pf_turn_arena(t), "hello", 5);
    pf_turn_send(t, 42, (struct pf_bytes){message, 5});
    pf_turn_close(t, 42);
    turn(w, false);
    assert_int_equal(w->n_virtual, 2);
    world_end(w);
}

static void test_engine_steps_at_the_deadline(void **state)
{
    struct world *w = world_make(NULL);
    (void)state;
    w->deadline_ms = pf_loop_now_ms(w->loop) + 5;
    turn(w, false); /* sets the timer */
    while (w->n_deadlines == 0) {
        turn(w, true);
    }
    assert_int_equal(w->n_deadlines, 1);
    world_end(w);
}

/* Actions that take long are spread over turns: nothing else waits for all of them. */
static void test_engine_ends_a_turn_whose_time_is_used_up(void **state)
{
    struct world *w = world_make(NULL);
    (void)state;
    w->is_slow = true;
    for (int i = 0; i < 5; i++) {
        act(w, SHOW);
    }
    turn(w, false);
    assert_int_equal(w->n_shown, 1);
    for (uint32_t n = 2; n <= 5; n++) {
        turn(w, true); /* does not wait: there is work left */
        assert_int_equal(w->n_shown, n);
    }
    assert_true(pf_engine_is_idle(w->engine));
    world_end(w);
}

/* --- a store whose owner stores -------------------------------------------------------------- */

static void owner_submit(void *ctx, const struct pf_batch *batch)
{
    struct world *w = ctx;
    assert_int_equal(batch->number, ++w->submitted);
    if (w->stores_at_once) {
        pf_store_remote_stored(w->store, batch->number);
        pf_engine_collect(w->engine);
    }
}

static struct world *world_make_remote(void)
{
    struct world *w = world_make(NULL);
    pf_engine_destroy(w->engine);
    engine_make(w, pf_store_remote_open(owner_submit, w, 3));
    return w;
}

static void test_engine_keeps_several_batches_in_flight(void **state)
{
    struct world *w = world_make_remote();
    (void)state;
    for (uint64_t i = 1; i <= 5; i++) {
        put_row(w, "k");
        act(w, SHOW);
        turn(w, false);
        assert_int_equal(w->submitted, i < 3 ? i : 3);
    }
    assert_int_equal(w->n_shown, 0);
    pf_store_remote_stored(w->store, 1);
    pf_engine_collect(w->engine);
    turn(w, false);
    assert_int_equal(w->n_shown, 1);
    assert_int_equal(w->submitted, 4); /* what gathered follows as one */
    for (uint64_t i = 2; i <= 4; i++) {
        pf_store_remote_stored(w->store, i);
    }
    pf_engine_collect(w->engine);
    assert_int_equal(w->n_shown, 1); /* not inside the call */
    turn(w, false);
    assert_int_equal(w->n_shown, 5);
    assert_true(pf_engine_is_idle(w->engine));
    world_end(w);
}

static void test_engine_fence_waits_for_the_owner(void **state)
{
    struct world *w = world_make_remote();
    (void)state;
    pf_turn_fence(pf_engine_turn(w->engine));
    act(w, SHOW);
    turn(w, false);
    assert_int_equal(w->submitted, 1);
    assert_int_equal(w->n_shown, 0);
    w->stores_at_once = true; /* a call inside of on_submit */
    put_row(w, "k");
    pf_store_remote_stored(w->store, 1);
    pf_engine_collect(w->engine);
    act(w, SHOW);
    turn(w, false);
    assert_int_equal(w->n_shown, 2);
    assert_true(pf_engine_is_idle(w->engine));
    world_end(w);
}

static void test_engine_hears_that_the_owner_failed(void **state)
{
    struct world *w = world_make_remote();
    struct pf_err why = {0};
    (void)state;
    put_row(w, "k");
    act(w, SHOW);
    turn(w, false);
    (void)pf_err_set(&why, PF_ECANCELED, "leads no more");
    pf_store_remote_failed(w->store, &why);
    pf_engine_collect(w->engine);
    assert_int_equal(w->failure.code, PF_ECANCELED);
    pf_engine_collect(w->engine); /* told once */
    turn(w, false);
    assert_int_equal(w->n_shown, 0);
    world_end(w);
}

/* --- the gate --------------------------------------------------------------------------------- */

static void send_to_virtual(struct world *w)
{
    struct pf_turn *t = pf_engine_turn(w->engine);
    pf_turn_send(t, 42, (struct pf_bytes){pf_arena_memdup(pf_turn_arena(t), "x", 1), 1});
}

static void test_engine_shows_nothing_behind_a_shut_gate(void **state)
{
    struct world *w = world_make(NULL);
    (void)state;
    w->n_may_show = 1;
    w->deadline_ms = pf_loop_now_ms(w->loop);
    act(w, SHOW);
    act(w, SHOW); /* the gate shuts between the two */
    turn(w, false);
    assert_int_equal(w->n_shown, 1);
    assert_int_equal(w->n_gate_shut, 1);
    w->n_may_show = UINT32_MAX; /* too late: this engine is at its end */
    put_row(w, "k");
    act(w, SHOW_NOW);
    turn(w, false);
    turn(w, false);
    assert_int_equal(w->n_gate_shut, 1);
    assert_int_equal(w->n_shown + w->n_shown_now, 1);
    assert_int_equal(w->n_deadlines, 0);
    world_end(w);
}

static void test_engine_looks_at_the_gate_between_sends(void **state)
{
    struct world *w = world_make(NULL);
    (void)state;
    w->n_may_show = 2;
    for (int i = 0; i < 1000; i++) {
        send_to_virtual(w);
    }
    turn(w, false);
    assert_int_equal(w->n_virtual, 128);
    assert_int_equal(w->n_gate_shut, 1);
    world_end(w);
}

/* A master steps down: what was queued is gone, the loop goes on, a new engine begins. */
static void test_engine_begins_anew_on_the_same_loop(void **state)
{
    struct world *w = world_make_remote();
    (void)state;
    put_row(w, "k");
    act(w, SHOW);
    turn(w, false);
    assert_int_equal(w->submitted, 1);
    act(w, SHOW);
    pf_engine_destroy(w->engine);
    turn(w, false); /* nobody's turn */
    w->deadline_ms = pf_loop_now_ms(w->loop);
    engine_make(w, pf_store_memory_open(w->image));
    put_row(w, "k");
    act(w, SHOW_NOW);
    turn(w, false);
    assert_int_equal(w->n_shown, 0);
    assert_int_equal(w->n_shown_now, 1);
    test_turn_until(w->loop, w->n_deadlines == 1);
    world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_engine_shows_what_a_memory_store_kept_in_the_same_turn),
        cmocka_unit_test(test_engine_holds_effects_until_lmdb_has_stored),
        cmocka_unit_test(test_engine_shows_nothing_after_a_failed_store),
        cmocka_unit_test(test_engine_gives_virtual_peers_to_the_daemon),
        cmocka_unit_test(test_engine_steps_at_the_deadline),
        cmocka_unit_test(test_engine_ends_a_turn_whose_time_is_used_up),
        cmocka_unit_test(test_engine_keeps_several_batches_in_flight),
        cmocka_unit_test(test_engine_fence_waits_for_the_owner),
        cmocka_unit_test(test_engine_hears_that_the_owner_failed),
        cmocka_unit_test(test_engine_shows_nothing_behind_a_shut_gate),
        cmocka_unit_test(test_engine_looks_at_the_gate_between_sends),
        cmocka_unit_test(test_engine_begins_anew_on_the_same_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
