/* SPDX-License-Identifier: Apache-2.0 */
/* Custom executors: their life from the first task to the last update, and what becomes of them and
 * their tasks when somebody dies. */
#include "tests/support/agent_sim.h"

#define EXECUTOR(id, command)                                                                      \
    "{'type': 'CUSTOM', 'executor_id': {'value': '" id "'}, 'command': {'value': '" command        \
    "'}, 'shutdown_grace_period': {'nanoseconds': 4000000000}, 'resources': [{'name': 'mem', "     \
    "'type': 'SCALAR', 'scalar': {'value': 64}}]}"

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

static uint64_t n_bad(const struct agent_sim *s)
{
    struct pf_agent_stats stats;

    agent_sim_stats(s, &stats);
    return stats.bad_messages;
}

/* t1, launch 1, runs on executor e1. */
static struct sim_executor *given_task(struct agent_sim *s, const char *command)
{
    char executor[400];

    (void)snprintf(executor, sizeof executor, EXECUTOR("e1", "%s"), command);
    agent_sim_launch_on(s, "f1", "t1", 1, executor);
    struct sim_executor *x = agent_sim_executor(s, "e1");

    assert_non_null(x);
    return x;
}

static void say_shutdown(struct agent_sim *s)
{
    agent_sim_say(s, "{'AgentShutdownExecutor': {'framework_id': 'f1', 'executor_id': 'e1'}}");
}

static void executor_exits(struct agent_sim *s, const struct sim_executor *x, int32_t status)
{
    agent_sim_exit_executor(s, x, status);
}

/* The process is started with what it needs to find the agent; the task follows when it has
 * subscribed, and its updates go to the master as the agent knows them to be. */
static void test_executor_runs_a_task(void **state)
{
    struct agent_sim *s = *state;
    struct sim_executor *x = given_task(s, "executor");

    AGENT_SIM_EXPECT(
        s, "sandbox ", "/w/sandboxes/f1/e1.", "start ", "[executor]", "MESOS_FRAMEWORK_ID=f1",
        "MESOS_EXECUTOR_ID=e1", "MESOS_DIRECTORY=/w/sandboxes/f1/e1.", "MESOS_SLAVE_PID=slave(1)@",
        "MESOS_CHECKPOINT=1", "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD=4secs",
        "MESOS_RECOVERY_TIMEOUT=15mins", "MESOS_SUBSCRIPTION_BACKOFF_MAX=2secs",
        "MESOS_EXECUTOR_AUTHENTICATION_TOKEN=", "PROFFER_AGENT=127.0.0.1:5056",
        "\"type\":\"SUBSCRIBED\"", "\"executor_info\":", "\"framework_id\":{\"value\":\"f1\"}",
        "\"framework_info\":", "\"type\":\"LAUNCH\"", "\"value\":\"t1\"", "\"AgentUpdate\"",
        "TASK_RUNNING", "by e1", "SOURCE_EXECUTOR",
        "\"agent_id\":", "\"executor_id\":{\"value\":\"e1\"}", "\"container_status\"",
        "\"executor_pid\":100");
    assert_int_equal(strlen(x->token), 32);
    assert_int_equal(x->n_updates, 0);
    assert_int_equal(agent_sim_rows(s, AgentTable_EXECUTORS), 1);
    agent_sim_launch_on(s, "f1", "t2", 2, EXECUTOR("e1", "executor"));
    assert_int_equal(x->n_launches, 2);
    agent_sim_executor_update(s, x, "t1", TaskState_TASK_FINISHED);
    agent_sim_executor_update(s, x, "t2", TaskState_TASK_FAILED);
    agent_sim_run(s);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_FINISHED");
    assert_string_equal(agent_sim_states(s, 2), "TASK_RUNNING TASK_FAILED");
    assert_int_equal(n_bad(s), 0);
}

