/* SPDX-License-Identifier: Apache-2.0 */
/* A framework on the driver: keeps some tasks running for ever, and in the chaos a stream of short
 * ones. Its process may die; a new instance takes over under the same framework id and knows, as a
 * user with a good database would, what it launched. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "common/base/alloc.h"
#include "common/link/envelope.h"
#include "tests/sim/sim_internal.h"

enum { LONG_TASKS = 3, SHORT_TASKS = 3, OFFERS_MAX = 64, TASKS_MAX = 8192 };

struct task {
    bool is_long, is_running, is_over;
};

struct offer {
    char id[64], agent_id[64];
};

struct framework {
    struct sim_node n;
    struct pf_driver *d;
    struct pf_turns *turns;
    char id[64]; /* of the framework, once known */
    struct task task[TASKS_MAX];
    uint32_t n_tasks;
    struct offer offer[OFFERS_MAX];
    uint32_t n_offers;
    uint64_t link[PF_MASTERS_MAX];
    char missing[128];
};

static struct framework *of(struct sim_node *n)
{
    return PF_CONTAINER(n, struct framework, n);
}

static void driver_step(struct framework *f, struct pf_driver_event *ev)
{
    ev->now_ms = sim_now_ms(f->n.s);
    ev->wall_ms = sim_wall_ms(f->n.s);
    pf_driver_step(f->d, ev, pf_turns_open(f->turns));
    pf_driver_check(f->d);
}

/* --- tasks ------------------------------------------------------------------------------------ */

static void task_name(const struct framework *f, uint32_t i, char out[32])
{
    (void)snprintf(out, 32, "%s.%u", f->n.name, i);
}

static uint32_t count(const struct framework *f, bool is_long)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < f->n_tasks; i++) {
        n += f->task[i].is_long == is_long && !f->task[i].is_over;
    }
    return n;
}

static struct pf_msg task_info(struct framework *f, struct pf_fb_builder *b, const char *agent_id,
                               bool is_long)
{
    char id[32], ms[24];

    task_name(f, f->n_tasks, id);
    (void)snprintf(ms, sizeof ms, "%u",
                   is_long ? 0
                           : 20 + (uint32_t)sim_dice(f->n.s, sim_chance(f->n.s, 20) ? 8000 : 300));
    const struct pf_str args[] = {PF_STR("work"), pf_str(ms), pf_str(id)};
    struct pf_ref cpus = Resource__put(
        b, &(struct Resource__args){
               .name = PF_STR("cpus"),
               .type = PF_OPT(Value_Type_SCALAR),
               .scalar = Value_Scalar__put(b, &(struct Value_Scalar__args){.value = PF_OPT(0.5)})});
    struct pf_ref mem = Resource__put(
        b, &(struct Resource__args){
               .name = PF_STR("mem"),
               .type = PF_OPT(Value_Type_SCALAR),
               .scalar = Value_Scalar__put(b, &(struct Value_Scalar__args){.value = PF_OPT(64)})});
    const struct pf_ref resources[] = {cpus, mem};
    struct TaskInfo__args t = {
        .name = PF_STR("sim"),
        .task_id = TaskID__put(b, &(struct TaskID__args){.value = pf_str(id)}),
        .agent_id = AgentID__put(b, &(struct AgentID__args){.value = pf_str(agent_id)}),
        .resources = {resources, 2},
        .command = CommandInfo__put(b, &(struct CommandInfo__args){.shell = PF_OPT(false),
                                                                   .value = PF_STR("work"),
                                                                   .arguments = {args, 3}}),
    };

    return TaskInfo__finish(b, TaskInfo__put(b, &t));
}

