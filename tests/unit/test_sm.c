/* SPDX-License-Identifier: Apache-2.0 */
/* State tables: every pair of states is allowed or aborts, and moves are told. */
#include "common/base/sm.h"

#include "tests/support/test.h"

enum { LAMP_OFF, LAMP_ON, LAMP_BROKEN, LAMP_COUNT };

static const struct pf_sm_state lamp_states[LAMP_COUNT] = {
    [LAMP_OFF] = {"off", PF_SM_INITIAL, 1u << LAMP_ON},
    [LAMP_ON] = {"on", 0, 1u << LAMP_OFF | 1u << LAMP_BROKEN | 1u << LAMP_ON},
    [LAMP_BROKEN] = {"broken", PF_SM_FINAL, 0},
};
static const struct pf_sm_table lamp = {"lamp", lamp_states, LAMP_COUNT};

struct story {
    char text[256];
};

static void on_move(void *ctx, const char *entity, const char *id, const char *from,
                    const char *to, const char *why)
{
    struct story *s = ctx;
    size_t len = strlen(s->text);

    (void)snprintf(s->text + len, sizeof s->text - len, "%s %s %s->%s %s\n", entity, id, from, to,
                   why);
}

static void test_moves_are_told(void **state)
{
    struct story s = {""};
    struct pf_sm_tracer tracer = {on_move, &s};
    struct pf_sm sm;

    (void)state;
    pf_sm_init(&sm, &lamp, LAMP_OFF, "l1", "made", &tracer);
    pf_sm_move(&sm, LAMP_ON, "l1", "dark", &tracer);
    assert_false(pf_sm_is_final(&sm));
    pf_sm_move(&sm, LAMP_BROKEN, "l1", "fell", &tracer);
    assert_true(pf_sm_is_final(&sm));
    assert_string_equal(pf_sm_name(&sm), "broken");
    assert_string_equal(s.text, "lamp l1 none->off made\n"
                                "lamp l1 off->on dark\n"
                                "lamp l1 on->broken fell\n");
}

static void move_pair(void *ctx)
{
    const uint32_t *pair = ctx;
    struct pf_sm sm = {&lamp, pair[0]};

    pf_sm_move(&sm, pair[1], "l1", "test", NULL);
}

static void init_state(void *ctx)
{
    struct pf_sm sm;

    pf_sm_init(&sm, &lamp, *(uint32_t *)ctx, "l1", "test", NULL);
}

static void test_all_pairs(void **state)
{
    (void)state;
    for (uint32_t from = 0; from < LAMP_COUNT; from++) {
        for (uint32_t to = 0; to <= LAMP_COUNT; to++) {
            struct pf_sm sm = {&lamp, from};
            uint32_t pair[2] = {from, to};
            bool may = (lamp_states[from].next >> to & 1) != 0;

            assert_int_equal(pf_sm_may(&sm, to), may);
            assert_int_equal(test_aborts(move_pair, pair), !may);
        }
    }
}

static void test_only_initial_states_begin(void **state)
{
    (void)state;
    for (uint32_t at = 0; at <= LAMP_COUNT; at++) {
        assert_int_equal(test_aborts(init_state, &at), at != LAMP_OFF);
    }
}

static void test_states_behind_the_32nd_may_not_follow(void **state)
{
    struct pf_sm sm = {&lamp, LAMP_ON};

    (void)state;
    assert_false(pf_sm_may(&sm, 32));
    assert_false(pf_sm_may(&sm, UINT32_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moves_are_told),
        cmocka_unit_test(test_all_pairs),
        cmocka_unit_test(test_only_initial_states_begin),
        cmocka_unit_test(test_states_behind_the_32nd_may_not_follow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
