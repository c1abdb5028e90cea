/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of `proffer registry dump`: first the registry, then a row each. All of it is verified
 * before anything is written anywhere. */
#include "master/daemon/masterd_transfer_internal.h"

#include <stdio.h>
#include <string.h>

#include "common/fb/json.h"
#include "common/sys/file.h"
#include "master/daemon/masterd_internal.h"
#include "schemas/operator.h"
#include "schemas/rows.h"

enum { DUMP_MAX_BYTES = 1 << 30 };

struct reader {
    struct transfer_registry *r;
    struct pf_fb_builder line, row;
    const char *path;
    uint32_t number;
};

static int take_header(struct reader *f, struct pf_str line, struct pf_err *err)
{
    struct transfer_registry *r = f->r;
    struct pf_msg msg;
    int rc = pf_json_read(line, &Master_Response_GetRegistry__desc, &f->line, &msg,
                          PF_JSON_REFUSE_UNKNOWN, err);
    if (rc < 0) {
        return rc;
    }
    struct Master_Response_GetRegistry h = Master_Response_GetRegistry__root(msg);
    r->epoch = Master_Response_GetRegistry_epoch(h);
    r->format = Master_Response_GetRegistry_format(h);
    if (!pf_uuid_parse(Master_Response_GetRegistry_incarnation(h), &r->incarnation) ||
        pf_uuid_is_nil(r->incarnation) || r->epoch == 0 || r->epoch > MASTERD_EPOCH_MAX ||
        Master_Response_GetRegistry_rows__len(h) > 0) {
        return pf_err_set(err, PF_EPROTO, "no incarnation and epoch: is it a dump at all?");
    }
    if (r->format != REGISTRY_FORMAT) {
        return pf_err_set(err, PF_EVERSION, "the dump has format %u, this binary knows %u",
                          r->format, REGISTRY_FORMAT);
    }
    r->is_there = true;
    return 0;
}

static int check_row(struct reader *f, enum RegistryTable table, struct pf_msg row,
                     struct pf_err *err)
{
    struct pf_bytes incarnation;
    switch (table) {
    case RegistryTable_META:
        incarnation = Row_Registry_incarnation(Row_Registry__root(row));
        if (incarnation.len != sizeof f->r->incarnation.b ||
            memcmp(incarnation.at, f->r->incarnation.b, incarnation.len) != 0) {
            return pf_err_set(err, PF_EINVAL, "another incarnation than in line 1");
        }
        (void)snprintf(f->r->cluster, sizeof f->r->cluster, "%.*s",
                       PF_STR_ARG(Row_Registry_cluster(Row_Registry__root(row))));
        return 0;
    case RegistryTable_AGENTS:
        return Row_Agent__has_info(Row_Agent__root(row))
                   ? 0
                   : pf_err_set(err, PF_EINVAL, "an agent without 'info'");
    case RegistryTable_FRAMEWORKS:
        return Row_Framework__has_info(Row_Framework__root(row))
                   ? 0
                   : pf_err_set(err, PF_EINVAL, "a framework without 'info'");
    case RegistryTable_NONE: break;
    }
    return pf_err_set(err, PF_EINVAL, "unknown table");
}

static int take_row(struct reader *f, struct pf_str line, struct pf_err *err)
{
    struct pf_msg msg, row;
    enum RegistryTable table;
    uint32_t n_before = pf_replica_len(f->r->rows);
    int rc = pf_json_read(line, &RegistryRow__desc, &f->line, &msg, PF_JSON_REFUSE_UNKNOWN, err);
    if (rc < 0) {
        return rc;
    }
    struct RegistryRow x = RegistryRow__root(msg);
    struct pf_str key = RegistryRow_key(x);
    if (!RegistryTable__parse(RegistryRow_table(x), &table) || table == RegistryTable_NONE) {
        return pf_err_set(err, PF_EINVAL, "unknown table '%.60s'",
                          RegistryRow_table(x).at != NULL ? RegistryRow_table(x).at : "");
    }
    if (key.len == 0 || key.len > PF_ID_MAX) {
        return pf_err_set(err, PF_EINVAL, "a key of 1 to %d bytes is needed", PF_ID_MAX);
    }
    rc = pf_json_read(RegistryRow_json(x), masterd_row_schema((uint8_t)table), &f->row, &row,
                      PF_JSON_REFUSE_UNKNOWN, err);
    rc = rc < 0 ? rc : check_row(f, table, row, err);
    if (rc < 0 || table == RegistryTable_META) {
        return rc;
    }
    pf_replica_put(f->r->rows, (uint8_t)table, (struct pf_bytes){(const uint8_t *)key.at, key.len},
                   pf_msg_bytes(row));
    return pf_replica_len(f->r->rows) == n_before
               ? pf_err_set(err, PF_EINVAL, "key '%.60s' stands there twice", key.at)
               : 0;
}

static int take_lines(struct reader *f, const char *at, const char *end, struct pf_err *err)
{
    int rc = 0;
    while (rc == 0 && at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop != NULL ? stop : end;
        struct pf_str line = {at, (uint32_t)(stop - at)};
        f->number++;
        rc = f->number == 1 ? take_header(f, line, err) : take_row(f, line, err);
        at = stop + 1;
    }
    if (rc == 0 && !f->r->is_there) {
        return pf_err_set(err, PF_EPROTO, "%s is empty", f->path);
    }
    if (rc < 0) {
        pf_err_wrap(err, "%s line %u", f->path, f->number);
    }
    return rc;
}

int transfer_file_read(const char *path, struct transfer_registry *out, struct pf_err *err)
{
    struct reader f = {.r = out, .path = path};
    struct pf_buf text = {0};
    int rc = pf_file_read(path, DUMP_MAX_BYTES, &text, err);
    if (rc < 0) {
        pf_buf_fini(&text);
        return rc;
    }
    pf_fb_builder_init(&f.line, NULL);
    pf_fb_builder_init(&f.row, NULL);
    rc = take_lines(&f, (const char *)text.data, (const char *)text.data + text.len, err);
    pf_fb_builder_fini(&f.line);
    pf_fb_builder_fini(&f.row);
    pf_buf_fini(&text);
    return rc;
}
