/* SPDX-License-Identifier: Apache-2.0 */
/* The net as its owner sees it: listening, connecting, sending by number. */
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "common/net/net_internal.h"
#include "common/net/peer.h"

#define WELCOMES_A_MS  16 /* of agents; of others at most OTHERS_A_MS */
#define OTHERS_A_MS    256
#define WELCOME_ALL_MS 500

static void net_on_time(void *ctx)
{
    struct pf_net *net = ctx;
    int64_t now_ms = pf_loop_now_ms(net->loop);
    struct pf_heap_node *node;
    bool has_budget = true;
    while (has_budget && (node = pf_heap_first(&net->deadlines)) != NULL && node->key <= now_ms) {
        struct pf_peer *p = PF_CONTAINER(node, struct pf_peer, deadline);
        pf_heap_remove(&net->deadlines, node);
        pf_peer_on_deadline(p, now_ms);
        has_budget = pf_loop_spend(net->loop);
    }
    node = pf_heap_first(&net->deadlines);
    pf_timer_set(net->timer, node != NULL ? node->key : INT64_MAX);
}

/* --- welcoming again -------------------------------------------------------------------------- */

/* What the peer has missed goes before what follows. */
static void net_catch_up(struct pf_net *net, struct pf_peer *p)
{
    if (!p->is_client && p->n_welcomes != net->n_welcomes && pf_peer_is_open(p)) {
        p->n_welcomes = net->n_welcomes;
        pf_conn_send(&p->conn, net->welcome[p->is_trusted]);
    }
}

/* Agents come last. They answer with what they have, all at once if they were told at once, and
 * then whatever else there is waits behind thousands of answers: some in each millisecond, the more
 * the more there are, so that all are told after WELCOME_ALL_MS. */
static uint32_t net_welcome_share(const struct pf_net *net)
{
    uint32_t share = net->by_id.len / WELCOME_ALL_MS;
    return share > WELCOMES_A_MS ? share : WELCOMES_A_MS;
}

static void net_welcome_some(struct pf_net *net)
{
    uint32_t n_left[2] = {OTHERS_A_MS, net_welcome_share(net)}; /* of others, of agents */
    while (net->welcome_next != NULL && n_left[net->welcome_next->is_patient]-- > 0) {
        struct pf_peer *p = net->welcome_next;
        net->welcome_next = TAILQ_NEXT(p, link);
        net_catch_up(net, p);
    }
    pf_timer_set(net->pacer, net->welcome_next != NULL ? pf_loop_now_ms(net->loop) + 1 : INT64_MAX);
}

static void net_on_pace(void *ctx)
{
    net_welcome_some(ctx);
}

static void net_forget_welcome(struct pf_net *net)
{
    for (size_t i = 0; i < PF_ARRAY_LEN(net->welcome); i++) {
        pf_free((void *)(uintptr_t)net->welcome[i].at);
        net->welcome[i] = (struct pf_bytes){NULL, 0};
    }
}

void pf_net_welcome_again(struct pf_net *net)
{
    struct pf_link_state state = {0};
    if (net->ops.on_welcome != NULL) {
        net->ops.on_welcome(net->ctx, &state);
    }
    state.heartbeat_ms = (uint32_t)net->options.heartbeat_ms;
    net_forget_welcome(net);
    for (size_t i = 0; i < PF_ARRAY_LEN(net->welcome); i++) {
        struct pf_msg msg = pf_link_welcome_again(net->options.self, &state, i == 1, &net->builder);
        net->welcome[i] = (struct pf_bytes){pf_memdup(msg.data, msg.len), msg.len};
    }
    net->n_welcomes++;
    net->welcome_next = TAILQ_FIRST(&net->peers);
    net_welcome_some(net);
}

/* --- life ------------------------------------------------------------------------------------- */

