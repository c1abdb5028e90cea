/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of the operator API that change something, and waiting for what they cause. */
#ifndef PF_FRAMEWORK_CLI_OPERATE_H
#define PF_FRAMEWORK_CLI_OPERATE_H

#include <stdint.h>
#include "common/base/arena.h"
#include "common/base/compiler.h"
#include "framework/cli/client.h"
#include "framework/cli/ids.h"

PF_MUST_USE int pf_operate_teardown(struct pf_client *c, struct pf_str framework_id,
                                    struct pf_err *err);
/* `signo` 0: the usual (TERM, then KILL after the grace). `grace_ms` < 0: the task's own. */
PF_MUST_USE int pf_operate_kill(struct pf_client *c, struct pf_str framework_id,
                                struct pf_str task_id, int signo, int64_t grace_ms,
                                struct pf_err *err);
/* Every live task of the framework (absent: of all), in the arena. */
PF_MUST_USE int pf_operate_live_tasks(struct pf_client *c, struct pf_str framework_id,
                                      struct pf_arena *arena, struct pf_entities *out,
                                      struct pf_err *err);
/* Waits until none of the framework's tasks named in `ids` lives (n 0: none at all). `timeout_ms`
 * of the whole wait, -1 = none: PF_ETIMEOUT. */
PF_MUST_USE int pf_operate_wait_ended(struct pf_client *c, struct pf_str framework_id,
                                      const struct pf_str *ids, uint32_t n, int64_t timeout_ms,
                                      struct pf_err *err);

#endif
