/* SPDX-License-Identifier: Apache-2.0 */
/* Serves ReadFile: exactly one answer to each request. A request that follows waits (inotify) until
 * its file has more than it asked from, or has ended. Bounded: answers by PF_READ_CHUNK_BYTES,
 * waiting requests by PF_READS_PER_PEER_MAX of each peer. No file stays open between answers. Where
 * the front of a file was cut off (logtrim.h), an answer begins behind that: its offset says so. */
#ifndef PF_AGENT_DAEMON_FILES_H
#define PF_AGENT_DAEMON_FILES_H

#include "agent/core/agent.h"
#include "common/base/err.h"
#include "common/fb/fb.h"
#include "common/net/loop.h"

#define PF_FILES_TAIL_MAX_BYTES (8u << 20) /* looked through for the last lines */

struct pf_files;

/* `reply` is an Envelope, borrowed for the call. */
typedef void pf_files_reply_fn(void *ctx, uint64_t peer, struct pf_msg reply);

struct pf_files_counters {
    uint64_t reads, bytes, refused;
    uint32_t n_waiting; /* now */
};

PF_MUST_USE int pf_files_create(struct pf_loop *loop, pf_files_reply_fn *on_reply, void *ctx,
                                struct pf_files **out, struct pf_err *err);
void pf_files_destroy(struct pf_files *f);
/* Answers at once, or keeps the request. `tail_lines`: only the last PF_FILES_TAIL_MAX_BYTES are
 * looked through. `since_ms`: of a file that was not written since, nothing but its end. */
void pf_files_read(struct pf_files *f, const struct pf_agent_act_read *r);
/* The output files of a sandbox were made: those who waited for them can watch them now. */
void pf_files_made(struct pf_files *f, struct pf_str sandbox);
/* This task has ended, which wrote to the output files there: everybody who waits for more of it is
 * answered. Other tasks of an executor may go on to write to them. */
void pf_files_ended(struct pf_files *f, struct pf_uuid launch, struct pf_str sandbox);
/* The peer is gone, and what it waits for with it. */
void pf_files_forget_peer(struct pf_files *f, uint64_t peer);
const struct pf_files_counters *pf_files_counters(const struct pf_files *f);
void pf_files_check(const struct pf_files *f);

#endif
