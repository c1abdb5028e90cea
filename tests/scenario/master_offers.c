/* SPDX-License-Identifier: Apache-2.0 */
/* Offers to frameworks that stated no demand: as in Mesos. */
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

/* One agent, one framework, one open offer of it all. */
static const char *given_offer(struct mw *w)
{
    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:1024", "");
    (void)mw_framework(w, FW, "", "");
    mw_expect(w, FW, "'type':'OFFERS'", "'value':4.0", NULL);
    return mw_field(w, "id");
}

/* A decline keeps the same resources away for five seconds. */
static void test_decline_filters_for_5_s(void **state)
{
    struct mw *w = *state;
    const char *offer = given_offer(w);

    mw_call(w, FW, "DECLINE", "'decline':{'offer_ids':[{'value':'%s'}]}", offer);
    mw_expect_nothing(w, FW);
    mw_pass(w, 4999);
    mw_expect_nothing(w, FW);
    mw_pass(w, 1);
    mw_expect(w, FW, "'type':'OFFERS'", NULL);
}

/* refuse_seconds 0 means no filter; a negative one means the default. */
static void test_decline_obeys_refuse_seconds(void **state)
{
    struct mw *w = *state;
    const char *offer = given_offer(w);

    mw_call(w, FW, "DECLINE",
            "'decline':{'offer_ids':[{'value':'%s'}],'filters':{'refuse_seconds':0}}", offer);
    mw_expect(w, FW, "'type':'OFFERS'", NULL);
    offer = mw_field(w, "id");
    mw_call(w, FW, "DECLINE",
            "'decline':{'offer_ids':[{'value':'%s'}],'filters':{'refuse_seconds':-1}}", offer);
    mw_pass(w, 4999);
    mw_expect_nothing(w, FW);
    mw_pass(w, 1);
    mw_expect(w, FW, "'type':'OFFERS'", NULL);
    offer = mw_field(w, "id");
    mw_call(w, FW, "DECLINE",
            "'decline':{'offer_ids':[{'value':'%s'}],'filters':{'refuse_seconds':1e12}}", offer);
    mw_pass(w, INT64_C(31536000000) - 1); /* 365 days at most */
    mw_expect_nothing(w, FW);
    mw_pass(w, 1);
    mw_expect(w, FW, "'type':'OFFERS'", NULL);
}

/* What one declines, another gets. */
static void test_declined_offer_goes_to_another_framework(void **state)
{
    struct mw *w = *state;
    const char *offer = given_offer(w);

    (void)mw_framework(w, FW2, "", "");
    mw_expect_nothing(w, FW2);
    mw_call(w, FW, "DECLINE", "'decline':{'offer_ids':[{'value':'%s'}]}", offer);
    mw_expect(w, FW2, "'type':'OFFERS'", NULL);
}

/* REVIVE forgets the filters. */
static void test_revive_clears_filters(void **state)
{
    struct mw *w = *state;
    const char *offer = given_offer(w);

    mw_call(w, FW, "DECLINE",
            "'decline':{'offer_ids':[{'value':'%s'}],'filters':{'refuse_seconds':1000}}", offer);
    mw_call(w, FW, "REVIVE", "%s", "");
    mw_expect(w, FW, "'type':'OFFERS'", NULL);
}

/* SUPPRESS gives back what is held and stops the flow; REVIVE starts it again. */
static void test_suppress_holds_nothing(void **state)
{
    struct mw *w = *state;
    const char *offer = given_offer(w);

    mw_drop_trace(w);
    mw_call(w, FW, "SUPPRESS", "%s", "");
    mw_expect(w, FW, "'type':'RESCIND'", offer, NULL);
    mw_pass(w, 60000);
    mw_expect_nothing(w, FW);
    mw_call(w, FW, "REVIVE", "%s", "");
    mw_expect(w, FW, "'type':'OFFERS'", NULL);
    mw_expect_trace(w, "offer o11 open->rescinded suppress\noffer o12 none->open f11\n");
}

