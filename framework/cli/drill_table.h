/* SPDX-License-Identifier: Apache-2.0 */
/* The table of drills: what is done to a cluster, step by step, and what must be true afterwards.
 * Carried out by drill_round.c. Pure. */
#ifndef PF_FRAMEWORK_CLI_DRILL_TABLE_H
#define PF_FRAMEWORK_CLI_DRILL_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/rng.h"

enum pf_drill_op {
    PF_DRILL_NOTHING, /* only time passes */
    PF_DRILL_SIGNAL,
    PF_DRILL_CUT,       /* relays hold bytes back, or hosts drop packets */
    PF_DRILL_RESET,     /* by the relays: connections end by RST */
    PF_DRILL_STEP_DOWN, /* asked of the leader, as `proffer step-down` asks */
    PF_DRILL_HEAL,      /* everything passes again */
};

enum pf_drill_target {
    PF_TARGET_NONE,
    PF_TARGET_LEADER,     /* who leads at that moment */
    PF_TARGET_OLD_LEADER, /* who led when the round began */
    PF_TARGET_AGENT,      /* any one of those that run processes */
    PF_TARGET_LAUNCHER,   /* of the agent that was struck, else of any one */
    PF_TARGET_FRAMEWORK,  /* the process of one of the drill's own frameworks */
    PF_TARGET_ZK_SERVER,  /* one that does not lead, where there are several */
    PF_TARGET_ZK_LEADER,
    PF_TARGET_ZK_ALL,
    PF_TARGET_LINKS_ALL,     /* of the leader's machine: everything to it and from it */
    PF_TARGET_LINKS_AGENTS,  /* leader and agents; some direction */
    PF_TARGET_LINKS_ZK,      /* leader and ZooKeeper; some direction */
    PF_TARGET_LINKS_SOME,    /* one of the two above */
    PF_TARGET_LINKS_MASTERS, /* among the masters */
};

/* Which way nothing passes, seen from the leader. */
enum pf_drill_way {
    PF_WAY_IN,
    PF_WAY_OUT,
    PF_WAY_BOTH,
};

/* When a step is due. */
enum pf_drill_when {
    PF_WHEN_THEN,    /* `ms` after the step before (the first: at once) */
    PF_WHEN_LEADER,  /* `ms` after there is a new leader */
    PF_WHEN_SERVICE, /* `ms` after everything is back */
    PF_WHEN_FOR,     /* after --for */
    PF_WHEN_ACCEPT,  /* with an ACCEPT of a framework, 0 to 5 ms later: swept by the rounds */
};

struct pf_drill_step {
    enum pf_drill_when when;
    int32_t ms;
    enum pf_drill_op op;
    enum pf_drill_target target;
    int signo;
    bool is_origin; /* times are counted from here (again) */
};

enum pf_drill_expect {
    PF_EXPECT_NEW_LEADER,
    PF_EXPECT_SAME_LEADER,
    PF_EXPECT_EITHER,
};

/* What a cluster must have for a drill. */
enum {
    PF_NEED_QUORUM = 1 << 0, /* several masters */
    PF_NEED_ZK = 1 << 1,     /* ZooKeeper servers that we may signal */
    PF_NEED_ZK_QUORUM = 1 << 2,
    PF_NEED_RELAYS = 1 << 3,
    PF_NEED_AGENT = 1 << 4,
    PF_NEED_MASTER = 1 << 5, /* masters that we may signal */
    PF_NEED_NET = 1 << 6,    /* relays or hosts */
    PF_NEED_LAUNCHER = 1 << 7, /* agents whose launchers are known: a local cluster */
};

#define PF_DRILL_STEPS_MAX 3
#define PF_DRILL_SWEEP_MS  5 /* of PF_WHEN_ACCEPT */
struct pf_drill {
    const char *name, *summary;
    unsigned needs;
    enum pf_drill_expect expect;
    bool is_quick;  /* waits for no session to end */
    int32_t for_ms; /* of PF_WHEN_FOR where nothing is said */
    struct pf_drill_step step[PF_DRILL_STEPS_MAX];
    uint32_t n_steps;
};

extern const struct pf_drill pf_drills[];
extern const uint32_t pf_n_drills;

/* NULL: there is none of that name. */
const struct pf_drill *pf_drill_find(const char *name);
/* What is missing for it ("several masters: ..."), NULL = nothing. */
const char *pf_drill_lacks(const struct pf_drill *d, unsigned has);
/* One of those that are possible: the quick ones eight times as often, or only them. NULL: none is
 * possible. */
const struct pf_drill *pf_drill_pick(struct pf_rng *rng, unsigned has, bool only_quick);
/* How long after the ACCEPT round `i` of `n` strikes, in microseconds. */
int64_t pf_drill_sweep_us(uint32_t i, uint32_t n);

#endif
