/* SPDX-License-Identifier: Apache-2.0 */
/* The judge of drills, fed by hand with each kind of failure. */
#include "framework/cli/oracle.h"

#include "tests/support/test.h"

#define LIMIT_US 3000000

static int setup(void **state)
{
    *state = pf_oracle_create(LIMIT_US);
    return 0;
}

static int teardown(void **state)
{
    pf_oracle_destroy(*state);
    return 0;
}

static void given_journal(struct pf_oracle *o, const char *text)
{
    struct pf_err err = {0};
    assert_int_equal(pf_oracle_add_journal(o, "f0", pf_str(text), &err), 0);
}

static void given_file(struct pf_oracle *o, const char *token, const char *text)
{
    struct pf_err err = {0};
    assert_int_equal(pf_oracle_add_file(o, token, pf_str(text), &err), 0);
}

/* Exactly one finding, of that kind, whose text holds `says`. */
static void expect_one(struct pf_oracle *o, enum pf_oracle_kind kind, const char *says)
{
    const struct pf_oracle_verdict *v = pf_oracle_judge(o);
    for (int i = 0; i < PF_ORACLE_KIND_COUNT; i++) {
        assert_int_equal(v->count[i], i == (int)kind ? 1 : 0);
    }
    assert_int_equal(v->n_findings, 1);
    assert_int_equal(v->finding[0].kind, kind);
    assert_non_null(strstr(v->finding[0].text, says));
    assert_false(pf_oracle_is_clean(v));
}

#define TOLD_WHOLE                                                                                 \
    "accept 1000 t1 file\nstatus 2000 t1 TASK_RUNNING open\n"                                      \
    "status 3000 t1 TASK_FINISHED final\n"

static void test_oracle_clean(void **state)
{
    struct pf_oracle *o = *state;
    given_journal(o, "subscribed 10 7\n" TOLD_WHOLE "accept 5 s1 sim\noffers 6 2\n"
                     "status 7 s1 TASK_RUNNING open\nfinish 4000\n"
                     "status 5000 s1 TASK_KILLED final\n");
    given_file(o, "t1", "start t1 77 12.00\ntick t1 77 12.20\ntick t1 77 13.50\nend t1 77 13.70\n");
    const struct pf_oracle_verdict *v = pf_oracle_judge(o);
    assert_true(pf_oracle_is_clean(v));
    assert_int_equal(v->n_accepted, 1);
    assert_int_equal(v->n_sim, 1);
    assert_int_equal(v->n_files_ended, 1);
    assert_int_equal(v->n_told_ended, 1);
    assert_int_equal(v->gap_max_us, 1300000);
}

static void test_oracle_refused_and_told_is_no_loss(void **state)
{
    struct pf_oracle *o = *state;
    given_journal(o, "accept 1 t1 file\nstatus 2 t1 TASK_DROPPED final\n");
    const struct pf_oracle_verdict *v = pf_oracle_judge(o);
    assert_true(pf_oracle_is_clean(v));
    assert_int_equal(v->n_refused, 1);
}

static void test_oracle_unknown_end(void **state)
{
    struct pf_oracle *o = *state;
    pf_oracle_allow_unknown(o);
    given_journal(o, "accept 1000 t1 file\nstatus 2000 t1 TASK_RUNNING open\n"
                     "status 13700000 t1 EXIT_UNKNOWN final\n"
                     "accept 1000 t2 file\nstatus 2000 t2 EXIT_UNKNOWN final\n");
    given_file(o, "t1", "start t1 77 12.00\ntick t1 77 13.20\nend t1 77 13.70\n");
    const struct pf_oracle_verdict *v = pf_oracle_judge(o);
    assert_true(pf_oracle_is_clean(v));
    assert_int_equal(v->n_unknown, 1);
    assert_int_equal(v->n_refused, 1);
}

static void test_oracle_unknown_end_without_a_killed_launcher(void **state)
{
    given_journal(*state, "accept 1000 t1 file\nstatus 2000 t1 TASK_RUNNING open\n"
                          "status 13700000 t1 EXIT_UNKNOWN final\n");
    given_file(*state, "t1", "start t1 77 12.00\nend t1 77 13.70\n");
    expect_one(*state, PF_ORACLE_DISAGREED, "was told EXIT_UNKNOWN");
}

