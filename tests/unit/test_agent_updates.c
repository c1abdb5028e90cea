/* SPDX-License-Identifier: Apache-2.0 */
/* Update streams of an agent: one at a time, in order, again until acknowledged, over restarts and
 * new masters; and the history that is left of a task. */
#include "tests/support/agent_sim.h"

static int setup(void **state)
{
    struct agent_sim *s = agent_sim_create();

    s->acknowledges = false;
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

static uint32_t count(struct agent_sim *s, const char *text)
{
    uint32_t n = 0;

    for (const char *p = pf_buf_cstr(&s->log); (p = strstr(p, text)) != NULL; p += strlen(text)) {
        n++;
    }
    return n;
}

/* Acknowledges what launch `n` told last. */
static void acknowledge(struct agent_sim *s, uint8_t n, const char *framework_id)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct sim_told *t = agent_sim_told(s, n);
    char uuid[25], body[300];

    for (int i = 0; i < 22; i++) {
        uint32_t bits = 0;
        for (int at = i * 6; at < i * 6 + 6; at++) {
            bits = bits << 1 |
                   (at < 128 ? (uint32_t)(t->last_uuid.b[at / 8] >> (7 - at % 8)) & 1u : 0u);
        }
        uuid[i] = digits[bits];
    }
    memcpy(uuid + 22, "==", 3);
    (void)snprintf(body, sizeof body,
                   "{'AgentAcknowledge': {'framework_id': '%s', 'task_id': '%s', 'uuid': '%s'}}",
                   framework_id, t->task_id, uuid);
    agent_sim_say(s, body);
}

/* Behind an update that nobody takes the end would be unknown until that is sent again. */
static void test_agent_tells_an_end_behind_others_soon(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'sleep 9'}");
    agent_sim_clear_log(s);
    agent_sim_exit(s, 1, 0);
    assert_int_equal(count(s, "AgentUpdate"), 0);
    agent_sim_pass(s, 1000);
    AGENT_SIM_EXPECT(s, "\"state\":\"TASK_RUNNING\"", "\"latest_state\":\"TASK_FINISHED\"");
}

static void test_agent_sends_one_update_at_a_time(void **state)
{
    struct agent_sim *s = *state;
    struct pf_agent_stats stats;

    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'exit 0'}");
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING");
    assert_int_equal(agent_sim_rows(s, AgentTable_UPDATES), 2);
    acknowledge(s, 1, "f1");
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_FINISHED");
    assert_int_equal(agent_sim_rows(s, AgentTable_UPDATES), 1);
    acknowledge(s, 1, "f2"); /* not its framework */
    agent_sim_stats(s, &stats);
    assert_int_equal(stats.n_updates_pending, 1);
    assert_int_equal(stats.bad_messages, 1);
    acknowledge(s, 1, "f1");
    acknowledge(s, 1, "f1"); /* again: harmless */
    agent_sim_stats(s, &stats);
    assert_int_equal(stats.n_updates_pending, 0);
    assert_int_equal(stats.bad_messages, 1);
    assert_int_equal(agent_sim_rows(s, AgentTable_UPDATES), 0);
}

/* 10 s, then doubling, at most 10 minutes. */
static void test_agent_sends_again_ever_more_slowly(void **state)
{
    struct agent_sim *s = *state;
    static const int64_t waits_ms[] = {10000, 20000, 40000, 80000, 160000, 320000, 600000, 600000};

    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'x'}");
    for (size_t i = 0; i < PF_ARRAY_LEN(waits_ms); i++) {
        agent_sim_clear_log(s);
        agent_sim_pass(s, waits_ms[i] - 1);
        assert_int_equal(count(s, "AgentUpdate"), 0);
        agent_sim_pass(s, 1);
        assert_int_equal(count(s, "AgentUpdate"), 1);
    }
    assert_int_equal(agent_sim_told(s, 1)->n_repeated, PF_ARRAY_LEN(waits_ms));
}

