/* SPDX-License-Identifier: Apache-2.0 */
/* Update streams: for each task its updates in order, each stored before it is sent, one on its way
 * at a time, sent again until it is acknowledged by its uuid. */
#include "agent/core/calls_internal.h"
#include "agent/core/checks_internal.h"

#include "common/base/alloc.h"

static void send_update(struct pf_agent *a, struct pf_bytes status, struct pf_str framework_id,
                        struct pf_bytes launch, const struct task *t, enum TaskState latest)
{
    struct pf_fb_builder *b = pf_turn_builder(a->turn);
    struct pf_ref body = AgentUpdate__put(b, &(struct AgentUpdate__args){
                                                 .framework_id = framework_id,
                                                 .status = status,
                                                 .launch_uuid = launch,
                                                 .latest_state = PF_OPT(latest),
                                                 .started_ms = t ? t->run.started_ms : 0,
                                                 .finished_ms = t ? t->run.finished_ms : 0,
                                                 .sequence = ag_told_number(a),
                                                 .memory_peak_bytes =
                                                     t ? t->run.memory_peak_bytes : 0,
                                             });

    ag_send(a, a->leader, b, Body_AgentUpdate, body, 0);
}

/* Sends the first of the stream, if somebody listens, and sets its next time. */
void ag_update_send_head(struct pf_agent *a, struct task *t)
{
    struct update *u = TAILQ_FIRST(&t->updates);

    if (!u || !ag_is_registered(a)) {
        return;
    }
    const struct update *last = TAILQ_LAST(&t->updates, update_list);

    ag_told(a, &t->untold);
    ag_told(a, &u->untold);

    send_update(a, (struct pf_bytes){u->status, u->len}, ag_run_framework_id(&t->run),
                (struct pf_bytes){t->run.launch.b, sizeof t->run.launch.b}, t,
                (enum TaskState)last->state);
    a->n_sent++;
    t->resend_at = a->now_ms + t->resend_ms;
    t->resend_ms = t->resend_ms * 2 < AGENT_RESEND_MAX_MS ? t->resend_ms * 2 : AGENT_RESEND_MAX_MS;
    ag_run_rearm(a, &t->run);
}

static struct update *update_enqueue(struct pf_agent *a, struct task *t, uint32_t number,
                                     struct pf_uuid uuid, int32_t state, struct pf_bytes status)
{
    struct update *u = pf_alloc(sizeof *u + status.len);

    u->task = t;
    u->number = number;
    u->uuid = uuid;
    u->state = state;
    u->len = status.len;
    memcpy(u->status, status.at, status.len);
    TAILQ_INSERT_TAIL(&t->updates, u, link);
    pf_map_put(&a->by_update, u->uuid.b, sizeof u->uuid.b, u);
    a->n_updates++;
    t->next_update = number + 1;
    t->told_state = (int8_t)state;
    return u;
}

static struct pf_ref put_container_id(struct pf_agent *a, struct pf_fb_builder *b,
                                      const struct run *home)
{
    char uuid[PF_UUID_TEXT_LEN + 1];

    pf_uuid_format(home->launch, uuid);
    struct pf_str text = pf_arena_strdup(pf_turn_arena(a->turn), pf_str(uuid));

    return ContainerID__put(b, &(struct ContainerID__args){.value = text});
}

static struct pf_ref put_container(struct pf_agent *a, struct pf_fb_builder *b,
                                   const struct task *t)
{
    const struct run *home = ag_task_home(t);

    if (home->pid <= 0) {
        return (struct pf_ref){0};
    }
    struct pf_ref id = put_container_id(a, b, home);

    return ContainerStatus__put(b, &(struct ContainerStatus__args){
                                       .container_id = id,
                                       .executor_pid = PF_OPT((uint32_t)home->pid),
                                   });
}

/* Of a command task, the task is its own executor. */
static struct pf_ref put_executor_id(struct pf_fb_builder *b, const struct task *t,
                                     const struct ending *e)
{
    struct pf_str id = ag_run_id(t->executor ? &t->executor->run : &t->run);

    if (e && e->executor_id.len > 0) {
        id = e->executor_id;
    }
    return ExecutorID__put(b, &(struct ExecutorID__args){.value = id});
}

static struct pf_ref put_limitation(struct pf_agent *a, struct pf_fb_builder *b,
                                    const struct ending *e)
{
    struct pf_resources limit = {.n_items = 0};

    if (e->memory_limit_bytes == 0) {
        return (struct pf_ref){0};
    }
    limit.scalar_milli[PF_RES_MEM] = (int64_t)((e->memory_limit_bytes >> 10) * 1000 >> 10);
    return TaskResourceLimitation__put(
        b, &(struct TaskResourceLimitation__args){
               .resources = ag_put_resources(b, pf_turn_arena(a->turn), &limit)});
}

