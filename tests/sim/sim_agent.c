/* SPDX-License-Identifier: Apache-2.0 */
/* An agent and its launcher. The agent's process dies and comes back with what was durable; the
 * launcher and the tasks live on. A task's arguments: "work", how long (ms, 0 = for ever), its id.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/alloc.h"
#include "common/link/envelope.h"
#include "schemas/launcher.h"
#include "tests/sim/sim_internal.h"

struct sim_process {
    struct pf_uuid launch;
    char task_id[64];
    enum LauncherState state;
    int64_t pid;
    int wait_status;
    bool is_forgotten, ignores_term;
};

enum { PROCESSES_MAX = 4096 };

struct agent_link {
    uint64_t peer;
    bool is_up;
    int64_t retry_us;
};

struct agent {
    struct sim_node n;
    struct pf_agent *core;
    struct pf_turns *turns;
    struct pf_store_image *image;
    struct pf_store *store;
    const struct pf_batch *in_flight;
    struct pf_resources total;
    struct agent_link link[SIM_MASTERS_MAX];
    struct sim_process process[PROCESSES_MAX];
    uint32_t n_processes;
    int64_t next_pid;
    char instance[PF_UUID_TEXT_LEN + 1], machine[24];
};

static struct agent *of(struct sim_node *n)
{
    return PF_CONTAINER(n, struct agent, n);
}

static void core_step(struct agent *a, struct pf_agent_event *ev)
{
    struct pf_agent_stats before, after;

    ev->now_ms = sim_mono_ms(&a->n);
    ev->wall_ms = sim_wall_ms(&a->n);
    pf_agent_stats(a->core, &before);
    pf_agent_step(a->core, ev, pf_turns_open(a->turns));
    pf_agent_check(a->core);
    pf_agent_stats(a->core, &after);
    if (before.epoch > after.epoch) {
        sim_broken(a->n.s, "one-leader", "%s obeys epoch %" PRIu64 " after %" PRIu64, a->n.name,
                   after.epoch, before.epoch);
    }
    if (after.registered && !before.registered) {
        sim_log(a->n.s, "%s registered in epoch %" PRIu64, a->n.name, after.epoch);
        sim_saw_registered(a->n.s, &a->n, after.epoch);
        sim_saw_admitted(a->n.s, pf_str(pf_agent_id(a->core)));
    }
    sim_saw_obey(a->n.s, &a->n, after.epoch);
}

/* --- launcher --------------------------------------------------------------------------------- */

static struct sim_process *process_of(struct agent *a, struct pf_uuid launch)
{
    for (uint32_t i = 0; i < a->n_processes; i++) {
        if (pf_uuid_eq(a->process[i].launch, launch) && !a->process[i].is_forgotten) {
            return &a->process[i];
        }
    }
    return NULL;
}

static void tell_process(struct agent *a, const struct sim_process *p)
{
    struct pf_agent_event ev = {.type = PF_AGENT_PROCESS};
    struct pf_fb_builder b;
    const struct LauncherProcess__args args = {
        .uuid = {p->launch.b, sizeof p->launch.b},
        .state = p->state,
        .pid = p->pid,
        .start_time = (uint64_t)p->pid * 10,
        .wait_status = p->wait_status,
        .started_ms = sim_wall_ms(&a->n),
        .ended_ms = p->state == LauncherState_EXITED ? sim_wall_ms(&a->n) : 0,
    };

    pf_fb_builder_init(&b, NULL);
    ev.process = LauncherProcess__finish(&b, LauncherProcess__put(&b, &args));
    core_step(a, &ev);
    pf_fb_builder_fini(&b);
}

/* What the launcher says reaches the agent later, if that lives. */
static void on_process(struct sim *s, struct sim_node *n, void *data)
{
    uint32_t i = *(uint32_t *)data;
    struct agent *a = of(n);

    (void)s;
    if (!a->process[i].is_forgotten) {
        tell_process(a, &a->process[i]);
        sim_settle(n);
    }
}

static void say_process(struct agent *a, const struct sim_process *p)
{
    uint32_t i = (uint32_t)(p - a->process);

    if (a->n.is_up) {
        sim_at(a->n.s, a->n.s->now_us + 50 + (int64_t)sim_dice(a->n.s, 500), &a->n, on_process,
               pf_memdup(&i, sizeof i));
    }
}

static void process_end(struct agent *a, struct sim_process *p, int wait_status)
{
    if (p->state == LauncherState_RUNNING) {
        p->state = LauncherState_EXITED;
        p->wait_status = wait_status;
        sim_log(a->n.s, "%s: task %s ended %d", a->n.name, p->task_id, wait_status);
        sim_saw_exit(a->n.s, pf_str(p->task_id), wait_status);
        say_process(a, p);
    }
}

