/* SPDX-License-Identifier: Apache-2.0 */
/* Ids. On the wire they are text of 1..PF_ID_MAX bytes. Those that a master makes are a kind letter
 * and base32 of (epoch, counter): short, unique in the incarnation. Uuids are random and made by
 * daemons, or by a core from its seeded dice. */
#ifndef PF_COMMON_BASE_ID_H
#define PF_COMMON_BASE_ID_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/compiler.h"
#include "common/base/rng.h"
#include "common/base/str.h"

#define PF_UUID_TEXT_LEN 36
#define PF_SHORT_ID_MAX  32 /* with its NUL */

struct pf_uuid {
    uint8_t b[16];
};

/* Version 4 (RFC 9562) from the dice. */
struct pf_uuid pf_uuid_random(struct pf_rng *r);
void pf_uuid_format(struct pf_uuid u, char out[PF_UUID_TEXT_LEN + 1]);
/* Accepts exactly the 36-character form, either case. */
PF_MUST_USE bool pf_uuid_parse(struct pf_str s, struct pf_uuid *out);
bool pf_uuid_eq(struct pf_uuid a, struct pf_uuid b);
bool pf_uuid_is_nil(struct pf_uuid u);

/* "f10": kind, then epoch and counter as base32 (lower case, without i, l, o, u) in a prefix-free
 * code, so that no two (epoch, counter) of one kind give the same text. */
void pf_short_id(char kind, uint64_t epoch, uint64_t counter, char out[PF_SHORT_ID_MAX]);

/* Mesos's rule for ids given by users (task, executor, framework): 1..255 bytes, not "." or "..",
 * no '/' or '\\', no control characters. NULL = fine, else what is wrong. */
const char *pf_id_problem(struct pf_str id);

/* How many leading bytes of `id` tell it from both sorted neighbours (either may be absent), at
 * least `min_len`. */
uint32_t pf_id_unique_len(struct pf_str id, struct pf_str before, struct pf_str after,
                          uint32_t min_len);

#endif
