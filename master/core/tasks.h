/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks the master knows: made by a launch or learnt from an agent, moved by updates, kept as
 * history when they have ended and their last update was acknowledged. */
#ifndef PF_MASTER_CORE_TASKS_H
#define PF_MASTER_CORE_TASKS_H

#include "master/core/state.h"

struct m_launch;

bool pf_m_state_is_terminal(enum TaskState s);
/* Live or unreachable, or ended and not yet acknowledged. */
struct m_task *pf_m_task_get(const struct m_framework *f, struct pf_str id);
/* The same, or in the history (the latest of that id). */
struct m_task *pf_m_task_find(const struct m_framework *f, struct pf_str id);

/* A task that starts now, using `resources` (copied) that the allocator counts already. */
struct m_task *pf_m_task_launch(struct pf_master *m, const struct m_launch *l, struct TaskInfo info,
                                const struct pf_resources *resources);
/* One that an agent tells of in its registration. PF_EINVAL, PF_ELIMIT: it cannot be; the
 * registration fails. */
PF_MUST_USE int pf_m_task_learn(struct pf_master *m, struct m_agent *a, struct Task x,
                                struct pf_err *err);
/* The agent registered without it: it was never started, or its end was acknowledged. */
void pf_m_task_missing(struct pf_master *m, struct m_task *t);
/* Its agent is unreachable: tells the framework and frees the resources; it may come back. */
void pf_m_task_unreachable(struct pf_master *m, struct m_task *t);

/* Its agent is lost: the task ends here, whatever comes of it there. An ended one, acknowledged or
 * not, becomes history. */
struct m_loss {
    enum TaskState aware; /* for PARTITION_AWARE frameworks; others hear LOST */
    enum TaskStatus_Reason reason;
    const char *why, *message; /* of the trace; behind "Agent NAME " */
};
void pf_m_task_give_up(struct pf_master *m, struct m_task *t, const struct m_loss *loss);

/* Moves to `state` where that may follow; frees the resources of an ended task. */
void pf_m_task_set_state(struct pf_master *m, struct m_task *t, enum TaskState state,
                         const char *why);
/* Ends it without telling anyone (the framework is being removed). */
void pf_m_task_drop(struct pf_master *m, struct m_task *t);
void pf_m_task_to_history(struct pf_master *m, struct m_task *t);
void pf_m_task_changed(struct pf_master *m, struct m_task *t);
void pf_m_task_free(struct m_task *t);

/* Kills it now, or as soon as its agent is back. */
void pf_m_task_kill(struct pf_master *m, struct m_task *t, const int64_t *grace_ms,
                    const int32_t *signal);

static inline struct pf_str m_task_id(const struct m_task *t)
{
    return (struct pf_str){t->id, t->id_len};
}

/* What was chosen at its launch for the time when its agent cannot be reached. */
static inline enum PartitionAction m_task_policy(const struct m_task *t)
{
    return PartitionPolicy_action(
        Task_partition_policy(Task__from_bytes(m_blob_bytes(&t->summary))));
}

/* summary.c: the Task of a launch, without what changes; in the turn's memory. */
struct pf_bytes pf_m_summary_of_launch(struct pf_master *m, const struct m_launch *l,
                                       struct TaskInfo info);
struct pf_bytes pf_m_summary_of_task(struct pf_master *m, struct Task x);
/* The whole Task for a list. */
struct pf_ref pf_m_task_put(struct pf_master *m, struct pf_fb_builder *b, const struct m_task *t);

/* updates.c: handlers of AgentUpdate, and ACKNOWLEDGE (`a`: the agent of a task that is not known,
 * or NULL). */
void pf_m_on_agent_update(struct pf_master *m, struct m_peer *p, struct Envelope e);
enum ReplyCode pf_m_acknowledge(struct pf_master *m, struct m_framework *f, struct pf_str task_id,
                                struct m_agent *a, struct pf_bytes uuid);
/* Tells a framework that is back every update that waits for its acknowledgement. */
void pf_m_updates_resend(struct pf_master *m, struct m_framework *f);

#endif
