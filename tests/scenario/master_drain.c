/* SPDX-License-Identifier: Apache-2.0 */
/* Agents taken out of service by an operator: deactivated, drained, gone, left; and tasks whose
 * partition policy says what happens when their agent cannot be reached. */
#include "common/base/alloc.h"
#include "tests/support/master_world.h"
#include "tests/support/test.h"

enum { AGENT = 11, AGENT2 = 12, FW = 21, OP = 31, OP2 = 32 };
#define PA      "'capabilities':[{'type':'PARTITION_AWARE'}]"
#define ID_A1   "'agent_id':{'value':'" MW_A1 "'}"
#define FOREVER "'filters':{'refuse_seconds':100000}"

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

/* A running task t1 of a framework that is offered nothing more; `more`: members of its TaskInfo.
 */
static const char *given_running(struct mw *w, const char *info, const char *more,
                                 const char **launch)
{
    struct pf_buf task = {0};
    const char *f;

    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:1024", "");
    f = mw_framework(w, FW, info, "");
    mw_expect(w, FW, "'type':'OFFERS'", NULL);
    pf_buf_add_cstr(&task, mw_task(w, "t1", MW_A1, "cpus:1;mem:24"));
    task.data[--task.len] = '\0'; /* its closing brace */
    pf_buf_printf(&task, "%s}", more);
    mw_accept(w, FW, mw_field(w, "id"), pf_buf_cstr(&task), FOREVER);
    mw_expect(w, AGENT, "AgentLaunch", NULL);
    *launch = mw_field(w, "launch_uuid");
    mw_update(w, AGENT, f, "t1", "TASK_RUNNING", 1);
    mw_acknowledge(w, FW, MW_A1, "t1", 1);
    mw_drop(w, AGENT);
    mw_drop(w, FW);
    mw_drop_trace(w);
    pf_buf_fini(&task);
    return f;
}

static void ask_ok(struct mw *w, const char *type, const char *part)
{
    mw_ask(w, OP, type, "'%s':{" ID_A1 "}", part);
    mw_expect(w, OP, "'is_reply':true", "'Reply'", NULL);
    assert_null(mw_next(w, OP));
}

/* Registers again on `peer` with the task t1 in `state`. */
static void come_back(struct mw *w, uint64_t peer, const char *f, const char *launch,
                      const char *state, const char *more)
{
    char hello[100];

    (void)snprintf(hello, sizeof hello, "'id':'" MW_A1 "','instance':'i%u'", (unsigned)peer);
    mw_up(w, peer, "AGENT", true, hello);
    mw_send(w, peer,
            "'request_id':1,'body':{'AgentRegister':{'info':{'hostname':'h','id':{'value':'" MW_A1
            "'},'resources':[%s]},'runs_as_root':true}}",
            mw_res(w, "cpus:4;mem:1024"));
    mw_expect(w, peer, "'request_id':1", "AgentTasksWanted", NULL);
    mw_send(
        w, peer,
        "'body':{'AgentTasks':{'frameworks':[{'framework_id':'%s','info':{'user':'u','name':'n'}}"
        "],'tasks':[{'name':'t','task_id':{'value':'t1'},'framework_id':{'value':'%s'},"
        "'agent_id':{'value':'" MW_A1 "'},'state':'%s','resources':[%s],'launch_uuid':'%s'%s}],"
        "'last':true}}",
        f, f, state, mw_res(w, "cpus:1;mem:24"), launch, more);
    mw_expect(w, peer, "'request_id':1", "AgentRegistered", "'unreachable_ms':75000", NULL);
}

/* What is offered of a deactivated agent is rescinded, and nothing more is; its tasks do not
 * notice. So it stays under the next leader. */
