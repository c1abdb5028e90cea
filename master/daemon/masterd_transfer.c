/* SPDX-License-Identifier: Apache-2.0 */
/* See masterd_transfer.h. The order of what lasts is what keeps two places from being served:
 *
 * import   parts of a snapshot, which nobody reads yet; the source says "exporting to" and is not
 *          served any more; fence, base and head by one multi; the source says "exported to".
 * export   all rows in the directory, which says "arriving from" and is not served; /epoch says
 *          "exported to", by a multi that checks that nobody led meanwhile, and nobody leads there
 *          any more; the directory drops its mark.
 * restore  one batch, or one multi. */
#include "master/daemon/masterd_transfer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/base/alloc.h"
#include "common/elect/replog_import.h"
#include "common/sys/clock.h"
#include "common/sys/file.h"
#include "common/sys/random.h"
#include "common/zk/client.h"
#include "master/daemon/masterd_internal.h"
#include "master/daemon/masterd_transfer_internal.h"

int transfer_may(const struct transfer *t, struct pf_err *err)
{
    if (t->hook != NULL && !t->hook->may_go_on(t->hook->ctx)) {
        return pf_err_set(err, PF_ECANCELED, "broken off");
    }
    return 0;
}

void transfer_hint(struct transfer *t, const char *fmt, ...)
{
    va_list ap;
    if (t->text->len > 0) {
        return; /* the nearest to the cause knows best */
    }
    va_start(ap, fmt);
    pf_buf_vprintf(t->text, fmt, ap);
    va_end(ap);
}

static void time_text(int64_t wall_ms, char out[TRANSFER_TIME])
{
    time_t s = (time_t)(wall_ms / 1000);
    struct tm tm;
    out[0] = '\0';
    if (gmtime_r(&s, &tm) != NULL) {
        (void)strftime(out, TRANSFER_TIME, "%Y-%m-%dT%H:%M:%SZ", &tm);
    }
}

static void say_done(struct transfer *t, const char *what, const struct transfer_registry *r,
                     uint64_t epoch, const char *from, const char *to)
{
    char uuid[PF_UUID_TEXT_LEN + 1];
    pf_uuid_format(r->incarnation, uuid);
    pf_buf_clear(t->text);
    pf_buf_printf(t->text, "%s %u rows, incarnation %s, epoch %" PRIu64 ", from %s to %s", what,
                  pf_replica_len(r->rows), uuid, epoch, from, to);
}

int transfer_holds(struct transfer *t, const char *where, struct pf_uuid incarnation,
                   uint64_t epoch, struct pf_err *err)
{
    char uuid[PF_UUID_TEXT_LEN + 1];
    pf_uuid_format(incarnation, uuid);
    transfer_hint(t, "name an empty place, or remove that registry first if nobody needs it");
    return pf_err_set(err, PF_EEXIST, "%s holds a registry already: incarnation %s, epoch %" PRIu64,
                      where, uuid, epoch);
}

int transfer_open_dir(struct transfer *t, const char *path, struct transfer_dir *out,
                      struct pf_err *err)
{
    int rc = transfer_dir_open(path, out, err);
    if (rc == PF_EBUSY) {
        transfer_hint(t, "stop that master first: it must not run meanwhile");
    }
    return rc;
}

/* --- into ZooKeeper --------------------------------------------------------------------------- */

int transfer_no_masters(struct transfer *t, const struct transfer_target *at, struct pf_err *err)
{
    if (at->n_masters == 0 && !at->has_leader) {
        return 0;
    }
    transfer_hint(t, "stop the masters first (one that was killed is gone when its session ends)");
    if (at->has_leader) {
        return pf_err_set(err, PF_EBUSY, "%s: a master leads there (%s)", t->url, at->leader);
    }
    return pf_err_set(err, PF_EBUSY, "%s: %u masters run there", t->url, at->n_masters);
}

/* Nothing, a fence that was never led, or what this very registry left behind when it went. */
static int is_free(struct transfer *t, const struct transfer_target *at,
                   const struct transfer_registry *r, struct pf_err *err)
{
    bool is_same = pf_uuid_eq(at->incarnation, r->incarnation);
    int rc = transfer_no_masters(t, at, err);
    if (rc < 0) {
        return rc;
    }
    if (!at->has_epoch) {
        if (!at->has_base && !at->has_head) {
            return 0;
        }
        transfer_hint(t, "name another path, or restore its /epoch");
        return pf_err_set(err, PF_EEXIST, "%s holds a registry without /epoch", t->url);
    }
    if (at->epoch == 0 || (at->exported_to[0] != '\0' && is_same && at->epoch <= r->epoch)) {
        return 0;
    }
    return transfer_holds(t, t->url, at->incarnation, at->epoch, err);
}

