/* SPDX-License-Identifier: Apache-2.0 */
/* See out.h. */
#include "master/core/out.h"

#include <stdarg.h>
#include "common/base/alloc.h"
#include "common/base/limits.h"

struct pf_fb_builder *pf_m_builder(struct pf_master *m)
{
    m->b = pf_turn_builder(m->turn);
    return m->b;
}

struct pf_arena *pf_m_arena(struct pf_master *m)
{
    return pf_turn_arena(m->turn);
}

static struct pf_msg finish_envelope(struct pf_master *m, struct Envelope__args *args)
{
    args->incarnation = (struct pf_bytes){m->incarnation.b, sizeof m->incarnation.b};
    args->epoch = m->epoch;
    return Envelope__finish(m->b, Envelope__put(m->b, args));
}

static void send_envelope(struct pf_master *m, struct m_peer *p, struct Envelope__args *args)
{
    if (p && !p->is_closed) {
        pf_turn_send(m->turn, p->id, pf_msg_bytes(finish_envelope(m, args)));
    }
}

void pf_m_send(struct pf_master *m, struct m_peer *p, enum Body type, struct pf_ref body)
{
    send_envelope(m, p, &(struct Envelope__args){.body_type = type, .body = body});
}

void pf_m_send_event(struct pf_master *m, struct m_peer *p,
                     const struct Scheduler_Event__args *args)
{
    pf_m_send(m, p, Body_Scheduler_Event, Scheduler_Event__put(m->b, args));
}

void pf_m_reply(struct pf_master *m, struct m_peer *p, uint64_t request_id, enum ReplyCode code,
                const char *fmt, ...)
{
    va_list ap;

    if (request_id == 0) {
        return;
    }
    va_start(ap, fmt);
    struct pf_str text = pf_arena_vprintf(pf_m_arena(m), fmt, ap);

    va_end(ap);
    struct pf_ref body = Reply__put(pf_m_builder(m), &(struct Reply__args){0});

    send_envelope(m, p,
                  &(struct Envelope__args){.request_id = request_id,
                                           .is_reply = true,
                                           .code = code,
                                           .text = text.len > 0 ? text : (struct pf_str){NULL, 0},
                                           .body_type = Body_Reply,
                                           .body = body});
}

void pf_m_reply_body(struct pf_master *m, struct m_peer *p, uint64_t request_id, enum Body type,
                     struct pf_ref body)
{
    send_envelope(m, p,
                  &(struct Envelope__args){.request_id = request_id,
                                           .is_reply = true,
                                           .code = ReplyCode_OK,
                                           .body_type = type,
                                           .body = body});
}

void pf_m_request(struct pf_master *m, struct m_peer *p, uint64_t request_id, enum Body type,
                  struct pf_ref body)
{
    send_envelope(
        m, p, &(struct Envelope__args){.request_id = request_id, .body_type = type, .body = body});
}

void pf_m_close(struct pf_master *m, struct m_peer *p)
{
    if (!p->is_closed) {
        pf_turn_close(m->turn, p->id);
        p->is_closed = true;
    }
}

/* --- the scheduler API --- */

void pf_m_send_subscribed(struct pf_master *m, struct m_framework *f)
{
    struct pf_fb_builder *b = pf_m_builder(m);
    struct MasterInfo__args info = {.id = pf_str(m->o.instance),
                                    .hostname = pf_str(m->o.hostname),
                                    .pid = pf_str(m->o.address),
                                    .version = pf_str(PF_VERSION)};
    struct Scheduler_Event_Subscribed__args args = {.heartbeat_interval_seconds =
                                                        PF_OPT(pf_milli_to_double(PF_HEARTBEAT_MS)),
                                                    .generation = f->generation,
                                                    .epoch = m->epoch};

    args.master_info = MasterInfo__put(b, &info);
    args.framework_id = FrameworkID__put(b, &(struct FrameworkID__args){.value = pf_str(f->id)});
    pf_m_send_event(
        m, f->peer,
        &(struct Scheduler_Event__args){.type = PF_OPT(Scheduler_Event_Type_SUBSCRIBED),
                                        .subscribed = Scheduler_Event_Subscribed__put(b, &args)});
}

