/* SPDX-License-Identifier: Apache-2.0 */
/* The pull reader. `at` always stands where the next thing is looked for. */
#include "common/fb/json_reader.h"
#include "common/fb/json_number.h"

enum { LEVEL_OBJECT = 1, LEVEL_STARTED = 2 };

static int fail(struct pf_json_reader *r, int code, const char *problem)
{
    r->problem = problem;
    return code;
}

static int syntax(struct pf_json_reader *r, const char *problem)
{
    return fail(r, PF_EPROTO, problem);
}

int pf_jr_err(const struct pf_json_reader *r, int code, struct pf_err *err)
{
    return pf_err_set(err, code, "%s at byte %lu", r->problem, (unsigned long)pf_jr_offset(r));
}

void pf_jr_init(struct pf_json_reader *r, struct pf_str text)
{
    static const char nothing[] = "";
    r->begin = text.at != NULL ? text.at : nothing;
    r->at = r->begin;
    r->end = r->begin + text.len;
    r->problem = "no error";
    r->scratch = (struct pf_buf){.limit = (size_t)text.len + 1};
    r->depth = 0;
}

void pf_jr_fini(struct pf_json_reader *r)
{
    pf_buf_fini(&r->scratch);
}

static void skip_space(struct pf_json_reader *r)
{
    while (r->at < r->end &&
           (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t')) {
        r->at++;
    }
}

/* The next byte that is no whitespace, 0 at the end. */
static char peek(struct pf_json_reader *r)
{
    skip_space(r);
    return r->at < r->end ? *r->at : '\0';
}

static struct pf_str rest(const struct pf_json_reader *r)
{
    return (struct pf_str){r->at, (uint32_t)(r->end - r->at)};
}

enum pf_json_kind pf_jr_kind(struct pf_json_reader *r)
{
    char c = peek(r);
    switch (c) {
    case '{':
        return PF_JSON_OBJECT;
    case '[':
        return PF_JSON_ARRAY;
    case '"':
        return PF_JSON_STRING;
    case 't':
    case 'f':
        return PF_JSON_BOOL;
    case 'n':
        return PF_JSON_NULL;
    default:
        return c == '-' || c == 'I' || c == 'N' || (c >= '0' && c <= '9') ? PF_JSON_NUMBER
                                                                           : PF_JSON_INVALID;
    }
}

int pf_jr_enter(struct pf_json_reader *r)
{
    char c = peek(r);
    if (c != '{' && c != '[') {
        return syntax(r, "expected an object or an array");
    }
    if (r->depth == PF_JSON_DEPTH_MAX) {
        return fail(r, PF_ELIMIT, "nested too deeply");
    }
    r->at++;
    r->level[r->depth++] = c == '{' ? LEVEL_OBJECT : 0;
    return 0;
}

/* After a container's opening or after one of its values: 1 = one more follows, 0 = the end. */
static int more(struct pf_json_reader *r, char close)
{
    uint8_t *level = &r->level[r->depth - 1];
    char c = peek(r);
    if (c == close) {
        r->at++;
        r->depth--;
        return 0;
    }
    if ((*level & LEVEL_STARTED) != 0) {
        if (c != ',') {
            return syntax(r, close == '}' ? "expected ',' or '}'" : "expected ',' or ']'");
        }
        r->at++;
    }
    *level |= LEVEL_STARTED;
    return 1;
}

int pf_jr_key(struct pf_json_reader *r, struct pf_str *out_key)
{
    PF_ASSERT(r->depth > 0);
    PF_ASSERT((r->level[r->depth - 1] & LEVEL_OBJECT) != 0);
    int rc = more(r, '}');
    if (rc <= 0) {
        return rc;
    }
    rc = pf_jr_str(r, out_key);
    if (rc != 0) {
        return rc;
    }
    if (peek(r) != ':') {
        return syntax(r, "expected ':'");
    }
    r->at++;
    return 1;
}

int pf_jr_item(struct pf_json_reader *r)
{
    PF_ASSERT(r->depth > 0);
    PF_ASSERT((r->level[r->depth - 1] & LEVEL_OBJECT) == 0);
    return more(r, ']');
}

/* Passes the UTF-8 character at `p` that is not ASCII; NULL if there is none. */
static const char *utf8_skip(const char *p, const char *end)
{
    const uint8_t *s = (const uint8_t *)p;
    size_t n = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    if (s[0] < 0xC2 || s[0] > 0xF4 || (size_t)(end - p) < n) {
        return NULL;
    }
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xC0) != 0x80) {
            return NULL;
        }
    }
    bool overlong = (s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xF0 && s[1] < 0x90);
    bool outside = (s[0] == 0xED && s[1] > 0x9F) || (s[0] == 0xF4 && s[1] > 0x8F);
    return overlong || outside ? NULL : p + n;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hex digits; -1 if they are not. */
