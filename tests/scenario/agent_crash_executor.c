/* SPDX-License-Identifier: Apache-2.0 */
/* The agent dies between any two things it does for tasks of an executor and for a group. It is
 * started again, executors return to it, the master says again what it cannot know to be done. In
 * the end each task has ended exactly once, was given away or started at most once, and nothing is
 * left of the executors but their history. */
#include "tests/support/agent_sim.h"

enum { N_TASKS = 5, N_HOSTED = 3 };

struct story {
    struct agent_sim *s;
    uint32_t n_crashes;
    bool launcher_dies;     /* with each crash */
    uint64_t next_crash_in; /* operations after a restart, 0 = no more */
    bool killed, shut_down; /* t2; e1 */
};

#define EXECUTOR "{'executor_id': {'value': 'e1'}, 'command': {'value': 'executor'}}"
#define DEFAULT  "{'type': 'DEFAULT', 'executor_id': {'value': 'd1'}}"

static const char *const ids[N_TASKS + 1] = {NULL, "t1", "t2", "t3", "g1", "g2"};
static const struct sim_group_task group[] = {
    {"g1", 4, "{'value': 'sleep 1'}"},
    {"g2", 5, "{'value': 'sleep 2'}"},
};

static bool is_ended(struct agent_sim *s, uint8_t n)
{
    const char *states = agent_sim_states(s, n);

    return strstr(states, "FINISHED") || strstr(states, "FAILED") || strstr(states, "KILLED") ||
           strstr(states, "DROPPED");
}

static bool was_registered(struct agent_sim *s, uint8_t n)
{
    char line[32];

    (void)snprintf(line, sizeof line, "%s TASK_", ids[n]);
    return strstr(pf_buf_cstr(&s->registered), line) != NULL;
}

static void say_launch(struct story *y, uint8_t n)
{
    if (!y->s->core) {
        return;
    }
    if (n <= N_HOSTED) {
        agent_sim_launch_on(y->s, "f1", ids[n], n, EXECUTOR);
    } else if (!is_ended(y->s, 4) && !is_ended(y->s, 5)) {
        agent_sim_launch_group(y->s, "f1", 0x40, DEFAULT, group, 2);
    }
}

static void say_kill(struct story *y)
{
    y->killed = true;
    if (y->s->core && !is_ended(y->s, 2)) {
        agent_sim_say(y->s, "{'AgentKill': {'framework_id': 'f1', 'task_id': 't2'}}");
    }
}

static void say_shutdown(struct story *y)
{
    y->shut_down = true;
    if (y->s->core) {
        agent_sim_say(y->s, "{'AgentShutdownExecutor': {'framework_id': 'f1', 'executor_id': "
                            "'e1'}}");
    }
}

/* Brings the agent back until it stands. `n_launched`: what the master has launched so far. */
static void revive(struct story *y, uint8_t n_launched)
{
    struct agent_sim *s = y->s;

    for (int i = 0; !s->core; i++) {
        assert_true(i < 10);
        y->n_crashes++;
        s->crash_at = y->next_crash_in > 0 ? s->n_ops + y->next_crash_in : 0;
        y->next_crash_in = 0;
        if (y->launcher_dies) {
            (void)snprintf(s->launcher_instance, sizeof s->launcher_instance, "l-%u",
                           (unsigned)y->n_crashes);
            for (uint32_t k = 0; k < s->processes.len; k++) {
                ((struct sim_process *)s->processes.at[k])->forgotten = true;
            }
        }
        agent_sim_start(s);
        if (s->core) {
            agent_sim_master_up(s, s->epoch);
        }
        for (uint8_t n = 1; s->core && n <= n_launched; n++) {
            if (!was_registered(s, n) && !is_ended(s, n)) {
                say_launch(y, n);
            }
        }
        if (s->core && y->killed) {
            say_kill(y);
        }
        if (s->core && y->shut_down) {
            say_shutdown(y);
        }
    }
}

/* The executor ends a task that it has. */
static void executor_ends(struct story *y, const char *id, int32_t state)
{
    struct agent_sim *s = y->s;
    struct sim_executor *x = agent_sim_executor(s, "e1");

    for (uint32_t i = 0; x && i < x->n_tasks; i++) {
        if (strcmp(x->tasks[i].id, id) == 0 && !x->tasks[i].is_over) {
            x->tasks[i].is_over = true;
            agent_sim_executor_update(s, x, id, state);
        }
    }
    if (s->core) {
        agent_sim_run(s);
    }
}

