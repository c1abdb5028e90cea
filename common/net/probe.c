/* SPDX-License-Identifier: Apache-2.0 */
/* See probe.h. A socket, a timer, and where the conversation stands. */
#include "common/net/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/sys/fd.h"

#define ANSWER_MAX_BYTES 4096 /* of what comes before the status is known */
#define PATH_MAX_BYTES   4096

enum phase { PHASE_CONNECT, PHASE_GREET, PHASE_ASK, PHASE_LISTEN, PHASE_OVER };

/* What a step of the conversation came to. */
enum outcome { OUTCOME_WAIT_READ, OUTCOME_WAIT_WRITE, OUTCOME_ON, OUTCOME_FAILED };

struct pf_probe {
    struct pf_probes *all;
    LIST_ENTRY(pf_probe) link;
    struct pf_probe_options o; /* without its path */
    pf_probe_fn *on_done;
    void *ctx;
    int fd;
    struct pf_watch *watch;
    struct pf_timer *timer;
    enum phase phase;
    SSL *tls;
    struct pf_buf ask;
    size_t asked;
    char answer[ANSWER_MAX_BYTES];
    size_t answered;
    uint32_t status_code;
    char text[128]; /* why it failed */
};

struct pf_probes {
    struct pf_loop *loop;
    SSL_CTX *tls; /* made by the first that needs it */
    uint32_t n, max;
    LIST_HEAD(, pf_probe) running;
};

/* --- the end of one -------------------------------------------------------------------------- */

static void probe_free(struct pf_probe *p)
{
    LIST_REMOVE(p, link);
    p->all->n--;
    SSL_free(p->tls);
    pf_watch_destroy(p->watch);
    pf_timer_destroy(p->timer);
    pf_fd_close(&p->fd);
    pf_buf_fini(&p->ask);
    pf_free(p);
}

static void probe_tell(struct pf_probe *p)
{
    pf_probe_fn *on_done = p->on_done;
    void *ctx = p->ctx;
    char text[sizeof p->text];
    const struct pf_probe_result result = {
        .is_done = p->text[0] == '\0', .status_code = p->status_code, .text = text};

    memcpy(text, p->text, sizeof text);
    probe_free(p); /* first: what is told may destroy all of them */
    on_done(ctx, &result);
}

static enum outcome fail(struct pf_probe *p, const char *what, int sys)
{
    if (sys != 0) {
        (void)snprintf(p->text, sizeof p->text, "%s: %s", what, strerror(sys));
    } else {
        (void)snprintf(p->text, sizeof p->text, "%s", what);
    }
    return OUTCOME_FAILED;
}

static void on_time(void *ctx)
{
    struct pf_probe *p = ctx;

    if (p->phase != PHASE_OVER) {
        (void)fail(p, p->phase == PHASE_CONNECT ? "no connection in time" : "no answer in time", 0);
    }
    probe_tell(p);
}

/* --- its steps ------------------------------------------------------------------------------- */

/* A socket that asks for a port of its own range may find itself there. */
static bool talks_to_itself(int fd)
{
    struct sockaddr_storage own = {0};
    struct sockaddr_storage peer = {0};
    socklen_t own_len = sizeof own;
    socklen_t peer_len = sizeof peer;

    return getsockname(fd, (struct sockaddr *)&own, &own_len) == 0 &&
           getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0 && own_len == peer_len &&
           memcmp(&own, &peer, own_len) == 0;
}

static enum outcome step_connect(struct pf_probe *p)
{
    int sys = 0;
    socklen_t len = sizeof sys;

    if (getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &sys, &len) != 0) {
        sys = errno;
    }
    if (sys == 0 && talks_to_itself(p->fd)) {
        sys = ECONNREFUSED;
    }
    if (sys != 0) {
        return fail(p, "connect", sys);
    }
    p->phase = !p->o.is_http ? PHASE_OVER : p->o.is_tls ? PHASE_GREET : PHASE_ASK;
    return OUTCOME_ON;
}

static enum outcome tls_outcome(struct pf_probe *p, int rc, const char *what)
{
    switch (SSL_get_error(p->tls, rc)) {
    case SSL_ERROR_WANT_READ: return OUTCOME_WAIT_READ;
    case SSL_ERROR_WANT_WRITE: return OUTCOME_WAIT_WRITE;
    case SSL_ERROR_ZERO_RETURN: return fail(p, "closed before it answered", 0);
    case SSL_ERROR_SYSCALL: return fail(p, what, errno != 0 ? errno : ECONNRESET);
    default: break;
    }
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    char text[96];

    (void)snprintf(text, sizeof text, "%s: %s", what, reason != NULL ? reason : "failed");
    return fail(p, text, 0);
}

