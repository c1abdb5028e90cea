/* SPDX-License-Identifier: Apache-2.0 */
/* One master of several: what is said only behind a fence, which scheduler instance counts, an
 * epoch above ours, handing over, the registry's rows and their limits. */
#include "common/base/alloc.h"
#include "schemas/rows.h"
#include "tests/support/master_world.h"
#include "tests/support/test.h"

enum { AGENT = 11, AGENT2 = 12, FW = 21, FW2 = 22, FW3 = 23, OP = 31 };

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

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;

    for (const char *at = text; at && (at = strstr(at, what)) != NULL; at++) {
        n++;
    }
    return n;
}

static void subscribe_as(struct mw *w, uint64_t peer, const char *f, const char *instance,
                         const char *more)
{
    mw_up(w, peer, "SCHEDULER", true, "");
    mw_call(w, peer, "SUBSCRIBE",
            "'subscribe':{'framework_info':{'user':'u','name':'n','failover_timeout':60,"
            "'id':{'value':'%s'}},'instance':'%s'%s}",
            f, instance, more);
}

/* --- behind the fence --- */

/* What cannot be taken back waits for the store even where there is no row; the rest does not. */
static void test_negative_statements_wait_for_the_fence(void **state)
{
    struct mw *w = *state;

    mw_standby(w);
    mw_elect(w, true);
    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:1024", "");
    const char *f = mw_framework(w, FW, "'failover_timeout':60", "");

    mw_expect(w, FW, "'type':'OFFERS'", NULL);
    const char *offer = mw_field(w, "id");

    mw_store_hold(w);
    mw_accept(w, FW, offer, mw_task(w, "t1", MW_A1, "cpus:1;mem:24"), "");
    mw_expect(w, AGENT, "AgentLaunch", NULL); /* no row: at once */
    mw_update(w, AGENT, f, "t1", "TASK_RUNNING", 1);
    mw_expect(w, FW, "TASK_RUNNING", NULL);
    mw_call(w, FW, "RECONCILE", "'reconcile':{'tasks':[{'task_id':{'value':'t1'}}]}");
    mw_expect(w, FW, "TASK_RUNNING", NULL);
    mw_call(w, FW, "KILL", "'kill':{'task_id':{'value':'t9'}}"); /* of an unknown one: LOST */
    mw_expect_nothing(w, FW);
    mw_store_go(w);
    mw_expect(w, FW, "TASK_LOST", NULL);
    mw_store_hold(w);
    mw_accept(w, FW, "no-such-offer", mw_task(w, "t2", MW_A1, "cpus:1;mem:24"), "");
    mw_expect_nothing(w, FW);
    mw_store_go(w);
    mw_expect(w, FW, "TASK_LOST", "no longer valid", NULL);
    mw_store_hold(w);
    mw_ask(w, OP, "TEARDOWN", "'teardown':{'framework_id':{'value':'%s'}}", f);
    mw_expect_nothing(w, AGENT);
    mw_expect_nothing(w, FW);
    mw_store_go(w);
    mw_expect(w, AGENT, "AgentTeardown", NULL);
    mw_expect(w, FW, "'type':'ERROR'", "Framework has been removed", NULL);
}

/* A refused launch. */
static void test_task_error_waits_for_the_fence(void **state)
{
    struct mw *w = *state;

    mw_standby(w);
    mw_elect(w, true);
    mw_agent(w, AGENT, MW_A1, "cpus:4;mem:1024", "");
    (void)mw_framework(w, FW, "", "");
    mw_expect(w, FW, "'type':'OFFERS'", NULL);
    const char *offer = mw_field(w, "id");

    mw_store_hold(w);
    mw_accept(w, FW, offer, mw_task(w, "t1", MW_A1, "cpus:100"), "");
    mw_expect_nothing(w, FW);
    mw_store_go(w);
    mw_expect(w, FW, "TASK_ERROR", NULL);
}

/* --- generations --- */

/* The row knows the generation: an older instance is refused by the next master as well, the
 * newest goes on as what it is. */
