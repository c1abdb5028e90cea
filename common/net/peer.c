/* SPDX-License-Identifier: Apache-2.0 */
/* One peer: finding it, greeting it, its frames, its pulse, its end. */
#include "common/net/peer.h"

#include <string.h>
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "common/link/envelope.h"
#include "common/net/net_internal.h"
#include "common/sys/random.h"
#include "schemas/proffer.h"

#define LINGER_MS_MAX 2000 /* for the other side's end after our last words */

struct pf_peer *pf_peer_new(struct pf_net *net, enum pf_prio prio, bool is_client, int32_t start_ms)
{
    struct pf_peer *p = PF_NEW(struct pf_peer);
    pf_conn_init(&p->conn, &net->conns, prio, PF_HELLO_MAX_BYTES);
    p->net = net;
    p->id = ++net->last_id;
    p->is_client = p->is_known = is_client;
    p->phase = is_client ? PF_PEER_FINDING : PF_PEER_GREETING;
    p->start = PF_NEW(struct pf_peer_start);
    p->start->until_ms = pf_loop_now_ms(net->loop) + start_ms;
    TAILQ_INSERT_HEAD(&net->peers, p, link);
    pf_map_put(&net->by_id, &p->id, sizeof p->id, p);
    pf_peer_set_deadline(p, p->start->until_ms);
    return p;
}

/* Told last when all are welcomed again. It is up to date itself. */
static void peer_put_last(struct pf_peer *p)
{
    struct pf_net *net = p->net;
    p->is_patient = true;
    if (net->welcome_next == p) {
        net->welcome_next = TAILQ_NEXT(p, link);
    }
    TAILQ_REMOVE(&net->peers, p, link);
    TAILQ_INSERT_TAIL(&net->peers, p, link);
}

static void peer_end_start(struct pf_peer *p)
{
    if (p->start != NULL) {
        pf_lookup_cancel(p->start->lookup);
        PF_FREE(p->start);
    }
}

void pf_peer_free(struct pf_peer *p)
{
    struct pf_net *net = p->net;
    peer_end_start(p);
    if (net->welcome_next == p) {
        net->welcome_next = TAILQ_NEXT(p, link);
    }
    (void)pf_map_del(&net->by_id, &p->id, sizeof p->id); /* it is this peer */
    TAILQ_REMOVE(&net->peers, p, link);
    pf_heap_remove(&net->deadlines, &p->deadline);
    pf_conn_fini(&p->conn);
    pf_free(p);
}

void pf_peer_set_deadline(struct pf_peer *p, int64_t at_ms)
{
    struct pf_net *net = p->net;
    pf_heap_set(&net->deadlines, &p->deadline, at_ms);
    if (pf_heap_first(&net->deadlines) == &p->deadline) {
        pf_timer_set(net->timer, at_ms);
    }
}

static void peer_send_msg(struct pf_peer *p, struct pf_msg msg)
{
    pf_conn_send(&p->conn, pf_msg_bytes(msg));
}

bool pf_peer_is_open(const struct pf_peer *p)
{
    return p->phase == PF_PEER_UP && p->conn.state == PF_CONN_OPEN;
}

void pf_peer_drain(struct pf_peer *p)
{
    int32_t ms = p->net->options.handshake_ms;
    p->phase = PF_PEER_CLOSING;
    pf_peer_set_deadline(p, pf_loop_now_ms(p->net->loop) + ms);
    pf_conn_drain(&p->conn);
}

/* --- the pulse ------------------------------------------------------------------------------- */

static struct pf_link_pulse peer_pulse(const struct pf_peer *p)
{
    return (struct pf_link_pulse){
        .last_in_ms = p->conn.last_in_ms,
        .last_out_ms = p->conn.last_out_ms,
        .heartbeat_ms = p->net->options.heartbeat_ms,
        .silent_ms = p->net->options.silent_ms,
    };
}

