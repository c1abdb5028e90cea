/* SPDX-License-Identifier: Apache-2.0 */
/* Kills: asked for by a KILL, by the end of a framework, or by a task's own time limit. First a
 * signal to its processes, then SIGKILL when the grace has passed. A later kill only shortens the
 * grace. What was asked is stored, so that a restarted agent goes on with it. */
#include "agent/core/calls_internal.h"
#include "agent/core/checks_internal.h"
#include "agent/core/executors_internal.h"

static void act_signal(struct pf_agent *a, const struct run *r, int signal)
{
    struct pf_agent_act_signal *act = pf_arena_zalloc(pf_turn_arena(a->turn), sizeof *act);

    act->launch = r->launch;
    act->signal = signal;
    pf_turn_act(a->turn, PF_AGENT_ACT_SIGNAL, act);
}

/* Sends what is due. Before the launcher has listed a run it could not be told. */
void ag_run_kill_advance(struct pf_agent *a, struct run *r)
{
    PF_ASSERT(r->sm.state == RunState_KILLING);
    if (!a->launcher_up || (a->listing && r->seen != a->list_generation)) {
        return;
    }
    if (a->now_ms >= r->kill_at) {
        act_signal(a, r, AGENT_SIGKILL);
        r->kill_at = a->now_ms + AGENT_REKILL_MS;
        r->signalled = a->list_generation;
    } else if (r->signalled != a->list_generation) {
        if (r->kill_signal != 0) { /* 0: an executor, which was told SHUTDOWN */
            act_signal(a, r, r->kill_signal);
        }
        r->signalled = a->list_generation;
    }
    ag_run_rearm(a, r);
}

/* The wish, to be stored. True: it changed something. */
bool ag_run_record_kill(struct pf_agent *a, struct run *r, enum kill_reason reason,
                        int64_t grace_ms, int signal)
{
    bool is_first = r->kill_reason == KILL_NONE;
    bool is_sooner = is_first || a->wall_ms + grace_ms < r->kill_wall_ms;

    if (is_first) {
        r->kill_signal = (uint8_t)signal;
    }
    if (is_first || reason == KILL_TEARDOWN) {
        r->kill_reason = (uint8_t)reason;
    }
    if (is_sooner) {
        r->kill_wall_ms = a->wall_ms + grace_ms;
        r->kill_at = a->now_ms + grace_ms;
    }
    return is_sooner || reason == KILL_TEARDOWN;
}

/* Whatever comes of its process, it was killed. */
bool ag_kill_is_wish(enum kill_reason reason)
{
    switch (reason) {
    case KILL_REQUEST:
    case KILL_TEARDOWN:
    case KILL_HEALTH:
    case KILL_DRAINING:
    case KILL_LEAVING:
    case KILL_CLEANUP:
    case KILL_STOPPED:
    case KILL_REPLACED: return true;
    case KILL_NONE:
    case KILL_COMPLETION:
    case KILL_NOT_SUBSCRIBED:
    case KILL_NOT_RESUBSCRIBED:
    case KILL_GROUP: break;
    }
    return false;
}

/* As TASK_KILLING, to frameworks that want to hear it. */
bool ag_kill_is_told(enum kill_reason reason)
{
    return ag_kill_is_wish(reason) && reason != KILL_TEARDOWN && reason != KILL_CLEANUP;
}

bool ag_run_may_run(const struct run *r)
{
    return r->phase == START_SENT || (r->phase == START_NONE && r->sm.state == RunState_STARTING);
}

/* Its executor ends it, and is told again when it subscribes. */
static void kill_hosted(struct pf_agent *a, struct task *t, enum kill_reason reason)
{
    t->run.kill_at = AGENT_NEVER;
    switch ((enum RunState)t->run.sm.state) {
    case RunState_ACCEPTED: ag_run_end_killed_early(a, &t->run); return;
    case RunState_RUNNING: ag_run_move(a, &t->run, RunState_KILLING, "kill"); break;
    case RunState_STARTING:
    case RunState_KILLING: break;
    case RunState_NONE:
    case RunState_ENDED: return;
    }
    ag_row_put_task(a, t);
    if (reason != KILL_TEARDOWN) { /* then all of the executor ends */
        ag_executor_say_kill(a, t);
    }
}

