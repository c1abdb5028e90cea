/* SPDX-License-Identifier: Apache-2.0 */
/* Links to masters: all of them by the word of one, one link to each, tried again when lost. */
#include "agent/daemon/masters.h"

#include <string.h>

#include "schemas/proffer.h"
#include "tests/support/test.h"

#define N 2

struct world;

struct server {
    struct world *world;
    struct pf_net *net;
    struct pf_link_self self;
    char address[PF_ADDRESS_MAX];
    char instance[16];
};

struct world {
    struct pf_loop *loop;
    struct server server[N];
    struct pf_str told[N];
    struct pf_link_self self;
    struct pf_net *net;
    struct pf_masters *masters;
    uint32_t n_connects, n_ups, n_duplicates, n_downs;
};

static void server_up(void *ctx, const struct pf_peer_up *up)
{
    (void)ctx;
    assert_false(up->is_client);
}

static void no_message(void *ctx, uint64_t peer, struct pf_msg envelope)
{
    (void)ctx;
    (void)peer;
    (void)envelope;
}

static void server_down(void *ctx, uint64_t peer, const struct pf_err *why)
{
    (void)ctx;
    (void)peer;
    assert_true(why->code < 0);
}

static void server_welcome(void *ctx, struct pf_link_state *out)
{
    struct server *s = ctx;

    out->role = MasterRole_LEADER;
    out->master = s->world->told;
    out->n_masters = N;
}

static void agent_up(void *ctx, const struct pf_peer_up *up)
{
    struct world *w = ctx;
    enum pf_master_up how = pf_masters_on_up(w->masters, up);

    assert_int_not_equal(how, PF_MASTER_NOT_OURS);
    w->n_ups += how == PF_MASTER_UP ? 1 : 0;
    w->n_duplicates += how == PF_MASTER_DUPLICATE ? 1 : 0;
}

static void agent_down(void *ctx, uint64_t peer, const struct pf_err *why)
{
    struct world *w = ctx;
    bool was_up;

    assert_true(pf_masters_on_down(w->masters, peer, why, &was_up));
    w->n_downs += was_up ? 1 : 0;
}

static void agent_welcome(void *ctx, struct pf_link_state *out)
{
    (void)ctx;
    (void)out;
}

static void on_connect(void *ctx, uint64_t peer)
{
    struct world *w = ctx;

    assert_true(peer != 0);
    w->n_connects++;
}

static void server_open(struct server *s, const char *address)
{
    static const struct pf_net_ops ops = {server_up, no_message, server_down, server_welcome};
    const struct pf_net_options o = {.self = &s->self};

    s->self = (struct pf_link_self){
        .kind = PeerKind_MASTER, .id = "", .instance = s->instance, .cluster = ""};
    assert_int_equal(pf_net_create(s->world->loop, &o, &ops, s, &s->net, NULL), 0);
    assert_int_equal(pf_net_listen(s->net, address, s->address, NULL), 0);
}

static int setup(void **state)
{
    static const struct pf_net_ops ops = {agent_up, no_message, agent_down, agent_welcome};
    struct world *w = test_calloc(1, sizeof *w);
    const struct pf_net_options o = {.self = &w->self};

    assert_int_equal(pf_loop_create(&w->loop, NULL), 0);
    for (uint32_t i = 0; i < N; i++) {
        w->server[i].world = w;
        (void)snprintf(w->server[i].instance, sizeof w->server[i].instance, "master%u", i);
        server_open(&w->server[i], "127.0.0.1:0");
        w->told[i] = pf_str(w->server[i].address);
    }
    w->self = (struct pf_link_self){.kind = PeerKind_AGENT, .id = "a", .cluster = ""};
    assert_int_equal(pf_net_create(w->loop, &o, &ops, w, &w->net, NULL), 0);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    pf_masters_destroy(w->masters);
    pf_net_destroy(w->net);
    for (uint32_t i = 0; i < N; i++) {
        pf_net_destroy(w->server[i].net);
    }
    pf_loop_destroy(w->loop);
    test_free(w);
    return 0;
}

