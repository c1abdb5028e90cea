/* SPDX-License-Identifier: Apache-2.0 */
/* Health checks and checks of tasks: when they ask, what counts, what is told, and how they live
 * through kills, lost launchers and restarts of the agent. */
#include "tests/support/agent_sim.h"

#define HTTP_CHECK                                                                                 \
    ", 'health_check': {'type': 'HTTP', 'http': {'port': 8080, 'path': '/ok'}, "                   \
    "'delay_seconds': 2, 'interval_seconds': 5, 'timeout_seconds': 3, "                            \
    "'grace_period_seconds': 10, 'consecutive_failures': 2}"

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

static uint32_t count_log(struct agent_sim *s, const char *text)
{
    const char *at = pf_buf_cstr(&s->log);
    uint32_t n = 0;

    while ((at = strstr(at, text)) != NULL) {
        n++;
        at += strlen(text);
    }
    return n;
}

/* The first answer after the delay makes it healthy; that is told once, and in every later update.
 */
static void test_agent_health_is_told_when_it_changes(void **state)
{
    struct agent_sim *s = *state;

    s->answer = 200;
    agent_sim_launch_more(s, "f1", "t1", 1, "{'value': 'x'}", HTTP_CHECK);
    agent_sim_pass(s, 1999);
    assert_int_equal(count_log(s, "check http"), 0);
    agent_sim_pass(s, 1);
    AGENT_SIM_EXPECT(s, "check http port 8080 /ok within 3000",
                     "\"reason\":\"REASON_TASK_HEALTH_CHECK_STATUS_UPDATED\"", "\"healthy\":true");
    agent_sim_pass(s, 20000);
    assert_int_equal(count_log(s, "check http"), 4);
    assert_int_equal(count_log(s, "REASON_TASK_HEALTH_CHECK"), 0);
    agent_sim_exit(s, 1, 0);
    AGENT_SIM_EXPECT(s, "TASK_FINISHED", "\"healthy\":true");
    agent_sim_pass(s, 60000);
    assert_int_equal(count_log(s, "check http"), 0);
}

/* 200 to 399 are good answers, unless the check lists its own. */
static void test_agent_health_judges_statuses(void **state)
{
    struct agent_sim *s = *state;

    s->answer = 399;
    agent_sim_launch_more(s, "f1", "t1", 1, "{'value': 'x'}", HTTP_CHECK);
    agent_sim_pass(s, 2000);
    AGENT_SIM_EXPECT(s, "\"healthy\":true");
    agent_sim_pass(s, 10000);
    s->answer = 400;
    agent_sim_pass(s, 5000);
    AGENT_SIM_EXPECT(s, "Health check failed: HTTP port 8080 /ok answered 400",
                     "\"healthy\":false");
    agent_sim_launch_more(s, "f1", "t2", 2, "{'value': 'x'}",
                          ", 'health_check': {'type': 'HTTP', 'delay_seconds': 0, 'http': {'port': "
                          "81, 'scheme': 'https', 'protocol': 'IPv6', 'statuses': [400, 500]}}");
    agent_sim_pass(s, 1);
    AGENT_SIM_EXPECT(s, "check https ipv6 port 81 / within 20000", "\"healthy\":true");
}

/* Until the first success failures do not count while the grace lasts; then so many in a row kill,
 * with the task's own grace. The end says which check and why. */
static void test_agent_health_kills_after_grace(void **state)
{
    struct agent_sim *s = *state;

    s->answer = -1;
    agent_sim_launch_more(s, "f1", "t1", 1, "{'value': 'stubborn'}", HTTP_CHECK);
    agent_sim_pass(s, 11999); /* asked at 2 s and 7 s */
    assert_int_equal(count_log(s, "REASON_TASK_HEALTH_CHECK"), 0);
    agent_sim_pass(s, 1);
    AGENT_SIM_EXPECT(s, "Health check failed: HTTP port 8080 /ok: Connection refused",
                     "\"healthy\":false");
    agent_sim_pass(s, 4999);
    assert_int_equal(agent_sim_process(s, 1)->n_kills, 0);
    agent_sim_pass(s, 1);
    assert_int_equal(agent_sim_process(s, 1)->last_signal, 15);
    agent_sim_pass(s, 3000);
    AGENT_SIM_EXPECT(s, "signal 01 15", "signal 01 9", "TASK_KILLED",
                     "Health check failed 2 times: HTTP port 8080 /ok: Connection refused "
                     "(Command terminated with signal Killed)",
                     "\"healthy\":false");
    assert_string_equal(agent_sim_states(s, 1),
                        "TASK_RUNNING TASK_RUNNING TASK_KILLING TASK_KILLED");
}

