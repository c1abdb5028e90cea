/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptions of tasks and executors as the public header has them, and the messages they make;
 * and what it shows of messages. */
#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/fb/json.h"
#include "framework/lib/scheduler_internal.h"
#include "tests/support/test.h"

struct fixture {
    struct pf_arena scratch;
    struct pf_buf text;
    struct pf_err err;
};

static int setup(void **state)
{
    static struct fixture f;

    f = (struct fixture){.text = {0}};
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    pf_arena_fini(&f->scratch);
    pf_buf_fini(&f->text);
    return 0;
}

/* The message as JSON, or "problem CODE TEXT". */
static const char *show(struct fixture *f, int rc, struct pf_msg msg)
{
    pf_buf_clear(&f->text);
    if (rc < 0) {
        pf_buf_printf(&f->text, "problem %d %s", f->err.code, f->err.msg);
        assert_int_equal(f->err.code, rc);
    } else {
        assert_int_equal(
            pf_json_write(&f->text, pf_fb_root(msg.data), msg.desc, PF_JSON_NO_DEFAULTS, NULL), 0);
    }
    pf_err_clear(&f->err);
    return pf_buf_cstr(&f->text);
}

static const char *task(struct fixture *f, const struct pf_task_spec *spec, bool is_in_group)
{
    struct scheduler_ports ports = {0};
    struct pf_msg msg = {0};
    int rc =
        scheduler_task_info(&f->scratch, spec, is_in_group, PF_STR("a1"), &ports, &msg, &f->err);

    return show(f, rc, msg);
}

static const char *executor(struct fixture *f, const struct pf_executor_spec *spec)
{
    struct pf_msg msg = {0};
    int rc = scheduler_executor_info(&f->scratch, spec, &msg, &f->err);

    return show(f, rc, msg);
}

#define TASK(rest)                                                                                 \
    "{\"name\":\"t1\",\"task_id\":{\"value\":\"t1\"},\"agent_id\":{\"value\":\"a1\"}" rest "}"

static struct pf_task_spec task_spec(const char *command)
{
    struct pf_task_spec t = PF_TASK_SPEC_INIT;

    t.task_id = "t1";
    t.command = command;
    return t;
}

static struct pf_executor_spec executor_spec(const char *command)
{
    struct pf_executor_spec e = PF_EXECUTOR_SPEC_INIT;

    e.executor_id = "e1";
    e.command = command;
    return e;
}

static void test_spec_executor_has_all_it_was_given(void **state)
{
    static const char *const env[] = {"A=1", NULL}, *const labels[] = {"k=v", NULL};
    static const struct pf_uri uris[] = {
        {.value = "http://h/echo", .is_executable = true, .output_file = "echo"},
        {.value = "http://h/x.tgz", .is_kept_packed = true, .is_cached = true}};
    struct fixture *f = *state;
    struct pf_executor_spec e = executor_spec("./echo");

    e.name = "Echo";
    e.env = env;
    e.labels = labels;
    e.user = "ann";
    e.uris = uris;
    e.n_uris = 2;
    e.cpus_milli = 100;
    e.mem_bytes = 32 << 20;
    e.data = "abc";
    e.data_bytes = 3;
    e.shutdown_grace_ms = 2500;
    assert_string_equal(
        executor(f, &e),
        "{\"type\":\"CUSTOM\",\"executor_id\":{\"value\":\"e1\"},\"command\":{\"uris\":["
        "{\"value\":\"http://h/echo\",\"executable\":true,\"output_file\":\"echo\"},"
        "{\"value\":\"http://h/x.tgz\",\"extract\":false,\"cache\":true}],"
        "\"environment\":{\"variables\":[{\"name\":\"A\",\"value\":\"1\"}]},\"shell\":true,"
        "\"value\":\"./echo\",\"user\":\"ann\"},\"resources\":[{\"name\":\"cpus\",\"type\":"
        "\"SCALAR\",\"scalar\":{\"value\":0.1}},{\"name\":\"mem\",\"type\":\"SCALAR\",\"scalar\":"
        "{\"value\":32.0}}],\"name\":\"Echo\",\"data\":\"YWJj\",\"shutdown_grace_period\":"
        "{\"nanoseconds\":2500000000},\"labels\":{\"labels\":[{\"key\":\"k\",\"value\":\"v\"}]}}");
}

static void test_spec_executor_without_command_is_the_agents_own(void **state)
{
    struct fixture *f = *state;
    struct pf_executor_spec e = executor_spec(NULL);

    assert_string_equal(
        executor(f, &e),
        "{\"type\":\"DEFAULT\",\"executor_id\":{\"value\":\"e1\"},\"name\":\"e1\"}");
}

