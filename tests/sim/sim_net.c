/* SPDX-License-Identifier: Apache-2.0 */
/* Links between nodes: TCP as its users see it. What is sent arrives in order, later or never; a
 * cut path holds it back until it is healed or both sides call the link silent; a process that dies
 * ends its links. The greetings are told as common/net tells them; their bytes are not simulated.
 */
#include <stdio.h>
#include <string.h>
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "common/link/envelope.h"
#include "tests/sim/sim_internal.h"

enum { CONNECT_MS = 2000, RETRY_MS = 20 };

static int64_t net_delay_us(struct sim *s)
{
    return sim_chance(s, 2) ? 2000 + (int64_t)sim_dice(s, 30000) : 40 + (int64_t)sim_dice(s, 400);
}

static struct sim_link *link_of(const struct sim *s, uint64_t peer)
{
    return pf_map_get_u64(&s->peers, &peer);
}

static int side_of(const struct sim_link *l, uint64_t peer)
{
    return l->peer[1] == peer ? 1 : 0;
}

static bool hears(const struct sim_link *l, int side)
{
    return !l->closed[side] && l->end[side]->is_up && l->end[side]->life == l->life[side];
}

static bool is_cut(const struct sim *s, const struct sim_node *from, const struct sim_node *to)
{
    return s->cut[from->place][to->place];
}

static void queue_drop(struct sim_link *l, int side)
{
    struct sim_message *m;

    while ((m = STAILQ_FIRST(&l->queue[side])) != NULL) {
        STAILQ_REMOVE_HEAD(&l->queue[side], next);
        pf_free(m->bytes);
        pf_free(m);
    }
}

/* A side that was told of the link hears of its end; the other one never will. */
static void side_down(struct sim *s, struct sim_link *l, int side, int code)
{
    struct sim_node *n = l->end[side];
    bool is_told = hears(l, side) && (side == 0 || l->told_up[1]);

    l->closed[side] = true;
    queue_drop(l, side);
    if (is_told) {
        sim_log(s, "%s link to %s down %s", n->name, l->end[1 - side]->name, pf_err_str(code));
        n->ops->on_down(n, l->peer[side], code, l->tag);
        sim_settle(n);
    }
}

struct due {
    uint64_t peer;
};

static void deliver(struct sim *s, struct sim_node *n, void *data);

static void schedule(struct sim *s, struct sim_link *l, int side)
{
    const struct sim_message *m = STAILQ_FIRST(&l->queue[side]);
    struct due due = {l->peer[side]};

    if (m == NULL || l->is_due[side]) {
        return;
    }
    l->is_due[side] = true;
    sim_at(s, m->at_us, NULL, deliver, pf_memdup(&due, sizeof due));
}

static void enqueue(struct sim *s, struct sim_link *l, int side, struct pf_bytes bytes)
{
    struct sim_message *m = PF_NEW(struct sim_message);

    m->bytes = bytes.at != NULL ? pf_memdup(bytes.at, bytes.len) : NULL;
    m->len = bytes.len;
    m->at_us = s->now_us + net_delay_us(s);
    m->at_us = m->at_us > l->last_us[side] ? m->at_us : l->last_us[side];
    l->last_us[side] = m->at_us;
    STAILQ_INSERT_TAIL(&l->queue[side], m, next);
    schedule(s, l, side);
}

static void take(struct sim *s, struct sim_link *l, int side, struct sim_message *m)
{
    struct sim_node *n = l->end[side];
    struct pf_msg msg;
    struct pf_err err = {0};

    if (m->bytes == NULL) {
        side_down(s, l, side, PF_ECONN);
        return;
    }
    if (pf_envelope_parse((struct pf_bytes){m->bytes, m->len}, &msg, &err) < 0) {
        sim_broken(s, "bounded", "%s got a malformed message: %s", n->name, err.msg);
    }
    s->result->messages++;
    if (s->trap != 0 && Envelope_body_type(Envelope__root(msg)) == s->trap) {
        void (*fn)(struct sim *, struct sim_node *, struct sim_node *) = s->trap_fn;

        s->trap = 0;
        sim_log(s, "trap at %s -> %s", l->end[1 - side]->name, n->name);
        fn(s, l->end[1 - side], n);
        if (!hears(l, side)) {
            return;
        }
    }
    if (side == 0 && !l->told_up[0]) {
        l->told_up[0] = true;
        l->state = SIM_LINK_UP;
        n->ops->on_up(n, l->peer[0], true, msg, l->tag);
    } else {
        sim_log(s, "%s <- %s %s", n->name, l->end[1 - side]->name,
                Body__str((int)Envelope_body_type(Envelope__root(msg))));
        n->ops->on_message(n, l->peer[side], msg);
    }
    sim_settle(n);
}

