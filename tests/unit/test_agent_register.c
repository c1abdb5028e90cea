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

/* The master that heard everything is not told again; an update that it did not hear, a launch that
 * it cannot know of, another start of the agent: it is. */
static void test_agent_lists_only_what_is_not_known(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_master_up(s, 1);
    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'sleep 5'}");
    agent_sim_launch(s, "f1", "t2", 2, "{'value': 'exit 4'}");
    assert_int_equal(s->heard_sequence, 5);
    assert_int_equal(s->n_lists, 1);
    agent_sim_master_down(s);
    agent_sim_clear_log(s);
    agent_sim_master_up(s, 2);
    assert_null(strstr(pf_buf_cstr(&s->log), "AgentTasks"));
    AGENT_SIM_EXPECT(s, "AgentRegister", "\"instance\":\"instance1\",\"sequence\":5");
    assert_int_equal(s->n_registrations, 2);
    agent_sim_master_down(s);
    agent_sim_exit(s, 1, 0);
    agent_sim_master_up(s, 2);
    assert_int_equal(s->n_lists, 2);
    agent_sim_kill(s);
    agent_sim_start(s);
    agent_sim_master_up(s, 2);
    assert_int_equal(s->n_lists, 3);
    assert_string_equal(s->heard_instance, "instance2");
}

/* An update that waits behind another is not told, whatever later ones of other tasks say. */
static void test_agent_does_not_count_updates_that_wait(void **state)
{
    struct agent_sim *s = *state;

    s->acknowledges = false;
    agent_sim_master_up(s, 1);
    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'sleep 5'}"); /* launch 1, RUNNING 2 */
    agent_sim_exit(s, 1, 0);                                    /* FINISHED 3, waits */
    agent_sim_launch(s, "f1", "t2", 2, "{'value': 'sleep 5'}"); /* launch 4, RUNNING 5 */
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING");
    assert_string_equal(agent_sim_states(s, 2), "TASK_RUNNING");
    assert_int_equal(s->heard_sequence, 2);
    agent_sim_launcher_down(s);
    agent_sim_launch(s, "f1", "t3", 3, "{'value': 'sleep 5'}"); /* launch 6, has no update */
    assert_int_equal(s->heard_sequence, 2);
    agent_sim_master_down(s);
    agent_sim_master_up(s, 1);
    assert_int_equal(s->n_lists, 2);
    assert_int_equal(s->heard_sequence, 6);
}

/* What a torn down framework had is told to nobody, and holds up nothing. */
static void test_agent_counts_on_after_a_teardown(void **state)
{
    struct agent_sim *s = *state;

    s->acknowledges = false;
    agent_sim_master_up(s, 1);
    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'sleep 5'}");
    agent_sim_exit(s, 1, 0);
    agent_sim_launch(s, "f1", "t2", 2, "{'value': 'sleep 5'}");
    agent_sim_say(s, "{'AgentTeardown': {'framework_id': 'f1'}}");
    agent_sim_launch(s, "f2", "t3", 3, "{'value': 'sleep 5'}");
    assert_int_equal(s->heard_sequence, 7);
}

/* A leader that wants the list again gets it from the start. */
static void test_agent_lists_again_when_asked_again(void **state)
{
    struct agent_sim *s = *state;
    struct pf_agent_stats stats;

    agent_sim_master_up(s, 1);
    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'sleep 5'}");
    agent_sim_master_down(s);
    s->registers = false;
    agent_sim_master_up(s, 2);
    for (int i = 0; i < 2; i++) {
        agent_sim_clear_log(s);
        agent_sim_answer(s, "OK", "{'AgentTasksWanted': {}}");
        agent_sim_run(s);
        AGENT_SIM_EXPECT(s, "send 1002", "\"framework_id\":\"f1\"", "sleep 5", "\"last\":true");
    }
    agent_sim_answer(s, "OK", "{'AgentRegistered': {'agent_id': 'x'}}");
    agent_sim_run(s);
    agent_sim_stats(s, &stats);
    assert_true(stats.registered);
    agent_sim_clear_log(s);
    agent_sim_answer(s, "OK", "{'AgentTasksWanted': {}}"); /* too late */
    agent_sim_run(s);
    assert_string_equal(pf_buf_cstr(&s->log), "");
}

/* A launch of the old leader and the Welcome of the new one come in the same turn, and storing
 * takes a while: the launch is in the list. */
