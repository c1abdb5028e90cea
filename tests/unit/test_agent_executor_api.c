/* SPDX-License-Identifier: Apache-2.0 */
/* The executor API over raw sockets, in front of a core of this test's own: which calls reach it,
 * and what its answers become. */
#include "agent/daemon/executor_api.h"

#include "common/base/alloc.h"
#include "common/link/envelope.h"
#include "schemas/proffer.h"
#include "tests/support/net.h"

#define IDS       "\"executor_id\":{\"value\":\"e1\"},\"framework_id\":{\"value\":\"f1\"}"
#define SUBSCRIBE "{\"type\":\"SUBSCRIBE\"," IDS ",\"subscribe\":{}}"
#define MESSAGE   "{\"type\":\"MESSAGE\"," IDS ",\"message\":{\"data\":\"aGk=\"}}"
#define UUID      "\"uuid\":\"AAECAwQFBgcICQoLDA0ODw==\""
#define UPDATE(status)                                                                             \
    "{\"type\":\"UPDATE\"," IDS ",\"update\":{\"status\":{\"task_id\":{\"value\":\"t1\"}," status  \
    "}}}"
#define JSON_TYPE "Content-Type: application/json\r\n"

enum { TEXT_MAX = 64 << 10 };

struct world {
    struct pf_loop *loop;
    struct pf_http *http;
    struct pf_executor_api *api;
    char address[PF_ADDRESS_MAX];
    const char *problem;
    struct pf_fb_builder builder;
    /* what the core was told of last */
    uint32_t n_up, n_down, n_calls;
    uint64_t peer, request_id, gone_peer;
    int type;
    char token[64];
    bool is_http;
    /* a client */
    int fd;
    char *text;
    size_t len;
    bool is_closed;
};

/* --- the core --------------------------------------------------------------------------------- */

static void on_event(void *ctx, struct pf_agent_event *ev)
{
    struct world *w = ctx;

    if (ev->type == PF_AGENT_PEER_DOWN) {
        w->n_down++;
        w->gone_peer = ev->peer;
        return;
    }
    if (ev->type == PF_AGENT_PEER_UP) {
        struct Hello h = Envelope_body_as_Hello(Envelope__root(ev->peer_up.hello));
        assert_int_equal(Hello_kind(h), PeerKind_EXECUTOR);
        assert_false(ev->peer_up.trusted);
        assert_false(ev->peer_up.is_master);
        w->n_up++;
        w->peer = ev->peer;
        w->token[0] = '\0';
        w->is_http = false;
        for (uint32_t i = 0; i < Hello_capabilities__len(h); i++) {
            struct pf_str c = Hello_capabilities__at(h, i);
            w->is_http = w->is_http || pf_str_is(c, "http");
            if (pf_str_has_prefix(c, PF_STR("token:"))) {
                (void)snprintf(w->token, sizeof w->token, "%.*s", (int)c.len - 6, c.at + 6);
            }
        }
        return;
    }
    assert_int_equal(ev->type, PF_AGENT_MESSAGE);
    assert_int_equal(ev->peer, w->peer);
    struct Envelope e = Envelope__root(ev->message);
    struct Executor_Call call = Envelope_body_as_Executor_Call(e);
    assert_true(pf_str_is(ExecutorID_value(Executor_Call_executor_id(call)), "e1"));
    w->n_calls++;
    w->request_id = Envelope_request_id(e);
    assert_int_not_equal(w->request_id, 0);
    w->type = (int)Executor_Call_type(call);
}

static const char *problem(void *ctx)
{
    struct world *w = ctx;

    return w->problem;
}

static void send_to(struct world *w, uint64_t peer, struct pf_msg m)
{
    const struct pf_effect e = {.kind = PF_EFFECT_SEND, .peer = peer, .message = pf_msg_bytes(m)};

    assert_true(pf_executor_api_effect(w->api, &e));
}

static void core_replies(struct world *w, uint8_t code, const char *text)
{
    pf_fb_builder_reset(&w->builder);
    send_to(w, w->peer, pf_envelope_reply(&w->builder, w->request_id, code, pf_str(text)));
}

