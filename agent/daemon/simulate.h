/* SPDX-License-Identifier: Apache-2.0 */
/* `proffer-agent --simulate N`: the process around a simulation (simulation.h). Uses of the options:
 * masters, listen, key_file, insecure, cluster, resources, attributes, hostname, task_user,
 * allow_any_user, ready_fd, simulate; nothing is written to disk. */
#ifndef PF_AGENT_DAEMON_SIMULATE_H
#define PF_AGENT_DAEMON_SIMULATE_H

#include "common/base/err.h"

struct pf_agentd_options;

/* Until SIGTERM or SIGINT (0), or why it could not begin: PF_ELIMIT (more agents than descriptors),
 * PF_EUSAGE, or what the listener says. Readiness is told once every agent was registered. */
PF_MUST_USE int pf_simulate_run(const struct pf_agentd_options *options, struct pf_err *err);

#endif
