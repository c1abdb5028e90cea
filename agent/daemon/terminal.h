/* SPDX-License-Identifier: Apache-2.0 */
/* Terminals of tasks (ContainerInfo.tty_info, `proffer run -t`): what a task says on its terminal
 * is copied to `stdout` of its sandbox, so that logs work as ever; what is typed comes by
 * WriteStdin. The launcher keeps the near side too, so that a restart of the agent hangs nobody up;
 * meanwhile the task may wait, for nobody reads. */
#ifndef PF_AGENT_DAEMON_TERMINAL_H
#define PF_AGENT_DAEMON_TERMINAL_H

#include "agent/core/agent.h"
#include "agent/daemon/users.h"
#include "common/base/err.h"
#include "common/net/loop.h"

struct pf_terminals;

struct pf_terminals *pf_terminals_create(struct pf_loop *loop);
void pf_terminals_destroy(struct pf_terminals *t); /* NULL is fine */
/* Makes a terminal for a launch and begins to copy. out_file: stdin, stdout, stderr, and the near
 * side for the launcher to keep (the caller's). 0 or errno of `*out_stage`. */
int pf_terminals_open(struct pf_terminals *t, const struct pf_agent_act_start *a,
                      const struct pf_user *owner, int out_file[4], const char **out_stage);
/* Begins to copy again: `near` (taken) is what the launcher kept. */
int pf_terminals_adopt(struct pf_terminals *t, struct pf_uuid launch, struct pf_str sandbox,
                       const struct pf_user *owner, int near);
/* After a restart: the near side of this one is wanted of the launcher. */
void pf_terminals_expect(struct pf_terminals *t, struct pf_uuid launch, struct pf_str sandbox,
                         struct pf_str user);
/* Is it? Then what was said of it, borrowed until it is adopted. */
bool pf_terminals_expected(const struct pf_terminals *t, struct pf_uuid launch,
                           struct pf_str *out_sandbox, struct pf_str *out_user);
bool pf_terminals_has(const struct pf_terminals *t, struct pf_uuid launch);
void pf_terminals_resize(struct pf_terminals *t, struct pf_uuid launch, uint32_t rows,
                         uint32_t columns);
/* Its process has ended: the rest is copied. */
void pf_terminals_ended(struct pf_terminals *t, struct pf_uuid launch);

#endif
