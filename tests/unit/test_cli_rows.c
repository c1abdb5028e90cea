/* SPDX-License-Identifier: Apache-2.0 */
/* From what the master sends to what scripts read: one golden line for each entity. */
#include "framework/cli/entity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "common/base/alloc.h"
#include "common/fb/json.h"

static const struct pf_command verb = {.name = "things", .sets = PF_SET_OUTPUT};

struct fixture {
    struct pf_cli cli;
    struct pf_output *o;
    char *text;
    size_t len;
    struct pf_arena arena;
};

static const char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

static int setup(void **state)
{
    *state = PF_NEW(struct fixture);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    pf_arena_fini(&f->cli.arena);
    pf_arena_fini(&f->arena);
    free(f->text);
    pf_free(f);
    return 0;
}

static void begin(struct fixture *f, const struct pf_columns *columns, const char *only)
{
    const char *argv[] = {"-ojsonl", "--columns", only};
    const char *hint = NULL;
    f->cli.env = no_environment;
    f->cli.out = open_memstream(&f->text, &f->len);
    assert_int_equal(pf_args_parse(&verb, only != NULL ? 3 : 1, (char *const *)(uintptr_t)argv,
                                   &f->cli.arena, &f->cli.args, &hint, NULL), 0);
    assert_int_equal(pf_output_open(&f->cli, columns, &f->o), 0);
}

static void end(struct fixture *f, const char *want)
{
    pf_output_put(f->o);
    (void)pf_output_close(f->o);
    (void)fclose(f->cli.out);
    assert_string_equal(f->text, want);
}

static struct pf_msg message(struct fixture *f, const struct pf_fb_table_desc *desc,
                             const char *json)
{
    struct pf_fb_builder b;
    struct pf_msg msg = {0};
    struct pf_err err = {0};
    pf_fb_builder_init(&b, &f->arena);
    if (pf_json_read(pf_str(json), desc, &b, &msg, 0, &err) != 0) {
        fail_msg("%s", err.msg);
    }
    return msg;
}

#define SCALAR(name, v) \
    "{\"name\":\"" name "\",\"type\":\"SCALAR\",\"scalar\":{\"value\":" v "}}"

static void test_rows_task(void **state)
{
    struct fixture *f = *state;
    struct pf_msg msg = message(
        f, &Task__desc,
        "{\"name\":\"n\",\"task_id\":{\"value\":\"f1.0\"},\"framework_id\":{\"value\":\"f1\"},"
        "\"agent_id\":{\"value\":\"a\"},\"state\":\"TASK_FAILED\",\"user\":\"joe\",\"role\":\"r\","
        "\"command\":\"false\",\"exit_status\":1,\"created_ms\":1763704800123,"
        "\"started_ms\":1763704800124,"
        "\"resources\":[" SCALAR("cpus", "0.5") "," SCALAR("mem", "32") "],"
        "\"statuses\":[{\"task_id\":{\"value\":\"f1.0\"},\"state\":\"TASK_RUNNING\","
        "\"source\":\"SOURCE_EXECUTOR\",\"timestamp\":1763704800.124},"
        "{\"task_id\":{\"value\":\"f1.0\"},\"state\":\"TASK_FAILED\",\"message\":\"bad\","
        "\"reason\":\"REASON_COMMAND_EXECUTOR_FAILED\",\"healthy\":false}]}");
    begin(f, &pf_task_columns, NULL);
    pf_task_row(f->o, Task__root(msg), pf_output_row(f->o));
    end(f, "{\"id\":\"f1.0\",\"name\":\"n\",\"state\":\"TASK_FAILED\",\"waiting_reason\":null,"
           "\"agent_id\":\"a\",\"framework_id\":\"f1\",\"role\":\"r\",\"user\":\"joe\","
           "\"command\":\"false\",\"resources\":{\"cpus\":0.500,\"mem_bytes\":33554432,"
           "\"disk_bytes\":0,\"gpus\":0,\"ports\":[]},\"exit_status\":1,\"signal\":null,"
           "\"reason\":\"REASON_COMMAND_EXECUTOR_FAILED\",\"message\":\"bad\",\"healthy\":false,"
           "\"sandbox\":null,\"created_at\":\"2025-11-21T06:00:00.123Z\","
           "\"started_at\":\"2025-11-21T06:00:00.124Z\",\"finished_at\":null,\"count\":1,"
           "\"memory_peak_bytes\":null,\"history\":[{\"state\":\"TASK_RUNNING\","
           "\"at\":\"2025-11-21T06:00:00.124Z\",\"source\":\"executor\",\"reason\":null,"
           "\"message\":null},{\"state\":\"TASK_FAILED\",\"at\":null,\"source\":null,"
           "\"reason\":\"REASON_COMMAND_EXECUTOR_FAILED\",\"message\":\"bad\"}]}\n");
}