static void net_free(struct pf_conn_set *set)
{
    struct pf_net *net = PF_CONTAINER(set, struct pf_net, conns);
    struct pf_peer *p;
    while ((p = TAILQ_FIRST(&net->peers)) != NULL) {
        pf_peer_free(p);
    }
    pf_net_unlisten(net);
    pf_timer_destroy(net->pacer);
    net_forget_welcome(net);
    pf_conn_set_fini(&net->conns);
    pf_timer_destroy(net->timer);
    pf_map_fini(&net->by_id);
    pf_heap_fini(&net->deadlines);
    pf_fb_builder_fini(&net->builder);
    pf_free((void *)(uintptr_t)net->heartbeat.at);
    pf_free(net);
}

static void options_default(struct pf_net_options *o)
{
    o->frame_max_bytes = o->frame_max_bytes != 0 ? o->frame_max_bytes : PF_FRAME_MAX_BYTES;
    o->out_max_bytes = o->out_max_bytes != 0 ? o->out_max_bytes : PF_PEER_OUT_MAX_BYTES;
    o->handshake_ms = o->handshake_ms != 0 ? o->handshake_ms : PF_HANDSHAKE_MS;
    o->heartbeat_ms = o->heartbeat_ms != 0 ? o->heartbeat_ms : PF_HEARTBEAT_MS;
    o->silent_ms = o->silent_ms != 0 ? o->silent_ms : PF_LINK_SILENT_MS;
}

int pf_net_create(struct pf_loop *loop, const struct pf_net_options *options,
                  const struct pf_net_ops *ops, void *ctx, struct pf_net **out, struct pf_err *err)
{
    PF_ASSERT(options->self != NULL);
    (void)err; /* no way to fail yet */
    struct pf_net *net = PF_NEW(struct pf_net);
    net->loop = loop;
    net->options = *options;
    options_default(&net->options);
    net->ops = *ops;
    net->ctx = ctx;
    TAILQ_INIT(&net->listeners);
    TAILQ_INIT(&net->peers);
    pf_conn_set_init(&net->conns, loop, &pf_peer_conn_ops, &net->counters,
                     net->options.out_max_bytes);
    net->conns.on_doomed = net_free;
    net->pacer = pf_timer_create(loop, PF_PRIO_NORMAL, net_on_pace, net);
    net->timer = pf_timer_create(loop, PF_PRIO_NORMAL, net_on_time, net);
    pf_fb_builder_init(&net->builder, NULL);
    struct pf_msg beat = pf_link_heartbeat(&net->builder);
    net->heartbeat = (struct pf_bytes){pf_memdup(beat.data, beat.len), beat.len};
    *out = net;
    return 0;
}

void pf_net_destroy(struct pf_net *net)
{
    if (net == NULL) {
        return;
    }
    if (net->conns.is_visiting) {
        net->conns.is_doomed = true; /* one of its callbacks is running: it ends there */
        return;
    }
    net_free(&net->conns);
}

/* --- listening ------------------------------------------------------------------------------- */

static void net_refuse(struct pf_net *net, const struct evconnlistener *lev)
{
    struct pf_listener *l;
    TAILQ_FOREACH(l, &net->listeners, link)
    {
        if (l->acceptor.lev == lev) {
            pf_listener_refuse(l);
        }
    }
}

static void net_on_accept(struct evconnlistener *lev, evutil_socket_t fd, struct sockaddr *sa,
                          int len, void *ctx)
{
    struct pf_net *net = ctx;
    (void)sa;
    (void)len;
    if (fd >= net->loop->fd_max || net->counters.n_conns >= PF_PEERS_MAX) {
        (void)close(fd); /* nothing was written */
        net_refuse(net, lev);
        return;
    }
    net->counters.accepted++;
    pf_peer_greet(pf_peer_new(net, PF_PRIO_NORMAL, false, net->options.handshake_ms), fd);
}

int pf_net_listen(struct pf_net *net, const char *address, char *out_address, struct pf_err *err)
{
    struct pf_listener *l;
    int rc = pf_listener_open(net->loop, address, net->options.has_top_fds, net_on_accept, net,
                              &net->counters.accept_errors, &net->counters.refused_accepts,
                              out_address, &l, err);
    if (rc == 0) {
        TAILQ_INSERT_TAIL(&net->listeners, l, link);
    }
    return rc;
}

