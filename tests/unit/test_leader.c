/* SPDX-License-Identifier: Apache-2.0 */
/* Who leads: links to all masters, tried again, one each; the highest epoch of our incarnation. */
#include "common/link/leader.h"

#include "common/link/backoff.h"
#include "tests/support/msg.h"

#define OURS    "q6urq6urq6urq6urq6urqw=="
#define FOREIGN "AQEBAQEBAQEBAQEBAQEBAQ=="

struct world {
    struct pf_leader *l;
    struct pf_fb_builder b;
    int64_t now_ms;
    struct pf_buf did, trace;
};

static void on_move(void *ctx, const char *entity, const char *id, const char *from, const char *to,
                    const char *why)
{
    struct world *w = ctx;

    (void)why;
    pf_buf_printf(&w->trace, "%s %s %s->%s\n", entity, id, from, to);
}

static void create(struct world *w, const char *const *address, int64_t spread_ms)
{
    const struct pf_leader_options o = {.seed = 3, .spread_ms = spread_ms, .tracer = {on_move, w}};

    pf_leader_destroy(w->l);
    w->l = pf_leader_create(&o);
    for (; *address; address++) {
        pf_leader_add(w->l, pf_str(*address));
    }
}

static int setup(void **state)
{
    struct world *w = test_calloc(1, sizeof *w);

    pf_fb_builder_init(&w->b, NULL);
    w->now_ms = 1000;
    create(w, (const char *const[]){"a", "b", "c", NULL}, 0);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    pf_leader_check(w->l);
    pf_leader_destroy(w->l);
    pf_fb_builder_fini(&w->b);
    pf_buf_fini(&w->did);
    pf_buf_fini(&w->trace);
    test_free(w);
    return 0;
}

/* What was wanted since the last time: "connect a, close b". */
static const char *did(struct world *w)
{
    enum pf_leader_act act;
    uint32_t master;

    pf_leader_check(w->l);
    pf_buf_clear(&w->did);
    while (pf_leader_next(w->l, &act, &master)) {
        pf_buf_printf(&w->did, "%s%s %s", w->did.len > 0 ? ", " : "",
                      act == PF_LEADER_CONNECT ? "connect" : "close",
                      pf_leader_address(w->l, master));
    }
    pf_leader_check(w->l);
    return pf_buf_cstr(&w->did);
}

static void start(struct world *w)
{
    pf_leader_start(w->l, w->now_ms);
    (void)did(w);
}

static struct Welcome welcome(struct world *w, const char *text)
{
    pf_fb_builder_reset(&w->b);
    return Welcome__root(test_msg(&w->b, &Welcome__desc, text));
}

static enum pf_leader_link up(struct world *w, uint32_t master, const char *text)
{
    return pf_leader_up(w->l, master, welcome(w, text), w->now_ms);
}

static enum pf_leader_link again(struct world *w, uint32_t master, const char *text)
{
    return pf_leader_again(w->l, master, welcome(w, text), w->now_ms);
}

static void down(struct world *w, uint32_t master)
{
    pf_leader_down(w->l, master, PF_ECONN, w->now_ms);
}

static void tick_at(struct world *w, int64_t now_ms)
{
    w->now_ms = now_ms;
    pf_leader_tick(w->l, now_ms);
}

static void test_backoff_doubles_and_is_spread(void **state)
{
    static const int64_t most[] = {0, 50, 100, 200, 400, 800, 1600, 2000, 2000, 2000};
    struct pf_rng dice;
    struct pf_backoff b = {0};
    bool differs = false;

    (void)state;
    pf_rng_seed(&dice, 1);
    for (size_t i = 0; i < PF_ARRAY_LEN(most); i++) {
        int64_t ms = pf_backoff_next(&b, &dice);
        assert_in_range(ms, most[i] / 2, most[i]);
        differs = differs || ms != most[i];
    }
    assert_true(differs);
    b.failures = 0;
    assert_in_range(pf_backoff_pause(&b, &dice), 25, 50);
    b.failures = UINT32_MAX - 1; /* no overflow however long it lasts */
    assert_in_range(pf_backoff_next(&b, &dice), 1000, 2000);
    assert_in_range(pf_backoff_next(&b, &dice), 1000, 2000);
}

