/* SPDX-License-Identifier: Apache-2.0 */
/* Processes beside tasks, terminals of tasks, and files of sandboxes: who may, and how they end. */
#include "tests/support/agent_sim.h"

#include <errno.h>

#define OPEN(args) "{'SessionOpen': {'framework_id': 'f1', 'task_id': 't1', 'args': [" args "]}}"

static int setup(void **state)
{
    struct agent_sim *s = agent_sim_create();

    agent_sim_start(s);
    agent_sim_master_up(s, 1);
    agent_sim_client_up(s, SIM_CLIENT, true);
    agent_sim_client_up(s, SIM_CLIENT + 1, false);
    agent_sim_client_up(s, SIM_CLIENT + 2, true);
    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'sleep 9'}");
    agent_sim_clear_log(s);
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
    agent_sim_say_as(s, peer, 7, 0, body);
    agent_sim_run(s);
}

/* Without a request: nothing is answered. */
static void word(struct agent_sim *s, uint64_t peer, const char *name, const char *fields)
{
    char body[300], id[32];
    const struct sim_process *p = agent_sim_beside(s);

    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t at = 0;
    for (uint32_t i = 0; i < 16; i += 3) { /* base64 of 16 bytes */
        uint32_t b = (uint32_t)p->launch.b[i] << 16;
        b |= i + 1 < 16 ? (uint32_t)p->launch.b[i + 1] << 8 : 0;
        b |= i + 2 < 16 ? p->launch.b[i + 2] : 0;
        id[at++] = digits[b >> 18];
        id[at++] = digits[b >> 12 & 63];
        id[at++] = i + 1 < 16 ? digits[b >> 6 & 63] : '=';
        id[at++] = i + 2 < 16 ? digits[b & 63] : '=';
    }
    id[at] = '\0';
    (void)snprintf(body, sizeof body, "{'%s': {'session': '%s'%s}}", name, id, fields);
    agent_sim_clear_log(s);
    agent_sim_say_as(s, peer, strcmp(name, "SessionInput") == 0 ? 8 : 0, 0, body);
    agent_sim_run(s);
}

static void test_agent_session_runs_and_ends(void **state)
{
    struct agent_sim *s = *state;

    ask(s, SIM_CLIENT, OPEN("'ls', 'long'"));
    AGENT_SIM_EXPECT(s, "beside 01 start", "path=ls", "[ls] [long]", "send 2000",
                     "\"request_id\":7", "SessionOpened");
    word(s, SIM_CLIENT, "SessionInput", ", 'data': 'aGk=', 'eof': true");
    AGENT_SIM_EXPECT(s, "session input 2000 request=8 [hi] eof=1");
    word(s, SIM_CLIENT, "SessionTaken", ", 'acknowledged': 77");
    AGENT_SIM_EXPECT(s, "session input 2000", "taken=77");
    word(s, SIM_CLIENT, "SessionResize", ", 'rows': 5, 'columns': 6");
    AGENT_SIM_EXPECT(s, "session input 2000", "6x5");
    word(s, SIM_CLIENT, "SessionSignal", ", 'signal': 2");
    AGENT_SIM_EXPECT(s, "signal", " 2");
    assert_int_equal(agent_sim_beside(s)->last_signal, 2);
}

static void test_agent_session_tells_its_status(void **state)
{
    struct agent_sim *s = *state;

    ask(s, SIM_CLIENT, OPEN("'sh', 'exit 5'"));
    AGENT_SIM_EXPECT(s, "SessionOpened", "session end silent=0 status=1280", "forget");
    assert_true(agent_sim_beside(s)->forgotten);
    word(s, SIM_CLIENT, "SessionInput", ", 'data': 'aGk='");
    AGENT_SIM_EXPECT(s, "NOT_FOUND", "has ended");
}

static void test_agent_session_not_started(void **state)
{
    struct agent_sim *s = *state;

    ask(s, SIM_CLIENT, OPEN("'nosuch'"));
    AGENT_SIM_EXPECT(s, "SessionOpened",
                     "session end silent=0 status=32512 cannot execute it (exec): No such file");
    s->session_error = EMFILE;
    ask(s, SIM_CLIENT, OPEN("'ls'"));
    AGENT_SIM_EXPECT(s, "send 2000", "UNAVAILABLE", "could not be opened (pipes)");
    s->session_error = 0;
}