static void test_deactivated_agent_is_not_offered(void **state)
{
    struct mw *w = *state;

    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:1024", "");
    mw_framework(w, FW, "", "");
    mw_expect(w, FW, "'type':'OFFERS'", NULL);
    const char *offer = mw_field(w, "id");

    mw_ask(w, OP, "DEACTIVATE_AGENT", "'deactivate_agent':{" ID_A1 "}");
    mw_expect(w, FW, "'type':'RESCIND'", offer, NULL);
    mw_pass(w, 10000);
    mw_expect_nothing(w, FW);
    mw_expect_nothing(w, AGENT);
    mw_expect(w, OP, "'is_reply':true", NULL);
    mw_ask(w, OP, "GET_AGENTS", "%s", "");
    mw_expect(w, OP, "'active':false", "'deactivated':true", "'state':'REGISTERED'",
              "deactivated: nothing of it is offered", NULL);
    mw_ask(w, OP, "DEACTIVATE_AGENT", "'deactivate_agent':{" ID_A1 "}"); /* again: fine */
    mw_expect(w, OP, "'is_reply':true", NULL);

    mw_crash(w);
    mw_boot(w);
    mw_agent(w, AGENT2, MW_A1, "cpus:4;mem:1024", "");
    mw_framework(w, FW, "", "");
    mw_pass(w, 10000);
    mw_expect_nothing(w, FW);
    ask_ok(w, "REACTIVATE_AGENT", "reactivate_agent");
    mw_expect(w, FW, "'type':'OFFERS'", NULL);
    mw_ask(w, OP, "REACTIVATE_AGENT", "'reactivate_agent':{" ID_A1 "}");
    mw_expect(w, OP, "BAD_REQUEST", "is not deactivated", NULL);
}

/* A demand that waits says why. */
static void test_waiting_names_it(void **state)
{
    struct mw *w = *state;

    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:1024", "");
    mw_agent(w, AGENT2, MW_A2, "cpus:4;mem:1024", "");
    ask_ok(w, "DEACTIVATE_AGENT", "deactivate_agent");
    mw_ask(w, OP, "DRAIN_AGENT", "'drain_agent':{'agent_id':{'value':'" MW_A2 "'}}");
    mw_drop(w, OP);
    mw_framework(w, FW, "", "'has_demands':true");
    mw_call(w, FW, "DEMAND", "'demand':{'demands':[{'id':'d1','count':1,'resources':[%s]}]}",
            mw_res(w, "cpus:1"));
    mw_pass(w, 2000);
    mw_expect(w, FW, "'DEMAND_STATUS'", "2 agents; 1 deactivated, 1 draining", "AGENT_DEACTIVATED",
              "AGENT_DRAINING", NULL);
}

/* A drain kills what runs with at most its grace, says when it is over, and stays. */
static void test_drain(void **state)
{
    struct mw *w = *state;
    const char *launch, *f = given_running(w, "", "", &launch);

    mw_ask(w, OP, "DRAIN_AGENT", "'drain_agent':{" ID_A1 ",'max_grace_period':{'seconds':1}}");
    mw_expect(w, AGENT, "AgentKill", "'task_id':'t1'", launch, "'grace_ms':1000",
              "REASON_AGENT_DRAINING", NULL);
    mw_expect(w, OP, "'is_reply':true", NULL);
    mw_ask(w, OP, "GET_AGENTS", "'agent_id':'" MW_A1 "'");
    mw_expect(w, OP, "'state':'DRAINING'", "'nanoseconds':1000000000", "draining, 1 task left",
              NULL);
    mw_ask(w, OP, "GET_TASKS", "'agent_id':'" MW_A1 "'");
    mw_expect(w, OP, "'kill_deadline_ms'", "'t1'", NULL);
    mw_ask(w, OP, "GET_TASKS", "'agent_id':'" MW_A2 "'");
    const char *page = mw_next(w, OP);
    assert_null(strstr(page, "t1"));
    mw_ask(w, OP, "REACTIVATE_AGENT", "'reactivate_agent':{" ID_A1 "}");
    mw_expect(w, OP, "BAD_REQUEST", "still draining: 1 task left", NULL);

    mw_update(w, AGENT, f, "t1", "TASK_KILLED", 2);
    mw_ask(w, OP, "GET_AGENTS", "'agent_id':'" MW_A1 "'");
    mw_expect(w, OP, "'state':'DRAINING'", NULL); /* the framework has not taken the end */
    mw_acknowledge(w, FW, MW_A1, "t1", 2);
    mw_ask(w, OP, "GET_AGENTS", "'agent_id':'" MW_A1 "'");
    mw_expect(w, OP, "'state':'DRAINED'", NULL);
    mw_crash(w);
    mw_boot(w);
    mw_agent(w, AGENT2, MW_A1, "cpus:4;mem:1024", "");
    mw_ask(w, OP, "WHY", "'why':{'kind':'AGENT','id':'" MW_A1 "'}");
    mw_expect(w, OP, "'state':'drained'", "nothing runs there", NULL);
    ask_ok(w, "REACTIVATE_AGENT", "reactivate_agent");
    mw_framework(w, FW, "", "");
    mw_expect(w, FW, "'type':'OFFERS'", NULL);
}

