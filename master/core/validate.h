/* SPDX-License-Identifier: Apache-2.0 */
/* May this task be launched on this offer? */
#ifndef PF_MASTER_CORE_VALIDATE_H
#define PF_MASTER_CORE_VALIDATE_H

#include "master/core/state.h"

struct m_refusal {
    enum TaskStatus_Reason reason;
    struct pf_err err; /* the text for the framework */
};

/* True: fine, and `out` (empty on entry) is what it uses, contained in `left`. False: `why` is
 * filled. */
bool pf_m_task_validate(struct pf_master *m, const struct m_framework *f, const struct m_agent *a,
                        struct TaskInfo info, const struct pf_resources *left,
                        struct pf_resources *out, struct m_refusal *why);
/* Whose user the task runs as; valid after pf_m_task_validate. */
struct pf_str pf_m_task_user(const struct pf_master *m, const struct m_framework *f,
                             const struct m_agent *a, struct TaskInfo info);

#endif
