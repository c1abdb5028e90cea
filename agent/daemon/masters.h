/* SPDX-License-Identifier: Apache-2.0 */
/* Links to the masters over the net, as common/link/leader.h wants them: one to each that is known,
 * from the start and by what masters tell of each other, tried again when lost. */
#ifndef PF_AGENT_DAEMON_MASTERS_H
#define PF_AGENT_DAEMON_MASTERS_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/buf.h"
#include "common/base/limits.h"
#include "common/net/peer.h"

struct pf_masters;

struct pf_masters_options {
    const struct pf_ptrs *addresses; /* char *, copied */
    struct pf_connect_options how;
    uint64_t seed;                   /* spreads the tries */
    /* Told of each connection that begins; may be NULL. */
    void (*on_connect)(void *ctx, uint64_t peer);
    void *ctx;
};

/* Nothing is connected before pf_masters_begin. */
struct pf_masters *pf_masters_create(struct pf_loop *loop, struct pf_net *net,
                                     const struct pf_masters_options *options);
/* NULL is fine. Links that stand are left to the net. */
void pf_masters_destroy(struct pf_masters *m);
void pf_masters_begin(struct pf_masters *m);

enum pf_master_up {
    PF_MASTER_NOT_OURS,
    PF_MASTER_UP,
    PF_MASTER_DUPLICATE, /* another address of one that is up: it is closed, tell nobody */
};

/* From the net's callbacks. A message: looked at if it is the Welcome of one of them. Down: true if
 * the peer is, or was, a link of ours; `*out_was_up`: on_up had said PF_MASTER_UP, or it is no link
 * of ours. */
enum pf_master_up pf_masters_on_up(struct pf_masters *m, const struct pf_peer_up *up);
void pf_masters_on_message(struct pf_masters *m, uint64_t peer, struct pf_msg envelope);
bool pf_masters_on_down(struct pf_masters *m, uint64_t peer, const struct pf_err *why,
                        bool *out_was_up);

/* Addresses known now; borrowed until the next callback of the net. */
uint32_t pf_masters_addresses(const struct pf_masters *m, struct pf_str out[PF_MASTERS_MAX]);
uint32_t pf_masters_n_up(const struct pf_masters *m);

#endif
