/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines: fields, quoting, levels, cutting, rates, and the default sink. */
#include "common/sys/log.h"

#include <inttypes.h>
#include "common/sys/parse.h"
#include "tests/support/test.h"

struct seen {
    char line[PF_LOG_LINE_MAX];
    int n;
};

static void sink(void *ctx, enum pf_log_level level, const char *line, size_t len)
{
    struct seen *s = ctx;

    assert_true(level < PF_LOG_LEVEL_COUNT);
    assert_int_equal(strlen(line), len);
    assert_null(strchr(line, '\n'));
    memcpy(s->line, line, len + 1);
    s->n++;
}

static struct seen seen;

static int setup(void **state)
{
    (void)state;
    seen = (struct seen){.n = 0};
    pf_log_setup(PF_LOG_DEBUG, sink, &seen);
    return 0;
}

static void test_fields_of_every_kind(void **state)
{
    (void)state;
    pf_log(PF_LOG_INFO, "agent registered", "agent=%s n=%d u=%u big=%lld size=%zu hex=%x", "a1", -3,
           4000000000u, -5000000000ll, (size_t)7, 255u);
    assert_string_equal(seen.line, "info agent registered agent=a1 n=-3 u=4000000000 "
                                   "big=-5000000000 size=7 hex=ff");
    pf_log(PF_LOG_WARN, "m", "f=%.2f c=%c pct=50%% part=%.*s%s cut=%.3s l=%ld ul=%lu", 1.005, 'x',
           2, "abc", "!", "abcdef", -1L, 2UL);
    assert_string_equal(seen.line, "warn m f=1.00 c=x pct=50% part=ab! cut=abc l=-1 ul=2");
    pf_log(PF_LOG_WARN, "m", "id=%" PRIu64 " j=%jd", UINT64_MAX, (intmax_t)-9);
    assert_string_equal(seen.line, "warn m id=18446744073709551615 j=-9");
    pf_log_msg(PF_LOG_ERROR, "plain");
    assert_string_equal(seen.line, "error plain");
}

static void test_values_cannot_forge_fields_or_lines(void **state)
{
    const char *volatile absent = NULL; /* unknown to the compiler */

    (void)state;
    pf_log(PF_LOG_INFO, "m", "a=%s b=%s", "x y=1\n", "q\"\\\t\x01");
    assert_string_equal(seen.line, "info m a=\"x y=1\\n\" b=\"q\\\"\\\\\\t\\u0001\"");
    pf_log(PF_LOG_INFO, "m", "empty=%s null=%s", "", absent);
    assert_string_equal(seen.line, "info m empty=\"\" null=(null)");
    pf_log_msg(PF_LOG_INFO, "two\nlines");
    assert_string_equal(seen.line, "info two\\nlines");
}

static void test_errors_as_a_field(void **state)
{
    struct pf_err err = {0};

    (void)state;
    (void)pf_err_set(&err, PF_EIO, "disk on fire");
    pf_log_err(PF_LOG_ERROR, "cannot store", &err);
    assert_string_equal(seen.line, "error cannot store error=\"disk on fire\"");
}

static void test_long_lines_are_cut(void **state)
{
    static char text[2 * PF_LOG_LINE_MAX];

    (void)state;
    memset(text, 'z', sizeof text - 1);
    pf_log(PF_LOG_INFO, "m", "a=%s b=%s", text, text);
    assert_int_equal(strlen(seen.line), PF_LOG_LINE_MAX - 1);
    assert_string_equal(seen.line + PF_LOG_LINE_MAX - 4, "...");
    memset(text, '\n', sizeof text - 1);
    pf_log(PF_LOG_INFO, "m", "a=%s", text);
    assert_int_equal(strlen(seen.line), PF_LOG_LINE_MAX - 1);
}

