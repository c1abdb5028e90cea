/* SPDX-License-Identifier: Apache-2.0 */
/* Leading: renewals, the end of the lease, being deposed, other epochs (DESIGN 7, rules 3 to 6). */
#include "common/elect/elect.h"

#include "common/elect/elect_internal.h"
#include "tests/support/elect_world.h"
#include "tests/support/test.h"

enum { SESSION = 6000, RENEW = SESSION / 6, LEASE = SESSION * 2 / 3 };
static const char OTHER[] = "00000000-0000-4000-8000-0000000000ff";

static int setup(void **state)
{
    *state = ew_create(1);
    ew_start(*state);
    assert_int_equal(ew_leader(*state), 0);
    return 0;
}

static int teardown(void **state)
{
    ew_destroy(*state);
    return 0;
}

static struct pf_elect_stats stats(struct ew_world *w)
{
    struct pf_elect_stats s;

    pf_elect_stats(w->m[0].e, &s);
    return s;
}

static void epoch_seen(struct ew_world *w, uint64_t epoch)
{
    struct pf_elect_event ev = {.type = PF_ELECT_EPOCH_SEEN};

    ev.epoch_seen.epoch = epoch;
    ew_step(w, 0, ev);
}

/* Another master, of session 1, takes over as the protocol says. */
static void depose(struct ew_world *w)
{
    struct pf_elect *e = w->m[0].e;
    uint64_t epoch = pf_elect_epoch(e) + 1;
    struct ew_node *n = ew_node(w, "/epoch");

    struct pf_bytes node = elect_epoch_put(e, pf_elect_incarnation(e), epoch, "c");

    ew_set(w, n->path, node.at, node.len);
    ew_put_leader(w, OTHER, "", epoch, 1);
    ew_run(w);
    assert_int_equal(ew_leader(w), -1);
    assert_string_equal(pf_elect_leader(e), OTHER);
}

static void regain(struct ew_world *w)
{
    ew_delete(w, "/leader");
    ew_advance(w, 2000);
    assert_int_equal(ew_leader(w), 0);
}

/* --- renewals --------------------------------------------------------------------------------- */

static void test_the_lease_is_renewed_by_fenced_multis(void **state)
{
    struct ew_world *w = *state;
    int64_t began = w->now_ms;

    assert_int_equal(pf_elect_lease_ms(w->m[0].e), began + LEASE);
    ew_advance(w, RENEW - 1);
    assert_int_equal(stats(w).renewals, 0);
    ew_advance(w, 1);
    assert_int_equal(stats(w).renewals, 1);
    assert_int_equal(pf_elect_lease_ms(w->m[0].e), began + RENEW + LEASE);
    ew_advance(w, 100 * RENEW);
    assert_int_equal(stats(w).renewals, 101);
    assert_int_equal(pf_elect_epoch(w->m[0].e), 1);
}

static void test_a_renewal_counts_from_its_sending(void **state)
{
    struct ew_world *w = *state;
    int64_t sent = w->now_ms + RENEW;

    w->m[0].session[0].is_hung = w->m[0].session[1].is_hung = true;
    ew_advance(w, RENEW + 700);
    assert_int_equal(pf_elect_lease_ms(w->m[0].e), sent - RENEW + LEASE);
    w->m[0].session[0].is_hung = false;
    ew_run(w);
    assert_int_equal(pf_elect_lease_ms(w->m[0].e), sent + LEASE);
    assert_int_equal(stats(w).renew_ms_last, 700);
    assert_int_equal(stats(w).renew_ms_max, 700);
}

static void test_writes_of_the_log_spare_renewals(void **state)
{
    struct ew_world *w = *state;
    struct pf_elect_event ev = {.type = PF_ELECT_RENEWED};

    for (uint32_t i = 0; i < 100; i++) {
        ew_advance(w, RENEW / 2);
        ev.renewed.sent_ms = w->now_ms;
        ew_step(w, 0, ev);
        assert_int_equal(pf_elect_lease_ms(w->m[0].e), w->now_ms + LEASE);
    }
    assert_int_equal(stats(w).renewals, 0);
    ev.renewed.sent_ms = w->now_ms + 1000; /* of the future */
    ew_step(w, 0, ev);
    assert_int_equal(pf_elect_lease_ms(w->m[0].e), w->now_ms + LEASE);
}

