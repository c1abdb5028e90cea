/* SPDX-License-Identifier: Apache-2.0 */
/* The published vectors of RFC 3720, B.4, and that pieces give what the whole gives. */
#include "common/base/crc32c.h"
#include "tests/support/test.h"

static void test_crc32c_of_published_vectors(void **state)
{
    uint8_t b[32];

    (void)state;
    assert_int_equal(pf_crc32c(0, "123456789", 9), 0xe3069283u);
    memset(b, 0, sizeof b);
    assert_int_equal(pf_crc32c(0, b, sizeof b), 0x8a9136aau);
    memset(b, 0xff, sizeof b);
    assert_int_equal(pf_crc32c(0, b, sizeof b), 0x62a8ab43u);
    for (uint8_t i = 0; i < 32; i++) {
        b[i] = i;
    }
    assert_int_equal(pf_crc32c(0, b, sizeof b), 0x46dd794eu);
    assert_int_equal(pf_crc32c(0, "", 0), 0);
}

static void test_crc32c_of_pieces(void **state)
{
    const char *text = "in pieces or as a whole";
    size_t len = strlen(text);

    (void)state;
    for (size_t cut = 0; cut <= len; cut++) {
        uint32_t crc = pf_crc32c(pf_crc32c(0, text, cut), text + cut, len - cut);

        assert_int_equal(crc, pf_crc32c(0, text, len));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc32c_of_published_vectors),
        cmocka_unit_test(test_crc32c_of_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
