/* SPDX-License-Identifier: Apache-2.0 */
/* The end of an agent: it leaves, is gone, cleans up; it is drained; and a start that must not
 * differ from the former one. */
#include "tests/support/agent_sim.h"

static int setup(void **state)
{
    struct agent_sim *s = agent_sim_create();

    agent_sim_start(s);
    agent_sim_master_up(s, 1);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    agent_sim_destroy(*state);
    return 0;
}

/* Each of them is in the log. */
static void expect_all(struct agent_sim *s, const char *const *texts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!strstr(pf_buf_cstr(&s->log), texts[i])) {
            fail_msg("no %s in:\n%s", texts[i], pf_buf_cstr(&s->log));
        }
    }
}
#define EXPECT_ALL(s, ...)                                                                         \
    expect_all((s), (const char *const[]){__VA_ARGS__},                                            \
               sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static const char leave[] = "{'AgentLeave': {'text': 'x'}}";

static void given_tasks(struct agent_sim *s)
{
    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'x'}");
    agent_sim_launch(s, "f1", "t2", 2, "{'value': 'stubborn'}");
    agent_sim_clear_log(s);
}

/* Ends its tasks with their grace, has that acknowledged, unregisters, ends. */
static void test_leave(void **state)
{
    struct agent_sim *s = *state;

    given_tasks(s);
    agent_sim_say(s, leave);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_KILLING TASK_KILLED");
    agent_sim_launch(s, "f1", "t3", 3, "{'value': 'x'}");
    assert_string_equal(agent_sim_states(s, 3), "TASK_DROPPED");
    agent_sim_pass(s, 2999);
    assert_int_equal(s->n_left, 0);
    agent_sim_pass(s, 1);
    EXPECT_ALL(s, "AgentUnregister", "close launcher", "left for good");
    agent_sim_pass(s, 100000);
    assert_int_equal(s->n_left, 1);
    assert_string_equal(agent_sim_states(s, 2), "TASK_RUNNING TASK_KILLING TASK_KILLED");
}

static void test_leave_with_less_grace(void **state)
{
    struct agent_sim *s = *state;

    given_tasks(s);
    agent_sim_say(s, leave);
    agent_sim_say(s, "{'AgentLeave': {'grace_max_ms': 10}}"); /* asked again: only sooner */
    agent_sim_pass(s, 10);
    assert_int_equal(s->n_left, 1);
}

/* A framework that takes nothing holds it up for 30 s, no longer. */
static void test_leave_unheard(void **state)
{
    struct agent_sim *s = *state;

    given_tasks(s);
    s->acknowledges = false;
    agent_sim_say(s, leave);
    agent_sim_pass(s, 3000 + 29999);
    assert_int_equal(s->n_left, 0);
    agent_sim_pass(s, 1);
    assert_int_equal(s->n_left, 1);
}

/* Without a master it waits for one. */
static void test_leave_while_cut_off(void **state)
{
    struct agent_sim *s = *state;

    given_tasks(s);
    agent_sim_say(s, leave);
    agent_sim_master_down(s);
    agent_sim_pass(s, 1000000);
    assert_int_equal(s->n_left, 0);
    agent_sim_clear_log(s);
    agent_sim_master_up(s, 2);
    AGENT_SIM_EXPECT(s, "AgentRegister", "\"is_leaving\":true");
    assert_int_equal(s->n_left, 1);
}

/* It crashes after any single thing that it does while it leaves: it goes on, and leaves in the
 * end. */
