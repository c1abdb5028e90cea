/* SPDX-License-Identifier: Apache-2.0 */
/* The near ends of sessions (`proffer exec`): pipes, or a terminal, between a process beside a task
 * and the peer that opened it. Output goes to the peer unasked, at most PF_SESSION_AHEAD_BYTES
 * ahead of what it took; input is answered when it was written. */
#ifndef PF_AGENT_DAEMON_SESSION_H
#define PF_AGENT_DAEMON_SESSION_H

#include "agent/core/agent.h"
#include "common/base/err.h"
#include "common/fb/fb.h"
#include "common/net/loop.h"

#define PF_SESSION_AHEAD_BYTES (256u << 10)
#define PF_SESSION_INPUT_BYTES (256u << 10) /* unwritten */

struct pf_sessions;

/* An Envelope for the peer, borrowed for the call. */
typedef void pf_sessions_send_fn(void *ctx, uint64_t peer, struct pf_msg envelope);

struct pf_sessions *pf_sessions_create(struct pf_loop *loop, pf_sessions_send_fn *send, void *ctx);
/* Closes all, tells nobody. NULL is fine. */
void pf_sessions_destroy(struct pf_sessions *s);
/* Makes the ends; the far ones are stdin, stdout, stderr for the launcher (the caller's). 0 or
 * errno. */
int pf_sessions_open(struct pf_sessions *s, const struct pf_agent_act_session *a, int out_far[3]);
void pf_sessions_input(struct pf_sessions *s, const struct pf_agent_act_session_input *a);
/* Its process has ended: what it left is sent, then SessionEnded. */
void pf_sessions_end(struct pf_sessions *s, const struct pf_agent_act_session_end *a);
uint32_t pf_sessions_count(const struct pf_sessions *s);

/* A pseudo-terminal: the two sides, both close-on-exec. 0 or errno. */
int pf_terminal_open(uint32_t rows, uint32_t columns, int *out_near, int *out_far);

#endif