static void test_the_spare_session_renews_while_the_main_is_away(void **state)
{
    struct ew_world *w = *state;

    ew_drop(w, 0, 0, false);
    ew_advance(w, 20000);
    assert_int_equal(ew_leader(w), 0);
    assert_int_equal(pf_elect_epoch(w->m[0].e), 1);
    ew_connect(w, 0, 0);
    ew_advance(w, 20000);
    assert_int_equal(pf_elect_epoch(w->m[0].e), 1);
}

static void test_the_spare_session_renews_while_the_main_hangs(void **state)
{
    struct ew_world *w = *state;

    w->m[0].session[0].is_hung = true;
    ew_advance(w, 20000);
    assert_int_equal(ew_leader(w), 0);
    assert_in_range(w->m[0].session[0].n_requests, 1, 16); /* they do not pile up */
}

static void test_a_lost_renewal_is_sent_again_at_once(void **state)
{
    struct ew_world *w = *state;

    w->m[0].session[0].is_hung = true;
    ew_advance(w, RENEW);
    ew_drop(w, 0, 0, false);
    ew_run(w);
    assert_int_equal(stats(w).renewals, 1);
    assert_int_equal(stats(w).unknown_outcomes, 1);
}

/* --- the end of the lease --------------------------------------------------------------------- */

static void test_without_zookeeper_the_lease_ends(void **state)
{
    struct ew_world *w = *state;
    int64_t end = pf_elect_lease_ms(w->m[0].e);

    ew_drop(w, 0, 0, false);
    ew_drop(w, 0, 1, false);
    assert_true(pf_elect_may_act(w->m[0].e, end - 1));
    assert_false(pf_elect_may_act(w->m[0].e, end));
    ew_advance(w, end - w->now_ms - 1);
    assert_int_equal(ew_leader(w), 0);
    ew_advance(w, 1);
    assert_int_equal(ew_leader(w), -1);
    assert_false(pf_elect_may_act(w->m[0].e, w->now_ms));
    assert_non_null(strstr(pf_elect_trouble(w->m[0].e), "cannot reach ZooKeeper"));
    assert_true(ew_said(w, 0, "stopped leading epoch 1: its lease ended"));
}

/* The servers were away for 15 s with a session of 6 s, and gave it back: nobody would lead if the
 * owner did not resolve its own node. */
static void test_after_an_outage_the_own_node_is_retaken(void **state)
{
    struct ew_world *w = *state;

    ew_drop(w, 0, 0, false);
    ew_drop(w, 0, 1, false);
    ew_advance(w, 15000);
    assert_int_equal(ew_leader(w), -1);
    ew_connect(w, 0, 0);
    ew_advance(w, 1);
    assert_int_equal(ew_leader(w), 0);
    assert_int_equal(pf_elect_epoch(w->m[0].e), 2); /* never the old epoch */
    assert_null(pf_elect_trouble(w->m[0].e));
    assert_true(ew_traced(w, 0, "elect_role standby->taking our own node stands"));
}

static void test_a_clock_that_jumps_ends_the_lease(void **state)
{
    struct ew_world *w = *state;

    w->now_ms += LEASE;
    assert_false(pf_elect_may_act(w->m[0].e, w->now_ms));
    ew_step(w, 0, (struct pf_elect_event){.type = PF_ELECT_TICK});
    assert_int_equal(ew_leader(w), -1);
    assert_non_null(strstr(pf_elect_trouble(w->m[0].e), "acknowledged nothing for 4000 ms"));
    w->now_ms -= 2000; /* and back again: time does not */
    ew_step(w, 0, (struct pf_elect_event){.type = PF_ELECT_TICK});
    assert_int_equal(ew_leader(w), -1);
    w->now_ms += 2000;
    ew_advance(w, 10);
    assert_int_equal(pf_elect_epoch(w->m[0].e), 2);
    assert_null(pf_elect_trouble(w->m[0].e));
}

static void test_an_answer_after_the_end_revives_nothing(void **state)
{
    struct ew_world *w = *state;

    w->m[0].session[0].is_hung = w->m[0].session[1].is_hung = true;
    ew_advance(w, LEASE - 1);
    w->m[0].session[0].is_hung = w->m[0].session[1].is_hung = false;
    w->now_ms += 1; /* the renewal sent a second ago was done, and is told now */
    ew_run(w);
    assert_true(ew_traced(w, 0, "elect_role leading->standby its lease ended"));
}