void pf_m_send_error(struct pf_master *m, struct m_peer *p, struct pf_str message)
{
    struct pf_fb_builder *b = pf_m_builder(m);

    pf_turn_fence(m->turn);
    pf_m_send_event(m, p,
                    &(struct Scheduler_Event__args){
                        .type = PF_OPT(Scheduler_Event_Type_ERROR),
                        .error = Scheduler_Event_Error__put(
                            b, &(struct Scheduler_Event_Error__args){.message = message})});
}

void pf_m_send_rescind(struct pf_master *m, const struct m_offer *o)
{
    struct pf_fb_builder *b = pf_m_builder(m);
    struct pf_ref id = OfferID__put(b, &(struct OfferID__args){.value = {o->id, o->id_len}});

    pf_m_send_event(m, o->framework->peer,
                    &(struct Scheduler_Event__args){
                        .type = PF_OPT(Scheduler_Event_Type_RESCIND),
                        .rescind = Scheduler_Event_Rescind__put(
                            b, &(struct Scheduler_Event_Rescind__args){.offer_id = id})});
}

void pf_m_send_status_bytes(struct pf_master *m, struct m_framework *f, struct pf_bytes status)
{
    const struct pf_bytes parts[M_STAMP_PARTS] = {status};

    if (!f->peer || f->peer->is_closed) {
        return;
    }
    struct pf_bytes message = pf_m_stamp_use(&m->update_stamps, pf_m_arena(m), parts);

    if (!message.at) {
        struct pf_fb_builder *b = pf_m_builder(m);
        struct pf_ref update = Scheduler_Event_Update__put(
            b, &(struct Scheduler_Event_Update__args){.status = status});
        struct Scheduler_Event__args event = {.type = PF_OPT(Scheduler_Event_Type_UPDATE),
                                              .update = update};
        struct Envelope__args args = {.body_type = Body_Scheduler_Event,
                                      .body = Scheduler_Event__put(b, &event)};
        struct pf_msg msg = finish_envelope(m, &args);
        struct Scheduler_Event built = Envelope_body_as_Scheduler_Event(Envelope__root(msg));
        const struct pf_bytes at[M_STAMP_PARTS] = {
            Scheduler_Event_Update_status__bytes(Scheduler_Event_update(built))};

        message = pf_msg_bytes(msg);
        pf_m_stamp_learn(&m->update_stamps, message, at);
    }
    pf_turn_send(m->turn, f->peer->id, message);
}

/* What a known task's last status says beyond its state. */
static void status_copy_like(struct pf_fb_builder *b, const struct m_task *like,
                             struct TaskStatus__args *args)
{
    struct TaskStatus last = TaskStatus__from_bytes(m_blob_bytes(&like->status));

    if (TaskStatus__has_healthy(last)) {
        args->healthy = (struct pf_opt_bool)PF_OPT(TaskStatus_healthy(last));
    }
    if (TaskStatus__has_check_status(last)) {
        args->check_status = CheckStatusInfo__copy(b, TaskStatus_check_status(last));
    }
    if (TaskStatus__has_container_status(last)) {
        args->container_status = ContainerStatus__copy(b, TaskStatus_container_status(last));
    }
    if (like->has_exit_status) {
        args->exit_status = (struct pf_opt_i32)PF_OPT(like->exit_status);
    }
    if (like->has_signal) {
        args->signal = (struct pf_opt_i32)PF_OPT(like->signal);
    }
}

