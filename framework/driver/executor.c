/* SPDX-License-Identifier: Apache-2.0 */
/* The door of the executor driver: link, subscription, the ways to end. */
#include "framework/driver/executor.h"

#include <string.h>
#include "common/base/alloc.h"
#include "framework/driver/executor_internal.h"

#define BIT(state) (1u << (state))

static const struct pf_sm_state exdrv_states[EXDRV_STATE_COUNT] = {
    [EXDRV_IDLE] = {"idle", PF_SM_INITIAL, BIT(EXDRV_CONNECTING) | BIT(EXDRV_ENDED)},
    [EXDRV_WAITING] = {"waiting", 0, BIT(EXDRV_CONNECTING) | BIT(EXDRV_ENDED)},
    [EXDRV_CONNECTING] = {"connecting", 0,
                          BIT(EXDRV_WAITING) | BIT(EXDRV_SUBSCRIBING) | BIT(EXDRV_ENDED)},
    [EXDRV_SUBSCRIBING] = {"subscribing", 0,
                           BIT(EXDRV_WAITING) | BIT(EXDRV_SUBSCRIBED) | BIT(EXDRV_ENDED)},
    [EXDRV_SUBSCRIBED] = {"subscribed", 0, BIT(EXDRV_WAITING) | BIT(EXDRV_ENDED)},
    [EXDRV_ENDED] = {"ended", PF_SM_FINAL, 0},
};
static const struct pf_sm_table exdrv_table = {"executor", exdrv_states, EXDRV_STATE_COUNT};

static void exdrv_move(struct pf_executor_driver *d, enum exdrv_state to, const char *why)
{
    pf_sm_move(&d->sm, to, d->executor_id, why, &d->tracer);
}

static char *dup_str(struct pf_str s)
{
    return pf_strndup(s.at ? s.at : "", s.len);
}

struct pf_executor_driver *pf_executor_driver_create(const struct pf_executor_driver_options *o)
{
    struct pf_executor_driver *d = PF_NEW(struct pf_executor_driver);

    PF_ASSERT(o->agent.len > 0 && o->recovery_ms >= 0 && o->grace_ms >= 0);
    pf_rng_seed(&d->dice, o->seed);
    d->tracer = o->tracer;
    d->agent = dup_str(o->agent);
    d->token = o->token.at ? dup_str(o->token) : NULL;
    d->framework_id = dup_str(o->framework_id);
    d->executor_id = dup_str(o->executor_id);
    d->recovery_ms = o->recovery_ms;
    d->grace_ms = o->grace_ms;
    d->retry_ms = d->answer_ms = d->lost_ms = d->end_ms = INT64_MAX;
    d->tasks.seed = pf_rng_next(&d->dice);
    TAILQ_INIT(&d->task_list);
    TAILQ_INIT(&d->updates);
    STAILQ_INIT(&d->messages);
    pf_sm_init(&d->sm, &exdrv_table, EXDRV_IDLE, d->executor_id, "created", &d->tracer);
    return d;
}

void pf_executor_driver_destroy(struct pf_executor_driver *d)
{
    if (!d) {
        return;
    }
    exdrv_tasks_fini(d);
    exdrv_messages_fini(d);
    pf_free(d->agent);
    pf_free(d->token);
    pf_free(d->framework_id);
    pf_free(d->executor_id);
    pf_free(d);
}

void exdrv_act(struct pf_turn *t, enum pf_executor_act act, const void *data, size_t bytes)
{
    pf_turn_act(t, act, pf_arena_memdup(pf_turn_arena(t), data, bytes));
}

void exdrv_end(struct pf_executor_driver *d, enum pf_executor_act act, const struct pf_err *why,
               struct pf_turn *t)
{
    if (d->peer) {
        pf_turn_close(t, d->peer);
        d->peer = 0;
    }
    exdrv_move(d, EXDRV_ENDED, why->code ? why->msg : "stopped");
    exdrv_act(t, act, why, sizeof *why);
}

void exdrv_end_if_done(struct pf_executor_driver *d, struct pf_turn *t)
{
    const struct pf_err none = {0};
    bool is_idle = d->tasks.len == d->n_over || d->is_stopping;

    if (d->sm.state != EXDRV_ENDED && (d->is_shutting || d->is_stopping) && is_idle &&
        d->n_updates == 0) {
        exdrv_end(d, PF_EXECUTOR_STOPPED, &none, t);
    }
}

