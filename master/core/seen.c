/* SPDX-License-Identifier: Apache-2.0 */
/* See seen.h. */
#include "master/core/seen.h"

#include "common/base/limits.h"
#include "master/core/out.h"
#include "master/core/peers.h"

void pf_m_on_agents_seen_call(struct pf_master *m, struct m_peer *p, struct Envelope e)
{
    struct AgentsSeenCall x = Envelope_body_as_AgentsSeenCall(e);
    uint32_t n = AgentsSeenCall_agent_ids__len(x);
    uint64_t request_id = Envelope_request_id(e);
    struct pf_str *ids;
    bool *seen;

    if (request_id == 0 || n > PF_AGENTS_ASKED_MAX) {
        m->stats.bad_messages++;
        pf_m_reply(m, p, request_id, ReplyCode_TOO_MANY, "more than %d agents",
                   PF_AGENTS_ASKED_MAX);
        return;
    }
    ids = pf_arena_alloc(pf_m_arena(m), (n + 1) * sizeof *ids);
    seen = pf_arena_alloc(pf_m_arena(m), (n + 1) * sizeof *seen);
    for (uint32_t i = 0; i < n; i++) {
        ids[i] = AgentsSeenCall_agent_ids__at(x, i);
        seen[i] = pf_m_agent_is_linked(m, ids[i]);
    }
    struct pf_fb_builder *b = pf_m_builder(m);

    pf_m_reply_body(
        m, p, request_id, Body_AgentsSeen,
        AgentsSeen__put(b, &(struct AgentsSeen__args){.agent_ids = {ids, n}, .seen = {seen, n}}));
}
