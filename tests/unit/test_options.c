/* SPDX-License-Identifier: Apache-2.0 */
/* Options from four sources, their order of force, errors and the help text. */
#include "common/sys/options.h"

#include "common/sys/file.h"
#include "tests/support/test.h"

struct config {
    bool verbose;
    char *work_dir;
    int64_t n, mem_bytes, wait_ms;
    struct pf_ptrs masters;
};

#define FIELD(name) offsetof(struct config, name)
static const struct pf_option table[] = {
    {.name = "verbose", .help = "say more", .type = PF_OPTION_FLAG, .offset = FIELD(verbose)},
    {.name = "work-dir", .arg = "DIR", .help = "where state is kept", .type = PF_OPTION_STRING,
     .offset = FIELD(work_dir), .fallback = "/var/lib/x"},
    {.name = "n", .arg = "N", .help = "how many", .type = PF_OPTION_INT, .offset = FIELD(n),
     .fallback = "3", .min = 1, .max = 9},
    {.name = "mem", .arg = "SIZE",
     .help = "memory that is offered, of what the machine has; a long help text is wrapped",
     .type = PF_OPTION_SIZE, .offset = FIELD(mem_bytes)},
    {.name = "wait", .arg = "TIME", .help = "for so long", .type = PF_OPTION_DURATION,
     .offset = FIELD(wait_ms), .fallback = "5s"},
    {.name = "masters", .arg = "LIST", .help = "where they are", .type = PF_OPTION_LIST,
     .offset = FIELD(masters)},
};
static const struct pf_options options = {
    .program = "proffer-test", .summary = "Tests options.", .options = table,
    .n_options = sizeof table / sizeof table[0]};

static char dir[] = "/tmp/pf-options-XXXXXX";
static char config_path[64];

static int group_setup(void **state)
{
    (void)state;
    if (!mkdtemp(dir)) {
        return -1;
    }
    (void)snprintf(config_path, sizeof config_path, "%s/conf", dir);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    return pf_remove_tree(dir, NULL);
}

static int setup(void **state)
{
    static const char *const names[] = {"VERBOSE", "WORK_DIR", "N", "MEM", "WAIT", "MASTERS",
                                        "CONFIG"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char name[64];

        (void)snprintf(name, sizeof name, "PROFFER_TEST_%s", names[i]);
        unsetenv(name);
    }
    return 0;
}