static void peer_beat(struct pf_peer *p, int64_t now_ms)
{
    if (p->conn.is_stalled) {
        p->conn.last_in_ms = now_ms; /* it spoke: we do not listen */
    }
    struct pf_link_pulse pulse = peer_pulse(p);
    switch (pf_link_pulse_at(&pulse, now_ms)) {
    case PF_LINK_BEAT_BROKEN:
        p->net->counters.timeouts++;
        pf_conn_break(&p->conn, PF_ETIMEOUT, 0, "silent for %lld ms",
                      (long long)(now_ms - p->conn.last_in_ms));
        return;
    case PF_LINK_BEAT_SEND: pf_conn_send(&p->conn, p->net->heartbeat); break;
    case PF_LINK_BEAT_NONE: break;
    }
    pulse = peer_pulse(p);
    pf_peer_set_deadline(p, pf_link_pulse_next_ms(&pulse));
}

static void peer_come_up(struct pf_peer *p)
{
    struct pf_net *net = p->net;
    struct pf_link_pulse pulse;
    pf_link_pulse_start(&pulse, pf_loop_now_ms(net->loop), net->options.heartbeat_ms,
                        net->options.silent_ms, pf_hash(&p->id, sizeof p->id, net->options.seed));
    p->conn.last_in_ms = pulse.last_in_ms;
    p->conn.last_out_ms = pulse.last_out_ms;
    p->conn.frame_max_bytes = net->options.frame_max_bytes;
    p->phase = PF_PEER_UP;
    p->n_welcomes = net->n_welcomes;
    p->is_trusted = p->start->link.is_trusted;
    peer_end_start(p);
    net->counters.n_up++;
    pf_peer_set_deadline(p, pf_link_pulse_next_ms(&pulse));
}

/* --- finding --------------------------------------------------------------------------------- */

static void peer_try_address(struct pf_peer *p)
{
    struct pf_peer_start *s = p->start;
    int64_t now_ms = pf_loop_now_ms(p->net->loop);
    int64_t share_ms = (s->until_ms - now_ms) / (int64_t)(s->n_at - s->at_i);
    pf_peer_set_deadline(p, s->at_i + 1 == s->n_at ? s->until_ms : now_ms + share_ms);
    pf_conn_connect(&p->conn, &s->at[s->at_i++]);
}

static void peer_looked_up(void *ctx, const struct pf_address *at, uint32_t n, const char *why)
{
    struct pf_peer *p = ctx;
    p->start->lookup = NULL;
    if (n == 0) {
        pf_conn_break(&p->conn, PF_ECONN, 0, "name look-up: %s", why);
        return;
    }
    memcpy(p->start->at, at, n * sizeof *at);
    p->start->n_at = n;
    peer_try_address(p);
}

void pf_peer_find(struct pf_peer *p, const char *address)
{
    struct pf_peer_start *s = p->start;
    struct pf_hostport hp;
    struct pf_err err = {0};
    if (pf_parse_hostport(pf_str(address), 0, &hp, &err) != 0) {
        pf_conn_break(&p->conn, PF_EINVAL, 0, "%s", err.msg);
        return;
    }
    if (hp.host[0] == '\0') {
        memcpy(hp.host, "localhost", sizeof "localhost");
    }
    if (pf_address_numeric(&hp, &s->at[0])) {
        s->n_at = 1;
        peer_try_address(p);
    } else {
        s->lookup = pf_lookup_start(p->net->loop, &hp, peer_looked_up, p);
    }
}

static void peer_on_connected(struct pf_conn *c)
{
    struct pf_peer *p = PF_CONTAINER(c, struct pf_peer, conn);
    uint8_t nonce[PF_NONCE_BYTES];
    pf_random_bytes(nonce, sizeof nonce);
    p->net->counters.connected++;
    p->phase = PF_PEER_GREETING;
    pf_peer_set_deadline(p, p->start->until_ms);
    pf_link_connect(&p->start->link, p->start->link.self, nonce);
    if (c->item.prio == PF_PRIO_URGENT && p->net->options.has_top_fds) {
        pf_conn_to_top(c);
    }
}