static void test_agent_session_is_refused(void **state)
{
    struct agent_sim *s = *state;

    ask(s, SIM_CLIENT + 1, OPEN("'ls'"));
    AGENT_SIM_EXPECT(s, "send 2001", "FORBIDDEN");
    ask(s, SIM_CLIENT, OPEN(""));
    AGENT_SIM_EXPECT(s, "BAD_REQUEST", "no command");
    ask(s, SIM_CLIENT, OPEN("'l\\u0000s'"));
    AGENT_SIM_EXPECT(s, "BAD_REQUEST", "NUL");
    ask(s, SIM_CLIENT, "{'SessionOpen': {'framework_id': 'f1', 'task_id': 'no', 'args': ['ls']}}");
    AGENT_SIM_EXPECT(s, "NOT_FOUND");
    agent_sim_launcher_down(s);
    ask(s, SIM_CLIENT, OPEN("'ls'"));
    AGENT_SIM_EXPECT(s, "UNAVAILABLE", "no launcher");
    agent_sim_launcher_up(s, "l1");
    agent_sim_exit(s, 1, 0);
    ask(s, SIM_CLIENT, OPEN("'ls'"));
    AGENT_SIM_EXPECT(s, "CONFLICT", "has ended");
}

static void test_agent_session_is_its_peers_alone(void **state)
{
    struct agent_sim *s = *state;

    ask(s, SIM_CLIENT, OPEN("'sh', 'stubborn'"));
    word(s, SIM_CLIENT + 2, "SessionInput", ", 'data': 'aGk='");
    AGENT_SIM_EXPECT(s, "send 2002", "NOT_FOUND");
    word(s, SIM_CLIENT + 2, "SessionSignal", ", 'signal': 9");
    assert_int_equal(agent_sim_beside(s)->state, LauncherState_RUNNING);
    word(s, SIM_CLIENT + 2, "SessionTaken", ", 'acknowledged': 5");
    assert_null(strstr(pf_buf_cstr(&s->log), "taken=5"));
}

static void test_agent_session_ends_with_its_peer(void **state)
{
    struct agent_sim *s = *state;

    ask(s, SIM_CLIENT, OPEN("'sh', 'stubborn'"));
    agent_sim_clear_log(s);
    agent_sim_peer_down(s, SIM_CLIENT);
    AGENT_SIM_EXPECT(s, "session end silent=1", "signal", " 1");
    agent_sim_pass(s, 2000);
    assert_int_not_equal(agent_sim_beside(s)->last_signal, 9);
    agent_sim_pass(s, 1001);
    assert_int_equal(agent_sim_beside(s)->last_signal, 9);
    assert_true(agent_sim_beside(s)->forgotten);
    assert_int_equal(pf_agent_deadline(s->core) < s->now_ms, 0);
}

static void test_agent_session_ends_with_its_task(void **state)
{
    struct agent_sim *s = *state;

    ask(s, SIM_CLIENT, OPEN("'sh', 'stubborn'"));
    agent_sim_clear_log(s);
    agent_sim_exit(s, 1, 0);
    assert_int_equal(agent_sim_beside(s)->last_signal, 9);
    AGENT_SIM_EXPECT(s, "session end silent=0 status=9");
}

/* What a former agent opened is a stray; what a former launcher ran, and the new one does not know,
 * has ended. */
static void test_agent_session_and_restarts(void **state)
{
    struct agent_sim *s = *state;

    ask(s, SIM_CLIENT, OPEN("'sh', 'stubborn'"));
    agent_sim_launcher_down(s);
    agent_sim_beside(s)->forgotten = true;
    agent_sim_clear_log(s);
    agent_sim_launcher_up(s, "l1");
    AGENT_SIM_EXPECT(s, "session end silent=0 status=-1 the launcher does not know it");
    ask(s, SIM_CLIENT, OPEN("'sh', 'stubborn'"));
    agent_sim_kill(s);
    agent_sim_start(s);
    assert_int_equal(agent_sim_beside(s)->last_signal, 9);
    assert_true(agent_sim_beside(s)->forgotten);
    assert_int_equal(agent_sim_process(s, 1)->state, LauncherState_RUNNING);
}