/* An executor goes when its tasks are gone; one that keeps them is shut down when their time is
 * over. */
static void test_drain_of_executors(void **state)
{
    struct mw *w = *state;

    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:1024", "");
    const char *f = mw_framework(w, FW, "", "");

    for (unsigned i = 1; i <= 2; i++) {
        char text[1000];

        (void)snprintf(text, sizeof text,
                       "{'name':'t','task_id':{'value':'t%u'},'agent_id':{'value':'" MW_A1 "'},"
                       "'resources':[%s],'executor':{'executor_id':{'value':'e%u'},"
                       "'command':{'value':'run'}}}",
                       i, mw_res(w, "cpus:1"), i);
        mw_expect(w, FW, "'type':'OFFERS'", NULL);
        mw_accept(w, FW, mw_field(w, "id"), text, "'filters':{'refuse_seconds':0}");
    }
    mw_drop(w, AGENT);
    mw_ask(w, OP, "DRAIN_AGENT", "'drain_agent':{" ID_A1 ",'max_grace_period':{'seconds':2}}");
    mw_expect(w, AGENT, "AgentKill", "'t1'", NULL);
    mw_expect(w, AGENT, "AgentKill", "'t2'", NULL);
    mw_drop(w, OP);
    mw_update(w, AGENT, f, "t1", "TASK_KILLED", 1);
    mw_acknowledge(w, FW, MW_A1, "t1", 1);
    mw_drop(w, AGENT);
    mw_pass(w, 2999);
    mw_expect_nothing(w, AGENT);
    mw_pass(w, 1);
    mw_expect(w, AGENT, "AgentShutdownExecutor", NULL);
    mw_expect(w, AGENT, "AgentShutdownExecutor", NULL);
    mw_update(w, AGENT, f, "t2", "TASK_KILLED", 2);
    mw_acknowledge(w, FW, MW_A1, "t2", 2);
    for (unsigned i = 1; i <= 2; i++) {
        mw_ask(w, OP, "GET_AGENTS", "'agent_id':'" MW_A1 "'");
        mw_expect(w, OP, "'state':'DRAINING'", NULL);
        mw_send(w, AGENT,
                "'body':{'AgentExecutorExited':{'framework_id':'%s','executor_id':'e%u','status':0,"
                "'sequence':%u}}",
                f, i, 20 + i);
    }
    mw_ask(w, OP, "GET_AGENTS", "'agent_id':'" MW_A1 "'");
    mw_expect(w, OP, "'state':'DRAINED'", NULL);
}

/* A framework that is away does not hold a drain up. */
static void test_drain_does_not_wait_for_who_is_away(void **state)
{
    struct mw *w = *state;
    const char *launch, *f = given_running(w, "'failover_timeout':1000.0", "", &launch);

    mw_ask(w, OP, "DRAIN_AGENT", "'drain_agent':{" ID_A1 "}");
    mw_update(w, AGENT, f, "t1", "TASK_KILLED", 2);
    mw_drop(w, OP);
    mw_down(w, FW);
    mw_ask(w, OP, "GET_AGENTS", "'agent_id':'" MW_A1 "'");
    mw_expect(w, OP, "'state':'DRAINED'", NULL);
}

/* The next leader goes on: the agent is told again when it registers, and is drained only when it
 * is known to be empty. */
static void test_drain_goes_on_after_a_takeover(void **state)
{
    struct mw *w = *state;
    const char *launch, *f = given_running(w, "", "", &launch);

    mw_ask(w, OP, "DRAIN_AGENT", "'drain_agent':{" ID_A1 ",'max_grace_period':{'seconds':1}}");
    mw_crash(w);
    mw_boot(w);
    come_back(w, AGENT2, f, launch, "TASK_RUNNING", "");
    mw_expect(w, AGENT2, "AgentKill", "'t1'", "REASON_AGENT_DRAINING", "'grace_ms':1000", NULL);
    mw_down(w, AGENT2);
    mw_pass(w, 75000); /* unreachable: nobody knows whether it is empty */
    mw_ask(w, OP, "GET_AGENTS", "'agent_id':'" MW_A1 "'");
    mw_expect(w, OP, "'state':'DRAINING'", "'state':'UNREACHABLE'", NULL);
    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:1024", ""); /* without the task */
    mw_ask(w, OP, "GET_AGENTS", "'agent_id':'" MW_A1 "'");
    mw_expect(w, OP, "'state':'DRAINED'", NULL);
}