static void test_leader_connects_to_all(void **state)
{
    struct world *w = *state;

    assert_string_equal(did(w), "");
    assert_true(pf_leader_deadline(w->l) == INT64_MAX);
    pf_leader_start(w->l, w->now_ms);
    assert_string_equal(did(w), "connect a, connect b, connect c");
    assert_string_equal(did(w), "");
    assert_int_equal(pf_leader_index(w->l), -1);
    assert_int_equal(pf_leader_none_since(w->l), 1000);
}

/* Every edge of the table: idle, connecting, up, waiting, parked. */
static void test_leader_moves_by_the_table(void **state)
{
    struct world *w = *state;

    create(w, (const char *const[]){"a", "b", NULL}, 0);
    pf_buf_clear(&w->trace);
    start(w);
    assert_int_equal(up(w, 0, "{'role': 'LEADER', 'instance': 'i', 'epoch': 1}"), PF_LEADER_LINKED);
    assert_int_equal(up(w, 1, "{'role': 'LEADER', 'instance': 'i', 'epoch': 1}"),
                     PF_LEADER_DUPLICATE);
    assert_string_equal(did(w), "close b");
    down(w, 0);
    assert_string_equal(did(w), "connect a, connect b");
    down(w, 1);
    assert_string_equal(did(w), "connect b");
    down(w, 1);
    tick_at(w, pf_leader_deadline(w->l));
    assert_string_equal(did(w), "connect b");
    assert_string_equal(pf_buf_cstr(&w->trace),
                        "link a idle->connecting\nlink b idle->connecting\n"
                        "link a connecting->up\nlink b connecting->parked\n"
                        "link a up->waiting\nlink b parked->connecting\n"
                        "link a waiting->connecting\n"
                        "link b connecting->waiting\nlink b waiting->connecting\n"
                        "link b connecting->waiting\nlink b waiting->connecting\n");
}

/* At once, then with growing pauses; a link that stood for a while begins anew, one that did not
 * goes on where it was. */
static void test_leader_tries_again(void **state)
{
    struct world *w = *state;
    static const int64_t most[] = {50, 100, 200, 400, 800, 1600, 2000, 2000};

    create(w, (const char *const[]){"a", NULL}, 0);
    start(w);
    down(w, 0);
    assert_string_equal(did(w), "connect a");
    for (size_t i = 0; i < PF_ARRAY_LEN(most); i++) {
        down(w, 0);
        assert_string_equal(did(w), "");
        int64_t at_ms = pf_leader_deadline(w->l);
        assert_in_range(at_ms - w->now_ms, most[i] / 2, most[i]);
        tick_at(w, at_ms - 1);
        assert_string_equal(did(w), "");
        tick_at(w, at_ms);
        assert_string_equal(did(w), "connect a");
    }
    (void)up(w, 0, "{'role': 'STANDBY'}");
    w->now_ms += 1999;
    down(w, 0);
    assert_string_equal(did(w), "");
    tick_at(w, pf_leader_deadline(w->l));
    assert_string_equal(did(w), "connect a");
    (void)up(w, 0, "{'role': 'STANDBY'}");
    w->now_ms += 2000;
    down(w, 0);
    assert_string_equal(did(w), "connect a");
}

/* Many alike that lost one of two masters turn to the other first; with none left nobody waits. */
static void test_leader_many_leave_time_to_register(void **state)
{
    struct world *w = *state;

    create(w, (const char *const[]){"a", "b", NULL}, 500);
    start(w);
    (void)up(w, 0, "{'role': 'LEADER', 'epoch': 1}");
    (void)up(w, 1, "{'role': 'STANDBY'}");
    down(w, 0);
    assert_in_range(pf_leader_deadline(w->l) - w->now_ms, 500, 999);
    down(w, 1);
    assert_in_range(pf_leader_deadline(w->l) - w->now_ms, 0, 499);
}

