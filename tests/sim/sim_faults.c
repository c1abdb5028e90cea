/* SPDX-License-Identifier: Apache-2.0 */
/* What goes wrong in the chaos, by dice; and the healing of all of it. */
#include <inttypes.h>
#include <string.h>
#include "common/base/alloc.h"
#include "tests/sim/sim_internal.h"

static struct sim_node *any(struct sim *s, enum sim_kind kind)
{
    struct sim_node *found[SIM_NODES_MAX];
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->n_nodes; i++) {
        if (s->node[i]->kind == kind) {
            found[n++] = s->node[i];
        }
    }
    return found[sim_dice(s, n)];
}

/* Mostly the leader, since that hurts most. */
static struct sim_node *a_master(struct sim *s)
{
    for (uint32_t i = 0; i < s->n_nodes; i++) {
        if (s->node[i]->kind == SIM_MASTER && sim_master_leads(s->node[i]) && sim_chance(s, 70)) {
            return s->node[i];
        }
    }
    return any(s, SIM_MASTER);
}

static void on_restart(struct sim *s, struct sim_node *unused, void *data)
{
    struct sim_node *n;

    (void)unused;
    memcpy(&n, data, sizeof n);
    if (!n->is_up) {
        for (uint32_t i = 0; i < s->n_nodes; i++) {
            s->cut[n->place][i] = s->cut[i][n->place] = false;
        }
        sim_node_start(n);
    }
}

static void kill_for_a_while(struct sim *s, struct sim_node *n, int64_t max_ms)
{
    if (n->is_up) {
        sim_node_kill(n);
        sim_at(s, s->now_us + (10 + (int64_t)sim_dice(s, (uint64_t)max_ms)) * SIM_MS, NULL,
               on_restart, pf_memdup(&n, sizeof n));
    }
}

struct cut {
    uint32_t from, to;
};

static void on_mend(struct sim *s, struct sim_node *unused, void *data)
{
    const struct cut *c = data;

    (void)unused;
    s->cut[c->from][c->to] = false;
    sim_log(s, "path %s -> %s is whole", s->node[c->from]->name, s->node[c->to]->name);
}

static void cut_for_a_while(struct sim *s, struct sim_node *from, struct sim_node *to, int64_t ms)
{
    struct cut c = {from->place, to->place};

    if (from != to) {
        s->cut[c.from][c.to] = true;
        sim_log(s, "path %s -> %s is cut for %" PRId64 " ms", from->name, to->name, ms);
        sim_at(s, s->now_us + ms * SIM_MS, NULL, on_mend, pf_memdup(&c, sizeof c));
    }
}

static int64_t some_ms(struct sim *s, int64_t max_ms)
{
    return 1 + (int64_t)sim_dice(s, (uint64_t)(sim_chance(s, 50) ? max_ms / 20 : max_ms));
}

/* --- the faults ------------------------------------------------------------------------------- */

static void master_kill(struct sim *s)
{
    kill_for_a_while(s, a_master(s), 5000);
}

/* The host of a stopped process may be suspended: then its monotonic clock stands still. */
static void on_resume(struct sim *s, struct sim_node *n, void *data)
{
    (void)data;
    sim_log(s, "%s goes on", n->name);
    if (n->kind == SIM_MASTER) {
        sim_zk_pause(n, false);
    }
    sim_settle(n);
}

static void pause_for(struct sim *s, struct sim_node *n, int64_t ms)
{
    bool is_suspended = sim_chance(s, 30);
    int64_t left_ms = s->o.chaos_ms - sim_now_ms(s); /* the calm finds everybody awake */

    ms = ms < left_ms ? ms : left_ms;
    if (!n->is_up || n->paused_until_us > s->now_us || ms <= 0) {
        return;
    }
    sim_log(s, "%s %s for %" PRId64 " ms", n->name, is_suspended ? "suspended" : "stopped", ms);
    n->paused_until_us = s->now_us + ms * SIM_MS;
    n->mono_us -= is_suspended ? ms * SIM_MS : 0;
    if (n->kind == SIM_MASTER) {
        sim_zk_pause(n, true);
    }
    sim_at(s, n->paused_until_us, n, on_resume, NULL);
}

static void master_pause(struct sim *s)
{
    pause_for(s, a_master(s), some_ms(s, 20000));
}

static void agent_pause(struct sim *s)
{
    pause_for(s, any(s, SIM_AGENT), some_ms(s, sim_chance(s, 10) ? 100000 : 10000));
}

static void hand_over(struct sim *s)
{
    struct sim_node *n = a_master(s), *to = any(s, SIM_MASTER);

    if (sim_master_leads(n) && n->paused_until_us <= s->now_us) {
        to = to->is_up && to != n && sim_chance(s, 50) ? to : NULL;
        sim_log(s, "%s shall hand over to %s", n->name, to != NULL ? to->name : "any");
        sim_master_hand_over(n, to);
    }
}

