/* SPDX-License-Identifier: Apache-2.0 */
/* proffer-relay: stands between the programs of a cluster and breaks their network on demand, with
 * no rights needed.
 *
 *   proffer-relay --control SOCKET [--ready-fd N] ROUTE=LISTEN:PORT=HOST:PORT...
 *
 * What connects to LISTEN:PORT is connected to HOST:PORT (numeric IPv4), as long as somebody
 * listens there: otherwise connections are refused here as well. Commands on the unix socket, a
 * line each, are answered by lines, the last of them "ok" or "error ...":
 *
 *   list                           "NAME LISTEN TARGET CONNECTIONS" for each route
 *   set ROUTE PEER DIR pass|drop   DIR: up (towards the target), down, both
 *   set ROUTE PEER DIR delay MS
 *   rst ROUTE PEER                 connections end by RST, now
 *   refuse ROUTE on|off            new connections are refused
 *   heal                           everything passes again
 *
 * ROUTE and PEER are patterns (* and ?). PEER is what a client said of itself in its Hello:
 * "agent:ID", "master:INSTANCE", "scheduler:", ..., and "-" before that, or for other protocols.
 * The last rule that fits counts. Dropping holds bytes (and ends of streams) back, as a network
 * does whose packets are lost and sent again: connections stay open, and what was held passes
 * later. */
#include "tests/support/relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/base/limits.h"
#include "common/link/envelope.h"
#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/parse.h"
#include "schemas/proffer.h"

/* --- commands -------------------------------------------------------------------------------- */

static void address_show(const struct sockaddr_in *a, struct pf_buf *out)
{
    char host[INET_ADDRSTRLEN] = "";
    (void)inet_ntop(AF_INET, &a->sin_addr, host, sizeof host);
    pf_buf_printf(out, "%s:%u", host, (unsigned)ntohs(a->sin_port));
}

static bool command_set(struct relay *r, char **word, uint32_t n)
{
    struct rule rule = {.ms = n == 6 ? strtoll(word[5], NULL, 10) : 0};
    bool both = n >= 5 && strcmp(word[3], "both") == 0;
    if (n < 5) {
        return false;
    }
    rule.dir[UP] = both || strcmp(word[3], "up") == 0;
    rule.dir[DOWN] = both || strcmp(word[3], "down") == 0;
    rule.mode = strcmp(word[4], "drop") == 0    ? MODE_DROP
                : strcmp(word[4], "delay") == 0 ? MODE_DELAY
                                                : MODE_PASS;
    bool is_known = rule.mode != MODE_PASS || strcmp(word[4], "pass") == 0;
    if ((!rule.dir[UP] && !rule.dir[DOWN]) || !is_known || (rule.mode == MODE_DELAY) != (n == 6)) {
        return false;
    }
    (void)snprintf(rule.route, sizeof rule.route, "%s", word[1]);
    (void)snprintf(rule.peer, sizeof rule.peer, "%s", word[2]);
    r->rule = pf_realloc(r->rule, (r->n_rules + 1) * sizeof *r->rule);
    r->rule[r->n_rules++] = rule;
    return true;
}

static void command_refuse(struct relay *r, const char *route, bool on)
{
    for (uint32_t i = 0; i < r->n_routes; i++) {
        if (pf_relay_fits(route, r->route[i].name)) {
            r->route[i].is_refusing = on;
            pf_relay_route_update(r, &r->route[i]);
        }
    }
}

static bool command_run(struct relay *r, char **word, uint32_t n, struct pf_buf *out)
{
    struct conn *c;
    if (n == 1 && strcmp(word[0], "list") == 0) {
        for (uint32_t i = 0; i < r->n_routes; i++) {
            pf_buf_printf(out, "%s ", r->route[i].name);
            address_show(&r->route[i].at, out);
            pf_buf_add_byte(out, ' ');
            address_show(&r->route[i].target, out);
            pf_buf_printf(out, " %u\n", r->route[i].n_conns);
        }
        return true;
    }
    if (n == 1 && strcmp(word[0], "heal") == 0) {
        r->n_rules = 0;
        command_refuse(r, "*", false);
        return true;
    }
    if (n == 3 && strcmp(word[0], "rst") == 0) {
        LIST_FOREACH(c, &r->conns, link)
        {
            if (pf_relay_fits(word[1], c->route->name) && pf_relay_fits(word[2], c->peer)) {
                pf_relay_conn_end(r, c, true);
            }
        }
        return true;
    }
    if (n == 3 && strcmp(word[0], "refuse") == 0) {
        command_refuse(r, word[1], strcmp(word[2], "on") == 0);
        return strcmp(word[2], "on") == 0 || strcmp(word[2], "off") == 0;
    }
    return n > 0 && strcmp(word[0], "set") == 0 && command_set(r, word, n);
}

