/* SPDX-License-Identifier: Apache-2.0 */
/* JSON text, piece by piece. */
#include "common/fb/json_writer.h"
#include "common/fb/base64.h"
#include "common/fb/json_number.h"

static const char hex[] = "0123456789abcdef";

/* Room for `n` bytes at the end, already counted; NULL: the buffer has failed. */
static uint8_t *room(struct pf_buf *out, size_t n)
{
    /* The short way for what fits; a pf_buf keeps one byte free. */
    bool fits = !out->failed && n < out->cap - out->len;
    if (!fits || (out->limit != 0 && out->len + n > out->limit)) {
        if (!pf_buf_reserve(out, n)) {
            return NULL;
        }
    }
    uint8_t *p = out->data + out->len;
    out->len += n;
    return p;
}

static void add(struct pf_buf *out, const void *p, size_t n)
{
    uint8_t *to = room(out, n);
    if (to != NULL && n > 0) {
        memcpy(to, p, n);
    }
}

static void add_char(struct pf_buf *out, char c)
{
    uint8_t *to = room(out, 1);
    if (to != NULL) {
        *to = (uint8_t)c;
    }
}

static void new_line(struct pf_json_writer *w)
{
    add_char(w->out, '\n');
    for (uint32_t i = 0; i < w->depth; i++) {
        add(w->out, "  ", 2);
    }
}

/* What stands between the value before and the next one. */
static void separate(struct pf_json_writer *w)
{
    if (w->after_key) {
        w->after_key = false;
        return;
    }
    if (w->comma) {
        add_char(w->out, ',');
    }
    if (w->pretty && w->depth > 0) {
        new_line(w);
    }
}

static void begin(struct pf_json_writer *w, char c)
{
    separate(w);
    add_char(w->out, c);
    w->depth++;
    w->comma = false;
}

static void end(struct pf_json_writer *w, char c)
{
    PF_ASSERT(w->depth > 0);
    w->depth--;
    if (w->pretty && w->comma) {
        new_line(w);
    }
    add_char(w->out, c);
    w->comma = true;
}

static void value(struct pf_json_writer *w, const void *p, size_t n)
{
    separate(w);
    add(w->out, p, n);
    w->comma = true;
}

void pf_jw_init(struct pf_json_writer *w, struct pf_buf *out, bool pretty)
{
    *w = (struct pf_json_writer){.out = out, .pretty = pretty};
}

void pf_jw_begin_object(struct pf_json_writer *w)
{
    begin(w, '{');
}

void pf_jw_end_object(struct pf_json_writer *w)
{
    end(w, '}');
}

void pf_jw_begin_array(struct pf_json_writer *w)
{
    begin(w, '[');
}

void pf_jw_end_array(struct pf_json_writer *w)
{
    end(w, ']');
}

static void add_unit(struct pf_buf *out, uint32_t unit)
{
    char text[6] = {'\\', 'u', hex[unit >> 12 & 15], hex[unit >> 8 & 15], hex[unit >> 4 & 15],
                    hex[unit & 15]};
    add(out, text, sizeof text);
}

static void add_escaped(struct pf_buf *out, uint32_t c)
{
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (size_t i = 0; i + 1 < sizeof shorts; i += 2) {
        if (c == (uint8_t)shorts[i]) {
            char text[2] = {'\\', shorts[i + 1]};
            add(out, text, 2);
            return;
        }
    }
    if (c >= 0x10000) {
        add_unit(out, 0xD800 + ((c - 0x10000) >> 10));
        add_unit(out, 0xDC00 + ((c - 0x10000) & 0x3FF));
    } else {
        add_unit(out, c);
    }
}

/* The character that `s` (not empty) begins with, U+FFFD for a byte that begins none. */
static uint32_t utf8_next(const uint8_t *s, uint32_t len, uint32_t *out_bytes)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t n = s[0] < 0x80 ? 1 : s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    uint32_t c = n == 1 ? s[0] : s[0] & (0x7Fu >> n);
    bool ok = n <= len && (n == 1 || (s[0] >= 0xC2 && s[0] <= 0xF4));
    for (uint32_t i = 1; ok && i < n; i++) {
        ok = (s[i] & 0xC0) == 0x80;
        c = c << 6 | (s[i] & 0x3F);
    }
    ok = ok && c >= least[n] && c <= 0x10FFFF && (c < 0xD800 || c > 0xDFFF);
    *out_bytes = ok ? n : 1;
    return ok ? c : 0xFFFD;
}

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
}

