/* SPDX-License-Identifier: Apache-2.0 */
/* Simulated agents against a small master of our own over loopback. */
#include "agent/daemon/simulation.h"

#include "common/base/alloc.h"
#include "common/base/id.h"
#include "common/base/map.h"
#include "common/link/envelope.h"
#include "common/net/peer.h"
#include "schemas/proffer.h"
#include "tests/support/net.h"

enum { N_MANY = 40, TASKS_MAX = 16, STATES_MAX = 8 };

/* An agent as the master sees it. */
struct link {
    uint64_t peer; /* key of by_peer */
    uint64_t register_request;
    uint32_t n_tasks_told;
    bool is_registered;
    char id[PF_UUID_TEXT_LEN + 1], hostname[32], rack[8];
    int64_t cpus_milli;
};

struct told {
    char task_id[16];
    enum TaskState state[STATES_MAX];
    uint32_t n;
    int32_t exit_status, signal;
};

struct world {
    struct pf_loop *loop;
    struct pf_net *master, *reader;
    struct pf_link_self master_self, reader_self;
    struct pf_map by_peer;
    struct told told[TASKS_MAX];
    uint32_t n_told, n_registered, n_bad, n_ready;
    uint32_t n_at_standby;
    struct pf_str named[2]; /* other masters */
    bool is_standby, acknowledges;
    struct pf_uuid incarnation;
    struct pf_fb_builder b;
    struct pf_simulation *sim;
    char address[PF_ADDRESS_MAX];
    /* of the reader */
    uint64_t reader_peer;
    uint32_t n_replies;
    uint8_t code;
    bool eof;
    uint32_t data_len;
};

/* --- the master ------------------------------------------------------------------------------- */

static struct link *link_of(struct world *w, uint64_t peer)
{
    return pf_map_get_u64(&w->by_peer, &peer);
}

static void master_send(struct world *w, uint64_t peer, uint8_t type, struct pf_ref body,
                        uint64_t reply_to)
{
    const struct pf_envelope e = {.incarnation = {w->incarnation.b, sizeof w->incarnation.b},
                                  .epoch = 7,
                                  .request_id = reply_to,
                                  .is_reply = reply_to != 0,
                                  .body_type = type};
    pf_peer_send(w->master, peer, pf_msg_bytes(pf_envelope_finish(&w->b, &e, body)));
}

static void master_welcome(void *ctx, struct pf_link_state *out)
{
    struct world *w = ctx;
    out->role = w->is_standby ? MasterRole_STANDBY : MasterRole_LEADER;
    out->incarnation = (struct pf_bytes){w->incarnation.b, sizeof w->incarnation.b};
    out->epoch = 7;
    out->master = w->named;
    out->n_masters = w->named[0].len > 0 ? 2 : 0;
}

static void master_up(void *ctx, const struct pf_peer_up *up)
{
    struct world *w = ctx;
    struct link *l = pf_alloc(sizeof *l);
    struct Hello hello = Envelope_body_as_Hello(Envelope__root(up->greeting));
    assert_int_equal(Hello_kind(hello), PeerKind_AGENT);
    assert_int_equal(Hello_id(hello).len, PF_UUID_TEXT_LEN);
    memcpy(l->id, Hello_id(hello).at, PF_UUID_TEXT_LEN);
    l->peer = up->peer;
    pf_map_put(&w->by_peer, &l->peer, sizeof l->peer, l);
}

static void master_down(void *ctx, uint64_t peer, const struct pf_err *why)
{
    struct world *w = ctx;
    struct link *l = pf_map_del(&w->by_peer, &peer, sizeof peer);
    (void)why;
    w->n_registered -= l->is_registered ? 1 : 0;
    pf_free(l);
}

