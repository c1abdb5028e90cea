/* SPDX-License-Identifier: Apache-2.0 */
/* Remembers what a ZooKeeper, real or modelled, told: sessions, replies and watches in their order.
 * Its functions are of the shape of pf_zk_ops. */
#ifndef PF_TESTS_SUPPORT_ZK_REC_H
#define PF_TESTS_SUPPORT_ZK_REC_H

#include <stdbool.h>
#include "common/elect/zk_op.h"

enum zk_rec_kind { ZK_REC_SESSION = 1, ZK_REC_REPLY, ZK_REC_WATCH };

struct zk_rec_event {
    enum zk_rec_kind kind;
    uint8_t session;
    uint64_t id; /* of a reply; session id of a session */
    enum pf_zk_code code;
    uint32_t failed_op;
    enum pf_zk_state state;
    enum pf_zk_watch_type watch;
    int32_t timeout_ms;
    struct pf_zk_stat stat;
    char text[512]; /* data; children sorted, with commas; why; path of a watch */
};

struct zk_rec {
    struct zk_rec_event *at; /* owned */
    uint32_t n, cap;
    bool has_state[PF_ZK_SESSIONS];
    enum pf_zk_state state[PF_ZK_SESSIONS]; /* the last told */
    uint64_t session_id[PF_ZK_SESSIONS];    /* of the last CONNECTED */
};

void zk_rec_fini(struct zk_rec *r);
void zk_rec_session(void *ctx, const struct pf_zk_session *s);
void zk_rec_reply(void *ctx, const struct pf_zk_reply *r);
void zk_rec_watch(void *ctx, const struct pf_zk_watch *w);

bool zk_rec_is_connected(const struct zk_rec *r, uint8_t session);
/* Where it stands; -1: not yet. */
int zk_rec_find_reply(const struct zk_rec *r, uint64_t id);
int zk_rec_find_watch(const struct zk_rec *r, enum pf_zk_watch_type type, const char *path);
/* The n-th (from 0) session event of that state; -1: not yet. */
int zk_rec_find_state(const struct zk_rec *r, uint8_t session, enum pf_zk_state state, uint32_t n);

#endif