static void command_line(struct relay *r, struct asker *a, char *line)
{
    char *word[8], *save = NULL;
    uint32_t n = 0;
    struct pf_buf out = {0};
    struct conn *c;
    for (char *w = strtok_r(line, " ", &save); w != NULL && n < 8; w = strtok_r(NULL, " ", &save)) {
        word[n++] = w;
    }
    bool is_fine = command_run(r, word, n, &out);
    pf_buf_add_cstr(&out, is_fine ? "ok\n" : "error: not understood\n");
    LIST_FOREACH(c, &r->conns, link)
    {
        pf_relay_flush(r, c, UP);
        pf_relay_flush(r, c, DOWN);
        pf_relay_update(r, c);
    }
    (void)!pf_fd_write_all(a->source.fd, out.data, out.len, NULL); /* it may have left */
    pf_buf_fini(&out);
}

static void asker_ready(struct relay *r, struct asker *a)
{
    char text[1024];
    ssize_t n = read(a->source.fd, text, sizeof text);
    if (n <= 0 || a->in.len > sizeof text) {
        pf_relay_source_close(r, &a->source);
        a->is_dying = true;
        return;
    }
    pf_buf_add(&a->in, text, (size_t)n);
    char *at = (char *)(uintptr_t)pf_buf_cstr(&a->in), *from = at, *end;
    while ((end = strchr(from, '\n')) != NULL) {
        *end = '\0';
        command_line(r, a, from);
        from = end + 1;
    }
    pf_buf_drop_front(&a->in, (size_t)(from - at));
}

static void asker_accept(struct relay *r)
{
    int fd = accept4(r->control.fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) {
        struct asker *a = PF_NEW(struct asker);
        a->source = (struct source){.kind = KIND_ASKER, .fd = fd, .owner = a};
        LIST_INSERT_HEAD(&r->askers, a, link);
        pf_relay_watch(r, &a->source, EPOLLIN);
    }
}

/* --- the loop -------------------------------------------------------------------------------- */

static int next_wait_ms(struct relay *r)
{
    int64_t now_ms = pf_now_ms(), at_ms = INT64_MAX;
    struct conn *c;
    for (uint32_t i = 0; i < r->n_routes; i++) {
        at_ms = r->route[i].probe_ms < at_ms ? r->route[i].probe_ms : at_ms;
    }
    LIST_FOREACH(c, &r->conns, link)
    {
        for (int d = 0; d < DIRS; d++) {
            const struct chunk *k = STAILQ_FIRST(&c->queue[d]);
            if (k != NULL && k->due_ms > now_ms && k->due_ms < at_ms) {
                at_ms = k->due_ms;
            }
        }
    }
    return at_ms == INT64_MAX ? -1 : at_ms <= now_ms ? 0 : (int)(at_ms - now_ms);
}

static void tidy_up(struct relay *r)
{
    struct conn *c = LIST_FIRST(&r->conns), *next;
    struct asker *a = LIST_FIRST(&r->askers), *next_asker;
    for (; c != NULL; c = next) {
        next = LIST_NEXT(c, link);
        if (c->is_dying) {
            LIST_REMOVE(c, link);
            pf_relay_conn_free(c);
        } else {
            pf_relay_update(r, c); /* what was delayed may be due */
        }
    }
    for (; a != NULL; a = next_asker) {
        next_asker = LIST_NEXT(a, link);
        if (a->is_dying) {
            LIST_REMOVE(a, link);
            pf_buf_fini(&a->in);
            pf_free(a);
        }
    }
    for (uint32_t i = 0; i < r->n_routes; i++) {
        if (r->route[i].probe_ms <= pf_now_ms()) {
            pf_relay_probe_start(r, &r->route[i]);
        }
    }
}

static void dispatch(struct relay *r, struct source *s, uint32_t events)
{
    struct conn *c = s->owner;
    if (s->fd < 0) {
        return; /* closed earlier in this round */
    }
    switch (s->kind) {
    case KIND_LISTENER: pf_relay_accept_one(r, s->owner); break;
    case KIND_SIDE: pf_relay_side_ready(r, c, s == &c->side[UP] ? UP : DOWN, events); break;
    case KIND_PROBE: pf_relay_probe_done(r, s->owner); break;
    case KIND_CONTROL: asker_accept(r); break;
    case KIND_ASKER: asker_ready(r, s->owner); break;
    }
}

