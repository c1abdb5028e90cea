/* SPDX-License-Identifier: Apache-2.0 */
/* ACCEPT: several offers of one agent, operations in order; every task is launched or answered. */
#include <string.h>
#include "common/base/limits.h"
#include "master/core/agents.h"
#include "master/core/demand.h"
#include "master/core/offers.h"
#include "master/core/out.h"
#include "master/core/tasks.h"
#include "master/core/validate.h"

enum { LAUNCH_BYTES_MAX = 1 << 20 }; /* of TaskInfos in one AgentLaunch */

struct acceptance {
    struct m_framework *f;
    struct Scheduler_Call_Accept x;
    struct m_offer **offer;
    uint32_t n_offers;
    struct m_agent *agent;
    struct pf_resources left, used;
    uint32_t n_launched;
    struct pf_ref *launch; /* AgentLaunchTask, of the message being gathered */
    uint32_t n_pending, pending_bytes;
    struct pf_str unsupported; /* the first operation that was refused without a task to tell it */
};

/* --- what cannot be --- */

static void tell_task(struct pf_master *m, const struct acceptance *c, struct TaskInfo info,
                      enum TaskState state, enum TaskStatus_Reason reason, const char *text)
{
    m->stats.tasks_refused++;
    pf_m_send_status(m, c->f,
                     &(struct m_status){.task_id = TaskID_value(TaskInfo_task_id(info)),
                                        .agent_id = AgentID_value(TaskInfo_agent_id(info)),
                                        .state = state,
                                        .has_reason = true,
                                        .reason = reason,
                                        .message = pf_str(text)});
}

static void tell_operation(struct pf_master *m, const struct acceptance *c,
                           struct Offer_Operation op, const char *text)
{
    struct pf_fb_builder *b;
    struct OperationStatus__args status = {.state = PF_OPT(OperationState_OPERATION_ERROR),
                                           .message = pf_str(text)};

    if (!Offer_Operation__has_id(op)) {
        return;
    }
    pf_turn_fence(m->turn);
    b = pf_m_builder(m);
    status.operation_id = OperationID__copy(b, Offer_Operation_id(op));
    pf_m_send_event(m, c->f->peer,
                    &(struct Scheduler_Event__args){
                        .type = PF_OPT(Scheduler_Event_Type_UPDATE_OPERATION_STATUS),
                        .update_operation_status = Scheduler_Event_UpdateOperationStatus__put(
                            b, &(struct Scheduler_Event_UpdateOperationStatus__args){
                                   .status = OperationStatus__put(b, &status)})});
}

/* Every task of the operation gets the same answer. */
static void refuse_operation(struct pf_master *m, struct acceptance *c, struct Offer_Operation op,
                             enum TaskState state, enum TaskStatus_Reason reason, const char *text)
{
    struct Offer_Operation_Launch launch = Offer_Operation_launch(op);
    struct TaskGroupInfo group =
        Offer_Operation_LaunchGroup_task_group(Offer_Operation_launch_group(op));

    for (uint32_t i = 0; i < Offer_Operation_Launch_task_infos__len(launch); i++) {
        tell_task(m, c, TaskInfo_Nested_info(Offer_Operation_Launch_task_infos__at(launch, i)),
                  state, reason, text);
    }
    for (uint32_t i = 0; i < TaskGroupInfo_tasks__len(group); i++) {
        tell_task(m, c, TaskInfo_Nested_info(TaskGroupInfo_tasks__at(group, i)), state, reason,
                  text);
    }
    tell_operation(m, c, op, text);
}

/* --- offers --- */

/* NULL, or why the offers cannot be used together. */
static const char *gather_offers(struct pf_master *m, struct acceptance *c)
{
    uint32_t n = Scheduler_Call_Accept_offer_ids__len(c->x);
    const char *problem = n == 0 ? "No offers specified" : NULL;

    c->offer = pf_arena_alloc(pf_m_arena(m), (n + 1) * sizeof(struct m_offer *));
    for (uint32_t i = 0; i < n; i++) {
        struct pf_str id = OfferID_value(Scheduler_Call_Accept_offer_ids__at(c->x, i));
        struct m_offer *o = pf_m_offer_get(m, id);
        bool is_twice = false;

        for (uint32_t k = 0; k < c->n_offers && o; k++) {
            is_twice = is_twice || c->offer[k] == o;
        }
        if (!o || o->framework != c->f) {
            problem =
                pf_arena_printf(pf_m_arena(m), "Offer %.*s is no longer valid", PF_STR_ARG(id)).at;
        } else if (is_twice) {
            problem = "Duplicate offer in list";
        } else {
            c->offer[c->n_offers++] = o;
            if (o->agent != c->offer[0]->agent) {
                problem = "Aggregated offers must belong to one single agent";
            }
        }
    }
    return problem;
}

