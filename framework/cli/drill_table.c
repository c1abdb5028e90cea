/* SPDX-License-Identifier: Apache-2.0 */
/* See drill_table.h. */
#include "framework/cli/drill_table.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include "common/base/compiler.h"

#define STEP(when_, ms_, op_, target_, signo_)                                                     \
    {                                                                                              \
        .when = PF_WHEN_##when_, .ms = (ms_), .op = PF_DRILL_##op_, .target = PF_TARGET_##target_, \
        .signo = (signo_)                                                                          \
    }
#define ORIGIN(when_, ms_, op_, target_, signo_)                                                   \
    {                                                                                              \
        .when = PF_WHEN_##when_, .ms = (ms_), .op = PF_DRILL_##op_, .target = PF_TARGET_##target_, \
        .signo = (signo_), .is_origin = true                                                       \
    }

/* After ZooKeeper was away the leader renews its lease with the next sixth of a session; until then
 * a second blow would end a leadership to which nothing had happened. */
#define RENEWED_MS 1500

const struct pf_drill pf_drills[] = {
    {"leader-kill",
     "the leading master dies (SIGKILL)",
     PF_NEED_MASTER,
     PF_EXPECT_NEW_LEADER,
     true,
     0,
     {ORIGIN(THEN, 0, SIGNAL, LEADER, SIGKILL)},
     1},
    {"leader-hang",
     "it stops (SIGSTOP), and wakes up when another leads",
     PF_NEED_MASTER | PF_NEED_QUORUM,
     PF_EXPECT_NEW_LEADER,
     false,
     0,
     {ORIGIN(THEN, 0, SIGNAL, LEADER, SIGSTOP), STEP(SERVICE, 500, SIGNAL, OLD_LEADER, SIGCONT),
      STEP(THEN, 1000, NOTHING, NONE, 0)},
     3},
    {"leader-host-dead",
     "no packet comes from its machine any more, or gets there",
     PF_NEED_QUORUM | PF_NEED_NET,
     PF_EXPECT_NEW_LEADER,
     false,
     0,
     {ORIGIN(THEN, 0, CUT, LINKS_ALL, 0), STEP(SERVICE, 500, HEAL, NONE, 0),
      STEP(THEN, 1000, NOTHING, NONE, 0)},
     3},
    {"leader-agent-kill",
     "it dies, and an agent at the same moment",
     PF_NEED_MASTER | PF_NEED_AGENT,
     PF_EXPECT_NEW_LEADER,
     true,
     0,
     {ORIGIN(THEN, 0, SIGNAL, LEADER, SIGKILL), STEP(THEN, 0, SIGNAL, AGENT, SIGKILL)},
     2},
    {"double-kill",
     "it dies, and the next leader 100 ms after it began",
     PF_NEED_MASTER,
     PF_EXPECT_NEW_LEADER,
     true,
     0,
     {ORIGIN(THEN, 0, SIGNAL, LEADER, SIGKILL), ORIGIN(LEADER, 100, SIGNAL, LEADER, SIGKILL)},
     2},
    {"mid-accept",
     "it dies between an ACCEPT and the launch",
     PF_NEED_MASTER,
     PF_EXPECT_NEW_LEADER,
     true,
     0,
     {ORIGIN(ACCEPT, 0, SIGNAL, LEADER, SIGKILL)},
     1},
    {"hand-over",
     "the leader is asked to let another master lead",
     PF_NEED_QUORUM,
     PF_EXPECT_NEW_LEADER,
     true,
     0,
     {ORIGIN(THEN, 0, STEP_DOWN, NONE, 0), STEP(SERVICE, 300, NOTHING, NONE, 0)},
     2},
    {"zk-server-kill",
     "a ZooKeeper server dies",
     PF_NEED_ZK,
     PF_EXPECT_EITHER,
     true,
     0,
     {ORIGIN(THEN, 0, SIGNAL, ZK_SERVER, SIGKILL), STEP(SERVICE, RENEWED_MS, NOTHING, NONE, 0)},
     2},
    {"zk-leader-kill",
     "ZooKeeper's leader dies, and the leading master at the same moment",
     PF_NEED_MASTER | PF_NEED_ZK | PF_NEED_QUORUM,
     PF_EXPECT_NEW_LEADER,
     true,
     0,
     {ORIGIN(THEN, 0, SIGNAL, ZK_LEADER, SIGKILL), STEP(THEN, 0, SIGNAL, LEADER, SIGKILL),
      STEP(SERVICE, RENEWED_MS, NOTHING, NONE, 0)},
     3},
    {"zk-outage",
     "all ZooKeeper servers stop, for 30s (--for)",
     PF_NEED_ZK | PF_NEED_QUORUM,
     PF_EXPECT_EITHER,
     false,
     30000,
     {ORIGIN(THEN, 0, SIGNAL, ZK_ALL, SIGSTOP), ORIGIN(FOR, 0, SIGNAL, ZK_ALL, SIGCONT)},
     2},
    {"partition",
     "the leader is cut off from agents or from ZooKeeper, one way, for 10s (--for)",
     PF_NEED_QUORUM | PF_NEED_NET,
     PF_EXPECT_EITHER,
     false,
     10000,
     {ORIGIN(THEN, 0, CUT, LINKS_SOME, 0), ORIGIN(FOR, 0, HEAL, NONE, 0)},
     2},
    {"rst-between-masters",
     "all connections among masters are reset; the leader must stay",
     PF_NEED_QUORUM | PF_NEED_RELAYS,
     PF_EXPECT_SAME_LEADER,
     true,
     0,
     {ORIGIN(THEN, 0, RESET, LINKS_MASTERS, 0), STEP(THEN, 2000, NOTHING, NONE, 0)},
     2},
    {"framework-kill",
     "a framework dies and comes back",
     0,
     PF_EXPECT_SAME_LEADER,
     true,
     0,
     {ORIGIN(THEN, 0, SIGNAL, FRAMEWORK, SIGKILL)},
     1},
    {"agent-kill",
     "an agent dies; its tasks must not",
     PF_NEED_AGENT,
     PF_EXPECT_SAME_LEADER,
     true,
     0,
     {ORIGIN(THEN, 0, SIGNAL, AGENT, SIGKILL)},
     1},
    {"launcher-kill",
     "the launcher of an agent dies; its tasks must not, though how they end is unknown",
     PF_NEED_LAUNCHER,
     PF_EXPECT_SAME_LEADER,
     true,
     0,
     {ORIGIN(THEN, 0, SIGNAL, LAUNCHER, SIGKILL)},
     1},
    {"agent-launcher-kill",
     "an agent and its launcher die; their tasks must not, though how they end is unknown",
     PF_NEED_AGENT | PF_NEED_LAUNCHER,
     PF_EXPECT_SAME_LEADER,
     true,
     0,
     {ORIGIN(THEN, 0, SIGNAL, AGENT, SIGKILL), STEP(THEN, 0, SIGNAL, LAUNCHER, SIGKILL)},
     2},
};
const uint32_t pf_n_drills = (uint32_t)PF_ARRAY_LEN(pf_drills);

