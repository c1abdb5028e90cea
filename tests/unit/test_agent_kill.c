/* SPDX-License-Identifier: Apache-2.0 */
/* Kills: signals and grace, a second kill, kills before the start and without a launcher, time
 * limits, the end of a framework. */
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

static void say_kill(struct agent_sim *s, const char *task_id, const char *more)
{
    char body[300];

    (void)snprintf(body, sizeof body, "{'AgentKill': {'framework_id': 'f1', 'task_id': '%s'%s}}",
                   task_id, more);
    agent_sim_say(s, body);
}

static void test_agent_kill_sends_sigterm(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'x'}");
    agent_sim_clear_log(s);
    say_kill(s, "t1", "");
    AGENT_SIM_EXPECT(s, "signal 01 15", "Command terminated with signal Terminated");
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_KILLING TASK_KILLED");
}

/* A command that ignores SIGTERM gets SIGKILL when the grace has passed, not before. */
static void test_agent_kill_follows_with_sigkill(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'stubborn'}");
    say_kill(s, "t1", "");
    agent_sim_pass(s, 2999);
    assert_int_equal(agent_sim_process(s, 1)->n_kills, 1);
    agent_sim_pass(s, 1);
    assert_int_equal(agent_sim_process(s, 1)->last_signal, 9);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_KILLING TASK_KILLED");
}

/* The KILL's grace wins over the task's own, that over the default. */
static void test_agent_kill_takes_the_nearest_grace(void **state)
{
    struct agent_sim *s = *state;
    const char *policy = ", 'kill_policy': {'grace_period': {'nanoseconds': 7000000000}}";

    agent_sim_launch_more(s, "f1", "t1", 1, "{'value': 'stubborn'}", policy);
    agent_sim_launch_more(s, "f1", "t2", 2, "{'value': 'stubborn'}", policy);
    say_kill(s, "t1", "");
    say_kill(s, "t2", ", 'grace_ms': 10, 'signal': 2");
    assert_int_equal(agent_sim_process(s, 2)->last_signal, 2);
    agent_sim_pass(s, 10);
    assert_int_equal(agent_sim_process(s, 2)->last_signal, 9);
    agent_sim_pass(s, 6989);
    assert_int_equal(agent_sim_process(s, 1)->last_signal, 15);
    agent_sim_pass(s, 1);
    assert_int_equal(agent_sim_process(s, 1)->last_signal, 9);
}

static void test_agent_kill_again_only_shortens(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'stubborn'}");
    say_kill(s, "t1", ", 'grace_ms': 5000");
    say_kill(s, "t1", ", 'grace_ms': 50000");
    assert_int_equal(agent_sim_process(s, 1)->n_kills, 1);
    agent_sim_pass(s, 4000);
    say_kill(s, "t1", ", 'grace_ms': 0");
    assert_int_equal(agent_sim_process(s, 1)->last_signal, 9);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_KILLING TASK_KILLED");
}

/* SIGKILL is said again when the end does not come. */
static void test_agent_kill_repeats_sigkill(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'x'}");
    agent_sim_process(s, 1)->forgotten = true; /* deaf */
    say_kill(s, "t1", ", 'grace_ms': 0");
    agent_sim_clear_log(s);
    agent_sim_pass(s, 10000);
    AGENT_SIM_EXPECT(s, "signal 01 9", "signal 01 9");
}

/* Killed while it waits for a launcher: it never starts. */
static void test_agent_kill_before_the_start(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launcher_down(s);
    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'x'}");
    agent_sim_clear_log(s);
    say_kill(s, "t1", "");
    AGENT_SIM_EXPECT(s, "TASK_KILLED", "REASON_TASK_KILLED_DURING_LAUNCH");
    agent_sim_launcher_up(s, "l1");
    assert_null(agent_sim_process(s, 1));
    assert_string_equal(agent_sim_states(s, 1), "TASK_KILLED");
}

/* A kill that comes while the launcher is away is done when it is back, late ones at once. */
static void test_agent_kill_while_the_launcher_is_away(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'x'}");
    agent_sim_launch(s, "f1", "t2", 2, "{'value': 'stubborn'}");
    agent_sim_launcher_down(s);
    say_kill(s, "t2", "");
    agent_sim_pass(s, 60000);
    say_kill(s, "t1", "");
    assert_int_equal(agent_sim_process(s, 1)->n_kills, 0);
    agent_sim_launcher_up(s, "l1");
    assert_int_equal(agent_sim_process(s, 1)->last_signal, 15);
    assert_int_equal(agent_sim_process(s, 2)->last_signal, 9);
    assert_int_equal(agent_sim_process(s, 2)->n_kills, 1);
    assert_string_equal(agent_sim_states(s, 2), "TASK_RUNNING TASK_KILLING TASK_KILLED");
}

/* The start was lost with the link; the kill that came meanwhile wins over starting it again. */
static void test_agent_kill_of_a_lost_start(void **state)
{
    struct agent_sim *s = *state;

    s->launcher_up = false; /* the agent does not know yet */
    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'x'}");
    say_kill(s, "t1", "");
    assert_string_equal(agent_sim_states(s, 1), "");
    agent_sim_launcher_down(s);
    agent_sim_launcher_up(s, "l1");
    assert_string_equal(agent_sim_states(s, 1), "TASK_KILLED");
    assert_null(agent_sim_process(s, 1));
}

