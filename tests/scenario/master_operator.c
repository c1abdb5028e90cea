/* SPDX-License-Identifier: Apache-2.0 */
/* What operators ask: pages, find, why. */
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

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;

    for (; (text = strstr(text, what)) != NULL; text++) {
        n++;
    }
    return n;
}

/* `n` tasks t0.. of one framework, of which the first `n_ended` are over. */
static const char *given_tasks(struct mw *w, unsigned n, unsigned n_ended)
{
    struct pf_buf tasks = {0};
    const char *f;

    mw_agent(w, AGENT, MW_A1, "cpus:100;mem:100000", "");
    f = mw_framework(w, FW, "", "");
    mw_expect(w, FW, "'type':'OFFERS'", NULL);
    for (unsigned i = 0; i < n; i++) {
        char id[16];

        (void)snprintf(id, sizeof id, "t%u", i);
        pf_buf_printf(&tasks, "%s%s", i > 0 ? "," : "", mw_task(w, id, MW_A1, "cpus:0.1"));
    }
    mw_accept(w, FW, mw_field(w, "id"), pf_buf_cstr(&tasks),
              "'filters':{'refuse_seconds':1000000}");
    for (unsigned i = 0; i < n_ended; i++) {
        char id[16];

        (void)snprintf(id, sizeof id, "t%u", i);
        mw_update(w, AGENT, f, id, "TASK_FINISHED", 1);
        mw_acknowledge(w, FW, MW_A1, id, 1);
    }
    mw_drop(w, FW);
    mw_drop(w, AGENT);
    pf_buf_fini(&tasks);
    return f;
}

/* Pages join without gap or twin, the live ones first, whatever happens between them. */
static void test_task_pages_are_stable(void **state)
{
    struct mw *w = *state;
    const char *f = given_tasks(w, 25, 5), *page, *after = "";
    unsigned n = 0, n_pages = 0;
    char seen[25] = {0};

    do {
        mw_ask(w, OP, "GET_TASKS", "'page':{'after_id':'%s','limit':4}", after);
        page = mw_next(w, OP);
        assert_non_null(page);
        for (unsigned i = 0; i < 25; i++) {
            char text[40];

            (void)snprintf(text, sizeof text, "\"task_id\":{\"value\":\"t%u\"},\"framework", i);
            if (strstr(page, text)) {
                assert_int_equal(seen[i]++, 0);
                n++;
            }
        }
        if (n_pages++ == 1) { /* a task that was shown ends and goes to the history */
            mw_update(w, AGENT, f, "t5", "TASK_FINISHED", 1);
        }
        after = strstr(page, "next_after_id") ? mw_field(w, "next_after_id") : NULL;
        if (n_pages == 2) {
            mw_acknowledge(w, FW, MW_A1, "t24", 1);
        }
    } while (after);
    assert_int_equal(n, 25);
    assert_int_equal(n_pages, 7);
}

static void test_task_filters(void **state)
{
    struct mw *w = *state;
    const char *f = given_tasks(w, 10, 4), *page;

    mw_ask(w, OP, "GET_TASKS", "'framework_id':'%s','states':['TASK_FINISHED']", f);
    page = mw_next(w, OP);
    assert_int_equal(count(page, "\"summary\""), 0);
    assert_int_equal(count(page, "launch_uuid"), 4);
    mw_ask(w, OP, "GET_TASKS", "'framework_id':'nope'");
    assert_int_equal(count(mw_next(w, OP), "launch_uuid"), 0);
}

