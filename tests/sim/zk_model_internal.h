/* SPDX-License-Identifier: Apache-2.0 */
/* For zk_model*.c only. */
#ifndef PF_TESTS_SIM_ZK_MODEL_INTERNAL_H
#define PF_TESTS_SIM_ZK_MODEL_INTERNAL_H

#include "common/base/arena.h"
#include "common/base/rng.h"
#include "tests/sim/zk_model.h"
#include "tests/sim/zk_model_tree.h"

enum { ZKM_SERVERS_MAX = 3, ZKM_CLIENTS_MAX = 4096 };

struct zkm_request {
    uint64_t number, id, session_id;
    struct pf_arena arena;
    struct pf_zk_op *op;
    uint32_t n_ops, refs, failed_op;
    bool is_write, has_arrived, is_decided, breaks;
    enum pf_zk_code code;
    int64_t zxid;
    int32_t version;
};

/* Something that happens inside. */
struct zkm_job {
    int64_t at_us;
    uint64_t number;
    void (*fn)(struct zkm *z, const struct zkm_job *job);
    uint32_t client, server;
    uint64_t connection; /* of the client; another one: too late */
    struct zkm_request *request;
    int64_t zxid;
};

/* Something that a client is told. */
struct zkm_out {
    enum zkm_event_type type;
    int64_t at_us;
    uint64_t number;
    enum pf_zk_state state;
    uint64_t session_id;
    struct zkm_request *request;
    enum pf_zk_code code;
    uint32_t failed_op;
    struct pf_zk_stat stat;
    uint8_t *data;
    uint32_t len;
    struct pf_str *names; /* one block, the texts behind them */
    uint32_t n_names;
    enum pf_zk_watch_type watch_type;
    char *path;
    uint8_t watched; /* enum pf_zk_op_type of the watch that fired */
    int64_t mzxid, czxid, pzxid;
};

/* Armed: the node was like this. */
struct zkm_watch {
    char *path;
    enum pf_zk_op_type type; /* GET, EXISTS, CHILDREN */
    bool existed;
    int64_t mzxid, czxid, pzxid;
};

struct zkm_client {
    uint32_t number;
    uint8_t session;
    int32_t server; /* -1: not connected */
    uint32_t prefers;
    int64_t timeout_us;
    uint64_t session_id, connection, lost_connection;
    bool is_cut, is_paused, is_gone;
    int breaks; /* at the next write: 1 = before it is done, 2 = after */
    int64_t last_arrival_us, last_commit_us, last_out_us, last_zxid;
    struct zkm_request **queue;
    uint32_t n_queue, cap_queue;
    struct zkm_out *out;
    uint32_t n_out, cap_out;
    struct zkm_watch *watch;
    uint32_t n_watches, cap_watches;
};

struct zkm_live { /* a session */
    uint64_t id;
    int64_t timeout_us, heard_us;
};

struct zkm_server {
    bool is_up, is_cut;
    int64_t applied, apply_us;
    struct zkm_tree tree;
};

struct zkm_txn {
    struct zkm_request *request; /* NULL: the session ended */
    uint64_t session_id;
};

struct zkm {
    struct zkm_options o;
    struct pf_rng rng;
    int64_t now_us, slow_us;
    uint64_t next_number, next_session;
    struct zkm_job *job;
    uint32_t n_jobs, cap_jobs;
    struct zkm_server server[ZKM_SERVERS_MAX];
    uint32_t n_servers;
    int32_t leader; /* -1: none */
    uint64_t election;
    struct zkm_tree head;
    struct zkm_txn *txn; /* the history: zxid 1, 2, ... */
    int64_t n_txns, cap_txns;
    struct zkm_live *live;
    uint32_t n_live;
    struct zkm_client client[ZKM_CLIENTS_MAX];
    uint32_t n_clients;
    struct zkm_out taken;
    bool has_taken;
    struct pf_bytes looked;
};

int64_t zkm_dice(struct zkm *z, int64_t from, int64_t to);
void zkm_at(struct zkm *z, int64_t at_us, struct zkm_job job);
void zkm_request_put(struct zkm_request *r);
struct zkm_live *zkm_live_of(struct zkm *z, uint64_t session_id);
void zkm_drop(struct zkm *z, struct zkm_client *c);
void zkm_connect(struct zkm *z, const struct zkm_job *job);
void zkm_never(struct zkm *z, const struct zkm_job *job);
void zkm_progress(struct zkm *z, struct zkm_client *c);

/* zk_model_servers.c */
/* Decides a write or a sync: on the head tree, into the history, on its way to the servers. */
void zkm_commit(struct zkm *z, struct zkm_request *r);
void zkm_end_session(struct zkm *z, uint64_t session_id);
void zkm_servers_fini(struct zkm *z);

/* zk_model_watch.c */
void zkm_watch_add(struct zkm_client *c, const struct pf_zk_op *op, const struct zkm_tree_node *n);
void zkm_watch_rearm(struct zkm_client *c, const struct zkm_out *fired);
void zkm_watches_forget(struct zkm_client *c);
void zkm_watches_fire(struct zkm *z, struct zkm_client *c, enum pf_zk_watch_type type,
                      const char *path);
/* After a reconnect: what changed meanwhile fires now. */
void zkm_watches_check(struct zkm *z, struct zkm_client *c);
void zkm_children(const struct zkm_tree *t, struct pf_str path, struct zkm_out *o);

#endif
