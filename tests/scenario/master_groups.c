/* SPDX-License-Identifier: Apache-2.0 */
/* LAUNCH_GROUP: all tasks under one executor, or none. */
#include <stdio.h>
#include "common/base/buf.h"
#include "master/core/master.h"
#include "tests/support/master_world.h"
#include "tests/support/test.h"

enum { AGENT = 11, FW = 21, OP = 31 };

static const char *framework, *offer;

static int setup(void **state)
{
    struct mw *w = mw_create();

    mw_boot(w);
    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:1024;disk:100;ports:[100-109]", "");
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

#define SMALL                                                                                      \
    "'resources':[{'name':'cpus','type':'SCALAR','scalar':{'value':0.1}},{'name':'mem','type':"    \
    "'SCALAR','scalar':{'value':32}},{'name':'disk','type':'SCALAR','scalar':{'value':1}}]"
#define DEFAULT   "'type':'DEFAULT','executor_id':{'value':'e1'}," SMALL
#define CUSTOM    "'type':'CUSTOM','executor_id':{'value':'e1'},'command':{'value':'run'}," SMALL
#define NO_FILTER "'filters':{'refuse_seconds':0}"

static void launch_group(struct mw *w, const char *executor, const char *tasks)
{
    mw_call(w, FW, "ACCEPT",
            "'accept':{'offer_ids':[{'value':'%s'}],'operations':[{'type':'LAUNCH_GROUP',"
            "'launch_group':{'executor':{%s},'task_group':{'tasks':[%s]}}}]," NO_FILTER "}",
            offer, executor, tasks);
}

static const char *two_tasks(struct mw *w, const char *first, const char *second)
{
    static char text[2048];

    (void)snprintf(text, sizeof text, "%s,%s", mw_task(w, "t1", MW_A1, first),
                   mw_task(w, "t2", MW_A1, second));
    return text;
}

static void next_offer(struct mw *w, const char *cpus)
{
    mw_expect(w, FW, "'type':'OFFERS'", cpus, NULL);
    offer = mw_field(w, "id");
}

static void expect_counts(struct mw *w, uint64_t n_tasks, uint64_t n_executors)
{
    struct pf_master_stats s;

    pf_master_stats(mw_core(w), &s);
    assert_int_equal(s.n_tasks, n_tasks);
    assert_int_equal(s.n_executors, n_executors);
}

/* One message with all of them; the executor's resources are taken with the first group only. */
static void test_group_starts_as_one(void **state)
{
    struct mw *w = *state;

    launch_group(w, DEFAULT, two_tasks(w, "cpus:1;mem:10", "cpus:1;mem:10;ports:[100-100]"));
    mw_expect(
        w, AGENT, "AgentLaunch", "'value':'t1'", "'value':'t2'", "'group_uuid':'",
        "'executor':{'type':'DEFAULT','executor_id':{'value':'e1'},'framework_id':{'value':'f",
        NULL);
    mw_expect_nothing(w, AGENT);
    next_offer(w, "'scalar':{'value':1.9}");
    launch_group(w, DEFAULT, mw_task(w, "t3", MW_A1, "cpus:1"));
    mw_expect(w, AGENT, "AgentLaunch", "'value':'t3'", "'group_uuid':'", NULL);
    next_offer(w, "'scalar':{'value':0.9}");
    expect_counts(w, 3, 1);
    mw_ask(w, OP, "GET_TASKS", "%s", "");
    mw_expect(w, OP, "'group_uuid':'", "'executor_id':{'value':'e1'}", "'command':'true'", NULL);
}

/* A custom executor needs no commands in its tasks. */
static void test_custom_executor(void **state)
{
    struct mw *w = *state;

    launch_group(w, CUSTOM,
                 "{'name':'t','task_id':{'value':'t1'},'agent_id':{'value':'" MW_A1
                 "'},'resources':[{'name':'cpus','type':'SCALAR','scalar':{'value':1}}]}");
    mw_expect(w, AGENT, "AgentLaunch", "'value':'t1'", "'type':'CUSTOM'", NULL);
    next_offer(w, "'scalar':{'value':2.9}");
    expect_counts(w, 1, 1);
}

/* Whatever is wrong with one of them, each is told so, and nothing is used. */
static void test_group_is_refused_as_a_whole(void **state)
{
    static const struct {
        const char *executor, *first, *second, *expected;
    } cases[] = {
        {DEFAULT, "cpus:1", "cpus:3", "required by task group and its executor are more than"},
        {DEFAULT, "ports:[100-102]", "ports:[102-103]", "required by task group"},
        {DEFAULT, "cpus:1", "gpus:0.5", "gpus"},
        {DEFAULT ",'command':{'value':'x'}", "cpus:1", "cpus:1", "must not be set for"},
        {"'executor_id':{'value':'e1'}," SMALL, "cpus:1", "cpus:1", "ExecutorInfo.type"},
        {"'type':'UNKNOWN','executor_id':{'value':'e1'}," SMALL, "cpus:1", "cpus:1",
         "Unknown executor type"},
        {"'type':'CUSTOM','executor_id':{'value':'e1'}," SMALL, "cpus:1", "cpus:1",
         "must be set for"},
        {"'type':'DEFAULT','executor_id':{'value':'e1'}", "cpus:1", "cpus:1", "less CPUs"},
        {"'type':'DEFAULT','executor_id':{'value':'e1'},'resources':[{'name':'cpus','type':"
         "'SCALAR','scalar':{'value':1}}]",
         "cpus:1", "cpus:1", "less memory"},
        {"'type':'DEFAULT','executor_id':{'value':'e1'},'resources':[{'name':'cpus','type':"
         "'SCALAR','scalar':{'value':1}},{'name':'mem','type':'SCALAR','scalar':{'value':32}}]",
         "cpus:1", "cpus:1", "uses no disk"},
    };
    struct mw *w = *state;

    for (size_t i = 0; i < PF_ARRAY_LEN(cases); i++) {
        launch_group(w, cases[i].executor, two_tasks(w, cases[i].first, cases[i].second));
        mw_expect(w, FW, "TASK_ERROR", "'value':'t1'", "REASON_TASK_GROUP_INVALID",
                  cases[i].expected, NULL);
        mw_expect(w, FW, "TASK_ERROR", "'value':'t2'", "REASON_TASK_GROUP_INVALID",
                  cases[i].expected, NULL);
        next_offer(w, "'scalar':{'value':4.0}");
        mw_expect_nothing(w, AGENT);
        expect_counts(w, 0, 0);
    }
}

static void test_twins_and_strangers(void **state)
{
    struct mw *w = *state;
    struct pf_buf text = {0};

    pf_buf_printf(&text, "%s,%s", mw_task(w, "t1", MW_A1, "cpus:1"),
                  mw_task(w, "t1", MW_A1, "cpus:1"));
    launch_group(w, DEFAULT, pf_buf_cstr(&text));
    mw_expect(w, FW, "TASK_ERROR", "Task has duplicate ID: t1", NULL);
    mw_expect(w, FW, "TASK_ERROR", "Task has duplicate ID: t1", NULL);
    next_offer(w, "'scalar':{'value':4.0}");

    /* A task may name the group's executor, and no other. */
    pf_buf_clear(&text);
    pf_buf_printf(&text,
                  "{'name':'t','task_id':{'value':'t1'},'agent_id':{'value':'" MW_A1
                  "'},'resources':[%s],'command':{'value':'true'},'executor':{" DEFAULT "}}",
                  mw_res(w, "cpus:1"));
    launch_group(w, DEFAULT ",'name':'x'", pf_buf_cstr(&text));
    mw_expect(w, FW, "TASK_ERROR", "is different from the group", NULL);
    next_offer(w, "'scalar':{'value':4.0}");
    launch_group(w, DEFAULT, pf_buf_cstr(&text));
    mw_expect(w, AGENT, "AgentLaunch", "'value':'t1'", NULL);
    next_offer(w, "'scalar':{'value':2.9}");

    /* Nothing to start, nobody to tell. */
    launch_group(w, "'type':'DEFAULT','executor_id':{'value':'e2'}," SMALL, "");
    next_offer(w, "'scalar':{'value':2.9}");
    mw_expect_nothing(w, AGENT);
    expect_counts(w, 1, 1);
    pf_buf_fini(&text);
}

/* The states of a task, with times and reasons, oldest first; the last one whole. */
static void test_history_of_states(void **state)
{
    struct mw *w = *state;

    mw_accept(w, FW, offer, mw_task(w, "t1", MW_A1, "cpus:1"), "");
    mw_drop(w, FW);
    for (int i = 1; i <= 20; i++) { /* more than is kept */
        mw_send(w, AGENT,
                "'body':{'AgentUpdate':{'framework_id':'%s','memory_peak_bytes':4096,'status':{"
                "'task_id':{'value':'t1'},'state':'%s','uuid':'%s','source':'SOURCE_EXECUTOR',"
                "'timestamp':%d,'healthy':%s,'reason':'%s','message':'m%d'}}}",
                framework, i == 1 ? "TASK_STARTING" : "TASK_RUNNING", mw_uuid(w, (unsigned)i),
                1000 + i, i % 2 ? "true" : "false", "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED", i);
        mw_acknowledge(w, FW, MW_A1, "t1", (unsigned)i);
    }
    mw_update(w, AGENT, framework, "t1", "TASK_RUNNING", 20); /* once more: nothing new */
    mw_ask(w, OP, "GET_TASKS", "%s", "");
    const char *text = mw_next(w, OP);

    assert_non_null(strstr(text, "\"statuses\":[{\"task_id\":{\"value\":\"t1\"},\"state\":"
                                 "\"TASK_STARTING\",\"source\":\"SOURCE_EXECUTOR\",\"reason\":"
                                 "\"REASON_TASK_HEALTH_CHECK_STATUS_UPDATED\",\"agent_id\":{"));
    assert_non_null(strstr(text, "\"timestamp\":1001.0,\"healthy\":true"));
    assert_non_null(strstr(text, "\"timestamp\":1008.0,"));
    assert_null(strstr(text, "\"timestamp\":1009.0,"));
    assert_null(strstr(text, "\"timestamp\":1012.0,"));
    assert_non_null(strstr(text, "\"timestamp\":1013.0,"));
    assert_non_null(strstr(text, "\"timestamp\":1019.0,"));
    assert_null(strstr(text, "\"m19\""));
    assert_non_null(strstr(text, "\"memory_peak_bytes\":4096"));
}

/* What its agent remembers comes along after a takeover; the master's own words stand between. */
static void test_history_comes_from_agents(void **state)
{
    struct mw *w = *state;

    mw_accept(w, FW, offer, mw_task(w, "t1", MW_A1, "cpus:1"), "");
    mw_crash(w);
    mw_boot(w);
    mw_up(w, AGENT, "AGENT", true, "'id':'" MW_A1 "','instance':'i11'");
    mw_send(w, AGENT,
            "'request_id':1,'body':{'AgentRegister':{'info':{'hostname':'h','id':{'value':'" MW_A1
            "'},'resources':[%s]}}}",
            mw_res(w, "cpus:4"));
    mw_expect(w, AGENT, "AgentTasksWanted", NULL);
#define STATUS(state, at)                                                                          \
    "{'task_id':{'value':'t1'},'state':'" state "','timestamp':" at ",'source':'SOURCE_AGENT'}"
    mw_send(w, AGENT,
            "'body':{'AgentTasks':{'last':true,'frameworks':[{'framework_id':'%s','info':{'user':"
            "'u','name':'n','id':{'value':'%s'},'failover_timeout':100}}],'tasks':[{'name':'t',"
            "'task_id':{'value':'t1'},'framework_id':{'value':'%s'},'agent_id':{'value':'" MW_A1
            "'},'state':'TASK_RUNNING','launch_uuid':'%s','resources':[%s],'memory_peak_bytes':77,"
            "'statuses':[" STATUS("TASK_STARTING", "5") "," STATUS("TASK_RUNNING", "6") "]}]}}",
            framework, framework, framework, mw_uuid(w, 9), mw_res(w, "cpus:1"));
    mw_expect(w, AGENT, "AgentRegistered", NULL);
    mw_down(w, AGENT);
    mw_pass(w, 76000);
    mw_ask(w, OP, "GET_TASKS", "%s", "");
    const char *text = mw_next(w, OP);
    const char *starting = strstr(text, "\"timestamp\":5.0"),
               *running = strstr(text, "\"timestamp\":6.0");
    const char *lost = strstr(text, "REASON_AGENT_REMOVED");

    assert_true(starting && running && lost && starting < running && running < lost);
    assert_non_null(strstr(text, "\"memory_peak_bytes\":77"));
}

/* The end of a stream was told with the registration, its head comes behind: no state is lost, none
 * stands twice. */
static void test_history_in_order(void **state)
{
    struct mw *w = *state;

    mw_accept(w, FW, offer, mw_task(w, "t1", MW_A1, "cpus:1"), "");
    for (int i = 3; i >= 1; i--) {
        mw_send(w, AGENT,
                "'body':{'AgentUpdate':{'framework_id':'%s','status':{'task_id':{'value':'t1'},"
                "'state':'TASK_RUNNING','uuid':'%s','source':'SOURCE_EXECUTOR','timestamp':%d}}}",
                framework, mw_uuid(w, (unsigned)i), i);
    }
    mw_send(w, AGENT,
            "'body':{'AgentUpdate':{'framework_id':'%s','status':{'task_id':{'value':'t1'},"
            "'state':'TASK_RUNNING','uuid':'%s','source':'SOURCE_EXECUTOR','timestamp':2}}}",
            framework, mw_uuid(w, 2));
    mw_ask(w, OP, "GET_TASKS", "%s", "");
    const char *text = mw_next(w, OP), *at = text;

    for (int i = 1; i <= 3; i++) {
        char want[32];

        (void)snprintf(want, sizeof want, "\"timestamp\":%d", i);
        at = strstr(at, want);
        assert_non_null(at);
        assert_null(strstr(at + 1, want));
    }
}

/* Where the agent's HTTP is. */
static void test_url_of_an_offer(void **state)
{
    struct mw *w = *state;

    mw_up(w, AGENT + 1, "AGENT", true, "'id':'" MW_A2 "','instance':'i12'");
    mw_send(w, AGENT + 1,
            "'request_id':1,'body':{'AgentRegister':{'info':{'hostname':'box','id':{'value':'" MW_A2
            "'},'resources':[%s]},'http_address':'10.0.0.2:5051'}}",
            mw_res(w, "cpus:4;mem:64"));
    mw_send(w, AGENT + 1, "'body':{'AgentTasks':{'last':true}}");
    mw_expect(w, FW, "'type':'OFFERS'",
              "'url':{'scheme':'http','address':{'hostname':'box','ip':'10.0.0.2','port':5051},"
              "'path':'/slave(1)'}",
              NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_group_starts_as_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_custom_executor, setup, teardown),
        cmocka_unit_test_setup_teardown(test_group_is_refused_as_a_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_twins_and_strangers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_history_of_states, setup, teardown),
        cmocka_unit_test_setup_teardown(test_history_comes_from_agents, setup, teardown),
        cmocka_unit_test_setup_teardown(test_history_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_url_of_an_offer, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
