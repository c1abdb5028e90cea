/* SPDX-License-Identifier: Apache-2.0 */
/* Offers in hand, what is launched on them, and what is demanded. An offer is good for the
 * subscription that brought it and no longer. */
#include <string.h>
#include "common/base/alloc.h"
#include "framework/driver/driver_internal.h"

struct driver_offer *driver_offer_find(const struct pf_driver *d, struct pf_str id)
{
    return pf_map_get_str(&d->offers, id);
}

void driver_offer_forget(struct pf_driver *d, struct driver_offer *o)
{
    (void)pf_map_del(&d->offers, o->id, (uint32_t)strlen(o->id));
    TAILQ_REMOVE(&d->offer_list, o, entry);
    pf_free(o->id);
    pf_free(o->agent_id);
    pf_free(o->demand_id);
    pf_free(o->port);
    pf_free(o);
}

/* The ranges under "ports", over all resources of that name. */
static void offer_copy_ports(struct driver_offer *o, struct Offer offer)
{
    struct pf_resources all = {0};
    const struct pf_res_item *item;

    for (uint32_t i = 0; i < Offer_resources__len(offer); i++) {
        struct Resource r = Offer_resources__at(offer, i);
        struct Value_Ranges ranges = Resource_ranges(r);

        for (uint32_t k = 0; k < Value_Ranges_range__len(ranges); k++) {
            struct Value_Range one = Value_Ranges_range__at(ranges, k);

            if (pf_str_is(Resource_name(r), "ports") &&
                pf_res_add_range(&all, PF_STR("ports"), Value_Range_begin(one),
                                 Value_Range_end(one), NULL) < 0) {
                break; /* a range that cannot be, of a master that does not send such */
            }
        }
    }
    item = pf_res_find(&all, PF_STR("ports"));
    if (item && item->kind == PF_RES_KIND_RANGES && item->n > 0) {
        o->port = pf_memdup(item->range, item->n * sizeof *item->range);
        o->n_ports = item->n;
    }
    pf_res_fini(&all);
}

void driver_on_offers(struct pf_driver *d, struct Scheduler_Event_Offers offers, struct pf_turn *t)
{
    uint32_t n_new = 0;

    for (uint32_t i = 0; i < Scheduler_Event_Offers_offers__len(offers); i++) {
        struct Offer offer = Scheduler_Event_Offers_offers__at(offers, i);
        struct pf_str id = OfferID_value(Offer_id(offer));
        struct pf_str agent_id = AgentID_value(Offer_agent_id(offer));
        struct pf_str demand_id = Offer_demand_id(offer);
        struct driver_offer *o;

        if (driver_offer_find(d, id) || id.len == 0 || strlen(id.at) != id.len) {
            d->stats.bad_messages++;
            continue;
        }
        o = PF_NEW(struct driver_offer);
        o->id = pf_strndup(id.at, id.len);
        o->agent_id = pf_strndup(agent_id.at ? agent_id.at : "", agent_id.len);
        o->demand_id = demand_id.len > 0 ? pf_strndup(demand_id.at, demand_id.len) : NULL;
        o->demand_count = Offer_demand_count(offer);
        offer_copy_ports(o, offer);
        pf_map_put(&d->offers, o->id, id.len, o);
        TAILQ_INSERT_TAIL(&d->offer_list, o, entry);
        n_new++;
    }
    if (n_new > 0) {
        driver_act(t, PF_DRIVER_OFFERS, &offers, sizeof offers);
    }
}

static void offer_tell_rescinded(struct pf_driver *d, struct driver_offer *o, struct pf_turn *t)
{
    struct pf_str id = driver_dup_str(t, pf_str(o->id));

    driver_offer_forget(d, o);
    driver_act(t, PF_DRIVER_RESCINDED, &id, sizeof id);
}

void driver_on_rescind(struct pf_driver *d, struct pf_str id, struct pf_turn *t)
{
    struct driver_offer *o = driver_offer_find(d, id);

    if (o) { /* else it crossed our ACCEPT or DECLINE */
        offer_tell_rescinded(d, o, t);
    }
}