const struct pf_drill *pf_drill_find(const char *name)
{
    for (uint32_t i = 0; i < pf_n_drills; i++) {
        if (strcmp(pf_drills[i].name, name) == 0) {
            return &pf_drills[i];
        }
    }
    return NULL;
}

const char *pf_drill_lacks(const struct pf_drill *d, unsigned has)
{
    static const struct {
        unsigned need;
        const char *text;
    } words[] = {
        {PF_NEED_QUORUM, "several masters: start the cluster with `proffer up --masters 3`"},
        {PF_NEED_NET, "relays or hosts between which nothing passes: start the cluster with "
                      "`proffer up --masters 3 --relays`, or as root with --hosts"},
        {PF_NEED_RELAYS, "relays: start the cluster with `proffer up --masters 3 --relays`"},
        {PF_NEED_ZK, "ZooKeeper servers that can be signalled: a cluster of `proffer up --masters "
                     "3`, or --zk and --kill-cmd"},
        {PF_NEED_ZK_QUORUM, "three ZooKeeper servers: start the cluster with `proffer up --masters "
                            "3 --zk-servers 3`"},
        {PF_NEED_MASTER, "masters that can be signalled: a cluster of `proffer up`, or --kill-cmd"},
        {PF_NEED_AGENT, "an agent that runs processes and can be signalled: a cluster of `proffer "
                        "up`, or --kill-cmd"},
        {PF_NEED_LAUNCHER, "launchers that can be signalled: a cluster of `proffer up`"},
    };
    for (size_t i = 0; i < PF_ARRAY_LEN(words); i++) {
        if ((d->needs & words[i].need) != 0 && (has & words[i].need) == 0) {
            return words[i].text;
        }
    }
    return NULL;
}

const struct pf_drill *pf_drill_pick(struct pf_rng *rng, unsigned has, bool only_quick)
{
    enum { OFTEN = 8 };
    uint32_t weight[PF_ARRAY_LEN(pf_drills)], sum = 0;
    for (uint32_t i = 0; i < pf_n_drills; i++) {
        const struct pf_drill *d = &pf_drills[i];
        weight[i] = pf_drill_lacks(d, has) != NULL || (only_quick && !d->is_quick) ? 0
                    : d->is_quick                                                  ? OFTEN
                                                                                   : 1;
        sum += weight[i];
    }
    if (sum == 0) {
        return NULL;
    }
    uint32_t at = (uint32_t)pf_rng_below(rng, sum), i = 0;
    while (at >= weight[i]) {
        at -= weight[i++];
    }
    return &pf_drills[i];
}

int64_t pf_drill_sweep_us(uint32_t i, uint32_t n)
{
    return n > 1 ? (int64_t)PF_DRILL_SWEEP_MS * 1000 * i / (n - 1) : 0;
}
