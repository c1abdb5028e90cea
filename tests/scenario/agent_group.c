/* SPDX-License-Identifier: Apache-2.0 */
/* Task groups: all start or none, and under a default executor one that fails takes the others
 * with it. */
#include "tests/support/agent_sim.h"

#define DEFAULT                                                                                    \
    "{'type': 'DEFAULT', 'executor_id': {'value': 'd1'}, 'resources': [{'name': 'mem', 'type': "   \
    "'SCALAR', 'scalar': {'value': 64}}]}"
#define CUSTOM                                                                                     \
    "{'type': 'CUSTOM', 'executor_id': {'value': 'e1'}, 'command': {'value': 'executor'}}"

static const struct sim_group_task pair[] = {
    {"a", 1, "{'value': 'sleep 1'}"},
    {"b", 2, "{'value': 'sleep 2'}"},
};

static int setup(void **state)
{
    struct agent_sim *s = agent_sim_create();

    agent_sim_start(s);
    agent_sim_master_up(s, 1);
    agent_sim_clear_log(s);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    agent_sim_destroy(*state);
    return 0;
}

static void say_kill(struct agent_sim *s, const char *task_id)
{
    char body[200];

    (void)snprintf(body, sizeof body, "{'AgentKill': {'framework_id': 'f1', 'task_id': '%s'}}",
                   task_id);
    agent_sim_say(s, body);
}

/* Both run, each in its sandbox; the executor, which is none, ends with the last of them. */
static void test_group_runs(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch_group(s, "f1", 0x40, DEFAULT, pair, 2);
    AGENT_SIM_EXPECT(s, "sandbox 01 /w/sandboxes/f1/a.", "start 01", "MESOS_EXECUTOR_ID=d1",
                     "MESOS_TASK_ID=a");
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING");
    assert_string_equal(agent_sim_states(s, 2), "TASK_RUNNING");
    assert_int_equal(agent_sim_rows(s, AgentTable_EXECUTORS), 1);
    agent_sim_exit(s, 1, 0);
    assert_int_equal(s->n_exited, 0);
    agent_sim_clear_log(s);
    agent_sim_exit(s, 2, 0);
    AGENT_SIM_EXPECT(s, "TASK_FINISHED", "\"executor_id\":{\"value\":\"d1\"}",
                     "{\"AgentExecutorExited\":{\"framework_id\":\"f1\",\"executor_id\":\"d1\","
                     "\"sequence\":");
    assert_int_equal(s->n_exited, 1);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_FINISHED");
    assert_string_equal(agent_sim_states(s, 2), "TASK_RUNNING TASK_FINISHED");
}

/* None is started before the sandboxes of all stand. */
static void test_group_that_cannot_all_start_does_not(void **state)
{
    struct agent_sim *s = *state;

    s->sandbox_error = 28;
    s->sandbox_stage = "mkdir";
    agent_sim_launch_group(s, "f1", 0x40, DEFAULT, pair, 2);
    assert_string_equal(agent_sim_states(s, 1), "TASK_FAILED");
    assert_string_equal(agent_sim_states(s, 2), "TASK_KILLED");
    assert_null(agent_sim_process(s, 1));
    assert_null(agent_sim_process(s, 2));
    AGENT_SIM_EXPECT(s, "Killed because task a of its group failed",
                     "REASON_TASK_KILLED_DURING_LAUNCH", "AgentExecutorExited");
}

/* A program that is not there is found out too late: what was started is killed. */
static void test_group_with_a_program_that_cannot_start(void **state)
{
    static const struct sim_group_task tasks[] = {
        {"a", 1, "{'value': 'sleep 1'}"},
        {"b", 2, "{'shell': false, 'value': 'nosuch'}"},
        {"c", 3, "{'value': 'sleep 1'}"},
    };
    struct agent_sim *s = *state;

    agent_sim_launch_group(s, "f1", 0x40, DEFAULT, tasks, 3);
    assert_string_equal(agent_sim_states(s, 2), "TASK_FAILED");
    assert_non_null(strstr(agent_sim_states(s, 1), "TASK_KILLED"));
    assert_non_null(strstr(agent_sim_states(s, 3), "TASK_KILLED"));
    AGENT_SIM_EXPECT(s, "Killed because task b of its group failed (");
    assert_int_equal(s->n_exited, 1);
}

