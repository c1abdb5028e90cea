/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines: options and operands in any order, refusals with a hint, and the table itself. */
#include "framework/cli/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "common/base/alloc.h"
#include "framework/cli/value.h"

static const struct pf_cli_option options[] = {
    {.name = "follow", .letter = 'f', .kind = PF_ARG_FLAG, .help = "x"},
    {.name = "lines", .letter = 'n', .kind = PF_ARG_COUNT, .arg = "N", .help = "x"},
    {.name = "env", .letter = 'e', .is_repeated = true, .kind = PF_ARG_TEXT, .arg = "K=V",
     .help = "x"},
    {.name = "grace", .kind = PF_ARG_DURATION, .arg = "TIME", .help = "x"},
    {.name = "mem", .kind = PF_ARG_SIZE, .arg = "SIZE", .help = "x"},
    {.name = "cpus", .kind = PF_ARG_MILLI, .arg = "N", .help = "x"},
    {.name = "signal", .kind = PF_ARG_SIGNAL, .arg = "SIGNAL", .help = "x"},
    {.name = "output", .letter = 'o', .kind = PF_ARG_TEXT, .arg = "FORMAT",
     .choices = "table json jsonl", .help = "x"},
};
static const struct pf_command verb = {
    .name = "verb", .operands = "ID...", .max_operands = 3, .options = PF_CLI_OPTIONS(options)};
static const struct pf_command runs = {.name = "runs", .operands = "COMMAND...",
                                       .min_operands = 1, .max_operands = 100,
                                       .stops_at_operand = true,
                                       .options = PF_CLI_OPTIONS(options)};

struct fixture {
    struct pf_arena arena;
    struct pf_args args;
    struct pf_err err;
    const char *hint;
};

static int setup(void **state)
{
    *state = PF_NEW(struct fixture);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    pf_arena_fini(&f->arena);
    pf_free(f);
    return 0;
}

/* Words parted by single spaces; "_" stands for an empty word. */
static int parse(struct fixture *f, const struct pf_command *cmd, const char *line)
{
    char *words = (char *)(uintptr_t)pf_arena_strdup(&f->arena, pf_str(line)).at;
    char *argv[32];
    int argc = 0;
    for (char *word = words; word != NULL && *word != '\0' && argc < 31; argc++) {
        char *space = strchr(word, ' ');
        if (space != NULL) {
            *space = '\0';
        }
        argv[argc] = strcmp(word, "_") == 0 ? word + 1 : word;
        word = space != NULL ? space + 1 : NULL;
    }
    argv[argc] = NULL;
    memset(&f->err, 0, sizeof f->err);
    memset(&f->args, 0, sizeof f->args);
    f->hint = NULL;
    return pf_args_parse(cmd, argc, argv, &f->arena, &f->args, &f->hint, &f->err);
}

static void test_args_options_and_operands_in_any_order(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(parse(f, &verb, "a -f b --lines 5 c"), 0);
    assert_int_equal(f->args.n_operands, 3);
    assert_string_equal(f->args.operand[0], "a");
    assert_string_equal(f->args.operand[2], "c");
    assert_true(pf_args_has(&f->args, "follow"));
    assert_int_equal(pf_args_num(&f->args, "lines", -1), 5);
    assert_int_equal(pf_args_num(&f->args, "grace", -1), -1);
    assert_null(pf_args_text(&f->args, "output"));
}

static void test_args_every_way_to_write_an_argument(void **state)
{
    static const char *const lines[] = {"-n5", "-n 5", "-n=5", "--lines=5", "--lines 5", "-fn5",
                                        "-fn 5", "-n 4 -n 5"};
    struct fixture *f = *state;
    for (size_t i = 0; i < PF_ARRAY_LEN(lines); i++) {
        assert_int_equal(parse(f, &verb, lines[i]), 0);
        assert_int_equal(pf_args_num(&f->args, "lines", -1), 5);
        assert_int_equal(f->args.n_operands, 0);
    }
}