static void test_generation_survives_with_the_row(void **state)
{
    struct mw *w = *state;

    mw_standby(w);
    mw_row(w, RegistryTable_FRAMEWORKS, "f1",
           "{'info':{'user':'u','name':'n','id':{'value':'f1'},'failover_timeout':60},"
           "'failover_ms':60000,'generation':3}");
    mw_elect(w, true);
    subscribe_as(w, FW, "f1", "two", ",'generation':2");
    mw_expect(w, FW, "'type':'ERROR'", "Framework failed over", NULL);
    mw_expect(w, FW, "CLOSED", NULL);
    mw_down(w, FW);
    subscribe_as(w, FW2, "f1", "three", ",'generation':3");
    mw_expect(w, FW2, "SUBSCRIBED", "'generation':3", NULL);
    subscribe_as(w, FW, "f1", "two", ",'generation':2");
    mw_expect(w, FW, "'type':'ERROR'", NULL);
    subscribe_as(w, FW3, "f1", "four", ""); /* a new instance */
    mw_expect(w, FW3, "SUBSCRIBED", "'generation':4", NULL);
    mw_expect(w, FW2, "'type':'ERROR'", "Framework failed over", NULL);
    mw_down(w, FW2);
    mw_drop(w, FW2);
    subscribe_as(w, FW2, "f1", "three", ",'generation':3");
    mw_expect(w, FW2, "'type':'ERROR'", NULL);
}

/* Without a row the schedulers themselves tell it, in whatever order they come. */
static void test_generation_is_told_back_without_a_row(void **state)
{
    struct mw *w = *state;

    mw_standby(w);
    mw_elect(w, true);
    subscribe_as(w, FW, "f1", "two", ",'generation':2");
    mw_expect(w, FW, "SUBSCRIBED", "'generation':2", NULL);
    subscribe_as(w, FW2, "f1", "three", ",'generation':3");
    mw_expect(w, FW2, "SUBSCRIBED", "'generation':3", NULL);
    mw_expect(w, FW, "'type':'ERROR'", "Framework failed over", NULL);
    mw_down(w, FW);
    mw_drop(w, FW);
    subscribe_as(w, FW, "f1", "two", ",'generation':2");
    mw_expect(w, FW, "'type':'ERROR'", NULL);
    mw_expect_nothing(w, FW2);
}

/* A new instance that comes first is above all that earlier masters told. */
static void test_new_instance_is_above_earlier_epochs(void **state)
{
    struct mw *w = *state;

    mw_boot(w);
    mw_crash(w);
    mw_standby(w);
    mw_elect(w, true); /* epoch 2 */
    subscribe_as(w, FW, "f1", "new", "");
    mw_expect(w, FW, "SUBSCRIBED", "'generation':2097152", NULL);
    subscribe_as(w, FW2, "f1", "old", ",'generation':7");
    mw_expect(w, FW2, "'type':'ERROR'", "Framework failed over", NULL);
    mw_expect_nothing(w, FW);
}

/* --- the epoch --- */

static void test_epoch_above_ours_is_told(void **state)
{
    struct mw *w = *state;

    mw_standby(w);
    mw_elect(w, true);
    mw_up(w, AGENT, "AGENT", true, "'id':'" MW_A1 "'");
    mw_send(w, AGENT,
            "'request_id':1,'body':{'AgentRegister':{'info':{'hostname':'h','id':{'value':'" MW_A1
            "'}},'epoch':77}}");
    mw_expect(w, AGENT, "'code':'CONFLICT'", "epoch 77", NULL);
    mw_expect(w, AGENT, "CLOSED", NULL);
    assert_string_equal(mw_next(w, MW_ACTS), "EPOCH_SEEN 77");
}

/* --- handing over --- */

