/* SPDX-License-Identifier: Apache-2.0 */
/* Agents go and come back; what their frameworks are told; kills and questions meanwhile. */
#include "tests/support/master_world.h"
#include "tests/support/test.h"

enum { AGENT = 11, AGENT2 = 12, AGENT3 = 13, FW = 21, OP = 31 };

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

/* A running task t1; returns the framework, *launch its launch uuid. */
static const char *given_running(struct mw *w, const char *info, const char **launch)
{
    const char *f;

    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:1024", "");
    f = mw_framework(w, FW, info, "");
    mw_expect(w, FW, "'type':'OFFERS'", NULL);
    mw_accept(w, FW, mw_field(w, "id"), mw_task(w, "t1", MW_A1, "cpus:1;mem:24"),
              "'filters':{'refuse_seconds':100000}");
    mw_expect(w, AGENT, "AgentLaunch", NULL);
    *launch = mw_field(w, "launch_uuid");
    mw_update(w, AGENT, f, "t1", "TASK_RUNNING", 1);
    mw_drop(w, FW);
    mw_drop_trace(w);
    return f;
}

static void begin_registration(struct mw *w, uint64_t peer, const char *instance)
{
    char hello[200];

    (void)snprintf(hello, sizeof hello, "'id':'%s','instance':'%s'", MW_A1, instance);
    mw_up(w, peer, "AGENT", true, hello);
    mw_send(w, peer,
            "'request_id':1,'body':{'AgentRegister':{'info':{'hostname':'h','id':{'value':'" MW_A1
            "'},'resources':[%s]},'runs_as_root':true}}",
            mw_res(w, "cpus:4;mem:1024"));
}

/* The same, and the master wants its tasks. */
static void begin_list(struct mw *w, uint64_t peer, const char *instance)
{
    begin_registration(w, peer, instance);
    mw_expect(w, peer, "'request_id':1", "AgentTasksWanted", NULL);
}

static void tell_tasks(struct mw *w, uint64_t peer, const char *f, const char *task,
                       const char *state, const char *launch, const char *resources)
{
    mw_send(
        w, peer,
        "'body':{'AgentTasks':{'frameworks':[{'framework_id':'%s','info':{'user':'u','name':'n'}}"
        "],'tasks':[{'name':'t','task_id':{'value':'%s'},'framework_id':{'value':'%s'},"
        "'agent_id':{'value':'" MW_A1 "'},'state':'%s','resources':[%s],'launch_uuid':'%s'}],"
        "'last':true}}",
        f, task, f, state, mw_res(w, resources), launch);
}

/* Link broken for 75 s: LOST for a framework that knows no partitions; back: RUNNING again. */
static void test_agent_unreachable_and_back(void **state)
{
    struct mw *w = *state;
    const char *launch, *f = given_running(w, "", &launch);

    mw_down(w, AGENT);
    mw_pass(w, 74999);
    mw_expect_nothing(w, FW);
    mw_pass(w, 1);
    mw_expect(w, FW, "TASK_LOST", "REASON_AGENT_REMOVED", "unreachable_time", NULL);
    mw_expect(w, FW, "'type':'FAILURE'", MW_A1, NULL);
    mw_expect_nothing(w, FW);
    begin_list(w, AGENT2, "i2");
    tell_tasks(w, AGENT2, f, "t1", "TASK_RUNNING", launch, "cpus:1;mem:24");
    mw_expect(w, AGENT2, "AgentRegistered", NULL);
    mw_expect(w, FW, "TASK_RUNNING", "REASON_AGENT_REREGISTERED", NULL);
    mw_expect_trace(w, "agent " MW_A1 " registered->disconnected link\n"
                       "agent " MW_A1 " disconnected->unreachable timeout\n"
                       "task t1 running->unreachable agent_unreachable\n"
                       "agent " MW_A1 " unreachable->registering register\n"
                       "task t1 unreachable->running returned\n"
                       "agent " MW_A1 " registering->registered tasks\n"
                       "offer o12 none->open f11\n");
}

