/* SPDX-License-Identifier: Apache-2.0 */
/* Demands: only what fits is offered; what waits is told why. */
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

/* SUBSCRIBE with one demand "d". */
static const char *given_demand(struct mw *w, uint64_t peer, unsigned count, const char *res,
                                const char *more)
{
    char text[1500];

    (void)snprintf(text, sizeof text,
                   "'has_demands':true,'demands':[{'id':'d','count':%u,'resources':[%s]%s%s}]",
                   count, mw_res(w, res), more[0] ? "," : "", more);
    return mw_framework(w, peer, "", text);
}

static void state_demand(struct mw *w, uint64_t peer, unsigned count, const char *res)
{
    mw_call(w, peer, "DEMAND", "'demand':{'demands':[{'id':'d','count':%u,'resources':[%s]}]}",
            count, mw_res(w, res));
}

/* Seven instances over two agents of four: two offers that say how many each holds. */
static void test_demand_is_split_over_agents(void **state)
{
    struct mw *w = *state;

    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:4000", "");
    mw_agent(w, AGENT2, MW_A2, "cpus:4;mem:4000", "");
    (void)given_demand(w, FW, 7, "cpus:1;mem:10", "");
    mw_expect(w, FW, "'demand_count':4", "'demand_count':3", "'value':40.0", "'value':30.0", NULL);
    mw_expect_nothing(w, FW);
}

/* An agent is split between two frameworks in one round. */
static void test_agent_is_split_between_frameworks(void **state)
{
    struct mw *w = *state;

    (void)given_demand(w, FW, 2, "cpus:1;mem:10", "");
    (void)given_demand(w, FW2, 2, "cpus:1;mem:10", "");
    mw_expect(w, FW, "DEMAND_STATUS", "no agents", NULL);
    mw_expect(w, FW2, "DEMAND_STATUS", "no agents", NULL);
    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:4000", "");
    mw_expect(w, FW, "'type':'OFFERS'", "'demand_count':2", NULL);
    mw_expect(w, FW2, "'type':'OFFERS'", "'demand_count':2", NULL);
}

/* A launch lowers the demand; what was not launched is offered again. */
static void test_accept_lowers_the_demand(void **state)
{
    struct mw *w = *state;
    const char *f;

    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:4000", "");
    f = given_demand(w, FW, 3, "cpus:1;mem:10", "");
    mw_expect(w, FW, "'demand_count':3", NULL);
    mw_accept(w, FW, mw_field(w, "id"), mw_task(w, "t1", MW_A1, "cpus:1;mem:10"),
              "'filters':{'refuse_seconds':0}");
    mw_expect(w, FW, "'type':'OFFERS'", "'demand_count':2", NULL);
    mw_ask(w, OP, "GET_FRAMEWORKS", "%s", "");
    mw_expect(w, OP, f, "'demands':[{'id':'d','count':2", "'n_tasks':1", NULL);
}

/* All launched: the demand is over and the framework is offered no more. */
static void test_demand_ends_when_all_is_placed(void **state)
{
    struct mw *w = *state;

    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:4000", "");
    (void)given_demand(w, FW, 1, "cpus:1;mem:10", "");
    mw_expect(w, FW, "'demand_count':1", NULL);
    mw_accept(w, FW, mw_field(w, "id"), mw_task(w, "t1", MW_A1, "cpus:1;mem:10"), "");
    mw_pass(w, 60000);
    mw_expect_nothing(w, FW);
    mw_ask(w, OP, "GET_FRAMEWORKS", "%s", "");
    mw_expect(w, OP, "'has_demands':true", NULL);
    assert_null(strstr(mw_field(w, "framework_info"), "demands"));
}

/* A decline returns the instances; they are offered again after the filter. */
static void test_decline_returns_the_instances(void **state)
{
    struct mw *w = *state;

    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:4000", "");
    (void)given_demand(w, FW, 2, "cpus:1;mem:10", "");
    mw_expect(w, FW, "'demand_count':2", NULL);
    mw_call(w, FW, "DECLINE", "'decline':{'offer_ids':[{'value':'%s'}]}", mw_field(w, "id"));
    mw_expect(w, FW, "DEMAND_STATUS", "1 agent; 1 declined a moment ago", NULL);
    mw_pass(w, 5000);
    mw_expect(w, FW, "'demand_count':2", NULL);
}

