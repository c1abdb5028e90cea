/* SPDX-License-Identifier: Apache-2.0 */
/* Peers over real sockets: greetings, frames, flow, pulse, ends. */
#include "common/net/peer.h"

#include "common/base/limits.h"
#include "tests/support/peers.h"

/* --- greeting -------------------------------------------------------------------------------- */

static void test_peer_comes_up_and_talks_both_ways(void **state)
{
    struct world *w = *state;
    open_both(w, (struct pf_net_options){0});
    connect_up(w);
    assert_true(w->server.is_trusted);
    w->server.echoes = true;
    for (uint64_t i = 1; i <= 1000; i++) {
        send_to_server(w, i, 100);
    }
    test_turn_until(w->loop, w->client.n_messages == 1000);
    assert_false(w->server.is_out_of_order);
    assert_false(w->client.is_out_of_order);
    assert_int_equal(w->client.sum, 1000);
    const struct pf_net_counters *c = pf_net_counters(w->server.net);
    assert_int_equal(c->accepted, 1);
    assert_int_equal(c->n_up, 1);
    assert_true(c->frames_in >= 1001 && c->frames_out >= 1002);
    assert_true(c->bytes_in > 100000);
}

static void greet_with_keys(struct world *w, const struct pf_key *server,
                            const struct pf_key *client)
{
    w->server.self.key = server;
    w->client.self.key = client;
    open_both(w, (struct pf_net_options){0});
    (void)pf_net_connect(w->client.net, w->address, NULL);
    test_turn_until(w->loop, w->client.n_up + w->client.n_down > 0);
}

static void test_peer_with_the_right_key_is_trusted(void **state)
{
    struct world *w = *state;
    greet_with_keys(w, &w->key, &w->key);
    assert_int_equal(w->client.n_up, 1);
    assert_true(w->client.is_trusted && w->server.is_trusted);
}

static void test_peer_without_a_key_is_not_trusted(void **state)
{
    struct world *w = *state;
    greet_with_keys(w, &w->key, NULL);
    assert_int_equal(w->client.n_up, 1);
    assert_false(w->client.is_trusted || w->server.is_trusted);
}

static void test_peer_with_a_wrong_key_is_told_and_closed(void **state)
{
    struct world *w = *state;
    greet_with_keys(w, &w->key, &w->other);
    assert_int_equal(w->client.n_up, 0);
    assert_int_equal(w->client.why.code, PF_EAUTH);
    assert_non_null(strstr(w->client.why.msg, "wrong key"));
    test_turn_until(w->loop, pf_net_counters(w->server.net)->n_conns == 0);
    assert_int_equal(w->server.n_up + w->server.n_down, 0);
    assert_int_equal(pf_net_counters(w->server.net)->auth_failures, 1);
}

static void test_peer_refuses_a_server_without_our_key(void **state)
{
    struct world *w = *state;
    greet_with_keys(w, NULL, &w->key);
    assert_int_equal(w->client.why.code, PF_EAUTH);
    assert_int_equal(w->client.n_up, 0);
    test_turn_until(w->loop, w->server.n_down == 1);
}

static void test_peer_half_open_greeting_times_out(void **state)
{
    struct world *w = *state;
    uint8_t buf[1024];
    size_t len = 0;
    open_server(w, (struct pf_net_options){.handshake_ms = 40});
    int fd = test_dial(w->address);
    test_turn_until(w->loop, test_read(fd, buf, sizeof buf, &len));
    assert_true(len > 40); /* the Challenge */
    assert_int_equal(pf_net_counters(w->server.net)->timeouts, 1);
    assert_int_equal(w->server.n_up + w->server.n_down, 0);
    assert_int_equal(close(fd), 0);
}

static void test_peer_connect_times_out_when_nobody_speaks(void **state)
{
    struct world *w = *state;
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    assert_int_equal(listen(fd, 4), 0);
    side_open(&w->client, (struct pf_net_options){0});
    (void)snprintf(w->address, sizeof w->address, "localhost:%u", ntohs(sa.sin_port));
    (void)pf_net_connect(w->client.net, w->address,
                         &(struct pf_connect_options){.prio = PF_PRIO_NORMAL, .timeout_ms = 30});
    test_turn_until(w->loop, w->client.n_down == 1);
    assert_int_equal(w->client.why.code, PF_ETIMEOUT);
    assert_int_equal(close(fd), 0);
    /* and now nobody listens there */
    (void)pf_net_connect(w->client.net, w->address, NULL);
    test_turn_until(w->loop, w->client.n_down == 2);
    assert_int_equal(w->client.why.code, PF_EREFUSED);
    assert_int_equal(pf_net_counters(w->client.net)->n_conns, 0);
}

