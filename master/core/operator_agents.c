/* SPDX-License-Identifier: Apache-2.0 */
/* Operator calls that take agents out of service and back. */
#include "common/base/limits.h"
#include "master/core/agents.h"
#include "master/core/drain.h"
#include "master/core/out.h"

/* The agent that the call is about; NULL: it was answered. `unknown`, `gone`: codes for those. */
static struct m_agent *agent_of(struct pf_master *m, const struct m_call *c, bool has_part,
                                const char *part, struct pf_str id, enum ReplyCode unknown,
                                enum ReplyCode gone)
{
    struct m_agent *a;

    if (!pf_m_call_has(m, c, has_part, part)) {
        return NULL;
    }
    if (!c->peer->is_trusted) {
        pf_m_reply(m, c->peer, c->request_id, ReplyCode_FORBIDDEN, "that needs the cluster's key");
        return NULL;
    }
    a = pf_m_agent_get(m, id);
    if (!a) {
        pf_m_reply(m, c->peer, c->request_id, unknown, "agent %.*s does not exist", PF_STR_ARG(id));
        return NULL;
    }
    if (a->sm.state == M_AGENT_GONE && gone != ReplyCode_OK) {
        pf_m_reply(m, c->peer, c->request_id, gone, "agent %s was marked gone", a->id);
        return NULL;
    }
    return a;
}

static void done(struct pf_master *m, const struct m_call *c)
{
    pf_m_reply(m, c->peer, c->request_id, ReplyCode_OK, "%s", "");
}

void pf_m_on_mark_agent_gone(struct pf_master *m, const struct m_call *c)
{
    struct Master_Call_MarkAgentGone x = Master_Call_mark_agent_gone(c->call);
    struct m_agent *a = agent_of(m, c, Master_Call__has_mark_agent_gone(c->call), "mark_agent_gone",
                                 AgentID_value(Master_Call_MarkAgentGone_agent_id(x)),
                                 ReplyCode_NOT_FOUND, ReplyCode_OK);

    if (a && a->sm.state != M_AGENT_GONE) {
        pf_m_agent_gone(m, a, "operator");
    }
    if (a) {
        done(m, c);
    }
}

/* False: there is none, or no task could wait so long. */
static bool read_grace(struct Duration d, struct m_drain *out)
{
    int64_t s = Duration_seconds(d);
    int32_t ns = Duration_nanos(d);

    out->has_grace = true;
    out->grace_ms = s * 1000 + ns / 1000000;
    return s >= 0 && s <= PF_DRAIN_GRACE_MAX_S && ns >= 0 && ns < 1000000000;
}

void pf_m_on_drain_agent(struct pf_master *m, const struct m_call *c)
{
    struct Master_Call_DrainAgent x = Master_Call_drain_agent(c->call);
    struct m_drain d = {.marks_gone = Master_Call_DrainAgent_mark_gone(x)};
    struct m_agent *a = agent_of(m, c, Master_Call__has_drain_agent(c->call), "drain_agent",
                                 AgentID_value(Master_Call_DrainAgent_agent_id(x)),
                                 ReplyCode_BAD_REQUEST, ReplyCode_CONFLICT);

    if (!a) {
        return;
    }
    if (Master_Call_DrainAgent__has_max_grace_period(x) &&
        !read_grace(Master_Call_DrainAgent_max_grace_period(x), &d)) {
        pf_m_reply(m, c->peer, c->request_id, ReplyCode_BAD_REQUEST,
                   "max_grace_period is negative or too long");
        return;
    }
    pf_m_drain_begin(m, a, &d);
    done(m, c);
}

void pf_m_on_deactivate_agent(struct pf_master *m, const struct m_call *c)
{
    struct Master_Call_DeactivateAgent x = Master_Call_deactivate_agent(c->call);
    struct m_agent *a =
        agent_of(m, c, Master_Call__has_deactivate_agent(c->call), "deactivate_agent",
                 AgentID_value(Master_Call_DeactivateAgent_agent_id(x)), ReplyCode_BAD_REQUEST,
                 ReplyCode_BAD_REQUEST);

    if (a && !a->is_deactivated) {
        a->is_deactivated = true;
        pf_m_agent_put_row(m, a);
        pf_m_agent_set_open(m, a);
    }
    if (a) {
        done(m, c);
    }
}

void pf_m_on_reactivate_agent(struct pf_master *m, const struct m_call *c)
{
    struct Master_Call_ReactivateAgent x = Master_Call_reactivate_agent(c->call);
    struct m_agent *a =
        agent_of(m, c, Master_Call__has_reactivate_agent(c->call), "reactivate_agent",
                 AgentID_value(Master_Call_ReactivateAgent_agent_id(x)), ReplyCode_BAD_REQUEST,
                 ReplyCode_CONFLICT);

    if (!a) {
        return;
    }
    if (!a->is_deactivated) {
        pf_m_reply(m, c->peer, c->request_id, ReplyCode_BAD_REQUEST, "agent %s is not deactivated",
                   a->id);
    } else if (a->drain.is_on && !a->drain.is_done) {
        pf_m_reply(m, c->peer, c->request_id, ReplyCode_BAD_REQUEST,
                   "agent %s is still draining: %u task%s left", a->id, a->n_tasks,
                   a->n_tasks == 1 ? "" : "s");
    } else {
        a->is_deactivated = false;
        a->drain = (struct m_drain){0};
        pf_m_agent_put_row(m, a);
        pf_m_agent_set_open(m, a);
        done(m, c);
    }
}

/* Not stored here: the agent does, and says so whenever it registers. */
void pf_m_on_leave_agent(struct pf_master *m, const struct m_call *c)
{
    struct Master_Call_LeaveAgent x = Master_Call_leave_agent(c->call);
    int64_t grace_ms = Master_Call_LeaveAgent_grace_max_ms(x);
    struct m_task *t;
    struct m_agent *a = agent_of(m, c, Master_Call__has_leave_agent(c->call), "leave_agent",
                                 AgentID_value(Master_Call_LeaveAgent_agent_id(x)),
                                 ReplyCode_NOT_FOUND, ReplyCode_CONFLICT);

    if (!a) {
        return;
    }
    if (grace_ms < 0) {
        pf_m_reply(m, c->peer, c->request_id, ReplyCode_BAD_REQUEST, "grace_max_ms is negative");
        return;
    }
    if (!m_agent_is_registered(a)) {
        pf_m_reply(m, c->peer, c->request_id, ReplyCode_CONFLICT,
                   "agent %s is not connected: it cannot be told", a->id);
        return;
    }
    bool has_grace = Master_Call_LeaveAgent__has_grace_max_ms(x);

    a->is_leaving = true;
    pf_m_agent_set_open(m, a);
    TAILQ_FOREACH(t, &a->tasks, of_agent)
    {
        pf_m_note_kill(m, t, has_grace ? &grace_ms : NULL, true);
    }
    pf_m_send_leave(m, a->peer, false, has_grace ? &grace_ms : NULL,
                    PF_STR("an operator wants this agent to leave"));
    pf_m_reply(m, c->peer, c->request_id, ReplyCode_ACCEPTED, "%s", "");
}
