/* SPDX-License-Identifier: Apache-2.0 */
/* The process around the agent's core: state, links, launcher, files, one loop. It only
 * translates. */
#ifndef PF_AGENT_DAEMON_AGENTD_H
#define PF_AGENT_DAEMON_AGENTD_H

#include "agent/daemon/options.h"
#include "common/base/err.h"

/* Opens everything and runs until SIGTERM or SIGINT (0; tasks run on under the launcher) or a
 * failure that ends the process (err says which). */
PF_MUST_USE int pf_agentd_run(const struct pf_agentd_options *options, struct pf_err *err);

#endif
