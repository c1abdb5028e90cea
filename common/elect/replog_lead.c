/* SPDX-License-Identifier: Apache-2.0 */
/* Appending. Each batch assumes that those before it succeed: its multi names the version of the
 * head that they leave. So when one fails all later ones fail too, and when an answer is lost, the
 * head tells which of them were committed; the others are sent again, byte by byte the same, so
 * that it does no harm if the first sending is carried out late. */
#include "common/elect/replog_internal.h"

#include <string.h>
#include "common/base/alloc.h"
#include "common/base/crc32c.h"
#include "common/link/envelope.h"
#include "schemas/proffer.h"

#define TO(s) (UINT32_C(1) << (s))
static const struct pf_sm_state lead_states[LEAD_COUNT] = {
    [LEAD_NONE] = {"none", PF_SM_INITIAL, TO(LEAD_FLOWING) | TO(LEAD_FENCED)},
    [LEAD_FLOWING] = {"flowing", 0, TO(LEAD_NONE) | TO(LEAD_DRAINING) | TO(LEAD_FENCED)},
    [LEAD_DRAINING] = {"draining", 0, TO(LEAD_NONE) | TO(LEAD_RESOLVING) | TO(LEAD_FENCED)},
    [LEAD_RESOLVING] = {"resolving", 0, TO(LEAD_NONE) | TO(LEAD_FLOWING) | TO(LEAD_FENCED)},
    [LEAD_FENCED] = {"fenced", 0, TO(LEAD_NONE)},
};
const struct pf_sm_table log_lead_table = {"lead", lead_states, LEAD_COUNT};

void log_fence(struct pf_replog *l, const char *why)
{
    if (!log_is(&l->lead.sm, LEAD_FENCED)) {
        log_move(&l->lead.sm, LEAD_FENCED, why);
    }
}

void log_renewed(struct pf_replog *l, int64_t sent_ms)
{
    if (sent_ms > l->lead.renewed_ms) {
        l->lead.renewed_ms = sent_ms;
    }
}

/* --- committed -------------------------------------------------------------------------------- */

static void stream(struct pf_replog *l, const struct log_slot *s)
{
    struct pf_fb_builder *b = &l->builder;
    struct pf_quorum_effect e = {.type = PF_QUORUM_STREAM};
    struct RegistryBatch__args args = {.number = s->number, .node = s->node};
    struct pf_envelope env = {.epoch = l->lead.epoch, .body_type = Body_RegistryBatch};

    pf_fb_builder_reset(b);
    struct pf_ref body = RegistryBatch__put(b, &args);

    e.send.message = pf_msg_bytes(pf_envelope_finish(b, &env, body));
    pf_outbox_put(l->out, &e);
}

static void take_rows(struct pf_replog *l, const struct log_slot *s)
{
    struct ZkBatch batch = ZkBatch__from_bytes(s->node); /* we built it */

    for (uint32_t i = 0; i < ZkBatch_rows__len(batch); i++) {
        struct ZkRow row = ZkBatch_rows__at(batch, i);

        if (ZkRow_is_del(row)) {
            pf_replica_del(l->rows, ZkRow_table(row), ZkRow_key(row));
        } else {
            pf_replica_put(l->rows, ZkRow_table(row), ZkRow_key(row), ZkRow_row(row));
        }
    }
}

static void slot_committed(struct pf_replog *l, const struct log_slot *s)
{
    int64_t took_ms = l->now_ms - s->submitted_ms;
    struct pf_quorum_effect e = {.type = PF_QUORUM_STORED};

    l->stats.commit_ms_last = took_ms;
    l->stats.commit_ms_max = took_ms > l->stats.commit_ms_max ? took_ms : l->stats.commit_ms_max;
    e.stored.number = s->batch;
    pf_outbox_put(l->out, &e);
    if (s->number == 0) {
        return;
    }
    PF_ASSERT(s->number == l->place.number + 1);
    take_rows(l, s);
    l->place.number = s->number;
    l->place.has_last = true;
    l->place.last = s->head;
    l->place.log_bytes += s->node.len;
    l->stats.batches++;
    l->stats.rows += s->n_rows;
    l->stats.bytes += s->node.len;
    stream(l, s);
}

