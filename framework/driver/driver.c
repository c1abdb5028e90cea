/* SPDX-License-Identifier: Apache-2.0 */
/* The door of the driver, and what all its parts use. */
#include "framework/driver/driver.h"

#include <string.h>
#include "common/base/alloc.h"
#include "framework/driver/driver_internal.h"

#define BIT(state) (1u << (state))

static const struct pf_sm_state session_states[DRIVER_STATE_COUNT] = {
    [DRIVER_IDLE] = {"idle", PF_SM_INITIAL, BIT(DRIVER_SEEKING) | BIT(DRIVER_ENDED)},
    [DRIVER_SEEKING] = {"seeking", 0, BIT(DRIVER_SUBSCRIBING) | BIT(DRIVER_ENDED)},
    [DRIVER_SUBSCRIBING] = {"subscribing", 0,
                            BIT(DRIVER_SEEKING) | BIT(DRIVER_SUBSCRIBED) | BIT(DRIVER_ENDED)},
    [DRIVER_SUBSCRIBED] = {"subscribed", 0, BIT(DRIVER_SEEKING) | BIT(DRIVER_ENDED)},
    [DRIVER_ENDED] = {"ended", PF_SM_FINAL, 0},
};
static const struct pf_sm_table session_table = {"driver", session_states, DRIVER_STATE_COUNT};

void driver_act(struct pf_turn *t, enum pf_driver_act act, const void *data, size_t bytes)
{
    pf_turn_act(t, act, pf_arena_memdup(pf_turn_arena(t), data, bytes));
}

struct pf_str driver_dup_str(struct pf_turn *t, struct pf_str s)
{
    return s.at ? pf_arena_strdup(pf_turn_arena(t), s) : s;
}

int64_t driver_later(struct pf_driver *d, int64_t ms)
{
    return d->now_ms + ms / 2 + (int64_t)pf_rng_below(&d->dice, (uint64_t)(ms / 2 + 1));
}

static bool framework_is_partition_aware(struct FrameworkInfo info)
{
    for (uint32_t i = 0; i < FrameworkInfo_capabilities__len(info); i++) {
        if (FrameworkInfo_Capability_type(FrameworkInfo_capabilities__at(info, i)) ==
            FrameworkInfo_Capability_Type_PARTITION_AWARE) {
            return true;
        }
    }
    return false;
}

struct pf_driver *pf_driver_create(const struct pf_driver_options *o)
{
    struct pf_driver *d = PF_NEW(struct pf_driver);
    struct FrameworkInfo info = FrameworkInfo__root(o->framework);
    struct pf_str id = FrameworkID_value(FrameworkInfo_id(info));

    PF_ASSERT(o->n_masters >= 1 && o->n_masters <= PF_MASTERS_MAX);
    pf_rng_seed(&d->dice, o->seed);
    d->links = pf_leader_create(
        &(struct pf_leader_options){.seed = pf_rng_next(&d->dice), .tracer = o->tracer});
    d->leader = -1;
    d->tracer = o->tracer;
    d->instance = pf_strndup(o->instance.at ? o->instance.at : "", o->instance.len);
    d->framework.at = pf_memdup(o->framework.data, o->framework.len);
    d->framework.len = o->framework.len;
    d->framework_id = id.len > 0 ? pf_strndup(id.at, id.len) : NULL;
    d->takes_over = d->framework_id != NULL;
    d->is_partition_aware = framework_is_partition_aware(info);
    d->explicit_acks = o->explicit_acks;
    d->is_durable = o->is_durable;
    d->is_suppressed = o->is_suppressed;
    d->give_up_after_ms = o->give_up_ms;
    for (uint32_t i = 0; i < o->n_masters; i++) {
        pf_leader_add(d->links, o->master[i]);
    }
    d->answer_ms = d->retry_ms = d->give_up_ms = d->teardown_ms = d->ask_ms = INT64_MAX;
    d->offers.seed = pf_rng_next(&d->dice);
    d->tasks.seed = pf_rng_next(&d->dice);
    TAILQ_INIT(&d->offer_list);
    TAILQ_INIT(&d->live);
    TAILQ_INIT(&d->ended);
    STAILQ_INIT(&d->waiting);
    pf_sm_init(&d->sm, &session_table, DRIVER_IDLE, d->instance, "created", &d->tracer);
    return d;
}

