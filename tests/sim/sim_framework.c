/* SPDX-License-Identifier: Apache-2.0 */
/* A framework on the driver: keeps some tasks running for ever, and in the chaos a stream of short
 * ones, which it kills now and then. By its index: 0 is durable, odd ones are not partition aware
 * and acknowledge late, every third states a demand instead of taking any offer. Its process may
 * die; a new instance takes over under the same framework id and knows, as a user with a good
 * database would, what it launched. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "common/base/alloc.h"
#include "common/link/envelope.h"
#include "tests/sim/sim_internal.h"

enum {
    LONG_TASKS = 3,
    SHORT_TASKS = 3,
    OFFERS_MAX = 64,
    TASKS_MAX = 8192,
    CPU_MILLI = 500,
    EXECUTOR_MILLI = 10
};

struct task {
    bool is_long, is_running, is_over, is_killed;
};

struct offer {
    char id[64], agent_id[64];
    uint32_t n_fits; /* so many tasks */
    bool has_spare;  /* ... and an executor beside them */
};

struct ack { /* that the owner will give */
    char task_id[64], agent_id[64];
    uint8_t uuid[16];
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
    uint32_t demanded;  /* tasks in the demand that stands; UINT32_MAX: none was stated */
    bool is_suppressed; /* for a while */
    char missing[128];
};

static struct framework *of(struct sim_node *n)
{
    return PF_CONTAINER(n, struct framework, n);
}

