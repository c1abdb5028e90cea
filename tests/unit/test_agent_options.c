/* SPDX-License-Identifier: Apache-2.0 */
/* The options of proffer-agent. */
#include "agent/daemon/options.h"

#include "tests/support/test.h"

static int parse(char **argv, struct pf_agentd_options *o, struct pf_err *err)
{
    enum pf_options_verdict verdict;
    int argc = 0;

    while (argv[argc] != NULL) {
        argc++;
    }
    return pf_agentd_options_parse(argc, argv, o, &verdict, err);
}

static char *arg(const char *text)
{
    return (char *)(uintptr_t)text;
}

static void test_defaults_serve_one_machine(void **state)
{
    char *argv[] = {arg("proffer-agent"), NULL};
    struct pf_agentd_options o = {0};

    (void)state;
    assert_int_equal(parse(argv, &o, NULL), 0);
    assert_int_equal(o.masters.len, 1);
    assert_string_equal(o.masters.at[0], "127.0.0.1:5055");
    assert_string_equal(o.listen, "127.0.0.1:5056");
    assert_string_equal(o.http, "127.0.0.1:5051");
    assert_string_equal(o.task_user, "nobody");
    assert_int_equal(o.min_free_bytes, 64 << 20);
    assert_int_equal(o.ready_fd, -1);
    assert_int_equal(o.simulate, 0);
    assert_false(o.cleans_up);
    assert_int_equal(o.policy, 0);
    assert_false(o.authenticates_executors);
    assert_int_equal(o.executor_subscribe_ms, 60000);
    assert_int_equal(o.executor_resubscribe_ms, 2000);
    assert_int_equal(o.executor_shutdown_ms, 5000);
    assert_int_equal(o.gc_delay_ms, INT64_C(7) * 24 * 3600 * 1000);
    assert_int_equal(o.log_max_bytes, 64 << 20);
    assert_int_equal(o.fetch_cache_bytes, INT64_C(2) << 30);
    assert_int_equal(o.fetch_stall_ms, 60000);
    assert_int_equal(o.task_pids_max, 4096);
    pf_agentd_options_fini(&o);
}

/* As an operator of Mesos would write them. */
static void test_names_and_values_of_mesos_are_taken(void **state)
{
    char *argv[] = {arg("proffer-agent"), arg("--recover=cleanup"),
                    arg("--reconfiguration-policy=additive"),
                    arg("--executor-registration-timeout=2mins"),
                    arg("--executor-shutdown-grace-period=10secs"), arg("--gc-delay=1weeks"),
                    arg("--log-max-bytes=0"), NULL};
    struct pf_agentd_options o = {0};

    (void)state;
    assert_int_equal(parse(argv, &o, NULL), 0);
    assert_true(o.cleans_up);
    assert_int_equal(o.policy, 1);
    assert_int_equal(o.executor_subscribe_ms, 120000);
    assert_int_equal(o.executor_shutdown_ms, 10000);
    assert_int_equal(o.gc_delay_ms, INT64_C(7) * 24 * 3600 * 1000);
    assert_int_equal(o.log_max_bytes, 0);
    pf_agentd_options_fini(&o);
}

static void test_environment_and_flags_are_taken(void **state)
{
    char *argv[] = {arg("proffer-agent"), arg("--master"), arg("a:1,b:2"), arg("--simulate"),
                    arg("3"), arg("--min-free=1G"), NULL};
    struct pf_agentd_options o = {0};

    (void)state;
    assert_int_equal(setenv("PROFFER_AGENT_HOSTNAME", "h1", 1), 0);
    assert_int_equal(setenv("PROFFER_AGENT_SIMULATE", "9", 1), 0);
    assert_int_equal(parse(argv, &o, NULL), 0);
    assert_int_equal(unsetenv("PROFFER_AGENT_HOSTNAME"), 0);
    assert_int_equal(unsetenv("PROFFER_AGENT_SIMULATE"), 0);
    assert_string_equal(o.hostname, "h1");
    assert_int_equal(o.masters.len, 2);
    assert_int_equal(o.simulate, 3);
    assert_int_equal(o.min_free_bytes, 1 << 30);
    pf_agentd_options_fini(&o);
}

static void expect_usage(const char *flag, const char *value, const char *says)
{
    char *argv[] = {arg("proffer-agent"), arg(flag), arg(value), NULL};
    struct pf_agentd_options o = {0};
    struct pf_err err = {0};

    assert_int_equal(parse(argv, &o, &err), PF_EUSAGE);
    assert_int_equal(err.code, PF_EUSAGE);
    assert_non_null(strstr(err.msg, says));
}

static void test_wrong_options_are_named(void **state)
{
    (void)state;
    expect_usage("--no-such", NULL, "--no-such");
    expect_usage("--master", "nowhere", "--master");
    expect_usage("--simulate", "70000", "simulate");
    expect_usage("--min-free", "much", "min-free");
    expect_usage("--log-level", "loud", "loud");
    expect_usage("--listen", NULL, "listen");
    expect_usage("--recover", "maybe", "reconnect or cleanup");
    expect_usage("--reconfiguration-policy", "more", "any, additive or equal");
    expect_usage("--ready-when", "late", "listening or registered");
    expect_usage("--log-max-bytes", "1K", "64K");
    expect_usage("--gc-delay", "soon", "gc-delay");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_serve_one_machine),
        cmocka_unit_test(test_names_and_values_of_mesos_are_taken),
        cmocka_unit_test(test_environment_and_flags_are_taken),
        cmocka_unit_test(test_wrong_options_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
