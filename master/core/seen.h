/* SPDX-License-Identifier: Apache-2.0 */
/* Masters ask each other which agents are linked to them: before an agent is called unreachable,
 * every master that is linked here is asked. Seen by one, the agent is there and only its link to
 * us is broken. One question at a time, about many agents. */
#ifndef PF_MASTER_CORE_SEEN_H
#define PF_MASTER_CORE_SEEN_H

#include "master/core/state.h"

/* Another master asks: handler of AgentsSeenCall. */
void pf_m_on_agents_seen_call(struct pf_master *m, struct m_peer *p, struct Envelope e);

void pf_m_seen_init(struct pf_master *m);
/* Must be asked before the agent, whose time is over, is given up? */
bool pf_m_seen_is_wanted(const struct pf_master *m, const struct m_agent *a);
/* It joins the next question. */
void pf_m_seen_want(struct pf_master *m, struct m_agent *a);
/* Asks, unless a question is under way. */
void pf_m_seen_ask(struct pf_master *m);
/* The agent is back. */
void pf_m_seen_forget(struct pf_master *m, struct m_agent *a);
/* A master answers, with what it sees or otherwise. */
void pf_m_on_seen_reply(struct pf_master *m, struct m_peer *p, struct Envelope e);
/* ... or never will: it is closed. */
void pf_m_seen_peer_down(struct pf_master *m, struct m_peer *p);
/* INT64_MAX: nothing is waited for. */
int64_t pf_m_seen_deadline(const struct pf_master *m);
void pf_m_seen_on_deadline(struct pf_master *m);
void pf_m_seen_check(const struct pf_master *m);

#endif