static void on_register(struct world *w, struct link *l, struct Envelope e)
{
    struct AgentInfo info = AgentRegister_info(Envelope_body_as_AgentRegister(e));
    assert_true(pf_str_is(AgentID_value(AgentInfo_id(info)), l->id));
    (void)snprintf(l->hostname, sizeof l->hostname, "%.*s", PF_STR_ARG(AgentInfo_hostname(info)));
    for (uint32_t i = 0; i < AgentInfo_attributes__len(info); i++) {
        struct Attribute a = AgentInfo_attributes__at(info, i);
        if (pf_str_is(Attribute_name(a), "rack")) {
            (void)snprintf(l->rack, sizeof l->rack, "%.*s",
                           PF_STR_ARG(Value_Text_value(Attribute_text(a))));
        }
    }
    for (uint32_t i = 0; i < AgentInfo_resources__len(info); i++) {
        struct Resource r = AgentInfo_resources__at(info, i);
        if (pf_str_is(Resource_name(r), "cpus")) {
            l->cpus_milli = (int64_t)(Value_Scalar_value(Resource_scalar(r)) * 1000);
        }
    }
    l->register_request = Envelope_request_id(e);
    l->n_tasks_told = 0;
    pf_fb_builder_reset(&w->b);
    struct pf_ref body = AgentTasksWanted__put(&w->b, &(struct AgentTasksWanted__args){0});
    master_send(w, l->peer, Body_AgentTasksWanted, body, l->register_request);
}

static void on_tasks(struct world *w, struct link *l, struct AgentTasks tasks)
{
    l->n_tasks_told += AgentTasks_tasks__len(tasks);
    if (AgentTasks_last(tasks)) {
        pf_fb_builder_reset(&w->b);
        struct pf_ref body = AgentRegistered__put(
            &w->b, &(struct AgentRegistered__args){.agent_id = pf_str(l->id)});
        master_send(w, l->peer, Body_AgentRegistered, body, l->register_request);
        w->n_registered += l->is_registered ? 0 : 1;
        l->is_registered = true;
    }
}

static struct told *told_of(struct world *w, struct pf_str task_id)
{
    for (uint32_t i = 0; i < w->n_told; i++) {
        if (pf_str_is(task_id, w->told[i].task_id)) {
            return &w->told[i];
        }
    }
    assert_true(w->n_told < TASKS_MAX);
    struct told *t = &w->told[w->n_told++];
    (void)snprintf(t->task_id, sizeof t->task_id, "%.*s", PF_STR_ARG(task_id));
    return t;
}

static void on_update(struct world *w, struct link *l, struct AgentUpdate update)
{
    struct TaskStatus status = AgentUpdate_status(update);
    struct told *t = told_of(w, TaskID_value(TaskStatus_task_id(status)));
    assert_true(t->n < STATES_MAX);
    t->state[t->n++] = TaskStatus_state(status);
    t->exit_status = TaskStatus_exit_status(status);
    t->signal = TaskStatus_signal(status);
    if (w->acknowledges) {
        pf_fb_builder_reset(&w->b);
        struct pf_ref body = AgentAcknowledge__put(
            &w->b, &(struct AgentAcknowledge__args){.framework_id = PF_STR("f"),
                                                    .task_id = pf_str(t->task_id),
                                                    .uuid = TaskStatus_uuid(status)});
        master_send(w, l->peer, Body_AgentAcknowledge, body, 0);
    }
}

static void master_message(void *ctx, uint64_t peer, struct pf_msg msg)
{
    struct world *w = ctx;
    struct link *l = link_of(w, peer);
    struct Envelope e = Envelope__root(msg);
    switch (Envelope_body_type(e)) {
    case Body_AgentRegister:
        on_register(w, l, e);
        break;
    case Body_AgentTasks:
        on_tasks(w, l, Envelope_body_as_AgentTasks(e));
        break;
    case Body_AgentUpdate:
        on_update(w, l, Envelope_body_as_AgentUpdate(e));
        break;
    default:
        w->n_bad++;
        break;
    }
}

