/* SPDX-License-Identifier: Apache-2.0 */
/* The beginning of following: the nodes that must be there, the base, and the parts of its
 * snapshot, from which a replica is built beside the one that was told. */
#include "common/elect/replog_internal.h"

#include <string.h>
#include "common/base/crc32c.h"

static const char *const tree[] = {"/registry", "/registry/log", "/registry/base",
                                   "/registry/head"};

void log_begin_base(struct pf_replog *l, const char *why)
{
    struct log_follow *f = &l->follow;

    log_move(&f->sm, FOLLOW_BASE, why);
    log_drop_build(f);
    f->build = pf_replica_create(l->seed);
    memset(&f->place, 0, sizeof f->place);
    f->is_bad_sync = false;
    l->stats.rereads += f->n_bases++ > 0;
    log_sync(l, ASK_FOLLOW_SYNC, f->session);
    log_follow_get(l, ASK_FOLLOW_BASE, PF_STR("/registry/base"), false);
}

void log_begin_make(struct pf_replog *l)
{
    struct log_follow *f = &l->follow;

    log_move(&f->sm, FOLLOW_MAKE, "connected");
    f->n_made = 0;
    for (uint32_t i = 0; i < PF_ARRAY_LEN(tree); i++) {
        struct pf_zk_op op = {.type = PF_ZK_CREATE, .path = pf_str(tree[i])};

        if (i == 2) {
            op.data = log_base_put(&l->builder, &(struct log_base){.format = l->format_min});
        } else if (i == 3) {
            op.data = log_head_put(&l->builder, &(struct log_head){0});
        }
        (void)log_send(l, ASK_FOLLOW_MAKE, f->session, 1, &op);
    }
}

static void unknown_format(struct pf_replog *l, uint32_t format)
{
    struct pf_quorum_effect e = {.type = PF_QUORUM_FATAL};

    log_set_trouble(l, TROUBLE_FOLLOW,
                    "the registry in ZooKeeper is of format %u, and this binary knows %u to %u: "
                    "start a version of Proffer that knows both",
                    format, l->format_min, l->format_max);
    e.say.is_warning = true;
    e.say.text = pf_str(l->trouble[TROUBLE_FOLLOW]);
    pf_outbox_put(l->out, &e);
    log_move(&l->follow.sm, FOLLOW_STUCK, "unknown format");
}

static void parts_done(struct pf_replog *l)
{
    struct log_follow *f = &l->follow;
    const struct log_base *b = &f->place.base;

    if (f->rows_got != b->n_rows || f->crc != b->crc) {
        char path[LOG_PATH];

        (void)log_snap_path(path, b->snapshot);
        log_follow_trouble(l, path, "its parts are not what /registry/base tells of");
        return;
    }
    f->is_based = true;
    log_begin_head(l, "the base is read");
}

void log_on_base(struct pf_replog *l, const struct pf_zk_reply *r)
{
    static const char path[] = "/registry/base";
    struct log_follow *f = &l->follow;
    struct log_base *b = &f->place.base;
    struct pf_err err = {0};

    if (r->code != PF_ZK_OK || f->is_bad_sync) {
        log_follow_trouble(l, path,
                           r->code != PF_ZK_OK ? pf_zk_code_str(r->code)
                                               : "the server could not catch up");
        return;
    }
    if (log_base_parse(r->data, b, &err) != 0) {
        log_follow_trouble(l, path, err.msg);
        return;
    }
    if (b->format != 0 && (b->format > l->format_max || b->format < l->format_min)) {
        unknown_format(l, b->format);
        return;
    }
    f->place.number = b->number;
    f->part_asked = f->part_got = f->rows_got = f->crc = 0;
    if (b->n_parts == 0) {
        parts_done(l);
    } else {
        log_move(&f->sm, FOLLOW_PARTS, "there is a snapshot");
    }
}

void log_parts_ask_more(struct pf_replog *l)
{
    struct log_follow *f = &l->follow;
    const struct log_base *b = &f->place.base;

    while (f->part_asked < b->n_parts && f->part_asked - f->part_got < LOG_PART_WINDOW) {
        char path[LOG_PATH];

        log_follow_get(l, ASK_FOLLOW_PART, log_part_path(path, b->snapshot, f->part_asked++),
                       false);
    }
}

void log_on_part(struct pf_replog *l, const struct pf_zk_reply *r)
{
    struct log_follow *f = &l->follow;
    uint32_t part = f->part_got++;
    char path[LOG_PATH];
    struct pf_err err = {0};
    struct ZkPart p;

    (void)log_part_path(path, f->place.base.snapshot, part);
    if (r->code == PF_ZK_NO_NODE) {
        log_node_missing(l, path);
        return;
    }
    if (r->code != PF_ZK_OK) {
        log_follow_trouble(l, path, pf_zk_code_str(r->code));
        return;
    }
    if (log_part_parse(r->data, part, &p, &err) != 0) {
        log_follow_trouble(l, path, err.msg);
        return;
    }
    for (uint32_t i = 0; i < ZkPart_rows__len(p); i++) {
        struct ZkRow row = ZkPart_rows__at(p, i);

        pf_replica_put(f->build, ZkRow_table(row), ZkRow_key(row), ZkRow_row(row));
    }
    f->rows_got += ZkPart_rows__len(p);
    f->crc = pf_crc32c(f->crc, r->data.at, r->data.len);
    if (f->part_got == f->place.base.n_parts) {
        parts_done(l);
    }
}

void log_on_made(struct pf_replog *l, const struct pf_zk_reply *r)
{
    struct log_follow *f = &l->follow;

    if (r->code != PF_ZK_OK && r->code != PF_ZK_NODE_EXISTS) {
        log_follow_trouble(l, tree[f->n_made], pf_zk_code_str(r->code));
    } else if (++f->n_made == PF_ARRAY_LEN(tree)) {
        f->is_made = true;
        log_begin_base(l, "made, or there");
    }
}
