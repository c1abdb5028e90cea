/* SPDX-License-Identifier: Apache-2.0 */
/* Many agents in one process: real cores with memory stores, each with its own link to the masters,
 * and processes that are only said to run. The load of benchmarks, drills and fake agents. */
#ifndef PF_AGENT_DAEMON_SIMULATE_H
#define PF_AGENT_DAEMON_SIMULATE_H

#include "agent/daemon/options.h"
#include "common/base/err.h"

/* Runs options->simulate agents until SIGTERM or SIGINT (0) or a failure. */
PF_MUST_USE int pf_simulate_run(const struct pf_agentd_options *options, struct pf_err *err);

#endif