/* Any agent, the same while all are linked. */
static struct link *any_link(struct world *w)
{
    uint32_t cursor = 0;
    struct link *first = NULL;
    struct link *l;
    while ((l = pf_map_next(&w->by_peer, &cursor)) != NULL) {
        if (first == NULL || strcmp(l->id, first->id) < 0) {
            first = l;
        }
    }
    assert_non_null(first);
    return first;
}

static void launch(struct world *w, uint64_t peer, const char *task_id, const char *shell)
{
    struct pf_fb_builder nested;
    struct pf_uuid uuid = {{0}};
    memcpy(uuid.b, task_id, strlen(task_id));
    pf_fb_builder_init(&nested, NULL);
    struct pf_ref command = CommandInfo__put(
        &nested, &(struct CommandInfo__args){.shell = PF_OPT(true), .value = pf_str(shell)});
    struct pf_ref scalar =
        Value_Scalar__put(&nested, &(struct Value_Scalar__args){.value = PF_OPT(0.5)});
    struct pf_ref cpus = Resource__put(
        &nested, &(struct Resource__args){.name = PF_STR("cpus"),
                                          .type = PF_OPT(Value_Type_SCALAR),
                                          .scalar = scalar});
    struct pf_ref id = TaskID__put(&nested, &(struct TaskID__args){.value = pf_str(task_id)});
    struct pf_ref agent =
        AgentID__put(&nested, &(struct AgentID__args){.value = pf_str(link_of(w, peer)->id)});
    struct pf_ref info = TaskInfo__put(&nested, &(struct TaskInfo__args){.name = pf_str(task_id),
                                                                        .task_id = id,
                                                                        .agent_id = agent,
                                                                        .resources = {&cpus, 1},
                                                                        .command = command});
    struct pf_bytes bytes = pf_msg_bytes(TaskInfo__finish(&nested, info));
    pf_fb_builder_reset(&w->b);
    struct pf_ref task = AgentLaunchTask__put(
        &w->b, &(struct AgentLaunchTask__args){.info = bytes, .launch_uuid = {uuid.b, 16}});
    struct pf_ref body = AgentLaunch__put(
        &w->b, &(struct AgentLaunch__args){.framework_id = PF_STR("f"), .tasks = {&task, 1}});
    master_send(w, peer, Body_AgentLaunch, body, 0);
    pf_fb_builder_fini(&nested);
}

static void send_kill(struct world *w, uint64_t peer, const char *task_id)
{
    pf_fb_builder_reset(&w->b);
    struct pf_ref body = AgentKill__put(&w->b, &(struct AgentKill__args){
        .framework_id = PF_STR("f"), .task_id = pf_str(task_id), .grace_ms = PF_OPT(60000)});
    master_send(w, peer, Body_AgentKill, body, 0);
}

/* --- the world -------------------------------------------------------------------------------- */

static int setup(void **state)
{
    struct world *w = pf_alloc(sizeof *w);
    w->master_self.kind = PeerKind_MASTER;
    w->reader_self.kind = PeerKind_OPERATOR;
    memset(w->incarnation.b, 3, sizeof w->incarnation.b);
    w->acknowledges = true;
    pf_fb_builder_init(&w->b, NULL);
    assert_int_equal(pf_loop_create(&w->loop, NULL), 0);
    const struct pf_net_ops ops = {master_up, master_message, master_down, master_welcome};
    const struct pf_net_options o = {.self = &w->master_self};
    assert_int_equal(pf_net_create(w->loop, &o, &ops, w, &w->master, NULL), 0);
    assert_int_equal(pf_net_listen(w->master, "127.0.0.1:0", w->address, NULL), 0);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    uint32_t cursor = 0;
    struct link *l;
    pf_simulation_destroy(w->sim);
    pf_net_destroy(w->reader);
    pf_net_destroy(w->master);
    while ((l = pf_map_next(&w->by_peer, &cursor)) != NULL) {
        pf_free(l);
    }
    pf_map_fini(&w->by_peer);
    pf_fb_builder_fini(&w->b);
    pf_loop_destroy(w->loop);
    pf_free(w);
    return 0;
}