/* For an executor that ended meanwhile: the master took no resources for another one. */
static void test_task_joins_only_a_live_one(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_say(
        s, "{'AgentLaunch': {'framework_id': 'f1', 'framework_info': {'user': 'u', 'name': 'f', "
           "'id': {'value': 'f1'}}, 'tasks': [{'joins_executor': true, 'launch_uuid': "
           "'AgICAgICAgICAgICAgICAg==', 'info': {'name': 'n', 'task_id': {'value': 't2'}, "
           "'agent_id': {'value': ''}, 'resources': [{'name': 'cpus', 'type': 'SCALAR', 'scalar': "
           "{'value': 0.5}}], "
           "'executor': " EXECUTOR("e1", "executor") "}}]}}");
    assert_string_equal(agent_sim_states(s, 2), "TASK_DROPPED");
    AGENT_SIM_EXPECT(s, "AgentUpdate", "REASON_EXECUTOR_TERMINATED");
    assert_int_equal(s->n_exited, 0);
    (void)given_task(s, "executor");
}

/* It stays without tasks until it is told to go; then its resources are free. */
static void test_executor_is_shut_down(void **state)
{
    struct agent_sim *s = *state;
    struct sim_executor *x = given_task(s, "executor");

    agent_sim_executor_update(s, x, "t1", TaskState_TASK_FINISHED);
    agent_sim_run(s);
    agent_sim_pass(s, 3600000);
    assert_int_equal(x->n_shutdowns, 0);
    agent_sim_launch_on(s, "f1", "big", 3,
                        "{'type': 'CUSTOM', 'executor_id': {'value': 'e9'}, 'command': {'value': "
                        "'executor'}, 'resources': [{'name': 'mem', 'type': 'SCALAR', 'scalar': "
                        "{'value': 4090}}]}");
    assert_string_equal(agent_sim_states(s, 3), "TASK_DROPPED");
    AGENT_SIM_EXPECT(s, "AgentExecutorExited", "\"e9\"", "\"is_silent\":true", "mem is short");
    say_shutdown(s);
    assert_int_equal(x->n_shutdowns, 1);
    AGENT_SIM_EXPECT(s, "\"type\":\"SHUTDOWN\"", "AgentExecutorExited", "\"e1\"", "forget",
                     "ended ");
    assert_int_equal(s->n_exited, 1);
    agent_sim_launch_on(s, "f1", "t2", 2, EXECUTOR("e1", "executor"));
    assert_string_equal(agent_sim_states(s, 2), "TASK_RUNNING");
    assert_ptr_not_equal(agent_sim_executor(s, "e1"), x);
}

/* One that does not go is killed when its grace has passed; its task fails with it. */
static void test_executor_that_ignores_shutdown_is_killed(void **state)
{
    struct agent_sim *s = *state;
    struct sim_executor *x = given_task(s, "executor stubborn");

    say_shutdown(s);
    assert_int_equal(x->n_shutdowns, 1);
    agent_sim_launch_on(s, "f1", "t2", 2, EXECUTOR("e1", "executor stubborn"));
    assert_string_equal(agent_sim_states(s, 2), "TASK_DROPPED");
    agent_sim_pass(s, 3900);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING");
    agent_sim_pass(s, 200);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_FAILED");
    AGENT_SIM_EXPECT(s, "signal", " 9", "Executor terminated with signal Killed",
                     "REASON_EXECUTOR_TERMINATED", "AgentExecutorExited", "\"status\":9");
}

static void test_executor_of_other_info_is_refused(void **state)
{
    struct agent_sim *s = *state;

    given_task(s, "executor");
    agent_sim_launch_on(s, "f1", "t2", 2, EXECUTOR("e1", "executor idle"));
    assert_string_equal(agent_sim_states(s, 2), "TASK_ERROR");
    AGENT_SIM_EXPECT(s, "another ExecutorInfo", "REASON_TASK_INVALID",
                     "\"executor_id\":{\"value\":\"e1\"}");
    assert_int_equal(agent_sim_executor(s, "e1")->n_launches, 1);
    agent_sim_launch_on(s, "f2", "t2", 3, EXECUTOR("e1", "executor idle"));
    assert_int_equal(agent_sim_executor(s, "e1")->n_launches, 1);
    assert_string_equal(agent_sim_executor(s, "e1")->framework_id, "f2");
}

