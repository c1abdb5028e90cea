/* SPDX-License-Identifier: Apache-2.0 */
/* See backoff.h. */
#include "common/link/backoff.h"

enum { DOUBLINGS_MAX = 6 }; /* 50 ms << 6 is above the most */

int64_t pf_backoff_next(struct pf_backoff *b, struct pf_rng *dice)
{
    if (b->failures++ == 0) {
        return 0;
    }
    uint32_t doublings = b->failures - 2 < DOUBLINGS_MAX ? b->failures - 2 : DOUBLINGS_MAX;
    int64_t ms = (int64_t)PF_BACKOFF_MIN_MS << doublings;

    ms = ms < PF_BACKOFF_MAX_MS ? ms : PF_BACKOFF_MAX_MS;
    if (b->failures > DOUBLINGS_MAX + 2) {
        b->failures = DOUBLINGS_MAX + 2; /* more changes nothing */
    }
    return ms / 2 + (int64_t)pf_rng_below(dice, (uint64_t)(ms / 2 + 1));
}

int64_t pf_backoff_pause(struct pf_backoff *b, struct pf_rng *dice)
{
    if (b->failures == 0) {
        b->failures = 1;
    }
    return pf_backoff_next(b, dice);
}
