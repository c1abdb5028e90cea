/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the client share; for client*.c only. */
#ifndef PF_FRAMEWORK_CLI_CLIENT_INTERNAL_H
#define PF_FRAMEWORK_CLI_CLIENT_INTERNAL_H

#include "common/base/buf.h"
#include "common/link/handshake.h"
#include "common/link/key.h"
#include "common/net/loop.h"
#include "common/net/peer.h"
#include "framework/cli/client.h"

enum { PF_CLIENT_MASTERS_MAX = 32, PF_CLIENT_RETRY_MS = 50 };

struct pf_candidate {
    char address[PF_ADDRESS_MAX];
    uint64_t peer;
    bool is_open;         /* connecting, or connected */
    bool is_standby;      /* it answered, and did not lead */
    int64_t retry_ms;     /* not open: when to try again; INT64_MAX: not by itself */
    struct pf_err why;    /* of its last failure; empty: none since it answered */
};

struct pf_client {
    struct pf_loop *loop;
    struct pf_net *net;
    struct pf_timer *timer;
    struct pf_link_self self;
    struct pf_key key;
    char user[64];
    bool is_agent;
    int32_t connect_ms, leader_ms, stale_ms, retry_ms, reply_ms;
    void (*on_note)(void *ctx, const char *text);
    void *ctx;
    struct pf_candidate candidate[PF_CLIENT_MASTERS_MAX];
    uint32_t n_candidates, n_open;
    uint64_t peer;             /* the one we talk to, 0 = none */
    uint32_t at;               /* its candidate */
    uint64_t epoch;            /* in which it leads */
    uint32_t n_links;          /* how many were made */
    bool takes_standby;        /* now, as nobody leads for so long */
    bool is_stale;             /* the peer is a standby */
    bool noted_wait, noted_stale;
    struct pf_buf reply;
    struct pf_msg answer;
    uint64_t request_id;
    bool is_answered;
    struct pf_fb_builder builder;
};

/* Adds an address unless it is known, and connects to it. */
void pf_client_add(struct pf_client *c, struct pf_str address);
/* Connects to those that are not open and whose time has come. */
void pf_client_connect(struct pf_client *c, int64_t now_ms);
/* Forgets the peer, if there is one: somebody else must lead. */
void pf_client_leave(struct pf_client *c);
/* Looks for a leader; `until_ms` ends the patience with standbys (and, if `had_link`, with those
 * that are away: they led a moment ago). */
PF_MUST_USE int pf_client_find(struct pf_client *c, bool had_link, int64_t until_ms,
                               struct pf_err *err);
/* One turn of the loop, which waits no longer than until `at_ms`. */
PF_MUST_USE int pf_client_turn(struct pf_client *c, int64_t at_ms, struct pf_err *err);
void pf_client_note(struct pf_client *c, const char *fmt, ...) PF_PRINTF(2, 3);

extern const struct pf_net_ops pf_client_net_ops;

#endif
