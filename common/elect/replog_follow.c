/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the log: base, its snapshot, the batches behind it, and then what is streamed or what the
 * watch hints at. Whoever reads from the base builds a second replica, and tells the core only what
 * differs. */
#include "common/elect/replog_internal.h"

#include <string.h>

#define TO(s) (UINT32_C(1) << (s))
enum {
    BUSY = TO(FOLLOW_AWAY) | TO(FOLLOW_WAIT) | TO(FOLLOW_LEADING),
};
static const struct pf_sm_state follow_states[FOLLOW_COUNT] = {
    [FOLLOW_AWAY] = {"away", PF_SM_INITIAL,
                     TO(FOLLOW_MAKE) | TO(FOLLOW_BASE) | TO(FOLLOW_HEAD) | TO(FOLLOW_LEADING)},
    [FOLLOW_MAKE] = {"make", 0, BUSY | TO(FOLLOW_BASE)},
    [FOLLOW_BASE] = {"base", 0, BUSY | TO(FOLLOW_PARTS) | TO(FOLLOW_HEAD) | TO(FOLLOW_STUCK)},
    [FOLLOW_PARTS] = {"parts", 0, BUSY | TO(FOLLOW_BASE) | TO(FOLLOW_HEAD)},
    [FOLLOW_HEAD] = {"head", 0, BUSY | TO(FOLLOW_LOG) | TO(FOLLOW_READY)},
    [FOLLOW_LOG] = {"log", 0, BUSY | TO(FOLLOW_BASE) | TO(FOLLOW_HEAD) | TO(FOLLOW_READY)},
    [FOLLOW_READY] = {"ready", 0, BUSY | TO(FOLLOW_HEAD) | TO(FOLLOW_LOG)},
    [FOLLOW_WAIT] = {"wait", 0, TO(FOLLOW_MAKE) | TO(FOLLOW_BASE) | TO(FOLLOW_LEADING)},
    [FOLLOW_STUCK] = {"stuck", PF_SM_FINAL, TO(FOLLOW_LEADING)},
    [FOLLOW_LEADING] = {"leading", 0, TO(FOLLOW_AWAY)},
};
const struct pf_sm_table log_follow_table = {"follow", follow_states, FOLLOW_COUNT};

/* --- what is filled ----------------------------------------------------------------------------
 */

static struct log_place *place_of(struct pf_replog *l)
{
    return l->follow.build != NULL ? &l->follow.place : &l->place;
}

static struct pf_replica *target_of(struct pf_replog *l)
{
    return l->follow.build != NULL ? l->follow.build : l->rows;
}

static void tell_row(void *ctx, uint8_t table, bool is_del, struct pf_bytes key,
                     struct pf_bytes row)
{
    struct pf_replog *l = ctx;
    struct pf_quorum_effect e = {.type = PF_QUORUM_ROW};

    e.row.table = table;
    e.row.is_del = is_del;
    e.row.key = key;
    e.row.row = row;
    pf_outbox_put(l->out, &e);
}

static void apply(struct pf_replog *l, struct ZkBatch batch, const struct log_head *head,
                  uint32_t bytes)
{
    struct log_place *p = place_of(l);

    PF_ASSERT(head->number == p->number + 1);
    for (uint32_t i = 0; i < ZkBatch_rows__len(batch); i++) {
        struct ZkRow row = ZkBatch_rows__at(batch, i);
        struct pf_bytes key = ZkRow_key(row);

        if (ZkRow_is_del(row)) {
            pf_replica_del(target_of(l), ZkRow_table(row), key);
        } else {
            pf_replica_put(target_of(l), ZkRow_table(row), key, ZkRow_row(row));
        }
        if (l->follow.build == NULL) {
            tell_row(l, ZkRow_table(row), ZkRow_is_del(row), key, ZkRow_row(row));
        }
    }
    p->number = head->number;
    p->has_last = true;
    p->last = *head;
    p->log_bytes += bytes;
}

