/* SPDX-License-Identifier: Apache-2.0 */
/* Executors in the world of an agent's core: a program "executor" subscribes as soon as it runs and
 * whenever the agent is back, tells RUNNING of what it gets and KILLED of what it shall kill, and
 * exits on SHUTDOWN. What it holds outlives the agent, as a process does. "executor mute" never
 * subscribes, "executor idle" says nothing by itself, "executor stubborn" ignores SHUTDOWN. */
#include "tests/support/agent_sim_internal.h"

static void copy_text(char *out, size_t size, struct pf_str s)
{
    (void)snprintf(out, size, "%.*s", PF_STR_ARG(s));
}

static struct sim_executor *executor_by_peer(struct agent_sim *s, uint64_t peer)
{
    for (uint32_t i = 0; i < s->executors.len; i++) {
        struct sim_executor *x = s->executors.at[i];
        if (x->peer == peer && peer != 0) {
            return x;
        }
    }
    return NULL;
}

struct sim_executor *agent_sim_executor(struct agent_sim *s, const char *id)
{
    struct sim_executor *found = NULL;

    for (uint32_t i = 0; i < s->executors.len; i++) {
        struct sim_executor *x = s->executors.at[i];
        if (strcmp(x->id, id) == 0) {
            found = x;
        }
    }
    return found;
}

static bool is_alive(struct agent_sim *s, const struct sim_executor *x)
{
    const struct sim_process *p = sim_process_of(s, x->launch);

    return p && !p->forgotten && p->pid == x->pid && p->state == LauncherState_RUNNING;
}

void agent_sim_executor_call(struct agent_sim *s, struct sim_executor *x, uint64_t request_id,
                             const char *call)
{
    char fields[64];
    size_t size = strlen(call) + 300;
    char *body = pf_alloc(size);

    (void)snprintf(fields, sizeof fields, ", 'request_id': %llu", (unsigned long long)request_id);
    (void)snprintf(body, size,
                   "{'Executor_Call': {'executor_id': {'value': '%s'}, 'framework_id': "
                   "{'value': '%s'}, %s}}",
                   x->id, x->framework_id, call);
    sim_push_envelope(s, PF_AGENT_MESSAGE, x->peer, fields, 0, body);
    pf_free(body);
}

static void update_json(const struct sim_executor *x, const struct sim_executor_update *u,
                        struct pf_buf *out)
{
    char uuid[25];

    sim_base64_uuid(sim_uuid_all(u->uuid), uuid);
    pf_buf_printf(out,
                  "{'status': {'task_id': {'value': '%s'}, 'state': '%s', 'uuid': '%s', 'source': "
                  "'SOURCE_EXECUTOR', 'executor_id': {'value': '%s'}, 'message': 'by %s'}}",
                  u->task_id, TaskState__str(u->state), uuid, x->id, x->id);
}

void agent_sim_executor_update(struct agent_sim *s, struct sim_executor *x, const char *task_id,
                               int32_t state)
{
    struct sim_executor_update *u = &x->updates[x->n_updates++];
    struct pf_buf call = {0};

    assert_true(x->n_updates <= SIM_EXECUTOR_UPDATES_MAX);
    assert_true(s->next_update < 255);
    *u = (struct sim_executor_update){.state = state, .uuid = ++s->next_update};
    copy_text(u->task_id, sizeof u->task_id, pf_str(task_id));
    if (x->peer == 0) {
        return; /* with its next SUBSCRIBE */
    }
    pf_buf_add_cstr(&call, "'type': 'UPDATE', 'update': ");
    update_json(x, u, &call);
    agent_sim_executor_call(s, x, 0, pf_buf_cstr(&call));
    pf_buf_fini(&call);
}

void agent_sim_peer_up(struct agent_sim *s, uint64_t peer, const char *hello)
{
    sim_push_envelope(s, PF_AGENT_PEER_UP, peer, "", 0, hello);
}

void agent_sim_executor_connect(struct agent_sim *s, struct sim_executor *x)
{
    x->peer = s->next_peer++;
    agent_sim_peer_up(s, x->peer, "{'Hello': {'kind': 'EXECUTOR'}}");
}

void agent_sim_executor_subscribe(struct agent_sim *s, struct sim_executor *x, const char *token)
{
    struct pf_buf call = {0};

    agent_sim_executor_connect(s, x);
    pf_buf_printf(&call,
                  "'type': 'SUBSCRIBE', 'subscribe': {'token': '%s', "
                  "'unacknowledged_tasks': [",
                  token ? token : x->token);
    for (uint32_t i = 0, n = 0; i < x->n_tasks; i++) {
        if (!x->tasks[i].is_acknowledged) {
            pf_buf_printf(&call,
                          "%s{'name': 'n', 'task_id': {'value': '%s'}, 'agent_id': {'value': 'a'}}",
                          n++ > 0 ? ", " : "", x->tasks[i].id);
        }
    }
    pf_buf_add_cstr(&call, "], 'unacknowledged_updates': [");
    for (uint32_t i = 0; i < x->n_updates; i++) {
        pf_buf_add_cstr(&call, i > 0 ? ", " : "");
        update_json(x, &x->updates[i], &call);
    }
    pf_buf_add_cstr(&call, "]}");
    agent_sim_executor_call(s, x, 0, pf_buf_cstr(&call));
    pf_buf_fini(&call);
}

