/* SPDX-License-Identifier: Apache-2.0 */
/* Launches per second through the master core with its turns, in process, and the allocation cycle.
 * A launch = offer, ACCEPT, task sent to the agent, RUNNING, acknowledged, FINISHED, acknowledged,
 * resources free again. Messages to the core are built before, and effects read after, the clock
 * runs; what is timed is the core, the turns and one copy of each message sent. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/alloc.h"
#include "common/base/arena.h"
#include "common/base/limits.h"
#include "common/sys/clock.h"
#include "master/core/allocator.h"
#include "master/core/master.h"
#include "schemas/proffer.h"
#include "schemas/rows.h"

enum { AGENTS = 1000, FRAMEWORKS = 100, AGENT_PEER = 1, FRAMEWORK_PEER = 100000 };

/* A list of messages from or to peers. */
struct mail {
    struct item {
        uint64_t peer;
        struct pf_msg msg;
    } * at;
    uint32_t n, cap;
    struct pf_buf bytes; /* of what came out: offsets until it is read */
};

struct bench {
    struct pf_master *m;
    struct pf_turns *turns;
    struct mail in, out;
    struct pf_arena arena;
    struct pf_fb_builder b, nested;
    int64_t now_ms, timed_us;
    uint32_t n_done, per_accept, task_bytes;
    char *filler;
    uint64_t next_task, next_uuid;
    char framework[FRAMEWORKS][PF_SHORT_ID_MAX];
    struct task {
        uint32_t framework, agent;
        char id[24];
    } * task;
    uint32_t n_tasks;
};

static void mail_add(struct mail *l, uint64_t peer, struct pf_msg msg)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 1024;
        l->at = pf_realloc(l->at, l->cap * sizeof *l->at);
    }
    l->at[l->n++] = (struct item){peer, msg};
}

/* --- the clock runs here --- */

static void drain(struct bench *x)
{
    const struct pf_batch *batch = pf_turns_seal(x->turns);
    const struct pf_effect *e;

    if (batch) {
        pf_turns_stored(x->turns, batch->number);
    }
    while ((e = pf_turns_next(x->turns)) != NULL) {
        if (e->kind == PF_EFFECT_SEND) {
            mail_add(&x->out, e->peer, (struct pf_msg){NULL, e->message.len, NULL});
            pf_buf_add(&x->out.bytes, e->message.at, e->message.len);
        }
    }
}

static void step(struct bench *x, struct pf_master_event *ev)
{
    ev->now_ms = x->now_ms;
    ev->wall_ms = 1700000000000 + x->now_ms;
    pf_master_step(x->m, ev, pf_turns_open(x->turns));
}

/* Everything that waits goes in, turn by turn, until nothing is due. */
static void run(struct bench *x)
{
    int64_t from = pf_now_us();

    x->out.n = 0;
    pf_buf_clear(&x->out.bytes);
    for (uint32_t i = 0; i < x->in.n || pf_master_deadline(x->m) <= x->now_ms;) {
        for (uint32_t k = 0; k < PF_TURN_EVENTS_MAX && i < x->in.n; k++, i++) {
            struct pf_master_event ev = {.type = PF_MASTER_MESSAGE, .peer = x->in.at[i].peer};

            ev.message = x->in.at[i].msg;
            step(x, &ev);
        }
        if (pf_master_deadline(x->m) <= x->now_ms) {
            step(x, &(struct pf_master_event){.type = PF_MASTER_DEADLINE});
        }
        drain(x);
    }
    x->timed_us += pf_now_us() - from;
    x->now_ms++;
}

/* --- and not here --- */

/* The messages that came out, readable until the next run. */
static void read_out(struct bench *x)
{
    size_t at = 0;

    for (uint32_t i = 0; i < x->out.n; i++) {
        x->out.at[i].msg.data = x->out.bytes.data + at;
        x->out.at[i].msg.desc = &Envelope__desc;
        at += x->out.at[i].msg.len;
    }
    x->in.n = 0;
    pf_arena_reset(&x->arena);
    pf_fb_builder_init(&x->b, &x->arena);
    pf_fb_builder_init(&x->nested, &x->arena);
}

static void post(struct bench *x, uint64_t peer, enum Body type, struct pf_ref body)
{
    mail_add(&x->in, peer,
             Envelope__finish(&x->b, Envelope__put(&x->b, &(struct Envelope__args){
                                                              .body_type = type, .body = body})));
    pf_fb_builder_reset(&x->b);
}

