/* SPDX-License-Identifier: Apache-2.0 */
/* From "host:port" to addresses, asking name servers without blocking. Only for common/net. */
#ifndef PF_COMMON_NET_LOOKUP_H
#define PF_COMMON_NET_LOOKUP_H

#include "common/net/address.h"
#include "common/net/loop_internal.h"

#define PF_LOOKUP_MAX 8

struct pf_lookup;

/* `n` is 0 on failure, then `why` says what happened. The lookup is freed before. */
typedef void pf_lookup_done(void *ctx, const struct pf_address *at, uint32_t n, const char *why);

/* `done` is called in the delivery part of a later turn. */
struct pf_lookup *pf_lookup_start(struct pf_loop *loop, const struct pf_hostport *hp,
                                  pf_lookup_done *done, void *ctx);
void pf_lookup_cancel(struct pf_lookup *l); /* `done` is not called any more */

#endif