static void test_oracle_unknown_end_told_of_a_task_at_work(void **state)
{
    pf_oracle_allow_unknown(*state);
    given_journal(*state, "accept 1000 t1 file\nstatus 2000 t1 TASK_RUNNING open\n"
                          "status 12500000 t1 EXIT_UNKNOWN final\n");
    given_file(*state, "t1", "start t1 77 12.00\nend t1 77 13.70\n");
    expect_one(*state, PF_ORACLE_DISAGREED, "still at work");
}

static void test_oracle_lost_when_accepted_and_never_told(void **state)
{
    given_journal(*state, "accept 1 t1 file\nstatus 1 t1 TASK_STAGING open\n");
    expect_one(*state, PF_ORACLE_LOST, "never told (last: TASK_STAGING)");
}

static void test_oracle_lost_when_seen_running_without_a_trace(void **state)
{
    given_journal(*state, "accept 1 t1 file\nstatus 2 t1 TASK_RUNNING open\n"
                          "status 3 t1 TASK_LOST final\n");
    expect_one(*state, PF_ORACLE_LOST, "left no trace");
}

static void test_oracle_lost_when_work_was_not_done(void **state)
{
    given_journal(*state, "accept 1 t1 file\nstatus 2 t1 TASK_FAILED final\n");
    given_file(*state, "t1", "start t1 77 12.00\ntick t1 77 12.20\n");
    expect_one(*state, PF_ORACLE_LOST, "last word is TASK_FAILED");
}

static void test_oracle_lost_when_the_end_was_not_told(void **state)
{
    given_journal(*state, "accept 1 t1 file\nstatus 2 t1 TASK_RUNNING open\n");
    given_file(*state, "t1", "start t1 77 12.00\nend t1 77 12.20\n");
    expect_one(*state, PF_ORACLE_LOST, "never told (last: TASK_RUNNING)");
}

static void test_oracle_doubled_side_by_side(void **state)
{
    given_journal(*state, TOLD_WHOLE);
    given_file(*state, "t1",
               "start t1 77 12.00\nstart t1 88 12.10\ntick t1 77 12.20\n"
               "end t1 77 13.00\nend t1 88 13.10\n");
    expect_one(*state, PF_ORACLE_DOUBLED, "77 and 88");
}

static void test_oracle_doubled_by_the_same_pid(void **state)
{
    given_journal(*state, TOLD_WHOLE);
    given_file(*state, "t1", "start t1 77 12.00\nstart t1 77 12.50\nend t1 77 13.00\n");
    expect_one(*state, PF_ORACLE_DOUBLED, "77 and 77");
}

static void test_oracle_restarted_one_after_the_other(void **state)
{
    given_journal(*state, TOLD_WHOLE);
    given_file(*state, "t1",
               "start t1 77 12.00\ntick t1 77 12.20\nstart t1 88 12.50\n"
               "end t1 88 13.10\n");
    expect_one(*state, PF_ORACLE_RESTARTED, "process 77 ended, process 88");
}

static void test_oracle_restarted_without_end_is_bounded(void **state)
{
    struct pf_oracle *o = *state;
    char text[2048] = "";
    size_t len = 0;
    for (int i = 0; i < 20; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len, "start t1 %d %d.0\nend t1 %d %d.5\n",
                                i + 10, i, i + 10, i);
    }
    given_journal(o, TOLD_WHOLE);
    given_file(o, "t1", text);
    const struct pf_oracle_verdict *v = pf_oracle_judge(o);
    assert_int_equal(v->count[PF_ORACLE_RESTARTED], 8);
    assert_int_equal(v->count[PF_ORACLE_DOUBLED], 0);
}

static void test_oracle_paused_tells_how_long(void **state)
{
    given_journal(*state, TOLD_WHOLE);
    given_file(*state, "t1", "start t1 77 12.00\ntick t1 77 12.20\nend t1 77 15.25\n");
    expect_one(*state, PF_ORACLE_PAUSED, "3050 ms");
}

