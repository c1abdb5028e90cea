/* SPDX-License-Identifier: Apache-2.0 */
/* One request: reading it, answering it, and the client that leaves meanwhile. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "common/net/http_internal.h"

/* --- life ------------------------------------------------------------------------------------ */

static void req_deliver(struct pf_loop_item *item)
{
    struct pf_http_req *req = PF_CONTAINER(item, struct pf_http_req, item);
    struct pf_http *http = req->http;
    PF_ASSERT(!http->is_visiting);
    http->is_visiting = true;
    if (req->conn == NULL || req->is_cut) {
        http->counters.gone++;
        struct evhttp_connection *evcon = req->conn != NULL ? req->conn->evcon : NULL;
        if (req->is_handled && req->on_gone != NULL) {
            req->on_gone(req->on_gone_ctx, req);
        }
        if (!http->is_doomed) {
            pf_http_req_free(req);
            if (evcon != NULL) {
                evhttp_connection_free(evcon);
            }
        }
    } else if (!req->is_handled) {
        req->is_handled = true;
        pf_http_dispatch(http, req);
    } else if (req->is_drained && req->on_drain != NULL) {
        req->is_drained = false;
        req->on_drain(req->on_drain_ctx, req);
    }
    http->is_visiting = false;
    if (http->is_doomed) {
        pf_http_destroy(http);
    }
}

static enum pf_http_method method_of(enum evhttp_cmd_type type)
{
    switch (type) {
    case EVHTTP_REQ_GET:
        return PF_HTTP_GET;
    case EVHTTP_REQ_HEAD:
        return PF_HTTP_HEAD;
    case EVHTTP_REQ_POST:
        return PF_HTTP_POST;
    case EVHTTP_REQ_PUT:
        return PF_HTTP_PUT;
    case EVHTTP_REQ_DELETE:
        return PF_HTTP_DELETE;
    case EVHTTP_REQ_OPTIONS:
        return PF_HTTP_OPTIONS;
    case EVHTTP_REQ_PATCH:
        return PF_HTTP_PATCH;
    case EVHTTP_REQ_TRACE:
    case EVHTTP_REQ_CONNECT:
        break;
    }
    return (enum pf_http_method)0;
}

/* Decodes the path and takes away an alias and the last '/'. Leaves `path` absent if it is none. */
static void req_set_path(struct pf_http_req *req)
{
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req->ev);
    const char *raw = uri != NULL ? evhttp_uri_get_path(uri) : NULL;
    if (raw == NULL || raw[0] != '/') {
        return;
    }
    size_t len = 0;
    char *decoded = evhttp_uridecode(raw, 0, &len);
    if (decoded == NULL || strlen(decoded) != len) {
        pf_free(decoded); /* libevent allocates as we do: with malloc */
        return;
    }
    req->decoded = decoded;
    while (len > 1 && decoded[len - 1] == '/') {
        decoded[--len] = '\0';
    }
    for (uint32_t i = 0; i < req->http->aliases.len; i++) {
        const char *alias = req->http->aliases.at[i];
        size_t n = strlen(alias);
        if (strncmp(decoded + 1, alias, n) == 0 && (decoded[1 + n] == '/' || decoded[1 + n] == 0)) {
            decoded += 1 + n;
            break;
        }
    }
    req->path = pf_str(decoded[0] != '\0' ? decoded : "/");
}

