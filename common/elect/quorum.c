/* SPDX-License-Identifier: Apache-2.0 */
/* See quorum.h. Every event goes to election and log as far as it concerns them; then settle() lets
 * each learn what the other came to know, until nothing changes. */
#include "common/elect/quorum.h"

#include <stdio.h>
#include <string.h>
#include "common/base/alloc.h"
#include "common/elect/quorum_internal.h"
#include "common/link/envelope.h"

struct pf_quorum *pf_quorum_create(const struct pf_quorum_options *options)
{
    struct pf_quorum *q = PF_NEW(struct pf_quorum);

    pf_outbox_init(&q->out);
    pf_fb_builder_init(&q->builder, NULL);
    q->instance = pf_strdup(options->elect.instance);
    q->elect = pf_elect_create(&options->elect, &q->out);
    q->log = pf_replog_create(&options->log, &q->out);
    q->told_head = -1;
    q->status_ms = INT64_MAX;
    return q;
}

void pf_quorum_destroy(struct pf_quorum *q)
{
    if (q == NULL) {
        return;
    }
    pf_elect_destroy(q->elect);
    pf_replog_destroy(q->log);
    pf_outbox_fini(&q->out);
    pf_fb_builder_fini(&q->builder);
    pf_free(q->instance);
    pf_free(q);
}

/* --- what they tell each other ---------------------------------------------------------------- */

static void elect_step(struct pf_quorum *q, struct pf_elect_event *ev)
{
    ev->boot_ms = q->now_ms;
    ev->wall_ms = q->wall_ms;
    pf_elect_step(q->elect, ev);
}

static void log_step(struct pf_quorum *q, struct pf_replog_event *ev)
{
    ev->boot_ms = q->now_ms;
    pf_replog_step(q->log, ev);
}

/* Each of these tells one of the two machines what the other came to know; false: nothing new. */

static bool tell_applied(struct pf_quorum *q)
{
    bool is_ready = pf_replog_is_ready(q->log);
    int32_t head = is_ready ? pf_replog_head_version(q->log) : -1;

    if (is_ready == q->told_ready && head == q->told_head) {
        return false;
    }
    q->told_ready = is_ready;
    q->told_head = head;
    q->reads_log = q->reads_log && !is_ready;
    struct pf_elect_event ev = {.type = PF_ELECT_APPLIED};

    ev.applied.is_ready = is_ready;
    ev.applied.head_version = head;
    ev.applied.format = pf_replog_format(q->log);
    elect_step(q, &ev);
    return true;
}

static bool tell_renewed(struct pf_quorum *q)
{
    int64_t sent_ms = pf_replog_renewed_ms(q->log);

    if (!q->leads || sent_ms <= q->told_renewed_ms) {
        return false;
    }
    struct pf_elect_event ev = {.type = PF_ELECT_RENEWED};

    q->told_renewed_ms = sent_ms;
    ev.renewed.sent_ms = sent_ms;
    elect_step(q, &ev);
    return true;
}

static bool tell_fenced(struct pf_quorum *q)
{
    if (!q->leads || !pf_replog_is_fenced(q->log) || !pf_elect_is_leading(q->elect)) {
        return false;
    }
    elect_step(q, &(struct pf_elect_event){.type = PF_ELECT_FENCED});
    PF_ASSERT(!pf_elect_is_leading(q->elect));
    return true;
}

/* The log went on behind a takeover: it is read, and then APPLIED told. */
static bool read_log(struct pf_quorum *q)
{
    if (!pf_elect_wants_log(q->elect) || q->reads_log) {
        return false;
    }
    q->reads_log = true;
    q->told_ready = false; /* said again even if the head stayed */
    log_step(q, &(struct pf_replog_event){.type = PF_REPLOG_CATCH_UP});
    return true;
}

static void begin_to_lead(struct pf_quorum *q)
{
    struct pf_replog_event ev = {.type = PF_REPLOG_LEAD};

    q->leads = true;
    q->led_epoch = pf_elect_epoch(q->elect);
    q->told_renewed_ms = 0;
    ev.lead.epoch_version = pf_elect_epoch_version(q->elect);
    ev.lead.epoch = q->led_epoch;
    ev.lead.session = pf_elect_session(q->elect);
    log_step(q, &ev);
    pf_outbox_put(&q->out, &(struct pf_quorum_effect){
                               .type = PF_QUORUM_LEAD,
                               .lead = {pf_elect_incarnation(q->elect), q->led_epoch}});
    q->status_ms = q->now_ms;
}