/* What cannot be taken back is said only by who leads for certain (DESIGN 7, rule 7). */
static bool is_negative(enum TaskState s)
{
    switch (s) {
    case TaskState_TASK_LOST:
    case TaskState_TASK_DROPPED:
    case TaskState_TASK_UNREACHABLE:
    case TaskState_TASK_GONE:
    case TaskState_TASK_GONE_BY_OPERATOR:
    case TaskState_TASK_UNKNOWN:
    case TaskState_TASK_ERROR: return true;
    case TaskState_TASK_STAGING:
    case TaskState_TASK_STARTING:
    case TaskState_TASK_RUNNING:
    case TaskState_TASK_KILLING:
    case TaskState_TASK_FINISHED:
    case TaskState_TASK_FAILED:
    case TaskState_TASK_KILLED: break;
    }
    return false;
}

void pf_m_send_status(struct pf_master *m, struct m_framework *f, const struct m_status *s)
{
    struct pf_fb_builder *b = pf_turn_nested_builder(m->turn);
    struct TaskStatus__args args = {
        .state = PF_OPT(s->state),
        .message = s->message,
        .source = PF_OPT(TaskStatus_Source_SOURCE_MASTER),
        .timestamp = PF_OPT(pf_milli_to_double(m->wall_ms)),
    };

    if (is_negative(s->state)) {
        pf_turn_fence(m->turn);
    }
    if (s->has_reason) {
        args.reason = (struct TaskStatus_Reason__opt)PF_OPT(s->reason);
    }
    if (s->unreachable_ms > 0) {
        args.unreachable_time = TimeInfo__put(
            b, &(struct TimeInfo__args){.nanoseconds = PF_OPT(s->unreachable_ms * 1000000)});
    }
    if (s->like) {
        status_copy_like(b, s->like, &args);
    }
    args.task_id = TaskID__put(b, &(struct TaskID__args){.value = s->task_id});
    if (s->agent_id.at) {
        args.agent_id = AgentID__put(b, &(struct AgentID__args){.value = s->agent_id});
    }
    pf_m_send_status_bytes(m, f, pf_msg_bytes(TaskStatus__finish(b, TaskStatus__put(b, &args))));
}

/* --- to agents --- */

/* How long the task has between the first signal and SIGKILL, unless a kill says otherwise. */
static int64_t own_grace_ms(const struct m_task *t)
{
    struct Task x = Task__from_bytes(m_blob_bytes(&t->summary));
    struct DurationInfo d = KillPolicy_grace_period(Task_kill_policy(x));

    if (DurationInfo__has_nanoseconds(d)) {
        return DurationInfo_nanoseconds(d) / 1000000;
    }
    return Task_grace_ms(x) > 0 ? Task_grace_ms(x) : PF_KILL_GRACE_MS;
}

void pf_m_note_kill(struct pf_master *m, struct m_task *t, const int64_t *grace_ms, bool is_most)
{
    int64_t ms = own_grace_ms(t);

    if (grace_ms && (!is_most || *grace_ms < ms)) {
        ms = *grace_ms;
    }
    if (t->kill_deadline_ms == 0 || m->wall_ms + ms < t->kill_deadline_ms) {
        t->kill_deadline_ms = m->wall_ms + ms;
    }
}

void pf_m_send_drain_kill(struct pf_master *m, struct m_task *t)
{
    struct pf_fb_builder *b = pf_m_builder(m);
    const struct m_drain *d = &t->agent->drain;
    struct AgentKill__args args = {.framework_id = pf_str(t->framework->id),
                                   .task_id = {t->id, t->id_len},
                                   .launch_uuid = {t->launch.b, sizeof t->launch.b},
                                   .reason = PF_OPT(TaskStatus_Reason_REASON_AGENT_DRAINING)};

    if (d->has_grace) {
        args.grace_ms = (struct pf_opt_i64)PF_OPT(d->grace_ms);
    }
    pf_m_note_kill(m, t, d->has_grace ? &d->grace_ms : NULL, true);
    pf_m_send(m, t->agent->peer, Body_AgentKill, AgentKill__put(b, &args));
}

void pf_m_send_leave(struct pf_master *m, struct m_peer *p, bool is_gone, const int64_t *grace_ms,
                     struct pf_str text)
{
    struct pf_fb_builder *b = pf_m_builder(m);
    struct AgentLeave__args args = {.text = text, .is_gone = is_gone};