static void test_agent_sessions_are_limited(void **state)
{
    struct agent_sim *s = *state;

    for (int i = 0; i < 64; i++) {
        ask(s, SIM_CLIENT, OPEN("'sh', 'stubborn'"));
        AGENT_SIM_EXPECT(s, "SessionOpened");
    }
    ask(s, SIM_CLIENT, OPEN("'sh', 'stubborn'"));
    AGENT_SIM_EXPECT(s, "TOO_MANY");
}

static void test_agent_terminal_of_a_task(void **state)
{
    struct agent_sim *s = *state;
    const char *resize = "{'SessionResize': {'framework_id': 'f1', 'task_id': 't2', 'rows': 50, "
                         "'columns': 60}}";

    agent_sim_launch_more(s, "f1", "t2", 2, "{'value': 'sleep 9', 'keep_stdin': true}",
                          ", 'container': {'type': 'MESOS', 'tty_info': {'window_size': "
                          "{'rows': 3, 'columns': 4}}}");
    AGENT_SIM_EXPECT(s, "start 02", "terminal=4x3");
    agent_sim_clear_log(s);
    agent_sim_say_as(s, SIM_CLIENT, 0, 0, resize);
    agent_sim_run(s);
    AGENT_SIM_EXPECT(s, "terminal 02", "60x50");
    agent_sim_clear_log(s);
    agent_sim_say_as(s, SIM_CLIENT + 1, 0, 0, resize);
    agent_sim_run(s);
    assert_null(strstr(pf_buf_cstr(&s->log), "terminal"));
    agent_sim_kill(s);
    agent_sim_clear_log(s);
    agent_sim_start(s);
    AGENT_SIM_EXPECT(s, "terminal 02", "0x0");
}

static void test_agent_files_stay_in_the_sandbox(void **state)
{
    struct agent_sim *s = *state;

    ask(s, SIM_CLIENT,
        "{'ReadFile': {'framework_id': 'f1', 'task_id': 't1', 'path': 'a/b', "
        "'offset': 3}}");
    AGENT_SIM_EXPECT(s, "files read 2000 7 /w/sandboxes/f1/t1.", " a/b offset=3");
    ask(s, SIM_CLIENT, "{'ListFiles': {'framework_id': 'f1', 'task_id': 't1'}}");
    AGENT_SIM_EXPECT(s, "files list 2000 7", " . offset=0");
    ask(s, SIM_CLIENT,
        "{'WriteFile': {'framework_id': 'f1', 'task_id': 't1', 'path': 'x', "
        "'data': 'aGk=', 'mode': 420}}");
    AGENT_SIM_EXPECT(s, "files write 2000 7", " x offset=0 mode=644 bytes=2");
    for (int i = 0; i < 5; i++) {
        static const char *const bad[] = {"/etc/passwd", "..", "a/../../b", "../x", "a\\u0000b"};
        char body[200];
        (void)snprintf(body, sizeof body,
                       "{'WriteFile': {'framework_id': 'f1', 'task_id': 't1', 'path': '%s'}}",
                       bad[i]);
        ask(s, SIM_CLIENT, body);
        AGENT_SIM_EXPECT(s, "send 2000", "BAD_REQUEST");
    }
    ask(s, SIM_CLIENT + 1, "{'ListFiles': {'framework_id': 'f1', 'task_id': 't1'}}");
    AGENT_SIM_EXPECT(s, "FORBIDDEN");
    agent_sim_exit(s, 1, 0);
    ask(s, SIM_CLIENT, "{'ListFiles': {'framework_id': 'f1', 'task_id': 't1'}}");
    AGENT_SIM_EXPECT(s, "files list");
    ask(s, SIM_CLIENT, "{'WriteFile': {'framework_id': 'f1', 'task_id': 't1', 'path': 'x'}}");
    AGENT_SIM_EXPECT(s, "CONFLICT", "has ended");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_agent_session_runs_and_ends),      T(test_agent_session_tells_its_status),
        T(test_agent_session_not_started),        T(test_agent_session_is_refused),
        T(test_agent_session_is_its_peers_alone), T(test_agent_session_ends_with_its_peer),
        T(test_agent_session_ends_with_its_task), T(test_agent_session_and_restarts),
        T(test_agent_sessions_are_limited),       T(test_agent_terminal_of_a_task),
        T(test_agent_files_stay_in_the_sandbox),
    };

    return cmocka_run_group_tests_name("agent_sessions", tests, NULL, NULL);
}