#define FRAMEWORK                                                                             \
    "{\"framework_info\":{\"user\":\"joe\",\"name\":\"hello\",\"id\":{\"value\":\"f1\"}},"     \
    "\"active\":true,\"connected\":true,\"recovered\":false,\"role\":\"run/joe\","             \
    "\"n_tasks\":2,\"n_offers\":1,\"has_demands\":true,\"demands\":[{\"id\":\"d\",\"count\":3," \
    "\"id_prefix\":\"f1\",\"name\":\"hello\",\"command\":\"true\",\"waiting_reason\":\"why\"," \
    "\"resources\":[" SCALAR("cpus", "1") "],"                                                \
    "\"constraints\":[{\"attribute\":\"rack\",\"value\":\"a\"}]}]}"

static void test_rows_framework(void **state)
{
    struct fixture *f = *state;
    struct pf_msg msg = message(f, &Master_Response_GetFrameworks_Framework__desc, FRAMEWORK);
    begin(f, &pf_framework_columns, NULL);
    pf_framework_row(f->o, Master_Response_GetFrameworks_Framework__root(msg), false,
                     pf_output_row(f->o));
    end(f, "{\"id\":\"f1\",\"name\":\"hello\",\"user\":\"joe\",\"role\":\"run/joe\","
           "\"state\":\"ACTIVE\",\"connected\":true,\"tasks\":2,\"used\":{\"cpus\":0.000,"
           "\"mem_bytes\":0,\"disk_bytes\":0,\"gpus\":0,\"ports\":[]},\"held_offers\":1,"
           "\"demand\":[{\"id\":\"d\",\"count\":3,\"name\":\"hello\",\"command\":\"true\","
           "\"resources\":{\"cpus\":1.000,\"mem_bytes\":0,\"disk_bytes\":0,\"gpus\":0,"
           "\"ports\":[]},\"constraints\":[{\"attribute\":\"rack\",\"op\":\"EQUALS\","
           "\"value\":\"a\"}],\"waiting_reason\":\"why\"}]}\n");
}

/* The ids that waiting tasks will have, as far as they are known. */
static void test_rows_waiting_task(void **state)
{
    static const struct {
        const char *prefix, *id;
    } table[] = {{"f1", "f1.*"}, {"f1.", "f1.*"}, {"", "f1.*"}, {"web-", "f1.web-*"}};
    struct fixture *f = *state;
    struct pf_msg msg = message(f, &Master_Response_GetFrameworks_Framework__desc, FRAMEWORK);
    struct Master_Response_GetFrameworks_Framework framework =
        Master_Response_GetFrameworks_Framework__root(msg);
    for (size_t i = 0; i < PF_ARRAY_LEN(table); i++) {
        char json[128], want[256];
        (void)snprintf(json, sizeof json,
                       "{\"id\":\"d\",\"count\":3,\"id_prefix\":\"%s\",\"waiting_reason\":\"w\"}",
                       table[i].prefix);
        (void)snprintf(want, sizeof want,
                       "{\"id\":\"%s\",\"state\":\"TASK_WAITING\",\"waiting_reason\":\"w\","
                       "\"role\":\"run/joe\",\"user\":\"joe\",\"agent_id\":null,\"count\":3}\n",
                       table[i].id);
        struct pf_msg demand = message(f, &Demand__desc, json);
        begin(f, &pf_task_columns, "id,state,waiting_reason,role,user,agent_id,count");
        pf_waiting_row(f->o, Demand__root(demand), framework, pf_output_row(f->o));
        end(f, want);
        free(f->text);
        f->text = NULL;
    }
}

