/* SPDX-License-Identifier: Apache-2.0 */
/* Ending the launcher of a work directory whose agent is gone. */
#ifndef PF_AGENT_DAEMON_STOP_H
#define PF_AGENT_DAEMON_STOP_H

#include "common/base/err.h"

/* Ends what the launcher runs, then the launcher, and returns when it is gone; no launcher is fine.
 * PF_ETIMEOUT: something would not die. Blocks. */
PF_MUST_USE int pf_stop_launcher(const char *work_dir, struct pf_err *err);

#endif
