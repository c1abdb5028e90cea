/* SPDX-License-Identifier: Apache-2.0 */
/* The executor driver alone with its test: the agent says what the test lets it say (messages as
 * JSON), and what the driver does is compared as text, one line for each effect. */
#include "framework/driver/executor.h"

#include "common/base/alloc.h"
#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/limits.h"
#include "common/fb/json.h"
#include "schemas/proffer.h"
#include "tests/support/test.h"

#define IDS "\"executor_id\":{\"value\":\"e1\"},\"framework_id\":{\"value\":\"f1\"}"
#define SUBSCRIBED                                                                                 \
    "{\"type\":\"SUBSCRIBED\",\"subscribed\":{\"executor_info\":{\"executor_id\":"                 \
    "{\"value\":\"e1\"}},\"framework_info\":{\"user\":\"ann\",\"name\":\"demo\"},"                 \
    "\"agent_info\":{\"hostname\":\"h1\"}}}"
#define TASK(id)                                                                                   \
    "{\"name\":\"" id "\",\"task_id\":{\"value\":\"" id "\"},\"agent_id\":{\"value\":\"a1\"}}"
#define LAUNCH(id)     "{\"type\":\"LAUNCH\",\"launch\":{\"task\":" TASK(id) "}}"
#define KILL(id, more) "{\"type\":\"KILL\",\"kill\":{\"task_id\":{\"value\":\"" id "\"}" more "}}"
#define LISTED(id)                                                                                 \
    "{\"name\":\"" id "\",\"task_id\":{\"value\":\"" id "\"},\"agent_id\":{\"value\":\"\"}}"

struct fixture {
    struct pf_executor_driver *d;
    struct pf_turns *turns;
    struct pf_arena arena;
    int64_t now_ms;
    struct pf_buf got;
    char uuid[26]; /* of the last update, base64 */
};

static void create(struct fixture *f, int64_t recovery_ms)
{
    struct pf_executor_driver_options o = {.seed = 1,
                                           .agent = PF_STR("127.0.0.1:5051"),
                                           .token = PF_STR("secret"),
                                           .framework_id = PF_STR("f1"),
                                           .executor_id = PF_STR("e1"),
                                           .recovery_ms = recovery_ms,
                                           .grace_ms = 5000};

    pf_executor_driver_destroy(f->d);
    f->d = pf_executor_driver_create(&o);
}

static int setup(void **state)
{
    struct fixture *f = PF_NEW(struct fixture);

    f->turns = pf_turns_create(PF_BATCH_MAX_BYTES, 1);
    f->now_ms = 1000;
    create(f, 900000);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    pf_executor_driver_check(f->d);
    pf_executor_driver_destroy(f->d);
    pf_turns_destroy(f->turns);
    pf_arena_fini(&f->arena);
    pf_buf_fini(&f->got);
    pf_free(f);
    return 0;
}

/* --- what it does, as text -------------------------------------------------------------------- */

static void show_json(struct pf_buf *out, struct pf_tab t, const struct pf_fb_table_desc *desc)
{
    assert_int_equal(pf_json_write(out, t, desc, PF_JSON_NO_DEFAULTS, NULL), 0);
}

/* The uuid of an update is random: remembered, and shown as U. */
static void hide_uuid(struct fixture *f, size_t from)
{
    static const char key[] = "\"uuid\":\"";
    const char *text = pf_buf_cstr(&f->got) + from;
    struct pf_buf copy = {0};
    const char *at;

    while ((at = strstr(text, key))) {
        at += sizeof key - 1;
        pf_buf_add(&copy, text, (size_t)(at - text));
        pf_buf_add_byte(&copy, 'U');
        (void)snprintf(f->uuid, sizeof f->uuid, "%.24s", at);
        text = at + 24;
    }
    pf_buf_add_cstr(&copy, text);
    f->got.len = from;
    pf_buf_add_cstr(&f->got, pf_buf_cstr(&copy));
    pf_buf_fini(&copy);
}