static void test_oracle_paused_not_at_the_limit(void **state)
{
    given_journal(*state, TOLD_WHOLE);
    given_file(*state, "t1", "start t1 77 12.00\nend t1 77 15.00\n");
    assert_true(pf_oracle_is_clean(pf_oracle_judge(*state)));
}

static void test_oracle_told_lost_of_work_that_was_done(void **state)
{
    given_journal(*state, "accept 1 t1 file\nstatus 2 t1 TASK_LOST final\n");
    given_file(*state, "t1", "start t1 77 12.00\nend t1 77 12.20\n");
    expect_one(*state, PF_ORACLE_DISAGREED, "told TASK_LOST");
}

/* An agent that died before it noted the acknowledgements says it all again. */
static void test_oracle_told_again_is_allowed(void **state)
{
    struct pf_oracle *o = *state;
    given_journal(o, TOLD_WHOLE "status 3001 t1 TASK_RUNNING open\n"
                                "status 3002 t1 TASK_FINISHED final\n");
    given_file(o, "t1", "start t1 77 12.00\nend t1 77 12.20\n");
    const struct pf_oracle_verdict *v = pf_oracle_judge(o);
    assert_true(pf_oracle_is_clean(v));
    assert_int_equal(v->n_retold, 1);
}

static void test_oracle_told_of_life_after_the_end(void **state)
{
    given_journal(*state, TOLD_WHOLE "status 3002 t1 TASK_RUNNING open\n");
    given_file(*state, "t1", "start t1 77 12.00\nend t1 77 12.20\n");
    expect_one(*state, PF_ORACLE_DISAGREED, "TASK_FINISHED, and afterwards TASK_RUNNING");
}

static void test_oracle_told_two_ends(void **state)
{
    given_journal(*state, TOLD_WHOLE "status 3002 t1 TASK_LOST final\n"
                                     "status 3003 t1 TASK_FINISHED final\n");
    given_file(*state, "t1", "start t1 77 12.00\nend t1 77 12.20\n");
    expect_one(*state, PF_ORACLE_DISAGREED, "and afterwards");
}

static void test_oracle_ran_without_being_launched(void **state)
{
    given_file(*state, "t1", "start t1 77 12.00\nend t1 77 12.20\n");
    expect_one(*state, PF_ORACLE_DISAGREED, "no framework launched it");
}

static void test_oracle_told_of_a_stranger(void **state)
{
    given_journal(*state, "status 2 t9 TASK_RUNNING open\n");
    expect_one(*state, PF_ORACLE_DISAGREED, "never launched");
}

static void test_oracle_failed_without_running(void **state)
{
    given_journal(*state, "accept 1 t1 file\nstatus 2 t1 TASK_FAILED final\n");
    expect_one(*state, PF_ORACLE_DISAGREED, "never ran");
}

static void test_oracle_simulated_lost_before_the_finish(void **state)
{
    given_journal(*state, "accept 1 t1 sim\nstatus 2 t1 TASK_RUNNING open\n"
                          "status 3 t1 TASK_LOST final\nfinish 9\n");
    expect_one(*state, PF_ORACLE_LOST, "before its time");
}

/* A brief one ends by itself, or was refused; one that failed, or is never heard of, is lost. */
static void test_oracle_brief_ends_by_itself(void **state)
{
    given_journal(*state, "accept 1 t1 brief\nstatus 2 t1 TASK_RUNNING open\n"
                          "status 3 t1 TASK_FINISHED final\naccept 4 t2 brief\n"
                          "status 5 t2 TASK_DROPPED final\naccept 9000000 t3 brief\n"
                          "finish 12000000\n");
    const struct pf_oracle_verdict *v = pf_oracle_judge(*state);
    assert_true(pf_oracle_is_clean(v));
    assert_int_equal(v->n_sim, 3);
}

static void test_oracle_brief_lost(void **state)
{
    given_journal(*state, "accept 1 t1 brief\nstatus 2 t1 TASK_RUNNING open\n"
                          "status 3 t1 TASK_LOST final\nfinish 9\n");
    expect_one(*state, PF_ORACLE_LOST, "ended as TASK_LOST");
}

static void test_oracle_brief_never_ended(void **state)
{
    given_journal(*state, "accept 1 t1 brief\nstatus 2 t1 TASK_RUNNING open\n"
                          "finish 10000002\nstatus 10000003 t1 TASK_FINISHED final\n");
    expect_one(*state, PF_ORACLE_LOST, "nobody told");
}