static void call(struct bench *x, uint32_t framework, const struct Scheduler_Call__args *args)
{
    post(x, FRAMEWORK_PEER + framework, Body_Scheduler_Call, Scheduler_Call__put(&x->b, args));
}

static struct pf_ref resource_put(struct pf_fb_builder *b, const char *name, double value)
{
    struct Resource__args args = {.name = pf_str(name), .type = PF_OPT(Value_Type_SCALAR)};

    args.scalar = Value_Scalar__put(b, &(struct Value_Scalar__args){.value = PF_OPT(value)});
    return Resource__put(b, &args);
}

static void up(struct bench *x, uint64_t peer, enum PeerKind kind, struct pf_str id)
{
    struct pf_master_event ev = {.type = PF_MASTER_PEER_UP, .peer = peer};
    struct pf_ref hello = Hello__put(&x->b, &(struct Hello__args){.kind = kind, .id = id});

    ev.peer_up.hello = Envelope__finish(
        &x->b,
        Envelope__put(&x->b, &(struct Envelope__args){.body_type = Body_Hello, .body = hello}));
    ev.peer_up.trusted = true;
    step(x, &ev);
    pf_fb_builder_reset(&x->b);
}

static void agent_id(uint32_t i, char out[PF_UUID_TEXT_LEN + 1])
{
    (void)snprintf(out, PF_UUID_TEXT_LEN + 1, "00000000-0000-4000-8000-%012" PRIu32, i);
}

/* Registers all agents, each with room for one ACCEPT's tasks, and subscribes all frameworks. */
static void begin(struct bench *x)
{
    struct pf_master_event ev = {.type = PF_MASTER_ELECTED, .elected.epoch = 1};

    read_out(x);
    step(x, &ev);
    for (uint32_t i = 0; i < AGENTS; i++) {
        char id[PF_UUID_TEXT_LEN + 1];
        struct pf_ref r[2];

        agent_id(i, id);
        up(x, AGENT_PEER + i, PeerKind_AGENT, pf_str(id));
        r[0] = resource_put(&x->b, "cpus", x->per_accept);
        r[1] = resource_put(&x->b, "mem", x->per_accept * 64);
        struct pf_ref aid = AgentID__put(&x->b, &(struct AgentID__args){.value = pf_str(id)});
        struct pf_ref info = AgentInfo__put(
            &x->b,
            &(struct AgentInfo__args){.hostname = PF_STR("host"), .id = aid, .resources = {r, 2}});

        post(x, AGENT_PEER + i, Body_AgentRegister,
             AgentRegister__put(&x->b, &(struct AgentRegister__args){
                                           .info = info, .address = PF_STR("127.0.0.1:5056")}));
        post(x, AGENT_PEER + i, Body_AgentTasks,
             AgentTasks__put(&x->b, &(struct AgentTasks__args){.last = true}));
    }
    for (uint32_t i = 0; i < FRAMEWORKS; i++) {
        up(x, FRAMEWORK_PEER + i, PeerKind_SCHEDULER, PF_STR(""));
        struct pf_fb_builder *n = &x->nested;

        pf_fb_builder_reset(n);
        struct pf_msg info = FrameworkInfo__finish(
            n, FrameworkInfo__put(n, &(struct FrameworkInfo__args){.user = PF_STR("user"),
                                                                   .name = PF_STR("bench")}));
        struct Scheduler_Call_Subscribe__args s = {.framework_info = pf_msg_bytes(info),
                                                   .has_demands = true};

        call(x, i,
             &(struct Scheduler_Call__args){.type = PF_OPT(Scheduler_Call_Type_SUBSCRIBE),
                                            .subscribe = Scheduler_Call_Subscribe__put(&x->b, &s)});
    }
    run(x);
    for (uint32_t i = 0; i < x->out.n; i++) {
        if (i == 0) {
            uint32_t n = x->out.n;

            read_out(x);
            x->out.n = n;
        }
        struct Scheduler_Event e =
            Envelope_body_as_Scheduler_Event(Envelope__root(x->out.at[i].msg));

        if (Scheduler_Event__has_subscribed(e)) {
            struct pf_str id = FrameworkID_value(
                Scheduler_Event_Subscribed_framework_id(Scheduler_Event_subscribed(e)));

            memcpy(x->framework[x->out.at[i].peer - FRAMEWORK_PEER], id.at, id.len + 1);
        }
    }
}