void ag_task_kill(struct pf_agent *a, struct task *t, enum kill_reason reason, int64_t grace_ms,
                  int signal)
{
    bool is_first = t->run.kill_reason == KILL_NONE;

    if (ag_run_is_ended(&t->run)) {
        return;
    }
    t->complete_at = AGENT_NEVER;
    ag_checks_stop(a, t);
    if (!ag_run_record_kill(a, &t->run, reason, grace_ms, signal)) {
        return;
    }
    if (ag_task_is_hosted(t)) {
        kill_hosted(a, t, reason);
        return;
    }
    switch ((enum RunState)t->run.sm.state) {
    case RunState_ACCEPTED:
    case RunState_STARTING:
        if (!ag_run_may_run(&t->run) && t->run.phase != START_FETCH) {
            ag_run_end_killed_early(a, &t->run);
            return;
        }
        ag_row_put_task(a, t);
        if (t->run.phase == START_FETCH) {
            ag_fetch_kill(a, &t->run); /* its end is awaited */
        }
        break;
    case RunState_RUNNING:
        ag_run_move(a, &t->run, RunState_KILLING, "kill");
        if (is_first && ag_kill_is_told(reason) && t->run.fw->wants_killing) {
            struct ending why = {.has_reason = reason == KILL_DRAINING,
                                 .reason = TaskStatus_Reason_REASON_AGENT_DRAINING};
            ag_update_add(a, t, TaskState_TASK_KILLING, &why);
        } else {
            ag_row_put_task(a, t);
        }
        ag_run_kill_advance(a, &t->run);
        break;
    case RunState_KILLING:
        ag_row_put_task(a, t);
        ag_run_kill_advance(a, &t->run);
        break;
    case RunState_NONE:
    case RunState_ENDED: break;
    }
    ag_run_rearm(a, &t->run);
}

static int first_signal(struct AgentKill kill)
{
    int signal = AgentKill__has_signal(kill) ? AgentKill_signal(kill) : AGENT_SIGTERM;

    return signal >= 1 && signal <= 64 ? signal : AGENT_SIGTERM;
}

static struct task *task_to_kill(struct pf_agent *a, struct AgentKill kill)
{
    struct pf_bytes launch = AgentKill_launch_uuid(kill);
    struct pf_str framework_id = AgentKill_framework_id(kill);
    struct task *t = NULL;

    if (launch.len == 0) {
        return ag_task_by_name(a, framework_id, AgentKill_task_id(kill));
    }
    t = ag_task_by_launch(a, launch);
    return t && pf_str_eq(framework_id, ag_run_framework_id(&t->run)) &&
                   pf_str_eq(AgentKill_task_id(kill), ag_run_id(&t->run))
               ? t
               : NULL;
}

void ag_on_kill(struct pf_agent *a, struct AgentKill kill)
{
    struct task *t = task_to_kill(a, kill);
    int signal = first_signal(kill);

    if (!t || t->in_history) {
        ag_updates_tell_gone(a, kill, t);
        return;
    }
    if (ag_run_is_ended(&t->run)) {
        ag_update_send_head(a, t); /* the answer is on its way */
        return;
    }
    bool drains = AgentKill__has_reason(kill) &&
                  AgentKill_reason(kill) == TaskStatus_Reason_REASON_AGENT_DRAINING;
    int64_t grace_ms = AgentKill__has_grace_ms(kill) ? AgentKill_grace_ms(kill) : t->grace_ms;

    if (drains && grace_ms > t->grace_ms) {
        grace_ms = t->grace_ms; /* a drain only shortens it */
    }
    if (grace_ms < 0 || signal == AGENT_SIGKILL) {
        grace_ms = 0;
    }
    ag_task_kill(a, t, drains ? KILL_DRAINING : KILL_REQUEST,
                 grace_ms < AGENT_GRACE_MAX_MS ? grace_ms : AGENT_GRACE_MAX_MS, signal);
}

static void teardown_tasks(struct pf_agent *a, const struct framework *fw)
{
    struct task *t = TAILQ_FIRST(&a->live), *next = NULL;

    for (; t; t = next) {
        next = TAILQ_NEXT(t, link);
        if (t->run.fw != fw) {
            continue;
        }
        ag_updates_drop(a, t);
        if (ag_run_is_ended(&t->run)) {
            ag_task_retire(a, t);
        } else {
            ag_task_kill(a, t, KILL_TEARDOWN, t->grace_ms, AGENT_SIGTERM);
        }
    }
}

static void teardown_executors(struct pf_agent *a, const struct framework *fw)
{
    struct executor *x = TAILQ_FIRST(&a->executors), *next = NULL;

    for (; x; x = next) {
        next = TAILQ_NEXT(x, link);
        if (x->run.fw == fw) {
            ag_executor_shutdown(a, x, KILL_TEARDOWN, -1);
        }
    }
}

/* The framework is gone: its tasks and executors end, and nobody is told. */
void ag_on_teardown(struct pf_agent *a, struct AgentTeardown teardown)
{
    struct framework *fw = pf_map_get_str(&a->frameworks, AgentTeardown_framework_id(teardown));

    if (!fw) {
        return;
    }
    fw->torn_down = true;
    if (fw->n_runs == 0) {
        ag_framework_free(a, fw);
        return;
    }
    ag_framework_hold(a, fw);
    teardown_tasks(a, fw);
    teardown_executors(a, fw);
    ag_framework_release(a, fw);
}
