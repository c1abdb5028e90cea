/* SPDX-License-Identifier: Apache-2.0 */
/* The registry in the directory of a master that is alone: read and changed while none runs. */
#include "master/daemon/masterd_transfer_internal.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/sys/random.h"
#include "master/daemon/masterd_internal.h"
#include "schemas/rows.h"

void transfer_registry_init(struct transfer_registry *r)
{
    *r = (struct transfer_registry){.rows = pf_replica_create(pf_random_u64()),
                                    .format = REGISTRY_FORMAT};
}

void transfer_registry_fini(struct transfer_registry *r)
{
    pf_replica_destroy(r->rows);
    r->rows = NULL;
}

bool transfer_dir_exists(const char *path)
{
    char file[4096];
    (void)snprintf(file, sizeof file, "%s/data.mdb", path);
    return access(file, F_OK) == 0;
}

static void keep_text(char *to, size_t size, struct pf_str s)
{
    (void)snprintf(to, size, "%.*s", PF_STR_ARG(s));
}

static int take_meta(struct transfer_registry *r, struct Row_Registry m, struct pf_err *err)
{
    struct pf_bytes uuid = Row_Registry_incarnation(m);
    if (uuid.len != sizeof r->incarnation.b) {
        return pf_err_set(err, PF_EPROTO, "the registry's incarnation is malformed");
    }
    memcpy(r->incarnation.b, uuid.at, uuid.len);
    r->is_there = true;
    r->epoch = Row_Registry_epoch(m);
    r->format = Row_Registry_format(m);
    r->is_exporting = Row_Registry_is_exporting(m);
    r->exported_ms = Row_Registry_exported_ms(m);
    keep_text(r->cluster, sizeof r->cluster, Row_Registry_cluster(m));
    keep_text(r->exported_to, sizeof r->exported_to, Row_Registry_exported_to(m));
    keep_text(r->arriving_from, sizeof r->arriving_from, Row_Registry_arriving_from(m));
    if (r->format > REGISTRY_FORMAT) {
        return pf_err_set(err, PF_EVERSION, "the registry has format %u, this binary knows %u",
                          r->format, REGISTRY_FORMAT);
    }
    return 0;
}

static int take_row(void *ctx, uint8_t table, struct pf_bytes key, struct pf_bytes row)
{
    struct transfer_registry *r = ctx;
    const struct pf_fb_table_desc *schema = masterd_row_schema(table);
    struct pf_msg msg;
    struct pf_err err = {0};
    if (schema == NULL) {
        return PF_EVERSION;
    }
    if (pf_fb_verify(row, schema, &msg, &err) < 0) {
        return PF_EPROTO;
    }
    if (table == RegistryTable_META) {
        return take_meta(r, Row_Registry__root(msg), &err);
    }
    pf_replica_put(r->rows, table, key, row);
    return 0;
}

int transfer_dir_open(const char *path, struct transfer_dir *out, struct pf_err *err)
{
    struct transfer_dir d = {.path = path};
    const struct pf_store_lmdb_options so = {
        .dir = path, .kind = "registry", .level = REGISTRY_LEVEL};
    transfer_registry_init(&d.r);
    int rc = pf_store_lmdb_open(&so, &d.store, err);
    if (rc == 0) {
        rc = pf_store_load(d.store, take_row, &d.r, err);
        if (rc < 0 && (err == NULL || err->code == 0)) {
            (void)pf_err_set(err, rc, "a row of the registry in %s cannot be read%s", path,
                             rc == PF_EVERSION ? ": a newer version wrote it" : "");
        }
    }
    if (rc < 0) {
        transfer_dir_close(&d);
        return rc;
    }
    *out = d;
    return 0;
}

void transfer_dir_close(struct transfer_dir *d)
{
    pf_store_destroy(d->store);
    d->store = NULL;
    transfer_registry_fini(&d->r);
}

/* --- changing it ------------------------------------------------------------------------------ */

struct ops {
    struct pf_row_op *op;
    uint32_t n, bytes;
};

static void add_op(void *ctx, uint8_t table, bool is_del, struct pf_bytes key, struct pf_bytes row)
{
    struct ops *ops = ctx;
    ops->op[ops->n++] = (struct pf_row_op){table, is_del, key, row};
    ops->bytes += key.len + row.len;
}

static struct pf_bytes meta_row(struct pf_fb_builder *b, const struct transfer_registry *r)
{
    const struct Row_Registry__args args = {
        .incarnation = {r->incarnation.b, sizeof r->incarnation.b},
        .epoch = r->epoch,
        .format = r->format,
        .cluster = pf_str(r->cluster),
        .exported_to = pf_str(r->exported_to),
        .exported_ms = r->exported_ms,
        .is_exporting = r->is_exporting,
        .arriving_from = pf_str(r->arriving_from)};
    pf_fb_builder_reset(b);
    return pf_msg_bytes(Row_Registry__finish(b, Row_Registry__put(b, &args)));
}

static int store_batch(struct transfer_dir *d, const struct ops *ops, struct pf_err *err)
{
    const struct pf_batch batch = {
        .number = ++d->n_batches, .op = ops->op, .n_ops = ops->n, .bytes = ops->bytes};
    struct pollfd ready = {.fd = pf_store_wake_fd(d->store), .events = POLLIN};
    uint64_t stored = 0;
    int rc = 0;
    pf_store_submit(d->store, &batch);
    while (rc == 0 && stored < batch.number) {
        (void)poll(&ready, 1, -1); /* a signal only makes us look once more */
        rc = pf_store_collect(d->store, &stored, err);
    }
    return rc;
}

int transfer_dir_put(struct transfer *t, struct transfer_dir *d,
                     const struct transfer_registry *next, struct pf_err *err)
{
    struct pf_fb_builder b;
    uint32_t n_rows = pf_replica_len(d->r.rows) + (next->rows ? pf_replica_len(next->rows) : 0);
    struct ops ops = {.op = pf_alloc((n_rows + (size_t)1) * sizeof *ops.op)};
    int rc = transfer_may(t, err);
    if (rc == 0) {
        pf_fb_builder_init(&b, NULL);
        if (next->rows != NULL) {
            pf_replica_diff(d->r.rows, next->rows, add_op, &ops);
        }
        add_op(&ops, RegistryTable_META, false, (struct pf_bytes){(const uint8_t *)"registry", 8},
               meta_row(&b, next));
        rc = store_batch(d, &ops, err);
        pf_fb_builder_fini(&b);
    }
    pf_free(ops.op);
    if (rc == 0) {
        struct pf_replica *rows = d->r.rows;
        d->r = *next;
        d->r.rows = rows; /* what was put is not read again */
    }
    return rc;
}
