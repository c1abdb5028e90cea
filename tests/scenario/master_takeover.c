/* SPDX-License-Identifier: Apache-2.0 */
/* After a takeover: who is given up and who is not, what is said about tasks that the new master
 * never saw. */
#include "common/base/alloc.h"
#include "schemas/rows.h"
#include "tests/support/master_world.h"
#include "tests/support/test.h"

enum { AGENT = 11, AGENT2 = 12, FW = 21, OP = 31, MASTER = 41, MASTER2 = 42 };

#define AWARE "'capabilities':[{'type':'PARTITION_AWARE'}]"

static int setup(void **state)
{
    *state = mw_create();
    return 0;
}

static int teardown(void **state)
{
    mw_destroy(*state);
    return 0;
}

static void agent_rows(struct mw *w, unsigned n)
{
    for (unsigned i = 1; i <= n; i++) {
        char id[40], json[200];

        (void)snprintf(id, sizeof id, "00000000-0000-4000-8000-%012u", i);
        (void)snprintf(json, sizeof json,
                       "{'info':{'hostname':'h%u','id':{'value':'%s'}},'state':'REGISTERED'}", i,
                       id);
        mw_row(w, RegistryTable_AGENTS, id, json);
    }
}

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;

    for (const char *at = text; at && (at = strstr(at, what)) != NULL; at++) {
        n++;
    }
    return n;
}

static unsigned n_recovered(struct mw *w)
{
    mw_ask(w, OP, "GET_AGENTS", "%s", "");
    const char *list = strstr(mw_next(w, OP), "\"recovered_agents\":");

    return count(list, "hostname");
}

static uint64_t n_held(struct mw *w)
{
    struct pf_master_stats stats;

    pf_master_stats(mw_core(w), &stats);
    return stats.n_removals_held;
}

static void begin_list(struct mw *w, uint64_t peer)
{
    mw_up(w, peer, "AGENT", true, "'id':'" MW_A1 "'");
    mw_send(w, peer,
            "'request_id':1,'body':{'AgentRegister':{'info':{'hostname':'h','id':{'value':'" MW_A1
            "'},'resources':[%s]},'runs_as_root':true}}",
            mw_res(w, "cpus:4;mem:1024"));
    mw_expect(w, peer, "AgentTasksWanted", NULL);
}

static void end_list(struct mw *w, uint64_t peer, const char *f, const char *info,
                     const char *state)
{
    mw_send(
        w, peer,
        "'body':{'AgentTasks':{'frameworks':[{'framework_id':'%s','info':{'user':'u','name':'n',"
        "%s}}],'tasks':[{'name':'t','task_id':{'value':'t1'},'framework_id':{'value':'%s'},"
        "'agent_id':{'value':'" MW_A1 "'},'state':'%s','resources':[%s],'launch_uuid':'%s'}],"
        "'last':true}}",
        f, info, f, state, mw_res(w, "cpus:1;mem:24"), mw_uuid(w, 9));
    mw_expect(w, peer, "AgentRegistered", NULL);
}

static void subscribe_as(struct mw *w, uint64_t peer, const char *f, const char *instance,
                         const char *more)
{
    mw_up(w, peer, "SCHEDULER", true, "");
    mw_call(w, peer, "SUBSCRIBE",
            "'subscribe':{'framework_info':{'user':'u','name':'n','failover_timeout':60,"
            "'id':{'value':'%s'}," AWARE "},'instance':'%s'%s}",
            f, instance, more);
}

static void reconcile(struct mw *w, const char *agent)
{
    if (agent) {
        mw_call(w, FW, "RECONCILE",
                "'reconcile':{'tasks':[{'task_id':{'value':'t1'},'agent_id':{'value':'%s'}}]}",
                agent);
    } else {
        mw_call(w, FW, "RECONCILE", "'reconcile':{'tasks':[{'task_id':{'value':'t1'}}]}");
    }
}

/* --- tasks that the new master never saw --- */

/* Asked about a task of an agent that is not back: silence while it may come, while it lists and
 * after its list broke off; then the truth. */
