/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, sizes, durations, addresses and times, read and written. */
#include "common/sys/parse.h"

#include "common/base/rng.h"
#include "tests/support/test.h"

struct number_row {
    const char *text;
    int64_t value; /* -1: refused */
};

static void run_rows(const struct number_row *row, size_t n,
                     int (*parse)(struct pf_str text, int64_t *out, struct pf_err *err))
{
    for (size_t i = 0; i < n; i++) {
        struct pf_err err = {0};
        int64_t value = -7;
        int rc = parse(pf_str(row[i].text), &value, &err);

        if ((rc == 0) != (row[i].value >= 0) || (rc == 0 && value != row[i].value)) {
            fail_msg("'%s' gave %d, %lld", row[i].text, rc, (long long)value);
        }
        if (rc < 0) {
            assert_int_equal(rc, PF_EINVAL);
            assert_int_equal(value, -7);
            assert_true(err.msg[0] != '\0');
        }
    }
}

static void test_sizes(void **state)
{
    static const struct number_row row[] = {
        {"0", 0}, {"1", 1}, {"256M", 256 << 20}, {"256m", 256 << 20}, {"1.5G", 3ll << 29},
        {"64KiB", 64 << 10}, {"64kb", 64 << 10}, {"2T", 2ll << 40}, {"1P", 1ll << 50},
        {"10B", 10}, {".5K", 512}, {"1.K", 1024}, {"0.0001K", 0}, {"8191P", 8191ll << 50},
        {"9223372036854775807", INT64_MAX},
        {"", -1}, {"M", -1}, {".", -1}, {".M", -1}, {"-1", -1}, {"1 M", -1}, {"1MM", -1},
        {"1iB", -1}, {"8192P", -1}, {"9223372036854775808", -1}, {"1e3", -1}, {"5s", -1},
        {"99999999999999999999999", -1}, {"1.2.3", -1},
    };

    (void)state;
    run_rows(row, sizeof row / sizeof row[0], pf_parse_size);
}

static void test_durations(void **state)
{
    static const struct number_row row[] = {
        {"0", 0}, {"5", 5000}, {"5s", 5000}, {"250ms", 250}, {"1.5h", 5400000}, {"0.25", 250},
        {"1h30m", 5400000}, {"2days", 172800000}, {"1w", 604800000}, {"10secs", 10000},
        {"1mins", 60000}, {"3hrs", 10800000}, {"1d2h3m4s5ms", 93784005}, {"499us", 0},
        {"500us", 1}, {"1.0006s", 1001}, {"1M", 60000},
        {"", -1}, {"s", -1}, {"-5s", -1}, {"5x", -1}, {"5 s", -1}, {"1hm", -1},
        {"99999999999w", -1}, {"9999999999w", -1}, {"1h-5m", -1}, {"5G", -1},
    };

    (void)state;
    run_rows(row, sizeof row / sizeof row[0], pf_parse_duration_ms);
}

static void test_whole_numbers(void **state)
{
    uint64_t u = 7;
    int64_t i = 7;

    (void)state;
    assert_int_equal(pf_parse_u64(PF_STR("18446744073709551615"), &u, NULL), 0);
    assert_true(u == UINT64_MAX);
    assert_int_equal(pf_parse_u64(PF_STR("18446744073709551616"), &u, NULL), PF_EINVAL);
    assert_int_equal(pf_parse_u64(PF_STR(""), &u, NULL), PF_EINVAL);
    assert_int_equal(pf_parse_u64(PF_STR("+1"), &u, NULL), PF_EINVAL);
    assert_int_equal(pf_parse_u64(PF_STR("0x10"), &u, NULL), PF_EINVAL);
    assert_true(u == UINT64_MAX);
    assert_int_equal(pf_parse_i64(PF_STR("-9223372036854775807"), &i, NULL), 0);
    assert_true(i == -INT64_MAX);
    assert_int_equal(pf_parse_i64(PF_STR("+5"), &i, NULL), 0);
    assert_int_equal(i, 5);
    assert_int_equal(pf_parse_i64(PF_STR("9223372036854775808"), &i, NULL), PF_EINVAL);
    assert_int_equal(pf_parse_i64(PF_STR("-"), &i, NULL), PF_EINVAL);
    assert_int_equal(i, 5);
}

