/* SPDX-License-Identifier: Apache-2.0 */
/* Echo over loopback: a client process and a serving process, each with one loop. One JSON line per
 * shape: connections x requests in flight. Usage: bench_net [SECONDS] */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "common/link/envelope.h"
#include "common/net/peer.h"
#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "schemas/proffer.h"

#define TEXT_BYTES 200

struct bench {
    struct pf_loop *loop;
    struct pf_net *net;
    struct pf_fb_builder b;
    uint64_t echoes;
    uint32_t n_up;
    uint64_t peer[4096];
    bool is_server;
};

static void on_up(void *ctx, const struct pf_peer_up *up)
{
    struct bench *n = ctx;
    if (!n->is_server) {
        n->peer[n->n_up] = up->peer;
    }
    n->n_up++;
}

static void on_message(void *ctx, uint64_t peer, struct pf_msg msg)
{
    struct bench *n = ctx;
    n->echoes++;
    pf_peer_send(n->net, peer, pf_msg_bytes(msg));
}

static void on_down(void *ctx, uint64_t peer, const struct pf_err *why)
{
    struct bench *n = ctx;
    (void)peer;
    if (!n->is_server) {
        fprintf(stderr, "bench_net: %s\n", why->msg);
        exit(1);
    }
}

static const struct pf_net_ops ops = {on_up, on_message, on_down, NULL};

static void bench_open(struct bench *n, const struct pf_link_self *self)
{
    struct pf_err err = {0};
    struct pf_net_options o = {.self = self};
    if (pf_loop_create(&n->loop, &err) != 0 ||
        pf_net_create(n->loop, &o, &ops, n, &n->net, &err) != 0) {
        fprintf(stderr, "bench_net: %s\n", err.msg);
        exit(1);
    }
}

static void serve(int ready_fd)
{
    static const struct pf_link_self self = {.kind = PeerKind_MASTER};
    struct bench *n = PF_NEW(struct bench);
    char address[PF_ADDRESS_MAX] = "";
    struct pf_err err = {0};
    n->is_server = true;
    bench_open(n, &self);
    if (pf_net_listen(n->net, "127.0.0.1:0", address, &err) != 0 ||
        write(ready_fd, address, sizeof address) != sizeof address ||
        pf_loop_run(n->loop, &err) != 0) {
        fprintf(stderr, "bench_net: %s\n", err.msg);
        exit(1);
    }
}

static void turn(struct bench *n)
{
    struct pf_err err = {0};
    if (pf_loop_turn(n->loop, true, &err) != 0) {
        fprintf(stderr, "bench_net: %s\n", err.msg);
        exit(1);
    }
}

static void measure(const char *address, uint32_t n_conns, uint32_t in_flight, double seconds)
{
    static const struct pf_link_self self = {.kind = PeerKind_SCHEDULER};
    static const char text[TEXT_BYTES] = "x";
    struct bench *n = PF_NEW(struct bench);
    bench_open(n, &self);
    pf_fb_builder_init(&n->b, NULL);
    for (uint32_t i = 0; i < n_conns; i++) {
        (void)pf_net_connect(n->net, address, NULL);
    }
    while (n->n_up < n_conns) {
        turn(n);
    }
    struct pf_msg msg = pf_envelope_reply(&n->b, 1, 0, (struct pf_str){text, TEXT_BYTES});
    for (uint32_t i = 0; i < n_conns * in_flight; i++) {
        pf_peer_send(n->net, n->peer[i % n_conns], pf_msg_bytes(msg));
    }
    int64_t warm_us = pf_now_us() + 100000;
    while (pf_now_us() < warm_us) {
        turn(n);
    }
    uint64_t before = n->echoes;
    int64_t began_us = pf_now_us();
    int64_t until_us = began_us + (int64_t)(seconds * 1e6);
    while (pf_now_us() < until_us) {
        turn(n);
    }
    double took_s = (double)(pf_now_us() - began_us) / 1e6;
    printf("{\"bench\":\"net\",\"connections\":%u,\"in_flight\":%u,\"frame_bytes\":%u,"
           "\"echoes_per_s\":%.0f}\n",
           n_conns, in_flight, msg.len, (double)(n->echoes - before) / took_s);
    fflush(stdout);
    pf_net_destroy(n->net);
    pf_fb_builder_fini(&n->b);
    pf_loop_destroy(n->loop);
    pf_free(n);
}

int main(int argc, char **argv)
{
    static const uint32_t shapes[][2] = {
        {1, 1}, {1, 100}, {1, 1000}, {100, 1}, {100, 10}, {4000, 1}};
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 2;
    char address[PF_ADDRESS_MAX];
    int ready[2];
    uint64_t limit;
    if (pf_fd_raise_limit(&limit, NULL) != 0 || pipe(ready) != 0) {
        return 1;
    }
    pid_t server = fork();
    if (server == 0) {
        serve(ready[1]);
        _exit(0);
    }
    if (server < 0 || read(ready[0], address, sizeof address) != sizeof address) {
        return 1;
    }
    for (size_t i = 0; i < PF_ARRAY_LEN(shapes); i++) {
        measure(address, shapes[i][0], shapes[i][1], seconds);
    }
    (void)kill(server, SIGKILL); /* ours, and without state */
    (void)waitpid(server, NULL, 0);
    return 0;
}