static enum outcome step_greet(struct pf_probe *p)
{
    ERR_clear_error();
    errno = 0;
    if (p->tls == NULL) {
        p->tls = SSL_new(p->all->tls);
        if (p->tls == NULL || SSL_set_fd(p->tls, p->fd) != 1) {
            return fail(p, "TLS cannot be set up", 0);
        }
    }
    int rc = SSL_connect(p->tls);
    if (rc != 1) {
        return tls_outcome(p, rc, "TLS");
    }
    p->phase = PHASE_ASK;
    return OUTCOME_ON;
}

static enum outcome step_ask(struct pf_probe *p)
{
    const uint8_t *at = p->ask.data + p->asked;
    size_t left = p->ask.len - p->asked;
    ssize_t n;

    if (p->tls != NULL) {
        ERR_clear_error();
        errno = 0;
        int rc = SSL_write(p->tls, at, (int)left);
        if (rc <= 0) {
            return tls_outcome(p, rc, "send");
        }
        n = rc;
    } else {
        n = send(p->fd, at, left, MSG_NOSIGNAL);
        if (n < 0) {
            return errno == EAGAIN || errno == EINTR ? OUTCOME_WAIT_WRITE : fail(p, "send", errno);
        }
    }
    p->asked += (size_t)n;
    if (p->asked == p->ask.len) {
        p->phase = PHASE_LISTEN;
    }
    return OUTCOME_ON;
}

/* The status of "HTTP/1.1 204 No Content", 0 = it is none. */
static uint32_t status_of(const char *line, size_t len)
{
    const char *space = memchr(line, ' ', len);
    uint32_t status = 0;

    if (len < 12 || memcmp(line, "HTTP/", 5) != 0 || space == NULL || line + len - space < 4) {
        return 0;
    }
    for (int i = 1; i <= 3; i++) {
        if (space[i] < '0' || space[i] > '9') {
            return 0;
        }
        status = status * 10 + (uint32_t)(space[i] - '0');
    }
    return status;
}

/* Looks at what came so far. Answers that only announce another (1xx) are passed over. */
static enum outcome answer_read(struct pf_probe *p)
{
    for (;;) {
        const char *end = memchr(p->answer, '\n', p->answered);
        if (end == NULL) {
            return OUTCOME_ON;
        }
        uint32_t status = status_of(p->answer, (size_t)(end - p->answer));
        if (status < 100) {
            return fail(p, "the answer is not HTTP", 0);
        }
        if (status >= 200 || status == 101) {
            p->status_code = status;
            p->phase = PHASE_OVER;
            return OUTCOME_ON;
        }
        const char *next = memmem(p->answer, p->answered, "\r\n\r\n", 4);
        if (next == NULL) {
            return OUTCOME_ON;
        }
        p->answered -= (size_t)(next + 4 - p->answer);
        memmove(p->answer, next + 4, p->answered);
    }
}

static enum outcome step_listen(struct pf_probe *p)
{
    char *at = p->answer + p->answered;
    size_t room = sizeof p->answer - p->answered;
    ssize_t n;

    if (room == 0) {
        return fail(p, "the answer is not HTTP", 0);
    }
    if (p->tls != NULL) {
        ERR_clear_error();
        errno = 0;
        int rc = SSL_read(p->tls, at, (int)room);
        if (rc <= 0) {
            return tls_outcome(p, rc, "receive");
        }
        n = rc;
    } else {
        n = recv(p->fd, at, room, 0);
        if (n < 0) {
            return errno == EAGAIN || errno == EINTR ? OUTCOME_WAIT_READ
                                                     : fail(p, "receive", errno);
        }
        if (n == 0) {
            return fail(p, "closed before it answered", 0);
        }
    }
    p->answered += (size_t)n;
    return answer_read(p);
}

static enum outcome step(struct pf_probe *p)
{
    switch (p->phase) {
    case PHASE_CONNECT: return step_connect(p);
    case PHASE_GREET: return step_greet(p);
    case PHASE_ASK: return step_ask(p);
    case PHASE_LISTEN: return step_listen(p);
    case PHASE_OVER: break;
    }
    return OUTCOME_FAILED;
}

static void on_ready(void *ctx, unsigned ready)
{
    struct pf_probe *p = ctx;
    enum outcome out;

    (void)ready;
    do {
        out = step(p);
    } while (out == OUTCOME_ON && p->phase != PHASE_OVER);
    if (out == OUTCOME_FAILED || p->phase == PHASE_OVER) {
        probe_tell(p);
        return;
    }
    pf_watch_set(p->watch, out == OUTCOME_WAIT_READ ? PF_WATCH_READ : PF_WATCH_WRITE);
}

