/* SPDX-License-Identifier: Apache-2.0 */
/* Writes JSON piece by piece into a pf_buf: ASCII only, commas kept, on one line or indented. For
 * long replies the buffer may be emptied between two calls. A buffer that fails (its limit) stays
 * failed; look once at the end. */
#ifndef PF_COMMON_FB_JSON_WRITER_H
#define PF_COMMON_FB_JSON_WRITER_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/buf.h"
#include "common/base/str.h"
#include "common/fb/fb.h"

struct pf_json_writer {
    struct pf_buf *out;
    uint32_t depth;
    bool comma;     /* something stands before on this level */
    bool after_key;
    bool pretty;    /* two spaces a level */
};

void pf_jw_init(struct pf_json_writer *w, struct pf_buf *out, bool pretty);
void pf_jw_begin_object(struct pf_json_writer *w);
void pf_jw_end_object(struct pf_json_writer *w);
void pf_jw_begin_array(struct pf_json_writer *w);
void pf_jw_end_array(struct pf_json_writer *w);
void pf_jw_key(struct pf_json_writer *w, const char *key);
void pf_jw_key_str(struct pf_json_writer *w, struct pf_str key);

void pf_jw_str(struct pf_json_writer *w, struct pf_str s); /* absent: null. Bytes that are not
                                                             * UTF-8 become U+FFFD */
void pf_jw_cstr(struct pf_json_writer *w, const char *s);  /* NULL: null */
void pf_jw_int(struct pf_json_writer *w, int64_t v);
void pf_jw_uint(struct pf_json_writer *w, uint64_t v);
void pf_jw_bool(struct pf_json_writer *w, bool v);
void pf_jw_null(struct pf_json_writer *w);
void pf_jw_milli(struct pf_json_writer *w, int64_t milli); /* 1500: 1.5 */
/* Always with a point or an exponent; the shortest text that reads back as `v`; Infinity and NaN as
 * bare words, as Mesos does. */
void pf_jw_double(struct pf_json_writer *w, double v);
void pf_jw_base64(struct pf_json_writer *w, struct pf_bytes bytes);
/* JSON made elsewhere, as it is. */
void pf_jw_raw(struct pf_json_writer *w, struct pf_str json);
/* A message, see json.h for the form and the flags (PRETTY is the writer's matter). */
void pf_jw_table(struct pf_json_writer *w, struct pf_tab t, const struct pf_fb_table_desc *d,
                 uint32_t flags);

static inline void pf_jw_field_str(struct pf_json_writer *w, const char *key, struct pf_str s)
{
    pf_jw_key(w, key);
    pf_jw_str(w, s);
}

static inline void pf_jw_field_cstr(struct pf_json_writer *w, const char *key, const char *s)
{
    pf_jw_key(w, key);
    pf_jw_cstr(w, s);
}

static inline void pf_jw_field_int(struct pf_json_writer *w, const char *key, int64_t v)
{
    pf_jw_key(w, key);
    pf_jw_int(w, v);
}

static inline void pf_jw_field_uint(struct pf_json_writer *w, const char *key, uint64_t v)
{
    pf_jw_key(w, key);
    pf_jw_uint(w, v);
}

static inline void pf_jw_field_bool(struct pf_json_writer *w, const char *key, bool v)
{
    pf_jw_key(w, key);
    pf_jw_bool(w, v);
}

static inline void pf_jw_field_milli(struct pf_json_writer *w, const char *key, int64_t milli)
{
    pf_jw_key(w, key);
    pf_jw_milli(w, milli);
}

#endif
