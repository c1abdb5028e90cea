/* SPDX-License-Identifier: Apache-2.0 */
/* See api.h. Routes, one call, one answer; lists are in api_walk.c. */
#include "master/daemon/api.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "common/engine/metrics.h"
#include "common/fb/json.h"
#include "common/link/envelope.h"
#include "master/daemon/api_internal.h"

#define API_PEER_BIT   (UINT64_C(1) << 63)
#define API_OURS_FIRST 1001 /* call types from here on are Proffer's own */
#define API_JSON       "application/json"

/* The one table of reply codes as HTTP status. */
static int http_status(enum ReplyCode code)
{
    switch (code) {
    case ReplyCode_OK: return 200;
    case ReplyCode_ACCEPTED: return 202;
    case ReplyCode_BAD_REQUEST: return 400;
    case ReplyCode_NOT_FOUND: return 404;
    case ReplyCode_AMBIGUOUS: return 409;
    case ReplyCode_FORBIDDEN: return 403;
    case ReplyCode_CONFLICT: return 409;
    case ReplyCode_NOT_LEADER: return 503;
    case ReplyCode_UNAVAILABLE: return 503;
    case ReplyCode_TOO_LARGE: return 413;
    case ReplyCode_UNSUPPORTED: return 501;
    case ReplyCode_NOT_SUBSCRIBED: return 403;
    case ReplyCode_TOO_MANY: return 429;
    }
    return 500;
}

static void call_free(struct api_call *c)
{
    struct pf_api *api = c->api;
    pf_map_del(&api->calls, &c->peer, sizeof c->peer);
    api->ops.on_peer(api->ctx, c->peer, false, false);
    pf_api_walk_fini(c);
    pf_free(c);
}

void pf_api_end(struct api_call *c)
{
    call_free(c);
}

static void call_gone(void *ctx, struct pf_http_req *req)
{
    (void)req;
    call_free(ctx);
}

static struct api_call *call_new(struct pf_api *api, struct pf_http_req *req)
{
    struct api_call *c = PF_NEW(struct api_call);
    c->api = api;
    c->req = req;
    c->peer = API_PEER_BIT | ++api->next_peer;
    pf_map_put(&api->calls, &c->peer, sizeof c->peer, c);
    pf_http_on_gone(req, call_gone, c);
    bool is_trusted = api->key == NULL || pf_http_has_token(req, api->key);
    api->ops.on_peer(api->ctx, c->peer, true, is_trusted);
    return c;
}

/* Wraps a call that stands in the builder and gives it to the core. */
static void call_send(struct api_call *c, struct pf_ref call)
{
    struct pf_msg m = pf_envelope_finish(
        &c->api->builder,
        &(struct pf_envelope){.request_id = ++c->request_id, .body_type = Body_Master_Call}, call);
    c->api->ops.on_call(c->api->ctx, c->peer, m);
}

void pf_api_send_page(struct api_call *c, int type, struct pf_str after, uint32_t limit)
{
    struct pf_fb_builder *b = &c->api->builder;
    pf_fb_builder_reset(b);
    struct pf_ref page = Page__put(b, &(struct Page__args){.after_id = after, .limit = limit});
    struct pf_ref call = Master_Call__put(
        b, &(struct Master_Call__args){.type = PF_OPT((enum Master_Call_Type)type), .page = page});
    call_send(c, call);
}

