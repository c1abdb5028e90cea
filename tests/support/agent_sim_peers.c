/* SPDX-License-Identifier: Apache-2.0 */
/* Whom the agent talks to in tests: a master, clients. Each says what it would say; each effect
 * becomes a line of the log. */
#include "tests/support/agent_sim_internal.h"

void sim_event_free(struct sim_event *ev)
{
    pf_free(ev->data);
    pf_free(ev);
}

struct sim_event *sim_event_push(struct agent_sim *s, enum pf_agent_event_type type)
{
    struct sim_event *ev = PF_NEW(struct sim_event);

    ev->type = type;
    pf_ptrs_push(&s->queue, ev);
    return ev;
}

/* --- events --- */

void sim_event_deliver(struct agent_sim *s, struct sim_event *in)
{
    struct pf_fb_builder b;
    struct pf_err err = {0};
    struct pf_msg msg = {NULL, 0, NULL};
    struct pf_agent_event ev = {.type = in->type, .peer = in->peer};

    pf_fb_builder_init(&b, NULL);
    if (in->data) {
        assert_int_equal(
            pf_fb_verify((struct pf_bytes){in->data, in->len}, &Envelope__desc, &msg, &err), 0);
    }
    if (in->type == PF_AGENT_PROCESS) {
        ev.process = sim_process_msg(s, &b, &in->process);
        ev.report = pf_str(in->process.report);
    } else if (in->type == PF_AGENT_LAUNCHER_UP) {
        struct LauncherHello__args hello = {.pid = 50, .instance = pf_str(s->launcher_instance)};
        ev.launcher = LauncherHello__finish(&b, LauncherHello__put(&b, &hello));
    } else if (in->type == PF_AGENT_CHECKED) {
        ev.checked.check = in->launch;
        ev.checked.is_done = in->status_code >= 0;
        ev.checked.status_code = in->status_code >= 0 ? (uint32_t)in->status_code : 0;
        ev.checked.text = pf_str(in->status_code >= 0 ? "" : "Connection refused");
    } else if (in->type == PF_AGENT_SANDBOX) {
        ev.sandbox.launch = in->launch;
        ev.sandbox.error = in->error;
        ev.sandbox.stage = in->stage;
    } else if (in->type == PF_AGENT_SESSION) {
        ev.session.session = in->launch;
        ev.session.error = s->session_error;
        ev.session.stage = "pipes";
    } else if (in->type == PF_AGENT_PEER_UP) {
        ev.peer_up.hello = msg;
        ev.peer_up.is_master = in->is_master;
        ev.peer_up.trusted = in->trusted;
    } else if (in->type == PF_AGENT_MESSAGE) {
        ev.message = msg;
    }
    sim_step(s, &ev);
    pf_fb_builder_fini(&b);
}

void sim_push_envelope(struct agent_sim *s, enum pf_agent_event_type type, uint64_t peer,
                       const char *fields, uint64_t epoch, const char *body)
{
    struct pf_fb_builder b;
    size_t size = strlen(body) + strlen(fields) + 200;
    char *json = pf_alloc(size);

    (void)snprintf(json, size,
                   "{'incarnation': 'q6urq6urq6urq6urq6urqw==', 'epoch': %llu%s, 'body': %s}",
                   (unsigned long long)epoch, fields, body);
    pf_fb_builder_init(&b, NULL);
    struct pf_msg msg = test_msg(&b, &Envelope__desc, json);
    struct sim_event *ev = sim_event_push(s, type);
    ev->peer = peer;
    ev->data = pf_memdup(msg.data, msg.len);
    ev->len = msg.len;
    ev->is_master = peer >= SIM_MASTER && peer < SIM_CLIENT;
    pf_fb_builder_fini(&b);
    pf_free(json);
}

/* --- master --- */

void agent_sim_welcome(struct agent_sim *s, uint64_t peer, const char *role,
                       const char *incarnation, uint64_t epoch, bool is_again)
{
    char body[200];

    (void)snprintf(body, sizeof body,
                   "{'Welcome': {'kind': 'MASTER', 'role': '%s', 'instance': 'i%llu', "
                   "'incarnation': '%s', 'epoch': %llu}}",
                   role, (unsigned long long)(peer - SIM_MASTER), incarnation,
                   (unsigned long long)epoch);
    sim_push_envelope(s, is_again ? PF_AGENT_MESSAGE : PF_AGENT_PEER_UP, peer, "", epoch, body);
}