struct ending {
    struct agent *agent;
    uint32_t process;
};

static void on_ending(struct sim *s, struct sim_node *unused, void *data)
{
    struct ending *e = data;

    (void)s;
    (void)unused;
    process_end(e->agent, &e->agent->process[e->process], 0);
}

static void process_start(struct agent *a, const struct pf_agent_act_start *act)
{
    struct sim_process *p = process_of(a, act->launch);

    if (p != NULL) {
        say_process(a, p); /* it is known: nothing changes */
        return;
    }
    if (a->n_processes == PROCESSES_MAX || act->n_args != 3) {
        sim_broken(a->n.s, "simulator", "too many processes, or %u arguments", act->n_args);
    }
    p = &a->process[a->n_processes];
    *p = (struct sim_process){.launch = act->launch,
                              .state = LauncherState_RUNNING,
                              .pid = ++a->next_pid,
                              .ignores_term = sim_chance(a->n.s, 30)};
    (void)snprintf(p->task_id, sizeof p->task_id, "%.*s", PF_STR_ARG(act->args[2]));
    sim_log(a->n.s, "%s: task %s started", a->n.name, p->task_id);
    sim_saw_start(a->n.s, &a->n, pf_str(p->task_id));
    int64_t ms = strtol(act->args[1].at, NULL, 10);

    if (ms > 0) {
        struct ending e = {a, a->n_processes};

        sim_at(a->n.s, a->n.s->now_us + ms * SIM_MS, NULL, on_ending, pf_memdup(&e, sizeof e));
    }
    a->n_processes++;
    say_process(a, p);
}

static void on_launcher(struct sim *s, struct sim_node *n, void *data)
{
    struct agent *a = of(n);
    struct pf_agent_event ev = {.type = PF_AGENT_LAUNCHER_UP};
    struct pf_fb_builder b;
    char instance[32];

    (void)s;
    (void)data;
    (void)snprintf(instance, sizeof instance, "launcher-%s", n->name);
    pf_fb_builder_init(&b, NULL);
    ev.launcher = LauncherHello__finish(
        &b, LauncherHello__put(
                &b, &(struct LauncherHello__args){.pid = 50, .instance = pf_str(instance)}));
    core_step(a, &ev);
    pf_fb_builder_fini(&b);
    for (uint32_t i = 0; i < a->n_processes; i++) {
        if (!a->process[i].is_forgotten) {
            tell_process(a, &a->process[i]);
        }
    }
    core_step(a, &(struct pf_agent_event){.type = PF_AGENT_PROCESSES_END});
    sim_settle(n);
}

/* --- acts ------------------------------------------------------------------------------------- */

static void on_sandbox(struct sim *s, struct sim_node *n, void *data)
{
    struct pf_agent_event ev = {.type = PF_AGENT_SANDBOX};

    (void)s;
    memcpy(&ev.sandbox.launch, data, sizeof ev.sandbox.launch);
    core_step(of(n), &ev);
    sim_settle(n);
}

static void carry_out(struct agent *a, const struct pf_effect *e)
{
    struct sim *s = a->n.s;

    if (e->kind == PF_EFFECT_SEND) {
        sim_send(&a->n, e->peer, e->message);
        return;
    }
    if (e->kind == PF_EFFECT_CLOSE) {
        sim_close(&a->n, e->peer);
        for (uint32_t i = 0; i < s->o.n_masters; i++) {
            if (a->link[i].peer == e->peer) { /* the daemon tries again; the core hears of it */
                a->link[i] = (struct agent_link){.retry_us = s->now_us + 1000 * SIM_MS};
                struct pf_agent_event ev = {.type = PF_AGENT_PEER_DOWN, .peer = e->peer};

                pf_turns_forget_peer(a->turns, ev.peer);
                core_step(a, &ev);
                break;
            }
        }
        return;
    }
    switch ((enum pf_agent_act)e->act) {
    case PF_AGENT_ACT_SANDBOX: {
        const struct pf_agent_act_sandbox *x = e->data;

        sim_at(s, s->now_us + 100 + (int64_t)sim_dice(s, 300), &a->n, on_sandbox,
               pf_memdup(&x->launch, sizeof x->launch));
        break;
    }
    case PF_AGENT_ACT_START: process_start(a, e->data); break;
    case PF_AGENT_ACT_SIGNAL: {
        const struct pf_agent_act_signal *x = e->data;
        struct sim_process *p = process_of(a, x->launch);

        if (p != NULL && (x->signal == SIGKILL || !p->ignores_term)) {
            process_end(a, p, x->signal);
        }
        break;
    }
    case PF_AGENT_ACT_FORGET: {
        struct sim_process *p = process_of(a, *(const struct pf_uuid *)e->data);

        if (p != NULL) {
            p->is_forgotten = true;
        }
        break;
    }
    case PF_AGENT_ACT_READ:
    case PF_AGENT_ACT_STDIN:
    case PF_AGENT_ACT_ENDED:
    case PF_AGENT_ACT_REMOVE:
    case PF_AGENT_ACT_FETCH:
    case PF_AGENT_ACT_CHECK:
    case PF_AGENT_ACT_LIMIT:
    case PF_AGENT_ACT_FILES:
    case PF_AGENT_ACT_SESSION_OPEN:
    case PF_AGENT_ACT_SESSION_INPUT:
    case PF_AGENT_ACT_SESSION_END:
    case PF_AGENT_ACT_TERMINAL:
    case PF_AGENT_ACT_CLOSE_LAUNCHER:
    case PF_AGENT_ACT_LEFT:
        break;
    }
}

