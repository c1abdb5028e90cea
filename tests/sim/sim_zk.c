/* SPDX-License-Identifier: Apache-2.0 */
/* The model of ZooKeeper among the nodes: each master has two clients. */
#include <string.h>
#include "common/base/alloc.h"
#include "tests/sim/sim_internal.h"
#include "tests/sim/zk_model.h"

enum { SESSION_MS = 6000, TICK_MS = 500, SYNC_LIMIT_MS = 1000 };

struct sim_zk {
    struct zkm *model;
    uint32_t client[SIM_MASTERS_MAX][PF_ZK_SESSIONS];
    struct sim_node *master[SIM_MASTERS_MAX]; /* by index; NULL: not up */
    uint32_t life[SIM_MASTERS_MAX];
    uint64_t wake_number;
    int64_t wake_us;
};

static void set_wake(struct sim *s);

static void deliver(struct sim *s, const struct zkm_event *ev)
{
    for (uint32_t i = 0; i < SIM_MASTERS_MAX; i++) {
        struct sim_node *n = s->zk->master[i];

        for (uint32_t k = 0; n != NULL && k < PF_ZK_SESSIONS; k++) {
            if (s->zk->client[i][k] != ev->client) {
                continue;
            }
            switch (ev->type) {
            case ZKM_SESSION: sim_master_zk_session(n, &ev->session); break;
            case ZKM_REPLY: sim_master_zk_reply(n, &ev->reply); break;
            case ZKM_WATCH: sim_master_zk_watch(n, &ev->watch); break;
            }
            return;
        }
    }
}

static void on_wake(struct sim *s, struct sim_node *unused, void *data)
{
    struct zkm_event ev;
    uint64_t number;

    (void)unused;
    memcpy(&number, data, sizeof number);
    if (number != s->zk->wake_number) {
        return;
    }
    s->zk->wake_us = INT64_MAX;
    zkm_run(s->zk->model, s->now_us);
    while (zkm_take(s->zk->model, &ev)) {
        deliver(s, &ev);
    }
    set_wake(s);
}

static void set_wake(struct sim *s)
{
    int64_t at_us = zkm_next_us(s->zk->model);

    if (at_us < s->zk->wake_us) {
        s->zk->wake_us = at_us;
        s->zk->wake_number++;
        sim_at(s, at_us, NULL, on_wake, pf_memdup(&s->zk->wake_number, sizeof s->zk->wake_number));
    }
}

void sim_zk_start(struct sim *s)
{
    s->zk = PF_NEW(struct sim_zk);
    s->zk->wake_us = INT64_MAX;
    s->zk->model = zkm_create(&(struct zkm_options){.seed = pf_rng_next(&s->rng),
                                                    .n_servers = sim_chance(s, 70) ? 3 : 1,
                                                    .tick_ms = TICK_MS,
                                                    .sync_limit_ms = SYNC_LIMIT_MS});
    for (uint32_t i = 0; i < zkm_n_servers(s->zk->model); i++) {
        zkm_server_kill(s->zk->model, i); /* so that there is an election */
        zkm_server_start(s->zk->model, i);
    }
    set_wake(s);
}

void sim_zk_fini(struct sim *s)
{
    if (s->zk != NULL) {
        zkm_destroy(s->zk->model);
        pf_free(s->zk);
    }
}

static void sync_time(struct sim *s)
{
    zkm_run(s->zk->model, s->now_us);
}

void sim_zk_open(struct sim_node *n)
{
    struct sim *s = n->s;

    sync_time(s);
    s->zk->master[n->index] = n;
    for (uint32_t k = 0; k < PF_ZK_SESSIONS; k++) {
        s->zk->client[n->index][k] = zkm_open(s->zk->model, (uint8_t)k, n->index + k, SESSION_MS);
    }
    set_wake(s);
}

void sim_zk_abandon(struct sim_node *n)
{
    struct sim *s = n->s;

    sync_time(s);
    s->zk->master[n->index] = NULL;
    for (uint32_t k = 0; k < PF_ZK_SESSIONS; k++) {
        zkm_abandon(s->zk->model, s->zk->client[n->index][k]);
    }
    set_wake(s);
}

void sim_zk_submit(struct sim_node *n, const struct pf_zk_request *r)
{
    struct sim *s = n->s;

    sync_time(s);
    zkm_submit(s->zk->model, s->zk->client[n->index][r->session], r);
    set_wake(s);
}

/* --- faults ----------------------------------------------------------------------------------- */

