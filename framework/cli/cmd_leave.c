/* SPDX-License-Identifier: Apache-2.0 */
/* proffer leave AGENT...: agents end their tasks, unregister and end. */
#include "framework/cli/member.h"
#include "framework/cli/table.h"

static int run(struct pf_cli *cli)
{
    int64_t grace_ms = pf_args_num(&cli->args, "grace", -1);
    struct pf_cluster cluster;
    struct pf_client *c = NULL;
    struct pf_member *at = NULL;
    struct pf_err err = {0};
    uint32_t n = 0;
    int status = pf_members_check_output(cli);
    status = status != 0 ? status : pf_client_of(cli, &cluster, &c);
    status = status != 0 ? status : pf_members_resolve(cli, c, &cluster, &at, &n);
    for (uint32_t i = 0; status == 0 && i < n; i++) {
        if (pf_member_look(c, &at[i], &cli->arena, &err) != 0) {
            status = pf_client_fail(cli, &cluster, &err);
        } else if (at[i].is_away) {
            status = pf_cli_fail(cli, PF_EXIT_FAILED,
                                 pf_cli_text(cli, "agent %.*s is not connected: it cannot be told",
                                             PF_STR_ARG(at[i].hostname)),
                                 "start it; or, if it is lost: proffer gone");
        } else if (pf_member_ask(c, PF_MEMBER_LEAVE, at[i].id, grace_ms, &err) != 0) {
            status = pf_client_fail(cli, &cluster, &err);
        } else {
            pf_cli_note(cli, "cluster %s: agent %.*s (%.8s) leaves, %u task%s end%s", cluster.name,
                        PF_STR_ARG(at[i].hostname), at[i].id.at, at[i].n_tasks,
                        at[i].n_tasks == 1 ? "" : "s", at[i].n_tasks == 1 ? "s" : "");
            at[i].state = PF_MEMBER_LEAVING;
        }
    }
    if (status == 0 && (pf_args_has(&cli->args, "wait") || pf_args_has(&cli->args, "timeout"))) {
        status = pf_members_wait(cli, c, &cluster, at, n, PF_MEMBER_LEAVE,
                                 pf_args_num(&cli->args, "timeout", -1));
    }
    if (n > 0 && (status == 0 || status == PF_EXIT_FAILED)) {
        (void)pf_members_print(cli, at, n);
    }
    pf_client_close(c);
    return status;
}

static const struct pf_cli_option options[] = {
    {.name = "grace",
     .kind = PF_ARG_DURATION,
     .arg = "TIME",
     .help = "the most that a task gets between SIGTERM and SIGKILL (default: what it asked for)"},
    {.name = "wait", .kind = PF_ARG_FLAG, .help = "show what is left until they have left"},
    {.name = "timeout",
     .kind = PF_ARG_DURATION,
     .arg = "TIME",
     .help = "wait so long at most; it goes on"},
};

const struct pf_command pf_cmd_leave = {
    .name = "leave",
    .group = "cluster",
    .summary = "have agents end their tasks, unregister and end",
    .operands = "AGENT...",
    .about = "The agent takes no more tasks, ends those that it has with their grace, waits until "
             "that is acknowledged, and is forgotten by the cluster. Its process ends; started "
             "again (as 'up' does with its agents) it is a new agent. (Stopped by SIGTERM instead, "
             "it comes back as itself, and "
             "its tasks run on meanwhile.)",
    .min_operands = 1,
    .max_operands = PF_ARGV_MAX,
    .complete = PF_COMPLETE_AGENT,
    .sets = PF_SET_CLUSTER | PF_SET_OUTPUT,
    .options = PF_CLI_OPTIONS(options),
    .examples = {{"proffer leave node7 --wait", "before the machine is given back"}},
    .exits = "0 left (without --wait: begun), 1 not connected, or not within --timeout, 2 wrong "
             "usage, 3 no such agent, 4 unreachable",
    .run = run,
};
