/* SPDX-License-Identifier: Apache-2.0 */
/* What may not be: launches, calls, peers. Each is answered, counted and changes nothing. */
#include "common/base/buf.h"
#include "tests/support/master_world.h"
#include "tests/support/test.h"

enum { AGENT = 11, AGENT2 = 12, FW = 21, FW2 = 22, OP = 31 };

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

static const char *given_offer(struct mw *w)
{
    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:1024;ports:[100-109]", "");
    (void)mw_framework(w, FW, "", "");
    mw_expect(w, FW, "'type':'OFFERS'", NULL);
    return mw_field(w, "id");
}

#define NAME_ID "'name':'n','task_id':{'value':'t1'},"
#define HERE    "'agent_id':{'value':'" MW_A1 "'},"
#define CPU     "'resources':[{'name':'cpus','type':'SCALAR','scalar':{'value':1}}]"
#define RUN     ",'command':{'value':'true'}"

struct wrong {
    const char *task, *expected;
};

/* TASK_ERROR with the reason, and nothing reaches the agent. */
static void expect_refused(struct mw *w, const struct wrong *cases, size_t n)
{
    const char *offer = given_offer(w);

    for (size_t i = 0; i < n; i++) {
        char task[800];

        (void)snprintf(task, sizeof task, "{%s}", cases[i].task);
        mw_accept(w, FW, offer, task, "'filters':{'refuse_seconds':0}");
        mw_expect(w, FW, "TASK_ERROR", "REASON_TASK_INVALID", "SOURCE_MASTER", cases[i].expected,
                  NULL);
        mw_expect(w, FW, "'type':'OFFERS'", NULL);
        offer = mw_field(w, "id");
        mw_expect_nothing(w, AGENT);
    }
}

/* Every way a TaskInfo can be wrong. */
static void test_invalid_tasks_are_refused(void **state)
{
    static const struct wrong cases[] = {
        {"'name':'n','task_id':{'value':'a/b'}," HERE CPU RUN, "Task id"},
        {"'name':'n','task_id':{'value':'..'}," HERE CPU RUN, "Task id"},
        {"'name':'n','task_id':{'value':''}," HERE CPU RUN, "Task id"},
        {NAME_ID "'agent_id':{'value':'other'}," CPU RUN, "invalid agent other while agent"},
        {NAME_ID HERE CPU, "at least one (but not both)"},
        {NAME_ID HERE CPU RUN ",'executor':{'executor_id':{'value':'e'}}",
         "at least one (but not both)"},
        {NAME_ID HERE CPU ",'executor':{'executor_id':{'value':'e'}}", "must be set"},
        {NAME_ID HERE CPU ",'command':{}", "neither a value nor a script"},
        {NAME_ID HERE CPU ",'command':{'value':'x','uris':[{'value':''}]}", "URI"},
        {NAME_ID HERE CPU ",'command':{'value':'x','environment':{'variables':[{'name':'A','type':"
                          "'SECRET','secret':{}}]}}",
         "SECRET"},
        {NAME_ID HERE CPU ",'command':{'value':'x','environment':{'variables':[{'name':'A'}]}}",
         "must have a name and a value"},
        {NAME_ID HERE CPU RUN ",'container':{'type':'DOCKER','docker':{'image':'x'}}",
         "containers"},
        {NAME_ID HERE "'resources':[]" RUN, "Task uses no resources"},
        {NAME_ID HERE "'resources':[{'name':'cpus','type':'SCALAR','scalar':{'value':0}}]" RUN,
         "Task uses no resources"},
        {NAME_ID HERE "'resources':[{'name':'cpus','type':'SCALAR','scalar':{'value':-1}}]" RUN,
         "invalid resources"},
        {NAME_ID HERE
         "'resources':[{'name':'cpus','type':'SCALAR','scalar':{'value':1},'role':'r'}]" RUN,
         "reserved resources are not supported yet"},
        {NAME_ID HERE
         "'resources':[{'name':'cpus','type':'SCALAR','scalar':{'value':1},'revocable':"
         "{}}]" RUN,
         "revocable resources"},
        {NAME_ID HERE "'resources':[{'name':'cpus','type':'SCALAR','scalar':{'value':1},"
                      "'allocation_info':{'role':'other'}}]" RUN,
         "is allocated to role other"},
        {NAME_ID HERE "'resources':[{'name':'cpus','type':'SCALAR','scalar':{'value':4.001}}]" RUN,
         "Task uses more resources cpus:4.001 than available cpus:4;mem:1024;ports:[100-109]"},
        {NAME_ID HERE "'resources':[{'name':'ports','type':'RANGES','ranges':{'range':[{'begin':99,"
                      "'end':100}]}}]" RUN,
         "more resources"},
        {NAME_ID HERE "'resources':[{'name':'gpus','type':'SCALAR','scalar':{'value':0.5}}]" RUN,
         "gpus"},
    };
    expect_refused(*state, cases, PF_ARRAY_LEN(cases));
}