static void test_reconcile_after_takeover_waits_for_the_agent(void **state)
{
    struct mw *w = *state;

    mw_standby(w);
    mw_row(w, RegistryTable_AGENTS, MW_A1, "{'info':{'hostname':'h','id':{'value':'" MW_A1 "'}}}");
    mw_elect(w, true);
    subscribe_as(w, FW, "f1", "one", ",'suppressed_roles':['*']");
    mw_expect(w, FW, "SUBSCRIBED", NULL);
    reconcile(w, MW_A1);
    reconcile(w, NULL);
    begin_list(w, AGENT);
    reconcile(w, MW_A1);
    reconcile(w, NULL);
    mw_down(w, AGENT);
    reconcile(w, MW_A1);
    reconcile(w, NULL);
    mw_expect_nothing(w, FW);
    reconcile(w, "unknown-agent");
    mw_expect(w, FW, "TASK_UNKNOWN", "Task is unknown", NULL);
    mw_pass(w, 75000);
    mw_expect(w, FW, "'type':'FAILURE'", MW_A1, NULL);
    reconcile(w, MW_A1);
    mw_expect(w, FW, "TASK_UNREACHABLE", "unreachable_time", NULL);
    reconcile(w, NULL);
    mw_expect(w, FW, "TASK_UNKNOWN", NULL);
    begin_list(w, AGENT2);
    end_list(w, AGENT2, "f1", AWARE, "TASK_RUNNING");
    mw_expect(w, FW, "TASK_RUNNING", "REASON_AGENT_REREGISTERED", NULL);
    reconcile(w, NULL);
    mw_expect(w, FW, "TASK_RUNNING", "REASON_RECONCILIATION", NULL);
}

/* The master that called the agent unreachable is gone, too: the row knows it, and its tasks are
 * told as they are when it comes back. */
static void test_unreachable_agent_returns_to_the_next_master(void **state)
{
    struct mw *w = *state;

    mw_standby(w);
    mw_row(w, RegistryTable_AGENTS, MW_A1,
           "{'info':{'hostname':'h','id':{'value':'" MW_A1
           "'}},'state':'UNREACHABLE','unreachable_ms':5000}");
    mw_elect(w, true);
    subscribe_as(w, FW, "f1", "one", ",'suppressed_roles':['*']");
    mw_expect(w, FW, "SUBSCRIBED", NULL);
    reconcile(w, MW_A1);
    mw_expect(w, FW, "TASK_UNREACHABLE", "'unreachable_time':{'nanoseconds':5000000000}", NULL);
    mw_call(w, FW, "RECONCILE", "'reconcile':{}");
    mw_expect_nothing(w, FW);
    begin_list(w, AGENT);
    mw_down(w, AGENT); /* the first attempt fails */
    begin_list(w, AGENT2);
    end_list(w, AGENT2, "f1", AWARE, "TASK_RUNNING");
    mw_expect(w, FW, "TASK_RUNNING", "REASON_AGENT_REREGISTERED", NULL);
    reconcile(w, MW_A2);
    mw_expect(w, FW, "TASK_RUNNING", NULL); /* it is known, wherever it was thought to be */
}

/* An agent known from its row comes back in time: nobody is told anything. */
static void test_recovered_agent_returns_silently(void **state)
{
    struct mw *w = *state;

    mw_standby(w);
    agent_rows(w, 1);
    mw_row(w, RegistryTable_AGENTS, MW_A1, "{'info':{'hostname':'h','id':{'value':'" MW_A1 "'}}}");
    mw_elect(w, true);
    subscribe_as(w, FW, "f1", "one", ",'suppressed_roles':['*']");
    mw_expect(w, FW, "SUBSCRIBED", NULL);
    begin_list(w, AGENT);
    end_list(w, AGENT, "f1", AWARE, "TASK_RUNNING");
    mw_expect_nothing(w, FW);
}

/* The agent tells how the task ended, and that its start was not acknowledged yet: the framework
 * hears of both in their order, although it subscribes before the agent has said the first again.
 */