/* A success in between starts the count anew, and ends the grace. */
static void test_agent_health_counts_consecutive_failures(void **state)
{
    struct agent_sim *s = *state;

    s->answer = 200;
    agent_sim_launch_more(s, "f1", "t1", 1, "{'value': 'x'}", HTTP_CHECK);
    agent_sim_pass(s, 2000);
    for (int i = 0; i < 3; i++) {
        s->answer = 500;
        agent_sim_pass(s, 5000);
        s->answer = 200;
        agent_sim_pass(s, 5000);
    }
    assert_string_equal(agent_sim_states(s, 1),
                        "TASK_RUNNING TASK_RUNNING TASK_RUNNING TASK_RUNNING TASK_RUNNING "
                        "TASK_RUNNING TASK_RUNNING TASK_RUNNING");
    assert_int_equal(agent_sim_process(s, 1)->n_kills, 0);
}

/* No answer at all is a failure when the time-out has passed; a late one counts no more. */
static void test_agent_health_times_out(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch_more(s, "f1", "t1", 1, "{'value': 'x'}",
                          ", 'health_check': {'type': 'TCP', 'tcp': {'port': 9}, 'delay_seconds': "
                          "1, 'timeout_seconds': 4, 'grace_period_seconds': 0}");
    agent_sim_pass(s, 5000);
    AGENT_SIM_EXPECT(s, "check tcp port 9 / within 4000",
                     "Health check failed: TCP port 9: nothing within 4 s", "\"healthy\":false");
    s->answer = 1;
    agent_sim_pass(s, 10000);
    AGENT_SIM_EXPECT(s, "check tcp", "\"healthy\":true");
}

/* A command runs beside the task: its container, its environment and its own; what it is ended with
 * counts. One that takes too long is killed, and the next one waits for its end. */
static void test_agent_health_command(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch_more(
        s, "f1", "t1", 1,
        "{'value': 'x', 'environment': {'variables': [{'name': 'A', 'value': 'of-task'}, "
        "{'name': 'B', 'value': 'of-task'}]}}",
        ", 'health_check': {'type': 'COMMAND', 'delay_seconds': 0, 'timeout_seconds': 4, "
        "'grace_period_seconds': 0, 'consecutive_failures': 9, 'command': {'value': 'probe', "
        "'environment': {'variables': [{'name': 'B', 'value': 'of-check'}]}}}");
    agent_sim_pass(s, 1);
    AGENT_SIM_EXPECT(s, "beside 01 start ", "path=/bin/sh", "[probe]", "MESOS_TASK_ID=t1",
                     "A=of-task", "B=of-check");
    struct sim_process *p = agent_sim_beside(s);

    assert_int_equal(p->state, LauncherState_RUNNING);
    p->ignores_term = true;
    agent_sim_pass(s, 4000);
    AGENT_SIM_EXPECT(s, " 9\n", "command `probe`: nothing within 4 s", "forget");
    assert_true(p->forgotten);
    agent_sim_pass(s, 9998);
    assert_ptr_equal(agent_sim_beside(s), p);
    agent_sim_pass(s, 2);
    assert_ptr_not_equal(agent_sim_beside(s), p);
    agent_sim_exit(s, 1, 0);
    assert_int_equal(agent_sim_beside(s)->last_signal, 9);
    assert_true(agent_sim_beside(s)->forgotten);
}

static void test_agent_health_command_status(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch_more(s, "f1", "t1", 1, "{'value': 'x'}",
                          ", 'health_check': {'type': 'COMMAND', 'delay_seconds': 0, "
                          "'grace_period_seconds': 0, 'consecutive_failures': 1, 'command': "
                          "{'value': 'exit 7'}}");
    agent_sim_pass(s, 1);
    AGENT_SIM_EXPECT(s, "Health check failed: command `exit 7` exited with status 7",
                     "signal 01 15", "TASK_KILLED",
                     "Health check failed 1 time: command `exit 7` exited with status 7 (Command");
}