static void show_send(struct fixture *f, const struct pf_effect *e)
{
    struct pf_msg msg = {0};
    struct Envelope env;
    size_t from;

    assert_int_equal(pf_fb_verify(e->message, &Envelope__desc, &msg, NULL), 0);
    env = Envelope__root(msg);
    pf_buf_printf(&f->got, "send %u ", (unsigned)e->peer);
    if (Envelope_request_id(env)) {
        pf_buf_printf(&f->got, "#%u ", (unsigned)Envelope_request_id(env));
    }
    from = f->got.len;
    show_json(&f->got, Envelope_body_as_Executor_Call(env).tab, &Executor_Call__desc);
    hide_uuid(f, from);
}

static void show_launch(struct pf_buf *out, const struct pf_executor_launch *l)
{
    pf_buf_printf(out, "launch%s", l->is_group ? " group" : "");
    for (uint32_t i = 0; i < l->n; i++) {
        pf_buf_printf(out, " %.*s", PF_STR_ARG(TaskID_value(TaskInfo_task_id(l->task[i]))));
    }
}

static void show_act(struct fixture *f, const struct pf_effect *e)
{
    const struct pf_executor_subscribed *sub = e->data;
    const struct pf_executor_kill *kill = e->data;
    const struct pf_executor_shutdown *down = e->data;
    const struct pf_bytes *data = e->data;
    const struct pf_str *text = e->data;
    const struct pf_err *err = e->data;

    switch ((enum pf_executor_act)e->act) {
    case PF_EXECUTOR_CONNECT: pf_buf_printf(&f->got, "connect %.*s", PF_STR_ARG(*text)); break;
    case PF_EXECUTOR_SUBSCRIBED:
        pf_buf_printf(
            &f->got, "subscribed on %.*s%s",
            PF_STR_ARG(AgentInfo_hostname(Executor_Event_Subscribed_agent_info(sub->event))),
            sub->is_again ? " again" : "");
        break;
    case PF_EXECUTOR_DISCONNECTED:
        pf_buf_printf(&f->got, "disconnected %d %s", err->code, err->msg);
        break;
    case PF_EXECUTOR_LAUNCH: show_launch(&f->got, e->data); break;
    case PF_EXECUTOR_KILL:
        pf_buf_printf(&f->got, "kill %.*s %d", PF_STR_ARG(kill->task_id), (int)kill->grace_ms);
        break;
    case PF_EXECUTOR_TOLD:
        pf_buf_printf(&f->got, "told %.*s", (int)data->len, (const char *)data->at);
        break;
    case PF_EXECUTOR_SHUTDOWN:
        pf_buf_printf(&f->got, "shutdown %d %.*s", (int)down->grace_ms, PF_STR_ARG(down->why));
        break;
    case PF_EXECUTOR_ERROR: pf_buf_printf(&f->got, "error %d %s", err->code, err->msg); break;
    case PF_EXECUTOR_STOPPED:
        assert_int_equal(err->code, 0);
        pf_buf_add_cstr(&f->got, "stopped");
        break;
    }
}

static void collect(struct fixture *f)
{
    const struct pf_effect *e;

    pf_executor_driver_check(f->d);
    assert_null(pf_turns_seal(f->turns));
    pf_buf_clear(&f->got);
    while ((e = pf_turns_next(f->turns))) {
        if (e->kind == PF_EFFECT_SEND) {
            show_send(f, e);
        } else if (e->kind == PF_EFFECT_CLOSE) {
            pf_buf_printf(&f->got, "close %u", (unsigned)e->peer);
        } else {
            show_act(f, e);
        }
        pf_buf_add_byte(&f->got, '\n');
    }
}

static void expect(struct fixture *f, const char *expected)
{
    collect(f);
    assert_string_equal(pf_buf_cstr(&f->got), expected);
}

static void step(struct fixture *f, struct pf_executor_event ev)
{
    ev.now_ms = f->now_ms;
    ev.wall_ms = 5000;
    pf_executor_driver_step(f->d, &ev, pf_turns_open(f->turns));
}

static void say(struct fixture *f, const char *json)
{
    struct pf_executor_event ev = {.type = PF_EXECUTOR_MESSAGE};
    struct pf_fb_builder b;
    struct pf_err err = {0};

    pf_fb_builder_init(&b, &f->arena);
    if (pf_json_read(pf_str(json), &Envelope__desc, &b, &ev.message, PF_JSON_REFUSE_UNKNOWN, &err) <
        0) {
        fail_msg("%s in %s", err.msg, json);
    }
    step(f, ev);
}

