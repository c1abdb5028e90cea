/* SPDX-License-Identifier: Apache-2.0 */
/* The executor API of Mesos over HTTP (/api/v1/executor): each call is a peer of the core, of kind
 * EXECUTOR, that says one Executor_Call; a SUBSCRIBE stays, and what the core sends it becomes its
 * stream of events. So the core knows one way for executors, whatever they speak. JSON only. */
#ifndef PF_AGENT_DAEMON_EXECUTOR_API_H
#define PF_AGENT_DAEMON_EXECUTOR_API_H

#include <stdbool.h>
#include <stdint.h>
#include "agent/core/agent.h"
#include "common/net/http.h"
#include "common/turn/turn.h"

#define PF_EXECUTOR_CALLS_MAX        16384 /* open at a time, streams included; above it 503 */
#define PF_EXECUTOR_CAPABILITY_HTTP  "http"   /* what the Hello of such a peer says it can */
#define PF_EXECUTOR_CAPABILITY_TOKEN "token:" /* with the bearer token behind it, if it had one */

struct pf_executor_api;

struct pf_executor_api_ops {
    /* PEER_UP, MESSAGE or PEER_DOWN for the core; borrowed for the call. */
    void (*on_event)(void *ctx, struct pf_agent_event *ev);
    /* Why no call can be served yet, NULL = they can. Borrowed for the call. */
    const char *(*problem)(void *ctx);
};

struct pf_executor_api_options {
    bool authenticates;   /* calls without a token get 401 */
    int64_t heartbeat_ms; /* between HEARTBEAT events; 0 = 30 minutes */
};

struct pf_executor_api_counters {
    uint64_t calls, refused;
    uint32_t n_calls, n_streams; /* now; streams are calls, too */
};

/* Registers its routes with `http`, which must end before it. */
struct pf_executor_api *pf_executor_api_create(struct pf_loop *loop, struct pf_http *http,
                                               const struct pf_executor_api_options *options,
                                               const struct pf_executor_api_ops *ops, void *ctx);
/* After pf_http_destroy. NULL is fine. */
void pf_executor_api_destroy(struct pf_executor_api *api);
/* An effect for a peer of ours? Then it is answered or streamed, and the result is true. */
bool pf_executor_api_effect(struct pf_executor_api *api, const struct pf_effect *e);
const struct pf_executor_api_counters *pf_executor_api_counters(const struct pf_executor_api *api);

#endif
