/* SPDX-License-Identifier: Apache-2.0 */
/* See removals.h. */
#include "master/core/removals.h"

#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "master/core/drain.h"
#include "master/core/masters.h"
#include "master/core/out.h"

void pf_m_removals_init(struct pf_master *m)
{
    struct m_removals *r = &m->removals;

    r->limit = m->o.removals < PF_AGENTS_MAX ? m->o.removals : PF_AGENTS_MAX;
    r->at_ms = r->limit > 0 ? pf_alloc(r->limit * sizeof *r->at_ms) : NULL;
}

void pf_m_removals_fini(struct pf_master *m)
{
    PF_FREE(m->removals.at_ms);
}

void pf_m_removals_elected(struct pf_master *m)
{
    struct pf_order_cursor c = {0};

    for (const struct m_agent *a; (a = pf_order_next(&m->agent_order, &c));) {
        m->removals.n_known += a->sm.state == M_AGENT_RECOVERED;
    }
}

static void hold(struct pf_master *m, struct m_agent *a, enum m_hold why)
{
    if (a->hold != M_HOLD_NONE) {
        m->removals.n_held[a->hold]--;
    }
    if (why != M_HOLD_NONE) {
        m->removals.n_held[why]++;
    }
    a->hold = why;
}

void pf_m_removal_forget(struct pf_master *m, struct m_agent *a)
{
    hold(m, a, M_HOLD_NONE);
}

bool pf_m_removal_take(struct pf_master *m, struct m_agent *a)
{
    struct m_removals *r = &m->removals;
    bool is_not_back = a->sm.state == M_AGENT_RECOVERED;
    uint64_t most = (uint64_t)r->n_known * m->o.recovery_removals_percent / 100;

    if (is_not_back && m->o.recovery_removals_percent < 100 && r->n_not_back >= most) {
        hold(m, a, M_HOLD_SAFETY);
        return false;
    }
    if (r->limit > 0 && r->n == r->limit && r->at_ms[r->next] + m->o.removals_ms > m->now_ms) {
        hold(m, a, M_HOLD_RATE);
        pf_heap_set(&m->agent_deadlines, &a->deadline, r->at_ms[r->next] + m->o.removals_ms);
        return false;
    }
    if (r->limit > 0) {
        r->at_ms[r->next] = m->now_ms;
        r->next = (r->next + 1) % r->limit;
        r->n += r->n < r->limit;
    }
    r->n_not_back += is_not_back;
    hold(m, a, M_HOLD_NONE);
    return true;
}

void pf_m_removals_check(const struct pf_master *m)
{
    struct pf_order_cursor c = {0};
    uint32_t n[M_HOLD_COUNT] = {0};

    for (const struct m_agent *a; (a = pf_order_next(&m->agent_order, &c));) {
        n[a->hold]++;
        PF_ASSERT(a->hold != M_HOLD_SAFETY || a->sm.state == M_AGENT_RECOVERED);
        PF_ASSERT(a->hold != M_HOLD_RATE || a->sm.state == M_AGENT_RECOVERED ||
                  a->sm.state == M_AGENT_DISCONNECTED);
    }
    PF_ASSERT(n[M_HOLD_RATE] == m->removals.n_held[M_HOLD_RATE]);
    PF_ASSERT(n[M_HOLD_SAFETY] == m->removals.n_held[M_HOLD_SAFETY]);
    PF_ASSERT(m->removals.n <= m->removals.limit);
}

/* --- in words --- */

struct pf_str pf_m_trouble(struct pf_master *m)
{
    const struct m_removals *r = &m->removals;

    if (r->n_held[M_HOLD_SAFETY] > 0) {
        return pf_arena_printf(pf_m_arena(m),
                               "%u of the %u agents known when this master took over did not come "
                               "back; no more than %u %% of them are given up, %u are kept",
                               r->n_not_back + r->n_held[M_HOLD_SAFETY], r->n_known,
                               m->o.recovery_removals_percent, r->n_held[M_HOLD_SAFETY]);
    }
    if (r->n_held[M_HOLD_RATE] > 0) {
        return pf_arena_printf(
            pf_m_arena(m), "%u agents are gone and wait to be given up: at most %u in %lld s",
            r->n_held[M_HOLD_RATE], r->limit, (long long)(m->o.removals_ms / 1000));
    }
    return pf_m_own_trouble(m)[0] ? pf_str(pf_m_own_trouble(m)) : (struct pf_str){NULL, 0};
}

void pf_m_agent_text(const struct pf_master *m, const struct m_agent *a, struct pf_buf *out)
{
    if (a->sm.state == M_AGENT_GONE) {
        pf_buf_add_cstr(out, "an operator marked it gone");
        return;
    }
    if (a->sm.state == M_AGENT_UNREACHABLE) {
        pf_buf_add_cstr(out, "its link broke and it did not come back in time");
        return;
    }
    if (a->sm.state == M_AGENT_REGISTERING) {
        pf_buf_add_cstr(out, "it is telling its tasks");
        return;
    }
    if (m_agent_is_registered(a)) {
        pf_m_drain_text(a, out);
        return;
    }
    if (a->sm.state == M_AGENT_RECOVERED) {
        pf_buf_add_cstr(out, "has not come back since this master leads");
    } else {
        pf_buf_add_cstr(out, "its link broke");
    }
    if (a->is_seen) {
        pf_buf_add_cstr(out, "; another master sees it: only its link to this one is broken");
    } else if (a->hold == M_HOLD_SAFETY) {
        pf_buf_printf(out, "; kept, as more than %u %% of the agents are missing",
                      m->o.recovery_removals_percent);
    } else if (a->hold == M_HOLD_RATE) {
        pf_buf_printf(out, "; kept a while, as at most %u agents in %lld s are given up",
                      m->removals.limit, (long long)(m->o.removals_ms / 1000));
    } else if (a->doubt != M_DOUBT_NONE) {
        pf_buf_add_cstr(out, "; the other masters are asked whether they see it");
    } else if (a->sm.state == M_AGENT_DISCONNECTED) {
        pf_buf_printf(out, "; unreachable in %lld s",
                      (long long)((a->deadline.key - m->now_ms) / 1000));
    }
}
