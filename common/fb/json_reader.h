/* SPDX-License-Identifier: Apache-2.0 */
/* Reads JSON piece by piece, without building anything: ask for the kind of what comes, then take
 * it. RFC 8259, plus Infinity, -Infinity and NaN as numbers; text must be UTF-8. After an error the
 * reader is of no more use; pf_jr_err() tells what it was.
 *
 *     pf_jr_enter(&r); while ((rc = pf_jr_key(&r, &key)) > 0) { take or skip the value } */
#ifndef PF_COMMON_FB_JSON_READER_H
#define PF_COMMON_FB_JSON_READER_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/buf.h"
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "common/base/str.h"

#define PF_JSON_DEPTH_MAX 200 /* of objects and arrays */

enum pf_json_kind {
    PF_JSON_INVALID = 0, /* nothing, or no JSON */
    PF_JSON_NULL,
    PF_JSON_BOOL,
    PF_JSON_NUMBER,
    PF_JSON_STRING,
    PF_JSON_OBJECT,
    PF_JSON_ARRAY,
};

struct pf_json_reader {
    const char *begin, *at, *end;
    const char *problem;   /* of the error, static */
    struct pf_buf scratch; /* the last text that had escapes */
    uint32_t depth;
    uint8_t level[PF_JSON_DEPTH_MAX]; /* kind, and whether something was read */
};

/* `text` is borrowed until fini. */
void pf_jr_init(struct pf_json_reader *r, struct pf_str text);
void pf_jr_fini(struct pf_json_reader *r);

/* What comes next. */
enum pf_json_kind pf_jr_kind(struct pf_json_reader *r);
/* Steps into the object or array that comes next. PF_ELIMIT when nested too deeply. */
PF_MUST_USE int pf_jr_enter(struct pf_json_reader *r);
/* In an object: 1 = there is a member, `*out_key` is borrowed until the next call and its value
 * comes next; 0 = that was the end of the object. */
PF_MUST_USE int pf_jr_key(struct pf_json_reader *r, struct pf_str *out_key);
/* In an array: 1 = an element comes next, 0 = that was the end of the array. */
PF_MUST_USE int pf_jr_item(struct pf_json_reader *r);
/* Take a value; PF_EPROTO if it is of another kind or malformed. Texts are borrowed until the next
 * call. */
PF_MUST_USE int pf_jr_str(struct pf_json_reader *r, struct pf_str *out);
PF_MUST_USE int pf_jr_number(struct pf_json_reader *r, struct pf_str *out_text);
PF_MUST_USE int pf_jr_int(struct pf_json_reader *r, int64_t *out);
PF_MUST_USE int pf_jr_double(struct pf_json_reader *r, double *out);
PF_MUST_USE int pf_jr_bool(struct pf_json_reader *r, bool *out);
PF_MUST_USE int pf_jr_null(struct pf_json_reader *r);
/* Passes over a value of any kind. */
PF_MUST_USE int pf_jr_skip(struct pf_json_reader *r);
/* Nothing but whitespace may follow. */
PF_MUST_USE int pf_jr_end(struct pf_json_reader *r);

/* Bytes read so far. */
static inline uint32_t pf_jr_offset(const struct pf_json_reader *r)
{
    return (uint32_t)(r->at - r->begin);
}

/* Sets `err` to "problem at byte N" and returns `code`, which some function returned. */
int pf_jr_err(const struct pf_json_reader *r, int code, struct pf_err *err);

#endif
