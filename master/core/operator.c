/* SPDX-License-Identifier: Apache-2.0 */
/* The table of operator calls, and the short ones. */
#include "master/core/operator.h"

#include <string.h>
#include "master/core/drain.h"
#include "master/core/frameworks.h"
#include "master/core/masters.h"
#include "master/core/out.h"
#include "master/core/peers.h"
#include "master/core/removals.h"
#include "master/core/tasks.h"

void pf_m_respond(struct pf_master *m, const struct m_call *c,
                  const struct Master_Response__args *args)
{
    struct Master_Response__args whole = *args;

    if (!m->is_leading) {
        whole.stale = pf_m_stale_put(m);
    }
    pf_m_reply_body(m, c->peer, c->request_id, Body_Master_Response,
                    Master_Response__put(m->b, &whole));
}

static void on_get_health(struct pf_master *m, const struct m_call *c)
{
    struct pf_str trouble = pf_m_trouble(m);
    struct pf_fb_builder *b = pf_m_builder(m);

    pf_m_respond(
        m, c,
        &(struct Master_Response__args){.type = PF_OPT(Master_Response_Type_GET_HEALTH),
                                        .get_health = Master_Response_GetHealth__put(
                                            b, &(struct Master_Response_GetHealth__args){
                                                   .healthy = PF_OPT(true), .trouble = trouble})});
}

static void on_get_version(struct pf_master *m, const struct m_call *c)
{
    struct pf_fb_builder *b = pf_m_builder(m);
    struct pf_ref info =
        VersionInfo__put(b, &(struct VersionInfo__args){.version = PF_STR(PF_VERSION)});

    pf_m_respond(m, c,
                 &(struct Master_Response__args){
                     .type = PF_OPT(Master_Response_Type_GET_VERSION),
                     .get_version = Master_Response_GetVersion__put(
                         b, &(struct Master_Response_GetVersion__args){.version_info = info})});
}

static void on_get_state(struct pf_master *m, const struct m_call *c)
{
    struct pf_fb_builder *b = pf_m_builder(m);
    struct Master_Response_GetTasks__args tasks = {.tasks = {NULL, 0}};
    struct Master_Response_GetFrameworks__args frameworks = {.frameworks = {NULL, 0}};
    struct Master_Response_GetAgents__args agents = {.agents = {NULL, 0}};
    struct Master_Response_GetExecutors__args executors = {.executors = {NULL, 0}};
    struct Master_Response_GetState__args state = {
        .get_tasks = Master_Response_GetTasks__put(b, &tasks),
        .get_frameworks = Master_Response_GetFrameworks__put(b, &frameworks),
        .get_agents = Master_Response_GetAgents__put(b, &agents),
        .get_executors = Master_Response_GetExecutors__put(b, &executors)};

    /* A step is bounded: the parts are lists of their own, read page by page. */
    pf_m_respond(
        m, c,
        &(struct Master_Response__args){.type = PF_OPT(Master_Response_Type_GET_STATE),
                                        .get_state = Master_Response_GetState__put(b, &state)});
}

/* The live framework that the peer may touch; NULL: it was answered. */
static struct m_framework *touchable(struct pf_master *m, const struct m_call *c, struct pf_str id)
{
    struct m_framework *f = pf_m_framework_get(m, id);

    if (!f) {
        bool is_over = pf_m_framework_completed(m, id) != NULL;

        pf_m_reply(m, c->peer, c->request_id, is_over ? ReplyCode_CONFLICT : ReplyCode_NOT_FOUND,
                   "framework %.*s %s", PF_STR_ARG(id), is_over ? "has ended" : "does not exist");
        return NULL;
    }
    if (!pf_m_peer_may_touch(c->peer, f)) {
        pf_m_reply(m, c->peer, c->request_id, ReplyCode_FORBIDDEN, "framework %s belongs to others",
                   f->id);
        return NULL;
    }
    return f;
}

bool pf_m_call_has(struct pf_master *m, const struct m_call *c, bool has, const char *name)
{
    if (!has) {
        pf_m_reply(m, c->peer, c->request_id, ReplyCode_BAD_REQUEST,
                   "Failed to validate master::Call: Expecting '%s' to be present", name);
    }
    return has;
}

static void on_teardown(struct pf_master *m, const struct m_call *c)
{
    struct Master_Call_Teardown x = Master_Call_teardown(c->call);

    if (!pf_m_call_has(m, c, Master_Call__has_teardown(c->call), "teardown")) {
        return;
    }
    struct m_framework *f =
        touchable(m, c, FrameworkID_value(Master_Call_Teardown_framework_id(x)));
    if (f) {
        pf_m_reply(m, c->peer, c->request_id, ReplyCode_OK, "%s", "");
        pf_m_framework_remove(m, f, "teardown", "Framework has been removed");
    }
}

static void on_kill_task(struct pf_master *m, const struct m_call *c)
{
    if (!pf_m_call_has(m, c, Master_Call__has_kill_task(c->call), "kill_task")) {
        return;
    }
    struct Master_Call_KillTask x = Master_Call_kill_task(c->call);
    struct m_framework *f = touchable(m, c, Master_Call_KillTask_framework_id(x));
    struct pf_str id = Master_Call_KillTask_task_id(x);
    int64_t grace_ms = Master_Call_KillTask_grace_ms(x);
    int32_t signal = Master_Call_KillTask_signal(x);
    struct m_task *t = f ? pf_m_task_find(f, id) : NULL;

    if (!f) {
        return;
    }
    if (!t) {
        pf_m_reply(m, c->peer, c->request_id, ReplyCode_NOT_FOUND, "task %.*s does not exist",
                   PF_STR_ARG(id));
    } else if (t->is_ended) {
        pf_m_reply(m, c->peer, c->request_id, ReplyCode_CONFLICT, "task %s has ended", t->id);
    } else {
        pf_m_task_kill(m, t, Master_Call_KillTask__has_grace_ms(x) ? &grace_ms : NULL,
                       Master_Call_KillTask__has_signal(x) ? &signal : NULL);
        pf_m_reply(m, c->peer, c->request_id, ReplyCode_ACCEPTED, "%s", "");
    }
}

