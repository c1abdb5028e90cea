/* SPDX-License-Identifier: Apache-2.0 */
/* A takeover through the master core with its turns, in process: a standby with the rows of all
 * agents and warm links is elected; the schedulers subscribe, every agent registers with the list
 * of its tasks; then every link breaks once and they register without lists. Messages to the core
 * are built before the clock runs; what is timed is the core, the turns and one copy of each
 * message sent. The longest step is told beside each sum. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/alloc.h"
#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/limits.h"
#include "common/sys/clock.h"
#include "master/core/master.h"
#include "schemas/proffer.h"
#include "schemas/rows.h"

enum { FRAMEWORKS = 10, TASKS_EACH = 10, CHUNK = 500, AGENT_PEER = 1, FRAMEWORK_PEER = 1000000 };

struct item {
    uint64_t peer;
    struct pf_msg msg;
};

struct bench {
    struct pf_master *m;
    struct pf_turns *turns;
    struct pf_arena arena; /* of the messages under way */
    struct pf_fb_builder b, nested;
    struct item in[CHUNK * 2];
    uint32_t n_in, n_agents;
    int64_t now_ms, sum_us, longest_us;
    uint64_t bytes_out;
    struct pf_buf out; /* what a socket's buffer would take */
};

/* --- the clock runs here --- */

static void step(struct bench *x, struct pf_master_event *ev)
{
    int64_t from = pf_now_us(), took;

    ev->now_ms = x->now_ms;
    ev->wall_ms = 1700000000000 + x->now_ms;
    pf_master_step(x->m, ev, pf_turns_open(x->turns));
    took = pf_now_us() - from;
    x->longest_us = took > x->longest_us ? took : x->longest_us;
}

static void drain(struct bench *x)
{
    const struct pf_batch *batch = pf_turns_seal(x->turns);
    const struct pf_effect *e;

    if (batch) {
        pf_turns_stored(x->turns, batch->number);
    }
    pf_buf_clear(&x->out);
    while ((e = pf_turns_next(x->turns)) != NULL) {
        if (e->kind == PF_EFFECT_SEND) {
            pf_buf_add(&x->out, e->message.at, e->message.len);
            x->bytes_out += e->message.len;
        }
    }
}

static void run(struct bench *x)
{
    int64_t from = pf_now_us();

    for (uint32_t i = 0; i < x->n_in || pf_master_deadline(x->m) <= x->now_ms;) {
        for (uint32_t k = 0; k < PF_TURN_EVENTS_MAX && i < x->n_in; k++, i++) {
            step(x, &(struct pf_master_event){
                        .type = PF_MASTER_MESSAGE, .peer = x->in[i].peer, .message = x->in[i].msg});
        }
        if (pf_master_deadline(x->m) <= x->now_ms) {
            step(x, &(struct pf_master_event){.type = PF_MASTER_DEADLINE});
        }
        drain(x);
    }
    x->sum_us += pf_now_us() - from;
    x->now_ms++;
}

/* --- and not here --- */

static void begin_messages(struct bench *x)
{
    x->n_in = 0;
    pf_arena_reset(&x->arena);
    pf_fb_builder_init(&x->b, &x->arena);
    pf_fb_builder_init(&x->nested, &x->arena);
}

static struct pf_msg envelope(struct bench *x, enum Body type, struct pf_ref body)
{
    struct Envelope__args args = {.request_id = 1, .body_type = type, .body = body};
    struct pf_msg msg = Envelope__finish(&x->b, Envelope__put(&x->b, &args));

    pf_fb_builder_reset(&x->b);
    return msg;
}

static void post(struct bench *x, uint64_t peer, enum Body type, struct pf_ref body)
{
    x->in[x->n_in++] = (struct item){peer, envelope(x, type, body)};
}

static void agent_id(uint32_t i, char out[PF_UUID_TEXT_LEN + 1])
{
    (void)snprintf(out, PF_UUID_TEXT_LEN + 1, "00000000-0000-4000-8000-%012" PRIu32, i);
}

