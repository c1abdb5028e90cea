/* SPDX-License-Identifier: Apache-2.0 */
/* What executors say: the calls of the executor API, natively on the link with which one has
 * subscribed, or by HTTP, where each call comes from a client of its own. Whoever says something
 * wrong is told so, counted, and changes nothing. */
#include "agent/core/calls_internal.h"
#include "agent/core/executors_internal.h"

#include "common/base/limits.h"

/* Updates of a task that wait for their acknowledgement: more are not taken until some have it. The
 * last one always is. */
enum { UPDATES_WAITING_MAX = 1000, UPDATES_WAITING_BYTES = 4 << 20 };

struct call {
    struct client *client;
    struct Executor_Call msg;
    uint64_t request_id;
    struct executor *executor;
};

static void answer(struct pf_agent *a, const struct call *c, enum ReplyCode code, const char *text)
{
    if (code != ReplyCode_OK && code != ReplyCode_ACCEPTED) {
        a->n_bad++;
    }
    ag_reply(a, c->client->peer, c->request_id, code, pf_str(text));
}

/* A SUBSCRIBE that is not granted ends its link. `is_over`: the process has no reason to run. */
static void refuse_subscribe(struct pf_agent *a, const struct call *c, enum ReplyCode code,
                             const char *text, bool is_over)
{
    answer(a, c, code, text);
    if (is_over) {
        ag_executor_say_shutdown(a, c->client->peer);
    } else if (!c->client->is_http) {
        ag_executor_say_error(a, c->client->peer, text);
    }
    if (!c->client->is_http) {
        pf_turn_close(a->turn, c->client->peer);
    }
}

/* NULL = it is who it says. */
static const char *token_problem(const struct pf_agent *a, const struct call *c)
{
    struct pf_str said = Executor_Call_Subscribe_token(Executor_Call_subscribe(c->msg));
    bool is_native = !c->client->is_http;

    if (c->client->token) {
        said = pf_str(c->client->token);
    }
    if (said.len > 0) {
        return ag_token_is(c->executor->token, said) ? NULL : "the token is not this executor's";
    }
    return is_native || a->opt.authenticates_executors
               ? "the token that the agent gave to the executor is missing"
               : NULL;
}

/* --- updates ---------------------------------------------------------------------------------- */

static bool is_terminal(enum TaskState state)
{
    switch (state) {
    case TaskState_TASK_STAGING:
    case TaskState_TASK_STARTING:
    case TaskState_TASK_RUNNING:
    case TaskState_TASK_KILLING: return false;
    default: return true;
    }
}

static const char *status_problem(const struct call *c, struct TaskStatus s)
{
    struct pf_str executor_id = ExecutorID_value(TaskStatus_executor_id(s));

    if (TaskStatus_uuid(s).len != 16) {
        return "the update has no uuid of 16 bytes";
    }
    if (executor_id.at && !pf_str_eq(executor_id, ag_run_id(&c->executor->run))) {
        return "the update names another executor";
    }
    if (!TaskStatus__has_source(s) || TaskStatus_source(s) != TaskStatus_Source_SOURCE_EXECUTOR) {
        return "the source of the update is not SOURCE_EXECUTOR";
    }
    switch (TaskStatus_state(s)) {
    case TaskState_TASK_STAGING:
    case TaskState_TASK_UNREACHABLE:
    case TaskState_TASK_UNKNOWN: return "the state of the update is not an executor's to tell";
    default: break;
    }
    if (!TaskStatus__has_state(s)) {
        return "the update has no state";
    }
    return TaskState__str((int)TaskStatus_state(s)) ? NULL : "the state of the update is unknown";
}

static const char *task_problem(const struct pf_agent *a, const struct call *c,
                                const struct task *t, struct pf_bytes uuid)
{
    const struct update *same = pf_map_get(&a->by_update, uuid.at, uuid.len);

    if (!t || t->executor != c->executor) {
        return "the task is not one of this executor";
    }
    if (ag_run_is_ended(&t->run)) {
        return "the task has ended before";
    }
    if (t->run.sm.state == RunState_ACCEPTED) {
        return "the task was not given to the executor";
    }
    return same ? "the uuid is that of another update" : NULL;
}

