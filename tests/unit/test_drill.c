/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of drills that only compute: the table, the command template, the figures. */
#include "framework/cli/drill_command.h"

#include "framework/cli/drill_stats.h"
#include "framework/cli/drill_table.h"
#include "tests/support/test.h"

#define EVERYTHING (~0u)

static void test_drill_table_makes_sense(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < pf_n_drills; i++) {
        const struct pf_drill *d = &pf_drills[i];
        bool waits_for = false;
        assert_ptr_equal(pf_drill_find(d->name), d);
        assert_true(d->n_steps >= 1 && d->n_steps <= PF_DRILL_STEPS_MAX);
        assert_true(d->step[0].is_origin);
        for (uint32_t k = 0; k < d->n_steps; k++) {
            const struct pf_drill_step *s = &d->step[k];
            waits_for |= s->when == PF_WHEN_FOR;
            assert_int_equal(s->op == PF_DRILL_SIGNAL, pf_drill_signal_name(s->signo) != NULL);
            assert_true((s->target == PF_TARGET_LEADER) <= ((d->needs & PF_NEED_MASTER) != 0));
            assert_true((s->target == PF_TARGET_AGENT) <= ((d->needs & PF_NEED_AGENT) != 0));
            assert_true((s->op == PF_DRILL_CUT) <= ((d->needs & PF_NEED_NET) != 0));
            assert_true((s->op == PF_DRILL_RESET) <= ((d->needs & PF_NEED_RELAYS) != 0));
        }
        assert_int_equal(waits_for, d->for_ms > 0);
        assert_null(pf_drill_lacks(d, EVERYTHING));
    }
    assert_null(pf_drill_find("leader"));
}

/* What is stopped or cut must be woken or healed by the same drill. */
static void test_drill_table_undoes_what_it_does(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < pf_n_drills; i++) {
        const struct pf_drill *d = &pf_drills[i];
        int open = 0;
        for (uint32_t k = 0; k < d->n_steps; k++) {
            open += d->step[k].signo == SIGSTOP || d->step[k].op == PF_DRILL_CUT;
            open -= d->step[k].signo == SIGCONT || d->step[k].op == PF_DRILL_HEAL;
        }
        assert_int_equal(open, 0);
    }
}

static void test_drill_lacks_names_the_way_out(void **state)
{
    (void)state;
    const struct pf_drill *d = pf_drill_find("partition");
    assert_non_null(strstr(pf_drill_lacks(d, 0), "--masters 3"));
    assert_non_null(strstr(pf_drill_lacks(d, PF_NEED_QUORUM), "--relays"));
    assert_non_null(strstr(pf_drill_lacks(d, PF_NEED_QUORUM), "--hosts"));
    assert_null(pf_drill_lacks(d, PF_NEED_QUORUM | PF_NEED_NET));
    d = pf_drill_find("rst-between-masters"); /* hosts lose packets, they reset nothing */
    assert_non_null(strstr(pf_drill_lacks(d, PF_NEED_QUORUM | PF_NEED_NET), "--relays"));
    assert_null(pf_drill_lacks(pf_drill_find("framework-kill"), 0));
}

static void test_drill_pick_only_what_is_possible(void **state)
{
    (void)state;
    struct pf_rng a, b;
    bool was_slow = false;
    pf_rng_seed(&a, 7);
    pf_rng_seed(&b, 7);
    for (int i = 0; i < 500; i++) {
        const struct pf_drill *d = pf_drill_pick(&a, PF_NEED_MASTER | PF_NEED_AGENT, false);
        assert_null(pf_drill_lacks(d, PF_NEED_MASTER | PF_NEED_AGENT));
        assert_ptr_equal(d, pf_drill_pick(&b, PF_NEED_MASTER | PF_NEED_AGENT, false));
        assert_true(pf_drill_pick(&a, EVERYTHING, true)->is_quick);
        assert_non_null(pf_drill_pick(&b, EVERYTHING, true));
        was_slow |= !pf_drill_pick(&a, EVERYTHING, false)->is_quick;
        assert_non_null(pf_drill_pick(&b, EVERYTHING, false));
    }
    assert_true(was_slow);
}

static void test_drill_sweep_covers_the_time(void **state)
{
    (void)state;
    assert_int_equal(pf_drill_sweep_us(0, 1), 0);
    assert_int_equal(pf_drill_sweep_us(0, 11), 0);
    assert_int_equal(pf_drill_sweep_us(5, 11), 2500);
    assert_int_equal(pf_drill_sweep_us(10, 11), 5000);
}

static void expect_command(const char *pattern, const struct pf_drill_process *p, const char *want)
{
    struct pf_buf out = {0};
    struct pf_err err = {0};
    assert_int_equal(pf_drill_command(pattern, p, SIGKILL, &out, &err), 0);
    assert_string_equal(pf_buf_cstr(&out), want);
    pf_buf_fini(&out);
}

static void expect_refusal(const char *pattern, const struct pf_drill_process *p, int code,
                           const char *says)
{
    struct pf_buf out = {0};
    struct pf_err err = {0};
    assert_int_equal(pf_drill_command(pattern, p, SIGKILL, &out, &err), code);
    assert_non_null(strstr(err.msg, says));
    pf_buf_fini(&out);
}