void agent_sim_master_up(struct agent_sim *s, uint64_t epoch)
{
    s->master_up = true;
    s->epoch = epoch;
    agent_sim_welcome(s, SIM_MASTER + epoch, "LEADER", SIM_OURS, epoch, false);
    agent_sim_run(s);
}

/* A leader of another registry. */
void agent_sim_foreign_master_up(struct agent_sim *s, uint64_t epoch)
{
    agent_sim_welcome(s, SIM_MASTER + epoch, "LEADER", SIM_FOREIGN, epoch, false);
    agent_sim_run(s);
}

void agent_sim_master_down(struct agent_sim *s)
{
    s->master_up = false;
    sim_event_push(s, PF_AGENT_PEER_DOWN)->peer = SIM_MASTER + s->epoch;
    pf_turns_forget_peer(s->turns, SIM_MASTER + s->epoch);
    agent_sim_run(s);
}

void agent_sim_say_as(struct agent_sim *s, uint64_t peer, uint64_t request_id, uint64_t epoch,
                      const char *body)
{
    char request[64];

    (void)snprintf(request, sizeof request, ", 'request_id': %llu", (unsigned long long)request_id);
    sim_push_envelope(s, PF_AGENT_MESSAGE, peer, request, epoch, body);
}

void agent_sim_say(struct agent_sim *s, const char *body)
{
    agent_sim_say_as(s, SIM_MASTER + s->epoch, 0, s->epoch, body);
    agent_sim_run(s);
}

void agent_sim_client_up(struct agent_sim *s, uint64_t peer, bool trusted)
{
    sim_push_envelope(s, PF_AGENT_PEER_UP, peer, "", 0, "{'Hello': {'kind': 'OPERATOR'}}");
    ((struct sim_event *)s->queue.at[s->queue.len - 1])->trusted = trusted;
    agent_sim_run(s);
}

void agent_sim_scheduler_up(struct agent_sim *s, uint64_t peer)
{
    sim_push_envelope(s, PF_AGENT_PEER_UP, peer, "", 0, "{'Hello': {'kind': 'SCHEDULER'}}");
    ((struct sim_event *)s->queue.at[s->queue.len - 1])->trusted = true;
    agent_sim_run(s);
}

void agent_sim_answer(struct agent_sim *s, const char *code, const char *body)
{
    char fields[160];

    (void)snprintf(fields, sizeof fields,
                   ", 'request_id': %llu, 'is_reply': true, 'code': '%s', 'text': 'because'",
                   (unsigned long long)s->register_request, code);
    sim_push_envelope(s, PF_AGENT_MESSAGE, s->heard_peer, fields, s->epoch, body);
}

void sim_base64_uuid(struct pf_uuid uuid, char out[25])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (int i = 0; i < 22; i++) {
        uint32_t bits = 0;
        for (int k = 0; k < 6; k++) {
            int at = i * 6 + k;
            bits = bits << 1 | (at < 128 ? (uint32_t)(uuid.b[at / 8] >> (7 - at % 8)) & 1u : 0u);
        }
        out[i] = digits[bits];
    }
    memcpy(out + 22, "==", 3);
}

void agent_sim_launch_uuid(struct agent_sim *s, const char *framework_id, const char *task_id,
                           struct pf_uuid launch, const char *command, const char *more)
{
    char uuid[25];
    size_t size = strlen(command) + strlen(more) + 1000;
    char *body = pf_alloc(size);

    sim_base64_uuid(launch, uuid);
    (void)snprintf(body, size,
                   "{'AgentLaunch': {'framework_id': '%s', 'framework_info': "
                   "{'user': 'u', 'name': 'f', 'id': {'value': '%s'}, 'capabilities': "
                   "[{'type': 'TASK_KILLING_STATE'}]}, 'tasks': [{'launch_uuid': '%s', "
                   "'info': {'name': 'n', 'task_id': {'value': '%s'}, 'agent_id': {'value': '%s'}, "
                   "'command': %s, 'resources': [{'name': 'cpus', 'type': 'SCALAR', 'scalar': "
                   "{'value': 1}}]%s}}]}}",
                   framework_id, framework_id, uuid, task_id, pf_agent_id(s->core), command, more);
    agent_sim_say(s, body);
    pf_free(body);
}