static void event(struct fixture *f, const char *json)
{
    struct pf_str text = pf_arena_printf(&f->arena, "{\"body\":{\"Executor_Event\":%s}}", json);

    say(f, text.at);
}

static void up(struct fixture *f, uint64_t peer)
{
    step(f, (struct pf_executor_event){.type = PF_EXECUTOR_LINK_UP, .peer = peer});
}

static void down(struct fixture *f)
{
    struct pf_executor_event ev = {.type = PF_EXECUTOR_LINK_DOWN};

    (void)pf_err_set(&ev.down, PF_ECONN, "broken");
    step(f, ev);
}

/* Every deadline until `ms` have passed. */
static void pass(struct fixture *f, int64_t ms)
{
    int64_t end_ms = f->now_ms + ms;

    while (pf_executor_driver_deadline(f->d) <= end_ms) {
        f->now_ms = pf_executor_driver_deadline(f->d);
        step(f, (struct pf_executor_event){.type = PF_EXECUTOR_DEADLINE});
        assert_true(pf_executor_driver_deadline(f->d) > f->now_ms);
    }
    f->now_ms = end_ms;
}

static void update(struct fixture *f, const char *id, enum TaskState state)
{
    step(f, (struct pf_executor_event){.type = PF_EXECUTOR_UPDATE,
                                       .update = {.task_id = pf_str(id), .state = state}});
}

static void acknowledge(struct fixture *f, const char *id, const char *uuid)
{
    struct pf_str text = pf_arena_printf(
        &f->arena,
        "{\"type\":\"ACKNOWLEDGED\",\"acknowledged\":{\"task_id\":{\"value\":\"%s\"},"
        "\"uuid\":\"%s\"}}",
        id, uuid);

    event(f, text.at);
}

static void given_subscribed(struct fixture *f)
{
    step(f, (struct pf_executor_event){.type = PF_EXECUTOR_START});
    up(f, 7);
    event(f, SUBSCRIBED);
    collect(f);
}

static void reconnect(struct fixture *f, uint64_t peer)
{
    down(f);
    pass(f, 400);
    up(f, peer);
}

/* The line of an update of task t1 on its way. */
#define UPDATE(peer, id, state)                                                                    \
    "send " peer " {" IDS ",\"type\":\"UPDATE\",\"update\":{\"status\":" STATUS(id, state) "}}\n"
#define STATUS(id, state)                                                                          \
    "{\"task_id\":{\"value\":\"" id "\"},\"state\":\"" state "\",\"source\":\"SOURCE_EXECUTOR\","  \
    "\"executor_id\":{\"value\":\"e1\"},\"timestamp\":5.0,\"uuid\":\"U\"}"

/* The SUBSCRIBE over the second link, which has peer 8. */
#define ONE(id, state) "{\"status\":" STATUS(id, state) "}"
#define SUBSCRIBE_AGAIN(tasks, updates)                                                            \
    "send 8 #2 {" IDS ",\"type\":\"SUBSCRIBE\",\"subscribe\":{\"unacknowledged_tasks\":[" tasks    \
    "],\"unacknowledged_updates\":[" updates "],\"token\":\"secret\"}}\n"

static void test_executor_subscribes_with_its_token(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(pf_executor_driver_deadline(f->d), INT64_MAX);
    step(f, (struct pf_executor_event){.type = PF_EXECUTOR_START});
    expect(f, "connect 127.0.0.1:5051\n");
    up(f, 7);
    expect(f, "send 7 #1 {" IDS ",\"type\":\"SUBSCRIBE\",\"subscribe\":{\"token\":\"secret\"}}\n");
    assert_false(pf_executor_driver_is_subscribed(f->d));
    event(f, SUBSCRIBED);
    expect(f, "subscribed on h1\n");
    assert_true(pf_executor_driver_is_subscribed(f->d));
    assert_int_equal(pf_executor_driver_deadline(f->d), INT64_MAX);
}

