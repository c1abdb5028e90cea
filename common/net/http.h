/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server: libevent's evhttp with its traps closed (limits, methods, bounded streams, close
 * detection, gzip). Handlers are called in the delivery part of a turn (loop.h) and may answer then
 * or in any later turn. Requests of one connection are handled one after the other. */
#ifndef PF_COMMON_NET_HTTP_H
#define PF_COMMON_NET_HTTP_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/buf.h"
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "common/base/str.h"
#include "common/link/key.h"
#include "common/net/loop.h"

struct pf_http;
struct pf_http_req; /* valid until it was answered whole, or on_gone returned */

enum pf_http_method {
    PF_HTTP_GET = 1 << 0,
    PF_HTTP_HEAD = 1 << 1,
    PF_HTTP_POST = 1 << 2,
    PF_HTTP_PUT = 1 << 3,
    PF_HTTP_DELETE = 1 << 4,
    PF_HTTP_OPTIONS = 1 << 5,
    PF_HTTP_PATCH = 1 << 6,
};

enum pf_http_encoding { PF_HTTP_ENC_NONE = 0, PF_HTTP_JSON, PF_HTTP_PROTOBUF };

struct pf_http_counters {
    uint64_t requests, replies_2xx, replies_4xx, replies_5xx, streams;
    uint64_t gone;          /* clients that left before the end of an answer */
    uint64_t slow_streams;  /* cut off at their limit */
    uint64_t accept_errors, refused_accepts; /* as in peer.h */
    uint64_t bytes_in, bytes_out; /* bodies, before gzip */
    uint32_t n_conns, n_requests; /* now; connections count from their first request */
};

/* Zero = default. */
struct pf_http_options {
    uint32_t body_max_bytes;   /* PF_HTTP_BODY_MAX_BYTES; over it 413 */
    uint32_t header_max_bytes; /* PF_HTTP_HEADER_MAX_BYTES; over it 431 (over twice that, 400) */
    uint32_t stream_max_bytes; /* PF_PEER_OUT_MAX_BYTES: unsent bytes of a stream that cut it off */
    int32_t idle_ms;           /* 60000: quiet connections between requests are closed */
};

/* SIGPIPE becomes ignored in the process (libevent writes with writev). */
PF_MUST_USE int pf_http_create(struct pf_loop *loop, const struct pf_http_options *options,
                               struct pf_http **out, struct pf_err *err);
/* Open requests end without on_gone. NULL is fine. */
void pf_http_destroy(struct pf_http *http);
/* As pf_net_listen(): `out_address` gets the bound "host:port", or NULL. May be called again. */
PF_MUST_USE int pf_http_listen(struct pf_http *http, const char *address, char *out_address,
                               struct pf_err *err);
void pf_http_unlisten(struct pf_http *http);
const struct pf_http_counters *pf_http_counters(const struct pf_http *http);

/* Routes. The longest registered path that is the request's path or a leading part of it up to a
 * '/' handles it ("/api/v1" serves "/api/v1/x"; a trailing slash is no matter; "/" serves only
 * itself; "*" serves what nothing else does). 404 otherwise and for paths with "/..". Methods
 * (PF_HTTP_*) not in `methods` get 405 with Allow. GET admits HEAD. Before the match a leading
 * `/prefix` given by pf_http_alias is taken away ("master": "/master/state" is "/state";
 * percent-encoding is decoded first). */
typedef void pf_http_handler(void *ctx, struct pf_http_req *req);
void pf_http_route(struct pf_http *http, const char *path, unsigned methods,
                   pf_http_handler *handler, void *ctx);
void pf_http_alias(struct pf_http *http, const char *prefix);

/* --- reading a request: everything is borrowed while the request is valid --------------------- */

enum pf_http_method pf_http_method(const struct pf_http_req *req);
struct pf_str pf_http_path(const struct pf_http_req *req);  /* decoded, alias and final '/' gone */
struct pf_str pf_http_raw_target(const struct pf_http_req *req); /* path and query as sent */
/* The first value of a query parameter, decoded; absent if there is none. */
struct pf_str pf_http_query(const struct pf_http_req *req, const char *name);
struct pf_str pf_http_header(const struct pf_http_req *req, const char *name); /* first, any case */
struct pf_bytes pf_http_body(const struct pf_http_req *req);
struct pf_str pf_http_peer_address(const struct pf_http_req *req);
void pf_http_set_user(struct pf_http_req *req, void *user);
void *pf_http_user(const struct pf_http_req *req);

/* Content negotiation as Mesos does it (parameters behind ';' are allowed in Content-Type). They
 * return 0 or the status to answer with: 400 no Content-Type, 415 unknown, 406 not acceptable.
 * `can_protobuf`: else only JSON is known. */
int pf_http_content_type(const struct pf_http_req *req, bool can_protobuf,
                         enum pf_http_encoding *out);
int pf_http_accept(const struct pf_http_req *req, bool can_protobuf, enum pf_http_encoding *out);
/* Does the request carry `Authorization: Bearer <token of key>`? */
bool pf_http_has_token(const struct pf_http_req *req, const struct pf_key *key);

/* --- answering ------------------------------------------------------------------------------ */

/* Told (in the delivery part of a turn) when the client left before the answer was whole, or was
 * cut off. The request ends when the callback returns; it must not be answered any more. */
void pf_http_on_gone(struct pf_http_req *req, void (*on_gone)(void *ctx, struct pf_http_req *req),
                     void *ctx);
/* Adds a header to the coming answer. */
void pf_http_add_header(struct pf_http_req *req, const char *name, const char *value);
/* Answers whole; ends the request. `content_type` NULL: none (empty body). Bodies of 1 KiB or more
 * are gzipped when the client takes it. `body` is copied. */
void pf_http_reply(struct pf_http_req *req, int code, const char *content_type,
                   struct pf_bytes body);
/* An error text for people, "text/plain; charset=utf-8". */
void pf_http_reply_text(struct pf_http_req *req, int code, const char *fmt, ...) PF_PRINTF(3, 4);

/* An answer in pieces (chunked; never gzipped). Unsent bytes over stream_max_bytes cut it off. */
void pf_http_stream_begin(struct pf_http_req *req, int code, const char *content_type);
void pf_http_stream_chunk(struct pf_http_req *req, struct pf_bytes chunk);
void pf_http_stream_end(struct pf_http_req *req); /* ends the request */
size_t pf_http_stream_unsent_bytes(const struct pf_http_req *req);
/* For large answers: called (in a later turn) whenever all that was given has been written to the
 * socket, beginning with the turn after this call; give the next piece then, or end. */
void pf_http_stream_on_drain(struct pf_http_req *req,
                             void (*on_drain)(void *ctx, struct pf_http_req *req), void *ctx);

#endif
