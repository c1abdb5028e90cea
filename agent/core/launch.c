/* SPDX-License-Identifier: Apache-2.0 */
/* Launches: what is accepted is stored and begun. While there is no launcher, accepted tasks wait.
 * What is refused is stored as well. */
#include "agent/core/calls_internal.h"
#include "agent/core/executors_internal.h"

#include "common/base/alloc.h"

/* A refused launch is a task that ended at once: its update is stored and resent like any other. */
static void launch_refuse(struct pf_agent *a, struct task *t, struct AgentLaunchTask task,
                          const struct wanted *w, const struct refusal *r)
{
    struct TaskInfo info = AgentLaunchTask_info(task);
    struct pf_fb_builder *b = pf_turn_nested_builder(a->turn);
    struct TaskInfo__args args = {
        .name = TaskInfo_name(info),
        .task_id = TaskID__put(b, &(struct TaskID__args){.value = ag_run_id(&t->run)}),
    };
    struct pf_bytes small = pf_msg_bytes(TaskInfo__finish(b, TaskInfo__put(b, &args)));

    a->n_refused++;
    ag_task_set_info(a, t, small);
    ag_row_put_info(a, t, small);
    ag_task_count(a, t);
    ag_task_end(a, t,
                &(struct ending){
                    .state = r->state,
                    .has_reason = true,
                    .reason = r->reason,
                    .by_agent = true,
                    .text = r->text,
                    .executor_id = ExecutorID_value(ExecutorInfo_executor_id(w->executor)),
                },
                "refused");
}

/* What runs it: nothing but itself, or the executor that stands or is made now. */
static struct executor *launch_executor(struct pf_agent *a, struct framework *fw,
                                        const struct wanted *w, struct pf_str user)
{
    struct pf_str id = ExecutorID_value(ExecutorInfo_executor_id(w->executor));
    struct executor *x = NULL;

    if (!w->executor_info.at) {
        return NULL;
    }
    x = ag_executor_by_name(a, w->fw_id, id);
    return x ? x : ag_executor_create(a, fw, pf_uuid_random(&a->rng), w->executor_info, user);
}

static void launch_accept(struct pf_agent *a, struct task *t, struct AgentLaunchTask task,
                          const struct wanted *w)
{
    struct pf_bytes info = AgentLaunchTask_info__bytes(task);
    struct executor *x = launch_executor(a, t->run.fw, w, pf_str(t->run.user));

    if (x) {
        ag_executor_join(x, t);
    }
    ag_task_set_info(a, t, info);
    ag_row_put_info(a, t, info);
    ag_task_count(a, t);
    if (ag_task_is_hosted(t)) {
        ag_run_act_limit(a, &x->run);
    }
    if (!ag_task_is_hosted(t) && ag_launcher_is_ready(a)) {
        ag_run_begin(a, &t->run);
    } else {
        ag_row_put_task(a, t);
    }
    if (ag_task_is_hosted(t) && x->run.sm.state == RunState_ACCEPTED && ag_launcher_is_ready(a)) {
        ag_run_begin(a, &x->run);
    }
}

/* NULL: it cannot even be refused. */
static struct task *launch_create(struct pf_agent *a, struct framework *fw,
                                  struct AgentLaunchTask task)
{
    struct pf_str id = TaskID_value(TaskInfo_task_id(AgentLaunchTask_info(task)));
    struct pf_str user = AgentLaunchTask_user(task);
    struct pf_uuid launch;

    if (!ag_uuid_of(AgentLaunchTask_launch_uuid(task), &launch) || pf_id_problem(id)) {
        a->n_bad++;
        return NULL;
    }
    struct task *t = ag_task_create(a, launch);

