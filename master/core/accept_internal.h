/* SPDX-License-Identifier: Apache-2.0 */
/* What accept.c and launch.c share: one ACCEPT under way. */
#ifndef PF_MASTER_CORE_ACCEPT_INTERNAL_H
#define PF_MASTER_CORE_ACCEPT_INTERNAL_H

#include "master/core/state.h"

struct acceptance {
    struct m_framework *f;
    struct Scheduler_Call_Accept x;
    struct m_offer **offer;
    uint32_t n_offers;
    struct m_agent *agent;
    struct pf_resources left, used;
    uint32_t n_launched;
    struct pf_str unsupported; /* the first operation that was refused without a task to tell it */
};

/* The framework's answer to one task that is not launched. */
void pf_m_accept_refuse(struct pf_master *m, const struct acceptance *c, struct TaskInfo info,
                        enum TaskState state, enum TaskStatus_Reason reason, const char *text);

/* launch.c: LAUNCH and LAUNCH_GROUP. What is used goes from `left` to `used`; the agent is told. */
void pf_m_launch_tasks(struct pf_master *m, struct acceptance *c,
                       struct Offer_Operation_Launch launch);
void pf_m_launch_group(struct pf_master *m, struct acceptance *c,
                       struct Offer_Operation_LaunchGroup launch);

#endif