static void begin(struct world *w, const char *first, const char *second)
{
    void *at[] = {(void *)(uintptr_t)first, (void *)(uintptr_t)second};
    const struct pf_ptrs addresses = {at, second != NULL ? 2 : 1, 2};
    const struct pf_masters_options mo = {.addresses = &addresses,
                                          .how = {.prio = PF_PRIO_URGENT},
                                          .seed = 1,
                                          .on_connect = on_connect,
                                          .ctx = w};

    w->masters = pf_masters_create(w->loop, w->net, &mo);
    assert_int_equal(w->n_connects, 0);
    pf_masters_begin(w->masters);
}

static void until(struct world *w, const uint32_t *n, uint32_t at_least)
{
    int64_t limit_ms = pf_loop_now_ms(w->loop) + 20000;

    while (*n < at_least) {
        assert_int_equal(pf_loop_turn(w->loop, true, NULL), 0);
        assert_true(pf_loop_now_ms(w->loop) < limit_ms);
    }
}

static void test_masters_name_each_other(void **state)
{
    struct world *w = *state;
    struct pf_str address[PF_MASTERS_MAX];

    begin(w, w->server[0].address, NULL);
    until(w, &w->n_ups, 2);
    assert_int_equal(pf_masters_n_up(w->masters), 2);
    assert_int_equal(pf_masters_addresses(w->masters, address), 2);
    assert_true(pf_str_is(address[1], w->server[1].address));
    assert_int_equal(w->n_connects, 2);
}

/* The same master under two names: one link; when that is lost, either name serves. */
static void test_second_name_of_a_master_is_no_second_link(void **state)
{
    struct world *w = *state;
    char other[PF_ADDRESS_MAX];

    (void)snprintf(other, sizeof other, "localhost%s", strchr(w->server[0].address, ':'));
    begin(w, w->server[0].address, other);
    until(w, &w->n_duplicates, 1);
    until(w, &w->n_ups, 2);
    assert_int_equal(pf_masters_n_up(w->masters), 2);
    assert_int_equal(w->n_downs, 0);
}

static void test_lost_master_is_tried_until_it_is_back(void **state)
{
    struct world *w = *state;
    char address[PF_ADDRESS_MAX];

    begin(w, w->server[0].address, w->server[1].address);
    until(w, &w->n_ups, 2);
    memcpy(address, w->server[0].address, sizeof address);
    pf_net_destroy(w->server[0].net);
    w->server[0].net = NULL;
    until(w, &w->n_downs, 1);
    assert_int_equal(pf_masters_n_up(w->masters), 1);
    until(w, &w->n_connects, 4); /* at least one try in vain */
    server_open(&w->server[0], address);
    until(w, &w->n_ups, 3);
    assert_int_equal(pf_masters_n_up(w->masters), 2);
}

static void test_list_of_masters_is_bounded(void **state)
{
    struct world *w = *state;
    struct pf_str out[PF_MASTERS_MAX];
    char text[PF_MASTERS_MAX + 4][16];
    void *at[PF_MASTERS_MAX + 4];

    for (uint32_t i = 0; i < PF_MASTERS_MAX + 4; i++) {
        (void)snprintf(text[i], sizeof text[i], "127.0.0.1:%u", i + 1);
        at[i] = text[i];
    }
    const struct pf_ptrs addresses = {at, PF_MASTERS_MAX + 4, PF_MASTERS_MAX + 4};
    const struct pf_masters_options mo = {.addresses = &addresses};
    w->masters = pf_masters_create(w->loop, w->net, &mo);
    assert_int_equal(pf_masters_addresses(w->masters, out), PF_MASTERS_MAX);
    assert_int_equal(pf_masters_n_up(w->masters), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_masters_name_each_other),
        CASE(test_second_name_of_a_master_is_no_second_link),
        CASE(test_lost_master_is_tried_until_it_is_back),
        CASE(test_list_of_masters_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
