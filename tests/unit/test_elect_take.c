/* SPDX-License-Identifier: Apache-2.0 */
/* Taking over the lead: one multi, its unknown outcomes, the fast path and its limits, hand-over,
 * own nodes (DESIGN 7, rules 1, 2, 3, 5 and 10). */
#include "common/elect/elect.h"

#include "common/elect/elect_internal.h"
#include "tests/support/elect_world.h"
#include "tests/support/test.h"

static const char OTHER[] = "00000000-0000-4000-8000-0000000000ff";

static int setup(void **state)
{
    *state = ew_create(3);
    ew_start(*state);
    assert_int_equal(ew_leader(*state), 0);
    return 0;
}

static int setup_one(void **state)
{
    *state = ew_create(1);
    return 0;
}

static int teardown(void **state)
{
    ew_destroy(*state);
    return 0;
}

static struct pf_elect_stats stats(struct ew_world *w, uint32_t i)
{
    struct pf_elect_stats s;

    pf_elect_stats(w->m[i].e, &s);
    return s;
}

static void hand_over(struct ew_world *w, uint32_t i, uint64_t epoch)
{
    struct pf_elect_event ev = {.type = PF_ELECT_TAKE};

    ev.take.epoch = epoch;
    ew_step(w, i, ev);
}

static void resign(struct ew_world *w, uint32_t i)
{
    struct pf_elect_event ev = {.type = PF_ELECT_RESIGN};

    ev.resign.why = PF_STR("handed over");
    ew_step(w, i, ev);
}

/* Machine i ends at once; its session stands on. */
static void kill_machine(struct ew_world *w, uint32_t i)
{
    ew_restart(w, i, "00000000-0000-4000-8000-000000000900", NULL);
}

/* --- slow path -------------------------------------------------------------------------------- */

static void test_one_of_two_takes_over_a_vacant_lead(void **state)
{
    struct ew_world *w = *state;

    ew_expire(w, 0, 0);
    ew_expire(w, 0, 1);
    ew_run(w);
    assert_in_range(ew_leader(w), 1, 2);
    assert_int_equal(pf_elect_epoch(w->m[ew_leader(w)].e), 2);
    assert_false(pf_elect_is_leading(w->m[0].e));
    assert_true(ew_traced(w, 0, "elect_role leading->standby its ZooKeeper session ended"));
    assert_int_equal(stats(w, 1).takeovers_slow + stats(w, 2).takeovers_slow, 1);
    assert_true(ew_traced(w, 3 - (uint32_t)ew_leader(w), "elect_role taking->standby"));
    for (uint32_t i = 1; i < 3; i++) {
        assert_string_equal(pf_elect_leader(w->m[i].e), w->m[ew_leader(w)].instance);
    }
}

/* Lost races make nobody slow: no time passes here. */
static void test_leader_after_leader_may_die(void **state)
{
    struct ew_world *w = *state;

    for (uint32_t k = 0; k < 12; k++) {
        uint32_t dead = (uint32_t)ew_leader(w);

        ew_expire(w, dead, 0);
        ew_expire(w, dead, 1);
        ew_run(w);
        assert_true(ew_leader(w) >= 0 && (uint32_t)ew_leader(w) != dead);
        ew_connect(w, dead, 0);
        ew_connect(w, dead, 1);
        ew_run(w);
    }
}

static void test_one_behind_reads_the_log_first(void **state)
{
    struct ew_world *w = *state;

    w->auto_log = false;
    w->n = 2; /* the third is out of the game */
    ew_set(w, "/registry/head", "", 0);
    ew_expire(w, 0, 0);
    ew_run(w);
    assert_int_equal(ew_leader(w), -1);
    assert_true(pf_elect_wants_log(w->m[1].e));
    assert_true(ew_traced(w, 1, "elect_role taking->standby the log went on"));
    ew_applied(w, 1, false, 0, 0);
    assert_true(pf_elect_wants_log(w->m[1].e));
    ew_applied(w, 1, true, 1, 1);
    assert_false(pf_elect_wants_log(w->m[1].e));
    ew_run(w);
    assert_int_equal(ew_leader(w), 1);
}

