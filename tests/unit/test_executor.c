/* SPDX-License-Identifier: Apache-2.0 */
/* The executor library over real sockets, against an agent made of a listener and this test: what
 * it sends is compared as JSON, what it is sent is JSON. */
#include <poll.h>
#include <proffer/executor.h>
#include <stdlib.h>
#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/fb/json.h"
#include "common/link/envelope.h"
#include "common/net/peer.h"
#include "common/sys/clock.h"
#include "schemas/proffer.h"
#include "tests/support/net.h"

struct fixture {
    struct pf_loop *loop; /* of the agent */
    struct pf_net *net;
    char address[PF_ADDRESS_MAX];
    struct pf_link_self self;
    uint64_t peer;
    bool is_silent;      /* SUBSCRIBE is not answered */
    struct pf_buf calls; /* what it sent, one line each, without ids and uuids */
    struct pf_executor *e;
    struct pf_buf told;    /* what the callbacks got, one line each */
    bool finishes_at_once; /* on_launch says FINISHED as well */
    bool stops_on_message;
    int result;
};

/* --- the agent -------------------------------------------------------------------------------- */

static void agent_send(struct fixture *f, const char *json)
{
    struct pf_fb_builder b;
    struct pf_msg msg;
    struct pf_err err = {0};

    pf_fb_builder_init(&b, NULL);
    if (pf_json_read(pf_str(json), &Envelope__desc, &b, &msg, PF_JSON_REFUSE_UNKNOWN, &err) < 0) {
        fail_msg("%s in %s", err.msg, json);
    }
    pf_peer_send(f->net, f->peer, pf_msg_bytes(msg));
    pf_fb_builder_fini(&b);
}

static void agent_send_event(struct fixture *f, const char *event)
{
    struct pf_buf b = {0};

    pf_buf_printf(&b, "{\"body\":{\"Executor_Event\":%s}}", event);
    agent_send(f, pf_buf_cstr(&b));
    pf_buf_fini(&b);
}

static void note_update(struct fixture *f, struct TaskStatus s)
{
    struct pf_str message = TaskStatus_message(s);
    struct pf_bytes data = TaskStatus_data(s);

    pf_buf_printf(&f->calls, "update %.*s %s", PF_STR_ARG(TaskID_value(TaskStatus_task_id(s))),
                  TaskState__str((int)TaskStatus_state(s)));
    pf_buf_printf(&f->calls, " %.*s %.*s", PF_STR_ARG(message), (int)data.len,
                  data.at ? (const char *)data.at : "");
    if (TaskStatus__has_exit_status(s)) {
        pf_buf_printf(&f->calls, " exit=%d", TaskStatus_exit_status(s));
    }
    if (TaskStatus__has_healthy(s)) {
        pf_buf_printf(&f->calls, " healthy=%d", TaskStatus_healthy(s));
    }
    pf_buf_add_byte(&f->calls, '\n');
}

static void agent_acknowledge(struct fixture *f, struct TaskStatus s)
{
    struct pf_fb_builder b;
    struct pf_str id = TaskID_value(TaskStatus_task_id(s));
    struct Executor_Event__args event = {.type = {true, Executor_Event_Type_ACKNOWLEDGED}};
    struct Executor_Event_Acknowledged__args a = {.uuid = TaskStatus_uuid(s)};
    struct pf_envelope e = {.body_type = Body_Executor_Event};

    pf_fb_builder_init(&b, NULL);
    a.task_id = TaskID__put(&b, &(struct TaskID__args){.value = id});
    event.acknowledged = Executor_Event_Acknowledged__put(&b, &a);
    pf_peer_send(f->net, f->peer,
                 pf_msg_bytes(pf_envelope_finish(&b, &e, Executor_Event__put(&b, &event))));
    pf_fb_builder_fini(&b);
}