static void on_ready(void *ctx)
{
    struct world *w = ctx;
    w->n_ready++;
}

static void simulate(struct world *w, uint32_t n)
{
    const struct pf_str master = pf_str(w->address);
    const struct pf_simulation_options o = {.n_agents = n,
                                            .master = &master,
                                            .n_masters = 1,
                                            .listen = "127.0.0.1:0",
                                            .seed = 1,
                                            .on_ready = on_ready,
                                            .ctx = w};
    assert_int_equal(pf_simulation_create(w->loop, &o, &w->sim, NULL), 0);
}

static struct pf_simulation_stats stats(struct world *w)
{
    struct pf_simulation_stats s;
    pf_simulation_check(w->sim);
    pf_simulation_stats(w->sim, &s);
    return s;
}

static void simulate_registered(struct world *w, uint32_t n)
{
    simulate(w, n);
    test_turn_until(w->loop, w->n_registered == n && stats(w).n_registered == n);
}

/* --- tests ------------------------------------------------------------------------------------ */

static struct pf_fake_run shell_run(const char *text)
{
    const struct pf_str args[] = {PF_STR("sh"), PF_STR("-c"), pf_str(text)};
    return pf_fake_run_of(args, 3);
}

static void test_fake_run_reads_sleeps_and_exits(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t run_ms;
        int status;
    } rows[] = {
        {"true", 0, 0},
        {"sleep 5", 5000, 0},
        {"sleep 0.25;exit 3", 250, 3},
        {"(/bin/sleep 1m) && sleep 2s", 62000, 0},
        {"echo 'a'|sleep 1; exit 256", 1000, 0},
        {"exit", 0, 0},
        {"sleep", 0, 0},
        {"sleep x; exit y", 0, 0},
        {"sleeping 5; preexit 4", 0, 0},
        {"", 0, 0},
    };
    for (size_t i = 0; i < PF_ARRAY_LEN(rows); i++) {
        struct pf_fake_run run = shell_run(rows[i].text);
        assert_int_equal(run.run_ms, rows[i].run_ms);
        assert_int_equal(run.status, rows[i].status);
    }
    const struct pf_str args[] = {PF_STR("/usr/bin/sleep"), PF_STR("7")};
    assert_int_equal(pf_fake_run_of(args, 2).run_ms, 7000);
    int64_t forever = shell_run("sleep infinity").run_ms;
    assert_true(forever > INT64_C(1000) * 3600 * 24 * 365);
    assert_int_equal(shell_run("sleep infinity; sleep infinity; sleep 5").run_ms, forever);
    assert_int_equal(pf_fake_run_of(NULL, 0).run_ms, 0);
}

static void test_simulated_agents_register_each_as_itself(void **state)
{
    struct world *w = *state;
    simulate_registered(w, N_MANY);
    assert_int_equal(w->n_ready, 1);
    assert_int_equal(w->by_peer.len, N_MANY);
    struct pf_map ids = {.seed = 1};
    struct pf_map hosts = {.seed = 1};
    uint32_t cursor = 0;
    struct link *l;
    while ((l = pf_map_next(&w->by_peer, &cursor)) != NULL) {
        pf_map_put(&ids, l->id, PF_UUID_TEXT_LEN, l); /* asserts that it is new */
        pf_map_put(&hosts, l->hostname, (uint32_t)strlen(l->hostname), l);
        assert_int_equal(l->cpus_milli, 8000);
        assert_int_equal(l->rack[0], 'r');
        assert_int_equal(l->rack[1], l->hostname[strlen(l->hostname) - 1]);
    }
    l = pf_map_get_str(&hosts, PF_STR("sim-39"));
    assert_non_null(l);
    assert_string_equal(l->rack, "r9");
    pf_map_fini(&ids);
    pf_map_fini(&hosts);
}

static const struct told *ended(struct world *w, const char *task_id, uint32_t n)
{
    const struct told *t = told_of(w, pf_str(task_id));
    return t->n >= n ? t : NULL;
}

