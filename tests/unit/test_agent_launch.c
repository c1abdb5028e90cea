/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's core from registration to the end of a task: what is accepted, how it starts, what is
 * told of its end. */
#include "tests/support/agent_sim.h"

#include <errno.h>
#include "common/base/limits.h"

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

/* The whole path: rows, sandbox, start, RUNNING, end, acknowledgements; then only history. */
static void test_agent_runs_a_task(void **state)
{
    struct agent_sim *s = *state;
    struct pf_agent_stats stats;

    agent_sim_clear_log(s);
    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'sleep 5'}");
    AGENT_SIM_EXPECT(s, "sandbox 01 /w/sandboxes/f1/t1.01010101-0101-",
                     "start 01 path=/bin/sh", "[sh] [-c] [sleep 5]", "AgentUpdate", "TASK_RUNNING");
    agent_sim_stats(s, &stats);
    assert_int_equal(stats.n_tasks_live, 1);
    agent_sim_exit(s, 1, 0);
    AGENT_SIM_EXPECT(s, "TASK_FINISHED", "Command exited with status 0", "forget 01",
                     "ended 01 /w/sandboxes/");
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_FINISHED");
    agent_sim_stats(s, &stats);
    assert_int_equal(stats.n_tasks_live, 0);
    assert_int_equal(stats.n_tasks_ended, 1);
    assert_int_equal(stats.n_updates_pending, 0);
    assert_int_equal(agent_sim_rows(s, AgentTable_UPDATES), 0);
    assert_int_equal(agent_sim_rows(s, AgentTable_TASKS), 1);
    assert_int_equal(agent_sim_rows(s, AgentTable_FRAMEWORKS), 0);
}

static void expect_end(struct agent_sim *s, uint8_t n, int32_t wait_status, const char *state,
                       const char *message, const char *more)
{
    char id[16];

    (void)snprintf(id, sizeof id, "t%d", n);
    agent_sim_launch(s, "f1", id, n, "{'value': 'x'}");
    agent_sim_clear_log(s);
    agent_sim_exit(s, n, wait_status);
    const char *log = pf_buf_cstr(&s->log);
    assert_non_null(strstr(log, state));
    assert_non_null(strstr(log, message));
    assert_non_null(strstr(log, more));
}

static void test_agent_tells_the_exit(void **state)
{
    struct agent_sim *s = *state;

    expect_end(s, 1, 3 << 8, "\"TASK_FAILED\"", "Command exited with status 3",
               "\"exit_status\":3");
    expect_end(s, 2, 9, "\"TASK_FAILED\"", "Command terminated with signal Killed\"",
               "\"signal\":9");
    expect_end(s, 3, 11 | 0x80, "\"TASK_FAILED\"",
               "Command terminated with signal Segmentation fault (core dumped)", "\"signal\":11");
    expect_end(s, 4, 40, "\"TASK_FAILED\"", "signal Real-time signal 6", "\"signal\":40");
    expect_end(s, 5, 0, "\"TASK_FINISHED\"", "Command exited with status 0", "\"exit_status\":0");
    expect_end(s, 6, -1, "\"TASK_FAILED\"", "exit status unknown", "REASON_EXECUTOR_TERMINATED");
}

static void test_agent_tells_a_command_that_cannot_run(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch(s, "f1", "t1", 1, "{'shell': false, 'value': 'nosuch'}");
    AGENT_SIM_EXPECT(s, "Cannot execute nosuch: No such file or directory", "\"exit_status\":127");
    assert_string_equal(agent_sim_states(s, 1), "TASK_FAILED");
    s->sandbox_error = ENOSPC;
    s->sandbox_stage = "mkdir";
    agent_sim_launch(s, "f1", "t2", 2, "{'value': 'x'}");
    AGENT_SIM_EXPECT(s, "Cannot make the sandbox (mkdir): No space left on device",
                     "REASON_CONTAINER_LAUNCH_FAILED");
    s->sandbox_error = ENOENT;
    s->sandbox_stage = "user";
    agent_sim_launch(s, "f1", "t3", 3, "{'value': 'x'}");
    AGENT_SIM_EXPECT(s, "User  does not exist");
    assert_null(agent_sim_process(s, 3));
}

/* A launch that is said twice starts once. */
static void test_agent_ignores_a_repeated_launch(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'x'}");
    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'x'}");
    assert_int_equal(agent_sim_process(s, 1)->n_starts, 1);
    agent_sim_exit(s, 1, 0);
    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'x'}");
    assert_int_equal(agent_sim_process(s, 1)->n_starts, 1);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_FINISHED");
}