/* Parses words parted by blanks. */
static int parse(const char *line, struct config *c, struct pf_err *err)
{
    static char text[512];
    char *argv[32] = {(char[]){"proffer-test"}};
    enum pf_options_verdict verdict = PF_OPTIONS_HELP;
    int argc = 1, first = -1;

    (void)snprintf(text, sizeof text, "%s", line);
    for (char *save = NULL, *w = strtok_r(text, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        argv[argc++] = w;
    }
    int rc = pf_options_parse(&options, argc, argv, c, &verdict, &first, err);
    if (rc == 0) {
        assert_int_equal(verdict, PF_OPTIONS_RUN);
        assert_int_equal(first, argc);
    }
    return rc;
}

static void write_config(const char *text)
{
    assert_int_equal(pf_file_write(config_path, text, strlen(text), 0600, NULL), 0);
    setenv("PROFFER_TEST_CONFIG", config_path, 1);
}

static void test_defaults(void **state)
{
    struct config c = {0};

    (void)state;
    assert_int_equal(parse("", &c, NULL), 0);
    assert_false(c.verbose);
    assert_string_equal(c.work_dir, "/var/lib/x");
    assert_int_equal(c.n, 3);
    assert_int_equal(c.mem_bytes, 0);
    assert_int_equal(c.wait_ms, 5000);
    assert_int_equal(c.masters.len, 0);
    pf_options_fini(&options, &c);
    assert_null(c.work_dir);
}

static void test_command_line(void **state)
{
    struct config c = {0};

    (void)state;
    assert_int_equal(parse("--verbose --work-dir=/a --work-dir /b --n 9 --mem 1.5G --wait 250ms "
                           "--masters a:1,b:2 --masters c:3,",
                           &c, NULL),
                     0);
    assert_true(c.verbose);
    assert_string_equal(c.work_dir, "/b");
    assert_int_equal(c.n, 9);
    assert_int_equal(c.mem_bytes, 3ll << 29);
    assert_int_equal(c.wait_ms, 250);
    assert_int_equal(c.masters.len, 3);
    assert_string_equal(c.masters.at[2], "c:3");
    pf_options_fini(&options, &c);
}

static void test_order_of_force(void **state)
{
    struct config c = {0};

    (void)state;
    write_config("# comment\n\n n = 4 # four\nwait=7s\r\nwork-dir = \"/x # y\"\n"
                 "masters = a, b\nmasters = c\nverbose = yes");
    setenv("PROFFER_TEST_N", "5", 1);
    setenv("PROFFER_TEST_WAIT", "8s", 1);
    setenv("PROFFER_TEST_VERBOSE", "on", 1);
    setenv("PROFFER_TEST_UNKNOWN", "whatever", 1);
    assert_int_equal(parse("--n 6 --verbose=no", &c, NULL), 0);
    assert_int_equal(c.n, 6);
    assert_int_equal(c.wait_ms, 8000);
    assert_string_equal(c.work_dir, "/x # y");
    assert_int_equal(c.masters.len, 3);
    assert_false(c.verbose);
    pf_options_fini(&options, &c);
    unsetenv("PROFFER_TEST_UNKNOWN");
}

static void test_a_stronger_list_replaces_the_weaker_one(void **state)
{
    struct config c = {0};

    (void)state;
    write_config("masters = a,b\n");
    assert_int_equal(parse("--masters z", &c, NULL), 0);
    assert_int_equal(c.masters.len, 1);
    assert_string_equal(c.masters.at[0], "z");
    pf_options_fini(&options, &c);
}

static void expect_error(const char *line, int code, const char *msg)
{
    struct config c = {0};
    struct pf_err err = {0};

    assert_int_equal(parse(line, &c, &err), code);
    assert_int_equal(err.code, code);
    assert_string_equal(err.msg, msg);
    assert_null(c.work_dir);
    assert_null(c.masters.at);
}

static void test_errors_say_what_and_where(void **state)
{
    char text[256];

    (void)state;
    expect_error("--bogus", PF_EUSAGE,
                 "unknown or ambiguous option '--bogus'; proffer-test --help lists them");
    expect_error("-x", PF_EUSAGE, "unknown option '-x'; proffer-test --help lists them");
    expect_error("--n", PF_EUSAGE,
                 "a value is missing behind '--n'; proffer-test --help lists them");
    expect_error("stray", PF_EUSAGE, "'stray' is no option, and no argument is expected");
    expect_error("--masters a --n 10", PF_EUSAGE, "--n: '10' is out of range; write 1 to 9");
    expect_error("--n 0", PF_EUSAGE, "--n: '0' is out of range; write 1 to 9");
    expect_error("--mem lots", PF_EUSAGE,
                 "--mem: 'lots' is not a size; write 256M, 1.5G or bytes");
    expect_error("--verbose=perhaps", PF_EUSAGE, "--verbose: 'perhaps' is not yes or no");
    setenv("PROFFER_TEST_WAIT", "soon", 1);
    expect_error("", PF_EUSAGE,
                 "PROFFER_TEST_WAIT: 'soon' is not a duration; write 250ms, 5s, 1.5h, 1h30m or "
                 "seconds");
    unsetenv("PROFFER_TEST_WAIT");
    write_config("n = 4\nn = x\n");
    (void)snprintf(text, sizeof text, "%s line 2: n: 'x' is not a whole number", config_path);
    expect_error("", PF_EUSAGE, text);
    write_config("n = 4\nbogus = 1\n");
    (void)snprintf(text, sizeof text,
                   "configuration: %s line 2: 'bogus' is no option; write 'name = value', "
                   "proffer-test --help lists the names",
                   config_path);
    expect_error("", PF_EUSAGE, text);
    expect_error("--config /nonexistent/x", PF_ENOENT,
                 "--config: open /nonexistent/x: No such file or directory");
}

static void test_required_options(void **state)
{
    static const struct pf_option one[] = {{.name = "key", .arg = "FILE", .help = "a key",
                                            .type = PF_OPTION_STRING, .is_required = true}};
    static const struct pf_options need = {"proffer-test", NULL, "Needs.", one, 1};
    char *argv[] = {(char[]){"proffer-test"}, NULL};
    enum pf_options_verdict verdict;
    struct pf_err err = {0};
    char *key = NULL;
    int first;

    (void)state;
    assert_int_equal(pf_options_parse(&need, 1, argv, &key, &verdict, &first, &err), PF_EUSAGE);
    assert_string_equal(err.msg, "--key is missing; give --key FILE");
}

static void test_help_and_version_end_the_parsing(void **state)
{
    static const char *const word[] = {"--help", "--version"};
    static const enum pf_options_verdict want[] = {PF_OPTIONS_HELP, PF_OPTIONS_VERSION};

    (void)state;
    for (int i = 0; i < 2; i++) {
        char flag[16], *argv[] = {(char[]){"proffer-test"}, flag, (char[]){"--n=bad"}, NULL};
        enum pf_options_verdict verdict = PF_OPTIONS_RUN;
        struct config c = {0};
        int first = 0;

        (void)snprintf(flag, sizeof flag, "%s", word[i]);
        assert_int_equal(pf_options_parse(&options, 3, argv, &c, &verdict, &first, NULL), 0);
        assert_int_equal(verdict, want[i]);
        assert_null(c.work_dir);
    }
}

static void test_arguments_end_the_options(void **state)
{
    struct pf_options with_args = options;
    char *argv[] = {(char[]){"proffer-test"}, (char[]){"--n"}, (char[]){"2"}, (char[]){"cmd"},
                    (char[]){"--n"}, (char[]){"x"}, NULL};
    enum pf_options_verdict verdict;
    struct config c = {0};
    int first = 0;

    (void)state;
    with_args.args = "COMMAND...";
    assert_int_equal(pf_options_parse(&with_args, 6, argv, &c, &verdict, &first, NULL), 0);
    assert_int_equal(first, 3);
    assert_int_equal(c.n, 2);
    pf_options_fini(&with_args, &c);
}

static void test_help_text(void **state)
{
    struct pf_buf b = {0};

    (void)state;
    pf_options_help(&options, &b);
    const char *text = pf_buf_cstr(&b);
    assert_non_null(strstr(text, "Usage: proffer-test [OPTION]...\nTests options.\n"));
    assert_non_null(strstr(text, "  --work-dir DIR              where state is kept (default: "
                                 "/var/lib/x)\n"));
    assert_non_null(strstr(text, "PROFFER_TEST_VERBOSE"));
    for (const char *line = text; *line != '\0';) {
        size_t len = strcspn(line, "\n");

        assert_true(len <= 80);
        line += len + 1;
    }
    pf_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_defaults, setup),
        cmocka_unit_test_setup(test_command_line, setup),
        cmocka_unit_test_setup(test_order_of_force, setup),
        cmocka_unit_test_setup(test_a_stronger_list_replaces_the_weaker_one, setup),
        cmocka_unit_test_setup(test_errors_say_what_and_where, setup),
        cmocka_unit_test_setup(test_required_options, setup),
        cmocka_unit_test_setup(test_help_and_version_end_the_parsing, setup),
        cmocka_unit_test_setup(test_arguments_end_the_options, setup),
        cmocka_unit_test_setup(test_help_text, setup),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
