/* SPDX-License-Identifier: Apache-2.0 */
/* Builds an executor's calls and sends them to the agent; messages that wait for it. */
#include <string.h>
#include "common/base/alloc.h"
#include "common/base/resources.h"
#include "common/link/envelope.h"
#include "framework/driver/executor_internal.h"

/* Wraps the call and sends it; `request_id` 0: no answer wanted. */
static void call_send(struct pf_executor_driver *d, struct Executor_Call__args *call,
                      uint64_t request_id, struct pf_fb_builder *b, struct pf_turn *t)
{
    struct pf_envelope e = {.request_id = request_id, .body_type = Body_Executor_Call};

    PF_ASSERT(d->peer != 0);
    call->executor_id =
        ExecutorID__put(b, &(struct ExecutorID__args){.value = pf_str(d->executor_id)});
    call->framework_id =
        FrameworkID__put(b, &(struct FrameworkID__args){.value = pf_str(d->framework_id)});
    pf_turn_send(t, d->peer, pf_msg_bytes(pf_envelope_finish(b, &e, Executor_Call__put(b, call))));
}

struct pf_msg exdrv_put_status(struct pf_executor_driver *d, const struct pf_executor_update *u,
                               struct pf_uuid *out_uuid, struct pf_turn *t)
{
    struct pf_fb_builder *b = pf_turn_builder(t);
    struct pf_uuid uuid = pf_uuid_random(&d->dice);
    struct TaskStatus__args args = {
        .task_id = TaskID__put(b, &(struct TaskID__args){.value = u->task_id}),
        .state = {true, u->state},
        .message = u->message,
        .source = {true, TaskStatus_Source_SOURCE_EXECUTOR},
        .data = u->data,
        .executor_id =
            ExecutorID__put(b, &(struct ExecutorID__args){.value = pf_str(d->executor_id)}),
        .timestamp = PF_OPT(pf_milli_to_double(d->wall_ms)),
        .uuid = {uuid.b, sizeof uuid.b},
        .healthy = u->healthy,
        .exit_status = u->exit_status,
        .signal = u->signal,
    };

    *out_uuid = uuid;
    return TaskStatus__finish(b, TaskStatus__put(b, &args));
}

/* The tasks of which no update was acknowledged. The agent wants to know which they are; it has
 * what they are. */
static struct pf_refs put_tasks(const struct pf_executor_driver *d, struct pf_fb_builder *b,
                                struct pf_turn *t)
{
    struct pf_ref *ref = pf_arena_alloc(pf_turn_arena(t), (d->tasks.len + 1) * sizeof *ref);
    const struct exdrv_task *task;
    uint32_t n = 0;

    TAILQ_FOREACH(task, &d->task_list, entry)
    {
        struct pf_fb_builder *nested = pf_turn_nested_builder(t);
        struct TaskInfo__args args = {.name = pf_str(task->id)};

        if (task->was_acked) {
            continue;
        }
        args.task_id = TaskID__put(nested, &(struct TaskID__args){.value = pf_str(task->id)});
        args.agent_id = AgentID__put(nested, &(struct AgentID__args){.value = PF_STR("")});
        ref[n++] = TaskInfo_Nested__put(
            b, &(struct TaskInfo_Nested__args){
                   .info = pf_msg_bytes(TaskInfo__finish(nested, TaskInfo__put(nested, &args)))});
    }
    return (struct pf_refs){ref, n};
}

/* The unacknowledged updates in their order, as far as there is room; the others follow one by one
 * when the agent has answered. */
static struct pf_refs put_updates(struct pf_executor_driver *d, struct pf_fb_builder *b,
                                  struct pf_turn *t)
{
    struct pf_ref *ref = pf_arena_alloc(pf_turn_arena(t), (d->n_updates + 1) * sizeof *ref);
    struct exdrv_update *u;
    uint32_t n = 0, bytes = 0;

    TAILQ_FOREACH(u, &d->updates, entry)
    {
        bytes += u->status.len + EXDRV_LISTED_TASK_BYTES;
        if (bytes > EXDRV_LISTED_MAX_BYTES) {
            break;
        }
        d->stats.resent += u->sent_in > 0 ? 1 : 0;
        u->sent_in = d->stats.subscriptions + 1; /* the one that is asked for */
        ref[n++] =
            Executor_Call_Update__put(b, &(struct Executor_Call_Update__args){.status = u->status});
    }
    return (struct pf_refs){ref, n};
}