static void test_a_log_that_is_read_to_the_same_head_is_no_loop(void **state)
{
    struct ew_world *w = *state;

    w->auto_log = false;
    w->n = 2;
    ew_set(w, "/registry/head", "", 0);
    ew_expire(w, 0, 0);
    ew_run(w);
    ew_applied(w, 1, true, 0, 1);
    ew_run(w);
    assert_false(pf_elect_wants_log(w->m[1].e)); /* not before a while */
    ew_advance(w, ELECT_AGAIN_MS);
    assert_true(pf_elect_wants_log(w->m[1].e));
}

static void test_nobody_leads_before_the_log_is_read(void **state)
{
    struct ew_world *w = *state;

    ew_connect(w, 0, 0);
    ew_run(w);
    ew_advance(w, 5000);
    assert_int_equal(ew_leader(w), -1);
    assert_null(ew_node(w, "/leader"));
    ew_applied(w, 0, true, -1, 0); /* and without a head nothing is checked */
    ew_run(w);
    assert_int_equal(ew_leader(w), 0);
}

static void test_another_format_is_fatal(void **state)
{
    struct ew_world *w = *state;

    ew_connect(w, 0, 0);
    ew_applied(w, 0, true, 0, 3);
    ew_run(w);
    ew_applied(w, 0, true, 1, 3);
    assert_int_equal(w->m[0].n_fatal, 1);
    assert_true(ew_said(w, 0,
                        "the registry has format 3, this binary (version 1.0) reads and "
                        "writes formats 1 to 2"));
    assert_non_null(pf_elect_trouble(w->m[0].e));
    assert_int_equal(ew_leader(w), -1);
}

static void test_a_refused_takeover_is_told_and_tried_again(void **state)
{
    struct ew_world *w = *state;

    ew_put_epoch(w, 1, 5, "c");
    (void)snprintf(w->no_auth, sizeof w->no_auth, "/epoch");
    w->no_auth_op = PF_ZK_SET;
    ew_start(w);
    assert_non_null(strstr(pf_elect_trouble(w->m[0].e), "no right to do that (changing /epoch)"));
    uint32_t n = w->m[0].n_requests;

    ew_advance(w, 10000);
    assert_in_range(w->m[0].n_requests, n + 1, n + 90);
    w->no_auth[0] = '\0';
    ew_advance(w, 2000);
    assert_null(pf_elect_trouble(w->m[0].e));
    assert_int_equal(ew_leader(w), 0);
}

/* --- unknown outcomes ------------------------------------------------------------------------- */

/* Up to where machine 0, alone, has its multi under way on the main session. */
static void run_until_taking(struct ew_world *w)
{
    ew_connect(w, 0, 0);
    ew_connect(w, 0, 1);
    ew_applied(w, 0, true, 0, 0);
    while (!ew_traced(w, 0, "elect_role standby->taking")) {
        assert_true(ew_carry_out(w, 0, 0) || ew_deliver(w, 0, 0));
    }
}

static void test_a_lost_answer_is_read_back(void **state)
{
    struct ew_world *w = *state;

    run_until_taking(w);
    ew_drop(w, 0, 0, true);
    assert_true(ew_traced(w, 0, "elect_role taking->resolving"));
    ew_run(w); /* by the spare session */
    assert_true(ew_traced(w, 0, "elect_role resolving->leading"));
    assert_int_equal(pf_elect_epoch(w->m[0].e), 1);
    assert_int_equal(pf_elect_session(w->m[0].e), 0);
    assert_int_equal(stats(w, 0).unknown_outcomes >= 1, 1);
    ew_connect(w, 0, 0);
    ew_advance(w, 20000);
    assert_int_equal(pf_elect_epoch(w->m[0].e), 1);
}