static void use_offer(struct framework *f, const struct offer *o)
{
    struct pf_fb_builder b[4];
    struct pf_msg info[4];
    struct pf_str id = pf_str(o->id);
    uint32_t n = 0, want_long = count(f, true) < LONG_TASKS ? 1 : 0;
    uint32_t want_short =
        !f->n.s->is_calm && count(f, false) < SHORT_TASKS ? (uint32_t)sim_dice(f->n.s, 3) : 0;

    for (; n < want_long + want_short && f->n_tasks < TASKS_MAX; n++) {
        char name[32];

        pf_fb_builder_init(&b[n], NULL);
        info[n] = task_info(f, &b[n], o->agent_id, n < want_long);
        task_name(f, f->n_tasks, name);
        f->task[f->n_tasks++] = (struct task){.is_long = n < want_long};
        sim_saw_accept(f->n.s, &f->n, pf_str(name));
        f->n.s->result->launches++;
    }
    struct pf_driver_event ev = {.type = n > 0 ? PF_DRIVER_ACCEPT : PF_DRIVER_DECLINE};

    ev.accept.offer = &id;
    ev.accept.n_offers = 1;
    ev.accept.task = info;
    ev.accept.n_tasks = n;
    ev.accept.refuse_ms = n > 0 ? 0 : 300;
    driver_step(f, &ev);
    for (uint32_t i = 0; i < n; i++) {
        pf_fb_builder_fini(&b[i]);
    }
}

static void on_update(struct framework *f, const struct pf_driver_update *u)
{
    struct pf_str id = TaskID_value(TaskStatus_task_id(u->status));
    enum TaskState state = TaskStatus_state(u->status);
    uint32_t index = 0;

    sim_log(f->n.s, "%s told %.*s %s%s", f->n.name, PF_STR_ARG(id), TaskState__str(state),
            u->is_local ? " by its driver" : "");
    sim_saw_update(f->n.s, id, state, TaskStatus__has_uuid(u->status));
    if (sscanf(id.at, "%*[^.].%u", &index) != 1 || index >= f->n_tasks) {
        sim_broken(f->n.s, "ordered-updates", "%s was told of a foreign task %.*s", f->n.name,
                   PF_STR_ARG(id));
    }
    f->task[index].is_running = state == TaskState_TASK_RUNNING;
    f->task[index].is_over = pf_driver_state_is_final(state);
}

/* --- acts ------------------------------------------------------------------------------------- */

static void note_offers(struct framework *f, struct Scheduler_Event_Offers x)
{
    for (uint32_t i = 0; i < Scheduler_Event_Offers_offers__len(x); i++) {
        struct Offer o = Scheduler_Event_Offers_offers__at(x, i);

        if (f->n_offers < OFFERS_MAX) {
            struct offer *to = &f->offer[f->n_offers++];

            (void)snprintf(to->id, sizeof to->id, "%.*s", PF_STR_ARG(OfferID_value(Offer_id(o))));
            (void)snprintf(to->agent_id, sizeof to->agent_id, "%.*s",
                           PF_STR_ARG(AgentID_value(Offer_agent_id(o))));
        }
    }
}

static void on_act(struct framework *f, const struct pf_effect *e)
{
    struct sim *s = f->n.s;

    switch ((enum pf_driver_act)e->act) {
    case PF_DRIVER_CONNECT: {
        const struct pf_driver_connect *c = e->data;
        struct pf_fb_builder b;
        struct pf_msg hello;

        pf_fb_builder_init(&b, NULL);
        sim_put_hello(&b, PeerKind_SCHEDULER, "", f->n.name, &hello);
        f->link[c->master] = sim_connect(&f->n, c->address, pf_msg_bytes(hello), c->master);
        pf_fb_builder_fini(&b);
        break;
    }
    case PF_DRIVER_SUBSCRIBED: {
        const struct pf_driver_subscribed *x = e->data;

        (void)snprintf(f->id, sizeof f->id, "%.*s", PF_STR_ARG(x->framework_id));
        sim_log(s, "%s subscribed as %s in epoch %" PRIu64, f->n.name, f->id, x->epoch);
        break;
    }
    case PF_DRIVER_OFFERS: {
        struct Scheduler_Event_Offers offers;

        memcpy(&offers, e->data, sizeof offers);
        note_offers(f, offers);
        break;
    }
    case PF_DRIVER_UPDATE: on_update(f, e->data); break;
    case PF_DRIVER_ERROR: {
        const struct pf_err *why = e->data;

        sim_broken(s, "progress", "%s got an error: %s", f->n.name, why->msg);
    }
    case PF_DRIVER_DISCONNECTED:
    case PF_DRIVER_RESCINDED:
    case PF_DRIVER_DEMAND_STATUS:
    case PF_DRIVER_STOPPED: break;
    }
}

