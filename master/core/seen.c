/* SPDX-License-Identifier: Apache-2.0 */
/* See seen.h. */
#include "master/core/seen.h"

#include "common/base/limits.h"
#include "master/core/out.h"
#include "master/core/peers.h"
#include "master/core/removals.h"

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

/* --- our own questions --- */

enum { ANSWER_MS = 2000, SEEN_AGAIN_MS = 5000 };

void pf_m_seen_init(struct pf_master *m)
{
    TAILQ_INIT(&m->seen.waiting);
    TAILQ_INIT(&m->seen.asked);
}

bool pf_m_seen_is_wanted(const struct pf_master *m, const struct m_agent *a)
{
    return !a->is_given_up && !TAILQ_EMPTY(&m->masters);
}

void pf_m_seen_want(struct pf_master *m, struct m_agent *a)
{
    PF_ASSERT(a->doubt == M_DOUBT_NONE);
    a->doubt = M_DOUBT_WAITING;
    TAILQ_INSERT_TAIL(&m->seen.waiting, a, of_doubt);
    m->seen.n_waiting++;
}

static void unlink_doubt(struct pf_master *m, struct m_agent *a)
{
    if (a->doubt == M_DOUBT_WAITING) {
        TAILQ_REMOVE(&m->seen.waiting, a, of_doubt);
        m->seen.n_waiting--;
    } else if (a->doubt == M_DOUBT_ASKED) {
        TAILQ_REMOVE(&m->seen.asked, a, of_doubt);
        m->seen.n_asked--;
    }
    a->doubt = M_DOUBT_NONE;
}

void pf_m_seen_forget(struct pf_master *m, struct m_agent *a)
{
    unlink_doubt(m, a);
    a->is_seen = false;
    a->is_given_up = false;
}

static bool is_under_way(const struct pf_master *m)
{
    return m->seen.n_unanswered > 0;
}

static void send_question(struct pf_master *m, struct m_peer *p, const struct pf_str *ids)
{
    struct pf_fb_builder *b = pf_m_builder(m);
    struct AgentsSeenCall__args args = {.agent_ids = {ids, m->seen.n_asked}};

    pf_m_request(m, p, m->seen.request_id, Body_AgentsSeenCall, AgentsSeenCall__put(b, &args));
    p->asked = m->seen.request_id;
    m->seen.n_unanswered++;
}

/* What was asked about, and not seen by anybody, is given up. */
static void conclude(struct pf_master *m)
{
    struct m_agent *a;
    struct m_peer *p;

    TAILQ_FOREACH(p, &m->masters, of_masters)
    {
        p->asked = 0;
    }
    m->seen.n_unanswered = 0;
    while ((a = TAILQ_FIRST(&m->seen.asked)) != NULL) {
        unlink_doubt(m, a);
        a->is_given_up = !a->is_seen;
        if (a->is_seen) {
            pf_m_removal_forget(m, a);
        }
        pf_heap_set(&m->agent_deadlines, &a->deadline,
                    m->now_ms + (a->is_seen ? SEEN_AGAIN_MS : 0));
    }
}

void pf_m_seen_ask(struct pf_master *m)
{
    struct m_agent *a;
    struct m_peer *p;
    struct pf_str *ids;

    if (is_under_way(m) || m->seen.n_waiting == 0) {
        return;
    }
    ids = pf_arena_alloc(pf_m_arena(m), PF_AGENTS_ASKED_MAX * sizeof *ids);
    while (m->seen.n_asked < PF_AGENTS_ASKED_MAX && (a = TAILQ_FIRST(&m->seen.waiting)) != NULL) {
        unlink_doubt(m, a);
        a->doubt = M_DOUBT_ASKED;
        a->is_seen = false;
        ids[m->seen.n_asked++] = pf_str(a->id);
        TAILQ_INSERT_TAIL(&m->seen.asked, a, of_doubt);
    }
    m->seen.request_id++;
    m->seen.until_ms = m->now_ms + ANSWER_MS;
    TAILQ_FOREACH(p, &m->masters, of_masters)
    {
        if (p->is_trusted && !p->is_closed) {
            send_question(m, p, ids);
        }
    }
    if (!is_under_way(m)) { /* nobody is there any more */
        conclude(m);
    }
}

static void answered(struct pf_master *m, struct m_peer *p)
{
    p->asked = 0;
    if (--m->seen.n_unanswered == 0) {
        conclude(m);
        pf_m_seen_ask(m);
    }
}

void pf_m_on_seen_reply(struct pf_master *m, struct m_peer *p, struct Envelope e)
{
    struct AgentsSeen x = Envelope_body_as_AgentsSeen(e);
    uint32_t n = AgentsSeen_agent_ids__len(x);

    if (p->asked == 0 || Envelope_request_id(e) != p->asked) {
        return; /* too late */
    }
    for (uint32_t i = 0; i < n && i < AgentsSeen_seen__len(x) && i < PF_AGENTS_ASKED_MAX; i++) {
        struct m_agent *a = pf_map_get_str(&m->agents, AgentsSeen_agent_ids__at(x, i));

        if (a && a->doubt == M_DOUBT_ASKED && AgentsSeen_seen__at(x, i)) {
            a->is_seen = true;
        }
    }
    answered(m, p);
}

void pf_m_seen_peer_down(struct pf_master *m, struct m_peer *p)
{
    if (p->asked != 0) {
        answered(m, p);
    }
}

int64_t pf_m_seen_deadline(const struct pf_master *m)
{
    return is_under_way(m) ? m->seen.until_ms : INT64_MAX;
}

void pf_m_seen_on_deadline(struct pf_master *m)
{
    if (is_under_way(m) && m->seen.until_ms <= m->now_ms) {
        conclude(m);
    }
}

static void check_list(const struct m_agents *list, enum m_doubt doubt, uint32_t n)
{
    const struct m_agent *a;

    TAILQ_FOREACH(a, list, of_doubt)
    {
        PF_ASSERT(a->doubt == doubt && !a->peer && !pf_heap_has(&a->deadline));
        PF_ASSERT(a->sm.state == M_AGENT_RECOVERED || a->sm.state == M_AGENT_DISCONNECTED);
        PF_ASSERT(n > 0);
        n--;
    }
    PF_ASSERT(n == 0);
}

void pf_m_seen_check(const struct pf_master *m)
{
    const struct m_peer *p;
    uint32_t n = 0;

    check_list(&m->seen.waiting, M_DOUBT_WAITING, m->seen.n_waiting);
    check_list(&m->seen.asked, M_DOUBT_ASKED, m->seen.n_asked);
    TAILQ_FOREACH(p, &m->masters, of_masters)
    {
        n += p->asked != 0;
        PF_ASSERT(p->asked == 0 || p->asked == m->seen.request_id);
    }
    PF_ASSERT(n == m->seen.n_unanswered);
    PF_ASSERT(n > 0 || m->seen.n_asked == 0);
}
