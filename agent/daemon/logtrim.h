/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps what tasks write bounded: of each stdout and stderr the last `max_bytes` stay. What is
 * older goes by a hole in front of it, so that offsets stay, nobody who writes or reads notices,
 * and no process stands between a task and its file. Where the file system makes no holes, the file
 * is emptied and says so in its first line.
 *
 * Looked at rarely while nothing grows, as often as its rate asks while it does, and all of them
 * when the disk fills faster than they explain. The same looks notice a sandbox that is gone. */
#ifndef PF_AGENT_DAEMON_LOGTRIM_H
#define PF_AGENT_DAEMON_LOGTRIM_H

#include <stdint.h>
#include "common/base/id.h"
#include "common/base/str.h"
#include "common/net/loop.h"

struct pf_logtrim;

struct pf_logtrim_options {
    uint64_t max_bytes; /* 0: all is kept, only sandboxes are watched */
    const char *dir;    /* on the file system of the sandboxes; copied */
    /* Somebody removed the sandbox of a launch: told once, in the delivery part of a turn. */
    void (*on_gone)(void *ctx, struct pf_uuid launch);
    void *ctx;
};

struct pf_logtrim_counters {
    uint64_t looks;   /* at one sandbox */
    uint64_t sweeps;  /* at all of them, because the disk filled */
    uint64_t cuts, cut_bytes;
    uint64_t emptied; /* of these cuts, without a hole */
    uint32_t n;       /* sandboxes now */
};

struct pf_logtrim *pf_logtrim_create(struct pf_loop *loop, const struct pf_logtrim_options *o);
/* NULL is fine. */
void pf_logtrim_destroy(struct pf_logtrim *l);
/* `launch` writes in `sandbox` (absolute) from now on. One that is known changes nothing. */
void pf_logtrim_add(struct pf_logtrim *l, struct pf_uuid launch, struct pf_str sandbox);
/* It has ended: a last look, then it is forgotten. */
void pf_logtrim_ended(struct pf_logtrim *l, struct pf_uuid launch);
const struct pf_logtrim_counters *pf_logtrim_counters(const struct pf_logtrim *l);

#endif