static void test_executor_runs_a_task_to_its_end(void **state)
{
    struct fixture *f = *state;
    struct pf_executor_driver_stats stats;

    given_subscribed(f);
    event(f, LAUNCH("t1"));
    expect(f, "launch t1\n");
    update(f, "t1", TaskState_TASK_RUNNING);
    expect(f, UPDATE("7", "t1", "TASK_RUNNING"));
    acknowledge(f, "t1", f->uuid);
    update(f, "t1", TaskState_TASK_FINISHED);
    expect(f, UPDATE("7", "t1", "TASK_FINISHED"));
    update(f, "t1", TaskState_TASK_FAILED); /* it is over */
    acknowledge(f, "t1", f->uuid);
    acknowledge(f, "t1", f->uuid);
    expect(f, "");
    pf_executor_driver_stats(f->d, &stats);
    assert_int_equal(stats.n_tasks + stats.n_unacknowledged, 0);
    assert_int_equal(stats.updates, 2);
    event(f, LAUNCH("t1")); /* the id may be used again */
    expect(f, "launch t1\n");
}

static void test_executor_launches_a_known_task_once(void **state)
{
    struct fixture *f = *state;
    struct pf_executor_driver_stats stats;

    given_subscribed(f);
    event(f, LAUNCH("t1"));
    event(f, LAUNCH("t1"));
    event(f, "{\"type\":\"LAUNCH_GROUP\",\"launch_group\":{\"task_group\":{\"tasks\":[" TASK(
                 "t1") "," TASK("t2") "," TASK("t3") "]}}}");
    expect(f, "launch t1\nlaunch group t2 t3\n");
    update(f, "t2", TaskState_TASK_FINISHED);
    event(f, LAUNCH("t2")); /* its end is not stored yet */
    expect(f, UPDATE("7", "t2", "TASK_FINISHED"));
    pf_executor_driver_stats(f->d, &stats);
    assert_int_equal(stats.repeated_launches, 3);
    assert_int_equal(stats.n_tasks, 2);
}

/* What the agent did not acknowledge before it went away is in the next SUBSCRIBE, in order; what
 * it did is not. */
static void test_executor_keeps_what_is_unacknowledged_over_a_restart(void **state)
{
    struct fixture *f = *state;

    given_subscribed(f);
    event(f, LAUNCH("t1"));
    event(f, LAUNCH("t2"));
    event(f, LAUNCH("t3"));
    update(f, "t1", TaskState_TASK_RUNNING);
    collect(f);
    acknowledge(f, "t1", f->uuid);
    update(f, "t2", TaskState_TASK_RUNNING);
    collect(f);
    down(f);
    expect(f, "disconnected -11 broken\n");
    update(f, "t1", TaskState_TASK_FINISHED);
    pass(f, 400);
    expect(f, "connect 127.0.0.1:5051\n");
    up(f, 8);
    expect(f, SUBSCRIBE_AGAIN(LISTED("t2") "," LISTED("t3"),
                              ONE("t2", "TASK_RUNNING") "," ONE("t1", "TASK_FINISHED")));
    update(f, "t3", TaskState_TASK_RUNNING); /* between SUBSCRIBE and its answer */
    event(f, SUBSCRIBED);
    expect(f, "subscribed on h1 again\n" UPDATE("8", "t3", "TASK_RUNNING"));
}

static void test_executor_kills_what_it_has(void **state)
{
    struct fixture *f = *state;

    given_subscribed(f);
    event(f, LAUNCH("t1"));
    event(f, KILL("t1", ",\"kill_policy\":{\"grace_period\":{\"nanoseconds\":2500000000}}"));
    event(f, KILL("t1", ""));
    event(f, KILL("nobody", ""));
    expect(f, "launch t1\nkill t1 2500\nkill t1 -1\n");
    update(f, "t1", TaskState_TASK_KILLED);
    event(f, KILL("t1", ""));
    expect(f, UPDATE("7", "t1", "TASK_KILLED"));
}

