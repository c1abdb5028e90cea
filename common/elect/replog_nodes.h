/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes of the registry as bytes, and their paths. For replog*.c only. */
#ifndef PF_COMMON_ELECT_REPLOG_NODES_H
#define PF_COMMON_ELECT_REPLOG_NODES_H

#include "common/base/err.h"
#include "common/base/id.h"
#include "common/elect/replica.h"
#include "common/elect/zk_op.h"
#include "common/fb/build.h"
#include "common/turn/turn.h"
#include "schemas/quorum.h"

enum {
    LOG_NODE_ROOM = 256, /* of a part, for what is no row */
    LOG_ROW_ROOM = 48,   /* of a row, for what is neither key nor row */
    LOG_NAME = 64,       /* of a snapshot's folder */
    LOG_PATH = 96,
};

struct log_head {
    uint64_t number;
    struct pf_uuid uuid;
    uint32_t crc;
};

struct log_base {
    uint64_t number;
    char snapshot[LOG_NAME];
    uint32_t n_parts, n_rows, format, crc;
};

/* What is read may be anything. PF_EPROTO. */
PF_MUST_USE int log_head_parse(const struct pf_zk_reply *r, struct log_head *out,
                               struct pf_err *err);
PF_MUST_USE int log_base_parse(struct pf_bytes node, struct log_base *out, struct pf_err *err);
PF_MUST_USE int log_batch_parse(struct pf_bytes node, uint64_t number, struct ZkBatch *out,
                                struct log_head *out_head, struct pf_err *err);
PF_MUST_USE int log_part_parse(struct pf_bytes node, uint32_t part, struct ZkPart *out,
                               struct pf_err *err);
/* Borrowed until the next put. */
struct pf_bytes log_head_put(struct pf_fb_builder *b, const struct log_head *h);
struct pf_bytes log_base_put(struct pf_fb_builder *b, const struct log_base *base);
struct pf_bytes log_batch_put(struct pf_fb_builder *b, const struct log_head *h, uint64_t epoch,
                              const struct pf_batch *batch);
/* Rows [from, to) of the cut. */
struct pf_bytes log_part_put(struct pf_fb_builder *b, uint32_t part,
                             const struct pf_replica_cut *c, uint32_t from, uint32_t to);
/* Where each part of a snapshot begins, and the end of the last; owned by the caller. */
uint32_t *log_parts_plan(const struct pf_replica_cut *c, uint32_t *out_n_parts);
bool log_uuid_eq(const struct log_head *a, const struct log_head *b);
/* "/registry/log/000000000017" */
struct pf_str log_node_path(char out[LOG_PATH], uint64_t number);
struct pf_str log_part_path(char out[LOG_PATH], const char *snapshot, uint32_t part);
struct pf_str log_snap_path(char out[LOG_PATH], const char *snapshot);
void log_snap_name(char out[LOG_NAME], uint64_t number, struct pf_uuid uuid);
PF_MUST_USE bool log_number_parse(struct pf_str name, uint64_t *out);

#endif
