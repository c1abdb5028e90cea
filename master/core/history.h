/* SPDX-License-Identifier: Apache-2.0 */
/* What was told of a task, without texts: the oldest 8 and the latest 8. Made when there is more
 * than the last status, so that most tasks have little or none of it. */
#ifndef PF_MASTER_CORE_HISTORY_H
#define PF_MASTER_CORE_HISTORY_H

#include "master/core/state.h"

/* `next` is about to become the task's last status. */
void pf_m_history_status(struct pf_master *m, struct m_task *t, struct TaskStatus next);
/* The master itself told the framework this. */
void pf_m_history_note(struct pf_master *m, struct m_task *t, enum TaskState state,
                       enum TaskStatus_Reason reason);
/* What its agent remembers, but for the last status. */
void pf_m_history_learn(struct pf_master *m, struct m_task *t, struct Task x);
void pf_m_history_fini(struct m_task *t);
void pf_m_history_check(const struct m_task *t);

/* The statuses of the task, the last one whole, in the order of their times. `shown`: the Task,
 * with its ids. */
struct pf_refs pf_m_history_put(struct pf_master *m, struct pf_fb_builder *b,
                                const struct m_task *t, const struct Task__args *shown);

#endif
