/* SPDX-License-Identifier: Apache-2.0 */
/* The way back from ZooKeeper to the directory of a master that is alone. */
#include "master/daemon/masterd_transfer_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/sys/clock.h"
#include "common/sys/file.h"
#include "common/sys/random.h"
#include "master/daemon/masterd_internal.h"
#include "schemas/quorum.h"

static struct pf_bytes fence_node(struct pf_fb_builder *b, const struct transfer_target *at,
                                  const char *place)
{
    const struct ZkEpoch__args args = {.incarnation = {at->incarnation.b, sizeof at->incarnation.b},
                                       .epoch = at->epoch + 1,
                                       .cluster = pf_str(at->cluster),
                                       .exported_to = pf_str(place),
                                       .exported_ms = pf_wall_ms()};
    return pf_msg_bytes(ZkEpoch__finish(b, ZkEpoch__put(b, &args)));
}

/* Nobody led since `at` was looked at, and nobody leads any more. */
static int fence(struct transfer *t, struct transfer_zk *zk, const struct transfer_target *at,
                 const char *place, struct pf_err *err)
{
    struct pf_fb_builder b;
    pf_fb_builder_init(&b, NULL);
    const struct pf_zk_op op[] = {
        {.type = PF_ZK_SET,
         .path = PF_STR("/epoch"),
         .data = fence_node(&b, at, place),
         .version = at->epoch_version},
        {.type = PF_ZK_CHECK, .path = PF_STR("/registry/head"), .version = at->head_version}};
    const struct pf_zk_request q = {.n_ops = PF_ARRAY_LEN(op), .op = op};
    struct pf_zk_reply r = {.code = PF_ZK_UNKNOWN};
    struct transfer_target now;
    int rc = transfer_may(t, err);
    for (int i = 0; rc == 0 && i < TRANSFER_LOST_MAX; i++) {
        rc = transfer_zk_ask(zk, &q, &r, err);
        if (rc < 0 || r.code == PF_ZK_OK) {
            break;
        }
        rc = transfer_zk_look(zk, &now, err); /* an answer that was lost, or somebody else */
        if (rc < 0) {
            break;
        }
        if (strcmp(now.exported_to, place) == 0) {
            r.code = PF_ZK_OK;
            break;
        }
        if (r.code != PF_ZK_UNKNOWN && r.code != PF_ZK_NOT_SENT) {
            rc = pf_err_set(err, r.code == PF_ZK_NO_AUTH ? PF_EACCESS : PF_EBUSY,
                            "ZooKeeper: /epoch cannot be changed: %s", pf_zk_code_str(r.code));
        }
    }
    if (rc == 0 && r.code != PF_ZK_OK) {
        rc = pf_err_set(err, PF_ETIMEOUT, "the connection to ZooKeeper breaks again and again");
    }
    pf_fb_builder_fini(&b);
    return rc;
}

static void registry_of(const struct transfer *t, const struct transfer_target *at,
                        struct transfer_registry *out)
{
    *out = (struct transfer_registry){.is_there = true,
                                      .incarnation = at->incarnation,
                                      .epoch = at->epoch + 1,
                                      .format = REGISTRY_FORMAT};
    (void)snprintf(out->cluster, sizeof out->cluster, "%s", at->cluster);
    (void)snprintf(out->arriving_from, sizeof out->arriving_from, "%s", t->url);
}

static void copy_row(void *ctx, uint8_t table, bool is_del, struct pf_bytes key,
                     struct pf_bytes row)
{
    struct transfer_registry *r = ctx;
    (void)is_del;
    pf_replica_put(r->rows, table, key, row);
}

static int export_done(struct transfer *t, struct transfer_dir *d, uint32_t n_rows,
                       struct pf_err *err)
{
    char uuid[PF_UUID_TEXT_LEN + 1];
    struct transfer_registry next = d->r;
    int rc = 0;
    next.rows = NULL;
    next.arriving_from[0] = '\0';
    if (d->r.arriving_from[0] != '\0') {
        rc = transfer_dir_put(t, d, &next, err);
    }
    if (rc == 0) {
        pf_uuid_format(d->r.incarnation, uuid);
        pf_buf_clear(t->text);
        pf_buf_printf(t->text, "exported %u rows, incarnation %s, epoch %" PRIu64 ", from %s to %s",
                      n_rows, uuid, d->r.epoch, t->url, d->path);
    }
    return rc;
}