static void test_leader_is_the_highest_epoch(void **state)
{
    struct world *w = *state;

    start(w);
    (void)up(w, 0, "{'role': 'STANDBY', 'instance': 'a', 'epoch': 7}");
    assert_int_equal(pf_leader_index(w->l), -1);
    (void)up(w, 1, "{'role': 'LEADER', 'instance': 'b', 'epoch': 5}");
    assert_int_equal(pf_leader_index(w->l), 1);
    assert_true(pf_leader_none_since(w->l) == INT64_MAX);
    (void)up(w, 2, "{'role': 'LEADER', 'instance': 'c', 'epoch': 6}");
    assert_int_equal(pf_leader_index(w->l), 2);
    assert_int_equal(pf_leader_epoch(w->l, 2), 6);
    assert_int_equal(pf_leader_n_up(w->l), 3);
    /* on links that stand */
    (void)again(w, 0, "{'role': 'LEADER', 'instance': 'a', 'epoch': 8}");
    assert_int_equal(pf_leader_index(w->l), 0);
    (void)again(w, 0, "{'role': 'STANDBY', 'instance': 'a', 'epoch': 8}");
    assert_int_equal(pf_leader_index(w->l), 2);
    (void)again(w, 2, "{'role': 'RECOVERING', 'instance': 'c'}");
    (void)again(w, 1, "{'role': 'UNKNOWN', 'instance': 'b'}");
    w->now_ms = 5000;
    assert_int_equal(pf_leader_index(w->l), -1);
    assert_int_equal(pf_leader_none_since(w->l), 1000);
    assert_string_equal(did(w), "");
}

/* Who was accepted sets the floor: a lower epoch leads no more, even alone. */
static void test_leader_does_not_go_back(void **state)
{
    struct world *w = *state;

    start(w);
    (void)up(w, 0, "{'role': 'LEADER', 'instance': 'a', 'epoch': 1}");
    (void)up(w, 1, "{'role': 'LEADER', 'instance': 'b', 'epoch': 2}");
    pf_leader_accept(w->l, 1, (struct pf_uuid){{0}}, 2);
    down(w, 1);
    assert_int_equal(pf_leader_index(w->l), -1);
    (void)again(w, 0, "{'role': 'LEADER', 'instance': 'a', 'epoch': 2}");
    assert_int_equal(pf_leader_index(w->l), 0);
}

static void test_leader_of_another_incarnation_is_closed(void **state)
{
    struct world *w = *state;
    struct pf_uuid ours;

    memset(ours.b, 0xab, sizeof ours.b);
    start(w);
    (void)up(w, 0, "{'role': 'LEADER', 'instance': 'a', 'epoch': 1, 'incarnation': '" OURS "'}");
    assert_true(pf_uuid_eq(pf_leader_incarnation(w->l, 0), ours));
    pf_leader_accept(w->l, 0, ours, 1);
    assert_int_equal(
        up(w, 1, "{'role': 'LEADER', 'instance': 'b', 'epoch': 9, 'incarnation': '" FOREIGN "'}"),
        PF_LEADER_FOREIGN);
    assert_string_equal(did(w), "close b");
    assert_int_equal(pf_leader_index(w->l), 0);
    assert_in_range(pf_leader_deadline(w->l) - w->now_ms, 25, 50);
    assert_int_equal(up(w, 2, "{'role': 'STANDBY', 'instance': 'c'}"), PF_LEADER_LINKED);
    assert_int_equal(
        again(w, 0,
              "{'role': 'LEADER', 'instance': 'a', 'epoch': 9, 'incarnation': '" FOREIGN "'}"),
        PF_LEADER_FOREIGN);
    assert_string_equal(did(w), "close a");
    assert_int_equal(pf_leader_index(w->l), -1);

    struct pf_buf text = {0};

    pf_leader_describe(w->l, &text);
    assert_string_equal(pf_buf_cstr(&text), "a serves another registry than before, b serves "
                                            "another registry than before, c stands by");
    pf_buf_fini(&text);
}

/* Masters name each other; a standby says who leads. */
static void test_leader_addresses_are_learnt(void **state)
{
    struct world *w = *state;

    create(w, (const char *const[]){"a", "a", "", NULL}, 0);
    assert_int_equal(pf_leader_count(w->l), 1);
    start(w);
    (void)up(w, 0, "{'role': 'STANDBY', 'instance': 'a', 'masters': ['a', 'b'], 'leader': 'c'}");
    assert_string_equal(did(w), "connect b, connect c");
    down(w, 2);
    (void)did(w);
    down(w, 2);
    assert_string_equal(did(w), "");
    (void)again(w, 0, "{'role': 'STANDBY', 'instance': 'a', 'leader': 'c'}");
    assert_string_equal(did(w), "connect c");
    (void)again(w, 0, "{'role': 'STANDBY', 'instance': 'a', 'leader': 'c'}");
    assert_string_equal(did(w), "");
    pf_leader_add(w->l, PF_STR("d"));
    assert_string_equal(did(w), "connect d");
}

