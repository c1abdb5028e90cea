/* SPDX-License-Identifier: Apache-2.0 */
/* One handle of the library, driven by a watch and a timer: the watch is destroyed before every
 * call of the library and made afresh after it, since the library closes and reopens its socket
 * and mostly gets the same number again. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include "common/base/alloc.h"
#include "common/sys/clock.h"
#include "common/zk/client_internal.h"

#define BACKOFF_MIN_MS     100
#define BACKOFF_ATTEMPT_MS 1000 /* at most, between rounds of attempts to connect */
#define BACKOFF_HANDLE_MS  5000 /* at most, before a new handle */
#define ATTEMPT_MS         1000 /* at first, before the next server is tried */
#define ABSENT_MS          1000 /* after that an outage is told with its reason */
#define ABSENT_SILENT_MS   3000 /* the same, when the servers do not even refuse */
#define PROCESS_MAX        64   /* replies taken in one go */

/* --- telling --------------------------------------------------------------------------------- */

void zk_session_tell(struct zk_session *s, enum pf_zk_state state, const char *why)
{
    bool is_repeated = s->was_told && s->told == state;
    if (is_repeated && state != PF_ZK_CONNECTING) {
        return;
    }
    struct zk_event *e = PF_NEW(struct zk_event);
    e->kind = ZK_EVENT_SESSION;
    e->text = pf_strdup(why);
    e->session.session = s->index;
    e->session.state = state;
    e->session.why = pf_str(e->text);
    if (state == PF_ZK_CONNECTED) {
        e->session.session_id = (uint64_t)zoo_client_id(s->zh)->client_id;
        e->session.timeout_ms = zoo_recv_timeout(s->zh);
        s->backoff_ms = BACKOFF_MIN_MS;
    }
    s->was_told = true;
    s->told = state;
    zk_push(s->z, e);
}

void zk_session_lost(struct zk_session *s, enum pf_zk_state state, const char *why)
{
    bool was_up = s->phase == ZK_UP;
    if (was_up || s->phase == ZK_SETUP) {
        zk_requests_orphan(s);
        s->setup = ZK_SETUP_NONE;
        s->outage_ms = pf_now_ms();
        s->absence_told = false;
        s->stats.losses++;
    }
    s->phase = state == PF_ZK_CONNECTING ? ZK_CONNECTING : ZK_DEAD;
    if (state == PF_ZK_EXPIRED) {
        s->stats.expiries++;
    }
    if (state == PF_ZK_AUTH_FAILED || (state == PF_ZK_CONNECTING && was_up) ||
        (state == PF_ZK_EXPIRED && s->prepared_id != 0)) {
        zk_session_tell(s, state, why);
    }
    if (state != PF_ZK_CONNECTING) {
        s->prepared_id = 0;
    }
}

/* The library closes its socket without a word when a request or a ping cannot be written, keeps
 * what was sent and would wait for the answers on the next connection. */
void zk_session_look(struct zk_session *s)
{
    if ((s->phase == ZK_UP || s->phase == ZK_SETUP) && zoo_state(s->zh) != ZOO_CONNECTED_STATE) {
        char why[PF_ZK_SERVER_TEXT + 40];
        (void)snprintf(why, sizeof why, "the connection to %s was lost", s->server);
        s->needs_reset = true;
        zk_session_lost(s, PF_ZK_CONNECTING, why);
    }
}

/* Says once in an outage what hinders. */
static void session_tell_absence(struct zk_session *s, int64_t now_ms)
{
    int64_t for_ms = now_ms - s->outage_ms;
    bool all_failed = s->n_failed >= s->z->n_servers;
    if (s->absence_told || s->phase != ZK_CONNECTING || s->z->n_servers == 0 ||
        !((all_failed && (!s->was_told || for_ms >= ABSENT_MS)) || for_ms >= ABSENT_SILENT_MS)) {
        return;
    }
    struct pf_buf text = {.limit = 400};
    pf_buf_add_cstr(&text, "cannot reach ZooKeeper at ");
    zk_servers_format(s->z, 0, &text);
    char why[512];
    (void)snprintf(why, sizeof why, "%s%s: %s", pf_buf_cstr(&text), text.failed ? "..." : "",
                   s->last_errno != 0 ? strerror(s->last_errno) : "no answer"); /* it fits */
    pf_buf_fini(&text);
    s->absence_told = true;
    zk_session_tell(s, PF_ZK_CONNECTING, why);
}

/* --- what the library calls; see client_internal.h ------------------------------------------- */

static void log_line(const char *message)
{
    pf_log(PF_LOG_DEBUG, "zookeeper client", "text=%s", message);
}

