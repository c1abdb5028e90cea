/* SPDX-License-Identifier: Apache-2.0 */
/* One listening socket that survives running out of descriptors: it pauses for 100 ms instead of
 * spinning. Only for common/net. */
#ifndef PF_COMMON_NET_LISTENER_H
#define PF_COMMON_NET_LISTENER_H

#include <event2/listener.h>
#include <stdbool.h>
#include <stdint.h>
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "common/net/loop_internal.h"

#define PF_ACCEPT_PAUSE_MS 100

struct pf_listener {
    struct pf_loop_acceptor acceptor; /* its `lev` does the accepting */
    struct pf_loop *loop;
    struct pf_timer *resume;
    uint64_t *n_errors, *n_refused; /* counters of the owner */
    TAILQ_ENTRY(pf_listener) link;  /* of the owner */
};

TAILQ_HEAD(pf_listeners, pf_listener);

/* Binds and listens. `on_accept` NULL: the caller gives the evconnlistener to evhttp, which then
 * owns it (pf_listener_close must come before evhttp_free). `out_address` may be NULL. */
PF_MUST_USE int pf_listener_open(struct pf_loop *loop, const char *address, bool has_top_fds,
                                 evconnlistener_cb on_accept, void *ctx, uint64_t *n_errors,
                                 uint64_t *n_refused, char *out_address, struct pf_listener **out,
                                 struct pf_err *err);
/* Frees; and the evconnlistener with it if `owns_lev`. */
void pf_listener_close(struct pf_listener *l, bool owns_lev);
/* No descriptor to spare: accept nothing for a while. */
void pf_listener_refuse(struct pf_listener *l);

#endif