static void test_group_ends_with_the_one_that_fails(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch_group(s, "f1", 0x40, DEFAULT, pair, 2);
    agent_sim_clear_log(s);
    agent_sim_exit(s, 2, 4 << 8);
    assert_string_equal(agent_sim_states(s, 2), "TASK_RUNNING TASK_FAILED");
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_KILLED");
    AGENT_SIM_EXPECT(s, "Command exited with status 4", "signal 01 15",
                     "Killed because task b of its group failed (Command terminated with signal "
                     "Terminated)");
}

/* Another group of the same executor goes on. */
static void test_group_ends_with_the_one_that_is_killed(void **state)
{
    static const struct sim_group_task others[] = {
        {"c", 3, "{'value': 'sleep 1'}"},
        {"d", 4, "{'value': 'sleep 2'}"},
    };
    struct agent_sim *s = *state;

    agent_sim_launch_group(s, "f1", 0x40, DEFAULT, pair, 2);
    agent_sim_launch_group(s, "f1", 0x41, DEFAULT, others, 2);
    assert_int_equal(agent_sim_rows(s, AgentTable_EXECUTORS), 1);
    say_kill(s, "a");
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_KILLED");
    assert_string_equal(agent_sim_states(s, 2), "TASK_RUNNING TASK_KILLED");
    assert_string_equal(agent_sim_states(s, 3), "TASK_RUNNING");
    assert_string_equal(agent_sim_states(s, 4), "TASK_RUNNING");
    assert_int_equal(s->n_exited, 0);
    agent_sim_say(s, "{'AgentShutdownExecutor': {'framework_id': 'f1', 'executor_id': 'd1'}}");
    assert_string_equal(agent_sim_states(s, 3), "TASK_RUNNING TASK_KILLED");
    assert_string_equal(agent_sim_states(s, 4), "TASK_RUNNING TASK_KILLED");
    assert_int_equal(s->n_exited, 1);
}

/* What is wrong with one is the end of all, before anything was stored as running. */
static void test_group_is_refused_as_a_whole(void **state)
{
    static const struct {
        struct sim_group_task tasks[2];
        const char *executor, *text, *rest;
    } cases[] = {
        {{{"a", 1, "{'value': 'x'}"}, {"b", 2, "{}"}},
         DEFAULT,
         "Task b of its group was refused: the command has no value",
         "REASON_TASK_GROUP_INVALID"},
        {{{"a", 3, "{'value': 'x'}"}, {"b", 4, NULL}},
         DEFAULT,
         "Task b of its group was refused: the task has no command",
         "REASON_TASK_GROUP_INVALID"},
        {{{"a", 5, "{'value': 'x'}"}, {"a", 6, "{'value': 'x'}"}},
         DEFAULT,
         "two tasks with one id",
         "REASON_TASK_GROUP_INVALID"},
        {{{"a", 7, "{'value': 'x'}"}, {"b", 8, "{'value': 'x'}"}},
         "{'type': 'DEFAULT', 'executor_id': {'value': 'd1'}, 'resources': [{'name': 'cpus', "
         "'type': 'SCALAR', 'scalar': {'value': 3.5}}]}",
         "cpus is short",
         "REASON_RESOURCES_UNKNOWN"},
        {{{"a", 9, "{'value': 'x'}"}, {"b", 10, "{'value': 'x'}"}},
         "{'type': 'CUSTOM', 'executor_id': {'value': 'd1'}}",
         "the executor has no command",
         "REASON_TASK_GROUP_INVALID"},
    };
    struct agent_sim *s = *state;

    for (size_t i = 0; i < PF_ARRAY_LEN(cases); i++) {
        const struct sim_group_task *t = cases[i].tasks;
        agent_sim_clear_log(s);
        agent_sim_launch_group(s, "f1", 0x40, cases[i].executor, t, 2);
        AGENT_SIM_EXPECT(s, "AgentExecutorExited", "\"is_silent\":true", cases[i].text,
                         cases[i].rest);
        assert_non_null(agent_sim_told(s, t[0].n));
        assert_non_null(agent_sim_told(s, t[1].n));
        assert_null(agent_sim_process(s, t[0].n));
        assert_null(agent_sim_process(s, t[1].n));
        assert_int_equal(agent_sim_rows(s, AgentTable_EXECUTORS), 0);
    }
    agent_sim_launch_on(s, "f1", "c", 11, DEFAULT);
    AGENT_SIM_EXPECT(s, "takes task groups only");
}