/* A process that was started with the environment of an executor. */
void sim_executor_start(struct agent_sim *s, const struct pf_agent_act_start *act, int64_t pid)
{
    static const struct {
        const char *prefix;
        size_t at, size;
    } vars[] = {
        {"MESOS_FRAMEWORK_ID=", offsetof(struct sim_executor, framework_id), 64},
        {"MESOS_EXECUTOR_ID=", offsetof(struct sim_executor, id), 64},
        {"PROFFER_EXECUTOR_TOKEN=", offsetof(struct sim_executor, token), 64},
    };
    const char *text = act->args[act->n_args - 1].at;
    struct sim_executor *x = PF_NEW(struct sim_executor);

    x->launch = act->launch;
    x->pid = pid;
    x->is_mute = strcmp(text, "executor mute") == 0;
    x->is_idle = strcmp(text, "executor idle") == 0;
    x->is_stubborn = strcmp(text, "executor stubborn") == 0;
    for (uint32_t i = 0; i < act->n_env; i++) {
        for (size_t k = 0; k < PF_ARRAY_LEN(vars); k++) {
            struct pf_str prefix = pf_str(vars[k].prefix);
            if (pf_str_has_prefix(act->env[i], prefix)) {
                copy_text((char *)x + vars[k].at, vars[k].size,
                          pf_str(act->env[i].at + prefix.len));
            }
        }
    }
    pf_ptrs_push(&s->executors, x);
    if (!x->is_mute) {
        agent_sim_executor_subscribe(s, x, NULL);
    }
}

/* The agent is gone: their links with it. */
void sim_executors_cut(struct agent_sim *s)
{
    for (uint32_t i = 0; i < s->executors.len; i++) {
        ((struct sim_executor *)s->executors.at[i])->peer = 0;
    }
}

void sim_executors_return(struct agent_sim *s)
{
    for (uint32_t i = 0; i < s->executors.len; i++) {
        struct sim_executor *x = s->executors.at[i];
        if (is_alive(s, x) && !x->is_mute && !x->stays_away) {
            agent_sim_executor_subscribe(s, x, NULL);
        }
    }
}

static void hang_up(struct agent_sim *s, struct sim_executor *x)
{
    if (x->peer != 0) {
        sim_event_push(s, PF_AGENT_PEER_DOWN)->peer = x->peer;
        x->peer = 0;
    }
}

void agent_sim_executor_cut(struct agent_sim *s, struct sim_executor *x)
{
    hang_up(s, x);
    agent_sim_run(s);
}

void agent_sim_exit_executor(struct agent_sim *s, const struct sim_executor *x, int32_t wait_status)
{
    assert_true(is_alive(s, x));
    sim_process_exit(s, sim_process_of(s, x->launch), wait_status);
    if (s->core) {
        agent_sim_run(s);
    }
}

void sim_executor_exited(struct agent_sim *s, const struct sim_process *p)
{
    for (uint32_t i = 0; i < s->executors.len; i++) {
        struct sim_executor *x = s->executors.at[i];
        if (pf_uuid_eq(x->launch, p->launch) && x->pid == p->pid && s->core) {
            hang_up(s, x);
        }
    }
}

void sim_executor_closed(struct agent_sim *s, uint64_t peer)
{
    struct sim_executor *x = executor_by_peer(s, peer);

    if (x) {
        hang_up(s, x);
    }
}

/* --- what it hears ---------------------------------------------------------------------------- */

static struct sim_executor_task *task_of(struct sim_executor *x, struct pf_str id)
{
    for (uint32_t i = 0; i < x->n_tasks; i++) {
        if (pf_str_is(id, x->tasks[i].id)) {
            return &x->tasks[i];
        }
    }
    return NULL;
}

static void hear_launch(struct agent_sim *s, struct sim_executor *x, struct TaskInfo info)
{
    struct pf_str id = TaskID_value(TaskInfo_task_id(info));
    struct sim_executor_task *t = &x->tasks[x->n_tasks];

    assert_null(task_of(x, id)); /* each task is given once */
    assert_true(x->n_tasks < SIM_EXECUTOR_TASKS_MAX);
    x->n_tasks++;
    copy_text(t->id, sizeof t->id, id);
    x->n_launches++;
    if (!x->is_idle) {
        agent_sim_executor_update(s, x, t->id, TaskState_TASK_RUNNING);
    }
}

static void hear_acknowledged(struct sim_executor *x, struct Executor_Event_Acknowledged a)
{
    struct pf_bytes uuid = Executor_Event_Acknowledged_uuid(a);
    struct sim_executor_task *t = task_of(x, TaskID_value(Executor_Event_Acknowledged_task_id(a)));

    assert_int_equal(uuid.len, 16);
    if (t) {
        t->is_acknowledged = true;
    }
    for (uint32_t i = 0; i < x->n_updates; i++) {
        if (x->updates[i].uuid == uuid.at[0]) {
            memmove(&x->updates[i], &x->updates[i + 1],
                    (x->n_updates - i - 1) * sizeof *x->updates);
            x->n_updates--;
            return;
        }
    }
}

