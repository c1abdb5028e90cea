/* SPDX-License-Identifier: Apache-2.0 */
/* The agents and their time. What common/engine does for one core is done here for many: a step,
 * its rows into the memory of that agent, then its effects. */
#include "agent/daemon/simulation_internal.h"

#include <stdio.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/sys/clock.h"
#include "common/sys/parse.h"
#include "common/sys/random.h"
#include "schemas/launcher.h"

enum {
    FIRES_PER_TURN = 64,
    BOOTS_PER_MS = 2, /* how fast agents come: links and registrations cost the master something */
};

/* --- time ------------------------------------------------------------------------------------- */

static void timer_arm(struct pf_simulation *s)
{
    const struct pf_heap_node *first = pf_heap_first(&s->timers);
    int64_t at = first != NULL ? first->key : INT64_MAX;

    if (at != s->timer_at) {
        s->timer_at = at;
        pf_timer_set(s->timer, at);
    }
}

void sim_timer_set(struct pf_simulation *s, struct sim_timer *t, int64_t at_ms)
{
    if (at_ms == INT64_MAX) {
        pf_heap_remove(&s->timers, &t->node);
    } else if (!pf_heap_has(&t->node) || t->node.key != at_ms) {
        pf_heap_set(&s->timers, &t->node, at_ms);
    }
    timer_arm(s);
}

static void timer_fire(struct sim_timer *t)
{
    struct pf_agent_event ev = {.type = PF_AGENT_DEADLINE};

    switch (t->kind) {
    case SIM_TIMER_LINK: sim_links_due(PF_CONTAINER(t, struct sim_agent, again)); break;
    case SIM_TIMER_CORE: sim_agent_step(PF_CONTAINER(t, struct sim_agent, deadline), &ev); break;
    case SIM_TIMER_PROCESS: sim_process_end(PF_CONTAINER(t, struct sim_process, end)); break;
    }
}

static void on_time(void *ctx)
{
    struct pf_simulation *s = ctx;
    int64_t now_ms = pf_loop_now_ms(s->loop);

    s->timer_at = INT64_MAX; /* it fires once */
    for (int i = 0; i < FIRES_PER_TURN; i++) {
        struct pf_heap_node *first = pf_heap_first(&s->timers);
        if (first == NULL || first->key > now_ms) {
            break;
        }
        pf_heap_remove(&s->timers, first);
        timer_fire(PF_CONTAINER(first, struct sim_timer, node));
    }
    timer_arm(s);
}

/* --- steps ------------------------------------------------------------------------------------ */

void sim_agent_event(struct sim_agent *a, struct pf_agent_event *ev)
{
    ev->now_ms = pf_loop_now_ms(a->sim->loop);
    ev->wall_ms = pf_wall_ms();
    pf_agent_step(a->core, ev, pf_turns_open(a->sim->turns));
}

/* True: there were rows, which are stored now. */
static bool agent_store(struct sim_agent *a)
{
    struct pf_turns *turns = a->sim->turns;
    const struct pf_batch *batch = pf_turns_seal(turns);
    uint64_t number = 0;

    if (batch == NULL) {
        return false;
    }
    pf_store_submit(a->store, batch);
    int rc = pf_store_collect(a->store, &number, NULL);
    PF_ASSERT(rc == 0); /* memory does not fail */
    pf_turns_stored(turns, number);
    return true;
}

static void agent_carry_out(struct sim_agent *a, const struct pf_effect *e)
{
    switch (e->kind) {
    case PF_EFFECT_SEND: pf_peer_send(a->sim->net, e->peer, e->message); break;
    case PF_EFFECT_CLOSE: pf_peer_close(a->sim->net, e->peer, true); break;
    case PF_EFFECT_ACT: sim_act(a, e->act, e->data); break;
    }
}

/* Effects may bring events, and those more effects, until all is quiet. */
static void agent_drain(struct sim_agent *a)
{
    struct pf_turns *turns = a->sim->turns;
    bool has_more;

    do {
        const struct pf_effect *e;
        has_more = agent_store(a);
        while ((e = pf_turns_next(turns)) != NULL) {
            agent_carry_out(a, e);
            has_more = true;
        }
    } while (has_more);
    PF_ASSERT(pf_turns_is_idle(turns));
}

static void agent_note_registered(struct sim_agent *a)
{
    struct pf_simulation *s = a->sim;
    struct pf_agent_stats stats;

    pf_agent_stats(a->core, &stats);
    if (stats.registered == a->is_registered) {
        return;
    }
    a->is_registered = stats.registered;
    if (!stats.registered) {
        s->stats.n_registered--;
        return;
    }
    s->stats.n_registered++;
    if (s->stats.n_registered == s->stats.n_agents && !s->was_ready) {
        s->was_ready = true;
        if (s->on_ready != NULL) {
            s->on_ready(s->ctx);
        }
    }
}

