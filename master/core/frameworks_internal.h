/* SPDX-License-Identifier: Apache-2.0 */
/* What frameworks.c and subscribe.c share, and tasks.c wakes waiters by. */
#ifndef PF_MASTER_CORE_FRAMEWORKS_INTERNAL_H
#define PF_MASTER_CORE_FRAMEWORKS_INTERNAL_H

#include "master/core/frameworks.h"

struct m_framework *pf_m_framework_new(struct pf_master *m, struct pf_str id, struct pf_bytes info,
                                       enum m_framework_state state, const char *why);
void pf_m_framework_move(struct pf_master *m, struct m_framework *f, enum m_framework_state next,
                         const char *why);
void pf_m_framework_put_row(struct pf_master *m, struct m_framework *f);
/* Something changed that waiters are told at the end of the step. */
void pf_m_framework_wake(struct pf_master *m, struct m_framework *f);

#endif
