/* SPDX-License-Identifier: Apache-2.0 */
/* True randomness from the kernel: seeds for dice and maps, keys, uuids of daemons. A kernel that
 * gives none ends the process. */
#ifndef PF_COMMON_SYS_RANDOM_H
#define PF_COMMON_SYS_RANDOM_H

#include <stddef.h>
#include <stdint.h>
#include "common/base/id.h"
#include "common/base/rng.h"

void pf_random_bytes(void *out, size_t bytes);
uint64_t pf_random_u64(void);
/* Seeds all 256 bits of the dice. */
void pf_random_seed_rng(struct pf_rng *rng);
struct pf_uuid pf_random_uuid(void);

#endif
