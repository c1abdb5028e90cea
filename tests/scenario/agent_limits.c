/* SPDX-License-Identifier: Apache-2.0 */
/* What a task may use, and what is said when that was not enough: limits, memory, rlimits,
 * terminals, the time limit, the environment. */
#include "tests/support/agent_sim_internal.h"

#define RESOURCES(cpus, mem)                                                                       \
    ", 'resources': [{'name': 'cpus', 'type': 'SCALAR', 'scalar': {'value': " cpus                 \
    "}}, {'name': 'mem', 'type': 'SCALAR', 'scalar': {'value': " mem "}}]"

static int setup(void **state)
{
    struct agent_sim *s = agent_sim_create();

    s->options.task_pids_max = 100;
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

static void expect_limits(struct agent_sim *s, uint8_t n, const char *more, const char *limits)
{
    char id[8];

    (void)snprintf(id, sizeof id, "t%d", n);
    agent_sim_clear_log(s);
    agent_sim_launch_more(s, "f1", id, n, "{'value': 'exit 0'}", more);
    AGENT_SIM_EXPECT(s, "sandbox", limits, "TASK_RUNNING");
}

/* Shares follow the request; a hard quota stands only with a limit; memory has a floor. */
static void test_agent_limits_follow_requests(void **state)
{
    struct agent_sim *s = *state;

    expect_limits(s, 1, RESOURCES("2", "64"), "shares=2048 quota=0 memory=67108864 pids=100");
    expect_limits(s, 2, RESOURCES("0.001", "1"), "shares=2 quota=0 memory=33554432 pids=100");
    expect_limits(s, 3,
                  RESOURCES("0.5", "64") ", 'limits': {'cpus': {'value': 1.5}, 'mem': {'value': "
                                         "128}}",
                  "shares=512 quota=150000 memory=134217728 pids=100");
    expect_limits(s, 4,
                  RESOURCES("0.5", "64") ", 'limits': {'cpus': {'value': 'Infinity'}, 'mem': "
                                         "{'value': 'Infinity'}}",
                  "shares=512 quota=0 memory=0 pids=100");
}

/* So many processes that the memory could hold them, and no more than the agent allows. */
static void test_agent_limits_processes_by_memory(void **state)
{
    struct agent_sim *s = agent_sim_create();

    (void)state;
    s->options.task_pids_max = 4096;
    agent_sim_start(s);
    agent_sim_master_up(s, 1);
    expect_limits(s, 1, RESOURCES("1", "64"), "memory=67108864 pids=512");
    expect_limits(s, 2, RESOURCES("1", "1"), "memory=33554432 pids=256");
    expect_limits(s, 3, RESOURCES("1", "1024"), "memory=1073741824 pids=4096");
    agent_sim_destroy(s);
}

static void test_agent_limits_cpus_hard_when_told(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_kill(s);
    s->options.limits_cpu_hard = true;
    agent_sim_start(s);
    agent_sim_master_up(s, 1);
    expect_limits(s, 1, RESOURCES("1.25", "64"), "shares=1280 quota=125000");
    expect_limits(s, 2, RESOURCES("0.001", "64"), "shares=2 quota=1000");
    expect_limits(s, 3, RESOURCES("1", "64") ", 'limits': {'cpus': {'value': 'Infinity'}}",
                  "shares=1024 quota=0");
}

/* The kernel killed it: the reason, both numbers and the limitation are told, and the peak is kept.
 */
static void test_agent_tells_that_memory_ran_out(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch_more(s, "f1", "t1", 1, "{'value': 'x'}", RESOURCES("1", "64"));
    agent_sim_clear_log(s);
    s->acknowledges = false;
    agent_sim_exit_oom(s, 1, 9, 1, 67100672);
    AGENT_SIM_EXPECT(s, "TASK_FAILED",
                     "Memory limit exceeded: Requested: 64MB Maximum Used: 64MB (1 process was "
                     "killed; Command terminated with signal Killed)",
                     "SOURCE_AGENT", "REASON_CONTAINER_LIMITATION_MEMORY",
                     "\"limitation\":{\"resources\":[{\"name\":\"mem\",\"type\":\"SCALAR\","
                     "\"scalar\":{\"value\":64.0}}]}",
                     "\"signal\":9");
    agent_sim_kill(s);
    agent_sim_start(s);
    agent_sim_master_up(s, 1);
    AGENT_SIM_EXPECT(s, "AgentTasks", "\"memory_peak_bytes\":67100672");
}

/* A descendant was its victim: it is the reason of a failure, and is told of a success. A kill that
 * was asked for stays one. */
static void test_agent_tells_of_killed_descendants(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch_more(s, "f1", "t1", 1, "{'value': 'x'}", RESOURCES("1", "64"));
    agent_sim_exit_oom(s, 1, 137 << 8, 3, 60 << 20);
    AGENT_SIM_EXPECT(s, "TASK_FAILED", "Memory limit exceeded", "3 processes were killed",
                     "Command exited with status 137", "\"exit_status\":137");
    agent_sim_launch_more(s, "f1", "t2", 2, "{'value': 'x'}", RESOURCES("1", "64"));
    agent_sim_exit_oom(s, 2, 0, 1, 64 << 20);
    AGENT_SIM_EXPECT(s, "TASK_FINISHED",
                     "Command exited with status 0 (1 process was killed for lack of memory");
    agent_sim_launch_more(s, "f1", "t3", 3, "{'value': 'stubborn'}", RESOURCES("1", "64"));
    agent_sim_say(s, "{'AgentKill': {'framework_id': 'f1', 'task_id': 't3'}}");
    agent_sim_clear_log(s);
    agent_sim_exit_oom(s, 3, 9, 1, 64 << 20);
    AGENT_SIM_EXPECT(s, "TASK_KILLED", "killed for lack of memory");
    assert_null(strstr(pf_buf_cstr(&s->log), "REASON_CONTAINER_LIMITATION"));
}

static void test_agent_passes_rlimits_and_terminal(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch_more(
        s, "f1", "t1", 1, "{'value': 'x'}",
        ", 'container': {'type': 'MESOS', 'rlimit_info': {'rlimits': [{'type': 'RLMT_NOFILE', "
        "'soft': 100, 'hard': 200}, {'type': 'RLMT_CORE'}]}, 'tty_info': {'window_size': {'rows': "
        "25, 'columns': 81}}}");
    AGENT_SIM_EXPECT(s, "start 01", "stdin=1 terminal=81x25 rlimit7=100/200",
                     "rlimit4=18446744073709551615/18446744073709551615");
}

#define WITH_EXECUTOR                                                                              \
    RESOURCES("1", "64")                                                                           \
    ", 'executor': {'executor_id': {'value': 'e1'}, 'command': {'value': 'x'}, 'resources': "      \
    "[{'name': 'cpus', 'type': 'SCALAR', 'scalar': {'value': 0.5}}, {'name': 'mem', 'type': "      \
    "'SCALAR', 'scalar': {'value': 32}}]}"

/* An executor's container holds what it and its tasks ask for; its want of memory ends them all. */
static void test_agent_limits_an_executor_with_its_tasks(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch_more(s, "f1", "t1", 1, "null", WITH_EXECUTOR);
    AGENT_SIM_EXPECT(s, "sandbox", "shares=1536 quota=0 memory=100663296 pids=100", "start");
    agent_sim_launch_more(s, "f1", "t2", 2, "null", WITH_EXECUTOR);
    AGENT_SIM_EXPECT(s, "limit", "shares=2560 quota=0 memory=167772160 pids=100");
    assert_int_equal(s->processes.len, 1);
    struct sim_process *p = s->processes.at[0];

    p->oom_kills = 1;
    p->memory_peak_bytes = 160 << 20;
    sim_process_exit(s, p, 9);
    agent_sim_run(s);
    AGENT_SIM_EXPECT(s, "TASK_FAILED",
                     "Memory limit exceeded: Requested: 160MB Maximum Used: 160MB",
                     "REASON_CONTAINER_LIMITATION_MEMORY", "\"limitation\"", "TASK_FAILED",
                     "Memory limit exceeded", "ended");
    assert_string_equal(agent_sim_states(s, 1), "TASK_FAILED");
    assert_string_equal(agent_sim_states(s, 2), "TASK_FAILED");
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

static void expect_bad_rlimit(struct agent_sim *s, uint8_t n, const char *rlimits, const char *text)
{
    char more[300];

    (void)snprintf(more, sizeof more,
                   ", 'container': {'type': 'MESOS', 'rlimit_info': {'rlimits': [%s]}}", rlimits);
    expect_invalid(s, n, more, text);
}

static void test_agent_refuses_invalid_limits(void **state)
{
    struct agent_sim *s = *state;

    expect_bad_rlimit(s, 1, "{}", "no known type");
    expect_bad_rlimit(s, 2, "{'type': 'RLMT_AS', 'soft': 1}", "neither");
    expect_bad_rlimit(s, 3, "{'type': 'RLMT_AS', 'soft': 2, 'hard': 1}", "above its hard");
    expect_bad_rlimit(s, 4, "{'type': 'RLMT_AS'}, {'type': 'RLMT_AS'}", "twice");
    expect_invalid(s, 5, ", 'limits': {'disk': {'value': 1}}", "cpus and mem only");
    expect_invalid(s, 6, ", 'limits': {'cpus': {'value': 0.5}}", "below what the task requests");
    expect_invalid(s, 7, ", 'limits': {'mem': {'value': 'NaN'}}", "not an amount");
    expect_invalid(s, 8, ", 'limits': {'mem': {'value': -1}}", "not an amount");
}

static void test_agent_names_the_time_limit(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch_more(s, "f1", "t1", 1, "{'value': 'x'}",
                          ", 'max_completion_time': {'nanoseconds': 5000000000}");
    agent_sim_pass(s, 5000);
    AGENT_SIM_EXPECT(s, "TASK_FAILED",
                     "Command terminated with signal Killed (it ran longer than 5 s)",
                     "REASON_MAX_COMPLETION_TIME_REACHED");
}

/* What Mesos gives to its executors, and their tasks inherit. */
static void test_agent_environment_is_complete(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch(s, "f1", "t1", 1,
                     "{'value': 'x', 'environment': {'variables': [{'name': 'PATH', 'value': "
                     "'/mine'}]}}");
    AGENT_SIM_EXPECT(s, " PATH=/mine ", "HOME=/w/sandboxes/f1/t1", "MESOS_FRAMEWORK_ID=f1",
                     "MESOS_EXECUTOR_ID=t1", "MESOS_DIRECTORY=/w/sandboxes", "MESOS_SANDBOX=/w/",
                     "MESOS_SLAVE_ID=", "MESOS_AGENT_ENDPOINT=127.0.0.1:5051",
                     "MESOS_SLAVE_PID=slave(1)@127.0.0.1:5051", "MESOS_CHECKPOINT=1",
                     "MESOS_HTTP_COMMAND_EXECUTOR=0", "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD=5secs",
                     "MESOS_RECOVERY_TIMEOUT=15mins", "MESOS_SUBSCRIPTION_BACKOFF_MAX=2secs",
                     "LIBPROCESS_PORT=0", "PROFFER_FRAMEWORK_ID=f1", "PROFFER_HOSTNAME=h1",
                     "PROFFER_TASK_ID=t1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_agent_limits_follow_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_limits_processes_by_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_limits_cpus_hard_when_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_tells_that_memory_ran_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_tells_of_killed_descendants, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_limits_an_executor_with_its_tasks, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_agent_passes_rlimits_and_terminal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_refuses_invalid_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_names_the_time_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_environment_is_complete, setup, teardown),
    };

    return cmocka_run_group_tests_name("agent_limits", tests, NULL, NULL);
}
