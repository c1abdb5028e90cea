/* SPDX-License-Identifier: Apache-2.0 */
/* The agent dies between any two things it does: every batch stored, every effect carried out. It
 * is started again, the master says again what it cannot know to be done, and in the end each task
 * has ended exactly once, was started at most once, and was told in order. */
#include "tests/support/agent_sim.h"

enum { N_TASKS = 7 };

struct story {
    struct agent_sim *s;
    uint32_t n_crashes;
    bool launcher_dies;       /* with each crash */
    uint64_t next_crash_in;   /* operations after a restart, 0 = no more */
    bool killed[N_TASKS + 1]; /* a KILL was said */
};

static const struct {
    const char *id, *command, *more;
} tasks[N_TASKS + 1] = {
    {NULL, NULL, NULL},
    {"t1", "{'value': 'sleep 5'}", ""},
    {"t2", "{'value': 'exit 3'}", ""},
    {"t3", "{'value': 'stubborn'}", ""},
    {"t4", "{'shell': false, 'value': 'nosuch'}", ""},
    {"t5", "{'value': 'sleep 9'}", ""},
    {"t6", "{'value': 'sleep 9', 'uris': [{'value': 'http://a'}]}",
     ", 'health_check': {'type': 'HTTP', 'http': {'port': 80}, 'delay_seconds': 1}"},
    {"t7", "{'value': 'sleep 9', 'uris': [{'value': 'bad://a'}]}", ""},
};

static bool is_ended(struct agent_sim *s, uint8_t n)
{
    const char *states = agent_sim_states(s, n);

    return strstr(states, "FINISHED") || strstr(states, "FAILED") || strstr(states, "KILLED");
}

static void say_launch(struct story *y, uint8_t n)
{
    if (y->s->core) {
        agent_sim_launch_more(y->s, "f1", tasks[n].id, n, tasks[n].command, tasks[n].more);
    }
}

static void say_kill(struct story *y, uint8_t n)
{
    char body[200];

    y->killed[n] = true;
    (void)snprintf(body, sizeof body, "{'AgentKill': {'framework_id': 'f1', 'task_id': '%s'}}",
                   tasks[n].id);
    if (y->s->core && !is_ended(y->s, n)) {
        agent_sim_say(y->s, body);
    }
}

static bool was_registered(struct agent_sim *s, uint8_t n)
{
    char line[32];

    (void)snprintf(line, sizeof line, "%s TASK_", tasks[n].id);
    return strstr(pf_buf_cstr(&s->registered), line) != NULL;
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
            if (s->core && y->killed[n]) {
                say_kill(y, n);
            }
        }
    }
}

static void play(struct story *y)
{
    struct agent_sim *s = y->s;
    struct sim_process *p = NULL;

    assert_int_equal(pf_res_add_scalar(&s->total, PF_STR("cpus"), 4000, NULL), 0);
    s->answer = 200;
    agent_sim_start(s);
    if (s->core) {
        agent_sim_master_up(s, 1);
    }
    s->epoch = 1;
    for (uint8_t n = 1; n <= N_TASKS; n++) {
        revive(y, n);
        say_launch(y, n);
        revive(y, n);
    }
    p = agent_sim_process(s, 1);
    if (p && !p->forgotten && p->state == LauncherState_RUNNING) {
        agent_sim_exit(s, 1, 0);
    }
    revive(y, N_TASKS);
    say_kill(y, 3);
    revive(y, N_TASKS);
    for (int i = 0; i < 4; i++) {
        agent_sim_pass(s, 1000);
        revive(y, N_TASKS);
    }
    p = agent_sim_process(s, 5);
    if (p && !p->forgotten && p->state == LauncherState_RUNNING) {
        agent_sim_exit(s, 5, 9);
    }
    revive(y, N_TASKS);
    p = agent_sim_process(s, 6);
    if (p && !p->forgotten && p->state == LauncherState_RUNNING) {
        agent_sim_exit(s, 6, 0);
    }
    revive(y, N_TASKS);
    agent_sim_pass(s, 60000);
    revive(y, N_TASKS);
    agent_sim_pass(s, 60000);
}

