/* SPDX-License-Identifier: Apache-2.0 */
/* The greetings of both sides against each other, without a net. */
#include "common/link/handshake.h"

#include "common/base/alloc.h"
#include "common/link/envelope.h"
#include "schemas/proffer.h"
#include "tests/support/test.h"

struct side {
    struct pf_link_self self;
    struct pf_link link;
    struct pf_fb_builder b;
};

struct pair {
    struct side server, client;
    struct pf_key key, other;
};

static int setup(void **state)
{
    struct pair *p = pf_alloc(sizeof *p);
    memset(p->key.b, 1, sizeof p->key.b);
    memset(p->other.b, 2, sizeof p->other.b);
    p->server.self = (struct pf_link_self){
        .kind = PeerKind_MASTER, .instance = "i1", .cluster = "blue", .version = "1"};
    p->client.self = (struct pf_link_self){.kind = PeerKind_AGENT, .id = "a1", .cluster = "blue"};
    pf_fb_builder_init(&p->server.b, NULL);
    pf_fb_builder_init(&p->client.b, NULL);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct pair *p = *state;
    pf_fb_builder_fini(&p->server.b);
    pf_fb_builder_fini(&p->client.b);
    pf_free(p);
    return 0;
}

/* Runs the greetings to the Hello's check. */
static int greet(struct pair *p, struct pf_msg *hello, struct pf_err *err)
{
    static const uint8_t nonce_s[PF_NONCE_BYTES] = {1, 2, 3};
    static const uint8_t nonce_c[PF_NONCE_BYTES] = {4, 5, 6};
    struct pf_msg challenge = pf_link_accept(&p->server.link, &p->server.self, nonce_s,
                                             &p->server.b);
    pf_link_connect(&p->client.link, &p->client.self, nonce_c);
    struct pf_msg answer = {0};
    struct pf_msg none = {0};
    assert_int_equal(pf_link_on_greeting(&p->client.link, pf_msg_bytes(challenge), &p->client.b,
                                         &answer, &none, NULL),
                     0);
    assert_int_equal(p->client.link.phase, PF_LINK_WAIT_WELCOME);
    assert_null(none.data);
    return pf_link_on_hello(&p->server.link, pf_msg_bytes(answer), hello, err);
}

static int welcome(struct pair *p, const struct pf_link_state *s, struct pf_msg *out,
                   struct pf_err *err)
{
    struct pf_msg msg = pf_link_welcome(&p->server.link, s, &p->server.b);
    struct pf_msg none = {0};
    int rc = pf_link_on_greeting(&p->client.link, pf_msg_bytes(msg), &p->client.b, &none, out,
                                 err);
    assert_null(none.data);
    return rc;
}

static void test_handshake_trusts_the_right_key(void **state)
{
    struct pair *p = *state;
    struct pf_msg hello, welcomed;
    struct pf_str masters[] = {PF_STR("h1:1"), PF_STR("h2:2")};
    static const uint8_t incarnation[16] = {7};
    p->server.self.key = &p->key;
    p->client.self.key = &p->key;
    assert_int_equal(greet(p, &hello, NULL), 0);
    assert_int_equal(p->server.link.phase, PF_LINK_UP);
    assert_true(p->server.link.is_trusted);
    struct Hello h = Envelope_body_as_Hello(Envelope__root(hello));
    assert_true(pf_str_is(Hello_id(h), "a1"));
    assert_int_equal(Hello_kind(h), PeerKind_AGENT);
    struct pf_link_state s = {.role = MasterRole_LEADER, .master = masters, .n_masters = 2,
                              .incarnation = {incarnation, 16}, .epoch = 9};
    assert_int_equal(welcome(p, &s, &welcomed, NULL), 0);
    assert_int_equal(p->client.link.phase, PF_LINK_UP);
    assert_true(p->client.link.is_trusted);
    struct Welcome w = Envelope_body_as_Welcome(Envelope__root(welcomed));
    assert_int_equal(Welcome_epoch(w), 9);
    assert_int_equal(Welcome_role(w), MasterRole_LEADER);
    assert_int_equal(Welcome_masters__len(w), 2);
    assert_true(pf_str_is(Welcome_masters__at(w, 1), "h2:2"));
    assert_true(pf_str_is(Welcome_instance(w), "i1"));
}

static void test_handshake_trusts_all_when_no_side_has_a_key(void **state)
{
    struct pair *p = *state;
    struct pf_msg hello, welcomed;
    assert_int_equal(greet(p, &hello, NULL), 0);
    assert_true(p->server.link.is_trusted);
    assert_int_equal(welcome(p, &(struct pf_link_state){0}, &welcomed, NULL), 0);
    assert_true(p->client.link.is_trusted);
}

