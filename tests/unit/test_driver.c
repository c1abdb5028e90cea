/* SPDX-License-Identifier: Apache-2.0 */
/* The scheduler driver and its masters: subscribing, riding through breaks, the end. */
#include "tests/support/drv.h"
#include "common/base/alloc.h"

/* --- subscribing ------------------------------------------------------------------------------ */

static void test_driver_subscribes_at_the_leader(void **state)
{
    struct drv *f = *state;

    drv_start(f);
    drv_expect(f, "connect 0 m1:5055\n");
    drv_up(f, 0, 10, 1);
    drv_expect(f, "send 10 #1 {\"type\":\"SUBSCRIBE\",\"subscribe\":{" FRAMEWORK
              "},\"instance\":\"" INSTANCE "\"}}\n");
    drv_hear(f, 0, "{\"request_id\":1,\"is_reply\":true,\"code\":\"OK\",\"body\":{\"Reply\":{}}}");
    drv_hear_subscribed(f, 1);
    drv_expect(f, "subscribed f1 at m1:5055 epoch 1\n");
    assert_true(pf_driver_is_subscribed(f->d));
    assert_true(pf_str_is(pf_driver_framework_id(f->d), "f1"));
    assert_true(pf_driver_deadline(f->d) == INT64_MAX);
}

static void test_driver_retries_with_growing_pauses(void **state)
{
    struct drv *f = *state;
    static const int64_t pause[] = {50, 100, 200, 400, 800, 1600, 2000, 2000, 2000};

    drv_create(f, "{\"user\":\"ann\",\"name\":\"demo\"}", "m1:5055", false);
    given_subscribed(f);
    f->now_ms += 5000;
    drv_down(f, 0, PF_ECONN);
    drv_expect(f, "disconnected -11 m1:5055: broken\nconnect 0 m1:5055\n");
    for (size_t i = 0; i < PF_ARRAY_LEN(pause); i++) {
        drv_down(f, 0, PF_ECONN);
        drv_expect(f, "");
        drv_wait_between(f, pause[i] / 2, pause[i]);
        drv_expect(f, "connect 0 m1:5055\n");
    }
    drv_up(f, 0, 11, 2);
    drv_expect2(f, "send 11 #2 ", SUBSCRIBE_AGAIN);
    drv_hear_subscribed(f, 2);
    drv_expect(f, "subscribed f1 at m1:5055 epoch 2 again\n");
}

static void test_driver_follows_the_highest_epoch(void **state)
{
    struct drv *f = *state;

    drv_create(f, "{\"user\":\"ann\",\"name\":\"demo\"}", "m1:5055 m2:5055", false);
    drv_start(f);
    drv_expect(f, "connect 0 m1:5055\nconnect 1 m2:5055\n");
    drv_up_as(f, 1, 20, "{\"body\":{\"Welcome\":{\"role\":\"STANDBY\",\"epoch\":1,"
                    "\"masters\":[\"m1:5055\",\"m3:5055\"]}}}");
    drv_expect(f, "connect 2 m3:5055\n");
    drv_up(f, 0, 10, 1);
    drv_hear_subscribed(f, 1);
    drv_drain(f);
    /* the standby says on the standing link that it leads now */
    drv_hear(f, 1, "{\"body\":{\"Welcome\":{\"role\":\"LEADER\",\"epoch\":2,\"incarnation\":\""
               INCARNATION "\"}}}");
    drv_expect2(f, "disconnected -11 m2:5055 leads now\nsend 20 #2 ", SUBSCRIBE_AGAIN);
    /* and the former leader is not heard any more */
    drv_hear_update(f, "t9", "TASK_LOST", "");
    drv_expect(f, "");
    drv_hear(f, 1, "{\"body\":{\"Scheduler_Event\":{\"type\":\"SUBSCRIBED\",\"subscribed\":"
               "{\"framework_id\":{\"value\":\"f1\"},\"epoch\":2}}}}");
    drv_expect(f, "subscribed f1 at m2:5055 epoch 2 again\n");
    drv_down(f, 1, PF_ECONN);
    drv_drain(f);
    assert_false(pf_driver_is_subscribed(f->d)); /* m1 is of epoch 1: not obeyed */
}

static void test_driver_does_not_obey_another_cluster(void **state)
{
    struct drv *f = *state;

    given_subscribed(f);
    drv_down(f, 0, PF_ECONN);
    drv_drain(f);
    drv_up_as(f, 0, 11, "{\"body\":{\"Welcome\":{\"role\":\"LEADER\",\"epoch\":9,\"incarnation\":\""
                    UUID1 "\"}}}");
    drv_expect(f, "close 11\n");
    drv_wait_between(f, 10, 2000);
    drv_expect(f, "connect 0 m1:5055\n");
    drv_up(f, 0, 12, 2);
    drv_expect2(f, "send 12 #2 ", SUBSCRIBE_AGAIN);
}