    ag_run_set_name(&t->run, pf_str(fw->id), id);
    ag_run_init_state(a, &t->run, RunState_ACCEPTED, "launch");
    ag_task_index_name(a, t);
    if (user.len == 0 || memchr(user.at, '\0', user.len)) {
        user = pf_str(a->opt.default_user);
    }
    t->run.user = pf_strndup(user.at, user.len);
    t->run.accepted_ms = a->wall_ms;
    ag_framework_join(a, &t->run, fw);
    if (!fw->stored) {
        ag_row_put_framework(a, fw);
    }
    a->n_launches++;
    ag_told_count(a, &t->untold);
    return t;
}

/* The live task of the same name, or NULL. */
static const struct task *twin_of(struct pf_agent *a, const struct wanted *w,
                                  struct AgentLaunchTask task)
{
    struct pf_str id = TaskID_value(TaskInfo_task_id(AgentLaunchTask_info(task)));
    const struct task *twin = pf_id_problem(id) ? NULL : ag_task_by_name(a, w->fw_id, id);

    return twin && !ag_run_is_ended(&twin->run) ? twin : NULL;
}

static void wanted_set_executor(struct pf_agent *a, struct wanted *w, struct ExecutorInfo info)
{
    w->executor = info;
    w->executor_info = pf_msg_bytes(ag_executor_info(a, info, w->fw_id));
}

/* Before the refused task's update, so that whoever has heard that has heard this. One that was to
 * be there already has been told of, and a new one may be on its way. */
static void tell_no_executor(struct pf_agent *a, const struct wanted *w,
                             struct AgentLaunchTask task)
{
    if (w->executor_info.at && !AgentLaunchTask_joins_executor(task)) {
        ag_executor_tell_none(a, w->fw_id, ExecutorID_value(ExecutorInfo_executor_id(w->executor)));
    }
}

static void launch_one(struct pf_agent *a, struct framework *fw, struct AgentLaunch launch,
                       uint32_t i)
{
    struct AgentLaunchTask task = AgentLaunch_tasks__at(launch, i);
    struct TaskInfo info = AgentLaunchTask_info(task);
    struct wanted w = {.fw_id = pf_str(fw->id)};

    if (ag_run_by_launch(a, AgentLaunchTask_launch_uuid(task))) {
        return; /* said twice */
    }
    if (TaskInfo__has_executor(info)) {
        wanted_set_executor(a, &w, TaskInfo_executor(info));
    }
    const struct refusal *r = ag_launch_refusal(a, task, &w, twin_of(a, &w, task));

    if (!r) {
        r = ag_resources_refusal(a, launch, i, 1, &w);
    }
    if (r) {
        tell_no_executor(a, &w, task);
    }
    struct task *t = launch_create(a, fw, task);

    if (t && r) {
        launch_refuse(a, t, task, &w, r);
    } else if (t) {
        launch_accept(a, t, task, &w);
        if (ag_task_is_hosted(t)) {
            ag_executor_say_launches(a, t->executor);
        }
    }
}

static bool has_same_id(struct AgentLaunch launch, uint32_t i)
{
    struct pf_str id =
        TaskID_value(TaskInfo_task_id(AgentLaunchTask_info(AgentLaunch_tasks__at(launch, i))));

    for (uint32_t k = 0; k < i; k++) {
        struct AgentLaunchTask other = AgentLaunch_tasks__at(launch, k);
        if (pf_str_eq(TaskID_value(TaskInfo_task_id(AgentLaunchTask_info(other))), id)) {
            return true;
        }
    }
    return false;
}

/* The first reason why the group cannot be; `*at`: of which task, or n of the whole. */
static const struct refusal *group_refusal(struct pf_agent *a, struct AgentLaunch launch,
                                           const struct wanted *w, uint32_t *at)
{
    static const struct refusal twice = {
        .state = TaskState_TASK_ERROR,
        .reason = TaskStatus_Reason_REASON_TASK_GROUP_INVALID,
        .text = {"The group has two tasks with one id", 35},
    };
    uint32_t n = AgentLaunch_tasks__len(launch);

    for (uint32_t i = 0; i < n; i++) {
        struct AgentLaunchTask task = AgentLaunch_tasks__at(launch, i);
        const struct refusal *r = ag_launch_refusal(a, task, w, twin_of(a, w, task));
        *at = i;
        if (r) {
            return r;
        }
        if (has_same_id(launch, i)) {
            *at = n;
            return &twice;
        }
    }
    *at = n;
    return ag_resources_refusal(a, launch, 0, n, w);
}