/* mark_gone: gone as soon as it is drained. */
static void test_drain_marks_gone(void **state)
{
    struct mw *w = *state;

    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:1024", "");
    mw_ask(w, OP, "DRAIN_AGENT", "'drain_agent':{" ID_A1 ",'mark_gone':true}");
    mw_expect(w, AGENT, "AgentLeave", "'is_gone':true", NULL);
    mw_expect(w, AGENT, "CLOSED", NULL);
    mw_expect(w, OP, "'is_reply':true", NULL);
    mw_ask(w, OP, "GET_AGENTS", "'agent_id':'" MW_A1 "'");
    mw_expect(w, OP, "'state':'GONE'", NULL);
    mw_ask(w, OP, "DRAIN_AGENT", "'drain_agent':{" ID_A1 "}");
    mw_expect(w, OP, "CONFLICT", "was marked gone", NULL);
}

/* Gone: its tasks are told, the agent too, and neither comes back, not under the next leader. */
static void test_gone(void **state)
{
    struct mw *w = *state;
    const char *launch;

    (void)given_running(w, PA, "", &launch);
    mw_ask(w, OP, "MARK_AGENT_GONE", "'mark_agent_gone':{" ID_A1 "}");
    mw_expect(w, FW, "'type':'FAILURE'", MW_A1, NULL);
    mw_expect(w, FW, "TASK_GONE_BY_OPERATOR", "REASON_AGENT_REMOVED_BY_OPERATOR",
              "Agent h11 was marked gone", NULL);
    mw_expect(w, AGENT, "AgentLeave", "'is_gone':true", NULL);
    mw_expect(w, AGENT, "CLOSED", NULL);
    mw_down(w, AGENT);
    mw_expect(w, OP, "'is_reply':true", NULL);
    ask_ok(w, "MARK_AGENT_GONE", "mark_agent_gone");
    mw_call(w, FW, "RECONCILE", "'reconcile':{'tasks':[{'task_id':{'value':'t1'}," ID_A1 "}]}");
    mw_expect(w, FW, "TASK_GONE_BY_OPERATOR", NULL);
    mw_ask(w, OP, "GET_AGENTS", "%s", "");
    const char *page = mw_next(w, OP);
    assert_null(strstr(page, MW_A1));
    mw_ask(w, OP, "REACTIVATE_AGENT", "'reactivate_agent':{" ID_A1 "}");
    mw_expect(w, OP, "CONFLICT", NULL);

    for (unsigned i = 0; i < 2; i++) {
        uint64_t peer = AGENT2 + i;

        mw_up(w, peer, "AGENT", true, "'id':'" MW_A1 "','instance':'i2'");
        mw_send(
            w, peer,
            "'request_id':1,'body':{'AgentRegister':{'info':{'hostname':'h','id':{'value':'" MW_A1
            "'},'resources':[%s]}}}",
            mw_res(w, "cpus:4;mem:1024"));
        mw_expect(w, peer, "AgentLeave", "'is_gone':true", NULL);
        mw_expect(w, peer, "FORBIDDEN", "start it with a new --work-dir", NULL);
        mw_expect(w, peer, "CLOSED", NULL);
        if (i == 0) {
            mw_crash(w);
            mw_boot(w);
        }
    }
}

/* A framework that knows no partitions hears LOST, once: also of an agent that was unreachable. */
static void test_gone_while_unreachable(void **state)
{
    struct mw *w = *state;
    const char *launch;

    (void)given_running(w, "", "", &launch);
    mw_down(w, AGENT);
    mw_pass(w, 75000);
    mw_expect(w, FW, "TASK_LOST", NULL);
    mw_drop(w, FW);
    ask_ok(w, "MARK_AGENT_GONE", "mark_agent_gone");
    mw_expect(w, FW, "'type':'FAILURE'", NULL);
    mw_expect_nothing(w, FW);
}

