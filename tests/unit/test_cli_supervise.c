/* SPDX-License-Identifier: Apache-2.0 */
/* The decisions of a local cluster's supervisor, told as stories in virtual time. */
#include "framework/cli/supervise.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "common/base/alloc.h"

struct fixture {
    struct pf_sup sup;
    struct pf_sup_child child[3]; /* a master, an agent, simulated agents */
    struct pf_sup_effects fx;
    int64_t now_ms;
    char said[512];
};

static int setup(void **state)
{
    struct fixture *f = PF_NEW(struct fixture);
    f->child[0].tier = PF_SUP_MASTER;
    f->child[1].tier = f->child[2].tier = PF_SUP_AGENT;
    f->child[1].has_launcher = true;
    pf_sup_init(&f->sup, f->child, 3);
    f->now_ms = 1000000;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    pf_sup_check(&f->sup);
    pf_free(f);
    return 0;
}

/* One event; the orders as text, "spawn 0, spawn 1". */
static const char *event(struct fixture *f, enum pf_sup_event what, uint32_t child)
{
    static const char *const names[] = {"spawn", "term",   "kill", "clean",
                                        "ready", "failed", "done"};
    size_t len = 0;
    pf_sup_step(&f->sup, what, child, f->now_ms, &f->fx);
    pf_sup_check(&f->sup);
    f->said[0] = '\0';
    for (uint32_t i = 0; i < f->fx.n; i++) {
        len += (size_t)snprintf(f->said + len, sizeof f->said - len, "%s%s %u", i > 0 ? ", " : "",
                                names[f->fx.at[i].order], f->fx.at[i].child);
    }
    return f->said;
}

static const char *at_deadline(struct fixture *f)
{
    assert_true(pf_sup_deadline(&f->sup) != INT64_MAX);
    f->now_ms = pf_sup_deadline(&f->sup);
    return event(f, PF_SUP_EV_DEADLINE, 0);
}

static void given_up(struct fixture *f)
{
    assert_string_equal(event(f, PF_SUP_BEGIN, 0), "spawn 0");
    assert_string_equal(event(f, PF_SUP_EV_READY, 0), "spawn 1, spawn 2");
    assert_string_equal(event(f, PF_SUP_EV_READY, 2), "");
    assert_string_equal(event(f, PF_SUP_EV_READY, 1), "ready 0");
    assert_int_equal(f->sup.phase, PF_SUP_PHASE_UP);
    assert_true(pf_sup_deadline(&f->sup) == INT64_MAX);
}

/* Agents start when their master listens; ready is told once, when all are. */
static void test_supervise_starts_masters_before_agents(void **state)
{
    given_up(*state);
}

/* A daemon that dies again and again is started later and later, but never later than 5 s. */
static void test_supervise_backs_off_from_a_daemon_that_keeps_dying(void **state)
{
    static const int64_t waits[] = {100, 200, 400, 800, 1600, 3200, 5000, 5000};
    struct fixture *f = *state;
    given_up(f);
    for (size_t i = 0; i < PF_ARRAY_LEN(waits); i++) {
        assert_string_equal(event(f, PF_SUP_EV_EXITED, 1), "");
        assert_int_equal(pf_sup_deadline(&f->sup) - f->now_ms, waits[i]);
        assert_string_equal(at_deadline(f), "spawn 1");
        assert_string_equal(event(f, PF_SUP_EV_READY, 1), "");
    }
    assert_int_equal(f->child[1].restarts, 8);
}

/* Who was ready and lived for a second is started again at once, and its past is forgotten. */
static void test_supervise_restarts_at_once_after_a_good_life(void **state)
{
    struct fixture *f = *state;
    given_up(f);
    (void)event(f, PF_SUP_EV_EXITED, 0);
    (void)at_deadline(f);
    (void)event(f, PF_SUP_EV_EXITED, 0);
    assert_int_equal(pf_sup_deadline(&f->sup) - f->now_ms, 200);
    (void)at_deadline(f);
    (void)event(f, PF_SUP_EV_READY, 0);
    f->now_ms += PF_SUP_GOOD_LIFE_MS;
    assert_string_equal(event(f, PF_SUP_EV_EXITED, 0), "spawn 0");
    assert_string_equal(event(f, PF_SUP_EV_EXITED, 0), "");
    assert_int_equal(pf_sup_deadline(&f->sup) - f->now_ms, PF_SUP_BACKOFF_MIN_MS);
}

