/* SPDX-License-Identifier: Apache-2.0 */
/* What a running task costs an agent in memory: the difference between two cores that differ only
 * in how many tasks they run. */
#include "tests/support/agent_sim.h"

#include <malloc.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(HAS_ASAN)
size_t __sanitizer_get_current_allocated_bytes(void);

static size_t heap_bytes(void)
{
    return __sanitizer_get_current_allocated_bytes();
}
#else
static size_t heap_bytes(void)
{
    struct mallinfo2 m = mallinfo2();

    return m.uordblks + m.hblkhd;
}
#endif

enum { FEW = 200, MANY = 800, TASK_BYTES_MAX = 2048 };

/* What a core with `n` running tasks holds, and what carries its turns. */
static size_t core_bytes(uint32_t n, const char *more)
{
    struct agent_sim *s = agent_sim_create();
    struct pf_agent_stats stats;
    char id[32];

    assert_int_equal(pf_res_add_scalar(&s->total, PF_STR("cpus"), 2000000, NULL), 0);
    agent_sim_start(s);
    agent_sim_master_up(s, 1);
    for (uint32_t i = 0; i < n; i++) {
        (void)snprintf(id, sizeof id, "a-task-of-a-job.%u", (unsigned)i);
        struct pf_uuid launch = {{(uint8_t)i, (uint8_t)(i >> 8), 1}};
        agent_sim_launch_uuid(s, "7f3c1d9e-0001", id, launch,
                              "{'value': 'exec sleep 100000 # and a command of a usual length'}",
                              more);
        pf_buf_clear(&s->log);
        pf_buf_clear(&s->trace);
    }
    agent_sim_stats(s, &stats);
    assert_int_equal(stats.n_tasks_live, n);
    assert_int_equal(stats.n_updates_pending, 0);
    size_t before = heap_bytes();
    agent_sim_kill(s);
    size_t after = heap_bytes();

    agent_sim_destroy(s);
    assert_true(before > after);
    return before - after;
}

static size_t task_bytes(const char *more)
{
    return (core_bytes(MANY, more) - core_bytes(FEW, more)) / (MANY - FEW);
}

static void test_agent_running_task_is_small(void **state)
{
    size_t plain = task_bytes("");
    size_t checked = task_bytes(", 'health_check': {'type': 'TCP', 'tcp': {'port': 80}}");

    (void)state;
    print_message("a running task costs %zu bytes, with a health check %zu\n", plain, checked);
    assert_true(plain < TASK_BYTES_MAX);
    assert_true(checked < TASK_BYTES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agent_running_task_is_small),
    };

    return cmocka_run_group_tests_name("agent_memory", tests, NULL, NULL);
}
