/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of custom executors: by HTTP, those that they may not make, and too many. */
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

/* By HTTP each call is a client of its own, with or without the token. */
static void http_call(struct agent_sim *s, uint64_t peer, const char *token, const char *call)
{
    char hello[200];
    struct sim_executor x = {.id = "e1", .framework_id = "f1", .peer = peer};

    (void)snprintf(hello, sizeof hello,
                   "{'Hello': {'kind': 'EXECUTOR', 'capabilities': ['http'%s%s%s]}}",
                   token ? ", 'token:" : "", token ? token : "", token ? "'" : "");
    agent_sim_peer_up(s, peer, hello);
    agent_sim_executor_call(s, &x, peer, call);
    agent_sim_run(s);
}

#define UPDATE(task, state, more)                                                                  \
    "'type': 'UPDATE', 'update': {'status': {'task_id': {'value': '" task "'}, 'state': '" state   \
    "'" more "}}"
#define UUID   ", 'uuid': 'AQIDBAUGBwgJCgsMDQ4PEA=='"
#define SOURCE ", 'source': 'SOURCE_EXECUTOR'"

static void test_executor_by_http(void **state)
{
    struct agent_sim *s = *state;
    struct sim_executor *x = given_task(s, "executor mute");

    http_call(s, 4000, NULL, UPDATE("t1", "TASK_RUNNING", UUID SOURCE));
    AGENT_SIM_EXPECT(s, "send 4000", "NOT_SUBSCRIBED", "Executor is not subscribed");
    http_call(s, 4001, "wrong", "'type': 'SUBSCRIBE', 'subscribe': {}");
    AGENT_SIM_EXPECT(s, "send 4001", "FORBIDDEN");
    http_call(s, 4002, NULL, "'type': 'SUBSCRIBE', 'subscribe': {}");
    AGENT_SIM_EXPECT(s, "send 4002", "is_reply", "send 4002", "SUBSCRIBED", "send 4002", "LAUNCH");
    http_call(s, 4003, x->token, UPDATE("t1", "TASK_RUNNING", UUID SOURCE));
    AGENT_SIM_EXPECT(s, "ACKNOWLEDGED");
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING");
    http_call(s, 4004, "wrong", UPDATE("t1", "TASK_FINISHED", UUID SOURCE));
    AGENT_SIM_EXPECT(s, "send 4004", "FORBIDDEN");
    http_call(s, 4005, NULL, "'type': 'HEARTBEAT'");
    AGENT_SIM_EXPECT(s, "send 4005", "ACCEPTED");
    http_call(s, 4006, NULL, "'type': 'UNKNOWN'");
    AGENT_SIM_EXPECT(s, "send 4006", "UNSUPPORTED");
}

static void test_executor_by_http_needs_the_token_when_told(void **state)
{
    struct agent_sim *s = *state;
    struct sim_executor *x = NULL;

    agent_sim_kill(s);
    s->options.authenticates_executors = true;
    agent_sim_start(s);
    agent_sim_master_up(s, 2);
    x = given_task(s, "executor mute");
    http_call(s, 4000, NULL, "'type': 'SUBSCRIBE', 'subscribe': {}");
    AGENT_SIM_EXPECT(s, "send 4000", "FORBIDDEN", "is missing");
    http_call(s, 4001, x->token, "'type': 'SUBSCRIBE', 'subscribe': {}");
    AGENT_SIM_EXPECT(s, "send 4001", "SUBSCRIBED");
}

