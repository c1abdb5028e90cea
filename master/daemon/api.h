/* SPDX-License-Identifier: Apache-2.0 */
/* The master's HTTP side: the operator API as JSON on POST /api/v1, /health, /version, /metrics.
 * A request becomes a peer of the core (a number with the highest bit set) that sends one
 * Master_Call; lists are walked page by page into a chunked answer, so that neither the core nor
 * memory ever holds a whole one. */
#ifndef PF_MASTER_DAEMON_API_H
#define PF_MASTER_DAEMON_API_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/buf.h"
#include "common/link/key.h"
#include "common/net/http.h"
#include "common/turn/turn.h"

struct pf_api;

struct pf_api_ops {
    /* Feeds the core: a virtual peer came, asks, went. */
    void (*on_peer)(void *ctx, uint64_t peer, bool is_up, bool is_trusted);
    void (*on_call)(void *ctx, uint64_t peer, struct pf_msg envelope);
    /* Why the master is not healthy, NULL = it is. Borrowed for the call. */
    const char *(*health)(void *ctx);
    /* HTTP address of the master that leads, where it is another one; NULL: none known. */
    const char *(*leader)(void *ctx);
    void (*metrics)(void *ctx, struct pf_buf *out);
};

/* Registers its routes with `http`, which must outlive it. `key` NULL: everybody is trusted. */
struct pf_api *pf_api_create(struct pf_http *http, const struct pf_key *key,
                             const struct pf_api_ops *ops, void *ctx);
/* After pf_http_destroy. NULL is fine. */
void pf_api_destroy(struct pf_api *api);
/* Answers every open request with 503: the core that would have answered is gone. */
void pf_api_drop(struct pf_api *api);
/* An effect for a peer of ours? Then answers the request with it and returns true. */
bool pf_api_effect(struct pf_api *api, const struct pf_effect *e);

#endif
