/* SPDX-License-Identifier: Apache-2.0 */
/* The server: evhttp, its listeners and connections, routes. One request is in http_req.c. */
#include "common/net/http.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "common/net/http_internal.h"

#define IDLE_MS          60000
#define SINGLE_READ_MAX  (64u << 10)
#define SINGLE_WRITE_MAX (256u << 10)

static const struct {
    enum pf_http_method method;
    const char *name;
} methods[] = {
    {PF_HTTP_GET, "GET"},       {PF_HTTP_HEAD, "HEAD"},       {PF_HTTP_POST, "POST"},
    {PF_HTTP_PUT, "PUT"},       {PF_HTTP_DELETE, "DELETE"},   {PF_HTTP_OPTIONS, "OPTIONS"},
    {PF_HTTP_PATCH, "PATCH"},
};

/* Every method evhttp knows: the refusal is ours. */
#define ALL_METHODS                                                                     \
    (EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD | EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE | \
     EVHTTP_REQ_OPTIONS | EVHTTP_REQ_TRACE | EVHTTP_REQ_CONNECT | EVHTTP_REQ_PATCH)

/* --- connections ----------------------------------------------------------------------------- */

/* Before each connection: is a descriptor left for the next one? evhttp has this one already. */
static void http_check_fds(struct pf_http *http)
{
    struct pf_listener *l = TAILQ_FIRST(&http->listeners);
    if (l == NULL) {
        return;
    }
    int fd = fcntl(evconnlistener_get_fd(l->acceptor.lev), F_DUPFD_CLOEXEC, 0);
    bool is_short = fd < 0 || fd >= http->loop->fd_max;
    if (fd >= 0) {
        (void)close(fd); /* only its number was wanted */
    }
    TAILQ_FOREACH(l, &http->listeners, link) {
        if (is_short) {
            pf_listener_refuse(l);
        }
    }
}

static struct bufferevent *http_make_bev(struct event_base *base, void *ctx)
{
    http_check_fds(ctx);
    struct bufferevent *bev = bufferevent_socket_new(base, -1, 0);
    if (bev != NULL) {
        (void)bufferevent_set_max_single_read(bev, SINGLE_READ_MAX);   /* they only tune */
        (void)bufferevent_set_max_single_write(bev, SINGLE_WRITE_MAX);
    }
    return bev; /* NULL: evhttp tries one of its own */
}

static void conn_closed(struct evhttp_connection *evcon, void *ctx)
{
    struct pf_http_conn *conn = ctx;
    struct pf_http *http = conn->http;
    (void)evcon;
    if (conn->req != NULL && !http->is_ending) {
        pf_http_req_lost(conn->req);
    }
    (void)pf_map_del(&http->conns, &conn->evcon, sizeof conn->evcon); /* it is this one */
    http->counters.n_conns--;
    pf_free(conn);
}

static struct pf_http_conn *conn_of(struct pf_http *http, struct evhttp_connection *evcon)
{
    struct pf_http_conn *conn = pf_map_get(&http->conns, &evcon, sizeof evcon);
    if (conn == NULL) {
        conn = PF_NEW(struct pf_http_conn);
        conn->http = http;
        conn->evcon = evcon;
        pf_map_put(&http->conns, &conn->evcon, sizeof conn->evcon, conn);
        evhttp_connection_set_closecb(evcon, conn_closed, conn);
        http->counters.n_conns++;
    }
    return conn;
}

/* While a request is answered, evhttp would not notice that the client leaves. So reading goes on,
 * without its callback (which takes input in this state for a bug and exits), up to a watermark
 * that bounds pipelined bytes; and without a time-out, since an answer may take long. */
static void conn_watch(struct evhttp_connection *evcon)
{
    struct bufferevent *bev = evhttp_connection_get_bufferevent(evcon);
    bufferevent_data_cb on_write;
    bufferevent_event_cb on_event;
    void *ctx;
    bufferevent_getcb(bev, NULL, &on_write, &on_event, &ctx);
    bufferevent_setcb(bev, NULL, on_write, on_event, ctx);
    bufferevent_setwatermark(bev, EV_READ, 0, PF_HTTP_PIPELINED_BYTES);
    (void)bufferevent_set_timeouts(bev, NULL, NULL);
    (void)bufferevent_enable(bev, EV_READ); /* fails only without memory: then no detection */
}

