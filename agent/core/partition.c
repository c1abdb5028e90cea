/* SPDX-License-Identifier: Apache-2.0 */
/* While no leader knows this agent: tasks whose partition policy says so are ended by it alone,
 * those to be STOPped after their own time, those to be REPLACEd when the master has given them up.
 * The time counts from the loss of the leader, by the wall clock, over restarts too. It is stored
 * only where a task cares. A start after a crash does not know when the leader was lost: it counts
 * from then. */
#include "agent/core/calls_internal.h"

/* After how long without a leader the task ends; AGENT_NEVER: it goes on. */
static int64_t limit_ms(const struct pf_agent *a, const struct task *t)
{
    struct PartitionPolicy p = Task_partition_policy(ag_task_summary(t));
    int64_t ms = AGENT_NEVER;

    if (PartitionPolicy_action(p) == PartitionAction_STOP) {
        ms = PartitionPolicy_after_ms(p);
    } else if (PartitionPolicy_action(p) == PartitionAction_REPLACE) {
        ms = a->orders.unreachable_ms > 0 ? a->orders.unreachable_ms : AGENT_NEVER;
    }
    return ms < 0 ? 0 : ms == AGENT_NEVER || ms < AGENT_GRACE_MAX_MS ? ms : AGENT_GRACE_MAX_MS;
}

/* Counts from orders.cut_off_ms. True: a task cares. */
static bool arm_all(struct pf_agent *a)
{
    struct task *t = NULL;
    bool any = false;

    TAILQ_FOREACH(t, &a->live, link)
    {
        int64_t ms = ag_run_is_ended(&t->run) ? AGENT_NEVER : limit_ms(a, t);
        if (ms == AGENT_NEVER) {
            continue;
        }
        int64_t left_ms = a->orders.cut_off_ms + ms - a->wall_ms;

        left_ms = left_ms < 0 ? 0 : left_ms > ms ? ms : left_ms; /* the clock was set back */
        t->cut_at = a->now_ms + left_ms;
        ag_run_rearm(a, &t->run);
        any = true;
    }
    return any;
}

static void store(struct pf_agent *a, bool is_cut)
{
    a->orders.is_cut_stored = is_cut;
    ag_row_put_identity(a);
}

void ag_partition_begin(struct pf_agent *a)
{
    a->orders.cut_off_ms = a->wall_ms;
    if (arm_all(a)) {
        store(a, true);
    }
}

void ag_partition_over(struct pf_agent *a, int64_t unreachable_ms)
{
    struct task *t = NULL;
    bool changed = unreachable_ms > 0 && unreachable_ms != a->orders.unreachable_ms;

    a->orders.cut_off_ms = 0;
    TAILQ_FOREACH(t, &a->live, link)
    {
        if (t->cut_at != AGENT_NEVER) {
            t->cut_at = AGENT_NEVER;
            ag_run_rearm(a, &t->run);
        }
    }
    if (changed) {
        a->orders.unreachable_ms = unreachable_ms;
    }
    if (changed || a->orders.is_cut_stored) {
        store(a, false);
    }
}

void ag_partition_boot(struct pf_agent *a)
{
    bool was_stored = a->orders.is_cut_stored;

    if (!was_stored || a->orders.cut_off_ms > a->wall_ms) {
        a->orders.cut_off_ms = a->wall_ms;
    }
    if (arm_all(a) && !was_stored) {
        store(a, true);
    }
}

void ag_partition_fires(struct pf_agent *a, struct task *t)
{
    struct PartitionPolicy p = Task_partition_policy(ag_task_summary(t));
    bool is_stop = PartitionPolicy_action(p) == PartitionAction_STOP;

    t->cut_at = AGENT_NEVER;
    ag_task_kill(a, t, is_stop ? KILL_STOPPED : KILL_REPLACED, t->grace_ms, AGENT_SIGTERM);
}

struct pf_str ag_partition_text(struct pf_agent *a, const struct task *t)
{
    int64_t ms = limit_ms(a, t);
    int64_t s = ms == AGENT_NEVER ? 0 : (ms + 999) / 1000;

    return pf_arena_printf(pf_turn_arena(a->turn), "%s: the agent was cut off for %lld s",
                           t->run.kill_reason == KILL_STOPPED ? "stopped" : "replaced",
                           (long long)s);
}
