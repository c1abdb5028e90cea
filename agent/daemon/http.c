/* SPDX-License-Identifier: Apache-2.0 */
/* See http.h. */
#include "agent/daemon/http.h"

#include "common/engine/metrics.h"
#include "common/fb/json_writer.h"

static struct pf_bytes buf_bytes(const struct pf_buf *b)
{
    return (struct pf_bytes){b->data, (uint32_t)b->len};
}

static void on_health(void *ctx, struct pf_http_req *req)
{
    const struct pf_agent_http *h = ctx;
    const char *problem = h->ops.health(h->ctx);

    if (problem != NULL) {
        pf_http_reply_text(req, 503, "%s\n", problem);
    } else {
        pf_http_reply(req, 200, NULL, (struct pf_bytes){NULL, 0});
    }
}

static void on_version(void *ctx, struct pf_http_req *req)
{
    struct pf_buf json = {0};
    struct pf_json_writer w;

    (void)ctx;
    pf_jw_init(&w, &json, false);
    pf_jw_begin_object(&w);
    pf_jw_field_cstr(&w, "version", PF_VERSION);
    pf_jw_end_object(&w);
    pf_http_reply(req, 200, "application/json", buf_bytes(&json));
    pf_buf_fini(&json);
}

static void on_metrics(void *ctx, struct pf_http_req *req)
{
    const struct pf_agent_http *h = ctx;
    struct pf_buf text = {0};

    h->ops.metrics(h->ctx, &text);
    pf_http_reply(req, 200, PF_METRICS_CONTENT_TYPE, buf_bytes(&text));
    pf_buf_fini(&text);
}

void pf_agent_http_routes(struct pf_http *http, struct pf_agent_http *h)
{
    pf_http_route(http, "/health", PF_HTTP_GET, on_health, h);
    pf_http_route(http, "/version", PF_HTTP_GET, on_version, h);
    pf_http_route(http, "/metrics", PF_HTTP_GET, on_metrics, h);
}