void pf_driver_destroy(struct pf_driver *d)
{
    if (!d) {
        return;
    }
    while (!TAILQ_EMPTY(&d->offer_list)) {
        driver_offer_forget(d, TAILQ_FIRST(&d->offer_list));
    }
    driver_tasks_fini(d);
    driver_waiting_fini(d);
    pf_leader_destroy(d->links);
    pf_map_fini(&d->offers);
    pf_map_fini(&d->tasks);
    pf_free((void *)(uintptr_t)d->framework.at);
    pf_free((void *)(uintptr_t)d->demand.at);
    pf_free(d->framework_id);
    pf_free(d->instance);
    pf_free(d);
}

/* The event with its own memory in the turn, for actions that show parts of it. */
static struct Scheduler_Event event_dup(struct pf_msg envelope, struct pf_turn *t)
{
    struct pf_msg copy = envelope;

    copy.data = pf_arena_memdup(pf_turn_arena(t), envelope.data, envelope.len);
    return Envelope_body_as_Scheduler_Event(Envelope__root(copy));
}

static void driver_on_error(struct pf_driver *d, struct Scheduler_Event_Error error,
                            struct pf_turn *t)
{
    struct pf_err err = {0};
    struct pf_str text = Scheduler_Event_Error_message(error);

    if (d->wants_teardown) {
        driver_end(d, PF_DRIVER_STOPPED, &err, t);
        return;
    }
    (void)pf_err_set(&err, PF_ECANCELED, "%.*s", PF_STR_ARG(text));
    driver_end(d, PF_DRIVER_ERROR, &err, t);
}

static void driver_on_event(struct pf_driver *d, struct pf_msg envelope, struct pf_turn *t)
{
    struct Scheduler_Event e = Envelope_body_as_Scheduler_Event(Envelope__root(envelope));
    bool is_subscribed = d->sm.state == DRIVER_SUBSCRIBED;

    if (Scheduler_Event_type(e) == Scheduler_Event_Type_SUBSCRIBED) {
        driver_on_subscribed(d, Scheduler_Event_subscribed(e), t);
        return;
    }
    if (Scheduler_Event_type(e) == Scheduler_Event_Type_ERROR) {
        driver_on_error(d, Scheduler_Event_error(e), t);
        return;
    }
    if (!is_subscribed) {
        d->stats.bad_messages++;
        return;
    }
    e = event_dup(envelope, t);
    if (Scheduler_Event_type(e) == Scheduler_Event_Type_OFFERS) {
        driver_on_offers(d, Scheduler_Event_offers(e), t);
    } else if (Scheduler_Event_type(e) == Scheduler_Event_Type_RESCIND) {
        driver_on_rescind(d, OfferID_value(Scheduler_Event_Rescind_offer_id(
                                 Scheduler_Event_rescind(e))), t);
    } else if (Scheduler_Event_type(e) == Scheduler_Event_Type_UPDATE) {
        driver_on_update(d, Scheduler_Event_Update_status(Scheduler_Event_update(e)), t);
    } else if (Scheduler_Event_type(e) == Scheduler_Event_Type_DEMAND_STATUS) {
        struct Scheduler_Event_DemandStatus s = Scheduler_Event_demand_status(e);

        driver_act(t, PF_DRIVER_DEMAND_STATUS, &s, sizeof s);
    } else if (Scheduler_Event_type(e) == Scheduler_Event_Type_MESSAGE) {
        struct Scheduler_Event_Message m = Scheduler_Event_message(e);

        driver_act(t, PF_DRIVER_TOLD, &m, sizeof m);
    } else if (Scheduler_Event_type(e) == Scheduler_Event_Type_FAILURE) {
        struct Scheduler_Event_Failure f = Scheduler_Event_failure(e);

        driver_act(t, PF_DRIVER_FAILURE, &f, sizeof f);
    } else if (Scheduler_Event_type(e) != Scheduler_Event_Type_HEARTBEAT) {
        d->stats.bad_messages++; /* of things that we never ask for */
    }
}

