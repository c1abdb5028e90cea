/* SPDX-License-Identifier: Apache-2.0 */
/* Who the agent is after a restart, and what became of its tasks: agent, launcher or machine gone,
 * in every state of a task. */
#include "tests/support/agent_sim.h"

static int setup(void **state)
{
    struct agent_sim *s = agent_sim_create();

    agent_sim_start(s);
    agent_sim_master_up(s, 1);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    agent_sim_destroy(*state);
    return 0;
}

static void again(struct agent_sim *s)
{
    agent_sim_kill(s);
    agent_sim_start(s);
    if (s->epoch > 0) {
        agent_sim_master_up(s, s->epoch);
    }
}

/* The id is stored before anybody hears it, and stays. */
static void test_agent_keeps_its_id(void **state)
{
    struct agent_sim *s = *state;
    char id[64];

    (void)snprintf(id, sizeof id, "%s", pf_agent_id(s->core));
    assert_int_equal(strlen(id), 36);
    again(s);
    assert_string_equal(pf_agent_id(s->core), id);
    assert_non_null(strstr(pf_buf_cstr(&s->trace), "first start"));
    assert_null(strstr(pf_buf_cstr(&s->trace), "another machine"));
}

/* A work directory copied to another machine is another agent, without the tasks of the first. */
static void test_agent_is_another_on_another_machine(void **state)
{
    struct agent_sim *s = *state;
    struct pf_agent_stats stats;
    char id[64];

    s->acknowledges = false;
    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'x'}");
    (void)snprintf(id, sizeof id, "%s", pf_agent_id(s->core));
    agent_sim_kill(s);
    s->options.machine_id = "m2";
    s->launcher_instance[0] = '\0';
    agent_sim_start(s);
    assert_string_not_equal(pf_agent_id(s->core), id);
    assert_non_null(strstr(pf_buf_cstr(&s->trace), "another machine"));
    agent_sim_stats(s, &stats);
    assert_int_equal(stats.n_tasks_live, 0);
    assert_int_equal(stats.epoch, 0);
    assert_int_equal(agent_sim_rows(s, AgentTable_TASKS), 0);
    assert_int_equal(agent_sim_rows(s, AgentTable_INFOS), 0);
    assert_int_equal(agent_sim_rows(s, AgentTable_UPDATES), 0);
    assert_int_equal(agent_sim_rows(s, AgentTable_FRAMEWORKS), 0);
    agent_sim_launcher_up(s, "l2");
    agent_sim_master_up(s, 1);
    agent_sim_launch(s, "f1", "t1", 2, "{'value': 'x'}");
    assert_string_equal(agent_sim_states(s, 2), "TASK_RUNNING");
}

/* The agent dies alone: its tasks run on and end with their true status. */
static void test_agent_takes_its_tasks_over(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'x'}");
    agent_sim_launch(s, "f1", "t2", 2, "{'value': 'x'}");
    agent_sim_kill(s);
    agent_sim_exit(s, 1, 7 << 8); /* while nobody looks */
    agent_sim_start(s);
    agent_sim_master_up(s, 1);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_FAILED");
    assert_non_null(strstr(pf_buf_cstr(&s->log), "Command exited with status 7"));
    assert_string_equal(agent_sim_states(s, 2), "TASK_RUNNING");
    agent_sim_exit(s, 2, 0);
    assert_string_equal(agent_sim_states(s, 2), "TASK_RUNNING TASK_FINISHED");
    assert_int_equal(agent_sim_process(s, 2)->n_starts, 1);
}