static struct pf_msg build_status(struct pf_agent *a, const struct task *t, enum TaskState state,
                                  const struct ending *e, const struct pf_uuid *uuid)
{
    struct pf_fb_builder *b = pf_turn_nested_builder(a->turn);
    int64_t at_ms = e && e->at_wall_ms > 0 ? e->at_wall_ms : a->wall_ms;
    struct TaskStatus__args args = {
        .task_id = TaskID__put(b, &(struct TaskID__args){.value = ag_run_id(&t->run)}),
        .state = PF_OPT(state),
        .source = PF_OPT(TaskStatus_Source_SOURCE_EXECUTOR),
        .agent_id = AgentID__put(b, &(struct AgentID__args){.value = pf_str(a->id)}),
        .executor_id = put_executor_id(b, t, e),
        .timestamp = PF_OPT((double)at_ms / 1000.0),
        .uuid = {uuid->b, sizeof uuid->b},
        .container_status = put_container(a, b, t),
        .check_status = ag_checks_put_status(b, t),
        .healthy = {t->healthy >= 0, t->healthy > 0},
    };

    if (e) {
        args.limitation = put_limitation(a, b, e);
        args.message = e->text;
        if (e->by_agent) {
            args.source.v = TaskStatus_Source_SOURCE_AGENT;
        }
        args.reason = (struct TaskStatus_Reason__opt){e->has_reason, e->reason};
        args.exit_status = (struct pf_opt_i32){e->has_exit, e->exit_status};
        args.signal = (struct pf_opt_i32){e->has_signal, e->signal};
    }
    return TaskStatus__finish(b, TaskStatus__put(b, &args));
}

/* What its executor says of containers and networks, with what the agent knows of them. */
static struct pf_ref merge_container(struct pf_agent *a, struct pf_fb_builder *b,
                                     const struct task *t, struct ContainerStatus said)
{
    const struct run *home = ag_task_home(t);
    uint32_t n = ContainerStatus_network_infos__len(said);
    struct pf_ref *networks = pf_arena_alloc(pf_turn_arena(a->turn), (n + 1) * sizeof *networks);

    for (uint32_t i = 0; i < n; i++) {
        networks[i] = NetworkInfo__copy(b, ContainerStatus_network_infos__at(said, i));
    }
    struct ContainerStatus__args args = {
        .container_id = ContainerStatus__has_container_id(said)
                            ? ContainerID__copy(b, ContainerStatus_container_id(said))
                            : put_container_id(a, b, home),
        .network_infos = {networks, n},
        .cgroup_info = CgroupInfo__copy(b, ContainerStatus_cgroup_info(said)),
    };

    if (home->pid > 0) {
        args.executor_pid = (struct pf_opt_u32)PF_OPT((uint32_t)home->pid);
    }
    return ContainerStatus__put(b, &args);
}

struct pf_bytes ag_update_of_executor(struct pf_agent *a, const struct task *t, struct TaskStatus s)
{
    struct pf_fb_builder *b = pf_turn_nested_builder(a->turn);
    struct TaskStatus__args args = {
        .task_id = TaskID__put(b, &(struct TaskID__args){.value = ag_run_id(&t->run)}),
        .state = PF_OPT(TaskStatus_state(s)),
        .message = TaskStatus_message(s),
        .source = PF_OPT(TaskStatus_Source_SOURCE_EXECUTOR),
        .reason = {TaskStatus__has_reason(s), TaskStatus_reason(s)},
        .data = TaskStatus_data(s),
        .agent_id = AgentID__put(b, &(struct AgentID__args){.value = pf_str(a->id)}),
        .executor_id = put_executor_id(b, t, NULL),
        .timestamp = PF_OPT((double)a->wall_ms / 1000.0),
        .uuid = TaskStatus_uuid(s),
        .healthy = {TaskStatus__has_healthy(s), TaskStatus_healthy(s)},
        .check_status = CheckStatusInfo__copy(b, TaskStatus_check_status(s)),
        .labels = Labels__copy(b, TaskStatus_labels(s)),
        .container_status = merge_container(a, b, t, TaskStatus_container_status(s)),
        .limitation = TaskResourceLimitation__copy(b, TaskStatus_limitation(s)),
        .exit_status = {TaskStatus__has_exit_status(s), TaskStatus_exit_status(s)},
        .signal = {TaskStatus__has_signal(s), TaskStatus_signal(s)},
    };

    if (TaskStatus__has_timestamp(s)) {
        args.timestamp.v = TaskStatus_timestamp(s);
    }
    return pf_msg_bytes(TaskStatus__finish(b, TaskStatus__put(b, &args)));
}

