/* SPDX-License-Identifier: Apache-2.0 */
/* Writing log lines. Formats are walked here, value by value, so that each value can be quoted: a
 * text from outside cannot forge a field or a line. The sink is the process's own state. */
#include "common/sys/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include "common/sys/clock.h"
#include "common/sys/parse.h"

static const char *const level_names[PF_LOG_LEVEL_COUNT] = {"error", "warn", "info", "debug"};

static void log_to_stderr(void *ctx, enum pf_log_level level, const char *line, size_t len);

static atomic_int log_max_level = PF_LOG_INFO;
static pf_log_sink *log_sink = log_to_stderr;
static void *log_ctx;

struct line {
    char text[PF_LOG_LINE_MAX];
    size_t len;
};

/* A value before it is quoted. */
struct value {
    char text[PF_LOG_LINE_MAX];
    size_t len;
};

static void log_to_stderr(void *ctx, enum pf_log_level level, const char *line, size_t len)
{
    char out[PF_LOG_LINE_MAX + PF_FORMAT_TIME_MAX + 2], time[PF_FORMAT_TIME_MAX];

    (void)ctx;
    (void)level;
    pf_format_time(pf_wall_ms(), time);
    int n = snprintf(out, sizeof out, "%s %.*s\n", time, (int)len, line);
    if (n > 0 && write(STDERR_FILENO, out, (size_t)n) < 0) {
        return; /* a log that cannot be written has nobody to tell */
    }
}

static void line_add(struct line *l, const char *text, size_t len)
{
    size_t room = sizeof l->text - 1 - l->len;

    if (len > room) {
        len = room;
    }
    memcpy(l->text + l->len, text, len);
    l->len += len;
}

static void line_add_char(struct line *l, char c)
{
    line_add(l, &c, 1);
}

static bool value_needs_quotes(const struct value *v)
{
    for (size_t i = 0; i < v->len; i++) {
        unsigned char c = (unsigned char)v->text[i];

        if (c <= ' ' || c == '"' || c == '\\' || c == '=' || c == 0x7f) {
            return true;
        }
    }
    return v->len == 0;
}

static void line_add_escaped(struct line *l, const char *text, size_t len, bool in_quotes)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        char escape[8];

        if (c == '\n') {
            line_add(l, "\\n", 2);
        } else if (c == '\t') {
            line_add(l, "\\t", 2);
        } else if (c < ' ' || c == 0x7f) {
            (void)snprintf(escape, sizeof escape, "\\u%04x", c);
            line_add(l, escape, 6);
        } else {
            if (in_quotes && (c == '"' || c == '\\')) {
                line_add_char(l, '\\');
            }
            line_add_char(l, (char)c);
        }
    }
}

static void line_add_value(struct line *l, const struct value *v)
{
    if (!value_needs_quotes(v)) {
        line_add(l, v->text, v->len);
        return;
    }
    line_add_char(l, '"');
    line_add_escaped(l, v->text, v->len, true);
    line_add_char(l, '"');
}

static void value_add(struct value *v, const char *text, size_t len)
{
    size_t room = sizeof v->text - v->len;

    if (len > room) {
        len = room;
    }
    memcpy(v->text + v->len, text, len);
    v->len += len;
}

/* What stands between '%' and the letter of a conversion. */
struct conversion {
    int precision; /* -1 = none */
    int n_long;    /* 1: long, size_t; 2: long long, intmax_t */
    char letter;
};

static int64_t signed_argument(const struct conversion *c, va_list *ap)
{
    switch (c->n_long) {
    case 0: return va_arg(*ap, int);
    case 1: return va_arg(*ap, long);
    default: return va_arg(*ap, long long);
    }
}

static uint64_t unsigned_argument(const struct conversion *c, va_list *ap)
{
    switch (c->n_long) {
    case 0: return va_arg(*ap, unsigned);
    case 1: return va_arg(*ap, unsigned long);
    default: return va_arg(*ap, unsigned long long);
    }
}

/* Reads the conversion behind '%'; returns what follows it. */
static const char *conversion_read(const char *at, struct conversion *c, va_list *ap)
{
    *c = (struct conversion){.precision = -1};
    if (*at == '.') {
        at++;
        if (*at == '*') {
            at++;
            c->precision = va_arg(*ap, int);
        } else {
            c->precision = 0;
            while (*at >= '0' && *at <= '9' && c->precision < 1000) {
                c->precision = c->precision * 10 + (*at++ - '0');
            }
        }
    }
    for (; *at != '\0' && strchr("hlzj", *at); at++) {
        c->n_long += *at == 'h' ? 0 : *at == 'j' ? 2 : 1;
    }
    c->letter = *at;
    return *at == '\0' ? at : at + 1;
}

static void value_add_string(struct value *v, const struct conversion *c, const char *s)
{
    const char *text = s ? s : "(null)";

    value_add(v, text, c->precision >= 0 ? strnlen(text, (size_t)c->precision) : strlen(text));
}