/* Killed between the start and the word that it runs. */
static void test_agent_kill_while_it_starts(void **state)
{
    struct agent_sim *s = *state;
    struct sim_process *p = NULL;

    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'x'}");
    agent_sim_launcher_down(s);
    s->launcher_up = false;
    agent_sim_kill(s);
    p = agent_sim_process(s, 1);
    p->state = LauncherState_STARTING; /* it knows it, but not yet what came of it */
    pf_store_image_destroy(s->image);
    s->image = pf_store_image_create();
    agent_sim_start(s);
    agent_sim_master_up(s, 1);
    p->forgotten = true;
    s->launcher_up = false;
    agent_sim_launch(s, "f1", "t2", 2, "{'value': 'x'}");
    say_kill(s, "t2", "");
    p->launch = (struct pf_uuid){{2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2}};
    p->forgotten = false;
    agent_sim_launcher_down(s);
    agent_sim_launcher_up(s, "l1");
    assert_string_equal(agent_sim_states(s, 2), "");
    p->state = LauncherState_RUNNING;
    agent_sim_launcher_down(s);
    agent_sim_launcher_up(s, "l1");
    assert_int_equal(p->last_signal, 15);
    assert_string_equal(agent_sim_states(s, 2), "TASK_RUNNING TASK_KILLED");
}

/* The wish to kill outlives the agent, with what was left of the grace. */
static void test_agent_kill_survives_a_restart(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'stubborn'}");
    say_kill(s, "t1", ", 'grace_ms': 8000");
    agent_sim_pass(s, 5000);
    agent_sim_kill(s);
    agent_sim_start(s);
    agent_sim_pass(s, 2999);
    assert_int_equal(agent_sim_process(s, 1)->last_signal, 15);
    agent_sim_pass(s, 1);
    assert_int_equal(agent_sim_process(s, 1)->last_signal, 9);
    agent_sim_master_up(s, 1);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_KILLING TASK_KILLED");
}

static void test_agent_kill_of_the_unknown_is_answered(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_clear_log(s);
    say_kill(s, "nobody", "");
    AGENT_SIM_EXPECT(s, "AgentUpdate", "nobody", "TASK_GONE", "Task is unknown to the agent");
    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'exit 3'}");
    agent_sim_clear_log(s);
    say_kill(s, "t1", "");
    AGENT_SIM_EXPECT(s, "AgentUpdate", "TASK_FAILED", "has ended before");
}

static void test_agent_kill_by_uuid_spares_a_namesake(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'x'}");
    say_kill(s, "t1", ", 'launch_uuid': 'AgICAgICAgICAgICAgICAg=='");
    assert_int_equal(agent_sim_process(s, 1)->n_kills, 0);
    say_kill(s, "t1", ", 'launch_uuid': 'AQEBAQEBAQEBAQEBAQEBAQ=='");
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_KILLING TASK_KILLED");
}

static void test_agent_ends_a_task_at_its_time_limit(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch_more(s, "f1", "t1", 1, "{'value': 'x'}",
                          ", 'max_completion_time': {'nanoseconds': 5000000000}");
    agent_sim_pass(s, 4999);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING");
    agent_sim_clear_log(s);
    agent_sim_pass(s, 1);
    AGENT_SIM_EXPECT(s, "signal 01 9", "TASK_FAILED", "REASON_MAX_COMPLETION_TIME_REACHED");
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_FAILED");
    agent_sim_launch_more(s, "f1", "t2", 2, "{'value': 'x'}",
                          ", 'max_completion_time': {'nanoseconds': 5000000000}");
    agent_sim_pass(s, 3000);
    agent_sim_kill(s);
    agent_sim_start(s);
    agent_sim_master_up(s, 1);
    agent_sim_pass(s, 2000);
    assert_string_equal(agent_sim_states(s, 2), "TASK_RUNNING TASK_FAILED");
}

/* The framework is gone: its tasks end, nobody is told, nothing of it stays but history. */
static void test_agent_teardown_ends_all_tasks(void **state)
{
    struct agent_sim *s = *state;
    struct pf_agent_stats stats;

    s->acknowledges = false;
    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'x'}");
    agent_sim_launch(s, "f1", "t2", 2, "{'value': 'stubborn'}");
    agent_sim_launch(s, "f1", "t3", 3, "{'value': 'exit 1'}");
    agent_sim_launch(s, "f2", "t1", 4, "{'value': 'x'}");
    agent_sim_say(s, "{'AgentTeardown': {'framework_id': 'f1'}}");
    assert_int_equal(agent_sim_rows(s, AgentTable_FRAMEWORKS), 2);
    agent_sim_kill(s);
    agent_sim_start(s);
    agent_sim_master_up(s, 1);
    agent_sim_pass(s, 5000);
    agent_sim_stats(s, &stats);
    assert_int_equal(stats.n_tasks_live, 1);
    assert_int_equal(stats.n_updates_pending, 1);
    assert_int_equal(agent_sim_process(s, 2)->last_signal, 9);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING");
    assert_string_equal(agent_sim_states(s, 2), "TASK_RUNNING");
    assert_int_equal(agent_sim_rows(s, AgentTable_FRAMEWORKS), 1);
    assert_int_equal(agent_sim_rows(s, AgentTable_UPDATES), 1);
    agent_sim_say(s, "{'AgentTeardown': {'framework_id': 'nobody'}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_agent_kill_sends_sigterm, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_kill_follows_with_sigkill, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_kill_takes_the_nearest_grace, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_kill_again_only_shortens, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_kill_repeats_sigkill, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_kill_before_the_start, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_kill_while_the_launcher_is_away, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_agent_kill_of_a_lost_start, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_kill_while_it_starts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_kill_survives_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_kill_of_the_unknown_is_answered, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_agent_kill_by_uuid_spares_a_namesake, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_ends_a_task_at_its_time_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_teardown_ends_all_tasks, setup, teardown),
    };

    return cmocka_run_group_tests_name("agent_kill", tests, NULL, NULL);
}