static void test_peer_bad_addresses_fail_later_not_at_once(void **state)
{
    struct world *w = *state;
    side_open(&w->client, (struct pf_net_options){0});
    uint64_t a = pf_net_connect(w->client.net, "no port", NULL);
    uint64_t b = pf_net_connect(w->client.net, "127.0.0.1:99999", NULL);
    assert_true(a != b);
    assert_int_equal(w->client.n_down, 0);
    test_turn_until(w->loop, w->client.n_down == 2);
    assert_int_equal(w->client.why.code, PF_EINVAL);
}

/* --- frames ---------------------------------------------------------------------------------- */

static void expect_closed(struct world *w, int fd, int code)
{
    uint8_t buf[1024];
    size_t len = 0;
    test_turn_until(w->loop, test_read(fd, buf, sizeof buf, &len) && w->server.n_down == 1);
    assert_int_equal(w->server.why.code, code);
    assert_int_equal(close(fd), 0);
}

static void test_peer_frames_arrive_byte_by_byte(void **state)
{
    struct world *w = *state;
    open_server(w, (struct pf_net_options){0});
    int fd = raw_client(w);
    struct pf_msg msg = envelope(w, 7, 40);
    uint8_t head[4];
    test_put_length(head, msg.len);
    for (uint32_t i = 0; i < 4 + msg.len; i++) {
        assert_int_equal(w->server.n_messages, 0);
        test_write(fd, i < 4 ? &head[i] : &msg.data[i - 4], 1);
        uint64_t before = pf_net_counters(w->server.net)->bytes_in;
        test_turn_until(w->loop, pf_net_counters(w->server.net)->bytes_in == before + 1);
    }
    assert_int_equal(w->server.n_messages, 1);
    assert_int_equal(w->server.sum, 7);
    assert_int_equal(close(fd), 0);
}

static void test_peer_many_frames_in_one_read(void **state)
{
    struct world *w = *state;
    static uint8_t all[60000];
    size_t len = 0;
    uint32_t n = 0;
    open_server(w, (struct pf_net_options){0});
    int fd = raw_client(w);
    for (;; n++) {
        struct pf_msg msg = envelope(w, n + 1, 10);
        if (len + 4 + msg.len > sizeof all) {
            break;
        }
        test_put_length(all + len, msg.len);
        memcpy(all + len + 4, msg.data, msg.len);
        len += 4 + msg.len;
    }
    test_write(fd, all, len);
    test_turn_until(w->loop, w->server.n_messages == n);
    assert_true(n > PF_TURN_EVENTS_MAX); /* more than a turn takes */
    assert_false(w->server.is_out_of_order);
    assert_int_equal(w->server.sum, n);
    assert_int_equal(close(fd), 0);
}

static void test_peer_largest_frame_passes(void **state)
{
    struct world *w = *state;
    open_both(w, (struct pf_net_options){0});
    connect_up(w);
    uint32_t overhead = envelope(w, 1, 1 << 20).len - (1 << 20);
    send_to_server(w, 1, PF_FRAME_MAX_BYTES - overhead - 64);
    send_to_server(w, 2, 10);
    test_turn_until(w->loop, w->server.n_messages == 2);
    assert_int_equal(w->server.sum, 2);
}

static void test_peer_over_long_frame_is_closed(void **state)
{
    struct world *w = *state;
    open_server(w, (struct pf_net_options){0});
    int fd = raw_client(w);
    uint8_t head[4];
    test_put_length(head, PF_FRAME_MAX_BYTES + 1);
    test_write(fd, head, 4);
    expect_closed(w, fd, PF_ELIMIT);
    assert_int_equal(pf_net_counters(w->server.net)->over_limit, 1);
}

