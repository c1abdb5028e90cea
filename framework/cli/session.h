/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs that stay for a while (run, wait, attach, logs) have in common: the cluster, its
 * key, a loop, and the tasks that were named. */
#ifndef PF_FRAMEWORK_CLI_SESSION_H
#define PF_FRAMEWORK_CLI_SESSION_H

#include <stdbool.h>
#include "common/base/buf.h"
#include "common/link/key.h"
#include "common/net/loop.h"
#include "framework/cli/cli.h"
#include "framework/cli/client.h"
#include "framework/cli/cluster.h"
#include "framework/cli/ids.h"

struct pf_session {
    struct pf_cli *cli;
    struct pf_cluster cluster;
    struct pf_loop *loop;
    struct pf_key key_space;
    const struct pf_key *key; /* NULL = none */
};

/* Chooses the cluster, reads its key, makes the loop. 0, or the exit status with the error printed.
 */
int pf_session_open(struct pf_cli *cli, struct pf_session *out);
void pf_session_close(struct pf_session *s);
/* Prints a failure of ours; returns the verb's exit status for it. */
int pf_session_fail(struct pf_session *s, const struct pf_err *err);

/* Says on stderr that nobody leads for so long, what the masters do instead, and that we wait. */
void pf_session_note_waiting(struct pf_session *s, int64_t ms, const char *why);

/* A task that was named on the command line. Texts live in the command's arena. */
struct pf_named_task {
    struct pf_str framework_id, task_id, agent_address;
    uint32_t index; /* the number behind the last '.' of its id, else its place in the list */
};

/* What the operands name: tasks, and all tasks of frameworks, without doubles, in the order of
 * framework and index. 0 or the exit status. */
int pf_session_tasks(struct pf_session *s, struct pf_client *c, struct pf_ptrs *out);
/* The frameworks and tasks that the operands name, as they are. */
int pf_session_entities(struct pf_session *s, struct pf_client *c, struct pf_entities *out);

#endif
