/* SPDX-License-Identifier: Apache-2.0 */
/* The scheduler driver over changes of the leader, with links to two masters: nothing is repeated,
 * nothing is lost, and the owner is told what it must know. */
#include "tests/support/drv.h"

#define WELCOME(role, epoch)                                                                       \
    "{\"body\":{\"Welcome\":{\"role\":\"" role "\",\"epoch\":" epoch                               \
    ",\"incarnation\":\"" INCARNATION "\"}}}"
#define SUBSCRIBED(epoch, generation)                                                              \
    "{\"type\":\"SUBSCRIBED\",\"subscribed\":{\"framework_id\":{\"value\":\"f1\"},"                \
    "\"epoch\":" epoch ",\"generation\":" generation "}}"
#define STATUS(task, state, more)                                                                  \
    "{\"type\":\"UPDATE\",\"update\":{\"status\":{\"task_id\":{\"value\":\"" task                  \
    "\"},\"agent_id\":{\"value\":\"a1\"},\"state\":\"" state "\"" more "}}}"
#define GONE(task)     STATUS(task, "TASK_GONE", ",\"reason\":\"REASON_RECONCILIATION\"")
#define QUESTION(task) "{\"task_id\":{\"value\":\"" task "\"},\"agent_id\":{\"value\":\"a1\"}}"
#define ASK(peer, tasks)                                                                           \
    "send " peer " {" F1 ",\"type\":\"RECONCILE\",\"reconcile\":{\"tasks\":[" tasks "]}}\n"

/* m1 leads (link 10, epoch 1), m2 stands by (link 20); subscribed as generation 5. */
static void given_two(struct drv *f)
{
    drv_create(f,
               "{\"user\":\"ann\",\"name\":\"demo\",\"capabilities\":"
               "[{\"type\":\"PARTITION_AWARE\"}]}",
               "m1:5055 m2:5055", false);
    drv_start(f);
    drv_up_as(f, 1, 20, WELCOME("STANDBY", "1"));
    drv_up(f, 0, 10, 1);
    drv_hear_event(f, SUBSCRIBED("1", "5"));
    drv_drain(f);
}

/* The same with t1 and t2 launched on o1, and o2 in hand. */
static void given_open_launches(struct drv *f)
{
    given_two(f);
    drv_hear_offer(f, "o1", "");
    drv_hear_offer(f, "o2", "");
    drv_accept(f, "o1", "t1 t2");
    drv_drain(f);
}

/* m2 takes over on the link that stands, in epoch 2. */
static void take_over(struct drv *f)
{
    drv_hear(f, 1, WELCOME("LEADER", "2"));
    drv_hear_event_from(f, 1, SUBSCRIBED("2", "5"));
    drv_drain(f);
}

/* Between ACCEPT and the first status: reconciled at the new leader, never sent again; the one that
 * did not arrive is told as dropped and may be launched anew. */
static void test_driver_rides_through_a_change_in_the_middle_of_an_accept(void **state)
{
    struct drv *f = *state;

    given_open_launches(f);
    drv_hear(f, 1, WELCOME("LEADER", "2"));
    drv_collect(f);
    const char *text = pf_buf_cstr(&f->got);
    assert_non_null(strstr(text, "rescinded o2\ndisconnected -11 m2:5055 leads now\nsend 20 #"));
    assert_non_null(strstr(text, "\"generation\":5"));
    assert_null(strstr(text, "ACCEPT"));
    drv_hear_event_from(f, 1, SUBSCRIBED("2", "5"));
    drv_expect(
        f, "subscribed f1 at m2:5055 epoch 2 again\n" ASK("20", QUESTION("t1") "," QUESTION("t2")));
    drv_hear_event_from(f, 1, STATUS("t1", "TASK_RUNNING", ""));
    drv_expect(f, "update t1 TASK_RUNNING\n");
    drv_hear_event_from(f, 1, GONE("t2"));
    drv_expect(f, "update local t2 TASK_DROPPED\n");
    drv_hear_event_from(f, 1, GONE("t2")); /* the answer to a repeated question */
    drv_expect(f, "");
    drv_hear_event_from(f, 1,
                        "{\"type\":\"OFFERS\",\"offers\":{\"offers\":[{\"id\":{\"value\":\"o3\"},"
                        "\"framework_id\":{\"value\":\"f1\"},\"agent_id\":{\"value\":\"a1\"},"
                        "\"hostname\":\"h1\"}]}}");
    drv_drain(f);
    drv_accept(f, "o3", "t2");
    drv_collect(f);
    assert_non_null(strstr(pf_buf_cstr(&f->got), "send 20 {" F1 ",\"type\":\"ACCEPT\""));
    assert_null(strstr(pf_buf_cstr(&f->got), "update"));
    /* a late answer is about the first launch, not about this one */
    drv_hear_event_from(f, 1, GONE("t2"));
    drv_expect(f, "");
    drv_hear_event_from(f, 1, STATUS("t2", "TASK_RUNNING", ""));
    drv_expect(f, "update t2 TASK_RUNNING\n");
}