/* The word GONE is not said before the row is stored. */
static void test_gone_is_durable_first(void **state)
{
    struct mw *w = *state;
    const char *launch;

    (void)given_running(w, PA, "", &launch);
    mw_store_hold(w);
    mw_ask(w, OP, "MARK_AGENT_GONE", "'mark_agent_gone':{" ID_A1 "}");
    mw_expect_nothing(w, FW);
    mw_expect_nothing(w, AGENT);
    mw_expect_nothing(w, OP);
    mw_store_go(w);
    mw_expect(w, FW, "'type':'FAILURE'", NULL);
    mw_expect(w, FW, "TASK_GONE_BY_OPERATOR", NULL);
}

/* Leaving: told, no offers, then unregistered and forgotten; history still names it. */
static void test_leave(void **state)
{
    struct mw *w = *state;
    const char *launch, *f = given_running(w, "", "", &launch);

    mw_ask(w, OP, "LEAVE_AGENT", "'leave_agent':{" ID_A1 ",'grace_max_ms':500}");
    mw_expect(w, AGENT, "AgentLeave", "'grace_max_ms':500", NULL);
    mw_expect(w, OP, "ACCEPTED", NULL);
    mw_ask(w, OP, "GET_AGENTS", "%s", "");
    mw_expect(w, OP, "'leaving':true", "'active':false", "leaves the cluster, 1 task left", NULL);
    mw_update(w, AGENT, f, "t1", "TASK_KILLED", 2);
    mw_acknowledge(w, FW, MW_A1, "t1", 2);
    mw_drop(w, AGENT);
    mw_drop(w, FW);
    mw_send(w, AGENT, "'request_id':7,'body':{'AgentUnregister':{'agent_id':'" MW_A1 "'}}");
    mw_expect(w, AGENT, "'request_id':7", "'is_reply':true", NULL);
    mw_expect(w, FW, "'type':'FAILURE'", NULL);
    mw_down(w, AGENT);
    mw_ask(w, OP, "GET_AGENTS", "%s", "");
    const char *page = mw_next(w, OP);
    assert_null(strstr(page, MW_A1));
    mw_ask(w, OP, "WHY", "'why':{'kind':'TASK','id':'t1','framework_id':'%s'}", f);
    mw_expect(w, OP, "ended on h11", NULL);
    mw_agent(w, AGENT2, MW_A1, "cpus:4;mem:1024", ""); /* it may be admitted anew */
    mw_crash(w);
    mw_boot(w);
    mw_ask(w, OP, "LEAVE_AGENT", "'leave_agent':{" ID_A1 "}");
    mw_expect(w, OP, "CONFLICT", "not connected", NULL);
}

/* What is left when it unregisters is gone with it, and its row too. */
static void test_unregister_with_tasks(void **state)
{
    struct mw *w = *state;
    const char *launch;

    (void)given_running(w, PA, "", &launch);
    mw_send(w, AGENT, "'request_id':7,'body':{'AgentUnregister':{'agent_id':'" MW_A2 "'}}");
    mw_expect(w, AGENT, "CONFLICT", NULL);
    mw_send(w, AGENT, "'request_id':8,'body':{'AgentUnregister':{'agent_id':'" MW_A1 "'}}");
    mw_expect(w, AGENT, "'request_id':8", NULL);
    mw_expect(w, FW, "'type':'FAILURE'", NULL);
    mw_expect(w, FW, "TASK_GONE", "REASON_AGENT_REMOVED", "left the cluster", NULL);
    mw_crash(w);
    mw_boot(w);
    mw_ask(w, OP, "GET_AGENTS", "%s", "");
    const char *page = mw_next(w, OP);
    assert_null(strstr(page, MW_A1));
}