/* Nobody saw the exit: said as it is, and the resources are free again. */
static void test_agent_says_when_the_status_is_unknown(void **state)
{
    struct agent_sim *s = *state;
    struct pf_agent_stats stats;

    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'x'}");
    agent_sim_launcher_down(s);
    agent_sim_clear_log(s);
    agent_sim_launcher_up(s, "l2");
    AGENT_SIM_EXPECT(s, "TASK_FAILED", "exit status unknown", "REASON_EXECUTOR_TERMINATED");
    agent_sim_stats(s, &stats);
    assert_int_equal(stats.n_tasks_live, 0);
    agent_sim_launch(s, "f1", "t2", 2, "{'value': 'x'}");
    agent_sim_kill(s);
    (void)snprintf(s->launcher_instance, sizeof s->launcher_instance, "l3");
    agent_sim_process(s, 2)->forgotten = true;
    agent_sim_start(s);
    agent_sim_master_up(s, 1);
    assert_string_equal(agent_sim_states(s, 2), "TASK_RUNNING TASK_FAILED");
}

/* The link to the launcher breaks and comes back: nothing happened. */
static void test_agent_survives_a_broken_launcher_link(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'x'}");
    agent_sim_launcher_down(s);
    agent_sim_launcher_up(s, "l1");
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING");
    agent_sim_exit(s, 1, 0);
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_FINISHED");
}

/* A start that was lost with the link is said again to the same launcher, never to another. */
static void test_agent_repeats_a_lost_start(void **state)
{
    struct agent_sim *s = *state;

    s->launcher_up = false; /* the agent does not know yet */
    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'x'}");
    agent_sim_launcher_down(s);
    agent_sim_launcher_up(s, "l1");
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING");
    assert_int_equal(agent_sim_process(s, 1)->n_starts, 1);
    s->launcher_up = false;
    agent_sim_launch(s, "f1", "t2", 2, "{'value': 'x'}");
    agent_sim_launcher_down(s);
    agent_sim_launcher_up(s, "l2");
    assert_string_equal(agent_sim_states(s, 2), "TASK_FAILED");
    assert_null(agent_sim_process(s, 2));
}

static void test_agent_fails_running_tasks_after_a_reboot(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'x'}");
    agent_sim_launcher_down(s);
    agent_sim_launch(s, "f1", "t2", 2, "{'value': 'x'}"); /* accepted, never started */
    agent_sim_reboot(s, "b2");
    agent_sim_clear_log(s);
    agent_sim_start(s);
    agent_sim_master_up(s, 1);
    AGENT_SIM_EXPECT(s, "TASK_FAILED", "The machine rebooted, exit status unknown",
                     "REASON_EXECUTOR_TERMINATED");
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_FAILED");
    assert_string_equal(agent_sim_states(s, 2), "TASK_RUNNING");
    assert_int_equal(agent_sim_process(s, 2)->n_starts, 1);
}

/* A launch handed to a launcher that lives on starts after all; with another launcher nobody knows
 * whether it ran, so it must not start again. */
static void test_agent_resolves_a_half_started_launch(void **state)
{
    struct agent_sim *s = *state;

    for (uint8_t n = 1; n <= 2; n++) {
        s->crash_at = s->n_ops + 2; /* its rows are stored, its sandbox is not made */
        agent_sim_launch(s, "f1", n == 1 ? "t1" : "t2", n, "{'value': 'x'}");
        assert_null(s->core);
        s->crash_at = 0;
        if (n == 2) {
            (void)snprintf(s->launcher_instance, sizeof s->launcher_instance, "l2");
            agent_sim_process(s, 1)->forgotten = true;
        }
        agent_sim_start(s);
        agent_sim_master_up(s, 1);
    }
    assert_string_equal(agent_sim_states(s, 1), "TASK_RUNNING TASK_FAILED");
    assert_int_equal(agent_sim_process(s, 1)->n_starts, 1);
    assert_string_equal(agent_sim_states(s, 2), "TASK_FAILED");
    assert_null(agent_sim_process(s, 2));
}

/* The launcher knows a process that the agent does not: it must not go on. */
static void test_agent_kills_strays(void **state)
{
    struct agent_sim *s = *state;

    agent_sim_launch(s, "f1", "t1", 1, "{'value': 'stubborn'}");
    agent_sim_kill(s);
    pf_store_image_destroy(s->image);
    s->image = pf_store_image_create();
    agent_sim_clear_log(s);
    agent_sim_start(s);
    AGENT_SIM_EXPECT(s, "signal 01 9", "forget 01");
    assert_true(agent_sim_process(s, 1)->forgotten);
}