/* GONE of a task that was heard of is its end, not a launch that failed. */
static void test_driver_knows_what_never_started(void **state)
{
    struct drv *f = *state;

    given_open_launches(f);
    drv_hear_update(f, "t1", "TASK_RUNNING", "");
    take_over(f);
    drv_hear_event_from(f, 1, GONE("t1"));
    drv_expect(f, "update t1 TASK_GONE\n");
    /* and an answer that does not say so keeps the launch open */
    drv_hear_event_from(f, 1,
                        STATUS("t2", "TASK_UNREACHABLE", ",\"reason\":\"REASON_RECONCILIATION\""));
    drv_expect(f, "update t2 TASK_UNREACHABLE\n");
}

/* A new instance asks about what stands in its database. A master says nothing while an agent is
 * not back, and a question is lost with its link: it stands until there is an answer. */
static void test_driver_keeps_a_question_of_the_owner(void **state)
{
    struct drv *f = *state;
    struct pf_str ids[] = {PF_STR("x"), PF_STR("y"), PF_STR("z")};
    struct pf_driver_event ev = {.type = PF_DRIVER_RECONCILE,
                                 .reconcile = {.task = ids, .n_tasks = 3}};
    struct pf_driver_stats stats;

#define X(id) "{\"task_id\":{\"value\":\"" id "\"}}"
    given_two(f);
    drv_step(f, ev);
    drv_expect(f, ASK("10", X("x") "," X("y") "," X("z")));
    drv_hear_event_from(f, 0, STATUS("z", "TASK_UNKNOWN", ",\"reason\":\"REASON_RECONCILIATION\""));
    drv_expect(f, "update z TASK_UNKNOWN\n");
    f->now_ms += 100;
    drv_step(f, (struct pf_driver_event){.type = PF_DRIVER_DEADLINE});
    drv_expect(f, ASK("10", X("x") "," X("y")));
    drv_hear(f, 1, WELCOME("LEADER", "2"));
    drv_hear_event_from(f, 1, SUBSCRIBED("2", "5"));
    drv_collect(f);
    assert_non_null(strstr(pf_buf_cstr(&f->got), ASK("20", X("x") "," X("y"))));
    pf_driver_stats(f->d, &stats);
    assert_int_equal(stats.n_tasks, 0);
    drv_hear_event_from(f, 1, GONE("x")); /* nobody launched it here: nothing was dropped */
    drv_expect(f, "update x TASK_GONE\n");
    drv_hear_event_from(f, 1, STATUS("y", "TASK_RUNNING", ",\"reason\":\"REASON_RECONCILIATION\""));
    drv_expect(f, "update y TASK_RUNNING\n");
    pf_driver_stats(f->d, &stats);
    assert_int_equal(stats.n_tasks, 1);
    f->now_ms += 60000;
    drv_step(f, (struct pf_driver_event){.type = PF_DRIVER_DEADLINE});
    drv_expect(f, "");
#undef X
}

/* A kill in flight is said again when the task is heard of; of a launch that never arrived it is
 * the end. */
static void test_driver_repeats_a_kill_at_the_new_leader(void **state)
{
    struct drv *f = *state;

    given_open_launches(f);
    drv_kill(f, "t1", 1000, 0);
    drv_kill(f, "t2", 1000, 0);
    take_over(f);
    drv_hear_event_from(f, 1, STATUS("t1", "TASK_RUNNING", ""));
    drv_collect(f);
    assert_non_null(strstr(pf_buf_cstr(&f->got), "send 20 {" F1 ",\"type\":\"KILL\""));
    drv_hear_event_from(f, 1, GONE("t2"));
    drv_expect(f, "update local t2 TASK_KILLED\n");
}

/* A leader that steps down says so: nothing of it is good any more, and it may come back. */
static void test_driver_leaves_a_leader_that_steps_down(void **state)
{
    struct drv *f = *state;

    given_open_launches(f);
    drv_hear(f, 0, WELCOME("STANDBY", "1"));
    drv_expect(f, "rescinded o2\ndisconnected -11 m1:5055 leads no more\n");
    assert_true(pf_driver_deadline(f->d) == INT64_MAX); /* all links stand: it waits to be told */
    drv_hear(f, 0, WELCOME("LEADER", "3"));
    drv_collect(f);
    assert_non_null(strstr(pf_buf_cstr(&f->got), "send 10 #2 {" F1 ",\"type\":\"SUBSCRIBE\""));
    drv_hear_event(f, SUBSCRIBED("3", "5"));
    drv_drain(f);
    /* stepped down and back so fast that only the epoch tells */
    drv_hear(f, 0, WELCOME("LEADER", "4"));
    drv_collect(f);
    assert_non_null(
        strstr(pf_buf_cstr(&f->got), "disconnected -11 m1:5055 leads now\nsend 10 #3 "));
    drv_hear_event(f, SUBSCRIBED("4", "5"));
    drv_drain(f);
    drv_hear(f, 0, WELCOME("LEADER", "4")); /* only its list of masters changed */
    drv_expect(f, "");
}