static void test_args_values_of_all_kinds(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        parse(f, &verb, "--grace 1.5s --mem 256M --cpus .25 --signal sigterm -o jsonl"), 0);
    assert_int_equal(pf_args_num(&f->args, "grace", 0), 1500);
    assert_int_equal(pf_args_num(&f->args, "mem", 0), 256 << 20);
    assert_int_equal(pf_args_num(&f->args, "cpus", 0), 250);
    assert_int_equal(pf_args_num(&f->args, "signal", 0), 15);
    assert_string_equal(pf_args_text(&f->args, "output"), "jsonl");
    assert_int_equal(parse(f, &verb, "--signal 9"), 0);
    assert_int_equal(pf_args_num(&f->args, "signal", 0), 9);
}

static void test_args_repeated_options_keep_their_order(void **state)
{
    struct fixture *f = *state;
    uint32_t cursor = 0;
    assert_int_equal(parse(f, &verb, "-e A=1 -f --env=B -eC=3"), 0);
    assert_string_equal(pf_args_next(&f->args, "env", &cursor), "A=1");
    assert_string_equal(pf_args_next(&f->args, "env", &cursor), "B");
    assert_string_equal(pf_args_next(&f->args, "env", &cursor), "C=3");
    assert_null(pf_args_next(&f->args, "env", &cursor));
}

static void test_args_double_dash_ends_the_options(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(parse(f, &verb, "-f -- -n --"), 0);
    assert_int_equal(f->args.n_operands, 2);
    assert_string_equal(f->args.operand[0], "-n");
    assert_string_equal(f->args.operand[1], "--");
    assert_int_equal(parse(f, &verb, "- _"), 0); /* a dash and an empty word are operands */
    assert_int_equal(f->args.n_operands, 2);
}

static void test_args_a_command_of_its_own_keeps_its_options(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(parse(f, &runs, "-n 2 ls -l --help"), 0);
    assert_false(f->args.wants_help);
    assert_int_equal(f->args.n_operands, 3);
    assert_string_equal(f->args.operand[1], "-l");
    assert_int_equal(parse(f, &runs, "-f -- ls -h"), 0);
    assert_int_equal(f->args.n_operands, 2);
    assert_int_equal(parse(f, &runs, "-n 2 --help"), 0);
    assert_true(f->args.wants_help);
}

static void test_args_help_wins_over_errors(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(parse(f, &verb, "--nonsense --help"), 0);
    assert_true(f->args.wants_help);
    assert_int_equal(parse(f, &verb, "a b c d -h"), 0);
    assert_true(f->args.wants_help);
    assert_int_equal(parse(f, &verb, "-- --help"), 0);
    assert_false(f->args.wants_help);
}

static void test_args_refusals_say_what_and_what_to_do(void **state)
{
    static const struct {
        const char *line, *what, *hint;
    } table[] = {
        {"--follw", "unknown option '--follw'", "did you mean --follow?"},
        {"--zzzzzz", "unknown option '--zzzzzz'", "proffer verb --help lists its options"},
        {"-x", "unknown option '-x'", "proffer verb --help lists its options"},
        {"-fx", "unknown option '-x'", "proffer verb --help lists its options"},
        {"--lines", "--lines needs an argument", "write: --lines N"},
        {"-n", "--lines needs an argument", "write: --lines N"},
        {"--follow=1", "--follow takes no argument", "write: --follow"},
        {"-n many", "--lines: ", "write for example: --lines 3"},
        {"--lines=-3", "--lines: ", "write for example: --lines 3"},
        {"--grace soon", "--grace: ", "write for example: --grace 30s (or 500ms, 5m, 1h)"},
        {"--mem lots", "--mem: ", "write for example: --mem 256M (or 512K, 2G)"},
        {"--cpus -1", "--cpus: ", "write for example: --cpus 0.5"},
        {"--signal FOO", "--signal: there is no signal 'FOO'",
         "write for example: --signal TERM (or KILL, INT, 15)"},
        {"-o xml", "--output: 'xml' is not one of: table json jsonl",
         "write one of: table json jsonl"},
        {"a b c d", "unexpected 'd'", "usage: proffer verb [OPTION...] ID..."},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < PF_ARRAY_LEN(table); i++) {
        assert_int_equal(parse(f, &verb, table[i].line), PF_EUSAGE);
        assert_int_equal(strncmp(f->err.msg, table[i].what, strlen(table[i].what)), 0);
        assert_string_equal(f->hint, table[i].hint);
    }
    assert_int_equal(parse(f, &runs, "-n 1"), PF_EUSAGE);
    assert_string_equal(f->err.msg, "COMMAND... is missing");
    assert_int_equal(parse(f, &runs, "--all ls"), PF_EUSAGE);
    assert_non_null(strstr(f->hint, "options of your own command go behind it"));
}

