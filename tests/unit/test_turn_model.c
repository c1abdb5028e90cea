/* SPDX-License-Identifier: Apache-2.0 */
/* Random turns of all depths, compared with a model that knows nothing of tags and lists; and their
 * memory over a long time. */
#include <malloc.h>
#include <stdio.h>
#include "common/base/alloc.h"
#include "common/base/arena.h"
#include "common/base/limits.h"
#include "common/base/rng.h"
#include "common/turn/turn.h"
#include "tests/support/test.h"

static struct pf_bytes bytes_of(const char *text)
{
    return (struct pf_bytes){(const uint8_t *)text, (uint32_t)strlen(text)};
}

static struct pf_bytes in_arena(struct pf_turn *t, const char *text)
{
    struct pf_str s = pf_arena_strdup(pf_turn_arena(t), pf_str(text));

    return (struct pf_bytes){(const uint8_t *)s.at, s.len};
}

/* A hundred thousand turns, most with a batch, a few with large messages: memory is recycled. */
static void memory_stays_bounded(uint32_t depth)
{
    struct pf_turns *ts = pf_turns_create(PF_BATCH_MAX_BYTES, depth);
    size_t at_start = 0;
    uint64_t n_stored = 0;

    for (uint32_t i = 0; i < 100000; i++) {
        struct pf_turn *t = pf_turns_open(ts);
        char key[16];

        (void)snprintf(key, sizeof key, "key%u", i);
        if (i % 3) {
            pf_turn_put(t, 1, bytes_of(key), in_arena(t, "row"));
        }
        if (i % 1000 == 0) {
            (void)pf_arena_zalloc(pf_turn_arena(t), 1 << 20);
        }
        pf_turn_send(t, i, in_arena(t, key));
        pf_turn_send_now(t, i % 7, in_arena(t, key));
        (void)pf_turns_seal(ts);
        while (pf_turns_next(ts)) {
        }
        if (pf_turns_in_flight(ts) > 0 && i % 5 == 0) {
            pf_turns_stored(ts, ++n_stored);
        }
        if (i == 10000) {
            at_start = mallinfo2().uordblks;
        }
    }
    assert_true(mallinfo2().uordblks <= at_start + (size_t)depth * (4 << 20));
    pf_turns_destroy(ts);
}

static void test_turn_memory_stays_bounded(void **state)
{
    (void)state;
    memory_stays_bounded(1);
    memory_stays_bounded(PF_TURN_IN_FLIGHT_MAX);
}

/* --- the model -------------------------------------------------------------------------------- */

enum { PEERS = 9, ACTIONS = PEERS, QUEUES, QUEUE_MAX = 4096 };

struct model_effect {
    uint64_t id, rows_before; /* a fence counts as a row */
    bool now, is_close;
};

struct model {
    struct model_effect queue[QUEUES][QUEUE_MAX];
    uint32_t head[QUEUES], tail[QUEUES];
    uint64_t n_rows, n_stored, next_id;
    uint64_t sealed[PF_TURN_IN_FLIGHT_MAX]; /* rows up to each batch in flight, oldest first */
    uint64_t n_flying, depth, n_batches;    /* n_batches: stored */
    struct pf_turns *ts;
    struct pf_rng dice;
};

static bool model_may_leave(const struct model *m, int q)
{
    const struct model_effect *e = &m->queue[q][m->head[q] % QUEUE_MAX];

    return m->head[q] != m->tail[q] && (e->now || e->rows_before <= m->n_stored);
}

static void model_append(struct model *m, int q)
{
    struct pf_turn *t = pf_turns_open(m->ts);
    struct model_effect e = {
        .id = ++m->next_id, .rows_before = m->n_rows, .now = pf_rng_below(&m->dice, 3) == 0};
    uint64_t *id = pf_arena_memdup(pf_turn_arena(t), &e.id, sizeof e.id);
    struct pf_bytes message = {(uint8_t *)id, sizeof *id};

    if (q == ACTIONS) {
        (e.now ? pf_turn_act_now : pf_turn_act)(t, 5, id);
    } else if (pf_rng_below(&m->dice, 8) == 0) {
        e.now = false;
        e.is_close = true;
        pf_turn_close(t, (uint64_t)q);
    } else {
        (e.now ? pf_turn_send_now : pf_turn_send)(t, (uint64_t)q, message);
    }
    assert_true(m->tail[q] - m->head[q] < QUEUE_MAX);
    m->queue[q][m->tail[q]++ % QUEUE_MAX] = e;
}

