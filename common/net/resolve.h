/* SPDX-License-Identifier: Apache-2.0 */
/* The addresses of a name, asked without blocking; for those who hand numeric addresses to a
 * library of their own. */
#ifndef PF_COMMON_NET_RESOLVE_H
#define PF_COMMON_NET_RESOLVE_H

#include <stdint.h>
#include "common/base/err.h"
#include "common/net/loop.h"
#include "common/sys/parse.h"

#define PF_RESOLVE_MAX 8 /* addresses of one name that are told */

struct pf_resolve;

/* `at` holds `n` numeric addresses with the port that was asked for, in the resolver's order. `n`
 * is 0 on failure, then `why` says what happened. Borrowed for the call; the resolve has ended
 * before it. */
typedef void pf_resolve_done(void *ctx, const struct pf_hostport *at, uint32_t n, const char *why);

/* A numeric host and "localhost" need no name server. `done` is called in the delivery part of a
 * later turn, never inside. */
struct pf_resolve *pf_resolve_start(struct pf_loop *loop, const struct pf_hostport *name,
                                    pf_resolve_done *done, void *ctx);
void pf_resolve_cancel(struct pf_resolve *r); /* `done` is not called any more; NULL is fine */

#endif