static int export_rows(struct transfer *t, struct transfer_dir *d, struct transfer_zk *zk,
                       struct transfer_target *at, const char *place, struct pf_err *err)
{
    struct transfer_registry next;
    struct pf_replog *log = NULL;
    int rc = transfer_zk_read(zk, &log, err);
    if (rc < 0) {
        transfer_hint(t, "look at the ZooKeeper servers; nothing was changed");
        return rc;
    }
    registry_of(t, at, &next);
    next.rows = pf_replica_create(pf_random_u64());
    pf_replica_each(pf_replog_rows(log), copy_row, &next);
    at->head_version = pf_replog_head_version(log);
    uint32_t n_rows = pf_replica_len(next.rows);
    transfer_zk_forget(zk, log);
    rc = transfer_check_rows(next.rows, 0, err);
    rc = rc < 0 ? rc : transfer_dir_put(t, d, &next, err);
    transfer_registry_fini(&next);
    if (rc == 0) {
        rc = fence(t, zk, at, place, err);
        if (rc < 0 && rc != PF_ECANCELED) {
            transfer_hint(t, "stop the masters, then give the same command again: it goes on");
        }
    }
    return rc < 0 ? rc : export_done(t, d, n_rows, err);
}

/* "host:/absolute/directory", as /epoch tells it. */
static int place_of(const char *path, char out[TRANSFER_PLACE], struct pf_err *err)
{
    char host[256] = "localhost", real[4096];
    (void)gethostname(host, sizeof host - 1);
    int n =
        snprintf(out, TRANSFER_PLACE, "%s:%s", host, realpath(path, real) != NULL ? real : path);
    return n < TRANSFER_PLACE ? 0
                              : pf_err_set(err, PF_ELIMIT, "the path %.100s... is too long", path);
}

static int export_checked(struct transfer *t, struct transfer_dir *d, struct transfer_zk *zk,
                          struct transfer_target *at, struct pf_err *err)
{
    char place[TRANSFER_PLACE];
    bool is_ours = d->r.is_there && pf_uuid_eq(d->r.incarnation, at->incarnation);
    int rc = place_of(d->path, place, err);
    if (rc < 0) {
        return rc;
    }
    if (at->exported_to[0] != '\0' && strcmp(at->exported_to, place) == 0 && is_ours &&
        d->r.exported_to[0] == '\0' && d->r.epoch >= at->epoch) {
        return export_done(t, d, pf_replica_len(d->r.rows), err);
    }
    if (at->exported_to[0] != '\0') {
        transfer_hint(t, "it is there: start the master that is alone there");
        return pf_err_set(err, PF_EEXIST, "the registry of %s left for %s before", t->url,
                          at->exported_to);
    }
    if (d->r.is_there && (!is_ours || strcmp(d->r.arriving_from, t->url) != 0)) {
        return transfer_holds(t, d->path, d->r.incarnation, d->r.epoch, err);
    }
    return export_rows(t, d, zk, at, place, err);
}

int transfer_export(struct transfer *t, struct pf_err *err)
{
    const char *path = t->o->export_registry;
    struct transfer_dir d = {0};
    struct transfer_target at;
    struct transfer_zk *zk = NULL;
    int rc = transfer_zk_open(t, &zk, err);
    rc = rc < 0 ? rc : transfer_zk_look(zk, &at, err);
    if (rc == 0 && (!at.has_epoch || at.epoch == 0)) {
        transfer_hint(t, "look at the path in the URL");
        rc = pf_err_set(err, PF_ENOENT, "%s holds no registry", t->url);
    }
    rc = rc < 0 ? rc : transfer_no_masters(t, &at, err);
    rc = rc < 0 ? rc : pf_mkdir_p(path, 0700, err);
    rc = rc < 0 ? rc : transfer_open_dir(t, path, &d, err);
    rc = rc < 0 ? rc : export_checked(t, &d, zk, &at, err);
    transfer_zk_close(zk, rc == PF_ECANCELED);
    transfer_dir_close(&d);
    return rc;
}