static void agent_on_subscribe(struct fixture *f, struct Executor_Call_Subscribe s)
{
    pf_buf_printf(&f->calls, "subscribe %.*s tasks=%u updates=%u\n",
                  PF_STR_ARG(Executor_Call_Subscribe_token(s)),
                  Executor_Call_Subscribe_unacknowledged_tasks__len(s),
                  Executor_Call_Subscribe_unacknowledged_updates__len(s));
    if (!f->is_silent) {
        agent_send_event(f, "{\"type\":\"SUBSCRIBED\",\"subscribed\":{\"executor_info\":"
                            "{\"executor_id\":{\"value\":\"e1\"},\"data\":\"c2V0\"},"
                            "\"framework_info\":{\"user\":\"ann\",\"name\":\"demo\"},"
                            "\"agent_info\":{\"hostname\":\"h1\",\"id\":{\"value\":\"a1\"}}}}");
    }
    for (uint32_t i = 0; i < Executor_Call_Subscribe_unacknowledged_updates__len(s); i++) {
        struct TaskStatus status =
            Executor_Call_Update_status(Executor_Call_Subscribe_unacknowledged_updates__at(s, i));

        note_update(f, status);
        agent_acknowledge(f, status);
    }
}

static void agent_on_message(void *ctx, uint64_t peer, struct pf_msg envelope)
{
    struct fixture *f = ctx;
    struct Executor_Call call = Envelope_body_as_Executor_Call(Envelope__root(envelope));
    struct pf_bytes data;

    f->peer = peer;
    assert_true(pf_str_is(ExecutorID_value(Executor_Call_executor_id(call)), "e1"));
    assert_true(pf_str_is(FrameworkID_value(Executor_Call_framework_id(call)), "f1"));
    if (Executor_Call_type(call) == Executor_Call_Type_SUBSCRIBE) {
        agent_on_subscribe(f, Executor_Call_subscribe(call));
    } else if (Executor_Call_type(call) == Executor_Call_Type_UPDATE) {
        note_update(f, Executor_Call_Update_status(Executor_Call_update(call)));
        if (!f->is_silent) {
            agent_acknowledge(f, Executor_Call_Update_status(Executor_Call_update(call)));
        }
    } else {
        assert_int_equal(Executor_Call_type(call), Executor_Call_Type_MESSAGE);
        data = Executor_Call_Message_data(Executor_Call_message(call));
        pf_buf_printf(&f->calls, "message %.*s\n", (int)data.len, (const char *)data.at);
    }
}

static void agent_on_down(void *ctx, uint64_t peer, const struct pf_err *why)
{
    struct fixture *f = ctx;

    (void)why;
    f->peer = f->peer == peer ? 0 : f->peer;
}

static void agent_on_up(void *ctx, const struct pf_peer_up *up)
{
    (void)ctx;
    assert_int_equal(up->kind, PeerKind_EXECUTOR);
}

static void agent_start(struct fixture *f, const char *address)
{
    static const struct pf_net_ops ops = {
        .on_up = agent_on_up, .on_message = agent_on_message, .on_down = agent_on_down};
    struct pf_net_options options = {.self = &f->self};
    struct pf_err err = {0};

    f->self.kind = PeerKind_AGENT;
    assert_int_equal(pf_net_create(f->loop, &options, &ops, f, &f->net, &err), 0);
    if (pf_net_listen(f->net, address, f->address, &err) < 0) {
        fail_msg("%s", err.msg);
    }
}

static void agent_stop(struct fixture *f)
{
    pf_net_destroy(f->net);
    f->net = NULL;
    f->peer = 0;
}

/* --- the executor's callbacks ----------------------------------------------------------------- */

static void on_subscribed(void *ctx, struct pf_executor *e,
                          const struct pf_executor_subscription *sub)
{
    struct fixture *f = ctx;

    assert_true(pf_executor_is_subscribed(e));
    pf_buf_printf(&f->told, "subscribed %s %s %s %s %.*s%s\n", sub->framework_id, sub->executor_id,
                  sub->agent_id, sub->hostname, (int)sub->data_bytes, (const char *)sub->data,
                  sub->is_again ? " again" : "");
}

static void on_disconnected(void *ctx, struct pf_executor *e, const char *why)
{
    assert_false(pf_executor_is_subscribed(e));
    assert_non_null(why);
    pf_buf_add_cstr(&((struct fixture *)ctx)->told, "disconnected\n");
}