/* Where others of its sort do the work meanwhile, they have the machine first; but the time does
 * not grow. */
static void test_supervise_lets_those_who_stand_in_go_first(void **state)
{
    struct fixture *f = *state;
    f->child[1].tier = PF_SUP_MASTER;
    assert_string_equal(event(f, PF_SUP_BEGIN, 0), "spawn 0, spawn 1");
    (void)event(f, PF_SUP_EV_READY, 0);
    assert_string_equal(event(f, PF_SUP_EV_READY, 1), "spawn 2");
    assert_string_equal(event(f, PF_SUP_EV_READY, 2), "ready 0");
    for (int i = 0; i < 3; i++) {
        f->now_ms += PF_SUP_GOOD_LIFE_MS;
        assert_string_equal(event(f, PF_SUP_EV_EXITED, 0), "");
        assert_int_equal(pf_sup_deadline(&f->sup) - f->now_ms, PF_SUP_BACKOFF_MIN_MS);
        assert_string_equal(at_deadline(f), "spawn 0");
        (void)event(f, PF_SUP_EV_READY, 0);
    }
}

/* A long life without ever being ready is no good one. */
static void test_supervise_backs_off_from_what_was_never_ready(void **state)
{
    struct fixture *f = *state;
    given_up(f);
    (void)event(f, PF_SUP_EV_EXITED, 0);
    (void)at_deadline(f);
    f->now_ms += PF_SUP_GOOD_LIFE_MS;
    assert_string_equal(event(f, PF_SUP_EV_EXITED, 0), "");
    assert_int_equal(pf_sup_deadline(&f->sup) - f->now_ms, 200);
}

/* While it comes up, a daemon that ends is not tried again: the user is told, all is stopped. */
static void test_supervise_gives_up_when_a_daemon_cannot_start(void **state)
{
    struct fixture *f = *state;
    (void)event(f, PF_SUP_BEGIN, 0);
    assert_string_equal(event(f, PF_SUP_EV_EXITED, 0), "failed 0, done 0");
    assert_int_equal(f->sup.phase, PF_SUP_PHASE_DONE);
}

/* An agent whose port was taken in between gets another one, once. */
static void test_supervise_starts_an_agent_a_second_time(void **state)
{
    struct fixture *f = *state;
    (void)event(f, PF_SUP_BEGIN, 0);
    (void)event(f, PF_SUP_EV_READY, 0);
    assert_string_equal(event(f, PF_SUP_EV_EXITED, 2), "spawn 2");
    assert_string_equal(event(f, PF_SUP_EV_READY, 1), "");
    assert_string_equal(event(f, PF_SUP_EV_EXITED, 2), "failed 2, term 1");
}

static void test_supervise_gives_up_when_a_daemon_dawdles(void **state)
{
    struct fixture *f = *state;
    (void)event(f, PF_SUP_BEGIN, 0);
    (void)event(f, PF_SUP_EV_READY, 0);
    (void)event(f, PF_SUP_EV_READY, 2);
    assert_int_equal(pf_sup_deadline(&f->sup) - f->now_ms, PF_SUP_START_MS);
    assert_string_equal(at_deadline(f), "failed 1, term 1, term 2");
    assert_string_equal(event(f, PF_SUP_EV_EXITED, 2), "");
    assert_string_equal(event(f, PF_SUP_EV_EXITED, 1), "clean 1");
    assert_string_equal(event(f, PF_SUP_EV_CLEANED, 1), "term 0");
    assert_string_equal(event(f, PF_SUP_EV_EXITED, 0), "done 0");
}

/* Later a slow start is no failure: an agent may wait long for its master. */
static void test_supervise_is_patient_with_a_restart(void **state)
{
    struct fixture *f = *state;
    given_up(f);
    (void)event(f, PF_SUP_EV_EXITED, 1);
    assert_string_equal(at_deadline(f), "spawn 1");
    assert_string_equal(at_deadline(f), "");
    assert_true(pf_sup_deadline(&f->sup) == INT64_MAX);
    assert_string_equal(event(f, PF_SUP_EV_READY, 1), "");
}

