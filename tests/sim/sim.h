/* SPDX-License-Identifier: Apache-2.0 */
/* The simulator: production cores (quorum, master, agent, driver) in one process over virtual time,
 * a network with delays, breaks and partitions, a model of ZooKeeper (zk_model.h), launchers that
 * outlive their agents. All dice come from one seed: the same seed gives the same run, byte for
 * byte.
 *
 * A run has two parts: chaos, in which faults happen, and calm, in which everything is healed and
 * the cluster must come to rest. The invariants of DESIGN 11 are checked after each step and at the
 * end. A broken one ends the run with a text that names it. */
#ifndef PF_TESTS_SIM_SIM_H
#define PF_TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>

enum { SIM_MASTERS_MAX = 5, SIM_AGENTS_MAX = 16, SIM_FRAMEWORKS_MAX = 8 };

/* What may happen in the chaos; bits. */
enum {
    SIM_FAULT_MASTER_KILL = 1 << 0,
    SIM_FAULT_MASTER_PAUSE = 1 << 1, /* stopped, later continued */
    SIM_FAULT_HAND_OVER = 1 << 2,
    SIM_FAULT_AGENT_KILL = 1 << 3,
    SIM_FAULT_FRAMEWORK_KILL = 1 << 4,
    SIM_FAULT_LINK_RESET = 1 << 5,
    SIM_FAULT_PARTITION = 1 << 6, /* one way or both, between any two */
    SIM_FAULT_HOST_DEAD = 1 << 7, /* a master's packets are dropped, then it is killed */
    SIM_FAULT_ZK_SERVER = 1 << 8,
    SIM_FAULT_ZK_OUTAGE = 1 << 9,
    SIM_FAULT_ZK_CUT = 1 << 10, /* a master from its ZooKeeper server */
    SIM_FAULT_ZK_LOST_REPLY = 1 << 11,
    SIM_FAULT_AGENT_PAUSE = 1 << 12,
    SIM_FAULT_FEW_MASTERS = 1 << 13, /* an agent reaches one master only */
    SIM_FAULT_ROLLING = 1 << 14,     /* all masters are killed, one after the other */
    SIM_FAULT_ZK_EXPIRE = 1 << 15,   /* a master's sessions end */
    SIM_FAULT_ZK_SLOW = 1 << 16,
    SIM_FAULT_TAKEOVER = 1 << 17, /* the leader dies, and something happens to the next one */
    SIM_FAULT_AT_MESSAGE = 1 << 18, /* at a certain message: its link breaks, or an end dies */
    SIM_FAULT_CLOCK = 1 << 19,      /* a host's wall clock jumps */
    SIM_FAULT_ALL = (1 << 20) - 1,
};

struct sim_options {
    uint64_t seed;
    uint32_t n_masters, n_agents, n_frameworks; /* 0: by dice */
    uint32_t faults;                            /* 0: all */
    int64_t chaos_ms;                           /* 0: 60 s */
    bool is_verbose;                            /* every step to stderr */
};

struct sim_result {
    bool is_broken;
    char text[512]; /* the invariant and what broke it */
    uint64_t steps, messages, takeovers, launches, faults;
    int64_t calm_ms; /* until all was back after the healing */
    uint64_t digest; /* of everything that happened: equal for equal seeds */
};

void sim_run(const struct sim_options *options, struct sim_result *out);

#endif
