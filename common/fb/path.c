/* SPDX-License-Identifier: Apache-2.0 */
/* Errors with the path of a field. */
#include "common/fb/path.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "common/base/limits.h"

/* The path in `out`; a long one loses its beginning. */
static void path_format(char *out, size_t size, const struct pf_fb_step *at)
{
    const struct pf_fb_step *steps[2 * PF_MSG_DEPTH_MAX];
    size_t n = 0;
    for (; at != NULL && n < PF_ARRAY_LEN(steps); at = at->up) {
        steps[n++] = at;
    }
    size_t len = 0;
    out[0] = '\0';
    while (n > 0) {
        const struct pf_fb_step *s = steps[--n];
        char part[96];
        const char *dot = len > 0 ? "." : "";
        int wrote = s->index == PF_FB_NO_INDEX
                        ? snprintf(part, sizeof part, "%s%.64s", dot, s->field->name)
                        : snprintf(part, sizeof part, "%s%.64s[%lu]", dot, s->field->name,
                                   (unsigned long)s->index);
        size_t add = (size_t)wrote;
        if (len + add >= size) {
            memcpy(out, "..", 2);
            len = 2;
        }
        memcpy(out + len, part, add + 1);
        len += add;
    }
}

int pf_fb_path_err(struct pf_err *err, int code, const struct pf_fb_step *at, const char *fmt, ...)
{
    if (err == NULL) {
        return code;
    }
    char path[160], text[160];
    path_format(path, sizeof path, at);
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap); /* cut where too long */
    va_end(ap);
    return pf_err_set(err, code, "%s%s%s", path, path[0] != '\0' ? ": " : "", text);
}