static void test_leave_with_crashes(void **state)
{
    (void)state;
    uint32_t n_crashes = 0;

    for (uint64_t after = 1;; after++) {
        struct agent_sim *s = agent_sim_create();

        agent_sim_start(s);
        agent_sim_master_up(s, 1);
        s->epoch = 1;
        given_tasks(s);
        s->crash_at = s->n_ops + after;
        agent_sim_say(s, leave);
        if (s->core) {
            agent_sim_pass(s, 3000);
        }
        bool has_crashed = !s->core;
        for (int i = 0; i < 3 && s->n_left == 0; i++) {
            if (!s->core) {
                s->crash_at = 0;
                agent_sim_start(s);
                agent_sim_master_up(s, s->epoch);
                if (after == 1) {
                    agent_sim_say(s, leave); /* it was not stored */
                }
            }
            agent_sim_pass(s, 3000);
        }
        if (s->n_left == 0) {
            fail_msg("crash %u: it did not leave:\n%s", (unsigned)after, pf_buf_cstr(&s->trace));
        }
        n_crashes += has_crashed;
        agent_sim_destroy(s);
        if (!has_crashed) {
            break;
        }
    }
    print_message("leave: %u of %u crash points\n", (unsigned)n_crashes, (unsigned)n_crashes);
    assert_true(n_crashes > 8);
}

/* Gone: its tasks end, nobody is told, it asks nobody any more, also after a restart. */
static void test_gone(void **state)
{
    struct agent_sim *s = *state;

    given_tasks(s);
    agent_sim_say(s, "{'AgentLeave': {'text': 'x', 'is_gone': true}}");
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING");
    agent_sim_pass(s, 3000);
    AGENT_SIM_EXPECT(s, "close launcher");
    assert_int_equal(s->n_left, 0); /* it stays, and says why */
    assert_non_null(strstr(pf_agent_problem(s->core), "marked this agent gone"));
    uint32_t n = s->n_registrations;
    for (int i = 0; i < 2; i++) {
        agent_sim_master_down(s);
        agent_sim_master_up(s, (uint64_t)(2 + i));
        agent_sim_pass(s, 60000);
        assert_int_equal(s->n_registrations, n);
        assert_non_null(strstr(pf_agent_problem(s->core), "new --work-dir"));
        agent_sim_kill(s);
        agent_sim_start(s);
    }
    assert_int_equal(agent_sim_rows(s, AgentTable_UPDATES), 0);
}

/* It was gone while it could not be reached: told when it registers. */
static void test_gone_while_registering(void **state)
{
    struct agent_sim *s = *state;

    given_tasks(s);
    agent_sim_master_down(s);
    s->registers = false;
    agent_sim_master_up(s, 2);
    agent_sim_say(s, "{'AgentLeave': {'text': 'x', 'is_gone': true}}");
    assert_int_equal(agent_sim_process(s, 1)->last_signal, 15);
    assert_non_null(strstr(pf_agent_problem(s->core), "marked this agent gone"));
}

/* --recover=cleanup: what ran is ended at once and told; then it ends, and is the same agent at its
 * next start. */
static void test_cleanup(void **state)
{
    struct agent_sim *s = *state;
    char id[64];

    given_tasks(s);
    (void)snprintf(id, sizeof id, "%s", pf_agent_id(s->core));
    agent_sim_kill(s);
    s->options.cleans_up = true;
    agent_sim_start(s);
    agent_sim_clear_log(s);
    agent_sim_master_up(s, 2);
    agent_sim_pass(s, 1000);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_KILLED");
    assert_string_equal(agent_sim_states(s, 2), "TASK_RUNNING TASK_KILLED");
    EXPECT_ALL(s, "\"is_leaving\":true", "--recover=cleanup", "left for now");
    agent_sim_kill(s);
    s->options.cleans_up = false;
    agent_sim_start(s);
    agent_sim_master_up(s, 3);
    assert_string_equal(pf_agent_id(s->core), id);
    agent_sim_launch(s, "f1", "t5", 5, "{'value': 'x'}");
    assert_string_equal(agent_sim_states(s, 5), "TASK_RUNNING");
}

/* Nobody to tell: it ends after 30 s; what happened is told by the next start. */
static void test_cleanup_alone(void **state)
{
    struct agent_sim *s = *state;

    given_tasks(s);
    agent_sim_kill(s);
    s->master_up = false;
    s->options.cleans_up = true;
    agent_sim_start(s);
    agent_sim_pass(s, 29000);
    assert_int_equal(s->n_left, 0);
    agent_sim_pass(s, 2000);
    assert_int_equal(s->n_left, 1);
    agent_sim_kill(s);
    s->options.cleans_up = false;
    agent_sim_start(s);
    agent_sim_master_up(s, 2);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_KILLED");
}

