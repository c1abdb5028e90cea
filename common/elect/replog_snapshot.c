/* SPDX-License-Identifier: Apache-2.0 */
/* Keeping the log short: a leader writes the rows into a folder of their own, part by part, lets
 * /registry/base name it by one fenced multi, and cleans (replog_clean.c) what nobody needs any
 * more; so does every new leader with what was left behind.
 *
 * A switch whose outcome is unknown is sent again until it is known: the parts must not be cleaned
 * while a late one could still name them. */
#include "common/elect/replog_internal.h"

#include <string.h>
#include "common/base/alloc.h"
#include "common/base/crc32c.h"

#define TO(s) (UINT32_C(1) << (s))
static const struct pf_sm_state snap_states[SNAP_COUNT] = {
    [SNAP_NONE] = {"none", PF_SM_INITIAL, TO(SNAP_LOOK)},
    [SNAP_LOOK] = {"look", 0, TO(SNAP_NONE) | TO(SNAP_CLEAN)},
    [SNAP_IDLE] = {"idle", 0, TO(SNAP_NONE) | TO(SNAP_WRITE)},
    [SNAP_WRITE] = {"write", 0, TO(SNAP_NONE) | TO(SNAP_LOOK) | TO(SNAP_SWITCH)},
    [SNAP_SWITCH] = {"switch", 0, TO(SNAP_NONE) | TO(SNAP_VERIFY) | TO(SNAP_CLEAN)},
    [SNAP_VERIFY] = {"verify", 0, TO(SNAP_NONE) | TO(SNAP_CLEAN) | TO(SNAP_LOOK)},
    [SNAP_CLEAN] = {"clean", 0, TO(SNAP_NONE) | TO(SNAP_IDLE)},
};
const struct pf_sm_table log_snap_table = {"snapshot", snap_states, SNAP_COUNT};

static void drop_cut(struct log_snap *s)
{
    pf_replica_cut_free(s->cut);
    s->cut = NULL;
    PF_FREE(s->part_from);
}

static void send(struct pf_replog *l, enum log_ask ask, uint32_t n_ops, const struct pf_zk_op *op)
{
    (void)log_send(l, ask, l->snap.session, n_ops, op); /* `since` tells which answers count */
    l->snap.n_pending++;
}

bool log_snap_failed(struct pf_replog *l, const struct pf_zk_reply *r, const char *doing)
{
    struct log_snap *s = &l->snap;

    if (r->code == PF_ZK_OK) {
        return false;
    }
    s->has_failed = true;
    if (!log_is_lost(r->code)) {
        log_set_trouble(l, TROUBLE_SNAP, "the registry in ZooKeeper cannot be compacted: %s: %s",
                        doing, pf_zk_code_str(r->code));
        log_retry_later(l, &s->retry);
    }
    return true;
}

static void went_well(struct pf_replog *l)
{
    l->snap.retry = (struct log_retry){0};
    log_clear_trouble(l, TROUBLE_SNAP);
}

/* --- what is there -----------------------------------------------------------------------------
 */

static void look(struct pf_replog *l, bool all)
{
    struct pf_zk_op base = {.type = PF_ZK_GET, .path = PF_STR("/registry/base")};
    struct pf_zk_op children = {.type = PF_ZK_CHILDREN, .path = PF_STR("/registry")};
    struct pf_zk_op logs = {.type = PF_ZK_CHILDREN, .path = PF_STR("/registry/log")};
    struct pf_zk_op sync = {.type = PF_ZK_SYNC, .path = PF_STR("/registry")};

    send(l, ASK_SNAP_SYNC, 1, &sync);
    send(l, ASK_SNAP_BASE, 1, &base);
    if (all) {
        log_clean_forget(l);
        send(l, ASK_SNAP_CHILDREN, 1, &children);
        send(l, ASK_SNAP_LOGS, 1, &logs);
    }
}

/* The bytes of the log since another base than we had begun with, as far as can be told. */
static void rebase(struct pf_replog *l, const struct log_base *base)
{
    struct log_place *p = &l->place;
    uint64_t n = p->number - p->base.number;

    if (base->number > p->base.number && base->number <= p->number) {
        p->log_bytes = p->log_bytes / n * (p->number - base->number);
    }
    p->base = *base;
}

static void on_base(struct pf_replog *l, const struct pf_zk_reply *r)
{
    struct log_snap *s = &l->snap;
    struct pf_err err = {0};
    struct log_base base;

    if (log_snap_failed(l, r, "/registry/base")) {
        return;
    }
    if (log_base_parse(r->data, &base, &err) != 0 || base.number > l->place.number) {
        s->has_failed = true;
        log_set_trouble(l, TROUBLE_SNAP,
                        "the registry in ZooKeeper cannot be compacted: "
                        "/registry/base: %s",
                        err.msg[0] != '\0' ? err.msg : "it is ahead");
        log_retry_later(l, &s->retry);
        return;
    }
    s->base = base;
    s->base_version = r->stat.version;
    if (log_is(&s->sm, SNAP_LOOK)) {
        rebase(l, &base);
    }
}

/* --- writing ---------------------------------------------------------------------------------- */