static void store(struct agent *a)
{
    uint64_t number = 0;
    struct pf_err err = {0};

    pf_store_submit(a->store, a->in_flight);
    PF_ASSERT(pf_store_collect(a->store, &number, &err) == 0 && number == a->in_flight->number);
}

static void on_stored(struct sim *s, struct sim_node *n, void *data)
{
    struct agent *a = of(n);
    uint64_t number = a->in_flight->number;

    (void)s;
    (void)data;
    store(a);
    a->in_flight = NULL;
    pf_turns_stored(a->turns, number);
    sim_settle(n);
}

static void connect_masters(struct agent *a)
{
    struct sim *s = a->n.s;

    for (uint32_t i = 0; i < s->o.n_masters; i++) {
        if (a->link[i].peer == 0 && a->link[i].retry_us <= s->now_us) {
            struct pf_fb_builder b;
            struct pf_msg hello;

            pf_fb_builder_init(&b, NULL);
            sim_put_hello(&b, PeerKind_AGENT, pf_agent_id(a->core), a->instance, &hello);
            a->link[i].peer = sim_connect(&a->n, s->masters[i], pf_msg_bytes(hello), i);
            pf_fb_builder_fini(&b);
        }
    }
}

static int64_t on_settle(struct sim_node *n)
{
    struct agent *a = of(n);
    struct sim *s = n->s;
    const struct pf_effect *e;

    if (a->in_flight == NULL && (a->in_flight = pf_turns_seal(a->turns)) != NULL) {
        sim_at(s, s->now_us + 100 + (int64_t)sim_dice(s, 2000), n, on_stored, NULL);
    }
    while ((e = pf_turns_next(a->turns)) != NULL) {
        carry_out(a, e);
    }
    pf_turns_check(a->turns);
    int64_t at_us = sim_mono_us(n, pf_agent_deadline(a->core));

    for (uint32_t i = 0; i < s->o.n_masters; i++) {
        if (a->link[i].peer == 0 && a->link[i].retry_us < at_us) {
            at_us = a->link[i].retry_us;
        }
    }
    return at_us != INT64_MAX && at_us <= s->now_us ? s->now_us + 10 : at_us;
}

static void on_time(struct sim_node *n)
{
    struct agent *a = of(n);

    connect_masters(a);
    if (pf_agent_deadline(a->core) <= sim_mono_ms(n)) {
        core_step(a, &(struct pf_agent_event){.type = PF_AGENT_DEADLINE});
    }
}

/* --- net and life ----------------------------------------------------------------------------- */

static void on_up(struct sim_node *n, uint64_t peer, bool is_client, struct pf_msg greeting,
                  uint64_t tag)
{
    struct pf_agent_event ev = {.type = PF_AGENT_PEER_UP, .peer = peer};

    PF_ASSERT(is_client); /* nobody connects to agents here */
    of(n)->link[tag].is_up = true;
    ev.peer_up.hello = greeting;
    ev.peer_up.is_master = is_client;
    ev.peer_up.trusted = true;
    core_step(of(n), &ev);
}

static void on_message(struct sim_node *n, uint64_t peer, struct pf_msg envelope)
{
    struct pf_agent_event ev = {.type = PF_AGENT_MESSAGE, .peer = peer, .message = envelope};

    core_step(of(n), &ev);
}

static void on_down(struct sim_node *n, uint64_t peer, int code, uint64_t tag)
{
    struct agent *a = of(n);
    struct pf_agent_event ev = {.type = PF_AGENT_PEER_DOWN, .peer = peer};

    bool was_up = a->link[tag].is_up;

    (void)code;
    PF_ASSERT(a->link[tag].peer == peer);
    a->link[tag] = (struct agent_link){.retry_us = n->s->now_us + 10 * SIM_MS +
                                                   (int64_t)sim_dice(n->s, 400000)};
    pf_turns_forget_peer(a->turns, peer);
    if (was_up) {
        core_step(a, &ev);
    }
}

