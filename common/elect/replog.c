/* SPDX-License-Identifier: Apache-2.0 */
/* The door of the registry log. replog_base.c and replog_follow.c read it, replog_lead.c appends to
 * it, replog_snapshot.c and replog_clean.c keep it short, replog_nodes.c knows the bytes. */
#include "common/elect/replog.h"

#include <stdio.h>
#include <string.h>
#include "common/base/alloc.h"
#include "common/elect/replog_internal.h"

struct pf_replog *pf_replog_create(const struct pf_replog_options *options, struct pf_outbox *out)
{
    struct pf_replog *l = PF_NEW(struct pf_replog);

    PF_ASSERT(options->format_min <= options->format_max);
    l->out = out;
    l->seed = options->seed;
    pf_rng_seed(&l->rng, options->seed);
    pf_fb_builder_init(&l->builder, NULL);
    l->format_min = options->format_min;
    l->format_max = options->format_max;
    l->log_nodes = options->log_nodes != 0 ? options->log_nodes : PF_REPLOG_LOG_NODES;
    l->log_bytes = options->log_bytes != 0 ? options->log_bytes : PF_REPLOG_LOG_BYTES;
    l->rows = pf_replica_create(l->seed);
    pf_sm_init(&l->follow.sm, &log_follow_table, FOLLOW_AWAY, "", "new", NULL);
    pf_sm_init(&l->lead.sm, &log_lead_table, LEAD_NONE, "", "new", NULL);
    pf_sm_init(&l->snap.sm, &log_snap_table, SNAP_NONE, "", "new", NULL);
    return l;
}

void pf_replog_destroy(struct pf_replog *l)
{
    if (l == NULL) {
        return;
    }
    log_lead_stop(l);
    log_snap_stop(l);
    pf_ptrs_fini(&l->snap.folders);
    pf_ptrs_fini(&l->snap.paths);
    log_follow_fini(l);
    pf_replica_destroy(l->rows);
    pf_fb_builder_fini(&l->builder);
    pf_free(l);
}

/* --- for the files of this module --------------------------------------------------------------
 */

void log_move(struct pf_sm *sm, uint32_t next, const char *why)
{
    pf_sm_move(sm, next, "", why, NULL);
}

bool log_usable(const struct pf_replog *l, uint8_t session)
{
    const struct log_session *s = &l->session[session];

    return s->is_connected && l->now_ms >= s->pause_until_ms;
}

int log_session(const struct pf_replog *l, uint8_t preferred)
{
    if (log_usable(l, preferred)) {
        return preferred;
    }
    for (uint8_t s = 0; s < PF_ZK_SESSIONS; s++) {
        if (log_usable(l, s)) {
            return s;
        }
    }
    return -1;
}

uint64_t log_send(struct pf_replog *l, enum log_ask ask, uint8_t session, uint32_t n_ops,
                  const struct pf_zk_op *op)
{
    struct pf_quorum_effect e = {.type = PF_QUORUM_ZK};

    l->seq++;
    e.zk.id = PF_ZK_OWNER_LOG | (uint64_t)ask << 48 | l->seq;
    e.zk.session = session;
    e.zk.n_ops = n_ops;
    e.zk.op = op;
    pf_outbox_put(l->out, &e);
    return l->seq;
}

void log_sync(struct pf_replog *l, enum log_ask ask, uint8_t session)
{
    struct pf_zk_op op = {.type = PF_ZK_SYNC, .path = PF_STR("/registry")};

    (void)log_send(l, ask, session, 1, &op); /* its answer comes by `ask` */
}

void log_retry_later(const struct pf_replog *l, struct log_retry *r)
{
    int64_t gap = r->gap_ms == 0 ? LOG_RETRY_MS : r->gap_ms * 2;

    r->gap_ms = gap < LOG_RETRY_MAX_MS ? gap : LOG_RETRY_MAX_MS;
    r->at_ms = l->now_ms + r->gap_ms;
}

void log_set_trouble(struct pf_replog *l, enum log_trouble t, const char *fmt, ...)
{
    char text[LOG_TEXT];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (strcmp(text, l->trouble[t]) != 0) {
        memcpy(l->trouble[t], text, sizeof text);
        pf_outbox_say(l->out, true, "%s", text);
    }
}

void log_clear_trouble(struct pf_replog *l, enum log_trouble t)
{
    l->trouble[t][0] = '\0';
}

struct pf_zk_op log_check_epoch(const struct pf_replog *l)
{
    PF_ASSERT(!log_is(&l->lead.sm, LEAD_NONE));
    return (struct pf_zk_op){
        .type = PF_ZK_CHECK, .path = PF_STR("/epoch"), .version = l->lead.epoch_version};
}

bool log_is_refused(const struct pf_zk_reply *r)
{
    return r->failed_op == 0 && (r->code == PF_ZK_BAD_VERSION || r->code == PF_ZK_NO_NODE);
}

/* --- events ----------------------------------------------------------------------------------- */

static void on_session(struct pf_replog *l, const struct pf_zk_session *s)
{
    PF_ASSERT(s->session < PF_ZK_SESSIONS);
    l->session[s->session].is_connected = s->state == PF_ZK_CONNECTED;
    l->session[s->session].pause_until_ms = 0;
    log_follow_session(l, s->session);
}

