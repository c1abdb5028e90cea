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
    struct driver_link *l = driver_links_leader(d);

    if (d->leader && l && l != d->leader && l->epoch > d->leader->epoch) {
        struct pf_err why = {0};

        (void)pf_err_set(&why, PF_ECONN, "%s leads now", l->address);
        driver_lose(d, &why, t);
    }
    if (d->sm.state != DRIVER_SEEKING || !l) {
        return;
    }
    if (d->retry_ms != INT64_MAX && d->retry_ms > d->now_ms) {
        return;
    }
    d->retry_ms = INT64_MAX;
    d->leader = l;
    d->answer_ms = d->now_ms + DRIVER_ANSWER_MS;
    d->demand_waits = d->suppress_waits = false;
    session_move(d, DRIVER_SUBSCRIBING, l->address);
    driver_send_subscribe(d, t);
}

void driver_lose(struct pf_driver *d, const struct pf_err *why, struct pf_turn *t)
{
    PF_ASSERT(d->leader != NULL);
    driver_offers_rescind_all(d, t);
    if (d->sm.state == DRIVER_SUBSCRIBED) {
        d->stats.disconnects++;
        driver_act(t, PF_DRIVER_DISCONNECTED, why, sizeof *why);
    }
    d->leader = NULL;
    d->answer_ms = d->ask_ms = INT64_MAX;
    d->subscribe_request = d->teardown_request = 0;
    session_move(d, DRIVER_SEEKING, why->msg);
}

/* Tries again after a pause that grows. */
static void session_refused(struct pf_driver *d, const struct pf_err *why, struct pf_turn *t)
{
    int64_t pause = DRIVER_BACKOFF_MAX_MS;

    if (d->refusals < 6) {
        pause = DRIVER_BACKOFF_MIN_MS << d->refusals;
    }
    d->refusals++;
    d->last_trouble = *why;
    driver_lose(d, why, t);
    d->retry_ms = driver_later(d, pause < DRIVER_BACKOFF_MAX_MS ? pause : DRIVER_BACKOFF_MAX_MS);
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
    d->epoch = d->epoch < d->leader->epoch ? d->leader->epoch : d->epoch;
    d->leader->epoch = d->epoch;
    if (d->leader->has_incarnation) {
        d->has_incarnation = true;
        memcpy(d->incarnation, d->leader->incarnation, sizeof d->incarnation);
    }
    d->leader->failures = 0;
    d->refusals = 0;
    d->answer_ms = d->give_up_ms = INT64_MAX;
    d->was_subscribed = true;
    d->stats.subscriptions++;
    pf_err_clear(&d->last_trouble);
    session_move(d, DRIVER_SUBSCRIBED, "subscribed");

    told.framework_id = driver_dup_str(t, pf_str(d->framework_id));
    told.master = driver_dup_str(t, pf_str(d->leader->address));
    told.epoch = d->epoch;
    told.generation = Scheduler_Event_Subscribed_generation(s);
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
        (void)pf_err_set(&why, reply_error(code), "%s: %.*s", d->leader->address,
                         PF_STR_ARG(text.len > 0 ? text : pf_str(ReplyCode__str((int)code))));
    }
    if (request != 0 && request == d->teardown_request) {
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
    } else if (code == ReplyCode_NOT_SUBSCRIBED && d->sm.state == DRIVER_SUBSCRIBED) {
        session_refused(d, &why, t);
    } else {
        d->stats.bad_messages++;
    }
}

static void session_answer_missing(struct pf_driver *d, struct pf_turn *t)
{
    struct driver_link *l = d->leader;
    struct pf_err why = {0};

    (void)pf_err_set(&why, PF_ETIMEOUT, "%s does not answer", l->address);
    d->last_trouble = why;
    driver_lose(d, &why, t);
    driver_link_drop(d, l, "no answer", t);
    driver_seek(d, t);
}

void driver_session_due(struct pf_driver *d, int64_t now_ms, struct pf_turn *t)
{
    struct pf_err why = {0};

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
    d->leader = NULL;
    session_move(d, DRIVER_ENDED, why->code ? why->msg : "stopped");
    driver_act(t, act, why, sizeof *why);
}