void sim_zk_pause(struct sim_node *master, bool is_paused)
{
    struct sim *s = master->s;

    sync_time(s);
    for (uint32_t k = 0; master->is_up && k < PF_ZK_SESSIONS; k++) {
        zkm_client_pause(s->zk->model, s->zk->client[master->index][k], is_paused);
    }
    set_wake(s);
}

void sim_zk_cut(struct sim_node *master, bool is_cut)
{
    struct sim *s = master->s;

    sync_time(s);
    for (uint32_t k = 0; master->is_up && k < PF_ZK_SESSIONS; k++) {
        if (is_cut && sim_chance(s, 20)) {
            continue; /* only one of its two connections */
        }
        zkm_client_cut(s->zk->model, s->zk->client[master->index][k], is_cut);
    }
    set_wake(s);
}

static void on_mend(struct sim *s, struct sim_node *n, void *data)
{
    (void)s;
    (void)data;
    sim_zk_cut(n, false);
}

void sim_zk_cut_for(struct sim_node *master, int64_t ms)
{
    if (master->is_up) {
        sim_log(master->s, "%s is cut off from ZooKeeper", master->name);
        sim_zk_cut(master, true);
        sim_at(master->s, master->s->now_us + ms * SIM_MS, master, on_mend, NULL);
    }
}

struct server_back {
    uint32_t server;
    bool is_cut;
};

static void on_server_back(struct sim *s, struct sim_node *unused, void *data)
{
    const struct server_back *b = data;

    (void)unused;
    sync_time(s);
    if (b->is_cut) {
        zkm_server_cut(s->zk->model, b->server, false);
    } else {
        zkm_server_start(s->zk->model, b->server);
    }
    set_wake(s);
}

void sim_zk_kill_server(struct sim *s, int64_t ms)
{
    struct server_back b = {.server = (uint32_t)sim_dice(s, zkm_n_servers(s->zk->model)),
                            .is_cut = sim_chance(s, 40)};

    sync_time(s);
    if (sim_chance(s, 40) && zkm_leader(s->zk->model) != UINT32_MAX) {
        b.server = zkm_leader(s->zk->model);
    }
    sim_log(s, "ZooKeeper server %u is %s", b.server, b.is_cut ? "cut off" : "killed");
    if (b.is_cut) {
        zkm_server_cut(s->zk->model, b.server, true);
    } else {
        zkm_server_kill(s->zk->model, b.server);
    }
    sim_at(s, s->now_us + ms * SIM_MS, NULL, on_server_back, pf_memdup(&b, sizeof b));
    set_wake(s);
}

void sim_zk_outage(struct sim *s, int64_t ms)
{
    sync_time(s);
    sim_log(s, "%s", "ZooKeeper is out");
    for (uint32_t i = 0; i < zkm_n_servers(s->zk->model); i++) {
        struct server_back b = {.server = i};

        zkm_server_kill(s->zk->model, i);
        sim_at(s, s->now_us + ms * SIM_MS, NULL, on_server_back, pf_memdup(&b, sizeof b));
    }
    set_wake(s);
}

void sim_zk_lose_reply(struct sim_node *master)
{
    struct sim *s = master->s;

    if (master->is_up) {
        sync_time(s);
        zkm_break_at_write(s->zk->model, s->zk->client[master->index][sim_dice(s, PF_ZK_SESSIONS)],
                           sim_chance(s, 60));
    }
}

void sim_zk_expire(struct sim_node *master)
{
    struct sim *s = master->s;

    sync_time(s);
    for (uint32_t k = 0; master->is_up && k < PF_ZK_SESSIONS; k++) {
        if (sim_chance(s, 70)) {
            zkm_expire(s->zk->model, s->zk->client[master->index][k]);
        }
    }
    set_wake(s);
}

void sim_zk_slow(struct sim *s, int64_t max_us)
{
    sync_time(s);
    zkm_slow(s->zk->model, max_us);
    set_wake(s);
}

void sim_zk_heal(struct sim *s)
{
    sync_time(s);
    zkm_slow(s->zk->model, 0);
    for (uint32_t i = 0; i < zkm_n_servers(s->zk->model); i++) {
        zkm_server_cut(s->zk->model, i, false);
        zkm_server_start(s->zk->model, i);
    }
    for (uint32_t i = 0; i < SIM_MASTERS_MAX; i++) {
        if (s->zk->master[i] != NULL) {
            sim_zk_cut(s->zk->master[i], false);
            sim_zk_pause(s->zk->master[i], false);
        }
    }
    set_wake(s);
}