/* "I do not lead" is no refusal: it waits for who does. */
static void test_driver_waits_for_a_leader_when_put_off(void **state)
{
    struct drv *f = *state;

    given_two(f);
    drv_call(f, PF_DRIVER_TEARDOWN);
    drv_expect(f, "send 10 #2 {" F1 ",\"type\":\"TEARDOWN\"}\n");
    drv_hear(f, 0,
             "{\"request_id\":2,\"is_reply\":true,\"code\":\"NOT_LEADER\","
             "\"body\":{\"Reply\":{}}}");
    drv_expect(f, "disconnected -11 m1:5055: NOT_LEADER\n");
    drv_hear(f, 1, WELCOME("LEADER", "2"));
    drv_drain(f);
    drv_hear_event_from(f, 1, SUBSCRIBED("2", "5"));
    drv_expect(f, "subscribed f1 at m2:5055 epoch 2 again\n"
                  "send 20 #4 {" F1 ",\"type\":\"TEARDOWN\"}\n");
    drv_hear(f, 1, "{\"request_id\":4,\"is_reply\":true,\"code\":\"OK\",\"body\":{\"Reply\":{}}}");
    drv_expect(f, "close 10\nclose 20\nstopped\n");
}

/* As long as any master answers, the first subscription waits; who asks is told why. */
static void test_driver_waits_for_the_first_leader(void **state)
{
    struct drv *f = *state;
    struct pf_buf why = {0};

    drv_create(f, "{\"user\":\"ann\",\"name\":\"demo\"}", "m1:5055 m2:5055", false);
    assert_true(pf_driver_leaderless_since(f->d, &why) == INT64_MAX);
    drv_start(f);
    drv_up_as(f, 0, 10, WELCOME("STANDBY", "1"));
    drv_drain(f);
    drv_wait_between(f, 5000, 5000);
    drv_wait_between(f, 1000, 1000);
    drv_expect(f, "");
    assert_int_equal(pf_driver_leaderless_since(f->d, &why), 1000);
    assert_string_equal(pf_buf_cstr(&why), "m1:5055 stands by, m2:5055: not reached yet");
    drv_up(f, 1, 20, 2);
    drv_hear_event_from(f, 1, SUBSCRIBED("2", "1"));
    assert_true(pf_driver_is_subscribed(f->d));
    pf_buf_clear(&why);
    assert_true(pf_driver_leaderless_since(f->d, &why) == INT64_MAX);
    assert_int_equal(why.len, 0);
    f->now_ms += 50;
    drv_down(f, 1, PF_ECONN);
    drv_drain(f);
    assert_int_equal(pf_driver_leaderless_since(f->d, &why), f->now_ms);
    assert_string_equal(pf_buf_cstr(&why), "m1:5055 stands by, m2:5055: connection failed");
    pf_buf_fini(&why);
}

/* Two addresses of one master: one link, one subscription. */
static void test_driver_keeps_one_link_to_each_master(void **state)
{
    struct drv *f = *state;

    drv_create(f, "{\"user\":\"ann\",\"name\":\"demo\"}", "m1:5055 localhost:5055", false);
    drv_start(f);
    drv_drain(f);
    drv_up_as(f, 0, 10,
              "{\"body\":{\"Welcome\":{\"role\":\"LEADER\",\"epoch\":1,\"instance\":\"i\"}}}");
    drv_collect(f);
    drv_up_as(f, 1, 20,
              "{\"body\":{\"Welcome\":{\"role\":\"LEADER\",\"epoch\":1,\"instance\":\"i\"}}}");
    drv_expect(f, "close 20\n");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, drv_setup, drv_teardown)
    const struct CMUnitTest tests[] = {
        T(test_driver_rides_through_a_change_in_the_middle_of_an_accept),
        T(test_driver_knows_what_never_started),
        T(test_driver_keeps_a_question_of_the_owner),
        T(test_driver_repeats_a_kill_at_the_new_leader),
        T(test_driver_leaves_a_leader_that_steps_down),
        T(test_driver_waits_for_a_leader_when_put_off),
        T(test_driver_waits_for_the_first_leader),
        T(test_driver_keeps_one_link_to_each_master),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