static void test_peer_limit_is_lower_before_the_greeting(void **state)
{
    struct world *w = *state;
    uint8_t buf[1024];
    size_t len = 0;
    open_server(w, (struct pf_net_options){0});
    int fd = test_dial(w->address);
    uint8_t head[4];
    test_put_length(head, PF_HELLO_MAX_BYTES + 1);
    test_write(fd, head, 4);
    test_turn_until(w->loop, test_read(fd, buf, sizeof buf, &len));
    assert_int_equal(pf_net_counters(w->server.net)->over_limit, 1);
    assert_int_equal(w->server.n_down, 0);
    assert_int_equal(close(fd), 0);
}

static void test_peer_garbage_is_closed(void **state)
{
    struct world *w = *state;
    static const char http[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    uint8_t buf[4096];
    size_t len = 0;
    open_server(w, (struct pf_net_options){0});
    int fd = test_dial(w->address);
    test_write(fd, http, sizeof http - 1);
    test_turn_until(w->loop, test_read(fd, buf, sizeof buf, &len));
    assert_int_equal(close(fd), 0);

    fd = raw_client(w);
    uint8_t bad[68] = {64};
    memset(bad + 4, 0xee, 64);
    test_write(fd, bad, sizeof bad);
    expect_closed(w, fd, PF_EPROTO);
    assert_int_equal(pf_net_counters(w->server.net)->bad_frames, 1);
    test_turn_until(w->loop, pf_net_counters(w->server.net)->n_conns == 0);
}

static void test_peer_second_greeting_is_closed(void **state)
{
    struct world *w = *state;
    open_server(w, (struct pf_net_options){0});
    int fd = raw_client(w);
    pf_fb_builder_reset(&w->b);
    struct pf_ref body = Hello__put(&w->b, &(struct Hello__args){.protocol = 1});
    struct pf_msg msg =
        pf_envelope_finish(&w->b, &(struct pf_envelope){.body_type = Body_Hello}, body);
    uint8_t head[4];
    test_put_length(head, msg.len);
    test_write(fd, head, 4);
    test_write(fd, msg.data, msg.len);
    expect_closed(w, fd, PF_EPROTO);
}

static void test_peer_frames_before_end_of_file_are_delivered(void **state)
{
    struct world *w = *state;
    open_server(w, (struct pf_net_options){0});
    int fd = raw_client(w);
    for (uint32_t i = 1; i <= 500; i++) {
        struct pf_msg msg = envelope(w, i, 10);
        uint8_t head[4];
        test_put_length(head, msg.len);
        test_write(fd, head, 4);
        test_write(fd, msg.data, msg.len);
    }
    assert_int_equal(close(fd), 0);
    test_turn_until(w->loop, w->server.n_down == 1);
    assert_int_equal(w->server.n_messages, 500);
    assert_int_equal(w->server.why.code, PF_ECONN);
}

/* --- flow ------------------------------------------------------------------------------------ */

static void test_peer_slow_reader_is_cut_off(void **state)
{
    struct world *w = *state;
    open_server(w, (struct pf_net_options){.out_max_bytes = 8u << 20});
    int fd = raw_client(w);
    size_t most = 0;
    while (w->server.n_down == 0) {
        struct pf_msg msg = envelope(w, 1, 100000);
        pf_peer_send(w->server.net, w->server.peer, pf_msg_bytes(msg));
        size_t unsent = pf_peer_unsent_bytes(w->server.net, w->server.peer);
        most = unsent > most ? unsent : most;
        assert_int_equal(pf_loop_turn(w->loop, false, NULL), 0);
    }
    assert_int_equal(w->server.why.code, PF_ELIMIT);
    assert_true(most > (7u << 20) && most <= (8u << 20));
    assert_int_equal(pf_net_counters(w->server.net)->slow_readers, 1);
    /* sends to the dead are dropped */
    pf_peer_send(w->server.net, w->server.peer, pf_msg_bytes(envelope(w, 1, 1)));
    assert_int_equal(pf_net_counters(w->server.net)->dropped_sends, 1);
    assert_int_equal(close(fd), 0);
}

static void test_peer_pause_holds_and_resume_delivers(void **state)
{
    struct world *w = *state;
    open_both(w, (struct pf_net_options){.heartbeat_ms = 20, .silent_ms = 300});
    connect_up(w);
    pf_net_pause(w->server.net, true);
    for (uint64_t i = 1; i <= 300; i++) {
        send_to_server(w, i, 1000);
    }
    int64_t until_ms = pf_now_ms() + 500; /* longer than silent_ms: a pause breaks no link */
    test_turn_until(w->loop, pf_now_ms() > until_ms);
    assert_int_equal(w->server.n_messages, 0);
    assert_int_equal(w->server.n_down, 0);
    pf_net_pause(w->server.net, false);
    test_turn_until(w->loop, w->server.n_messages == 300);
    assert_false(w->server.is_out_of_order);
    assert_int_equal(w->server.n_down + w->client.n_down, 0);
}

static void test_peer_one_cannot_starve_another(void **state)
{
    struct world *w = *state;
    open_server(w, (struct pf_net_options){0});
    int loud = raw_client(w);
    int quiet = raw_client(w);
    struct pf_msg msg = envelope(w, 1, 10);
    uint8_t frame[256];
    test_put_length(frame, msg.len);
    memcpy(frame + 4, msg.data, msg.len);
    for (int i = 0; i < 600; i++) {
        test_write(loud, frame, 4 + msg.len);
    }
    msg = envelope(w, 1000000, 10);
    memcpy(frame + 4, msg.data, msg.len);
    test_write(quiet, frame, 4 + msg.len);
    uint32_t before = 0;
    while (w->server.sum != 1000000) {
        before = w->server.n_messages;
        w->server.sum = 0;
        assert_int_equal(pf_loop_turn(w->loop, true, NULL), 0);
        if (w->server.is_out_of_order) {
            break; /* the quiet one came between frames of the loud one */
        }
    }
    assert_true(before < 600);
    assert_int_equal(close(loud) + close(quiet), 0);
}

/* --- pulse ----------------------------------------------------------------------------------- */

static void test_peer_heartbeats_keep_a_quiet_link(void **state)
{
    struct world *w = *state;
    open_both(w, (struct pf_net_options){.heartbeat_ms = 20, .silent_ms = 400});
    connect_up(w);
    int64_t until_ms = pf_now_ms() + 700;
    test_turn_until(w->loop, pf_now_ms() > until_ms);
    assert_int_equal(w->server.n_down + w->client.n_down, 0);
    assert_int_equal(w->server.n_messages + w->client.n_messages, 0); /* they stay in the net */
    assert_true(pf_net_counters(w->server.net)->frames_out > 5);
}

static void test_peer_silence_breaks_a_link(void **state)
{
    struct world *w = *state;
    open_server(w, (struct pf_net_options){.heartbeat_ms = 15, .silent_ms = 50});
    int fd = raw_client(w); /* never sends a heartbeat */
    int64_t began_ms = pf_now_ms();
    test_turn_until(w->loop, w->server.n_down == 1);
    assert_int_equal(w->server.why.code, PF_ETIMEOUT);
    assert_true(pf_now_ms() - began_ms >= 45);
    assert_int_equal(close(fd), 0);
}

/* --- the end --------------------------------------------------------------------------------- */

static void test_peer_close_after_flush_sends_all(void **state)
{
    struct world *w = *state;
    open_both(w, (struct pf_net_options){0});
    connect_up(w);
    for (uint64_t i = 1; i <= 200; i++) {
        send_to_server(w, i, 10000);
    }
    pf_peer_close(w->client.net, w->client.peer, true);
    send_to_server(w, 201, 10); /* too late */
    test_turn_until(w->loop, w->server.n_down == 1 && w->client.n_down == 1);
    assert_int_equal(w->server.n_messages, 200);
    assert_int_equal(w->client.why.code, PF_ECANCELED);
    assert_int_equal(w->server.why.code, PF_ECONN);
    assert_int_equal(pf_net_counters(w->client.net)->n_conns, 0);
    assert_int_equal(pf_net_counters(w->client.net)->n_up, 0);
}

static void test_peer_goodbye_tells_why(void **state)
{
    struct world *w = *state;
    open_both(w, (struct pf_net_options){0});
    connect_up(w);
    pf_peer_goodbye(w->server.net, w->server.peer, PF_ECANCELED, "stepping down");
    test_turn_until(w->loop, w->server.n_down == 1 && w->client.n_down == 1);
    assert_non_null(strstr(w->client.why.msg, "stepping down"));
    assert_int_equal(w->server.why.code, PF_ECANCELED);
}

static void test_peer_may_be_closed_in_its_callback(void **state)
{
    struct world *w = *state;
    open_both(w, (struct pf_net_options){0});
    connect_up(w);
    w->server.closes_on_message = true;
    for (uint64_t i = 1; i <= 100; i++) {
        send_to_server(w, i, 10);
    }
    test_turn_until(w->loop, w->server.n_down == 1 && w->client.n_down == 1);
    assert_int_equal(w->server.n_messages, 1); /* nothing comes after the close */
    assert_int_equal(w->server.why.code, PF_ECANCELED);
}

static void test_net_may_be_destroyed_in_a_callback(void **state)
{
    struct world *w = *state;
    open_both(w, (struct pf_net_options){0});
    connect_up(w);
    w->server.destroys_on_message = true;
    for (uint64_t i = 1; i <= 100; i++) {
        send_to_server(w, i, 10);
    }
    test_turn_until(w->loop, w->client.n_down == 1);
    assert_null(w->server.net);
    assert_int_equal(w->server.n_messages, 1);
    assert_int_equal(w->server.n_down, 0);
}

static void test_peer_connect_may_be_closed_while_connecting(void **state)
{
    struct world *w = *state;
    open_both(w, (struct pf_net_options){0});
    uint64_t id = pf_net_connect(w->client.net, w->address, NULL);
    pf_peer_close(w->client.net, id, true);
    test_turn_until(w->loop, w->client.n_down == 1);
    assert_int_equal(w->client.why.code, PF_ECANCELED);
    assert_int_equal(w->client.n_up, 0);
}

static void test_peer_urgent_link_moves_to_a_top_descriptor(void **state)
{
    struct world *w = *state;
    open_both(w, (struct pf_net_options){.has_top_fds = true});
    connect_up(w);
    pf_peer_set_urgent(w->server.net, w->server.peer);
    pf_peer_set_urgent(w->client.net, w->client.peer);
    w->server.echoes = true;
    for (uint64_t i = 1; i <= 50; i++) {
        send_to_server(w, i, 10);
    }
    test_turn_until(w->loop, w->client.n_messages == 50);
    assert_int_equal(w->server.n_down, 0);
}

/* --- the server changes ------------------------------------------------------------------------
 */

/* What the second of the two nets heard of a repeated Welcome. */
struct heard {
    struct side *side;
    uint32_t n_welcomes, n_others;
    uint64_t last_epoch;
    bool is_trusted, has_hmac, others_first;
    char leader[32];
    uint64_t watched; /* a peer, and how many were told before it */
    uint32_t n_before_watched;
};

static void heard_message(void *ctx, uint64_t peer, struct pf_msg msg)
{
    struct heard *h = ctx;
    struct Welcome w = {pf_envelope_body(msg, Body_Welcome)};
    if (peer == h->watched) {
        h->n_before_watched = h->n_welcomes;
    }
    if (w.tab.p == NULL) {
        h->others_first = h->others_first || h->n_welcomes == 0;
        h->n_others++;
        return;
    }
    h->n_welcomes++;
    h->last_epoch = Welcome_epoch(w);
    h->is_trusted = Welcome_trusted(w);
    h->has_hmac = Welcome_hmac(w).at != NULL;
    (void)snprintf(h->leader, sizeof h->leader, "%.*s", (int)Welcome_leader(w).len,
                   Welcome_leader(w).at);
}

static void heard_up(void *ctx, const struct pf_peer_up *up)
{
    struct heard *h = ctx;
    h->side->peer = up->peer;
    h->side->n_up++;
}

static void heard_down(void *ctx, uint64_t peer, const struct pf_err *why)
{
    struct heard *h = ctx;
    (void)peer;
    h->side->n_down++;
    h->side->why = *why;
}

static uint64_t epoch_now;

static void say_epoch(void *ctx, struct pf_link_state *out)
{
    (void)ctx;
    out->role = MasterRole_LEADER;
    out->epoch = epoch_now;
    out->leader = PF_STR("10.0.0.1:5055");
}

/* A server that says `epoch_now`, and a client that listens for it. */
static void open_heard(struct world *w, struct heard *h)
{
    static const struct pf_net_ops server_ops = {on_up, on_message, on_down, say_epoch};
    static const struct pf_net_ops client_ops = {heard_up, heard_message, heard_down, NULL};
    const struct pf_net_options so = {.self = &w->server.self}, co = {.self = &w->client.self};
    *h = (struct heard){.side = &w->client};
    epoch_now = 5;
    assert_int_equal(pf_net_create(w->loop, &so, &server_ops, &w->server, &w->server.net, NULL), 0);
    assert_int_equal(pf_net_listen(w->server.net, "127.0.0.1:0", w->address, NULL), 0);
    assert_int_equal(pf_net_create(w->loop, &co, &client_ops, h, &w->client.net, NULL), 0);
}

static void test_peer_is_welcomed_again_before_what_follows(void **state)
{
    struct world *w = *state;
    struct heard h;
    w->server.self.key = &w->key; /* we have none: not trusted */
    open_heard(w, &h);
    connect_up(w);
    pf_net_welcome_again(w->server.net);
    pf_peer_send(w->server.net, w->server.peer, pf_msg_bytes(envelope(w, 1, 10)));
    test_turn_until(w->loop, h.n_others == 1);
    assert_int_equal(h.n_welcomes, 1);
    assert_false(h.others_first);
    assert_false(h.is_trusted);
    assert_false(h.has_hmac);
    assert_string_equal(h.leader, "10.0.0.1:5055");
    epoch_now = 6;
    w->client.self.key = &w->key;
    connect_up(w); /* its own Welcome says so already */
    epoch_now = 7;
    pf_net_welcome_again(w->server.net);
    test_turn_until(w->loop, h.n_welcomes == 3);
    assert_int_equal(h.last_epoch, 7);
    assert_int_equal(h.n_others, 1);
    pf_net_welcome_again(w->client.net); /* nobody there was welcomed by us */
    pf_peer_send(w->client.net, w->client.peer, pf_msg_bytes(envelope(w, 1, 10)));
    test_turn_until(w->loop, w->server.n_messages == 1);
    assert_int_equal(w->server.n_down + w->client.n_down, 0);
}

enum { MANY = 300 };

/* More than a turn's share, some of which leave meanwhile; the last word counts. */
static void test_peer_many_are_welcomed_again(void **state)
{
    struct world *w = *state;
    struct heard h;
    uint64_t peer[MANY];
    open_heard(w, &h);
    for (uint32_t i = 0; i < MANY; i++) {
        connect_up(w);
        peer[i] = w->server.peer;
    }
    pf_net_welcome_again(w->server.net);
    assert_int_equal(pf_loop_turn(w->loop, false, NULL), 0);
    epoch_now = 6;
    pf_net_welcome_again(w->server.net);
    for (uint32_t i = 0; i < MANY; i += 3) {
        pf_peer_close(w->server.net, peer[i], false);
    }
    for (uint32_t i = 1; i < MANY; i += 3) {
        pf_peer_send(w->server.net, peer[i], pf_msg_bytes(envelope(w, 1, 10)));
    }
    test_turn_until(w->loop, w->client.n_down == MANY / 3 && h.n_others == MANY / 3 &&
                                 h.n_welcomes >= MANY / 3 * 2);
    while (pf_loop_wait_ms(w->loop) == 0) {
        assert_int_equal(pf_loop_turn(w->loop, false, NULL), 0);
    }
    assert_int_equal(h.last_epoch, 6);
    assert_true(h.n_welcomes <= MANY * 2);
    pf_net_welcome_again(w->server.net); /* and the net may end with some to tell */
}

/* Agents are many: who came long before them and is none is told in the first turn all the same. */
static void test_peer_agents_are_welcomed_again_last(void **state)
{
    struct world *w = *state;
    struct heard h;
    open_heard(w, &h);
    w->client.self.kind = PeerKind_SCHEDULER;
    connect_up(w);
    h.watched = w->client.peer;
    h.n_before_watched = UINT32_MAX;
    w->client.self.kind = PeerKind_AGENT;
    for (uint32_t i = 0; i < MANY; i++) {
        connect_up(w);
    }
    pf_net_welcome_again(w->server.net);
    test_turn_until(w->loop, h.n_welcomes == MANY + 1);
    assert_true(h.n_before_watched < MANY); /* else it was the last */
}

static void test_peer_client_may_not_welcome(void **state)
{
    struct world *w = *state;
    open_server(w, (struct pf_net_options){0});
    int fd = raw_client(w);
    struct pf_msg msg =
        pf_link_welcome_again(&w->client.self, &(struct pf_link_state){0}, true, &w->b);
    uint8_t head[4];
    test_put_length(head, msg.len);
    test_write(fd, head, 4);
    test_write(fd, msg.data, msg.len);
    expect_closed(w, fd, PF_EPROTO);
}

/* A master that leads no more: all links end at once, and what was queued with them. */
static void test_net_drops_its_peers(void **state)
{
    struct world *w = *state;
    open_both(w, (struct pf_net_options){0});
    connect_up(w);
    connect_up(w);
    w->client.self.kind = PeerKind_MASTER; /* urgent from its Hello on */
    connect_up(w);
    uint64_t master = w->server.peer;
    pf_peer_send(w->server.net, w->server.peer - 1, pf_msg_bytes(envelope(w, 1, 10)));
    pf_net_drop(w->server.net, PF_NET_DROP_ALL_BUT_URGENT);
    assert_int_equal(w->server.n_down, 0);
    test_turn_until(w->loop, w->server.n_down == 2 && w->client.n_down == 2);
    assert_int_equal(w->server.why.code, PF_ECANCELED);
    assert_int_equal(w->client.n_messages, 0);
    assert_true(pf_peer_is_up(w->server.net, master));
    connect_up(w); /* it listens still */
    uint64_t finding = pf_net_connect(w->server.net, "127.0.0.1:1", NULL);
    assert_false(pf_peer_is_up(w->server.net, finding));
    pf_net_drop(w->server.net, PF_NET_DROP_ALL);
    test_turn_until(w->loop, w->server.n_down == 5 && w->client.n_down == 4);
    assert_int_equal(w->server.why.code, PF_ECANCELED);
    assert_int_equal(pf_net_counters(w->server.net)->n_up, 0);
    assert_int_equal(pf_net_counters(w->server.net)->n_conns, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_peer_comes_up_and_talks_both_ways),
        T(test_peer_with_the_right_key_is_trusted),
        T(test_peer_without_a_key_is_not_trusted),
        T(test_peer_with_a_wrong_key_is_told_and_closed),
        T(test_peer_refuses_a_server_without_our_key),
        T(test_peer_half_open_greeting_times_out),
        T(test_peer_connect_times_out_when_nobody_speaks),
        T(test_peer_bad_addresses_fail_later_not_at_once),
        T(test_peer_frames_arrive_byte_by_byte),
        T(test_peer_many_frames_in_one_read),
        T(test_peer_largest_frame_passes),
        T(test_peer_over_long_frame_is_closed),
        T(test_peer_limit_is_lower_before_the_greeting),
        T(test_peer_garbage_is_closed),
        T(test_peer_second_greeting_is_closed),
        T(test_peer_frames_before_end_of_file_are_delivered),
        T(test_peer_slow_reader_is_cut_off),
        T(test_peer_pause_holds_and_resume_delivers),
        T(test_peer_one_cannot_starve_another),
        T(test_peer_heartbeats_keep_a_quiet_link),
        T(test_peer_silence_breaks_a_link),
        T(test_peer_close_after_flush_sends_all),
        T(test_peer_goodbye_tells_why),
        T(test_peer_may_be_closed_in_its_callback),
        T(test_net_may_be_destroyed_in_a_callback),
        T(test_peer_connect_may_be_closed_while_connecting),
        T(test_peer_urgent_link_moves_to_a_top_descriptor),
        T(test_peer_is_welcomed_again_before_what_follows),
        T(test_peer_many_are_welcomed_again),
        T(test_peer_agents_are_welcomed_again_last),
        T(test_peer_client_may_not_welcome),
        T(test_net_drops_its_peers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