/* A custom executor gets the group in one piece and is on its own then. */
static void test_group_of_a_custom_executor(void **state)
{
    static const struct sim_group_task tasks[] = {{"a", 1, NULL}, {"b", 2, NULL}};
    static const struct sim_group_task more[] = {{"c", 3, NULL}, {"d", 4, NULL}};
    struct agent_sim *s = *state;
    struct sim_executor *x = NULL;

    agent_sim_launch_group(s, "f1", 0x40, CUSTOM, tasks, 2);
    x = agent_sim_executor(s, "e1");
    assert_int_equal(x->n_groups, 1);
    agent_sim_launch_group(s, "f1", 0x41, CUSTOM, more, 2);
    assert_int_equal(x->n_groups, 2);
    assert_int_equal(x->n_launches, 4);
    agent_sim_executor_update(s, x, "a", TaskState_TASK_FAILED);
    agent_sim_run(s);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_FAILED");
    assert_string_equal(agent_sim_states(s, 2), "TASK_RUNNING");
}

/* Half of it ran when the agent died: it goes on with the rest. */
static void test_group_outlives_the_agent(void **state)
{
    struct agent_sim *s = *state;

    s->crash_at = 0;
    agent_sim_launch_group(s, "f1", 0x40, DEFAULT, pair, 2);
    agent_sim_kill(s);
    agent_sim_start(s);
    agent_sim_master_up(s, 2);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING");
    assert_int_equal(agent_sim_process(s, 1)->n_starts, 1);
    assert_non_null(strstr(pf_buf_cstr(&s->registered), "executor d1\n"));
    agent_sim_kill(s);
    agent_sim_exit(s, 2, 9 << 8);
    agent_sim_start(s);
    agent_sim_master_up(s, 3);
    assert_string_equal(agent_sim_states(s, 2), "TASK_RUNNING TASK_FAILED");
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_KILLED");
    assert_int_equal(s->n_exited, 1);
    agent_sim_pass(s, INT64_C(8) * 24 * 3600000);
    assert_int_equal(agent_sim_rows(s, AgentTable_EXECUTORS), 0);
    assert_int_equal(agent_sim_rows(s, AgentTable_TASKS), 0);
}

static void test_group_ends_with_the_machine(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch_group(s, "f1", 0x40, DEFAULT, pair, 2);
    agent_sim_reboot(s, "b2");
    agent_sim_start(s);
    agent_sim_master_up(s, 2);
    assert_non_null(strstr(agent_sim_states(s, 1), "TASK_FAILED"));
    assert_true(strstr(agent_sim_states(s, 2), "TASK_FAILED") ||
                strstr(agent_sim_states(s, 2), "TASK_KILLED"));
    assert_int_equal(s->n_exited, 1);
}

static void test_group_ends_with_its_framework(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch_group(s, "f1", 0x40, DEFAULT, pair, 2);
    agent_sim_clear_log(s);
    agent_sim_say(s, "{'AgentTeardown': {'framework_id': 'f1'}}");
    AGENT_SIM_EXPECT(s, "signal 01 15", "signal 02 15");
    assert_int_equal(s->n_exited, 0);
    assert_int_equal(agent_sim_rows(s, AgentTable_FRAMEWORKS), 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_group_runs),
        CASE(test_group_that_cannot_all_start_does_not),
        CASE(test_group_with_a_program_that_cannot_start),
        CASE(test_group_ends_with_the_one_that_fails),
        CASE(test_group_ends_with_the_one_that_is_killed),
        CASE(test_group_is_refused_as_a_whole),
        CASE(test_group_of_a_custom_executor),
        CASE(test_group_outlives_the_agent),
        CASE(test_group_ends_with_the_machine),
        CASE(test_group_ends_with_its_framework),
    };

    return cmocka_run_group_tests_name("agent_group", tests, NULL, NULL);
}