static void test_spec_executor_says_what_is_wrong(void **state)
{
    static const char *const bad[] = {"A", NULL};
    static const struct pf_uri empty = {.value = ""};
    struct fixture *f = *state;
    struct pf_executor_spec e = executor_spec("x");

    e.executor_id = "a/b";
    assert_non_null(strstr(executor(f, &e), "problem -2 executor a/b: executor_id: "));
    e = executor_spec("x");
    e.env = bad;
    assert_string_equal(executor(f, &e), "problem -2 executor e1: env: 'A' is not NAME=VALUE");
    e = executor_spec("x");
    e.uris = &empty;
    e.n_uris = 1;
    assert_string_equal(executor(f, &e), "problem -2 executor e1: uris: an empty one");
    e = executor_spec("x");
    e.size = 0;
    assert_non_null(strstr(executor(f, &e), "PF_EXECUTOR_SPEC_INIT"));
    e = executor_spec("x");
    e.merge_json = "[1]";
    assert_string_equal(executor(f, &e), "problem -2 executor e1: merge_json: not an object");
    assert_string_equal(executor(f, NULL), "problem -2 executor: missing");
}

static void test_spec_task_runs_under_an_executor(void **state)
{
    struct fixture *f = *state;
    struct pf_executor_spec e = executor_spec("./echo");
    struct pf_task_spec t = task_spec(NULL);

    t.executor = &e;
    t.data = "abc";
    t.data_bytes = 3;
    assert_string_equal(
        task(f, &t, false),
        TASK(",\"executor\":{\"type\":\"CUSTOM\",\"executor_id\":{\"value\":\"e1\"},\"command\":"
             "{\"shell\":true,\"value\":\"./echo\"},\"name\":\"e1\"},\"data\":\"YWJj\""));
    t.command = "true";
    assert_string_equal(task(f, &t, false), "problem -2 task t1: a command and an executor");
}

static void test_spec_task_needs_something_to_run_but_in_a_group(void **state)
{
    struct fixture *f = *state;
    struct pf_executor_spec e = executor_spec("./echo");
    struct pf_task_spec t = task_spec(NULL);

    assert_non_null(strstr(task(f, &t, false), "problem -2 task t1: one of command, argv"));
    assert_string_equal(task(f, &t, true), TASK(""));
    t.executor = &e;
    assert_string_equal(task(f, &t, true),
                        "problem -2 task t1: the executor of a group is named once");
}

static void test_spec_health_checks(void **state)
{
    struct fixture *f = *state;
    struct pf_task_spec t = task_spec("x");
    struct pf_health_check h = PF_HEALTH_CHECK_INIT;

#define CHECKED(check)                                                                             \
    TASK(",\"command\":{\"shell\":true,\"value\":\"x\"},\"health_check\":{" check "}")
    t.health_check = &h;
    assert_non_null(strstr(task(f, &t, false), "health_check: exactly one of"));
    h.tcp_port = 80;
    assert_string_equal(task(f, &t, false), CHECKED("\"type\":\"TCP\",\"tcp\":{\"port\":80}"));
    h.tcp_port = 0;
    h.http_port = 8080;
    h.http_path = "/ok";
    h.delay_ms = -1;
    h.interval_ms = 1500;
    h.timeout_ms = 200;
    h.grace_ms = -1;
    h.max_failures = 5;
    assert_string_equal(
        task(f, &t, false),
        CHECKED("\"delay_seconds\":0.0,\"interval_seconds\":1.5,\"timeout_seconds\":0.2,"
                "\"consecutive_failures\":5,\"grace_period_seconds\":0.0,\"type\":\"HTTP\","
                "\"http\":{\"port\":8080,\"path\":\"/ok\"}"));
    h = (struct pf_health_check)PF_HEALTH_CHECK_INIT;
    h.command = "test -e up";
    assert_string_equal(
        task(f, &t, false),
        CHECKED("\"type\":\"COMMAND\",\"command\":{\"shell\":true,\"value\":\"test -e up\"}"));
    h.interval_ms = -5;
    assert_non_null(strstr(task(f, &t, false), "far too long time"));
}

