/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets over evconnlistener. */
#include "common/net/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "common/net/address.h"
#include "common/sys/fd.h"

#define BACKLOG 4096

static void listener_pause(struct pf_listener *l)
{
    (void)evconnlistener_disable(l->acceptor.lev); /* fails only if it is disabled */
    pf_timer_set(l->resume, pf_loop_now_ms(l->loop) + PF_ACCEPT_PAUSE_MS);
}

static void listener_resume(void *ctx)
{
    struct pf_listener *l = ctx;
    if (evconnlistener_enable(l->acceptor.lev) != 0) {
        listener_pause(l);
    }
}

static void listener_on_error(struct pf_loop_acceptor *a, int sys)
{
    struct pf_listener *l = PF_CONTAINER(a, struct pf_listener, acceptor);
    (void)sys; /* EMFILE, ENFILE, ENOBUFS, ENOMEM: the answer is the same for all */
    ++*l->n_errors;
    listener_pause(l);
}

void pf_listener_refuse(struct pf_listener *l)
{
    ++*l->n_refused;
    listener_pause(l);
}

static int socket_open(const struct pf_address *a, const char *text, int *out_fd,
                       struct pf_err *err)
{
    static const int on = 1;
    int fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "socket for %.100s", text);
    }
    /* Accepted sockets inherit TCP_NODELAY. Without SO_REUSEADDR a restart waits for old ones. */
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* only slower without */
    if (bind(fd, (const struct sockaddr *)&a->sa, a->len) != 0) {
        int sys = errno;
        (void)close(fd); /* nothing was written */
        int code = sys == EADDRINUSE ? PF_EBUSY : pf_err_from_errno(sys);
        return pf_err_set_sys(err, code, sys, "cannot listen on %.100s", text);
    }
    *out_fd = fd;
    return 0;
}

int pf_listener_open(struct pf_loop *loop, const char *address, bool has_top_fds,
                     evconnlistener_cb on_accept, void *ctx, uint64_t *n_errors,
                     uint64_t *n_refused, char *out_address, struct pf_listener **out,
                     struct pf_err *err)
{
    struct pf_address a;
    int fd = -1;
    int rc = pf_address_parse(address, &a, err);
    if (rc == 0) {
        rc = socket_open(&a, address, &fd, err);
    }
    if (rc != 0) {
        return rc;
    }
    fd = has_top_fds ? pf_loop_fd_to_top(fd) : fd;
    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;
    if (getsockname(fd, (struct sockaddr *)&bound, &len) != 0) {
        rc = pf_err_set_sys(err, PF_EIO, errno, "address of %.100s", address);
        pf_fd_close(&fd);
        return rc;
    }
    errno = 0;
    struct evconnlistener *lev = evconnlistener_new(
        loop->base, on_accept, ctx, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, BACKLOG, fd);
    if (lev == NULL) {
        int sys = errno; /* listen() finds an address in use that bind() let pass */
        pf_fd_close(&fd);
        return pf_err_set_sys(err, sys == EADDRINUSE ? PF_EBUSY : PF_EIO, sys,
                              "cannot listen on %.100s", address);
    }
    struct pf_listener *l = PF_NEW(struct pf_listener);
    l->loop = loop;
    l->acceptor.lev = lev;
    l->acceptor.on_error = listener_on_error;
    l->n_errors = n_errors;
    l->n_refused = n_refused;
    l->resume = pf_timer_create(loop, PF_PRIO_URGENT, listener_resume, l);
    evconnlistener_set_error_cb(lev, pf_loop_accept_error);
    pf_loop_add_acceptor(loop, &l->acceptor);
    if (out_address != NULL) {
        pf_address_format((const struct sockaddr *)&bound, out_address);
    }
    *out = l;
    return 0;
}

void pf_listener_close(struct pf_listener *l, bool owns_lev)
{
    pf_loop_remove_acceptor(l->loop, &l->acceptor);
    pf_timer_destroy(l->resume);
    if (owns_lev) {
        evconnlistener_free(l->acceptor.lev);
    }
    pf_free(l);
}
