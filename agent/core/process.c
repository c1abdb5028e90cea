/* SPDX-License-Identifier: Apache-2.0 */
/* What the launcher tells: its list after each connect, starts, failures and ends. */
#include "agent/core/calls_internal.h"
#include "agent/core/checks_internal.h"
#include "agent/core/executors_internal.h"

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
    if (ev->isolation && strcmp(ev->isolation, a->opt.isolation) != 0) {
        pf_free((void *)(uintptr_t)a->opt.isolation);
        a->opt.isolation = pf_strdup(ev->isolation); /* told by the next registration */
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
static void run_runs(struct pf_agent *a, struct run *r, struct LauncherProcess p)
{
    int64_t at_ms = LauncherProcess_started_ms(p);

    if (r->sm.state == RunState_ACCEPTED) {
        ag_run_move(a, r, RunState_STARTING, "found running");
    }
    ag_run_move(a, r, RunState_RUNNING, "started");
    r->pid = LauncherProcess_pid(p);
    r->start_time = LauncherProcess_start_time(p);
    r->started_ms = at_ms > 0 ? at_ms : a->wall_ms;
    r->phase = START_SENT;
    if (r->kind == RUN_TASK) {
        ag_task_runs(a, ag_run_task(r));
    } else {
        ag_executor_runs(a, ag_run_executor(r));
    }
}

static void run_is_running(struct pf_agent *a, struct run *r, struct LauncherProcess p)
{
    switch ((enum RunState)r->sm.state) {
    case RunState_ACCEPTED:
    case RunState_STARTING: run_runs(a, r, p); break;
    case RunState_RUNNING:
    case RunState_KILLING:
        if (r->pid != LauncherProcess_pid(p) || r->start_time != LauncherProcess_start_time(p)) {
            r->pid = LauncherProcess_pid(p);
            r->start_time = LauncherProcess_start_time(p);
            ag_run_put_row(a, r);
        }
        if (r->kind == RUN_TASK && r->kill_reason == KILL_NONE) {
            ag_checks_begin(a, ag_run_task(r), true);
        }
        break;
    case RunState_NONE:
    case RunState_ENDED: break;
    }
    if (r->sm.state == RunState_RUNNING && r->kill_reason != KILL_NONE) {
        ag_run_move(a, r, RunState_KILLING, "kill was asked before");
        ag_run_put_row(a, r);
    }
    if (r->sm.state == RunState_KILLING) {
        ag_run_kill_advance(a, r);
    }
    ag_run_rearm(a, r);
}

static void run_has_exited(struct pf_agent *a, struct run *r, struct LauncherProcess p)
{
    if (r->sm.state == RunState_ACCEPTED || r->sm.state == RunState_STARTING) {
        run_runs(a, r, p);
    }
    uint64_t oom_kills = LauncherProcess_oom_kills(p);

    r->oom_kills = oom_kills < UINT8_MAX ? (uint8_t)oom_kills : UINT8_MAX;
    r->memory_peak_bytes = LauncherProcess_memory_peak_bytes(p);
    if (LauncherProcess_wait_status(p) < 0) {
        ag_run_end_unknown(a, r, "The launcher died while it ran, exit status unknown");
    } else {
        ag_run_end_status(a, r, LauncherProcess_wait_status(p), LauncherProcess_ended_ms(p));
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
    struct run *r = ag_run_by_launch(a, LauncherProcess_uuid(p));

    if (!r && (ag_check_on_process(a, launch, p) || ag_fetch_on_process(a, launch, ev) ||
               ag_session_on_process(a, p))) {
        return;
    }
    if (!r || ag_run_is_ended(r)) {
        act_on_stray(a, launch, state);
        return;
    }
    r->seen = a->list_generation;
    switch (state) {
    case LauncherState_STARTING:
        r->phase = START_SENT; /* it has it: what comes of it will be told */
        break;
    case LauncherState_RUNNING: run_is_running(a, r, p); break;
    case LauncherState_EXITED: run_has_exited(a, r, p); break;
    case LauncherState_FAILED:
        if (r->sm.state == RunState_RUNNING || r->sm.state == RunState_KILLING) {
            a->n_bad++; /* it said that it ran */
            ag_run_end_unknown(a, r, "The launcher lost the process, exit status unknown");
        } else {
            r->phase = START_SENT;
            ag_run_end_unborn(a, r, LauncherProcess_error(p), LauncherProcess_stage(p));
        }
        break;
    case LauncherState_UNKNOWN: break;
    }
}

/* A start that this launcher does not list: it never happened if this launcher was the one to do
 * it, or if it was not asked yet. */
static void resolve_start(struct pf_agent *a, struct run *r)
{
    bool recovered = r->phase == START_NONE;
    bool is_fetching = r->phase == START_FETCH || (recovered && ag_fetch_is_needed(r));
    bool is_same = recovered ? r->launcher && a->launcher && strcmp(r->launcher, a->launcher) == 0
                             : r->start_generation == a->launcher_generation;

    if (is_fetching && r->kill_reason != KILL_NONE) {
        ag_run_end_killed_early(a, r);
    } else if (is_fetching) { /* whichever launcher it was: it never began */
        ag_run_begin(a, r);
    } else if (r->phase == START_SENT || recovered) {
        if (!is_same) {
            ag_run_end_unknown(a, r,
                               "The launcher died while it started the task, exit status unknown");
        } else if (r->kill_reason != KILL_NONE) {
            ag_run_end_killed_early(a, r);
        } else if (recovered) {
            ag_run_begin(a, r);
        } else {
            ag_run_start(a, r);
        }
    } else if (r->phase == START_READY) {
        ag_run_prepared(a, r);
    }
}

/* What the complete list says of a run. */
static void run_resolve(struct pf_agent *a, struct run *r)
{
    if (ag_run_is_ended(r)) {
        return;
    }
    ag_run_rearm(a, r);
    if (r->seen == a->list_generation) {
        return;
    }
    switch ((enum RunState)r->sm.state) {
    case RunState_ACCEPTED: ag_run_begin(a, r); break;
    case RunState_STARTING: resolve_start(a, r); break;
    case RunState_RUNNING:
    case RunState_KILLING:
        ag_run_end_unknown(a, r, "The launcher does not know it, exit status unknown");
        break;
    case RunState_NONE:
    case RunState_ENDED: break;
    }
}

static void resolve_executors(struct pf_agent *a)
{
    struct executor *x = TAILQ_FIRST(&a->executors), *next = NULL;

    for (; x; x = next) {
        next = TAILQ_NEXT(x, link);
        if (!x->is_default) {
            run_resolve(a, &x->run);
        }
    }
}

/* One by one from a list of their names: an end may end others of its group. */
static void resolve_tasks(struct pf_agent *a)
{
    struct pf_uuid *launches =
        pf_arena_alloc(pf_turn_arena(a->turn), (a->n_live + 1) * sizeof *launches);
    struct task *t = NULL;
    uint32_t n = 0;

    TAILQ_FOREACH(t, &a->live, link)
    {
        if (!ag_task_is_hosted(t)) {
            launches[n++] = t->run.launch;
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        t = ag_task_by_launch(a, (struct pf_bytes){launches[i].b, sizeof launches[i].b});
        if (t) {
            ag_checks_listed(a, t);
            run_resolve(a, &t->run);
        }
    }
}

void ag_on_processes_end(struct pf_agent *a)
{
    if (!a->launcher_up || !a->listing) {
        return;
    }
    a->listing = false;
    resolve_executors(a);
    resolve_tasks(a);
    ag_sessions_list_end(a);
}