/* Each framework wants its part of `n_offers` offers. */
static void state_demands(struct bench *x, uint32_t n_offers)
{
    x->in.n = 0;
    pf_arena_reset(&x->arena);
    pf_fb_builder_init(&x->b, &x->arena);
    pf_fb_builder_init(&x->nested, &x->arena);
    for (uint32_t i = 0; i < FRAMEWORKS; i++) {
        struct pf_ref r[2] = {resource_put(&x->b, "cpus", 1), resource_put(&x->b, "mem", 64)};
        struct pf_ref d = Demand__put(
            &x->b, &(struct Demand__args){.id = PF_STR("d"),
                                          .count = n_offers / FRAMEWORKS * x->per_accept,
                                          .resources = {r, 2}});

        call(x, i,
             &(struct Scheduler_Call__args){
                 .type = PF_OPT(Scheduler_Call_Type_DEMAND),
                 .demand = Scheduler_Call_Demand__put(
                     &x->b, &(struct Scheduler_Call_Demand__args){.demands = {&d, 1}})});
    }
}

/* A TaskInfo of about task_bytes. */
static struct pf_ref task_put(struct bench *x, struct pf_str agent, const char *id)
{
    struct pf_fb_builder *n = &x->nested;

    pf_fb_builder_reset(n);
    struct pf_ref r[2] = {resource_put(n, "cpus", 1), resource_put(n, "mem", 64)};
    struct pf_ref variable = Environment_Variable__put(
        n,
        &(struct Environment_Variable__args){.name = PF_STR("FILLER"), .value = pf_str(x->filler)});
    struct pf_ref environment =
        Environment__put(n, &(struct Environment__args){.variables = {&variable, 1}});
    struct TaskInfo__args t = {.name = PF_STR("task"), .resources = {r, 2}};

    t.command = CommandInfo__put(
        n, &(struct CommandInfo__args){.value = PF_STR("sleep 1"), .environment = environment});
    t.task_id = TaskID__put(n, &(struct TaskID__args){.value = pf_str(id)});
    t.agent_id = AgentID__put(n, &(struct AgentID__args){.value = agent});
    struct pf_msg info = TaskInfo__finish(n, TaskInfo__put(n, &t));

    return TaskInfo_Nested__put(&x->b, &(struct TaskInfo_Nested__args){.info = pf_msg_bytes(info)});
}

static void accept_put(struct bench *x, uint32_t framework, struct Offer offer)
{
    struct pf_ref *tasks = pf_arena_alloc(&x->arena, x->per_accept * sizeof *tasks);
    struct pf_str agent = AgentID_value(Offer_agent_id(offer));
    struct pf_ref id = OfferID__copy(&x->b, Offer_id(offer));

    for (uint32_t i = 0; i < x->per_accept; i++) {
        struct task *t = &x->task[x->n_tasks++];

        t->framework = framework;
        t->agent = (uint32_t)strtoul(agent.at + 24, NULL, 10);
        (void)snprintf(t->id, sizeof t->id, "task-%" PRIu64, x->next_task++);
        tasks[i] = task_put(x, agent, t->id);
    }
    struct pf_ref launch = Offer_Operation_Launch__put(
        &x->b, &(struct Offer_Operation_Launch__args){.task_infos = {tasks, x->per_accept}});
    struct pf_ref op = Offer_Operation__put(
        &x->b, &(struct Offer_Operation__args){.type = PF_OPT(Offer_Operation_Type_LAUNCH),
                                               .launch = launch});

    call(x, framework,
         &(struct Scheduler_Call__args){
             .type = PF_OPT(Scheduler_Call_Type_ACCEPT),
             .accept = Scheduler_Call_Accept__put(
                 &x->b, &(struct Scheduler_Call_Accept__args){.offer_ids = {&id, 1},
                                                              .operations = {&op, 1}})});
}

static void accept_offers(struct bench *x)
{
    read_out(x);
    x->n_tasks = 0;
    for (uint32_t i = 0; i < x->out.n; i++) {
        struct Scheduler_Event_Offers offers = Scheduler_Event_offers(
            Envelope_body_as_Scheduler_Event(Envelope__root(x->out.at[i].msg)));

        for (uint32_t k = 0; k < Scheduler_Event_Offers_offers__len(offers); k++) {
            accept_put(x, (uint32_t)(x->out.at[i].peer - FRAMEWORK_PEER),
                       Scheduler_Event_Offers_offers__at(offers, k));
        }
    }
}

