/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor's private ZooKeeper servers: their files, and whether they serve. They know no
 * readiness pipe, so they are asked over TCP, more and more rarely, until one says its mode. */
#include "framework/cli/supervisor_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/file.h"
#include "common/sys/random.h"
#include "framework/cli/local.h"

enum {
    PROBE_MIN_MS = 25,
    PROBE_MAX_MS = 200,
    PROBE_PATIENCE_MS = 1000, /* one that hangs is left, and asked anew */
    ANSWER_MAX = 4096,
    PASSWORD_BYTES = 16,
    ZK_CLIENT = 2181, /* where each server has a host of its own */
    ZK_QUORUM = 2888,
    ZK_ELECTION = 3888,
};

/* --- files ----------------------------------------------------------------------------------- */

/* Kept as long as the data: the nodes of the masters are theirs by it. */
static int read_password(struct pf_supervisor *s, const char **out, struct pf_err *err)
{
    const char *path = pf_local_path(s->arena, s->options->dir, "zk.password");
    struct pf_buf text = {0};
    struct pf_err why = {0};
    int rc = pf_file_read(path, 256, &text, &why);
    if (rc == PF_ENOENT) {
        uint8_t dice[PASSWORD_BYTES];
        pf_random_bytes(dice, sizeof dice);
        for (size_t i = 0; i < sizeof dice; i++) {
            pf_buf_printf(&text, "%02x", dice[i]);
        }
        rc = pf_file_write(path, text.data, text.len, 0600, err);
    } else if (rc != 0) {
        rc = pf_err_set(err, rc, "%s", why.msg);
    }
    if (rc == 0) {
        *out = pf_arena_strdup(s->arena, pf_str(pf_buf_cstr(&text))).at;
    }
    pf_buf_fini(&text);
    return rc;
}

static int write_text(const char *path, const char *text, struct pf_err *err)
{
    return pf_file_write(path, text, strlen(text), 0600, err);
}

static int pick_ports(struct pf_supervisor *s, struct pf_err *err)
{
    for (uint32_t i = 0; i < s->n_zk; i++) {
        if (s->options->shape->has_hosts) {
            struct pf_host h = pf_hosts_of(&s->hosts, PF_HOST_ZK, i);
            s->zk[i] = (struct pf_zk_ports){ZK_CLIENT, ZK_QUORUM, ZK_ELECTION, ""};
            (void)snprintf(s->zk[i].host, sizeof s->zk[i].host, "%s", h.address);
            continue;
        }
        s->zk[i] = (struct pf_zk_ports){pf_port_pick(&s->ports), pf_port_pick(&s->ports),
                                        pf_port_pick(&s->ports), ""};
        if (s->zk[i].election == 0) {
            return pf_err_set(err, PF_EBUSY, "no free TCP ports are left for ZooKeeper");
        }
    }
    return 0;
}

int pf_supervisor_prepare_zk(struct pf_supervisor *s, struct pf_err *err)
{
    const char *dir = s->options->dir, *password = NULL;
    s->java = pf_zk_java(s->options->env, s->arena);
    int rc = pf_zk_check(s->java, dir, s->out_hint, err);
    if (rc != 0) {
        return rc;
    }
    *s->out_hint = "look at the directory and its log";
    rc = read_password(s, &password, err);
    s->zk_password = password;
    rc = rc != 0 ? rc : pick_ports(s, err);
    for (uint32_t i = 0; rc == 0 && i < s->n_zk; i++) {
        const char *own = pf_arena_printf(s->arena, "%s/zk%u", dir, i + 1).at;
        const char *data = pf_local_path(s->arena, own, "data");
        rc = pf_mkdir_p(data, 0700, err);
        rc = rc != 0 ? rc
                     : write_text(pf_local_path(s->arena, own, "zoo.cfg"),
                                  pf_zk_config(own, s->zk, s->n_zk, i, s->arena), err);
        rc = rc != 0 ? rc
                     : write_text(pf_local_path(s->arena, data, "myid"),
                                  pf_arena_printf(s->arena, "%u\n", i + 1).at, err);
    }
    if (rc != 0) {
        return rc;
    }
    /* a file, as everybody may read command lines */
    s->zk_conf = pf_local_path(s->arena, dir, "zk.conf");
    const char *url = pf_zk_url(password, s->zk, s->n_zk, s->arena);
    return write_text(s->zk_conf, pf_arena_printf(s->arena, "zk = %s\n", url).at, err);
}

/* --- does it serve? -------------------------------------------------------------------------- */

static void probe_later(struct pf_daemon *d)
{
    pf_supervisor_close_pipe(d);
    pf_timer_set(d->probe, pf_loop_now_ms(d->owner->loop) + d->probe_ms);
    d->probe_ms = d->probe_ms * 2 < PROBE_MAX_MS ? d->probe_ms * 2 : PROBE_MAX_MS;
}

static void on_answer(struct pf_daemon *d)
{
    if (!pf_buf_reserve(&d->line, ANSWER_MAX)) {
        probe_later(d);
        return;
    }
    ssize_t n = read(d->ready_fd, d->line.data + d->line.len, ANSWER_MAX);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    d->line.len += n > 0 ? (size_t)n : 0;
    if (n > 0 && d->line.len < ANSWER_MAX) {
        return; /* it closes behind its answer */
    }
    if (!pf_zk_is_serving((struct pf_str){(const char *)d->line.data, (uint32_t)d->line.len})) {
        probe_later(d);
        return;
    }
    pf_supervisor_close_pipe(d);
    pf_supervisor_daemon_ready(d);
}

static void on_socket(void *ctx, unsigned ready)
{
    struct pf_daemon *d = ctx;
    int sys = 0;
    socklen_t len = (socklen_t)sizeof sys;
    if ((ready & PF_WATCH_READ) != 0) {
        on_answer(d);
    } else if (getsockopt(d->ready_fd, SOL_SOCKET, SO_ERROR, &sys, &len) != 0 || sys != 0 ||
               send(d->ready_fd, "srvr", 4, MSG_NOSIGNAL) != 4) {
        probe_later(d);
    } else {
        pf_watch_set(d->watch, PF_WATCH_READ);
    }
}

static void probe(struct pf_daemon *d)
{
    const struct pf_zk_ports *at = &d->owner->zk[d->zk_i];
    struct sockaddr_in sa = pf_zk_address(at->host, at->client);
    pf_supervisor_close_pipe(d);
    d->ready_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool is_begun =
        d->ready_fd >= 0 &&
        (connect(d->ready_fd, (const struct sockaddr *)&sa, (socklen_t)sizeof sa) == 0 ||
         errno == EINPROGRESS) &&
        pf_watch_create(d->owner->loop, d->ready_fd, PF_WATCH_WRITE, PF_PRIO_NORMAL, on_socket, d,
                        &d->watch, NULL) == 0;
    if (is_begun) {
        pf_timer_set(d->probe, pf_loop_now_ms(d->owner->loop) + PROBE_PATIENCE_MS);
    } else {
        probe_later(d);
    }
}

static void on_probe_time(void *ctx)
{
    probe(ctx);
}

void pf_supervisor_probe(struct pf_daemon *d)
{
    if (d->probe == NULL) {
        d->probe = pf_timer_create(d->owner->loop, PF_PRIO_NORMAL, on_probe_time, d);
    }
    d->probe_ms = PROBE_MIN_MS;
    probe_later(d);
}
