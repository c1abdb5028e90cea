/* SPDX-License-Identifier: Apache-2.0 */
/* How a task ends, and what is said of it. The rows of the end come first; then the master is told,
 * the launcher may forget it, and readers of its output reach the end. */
#include "agent/core/calls_internal.h"
#include "agent/core/checks_internal.h"
#include "agent/core/executors_internal.h"
#include "agent/core/limits_internal.h"

#include <errno.h>

void ag_task_end(struct pf_agent *a, struct task *t, const struct ending *e, const char *why)
{
    bool launcher_knows = !ag_task_is_hosted(t) && (t->run.phase == START_SENT || t->run.pid > 0);

    ag_run_move(a, &t->run, RunState_ENDED, why);
    t->final_state = (int8_t)e->state;
    t->run.finished_ms = e->at_wall_ms > 0 ? e->at_wall_ms : a->wall_ms;
    t->run.kill_at = t->complete_at = t->cut_at = AGENT_NEVER;
    ag_checks_stop(a, t);
    ag_run_drop_info(&t->run);
    ag_task_uncount(a, t);
    if (t->run.kill_reason == KILL_TEARDOWN) {
        ag_updates_drop(a, t);
        ag_row_put_task(a, t);
    } else {
        ag_update_add(a, t, e->state, e);
    }
    ag_sessions_task_ended(a, &t->run);
    ag_run_act_ended(a, &t->run, launcher_knows);
    ag_run_rearm(a, &t->run);
    if (t->executor) {
        ag_executor_task_ended(a, t);
    }
    if (TAILQ_EMPTY(&t->updates)) {
        ag_task_retire(a, t);
    }
}

/* State, reason and text of an end that the kill of the task explains. */
static void explain_kill(struct pf_agent *a, struct run *r, struct ending *e)
{
    struct pf_arena *arena = pf_turn_arena(a->turn);
    const struct task *t = r->kind == RUN_TASK ? ag_run_task(r) : NULL;

    switch ((enum kill_reason)r->kill_reason) {
    case KILL_NONE:
    case KILL_NOT_SUBSCRIBED:
    case KILL_NOT_RESUBSCRIBED: break;
    case KILL_REQUEST:
    case KILL_GROUP:
    case KILL_HEALTH:
    case KILL_TEARDOWN: e->state = TaskState_TASK_KILLED; break;
    case KILL_LEAVING:
        e->state = TaskState_TASK_KILLED;
        e->text =
            pf_arena_printf(arena, "The agent leaves the cluster (%.*s)", PF_STR_ARG(e->text));
        break;
    case KILL_DRAINING:
        e->state = TaskState_TASK_KILLED;
        e->text = pf_arena_printf(arena, "The agent is drained (%.*s)", PF_STR_ARG(e->text));
        e->has_reason = true;
        e->reason = TaskStatus_Reason_REASON_AGENT_DRAINING;
        break;
    case KILL_CLEANUP:
        e->state = TaskState_TASK_KILLED;
        e->text = PF_STR("The agent was started with --recover=cleanup");
        break;
    case KILL_STOPPED:
    case KILL_REPLACED:
        e->state = TaskState_TASK_KILLED;
        if (t) {
            e->text = ag_partition_text(a, t);
        }
        break;
    case KILL_COMPLETION:
        e->state = TaskState_TASK_FAILED;
        e->has_reason = true;
        e->reason = TaskStatus_Reason_REASON_MAX_COMPLETION_TIME_REACHED;
        if (t) {
            e->text = pf_arena_printf(arena, "%s (it ran longer than %s)", e->text.at,
                                      ag_time_text(arena, t->completion_ms).at);
        }
        break;
    }
}

/* Why it was killed comes first. */
static void explain_text(struct pf_agent *a, const struct run *r, struct ending *e)
{
    const char *why = r->kind == RUN_TASK ? ag_run_task_const(r)->kill_text : NULL;

    if (why) {
        e->text = pf_arena_printf(pf_turn_arena(a->turn), "%s (%.*s)", why, PF_STR_ARG(e->text));
    }
}

/* The kernel killed processes in its container for their memory: if the run failed, that is why.
 * Begins as Mesos says it. */
static void explain_memory(struct pf_agent *a, struct run *r, struct ending *e)
{
    struct pf_arena *arena = pf_turn_arena(a->turn);
    uint64_t limit = ag_run_limits(a, r).memory_bytes;
    uint64_t peak = (r->memory_peak_bytes + (UINT64_C(1) << 19)) >> 20 << 20; /* whole MB */
    struct pf_str victims = pf_arena_printf(
        arena, r->oom_kills == 1 ? "%u process was killed" : "%u processes were killed",
        (unsigned)r->oom_kills);

    if (e->state == TaskState_TASK_FAILED && r->kill_reason == KILL_NONE && limit > 0) {
        e->has_reason = true;
        e->reason = TaskStatus_Reason_REASON_CONTAINER_LIMITATION_MEMORY;
        e->by_agent = true;
        e->memory_limit_bytes = limit;
        e->text = pf_arena_printf(
            arena, "Memory limit exceeded: Requested: %s Maximum Used: %s (%.*s; %.*s)",
            ag_bytes_text(arena, limit).at, ag_bytes_text(arena, peak).at, PF_STR_ARG(victims),
            PF_STR_ARG(e->text));
    } else {
        e->text = pf_arena_printf(arena, "%.*s (%.*s for lack of memory: limit %s, peak %s)",
                                  PF_STR_ARG(e->text), PF_STR_ARG(victims),
                                  ag_bytes_text(arena, limit).at, ag_bytes_text(arena, peak).at);
    }
}

