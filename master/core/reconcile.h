/* SPDX-License-Identifier: Apache-2.0 */
/* RECONCILE, and KILL and ACKNOWLEDGE of the scheduler API. */
#ifndef PF_MASTER_CORE_RECONCILE_H
#define PF_MASTER_CORE_RECONCILE_H

#include "master/core/state.h"

void pf_m_on_kill(struct pf_master *m, struct m_peer *p, struct Scheduler_Call call,
                  uint64_t request_id);
void pf_m_on_acknowledge(struct pf_master *m, struct m_peer *p, struct Scheduler_Call call,
                         uint64_t request_id);
void pf_m_on_reconcile(struct pf_master *m, struct m_peer *p, struct Scheduler_Call call,
                       uint64_t request_id);

#endif