static void play(struct story *y)
{
    struct agent_sim *s = y->s;
    struct sim_process *p = NULL;

    s->epoch = 1;
    agent_sim_start(s);
    if (s->core) {
        agent_sim_master_up(s, 1);
    }
    for (uint8_t n = 1; n <= N_TASKS - 1; n++) {
        revive(y, n < 4 ? n : N_TASKS);
        say_launch(y, n);
        revive(y, n < 4 ? n : N_TASKS);
    }
    executor_ends(y, "t1", TaskState_TASK_FINISHED);
    revive(y, N_TASKS);
    say_kill(y);
    revive(y, N_TASKS);
    p = agent_sim_process(s, 4);
    if (p && !p->forgotten && p->state == LauncherState_RUNNING) {
        agent_sim_exit(s, 4, 3 << 8);
    }
    revive(y, N_TASKS);
    agent_sim_pass(s, 3000);
    revive(y, N_TASKS);
    say_shutdown(y);
    revive(y, N_TASKS);
    for (int i = 0; i < 3; i++) {
        agent_sim_pass(s, 60000);
        revive(y, N_TASKS);
    }
}

static void check_end(struct story *y)
{
    struct agent_sim *s = y->s;
    const struct sim_executor *x = agent_sim_executor(s, "e1");
    const char *told = NULL;

    for (uint8_t n = 1; n <= N_TASKS; n++) {
        const struct sim_process *p = agent_sim_process(s, n);
        if (!is_ended(s, n)) {
            fail_msg("%s was told %s; trace:\n%s", ids[n], agent_sim_states(s, n),
                     pf_buf_cstr(&s->trace));
        }
        assert_true(!p || p->n_starts <= 1);
    }
    assert_int_equal(agent_sim_rows(s, AgentTable_UPDATES), 0);
    assert_int_equal(agent_sim_rows(s, AgentTable_TASKS), N_TASKS);
    assert_int_equal(agent_sim_rows(s, AgentTable_INFOS), N_TASKS);
    assert_int_equal(agent_sim_rows(s, AgentTable_FRAMEWORKS), 0);
    assert_true(agent_sim_rows(s, AgentTable_EXECUTORS) >= 2);
    if (y->launcher_dies) {
        return;
    }
    assert_int_equal(agent_sim_rows(s, AgentTable_EXECUTORS), 2);
    assert_int_equal(s->executors.len, 1);
    assert_non_null(x);
    assert_true(x->n_launches <= N_HOSTED);
    told = agent_sim_states(s, 1);
    assert_true(strcmp(told, "TASK_RUNNING TASK_FINISHED") == 0 ||
                strcmp(told, "TASK_DROPPED") == 0);
    told = agent_sim_states(s, 2);
    assert_true(strcmp(told, "TASK_RUNNING TASK_KILLED") == 0 || strcmp(told, "TASK_KILLED") == 0 ||
                strcmp(told, "TASK_DROPPED") == 0);
    assert_string_equal(agent_sim_states(s, 4), "TASK_RUNNING TASK_FAILED");
    assert_string_equal(agent_sim_states(s, 5), "TASK_RUNNING TASK_KILLED");
    for (uint8_t n = 4; n <= N_TASKS; n++) {
        assert_int_equal(agent_sim_process(s, n)->n_starts, 1);
        assert_true(agent_sim_process(s, n)->forgotten);
    }
}

/* One whole story with a crash before operation `at`, and one `again` operations after the restart.
 * Returns how often the agent died. */
static uint32_t play_with_crash(uint64_t at, uint64_t again, uint32_t events_per_turn, bool slow,
                                bool launcher_dies)
{
    struct story y = {.s = agent_sim_create(), .launcher_dies = launcher_dies};

    y.s->crash_at = at;
    y.s->events_per_turn = events_per_turn;
    y.s->is_store_slow = slow;
    y.next_crash_in = again;
    play(&y);
    check_end(&y);
    agent_sim_destroy(y.s);
    return y.n_crashes;
}

static void crash_everywhere(uint32_t events_per_turn, bool slow, bool launcher_dies)
{
    static const uint64_t again[] = {0, 1, 2, 3, 5, 8, 13};
    uint64_t at = 1;

    for (bool reached = true; reached; at++) {
        for (size_t i = 0; i < PF_ARRAY_LEN(again); i++) {
            reached = play_with_crash(at, again[i], events_per_turn, slow, launcher_dies) > 0;
        }
    }
    assert_true(at > 30);
    print_message("%d of %d crash points passed\n", (int)at - 2, (int)at - 2);
}

static void test_executor_crash_between_any_two_operations(void **state)
{
    (void)state;
    crash_everywhere(1, false, false);
}

static void test_executor_crash_with_a_slow_store(void **state)
{
    (void)state;
    crash_everywhere(1, true, false);
    crash_everywhere(8, true, false);
}

static void test_executor_crash_together_with_the_launcher(void **state)
{
    (void)state;
    crash_everywhere(1, false, true);
    crash_everywhere(8, true, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_executor_crash_between_any_two_operations),
        cmocka_unit_test(test_executor_crash_with_a_slow_store),
        cmocka_unit_test(test_executor_crash_together_with_the_launcher),
    };

    return cmocka_run_group_tests_name("agent_crash_executor", tests, NULL, NULL);
}