static void test_learnt_updates_keep_their_order(void **state)
{
    struct mw *w = *state;

    mw_standby(w);
    mw_row(w, RegistryTable_AGENTS, MW_A1, "{'info':{'hostname':'h','id':{'value':'" MW_A1 "'}}}");
    mw_elect(w, true);
    begin_list(w, AGENT);
    mw_send(w, AGENT,
            "'body':{'AgentTasks':{'frameworks':[{'framework_id':'f1','info':{'user':'u','name':"
            "'n'," AWARE "}}],'tasks':[{'name':'t','task_id':{'value':'t1'},'framework_id':"
            "{'value':'f1'},'agent_id':{'value':'" MW_A1 "'},'state':'TASK_FINISHED','resources':"
            "[%s],'launch_uuid':'%s','status_update_state':'TASK_RUNNING','status_update_uuid':"
            "'%s','statuses':[{'task_id':{'value':'t1'},'agent_id':{'value':'" MW_A1
            "'},'state':'TASK_FINISHED','uuid':'%s'}]}],'last':true}}",
            mw_res(w, "cpus:1;mem:24"), mw_uuid(w, 9), mw_uuid(w, 1), mw_uuid(w, 2));
    mw_expect(w, AGENT, "AgentRegistered", NULL);
    subscribe_as(w, FW, "f1", "one", ",'suppressed_roles':['*']");
    mw_expect(w, FW, "SUBSCRIBED", NULL);
    mw_expect_nothing(w, FW);
    mw_update(w, AGENT, "f1", "t1", "TASK_RUNNING", 1);
    mw_expect(w, FW, "TASK_RUNNING", mw_uuid(w, 1), NULL);
    mw_acknowledge(w, FW, MW_A1, "t1", 1);
    mw_expect(w, AGENT, "AgentAcknowledge", mw_uuid(w, 1), NULL);
    mw_update(w, AGENT, "f1", "t1", "TASK_FINISHED", 2);
    mw_expect(w, FW, "TASK_FINISHED", mw_uuid(w, 2), NULL);
}

/* A durable framework's link breaks after a takeover, when the only task known of it is over:
 * others may run on an agent that is not back, so it is not done before that is known. */
static void durable_framework_waits(struct mw *w, const char *other_state)
{
    mw_standby(w);
    mw_row(w, RegistryTable_AGENTS, MW_A1, "{'info':{'hostname':'h','id':{'value':'" MW_A1 "'}}}");
    mw_row(w, RegistryTable_AGENTS, MW_A2, "{'info':{'hostname':'g','id':{'value':'" MW_A2 "'}}}");
    mw_row(w, RegistryTable_FRAMEWORKS, "f1",
           "{'info':{'user':'u','name':'n','id':{'value':'f1'},'failover_timeout':3600," AWARE
           "},'failover_ms':3600000,'generation':1}");
    mw_elect(w, true);
    subscribe_as(w, FW, "f1", "one", ",'suppressed_roles':['*']");
    begin_list(w, AGENT);
    end_list(w, AGENT, "f1", AWARE, "TASK_RUNNING");
    mw_update(w, AGENT, "f1", "t1", "TASK_FINISHED", 1);
    mw_acknowledge(w, FW, MW_A1, "t1", 1);
    mw_drop_trace(w);
    mw_down(w, FW);
    mw_expect_trace(w, "framework f1 active->disconnected link\n");
    mw_up(w, AGENT2, "AGENT", true, "'id':'" MW_A2 "'");
    mw_send(w, AGENT2,
            "'request_id':1,'body':{'AgentRegister':{'info':{'hostname':'g','id':{'value':'" MW_A2
            "'},'resources':[%s]},'runs_as_root':true}}",
            mw_res(w, "cpus:4;mem:1024"));
    mw_drop_trace(w);
    mw_send(w, AGENT2,
            "'body':{'AgentTasks':{'frameworks':[{'framework_id':'f1','info':{'user':'u','name':"
            "'n'," AWARE "}}],'tasks':[{'name':'t','task_id':{'value':'t2'},'framework_id':"
            "{'value':'f1'},'agent_id':{'value':'" MW_A2 "'},'state':'%s','resources':[%s],"
            "'launch_uuid':'%s'}],'last':true}}",
            other_state, mw_res(w, "cpus:1;mem:24"), mw_uuid(w, 8));
}