void log_drop_build(struct log_follow *f)
{
    pf_replica_destroy(f->build);
    f->build = NULL;
    f->is_based = false;
}

/* --- beginning, waiting ----------------------------------------------------------------------- */

void log_forget_asked(struct pf_replog *l)
{
    l->follow.since = l->seq + 1;
    l->follow.is_asked = false;
}

void log_follow_trouble(struct pf_replog *l, const char *path, const char *what)
{
    struct log_follow *f = &l->follow;

    log_set_trouble(l, TROUBLE_FOLLOW, "the registry in ZooKeeper cannot be read: %s: %s", path,
                    what);
    log_forget_asked(l);
    log_retry_later(l, &f->retry);
    log_drop_build(f);
    log_move(&f->sm, FOLLOW_WAIT, what);
}

void log_follow_get(struct pf_replog *l, enum log_ask ask, struct pf_str path, bool watch)
{
    struct pf_zk_op op = {.type = PF_ZK_GET, .path = path, .watch = watch};

    (void)log_send(l, ask, l->follow.session, 1, &op);
}

static void ask_head(struct pf_replog *l)
{
    struct log_follow *f = &l->follow;

    f->is_asked = true;
    f->is_dirty = false;
    f->is_bad_sync = false;
    f->head.number = place_of(l)->number; /* it cannot be less */
    log_sync(l, ASK_FOLLOW_SYNC, f->session);
    log_follow_get(l, ASK_FOLLOW_HEAD, PF_STR("/registry/head"), true);
}

void log_begin_head(struct pf_replog *l, const char *why)
{
    log_move(&l->follow.sm, FOLLOW_HEAD, why);
    l->follow.again = false;
    ask_head(l);
}

static void follow_begin(struct pf_replog *l, uint8_t session)
{
    struct log_follow *f = &l->follow;

    f->session = session;
    log_forget_asked(l);
    if (!f->is_made) {
        log_begin_make(l);
    } else if (!f->is_based) {
        log_begin_base(l, "from the beginning");
    } else {
        log_begin_head(l, "from where it was");
    }
}

static void follow_lost(struct pf_replog *l)
{
    struct log_follow *f = &l->follow;

    log_forget_asked(l);
    if (log_is(&f->sm, FOLLOW_READY)) {
        f->is_dirty = true;
        f->dirty_at_ms = l->now_ms;
    } else if (pf_sm_may(&f->sm, FOLLOW_AWAY) && !log_is(&f->sm, FOLLOW_LEADING)) {
        log_move(&f->sm, FOLLOW_AWAY, "connection lost");
    }
}

/* A node that the base or the head promised is not there: it was compacted meanwhile, and the base
 * is another one now. If it is the same, the registry is damaged. */
void log_node_missing(struct pf_replog *l, const char *path)
{
    struct log_follow *f = &l->follow;
    const struct log_base *base = &place_of(l)->base;

    if (f->has_missed && f->missed.number == base->number &&
        strcmp(f->missed.snapshot, base->snapshot) == 0) {
        f->has_missed = false;
        log_follow_trouble(l, path, "it is missing");
        return;
    }
    f->has_missed = true;
    f->missed = *base;
    log_forget_asked(l);
    log_begin_base(l, "a node is missing");
}

/* --- up to the head ----------------------------------------------------------------------------
 */

static void publish_build(struct pf_replog *l)
{
    struct log_follow *f = &l->follow;

    if (f->build == NULL) {
        return;
    }
    pf_replica_diff(l->rows, f->build, tell_row, l);
    pf_replica_destroy(l->rows);
    l->rows = f->build;
    l->place = f->place;
    f->build = NULL;
}