/* --- its begin ------------------------------------------------------------------------------- */

static bool path_is_fine(struct pf_str path)
{
    for (uint32_t i = 0; i < path.len; i++) {
        if ((unsigned char)path.at[i] <= ' ' || path.at[i] == 0x7f) {
            return false;
        }
    }
    return path.len <= PATH_MAX_BYTES;
}

static bool ask_make(struct pf_probe *p, struct pf_str path)
{
    if (!path_is_fine(path)) {
        (void)fail(p, "the path has characters that no URL has", 0);
        return false;
    }
    pf_buf_printf(&p->ask,
                  "GET %s%.*s HTTP/1.1\r\nHost: %s:%u\r\nUser-Agent: proffer/" PF_VERSION
                  "\r\nAccept: */*\r\nConnection: close\r\n\r\n",
                  path.len > 0 && path.at[0] == '/' ? "" : "/", PF_STR_ARG(path),
                  p->o.is_ipv6 ? "[::1]" : "127.0.0.1", p->o.port);
    return true;
}

static bool tls_make(struct pf_probe *p)
{
    struct pf_probes *all = p->all;

    if (all->tls == NULL && (all->tls = SSL_CTX_new(TLS_client_method())) != NULL) {
        /* Whether it answers is the question, not whether it is safe. */
        SSL_CTX_set_verify(all->tls, SSL_VERIFY_NONE, NULL);
        SSL_CTX_set_security_level(all->tls, 0);
        (void)SSL_CTX_set_min_proto_version(all->tls, TLS1_VERSION); /* else its own least */
    }
    if (all->tls == NULL) {
        (void)fail(p, "TLS cannot be set up", 0);
    }
    return all->tls != NULL;
}

static bool socket_make(struct pf_probe *p)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)p->o.port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
                              .sin6_port = htons((uint16_t)p->o.port),
                              .sin6_addr = in6addr_loopback};
    const struct sockaddr *to =
        p->o.is_ipv6 ? (const struct sockaddr *)&v6 : (const struct sockaddr *)&v4;

    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    p->fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (p->fd < 0) {
        (void)fail(p, "socket", errno);
        return false;
    }
    if (connect(p->fd, to, p->o.is_ipv6 ? sizeof v6 : sizeof v4) != 0 && errno != EINPROGRESS) {
        (void)fail(p, "connect", errno);
        return false;
    }
    if (pf_watch_create(p->all->loop, p->fd, PF_WATCH_WRITE, PF_PRIO_NORMAL, on_ready, p, &p->watch,
                        NULL) != 0) {
        (void)fail(p, "the socket cannot be watched", 0);
        return false;
    }
    return true;
}

struct pf_probe *pf_probe_start(struct pf_probes *all, const struct pf_probe_options *options,
                                pf_probe_fn *on_done, void *ctx)
{
    struct pf_probe *p = PF_NEW(struct pf_probe);
    bool is_begun = false;

    p->all = all;
    p->o = *options;
    p->o.path = (struct pf_str){NULL, 0};
    p->on_done = on_done;
    p->ctx = ctx;
    p->fd = -1;
    p->timer = pf_timer_create(all->loop, PF_PRIO_NORMAL, on_time, p);
    LIST_INSERT_HEAD(&all->running, p, link);
    if (all->n++ >= all->max) {
        (void)fail(p, "too many checks run at once", 0);
    } else if (p->o.port == 0 || p->o.port > UINT16_MAX) {
        (void)fail(p, "there is no such port", 0);
    } else {
        is_begun = (!p->o.is_http || ask_make(p, options->path)) &&
                   (!p->o.is_http || !p->o.is_tls || tls_make(p)) && socket_make(p);
    }
    if (!is_begun) {
        p->phase = PHASE_OVER;
    }
    pf_timer_set(p->timer, is_begun ? pf_loop_now_ms(all->loop) + p->o.timeout_ms : 0);
    return p;
}

void pf_probe_cancel(struct pf_probe *p)
{
    probe_free(p);
}

struct pf_probes *pf_probes_create(struct pf_loop *loop, uint32_t max)
{
    struct pf_probes *all = PF_NEW(struct pf_probes);

    all->loop = loop;
    all->max = max;
    LIST_INIT(&all->running);
    return all;
}

void pf_probes_destroy(struct pf_probes *all)
{
    struct pf_probe *p;

    if (all == NULL) {
        return;
    }
    while ((p = LIST_FIRST(&all->running)) != NULL) {
        probe_free(p);
    }
    SSL_CTX_free(all->tls);
    pf_free(all);
}

uint32_t pf_probes_n(const struct pf_probes *all)
{
    return all->n;
}