static void test_step_down(void **state)
{
    static const struct pf_master_view views[] = {
        {.instance = "ab1", .is_self = true},
        {.instance = "ab2", .is_linked = true},
        {.instance = "ab3"},
        {.instance = "ca4", .is_linked = true},
    };
    static const struct {
        const char *to, *code, *text;
    } cases[] = {
        {"x", "NOT_FOUND", "no master is called x"},
        {"ab", "AMBIGUOUS", "3 masters begin"},
        {"ab1", "CONFLICT", "ab1 leads already"},
        {"ab3", "CONFLICT", "ab3 is not linked"},
    };
    struct mw *w = *state;

    mw_standby(w);
    mw_ask(w, OP, "STEP_DOWN", "%s", "");
    mw_expect(w, OP, "'code':'UNAVAILABLE'", NULL);
    mw_elect(w, true);
    mw_ask(w, OP, "STEP_DOWN", "%s", "");
    mw_expect(w, OP, "'code':'CONFLICT'", "no standby that could lead", NULL);
    mw_masters(w, views, 4);
    for (size_t i = 0; i < PF_ARRAY_LEN(cases); i++) {
        mw_ask(w, OP, "STEP_DOWN", "'step_down':{'to':'%s'}", cases[i].to);
        mw_expect(w, OP, cases[i].code, cases[i].text, NULL);
    }
    mw_up(w, FW, "OPERATOR", false, "");
    mw_send(w, FW, "'request_id':9,'body':{'Master_Call':{'type':'STEP_DOWN'}}");
    mw_expect(w, FW, "'code':'FORBIDDEN'", NULL);
    assert_null(mw_next(w, MW_ACTS));
    mw_ask(w, OP, "STEP_DOWN", "'step_down':{'to':'ab2'}");
    mw_expect(w, OP, "'code':'ACCEPTED'", NULL);
    assert_string_equal(mw_next(w, MW_ACTS), "STEP_DOWN ab2");
    mw_ask(w, OP, "STEP_DOWN", "'step_down':{'to':'c'}");
    mw_expect(w, OP, "'code':'ACCEPTED'", NULL);
    assert_string_equal(mw_next(w, MW_ACTS), "STEP_DOWN ca4");
    mw_ask(w, OP, "STEP_DOWN", "%s", "");
    mw_expect(w, OP, "'code':'ACCEPTED'", NULL);
    assert_string_equal(mw_next(w, MW_ACTS), "STEP_DOWN ");
}

/* --- the registry's rows --- */

static void test_registry_is_shown_in_pages(void **state)
{
    struct mw *w = *state;

    mw_boot(w);
    mw_agent(w, AGENT, MW_A1, "cpus:1;mem:100", "");
    mw_agent(w, AGENT2, MW_A2, "cpus:1;mem:100", "");
    mw_down(w, AGENT2);
    mw_pass(w, 75000);
    const char *f = mw_framework(w, FW, "'failover_timeout':60", "'durable':true");

    (void)mw_framework(w, FW2, "", "");
    mw_ask(w, OP, "GET_REGISTRY", "%s", "");
    mw_expect(w, OP, "'table':'META','key':'registry'", "'table':'AGENTS','key':'" MW_A1 "'",
              "\\'state\\':\\'REGISTERED\\'", "\\'state\\':\\'UNREACHABLE\\'",
              "'table':'FRAMEWORKS'", f, "\\'generation\\':1", "'epoch':1",
              "'incarnation':'cc000000-", "'format':1", NULL);
    mw_ask(w, OP, "GET_REGISTRY", "'page':{'limit':2}");
    mw_expect(w, OP, "'META'", MW_A1, "next_after_id", NULL);
    const char *next = mw_field(w, "next_after_id");

    mw_ask(w, OP, "GET_REGISTRY", "'page':{'limit':1,'after_id':'%s'}", next);
    mw_expect(w, OP, MW_A2, "next_after_id", NULL);
    next = mw_field(w, "next_after_id");
    mw_ask(w, OP, "GET_REGISTRY", "'page':{'after_id':'%s'}", next);
    const char *last = mw_next(w, OP);

    assert_int_equal(count(last, "\"table\":"), 1);
    assert_non_null(strstr(last, "FRAMEWORKS"));
    assert_null(strstr(last, "next_after_id"));
    mw_crash(w);
    mw_standby(w); /* a standby shows what it has */
    mw_ask(w, OP, "GET_REGISTRY", "%s", "");
    mw_expect(w, OP, MW_A1, MW_A2, f, "'stale':", NULL);
}