static void test_args_distance_counts_changes(void **state)
{
    (void)state;
    assert_int_equal(pf_edit_distance("", ""), 0);
    assert_int_equal(pf_edit_distance("ps", ""), 2);
    assert_int_equal(pf_edit_distance("kill", "kil"), 1);
    assert_int_equal(pf_edit_distance("tsaks", "tasks"), 1);
    assert_int_equal(pf_edit_distance("agents", "offers"), 5);
    assert_int_equal(pf_edit_distance("0123456789012345678901234567890123456789012345678901", "a"),
                     99);
}

static void test_args_verbs_are_found_and_guessed(void **state)
{
    (void)state;
    assert_ptr_equal(pf_command_find("ps"), pf_command_find("tasks"));
    assert_null(pf_command_find("task"));
    assert_string_equal(pf_command_suggest("task"), "tasks");
    assert_string_equal(pf_command_suggest("stats"), "status");
    assert_string_equal(pf_command_suggest("tsaks"), "tasks");
    assert_null(pf_command_suggest("frobnicate"));
    assert_null(pf_command_suggest("__complet"));
}

/* What the table must keep so that parsing, help and completion can rely on it. */
static void test_args_the_table_is_sound(void **state)
{
    (void)state;
    for (uint32_t i = 0; pf_commands[i] != NULL; i++) {
        const struct pf_command *cmd = pf_commands[i];
        assert_non_null(cmd->summary);
        assert_non_null(cmd->group);
        assert_non_null(cmd->run);
        assert_true(cmd->min_operands <= cmd->max_operands);
        assert_true(cmd->max_operands == 0 || cmd->operands != NULL);
        const struct pf_cli_option *o, *other;
        for (uint32_t k = 0; (o = pf_command_option(cmd, k)) != NULL; k++) {
            assert_non_null(o->help);
            assert_true((o->kind == PF_ARG_FLAG) == (o->arg == NULL));
            assert_true((o->complete == PF_COMPLETE_CHOICES) == (o->choices != NULL));
            for (uint32_t m = k + 1; (other = pf_command_option(cmd, m)) != NULL; m++) {
                assert_string_not_equal(o->name, other->name);
                assert_true(o->letter == 0 || o->letter != other->letter);
            }
        }
        for (uint32_t k = i + 1; pf_commands[k] != NULL; k++) {
            assert_string_not_equal(cmd->name, pf_commands[k]->name);
        }
    }
}

static void test_args_splits_key_and_value(void **state)
{
    struct pf_str key, value;
    (void)state;
    assert_true(pf_value_split("a=b=c", &key, &value));
    assert_true(pf_str_is(key, "a"));
    assert_true(pf_str_is(value, "b=c"));
    assert_true(pf_value_split("a=", &key, &value));
    assert_int_equal(value.len, 0);
    assert_false(pf_value_split("=b", &key, &value));
    assert_false(pf_value_split("ab", &key, &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_args_options_and_operands_in_any_order, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_args_every_way_to_write_an_argument, setup, teardown),
        cmocka_unit_test_setup_teardown(test_args_values_of_all_kinds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_args_repeated_options_keep_their_order, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_args_double_dash_ends_the_options, setup, teardown),
        cmocka_unit_test_setup_teardown(test_args_a_command_of_its_own_keeps_its_options, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_args_help_wins_over_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_args_refusals_say_what_and_what_to_do, setup,
                                        teardown),
        cmocka_unit_test(test_args_distance_counts_changes),
        cmocka_unit_test(test_args_verbs_are_found_and_guessed),
        cmocka_unit_test(test_args_the_table_is_sound),
        cmocka_unit_test(test_args_splits_key_and_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