/* has_demands without any: subscribed and offered nothing. */
static void test_empty_demand_gets_nothing(void **state)
{
    struct mw *w = *state;

    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:4000", "");
    (void)mw_framework(w, FW, "", "'has_demands':true");
    mw_expect_nothing(w, FW);
    state_demand(w, FW, 1, "cpus:1");
    mw_expect(w, FW, "'demand_count':1", NULL);
}

/* Restating replaces: less is wanted, what is too much is taken back; nothing: all is. */
static void test_restating_replaces_the_list(void **state)
{
    struct mw *w = *state;

    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:4000", "");
    (void)given_demand(w, FW, 3, "cpus:1;mem:10", "");
    mw_expect(w, FW, "'demand_count':3", NULL);
    state_demand(w, FW, 1, "cpus:1;mem:10");
    mw_expect(w, FW, "'type':'RESCIND'", NULL);
    mw_expect(w, FW, "'demand_count':1", NULL);
    state_demand(w, FW, 2, "cpus:2;mem:10"); /* other resources: another demand */
    mw_expect(w, FW, "'type':'RESCIND'", NULL);
    mw_expect(w, FW, "'demand_count':2", "'value':4.0", NULL);
    mw_call(w, FW, "DEMAND", "'demand':{}");
    mw_expect(w, FW, "'type':'RESCIND'", NULL);
    mw_pass(w, 60000);
    mw_expect_nothing(w, FW);
}

/* Stating a demand gives back whole agents that are held. */
static void test_first_demand_ends_whole_offers(void **state)
{
    struct mw *w = *state;

    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:4000", "");
    (void)mw_framework(w, FW, "", "");
    mw_expect(w, FW, "'type':'OFFERS'", NULL);
    state_demand(w, FW, 1, "cpus:1;mem:10");
    mw_expect(w, FW, "'type':'RESCIND'", NULL);
    mw_expect(w, FW, "'demand_count':1", NULL);
}

/* A framework hoards every agent and never answers: a demand gets its part at once. */
static void test_hoarder_is_rescinded_for_a_demand(void **state)
{
    struct mw *w = *state;

    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:4000", "");
    mw_agent(w, AGENT2, MW_A2, "cpus:4;mem:4000", "");
    (void)mw_framework(w, FW, "", "");
    mw_expect(w, FW, MW_A1, MW_A2, NULL);
    mw_drop_trace(w);
    (void)given_demand(w, FW2, 1, "cpus:1;mem:10", "");
    mw_expect(w, FW2, "'demand_count':1", NULL);
    mw_expect(w, FW, "'type':'RESCIND'", NULL);
    mw_expect(w, FW, "'type':'OFFERS'", "'value':3.0", NULL);
    mw_expect_nothing(w, FW);
    mw_expect_trace(w, "framework f12 none->active subscribe\n"
                       "offer o11 open->rescinded demand_waits\n"
                       "offer o13 none->open f12\n"
                       "offer o14 none->open f11\n");
}