static void agent_kill(struct sim *s)
{
    kill_for_a_while(s, any(s, SIM_AGENT), sim_chance(s, 10) ? 90000 : 3000);
}

static void framework_kill(struct sim *s)
{
    kill_for_a_while(s, any(s, SIM_FRAMEWORK), 3000);
}

static void link_reset(struct sim *s)
{
    sim_reset_links(s, a_master(s), s->node[sim_dice(s, s->n_nodes)]);
}

static void partition(struct sim *s)
{
    struct sim_node *a = a_master(s), *b = s->node[sim_dice(s, s->n_nodes)];
    int64_t ms = some_ms(s, sim_chance(s, 10) ? 130000 : 40000);

    cut_for_a_while(s, a, b, ms);
    if (sim_chance(s, 50)) {
        cut_for_a_while(s, b, a, ms);
    }
}

static void host_dead(struct sim *s)
{
    struct sim_node *n = a_master(s);

    if (n->is_up) {
        for (uint32_t i = 0; i < s->n_nodes; i++) {
            if (i != n->place) {
                s->cut[n->place][i] = s->cut[i][n->place] = true;
            }
        }
        sim_zk_cut(n, true);
        sim_log(s, "the host of %s is dead", n->name);
        kill_for_a_while(s, n, 20000);
    }
}

static void zk_server(struct sim *s)
{
    sim_zk_kill_server(s, some_ms(s, 8000));
}

static void zk_outage(struct sim *s)
{
    sim_zk_outage(s, some_ms(s, 30000));
}

static void zk_cut(struct sim *s)
{
    sim_zk_cut_for(a_master(s), some_ms(s, 15000));
}

static void zk_lost_reply(struct sim *s)
{
    sim_zk_lose_reply(a_master(s));
}

static void few_masters(struct sim *s)
{
    struct sim_node *a = any(s, SIM_AGENT), *only = any(s, SIM_MASTER);
    int64_t ms = some_ms(s, sim_chance(s, 10) ? 130000 : 40000);

    for (uint32_t i = 0; i < s->n_nodes; i++) {
        if (s->node[i]->kind == SIM_MASTER && s->node[i] != only) {
            cut_for_a_while(s, a, s->node[i], ms);
            cut_for_a_while(s, s->node[i], a, ms);
        }
    }
}

static void on_roll(struct sim *s, struct sim_node *unused, void *data)
{
    struct sim_node *n;

    (void)unused;
    memcpy(&n, data, sizeof n);
    if (!s->is_calm) {
        kill_for_a_while(s, n, 1000);
    }
}

static void rolling(struct sim *s)
{
    int64_t at_us = s->now_us, gap_ms = 50 + (int64_t)sim_dice(s, 3000);

    for (uint32_t i = 0; i < s->n_nodes; i++) {
        struct sim_node *n = s->node[i];

        if (n->kind == SIM_MASTER) {
            sim_at(s, at_us, NULL, on_roll, pf_memdup(&n, sizeof n));
            at_us += gap_ms * SIM_MS;
        }
    }
}

static void zk_expire(struct sim *s)
{
    sim_zk_expire(a_master(s));
}

static void on_fast(struct sim *s, struct sim_node *unused, void *data)
{
    (void)unused;
    (void)data;
    sim_zk_slow(s, 0);
}

static void zk_slow(struct sim *s)
{
    int64_t max_us = sim_chance(s, 50) ? 20000 : 800000;

    sim_log(s, "ZooKeeper is slow: up to %" PRId64 " us more", max_us);
    sim_zk_slow(s, max_us);
    sim_at(s, s->now_us + some_ms(s, 15000) * SIM_MS, NULL, on_fast, NULL);
}

/* To whoever is about to lead, or leads since a moment. */
static void on_second_blow(struct sim *s, struct sim_node *unused, void *data)
{
    struct sim_node *n = a_master(s);

    (void)unused;
    (void)data;
    if (s->is_calm) {
        return;
    }
    switch (sim_dice(s, 6)) {
    case 0: sim_zk_expire(n); break;
    case 1: sim_zk_lose_reply(n); break;
    case 2: kill_for_a_while(s, n, 2000); break;
    case 3: pause_for(s, n, some_ms(s, 12000)); break;
    case 4: sim_zk_cut_for(n, some_ms(s, 10000)); break;
    default: zk_server(s); break;
    }
}

