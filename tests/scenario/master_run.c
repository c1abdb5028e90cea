/* SPDX-License-Identifier: Apache-2.0 */
/* The life of one task, from an agent's registration to its last acknowledgement. */
#include "tests/support/master_world.h"
#include "tests/support/test.h"

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

enum { AGENT = 11, FW = 21, OP = 31 };

/* `run -- true`: a demand of one instance, the offer that fits it, a launch, its end. */
static void test_master_runs_a_task_for_a_demand(void **state)
{
    struct mw *w = *state;
    const char *offer;
    char demand[600];

    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:1024;ports:[31000-31009]", "");
    mw_drop_trace(w);
    (void)snprintf(demand, sizeof demand,
                   "'has_demands':true,'demands':[{'id':'d','count':1,'name':'true',"
                   "'resources':[%s]}]",
                   mw_res(w, "cpus:1;mem:128;ports:[1-1]"));
    const char *f = mw_framework(w, FW, "", demand);

    mw_expect(w, FW, "'type':'OFFERS'", "'demand_id':'d'", "'demand_count':1",
              "{'begin':31000,'end':31000}", "'hostname':'h11'", NULL);
    offer = mw_field(w, "id");
    mw_send(w, FW,
            "'body':{'Scheduler_Call':{'type':'ACCEPT','framework_id':{'value':'%s'},'accept':{"
            "'offer_ids':[{'value':'%s'}],'operations':[{'type':'LAUNCH','launch':{'task_infos':"
            "[%s]}}]}}}",
            f, offer, mw_task(w, "t1", MW_A1, "cpus:1;mem:128;ports:[31000-31000]"));
    mw_expect(w, AGENT, "AgentLaunch", "'framework_info':{", "'task_id':{'value':'t1'}",
              "'user':'u'", NULL);
    mw_expect_nothing(w, FW);
    mw_send(
        w, AGENT,
        "'body':{'AgentUpdate':{'framework_id':'%s','status':{'task_id':{'value':'t1'},"
        "'state':'TASK_RUNNING','uuid':'AAAAAAAAAAAAAAAAAAAAAQ==','source':'SOURCE_EXECUTOR'}}}",
        f);
    mw_expect(w, FW, "'type':'UPDATE'", "TASK_RUNNING", "AAAAAAAAAAAAAAAAAAAAAQ==", NULL);
    mw_send(
        w, FW,
        "'body':{'Scheduler_Call':{'type':'ACKNOWLEDGE','acknowledge':{'agent_id':{'value':'%s'},"
        "'task_id':{'value':'t1'},'uuid':'AAAAAAAAAAAAAAAAAAAAAQ=='}}}",
        MW_A1);
    mw_expect(w, AGENT, "AgentAcknowledge", "'task_id':'t1'", NULL);
    mw_send(w, AGENT,
            "'body':{'AgentUpdate':{'framework_id':'%s','status':{'task_id':{'value':'t1'},"
            "'state':'TASK_FINISHED','uuid':'AAAAAAAAAAAAAAAAAAAAAg==','exit_status':0}}}",
            f);
    mw_expect(w, FW, "TASK_FINISHED", NULL);
    mw_send(
        w, FW,
        "'body':{'Scheduler_Call':{'type':'ACKNOWLEDGE','acknowledge':{'agent_id':{'value':'%s'},"
        "'task_id':{'value':'t1'},'uuid':'AAAAAAAAAAAAAAAAAAAAAg=='}}}",
        MW_A1);
    mw_expect(w, AGENT, "AgentAcknowledge", NULL);
    mw_up(w, OP, "OPERATOR", true, "");
    mw_send(w, OP, "'request_id':5,'body':{'Master_Call':{'type':'GET_TASKS'}}");
    mw_expect(w, OP, "'request_id':5", "'completed_tasks':[{", "'name':'t'", "'command':'true'",
              "'exit_status':0", NULL);
    mw_send(w, OP, "'request_id':6,'body':{'Master_Call':{'type':'GET_AGENTS'}}");
    mw_expect(w, OP, "'hostname':'h11'", "'active':true", NULL);
    mw_down(w, FW);
    mw_expect(w, AGENT, "AgentTeardown", f, NULL);
    mw_send(w, OP, "'request_id':7,'body':{'Master_Call':{'type':'GET_FRAMEWORKS'}}");
    mw_expect(w, OP, "'completed_frameworks':[{", f, NULL);
    mw_expect_trace(w, "framework f11 none->active subscribe\n"
                       "offer o11 none->open f11\n"
                       "task t1 none->staging launch\n"
                       "offer o11 open->accepted accept\n"
                       "task t1 staging->running update\n"
                       "task t1 running->finished update\n"
                       "framework f11 active->disconnected link\n"
                       "framework f11 disconnected->completed disconnected\n");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    static const struct CMUnitTest tests[] = {
        T(test_master_runs_a_task_for_a_demand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