static void hear_kill(struct agent_sim *s, struct sim_executor *x, struct pf_str id)
{
    struct sim_executor_task *t = task_of(x, id);

    x->n_kills++;
    if (t && !t->is_over && !x->is_idle) {
        t->is_over = true;
        agent_sim_executor_update(s, x, t->id, TaskState_TASK_KILLED);
    }
}

static void hear_shutdown(struct agent_sim *s, struct sim_executor *x)
{
    struct sim_process *p = sim_process_of(s, x->launch);

    x->n_shutdowns++;
    if (!x->is_stubborn && p && is_alive(s, x)) {
        sim_process_exit(s, p, 0);
    }
}

void sim_executor_hears(struct agent_sim *s, uint64_t peer, struct Envelope env)
{
    struct sim_executor *x = executor_by_peer(s, peer);
    struct Executor_Event e = Envelope_body_as_Executor_Event(env);

    if (!x || !is_alive(s, x) || Envelope_body_type(env) != Body_Executor_Event) {
        return;
    }
    switch (Executor_Event_type(e)) {
    case Executor_Event_Type_SUBSCRIBED: x->n_subscribed++; break;
    case Executor_Event_Type_LAUNCH:
        hear_launch(s, x, Executor_Event_Launch_task(Executor_Event_launch(e)));
        break;
    case Executor_Event_Type_LAUNCH_GROUP: {
        struct TaskGroupInfo g =
            Executor_Event_LaunchGroup_task_group(Executor_Event_launch_group(e));
        for (uint32_t i = 0; i < TaskGroupInfo_tasks__len(g); i++) {
            hear_launch(s, x, TaskInfo_Nested_info(TaskGroupInfo_tasks__at(g, i)));
        }
        x->n_groups++;
        break;
    }
    case Executor_Event_Type_KILL:
        hear_kill(s, x, TaskID_value(Executor_Event_Kill_task_id(Executor_Event_kill(e))));
        break;
    case Executor_Event_Type_ACKNOWLEDGED:
        hear_acknowledged(x, Executor_Event_acknowledged(e));
        break;
    case Executor_Event_Type_SHUTDOWN: hear_shutdown(s, x); break;
    case Executor_Event_Type_MESSAGE:
    case Executor_Event_Type_ERROR:
    case Executor_Event_Type_HEARTBEAT:
    case Executor_Event_Type_UNKNOWN: break;
    }
}

/* --- launches --------------------------------------------------------------------------------- */

void agent_sim_launch_on(struct agent_sim *s, const char *framework_id, const char *task_id,
                         uint8_t n, const char *executor)
{
    struct sim_group_task task = {task_id, n, NULL};
    struct pf_buf body = {0};

    pf_buf_printf(&body,
                  "{'AgentLaunch': {'framework_id': '%s', 'framework_info': {'user': 'u', 'name': "
                  "'f', 'id': {'value': '%s'}}, 'tasks': [",
                  framework_id, framework_id);
    sim_task_json(s, &task, executor, &body);
    pf_buf_add_cstr(&body, "]}}");
    agent_sim_say(s, pf_buf_cstr(&body));
    pf_buf_fini(&body);
}

void sim_task_json(struct agent_sim *s, const struct sim_group_task *t, const char *executor,
                   struct pf_buf *out)
{
    char uuid[25];

    sim_base64_uuid(sim_uuid_all(t->n), uuid);
    pf_buf_printf(out,
                  "{'launch_uuid': '%s', 'info': {'name': 'n', 'task_id': {'value': '%s'}, "
                  "'agent_id': {'value': '%s'}, 'resources': [{'name': 'cpus', 'type': 'SCALAR', "
                  "'scalar': {'value': 0.5}}]",
                  uuid, t->task_id, pf_agent_id(s->core));
    if (t->command) {
        pf_buf_printf(out, ", 'command': %s", t->command);
    }
    if (executor) {
        pf_buf_printf(out, ", 'executor': %s", executor);
    }
    pf_buf_add_cstr(out, "}}");
}

void agent_sim_launch_group(struct agent_sim *s, const char *framework_id, uint8_t group,
                            const char *executor, const struct sim_group_task *tasks, uint32_t n)
{
    struct pf_buf body = {0};
    char uuid[25];

    sim_base64_uuid(sim_uuid_all(group), uuid);
    pf_buf_printf(&body,
                  "{'AgentLaunch': {'framework_id': '%s', 'framework_info': {'user': 'u', 'name': "
                  "'f', 'id': {'value': '%s'}}, 'group_uuid': '%s', 'executor': %s, 'tasks': [",
                  framework_id, framework_id, uuid, executor);
    for (uint32_t i = 0; i < n; i++) {
        pf_buf_add_cstr(&body, i > 0 ? ", " : "");
        sim_task_json(s, &tasks[i], NULL, &body);
    }
    pf_buf_add_cstr(&body, "]}}");
    agent_sim_say(s, pf_buf_cstr(&body));
    pf_buf_fini(&body);
}