static int64_t on_settle(struct sim_node *n)
{
    struct framework *f = of(n);
    const struct pf_effect *e;

    do {
        PF_ASSERT(pf_turns_seal(f->turns) == NULL);
        while ((e = pf_turns_next(f->turns)) != NULL) {
            switch (e->kind) {
            case PF_EFFECT_SEND: sim_send(n, e->peer, e->message); break;
            case PF_EFFECT_CLOSE: sim_close(n, e->peer); break;
            case PF_EFFECT_ACT: on_act(f, e); break;
            }
        }
        if (f->n_offers > 0) {
            struct offer o = f->offer[--f->n_offers];

            use_offer(f, &o);
            continue;
        }
        break;
    } while (true);
    int64_t at_ms = pf_driver_deadline(f->d);
    int64_t at_us = at_ms < INT64_MAX / SIM_MS ? at_ms * SIM_MS : INT64_MAX;

    return at_us != INT64_MAX && at_us <= n->s->now_us ? n->s->now_us + 10 : at_us;
}

static void on_time(struct sim_node *n)
{
    struct framework *f = of(n);

    if (pf_driver_deadline(f->d) <= sim_now_ms(n->s)) {
        driver_step(f, &(struct pf_driver_event){.type = PF_DRIVER_DEADLINE});
    }
}

/* --- net and life ----------------------------------------------------------------------------- */

static void on_up(struct sim_node *n, uint64_t peer, bool is_client, struct pf_msg greeting,
                  uint64_t tag)
{
    struct framework *f = of(n);
    struct pf_driver_event ev = {.type = PF_DRIVER_LINK_UP, .master = (uint32_t)tag};

    PF_ASSERT(is_client);
    if (f->link[tag] == peer) {
        ev.up.peer = peer;
        ev.up.greeting = greeting;
        driver_step(f, &ev);
    }
}

static void on_message(struct sim_node *n, uint64_t peer, struct pf_msg envelope)
{
    struct framework *f = of(n);

    for (uint32_t i = 0; i < PF_MASTERS_MAX; i++) {
        if (f->link[i] == peer) {
            struct pf_driver_event ev = {.type = PF_DRIVER_MESSAGE, .master = i};

            ev.message = envelope;
            driver_step(f, &ev);
            return;
        }
    }
}

static void on_down(struct sim_node *n, uint64_t peer, int code, uint64_t tag)
{
    struct framework *f = of(n);
    struct pf_driver_event ev = {.type = PF_DRIVER_LINK_DOWN, .master = (uint32_t)tag};

    if (f->link[tag] == peer) {
        f->link[tag] = 0;
        pf_turns_forget_peer(f->turns, peer);
        (void)pf_err_set(&ev.down, code, "%s", pf_err_str(code));
        driver_step(f, &ev);
    }
}

static struct pf_msg on_welcome(struct sim_node *n, struct pf_fb_builder *b)
{
    (void)n;
    return pf_envelope_finish(b, &(struct pf_envelope){.body_type = Body_Welcome},
                              Welcome__put(b, &(struct Welcome__args){.kind = PeerKind_SCHEDULER}));
}