static void core_sends(struct world *w, const struct Executor_Event__args *args)
{
    pf_fb_builder_reset(&w->builder);
    struct pf_ref body = Executor_Event__put(&w->builder, args);
    send_to(w, w->peer,
            pf_envelope_finish(&w->builder, &(struct pf_envelope){.body_type = Body_Executor_Event},
                               body));
}

static void core_closes(struct world *w, uint64_t peer)
{
    const struct pf_effect e = {.kind = PF_EFFECT_CLOSE, .peer = peer};

    assert_true(pf_executor_api_effect(w->api, &e));
}

/* --- the client ------------------------------------------------------------------------------- */

static void begin(struct world *w, const struct pf_executor_api_options *o)
{
    static const struct pf_executor_api_ops ops = {on_event, problem};

    assert_int_equal(pf_loop_create(&w->loop, NULL), 0);
    assert_int_equal(pf_http_create(w->loop, NULL, &w->http, NULL), 0);
    assert_int_equal(pf_http_listen(w->http, "127.0.0.1:0", w->address, NULL), 0);
    w->api = pf_executor_api_create(w->loop, w->http, o, &ops, w);
}

static int setup(void **state)
{
    struct world *w = PF_NEW(struct world);

    w->fd = -1;
    w->text = pf_alloc(TEXT_MAX);
    pf_fb_builder_init(&w->builder, NULL);
    begin(w, &(struct pf_executor_api_options){0});
    *state = w;
    return 0;
}

static void end(struct world *w)
{
    if (w->fd >= 0) {
        assert_int_equal(close(w->fd), 0);
        w->fd = -1;
    }
    pf_http_destroy(w->http);
    pf_executor_api_destroy(w->api);
    pf_loop_destroy(w->loop);
}

static int teardown(void **state)
{
    struct world *w = *state;

    end(w);
    pf_fb_builder_fini(&w->builder);
    pf_free(w->text);
    pf_free(w);
    return 0;
}

static void ask(struct world *w, const char *method, const char *path, const char *headers,
                const char *body)
{
    char request[4096];

    if (w->fd >= 0) {
        assert_int_equal(close(w->fd), 0);
    }
    w->fd = test_dial(w->address);
    w->len = 0;
    w->is_closed = false;
    memset(w->text, 0, TEXT_MAX);
    int n = snprintf(request, sizeof request,
                     "%s %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %zu\r\n\r\n%s", method, path,
                     headers, strlen(body), body);
    test_write(w->fd, request, (size_t)n);
}

static bool has_read(struct world *w, const char *what)
{
    w->is_closed = test_read(w->fd, (uint8_t *)w->text, TEXT_MAX - 1, &w->len) || w->is_closed;
    return strstr(w->text, what) != NULL;
}

static void expect(struct world *w, int status, const char *says)
{
    char line[32];

    (void)snprintf(line, sizeof line, "HTTP/1.1 %d ", status);
    test_turn_until(w->loop, has_read(w, "\r\n\r\n"));
    if (strncmp(w->text, line, strlen(line)) != 0) {
        fail_msg("not %d: %s", status, w->text);
    }
    test_turn_until(w->loop, has_read(w, says));
}

static void post(struct world *w, const char *body)
{
    ask(w, "POST", "/api/v1/executor", JSON_TYPE, body);
}

/* One that gets as far as the core. */
static void reach(struct world *w, const char *body)
{
    uint32_t before = w->n_calls;

    post(w, body);
    test_turn_until(w->loop, w->n_calls > before);
}

static const struct pf_executor_api_counters *counters(const struct world *w)
{
    return pf_executor_api_counters(w->api);
}

/* --- refused before the core ------------------------------------------------------------------ */