/* Checks, limits and times. */
static void test_invalid_parts_are_refused(void **state)
{
    static const struct wrong cases[] = {
        {NAME_ID HERE CPU RUN ",'health_check':{'type':'TCP'}", "with a port to be set for TCP"},
        {NAME_ID HERE CPU RUN ",'health_check':{'command':{}}", "neither a value nor a script"},
        {NAME_ID HERE CPU RUN ",'health_check':{'type':'HTTP','http':{'port':0}}", "with a port"},
        {NAME_ID HERE CPU RUN ",'health_check':{'http':{'port':1,'scheme':'ftp'}}", "scheme"},
        {NAME_ID HERE CPU RUN ",'health_check':{'http':{'port':1,'path':'x'}}", "must start with"},
        {NAME_ID HERE CPU RUN ",'health_check':{'type':'COMMAND'}", "to be set for COMMAND"},
        {NAME_ID HERE CPU RUN ",'health_check':{'type':'TCP','tcp':{'port':1},'grace_period_seconds"
                              "':-1}",
         "non-negative"},
        {NAME_ID HERE CPU RUN ",'check':{'type':'TCP'}", "with a port to be set for TCP"},
        {NAME_ID HERE CPU RUN ",'check':{'tcp':{'port':1}}", "CheckInfo must specify a valid"},
        {NAME_ID HERE CPU RUN ",'check':{'type':'HTTP','http':{'port':65536}}", "with a port"},
        {NAME_ID HERE CPU RUN ",'check':{'type':'COMMAND'}", "to be set for COMMAND"},
        {NAME_ID HERE CPU RUN ",'check':{'type':'TCP','tcp':{'port':1},'delay_seconds':-1}",
         "non-negative"},
        {NAME_ID HERE CPU RUN ",'limits':{'cpus':{'value':0.5}}",
         "The cpus limit must be at least the cpus request"},
        {NAME_ID HERE CPU RUN ",'limits':{'disk':{'value':9}}", "may only hold cpus and mem"},
        {NAME_ID HERE CPU RUN ",'max_completion_time':{'nanoseconds':-1}", "max_completion_time"},
        {NAME_ID HERE CPU RUN ",'kill_policy':{'grace_period':{'nanoseconds':-1}}", "grace_period"},
    };
    expect_refused(*state, cases, PF_ARRAY_LEN(cases));
}

/* What an agent could not store, and no message to it could hold, ends at the master. */
static void test_task_that_is_too_large_is_refused(void **state)
{
    struct mw *w = *state;
    const char *offer = given_offer(w);
    struct pf_buf task = {0};

    pf_buf_add_cstr(&task, "{" NAME_ID HERE CPU ",'data':'");
    for (int i = 0; i < 3900000 / 4; i++) {
        pf_buf_add_cstr(&task, "AAAA"); /* base64 */
    }
    pf_buf_add_cstr(&task, "'" RUN "}");
    mw_accept(w, FW, offer, pf_buf_cstr(&task), "");
    mw_expect(w, FW, "TASK_ERROR", "REASON_TASK_INVALID", "too large", NULL);
    mw_expect_nothing(w, AGENT);
    pf_buf_fini(&task);
}

/* One bad task among good ones: the good ones run. A live id cannot be used again. */
static void test_one_bad_task_among_good(void **state)
{
    struct mw *w = *state;
    const char *offer = given_offer(w);
    char tasks[2000];

    (void)snprintf(tasks, sizeof tasks, "%s,%s,%s", mw_task(w, "t1", MW_A1, "cpus:2"),
                   mw_task(w, "t1", MW_A1, "cpus:1"), mw_task(w, "t2", MW_A1, "cpus:3"));
    mw_accept(w, FW, offer, tasks, "");
    mw_expect(w, FW, "TASK_ERROR", "Task has duplicate ID: t1", NULL);
    mw_expect(w, FW, "TASK_ERROR", "'value':'t2'", "than available cpus:2", NULL);
    mw_expect(w, AGENT, "AgentLaunch", "'value':'t1'", NULL);
    mw_expect_nothing(w, AGENT);
}

