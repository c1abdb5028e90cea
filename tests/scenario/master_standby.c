/* SPDX-License-Identifier: Apache-2.0 */
/* A standby: rows come and go, reads are answered and marked stale, the rest is refused; then it
 * leads, with links that were up before. */
#include "common/base/alloc.h"
#include "schemas/rows.h"
#include "tests/support/master_world.h"
#include "tests/support/test.h"

enum { AGENT = 11, AGENT2 = 12, FW = 21, FW2 = 22, OP = 31, MASTER = 41 };

static const struct pf_master_view views[] = {
    {.instance = "master-1",
     .address = "10.0.0.1:5055",
     .hostname = "m1",
     .is_self = true,
     .has_lag = true,
     .lag = 3,
     .trouble = "ZooKeeper does not answer"},
    {.instance = "master-2",
     .address = "10.0.0.2:5055",
     .http_address = "10.0.0.2:5050",
     .hostname = "m2",
     .version = "0.2",
     .pid = 22,
     .started_wall_ms = 5000,
     .is_leading = true,
     .is_linked = true,
     .epoch = 4},
    {.instance = "master-3", .address = "10.0.0.3:5055"},
};

static int setup(void **state)
{
    struct mw *w = mw_create();

    mw_standby(w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    mw_destroy(*state);
    return 0;
}

static void agent_row(struct mw *w, const char *id, const char *host, const char *state)
{
    char json[300];

    (void)snprintf(json, sizeof json,
                   "{'info':{'hostname':'%s','id':{'value':'%s'}},'admitted_ms':5,'state':'%s',"
                   "'unreachable_ms':%s}",
                   host, id, state, strcmp(state, "UNREACHABLE") == 0 ? "7000" : "0");
    mw_row(w, RegistryTable_AGENTS, id, json);
}

static void framework_row(struct mw *w, const char *id, const char *name, unsigned generation)
{
    char json[300];

    (void)snprintf(json, sizeof json,
                   "{'info':{'user':'u','name':'%s','id':{'value':'%s'}},'generation':%u,"
                   "'failover_ms':1000}",
                   name, id, generation);
    mw_row(w, RegistryTable_FRAMEWORKS, id, json);
}

/* Rows come in any order, change what is there, and take it away. */
static void test_rows_come_change_and_go(void **state)
{
    struct mw *w = *state;

    agent_row(w, MW_A1, "h1", "REGISTERED");
    agent_row(w, MW_A2, "h2", "REGISTERED");
    agent_row(w, MW_A1, "h1b", "UNREACHABLE");
    agent_row(w, MW_A1, "h1c", "REGISTERED");
    mw_row(w, RegistryTable_AGENTS, MW_A2, NULL);
    mw_row(w, RegistryTable_AGENTS, MW_A3, NULL); /* never heard of */
    framework_row(w, "f1", "one", 1);
    framework_row(w, "f2", "two", 1);
    framework_row(w, "f1", "uno", 5);
    mw_row(w, RegistryTable_FRAMEWORKS, "f2", NULL);
    mw_row(w, RegistryTable_FRAMEWORKS, "f3", NULL);
    mw_expect_trace(w, "agent " MW_A1 " none->recovered row\n"
                       "agent " MW_A2 " none->recovered row\n"
                       "agent " MW_A1 " recovered->unreachable row\n"
                       "agent " MW_A1 " unreachable->recovered row\n"
                       "framework f1 none->recovered row\n"
                       "framework f2 none->recovered row\n");
    mw_ask(w, OP, "GET_AGENTS", "%s", "");
    const char *agents = mw_next(w, OP);

    assert_non_null(strstr(agents, "h1c"));
    assert_null(strstr(agents, "h2"));
    mw_ask(w, OP, "GET_FRAMEWORKS", "%s", "");
    const char *frameworks = mw_next(w, OP);

    assert_non_null(strstr(frameworks, "uno"));
    assert_null(strstr(frameworks, "two"));
    assert_true(pf_master_deadline(mw_core(w)) == INT64_MAX);
}

/* Reads are answered from the rows, with how far they may be behind and who knows better. */
static void test_standby_answers_reads(void **state)
{
    static const char *const reads[] = {"GET_HEALTH",     "GET_VERSION", "GET_STATE",  "GET_AGENTS",
                                        "GET_FRAMEWORKS", "GET_MASTER",  "GET_MASTERS"};
    struct mw *w = *state;

    mw_masters(w, views, 3);
    agent_row(w, MW_A1, "h1", "REGISTERED");
    for (size_t i = 0; i < PF_ARRAY_LEN(reads); i++) {
        mw_ask(w, OP, reads[i], "%s", "");
        mw_expect(w, OP, reads[i], "'stale':{'lag':3,'leader':'10.0.0.2:5055'}", NULL);
    }
    mw_ask(w, OP, "FIND", "'find':{'text':'h1'}");
    mw_expect(w, OP, MW_A1, "'stale':", NULL);
    mw_ask(w, OP, "GET_MASTER", "%s", "");
    mw_expect(w, OP, "'id':'master-2'", "'pid':'10.0.0.2:5055'", "'hostname':'m2'", NULL);
    mw_ask(w, OP, "GET_MASTERS", "%s", "");
    mw_expect(w, OP, "'state':'standby','lag':3", "'trouble':'ZooKeeper does not answer'",
              "'leading':true,'epoch':4,'state':'leading'", "'state':'unreachable'",
              "'hostname':'m2'", NULL);
}

/* Everything else is for the leader. */
static void test_standby_names_the_leader(void **state)
{
    static const char *const calls[] = {"GET_TASKS", "GET_OFFERS",       "WAIT_TASKS", "WHY",
                                        "KILL_TASK", "ACKNOWLEDGE_TASK", "TEARDOWN"};
    struct mw *w = *state;

    mw_up(w, AGENT, "AGENT", true, "'id':'" MW_A1 "'");
    mw_up(w, FW, "SCHEDULER", true, "");
    mw_ask(w, OP, "WHY", "%s", "");
    mw_expect(w, OP, "'code':'UNAVAILABLE'", "no master leads at the moment'", NULL);
    mw_masters(w, views, 1);
    mw_ask(w, OP, "WHY", "%s", "");
    mw_expect(w, OP, "'code':'UNAVAILABLE'",
              "no master leads at the moment: ZooKeeper does not answer", NULL);
    mw_masters(w, views, 3);
    for (size_t i = 0; i < PF_ARRAY_LEN(calls); i++) {
        mw_ask(w, OP, calls[i], "%s", "");
        mw_expect(w, OP, "'code':'NOT_LEADER'", "10.0.0.2:5055 leads", NULL);
    }
    mw_send(w, FW, "'request_id':2,'body':{'Scheduler_Call':{'type':'REVIVE'}}");
    mw_expect(w, FW, "'code':'NOT_LEADER'", NULL);
    mw_send(w, AGENT, "'request_id':2,'body':{'AgentTasks':{'last':true}}");
    mw_expect(w, AGENT, "'code':'NOT_LEADER'", NULL);
    mw_send(w, OP, "'request_id':3,'body':{'AgentTasks':{}}"); /* wrong as ever */
    mw_expect(w, OP, "'code':'BAD_REQUEST'", NULL);
}

/* Another master asks which agents are linked here: registered or not, by one link or two. */
static void test_standby_tells_which_agents_it_sees(void **state)
{
    static const char *const call =
        "'request_id':7,'body':{'AgentsSeenCall':{'agent_ids':['" MW_A1 "','" MW_A2 "','']}}";
    struct mw *w = *state;

    mw_up(w, MASTER, "MASTER", true, "'instance':'master-2'");
    mw_up(w, AGENT, "AGENT", true, "'id':'" MW_A1 "'");
    mw_up(w, AGENT2, "AGENT", true, "'id':'" MW_A1 "'");
    mw_down(w, AGENT);
    mw_send(w, MASTER, "%s", call);
    mw_expect(w, MASTER, "'request_id':7,'is_reply':true", "'seen':[true,false,false]", NULL);
    struct pf_master_stats stats;

    pf_master_stats(mw_core(w), &stats);
    assert_int_equal(stats.n_agents_linked, 1);
    mw_down(w, AGENT2);
    mw_send(w, MASTER, "%s", call);
    mw_expect(w, MASTER, "'seen':[false,false,false]", NULL);
    mw_send(w, MASTER, "'body':{'AgentsSeenCall':{}}"); /* nobody would hear the answer */
    mw_expect_nothing(w, MASTER);
}

/* Links that are warm when it is elected are used: they register by themselves. The epoch is kept
 * elsewhere, so that there is no row of it. */
static void test_election_with_links_up(void **state)
{
    struct mw *w = *state;

    agent_row(w, MW_A1, "h", "REGISTERED");
    framework_row(w, "f1", "one", 3);
    mw_up(w, AGENT, "AGENT", true, "'id':'" MW_A1 "','instance':'i'");
    mw_up(w, FW, "SCHEDULER", true, "");
    mw_store_hold(w);
    mw_elect(w, true);
    mw_ask(w, OP, "GET_MASTER", "%s", ""); /* no row is waited for */
    mw_expect(w, OP, "'id':'master-1'", "'elected_time'", NULL);
    mw_store_go(w);
    mw_send(w, AGENT,
            "'request_id':1,'body':{'AgentRegister':{'info':{'hostname':'h','id':{'value':'" MW_A1
            "'},'resources':[%s]},'instance':'i'}}",
            mw_res(w, "cpus:4;mem:1024"));
    mw_expect(w, AGENT, "AgentTasksWanted", NULL);
    mw_send(w, AGENT, "'body':{'AgentTasks':{'last':true}}");
    mw_expect(w, AGENT, "AgentRegistered", NULL);
    mw_call(w, FW, "SUBSCRIBE",
            "'subscribe':{'framework_info':{'user':'u','name':'one','id':{'value':'f1'}}}");
    mw_expect(w, FW, "'type':'SUBSCRIBED'", "'generation':4", NULL);
    mw_expect(w, FW, "'type':'OFFERS'", MW_A1, NULL);
    mw_crash(w);
    mw_standby(w); /* and the next one has no row of an epoch */
    mw_elect(w, true);
    mw_ask(w, OP, "GET_MASTERS", "%s", ""); /* alone, as far as it was told */
    mw_expect(w, OP, "'leading':true", "'state':'leading'", "'hostname':'m1'", NULL);
}

/* --- registration without a list --- */

static void greet(struct mw *w, uint64_t peer)
{
    mw_up(w, peer, "AGENT", true, "'id':'" MW_A1 "','instance':'i'");
}

static void say_register(struct mw *w, uint64_t peer, const char *instance, unsigned sequence)
{
    mw_send(w, peer,
            "'request_id':1,'body':{'AgentRegister':{'info':{'hostname':'h','id':{'value':'" MW_A1
            "'},'resources':[%s]},'runs_as_root':true,'instance':'%s','sequence':%u}}",
            mw_res(w, "cpus:4;mem:1024"), instance, sequence);
}

static void say_update(struct mw *w, uint64_t peer, const char *f, const char *task,
                       const char *task_state, unsigned n, unsigned sequence)
{
    mw_send(w, peer,
            "'body':{'AgentUpdate':{'framework_id':'%s','status':{'task_id':{'value':'%s'},"
            "'state':'%s','uuid':'%s'},'sequence':%u}}",
            f, task, task_state, mw_uuid(w, n), sequence);
}

/* A leader with an agent whose task t1 runs; all up to sequence 12 was heard. */
static const char *given_running(struct mw *w, const char **launch)
{
    const char *f;

    mw_elect(w, false);
    greet(w, AGENT);
    say_register(w, AGENT, "i", 10);
    mw_expect(w, AGENT, "AgentTasksWanted", NULL);
    mw_send(w, AGENT, "'body':{'AgentTasks':{'last':true}}");
    mw_expect(w, AGENT, "'request_id':1,'is_reply':true", "AgentRegistered", NULL);
    f = mw_framework(w, FW, "'failover_timeout':1000", "");
    mw_expect(w, FW, "'type':'OFFERS'", NULL);
    mw_accept(w, FW, mw_field(w, "id"), mw_task(w, "t1", MW_A1, "cpus:1;mem:24"), "");
    mw_expect(w, AGENT, "AgentLaunch", "framework_info", NULL);
    *launch = mw_field(w, "launch_uuid");
    say_update(w, AGENT, f, "t1", "TASK_RUNNING", 1, 12);
    mw_drop(w, FW);
    mw_drop_trace(w);
    return f;
}

/* The link breaks and nothing was missed: no list, the task is kept, the framework hears nothing
 * and its next launch brings its info again. */
static void test_unchanged_agent_registers_without_list(void **state)
{
    struct mw *w = *state;
    const char *launch, *f = given_running(w, &launch);

    mw_down(w, AGENT);
    mw_drop(w, FW);
    greet(w, AGENT2);
    say_register(w, AGENT2, "i", 12);
    mw_expect(w, AGENT2, "'request_id':1,'is_reply':true", "AgentRegistered", NULL);
    mw_expect_trace(w, "agent " MW_A1 " registered->disconnected link\n"
                       "agent " MW_A1 " disconnected->registering register\n"
                       "agent " MW_A1 " registering->registered tasks\n"
                       "offer o12 none->open f11\n");
    mw_ask(w, OP, "GET_TASKS", "%s", "");
    mw_expect(w, OP, "'tasks':[{", "TASK_RUNNING", NULL);
    mw_expect(w, FW, "'type':'OFFERS'", "'value':3.0", NULL);
    mw_accept(w, FW, mw_field(w, "id"), mw_task(w, "t2", MW_A1, "cpus:1;mem:24"), "");
    mw_expect(w, AGENT2, "AgentLaunch", "framework_info", "t2", NULL);
    (void)f;
}

/* A kill that may have been lost is sent again, an update heard since counts. */
static void test_kill_is_sent_again_without_list(void **state)
{
    struct mw *w = *state;
    const char *launch, *f = given_running(w, &launch);

    mw_call(w, FW, "KILL", "'kill':{'task_id':{'value':'t1'}}");
    mw_expect(w, AGENT, "AgentKill", NULL);
    say_update(w, AGENT, f, "t1", "TASK_KILLING", 2, 13);
    mw_down(w, AGENT);
    greet(w, AGENT2);
    say_register(w, AGENT2, "i", 13);
    mw_expect(w, AGENT2, "AgentRegistered", NULL);
    mw_expect(w, AGENT2, "AgentKill", launch, NULL);
}

/* What makes a list necessary. */
static void test_list_is_wanted_when_something_was_missed(void **state)
{
    struct mw *w = *state;
    const char *launch, *f = given_running(w, &launch);
    static const struct {
        const char *instance;
        unsigned sequence;
    } cases[] = {{"i", 13}, {"i", 11}, {"other", 12}, {"", 12}};
    uint64_t peer = AGENT;

    for (size_t i = 0; i < PF_ARRAY_LEN(cases); i++) {
        mw_down(w, peer++);
        greet(w, peer);
        say_register(w, peer, cases[i].instance, cases[i].sequence);
        mw_expect(w, peer, "'request_id':1", "AgentTasksWanted", NULL);
        mw_expect_nothing(w, peer);
        mw_send(w, peer,
                "'body':{'AgentTasks':{'frameworks':[{'framework_id':'%s','info':{'user':'u',"
                "'name':'n'}}],'tasks':[{'name':'t','task_id':{'value':'t1'},'framework_id':{"
                "'value':'%s'},'agent_id':{'value':'" MW_A1 "'},'state':'TASK_RUNNING',"
                "'resources':[%s],'launch_uuid':'%s'}],'last':true}}",
                f, f, mw_res(w, "cpus:1;mem:24"), launch);
        mw_expect(w, peer, "'request_id':1,'is_reply':true", "AgentRegistered", NULL);
    }
    mw_down(w, peer++); /* the list itself was interrupted */
    greet(w, peer);
    say_register(w, peer, "i", 20);
    mw_expect(w, peer, "AgentTasksWanted", NULL);
    mw_down(w, peer++);
    greet(w, peer);
    say_register(w, peer, "i", 20);
    mw_expect(w, peer, "AgentTasksWanted", NULL);
}

/* A launch that was never answered may not have arrived. */
static void test_list_is_wanted_when_a_launch_is_unanswered(void **state)
{
    struct mw *w = *state;
    const char *launch, *f = given_running(w, &launch);

    mw_pass(w, 6000);
    mw_expect(w, FW, "'type':'OFFERS'", NULL);
    mw_accept(w, FW, mw_field(w, "id"), mw_task(w, "t2", MW_A1, "cpus:1;mem:24"), "");
    mw_down(w, AGENT);
    greet(w, AGENT2);
    say_register(w, AGENT2, "i", 12);
    mw_expect(w, AGENT2, "AgentTasksWanted", NULL);
    (void)f;
}

/* A teardown that may have been lost: only the list shows what is left. */
static void test_list_is_wanted_after_a_teardown(void **state)
{
    struct mw *w = *state;
    const char *launch, *f = given_running(w, &launch);

    mw_down(w, AGENT);
    mw_call(w, FW, "TEARDOWN", "%s", "");
    greet(w, AGENT2);
    say_register(w, AGENT2, "i", 12);
    mw_expect(w, AGENT2, "AgentTasksWanted", NULL);
    (void)f;
}

/* The acknowledgement of an end was lost with the link: the agent tells the end again, and that is
 * acknowledged without asking anybody. */
static void test_end_told_again_is_acknowledged(void **state)
{
    struct mw *w = *state;
    const char *launch, *f = given_running(w, &launch);

    say_update(w, AGENT, f, "t1", "TASK_FINISHED", 2, 14);
    mw_acknowledge(w, FW, MW_A1, "t1", 2);
    mw_down(w, AGENT);
    greet(w, AGENT2);
    say_register(w, AGENT2, "i", 14);
    mw_expect(w, AGENT2, "AgentRegistered", NULL);
    mw_drop(w, FW);
    mw_send(w, AGENT2,
            "'body':{'AgentUpdate':{'framework_id':'%s','status':{'task_id':{'value':'t1'},"
            "'state':'TASK_FINISHED','uuid':'%s'},'launch_uuid':'%s','sequence':14}}",
            f, mw_uuid(w, 2), launch);
    mw_expect(w, AGENT2, "AgentAcknowledge", mw_uuid(w, 2), NULL);
    mw_expect_nothing(w, FW);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    static const struct CMUnitTest tests[] = {
        T(test_rows_come_change_and_go),
        T(test_standby_answers_reads),
        T(test_standby_names_the_leader),
        T(test_standby_tells_which_agents_it_sees),
        T(test_election_with_links_up),
        T(test_unchanged_agent_registers_without_list),
        T(test_kill_is_sent_again_without_list),
        T(test_list_is_wanted_when_something_was_missed),
        T(test_list_is_wanted_when_a_launch_is_unanswered),
        T(test_list_is_wanted_after_a_teardown),
        T(test_end_told_again_is_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