static void test_durable_framework_is_not_done_before_all_are_back(void **state)
{
    struct mw *w = *state;

    durable_framework_waits(w, "TASK_RUNNING");
    mw_pass(w, 50000);
    mw_ask(w, OP, "GET_FRAMEWORKS", "%s", "");
    assert_null(strstr(mw_next(w, OP), "\"completed_frameworks\":[{"));
    mw_update(w, AGENT2, "f1", "t2", "TASK_FINISHED", 2);
    mw_ask(w, OP, "ACKNOWLEDGE_TASK", "'acknowledge_task':{'framework_id':'f1','task_id':'t2'}");
    mw_drop(w, OP);
    mw_ask(w, OP, "GET_FRAMEWORKS", "%s", "");
    mw_expect(w, OP, "'completed_frameworks':[{", NULL);
}

/* --- timers --- */

/* Recovery begins with the election, not with the row; a framework gets 30 s at least. */
static void test_timers_begin_at_the_election(void **state)
{
    struct mw *w = *state;

    mw_standby(w);
    agent_rows(w, 1);
    mw_row(w, RegistryTable_FRAMEWORKS, "f1",
           "{'info':{'user':'u','name':'n','id':{'value':'f1'},'failover_timeout':1},"
           "'failover_ms':1000,'generation':1}");
    mw_row(w, RegistryTable_FRAMEWORKS, "f2",
           "{'info':{'user':'u','name':'n','id':{'value':'f2'},'failover_timeout':100},"
           "'failover_ms':100000,'generation':1}");
    mw_pass(w, 1000000);
    mw_elect(w, true);
    mw_drop_trace(w);
    mw_pass(w, 29999);
    mw_expect_trace(w, "");
    mw_pass(w, 1);
    mw_expect_trace(w, "framework f1 recovered->completed failover_timeout\n");
    mw_pass(w, 70000);
    mw_expect_trace(w, "framework f2 recovered->completed failover_timeout\n");
    mw_pass(w, 499999);
    mw_expect_trace(w, "");
    mw_pass(w, 1);
    mw_expect_trace(w,
                    "agent 00000000-0000-4000-8000-000000000001 recovered->unreachable timeout\n");
}

/* --- limits of giving up --- */

/* Of ten agents four may be given up because they did not come back. */
static void test_safety_limit_keeps_agents_recovered(void **state)
{
    struct mw *w = *state;
    const char *first = "00000000-0000-4000-8000-000000000009";
    char hello[80];

    mw_options(w)->recovery_removals_percent = 40;
    mw_standby(w);
    agent_rows(w, 10);
    mw_elect(w, true);
    mw_pass(w, 600000);
    assert_int_equal(n_recovered(w), 6);
    assert_int_equal(n_held(w), 6);
    mw_ask(w, OP, "GET_MASTER", "%s", "");
    mw_expect(w, OP, "10 of the 10 agents", "no more than 40 % of them are given up, 6 are kept",
              NULL);
    mw_ask(w, OP, "GET_HEALTH", "%s", "");
    mw_expect(w, OP, "'healthy':true", "'trouble':'10 of the 10 agents", NULL);
    mw_ask(w, OP, "WHY", "'why':{'kind':'AGENT','id':'%s'}", first);
    mw_expect(w, OP, "kept, as more than 40 % of the agents are missing", NULL);
    mw_pass(w, 10000000);
    assert_int_equal(n_recovered(w), 6);
    (void)snprintf(hello, sizeof hello, "'id':'%s'", first); /* one of them comes after all */
    mw_up(w, AGENT, "AGENT", true, hello);
    mw_send(w, AGENT, "'body':{'AgentRegister':{'info':{'hostname':'h','id':{'value':'%s'}}}}",
            first);
    assert_int_equal(n_held(w), 5);
}