static void test_executor_that_never_subscribes_is_killed(void **state)
{
    struct agent_sim *s = *state;
    struct sim_executor *x = given_task(s, "executor mute");

    agent_sim_pass(s, 59000);
    assert_string_equal(agent_sim_states(s, 1), "");
    agent_sim_pass(s, 2000);
    assert_string_equal(agent_sim_states(s, 1), "TASK_FAILED");
    AGENT_SIM_EXPECT(s, "signal", " 9", "did not subscribe within 60 s",
                     "REASON_EXECUTOR_REGISTRATION_TIMEOUT", "AgentExecutorExited");
    assert_int_equal(x->n_launches, 0);
}

/* The newer link counts, the older is closed; a second SUBSCRIBE on one link is refused. */
static void test_executor_subscribes_twice(void **state)
{
    struct agent_sim *s = *state;
    struct sim_executor *x = given_task(s, "executor");
    uint64_t first = x->peer;
    char call[200];

    agent_sim_executor_subscribe(s, x, NULL);
    agent_sim_run(s);
    assert_int_equal(x->n_subscribed, 2);
    AGENT_SIM_EXPECT(s, "close 3000", "SUBSCRIBED");
    assert_int_not_equal(x->peer, first);
    (void)snprintf(call, sizeof call, "'type': 'SUBSCRIBE', 'subscribe': {'token': '%s'}",
                   x->token);
    agent_sim_executor_call(s, x, 7, call);
    agent_sim_run(s);
    AGENT_SIM_EXPECT(s, "\"request_id\":7", "CONFLICT", "already");
    assert_int_equal(n_bad(s), 1);
    agent_sim_executor_update(s, x, "t1", TaskState_TASK_FINISHED);
    agent_sim_run(s);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_FINISHED");
}

/* Whoever has not the token is nobody's executor. */
static void test_executor_needs_its_token(void **state)
{
    struct agent_sim *s = *state;
    struct sim_executor *x = given_task(s, "executor mute");

    agent_sim_executor_subscribe(s, x, "00000000000000000000000000000000");
    agent_sim_run(s);
    AGENT_SIM_EXPECT(s, "\"type\":\"ERROR\"", "not this executor's", "close 3000");
    assert_int_equal(x->peer, 0);
    agent_sim_executor_subscribe(s, x, "");
    agent_sim_run(s);
    AGENT_SIM_EXPECT(s, "is missing", "close 3001");
    assert_int_equal(n_bad(s), 2);
    agent_sim_executor_connect(s, x);
    agent_sim_executor_call(s, x, 5, "'type': 'MESSAGE', 'message': {'data': 'aGk='}");
    agent_sim_run(s);
    AGENT_SIM_EXPECT(s, "\"request_id\":5", "NOT_SUBSCRIBED");
    agent_sim_executor_subscribe(s, x, NULL);
    agent_sim_run(s);
    assert_int_equal(x->n_launches, 1);
}

static void test_executor_messages_go_both_ways(void **state)
{
    struct agent_sim *s = *state;
    struct sim_executor *x = given_task(s, "executor");

    agent_sim_executor_call(s, x, 0, "'type': 'MESSAGE', 'message': {'data': 'aGk='}");
    agent_sim_run(s);
    AGENT_SIM_EXPECT(s, "send 1001", "AgentMessage", "\"e1\"", "aGk=", "\"from_executor\":true");
    agent_sim_say(s, "{'AgentMessage': {'framework_id': 'f1', 'executor_id': 'e1', 'data': "
                     "'eW8='}}");
    AGENT_SIM_EXPECT(s, "send 3000", "\"type\":\"MESSAGE\"", "eW8=");
    agent_sim_say(s, "{'AgentMessage': {'framework_id': 'f1', 'executor_id': 'e9', 'data': "
                     "'eW8='}}");
    agent_sim_master_down(s);
    agent_sim_executor_call(s, x, 0, "'type': 'MESSAGE', 'message': {'data': 'aGk='}");
    agent_sim_run(s);
    assert_null(strstr(pf_buf_cstr(&s->log), "AgentMessage"));
    agent_sim_pass(s, 1900000);
    AGENT_SIM_EXPECT(s, "send 3000", "HEARTBEAT");
}