/* Two launches of one task id: the later one is ended under its own uuid. */
static void test_agent_drops_a_twin(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'x'}");
    agent_sim_launch(s, "f1", "t1", 2, "{'value': 'x'}");
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING");
    assert_string_equal(agent_sim_states(s, 2), "TASK_DROPPED");
    assert_null(agent_sim_process(s, 2));
    agent_sim_launch(s, "f2", "t1", 3, "{'value': 'x'}");
    assert_string_equal(agent_sim_states(s, 3), "TASK_RUNNING");
    agent_sim_exit(s, 1, 0);
    agent_sim_launch(s, "f1", "t1", 4, "{'value': 'x'}");
    assert_string_equal(agent_sim_states(s, 4), "TASK_RUNNING");
}

static void expect_refused(struct agent_sim *s, uint8_t n, const char *command, const char *more,
                           const char *state, const char *message)
{
    char id[16];

    (void)snprintf(id, sizeof id, "r%d", n);
    agent_sim_clear_log(s);
    agent_sim_launch_more(s, "f1", id, n, command, more);
    assert_string_equal(agent_sim_states(s, n), state);
    if (!strstr(pf_buf_cstr(&s->log), message)) {
        fail_msg("no %s in %s", message, pf_buf_cstr(&s->log));
    }
    assert_null(agent_sim_process(s, n));
}

static void test_agent_refuses_what_it_cannot_run(void **state)
{
    struct agent_sim *s = *state;
    struct pf_agent_stats stats;

    expect_refused(s, 1, "{}", "", "TASK_ERROR", "no value");
    expect_refused(s, 2, "{'value': 'x', 'uris': [{'value': ''}]}", "", "TASK_ERROR", "URI");
    expect_refused(s, 3, "{'value': 'x'}", ", 'executor': {'executor_id': {'value': 'e'}}",
                   "TASK_ERROR", "the executor has no command");
    expect_refused(s, 4, "{'value': 'x'}",
                   ", 'container': {'type': 'DOCKER', 'docker': {'image': 'i'}}", "TASK_ERROR",
                   "images");
    expect_refused(s, 5, "{'value': 'x'}",
                   ", 'resources': [{'name': 'cpus', 'type': 'SCALAR', 'scalar': {'value': 5}}]",
                   "TASK_DROPPED", "cpus is short");
    expect_refused(s, 6,
                   "{'value': 'x', 'environment': {'variables': [{'name': 'A=B', 'value': 'x'}]}}",
                   "", "TASK_ERROR", "environment");
    expect_refused(
        s, 7, "{'value': 'x', 'environment': {'variables': [{'name': 'A', 'type': 'SECRET'}]}}", "",
        "TASK_ERROR", "SECRET");
    expect_refused(s, 8, "{'shell': false, 'value': 'a\\u0000b'}", "", "TASK_ERROR", "NUL");
    expect_refused(s, 9, "{'value': 'x'}", ", 'agent_id': {'value': 'other'}", "TASK_DROPPED",
                   "another agent");
    agent_sim_stats(s, &stats);
    assert_int_equal(stats.refused, 9);
    assert_int_equal(stats.n_tasks_live, 0);
}

/* What names no task that could be told of is counted and left. */
static void test_agent_counts_unusable_launches(void **state)
{
    struct agent_sim *s = *state;
    struct pf_agent_stats stats;

    agent_sim_launch(s, "f1", "../../etc", 1, "{'value': 'x'}");
    agent_sim_launch(s, "f/1", "t1", 2, "{'value': 'x'}");
    agent_sim_say(
        s, "{'AgentLaunch': {'framework_id': 'f1', 'tasks': [{'launch_uuid': 'AAAA', "
           "'info': {'name': 'n', 'task_id': {'value': 't9'}, 'agent_id': {'value': ''}}}]}}");
    agent_sim_stats(s, &stats);
    assert_int_equal(stats.bad_messages, 3);
    assert_int_equal(stats.launches, 0);
    assert_int_equal(agent_sim_rows(s, AgentTable_TASKS), 0);
}

/* `n` arguments of `len` bytes each. */
static char *command_of_size(uint32_t n, uint32_t len)
{
    struct pf_buf text = {.limit = 0};

    pf_buf_add_cstr(&text, "{'shell': false, 'value': 'x', 'arguments': [");
    for (uint32_t i = 0; i < n; i++) {
        pf_buf_add_cstr(&text, i > 0 ? ", '" : "'");
        for (uint32_t k = 0; k < len; k++) {
            pf_buf_add_byte(&text, 'a');
        }
        pf_buf_add_byte(&text, '\'');
    }
    pf_buf_add_cstr(&text, "]}");
    char *out = pf_strdup(pf_buf_cstr(&text));
    pf_buf_fini(&text);
    return out;
}