static void test_the_end_of_its_session_ends_leading(void **state)
{
    struct ew_world *w = *state;

    ew_expire(w, 0, 0);
    assert_int_equal(ew_leader(w), -1);
    assert_int_equal(stats(w).expiries, 1);
    assert_int_equal(w->m[0].e->suspect_until_ms, 0);
    ew_advance(w, 10); /* the spare session does */
    assert_int_equal(pf_elect_epoch(w->m[0].e), 2);
}

/* --- deposed ---------------------------------------------------------------------------------- */

static void test_deposed_while_alive_is_recorded(void **state)
{
    struct ew_world *w = *state;
    const struct pf_elect_master *m;
    int64_t first = w->wall_ms + PF_ELECT_SUSPECT_MS;

    depose(w);
    assert_int_equal(pf_elect_masters(w->m[0].e, &m), 1);
    assert_int_equal(m->suspect_until_wall_ms, first); /* as it stands in ZooKeeper */
    assert_int_equal(stats(w).depositions, 1);
    assert_true(ew_said(w, 0, "deposed while alive"));
    regain(w);
    int64_t second = w->wall_ms + 2 * PF_ELECT_SUSPECT_MS;

    depose(w);
    (void)pf_elect_masters(w->m[0].e, &m);
    assert_int_equal(m->suspect_until_wall_ms, second);
    for (uint32_t i = 0; i < 10; i++) {
        regain(w);
        depose(w);
    }
    (void)pf_elect_masters(w->m[0].e, &m);
    assert_int_equal(m->suspect_until_wall_ms, w->wall_ms + ELECT_SUSPECT_MAX_MS);
    w->wall_ms += 3 * ELECT_SUSPECT_MAX_MS;
    regain(w);
    depose(w);
    (void)pf_elect_masters(w->m[0].e, &m);
    assert_int_equal(m->suspect_until_wall_ms, w->wall_ms + PF_ELECT_SUSPECT_MS);
}

static void test_deposed_by_the_end_of_its_session_is_not(void **state)
{
    struct ew_world *w = *state;
    uint64_t owner = ew_node(w, "/leader")->owner;

    w->m[0].session[0].is_hung = true;
    ew_expire(w, 0, 0);
    struct pf_bytes node = elect_epoch_put(w->m[0].e, pf_elect_incarnation(w->m[0].e), 2, "c");

    ew_set(w, "/epoch", node.at, node.len);
    ew_put_leader(w, OTHER, "", 2, 1);
    ew_advance(w, RENEW * 2); /* the spare session finds out */
    assert_int_equal(ew_leader(w), -1);
    ew_drop(w, 0, 0, false);
    ew_connect(w, 0, 0);
    ew_advance(w, 100);
    assert_int_not_equal(w->m[0].session[0].id, owner);
    assert_int_equal(w->m[0].e->suspect_until_ms, 0);
}

static void test_a_renewal_finds_the_other_epoch(void **state)
{
    struct ew_world *w = *state;

    w->n_watches = 0; /* they are late */
    struct pf_bytes node = elect_epoch_put(w->m[0].e, pf_elect_incarnation(w->m[0].e), 2, "c");

    ew_set(w, "/epoch", node.at, node.len);
    ew_put_leader(w, OTHER, "", 2, 1);
    ew_run(w);
    assert_int_equal(ew_leader(w), 0);
    ew_advance(w, RENEW);
    assert_int_equal(ew_leader(w), -1);
    assert_true(ew_traced(w, 0, "elect_role leading->standby a renewal met another epoch"));
}

static void test_a_fenced_write_ends_leading(void **state)
{
    struct ew_world *w = *state;

    ew_step(w, 0, (struct pf_elect_event){.type = PF_ELECT_FENCED});
    assert_int_equal(ew_leader(w), -1);
    ew_step(w, 0, (struct pf_elect_event){.type = PF_ELECT_FENCED});
    ew_advance(w, 10); /* it was nothing: our node stands */
    assert_int_equal(pf_elect_epoch(w->m[0].e), 2);
}

