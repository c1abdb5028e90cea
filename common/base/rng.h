/* SPDX-License-Identifier: Apache-2.0 */
/* Seeded dice (xoshiro256**), the only randomness a core may use. Not for secrets. */
#ifndef PF_COMMON_BASE_RNG_H
#define PF_COMMON_BASE_RNG_H

#include <stdint.h>

struct pf_rng {
    uint64_t s[4];
};

void pf_rng_seed(struct pf_rng *r, uint64_t seed);
uint64_t pf_rng_next(struct pf_rng *r);
/* Uniform in [0, bound), bound > 0. */
uint64_t pf_rng_below(struct pf_rng *r, uint64_t bound);

#endif