/* Constraints pick the agent. */
static void test_constraints_pick_the_agent(void **state)
{
    static const struct {
        const char *constraint, *expected;
    } cases[] = {
        {"'attribute':'rack','value':'b'", MW_A2},
        {"'attribute':'rack','op':'NOT_EQUALS','value':'a'", MW_A2},
        {"'attribute':'hostname','value':'h11'", MW_A1},
        {"'attribute':'HOSTNAME','op':'GLOB','value':'*12'", MW_A2},
        {"'attribute':'ssd','op':'EXISTS'", MW_A1},
        {"'attribute':'ssd','op':'NOT_EXISTS'", MW_A2},
        {"'attribute':'level','value':'2.5'", MW_A1},
        {"'attribute':'keys','value':'y'", MW_A2},
        {"'attribute':'agent','value':'" MW_A2 "'", MW_A2},
    };
    struct mw *w = *state;

    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:4000",
             "{'name':'rack','type':'TEXT','text':{'value':'a'}},"
             "{'name':'ssd','type':'TEXT','text':{'value':'yes'}},"
             "{'name':'level','type':'SCALAR','scalar':{'value':2.5}}");
    mw_agent(w, AGENT2, MW_A2, "cpus:4;mem:4000",
             "{'name':'rack','type':'TEXT','text':{'value':'b'}},"
             "{'name':'keys','type':'SET','set':{'item':['x','y']}}");
    (void)mw_framework(w, FW, "", "'has_demands':true");
    for (size_t i = 0; i < PF_ARRAY_LEN(cases); i++) {
        mw_call(
            w, FW, "DEMAND",
            "'demand':{'demands':[{'id':'d%zu','count':1,'resources':[%s],'constraints':[{%s}]}]"
            "}",
            i, mw_res(w, "cpus:1"), cases[i].constraint);
        if (i > 0) {
            mw_expect(w, FW, "'type':'RESCIND'", NULL);
        }
        mw_expect(w, FW, "'type':'OFFERS'", cases[i].expected, NULL);
    }
}

/* A demand that nothing satisfies waits, says why at once, and again only when that changes. */
static void test_waiting_demand_says_why(void **state)
{
    struct mw *w = *state;
    const char *f;

    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:4000", "");
    f = mw_framework(w, FW, "", "");
    mw_expect(w, FW, "'type':'OFFERS'", NULL);
    mw_accept(w, FW, mw_field(w, "id"), mw_task(w, "t1", MW_A1, "cpus:3.5;mem:10"), "");
    mw_expect(w, AGENT, "AgentLaunch", NULL);
    (void)given_demand(w, FW2, 2, "cpus:1;mem:10", "");
    mw_expect(w, FW2, "DEMAND_STATUS", "'demand_id':'d'", "'waiting':2",
              "1 agent; 1 in use: too little free cpu (short 0.5)", "'reason':'IN_USE'",
              "'short_milli':500", NULL);
    mw_pass(w, 5000);
    mw_drop(w, FW); /* is offered the rest */
    mw_expect_nothing(w, FW2);
    mw_agent(w, AGENT2, MW_A2, "cpus:0.5;mem:4000", "");
    mw_pass(w, 2000);
    mw_expect(w, FW2,
              "2 agents; 1 in use: too little free cpu (short 0.5), "
              "1 too little cpu (short 0.5)",
              NULL);
    mw_drop(w, FW);
    mw_update(w, AGENT, f, "t1", "TASK_FINISHED", 1);
    mw_expect(w, FW2, "'type':'OFFERS'", "'demand_count':2", NULL);
    mw_pass(w, 3000);
    mw_expect_nothing(w, FW2);
}

/* Larger than any agent: refused with the nearest miss. */
static void test_demand_larger_than_any_agent_is_refused(void **state)
{
    struct mw *w = *state;

    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:4000", "");
    mw_agent(w, AGENT2, MW_A2, "cpus:8;mem:4000", "");
    (void)given_demand(w, FW, 1, "cpus:64;mem:10", "");
    mw_expect(w, FW, "DEMAND_STATUS", "'state':'REFUSED'",
              "needs 64 cpus; the largest agent (h12) has 8", NULL);
    mw_pass(w, 5000);
    mw_expect_nothing(w, FW);
}

/* ... but not while an admitted agent is not back. */
static void test_large_demand_waits_for_recovered_agents(void **state)
{
    struct mw *w = *state;

    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:4000", "");
    mw_agent(w, AGENT2, MW_A2, "cpus:8;mem:4000", "");
    mw_crash(w);
    mw_boot(w);
    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:4000", "");
    (void)given_demand(w, FW, 1, "cpus:6;mem:10", "");
    mw_expect(w, FW, "DEMAND_STATUS", "1 too little cpu (short 2), 1 not back yet", NULL);
    mw_agent(w, AGENT2, MW_A2, "cpus:8;mem:4000", "");
    mw_expect(w, FW, "'type':'OFFERS'", MW_A2, NULL);
}