void exdrv_send_subscribe(struct pf_executor_driver *d, struct pf_turn *t)
{
    struct pf_fb_builder *b = pf_turn_builder(t);
    struct Executor_Call__args call = {.type = {true, Executor_Call_Type_SUBSCRIBE}};
    struct Executor_Call_Subscribe__args args = {.token = pf_str(d->token)};

    args.unacknowledged_updates = put_updates(d, b, t);
    args.unacknowledged_tasks = put_tasks(d, b, t);
    call.subscribe = Executor_Call_Subscribe__put(b, &args);
    d->subscribe_request = ++d->next_request;
    call_send(d, &call, d->subscribe_request, b, t);
}

void exdrv_send_update(struct pf_executor_driver *d, struct pf_bytes status, struct pf_turn *t)
{
    struct pf_fb_builder *b = pf_turn_builder(t);
    struct Executor_Call__args call = {.type = {true, Executor_Call_Type_UPDATE}};

    call.update =
        Executor_Call_Update__put(b, &(struct Executor_Call_Update__args){.status = status});
    call_send(d, &call, 0, b, t);
}

static void send_message(struct pf_executor_driver *d, struct pf_bytes data, struct pf_turn *t)
{
    struct pf_fb_builder *b = pf_turn_builder(t);
    struct Executor_Call__args call = {.type = {true, Executor_Call_Type_MESSAGE}};

    call.message =
        Executor_Call_Message__put(b, &(struct Executor_Call_Message__args){.data = data});
    call_send(d, &call, 0, b, t);
}

/* --- messages --------------------------------------------------------------------------------- */

int pf_executor_driver_may_send(const struct pf_executor_driver *d, uint32_t bytes,
                                struct pf_err *err)
{
    bool waits = d->sm.state != EXDRV_SUBSCRIBED;

    if (d->sm.state == EXDRV_ENDED || d->is_stopping) {
        return pf_err_set(err, PF_ECANCELED, "the executor has stopped");
    }
    if (bytes > PF_EXECUTOR_MESSAGE_MAX_BYTES) {
        return pf_err_set(err, PF_ELIMIT, "a message has at most %u bytes",
                          PF_EXECUTOR_MESSAGE_MAX_BYTES);
    }
    if (waits && (d->n_messages == EXDRV_MESSAGES_MAX ||
                  d->message_bytes + bytes > EXDRV_MESSAGES_MAX_BYTES)) {
        return pf_err_set(err, PF_ELIMIT, "too many messages wait for the agent");
    }
    return 0;
}

void exdrv_message(struct pf_executor_driver *d, struct pf_bytes data, struct pf_turn *t)
{
    struct exdrv_message *m;

    if (pf_executor_driver_may_send(d, data.len, NULL) < 0) {
        d->stats.dropped_messages++;
        return;
    }
    if (!data.at) {
        data.at = (const uint8_t *)"";
    }
    if (d->sm.state == EXDRV_SUBSCRIBED) {
        send_message(d, data, t);
        return;
    }
    m = PF_NEW(struct exdrv_message);
    m->data =
        (struct pf_bytes){(const uint8_t *)pf_strndup((const char *)data.at, data.len), data.len};
    STAILQ_INSERT_TAIL(&d->messages, m, entry);
    d->n_messages++;
    d->message_bytes += data.len;
}

static void message_free(struct pf_executor_driver *d, struct exdrv_message *m)
{
    STAILQ_REMOVE_HEAD(&d->messages, entry);
    d->n_messages--;
    d->message_bytes -= m->data.len;
    pf_free((void *)(uintptr_t)m->data.at);
    pf_free(m);
}

void exdrv_messages_fini(struct pf_executor_driver *d)
{
    while (!STAILQ_EMPTY(&d->messages)) {
        message_free(d, STAILQ_FIRST(&d->messages));
    }
}

void exdrv_send_rest(struct pf_executor_driver *d, struct pf_turn *t)
{
    struct exdrv_update *u;

    TAILQ_FOREACH(u, &d->updates, entry)
    {
        if (u->sent_in != d->stats.subscriptions) {
            d->stats.resent += u->sent_in > 0 ? 1 : 0;
            u->sent_in = d->stats.subscriptions;
            exdrv_send_update(d, u->status, t);
        }
    }
    while (!STAILQ_EMPTY(&d->messages)) {
        struct exdrv_message *m = STAILQ_FIRST(&d->messages);

        send_message(d, m->data, t);
        message_free(d, m);
    }
}
