/* SPDX-License-Identifier: Apache-2.0 */
/* Rows in every form: tables, JSON, ids; columns, filters; the keys that scripts rely on. */
#include "framework/cli/output.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "framework/cli/cell.h"
#include "framework/cli/entity.h"

enum { ID, STATE, SIZE, TASKS, DONE, AT, AGE, EXTRA };
static const struct pf_column columns[] = {
    [ID] = {"id", PF_CELL_TEXT, true},
    [STATE] = {"state", PF_CELL_TEXT, true},
    [SIZE] = {"resources", PF_CELL_RESOURCES, true},
    [TASKS] = {"tasks", PF_CELL_INT, true},
    [DONE] = {"done", PF_CELL_BOOL, false},
    [AT] = {"created_at", PF_CELL_TIME, false},
    [AGE] = {"age_ms", PF_CELL_MS, true},
    [EXTRA] = {"extra", PF_CELL_RAW, false},
};
static const struct pf_columns entity = PF_COLUMNS(columns);

static const struct pf_command verb = {.name = "things", .max_operands = 0,
                                       .sets = PF_SET_OUTPUT};

static const char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

static void fill(struct pf_output *o)
{
    struct pf_cell *row = pf_output_row(o);
    struct pf_resources *r = pf_output_resources(o);
    assert_int_equal(pf_res_parse(PF_STR("cpus:1.5;mem:512.5;ports:[10-12,20-20]"), r, NULL), 0);
    pf_cell_text(&row[ID], PF_STR("k7m2.0"));
    pf_cell_name(&row[STATE], PF_STR("TASK_RUNNING"));
    pf_cell_resources(&row[SIZE], r);
    pf_cell_num(&row[TASKS], 12);
    pf_cell_num(&row[DONE], 1);
    pf_cell_time(&row[AT], 1763704800123);
    pf_cell_num(&row[AGE], 90000);
    row[EXTRA] = (struct pf_cell){.is_set = true, .json = PF_STR("{\"a\":1}"), .text = PF_STR("a")};
    pf_output_put(o);
    row = pf_output_row(o);
    pf_cell_text(&row[ID], PF_STR("b\tc"));
    row[ID].shown = PF_STR("b\t");
    pf_cell_name(&row[STATE], PF_STR("TASK_LOST"));
    pf_output_put(o);
}

/* What is printed for the options; "" and the status where they are refused. */
static char *printed(const char *const *argv, int argc, int *out_status, bool as_record)
{
    struct pf_cli cli = {.env = no_environment};
    struct pf_err err = {0};
    const char *hint = NULL;
    char *text = NULL, *said = NULL;
    size_t len = 0, n_said = 0;
    cli.out = open_memstream(&text, &len);
    cli.err = open_memstream(&said, &n_said);
    assert_int_equal(pf_args_parse(&verb, argc, (char *const *)(uintptr_t)argv, &cli.arena,
                                   &cli.args, &hint, &err), 0);
    struct pf_output *o = NULL;
    *out_status = pf_output_open(&cli, &entity, &o);
    if (*out_status == 0) {
        if (as_record) {
            pf_output_as_record(o);
        }
        fill(o);
        (void)pf_output_close(o);
    }
    (void)fclose(cli.out);
    (void)fclose(cli.err);
    free(said);
    pf_arena_fini(&cli.arena);
    return text;
}

static void expect(const char *const *argv, int argc, const char *want)
{
    int status = -1;
    char *text = printed(argv, argc, &status, false);
    assert_int_equal(status, 0);
    assert_string_equal(text, want);
    free(text);
}
#define EXPECT(want, ...)                                                            \
    do {                                                                             \
        static const char *const argv_[] = {"--quiet", __VA_ARGS__};                 \
        expect(argv_ + 1, (int)PF_ARRAY_LEN(argv_) - 1, (want));                     \
    } while (0)

static void test_output_table(void **state)
{
    (void)state;
    expect(NULL, 0,
           "ID      STATE         RESOURCES        TASKS  AGE MS\n"
           "k7m2.0  TASK_RUNNING  1.5 cpu, 512.5M     12  1m30s\n"
           "b       TASK_LOST     -                    -  -\n");
    EXPECT("k7m2.0  yes\nb       -\n", "--no-header", "--columns", "id,done");
    EXPECT("TASKS  ID\n   12  k7m2.0\n    -  b \n", "--columns=tasks,id");
}