/* A row that would be too large is refused. */
static void test_large_rows_are_refused(void **state)
{
    struct mw *w = *state;
    struct pf_buf text = {0};

    mw_options(w)->row_max_bytes = 4096;
    mw_boot(w);
    pf_buf_printf(&text, "%04000u", 7u);
    mw_up(w, FW, "SCHEDULER", true, "");
    mw_call(w, FW, "SUBSCRIBE",
            "'subscribe':{'framework_info':{'user':'u','name':'n','webui_url':'%s'},"
            "'durable':true}",
            pf_buf_cstr(&text));
    mw_expect(w, FW, "'type':'ERROR'", "more than 3584 bytes", NULL);
    mw_expect(w, FW, "CLOSED", NULL);
    mw_up(w, FW2, "SCHEDULER", true, ""); /* without a row there is no such limit */
    mw_call(w, FW2, "SUBSCRIBE",
            "'subscribe':{'framework_info':{'user':'u','name':'n','webui_url':'%s'}}",
            pf_buf_cstr(&text));
    mw_expect(w, FW2, "SUBSCRIBED", NULL);
    mw_up(w, AGENT, "AGENT", true, "'id':'" MW_A1 "'");
    mw_send(w, AGENT,
            "'request_id':1,'body':{'AgentRegister':{'info':{'hostname':'h','id':{'value':'" MW_A1
            "'},'attributes':[{'name':'a','type':'TEXT','text':{'value':'%s'}}]}}}",
            pf_buf_cstr(&text));
    mw_expect(w, AGENT, "'code':'TOO_LARGE'", "more than 3584 bytes", NULL);
    pf_buf_fini(&text);
}

/* Many large rows at one moment: no step stores twice what a row may have. */
static void test_rows_of_a_step_are_bounded(void **state)
{
    struct mw *w = *state;
    char id[40];
    struct pf_buf json = {0};

    mw_options(w)->row_max_bytes = 4096;
    mw_standby(w);
    for (unsigned i = 1; i <= 50; i++) {
        pf_buf_clear(&json);
        (void)snprintf(id, sizeof id, "00000000-0000-4000-8000-%012u", i);
        pf_buf_printf(&json,
                      "{'info':{'hostname':'h%u','id':{'value':'%s'},'attributes':[{'name':'a',"
                      "'type':'TEXT','text':{'value':'%0*u'}}]},'state':'REGISTERED'}",
                      i, id, i % 2 ? 3000 : 30, i);
        mw_row(w, RegistryTable_AGENTS, id, pf_buf_cstr(&json));
    }
    for (unsigned i = 1; i <= 500; i++) {
        pf_buf_clear(&json);
        (void)snprintf(id, sizeof id, "f%035u", i);
        pf_buf_printf(&json, "{'info':{'user':'u','name':'n','id':{'value':'%s'}},'generation':1}",
                      id);
        mw_row(w, RegistryTable_FRAMEWORKS, id, pf_buf_cstr(&json));
    }
    mw_elect(w, true);
    mw_pass(w, 600000);
    assert_int_equal(pf_master_deadline(mw_core(w)), INT64_MAX);
    assert_true(mw_largest_batch(w) > 3000);
    assert_true(mw_largest_batch(w) < 8192);
    pf_buf_fini(&json);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    static const struct CMUnitTest tests[] = {
        T(test_negative_statements_wait_for_the_fence),
        T(test_task_error_waits_for_the_fence),
        T(test_generation_survives_with_the_row),
        T(test_generation_is_told_back_without_a_row),
        T(test_new_instance_is_above_earlier_epochs),
        T(test_epoch_above_ours_is_told),
        T(test_step_down),
        T(test_registry_is_shown_in_pages),
        T(test_large_rows_are_refused),
        T(test_rows_of_a_step_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