static void stop_leading(struct pf_quorum *q)
{
    const char *why = pf_elect_trouble(q->elect);

    q->leads = false;
    q->is_frozen = false;
    log_step(q, &(struct pf_replog_event){.type = PF_REPLOG_STOP});
    pf_outbox_put(&q->out, &(struct pf_quorum_effect){
                               .type = PF_QUORUM_STOP,
                               .stop = {pf_str(why != NULL ? why : "another master leads")}});
    q->status_ms = q->now_ms;
}

static bool follow_election(struct pf_quorum *q)
{
    bool leads = pf_elect_is_leading(q->elect);

    /* Another epoch without a pause is another leadership all the same. */
    if (q->leads && (!leads || pf_elect_epoch(q->elect) != q->led_epoch)) {
        stop_leading(q);
        return true;
    }
    if (!q->leads && leads) {
        begin_to_lead(q);
        return true;
    }
    return false;
}

/* Until nothing is new to either. What one is told may be new to the other, but never for long. */
static void settle(struct pf_quorum *q)
{
    uint32_t rounds = 0;

    while (follow_election(q) || tell_fenced(q) || tell_renewed(q) || read_log(q) ||
           tell_applied(q)) {
        PF_ASSERT(++rounds < 64);
    }
}

/* Those that ask us and the other masters are to know why we could not lead. */
static bool is_new_trouble(struct pf_quorum *q)
{
    const char *trouble = pf_quorum_trouble(q);
    char text[QUORUM_TROUBLE_BYTES];

    (void)snprintf(text, sizeof text, "%s", trouble != NULL ? trouble : "");
    if (strcmp(text, q->told_trouble) == 0) {
        return false;
    }
    memcpy(q->told_trouble, text, sizeof text);
    return true;
}

static void tell_view(struct pf_quorum *q)
{
    uint64_t number = pf_elect_view_number(q->elect);

    if (is_new_trouble(q)) {
        q->view_changed = true;
        q->status_ms = q->now_ms;
    }
    if (number != q->told_view || q->view_changed) {
        q->status_ms = number != q->told_view ? q->now_ms : q->status_ms;
        q->told_view = number;
        q->view_changed = false;
        pf_outbox_put(&q->out, &(struct pf_quorum_effect){.type = PF_QUORUM_VIEW});
    }
}

/* --- events ----------------------------------------------------------------------------------- */

static void on_session(struct pf_quorum *q, const struct pf_quorum_event *ev)
{
    struct pf_replog_event log = {.type = PF_REPLOG_SESSION, .session = ev->session};
    struct pf_elect_event elect = {.type = PF_ELECT_SESSION, .session = ev->session};

    elect_step(q, &elect);
    log_step(q, &log);
}

static void on_reply(struct pf_quorum *q, const struct pf_quorum_event *ev)
{
    if ((ev->reply->id & PF_ZK_OWNER_ELECT) != 0) {
        struct pf_elect_event elect = {.type = PF_ELECT_REPLY, .reply = ev->reply};

        elect_step(q, &elect);
    } else {
        struct pf_replog_event log = {.type = PF_REPLOG_REPLY, .reply = ev->reply};

        log_step(q, &log);
    }
}

static void on_watch(struct pf_quorum *q, const struct pf_quorum_event *ev)
{
    struct pf_replog_event log = {.type = PF_REPLOG_WATCH, .watch = ev->watch};
    struct pf_elect_event elect = {.type = PF_ELECT_WATCH, .watch = ev->watch};

    elect_step(q, &elect);
    log_step(q, &log);
}

static void on_submit(struct pf_quorum *q, const struct pf_quorum_event *ev)
{
    PF_ASSERT(q->leads);
    struct pf_replog_event log = {.type = PF_REPLOG_SUBMIT, .submit = ev->submit};

    log_step(q, &log);
}

static void on_probed(struct pf_quorum *q, const struct pf_quorum_event *ev)
{
    struct pf_elect_event elect = {.type = PF_ELECT_PROBED};

    elect.probed.result = ev->probed.result;
    elect.probed.instance = ev->probed.instance;
    elect_step(q, &elect);
}

