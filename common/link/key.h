/* SPDX-License-Identifier: Apache-2.0 */
/* The cluster's key and what is proved with it: HMAC-SHA256 by libcrypto. Pure computing; reading
 * and making key files is common/net/keyfile.h. */
#ifndef PF_COMMON_LINK_KEY_H
#define PF_COMMON_LINK_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "common/base/str.h"

#define PF_KEY_BYTES       32
#define PF_MAC_BYTES       32
#define PF_KEY_TOKEN_BYTES (2 * PF_MAC_BYTES + 1) /* hex text with its NUL */

struct pf_key {
    uint8_t b[PF_KEY_BYTES];
};

/* HMAC-SHA256 over the parts one behind the other. */
void pf_key_mac(const struct pf_key *key, const struct pf_bytes *part, size_t n_parts,
                uint8_t out[PF_MAC_BYTES]);
/* In constant time for equal lengths. False when either is absent. */
bool pf_key_mac_eq(struct pf_bytes a, struct pf_bytes b);
/* The bearer token of HTTP: hex of HMAC(key, "http"). */
void pf_key_token(const struct pf_key *key, char out[PF_KEY_TOKEN_BYTES]);
/* Is the value of an Authorization header ("Bearer ...") this key's token? Constant time. */
bool pf_key_token_ok(const struct pf_key *key, struct pf_str authorization);

/* The contents of a key file: 32 raw bytes, or 64 hex digits and at most one newline. PF_EINVAL. */
PF_MUST_USE int pf_key_parse(struct pf_bytes text, struct pf_key *out, struct pf_err *err);
/* The form that files are written in: 64 hex digits, a newline, a NUL. */
void pf_key_format(const struct pf_key *key, char out[2 * PF_KEY_BYTES + 2]);
/* Overwrites it in a way that is not optimised away. */
void pf_key_wipe(struct pf_key *key);

#endif
