/* SPDX-License-Identifier: Apache-2.0 */
/* See resolve.h: a face of lookup.h without socket addresses. */
#include "common/net/resolve.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include "common/base/alloc.h"
#include "common/net/lookup.h"

struct pf_resolve {
    struct pf_loop_item item; /* for what needs no name server */
    struct pf_lookup *lookup; /* NULL: `item` is queued instead */
    struct pf_address numeric;
    pf_resolve_done *done;
    void *ctx;
};

_Static_assert(PF_RESOLVE_MAX == PF_LOOKUP_MAX, "all that was found is told");

static bool address_to_hostport(const struct pf_address *a, struct pf_hostport *out)
{
    memset(out, 0, sizeof *out);
    if (a->sa.ss_family == AF_INET) {
        struct sockaddr_in in4;
        memcpy(&in4, &a->sa, sizeof in4);
        out->port = ntohs(in4.sin_port);
        return inet_ntop(AF_INET, &in4.sin_addr, out->host, sizeof out->host) != NULL;
    }
    if (a->sa.ss_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, &a->sa, sizeof in6);
        out->port = ntohs(in6.sin6_port);
        return inet_ntop(AF_INET6, &in6.sin6_addr, out->host, sizeof out->host) != NULL;
    }
    return false;
}

static void resolve_ended(void *ctx, const struct pf_address *at, uint32_t n, const char *why)
{
    struct pf_resolve *r = ctx;
    struct pf_resolve copy = *r;
    struct pf_hostport found[PF_RESOLVE_MAX];
    uint32_t n_found = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (address_to_hostport(&at[i], &found[n_found])) {
            n_found++;
        }
    }
    if (n > 0 && n_found == 0) {
        why = "no address of a known family";
    }
    pf_free(r);
    copy.done(copy.ctx, found, n_found, why);
}

static void resolve_deliver(struct pf_loop_item *item)
{
    struct pf_resolve *r = PF_CONTAINER(item, struct pf_resolve, item);
    struct pf_address numeric = r->numeric;
    resolve_ended(r, &numeric, 1, "");
}

struct pf_resolve *pf_resolve_start(struct pf_loop *loop, const struct pf_hostport *name,
                                    pf_resolve_done *done, void *ctx)
{
    struct pf_resolve *r = PF_NEW(struct pf_resolve);
    r->done = done;
    r->ctx = ctx;
    pf_loop_item_init(&r->item, loop, PF_PRIO_URGENT, resolve_deliver);
    if (pf_address_numeric(name, &r->numeric)) {
        pf_loop_queue(&r->item);
    } else {
        r->lookup = pf_lookup_start(loop, name, resolve_ended, r);
    }
    return r;
}

void pf_resolve_cancel(struct pf_resolve *r)
{
    if (r == NULL) {
        return;
    }
    if (r->lookup != NULL) {
        pf_lookup_cancel(r->lookup);
    } else {
        pf_loop_unqueue(&r->item);
    }
    pf_free(r);
}