/* Every update of a checked task has a check_status; a new value is told, a failure kills nobody.
 */
static void test_agent_check_reports_only(void **state)
{
    struct agent_sim *s = *state;

    s->answer = 503;
    agent_sim_launch_more(s, "f1", "t1", 1, "{'value': 'x'}",
                          ", 'check': {'type': 'HTTP', 'http': {'port': 8080}, "
                          "'delay_seconds': 1, 'interval_seconds': 1}");
    AGENT_SIM_EXPECT(s, "TASK_RUNNING", "\"check_status\":{\"type\":\"HTTP\",\"http\":{}}");
    agent_sim_pass(s, 10000);
    AGENT_SIM_EXPECT(s, "REASON_TASK_CHECK_STATUS_UPDATED", "\"status_code\":503");
    s->answer = 200;
    agent_sim_pass(s, 1000);
    AGENT_SIM_EXPECT(s, "REASON_TASK_CHECK_STATUS_UPDATED", "\"status_code\":200");
    s->answer = -1;
    agent_sim_pass(s, 1000);
    AGENT_SIM_EXPECT(s, "REASON_TASK_CHECK_STATUS_UPDATED", "\"http\":{}");
    assert_string_equal(agent_sim_states(s, 1),
                        "TASK_RUNNING TASK_RUNNING TASK_RUNNING TASK_RUNNING");
    assert_int_equal(agent_sim_process(s, 1)->n_kills, 0);
}

static void test_agent_check_by_tcp_and_command(void **state)
{
    struct agent_sim *s = *state;

    s->answer = -1;
    agent_sim_launch_more(s, "f1", "t1", 1, "{'value': 'x'}",
                          ", 'check': {'type': 'TCP', 'tcp': {'port': 7}, 'delay_seconds': 1}");
    agent_sim_pass(s, 1000);
    AGENT_SIM_EXPECT(s, "\"tcp\":{\"succeeded\":false}");
    agent_sim_launch_more(s, "f1", "t2", 2, "{'value': 'x'}",
                          ", 'check': {'type': 'COMMAND', 'command': {'command': {'value': 'exit "
                          "3'}}, 'delay_seconds': 1}");
    agent_sim_pass(s, 1000);
    AGENT_SIM_EXPECT(s, "\"command\":{\"exit_code\":3}");
}

/* A kill ends the checks: no update of theirs comes between it and the end. */
static void test_agent_checks_end_with_a_kill(void **state)
{
    struct agent_sim *s = *state;

    s->answer = 200;
    agent_sim_launch_more(s, "f1", "t1", 1, "{'value': 'stubborn'}", HTTP_CHECK);
    agent_sim_pass(s, 2000);
    agent_sim_say(s, "{'AgentKill': {'framework_id': 'f1', 'task_id': 't1', 'grace_ms': 60000}}");
    agent_sim_clear_log(s);
    s->answer = 500;
    agent_sim_pass(s, 59000);
    assert_int_equal(count_log(s, "check http"), 0);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_RUNNING TASK_KILLING");
}

/* Without a launcher nothing is asked; with it again, at once, and a command that it does not know
 * is asked again. */
static void test_agent_checks_rest_without_a_launcher(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch_more(s, "f1", "t1", 1, "{'value': 'x'}",
                          ", 'health_check': {'type': 'COMMAND', 'delay_seconds': 1, "
                          "'command': {'value': 'probe'}}");
    agent_sim_pass(s, 1000);
    struct sim_process *p = agent_sim_beside(s);

    assert_non_null(p);
    agent_sim_launcher_down(s);
    agent_sim_pass(s, 60000);
    assert_int_equal(p->n_kills, 0);
    p->forgotten = true; /* as if its start was lost */
    agent_sim_launcher_up(s, "l1");
    agent_sim_pass(s, 1);
    assert_ptr_not_equal(agent_sim_beside(s), p);
    assert_int_equal(agent_sim_beside(s)->state, LauncherState_RUNNING);
    assert_int_equal(count_log(s, "Health check failed"), 0);
}

/* After a restart of the agent a check begins at once, what was told is known, a command of the
 * life before is killed and forgotten, and the grace still counts from the start of the task. */