static void test_a_deleted_or_changed_own_node_ends_leading(void **state)
{
    struct ew_world *w = *state;

    ew_delete(w, "/leader");
    ew_run(w);
    assert_true(ew_traced(w, 0, "leading->standby our /leader in ZooKeeper is gone"));
    ew_advance(w, 10);
    assert_int_equal(pf_elect_epoch(w->m[0].e), 2);
    ew_set(w, "/leader", "what", 4);
    ew_run(w);
    assert_int_equal(ew_leader(w), -1);
    assert_non_null(strstr(pf_elect_trouble(w->m[0].e), "/leader in ZooKeeper is none of ours"));
    ew_put_leader(w, w->m[0].instance, "", 2, 77);
    ew_advance(w, 10); /* ours by its instance, not by its session: retaken */
    assert_int_equal(pf_elect_epoch(w->m[0].e), 3);
    ew_put_leader(w, w->m[0].instance, "", 3, 77);
    ew_run(w);
    assert_true(ew_traced(w, 0, "our /leader in ZooKeeper is of another session"));
}

/* --- other epochs ----------------------------------------------------------------------------- */

static void test_a_higher_epoch_of_an_agent_is_overtaken(void **state)
{
    struct ew_world *w = *state;

    epoch_seen(w, 1); /* ours */
    assert_int_equal(ew_leader(w), 0);
    epoch_seen(w, 40);
    assert_int_equal(ew_leader(w), -1); /* for a moment at least */
    ew_advance(w, 2);
    assert_int_equal(ew_leader(w), 0);
    assert_int_equal(pf_elect_epoch(w->m[0].e), 41);
    epoch_seen(w, 50);
    ew_advance(w, 2);
    epoch_seen(w, 60);
    ew_advance(w, 2);
    assert_int_equal(pf_elect_epoch(w->m[0].e), 61);
    epoch_seen(w, 70);
    ew_advance(w, 2);
    assert_int_equal(pf_elect_epoch(w->m[0].e), 61); /* three a minute */
    assert_true(ew_said(w, 0, "an agent obeys epoch 70"));
    ew_advance(w, ELECT_MINUTE_MS);
    epoch_seen(w, 70);
    ew_advance(w, 2);
    assert_int_equal(pf_elect_epoch(w->m[0].e), 71);
    epoch_seen(w, UINT64_MAX);
    assert_int_equal(ew_leader(w), 0);
    assert_true(ew_said(w, 0, "out of range"));
}

/* The log may be read anew just when the takeover is done. */
static void test_leading_begins_when_the_log_is_ready(void **state)
{
    struct ew_world *w = *state;

    epoch_seen(w, 5);
    ew_advance(w, 1);
    epoch_seen(w, 9);
    w->now_ms += 1;
    ew_step(w, 0, (struct pf_elect_event){.type = PF_ELECT_TICK});
    for (uint32_t i = 0; i < 50 && !elect_is(&w->m[0].e->role, ROLE_TAKING); i++) {
        (void)(ew_carry_out(w, 0, 0) || ew_deliver(w, 0, 0));
    }
    ew_applied(w, 0, false, 0, 0);
    ew_run(w);
    assert_true(elect_is(&w->m[0].e->role, ROLE_LEADING));
    assert_false(pf_elect_is_leading(w->m[0].e));
    ew_applied(w, 0, true, 0, 0);
    assert_true(pf_elect_is_leading(w->m[0].e));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_lease_is_renewed_by_fenced_multis),
        TEST(test_a_renewal_counts_from_its_sending),
        TEST(test_writes_of_the_log_spare_renewals),
        TEST(test_the_spare_session_renews_while_the_main_is_away),
        TEST(test_the_spare_session_renews_while_the_main_hangs),
        TEST(test_a_lost_renewal_is_sent_again_at_once),
        TEST(test_without_zookeeper_the_lease_ends),
        TEST(test_after_an_outage_the_own_node_is_retaken),
        TEST(test_a_clock_that_jumps_ends_the_lease),
        TEST(test_an_answer_after_the_end_revives_nothing),
        TEST(test_the_end_of_its_session_ends_leading),
        TEST(test_deposed_while_alive_is_recorded),
        TEST(test_deposed_by_the_end_of_its_session_is_not),
        TEST(test_a_renewal_finds_the_other_epoch),
        TEST(test_a_fenced_write_ends_leading),
        TEST(test_a_deleted_or_changed_own_node_ends_leading),
        TEST(test_a_higher_epoch_of_an_agent_is_overtaken),
        TEST(test_leading_begins_when_the_log_is_ready),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
