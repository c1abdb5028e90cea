/* SPDX-License-Identifier: Apache-2.0 */
/* The scheduler driver and its tasks: offers, demands, statuses, kills, questions. */
#include "tests/support/drv.h"
#include "common/base/limits.h"

/* --- offers and launches ---------------------------------------------------------------------- */

static void test_driver_accepts_and_declines(void **state)
{
    struct drv *f = *state;
    struct pf_driver_offer_info info;

    given_subscribed(f);
    drv_hear_offer(f, "o1", ",\"resources\":[{\"name\":\"ports\",\"type\":\"RANGES\",\"ranges\":"
                        "{\"range\":[{\"begin\":31010,\"end\":31020},"
                        "{\"begin\":31000,\"end\":31001}]}}]");
    drv_hear_offer(f, "o2", "");
    drv_drain(f);
    assert_true(pf_driver_find_offer(f->d, PF_STR("o1"), &info));
    assert_true(pf_str_is(info.agent_id, "a1"));
    assert_int_equal(info.n_ports, 2);
    assert_int_equal(info.port[0].begin, 31000);
    drv_accept(f, "o1", "t1");
    drv_decline(f, "o2", 1500);
    drv_expect(f, "send 10 {" F1 ",\"type\":\"ACCEPT\",\"accept\":{"
              "\"offer_ids\":[{\"value\":\"o1\"}],"
              "\"operations\":[{\"type\":\"LAUNCH\",\"launch\":{\"task_infos\":[{\"name\":\"t\","
              "\"task_id\":{\"value\":\"t1\"},\"agent_id\":{\"value\":\"a1\"}}]}}]}}\n"
              "send 10 {" F1 ",\"type\":\"DECLINE\",\"decline\":{"
              "\"offer_ids\":[{\"value\":\"o2\"}],"
              "\"filters\":{\"refuse_seconds\":1.5}}}\n");
    assert_false(pf_driver_find_offer(f->d, PF_STR("o1"), &info));
}

/* Without a usable offer there is nothing to tell. */
static void test_driver_keeps_empty_offers_to_itself(void **state)
{
    struct drv *f = *state;
    struct pf_driver_stats stats;

    given_subscribed(f);
    drv_hear_event(f, "{\"type\":\"OFFERS\"}");
    drv_hear_event(f, "{\"type\":\"OFFERS\",\"offers\":{\"offers\":[]}}");
    drv_hear_offer(f, "", "");
    drv_expect(f, "");
    pf_driver_stats(f->d, &stats);
    assert_int_equal(stats.bad_messages, 1);
}

static void test_driver_drops_launches_on_offers_that_are_gone(void **state)
{
    struct drv *f = *state;

    given_subscribed(f);
    drv_hear_offer(f, "o1", "");
    drv_drain(f);
    drv_hear_event(f, "{\"type\":\"RESCIND\",\"rescind\":{\"offer_id\":{\"value\":\"o1\"}}}");
    drv_hear_event(f, "{\"type\":\"RESCIND\",\"rescind\":{\"offer_id\":{\"value\":\"o1\"}}}");
    drv_expect(f, "rescinded o1\n");
    drv_accept(f, "o1", "t1 t2");
    drv_expect(f, "update local t1 TASK_LOST\nupdate local t2 TASK_LOST\n");
    drv_decline(f, "o1", -1);
    drv_expect(f, "");
}

static void test_driver_tells_dropped_to_partition_aware_frameworks(void **state)
{
    struct drv *f = *state;

    drv_create(f, "{\"user\":\"ann\",\"name\":\"demo\",\"capabilities\":[{\"type\":"
              "\"PARTITION_AWARE\"}]}", "m1:5055", false);
    given_subscribed(f);
    drv_accept(f, "o1", "t1");
    drv_expect(f, "update local t1 TASK_DROPPED\n");
}