static bool is_behind(const struct task *t)
{
    const struct update *u = NULL;
    uint64_t bytes = 0;
    uint32_t n = 0;

    TAILQ_FOREACH(u, &t->updates, link)
    {
        bytes += u->len;
        n++;
    }
    return n >= UPDATES_WAITING_MAX || bytes >= UPDATES_WAITING_BYTES;
}

/* It was stored; the word of that may have been lost. */
static bool is_known(const struct pf_agent *a, const struct task *t, struct pf_uuid uuid)
{
    const struct update *waiting = pf_map_get(&a->by_update, uuid.b, sizeof uuid.b);

    return (waiting && waiting->task == t) || ag_task_has_heard(t, uuid);
}

/* It says a first time that it has the task. */
static void take_over(struct pf_agent *a, struct task *t)
{
    if (t->run.sm.state != RunState_STARTING) {
        return;
    }
    ag_run_move(a, &t->run, RunState_RUNNING, "its executor has it");
    if (t->run.kill_reason != KILL_NONE) {
        ag_run_move(a, &t->run, RunState_KILLING, "kill was asked before");
    }
    t->run.started_ms = a->wall_ms;
    ag_run_drop_info(&t->run);
}

static void update_run(struct pf_agent *a, struct task *t, struct TaskStatus s)
{
    bool is_torn_down = t->run.kill_reason == KILL_TEARDOWN;
    struct ending e = {.state = TaskStatus_state(s), .has_reason = TaskStatus__has_reason(s)};
    struct pf_uuid uuid;
    double at_s = TaskStatus_timestamp(s);

    if (ag_uuid_of(TaskStatus_uuid(s), &uuid)) {
        ag_task_hears(t, uuid);
    }
    e.reason = TaskStatus_reason(s);
    e.status = ag_update_of_executor(a, t, s);
    take_over(a, t);
    if (!is_terminal(e.state)) {
        ag_row_put_task(a, t);
        if (!is_torn_down) {
            ag_update_add(a, t, e.state, &e);
        }
        return;
    }
    if (at_s > 0 && at_s * 1000 < (double)a->wall_ms) {
        e.at_wall_ms = (int64_t)(at_s * 1000);
    }
    ag_task_end(a, t, &e, "its executor says so");
}

/* NULL: it is stored, or was before. */
static const char *update_take(struct pf_agent *a, const struct call *c, struct TaskStatus s)
{
    const char *problem = status_problem(c, s);
    struct pf_str id = TaskID_value(TaskStatus_task_id(s));
    struct pf_bytes bytes = TaskStatus_uuid(s);
    struct pf_uuid uuid;

    if (problem || !ag_uuid_of(bytes, &uuid)) {
        return problem;
    }
    struct task *t = ag_task_by_name(a, ag_run_framework_id(&c->executor->run), id);

    if (!t || t->executor != c->executor || !is_known(a, t, uuid)) {
        problem = task_problem(a, c, t, bytes);
        if (!problem && !is_terminal(TaskStatus_state(s)) && is_behind(t)) {
            problem = "too many updates of the task wait for their acknowledgement";
        }
        if (problem && (!t || t->executor != c->executor || ag_run_is_ended(&t->run))) {
            /* Maybe one that was stored, and forgotten with its task: not to be kept any more. */
            ag_executor_say_acknowledged(a, c->executor, id, bytes);
        }
        if (problem) {
            return problem;
        }
        update_run(a, t, s);
    }
    ag_executor_say_acknowledged(a, c->executor, id, bytes);
    return NULL;
}

/* --- subscription ----------------------------------------------------------------------------- */

static void take_unacknowledged_updates(struct pf_agent *a, const struct call *c)
{
    struct Executor_Call_Subscribe s = Executor_Call_subscribe(c->msg);

    for (uint32_t i = 0; i < Executor_Call_Subscribe_unacknowledged_updates__len(s); i++) {
        struct Executor_Call_Update u = Executor_Call_Subscribe_unacknowledged_updates__at(s, i);
        if (update_take(a, c, Executor_Call_Update_status(u))) {
            a->n_bad++;
        }
    }
}

