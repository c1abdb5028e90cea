/* SPDX-License-Identifier: Apache-2.0 */
/* The text of /metrics and the line of --ready-fd. */
#include "common/engine/metrics.h"

#include "common/base/alloc.h"
#include "common/engine/ready.h"
#include "tests/support/test.h"

static void test_metrics_are_prometheus_text(void **state)
{
    struct pf_buf out = {0};
    (void)state;
    pf_metric_counter(&out, "a_total", "How many.", 7);
    pf_metric_gauge(&out, "b", "How much.", UINT64_MAX);
    pf_metric_seconds(&out, "c_seconds", "gauge", "How long.", 1500, 1000);
    assert_string_equal(pf_buf_cstr(&out), "# HELP a_total How many.\n# TYPE a_total counter\n"
                                           "a_total 7\n"
                                           "# HELP b How much.\n# TYPE b gauge\n"
                                           "b 18446744073709551615\n"
                                           "# HELP c_seconds How long.\n# TYPE c_seconds gauge\n"
                                           "c_seconds 1.500000000\n");
    pf_buf_fini(&out);
}

static void test_ready_is_one_line_then_the_end(void **state)
{
    int fd[2];
    char text[256] = "";
    char want[256];
    (void)state;
    assert_int_equal(pipe(fd), 0);
    pf_ready_tell(fd[1], "127.0.0.1:1", "127.0.0.1:2");
    ssize_t n = read(fd[0], text, sizeof text - 1);
    assert_true(n > 0);
    assert_int_equal(read(fd[0], text + n, 1), 0); /* closed */
    (void)snprintf(want, sizeof want,
                   "{\"native\":\"127.0.0.1:1\",\"http\":\"127.0.0.1:2\",\"pid\":%ld}\n",
                   (long)getpid());
    assert_string_equal(text, want);
    (void)close(fd[0]);
    pf_ready_tell(-1, "x", "y"); /* nobody asked */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics_are_prometheus_text),
        cmocka_unit_test(test_ready_is_one_line_then_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