/* Agents stop first, then what outlives them, then the master; nothing is started any more. */
static void test_supervise_stops_in_order(void **state)
{
    struct fixture *f = *state;
    given_up(f);
    assert_string_equal(event(f, PF_SUP_EV_STOP, 0), "term 1, term 2");
    assert_string_equal(event(f, PF_SUP_EV_STOP, 0), "");
    assert_string_equal(event(f, PF_SUP_EV_EXITED, 1), "clean 1");
    assert_string_equal(event(f, PF_SUP_EV_EXITED, 2), "");
    assert_string_equal(event(f, PF_SUP_EV_CLEANED, 1), "term 0");
    assert_string_equal(event(f, PF_SUP_EV_READY, 0), "");
    assert_string_equal(event(f, PF_SUP_EV_EXITED, 0), "done 0");
    assert_true(pf_sup_deadline(&f->sup) == INT64_MAX);
}

/* Who does not obey TERM is killed, and again until it is gone. */
static void test_supervise_kills_what_does_not_stop(void **state)
{
    struct fixture *f = *state;
    given_up(f);
    (void)event(f, PF_SUP_EV_STOP, 0);
    assert_string_equal(event(f, PF_SUP_EV_EXITED, 2), "");
    assert_int_equal(pf_sup_deadline(&f->sup) - f->now_ms, PF_SUP_STOP_MS);
    assert_string_equal(at_deadline(f), "kill 1");
    assert_string_equal(at_deadline(f), "kill 1");
    assert_string_equal(event(f, PF_SUP_EV_EXITED, 1), "clean 1");
    assert_string_equal(at_deadline(f), "kill 1"); /* what cleans hangs too */
    assert_string_equal(event(f, PF_SUP_EV_CLEANED, 1), "term 0");
    assert_string_equal(at_deadline(f), "kill 0");
    assert_string_equal(event(f, PF_SUP_EV_EXITED, 0), "done 0");
}

/* A stop while a daemon waits for its next start: it is not started, but cleaned up after. */
static void test_supervise_stops_during_a_back_off(void **state)
{
    struct fixture *f = *state;
    given_up(f);
    (void)event(f, PF_SUP_EV_EXITED, 1);
    (void)event(f, PF_SUP_EV_EXITED, 0);
    assert_string_equal(event(f, PF_SUP_EV_STOP, 0), "clean 1, term 2");
    (void)event(f, PF_SUP_EV_CLEANED, 1);
    assert_string_equal(event(f, PF_SUP_EV_EXITED, 2), "done 0");
}

/* A stop before anything else was started: what never ran needs nothing. */
static void test_supervise_stops_while_it_comes_up(void **state)
{
    struct fixture *f = *state;
    (void)event(f, PF_SUP_BEGIN, 0);
    assert_string_equal(event(f, PF_SUP_EV_STOP, 0), "term 0");
    assert_string_equal(event(f, PF_SUP_EV_EXITED, 0), "done 0");
    assert_int_equal(f->child[1].state, PF_SUP_STOPPED);
}

/* ZooKeeper, then the masters that need it, then agents; the end comes the other way round. */
static void test_supervise_goes_by_tiers(void **state)
{
    struct fixture *f = *state;
    f->child[0].tier = PF_SUP_ZOOKEEPER;
    f->child[1].tier = PF_SUP_MASTER;
    f->child[1].has_launcher = false;
    assert_string_equal(event(f, PF_SUP_BEGIN, 0), "spawn 0");
    assert_string_equal(event(f, PF_SUP_EV_READY, 0), "spawn 1");
    assert_string_equal(event(f, PF_SUP_EV_READY, 1), "spawn 2");
    assert_string_equal(event(f, PF_SUP_EV_READY, 2), "ready 0");
    assert_string_equal(event(f, PF_SUP_EV_EXITED, 0), "");
    assert_string_equal(at_deadline(f), "spawn 0");
    assert_string_equal(event(f, PF_SUP_EV_STOP, 0), "term 2");
    assert_string_equal(event(f, PF_SUP_EV_EXITED, 2), "term 1");
    assert_string_equal(event(f, PF_SUP_EV_EXITED, 1), "term 0");
    assert_string_equal(event(f, PF_SUP_EV_EXITED, 0), "done 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_supervise_starts_masters_before_agents, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_supervise_backs_off_from_a_daemon_that_keeps_dying,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_supervise_restarts_at_once_after_a_good_life, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_supervise_lets_those_who_stand_in_go_first, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_supervise_backs_off_from_what_was_never_ready, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_supervise_gives_up_when_a_daemon_cannot_start, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_supervise_starts_an_agent_a_second_time, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_supervise_gives_up_when_a_daemon_dawdles, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_supervise_is_patient_with_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_supervise_stops_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_supervise_kills_what_does_not_stop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_supervise_stops_during_a_back_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_supervise_stops_while_it_comes_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_supervise_goes_by_tiers, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
