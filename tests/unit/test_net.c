/* SPDX-License-Identifier: Apache-2.0 */
/* A net as a whole: many connections, no descriptors, names, addresses. */
#include <event2/dns.h>
#include <malloc.h>
#include "common/net/address.h"
#include "common/net/conn.h"
#include "common/net/listener.h"
#include "common/net/lookup.h"
#include "tests/support/peers.h"

#define N_IDLE 2000

/* --- many ------------------------------------------------------------------------------------ */

static size_t heap_bytes(void)
{
    struct mallinfo2 m = mallinfo2(); /* zeros under ASan, whose allocator it does not know */
    return m.uordblks + m.hblkhd;
}

/* Both ends of each connection are in this process. */
static void test_peer_idle_connections_cost_little(void **state)
{
    struct world *w = *state;
    open_both(w, (struct pf_net_options){0});
    pf_loop_set_fd_max(w->loop, 1 << 20);
    connect_up(w);
    size_t before = heap_bytes();
    for (uint32_t i = 1; i < N_IDLE; i++) {
        connect_up(w);
    }
    size_t per_peer = (heap_bytes() - before) / N_IDLE / 2;
    print_message("idle connection: %zu bytes each end\n", per_peer);
    assert_true(per_peer < 1024);
    assert_int_equal(pf_net_counters(w->server.net)->n_up, N_IDLE);
}

/* No descriptor to spare: accepting pauses; when there is one again, it goes on. */
static void test_net_accepting_pauses_without_descriptors(void **state)
{
    struct world *w = *state;
    open_both(w, (struct pf_net_options){0});
    int probe = dup(0);
    assert_true(probe >= 0);
    assert_int_equal(close(probe), 0);
    pf_loop_set_fd_max(w->loop, probe); /* the next one is too high */
    int fd = test_dial(w->address);
    test_turn_until(w->loop, pf_net_counters(w->server.net)->refused_accepts >= 1);
    uint64_t turns = pf_loop_counters(w->loop)->turns;
    uint64_t refused = pf_net_counters(w->server.net)->refused_accepts;
    int more[4];
    for (int i = 0; i < 4; i++) {
        more[i] = test_dial(w->address);
    }
    test_turn_until(w->loop, pf_net_counters(w->server.net)->refused_accepts > refused);
    assert_true(pf_loop_counters(w->loop)->turns - turns < 50); /* it does not spin */
    assert_int_equal(pf_net_counters(w->server.net)->accepted, 0);
    pf_loop_set_fd_max(w->loop, 1 << 20);
    connect_up(w);
    assert_int_equal(close(fd), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(close(more[i]), 0);
    }
}

