/* SPDX-License-Identifier: Apache-2.0 */
/* Where the containers of a launcher's directory are: sets of parents (agent/cgroup), kept in the
 * file `launcher.cgroups` so that a successor, or who clears up after a dead launcher, finds them.
 * A launch tells its set by a number from 1 on; 0 = it has no container. */
#ifndef PF_AGENT_LAUNCHER_CGROUP_SETS_H
#define PF_AGENT_LAUNCHER_CGROUP_SETS_H

#include "agent/cgroup/cgroup.h"

#define PF_CGROUP_SETS_MAX 16 /* an agent has one; more only if its launcher was moved */

/* All zero = none. */
struct pf_cgroup_sets {
    uint32_t n;
    struct pf_cgroups set[PF_CGROUP_SETS_MAX]; /* number less 1 */
};

/* Reads `launcher.cgroups` of the directory; a missing file holds none. A set whose directories are
 * gone keeps its number. PF_EIO, PF_EPROTO. */
PF_MUST_USE int pf_cgroup_sets_load(int dir_fd, struct pf_cgroup_sets *s, struct pf_err *err);
/* The number of the set with these parents; a new one is written to the file first. PF_ELIMIT: too
 * many; PF_ENOENT: no cgroups there; PF_EIO. */
PF_MUST_USE int pf_cgroup_sets_find(int dir_fd, struct pf_cgroup_sets *s,
                                    const struct pf_str *parent, uint32_t n_parents,
                                    uint8_t *out_number, struct pf_err *err);
/* NULL for 0. */
const struct pf_cgroups *pf_cgroup_sets_at(const struct pf_cgroup_sets *s, uint8_t number);
/* Ends and removes all containers, the parents and the file, waiting up to `wait_ms`. How many
 * containers are left. */
uint32_t pf_cgroup_sets_clear(int dir_fd, struct pf_cgroup_sets *s, uint32_t wait_ms);
void pf_cgroup_sets_fini(struct pf_cgroup_sets *s);

#endif