static void refuse_all(struct pf_master *m, struct acceptance *c, const char *problem)
{
    enum TaskState state = c->f->is_partition_aware ? TaskState_TASK_DROPPED : TaskState_TASK_LOST;
    const char *text =
        pf_arena_printf(pf_m_arena(m), "Task launched with invalid offers: %s", problem).at;

    for (uint32_t i = 0; i < c->n_offers; i++) {
        pf_m_offer_end(m, c->offer[i], M_OFFER_RESCINDED, "invalid_accept", false);
    }
    for (uint32_t i = 0; i < Scheduler_Call_Accept_operations__len(c->x); i++) {
        refuse_operation(m, c, Scheduler_Call_Accept_operations__at(c->x, i), state,
                         TaskStatus_Reason_REASON_INVALID_OFFERS, text);
    }
    m->stats.bad_messages++;
}

/* --- launches --- */

struct launch_item {
    struct pf_bytes info;
    struct pf_str user;
    struct pf_uuid uuid;
};

/* Sends the launches gathered so far to the agent. */
static void flush(struct pf_master *m, struct acceptance *c, const struct launch_item *item)
{
    struct m_link *l = pf_m_link_need(c->agent, c->f);
    struct pf_fb_builder *b;

    if (c->n_pending == 0) {
        return;
    }
    b = pf_m_builder(m);
    for (uint32_t i = 0; i < c->n_pending; i++) {
        c->launch[i] = AgentLaunchTask__put(
            b,
            &(struct AgentLaunchTask__args){.info = item[i].info,
                                            .launch_uuid = {item[i].uuid.b, sizeof item[i].uuid.b},
                                            .user = item[i].user});
    }
    struct AgentLaunch__args args = {.framework_id = pf_str(c->f->id),
                                     .tasks = {c->launch, c->n_pending}};

    if (!l->info_sent) {
        args.framework_info = m_blob_bytes(&c->f->info);
        l->info_sent = true;
    }
    pf_m_send(m, c->agent->peer, Body_AgentLaunch, AgentLaunch__put(b, &args));
    c->n_pending = 0;
    c->pending_bytes = 0;
}

static void launch_one(struct pf_master *m, struct acceptance *c, struct pf_bytes bytes,
                       struct launch_item *items)
{
    struct TaskInfo info = TaskInfo__from_bytes(bytes);
    struct pf_resources needs = {0};
    struct m_refusal why = {.reason = TaskStatus_Reason_REASON_TASK_INVALID};
    bool is_small = bytes.len <= PF_TASK_INFO_MAX_BYTES;

    if (!is_small) {
        (void)pf_err_set(&why.err, PF_ELIMIT, "The task's description is too large");
    }
    if (!is_small || !pf_m_task_validate(m, c->f, c->agent, info, &c->left, &needs, &why)) {
        tell_task(m, c, info, TaskState_TASK_ERROR, why.reason, why.err.msg);
        pf_res_fini(&needs);
        return;
    }
    pf_res_sub(&c->left, &needs);
    pf_res_add(&c->used, &needs);
    struct m_task *t = pf_m_task_launch(m, c->f, c->agent, info, &needs);

    pf_res_fini(&needs);
    items[c->n_pending++] =
        (struct launch_item){bytes, pf_m_task_user(m, c->f, c->agent, info), t->launch};
    c->n_launched++;
    c->pending_bytes += bytes.len;
    if (c->pending_bytes >= LAUNCH_BYTES_MAX) {
        flush(m, c, items);
    }
}

static void launch_all(struct pf_master *m, struct acceptance *c, struct Offer_Operation op)
{
    struct Offer_Operation_Launch launch = Offer_Operation_launch(op);
    uint32_t n = Offer_Operation_Launch_task_infos__len(launch);
    struct launch_item *items = pf_arena_alloc(pf_m_arena(m), (n + 1) * sizeof *items);

    c->launch = pf_arena_alloc(pf_m_arena(m), (n + 1) * sizeof *c->launch);
    for (uint32_t i = 0; i < n; i++) {
        struct TaskInfo_Nested x = Offer_Operation_Launch_task_infos__at(launch, i);

        launch_one(m, c, TaskInfo_Nested_info__bytes(x), items);
    }
    flush(m, c, items);
}