/* POST /api/v1 */
static void on_operator_call(void *ctx, struct pf_http_req *req)
{
    struct pf_api *api = ctx;
    enum pf_http_encoding in, out;
    int status = pf_http_content_type(req, false, &in);
    if (status != 0) {
        pf_http_reply_text(req, status,
                           status == 415 ? "Expecting 'Content-Type' of application/json"
                                         : "Expecting 'Content-Type' to be present");
        return;
    }
    status = pf_http_accept(req, false, &out);
    if (status != 0) {
        pf_http_reply_text(req, status, "Expecting 'Accept' to allow application/json");
        return;
    }
    struct pf_bytes body = pf_http_body(req);
    struct pf_fb_builder parsed;
    pf_fb_builder_init(&parsed, NULL);
    struct pf_msg msg;
    struct pf_err err = {0};
    int rc = pf_json_read((struct pf_str){(const char *)body.at, body.len}, &Master_Call__desc,
                          &parsed, &msg, 0, &err);
    if (rc < 0) {
        pf_http_reply_text(req, 400, "Failed to parse body into Call: %s", err.msg);
        pf_fb_builder_fini(&parsed);
        return;
    }
    struct Master_Call call = Master_Call__root(msg);
    if (!Master_Call__has_type(call)) {
        pf_http_reply_text(req, 400,
                           "Failed to validate master::Call: Expecting 'type' to be present");
        pf_fb_builder_fini(&parsed);
        return;
    }
    struct api_call *c = call_new(api, req);
    c->type = (int)Master_Call_type(call);
    c->shows_ours = c->type >= API_OURS_FIRST || pf_http_query(req, "proffer").at != NULL;
    if (pf_api_walk_is(c->type) && !Master_Call__has_page(call)) {
        pf_api_walk_begin(c);
    } else {
        pf_fb_builder_reset(&api->builder);
        call_send(c, Master_Call__copy(&api->builder, call));
    }
    pf_fb_builder_fini(&parsed);
}

static void call_answer(struct api_call *c, struct Master_Response response)
{
    struct pf_buf json = {.limit = PF_JSON_OUT_MAX_BYTES};
    struct pf_err err = {0};
    int rc = pf_json_write(&json, response.tab, &Master_Response__desc,
                           c->shows_ours ? 0 : PF_JSON_SKIP_OURS, &err);
    if (rc < 0) {
        pf_http_reply_text(c->req, 500, "%s", err.msg);
    } else {
        pf_http_reply(c->req, 200, API_JSON, (struct pf_bytes){json.data, (uint32_t)json.len});
    }
    pf_buf_fini(&json);
    call_free(c);
}

/* An answer without a list in it: an error, or an empty success. */
static void call_answer_code(struct api_call *c, const struct pf_envelope *e)
{
    int status = http_status((enum ReplyCode)e->code);
    const char *leader = e->code == ReplyCode_NOT_LEADER ? c->api->ops.leader(c->api->ctx) : NULL;
    if (leader != NULL &&
        !c->is_streaming) { /* as a standby of Mesos: the client asks again there */
        char url[128];
        (void)snprintf(url, sizeof url, "//%s/api/v1", leader);
        pf_http_add_header(c->req, "Location", url);
        status = 307;
    }
    if (c->is_streaming) { /* too late for a status: the broken end tells */
        pf_http_stream_end(c->req);
    } else if (e->text.len > 0) {
        pf_http_reply_text(c->req, status, "%.*s", PF_STR_ARG(e->text));
    } else {
        pf_http_reply(c->req, status, NULL, (struct pf_bytes){NULL, 0});
    }
    call_free(c);
}

/* In a header, as Mesos's fields have no place for it. */
static void mark_stale(struct api_call *c, struct Master_Response response)
{
    char value[128];
    struct Stale s = Master_Response_stale(response);
    struct pf_str leader = Stale_leader(s);
    if (s.tab.p == NULL || c->is_marked || c->is_streaming) {
        return;
    }
    c->is_marked = true;
    int n = snprintf(value, sizeof value, "leader=%.*s", (int)(leader.len < 80 ? leader.len : 80),
                     leader.len > 0 ? leader.at : "");
    if (Stale__has_lag(s)) {
        (void)snprintf(value + n, sizeof value - (size_t)n, "; lag=%" PRIu64, Stale_lag(s));
    }
    pf_http_add_header(c->req, "Proffer-Stale", value);
}

