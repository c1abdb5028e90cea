/* SPDX-License-Identifier: Apache-2.0 */
/* Custom executors: taken with their first task, kept until they are gone, messages both ways. */
#include <stdio.h>
#include "master/core/master.h"
#include "tests/support/master_world.h"
#include "tests/support/test.h"

enum { AGENT = 11, AGENT2 = 12, FW = 21, OP = 31 };

#define RES1           "'resources':[{'name':'cpus','type':'SCALAR','scalar':{'value':1}}]"
#define INFO(id, more) "{'executor_id':{'value':'" id "'},'command':{'value':'run'}," RES1 more "}"

static const char *framework, *offer;

static int setup(void **state)
{
    struct mw *w = mw_create();

    mw_boot(w);
    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:1024", "");
    framework = mw_framework(w, FW, "'failover_timeout':100", "");
    mw_expect(w, FW, "'type':'OFFERS'", NULL);
    offer = mw_field(w, "id");
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    mw_destroy(*state);
    return 0;
}

/* A TaskInfo with this executor. */
static const char *task(char out[1024], const char *id, const char *executor, const char *cpus)
{
    (void)snprintf(out, 1024,
                   "{'name':'t','task_id':{'value':'%s'},'agent_id':{'value':'" MW_A1 "'},"
                   "'resources':[{'name':'cpus','type':'SCALAR','scalar':{'value':%s}}],"
                   "'executor':%s}",
                   id, cpus, executor);
    return out;
}

#define NO_FILTER "'filters':{'refuse_seconds':0}"

/* `id` with its own executor of one cpu runs; what is left is in `offer`. */
static void launch(struct mw *w, const char *id, const char *executor, const char *left)
{
    char text[1024];

    mw_accept(w, FW, offer, task(text, id, executor, "0.5"), NO_FILTER);
    mw_expect(w, AGENT, "AgentLaunch", id, "'executor_id':{'value':'e1'}",
              "'framework_id':{'value':'f", NULL);
    mw_expect(w, FW, "'type':'OFFERS'", "'executor_ids':[{'value':'e1'}]", left, NULL);
    offer = mw_field(w, "id");
}

static void expect_executors(struct mw *w, uint64_t n)
{
    struct pf_master_stats s;

    pf_master_stats(mw_core(w), &s);
    assert_int_equal(s.n_executors, n);
}

/* The first task takes the executor's resources too, the second only its own. */
static void test_executor_is_taken_once(void **state)
{
    struct mw *w = *state;

    launch(w, "t1", INFO("e1", ""), "'scalar':{'value':2.5}");
    char text[1024];

    mw_accept(w, FW, offer, task(text, "t2", INFO("e1", ""), "0.5"), NO_FILTER);
    mw_expect(w, AGENT, "AgentLaunch", "'value':'t2'", "'joins_executor':true", NULL);
    mw_expect(w, FW, "'type':'OFFERS'", "'scalar':{'value':2.0}", NULL);
    expect_executors(w, 1);
    mw_ask(w, OP, "GET_EXECUTORS", "%s", "");
    mw_expect(w, OP, "'executors':[{'executor_info':{'executor_id':{'value':'e1'}",
              "'framework_id':{'value':'f", "'agent_id':{'value':'" MW_A1, NULL);
    mw_ask(w, OP, "GET_AGENTS", "%s", "");
    mw_expect(w, OP, "'allocated_resources':[{'name':'cpus','type':'SCALAR','scalar':{'value':2.0}",
              NULL);
    mw_ask(w, OP, "GET_TASKS", "%s", "");
    mw_expect(w, OP, "'executor_id':{'value':'e1'}", "'command':'run'", NULL);
}

/* Two executors in one call: the second does not fit beside its task. */
static void test_executor_must_fit(void **state)
{
    struct mw *w = *state;
    char one[1024], two[1024], both[2100];

    (void)snprintf(both, sizeof both, "%s,%s", task(one, "t1", INFO("e1", ""), "1"),
                   task(two, "t2", INFO("e2", ""), "1.5"));
    mw_accept(w, FW, offer, both, NO_FILTER);
    mw_expect(w, AGENT, "AgentLaunch", "'value':'t1'", NULL);
    mw_expect_nothing(w, AGENT);
    mw_expect(w, FW, "TASK_ERROR", "'value':'t2'",
              "Total resources cpus:2.5 required by task and its executor is more than available "
              "cpus:2;mem:1024",
              NULL);
    mw_expect(w, FW, "'type':'OFFERS'", "'scalar':{'value':2.0}", NULL);
    expect_executors(w, 1);
}