static void say(struct fixture *f, const char *id, enum pf_task_state state, int exit_status)
{
    struct pf_task_update u = PF_TASK_UPDATE_INIT;
    struct pf_problem problem;

    u.task_id = id;
    u.state = state;
    u.message = "so";
    u.data = "abc";
    u.data_bytes = 3;
    u.has_healthy = u.is_healthy = state == PF_TASK_RUNNING;
    u.has_exit_status = exit_status >= 0;
    u.exit_status = exit_status;
    if (pf_executor_update(f->e, &u, &problem) < 0) {
        pf_buf_printf(&f->told, "problem %d %s\n", problem.code, problem.text);
    }
}

static void on_launch(void *ctx, struct pf_executor *e, const struct pf_task_view *task)
{
    struct fixture *f = ctx;

    pf_buf_printf(&f->told, "launch %s %s %.*s cpus=%d mem=%d", task->task_id, task->name,
                  (int)task->data_bytes, (const char *)task->data, (int)task->cpus_milli,
                  (int)task->mem_bytes);
    for (size_t i = 0; i < task->n_labels; i++) {
        pf_buf_printf(&f->told, " %s=%s", task->labels[i].key, task->labels[i].value);
    }
    pf_buf_add_byte(&f->told, '\n');
    assert_non_null(strstr(pf_executor_task_json(e, task), "\"task_id\""));
    say(f, task->task_id, PF_TASK_RUNNING, -1);
    if (f->finishes_at_once) {
        say(f, task->task_id, PF_TASK_FINISHED, 0);
    }
}

static void on_launch_group(void *ctx, struct pf_executor *e, const struct pf_task_view *tasks,
                            size_t n)
{
    struct fixture *f = ctx;

    (void)e;
    pf_buf_printf(&f->told, "group of %zu: %s...\n", n, tasks[0].task_id);
}

static void on_kill(void *ctx, struct pf_executor *e, const char *task_id, int64_t grace_ms)
{
    struct fixture *f = ctx;

    (void)e;
    pf_buf_printf(&f->told, "kill %s %d\n", task_id, (int)grace_ms);
    say(f, task_id, PF_TASK_KILLED, -1);
}

static void on_message(void *ctx, struct pf_executor *e, const void *data, size_t data_bytes)
{
    struct fixture *f = ctx;

    pf_buf_printf(&f->told, "message %.*s\n", (int)data_bytes, (const char *)data);
    assert_int_equal(pf_executor_message(e, data, data_bytes, NULL), 0);
    if (f->stops_on_message) {
        pf_executor_stop(e);
    }
}

static void on_shutdown(void *ctx, struct pf_executor *e, int64_t grace_ms, const char *why)
{
    (void)e;
    pf_buf_printf(&((struct fixture *)ctx)->told, "shutdown %d %s\n", (int)grace_ms, why);
}

static void on_error(void *ctx, struct pf_executor *e, const struct pf_problem *problem)
{
    (void)e;
    pf_buf_printf(&((struct fixture *)ctx)->told, "error %d %s\n", problem->code, problem->text);
}

static struct pf_executor_callbacks all_callbacks(void)
{
    struct pf_executor_callbacks c = PF_EXECUTOR_CALLBACKS_INIT;

    c.on_subscribed = on_subscribed;
    c.on_disconnected = on_disconnected;
    c.on_launch = on_launch;
    c.on_launch_group = on_launch_group;
    c.on_kill = on_kill;
    c.on_message = on_message;
    c.on_shutdown = on_shutdown;
    c.on_error = on_error;
    return c;
}

/* --- both in turns ---------------------------------------------------------------------------- */

static const char *const variables[] = {"PROFFER_AGENT",
                                        "PROFFER_EXECUTOR_TOKEN",
                                        "PROFFER_FRAMEWORK_ID",
                                        "PROFFER_EXECUTOR_ID",
                                        "MESOS_FRAMEWORK_ID",
                                        "MESOS_EXECUTOR_ID",
                                        "MESOS_EXECUTOR_AUTHENTICATION_TOKEN",
                                        "MESOS_RECOVERY_TIMEOUT",
                                        "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD"};