static int check_row(uint8_t table, struct pf_bytes key, struct pf_bytes row, uint32_t max_bytes,
                     struct pf_err *err)
{
    struct pf_msg msg;
    const struct pf_fb_table_desc *schema = masterd_row_schema(table);
    if (schema == NULL) {
        return pf_err_set(err, PF_EVERSION, "the registry has an unknown table %u", table);
    }
    int rc = pf_fb_verify(row, schema, &msg, err);
    if (rc < 0) {
        pf_err_wrap(err, "row %.*s of table %u", (int)key.len, (const char *)key.at, table);
        return rc;
    }
    if (max_bytes > 0 && key.len + row.len > max_bytes) {
        return pf_err_set(err, PF_ELIMIT, "row %.*s has %u bytes; in ZooKeeper %u may be",
                          (int)key.len, (const char *)key.at, key.len + row.len, max_bytes);
    }
    return 0;
}

struct checks {
    uint32_t max_bytes;
    int rc;
    struct pf_err *err;
};

static void check_each(void *ctx, uint8_t table, bool is_del, struct pf_bytes key,
                       struct pf_bytes row)
{
    struct checks *c = ctx;
    (void)is_del;
    if (c->rc == 0) {
        c->rc = check_row(table, key, row, c->max_bytes, c->err);
    }
}

int transfer_check_rows(const struct pf_replica *rows, uint32_t max_bytes, struct pf_err *err)
{
    struct checks c = {max_bytes, 0, err};
    pf_replica_each(rows, check_each, &c);
    return c.rc;
}

struct publishing {
    struct transfer_zk *zk;
    struct transfer_dir *from; /* NULL: nothing that has to be stamped */
    bool is_in_doubt;          /* an answer to the publishing was lost */
};

static int stamp(struct transfer *t, struct transfer_dir *d, const char *url, bool is_exporting,
                 struct pf_err *err)
{
    struct transfer_registry next = d->r;
    next.rows = NULL;
    next.is_exporting = is_exporting;
    next.exported_ms = url[0] != '\0' ? pf_wall_ms() : 0;
    (void)snprintf(next.exported_to, sizeof next.exported_to, "%s", url);
    return transfer_dir_put(t, d, &next, err);
}

static int publish_all(struct transfer *t, struct publishing *p, struct pf_replog_import *i,
                       struct pf_err *err)
{
    const struct pf_zk_request *q;
    struct pf_zk_reply r;
    int rc = 0, n_lost = 0;
    while (rc == 0 && (q = pf_replog_import_request(i)) != NULL) {
        bool is_last = q->n_ops > 1;
        if (is_last && p->from != NULL && p->from->r.exported_to[0] == '\0') {
            rc = stamp(t, p->from, t->url, true, err);
        }
        rc = rc < 0 ? rc : transfer_may(t, err);
        if (rc == 0) {
            p->is_in_doubt = p->is_in_doubt || is_last;
            rc = transfer_zk_ask(p->zk, q, &r, err);
        }
        if (rc < 0) {
            break;
        }
        bool is_lost = r.code == PF_ZK_UNKNOWN || r.code == PF_ZK_NOT_SENT;
        if (is_lost && ++n_lost >= TRANSFER_LOST_MAX) {
            return pf_err_set(err, PF_ETIMEOUT,
                              "the connection to ZooKeeper breaks again and again");
        }
        p->is_in_doubt = p->is_in_doubt && (is_lost || n_lost > 0);
        rc = pf_replog_import_reply(i, &r, err);
    }
    return rc;
}

static int publish(struct transfer *t, struct publishing *p, const struct transfer_registry *r,
                   const struct transfer_target *at, struct pf_err *err)
{
    const struct pf_replog_import_options io = {.seed = pf_random_u64(),
                                                .incarnation = r->incarnation,
                                                .epoch = r->epoch,
                                                .cluster = r->cluster,
                                                .format = REGISTRY_FORMAT,
                                                .has_epoch = at->has_epoch,
                                                .has_base = at->has_base,
                                                .has_head = at->has_head,
                                                .epoch_version = at->epoch_version,
                                                .head_version = at->head_version};
    struct pf_replog_import *i = pf_replog_import_create(r->rows, &io);
    int rc = publish_all(t, p, i, err);
    pf_replog_import_destroy(i);
    return rc;
}