/* --- the link --------------------------------------------------------------------------------- */

static void link_connect(struct pf_executor_driver *d, const char *why, struct pf_turn *t)
{
    struct pf_str address = pf_arena_strdup(pf_turn_arena(t), pf_str(d->agent));

    d->retry_ms = INT64_MAX;
    exdrv_move(d, EXDRV_CONNECTING, why);
    exdrv_act(t, PF_EXECUTOR_CONNECT, &address, sizeof address);
}

static void link_try_later(struct pf_executor_driver *d, const char *why)
{
    int64_t pause_ms = pf_backoff_pause(&d->tries, &d->dice);

    if (pause_ms > EXDRV_PAUSE_MAX_MS) {
        pause_ms =
            EXDRV_PAUSE_MAX_MS / 2 + (int64_t)pf_rng_below(&d->dice, EXDRV_PAUSE_MAX_MS / 2 + 1);
    }
    d->peer = 0;
    d->subscribe_request = 0;
    d->answer_ms = INT64_MAX;
    d->retry_ms = d->now_ms + pause_ms;
    exdrv_move(d, EXDRV_WAITING, why);
}

/* The link has ended, or must: it is connected anew after a pause. */
static void link_lose(struct pf_executor_driver *d, const struct pf_err *why, struct pf_turn *t)
{
    if (d->sm.state == EXDRV_SUBSCRIBED) {
        d->stats.disconnects++;
        if (d->now_ms - d->subscribed_ms >= EXDRV_LASTING_MS) {
            d->tries.failures = 0; /* else somebody may be subscribing in our place */
        }
        if (!d->is_shutting && !d->is_stopping) {
            d->lost_ms = d->now_ms + d->recovery_ms;
        }
        if (!d->is_stopping) {
            exdrv_act(t, PF_EXECUTOR_DISCONNECTED, why, sizeof *why);
        }
    }
    link_try_later(d, why->msg);
}

static void link_drop(struct pf_executor_driver *d, const struct pf_err *why, struct pf_turn *t)
{
    pf_turn_close(t, d->peer);
    link_lose(d, why, t);
}

static void on_link_up(struct pf_executor_driver *d, uint64_t peer, struct pf_turn *t)
{
    if (d->sm.state != EXDRV_CONNECTING) {
        return;
    }
    d->peer = peer;
    d->answer_ms = d->now_ms + EXDRV_ANSWER_MS;
    exdrv_move(d, EXDRV_SUBSCRIBING, "linked");
    exdrv_send_subscribe(d, t);
}

static void on_link_down(struct pf_executor_driver *d, const struct pf_err *why, struct pf_turn *t)
{
    if (d->sm.state != EXDRV_IDLE && d->sm.state != EXDRV_WAITING) {
        link_lose(d, why, t);
    }
}

/* --- the subscription ------------------------------------------------------------------------- */

static void shut_down(struct pf_executor_driver *d, const char *why, struct pf_turn *t)
{
    struct pf_executor_shutdown told = {.grace_ms = d->grace_ms, .why = pf_str(why)};

    if (d->is_shutting) {
        return;
    }
    d->is_shutting = true;
    d->lost_ms = INT64_MAX;
    if (!d->is_stopping) {
        d->end_ms = d->now_ms + d->grace_ms;
        exdrv_act(t, PF_EXECUTOR_SHUTDOWN, &told, sizeof told);
    }
}

static void on_subscribed(struct pf_executor_driver *d, struct pf_msg envelope, struct pf_turn *t)
{
    struct pf_executor_subscribed told = {.is_again = d->stats.subscriptions > 0};

    if (d->sm.state != EXDRV_SUBSCRIBING) {
        d->stats.bad_messages++;
        return;
    }
    envelope.data = pf_arena_memdup(pf_turn_arena(t), envelope.data, envelope.len);
    told.event =
        Executor_Event_subscribed(Envelope_body_as_Executor_Event(Envelope__root(envelope)));
    d->stats.subscriptions++;
    d->subscribed_ms = d->now_ms;
    d->answer_ms = d->lost_ms = INT64_MAX;
    exdrv_move(d, EXDRV_SUBSCRIBED, "subscribed");
    if (!d->is_stopping) {
        exdrv_act(t, PF_EXECUTOR_SUBSCRIBED, &told, sizeof told);
    }
    exdrv_send_rest(d, t);
}