static void begin_write(struct pf_replog *l)
{
    struct log_snap *s = &l->snap;

    log_move(&s->sm, SNAP_WRITE, "the log is long");
    s->cut = pf_replica_cut(l->rows);
    s->cut_log_bytes = l->place.log_bytes;
    memset(&s->next, 0, sizeof s->next);
    s->next.number = l->place.number;
    s->next.n_rows = pf_replica_cut_len(s->cut);
    s->next.format = s->base.format != 0 ? s->base.format : l->format_min;
    log_snap_name(s->next.snapshot, s->next.number, pf_uuid_random(&l->rng));
    s->part_from = log_parts_plan(s->cut, &s->next.n_parts);
    s->item = 0;
}

/* How many of the folder and the parts the window has. */
static uint32_t window(const struct log_snap *s)
{
    uint32_t left = s->next.n_parts + 1 - s->item;

    return left < LOG_WRITE_WINDOW ? left : LOG_WRITE_WINDOW;
}

static void write_item(struct pf_replog *l, uint32_t item, uint32_t *crc)
{
    struct log_snap *s = &l->snap;
    char path[LOG_PATH];
    struct pf_zk_op op[2] = {log_check_epoch(l), {.type = PF_ZK_CREATE}};

    if (item == 0) {
        op[1].path = log_snap_path(path, s->next.snapshot);
    } else {
        op[1].path = log_part_path(path, s->next.snapshot, item - 1);
        op[1].data =
            log_part_put(&l->builder, item - 1, s->cut, s->part_from[item - 1], s->part_from[item]);
        *crc = pf_crc32c(*crc, op[1].data.at, op[1].data.len);
    }
    send(l, ASK_SNAP_PUT, 2, op);
}

static void write_window(struct pf_replog *l)
{
    struct log_snap *s = &l->snap;
    uint32_t n = window(s);

    s->next_crc = s->next.crc;
    for (uint32_t i = 0; i < n; i++) {
        write_item(l, s->item + i, &s->next_crc);
    }
}

static void send_switch(struct pf_replog *l)
{
    struct log_snap *s = &l->snap;
    struct pf_zk_op op[2] = {log_check_epoch(l),
                             {.type = PF_ZK_SET,
                              .path = PF_STR("/registry/base"),
                              .data = log_base_put(&l->builder, &s->next),
                              .version = s->base_version}};

    send(l, ASK_SNAP_SWITCH, 2, op);
}

static void written(struct pf_replog *l)
{
    struct log_snap *s = &l->snap;

    s->item += window(s);
    s->next.crc = s->next_crc;
    went_well(l);
    if (s->item == s->next.n_parts + 1) {
        log_move(&s->sm, SNAP_SWITCH, "all parts are written");
    }
}

static void switched(struct pf_replog *l, int32_t version)
{
    struct log_snap *s = &l->snap;

    drop_cut(s);
    log_clean_range(l, s->base.number + 1, s->next.number);
    if (s->base.snapshot[0] != '\0') {
        log_clean_folder(l, s->base.snapshot);
    }
    s->base = s->next;
    s->base_version = version;
    l->place.base = s->next;
    l->place.log_bytes -= s->cut_log_bytes;
    l->stats.snapshots++;
    went_well(l);
    log_move(&s->sm, SNAP_CLEAN, "the base is the new one");
}

/* --- answers ---------------------------------------------------------------------------------- */

static void on_put(struct pf_replog *l, const struct pf_zk_reply *r)
{
    struct log_snap *s = &l->snap;

    if (r->code == PF_ZK_NODE_EXISTS && r->failed_op == 1) {
        return; /* ours, by a multi whose answer was lost */
    }
    if (log_snap_failed(l, r, "writing a snapshot") && r->code == PF_ZK_NO_NODE) {
        s->is_gone = true;
    }
}

static void on_switch(struct pf_replog *l, const struct pf_zk_reply *r)
{
    struct log_snap *s = &l->snap;

    if (r->code == PF_ZK_OK) {
        switched(l, s->base_version + 1);
    } else if (r->code == PF_ZK_BAD_VERSION) {
        s->has_failed = true; /* nothing was read yet */
        log_move(&s->sm, SNAP_VERIFY, "the base is another one");
    } else {
        (void)log_snap_failed(l, r, "/registry/base"); /* it is sent again */
    }
}

static void verified(struct pf_replog *l)
{
    struct log_snap *s = &l->snap;
    struct log_base base = s->base;

    if (strcmp(base.snapshot, s->next.snapshot) == 0) {
        s->base = l->place.base;
        switched(l, s->base_version);
        return;
    }
    log_set_trouble(l, TROUBLE_SNAP,
                    "/registry/base in ZooKeeper was changed by somebody else while we lead");
    log_retry_later(l, &s->retry);
    drop_cut(s);
    log_move(&s->sm, SNAP_LOOK, "the base is not ours");
}