void agent_sim_launch_more(struct agent_sim *s, const char *framework_id, const char *task_id,
                           uint8_t n, const char *command, const char *more)
{
    agent_sim_launch_uuid(s, framework_id, task_id, sim_uuid_all(n), command, more);
}

void agent_sim_launch(struct agent_sim *s, const char *framework_id, const char *task_id, uint8_t n,
                      const char *command)
{
    agent_sim_launch_more(s, framework_id, task_id, n, command, "");
}

static struct sim_told *told_of(struct agent_sim *s, struct pf_uuid launch)
{
    for (uint32_t i = 0; i < s->told.len; i++) {
        struct sim_told *t = s->told.at[i];
        if (pf_uuid_eq(t->launch, launch)) {
            return t;
        }
    }
    return NULL;
}

struct sim_told *agent_sim_told(struct agent_sim *s, uint8_t n)
{
    return told_of(s, sim_uuid_all(n));
}

const char *agent_sim_states(struct agent_sim *s, uint8_t n)
{
    static char text[512];
    const struct sim_told *t = agent_sim_told(s, n);
    size_t len = 0;

    text[0] = '\0';
    for (uint32_t i = 0; t && i < t->n_states; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s", i > 0 ? " " : "",
                                TaskState__str(t->states[i]));
    }
    return text;
}

struct find_update {
    struct pf_bytes uuid;
    bool found;
};

static int find_update(void *ctx, uint8_t table, struct pf_bytes key, struct pf_bytes row)
{
    struct find_update *f = ctx;

    (void)key;
    if (table == AgentTable_UPDATES) {
        struct TaskStatus status = Row_AgentUpdate_status(Row_AgentUpdate__from_bytes(row));
        f->found = f->found || memcmp(TaskStatus_uuid(status).at, f->uuid.at, 16) == 0;
    }
    return 0;
}

/* durable-first: an update that can be seen is in the store. */
static void check_stored(struct agent_sim *s, struct pf_bytes uuid)
{
    struct find_update f = {uuid, false};
    struct pf_store *store = pf_store_memory_open(s->image);
    struct pf_err err = {0};

    assert_int_equal(pf_store_load(store, find_update, &f, &err), 0);
    assert_true(f.found);
    pf_store_destroy(store);
}

static bool is_terminal(int32_t state)
{
    switch ((enum TaskState)state) {
    case TaskState_TASK_STARTING:
    case TaskState_TASK_RUNNING:
    case TaskState_TASK_STAGING:
    case TaskState_TASK_KILLING: return false;
    default: return true;
    }
}

/* ordered-updates, no-lost-task: nothing follows a terminal state; repeats only of the last. */
static void told_add(struct agent_sim *s, struct AgentUpdate u, struct pf_uuid launch)
{
    struct sim_told *t = told_of(s, launch);
    struct TaskStatus status = AgentUpdate_status(u);

    if (!t) {
        t = PF_NEW(struct sim_told);
        t->launch = launch;
        (void)snprintf(t->framework_id, sizeof t->framework_id, "%s",
                       AgentUpdate_framework_id(u).at);
        (void)snprintf(t->task_id, sizeof t->task_id, "%s",
                       TaskID_value(TaskStatus_task_id(status)).at);
        pf_ptrs_push(&s->told, t);
    }
    if (t->n_states > 0 && memcmp(t->last_uuid.b, TaskStatus_uuid(status).at, 16) == 0) {
        t->n_repeated++;
        return;
    }
    assert_true(t->n_states < SIM_STATES_MAX);
    if (t->n_states > 0) {
        assert_false(is_terminal(t->states[t->n_states - 1]));
    }
    t->states[t->n_states++] = (int32_t)TaskStatus_state(status);
    memcpy(t->last_uuid.b, TaskStatus_uuid(status).at, 16);
}