static void on_error(struct pf_executor_driver *d, struct pf_str text, struct pf_turn *t)
{
    struct pf_err why = {0};

    (void)pf_err_set(&why, PF_ECANCELED, "%.*s", PF_STR_ARG(text));
    exdrv_end(d, PF_EXECUTOR_ERROR, &why, t);
}

static void on_told(struct pf_executor_driver *d, struct pf_bytes data, struct pf_turn *t)
{
    if (!d->is_stopping) {
        data.at = pf_arena_memdup(pf_turn_arena(t), data.at, data.len);
        exdrv_act(t, PF_EXECUTOR_TOLD, &data, sizeof data);
    }
}

static void on_event(struct pf_executor_driver *d, struct pf_msg envelope, struct pf_turn *t)
{
    struct Executor_Event e = Envelope_body_as_Executor_Event(Envelope__root(envelope));
    enum Executor_Event_Type type = Executor_Event_type(e);

    if (type == Executor_Event_Type_SUBSCRIBED) {
        on_subscribed(d, envelope, t);
    } else if (type == Executor_Event_Type_SHUTDOWN) { /* also instead of SUBSCRIBED */
        shut_down(d, "the agent says so", t);
    } else if (type == Executor_Event_Type_ERROR) {
        on_error(d, Executor_Event_Error_message(Executor_Event_error(e)), t);
        return;
    } else if (d->sm.state != EXDRV_SUBSCRIBED) {
        d->stats.bad_messages++;
    } else if (type == Executor_Event_Type_LAUNCH || type == Executor_Event_Type_LAUNCH_GROUP) {
        exdrv_on_launch(d, envelope, t);
    } else if (type == Executor_Event_Type_KILL) {
        exdrv_on_kill(d, Executor_Event_kill(e), t);
    } else if (type == Executor_Event_Type_ACKNOWLEDGED) {
        exdrv_on_acknowledged(d, Executor_Event_acknowledged(e));
    } else if (type == Executor_Event_Type_MESSAGE) {
        on_told(d, Executor_Event_Message_data(Executor_Event_message(e)), t);
    } else if (type != Executor_Event_Type_HEARTBEAT) {
        d->stats.bad_messages++;
    }
    exdrv_end_if_done(d, t);
}

/* Answers that another try may change. */
static bool reply_is_passing(enum ReplyCode code)
{
    return code == ReplyCode_UNAVAILABLE || code == ReplyCode_TOO_MANY ||
           code == ReplyCode_NOT_SUBSCRIBED || code == ReplyCode_NOT_LEADER;
}

static void on_reply(struct pf_executor_driver *d, struct Envelope e, struct pf_turn *t)
{
    enum ReplyCode code = Envelope_code(e);
    struct pf_str text = Envelope_text(e);
    bool is_subscribe = d->subscribe_request != 0 && d->sm.state == EXDRV_SUBSCRIBING &&
                        Envelope_request_id(e) == d->subscribe_request;
    struct pf_err why = {0};

    if (code == ReplyCode_OK || code == ReplyCode_ACCEPTED) {
        return; /* SUBSCRIBED tells the rest */
    }
    (void)pf_err_set(&why, reply_is_passing(code) ? PF_ECONN : PF_EACCESS,
                     "the agent refuses: "
                     "%.*s",
                     PF_STR_ARG(text.len > 0 ? text : pf_str(ReplyCode__str((int)code))));
    if (is_subscribe && !reply_is_passing(code)) {
        exdrv_end(d, PF_EXECUTOR_ERROR, &why, t);
    } else if (is_subscribe || code == ReplyCode_NOT_SUBSCRIBED) {
        link_drop(d, &why, t);
    } else {
        d->stats.bad_messages++; /* a call that it did not like: nothing to be done */
    }
}

static void on_message(struct pf_executor_driver *d, struct pf_msg envelope, struct pf_turn *t)
{
    struct Envelope e = Envelope__root(envelope);

    if (d->peer == 0) {
        d->stats.bad_messages++;
    } else if (Envelope_is_reply(e)) {
        on_reply(d, e, t);
    } else if (Envelope_body_type(e) == Body_Executor_Event) {
        on_event(d, envelope, t);
    } else {
        d->stats.bad_messages++;
    }
}

/* --- time and the owner ----------------------------------------------------------------------- */

