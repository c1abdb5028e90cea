/* SPDX-License-Identifier: Apache-2.0 */
/* ACCEPT: several offers of one agent, operations in order; every task is launched or answered. */
#include <string.h>
#include "common/base/limits.h"
#include "master/core/accept_internal.h"
#include "master/core/demand.h"
#include "master/core/offers.h"
#include "master/core/out.h"

/* --- what cannot be --- */

void pf_m_accept_refuse(struct pf_master *m, const struct acceptance *c, struct TaskInfo info,
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
        pf_m_accept_refuse(m, c,
                           TaskInfo_Nested_info(Offer_Operation_Launch_task_infos__at(launch, i)),
                           state, reason, text);
    }
    for (uint32_t i = 0; i < TaskGroupInfo_tasks__len(group); i++) {
        pf_m_accept_refuse(m, c, TaskInfo_Nested_info(TaskGroupInfo_tasks__at(group, i)), state,
                           reason, text);
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

/* --- operations --- */

/* False: its tasks were refused. */
static bool is_launchable(struct pf_master *m, struct acceptance *c, struct Offer_Operation op,
                          uint32_t n_tasks, enum TaskStatus_Reason reason)
{
    const char *problem = NULL;

    if (Offer_Operation__has_id(op)) {
        problem = "Operation id is not supported for LAUNCH and LAUNCH_GROUP";
    } else if (n_tasks > PF_TASKS_PER_ACCEPT_MAX) {
        problem = "More than 1000 tasks in one operation";
    }
    if (problem) {
        refuse_operation(m, c, op, TaskState_TASK_ERROR, reason, problem);
    }
    return problem == NULL;
}

static void operate(struct pf_master *m, struct acceptance *c, struct Offer_Operation op)
{
    struct Offer_Operation_Launch launch = Offer_Operation_launch(op);
    struct Offer_Operation_LaunchGroup group = Offer_Operation_launch_group(op);

    switch (Offer_Operation_type(op)) {
    case Offer_Operation_Type_LAUNCH:
        if (is_launchable(m, c, op, Offer_Operation_Launch_task_infos__len(launch),
                          TaskStatus_Reason_REASON_TASK_INVALID)) {
            pf_m_launch_tasks(m, c, launch);
        }
        return;
    case Offer_Operation_Type_LAUNCH_GROUP:
        if (is_launchable(m, c, op,
                          TaskGroupInfo_tasks__len(Offer_Operation_LaunchGroup_task_group(group)),
                          TaskStatus_Reason_REASON_TASK_GROUP_INVALID)) {
            pf_m_launch_group(m, c, group);
        }
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