void driver_offers_rescind_all(struct pf_driver *d, struct pf_turn *t)
{
    while (!TAILQ_EMPTY(&d->offer_list)) {
        offer_tell_rescinded(d, TAILQ_FIRST(&d->offer_list), t);
    }
}

/* Counts launches on an offer against the demand it was made for. */
static void demand_place(struct pf_driver *d, const struct driver_offer *o, uint32_t n)
{
    struct Scheduler_Call_Demand all = Scheduler_Call_Demand__from_bytes(d->demand);

    for (uint32_t i = 0; o->demand_id && i < Scheduler_Call_Demand_demands__len(all); i++) {
        if (pf_str_is(Demand_id(Scheduler_Call_Demand_demands__at(all, i)), o->demand_id)) {
            d->demand_placed[i] += n;
        }
    }
}

/* Gives the offers of a call out of hand; tells how many of them were in it. The tasks count for
 * the offers in turn, up to the count of each. */
static uint32_t accept_use_offers(struct pf_driver *d, const struct pf_driver_event *ev,
                                  uint32_t n_tasks)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < ev->accept.n_offers; i++) {
        struct driver_offer *o = driver_offer_find(d, ev->accept.offer[i]);

        if (o) {
            bool is_last = i + 1 == ev->accept.n_offers;
            uint32_t share = is_last || n_tasks < o->demand_count ? n_tasks : o->demand_count;

            demand_place(d, o, share);
            n_tasks -= share;
            driver_offer_forget(d, o);
            n++;
        }
    }
    return n;
}

/* Some offer is not ours any more: nothing is launched, what is left is given back. */
static void accept_drop(struct pf_driver *d, const struct pf_driver_event *ev, struct pf_turn *t)
{
    enum TaskState state = d->is_partition_aware ? TaskState_TASK_DROPPED : TaskState_TASK_LOST;
    struct pf_str *held =
        pf_arena_alloc(pf_turn_arena(t), (ev->accept.n_offers + 1) * sizeof *held);
    uint32_t n = 0;

    for (uint32_t i = 0; i < ev->accept.n_offers; i++) {
        if (driver_offer_find(d, ev->accept.offer[i])) {
            held[n++] = ev->accept.offer[i];
        }
    }
    (void)accept_use_offers(d, ev, 0);
    if (n > 0) {
        driver_send_decline(d, held, n, ev->accept.n_tasks > 0 ? 0 : ev->accept.refuse_ms, t);
    }
    for (uint32_t i = 0; i < ev->accept.n_tasks; i++) {
        struct TaskInfo info = TaskInfo__root(ev->accept.task[i]);

        driver_tell_dropped(d, TaskID_value(TaskInfo_task_id(info)), state,
                            TaskStatus_Reason_REASON_INVALID_OFFERS,
                            "the offer is not valid any more", t);
    }
}

static struct pf_str accept_task_id(const struct pf_driver_event *ev, uint32_t i)
{
    return TaskID_value(TaskInfo_task_id(TaskInfo__root(ev->accept.task[i])));
}

/* No task of the group is there already, here or twice in the group. */
static bool group_is_good(const struct pf_driver *d, const struct pf_driver_event *ev)
{
    for (uint32_t i = 0; i < ev->accept.n_tasks; i++) {
        const struct driver_task *task = driver_task_find(d, accept_task_id(ev, i));

        if (task && !task->is_ended && !task->is_question) {
            return false;
        }
        for (uint32_t k = 0; k < i; k++) {
            if (pf_str_eq(accept_task_id(ev, i), accept_task_id(ev, k))) {
                return false;
            }
        }
    }
    return ev->accept.n_tasks > 0;
}