static void test_driver_refuses_a_task_id_in_use(void **state)
{
    struct drv *f = *state;

    given_launched(f);
    drv_hear_offer(f, "o2", "");
    drv_drain(f);
    drv_accept(f, "o2", "t1 t3");
    drv_expect(f, "update local t1 TASK_ERROR\n"
              "send 10 {" F1 ",\"type\":\"ACCEPT\",\"accept\":{"
              "\"offer_ids\":[{\"value\":\"o2\"}],"
              "\"operations\":[{\"type\":\"LAUNCH\",\"launch\":{\"task_infos\":[{\"name\":\"t\","
              "\"task_id\":{\"value\":\"t3\"},\"agent_id\":{\"value\":\"a1\"}}]}}]}}\n");
    drv_hear_update(f, "t1", "TASK_RUNNING", "");
    drv_expect(f, "update t1 TASK_RUNNING\n");
}

/* The ACCEPT left, the link broke: it is not sent again; the master is asked, its answer told. */
static void test_driver_reconciles_open_launches_after_a_break(void **state)
{
    struct drv *f = *state;

    given_launched(f);
    drv_hear_offer(f, "o2", "");
    drv_hear_update(f, "t1", "TASK_RUNNING", "");
    drv_drain(f);
    drv_down(f, 0, PF_ECONN);
    drv_expect(f, "rescinded o2\ndisconnected -11 m1:5055: broken\nconnect 0 m1:5055\n");
    drv_up(f, 0, 11, 2);
    drv_expect2(f, "send 11 #2 ", SUBSCRIBE_AGAIN);
    drv_hear_subscribed(f, 2);
    drv_expect(f, "subscribed f1 at m1:5055 epoch 2 again\n"
              "send 11 {" F1 ",\"type\":\"RECONCILE\",\"reconcile\":{\"tasks\":["
              "{\"task_id\":{\"value\":\"t1\"},\"agent_id\":{\"value\":\"a1\"}},"
              "{\"task_id\":{\"value\":\"t2\"},\"agent_id\":{\"value\":\"a1\"}}]}}\n");
    drv_hear_update(f, "t1", "TASK_RUNNING", ",\"reason\":\"REASON_RECONCILIATION\"");
    drv_hear_update(f, "t2", "TASK_LOST", ",\"reason\":\"REASON_RECONCILIATION\"");
    drv_expect(f, "update t2 TASK_LOST\n"); /* t1: no news */
    drv_hear_update(f, "t1", "TASK_RUNNING", ",\"reason\":\"REASON_RECONCILIATION\"");
    drv_expect(f, "update t1 TASK_RUNNING\n"); /* not asked by us any more */
}

/* An agent dies before its disk knows that RUNNING was acknowledged, and says it again after the
 * end: the owner hears nothing, the agent gets its acknowledgement. */
static void test_driver_knows_updates_before_the_last(void **state)
{
    struct drv *f = *state;

    given_launched(f);
    drv_hear_update(f, "t1", "TASK_RUNNING", ",\"uuid\":\"" UUID1 "\"");
    drv_hear_update(f, "t1", "TASK_FINISHED", ",\"uuid\":\"" UUID2 "\"");
    drv_drain(f);
    drv_hear_update(f, "t1", "TASK_RUNNING", ",\"uuid\":\"" UUID1 "\"");
    drv_expect(f, "send 10 " ACK("t1", UUID1));
    drv_hear_update(f, "t1", "TASK_FINISHED", ",\"uuid\":\"" UUID2 "\"");
    drv_expect(f, "send 10 " ACK("t1", UUID2));
}

/* The agent comes back without a launch that was on its way, while the subscription stands: the
 * master says so unasked, and the owner hears of it. */
static void test_driver_tells_a_launch_that_did_not_arrive(void **state)
{
    struct drv *f = *state;

    given_launched(f);
    drv_hear_update(f, "t1", "TASK_LOST", ",\"reason\":\"REASON_RECONCILIATION\"");
    drv_expect(f, "update t1 TASK_LOST\n");
}