static void test_simulated_launches_run_and_end(void **state)
{
    struct world *w = *state;
    simulate_registered(w, 3);
    uint64_t peer = any_link(w)->peer;
    launch(w, peer, "t0", "true");
    launch(w, peer, "t1", "sleep 0.02; exit 3");
    test_turn_until(w->loop, ended(w, "t0", 2) && ended(w, "t1", 2) && stats(w).ended == 2);
    const struct told *t = ended(w, "t0", 2);
    assert_int_equal(t->state[0], TaskState_TASK_RUNNING);
    assert_int_equal(t->state[1], TaskState_TASK_FINISHED);
    t = ended(w, "t1", 2);
    assert_int_equal(t->state[0], TaskState_TASK_RUNNING);
    assert_int_equal(t->state[1], TaskState_TASK_FAILED);
    assert_int_equal(t->exit_status, 3);
    assert_int_equal(stats(w).n_processes, 0);
    assert_int_equal(stats(w).started, 2);
}

static void test_simulated_launch_said_twice_runs_once(void **state)
{
    struct world *w = *state;
    simulate_registered(w, 1);
    uint64_t peer = any_link(w)->peer;
    launch(w, peer, "t0", "sleep 1000");
    launch(w, peer, "t0", "sleep 1000");
    launch(w, peer, "t1", "true");
    test_turn_until(w->loop, ended(w, "t1", 2));
    assert_int_equal(stats(w).started, 2);
    assert_int_equal(stats(w).n_processes, 1);
}

static void test_simulated_task_dies_of_its_signal(void **state)
{
    struct world *w = *state;
    simulate_registered(w, 1);
    uint64_t peer = any_link(w)->peer;
    launch(w, peer, "t0", "sleep 1000");
    test_turn_until(w->loop, ended(w, "t0", 1));
    send_kill(w, peer, "t0");
    test_turn_until(w->loop, ended(w, "t0", 2));
    assert_int_equal(ended(w, "t0", 2)->state[1], TaskState_TASK_KILLED);
    assert_int_equal(ended(w, "t0", 2)->signal, SIGTERM);
    assert_int_equal(stats(w).signals, 1);
}

static void test_simulated_agents_come_back_with_their_tasks(void **state)
{
    struct world *w = *state;
    simulate_registered(w, 4);
    char id[PF_UUID_TEXT_LEN + 1];
    struct link *l = any_link(w);
    (void)snprintf(id, sizeof id, "%s", l->id);
    launch(w, l->peer, "t0", "sleep 1000");
    test_turn_until(w->loop, ended(w, "t0", 1) != NULL);
    uint32_t cursor = 0;
    while ((l = pf_map_next(&w->by_peer, &cursor)) != NULL) {
        pf_peer_close(w->master, l->peer, false);
    }
    test_turn_until(w->loop, stats(w).n_linked == 0);
    assert_int_equal(stats(w).n_registered, 0);
    test_turn_until(w->loop, w->n_registered == 4 && stats(w).n_registered == 4);
    l = any_link(w);
    assert_string_equal(l->id, id);
    assert_int_equal(l->n_tasks_told, 1);
    assert_int_equal(w->n_ready, 1);
    assert_true(stats(w).connects >= 8);
}

/* On links that stand: nothing is connected anew when the standby takes over. */
static void test_simulated_agents_wait_for_a_leader(void **state)
{
    struct world *w = *state;
    w->is_standby = true;
    simulate(w, 2);
    test_turn_until(w->loop, stats(w).n_linked == 2);
    assert_int_equal(stats(w).n_registered, 0);
    w->is_standby = false;
    pf_net_welcome_again(w->master);
    test_turn_until(w->loop, stats(w).n_registered == 2);
    assert_int_equal(stats(w).connects, 2);
}

static void standby_up(void *ctx, const struct pf_peer_up *up)
{
    struct world *w = ctx;
    (void)up;
    w->n_at_standby++;
}

