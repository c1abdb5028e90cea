/* SPDX-License-Identifier: Apache-2.0 */
/* The registry as a log over ZooKeeper, a pure state machine (DESIGN 8): a standby follows it, the
 * leader appends fenced batches, eight under way at most, and writes snapshots. Holds the committed
 * rows (replica.h).
 *
 * Nodes (schemas/quorum.fbs): /registry/head ZkHead {k, uuid, crc}, version k; /registry/base
 * ZkBase names the snapshot to begin with; /registry/log/<k as 12 digits> ZkBatch;
 * /registry/snap-<k>-<uuid>/<part> ZkPart. Batch k = one multi {check /epoch, set head at version
 * k-1, create log/k}. */
#ifndef PF_COMMON_ELECT_REPLOG_H
#define PF_COMMON_ELECT_REPLOG_H

#include <stdbool.h>
#include <stdint.h>
#include "common/elect/effect.h"
#include "common/elect/replica.h"
#include "common/turn/turn.h"

struct pf_replog;

enum {
    PF_REPLOG_DEPTH = 8,                 /* batches under way */
    PF_REPLOG_BATCH_BYTES = 24 << 10,    /* where a turn closes; with its last rows <= 32 KiB */
    PF_REPLOG_ROW_BYTES = 16 << 10,
    PF_REPLOG_PART_BYTES = 64 << 10,     /* of a snapshot */
    PF_REPLOG_LOG_NODES = 5000,          /* over it, or over LOG_BYTES, a snapshot is made */
    PF_REPLOG_LOG_BYTES = 8 << 20,
};

struct pf_replog_options {
    uint64_t seed;
    uint32_t format_min, format_max;
    uint32_t log_nodes, log_bytes; /* 0: as above; less in tests */
};

enum pf_replog_event_type {
    PF_REPLOG_SESSION = 1,
    PF_REPLOG_REPLY, /* to a request with PF_ZK_OWNER_LOG */
    PF_REPLOG_WATCH,
    PF_REPLOG_STREAMED, /* the leader of our epoch sent a committed batch (RegistryBatch) */
    PF_REPLOG_CATCH_UP, /* read up to the head that stands now, whatever was streamed */
    PF_REPLOG_LEAD,     /* we lead: write from now on, fenced by this version of /epoch */
    PF_REPLOG_SUBMIT,   /* leader: store this; borrowed until STORED. No rows: only a fence */
    PF_REPLOG_STOP,     /* we lead no more: forget what is under way, follow again */
    PF_REPLOG_TICK,
};

struct pf_replog_event {
    enum pf_replog_event_type type;
    int64_t boot_ms;
    union {
        struct pf_zk_session session;
        const struct pf_zk_reply *reply;
        struct pf_zk_watch watch;
        struct {
            uint64_t number;
            struct pf_bytes node; /* the bytes of its log node */
        } streamed;
        struct {
            int32_t epoch_version;
            uint64_t epoch;
            uint8_t session; /* that owns /leader; the other one is used while it is cut off */
        } lead;
        const struct pf_batch *submit;
    };
};

struct pf_replog *pf_replog_create(const struct pf_replog_options *options, struct pf_outbox *out);
void pf_replog_destroy(struct pf_replog *l);
/* Appends: ZK requests, ROW (following), STORED (leading, in order), STREAM (leading: an Envelope
 * with RegistryBatch of what was committed), SAY, FATAL (a newer format: both versions named;
 * malformed nodes only where nothing can be done). */
void pf_replog_step(struct pf_replog *l, const struct pf_replog_event *ev);
int64_t pf_replog_deadline(const struct pf_replog *l);
void pf_replog_check(const struct pf_replog *l);

/* Everything up to a head that was read is applied. */
bool pf_replog_is_ready(const struct pf_replog *l);
uint64_t pf_replog_applied(const struct pf_replog *l); /* k */
/* Of /registry/head where `applied` is its k. */
int32_t pf_replog_head_version(const struct pf_replog *l);
uint32_t pf_replog_format(const struct pf_replog *l);
/* A fenced write was refused: another epoch. Stays until STOP. */
bool pf_replog_is_fenced(const struct pf_replog *l);
/* When the last acknowledged fenced write was sent; 0 = none since LEAD. */
int64_t pf_replog_renewed_ms(const struct pf_replog *l);
const struct pf_replica *pf_replog_rows(const struct pf_replog *l);
const char *pf_replog_trouble(const struct pf_replog *l); /* NULL = none */

struct pf_replog_stats {
    uint64_t batches, rows, bytes, unknown_outcomes, snapshots, rereads, streamed;
    int64_t commit_ms_last, commit_ms_max;
    uint32_t n_log_nodes, log_bytes, n_in_flight;
};
void pf_replog_stats(const struct pf_replog *l, struct pf_replog_stats *out);

#endif
