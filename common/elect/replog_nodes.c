/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes of the registry as bytes: written by a leader, read from anybody. */
#include "common/elect/replog_nodes.h"

#include <stdio.h>
#include <string.h>
#include "common/base/alloc.h"
#include "common/base/crc32c.h"
#include "common/base/limits.h"
#include "common/elect/replog.h"

/* --- reading ---------------------------------------------------------------------------------- */

static int node_verify(struct pf_bytes node, const struct pf_fb_table_desc *desc,
                       struct pf_msg *out, struct pf_err *err)
{
    if (node.at == NULL || node.len == 0) {
        return pf_err_set(err, PF_EPROTO, "it is empty");
    }
    int rc = pf_fb_verify(node, desc, out, err);

    return rc == 0 ? 0 : PF_EPROTO;
}

static int uuid_parse(struct pf_bytes b, struct pf_uuid *out, struct pf_err *err)
{
    memset(out, 0, sizeof *out);
    if (b.len != 0 && b.len != sizeof out->b) {
        return pf_err_set(err, PF_EPROTO, "its uuid has %u bytes", b.len);
    }
    if (b.len != 0) {
        memcpy(out->b, b.at, sizeof out->b);
    }
    return 0;
}

int log_head_parse(const struct pf_zk_reply *r, struct log_head *out, struct pf_err *err)
{
    struct pf_msg msg;
    struct log_head h;
    int rc = node_verify(r->data, &ZkHead__desc, &msg, err);

    if (rc != 0) {
        return rc;
    }
    struct ZkHead head = ZkHead__root(msg);

    h.number = ZkHead_number(head);
    h.crc = ZkHead_crc(head);
    if (h.number > INT32_MAX || (int32_t)h.number != r->stat.version) {
        return pf_err_set(err, PF_EPROTO, "it says %llu, but its version in ZooKeeper is %d",
                          (unsigned long long)h.number, r->stat.version);
    }
    rc = uuid_parse(ZkHead_uuid(head), &h.uuid, err);
    if (rc == 0) {
        *out = h;
    }
    return rc;
}

static bool is_snapshot_name(struct pf_str s)
{
    return s.len > 5 && s.len < LOG_NAME && memcmp(s.at, "snap-", 5) == 0 &&
           memchr(s.at, '/', s.len) == NULL && strlen(s.at) == s.len;
}

int log_base_parse(struct pf_bytes node, struct log_base *out, struct pf_err *err)
{
    struct pf_msg msg;
    int rc = node_verify(node, &ZkBase__desc, &msg, err);

    if (rc != 0) {
        return rc;
    }
    struct ZkBase b = ZkBase__root(msg);
    struct pf_str name = ZkBase_snapshot(b);

    if (name.len > 0 && !is_snapshot_name(name)) {
        return pf_err_set(err, PF_EPROTO, "it names a snapshot that is none");
    }
    if (name.len == 0 && (ZkBase_number(b) != 0 || ZkBase_n_parts(b) != 0)) {
        return pf_err_set(err, PF_EPROTO, "it names no snapshot, but a number");
    }
    memset(out, 0, sizeof *out);
    out->number = ZkBase_number(b);
    if (name.len > 0) {
        memcpy(out->snapshot, name.at, name.len);
    }
    out->n_parts = ZkBase_n_parts(b);
    out->n_rows = ZkBase_n_rows(b);
    out->format = ZkBase_format(b);
    out->crc = ZkBase_crc(b);
    return 0;
}

static int row_check(struct ZkRow row, uint32_t i, struct pf_err *err)
{
    uint8_t table = ZkRow_table(row);
    uint32_t key_len = ZkRow_key(row).len;

    if (table < 1 || table > PF_STORE_TABLES_MAX) {
        return pf_err_set(err, PF_EPROTO, "its row %u is of table %u", i, table);
    }
    if (key_len < 1 || key_len > PF_STORE_KEY_MAX_BYTES) {
        return pf_err_set(err, PF_EPROTO, "its row %u has a key of %u bytes", i, key_len);
    }
    return 0;
}

int log_batch_parse(struct pf_bytes node, uint64_t number, struct ZkBatch *out,
                    struct log_head *out_head, struct pf_err *err)
{
    struct pf_msg msg;
    struct log_head h = {.number = number};
    int rc = node_verify(node, &ZkBatch__desc, &msg, err);

    if (rc != 0) {
        return rc;
    }
    struct ZkBatch batch = ZkBatch__root(msg);

    if (ZkBatch_number(batch) != number) {
        return pf_err_set(err, PF_EPROTO, "it says that it is batch %llu",
                          (unsigned long long)ZkBatch_number(batch));
    }
    rc = uuid_parse(ZkBatch_uuid(batch), &h.uuid, err);
    for (uint32_t i = 0; rc == 0 && i < ZkBatch_rows__len(batch); i++) {
        rc = row_check(ZkBatch_rows__at(batch, i), i, err);
    }
    if (rc == 0) {
        h.crc = pf_crc32c(0, node.at, node.len);
        *out = batch;
        *out_head = h;
    }
    return rc;
}

int log_part_parse(struct pf_bytes node, uint32_t part, struct ZkPart *out, struct pf_err *err)
{
    struct pf_msg msg;
    int rc = node_verify(node, &ZkPart__desc, &msg, err);

    if (rc != 0) {
        return rc;
    }
    struct ZkPart p = ZkPart__root(msg);

    if (ZkPart_part(p) != part) {
        return pf_err_set(err, PF_EPROTO, "it says that it is part %u", ZkPart_part(p));
    }
    for (uint32_t i = 0; rc == 0 && i < ZkPart_rows__len(p); i++) {
        struct ZkRow row = ZkPart_rows__at(p, i);

        rc = row_check(row, i, err);
        if (rc == 0 && ZkRow_is_del(row)) {
            rc = pf_err_set(err, PF_EPROTO, "its row %u is a deletion", i);
        }
    }
    if (rc == 0) {
        *out = p;
    }
    return rc;
}

