/* SPDX-License-Identifier: Apache-2.0 */
/* Task groups under a default executor, which is the agent itself: their processes are started when
 * the sandboxes of all stand, and one that fails or is killed takes the others with it. */
#include "agent/core/calls_internal.h"
#include "agent/core/executors_internal.h"

#include "common/base/alloc.h"

static bool is_of_group(const struct task *t, struct pf_uuid group)
{
    return pf_uuid_eq(t->group, group);
}

static bool is_behind(const struct task *t)
{
    return t->run.sm.state == RunState_ACCEPTED ||
           (t->run.sm.state == RunState_STARTING && t->run.phase < START_READY);
}

/* No task of the group has still to be made ready. */
bool ag_group_is_ready(const struct task *t)
{
    const struct task *other = NULL;

    TAILQ_FOREACH(other, &t->executor->tasks, of_executor)
    {
        if (is_of_group(other, t->group) && is_behind(other)) {
            return false;
        }
    }
    return true;
}

void ag_group_start(struct pf_agent *a, struct task *t)
{
    struct task *other = NULL;

    TAILQ_FOREACH(other, &t->executor->tasks, of_executor)
    {
        if (is_of_group(other, t->group) && other->run.sm.state == RunState_STARTING &&
            other->run.phase == START_READY) {
            ag_run_start(a, &other->run);
        }
    }
}

static const char *fate(enum TaskState state)
{
    return state == TaskState_TASK_KILLED ? "was killed" : "failed";
}

void ag_group_member_ended(struct pf_agent *a, const struct task *t)
{
    struct pf_arena *arena = pf_turn_arena(a->turn);
    struct task *other = NULL;
    uint32_t n = 0;

    if (pf_uuid_is_nil(t->group) || t->final_state == TaskState_TASK_FINISHED ||
        t->run.kill_reason == KILL_GROUP || t->run.kill_reason == KILL_TEARDOWN) {
        return;
    }
    TAILQ_FOREACH(other, &t->executor->tasks, of_executor)
    {
        n += is_of_group(other, t->group);
    }
    struct pf_uuid *launches = pf_arena_alloc(arena, (n + 1) * sizeof *launches);
    struct pf_str text =
        pf_arena_printf(arena, "Killed because task %s of its group %s", ag_run_id(&t->run).at,
                        fate((enum TaskState)t->final_state));

    n = 0;
    TAILQ_FOREACH(other, &t->executor->tasks, of_executor)
    {
        if (is_of_group(other, t->group)) {
            launches[n++] = other->run.launch;
        }
    }
    for (uint32_t i = 0; i < n; i++) { /* each may end, and free what is forgotten */
        other = ag_task_by_launch(a, (struct pf_bytes){launches[i].b, sizeof launches[i].b});
        if (other && other->run.kill_reason == KILL_NONE) {
            other->kill_text = pf_strndup(text.at, text.len);
            ag_task_kill(a, other, KILL_GROUP, other->grace_ms, AGENT_SIGTERM);
        }
    }
}
