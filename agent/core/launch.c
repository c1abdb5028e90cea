/* SPDX-License-Identifier: Apache-2.0 */
/* Launches, up to the start: what is accepted is stored, then gets its sandbox, then is handed to
 * the launcher. While there is no launcher, accepted tasks wait. The row that is stored before the
 * sandbox names the launcher that is meant to start the task, so that after a crash its list tells
 * whether it did. */
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
        .task_id = TaskID__put(b, &(struct TaskID__args){.value = ag_task_id(t)}),
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
        ag_task_begin(a, t);
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
        ag_launch_refusal(a, task, twin && !ag_task_is_ended(twin) ? twin : NULL);
    struct task *t = ag_task_create(a, launch);

    ag_task_set_name(t, fw_id, id);
    ag_task_init_state(a, t, RunState_ACCEPTED, "launch");
    ag_task_index_name(a, t);
    if (user.len == 0 || memchr(user.at, '\0', user.len)) {
        user = pf_str(a->opt.default_user);
    }
    t->user = pf_strndup(user.at, user.len);
    t->accepted_ms = a->wall_ms;
    ag_framework_join(a, t, fw);
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
    if (fw->n_tasks > 0 && !fw->stored) {
        ag_row_put_framework(a, fw);
    }
    for (uint32_t i = 0; i < AgentLaunch_tasks__len(launch); i++) {
        /* A refused task without anyone to tell leaves at once, and could take the framework. */
        fw = ag_framework_need(a, fw_id);
        launch_one(a, fw, AgentLaunch_tasks__at(launch, i));
    }
}

/* The launcher is ready: the first step of the start, or the first again after a crash. */
void ag_task_begin(struct pf_agent *a, struct task *t)
{
    struct pf_agent_act_sandbox *act = pf_arena_zalloc(pf_turn_arena(a->turn), sizeof *act);
    struct TaskInfo info = TaskInfo__from_bytes((struct pf_bytes){t->info, t->info_len});

    if (t->kill_reason != KILL_NONE) {
        ag_task_end_killed_early(a, t);
        return;
    }
    if (t->run.state == RunState_ACCEPTED) {
        ag_task_move(a, t, RunState_STARTING, "launcher ready");
    }
    t->start_generation = a->launcher_generation;
    t->phase = START_SANDBOX;
    ag_row_put_task(a, t);
    act->launch = t->launch;
    act->path = ag_task_sandbox(a, t);
    act->user = pf_arena_strdup(pf_turn_arena(a->turn), pf_str(t->user));
    act->script = CommandInfo_script(TaskInfo_command(info));
    if (act->script.at) {
        act->script.at = pf_arena_memdup(pf_turn_arena(a->turn), act->script.at, act->script.len);
    }
    pf_turn_act(a->turn, PF_AGENT_ACT_SANDBOX, act);
}

void ag_on_sandbox(struct pf_agent *a, const struct pf_agent_event *ev)
{
    struct pf_uuid launch = ev->sandbox.launch;
    struct task *t = ag_task_by_launch(a, (struct pf_bytes){launch.b, sizeof launch.b});

    if (!t || t->run.state != RunState_STARTING || t->phase != START_SANDBOX) {
        return; /* killed meanwhile, or made twice */
    }
    if (ev->sandbox.error != 0) {
        ag_task_end_unborn(a, t, ev->sandbox.error, pf_str(ev->sandbox.stage));
        return;
    }
    t->phase = START_READY;
    if (ag_launcher_is_ready(a)) {
        ag_task_start(a, t);
    }
}

/* Its sandbox stands. */
void ag_task_start(struct pf_agent *a, struct task *t)
{
    if (t->start_generation != a->launcher_generation) {
        t->start_generation = a->launcher_generation;
        ag_row_put_task(a, t);
    }
    t->phase = START_SENT;
    pf_turn_act(a->turn, PF_AGENT_ACT_START, ag_command_start(a, t));
}
