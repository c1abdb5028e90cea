/* SPDX-License-Identifier: Apache-2.0 */
/* How many agents may become unreachable: a rate, and a part of those known at a takeover. What is
 * beyond it is held, and told. */
#ifndef PF_MASTER_CORE_REMOVALS_H
#define PF_MASTER_CORE_REMOVALS_H

#include "common/base/buf.h"
#include "master/core/state.h"

void pf_m_removals_init(struct pf_master *m);
void pf_m_removals_fini(struct pf_master *m);
void pf_m_removals_elected(struct pf_master *m);
/* True: it may become unreachable now, and is counted. False: it is held, until a deadline of its
 * own or until it comes back. */
bool pf_m_removal_take(struct pf_master *m, struct m_agent *a);
/* The agent is there. */
void pf_m_removal_forget(struct pf_master *m, struct m_agent *a);
void pf_m_removals_check(const struct pf_master *m);

/* What is wrong with this master, for people; in the turn's memory. Absent: nothing. */
struct pf_str pf_m_trouble(struct pf_master *m);
/* Why the agent is not registered, for people. */
void pf_m_agent_text(const struct pf_master *m, const struct m_agent *a, struct pf_buf *out);

#endif