bool pf_api_effect(struct pf_api *api, const struct pf_effect *e)
{
    if ((e->peer & API_PEER_BIT) == 0) {
        return false;
    }
    struct api_call *c = pf_map_get_u64(&api->calls, &e->peer);
    if (c == NULL) {
        return true; /* the client has left */
    }
    if (e->kind == PF_EFFECT_CLOSE) {
        call_answer_code(c, &(struct pf_envelope){.code = ReplyCode_UNAVAILABLE});
        return true;
    }
    struct pf_msg msg;
    struct pf_err err = {0};
    int rc = pf_envelope_parse(e->message, &msg, &err);
    PF_ASSERT(rc == 0);
    struct pf_envelope env = pf_envelope_of(msg);
    struct Master_Response response = {pf_envelope_body(msg, Body_Master_Response)};
    if (!env.is_reply || env.request_id != c->request_id) {
        return true;
    }
    if (env.code != ReplyCode_OK || response.tab.p == NULL) {
        call_answer_code(c, &env);
        return true;
    }
    mark_stale(c, response);
    if (c->is_streaming || c->json.out != NULL) {
        pf_api_walk_reply(c, response);
    } else {
        call_answer(c, response);
    }
    return true;
}

void pf_api_drop(struct pf_api *api)
{
    uint32_t cursor = 0;
    struct api_call *c;
    while ((c = pf_map_next(&api->calls, &cursor)) != NULL) {
        call_answer_code(c, &(struct pf_envelope){.code = ReplyCode_UNAVAILABLE,
                                                  .text = PF_STR("this master leads no more")});
        cursor = 0; /* it is gone from the map */
    }
}

/* GET /health: 200 empty, or 503 with the reason. */
static void on_health(void *ctx, struct pf_http_req *req)
{
    struct pf_api *api = ctx;
    const char *problem = api->ops.health(api->ctx);
    if (problem != NULL) {
        pf_http_reply_text(req, 503, "%s", problem);
    } else {
        pf_http_reply(req, 200, NULL, (struct pf_bytes){NULL, 0});
    }
}

/* GET /version: plain dotted digits, what Mesos's clients parse. */
static void on_version(void *ctx, struct pf_http_req *req)
{
    (void)ctx;
    struct pf_buf json = {0};
    struct pf_json_writer w;
    pf_jw_init(&w, &json, false);
    pf_jw_begin_object(&w);
    pf_jw_field_cstr(&w, "version", PF_VERSION);
    pf_jw_end_object(&w);
    pf_http_reply(req, 200, API_JSON, (struct pf_bytes){json.data, (uint32_t)json.len});
    pf_buf_fini(&json);
}

static void on_metrics(void *ctx, struct pf_http_req *req)
{
    struct pf_api *api = ctx;
    struct pf_buf text = {0};
    api->ops.metrics(api->ctx, &text);
    pf_http_reply(req, 200, PF_METRICS_CONTENT_TYPE,
                  (struct pf_bytes){text.data, (uint32_t)text.len});
    pf_buf_fini(&text);
}

struct pf_api *pf_api_create(struct pf_http *http, const struct pf_key *key,
                             const struct pf_api_ops *ops, void *ctx)
{
    struct pf_api *api = PF_NEW(struct pf_api);
    api->http = http;
    api->key = key;
    api->ops = *ops;
    api->ctx = ctx;
    pf_fb_builder_init(&api->builder, NULL);
    pf_http_alias(http, "master");
    pf_http_route(http, "/api/v1", PF_HTTP_POST, on_operator_call, api);
    pf_http_route(http, "/health", PF_HTTP_GET, on_health, api);
    pf_http_route(http, "/version", PF_HTTP_GET, on_version, api);
    pf_http_route(http, "/metrics", PF_HTTP_GET, on_metrics, api);
    return api;
}

void pf_api_destroy(struct pf_api *api)
{
    if (api == NULL) {
        return;
    }
    uint32_t cursor = 0;
    struct api_call *c;
    while ((c = pf_map_next(&api->calls, &cursor)) != NULL) {
        pf_api_walk_fini(c);
        pf_free(c);
    }
    pf_map_fini(&api->calls);
    pf_fb_builder_fini(&api->builder);
    pf_free(api);
}