void pf_http_req_begin(struct pf_http *http, struct evhttp_request *ev)
{
    struct evhttp_connection *evcon = evhttp_request_get_connection(ev);
    struct pf_http_req *req = PF_NEW(struct pf_http_req);
    pf_loop_item_init(&req->item, http->loop, PF_PRIO_NORMAL, req_deliver);
    req->http = http;
    req->conn = pf_map_get(&http->conns, &evcon, sizeof evcon);
    req->conn->req = req;
    req->ev = ev;
    req->method = method_of(evhttp_request_get_command(ev));
    TAILQ_INIT(&req->query);
    char *host = NULL;
    ev_uint16_t port = 0;
    evhttp_connection_get_peer(evcon, &host, &port);
    (void)snprintf(req->address, sizeof req->address, strchr(host, ':') ? "[%s]:%u" : "%s:%u",
                   host, port);
    req_set_path(req);
    LIST_INSERT_HEAD(&http->reqs, req, link);
    http->counters.requests++;
    http->counters.n_requests++;
    http->counters.bytes_in += evbuffer_get_length(evhttp_request_get_input_buffer(ev));
    pf_loop_queue(&req->item);
}

void pf_http_req_lost(struct pf_http_req *req)
{
    req->conn = NULL; /* evhttp has let go of `ev` */
    pf_loop_queue(&req->item);
}

void pf_http_req_free(struct pf_http_req *req)
{
    if (req->conn != NULL) {
        req->conn->req = NULL;
    } else {
        evhttp_request_free(req->ev);
    }
    if (req->has_query) {
        evhttp_clear_headers(&req->query);
    }
    pf_loop_unqueue(&req->item);
    LIST_REMOVE(req, link);
    req->http->counters.n_requests--;
    pf_free(req->decoded);
    pf_free(req);
}

/* --- reading --------------------------------------------------------------------------------- */

enum pf_http_method pf_http_method(const struct pf_http_req *req)
{
    return req->method;
}

struct pf_str pf_http_path(const struct pf_http_req *req)
{
    return req->path;
}

struct pf_str pf_http_raw_target(const struct pf_http_req *req)
{
    return pf_str(evhttp_request_get_uri(req->ev));
}

struct pf_str pf_http_query(const struct pf_http_req *req, const char *name)
{
    struct pf_http_req *r = (struct pf_http_req *)(uintptr_t)req; /* parsed at first use */
    if (!r->has_query) {
        const char *text = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(req->ev));
        r->has_query = true;
        if (text != NULL) {
            (void)evhttp_parse_query_str(text, &r->query); /* malformed: what was understood */
        }
    }
    return pf_str(evhttp_find_header(&r->query, name));
}

struct pf_str pf_http_header(const struct pf_http_req *req, const char *name)
{
    return pf_str(evhttp_find_header(evhttp_request_get_input_headers(req->ev), name));
}

struct pf_bytes pf_http_body(const struct pf_http_req *req)
{
    struct evbuffer *body = evhttp_request_get_input_buffer(req->ev);
    size_t len = evbuffer_get_length(body);
    return (struct pf_bytes){len > 0 ? evbuffer_pullup(body, -1) : NULL, (uint32_t)len};
}

struct pf_str pf_http_peer_address(const struct pf_http_req *req)
{
    return pf_str(req->address);
}

void pf_http_set_user(struct pf_http_req *req, void *user)
{
    req->user = user;
}

void *pf_http_user(const struct pf_http_req *req)
{
    return req->user;
}

/* All values of a header, joined by commas; absent if there is none. */
static bool header_join(const struct pf_http_req *req, const char *name, struct pf_buf *out)
{
    bool is_there = false;
    struct evkeyval *h;
    TAILQ_FOREACH(h, evhttp_request_get_input_headers(req->ev), next) {
        if (evutil_ascii_strcasecmp(h->key, name) == 0) {
            pf_buf_printf(out, "%s%s", is_there ? "," : "", h->value);
            is_there = true;
        }
    }
    return is_there;
}

int pf_http_content_type(const struct pf_http_req *req, bool can_protobuf,
                         enum pf_http_encoding *out)
{
    return pf_http_media_of(pf_http_header(req, "Content-Type"), can_protobuf, out);
}