static void test_net_accepting_survives_emfile(void **state)
{
    struct world *w = *state;
    struct rlimit old;
    open_both(w, (struct pf_net_options){0});
    int fd = test_dial(w->address);
    int probe = dup(0);
    assert_true(probe >= 0);
    assert_int_equal(close(probe), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    struct rlimit none = {(rlim_t)probe, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    uint64_t turns = pf_loop_counters(w->loop)->turns;
    test_turn_until(w->loop, pf_net_counters(w->server.net)->accept_errors >= 2);
    assert_true(pf_loop_counters(w->loop)->turns - turns < 50);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    test_turn_until(w->loop, pf_net_counters(w->server.net)->accepted == 1);
    assert_int_equal(close(fd), 0);
}

/* --- addresses ------------------------------------------------------------------------------- */

static void test_net_listen_tells_what_is_wrong(void **state)
{
    struct world *w = *state;
    struct pf_err busy = {0}, name = {0}, foreign = {0};
    open_server(w, (struct pf_net_options){0});
    assert_int_equal(pf_net_listen(w->server.net, w->address, NULL, &busy), PF_EBUSY);
    assert_non_null(strstr(busy.msg, w->address));
    assert_int_equal(pf_net_listen(w->server.net, "example.org:80", NULL, &name), PF_EINVAL);
    assert_int_not_equal(pf_net_listen(w->server.net, "192.0.2.1:0", NULL, &foreign), 0);
    char second[PF_ADDRESS_MAX];
    assert_int_equal(pf_net_listen(w->server.net, "localhost:0", second, NULL), 0);
    assert_string_not_equal(second, w->address);
}

static void test_listen_check_guards_the_outside(void **state)
{
    (void)state;
    struct pf_err err = {0}, bad = {0};
    assert_int_equal(pf_listen_check("127.0.0.1:5055", false, false, NULL), 0);
    assert_int_equal(pf_listen_check("127.8.8.8:5055", false, false, NULL), 0);
    assert_int_equal(pf_listen_check("[::1]:5055", false, false, NULL), 0);
    assert_int_equal(pf_listen_check("localhost:5055", false, false, NULL), 0);
    assert_int_equal(pf_listen_check("0.0.0.0:5055", false, false, &err), PF_EUSAGE);
    assert_non_null(strstr(err.msg, "--key-file"));
    assert_non_null(strstr(err.msg, "--insecure"));
    assert_int_equal(pf_listen_check("*:5055", false, false, NULL), PF_EUSAGE);
    assert_int_equal(pf_listen_check(":5055", false, false, NULL), PF_EUSAGE);
    assert_int_equal(pf_listen_check("[::]:5055", false, false, NULL), PF_EUSAGE);
    assert_int_equal(pf_listen_check("10.1.2.3:5055", true, false, NULL), 0);
    assert_int_equal(pf_listen_check("10.1.2.3:5055", false, true, NULL), 0);
    assert_int_equal(pf_listen_check("some.name:5055", true, true, &bad), PF_EINVAL);
}

/* --- names ----------------------------------------------------------------------------------- */

static void test_net_connects_by_name(void **state)
{
    struct world *w = *state;
    char path[] = "/tmp/test_net.XXXXXX";
    char address[PF_ADDRESS_MAX];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    static const char hosts[] = "127.0.0.1 some.host.test\n";
    assert_int_equal(write(fd, hosts, sizeof hosts - 1), sizeof hosts - 1);
    open_both(w, (struct pf_net_options){0});
    assert_int_equal(evdns_base_load_hosts(pf_loop_dns(w->loop), path), 0);
    (void)snprintf(address, sizeof address, "some.host.test%s", strrchr(w->address, ':'));
    uint64_t id = pf_net_connect(w->client.net, address, NULL);
    test_turn_until(w->loop, pf_peer_is_up(w->client.net, id));
    assert_int_equal(close(fd), 0);
    assert_int_equal(unlink(path), 0);
}

/* The name server is a socket that never answers. */
static void silent_name_server(struct world *w, int *out_fd)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof sa;
    *out_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(*out_fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(getsockname(*out_fd, (struct sockaddr *)&sa, &len), 0);
    struct evdns_base *dns = pf_loop_dns(w->loop);
    assert_int_equal(evdns_base_clear_nameservers_and_suspend(dns), 0);
    assert_int_equal(evdns_base_resume(dns), 0);
    assert_int_equal(
        evdns_base_nameserver_sockaddr_add(dns, (struct sockaddr *)&sa, len, 0), 0);
}

static void test_net_name_lookup_times_out(void **state)
{
    struct world *w = *state;
    int fd;
    side_open(&w->client, (struct pf_net_options){.handshake_ms = 30});
    silent_name_server(w, &fd);
    (void)pf_net_connect(w->client.net, "some.host.test:80", NULL);
    uint64_t second = pf_net_connect(w->client.net, "other.host.test:80", NULL);
    assert_int_equal(pf_loop_turn(w->loop, false, NULL), 0);
    pf_peer_close(w->client.net, second, false);
    test_turn_until(w->loop, w->client.n_down == 2);
    assert_int_equal(w->client.why.code, PF_ETIMEOUT);
    assert_int_equal(close(fd), 0);
}

static void test_address_reads_back(void **state)
{
    (void)state;
    static const char *const texts[] = {"127.0.0.1:80", "10.0.0.255:65535", "[::1]:5055",
                                        "[fe80::1]:1"};
    for (size_t i = 0; i < PF_ARRAY_LEN(texts); i++) {
        struct pf_address a;
        char back[PF_ADDRESS_MAX];
        assert_int_equal(pf_address_parse(texts[i], &a, NULL), 0);
        pf_address_format((const struct sockaddr *)&a.sa, back);
        assert_string_equal(back, texts[i]);
        assert_int_equal(pf_address_is_loopback(&a), i == 0 || i == 2);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_peer_idle_connections_cost_little),
        T(test_net_accepting_pauses_without_descriptors),
        T(test_net_accepting_survives_emfile),
        T(test_net_listen_tells_what_is_wrong),
        T(test_listen_check_guards_the_outside),
        T(test_net_connects_by_name),
        T(test_net_name_lookup_times_out),
        T(test_address_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