/* Stores the task as well. */
void ag_update_add(struct pf_agent *a, struct task *t, enum TaskState state, const struct ending *e)
{
    struct pf_uuid uuid = pf_uuid_random(&a->rng);
    bool is_first = TAILQ_EMPTY(&t->updates);
    struct pf_bytes status = {NULL, 0};

    if (e && e->status.at) {
        status = e->status;
        (void)ag_uuid_of(TaskStatus_uuid(TaskStatus__from_bytes(status)), &uuid);
    } else {
        status = pf_msg_bytes(build_status(a, t, state, e, &uuid));
    }
    struct update *u = update_enqueue(a, t, t->next_update, uuid, (int32_t)state, status);

    ag_states_add(a, t, state, e);
    ag_checks_told(t);
    ag_told_count(a, &u->untold);
    ag_row_put_task(a, t);
    ag_row_put_update(a, u);
    if (is_first) {
        t->resend_ms = a->opt.resend_ms;
        ag_update_send_head(a, t);
    } else if (ag_run_is_ended(&t->run) && t->resend_at > a->now_ms + AGENT_TELL_END_MS) {
        /* Nobody takes the one before: said again, it tells the state that came since. */
        t->resend_at = a->now_ms + AGENT_TELL_END_MS;
        ag_run_rearm(a, &t->run);
    }
}

/* One of a recovered row; false: it is not one of ours. */
bool ag_update_restore(struct pf_agent *a, struct task *t, uint32_t number, struct pf_bytes bytes)
{
    struct TaskStatus status = TaskStatus__from_bytes(bytes);
    struct pf_uuid uuid;

    if (!ag_uuid_of(TaskStatus_uuid(status), &uuid) ||
        pf_map_get(&a->by_update, uuid.b, sizeof uuid.b)) {
        return false;
    }
    (void)update_enqueue(a, t, number, uuid, (int32_t)TaskStatus_state(status), bytes);
    t->resend_at = a->now_ms;
    return true;
}

static void update_forget(struct pf_agent *a, struct update *u)
{
    struct task *t = u->task;

    TAILQ_REMOVE(&t->updates, u, link);
    (void)pf_map_del(&a->by_update, u->uuid.b, sizeof u->uuid.b);
    a->n_updates--;
    ag_told(a, &u->untold);
    ag_row_del_update(a, u);
    pf_free(u);
}

/* Nobody is left to acknowledge them. */
void ag_updates_drop(struct pf_agent *a, struct task *t)
{
    while (!TAILQ_EMPTY(&t->updates)) {
        update_forget(a, TAILQ_FIRST(&t->updates));
    }
    t->resend_at = AGENT_NEVER;
    ag_run_rearm(a, &t->run);
}

/* The next one leaves before the row of this one goes: it need not wait for that write, and a crash
 * between the two only repeats the acknowledged one. */
void ag_on_acknowledge(struct pf_agent *a, struct AgentAcknowledge ack)
{
    struct pf_bytes uuid = AgentAcknowledge_uuid(ack);
    struct update *u = uuid.len == 16 ? pf_map_get(&a->by_update, uuid.at, uuid.len) : NULL;

    if (!u) {
        return; /* a repeated one */
    }
    struct task *t = u->task;

    if (u != TAILQ_FIRST(&t->updates) ||
        !pf_str_eq(AgentAcknowledge_task_id(ack), ag_run_id(&t->run)) ||
        !pf_str_eq(AgentAcknowledge_framework_id(ack), ag_run_framework_id(&t->run))) {
        a->n_bad++;
        return;
    }
    TAILQ_REMOVE(&t->updates, u, link);
    t->resend_ms = a->opt.resend_ms;
    t->resend_at = AGENT_NEVER;
    ag_update_send_head(a, t);
    TAILQ_INSERT_HEAD(&t->updates, u, link);
    update_forget(a, u);
    ag_run_rearm(a, &t->run);
    if (ag_run_is_ended(&t->run) && TAILQ_EMPTY(&t->updates)) {
        ag_task_retire(a, t);
    }
}

/* The answer to a KILL of what does not run: without a uuid, so nobody acknowledges it. `past`: the
 * task that stands in the history, or NULL. */
void ag_updates_tell_gone(struct pf_agent *a, struct AgentKill kill, const struct task *past)
{
    struct pf_fb_builder *b = pf_turn_nested_builder(a->turn);
    enum TaskState state = past ? (enum TaskState)past->final_state : TaskState_TASK_GONE;
    struct pf_str id = AgentKill_task_id(kill);
    struct TaskStatus__args args = {
        .task_id = TaskID__put(b, &(struct TaskID__args){.value = id}),
        .state = PF_OPT(state),
        .message =
            past ? PF_STR("The task has ended before") : PF_STR("Task is unknown to the agent"),
        .source = PF_OPT(TaskStatus_Source_SOURCE_AGENT),
        .reason = PF_OPT(TaskStatus_Reason_REASON_RECONCILIATION),
        .agent_id = AgentID__put(b, &(struct AgentID__args){.value = pf_str(a->id)}),
        .timestamp = PF_OPT((double)a->wall_ms / 1000.0),
    };
    struct pf_msg status = TaskStatus__finish(b, TaskStatus__put(b, &args));

    send_update(a, pf_msg_bytes(status), AgentKill_framework_id(kill), AgentKill_launch_uuid(kill),
                past, state);
}
