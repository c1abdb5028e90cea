/* SPDX-License-Identifier: Apache-2.0 */
/* What both sides of the greetings share. */
#ifndef PF_COMMON_LINK_HANDSHAKE_INTERNAL_H
#define PF_COMMON_LINK_HANDSHAKE_INTERNAL_H

#include "common/link/handshake.h"
#include "schemas/proffer.h"

#define PF_LINK_LABEL_HELLO   "proffer-hello"
#define PF_LINK_LABEL_WELCOME "proffer-welcome"

/* HMAC(key, label | first nonce | second nonce | kind | cluster). */
void pf_link_mac(const struct pf_key *key, const char *label, const uint8_t *first,
                 const uint8_t *second, uint8_t kind, struct pf_str cluster,
                 uint8_t out[PF_MAC_BYTES]);
struct pf_msg pf_link_wrap(struct pf_fb_builder *b, uint8_t body_type, struct pf_ref body);
/* Both name a cluster, and not the same one. */
bool pf_link_clusters_differ(struct pf_str a, struct pf_str b);
/* The PF_E* that a Goodbye's code stands for. */
int pf_link_code_of_reply(uint8_t reply_code);

#endif