static void test_agent_and_offer_pages(void **state)
{
    struct mw *w = *state;
    const char *after = "", *page;
    unsigned n_agents = 0, n_offers = 0;

    for (unsigned i = 0; i < 9; i++) {
        char id[64];

        (void)snprintf(id, sizeof id, "00000000-0000-4000-8000-00000000000%u", i);
        mw_agent(w, 40 + i, id, "cpus:1;mem:64", "");
    }
    mw_down(w, 44);
    (void)mw_framework(w, FW, "", "");
    for (; after; after = strstr(page, "next_after_id") ? mw_field(w, "next_after_id") : NULL) {
        mw_ask(w, OP, "GET_AGENTS", "'page':{'after_id':'%s','limit':2}", after);
        page = mw_next(w, OP);
        n_agents += count(page, "total_resources");
        assert_true(count(page, "total_resources") <= 2);
    }
    assert_int_equal(n_agents, 9);
    for (after = ""; after;
         after = strstr(page, "next_after_id") ? mw_field(w, "next_after_id") : NULL) {
        mw_ask(w, OP, "GET_OFFERS", "'page':{'after_id':'%s','limit':3}", after);
        page = mw_next(w, OP);
        n_offers += count(page, "created_ms");
    }
    assert_int_equal(n_offers, 8);
    mw_crash(w);
    mw_boot(w);
    mw_agent(w, 41, "00000000-0000-4000-8000-000000000001", "cpus:1;mem:64", "");
    n_agents = 0;
    for (after = ""; after;
         after = strstr(page, "next_after_id") ? mw_field(w, "next_after_id") : NULL) {
        mw_ask(w, OP, "GET_AGENTS", "'page':{'after_id':'%s','limit':2}", after);
        page = mw_next(w, OP);
        n_agents += count(page, "\"hostname\"");
    }
    assert_int_equal(n_agents, 9);
}

static void test_simple_calls(void **state)
{
    struct mw *w = *state;

    mw_ask(w, OP, "GET_VERSION", "%s", "");
    mw_expect(w, OP, "'version_info'", NULL);
    mw_ask(w, OP, "GET_MASTER", "%s", "");
    mw_expect(w, OP, "'master_info'", "'start_time'", NULL);
    mw_ask(w, OP, "GET_MASTERS", "%s", "");
    mw_expect(w, OP, "'leading':true", "'epoch':1", NULL);
    mw_ask(w, OP, "GET_STATE", "%s", "");
    mw_expect(w, OP, "'get_state'", NULL);
}

static void test_find(void **state)
{
    struct mw *w = *state;
    const char *f = given_tasks(w, 3, 1);

    mw_ask(w, OP, "FIND", "'find':{'text':'t'}");
    mw_expect(w, OP, "'id':'t1'", "'id':'t2'", "'id':'t0'", "TASK_FINISHED", NULL);
    mw_ask(w, OP, "FIND", "'find':{'text':'%s/t1'}", f);
    mw_expect(w, OP, "'matches':[{'kind':'TASK','id':'t1'", NULL);
    assert_int_equal(count(mw_field(w, "matches"), "t2"), 0);
    mw_ask(w, OP, "FIND", "'find':{'text':'t*','kinds':['TASK'],'limit':2}");
    mw_expect(w, OP, "'more':true", NULL);
    mw_ask(w, OP, "FIND", "'find':{'text':'h11','kinds':['AGENT']}");
    mw_expect(w, OP, "'kind':'AGENT'", MW_A1, NULL);
    mw_ask(w, OP, "FIND", "'find':{'text':'n2*'}");
    mw_expect(w, OP, "'kind':'FRAMEWORK'", f, NULL);
    mw_ask(w, OP, "FIND", "'find':{'text':'n2'}"); /* a name counts as a whole */
    assert_int_equal(count(mw_next(w, OP), "kind"), 0);
    mw_ask(w, OP, "FIND", "'find':{'text':'zzz'}");
    assert_int_equal(count(mw_next(w, OP), "kind"), 0);
    (void)mw_framework(w, FW2, "", "'has_demands':true");
    mw_call(w, FW2, "DEMAND",
            "'demand':{'demands':[{'id':'k7','id_prefix':'k7.','name':'job','count':2,'resources':"
            "[%s],'constraints':[{'attribute':'rack','op':'EXISTS'}]}]}",
            mw_res(w, "cpus:1"));
    mw_ask(w, OP, "FIND", "'find':{'text':'k7.1'}");
    mw_expect(w, OP, "'id':'k7.1'", "TASK_WAITING", NULL);
}