int pf_http_accept(const struct pf_http_req *req, bool can_protobuf, enum pf_http_encoding *out)
{
    struct pf_buf all = {0};
    bool is_there = header_join(req, "Accept", &all);
    int code = pf_http_media_accepted(pf_str(is_there ? pf_buf_cstr(&all) : NULL), can_protobuf,
                                      out);
    pf_buf_fini(&all);
    return code;
}

bool pf_http_has_token(const struct pf_http_req *req, const struct pf_key *key)
{
    return pf_key_token_ok(key, pf_http_header(req, "Authorization"));
}

/* --- answering ------------------------------------------------------------------------------- */

void pf_http_on_gone(struct pf_http_req *req, void (*on_gone)(void *ctx, struct pf_http_req *req),
                     void *ctx)
{
    req->on_gone = on_gone;
    req->on_gone_ctx = ctx;
}

void pf_http_add_header(struct pf_http_req *req, const char *name, const char *value)
{
    if (req->conn != NULL) {
        (void)evhttp_add_header(evhttp_request_get_output_headers(req->ev), name,
                                value); /* refuses line breaks */
    }
}

static struct bufferevent *req_bev(const struct pf_http_req *req)
{
    return evhttp_connection_get_bufferevent(req->conn->evcon);
}

static void req_count(struct pf_http_req *req, int code)
{
    struct pf_http_counters *c = &req->http->counters;
    c->replies_2xx += code < 300 ? 1 : 0;
    c->replies_4xx += code >= 400 && code < 500 ? 1 : 0;
    c->replies_5xx += code >= 500 ? 1 : 0;
}

/* The connection is evhttp's again: it may read the next request, and a quiet one times out. */
static void req_unwatch(struct pf_http_req *req)
{
    const struct timeval idle = {req->http->options.idle_ms / 1000,
                                 req->http->options.idle_ms % 1000 * 1000};
    bufferevent_setwatermark(req_bev(req), EV_READ, 0, 0);
    (void)bufferevent_set_timeouts(req_bev(req), &idle, &idle); /* fails only without memory */
}

static bool req_is_lost(const struct pf_http_req *req)
{
    return req->conn == NULL || req->is_cut;
}

/* Ends a request whose client is gone and whose owner was not told: answering it is in order. */
static void req_end_lost(struct pf_http_req *req)
{
    struct evhttp_connection *evcon = req->conn != NULL ? req->conn->evcon : NULL;
    req->http->counters.gone++;
    pf_http_req_free(req);
    if (evcon != NULL) {
        evhttp_connection_free(evcon);
    }
}

static const char *reason_of(int code)
{
    return code == 431 ? "Request Header Fields Too Large" : NULL; /* evhttp knows the others */
}

static bool req_takes_gzip(const struct pf_http_req *req)
{
    struct pf_buf all = {0};
    bool takes = header_join(req, "Accept-Encoding", &all) &&
                 pf_http_gzip_accepted(pf_str(pf_buf_cstr(&all)));
    pf_buf_fini(&all);
    return takes;
}

void pf_http_reply(struct pf_http_req *req, int code, const char *content_type,
                   struct pf_bytes body)
{
    PF_ASSERT(!req->is_streaming);
    req_count(req, code);
    if (req_is_lost(req)) {
        req_end_lost(req);
        return;
    }
    struct pf_buf packed = {0};
    req->http->counters.bytes_out += body.len;
    if (content_type != NULL) {
        pf_http_add_header(req, "Content-Type", content_type);
    }
    if (body.len >= PF_HTTP_GZIP_MIN_BYTES && req_takes_gzip(req) && pf_http_gzip(body, &packed)) {
        pf_http_add_header(req, "Content-Encoding", "gzip");
        pf_http_add_header(req, "Vary", "Accept-Encoding");
        body = (struct pf_bytes){packed.data, (uint32_t)packed.len};
    }
    if (req->method == PF_HTTP_HEAD) { /* evhttp would send the body, and no length */
        char length[16];
        (void)snprintf(length, sizeof length, "%u", body.len);
        pf_http_add_header(req, "Content-Length", length);
        body.len = 0;
    }
    struct evbuffer *out = evbuffer_new();
    PF_ASSERT(out != NULL);
    int rc = evbuffer_add(out, body.at, body.len);
    PF_ASSERT(rc == 0);
    pf_buf_fini(&packed);
    req_unwatch(req);
    struct evhttp_request *ev = req->ev;
    pf_http_req_free(req);
    evhttp_send_reply(ev, code, reason_of(code), out);
    evbuffer_free(out);
}