static void on_connected(struct zk_session *s)
{
    const char *server = zoo_get_current_server(s->zh);
    (void)snprintf(s->server, sizeof s->server, "%s", server != NULL ? server : "?");
    s->n_failed = 0;
    s->last_errno = 0;
    s->attempt_ms = 0;
    s->attempt_limit_ms = 0;
    s->stats.connects++;
    if (s->prepared_id == (uint64_t)zoo_client_id(s->zh)->client_id) {
        s->phase = ZK_UP;
        zk_session_tell(s, PF_ZK_CONNECTED, "");
    } else {
        s->phase = ZK_SETUP;
        s->setup = ZK_SETUP_WANTED;
        s->setup_answered = false;
    }
}

static void on_session_event(struct zk_session *s, int state)
{
    char why[PF_ZK_SERVER_TEXT + 40];
    if (state == ZOO_CONNECTED_STATE) {
        if (s->phase == ZK_CONNECTING) {
            on_connected(s);
        }
    } else if (state == ZOO_EXPIRED_SESSION_STATE) {
        zk_session_lost(s, PF_ZK_EXPIRED, "the session expired");
    } else if (state == ZOO_AUTH_FAILED_STATE) {
        zk_session_lost(s, PF_ZK_AUTH_FAILED, "ZooKeeper refuses the user or its password");
    } else if (s->phase == ZK_UP || s->phase == ZK_SETUP) {
        (void)snprintf(why, sizeof why, "the connection to %s was lost", s->server);
        zk_session_lost(s, PF_ZK_CONNECTING, why);
    }
}

static void on_node_event(struct zk_session *s, int type, const char *path)
{
    static const struct {
        const int *type;
        enum pf_zk_watch_type ours;
    } types[] = {
        {&ZOO_CREATED_EVENT, PF_ZK_NODE_CREATED},
        {&ZOO_DELETED_EVENT, PF_ZK_NODE_DELETED},
        {&ZOO_CHANGED_EVENT, PF_ZK_NODE_CHANGED},
        {&ZOO_CHILD_EVENT, PF_ZK_CHILDREN_CHANGED},
    };
    size_t n = strlen(s->z->url.path);
    if (path == NULL || strncmp(path, s->z->url.path, n) != 0) {
        return;
    }
    for (size_t i = 0; i < PF_ARRAY_LEN(types); i++) {
        if (*types[i].type == type) {
            struct zk_event *e = PF_NEW(struct zk_event);
            e->kind = ZK_EVENT_WATCH;
            e->text = pf_strdup(path + n);
            e->watch = (struct pf_zk_watch){s->index, types[i].ours, pf_str(e->text)};
            zk_push(s->z, e);
        }
    }
}

static void on_event(zhandle_t *zh, int type, int state, const char *path, void *ctx)
{
    struct zk_session *s = ctx;
    (void)zh;
    if (s->is_closing) {
        return;
    }
    if (type == ZOO_SESSION_EVENT) {
        on_session_event(s, state);
    } else {
        on_node_event(s, type, path);
    }
}

/* --- driving --------------------------------------------------------------------------------- */

static void session_backoff(struct zk_session *s, int64_t max_ms)
{
    s->backoff_ms = s->backoff_ms * 2 < max_ms ? s->backoff_ms * 2 : max_ms;
}

static void session_close(struct zk_session *s, bool says_goodbye)
{
    pf_watch_destroy(s->watch);
    s->watch = NULL;
    if (s->zh != NULL) {
        if (!says_goodbye && s->fd >= 0) {
            (void)shutdown(s->fd, SHUT_RDWR); /* what the library writes now goes nowhere */
        }
        s->is_closing = true;
        (void)zookeeper_close(s->zh); /* its answer proves nothing */
        s->is_closing = false;
        s->zh = NULL;
        s->fd = -1;
    }
    zk_requests_free(&s->pending);
    zk_requests_free(&s->orphans);
}

static void session_retire(struct zk_session *s)
{
    session_close(s, true);
    s->phase = ZK_IDLE;
    s->retry_ms = pf_now_ms() + s->backoff_ms;
    session_backoff(s, BACKOFF_HANDLE_MS);
    pf_timer_set(s->timer, s->retry_ms);
}

