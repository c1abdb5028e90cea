/* SPDX-License-Identifier: Apache-2.0 */
/* How long to wait before something is tried again. */
#ifndef PF_COMMON_LINK_BACKOFF_H
#define PF_COMMON_LINK_BACKOFF_H

#include <stdint.h>
#include "common/base/rng.h"

enum { PF_BACKOFF_MIN_MS = 50, PF_BACKOFF_MAX_MS = 2000 };

/* A plain value; all zero = nothing failed yet. */
struct pf_backoff {
    uint32_t failures; /* in a row */
};

/* Counts a failure and says how long to wait now: 0 after the first, then up to 50 ms, doubling to
 * 2 s, each spread over its second half. */
int64_t pf_backoff_next(struct pf_backoff *b, struct pf_rng *dice);
/* The same where a try at once would be in vain. */
int64_t pf_backoff_pause(struct pf_backoff *b, struct pf_rng *dice);

#endif
