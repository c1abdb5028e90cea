/* SPDX-License-Identifier: Apache-2.0 */
/* Names by libevent's evdns, which reads /etc/hosts and /etc/resolv.conf. */
#include "common/net/lookup.h"

#include <event2/dns.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include "common/base/alloc.h"

struct pf_lookup {
    struct pf_loop_item item;
    struct evdns_getaddrinfo_request *request; /* NULL: it has ended */
    pf_lookup_done *done;
    void *ctx;
    struct pf_address at[PF_LOOKUP_MAX];
    uint32_t n;
    bool is_cancelled;
    char why[128];
};

static void lookup_deliver(struct pf_loop_item *item)
{
    struct pf_lookup *l = PF_CONTAINER(item, struct pf_lookup, item);
    struct pf_lookup copy = *l;
    pf_free(l);
    copy.done(copy.ctx, copy.at, copy.n, copy.why);
}

/* Runs inside libevent, or inside evdns_getaddrinfo. */
static void lookup_ended(int result, struct evutil_addrinfo *res, void *arg)
{
    struct pf_lookup *l = arg;
    if (l->is_cancelled) {
        pf_free(l);
    } else {
        l->request = NULL;
        for (struct evutil_addrinfo *a = res; a != NULL && l->n < PF_LOOKUP_MAX; a = a->ai_next) {
            if (a->ai_addrlen <= sizeof l->at[0].sa) {
                memcpy(&l->at[l->n].sa, a->ai_addr, a->ai_addrlen);
                l->at[l->n++].len = a->ai_addrlen;
            }
        }
        if (l->n == 0) {
            (void)snprintf(l->why, sizeof l->why, "%s",
                           result != 0 ? evutil_gai_strerror(result) : "no address");
        }
        pf_loop_queue(&l->item);
    }
    if (res != NULL) {
        evutil_freeaddrinfo(res);
    }
}

struct pf_lookup *pf_lookup_start(struct pf_loop *loop, const struct pf_hostport *hp,
                                  pf_lookup_done *done, void *ctx)
{
    struct pf_lookup *l = PF_NEW(struct pf_lookup);
    pf_loop_item_init(&l->item, loop, PF_PRIO_NORMAL, lookup_deliver);
    l->done = done;
    l->ctx = ctx;
    struct evdns_base *dns = pf_loop_dns(loop);
    if (dns == NULL) {
        (void)snprintf(l->why, sizeof l->why, "no resolver");
        pf_loop_queue(&l->item);
        return l;
    }
    char port[8];
    (void)snprintf(port, sizeof port, "%u", hp->port);
    struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC,
                                    .ai_socktype = SOCK_STREAM,
                                    .ai_protocol = IPPROTO_TCP};
    struct evdns_getaddrinfo_request *request =
        evdns_getaddrinfo(dns, hp->host, port, &hints, lookup_ended, l);
    if (!l->item.is_queued) {
        l->request = request;
    }
    return l;
}

void pf_lookup_cancel(struct pf_lookup *l)
{
    if (l == NULL) {
        return;
    }
    if (l->request == NULL) {
        pf_loop_unqueue(&l->item);
        pf_free(l);
        return;
    }
    l->is_cancelled = true;
    evdns_getaddrinfo_cancel(l->request); /* lookup_ended comes, now or later */
}