static void test_agent_lists_what_it_accepted_in_the_same_turn(void **state)
{
    struct agent_sim *s = *state;

    s->is_store_slow = true;
    s->events_per_turn = 2;
    agent_sim_master_up(s, 1);
    agent_sim_say_as(s, SIM_MASTER + 1, 0, 1,
                     "{'AgentLaunch': {'framework_id': 'f1', 'framework_info': {'user': 'u', "
                     "'name': 'f'}, 'tasks': [{'launch_uuid': 'AQEBAQEBAQEBAQEBAQEBAQ==', 'info': "
                     "{'name': 'n', 'task_id': {'value': 't1'}, 'agent_id': {'value': ''}, "
                     "'command': {'value': 'sleep 1'}}}]}}");
    s->epoch = 2;
    agent_sim_welcome(s, SIM_MASTER + 2, "LEADER", SIM_OURS, 2, false);
    agent_sim_run(s);
    assert_non_null(strstr(pf_buf_cstr(&s->registered), "t1 TASK_"));
    assert_int_equal(s->n_registrations, 2);
    assert_int_equal(agent_sim_process(s, 1)->n_starts, 1);
}

/* Two masters are linked; the lead goes to and fro with growing epochs, always on links that
 * stand. What the old one still says changes nothing, and its refusal names the pair we hold. */
static void test_agent_follows_the_lead_over_standing_links(void **state)
{
    struct agent_sim *s = *state;
    struct pf_agent_stats stats;

    s->master_up = true;
    s->epoch = 1;
    agent_sim_welcome(s, 1001, "LEADER", SIM_OURS, 1, false);
    agent_sim_welcome(s, 1002, "STANDBY", SIM_OURS, 1, false);
    agent_sim_run(s);
    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'sleep 5'}");
    for (uint64_t epoch = 2; epoch < 6; epoch++) {
        uint64_t old = 1001 + epoch % 2, new = 1002 - epoch % 2;

        s->epoch = epoch;
        agent_sim_welcome(s, new, "LEADER", SIM_OURS, epoch, true);
        agent_sim_run(s);
        assert_int_equal(s->heard_peer, new);
        assert_int_equal(epoch_in_store(s), epoch);
        agent_sim_clear_log(s);
        agent_sim_say_as(s, old, 7, epoch - 1,
                         "{'AgentKill': {'framework_id': 'f1', 'task_id': 't1'}}");
        agent_sim_say_as(s, new, 8, epoch - 1,
                         "{'AgentKill': {'framework_id': 'f1', 'task_id': 't1'}}");
        agent_sim_run(s);
        char held[32];
        (void)snprintf(held, sizeof held, "\"epoch\":%u", (unsigned)epoch);
        AGENT_SIM_EXPECT(s, "\"incarnation\":\"" SIM_OURS, held, "\"request_id\":7", "CONFLICT",
                         "\"incarnation\":\"" SIM_OURS, held, "\"request_id\":8", "CONFLICT");
    }
    agent_sim_stats(s, &stats);
    assert_true(stats.registered);
    assert_int_equal(agent_sim_process(s, 1)->n_kills, 0);
    assert_int_equal(s->n_lists, 1);
}

