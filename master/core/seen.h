/* SPDX-License-Identifier: Apache-2.0 */
/* Masters ask each other which agents are linked to them. */
#ifndef PF_MASTER_CORE_SEEN_H
#define PF_MASTER_CORE_SEEN_H

#include "master/core/state.h"

/* Another master asks: handler of AgentsSeenCall. */
void pf_m_on_agents_seen_call(struct pf_master *m, struct m_peer *p, struct Envelope e);

#endif
