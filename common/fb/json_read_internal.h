/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the JSON reader of messages: json_read.c walks, json_read_value.c turns
 * texts into values. */
#ifndef PF_COMMON_FB_JSON_READ_INTERNAL_H
#define PF_COMMON_FB_JSON_READ_INTERNAL_H

#include "common/fb/json.h"
#include "common/fb/json_reader.h"
#include "common/fb/path.h"

struct pf_json_in {
    struct pf_json_reader r;
    struct pf_fb_builder *b;
    struct pf_fb_cell *cells; /* stack: fields of open tables, elements of open lists */
    uint32_t n, cap;
    uint32_t flags;
    uint32_t value_at; /* where in the text errors of the current value are placed */
    struct pf_err *err;
};

/* Sets the error, "path: text at byte N", and returns `code`. */
int pf_json_fail(struct pf_json_in *in, const struct pf_fb_step *at, int code, const char *text);
/* Passes on what a function of the reader returned; an error gets its text and path. */
int pf_json_check(struct pf_json_in *in, const struct pf_fb_step *at, int rc);
int pf_json_read_table(struct pf_json_in *in, const struct pf_fb_table_desc *d, uint32_t depth,
                       const struct pf_fb_step *at, struct pf_ref *out);
/* A number, boolean or enum. An enum's unknown name leaves `out` without value. */
int pf_json_read_scalar(struct pf_json_in *in, const struct pf_fb_field *f,
                        const struct pf_fb_step *at, struct pf_fb_cell *out);
/* A string or bytes. */
int pf_json_read_text(struct pf_json_in *in, const struct pf_fb_field *f,
                      const struct pf_fb_step *at, struct pf_ref *out);
/* Sorts the entries of a map (see json_read.c) by key and drops all but the last of equal keys;
 * returns how many are left, with their keys' places removed. */
uint32_t pf_json_sort_map(const struct pf_fb_builder *b, struct pf_fb_cell *entries, uint32_t n);

#endif