static void on_reply(struct pf_replog *l, const struct pf_zk_reply *r)
{
    enum log_ask ask = (enum log_ask)(r->id >> 48 & 0xff);
    uint64_t seq = r->id & ((UINT64_C(1) << 48) - 1);

    PF_ASSERT(r->session < PF_ZK_SESSIONS);
    if (log_is_lost(r->code)) {
        l->session[r->session].pause_until_ms = l->now_ms + LOG_PAUSE_MS;
    }
    if (ask < ASK_LEAD_APPEND) {
        if (seq >= l->follow.since) {
            log_follow_reply(l, ask, seq, r);
        }
    } else if (ask < ASK_SNAP_SYNC) {
        log_lead_reply(l, ask, seq, r);
    } else if (seq >= l->snap.since && !log_is(&l->snap.sm, SNAP_NONE)) {
        log_snap_reply(l, ask, r);
    }
}

static void on_watch(struct pf_replog *l, const struct pf_zk_watch *w)
{
    if (pf_str_is(w->path, "/registry/head")) {
        log_follow_hint(l);
    }
}

static void on_lead(struct pf_replog *l, const struct pf_replog_event *ev)
{
    log_lead_begin(l, ev);
    log_follow_lead(l);
    log_snap_begin(l);
}

static void on_stop(struct pf_replog *l)
{
    log_snap_stop(l);
    log_lead_stop(l);
    log_follow_stop(l);
}

void pf_replog_step(struct pf_replog *l, const struct pf_replog_event *ev)
{
    l->now_ms = ev->boot_ms > l->now_ms ? ev->boot_ms : l->now_ms;
    switch (ev->type) {
    case PF_REPLOG_SESSION: on_session(l, &ev->session); break;
    case PF_REPLOG_REPLY: on_reply(l, ev->reply); break;
    case PF_REPLOG_WATCH: on_watch(l, &ev->watch); break;
    case PF_REPLOG_STREAMED: log_follow_streamed(l, ev->streamed.number, ev->streamed.node); break;
    case PF_REPLOG_CATCH_UP: log_follow_catch_up(l); break;
    case PF_REPLOG_LEAD: on_lead(l, ev); break;
    case PF_REPLOG_SUBMIT: log_lead_submit(l, ev->submit); break;
    case PF_REPLOG_STOP: on_stop(l); break;
    case PF_REPLOG_TICK: break;
    }
    log_lead_pump(l);
    log_snap_pump(l);
    log_follow_pump(l);
}

int64_t pf_replog_deadline(const struct pf_replog *l)
{
    int64_t at = log_follow_deadline(l), other = log_lead_deadline(l);

    at = other < at ? other : at;
    other = log_snap_deadline(l);
    at = other < at ? other : at;
    for (uint32_t s = 0; s < PF_ZK_SESSIONS; s++) {
        int64_t until = l->session[s].pause_until_ms;

        if (l->session[s].is_connected && until > l->now_ms && until < at) {
            at = until;
        }
    }
    return at;
}

/* --- what it knows ---------------------------------------------------------------------------- */

bool pf_replog_is_ready(const struct pf_replog *l)
{
    return log_is(&l->follow.sm, FOLLOW_READY) ||
           (log_is(&l->follow.sm, FOLLOW_LEADING) && l->lead.was_ready);
}

uint64_t pf_replog_applied(const struct pf_replog *l)
{
    return l->place.number;
}

int32_t pf_replog_head_version(const struct pf_replog *l)
{
    return (int32_t)l->place.number;
}

uint32_t pf_replog_format(const struct pf_replog *l)
{
    return l->place.base.format;
}

bool pf_replog_is_fenced(const struct pf_replog *l)
{
    return log_is(&l->lead.sm, LEAD_FENCED);
}

int64_t pf_replog_renewed_ms(const struct pf_replog *l)
{
    return l->lead.renewed_ms;
}

const struct pf_replica *pf_replog_rows(const struct pf_replog *l)
{
    return l->rows;
}

const char *pf_replog_trouble(const struct pf_replog *l)
{
    for (uint32_t t = 0; t < TROUBLE_COUNT; t++) {
        if (l->trouble[t][0] != '\0') {
            return l->trouble[t];
        }
    }
    return NULL;
}

void pf_replog_stats(const struct pf_replog *l, struct pf_replog_stats *out)
{
    uint64_t bytes = l->place.log_bytes;

    *out = l->stats;
    out->n_log_nodes = (uint32_t)(l->place.number - l->place.base.number);
    out->log_bytes = bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
    out->n_in_flight = l->lead.n_slots;
}

void pf_replog_check(const struct pf_replog *l)
{
    const struct log_follow *f = &l->follow;
    bool leads = !log_is(&l->lead.sm, LEAD_NONE);

    pf_replica_check(l->rows);
    PF_ASSERT(l->place.number <= INT32_MAX);
    PF_ASSERT(l->place.base.number <= l->place.number);
    PF_ASSERT(!l->place.has_last || l->place.last.number == l->place.number);
    PF_ASSERT(leads == log_is(&f->sm, FOLLOW_LEADING));
    PF_ASSERT(leads != log_is(&l->snap.sm, SNAP_NONE));
    PF_ASSERT(f->build == NULL || !log_is(&f->sm, FOLLOW_READY));
    PF_ASSERT(f->build == NULL || !leads);
    if (f->build != NULL) {
        pf_replica_check(f->build);
    }
    log_lead_check(l);
    log_snap_check(l);
}
