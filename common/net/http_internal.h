/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the HTTP server. */
#ifndef PF_COMMON_NET_HTTP_INTERNAL_H
#define PF_COMMON_NET_HTTP_INTERNAL_H

#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <sys/queue.h>
#include "common/base/map.h"
#include "common/net/http.h"
#include "common/net/listener.h"

#define PF_HTTP_GZIP_MIN_BYTES  1024
#define PF_HTTP_PIPELINED_BYTES (64u << 10) /* read ahead while a request is being answered */

struct pf_http_route_entry {
    char *path; /* without a trailing '/'; "" is the root */
    unsigned methods;
    pf_http_handler *handler;
    void *ctx;
};

/* A connection that has made a request. */
struct pf_http_conn {
    struct pf_http *http;
    struct evhttp_connection *evcon; /* the key in http->conns */
    struct pf_http_req *req;         /* being answered, or NULL */
};

struct pf_http_req {
    struct pf_loop_item item;
    struct pf_http *http;
    struct pf_http_conn *conn; /* NULL: the client is gone, `ev` is ours to free */
    struct evhttp_request *ev;
    LIST_ENTRY(pf_http_req) link;
    enum pf_http_method method; /* 0: none of ours */
    char *decoded;              /* the path, owned; `path` is a part of it */
    struct pf_str path;
    struct evkeyvalq query;
    void (*on_gone)(void *ctx, struct pf_http_req *req);
    void *on_gone_ctx;
    void (*on_drain)(void *ctx, struct pf_http_req *req);
    void *on_drain_ctx;
    void *user;
    char address[PF_ADDRESS_MAX];
    bool has_query;     /* was parsed */
    bool is_handled;    /* a handler has seen it */
    bool is_streaming;
    bool is_cut;        /* to be closed by the next delivery */
    bool is_writing;    /* a chunk was given and not written whole: req_drained comes */
    bool is_drained;    /* on_drain is due */
};

struct pf_http {
    struct pf_loop *loop;
    struct pf_http_options options;
    struct evhttp *ev;
    struct pf_listeners listeners;
    struct pf_map conns; /* by the address of the evhttp_connection */
    LIST_HEAD(, pf_http_req) reqs;
    struct pf_http_route_entry *route;
    uint32_t n_routes;
    struct pf_ptrs aliases; /* char *, owned */
    struct pf_http_counters counters;
    bool is_visiting, is_doomed, is_ending;
};

/* Makes the request known and queues it for its handler. Runs inside evhttp. */
void pf_http_req_begin(struct pf_http *http, struct evhttp_request *ev);
/* Frees it, and its evhttp_request where that is ours. */
void pf_http_req_free(struct pf_http_req *req);
/* The client left. Runs inside evhttp. */
void pf_http_req_lost(struct pf_http_req *req);
/* Finds the handler, or answers 4xx. */
void pf_http_dispatch(struct pf_http *http, struct pf_http_req *req);

/* Media types and encodings, on whole header values (repeated headers joined by commas). */
int pf_http_media_of(struct pf_str content_type, bool can_protobuf, enum pf_http_encoding *out);
int pf_http_media_accepted(struct pf_str accept, bool can_protobuf, enum pf_http_encoding *out);
bool pf_http_gzip_accepted(struct pf_str accept_encoding);
/* Appends the gzip form. False: it does not compress; `out` is as before then. */
bool pf_http_gzip(struct pf_bytes body, struct pf_buf *out);

#endif