/* The master says nothing of a task while its agent is not back: it is asked again, less and less
 * often, until there is an answer. */
static void test_driver_asks_until_there_is_an_answer(void **state)
{
    struct drv *f = *state;
    static const int64_t pause[] = {100, 200, 400, 800, 1600, 3200, 6400, 12800, 15000, 15000};
    static const char question[] =
        "send 11 {" F1 ",\"type\":\"RECONCILE\",\"reconcile\":{\"tasks\":[{\"task_id\":"
        "{\"value\":\"t2\"},\"agent_id\":{\"value\":\"a1\"}}]}}\n";

    given_launched(f);
    drv_down(f, 0, PF_ECONN);
    drv_up(f, 0, 11, 2);
    drv_hear_subscribed(f, 2);
    drv_hear_update(f, "t1", "TASK_RUNNING", "");
    drv_drain(f);
    for (size_t i = 0; i < PF_ARRAY_LEN(pause); i++) {
        drv_wait_between(f, pause[i] / 2, pause[i]);
        drv_expect(f, question);
    }
    drv_hear_update(f, "t2", "TASK_LOST", ",\"reason\":\"REASON_RECONCILIATION\"");
    drv_expect(f, "update t2 TASK_LOST\n");
    drv_wait_between(f, 0, 15000);
    drv_expect(f, "");
    assert_true(pf_driver_deadline(f->d) == INT64_MAX);
}

/* --- demands ---------------------------------------------------------------------------------- */

#define DEMAND(count)                                                                          \
    "{\"id\":\"d1\",\"count\":" count ",\"resources\":[{\"name\":\"cpus\",\"type\":\"SCALAR\"," \
    "\"scalar\":{\"value\":1.0}}],\"constraints\":[{\"attribute\":\"rack\","  \
    "\"value\":\"r1\"}],\"name\":\"web\"}"

static void test_driver_states_demands_and_restates_what_is_left(void **state)
{
    struct drv *f = *state;

    drv_start(f);
    drv_demand(f, "{\"demands\":[" DEMAND("3") "]}");
    drv_up(f, 0, 10, 1);
    drv_expect(f, "connect 0 m1:5055\n"
              "send 10 #1 {\"type\":\"SUBSCRIBE\",\"subscribe\":{" FRAMEWORK "},"
              "\"demands\":[" DEMAND("3") "],\"has_demands\":true,"
              "\"instance\":\"" INSTANCE "\"}}\n");
    drv_hear_subscribed(f, 1);
    drv_hear_offer(f, "o1", ",\"demand_id\":\"d1\",\"demand_count\":2");
    drv_drain(f);
    drv_accept(f, "o1", "t1 t2");
    drv_drain(f);
    drv_hear_event(f, "{\"type\":\"DEMAND_STATUS\",\"demand_status\":{\"demand_id\":\"d1\","
                  "\"state\":\"REFUSED\",\"waiting\":1,\"text\":\"no room\"}}");
    drv_expect(f, "demand-status {\"demand_id\":\"d1\",\"state\":\"REFUSED\",\"waiting\":1,"
              "\"text\":\"no room\"}\n");
    drv_down(f, 0, PF_ECONN);
    drv_drain(f);
    drv_up(f, 0, 11, 2);
    drv_expect(f, "send 11 #2 {" F1 ",\"type\":\"SUBSCRIBE\",\"subscribe\":{" FRAMEWORK
              ",\"id\":{\"value\":\"f1\"}},\"demands\":[" DEMAND("1") "],\"has_demands\":true,"
              "\"instance\":\"" INSTANCE "\"}}\n");
    drv_demand(f, "{\"demands\":[]}"); /* while SUBSCRIBE is under way: it goes after it */
    drv_expect(f, "");
    drv_hear_subscribed(f, 2);
    drv_expect(f, "subscribed f1 at m1:5055 epoch 2 again\n"
              "send 11 {" F1 ",\"type\":\"DEMAND\",\"demand\":{}}\n"
              "send 11 {" F1 ",\"type\":\"RECONCILE\",\"reconcile\":{\"tasks\":["
              "{\"task_id\":{\"value\":\"t1\"},\"agent_id\":{\"value\":\"a1\"}},"
              "{\"task_id\":{\"value\":\"t2\"},\"agent_id\":{\"value\":\"a1\"}}]}}\n");
}