static void test_executor_infos_are_compared(void **state)
{
    static const struct {
        const char *executor, *expected;
    } cases[] = {
        {INFO("e1", ",'name':'x'"), "not compatible with existing"},
        {"{'executor_id':{'value':'e1'},'command':{'value':'run'}}", "not compatible"},
        {INFO("e2", ",'type':'DEFAULT'"), "ExecutorInfo.type"},
        {INFO("e2", ",'framework_id':{'value':'other'}"), "Actual: other vs Expected: f"},
        {INFO("e2", ",'shutdown_grace_period':{'nanoseconds':-1}"), "must be non-negative"},
        {INFO("e/2", ""), "Executor id"},
        {INFO("e2", ",'container':{'type':'DOCKER','docker':{'image':'x'}}"), "containers"},
        {"{'executor_id':{'value':'e2'},'command':{}}", "neither a value nor a script"},
        {"{'executor_id':{'value':'e2'},'command':{'value':'x'},'resources':[{'name':'cpus','type':"
         "'SCALAR','scalar':{'value':-1}}]}",
         "Executor uses invalid resources"},
    };
    struct mw *w = *state;
    char text[1024];

    launch(w, "t1", INFO("e1", ""), "'scalar':{'value':2.5}");
    for (size_t i = 0; i < PF_ARRAY_LEN(cases); i++) {
        mw_accept(w, FW, offer, task(text, "t2", cases[i].executor, "1"), NO_FILTER);
        mw_expect(w, FW, "TASK_ERROR", "REASON_TASK_INVALID", cases[i].expected, NULL);
        mw_expect(w, FW, "'type':'OFFERS'", NULL);
        offer = mw_field(w, "id");
        mw_expect_nothing(w, AGENT);
    }
    /* The same words in another order are the same. */
    launch(w, "t2",
           "{" RES1 ",'command':{'value':'run'},'framework_id':{'value':'f11'},"
           "'executor_id':{'value':'e1'}}",
           "'scalar':{'value':2.0}");
}

static void exited(struct mw *w, const char *id, unsigned sequence, const char *more)
{
    mw_send(w, AGENT,
            "'body':{'AgentExecutorExited':{'framework_id':'%s','executor_id':'%s','status':9,"
            "'sequence':%u%s}}",
            framework, id, sequence, more);
}

/* FAILURE with the raw status, once; its resources are offered again. */
static void test_executor_exits(void **state)
{
    struct mw *w = *state;

    launch(w, "t1", INFO("e1", ""), "'scalar':{'value':2.5}");
    mw_call(w, FW, "DECLINE", "'decline':{'offer_ids':[{'value':'%s'}]," NO_FILTER "}", offer);
    mw_expect(w, FW, "'type':'OFFERS'", NULL);
    exited(w, "e1", 3, "");
    mw_expect(w, FW, "'type':'FAILURE'", "'agent_id':{'value':'" MW_A1,
              "'executor_id':{'value':'e1'", "'status':9", NULL);
    mw_expect(w, FW, "'type':'OFFERS'", "'scalar':{'value':1.0}", NULL);
    expect_executors(w, 0);
    exited(w, "e1", 3, ""); /* said twice */
    mw_expect_nothing(w, FW);
    exited(w, "e7", 4, ""); /* not known here, and news */
    mw_expect(w, FW, "'type':'FAILURE'", "e7", NULL);
    exited(w, "e8", 5, ",'is_silent':true");
    mw_expect_nothing(w, FW);
}

/* An agent that heard all needs no list; the sequence of an exit counts. */
static void test_exit_counts_in_sequence(void **state)
{
    struct mw *w = *state;

    launch(w, "t1", INFO("e1", ""), "'scalar':{'value':2.5}");
    mw_update(w, AGENT, framework, "t1", "TASK_RUNNING", 1);
    exited(w, "e1", 5, "");
    mw_drop(w, FW);
    mw_down(w, AGENT);
    mw_up(w, AGENT2, "AGENT", true, "'id':'" MW_A1 "','instance':'i11'");
    mw_send(w, AGENT2,
            "'request_id':1,'body':{'AgentRegister':{'info':{'hostname':'h','id':{'value':'" MW_A1
            "'},'resources':[%s]},'instance':'','sequence':5}}",
            mw_res(w, "cpus:4;mem:1024"));
    mw_expect(w, AGENT2, "AgentTasksWanted", NULL); /* the first one had no instance */
}