/* The same for one that knows them: UNREACHABLE; its end meanwhile is told. */
static void test_partition_aware_framework(void **state)
{
    struct mw *w = *state;
    const char *launch,
        *f = given_running(w, "'capabilities':[{'type':'PARTITION_AWARE'}]", &launch);

    mw_down(w, AGENT);
    mw_pass(w, 75000);
    mw_expect(w, FW, "TASK_UNREACHABLE", NULL);
    mw_drop(w, FW);
    mw_ask(w, OP, "GET_TASKS", "%s", "");
    mw_expect(w, OP, "'unreachable_tasks':[{", NULL);
    begin_list(w, AGENT2, "i2");
    tell_tasks(w, AGENT2, f, "t1", "TASK_FINISHED", launch, "cpus:1;mem:24");
    mw_expect(w, FW, "TASK_FINISHED", "REASON_AGENT_REREGISTERED", NULL);
    mw_update(w, AGENT2, f, "t1", "TASK_FINISHED", 7);
    mw_expect(w, FW, "'type':'OFFERS'", "'value':4.0", NULL);
    mw_expect(w, FW, "TASK_FINISHED", mw_uuid(w, 7), NULL);
}

/* A short break: nothing is told. */
static void test_short_break_is_silent(void **state)
{
    struct mw *w = *state;
    const char *launch, *f = given_running(w, "", &launch);

    mw_down(w, AGENT);
    mw_pass(w, 3000);
    begin_list(w, AGENT2, "i2");
    tell_tasks(w, AGENT2, f, "t1", "TASK_RUNNING", launch, "cpus:1;mem:24");
    mw_expect(w, AGENT2, "AgentRegistered", NULL);
    mw_pass(w, 80000);
    mw_drop(w, AGENT2);
    mw_ask(w, OP, "GET_TASKS", "%s", "");
    mw_expect(w, OP, "'tasks':[{", "TASK_RUNNING", NULL);
}

/* The agent registers without a task that was sent to it: DROPPED, or LOST. */
static void test_launch_that_never_arrived(void **state)
{
    struct mw *w = *state;
    const char *launch;

    (void)given_running(w, "", &launch);
    mw_down(w, AGENT);
    begin_list(w, AGENT2, "i2");
    mw_send(w, AGENT2, "'body':{'AgentTasks':{'last':true}}");
    mw_expect(w, FW, "TASK_LOST", "REASON_RECONCILIATION", "Task is unknown to the agent", NULL);
    mw_expect(w, FW, "'type':'OFFERS'", "'value':4.0", NULL);
}

/* The master restarts; the agent brings its task; offers count only what is free. */
static void test_tasks_come_back_after_a_restart(void **state)
{
    struct mw *w = *state;
    const char *launch, *f = given_running(w, "", &launch);

    mw_crash(w);
    mw_boot(w);
    begin_list(w, AGENT, "i1");
    tell_tasks(w, AGENT, f, "t1", "TASK_RUNNING", launch, "cpus:1;mem:24");
    mw_expect(w, AGENT, "AgentRegistered", NULL);
    (void)mw_framework(w, FW, "", "");
    mw_expect(w, FW, "'type':'OFFERS'", "'value':3.0", "'value':1000.0", NULL);
}

/* An agent that never comes back after a restart is unreachable in the end. */
static void test_recovered_agent_becomes_unreachable(void **state)
{
    struct mw *w = *state;

    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:1024", "");
    mw_crash(w);
    mw_drop_trace(w);
    mw_boot(w);
    mw_ask(w, OP, "GET_AGENTS", "%s", "");
    mw_expect(w, OP, "'recovered_agents':[{", MW_A1, NULL);
    mw_pass(w, 600000);
    mw_expect_trace(w, "agent " MW_A1 " none->recovered row\n"
                       "agent " MW_A1 " recovered->unreachable timeout\n");
    mw_crash(w);
    mw_boot(w); /* and its row says so */
    mw_expect_trace(w, "agent " MW_A1 " none->unreachable row\n");
}