/* Roles suppressed from the beginning. */
static void test_subscribe_with_suppressed_role(void **state)
{
    struct mw *w = *state;

    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:1024", "");
    (void)mw_framework(w, FW, "'roles':['web'],'capabilities':[{'type':'MULTI_ROLE'}]",
                       "'suppressed_roles':['web']");
    mw_expect_nothing(w, FW);
    mw_call(w, FW, "REVIVE", "%s", "");
    mw_expect(w, FW, "'type':'OFFERS'", "'allocation_info':{'role':'web'}", NULL);
}

/* An unanswered offer is taken back after the offer time-out, and made again. */
static void test_offer_times_out(void **state)
{
    struct mw *w = *state;
    const char *offer = given_offer(w);

    mw_drop_trace(w);
    mw_pass(w, 29999);
    mw_expect_nothing(w, FW);
    mw_pass(w, 1);
    mw_expect(w, FW, "'type':'RESCIND'", offer, NULL);
    mw_expect(w, FW, "'type':'OFFERS'", NULL);
    mw_expect_trace(w, "offer o11 open->expired timeout\noffer o12 none->open f11\n");
}

/* An agent is lost while its offer is open: rescinded once, at once, and never back under the old
 * id. */
static void test_offer_rescinded_when_agent_lost(void **state)
{
    struct mw *w = *state;
    const char *offer = given_offer(w);

    mw_drop_trace(w);
    mw_down(w, AGENT);
    mw_expect(w, FW, "'type':'RESCIND'", offer, NULL);
    mw_pass(w, 200000);
    mw_drop(w, FW);
    mw_expect_trace(w, "agent " MW_A1 " registered->disconnected link\n"
                       "offer o11 open->rescinded agent_lost\n"
                       "agent " MW_A1 " disconnected->unreachable timeout\n");
}

/* ACCEPT of an offer that is over: each task is told, with the reason. */
static void test_accept_of_dead_offer(void **state)
{
    struct mw *w = *state;
    const char *offer = given_offer(w);

    mw_down(w, AGENT);
    mw_drop(w, FW);
    mw_accept(w, FW, offer, mw_task(w, "t1", MW_A1, "cpus:1"), "");
    mw_expect(w, FW, "'type':'UPDATE'", "TASK_LOST", "REASON_INVALID_OFFERS", "SOURCE_MASTER",
              "Task launched with invalid offers: ", NULL);
    mw_expect_nothing(w, FW);
}

/* The same for a framework that knows partitions. */
static void test_accept_of_dead_offer_partition_aware(void **state)
{
    struct mw *w = *state;

    (void)mw_framework(w, FW, "'capabilities':[{'type':'PARTITION_AWARE'}]", "");
    mw_accept(w, FW, "o999", mw_task(w, "t1", MW_A1, "cpus:1"), "");
    mw_expect(w, FW, "TASK_DROPPED", "REASON_INVALID_OFFERS", NULL);
}

/* One bad id among good ones: the good offers are taken back too. */
static void test_accept_with_one_bad_offer_takes_back_the_good(void **state)
{
    struct mw *w = *state;
    const char *offer = given_offer(w);

    mw_drop_trace(w);
    mw_call(
        w, FW, "ACCEPT",
        "'accept':{'offer_ids':[{'value':'%s'},{'value':'nope'}],'operations':[{'type':'LAUNCH',"
        "'launch':{'task_infos':[%s]}}]}",
        offer, mw_task(w, "t1", MW_A1, "cpus:1"));
    mw_expect(w, FW, "TASK_LOST", "Offer nope is no longer valid", NULL);
    mw_expect(w, FW, "'type':'OFFERS'", NULL);
    mw_expect_nothing(w, AGENT);
    mw_expect_trace(w, "offer o11 open->rescinded invalid_accept\noffer o12 none->open f11\n");
}