static void driver_step(struct framework *f, struct pf_driver_event *ev)
{
    ev->now_ms = sim_mono_ms(&f->n);
    ev->wall_ms = sim_wall_ms(&f->n);
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

static bool has_demands(const struct framework *f)
{
    return f->n.index % 3 == 2;
}

static bool acks_late(const struct framework *f)
{
    return f->n.index % 2 == 1;
}

static uint32_t wanted(const struct framework *f)
{
    uint32_t n_long = count(f, true), n_short = count(f, false);
    uint32_t want = n_long < LONG_TASKS ? LONG_TASKS - n_long : 0;

    return want + (!f->n.s->is_calm && n_short < SHORT_TASKS ? SHORT_TASKS - n_short : 0);
}

static struct pf_ref put_resource(struct pf_fb_builder *b, const char *name, double value)
{
    return Resource__put(
        b, &(struct Resource__args){.name = pf_str(name),
                                    .type = PF_OPT(Value_Type_SCALAR),
                                    .scalar = Value_Scalar__put(
                                        b, &(struct Value_Scalar__args){.value = PF_OPT(value)})});
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
    const struct pf_ref resources[] = {put_resource(b, "cpus", CPU_MILLI / 1000.0),
                                       put_resource(b, "mem", 64)};
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

/* The default executor that the framework has on each agent, as long as it has tasks there. */
static struct pf_msg executor_info(struct pf_fb_builder *b)
{
    const struct pf_ref resources[] = {put_resource(b, "cpus", EXECUTOR_MILLI / 1000.0),
                                       put_resource(b, "mem", 32), put_resource(b, "disk", 1)};
    struct ExecutorInfo__args x = {
        .type = PF_OPT(ExecutorInfo_Type_DEFAULT),
        .executor_id = ExecutorID__put(b, &(struct ExecutorID__args){.value = PF_STR("pod")}),
        .resources = {resources, 3},
    };

    return ExecutorInfo__finish(b, ExecutorInfo__put(b, &x));
}

static void use_offer(struct framework *f, const struct offer *o)
{
    struct pf_fb_builder b[4], executor;
    struct pf_msg info[4];
    struct pf_str id = pf_str(o->id);
    uint32_t n = 0, want_long = count(f, true) < LONG_TASKS ? 1 : 0;
    uint32_t want_short =
        !f->n.s->is_calm && count(f, false) < SHORT_TASKS ? (uint32_t)sim_dice(f->n.s, 3) : 0;

    for (; n < want_long + want_short && n < o->n_fits && f->n_tasks < TASKS_MAX; n++) {
        char name[32];

        pf_fb_builder_init(&b[n], NULL);
        info[n] = task_info(f, &b[n], o->agent_id, n < want_long);
        task_name(f, f->n_tasks, name);
        f->task[f->n_tasks++] = (struct task){.is_long = n < want_long};
        sim_log(f->n.s, "%s launches %s on %s", f->n.name, name, o->agent_id);
        sim_saw_accept(f->n.s, &f->n, pf_str(name), CPU_MILLI);
        f->n.s->result->launches++;
    }
    struct pf_driver_event ev = {.type = n > 0 ? PF_DRIVER_ACCEPT : PF_DRIVER_DECLINE};

    ev.accept.offer = &id;
    ev.accept.n_offers = 1;
    ev.accept.task = info;
    ev.accept.n_tasks = n;
    ev.accept.is_group = n == 1 && o->has_spare && sim_chance(f->n.s, 40);
    pf_fb_builder_init(&executor, NULL);
    ev.accept.executor = executor_info(&executor);
    ev.accept.refuse_ms = n > 0 ? 0 : !f->n.s->is_calm && sim_chance(f->n.s, 20) ? 5000 : 300;
    driver_step(f, &ev);
    pf_fb_builder_fini(&executor);
    for (uint32_t i = 0; i < n; i++) {
        pf_fb_builder_fini(&b[i]);
    }
}

static void on_ack(struct sim *s, struct sim_node *n, void *data)
{
    struct ack *a = data;
    struct pf_driver_event ev = {.type = PF_DRIVER_ACKNOWLEDGE};

    (void)s;
    ev.acknowledge.task_id = pf_str(a->task_id);
    ev.acknowledge.agent_id = pf_str(a->agent_id);
    ev.acknowledge.uuid = (struct pf_bytes){a->uuid, sizeof a->uuid};
    driver_step(of(n), &ev);
    sim_settle(n);
}

static void ack_later(struct framework *f, struct TaskStatus x)
{
    struct sim *s = f->n.s;
    struct ack a;

    (void)snprintf(a.task_id, sizeof a.task_id, "%.*s",
                   PF_STR_ARG(TaskID_value(TaskStatus_task_id(x))));
    (void)snprintf(a.agent_id, sizeof a.agent_id, "%.*s",
                   PF_STR_ARG(AgentID_value(TaskStatus_agent_id(x))));
    memcpy(a.uuid, TaskStatus_uuid(x).at, sizeof a.uuid);
    int64_t max_us = s->is_calm || sim_chance(s, 80) ? 20000 : 3000000;

    sim_at(s, s->now_us + (int64_t)sim_dice(s, (uint64_t)max_us), &f->n, on_ack,
           pf_memdup(&a, sizeof a));
}

static void on_update(struct framework *f, const struct pf_driver_update *u)
{
    struct pf_str id = TaskID_value(TaskStatus_task_id(u->status));
    enum TaskState state = TaskStatus_state(u->status);
    uint32_t index = 0;

    sim_log(f->n.s, "%s told %.*s %s%s", f->n.name, PF_STR_ARG(id), TaskState__str((int)state),
            u->is_local ? " by its driver" : "");
    sim_saw_update(f->n.s, id, state, TaskStatus_uuid(u->status), f->n.life);
    if (u->wants_ack) {
        ack_later(f, u->status);
    }
    if (sscanf(id.at, "%*[^.].%u", &index) != 1 || index >= f->n_tasks) {
        sim_broken(f->n.s, "ordered-updates", "%s was told of a foreign task %.*s", f->n.name,
                   PF_STR_ARG(id));
    }
    f->task[index].is_running = state == TaskState_TASK_RUNNING;
    f->task[index].is_over = pf_driver_state_is_final(state);
}

/* --- what its owner does besides
 * ------------------------------------------------------------------ */

/* The demand follows what is wanted. */
static void demand(struct framework *f)
{
    uint32_t n = wanted(f);
    struct pf_fb_builder b;

    if (n == f->demanded) {
        return;
    }
    f->demanded = n;
    pf_fb_builder_init(&b, NULL);
    const struct pf_ref resources[] = {put_resource(&b, "cpus", CPU_MILLI / 1000.0),
                                       put_resource(&b, "mem", 64)};
    struct pf_ref one = Demand__put(
        &b, &(struct Demand__args){.id = PF_STR("d"), .count = n, .resources = {resources, 2}});
    struct pf_ref all = Scheduler_Call_Demand__put(
        &b, &(struct Scheduler_Call_Demand__args){.demands = {&one, n > 0 ? 1 : 0}});
    struct pf_driver_event ev = {.type = PF_DRIVER_DEMAND};

    ev.demand = Scheduler_Call_Demand__finish(&b, all);
    driver_step(f, &ev);
    pf_fb_builder_fini(&b);
}

static void kill_some(struct framework *f)
{
    static const int64_t grace[] = {-1, 0, 500, 5000};
    struct pf_driver_event ev = {.type = PF_DRIVER_KILL};
    uint32_t i = f->n_tasks, n = (uint32_t)sim_dice(f->n.s, 8) + 1;
    char name[32];

    while (i > 0 && n > 0) {
        n -= !f->task[--i].is_over;
    }
    if (n > 0 || f->task[i].is_over) {
        return;
    }
    task_name(f, i, name);
    sim_log(f->n.s, "%s kills %s", f->n.name, name);
    f->task[i].is_killed = true;
    ev.kill =
        (struct pf_driver_kill){.task_id = pf_str(name), .grace_ms = grace[sim_dice(f->n.s, 4)]};
    driver_step(f, &ev);
}

static void on_whim(struct sim *s, struct sim_node *n, void *data)
{
    struct framework *f = of(n);

    (void)data;
    if (f->is_suppressed && (s->is_calm || sim_chance(s, 50))) {
        f->is_suppressed = false;
        driver_step(f, &(struct pf_driver_event){.type = PF_DRIVER_REVIVE});
    } else if (!s->is_calm && !has_demands(f) && sim_chance(s, 10)) {
        f->is_suppressed = true;
        driver_step(f, &(struct pf_driver_event){.type = PF_DRIVER_SUPPRESS});
    } else if (!s->is_calm && sim_chance(s, 60)) {
        kill_some(f);
    }
    sim_at(s, s->now_us + (200 + (int64_t)sim_dice(s, 2000)) * SIM_MS, n, on_whim, NULL);
    sim_settle(n);
}

/* --- acts ------------------------------------------------------------------------------------- */

static void note_amounts(struct Offer o, struct offer *to)
{
    double cpus = 0, disk = 0;

    for (uint32_t i = 0; i < Offer_resources__len(o); i++) {
        struct Resource r = Offer_resources__at(o, i);

        if (pf_str_is(Resource_name(r), "cpus")) {
            cpus += Value_Scalar_value(Resource_scalar(r));
        } else if (pf_str_is(Resource_name(r), "disk")) {
            disk += Value_Scalar_value(Resource_scalar(r));
        }
    }
    to->n_fits = (uint32_t)(cpus * 1000 / CPU_MILLI + 0.0001);
    to->has_spare = disk >= 1 && cpus * 1000 > to->n_fits * CPU_MILLI + EXECUTOR_MILLI;
}

static void note_offers(struct framework *f, struct Scheduler_Event_Offers x)
{
    for (uint32_t i = 0; i < Scheduler_Event_Offers_offers__len(x); i++) {
        struct Offer o = Scheduler_Event_Offers_offers__at(x, i);

        if (f->n_offers < OFFERS_MAX) {
            struct offer *to = &f->offer[f->n_offers++];

            (void)snprintf(to->id, sizeof to->id, "%.*s", PF_STR_ARG(OfferID_value(Offer_id(o))));
            (void)snprintf(to->agent_id, sizeof to->agent_id, "%.*s",
                           PF_STR_ARG(AgentID_value(Offer_agent_id(o))));
            note_amounts(o, to);
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
    case PF_DRIVER_TOLD:
    case PF_DRIVER_FAILURE:
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
        if (has_demands(f) && wanted(f) != f->demanded && pf_driver_is_subscribed(f->d)) {
            demand(f);
            continue;
        }
        break;
    } while (true);
    int64_t at_us = sim_mono_us(n, pf_driver_deadline(f->d));

    return at_us != INT64_MAX && at_us <= n->s->now_us ? n->s->now_us + 10 : at_us;
}

static void on_time(struct sim_node *n)
{
    struct framework *f = of(n);

    if (pf_driver_deadline(f->d) <= sim_mono_ms(n)) {
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

/* What a new instance does not hear of by itself it asks about: all that is not over; and what its
 * predecessor meant to kill it kills. */
static void remember(struct framework *f)
{
    struct pf_driver_event ev = {.type = PF_DRIVER_RECONCILE};
    char name[64][32];
    struct pf_str ask[64];
    uint32_t n = 0;

    for (uint32_t i = 0; i < f->n_tasks && n < PF_ARRAY_LEN(ask); i++) {
        if (!f->task[i].is_over) {
            task_name(f, i, name[n]);
            ask[n] = pf_str(name[n]);
            n++;
        }
    }
    if (n > 0) {
        ev.reconcile.task = ask;
        ev.reconcile.n_tasks = n;
        driver_step(f, &ev);
    }
    for (uint32_t i = 0; i < f->n_tasks; i++) {
        if (!f->task[i].is_over && f->task[i].is_killed) {
            ev = (struct pf_driver_event){.type = PF_DRIVER_KILL};
            task_name(f, i, name[0]);
            ev.kill = (struct pf_driver_kill){.task_id = pf_str(name[0]), .grace_ms = -1};
            driver_step(f, &ev);
        }
    }
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
        .is_durable = n->index == 0,
        .explicit_acks = acks_late(f),
        .tracer = sim_tracer(n)});
    pf_fb_builder_fini(&b);
    f->turns = pf_turns_create(1 << 20, 1);
    f->n_offers = 0;
    f->demanded = UINT32_MAX;
    f->is_suppressed = false;
    memset(f->link, 0, sizeof f->link);
    driver_step(f, &(struct pf_driver_event){.type = PF_DRIVER_START});
    sim_at(s, s->now_us + 500 * SIM_MS, n, on_whim, NULL);
    if (f->id[0] != '\0') {
        remember(f);
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
        if (!f->task[i].is_over && f->task[i].is_killed) {
            (void)snprintf(f->missing, sizeof f->missing, "task %s.%u was killed and runs on",
                           n->name, i);
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