void log_snap_reply(struct pf_replog *l, enum log_ask ask, const struct pf_zk_reply *r)
{
    struct log_snap *s = &l->snap;

    PF_ASSERT(s->n_pending > 0);
    s->n_pending--;
    bool is_write = ask == ASK_SNAP_PUT || ask == ASK_SNAP_SWITCH || ask == ASK_SNAP_DELETE;

    if (is_write && log_is_refused(r)) {
        log_fence(l, "another epoch");
        s->has_failed = true;
        return;
    }
    if (is_write && r->code == PF_ZK_OK) {
        log_renewed(l, s->sent_ms);
    }
    switch (ask) {
    case ASK_SNAP_SYNC: (void)log_snap_failed(l, r, "the server could not catch up"); break;
    case ASK_SNAP_BASE: on_base(l, r); break;
    case ASK_SNAP_CHILDREN: log_clean_children(l, r); break;
    case ASK_SNAP_LOGS: log_clean_logs(l, r); break;
    case ASK_SNAP_PUT: on_put(l, r); break;
    case ASK_SNAP_SWITCH: on_switch(l, r); break;
    default: log_clean_reply(l, ask, r); break;
    }
}

/* All that was asked is answered, well. */
static void answered(struct pf_replog *l)
{
    struct log_snap *s = &l->snap;

    switch ((enum log_snap_state)s->sm.state) {
    case SNAP_LOOK:
        log_clean_left_behind(l);
        went_well(l);
        log_move(&s->sm, SNAP_CLEAN, "what is there is known");
        break;
    case SNAP_WRITE: written(l); break;
    case SNAP_VERIFY: verified(l); break;
    case SNAP_CLEAN:
    case SNAP_SWITCH:
    case SNAP_IDLE:
    case SNAP_NONE:
    case SNAP_COUNT: break;
    }
}

static bool is_long(const struct pf_replog *l)
{
    return l->place.number - l->place.base.number > l->log_nodes ||
           l->place.log_bytes > l->log_bytes;
}

static void idle(struct pf_replog *l)
{
    if (log_is(&l->snap.sm, SNAP_IDLE) && is_long(l)) {
        begin_write(l);
        write_window(l);
    }
}

static void act(struct pf_replog *l)
{
    struct log_snap *s = &l->snap;

    s->sent_ms = l->now_ms;
    switch ((enum log_snap_state)s->sm.state) {
    case SNAP_LOOK: look(l, true); break;
    case SNAP_IDLE: idle(l); break;
    case SNAP_WRITE: write_window(l); break;
    case SNAP_SWITCH: send_switch(l); break;
    case SNAP_VERIFY: look(l, false); break;
    case SNAP_CLEAN:
        log_clean_pump(l);
        idle(l);
        break;
    case SNAP_NONE:
    case SNAP_COUNT: break;
    }
}

void log_snap_pump(struct pf_replog *l)
{
    struct log_snap *s = &l->snap;

    if (log_is(&s->sm, SNAP_NONE) || s->n_pending > 0) {
        return;
    }
    if (s->was_asked && !s->has_failed) {
        answered(l);
    } else if (s->is_gone) {
        drop_cut(s);
        log_move(&s->sm, SNAP_LOOK, "its folder is gone");
    }
    s->was_asked = s->has_failed = s->is_gone = false;
    int home = log_session(l, l->lead.session);

    if (home < 0 || !log_retry_is_due(l, &s->retry) || log_is(&l->lead.sm, LEAD_FENCED)) {
        return;
    }
    s->session = (uint8_t)home;
    act(l);
    s->was_asked = s->n_pending > 0;
}

int64_t log_snap_deadline(const struct pf_replog *l)
{
    const struct log_snap *s = &l->snap;
    bool waits = !log_is(&s->sm, SNAP_NONE) && s->n_pending == 0 && s->retry.at_ms > l->now_ms &&
                 !log_is(&l->lead.sm, LEAD_FENCED);

    return waits ? s->retry.at_ms : INT64_MAX;
}

void log_snap_begin(struct pf_replog *l)
{
    log_move(&l->snap.sm, SNAP_LOOK, "leads");
    l->snap.since = l->seq + 1;
}

void log_snap_stop(struct pf_replog *l)
{
    struct log_snap *s = &l->snap;

    drop_cut(s);
    log_clean_forget(l);
    s->n_pending = 0;
    s->was_asked = s->has_failed = s->is_gone = false;
    s->retry = (struct log_retry){0};
    log_clear_trouble(l, TROUBLE_SNAP);
    if (!log_is(&s->sm, SNAP_NONE)) {
        log_move(&s->sm, SNAP_NONE, "leads no more");
    }
}

void log_snap_check(const struct pf_replog *l)
{
    const struct log_snap *s = &l->snap;
    bool has_cut =
        log_is(&s->sm, SNAP_WRITE) || log_is(&s->sm, SNAP_SWITCH) || log_is(&s->sm, SNAP_VERIFY);

    PF_ASSERT(has_cut == (s->cut != NULL));
    PF_ASSERT(!has_cut || s->item <= s->next.n_parts + 1);
    PF_ASSERT(!has_cut || s->next.number <= l->place.number);
    PF_ASSERT(s->path_i + s->path_n <= s->paths.len);
    PF_ASSERT(!log_is(&s->sm, SNAP_NONE) || (s->n_pending == 0 && s->paths.len == 0));
}