static void on_start(struct sim_node *n)
{
    struct framework *f = of(n);
    struct sim *s = n->s;
    struct pf_fb_builder b;
    char instance[PF_UUID_TEXT_LEN + 1];

    pf_fb_builder_init(&b, NULL);
    struct pf_ref capability[2];
    uint32_t n_capabilities = 0;
    struct FrameworkInfo__args info = {
        .user = PF_STR("ann"), .name = pf_str(n->name), .failover_timeout = PF_OPT(3600)};

    if (n->index % 2 == 0) {
        capability[n_capabilities++] = FrameworkInfo_Capability__put(
            &b, &(struct FrameworkInfo_Capability__args){
                    .type = PF_OPT(FrameworkInfo_Capability_Type_PARTITION_AWARE)});
    }
    info.capabilities.at = capability;
    info.capabilities.n = n_capabilities;
    if (f->id[0] != '\0') {
        info.id = FrameworkID__put(&b, &(struct FrameworkID__args){.value = pf_str(f->id)});
    }
    pf_uuid_format(pf_uuid_random(&s->rng), instance);
    f->d = pf_driver_create(&(struct pf_driver_options){
        .seed = pf_rng_next(&s->rng),
        .instance = pf_str(instance),
        .framework = FrameworkInfo__finish(&b, FrameworkInfo__put(&b, &info)),
        .master = s->masters,
        .n_masters = s->o.n_masters,
        .is_durable = n->index == 0});
    pf_fb_builder_fini(&b);
    f->turns = pf_turns_create(1 << 20, 1);
    f->n_offers = 0;
    memset(f->link, 0, sizeof f->link);
    driver_step(f, &(struct pf_driver_event){.type = PF_DRIVER_START});
    /* What a new instance does not hear of by itself it asks about: all that is not over. */
    if (f->id[0] != '\0') {
        char name[64][32];
        struct pf_str ask[64];
        uint32_t n_ask = 0;

        for (uint32_t i = 0; i < f->n_tasks && n_ask < 64; i++) {
            if (!f->task[i].is_over) {
                task_name(f, i, name[n_ask]);
                ask[n_ask] = pf_str(name[n_ask]);
                n_ask++;
            }
        }
        if (n_ask > 0) {
            struct pf_driver_event ev = {.type = PF_DRIVER_RECONCILE};

            ev.reconcile.task = ask;
            ev.reconcile.n_tasks = n_ask;
            driver_step(f, &ev);
        }
    }
}

static void on_kill(struct sim_node *n)
{
    struct framework *f = of(n);

    pf_driver_destroy(f->d);
    pf_turns_destroy(f->turns);
    f->d = NULL;
    f->turns = NULL;
}

static const struct sim_node_ops ops = {.on_up = on_up,
                                        .on_message = on_message,
                                        .on_down = on_down,
                                        .on_time = on_time,
                                        .settle = on_settle,
                                        .welcome = on_welcome,
                                        .start = on_start,
                                        .kill = on_kill};

struct sim_node *sim_framework_new(struct sim *s, uint32_t index)
{
    struct framework *f = PF_NEW(struct framework);

    sim_node_add(s, &f->n, SIM_FRAMEWORK, index, &ops);
    return &f->n;
}

void sim_framework_free(struct sim_node *n)
{
    pf_free(of(n));
}

const char *sim_framework_missing(const struct sim_node *n)
{
    struct framework *f = PF_CONTAINER(n, struct framework, n);
    uint32_t n_running = 0;

    if (f->d == NULL || !pf_driver_is_subscribed(f->d)) {
        return "is not subscribed";
    }
    for (uint32_t i = 0; i < f->n_tasks; i++) {
        if (!f->task[i].is_over && !f->task[i].is_running) {
            (void)snprintf(f->missing, sizeof f->missing, "task %s.%u was told nothing final",
                           n->name, i);
            return f->missing;
        }
        if (!f->task[i].is_over && !f->task[i].is_long) {
            (void)snprintf(f->missing, sizeof f->missing, "short task %s.%u runs on", n->name, i);
            return f->missing;
        }
        n_running += f->task[i].is_running && f->task[i].is_long;
    }
    if (n_running < LONG_TASKS) {
        (void)snprintf(f->missing, sizeof f->missing, "%u tasks of %d run", n_running, LONG_TASKS);
        return f->missing;
    }
    return "";
}
