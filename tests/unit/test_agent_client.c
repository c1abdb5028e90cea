/* SPDX-License-Identifier: Apache-2.0 */
/* What clients may ask of an agent, and the program and environment that a command gets. */
#include "tests/support/agent_sim.h"

static int setup(void **state)
{
    struct agent_sim *s = agent_sim_create();

    agent_sim_start(s);
    agent_sim_master_up(s, 1);
    agent_sim_client_up(s, SIM_CLIENT, true);
    agent_sim_client_up(s, SIM_CLIENT + 1, false);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    agent_sim_destroy(*state);
    return 0;
}

static void ask(struct agent_sim *s, uint64_t peer, const char *body)
{
    agent_sim_clear_log(s);
    agent_sim_say_as(s, peer, 44, 0, body);
    agent_sim_run(s);
}

static void test_agent_serves_output_to_the_trusted(void **state)
{
    struct agent_sim *s = *state;
    const char *call = "{'ReadFile': {'framework_id': 'f1', 'task_id': 't1', 'stream': 'STDERR', "
                       "'offset': 5, 'limit': 10, 'follow': true}}";

    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'x'}");
    ask(s, SIM_CLIENT, call);
    AGENT_SIM_EXPECT(s, "read 2000 44 /w/sandboxes/",
                     "/stderr offset=5 limit=10 tail=0 follow=1 ended=0");
    ask(s, SIM_CLIENT + 1, call);
    AGENT_SIM_EXPECT(s, "send 2001", "\"request_id\":44", "FORBIDDEN");
    agent_sim_exit(s, 1, 0);
    ask(s, SIM_CLIENT, "{'ReadFile': {'framework_id': 'f1', 'task_id': 't1'}}");
    AGENT_SIM_EXPECT(s, "/stdout offset=0 limit=65536 tail=0 follow=0 ended=1");
    ask(s, SIM_CLIENT, "{'ReadFile': {'framework_id': 'f2', 'task_id': 't1'}}");
    AGENT_SIM_EXPECT(s, "send 2000", "NOT_FOUND");
    agent_sim_kill(s);
    agent_sim_start(s);
    agent_sim_client_up(s, SIM_CLIENT, true);
    ask(s, SIM_CLIENT, "{'ReadFile': {'framework_id': 'f1', 'task_id': 't1'}}");
    AGENT_SIM_EXPECT(s, "read 2000 44", "ended=1");
}

static void test_agent_passes_stdin_on(void **state)
{
    struct agent_sim *s = *state;
    const char *call = "{'WriteStdin': {'framework_id': 'f1', 'task_id': 't1', 'data': 'aGk=', "
                       "'eof': true}}";

    ask(s, SIM_CLIENT, call);
    AGENT_SIM_EXPECT(s, "NOT_FOUND");
    agent_sim_launcher_down(s);
    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'x', 'keep_stdin': true}");
    ask(s, SIM_CLIENT, call);
    AGENT_SIM_EXPECT(s, "UNAVAILABLE");
    agent_sim_launcher_up(s, "l1");
    ask(s, SIM_CLIENT, call);
    AGENT_SIM_EXPECT(s, "stdin 01 hi eof=1");
    ask(s, SIM_CLIENT + 1, call);
    AGENT_SIM_EXPECT(s, "FORBIDDEN");
    agent_sim_exit(s, 1, 0);
    ask(s, SIM_CLIENT, call);
    AGENT_SIM_EXPECT(s, "CONFLICT", "has ended");
    agent_sim_launch(s, "f1", "t2", 2, "{'value': 'x'}");
    ask(s, SIM_CLIENT, "{'WriteStdin': {'framework_id': 'f1', 'task_id': 't2', 'data': 'aGk='}}");
    AGENT_SIM_EXPECT(s, "CONFLICT", "without an open standard input");
}

static void test_agent_tells_its_status(void **state)
{
    struct agent_sim *s = *state;

    ask(s, SIM_CLIENT + 1, "{'AgentStatusCall': {}}");
    AGENT_SIM_EXPECT(s, "AgentStatus", "\"registered\":true", "\"launcher_pid\":50",
                     "\"text\":\"ok\"");
    agent_sim_launcher_down(s);
    ask(s, SIM_CLIENT, "{'AgentStatusCall': {}}");
    AGENT_SIM_EXPECT(s, "waiting for the launcher");
}

/* Each request gets one reply; clients cannot command. */
static void test_agent_refuses_commands_of_clients(void **state)
{
    struct agent_sim *s = *state;
    struct pf_agent_stats stats;

    ask(s, SIM_CLIENT, "{'AgentTeardown': {'framework_id': 'f1'}}");
    AGENT_SIM_EXPECT(s, "send 2000", "UNSUPPORTED");
    ask(s, SIM_CLIENT, "{'Heartbeat': {}}");
    assert_int_equal(strlen(pf_buf_cstr(&s->log)), 0);
    agent_sim_stats(s, &stats);
    assert_int_equal(stats.bad_messages, 1);
}

