/* SPDX-License-Identifier: Apache-2.0 */
/* Agents taken out of service and back: the calls, what became of them, and what is left on an
 * agent that is to be empty. */
#ifndef PF_FRAMEWORK_CLI_MEMBER_H
#define PF_FRAMEWORK_CLI_MEMBER_H

#include "common/base/buf.h"
#include "framework/cli/client.h"
#include "framework/cli/ids.h"

enum pf_member_call {
    PF_MEMBER_DEACTIVATE,
    PF_MEMBER_ACTIVATE,
    PF_MEMBER_DRAIN,
    PF_MEMBER_DRAIN_GONE, /* and gone when it is empty */
    PF_MEMBER_GONE,
    PF_MEMBER_LEAVE,
};

/* `grace_ms`: DRAIN and LEAVE: the most that a task gets, -1 = its own. Saying a call again does no
 * harm. Errors as pf_client_call. */
PF_MUST_USE int pf_member_ask(struct pf_client *c, enum pf_member_call call, struct pf_str id,
                              int64_t grace_ms, struct pf_err *err);

enum pf_member_state {
    PF_MEMBER_NONE = 0, /* nobody knows it: it has left */
    PF_MEMBER_RECOVERED,
    PF_MEMBER_ACTIVE,
    PF_MEMBER_AWAY, /* not connected, or unreachable */
    PF_MEMBER_DEACTIVATED,
    PF_MEMBER_DRAINING,
    PF_MEMBER_DRAINED,
    PF_MEMBER_LEAVING,
    PF_MEMBER_IS_GONE,
};

struct pf_member {
    struct pf_str id, hostname; /* as they were found */
    enum pf_member_state state;
    bool is_away; /* beside DRAINING, LEAVING, DEACTIVATED: it is not connected now */
    uint32_t n_tasks;
    struct pf_str text; /* the master's own words; in the arena */
};

/* "draining", for people and programs. */
const char *pf_member_word(enum pf_member_state state);
/* Pure: what the master's entry says. */
enum pf_member_state pf_member_state_of(struct Master_Response_GetAgents_Agent a);
/* Sets what may change in `m`. */
PF_MUST_USE int pf_member_look(struct pf_client *c, struct pf_member *m, struct pf_arena *arena,
                               struct pf_err *err);
/* The agents that the operands mean, each once; an error is printed: the exit status. */
int pf_members_resolve(struct pf_cli *cli, struct pf_client *c, const struct pf_cluster *cluster,
                       struct pf_member **out, uint32_t *out_n);

/* Pure: why a task is still on its agent: "asked to end, SIGKILL in 3s". `with_times`: else
 * without what changes by itself. */
void pf_member_why(struct Task t, bool is_away, int64_t wall_ms, bool with_times,
                   struct pf_buf *out);

/* What is left of several agents, printed as it changes: redrawn on a terminal, else a line for
 * each change. All on stderr. */
struct pf_left;
struct pf_left *pf_left_create(struct pf_cli *cli);
void pf_left_destroy(struct pf_left *l);
/* One look at all of them. */
PF_MUST_USE int pf_left_show(struct pf_left *l, struct pf_client *c, const struct pf_member *at,
                             uint32_t n, struct pf_err *err);
/* Nothing of the table stays on the terminal. */
void pf_left_clear(struct pf_left *l);

/* Waits, and shows what is left, until each is drained (or gone), or has left; which, `call` says.
 * `timeout_ms` -1: for ever. PF_EXIT_FAILED: not in time, or it was called off. */
int pf_members_wait(struct pf_cli *cli, struct pf_client *c, const struct pf_cluster *cluster,
                    struct pf_member *at, uint32_t n, enum pf_member_call call, int64_t timeout_ms);

/* Prints the agents as rows (-o, -q) with the state that each has now; the exit status. */
int pf_members_print(struct pf_cli *cli, const struct pf_member *at, uint32_t n);
/* Their output options are right: 0, or the exit status. */
int pf_members_check_output(struct pf_cli *cli);

#endif
