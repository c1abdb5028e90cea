/* SPDX-License-Identifier: Apache-2.0 */
/* Links to masters: whom the agent obeys, what it stores before it does, what it tells. */
#include "tests/support/agent_sim.h"

static int setup(void **state)
{
    struct agent_sim *s = agent_sim_create();

    agent_sim_start(s);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    agent_sim_destroy(*state);
    return 0;
}

static uint64_t stored_epoch;

static int read_identity(void *ctx, uint8_t table, struct pf_bytes key, struct pf_bytes row)
{
    (void)ctx;
    (void)key;
    if (table == AgentTable_META) {
        stored_epoch = Row_AgentIdentity_epoch(Row_AgentIdentity__from_bytes(row));
    }
    return 0;
}

static uint64_t epoch_in_store(struct agent_sim *s)
{
    struct pf_store *store = pf_store_memory_open(s->image);
    struct pf_err err = {0};

    stored_epoch = 0;
    assert_int_equal(pf_store_load(store, read_identity, NULL, &err), 0);
    pf_store_destroy(store);
    return stored_epoch;
}

static void test_agent_tells_what_it_has(void **state)
{
    struct agent_sim *s = *state;
    struct pf_agent_stats stats;

    agent_sim_master_up(s, 3);
    AGENT_SIM_EXPECT(s, "AgentRegister", "\"hostname\":\"h1\"", "\"name\":\"cpus\"",
                     "\"value\":4.0", "\"begin\":31000,\"end\":31009", "\"name\":\"rack\"",
                     "\"value\":\"a\"", "\"name\":\"slots\"", "\"value\":3.0",
                     "\"address\":\"127.0.0.1:5056\"", "accounted, not enforced", "AgentTasks",
                     "\"last\":true");
    agent_sim_stats(s, &stats);
    assert_true(stats.registered);
    assert_int_equal(stats.epoch, 3);
    assert_int_equal(epoch_in_store(s), 3);
}

/* All tasks with what the master needs of them, and each framework once. */
static void test_agent_tells_its_tasks(void **state)
{
    struct agent_sim *s = *state;

    s->acknowledges = false;
    agent_sim_master_up(s, 1);
    agent_sim_launch_more(s, "f1", "t1", 1, "{'value': 'sleep 5', 'cwd': '/x'}",
                          ", 'labels': {'labels': [{'key': 'k', 'value': 'v'}]}, 'kill_policy': "
                          "{'grace_period': {'nanoseconds': 9000000000}}");
    agent_sim_launch(s, "f1", "t2", 2, "{'value': 'exit 4'}");
    agent_sim_launcher_down(s);
    agent_sim_launch(s, "f2", "t3", 3,
                     "{'shell': false, 'value': '/bin/x', 'arguments': ['x','y']}");
    agent_sim_master_down(s);
    agent_sim_clear_log(s);
    agent_sim_master_up(s, 2);
    assert_string_equal(pf_buf_cstr(&s->registered),
                        "t1 TASK_RUNNING\nt2 TASK_FAILED\nt3 TASK_STAGING\n");
    AGENT_SIM_EXPECT(s, "AgentTasks", "\"framework_id\":\"f1\",\"info\":{\"user\":\"u\"",
                     "\"framework_id\":\"f2\",\"info\":{\"user\":\"u\"",
                     "\"status_update_state\":\"TASK_RUNNING\"",
                     "\"labels\":[{\"key\":\"k\",\"value\":\"v\"}]", "\"command\":\"sleep 5\"",
                     "\"launch_uuid\":\"AQEBAQEBAQEBAQEBAQEBAQ==\",\"grace_ms\":9000",
                     "\"exit_status\":4", "\"command\":\"x y\"");
}

/* Ten thousand tasks come in batches below 1 MiB, the last one says so. */
static void test_agent_tells_tasks_in_batches(void **state)
{
    struct agent_sim *s = *state;
    struct pf_agent_stats stats;
    uint32_t n_batches = 0;

    agent_sim_master_up(s, 1);
    agent_sim_launcher_down(s);
    for (uint32_t n = 0; n < 5000; n++) {
        char body[500];
        (void)snprintf(body, sizeof body,
                       "{'AgentLaunch': {'framework_id': 'f1', 'tasks': [{'launch_uuid': "
                       "'%08uAAAAAAAAAAAAAA==', 'info': {'name': 'n', 'task_id': {'value': 'h%u'}, "
                       "'agent_id': {'value': ''}, 'command': {'value': 'sleep 1'}}}]}}",
                       (unsigned)n, (unsigned)n);
        agent_sim_say_as(s, SIM_MASTER + 1, 0, 1, body);
    }
    agent_sim_run(s);
    agent_sim_master_down(s);
    agent_sim_clear_log(s);
    agent_sim_master_up(s, 1);
    agent_sim_stats(s, &stats);
    assert_int_equal(stats.n_tasks_live, 5000);
    assert_true(stats.registered);
    for (const char *p = pf_buf_cstr(&s->log); (p = strstr(p, "AgentTasks")) != NULL; p++) {
        n_batches++;
    }
    assert_true(n_batches >= 5);
    assert_non_null(strstr(pf_buf_cstr(&s->log), "h4999"));
    assert_int_equal(s->n_registrations, 2);
}

