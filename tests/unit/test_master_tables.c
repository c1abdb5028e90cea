/* SPDX-License-Identifier: Apache-2.0 */
/* All pairs of states of every table: the allowed ones pass, all others abort. */
#include "master/core/state.h"
#include "tests/support/test.h"

struct move {
    const struct pf_sm_table *table;
    uint32_t from, to;
};

static void do_move(void *ctx)
{
    const struct move *m = ctx;
    struct pf_sm sm = {.table = m->table, .state = m->from};

    pf_sm_move(&sm, m->to, "x", "test", NULL);
}

/* `expected`: one line per state: the states that may follow, by name. */
static void check_table(const struct pf_sm_table *table, const char *const *expected)
{
    for (uint32_t from = 1; from < table->n_states; from++) {
        for (uint32_t to = 0; to < table->n_states; to++) {
            struct move m = {table, from, to};
            char word[40];

            (void)snprintf(word, sizeof word, " %s ", table->states[to].name);
            if (strstr(expected[from], word)) {
                do_move(&m);
            } else {
                assert_true(test_aborts(do_move, &m));
            }
        }
    }
}

static void test_agent_table(void **state)
{
    static const char *const expected[] = {
        [M_AGENT_RECOVERED] = " registering unreachable gone ",
        [M_AGENT_REGISTERING] = " registered disconnected gone ",
        [M_AGENT_REGISTERED] = " disconnected gone left ",
        [M_AGENT_DISCONNECTED] = " registering unreachable gone ",
        [M_AGENT_UNREACHABLE] = " registering recovered gone ",
        [M_AGENT_GONE] = " ",
        [M_AGENT_LEFT] = " ",
    };
    (void)state;
    check_table(&pf_m_agent_table, expected);
}

static void test_framework_table(void **state)
{
    static const char *const expected[] = {
        [M_FRAMEWORK_RECOVERED] = " active completed ",
        [M_FRAMEWORK_ACTIVE] = " disconnected completed ",
        [M_FRAMEWORK_DISCONNECTED] = " active completed ",
        [M_FRAMEWORK_COMPLETED] = "",
    };
    (void)state;
    check_table(&pf_m_framework_table, expected);
}

static void test_offer_table(void **state)
{
    static const char *const expected[] = {
        [M_OFFER_OPEN] = " accepted declined rescinded expired ",
        [M_OFFER_ACCEPTED] = "",
        [M_OFFER_DECLINED] = "",
        [M_OFFER_RESCINDED] = "",
        [M_OFFER_EXPIRED] = "",
    };
    (void)state;
    check_table(&pf_m_offer_table, expected);
}

#define ENDS " finished failed killed error lost dropped gone "

static void test_task_table(void **state)
{
    static const char *const expected[] = {
        [M_TASK_STAGING] = " starting running killing unreachable " ENDS,
        [M_TASK_STARTING] = " running killing unreachable " ENDS,
        [M_TASK_RUNNING] = " killing unreachable " ENDS,
        [M_TASK_KILLING] = " unreachable " ENDS,
        [M_TASK_UNREACHABLE] = " staging starting running killing " ENDS,
        [M_TASK_FINISHED] = "",
        [M_TASK_FAILED] = "",
        [M_TASK_KILLED] = "",
        [M_TASK_ERROR] = "",
        [M_TASK_LOST] = "",
        [M_TASK_DROPPED] = "",
        [M_TASK_GONE] = "",
    };
    (void)state;
    check_table(&pf_m_task_table, expected);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agent_table),
        cmocka_unit_test(test_framework_table),
        cmocka_unit_test(test_offer_table),
        cmocka_unit_test(test_task_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