static int run(struct relay *r)
{
    struct epoll_event ready[64];
    for (;;) {
        int n = epoll_wait(r->epoll_fd, ready, 64, next_wait_ms(r));
        if (n < 0 && errno != EINTR) {
            perror("proffer-relay: epoll");
            return 1;
        }
        for (int i = 0; i < n; i++) {
            dispatch(r, ready[i].data.ptr, ready[i].events);
        }
        tidy_up(r);
    }
}

/* --- starting -------------------------------------------------------------------------------- */

static bool address_read(const char *text, size_t len, struct sockaddr_in *out)
{
    struct pf_hostport hp;
    *out = (struct sockaddr_in){.sin_family = AF_INET};
    if (pf_parse_hostport((struct pf_str){text, (uint32_t)len}, 0, &hp, NULL) != 0 ||
        inet_pton(AF_INET, hp.host, &out->sin_addr) != 1) {
        return false;
    }
    out->sin_port = htons(hp.port);
    return true;
}

static bool route_read(const char *text, struct route *t)
{
    const char *a = strchr(text, '='), *b = a != NULL ? strchr(a + 1, '=') : NULL;
    *t = (struct route){.probe_ms = INT64_MAX};
    if (b == NULL || (size_t)(a - text) >= sizeof t->name) {
        return false;
    }
    (void)snprintf(t->name, sizeof t->name, "%.*s", (int)(a - text), text);
    t->listener = (struct source){.kind = KIND_LISTENER, .fd = -1, .owner = t};
    t->probe = (struct source){.kind = KIND_PROBE, .fd = -1, .owner = t};
    return address_read(a + 1, (size_t)(b - a - 1), &t->at) &&
           address_read(b + 1, strlen(b + 1), &t->target);
}

static int control_open(struct relay *r, const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    r->control = (struct source){.kind = KIND_CONTROL, .fd = -1, .owner = r};
    if (strlen(path) >= sizeof at.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    (void)unlink(path);
    r->control.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (r->control.fd < 0 || bind(r->control.fd, (struct sockaddr *)&at, sizeof at) != 0 ||
        listen(r->control.fd, 16) != 0) {
        return -1;
    }
    pf_relay_watch(r, &r->control, EPOLLIN);
    return 0;
}

static void tell_ready(struct relay *r, int fd, const char *path)
{
    struct pf_buf line = {0};
    if (fd < 0) {
        return;
    }
    pf_buf_printf(&line, "{\"native\":\"%s\",\"http\":\"\",\"pid\":%ld}\n", path, (long)getpid());
    (void)!pf_fd_write_all(fd, line.data, line.len, NULL); /* a parent that left */
    pf_buf_fini(&line);
    pf_fd_close(&fd);
    (void)r;
}

static int start(struct relay *r, int argc, char **argv)
{
    const char *control = NULL;
    int ready_fd = -1, i = 1;
    for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
        if (strcmp(argv[i], "--control") == 0) {
            control = argv[i + 1];
        } else if (strcmp(argv[i], "--ready-fd") == 0) {
            ready_fd = (int)strtol(argv[i + 1], NULL, 10);
        }
    }
    if (control == NULL || i >= argc) {
        (void)fprintf(stderr, "usage: proffer-relay --control SOCKET [--ready-fd N] "
                              "ROUTE=LISTEN:PORT=HOST:PORT...\n");
        return 2;
    }
    r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    r->route = pf_alloc((size_t)(argc - i) * sizeof *r->route);
    for (; i < argc; i++) {
        struct route *t = &r->route[r->n_routes++];
        if (!route_read(argv[i], t)) {
            (void)fprintf(stderr, "proffer-relay: no route: %s\n", argv[i]);
            return 2;
        }
        if (pf_relay_route_bind(t) != 0) {
            (void)fprintf(stderr, "proffer-relay: %s: %s\n", argv[i], strerror(errno));
            return 1;
        }
        t->is_dead = true;
        t->probe_ms = pf_now_ms();
    }
    if (control_open(r, control) != 0) {
        (void)fprintf(stderr, "proffer-relay: %s: %s\n", control, strerror(errno));
        return 1;
    }
    tell_ready(r, ready_fd, control);
    return run(r);
}

int main(int argc, char **argv)
{
    struct relay r = {.epoll_fd = -1};
    uint64_t limit = 0;
    struct pf_err err = {0};
    (void)signal(SIGPIPE, SIG_IGN);
    (void)!pf_fd_raise_limit(&limit, &err); /* as many as we get */
    LIST_INIT(&r.conns);
    LIST_INIT(&r.askers);
    return start(&r, argc, argv);
}
