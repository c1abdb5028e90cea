/* SPDX-License-Identifier: Apache-2.0 */
/* The subscription: made, lost, made again, ended. */
#include <string.h>
#include "common/base/alloc.h"
#include "framework/driver/driver_internal.h"

static void session_move(struct pf_driver *d, enum driver_state to, const char *why)
{
    pf_sm_move(&d->sm, to, d->instance, why, &d->tracer);
}

void driver_seek(struct pf_driver *d, struct pf_turn *t)
{
    int32_t leader = pf_leader_index(d->links);
    bool is_same = leader >= 0 && leader == d->leader &&
                   pf_leader_epoch(d->links, (uint32_t)leader) <= d->asked_epoch;

    if (d->leader >= 0 && !is_same) {
        struct pf_err why = {0};

        (void)(leader >= 0 ? pf_err_set(&why, PF_ECONN, "%s leads now",
                                        pf_leader_address(d->links, (uint32_t)leader))
                           : pf_err_set(&why, PF_ECONN, "%s leads no more",
                                        driver_leader_address(d)));
        d->last_trouble = why;
        driver_lose(d, &why, t);
    }
    if (d->sm.state != DRIVER_SEEKING || leader < 0) {
        return;
    }
    if (d->retry_ms != INT64_MAX && d->retry_ms > d->now_ms) {
        return;
    }
    d->retry_ms = INT64_MAX;
    d->leader = leader;
    d->asked_epoch = pf_leader_epoch(d->links, (uint32_t)leader);
    d->answer_ms = d->now_ms + DRIVER_ANSWER_MS;
    d->demand_waits = d->suppress_waits = false;
    session_move(d, DRIVER_SUBSCRIBING, driver_leader_address(d));
    driver_send_subscribe(d, t);
}

void driver_lose(struct pf_driver *d, const struct pf_err *why, struct pf_turn *t)
{
    PF_ASSERT(d->leader >= 0);
    driver_offers_rescind_all(d, t);
    if (d->sm.state == DRIVER_SUBSCRIBED) {
        d->stats.disconnects++;
        d->lost_ms = d->now_ms;
        driver_act(t, PF_DRIVER_DISCONNECTED, why, sizeof *why);
    }
    d->leader = -1;
    d->answer_ms = d->ask_ms = INT64_MAX;
    d->subscribe_request = d->teardown_request = 0;
    session_move(d, DRIVER_SEEKING, why->msg);
}

/* Tries again after a pause that grows. */
static void session_refused(struct pf_driver *d, const struct pf_err *why, struct pf_turn *t)
{
    d->last_trouble = *why;
    driver_lose(d, why, t);
    d->retry_ms = d->now_ms + pf_backoff_pause(&d->refusals, &d->dice);
}

void driver_on_subscribed(struct pf_driver *d, struct Scheduler_Event_Subscribed s,
                          struct pf_turn *t)
{
    struct pf_driver_subscribed told = {.is_again = d->was_subscribed};

    if (d->sm.state != DRIVER_SUBSCRIBING) {
        d->stats.bad_messages++;
        return;
    }
    driver_framework_set_id(d, FrameworkID_value(Scheduler_Event_Subscribed_framework_id(s)));
    d->epoch = Scheduler_Event_Subscribed_epoch(s);
    d->epoch = d->epoch < d->asked_epoch ? d->asked_epoch : d->epoch;
    d->asked_epoch = d->epoch;
    d->generation = Scheduler_Event_Subscribed_generation(s);
    pf_leader_accept(d->links, (uint32_t)d->leader,
                     pf_leader_incarnation(d->links, (uint32_t)d->leader), d->epoch);
    d->refusals.failures = 0;
    d->answer_ms = d->give_up_ms = INT64_MAX;
    d->was_subscribed = true;
    d->stats.subscriptions++;
    pf_err_clear(&d->last_trouble);
    session_move(d, DRIVER_SUBSCRIBED, "subscribed");

    told.framework_id = driver_dup_str(t, pf_str(d->framework_id));
    told.master = driver_dup_str(t, pf_str(driver_leader_address(d)));
    told.epoch = d->epoch;
    told.generation = d->generation;
    driver_act(t, PF_DRIVER_SUBSCRIBED, &told, sizeof told);
    if (d->wants_teardown) {
        driver_send_teardown(d, t);
        return;
    }
    if (d->demand_waits) {
        driver_send_demand(d, t);
    }
    if (d->suppress_waits) {
        driver_send_suppress(d, t);
    }
    driver_waiting_send(d, t);
    driver_tasks_resume(d, t);
}

/* Answers that another try may change. */
static bool reply_is_passing(enum ReplyCode code)
{
    return code == ReplyCode_NOT_LEADER || code == ReplyCode_UNAVAILABLE ||
           code == ReplyCode_TOO_MANY;
}

static int reply_error(enum ReplyCode code)
{
    switch (code) {
    case ReplyCode_NOT_FOUND:
        return PF_ENOENT;
    case ReplyCode_FORBIDDEN:
        return PF_EACCESS;
    case ReplyCode_CONFLICT:
        return PF_EEXIST;
    case ReplyCode_TOO_LARGE:
    case ReplyCode_TOO_MANY:
        return PF_ELIMIT;
    case ReplyCode_UNSUPPORTED:
        return PF_EVERSION;
    case ReplyCode_UNAVAILABLE:
    case ReplyCode_NOT_LEADER:
    case ReplyCode_NOT_SUBSCRIBED:
        return PF_ECONN;
    case ReplyCode_OK:
    case ReplyCode_ACCEPTED:
    case ReplyCode_BAD_REQUEST:
    case ReplyCode_AMBIGUOUS:
        break;
    }
    return PF_EINVAL;
}

