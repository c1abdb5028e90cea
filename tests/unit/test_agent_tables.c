/* SPDX-License-Identifier: Apache-2.0 */
/* The state tables of the agent: every pair of states is allowed as written here, or aborts. */
#include "agent/core/calls_internal.h"
#include "tests/support/test.h"

struct pair {
    const struct pf_sm_table *table;
    uint32_t from, to;
};

static void move_pair(void *ctx)
{
    const struct pair *p = ctx;
    struct pf_sm sm = {p->table, p->from};

    pf_sm_move(&sm, p->to, "x", "test", NULL);
}

/* `allowed[from]` lists the numbers of the states that may follow. */
static void check_pairs(const struct pf_sm_table *table, const char *const *allowed)
{
    for (uint32_t from = 0; from < table->n_states; from++) {
        for (uint32_t to = 0; to < table->n_states; to++) {
            struct pair p = {table, from, to};
            bool may = strchr(allowed[from], (int)('0' + to)) != NULL;
            struct pf_sm sm = {table, from};
            assert_int_equal(pf_sm_may(&sm, to), may);
            if (may) {
                pf_sm_move(&sm, to, "x", "test", NULL);
                assert_int_equal(sm.state, to);
            } else {
                assert_true(test_aborts(move_pair, &p));
            }
        }
    }
}

static void test_agent_task_states(void **state)
{
    /* none, accepted, starting, running, killing, ended */
    static const char *const allowed[] = {"", "25", "35", "45", "5", ""};

    (void)state;
    assert_int_equal(ag_executor_table.n_states, PF_ARRAY_LEN(allowed));
    check_pairs(&ag_executor_table, allowed);
    assert_int_equal(ag_run_table.n_states, PF_ARRAY_LEN(allowed));
    check_pairs(&ag_run_table, allowed);
    for (uint32_t i = 0; i < ag_run_table.n_states; i++) {
        struct pf_sm sm = {&ag_run_table, i};
        assert_int_equal(pf_sm_is_final(&sm), i == RunState_ENDED);
    }
}

static void test_agent_link_states(void **state)
{
    /* standby, registering, registered, refused */
    static const char *const allowed[] = {"1", "0123", "01", "01"};

    (void)state;
    assert_int_equal(ag_link_table.n_states, PF_ARRAY_LEN(allowed));
    check_pairs(&ag_link_table, allowed);
}

static void test_agent_texts(void **state)
{
    struct pf_arena arena = {0};

    (void)state;
    for (int i = 1; i < 32; i++) {
        assert_string_equal(ag_signal_text(&arena, i).at, strsignal(i));
    }
    assert_string_equal(ag_signal_text(&arena, 36).at, "Real-time signal 2");
    for (int i = 1; i < 134; i++) {
        struct pf_str text = ag_errno_text(&arena, i);
        if (!pf_str_has_prefix(text, PF_STR("error "))) {
            assert_string_equal(text.at, strerror(i));
        }
    }
    assert_string_equal(ag_errno_text(&arena, 9999).at, "error 9999");
    pf_arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agent_task_states),
        cmocka_unit_test(test_agent_link_states),
        cmocka_unit_test(test_agent_texts),
    };

    return cmocka_run_group_tests_name("agent_tables", tests, NULL, NULL);
}