static void test_driver_tries_again_when_the_master_is_not_ready(void **state)
{
    struct drv *f = *state;

    drv_start(f);
    drv_up(f, 0, 10, 1);
    drv_drain(f);
    drv_hear(f, 0, "{\"request_id\":1,\"is_reply\":true,\"code\":\"UNAVAILABLE\","
               "\"body\":{\"Reply\":{}}}");
    drv_expect(f, "");
    drv_wait_between(f, 25, 50);
    drv_drain(f);
    drv_hear(f, 0, "{\"request_id\":2,\"is_reply\":true,\"code\":\"UNAVAILABLE\","
               "\"body\":{\"Reply\":{}}}");
    drv_wait_between(f, 50, 100);
    drv_drain(f);
    drv_hear_subscribed(f, 1);
    drv_expect(f, "subscribed f1 at m1:5055 epoch 1\n");
}

static void test_driver_leaves_a_master_that_does_not_answer(void **state)
{
    struct drv *f = *state;

    given_subscribed(f);
    drv_down(f, 0, PF_ECONN);
    drv_up(f, 0, 11, 1);
    drv_drain(f);
    drv_wait_between(f, 10000, 10000);
    drv_expect(f, "close 11\n");
    drv_wait_between(f, 1, 2000);
    drv_expect(f, "connect 0 m1:5055\n");
}

static void test_driver_ends_when_refused(void **state)
{
    struct drv *f = *state;

    drv_start(f);
    drv_up(f, 0, 10, 1);
    drv_drain(f);
    drv_hear(f, 0, "{\"request_id\":1,\"is_reply\":true,\"code\":\"FORBIDDEN\","
               "\"text\":\"no such user\",\"body\":{\"Reply\":{}}}");
    drv_expect(f, "close 10\nerror -7 m1:5055: no such user\n");
    assert_true(pf_driver_is_ended(f->d));
    drv_call(f, PF_DRIVER_REVIVE);
    drv_call(f, PF_DRIVER_STOP);
    drv_expect(f, "");
}

static void test_driver_ends_when_the_master_says_so(void **state)
{
    struct drv *f = *state;

    given_subscribed(f);
    drv_hear_offer(f, "o1", "");
    drv_drain(f);
    drv_hear_event(f, "{\"type\":\"ERROR\",\"error\":{\"message\":\"a newer instance\"}}");
    drv_expect(f, "rescinded o1\nclose 10\nerror -16 a newer instance\n");
}

static void test_driver_gives_up_before_the_first_subscription(void **state)
{
    struct drv *f = *state;

    drv_start(f);
    drv_down(f, 0, PF_ECONN);
    drv_drain(f);
    drv_down(f, 0, PF_ECONN);
    while (f->now_ms < 6000 && !pf_driver_is_ended(f->d)) {
        drv_drain(f);
        f->now_ms = pf_driver_deadline(f->d);
        drv_call(f, PF_DRIVER_DEADLINE);
        if (f->now_ms < 6000) {
            drv_down(f, 0, PF_ECONN);
        }
    }
    drv_expect(f, "error -11 no master to subscribe at: m1:5055: broken\n");
    assert_int_equal(f->now_ms, 6000);
}

static void test_driver_ends_on_a_wrong_key(void **state)
{
    struct drv *f = *state;

    drv_start(f);
    drv_drain(f);
    drv_down(f, 0, PF_EAUTH);
    drv_expect(f, "connect 0 m1:5055\nerror -13 m1:5055: broken\n");
}

static void test_driver_takes_over_a_framework(void **state)
{
    struct drv *f = *state;

    drv_create(f, "{\"user\":\"ann\",\"name\":\"demo\",\"id\":{\"value\":\"f1\"},"
              "\"roles\":[\"r1\"],\"failover_timeout\":60}", "m1:5055", false);
    drv_start(f);
    drv_up(f, 0, 10, 1);
    drv_hear_subscribed(f, 1);
    drv_expect(f, "connect 0 m1:5055\n"
              "send 10 #1 {" F1 ",\"type\":\"SUBSCRIBE\",\"subscribe\":{" FRAMEWORK
              ",\"id\":{\"value\":\"f1\"},\"failover_timeout\":60.0,\"roles\":[\"r1\"]},"
              "\"instance\":\"" INSTANCE "\"}}\n"
              "subscribed f1 at m1:5055 epoch 1\n"
              "send 10 {" F1 ",\"type\":\"RECONCILE\",\"reconcile\":{}}\n");
    drv_hear_update(f, "old", "TASK_RUNNING", ",\"reason\":\"REASON_RECONCILIATION\"");
    drv_expect(f, "update old TASK_RUNNING\n");
}