static void test_executor_death_ends_its_tasks(void **state)
{
    struct agent_sim *s = *state;
    struct sim_executor *x = given_task(s, "executor idle");

    agent_sim_launch_on(s, "f1", "t2", 2, EXECUTOR("e1", "executor idle"));
    agent_sim_launch_on(s, "f1", "t3", 3, EXECUTOR("e1", "executor idle"));
    agent_sim_executor_update(s, x, "t1", TaskState_TASK_RUNNING);
    agent_sim_executor_update(s, x, "t3", TaskState_TASK_FINISHED);
    agent_sim_run(s);
    agent_sim_say(s, "{'AgentKill': {'framework_id': 'f1', 'task_id': 't2'}}");
    agent_sim_clear_log(s);
    executor_exits(s, x, 3 << 8);
    AGENT_SIM_EXPECT(s, "TASK_FAILED", "Executor exited with status 3", "SOURCE_AGENT",
                     "REASON_EXECUTOR_TERMINATED", "TASK_KILLED", "AgentExecutorExited",
                     "\"status\":768");
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_FAILED");
    assert_string_equal(agent_sim_states(s, 2), "TASK_KILLED");
    assert_string_equal(agent_sim_states(s, 3), "TASK_FINISHED");
    assert_int_equal(agent_sim_rows(s, AgentTable_UPDATES), 0);
    agent_sim_pass(s, INT64_C(8) * 24 * 3600000);
    assert_int_equal(agent_sim_rows(s, AgentTable_TASKS), 0);
    assert_int_equal(agent_sim_rows(s, AgentTable_EXECUTORS), 0);
    AGENT_SIM_EXPECT(s, "remove ", "/w/sandboxes/f1/e1.");
}

static void test_executor_that_cannot_start_fails_its_task(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch_on(s, "f1", "t1", 1,
                        "{'executor_id': {'value': 'e1'}, 'command': {'shell': false, 'value': "
                        "'nosuch'}}");
    assert_string_equal(agent_sim_states(s, 1), "TASK_FAILED");
    AGENT_SIM_EXPECT(s, "Cannot execute nosuch", "REASON_CONTAINER_LAUNCH_FAILED",
                     "AgentExecutorExited", "\"status\":-1");
    s->sandbox_error = 13;
    s->sandbox_stage = "mkdir";
    agent_sim_launch_on(s, "f1", "t2", 2, EXECUTOR("e2", "executor"));
    assert_string_equal(agent_sim_states(s, 2), "TASK_FAILED");
    assert_int_equal(s->n_exited, 2);
}

/* A task that was not given away is killed at once, the others by their executor. */
static void test_executor_kills_its_tasks(void **state)
{
    struct agent_sim *s = *state;
    struct sim_executor *x = given_task(s, "executor mute");

    agent_sim_launch_on(s, "f1", "t2", 2, EXECUTOR("e1", "executor mute"));
    agent_sim_say(s, "{'AgentKill': {'framework_id': 'f1', 'task_id': 't2'}}");
    assert_string_equal(agent_sim_states(s, 2), "TASK_KILLED");
    AGENT_SIM_EXPECT(s, "REASON_TASK_KILLED_DURING_LAUNCH");
    agent_sim_executor_subscribe(s, x, NULL);
    agent_sim_run(s);
    assert_int_equal(x->n_launches, 1);
    agent_sim_say(s, "{'AgentKill': {'framework_id': 'f1', 'task_id': 't1', 'grace_ms': 7000}}");
    AGENT_SIM_EXPECT(s, "\"type\":\"KILL\"", "\"t1\"", "\"nanoseconds\":7000000000");
    assert_int_equal(x->n_kills, 1);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_KILLED");
}

/* Its link breaks: nothing happens to its tasks for a quarter of an hour. */
static void test_executor_may_lose_its_link(void **state)
{
    struct agent_sim *s = *state;
    struct sim_executor *x = given_task(s, "executor");

    agent_sim_executor_cut(s, x);
    agent_sim_executor_update(s, x, "t1", TaskState_TASK_FINISHED);
    agent_sim_launch_on(s, "f1", "t2", 2, EXECUTOR("e1", "executor"));
    agent_sim_pass(s, 800000);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING");
    agent_sim_executor_subscribe(s, x, NULL);
    agent_sim_run(s);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_FINISHED");
    assert_string_equal(agent_sim_states(s, 2), "TASK_RUNNING");
    agent_sim_executor_cut(s, x);
    agent_sim_pass(s, 901000);
    assert_string_equal(agent_sim_states(s, 2), "TASK_RUNNING TASK_FAILED");
    AGENT_SIM_EXPECT(s, "REASON_EXECUTOR_REREGISTRATION_TIMEOUT");
}

