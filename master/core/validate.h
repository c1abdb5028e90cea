/* SPDX-License-Identifier: Apache-2.0 */
/* May this be launched on this agent? Whether what it needs is left is the caller's to see. */
#ifndef PF_MASTER_CORE_VALIDATE_H
#define PF_MASTER_CORE_VALIDATE_H

#include "master/core/state.h"

/* What a task, or a group of tasks, is launched with. */
struct m_launch {
    struct m_framework *f;
    struct m_agent *a;
    struct pf_bytes executor; /* as pf_m_executor_info gives it; absent: none */
    bool is_group;
    struct pf_uuid group;
};

struct m_refusal {
    enum TaskStatus_Reason reason;
    struct pf_err err; /* the text for the framework */
};
/* Fills the text of an empty refusal. */
void pf_m_refuse(struct m_refusal *why, const char *text);
/* "`what` cpus:1 `than` cpus:0.5" */
void pf_m_refuse_amount(struct m_refusal *why, const char *what, const struct pf_resources *r,
                        const char *than, const struct pf_resources *left);

/* True: fine, and `out` (empty on entry) is what the task uses, without its executor. False: `why`
 * is filled. */
bool pf_m_task_validate(struct pf_master *m, const struct m_launch *l, struct TaskInfo info,
                        struct pf_resources *out, struct m_refusal *why);
/* Whose user the task runs as; valid after pf_m_task_validate. */
struct pf_str pf_m_task_user(const struct pf_master *m, const struct m_launch *l,
                             struct TaskInfo info);

/* validate_executor.c: the same for the executor of a launch; it uses nothing more if it lives
 * already. */
bool pf_m_executor_validate(struct pf_master *m, const struct m_launch *l, struct pf_resources *out,
                            struct m_refusal *why);

/* validate_parts.c: parts of a TaskInfo or ExecutorInfo. `may_be_empty`: without anything to run.
 */
bool pf_m_command_validate(struct CommandInfo c, bool may_be_empty, struct m_refusal *why);
bool pf_m_container_validate(struct ContainerInfo c, struct m_refusal *why);
bool pf_m_checks_validate(struct TaskInfo info, struct m_refusal *why);
/* Times that must not be negative, limits that must not be below `r`. */
bool pf_m_bounds_validate(struct TaskInfo info, const struct pf_resources *r,
                          struct m_refusal *why);

#endif
