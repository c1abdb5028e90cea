/* SPDX-License-Identifier: Apache-2.0 */
/* How tasks ended, for `run`, `wait` and `attach`: the exit status that stands for it, the summary
 * for people, the report for scripts. */
#ifndef PF_FRAMEWORK_CLI_OUTCOME_H
#define PF_FRAMEWORK_CLI_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/buf.h"
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "schemas/mesos.h"

/* One task as far as it is known. Texts are owned. All zero but the index: not started yet. */
struct pf_outcome {
    uint32_t index;
    char *task_id, *agent_id, *message;
    bool is_known; /* there was a state */
    enum TaskState state;
    bool has_exit_status, has_signal, has_reason;
    bool is_unwell; /* its health check said so, last */
    int32_t exit_status, signal;
    enum TaskStatus_Reason reason;
    int64_t started_ms, finished_ms; /* wall clock, 0 = not known */
};

void pf_outcome_fini(struct pf_outcome *o);
bool pf_outcome_has_ended(const struct pf_outcome *o);
/* Takes over what the master says of the task (all of it). */
void pf_outcome_set_task(struct pf_outcome *o, struct Task task);

/* It was ended for what it used, or for its health: its own status does not tell. */
bool pf_outcome_is_limited(const struct pf_outcome *o);

/* The task's own status, 128 + signal, 124 for the time-out, 125 for what is not its own doing. */
int pf_outcome_exit(const struct pf_outcome *o);
/* The highest of all; 125 when there is none. */
int pf_outcomes_exit(const struct pf_outcome *o, uint32_t n);
/* Has it failed, and does its exit status alone not tell how? */
bool pf_outcome_needs_words(const struct pf_outcome *o);
/* "exit status 3", "signal KILL", "time-out", or the message of what went wrong. */
void pf_outcome_describe(const struct pf_outcome *o, struct pf_buf *out);
/* "20 tasks: 18 finished, 2 failed: 3 (exit status 1), 7 (signal KILL)"; names at most ten. */
void pf_outcomes_summary(const struct pf_outcome *o, uint32_t n, struct pf_buf *out);
/* A JSON array with an object for each task: id, index, state, exit_status, signal, reason,
 * message, agent_id, started_at, finished_at; written atomically. */
PF_MUST_USE int pf_outcomes_report(const struct pf_outcome *o, uint32_t n, const char *path,
                                   struct pf_err *err);

#endif