/* --- deaths of others ------------------------------------------------------------------------- */

/* What happened meanwhile comes with its SUBSCRIBE, what the agent has already is not told twice,
 * and a task that it never received is dropped. */
static void test_executor_returns_to_a_restarted_agent(void **state)
{
    struct agent_sim *s = *state;
    struct sim_executor *x = given_task(s, "executor idle");

    agent_sim_launch_on(s, "f1", "t2", 2, EXECUTOR("e1", "executor idle"));
    agent_sim_launch_on(s, "f1", "t3", 3, EXECUTOR("e1", "executor idle"));
    agent_sim_executor_update(s, x, "t1", TaskState_TASK_RUNNING);
    agent_sim_run(s);
    assert_int_equal(x->n_updates, 0);
    agent_sim_kill(s);
    agent_sim_executor_update(s, x, "t1", TaskState_TASK_FINISHED);
    x->n_tasks = 2; /* the LAUNCH of t3 was lost on its way */
    agent_sim_start(s);
    assert_int_equal(x->n_subscribed, 2);
    agent_sim_master_up(s, 2);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_FINISHED");
    assert_string_equal(agent_sim_states(s, 2), "");
    assert_string_equal(agent_sim_states(s, 3), "TASK_DROPPED");
    AGENT_SIM_EXPECT(s, "TASK_DROPPED", "did not receive", "REASON_AGENT_RESTARTED");
    assert_string_equal(pf_buf_cstr(&s->registered),
                        "executor e1\nt1 TASK_FINISHED\nt2 TASK_STAGING\nt3 TASK_DROPPED\n");
    assert_int_equal(x->n_launches, 3);
    assert_int_equal(n_bad(s), 0);
}

/* An update that was stored and acknowledged by the master, but not to the executor. */
static void test_executor_repeats_an_update(void **state)
{
    struct agent_sim *s = *state;
    struct sim_executor *x = given_task(s, "executor");
    struct sim_executor_update again = {.task_id = "t1", .state = TaskState_TASK_RUNNING};

    again.uuid = s->next_update;
    agent_sim_kill(s);
    x->updates[x->n_updates++] = again;
    agent_sim_start(s);
    agent_sim_master_up(s, 2);
    assert_int_equal(x->n_updates, 0);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING");
    assert_int_equal(agent_sim_rows(s, AgentTable_UPDATES), 0);
    assert_int_equal(n_bad(s), 0);
}

/* The same of a task that the agent has forgotten since: it is not told again, but the executor
 * must not keep it for ever either. */
static void test_executor_repeats_the_update_of_a_forgotten_task(void **state)
{
    struct agent_sim *s = *state;
    struct sim_executor *x = given_task(s, "executor");
    struct sim_executor_update again = {.task_id = "t1", .state = TaskState_TASK_FINISHED};

    agent_sim_launch_on(s, "f1", "t2", 2, EXECUTOR("e1", "executor"));
    agent_sim_executor_update(s, x, "t1", TaskState_TASK_FINISHED);
    agent_sim_run(s);
    again.uuid = s->next_update;
    agent_sim_kill(s);
    x->updates[x->n_updates++] = again;
    agent_sim_start(s);
    agent_sim_master_up(s, 2);
    assert_int_equal(x->n_updates, 0);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_FINISHED");
    assert_string_equal(agent_sim_states(s, 2), "TASK_RUNNING");
    agent_sim_executor_update(s, x, "t1", TaskState_TASK_FAILED); /* and the same of a new one */
    agent_sim_run(s);
    assert_int_equal(x->n_updates, 0);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_FINISHED");
}

