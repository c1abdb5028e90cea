/* SPDX-License-Identifier: Apache-2.0 */
/* An agent that no leader knows keeps to the partition policies of its tasks, by itself. */
#include "tests/support/agent_sim.h"

static int setup(void **state)
{
    struct agent_sim *s = agent_sim_create();

    s->unreachable_ms = 75000;
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

/* t1 keeps, t2 stops after 30 s, t3 is replaced. */
static void given_tasks(struct agent_sim *s)
{
    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'x'}");
    agent_sim_launch_more(s, "f1", "t2", 2, "{'value': 'x'}",
                          ", 'partition_policy': {'action': 'STOP', 'after_ms': 30000}");
    agent_sim_launch_more(s, "f1", "t3", 3, "{'value': 'x'}",
                          ", 'partition_policy': {'action': 'REPLACE'}");
    for (uint8_t n = 1; n <= 3; n++) {
        assert_string_equal(agent_sim_states(s, n), "TASK_RUNNING");
    }
}

static bool runs(struct agent_sim *s, uint8_t n)
{
    return agent_sim_process(s, n)->state == LauncherState_RUNNING;
}

/* Each at its own time, told when a master is there again. */
static void test_each_to_its_policy(void **state)
{
    struct agent_sim *s = *state;

    given_tasks(s);
    agent_sim_master_down(s);
    agent_sim_pass(s, 29999);
    assert_true(runs(s, 2));
    agent_sim_pass(s, 1);
    assert_false(runs(s, 2));
    assert_int_equal(agent_sim_process(s, 2)->last_signal, 15);
    agent_sim_pass(s, 44999);
    assert_true(runs(s, 3));
    agent_sim_pass(s, 1);
    assert_false(runs(s, 3));
    agent_sim_pass(s, 1000000);
    assert_true(runs(s, 1));
    agent_sim_clear_log(s);
    agent_sim_master_up(s, 2);
    AGENT_SIM_EXPECT(s, "TASK_KILLED", "stopped: the agent was cut off for 30 s");
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING");
    assert_string_equal(agent_sim_states(s, 2), "TASK_RUNNING TASK_KILLING TASK_KILLED");
    assert_string_equal(agent_sim_states(s, 3), "TASK_RUNNING TASK_KILLING TASK_KILLED");
}

static void test_replaced_text(void **state)
{
    struct agent_sim *s = *state;

    given_tasks(s);
    agent_sim_master_down(s);
    agent_sim_pass(s, 75000);
    agent_sim_clear_log(s);
    agent_sim_master_up(s, 2);
    AGENT_SIM_EXPECT(s, "t3", "TASK_KILLED", "replaced: the agent was cut off for 75 s");
}

/* Back in time: nothing happens, and the next partition counts from its own beginning. */
static void test_back_in_time(void **state)
{
    struct agent_sim *s = *state;

    given_tasks(s);
    for (uint32_t i = 0; i < 3; i++) {
        agent_sim_master_down(s);
        agent_sim_pass(s, 20000);
        agent_sim_master_up(s, i + 2);
    }
    agent_sim_pass(s, 100000);
    assert_true(runs(s, 2) && runs(s, 3));
    assert_string_equal(agent_sim_states(s, 2), "TASK_RUNNING");
}

/* A restart while cut off does not begin the time anew. */
static void test_restart_while_cut_off(void **state)
{
    struct agent_sim *s = *state;

    given_tasks(s);
    agent_sim_master_down(s);
    agent_sim_pass(s, 10000);
    agent_sim_kill(s);
    agent_sim_pass(s, 10000);
    agent_sim_start(s);
    agent_sim_pass(s, 9999);
    assert_true(runs(s, 2));
    agent_sim_pass(s, 1);
    assert_false(runs(s, 2));
    agent_sim_kill(s);
    agent_sim_pass(s, 100000); /* long over when it comes back */
    agent_sim_start(s);
    agent_sim_pass(s, 1);
    assert_false(runs(s, 3));
}

/* A start after a crash knows no more than that there is no leader: it counts from then, and once
 * only. */
static void test_start_without_a_leader(void **state)
{
    struct agent_sim *s = *state;

    given_tasks(s);
    agent_sim_kill(s);
    s->master_up = false;
    agent_sim_start(s);
    agent_sim_pass(s, 20000);
    agent_sim_kill(s);
    agent_sim_start(s);
    agent_sim_pass(s, 9999);
    assert_true(runs(s, 2));
    agent_sim_pass(s, 1);
    assert_false(runs(s, 2));
}

/* Many at once: a step does its share, all of them end. */
static void test_many_tasks_stop(void **state)
{
    struct agent_sim *s = agent_sim_create();

    (void)state;
    pf_res_clear(&s->total);
    assert_int_equal(pf_res_parse(PF_STR("cpus:1000;mem:1000000"), &s->total, NULL), 0);
    agent_sim_start(s);
    agent_sim_master_up(s, 1);
    for (uint32_t n = 1; n <= 200; n++) {
        char id[16];

        (void)snprintf(id, sizeof id, "s%u", (unsigned)n);
        agent_sim_launch_more(s, "f1", id, (uint8_t)n, "{'value': 'x'}",
                              ", 'partition_policy': {'action': 'STOP', 'after_ms': 1000}");
    }
    agent_sim_master_down(s);
    agent_sim_pass(s, 1001);
    for (uint32_t n = 1; n <= 200; n++) {
        assert_false(runs(s, (uint8_t)n));
    }
    agent_sim_destroy(s);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_each_to_its_policy),     T(test_replaced_text),
        T(test_back_in_time),           T(test_restart_while_cut_off),
        T(test_start_without_a_leader), cmocka_unit_test(test_many_tasks_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