static void test_executor_api_order_of_checks(void **state)
{
    struct world *w = *state;

    w->problem = "Agent has not finished recovery";
    ask(w, "GET", "/api/v1/executor", "", "");
    expect(w, 503, "recovery");
    w->problem = NULL;
    ask(w, "GET", "/api/v1/executor", "", "");
    expect(w, 405, "Allow: POST");
    ask(w, "POST", "/api/v1/executor", "", "{}");
    expect(w, 400, "Content-Type");
    ask(w, "POST", "/api/v1/executor", "Content-Type: text/plain\r\n", "{}");
    expect(w, 415, "application/json");
    post(w, "{\"type\":");
    expect(w, 400, "parse");
    post(w, "{\"type\":\"SUBSCRIBE\",\"executor_id\":{\"value\":\"e1\"}}");
    expect(w, 400, "framework_id");
    post(w, "{" IDS "}");
    expect(w, 400, "Expecting 'type' to be present");
    ask(w, "POST", "/api/v1/executor", JSON_TYPE "Accept: text/html\r\n",
        "{\"type\":\"SUBSCRIBE\"," IDS "}");
    expect(w, 400, "Expecting 'subscribe' to be present"); /* before 406 */
    ask(w, "POST", "/api/v1/executor", JSON_TYPE "Accept: text/html\r\n", SUBSCRIBE);
    expect(w, 406, "Accept");
    post(w, "{\"type\":\"HEARTBEAT\"," IDS "}");
    expect(w, 202, "Content-Length: 0");
    assert_int_equal(w->n_up, 0);
    assert_int_equal(w->n_calls, 0);
}

static void test_executor_api_updates_are_validated(void **state)
{
    struct world *w = *state;

    post(w, "{\"type\":\"UPDATE\"," IDS "}");
    expect(w, 400, "Expecting 'update' to be present");
    post(w, UPDATE("\"state\":\"TASK_RUNNING\",\"source\":\"SOURCE_EXECUTOR\""));
    expect(w, 400, "Expecting 'uuid' to be present");
    post(w, UPDATE("\"state\":\"TASK_RUNNING\",\"source\":\"SOURCE_EXECUTOR\",\"uuid\":\"AAA=\""));
    expect(w, 400, "Not a valid UUID");
    post(w, UPDATE("\"state\":\"TASK_RUNNING\",\"source\":\"SOURCE_EXECUTOR\"," UUID
                   ",\"executor_id\":{\"value\":\"e2\"}"));
    expect(w, 400, "does not match");
    post(w, UPDATE("\"state\":\"TASK_RUNNING\"," UUID));
    expect(w, 400, "SOURCE_EXECUTOR");
    post(w, UPDATE("\"state\":\"TASK_STAGING\",\"source\":\"SOURCE_EXECUTOR\"," UUID));
    expect(w, 400, "TASK_STAGING");
    post(w, "{\"type\":\"MESSAGE\"," IDS "}");
    expect(w, 400, "Expecting 'message' to be present");
    assert_int_equal(w->n_calls, 0);
    reach(w, UPDATE("\"state\":\"TASK_RUNNING\",\"source\":\"SOURCE_EXECUTOR\"," UUID));
    assert_int_equal(w->type, Executor_Call_Type_UPDATE);
    core_replies(w, ReplyCode_OK, NULL);
    expect(w, 202, "Content-Length: 0");
}

static void test_executor_api_asks_for_the_token_when_told_to(void **state)
{
    struct world *w = *state;

    end(w);
    begin(w, &(struct pf_executor_api_options){.authenticates = true});
    post(w, MESSAGE);
    expect(w, 401, "WWW-Authenticate: Bearer");
    ask(w, "POST", "/api/v1/executor", JSON_TYPE "Authorization: Bearer s3cret\r\n", MESSAGE);
    test_turn_until(w->loop, w->n_calls == 1);
    assert_string_equal(w->token, "s3cret");
}

/* --- answered by the core --------------------------------------------------------------------- */

static void test_executor_api_codes_of_the_core(void **state)
{
    static const struct {
        uint8_t code;
        int status;
    } rows[] = {
        {ReplyCode_OK, 202},          {ReplyCode_ACCEPTED, 202},    {ReplyCode_BAD_REQUEST, 400},
        {ReplyCode_NOT_FOUND, 400},   {ReplyCode_FORBIDDEN, 403},   {ReplyCode_NOT_SUBSCRIBED, 403},
        {ReplyCode_CONFLICT, 409},    {ReplyCode_TOO_LARGE, 413},   {ReplyCode_TOO_MANY, 429},
        {ReplyCode_UNSUPPORTED, 501}, {ReplyCode_UNAVAILABLE, 503},
    };
    struct world *w = *state;

    for (size_t i = 0; i < PF_ARRAY_LEN(rows); i++) {
        reach(w, MESSAGE);
        assert_int_equal(w->type, Executor_Call_Type_MESSAGE);
        assert_true(w->is_http);
        assert_true(w->peer > UINT64_MAX / 2); /* no peer of the net has such a number */
        core_replies(w, rows[i].code, rows[i].status == 202 ? NULL : "because");
        expect(w, rows[i].status, rows[i].status == 202 ? "" : "because");
        assert_int_equal(w->n_down, i + 1);
        assert_int_equal(w->gone_peer, w->peer);
        assert_int_equal(counters(w)->n_calls, 0);
    }
    core_replies(w, ReplyCode_OK, NULL); /* once more, to one that has gone */
}

