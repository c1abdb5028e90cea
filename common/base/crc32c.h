/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli), for finding damaged bytes; no protection against forgery. */
#ifndef PF_COMMON_BASE_CRC32C_H
#define PF_COMMON_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* `crc`: 0, or what the bytes before gave. */
uint32_t pf_crc32c(uint32_t crc, const void *p, size_t len);

#endif