static void takeover(struct sim *s)
{
    struct sim_node *n = a_master(s);

    if (sim_chance(s, 50)) {
        kill_for_a_while(s, n, 5000);
    } else {
        sim_zk_expire(n);
    }
    sim_at(s, s->now_us + (int64_t)sim_dice(s, sim_chance(s, 70) ? 6000 : 200000), NULL,
           on_second_blow, NULL);
}

static void on_message(struct sim *s, struct sim_node *from, struct sim_node *to)
{
    switch (sim_dice(s, 4)) {
    case 0: kill_for_a_while(s, from, 2000); break;
    case 1: kill_for_a_while(s, to, 2000); break;
    default: sim_reset_links(s, from, to); break;
    }
}

static void at_message(struct sim *s)
{
    static const enum Body body[] = {
        Body_Scheduler_Call,   Body_Scheduler_Event, Body_AgentRegister, Body_AgentTasks,
        Body_AgentTasksWanted, Body_AgentRegistered, Body_AgentLaunch,   Body_AgentKill,
        Body_AgentUpdate,      Body_AgentUpdate,     Body_HandOver,      Body_RegistryBatch,
        Body_AgentAcknowledge, Body_MasterStatus,    Body_Welcome,       Body_AgentsSeen};

    s->trap = body[sim_dice(s, PF_ARRAY_LEN(body))];
    s->trap_fn = on_message;
}

static void clock_jump(struct sim *s)
{
    struct sim_node *n = s->node[sim_dice(s, s->n_nodes)];

    n->jumped_us = s->now_us;
    n->wall_skew_ms += (int64_t)sim_dice(s, 7200000) - 3600000;
    sim_log(s, "the wall clock of %s jumps", n->name);
}

static const struct {
    uint32_t bit, weight;
    void (*happen)(struct sim *s);
} faults[] = {
    {SIM_FAULT_MASTER_KILL, 20, master_kill},
    {SIM_FAULT_MASTER_PAUSE, 8, master_pause},
    {SIM_FAULT_HAND_OVER, 10, hand_over},
    {SIM_FAULT_AGENT_KILL, 10, agent_kill},
    {SIM_FAULT_FRAMEWORK_KILL, 6, framework_kill},
    {SIM_FAULT_LINK_RESET, 15, link_reset},
    {SIM_FAULT_PARTITION, 10, partition},
    {SIM_FAULT_HOST_DEAD, 4, host_dead},
    {SIM_FAULT_ZK_SERVER, 8, zk_server},
    {SIM_FAULT_ZK_OUTAGE, 3, zk_outage},
    {SIM_FAULT_ZK_CUT, 8, zk_cut},
    {SIM_FAULT_ZK_LOST_REPLY, 15, zk_lost_reply},
    {SIM_FAULT_AGENT_PAUSE, 4, agent_pause},
    {SIM_FAULT_FEW_MASTERS, 5, few_masters},
    {SIM_FAULT_ROLLING, 2, rolling},
    {SIM_FAULT_ZK_EXPIRE, 5, zk_expire},
    {SIM_FAULT_ZK_SLOW, 5, zk_slow},
    {SIM_FAULT_TAKEOVER, 12, takeover},
    {SIM_FAULT_AT_MESSAGE, 25, at_message},
    {SIM_FAULT_CLOCK, 2, clock_jump},
};

static void on_fault(struct sim *s, struct sim_node *unused, void *data)
{
    uint32_t sum = 0, pick;

    (void)unused;
    (void)data;
    if (s->is_calm) {
        return;
    }
    for (size_t i = 0; i < PF_ARRAY_LEN(faults); i++) {
        sum += (s->o.faults & faults[i].bit) != 0 ? faults[i].weight : 0;
    }
    pick = (uint32_t)sim_dice(s, sum);
    for (size_t i = 0; i < PF_ARRAY_LEN(faults); i++) {
        uint32_t weight = (s->o.faults & faults[i].bit) != 0 ? faults[i].weight : 0;

        if (pick < weight) {
            s->result->faults++;
            faults[i].happen(s);
            break;
        }
        pick -= weight;
    }
    sim_at(s, s->now_us + (sim_chance(s, 20) ? 1 : some_ms(s, 5000)) * SIM_MS, NULL, on_fault,
           NULL);
}

void sim_faults_start(struct sim *s)
{
    sim_at(s, s->now_us + (1000 + (int64_t)sim_dice(s, 4000)) * SIM_MS, NULL, on_fault, NULL);
}

void sim_heal(struct sim *s)
{
    sim_log(s, "%s", "calm");
    memset(s->cut, 0, sizeof s->cut);
    s->trap = 0;
    sim_zk_heal(s);
    for (uint32_t i = 0; i < s->n_nodes; i++) {
        if (!s->node[i]->is_up) {
            sim_node_start(s->node[i]);
        }
    }
}
