/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of executors: SipHash-2-4-128 as others compute it, in hexadecimal, compared whole. */
#include "agent/core/executors_internal.h"
#include "tests/support/test.h"

static void test_agent_token_is_siphash(void **state)
{
    /* openssl mac -macopt hexkey:000102..0f -macopt size:16 SIPHASH, of the bytes 0 to 15:
     * 6EE2A4CA67B054BB FD3315BF85230577 */
    static const uint64_t key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
    struct pf_uuid id;
    uint64_t tag[2];

    (void)state;
    for (uint8_t i = 0; i < sizeof id.b; i++) {
        id.b[i] = i;
    }
    ag_token_of(key, id, tag);
    assert_true(tag[0] == 0xbb54b067caa4e26e);
    assert_true(tag[1] == 0x77052385bf1533fd);
}

static void test_agent_token_is_of_one_executor(void **state)
{
    struct pf_agent a = {.opt = {.token_key = {1, 2}}}, b = {.opt = {.token_key = {1, 3}}};
    struct pf_uuid x = {{1}}, y = {{2}};
    char of_x[AGENT_TOKEN_LEN + 1], again[AGENT_TOKEN_LEN + 1], other[AGENT_TOKEN_LEN + 1];

    (void)state;
    ag_token_make(&a, x, of_x);
    ag_token_make(&a, x, again);
    assert_string_equal(of_x, again);
    assert_int_equal(strlen(of_x), AGENT_TOKEN_LEN);
    assert_int_equal(strspn(of_x, "0123456789abcdef"), AGENT_TOKEN_LEN);
    assert_true(ag_token_is(of_x, pf_str(again)));
    ag_token_make(&a, y, other);
    assert_false(ag_token_is(of_x, pf_str(other)));
    ag_token_make(&b, x, other);
    assert_false(ag_token_is(of_x, pf_str(other)));
}

static void test_agent_token_is_compared_whole(void **state)
{
    struct pf_agent a = {.opt = {.token_key = {1, 2}}};
    char token[AGENT_TOKEN_LEN + 1], said[AGENT_TOKEN_LEN + 1];

    (void)state;
    ag_token_make(&a, (struct pf_uuid){{1}}, token);
    for (size_t i = 0; i < AGENT_TOKEN_LEN; i++) {
        memcpy(said, token, sizeof said);
        said[i] = said[i] == '0' ? '1' : '0';
        assert_false(ag_token_is(token, pf_str(said)));
    }
    assert_false(ag_token_is(token, (struct pf_str){token, AGENT_TOKEN_LEN - 1}));
    assert_false(ag_token_is(token, PF_STR("")));
    assert_false(ag_token_is("", PF_STR("")));
    assert_true(ag_token_is(token, pf_str(token)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agent_token_is_siphash),
        cmocka_unit_test(test_agent_token_is_of_one_executor),
        cmocka_unit_test(test_agent_token_is_compared_whole),
    };

    return cmocka_run_group_tests_name("agent_token", tests, NULL, NULL);
}