static void test_executor_api_subscription_is_a_stream_of_records(void **state)
{
    struct world *w = *state;

    ask(w, "POST", "/slave(1)/api/v1/executor",
        JSON_TYPE "Accept: application/json\r\nConnection: close\r\n", SUBSCRIBE);
    test_turn_until(w->loop, w->n_calls == 1);
    core_replies(w, ReplyCode_OK, NULL);
    expect(w, 200, "Transfer-Encoding: chunked");
    assert_non_null(strstr(w->text, "Content-Type: application/json\r\n"));
    core_sends(w, &(struct Executor_Event__args){.type = PF_OPT(Executor_Event_Type_SHUTDOWN)});
    test_turn_until(w->loop, has_read(w, "\r\n16\r\n19\n{\"type\":\"SHUTDOWN\"}\r\n") ||
                                 has_read(w, "19\n{\"type\":\"SHUTDOWN\"}"));
    assert_int_equal(counters(w)->n_streams, 1);
    uint64_t stream = w->peer;
    reach(w, MESSAGE); /* on another connection; the stream's client hangs up in ask() */
    test_turn_until(w->loop, w->n_down == 1);
    assert_int_equal(w->gone_peer, stream);
    assert_int_equal(counters(w)->n_streams, 0);
    core_replies(w, ReplyCode_OK, NULL);
}

static void test_executor_api_events_begin_a_stream_without_a_reply(void **state)
{
    struct world *w = *state;

    reach(w, SUBSCRIBE);
    core_sends(w, &(struct Executor_Event__args){.type = PF_OPT(Executor_Event_Type_SHUTDOWN)});
    core_closes(w, w->peer);
    expect(w, 200, "SHUTDOWN");
    test_turn_until(w->loop, has_read(w, "\r\n0\r\n\r\n"));
    assert_int_equal(w->n_down, 1);
}

static void test_executor_api_refused_subscription_has_a_code(void **state)
{
    struct world *w = *state;

    reach(w, SUBSCRIBE);
    core_replies(w, ReplyCode_NOT_FOUND, "Executor cannot be found");
    expect(w, 400, "Executor cannot be found");
    reach(w, SUBSCRIBE);
    core_closes(w, w->peer);
    expect(w, 503, "");
    assert_int_equal(w->n_down, 2);
}

static void test_executor_api_streams_have_a_pulse(void **state)
{
    struct world *w = *state;

    end(w);
    begin(w, &(struct pf_executor_api_options){.heartbeat_ms = 10});
    reach(w, SUBSCRIBE);
    core_replies(w, ReplyCode_OK, NULL);
    test_turn_until(w->loop, has_read(w, "20\n{\"type\":\"HEARTBEAT\"}"));
    char *first = strstr(w->text, "HEARTBEAT");
    test_turn_until(w->loop, has_read(w, "") && strstr(first + 1, "HEARTBEAT") != NULL);
}

static void test_executor_api_knows_its_own_peers_only(void **state)
{
    struct world *w = *state;
    const struct pf_effect e = {.kind = PF_EFFECT_CLOSE, .peer = 7};

    assert_false(pf_executor_api_effect(w->api, &e));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_executor_api_order_of_checks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_executor_api_updates_are_validated, setup, teardown),
        cmocka_unit_test_setup_teardown(test_executor_api_asks_for_the_token_when_told_to, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_executor_api_codes_of_the_core, setup, teardown),
        cmocka_unit_test_setup_teardown(test_executor_api_subscription_is_a_stream_of_records,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_executor_api_events_begin_a_stream_without_a_reply,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_executor_api_refused_subscription_has_a_code, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_executor_api_streams_have_a_pulse, setup, teardown),
        cmocka_unit_test_setup_teardown(test_executor_api_knows_its_own_peers_only, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
