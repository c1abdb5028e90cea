/* SPDX-License-Identifier: Apache-2.0 */
/* Status updates on their way from agents to frameworks, and acknowledgements back. */
#include <string.h>
#include "master/core/agents.h"
#include "master/core/frameworks.h"
#include "master/core/history.h"
#include "master/core/out.h"
#include "master/core/tasks.h"

/* An update that no framework will ever acknowledge. */
static void acknowledge_oneself(struct pf_master *m, struct m_agent *a, struct AgentUpdate x)
{
    struct TaskStatus s = AgentUpdate_status(x);

    if (TaskStatus_uuid(s).len > 0) {
        pf_m_send_acknowledge(m, a, AgentUpdate_framework_id(x),
                              TaskID_value(TaskStatus_task_id(s)), TaskStatus_uuid(s));
    }
}

static void note_status(struct pf_master *m, struct m_task *t, struct AgentUpdate x,
                        struct TaskStatus s)
{
    enum TaskState latest =
        AgentUpdate__has_latest_state(x) ? AgentUpdate_latest_state(x) : TaskStatus_state(s);

    pf_m_history_status(m, t, s);
    pf_m_blob_set(&t->status, AgentUpdate_status__bytes(x));
    t->is_pending = TaskStatus_uuid(s).len > 0;
    t->update_state = TaskStatus_state(s);
    if (AgentUpdate_started_ms(x) > 0) {
        t->started_ms = AgentUpdate_started_ms(x);
    }
    if (AgentUpdate_finished_ms(x) > 0) {
        t->finished_ms = AgentUpdate_finished_ms(x);
    }
    if (AgentUpdate_memory_peak_bytes(x) > 0) {
        t->memory_peak_bytes = AgentUpdate_memory_peak_bytes(x);
    }
    if (TaskStatus__has_exit_status(s)) {
        t->has_exit_status = true;
        t->exit_status = TaskStatus_exit_status(s);
    }
    if (TaskStatus__has_signal(s)) {
        t->has_signal = true;
        t->signal = TaskStatus_signal(s);
    }
    pf_m_task_set_state(m, t, latest, "update");
}

/* Is it of this very launch? */
static bool is_of(const struct m_task *t, const struct m_agent *a, struct AgentUpdate x)
{
    struct pf_bytes launch = AgentUpdate_launch_uuid(x);

    return t->agent == a && (launch.len == 0 || (launch.len == sizeof t->launch.b &&
                                                 memcmp(launch.at, t->launch.b, launch.len) == 0));
}

/* Is it of a launch whose end was acknowledged already (a link broke on the way)? */
static bool was_acknowledged(const struct m_framework *f, const struct m_agent *a,
                             struct AgentUpdate x, struct pf_str task_id)
{
    const struct m_task *t = pf_m_task_find(f, task_id);

    return t && t->is_history && AgentUpdate_launch_uuid(x).len > 0 && is_of(t, a, x);
}

void pf_m_on_agent_update(struct pf_master *m, struct m_peer *p, struct Envelope e)
{
    struct AgentUpdate x = Envelope_body_as_AgentUpdate(e);
    struct TaskStatus s = AgentUpdate_status(x);
    struct m_agent *a = p->agent;
    struct pf_str framework_id = AgentUpdate_framework_id(x);
    struct pf_str task_id = TaskID_value(TaskStatus_task_id(s));
    struct m_framework *f = pf_m_framework_get(m, framework_id);
    struct m_task *t;

    if (!a || !m_agent_is_registered(a) || task_id.len == 0 || !TaskStatus__has_state(s)) {
        m->stats.bad_messages++;
        pf_m_reply(m, p, Envelope_request_id(e), ReplyCode_CONFLICT,
                   "the agent is not registered, or the update is malformed");
        return;
    }
    m->stats.updates++;
    a->sequence = AgentUpdate_sequence(x) > a->sequence ? AgentUpdate_sequence(x) : a->sequence;
    a->seen_ms = m->wall_ms;
    if (!f) {
        acknowledge_oneself(m, a, x);
        pf_m_send_teardown(m, a, framework_id);
        return;
    }
    t = pf_m_task_get(f, task_id);
    if ((t && !is_of(t, a, x)) || (!t && was_acknowledged(f, a, x, task_id))) {
        acknowledge_oneself(m, a, x); /* of a twin that is being killed, or once more */
        return;
    }
    if (t) {
        note_status(m, t, x, s);
    }
    if (f->peer) {
        pf_m_send_status_bytes(m, f, AgentUpdate_status__bytes(x));
    }
    if (t && t->is_ended && !t->is_pending) {
        pf_m_task_to_history(m, t);
        pf_m_framework_maybe_done(m, f);
    }
    pf_m_reply(m, p, Envelope_request_id(e), ReplyCode_OK, "%s", "");
}

enum ReplyCode pf_m_acknowledge(struct pf_master *m, struct m_framework *f, struct pf_str task_id,
                                struct m_agent *a, struct pf_bytes uuid)
{
    struct m_task *t = pf_m_task_get(f, task_id);
    struct TaskStatus last;
    struct pf_bytes expected;

    if (!t && a && m_agent_is_registered(a)) { /* as in Mesos; the agent knows what it waits for */
        pf_m_send_acknowledge(m, a, pf_str(f->id), task_id, uuid);
    }
    if (!t || !m_agent_is_registered(t->agent)) {
        return ReplyCode_NOT_FOUND; /* the agent sends the update again when it is back */
    }
    pf_m_send_acknowledge(m, t->agent, pf_str(f->id), task_id, uuid);
    m->stats.acknowledgements++;
    last = TaskStatus__from_bytes(m_blob_bytes(&t->status));
    expected = TaskStatus_uuid(last);
    if (t->is_pending && expected.len == uuid.len && memcmp(expected.at, uuid.at, uuid.len) == 0) {
        t->is_pending = false;
        if (pf_m_state_is_terminal(TaskStatus_state(last))) {
            pf_m_task_to_history(m, t);
            pf_m_framework_maybe_done(m, f);
        }
    }
    return ReplyCode_OK;
}

void pf_m_updates_resend(struct pf_master *m, struct m_framework *f)
{
    struct pf_order_cursor c = {0};

    for (struct m_task *t; (t = pf_order_next(&f->task_order, &c));) {
        if (t->is_pending) {
            pf_m_send_status_bytes(m, f, m_blob_bytes(&t->status));
        }
    }
}