/* --- greeting -------------------------------------------------------------------------------- */

void pf_peer_greet(struct pf_peer *p, int fd)
{
    uint8_t nonce[PF_NONCE_BYTES];
    pf_random_bytes(nonce, sizeof nonce);
    pf_conn_open(&p->conn, fd);
    peer_send_msg(p,
                  pf_link_accept(&p->start->link, p->net->options.self, nonce, &p->net->builder));
}

/* Nothing of `p` may be used behind this: the owner may have destroyed the net. */
static void peer_tell_up(struct pf_peer *p, struct pf_msg greeting, uint8_t kind)
{
    struct sockaddr_storage sa = {0};
    socklen_t len = sizeof sa;
    char address[PF_ADDRESS_MAX];
    (void)getpeername(p->conn.fd, (struct sockaddr *)&sa, &len); /* gone already: "?" */
    pf_address_format((const struct sockaddr *)&sa, address);
    p->is_known = true;
    p->net->ops.on_up(p->net->ctx, &(struct pf_peer_up){
                                       .peer = p->id,
                                       .is_client = p->is_client,
                                       .kind = kind,
                                       .is_trusted = p->is_trusted,
                                       .greeting = greeting,
                                       .address = pf_str(address),
                                   });
}

static void peer_count_refusal(struct pf_peer *p, int code)
{
    if (code == PF_EAUTH) {
        p->net->counters.auth_failures++;
    } else {
        p->net->counters.bad_frames++;
    }
}

static void peer_on_hello(struct pf_peer *p, struct pf_bytes frame)
{
    struct pf_net *net = p->net;
    struct pf_link *link = &p->start->link;
    struct pf_err err = {0};
    struct pf_msg hello;
    int rc = pf_link_on_hello(link, frame, &hello, &err);
    if (rc != 0) {
        peer_count_refusal(p, rc);
        peer_send_msg(p, pf_link_goodbye(rc, pf_str(err.msg), &net->builder));
        pf_peer_drain(p);
        return;
    }
    struct pf_link_state state = {0};
    if (net->ops.on_welcome != NULL) {
        net->ops.on_welcome(net->ctx, &state);
    }
    state.heartbeat_ms = (uint32_t)net->options.heartbeat_ms;
    peer_send_msg(p, pf_link_welcome(link, &state, &net->builder));
    if (p->conn.state != PF_CONN_OPEN) {
        return;
    }
    peer_come_up(p);
    enum PeerKind kind = Hello_kind(Envelope_body_as_Hello(Envelope__root(hello)));
    if (kind == PeerKind_MASTER) {
        pf_peer_set_urgent(net, p->id);
    } else if (kind == PeerKind_AGENT) {
        peer_put_last(p);
    }
    peer_tell_up(p, hello, (uint8_t)kind);
}

static void peer_on_greeting(struct pf_peer *p, struct pf_bytes frame)
{
    struct pf_net *net = p->net;
    struct pf_link *link = &p->start->link;
    struct pf_err err = {0};
    struct pf_msg answer;
    struct pf_msg welcome;
    int rc = pf_link_on_greeting(link, frame, &net->builder, &answer, &welcome, &err);
    if (rc != 0) {
        peer_count_refusal(p, rc);
        pf_conn_break(&p->conn, rc, 0, "%s", err.msg);
    } else if (link->phase == PF_LINK_WAIT_WELCOME) {
        peer_send_msg(p, answer);
    } else {
        peer_come_up(p);
        struct Welcome w = Envelope_body_as_Welcome(Envelope__root(welcome));
        peer_tell_up(p, welcome, (uint8_t)Welcome_kind(w));
    }
}

/* --- frames ---------------------------------------------------------------------------------- */

