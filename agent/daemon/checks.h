/* SPDX-License-Identifier: Apache-2.0 */
/* The checks that need a socket (PF_AGENT_ACT_CHECK): one probe each, one event back. */
#ifndef PF_AGENT_DAEMON_CHECKS_H
#define PF_AGENT_DAEMON_CHECKS_H

#include "agent/core/agent.h"
#include "common/net/loop.h"

#define PF_CHECKS_MAX 4096 /* at a time; those above fail and say so */

struct pf_checks;

/* `ev` is a PF_AGENT_CHECKED, borrowed for the call; in the delivery part of a turn. */
typedef void pf_checked_fn(void *ctx, struct pf_agent_event *ev);

struct pf_checks *pf_checks_create(struct pf_loop *loop, pf_checked_fn *on_checked, void *ctx);
/* What runs is cancelled. NULL is fine. */
void pf_checks_destroy(struct pf_checks *c);
void pf_checks_start(struct pf_checks *c, const struct pf_agent_act_check *act);
uint32_t pf_checks_n(const struct pf_checks *c); /* that run now */

#endif