static void value_add_conversion(struct value *v, const struct conversion *c, va_list *ap)
{
    char text[400]; /* %f of the largest double has 309 digits before its point */
    int n = 0;

    switch (c->letter) {
    case 'd':
    case 'i': n = snprintf(text, sizeof text, "%lld", (long long)signed_argument(c, ap)); break;
    case 'u':
        n = snprintf(text, sizeof text, "%llu", (unsigned long long)unsigned_argument(c, ap));
        break;
    case 'x':
        n = snprintf(text, sizeof text, "%llx", (unsigned long long)unsigned_argument(c, ap));
        break;
    case 'c': n = snprintf(text, sizeof text, "%c", va_arg(*ap, int)); break;
    case 'p': n = snprintf(text, sizeof text, "%p", va_arg(*ap, void *)); break;
    case 'f':
        n = snprintf(text, sizeof text, "%.*f", c->precision < 0 ? 6 : c->precision % 80,
                     va_arg(*ap, double));
        break;
    case 's': value_add_string(v, c, va_arg(*ap, const char *)); return;
    case '%': value_add(v, "%", 1); return;
    default: pf_assert_fail("a conversion that the log knows", __FILE__, __LINE__);
    }
    value_add(v, text, (size_t)n);
}

/* " key=value" for each field of the format. */
static void line_add_fields(struct line *l, const char *fmt, va_list *ap)
{
    static const char space = ' ';
    struct value v;
    const char *at = fmt;

    while (*at != '\0') {
        const char *end = at + strcspn(at, "= ");

        line_add_char(l, space);
        line_add(l, at, (size_t)(end - at));
        if (*end == '=') {
            v.len = 0;
            for (end++; *end != '\0' && *end != space;) {
                struct conversion c;

                if (*end == '%') {
                    end = conversion_read(end + 1, &c, ap);
                    value_add_conversion(&v, &c, ap);
                } else {
                    value_add(&v, end++, 1);
                }
            }
            line_add_char(l, '=');
            line_add_value(l, &v);
        }
        at = end + strspn(end, " ");
    }
}

static void line_begin(struct line *l, enum pf_log_level level, const char *msg)
{
    PF_ASSERT((unsigned)level < PF_LOG_LEVEL_COUNT);
    l->len = 0;
    line_add(l, level_names[level], strlen(level_names[level]));
    line_add_char(l, ' ');
    line_add_escaped(l, msg, strlen(msg), false);
}

static void line_end(struct line *l, enum pf_log_level level)
{
    if (l->len == sizeof l->text - 1) { /* cut: say so */
        memcpy(l->text + l->len - 3, "...", 3);
    }
    l->text[l->len] = '\0';
    log_sink(log_ctx, level, l->text, l->len);
}

void pf_log_setup(enum pf_log_level max_level, pf_log_sink *sink, void *ctx)
{
    log_sink = sink ? sink : log_to_stderr;
    log_ctx = ctx;
    atomic_store(&log_max_level, (int)max_level);
}

bool pf_log_is_on(enum pf_log_level level)
{
    return (int)level <= atomic_load_explicit(&log_max_level, memory_order_relaxed);
}

const char *pf_log_level_str(enum pf_log_level level)
{
    PF_ASSERT((unsigned)level < PF_LOG_LEVEL_COUNT);
    return level_names[level];
}

int pf_log_level_parse(const char *text, enum pf_log_level *out, struct pf_err *err)
{
    for (int i = 0; i < PF_LOG_LEVEL_COUNT; i++) {
        if (strcasecmp(text, level_names[i]) == 0) {
            *out = (enum pf_log_level)i;
            return 0;
        }
    }
    return pf_err_set(err, PF_EINVAL,
                      "'%.40s' is not a log level; write error, warn, info or debug", text);
}

void pf_log(enum pf_log_level level, const char *msg, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    pf_log_v(level, msg, fmt, ap);
    va_end(ap);
}

/* A va_list as a parameter may be an array that decayed: only a copy can be passed on by
 * pointer. */
static void line_add_fields_of(struct line *l, const char *fmt, va_list ap)
{
    va_list copy;

    va_copy(copy, ap);
    line_add_fields(l, fmt, &copy);
    va_end(copy);
}

void pf_log_v(enum pf_log_level level, const char *msg, const char *fmt, va_list ap)
{
    struct line l;

    if (!pf_log_is_on(level)) {
        return;
    }
    line_begin(&l, level, msg);
    line_add_fields_of(&l, fmt, ap);
    line_end(&l, level);
}

void pf_log_msg(enum pf_log_level level, const char *msg)
{
    struct line l;

    if (pf_log_is_on(level)) {
        line_begin(&l, level, msg);
        line_end(&l, level);
    }
}

void pf_log_err(enum pf_log_level level, const char *msg, const struct pf_err *err)
{
    pf_log(level, msg, "error=%s", err->msg[0] ? err->msg : pf_err_str(err->code));
}

bool pf_log_rate_allows(struct pf_log_rate *rate, int64_t now_ms, uint32_t *out_dropped)
{
    if (rate->n == 0 || now_ms - rate->window_ms >= PF_LOG_RATE_WINDOW_MS) {
        rate->window_ms = now_ms;
        rate->n = 0;
    }
    if (rate->n >= PF_LOG_RATE_LINES) {
        rate->dropped++;
        return false;
    }
    rate->n++;
    *out_dropped = rate->dropped;
    rate->dropped = 0;
    return true;
}

void pf_log_rated(struct pf_log_rate *rate, enum pf_log_level level, const char *msg,
                  const char *fmt, ...)
{
    uint32_t dropped = 0;
    struct line l;

    if (!pf_log_is_on(level) || !pf_log_rate_allows(rate, pf_now_ms(), &dropped)) {
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    line_begin(&l, level, msg);
    line_add_fields_of(&l, fmt, ap);
    va_end(ap);
    if (dropped > 0) {
        char text[32];
        int n = snprintf(text, sizeof text, " dropped=%u", dropped);

        line_add(&l, text, (size_t)n);
    }
    line_end(&l, level);
}