static void slot_fini(struct log_slot *s)
{
    pf_free((void *)(uintptr_t)s->node.at);
}

/* Those that are done, as far as all before them are. */
static void pop_done(struct pf_replog *l)
{
    struct log_lead *d = &l->lead;
    uint32_t n = 0;

    for (; n < d->n_slots && d->slot[n].is_done; n++) {
        slot_committed(l, &d->slot[n]);
        slot_fini(&d->slot[n]);
    }
    if (n > 0) {
        d->n_slots -= n;
        memmove(d->slot, d->slot + n, d->n_slots * sizeof d->slot[0]);
        d->retry = (struct log_retry){0};
        log_clear_trouble(l, TROUBLE_LEAD);
    }
}

/* --- sending ---------------------------------------------------------------------------------- */

static void slot_send(struct pf_replog *l, struct log_slot *s)
{
    char path[LOG_PATH];
    struct pf_zk_op op[3] = {log_check_epoch(l)};
    uint32_t n = 1;

    if (s->number != 0) {
        op[n++] = (struct pf_zk_op){.type = PF_ZK_SET,
                                    .path = PF_STR("/registry/head"),
                                    .data = log_head_put(&l->builder, &s->head),
                                    .version = (int32_t)(s->number - 1)};
        op[n++] = (struct pf_zk_op){
            .type = PF_ZK_CREATE, .path = log_node_path(path, s->number), .data = s->node};
    }
    s->sent_ms = l->now_ms;
    s->seq = log_send(l, ASK_LEAD_APPEND, l->lead.session, n, op);
    l->lead.n_under_way++;
}

static void flow(struct pf_replog *l)
{
    struct log_lead *d = &l->lead;

    if (d->n_under_way == 0) {
        int s = log_session(l, d->owner);

        d->session = s >= 0 ? (uint8_t)s : d->session;
    }
    for (uint32_t i = 0; i < d->n_slots && log_usable(l, d->session); i++) {
        if (d->slot[i].seq == 0 && !d->slot[i].is_done) {
            slot_send(l, &d->slot[i]);
        }
    }
}

static void ask_head(struct pf_replog *l)
{
    struct log_lead *d = &l->lead;
    int s = log_session(l, d->owner);
    struct pf_zk_op op = {.type = PF_ZK_GET, .path = PF_STR("/registry/head")};

    if (s < 0 || !log_retry_is_due(l, &d->retry)) {
        return;
    }
    d->session = (uint8_t)s;
    d->is_bad_sync = false;
    log_sync(l, ASK_LEAD_SYNC, d->session);
    d->ask_seq = log_send(l, ASK_LEAD_HEAD, d->session, 1, &op);
}

void log_lead_pump(struct pf_replog *l)
{
    struct log_lead *d = &l->lead;

    if (log_is(&d->sm, LEAD_DRAINING) && d->n_under_way == 0) {
        log_move(&d->sm, LEAD_RESOLVING, "all are answered");
        l->stats.unknown_outcomes++;
    }
    if (log_is(&d->sm, LEAD_RESOLVING) && d->ask_seq == 0) {
        ask_head(l);
    } else if (log_is(&d->sm, LEAD_FLOWING)) {
        flow(l);
    }
}

int64_t log_lead_deadline(const struct pf_replog *l)
{
    bool waits = log_is(&l->lead.sm, LEAD_RESOLVING) && l->lead.ask_seq == 0 &&
                 log_session(l, l->lead.owner) >= 0;

    return waits ? l->lead.retry.at_ms : INT64_MAX;
}

/* --- answers ---------------------------------------------------------------------------------- */

static void append_trouble(struct pf_replog *l, const char *doing, const char *what)
{
    log_set_trouble(l, TROUBLE_LEAD, "the registry in ZooKeeper cannot be %s: %s", doing, what);
    log_retry_later(l, &l->lead.retry);
}