static void deliver(struct sim *s, struct sim_node *unused, void *data)
{
    uint64_t peer = ((struct due *)data)->peer;
    struct sim_link *l = link_of(s, peer);

    (void)unused;
    if (l == NULL) {
        return;
    }
    int side = side_of(l, peer);
    struct sim_message *m = STAILQ_FIRST(&l->queue[side]);

    l->is_due[side] = false;
    if (m == NULL) {
        return;
    }
    if (!hears(l, side)) {
        queue_drop(l, side);
        return;
    }
    if (is_cut(s, l->end[1 - side], l->end[side])) {
        m->at_us = s->now_us + RETRY_MS * SIM_MS;
    } else if (l->end[side]->paused_until_us > s->now_us) {
        m->at_us = l->end[side]->paused_until_us;
    }
    if (m->at_us > s->now_us) {
        schedule(s, l, side);
        return;
    }
    STAILQ_REMOVE_HEAD(&l->queue[side], next);
    take(s, l, side, m);
    pf_free(m->bytes);
    pf_free(m);
    l = link_of(s, peer); /* the node may have done anything */
    if (l != NULL) {
        schedule(s, l, side);
    }
}

/* --- connecting ------------------------------------------------------------------------------- */

static struct sim_node *node_at(struct sim *s, struct pf_str address)
{
    for (uint32_t i = 0; i < s->n_nodes; i++) {
        if (pf_str_is(address, s->node[i]->address)) {
            return s->node[i];
        }
    }
    return NULL;
}

static void arrive(struct sim *s, struct sim_node *unused, void *data)
{
    struct sim_link *l = link_of(s, ((struct due *)data)->peer);
    struct sim_node *server;
    struct pf_msg hello;
    struct pf_err err = {0};

    (void)unused;
    if (l == NULL || !hears(l, 0)) {
        return;
    }
    server = l->end[1];
    if (is_cut(s, l->end[0], server)) {
        return; /* the time-out tells */
    }
    if (!server->is_up) {
        if (!is_cut(s, server, l->end[0])) {
            side_down(s, l, 0, PF_EREFUSED);
        }
        return;
    }
    if (server->paused_until_us > s->now_us) { /* it waits in the backlog */
        sim_at(s, server->paused_until_us, NULL, arrive, pf_memdup(data, sizeof(struct due)));
        return;
    }
    l->life[1] = server->life;
    l->told_up[1] = true;
    PF_ASSERT(pf_envelope_parse((struct pf_bytes){l->hello.data, (uint32_t)l->hello.len}, &hello,
                                &err) == 0);
    pf_fb_builder_reset(&s->builder);
    enqueue(s, l, 0, pf_msg_bytes(server->ops->welcome(server, &s->builder)));
    server->ops->on_up(server, l->peer[1], false, hello, 0);
    sim_settle(server);
}

static void give_up(struct sim *s, struct sim_node *unused, void *data)
{
    struct sim_link *l = link_of(s, ((struct due *)data)->peer);

    (void)unused;
    if (l != NULL && l->state == SIM_LINK_CONNECTING && hears(l, 0)) {
        if (l->told_up[1]) {
            enqueue(s, l, 1, (struct pf_bytes){NULL, 0});
        }
        side_down(s, l, 0, PF_ETIMEOUT);
    }
}

uint64_t sim_connect(struct sim_node *n, struct pf_str address, struct pf_bytes hello, uint64_t tag)
{
    struct sim *s = n->s;
    struct sim_link *l = PF_NEW(struct sim_link);
    struct sim_node *server = node_at(s, address);

    if (server == NULL) {
        sim_broken(s, "simulator", "%s connects to nobody at %.*s", n->name, PF_STR_ARG(address));
    }
    l->end[0] = n;
    l->end[1] = server;
    l->life[0] = n->life;
    l->life[1] = server->life;
    l->peer[0] = ++s->next_peer;
    l->peer[1] = ++s->next_peer;
    l->tag = tag;
    l->state = SIM_LINK_CONNECTING;
    STAILQ_INIT(&l->queue[0]);
    STAILQ_INIT(&l->queue[1]);
    pf_buf_add(&l->hello, hello.at, hello.len);
    LIST_INSERT_HEAD(&s->links, l, next);
    pf_map_put(&s->peers, &l->peer[0], sizeof l->peer[0], l);
    pf_map_put(&s->peers, &l->peer[1], sizeof l->peer[1], l);
    struct due due = {l->peer[0]};

    sim_at(s, s->now_us + net_delay_us(s), NULL, arrive, pf_memdup(&due, sizeof due));
    sim_at(s, s->now_us + CONNECT_MS * SIM_MS, NULL, give_up, pf_memdup(&due, sizeof due));
    return l->peer[0];
}