static void test_executor_messages_go_both_ways_and_wait_for_a_link(void **state)
{
    struct fixture *f = *state;
    struct pf_executor_event ping = {.type = PF_EXECUTOR_SEND,
                                     .data = {(const uint8_t *)"ping", 4}};

    step(f, ping);
    step(f, (struct pf_executor_event){.type = PF_EXECUTOR_START});
    up(f, 7);
    collect(f);
    event(f, SUBSCRIBED);
    event(f, "{\"type\":\"MESSAGE\",\"message\":{\"data\":\"cG9uZw==\"}}");
    step(f, (struct pf_executor_event){.type = PF_EXECUTOR_SEND});
    expect(f, "subscribed on h1\n"
              "send 7 {" IDS ",\"type\":\"MESSAGE\",\"message\":{\"data\":\"cGluZw==\"}}\n"
              "told pong\n"
              "send 7 {" IDS ",\"type\":\"MESSAGE\",\"message\":{\"data\":\"\"}}\n");
}

static void test_executor_shutdown_ends_when_its_tasks_are_over(void **state)
{
    struct fixture *f = *state;

    given_subscribed(f);
    event(f, LAUNCH("t1"));
    collect(f);
    event(f, "{\"type\":\"SHUTDOWN\"}");
    event(f, "{\"type\":\"SHUTDOWN\"}");
    expect(f, "shutdown 5000 the agent says so\n");
    update(f, "t1", TaskState_TASK_KILLED);
    collect(f);
    acknowledge(f, "t1", f->uuid);
    expect(f, "close 7\nstopped\n");
    assert_true(pf_executor_driver_is_ended(f->d));
    event(f, LAUNCH("t2"));
    update(f, "t1", TaskState_TASK_RUNNING);
    expect(f, "");
}

static void test_executor_shutdown_ends_after_its_grace(void **state)
{
    struct fixture *f = *state;

    given_subscribed(f);
    event(f, LAUNCH("t1"));
    event(f, "{\"type\":\"SHUTDOWN\"}");
    collect(f);
    pass(f, 4999);
    expect(f, "");
    pass(f, 1);
    expect(f, "close 7\nstopped\n");
}

static void test_executor_without_tasks_ends_at_shutdown(void **state)
{
    struct fixture *f = *state;

    step(f, (struct pf_executor_event){.type = PF_EXECUTOR_START});
    up(f, 7);
    collect(f);
    event(f, "{\"type\":\"SHUTDOWN\"}"); /* instead of SUBSCRIBED */
    expect(f, "shutdown 5000 the agent says so\nclose 7\nstopped\n");
}

static void test_executor_stop_waits_for_the_last_acknowledgement(void **state)
{
    struct fixture *f = *state;

    given_subscribed(f);
    event(f, LAUNCH("t1"));
    update(f, "t1", TaskState_TASK_FINISHED);
    step(f, (struct pf_executor_event){.type = PF_EXECUTOR_STOP});
    collect(f);
    event(f, LAUNCH("t2")); /* nothing more is told */
    reconnect(f, 8);
    event(f, SUBSCRIBED);
    expect(f, "connect 127.0.0.1:5051\n" SUBSCRIBE_AGAIN(LISTED("t1"), ONE("t1", "TASK_FINISHED")));
    acknowledge(f, "t1", f->uuid);
    expect(f, "close 8\nstopped\n");
}

static void test_executor_stop_does_not_wait_for_ever(void **state)
{
    struct fixture *f = *state;

    given_subscribed(f);
    event(f, LAUNCH("t1"));
    update(f, "t1", TaskState_TASK_FINISHED);
    step(f, (struct pf_executor_event){.type = PF_EXECUTOR_STOP});
    collect(f);
    pass(f, 60000);
    expect(f, "close 7\nstopped\n");
}

static void test_executor_shuts_down_when_the_agent_stays_away(void **state)
{
    struct fixture *f = *state;
    unsigned n = 0;

    create(f, 20000);
    given_subscribed(f);
    event(f, LAUNCH("t1"));
    down(f);
    collect(f);
    for (int64_t end_ms = f->now_ms + 19999; f->now_ms < end_ms; n++) {
        int64_t at_ms = pf_executor_driver_deadline(f->d);

        pass(f, (at_ms < end_ms ? at_ms : end_ms) - f->now_ms);
        if (f->now_ms < end_ms) {
            expect(f, "connect 127.0.0.1:5051\n");
            down(f);
        }
    }
    assert_in_range(n, 19999 / 400, 200); /* an agent that is back is found within its 2 s */
    pass(f, 1);
    collect(f);
    assert_non_null(strstr(pf_buf_cstr(&f->got), "shutdown 5000 the agent does not come back\n"));
    pass(f, 5000);
    collect(f);
    assert_non_null(strstr(pf_buf_cstr(&f->got), "stopped\n"));
}