static void on_acknowledge_task(struct pf_master *m, const struct m_call *c)
{
    struct Master_Call_AcknowledgeTask x = Master_Call_acknowledge_task(c->call);
    struct m_framework *f = touchable(m, c, Master_Call_AcknowledgeTask_framework_id(x));
    struct pf_str id = Master_Call_AcknowledgeTask_task_id(x);
    struct pf_bytes uuid = Master_Call_AcknowledgeTask_uuid(x);
    struct m_task *t = f ? pf_m_task_find(f, id) : NULL;
    uint8_t own[sizeof(struct pf_uuid)];

    if (!f) {
        return;
    }
    if (f->peer) {
        pf_m_reply(m, c->peer, c->request_id, ReplyCode_CONFLICT,
                   "framework %s is connected: its updates are its own", f->id);
    } else if (!t) {
        pf_m_reply(m, c->peer, c->request_id, ReplyCode_NOT_FOUND, "task %.*s does not exist",
                   PF_STR_ARG(id));
    } else if (!t->is_pending) {
        pf_m_reply(m, c->peer, c->request_id, ReplyCode_OK, "nothing to acknowledge");
    } else {
        if (uuid.len == 0) {
            uuid = TaskStatus_uuid(TaskStatus__from_bytes(m_blob_bytes(&t->status)));
        }
        if (uuid.len == sizeof own) { /* the framework may go with its last task */
            memcpy(own, uuid.at, sizeof own);
            uuid.at = own;
        }
        enum ReplyCode code = pf_m_acknowledge(m, f, id, NULL, uuid);

        pf_m_reply(m, c->peer, c->request_id,
                   code == ReplyCode_OK ? ReplyCode_OK : ReplyCode_UNAVAILABLE, "%s",
                   code == ReplyCode_OK ? "" : "the task's agent is not connected");
    }
}

static const struct {
    enum Master_Call_Type type;
    bool on_standby; /* read from what a standby knows too */
    void (*handle)(struct pf_master *m, const struct m_call *c);
} calls[] = {
    {Master_Call_Type_GET_HEALTH, true, on_get_health},
    {Master_Call_Type_GET_VERSION, true, on_get_version},
    {Master_Call_Type_GET_STATE, true, on_get_state},
    {Master_Call_Type_GET_AGENTS, true, pf_m_on_get_agents},
    {Master_Call_Type_GET_FRAMEWORKS, true, pf_m_on_get_frameworks},
    {Master_Call_Type_GET_EXECUTORS, false, pf_m_on_get_executors},
    {Master_Call_Type_GET_TASKS, false, pf_m_on_get_tasks},
    {Master_Call_Type_GET_OFFERS, false, pf_m_on_get_offers},
    {Master_Call_Type_GET_MASTER, true, pf_m_on_get_master},
    {Master_Call_Type_GET_MASTERS, true, pf_m_on_get_masters},
    {Master_Call_Type_GET_REGISTRY, true, pf_m_on_get_registry},
    {Master_Call_Type_STEP_DOWN, false, pf_m_on_step_down},
    {Master_Call_Type_MARK_AGENT_GONE, false, pf_m_on_mark_agent_gone},
    {Master_Call_Type_DRAIN_AGENT, false, pf_m_on_drain_agent},
    {Master_Call_Type_DEACTIVATE_AGENT, false, pf_m_on_deactivate_agent},
    {Master_Call_Type_REACTIVATE_AGENT, false, pf_m_on_reactivate_agent},
    {Master_Call_Type_LEAVE_AGENT, false, pf_m_on_leave_agent},
    {Master_Call_Type_TEARDOWN, false, on_teardown},
    {Master_Call_Type_KILL_TASK, false, on_kill_task},
    {Master_Call_Type_WHY, false, pf_m_on_why},
    {Master_Call_Type_FIND, true, pf_m_on_find},
    {Master_Call_Type_WAIT_TASKS, false, pf_m_on_wait_tasks},
    {Master_Call_Type_ACKNOWLEDGE_TASK, false, on_acknowledge_task},
};

void pf_m_on_master_call(struct pf_master *m, struct m_peer *p, struct Envelope e)
{
    struct m_call c = {p, Envelope_request_id(e), Envelope_body_as_Master_Call(e)};
    enum Master_Call_Type type = Master_Call_type(c.call);

    if (c.request_id == 0) { /* nobody would hear the answer */
        m->stats.bad_messages++;
        return;
    }
    for (size_t i = 0; i < PF_ARRAY_LEN(calls); i++) {
        if (calls[i].type != type) {
            continue;
        }
        if (m->is_leading || calls[i].on_standby) {
            calls[i].handle(m, &c);
        } else {
            pf_m_reply_not_leader(m, p, c.request_id);
        }
        return;
    }
    const char *name = Master_Call_Type__str((int)type);

    m->stats.bad_messages++;
    pf_m_reply(m, p, c.request_id, ReplyCode_UNSUPPORTED, "call %s is not supported",
               name ? name : "of an unknown type");
}