static void on_deadline(struct pf_executor_driver *d, struct pf_turn *t)
{
    struct pf_err why = {0};

    if (d->lost_ms <= d->now_ms) {
        shut_down(d, "the agent does not come back", t);
        exdrv_end_if_done(d, t);
    }
    if (d->sm.state != EXDRV_ENDED && d->end_ms <= d->now_ms) {
        exdrv_end(d, PF_EXECUTOR_STOPPED, &why, t);
    }
    if (d->sm.state == EXDRV_SUBSCRIBING && d->answer_ms <= d->now_ms) {
        (void)pf_err_set(&why, PF_ETIMEOUT, "%s does not answer", d->agent);
        link_drop(d, &why, t);
    } else if (d->sm.state == EXDRV_WAITING && d->retry_ms <= d->now_ms) {
        link_connect(d, "again", t);
    }
}

static void on_start(struct pf_executor_driver *d, struct pf_turn *t)
{
    PF_ASSERT(d->sm.state == EXDRV_IDLE);
    d->lost_ms = d->now_ms + d->recovery_ms;
    link_connect(d, "start", t);
}

static void on_stop(struct pf_executor_driver *d, struct pf_turn *t)
{
    if (!d->is_stopping) {
        d->is_stopping = true;
        d->lost_ms = INT64_MAX;
        d->end_ms = d->is_shutting && d->end_ms < d->now_ms + EXDRV_STOP_MS
                        ? d->end_ms
                        : d->now_ms + EXDRV_STOP_MS;
        exdrv_end_if_done(d, t);
    }
}

void pf_executor_driver_step(struct pf_executor_driver *d, const struct pf_executor_event *ev,
                             struct pf_turn *t)
{
    d->now_ms = ev->now_ms;
    d->wall_ms = ev->wall_ms;
    if (d->sm.state == EXDRV_ENDED) {
        return;
    }
    switch (ev->type) {
    case PF_EXECUTOR_START: on_start(d, t); break;
    case PF_EXECUTOR_STOP: on_stop(d, t); break;
    case PF_EXECUTOR_LINK_UP: on_link_up(d, ev->peer, t); break;
    case PF_EXECUTOR_LINK_DOWN: on_link_down(d, &ev->down, t); break;
    case PF_EXECUTOR_MESSAGE: on_message(d, ev->message, t); break;
    case PF_EXECUTOR_DEADLINE: on_deadline(d, t); break;
    case PF_EXECUTOR_UPDATE: exdrv_update(d, &ev->update, t); break;
    case PF_EXECUTOR_SEND: exdrv_message(d, ev->data, t); break;
    }
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t pf_executor_driver_deadline(const struct pf_executor_driver *d)
{
    if (d->sm.state == EXDRV_ENDED || d->sm.state == EXDRV_IDLE) {
        return INT64_MAX;
    }
    return earlier(earlier(d->retry_ms, d->answer_ms), earlier(d->lost_ms, d->end_ms));
}

bool pf_executor_driver_is_ended(const struct pf_executor_driver *d)
{
    return d->sm.state == EXDRV_ENDED;
}

bool pf_executor_driver_is_subscribed(const struct pf_executor_driver *d)
{
    return d->sm.state == EXDRV_SUBSCRIBED;
}

void pf_executor_driver_stats(const struct pf_executor_driver *d,
                              struct pf_executor_driver_stats *out)
{
    *out = d->stats;
    out->n_tasks = d->tasks.len - d->n_over;
    out->n_unacknowledged = d->n_updates;
}

void pf_executor_driver_check(const struct pf_executor_driver *d)
{
    bool is_linked = d->sm.state == EXDRV_SUBSCRIBING || d->sm.state == EXDRV_SUBSCRIBED;
    const struct exdrv_message *m;
    uint32_t n = 0, bytes = 0;

    PF_ASSERT((d->peer != 0) == is_linked);
    PF_ASSERT((d->retry_ms != INT64_MAX) == (d->sm.state == EXDRV_WAITING) ||
              d->sm.state == EXDRV_ENDED);
    PF_ASSERT(!(d->is_shutting || d->is_stopping) ||
              (d->end_ms != INT64_MAX && d->lost_ms == INT64_MAX));
    STAILQ_FOREACH(m, &d->messages, entry)
    {
        n++;
        bytes += m->data.len;
    }
    PF_ASSERT(n == d->n_messages && bytes == d->message_bytes);
    PF_ASSERT(n <= EXDRV_MESSAGES_MAX && bytes <= EXDRV_MESSAGES_MAX_BYTES);
    exdrv_tasks_check(d);
}
