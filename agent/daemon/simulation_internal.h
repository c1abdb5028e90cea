/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of a simulation share. Included by simulation*.c only. */
#ifndef PF_AGENT_DAEMON_SIMULATION_INTERNAL_H
#define PF_AGENT_DAEMON_SIMULATION_INTERNAL_H

#include "agent/core/agent.h"
#include "agent/daemon/simulation.h"
#include "common/base/heap.h"
#include "common/base/limits.h"
#include "common/base/map.h"
#include "common/base/rng.h"
#include "common/fb/build.h"
#include "common/link/leader.h"
#include "common/net/peer.h"
#include "common/store/store.h"
#include "common/sys/log.h"

enum sim_timer_kind { SIM_TIMER_LINK = 1, SIM_TIMER_CORE, SIM_TIMER_PROCESS };

/* An entry of the one heap of all deadlines. */
struct sim_timer {
    struct pf_heap_node node;
    enum sim_timer_kind kind;
};

struct sim_agent {
    struct pf_simulation *sim;
    struct pf_agent *core; /* NULL before its first link */
    struct pf_store *store;
    struct pf_link_self self;
    struct pf_leader *links;               /* with the core */
    struct sim_link *link[PF_MASTERS_MAX]; /* by the master's number, owned; NULL = none */
    bool is_linked;                        /* to some master */
    bool is_registered;
    struct sim_timer again, deadline;
};

/* A connection to a master, from its begin to its end. */
struct sim_link {
    uint64_t peer; /* key of by_peer */
    struct sim_agent *agent;
    uint32_t master;
    bool is_closing; /* by us: its end is nobody's business */
};

struct sim_process {
    struct sim_agent *agent;
    struct pf_uuid launch; /* key of by_launch */
    int64_t pid, started_ms;
    int wait_status;
    struct sim_timer end;
};

struct pf_simulation {
    struct pf_loop *loop;
    struct pf_net *net;
    struct pf_timer *timer;
    int64_t timer_at; /* what it is set to */
    struct pf_heap timers;
    /* Of all agents: it is emptied after each step, so everything in it belongs to one. */
    struct pf_turns *turns;
    struct pf_fb_builder builder;
    struct pf_rng rng;
    struct pf_resources total;
    struct pf_link_self self; /* where it listens */
    char *cluster, *attributes, *hostname, *http_address, *task_user;
    int32_t http_port;
    bool allow_any_user;
    char address[PF_ADDRESS_MAX];
    char *master[PF_MASTERS_MAX];
    uint32_t n_masters; /* to begin with; each agent learns more */
    struct sim_agent *agent;
    struct pf_map by_peer, by_launch;
    struct pf_log_rate link_rate;
    bool was_ready;
    void (*on_ready)(void *ctx);
    void *ctx;
    struct pf_simulation_stats stats;
};

/* simulation.c */
void sim_timer_set(struct pf_simulation *s, struct sim_timer *t, int64_t at_ms);
/* Only the event; what comes of it is carried out by the sim_agent_step it happens in. */
void sim_agent_event(struct sim_agent *a, struct pf_agent_event *ev);
/* An event and all that comes of it. */
void sim_agent_step(struct sim_agent *a, struct pf_agent_event *ev);
void sim_agent_boot(struct sim_agent *a);

/* simulation_link.c */
PF_MUST_USE int sim_net_create(struct pf_simulation *s, const struct pf_simulation_options *o,
                               struct pf_err *err);
/* Boots the agent at first; then makes the links whose time has come. */
void sim_links_due(struct sim_agent *a);

/* simulation_process.c */
void sim_act(struct sim_agent *a, uint32_t act, const void *data);
void sim_process_end(struct sim_process *p);
void sim_reply_read(struct pf_simulation *s, uint64_t peer, uint64_t request_id);
void sim_reply(struct pf_simulation *s, uint64_t peer, uint64_t request_id, uint8_t code,
               const char *text);

#endif
