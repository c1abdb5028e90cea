/* SPDX-License-Identifier: Apache-2.0 */
/* proffer deactivate AGENT..., proffer activate AGENT...: whether agents are offered. */
#include "framework/cli/member.h"
#include "framework/cli/table.h"

static int run_call(struct pf_cli *cli, enum pf_member_call call, const char *what)
{
    struct pf_cluster cluster;
    struct pf_client *c = NULL;
    struct pf_member *at = NULL;
    struct pf_err err = {0};
    uint32_t n = 0;
    int status = pf_members_check_output(cli);
    status = status != 0 ? status : pf_client_of(cli, &cluster, &c);
    status = status != 0 ? status : pf_members_resolve(cli, c, &cluster, &at, &n);
    for (uint32_t i = 0; status == 0 && i < n; i++) {
        if (pf_member_ask(c, call, at[i].id, -1, &err) != 0 ||
            pf_member_look(c, &at[i], &cli->arena, &err) != 0) {
            status = err.code == PF_EINVAL || err.code == PF_EEXIST
                         ? pf_cli_fail(cli, PF_EXIT_FAILED, err.msg,
                                       "proffer agents shows the state of each")
                         : pf_client_fail(cli, &cluster, &err);
            break;
        }
        pf_cli_note(cli, "cluster %s: agent %.*s (%.8s) %s", cluster.name,
                    PF_STR_ARG(at[i].hostname), at[i].id.at, what);
    }
    if (status == 0) {
        (void)pf_members_print(cli, at, n);
    }
    pf_client_close(c);
    return status;
}

static int run_deactivate(struct pf_cli *cli)
{
    return run_call(cli, PF_MEMBER_DEACTIVATE, "is deactivated: nothing of it is offered");
}

static int run_activate(struct pf_cli *cli)
{
    return run_call(cli, PF_MEMBER_ACTIVATE, "is active again");
}

const struct pf_command pf_cmd_deactivate = {
    .name = "deactivate",
    .group = "cluster",
    .summary = "offer nothing of agents any more; their tasks go on",
    .operands = "AGENT...",
    .min_operands = 1,
    .max_operands = PF_ARGV_MAX,
    .complete = PF_COMPLETE_AGENT,
    .sets = PF_SET_CLUSTER | PF_SET_OUTPUT,
    .examples = {{"proffer deactivate node7", "it empties by itself, as its tasks end"}},
    .run = run_deactivate,
};

const struct pf_command pf_cmd_activate = {
    .name = "activate",
    .group = "cluster",
    .summary = "offer agents again that were deactivated or drained",
    .operands = "AGENT...",
    .min_operands = 1,
    .max_operands = PF_ARGV_MAX,
    .complete = PF_COMPLETE_AGENT,
    .sets = PF_SET_CLUSTER | PF_SET_OUTPUT,
    .examples = {{"proffer activate node7", "after 'drain' or 'deactivate'"}},
    .exits = "0 done, 1 it was not deactivated or is still draining, 2 wrong usage, 3 no such "
             "agent, 4 unreachable",
    .run = run_activate,
};
