/* SPDX-License-Identifier: Apache-2.0 */
/* Probes against small servers, each a child process that says what a test wants and no more. */
#include "common/net/probe.h"

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include "common/base/alloc.h"
#include "tests/support/net.h"

enum { TIMEOUT_MS = 10000 };

struct world {
    struct pf_loop *loop;
    struct pf_probes *probes;
    uint32_t n_told;
    struct pf_probe_result last;
    char text[256];
    pid_t server;
};

static int setup(void **state)
{
    struct world *w = PF_NEW(struct world);

    (void)signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pf_loop_create(&w->loop, NULL), 0);
    w->probes = pf_probes_create(w->loop, 4);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    pf_probes_destroy(w->probes);
    pf_loop_destroy(w->loop);
    if (w->server > 0) {
        assert_int_equal(kill(w->server, SIGKILL), 0);
        assert_int_equal(waitpid(w->server, NULL, 0), w->server);
    }
    pf_free(w);
    return 0;
}

/* --- servers ---------------------------------------------------------------------------------- */

static int listener(int family, uint16_t *out_port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    socklen_t len = family == AF_INET ? sizeof v4 : sizeof v6;
    struct sockaddr *at = family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, at, len), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, at, &len), 0);
    *out_port = ntohs(family == AF_INET ? v4.sin_port : v6.sin6_port);
    return fd;
}

static void serve_plain(int fd, const char *answer)
{
    char ask[2048] = {0};
    size_t n = 0;

    while (strstr(ask, "\r\n\r\n") == NULL) {
        ssize_t got = read(fd, ask + n, sizeof ask - 1 - n);
        if (got <= 0) {
            return;
        }
        n += (size_t)got;
    }
    if (strstr(ask, "GET /ping?x=1 HTTP/1.1\r\nHost: ") != ask) {
        answer = "HTTP/1.1 400 Bad\r\n\r\n";
    }
    for (; *answer != '\0'; answer++) { /* byte by byte: the worst of networks */
        if (write(fd, answer, 1) != 1) {
            return;
        }
    }
}

static SSL_CTX *tls_server(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();

    (void)ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    (void)X509_gmtime_adj(X509_getm_notBefore(cert), -7200); /* long run out */
    (void)X509_gmtime_adj(X509_getm_notAfter(cert), -3600);
    (void)X509_set_pubkey(cert, key);
    if (X509_sign(cert, key, EVP_sha256()) == 0 || SSL_CTX_use_certificate(ctx, cert) != 1 ||
        SSL_CTX_use_PrivateKey(ctx, key) != 1) {
        _exit(1);
    }
    return ctx;
}

static void serve_tls(SSL_CTX *ctx, int fd, const char *answer)
{
    SSL *tls = SSL_new(ctx);
    char ask[2048];

    if (SSL_set_fd(tls, fd) == 1 && SSL_accept(tls) == 1 && SSL_read(tls, ask, sizeof ask) > 0) {
        (void)SSL_write(tls, answer, (int)strlen(answer));
        (void)SSL_shutdown(tls);
    }
    SSL_free(tls);
}

/* Answers everybody with `answer`; NULL: takes connections and says nothing. */
static uint16_t server(struct world *w, int family, bool is_tls, const char *answer)
{
    uint16_t port;
    int fd = listener(family, &port);

    w->server = fork();
    assert_true(w->server >= 0);
    if (w->server == 0) {
        SSL_CTX *ctx = is_tls ? tls_server() : NULL;
        for (;;) {
            int c = accept(fd, NULL, NULL);
            if (c < 0) {
                _exit(1);
            }
            if (answer == NULL) {
                continue; /* left open */
            }
            if (is_tls) {
                serve_tls(ctx, c, answer);
            } else {
                serve_plain(c, answer);
            }
            (void)close(c);
        }
    }
    assert_int_equal(close(fd), 0);
    return port;
}

/* --- asking ----------------------------------------------------------------------------------- */

static void on_done(void *ctx, const struct pf_probe_result *r)
{
    struct world *w = ctx;

    w->n_told++;
    w->last = *r;
    (void)snprintf(w->text, sizeof w->text, "%s", r->text);
}

static void probe(struct world *w, const struct pf_probe_options *o)
{
    uint32_t before = w->n_told;

    (void)pf_probe_start(w->probes, o, on_done, w);
    assert_int_equal(w->n_told, before); /* never inside */
    test_turn_until(w->loop, w->n_told > before);
    assert_int_equal(pf_probes_n(w->probes), 0);
}

static void expect_failure(struct world *w, const char *says)
{
    assert_false(w->last.is_done);
    if (strstr(w->text, says) == NULL) {
        fail_msg("'%s' does not say '%s'", w->text, says);
    }
}

static void test_probe_connects(void **state)
{
    struct world *w = *state;
    struct pf_probe_options o = {.timeout_ms = TIMEOUT_MS};

    o.port = server(w, AF_INET, false, NULL);
    probe(w, &o);
    assert_true(w->last.is_done);
    assert_string_equal(w->text, "");
    o.is_ipv6 = true; /* nobody is there */
    probe(w, &o);
    expect_failure(w, "connect");
}

static void test_probe_connects_to_ipv6(void **state)
{
    struct world *w = *state;
    struct pf_probe_options o = {.timeout_ms = TIMEOUT_MS, .is_ipv6 = true};

    o.port = server(w, AF_INET6, false, NULL);
    probe(w, &o);
    assert_true(w->last.is_done);
}