static void standby_message(void *ctx, uint64_t peer, struct pf_msg msg)
{
    (void)ctx;
    (void)peer;
    assert_int_equal(Envelope_body_type(Envelope__root(msg)), Body_Heartbeat);
}

static void standby_down(void *ctx, uint64_t peer, const struct pf_err *why)
{
    struct world *w = ctx;
    (void)peer;
    (void)why;
    w->n_at_standby--;
}

static void standby_welcome(void *ctx, struct pf_link_state *out)
{
    struct world *w = ctx;
    out->role = MasterRole_STANDBY;
    out->incarnation = (struct pf_bytes){w->incarnation.b, sizeof w->incarnation.b};
    out->epoch = 7;
}

/* All masters that the leader names get a link of each agent; of two names of one master, one. */
static void test_simulated_agents_link_to_all_masters(void **state)
{
    struct world *w = *state;
    const struct pf_net_ops ops = {standby_up, standby_message, standby_down, standby_welcome};
    struct pf_link_self self = {.kind = PeerKind_MASTER, .instance = "standby"};
    const struct pf_net_options o = {.self = &self};
    char address[PF_ADDRESS_MAX], other[PF_ADDRESS_MAX];
    struct pf_net *standby = NULL;
    assert_int_equal(pf_net_create(w->loop, &o, &ops, w, &standby, NULL), 0);
    assert_int_equal(pf_net_listen(standby, "127.0.0.1:0", address, NULL), 0);
    (void)snprintf(other, sizeof other, "localhost%s", strchr(address, ':'));
    w->named[0] = pf_str(address);
    w->named[1] = pf_str(other);
    simulate(w, 5);
    test_turn_until(w->loop, stats(w).n_registered == 5 && stats(w).connects == 15);
    test_turn_until(w->loop, w->n_at_standby == 5);
    assert_int_equal(stats(w).n_linked, 5);
    pf_simulation_check(w->sim);
    pf_net_destroy(standby);
    w->n_at_standby = 0;
    test_turn_until(w->loop, stats(w).connects >= 20);
    assert_int_equal(stats(w).n_registered, 5);
    pf_simulation_check(w->sim);
}

static void test_simulated_update_is_told_again_until_acknowledged(void **state)
{
    struct world *w = *state;
    w->acknowledges = false;
    simulate_registered(w, 1);
    launch(w, any_link(w)->peer, "t0", "true");
    test_turn_until(w->loop, ended(w, "t0", 1) && stats(w).ended == 1);
    assert_int_equal(told_of(w, PF_STR("t0"))->n, 1);
    w->acknowledges = true;
    pf_peer_close(w->master, any_link(w)->peer, false);
    test_turn_until(w->loop, ended(w, "t0", 3));
    const struct told *t = ended(w, "t0", 3);
    assert_int_equal(t->state[1], TaskState_TASK_RUNNING);
    assert_int_equal(t->state[2], TaskState_TASK_FINISHED);
}

/* --- a reader --------------------------------------------------------------------------------- */

static void reader_up(void *ctx, const struct pf_peer_up *up)
{
    struct world *w = ctx;
    w->reader_peer = up->peer;
    assert_int_equal(up->kind, PeerKind_AGENT);
}

static void reader_message(void *ctx, uint64_t peer, struct pf_msg msg)
{
    struct world *w = ctx;
    struct pf_envelope e = pf_envelope_of(msg);
    struct FileData data = Envelope_body_as_FileData(Envelope__root(msg));
    (void)peer;
    assert_true(e.is_reply);
    w->n_replies++;
    assert_int_equal(e.request_id, w->n_replies);
    w->code = e.code;
    w->eof = FileData_eof(data);
    w->data_len = FileData_data(data).len;
}

static void reader_down(void *ctx, uint64_t peer, const struct pf_err *why)
{
    (void)ctx;
    (void)peer;
    (void)why;
}