static void test_drill_command_fills_the_template(void **state)
{
    (void)state;
    const struct pf_drill_process p = {"the leader", "h1.example", "10.0.0.1:5055", 4711};
    expect_command("ssh {host} kill -{signal} {pid}", &p, "ssh h1.example kill -KILL 4711");
    expect_command("x {address} {signal}{signal} ${HOME} {", &p,
                   "x 10.0.0.1:5055 KILLKILL ${HOME} {");
}

static void test_drill_command_says_what_it_does_not_know(void **state)
{
    (void)state;
    const struct pf_drill_process p = {.what = "the ZooKeeper server", .host = "zk1"};
    expect_command("ssh {host} pkill -{signal} java", &p, "ssh zk1 pkill -KILL java");
    expect_refusal("kill -{signal} {pid}", &p, PF_ENOENT, "the pid of the ZooKeeper server");
    expect_refusal("kill -{signal} {address}", &p, PF_ENOENT, "the address");
}

static void test_drill_command_lets_no_shell_in(void **state)
{
    (void)state;
    const struct pf_drill_process p = {.what = "x", .host = "a;rm", .pid = 1};
    const struct pf_drill_process q = {.what = "x", .host = "-oProxyCommand", .pid = 1};
    expect_refusal("ssh {host} kill -{signal} {pid}", &p, PF_EPROTO, "a;rm");
    expect_refusal("ssh {host} kill -{signal} {pid}", &q, PF_EPROTO, "-oProxy");
}

static void test_drill_command_checks_the_template(void **state)
{
    (void)state;
    struct pf_err err = {0};
    assert_int_equal(pf_drill_command_check("ssh {host} kill -{signal} {pid}", &err), 0);
    assert_int_equal(pf_drill_command_check("kill -{signal} {who}", &err), PF_EUSAGE);
    assert_non_null(strstr(err.msg, "{who}"));
    pf_err_clear(&err);
    assert_int_equal(pf_drill_command_check("kill -9 {pid}", &err), PF_EUSAGE);
    assert_non_null(strstr(err.msg, "{signal}"));
}

static void test_drill_stats_quantiles(void **state)
{
    (void)state;
    struct pf_samples s = {0};
    pf_samples_add(&s, 5);
    assert_int_equal(pf_samples_at(&s, 0), 5);
    assert_int_equal(pf_samples_at(&s, 500), 5);
    assert_int_equal(pf_samples_at(&s, 1000), 5);
    pf_samples_fini(&s);
    for (int i = 1000; i > 0; i--) {
        pf_samples_add(&s, i);
    }
    assert_int_equal(pf_samples_at(&s, 0), 1);
    assert_int_equal(pf_samples_at(&s, 500), 500);
    assert_int_equal(pf_samples_at(&s, 990), 990);
    assert_int_equal(pf_samples_at(&s, 1000), 1000);
    pf_samples_fini(&s);
}

static void test_drill_stats_histogram(void **state)
{
    (void)state;
    struct pf_samples s = {0};
    struct pf_buf out = {0};
    pf_samples_histogram(&s, &out);
    assert_int_equal(out.len, 0);
    pf_samples_add(&s, 999);
    pf_samples_add(&s, 2000);
    pf_samples_add(&s, 4999);
    pf_samples_histogram(&s, &out);
    assert_string_equal(
        pf_buf_cstr(&out),
        "      0 - 1       ms  #########################  1\n"
        "      1 - 2       ms  0\n"
        "      2 - 5       ms  ##################################################  2\n");
    pf_buf_clear(&out);
    pf_samples_add(&s, INT64_MAX);
    pf_samples_histogram(&s, &out);
    assert_non_null(strstr(pf_buf_cstr(&out), "  1\n"));
    pf_buf_fini(&out);
    pf_samples_fini(&s);
}

static void test_drill_stats_shows_times(void **state)
{
    (void)state;
    struct pf_buf out = {0};
    pf_samples_show(430, &out);
    pf_buf_add_byte(&out, ' ');
    pf_samples_show(12345, &out);
    pf_buf_add_byte(&out, ' ');
    pf_samples_show(123456, &out);
    pf_buf_add_byte(&out, ' ');
    pf_samples_show(1523456, &out);
    assert_string_equal(pf_buf_cstr(&out), "0.4ms 12.3ms 123ms 1.52s");
    pf_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drill_table_makes_sense),
        cmocka_unit_test(test_drill_table_undoes_what_it_does),
        cmocka_unit_test(test_drill_lacks_names_the_way_out),
        cmocka_unit_test(test_drill_pick_only_what_is_possible),
        cmocka_unit_test(test_drill_sweep_covers_the_time),
        cmocka_unit_test(test_drill_command_fills_the_template),
        cmocka_unit_test(test_drill_command_says_what_it_does_not_know),
        cmocka_unit_test(test_drill_command_lets_no_shell_in),
        cmocka_unit_test(test_drill_command_checks_the_template),
        cmocka_unit_test(test_drill_stats_quantiles),
        cmocka_unit_test(test_drill_stats_histogram),
        cmocka_unit_test(test_drill_stats_shows_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
