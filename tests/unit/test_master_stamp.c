/* SPDX-License-Identifier: Apache-2.0 */
/* Stamps: a copy with other parts of equal lengths; other lengths, and large messages, are built.
 */
#include "master/core/stamp.h"

#include "tests/support/test.h"

static struct pf_bytes bytes(const char *text)
{
    return (struct pf_bytes){(const uint8_t *)text, (uint32_t)strlen(text)};
}

static void test_stamp_replaces_parts(void **state)
{
    struct m_stamps s = {0};
    struct pf_arena arena = {0};
    const char *message = "head AAA mid BB tail";
    const struct pf_bytes parts[M_STAMP_PARTS] = {bytes("xyz"), bytes("uv")};
    const struct pf_bytes at[M_STAMP_PARTS] = {{(const uint8_t *)message + 5, 3},
                                               {(const uint8_t *)message + 13, 2}};
    struct pf_bytes got;

    (void)state;
    assert_null(pf_m_stamp_use(&s, &arena, parts).at);
    pf_m_stamp_learn(&s, bytes(message), at);
    got = pf_m_stamp_use(&s, &arena, parts);
    assert_int_equal(got.len, strlen(message));
    assert_memory_equal(got.at, "head xyz mid uv tail", got.len);
    pf_m_stamps_fini(&s);
    pf_arena_fini(&arena);
}

static void test_stamp_minds_every_length(void **state)
{
    struct m_stamps s = {0};
    struct pf_arena arena = {0};
    const char *message = "AAA";
    const struct pf_bytes at[M_STAMP_PARTS] = {bytes(message)};

    (void)state;
    pf_m_stamp_learn(&s, bytes(message), at);
    for (uint32_t n = 0; n < 2000; n++) { /* also those that meet in one place */
        struct pf_bytes parts[M_STAMP_PARTS] = {{(const uint8_t *)"xxxx", 3}, {NULL, 0}, {NULL, n}};

        assert_int_equal(pf_m_stamp_use(&s, &arena, parts).at != NULL, n == 0);
    }
    pf_m_stamps_fini(&s);
    pf_arena_fini(&arena);
}

static void test_stamp_leaves_large_messages(void **state)
{
    static uint8_t large[M_STAMP_BYTES_MAX + 1];
    struct m_stamps s = {0};
    struct pf_arena arena = {0};
    const struct pf_bytes at[M_STAMP_PARTS] = {{large, 4}};

    (void)state;
    pf_m_stamp_learn(&s, (struct pf_bytes){large, sizeof large}, at);
    assert_null(pf_m_stamp_use(&s, &arena, at).at);
    pf_m_stamp_learn(&s, (struct pf_bytes){large, sizeof large - 1}, at);
    assert_non_null(pf_m_stamp_use(&s, &arena, at).at);
    pf_m_stamps_fini(&s);
    pf_arena_fini(&arena);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stamp_replaces_parts),
        cmocka_unit_test(test_stamp_minds_every_length),
        cmocka_unit_test(test_stamp_leaves_large_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