static void test_output_json(void **state)
{
    (void)state;
    EXPECT("[\n"
           "{\"id\":\"k7m2.0\",\"state\":\"TASK_RUNNING\",\"resources\":{\"cpus\":1.500,"
           "\"mem_bytes\":537395200,\"disk_bytes\":0,\"gpus\":0,\"ports\":[[10,12],[20,20]]},"
           "\"tasks\":12,\"done\":true,\"created_at\":\"2025-11-21T06:00:00.123Z\","
           "\"age_ms\":90000,"
           "\"extra\":{\"a\":1}},\n"
           "{\"id\":\"b\\tc\",\"state\":\"TASK_LOST\",\"resources\":null,\"tasks\":null,"
           "\"done\":null,\"created_at\":null,\"age_ms\":null,\"extra\":null}\n"
           "]\n", "-o", "json");
    EXPECT("{\"id\":\"k7m2.0\",\"tasks\":12}\n{\"id\":\"b\\tc\",\"tasks\":null}\n", "-ojsonl",
           "--columns", "id,tasks");
    EXPECT("[]\n", "-o", "json", "--filter", "id=nobody");
}

static void test_output_ids_only(void **state)
{
    (void)state;
    EXPECT("k7m2.0\nb\tc\n", "-q");
    EXPECT("k7m2.0\n", "-q", "--filter", "state=running");
}

static void test_output_filters(void **state)
{
    (void)state;
    EXPECT("k7m2.0\n", "-q", "--filter", "state=TASK_RUNNING");
    EXPECT("k7m2.0\n", "-q", "--filter", "state=task_run*");
    EXPECT("b\tc\n", "-q", "--filter", "state=Lost");
    EXPECT("k7m2.0\n", "-q", "--filter", "id=k7*", "--filter", "tasks=12");
    EXPECT("", "-q", "--filter", "id=k7*", "--filter", "tasks=1");
    EXPECT("k7m2.0\n", "-q", "--filter", "done=true");
    EXPECT("b\tc\n", "-q", "--filter", "tasks=");
}

static void test_output_refuses_unknown_keys(void **state)
{
    static const char *const refused[][2] = {
        {"--columns", "id,colour"}, {"--columns", ""}, {"--filter", "colour=red"},
        {"--filter", "running"}};
    int status = -1;
    (void)state;
    for (size_t i = 0; i < PF_ARRAY_LEN(refused); i++) {
        char *text = printed(refused[i], 2, &status, false);
        assert_int_equal(status, PF_EXIT_USAGE);
        assert_string_equal(text, "");
        free(text);
    }
}

static void test_output_record(void **state)
{
    static const char *const argv[] = {"--filter", "id=b*"};
    int status = -1;
    (void)state;
    char *text = printed(argv, 2, &status, true);
    assert_string_equal(text, "id          b \n"
                              "state       TASK_LOST\n"
                              "resources   -\n"
                              "tasks       -\n"
                              "done        -\n"
                              "created_at  -\n"
                              "age_ms      -\n"
                              "extra       -\n");
    free(text);
}

static void test_output_width_counts_characters(void **state)
{
    (void)state;
    assert_int_equal(pf_text_width("abc", 3), 3);
    assert_int_equal(pf_text_width("\xc3\xa4\xe2\x82\xac", 5), 2);
}

/* The contract with scripts: these keys in this order come first, others may follow. */
static void test_output_keys_of_the_entities(void **state)
{
    static const struct {
        const struct pf_columns *columns;
        const char *keys;
    } table[] = {
        {&pf_master_columns, "id address http_address pid leading epoch state lag "},
        {&pf_agent_columns, "id hostname address pid state attributes resources used offered tasks "
                            "version last_seen_ms "},
        {&pf_framework_columns, "id name user role state connected tasks used held_offers demand "},
        {&pf_task_columns, "id name state waiting_reason agent_id framework_id role user command "
                           "resources exit_status signal reason message healthy sandbox created_at "
                           "started_at finished_at "},
        {&pf_offer_columns, "id agent_id framework_id role resources age_ms "},
    };
    (void)state;
    for (size_t i = 0; i < PF_ARRAY_LEN(table); i++) {
        char keys[512] = "";
        for (uint32_t k = 0; k < table[i].columns->n; k++) {
            const char *key = table[i].columns->at[k].key;
            size_t len = strlen(keys);
            (void)snprintf(keys + len, sizeof keys - len, "%s ", key);
        }
        assert_int_equal(table[i].columns->at[0].kind, PF_CELL_TEXT); /* what -q prints */
        assert_int_equal(strncmp(keys, table[i].keys, strlen(table[i].keys)), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_table),
        cmocka_unit_test(test_output_json),
        cmocka_unit_test(test_output_ids_only),
        cmocka_unit_test(test_output_filters),
        cmocka_unit_test(test_output_refuses_unknown_keys),
        cmocka_unit_test(test_output_record),
        cmocka_unit_test(test_output_width_counts_characters),
        cmocka_unit_test(test_output_keys_of_the_entities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