static void test_agent_refuses_lower_epochs(void **state)
{
    struct agent_sim *s = *state;
    struct pf_agent_stats stats;

    agent_sim_master_up(s, 5);
    agent_sim_clear_log(s);
    agent_sim_master_up(s, 4);
    AGENT_SIM_EXPECT(s, "send 1004", "\"incarnation\":\"" SIM_OURS, "\"epoch\":5", "Goodbye",
                     "obeys epoch 5", "close 1004");
    s->epoch = 5;
    agent_sim_stats(s, &stats);
    assert_true(stats.registered);
    assert_int_equal(stats.epoch, 5);
    /* A command of an older epoch on the very link of the leader is refused as well. */
    agent_sim_clear_log(s);
    agent_sim_say_as(s, SIM_MASTER + 5, 9, 4, "{'AgentTeardown': {'framework_id': 'f'}}");
    agent_sim_run(s);
    AGENT_SIM_EXPECT(s, "send 1005", "\"request_id\":9", "CONFLICT");
    /* Where nobody else leads it is told above which epoch it has to. */
    agent_sim_kill(s);
    agent_sim_start(s);
    agent_sim_clear_log(s);
    agent_sim_master_up(s, 4);
    AGENT_SIM_EXPECT(s, "send 1004", "\"epoch\":5", "AgentRegister", "\"epoch\":5", "Goodbye",
                     "close 1004");
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

/* Only another registry's masters are left: a person is told, by name and with the command; one of
 * ours that answers ends that. */
static void test_agent_says_that_all_masters_are_foreign(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_master_up(s, 1);
    agent_sim_welcome(s, 1005, "STANDBY", SIM_FOREIGN, 5, false);
    agent_sim_run(s);
    assert_null(pf_agent_problem(s->core));
    agent_sim_master_down(s);
    const char *problem = pf_agent_problem(s->core);
    assert_non_null(strstr(problem, "serves registry 01010101-"));
    assert_non_null(strstr(problem, "belongs to registry abababab-"));
    assert_non_null(strstr(problem, "proffer adopt "));
    assert_non_null(strstr(problem, pf_agent_id(s->core)));
    agent_sim_client_up(s, SIM_CLIENT, true);
    agent_sim_clear_log(s);
    agent_sim_say_as(s, SIM_CLIENT, 3, 0, "{'AgentStatusCall': {}}");
    agent_sim_run(s);
    AGENT_SIM_EXPECT(s, "serves registry 01010101-");
    agent_sim_welcome(s, 1002, "STANDBY", SIM_OURS, 1, false);
    agent_sim_run(s);
    assert_null(pf_agent_problem(s->core));
}

/* Told by an operator, the agent obeys the other registry, from epoch 0 on, over a restart too. */
static void test_agent_adopts_another_incarnation(void **state)
{
    struct agent_sim *s = *state;
    struct pf_agent_stats stats;
    static const char *const call = "{'AgentAdopt': {'incarnation': '" SIM_FOREIGN "'}}";

    agent_sim_master_up(s, 5);
    agent_sim_client_up(s, SIM_CLIENT, false);
    agent_sim_client_up(s, SIM_CLIENT + 1, true);
    agent_sim_clear_log(s);
    agent_sim_say_as(s, SIM_CLIENT, 3, 0, call);
    agent_sim_say_as(s, SIM_CLIENT + 1, 4, 0, "{'AgentAdopt': {'incarnation': 'AQE='}}");
    agent_sim_say_as(s, SIM_CLIENT + 1, 5, 0, "{'AgentAdopt': {'incarnation': '" SIM_OURS "'}}");
    agent_sim_run(s);
    AGENT_SIM_EXPECT(s, "\"request_id\":3", "FORBIDDEN", "\"request_id\":4", "BAD_REQUEST",
                     "\"request_id\":5", "CONFLICT", "belongs to that registry already");
    assert_int_equal(epoch_in_store(s), 5);
    s->is_store_slow = true;
    agent_sim_say_as(s, SIM_CLIENT + 1, 6, 0, call);
    agent_sim_run(s);
    AGENT_SIM_EXPECT(s, "send 2001", "\"incarnation\":\"" SIM_FOREIGN, "\"request_id\":6",
                     "\"Reply\"");
    assert_int_equal(epoch_in_store(s), 0);
    agent_sim_stats(s, &stats);
    assert_false(stats.registered);
    agent_sim_kill(s);
    agent_sim_start(s);
    agent_sim_foreign_master_up(s, 2);
    assert_int_equal(epoch_in_store(s), 2);
    agent_sim_clear_log(s);
    agent_sim_welcome(s, 1009, "LEADER", SIM_OURS, 9, false);
    agent_sim_run(s);
    AGENT_SIM_EXPECT(s, "Goodbye", "close 1009");
}

/* A leader that was linked as a foreign standby is obeyed at once when it is adopted. */
static void test_agent_registers_when_it_adopts_who_is_linked(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_master_up(s, 5);
    agent_sim_welcome(s, 1002, "STANDBY", SIM_FOREIGN, 1, false);
    agent_sim_client_up(s, SIM_CLIENT, true);
    agent_sim_say_as(s, SIM_CLIENT, 6, 0, "{'AgentAdopt': {'incarnation': '" SIM_FOREIGN "'}}");
    agent_sim_run(s);
    agent_sim_clear_log(s);
    agent_sim_welcome(s, 1002, "LEADER", SIM_FOREIGN, 1, true);
    agent_sim_run(s);
    AGENT_SIM_EXPECT(s, "send 1002", "AgentRegister");
    assert_null(pf_agent_problem(s->core));
}

/* A scheduler has a key as well, and may not decide whose the agent is. */
static void test_agent_is_adopted_by_operators_only(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_master_up(s, 5);
    agent_sim_scheduler_up(s, SIM_CLIENT);
    agent_sim_clear_log(s);
    agent_sim_say_as(s, SIM_CLIENT, 6, 0, "{'AgentAdopt': {'incarnation': '" SIM_FOREIGN "'}}");
    agent_sim_run(s);
    AGENT_SIM_EXPECT(s, "\"request_id\":6", "FORBIDDEN");
    assert_int_equal(epoch_in_store(s), 5);
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
    agent_sim_clear_log(s);
    agent_sim_run(s);
    AGENT_SIM_EXPECT(s, "send 1001", "\"epoch\":2", "AgentRegister");
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
        cmocka_unit_test_setup_teardown(test_agent_lists_only_what_is_not_known, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_does_not_count_updates_that_wait, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_agent_counts_on_after_a_teardown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_lists_again_when_asked_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_lists_what_it_accepted_in_the_same_turn, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_agent_follows_the_lead_over_standing_links, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_agent_says_that_all_masters_are_foreign, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_agent_adopts_another_incarnation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_registers_when_it_adopts_who_is_linked, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_agent_is_adopted_by_operators_only, setup, teardown),
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