/* The framework's info goes with the first launch only. */
static void test_framework_info_is_sent_once(void **state)
{
    struct mw *w = *state;
    const char *offer = given_offer(w);

    mw_accept(w, FW, offer, mw_task(w, "t1", MW_A1, "cpus:1"), "'filters':{'refuse_seconds':0}");
    mw_expect(w, AGENT, "AgentLaunch", "framework_info", NULL);
    mw_expect(w, FW, "'type':'OFFERS'", NULL);
    mw_accept(w, FW, mw_field(w, "id"), mw_task(w, "t2", MW_A1, "cpus:1"), "");
    const char *message = mw_next(w, AGENT);

    assert_non_null(message);
    assert_null(strstr(message, "framework_info"));
}

/* Operations that do not exist yet. */
static void test_unsupported_operations(void **state)
{
    struct mw *w = *state;
    const char *offer = given_offer(w);

    mw_send(w, FW,
            "'request_id':8,'body':{'Scheduler_Call':{'type':'ACCEPT','accept':{'offer_ids':[{"
            "'value':'%s'}],'operations':[{'type':'RESERVE','id':{'value':'op1'},'reserve':{}}],"
            "'filters':{'refuse_seconds':0}}}}",
            offer);
    mw_expect(w, FW, "UPDATE_OPERATION_STATUS", "OPERATION_ERROR", "'value':'op1'",
              "RESERVE is not supported yet", NULL);
    mw_expect(w, FW, "'request_id':8", "'code':'UNSUPPORTED'", "RESERVE", NULL);
    mw_expect(w, FW, "'type':'OFFERS'", NULL);
    offer = mw_field(w, "id");
    mw_call(
        w, FW, "ACCEPT",
        "'accept':{'offer_ids':[{'value':'%s'}],'operations':[{'type':'LAUNCH_GROUP',"
        "'launch_group':{'executor':{'executor_id':{'value':'e'}},'task_group':{'tasks':[%s]}}}]}",
        offer, mw_task(w, "t1", MW_A1, "cpus:1"));
    mw_expect(w, FW, "TASK_ERROR", "REASON_TASK_GROUP_INVALID", "must be set", NULL);
}

/* Calls without a subscription, of another framework, without their part, unknown ones. */
static void test_calls_that_are_refused(void **state)
{
    struct mw *w = *state;

    mw_up(w, FW, "SCHEDULER", true, "");
    mw_send(w, FW, "'request_id':1,'body':{'Scheduler_Call':{'type':'REVIVE'}}");
    mw_expect(w, FW, "'code':'NOT_SUBSCRIBED'", NULL);
    mw_send(w, FW, "'request_id':1,'body':{'Scheduler_Call':{'type':'SUBSCRIBE'}}");
    mw_expect(w, FW, "'code':'BAD_REQUEST'", NULL);
    mw_send(w, FW, "'request_id':1,'body':{'Scheduler_Call':{'type':'REQUEST'}}");
    mw_expect(w, FW, "'code':'UNSUPPORTED'", NULL);
    mw_send(w, FW, "'request_id':1,'body':{'Scheduler_Call':{}}");
    mw_expect(w, FW, "'code':'UNSUPPORTED'", NULL);
    mw_send(w, FW, "'request_id':1,'body':{'AgentTasks':{}}");
    mw_expect(w, FW, "'code':'BAD_REQUEST'", "kind of peer", NULL);
    mw_send(w, FW, "'request_id':1,'body':{'FileData':{}}");
    mw_expect(w, FW, "'code':'UNSUPPORTED'", NULL);
    mw_send(w, FW, "'request_id':1,'body':{'Master_Call':{'type':'GET_WEIGHTS'}}");
    mw_expect(w, FW, "'code':'UNSUPPORTED'", "GET_WEIGHTS", NULL);
    mw_send(w, FW, "'request_id':1,'body':{'Master_Call':{'type':'GET_HEALTH'}}");
    mw_expect(w, FW, "'healthy':true", NULL);
    (void)mw_framework(w, FW2, "", "");
    mw_send(w, FW2,
            "'request_id':1,'body':{'Scheduler_Call':{'type':'REVIVE','framework_id':{'value':'x'}}"
            "}");
    mw_expect(w, FW2, "'code':'FORBIDDEN'", NULL);
    mw_send(
        w, FW2,
        "'request_id':1,'body':{'Scheduler_Call':{'type':'ACKNOWLEDGE','acknowledge':{'agent_id'"
        ":{'value':'a'},'task_id':{'value':'t'},'uuid':'AAAA'}}}");
    mw_expect(w, FW2, "'code':'BAD_REQUEST'", "16 bytes", NULL);
}

