/* SPDX-License-Identifier: Apache-2.0 */
/* Waits for tasks to end, over restarts of the master, and takes their last updates where their
 * framework has left. For `wait` and `attach`. */
#ifndef PF_FRAMEWORK_CLI_AWAIT_H
#define PF_FRAMEWORK_CLI_AWAIT_H

#include <stdint.h>
#include "common/base/err.h"
#include "framework/cli/ids.h"
#include "framework/cli/outcome.h"
#include "framework/cli/session.h"

struct pf_await;

struct pf_await_ops {
    /* A task is seen for the first time (`at`: its place in the outcomes). May be NULL. */
    void (*on_task)(void *ctx, uint32_t at, struct Task task);
    /* All have ended and their last updates are taken; or (err) it cannot be known. Once. */
    void (*on_done)(void *ctx, const struct pf_err *err);
};

/* Entities: frameworks (all their tasks) and tasks. At least one. */
PF_MUST_USE int pf_await_create(struct pf_session *s, const struct pf_entities *what,
                                const struct pf_await_ops *ops, void *ctx, struct pf_await **out,
                                struct pf_err *err);
void pf_await_destroy(struct pf_await *a); /* NULL is fine */
/* Borrowed until the next callback. */
const struct pf_outcome *pf_await_outcomes(const struct pf_await *a, uint32_t *out_n);

#endif