static void test_probe_refused_says_so(void **state)
{
    struct world *w = *state;
    struct pf_probe_options o = {.timeout_ms = TIMEOUT_MS};
    uint16_t port;
    int fd = listener(AF_INET, &port);

    assert_int_equal(close(fd), 0);
    o.port = port;
    probe(w, &o);
    expect_failure(w, "refused");
}

static void test_probe_reads_the_status(void **state)
{
    struct world *w = *state;
    struct pf_probe_options o = {
        .is_http = true, .path = PF_STR("ping?x=1"), .timeout_ms = TIMEOUT_MS};

    o.port = server(w, AF_INET, false,
                    "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 503 No\r\n\r\n");
    probe(w, &o);
    assert_true(w->last.is_done);
    assert_int_equal(w->last.status_code, 503);
    o.path = PF_STR("/other"); /* the server sees what was asked for */
    probe(w, &o);
    assert_int_equal(w->last.status_code, 400);
}

static void test_probe_does_not_check_certificates(void **state)
{
    struct world *w = *state;
    struct pf_probe_options o = {.is_http = true, .is_tls = true, .timeout_ms = TIMEOUT_MS};

    o.port = server(w, AF_INET, true, "HTTP/1.0 204\r\n\r\n");
    probe(w, &o);
    assert_string_equal(w->text, "");
    assert_true(w->last.is_done);
    assert_int_equal(w->last.status_code, 204);
    o.is_tls = false; /* plain text to a TLS server */
    probe(w, &o);
    assert_false(w->last.is_done);
}

static void test_probe_tls_to_plain_fails(void **state)
{
    struct world *w = *state;
    struct pf_probe_options o = {.is_http = true, .is_tls = true, .timeout_ms = 2000};

    o.port = server(w, AF_INET, false, "HTTP/1.1 200 OK\r\n\r\n");
    probe(w, &o);
    assert_false(w->last.is_done);
    assert_string_not_equal(w->text, "");
}

static void test_probe_refuses_what_is_not_http(void **state)
{
    struct world *w = *state;
    struct pf_probe_options o = {
        .is_http = true, .path = PF_STR("/ping?x=1"), .timeout_ms = TIMEOUT_MS};

    o.port = server(w, AF_INET, false, "220 mail.example ready for you\r\n");
    probe(w, &o);
    expect_failure(w, "not HTTP");
}

static void test_probe_closed_before_its_status(void **state)
{
    struct world *w = *state;
    struct pf_probe_options o = {
        .is_http = true, .path = PF_STR("/ping?x=1"), .timeout_ms = TIMEOUT_MS};

    o.port = server(w, AF_INET, false, "HTTP/1.1 20");
    probe(w, &o);
    expect_failure(w, "closed");
}

static void test_probe_endless_header_is_bounded(void **state)
{
    struct world *w = *state;
    struct pf_probe_options o = {
        .is_http = true, .path = PF_STR("/ping?x=1"), .timeout_ms = TIMEOUT_MS};
    static char answer[8192];

    memset(answer, 'x', sizeof answer - 1);
    o.port = server(w, AF_INET, false, answer);
    probe(w, &o);
    expect_failure(w, "not HTTP");
}

static void test_probe_times_out(void **state)
{
    struct world *w = *state;
    struct pf_probe_options o = {.is_http = true, .timeout_ms = 50};

    o.port = server(w, AF_INET, false, NULL);
    probe(w, &o);
    expect_failure(w, "no answer in time");
}

static void test_probe_refuses_what_is_no_url(void **state)
{
    struct world *w = *state;
    struct pf_probe_options o = {.is_http = true,
                                 .timeout_ms = TIMEOUT_MS,
                                 .port = 1,
                                 .path = PF_STR("/a HTTP/1.1\r\nX: y")};

    probe(w, &o);
    expect_failure(w, "characters");
    o.path = PF_STR("/");
    o.port = 65536;
    probe(w, &o);
    expect_failure(w, "port");
}

static void test_probe_limit_and_cancel(void **state)
{
    struct world *w = *state;
    struct pf_probe_options o = {.is_http = true, .timeout_ms = TIMEOUT_MS};
    struct pf_probe *p[4];

    o.port = server(w, AF_INET, false, NULL);
    for (int i = 0; i < 4; i++) {
        p[i] = pf_probe_start(w->probes, &o, on_done, w);
    }
    (void)pf_probe_start(w->probes, &o, on_done, w);
    test_turn_until(w->loop, w->n_told == 1);
    expect_failure(w, "too many");
    pf_probe_cancel(p[2]);
    assert_int_equal(pf_probes_n(w->probes), 3);
    pf_probe_cancel(p[0]); /* the teardown ends the others */
    assert_int_equal(w->n_told, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_probe_connects, setup, teardown),
        cmocka_unit_test_setup_teardown(test_probe_connects_to_ipv6, setup, teardown),
        cmocka_unit_test_setup_teardown(test_probe_refused_says_so, setup, teardown),
        cmocka_unit_test_setup_teardown(test_probe_reads_the_status, setup, teardown),
        cmocka_unit_test_setup_teardown(test_probe_does_not_check_certificates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_probe_tls_to_plain_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_probe_refuses_what_is_not_http, setup, teardown),
        cmocka_unit_test_setup_teardown(test_probe_closed_before_its_status, setup, teardown),
        cmocka_unit_test_setup_teardown(test_probe_endless_header_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_probe_times_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_probe_refuses_what_is_no_url, setup, teardown),
        cmocka_unit_test_setup_teardown(test_probe_limit_and_cancel, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