static void test_driver_stops_and_leaves_the_framework(void **state)
{
    struct drv *f = *state;

    given_launched(f);
    drv_call(f, PF_DRIVER_STOP);
    drv_expect(f, "close 10\nstopped\n");
    assert_true(pf_driver_deadline(f->d) == INT64_MAX);
}

static void test_driver_tears_the_framework_down(void **state)
{
    struct drv *f = *state;

    given_launched(f);
    drv_call(f, PF_DRIVER_TEARDOWN);
    drv_expect(f, "send 10 #2 {" F1 ",\"type\":\"TEARDOWN\"}\n");
    drv_hear(f, 0, "{\"request_id\":2,\"is_reply\":true,\"code\":\"OK\",\"body\":{\"Reply\":{}}}");
    drv_expect(f, "close 10\nstopped\n");
}

static void test_driver_tears_down_after_a_break(void **state)
{
    struct drv *f = *state;

    given_subscribed(f);
    drv_call(f, PF_DRIVER_TEARDOWN);
    drv_down(f, 0, PF_ECONN);
    drv_up(f, 0, 11, 1);
    drv_drain(f);
    drv_hear_subscribed(f, 1);
    drv_expect(f, "subscribed f1 at m1:5055 epoch 1 again\n"
              "send 11 #4 {" F1 ",\"type\":\"TEARDOWN\"}\n");
    drv_down(f, 0, PF_ECONN);
    drv_up(f, 0, 12, 1);
    drv_drain(f);
    drv_hear(f, 0, "{\"request_id\":5,\"is_reply\":true,\"code\":\"NOT_FOUND\","
               "\"body\":{\"Reply\":{}}}");
    drv_expect(f, "close 12\nstopped\n"); /* it is gone: the answer was lost, not the call */
}

static void test_driver_does_not_wait_for_ever_to_tear_down(void **state)
{
    struct drv *f = *state;

    given_subscribed(f);
    drv_call(f, PF_DRIVER_TEARDOWN);
    drv_drain(f);
    drv_wait_between(f, 10000, 10000);
    drv_expect(f, "close 10\nerror -12 the end of the framework was not confirmed\n");
}

/* A story with a break, as the text of its effects (into f->got). */
static void tell_story(struct drv *f)
{
    drv_create(f, "{\"user\":\"ann\",\"name\":\"demo\"}", "m1:5055", false);
    f->now_ms = 1000;
    given_launched(f);
    for (int i = 0; i < 20; i++) {
        char id[8];

        (void)snprintf(id, sizeof id, "x%d", i);
        drv_hear_update(f, id, "TASK_RUNNING", "");
    }
    drv_down(f, 0, PF_ECONN);
    drv_down(f, 0, PF_ECONN);
    f->now_ms = pf_driver_deadline(f->d);
    drv_call(f, PF_DRIVER_DEADLINE);
    drv_up(f, 0, 11, 2);
    drv_hear_subscribed(f, 2);
    drv_collect(f);
    pf_buf_printf(&f->got, "%d\n", (int)f->now_ms);
}

/* The same events give the same effects, pauses from the dice included. */
static void test_driver_is_deterministic(void **state)
{
    struct drv *f = *state;
    char *first;

    tell_story(f);
    first = pf_strdup(pf_buf_cstr(&f->got));
    assert_non_null(strstr(first, "x19"));
    tell_story(f);
    assert_string_equal(pf_buf_cstr(&f->got), first);
    pf_free(first);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, drv_setup, drv_teardown)
    const struct CMUnitTest tests[] = {
        T(test_driver_subscribes_at_the_leader),
        T(test_driver_retries_with_growing_pauses),
        T(test_driver_follows_the_highest_epoch),
        T(test_driver_does_not_obey_another_cluster),
        T(test_driver_tries_again_when_the_master_is_not_ready),
        T(test_driver_leaves_a_master_that_does_not_answer),
        T(test_driver_ends_when_refused),
        T(test_driver_ends_when_the_master_says_so),
        T(test_driver_gives_up_before_the_first_subscription),
        T(test_driver_ends_on_a_wrong_key),
        T(test_driver_takes_over_a_framework),
        T(test_driver_stops_and_leaves_the_framework),
        T(test_driver_tears_the_framework_down),
        T(test_driver_tears_down_after_a_break),
        T(test_driver_does_not_wait_for_ever_to_tear_down),
        T(test_driver_is_deterministic),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