void sim_send(struct sim_node *n, uint64_t peer, struct pf_bytes message)
{
    struct sim_link *l = link_of(n->s, peer);
    int side = l != NULL ? side_of(l, peer) : 0;

    if (l != NULL && hears(l, side) && l->told_up[side]) {
        enqueue(n->s, l, 1 - side, message);
    }
}

void sim_close(struct sim_node *n, uint64_t peer)
{
    struct sim_link *l = link_of(n->s, peer);

    if (l == NULL || l->closed[side_of(l, peer)]) {
        return;
    }
    int side = side_of(l, peer);

    l->closed[side] = true;
    queue_drop(l, side);
    if (side == 1 || l->told_up[1]) {
        enqueue(n->s, l, 1 - side, (struct pf_bytes){NULL, 0});
    }
}

void sim_welcome_again(struct sim_node *n)
{
    struct sim *s = n->s;
    struct sim_link *l;

    LIST_FOREACH(l, &s->links, next)
    {
        if (l->end[1] == n && hears(l, 1) && l->told_up[1]) {
            pf_fb_builder_reset(&s->builder);
            enqueue(s, l, 0, pf_msg_bytes(n->ops->welcome(n, &s->builder)));
        }
    }
}

/* --- ends ------------------------------------------------------------------------------------- */

void sim_net_forget(struct sim_node *n)
{
    struct sim_link *l;

    LIST_FOREACH(l, &n->s->links, next)
    {
        for (int side = 0; side < 2; side++) {
            if (l->end[side] == n && l->life[side] == n->life && !l->closed[side]) {
                l->closed[side] = true;
                queue_drop(l, side);
                if (l->told_up[1] || side == 1) {
                    enqueue(n->s, l, 1 - side, (struct pf_bytes){NULL, 0});
                }
            }
        }
    }
}

void sim_reset_links(struct sim *s, const struct sim_node *a, const struct sim_node *b)
{
    struct sim_link *l;

    LIST_FOREACH(l, &s->links, next)
    {
        if ((l->end[0] == a && l->end[1] == b) || (l->end[0] == b && l->end[1] == a)) {
            side_down(s, l, 0, PF_ECONN);
            side_down(s, l, 1, PF_ECONN);
        }
    }
}

/* A second of the net: links that cannot pass are called silent in time; dead ones are forgotten.
 */
static void on_second(struct sim *s, struct sim_node *unused, void *data)
{
    struct sim_link *l = LIST_FIRST(&s->links), *next;

    (void)unused;
    (void)data;
    for (; l != NULL; l = next) {
        bool is_stuck = is_cut(s, l->end[0], l->end[1]) || is_cut(s, l->end[1], l->end[0]);

        next = LIST_NEXT(l, next);
        if (!is_stuck) {
            l->stuck_us[0] = 0;
        } else if (l->stuck_us[0] == 0) {
            l->stuck_us[0] = s->now_us;
        } else if (s->now_us - l->stuck_us[0] > PF_LINK_SILENT_MS * SIM_MS) {
            side_down(s, l, 0, PF_ETIMEOUT);
            side_down(s, l, 1, PF_ETIMEOUT);
        }
        if (!hears(l, 0) && !hears(l, 1) && !l->is_due[0] && !l->is_due[1]) {
            queue_drop(l, 0);
            queue_drop(l, 1);
            LIST_REMOVE(l, next);
            pf_map_del(&s->peers, &l->peer[0], sizeof l->peer[0]);
            pf_map_del(&s->peers, &l->peer[1], sizeof l->peer[1]);
            pf_buf_fini(&l->hello);
            pf_free(l);
        }
    }
    sim_at(s, s->now_us + 1000 * SIM_MS, NULL, on_second, NULL);
}

void sim_net_start(struct sim *s)
{
    sim_at(s, s->now_us + 1000 * SIM_MS, NULL, on_second, NULL);
}

void sim_net_fini(struct sim *s)
{
    struct sim_link *l;

    while ((l = LIST_FIRST(&s->links)) != NULL) {
        queue_drop(l, 0);
        queue_drop(l, 1);
        LIST_REMOVE(l, next);
        pf_buf_fini(&l->hello);
        pf_free(l);
    }
    pf_map_fini(&s->peers);
}

void sim_put_hello(struct pf_fb_builder *b, enum PeerKind kind, const char *id,
                   const char *instance, struct pf_msg *out)
{
    pf_fb_builder_reset(b);
    struct pf_ref hello = Hello__put(b, &(struct Hello__args){.protocol = PF_PROTOCOL_VERSION,
                                                              .kind = kind,
                                                              .id = pf_str(id),
                                                              .instance = pf_str(instance)});

    *out = pf_envelope_finish(b, &(struct pf_envelope){.body_type = Body_Hello}, hello);
}
