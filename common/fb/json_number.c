/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers as JSON text. Common ones (up to 15 digits, small exponents; thousandths) are converted
 * exactly by plain arithmetic; the rest goes through libc, minding its locale. */
#include "common/fb/json_number.h"
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static uint32_t digits_len(struct pf_str s, uint32_t from)
{
    uint32_t i = from;
    while (i < s.len && is_digit(s.at[i])) {
        i++;
    }
    return i - from;
}

static bool starts(struct pf_str s, uint32_t from, const char *word)
{
    size_t n = strlen(word);
    return s.len - from >= n && memcmp(s.at + from, word, n) == 0;
}

uint32_t pf_json_number_len(struct pf_str s)
{
    uint32_t i = s.len > 0 && s.at[0] == '-' ? 1 : 0;
    if (starts(s, i, "Infinity")) {
        return i + 8;
    }
    if (i == 0 && starts(s, 0, "NaN")) {
        return 3;
    }
    uint32_t whole = digits_len(s, i);
    if (whole == 0 || (whole > 1 && s.at[i] == '0')) {
        return 0;
    }
    i += whole;
    if (i < s.len && s.at[i] == '.') {
        uint32_t n = digits_len(s, i + 1);
        if (n == 0) {
            return 0;
        }
        i += 1 + n;
    }
    if (i < s.len && (s.at[i] == 'e' || s.at[i] == 'E')) {
        i++;
        i += i < s.len && (s.at[i] == '+' || s.at[i] == '-') ? 1 : 0;
        uint32_t n = digits_len(s, i);
        if (n == 0) {
            return 0;
        }
        i += n;
    }
    return i <= PF_JSON_NUMBER_MAX ? i : 0;
}

/* mantissa * 10^exponent, exact unless `overflow`. */
struct decimal {
    bool negative, overflow;
    uint64_t mantissa;
    int exponent;
};

/* Of text that pf_json_number_len accepts and that is made of digits. */
static struct decimal decimal_parse(struct pf_str s)
{
    struct decimal d = {0};
    uint32_t i = 0;
    bool after_point = false;
    if (s.at[0] == '-') {
        d.negative = true;
        i++;
    }
    for (; i < s.len && (is_digit(s.at[i]) || s.at[i] == '.'); i++) {
        if (s.at[i] == '.') {
            after_point = true;
            continue;
        }
        unsigned digit = (unsigned)(s.at[i] - '0');
        if (d.mantissa > (UINT64_MAX - digit) / 10) {
            d.overflow = true;
            return d;
        }
        d.mantissa = d.mantissa * 10 + digit;
        d.exponent -= after_point ? 1 : 0;
    }
    if (i < s.len) {
        bool minus = s.at[++i] == '-';
        i += s.at[i] == '-' || s.at[i] == '+' ? 1 : 0;
        int e = 0;
        for (; i < s.len; i++) {
            e = e < 100000 ? e * 10 + (s.at[i] - '0') : e;
        }
        d.exponent += minus ? -e : e;
    }
    return d;
}

static bool is_number(struct pf_str s)
{
    return s.len > 0 && pf_json_number_len(s) == s.len;
}

bool pf_json_to_integer(struct pf_str text, bool *out_negative, uint64_t *out_magnitude)
{
    if (!is_number(text) || !is_digit(text.at[text.len - 1])) {
        return false;
    }
    struct decimal d = decimal_parse(text);
    if (d.overflow) {
        return false;
    }
    while (d.exponent < 0 && d.mantissa != 0) {
        if (d.mantissa % 10 != 0) {
            return false;
        }
        d.mantissa /= 10;
        d.exponent++;
    }
    while (d.exponent > 0 && d.mantissa != 0) {
        if (d.mantissa > UINT64_MAX / 10) {
            return false;
        }
        d.mantissa *= 10;
        d.exponent--;
    }
    *out_negative = d.negative && d.mantissa != 0;
    *out_magnitude = d.mantissa;
    return true;
}

/* strtod for our notation under any locale: it may want another decimal point. */
static bool libc_double(struct pf_str text, double *out)
{
    char copy[PF_JSON_NUMBER_MAX + 1];
    if (text.len > PF_JSON_NUMBER_MAX) {
        return false;
    }
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    char *point = strchr(copy, '.');
    char local = localeconv()->decimal_point[0];
    if (point != NULL && local != '\0') {
        *point = local;
    }
    char *end;
    double v = strtod(copy, &end);
    if (end != copy + text.len || isinf(v)) {
        return false;
    }
    *out = v;
    return true;
}

bool pf_json_to_double(struct pf_str text, double *out)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (!is_number(text)) {
        return false;
    }
    if (!is_digit(text.at[text.len - 1])) {
        *out = text.at[0] == 'N' ? (double)NAN
                                 : text.at[0] == '-' ? -(double)INFINITY : (double)INFINITY;
        return true;
    }
    struct decimal d = decimal_parse(text);
    if (d.overflow || d.mantissa > UINT64_C(1) << 53 || d.exponent < -22 || d.exponent > 22) {
        return libc_double(text, out);
    }
    double v = (double)d.mantissa;
    v = d.exponent < 0 ? v / powers[-d.exponent] : v * powers[d.exponent];
    *out = d.negative ? -v : v;
    return true;
}

size_t pf_json_from_uint(char out[24], uint64_t v)
{
    char reversed[24];
    size_t n = 0;
    do {
        reversed[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    for (size_t i = 0; i < n; i++) {
        out[i] = reversed[n - 1 - i];
    }
    return n;
}

/* Values of at most three decimals; 0 for others. */
static size_t from_thousandths(char out[40], double v)
{
    double positive = signbit(v) ? -v : v;
    if (positive >= 1e12) {
        return 0;
    }
    uint64_t milli = (uint64_t)(positive * 1000 + 0.5);
    if ((double)milli / 1000 != positive) {
        return 0;
    }
    size_t n = 0;
    if (signbit(v)) {
        out[n++] = '-';
    }
    n += pf_json_from_uint(out + n, milli / 1000);
    out[n++] = '.';
    unsigned fraction = (unsigned)(milli % 1000);
    out[n++] = (char)('0' + fraction / 100);
    if (fraction % 100 != 0) {
        out[n++] = (char)('0' + fraction / 10 % 10);
    }
    if (fraction % 10 != 0) {
        out[n++] = (char)('0' + fraction % 10);
    }
    return n;
}

/* Makes libc's text ours: a point for the locale's, ".0" behind whole numbers. */
static size_t fix_point(char *out, size_t n)
{
    bool has_mark = false;
    for (size_t i = 0; i < n; i++) {
        if (!is_digit(out[i]) && out[i] != '-' && out[i] != '+' && out[i] != 'e') {
            out[i] = '.';
        }
        has_mark = has_mark || out[i] == '.' || out[i] == 'e';
    }
    if (!has_mark) {
        out[n++] = '.';
        out[n++] = '0';
    }
    return n;
}

size_t pf_json_from_double(char out[40], double v, bool as_float)
{
    const char *word = isnan(v) ? "NaN" : isinf(v) ? v > 0 ? "Infinity" : "-Infinity" : NULL;
    if (word != NULL) {
        size_t n = strlen(word);
        memcpy(out, word, n);
        return n;
    }
    size_t n = from_thousandths(out, v);
    if (n > 0) {
        return n;
    }
    for (int digits = as_float ? 6 : 15; digits <= 17; digits++) {
        n = (size_t)snprintf(out, 40, "%.*g", digits, v);
        double back = strtod(out, NULL);
        if (back == v || (as_float && (float)back == (float)v)) {
            break;
        }
    }
    return fix_point(out, n);
}
