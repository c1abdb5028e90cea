/* SPDX-License-Identifier: Apache-2.0 */
/* The command template of --kill-cmd: 'ssh {host} kill -{signal} {pid}'. Pure. */
#ifndef PF_FRAMEWORK_CLI_DRILL_COMMAND_H
#define PF_FRAMEWORK_CLI_DRILL_COMMAND_H

#include "common/base/buf.h"
#include "common/base/compiler.h"
#include "common/base/err.h"

/* Who is to be signalled. */
struct pf_drill_process {
    const char *what;    /* for people: "the leading master" */
    const char *host;    /* NULL or "" = not known */
    const char *address; /* host:port; likewise */
    int64_t pid;         /* 0 = not known */
};

/* Is it one at all? PF_EUSAGE with what is wrong: an unknown {word}, no {signal}. */
PF_MUST_USE int pf_drill_command_check(const char *pattern, struct pf_err *err);
/* Appends the command line for sh. PF_ENOENT: it wants something that is not known of the process.
 * PF_EPROTO: a host's name that a shell could take for more than a name. */
PF_MUST_USE int pf_drill_command(const char *pattern, const struct pf_drill_process *p, int signo,
                                 struct pf_buf *out, struct pf_err *err);
/* "KILL"; NULL for those that no drill sends. */
const char *pf_drill_signal_name(int signo);

#endif