static void test_yes_and_no(void **state)
{
    bool b = false;

    (void)state;
    assert_int_equal(pf_parse_bool(PF_STR("Yes"), &b, NULL), 0);
    assert_true(b);
    assert_int_equal(pf_parse_bool(PF_STR("maybe"), &b, NULL), PF_EINVAL);
    assert_int_equal(pf_parse_bool(PF_STR(""), &b, NULL), PF_EINVAL);
    assert_true(b);
    assert_int_equal(pf_parse_bool(PF_STR("0"), &b, NULL), 0);
    assert_false(b);
}

static void test_errors_show_the_text_but_no_control_characters(void **state)
{
    struct pf_err err = {0};
    uint64_t u;

    (void)state;
    assert_int_equal(pf_parse_u64(PF_STR("1\n\x1b[2J"), &u, &err), PF_EINVAL);
    assert_string_equal(err.msg, "'1??[2J' is not a whole number");
}

static void test_addresses(void **state)
{
    static const struct {
        const char *text, *host;
        uint16_t fallback;
        int port; /* -1: refused */
    } row[] = {
        {"host:80", "host", 0, 80},
        {"10.0.0.1:5050", "10.0.0.1", 0, 5050},
        {"[::1]:5050", "::1", 0, 5050},
        {"[fe80::1%eth0]:1", "fe80::1%eth0", 0, 1},
        {":5050", "", 0, 5050},
        {"host", "host", 99, 99},
        {"[::1]", "::1", 99, 99},
        {"host:0", "host", 99, 0},
        {"host", "", 0, -1},
        {"", "", 99, -1},
        {"host:", "", 99, -1},
        {"host:65536", "", 0, -1},
        {"host:x", "", 0, -1},
        {"::1", "", 99, -1},
        {"::1:5050", "", 0, -1},
        {"[::1:5050", "", 0, -1},
        {"[]:5050", "", 0, -1},
        {"[::1]5050", "", 0, -1},
        {"a b:1", "", 0, -1},
        {"http://a:1", "", 0, -1},
        {"a,b:1", "", 0, -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct pf_hostport hp = {.port = 7}, again;
        char text[PF_FORMAT_HOSTPORT_MAX];
        int rc = pf_parse_hostport(pf_str(row[i].text), row[i].fallback, &hp, NULL);

        if ((rc == 0) != (row[i].port >= 0)) {
            fail_msg("'%s' gave %d", row[i].text, rc);
        }
        if (rc < 0) {
            assert_int_equal(hp.port, 7);
            continue;
        }
        assert_string_equal(hp.host, row[i].host);
        assert_int_equal(hp.port, row[i].port);
        pf_format_hostport(&hp, text);
        assert_int_equal(pf_parse_hostport(pf_str(text), 0, &again, NULL), 0);
        assert_string_equal(again.host, hp.host);
        assert_int_equal(again.port, hp.port);
    }
}

static void test_host_of_the_longest_length(void **state)
{
    struct pf_hostport hp;
    char text[300], out[PF_FORMAT_HOSTPORT_MAX];

    (void)state;
    memset(text, 'h', sizeof text);
    memcpy(text + PF_HOST_MAX, ":65535", 7);
    assert_int_equal(pf_parse_hostport(pf_str(text), 0, &hp, NULL), 0);
    pf_format_hostport(&hp, out);
    assert_string_equal(out, text);
    memcpy(text + PF_HOST_MAX, "h:65535", 8);
    assert_int_equal(pf_parse_hostport(pf_str(text), 0, &hp, NULL), PF_EINVAL);
}

static void test_bytes_for_people(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } row[] = {{0, "0B"},           {512, "512B"},         {1023, "1023B"},
               {1024, "1K"},        {1536, "1.5K"},        {256 << 20, "256M"},
               {3ull << 29, "1.5G"}, {(1 << 20) - 1, "1M"}, {UINT64_MAX, "16E"}};

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        char text[PF_FORMAT_BYTES_MAX];

        pf_format_bytes(row[i].bytes, text);
        assert_string_equal(text, row[i].text);
    }
}

