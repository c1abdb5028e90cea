/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of agents that are taken out of service, and of the tasks that are left on them. */
#include "framework/cli/member.h"

#include "common/base/alloc.h"
#include "tests/support/test.h"

static struct pf_msg task_of(struct pf_fb_builder *b, enum TaskState state, int64_t deadline_ms)
{
    return Task__finish(b, Task__put(b, &(struct Task__args){.state = PF_OPT(state),
                                                             .kill_deadline_ms = deadline_ms}));
}

static void test_why_a_task_is_left(void **state)
{
    static const struct {
        enum TaskState state;
        int64_t deadline_ms;
        bool is_away, with_times;
        const char *text;
    } cases[] = {
        {TaskState_TASK_RUNNING, 0, false, true, "was not asked to end"},
        {TaskState_TASK_RUNNING, 103500, false, true, "was sent SIGTERM, SIGKILL in 3s"},
        {TaskState_TASK_RUNNING, 100400, false, true, "was sent SIGTERM, SIGKILL in 400ms"},
        {TaskState_TASK_RUNNING, 103500, false, false, "was sent SIGTERM"},
        {TaskState_TASK_KILLING, 99000, false, true, "SIGKILL was due; its end is awaited"},
        {TaskState_TASK_RUNNING, 103500, true, true, "its agent is not connected"},
        {TaskState_TASK_KILLED, 103500, true, true,
         "has ended; its framework has not taken that yet"},
    };
    (void)state;

    for (size_t i = 0; i < PF_ARRAY_LEN(cases); i++) {
        struct pf_fb_builder b;
        struct pf_buf text = {0};

        pf_fb_builder_init(&b, NULL);
        struct pf_msg msg = task_of(&b, cases[i].state, cases[i].deadline_ms);
        pf_member_why(Task__from_bytes(pf_msg_bytes(msg)), cases[i].is_away, 100000,
                      cases[i].with_times, &text);
        assert_string_equal(pf_buf_cstr(&text), cases[i].text);
        pf_buf_fini(&text);
        pf_fb_builder_fini(&b);
    }
}

static void test_state_of_an_agent(void **state)
{
    static const struct {
        enum AgentState state;
        bool deactivated, leaving;
        int drain; /* DrainState, 0 = none */
        enum pf_member_state expected;
    } cases[] = {
        {AgentState_REGISTERED, false, false, 0, PF_MEMBER_ACTIVE},
        {AgentState_REGISTERED, true, false, 0, PF_MEMBER_DEACTIVATED},
        {AgentState_REGISTERED, true, false, DrainState_DRAINING, PF_MEMBER_DRAINING},
        {AgentState_UNREACHABLE, true, false, DrainState_DRAINING, PF_MEMBER_DRAINING},
        {AgentState_REGISTERED, true, false, DrainState_DRAINED, PF_MEMBER_DRAINED},
        {AgentState_REGISTERED, true, true, DrainState_DRAINED, PF_MEMBER_LEAVING},
        {AgentState_DISCONNECTED, false, false, 0, PF_MEMBER_AWAY},
        {AgentState_GONE, true, false, DrainState_DRAINED, PF_MEMBER_IS_GONE},
    };
    (void)state;

    for (size_t i = 0; i < PF_ARRAY_LEN(cases); i++) {
        struct pf_fb_builder b;
        struct Master_Response_GetAgents_Agent__args args = {.state = cases[i].state,
                                                             .deactivated =
                                                                 PF_OPT(cases[i].deactivated),
                                                             .leaving = cases[i].leaving};

        pf_fb_builder_init(&b, NULL);
        if (cases[i].drain != 0) {
            args.drain_info = DrainInfo__put(
                &b, &(struct DrainInfo__args){.state = PF_OPT((enum DrainState)cases[i].drain)});
        }
        struct pf_msg msg = Master_Response_GetAgents_Agent__finish(
            &b, Master_Response_GetAgents_Agent__put(&b, &args));
        assert_int_equal(
            pf_member_state_of(Master_Response_GetAgents_Agent__from_bytes(pf_msg_bytes(msg))),
            cases[i].expected);
        pf_fb_builder_fini(&b);
    }
    assert_string_equal(pf_member_word(PF_MEMBER_DRAINED), "drained");
}

/* Without a terminal: a line for each change, none for what changes by itself. */
static void test_lines_of_changes(void **state)
{
    char *out = NULL;
    size_t len = 0;
    struct pf_cli cli = {.err = open_memstream(&out, &len)};
    struct pf_left *l = pf_left_create(&cli);
    struct pf_member m = {.id = PF_STR("3f2a0000-x"), .hostname = PF_STR("node7")};
    struct pf_err err = {0};
    (void)state;

    for (int i = 0; i < 2; i++) { /* gone ones are not asked about */
        m.state = PF_MEMBER_DRAINED;
        assert_int_equal(pf_left_show(l, NULL, &m, 1, &err), 0);
    }
    m.state = PF_MEMBER_IS_GONE;
    assert_int_equal(pf_left_show(l, NULL, &m, 1, &err), 0);
    pf_left_destroy(l);
    (void)fclose(cli.err);
    assert_string_equal(out, "node7 3f2a0000  drained\nnode7 3f2a0000  gone\n");
    pf_free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_why_a_task_is_left),
        cmocka_unit_test(test_state_of_an_agent),
        cmocka_unit_test(test_lines_of_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
