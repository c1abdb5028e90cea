/* SPDX-License-Identifier: Apache-2.0 */
/* What a scheduler asks about single tasks. */
#include "master/core/reconcile.h"

#include "common/base/limits.h"
#include "master/core/agents.h"
#include "master/core/out.h"
#include "master/core/tasks.h"

static void tell_known(struct pf_master *m, struct m_framework *f, const struct m_task *t)
{
    pf_m_send_status(m, f,
                     &(struct m_status){.task_id = m_task_id(t),
                                        .agent_id = pf_str(t->agent->id),
                                        .state = t->update_state,
                                        .has_reason = true,
                                        .reason = TaskStatus_Reason_REASON_RECONCILIATION,
                                        .unreachable_ms = t->unreachable_ms,
                                        .message = PF_STR("Reconciliation: Latest task state"),
                                        .like = t});
}

static void tell_unknown(struct pf_master *m, struct m_framework *f, struct pf_str task_id,
                         struct pf_str agent_id, enum TaskState state, int64_t unreachable_ms,
                         struct pf_str message)
{
    pf_m_send_status(
        m, f,
        &(struct m_status){.task_id = task_id,
                           .agent_id = agent_id,
                           .state = f->is_partition_aware ? state : TaskState_TASK_LOST,
                           .has_reason = true,
                           .reason = TaskStatus_Reason_REASON_RECONCILIATION,
                           .unreachable_ms = unreachable_ms,
                           .message = message});
}

/* The answer to "what of this task?"; none while the agent that may have it is not back. */
static void reconcile_one(struct pf_master *m, struct m_framework *f, struct pf_str task_id,
                          struct pf_str agent_id)
{
    const struct m_task *t = pf_m_task_get(f, task_id);
    const struct m_agent *a = pf_m_agent_get(m, agent_id);

    if (t) {
        tell_known(m, f, t);
        return;
    }
    if (agent_id.len == 0 ? m->n_awaited > 0
                          : a && (m_agent_is_awaited(a) || a->sm.state == M_AGENT_REGISTERING)) {
        return;
    }
    if (a && a->sm.state == M_AGENT_UNREACHABLE) {
        tell_unknown(m, f, task_id, agent_id, TaskState_TASK_UNREACHABLE, a->unreachable_ms,
                     PF_STR("Reconciliation: Task is unreachable"));
    } else if (a && a->sm.state == M_AGENT_GONE) {
        tell_unknown(m, f, task_id, agent_id, TaskState_TASK_GONE_BY_OPERATOR, 0,
                     PF_STR("Reconciliation: Task is gone with its agent"));
    } else if (a) {
        tell_unknown(m, f, task_id, agent_id, TaskState_TASK_GONE, 0,
                     PF_STR("Reconciliation: Task is unknown to the agent"));
    } else {
        tell_unknown(m, f, task_id, agent_id, TaskState_TASK_UNKNOWN, 0,
                     PF_STR("Reconciliation: Task is unknown"));
    }
}

void pf_m_on_reconcile(struct pf_master *m, struct m_peer *p, struct Scheduler_Call call,
                       uint64_t request_id)
{
    struct Scheduler_Call_Reconcile x = Scheduler_Call_reconcile(call);
    struct m_framework *f = p->framework;
    struct pf_order_cursor c = {0};
    uint32_t n = Scheduler_Call_Reconcile_tasks__len(x);

    for (uint32_t i = 0; i < n; i++) {
        struct Scheduler_Call_Reconcile_Task t = Scheduler_Call_Reconcile_tasks__at(x, i);

        reconcile_one(m, f, TaskID_value(Scheduler_Call_Reconcile_Task_task_id(t)),
                      AgentID_value(Scheduler_Call_Reconcile_Task_agent_id(t)));
    }
    for (const struct m_task *t; n == 0 && (t = pf_order_next(&f->task_order, &c));) {
        if (t->sm.state != M_TASK_UNREACHABLE) {
            tell_known(m, f, t);
        }
    }
    pf_m_reply(m, p, request_id, ReplyCode_ACCEPTED, "%s", "");
}

void pf_m_on_kill(struct pf_master *m, struct m_peer *p, struct Scheduler_Call call,
                  uint64_t request_id)
{
    struct Scheduler_Call_Kill x = Scheduler_Call_kill(call);
    struct m_framework *f = p->framework;
    struct pf_str task_id = TaskID_value(Scheduler_Call_Kill_task_id(x));
    struct pf_str agent_id = AgentID_value(Scheduler_Call_Kill_agent_id(x));
    struct DurationInfo grace = KillPolicy_grace_period(Scheduler_Call_Kill_kill_policy(x));
    int64_t grace_ms = DurationInfo_nanoseconds(grace) / 1000000;
    int32_t signal = Scheduler_Call_Kill_signal(x);
    struct m_task *t = pf_m_task_get(f, task_id);

    if (t && agent_id.len > 0 && !pf_str_is(agent_id, t->agent->id)) {
        m->stats.bad_messages++; /* as in Mesos: dropped */
    } else if (!t || t->sm.state == M_TASK_UNREACHABLE || t->is_ended) {
        if (t && !t->is_ended) {
            pf_m_task_kill(m, t, DurationInfo__has_nanoseconds(grace) ? &grace_ms : NULL,
                           Scheduler_Call_Kill__has_signal(x) ? &signal : NULL);
        }
        reconcile_one(m, f, task_id, agent_id);
    } else {
        pf_m_task_kill(m, t, DurationInfo__has_nanoseconds(grace) ? &grace_ms : NULL,
                       Scheduler_Call_Kill__has_signal(x) ? &signal : NULL);
    }
    pf_m_reply(m, p, request_id, ReplyCode_ACCEPTED, "%s", "");
}

void pf_m_on_acknowledge(struct pf_master *m, struct m_peer *p, struct Scheduler_Call call,
                         uint64_t request_id)
{
    struct Scheduler_Call_Acknowledge x = Scheduler_Call_acknowledge(call);
    struct pf_str task_id = TaskID_value(Scheduler_Call_Acknowledge_task_id(x));
    struct pf_bytes uuid = Scheduler_Call_Acknowledge_uuid(x);

    if (uuid.len != sizeof(struct pf_uuid)) {
        m->stats.bad_messages++;
        pf_m_reply(m, p, request_id, ReplyCode_BAD_REQUEST, "the uuid must have 16 bytes");
        return;
    }
    struct m_agent *a = pf_m_agent_get(m, AgentID_value(Scheduler_Call_Acknowledge_agent_id(x)));

    (void)pf_m_acknowledge(m, p->framework, task_id, a, uuid); /* dropped where it leads nowhere */
    pf_m_reply(m, p, request_id, ReplyCode_ACCEPTED, "%s", "");
}
