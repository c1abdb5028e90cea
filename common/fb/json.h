/* SPDX-License-Identifier: Apache-2.0 */
/* Messages as JSON, by descriptors: the forms of Mesos's v1 API.
 *
 * Out: names as in the schema; enums by name (a number where unknown); 64-bit integers as numbers;
 * bytes as base64; maps as objects; nested buffers and lists of them as messages; a union field as
 * an object with one member, {"body": {"Hello": {...}}}. Absent fields and empty lists are left
 * out, but absent fields with a proto2 default that is not deprecated are written with it.
 *
 * In: null = unset; unknown fields are ignored; numbers and booleans may be strings; enums by name,
 * unknown names = unset unless required; one value stands for a list of it; the last of equal keys
 * wins; a missing `pbreq` field, a second member of a oneof, numbers out of range and text that is
 * not UTF-8 are refused. */
#ifndef PF_COMMON_FB_JSON_H
#define PF_COMMON_FB_JSON_H

#include "common/base/buf.h"
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "common/fb/build.h"

enum pf_json_flag {
    PF_JSON_SKIP_OURS = 1 << 0,      /* fields that Mesos's schema lacks: not written, not read */
    PF_JSON_PRETTY = 1 << 1,         /* indented, for people */
    PF_JSON_NO_DEFAULTS = 1 << 2,    /* write present fields only */
    PF_JSON_REFUSE_UNKNOWN = 1 << 3, /* reading: an unknown field is an error */
};

/* Appends the message. PF_ELIMIT if the buffer's limit does not hold it; what was there before
 * remains and the buffer is marked failed. */
PF_MUST_USE int pf_json_write(struct pf_buf *out, struct pf_tab t,
                              const struct pf_fb_table_desc *d, uint32_t flags,
                              struct pf_err *err);

/* Reads one JSON object into `b`, which is reset first; `*out` is borrowed from it. Without a limit
 * of its own the builder gets one that fits the text. Errors carry the field's path and the place
 * in the text: PF_EPROTO (not JSON), PF_EINVAL (not such a message), PF_ELIMIT (too deep or too
 * large), PF_ENOMEM. */
PF_MUST_USE int pf_json_read(struct pf_str text, const struct pf_fb_table_desc *d,
                             struct pf_fb_builder *b, struct pf_msg *out, uint32_t flags,
                             struct pf_err *err);

#endif
