/* SPDX-License-Identifier: Apache-2.0 */
/* Launches: what is accepted is stored and begun. While there is no launcher, accepted tasks wait.
 * What is refused is stored as well. */
#include "agent/core/calls_internal.h"

#include "common/base/alloc.h"

/* A refused launch is a task that ended at once: its update is stored and resent like any other. */
static void launch_refuse(struct pf_agent *a, struct task *t, struct AgentLaunchTask task,
                          const struct refusal *r)
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
                },
                "refused");
}

static void launch_accept(struct pf_agent *a, struct task *t, struct AgentLaunchTask task)
{
    struct pf_bytes info = AgentLaunchTask_info__bytes(task);

    ag_task_set_info(a, t, info);
    ag_row_put_info(a, t, info);
    ag_task_count(a, t);
    if (ag_launcher_is_ready(a)) {
        ag_run_begin(a, &t->run);
    } else {
        ag_row_put_task(a, t);
    }
}

static void launch_one(struct pf_agent *a, struct framework *fw, struct AgentLaunchTask task)
{
    struct pf_str fw_id = pf_str(fw->id);
    struct pf_str id = TaskID_value(TaskInfo_task_id(AgentLaunchTask_info(task)));
    struct pf_str user = AgentLaunchTask_user(task);
    struct pf_uuid launch;

    if (!ag_uuid_of(AgentLaunchTask_launch_uuid(task), &launch) || pf_id_problem(id)) {
        a->n_bad++;
        return;
    }
    if (ag_task_by_launch(a, AgentLaunchTask_launch_uuid(task))) {
        return; /* said twice */
    }
    struct task *twin = ag_task_by_name(a, fw_id, id);
    const struct refusal *r =
        ag_launch_refusal(a, task, twin && !ag_run_is_ended(&twin->run) ? twin : NULL);
    struct task *t = ag_task_create(a, launch);

    ag_run_set_name(&t->run, fw_id, id);
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
    if (r) {
        launch_refuse(a, t, task, r);
    } else {
        launch_accept(a, t, task);
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
    for (uint32_t i = 0; i < AgentLaunch_tasks__len(launch); i++) {
        /* A refused task without anyone to tell leaves at once, and could take the framework. */
        fw = ag_framework_need(a, fw_id);
        launch_one(a, fw, AgentLaunch_tasks__at(launch, i));
    }
}
