/* SPDX-License-Identifier: Apache-2.0 */
/* xoshiro256** (Blackman and Vigna), seeded through splitmix64. */
#include "common/base/rng.h"

#include "common/base/compiler.h"

static uint64_t rotate_left(uint64_t v, int by)
{
    return (v << by) | (v >> (64 - by));
}

void pf_rng_seed(struct pf_rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        seed += UINT64_C(0x9e3779b97f4a7c15);
        uint64_t z = seed;

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        r->s[i] = z ^ (z >> 31);
    }
}

uint64_t pf_rng_next(struct pf_rng *r)
{
    uint64_t result = rotate_left(r->s[1] * 5, 7) * 9;
    uint64_t t = r->s[1] << 17;

    r->s[2] ^= r->s[0];
    r->s[3] ^= r->s[1];
    r->s[1] ^= r->s[2];
    r->s[0] ^= r->s[3];
    r->s[2] ^= t;
    r->s[3] = rotate_left(r->s[3], 45);
    return result;
}

uint64_t pf_rng_below(struct pf_rng *r, uint64_t bound)
{
    PF_ASSERT(bound > 0);
    /* the lowest 2^64 mod bound values would make some results likelier: throw again */
    uint64_t threshold = (0 - bound) % bound;
    uint64_t v;

    do {
        v = pf_rng_next(r);
    } while (v < threshold);
    return v % bound;
}