static void uuid_of(uint64_t n, uint8_t out[16])
{
    memset(out, 0, 16);
    memcpy(out, &n, sizeof n);
}

static void update_all(struct bench *x, enum TaskState state)
{
    read_out(x);
    for (uint32_t i = 0; i < x->n_tasks; i++) {
        const struct task *t = &x->task[i];
        struct pf_fb_builder *n = &x->nested;
        uint8_t uuid[16];

        uuid_of(x->next_uuid++, uuid);
        pf_fb_builder_reset(n);
        struct TaskStatus__args s = {.state = PF_OPT(state),
                                     .source = PF_OPT(TaskStatus_Source_SOURCE_EXECUTOR),
                                     .uuid = {uuid, 16},
                                     .timestamp = PF_OPT(1700000000.5)};

        s.task_id = TaskID__put(n, &(struct TaskID__args){.value = pf_str(t->id)});
        struct pf_msg status = TaskStatus__finish(n, TaskStatus__put(n, &s));

        post(x, AGENT_PEER + t->agent, Body_AgentUpdate,
             AgentUpdate__put(&x->b, &(struct AgentUpdate__args){
                                         .framework_id = pf_str(x->framework[t->framework]),
                                         .status = pf_msg_bytes(status)}));
    }
}

static void acknowledge_all(struct bench *x)
{
    uint32_t n = x->out.n;

    read_out(x);
    for (uint32_t i = 0; i < n; i++) {
        struct Scheduler_Event_Update u = Scheduler_Event_update(
            Envelope_body_as_Scheduler_Event(Envelope__root(x->out.at[i].msg)));
        struct TaskStatus s = Scheduler_Event_Update_status(u);

        if (s.tab.p) {
            struct pf_ref agent =
                AgentID__put(&x->b, &(struct AgentID__args){.value = PF_STR("a")});
            struct pf_ref task = TaskID__copy(&x->b, TaskStatus_task_id(s));
            struct Scheduler_Call_Acknowledge__args a = {
                .agent_id = agent, .task_id = task, .uuid = TaskStatus_uuid(s)};

            call(x, (uint32_t)(x->out.at[i].peer - FRAMEWORK_PEER),
                 &(struct Scheduler_Call__args){.type = PF_OPT(Scheduler_Call_Type_ACKNOWLEDGE),
                                                .acknowledge =
                                                    Scheduler_Call_Acknowledge__put(&x->b, &a)});
        }
    }
}

/* One wave of launches over as many agents as there are offers. */
static void wave(struct bench *x, uint32_t n_offers)
{
    state_demands(x, n_offers);
    run(x);
    accept_offers(x);
    run(x);
    update_all(x, TaskState_TASK_RUNNING);
    run(x);
    acknowledge_all(x);
    run(x);
    update_all(x, TaskState_TASK_FINISHED);
    run(x);
    acknowledge_all(x);
    run(x);
}

static void bench_free(struct bench *x)
{
    pf_master_destroy(x->m);
    pf_turns_destroy(x->turns);
    pf_free(x->in.at);
    pf_free(x->out.at);
    pf_buf_fini(&x->out.bytes);
    pf_arena_fini(&x->arena);
    pf_free(x->filler);
    pf_free(x->task);
    pf_free(x);
}

static int launches(uint32_t task_bytes, uint32_t per_accept, uint32_t n_waves)
{
    uint32_t n_offers = per_accept == 1 ? AGENTS : FRAMEWORKS, n_before, n = 0;
    struct bench *x = PF_NEW(struct bench);
    struct pf_master_stats stats;
    int64_t best = 0;

    x->m = pf_master_create(&(struct pf_master_options){
        .seed = 1, .instance = "bench", .offer_timeout_ms = 30000, .agent_unreachable_ms = 75000});
    x->turns = pf_turns_create(PF_BATCH_MAX_BYTES, 1);
    x->now_ms = 1000;
    x->per_accept = per_accept;
    x->task_bytes = task_bytes;
    x->filler = pf_alloc(task_bytes);
    memset(x->filler, 'x', task_bytes - 320);
    x->task = pf_alloc((size_t)n_offers * per_accept * sizeof *x->task);
    begin(x);
    for (uint32_t i = 0; i < n_waves; i++) {
        x->timed_us = 0;
        wave(x, n_offers);
        n_before = n;
        n += x->n_tasks;
        int64_t us = x->timed_us * 1000 / (n - n_before ? n - n_before : 1); /* per 1000 */

        best = best == 0 || us < best ? us : best;
    }
    pf_master_stats(x->m, &stats);
    printf("{\"bench\":\"launches through the master core, TaskInfo %" PRIu32 " bytes, %" PRIu32
           " an ACCEPT\",\"value\":%" PRId64 ",\"unit\":\"/s\",\"goal\":\"> 200000\"}\n",
           task_bytes, per_accept, best > 0 ? 1000000000 / best : 0);
    fflush(stdout);
    int bad = stats.tasks_launched != n || stats.tasks_ended != n || stats.tasks_refused != 0 ||
              n != n_offers * per_accept * n_waves || stats.n_tasks != 0;

    bench_free(x);
    return bad;
}