/* --- import ----------------------------------------------------------------------------------- */

/* It arrived there, by this command or by one before it. */
static bool has_arrived(const struct transfer_target *at, const struct transfer_registry *r)
{
    return at->has_epoch && at->exported_to[0] == '\0' &&
           pf_uuid_eq(at->incarnation, r->incarnation) && at->epoch > r->epoch;
}

static int import_done(struct transfer *t, struct transfer_dir *d, struct pf_err *err)
{
    int rc = d->r.is_exporting ? stamp(t, d, t->url, false, err) : 0;
    if (rc == 0) {
        say_done(t, "imported", &d->r, d->r.epoch + 1, d->path, t->url);
    }
    return rc;
}

/* It did not arrive. The source is served again only if it cannot arrive any more. */
static int import_failed(struct transfer *t, struct publishing *p, bool was_stamped, int rc,
                         struct pf_err *err)
{
    struct transfer_dir *d = p->from;
    struct transfer_target at;
    struct pf_err other = {0};
    bool is_lost = was_stamped || p->is_in_doubt;
    if (rc == PF_ECANCELED) {
        return rc;
    }
    if (rc == PF_EEXIST) {
        if (transfer_zk_look(p->zk, &at, &other) < 0) {
            is_lost = true;
        } else if (has_arrived(&at, &d->r)) {
            pf_err_clear(err);
            return import_done(t, d, err);
        } else {
            is_lost = false; /* what stands there is another one for good */
            transfer_hint(t, "name another path: somebody made a registry there meanwhile");
        }
    }
    if (d->r.exported_to[0] != '\0' && !is_lost && stamp(t, d, "", false, &other) < 0) {
        is_lost = true;
    }
    transfer_hint(t, d->r.exported_to[0] != '\0'
                         ? "give the same command again: it goes on where this one ended; until "
                           "then nobody serves this registry"
                         : "nothing was changed: the master may be started as before");
    return rc;
}

static int import_checked(struct transfer *t, struct transfer_dir *d, struct transfer_zk *zk,
                          struct pf_err *err)
{
    struct publishing p = {.zk = zk, .from = d};
    bool was_stamped = d->r.exported_to[0] != '\0';
    struct transfer_target at;
    int rc = transfer_zk_look(zk, &at, err);
    if (rc < 0) {
        return rc;
    }
    if (was_stamped && has_arrived(&at, &d->r)) {
        return import_done(t, d, err);
    }
    if (was_stamped && !d->r.is_exporting) {
        transfer_hint(t, "restore that ZooKeeper, or begin anew from a dump by --restore-registry");
        return pf_err_set(err, PF_ENOENT, "the registry went to %s and is not there any more",
                          t->url);
    }
    rc = is_free(t, &at, &d->r, err);
    if (rc == PF_EEXIST) {
        return import_failed(t, &p, was_stamped, rc, err);
    }
    if (rc < 0) {
        return rc;
    }
    rc = publish(t, &p, &d->r, &at, err);
    return rc == 0 ? import_done(t, d, err) : import_failed(t, &p, was_stamped, rc, err);
}

static int import_source(struct transfer *t, struct transfer_dir *d, struct pf_err *err)
{
    char at[TRANSFER_TIME];
    if (!d->r.is_there) {
        transfer_hint(t, "name the --work-dir of the master that was alone");
        return pf_err_set(err, PF_ENOENT, "%s holds no registry", d->path);
    }
    if (d->r.arriving_from[0] != '\0') {
        transfer_hint(t, "give --export-registry again, which was broken off");
        return pf_err_set(err, PF_EBUSY, "the registry of %s is not all in %s yet",
                          d->r.arriving_from, d->path);
    }
    if (d->r.exported_to[0] != '\0' && strcmp(d->r.exported_to, t->url) != 0) {
        time_text(d->r.exported_ms, at);
        transfer_hint(t, d->r.is_exporting ? "that import was broken off: give it again, with that "
                                             "URL"
                                           : "bring it back first: --export-registry NEW-DIR");
        return pf_err_set(err, PF_EEXIST, "the registry in %s went to %s at %s", d->path,
                          d->r.exported_to, at);
    }
    return transfer_check_rows(d->r.rows, PF_REPLOG_ROW_BYTES, err);
}