static void test_oracle_leaves_out_a_line_without_end(void **state)
{
    given_journal(*state, TOLD_WHOLE "status 9999 t1 TASK_LO");
    given_file(*state, "t1", "start t1 77 12.00\nend t1 77 12.20\nend t1 7");
    assert_true(pf_oracle_is_clean(pf_oracle_judge(*state)));
}

static void test_oracle_refuses_what_it_cannot_read(void **state)
{
    static const char *const journals[] = {
        "accept 1 t1\n",     "accept x t1 file\n",
        "accept 1 t1 bad\n", "status 1 t1 TASK_RUNNING maybe\n",
        "accept\n",          "accept 1 t1 file\naccept 2 t1 file\n"};
    static const char *const files[] = {"start t2 1 1.0\n",
                                        "start t1 x 1.0\n",
                                        "start t1 1 1,0\n",
                                        "tick t1 1 1.0\n",
                                        "start t1 1 1.0\nwhat t1 1 1.0\n",
                                        "start t1 1 1.1234567\n",
                                        "start t1 1\n"};
    for (size_t i = 0; i < PF_ARRAY_LEN(journals); i++) {
        struct pf_oracle *o = pf_oracle_create(LIMIT_US);
        struct pf_err err = {0};
        assert_int_equal(pf_oracle_add_journal(o, "f0", pf_str(journals[i]), &err), PF_EPROTO);
        pf_oracle_destroy(o);
    }
    for (size_t i = 0; i < PF_ARRAY_LEN(files); i++) {
        struct pf_oracle *o = pf_oracle_create(LIMIT_US);
        struct pf_err err = {0};
        assert_int_equal(pf_oracle_add_file(o, "t1", pf_str(files[i]), &err), PF_EPROTO);
        pf_oracle_destroy(o);
    }
    (void)state;
}

static void test_oracle_counts_more_than_it_keeps(void **state)
{
    struct pf_oracle *o = *state;
    char line[64];
    for (int i = 0; i < PF_ORACLE_FINDINGS_MAX + 5; i++) {
        (void)snprintf(line, sizeof line, "accept 1 t%d file\n", i);
        given_journal(o, line);
    }
    const struct pf_oracle_verdict *v = pf_oracle_judge(o);
    assert_int_equal(v->count[PF_ORACLE_LOST], PF_ORACLE_FINDINGS_MAX + 5);
    assert_int_equal(v->n_findings, PF_ORACLE_FINDINGS_MAX);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_oracle_clean),
        T(test_oracle_refused_and_told_is_no_loss),
        T(test_oracle_unknown_end),
        T(test_oracle_unknown_end_without_a_killed_launcher),
        T(test_oracle_unknown_end_told_of_a_task_at_work),
        T(test_oracle_lost_when_accepted_and_never_told),
        T(test_oracle_lost_when_seen_running_without_a_trace),
        T(test_oracle_lost_when_work_was_not_done),
        T(test_oracle_lost_when_the_end_was_not_told),
        T(test_oracle_doubled_side_by_side),
        T(test_oracle_doubled_by_the_same_pid),
        T(test_oracle_restarted_one_after_the_other),
        T(test_oracle_restarted_without_end_is_bounded),
        T(test_oracle_paused_tells_how_long),
        T(test_oracle_paused_not_at_the_limit),
        T(test_oracle_told_lost_of_work_that_was_done),
        T(test_oracle_told_again_is_allowed),
        T(test_oracle_told_of_life_after_the_end),
        T(test_oracle_told_two_ends),
        T(test_oracle_ran_without_being_launched),
        T(test_oracle_told_of_a_stranger),
        T(test_oracle_failed_without_running),
        T(test_oracle_simulated_lost_before_the_finish),
        T(test_oracle_brief_ends_by_itself),
        T(test_oracle_brief_lost),
        T(test_oracle_brief_never_ended),
        T(test_oracle_leaves_out_a_line_without_end),
        T(test_oracle_refuses_what_it_cannot_read),
        T(test_oracle_counts_more_than_it_keeps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
