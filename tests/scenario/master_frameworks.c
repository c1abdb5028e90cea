/* SPDX-License-Identifier: Apache-2.0 */
/* Schedulers come, go, fail over and stay away; masters are restarted under them. */
#include "tests/support/master_world.h"
#include "tests/support/test.h"

enum { AGENT = 11, AGENT2 = 12, FW = 21, FW2 = 22, FW3 = 23, OP = 31 };

static int setup(void **state)
{
    struct mw *w = mw_create();

    mw_boot(w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    mw_destroy(*state);
    return 0;
}

/* A scheduler on a new link names framework `id`. */
static void subscribe_as(struct mw *w, uint64_t peer, const char *id, const char *instance)
{
    mw_up(w, peer, "SCHEDULER", true, "");
    mw_call(w, peer, "SUBSCRIBE",
            "'subscribe':{'framework_info':{'user':'u','name':'again','id':{'value':'%s'},"
            "'failover_timeout':60},'instance':'%s'}",
            id, instance);
}

/* A framework with a running task t1 and a failover time-out of a minute. */
static const char *given_running(struct mw *w, const char *more)
{
    const char *f;

    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:1024", "");
    f = mw_framework(w, FW, "'failover_timeout':60", more);
    mw_expect(w, FW, "'type':'OFFERS'", NULL);
    mw_accept(w, FW, mw_field(w, "id"), mw_task(w, "t1", MW_A1, "cpus:1;mem:24"), "");
    mw_update(w, AGENT, f, "t1", "TASK_RUNNING", 1);
    mw_expect(w, FW, "TASK_RUNNING", NULL);
    mw_drop(w, AGENT);
    mw_drop(w, FW);
    return f;
}

/* A second scheduler with the same id: the first gets ERROR and its link ends; the task goes on,
 * and the update that was not acknowledged is told again. */
static void test_failover_evicts_the_old_scheduler(void **state)
{
    struct mw *w = *state;
    const char *f = given_running(w, "'instance':'one'");

    subscribe_as(w, FW2, f, "two");
    mw_expect(w, FW, "'type':'ERROR'", "Framework failed over", NULL);
    mw_expect(w, FW, "CLOSED", NULL);
    mw_expect(w, FW2, "'type':'SUBSCRIBED'", f, "'generation':2", NULL);
    mw_expect(w, FW2, "TASK_RUNNING", mw_uuid(w, 1), NULL);
    mw_pass(w, 5000);
    mw_expect(w, FW2, "'type':'OFFERS'", NULL);
    mw_call(w, FW, "KILL", "'kill':{'task_id':{'value':'t1'}}"); /* a stale link cannot act */
    mw_expect_nothing(w, AGENT);
    subscribe_as(w, FW3, f, "one"); /* nor can the older instance come back */
    mw_expect(w, FW3, "'type':'ERROR'", "Framework failed over", NULL);
    mw_expect(w, FW3, "CLOSED", NULL);
    mw_down(w, FW); /* the end of the old link changes nothing */
    mw_call(w, FW2, "KILL", "'kill':{'task_id':{'value':'t1'}}");
    mw_expect(w, AGENT, "AgentKill", NULL);
}

/* The same instance on a new link: no new generation, its old link just ends. */
static void test_same_instance_comes_back(void **state)
{
    struct mw *w = *state;
    const char *f = given_running(w, "'instance':'one'");

    subscribe_as(w, FW2, f, "one");
    mw_expect(w, FW, "CLOSED", NULL);
    mw_expect(w, FW2, "'type':'SUBSCRIBED'", "'generation':1", NULL);
}

/* Without a failover time-out the framework ends with its link; its agents end its tasks. */
static void test_framework_without_timeout_ends_with_its_link(void **state)
{
    struct mw *w = *state;

    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:1024", "");
    const char *f = mw_framework(w, FW, "", "");

    mw_expect(w, FW, "'type':'OFFERS'", NULL);
    mw_accept(w, FW, mw_field(w, "id"), mw_task(w, "t1", MW_A1, "cpus:1;mem:24"), "");
    mw_drop(w, AGENT);
    mw_drop_trace(w);
    mw_down(w, FW);
    mw_expect(w, AGENT, "AgentTeardown", f, NULL);
    mw_expect_trace(w, "framework f11 active->disconnected link\n"
                       "framework f11 disconnected->completed disconnected\n"
                       "task t1 staging->killed framework_removed\n");
    subscribe_as(w, FW2, f, "x");
    mw_expect(w, FW2, "'type':'ERROR'", "Framework has been removed", NULL);
    mw_expect(w, FW2, "CLOSED", NULL);
}

/* It stays away longer than its failover time-out. */
static void test_failover_timeout_removes(void **state)
{
    struct mw *w = *state;
    const char *f = given_running(w, "");

    mw_down(w, FW);
    mw_expect_nothing(w, AGENT);
    mw_pass(w, 59999);
    mw_expect_nothing(w, AGENT);
    mw_pass(w, 1);
    mw_expect(w, AGENT, "AgentTeardown", f, NULL);
    mw_ask(w, OP, "GET_TASKS", "%s", "");
    mw_expect(w, OP, "'completed_tasks':[{", "TASK_KILLED", NULL);
}

/* It comes back in time: nothing happened to its task. */
static void test_framework_comes_back_in_time(void **state)
{
    struct mw *w = *state;
    const char *f = given_running(w, "");

    mw_down(w, FW);
    mw_pass(w, 50000);
    subscribe_as(w, FW2, f, "");
    mw_expect(w, FW2, "'type':'SUBSCRIBED'", NULL);
    mw_pass(w, 100000);
    mw_expect_nothing(w, AGENT);
    mw_ask(w, OP, "GET_TASKS", "%s", "");
    mw_expect(w, OP, "'tasks':[{", "TASK_RUNNING", NULL);
}

/* TEARDOWN by the scheduler: a reply, then the end of the link. */
static void test_teardown_by_scheduler(void **state)
{
    struct mw *w = *state;
    const char *f = given_running(w, "");

    mw_send(w, FW, "'request_id':4,'body':{'Scheduler_Call':{'type':'TEARDOWN'}}");
    mw_expect(w, FW, "'request_id':4", "'is_reply':true", "'code':'ACCEPTED'", NULL);
    mw_expect(w, FW, "CLOSED", NULL);
    mw_expect(w, AGENT, "AgentTeardown", f, NULL);
}

/* ... by an operator: the scheduler is told. */
static void test_teardown_by_operator(void **state)
{
    struct mw *w = *state;
    const char *f = given_running(w, "");

    mw_ask(w, OP, "TEARDOWN", "'teardown':{'framework_id':{'value':'%s'}}", f);
    mw_expect(w, OP, "'is_reply':true", NULL);
    mw_expect(w, FW, "'type':'ERROR'", "Framework has been removed", NULL);
    mw_expect(w, FW, "CLOSED", NULL);
    mw_expect(w, AGENT, "AgentTeardown", f, NULL);
    mw_ask(w, OP, "TEARDOWN", "'teardown':{'framework_id':{'value':'%s'}}", f);
    mw_expect(w, OP, "'code':'CONFLICT'", "has ended", NULL);
    mw_ask(w, OP, "TEARDOWN", "'teardown':{'framework_id':{'value':'nope'}}");
    mw_expect(w, OP, "'code':'NOT_FOUND'", NULL);
}

/* The agent of a removed framework was away: it is told when it registers. */
static void test_agent_of_removed_framework_returns(void **state)
{
    struct mw *w = *state;
    const char *f = given_running(w, "");

    mw_down(w, AGENT);
    mw_call(w, FW, "TEARDOWN", "%s", "");
    mw_up(w, AGENT2, "AGENT", true, "'id':'" MW_A1 "'");
    mw_send(w, AGENT2,
            "'request_id':1,'body':{'AgentRegister':{'info':{'hostname':'h','id':{'value':'" MW_A1
            "'},'resources':[%s]}}}",
            mw_res(w, "cpus:4;mem:1024"));
    mw_expect(w, AGENT2, "AgentTasksWanted", NULL);
    mw_send(w, AGENT2,
            "'body':{'AgentTasks':{'frameworks':[{'framework_id':'%s','info':{'user':'u','name':"
            "'n'}}],'last':true}}",
            f);
    mw_expect(w, AGENT2, "AgentTeardown", f, NULL);
    mw_expect(w, AGENT2, "AgentRegistered", NULL);
}

/* A durable framework: nobody hears SUBSCRIBED before its row is stored. */
static void test_durable_subscription_waits_for_its_row(void **state)
{
    struct mw *w = *state;

    mw_store_hold(w);
    mw_up(w, FW, "SCHEDULER", true, "");
    mw_call(w, FW, "SUBSCRIBE",
            "'subscribe':{'framework_info':{'user':'u','name':'n','failover_timeout':60},"
            "'durable':true}");
    mw_expect_nothing(w, FW);
    mw_store_go(w);
    mw_expect(w, FW, "'type':'SUBSCRIBED'", NULL);
}

/* An agent: nobody hears that it is registered before its row is stored. */
static void test_admission_waits_for_its_row(void **state)
{
    struct mw *w = *state;

    mw_store_hold(w);
    mw_up(w, AGENT, "AGENT", true, "'id':'" MW_A1 "'");
    mw_send(w, AGENT,
            "'request_id':1,'body':{'AgentRegister':{'info':{'hostname':'h','id':{'value':'" MW_A1
            "'},'resources':[%s]}}}",
            mw_res(w, "cpus:4;mem:1024"));
    mw_send(w, AGENT, "'body':{'AgentTasks':{'last':true}}");
    mw_expect_nothing(w, AGENT);
    mw_crash(w); /* before the commit: it never was */
    mw_boot(w);
    mw_ask(w, OP, "GET_AGENTS", "%s", "");
    assert_null(strstr(mw_next(w, OP), MW_A1));
}

/* The master restarts: a durable framework is known from its row, waits for its scheduler and keeps
 * its id and generation. */
static void test_durable_framework_survives_the_master(void **state)
{
    struct mw *w = *state;
    const char *f = given_running(w, "'durable':true,'instance':'one'");

    mw_crash(w);
    mw_boot(w);
    mw_ask(w, OP, "GET_FRAMEWORKS", "%s", "");
    mw_expect(w, OP, f, "'recovered':true", "'connected':false", NULL);
    subscribe_as(w, FW2, f, "two");
    mw_expect(w, FW2, "'type':'SUBSCRIBED'", f, "'generation':2", "'epoch':2", NULL);
}

/* ... and one without a row is learnt from its agent, with at least 30 s for its scheduler. */
static void test_framework_is_learnt_from_its_agent(void **state)
{
    struct mw *w = *state;
    const char *f = given_running(w, "");

    mw_crash(w);
    mw_boot(w);
    mw_up(w, AGENT, "AGENT", true, "'id':'" MW_A1 "'");
    mw_send(w, AGENT,
            "'request_id':1,'body':{'AgentRegister':{'info':{'hostname':'h','id':{'value':'" MW_A1
            "'},'resources':[%s]}}}",
            mw_res(w, "cpus:4;mem:1024"));
    mw_expect(w, AGENT, "AgentTasksWanted", NULL);
    mw_send(
        w, AGENT,
        "'body':{'AgentTasks':{'frameworks':[{'framework_id':'%s','info':{'user':'u','name':'n',"
        "'failover_timeout':1}}],'tasks':[{'name':'t','task_id':{'value':'t1'},'framework_id':{"
        "'value':'%s'},'agent_id':{'value':'" MW_A1 "'},'state':'TASK_RUNNING','resources':[%s],"
        "'launch_uuid':'%s','command':'sleep'}],'last':true}}",
        f, f, mw_res(w, "cpus:1;mem:24"), mw_uuid(w, 9));
    mw_expect(w, AGENT, "AgentRegistered", NULL);
    mw_ask(w, OP, "GET_TASKS", "%s", "");
    mw_expect(w, OP, "'tasks':[{", "TASK_RUNNING", "'command':'sleep'", NULL);
    mw_pass(w, 29999);
    mw_expect_nothing(w, AGENT);
    mw_pass(w, 1);
    mw_expect(w, AGENT, "AgentTeardown", f, NULL);
}

/* A detached framework (`run -d`): its last update waits for `proffer wait`; then it is over. */
static void test_detached_framework_ends_when_acknowledged(void **state)
{
    struct mw *w = *state;
    const char *f = given_running(w, "'durable':true");

    mw_acknowledge(w, FW, MW_A1, "t1", 1);
    mw_expect(w, AGENT, "AgentAcknowledge", NULL);
    mw_down(w, FW);
    mw_up(w, OP, "OPERATOR", true, "");
    mw_send(
        w, OP,
        "'request_id':1,'body':{'Master_Call':{'type':'WAIT_TASKS','wait_tasks':{'framework_id':"
        "'%s'}}}",
        f);
    mw_expect(w, OP, "'request_id':1", "TASK_RUNNING", NULL);
    const char *sequence = mw_field(w, "sequence");

    mw_send(
        w, OP,
        "'request_id':2,'body':{'Master_Call':{'type':'WAIT_TASKS','wait_tasks':{'framework_id':"
        "'%s','sequence':%s}}}",
        f, sequence);
    mw_expect_nothing(w, OP);
    mw_update(w, AGENT, f, "t1", "TASK_FAILED", 2);
    mw_expect(w, OP, "'request_id':2", "TASK_FAILED", mw_uuid(w, 2), NULL);
    mw_ask(w, OP, "ACKNOWLEDGE_TASK", "'acknowledge_task':{'framework_id':'%s','task_id':'t1'}", f);
    mw_expect(w, AGENT, "AgentAcknowledge", mw_uuid(w, 2), NULL);
    mw_expect(w, AGENT, "AgentTeardown", NULL);
    mw_expect(w, OP, "'is_reply':true", NULL);
    mw_ask(w, OP, "GET_FRAMEWORKS", "%s", "");
    mw_expect(w, OP, "'completed_frameworks':[{", f, NULL);
    mw_ask(w, OP, "WAIT_TASKS", "'wait_tasks':{'framework_id':'%s','sequence':999}", f);
    mw_expect(w, OP, "'framework_removed':true", NULL);
}

/* A waiter whose framework ends is told. */
static void test_waiter_is_told_of_the_end(void **state)
{
    struct mw *w = *state;
    const char *f = given_running(w, "");

    mw_ask(w, OP, "WAIT_TASKS", "'wait_tasks':{'framework_id':'%s','sequence':99}", f);
    mw_expect_nothing(w, OP);
    mw_call(w, FW, "TEARDOWN", "%s", "");
    mw_expect(w, OP, "'framework_removed':true", NULL);
}

/* SUBSCRIBE that cannot be. */
static void test_bad_subscriptions_are_refused(void **state)
{
    static const struct {
        const char *info, *expected;
    } cases[] = {
        {"'user':'u','name':'n','roles':['a','b']", "several roles are not supported yet"},
        {"'user':'u','name':'n','role':'a b'", "may not hold spaces"},
        {"'user':'u','name':'n','role':'-a'", "begin with -"},
        {"'user':'u','name':'n','failover_timeout':-1", "failover_timeout"},
        {"'user':'u','name':'n','id':{'value':'a/b'}", "framework id"},
    };
    struct mw *w = *state;

    for (size_t i = 0; i < PF_ARRAY_LEN(cases); i++) {
        uint64_t peer = 40 + i;

        mw_up(w, peer, "SCHEDULER", true, "");
        mw_send(w, peer,
                "'request_id':3,'body':{'Scheduler_Call':{'type':'SUBSCRIBE','subscribe':{"
                "'framework_info':{%s}}}}",
                cases[i].info);
        mw_expect(w, peer, "'type':'ERROR'", cases[i].expected, NULL);
        mw_expect(w, peer, "'request_id':3", "'code':'BAD_REQUEST'", cases[i].expected, NULL);
        mw_expect(w, peer, "CLOSED", NULL);
    }
    mw_up(w, FW, "SCHEDULER", true, "");
    mw_call(w, FW, "SUBSCRIBE",
            "'framework_id':{'value':'x'},'subscribe':{'framework_info':{'user':'u','name':'n'}}");
    mw_expect(w, FW, "'type':'ERROR'", "differs", NULL);
}

/* An id nobody knows is accepted, as in Mesos. */
static void test_unknown_framework_id_is_accepted(void **state)
{
    struct mw *w = *state;

    subscribe_as(w, FW, "marathon", "");
    mw_expect(w, FW, "'type':'SUBSCRIBED'", "marathon", NULL);
}

/* The history keeps the last 50 frameworks, each with its last 1000 tasks. */
static void test_history_is_bounded(void **state)
{
    struct mw *w = *state;
    uint64_t peer = 100;

    for (unsigned i = 0; i < 52; i++) {
        (void)mw_framework(w, peer, "", "");
        mw_down(w, peer);
    }
    mw_ask(w, OP, "GET_FRAMEWORKS", "'page':{'limit':1000}");
    const char *all = mw_next(w, OP);
    unsigned n = 0;

    for (const char *at = all; (at = strstr(at, "framework_info")) != NULL; at++) {
        n++;
    }
    assert_int_equal(n, 50);
    assert_null(strstr(all, "\"f12\""));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    static const struct CMUnitTest tests[] = {
        T(test_failover_evicts_the_old_scheduler),
        T(test_same_instance_comes_back),
        T(test_framework_without_timeout_ends_with_its_link),
        T(test_failover_timeout_removes),
        T(test_framework_comes_back_in_time),
        T(test_teardown_by_scheduler),
        T(test_teardown_by_operator),
        T(test_agent_of_removed_framework_returns),
        T(test_durable_subscription_waits_for_its_row),
        T(test_admission_waits_for_its_row),
        T(test_durable_framework_survives_the_master),
        T(test_framework_is_learnt_from_its_agent),
        T(test_detached_framework_ends_when_acknowledged),
        T(test_waiter_is_told_of_the_end),
        T(test_bad_subscriptions_are_refused),
        T(test_unknown_framework_id_is_accepted),
        T(test_history_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