void pf_http_reply_text(struct pf_http_req *req, int code, const char *fmt, ...)
{
    struct pf_buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    pf_buf_vprintf(&text, fmt, ap);
    va_end(ap);
    pf_buf_add_byte(&text, '\n');
    pf_http_reply(req, code, "text/plain; charset=utf-8",
                  (struct pf_bytes){text.data, (uint32_t)text.len});
    pf_buf_fini(&text);
}

/* --- streams --------------------------------------------------------------------------------- */

void pf_http_stream_begin(struct pf_http_req *req, int code, const char *content_type)
{
    PF_ASSERT(!req->is_streaming);
    req->is_streaming = true;
    req_count(req, code);
    req->http->counters.streams++;
    if (req_is_lost(req)) {
        return;
    }
    if (content_type != NULL) {
        pf_http_add_header(req, "Content-Type", content_type);
    }
    evhttp_send_reply_start(req->ev, code, reason_of(code));
}

static void req_drained(struct evhttp_connection *evcon, void *ctx)
{
    struct pf_http_conn *conn = ctx;
    (void)evcon;
    if (conn->req != NULL && conn->req->is_streaming) {
        conn->req->is_writing = false;
        conn->req->is_drained = true;
        pf_loop_queue(&conn->req->item);
    }
}

void pf_http_stream_chunk(struct pf_http_req *req, struct pf_bytes chunk)
{
    PF_ASSERT(req->is_streaming);
    if (req_is_lost(req) || chunk.len == 0) {
        return;
    }
    if (req->method == PF_HTTP_HEAD) {
        req_drained(req->conn->evcon, req->conn); /* nothing is written */
        return;
    }
    size_t unsent = pf_http_stream_unsent_bytes(req);
    if (unsent + chunk.len > req->http->options.stream_max_bytes) {
        req->http->counters.slow_streams++;
        req->is_cut = true;
        pf_loop_queue(&req->item);
        return;
    }
    struct evbuffer *out = evbuffer_new();
    PF_ASSERT(out != NULL);
    int rc = evbuffer_add(out, chunk.at, chunk.len);
    PF_ASSERT(rc == 0);
    req->http->counters.bytes_out += chunk.len;
    req->is_drained = false;
    req->is_writing = true;
    evhttp_send_reply_chunk_with_cb(req->ev, out, req_drained, req->conn);
    evbuffer_free(out);
}

void pf_http_stream_end(struct pf_http_req *req)
{
    PF_ASSERT(req->is_streaming);
    if (req_is_lost(req)) {
        req_end_lost(req);
        return;
    }
    req_unwatch(req);
    struct evhttp_request *ev = req->ev;
    pf_http_req_free(req);
    evhttp_send_reply_end(ev);
}

size_t pf_http_stream_unsent_bytes(const struct pf_http_req *req)
{
    return req->conn != NULL ? evbuffer_get_length(bufferevent_get_output(req_bev(req))) : 0;
}

void pf_http_stream_on_drain(struct pf_http_req *req,
                             void (*on_drain)(void *ctx, struct pf_http_req *req), void *ctx)
{
    req->on_drain = on_drain;
    req->on_drain_ctx = ctx;
    if (on_drain != NULL && !req_is_lost(req) && !req->is_writing) {
        req->is_drained = true;
        pf_loop_queue(&req->item);
    }
}