static void append_failed(struct pf_replog *l, const struct log_slot *s,
                          const struct pf_zk_reply *r)
{
    struct log_lead *d = &l->lead;
    bool is_head = r->failed_op == 1 && r->code == PF_ZK_BAD_VERSION;

    if (log_is(&d->sm, LEAD_FENCED)) {
        return;
    }
    if (!log_is_lost(r->code) && log_is_refused(r)) {
        log_fence(l, "another epoch");
        return;
    }
    /* What follows one that failed for good fails by it: that is told, not this. */
    if (!log_is_lost(r->code) && !is_head) {
        char path[LOG_PATH];

        (void)log_node_path(path, s->number);
        log_set_trouble(l, TROUBLE_LEAD, "the registry in ZooKeeper cannot be written: %s: %s",
                        r->failed_op == 2 ? path : "/registry/head", pf_zk_code_str(r->code));
        log_retry_later(l, &d->retry);
    }
    if (log_is(&d->sm, LEAD_FLOWING)) {
        log_move(&d->sm, LEAD_DRAINING, pf_zk_code_str(r->code));
    }
}

static void on_append(struct pf_replog *l, uint64_t seq, const struct pf_zk_reply *r)
{
    struct log_lead *d = &l->lead;

    for (uint32_t i = 0; i < d->n_slots; i++) {
        struct log_slot *s = &d->slot[i];

        if (s->seq != seq) {
            continue;
        }
        s->seq = 0;
        d->n_under_way--;
        if (r->code == PF_ZK_OK) {
            s->is_done = true;
            log_renewed(l, s->sent_ms);
            pop_done(l);
        } else {
            append_failed(l, s, r);
        }
        return;
    }
}

/* The head stands at `h`. If it is ours, or what we began with, everything is explained. */
static void resolved(struct pf_replog *l, const struct log_head *h)
{
    struct log_lead *d = &l->lead;
    bool is_known =
        h->number == l->place.number && (!l->place.has_last || log_uuid_eq(h, &l->place.last));

    for (uint32_t i = 0; i < d->n_slots; i++) {
        is_known = is_known || (d->slot[i].number != 0 && log_uuid_eq(h, &d->slot[i].head));
    }
    if (!is_known) {
        log_set_trouble(l, TROUBLE_LEAD,
                        "/registry/head in ZooKeeper stands at batch %llu, which is none of ours",
                        (unsigned long long)h->number);
        log_fence(l, "the head is not ours");
        return;
    }
    for (uint32_t i = 0; i < d->n_slots; i++) {
        struct log_slot *s = &d->slot[i];

        s->is_done = s->is_done || (s->number != 0 && s->number <= h->number);
    }
    log_move(&d->sm, LEAD_FLOWING, "the head is known");
    pop_done(l);
}

static void on_head(struct pf_replog *l, const struct pf_zk_reply *r)
{
    struct log_lead *d = &l->lead;
    struct pf_err err = {0};
    struct log_head h;

    d->ask_seq = 0;
    if (log_is_lost(r->code) || !log_is(&d->sm, LEAD_RESOLVING)) {
        return;
    }
    if (r->code != PF_ZK_OK || d->is_bad_sync) {
        append_trouble(l, "read: /registry/head",
                       r->code != PF_ZK_OK ? pf_zk_code_str(r->code)
                                           : "the server could not catch up");
    } else if (log_head_parse(r, &h, &err) != 0) {
        append_trouble(l, "read: /registry/head", err.msg);
    } else {
        resolved(l, &h);
    }
}

void log_lead_reply(struct pf_replog *l, enum log_ask ask, uint64_t seq,
                    const struct pf_zk_reply *r)
{
    struct log_lead *d = &l->lead;

    if (ask == ASK_LEAD_APPEND) {
        on_append(l, seq, r);
    } else if (ask == ASK_LEAD_SYNC) {
        d->is_bad_sync = d->is_bad_sync || (seq + 1 == d->ask_seq && r->code != PF_ZK_OK);
    } else if (d->ask_seq == seq) {
        on_head(l, r);
    }
}

