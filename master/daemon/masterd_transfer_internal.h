/* SPDX-License-Identifier: Apache-2.0 */
/* For masterd_transfer*.c only. */
#ifndef PF_MASTER_DAEMON_MASTERD_TRANSFER_INTERNAL_H
#define PF_MASTER_DAEMON_MASTERD_TRANSFER_INTERNAL_H

#include "common/base/id.h"
#include "common/elect/replica.h"
#include "common/elect/replog.h"
#include "common/elect/zk_op.h"
#include "common/fb/build.h"
#include "common/net/loop.h"
#include "common/store/store.h"
#include "master/daemon/masterd_transfer.h"

enum {
    TRANSFER_PLACE = 512,
    TRANSFER_CLUSTER = 64,
    TRANSFER_TIME = 24,
    TRANSFER_LOST_MAX = 100, /* answers, before we give up */
};

/* A registry without its META row, whose fields stand beside. */
struct transfer_registry {
    struct pf_replica *rows; /* owned */
    bool is_there;
    struct pf_uuid incarnation;
    uint64_t epoch;
    uint32_t format;
    char cluster[TRANSFER_CLUSTER];
    char exported_to[TRANSFER_PLACE], arriving_from[TRANSFER_PLACE]; /* "": not */
    int64_t exported_ms;
    bool is_exporting;
};

struct transfer {
    const struct pf_masterd_options *o;
    const struct pf_transfer_hook *hook;
    struct pf_buf *text;
    char url[TRANSFER_PLACE]; /* of ZooKeeper, without password */
};

/* masterd_transfer.c */
/* Before each step that lasts. PF_ECANCELED. */
PF_MUST_USE int transfer_may(const struct transfer *t, struct pf_err *err);
/* Says what to do about an error. */
void transfer_hint(struct transfer *t, const char *fmt, ...) PF_PRINTF(2, 3);
/* masterd_transfer_dir.c: the registry of a master that is alone. */
struct transfer_dir {
    const char *path;
    struct pf_store *store;
    uint64_t n_batches;
    struct transfer_registry r; /* as it stands there */
};
void transfer_registry_init(struct transfer_registry *r);
void transfer_registry_fini(struct transfer_registry *r);
bool transfer_dir_exists(const char *path);
/* Locks and reads it; it is made if missing. */
PF_MUST_USE int transfer_dir_open(const char *path, struct transfer_dir *out, struct pf_err *err);
void transfer_dir_close(struct transfer_dir *d); /* all zero is fine */
/* Has it hold `next` by one batch: only what differs, and the META row. NULL rows: as they are. */
PF_MUST_USE int transfer_dir_put(struct transfer *t, struct transfer_dir *d,
                                 const struct transfer_registry *next, struct pf_err *err);

/* masterd_transfer_file.c: the lines of `proffer registry dump`. */
PF_MUST_USE int transfer_file_read(const char *path, struct transfer_registry *out,
                                   struct pf_err *err);

/* masterd_transfer_zk.c: ZooKeeper, one question at a time. */
struct transfer_zk;
/* Waits until it is connected. */
PF_MUST_USE int transfer_zk_open(const struct transfer *t, struct transfer_zk **out,
                                 struct pf_err *err);
void transfer_zk_close(struct transfer_zk *z, bool is_crash); /* NULL is fine */
/* Sends once there is a connection, and waits for the answer, which may be UNKNOWN; it is borrowed
 * until the next question. */
PF_MUST_USE int transfer_zk_ask(struct transfer_zk *z, const struct pf_zk_request *q,
                                struct pf_zk_reply *out, struct pf_err *err);
/* What stands there. */
struct transfer_target {
    bool has_epoch, has_base, has_head, has_leader;
    int32_t epoch_version, head_version;
    uint32_t n_masters;
    struct pf_uuid incarnation;
    uint64_t epoch;
    char cluster[TRANSFER_CLUSTER], exported_to[TRANSFER_PLACE], leader[PF_ADDRESS_MAX];
};
PF_MUST_USE int transfer_zk_look(struct transfer_zk *z, struct transfer_target *out,
                                 struct pf_err *err);
/* Reads the registry up to its head, as a standby does. */
PF_MUST_USE int transfer_zk_read(struct transfer_zk *z, struct pf_replog **out,
                                 struct pf_err *err);
/* The caller destroys what it was given by this. */
void transfer_zk_forget(struct transfer_zk *z, struct pf_replog *log);

/* masterd_transfer.c, for all three. */
PF_MUST_USE int transfer_open_dir(struct transfer *t, const char *path, struct transfer_dir *out,
                                  struct pf_err *err);
PF_MUST_USE int transfer_no_masters(struct transfer *t, const struct transfer_target *at,
                                    struct pf_err *err);
/* PF_EEXIST, which names that registry. */
PF_MUST_USE int transfer_holds(struct transfer *t, const char *where, struct pf_uuid incarnation,
                               uint64_t epoch, struct pf_err *err);
/* `max_bytes` of a row with its key; 0: any. */
PF_MUST_USE int transfer_check_rows(const struct pf_replica *rows, uint32_t max_bytes,
                                    struct pf_err *err);
/* masterd_transfer_export.c */
PF_MUST_USE int transfer_export(struct transfer *t, struct pf_err *err);

#endif