static void test_levels(void **state)
{
    enum pf_log_level level = PF_LOG_ERROR;
    struct pf_err err = {0};

    (void)state;
    pf_log_setup(PF_LOG_WARN, sink, &seen);
    pf_log(PF_LOG_INFO, "m", "a=%d", 1);
    pf_log_msg(PF_LOG_DEBUG, "m");
    assert_int_equal(seen.n, 0);
    assert_false(pf_log_is_on(PF_LOG_INFO));
    pf_log(PF_LOG_WARN, "m", "a=%d", 1);
    assert_int_equal(seen.n, 1);
    assert_int_equal(pf_log_level_parse("DEBUG", &level, NULL), 0);
    assert_int_equal(level, PF_LOG_DEBUG);
    assert_string_equal(pf_log_level_str(level), "debug");
    assert_int_equal(pf_log_level_parse("loud", &level, &err), PF_EINVAL);
    assert_non_null(strstr(err.msg, "debug"));
}

static void test_rates(void **state)
{
    struct pf_log_rate rate = {0};
    uint32_t dropped = 0;

    (void)state;
    for (int i = 0; i < PF_LOG_RATE_LINES; i++) {
        assert_true(pf_log_rate_allows(&rate, 1000 + i, &dropped));
        assert_int_equal(dropped, 0);
    }
    for (int i = 0; i < 5; i++) {
        assert_false(pf_log_rate_allows(&rate, 1000 + PF_LOG_RATE_WINDOW_MS - 1, &dropped));
    }
    assert_true(pf_log_rate_allows(&rate, 1000 + PF_LOG_RATE_WINDOW_MS, &dropped));
    assert_int_equal(dropped, 5);
    assert_true(pf_log_rate_allows(&rate, 1000 + PF_LOG_RATE_WINDOW_MS, &dropped));
    assert_int_equal(dropped, 0);
}

static void test_rated_lines(void **state)
{
    struct pf_log_rate rate = {0};

    (void)state;
    for (int i = 0; i < 100; i++) {
        pf_log_rated(&rate, PF_LOG_WARN, "again", "i=%d", i);
    }
    assert_in_range(seen.n, PF_LOG_RATE_LINES, PF_LOG_RATE_LINES + 10);
    rate.window_ms -= PF_LOG_RATE_WINDOW_MS;
    pf_log_rated(&rate, PF_LOG_WARN, "again", "i=%d", 100);
    assert_string_equal(seen.line, "warn again i=100 dropped=90");
}

static void test_stderr_gets_the_time(void **state)
{
    char text[256] = "", out[64];
    int pipe_fd[2], stderr_was;
    int64_t ms;

    (void)state;
    assert_int_equal(pipe(pipe_fd), 0);
    stderr_was = dup(STDERR_FILENO);
    pf_log_setup(PF_LOG_INFO, NULL, NULL);
    dup2(pipe_fd[1], STDERR_FILENO);
    pf_log(PF_LOG_INFO, "started", "pid=%d", 1);
    dup2(stderr_was, STDERR_FILENO);
    close(stderr_was);
    close(pipe_fd[1]);
    assert_true(read(pipe_fd[0], text, sizeof text - 1) > 0);
    close(pipe_fd[0]);
    assert_string_equal(text + 24, " info started pid=1\n");
    assert_int_equal(pf_parse_time((struct pf_str){text, 24}, &ms, NULL), 0);
    pf_format_time(ms, out);
    assert_memory_equal(out, text, 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_fields_of_every_kind, setup),
        cmocka_unit_test_setup(test_values_cannot_forge_fields_or_lines, setup),
        cmocka_unit_test_setup(test_errors_as_a_field, setup),
        cmocka_unit_test_setup(test_long_lines_are_cut, setup),
        cmocka_unit_test_setup(test_levels, setup),
        cmocka_unit_test_setup(test_rates, setup),
        cmocka_unit_test_setup(test_rated_lines, setup),
        cmocka_unit_test_setup(test_stderr_gets_the_time, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