static void test_driver_suppresses_and_revives(void **state)
{
    struct drv *f = *state;

    given_subscribed(f);
    drv_call(f, PF_DRIVER_SUPPRESS);
    drv_expect(f, "send 10 {" F1 ",\"type\":\"SUPPRESS\",\"suppress\":{}}\n");
    drv_down(f, 0, PF_ECONN);
    drv_drain(f);
    drv_up(f, 0, 11, 2);
    drv_expect(f, "send 11 #2 {" F1 ",\"type\":\"SUBSCRIBE\",\"subscribe\":{" FRAMEWORK
              ",\"id\":{\"value\":\"f1\"}},\"suppressed_roles\":[\"*\"],"
              "\"instance\":\"" INSTANCE "\"}}\n");
    drv_call(f, PF_DRIVER_REVIVE);
    drv_expect(f, "");
    drv_hear_subscribed(f, 2);
    drv_expect(f, "subscribed f1 at m1:5055 epoch 2 again\n"
              "send 11 {" F1 ",\"type\":\"REVIVE\",\"revive\":{}}\n");
}

/* --- statuses --------------------------------------------------------------------------------- */

static void test_driver_acknowledges_after_telling(void **state)
{
    struct drv *f = *state;

    given_launched(f);
    drv_hear_update(f, "t1", "TASK_RUNNING", ",\"uuid\":\"" UUID1 "\"");
    drv_expect(f, "update t1 TASK_RUNNING\nsend 10 " ACK("t1", UUID1));
    drv_hear_update(f, "t1", "TASK_RUNNING", ",\"uuid\":\"" UUID1 "\"");
    drv_expect(f, "send 10 " ACK("t1", UUID1)); /* it got lost: again, and nothing is told */
    drv_hear_update(f, "t1", "TASK_FINISHED", ",\"uuid\":\"" UUID2 "\"");
    drv_expect(f, "update t1 TASK_FINISHED\nsend 10 " ACK("t1", UUID2));
    drv_hear_update(f, "t1", "TASK_FINISHED", ",\"uuid\":\"" UUID2 "\"");
    drv_expect(f, "send 10 " ACK("t1", UUID2));
}

static void test_driver_leaves_acknowledging_to_the_owner(void **state)
{
    struct drv *f = *state;

    drv_create(f, "{\"user\":\"ann\",\"name\":\"demo\"}", "m1:5055", true);
    given_launched(f);
    drv_hear_update(f, "t1", "TASK_FINISHED", ",\"uuid\":\"" UUID1 "\"");
    drv_expect(f, "update wants-ack t1 TASK_FINISHED\n");
    drv_hear_update(f, "t1", "TASK_FINISHED", ",\"uuid\":\"" UUID1 "\"");
    drv_expect(f, "");
    drv_hear_update(f, "t2", "TASK_LOST", ""); /* without a uuid: nothing to acknowledge */
    drv_expect(f, "update t2 TASK_LOST\n");
    drv_acknowledge(f, "t1", 0x10);
    drv_expect(f, "send 10 " ACK("t1", UUID1));
    drv_hear_update(f, "t1", "TASK_FINISHED", ",\"uuid\":\"" UUID1 "\"");
    drv_expect(f, "send 10 " ACK("t1", UUID1));
}