/* --- beginning and ending --------------------------------------------------------------------- */

void log_lead_begin(struct pf_replog *l, const struct pf_replog_event *ev)
{
    struct log_lead *d = &l->lead;

    PF_ASSERT(log_is(&d->sm, LEAD_NONE));
    PF_ASSERT(ev->lead.session < PF_ZK_SESSIONS);
    d->epoch_version = ev->lead.epoch_version;
    d->epoch = ev->lead.epoch;
    d->owner = d->session = ev->lead.session;
    d->renewed_ms = 0;
    d->ask_seq = 0;
    d->retry = (struct log_retry){0};
    d->was_ready = pf_replog_is_ready(l);
    if (d->was_ready) {
        log_move(&d->sm, LEAD_FLOWING, "leads");
    } else {
        log_set_trouble(l, TROUBLE_LEAD, "told to lead before the registry was read");
        log_fence(l, "not ready");
    }
}

void log_lead_submit(struct pf_replog *l, const struct pf_batch *batch)
{
    struct log_lead *d = &l->lead;
    uint64_t last = l->place.number;

    PF_ASSERT(!log_is(&d->sm, LEAD_NONE));
    if (log_is(&d->sm, LEAD_FENCED)) {
        return; /* STOP follows */
    }
    PF_ASSERT(d->n_slots < PF_REPLOG_DEPTH);
    for (uint32_t i = 0; i < d->n_slots; i++) {
        last = d->slot[i].number != 0 ? d->slot[i].number : last;
    }
    if (last >= INT32_MAX && batch->n_ops > 0) {
        log_set_trouble(l, TROUBLE_LEAD,
                        "the registry in ZooKeeper has counted to its last batch: dump it, and "
                        "restore it to an empty path");
        log_fence(l, "no numbers left");
        return;
    }
    struct log_slot *s = &d->slot[d->n_slots++];

    *s = (struct log_slot){
        .batch = batch->number, .submitted_ms = l->now_ms, .n_rows = batch->n_ops};
    if (batch->n_ops > 0) {
        s->number = s->head.number = last + 1;
        s->head.uuid = pf_uuid_random(&l->rng);
        s->node = log_batch_put(&l->builder, &s->head, d->epoch, batch);
        PF_ASSERT(s->node.at != NULL && s->node.len <= LOG_NODE_MAX);
        s->node.at = pf_memdup(s->node.at, s->node.len);
        s->head.crc = pf_crc32c(0, s->node.at, s->node.len);
    }
}

void log_lead_stop(struct pf_replog *l)
{
    struct log_lead *d = &l->lead;

    for (uint32_t i = 0; i < d->n_slots; i++) {
        slot_fini(&d->slot[i]);
    }
    d->n_slots = d->n_under_way = 0;
    d->ask_seq = 0;
    log_clear_trouble(l, TROUBLE_LEAD);
    if (!log_is(&d->sm, LEAD_NONE)) {
        log_move(&d->sm, LEAD_NONE, "leads no more");
    }
}

void log_lead_check(const struct pf_replog *l)
{
    const struct log_lead *d = &l->lead;
    uint32_t n_under_way = 0;
    uint64_t number = l->place.number;

    PF_ASSERT(d->n_slots <= PF_REPLOG_DEPTH);
    PF_ASSERT(d->n_slots == 0 || !log_is(&d->sm, LEAD_NONE));
    for (uint32_t i = 0; i < d->n_slots; i++) {
        const struct log_slot *s = &d->slot[i];

        n_under_way += s->seq != 0;
        PF_ASSERT(!(s->is_done && s->seq != 0));
        PF_ASSERT(i > 0 || !s->is_done);
        PF_ASSERT(i == 0 || s->batch > d->slot[i - 1].batch);
        PF_ASSERT(s->number == 0 || s->number == number + 1);
        number = s->number != 0 ? s->number : number;
    }
    PF_ASSERT(n_under_way == d->n_under_way);
    PF_ASSERT(!log_is(&d->sm, LEAD_RESOLVING) || n_under_way == 0);
}