static void test_a_lost_request_is_sent_again(void **state)
{
    struct ew_world *w = *state;

    run_until_taking(w);
    ew_drop(w, 0, 0, false);
    ew_run(w);
    assert_true(ew_traced(w, 0, "elect_role resolving->standby"));
    assert_int_equal(ew_leader(w), 0);
    assert_int_equal(pf_elect_epoch(w->m[0].e), 1);
    assert_int_equal(pf_elect_session(w->m[0].e), 1);
}

static void test_what_was_found_too_late_is_retaken(void **state)
{
    struct ew_world *w = *state;

    run_until_taking(w);
    ew_drop(w, 0, 1, false);
    ew_drop(w, 0, 0, true);
    ew_advance(w, 4000); /* the lease of that multi is over */
    ew_connect(w, 0, 0);
    ew_advance(w, 10);
    assert_int_equal(ew_leader(w), 0);
    assert_int_equal(pf_elect_epoch(w->m[0].e), 2);
    assert_int_equal(ew_node(w, "/epoch")->version, 2);
}

static void test_what_an_ended_session_committed_is_not_ours(void **state)
{
    struct ew_world *w = *state;

    run_until_taking(w);
    ew_drop(w, 0, 1, false);
    ew_drop(w, 0, 0, true);
    ew_expire(w, 0, 0);
    ew_connect(w, 0, 0);
    ew_run(w);
    assert_true(ew_traced(w, 0, "elect_role resolving->standby"));
    assert_int_equal(ew_leader(w), 0);
    assert_int_equal(pf_elect_epoch(w->m[0].e), 2);
}

/* Asked of a session that was another one already, which we heard before the answer. */
static void test_a_takeover_by_a_session_not_heard_of_is_retaken(void **state)
{
    struct ew_world *w = *state;
    struct pf_elect_event ev = {.type = PF_ELECT_SESSION};

    run_until_taking(w);
    assert_true(ew_carry_out(w, 0, 0));
    w->m[0].session[0].id = 4242;
    ew_node(w, "/leader")->owner = 4242;
    ev.session = (struct pf_zk_session){
        .state = PF_ZK_CONNECTED, .session_id = 4242, .timeout_ms = w->timeout_ms};
    ew_step(w, 0, ev);
    ew_run(w);
    assert_true(ew_traced(w, 0, "elect_role taking->resolving by a session that we had not heard"));
    assert_true(ew_traced(w, 0, "elect_role resolving->standby by a session that ended"));
    ew_advance(w, 10);
    assert_int_equal(ew_leader(w), 0);
    assert_int_equal(pf_elect_epoch(w->m[0].e), 2);
}

static void test_no_connection_is_no_attempt(void **state)
{
    struct ew_world *w = *state;

    run_until_taking(w);
    w->m[0].session[0].n_requests = 0;
    struct pf_zk_reply r = {.code = PF_ZK_NOT_SENT};

    r.id = PF_ZK_OWNER_ELECT | (uint64_t)ASK_TAKE << 48 | w->m[0].e->take[0].seq;
    ew_step(w, 0, (struct pf_elect_event){.type = PF_ELECT_REPLY, .reply = &r});
    assert_true(ew_traced(w, 0, "elect_role taking->standby no connection"));
}

static void test_a_slow_server_is_hedged(void **state)
{
    struct ew_world *w = *state;

    run_until_taking(w);
    w->m[0].session[0].is_hung = true;
    ew_advance(w, PF_ELECT_HEDGE_MS - 1);
    assert_int_equal(stats(w, 0).hedges, 0);
    ew_advance(w, 2);
    assert_int_equal(stats(w, 0).hedges, 1);
    assert_int_equal(ew_leader(w), 0);
    assert_int_equal(pf_elect_session(w->m[0].e), 1);
    w->m[0].session[0].is_hung = false; /* the first one comes too late */
    ew_advance(w, 5000);
    assert_int_equal(ew_leader(w), 0);
    assert_int_equal(pf_elect_epoch(w->m[0].e), 1);
    assert_int_equal(pf_elect_session(w->m[0].e), 1);
}

/* The server carried the first out and only its answer hangs: the second is refused, and what
 * stands is ours by the first. */
