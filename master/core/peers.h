/* SPDX-License-Identifier: Apache-2.0 */
/* Links that are up, what each speaks for, and requests of theirs that wait for an answer. */
#ifndef PF_MASTER_CORE_PEERS_H
#define PF_MASTER_CORE_PEERS_H

#include "master/core/state.h"

void pf_m_peer_up(struct pf_master *m, uint64_t id, struct pf_msg hello, bool is_trusted);
/* Also for one that we closed. Unknown ids are fine. */
void pf_m_peer_down(struct pf_master *m, uint64_t id);
struct m_peer *pf_m_peer_get(struct pf_master *m, uint64_t id); /* NULL: none, or closed */
/* Is a link of this agent up, whether it registered here or not? */
bool pf_m_agent_is_linked(const struct pf_master *m, struct pf_str id);
void pf_m_peers_fini(struct pf_master *m);

/* May the peer touch the framework's tasks? Peers with the key may touch all; those without only
 * what a peer without the key that named the same user made. */
bool pf_m_peer_may_touch(const struct m_peer *p, const struct m_framework *f);

/* A request to be answered later; NULL: PF_WATCHERS_MAX wait already. */
struct m_wait *pf_m_wait_add(struct pf_master *m, struct m_peer *p, uint64_t request_id,
                             struct m_waits *target);
void pf_m_wait_free(struct pf_master *m, struct m_wait *w);

#endif