bool log_uuid_eq(const struct log_head *a, const struct log_head *b)
{
    return a->number == b->number && pf_uuid_eq(a->uuid, b->uuid);
}

/* --- writing ---------------------------------------------------------------------------------- */

struct pf_bytes log_head_put(struct pf_fb_builder *b, const struct log_head *h)
{
    struct ZkHead__args args = {.number = h->number, .crc = h->crc};

    args.uuid = (struct pf_bytes){h->uuid.b, sizeof h->uuid.b};
    pf_fb_builder_reset(b);
    return pf_msg_bytes(ZkHead__finish(b, ZkHead__put(b, &args)));
}

struct pf_bytes log_base_put(struct pf_fb_builder *b, const struct log_base *base)
{
    struct ZkBase__args args = {.number = base->number,
                                .snapshot = pf_str(base->snapshot),
                                .n_parts = base->n_parts,
                                .n_rows = base->n_rows,
                                .format = base->format,
                                .crc = base->crc};

    pf_fb_builder_reset(b);
    return pf_msg_bytes(ZkBase__finish(b, ZkBase__put(b, &args)));
}

struct pf_bytes log_batch_put(struct pf_fb_builder *b, const struct log_head *h, uint64_t epoch,
                              const struct pf_batch *batch)
{
    struct pf_ref *refs = pf_alloc((batch->n_ops + (size_t)1) * sizeof *refs);
    struct ZkBatch__args args = {.number = h->number, .epoch = epoch};

    pf_fb_builder_reset(b);
    for (uint32_t i = 0; i < batch->n_ops; i++) {
        const struct pf_row_op *op = &batch->op[i];
        struct ZkRow__args row = {.table = op->table, .key = op->key, .is_del = op->is_del};

        if (!op->is_del) {
            row.row = op->row;
        }
        refs[i] = ZkRow__put(b, &row);
    }
    args.uuid = (struct pf_bytes){h->uuid.b, sizeof h->uuid.b};
    args.rows = (struct pf_refs){refs, batch->n_ops};
    struct pf_msg msg = ZkBatch__finish(b, ZkBatch__put(b, &args));

    pf_free(refs);
    return pf_msg_bytes(msg);
}

struct pf_bytes log_part_put(struct pf_fb_builder *b, uint32_t part, const struct pf_replica_cut *c,
                             uint32_t from, uint32_t to)
{
    struct pf_ref *refs = pf_alloc((to - from + (size_t)1) * sizeof *refs);
    struct ZkPart__args args = {.part = part, .rows = {refs, to - from}};

    pf_fb_builder_reset(b);
    for (uint32_t i = from; i < to; i++) {
        struct ZkRow__args row = {0};

        pf_replica_cut_at(c, i, &row.table, &row.key, &row.row);
        refs[i - from] = ZkRow__put(b, &row);
    }
    struct pf_msg msg = ZkPart__finish(b, ZkPart__put(b, &args));

    pf_free(refs);
    return pf_msg_bytes(msg);
}

uint32_t *log_parts_plan(const struct pf_replica_cut *c, uint32_t *out_n_parts)
{
    uint32_t n_rows = pf_replica_cut_len(c), n = 0;
    uint32_t *from = pf_alloc((n_rows + (size_t)1) * sizeof *from);
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < n_rows; i++) {
        uint8_t table;
        struct pf_bytes key, row;

        pf_replica_cut_at(c, i, &table, &key, &row);
        uint64_t size = (uint64_t)key.len + row.len + LOG_ROW_ROOM;

        if (n == 0 || bytes + size > PF_REPLOG_PART_BYTES - LOG_NODE_ROOM) {
            from[n++] = i;
            bytes = 0;
        }
        bytes += size;
    }
    from[n] = n_rows;
    *out_n_parts = n;
    return from;
}

/* --- paths ------------------------------------------------------------------------------------ */

struct pf_str log_node_path(char out[LOG_PATH], uint64_t number)
{
    int n = snprintf(out, LOG_PATH, "/registry/log/%012llu", (unsigned long long)number);

    return (struct pf_str){out, (uint32_t)n};
}

struct pf_str log_part_path(char out[LOG_PATH], const char *snapshot, uint32_t part)
{
    int n = snprintf(out, LOG_PATH, "/registry/%.63s/%06u", snapshot, part);

    return (struct pf_str){out, (uint32_t)n};
}

struct pf_str log_snap_path(char out[LOG_PATH], const char *snapshot)
{
    int n = snprintf(out, LOG_PATH, "/registry/%.63s", snapshot);

    return (struct pf_str){out, (uint32_t)n};
}

void log_snap_name(char out[LOG_NAME], uint64_t number, struct pf_uuid uuid)
{
    char text[PF_UUID_TEXT_LEN + 1];

    pf_uuid_format(uuid, text);
    (void)snprintf(out, LOG_NAME, "snap-%012llu-%s", (unsigned long long)number, text);
}

bool log_number_parse(struct pf_str name, uint64_t *out)
{
    uint64_t v = 0;

    if (name.len < 12 || name.len > 18) {
        return false;
    }
    for (uint32_t i = 0; i < name.len; i++) {
        if (name.at[i] < '0' || name.at[i] > '9') {
            return false;
        }
        v = v * 10 + (uint64_t)(name.at[i] - '0');
    }
    *out = v;
    return true;
}