/* Nobody is asked, and a reply to a reply would go to and fro for ever. */
static void test_agent_leaves_replies_unanswered(void **state)
{
    struct agent_sim *s = *state;
    struct pf_agent_stats before, after;

    agent_sim_stats(s, &before);
    agent_sim_clear_log(s);
    agent_sim_say_as(s, SIM_CLIENT, 44, 0, "{'AgentStatusCall': {}}, 'is_reply': true");
    agent_sim_say_as(s, SIM_CLIENT, 45, 0, "{'Reply': {}}, 'is_reply': true");
    agent_sim_say_as(s, SIM_MASTER + 1, 46, 1,
                     "{'AgentTeardown': {'framework_id': 'f1'}}, 'is_reply': true");
    agent_sim_run(s);
    assert_string_equal(pf_buf_cstr(&s->log), "");
    agent_sim_stats(s, &after);
    assert_int_equal(after.bad_messages - before.bad_messages, 3);
}

static void test_agent_gives_a_task_its_environment(void **state)
{
    struct agent_sim *s = *state;
    const char *log = NULL;

    agent_sim_clear_log(s);
    agent_sim_launch_more(
        s, "f1", "t1", 1,
        "{'value': 'x', 'environment': {'variables': [{'name': 'A', 'value': '1'}, "
        "{'name': 'HOME', 'value': '/h'}, {'name': 'A', 'value': '2'}]}}",
        ", 'resources': [{'name': 'ports', 'type': 'RANGES', 'ranges': {'range': [{'begin': 31005, "
        "'end': 31006}]}, 'allocation_info': {'role': 'r1'}}]");
    log = pf_buf_cstr(&s->log);
    assert_non_null(
        strstr(log, " PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "));
    assert_non_null(strstr(log, " HOME=/h "));
    assert_non_null(strstr(log, " A=2\n"));
    assert_null(strstr(log, " A=1"));
    assert_non_null(strstr(log, " MESOS_TASK_ID=t1 "));
    assert_non_null(strstr(log, " MESOS_FRAMEWORK_ID=f1 "));
    assert_non_null(strstr(log, " MESOS_EXECUTOR_ID=t1 "));
    assert_non_null(strstr(log, " MESOS_SANDBOX=/w/sandboxes/"));
    assert_non_null(strstr(log, " MESOS_AGENT_ENDPOINT=127.0.0.1:5051 "));
    assert_non_null(strstr(log, " MESOS_ALLOCATION_ROLE=r1 "));
    assert_non_null(strstr(log, " PROFFER_TASK_ID=t1 "));
    assert_non_null(strstr(log, " PROFFER_PORT_0=31005 PORT0=31005 PROFFER_PORT_1=31006 "));
    assert_null(strstr(log, "USER="));
}

static void test_agent_gives_a_task_its_program(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch(s, "f1", "t1", 1,
                     "{'shell': false, 'value': '/bin/echo', 'arguments': ['e', 'b c']}");
    AGENT_SIM_EXPECT(s, "start 01 path=/bin/echo cwd= user= stdin=0 [e] [b c] PATH");
    agent_sim_launch(s, "f1", "t2", 2, "{'shell': false, 'value': 'date', 'cwd': '/tmp'}");
    AGENT_SIM_EXPECT(s, "start 02 path=date cwd=/tmp user= stdin=0 [date] PATH");
    agent_sim_launch(s, "f1", "t3", 3,
                     "{'script': 'IyEK', 'arguments': ['a'], 'cwd': 'sub', 'keep_stdin': true}");
    AGENT_SIM_EXPECT(s, "script=#!", "start 03 path=/w/sandboxes/", "/script cwd=/w/sandboxes/",
                     "/sub user= stdin=1 [/w/sandboxes/", "/script] [a] PATH");
    agent_sim_say(s, "{'AgentLaunch': {'framework_id': 'f1', 'tasks': [{'launch_uuid': "
                     "'BAQEBAQEBAQEBAQEBAQEBA==', 'user': 'bob', 'info': {'name': 'n', 'task_id': "
                     "{'value': 't4'}, 'agent_id': {'value': ''}, 'command': {'value': 'x'}}}]}}");
    AGENT_SIM_EXPECT(s, "sandbox 04", "user=bob", "start 04 path=/bin/sh cwd= user=bob",
                     "USER=bob LOGNAME=bob");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_agent_serves_output_to_the_trusted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_passes_stdin_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_tells_its_status, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_refuses_commands_of_clients, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_leaves_replies_unanswered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_gives_a_task_its_environment, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_gives_a_task_its_program, setup, teardown),
    };

    return cmocka_run_group_tests_name("agent_client", tests, NULL, NULL);
}
