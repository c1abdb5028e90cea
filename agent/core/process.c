/* SPDX-License-Identifier: Apache-2.0 */
/* What the launcher tells: its list after each connect, starts, failures and ends. */
#include "agent/core/calls_internal.h"

#include "common/base/alloc.h"

bool ag_launcher_is_ready(const struct pf_agent *a)
{
    return a->launcher_up && !a->listing;
}

void ag_on_launcher_up(struct pf_agent *a, const struct pf_agent_event *ev)
{
    struct LauncherHello hello = LauncherHello__root(ev->launcher);
    struct pf_str instance = LauncherHello_instance(hello);

    if (!a->launcher || instance.len == 0 || !pf_str_is(instance, a->launcher)) {
        pf_free(a->launcher);
        a->launcher = instance.len > 0 ? pf_strndup(instance.at, instance.len) : NULL;
        a->launcher_generation++;
    }
    a->launcher_pid = LauncherHello_pid(hello);
    a->launcher_up = true;
    a->listing = true;
    a->list_generation++;
}

void ag_on_launcher_down(struct pf_agent *a)
{
    a->launcher_up = false;
    a->listing = false;
}

static void act_on_stray(struct pf_agent *a, struct pf_uuid launch, enum LauncherState state)
{
    struct pf_arena *arena = pf_turn_arena(a->turn);

    if (state == LauncherState_EXITED || state == LauncherState_FAILED) {
        pf_turn_act(a->turn, PF_AGENT_ACT_FORGET, pf_arena_memdup(arena, &launch, sizeof launch));
    } else if (state == LauncherState_RUNNING) {
        struct pf_agent_act_signal *act = pf_arena_zalloc(arena, sizeof *act);
        act->launch = launch;
        act->signal = AGENT_SIGKILL;
        pf_turn_act(a->turn, PF_AGENT_ACT_SIGNAL, act);
    }
}

/* The first word that it runs. */
static void task_runs(struct pf_agent *a, struct task *t, struct LauncherProcess p)
{
    struct ending none = {.at_wall_ms = LauncherProcess_started_ms(p)};

    if (t->run.state == RunState_ACCEPTED) {
        ag_task_move(a, t, RunState_STARTING, "found running");
    }
    ag_task_move(a, t, RunState_RUNNING, "started");
    t->pid = LauncherProcess_pid(p);
    t->start_time = LauncherProcess_start_time(p);
    t->started_ms = none.at_wall_ms > 0 ? none.at_wall_ms : a->wall_ms;
    t->phase = START_SENT;
    ag_task_drop_info(t);
    ag_row_put_task(a, t);
    if (t->kill_reason == KILL_TEARDOWN) {
        return;
    }
    ag_update_add(a, t, TaskState_TASK_RUNNING, &none);
    if (t->completion_ms != AGENT_NEVER && t->kill_reason == KILL_NONE) {
        int64_t ran_ms = a->wall_ms - t->started_ms;
        t->complete_at = a->now_ms + t->completion_ms - (ran_ms > 0 ? ran_ms : 0);
    }
}

static void task_is_running(struct pf_agent *a, struct task *t, struct LauncherProcess p)
{
    switch ((enum RunState)t->run.state) {
    case RunState_ACCEPTED:
    case RunState_STARTING: task_runs(a, t, p); break;
    case RunState_RUNNING:
    case RunState_KILLING:
        if (t->pid != LauncherProcess_pid(p) || t->start_time != LauncherProcess_start_time(p)) {
            t->pid = LauncherProcess_pid(p);
            t->start_time = LauncherProcess_start_time(p);
            ag_row_put_task(a, t);
        }
        break;
    case RunState_NONE:
    case RunState_ENDED: break;
    }
    if (t->run.state == RunState_RUNNING && t->kill_reason != KILL_NONE) {
        ag_task_move(a, t, RunState_KILLING, "kill was asked before");
        ag_row_put_task(a, t);
    }
    if (t->run.state == RunState_KILLING) {
        ag_task_kill_advance(a, t);
    }
    ag_task_rearm(a, t);
}

static void task_has_exited(struct pf_agent *a, struct task *t, struct LauncherProcess p)
{
    if (t->run.state == RunState_ACCEPTED || t->run.state == RunState_STARTING) {
        task_runs(a, t, p);
    }
    if (LauncherProcess_wait_status(p) < 0) {
        ag_task_end_unknown(a, t, "The launcher died while it ran, exit status unknown");
    } else {
        ag_task_end_status(a, t, LauncherProcess_wait_status(p), LauncherProcess_ended_ms(p));
    }
}

void ag_on_process(struct pf_agent *a, const struct pf_agent_event *ev)
{
    struct LauncherProcess p = LauncherProcess__root(ev->process);
    enum LauncherState state = LauncherProcess_state(p);
    struct pf_uuid launch;

    if (!ag_uuid_of(LauncherProcess_uuid(p), &launch)) {
        a->n_bad++;
        return;
    }
    struct task *t = ag_task_by_launch(a, LauncherProcess_uuid(p));

    if (!t || ag_task_is_ended(t)) {
        act_on_stray(a, launch, state);
        return;
    }
    t->seen = a->list_generation;
    switch (state) {
    case LauncherState_STARTING:
        t->phase = START_SENT; /* it has it: what comes of it will be told */
        break;
    case LauncherState_RUNNING: task_is_running(a, t, p); break;
    case LauncherState_EXITED: task_has_exited(a, t, p); break;
    case LauncherState_FAILED:
        if (t->run.state == RunState_RUNNING || t->run.state == RunState_KILLING) {
            a->n_bad++; /* it said that it ran */
            ag_task_end_unknown(a, t, "The launcher lost the process, exit status unknown");
        } else {
            t->phase = START_SENT;
            ag_task_end_unborn(a, t, LauncherProcess_error(p), LauncherProcess_stage(p));
        }
        break;
    case LauncherState_UNKNOWN: break;
    }
}

/* A start that this launcher does not list: it never happened if this launcher was the one to do
 * it, or if it was not asked yet. */
static void resolve_start(struct pf_agent *a, struct task *t)
{
    bool recovered = t->phase == START_NONE;
    bool is_same = recovered ? t->launcher && a->launcher && strcmp(t->launcher, a->launcher) == 0
                             : t->start_generation == a->launcher_generation;

    if (t->phase == START_SENT || recovered) {
        if (!is_same) {
            ag_task_end_unknown(a, t,
                                "The launcher died while it started the task, exit status unknown");
        } else if (t->kill_reason != KILL_NONE) {
            ag_task_end_killed_early(a, t);
        } else if (recovered) {
            ag_task_begin(a, t);
        } else {
            ag_task_start(a, t);
        }
    } else if (t->phase == START_READY) {
        ag_task_start(a, t);
    }
}

void ag_on_processes_end(struct pf_agent *a)
{
    struct task *t = TAILQ_FIRST(&a->live), *next = NULL;

    if (!a->launcher_up || !a->listing) {
        return;
    }
    a->listing = false;
    for (; t; t = next) {
        next = TAILQ_NEXT(t, link);
        if (ag_task_is_ended(t)) {
            continue;
        }
        ag_task_rearm(a, t);
        if (t->seen == a->list_generation) {
            continue;
        }
        switch ((enum RunState)t->run.state) {
        case RunState_ACCEPTED: ag_task_begin(a, t); break;
        case RunState_STARTING: resolve_start(a, t); break;
        case RunState_RUNNING:
        case RunState_KILLING:
            ag_task_end_unknown(a, t, "The launcher does not know it, exit status unknown");
            break;
        case RunState_NONE:
        case RunState_ENDED: break;
        }
    }
}