static void test_a_hedge_finds_that_the_first_was_done(void **state)
{
    struct ew_world *w = *state;

    run_until_taking(w);
    while (ew_carry_out(w, 0, 0)) {
    }
    w->m[0].session[0].is_hung = true;
    ew_advance(w, PF_ELECT_HEDGE_MS);
    ew_advance(w, PF_ELECT_HEDGE_MS + 1);
    assert_true(ew_traced(w, 0, "elect_role taking->resolving the node was changed meanwhile"));
    assert_int_equal(ew_leader(w), 0);
    assert_int_equal(pf_elect_epoch(w->m[0].e), 1);
    assert_int_equal(pf_elect_session(w->m[0].e), 0);
    w->m[0].session[0].is_hung = false;
    ew_advance(w, 5000);
    assert_int_equal(pf_elect_epoch(w->m[0].e), 1);
    assert_int_equal(ew_leader(w), 0);
}

/* --- fast path -------------------------------------------------------------------------------- */

static void test_a_refused_connect_is_evidence(void **state)
{
    struct ew_world *w = *state;

    kill_machine(w, 0);
    ew_link(w, 1, 2, false); /* not the leader */
    assert_int_equal(w->m[1].n_probes, 0);
    memcpy(w->m[0].instance, pf_elect_leader(w->m[1].e), PF_UUID_TEXT_LEN);
    ew_link(w, 1, 0, false);
    assert_int_equal(w->m[1].n_probes, 1);
    assert_string_equal(w->m[1].probed, "10.0.0.1:5050");
    ew_probed(w, 1, PF_PROBE_FAILED, "");
    assert_true(ew_traced(w, 1, "elect_probe asking->pause"));
    ew_advance(w, PF_ELECT_PROBE_EVERY_MS);
    assert_int_equal(w->m[1].n_probes, 2);
    ew_probed(w, 1, PF_PROBE_REFUSED, "");
    ew_run(w);
    assert_int_equal(ew_leader(w), 1);
    assert_int_equal(stats(w, 1).takeovers_fast, 1);
    assert_int_equal(pf_elect_epoch(w->m[1].e), 2);
    assert_string_equal(pf_elect_leader(w->m[2].e), w->m[1].instance);
}

static void test_another_instance_at_the_address_is_evidence(void **state)
{
    struct ew_world *w = *state;

    ew_link(w, 1, 0, false);
    ew_probed(w, 1, PF_PROBE_ANSWERED, OTHER);
    ew_run(w);
    assert_int_equal(ew_leader(w), 1);
}

static void test_the_same_instance_is_alive(void **state)
{
    struct ew_world *w = *state;

    ew_link(w, 1, 0, false);
    ew_probed(w, 1, PF_PROBE_ANSWERED, w->m[0].instance);
    ew_advance(w, 3000);
    assert_true(ew_traced(w, 1, "elect_probe asking->idle alive"));
    assert_int_equal(w->m[1].n_probes, 1);
    assert_int_equal(ew_leader(w), 0);
    ew_probed(w, 1, PF_PROBE_REFUSED, ""); /* nobody asked */
    ew_run(w);
    assert_int_equal(ew_leader(w), 0);
}

static void test_probing_ends_after_a_second(void **state)
{
    struct ew_world *w = *state;

    ew_link(w, 1, 0, false);
    for (uint32_t i = 0; i < 99; i++) {
        ew_probed(w, 1, PF_PROBE_FAILED, "");
        ew_advance(w, 10);
    }
    assert_int_equal(w->m[1].n_probes, 100);
    ew_probed(w, 1, PF_PROBE_ANSWERED, "no uuid"); /* says nothing either */
    assert_true(ew_traced(w, 1, "elect_probe pause->asking"));
    w->now_ms += 100;
    ew_advance(w, 1);
    assert_true(ew_traced(w, 1, "elect_probe pause->idle no evidence"));
    assert_int_equal(w->m[1].n_probes, 100);
    ew_link(w, 1, 0, false);
    ew_advance(w, 1001);
    assert_true(ew_traced(w, 1, "elect_probe asking->idle no evidence"));
    ew_link(w, 1, 0, false); /* the old answer still comes, and is of no use */
    assert_int_equal(w->m[1].n_probes, 101);
    ew_probed(w, 1, PF_PROBE_REFUSED, "");
    ew_run(w);
    assert_int_equal(ew_leader(w), 0);
    assert_int_equal(w->m[1].n_probes, 102);
    ew_link(w, 1, 0, true);
    assert_true(ew_traced(w, 1, "elect_probe asking->idle link is back"));
}