static void test_handshake_refuses_a_wrong_key(void **state)
{
    struct pair *p = *state;
    struct pf_msg hello = {0};
    struct pf_err err = {0};
    p->server.self.key = &p->key;
    p->client.self.key = &p->other;
    assert_int_equal(greet(p, &hello, &err), PF_EAUTH);
    assert_int_equal(p->server.link.phase, PF_LINK_REFUSED);
    assert_null(hello.data);
    /* the client hears why */
    struct pf_msg bye = pf_link_goodbye(err.code, pf_str(err.msg), &p->server.b);
    struct pf_msg answer, welcomed;
    struct pf_err told = {0};
    assert_int_equal(pf_link_on_greeting(&p->client.link, pf_msg_bytes(bye), &p->client.b,
                                         &answer, &welcomed, &told),
                     PF_EAUTH);
    assert_non_null(strstr(told.msg, "wrong key"));
    assert_int_equal(p->client.link.phase, PF_LINK_REFUSED);
}

static void test_handshake_without_the_key_is_untrusted(void **state)
{
    struct pair *p = *state;
    struct pf_msg hello, welcomed;
    p->server.self.key = &p->key;
    p->client.self.kind = PeerKind_OPERATOR;
    assert_int_equal(greet(p, &hello, NULL), 0);
    assert_false(p->server.link.is_trusted);
    assert_int_equal(welcome(p, &(struct pf_link_state){0}, &welcomed, NULL), 0);
    assert_false(p->client.link.is_trusted);
}

static void test_handshake_insists_on_the_key_of_agents_and_masters(void **state)
{
    struct pair *p = *state;
    struct pf_msg hello;
    p->server.self.key = &p->key;
    assert_int_equal(greet(p, &hello, NULL), PF_EAUTH);
    p->client.self.kind = PeerKind_MASTER;
    assert_int_equal(greet(p, &hello, NULL), PF_EAUTH);
}

static void test_handshake_client_insists_on_the_servers_proof(void **state)
{
    struct pair *p = *state;
    struct pf_msg hello, welcomed = {0};
    struct pf_err err = {0};
    p->client.self.key = &p->key; /* the server has none: it cannot prove that it is ours */
    assert_int_equal(greet(p, &hello, NULL), 0);
    assert_int_equal(welcome(p, &(struct pf_link_state){0}, &welcomed, &err), PF_EAUTH);
    assert_null(welcomed.data);

    struct pf_err again = {0};
    p->server.self.key = &p->key;
    assert_int_equal(greet(p, &hello, NULL), 0);
    p->server.self.key = &p->other; /* somebody else answers */
    assert_int_equal(welcome(p, &(struct pf_link_state){0}, &welcomed, &again), PF_EAUTH);
}

/* A Hello recorded on one connection proves nothing on another: the server's nonce is new. */
static void test_handshake_refuses_a_replayed_hello(void **state)
{
    struct pair *p = *state;
    static const uint8_t nonce_s[2][PF_NONCE_BYTES] = {{1}, {2}};
    static const uint8_t nonce_c[PF_NONCE_BYTES] = {4};
    struct pf_msg hello, answer, none;
    p->server.self.key = &p->key;
    p->client.self.key = &p->key;
    struct pf_msg challenge = pf_link_accept(&p->server.link, &p->server.self, nonce_s[0],
                                             &p->server.b);
    pf_link_connect(&p->client.link, &p->client.self, nonce_c);
    assert_int_equal(pf_link_on_greeting(&p->client.link, pf_msg_bytes(challenge), &p->client.b,
                                         &answer, &none, NULL),
                     0);
    (void)pf_link_accept(&p->server.link, &p->server.self, nonce_s[1], &p->server.b);
    assert_int_equal(pf_link_on_hello(&p->server.link, pf_msg_bytes(answer), &hello, NULL),
                     PF_EAUTH);
}

static void test_handshake_refuses_another_cluster(void **state)
{
    struct pair *p = *state;
    struct pf_msg hello;
    struct pf_err err = {0};
    p->client.self.cluster = "green";
    assert_int_equal(greet(p, &hello, &err), PF_EINVAL);
    assert_non_null(strstr(err.msg, "blue"));
    p->client.self.cluster = ""; /* any will do */
    assert_int_equal(greet(p, &hello, NULL), 0);
}

static void test_handshake_refuses_what_is_no_greeting(void **state)
{
    struct pair *p = *state;
    static const uint8_t nonce[PF_NONCE_BYTES] = {1};
    static const uint8_t garbage[] = "GET / HTTP/1.1\r\n\r\n";
    struct pf_msg out, other;
    (void)pf_link_accept(&p->server.link, &p->server.self, nonce, &p->server.b);
    assert_int_equal(pf_link_on_hello(&p->server.link,
                                      (struct pf_bytes){garbage, sizeof garbage}, &out, NULL),
                     PF_EPROTO);
    (void)pf_link_accept(&p->server.link, &p->server.self, nonce, &p->server.b);
    struct pf_msg beat = pf_link_heartbeat(&p->client.b);
    assert_int_equal(pf_link_on_hello(&p->server.link, pf_msg_bytes(beat), &out, NULL), PF_EPROTO);
    pf_link_connect(&p->client.link, &p->client.self, nonce);
    beat = pf_link_heartbeat(&p->server.b);
    assert_int_equal(pf_link_on_greeting(&p->client.link, pf_msg_bytes(beat), &p->client.b, &out,
                                         &other, NULL),
                     PF_EPROTO);
}