static void up(struct bench *x, uint64_t peer, enum PeerKind kind, struct pf_str id)
{
    struct pf_master_event ev = {.type = PF_MASTER_PEER_UP, .peer = peer};
    struct Hello__args hello = {.kind = kind, .id = id, .instance = PF_STR("instance")};

    ev.peer_up.hello = envelope(x, Body_Hello, Hello__put(&x->b, &hello));
    ev.peer_up.trusted = true;
    step(x, &ev);
}

static struct pf_ref scalar(struct pf_fb_builder *b, const char *name, double value)
{
    struct Resource__args args = {.name = pf_str(name), .type = PF_OPT(Value_Type_SCALAR)};

    args.scalar = Value_Scalar__put(b, &(struct Value_Scalar__args){.value = PF_OPT(value)});
    return Resource__put(b, &args);
}

static struct pf_ref ports(struct pf_fb_builder *b)
{
    struct pf_ref range = Value_Range__put(
        b, &(struct Value_Range__args){.begin = PF_OPT(31000), .end = PF_OPT(32000)});
    struct pf_ref ranges = Value_Ranges__put(b, &(struct Value_Ranges__args){.range = {&range, 1}});

    return Resource__put(b, &(struct Resource__args){.name = PF_STR("ports"),
                                                     .type = PF_OPT(Value_Type_RANGES),
                                                     .ranges = ranges});
}

static struct pf_ref info_put(struct pf_fb_builder *b, uint32_t i)
{
    char id[PF_UUID_TEXT_LEN + 1], host[40], rack[16];
    struct pf_ref r[] = {scalar(b, "cpus", 64), scalar(b, "mem", 262144),
                         scalar(b, "disk", 1000000), ports(b)};

    agent_id(i, id);
    (void)snprintf(host, sizeof host, "host-%" PRIu32 ".example.org", i);
    (void)snprintf(rack, sizeof rack, "r%" PRIu32, i / 40);
    struct pf_ref text = Value_Text__put(b, &(struct Value_Text__args){.value = pf_str(rack)});
    struct pf_ref attribute = Attribute__put(
        b, &(struct Attribute__args){
               .name = PF_STR("rack"), .type = PF_OPT(Value_Type_TEXT), .text = text});
    struct pf_ref aid = AgentID__put(b, &(struct AgentID__args){.value = pf_str(id)});

    return AgentInfo__put(b, &(struct AgentInfo__args){.hostname = pf_str(host),
                                                       .id = aid,
                                                       .resources = {r, PF_ARRAY_LEN(r)},
                                                       .attributes = {&attribute, 1}});
}

static void framework_id(uint32_t i, char out[8])
{
    (void)snprintf(out, 8, "f%" PRIu32, i);
}

static struct pf_msg framework_info(struct bench *x, uint32_t i)
{
    struct pf_fb_builder *n = &x->nested;
    char id[8];

    framework_id(i, id);
    pf_fb_builder_reset(n);
    struct pf_ref fid = FrameworkID__put(n, &(struct FrameworkID__args){.value = pf_str(id)});

    return FrameworkInfo__finish(
        n, FrameworkInfo__put(n, &(struct FrameworkInfo__args){.user = PF_STR("user"),
                                                               .name = PF_STR("bench"),
                                                               .failover_timeout = PF_OPT(3600.0),
                                                               .id = fid}));
}

static void add_row(struct bench *x, uint32_t i)
{
    struct pf_master_event ev = {.type = PF_MASTER_ROW, .row.table = RegistryTable_AGENTS};
    char id[PF_UUID_TEXT_LEN + 1];
    struct Row_Agent__args args = {.state = AgentState_REGISTERED, .admitted_ms = 1};

    agent_id(i, id);
    args.info = info_put(&x->b, i);
    ev.row.key = (struct pf_bytes){(const uint8_t *)id, PF_UUID_TEXT_LEN};
    ev.row.row = Row_Agent__finish(&x->b, Row_Agent__put(&x->b, &args));
    pf_fb_builder_reset(&x->b);

    int64_t from = pf_now_us();

    step(x, &ev);
    x->sum_us += pf_now_us() - from;
}

