/* SPDX-License-Identifier: Apache-2.0 */
/* See executor_api.h. The order of checks, the codes and the texts are Mesos's. */
#include "agent/daemon/executor_api.h"

#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "common/base/map.h"
#include "common/fb/json.h"
#include "common/link/envelope.h"
#include "common/sys/log.h"
#include "schemas/proffer.h"

#define PEER_BIT     (UINT64_C(1) << 63) /* those of the net never have it */
#define HEARTBEAT_MS (INT64_C(30) * 60 * 1000)
#define RECORD_MAX   (PF_FRAME_MAX_BYTES * 8) /* JSON takes more room than a frame */
#define METHODS                                                                                    \
    (PF_HTTP_GET | PF_HTTP_POST | PF_HTTP_PUT | PF_HTTP_DELETE | PF_HTTP_OPTIONS | PF_HTTP_PATCH)
#define UUID_BYTES   16
#define CONTENT_TYPE "application/json"

struct pf_executor_api {
    struct pf_loop *loop;
    struct pf_executor_api_options o;
    struct pf_executor_api_ops ops;
    void *ctx;
    struct pf_map calls; /* by peer */
    uint64_t next_peer;
    struct pf_fb_builder builder, parsed;
    struct pf_executor_api_counters counters;
};

struct call {
    struct pf_executor_api *api;
    struct pf_http_req *req;
    uint64_t peer, request_id;
    bool is_subscribe, is_streaming;
    struct pf_timer *heartbeat; /* of a stream */
};

/* --- one call --------------------------------------------------------------------------------- */

/* The one table of reply codes as HTTP status, for executors. What is not found is a bad request
 * here: an id in the call's body, not the address. */