static int run_import(struct transfer *t, struct pf_err *err)
{
    const char *path = t->o->import_registry;
    struct transfer_dir d = {0};
    struct transfer_zk *zk = NULL;
    int rc;
    if (!transfer_dir_exists(path)) {
        transfer_hint(t, "name the --work-dir of the master that was alone");
        return pf_err_set(err, PF_ENOENT, "%s holds no registry", path);
    }
    rc = transfer_open_dir(t, path, &d, err);
    rc = rc < 0 ? rc : import_source(t, &d, err);
    rc = rc < 0 ? rc : transfer_zk_open(t, &zk, err);
    rc = rc < 0 ? rc : import_checked(t, &d, zk, err);
    transfer_zk_close(zk, rc == PF_ECANCELED);
    transfer_dir_close(&d);
    return rc;
}

/* --- restore ---------------------------------------------------------------------------------- */

static int restore_to_dir(struct transfer *t, struct transfer_registry *r, struct pf_err *err)
{
    struct transfer_dir d = {0};
    int rc = pf_mkdir_p(t->o->work_dir, 0700, err);
    rc = rc < 0 ? rc : transfer_open_dir(t, t->o->work_dir, &d, err);
    if (rc == 0 && d.r.is_there) {
        rc = transfer_holds(t, d.path, d.r.incarnation, d.r.epoch, err);
    }
    if (rc == 0) {
        r->epoch++;
        rc = transfer_dir_put(t, &d, r, err);
    }
    if (rc == 0) {
        say_done(t, "restored", r, r->epoch, t->o->restore_registry, d.path);
    }
    transfer_dir_close(&d);
    return rc;
}

static int restore_to_zk(struct transfer *t, struct transfer_registry *r, struct pf_err *err)
{
    struct publishing p = {0};
    struct transfer_target at;
    int rc = transfer_check_rows(r->rows, PF_REPLOG_ROW_BYTES, err);
    rc = rc < 0 ? rc : transfer_zk_open(t, &p.zk, err);
    rc = rc < 0 ? rc : transfer_zk_look(p.zk, &at, err);
    rc = rc < 0 ? rc : is_free(t, &at, r, err);
    rc = rc < 0 ? rc : publish(t, &p, r, &at, err);
    if (rc == 0) {
        say_done(t, "restored", r, r->epoch + 1, t->o->restore_registry, t->url);
    }
    transfer_zk_close(p.zk, rc == PF_ECANCELED);
    return rc;
}

static int run_restore(struct transfer *t, struct pf_err *err)
{
    struct transfer_registry r;
    transfer_registry_init(&r);
    int rc = transfer_file_read(t->o->restore_registry, &r, err);
    if (rc < 0) {
        transfer_hint(t, "name a file that 'proffer registry dump -o FILE' wrote; nothing was "
                         "changed");
    } else {
        rc = t->o->zk[0] != '\0' ? restore_to_zk(t, &r, err) : restore_to_dir(t, &r, err);
    }
    transfer_registry_fini(&r);
    return rc;
}

/* --- the door --------------------------------------------------------------------------------- */

bool pf_transfer_is_wanted(const struct pf_masterd_options *o)
{
    return o->import_registry[0] != '\0' || o->export_registry[0] != '\0' ||
           o->restore_registry[0] != '\0';
}

int pf_transfer_run(const struct pf_masterd_options *o, const struct pf_transfer_hook *hook,
                    struct pf_buf *text, struct pf_err *err)
{
    struct transfer t = {.o = o, .hook = hook, .text = text};
    struct pf_buf url = {0};
    int rc = 0;
    if (o->zk[0] != '\0') {
        rc = pf_zk_url_show(o->zk, &url, err);
        (void)snprintf(t.url, sizeof t.url, "%s", pf_buf_cstr(&url));
        pf_buf_fini(&url);
    }
    if (rc == 0) {
        rc = o->import_registry[0] != '\0'   ? run_import(&t, err)
             : o->export_registry[0] != '\0' ? transfer_export(&t, err)
                                             : run_restore(&t, err);
    }
    if (rc < 0) {
        transfer_hint(&t, "nothing was changed; mend that and give the same command again");
    }
    return rc;
}
