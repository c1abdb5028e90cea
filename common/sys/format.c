/* SPDX-License-Identifier: Apache-2.0 */
/* Writing sizes, durations, times and addresses for people; reading times. */
#include "common/sys/parse.h"

#include <stdio.h>
#include <string.h>

void pf_format_hostport(const struct pf_hostport *hp, char out[PF_FORMAT_HOSTPORT_MAX])
{
    bool is_ipv6 = strchr(hp->host, ':') != NULL;

    (void)snprintf(out, PF_FORMAT_HOSTPORT_MAX, is_ipv6 ? "[%s]:%u" : "%s:%u", hp->host,
                   (unsigned)hp->port);
}

void pf_format_bytes(uint64_t bytes, char out[PF_FORMAT_BYTES_MAX])
{
    static const char unit[] = "BKMGTPE";
    unsigned i = 0;
    uint64_t whole = bytes, rest = 0;

    while (whole >= 1024) {
        rest = whole % 1024;
        whole /= 1024;
        i++;
    }
    uint64_t tenths = (rest * 10 + 512) / 1024;
    if (tenths == 10) {
        whole++;
        tenths = 0;
        if (whole == 1024) {
            whole = 1;
            i++;
        }
    }
    if (tenths != 0) {
        (void)snprintf(out, PF_FORMAT_BYTES_MAX, "%u.%u%c", (unsigned)whole, (unsigned)tenths,
                       unit[i]);
    } else {
        (void)snprintf(out, PF_FORMAT_BYTES_MAX, "%u%c", (unsigned)whole, unit[i]);
    }
}

/* "XaYb" of two neighbouring units, or "Xa" when Y is 0. */
static void format_pair(char out[PF_FORMAT_DURATION_MAX], const char *sign, uint64_t big,
                        const char *big_unit, uint64_t small, const char *small_unit)
{
    if (small == 0) {
        (void)snprintf(out, PF_FORMAT_DURATION_MAX, "%s%llu%s", sign, (unsigned long long)big,
                       big_unit);
    } else {
        (void)snprintf(out, PF_FORMAT_DURATION_MAX, "%s%llu%s%llu%s", sign,
                       (unsigned long long)big, big_unit, (unsigned long long)small, small_unit);
    }
}

void pf_format_duration(int64_t ms, char out[PF_FORMAT_DURATION_MAX])
{
    const char *sign = ms < 0 ? "-" : "";
    uint64_t u = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;
    uint64_t s = u / 1000;

    if (u > 0 && u < 1000) {
        format_pair(out, sign, u, "ms", 0, "");
    } else if (s < 10 && u % 1000 >= 100) {
        (void)snprintf(out, PF_FORMAT_DURATION_MAX, "%s%u.%us", sign, (unsigned)s,
                       (unsigned)(u % 1000 / 100));
    } else if (s < 60) {
        format_pair(out, sign, s, "s", 0, "");
    } else if (s < 3600) {
        format_pair(out, sign, s / 60, "m", s % 60, "s");
    } else if (s < 86400) {
        format_pair(out, sign, s / 3600, "h", s % 3600 / 60, "m");
    } else {
        format_pair(out, sign, s / 86400, "d", s % 86400 / 3600, "h");
    }
}

/* Days since 1970-01-01 of a date of the Gregorian calendar; years begin in March here, so that the
 * leap day is their last. */
static int64_t days_from_date(int64_t year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468;
}

static void date_from_days(int64_t days, int64_t *out_year, int *out_month, int *out_day)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153;

    *out_day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    *out_month = (int)(month < 10 ? month + 3 : month - 9);
    *out_year = year_of_era + era * 400 + (*out_month <= 2 ? 1 : 0);
}

void pf_format_time(int64_t wall_ms, char out[PF_FORMAT_TIME_MAX])
{
    enum { DAY_MS = 86400000 };
    int64_t days = wall_ms / DAY_MS, rest = wall_ms % DAY_MS, year;
    int month, day;

    if (rest < 0) {
        rest += DAY_MS;
        days--;
    }
    date_from_days(days, &year, &month, &day);
    if (year < 0 || year > 9999) { /* RFC 3339 has no such years */
        (void)snprintf(out, PF_FORMAT_TIME_MAX, "%s-01-01T00:00:00.000Z",
                       year < 0 ? "0000" : "9999");
        return;
    }
    (void)snprintf(out, PF_FORMAT_TIME_MAX, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", (int)year, month,
                   day, (int)(rest / 3600000), (int)(rest / 60000 % 60), (int)(rest / 1000 % 60),
                   (int)(rest % 1000));
}

/* The number in the fixed places [at, at + n), or -1. */
static int time_number(struct pf_str text, uint32_t at, uint32_t n)
{
    int value = 0;

    if (at + n > text.len) {
        return -1;
    }
    for (uint32_t i = at; i < at + n; i++) {
        if (text.at[i] < '0' || text.at[i] > '9') {
            return -1;
        }
        value = value * 10 + (text.at[i] - '0');
    }
    return value;
}

static bool time_has(struct pf_str text, uint32_t at, const char *any_of)
{
    return at < text.len && text.at[at] != '\0' && strchr(any_of, text.at[at]) != NULL;
}

/* "Z" or "+hh:mm" from `at` to the end, in minutes. */
static bool time_offset(struct pf_str text, uint32_t at, int *out_minutes)
{
    if (time_has(text, at, "Zz")) {
        *out_minutes = 0;
        return at + 1 == text.len;
    }
    int hours = time_number(text, at + 1, 2), minutes = time_number(text, at + 4, 2);

    if (!time_has(text, at, "+-") || hours < 0 || hours > 23 || !time_has(text, at + 3, ":") ||
        minutes < 0 || minutes > 59 || at + 6 != text.len) {
        return false;
    }
    *out_minutes = (text.at[at] == '-' ? -1 : 1) * (hours * 60 + minutes);
    return true;
}

int pf_parse_time(struct pf_str text, int64_t *out_wall_ms, struct pf_err *err)
{
    static const int month_days[13] = {0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = time_number(text, 0, 4), month = time_number(text, 5, 2);
    int day = time_number(text, 8, 2), hour = time_number(text, 11, 2);
    int minute = time_number(text, 14, 2), second = time_number(text, 17, 2);
    int offset = 0, ms = 0;
    uint32_t at = 19;
    bool is_fine = year >= 0 && time_has(text, 4, "-") && month >= 1 && month <= 12 &&
                   time_has(text, 7, "-") && day >= 1 && day <= month_days[month] &&
                   time_has(text, 10, "Tt ") && hour >= 0 && hour <= 23 &&
                   time_has(text, 13, ":") && minute >= 0 && minute <= 59 &&
                   time_has(text, 16, ":") && second >= 0 && second <= 60;
    bool is_leap = is_fine && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    is_fine = is_fine && (month != 2 || day < 29 || is_leap);
    if (is_fine && time_has(text, at, ".")) {
        int scale = 100;

        for (at++; at < text.len && time_number(text, at, 1) >= 0; at++) {
            ms += time_number(text, at, 1) * scale;
            scale /= 10;
        }
        is_fine = at > 20;
    }
    if (!is_fine || !time_offset(text, at, &offset)) {
        return pf_err_set(err, PF_EINVAL,
                          "'%.*s' is not a time; write 2025-11-21T06:15:00Z or with an offset",
                          text.len > 40 ? 40 : (int)text.len, text.len > 0 ? text.at : "");
    }
    int64_t seconds = days_from_date(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;

    *out_wall_ms = (seconds - offset * 60) * 1000 + ms;
    return 0;
}