static void reader_ask(struct world *w, uint64_t request_id, uint8_t type, struct pf_ref body)
{
    const struct pf_envelope e = {.request_id = request_id, .body_type = type};
    pf_peer_send(w->reader, w->reader_peer, pf_msg_bytes(pf_envelope_finish(&w->b, &e, body)));
    test_turn_until(w->loop, w->n_replies == request_id);
}

static void test_simulated_output_is_empty(void **state)
{
    struct world *w = *state;
    const struct pf_net_ops ops = {reader_up, reader_message, reader_down, NULL};
    const struct pf_net_options o = {.self = &w->reader_self};
    simulate_registered(w, 1);
    assert_int_equal(pf_net_create(w->loop, &o, &ops, w, &w->reader, NULL), 0);
    (void)pf_net_connect(w->reader, pf_simulation_address(w->sim), NULL);
    test_turn_until(w->loop, w->reader_peer != 0);
    pf_fb_builder_reset(&w->b);
    struct pf_ref body = ReadFile__put(&w->b, &(struct ReadFile__args){
        .framework_id = PF_STR("f"), .task_id = PF_STR("t"), .follow = true});
    reader_ask(w, 1, Body_ReadFile, body);
    assert_int_equal(w->code, ReplyCode_OK);
    assert_true(w->eof);
    assert_int_equal(w->data_len, 0);
    pf_fb_builder_reset(&w->b);
    body = AgentStatusCall__put(&w->b, &(struct AgentStatusCall__args){0});
    reader_ask(w, 2, Body_AgentStatusCall, body);
    assert_int_equal(w->code, ReplyCode_UNSUPPORTED);
    assert_int_equal(stats(w).reads, 1);
    assert_int_equal(stats(w).bad_messages, 1);
}

static void test_simulated_agents_offer_what_they_are_given(void **state)
{
    struct world *w = *state;
    struct pf_resources given = {0};
    const struct pf_str master = pf_str(w->address);
    const struct pf_simulation_options o = {.n_agents = 1,
                                            .master = &master,
                                            .n_masters = 1,
                                            .resources = &given,
                                            .hostname = "fake"};
    assert_int_equal(pf_res_parse(PF_STR("cpus:1.5"), &given, NULL), 0);
    assert_int_equal(pf_simulation_create(w->loop, &o, &w->sim, NULL), 0);
    pf_res_fini(&given);
    test_turn_until(w->loop, w->n_registered == 1);
    assert_int_equal(any_link(w)->cpus_milli, 1500);
    assert_string_equal(any_link(w)->hostname, "fake-0");
    assert_string_equal(pf_simulation_address(w->sim), "");
}

static void test_simulation_needs_a_free_port(void **state)
{
    struct world *w = *state;
    const struct pf_str master = pf_str(w->address);
    const struct pf_simulation_options o = {
        .n_agents = 1, .master = &master, .n_masters = 1, .listen = w->address};
    struct pf_err err = {0};
    assert_int_equal(pf_simulation_create(w->loop, &o, &w->sim, &err), PF_EBUSY);
    assert_int_equal(err.code, PF_EBUSY);
    assert_null(w->sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fake_run_reads_sleeps_and_exits),
        cmocka_unit_test_setup_teardown(test_simulated_agents_register_each_as_itself, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_simulated_launches_run_and_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_simulated_launch_said_twice_runs_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_simulated_task_dies_of_its_signal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_simulated_agents_come_back_with_their_tasks, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_simulated_agents_wait_for_a_leader, setup, teardown),
        cmocka_unit_test_setup_teardown(test_simulated_agents_link_to_all_masters, setup, teardown),
        cmocka_unit_test_setup_teardown(test_simulated_update_is_told_again_until_acknowledged,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_simulated_output_is_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(test_simulated_agents_offer_what_they_are_given, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_simulation_needs_a_free_port, setup, teardown),
    };
    return cmocka_run_group_tests_name("agent_simulate", tests, NULL, NULL);
}
