/* SPDX-License-Identifier: Apache-2.0 */
/* Where in a message a walk is, kept on the C stack and written out only for an error. Used by the
 * verifier and the JSON transcoder only. */
#ifndef PF_COMMON_FB_PATH_H
#define PF_COMMON_FB_PATH_H

#include <stdint.h>
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "common/fb/desc.h"

#define PF_FB_NO_INDEX UINT32_MAX

struct pf_fb_step {
    const struct pf_fb_step *up; /* NULL at the root */
    const struct pf_fb_field *field;
    uint32_t index; /* of the element, or PF_FB_NO_INDEX */
};

/* Sets `err` to "path.of[3].field: text" (without path at the root) and returns `code`. */
int pf_fb_path_err(struct pf_err *err, int code, const struct pf_fb_step *at, const char *fmt, ...)
    PF_PRINTF(4, 5);

#endif