/* What else is to be known of a run that has ended. */
static void explain_end(struct pf_agent *a, struct run *r, struct ending *e)
{
    explain_kill(a, r, e);
    explain_text(a, r, e);
    if (r->oom_kills > 0) {
        explain_memory(a, r, e);
    }
    if (r->kind == RUN_TASK && ag_run_task(r)->lost_sandbox) {
        e->text =
            pf_arena_printf(pf_turn_arena(a->turn), "%.*s (its sandbox was removed while it ran)",
                            PF_STR_ARG(e->text));
    }
}

/* `wait_status` as wait(2) gives it on Linux: low 7 bits the signal, bit 7 a core dump, then the
 * exit status. */
void ag_run_end_status(struct pf_agent *a, struct run *r, int32_t wait_status, int64_t at_wall_ms)
{
    struct pf_arena *arena = pf_turn_arena(a->turn);
    struct ending e = {.at_wall_ms = at_wall_ms};
    int signal = wait_status & 0x7f;
    const char *noun = r->kind == RUN_TASK ? "Command" : "Executor";

    r->has_wait_status = true;
    r->wait_status = wait_status;
    if (signal != 0) {
        e.state = TaskState_TASK_FAILED;
        e.has_signal = true;
        e.signal = signal;
        e.text = pf_arena_printf(arena, "%s terminated with signal %s%s", noun,
                                 ag_signal_text(arena, signal).at,
                                 (wait_status & 0x80) != 0 ? " (core dumped)" : "");
    } else {
        e.has_exit = true;
        e.exit_status = (wait_status >> 8) & 0xff;
        e.state = e.exit_status == 0 ? TaskState_TASK_FINISHED : TaskState_TASK_FAILED;
        e.text = pf_arena_printf(arena, "%s exited with status %d", noun, (int)e.exit_status);
    }
    explain_end(a, r, &e);
    ag_run_end(a, r, &e, "exited");
}

/* Nobody saw how it ended. */
void ag_run_end_unknown(struct pf_agent *a, struct run *r, const char *text)
{
    struct ending e = {
        .state = TaskState_TASK_FAILED,
        .has_reason = true,
        .reason = TaskStatus_Reason_REASON_EXECUTOR_TERMINATED,
        .by_agent = true,
        .text = pf_str(text),
    };

    explain_end(a, r, &e);
    ag_run_end(a, r, &e, "unknown");
}

void ag_run_end_killed_early(struct pf_agent *a, struct run *r)
{
    struct ending e = {
        .state = TaskState_TASK_KILLED,
        .has_reason = true,
        .reason = TaskStatus_Reason_REASON_TASK_KILLED_DURING_LAUNCH,
        .by_agent = true,
        .text = PF_STR("Killed before it was started"),
    };

    if (r->kill_reason == KILL_DRAINING) {
        e.reason = TaskStatus_Reason_REASON_AGENT_DRAINING;
    }
    explain_text(a, r, &e);
    ag_run_end(a, r, &e, "killed");
}

static struct pf_str command_name(const struct run *r)
{
    struct CommandInfo c = ag_run_command(r);

    if (CommandInfo__has_script(c)) {
        return PF_STR("./script");
    }
    return CommandInfo_shell(c) ? PF_STR("/bin/sh") : CommandInfo_value(c);
}

/* It never ran: `error` at `stage` of the sandbox or of the start. A command that cannot be found
 * or executed has the exit status that a shell would give. */
void ag_run_end_unborn(struct pf_agent *a, struct run *r, int error, struct pf_str stage)
{
    struct pf_arena *arena = pf_turn_arena(a->turn);
    const char *text = ag_errno_text(arena, error).at;
    struct ending e = {
        .state = TaskState_TASK_FAILED,
        .has_reason = true,
        .reason = TaskStatus_Reason_REASON_CONTAINER_LAUNCH_FAILED,
        .by_agent = true,
    };

    if (pf_str_is(stage, "exec")) {
        e.has_exit = true;
        e.exit_status = error == ENOENT || error == ENOTDIR ? 127 : 126;
        e.text =
            pf_arena_printf(arena, "Cannot execute %.*s: %s", PF_STR_ARG(command_name(r)), text);
    } else if (pf_str_is(stage, "user")) {
        e.text = pf_arena_printf(arena, "User %s does not exist on the agent (%s)",
                                 r->user ? r->user : "", text);
    } else if (pf_str_is(stage, "setuid") || pf_str_is(stage, "setgid") ||
               pf_str_is(stage, "groups")) {
        e.text = pf_arena_printf(arena, "Cannot become user %s: %s", r->user ? r->user : "", text);
    } else if (pf_str_is(stage, "chdir")) {
        struct pf_str cwd = CommandInfo_cwd(ag_run_command(r));
        e.text = pf_arena_printf(arena, "Cannot enter the working directory %.*s: %s",
                                 PF_STR_ARG(cwd.len > 0 ? cwd : PF_STR("(the sandbox)")), text);
    } else if (pf_str_is(stage, "mkdir") || pf_str_is(stage, "chown") ||
               pf_str_is(stage, "script")) {
        e.text =
            pf_arena_printf(arena, "Cannot make the sandbox (%.*s): %s", PF_STR_ARG(stage), text);
    } else {
        e.text =
            pf_arena_printf(arena, "Cannot start the command (%.*s): %s", PF_STR_ARG(stage), text);
    }
    if (r->kill_reason != KILL_NONE) {
        e.state = TaskState_TASK_KILLED;
    }
    ag_run_end(a, r, &e, "not started");
}