static void session_open(struct zk_session *s)
{
    struct pf_zk *z = s->z;
    struct pf_buf hosts = {.limit = 0};
    zk_servers_format(z, (uint32_t)((z->options.seed + s->index) % z->n_servers), &hosts);
    s->servers_generation = z->servers_generation;
    s->zh = zookeeper_init2(pf_buf_cstr(&hosts), on_event, z->options.session_ms, NULL, s,
                            ZOO_NO_LOG_CLIENTENV, log_line);
    pf_buf_fini(&hosts);
    if (s->zh == NULL) {
        pf_log(PF_LOG_WARN, "no handle of zookeeper", "why=%s", strerror(errno));
        session_retire(s);
        return;
    }
    s->phase = ZK_CONNECTING;
    s->fd = -1;
    s->n_failed = 0;
    s->attempt_ms = 0;
    s->needs_reset = false;
    (void)zoo_set_servers_resolution_delay(s->zh, -1); /* they are numeric */
    if (z->url.auth != NULL) {
        int rc = zoo_add_auth(s->zh, "digest", z->url.auth, (int)strlen(z->url.auth), NULL, NULL);
        PF_ASSERT(rc == ZOK); /* it only notes it before there is a connection */
    }
}

static void session_failed(struct zk_session *s)
{
    s->n_failed++;
    s->attempt_ms = 0;
}

static void on_ready(void *ctx, unsigned ready);

/* A socket that is not connected: how long may it take? */
static int64_t attempt_deadline(struct zk_session *s, int64_t now_ms)
{
    uint32_t n = s->z->n_servers;
    if (s->phase != ZK_CONNECTING || n < 2) {
        return INT64_MAX;
    }
    if (s->attempt_limit_ms == 0) {
        int64_t third_ms = s->z->options.session_ms / 3;
        s->attempt_limit_ms = third_ms < ATTEMPT_MS ? third_ms : ATTEMPT_MS;
    }
    if (s->attempt_ms == 0) {
        s->attempt_ms = now_ms;
    }
    return s->attempt_ms + s->attempt_limit_ms;
}

static int64_t session_watch(struct zk_session *s, int interest, int64_t at_ms, int64_t now_ms)
{
    unsigned what = ((interest & ZOOKEEPER_READ) != 0 ? (unsigned)PF_WATCH_READ : 0u) |
                    ((interest & ZOOKEEPER_WRITE) != 0 ? (unsigned)PF_WATCH_WRITE : 0u);
    struct pf_err err = {0};
    if (s->phase == ZK_CONNECTING) {             /* perhaps a new one */
        (void)fcntl(s->fd, F_SETFD, FD_CLOEXEC); /* fails only for what is no descriptor */
    }
    if (pf_watch_create(s->z->loop, s->fd, what, PF_PRIO_URGENT, on_ready, s, &s->watch, &err) !=
        0) {
        pf_log_err(PF_LOG_WARN, "zookeeper's socket", &err);
        return now_ms + BACKOFF_MIN_MS;
    }
    if (s->phase == ZK_CONNECTING &&
        (s->needs_reset || (s->n_failed < s->z->n_servers && zk_servers_is_taken(s)))) {
        /* an error on the new socket makes the library forget what it sent and try the next */
        s->needs_reset = false;
        (void)shutdown(s->fd, SHUT_RDWR);
    }
    int64_t deadline_ms = attempt_deadline(s, now_ms);
    return at_ms < deadline_ms ? at_ms : deadline_ms;
}

static void session_arm(struct zk_session *s)
{
    int fd = -1, interest = 0;
    struct timeval tv = {0, 0};
    errno = 0;
    int rc = zookeeper_interest(s->zh, &fd, &interest, &tv);
    int sys = errno;
    zk_session_look(s);
    if (s->phase == ZK_DEAD) {
        return;
    }
    int64_t now_ms = pf_now_ms();
    int64_t at_ms = now_ms + (int64_t)tv.tv_sec * 1000 + (tv.tv_usec + 999) / 1000;
    s->fd = rc == ZOK ? fd : -1;
    if (s->fd >= 0) {
        at_ms = session_watch(s, interest, at_ms, now_ms);
    } else if (rc == ZOK) { /* it has tried them all and wants a pause */
        at_ms = at_ms > now_ms + s->backoff_ms ? at_ms : now_ms + s->backoff_ms;
        session_backoff(s, BACKOFF_ATTEMPT_MS);
    } else {
        session_failed(s);
        s->last_errno = sys != 0 ? sys : s->last_errno;
        at_ms = s->n_failed > s->z->n_servers ? now_ms + s->backoff_ms : now_ms;
    }
    session_tell_absence(s, now_ms);
    if (s->phase == ZK_CONNECTING && !s->absence_told && at_ms > s->outage_ms + ABSENT_SILENT_MS) {
        at_ms = s->outage_ms + ABSENT_SILENT_MS;
    }
    pf_timer_set(s->timer, at_ms);
}