void sim_agent_step(struct sim_agent *a, struct pf_agent_event *ev)
{
    sim_agent_event(a, ev);
    agent_drain(a);
    sim_timer_set(a->sim, &a->deadline, pf_agent_deadline(a->core));
    agent_note_registered(a);
}

/* --- agents ----------------------------------------------------------------------------------- */

static struct pf_agent *agent_core(struct sim_agent *a)
{
    struct pf_simulation *s = a->sim;
    uint32_t i = (uint32_t)(a - s->agent);
    struct pf_buf hostname = {0};
    struct pf_buf attributes = {0};

    pf_buf_printf(&hostname, "%s-%u", s->hostname, i);
    pf_buf_printf(&attributes, "sim:true;rack:r%u%s%s", i % 10, s->attributes[0] != '\0' ? ";" : "",
                  s->attributes);
    char instance[PF_UUID_TEXT_LEN + 1];
    pf_uuid_format(pf_uuid_random(&s->rng), instance);
    const struct pf_agent_options o = {
        .seed = pf_rng_next(&s->rng),
        .instance = instance,
        .hostname = pf_buf_cstr(&hostname),
        .address = s->address,
        .http_address = s->http_address,
        .http_port = s->http_port,
        .pid = getpid(),
        .machine_id = "simulated",
        .boot_id = "simulated",
        .total = &s->total,
        .attributes = pf_buf_cstr(&attributes),
        .work_dir = "/simulated",
        .isolation = "simulated, nothing runs",
        .task_user = s->task_user,
        .allow_any_user = s->allow_any_user,
        .runs_as_root = true, /* a fake process runs as anybody */
    };
    struct pf_agent *core = pf_agent_create(&o);
    pf_buf_fini(&hostname);
    pf_buf_fini(&attributes);
    return core;
}

/* An agent on an empty disk whose launcher runs nothing yet. */
void sim_agent_boot(struct sim_agent *a)
{
    struct pf_simulation *s = a->sim;
    struct pf_agent_event boot = {.type = PF_AGENT_BOOT};
    struct pf_agent_event up = {.type = PF_AGENT_LAUNCHER_UP};
    struct pf_agent_event listed = {.type = PF_AGENT_PROCESSES_END};

    PF_ASSERT(a->core == NULL);
    a->core = agent_core(a);
    a->store = pf_store_memory_open(NULL);
    sim_agent_step(a, &boot);
    pf_fb_builder_reset(&s->builder);
    struct pf_ref hello = LauncherHello__put(
        &s->builder, &(struct LauncherHello__args){.protocol = 1,
                                                   .pid = getpid(),
                                                   .boot_id = PF_STR("simulated"),
                                                   .version = PF_STR(PF_VERSION),
                                                   .instance = PF_STR("simulated")});
    up.launcher = LauncherHello__finish(&s->builder, hello);
    sim_agent_step(a, &up);
    sim_agent_step(a, &listed);
    a->self = s->self;
    a->self.id = pf_agent_id(a->core);
    a->self.instance = a->self.id;
}

/* --- the whole -------------------------------------------------------------------------------- */

static char *own_text(const char *text, const char *fallback)
{
    return pf_strdup(text != NULL && text[0] != '\0' ? text : fallback);
}

static void total_init(struct pf_simulation *s, const struct pf_resources *given)
{
    if (given != NULL) {
        s->total = pf_res_dup(given);
    } else {
        int rc = pf_res_parse(PF_STR(PF_SIMULATION_RESOURCES), &s->total, NULL);
        PF_ASSERT(rc == 0); /* it is ours */
    }
}

static void simulation_init(struct pf_simulation *s, const struct pf_simulation_options *o)
{
    struct pf_hostport http = {.port = 0};

    PF_ASSERT(o->n_masters > 0 && o->n_masters <= PF_MASTERS_MAX);
    for (uint32_t i = 0; i < o->n_masters; i++) {
        s->master[s->n_masters++] = pf_strndup(o->master[i].at, o->master[i].len);
    }
    total_init(s, o->resources);
    s->cluster = own_text(o->cluster, "");
    s->attributes = own_text(o->attributes, "");
    s->hostname = own_text(o->hostname, "sim");
    s->http_address = own_text(o->http_address, "");
    if (pf_parse_hostport(pf_str(s->http_address), 0, &http, NULL) == 0) {
        s->http_port = http.port;
    }
    s->task_user = own_text(o->task_user, "nobody");
    s->allow_any_user = o->allow_any_user;
    s->on_ready = o->on_ready;
    s->ctx = o->ctx;
    pf_rng_seed(&s->rng, o->seed != 0 ? o->seed : pf_random_u64());
    s->by_launch.seed = pf_rng_next(&s->rng);
    s->by_peer.seed = pf_rng_next(&s->rng);
}