void pf_net_unlisten(struct pf_net *net)
{
    struct pf_listener *l;
    while ((l = TAILQ_FIRST(&net->listeners)) != NULL) {
        TAILQ_REMOVE(&net->listeners, l, link);
        pf_listener_close(l, true);
    }
}

/* --- peers by number ------------------------------------------------------------------------- */

static struct pf_peer *net_find(const struct pf_net *net, uint64_t peer)
{
    return pf_map_get_u64(&net->by_id, &peer);
}

static struct pf_peer *net_find_up(const struct pf_net *net, uint64_t peer)
{
    struct pf_peer *p = net_find(net, peer);
    return p != NULL && pf_peer_is_open(p) ? p : NULL;
}

uint64_t pf_net_connect(struct pf_net *net, const char *address,
                        const struct pf_connect_options *options)
{
    enum pf_prio prio = options != NULL ? options->prio : PF_PRIO_NORMAL;
    int32_t ms = options != NULL && options->timeout_ms != 0 ? options->timeout_ms
                                                             : net->options.handshake_ms;
    struct pf_peer *p = pf_peer_new(net, prio, true, ms);
    p->start->link.self =
        options != NULL && options->self != NULL ? options->self : net->options.self;
    pf_peer_find(p, address);
    return p->id;
}

void pf_peer_send(struct pf_net *net, uint64_t peer, struct pf_bytes envelope)
{
    struct pf_peer *p = net_find_up(net, peer);
    if (p == NULL) {
        net->counters.dropped_sends++;
        return;
    }
    PF_ASSERT(envelope.len <= net->options.frame_max_bytes);
    net_catch_up(net, p);
    pf_conn_send(&p->conn, envelope);
}

static void net_cut(struct pf_peer *p)
{
    p->phase = PF_PEER_CLOSING;
    pf_conn_break(&p->conn, PF_ECANCELED, 0, "closed by us");
}

void pf_peer_close(struct pf_net *net, uint64_t peer, bool after_flush)
{
    struct pf_peer *p = net_find(net, peer);
    if (p == NULL) {
        return;
    }
    if (after_flush && p->phase == PF_PEER_UP) {
        pf_peer_drain(p);
    } else if (!after_flush || p->phase != PF_PEER_CLOSING) {
        net_cut(p);
    }
}

void pf_net_drop(struct pf_net *net, enum pf_net_drop which)
{
    struct pf_peer *p;
    TAILQ_FOREACH(p, &net->peers, link)
    {
        if (which == PF_NET_DROP_ALL || p->conn.item.prio != PF_PRIO_URGENT) {
            net_cut(p);
        }
    }
}

void pf_peer_goodbye(struct pf_net *net, uint64_t peer, int code, const char *reason)
{
    if (net_find_up(net, peer) != NULL) {
        struct pf_msg msg = pf_link_goodbye(code, pf_str(reason), &net->builder);
        pf_peer_send(net, peer, pf_msg_bytes(msg));
    }
    pf_peer_close(net, peer, true);
}

bool pf_peer_is_up(const struct pf_net *net, uint64_t peer)
{
    return net_find_up(net, peer) != NULL;
}

size_t pf_peer_unsent_bytes(const struct pf_net *net, uint64_t peer)
{
    struct pf_peer *p = net_find(net, peer);
    return p != NULL ? p->conn.out_bytes : 0;
}

void pf_peer_set_urgent(struct pf_net *net, uint64_t peer)
{
    struct pf_peer *p = net_find(net, peer);
    if (p == NULL || p->conn.item.prio == PF_PRIO_URGENT) {
        return;
    }
    pf_conn_set_prio(&p->conn, PF_PRIO_URGENT);
    if (net->options.has_top_fds) {
        pf_conn_to_top(&p->conn);
    }
}

void pf_net_pause(struct pf_net *net, bool is_paused)
{
    pf_conn_set_pause(&net->conns, is_paused);
}

const struct pf_net_counters *pf_net_counters(const struct pf_net *net)
{
    return &net->counters;
}
