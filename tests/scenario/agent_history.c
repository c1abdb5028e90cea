/* SPDX-License-Identifier: Apache-2.0 */
/* What remains of tasks: the states that were told, the sandboxes of ended ones and how long they
 * stay, a sandbox that went too early. */
#include "tests/support/agent_sim.h"

#define DAY_MS INT64_C(86400000)

static int setup(void **state)
{
    struct agent_sim *s = agent_sim_create();

    s->options.gc_delay_ms = 10 * DAY_MS;
    s->options.disk_bytes = 1000000;
    s->wall_ms += 100 * DAY_MS;
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

static void restart(struct agent_sim *s)
{
    agent_sim_kill(s);
    agent_sim_clear_log(s);
    agent_sim_start(s);
    agent_sim_master_up(s, 1);
}

/* Launch `n`, which ends at once. */
static void run_one(struct agent_sim *s, uint8_t n)
{
    char id[8];

    (void)snprintf(id, sizeof id, "t%d", n);
    agent_sim_launch(s, "f1", id, n, "{'value': 'exit 0'}");
}

/* A list for a master says all that was told: states, times, reasons, who; the last one whole. */
static void test_agent_lists_the_states_told(void **state)
{
    struct agent_sim *s = *state;

    s->answer = -1;
    agent_sim_launch_more(s, "f1", "t1", 1, "{'value': 'stubborn'}",
                          ", 'health_check': {'type': 'TCP', 'tcp': {'port': 1}, 'delay_seconds': "
                          "1, 'grace_period_seconds': 0}");
    agent_sim_pass(s, 1000);
    s->acknowledges = false;
    agent_sim_say(s, "{'AgentKill': {'framework_id': 'f1', 'task_id': 't1', 'grace_ms': 900000}}");
    restart(s);
    AGENT_SIM_EXPECT(
        s, "\"AgentTasks\"",
        "\"statuses\":[{\"task_id\":{\"value\":\"t1\"},\"state\":\"TASK_RUNNING\",\"source\":"
        "\"SOURCE_EXECUTOR\",\"timestamp\":",
        "{\"task_id\":{\"value\":\"t1\"},\"state\":\"TASK_RUNNING\",\"source\":"
        "\"SOURCE_EXECUTOR\",\"reason\":\"REASON_TASK_HEALTH_CHECK_STATUS_UPDATED\"",
        "\"state\":\"TASK_KILLING\"", "\"healthy\":false");
}

/* Of many states the oldest 8 and the latest 8 are kept, also over a restart. */
static void test_agent_keeps_oldest_and_latest_states(void **state)
{
    struct agent_sim *s = *state;
    const char *at = NULL;
    int n = 0;

    agent_sim_launch_more(s, "f1", "t1", 1, "{'value': 'x'}",
                          ", 'check': {'type': 'HTTP', 'http': {'port': 1}, 'delay_seconds': 0, "
                          "'interval_seconds': 1000}");
    for (int i = 1; i < 14; i++) {
        s->answer = 200 + i;
        agent_sim_pass(s, 1000000);
    }
    agent_sim_told(s, 1)->n_states = 1; /* the oracle holds SIM_STATES_MAX */
    for (int i = 1; i < 14; i++) {
        s->answer = 300 + i;
        agent_sim_pass(s, 1000000);
    }
    restart(s);
    for (at = pf_buf_cstr(&s->log); (at = strstr(at, "\"state\":\"TASK_RUNNING\",\"source\""));
         n++) {
        at++;
    }
    assert_int_equal(n, 16);
}

/* An empty disk: 0.9 of the delay; half full: 0.4 of it. The oldest end goes first. */
static void test_agent_keeps_sandboxes_by_disk_usage(void **state)
{
    struct agent_sim *s = *state;

    run_one(s, 1);
    agent_sim_pass(s, DAY_MS);
    run_one(s, 2);
    agent_sim_disk(s, 1000000);
    agent_sim_clear_log(s);
    agent_sim_pass(s, 8 * DAY_MS - 1);
    assert_int_equal(agent_sim_rows(s, AgentTable_TASKS), 2);
    agent_sim_pass(s, 1);
    assert_int_equal(agent_sim_rows(s, AgentTable_TASKS), 1);
    AGENT_SIM_EXPECT(s, "remove 01 /w/sandboxes/f1/t1");
    agent_sim_disk(s, 500000);
    assert_int_equal(agent_sim_rows(s, AgentTable_TASKS), 0);
    AGENT_SIM_EXPECT(s, "remove 02");
}

static void test_agent_keeps_sandboxes_without_a_measure(void **state)
{
    struct agent_sim *s = *state;

    run_one(s, 1);
    agent_sim_pass(s, 10 * DAY_MS - 1);
    assert_int_equal(agent_sim_rows(s, AgentTable_TASKS), 1);
    restart(s);
    assert_int_equal(agent_sim_rows(s, AgentTable_TASKS), 1);
    agent_sim_pass(s, 1);
    assert_int_equal(agent_sim_rows(s, AgentTable_TASKS), 0);
    assert_int_equal(agent_sim_rows(s, AgentTable_INFOS), 0);
}

/* On a full disk all of them go, some at a time; live tasks stay. */
static void test_agent_empties_a_full_disk(void **state)
{
    struct agent_sim *s = *state;

    for (uint8_t n = 1; n <= 200; n++) {
        run_one(s, n);
    }
    agent_sim_launch(s, "f1", "live", 201, "{'value': 'x'}");
    agent_sim_disk(s, 100000);
    agent_sim_run(s);
    assert_int_equal(agent_sim_rows(s, AgentTable_TASKS), 1);
    assert_string_equal(agent_sim_states(s, 201), "TASK_RUNNING");
}

/* The task goes on; its end says what happened, and so does the answer to who reads its output. */
static void test_agent_tells_of_a_lost_sandbox(void **state)
{
    struct agent_sim *s = *state;
    struct pf_agent_stats stats;
    const char *read = "{'ReadFile': {'framework_id': 'f1', 'task_id': 't1'}}";

    agent_sim_client_up(s, SIM_CLIENT, true);
    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'x'}");
    agent_sim_sandbox_gone(s, 1);
    agent_sim_sandbox_gone(s, 1);
    agent_sim_sandbox_gone(s, 9);
    agent_sim_stats(s, &stats);
    assert_int_equal(stats.lost_sandboxes, 1);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING");
    agent_sim_say_as(s, SIM_CLIENT, 3, 0, read);
    agent_sim_run(s);
    AGENT_SIM_EXPECT(s, "NOT_FOUND", "the sandbox was removed while the task ran");
    restart(s);
    agent_sim_exit(s, 1, 0);
    AGENT_SIM_EXPECT(s, "TASK_FINISHED",
                     "Command exited with status 0 (its sandbox was removed while it ran)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_agent_lists_the_states_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_keeps_oldest_and_latest_states, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_keeps_sandboxes_by_disk_usage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_keeps_sandboxes_without_a_measure, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_agent_empties_a_full_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_tells_of_a_lost_sandbox, setup, teardown),
    };

    return cmocka_run_group_tests_name("agent_history", tests, NULL, NULL);
}