static uint32_t plain_len(struct pf_str s, uint32_t from)
{
    uint32_t i = from;
    while (i < s.len && is_plain((uint8_t)s.at[i])) {
        i++;
    }
    return i - from;
}

/* Text that needs no escapes, in quotes. */
static void add_plain(struct pf_buf *out, struct pf_str s)
{
    uint8_t *to = room(out, (size_t)s.len + 2);
    if (to != NULL) {
        to[0] = '"';
        if (s.len > 0) {
            memcpy(to + 1, s.at, s.len);
        }
        to[1 + (size_t)s.len] = '"';
    }
}

static void add_quoted(struct pf_buf *out, struct pf_str s)
{
    uint32_t i = plain_len(s, 0);
    if (i == s.len) {
        add_plain(out, s);
        return;
    }
    add_char(out, '"');
    add(out, s.at, i);
    while (i < s.len) {
        uint32_t bytes;
        add_escaped(out, utf8_next((const uint8_t *)s.at + i, s.len - i, &bytes));
        i += bytes;
        uint32_t run = plain_len(s, i);
        add(out, s.at + i, run);
        i += run;
    }
    add_char(out, '"');
}

void pf_jw_key_str(struct pf_json_writer *w, struct pf_str key)
{
    PF_ASSERT(!w->after_key);
    separate(w);
    add_quoted(w->out, key);
    add(w->out, ": ", w->pretty ? 2 : 1);
    w->comma = true;
    w->after_key = true;
}

void pf_jw_key(struct pf_json_writer *w, const char *key)
{
    pf_jw_key_str(w, pf_str(key));
}

void pf_jw_str(struct pf_json_writer *w, struct pf_str s)
{
    if (s.at == NULL) {
        pf_jw_null(w);
        return;
    }
    separate(w);
    add_quoted(w->out, s);
    w->comma = true;
}

void pf_jw_cstr(struct pf_json_writer *w, const char *s)
{
    pf_jw_str(w, pf_str(s));
}

void pf_jw_int(struct pf_json_writer *w, int64_t v)
{
    char text[25] = "-";
    uint64_t magnitude = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    size_t sign = v < 0 ? 1 : 0;
    value(w, text, sign + pf_json_from_uint(text + sign, magnitude));
}

void pf_jw_uint(struct pf_json_writer *w, uint64_t v)
{
    char text[24];
    value(w, text, pf_json_from_uint(text, v));
}

void pf_jw_bool(struct pf_json_writer *w, bool v)
{
    value(w, v ? "true" : "false", v ? 4 : 5);
}

void pf_jw_null(struct pf_json_writer *w)
{
    value(w, "null", 4);
}

void pf_jw_milli(struct pf_json_writer *w, int64_t milli)
{
    char text[32] = "-";
    size_t n = milli < 0 ? 1 : 0;
    uint64_t v = milli < 0 ? 0 - (uint64_t)milli : (uint64_t)milli;
    n += pf_json_from_uint(text + n, v / 1000);
    unsigned fraction = (unsigned)(v % 1000);
    if (fraction != 0) {
        text[n++] = '.';
        for (unsigned unit = 100; fraction != 0; unit /= 10) {
            text[n++] = (char)('0' + fraction / unit);
            fraction %= unit;
        }
    }
    value(w, text, n);
}

void pf_jw_double(struct pf_json_writer *w, double v)
{
    char text[40];
    value(w, text, pf_json_from_double(text, v, false));
}

void pf_jw_base64(struct pf_json_writer *w, struct pf_bytes bytes)
{
    separate(w);
    add_char(w->out, '"');
    pf_base64_encode(w->out, bytes);
    add_char(w->out, '"');
    w->comma = true;
}

void pf_jw_raw(struct pf_json_writer *w, struct pf_str json)
{
    value(w, json.at, json.len);
}