/* All or none: none. */
static void group_refuse(struct pf_driver *d, const struct pf_driver_event *ev, struct pf_turn *t)
{
    (void)accept_use_offers(d, ev, 0);
    driver_send_decline(d, ev->accept.offer, ev->accept.n_offers, 0, t);
    for (uint32_t i = 0; i < ev->accept.n_tasks; i++) {
        driver_tell_dropped(d, accept_task_id(ev, i), TaskState_TASK_ERROR,
                            TaskStatus_Reason_REASON_TASK_GROUP_INVALID,
                            "a task of this id, or of another one's of its group, is not over yet",
                            t);
    }
}

/* The tasks that leave, into `sent`; the others are told. */
static void accept_launch(struct pf_driver *d, const struct pf_driver_event *ev,
                          struct pf_driver_event *sent, struct pf_turn *t)
{
    struct pf_msg *task =
        pf_arena_alloc(pf_turn_arena(t), (ev->accept.n_tasks + 1) * sizeof *task);

    sent->accept.task = task;
    sent->accept.n_tasks = 0;
    for (uint32_t i = 0; i < ev->accept.n_tasks; i++) {
        struct TaskInfo info = TaskInfo__root(ev->accept.task[i]);
        struct pf_str id = TaskID_value(TaskInfo_task_id(info));

        if (driver_task_launch(d, id, AgentID_value(TaskInfo_agent_id(info)))) {
            task[sent->accept.n_tasks++] = ev->accept.task[i];
        } else {
            driver_tell_dropped(d, id, TaskState_TASK_ERROR,
                                TaskStatus_Reason_REASON_TASK_INVALID,
                                "a task of this id is not over yet", t);
        }
    }
}

void driver_accept(struct pf_driver *d, const struct pf_driver_event *ev, struct pf_turn *t)
{
    struct pf_driver_event sent = *ev;
    bool is_good = ev->type == PF_DRIVER_ACCEPT && ev->accept.n_offers > 0;

    for (uint32_t i = 0; i < ev->accept.n_offers; i++) {
        is_good = is_good && driver_offer_find(d, ev->accept.offer[i]);
    }
    if (!is_good) {
        accept_drop(d, ev, t);
        return;
    }
    if (ev->accept.is_group && !group_is_good(d, ev)) {
        group_refuse(d, ev, t);
        return;
    }
    accept_launch(d, ev, &sent, t);
    (void)accept_use_offers(d, &sent, sent.accept.n_tasks);
    driver_send_accept(d, &sent, t);
}

void driver_demand(struct pf_driver *d, struct pf_msg demand, struct pf_turn *t)
{
    PF_ASSERT(Scheduler_Call_Demand_demands__len(Scheduler_Call_Demand__root(demand)) <=
              PF_DEMANDS_MAX);
    pf_free((void *)(uintptr_t)d->demand.at);
    d->demand = (struct pf_bytes){pf_memdup(demand.data, demand.len), demand.len};
    d->has_demand = true;
    memset(d->demand_placed, 0, sizeof d->demand_placed);
    if (d->sm.state == DRIVER_SUBSCRIBED) {
        driver_send_demand(d, t);
    } else {
        d->demand_waits = true;
    }
}

void driver_suppress(struct pf_driver *d, struct pf_turn *t)
{
    d->is_suppressed = true;
    if (d->sm.state == DRIVER_SUBSCRIBED) {
        driver_send_suppress(d, t);
    } else {
        d->suppress_waits = true;
    }
}

void driver_revive(struct pf_driver *d, struct pf_turn *t)
{
    d->is_suppressed = d->suppress_waits = false;
    if (d->sm.state == DRIVER_SUBSCRIBED) {
        driver_send_revive(d, t);
    } else {
        driver_wait_add(d, &(struct driver_waiting){.type = Scheduler_Call_Type_REVIVE});
    }
}

bool pf_driver_find_offer(const struct pf_driver *d, struct pf_str offer_id,
                          struct pf_driver_offer_info *out)
{
    const struct driver_offer *o = driver_offer_find(d, offer_id);

    if (!o) {
        return false;
    }
    *out = (struct pf_driver_offer_info){
        .agent_id = pf_str(o->agent_id),
        .demand_id = pf_str(o->demand_id),
        .port = o->port,
        .n_ports = o->n_ports,
    };
    return true;
}