static void http_on_request(struct evhttp_request *ev, void *ctx)
{
    struct pf_http *http = ctx;
    struct evhttp_connection *evcon = evhttp_request_get_connection(ev);
    PF_ASSERT(evcon != NULL);
    struct pf_http_conn *conn = conn_of(http, evcon);
    PF_ASSERT(conn->req == NULL);
    conn_watch(evcon);
    pf_http_req_begin(http, ev);
}

/* --- life ------------------------------------------------------------------------------------ */

static void options_default(struct pf_http_options *o)
{
    o->body_max_bytes = o->body_max_bytes != 0 ? o->body_max_bytes : PF_HTTP_BODY_MAX_BYTES;
    o->header_max_bytes =
        o->header_max_bytes != 0 ? o->header_max_bytes : PF_HTTP_HEADER_MAX_BYTES;
    o->stream_max_bytes =
        o->stream_max_bytes != 0 ? o->stream_max_bytes : PF_PEER_OUT_MAX_BYTES;
    o->idle_ms = o->idle_ms != 0 ? o->idle_ms : IDLE_MS;
}

int pf_http_create(struct pf_loop *loop, const struct pf_http_options *options,
                   struct pf_http **out, struct pf_err *err)
{
    struct evhttp *ev = evhttp_new(loop->base);
    if (ev == NULL) {
        return pf_err_set(err, PF_ENOMEM, "HTTP server");
    }
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGPIPE, &ignore, NULL); /* cannot fail for this signal */
    struct pf_http *http = PF_NEW(struct pf_http);
    http->loop = loop;
    http->ev = ev;
    if (options != NULL) {
        http->options = *options;
    }
    options_default(&http->options);
    TAILQ_INIT(&http->listeners);
    LIST_INIT(&http->reqs);
    const struct timeval idle = {http->options.idle_ms / 1000,
                                 http->options.idle_ms % 1000 * 1000};
    evhttp_set_timeout_tv(ev, &idle);
    evhttp_set_default_content_type(ev, NULL);
    evhttp_set_allowed_methods(ev, ALL_METHODS);
    evhttp_set_max_headers_size(ev, 2 * (ev_ssize_t)http->options.header_max_bytes);
    evhttp_set_max_body_size(ev, (ev_ssize_t)http->options.body_max_bytes);
    evhttp_set_bevcb(ev, http_make_bev, http);
    evhttp_set_gencb(ev, http_on_request, http);
    *out = http;
    return 0;
}

static void http_free(struct pf_http *http)
{
    http->is_ending = true;
    struct pf_http_req *req;
    while ((req = LIST_FIRST(&http->reqs)) != NULL) {
        pf_http_req_free(req);
    }
    struct pf_listener *l;
    while ((l = TAILQ_FIRST(&http->listeners)) != NULL) {
        TAILQ_REMOVE(&http->listeners, l, link);
        pf_listener_close(l, false);
    }
    evhttp_free(http->ev); /* with its connections and listeners */
    pf_map_fini(&http->conns);
    for (uint32_t i = 0; i < http->n_routes; i++) {
        pf_free(http->route[i].path);
    }
    pf_free(http->route);
    for (uint32_t i = 0; i < http->aliases.len; i++) {
        pf_free(http->aliases.at[i]);
    }
    pf_ptrs_fini(&http->aliases);
    pf_free(http);
}

void pf_http_destroy(struct pf_http *http)
{
    if (http == NULL) {
        return;
    }
    if (http->is_visiting) {
        http->is_doomed = true; /* one of its callbacks is running: it ends there */
        return;
    }
    http_free(http);
}

int pf_http_listen(struct pf_http *http, const char *address, char *out_address,
                   struct pf_err *err)
{
    struct pf_listener *l;
    int rc = pf_listener_open(http->loop, address, false, NULL, NULL,
                              &http->counters.accept_errors, &http->counters.refused_accepts,
                              out_address, &l, err);
    if (rc != 0) {
        return rc;
    }
    if (evhttp_bind_listener(http->ev, l->acceptor.lev) == NULL) {
        pf_listener_close(l, true);
        return pf_err_set(err, PF_ENOMEM, "HTTP listener");
    }
    TAILQ_INSERT_TAIL(&http->listeners, l, link);
    return 0;
}