static void test_agent_checks_begin_again_after_a_restart(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch_more(s, "f1", "t1", 1, "{'value': 'x'}",
                          ", 'health_check': {'type': 'COMMAND', 'delay_seconds': 1, "
                          "'grace_period_seconds': 10, 'consecutive_failures': 1, 'command': "
                          "{'value': 'probe'}}, 'check': {'type': 'HTTP', 'http': {'port': 1}, "
                          "'delay_seconds': 1, 'interval_seconds': 1}");
    s->answer = 204;
    agent_sim_pass(s, 1000);
    struct sim_process *p = agent_sim_beside(s);

    agent_sim_kill(s);
    s->now_ms += 11000;
    s->wall_ms += 11000;
    agent_sim_clear_log(s);
    agent_sim_start(s);
    agent_sim_master_up(s, 1);
    assert_int_equal(p->last_signal, 9);
    assert_true(p->forgotten);
    agent_sim_pass(s, 1);
    assert_ptr_not_equal(agent_sim_beside(s), p);
    assert_int_equal(count_log(s, "check http"), 1);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_RUNNING");
    agent_sim_pass(s, 25000); /* it takes too long, and the grace is over */
    AGENT_SIM_EXPECT(s, "Health check failed", "\"status_code\":204", "TASK_KILLED");
}

/* A flapping check of a framework that acknowledges nothing cannot fill the memory. */
static void test_agent_checks_wait_for_acknowledgements(void **state)
{
    struct agent_sim *s = *state;
    struct pf_agent_stats stats;

    s->acknowledges = false;
    agent_sim_launch_more(s, "f1", "t1", 1, "{'value': 'x'}",
                          ", 'check': {'type': 'HTTP', 'http': {'port': 1}, 'delay_seconds': 0, "
                          "'interval_seconds': 1}");
    for (int i = 0; i < 100; i++) {
        s->answer = 200 + i;
        agent_sim_pass(s, 1000);
    }
    agent_sim_stats(s, &stats);
    assert_int_equal(stats.n_updates_pending, 16);
}

static void expect_invalid(struct agent_sim *s, uint8_t n, const char *more, const char *text)
{
    char id[8];

    (void)snprintf(id, sizeof id, "r%d", n);
    agent_sim_clear_log(s);
    agent_sim_launch_more(s, "f1", id, n, "{'value': 'x'}", more);
    assert_string_equal(agent_sim_states(s, n), "TASK_ERROR");
    AGENT_SIM_EXPECT(s, text);
}

static void test_agent_refuses_invalid_checks(void **state)
{
    struct agent_sim *s = *state;

    expect_invalid(s, 1, ", 'health_check': {'http': {'port': 1}}", "has no type");
    expect_invalid(s, 2, ", 'health_check': {'type': 'HTTP'}", "needs a port");
    expect_invalid(s, 3, ", 'health_check': {'type': 'TCP', 'tcp': {'port': 65536}}",
                   "needs a port");
    expect_invalid(s, 4, ", 'health_check': {'type': 'COMMAND'}", "names no command");
    expect_invalid(s, 5, ", 'check': {'type': 'COMMAND', 'command': {'command': {}}}",
                   "no usable value");
    expect_invalid(s, 6, ", 'check': {'type': 'HTTP', 'http': {'port': 1, 'path': 'x'}}",
                   "begin with '/'");
    expect_invalid(s, 7, ", 'check': {'type': 'HTTP', 'http': {'port': 1, 'path': '/a b'}}",
                   "space");
    expect_invalid(s, 8, ", 'check': {'type': 'TCP', 'tcp': {'port': 1}, 'interval_seconds': -1}",
                   "within 0 s and 30 days");
    expect_invalid(s, 9, ", 'health_check': {'type': 'HTTP', 'http': {'port': 1, 'scheme': 'ftp'}}",
                   "neither http nor https");
    expect_invalid(s, 10, ", 'check': {}", "has no type");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_agent_health_is_told_when_it_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_health_judges_statuses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_health_kills_after_grace, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_health_counts_consecutive_failures, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_agent_health_times_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_health_command, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_health_command_status, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_check_reports_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_check_by_tcp_and_command, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_checks_end_with_a_kill, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_checks_rest_without_a_launcher, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_checks_begin_again_after_a_restart, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_agent_checks_wait_for_acknowledgements, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_agent_refuses_invalid_checks, setup, teardown),
    };

    return cmocka_run_group_tests_name("agent_checks", tests, NULL, NULL);
}