static void test_driver_keeps_acknowledgements_over_a_break(void **state)
{
    struct drv *f = *state;

    drv_create(f, "{\"user\":\"ann\",\"name\":\"demo\"}", "m1:5055", true);
    given_subscribed(f);
    drv_hear_update(f, "t1", "TASK_FINISHED", ",\"uuid\":\"" UUID1 "\"");
    drv_down(f, 0, PF_ECONN);
    drv_acknowledge(f, "t1", 0x10);
    drv_up(f, 0, 11, 1);
    drv_drain(f);
    drv_hear_subscribed(f, 1);
    drv_expect(f, "subscribed f1 at m1:5055 epoch 1 again\nsend 11 " ACK("t1", UUID1));
}

static void test_driver_tells_an_end_once_when_answers_cross(void **state)
{
    struct drv *f = *state;

    given_launched(f);
    drv_down(f, 0, PF_ECONN);
    drv_up(f, 0, 11, 1);
    drv_hear_subscribed(f, 1);
    drv_drain(f);
    drv_hear_update(f, "t1", "TASK_FINISHED", ",\"uuid\":\"" UUID1 "\"");
    drv_hear_update(f, "t1", "TASK_FINISHED", ",\"reason\":\"REASON_RECONCILIATION\"");
    drv_expect(f, "update t1 TASK_FINISHED\nsend 11 " ACK("t1", UUID1));
}

static void test_driver_follows_a_task_that_comes_back(void **state)
{
    struct drv *f = *state;
    struct pf_driver_stats stats;

    given_launched(f);
    drv_hear_update(f, "t1", "TASK_LOST", "");
    pf_driver_stats(f->d, &stats);
    assert_int_equal(stats.n_tasks, 1);
    drv_hear_update(f, "t1", "TASK_RUNNING", ",\"uuid\":\"" UUID1 "\"");
    pf_driver_stats(f->d, &stats);
    assert_int_equal(stats.n_tasks, 2);
    drv_expect(f, "update t1 TASK_LOST\nupdate t1 TASK_RUNNING\nsend 10 " ACK("t1", UUID1));
}

static void test_driver_forgets_old_ends(void **state)
{
    struct drv *f = *state;
    struct pf_driver_stats stats;
    char id[16];

    given_subscribed(f);
    for (int i = 0; i < 10100; i++) {
        (void)snprintf(id, sizeof id, "t%d", i);
        drv_hear_update(f, id, "TASK_FINISHED", ",\"uuid\":\"" UUID1 "\"");
        drv_drain(f);
        pf_arena_reset(&f->arena);
    }
    pf_driver_stats(f->d, &stats);
    assert_int_equal(stats.n_tasks, 0);
    drv_hear_update(f, "t10099", "TASK_FINISHED", ",\"uuid\":\"" UUID1 "\"");
    drv_expect(f, "send 10 " ACK("t10099", UUID1));
    drv_hear_update(f, "t0", "TASK_FINISHED", ",\"uuid\":\"" UUID1 "\"");
    drv_expect(f, "update t0 TASK_FINISHED\nsend 10 " ACK("t0", UUID1));
}

/* --- kills, questions, the end ---------------------------------------------------------------- */

static void test_driver_repeats_kills_until_the_end(void **state)
{
    struct drv *f = *state;

    given_launched(f);
    drv_kill(f, "t1", 5000, 2);
    drv_expect(f, "send 10 {" F1 ",\"type\":\"KILL\",\"kill\":{\"task_id\":{\"value\":\"t1\"},"
              "\"agent_id\":{\"value\":\"a1\"},\"kill_policy\":{\"grace_period\":"
              "{\"nanoseconds\":5000000000}},\"signal\":2}}\n");
    drv_hear_update(f, "t2", "TASK_FINISHED", "");
    drv_drain(f);
    drv_kill(f, "t2", -1, 0);
    drv_expect(f, ""); /* it is over */
    drv_down(f, 0, PF_ECONN);
    drv_kill(f, "unknown", -1, 0);
    drv_up(f, 0, 11, 2);
    drv_drain(f);
    drv_hear_subscribed(f, 2);
    drv_expect(f, "subscribed f1 at m1:5055 epoch 2 again\n"
              "send 11 {" F1 ",\"type\":\"KILL\",\"kill\":{\"task_id\":{\"value\":\"unknown\"}}}\n"
              "send 11 {" F1 ",\"type\":\"RECONCILE\",\"reconcile\":{\"tasks\":["
              "{\"task_id\":{\"value\":\"t1\"},\"agent_id\":{\"value\":\"a1\"}}]}}\n");
    drv_hear_update(f, "t1", "TASK_RUNNING", ""); /* its agent is back: now the kill finds it */
    drv_expect(f, "send 11 {" F1 ",\"type\":\"KILL\",\"kill\":{\"task_id\":{\"value\":\"t1\"},"
              "\"agent_id\":{\"value\":\"a1\"},\"kill_policy\":{\"grace_period\":"
              "{\"nanoseconds\":5000000000}},\"signal\":2}}\n"
              "update t1 TASK_RUNNING\n");
}

