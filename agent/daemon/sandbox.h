/* SPDX-License-Identifier: Apache-2.0 */
/* The directory of a launch: made for its user, with its script; its output files. Everything below
 * it may belong to somebody hostile by the time we come again: no symbolic link there is
 * followed. */
#ifndef PF_AGENT_DAEMON_SANDBOX_H
#define PF_AGENT_DAEMON_SANDBOX_H

#include "agent/daemon/users.h"
#include "common/base/str.h"

/* What failed: errno and where ("mkdir", "chown", "script", "stdout", "stderr"; static). */
struct pf_sandbox_failure {
    int error;
    const char *stage;
};

/* Makes directory `path` (absolute, NUL behind it) and its parents; one that exists is fine.
 * `script` (.at NULL = none) becomes the executable file `script` in it. False: `*out` says why. */
bool pf_sandbox_make(struct pf_str path, const struct pf_user *owner, struct pf_bytes script,
                     struct pf_sandbox_failure *out);
/* Opens `stdout` and `stderr` of the sandbox for appending, made for the owner if missing. The
 * caller closes. */
bool pf_sandbox_open_output(struct pf_str path, const struct pf_user *owner, int out_fd[2],
                            struct pf_sandbox_failure *out);
/* Opens the regular file `path` (its directory a sandbox) for reading; -1 with errno, which is
 * EINVAL for what is no regular file. */
int pf_sandbox_open_file(struct pf_str path);
/* The same for writing at its end, to take bytes away in front. */
int pf_sandbox_open_to_cut(struct pf_str path);

#endif
