/* SPDX-License-Identifier: Apache-2.0 */
/* A serving and a connecting net on one loop, each noting what its callbacks were told. */
#ifndef PF_TESTS_SUPPORT_PEERS_H
#define PF_TESTS_SUPPORT_PEERS_H

#include "common/base/alloc.h"
#include "common/link/envelope.h"
#include "common/net/peer.h"
#include "schemas/proffer.h"
#include "tests/support/net.h"

struct side {
    struct world *w;
    struct pf_net *net;
    struct pf_link_self self;
    uint64_t peer;        /* the last that came up */
    uint32_t n_up, n_down, n_messages;
    bool is_trusted;
    struct pf_err why;    /* of the last that went down */
    uint64_t sum;         /* of the sequences received, and their order */
    bool is_out_of_order;
    bool echoes, closes_on_message, destroys_on_message;
};

struct world {
    struct pf_loop *loop;
    struct side server, client;
    struct pf_key key, other;
    struct pf_fb_builder b;
    char address[PF_ADDRESS_MAX];
};

static inline void on_up(void *ctx, const struct pf_peer_up *up)
{
    struct side *s = ctx;
    s->peer = up->peer;
    s->n_up++;
    s->is_trusted = up->is_trusted;
    assert_true(pf_peer_is_up(s->net, up->peer));
    assert_int_equal(strncmp(up->address.at, "127.0.0.1:", 10), 0);
    assert_int_equal(up->is_client, s == &s->w->client);
    assert_non_null(pf_envelope_body(up->greeting, up->is_client ? Body_Welcome : Body_Hello).p);
}

static inline void on_message(void *ctx, uint64_t peer, struct pf_msg msg)
{
    struct side *s = ctx;
    s->n_messages++;
    uint64_t sequence = pf_envelope_of(msg).sequence;
    s->is_out_of_order = s->is_out_of_order || sequence < s->sum;
    s->sum = sequence;
    if (s->echoes) {
        pf_peer_send(s->net, peer, pf_msg_bytes(msg));
    }
    if (s->closes_on_message) {
        pf_peer_close(s->net, peer, false);
    }
    if (s->destroys_on_message) {
        pf_net_destroy(s->net);
        s->net = NULL;
    }
}

static inline void on_down(void *ctx, uint64_t peer, const struct pf_err *why)
{
    struct side *s = ctx;
    s->n_down++;
    s->why = *why;
    assert_false(pf_peer_is_up(s->net, peer));
}

static inline void on_welcome(void *ctx, struct pf_link_state *out)
{
    (void)ctx;
    out->role = MasterRole_LEADER;
    out->epoch = 5;
}

static const struct pf_net_ops ops = {on_up, on_message, on_down, on_welcome};

static inline void side_open(struct side *s, struct pf_net_options o)
{
    o.self = &s->self;
    assert_int_equal(pf_net_create(s->w->loop, &o, &ops, s, &s->net, NULL), 0);
}

static inline int setup(void **state)
{
    struct world *w = pf_alloc(sizeof *w);
    w->server.w = w->client.w = w;
    memset(w->key.b, 1, sizeof w->key.b);
    memset(w->other.b, 2, sizeof w->other.b);
    w->server.self.kind = PeerKind_MASTER;
    w->client.self.kind = PeerKind_SCHEDULER;
    pf_fb_builder_init(&w->b, NULL);
    assert_int_equal(pf_loop_create(&w->loop, NULL), 0);
    *state = w;
    return 0;
}

static inline int teardown(void **state)
{
    struct world *w = *state;
    pf_net_destroy(w->client.net);
    pf_net_destroy(w->server.net);
    pf_fb_builder_fini(&w->b);
    pf_loop_destroy(w->loop);
    pf_free(w);
    return 0;
}

static inline void open_server(struct world *w, struct pf_net_options o)
{
    side_open(&w->server, o);
    assert_int_equal(pf_net_listen(w->server.net, "127.0.0.1:0", w->address, NULL), 0);
}

static inline void open_both(struct world *w, struct pf_net_options o)
{
    open_server(w, o);
    side_open(&w->client, o);
}

static inline void connect_up(struct world *w)
{
    uint32_t before = w->server.n_up;
    uint64_t id = pf_net_connect(w->client.net, w->address, NULL);
    test_turn_until(w->loop, w->server.n_up == before + 1 && pf_peer_is_up(w->client.net, id));
    assert_int_equal(w->client.peer, id);
}

/* An envelope with a body of any kind that is not the net's, and about `bytes` of text. */
static inline struct pf_msg envelope(struct world *w, uint64_t sequence, uint32_t bytes)
{
    pf_fb_builder_reset(&w->b);
    char *text = pf_alloc(bytes + 1);
    memset(text, 'x', bytes);
    struct pf_ref body = Reply__put(&w->b, &(struct Reply__args){0});
    struct pf_msg msg = pf_envelope_finish(
        &w->b,
        &(struct pf_envelope){.sequence = sequence, .text = {text, bytes}, .body_type = Body_Reply},
        body);
    pf_free(text);
    return msg;
}

static inline void send_to_server(struct world *w, uint64_t sequence, uint32_t bytes)
{
    pf_peer_send(w->client.net, w->client.peer, pf_msg_bytes(envelope(w, sequence, bytes)));
}

/* Speaks the greeting by hand and returns the socket of an accepted peer. */
static inline int raw_client(struct world *w)
{
    uint8_t buf[4096];
    size_t len = 0;
    struct pf_link link;
    static const uint8_t nonce[PF_NONCE_BYTES] = {9};
    struct pf_msg hello, none;
    uint32_t before = w->server.n_up;
    int fd = test_dial(w->address);
    test_turn_until(w->loop, !test_read(fd, buf, sizeof buf, &len) && len > 4);
    pf_link_connect(&link, &w->client.self, nonce);
    struct pf_bytes challenge = {buf + 4, (uint32_t)len - 4};
    assert_int_equal(pf_link_on_greeting(&link, challenge, &w->b, &hello, &none, NULL), 0);
    uint8_t head[4];
    test_put_length(head, hello.len);
    test_write(fd, head, 4);
    test_write(fd, hello.data, hello.len);
    test_turn_until(w->loop, w->server.n_up == before + 1);
    len = 0;
    test_turn_until(w->loop, !test_read(fd, buf, sizeof buf, &len) && len > 4);
    return fd;
}

#endif
