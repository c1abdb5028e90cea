/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server as clients see it, over raw sockets: what is sent is written out here. */
#include "common/net/http.h"

#include <zlib.h>
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "tests/support/net.h"

#define REPLY_MAX (1u << 20)

struct world {
    struct pf_loop *loop;
    struct pf_http *http;
    struct pf_key key;
    char address[PF_ADDRESS_MAX];
    struct pf_http_req *held; /* of the handler that answers later */
    uint32_t n_gone, n_drains;
    size_t chunks_left, most_unsent;
    char *reply; /* all that the client has read */
    size_t len;
    bool destroys;
};

static char body_1k[1500];

static void on_echo(void *ctx, struct pf_http_req *req)
{
    (void)ctx;
    pf_http_reply(req, 200, "application/json", pf_http_body(req));
}

static void on_empty(void *ctx, struct pf_http_req *req)
{
    struct world *w = ctx;
    if (w->destroys) {
        pf_http_destroy(w->http);
        w->http = NULL;
        return;
    }
    pf_http_reply(req, 202, NULL, (struct pf_bytes){NULL, 0});
}

static void on_large(void *ctx, struct pf_http_req *req)
{
    (void)ctx;
    pf_http_reply(req, 200, "application/json",
                  (struct pf_bytes){(const uint8_t *)body_1k, sizeof body_1k});
}

static void on_tell(void *ctx, struct pf_http_req *req)
{
    struct world *w = ctx;
    enum pf_http_encoding in = PF_HTTP_ENC_NONE;
    enum pf_http_encoding out = PF_HTTP_ENC_NONE;
    int type = pf_http_content_type(req, true, &in);
    int accept = pf_http_accept(req, false, &out);
    struct pf_str q = pf_http_query(req, "q");
    pf_http_reply_text(req, 200, "path=%.*s target=%.*s q=%.*s type=%d/%d accept=%d/%d token=%d",
                       PF_STR_ARG(pf_http_path(req)), PF_STR_ARG(pf_http_raw_target(req)),
                       PF_STR_ARG(q), type, (int)in, accept, (int)out,
                       pf_http_has_token(req, &w->key));
}

static void gone(void *ctx, struct pf_http_req *req)
{
    struct world *w = ctx;
    assert_ptr_equal(pf_http_user(req), w);
    assert_true(pf_http_path(req).len > 0); /* still there */
    w->n_gone++;
    w->held = NULL;
}

static void on_hold(void *ctx, struct pf_http_req *req)
{
    struct world *w = ctx;
    w->held = req;
    pf_http_set_user(req, w);
    pf_http_on_gone(req, gone, w);
}

static void on_stream(void *ctx, struct pf_http_req *req)
{
    on_hold(ctx, req);
    pf_http_stream_begin(req, 200, "application/json");
}

static void pull(void *ctx, struct pf_http_req *req)
{
    static const uint8_t chunk[64 << 10] = {'c'};
    struct world *w = ctx;
    w->n_drains++;
    if (w->chunks_left == 0) {
        w->held = NULL;
        pf_http_stream_end(req);
        return;
    }
    w->chunks_left--;
    pf_http_stream_chunk(req, (struct pf_bytes){chunk, sizeof chunk});
    size_t unsent = pf_http_stream_unsent_bytes(req);
    w->most_unsent = unsent > w->most_unsent ? unsent : w->most_unsent;
}

static void on_pull(void *ctx, struct pf_http_req *req)
{
    on_stream(ctx, req);
    pf_http_stream_on_drain(req, pull, ctx);
}

