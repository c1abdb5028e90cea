/* SPDX-License-Identifier: Apache-2.0 */
/* The fetch between sandbox and start: its success, its failures, kills while it runs, and every
 * way in which agent and launcher may be lost on the way. */
#include "tests/support/agent_sim.h"

#define SLOW "{'value': 'x', 'uris': [{'value': 'slow://a'}, {'value': 'http://b', 'cache': true}]}"

static int setup(void **state)
{
    struct agent_sim *s = agent_sim_create();

    s->options.cache_dir = "/cache";
    s->options.cache_max_bytes = 1000;
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
    agent_sim_start(s);
    agent_sim_master_up(s, 1);
}

static void test_agent_fetches_before_it_starts(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch(s, "f1", "t1", 1, SLOW);
    assert_string_equal(agent_sim_states(s, 1), "");
    AGENT_SIM_EXPECT(s, "sandbox 01", "fetch 01 in 01 /w/sandboxes/f1/t1",
                     "cache=/cache slow://a http://b");
    assert_null(agent_sim_process(s, 1));
    agent_sim_fetched(s, 1, 0, NULL);
    AGENT_SIM_EXPECT(s, "start 01", "forget 01", "TASK_RUNNING");
    assert_true(agent_sim_fetcher(s, 1)->forgotten);
    agent_sim_exit(s, 1, 0);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_FINISHED");
}

static void test_agent_tells_why_a_fetch_failed(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'x', 'uris': [{'value': 'bad://a'}]}");
    AGENT_SIM_EXPECT(s, "TASK_FAILED", "Failed to fetch: bad: 404 Not Found\"", "SOURCE_AGENT",
                     "REASON_CONTAINER_LAUNCH_FAILED", "ended 01", "forget 01");
    agent_sim_launch(s, "f1", "t2", 2, SLOW);
    agent_sim_fetched(s, 2, 9, "");
    AGENT_SIM_EXPECT(s, "Failed to fetch: the fetcher was ended by signal Killed");
    agent_sim_launch(s, "f1", "t3", 3, SLOW);
    agent_sim_fetched(s, 3, 3 << 8, "");
    AGENT_SIM_EXPECT(s, "Failed to fetch: the fetcher exited with status 3");
    assert_null(agent_sim_process(s, 1));
    assert_null(agent_sim_process(s, 2));
    assert_null(agent_sim_process(s, 3));
}

/* A kill ends the fetcher; its end is the end of the task. */
static void test_agent_kill_while_fetching(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch(s, "f1", "t1", 1, SLOW);
    agent_sim_clear_log(s);
    agent_sim_say(s, "{'AgentKill': {'framework_id': 'f1', 'task_id': 't1'}}");
    AGENT_SIM_EXPECT(s, "signal 01 9", "TASK_KILLED", "REASON_TASK_KILLED_DURING_LAUNCH",
                     "forget 01");
    assert_string_equal(agent_sim_states(s, 1), "TASK_KILLED");
    assert_int_equal(agent_sim_fetcher(s, 1)->last_signal, 9);
    assert_null(agent_sim_process(s, 1));
}

/* The agent restarts while it fetches: the fetcher is found, and its end is what counts. */
static void test_agent_restart_while_fetching(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch(s, "f1", "t1", 1, SLOW);
    restart(s);
    assert_int_equal(agent_sim_fetcher(s, 1)->n_starts, 1);
    agent_sim_fetched(s, 1, 0, NULL);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING");
    assert_int_equal(agent_sim_fetcher(s, 1)->n_starts, 1);
}

/* It ended while the agent was away: what was fetched is used, what failed is told. */
static void test_agent_fetch_ends_while_the_agent_is_away(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch(s, "f1", "t1", 1, SLOW);
    agent_sim_launch(s, "f1", "t2", 2, SLOW);
    agent_sim_kill(s);
    agent_sim_fetched(s, 1, 0, NULL);
    agent_sim_fetched(s, 2, 1 << 8, "slow://a: no route");
    agent_sim_start(s);
    agent_sim_master_up(s, 1);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING");
    assert_string_equal(agent_sim_states(s, 2), "TASK_FAILED");
    AGENT_SIM_EXPECT(s, "Failed to fetch: slow://a: no route");
    assert_int_equal(agent_sim_fetcher(s, 1)->n_starts, 1);
    assert_true(agent_sim_fetcher(s, 1)->forgotten);
    assert_true(agent_sim_fetcher(s, 2)->forgotten);
}