static void test_spec_merges_what_has_no_field(void **state)
{
    struct fixture *f = *state;
    struct pf_task_spec t = task_spec("x");

    t.merge_json = " {\"partition_policy\": {\"action\": \"STOP\", \"after_ms\": 5000},"
                   " \"name\": \"other\"}\n";
    assert_string_equal(
        task(f, &t, false),
        "{\"name\":\"other\",\"task_id\":{\"value\":\"t1\"},\"agent_id\":{\"value\":\"a1\"},"
        "\"command\":{\"shell\":true,\"value\":\"x\"},\"partition_policy\":{\"action\":\"STOP\","
        "\"after_ms\":5000}}");
    t.merge_json = "{ }";
    assert_string_equal(task(f, &t, false), TASK(",\"command\":{\"shell\":true,\"value\":\"x\"}"));
    t.merge_json = "{\"task_id\":{\"value\":\"t2\"}}";
    assert_string_equal(task(f, &t, false), "problem -2 task t1: json: its task_id is another one");
    t.merge_json = "{\"colour\":1}";
    assert_non_null(strstr(task(f, &t, false), "problem -2 task t1: merge_json: "));
    t.merge_json = "{\"name\":";
    assert_non_null(strstr(task(f, &t, false), "problem -2 task t1: merge_json: not an object"));
}

/* A program that was built against an older header knows fewer fields. */
static void test_spec_takes_older_structures(void **state)
{
    struct fixture *f = *state;
    struct pf_task_spec t = task_spec("x");
    struct pf_executor_spec e = executor_spec("x");

    t.size = offsetof(struct pf_task_spec, executor);
    t.executor = &e;
    t.merge_json = "nonsense";
    assert_string_equal(task(f, &t, false), TASK(",\"command\":{\"shell\":true,\"value\":\"x\"}"));
}

static struct pf_msg read_json(struct fixture *f, const struct pf_fb_table_desc *desc,
                               const char *json)
{
    struct pf_fb_builder b;
    struct pf_msg msg = {0};

    pf_fb_builder_init(&b, &f->scratch);
    assert_int_equal(pf_json_read(pf_str(json), desc, &b, &msg, PF_JSON_REFUSE_UNKNOWN, NULL), 0);
    return msg;
}

static void test_view_status_shows_what_an_executor_said(void **state)
{
    struct fixture *f = *state;
    struct pf_driver_update update = {0};
    struct pf_task_status s;

    update.status = TaskStatus__root(read_json(
        f, &TaskStatus__desc,
        "{\"task_id\":{\"value\":\"t1\"},\"state\":\"TASK_RUNNING\",\"executor_id\":{\"value\":"
        "\"e1\"},\"data\":\"YWJj\",\"healthy\":false}"));
    scheduler_status_view(&update, &s);
    assert_string_equal(s.executor_id, "e1");
    assert_int_equal(s.data_bytes, 3);
    assert_memory_equal(s.data, "abc", 3);
    assert_true(s.has_healthy && !s.is_healthy);
    update.status = TaskStatus__root(read_json(
        f, &TaskStatus__desc, "{\"task_id\":{\"value\":\"t1\"},\"state\":\"TASK_RUNNING\"}"));
    scheduler_status_view(&update, &s);
    assert_null(s.executor_id);
    assert_int_equal(s.data_bytes, 0);
    assert_false(s.has_healthy);
}

/* The status is that of wait(2). */
static void test_view_failure_tells_how_an_executor_ended(void **state)
{
    struct fixture *f = *state;
    struct pf_failure v;

#define FAILURE(more)                                                                              \
    Scheduler_Event_Failure__root(                                                                 \
        read_json(f, &Scheduler_Event_Failure__desc, "{\"agent_id\":{\"value\":\"a1\"}" more "}"))
#define OF_E1 ",\"executor_id\":{\"value\":\"e1\"}"
    scheduler_failure_view(FAILURE(OF_E1 ",\"status\":768"), &v);
    assert_string_equal(v.executor_id, "e1");
    assert_true(v.has_exit_status && v.exit_status == 3 && v.signal == 0);
    scheduler_failure_view(FAILURE(OF_E1 ",\"status\":9"), &v);
    assert_true(!v.has_exit_status && v.signal == 9);
    scheduler_failure_view(FAILURE(OF_E1 ",\"status\":-1"), &v);
    assert_true(!v.has_exit_status && v.signal == 0);
    scheduler_failure_view(FAILURE(""), &v);
    assert_string_equal(v.agent_id, "a1");
    assert_null(v.executor_id);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_spec_executor_has_all_it_was_given),
        T(test_spec_executor_without_command_is_the_agents_own),
        T(test_spec_executor_says_what_is_wrong),
        T(test_spec_task_runs_under_an_executor),
        T(test_spec_task_needs_something_to_run_but_in_a_group),
        T(test_spec_health_checks),
        T(test_spec_merges_what_has_no_field),
        T(test_spec_takes_older_structures),
        T(test_view_status_shows_what_an_executor_said),
        T(test_view_failure_tells_how_an_executor_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