static void test_executor_refused_is_an_error_and_busy_is_not(void **state)
{
    struct fixture *f = *state;

    step(f, (struct pf_executor_event){.type = PF_EXECUTOR_START});
    up(f, 7);
    collect(f);
    say(f, "{\"request_id\":1,\"is_reply\":true,\"code\":\"UNAVAILABLE\",\"body\":{\"Reply\":{}}}");
    expect(f, "close 7\n");
    pass(f, 400);
    up(f, 8);
    collect(f);
    say(f, "{\"request_id\":1,\"is_reply\":true,\"code\":\"FORBIDDEN\",\"body\":{\"Reply\":{}}}");
    expect(f, ""); /* of the former link */
    say(f, "{\"request_id\":2,\"is_reply\":true,\"code\":\"FORBIDDEN\",\"text\":\"a wrong token\","
           "\"body\":{\"Reply\":{}}}");
    expect(f, "close 8\nerror -7 the agent refuses: a wrong token\n");
    assert_true(pf_executor_driver_is_ended(f->d));
}

static void test_executor_error_event_ends_it(void **state)
{
    struct fixture *f = *state;

    given_subscribed(f);
    event(f, "{\"type\":\"ERROR\",\"error\":{\"message\":\"go away\"}}");
    expect(f, "close 7\nerror -16 go away\n");
}

static void test_executor_drops_an_agent_that_does_not_answer(void **state)
{
    struct fixture *f = *state;

    step(f, (struct pf_executor_event){.type = PF_EXECUTOR_START});
    up(f, 7);
    collect(f);
    pass(f, 10000);
    expect(f, "close 7\n");
    pass(f, 400);
    expect(f, "connect 127.0.0.1:5051\n");
}

/* Two processes that are the same executor put each other out: they do not hurry. */
static void test_executor_waits_longer_when_it_is_put_out_at_once(void **state)
{
    struct fixture *f = *state;

    given_subscribed(f);
    for (uint64_t peer = 8; peer < 16; peer++) {
        down(f);
        assert_true(peer < 12 || pf_executor_driver_deadline(f->d) >= f->now_ms + 200);
        pass(f, 400);
        up(f, peer);
        event(f, SUBSCRIBED);
    }
    collect(f);
}

static void test_executor_says_what_may_be_said(void **state)
{
    static const uint8_t zeros[PF_STATUS_MAX_BYTES] = {0};
    struct fixture *f = *state;
    struct pf_executor_update u = {.task_id = PF_STR("t1"),
                                   .state = TaskState_TASK_RUNNING,
                                   .data = {zeros, PF_STATUS_MAX_BYTES}};

    given_subscribed(f);
    assert_int_equal(pf_executor_driver_may_update(f->d, &u, NULL), PF_ENOENT);
    event(f, LAUNCH("t1"));
    assert_int_equal(pf_executor_driver_may_update(f->d, &u, NULL), 0);
    u.message = PF_STR("x");
    assert_int_equal(pf_executor_driver_may_update(f->d, &u, NULL), PF_ELIMIT);
    u.data.len = 0;
    u.state = TaskState_TASK_STAGING;
    assert_int_equal(pf_executor_driver_may_update(f->d, &u, NULL), PF_EINVAL);
    update(f, "t1", TaskState_TASK_FAILED);
    u.state = TaskState_TASK_RUNNING;
    assert_int_equal(pf_executor_driver_may_update(f->d, &u, NULL), PF_EEXIST);
    assert_int_equal(pf_executor_driver_may_send(f->d, PF_EXECUTOR_MESSAGE_MAX_BYTES, NULL), 0);
    assert_int_equal(pf_executor_driver_may_send(f->d, PF_EXECUTOR_MESSAGE_MAX_BYTES + 1, NULL),
                     PF_ELIMIT);
    step(f, (struct pf_executor_event){.type = PF_EXECUTOR_STOP});
    assert_int_equal(pf_executor_driver_may_update(f->d, &u, NULL), PF_ECANCELED);
    assert_int_equal(pf_executor_driver_may_send(f->d, 1, NULL), PF_ECANCELED);
    collect(f);
}