static void peer_on_message(struct pf_peer *p, struct pf_bytes frame)
{
    struct pf_err err = {0};
    struct pf_msg msg;
    if (pf_envelope_parse(frame, &msg, &err) != 0) {
        p->net->counters.bad_frames++;
        pf_conn_break(&p->conn, PF_EPROTO, 0, "bad frame: %s", err.msg);
        return;
    }
    struct Envelope e = Envelope__root(msg);
    enum Body type = Envelope_body_type(e);
    if (type == Body_Heartbeat) {
        return;
    }
    if (type == Body_Goodbye) {
        struct pf_str reason = Goodbye_reason(Envelope_body_as_Goodbye(e));
        pf_conn_break(&p->conn, PF_ECONN, 0, "goodbye: %.*s",
                      reason.len < 120 ? (int)reason.len : 120, reason.at != NULL ? reason.at : "");
        return;
    }
    bool is_repeated = type == Body_Welcome && p->is_client; /* it says anew what it is */
    if (type == Body_Challenge || type == Body_Hello || (type == Body_Welcome && !is_repeated)) {
        p->net->counters.bad_frames++;
        pf_conn_break(&p->conn, PF_EPROTO, 0, "greets a second time");
        return;
    }
    p->net->ops.on_message(p->net->ctx, p->id, msg);
}

static void peer_on_frame(struct pf_conn *c, struct pf_bytes frame)
{
    struct pf_peer *p = PF_CONTAINER(c, struct pf_peer, conn);
    if (p->phase == PF_PEER_UP) {
        peer_on_message(p, frame);
    } else if (p->phase == PF_PEER_GREETING && p->is_client) {
        peer_on_greeting(p, frame);
    } else if (p->phase == PF_PEER_GREETING) {
        peer_on_hello(p, frame);
    }
}

/* --- the end --------------------------------------------------------------------------------- */

void pf_peer_on_deadline(struct pf_peer *p, int64_t now_ms)
{
    switch ((enum pf_peer_phase)p->phase) {
    case PF_PEER_FINDING:
    case PF_PEER_GREETING:
        if (now_ms >= p->start->until_ms) {
            p->net->counters.timeouts++;
        }
        pf_conn_break(&p->conn, PF_ETIMEOUT, 0, "no answer in time while %s",
                      p->phase == PF_PEER_FINDING ? "connecting" : "greeting");
        return;
    case PF_PEER_UP:
        if (p->conn.state == PF_CONN_OPEN) {
            peer_beat(p, now_ms);
        }
        return;
    case PF_PEER_CLOSING: pf_conn_break(&p->conn, PF_ECANCELED, 0, "closed by us"); return;
    }
}

static void peer_on_broken(struct pf_conn *c, const struct pf_err *why)
{
    struct pf_peer *p = PF_CONTAINER(c, struct pf_peer, conn);
    struct pf_net *net = p->net;
    if (p->phase == PF_PEER_FINDING && p->start->at_i < p->start->n_at &&
        pf_loop_now_ms(net->loop) < p->start->until_ms) {
        pf_conn_reset(c);
        peer_try_address(p);
        return;
    }
    if (p->phase == PF_PEER_UP || (p->phase == PF_PEER_CLOSING && p->start == NULL)) {
        net->counters.n_up--;
    }
    struct pf_err told = *why;
    if (p->phase == PF_PEER_CLOSING) {
        pf_err_clear(&told);
        (void)pf_err_set(&told, PF_ECANCELED, "closed by us");
    }
    uint64_t id = p->id;
    bool is_known = p->is_known;
    pf_peer_free(p);
    if (is_known) {
        net->ops.on_down(net->ctx, id, &told);
    }
}

const struct pf_conn_ops pf_peer_conn_ops = {
    .on_connected = peer_on_connected,
    .on_frame = peer_on_frame,
    .on_broken = peer_on_broken,
};
