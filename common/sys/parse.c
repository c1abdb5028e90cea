/* SPDX-License-Identifier: Apache-2.0 */
/* Reading numbers, sizes, durations and addresses. */
#include "common/sys/parse.h"

#include <string.h>
#include <strings.h>

/* A number with decimals as value / 10^9, the common part of sizes and durations. */
struct decimal {
    uint64_t whole;
    uint32_t nano;
};

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit size_units[] = {
    {"", 1},
    {"B", 1},
    {"K", INT64_C(1) << 10},
    {"M", INT64_C(1) << 20},
    {"G", INT64_C(1) << 30},
    {"T", INT64_C(1) << 40},
    {"P", INT64_C(1) << 50},
};

/* in microseconds */
static const struct unit duration_units[] = {
    {"", 1000000},
    {"us", 1},
    {"ms", 1000},
    {"s", 1000000},
    {"sec", 1000000},
    {"secs", 1000000},
    {"m", 60000000},
    {"min", 60000000},
    {"mins", 60000000},
    {"h", INT64_C(3600000000)},
    {"hr", INT64_C(3600000000)},
    {"hrs", INT64_C(3600000000)},
    {"d", INT64_C(86400000000)},
    {"day", INT64_C(86400000000)},
    {"days", INT64_C(86400000000)},
    {"w", INT64_C(604800000000)},
    {"week", INT64_C(604800000000)},
    {"weeks", INT64_C(604800000000)},
};

