/* SPDX-License-Identifier: Apache-2.0 */
/* Names of users to numbers, for the launcher, which has no name service. Looked up on the loop's
 * thread: a name service over the network may block it; answers are kept for a while. */
#ifndef PF_AGENT_DAEMON_USERS_H
#define PF_AGENT_DAEMON_USERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "common/base/map.h"
#include "common/base/str.h"

struct pf_user {
    uid_t uid;
    gid_t gid;
    const gid_t *groups; /* all of the user's, gid among them */
    uint32_t n_groups;
    bool is_own; /* the agent's own user: nothing to change */
};

/* All zero = empty. */
struct pf_users {
    struct pf_map by_name;
};

/* `name` "" is the agent's own user. 0, ENOENT (no such user) or another errno. `*out` is borrowed
 * until the next call. */
int pf_users_find(struct pf_users *u, struct pf_str name, int64_t now_ms, struct pf_user *out);
void pf_users_fini(struct pf_users *u);

#endif