/* Everything up to the head that was read is applied. */
static void reached(struct pf_replog *l)
{
    struct log_follow *f = &l->follow;
    const struct log_place *p = place_of(l);

    PF_ASSERT(p->number == f->head.number);
    if (p->has_last && (!log_uuid_eq(&p->last, &f->head) || p->last.crc != f->head.crc)) {
        char path[LOG_PATH];

        (void)log_node_path(path, p->number);
        log_follow_trouble(l, path, "its bytes are not those that /registry/head tells of");
        return;
    }
    f->has_missed = false;
    f->retry = (struct log_retry){0};
    log_clear_trouble(l, TROUBLE_FOLLOW);
    publish_build(l);
    if (f->again) {
        log_begin_head(l, "once more");
    } else if (!log_is(&f->sm, FOLLOW_READY)) {
        log_move(&f->sm, FOLLOW_READY, "at the head");
    }
}

static void begin_log(struct pf_replog *l)
{
    struct log_follow *f = &l->follow;

    log_move(&f->sm, FOLLOW_LOG, "the head is further");
    f->log_asked = f->log_got = place_of(l)->number;
}

static void on_head(struct pf_replog *l, const struct pf_zk_reply *r)
{
    static const char path[] = "/registry/head";
    struct log_follow *f = &l->follow;
    struct pf_err err = {0};
    struct log_head h;
    uint64_t least = f->head.number;

    f->is_asked = false;
    if (r->code != PF_ZK_OK || f->is_bad_sync) {
        log_follow_trouble(l, path,
                           r->code != PF_ZK_OK ? pf_zk_code_str(r->code)
                                               : "the server could not catch up");
    } else if (log_head_parse(r, &h, &err) != 0) {
        log_follow_trouble(l, path, err.msg);
    } else if (h.number < least) {
        log_follow_trouble(l, path, "it went back: was the registry replaced?");
    } else if (h.number >= place_of(l)->number) {
        f->head = h;
        if (h.number > place_of(l)->number) {
            begin_log(l);
        } else {
            reached(l);
        }
    } /* else streams were faster than the answer */
}

static void log_ask_more(struct pf_replog *l)
{
    struct log_follow *f = &l->follow;

    while (f->log_asked < f->head.number && f->log_asked - f->log_got < LOG_READ_WINDOW) {
        char path[LOG_PATH];

        f->log_asked++;
        log_follow_get(l, ASK_FOLLOW_LOG, log_node_path(path, f->log_asked), false);
    }
}

static void on_log(struct pf_replog *l, const struct pf_zk_reply *r)
{
    struct log_follow *f = &l->follow;
    uint64_t number = ++f->log_got; /* answers come in order */
    char path[LOG_PATH];
    struct pf_err err = {0};
    struct ZkBatch batch;
    struct log_head head;

    (void)log_node_path(path, number);
    if (number <= place_of(l)->number) {
        return; /* a stream brought it */
    }
    if (r->code == PF_ZK_NO_NODE) {
        log_node_missing(l, path);
    } else if (r->code != PF_ZK_OK) {
        log_follow_trouble(l, path, pf_zk_code_str(r->code));
    } else if (log_batch_parse(r->data, number, &batch, &head, &err) != 0) {
        log_follow_trouble(l, path, err.msg);
    } else {
        apply(l, batch, &head, r->data.len);
        if (number == f->head.number) {
            reached(l);
        }
    }
}

/* --- events ----------------------------------------------------------------------------------- */

void log_follow_reply(struct pf_replog *l, enum log_ask ask, uint64_t seq,
                      const struct pf_zk_reply *r)
{
    PF_ASSERT(seq >= l->follow.since);
    if (log_is_lost(r->code)) {
        follow_lost(l);
        return;
    }
    switch (ask) {
    case ASK_FOLLOW_MAKE: log_on_made(l, r); break;
    case ASK_FOLLOW_SYNC: l->follow.is_bad_sync = r->code != PF_ZK_OK; break;
    case ASK_FOLLOW_BASE: log_on_base(l, r); break;
    case ASK_FOLLOW_PART: log_on_part(l, r); break;
    case ASK_FOLLOW_HEAD: on_head(l, r); break;
    case ASK_FOLLOW_LOG: on_log(l, r); break;
    default: PF_ASSERT(ask == ASK_FOLLOW_LOG);
    }
}