/* "'text' is not what; hint" with a text that may be long or hold anything. */
static int parse_refuse(struct pf_str text, const char *what, struct pf_err *err)
{
    char shown[64];
    uint32_t n = text.len < sizeof shown - 1 ? text.len : (uint32_t)sizeof shown - 1;

    for (uint32_t i = 0; i < n; i++) {
        shown[i] = text.at[i] < ' ' || text.at[i] == 0x7f ? '?' : text.at[i];
    }
    shown[n] = '\0';
    return pf_err_set(err, PF_EINVAL, "'%s' is not %s", shown, what);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool digits_parse(struct pf_str text, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;

    for (uint32_t i = 0; i < text.len; i++) {
        uint64_t digit = (uint64_t)(text.at[i] - '0');

        if (!is_digit(text.at[i]) || value > (max - digit) / 10 || digit > max) {
            return false;
        }
        value = value * 10 + digit;
    }
    *out = value;
    return text.len > 0;
}

int pf_parse_u64(struct pf_str text, uint64_t *out, struct pf_err *err)
{
    uint64_t value;

    if (!digits_parse(text, UINT64_MAX, &value)) {
        return parse_refuse(text, "a whole number", err);
    }
    *out = value;
    return 0;
}

int pf_parse_i64(struct pf_str text, int64_t *out, struct pf_err *err)
{
    bool is_negative = text.len > 0 && text.at[0] == '-';
    struct pf_str digits = text;
    uint64_t value;

    if (text.len > 0 && (is_negative || text.at[0] == '+')) {
        digits = (struct pf_str){text.at + 1, text.len - 1};
    }
    if (!digits_parse(digits, INT64_MAX, &value)) {
        return parse_refuse(text, "a whole number", err);
    }
    *out = is_negative ? -(int64_t)value : (int64_t)value;
    return 0;
}

int pf_parse_bool(struct pf_str text, bool *out, struct pf_err *err)
{
    static const struct {
        const char *name;
        bool value;
    } word[] = {{"true", true},   {"yes", true}, {"on", true},   {"1", true},
                {"false", false}, {"no", false}, {"off", false}, {"0", false}};

    for (size_t i = 0; i < PF_ARRAY_LEN(word); i++) {
        if (text.len == strlen(word[i].name) && strncasecmp(text.at, word[i].name, text.len) == 0) {
            *out = word[i].value;
            return 0;
        }
    }
    return parse_refuse(text, "yes or no", err);
}

/* Cuts digits with an optional point off the front of `*rest`. */
static bool decimal_cut(struct pf_str *rest, struct decimal *out)
{
    uint32_t whole_len = 0, len;
    struct decimal d = {0, 0};

    while (whole_len < rest->len && is_digit(rest->at[whole_len])) {
        whole_len++;
    }
    len = whole_len;
    if (whole_len > 0 &&
        !digits_parse((struct pf_str){rest->at, whole_len}, INT64_MAX, &d.whole)) {
        return false;
    }
    if (len < rest->len && rest->at[len] == '.') {
        uint32_t digit_value = 100000000;

        for (len++; len < rest->len && is_digit(rest->at[len]); len++) {
            d.nano += (uint32_t)(rest->at[len] - '0') * digit_value;
            digit_value /= 10;
        }
        if (len == whole_len + 1 && whole_len == 0) { /* a lone point */
            return false;
        }
    }
    *rest = (struct pf_str){rest->at + len, rest->len - len};
    *out = d;
    return len > 0;
}

/* *total += d * factor, rounded down. */
static bool decimal_add(int64_t *total, struct decimal d, int64_t factor)
{
    int64_t part = factor / 1000000000 * d.nano + factor % 1000000000 * d.nano / 1000000000;
    int64_t value;

    return !__builtin_mul_overflow((int64_t)d.whole, factor, &value) &&
           !__builtin_add_overflow(value, part, &value) &&
           !__builtin_add_overflow(*total, value, total);
}

static const struct unit *unit_find(const struct unit *units, size_t n, struct pf_str name)
{
    for (size_t i = 0; i < n; i++) {
        if (name.len == strlen(units[i].name) &&
            (name.len == 0 || strncasecmp(name.at, units[i].name, name.len) == 0)) {
            return &units[i];
        }
    }
    return NULL;
}

int pf_parse_size(struct pf_str text, int64_t *out_bytes, struct pf_err *err)
{
    struct pf_str unit_name = text;
    struct decimal d;
    int64_t bytes = 0;

    if (decimal_cut(&unit_name, &d)) {
        if (unit_name.len == 3 && strncasecmp(unit_name.at + 1, "iB", 2) == 0) {
            unit_name.len = 1;
        } else if (unit_name.len == 2 && (unit_name.at[1] == 'B' || unit_name.at[1] == 'b')) {
            unit_name.len = 1;
        }
        const struct unit *unit = unit_find(size_units, PF_ARRAY_LEN(size_units), unit_name);

        if (unit && decimal_add(&bytes, d, unit->factor)) {
            *out_bytes = bytes;
            return 0;
        }
    }
    return parse_refuse(text, "a size; write 256M, 1.5G or bytes", err);
}

int pf_parse_duration_ms(struct pf_str text, int64_t *out_ms, struct pf_err *err)
{
    static const char what[] = "a duration; write 250ms, 5s, 1.5h, 1h30m or seconds";
    struct pf_str rest = text;
    int64_t us = 0;

    do {
        struct decimal d;
        struct pf_str unit_name;

        if (!decimal_cut(&rest, &d)) {
            return parse_refuse(text, what, err);
        }
        unit_name = (struct pf_str){rest.at, 0};
        while (unit_name.len < rest.len && is_letter(rest.at[unit_name.len])) {
            unit_name.len++;
        }
        rest = (struct pf_str){rest.at + unit_name.len, rest.len - unit_name.len};
        const struct unit *unit =
            unit_find(duration_units, PF_ARRAY_LEN(duration_units), unit_name);

        if (!unit || !decimal_add(&us, d, unit->factor) || us > INT64_MAX - 500) {
            return parse_refuse(text, what, err);
        }
    } while (rest.len > 0);
    *out_ms = (us + 500) / 1000;
    return 0;
}

static int host_copy(struct pf_str host, struct pf_str text, struct pf_hostport *hp,
                     struct pf_err *err)
{
    if (host.len > PF_HOST_MAX) {
        return parse_refuse(text, "an address; the host is too long", err);
    }
    for (uint32_t i = 0; i < host.len; i++) {
        if (host.at[i] <= ' ' || host.at[i] >= 0x7f || strchr("/[]@,", host.at[i])) {
            return parse_refuse(text, "an address; write HOST:PORT", err);
        }
    }
    memcpy(hp->host, host.at, host.len);
    hp->host[host.len] = '\0';
    return 0;
}

int pf_parse_hostport(struct pf_str text, uint16_t default_port, struct pf_hostport *out,
                      struct pf_err *err)
{
    struct pf_hostport hp = {.port = default_port};
    struct pf_str host = text;
    struct pf_str port = {NULL, 0};
    const char *colon = NULL;

    if (text.len == 0) {
        return parse_refuse(text, "an address; write HOST:PORT", err);
    }
    if (text.at[0] == '[') {
        const char *close = memchr(text.at, ']', text.len);

        if (!close) {
            return parse_refuse(text, "an address; the ']' is missing", err);
        }
        host = (struct pf_str){text.at + 1, (uint32_t)(close - text.at) - 1};
        if (close + 1 < text.at + text.len) {
            colon = close + 1;
        }
        if (host.len == 0 || (colon && *colon != ':')) {
            return parse_refuse(text, "an address; write [IPV6]:PORT", err);
        }
    } else {
        colon = memchr(text.at, ':', text.len);
        if (colon) {
            host.len = (uint32_t)(colon - text.at);
        }
    }
    if (colon) {
        port = (struct pf_str){colon + 1, text.len - (uint32_t)(colon + 1 - text.at)};
        if (memchr(port.at, ':', port.len)) {
            return parse_refuse(text, "an address; IPv6 goes in brackets: [::1]:5050", err);
        }
    }
    if (colon || default_port == 0) {
        uint64_t value;

        if (!digits_parse(port, UINT16_MAX, &value)) {
            return parse_refuse(text, "an address; write HOST:PORT with a port of 0 to 65535", err);
        }
        hp.port = (uint16_t)value;
    }
    int rc = host_copy(host, text, &hp, err);
    if (rc == 0) {
        *out = hp;
    }
    return rc;
}
