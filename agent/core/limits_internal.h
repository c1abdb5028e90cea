/* SPDX-License-Identifier: Apache-2.0 */
/* What a container may use, from what the tasks in it asked for, and texts for amounts. For
 * agent/core/ only. */
#ifndef PF_AGENT_CORE_LIMITS_INTERNAL_H
#define PF_AGENT_CORE_LIMITS_INTERNAL_H

#include "agent/core/agent_internal.h"

/* Of one container: the sums of what its parts ask for. Thousandths. */
struct need {
    int64_t cpus, mem;           /* requested */
    int64_t cpus_most, mem_most; /* with the limits of those that have one */
    bool cpus_limited;           /* one of them has a limit of cpus */
    bool cpus_infinite, mem_infinite;
};

void ag_need_add_task(struct need *n, struct Task summary);
void ag_need_add_executor(struct need *n, struct ExecutorInfo info);
struct pf_agent_limits ag_need_limits(const struct pf_agent *a, const struct need *n);

/* NULL = fine, else what is wrong with limits, rlimits or the terminal. */
const char *ag_limits_problem(struct TaskInfo info);
const char *ag_container_problem(struct ContainerInfo container);

/* Borrowed from the arena. */
const struct pf_agent_rlimit *ag_rlimits_of(struct pf_arena *arena, struct ContainerInfo container,
                                            uint32_t *out_n);

/* "64MB", as Mesos writes bytes: the largest unit that is exact. */
struct pf_str ag_bytes_text(struct pf_arena *arena, uint64_t bytes);
/* "5secs", as Mesos writes durations: the largest unit that is exact. */
struct pf_str ag_duration_text(struct pf_arena *arena, int64_t ms);
/* "5 s", "1500 ms", "20 min", for people. */
struct pf_str ag_time_text(struct pf_arena *arena, int64_t ms);

#endif