/* The recovered agent never comes back: then the demand is refused. */
static void test_large_demand_refused_when_agent_stays_away(void **state)
{
    struct mw *w = *state;

    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:4000", "");
    mw_agent(w, AGENT2, MW_A2, "cpus:8;mem:4000", "");
    mw_crash(w);
    mw_boot(w);
    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:4000", "");
    (void)given_demand(w, FW, 1, "cpus:6;mem:10", "");
    mw_expect(w, FW, "DEMAND_STATUS", "1 not back yet", NULL);
    mw_pass(w, 600000 + 2000);
    mw_expect(w, FW, "'type':'FAILURE'", MW_A2, NULL);
    mw_expect(w, FW, "'state':'REFUSED'", "needs 6 cpus; the largest agent (h11) has 4", NULL);
}

/* A hoarder with a smaller share keeps its offer for a second, then gives way. */
static void test_hoarder_with_smaller_share_gives_way_after_a_second(void **state)
{
    struct mw *w = *state;

    mw_agent(w, AGENT, MW_A1, "cpus:30;mem:4000", "");
    (void)given_demand(w, FW, 1, "cpus:30;mem:4000", "");
    mw_expect(w, FW, "'demand_count':1", NULL);
    mw_accept(w, FW, mw_field(w, "id"), mw_task(w, "t1", MW_A1, "cpus:30;mem:4000"), "");
    (void)mw_framework(w, FW2, "", "");
    mw_agent(w, AGENT2, MW_A2, "cpus:4;mem:4000", "");
    mw_expect(w, FW2, "'type':'OFFERS'", NULL);
    state_demand(w, FW, 1, "cpus:4;mem:100");
    mw_expect(w, FW, "DEMAND_STATUS", "1 held by f12 n22 0s", "1 in use", NULL);
    mw_pass(w, 999);
    mw_expect_nothing(w, FW);
    mw_pass(w, 1);
    mw_expect(w, FW2, "'type':'RESCIND'", NULL);
    mw_expect(w, FW, "'type':'OFFERS'", MW_A2, NULL);
}

/* What cannot be a demand is refused by id; the others stand. */
static void test_bad_demands_are_refused(void **state)
{
    struct mw *w = *state;

    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:4000", "");
    (void)mw_framework(w, FW, "", "'has_demands':true");
    mw_call(w, FW, "DEMAND",
            "'demand':{'demands':[{'id':'none','count':1},{'id':'big','count':9999999,'resources':"
            "[%s]},{'id':'ok','count':1,'resources':[%s]},{'id':'ok','count':1,'resources':[%s]}]}",
            mw_res(w, "cpus:1"), mw_res(w, "cpus:1"), mw_res(w, "cpus:2"));
    mw_expect(w, FW, "'demand_id':'none'", "'state':'REFUSED'", "a demand needs resources", NULL);
    mw_expect(w, FW, "'demand_id':'big'", "1000000 instances at most", NULL);
    mw_expect(w, FW, "'demand_id':'ok'", "in the list twice", NULL);
    mw_expect(w, FW, "'type':'OFFERS'", "'demand_id':'ok'", NULL);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    static const struct CMUnitTest tests[] = {
        T(test_demand_is_split_over_agents),
        T(test_agent_is_split_between_frameworks),
        T(test_accept_lowers_the_demand),
        T(test_demand_ends_when_all_is_placed),
        T(test_decline_returns_the_instances),
        T(test_empty_demand_gets_nothing),
        T(test_restating_replaces_the_list),
        T(test_first_demand_ends_whole_offers),
        T(test_hoarder_is_rescinded_for_a_demand),
        T(test_constraints_pick_the_agent),
        T(test_waiting_demand_says_why),
        T(test_demand_larger_than_any_agent_is_refused),
        T(test_large_demand_waits_for_recovered_agents),
        T(test_large_demand_refused_when_agent_stays_away),
        T(test_hoarder_with_smaller_share_gives_way_after_a_second),
        T(test_bad_demands_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
