/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers as JSON text, free of the locale. */
#ifndef PF_COMMON_FB_JSON_NUMBER_H
#define PF_COMMON_FB_JSON_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/str.h"

#define PF_JSON_NUMBER_MAX 512 /* bytes of a number's text */

/* The length of the number (or Infinity, -Infinity, NaN) that `text` begins with; 0 = none. */
uint32_t pf_json_number_len(struct pf_str text);
/* A whole number in any notation ("5", "-7", "3.6e+06"); false for fractions and what does not fit
 * 64 bits. */
bool pf_json_to_integer(struct pf_str text, bool *out_negative, uint64_t *out_magnitude);
/* The nearest double; false if `text` is not a number or one too large. */
bool pf_json_to_double(struct pf_str text, double *out);
/* Writes the shortest text that reads back as `v` (`as_float`: as a float), with a point or an
 * exponent; returns its length. */
size_t pf_json_from_double(char out[40], double v, bool as_float);
size_t pf_json_from_uint(char out[24], uint64_t v);

#endif