static void test_messages(void **state)
{
    struct mw *w = *state;
    struct pf_master_stats s;

    launch(w, "t1", INFO("e1", ""), "'scalar':{'value':2.5}");
#define MESSAGE(agent, executor)                                                                   \
    "'message':{'agent_id':{'value':'" agent "'},'executor_id':{'value':'" executor                \
    "'},'data':'aGVsbG8='}"
    mw_call(w, FW, "MESSAGE", "%s", MESSAGE(MW_A1, "e1"));
    mw_expect(w, AGENT, "AgentMessage", "'framework_id':'f", "'executor_id':'e1'",
              "aGVsbG8=", NULL);
    mw_call(w, FW, "MESSAGE", "%s", MESSAGE(MW_A1, "e2"));
    mw_call(w, FW, "MESSAGE", "%s", MESSAGE(MW_A2, "e1"));
    mw_expect_nothing(w, AGENT);
    mw_send(w, AGENT,
            "'body':{'AgentMessage':{'framework_id':'%s','executor_id':'e1','data':'aGk=',"
            "'from_executor':true}}",
            framework);
    mw_expect(w, FW, "'type':'MESSAGE'", "'agent_id':{'value':'" MW_A1,
              "'executor_id':{'value':'e1'", "aGk=", NULL);
    mw_send(w, AGENT,
            "'body':{'AgentMessage':{'framework_id':'nobody','executor_id':'e1','data':'aGk=',"
            "'from_executor':true}}");
    mw_expect_nothing(w, FW);
    pf_master_stats(mw_core(w), &s);
    assert_int_equal(s.messages, 2);
    assert_int_equal(s.messages_dropped, 3);
}

/* SHUTDOWN goes to the agent, and once more when it may not have heard of it. */
static void test_shutdown(void **state)
{
    struct mw *w = *state;

    launch(w, "t1", INFO("e1", ""), "'scalar':{'value':2.5}");
    mw_call(w, FW, "SHUTDOWN", "%s",
            "'shutdown':{'agent_id':{'value':'" MW_A1 "'},'executor_id':{'value':'e2'}}");
    mw_expect_nothing(w, AGENT);
    mw_call(w, FW, "SHUTDOWN", "%s",
            "'shutdown':{'agent_id':{'value':'" MW_A1 "'},'executor_id':{'value':'e1'}}");
    mw_expect(w, AGENT, "AgentShutdownExecutor", "'executor_id':'e1'", NULL);
    mw_down(w, AGENT);
    mw_up(w, AGENT2, "AGENT", true, "'id':'" MW_A1 "','instance':'i11'");
    mw_send(w, AGENT2,
            "'request_id':1,'body':{'AgentRegister':{'info':{'hostname':'h','id':{'value':'" MW_A1
            "'},'resources':[%s]}}}",
            mw_res(w, "cpus:4;mem:1024"));
    mw_expect(w, AGENT2, "AgentTasksWanted", NULL);
    mw_send(w, AGENT2,
            "'body':{'AgentTasks':{'last':true,'executors':[{'framework_id':'%s','info':%s}]}}",
            framework, INFO("e1", ""));
    mw_expect(w, AGENT2, "AgentRegistered", NULL);
    mw_expect(w, AGENT2, "AgentShutdownExecutor", "'executor_id':'e1'", NULL);
    expect_executors(w, 1);
}

/* A list that does not name it: it is gone, silently. */
static void test_list_without_it(void **state)
{
    struct mw *w = *state;

    launch(w, "t1", INFO("e1", ""), "'scalar':{'value':2.5}");
    mw_down(w, AGENT);
    mw_drop(w, FW);
    mw_agent(w, AGENT2, MW_A1, "cpus:4;mem:1024", "");
    mw_expect(w, FW, "'value':'t1'", "TASK_LOST", NULL);
    mw_expect(w, FW, "'type':'OFFERS'", "'scalar':{'value':4.0}", NULL);
    expect_executors(w, 0);
}

/* Its agent is unreachable: FAILURE with the agent alone, after the tasks' updates. */
static void test_agent_is_unreachable(void **state)
{
    struct mw *w = *state;

    launch(w, "t1", INFO("e1", ""), "'scalar':{'value':2.5}");
    mw_down(w, AGENT);
    mw_drop(w, FW);
    mw_pass(w, 76000);
    mw_expect(w, FW, "'value':'t1'", "TASK_LOST", NULL);
    mw_expect(w, FW, "'type':'FAILURE'", "'failure':{'agent_id':{'value':'" MW_A1 "'}}", NULL);
    expect_executors(w, 0);
}