/* Given less at a restart than its tasks hold: they run on, new ones are refused until it fits. */
static void test_agent_with_less_resources_refuses_launches(void **state)
{
    struct agent_sim *s = *state;
    struct pf_err err = {0};

    agent_sim_launch_more(s, "f1", "t1", 1, "{'value': 'x'}",
                          ", 'resources': [{'name': 'cpus', 'type': 'SCALAR', 'scalar': "
                          "{'value': 3}}]");
    agent_sim_kill(s);
    pf_res_clear(&s->total);
    assert_int_equal(pf_res_parse(PF_STR("cpus:2;mem:100"), &s->total, &err), 0);
    agent_sim_start(s);
    agent_sim_master_up(s, 1);
    agent_sim_launch(s, "f1", "t2", 2, "{'value': 'x'}");
    assert_string_equal(agent_sim_states(s, 2), "TASK_DROPPED");
    agent_sim_exit(s, 1, 0);
    agent_sim_launch(s, "f1", "t3", 3, "{'value': 'x'}");
    assert_string_equal(agent_sim_states(s, 3), "TASK_RUNNING");
}

/* Rows that belong to nothing are removed, not obeyed. */
static void test_agent_drops_orphaned_rows(void **state)
{
    struct agent_sim *s = *state;
    struct pf_fb_builder b;
    struct pf_agent_event ev = {.type = PF_AGENT_ROW, .now_ms = 1, .wall_ms = 1};
    uint8_t key[20] = {1};

    agent_sim_kill(s);
    pf_store_image_destroy(s->image);
    s->image = pf_store_image_create();
    s->core = pf_agent_create(&s->options);
    s->turns = pf_turns_create(1 << 20, 1);
    s->store = pf_store_memory_open(s->image);
    pf_fb_builder_init(&b, NULL);
    ev.row.key = (struct pf_bytes){key, sizeof key};
    ev.row.table = AgentTable_UPDATES;
    ev.row.row = test_msg(&b, &Row_AgentUpdate__desc,
                          "{'status': {'task_id': {'value': 't'}, 'state': 'TASK_LOST'}}");
    pf_agent_step(s->core, &ev, pf_turns_open(s->turns));
    ev.row.key.len = 16;
    ev.row.table = AgentTable_INFOS;
    ev.row.row = test_msg(&b, &Row_AgentTaskInfo__desc, "{}");
    pf_agent_step(s->core, &ev, pf_turns_open(s->turns));
    ev.row.table = AgentTable_TASKS;
    ev.row.row = test_msg(&b, &Row_AgentTask__desc, "{'framework_id': 'f', 'state': 'RUNNING'}");
    pf_agent_step(s->core, &ev, pf_turns_open(s->turns));
    ev.type = PF_AGENT_BOOT;
    pf_agent_step(s->core, &ev, pf_turns_open(s->turns));
    pf_agent_check(s->core);
    const struct pf_batch *batch = pf_turns_seal(s->turns);
    uint32_t n_dels = 0;
    for (uint32_t i = 0; i < batch->n_ops; i++) {
        n_dels += batch->op[i].is_del;
    }
    assert_int_equal(n_dels, 3); /* the update, the infos (twice the same key), the task */
    pf_turns_stored(s->turns, batch->number);
    pf_fb_builder_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_agent_keeps_its_id, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_is_another_on_another_machine, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_takes_its_tasks_over, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_says_when_the_status_is_unknown, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_agent_survives_a_broken_launcher_link, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_agent_repeats_a_lost_start, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_fails_running_tasks_after_a_reboot, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_agent_resolves_a_half_started_launch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_kills_strays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agent_with_less_resources_refuses_launches, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_agent_drops_orphaned_rows, setup, teardown),
    };

    return cmocka_run_group_tests_name("agent_recover", tests, NULL, NULL);
}