void driver_on_reply(struct pf_driver *d, struct Envelope e, struct pf_turn *t)
{
    enum ReplyCode code = Envelope_code(e);
    uint64_t request = Envelope_request_id(e);
    bool ok = code == ReplyCode_OK || code == ReplyCode_ACCEPTED;
    struct pf_str text = Envelope_text(e);
    struct pf_err why = {0};

    if (!ok) {
        (void)pf_err_set(&why, reply_error(code), "%s: %.*s", driver_leader_address(d),
                         PF_STR_ARG(text.len > 0 ? text : pf_str(ReplyCode__str((int)code))));
    }
    bool is_passing = reply_is_passing(code) || code == ReplyCode_NOT_SUBSCRIBED;

    if (request != 0 && request == d->teardown_request && is_passing) {
        session_refused(d, &why, t); /* said again with the next subscription */
    } else if (request != 0 && request == d->teardown_request) {
        d->teardown_request = 0;
        ok = ok || code == ReplyCode_NOT_FOUND;
        if (ok) {
            why = (struct pf_err){0};
        }
        driver_end(d, ok ? PF_DRIVER_STOPPED : PF_DRIVER_ERROR, &why, t);
    } else if (ok) {
        return; /* SUBSCRIBED tells the rest */
    } else if (request != 0 && request == d->subscribe_request &&
               d->sm.state == DRIVER_SUBSCRIBING) {
        if (reply_is_passing(code)) {
            session_refused(d, &why, t);
        } else if (d->wants_teardown) {
            why = (struct pf_err){0}; /* it is not there any more, as was wanted */
            driver_end(d, PF_DRIVER_STOPPED, &why, t);
        } else {
            driver_end(d, PF_DRIVER_ERROR, &why, t);
        }
    } else if ((code == ReplyCode_NOT_SUBSCRIBED || code == ReplyCode_NOT_LEADER) &&
               d->sm.state == DRIVER_SUBSCRIBED) {
        session_refused(d, &why, t);
    } else {
        d->stats.bad_messages++;
    }
}

static void session_answer_missing(struct pf_driver *d, struct pf_turn *t)
{
    uint32_t master = (uint32_t)d->leader;
    struct pf_err why = {0};

    (void)pf_err_set(&why, PF_ETIMEOUT, "%s does not answer", driver_leader_address(d));
    d->last_trouble = why;
    driver_lose(d, &why, t);
    driver_link_drop(d, master, t);
    driver_seek(d, t);
}

void driver_session_due(struct pf_driver *d, int64_t now_ms, struct pf_turn *t)
{
    struct pf_err why = {0};

    if (d->give_up_ms <= now_ms && pf_leader_n_up(d->links) > 0) {
        d->give_up_ms = now_ms + DRIVER_GIVE_UP_MS; /* a leader is being found */
    }
    if (d->give_up_ms <= now_ms) {
        (void)pf_err_set(&why, d->last_trouble.code ? d->last_trouble.code : PF_ETIMEOUT,
                         "no master to subscribe at%s%s", d->last_trouble.code ? ": " : "",
                         d->last_trouble.msg);
        driver_end(d, PF_DRIVER_ERROR, &why, t);
        return;
    }
    if (d->teardown_ms <= now_ms) {
        (void)pf_err_set(&why, PF_ETIMEOUT, "the end of the framework was not confirmed");
        driver_end(d, PF_DRIVER_ERROR, &why, t);
        return;
    }
    if (d->ask_ms <= now_ms) {
        driver_tasks_due(d, t);
    }
    if (d->answer_ms <= now_ms) {
        session_answer_missing(d, t);
    } else if (d->retry_ms <= now_ms) {
        driver_seek(d, t);
        if (d->sm.state == DRIVER_SEEKING) {
            d->retry_ms = INT64_MAX; /* the next link that comes up is tried at once */
        }
    }
}

void driver_teardown(struct pf_driver *d, struct pf_turn *t)
{
    const struct pf_err none = {0};

    if (d->wants_teardown) {
        return;
    }
    d->wants_teardown = true;
    if (!d->framework_id || d->sm.state == DRIVER_IDLE) {
        driver_end(d, PF_DRIVER_STOPPED, &none, t);
        return;
    }
    d->teardown_ms = d->now_ms + DRIVER_ANSWER_MS;
    if (d->sm.state == DRIVER_SUBSCRIBED) {
        driver_send_teardown(d, t);
    }
}

void driver_end(struct pf_driver *d, enum pf_driver_act act, const struct pf_err *why,
                struct pf_turn *t)
{
    if (act == PF_DRIVER_ERROR) {
        driver_offers_rescind_all(d, t);
    }
    while (!TAILQ_EMPTY(&d->offer_list)) {
        driver_offer_forget(d, TAILQ_FIRST(&d->offer_list));
    }
    driver_links_close(d, t);
    driver_waiting_fini(d);
    d->leader = -1;
    session_move(d, DRIVER_ENDED, why->code ? why->msg : "stopped");
    driver_act(t, act, why, sizeof *why);
}