static void on_epoch_seen(struct pf_quorum *q, const struct pf_quorum_event *ev)
{
    struct pf_elect_event elect = {.type = PF_ELECT_EPOCH_SEEN};

    elect.epoch_seen.epoch = ev->epoch_seen.epoch;
    elect_step(q, &elect);
}

static void on_tick(struct pf_quorum *q)
{
    if (pf_elect_deadline(q->elect) <= q->now_ms ||
        (q->leads && !pf_elect_may_act(q->elect, q->now_ms))) {
        elect_step(q, &(struct pf_elect_event){.type = PF_ELECT_TICK});
    }
    if (pf_replog_deadline(q->log) <= q->now_ms) {
        log_step(q, &(struct pf_replog_event){.type = PF_REPLOG_TICK});
    }
    quorum_masters_tick(q);
}

void pf_quorum_step(struct pf_quorum *q, const struct pf_quorum_event *ev)
{
    q->now_ms = ev->boot_ms > q->now_ms ? ev->boot_ms : q->now_ms;
    q->wall_ms = ev->wall_ms;
    switch (ev->type) {
    case PF_QUORUM_EV_SESSION: on_session(q, ev); break;
    case PF_QUORUM_EV_REPLY: on_reply(q, ev); break;
    case PF_QUORUM_EV_WATCH: on_watch(q, ev); break;
    case PF_QUORUM_EV_MASTER_UP: quorum_master_link(q, ev->master.instance, true); break;
    case PF_QUORUM_EV_MASTER_DOWN: quorum_master_link(q, ev->master.instance, false); break;
    case PF_QUORUM_EV_MASTER_MESSAGE: quorum_master_message(q, ev->master.message); break;
    case PF_QUORUM_EV_PROBED: on_probed(q, ev); break;
    case PF_QUORUM_EV_SUBMIT: on_submit(q, ev); break;
    case PF_QUORUM_EV_STEP_DOWN: quorum_step_down(q, ev->step_down.to); break;
    case PF_QUORUM_EV_DRAINED: quorum_drained(q); break;
    case PF_QUORUM_EV_EPOCH_SEEN: on_epoch_seen(q, ev); break;
    case PF_QUORUM_EV_PEERS: q->n_agents = ev->peers.n_agents; break;
    case PF_QUORUM_EV_TICK: on_tick(q); break;
    }
    settle(q);
    tell_view(q);
}

const struct pf_quorum_effect *pf_quorum_next(struct pf_quorum *q)
{
    return pf_outbox_take(&q->out);
}

int64_t pf_quorum_deadline(const struct pf_quorum *q)
{
    int64_t at = pf_elect_deadline(q->elect), other = pf_replog_deadline(q->log);

    at = other < at ? other : at;
    other = quorum_masters_deadline(q);
    return other < at ? other : at;
}

void pf_quorum_check(const struct pf_quorum *q)
{
    pf_elect_check(q->elect);
    pf_replog_check(q->log);
    PF_ASSERT(!q->is_frozen || q->leads);
    PF_ASSERT(q->n_others <= PF_MASTERS_MAX);
    PF_ASSERT(!q->leads || q->led_epoch > 0);
}

bool pf_quorum_is_leading(const struct pf_quorum *q)
{
    return q->leads;
}

bool pf_quorum_may_act(const struct pf_quorum *q, int64_t boot_ms)
{
    return q->leads && pf_elect_may_act(q->elect, boot_ms);
}

bool pf_quorum_is_frozen(const struct pf_quorum *q)
{
    return q->is_frozen;
}

uint64_t pf_quorum_epoch(const struct pf_quorum *q)
{
    return pf_elect_epoch(q->elect);
}

struct pf_uuid pf_quorum_incarnation(const struct pf_quorum *q)
{
    return pf_elect_incarnation(q->elect);
}

const char *pf_quorum_trouble(const struct pf_quorum *q)
{
    const char *trouble = pf_elect_trouble(q->elect);

    return trouble != NULL ? trouble : pf_replog_trouble(q->log);
}

void pf_quorum_rows(const struct pf_quorum *q, pf_replica_row_fn *fn, void *ctx)
{
    pf_replica_each(pf_replog_rows(q->log), fn, ctx);
}

void pf_quorum_stats(const struct pf_quorum *q, struct pf_elect_stats *elect,
                     struct pf_replog_stats *log)
{
    pf_elect_stats(q->elect, elect);
    pf_replog_stats(q->log, log);
}