/* Two living holders of one id: the second is refused; a newer link of the same process is not. */
static void test_second_holder_of_an_id_is_refused(void **state)
{
    struct mw *w = *state;

    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:1024", "");
    begin_registration(w, AGENT2, "other");
    mw_expect(w, AGENT2, "'is_reply':true", "'code':'CONFLICT'", "is registered already", NULL);
    mw_expect(w, AGENT2, "CLOSED", NULL);
    begin_list(w, AGENT3, "i11"); /* the instance of mw_agent */
    mw_expect(w, AGENT, "CLOSED", NULL);
    mw_send(w, AGENT3, "'body':{'AgentTasks':{'last':true}}");
    mw_expect(w, AGENT3, "AgentRegistered", NULL);
}

/* One task id on two agents: the later launch is ended under its own uuid. */
static void test_twin_is_killed(void **state)
{
    struct mw *w = *state;
    const char *launch, *f = given_running(w, "", &launch);
    const char *other = mw_uuid(w, 33);

    mw_up(w, AGENT2, "AGENT", true, "'id':'" MW_A2 "'");
    mw_send(w, AGENT2,
            "'body':{'AgentRegister':{'info':{'hostname':'h','id':{'value':'" MW_A2
            "'},'resources':[%s]}}}",
            mw_res(w, "cpus:4;mem:1024"));
    mw_expect(w, AGENT2, "AgentTasksWanted", NULL);
    mw_send(
        w, AGENT2,
        "'body':{'AgentTasks':{'frameworks':[{'framework_id':'%s','info':{'user':'u','name':'n'}}"
        "],'tasks':[{'name':'t','task_id':{'value':'t1'},'framework_id':{'value':'%s'},"
        "'agent_id':{'value':'" MW_A2 "'},'state':'TASK_RUNNING','resources':[%s],"
        "'launch_uuid':'%s'}],'last':true}}",
        f, f, mw_res(w, "cpus:1"), other);
    mw_expect(w, AGENT2, "AgentRegistered", NULL); /* before that it obeys no kill */
    mw_expect(w, AGENT2, "AgentKill", other, "'grace_ms':0", NULL);
    mw_drop(w, FW);
    mw_send(w, AGENT2,
            "'body':{'AgentUpdate':{'framework_id':'%s','status':{'task_id':{'value':'t1'},'state':"
            "'TASK_KILLED','uuid':'%s'},'launch_uuid':'%s'}}",
            f, mw_uuid(w, 34), other);
    mw_expect(w, AGENT2, "AgentAcknowledge", mw_uuid(w, 34), NULL);
    mw_expect_nothing(w, FW); /* the framework's task is the other one */
    (void)launch;
}