static int32_t take_unit(struct pf_json_reader *r)
{
    int32_t unit = 0;
    if (r->end - r->at < 4) {
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        int v = hex_value(*r->at++);
        if (v < 0) {
            return -1;
        }
        unit = unit << 4 | v;
    }
    return unit;
}

static void add_utf8(struct pf_buf *out, uint32_t c)
{
    uint8_t text[4];
    size_t n = 0;
    if (c < 0x80) {
        text[n++] = (uint8_t)c;
    } else if (c < 0x800) {
        text[n++] = (uint8_t)(0xC0 | c >> 6);
        text[n++] = (uint8_t)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        text[n++] = (uint8_t)(0xE0 | c >> 12);
        text[n++] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        text[n++] = (uint8_t)(0x80 | (c & 0x3F));
    } else {
        text[n++] = (uint8_t)(0xF0 | c >> 18);
        text[n++] = (uint8_t)(0x80 | (c >> 12 & 0x3F));
        text[n++] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        text[n++] = (uint8_t)(0x80 | (c & 0x3F));
    }
    pf_buf_add(out, text, n);
}

/* After "\u". */
static int take_unicode(struct pf_json_reader *r)
{
    int32_t high = take_unit(r);
    if (high < 0) {
        return syntax(r, "malformed \\u escape");
    }
    uint32_t c = (uint32_t)high;
    if (c >= 0xD800 && c <= 0xDFFF) {
        bool pair = c <= 0xDBFF && r->end - r->at >= 6 && r->at[0] == '\\' && r->at[1] == 'u';
        if (!pair) {
            return syntax(r, "lone surrogate");
        }
        r->at += 2;
        int32_t low = take_unit(r);
        if (low < 0xDC00 || low > 0xDFFF) {
            return syntax(r, "lone surrogate");
        }
        c = 0x10000 + ((c - 0xD800) << 10) + ((uint32_t)low - 0xDC00);
    }
    add_utf8(&r->scratch, c);
    return 0;
}