static void test_safety_limit_of_none(void **state)
{
    struct mw *w = *state;

    mw_options(w)->recovery_removals_percent = 0;
    mw_standby(w);
    agent_rows(w, 3);
    mw_elect(w, true);
    mw_pass(w, 600000);
    assert_int_equal(n_recovered(w), 3);
    mw_agent(w, AGENT, MW_A1, "cpus:1;mem:100", ""); /* others are not concerned */
    mw_down(w, AGENT);
    mw_drop_trace(w);
    mw_pass(w, 75000);
    mw_expect_trace(w, "agent " MW_A1 " disconnected->unreachable timeout\n");
}

/* Two in any minute. */
static void test_removals_are_rate_limited(void **state)
{
    struct mw *w = *state;

    mw_options(w)->removals = 2;
    mw_options(w)->removals_ms = 60000;
    mw_standby(w);
    agent_rows(w, 5);
    mw_elect(w, true);
    mw_pass(w, 600000);
    assert_int_equal(n_recovered(w), 3);
    assert_int_equal(n_held(w), 3);
    mw_ask(w, OP, "GET_MASTER", "%s", "");
    mw_expect(w, OP, "3 agents are gone and wait to be given up: at most 2 in 60 s", NULL);
    mw_ask(w, OP, "WHY", "'why':{'id':'00000000-0000-4000-8000-000000000005'}");
    mw_expect(w, OP, "kept a while, as at most 2 agents in 60 s are given up", NULL);
    mw_pass(w, 59999);
    assert_int_equal(n_recovered(w), 3);
    mw_pass(w, 1);
    assert_int_equal(n_recovered(w), 1);
    mw_pass(w, 60000);
    assert_int_equal(n_recovered(w), 0);
    assert_int_equal(n_held(w), 0);
    mw_ask(w, OP, "GET_MASTER", "%s", "");
    assert_null(strstr(mw_next(w, OP), "trouble"));
}

/* --- the other masters are asked --- */

static void say_seen(struct mw *w, uint64_t master, unsigned request, const char *seen)
{
    mw_send(w, master,
            "'request_id':%u,'is_reply':true,'body':{'AgentsSeen':{'agent_ids':['" MW_A1
            "'],'seen':[%s]}}",
            request, seen);
}

static void given_masters(struct mw *w)
{
    mw_standby(w);
    mw_up(w, MASTER, "MASTER", true, "'instance':'master-2'");
    mw_elect(w, true);
    mw_up(w, MASTER2, "MASTER", true, "'instance':'master-3'");
    mw_agent(w, AGENT, MW_A1, "cpus:1;mem:100", "");
    mw_down(w, AGENT);
    mw_drop_trace(w);
}

/* One standby sees the agent: only its link is broken; asked again every 5 s, until nobody does. */
static void test_agent_seen_by_a_standby_is_not_unreachable(void **state)
{
    struct mw *w = *state;

    given_masters(w);
    mw_pass(w, 74999);
    mw_expect_nothing(w, MASTER);
    mw_pass(w, 1);
    mw_expect(w, MASTER, "'request_id':1", "'AgentsSeenCall':{'agent_ids':['" MW_A1 "']}", NULL);
    mw_expect(w, MASTER2, "AgentsSeenCall", NULL);
    mw_ask(w, OP, "WHY", "'why':{'id':'" MW_A1 "'}");
    mw_expect(w, OP, "the other masters are asked whether they see it", NULL);
    say_seen(w, MASTER, 1, "false");
    say_seen(w, MASTER, 1, "false"); /* once more: of no interest */
    mw_expect_trace(w, "");
    say_seen(w, MASTER2, 1, "true");
    mw_ask(w, OP, "GET_AGENTS", "%s", "");
    mw_expect(w, OP, "'state':'DISCONNECTED'", "another master sees it", NULL);
    mw_pass(w, 4999);
    mw_expect_nothing(w, MASTER);
    mw_pass(w, 1);
    mw_expect(w, MASTER, "'request_id':2", NULL);
    mw_expect(w, MASTER2, "'request_id':2", NULL);
    say_seen(w, MASTER2, 2, "false");
    mw_expect_trace(w, "");
    mw_send(w, MASTER, "'request_id':2,'is_reply':true,'code':'UNAVAILABLE','body':{'Reply':{}}");
    mw_pass(w, 0);
    mw_expect_trace(w, "agent " MW_A1 " disconnected->unreachable timeout\n");
}

