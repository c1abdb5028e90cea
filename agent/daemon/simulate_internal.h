/* SPDX-License-Identifier: Apache-2.0 */
/* Between simulate.c (the process: net, HTTP, many agents) and sim_agent.c (one of them). */
#ifndef PF_AGENT_DAEMON_SIMULATE_INTERNAL_H
#define PF_AGENT_DAEMON_SIMULATE_INTERNAL_H

#include <sys/queue.h>
#include "agent/core/agent.h"
#include "agent/daemon/masters.h"
#include "agent/daemon/simulate.h"
#include "common/base/heap.h"
#include "common/base/map.h"
#include "common/store/store.h"
#include "common/sys/boot.h"

struct simulation;

/* A process that is only said to run. */
struct sim_task {
    struct pf_uuid launch; /* key of sim.tasks */
    struct sim *sim;
    struct pf_heap_node end; /* in simulation.ends */
    int32_t wait_status;
    int64_t pid, started_ms;
};

/* One agent. */
struct sim {
    struct simulation *all;
    struct pf_agent *core;
    struct pf_turns *turns;
    struct pf_store *store;
    struct pf_masters *masters;
    struct pf_link_self self;
    struct pf_map tasks; /* by launch */
    struct pf_heap_node deadline; /* in simulation.deadlines */
    bool is_dirty;
    STAILQ_ENTRY(sim) dirty;
};

struct simulation {
    const struct pf_agentd_options *o;
    struct pf_loop *loop;
    struct pf_net *net;
    struct pf_http *http;
    struct pf_key key;
    bool has_key;
    struct sim *sims;
    uint32_t n_sims;
    struct pf_map by_peer; /* uint64_t key in struct sim_peer */
    struct pf_heap deadlines, ends;
    STAILQ_HEAD(, sim) dirty;
    struct pf_fb_builder builder;
    int64_t next_pid;
    uint64_t started, ended;
    struct pf_link_self self; /* of the shared listener */
    char instance[PF_UUID_TEXT_LEN + 1];
    char boot_id[PF_BOOT_ID_LEN + 1];
    char native_address[PF_ADDRESS_MAX], http_address[PF_ADDRESS_MAX];
};

/* Makes agent number `i` and boots it; its links begin with pf_masters_begin. */
PF_MUST_USE int sim_init(struct sim *s, struct simulation *all, uint32_t i,
                         const struct pf_resources *total, void (*on_connect)(void *, uint64_t),
                         struct pf_err *err);
void sim_fini(struct sim *s);
/* One event; its effects come with sim_advance. */
void sim_step(struct sim *s, struct pf_agent_event *ev);
/* Stores what was gathered and carries out effects until nothing is left. */
void sim_advance(struct sim *s);
/* The time of a task has come. */
void sim_task_end(struct sim_task *t);
/* How long a command of these words runs, and how it ends. */
int64_t sim_command_ms(const struct pf_str *args, uint32_t n_args, int32_t *out_wait_status);

#endif