    if (grace_ms) {
        args.grace_max_ms = (struct pf_opt_i64)PF_OPT(*grace_ms);
    }
    pf_m_send(m, p, Body_AgentLeave, AgentLeave__put(b, &args));
}

void pf_m_send_kill(struct pf_master *m, struct m_task *t)
{
    struct pf_fb_builder *b = pf_m_builder(m);
    struct AgentKill__args args = {.framework_id = pf_str(t->framework->id),
                                   .task_id = {t->id, t->id_len},
                                   .launch_uuid = {t->launch.b, sizeof t->launch.b}};

    if (t->has_kill_grace) {
        args.grace_ms = (struct pf_opt_i64)PF_OPT(t->kill_grace_ms);
    }
    if (t->has_kill_signal) {
        args.signal = (struct pf_opt_i32)PF_OPT(t->kill_signal);
    }
    pf_m_note_kill(m, t, t->has_kill_grace ? &t->kill_grace_ms : NULL, false);
    pf_m_send(m, t->agent->peer, Body_AgentKill, AgentKill__put(b, &args));
}

void pf_m_send_teardown(struct pf_master *m, struct m_agent *a, struct pf_str framework_id)
{
    struct pf_fb_builder *b = pf_m_builder(m);

    a->needs_list = true; /* it may not hear of this */
    pf_turn_fence(m->turn);
    pf_m_send(m, a->peer, Body_AgentTeardown,
              AgentTeardown__put(b, &(struct AgentTeardown__args){.framework_id = framework_id}));
}

static struct pf_bytes str_bytes(struct pf_str s)
{
    return (struct pf_bytes){(const uint8_t *)s.at, s.len};
}

void pf_m_send_acknowledge(struct pf_master *m, struct m_agent *a, struct pf_str framework_id,
                           struct pf_str task_id, struct pf_bytes uuid)
{
    const struct pf_bytes parts[M_STAMP_PARTS] = {str_bytes(framework_id), str_bytes(task_id),
                                                  uuid};

    if (!a->peer || a->peer->is_closed) {
        return;
    }
    struct pf_bytes message = pf_m_stamp_use(&m->acknowledge_stamps, pf_m_arena(m), parts);

    if (!message.at) {
        struct pf_fb_builder *b = pf_m_builder(m);
        struct AgentAcknowledge__args body = {
            .framework_id = framework_id, .task_id = task_id, .uuid = uuid};
        struct Envelope__args args = {.body_type = Body_AgentAcknowledge,
                                      .body = AgentAcknowledge__put(b, &body)};
        struct pf_msg msg = finish_envelope(m, &args);
        struct AgentAcknowledge built = Envelope_body_as_AgentAcknowledge(Envelope__root(msg));
        const struct pf_bytes at[M_STAMP_PARTS] = {str_bytes(AgentAcknowledge_framework_id(built)),
                                                   str_bytes(AgentAcknowledge_task_id(built)),
                                                   AgentAcknowledge_uuid(built)};

        message = pf_msg_bytes(msg);
        pf_m_stamp_learn(&m->acknowledge_stamps, message, at);
    }
    pf_turn_send(m->turn, a->peer->id, message);
}

/* --- owned bytes --- */

void pf_m_blob_set(struct m_blob *blob, struct pf_bytes bytes)
{
    if (blob->len == bytes.len && bytes.len > 0) {
        memcpy(blob->at, bytes.at, bytes.len);
        return;
    }
    pf_free(blob->at);
    blob->at = pf_memdup(bytes.at, bytes.len);
    blob->len = bytes.len;
}

void pf_m_blob_fini(struct m_blob *blob)
{
    PF_FREE(blob->at);
    blob->len = 0;
}

void pf_m_text_set(char **text, struct pf_str s)
{
    pf_free(*text);
    *text = pf_strndup(s.at ? s.at : "", s.len);
}