static void test_a_suspect_is_left_to_zookeeper(void **state)
{
    struct ew_world *w = *state;

    ew_put_master(w, w->m[0].instance, "", w->wall_ms + 5000);
    ew_run(w);
    ew_link(w, 1, 0, false);
    assert_int_equal(w->m[1].n_probes, 0);
    assert_true(ew_said(w, 1, "deposed while alive before"));
    ew_advance(w, 5000);
    ew_link(w, 1, 0, false);
    assert_int_equal(w->m[1].n_probes, 1);
}

static void test_three_deposed_alive_are_the_limit(void **state)
{
    struct ew_world *w = *state;

    for (uint32_t i = 0; i < PF_ELECT_FAST_PER_MINUTE; i++) {
        char other[PF_UUID_TEXT_LEN + 1];

        (void)snprintf(other, sizeof other, "00000000-0000-4000-8000-%012u", 500 + i);
        ew_put_master(w, other, "", 0);
        ew_run(w);
        ew_link(w, 1, 0, false);
        assert_int_equal(w->m[1].n_probes, i + 1);
        ew_probed(w, 1, PF_PROBE_ANSWERED, w->m[0].instance);
        ew_put_master(w, other, "", w->wall_ms + 1);
        ew_run(w);
    }
    ew_link(w, 1, 0, false);
    assert_int_equal(w->m[1].n_probes, PF_ELECT_FAST_PER_MINUTE);
    assert_true(ew_said(w, 1, "ZooKeeper decides"));
    ew_advance(w, ELECT_MINUTE_MS);
    ew_link(w, 1, 0, false);
    assert_int_equal(w->m[1].n_probes, PF_ELECT_FAST_PER_MINUTE + 1);
}

static void test_evidence_about_one_deposes_no_other(void **state)
{
    struct ew_world *w = *state;

    ew_link(w, 1, 0, false);
    w->m[1].session[0].is_hung = w->m[1].session[1].is_hung = true;
    ew_expire(w, 0, 0);
    ew_run(w); /* machine 2 leads now, and 1 does not know */
    assert_int_equal(ew_leader(w), 2);
    ew_probed(w, 1, PF_PROBE_REFUSED, "");
    w->m[1].session[0].is_hung = w->m[1].session[1].is_hung = false;
    ew_advance(w, 100);
    assert_int_equal(ew_leader(w), 2);
    assert_int_equal(pf_elect_epoch(w->m[2].e), 2);
    assert_true(ew_traced(w, 1, "elect_role taking->standby the node was changed meanwhile"));
}

/* --- hand-over -------------------------------------------------------------------------------- */

static void test_a_hand_over_goes_to_the_target(void **state)
{
    struct ew_world *w = *state;

    resign(w, 0);
    assert_false(pf_elect_is_leading(w->m[0].e));
    assert_string_equal(pf_elect_leader(w->m[0].e), "");
    hand_over(w, 2, 1);
    ew_run(w);
    assert_int_equal(ew_leader(w), 2);
    assert_int_equal(pf_elect_epoch(w->m[2].e), 2);
    assert_int_equal(stats(w, 2).handovers, 1);
    assert_true(ew_traced(w, 0, "elect_role leading->resigned handed over"));
    assert_true(ew_traced(w, 0, "elect_role resigned->standby another leads"));
    ew_advance(w, 10000);
    assert_int_equal(ew_leader(w), 2);
    assert_int_equal(stats(w, 0).depositions, 0);
}

