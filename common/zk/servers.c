/* SPDX-License-Identifier: Apache-2.0 */
/* The addresses of the ensemble: names are asked in rounds, at the start and every 30 s. A name
 * that does not resolve keeps what it had. */
#include <string.h>
#include "common/zk/client_internal.h"

#define ROUND_MS     30000
#define ROUND_BAD_MS 2000 /* while some name has no address */

static bool hostport_eq(const struct pf_hostport *a, const struct pf_hostport *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

static bool servers_hold(const struct pf_hostport *at, uint32_t n, const struct pf_hostport *hp)
{
    for (uint32_t i = 0; i < n; i++) {
        if (hostport_eq(&at[i], hp)) {
            return true;
        }
    }
    return false;
}

/* The first address of each host, then the second of each, and so on. */
static uint32_t servers_gather(const struct pf_zk *z, struct pf_hostport *out)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < PF_RESOLVE_MAX; k++) {
        for (uint32_t h = 0; h < z->url.n_hosts; h++) {
            if (k < z->host[h].n && !servers_hold(out, n, &z->host[h].at[k])) {
                out[n++] = z->host[h].at[k];
            }
        }
    }
    return n;
}

static void servers_round_end(struct pf_zk *z)
{
    struct pf_hostport found[PF_ZK_SERVERS_MAX];
    uint32_t n = servers_gather(z, found);
    bool is_whole = true, is_same = n == z->n_servers;
    for (uint32_t h = 0; h < z->url.n_hosts; h++) {
        is_whole = is_whole && z->host[h].n > 0;
    }
    for (uint32_t i = 0; i < n && is_same; i++) {
        is_same = servers_hold(z->server, z->n_servers, &found[i]);
    }
    pf_timer_set(z->resolve_timer, pf_loop_now_ms(z->loop) + (is_whole ? ROUND_MS : ROUND_BAD_MS));
    if (!is_same) {
        memcpy(z->server, found, n * sizeof found[0]);
        z->n_servers = n;
        z->servers_generation++;
    }
    for (uint32_t i = 0; i < z->n_sessions; i++) {
        zk_session_servers_changed(&z->session[i]);
    }
}

static void host_resolved(void *ctx, const struct pf_hostport *at, uint32_t n, const char *why)
{
    struct zk_host *h = ctx;
    h->resolve = NULL;
    if (n > 0) {
        memcpy(h->at, at, n * sizeof at[0]);
        h->n = n;
        h->why[0] = '\0';
    } else {
        (void)snprintf(h->why, sizeof h->why, "%s", why); /* shortened is fine */
    }
    if (--h->z->n_resolving == 0) {
        servers_round_end(h->z);
    }
}

static void round_begin(void *ctx)
{
    struct pf_zk *z = ctx;
    z->n_resolving = z->url.n_hosts;
    for (uint32_t i = 0; i < z->url.n_hosts; i++) {
        z->host[i].z = z;
        z->host[i].resolve = pf_resolve_start(z->loop, &z->url.host[i], host_resolved, &z->host[i]);
    }
}

void zk_servers_start(struct pf_zk *z)
{
    z->resolve_timer = pf_timer_create(z->loop, PF_PRIO_NORMAL, round_begin, z);
    round_begin(z);
}

void zk_servers_stop(struct pf_zk *z)
{
    for (uint32_t i = 0; i < z->url.n_hosts; i++) {
        pf_resolve_cancel(z->host[i].resolve);
        z->host[i].resolve = NULL;
    }
    pf_timer_destroy(z->resolve_timer);
    z->resolve_timer = NULL;
}

void zk_server_format(const struct pf_hostport *hp, char out[PF_ZK_SERVER_TEXT])
{
    (void)snprintf(out, PF_ZK_SERVER_TEXT, "%s:%u", hp->host, hp->port); /* it fits */
}

void zk_servers_format(const struct pf_zk *z, uint32_t rotation, struct pf_buf *out)
{
    for (uint32_t i = 0; i < z->n_servers; i++) {
        char text[PF_ZK_SERVER_TEXT];
        zk_server_format(&z->server[(i + rotation) % z->n_servers], text);
        pf_buf_printf(out, "%s%s", i > 0 ? "," : "", text);
    }
}

bool zk_servers_is_taken(const struct zk_session *s)
{
    const struct pf_zk *z = s->z;
    const struct zk_session *other = &z->session[1 - s->index];
    const char *tried = zoo_get_current_server(s->zh);
    return z->n_sessions == 2 && z->n_servers > 1 && other->phase == ZK_UP && tried != NULL &&
           strcmp(tried, other->server) == 0;
}
