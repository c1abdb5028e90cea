/* SPDX-License-Identifier: Apache-2.0 */
/* Watches the tasks of one framework at the leading master, by long polls, over changes of the
 * leader; and sends calls about them on the same link. Must not be destroyed from its callbacks. */
#ifndef PF_FRAMEWORK_CLI_TASKWATCH_H
#define PF_FRAMEWORK_CLI_TASKWATCH_H

#include <stdint.h>
#include "common/base/err.h"
#include "common/base/str.h"
#include "common/link/key.h"
#include "common/net/loop.h"
#include "schemas/operator.h"

struct pf_taskwatch;

struct pf_taskwatch_ops {
    /* States of tasks: of all that are asked for at first and after a restart of the master, then
     * of those that changed. Borrowed for the call. */
    void (*on_tasks)(void *ctx, struct Master_Response_WaitTasks tasks);
    /* The framework is not known (PF_ENOENT), the master refuses, or no master could be reached
     * for `give_up_ms` (as long as one answers, a leader is waited for). Nothing follows. */
    void (*on_end)(void *ctx, const struct pf_err *err);
    /* The answer to pf_taskwatch_acknowledge: NULL = done. May be NULL. */
    void (*on_reply)(void *ctx, const struct pf_err *err);
    /* Nobody leads for `ms`; `why` says what the masters do instead. May be NULL. */
    void (*on_waiting)(void *ctx, int64_t ms, const char *why);
};

struct pf_taskwatch_options {
    const char *masters;      /* host:port,...; borrowed */
    const struct pf_key *key; /* NULL = none; borrowed */
    struct pf_str framework_id;
    const struct pf_str *task_id; /* copied; none: all of the framework */
    uint32_t n_task_ids;
    int32_t give_up_ms;
};

PF_MUST_USE int pf_taskwatch_create(struct pf_loop *loop, const struct pf_taskwatch_options *o,
                                    const struct pf_taskwatch_ops *ops, void *ctx,
                                    struct pf_taskwatch **out, struct pf_err *err);
void pf_taskwatch_destroy(struct pf_taskwatch *w); /* NULL is fine */

/* Takes the last update of a task (ACKNOWLEDGE_TASK). While the link is down it waits for it. */
void pf_taskwatch_acknowledge(struct pf_taskwatch *w, struct pf_str task_id, struct pf_bytes uuid);
/* Calls that have no answer yet. */
uint32_t pf_taskwatch_pending(const struct pf_taskwatch *w);

#endif