/* A standby that does not answer is waited for 2 s; one that goes, not at all. */
static void test_silent_standby_does_not_hold_up(void **state)
{
    struct mw *w = *state;

    given_masters(w);
    mw_pass(w, 75000);
    say_seen(w, MASTER, 1, "false");
    mw_pass(w, 1999);
    mw_expect_trace(w, "");
    mw_pass(w, 1);
    mw_expect_trace(w, "agent " MW_A1 " disconnected->unreachable timeout\n");
    say_seen(w, MASTER2, 1, "true"); /* too late */
    mw_expect_trace(w, "");
    mw_agent(w, AGENT, MW_A1, "cpus:1;mem:100", "");
    mw_down(w, AGENT);
    mw_drop_trace(w);
    mw_pass(w, 75000);
    mw_drop(w, MASTER);
    say_seen(w, MASTER, 2, "false");
    mw_down(w, MASTER2);
    mw_pass(w, 0);
    mw_expect_trace(w, "agent " MW_A1 " disconnected->unreachable timeout\n");
}

/* It comes back while the others are asked: what they say does not matter any more. */
static void test_agent_returns_while_others_are_asked(void **state)
{
    struct mw *w = *state;

    given_masters(w);
    mw_pass(w, 75000);
    mw_agent(w, AGENT2, MW_A1, "cpus:1;mem:100", "");
    say_seen(w, MASTER, 1, "false");
    say_seen(w, MASTER2, 1, "false");
    mw_pass(w, 100000);
    mw_expect_trace(w, "agent " MW_A1 " disconnected->registering register\n"
                       "agent " MW_A1 " registering->registered tasks\n");
}

/* Many at once: questions of a thousand, one after the other. Those of recovery, too. */
static void test_many_agents_are_asked_about_in_parts(void **state)
{
    struct mw *w = *state;

    mw_standby(w);
    agent_rows(w, 1500);
    mw_up(w, MASTER, "MASTER", true, "'instance':'master-2'");
    mw_elect(w, true);
    mw_pass(w, 600000);
    const char *call = mw_next(w, MASTER);

    assert_int_equal(count(call, "00000000-0000-4000-8000-"), 1000);
    mw_expect_nothing(w, MASTER);
    mw_send(w, MASTER,
            "'request_id':1,'is_reply':true,'body':{'AgentsSeen':{'agent_ids':["
            "'00000000-0000-4000-8000-000000000003'],'seen':[true]}}");
    call = mw_next(w, MASTER);
    assert_int_equal(count(call, "00000000-0000-4000-8000-"), 500);
    mw_pass(w, 2000);
    mw_ask(w, OP, "WHY", "'why':{'id':'00000000-0000-4000-8000-000000000003'}");
    mw_expect(w, OP, "'state':'recovered'", "another master sees it", NULL);
    mw_ask(w, OP, "WHY", "'why':{'id':'00000000-0000-4000-8000-000000001500'}");
    mw_expect(w, OP, "'state':'unreachable'", NULL);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    static const struct CMUnitTest tests[] = {
        T(test_reconcile_after_takeover_waits_for_the_agent),
        T(test_unreachable_agent_returns_to_the_next_master),
        T(test_recovered_agent_returns_silently),
        T(test_learnt_updates_keep_their_order),
        T(test_durable_framework_is_not_done_before_all_are_back),
        T(test_timers_begin_at_the_election),
        T(test_safety_limit_keeps_agents_recovered),
        T(test_safety_limit_of_none),
        T(test_removals_are_rate_limited),
        T(test_agent_seen_by_a_standby_is_not_unreachable),
        T(test_silent_standby_does_not_hold_up),
        T(test_agent_returns_while_others_are_asked),
        T(test_many_agents_are_asked_about_in_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