static void driver_on_message(struct pf_driver *d, const struct pf_driver_event *ev,
                              struct pf_turn *t)
{
    struct Envelope e = Envelope__root(ev->message);

    if (Envelope_body_type(e) == Body_Welcome) {
        driver_link_role(d, ev->master, Envelope_body_as_Welcome(e), t);
    } else if ((int32_t)ev->master != d->leader) {
        d->stats.bad_messages++; /* the last words of a former leader */
    } else if (Envelope_is_reply(e)) {
        driver_on_reply(d, e, t);
    } else if (Envelope_body_type(e) == Body_Scheduler_Event) {
        driver_on_event(d, ev->message, t);
    } else {
        d->stats.bad_messages++;
    }
}

static void driver_start(struct pf_driver *d, struct pf_turn *t)
{
    PF_ASSERT(d->sm.state == DRIVER_IDLE);
    pf_sm_move(&d->sm, DRIVER_SEEKING, d->instance, "start", &d->tracer);
    d->lost_ms = d->now_ms;
    if (d->give_up_after_ms > 0) {
        d->give_up_ms = d->now_ms + d->give_up_after_ms;
    }
    driver_links_start(d, t);
}

/* True: it was one of the owner's calls. */
static bool driver_call(struct pf_driver *d, const struct pf_driver_event *ev, struct pf_turn *t)
{
    switch (ev->type) {
    case PF_DRIVER_ACCEPT:
    case PF_DRIVER_DECLINE:
        driver_accept(d, ev, t);
        return true;
    case PF_DRIVER_DEMAND:
        driver_demand(d, ev->demand, t);
        return true;
    case PF_DRIVER_KILL:
        driver_kill(d, &ev->kill, t);
        return true;
    case PF_DRIVER_REVIVE:
        driver_revive(d, t);
        return true;
    case PF_DRIVER_SUPPRESS:
        driver_suppress(d, t);
        return true;
    case PF_DRIVER_ACKNOWLEDGE:
        driver_acknowledge(d, ev->acknowledge.task_id, ev->acknowledge.agent_id,
                           ev->acknowledge.uuid, t);
        return true;
    case PF_DRIVER_RECONCILE:
        driver_reconcile(d, ev, t);
        return true;
    case PF_DRIVER_SEND_MESSAGE:
    case PF_DRIVER_SHUTDOWN_EXECUTOR:
        driver_executor_call(d, ev, t);
        return true;
    case PF_DRIVER_START:
    case PF_DRIVER_STOP:
    case PF_DRIVER_TEARDOWN:
    case PF_DRIVER_LINK_UP:
    case PF_DRIVER_LINK_DOWN:
    case PF_DRIVER_MESSAGE:
    case PF_DRIVER_DEADLINE:
        break;
    }
    return false;
}

