/* SPDX-License-Identifier: Apache-2.0 */
/* For tests/sim/sim_master*.c only. */
#ifndef PF_TESTS_SIM_SIM_MASTER_INTERNAL_H
#define PF_TESTS_SIM_SIM_MASTER_INTERNAL_H

#include "tests/sim/sim_internal.h"

struct master_peer {
    uint64_t peer; /* 0: free */
    bool is_client;
    char instance[PF_UUID_TEXT_LEN + 1];
};

struct other {
    char address[80];
    uint64_t peer;
    int64_t retry_us;
    bool is_listed;
};

struct master {
    struct sim_node n;
    char place[PF_UUID_TEXT_LEN + 1], instance[PF_UUID_TEXT_LEN + 1];
    struct pf_quorum *quorum;
    struct pf_master *core;
    struct pf_turns *turns;
    bool leads, is_stopping, lead_pending, is_draining;
    uint64_t probe;
    struct pf_map agents; /* linked ones, by peer */
    struct master_peer peer[PF_MASTERS_MAX * 2];
    struct other other[PF_MASTERS_MAX];
    char leader[80];
};

static inline struct master *sim_m_of(struct sim_node *n)
{
    return PF_CONTAINER(n, struct master, n);
}

/* sim_master.c */
void sim_m_quorum_step(struct master *m, struct pf_quorum_event *ev);
void sim_m_core_step(struct master *m, struct pf_master_event *ev);
/* Tells the core of a link to or from another master. */
void sim_m_tell_peer(struct master *m, uint64_t peer, enum PeerKind kind, const char *instance);
void sim_m_tell_view(struct master *m);

/* sim_master_links.c */
void sim_m_connect_others(struct master *m);
void sim_m_probe(struct master *m, struct pf_str address);
void sim_m_on_view(struct master *m);
/* To one of the other masters; instance.at NULL: to all. */
void sim_m_send(struct master *m, struct pf_str instance, struct pf_bytes message);
/* The links of a core that leads no more: all but those between masters. */
void sim_m_drop_links(struct master *m);
void sim_m_on_up(struct sim_node *n, uint64_t peer, bool is_client, struct pf_msg greeting,
                 uint64_t tag);
void sim_m_on_message(struct sim_node *n, uint64_t peer, struct pf_msg envelope);
void sim_m_on_down(struct sim_node *n, uint64_t peer, int code, uint64_t tag);
struct pf_msg sim_m_welcome(struct sim_node *n, struct pf_fb_builder *b);

#endif