static void test_executor_that_does_not_return_is_killed(void **state)
{
    struct agent_sim *s = *state;
    struct sim_executor *x = given_task(s, "executor");

    x->stays_away = true;
    agent_sim_kill(s);
    agent_sim_start(s);
    agent_sim_master_up(s, 2);
    agent_sim_pass(s, 1900);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING");
    agent_sim_pass(s, 200);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_FAILED");
    AGENT_SIM_EXPECT(s, "signal", " 9", "REASON_EXECUTOR_REREGISTRATION_TIMEOUT");
    assert_int_equal(s->n_exited, 1);
}

/* It died while the agent was away: the end is told with its real status. */
static void test_executor_dies_without_the_agent(void **state)
{
    struct agent_sim *s = *state;
    struct sim_executor *x = given_task(s, "executor");

    agent_sim_kill(s);
    executor_exits(s, x, 7 << 8);
    agent_sim_start(s);
    agent_sim_master_up(s, 2);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_FAILED");
    AGENT_SIM_EXPECT(s, "Executor exited with status 7", "AgentExecutorExited", "\"status\":1792");
    assert_string_equal(pf_buf_cstr(&s->registered), "t1 TASK_FAILED\n");
}

static void test_executor_dies_with_the_launcher(void **state)
{
    struct agent_sim *s = *state;
    struct sim_executor *x = given_task(s, "executor");

    agent_sim_launcher_down(s);
    agent_sim_launcher_up(s, "another");
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_FAILED");
    AGENT_SIM_EXPECT(s, "exit status unknown", "AgentExecutorExited", "\"status\":-1");
    /* It runs on without parents: the agent does not know it any more, and says so. */
    x->peer = 0;
    agent_sim_executor_subscribe(s, x, NULL);
    agent_sim_run(s);
    AGENT_SIM_EXPECT(s, "\"type\":\"SHUTDOWN\"", "close ");
}

static void test_executor_ends_with_the_machine(void **state)
{
    struct agent_sim *s = *state;

    given_task(s, "executor");
    agent_sim_reboot(s, "b2");
    agent_sim_start(s);
    agent_sim_master_up(s, 2);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_FAILED");
    AGENT_SIM_EXPECT(s, "The machine rebooted", "REASON_EXECUTOR_TERMINATED");
    assert_int_equal(s->n_exited, 1);
}

/* A SHUTDOWN that was asked for outlives the agent; what its tasks have to tell is taken still. */
static void test_executor_shutdown_outlives_the_agent(void **state)
{
    struct agent_sim *s = *state;
    struct sim_executor *x = given_task(s, "executor stubborn");

    agent_sim_executor_cut(s, x);
    say_shutdown(s);
    agent_sim_executor_update(s, x, "t1", TaskState_TASK_FINISHED);
    agent_sim_kill(s);
    agent_sim_start(s);
    agent_sim_master_up(s, 2);
    assert_int_equal(x->n_shutdowns, 1);
    assert_int_equal(x->n_subscribed, 1);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_FINISHED");
    agent_sim_pass(s, 5000);
    AGENT_SIM_EXPECT(s, "signal", " 9", "AgentExecutorExited", "\"status\":9");
}

/* Nobody is told of a framework that is gone; its executors get SHUTDOWN and end. */
static void test_executor_ends_with_its_framework(void **state)
{
    struct agent_sim *s = *state;
    struct sim_executor *x = given_task(s, "executor"), *other = NULL;

    agent_sim_launch_on(s, "f1", "t2", 2, EXECUTOR("e2", "executor mute"));
    agent_sim_launch_on(s, "f2", "t3", 3, EXECUTOR("e3", "executor"));
    other = agent_sim_executor(s, "e3");
    agent_sim_clear_log(s);
    agent_sim_say(s, "{'AgentTeardown': {'framework_id': 'f1'}}");
    agent_sim_pass(s, 6000);
    assert_int_equal(x->n_shutdowns, 1);
    assert_int_equal(other->n_shutdowns, 0);
    assert_null(strstr(pf_buf_cstr(&s->log), "AgentExecutorExited"));
    assert_null(strstr(pf_buf_cstr(&s->log), "AgentUpdate"));
    AGENT_SIM_EXPECT(s, "signal", " 9");
    assert_int_equal(agent_sim_rows(s, AgentTable_FRAMEWORKS), 1);
    assert_string_equal(agent_sim_states(s, 3), "TASK_RUNNING");
}

