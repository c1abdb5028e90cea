/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's HTTP side: /health, /version, /metrics. */
#ifndef PF_AGENT_DAEMON_HTTP_H
#define PF_AGENT_DAEMON_HTTP_H

#include "common/base/buf.h"
#include "common/net/http.h"

struct pf_agent_http_ops {
    /* Why the agent is not healthy, NULL = it is. Borrowed for the call. */
    const char *(*health)(void *ctx);
    void (*metrics)(void *ctx, struct pf_buf *out);
};

/* The operations and their context, kept by the caller as long as `http` lives. */
struct pf_agent_http {
    struct pf_agent_http_ops ops;
    void *ctx;
};

void pf_agent_http_routes(struct pf_http *http, struct pf_agent_http *h);

#endif