static void test_why(void **state)
{
    struct mw *w = *state;
    const char *f = given_tasks(w, 2, 1);
    const char *g = mw_framework(w, FW2, "", "'has_demands':true");

    mw_ask(w, OP, "WHY", "'why':{'kind':'TASK','id':'t1','framework_id':'%s'}", f);
    mw_expect(w, OP, "TASK_STAGING", "sent to h11, which has not started it yet", NULL);
    mw_update(w, AGENT, f, "t1", "TASK_RUNNING", 1);
    mw_ask(w, OP, "WHY", "'why':{'id':'t1','framework_id':'%s'}", f);
    mw_expect(w, OP, "TASK_RUNNING", "on h11", NULL);
    mw_ask(w, OP, "WHY", "'why':{'id':'t0','framework_id':'%s'}", f);
    mw_expect(w, OP, "TASK_FINISHED", "ended on h11", NULL);
    mw_ask(w, OP, "WHY", "'why':{'id':'%s'}", MW_A1);
    mw_expect(w, OP, "'state':'registered'", "1 task; free nothing", NULL);
    mw_ask(w, OP, "WHY", "'why':{'id':'%s'}", f);
    mw_expect(w, OP, "is offered whole agents", NULL);
    mw_call(w, FW2, "DEMAND",
            "'demand':{'demands':[{'id':'k7','id_prefix':'k7.','count':2,'resources':[%s],"
            "'constraints':[{'attribute':'rack','value':'a'}]}]}",
            mw_res(w, "cpus:1"));
    mw_ask(w, OP, "WHY", "'why':{'kind':'TASK','id':'k7.0','framework_id':'%s'}", g);
    mw_expect(w, OP, "TASK_WAITING", "1 agent; 1 not rack=a", "'reason':'CONSTRAINT'", NULL);
    mw_ask(w, OP, "WHY", "'why':{'id':'%s'}", g);
    mw_expect(w, OP, "1 not rack=a", NULL);
    mw_ask(w, OP, "WHY", "'why':{'id':'nope'}");
    mw_expect(w, OP, "'code':'NOT_FOUND'", NULL);
    mw_down(w, AGENT);
    mw_ask(w, OP, "WHY", "'why':{'id':'%s'}", MW_A1);
    mw_expect(w, OP, "'state':'disconnected'", "unreachable in 75 s", NULL);
    mw_ask(w, OP, "WHY", "'why':{'id':'t1','framework_id':'%s'}", f);
    mw_expect(w, OP, "is not connected; the task goes on there", NULL);
}

/* Waiters are bounded and go with their link. */
static void test_waiters_go_with_their_link(void **state)
{
    struct mw *w = *state;
    const char *f = given_tasks(w, 1, 0);
    struct pf_master_stats stats;

    for (unsigned i = 0; i < 4096; i++) {
        mw_ask(w, OP, "WAIT_TASKS", "'wait_tasks':{'framework_id':'%s','sequence':999}", f);
    }
    mw_expect_nothing(w, OP);
    mw_ask(w, OP, "WAIT_TASKS", "'wait_tasks':{'framework_id':'%s','sequence':999}", f);
    mw_expect(w, OP, "'code':'TOO_MANY'", NULL);
    pf_master_stats(mw_core(w), &stats);
    assert_int_equal(stats.n_watchers, 4096);
    mw_down(w, OP);
    pf_master_stats(mw_core(w), &stats);
    assert_int_equal(stats.n_watchers, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    static const struct CMUnitTest tests[] = {
        T(test_task_pages_are_stable),
        T(test_task_filters),
        T(test_agent_and_offer_pages),
        T(test_simple_calls),
        T(test_find),
        T(test_why),
        T(test_waiters_go_with_their_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