/* So many tasks have ended since that its own is forgotten with its end, and it is the last. */
static void test_executor_ends_behind_a_full_history(void **state)
{
    struct agent_sim *s = *state;
    char id[16];

    for (uint32_t i = 0; i < 1000; i++) {
        struct pf_uuid launch = {{0xee, (uint8_t)(i >> 8), (uint8_t)i}};
        (void)snprintf(id, sizeof id, "past%u", (unsigned)i);
        agent_sim_launch_uuid(s, "f2", id, launch, "{'value': 'exit 0'}", "");
    }
    struct sim_executor *x = given_task(s, "executor stubborn");

    s->wall_ms -= 3600000; /* the clock was set back */
    agent_sim_say(s, "{'AgentTeardown': {'framework_id': 'f1'}}");
    agent_sim_pass(s, 6000);
    assert_int_equal(x->n_shutdowns, 1);
    assert_int_equal(agent_sim_rows(s, AgentTable_TASKS), 1000);
    agent_sim_pass(s, INT64_C(8) * 86400000);
    assert_int_equal(agent_sim_rows(s, AgentTable_EXECUTORS), 0);
}

/* Launched while no launcher stands: it begins when that comes. */
static void test_executor_waits_for_the_launcher(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launcher_down(s);
    agent_sim_launch_on(s, "f1", "t1", 1, EXECUTOR("e1", "executor"));
    assert_null(agent_sim_executor(s, "e1"));
    agent_sim_kill(s);
    agent_sim_start(s);
    agent_sim_master_up(s, 2);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING");
    assert_int_equal(agent_sim_executor(s, "e1")->n_launches, 1);
}

/* The master heard of all that ended: a registration without a list suffices. */
static void test_executor_ends_are_told_by_number(void **state)
{
    struct agent_sim *s = *state;
    struct sim_executor *x = given_task(s, "executor");

    agent_sim_executor_update(s, x, "t1", TaskState_TASK_FINISHED);
    agent_sim_run(s);
    executor_exits(s, x, 0);
    assert_int_equal(s->n_lists, 1);
    agent_sim_master_down(s);
    agent_sim_master_up(s, 2);
    assert_int_equal(s->n_lists, 1);
    given_task(s, "executor");
    agent_sim_launch_on(s, "f1", "t2", 2, EXECUTOR("e1", "executor"));
    x = agent_sim_executor(s, "e1");
    agent_sim_executor_update(s, x, "t2", TaskState_TASK_FINISHED);
    agent_sim_run(s);
    agent_sim_master_down(s);
    executor_exits(s, x, 0);
    agent_sim_master_up(s, 3);
    assert_int_equal(s->n_lists, 2);
    assert_int_equal(s->n_exited, 2);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_executor_runs_a_task),
        CASE(test_executor_is_shut_down),
        CASE(test_task_joins_only_a_live_one),
        CASE(test_executor_that_ignores_shutdown_is_killed),
        CASE(test_executor_of_other_info_is_refused),
        CASE(test_executor_that_never_subscribes_is_killed),
        CASE(test_executor_subscribes_twice),
        CASE(test_executor_needs_its_token),
        CASE(test_executor_messages_go_both_ways),
        CASE(test_executor_death_ends_its_tasks),
        CASE(test_executor_that_cannot_start_fails_its_task),
        CASE(test_executor_kills_its_tasks),
        CASE(test_executor_may_lose_its_link),
        CASE(test_executor_returns_to_a_restarted_agent),
        CASE(test_executor_repeats_an_update),
        CASE(test_executor_repeats_the_update_of_a_forgotten_task),
        CASE(test_executor_that_does_not_return_is_killed),
        CASE(test_executor_dies_without_the_agent),
        CASE(test_executor_dies_with_the_launcher),
        CASE(test_executor_ends_with_the_machine),
        CASE(test_executor_shutdown_outlives_the_agent),
        CASE(test_executor_ends_with_its_framework),
        CASE(test_executor_ends_behind_a_full_history),
        CASE(test_executor_waits_for_the_launcher),
        CASE(test_executor_ends_are_told_by_number),
    };

    return cmocka_run_group_tests_name("agent_executor", tests, NULL, NULL);
}