static void model_take(struct model *m, const struct pf_effect *e)
{
    int q = e->kind == PF_EFFECT_ACT ? ACTIONS : (int)e->peer;
    const struct model_effect *expected = &m->queue[q][m->head[q] % QUEUE_MAX];
    uint64_t id = 0;

    assert_true(model_may_leave(m, q));
    assert_int_equal(e->kind == PF_EFFECT_CLOSE, expected->is_close);
    if (!expected->is_close) {
        memcpy(&id, e->kind == PF_EFFECT_ACT ? e->data : e->message.at, sizeof id);
        assert_int_equal(id, expected->id);
    }
    m->head[q]++;
}

static void model_drain(struct model *m, uint64_t at_most)
{
    const struct pf_effect *e;

    while (at_most-- > 0) {
        if (!(e = pf_turns_next(m->ts))) {
            for (int q = 0; q < QUEUES; q++) {
                assert_false(model_may_leave(m, q));
            }
            return;
        }
        model_take(m, e);
    }
}

static void model_seal(struct model *m)
{
    const struct pf_batch *b = pf_turns_seal(m->ts);
    uint64_t n_sealed = m->n_flying > 0 ? m->sealed[m->n_flying - 1] : m->n_stored;

    assert_int_equal(b != NULL, m->n_flying < m->depth && m->n_rows > n_sealed);
    if (b) {
        m->sealed[m->n_flying++] = m->n_rows;
        assert_int_equal(b->number, m->n_batches + m->n_flying);
        assert_true(b->n_ops <= m->n_rows - n_sealed);
    }
    assert_int_equal(pf_turns_in_flight(m->ts), m->n_flying);
}

static void model_stored(struct model *m)
{
    if (m->n_flying == 0) {
        return;
    }
    pf_turns_stored(m->ts, ++m->n_batches);
    m->n_stored = m->sealed[0];
    m->n_flying--;
    memmove(m->sealed, m->sealed + 1, m->n_flying * sizeof *m->sealed);
}

static void model_put(struct model *m)
{
    struct pf_turn *t = pf_turns_open(m->ts);
    uint8_t key = (uint8_t)pf_rng_below(&m->dice, 40);

    if (pf_rng_below(&m->dice, 4) == 0) {
        pf_turn_fence(t);
    } else if (pf_rng_below(&m->dice, 4) == 0) {
        pf_turn_del(t, 1, (struct pf_bytes){&key, 1});
    } else {
        pf_turn_put(t, 1, (struct pf_bytes){&key, 1}, in_arena(t, "row"));
    }
    m->n_rows++;
}

static void model_step(struct model *m)
{
    uint64_t what = pf_rng_below(&m->dice, 100);
    int q = (int)pf_rng_below(&m->dice, QUEUES);

    if (what < 60) {
        model_append(m, q);
    } else if (what < 75) {
        model_put(m);
    } else if (what < 83) {
        model_seal(m);
    } else if (what < 90) {
        model_stored(m);
    } else if (what == 98 && q != ACTIONS) {
        pf_turns_forget_peer(m->ts, (uint64_t)q);
        m->head[q] = m->tail[q];
    } else if (what >= 90) {
        model_drain(m, what == 99 ? UINT64_MAX : pf_rng_below(&m->dice, 40));
    }
}

static void test_turn_agrees_with_a_naive_model(void **state)
{
    struct model *m = PF_NEW(struct model);

    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        *m = (struct model){.depth = 1 + seed % PF_TURN_IN_FLIGHT_MAX};
        m->ts = pf_turns_create(PF_BATCH_MAX_BYTES, (uint32_t)m->depth);
        pf_rng_seed(&m->dice, seed);
        for (int i = 0; i < 3000; i++) {
            model_step(m);
            pf_turns_check(m->ts);
        }
        while (m->n_flying > 0) {
            model_stored(m);
        }
        model_seal(m);
        model_stored(m);
        model_drain(m, UINT64_MAX);
        assert_true(pf_turns_is_idle(m->ts));
        pf_turns_destroy(m->ts);
    }
    pf_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turn_memory_stays_bounded),
        cmocka_unit_test(test_turn_agrees_with_a_naive_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