/* Registrations that cannot be. */
static void test_bad_registrations_are_refused(void **state)
{
    static const struct {
        const char *info, *more, *code;
    } cases[] = {
        {"'hostname':'h','id':{'value':'other'}", "", "BAD_REQUEST"},
        {"'hostname':'h','id':{'value':'" MW_A1 "'}", "'epoch':99", "CONFLICT"},
        {"'hostname':'h','id':{'value':'" MW_A1 "'}", "'incarnation':'BQAAAAAAAAAAAAAAAAAAAA=='",
         "FORBIDDEN"},
        {"'hostname':'h','id':{'value':'" MW_A1 "'},'resources':[{'name':'cpus','type':'SCALAR',"
         "'scalar':{'value':-1}}]",
         "", "BAD_REQUEST"},
        {"'hostname':'h','id':{'value':'" MW_A1 "'},'resources':[{'name':'cpus','type':'SCALAR',"
         "'scalar':{'value':1},'role':'prod'}]",
         "", "BAD_REQUEST"},
    };
    struct mw *w = *state;

    for (size_t i = 0; i < PF_ARRAY_LEN(cases); i++) {
        mw_up(w, 40 + i, "AGENT", true, "'id':'" MW_A1 "'");
        mw_send(w, 40 + i, "'request_id':1,'body':{'AgentRegister':{'info':{%s}%s%s}}",
                cases[i].info, cases[i].more[0] ? "," : "", cases[i].more);
        mw_expect(w, 40 + i, "'is_reply':true", cases[i].code, NULL);
        mw_expect(w, 40 + i, "CLOSED", NULL);
    }
    struct pf_buf attributes = {0};

    for (unsigned i = 0; i < 60; i++) {
        pf_buf_printf(&attributes, "%s{'name':'a%u','type':'TEXT','text':{'value':'%01200u'}}",
                      i > 0 ? "," : "", i, i);
    }
    mw_up(w, 60, "AGENT", true, "'id':'" MW_A1 "'");
    mw_send(w, 60,
            "'body':{'AgentRegister':{'info':{'hostname':'h','id':{'value':'" MW_A1
            "'},'attributes':[%s]}}}",
            pf_buf_cstr(&attributes));
    mw_expect(w, 60, "Goodbye", "more than 65536 bytes", NULL);
    mw_expect(w, 60, "CLOSED", NULL);
    pf_buf_fini(&attributes);
    begin_list(w, AGENT, "i");
    tell_tasks(w, AGENT, "f1", "t1", "TASK_RUNNING", mw_uuid(w, 3), "cpus:40");
    mw_expect(w, AGENT, "BAD_REQUEST", "use more than it has", NULL);
    mw_expect(w, AGENT, "CLOSED", NULL);
}

/* --- kills --- */

/* KILL goes to the agent with its policy; one for an agent that is away waits for it. */
static void test_kill_paths(void **state)
{
    struct mw *w = *state;
    const char *launch, *f = given_running(w, "", &launch);

    mw_call(w, FW, "KILL",
            "'kill':{'task_id':{'value':'t1'},'kill_policy':{'grace_period':{'nanoseconds':"
            "2500000000}},'signal':10}");
    mw_expect(w, AGENT, "AgentKill", "'task_id':'t1'", launch, "'grace_ms':2500", "'signal':10",
              NULL);
    mw_call(w, FW, "KILL", "'kill':{'task_id':{'value':'t1'},'agent_id':{'value':'wrong'}}");
    mw_expect_nothing(w, AGENT);
    mw_call(w, FW, "KILL", "'kill':{'task_id':{'value':'t9'}}");
    mw_expect(w, FW, "'type':'UPDATE'", "'value':'t9'", "TASK_LOST", "REASON_RECONCILIATION", NULL);
    mw_down(w, AGENT);
    mw_call(w, FW, "KILL", "'kill':{'task_id':{'value':'t1'}}");
    begin_list(w, AGENT2, "i2");
    tell_tasks(w, AGENT2, f, "t1", "TASK_RUNNING", launch, "cpus:1;mem:24");
    mw_expect(w, AGENT2, "AgentRegistered", NULL);
    mw_expect(w, AGENT2, "AgentKill", launch, NULL);
}

/* KILL_TASK of an operator. */
static void test_kill_by_operator(void **state)
{
    struct mw *w = *state;
    const char *launch, *f = given_running(w, "", &launch);

    mw_ask(w, OP, "KILL_TASK", "'kill_task':{'framework_id':'%s','task_id':'t1','grace_ms':0}", f);
    mw_expect(w, OP, "'code':'ACCEPTED'", NULL);
    mw_expect(w, AGENT, "AgentKill", "'grace_ms':0", NULL);
    mw_ask(w, OP, "KILL_TASK", "'kill_task':{'framework_id':'%s','task_id':'t2'}", f);
    mw_expect(w, OP, "'code':'NOT_FOUND'", NULL);
    mw_update(w, AGENT, f, "t1", "TASK_KILLED", 2);
    mw_ask(w, OP, "KILL_TASK", "'kill_task':{'framework_id':'%s','task_id':'t1'}", f);
    mw_expect(w, OP, "'code':'CONFLICT'", NULL);
}