static int setup(void **state)
{
    struct fixture *f = PF_NEW(struct fixture);

    for (size_t i = 0; i < PF_ARRAY_LEN(variables); i++) {
        assert_int_equal(unsetenv(variables[i]), 0);
    }
    assert_int_equal(pf_loop_create(&f->loop, NULL), 0);
    agent_start(f, "127.0.0.1:0");
    assert_int_equal(setenv("PROFFER_AGENT", f->address, 1), 0);
    assert_int_equal(setenv("PROFFER_EXECUTOR_TOKEN", "secret", 1), 0);
    assert_int_equal(setenv("PROFFER_FRAMEWORK_ID", "f1", 1), 0);
    assert_int_equal(setenv("PROFFER_EXECUTOR_ID", "e1", 1), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    pf_executor_destroy(f->e);
    agent_stop(f);
    pf_loop_destroy(f->loop);
    pf_buf_fini(&f->calls);
    pf_buf_fini(&f->told);
    pf_free(f);
    return 0;
}

static void create(struct fixture *f, struct pf_executor_callbacks callbacks)
{
    struct pf_executor_options o = PF_EXECUTOR_OPTIONS_INIT;
    struct pf_problem problem;

    if (pf_executor_create(&o, &callbacks, f, &f->e, &problem) < 0) {
        fail_msg("%s", problem.text);
    }
}

/* One turn of each, inside a poll of both: the executor as its owner would embed it. */
static void turn(struct fixture *f, int64_t until_ms)
{
    struct pollfd p[2] = {{.events = POLLIN}, {.events = POLLIN}};
    int wait_ms = pf_executor_wait_ms(f->e);

    assert_int_equal(pf_executor_fd(f->e, &p[0].fd, NULL), 0);
    assert_int_equal(pf_loop_fd(f->loop, &p[1].fd, NULL), 0);
    (void)poll(p, 2, wait_ms < 0 || wait_ms > 20 ? 20 : wait_ms);
    if (f->result == 0) {
        f->result = pf_executor_process(f->e, NULL);
    }
    assert_int_equal(pf_loop_turn(f->loop, false, NULL), 0);
    assert_true(pf_now_ms() < until_ms);
}

#define TURN_UNTIL(f, cond)                                                                        \
    for (int64_t until_ = pf_now_ms() + TEST_NET_MS_MAX; !(cond);) {                               \
        turn(f, until_);                                                                           \
    }

static bool has_called(struct fixture *f, const char *what)
{
    return strstr(pf_buf_cstr(&f->calls), what) != NULL;
}

static bool was_told(struct fixture *f, const char *what)
{
    return strstr(pf_buf_cstr(&f->told), what) != NULL;
}

static void given_subscribed(struct fixture *f)
{
    create(f, all_callbacks());
    TURN_UNTIL(f, was_told(f, "subscribed"));
}

#define TASK(id)                                                                                   \
    "{\"name\":\"n\",\"task_id\":{\"value\":\"" id "\"},\"agent_id\":{\"value\":\"a1\"},"          \
    "\"data\":\"YWJj\",\"resources\":[{\"name\":\"cpus\",\"type\":\"SCALAR\",\"scalar\":"          \
    "{\"value\":0.5}},{\"name\":\"mem\",\"type\":\"SCALAR\",\"scalar\":{\"value\":1.0}}],"         \
    "\"labels\":{\"labels\":[{\"key\":\"k\",\"value\":\"v\"}]}}"
#define LAUNCH(id) "{\"type\":\"LAUNCH\",\"launch\":{\"task\":" TASK(id) "}}"

/* --- tests ------------------------------------------------------------------------------------ */

static void test_executor_runs_tasks(void **state)
{
    struct fixture *f = *state;

    given_subscribed(f);
    assert_string_equal(pf_buf_cstr(&f->told), "subscribed f1 e1 a1 h1 set\n");
    assert_string_equal(pf_buf_cstr(&f->calls), "subscribe secret tasks=0 updates=0\n");
    pf_buf_clear(&f->told);
    pf_buf_clear(&f->calls);
    agent_send_event(f, LAUNCH("t1"));
    agent_send_event(f, "{\"type\":\"KILL\",\"kill\":{\"task_id\":{\"value\":\"t1\"}}}");
    agent_send_event(
        f, "{\"type\":\"LAUNCH_GROUP\",\"launch_group\":{\"task_group\":{\"tasks\":[" TASK(
               "t2") "," TASK("t3") "]}}}");
    agent_send_event(f, "{\"type\":\"MESSAGE\",\"message\":{\"data\":\"cGluZw==\"}}");
    TURN_UNTIL(f, has_called(f, "message"));
    assert_string_equal(pf_buf_cstr(&f->told), "launch t1 n abc cpus=500 mem=1048576 k=v\n"
                                               "kill t1 -1\ngroup of 2: t2...\nmessage ping\n");
    assert_string_equal(pf_buf_cstr(&f->calls), "update t1 TASK_RUNNING so abc healthy=1\n"
                                                "update t1 TASK_KILLED so abc\nmessage ping\n");
}

/* The agent dies and is back at the same address: what it did not acknowledge comes again. */
static void test_executor_rides_through_an_agent_restart(void **state)
{
    struct fixture *f = *state;

    given_subscribed(f);
    f->is_silent = true;
    agent_send_event(f, LAUNCH("t1"));
    TURN_UNTIL(f, has_called(f, "TASK_RUNNING"));
    agent_stop(f);
    TURN_UNTIL(f, was_told(f, "disconnected"));
    say(f, "t1", PF_TASK_FINISHED, 3);
    f->is_silent = false;
    pf_buf_clear(&f->calls);
    pf_buf_clear(&f->told);
    agent_start(f, getenv("PROFFER_AGENT"));
    TURN_UNTIL(f, was_told(f, "again"));
    assert_string_equal(pf_buf_cstr(&f->calls), "subscribe secret tasks=1 updates=2\n"
                                                "update t1 TASK_RUNNING so abc healthy=1\n"
                                                "update t1 TASK_FINISHED so abc exit=3\n");
}

static void test_executor_ends_at_shutdown(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(setenv("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "1500ms", 1), 0);
    given_subscribed(f);
    agent_send_event(f, LAUNCH("t1"));
    agent_send_event(f, "{\"type\":\"SHUTDOWN\"}");
    TURN_UNTIL(f, was_told(f, "shutdown 1500 the agent says so"));
    assert_int_equal(f->result, 0);
    say(f, "t1", PF_TASK_KILLED, -1);
    TURN_UNTIL(f, f->result != 0);
    assert_int_equal(f->result, 1);
    assert_true(has_called(f, "update t1 TASK_KILLED"));
}

static void test_executor_stops_when_all_is_stored(void **state)
{
    struct fixture *f = *state;

    f->finishes_at_once = f->stops_on_message = true;
    given_subscribed(f);
    agent_send_event(f, LAUNCH("t1"));
    agent_send_event(f, "{\"type\":\"MESSAGE\",\"message\":{\"data\":\"cGluZw==\"}}");
    TURN_UNTIL(f, f->result != 0);
    assert_int_equal(f->result, 1);
    assert_true(has_called(f, "update t1 TASK_FINISHED so abc exit=0"));
    assert_true(has_called(f, "message ping"));
    say(f, "t1", PF_TASK_RUNNING, -1);
    assert_true(was_told(f, "problem -16 the executor has stopped"));
}

static void test_executor_without_callbacks_refuses_tasks_and_stops(void **state)
{
    struct pf_executor_callbacks none = PF_EXECUTOR_CALLBACKS_INIT;
    struct fixture *f = *state;

    create(f, none);
    TURN_UNTIL(f, has_called(f, "subscribe"));
    agent_send_event(f, LAUNCH("t1"));
    agent_send_event(f, "{\"type\":\"SHUTDOWN\"}");
    TURN_UNTIL(f, f->result != 0);
    assert_int_equal(f->result, 1);
    assert_true(has_called(f, "update t1 TASK_FAILED this executor takes no tasks"));
}

static void test_executor_ends_when_it_is_refused(void **state)
{
    struct fixture *f = *state;

    f->is_silent = true;
    create(f, all_callbacks());
    TURN_UNTIL(f, has_called(f, "subscribe"));
    agent_send(f, "{\"request_id\":1,\"is_reply\":true,\"code\":\"FORBIDDEN\",\"text\":"
                  "\"a wrong token\",\"body\":{\"Reply\":{}}}");
    TURN_UNTIL(f, f->result != 0);
    assert_int_equal(f->result, PF_ERROR_ACCESS);
    assert_string_equal(pf_buf_cstr(&f->told), "error -7 the agent refuses: a wrong token\n");
}

static void test_executor_shuts_down_without_its_agent(void **state)
{
    struct fixture *f = *state;

    agent_stop(f);
    assert_int_equal(setenv("MESOS_RECOVERY_TIMEOUT", "200ms", 1), 0);
    create(f, all_callbacks());
    TURN_UNTIL(f, f->result != 0);
    assert_int_equal(f->result, 1);
    assert_string_equal(pf_buf_cstr(&f->told), "shutdown 5000 the agent does not come back\n");
}

static void test_executor_says_what_is_wrong_with_a_call(void **state)
{
    struct fixture *f = *state;
    static const char big[(512 << 10) + 1] = "";
    struct pf_problem problem;

    given_subscribed(f);
    pf_buf_clear(&f->told);
    say(f, "t9", PF_TASK_RUNNING, -1);
    assert_string_equal(pf_buf_cstr(&f->told), "problem -5 there is no task t9\n");
    assert_int_equal(pf_executor_message(f->e, big, sizeof big, &problem), PF_ERROR_LIMIT);
}

static void expect_create_problem(const char *words)
{
    struct pf_executor_options o = PF_EXECUTOR_OPTIONS_INIT;
    struct pf_executor_callbacks c = PF_EXECUTOR_CALLBACKS_INIT;
    struct pf_executor *e = NULL;
    struct pf_problem problem = {0, ""};

    assert_int_equal(pf_executor_create(&o, &c, NULL, &e, &problem), PF_ERROR_INVALID);
    assert_null(e);
    if (!strstr(problem.text, words)) {
        fail_msg("'%s' does not say '%s'", problem.text, words);
    }
}

static void test_executor_reads_its_environment(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(unsetenv("PROFFER_EXECUTOR_TOKEN"), 0);
    assert_int_equal(unsetenv("PROFFER_FRAMEWORK_ID"), 0);
    assert_int_equal(unsetenv("PROFFER_EXECUTOR_ID"), 0);
    expect_create_problem("PROFFER_FRAMEWORK_ID is not set: not started by an agent");
    assert_int_equal(setenv("MESOS_FRAMEWORK_ID", "f1", 1), 0);
    assert_int_equal(setenv("MESOS_EXECUTOR_ID", "e1", 1), 0);
    assert_int_equal(setenv("MESOS_EXECUTOR_AUTHENTICATION_TOKEN", "theirs", 1), 0);
    assert_int_equal(setenv("MESOS_RECOVERY_TIMEOUT", "soon", 1), 0);
    expect_create_problem("MESOS_RECOVERY_TIMEOUT");
    assert_int_equal(setenv("MESOS_RECOVERY_TIMEOUT", "15mins", 1), 0);
    given_subscribed(f);
    assert_string_equal(pf_buf_cstr(&f->calls), "subscribe theirs tasks=0 updates=0\n");
    assert_int_equal(unsetenv("PROFFER_AGENT"), 0);
    expect_create_problem("PROFFER_AGENT is not set");
    assert_int_equal(setenv("PROFFER_AGENT", "nowhere", 1), 0);
    expect_create_problem("PROFFER_AGENT");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_executor_runs_tasks),
        T(test_executor_rides_through_an_agent_restart),
        T(test_executor_ends_at_shutdown),
        T(test_executor_stops_when_all_is_stored),
        T(test_executor_without_callbacks_refuses_tasks_and_stops),
        T(test_executor_ends_when_it_is_refused),
        T(test_executor_shuts_down_without_its_agent),
        T(test_executor_says_what_is_wrong_with_a_call),
        T(test_executor_reads_its_environment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