static void hello_of_version(struct pair *p, uint32_t protocol, uint32_t nonce_bytes, int expected)
{
    static const uint8_t nonce[PF_NONCE_BYTES] = {1};
    struct pf_msg out;
    (void)pf_link_accept(&p->server.link, &p->server.self, nonce, &p->server.b);
    pf_fb_builder_reset(&p->client.b);
    struct pf_ref body = Hello__put(&p->client.b, &(struct Hello__args){
                                                      .protocol = protocol,
                                                      .nonce = {nonce, nonce_bytes},
                                                  });
    struct pf_msg msg = pf_envelope_finish(
        &p->client.b, &(struct pf_envelope){.body_type = Body_Hello}, body);
    assert_int_equal(pf_link_on_hello(&p->server.link, pf_msg_bytes(msg), &out, NULL), expected);
}

static void test_handshake_checks_version_and_nonce(void **state)
{
    struct pair *p = *state;
    hello_of_version(p, PF_PROTOCOL_VERSION, PF_NONCE_BYTES, 0);
    hello_of_version(p, PF_PROTOCOL_VERSION + 1, PF_NONCE_BYTES, PF_EVERSION);
    hello_of_version(p, PF_PROTOCOL_VERSION, PF_NONCE_BYTES - 1, PF_EPROTO);
}

static void test_pulse_beats_and_breaks(void **state)
{
    (void)state;
    struct pf_link_pulse p;
    pf_link_pulse_start(&p, 1000, 100, 300, 0);
    assert_int_equal(pf_link_pulse_at(&p, 1099), PF_LINK_BEAT_NONE);
    assert_int_equal(pf_link_pulse_next_ms(&p), 1100);
    assert_int_equal(pf_link_pulse_at(&p, 1100), PF_LINK_BEAT_SEND);
    p.last_out_ms = 1250;
    assert_int_equal(pf_link_pulse_next_ms(&p), 1300);
    assert_int_equal(pf_link_pulse_at(&p, 1299), PF_LINK_BEAT_NONE);
    assert_int_equal(pf_link_pulse_at(&p, 1300), PF_LINK_BEAT_BROKEN);
    p.last_in_ms = 1299;
    assert_int_equal(pf_link_pulse_at(&p, 1300), PF_LINK_BEAT_NONE);
}

static void test_pulse_phases_are_spread(void **state)
{
    (void)state;
    int64_t first = -1;
    bool differ = false;
    for (uint64_t phase = 0; phase < 1000; phase += 77) {
        struct pf_link_pulse p;
        pf_link_pulse_start(&p, 1000, 100, 300, phase);
        int64_t next = pf_link_pulse_next_ms(&p);
        assert_true(next > 1000 && next <= 1100);
        differ = differ || (first >= 0 && next != first);
        first = next;
    }
    assert_true(differ);
}

static void test_envelope_reads_back(void **state)
{
    struct pair *p = *state;
    struct pf_msg msg = pf_envelope_reply(&p->client.b, 42, ReplyCode_NOT_FOUND, PF_STR("no"));
    struct pf_msg back;
    assert_int_equal(pf_envelope_parse(pf_msg_bytes(msg), &back, NULL), 0);
    struct pf_envelope e = pf_envelope_of(back);
    assert_int_equal(e.request_id, 42);
    assert_true(e.is_reply);
    assert_int_equal(e.code, ReplyCode_NOT_FOUND);
    assert_true(pf_str_is(e.text, "no"));
    assert_int_equal(e.body_type, Body_Reply);
    assert_non_null(pf_envelope_body(back, Body_Reply).p);
    assert_null(pf_envelope_body(back, Body_Hello).p);
    struct pf_err err = {0};
    assert_int_equal(pf_envelope_parse((struct pf_bytes){msg.data, 3}, &back, &err), PF_EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_handshake_trusts_the_right_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_handshake_trusts_all_when_no_side_has_a_key, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_handshake_refuses_a_wrong_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_handshake_without_the_key_is_untrusted, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_handshake_insists_on_the_key_of_agents_and_masters,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_handshake_client_insists_on_the_servers_proof, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_handshake_refuses_a_replayed_hello, setup, teardown),
        cmocka_unit_test_setup_teardown(test_handshake_refuses_another_cluster, setup, teardown),
        cmocka_unit_test_setup_teardown(test_handshake_refuses_what_is_no_greeting, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_handshake_checks_version_and_nonce, setup, teardown),
        cmocka_unit_test(test_pulse_beats_and_breaks),
        cmocka_unit_test(test_pulse_phases_are_spread),
        cmocka_unit_test_setup_teardown(test_envelope_reads_back, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