/* More updates than one SUBSCRIBE holds: the rest follows its answer, nothing is left out. */
static void test_executor_sends_more_updates_than_a_frame_holds(void **state)
{
    static const uint8_t zeros[100000] = {0};
    struct fixture *f = *state;
    struct pf_executor_event ev = {.type = PF_EXECUTOR_UPDATE};
    unsigned n = 0;

    given_subscribed(f);
    event(f, LAUNCH("t1"));
    down(f);
    ev.update = (struct pf_executor_update){
        .task_id = PF_STR("t1"), .state = TaskState_TASK_RUNNING, .data = {zeros, sizeof zeros}};
    for (int i = 0; i < 60; i++) {
        step(f, ev);
    }
    collect(f);
    pass(f, 400);
    up(f, 8);
    for (const struct pf_effect *e; (e = pf_turns_next(f->turns));) {
        assert_true(e->kind != PF_EFFECT_SEND || e->message.len < PF_FRAME_MAX_BYTES);
    }
    event(f, SUBSCRIBED);
    collect(f);
    for (const char *p = pf_buf_cstr(&f->got); (p = strstr(p, "\"type\":\"UPDATE\"")); p++) {
        n++;
    }
    assert_int_equal(n, 50);
}

static void test_executor_refuses_tasks_and_updates_over_its_limits(void **state)
{
    struct fixture *f = *state;
    struct pf_executor_driver_stats stats;
    struct pf_executor_update u = {.state = TaskState_TASK_RUNNING};
    int n;

    given_subscribed(f);
    for (int i = 0; i < 10001; i++) {
        struct pf_str id = pf_arena_printf(&f->arena, "t%d", i);
        struct pf_str text = pf_arena_printf(
            &f->arena,
            "{\"type\":\"LAUNCH\",\"launch\":{\"task\":"
            "{\"name\":\"t\",\"task_id\":{\"value\":\"%s\"},\"agent_id\":{\"value\":\"a\"}}}}",
            id.at);

        event(f, text.at);
        update(f, id.at, TaskState_TASK_RUNNING);
        if (i % 500 == 0) {
            collect(f);
            pf_arena_reset(&f->arena);
        }
    }
    pf_executor_driver_stats(f->d, &stats);
    n = (int)stats.n_tasks;
    assert_in_range(n, 5000, 10000);
    assert_int_equal(stats.refused_launches, 10001 - n);
    u.task_id = PF_STR("t0");
    for (int i = n; i < 10000; i++) {
        update(f, "t0", TaskState_TASK_RUNNING);
    }
    assert_int_equal(pf_executor_driver_may_update(f->d, &u, NULL), PF_ELIMIT);
    u.state = TaskState_TASK_FINISHED;
    assert_int_equal(pf_executor_driver_may_update(f->d, &u, NULL), 0);
    collect(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_executor_subscribes_with_its_token),
        TEST(test_executor_runs_a_task_to_its_end),
        TEST(test_executor_launches_a_known_task_once),
        TEST(test_executor_keeps_what_is_unacknowledged_over_a_restart),
        TEST(test_executor_kills_what_it_has),
        TEST(test_executor_messages_go_both_ways_and_wait_for_a_link),
        TEST(test_executor_shutdown_ends_when_its_tasks_are_over),
        TEST(test_executor_shutdown_ends_after_its_grace),
        TEST(test_executor_without_tasks_ends_at_shutdown),
        TEST(test_executor_stop_waits_for_the_last_acknowledgement),
        TEST(test_executor_stop_does_not_wait_for_ever),
        TEST(test_executor_shuts_down_when_the_agent_stays_away),
        TEST(test_executor_refused_is_an_error_and_busy_is_not),
        TEST(test_executor_error_event_ends_it),
        TEST(test_executor_drops_an_agent_that_does_not_answer),
        TEST(test_executor_waits_longer_when_it_is_put_out_at_once),
        TEST(test_executor_says_what_may_be_said),
        TEST(test_executor_sends_more_updates_than_a_frame_holds),
        TEST(test_executor_refuses_tasks_and_updates_over_its_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