static void test_durations_for_people(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } row[] = {{0, "0s"},           {250, "250ms"},        {1000, "1s"},
               {1500, "1.5s"},      {1050, "1s"},          {59999, "59s"},
               {60000, "1m"},       {330000, "5m30s"},     {7500000, "2h5m"},
               {7200000, "2h"},     {273600000, "3d4h"},   {-5000, "-5s"},
               {INT64_MIN, "-106751991167d7h"}};

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        char text[PF_FORMAT_DURATION_MAX];

        pf_format_duration(row[i].ms, text);
        assert_string_equal(text, row[i].text);
    }
}

static void test_times(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
        const char *again;
    } row[] = {
        {"1970-01-01T00:00:00.000Z", 0, NULL},
        {"2025-11-21T06:15:00.123Z", 1763705700123, NULL},
        {"2000-02-29T23:59:59.999Z", 951868799999, NULL},
        {"1969-12-31T23:59:59.999Z", -1, NULL},
        {"9999-12-31T23:59:59.999Z", 253402300799999, NULL},
        {"0000-01-01T00:00:00.000Z", -62167219200000, NULL},
        {"2025-11-21T08:15:00+02:00", 1763705700000, "2025-11-21T06:15:00.000Z"},
        {"2025-11-21 06:15:00.5z", 1763705700500, "2025-11-21T06:15:00.500Z"},
        {"2025-11-21T06:15:00.123456789Z", 1763705700123, "2025-11-21T06:15:00.123Z"},
    };
    static const char *const bad[] = {
        "", "2025", "2025-11-21", "2025-11-21T06:15:00", "2025-13-21T06:15:00Z",
        "2025-02-29T06:15:00Z", "1900-02-29T06:15:00Z", "2025-11-31T06:15:00Z",
        "2025-11-21T24:00:00Z", "2025-11-21T06:60:00Z", "2025-11-21T06:15:00.Z",
        "2025-11-21T06:15:00Zx", "2025-11-21T06:15:00+0200", "2025-11-21T06:15:00+24:00",
        "2025-11-00T06:15:00Z", "x025-11-21T06:15:00Z",
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        char text[PF_FORMAT_TIME_MAX];
        int64_t ms = 7;

        assert_int_equal(pf_parse_time(pf_str(row[i].text), &ms, NULL), 0);
        assert_int_equal(ms, row[i].ms);
        pf_format_time(ms, text);
        assert_string_equal(text, row[i].again ? row[i].again : row[i].text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t ms = 7;

        if (pf_parse_time(pf_str(bad[i]), &ms, NULL) != PF_EINVAL) {
            fail_msg("accepted: %s", bad[i]);
        }
        assert_int_equal(ms, 7);
    }
}

static void test_any_time_survives_its_text(void **state)
{
    struct pf_rng rng;

    (void)state;
    pf_rng_seed(&rng, 1);
    for (int i = 0; i < 20000; i++) {
        int64_t ms = (int64_t)pf_rng_below(&rng, 315569520000000) - 62167219200000, again = 0;
        char text[PF_FORMAT_TIME_MAX];

        pf_format_time(ms, text);
        assert_int_equal(pf_parse_time(pf_str(text), &again, NULL), 0);
        assert_int_equal(again, ms);
    }
    for (int shift = 0; shift < 64; shift++) { /* no time breaks the format */
        char text[PF_FORMAT_TIME_MAX];

        pf_format_time((int64_t)(UINT64_MAX >> shift), text);
        assert_int_equal(strlen(text), 24);
        pf_format_time((int64_t)(UINT64_C(1) << shift), text);
        assert_int_equal(strlen(text), 24);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_whole_numbers),
        cmocka_unit_test(test_yes_and_no),
        cmocka_unit_test(test_errors_show_the_text_but_no_control_characters),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_host_of_the_longest_length),
        cmocka_unit_test(test_bytes_for_people),
        cmocka_unit_test(test_durations_for_people),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_any_time_survives_its_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