/* A drain's kill only shortens the grace, and says why, over a restart too. */
static void test_drain(void **state)
{
    struct agent_sim *s = *state;

    given_tasks(s);
    agent_sim_say(s, "{'AgentKill': {'framework_id': 'f1', 'task_id': 't1', 'grace_ms': 60000,"
                     " 'reason': 'REASON_AGENT_DRAINING'}}");
    EXPECT_ALL(s, "TASK_KILLING");
    AGENT_SIM_EXPECT(s, "TASK_KILLED", "REASON_AGENT_DRAINING");
    agent_sim_say(s, "{'AgentKill': {'framework_id': 'f1', 'task_id': 't2', 'grace_ms': 60000,"
                     " 'reason': 'REASON_AGENT_DRAINING'}}");
    agent_sim_kill(s);
    agent_sim_start(s);
    agent_sim_clear_log(s);
    agent_sim_master_up(s, 2);
    agent_sim_pass(s, 3000);
    AGENT_SIM_EXPECT(s, "t2", "TASK_KILLED", "REASON_AGENT_DRAINING");
}

/* Started again with other resources or attributes, under each policy. */
static void test_reconfiguration(void **state)
{
    static const struct {
        const char *cpus, *attributes;
        const char *hostname;
        bool may_grow;    /* ... allows it */
        const char *says; /* under "equal"; NULL: nothing changed */
    } cases[] = {
        {"cpus:4;mem:1024", "rack:a", "h1", true, NULL},
        {"cpus:5;mem:1024", "rack:a", "h1", true, "cpus was 4 and is 5"},
        {"cpus:3;mem:1024", "rack:a", "h1", false, "cpus was 4 and is 3"},
        {"cpus:4;mem:1024;ports:[1-2]", "rack:a", "h1", true, "ports"},
        {"cpus:4;mem:1024", "rack:a;zone:w", "h1", true, "attribute zone:w is new"},
        {"cpus:4;mem:1024", "rack:b", "h1", false, "attribute rack was a and is b"},
        {"cpus:4;mem:1024", "", "h1", false, "attribute rack:a is missing"},
        {"cpus:4;mem:1024", "rack:a", "h2", false, "hostname was h1 and is h2"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int policy = PF_AGENT_MAY_CHANGE; policy <= PF_AGENT_MAY_NOT_CHANGE; policy++) {
            struct agent_sim *s = agent_sim_create();
            bool is_fine = policy == PF_AGENT_MAY_CHANGE || !cases[i].says ||
                           (policy == PF_AGENT_MAY_GROW && cases[i].may_grow);

            pf_res_clear(&s->total);
            assert_int_equal(pf_res_parse(PF_STR("cpus:4;mem:1024"), &s->total, NULL), 0);
            s->options.attributes = "rack:a";
            s->options.hostname = "h1";
            agent_sim_start(s);
            agent_sim_kill(s);
            pf_res_clear(&s->total);
            assert_int_equal(pf_res_parse(pf_str(cases[i].cpus), &s->total, NULL), 0);
            s->options.attributes = cases[i].attributes;
            s->options.hostname = cases[i].hostname;
            s->options.reconfiguration = (enum pf_agent_reconfiguration)policy;
            agent_sim_start(s);
            const char *misfit = pf_agent_misfit(s->core);
            if ((misfit == NULL) != is_fine) {
                fail_msg("case %u policy %d: %s", (unsigned)i, policy, misfit ? misfit : "fine");
            }
            if (misfit && policy == PF_AGENT_MAY_NOT_CHANGE) {
                assert_non_null(strstr(misfit, cases[i].says));
                assert_non_null(strstr(misfit, "--reconfiguration-policy=equal"));
            }
            agent_sim_destroy(s);
        }
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_leave),
        T(test_leave_with_less_grace),
        T(test_leave_unheard),
        T(test_leave_while_cut_off),
        cmocka_unit_test(test_leave_with_crashes),
        T(test_gone),
        T(test_gone_while_registering),
        T(test_cleanup),
        T(test_cleanup_alone),
        T(test_drain),
        cmocka_unit_test(test_reconfiguration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