/* --- reconciliation --- */

static void test_reconcile(void **state)
{
    struct mw *w = *state;
    const char *launch,
        *f = given_running(w, "'capabilities':[{'type':'PARTITION_AWARE'}]", &launch);

    mw_call(w, FW, "RECONCILE", "'reconcile':{}");
    mw_expect(w, FW, "TASK_RUNNING", "REASON_RECONCILIATION", "Latest task state", NULL);
    mw_expect_nothing(w, FW);
    mw_call(w, FW, "RECONCILE",
            "'reconcile':{'tasks':[{'task_id':{'value':'t1'}},{'task_id':{'value':'x'}},"
            "{'task_id':{'value':'y'},'agent_id':{'value':'" MW_A1 "'}}]}");
    mw_expect(w, FW, "'value':'t1'", "TASK_RUNNING", NULL);
    mw_expect(w, FW, "'value':'x'", "TASK_UNKNOWN", NULL);
    mw_expect(w, FW, "'value':'y'", "TASK_GONE", NULL);
    mw_down(w, AGENT);
    mw_pass(w, 75000);
    mw_drop(w, FW);
    mw_call(w, FW, "RECONCILE", "'reconcile':{}"); /* unreachable ones are not in it */
    mw_expect_nothing(w, FW);
    mw_call(w, FW, "RECONCILE",
            "'reconcile':{'tasks':[{'task_id':{'value':'y'},'agent_id':{'value':'" MW_A1 "'}}]}");
    mw_expect(w, FW, "TASK_UNREACHABLE", "unreachable_time", NULL);
    (void)f;
}

/* After a restart nothing is said of tasks whose agent may still come back. */
static void test_reconcile_waits_for_recovered_agents(void **state)
{
    struct mw *w = *state;

    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:1024", "");
    mw_crash(w);
    mw_boot(w);
    (void)mw_framework(w, FW, "", "");
    mw_call(w, FW, "RECONCILE",
            "'reconcile':{'tasks':[{'task_id':{'value':'a'}},{'task_id':{'value':'b'},'agent_id':{"
            "'value':'" MW_A1 "'}}]}");
    mw_expect_nothing(w, FW);
    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:1024", "");
    mw_drop(w, FW);
    mw_call(w, FW, "RECONCILE", "'reconcile':{'tasks':[{'task_id':{'value':'a'}}]}");
    mw_expect(w, FW, "TASK_LOST", NULL);
}

/* Updates of agents that are not registered in this epoch are refused. */
static void test_update_needs_registration(void **state)
{
    struct mw *w = *state;

    (void)mw_framework(w, FW, "", "");
    mw_up(w, AGENT, "AGENT", true, "'id':'" MW_A1 "'");
    mw_update(w, AGENT, "f11", "t1", "TASK_RUNNING", 1);
    mw_expect_nothing(w, FW);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    static const struct CMUnitTest tests[] = {
        T(test_agent_unreachable_and_back),
        T(test_partition_aware_framework),
        T(test_short_break_is_silent),
        T(test_launch_that_never_arrived),
        T(test_tasks_come_back_after_a_restart),
        T(test_recovered_agent_becomes_unreachable),
        T(test_second_holder_of_an_id_is_refused),
        T(test_twin_is_killed),
        T(test_bad_registrations_are_refused),
        T(test_kill_paths),
        T(test_kill_by_operator),
        T(test_reconcile),
        T(test_reconcile_waits_for_recovered_agents),
        T(test_update_needs_registration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