static void subscribe_all(struct bench *x)
{
    begin_messages(x);
    for (uint32_t i = 0; i < FRAMEWORKS; i++) {
        struct Scheduler_Call_Subscribe__args s = {
            .framework_info = pf_msg_bytes(framework_info(x, i)), .has_demands = true};

        post(
            x, FRAMEWORK_PEER + i, Body_Scheduler_Call,
            Scheduler_Call__put(&x->b, &(struct Scheduler_Call__args){
                                           .type = PF_OPT(Scheduler_Call_Type_SUBSCRIBE),
                                           .subscribe = Scheduler_Call_Subscribe__put(&x->b, &s)}));
    }
    run(x);
}

static void post_register(struct bench *x, uint32_t i)
{
    struct pf_ref info = info_put(&x->b, i);

    post(x, AGENT_PEER + i, Body_AgentRegister,
         AgentRegister__put(&x->b, &(struct AgentRegister__args){.info = info,
                                                                 .address = PF_STR("10.0.0.1:5056"),
                                                                 .version = PF_STR("0.1.0"),
                                                                 .runs_as_root = true,
                                                                 .instance = PF_STR("instance"),
                                                                 .sequence = 30}));
}

static struct pf_ref task_put(struct bench *x, uint32_t i, uint32_t k, const char *agent,
                              const char *framework)
{
    struct pf_fb_builder *b = &x->b;
    uint8_t launch[16] = {1}, uuid[16] = {2};
    char id[24];
    struct pf_ref r[] = {scalar(b, "cpus", 1), scalar(b, "mem", 512)};

    (void)snprintf(id, sizeof id, "task-%" PRIu32 "-%" PRIu32, i, k);
    memcpy(launch + 4, &i, sizeof i);
    memcpy(launch + 8, &k, sizeof k);
    memcpy(uuid + 4, &i, sizeof i);
    struct pf_ref task_id = TaskID__put(b, &(struct TaskID__args){.value = pf_str(id)});
    struct TaskStatus__args status = {.task_id = task_id,
                                      .state = PF_OPT(TaskState_TASK_RUNNING),
                                      .source = PF_OPT(TaskStatus_Source_SOURCE_EXECUTOR),
                                      .timestamp = PF_OPT(1700000000.5)};

    if (k == 0) { /* one in ten waits for its acknowledgement */
        status.uuid = (struct pf_bytes){uuid, sizeof uuid};
    }
    struct pf_ref last = TaskStatus__put(b, &status);
    struct pf_ref fid =
        FrameworkID__put(b, &(struct FrameworkID__args){.value = pf_str(framework)});
    struct pf_ref aid = AgentID__put(b, &(struct AgentID__args){.value = pf_str(agent)});

    return Task__put(b, &(struct Task__args){.name = PF_STR("web-server"),
                                             .task_id = task_id,
                                             .framework_id = fid,
                                             .agent_id = aid,
                                             .state = PF_OPT(TaskState_TASK_RUNNING),
                                             .resources = {r, PF_ARRAY_LEN(r)},
                                             .statuses = {&last, 1},
                                             .launch_uuid = {launch, sizeof launch},
                                             .command = PF_STR("./serve --port 31000"),
                                             .created_ms = 1700000000000,
                                             .started_ms = 1700000000000});
}

static void post_list(struct bench *x, uint32_t i)
{
    struct pf_ref tasks[TASKS_EACH], frameworks[FRAMEWORKS];
    char agent[PF_UUID_TEXT_LEN + 1], framework[8];

    agent_id(i, agent);
    for (uint32_t k = 0; k < FRAMEWORKS; k++) {
        struct pf_msg info = framework_info(x, k);

        framework_id(k, framework);
        frameworks[k] = AgentFramework__put(
            &x->b, &(struct AgentFramework__args){.framework_id = pf_str(framework),
                                                  .info = pf_msg_bytes(info)});
    }
    for (uint32_t k = 0; k < TASKS_EACH; k++) {
        framework_id((i + k) % FRAMEWORKS, framework);
        tasks[k] = task_put(x, i, k, agent, framework);
    }
    post(x, AGENT_PEER + i, Body_AgentTasks,
         AgentTasks__put(&x->b, &(struct AgentTasks__args){.frameworks = {frameworks, FRAMEWORKS},
                                                           .tasks = {tasks, TASKS_EACH},
                                                           .last = true}));
}