static struct pf_msg on_welcome(struct sim_node *n, struct pf_fb_builder *b)
{
    (void)n;
    return pf_envelope_finish(b, &(struct pf_envelope){.body_type = Body_Welcome},
                              Welcome__put(b, &(struct Welcome__args){.kind = PeerKind_AGENT}));
}

static int load_row(void *ctx, uint8_t table, struct pf_bytes key, struct pf_bytes row)
{
    struct agent *a = ctx;
    struct pf_agent_event ev = {.type = PF_AGENT_ROW, .row = {.table = table, .key = key}};
    struct pf_err err = {0};

    if (pf_fb_verify(row, pf_agent_row_desc(table), &ev.row.row, &err) < 0) {
        sim_broken(a->n.s, "recovery-equals", "%s: %s", a->n.name, err.msg);
    }
    core_step(a, &ev);
    return 0;
}

static void on_start(struct sim_node *n)
{
    struct agent *a = of(n);
    struct sim *s = n->s;
    struct pf_err err = {0};

    pf_uuid_format(pf_uuid_random(&s->rng), a->instance);
    const struct pf_agent_options o = {.seed = pf_rng_next(&s->rng),
                                       .hostname = n->name,
                                       .address = n->address,
                                       .http_address = n->address,
                                       .instance = a->instance,
                                       .machine_id = a->machine,
                                       .boot_id = "boot",
                                       .total = &a->total,
                                       .attributes = "",
                                       .work_dir = "/sim",
                                       .isolation = "simulated",
                                       .default_user = "",
                                       .task_user = "nobody",
                                       .runs_as_root = true,
                                       .allow_any_user = true,
                                       .resend_ms = 10000,
                                       .tracer = sim_tracer(n)};

    a->core = pf_agent_create(&o);
    a->turns = pf_turns_create(1 << 20, 1);
    a->store = pf_store_memory_open(a->image);
    memset(a->link, 0, sizeof a->link);
    PF_ASSERT(pf_store_load(a->store, load_row, a, &err) == 0);
    core_step(a, &(struct pf_agent_event){.type = PF_AGENT_BOOT});
    struct pf_agent_stats stats;

    pf_agent_stats(a->core, &stats);
    sim_saw_return(s, n, stats.epoch);
    core_step(a, &(struct pf_agent_event){.type = PF_AGENT_DISK, .free_bytes = UINT64_C(1) << 40});
    sim_at(s, s->now_us + 500 + (int64_t)sim_dice(s, 3000), n, on_launcher, NULL);
    for (uint32_t i = 0; i < s->o.n_masters; i++) {
        a->link[i].retry_us = s->now_us + 5 * SIM_MS; /* the identity is stored by then */
    }
}

static void on_kill(struct sim_node *n)
{
    struct agent *a = of(n);

    if (a->in_flight != NULL && sim_chance(n->s, 50)) {
        store(a); /* it was just stored when the process died */
    }
    a->in_flight = NULL;
    pf_agent_destroy(a->core);
    pf_turns_destroy(a->turns);
    pf_store_destroy(a->store);
    a->core = NULL;
    a->turns = NULL;
    a->store = NULL;
}

static const struct sim_node_ops ops = {.on_up = on_up,
                                        .on_message = on_message,
                                        .on_down = on_down,
                                        .on_time = on_time,
                                        .settle = on_settle,
                                        .welcome = on_welcome,
                                        .start = on_start,
                                        .kill = on_kill};

struct sim_node *sim_agent_new(struct sim *s, uint32_t index)
{
    struct agent *a = PF_NEW(struct agent);
    struct pf_err err = {0};

    sim_node_add(s, &a->n, SIM_AGENT, index, &ops);
    a->image = pf_store_image_create();
    (void)snprintf(a->machine, sizeof a->machine, "machine-%u", index);
    /* Enough on the first one for all that runs for ever; little on others. */
    uint32_t cpus = index == 0 ? 2 * s->o.n_frameworks : 1 + (uint32_t)sim_dice(s, 4);
    char total[48];

    (void)snprintf(total, sizeof total, "cpus:%u.4;mem:8192;disk:1000", cpus);
    PF_ASSERT(pf_res_parse(pf_str(total), &a->total, &err) == 0);
    sim_saw_capacity(s, &a->n, cpus * 1000);
    return &a->n;
}

void sim_agent_free(struct sim_node *n)
{
    struct agent *a = of(n);

    pf_store_image_destroy(a->image);
    pf_res_fini(&a->total);
    pf_free(a);
}

bool sim_agent_is_registered(const struct sim_node *n)
{
    const struct agent *a = PF_CONTAINER(n, struct agent, n);
    struct pf_agent_stats stats;

    if (a->core == NULL) {
        return false;
    }
    pf_agent_stats(a->core, &stats);
    return stats.registered;
}