static void bound_find(struct evhttp_bound_socket *bound, void *arg)
{
    *(struct evhttp_bound_socket **)arg = bound;
}

void pf_http_unlisten(struct pf_http *http)
{
    struct pf_listener *l;
    while ((l = TAILQ_FIRST(&http->listeners)) != NULL) {
        struct evhttp_bound_socket *bound = NULL;
        TAILQ_REMOVE(&http->listeners, l, link);
        pf_listener_close(l, false);
        evhttp_foreach_bound_socket(http->ev, bound_find, &bound);
        if (bound != NULL) {
            evhttp_del_accept_socket(http->ev, bound);
        }
    }
}

const struct pf_http_counters *pf_http_counters(const struct pf_http *http)
{
    return &http->counters;
}

/* --- routes ---------------------------------------------------------------------------------- */

void pf_http_route(struct pf_http *http, const char *path, unsigned methods_allowed,
                   pf_http_handler *handler, void *ctx)
{
    PF_ASSERT(path[0] == '/' || strcmp(path, "*") == 0);
    http->route = pf_realloc(http->route, (http->n_routes + 1) * sizeof *http->route);
    http->route[http->n_routes++] = (struct pf_http_route_entry){
        .path = pf_strdup(path),
        .methods = methods_allowed | ((methods_allowed & PF_HTTP_GET) != 0 ? PF_HTTP_HEAD : 0u),
        .handler = handler,
        .ctx = ctx,
    };
}

void pf_http_alias(struct pf_http *http, const char *prefix)
{
    pf_ptrs_push(&http->aliases, pf_strdup(prefix));
}

/* How well a route fits: the length of what it matched + 1, 0 = not at all. "*" fits anything. */
static size_t route_fit(const struct pf_http_route_entry *r, struct pf_str path)
{
    size_t len = strlen(r->path);
    if (strcmp(r->path, "*") == 0) {
        return 1;
    }
    if (len > path.len || memcmp(r->path, path.at, len) != 0) {
        return 0;
    }
    bool is_whole = len == path.len;
    bool is_parent = len > 1 && len < path.len && path.at[len] == '/';
    return is_whole || is_parent ? len + 1 : 0;
}

static void reply_not_allowed(struct pf_http_req *req, unsigned allowed)
{
    struct pf_buf names = {0};
    for (size_t i = 0; i < PF_ARRAY_LEN(methods); i++) {
        if ((allowed & (unsigned)methods[i].method) != 0) {
            pf_buf_printf(&names, "%s%s", names.len > 0 ? ", " : "", methods[i].name);
        }
    }
    pf_http_add_header(req, "Allow", pf_buf_cstr(&names));
    pf_http_reply_text(req, 405, "Expecting one of: %s", pf_buf_cstr(&names));
    pf_buf_fini(&names);
}

static size_t headers_bytes(const struct evhttp_request *ev, struct evkeyvalq *headers)
{
    size_t bytes = strlen(evhttp_request_get_uri(ev));
    struct evkeyval *h;
    TAILQ_FOREACH(h, headers, next) {
        bytes += strlen(h->key) + strlen(h->value) + 4;
    }
    return bytes;
}

void pf_http_dispatch(struct pf_http *http, struct pf_http_req *req)
{
    const struct pf_http_route_entry *best = NULL;
    size_t best_fit = 0;
    if (headers_bytes(req->ev, evhttp_request_get_input_headers(req->ev)) >
        http->options.header_max_bytes) {
        pf_http_reply_text(req, 431, "The headers are larger than %u bytes",
                           http->options.header_max_bytes);
        return;
    }
    if (req->path.at == NULL) {
        pf_http_reply_text(req, 400, "The path must begin with '/'");
        return;
    }
    bool climbs = strstr(req->path.at, "/..") != NULL;
    for (uint32_t i = 0; !climbs && i < http->n_routes; i++) {
        size_t fit = route_fit(&http->route[i], req->path);
        if (fit > best_fit) {
            best = &http->route[i];
            best_fit = fit;
        }
    }
    if (best == NULL) {
        pf_http_reply_text(req, 404, "Not found");
    } else if ((best->methods & (unsigned)req->method) == 0) {
        reply_not_allowed(req, best->methods);
    } else {
        best->handler(best->ctx, req);
    }
}