/* Paused without a master; a new registration sends all heads at once and starts over. */
static void test_agent_sends_heads_on_registration(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'x'}");
    agent_sim_launch(s, "f1", "t2", 2, "{'value': 'exit 1'}");
    agent_sim_pass(s, 100000);
    agent_sim_master_down(s);
    agent_sim_clear_log(s);
    agent_sim_pass(s, 1000000);
    assert_int_equal(count(s, "AgentUpdate"), 0);
    agent_sim_master_up(s, 2);
    assert_int_equal(count(s, "AgentUpdate"), 2);
    agent_sim_clear_log(s);
    agent_sim_pass(s, 10000);
    assert_int_equal(count(s, "AgentUpdate"), 2);
}

static void test_agent_keeps_updates_over_a_restart(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'x'}");
    agent_sim_master_down(s);
    agent_sim_exit(s, 1, 9);
    agent_sim_kill(s);
    agent_sim_start(s);
    agent_sim_kill(s);
    agent_sim_start(s);
    s->acknowledges = true;
    agent_sim_master_up(s, 1);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_FAILED");
    assert_int_equal(agent_sim_told(s, 1)->n_repeated, 1);
    assert_int_equal(agent_sim_rows(s, AgentTable_UPDATES), 0);
}

/* The master need not wait for a slow scheduler to see that resources are free. */
static void test_agent_tells_the_latest_state_along(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'exit 2'}");
    agent_sim_clear_log(s);
    agent_sim_pass(s, 10000);
    AGENT_SIM_EXPECT(s, "AgentUpdate", "TASK_RUNNING", "\"latest_state\":\"TASK_FAILED\"");
}

/* Ended tasks stay readable: 1,000 of them, 7 days long. Then sandbox and rows go. */
static void test_agent_forgets_old_tasks(void **state)
{
    struct agent_sim *s = *state;
    struct pf_agent_stats stats;

    s->acknowledges = true;
    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'exit 0'}");
    agent_sim_kill(s);
    agent_sim_start(s);
    agent_sim_pass(s, INT64_C(6) * 24 * 3600 * 1000);
    agent_sim_kill(s);
    agent_sim_start(s);
    agent_sim_stats(s, &stats);
    assert_int_equal(stats.n_tasks_ended, 1);
    agent_sim_clear_log(s);
    agent_sim_pass(s, INT64_C(24) * 3600 * 1000);
    AGENT_SIM_EXPECT(s, "remove 01 /w/sandboxes/");
    agent_sim_stats(s, &stats);
    assert_int_equal(stats.n_tasks_ended, 0);
    assert_int_equal(agent_sim_rows(s, AgentTable_TASKS), 0);
    assert_int_equal(agent_sim_rows(s, AgentTable_INFOS), 0);
}

static void launch_numbered(struct agent_sim *s, uint32_t n)
{
    char body[600];

    (void)snprintf(body, sizeof body,
                   "{'AgentLaunch': {'framework_id': 'f1', 'tasks': [{'launch_uuid': "
                   "'%08uAAAAAAAAAAAAAA==', 'info': {'name': 'n', 'task_id': {'value': 'h%u'}, "
                   "'agent_id': {'value': ''}, 'command': {'value': 'exit 0'}}}]}}",
                   (unsigned)n, (unsigned)n);
    agent_sim_say(s, body);
}

static void test_agent_keeps_a_bounded_history(void **state)
{
    struct agent_sim *s = *state;
    struct pf_agent_stats stats;

    s->acknowledges = true;
    for (uint32_t n = 0; n < 1005; n++) {
        launch_numbered(s, n);
        s->wall_ms++;
    }
    agent_sim_stats(s, &stats);
    assert_int_equal(stats.n_tasks_ended, 1000);
    assert_int_equal(agent_sim_rows(s, AgentTable_TASKS), 1000);
    AGENT_SIM_EXPECT(s, "/h0.", "remove", "/h0.", "remove", "/h4.");
    agent_sim_kill(s);
    agent_sim_start(s);
    agent_sim_stats(s, &stats);
    assert_int_equal(stats.n_tasks_ended, 1000);
    assert_null(strstr(pf_buf_cstr(&s->log), "remove"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_agent_tells_an_end_behind_others_soon, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_agent_sends_one_update_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_sends_again_ever_more_slowly, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_sends_heads_on_registration, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_keeps_updates_over_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_tells_the_latest_state_along, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_forgets_old_tasks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_keeps_a_bounded_history, setup, teardown),
    };

    return cmocka_run_group_tests_name("agent_updates", tests, NULL, NULL);
}