/* Brings the handle to where it waits again. */
static void session_go_on(struct zk_session *s)
{
    zk_setup_step(s);
    zk_session_look(s);
    if (s->phase == ZK_CONNECTING && s->servers_generation != s->z->servers_generation &&
        s->z->n_servers > 0) {
        struct pf_buf hosts = {.limit = 0};
        s->servers_generation = s->z->servers_generation;
        zk_servers_format(s->z, s->index % s->z->n_servers, &hosts);
        (void)zoo_set_servers(s->zh, pf_buf_cstr(&hosts)); /* keeps the old ones if it fails */
        pf_buf_fini(&hosts);
    }
    if (s->phase != ZK_DEAD) {
        session_arm(s);
    }
    if (s->phase == ZK_DEAD) {
        session_retire(s);
    }
}

static bool has_more(int fd)
{
    char byte;
    return fd >= 0 && recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static void session_process(struct zk_session *s, int events)
{
    pf_watch_destroy(s->watch);
    s->watch = NULL;
    errno = 0;
    int rc = zookeeper_process(s->zh, events);
    int sys = errno;
    if (rc != ZOK && rc != ZNOTHING && s->phase == ZK_CONNECTING && s->fd >= 0) {
        session_failed(s);
        s->last_errno = sys != 0 && sys != EAGAIN ? sys : s->last_errno;
    }
    /* it takes one reply a call */
    for (int i = 1; i < PROCESS_MAX && rc == ZOK && (s->phase == ZK_UP || s->phase == ZK_SETUP) &&
                    (events & ZOOKEEPER_READ) != 0 && has_more(s->fd);
         i++) {
        rc = zookeeper_process(s->zh, ZOOKEEPER_READ);
    }
    zk_session_look(s);
    session_go_on(s);
}

static void on_ready(void *ctx, unsigned ready)
{
    struct zk_session *s = ctx;
    struct pf_zk *z = s->z;
    session_process(s, ((ready & PF_WATCH_READ) != 0 ? ZOOKEEPER_READ : 0) |
                           ((ready & PF_WATCH_WRITE) != 0 ? ZOOKEEPER_WRITE : 0));
    zk_deliver(z);
}

static void on_time(void *ctx)
{
    struct zk_session *s = ctx;
    struct pf_zk *z = s->z;
    int events = 0;
    if (s->zh == NULL) {
        if (z->n_servers == 0 || pf_now_ms() < s->retry_ms) {
            pf_timer_set(s->timer, z->n_servers == 0 ? INT64_MAX : s->retry_ms);
            return;
        }
        session_open(s);
        if (s->zh != NULL) {
            session_go_on(s);
        }
    } else {
        if (s->fd >= 0 && s->attempt_ms != 0 &&
            pf_now_ms() >= s->attempt_ms + s->attempt_limit_ms) {
            (void)shutdown(s->fd, SHUT_RDWR); /* the library sees an error and tries the next */
            events = ZOOKEEPER_READ | ZOOKEEPER_WRITE;
            s->last_errno = ETIMEDOUT;
            if (s->n_failed >= z->n_servers) {
                s->attempt_limit_ms *= 2; /* slow rather than dead */
            }
        }
        session_process(s, events);
    }
    zk_deliver(z);
}

void zk_session_arm_soon(struct zk_session *s)
{
    pf_timer_set(s->timer, pf_loop_now_ms(s->z->loop));
}

void zk_session_servers_changed(struct zk_session *s)
{
    struct pf_zk *z = s->z;
    if (z->n_servers == 0 && !s->absence_told) {
        char why[PF_HOST_MAX + 256];
        (void)snprintf(why, sizeof why, "cannot find the address of ZooKeeper's host %s: %s",
                       z->url.host[0].host, z->host[0].why); /* it fits */
        s->absence_told = true;
        zk_session_tell(s, PF_ZK_CONNECTING, why);
    } else if (z->n_servers > 0 && (s->phase == ZK_IDLE || s->phase == ZK_CONNECTING)) {
        zk_session_arm_soon(s);
    }
}

void zk_session_init(struct zk_session *s, struct pf_zk *z, uint8_t index)
{
    s->z = z;
    s->index = index;
    s->fd = -1;
    s->backoff_ms = BACKOFF_MIN_MS;
    s->outage_ms = pf_now_ms();
    s->timer = pf_timer_create(z->loop, PF_PRIO_URGENT, on_time, s);
    TAILQ_INIT(&s->pending);
    TAILQ_INIT(&s->orphans);
}

void zk_session_fini(struct zk_session *s, bool says_goodbye)
{
    session_close(s, says_goodbye);
    pf_timer_destroy(s->timer);
    s->timer = NULL;
    s->phase = ZK_IDLE;
}
