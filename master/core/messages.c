/* SPDX-License-Identifier: Apache-2.0 */
/* Between schedulers and executors: framework messages both ways (at most once, nothing is kept),
 * SHUTDOWN, and the end of an executor. */
#include "common/base/limits.h"
#include "master/core/agents.h"
#include "master/core/executors.h"
#include "master/core/frameworks.h"
#include "master/core/out.h"

enum { MESSAGE_EXTRA_BYTES = 16 << 10 }; /* around the data, in a frame */

void pf_m_on_message_call(struct pf_master *m, struct m_peer *p, struct Scheduler_Call call,
                          uint64_t request_id)
{
    struct Scheduler_Call_Message x = Scheduler_Call_message(call);
    struct m_framework *f = p->framework;
    struct pf_str id = ExecutorID_value(Scheduler_Call_Message_executor_id(x));
    const struct m_agent *a = pf_m_agent_get(m, AgentID_value(Scheduler_Call_Message_agent_id(x)));

    if (!a || !m_agent_is_registered(a) || !pf_m_executor_get(a, f, id) ||
        Scheduler_Call_Message_data(x).len > PF_FRAME_MAX_BYTES - MESSAGE_EXTRA_BYTES) {
        m->stats.messages_dropped++;
    } else {
        struct pf_fb_builder *b = pf_m_builder(m);
        struct AgentMessage__args args = {.framework_id = pf_str(f->id),
                                          .executor_id = id,
                                          .data = Scheduler_Call_Message_data(x)};

        pf_m_send(m, a->peer, Body_AgentMessage, AgentMessage__put(b, &args));
        m->stats.messages++;
    }
    pf_m_reply(m, p, request_id, ReplyCode_ACCEPTED, "%s", "");
}

void pf_m_on_agent_message(struct pf_master *m, struct m_peer *p, struct Envelope e)
{
    struct AgentMessage x = Envelope_body_as_AgentMessage(e);
    const struct m_agent *a = p->agent;
    const struct m_framework *f = pf_m_framework_get(m, AgentMessage_framework_id(x));

    if (!a || !m_agent_is_registered(a) || !AgentMessage_from_executor(x) || !f || !f->peer ||
        AgentMessage_executor_id(x).len == 0 ||
        AgentMessage_data(x).len > PF_FRAME_MAX_BYTES - MESSAGE_EXTRA_BYTES) {
        m->stats.messages_dropped++;
    } else {
        struct pf_fb_builder *b = pf_m_builder(m);
        struct pf_bytes data = AgentMessage_data(x);
        struct Scheduler_Event_Message__args args = {
            .agent_id = AgentID__put(b, &(struct AgentID__args){.value = pf_str(a->id)}),
            .executor_id = ExecutorID__put(
                b, &(struct ExecutorID__args){.value = AgentMessage_executor_id(x)}),
            .data = {data.at ? data.at : (const uint8_t *)"", data.len}};

        pf_m_send_event(
            m, f->peer,
            &(struct Scheduler_Event__args){.type = PF_OPT(Scheduler_Event_Type_MESSAGE),
                                            .message = Scheduler_Event_Message__put(b, &args)});
        m->stats.messages++;
    }
    pf_m_reply(m, p, Envelope_request_id(e), ReplyCode_OK, "%s", "");
}

void pf_m_send_shutdown(struct pf_master *m, const struct m_executor *x)
{
    struct pf_fb_builder *b = pf_m_builder(m);
    struct AgentShutdownExecutor__args args = {.framework_id = pf_str(x->link->framework->id),
                                               .executor_id = m_executor_id(x)};

    pf_m_send(m, x->link->agent->peer, Body_AgentShutdownExecutor,
              AgentShutdownExecutor__put(b, &args));
}

void pf_m_on_shutdown_call(struct pf_master *m, struct m_peer *p, struct Scheduler_Call call,
                           uint64_t request_id)
{
    struct Scheduler_Call_Shutdown s = Scheduler_Call_shutdown(call);
    const struct m_agent *a = pf_m_agent_get(m, AgentID_value(Scheduler_Call_Shutdown_agent_id(s)));
    struct pf_str id = ExecutorID_value(Scheduler_Call_Shutdown_executor_id(s));
    struct m_executor *x = a ? pf_m_executor_get(a, p->framework, id) : NULL;

    if (!x) {
        m->stats.messages_dropped++;
    } else {
        x->is_shut_down = true; /* told again when the agent is back */
        if (m_agent_is_registered(a)) {
            pf_m_send_shutdown(m, x);
        }
    }
    pf_m_reply(m, p, request_id, ReplyCode_ACCEPTED, "%s", "");
}

static void tell_failure(struct pf_master *m, const struct m_agent *a, const struct m_framework *f,
                         struct AgentExecutorExited x)
{
    struct pf_fb_builder *b = pf_m_builder(m);
    struct Scheduler_Event_Failure__args args = {
        .agent_id = AgentID__put(b, &(struct AgentID__args){.value = pf_str(a->id)}),
        .executor_id = ExecutorID__put(
            b, &(struct ExecutorID__args){.value = AgentExecutorExited_executor_id(x)}),
        .status = PF_OPT(AgentExecutorExited_status(x))};

    pf_m_send_event(
        m, f->peer,
        &(struct Scheduler_Event__args){.type = PF_OPT(Scheduler_Event_Type_FAILURE),
                                        .failure = Scheduler_Event_Failure__put(b, &args)});
}

void pf_m_on_executor_exited(struct pf_master *m, struct m_peer *p, struct Envelope e)
{
    struct AgentExecutorExited told = Envelope_body_as_AgentExecutorExited(e);
    struct m_agent *a = p->agent;
    uint64_t sequence = AgentExecutorExited_sequence(told);
    struct pf_str id = AgentExecutorExited_executor_id(told);
    const struct m_framework *f;
    struct m_executor *x;
    bool is_news;

    if (!a || !m_agent_is_registered(a) || id.len == 0 || id.len > PF_ID_MAX) {
        m->stats.bad_messages++;
        pf_m_reply(m, p, Envelope_request_id(e), ReplyCode_CONFLICT,
                   "the agent is not registered, or the executor has no id");
        return;
    }
    is_news = sequence > a->sequence;
    a->sequence = is_news ? sequence : a->sequence;
    a->seen_ms = m->wall_ms;
    f = pf_m_framework_get(m, AgentExecutorExited_framework_id(told));
    x = f ? pf_m_executor_get(a, f, id) : NULL;
    is_news = is_news || x;
    if (x) {
        pf_m_executor_end(m, x);
    }
    /* One that was told before, or of which the last master knew, is told once more by nobody. */
    if (is_news && f && f->peer && !AgentExecutorExited_is_silent(told)) {
        tell_failure(m, a, f, told);
    }
    pf_m_reply(m, p, Envelope_request_id(e), ReplyCode_OK, "%s", "");
}