/* Garbage changes nothing and is answered with what is wrong about it. */
static void test_executor_says_what_it_may_not(void **state)
{
    static const struct {
        const char *call, *text;
    } bad[] = {
        {UPDATE("t1", "TASK_FINISHED", SOURCE), "no uuid of 16 bytes"},
        {UPDATE("t1", "TASK_FINISHED", SOURCE ", 'uuid': 'AAA='"), "no uuid of 16 bytes"},
        {UPDATE("t1", "TASK_FINISHED", UUID), "not SOURCE_EXECUTOR"},
        {UPDATE("t1", "TASK_FINISHED", UUID ", 'source': 'SOURCE_MASTER'"), "not SOURCE_EXECUTOR"},
        {UPDATE("t1", "TASK_STAGING", UUID SOURCE), "not an executor's to tell"},
        {UPDATE("t1", "TASK_UNREACHABLE", UUID SOURCE), "not an executor's to tell"},
        {UPDATE("t1", "TASK_FINISHED", UUID SOURCE ", 'executor_id': {'value': 'e2'}"),
         "names another executor"},
        {UPDATE("c1", "TASK_FINISHED", UUID SOURCE), "not one of this executor"},
        {UPDATE("o1", "TASK_FINISHED", UUID SOURCE), "not one of this executor"},
        {UPDATE("nosuch", "TASK_FINISHED", UUID SOURCE), "not one of this executor"},
        {UPDATE("", "TASK_FINISHED", UUID SOURCE), "not one of this executor"},
        {UPDATE("t2", "TASK_FAILED", UUID SOURCE), "has ended before"},
    };
    struct agent_sim *s = *state;
    struct sim_executor *x = given_task(s, "executor");

    agent_sim_launch(s, "f1", "c1", 5, "{'value': 'sleep'}");
    agent_sim_launch_on(s, "f1", "o1", 6, EXECUTOR("e2", "executor"));
    agent_sim_launch_on(s, "f1", "t2", 7, EXECUTOR("e1", "executor"));
    agent_sim_executor_update(s, x, "t2", TaskState_TASK_FINISHED);
    agent_sim_run(s);
    for (size_t i = 0; i < PF_ARRAY_LEN(bad); i++) {
        agent_sim_clear_log(s);
        agent_sim_executor_call(s, x, 9, bad[i].call);
        agent_sim_run(s);
        AGENT_SIM_EXPECT(s, "\"request_id\":9", "BAD_REQUEST", bad[i].text);
        assert_int_equal(n_bad(s), i + 1);
    }
    agent_sim_executor_call(s, x, 9, "'type': 'HEARTBEAT'");
    agent_sim_say_as(s, x->peer, 10, 0, "{'AgentStatusCall': {}}");
    agent_sim_run(s);
    AGENT_SIM_EXPECT(s, "\"request_id\":10", "UNSUPPORTED");
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING");
    assert_string_equal(agent_sim_states(s, 5), "TASK_RUNNING");
    assert_string_equal(agent_sim_states(s, 6), "TASK_RUNNING");
    assert_string_equal(agent_sim_states(s, 7), "TASK_RUNNING TASK_FINISHED");
}

static void say_update(struct agent_sim *s, struct sim_executor *x, int n, const char *task_state)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char call[300];

    (void)snprintf(call, sizeof call,
                   UPDATE("t1", "%s", SOURCE ", 'uuid': '%c%cIDBAUGBwgJCgsMDQ4PEA=='"), task_state,
                   digits[n / 64], digits[n % 64]);
    agent_sim_clear_log(s);
    agent_sim_executor_call(s, x, 9, call);
    agent_sim_run(s);
}

/* Updates that nobody acknowledges fill neither memory nor disk; the end is taken always. */
static void test_executor_says_too_much(void **state)
{
    struct agent_sim *s = *state;
    struct sim_executor *x = given_task(s, "executor");

    s->acknowledges = false;
    for (int n = 1; n <= 1000; n++) {
        say_update(s, x, n, "TASK_RUNNING");
        AGENT_SIM_EXPECT(s, "\"request_id\":9", "ACCEPTED");
    }
    say_update(s, x, 1001, "TASK_RUNNING");
    AGENT_SIM_EXPECT(s, "\"request_id\":9", "BAD_REQUEST", "too many updates");
    say_update(s, x, 1, "TASK_RUNNING"); /* known, though long ago */
    AGENT_SIM_EXPECT(s, "\"request_id\":9", "ACCEPTED");
    say_update(s, x, 1002, "TASK_FINISHED");
    AGENT_SIM_EXPECT(s, "\"request_id\":9", "ACCEPTED");
    assert_int_equal(agent_sim_rows(s, AgentTable_UPDATES), 1001);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_executor_by_http),
        CASE(test_executor_by_http_needs_the_token_when_told),
        CASE(test_executor_says_what_it_may_not),
        CASE(test_executor_says_too_much),
    };

    return cmocka_run_group_tests_name("agent_executor_calls", tests, NULL, NULL);
}
