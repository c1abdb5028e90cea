/* SPDX-License-Identifier: Apache-2.0 */
/* A plan carried out: each URI in order, as Mesos's fetcher does it. */
#ifndef PF_AGENT_FETCHER_FETCH_H
#define PF_AGENT_FETCHER_FETCH_H

#include "common/base/buf.h"
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "schemas/fetcher.h"

/* Changes the working directory to the sandbox. Progress goes to the log. On failure `shown` gets
 * the URI that failed, fit for people to see; it stays empty when it was none of them. */
PF_MUST_USE int pf_fetch(struct FetchPlan plan, struct pf_buf *shown, struct pf_err *err);

#endif
