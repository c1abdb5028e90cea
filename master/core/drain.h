/* SPDX-License-Identifier: Apache-2.0 */
/* Agents that an operator takes out of service: deactivated (no offers), drained (all on it ends
 * first), gone (lost for good, by word of the operator), left (unregistered by themselves). All but
 * leaving stands in the agent's row, so that the next leader goes on with it. */
#ifndef PF_MASTER_CORE_DRAIN_H
#define PF_MASTER_CORE_DRAIN_H

#include "common/base/buf.h"
#include "master/core/operator.h"
#include "master/core/state.h"

bool pf_m_agent_is_offered(const struct m_agent *a);
/* Opens or closes it for offers as its state says; what was offered of a closed one is rescinded.
 */
void pf_m_agent_set_open(struct pf_master *m, struct m_agent *a);
/* "draining, 3 tasks left"; nothing is added where an operator wants nothing. */
void pf_m_drain_text(const struct m_agent *a, struct pf_buf *out);
/* One word for lists: "draining", "deactivated", or the name of its state. */
const char *pf_m_agent_word(const struct m_agent *a);

/* The row's part. */
void pf_m_drain_row(struct m_agent *a, struct Row_Agent row);
struct pf_ref pf_m_drain_put(struct pf_fb_builder *b, const struct m_agent *a); /* DrainConfig */

/* Begins a drain, or changes one. */
void pf_m_drain_begin(struct pf_master *m, struct m_agent *a, const struct m_drain *d);
/* The agent registered: what is left on it is killed. */
void pf_m_drain_go_on(struct pf_master *m, struct m_agent *a);
/* Executors had their time. */
void pf_m_drain_deadline(struct pf_master *m, struct m_agent *a);
/* Something changed on the agent: looked at when the step ends, by pf_m_drains_settle. */
void pf_m_drain_touch(struct pf_master *m, struct m_agent *a);
void pf_m_drains_settle(struct pf_master *m);
void pf_m_drain_check(const struct m_agent *a);

/* Launches that an agent tells of and that may not be. `has_own_grace`: else killed at once. */
void pf_m_doom(struct m_agent *a, struct Task x, bool has_own_grace);
void pf_m_doomed_kill(struct pf_master *m, struct m_agent *a);
void pf_m_doomed_drop(struct m_agent *a);

/* gone.c: it is lost for good, with all its tasks; a linked one is told. */
void pf_m_agent_gone(struct pf_master *m, struct m_agent *a, const char *why);
bool pf_m_agent_is_gone(const struct pf_master *m, struct pf_str id);
/* A task of it was freed; an agent that left goes with the last. */
void pf_m_agent_unknown(struct m_agent *a);
void pf_m_on_agent_unregister(struct pf_master *m, struct m_peer *p, struct Envelope e);

/* operator_agents.c */
void pf_m_on_mark_agent_gone(struct pf_master *m, const struct m_call *c);
void pf_m_on_drain_agent(struct pf_master *m, const struct m_call *c);
void pf_m_on_deactivate_agent(struct pf_master *m, const struct m_call *c);
void pf_m_on_reactivate_agent(struct pf_master *m, const struct m_call *c);
void pf_m_on_leave_agent(struct pf_master *m, const struct m_call *c);

#endif