static int setup(void **state)
{
    struct world *w = pf_alloc(sizeof *w);
    static const struct pf_http_options o = {
        .body_max_bytes = 4096, .header_max_bytes = 2048, .stream_max_bytes = 4 << 20};
    w->reply = pf_alloc(REPLY_MAX + 1);
    memset(w->key.b, 3, sizeof w->key.b);
    memset(body_1k, 'j', sizeof body_1k);
    assert_int_equal(pf_loop_create(&w->loop, NULL), 0);
    assert_int_equal(pf_http_create(w->loop, &o, &w->http, NULL), 0);
    assert_int_equal(pf_http_listen(w->http, "127.0.0.1:0", w->address, NULL), 0);
    pf_http_alias(w->http, "master");
    pf_http_alias(w->http, "slave(1)");
    pf_http_route(w->http, "/", PF_HTTP_GET, on_empty, w);
    pf_http_route(w->http, "/echo", PF_HTTP_POST | PF_HTTP_PUT, on_echo, w);
    pf_http_route(w->http, "/empty", PF_HTTP_GET | PF_HTTP_POST, on_empty, w);
    pf_http_route(w->http, "/large", PF_HTTP_GET, on_large, w);
    pf_http_route(w->http, "/tell", PF_HTTP_GET | PF_HTTP_POST, on_tell, w);
    pf_http_route(w->http, "/tell/deep", PF_HTTP_GET, on_large, w);
    pf_http_route(w->http, "/hold", PF_HTTP_GET, on_hold, w);
    pf_http_route(w->http, "/stream", PF_HTTP_GET, on_stream, w);
    pf_http_route(w->http, "/pull", PF_HTTP_GET, on_pull, w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    pf_http_destroy(w->http);
    pf_loop_destroy(w->loop);
    pf_free(w->reply);
    pf_free(w);
    return 0;
}

/* Is a whole answer at `at`? Its length by Content-Length, or a chunked one's end. */
static const char *answer_end(const char *at)
{
    const char *body = strstr(at, "\r\n\r\n");
    if (body == NULL) {
        return NULL;
    }
    body += 4;
    const char *length = strstr(at, "Content-Length: ");
    if (length != NULL && length < body) {
        const char *end = body + strtoul(length + 16, NULL, 10);
        return end;
    }
    const char *end = strstr(body, "0\r\n\r\n");
    return end != NULL ? end + 5 : NULL;
}

static bool has_answers(struct world *w, int n)
{
    w->reply[w->len] = '\0';
    const char *at = w->reply;
    for (int i = 0; i < n; i++) {
        at = answer_end(at);
        if (at == NULL || at > w->reply + w->len) {
            return false;
        }
    }
    return true;
}

static bool client_read(struct world *w, int fd)
{
    return test_read(fd, (uint8_t *)w->reply, REPLY_MAX, &w->len);
}

/* Reads until `n` answers are there; they are in w->reply. */
static void read_answers(struct world *w, int fd, int n)
{
    w->len = 0;
    test_turn_until(w->loop, (client_read(w, fd), has_answers(w, n)));
}

static void say(int fd, const char *text)
{
    test_write(fd, text, strlen(text));
}

/* One request on a connection of its own; the answer must begin with "HTTP/1.1 <code>". */
static void ask(struct world *w, const char *request, int code)
{
    char start[32];
    int fd = test_dial(w->address);
    say(fd, request);
    read_answers(w, fd, 1);
    (void)snprintf(start, sizeof start, "HTTP/1.1 %d ", code);
    if (strncmp(w->reply, start, strlen(start)) != 0) {
        print_error("asked %.60s, got %.200s\n", request, w->reply);
    }
    assert_int_equal(strncmp(w->reply, start, strlen(start)), 0);
    assert_int_equal(close(fd), 0);
}

static bool reply_has(struct world *w, const char *text)
{
    return strstr(w->reply, text) != NULL;
}

/* --- requests -------------------------------------------------------------------------------- */

static void test_http_keeps_alive_and_pipelines(void **state)
{
    struct world *w = *state;
    int fd = test_dial(w->address);
    for (int i = 0; i < 3; i++) {
        say(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
        read_answers(w, fd, 1);
        assert_true(reply_has(w, "\r\n\r\nhello"));
        assert_true(reply_has(w, "Date: "));
    }
    say(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1"
            "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n2"
            "GET /empty HTTP/1.1\r\nHost: x\r\n\r\n");
    read_answers(w, fd, 3);
    const char *one = strstr(w->reply, "\r\n\r\n1HTTP/1.1 200");
    const char *two = strstr(w->reply, "\r\n\r\n2HTTP/1.1 202");
    assert_true(one != NULL && two != NULL && one < two);
    assert_int_equal(pf_http_counters(w->http)->requests, 6);
    assert_int_equal(pf_http_counters(w->http)->n_conns, 1);
    assert_int_equal(close(fd), 0);
    test_turn_until(w->loop, pf_http_counters(w->http)->n_conns == 0);
}

/* More pipelined input than is read ahead, while a request is being answered. */
static void test_http_pipelined_input_waits(void **state)
{
    struct world *w = *state;
    static char many[200000];
    static const char one[] = "GET /empty HTTP/1.1\r\nHost: x\r\n\r\n";
    size_t n = 0;
    int fd = test_dial(w->address);
    say(fd, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    test_turn_until(w->loop, w->held != NULL);
    while ((n + 1) * (sizeof one - 1) < sizeof many) {
        memcpy(many + n++ * (sizeof one - 1), one, sizeof one - 1);
    }
    test_write(fd, many, n * (sizeof one - 1));
    for (int i = 0; i < 20; i++) {
        assert_int_equal(pf_loop_turn(w->loop, false, NULL), 0);
    }
    assert_int_equal(pf_http_counters(w->http)->requests, 1);
    pf_http_reply(w->held, 200, NULL, (struct pf_bytes){NULL, 0});
    test_turn_until(w->loop, (w->len = 0, client_read(w, fd),
                              pf_http_counters(w->http)->requests == n + 1));
    assert_int_equal(w->n_gone, 0);
    assert_int_equal(close(fd), 0);
}

static void test_http_chunked_request_is_whole(void **state)
{
    struct world *w = *state;
    ask(w, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
           "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
        200);
    assert_true(reply_has(w, "\r\n\r\nhello world"));
}

static void test_http_empty_answer_has_no_type(void **state)
{
    struct world *w = *state;
    ask(w, "GET /empty HTTP/1.1\r\nHost: x\r\n\r\n", 202);
    assert_true(reply_has(w, "Content-Length: 0\r\n"));
    assert_false(reply_has(w, "Content-Type"));
}

static void test_http_head_has_no_body(void **state)
{
    struct world *w = *state;
    int fd = test_dial(w->address);
    say(fd, "HEAD /large HTTP/1.1\r\nHost: x\r\n\r\nGET /empty HTTP/1.1\r\nHost: x\r\n\r\n");
    w->len = 0;
    test_turn_until(w->loop, (client_read(w, fd), w->reply[w->len] = '\0', reply_has(w, " 202 ")));
    assert_true(reply_has(w, "Content-Length: 1500\r\n"));
    const char *end = strstr(w->reply, "\r\n\r\n");
    assert_int_equal(strncmp(end + 4, "HTTP/1.1 202", 12), 0);
    assert_int_equal(close(fd), 0);
}

static void test_http_refuses_methods_with_allow(void **state)
{
    struct world *w = *state;
    ask(w, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n", 405);
    assert_true(reply_has(w, "Allow: POST, PUT\r\n"));
    assert_true(reply_has(w, "Content-Type: text/plain; charset=utf-8"));
    ask(w, "DELETE /large HTTP/1.1\r\nHost: x\r\n\r\n", 405);
    assert_true(reply_has(w, "Allow: GET, HEAD\r\n"));
    ask(w, "TRACE /large HTTP/1.1\r\nHost: x\r\n\r\n", 405);
    ask(w, "PATCH /large HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405);
}

static void test_http_routes_by_longest_prefix(void **state)
{
    struct world *w = *state;
    ask(w, "GET /tell HTTP/1.1\r\nHost: x\r\n\r\n", 200);
    assert_true(reply_has(w, "path=/tell "));
    ask(w, "GET /master/tell/?q=a%20b HTTP/1.1\r\nHost: x\r\n\r\n", 200);
    assert_true(reply_has(w, "path=/tell target=/master/tell/?q=a%20b q=a b "));
    ask(w, "GET /slave%281%29/tell/x HTTP/1.1\r\nHost: x\r\n\r\n", 200);
    assert_true(reply_has(w, "path=/tell/x "));
    ask(w, "GET /tell/deep/er HTTP/1.1\r\nHost: x\r\n\r\n", 200);
    assert_false(reply_has(w, "path="));
    ask(w, "GET /telling HTTP/1.1\r\nHost: x\r\n\r\n", 404);
    ask(w, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404);
    ask(w, "GET /tell/../empty HTTP/1.1\r\nHost: x\r\n\r\n", 404);
    ask(w, "GET /tell/%2e%2e/empty HTTP/1.1\r\nHost: x\r\n\r\n", 404);
    ask(w, "GET /tell%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    ask(w, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 202);
    ask(w, "GET /master HTTP/1.1\r\nHost: x\r\n\r\n", 202);
    pf_http_route(w->http, "*", PF_HTTP_GET, on_large, w);
    ask(w, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 200);
}

static void test_http_refuses_what_is_too_large(void **state)
{
    struct world *w = *state;
    char text[16384];
    (void)snprintf(text, sizeof text,
                   "GET /empty HTTP/1.1\r\nHost: x\r\nX-Pad: %0*d\r\n\r\n", 2100, 1);
    ask(w, text, 431);
    (void)snprintf(text, sizeof text,
                   "GET /empty HTTP/1.1\r\nHost: x\r\nX-Pad: %0*d\r\n\r\n", 9000, 1);
    ask(w, text, 400);
    (void)snprintf(text, sizeof text,
                   "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%0*d", 4097, 4097,
                   1);
    ask(w, text, 413);
    (void)snprintf(text, sizeof text,
                   "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "1001\r\n%0*d\r\n0\r\n\r\n",
                   4097, 1);
    ask(w, text, 413);
    (void)snprintf(text, sizeof text,
                   "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%0*d", 4096, 4096,
                   1);
    ask(w, text, 200);
}

static void test_http_survives_garbage(void **state)
{
    struct world *w = *state;
    static const char *const garbage[] = {"\x16\x03\x01\x02", "BREW / HTTP/1.1\r\n\r\n",
                                          "GET\r\n\r\n", "GET / HTTP/9.9\r\nA\r\n\r\n", "\r\n\r\n"};
    for (size_t i = 0; i < PF_ARRAY_LEN(garbage); i++) {
        int fd = test_dial(w->address);
        say(fd, garbage[i]);
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
        w->len = 0;
        test_turn_until(w->loop, client_read(w, fd));
        w->reply[w->len] = '\0';
        assert_false(reply_has(w, " 200 "));
        assert_int_equal(close(fd), 0);
    }
    ask(w, "GET /empty HTTP/1.1\r\nHost: x\r\n\r\n", 202);
}

/* --- negotiation ----------------------------------------------------------------------------- */

static void expect_types(struct world *w, const char *headers, const char *expected)
{
    char text[1024];
    (void)snprintf(text, sizeof text, "GET /tell HTTP/1.1\r\nHost: x\r\n%s\r\n", headers);
    ask(w, text, 200);
    if (!reply_has(w, expected)) {
        print_error("%s: %s\n", headers, w->reply);
    }
    assert_true(reply_has(w, expected));
}

static void test_http_negotiates_types(void **state)
{
    struct world *w = *state;
    expect_types(w, "", "type=400/0 accept=0/1");
    expect_types(w, "Content-Type: application/json\r\n", "type=0/1");
    expect_types(w, "Content-Type: application/json; charset=utf-8\r\n", "type=0/1");
    expect_types(w, "Content-Type: application/x-protobuf\r\n", "type=0/2");
    expect_types(w, "Content-Type: text/xml\r\n", "type=415/0");
    expect_types(w, "Accept: */*\r\n", "accept=0/1");
    expect_types(w, "Accept: application/*\r\n", "accept=0/1");
    expect_types(w, "Accept: text/html, application/json;q=0.5\r\n", "accept=0/1");
    expect_types(w, "Accept: text/html\r\nAccept: application/json\r\n", "accept=0/1");
    expect_types(w, "Accept: text/html\r\n", "accept=406/0");
    expect_types(w, "Accept: application/json;q=0\r\n", "accept=406/0");
    expect_types(w, "Accept: application/json;q=0.0, */*\r\n", "accept=406/0");
    expect_types(w, "Accept: */*;q=0, application/json;q=0.001\r\n", "accept=0/1");
    expect_types(w, "Accept: application/x-protobuf\r\n", "accept=406/0");
}

static void test_http_checks_the_token(void **state)
{
    struct world *w = *state;
    char token[PF_KEY_TOKEN_BYTES];
    char header[256];
    pf_key_token(&w->key, token);
    (void)snprintf(header, sizeof header, "Authorization: Bearer %s\r\n", token);
    expect_types(w, header, "token=1");
    expect_types(w, "Authorization: Bearer 00\r\n", "token=0");
    expect_types(w, "", "token=0");
}

static void test_http_gzips_large_answers(void **state)
{
    struct world *w = *state;
    ask(w, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n", 200);
    assert_false(reply_has(w, "Content-Encoding"));
    ask(w, "GET /large HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip;q=0, *\r\n\r\n", 200);
    assert_false(reply_has(w, "Content-Encoding"));
    ask(w, "POST /echo HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        200);
    assert_false(reply_has(w, "Content-Encoding")); /* too small */
    ask(w, "GET /large HTTP/1.1\r\nHost: x\r\nAccept-Encoding: deflate, gzip;q=0.5\r\n\r\n", 200);
    assert_true(reply_has(w, "Content-Encoding: gzip\r\n"));
    const char *body = strstr(w->reply, "\r\n\r\n") + 4;
    char plain[2 * sizeof body_1k];
    z_stream z = {.next_in = (Bytef *)(uintptr_t)body,
                  .avail_in = (uInt)(w->len - (size_t)(body - w->reply)),
                  .next_out = (Bytef *)plain, .avail_out = sizeof plain};
    assert_int_equal(inflateInit2(&z, 31), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.total_out, sizeof body_1k);
    assert_memory_equal(plain, body_1k, sizeof body_1k);
    assert_int_equal(inflateEnd(&z), Z_OK);
}

/* --- answers later, streams ------------------------------------------------------------------ */

static void test_http_client_that_leaves_is_noticed(void **state)
{
    struct world *w = *state;
    int fd = test_dial(w->address);
    say(fd, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    test_turn_until(w->loop, w->held != NULL);
    assert_int_equal(close(fd), 0);
    test_turn_until(w->loop, w->n_gone == 1);
    assert_int_equal(pf_http_counters(w->http)->gone, 1);
    assert_int_equal(pf_http_counters(w->http)->n_requests, 0);
    test_turn_until(w->loop, pf_http_counters(w->http)->n_conns == 0);
}

static void test_http_late_answer_arrives(void **state)
{
    struct world *w = *state;
    int fd = test_dial(w->address);
    say(fd, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    test_turn_until(w->loop, w->held != NULL);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(pf_loop_turn(w->loop, false, NULL), 0);
    }
    pf_http_add_header(w->held, "Mesos-Stream-Id", "abc");
    pf_http_add_header(w->held, "Bad", "a\r\nInjected: 1");
    pf_http_reply_text(w->held, 503, "%s", "later");
    read_answers(w, fd, 1);
    assert_true(reply_has(w, "HTTP/1.1 503 "));
    assert_true(reply_has(w, "Mesos-Stream-Id: abc\r\n"));
    assert_false(reply_has(w, "Injected"));
    assert_true(reply_has(w, "\r\n\r\nlater\n"));
    assert_int_equal(pf_http_counters(w->http)->replies_5xx, 1);
    assert_int_equal(w->n_gone, 0);
    assert_int_equal(close(fd), 0);
}

static void test_http_answer_to_the_gone_is_harmless(void **state)
{
    struct world *w = *state;
    int fd = test_dial(w->address);
    say(fd, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    test_turn_until(w->loop, w->held != NULL);
    assert_int_equal(close(fd), 0);
    pf_http_reply_text(w->held, 200, "to nobody");
    test_turn_until(w->loop, pf_http_counters(w->http)->n_conns == 0);
    assert_int_equal(w->n_gone, 0);
}

static void test_http_streams_chunk_by_chunk(void **state)
{
    struct world *w = *state;
    int fd = test_dial(w->address);
    say(fd, "GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    test_turn_until(w->loop, w->held != NULL);
    w->len = 0;
    for (int i = 0; i < 3; i++) {
        char expected[16];
        char record[8];
        (void)snprintf(record, sizeof record, "ev%d", i);
        (void)snprintf(expected, sizeof expected, "3\r\n%s\r\n", record);
        pf_http_stream_chunk(w->held, (struct pf_bytes){(const uint8_t *)record, 3});
        test_turn_until(w->loop, (client_read(w, fd), w->reply[w->len] = '\0',
                                  reply_has(w, expected)));
    }
    assert_true(reply_has(w, "Transfer-Encoding: chunked\r\n"));
    assert_false(reply_has(w, "Content-Length"));
    pf_http_stream_end(w->held);
    test_turn_until(w->loop, client_read(w, fd)); /* closed, as the client asked */
    w->reply[w->len] = '\0';
    assert_true(reply_has(w, "\r\n0\r\n\r\n"));
    assert_int_equal(pf_http_counters(w->http)->streams, 1);
    assert_int_equal(close(fd), 0);
}

static void test_http_stream_whose_client_leaves_ends(void **state)
{
    struct world *w = *state;
    int fd = test_dial(w->address);
    say(fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    test_turn_until(w->loop, w->held != NULL);
    pf_http_stream_chunk(w->held, (struct pf_bytes){(const uint8_t *)"x", 1});
    assert_int_equal(pf_loop_turn(w->loop, false, NULL), 0);
    assert_int_equal(close(fd), 0);
    test_turn_until(w->loop, w->n_gone == 1);
}

/* Nobody reads: the stream's memory is bounded and it is cut off. */
static void test_http_unread_stream_is_cut_off(void **state)
{
    static const uint8_t chunk[100000] = {'x'};
    struct world *w = *state;
    int fd = test_dial(w->address);
    say(fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    test_turn_until(w->loop, w->held != NULL);
    while (w->held != NULL) {
        for (int i = 0; i < 5 && w->held != NULL; i++) {
            pf_http_stream_chunk(w->held, (struct pf_bytes){chunk, sizeof chunk});
            size_t unsent = pf_http_stream_unsent_bytes(w->held);
            w->most_unsent = unsent > w->most_unsent ? unsent : w->most_unsent;
        }
        assert_int_equal(pf_loop_turn(w->loop, false, NULL), 0);
    }
    assert_int_equal(w->n_gone, 1);
    assert_true(w->most_unsent <= (4u << 20) + 64);
    assert_int_equal(pf_http_counters(w->http)->slow_streams, 1);
    test_turn_until(w->loop, pf_http_counters(w->http)->n_conns == 0);
    assert_int_equal(close(fd), 0);
}

/* 32 MiB by pulling: what waits in memory is one piece. */
static void test_http_pulled_stream_is_bounded(void **state)
{
    struct world *w = *state;
    int fd = test_dial(w->address);
    size_t total = 0;
    w->chunks_left = 512;
    say(fd, "GET /pull HTTP/1.1\r\nHost: x\r\n\r\n");
    test_turn_until(w->loop, w->n_drains > 2);
    for (int i = 0; i < 100; i++) { /* a reader that rests */
        assert_int_equal(pf_loop_turn(w->loop, false, NULL), 0);
    }
    assert_true(w->chunks_left > 300);
    bool is_end = false;
    test_turn_until(w->loop, (w->len = 0, client_read(w, fd), total += w->len,
                              is_end = is_end || (w->len >= 5 && memcmp(w->reply + w->len - 5,
                                                                        "0\r\n\r\n", 5) == 0)));
    assert_true(total > (size_t)512 * (64 << 10));
    assert_true(w->most_unsent <= (64 << 10) + 256); /* with the headers */
    assert_int_equal(w->chunks_left, 0);
    assert_null(w->held);
    assert_int_equal(close(fd), 0);
}

/* --- the server ------------------------------------------------------------------------------ */

static void test_http_may_be_destroyed_in_a_handler(void **state)
{
    struct world *w = *state;
    int fd = test_dial(w->address);
    int other = test_dial(w->address);
    say(other, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    test_turn_until(w->loop, w->held != NULL);
    w->destroys = true;
    say(fd, "GET /empty HTTP/1.1\r\nHost: x\r\n\r\n");
    test_turn_until(w->loop, w->http == NULL);
    w->len = 0;
    test_turn_until(w->loop, client_read(w, fd));
    assert_int_equal(w->n_gone, 0);
    assert_int_equal(close(fd) + close(other), 0);
}

static void test_http_quiet_connections_are_closed_but_not_waiting_ones(void **state)
{
    struct world *w = *state;
    pf_http_destroy(w->http);
    static const struct pf_http_options o = {.idle_ms = 40};
    assert_int_equal(pf_http_create(w->loop, &o, &w->http, NULL), 0);
    assert_int_equal(pf_http_listen(w->http, "127.0.0.1:0", w->address, NULL), 0);
    pf_http_route(w->http, "/hold", PF_HTTP_GET, on_hold, w);
    int waiting = test_dial(w->address);
    int quiet = test_dial(w->address);
    say(waiting, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    w->len = 0;
    test_turn_until(w->loop, client_read(w, quiet));
    int64_t until_ms = pf_now_ms() + 80;
    test_turn_until(w->loop, pf_now_ms() > until_ms);
    assert_int_equal(w->n_gone, 0);
    pf_http_reply_text(w->held, 200, "ok");
    test_turn_until(w->loop, client_read(w, waiting)); /* quiet again: closed */
    w->reply[w->len] = '\0';
    assert_true(reply_has(w, "ok\n"));
    assert_int_equal(close(quiet) + close(waiting), 0);
}

static void test_http_accepting_survives_emfile(void **state)
{
    struct world *w = *state;
    struct rlimit old;
    int fd = test_dial(w->address);
    int probe = dup(0);
    assert_true(probe >= 0);
    assert_int_equal(close(probe), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    struct rlimit none = {(rlim_t)probe, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    uint64_t turns = pf_loop_counters(w->loop)->turns;
    test_turn_until(w->loop, pf_http_counters(w->http)->accept_errors >= 2);
    assert_true(pf_loop_counters(w->loop)->turns - turns < 50);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    say(fd, "GET /empty HTTP/1.1\r\nHost: x\r\n\r\n");
    read_answers(w, fd, 1);
    assert_int_equal(close(fd), 0);
}

static void test_http_accepting_leaves_a_reserve(void **state)
{
    struct world *w = *state;
    int probe = dup(0);
    assert_true(probe >= 0);
    assert_int_equal(close(probe), 0);
    pf_loop_set_fd_max(w->loop, probe + 2); /* the client's end, then ours: none to spare */
    int fd = test_dial(w->address);
    test_turn_until(w->loop, pf_http_counters(w->http)->refused_accepts == 1);
    pf_loop_set_fd_max(w->loop, 1 << 20);
    ask(w, "GET /empty HTTP/1.1\r\nHost: x\r\n\r\n", 202);
    pf_http_unlisten(w->http);
    assert_int_equal(close(fd), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_http_keeps_alive_and_pipelines),
        T(test_http_pipelined_input_waits),
        T(test_http_chunked_request_is_whole),
        T(test_http_empty_answer_has_no_type),
        T(test_http_head_has_no_body),
        T(test_http_refuses_methods_with_allow),
        T(test_http_routes_by_longest_prefix),
        T(test_http_refuses_what_is_too_large),
        T(test_http_survives_garbage),
        T(test_http_negotiates_types),
        T(test_http_checks_the_token),
        T(test_http_gzips_large_answers),
        T(test_http_client_that_leaves_is_noticed),
        T(test_http_late_answer_arrives),
        T(test_http_answer_to_the_gone_is_harmless),
        T(test_http_streams_chunk_by_chunk),
        T(test_http_stream_whose_client_leaves_ends),
        T(test_http_unread_stream_is_cut_off),
        T(test_http_pulled_stream_is_bounded),
        T(test_http_may_be_destroyed_in_a_handler),
        T(test_http_quiet_connections_are_closed_but_not_waiting_ones),
        T(test_http_accepting_survives_emfile),
        T(test_http_accepting_leaves_a_reserve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
