/* SPDX-License-Identifier: Apache-2.0 */
/* The log of a daemon: one line an event, `level msg key=value...`. error = a human must act,
 * warn = handled trouble, info = life-cycle, debug = per message. Cores do not log; a daemon logs
 * once, where the error is handled. Secrets (keys, tokens, environments of tasks) never enter. */
#ifndef PF_COMMON_SYS_LOG_H
#define PF_COMMON_SYS_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/compiler.h"
#include "common/base/err.h"

#define PF_LOG_LINE_MAX 4096 /* bytes of a line with its NUL; longer ones are cut */

enum pf_log_level { PF_LOG_ERROR, PF_LOG_WARN, PF_LOG_INFO, PF_LOG_DEBUG, PF_LOG_LEVEL_COUNT };

/* Gets a line without a newline; may be called by several threads at once. */
typedef void pf_log_sink(void *ctx, enum pf_log_level level, const char *line, size_t len);

/* Set up once, by main, before threads start. `sink` NULL: stderr, each line with the time. The
 * level at start is info. */
void pf_log_setup(enum pf_log_level max_level, pf_log_sink *sink, void *ctx);
bool pf_log_is_on(enum pf_log_level level);
const char *pf_log_level_str(enum pf_log_level level);
PF_MUST_USE int pf_log_level_parse(const char *text, enum pf_log_level *out, struct pf_err *err);

/* "key=%s other=%d": fields parted by one space, each value one conversion (with text around it if
 * need be); a value with spaces, quotes, '=' or control characters is quoted and escaped as in
 * JSON. Known conversions: d i u x c s p f with h l ll z j and a precision (also *); no widths, no
 * %n. */
void pf_log(enum pf_log_level level, const char *msg, const char *fmt, ...) PF_PRINTF(3, 4);
void pf_log_v(enum pf_log_level level, const char *msg, const char *fmt, va_list ap)
    PF_PRINTF(3, 0);
/* Without fields. */
void pf_log_msg(enum pf_log_level level, const char *msg);
/* With the text of an error: `msg error="..."`. */
void pf_log_err(enum pf_log_level level, const char *msg, const struct pf_err *err);

#define PF_LOG_RATE_LINES     10
#define PF_LOG_RATE_WINDOW_MS 10000

/* One for each place that may repeat; all zero at start. */
struct pf_log_rate {
    int64_t window_ms; /* its begin */
    uint32_t n;        /* lines written in it */
    uint32_t dropped;  /* since the last line written */
};

/* May a line be written now? Then `*out_dropped` tells how many were not before it. */
bool pf_log_rate_allows(struct pf_log_rate *rate, int64_t now_ms, uint32_t *out_dropped);
/* pf_log, at most PF_LOG_RATE_LINES in PF_LOG_RATE_WINDOW_MS; the next line says ` dropped=N`. */
void pf_log_rated(struct pf_log_rate *rate, enum pf_log_level level, const char *msg,
                  const char *fmt, ...) PF_PRINTF(4, 5);

#endif