static bool is_listed(struct Executor_Call_Subscribe s, const struct task *t)
{
    for (uint32_t i = 0; i < Executor_Call_Subscribe_unacknowledged_tasks__len(s); i++) {
        struct TaskInfo info =
            TaskInfo_Nested_info(Executor_Call_Subscribe_unacknowledged_tasks__at(s, i));
        if (pf_str_eq(TaskID_value(TaskInfo_task_id(info)), ag_run_id(&t->run))) {
            return true;
        }
    }
    return false;
}

/* Sent to it, never confirmed, and it does not know them: their LAUNCH was lost. */
static void drop_lost_tasks(struct pf_agent *a, const struct call *c)
{
    struct Executor_Call_Subscribe s = Executor_Call_subscribe(c->msg);
    struct task *t = TAILQ_FIRST(&c->executor->tasks), *next = NULL;
    struct ending e = {
        .state = TaskState_TASK_DROPPED,
        .has_reason = true,
        .reason = TaskStatus_Reason_REASON_AGENT_RESTARTED,
        .by_agent = true,
        .text = PF_STR("The executor did not receive the task"),
    };

    for (; t; t = next) {
        next = TAILQ_NEXT(t, of_executor);
        if (t->run.sm.state == RunState_STARTING && !is_listed(s, t)) {
            e.state =
                t->run.kill_reason == KILL_NONE ? TaskState_TASK_DROPPED : TaskState_TASK_KILLED;
            ag_task_end(a, t, &e, "its executor does not know it");
        }
    }
}

static void say_kills(struct pf_agent *a, const struct executor *x)
{
    const struct task *t = NULL;

    TAILQ_FOREACH(t, &x->tasks, of_executor)
    {
        if (t->run.kill_reason != KILL_NONE) {
            ag_executor_say_kill(a, t);
        }
    }
}

void ag_executor_unsubscribe(struct pf_agent *a, struct executor *x)
{
    struct client *c = pf_map_get_u64(&a->clients, &x->peer);

    if (c) {
        c->executor = NULL;
    }
    x->peer = 0;
    x->heartbeat_at = AGENT_NEVER;
    if (x->run.sm.state == RunState_RUNNING) {
        x->subscribe_at = a->now_ms + AGENT_RECOVERY_MS;
    }
    ag_run_rearm(a, &x->run);
}

static void subscribe(struct pf_agent *a, const struct call *c)
{
    struct executor *x = c->executor;

    if (x->peer != 0) { /* its older link, which it gave up */
        pf_turn_close(a->turn, x->peer);
        ag_executor_unsubscribe(a, x);
    }
    x->peer = c->client->peer;
    c->client->executor = x;
    x->resubscribes = true;
    x->subscribe_at = AGENT_NEVER;
    x->heartbeat_at = a->now_ms + AGENT_HEARTBEAT_MS;
    ag_run_rearm(a, &x->run);
    answer(a, c, ReplyCode_OK, NULL);
    if (x->run.kill_reason == KILL_NONE) {
        ag_executor_say_subscribed(a, x);
    }
    take_unacknowledged_updates(a, c);
    if (x->run.kill_reason != KILL_NONE) {
        ag_executor_say_shutdown(a, x->peer);
        pf_turn_close(a->turn, x->peer);
        ag_executor_unsubscribe(a, x);
        return;
    }
    drop_lost_tasks(a, c);
    ag_executor_say_launches(a, x);
    say_kills(a, x);
}

static void on_subscribe(struct pf_agent *a, const struct call *c)
{
    const char *problem = NULL;

    if (!c->executor) {
        refuse_subscribe(a, c, ReplyCode_BAD_REQUEST, "the agent does not know this executor",
                         !c->client->is_http);
    } else if ((problem = token_problem(a, c)) != NULL) {
        refuse_subscribe(a, c, ReplyCode_FORBIDDEN, problem, false);
    } else if (c->client->executor) {
        answer(a, c, ReplyCode_CONFLICT, "an executor has subscribed on this link already");
    } else {
        subscribe(a, c);
    }
}

