/* SPDX-License-Identifier: Apache-2.0 */
/* A process beside a task, at its agent: what we read goes to it, what it says comes to us
 * (`proffer exec`). One link, one session; it ends with either. */
#ifndef PF_FRAMEWORK_CLI_REMOTE_H
#define PF_FRAMEWORK_CLI_REMOTE_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/err.h"
#include "framework/cli/session.h"

struct pf_remote_spec {
    struct pf_str agent_address, framework_id, task_id;
    const char *const *args;
    uint32_t n_args;
    const struct pf_str *env; /* "NAME=value" */
    uint32_t n_env;
    const char *cwd;          /* NULL = the sandbox */
    bool sends_stdin, has_terminal;
};

/* Runs it to its end: 0 and the exit status in `*out_status` (128 + signal; what could not be
 * executed has a shell's status, and was said on stderr), else the error. SIGINT and SIGTERM are
 * passed on where there is no terminal. */
PF_MUST_USE int pf_remote_run(struct pf_session *s, const struct pf_remote_spec *spec,
                              int *out_status, struct pf_err *err);

#endif
