/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of a net: its peers and their phases. */
#ifndef PF_COMMON_NET_NET_INTERNAL_H
#define PF_COMMON_NET_NET_INTERNAL_H

#include "common/base/heap.h"
#include "common/base/map.h"
#include "common/fb/build.h"
#include "common/net/conn.h"
#include "common/net/listener.h"
#include "common/net/lookup.h"
#include "common/net/peer.h"

enum pf_peer_phase {
    PF_PEER_FINDING = 1, /* client: name look-up, connecting */
    PF_PEER_GREETING,
    PF_PEER_UP,
    PF_PEER_CLOSING,     /* drains; whatever ends it, the reason was ours */
};

/* What a peer needs until it is up. */
struct pf_peer_start {
    struct pf_link link;
    struct pf_lookup *lookup;
    struct pf_address at[PF_LOOKUP_MAX]; /* client: where to try */
    uint32_t n_at, at_i;
    int64_t until_ms; /* for all of it */
};

struct pf_peer {
    struct pf_conn conn;
    struct pf_net *net;
    uint64_t id;
    struct pf_heap_node deadline; /* by phase: greeting, next beat, end of draining */
    struct pf_peer_start *start;  /* NULL once up */
    TAILQ_ENTRY(pf_peer) link;
    uint32_t n_welcomes; /* of the net when this peer was told last */
    uint8_t phase;
    bool is_client;
    bool is_trusted;
    bool is_patient; /* an agent: one of many */
    bool is_known; /* the owner of the net has its number: on_down is due */
};

struct pf_net {
    struct pf_loop *loop;
    struct pf_net_options options;
    struct pf_net_ops ops;
    void *ctx;
    struct pf_conn_set conns;
    struct pf_listeners listeners;
    TAILQ_HEAD(, pf_peer) peers; /* welcomed again in this order: agents last, they are many */
    struct pf_map by_id;
    struct pf_heap deadlines;
    struct pf_timer *timer;
    struct pf_fb_builder builder;
    struct pf_bytes heartbeat; /* owned: the same envelope every time */
    struct pf_bytes welcome[2]; /* owned: the repeated one for who is not trusted, and who is */
    uint32_t n_welcomes;        /* how often it was repeated */
    struct pf_timer *pacer; /* of telling it */
    struct pf_peer *welcome_next; /* the first that may not have been told; NULL: none */
    uint64_t last_id;
    struct pf_net_counters counters;
};

extern const struct pf_conn_ops pf_peer_conn_ops;

struct pf_peer *pf_peer_new(struct pf_net *net, enum pf_prio prio, bool is_client,
                            int32_t start_ms);
void pf_peer_free(struct pf_peer *p);
void pf_peer_set_deadline(struct pf_peer *p, int64_t at_ms);
/* Its time has come. */
void pf_peer_on_deadline(struct pf_peer *p, int64_t now_ms);
/* Server: sends the Challenge on an accepted socket. */
void pf_peer_greet(struct pf_peer *p, int fd);
/* Client: looks up and connects. */
void pf_peer_find(struct pf_peer *p, const char *address);
void pf_peer_drain(struct pf_peer *p);
bool pf_peer_is_open(const struct pf_peer *p); /* up, and not on its way down */

#endif