void pf_driver_step(struct pf_driver *d, const struct pf_driver_event *ev, struct pf_turn *t)
{
    const struct pf_err none = {0};

    d->now_ms = ev->now_ms;
    d->wall_ms = ev->wall_ms;
    if (d->sm.state == DRIVER_ENDED) {
        return;
    }
    if (driver_call(d, ev, t)) {
        return;
    }
    switch ((int)ev->type) {
    case PF_DRIVER_START:
        driver_start(d, t);
        break;
    case PF_DRIVER_STOP:
        driver_end(d, PF_DRIVER_STOPPED, &none, t);
        break;
    case PF_DRIVER_TEARDOWN:
        driver_teardown(d, t);
        break;
    case PF_DRIVER_LINK_UP:
        driver_link_up(d, ev, t);
        break;
    case PF_DRIVER_LINK_DOWN:
        driver_link_down(d, ev, t);
        break;
    case PF_DRIVER_MESSAGE:
        driver_on_message(d, ev, t);
        break;
    default:
        PF_ASSERT(ev->type == PF_DRIVER_DEADLINE);
        driver_links_due(d, ev->now_ms, t);
        driver_session_due(d, ev->now_ms, t);
        break;
    }
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t pf_driver_deadline(const struct pf_driver *d)
{
    int64_t at = earlier(earlier(d->answer_ms, d->retry_ms),
                         earlier(d->give_up_ms, d->teardown_ms));

    if (d->sm.state == DRIVER_ENDED || d->sm.state == DRIVER_IDLE) {
        return INT64_MAX;
    }
    return earlier(earlier(at, d->ask_ms), pf_leader_deadline(d->links));
}

bool pf_driver_is_ended(const struct pf_driver *d)
{
    return d->sm.state == DRIVER_ENDED;
}

bool pf_driver_is_subscribed(const struct pf_driver *d)
{
    return d->sm.state == DRIVER_SUBSCRIBED;
}

struct pf_str pf_driver_framework_id(const struct pf_driver *d)
{
    return pf_str(d->framework_id);
}

int64_t pf_driver_leaderless_since(const struct pf_driver *d, struct pf_buf *out_why)
{
    int64_t since_ms = pf_leader_none_since(d->links);

    if (d->sm.state == DRIVER_SUBSCRIBED || d->sm.state == DRIVER_IDLE) {
        return INT64_MAX;
    }
    pf_leader_describe(d->links, out_why);
    if (since_ms == INT64_MAX && d->last_trouble.code) { /* it leads, and puts us off */
        pf_buf_printf(out_why, "; %s", d->last_trouble.msg);
    }
    return since_ms == INT64_MAX ? d->lost_ms : since_ms;
}

void pf_driver_stats(const struct pf_driver *d, struct pf_driver_stats *out)
{
    *out = d->stats;
    out->n_offers = d->offers.len;
    out->n_tasks = d->tasks.len - d->n_ended - d->n_open_questions;
}

static uint32_t tasks_check(const struct pf_driver *d, const struct driver_tasks *list,
                            bool is_ended)
{
    const struct driver_task *task;
    uint32_t n = 0;

    TAILQ_FOREACH(task, list, entry) {
        PF_ASSERT(task->is_ended == is_ended);
        PF_ASSERT(driver_task_find(d, pf_str(task->id)) == task);
        PF_ASSERT(is_ended || !pf_driver_state_is_final(task->state));
        n++;
    }
    return n;
}

void pf_driver_check(const struct pf_driver *d)
{
    const struct driver_offer *o;
    uint32_t n = 0;

    TAILQ_FOREACH(o, &d->offer_list, entry) {
        PF_ASSERT(driver_offer_find(d, pf_str(o->id)) == o);
        n++;
    }
    PF_ASSERT(n == d->offers.len);
    PF_ASSERT(n == 0 || d->sm.state == DRIVER_SUBSCRIBED);
    PF_ASSERT(tasks_check(d, &d->ended, true) == d->n_ended);
    PF_ASSERT(tasks_check(d, &d->live, false) == d->tasks.len - d->n_ended);
    PF_ASSERT(d->n_ended <= DRIVER_ENDED_MAX);
    PF_ASSERT(d->n_waiting <= DRIVER_WAITING_MAX);
    PF_ASSERT(d->waiting_bytes <= DRIVER_WAITING_MAX_BYTES);
    PF_ASSERT(d->n_open_questions <= DRIVER_QUESTIONS_MAX);
    PF_ASSERT((d->leader >= 0) == (d->sm.state == DRIVER_SUBSCRIBING ||
                                   d->sm.state == DRIVER_SUBSCRIBED));
    PF_ASSERT(d->leader < 0 || pf_leader_is_up(d->links, (uint32_t)d->leader));
    pf_leader_check(d->links);
}
