/* SPDX-License-Identifier: Apache-2.0 */
/* HMAC with the cluster's key, tokens, the text of a key. */
#include "common/link/key.h"

#include "tests/support/test.h"

static struct pf_bytes bytes_of(const char *s)
{
    return (struct pf_bytes){(const uint8_t *)s, (uint32_t)strlen(s)};
}

static struct pf_key key_of(uint8_t fill)
{
    struct pf_key key;
    memset(key.b, fill, sizeof key.b);
    return key;
}

/* RFC 4231, test case 2 zero-padded to our key size: HMAC pads keys with zeros itself. */
static void test_key_mac_matches_the_rfc(void **state)
{
    (void)state;
    struct pf_key key = {{'J', 'e', 'f', 'e'}};
    static const uint8_t expected[PF_MAC_BYTES] = {
        0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24,
        0x26, 0x08, 0x95, 0x75, 0xc7, 0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27,
        0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43,
    };
    struct pf_bytes parts[] = {bytes_of("what do ya want "), bytes_of(""),
                               bytes_of("for nothing?")};
    uint8_t mac[PF_MAC_BYTES];
    pf_key_mac(&key, parts, PF_ARRAY_LEN(parts), mac);
    assert_memory_equal(mac, expected, sizeof mac);
}

static void test_key_mac_eq_compares_whole_macs(void **state)
{
    (void)state;
    assert_true(pf_key_mac_eq(bytes_of("abc"), bytes_of("abc")));
    assert_false(pf_key_mac_eq(bytes_of("abc"), bytes_of("abd")));
    assert_false(pf_key_mac_eq(bytes_of("abc"), bytes_of("ab")));
    assert_false(pf_key_mac_eq((struct pf_bytes){NULL, 0}, (struct pf_bytes){NULL, 0}));
}

static void test_key_token_opens_only_with_the_key(void **state)
{
    (void)state;
    struct pf_key key = key_of(1);
    struct pf_key other = key_of(2);
    char token[PF_KEY_TOKEN_BYTES];
    char header[PF_KEY_TOKEN_BYTES + 16];
    pf_key_token(&key, token);
    assert_int_equal(strlen(token), PF_KEY_TOKEN_BYTES - 1);
    (void)snprintf(header, sizeof header, "Bearer %s", token);
    assert_true(pf_key_token_ok(&key, pf_str(header)));
    assert_false(pf_key_token_ok(&other, pf_str(header)));
    (void)snprintf(header, sizeof header, "bEARER %s", token);
    assert_true(pf_key_token_ok(&key, pf_str(header)));
    (void)snprintf(header, sizeof header, "Bearer %sx", token);
    assert_false(pf_key_token_ok(&key, pf_str(header)));
    assert_false(pf_key_token_ok(&key, pf_str(token)));
    assert_false(pf_key_token_ok(&key, pf_str("Bearer")));
    assert_false(pf_key_token_ok(&key, pf_str(NULL)));
}

static void test_key_text_round_trips(void **state)
{
    (void)state;
    struct pf_key key;
    struct pf_key back;
    for (size_t i = 0; i < sizeof key.b; i++) {
        key.b[i] = (uint8_t)(i * 9 + 7);
    }
    char text[2 * PF_KEY_BYTES + 2];
    pf_key_format(&key, text);
    assert_int_equal(pf_key_parse(bytes_of(text), &back, NULL), 0);
    assert_memory_equal(back.b, key.b, sizeof key.b);
    text[2 * PF_KEY_BYTES] = '\0'; /* without the newline */
    memset(&back, 0, sizeof back);
    assert_int_equal(pf_key_parse(bytes_of(text), &back, NULL), 0);
    assert_memory_equal(back.b, key.b, sizeof key.b);
    assert_int_equal(pf_key_parse((struct pf_bytes){key.b, sizeof key.b}, &back, NULL), 0);
    assert_memory_equal(back.b, key.b, sizeof key.b);
    pf_key_wipe(&back);
    struct pf_key zero = {{0}};
    assert_memory_equal(back.b, zero.b, sizeof zero.b);
}

static void test_key_text_refused_when_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "abc",
        "00112233445566778899aabbccddeeff00112233445566778899aabbccddeef",     /* 63 digits */
        "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeffff", /* 66 */
        "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n\n",
        "0x112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
    };
    for (size_t i = 0; i < PF_ARRAY_LEN(bad); i++) {
        struct pf_key key = key_of(9);
        struct pf_err err = {0};
        assert_int_equal(pf_key_parse(bytes_of(bad[i]), &key, &err), PF_EINVAL);
        assert_int_equal(err.code, PF_EINVAL);
        assert_int_equal(key.b[0], 9); /* untouched */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_mac_matches_the_rfc),
        cmocka_unit_test(test_key_mac_eq_compares_whole_macs),
        cmocka_unit_test(test_key_token_opens_only_with_the_key),
        cmocka_unit_test(test_key_text_round_trips),
        cmocka_unit_test(test_key_text_refused_when_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