/* Its launcher died with it: nothing of the task has run, so it is fetched again. */
static void test_agent_fetches_again_under_another_launcher(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch(s, "f1", "t1", 1, SLOW);
    agent_sim_launcher_down(s);
    agent_sim_launcher_up(s, "l2");
    assert_int_equal(agent_sim_fetcher(s, 1)->n_starts, 2);
    agent_sim_kill(s);
    agent_sim_fetcher(s, 1)->forgotten = true;
    (void)snprintf(s->launcher_instance, sizeof s->launcher_instance, "l3");
    agent_sim_start(s);
    agent_sim_master_up(s, 1);
    assert_int_equal(agent_sim_fetcher(s, 1)->n_starts, 3);
    agent_sim_fetched(s, 1, 0, NULL);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING");
    assert_int_equal(agent_sim_process(s, 1)->n_starts, 1);
}

/* Killed while agent, launcher or both are away. */
static void test_agent_kill_of_a_fetch_that_is_away(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch(s, "f1", "t1", 1, SLOW);
    agent_sim_launch(s, "f1", "t2", 2, SLOW);
    agent_sim_launcher_down(s);
    agent_sim_say(s, "{'AgentKill': {'framework_id': 'f1', 'task_id': 't1'}}");
    agent_sim_say(s, "{'AgentKill': {'framework_id': 'f1', 'task_id': 't2'}}");
    assert_string_equal(agent_sim_states(s, 1), "");
    agent_sim_launcher_up(s, "l1");
    assert_string_equal(agent_sim_states(s, 1), "TASK_KILLED");
    assert_string_equal(agent_sim_states(s, 2), "TASK_KILLED");
    agent_sim_launch(s, "f1", "t3", 3, SLOW);
    agent_sim_launcher_down(s);
    agent_sim_say(s, "{'AgentKill': {'framework_id': 'f1', 'task_id': 't3'}}");
    restart(s);
    assert_string_equal(agent_sim_states(s, 3), "TASK_KILLED");
    assert_int_equal(agent_sim_fetcher(s, 3)->last_signal, 9);
    assert_null(agent_sim_process(s, 3));
}

/* What was fetched is fetched no more: the start alone is said again. */
static void test_agent_does_not_fetch_twice(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'x', 'uris': [{'value': 'http://a'}]}");
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING");
    restart(s);
    assert_int_equal(agent_sim_fetcher(s, 1)->n_starts, 1);
    assert_int_equal(agent_sim_process(s, 1)->n_starts, 1);
}

#define WITH_EXECUTOR(id, uri)                                                                     \
    ", 'executor': {'executor_id': {'value': '" id "'}, 'command': {'value': 'x', 'uris': "        \
    "[{'value': '" uri "'}]}}"

/* Executors' files as well; what cannot be fetched for one ends its tasks with the reason. */
static void test_agent_fetches_for_executors(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch_more(s, "f1", "t1", 1, "null", WITH_EXECUTOR("e1", "http://a"));
    AGENT_SIM_EXPECT(s, "sandbox", "fetch", "http://a", "start", "forget");
    agent_sim_launch_more(s, "f1", "t2", 2, "null", WITH_EXECUTOR("e2", "bad://a"));
    AGENT_SIM_EXPECT(s, "fetch", "TASK_FAILED", "Failed to fetch: bad: 404 Not Found",
                     "REASON_CONTAINER_LAUNCH_FAILED");
    assert_string_equal(agent_sim_states(s, 2), "TASK_FAILED");
    agent_sim_launch_more(s, "f1", "t3", 3, "null", WITH_EXECUTOR("e3", "slow://a"));
    restart(s);
    struct sim_process *p = s->processes.at[s->processes.len - 1];

    assert_int_equal(p->state, LauncherState_RUNNING);
    assert_int_equal(p->n_starts, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_agent_fetches_before_it_starts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_tells_why_a_fetch_failed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_kill_while_fetching, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_restart_while_fetching, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_fetch_ends_while_the_agent_is_away, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_agent_fetches_again_under_another_launcher, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_agent_kill_of_a_fetch_that_is_away, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_does_not_fetch_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_fetches_for_executors, setup, teardown),
    };

    return cmocka_run_group_tests_name("agent_fetch", tests, NULL, NULL);
}
