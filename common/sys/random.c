/* SPDX-License-Identifier: Apache-2.0 */
/* getrandom, in pieces where the kernel cuts it. */
#include "common/sys/random.h"

#include <errno.h>
#include <sys/random.h>
#include "common/base/compiler.h"

void pf_random_bytes(void *out, size_t bytes)
{
    uint8_t *at = out;

    while (bytes > 0) {
        ssize_t n = getrandom(at, bytes, 0);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        PF_ASSERT(n > 0);
        at += n;
        bytes -= (size_t)n;
    }
}

uint64_t pf_random_u64(void)
{
    uint64_t value;

    pf_random_bytes(&value, sizeof value);
    return value;
}

void pf_random_seed_rng(struct pf_rng *rng)
{
    do {
        pf_random_bytes(rng->s, sizeof rng->s);
    } while ((rng->s[0] | rng->s[1] | rng->s[2] | rng->s[3]) == 0); /* the one state that sticks */
}

struct pf_uuid pf_random_uuid(void)
{
    struct pf_rng rng;

    pf_random_seed_rng(&rng);
    return pf_uuid_random(&rng);
}