static void master_hears_update(struct agent_sim *s, uint64_t peer, struct AgentUpdate u)
{
    struct TaskStatus status = AgentUpdate_status(u);
    struct pf_bytes uuid = TaskStatus_uuid(status), launch = AgentUpdate_launch_uuid(u);
    struct pf_uuid id;
    struct pf_fb_builder b;

    if (uuid.len != 16) {
        return; /* asks for no acknowledgement */
    }
    assert_int_equal(launch.len, 16);
    memcpy(id.b, launch.at, 16);
    check_stored(s, uuid);
    told_add(s, u, id);
    if (AgentUpdate_sequence(u) > s->heard_sequence) {
        s->heard_sequence = AgentUpdate_sequence(u);
    }
    if (!s->acknowledges) {
        return;
    }
    pf_fb_builder_init(&b, NULL);
    struct AgentAcknowledge__args ack = {
        .framework_id = AgentUpdate_framework_id(u),
        .task_id = TaskID_value(TaskStatus_task_id(status)),
        .uuid = uuid,
    };
    struct pf_ref body = AgentAcknowledge__put(&b, &ack);
    struct Envelope__args env = {
        .incarnation = {s->incarnation.b, sizeof s->incarnation.b},
        .epoch = s->epoch,
        .body_type = Body_AgentAcknowledge,
        .body = body,
    };
    struct pf_msg msg = Envelope__finish(&b, Envelope__put(&b, &env));
    struct sim_event *ev = sim_event_push(s, PF_AGENT_MESSAGE);
    ev->peer = peer;
    ev->data = pf_memdup(msg.data, msg.len);
    ev->len = msg.len;
    pf_fb_builder_fini(&b);
}

static void answer_registered(struct agent_sim *s)
{
    char body[100];

    (void)snprintf(body, sizeof body,
                   "{'AgentRegistered': {'agent_id': 'x', 'unreachable_ms': %lld}}",
                   (long long)s->unreachable_ms);
    agent_sim_answer(s, "OK", body);
}

static void master_hears_tasks(struct agent_sim *s, struct AgentTasks batch)
{
    for (uint32_t i = 0; i < AgentTasks_executors__len(batch); i++) {
        struct ExecutorInfo info = AgentExecutor_info(AgentTasks_executors__at(batch, i));
        pf_buf_printf(&s->registered, "executor %s\n",
                      ExecutorID_value(ExecutorInfo_executor_id(info)).at);
    }
    for (uint32_t i = 0; i < AgentTasks_tasks__len(batch); i++) {
        struct Task t = AgentTasks_tasks__at(batch, i);
        pf_buf_printf(&s->registered, "%s %s\n", TaskID_value(Task_task_id(t)).at,
                      TaskState__str((int)Task_state(t)));
    }
    if (AgentTasks_last(batch) && s->registers) {
        s->n_registrations++;
        answer_registered(s);
    }
}

/* As a master that keeps what it hears: a list is wanted unless nothing is new. */
static void master_hears_register(struct agent_sim *s, uint64_t peer, struct Envelope env)
{
    struct AgentRegister r = Envelope_body_as_AgentRegister(env);
    bool is_known = pf_str_is(AgentRegister_instance(r), s->heard_instance) &&
                    AgentRegister_sequence(r) == s->heard_sequence;

    s->register_request = Envelope_request_id(env);
    s->heard_peer = peer;
    if (!s->registers) {
        return;
    }
    if (is_known) {
        s->n_registrations++;
        answer_registered(s);
        return;
    }
    struct pf_str instance = AgentRegister_instance(r);

    (void)snprintf(s->heard_instance, sizeof s->heard_instance, "%.*s", PF_STR_ARG(instance));
    s->heard_sequence = AgentRegister_sequence(r);
    s->n_lists++;
    pf_buf_clear(&s->registered);
    agent_sim_answer(s, "OK", "{'AgentTasksWanted': {}}");
}

static void master_hears_exited(struct agent_sim *s, struct AgentExecutorExited e)
{
    s->n_exited += !AgentExecutorExited_is_silent(e);
    if (AgentExecutorExited_sequence(e) > s->heard_sequence) {
        s->heard_sequence = AgentExecutorExited_sequence(e);
    }
}