static void test_leader_addresses_are_bounded(void **state)
{
    struct world *w = *state;
    char text[16], big[400];

    for (int i = 0; i < PF_MASTERS_MAX + 5; i++) {
        (void)snprintf(text, sizeof text, "m%d", i);
        pf_leader_add(w->l, pf_str(text));
    }
    assert_int_equal(pf_leader_count(w->l), PF_MASTERS_MAX);
    create(w, (const char *const[]){"a", NULL}, 0);
    memset(big, 'x', sizeof big);
    pf_leader_add(w->l, (struct pf_str){big, sizeof big});
    assert_int_equal(pf_leader_count(w->l), 1);
}

/* With the leader gone, whoever waits may be the next. */
static void test_leader_gone_makes_the_others_tried_now(void **state)
{
    struct world *w = *state;

    start(w);
    (void)up(w, 0, "{'role': 'LEADER', 'instance': 'a', 'epoch': 1}");
    for (int i = 0; i < 8; i++) {
        down(w, 1);
        (void)did(w);
        tick_at(w, i > 0 ? pf_leader_deadline(w->l) : w->now_ms);
        (void)did(w);
    }
    down(w, 1);
    assert_string_equal(did(w), "");
    w->now_ms += 1;
    down(w, 0);
    assert_string_equal(did(w), "connect a, connect b");
}

/* A connection that the owner wants anew is closed, and waits. */
static void test_leader_link_is_dropped(void **state)
{
    struct world *w = *state;

    start(w);
    (void)up(w, 0, "{'role': 'LEADER', 'instance': 'a', 'epoch': 1}");
    pf_leader_drop(w->l, 0, w->now_ms);
    assert_string_equal(did(w), "close a");
    assert_int_equal(pf_leader_index(w->l), -1);
    assert_in_range(pf_leader_deadline(w->l) - w->now_ms, 25, 50);
    tick_at(w, pf_leader_deadline(w->l));
    assert_string_equal(did(w), "connect a");
}

static void test_leader_tries_are_spread_where_many_connect(void **state)
{
    struct world *w = *state;

    create(w, (const char *const[]){"a", NULL}, 500);
    start(w);
    (void)up(w, 0, "{'role': 'LEADER', 'instance': 'a', 'epoch': 1}");
    w->now_ms += 5000;
    down(w, 0);
    assert_string_equal(did(w), "");
    assert_in_range(pf_leader_deadline(w->l) - w->now_ms, 1, 499);
}

static void test_leader_describes_what_each_does(void **state)
{
    struct world *w = *state;
    struct pf_buf text = {0};

    create(w, (const char *const[]){"a", "b", "c", "d", "e", NULL}, 0);
    start(w);
    (void)up(w, 0, "{'role': 'STANDBY', 'instance': 'a'}");
    (void)up(w, 1, "{'role': 'STANDBY', 'instance': 'a'}");
    pf_leader_down(w->l, 2, PF_EREFUSED, w->now_ms);
    (void)up(w, 4, "{'role': 'RECOVERING', 'instance': 'e'}");
    (void)did(w);
    pf_leader_describe(w->l, &text);
    assert_string_equal(pf_buf_cstr(&text), "a stands by, c: connection refused, d: not reached "
                                            "yet, e is recovering");
    pf_buf_fini(&text);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backoff_doubles_and_is_spread),
        CASE(test_leader_connects_to_all),
        CASE(test_leader_moves_by_the_table),
        CASE(test_leader_tries_again),
        CASE(test_leader_many_leave_time_to_register),
        CASE(test_leader_is_the_highest_epoch),
        CASE(test_leader_does_not_go_back),
        CASE(test_leader_of_another_incarnation_is_closed),
        CASE(test_leader_addresses_are_learnt),
        CASE(test_leader_addresses_are_bounded),
        CASE(test_leader_gone_makes_the_others_tried_now),
        CASE(test_leader_link_is_dropped),
        CASE(test_leader_tries_are_spread_where_many_connect),
        CASE(test_leader_describes_what_each_does),
    };
    return cmocka_run_group_tests_name("leader", tests, NULL, NULL);
}
