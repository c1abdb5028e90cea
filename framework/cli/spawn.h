/* SPDX-License-Identifier: Apache-2.0 */
/* Starting the programs of a local cluster. */
#ifndef PF_FRAMEWORK_CLI_SPAWN_H
#define PF_FRAMEWORK_CLI_SPAWN_H

#include <sys/types.h>
#include "common/base/arena.h"
#include "common/base/compiler.h"
#include "common/base/err.h"

#define PF_SPAWN_READY_FD 3 /* what the child knows its readiness pipe as */
#define PF_SPAWN_ARGS_MAX 40

/* A command line in an arena. */
struct pf_spawn_args {
    const char *at[PF_SPAWN_ARGS_MAX + 1];
    int n;
    const char *netns; /* the file of the network namespace to start in; NULL = ours */
};
void pf_spawn_arg(struct pf_spawn_args *a, const char *text);
/* "--name", value; nothing if the value is NULL or empty. */
void pf_spawn_option(struct pf_spawn_args *a, const char *name, const char *value);

/* Starts args[0] in a session of its own, with nothing on stdin and stdout and stderr appended to
 * `log` (NULL: /dev/null); `ready_fd` (-1: none) becomes its PF_SPAWN_READY_FD, everything else is
 * closed. The child gets TERM when we die. PF_ENOENT or PF_EACCESS with the
 * path when there is no such program. */
PF_MUST_USE int pf_spawn(const struct pf_spawn_args *args, const char *log, int ready_fd,
                         pid_t *out_pid, struct pf_err *err);

#endif