/* After a backslash. */
static int take_escape(struct pf_json_reader *r)
{
    static const char shorts[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    char c = r->at < r->end ? *r->at++ : '\0';
    if (c == 'u') {
        return take_unicode(r);
    }
    for (size_t i = 0; i + 1 < sizeof shorts; i += 2) {
        if (c == shorts[i]) {
            pf_buf_add_byte(&r->scratch, (uint8_t)shorts[i + 1]);
            return 0;
        }
    }
    return syntax(r, "unknown escape");
}

/* Passes what needs no change: to the quote or backslash that ends it. */
static int take_run(struct pf_json_reader *r)
{
    while (r->at < r->end && *r->at != '"' && *r->at != '\\') {
        uint8_t c = (uint8_t)*r->at;
        if (c < 0x20) {
            return syntax(r, "control character in a string");
        }
        const char *next = c < 0x80 ? r->at + 1 : utf8_skip(r->at, r->end);
        if (next == NULL) {
            return syntax(r, "invalid UTF-8");
        }
        r->at = next;
    }
    return r->at < r->end ? 0 : syntax(r, "string without end");
}

int pf_jr_str(struct pf_json_reader *r, struct pf_str *out)
{
    if (peek(r) != '"') {
        return syntax(r, "expected a string");
    }
    const char *from = ++r->at;
    int rc = take_run(r);
    if (rc != 0) {
        return rc;
    }
    if (*r->at == '"') {
        *out = (struct pf_str){from, (uint32_t)(r->at++ - from)};
        return 0;
    }
    pf_buf_clear(&r->scratch);
    for (;;) {
        pf_buf_add(&r->scratch, from, (size_t)(r->at - from));
        if (*r->at++ == '"') {
            break;
        }
        rc = take_escape(r);
        from = r->at;
        if (rc == 0) {
            rc = take_run(r);
        }
        if (rc != 0) {
            return rc;
        }
    }
    if (r->scratch.failed) {
        return fail(r, PF_ENOMEM, "out of memory");
    }
    const char *text = r->scratch.data != NULL ? (const char *)r->scratch.data : "";
    *out = (struct pf_str){text, (uint32_t)r->scratch.len};
    return 0;
}

int pf_jr_number(struct pf_json_reader *r, struct pf_str *out_text)
{
    skip_space(r);
    uint32_t n = pf_json_number_len(rest(r));
    if (n == 0) {
        return syntax(r, "malformed number");
    }
    *out_text = (struct pf_str){r->at, n};
    r->at += n;
    return 0;
}

int pf_jr_int(struct pf_json_reader *r, int64_t *out)
{
    struct pf_str text;
    bool negative;
    uint64_t magnitude;
    int rc = pf_jr_number(r, &text);
    if (rc != 0) {
        return rc;
    }
    if (!pf_json_to_integer(text, &negative, &magnitude) ||
        magnitude > (uint64_t)INT64_MAX + (negative ? 1 : 0)) {
        return syntax(r, "expected a 64-bit integer");
    }
    *out = (int64_t)(negative ? 0 - magnitude : magnitude);
    return 0;
}

int pf_jr_double(struct pf_json_reader *r, double *out)
{
    struct pf_str text;
    int rc = pf_jr_number(r, &text);
    if (rc == 0 && !pf_json_to_double(text, out)) {
        rc = syntax(r, "number is too large");
    }
    return rc;
}

static bool take_word(struct pf_json_reader *r, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0) {
        return false;
    }
    r->at += n;
    return true;
}

int pf_jr_bool(struct pf_json_reader *r, bool *out)
{
    skip_space(r);
    bool is_true = take_word(r, "true");
    if (!is_true && !take_word(r, "false")) {
        return syntax(r, "expected true or false");
    }
    *out = is_true;
    return 0;
}

int pf_jr_null(struct pf_json_reader *r)
{
    skip_space(r);
    return take_word(r, "null") ? 0 : syntax(r, "expected null");
}

/* Passes a value that is not a container, or the opening of one. */
static int skip_one(struct pf_json_reader *r)
{
    struct pf_str text;
    bool truth;
    switch (pf_jr_kind(r)) {
    case PF_JSON_OBJECT:
    case PF_JSON_ARRAY:
        return pf_jr_enter(r);
    case PF_JSON_STRING:
        return pf_jr_str(r, &text);
    case PF_JSON_NUMBER:
        return pf_jr_number(r, &text);
    case PF_JSON_BOOL:
        return pf_jr_bool(r, &truth);
    case PF_JSON_NULL:
        return pf_jr_null(r);
    case PF_JSON_INVALID:
        break;
    }
    return syntax(r, "expected a value");
}

int pf_jr_skip(struct pf_json_reader *r)
{
    uint32_t depth = r->depth;
    for (;;) {
        struct pf_str key;
        int rc = skip_one(r);
        if (rc != 0) {
            return rc;
        }
        /* Up to the next value, which may be that of an outer container. */
        while (r->depth > depth) {
            bool object = (r->level[r->depth - 1] & LEVEL_OBJECT) != 0;
            rc = object ? pf_jr_key(r, &key) : pf_jr_item(r);
            if (rc != 0) {
                break;
            }
        }
        if (rc < 0 || r->depth == depth) {
            return rc;
        }
    }
}

int pf_jr_end(struct pf_json_reader *r)
{
    skip_space(r);
    return r->at == r->end ? 0 : syntax(r, "text after the end");
}