/* An agent without the key is nobody. */
static void test_agent_needs_the_key(void **state)
{
    struct mw *w = *state;

    mw_up(w, AGENT, "AGENT", false, "'id':'" MW_A1 "'");
    mw_send(w, AGENT,
            "'request_id':1,'body':{'AgentRegister':{'info':{'hostname':'h','id':{'value':'" MW_A1
            "'}}}}");
    mw_expect(w, AGENT, "'code':'FORBIDDEN'", "key", NULL);
}

static void untrusted_framework(struct mw *w, uint64_t peer, const char *user)
{
    char hello[100];

    (void)snprintf(hello, sizeof hello, "'user':'%s'", user);
    mw_up(w, peer, "SCHEDULER", false, hello);
    mw_call(w, peer, "SUBSCRIBE",
            "'subscribe':{'framework_info':{'user':'root','name':'n','failover_timeout':60}}");
    mw_expect(w, peer, "'type':'SUBSCRIBED'", NULL);
}

/* A peer without the key launches only on agents that run as root, as the task user. */
static void test_untrusted_framework_runs_as_task_user(void **state)
{
    struct mw *w = *state;

    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:1024", "");
    mw_up(w, AGENT2, "AGENT", true, "'id':'" MW_A2 "'"); /* not root */
    mw_send(w, AGENT2,
            "'body':{'AgentRegister':{'info':{'hostname':'h','id':{'value':'" MW_A2
            "'},'resources':[%s]}}}",
            mw_res(w, "cpus:4;mem:1024"));
    mw_expect(w, AGENT2, "AgentTasksWanted", NULL);
    mw_send(w, AGENT2, "'body':{'AgentTasks':{'last':true}}");
    untrusted_framework(w, FW, "eve");
    const char *message = mw_next(w, FW);

    assert_non_null(strstr(message, MW_A1));
    assert_null(strstr(message, MW_A2));
    mw_accept(w, FW, mw_field(w, "id"), mw_task(w, "t1", MW_A1, "cpus:1"), "");
    mw_expect(w, AGENT, "AgentLaunch", "'user':'nobody'", "'principal':'user:eve'", NULL);
}

/* --allow-any-user: as in Mesos. */
static void test_allow_any_user(void **state)
{
    struct mw *w = *state;

    mw_crash(w);
    mw_options(w)->allow_any_user = true;
    mw_boot(w);
    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:1024", "");
    untrusted_framework(w, FW, "eve");
    mw_expect(w, FW, "'type':'OFFERS'", NULL);
    mw_accept(w, FW, mw_field(w, "id"), mw_task(w, "t1", MW_A1, "cpus:1"), "");
    mw_expect(w, AGENT, "AgentLaunch", "'user':'root'", NULL);
}