/* Several offers of one agent add up. */
static void test_accept_adds_up_offers_of_one_agent(void **state)
{
    struct mw *w = *state;
    const char *offer = given_offer(w), *second;

    mw_accept(w, FW, offer, mw_task(w, "t1", MW_A1, "cpus:2;mem:512"),
              "'filters':{'refuse_seconds':0}");
    mw_expect(w, FW, "'type':'OFFERS'", NULL);
    offer = mw_field(w, "id");
    const char *f = "f11";

    mw_update(w, AGENT, f, "t1", "TASK_FINISHED", 1);
    mw_expect(w, FW, "TASK_FINISHED", NULL);
    mw_expect(w, FW, "'type':'OFFERS'", NULL); /* what the task had, beside the open offer */
    second = mw_field(w, "id");
    mw_drop(w, AGENT);
    mw_call(w, FW, "ACCEPT",
            "'accept':{'offer_ids':[{'value':'%s'},{'value':'%s'}],'operations':[{'type':'LAUNCH',"
            "'launch':{'task_infos':[%s]}}]}",
            offer, second, mw_task(w, "t2", MW_A1, "cpus:4;mem:1000"));
    mw_expect(w, AGENT, "AgentLaunch", "'value':'t2'", NULL);
    mw_expect_nothing(w, FW);
}

/* Offers of two agents do not. */
static void test_accept_refuses_offers_of_two_agents(void **state)
{
    struct mw *w = *state;
    const char *offer = given_offer(w), *second;

    mw_agent(w, AGENT2, MW_A2, "cpus:1;mem:64", "");
    mw_expect(w, FW, "'type':'OFFERS'", MW_A2, NULL);
    second = mw_field(w, "id");
    mw_call(w, FW, "ACCEPT",
            "'accept':{'offer_ids':[{'value':'%s'},{'value':'%s'}],'operations':[{'type':'LAUNCH',"
            "'launch':{'task_infos':[%s]}}]}",
            offer, second, mw_task(w, "t2", MW_A1, "cpus:1"));
    mw_expect(w, FW, "TASK_LOST", "Aggregated offers must belong to one single agent", NULL);
}

/* The rest of an accepted offer is filtered as if declined. */
static void test_accept_filters_the_rest(void **state)
{
    struct mw *w = *state;
    const char *offer = given_offer(w);

    mw_accept(w, FW, offer, mw_task(w, "t1", MW_A1, "cpus:1;mem:24"), "");
    mw_expect_nothing(w, FW);
    mw_pass(w, 5000);
    mw_expect(w, FW, "'type':'OFFERS'", "'value':3.0", "'value':1000.0", NULL);
}

/* A framework without demand is offered again what a new agent brings. */
static void test_offers_follow_new_agents(void **state)
{
    struct mw *w = *state;

    (void)mw_framework(w, FW, "", "");
    mw_expect_nothing(w, FW);
    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:1024",
             "{'name':'rack','type':'TEXT','text':{'value':'r1'}}");
    mw_expect(w, FW, "'type':'OFFERS'", "'rack'", "'r1'", NULL);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    static const struct CMUnitTest tests[] = {
        T(test_decline_filters_for_5_s),
        T(test_decline_obeys_refuse_seconds),
        T(test_declined_offer_goes_to_another_framework),
        T(test_revive_clears_filters),
        T(test_suppress_holds_nothing),
        T(test_subscribe_with_suppressed_role),
        T(test_offer_times_out),
        T(test_offer_rescinded_when_agent_lost),
        T(test_accept_of_dead_offer),
        T(test_accept_of_dead_offer_partition_aware),
        T(test_accept_with_one_bad_offer_takes_back_the_good),
        T(test_accept_adds_up_offers_of_one_agent),
        T(test_accept_refuses_offers_of_two_agents),
        T(test_accept_filters_the_rest),
        T(test_offers_follow_new_agents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
