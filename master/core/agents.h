/* SPDX-License-Identifier: Apache-2.0 */
/* Agents: admission, the link, reachability. Registration itself is in agents_register.c. */
#ifndef PF_MASTER_CORE_AGENTS_H
#define PF_MASTER_CORE_AGENTS_H

#include "master/core/state.h"

struct m_agent *pf_m_agent_get(const struct pf_master *m, struct pf_str id);
/* A new one, by row or by registration; `state` is an initial one. */
struct m_agent *pf_m_agent_new(struct pf_master *m, struct pf_str id, enum m_agent_state state,
                               const char *why);
/* A standby hears of a committed row, or that one is gone. A master that leads forgets only
 * agents that left (gone.c): much points to them. */
void pf_m_agent_row(struct pf_master *m, struct pf_bytes key, struct Row_Agent row);
void pf_m_agent_row_gone(struct pf_master *m, struct pf_bytes key);
/* The agent's row as it is, or has to be, stored. */
struct pf_msg pf_m_agent_row_of(struct pf_fb_builder *b, const struct m_agent *a);
void pf_m_agent_put_row(struct pf_master *m, const struct m_agent *a);
/* The leadership begins: recovered agents have `recovery_ms` to come back. */
void pf_m_agents_elected(struct pf_master *m);
/* A copy of `info` in a buffer of its own, in the turn's memory. */
struct pf_bytes pf_m_agent_info_copy(struct pf_master *m, struct AgentInfo info);
/* `info`: an AgentInfo in a buffer of its own; copied. */
void pf_m_agent_set_info(struct m_agent *a, struct pf_bytes info);
void pf_m_agent_move(struct pf_master *m, struct m_agent *a, enum m_agent_state next,
                     const char *why);

/* Its frameworks hear FAILURE. */
void pf_m_agent_tell_failures(struct pf_master *m, const struct m_agent *a);
/* Nothing may point to it. */
void pf_m_agent_free(struct m_agent *a);

/* Its link broke, or is given up: offers go, tasks stay. */
void pf_m_agent_link_down(struct pf_master *m, struct m_agent *a);
/* Its time is over and no other master sees it: unreachable, unless a limit holds that back. */
void pf_m_agent_deadline(struct pf_master *m, struct m_agent *a);
void pf_m_agents_fini(struct pf_master *m);

/* Handlers of AgentRegister and AgentTasks. */
void pf_m_on_agent_register(struct pf_master *m, struct m_peer *p, struct Envelope e);
void pf_m_on_agent_tasks(struct pf_master *m, struct m_peer *p, struct Envelope e);

/* "The agent knows the framework"; made if it is not there. */
struct m_link *pf_m_link_need(struct m_agent *a, struct m_framework *f);
void pf_m_link_free(struct m_link *l);

#endif