/* Back, and lost again while it lists what it has: nothing is told twice. */
static void test_agent_is_lost_while_it_lists(void **state)
{
    struct mw *w = *state;

    launch(w, "t1", INFO("e1", ""), "'scalar':{'value':2.5}");
    mw_down(w, AGENT);
    mw_pass(w, 76000);
    mw_drop(w, FW);
    mw_up(w, AGENT2, "AGENT", true, "'id':'" MW_A1 "','instance':'i11'");
    mw_send(w, AGENT2,
            "'request_id':1,'body':{'AgentRegister':{'info':{'hostname':'h','id':{'value':'" MW_A1
            "'},'resources':[%s]}}}",
            mw_res(w, "cpus:4;mem:1024"));
    mw_expect(w, AGENT2, "AgentTasksWanted", NULL);
    mw_send(w, AGENT2, "'body':{'AgentTasks':{'executors':[{'framework_id':'%s','info':%s}]}}",
            framework, INFO("e1", ""));
    expect_executors(w, 1);
    mw_down(w, AGENT2);
    mw_pass(w, 76000);
    expect_executors(w, 0);
    mw_expect(w, FW, "'type':'FAILURE'", NULL);
    mw_expect_nothing(w, FW);
}

/* After a takeover executors are learnt from the agents. */
static void test_takeover(void **state)
{
    struct mw *w = *state;

    launch(w, "t1", INFO("e1", ""), "'scalar':{'value':2.5}");
    mw_crash(w);
    mw_boot(w);
    mw_up(w, AGENT, "AGENT", true, "'id':'" MW_A1 "','instance':'i11'");
    mw_send(w, AGENT,
            "'request_id':1,'body':{'AgentRegister':{'info':{'hostname':'h','id':{'value':'" MW_A1
            "'},'resources':[%s]}}}",
            mw_res(w, "cpus:4;mem:1024"));
    mw_expect(w, AGENT, "AgentTasksWanted", NULL);
    mw_send(w, AGENT,
            "'body':{'AgentTasks':{'last':true,'frameworks':[{'framework_id':'%s','info':{'user':"
            "'u','name':'n','id':{'value':'%s'},'failover_timeout':100}}],'executors':[{"
            "'framework_id':'%s','info':%s}]}}",
            framework, framework, framework, INFO("e1", ""));
    mw_expect(w, AGENT, "AgentRegistered", NULL);
    expect_executors(w, 1);
    mw_ask(w, OP, "GET_AGENTS", "%s", "");
    mw_expect(w, OP, "'allocated_resources':[{'name':'cpus','type':'SCALAR','scalar':{'value':1.0}",
              NULL);
    mw_ask(w, OP, "TEARDOWN", "'teardown':{'framework_id':{'value':'%s'}}", framework);
    expect_executors(w, 0);
}

/* More than the agent has: it cannot register. */
static void test_list_of_too_much(void **state)
{
    struct mw *w = *state;

    launch(w, "t1", INFO("e1", ""), "'scalar':{'value':2.5}");
    mw_crash(w);
    mw_boot(w);
    mw_up(w, AGENT, "AGENT", true, "'id':'" MW_A1 "','instance':'i11'");
    mw_send(w, AGENT,
            "'request_id':1,'body':{'AgentRegister':{'info':{'hostname':'h','id':{'value':'" MW_A1
            "'},'resources':[%s]}}}",
            mw_res(w, "cpus:0.5"));
    mw_expect(w, AGENT, "AgentTasksWanted", NULL);
    mw_send(w, AGENT,
            "'body':{'AgentTasks':{'last':true,'frameworks':[{'framework_id':'%s','info':{'user':"
            "'u','name':'n','id':{'value':'%s'}}}],'executors':[{'framework_id':'%s','info':%s}]}}",
            framework, framework, framework, INFO("e1", ""));
    mw_expect(w, AGENT, "BAD_REQUEST", "tasks use more than it has (executor e1)", NULL);
    expect_executors(w, 0);
}

static void test_pages_of_executors(void **state)
{
    struct mw *w = *state;
    char text[1024];

    launch(w, "t1", INFO("e1", ""), "'scalar':{'value':2.5}");
    mw_accept(w, FW, offer, task(text, "t2", INFO("e2", ""), "0.5"), "");
    mw_ask(w, OP, "GET_EXECUTORS", "%s", "'page':{'limit':1}");
    mw_expect(w, OP, "'value':'e1'", "'next_after_id':'1'", NULL);
    mw_ask(w, OP, "GET_EXECUTORS", "%s", "'page':{'limit':1,'after_id':'1'}");
    mw_expect(w, OP, "'value':'e2'", NULL);
    mw_ask(w, OP, "GET_EXECUTORS", "%s", "'framework_id':'nobody'");
    mw_expect(w, OP, "'get_executors':{}", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_executor_is_taken_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_executor_must_fit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_executor_infos_are_compared, setup, teardown),
        cmocka_unit_test_setup_teardown(test_executor_exits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_exit_counts_in_sequence, setup, teardown),
        cmocka_unit_test_setup_teardown(test_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shutdown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list_without_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_is_unreachable, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_is_lost_while_it_lists, setup, teardown),
        cmocka_unit_test_setup_teardown(test_takeover, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list_of_too_much, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pages_of_executors, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