static void register_all(struct bench *x, bool with_lists)
{
    for (uint32_t i = 0; i < x->n_agents;) {
        begin_messages(x);
        for (uint32_t n = 0; n < CHUNK && i < x->n_agents; n++, i++) {
            post_register(x, i);
            if (with_lists) {
                post_list(x, i);
            }
        }
        run(x);
    }
}

static void reconnect_all(struct bench *x)
{
    for (uint32_t i = 0; i < x->n_agents; i++) {
        char id[PF_UUID_TEXT_LEN + 1];

        begin_messages(x);
        agent_id(i, id);
        step(x, &(struct pf_master_event){.type = PF_MASTER_PEER_DOWN, .peer = AGENT_PEER + i});
        up(x, AGENT_PEER + i, PeerKind_AGENT, pf_str(id));
        drain(x);
    }
}

/* --- what is told --- */

static void tell(struct bench *x, const char *what, const char *goal)
{
    printf("{\"bench\":\"%s, %" PRIu32 " agents with %" PRIu32
           " tasks\",\"value\":%.1f,\"unit\":\"ms\",\"goal\":\"%s\"}\n",
           what, x->n_agents, x->n_agents * TASKS_EACH, (double)x->sum_us / 1000, goal);
    printf("{\"bench\":\"%s: longest step\",\"value\":%.2f,\"unit\":\"ms\",\"goal\":\"< 10\"}\n",
           what, (double)x->longest_us / 1000);
    fflush(stdout);
    x->sum_us = 0;
    x->longest_us = 0;
}

static bool is_all_there(const struct bench *x)
{
    struct pf_master_stats stats;

    pf_master_stats(x->m, &stats);
    return stats.n_agents_registered == x->n_agents &&
           stats.n_tasks == (uint64_t)x->n_agents * TASKS_EACH &&
           stats.n_frameworks_connected == FRAMEWORKS;
}

static void standby(struct bench *x)
{
    for (uint32_t i = 0; i < x->n_agents; i++) {
        char id[PF_UUID_TEXT_LEN + 1];

        begin_messages(x);
        add_row(x, i);
        agent_id(i, id);
        up(x, AGENT_PEER + i, PeerKind_AGENT, pf_str(id));
        drain(x);
    }
    for (uint32_t i = 0; i < FRAMEWORKS; i++) {
        up(x, FRAMEWORK_PEER + i, PeerKind_SCHEDULER, PF_STR(""));
    }
}

int main(int argc, char **argv)
{
    struct bench *x = PF_NEW(struct bench);
    int bad;

    x->n_agents = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 40000;
    x->now_ms = 1000;
    x->m = pf_master_create(&(struct pf_master_options){.seed = 1,
                                                        .instance = "bench",
                                                        .offer_timeout_ms = 30000,
                                                        .agent_unreachable_ms = 75000,
                                                        .recovery_ms = 600000,
                                                        .recovery_removals_percent = 100});
    x->turns = pf_turns_create(PF_BATCH_MAX_BYTES, 1);
    standby(x);
    tell(x, "rows into a standby", "< 1000");
    int64_t from = pf_now_us();

    step(x, &(struct pf_master_event){
                .type = PF_MASTER_ELECTED,
                .elected = {.incarnation = {{1}}, .epoch = 2, .is_stored = true}});
    x->sum_us += pf_now_us() - from;
    tell(x, "elected", "");
    subscribe_all(x);
    register_all(x, true);
    bad = !is_all_there(x);
    tell(x, "registered again with lists", "< 2000");
    reconnect_all(x);
    x->longest_us = 0;
    x->sum_us = 0;
    register_all(x, false);
    bad |= !is_all_there(x);
    tell(x, "registered again without lists", "");
    pf_master_destroy(x->m);
    pf_turns_destroy(x->turns);
    pf_arena_fini(&x->arena);
    pf_buf_fini(&x->out);
    pf_free(x);
    return bad;
}
