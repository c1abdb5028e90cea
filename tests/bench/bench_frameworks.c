/* SPDX-License-Identifier: Apache-2.0 */
/* Company for a benchmark: idle frameworks, and hoarders that hold every offer and never answer.
 * Prints "ready" when all are subscribed and each hoarder holds something; then stays until it is
 * ended. Usage: bench_frameworks MASTERS KEY-FILE IDLE HOARDERS */
#include <poll.h>
#include <proffer/proffer.h>
#include <stdio.h>
#include <stdlib.h>

#define SCHEDULERS_MAX 64

struct member {
    struct pf_scheduler *scheduler;
    bool is_hoarder, is_ready;
};

struct company {
    struct member member[SCHEDULERS_MAX];
    struct pollfd fd[SCHEDULERS_MAX];
    int n, n_ready;
};

static void on_subscribed(void *ctx, struct pf_scheduler *s, const struct pf_subscription *sub)
{
    struct member *m = ctx;
    (void)s;
    (void)sub;
    m->is_ready = m->is_ready || !m->is_hoarder;
}

static void on_offers(void *ctx, struct pf_scheduler *s, const struct pf_offer_view *offers,
                      size_t n)
{
    struct member *m = ctx;
    (void)s;
    (void)offers;
    m->is_ready = m->is_ready || n > 0; /* and nothing else: that is the point */
}

static int add(struct company *c, const char *masters, const char *key, bool is_hoarder)
{
    struct pf_scheduler_options o = PF_SCHEDULER_OPTIONS_INIT;
    struct pf_scheduler_callbacks cb = PF_SCHEDULER_CALLBACKS_INIT;
    struct pf_problem problem = {0};
    struct member *m = &c->member[c->n];
    o.masters = masters;
    o.key_file = key;
    o.name = is_hoarder ? "hoarder" : "idle";
    o.is_suppressed = !is_hoarder;
    cb.on_subscribed = on_subscribed;
    cb.on_offers = on_offers;
    m->is_hoarder = is_hoarder;
    int fd;
    if (pf_scheduler_create(&o, &cb, m, &m->scheduler, &problem) < 0 ||
        pf_scheduler_fd(m->scheduler, &fd, &problem) < 0) {
        fprintf(stderr, "bench_frameworks: %s\n", problem.text);
        return -1;
    }
    c->fd[c->n++] = (struct pollfd){.fd = fd, .events = POLLIN};
    return 0;
}

/* One round of all; false: one of them has ended. */
static bool turn(struct company *c)
{
    int wait_ms = -1;
    for (int i = 0; i < c->n; i++) {
        struct pf_problem problem = {0};
        if (pf_scheduler_process(c->member[i].scheduler, &problem) != 0) {
            fprintf(stderr, "bench_frameworks: %s\n", problem.text);
            return false;
        }
        int own_ms = pf_scheduler_wait_ms(c->member[i].scheduler);
        wait_ms = own_ms >= 0 && (wait_ms < 0 || own_ms < wait_ms) ? own_ms : wait_ms;
    }
    return poll(c->fd, (nfds_t)c->n, wait_ms) >= 0;
}

int main(int argc, char **argv)
{
    struct company c = {.n = 0};
    long idle = argc == 5 ? strtol(argv[3], NULL, 10) : -1;
    long hoarders = argc == 5 ? strtol(argv[4], NULL, 10) : -1;
    if (idle < 0 || hoarders < 0 || idle > SCHEDULERS_MAX || idle + hoarders > SCHEDULERS_MAX) {
        fprintf(stderr, "usage: bench_frameworks MASTERS KEY-FILE IDLE HOARDERS\n");
        return 2;
    }
    for (long i = 0; i < idle + hoarders; i++) {
        if (add(&c, argv[1], argv[2], i >= idle) < 0) {
            return 1;
        }
    }
    bool has_told = false;
    while (turn(&c)) {
        int n_ready = 0;
        for (int i = 0; i < c.n; i++) {
            n_ready += c.member[i].is_ready ? 1 : 0;
        }
        if (n_ready == c.n && !has_told) {
            has_told = true;
            puts("ready");
            fflush(stdout);
        }
    }
    return 1;
}