/* A peer without the key sees everything, and touches what is its own. */
static void test_untrusted_peer_touches_only_its_own(void **state)
{
    struct mw *w = *state;
    const char *f;

    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:1024", "");
    f = mw_framework(w, FW, "", "");
    untrusted_framework(w, FW2, "eve");
    const char *g = "f12";

    mw_up(w, OP, "OPERATOR", false, "'user':'eve'");
    mw_ask(w, OP, "GET_FRAMEWORKS", "%s", "");
    mw_expect(w, OP, f, g, NULL);
    mw_ask(w, OP, "TEARDOWN", "'teardown':{'framework_id':{'value':'%s'}}", f);
    mw_expect(w, OP, "'code':'FORBIDDEN'", NULL);
    mw_ask(w, OP, "KILL_TASK", "'kill_task':{'framework_id':'%s','task_id':'t'}", f);
    mw_expect(w, OP, "'code':'FORBIDDEN'", NULL);
    mw_ask(w, OP, "TEARDOWN", "'teardown':{'framework_id':{'value':'%s'}}", g);
    mw_expect(w, OP, "'is_reply':true", NULL);
    mw_expect(w, FW2, "Framework has been removed", NULL);
    mw_up(w, 50, "SCHEDULER", false, "'user':'eve'");
    mw_call(w, 50, "SUBSCRIBE",
            "'subscribe':{'framework_info':{'user':'u','name':'n','id':{'value':'%s'}}}", f);
    mw_expect(w, 50, "'type':'ERROR'", "belongs to others", NULL);
    mw_expect(w, 50, "CLOSED", NULL);
}

/* Too many of something. */
static void test_limits_are_told(void **state)
{
    struct mw *w = *state;
    const char *offer = given_offer(w);
    struct pf_buf tasks = {0}, ids = {0};

    for (unsigned i = 0; i < 1001; i++) {
        pf_buf_printf(&tasks, "%s{'name':'n','task_id':{'value':'t%u'}," HERE CPU RUN "}",
                      i > 0 ? "," : "", i);
        pf_buf_printf(&ids, "%s{'value':'o%u'}", i > 0 ? "," : "", i + 1000);
    }
    mw_accept(w, FW, offer, pf_buf_cstr(&tasks), "'filters':{'refuse_seconds':0}");
    for (unsigned i = 0; i < 1001; i++) {
        mw_expect(w, FW, "TASK_ERROR", "More than 1000 tasks", NULL);
    }
    mw_send(
        w, FW,
        "'request_id':1,'body':{'Scheduler_Call':{'type':'DECLINE','decline':{'offer_ids':[%s]}}}",
        pf_buf_cstr(&ids));
    mw_expect(w, FW, "'type':'OFFERS'", NULL);
    mw_expect(w, FW, "'code':'TOO_LARGE'", NULL);
    pf_buf_fini(&tasks);
    pf_buf_fini(&ids);
}

/* --- replay --- */

static void play(struct mw *w)
{
    const char *f;

    mw_boot(w);
    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:1024;ports:[100-109]", "");
    mw_agent(w, AGENT2, MW_A2, "cpus:8;mem:1024", "");
    f = mw_framework(w, FW, "", "");
    mw_expect(w, FW, "'type':'OFFERS'", NULL);
    mw_accept(w, FW, mw_field(w, "id"), mw_task(w, "t1", MW_A1, "cpus:1"), "");
    (void)mw_framework(w, FW2, "", "");
    mw_call(w, FW2, "DEMAND", "'demand':{'demands':[{'id':'d','count':9,'resources':[%s]}]}",
            mw_res(w, "cpus:1"));
    mw_update(w, AGENT, f, "t1", "TASK_FAILED", 1);
    mw_pass(w, 40000);
    mw_down(w, AGENT);
    mw_ask(w, OP, "GET_OFFERS", "%s", "");
    mw_ask(w, OP, "GET_TASKS", "%s", "");
    mw_pass(w, 100000);
}

/* The same events give the same bytes. */
static void test_replay_gives_equal_effects(void **state)
{
    struct mw *a = mw_create(), *b = mw_create();

    (void)state;
    play(a);
    play(b);
    assert_int_equal(mw_log(a)->len, mw_log(b)->len);
    assert_true(mw_log(a)->len > 5000);
    assert_memory_equal(mw_log(a)->data, mw_log(b)->data, mw_log(a)->len);
    mw_destroy(a);
    mw_destroy(b);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    static const struct CMUnitTest tests[] = {
        T(test_invalid_tasks_are_refused),
        T(test_invalid_parts_are_refused),
        T(test_task_that_is_too_large_is_refused),
        T(test_one_bad_task_among_good),
        T(test_framework_info_is_sent_once),
        T(test_unsupported_operations),
        T(test_calls_that_are_refused),
        T(test_agent_needs_the_key),
        T(test_untrusted_framework_runs_as_task_user),
        T(test_allow_any_user),
        T(test_untrusted_peer_touches_only_its_own),
        T(test_limits_are_told),
        T(test_replay_gives_equal_effects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