void log_follow_hint(struct pf_replog *l)
{
    if (!l->follow.is_dirty) {
        l->follow.is_dirty = true;
        l->follow.dirty_at_ms = l->now_ms + LOG_HINT_MS;
    }
}

/* Its watch may be gone. */
void log_follow_session(struct pf_replog *l, uint8_t session)
{
    if (session == l->follow.session) {
        follow_lost(l);
    }
}

void log_follow_streamed(struct pf_replog *l, uint64_t number, struct pf_bytes node)
{
    struct log_follow *f = &l->follow;
    bool is_open = f->build == NULL && (log_is(&f->sm, FOLLOW_READY) || log_is(&f->sm, FOLLOW_LOG));
    struct ZkBatch batch;
    struct log_head head;

    if (!is_open || number <= l->place.number) {
        return;
    }
    if (number > l->place.number + 1 || log_batch_parse(node, number, &batch, &head, NULL) != 0) {
        log_follow_hint(l);
        return;
    }
    apply(l, batch, &head, node.len);
    l->stats.streamed++;
    if (log_is(&f->sm, FOLLOW_LOG) && number == f->head.number) {
        log_forget_asked(l);
        reached(l);
    }
}

void log_follow_catch_up(struct pf_replog *l)
{
    struct log_follow *f = &l->follow;

    if (log_is(&f->sm, FOLLOW_LOG)) {
        f->again = true;
    } else if (log_is(&f->sm, FOLLOW_HEAD) || log_is(&f->sm, FOLLOW_READY)) {
        log_forget_asked(l);
        log_move(&f->sm, FOLLOW_AWAY, "asked to catch up");
    }
}

void log_follow_lead(struct pf_replog *l)
{
    struct log_follow *f = &l->follow;

    log_forget_asked(l);
    f->is_based = l->lead.was_ready;
    if (f->build != NULL) {
        log_drop_build(f);
    }
    log_move(&f->sm, FOLLOW_LEADING, "leads");
}

void log_follow_stop(struct pf_replog *l)
{
    if (log_is(&l->follow.sm, FOLLOW_LEADING)) {
        log_move(&l->follow.sm, FOLLOW_AWAY, "leads no more");
    }
}

void log_follow_fini(struct pf_replog *l)
{
    log_drop_build(&l->follow);
}

static void ready_pump(struct pf_replog *l)
{
    struct log_follow *f = &l->follow;
    int home = log_session(l, f->session);

    if (home >= 0 && home != f->session && !f->is_asked) {
        f->session = (uint8_t)home;
        f->is_dirty = true;
        f->dirty_at_ms = l->now_ms;
    }
    if (home >= 0 && f->is_dirty && !f->is_asked && l->now_ms >= f->dirty_at_ms) {
        ask_head(l);
    }
}

void log_follow_pump(struct pf_replog *l)
{
    struct log_follow *f = &l->follow;
    int home = log_session(l, f->session);
    bool is_due = log_is(&f->sm, FOLLOW_AWAY) ||
                  (log_is(&f->sm, FOLLOW_WAIT) && log_retry_is_due(l, &f->retry));

    if (is_due && home >= 0) {
        follow_begin(l, (uint8_t)home);
    }
    if (log_is(&f->sm, FOLLOW_PARTS)) {
        log_parts_ask_more(l);
    } else if (log_is(&f->sm, FOLLOW_LOG)) {
        log_ask_more(l);
    } else if (log_is(&f->sm, FOLLOW_READY)) {
        ready_pump(l);
    }
}

int64_t log_follow_deadline(const struct pf_replog *l)
{
    const struct log_follow *f = &l->follow;

    if (log_session(l, f->session) < 0) {
        return INT64_MAX;
    }
    if (log_is(&f->sm, FOLLOW_WAIT)) {
        return f->retry.at_ms;
    }
    return log_is(&f->sm, FOLLOW_READY) && f->is_dirty && !f->is_asked ? f->dirty_at_ms : INT64_MAX;
}