static void test_agent_refuses_lower_epochs(void **state)
{
    struct agent_sim *s = *state;
    struct pf_agent_stats stats;

    agent_sim_master_up(s, 5);
    agent_sim_clear_log(s);
    agent_sim_master_up(s, 4);
    AGENT_SIM_EXPECT(s, "send 1004", "Goodbye", "obeys epoch 5", "close 1004");
    s->epoch = 5;
    agent_sim_stats(s, &stats);
    assert_true(stats.registered);
    assert_int_equal(stats.epoch, 5);
    /* A command of an older epoch on the very link of the leader is refused as well. */
    agent_sim_clear_log(s);
    agent_sim_say_as(s, SIM_MASTER + 5, 9, 4, "{'AgentTeardown': {'framework_id': 'f'}}");
    agent_sim_run(s);
    AGENT_SIM_EXPECT(s, "send 1005", "\"request_id\":9", "CONFLICT");
    agent_sim_kill(s);
    agent_sim_start(s);
    agent_sim_master_up(s, 4);
    agent_sim_stats(s, &stats);
    assert_false(stats.registered);
}

static void test_agent_refuses_a_foreign_incarnation(void **state)
{
    struct agent_sim *s = *state;
    struct pf_agent_stats stats;

    agent_sim_master_up(s, 1);
    agent_sim_master_down(s);
    agent_sim_clear_log(s);
    agent_sim_foreign_master_up(s, 9);
    AGENT_SIM_EXPECT(s, "Goodbye", "obeys epoch 1 of incarnation abababab", "close 1009");
    agent_sim_stats(s, &stats);
    assert_false(stats.registered);
    assert_int_equal(epoch_in_store(s), 1);
}

/* The old leader's link still stands when the new one comes: the new one is obeyed at once, the old
 * one no more. */
static void test_agent_follows_the_highest_epoch(void **state)
{
    struct agent_sim *s = *state;
    struct pf_agent_stats stats;

    agent_sim_master_up(s, 1);
    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'x'}");
    agent_sim_master_up(s, 2);
    agent_sim_stats(s, &stats);
    assert_int_equal(stats.epoch, 2);
    assert_true(stats.registered);
    agent_sim_say_as(s, SIM_MASTER + 1, 0, 1,
                     "{'AgentKill': {'framework_id': 'f1', 'task_id': 't1'}}");
    agent_sim_run(s);
    assert_int_equal(agent_sim_process(s, 1)->n_kills, 0);
}

/* A standby says on its standing link that it leads now. */
static void test_agent_hears_of_a_take_over_on_a_standing_link(void **state)
{
    struct agent_sim *s = *state;
    struct pf_agent_stats stats;

    agent_sim_master_up(s, 1);
    agent_sim_say_as(s, SIM_MASTER + 1, 0, 2,
                     "{'Welcome': {'role': 'LEADER', 'instance': 'i', 'epoch': 2, "
                     "'incarnation': 'q6urq6urq6urq6urq6urqw=='}}");
    s->epoch = 2;
    /* Its answers come from peer 1002 in this world; here only the question matters. */
    agent_sim_clear_log(s);
    agent_sim_run(s);
    AGENT_SIM_EXPECT(s, "send 1001", "\"epoch\":2", "AgentRegister", "AgentTasks");
    assert_int_equal(epoch_in_store(s), 2);
    agent_sim_say_as(s, SIM_MASTER + 1, 0, 2, "{'Welcome': {'role': 'STANDBY', 'epoch': 2}}");
    agent_sim_run(s);
    agent_sim_stats(s, &stats);
    assert_false(stats.registered);
}

/* Refused: asks again, and says why to who asks. */
static void test_agent_asks_again_when_refused(void **state)
{
    struct agent_sim *s = *state;
    struct pf_agent_stats stats;

    s->registers = false;
    agent_sim_master_up(s, 1);
    agent_sim_answer(s, "CONFLICT", "{'Reply': {}}");
    agent_sim_run(s);
    assert_non_null(strstr(pf_buf_cstr(&s->trace), "registering->refused because"));
    s->registers = true;
    agent_sim_pass(s, 5000);
    agent_sim_stats(s, &stats);
    assert_true(stats.registered);
    assert_null(strstr(pf_buf_cstr(&s->log), "Goodbye"));
}

/* No answer: asks again after 10 s. */
static void test_agent_asks_again_without_an_answer(void **state)
{
    struct agent_sim *s = *state;
    struct pf_agent_stats stats;

    s->registers = false;
    agent_sim_master_up(s, 1);
    agent_sim_pass(s, 9999);
    s->registers = true;
    agent_sim_stats(s, &stats);
    assert_false(stats.registered);
    agent_sim_pass(s, 1);
    agent_sim_stats(s, &stats);
    assert_true(stats.registered);
}

/* Unknown messages of a master are answered with an error and counted. */
static void test_agent_answers_the_unknown(void **state)
{
    struct agent_sim *s = *state;
    struct pf_agent_stats stats;

    agent_sim_master_up(s, 1);
    agent_sim_clear_log(s);
    agent_sim_say_as(s, SIM_MASTER + 1, 5, 1, "{'AgentStatus': {}}");
    agent_sim_run(s);
    AGENT_SIM_EXPECT(s, "\"request_id\":5", "UNSUPPORTED");
    agent_sim_say_as(s, SIM_MASTER + 1, 6, 1, "{'AgentTeardown': {'framework_id': 'f'}}");
    agent_sim_run(s);
    AGENT_SIM_EXPECT(s, "\"request_id\":6,\"is_reply\":true,\"body\":{\"Reply\":{}}");
    agent_sim_stats(s, &stats);
    assert_int_equal(stats.bad_messages, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_agent_tells_what_it_has, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_tells_its_tasks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_tells_tasks_in_batches, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_refuses_lower_epochs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_refuses_a_foreign_incarnation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_follows_the_highest_epoch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_hears_of_a_take_over_on_a_standing_link, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_agent_asks_again_when_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_asks_again_without_an_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_answers_the_unknown, setup, teardown),
    };

    return cmocka_run_group_tests_name("agent_register", tests, NULL, NULL);
}