static void operate(struct pf_master *m, struct acceptance *c, struct Offer_Operation op)
{
    switch (Offer_Operation_type(op)) {
    case Offer_Operation_Type_LAUNCH:
        if (Offer_Operation__has_id(op)) {
            refuse_operation(m, c, op, TaskState_TASK_ERROR, TaskStatus_Reason_REASON_TASK_INVALID,
                             "Operation id is not supported for LAUNCH");
        } else if (Offer_Operation_Launch_task_infos__len(Offer_Operation_launch(op)) >
                   PF_TASKS_PER_ACCEPT_MAX) {
            refuse_operation(m, c, op, TaskState_TASK_ERROR, TaskStatus_Reason_REASON_TASK_INVALID,
                             "More than 1000 tasks in one operation");
        } else {
            launch_all(m, c, op);
        }
        return;
    case Offer_Operation_Type_LAUNCH_GROUP:
        refuse_operation(m, c, op, TaskState_TASK_ERROR,
                         TaskStatus_Reason_REASON_TASK_GROUP_INVALID,
                         "task groups are not supported yet");
        return;
    default: break;
    }
    c->unsupported = pf_arena_printf(pf_m_arena(m), "operation %s is not supported yet",
                                     Offer_Operation_Type__str((int)Offer_Operation_type(op)));
    m->stats.bad_messages++;
    tell_operation(m, c, op, c->unsupported.at);
}

/* The offers are over: what is used goes to tasks, the rest is free, filtered for a while. */
static void settle(struct pf_master *m, struct acceptance *c)
{
    int64_t ms = pf_m_filter_ms(Scheduler_Call_Accept_filters(c->x),
                                Scheduler_Call_Accept__has_filters(c->x));
    bool is_one = c->n_offers == 1;

    if (ms > 0 && !pf_res_is_empty(&c->left)) {
        pf_al_filter_add(m->al, c->f->al, c->agent->al, &c->left, m->now_ms + ms);
    }
    for (uint32_t i = 0; i < c->n_offers; i++) {
        struct m_offer *o = c->offer[i];
        struct pf_al_want *w = o->hold->want;
        struct m_demand *d = w ? pf_al_want_owner(w) : NULL;
        uint32_t n = c->n_launched < o->hold->count || is_one ? c->n_launched : o->hold->count;

        pf_al_hold_end(m->al, o->hold, is_one ? &c->used : NULL, n);
        c->n_launched -= n;
        pf_m_offer_free(m, o, M_OFFER_ACCEPTED, "accept");
        if (d) {
            pf_m_demand_update(m, d);
        }
    }
    if (!is_one && !pf_res_is_empty(&c->used)) {
        pf_al_use(m->al, c->agent->al, c->f->al, &c->used);
    }
}

void pf_m_on_accept(struct pf_master *m, struct m_peer *p, struct Scheduler_Call call,
                    uint64_t request_id)
{
    struct acceptance c = {.f = p->framework, .x = Scheduler_Call_accept(call)};
    const char *problem;

    if (Scheduler_Call_Accept_offer_ids__len(c.x) > PF_OFFERS_PER_CALL_MAX) {
        problem = "Too many offers";
    } else {
        problem = gather_offers(m, &c);
    }
    if (problem) {
        refuse_all(m, &c, problem);
        pf_m_reply(m, p, request_id, ReplyCode_ACCEPTED, "%s", problem);
        return;
    }
    c.agent = c.offer[0]->agent;
    for (uint32_t i = 0; i < c.n_offers; i++) {
        pf_res_add(&c.left, &c.offer[i]->hold->resources);
    }
    for (uint32_t i = 0; i < Scheduler_Call_Accept_operations__len(c.x); i++) {
        operate(m, &c, Scheduler_Call_Accept_operations__at(c.x, i));
    }
    settle(m, &c);
    pf_res_fini(&c.left);
    pf_res_fini(&c.used);
    pf_m_reply(m, p, request_id, c.unsupported.len > 0 ? ReplyCode_UNSUPPORTED : ReplyCode_ACCEPTED,
               "%.*s", PF_STR_ARG(c.unsupported));
}