/* --- the others ------------------------------------------------------------------------------- */

static void on_update(struct pf_agent *a, const struct call *c)
{
    struct Executor_Call_Update u = Executor_Call_update(c->msg);
    const char *problem = update_take(a, c, Executor_Call_Update_status(u));

    answer(a, c, problem ? ReplyCode_BAD_REQUEST : ReplyCode_ACCEPTED, problem);
}

static void on_message(struct pf_agent *a, const struct call *c)
{
    struct pf_bytes data = Executor_Call_Message_data(Executor_Call_message(c->msg));

    if (data.len > PF_EXECUTOR_MESSAGE_MAX_BYTES) {
        answer(a, c, ReplyCode_TOO_LARGE, "the message is too large");
        return;
    }
    if (ag_is_registered(a)) {
        struct pf_fb_builder *b = pf_turn_builder(a->turn);
        struct pf_ref body =
            AgentMessage__put(b, &(struct AgentMessage__args){
                                     .framework_id = ag_run_framework_id(&c->executor->run),
                                     .executor_id = ag_run_id(&c->executor->run),
                                     .data = data,
                                     .from_executor = true,
                                 });
        ag_send(a, a->leader, b, Body_AgentMessage, body, 0);
    }
    answer(a, c, ReplyCode_ACCEPTED, NULL);
}

/* Of a subscribed executor: NULL, else why it is not listened to. */
static const char *subscriber_problem(const struct pf_agent *a, const struct call *c,
                                      enum ReplyCode *code)
{
    const struct executor *x = c->executor;
    const char *problem = NULL;

    *code = ReplyCode_BAD_REQUEST;
    if (!x) {
        return "the agent does not know this executor";
    }
    if (c->client->is_http) {
        *code = ReplyCode_FORBIDDEN;
        problem = token_problem(a, c);
    }
    if (!problem && (c->client->is_http ? x->peer == 0 : c->client->executor != x)) {
        *code = ReplyCode_NOT_SUBSCRIBED;
        problem = "Executor is not subscribed";
    }
    return problem;
}

static struct executor *find_executor(struct pf_agent *a, struct Executor_Call msg)
{
    struct executor *x = ag_executor_by_name(a, FrameworkID_value(Executor_Call_framework_id(msg)),
                                             ExecutorID_value(Executor_Call_executor_id(msg)));

    return x && !x->is_default ? x : NULL;
}

void ag_on_executor_call(struct pf_agent *a, struct Envelope env, struct client *client)
{
    struct call c = {client, Envelope_body_as_Executor_Call(env), Envelope_request_id(env), NULL};
    enum Executor_Call_Type type = Executor_Call_type(c.msg);
    enum ReplyCode code = ReplyCode_OK;

    if (Envelope_is_reply(env)) { /* nothing was asked; a reply to a reply would never end */
        a->n_bad++;
        return;
    }
    if (Envelope_body_type(env) != Body_Executor_Call) {
        answer(a, &c, ReplyCode_UNSUPPORTED, "an executor may not say this");
        return;
    }
    if (type == Executor_Call_Type_HEARTBEAT) {
        answer(a, &c, ReplyCode_ACCEPTED, NULL);
        return;
    }
    c.executor = find_executor(a, c.msg);
    if (type == Executor_Call_Type_SUBSCRIBE) {
        on_subscribe(a, &c);
        return;
    }
    const char *problem = subscriber_problem(a, &c, &code);

    if (problem) {
        answer(a, &c, code, problem);
    } else if (type == Executor_Call_Type_UPDATE) {
        on_update(a, &c);
    } else if (type == Executor_Call_Type_MESSAGE) {
        on_message(a, &c);
    } else {
        answer(a, &c, ReplyCode_UNSUPPORTED, "unknown call");
    }
}