/* What the others of the group hear. */
static const struct refusal *refusal_of_rest(struct pf_agent *a, struct AgentLaunch launch,
                                             const struct refusal *r, uint32_t at)
{
    struct pf_arena *arena = pf_turn_arena(a->turn);
    struct refusal *rest = pf_arena_zalloc(arena, sizeof *rest);

    *rest = *r;
    if (at < AgentLaunch_tasks__len(launch)) {
        struct AgentLaunchTask task = AgentLaunch_tasks__at(launch, at);
        struct pf_str id = TaskID_value(TaskInfo_task_id(AgentLaunchTask_info(task)));
        rest->reason = TaskStatus_Reason_REASON_TASK_GROUP_INVALID;
        rest->text = pf_arena_printf(arena, "Task %.*s of its group was refused: %.*s",
                                     PF_STR_ARG(id), PF_STR_ARG(r->text));
    }
    return rest;
}

/* All are accepted or none. */
static void launch_group(struct pf_agent *a, struct AgentLaunch launch)
{
    struct wanted w = {.fw_id = AgentLaunch_framework_id(launch), .is_group = true};
    uint32_t n = AgentLaunch_tasks__len(launch), at = 0;
    struct pf_uuid group;
    struct executor *x = NULL;

    if (!ag_uuid_of(AgentLaunch_group_uuid(launch), &group)) {
        a->n_bad++;
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (ag_run_by_launch(a, AgentLaunchTask_launch_uuid(AgentLaunch_tasks__at(launch, i)))) {
            return; /* said twice */
        }
    }
    wanted_set_executor(a, &w, AgentLaunch_executor(launch));
    const struct refusal *r = group_refusal(a, launch, &w, &at);
    const struct refusal *rest = r ? refusal_of_rest(a, launch, r, at) : NULL;

    if (r) {
        tell_no_executor(a, &w, AgentLaunch_tasks__at(launch, 0));
    }
    for (uint32_t i = 0; i < n; i++) {
        struct AgentLaunchTask task = AgentLaunch_tasks__at(launch, i);
        if (ag_run_by_launch(a, AgentLaunchTask_launch_uuid(task))) {
            a->n_bad++; /* twice in one group */
            continue;
        }
        struct task *t = launch_create(a, ag_framework_need(a, w.fw_id), task);
        if (!t) {
            continue;
        }
        t->group = group;
        if (r) {
            launch_refuse(a, t, task, &w, i == at ? r : rest);
        } else {
            launch_accept(a, t, task, &w);
            x = t->executor;
        }
    }
    if (x && !x->is_default) {
        ag_executor_say_launches(a, x);
    }
}

void ag_on_launch(struct pf_agent *a, struct AgentLaunch launch)
{
    struct pf_str fw_id = AgentLaunch_framework_id(launch);

    if (pf_id_problem(fw_id)) {
        a->n_bad++;
        return;
    }
    struct framework *fw = ag_framework_need(a, fw_id);

    ag_framework_set_info(fw, AgentLaunch_framework_info__bytes(launch));
    fw->torn_down = false;
    if (fw->n_runs > 0 && !fw->stored) {
        ag_row_put_framework(a, fw);
    }
    if (AgentLaunch__has_group_uuid(launch)) {
        launch_group(a, launch);
        return;
    }
    for (uint32_t i = 0; i < AgentLaunch_tasks__len(launch); i++) {
        /* A refused task without anyone to tell leaves at once, and could take the framework. */
        launch_one(a, ag_framework_need(a, fw_id), launch, i);
    }
}
