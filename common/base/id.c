/* SPDX-License-Identifier: Apache-2.0 */
/* Uuids, short ids and the rule for ids that users give. */
#include "common/base/id.h"

#include <stddef.h>
#include <string.h>
#include "common/base/limits.h"

/* Each byte of a uuid and where its two hex digits stand. */
static const uint8_t uuid_place[16] = {0,  2,  4,  6,  9,  11, 14, 16,
                                       19, 21, 24, 26, 28, 30, 32, 34};

/* Crockford's base32: no i, l, o, u. */
static const char base32[33] = "0123456789abcdefghjkmnpqrstvwxyz";

/* First digits below this are the value itself; the others tell how many digits follow (from 2). */
enum { SHORT_ONE_DIGIT = 20, SHORT_DIGITS_MAX = 13 };

_Static_assert(SHORT_ONE_DIGIT + SHORT_DIGITS_MAX - 2 < 32, "a length is one digit");
_Static_assert(1 + 2 * (1 + SHORT_DIGITS_MAX) < PF_SHORT_ID_MAX, "the longest short id fits");

struct pf_uuid pf_uuid_random(struct pf_rng *r)
{
    struct pf_uuid u;
    uint64_t word[2] = {pf_rng_next(r), pf_rng_next(r)};

    for (uint32_t i = 0; i < 16; i++) { /* the same bytes on every machine */
        u.b[i] = (uint8_t)(word[i / 8] >> (8 * (i % 8)));
    }
    u.b[6] = (uint8_t)((u.b[6] & 0x0f) | 0x40);
    u.b[8] = (uint8_t)((u.b[8] & 0x3f) | 0x80);
    return u;
}

void pf_uuid_format(struct pf_uuid u, char out[PF_UUID_TEXT_LEN + 1])
{
    static const char hex[] = "0123456789abcdef";

    memset(out, '-', PF_UUID_TEXT_LEN);
    for (size_t i = 0; i < 16; i++) {
        out[uuid_place[i]] = hex[u.b[i] >> 4];
        out[uuid_place[i] + 1] = hex[u.b[i] & 15];
    }
    out[PF_UUID_TEXT_LEN] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

bool pf_uuid_parse(struct pf_str s, struct pf_uuid *out)
{
    struct pf_uuid u;

    if (s.len != PF_UUID_TEXT_LEN || s.at[8] != '-' || s.at[13] != '-' || s.at[18] != '-' ||
        s.at[23] != '-') {
        return false;
    }
    for (size_t i = 0; i < 16; i++) {
        int high = hex_value(s.at[uuid_place[i]]);
        int low = hex_value(s.at[uuid_place[i] + 1]);

        if (high < 0 || low < 0) {
            return false;
        }
        u.b[i] = (uint8_t)(high * 16 + low);
    }
    *out = u;
    return true;
}

bool pf_uuid_eq(struct pf_uuid a, struct pf_uuid b)
{
    return memcmp(a.b, b.b, sizeof a.b) == 0;
}

bool pf_uuid_is_nil(struct pf_uuid u)
{
    static const struct pf_uuid nil;

    return pf_uuid_eq(u, nil);
}

/* Appends the code of `value` to `out`; returns its end. */
static char *short_id_number(char *out, uint64_t value)
{
    uint32_t n_digits = 2;

    if (value < SHORT_ONE_DIGIT) {
        *out++ = base32[value];
        return out;
    }
    while (n_digits < SHORT_DIGITS_MAX && value >> (5 * n_digits) != 0) {
        n_digits++;
    }
    *out++ = base32[SHORT_ONE_DIGIT + n_digits - 2];
    for (uint32_t i = n_digits; i > 0; i--) {
        *out++ = base32[(value >> (5 * (i - 1))) & 31];
    }
    return out;
}

void pf_short_id(char kind, uint64_t epoch, uint64_t counter, char out[PF_SHORT_ID_MAX])
{
    *out++ = kind;
    out = short_id_number(out, epoch);
    out = short_id_number(out, counter);
    *out = '\0';
}

const char *pf_id_problem(struct pf_str id)
{
    if (id.len == 0) {
        return "it is empty";
    }
    if (id.len > PF_ID_MAX) {
        return "it is longer than 255 bytes";
    }
    if (pf_str_is(id, ".") || pf_str_is(id, "..")) {
        return "it is '.' or '..'";
    }
    for (uint32_t i = 0; i < id.len; i++) {
        unsigned char c = (unsigned char)id.at[i];

        if (c < 0x20 || c == 0x7f) {
            return "it has a control character";
        }
        if (c == '/' || c == '\\') {
            return "it has a slash or a backslash";
        }
    }
    return NULL;
}

static uint32_t shared_len(struct pf_str a, struct pf_str b)
{
    uint32_t i = 0;

    while (i < a.len && i < b.len && a.at[i] == b.at[i]) {
        i++;
    }
    return i;
}

uint32_t pf_id_unique_len(struct pf_str id, struct pf_str before, struct pf_str after,
                          uint32_t min_len)
{
    uint32_t with_before = shared_len(id, before);
    uint32_t with_after = shared_len(id, after);
    uint32_t len = (with_before > with_after ? with_before : with_after) + 1;

    if (len < min_len) {
        len = min_len;
    }
    return len > id.len ? id.len : len;
}
