/* SPDX-License-Identifier: Apache-2.0 */
/* Containers of this agent as cgroups (agent/cgroup): found where the launcher lives, made with the
 * sandbox, removed a few at a time after the end, and after a crash when nobody knows them. Where
 * cgroups are not permitted every call does nothing and succeeds: accounted, not enforced. */
#ifndef PF_AGENT_DAEMON_CONTAINERS_H
#define PF_AGENT_DAEMON_CONTAINERS_H

#include "agent/cgroup/cgroup.h"
#include "agent/core/acts.h"
#include "agent/daemon/sandbox.h"
#include "common/net/loop.h"

struct pf_containers;

enum pf_isolation {
    PF_ISOLATION_AUTO,    /* cgroups where they are permitted */
    PF_ISOLATION_CGROUPS, /* or do not start */
    PF_ISOLATION_NONE,
};

struct pf_containers_counters {
    uint64_t made, removed, stale; /* stale: of an earlier life, known to nobody */
    uint32_t n_known, n_removing;
};

/* `name` (copied) tells this agent's parents from others'; lasts as long as the agent's id. */
struct pf_containers *pf_containers_create(struct pf_loop *loop, enum pf_isolation isolation,
                                           const char *name);
/* Removes what it can of what waits for it, and parents without containers. NULL is fine. */
void pf_containers_destroy(struct pf_containers *x);

/* The launcher is up; its list follows. An error (isolation is cgroups, and they are not
 * permitted) says why. */
PF_MUST_USE int pf_containers_open(struct pf_containers *x, int64_t launcher_pid,
                                   struct pf_err *err);
/* "cgroups v1: cpu memory pids freezer", or "accounted, not enforced". Borrowed until open. */
const char *pf_containers_text(const struct pf_containers *x);
/* An entry of that list, and its end: then containers go that are in no entry and not ours. */
void pf_containers_listed(struct pf_containers *x, struct pf_uuid launch);
void pf_containers_list_end(struct pf_containers *x);

/* One that exists is limited anew. False: `*out` says why, stage "cgroup". */
bool pf_containers_make(struct pf_containers *x, struct pf_uuid container,
                        const struct pf_agent_limits *limits, struct pf_sandbox_failure *out);
void pf_containers_limit(struct pf_containers *x, struct pf_uuid container,
                         const struct pf_agent_limits *limits);
/* Its directories, for who starts in it; 0 = none. Borrowed until the next call. */
uint32_t pf_containers_dirs(struct pf_containers *x, struct pf_uuid container,
                            struct pf_str out[PF_CGROUP_DIRS_MAX]);
/* Soon; what is still in it is ended. An unknown one is fine. */
void pf_containers_remove(struct pf_containers *x, struct pf_uuid container);
const struct pf_containers_counters *pf_containers_counters(const struct pf_containers *x);

#endif
