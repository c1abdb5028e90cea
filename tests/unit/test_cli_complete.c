/* SPDX-License-Identifier: Apache-2.0 */
/* Completion of unfinished command lines, and what the shell is given. */
#include "framework/cli/complete.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "common/base/alloc.h"
#include "framework/cli/cli.h"

struct fixture {
    struct pf_arena arena;
    struct pf_completion c;
};

static int setup(void **state)
{
    *state = PF_NEW(struct fixture);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    pf_completion_fini(&f->c);
    pf_arena_fini(&f->arena);
    pf_free(f);
    return 0;
}

/* Words parted by single spaces; a line that ends in a space has an empty last word. */
static void complete(struct fixture *f, const char *line)
{
    char *words = (char *)(uintptr_t)pf_arena_strdup(&f->arena, pf_str(line)).at;
    const char *word[32];
    uint32_t n = 0;
    for (char *at = words; n < 32; n++) {
        char *space = strchr(at, ' ');
        word[n] = at;
        if (space == NULL) {
            n++;
            break;
        }
        *space = '\0';
        at = space + 1;
    }
    pf_completion_fini(&f->c);
    pf_complete_line(word, n, &f->arena, &f->c);
}

static bool offers(const struct fixture *f, const char *word)
{
    for (uint32_t i = 0; i < f->c.words.len; i++) {
        if (strcmp(f->c.words.at[i], word) == 0) {
            return true;
        }
    }
    return false;
}

static void test_complete_verbs(void **state)
{
    struct fixture *f = *state;
    complete(f, "");
    assert_true(offers(f, "up"));
    assert_true(offers(f, "ps"));
    assert_false(offers(f, "__complete"));
    complete(f, "ta");
    assert_int_equal(f->c.words.len, 1);
    assert_true(offers(f, "tasks"));
    complete(f, "--dir /tmp te");
    assert_true(offers(f, "teardown"));
    assert_string_equal(f->c.dir, "/tmp");
    complete(f, "help ag");
    assert_true(offers(f, "agents"));
}

static void test_complete_options_of_the_verb(void **state)
{
    struct fixture *f = *state;
    complete(f, "kill --gr");
    assert_int_equal(f->c.words.len, 1);
    assert_true(offers(f, "--grace"));
    complete(f, "up --");
    assert_true(offers(f, "--fake-agents"));
    assert_false(offers(f, "--grace"));
    complete(f, "-");
    assert_true(offers(f, "--master"));
}

static void test_complete_arguments_of_options(void **state)
{
    static const char *const lines[] = {"tasks -o j", "tasks --output j", "tasks --output = j"};
    struct fixture *f = *state;
    for (size_t i = 0; i < PF_ARRAY_LEN(lines); i++) {
        complete(f, lines[i]);
        assert_int_equal(f->c.words.len, 2);
        assert_true(offers(f, "json"));
        assert_true(offers(f, "jsonl"));
    }
    complete(f, "tasks --output =");
    assert_int_equal(f->c.words.len, 3);
    complete(f, "up --dir ");
    assert_int_equal(f->c.want, PF_COMPLETE_DIR);
    complete(f, "ps --key-file x");
    assert_int_equal(f->c.want, PF_COMPLETE_FILE);
    complete(f, "kill --grace ");
    assert_int_equal(f->c.want, PF_COMPLETE_NONE);
    assert_int_equal(f->c.words.len, 0);
}

static void test_complete_ids_by_kind(void **state)
{
    struct fixture *f = *state;
    complete(f, "kill --grace 5s k7");
    assert_int_equal(f->c.want, PF_COMPLETE_TASK);
    assert_string_equal(f->c.prefix, "k7");
    complete(f, "kill --framework ");
    assert_int_equal(f->c.want, PF_COMPLETE_FRAMEWORK);
    complete(f, "teardown f");
    assert_int_equal(f->c.want, PF_COMPLETE_FRAMEWORK);
    complete(f, "--master = h:1 show ");
    assert_int_equal(f->c.want, PF_COMPLETE_ANY_ID);
    assert_string_equal(f->c.master, "h:1");
    complete(f, "version ");
    assert_int_equal(f->c.want, PF_COMPLETE_NONE);
}

static const char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

/* The whole way: the hidden verb as the shell calls it, and the script that calls it. */
static void test_complete_as_the_shell_asks(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    struct pf_cli cli = {.env = no_environment, .err = stderr};
    cli.out = open_memstream(&text, &len);
    char *argv[] = {(char[]){"proffer"}, (char[]){"__complete"}, (char[]){"tasks"},
                    (char[]){"--out"}, NULL};
    assert_int_equal(pf_cli_main(&cli, 4, argv), 0);
    (void)fclose(cli.out);
    assert_string_equal(text, "--output\n");
    free(text);
    cli.out = open_memstream(&text, &len);
    char *script[] = {(char[]){"proffer"}, (char[]){"completion"}, (char[]){"bash"}, NULL};
    assert_int_equal(pf_cli_main(&cli, 3, script), 0);
    (void)fclose(cli.out);
    assert_non_null(strstr(text, "complete -F _proffer proffer\n"));
    assert_non_null(strstr(text, " __complete "));
    free(text);
    pf_arena_fini(&cli.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_complete_verbs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_complete_options_of_the_verb, setup, teardown),
        cmocka_unit_test_setup_teardown(test_complete_arguments_of_options, setup, teardown),
        cmocka_unit_test_setup_teardown(test_complete_ids_by_kind, setup, teardown),
        cmocka_unit_test(test_complete_as_the_shell_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
