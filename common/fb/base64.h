/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 (RFC 4648, standard alphabet). */
#ifndef PF_COMMON_FB_BASE64_H
#define PF_COMMON_FB_BASE64_H

#include <stdbool.h>
#include "common/base/buf.h"
#include "common/base/compiler.h"
#include "common/base/str.h"

/* Appends the text, with padding. */
void pf_base64_encode(struct pf_buf *out, struct pf_bytes bytes);
/* The length of the bytes that `text` stands for; false if it is not base64. Padding may be left
 * out; whitespace is refused. */
PF_MUST_USE bool pf_base64_decoded_len(struct pf_str text, uint32_t *out_len);
/* Writes that many bytes; false if `text` is not base64 (`out` is undefined then). */
PF_MUST_USE bool pf_base64_decode(struct pf_str text, uint8_t *out);

#endif