static void agents_init(struct pf_simulation *s, uint32_t n)
{
    int64_t now_ms = pf_now_ms();

    s->stats.n_agents = n;
    s->agent = pf_alloc(n * sizeof *s->agent);
    for (uint32_t i = 0; i < n; i++) {
        struct sim_agent *a = &s->agent[i];
        a->sim = s;
        a->again.kind = SIM_TIMER_LINK;
        a->deadline.kind = SIM_TIMER_CORE;
        sim_timer_set(s, &a->again, now_ms + i / BOOTS_PER_MS);
    }
}

int pf_simulation_create(struct pf_loop *loop, const struct pf_simulation_options *options,
                         struct pf_simulation **out, struct pf_err *err)
{
    struct pf_simulation *s = PF_NEW(struct pf_simulation);

    PF_ASSERT(options->n_agents > 0 && options->n_agents <= PF_AGENTS_MAX);
    s->loop = loop;
    s->timer_at = INT64_MAX;
    s->turns = pf_turns_create(PF_BATCH_MAX_BYTES, 1);
    pf_fb_builder_init(&s->builder, NULL);
    s->timer = pf_timer_create(loop, PF_PRIO_NORMAL, on_time, s);
    simulation_init(s, options);
    int rc = sim_net_create(s, options, err);
    if (rc < 0) {
        pf_simulation_destroy(s);
        return rc;
    }
    agents_init(s, options->n_agents);
    *out = s;
    return 0;
}

void pf_simulation_destroy(struct pf_simulation *s)
{
    struct sim_process *p;
    struct sim_link *k;
    uint32_t cursor = 0;

    if (s == NULL) {
        return;
    }
    pf_net_destroy(s->net);
    pf_heap_fini(&s->timers); /* while its nodes live */
    while ((p = pf_map_next(&s->by_launch, &cursor)) != NULL) {
        pf_free(p);
    }
    cursor = 0;
    while ((k = pf_map_next(&s->by_peer, &cursor)) != NULL) {
        pf_free(k);
    }
    for (uint32_t i = 0; i < s->stats.n_agents; i++) {
        pf_leader_destroy(s->agent[i].links);
        pf_agent_destroy(s->agent[i].core);
        pf_store_destroy(s->agent[i].store);
    }
    pf_free(s->agent);
    pf_timer_destroy(s->timer);
    pf_turns_destroy(s->turns);
    pf_fb_builder_fini(&s->builder);
    pf_map_fini(&s->by_peer);
    pf_map_fini(&s->by_launch);
    pf_res_fini(&s->total);
    for (uint32_t i = 0; i < s->n_masters; i++) {
        pf_free(s->master[i]);
    }
    pf_free(s->cluster);
    pf_free(s->attributes);
    pf_free(s->hostname);
    pf_free(s->http_address);
    pf_free(s->task_user);
    pf_free(s);
}

const char *pf_simulation_address(const struct pf_simulation *s)
{
    return s->address;
}

const struct pf_net *pf_simulation_net(const struct pf_simulation *s)
{
    return s->net;
}

void pf_simulation_stats(const struct pf_simulation *s, struct pf_simulation_stats *out)
{
    *out = s->stats;
    out->n_processes = s->by_launch.len;
}

void pf_simulation_check(const struct pf_simulation *s)
{
    uint32_t n_linked = 0, n_registered = 0;
    const struct sim_process *p;
    uint32_t cursor = 0;

    for (uint32_t i = 0; i < s->stats.n_agents; i++) {
        const struct sim_agent *a = &s->agent[i];
        if (a->core != NULL) {
            pf_agent_check(a->core);
            pf_leader_check(a->links);
            PF_ASSERT(a->is_linked == (pf_leader_n_up(a->links) > 0));
        }
        for (uint32_t m = 0; m < PF_MASTERS_MAX; m++) {
            const struct sim_link *k = a->link[m];
            PF_ASSERT(k == NULL || pf_map_get_u64(&s->by_peer, &k->peer) == k);
            PF_ASSERT(k == NULL || (k->agent == a && k->master == m && !k->is_closing));
        }
        PF_ASSERT(!a->is_registered || a->is_linked);
        n_linked += a->is_linked ? 1 : 0;
        n_registered += a->is_registered ? 1 : 0;
    }
    PF_ASSERT(n_linked == s->stats.n_linked);
    PF_ASSERT(n_registered == s->stats.n_registered);
    while ((p = pf_map_next(&s->by_launch, &cursor)) != NULL) {
        PF_ASSERT(pf_heap_has(&p->end.node));
    }
    PF_ASSERT(s->stats.started == s->stats.ended + s->by_launch.len);
    pf_heap_check(&s->timers);
    pf_turns_check(s->turns);
}