static int http_status(enum ReplyCode code)
{
    switch (code) {
    case ReplyCode_OK: return 202;
    case ReplyCode_ACCEPTED: return 202;
    case ReplyCode_BAD_REQUEST: return 400;
    case ReplyCode_NOT_FOUND: return 400;
    case ReplyCode_AMBIGUOUS: return 400;
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

/* The request was answered, or its client has left: the core hears of it as of any peer. */
static void call_end(struct call *c)
{
    struct pf_executor_api *api = c->api;
    struct pf_agent_event ev = {.type = PF_AGENT_PEER_DOWN, .peer = c->peer};

    (void)pf_map_del(&api->calls, &c->peer, sizeof c->peer); /* it is this one */
    api->counters.n_calls--;
    api->counters.n_streams -= c->is_streaming ? 1u : 0;
    pf_timer_destroy(c->heartbeat);
    pf_free(c);
    api->ops.on_event(api->ctx, &ev);
}

static void on_gone(void *ctx, struct pf_http_req *req)
{
    (void)req;
    call_end(ctx);
}

static void call_tell_up(struct call *c, struct pf_str token)
{
    struct pf_executor_api *api = c->api;
    struct pf_agent_event ev = {.type = PF_AGENT_PEER_UP, .peer = c->peer};
    struct pf_buf text = {0};

    pf_buf_printf(&text, PF_EXECUTOR_CAPABILITY_TOKEN "%.*s", PF_STR_ARG(token));
    const struct pf_str can[] = {PF_STR(PF_EXECUTOR_CAPABILITY_HTTP),
                                 {pf_buf_cstr(&text), (uint32_t)text.len}};
    pf_fb_builder_reset(&api->builder);
    struct pf_ref hello =
        Hello__put(&api->builder, &(struct Hello__args){
                                      .protocol = PF_PROTOCOL_VERSION,
                                      .kind = PeerKind_EXECUTOR,
                                      .capabilities = {can, token.len > 0 ? 2 : 1},
                                  });
    ev.peer_up.hello =
        pf_envelope_finish(&api->builder, &(struct pf_envelope){.body_type = Body_Hello}, hello);
    api->ops.on_event(api->ctx, &ev);
    pf_buf_fini(&text);
}

static void call_begin(struct pf_executor_api *api, struct pf_http_req *req, struct pf_str token,
                       struct Executor_Call call)
{
    struct call *c = PF_NEW(struct call);
    struct pf_agent_event ev = {.type = PF_AGENT_MESSAGE};

    c->api = api;
    c->req = req;
    c->peer = PEER_BIT | ++api->next_peer;
    c->request_id = 1;
    c->is_subscribe = Executor_Call_type(call) == Executor_Call_Type_SUBSCRIBE;
    pf_map_put(&api->calls, &c->peer, sizeof c->peer, c);
    api->counters.n_calls++;
    pf_http_on_gone(req, on_gone, c);
    call_tell_up(c, token);
    pf_fb_builder_reset(&api->builder);
    struct pf_ref body = Executor_Call__copy(&api->builder, call);
    ev.peer = c->peer;
    ev.message = pf_envelope_finish(
        &api->builder,
        &(struct pf_envelope){.request_id = c->request_id, .body_type = Body_Executor_Call}, body);
    api->ops.on_event(api->ctx, &ev);
}

/* --- the request ------------------------------------------------------------------------------ */

static struct pf_str bearer_token(const struct pf_http_req *req)
{
    struct pf_str value = pf_http_header(req, "Authorization");
    struct pf_str word = PF_STR("Bearer ");

    if (value.at == NULL || !pf_str_has_prefix(value, word)) {
        return (struct pf_str){NULL, 0};
    }
    return (struct pf_str){value.at + word.len, value.len - word.len};
}

/* Why the update of a call is none; NULL: it is one. */
static const char *update_problem(struct Executor_Call call)
{
    if (!Executor_Call__has_update(call)) {
        return "Expecting 'update' to be present";
    }
    struct TaskStatus s = Executor_Call_Update_status(Executor_Call_update(call));
    struct pf_str own = ExecutorID_value(Executor_Call_executor_id(call));

    if (!TaskStatus__has_uuid(s)) {
        return "Expecting 'uuid' to be present";
    }
    if (TaskStatus_uuid(s).len != UUID_BYTES) {
        return "Not a valid UUID";
    }
    if (TaskStatus__has_executor_id(s) &&
        !pf_str_eq(ExecutorID_value(TaskStatus_executor_id(s)), own)) {
        return "ExecutorID in Call does not match ExecutorID in TaskStatus";
    }
    if (!TaskStatus__has_source(s) || TaskStatus_source(s) != TaskStatus_Source_SOURCE_EXECUTOR) {
        return "Expecting 'source' to be SOURCE_EXECUTOR";
    }
    if (TaskStatus_state(s) == TaskState_TASK_STAGING) {
        return "TASK_STAGING is not allowed";
    }
    return NULL;
}

static const char *call_problem(struct Executor_Call call)
{
    if (!Executor_Call__has_type(call)) {
        return "Expecting 'type' to be present";
    }
    switch (Executor_Call_type(call)) {
    case Executor_Call_Type_SUBSCRIBE:
        return Executor_Call__has_subscribe(call) ? NULL : "Expecting 'subscribe' to be present";
    case Executor_Call_Type_UPDATE: return update_problem(call);
    case Executor_Call_Type_MESSAGE:
        return Executor_Call__has_message(call) ? NULL : "Expecting 'message' to be present";
    case Executor_Call_Type_HEARTBEAT:
    case Executor_Call_Type_UNKNOWN: break;
    }
    return NULL;
}

/* What is asked before the body is looked at. False: it was answered. */
static bool admit(struct pf_executor_api *api, struct pf_http_req *req, struct pf_str token)
{
    const char *problem = api->ops.problem(api->ctx);
    enum pf_http_encoding in;
    int status;

    if (api->o.authenticates && token.len == 0) {
        pf_http_add_header(req, "WWW-Authenticate", "Bearer realm=\"mesos-agent-executor\"");
        pf_http_reply_text(req, 401, "The token of the executor is needed");
    } else if (problem != NULL) {
        pf_http_reply_text(req, 503, "%s", problem);
    } else if (pf_http_method(req) != PF_HTTP_POST) {
        pf_http_add_header(req, "Allow", "POST");
        pf_http_reply_text(req, 405, "Expecting one of { 'POST' }");
    } else if ((status = pf_http_content_type(req, false, &in)) != 0) {
        pf_http_reply_text(req, status,
                           status == 415 ? "Expecting 'Content-Type' of " CONTENT_TYPE
                                         : "Expecting 'Content-Type' to be present");
    } else if (api->calls.len >= PF_EXECUTOR_CALLS_MAX) {
        pf_http_reply_text(req, 503, "Too many calls of executors");
    } else {
        return true;
    }
    return false;
}

static void handle(struct pf_executor_api *api, struct pf_http_req *req, struct pf_str token)
{
    struct pf_bytes body = pf_http_body(req);
    enum pf_http_encoding out;
    struct pf_err err = {0};
    struct pf_msg msg;

    if (pf_json_read((struct pf_str){(const char *)body.at, body.len}, &Executor_Call__desc,
                     &api->parsed, &msg, 0, &err) < 0) {
        pf_http_reply_text(req, 400, "Failed to parse body into Call: %s", err.msg);
        return;
    }
    struct Executor_Call call = Executor_Call__root(msg);
    const char *problem = call_problem(call);
    if (problem != NULL) {
        pf_http_reply_text(req, 400, "Failed to validate Executor::Call: %s", problem);
    } else if (Executor_Call_type(call) == Executor_Call_Type_HEARTBEAT) {
        pf_http_reply(req, 202, NULL, (struct pf_bytes){NULL, 0});
    } else if (Executor_Call_type(call) == Executor_Call_Type_SUBSCRIBE &&
               pf_http_accept(req, false, &out) != 0) {
        pf_http_reply_text(req, 406, "Expecting 'Accept' to allow " CONTENT_TYPE);
    } else {
        call_begin(api, req, token, call);
    }
}

static void on_request(void *ctx, struct pf_http_req *req)
{
    struct pf_executor_api *api = ctx;
    struct pf_str token = bearer_token(req);

    api->counters.calls++;
    if (admit(api, req, token)) {
        handle(api, req, token);
    }
}

/* --- what the core says ----------------------------------------------------------------------- */

static void call_heartbeat(void *ctx);

static void stream_begin(struct call *c)
{
    struct pf_executor_api *api = c->api;

    if (!c->is_streaming) {
        c->is_streaming = true;
        api->counters.n_streams++;
        pf_http_stream_begin(c->req, 200, CONTENT_TYPE);
        c->heartbeat = pf_timer_create(api->loop, PF_PRIO_NORMAL, call_heartbeat, c);
        pf_timer_set(c->heartbeat, pf_loop_now_ms(api->loop) + api->o.heartbeat_ms);
    }
}

/* One record: its length as text, a newline, the event; in one chunk. */
static void stream_event(struct call *c, struct Executor_Event event)
{
    struct pf_buf json = {.limit = RECORD_MAX};
    struct pf_buf record = {0};
    struct pf_err err = {0};

    stream_begin(c);
    if (pf_json_write(&json, event.tab, &Executor_Event__desc, PF_JSON_SKIP_OURS, &err) == 0) {
        pf_buf_printf(&record, "%zu\n", json.len);
        pf_buf_add(&record, json.data, json.len);
        pf_http_stream_chunk(c->req, (struct pf_bytes){record.data, (uint32_t)record.len});
    } else { /* a stream with a gap would be worse than none */
        pf_log_err(PF_LOG_WARN, "event for an executor is too large", &err);
        pf_http_stream_end(c->req);
        call_end(c);
    }
    pf_buf_fini(&json);
    pf_buf_fini(&record);
}

static void call_heartbeat(void *ctx)
{
    struct call *c = ctx;
    struct pf_executor_api *api = c->api;
    const struct Executor_Event__args args = {.type = PF_OPT(Executor_Event_Type_HEARTBEAT)};

    pf_timer_set(c->heartbeat, pf_loop_now_ms(api->loop) + api->o.heartbeat_ms);
    pf_fb_builder_reset(&api->builder);
    stream_event(c, Executor_Event__root(Executor_Event__finish(
                        &api->builder, Executor_Event__put(&api->builder, &args))));
}

static void call_answer(struct call *c, const struct pf_envelope *e)
{
    int status = http_status((enum ReplyCode)e->code);

    if (status == 202 && c->is_subscribe) {
        stream_begin(c); /* its events follow */
        return;
    }
    c->api->counters.refused += status == 202 ? 0 : 1;
    if (c->is_streaming) { /* too late for a status: the end tells */
        pf_http_stream_end(c->req);
    } else if (e->text.len > 0) {
        pf_http_reply_text(c->req, status, "%.*s", PF_STR_ARG(e->text));
    } else {
        pf_http_reply(c->req, status, NULL, (struct pf_bytes){NULL, 0});
    }
    call_end(c);
}

bool pf_executor_api_effect(struct pf_executor_api *api, const struct pf_effect *e)
{
    struct pf_err err = {0};
    struct pf_msg msg;

    if ((e->peer & PEER_BIT) == 0) {
        return false;
    }
    struct call *c = pf_map_get_u64(&api->calls, &e->peer);
    if (c == NULL) {
        return true; /* the client has left */
    }
    if (e->kind == PF_EFFECT_CLOSE) {
        call_answer(c, &(struct pf_envelope){.code = ReplyCode_UNAVAILABLE});
        return true;
    }
    int rc = pf_envelope_parse(e->message, &msg, &err);
    PF_ASSERT(rc == 0); /* the core made it */
    struct pf_envelope env = pf_envelope_of(msg);
    if (env.is_reply && env.request_id == c->request_id) {
        call_answer(c, &env);
    } else if (env.body_type == Body_Executor_Event && c->is_subscribe) {
        stream_event(c, Envelope_body_as_Executor_Event(Envelope__root(msg)));
    }
    return true; /* what else is said to native peers is nothing to these */
}

/* --- life ------------------------------------------------------------------------------------- */

struct pf_executor_api *pf_executor_api_create(struct pf_loop *loop, struct pf_http *http,
                                               const struct pf_executor_api_options *options,
                                               const struct pf_executor_api_ops *ops, void *ctx)
{
    struct pf_executor_api *api = PF_NEW(struct pf_executor_api);

    api->loop = loop;
    api->o = *options;
    api->o.heartbeat_ms = options->heartbeat_ms > 0 ? options->heartbeat_ms : HEARTBEAT_MS;
    api->ops = *ops;
    api->ctx = ctx;
    pf_fb_builder_init(&api->builder, NULL);
    pf_fb_builder_init(&api->parsed, NULL);
    pf_http_alias(http, "slave(1)");
    pf_http_route(http, "/api/v1/executor", METHODS, on_request, api);
    return api;
}

void pf_executor_api_destroy(struct pf_executor_api *api)
{
    uint32_t cursor = 0;
    struct call *c;

    if (api == NULL) {
        return;
    }
    while ((c = pf_map_next(&api->calls, &cursor)) != NULL) {
        pf_timer_destroy(c->heartbeat);
        pf_free(c);
    }
    pf_map_fini(&api->calls);
    pf_fb_builder_fini(&api->builder);
    pf_fb_builder_fini(&api->parsed);
    pf_free(api);
}

const struct pf_executor_api_counters *pf_executor_api_counters(const struct pf_executor_api *api)
{
    return &api->counters;
}
