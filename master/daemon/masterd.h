/* SPDX-License-Identifier: Apache-2.0 */
/* The process around the master's core: registry, links, HTTP, one loop. It only translates. */
#ifndef PF_MASTER_DAEMON_MASTERD_H
#define PF_MASTER_DAEMON_MASTERD_H

#include "common/base/err.h"
#include "master/daemon/options.h"

/* Opens everything, leads, and runs until SIGTERM or SIGINT (0) or a failure that ends the process
 * (err says which). */
PF_MUST_USE int pf_masterd_run(const struct pf_masterd_options *options, struct pf_err *err);

#endif