static void test_rows_agent(void **state)
{
    struct fixture *f = *state;
    struct pf_msg msg = message(
        f, &Master_Response_GetAgents_Agent__desc,
        "{\"agent_info\":{\"hostname\":\"h\",\"id\":{\"value\":\"0123456789\"},\"attributes\":["
        "{\"name\":\"rack\",\"type\":\"TEXT\",\"text\":{\"value\":\"a\"}},"
        "{\"name\":\"weight\",\"type\":\"SCALAR\",\"scalar\":{\"value\":1.5}},"
        "{\"name\":\"span\",\"type\":\"RANGES\",\"ranges\":{\"range\":[{\"begin\":1,\"end\":2}]}}"
        "]},\"active\":true,\"version\":\"0.1.0\",\"pid\":\"42\",\"address\":\"h:1\","
        "\"state\":\"REGISTERED\",\"n_tasks\":7,\"last_seen_ms\":5000,"
        "\"total_resources\":[" SCALAR("cpus", "2") ",{\"name\":\"ports\",\"type\":\"RANGES\","
        "\"ranges\":{\"range\":[{\"begin\":31000,\"end\":32000}]}}]}");
    begin(f, &pf_agent_columns, "id,hostname,address,pid,state,attributes,resources,tasks,version,"
                                "last_seen_ms");
    pf_agent_row(f->o, Master_Response_GetAgents_Agent__root(msg), 5250, pf_output_row(f->o));
    end(f, "{\"id\":\"0123456789\",\"hostname\":\"h\",\"address\":\"h:1\",\"pid\":42,"
           "\"state\":\"REGISTERED\",\"attributes\":{\"rack\":\"a\",\"weight\":1.5,"
           "\"span\":[[1,2]]},\"resources\":{\"cpus\":2.000,\"mem_bytes\":0,\"disk_bytes\":0,"
           "\"gpus\":0,\"ports\":[[31000,32000]]},\"tasks\":7,\"version\":\"0.1.0\","
           "\"last_seen_ms\":250}\n");
}

static void test_rows_offer(void **state)
{
    struct fixture *f = *state;
    struct pf_msg msg = message(
        f, &Offer__desc,
        "{\"id\":{\"value\":\"o1\"},\"framework_id\":{\"value\":\"f1\"},\"hostname\":\"h\","
        "\"agent_id\":{\"value\":\"a1\"},\"created_ms\":1000,"
        "\"allocation_info\":{\"role\":\"r\"},\"resources\":[" SCALAR("gpus", "1") "]}");
    begin(f, &pf_offer_columns, NULL);
    pf_offer_row(f->o, Offer__root(msg), 4000, pf_output_row(f->o));
    end(f, "{\"id\":\"o1\",\"agent_id\":\"a1\",\"framework_id\":\"f1\",\"role\":\"r\","
           "\"resources\":{\"cpus\":0.000,\"mem_bytes\":0,\"disk_bytes\":0,\"gpus\":1,"
           "\"ports\":[]},\"age_ms\":3000}\n");
}

static void test_rows_master(void **state)
{
    struct fixture *f = *state;
    struct pf_msg msg = message(f, &MasterView__desc,
                                "{\"id\":\"m\",\"address\":\"h:5055\",\"http_address\":\"h:5050\","
                                "\"pid\":9,\"leading\":true,\"epoch\":3,\"state\":\"leading\"}");
    begin(f, &pf_master_columns, NULL);
    pf_master_row(f->o, MasterView__root(msg), pf_output_row(f->o));
    end(f, "{\"id\":\"m\",\"address\":\"h:5055\",\"http_address\":\"h:5050\",\"pid\":9,"
           "\"leading\":true,\"epoch\":3,\"state\":\"leading\",\"lag\":null,\"version\":null}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rows_task, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rows_framework, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rows_waiting_task, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rows_agent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rows_offer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rows_master, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