static void test_a_hand_over_that_nobody_takes_is_called_off(void **state)
{
    struct ew_world *w = *state;

    resign(w, 0);
    ew_advance(w, ELECT_AWAY_MS - 1);
    assert_int_equal(ew_leader(w), -1);
    ew_advance(w, 10);
    assert_true(ew_traced(w, 0, "elect_role resigned->standby long enough away"));
    assert_int_equal(ew_leader(w), 0);
    assert_int_equal(pf_elect_epoch(w->m[0].e), 2);
}

static void test_a_hand_over_of_another_epoch_is_nothing(void **state)
{
    struct ew_world *w = *state;

    hand_over(w, 1, 0);
    hand_over(w, 2, 7);
    hand_over(w, 0, 1); /* it leads */
    ew_advance(w, 5000);
    assert_int_equal(ew_leader(w), 0);
    assert_int_equal(pf_elect_epoch(w->m[0].e), 1);
}

/* --- own nodes -------------------------------------------------------------------------------- */

static void test_the_lead_of_our_former_self_is_taken(void **state)
{
    struct ew_world *w = *state;

    kill_machine(w, 0);
    ew_connect(w, 0, 0);
    ew_applied(w, 0, true, 0, 0);
    ew_run(w);
    assert_int_equal(ew_leader(w), 0);
    assert_int_equal(pf_elect_epoch(w->m[0].e), 2);
    assert_string_equal(pf_elect_leader(w->m[1].e), w->m[0].instance);
}

static void test_an_own_node_that_cannot_be_retaken_is_deleted(void **state)
{
    struct ew_world *w = *state;

    w->n = 1;
    ew_step(w, 0, (struct pf_elect_event){.type = PF_ELECT_FENCED}); /* as it may seem */
    ew_applied(w, 0, false, 0, 0);
    ew_run(w);
    ew_advance(w, ELECT_OWN_MS - 1);
    assert_non_null(ew_node(w, "/leader"));
    ew_advance(w, 2);
    assert_null(ew_node(w, "/leader"));
    assert_int_equal(ew_node(w, "/epoch")->version, 1);
    ew_applied(w, 0, true, 0, 0);
    ew_run(w);
    assert_int_equal(pf_elect_epoch(w->m[0].e), 2);
}

#define ONE(test) cmocka_unit_test_setup_teardown(test, setup_one, teardown)
#define ALL(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ALL(test_one_of_two_takes_over_a_vacant_lead),
        ALL(test_leader_after_leader_may_die),
        ALL(test_one_behind_reads_the_log_first),
        ALL(test_a_log_that_is_read_to_the_same_head_is_no_loop),
        ONE(test_nobody_leads_before_the_log_is_read),
        ONE(test_another_format_is_fatal),
        ONE(test_a_refused_takeover_is_told_and_tried_again),
        ONE(test_a_lost_answer_is_read_back),
        ONE(test_a_lost_request_is_sent_again),
        ONE(test_what_was_found_too_late_is_retaken),
        ONE(test_what_an_ended_session_committed_is_not_ours),
        ONE(test_a_takeover_by_a_session_not_heard_of_is_retaken),
        ONE(test_no_connection_is_no_attempt),
        ONE(test_a_slow_server_is_hedged),
        ONE(test_a_hedge_finds_that_the_first_was_done),
        ALL(test_a_refused_connect_is_evidence),
        ALL(test_another_instance_at_the_address_is_evidence),
        ALL(test_the_same_instance_is_alive),
        ALL(test_probing_ends_after_a_second),
        ALL(test_a_suspect_is_left_to_zookeeper),
        ALL(test_three_deposed_alive_are_the_limit),
        ALL(test_evidence_about_one_deposes_no_other),
        ALL(test_a_hand_over_goes_to_the_target),
        ALL(test_a_hand_over_that_nobody_takes_is_called_off),
        ALL(test_a_hand_over_of_another_epoch_is_nothing),
        ALL(test_the_lead_of_our_former_self_is_taken),
        ALL(test_an_own_node_that_cannot_be_retaken_is_deleted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