/* --- the allocation cycle: 10,000 free agents given to 1,000 frameworks --- */

enum { CYCLE_AGENTS = 10000, CYCLE_FRAMEWORKS = 1000, CYCLES = 9 };

static uint32_t cycle(struct pf_allocator *al, int64_t now_ms, struct pf_al_hold **hold)
{
    uint32_t n = 0, pairs;
    enum pf_al_result r = PF_AL_MORE;
    struct pf_al_hold *h;

    while (r == PF_AL_MORE) {
        pairs = 0;
        r = pf_allocator_run(al, now_ms, &pairs);
        while ((h = pf_al_new_hold(al)) != NULL) {
            hold[n++] = h;
        }
    }
    return n;
}

static int allocation(void)
{
    struct pf_allocator *al = pf_allocator_create(1);
    struct pf_resources total = {0};
    struct pf_al_hold **hold = pf_alloc(CYCLE_AGENTS * sizeof *hold);
    struct pf_al_framework *f[CYCLE_FRAMEWORKS];
    int64_t best_give = INT64_MAX, best_decline = INT64_MAX, best_idle = INT64_MAX;
    uint32_t n = 0;

    if (pf_res_parse(PF_STR("cpus:16;mem:65536;disk:100000;ports:[31000-32000]"), &total, NULL)) {
        return 1;
    }
    for (uint32_t i = 0; i < CYCLE_AGENTS; i++) {
        pf_al_agent_set_open(
            al, pf_al_agent_add(al, &(struct pf_al_agent_info){.total = &total, .number = i + 1}),
            true);
    }
    for (uint32_t i = 0; i < CYCLE_FRAMEWORKS; i++) {
        f[i] = pf_al_framework_add(al, i + 1, NULL);
        pf_al_framework_set_active(al, f[i], true);
    }
    for (uint32_t i = 0; i < CYCLES; i++) {
        int64_t from = pf_now_us(), took;

        n = cycle(al, i, hold);
        took = pf_now_us() - from;
        best_give = took < best_give ? took : best_give;
        from = pf_now_us();
        for (uint32_t k = 0; k < n; k++) {
            pf_al_filter_add(al, hold[k]->framework, hold[k]->agent, &hold[k]->resources,
                             i == CYCLES - 1 ? INT64_MAX - 1 : 0);
            pf_al_hold_end(al, hold[k], NULL, 0);
        }
        took = pf_now_us() - from;
        best_decline = took < best_decline ? took : best_decline;
        from = pf_now_us();
        (void)pf_allocator_is_due(al);
        took = pf_now_us() - from;
        best_idle = took < best_idle ? took : best_idle;
    }
    printf("{\"bench\":\"allocation cycle, %d agents, %d frameworks\",\"value\":%.2f,"
           "\"unit\":\"ms\",\"goal\":\"< 5\"}\n",
           CYCLE_AGENTS, CYCLE_FRAMEWORKS, (double)best_give / 1000);
    printf("{\"bench\":\"declining all of it, %d agents, %d frameworks\",\"value\":%.2f,"
           "\"unit\":\"ms\",\"goal\":\"\"}\n",
           CYCLE_AGENTS, CYCLE_FRAMEWORKS, (double)best_decline / 1000);
    pf_allocator_destroy(al);
    pf_res_fini(&total);
    pf_free(hold);
    return n != CYCLE_AGENTS;
}

int main(int argc, char **argv)
{
    uint32_t waves = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 20;
    int bad = allocation();

    bad |= launches(400, 1, waves * 2);
    bad |= launches(1750, 1, waves * 2);
    bad |= launches(400, 100, waves);
    bad |= launches(1750, 100, waves);
    return bad;
}