static void expect_size(struct agent_sim *s, uint8_t n, uint32_t n_args, uint32_t len,
                        const char *state)
{
    char *command = command_of_size(n_args, len);
    char id[16];

    (void)snprintf(id, sizeof id, "s%d", n);
    agent_sim_launch(s, "f1", id, n, command);
    assert_string_equal(agent_sim_states(s, n), state);
    pf_free(command);
}

/* At each limit the command runs, above it it is refused. */
static void test_agent_bounds_commands(void **state)
{
    struct agent_sim *s = *state;

    expect_size(s, 1, PF_ARGS_MAX, 1, "TASK_RUNNING");
    expect_size(s, 2, PF_ARGS_MAX + 1, 1, "TASK_ERROR");
    expect_size(s, 3, 10, (PF_ENV_MAX_BYTES - 10000) / 10, "TASK_RUNNING");
    expect_size(s, 4, 10, PF_ENV_MAX_BYTES / 10 + 1, "TASK_ERROR");
}

/* Frameworks that come and go do not pile up. */
static void test_agent_bounds_idle_frameworks(void **state)
{
    struct agent_sim *s = *state;
    struct pf_agent_stats stats;

    for (uint32_t i = 0; i < 600; i++) {
        char body[500];
        (void)snprintf(body, sizeof body,
                       "{'AgentLaunch': {'framework_id': 'f%u', 'tasks': [{'launch_uuid': "
                       "'%08uAAAAAAAAAAAAAA==', 'info': {'name': 'n', 'task_id': {'value': 't'}, "
                       "'agent_id': {'value': ''}, 'command': {'value': 'exit 0'}}}]}}",
                       (unsigned)i, (unsigned)i);
        agent_sim_say(s, body); /* each step checks the bound */
    }
    agent_sim_stats(s, &stats);
    assert_int_equal(stats.launches, 600);
    assert_int_equal(stats.n_updates_pending, 0);
    assert_int_equal(agent_sim_rows(s, AgentTable_FRAMEWORKS), 0);
}

/* Ends must still fit on the disk. */
static void test_agent_refuses_launches_when_the_disk_is_full(void **state)
{
    struct agent_sim *s = *state;
    struct pf_agent_event ev = {.type = PF_AGENT_DISK, .free_bytes = 1 << 20};

    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'x'}");
    ev.now_ms = s->now_ms;
    ev.wall_ms = s->wall_ms;
    pf_agent_step(s->core, &ev, pf_turns_open(s->turns));
    expect_refused(s, 2, "{'value': 'x'}", "", "TASK_DROPPED", "disk is nearly full");
    agent_sim_exit(s, 1, 0);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_FINISHED");
    ev.free_bytes = UINT64_C(1) << 40;
    pf_agent_step(s->core, &ev, pf_turns_open(s->turns));
    agent_sim_launch(s, "f1", "t3", 3, "{'value': 'x'}");
    assert_string_equal(agent_sim_states(s, 3), "TASK_RUNNING");
}

/* Resources come back with the end, also of ports. */
static void test_agent_frees_resources_with_the_end(void **state)
{
    struct agent_sim *s = *state;
    const char *ports = ", 'resources': [{'name': 'ports', 'type': 'RANGES', 'ranges': {'range': "
                        "[{'begin': 31000, 'end': 31008}]}}]";

    agent_sim_launch_more(s, "f1", "t1", 1, "{'value': 'x'}", ports);
    agent_sim_launch_more(s, "f1", "t2", 2, "{'value': 'x'}", ports);
    assert_string_equal(agent_sim_states(s, 2), "TASK_DROPPED");
    agent_sim_exit(s, 1, 0);
    agent_sim_launch_more(s, "f1", "t3", 3, "{'value': 'x'}", ports);
    assert_string_equal(agent_sim_states(s, 3), "TASK_RUNNING");
}

/* Accepted launches wait for a launcher. */
static void test_agent_waits_for_the_launcher(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launcher_down(s);
    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'x'}");
    assert_null(agent_sim_process(s, 1));
    assert_int_equal(agent_sim_rows(s, AgentTable_TASKS), 1);
    agent_sim_launcher_up(s, "l1");
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING");
    assert_int_equal(agent_sim_process(s, 1)->n_starts, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_agent_runs_a_task, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_tells_the_exit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_tells_a_command_that_cannot_run, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_agent_ignores_a_repeated_launch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_drops_a_twin, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_refuses_what_it_cannot_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_counts_unusable_launches, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_bounds_commands, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_bounds_idle_frameworks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_refuses_launches_when_the_disk_is_full, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_agent_frees_resources_with_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_waits_for_the_launcher, setup, teardown),
    };

    return cmocka_run_group_tests_name("agent_launch", tests, NULL, NULL);
}