static void test_driver_asks_for_the_owner(void **state)
{
    struct drv *f = *state;
    struct pf_str ids[] = {PF_STR("t1"), PF_STR("x")};
    struct pf_driver_event ev = {.type = PF_DRIVER_RECONCILE,
                                 .reconcile = {.task = ids, .n_tasks = 2}};
    static const char asked[] =
        "{" F1 ",\"type\":\"RECONCILE\",\"reconcile\":{\"tasks\":[{\"task_id\":{\"value\":\"t1\"},"
        "\"agent_id\":{\"value\":\"a1\"}},{\"task_id\":{\"value\":\"x\"}}]}}\n";

    given_launched(f);
    drv_step(f, ev);
    drv_expect2(f, "send 10 ", asked);
    drv_hear_update(f, "t1", "TASK_FINISHED", "");
    drv_hear_update(f, "t2", "TASK_FINISHED", "");
    drv_down(f, 0, PF_ECONN);
    drv_step(f, ev);
    ev.reconcile.n_tasks = 0;
    drv_step(f, ev);
    drv_up(f, 0, 11, 2);
    drv_drain(f);
    drv_hear_subscribed(f, 2);
    drv_expect(f, "subscribed f1 at m1:5055 epoch 2 again\n"
              "send 11 {" F1 ",\"type\":\"RECONCILE\",\"reconcile\":{\"tasks\":[{\"task_id\":"
              "{\"value\":\"t1\"},\"agent_id\":{\"value\":\"a1\"}}]}}\n"
              "send 11 {" F1 ",\"type\":\"RECONCILE\",\"reconcile\":{}}\n"
              "send 11 {" F1 ",\"type\":\"RECONCILE\",\"reconcile\":{\"tasks\":[{\"task_id\":"
              "{\"value\":\"x\"}}]}}\n");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, drv_setup, drv_teardown)
    const struct CMUnitTest tests[] = {
        T(test_driver_accepts_and_declines),
        T(test_driver_keeps_empty_offers_to_itself),
        T(test_driver_drops_launches_on_offers_that_are_gone),
        T(test_driver_tells_dropped_to_partition_aware_frameworks),
        T(test_driver_refuses_a_task_id_in_use),
        T(test_driver_reconciles_open_launches_after_a_break),
        T(test_driver_knows_updates_before_the_last),
        T(test_driver_tells_a_launch_that_did_not_arrive),
        T(test_driver_asks_until_there_is_an_answer),
        T(test_driver_states_demands_and_restates_what_is_left),
        T(test_driver_suppresses_and_revives),
        T(test_driver_acknowledges_after_telling),
        T(test_driver_leaves_acknowledging_to_the_owner),
        T(test_driver_keeps_acknowledgements_over_a_break),
        T(test_driver_tells_an_end_once_when_answers_cross),
        T(test_driver_follows_a_task_that_comes_back),
        T(test_driver_forgets_old_ends),
        T(test_driver_repeats_kills_until_the_end),
        T(test_driver_asks_for_the_owner),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