/* Codes of calls that cannot be. */
static void test_bad_calls(void **state)
{
    static const struct {
        const char *type, *part, *code;
    } cases[] = {
        {"MARK_AGENT_GONE", "'mark_agent_gone':{'agent_id':{'value':'x'}}", "NOT_FOUND"},
        {"MARK_AGENT_GONE", "'framework_id':'x'", "BAD_REQUEST"},
        {"DRAIN_AGENT", "'drain_agent':{'agent_id':{'value':'x'}}", "BAD_REQUEST"},
        {"DRAIN_AGENT", "'drain_agent':{" ID_A1 ",'max_grace_period':{'seconds':-1}}",
         "BAD_REQUEST"},
        {"DEACTIVATE_AGENT", "'deactivate_agent':{'agent_id':{'value':'x'}}", "BAD_REQUEST"},
        {"REACTIVATE_AGENT", "'reactivate_agent':{'agent_id':{'value':'x'}}", "BAD_REQUEST"},
        {"LEAVE_AGENT", "'leave_agent':{'agent_id':{'value':'x'}}", "NOT_FOUND"},
        {"LEAVE_AGENT", "'leave_agent':{" ID_A1 ",'grace_max_ms':-5}", "BAD_REQUEST"},
    };
    struct mw *w = *state;

    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:1024", "");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        mw_ask(w, OP, cases[i].type, "%s", cases[i].part);
        mw_expect(w, OP, cases[i].code, NULL);
    }
    mw_up(w, OP2, "OPERATOR", false, "'user':'u'");
    mw_ask(w, OP2, "DRAIN_AGENT", "'drain_agent':{" ID_A1 "}");
    mw_expect(w, OP2, "FORBIDDEN", NULL);
    mw_expect_nothing(w, AGENT);
}

/* REPLACE: lost for good when its agent's time is over; the agent that returns has to end it, and
 * it never runs again for anybody. */
static void test_replaced_task(void **state)
{
    struct mw *w = *state;
    const char *launch,
        *f = given_running(w, "", ",'partition_policy':{'action':'REPLACE'}", &launch);

    mw_down(w, AGENT);
    mw_pass(w, 75000);
    mw_expect(w, FW, "TASK_LOST", "and the task is replaced", NULL);
    mw_drop(w, FW);
    come_back(w, AGENT2, f, launch, "TASK_RUNNING", ",'partition_policy':{'action':'REPLACE'}");
    mw_expect(w, AGENT2, "AgentKill", launch, NULL);
    mw_expect(w, FW, "'type':'OFFERS'", NULL);
    mw_expect_nothing(w, FW);
    mw_ask(w, OP, "GET_TASKS", "'states':['TASK_RUNNING']");
    const char *page = mw_next(w, OP);
    assert_null(strstr(page, "t1"));
    mw_send(w, AGENT2,
            "'body':{'AgentUpdate':{'framework_id':'%s','status':{'task_id':{'value':'t1'},'state':"
            "'TASK_KILLED','uuid':'%s'},'launch_uuid':'%s'}}",
            f, mw_uuid(w, 34), launch);
    mw_expect(w, AGENT2, "AgentAcknowledge", NULL);
    mw_expect_nothing(w, FW);
}

/* The next leader knows by the agent's row that it was called lost, and says so once more. */
static void test_replaced_task_after_a_takeover(void **state)
{
    struct mw *w = *state;
    const char *launch,
        *f = given_running(w, PA, ",'partition_policy':{'action':'REPLACE'}", &launch);

    f = pf_strdup(f);
    launch = pf_strdup(launch);
    mw_down(w, AGENT);
    mw_pass(w, 75000);
    mw_expect(w, FW, "TASK_GONE", NULL);
    mw_crash(w);
    mw_boot(w);
    char more[200];

    (void)snprintf(more, sizeof more, "'framework_id':{'value':'%s'}", f);
    mw_up(w, FW, "SCHEDULER", true, "");
    mw_send(w, FW,
            "'body':{'Scheduler_Call':{'type':'SUBSCRIBE',%s,'subscribe':{'framework_info':{'user':"
            "'u','name':'n','id':{'value':'%s'}," PA "}}}}",
            more, f);
    mw_expect(w, FW, "SUBSCRIBED", NULL);
    come_back(w, AGENT2, f, launch, "TASK_RUNNING", ",'partition_policy':{'action':'REPLACE'}");
    mw_expect(w, AGENT2, "AgentKill", launch, NULL);
    mw_expect(w, FW, "TASK_GONE", "the task is replaced", NULL);
    pf_free((char *)(uintptr_t)f);
    pf_free((char *)(uintptr_t)launch);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_deactivated_agent_is_not_offered),
        T(test_waiting_names_it),
        T(test_drain),
        T(test_drain_of_executors),
        T(test_drain_does_not_wait_for_who_is_away),
        T(test_drain_goes_on_after_a_takeover),
        T(test_drain_marks_gone),
        T(test_gone),
        T(test_gone_while_unreachable),
        T(test_gone_is_durable_first),
        T(test_leave),
        T(test_unregister_with_tasks),
        T(test_bad_calls),
        T(test_replaced_task),
        T(test_replaced_task_after_a_takeover),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
