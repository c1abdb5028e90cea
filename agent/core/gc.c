/* SPDX-License-Identifier: Apache-2.0 */
/* Sandboxes of ended tasks: they stay, with the rows that let their output be read, for a time that
 * shrinks as the disk fills, as in Mesos: gc_delay x (1 - 0.1 - usage). Oldest ends go first. */
#include "agent/core/calls_internal.h"

enum { HEADROOM_PERMILLE = 100, GC_PER_STEP = 64 };

/* How long a sandbox may stay now. */
static int64_t gc_delay_ms(const struct pf_agent *a)
{
    uint64_t size = a->opt.disk_bytes;
    int64_t left = 1000 - HEADROOM_PERMILLE;

    if (size == 0 || !a->has_free_bytes) {
        return a->opt.gc_delay_ms;
    }
    if (a->free_bytes < size) {
        uint64_t used = size - a->free_bytes;
        left -= (int64_t)(size > UINT64_MAX / 1000 ? used / (size / 1000) : used * 1000 / size);
    }
    return left > 0 ? a->opt.gc_delay_ms / 1000 * left : 0;
}

/* A wall clock that was set back does not make them stay longer than a whole delay from now. */
static int64_t remaining_ms(const struct pf_agent *a, const struct task *t)
{
    int64_t age_ms = a->wall_ms - t->run.finished_ms, delay_ms = gc_delay_ms(a);

    return age_ms < 0 ? delay_ms : age_ms < delay_ms ? delay_ms - age_ms : 0;
}

static void gc_rearm(struct pf_agent *a)
{
    const struct task *first = TAILQ_FIRST(&a->history);

    a->gc_at = first ? a->now_ms + remaining_ms(a, first) : AGENT_NEVER;
}

/* In the order of their ends, which is nearly that of their arrival here. */
void ag_gc_insert(struct pf_agent *a, struct task *t)
{
    struct task *before = TAILQ_LAST(&a->history, task_list);

    while (before && before->run.finished_ms > t->run.finished_ms) {
        before = TAILQ_PREV(before, task_list, link);
    }
    if (before) {
        TAILQ_INSERT_AFTER(&a->history, before, t, link);
    } else {
        TAILQ_INSERT_HEAD(&a->history, t, link);
    }
    a->n_history++;
    while (a->n_history > AGENT_HISTORY_TASKS) {
        ag_task_remove(a, TAILQ_FIRST(&a->history));
    }
    gc_rearm(a);
}

void ag_gc_deadline(struct pf_agent *a)
{
    struct task *t = NULL;

    for (int i = 0; i < GC_PER_STEP && (t = TAILQ_FIRST(&a->history)) != NULL; i++) {
        if (remaining_ms(a, t) > 0) {
            break;
        }
        ag_task_remove(a, t);
    }
    gc_rearm(a);
}

void ag_on_disk(struct pf_agent *a, uint64_t free_bytes)
{
    a->free_bytes = free_bytes;
    a->has_free_bytes = true;
    gc_rearm(a);
}

/* The task goes on: it may need nothing of it. What it wrote is lost, which is said in the end. */
void ag_on_sandbox_gone(struct pf_agent *a, struct pf_uuid launch)
{
    struct task *t = ag_task_by_launch(a, (struct pf_bytes){launch.b, sizeof launch.b});

    if (t && !t->in_history && !t->lost_sandbox && t->run.pid > 0 && !ag_run_is_ended(&t->run)) {
        t->lost_sandbox = true;
        a->n_lost_sandboxes++;
        ag_row_put_task(a, t);
    }
}