static void master_hears(struct agent_sim *s, uint64_t peer, struct Envelope env)
{
    if (Envelope_body_type(env) == Body_AgentRegister) {
        master_hears_register(s, peer, env);
    } else if (Envelope_body_type(env) == Body_AgentTasks) {
        master_hears_tasks(s, Envelope_body_as_AgentTasks(env));
    } else if (Envelope_body_type(env) == Body_AgentUpdate) {
        master_hears_update(s, peer, Envelope_body_as_AgentUpdate(env));
    } else if (Envelope_body_type(env) == Body_AgentExecutorExited) {
        master_hears_exited(s, Envelope_body_as_AgentExecutorExited(env));
    } else if (Envelope_body_type(env) == Body_AgentUnregister && s->registers) {
        s->register_request = Envelope_request_id(env);
        agent_sim_answer(s, "OK", "{'Reply': {}}");
    }
}

/* --- effects --- */

static void effect_send(struct agent_sim *s, const struct pf_effect *e)
{
    struct pf_err err = {0};
    struct pf_msg msg;

    assert_int_equal(pf_fb_verify(e->message, &Envelope__desc, &msg, &err), 0);
    char *json = test_json_of(Envelope__root(msg).tab, &Envelope__desc);
    pf_buf_printf(&s->log, "send %llu %s\n", (unsigned long long)e->peer, json);
    pf_free(json);
    if (e->peer >= SIM_MASTER && e->peer < SIM_CLIENT && s->master_up) {
        master_hears(s, e->peer, Envelope__root(msg));
    }
    if (e->peer >= SIM_EXECUTOR) {
        sim_executor_hears(s, e->peer, Envelope__root(msg));
    }
}

static void log_start(struct agent_sim *s, const struct pf_agent_act_start *act)
{
    if (act->is_session) {
        pf_buf_printf(&s->log, "beside %02x ", act->container.b[0]);
    }
    pf_buf_printf(&s->log, "start %02x path=%s cwd=%s user=%s stdin=%d", act->launch.b[0],
                  act->path.at, act->cwd.at, act->user.at, act->keeps_stdin);
    if (act->is_terminal) {
        pf_buf_printf(&s->log, " terminal=%ux%u", (unsigned)act->columns, (unsigned)act->rows);
    }
    for (uint32_t i = 0; i < act->n_rlimits; i++) {
        pf_buf_printf(&s->log, " rlimit%u=%llu/%llu", (unsigned)act->rlimits[i].resource,
                      (unsigned long long)act->rlimits[i].soft,
                      (unsigned long long)act->rlimits[i].hard);
    }
    for (uint32_t i = 0; i < act->n_args; i++) {
        pf_buf_printf(&s->log, " [%s]", act->args[i].at);
    }
    for (uint32_t i = 0; i < act->n_env; i++) {
        pf_buf_printf(&s->log, " %s", act->env[i].at);
    }
    pf_buf_add_byte(&s->log, '\n');
}

/* The daemon starts it by itself. */
static void act_session_open(struct agent_sim *s, const struct pf_agent_act_session *act)
{
    struct pf_agent_act_start start = {
        .launch = act->session,
        .container = act->container,
        .path = act->args[0],
        .cwd = act->cwd,
        .user = act->user,
        .args = act->args,
        .n_args = act->n_args,
        .env = act->env,
        .n_env = act->n_env,
        .keeps_stdin = act->keeps_stdin,
        .is_session = true,
        .is_terminal = act->rows > 0,
        .rows = act->rows,
        .columns = act->columns,
    };

    log_start(s, &start);
    if (s->session_error != 0) {
        sim_event_push(s, PF_AGENT_SESSION)->launch = act->session;
    } else if (s->launcher_up) {
        sim_process_start(s, &start);
    }
}

