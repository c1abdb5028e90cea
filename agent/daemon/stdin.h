/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes for the standard input of tasks: a pipe each, written without blocking, answered when the
 * pipe took them. The launcher holds a second write end, so that a restart of the agent ends
 * nobody's input. */
#ifndef PF_AGENT_DAEMON_STDIN_H
#define PF_AGENT_DAEMON_STDIN_H

#include "agent/core/agent.h"
#include "common/base/err.h"
#include "common/fb/fb.h"
#include "common/net/loop.h"

#define PF_STDIN_QUEUE_MAX_BYTES (256u << 10) /* unwritten, of one task */
#define PF_STDIN_QUEUE_MAX       64           /* requests, of one task */

struct pf_stdin;

struct pf_stdin_ops {
    /* An Envelope, borrowed for the call. */
    void (*on_reply)(void *ctx, uint64_t peer, struct pf_msg reply);
    /* Ask the launcher for its write end (pf_stdin_set or pf_stdin_none follow), or tell it to
     * close that. False: there is no launcher now. */
    bool (*ask)(void *ctx, struct pf_uuid launch);
    bool (*close)(void *ctx, struct pf_uuid launch);
};

struct pf_stdin *pf_stdin_create(struct pf_loop *loop, const struct pf_stdin_ops *ops, void *ctx);
void pf_stdin_destroy(struct pf_stdin *s);
/* The write end of a launch; taken, made non-blocking. */
void pf_stdin_set(struct pf_stdin *s, struct pf_uuid launch, int fd);
/* The launcher has no write end of it. */
void pf_stdin_none(struct pf_stdin *s, struct pf_uuid launch);
/* Exactly one answer follows, now or later. */
void pf_stdin_write(struct pf_stdin *s, const struct pf_agent_act_stdin *w);
/* The process has ended: what waits is refused. */
void pf_stdin_ended(struct pf_stdin *s, struct pf_uuid launch);
/* What it sent is still written; nobody is answered. */
void pf_stdin_forget_peer(struct pf_stdin *s, uint64_t peer);
/* The launcher is gone: requests that wait for its write ends are refused. */
void pf_stdin_launcher_down(struct pf_stdin *s);

#endif