static void check_end(struct story *y)
{
    struct agent_sim *s = y->s;

    for (uint8_t n = 1; n <= N_TASKS; n++) {
        const struct sim_process *p = agent_sim_process(s, n);
        if (!is_ended(s, n)) {
            fail_msg("%s was told %s; trace:\n%s", tasks[n].id, agent_sim_states(s, n),
                     pf_buf_cstr(&s->trace));
        }
        if (p && p->n_starts > 1) {
            fail_msg("%s was started %u times", tasks[n].id, (unsigned)p->n_starts);
        }
    }
    assert_int_equal(agent_sim_rows(s, AgentTable_UPDATES), 0);
    assert_int_equal(agent_sim_rows(s, AgentTable_TASKS), N_TASKS);
    assert_int_equal(agent_sim_rows(s, AgentTable_INFOS), N_TASKS);
    assert_int_equal(agent_sim_rows(s, AgentTable_META), 1);
    if (!y->launcher_dies) {
        assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_FINISHED");
        assert_string_equal(agent_sim_states(s, 2), "TASK_RUNNING TASK_FAILED");
        assert_string_equal(agent_sim_states(s, 3), "TASK_RUNNING TASK_KILLING TASK_KILLED");
        assert_string_equal(agent_sim_states(s, 4), "TASK_FAILED");
        assert_string_equal(agent_sim_states(s, 5), "TASK_RUNNING TASK_FAILED");
        assert_string_equal(agent_sim_states(s, 6), "TASK_RUNNING TASK_RUNNING TASK_FINISHED");
        assert_string_equal(agent_sim_states(s, 7), "TASK_FAILED");
        assert_int_equal(agent_sim_fetcher(s, 6)->n_starts, 1);
        assert_true(agent_sim_fetcher(s, 6)->forgotten);
        assert_true(agent_sim_fetcher(s, 7)->forgotten);
        assert_null(agent_sim_process(s, 7));
        for (uint8_t n = 1; n < N_TASKS; n++) {
            assert_int_equal(agent_sim_process(s, n)->n_starts, 1);
            assert_true(agent_sim_process(s, n)->forgotten);
        }
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
    static const uint64_t again[] = {0, 1, 2, 3, 5, 8};
    uint64_t at = 1;

    for (bool reached = true; reached; at++) {
        for (size_t i = 0; i < PF_ARRAY_LEN(again); i++) {
            reached = play_with_crash(at, again[i], events_per_turn, slow, launcher_dies) > 0;
        }
    }
    assert_true(at > 30);
    print_message("%d of %d crash points passed\n", (int)at - 2, (int)at - 2);
}

static void test_agent_crash_between_any_two_operations(void **state)
{
    (void)state;
    crash_everywhere(1, false, false);
}

static void test_agent_crash_with_a_slow_store(void **state)
{
    (void)state;
    crash_everywhere(1, true, false);
}

static void test_agent_crash_with_many_events_in_a_turn(void **state)
{
    (void)state;
    crash_everywhere(8, true, false);
}

static void test_agent_crash_together_with_the_launcher(void **state)
{
    (void)state;
    crash_everywhere(1, false, true);
    crash_everywhere(8, true, true);
}

/* The same events give the same effects, byte for byte. */
static void test_agent_replays_the_same(void **state)
{
    char *first = NULL;

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct story y = {.s = agent_sim_create()};
        y.s->crash_at = 17;
        y.s->events_per_turn = 3;
        play(&y);
        check_end(&y);
        if (i == 0) {
            first = pf_strdup(pf_buf_cstr(&y.s->log));
        } else {
            assert_string_equal(pf_buf_cstr(&y.s->log), first);
            assert_true(strlen(first) > 2000);
        }
        agent_sim_destroy(y.s);
    }
    pf_free(first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agent_crash_between_any_two_operations),
        cmocka_unit_test(test_agent_crash_with_a_slow_store),
        cmocka_unit_test(test_agent_crash_with_many_events_in_a_turn),
        cmocka_unit_test(test_agent_crash_together_with_the_launcher),
        cmocka_unit_test(test_agent_replays_the_same),
    };

    return cmocka_run_group_tests_name("agent_crash", tests, NULL, NULL);
}