static void act_sandbox(struct agent_sim *s, const struct pf_agent_act_sandbox *act)
{
    struct sim_event *ev = sim_event_push(s, PF_AGENT_SANDBOX);

    pf_buf_printf(&s->log, "sandbox %02x %s user=%s script=%.*s ", act->launch.b[0], act->path.at,
                  act->user.at, (int)act->script.len,
                  act->script.at ? (const char *)act->script.at : "");
    sim_log_limits(s, &act->limits);
    ev->launch = act->launch;
    ev->error = s->sandbox_error;
    ev->stage = s->sandbox_stage;
}

static void effect_act(struct agent_sim *s, const struct pf_effect *e)
{
    const void *data = e->data;
    const struct pf_agent_act_signal *sig = data;
    const struct pf_agent_act_read *rd = data;
    const struct pf_agent_act_stdin *in = data;
    const struct pf_agent_act_sandbox *box = data;
    const struct pf_agent_act_ended *end = data;

    switch ((enum pf_agent_act)e->act) {
    case PF_AGENT_ACT_SANDBOX: act_sandbox(s, box); break;
    case PF_AGENT_ACT_START:
        log_start(s, data);
        if (s->launcher_up) {
            sim_process_start(s, data);
        }
        break;
    case PF_AGENT_ACT_SIGNAL:
        pf_buf_printf(&s->log, "signal %02x %d\n", sig->launch.b[0], sig->signal);
        if (s->launcher_up) {
            sim_process_signal(s, sig);
        }
        break;
    case PF_AGENT_ACT_FORGET: {
        struct sim_process *p = sim_process_of(s, *(const struct pf_uuid *)data);
        pf_buf_printf(&s->log, "forget %02x\n", ((const struct pf_uuid *)data)->b[0]);
        if (p && s->launcher_up) {
            assert_true(p->forgotten || p->state != LauncherState_RUNNING);
            p->forgotten = true;
        }
        break;
    }
    case PF_AGENT_ACT_READ:
        pf_buf_printf(
            &s->log, "read %llu %llu %s offset=%llu limit=%u tail=%u follow=%d ended=%d\n",
            (unsigned long long)rd->peer, (unsigned long long)rd->request_id, rd->path.at,
            (unsigned long long)rd->offset, rd->limit, rd->tail_lines, rd->follow, rd->ended);
        break;
    case PF_AGENT_ACT_STDIN:
        pf_buf_printf(&s->log, "stdin %02x %.*s eof=%d\n", in->launch.b[0], (int)in->data.len,
                      in->data.at ? (const char *)in->data.at : "", in->eof);
        break;
    case PF_AGENT_ACT_ENDED:
        pf_buf_printf(&s->log, "ended %02x %s\n", end->launch.b[0], end->sandbox.at);
        break;
    case PF_AGENT_ACT_REMOVE:
        pf_buf_printf(&s->log, "remove %02x %s\n", box->launch.b[0], box->path.at);
        break;
    case PF_AGENT_ACT_FETCH: sim_act_fetch(s, data); break;
    case PF_AGENT_ACT_CHECK: sim_act_check(s, data); break;
    case PF_AGENT_ACT_LIMIT: sim_act_limit(s, data); break;
    case PF_AGENT_ACT_FILES: sim_act_files(s, data); break;
    case PF_AGENT_ACT_SESSION_OPEN: act_session_open(s, data); break;
    case PF_AGENT_ACT_SESSION_INPUT: sim_act_session_input(s, data); break;
    case PF_AGENT_ACT_SESSION_END: sim_act_session_end(s, data); break;
    case PF_AGENT_ACT_TERMINAL: sim_act_terminal(s, data); break;
    case PF_AGENT_ACT_CLOSE_LAUNCHER: pf_buf_add_cstr(&s->log, "close launcher\n"); break;
    case PF_AGENT_ACT_LEFT:
        pf_buf_printf(&s->log, "left %s\n", *(const bool *)data ? "for good" : "for now");
        s->n_left++;
        break;
    }
}

void sim_effect(struct agent_sim *s, const struct pf_effect *e)
{
    switch (e->kind) {
    case PF_EFFECT_SEND: effect_send(s, e); break;
    case PF_EFFECT_CLOSE:
        pf_buf_printf(&s->log, "close %llu\n", (unsigned long long)e->peer);
        sim_executor_closed(s, e->peer);
        break;
    case PF_EFFECT_ACT: effect_act(s, e); break;
    }
}
