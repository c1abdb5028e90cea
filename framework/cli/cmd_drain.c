/* SPDX-License-Identifier: Apache-2.0 */
/* proffer drain AGENT...: ends what runs on agents, and keeps them out of service. */
#include "framework/cli/member.h"
#include "framework/cli/table.h"

static int begin(struct pf_cli *cli, struct pf_client *c, const struct pf_cluster *cluster,
                 struct pf_member *m)
{
    bool marks_gone = pf_args_has(&cli->args, "mark-gone");
    struct pf_err err = {0};

    if (pf_member_look(c, m, &cli->arena, &err) != 0 ||
        pf_member_ask(c, marks_gone ? PF_MEMBER_DRAIN_GONE : PF_MEMBER_DRAIN, m->id,
                      pf_args_num(&cli->args, "deadline", -1), &err) != 0) {
        return pf_client_fail(cli, cluster, &err);
    }
    pf_cli_note(cli, "cluster %s: draining agent %.*s (%.8s), %u task%s end%s%s", cluster->name,
                PF_STR_ARG(m->hostname), m->id.at, m->n_tasks, m->n_tasks == 1 ? "" : "s",
                m->n_tasks == 1 ? "s" : "",
                marks_gone ? "; it is marked gone when it is empty" : "");
    if (m->is_away) {
        pf_cli_note(cli, "agent %.*s is not connected: it is told as soon as it is back",
                    PF_STR_ARG(m->hostname));
    }
    return 0;
}

static int finish(struct pf_cli *cli, struct pf_client *c, const struct pf_cluster *cluster,
                  struct pf_member *at, uint32_t n)
{
    int status = 0;
    if (pf_args_has(&cli->args, "wait") || pf_args_has(&cli->args, "timeout")) {
        status = pf_members_wait(cli, c, cluster, at, n,
                                 pf_args_has(&cli->args, "mark-gone") ? PF_MEMBER_DRAIN_GONE
                                                                      : PF_MEMBER_DRAIN,
                                 pf_args_num(&cli->args, "timeout", -1));
    } else {
        struct pf_err err = {0};
        for (uint32_t i = 0; status == 0 && i < n; i++) {
            if (pf_member_look(c, &at[i], &cli->arena, &err) != 0) {
                status = pf_client_fail(cli, cluster, &err);
            }
        }
    }
    return status;
}

static int run(struct pf_cli *cli)
{
    struct pf_cluster cluster;
    struct pf_client *c = NULL;
    struct pf_member *at = NULL;
    uint32_t n = 0;
    int status = pf_members_check_output(cli);
    status = status != 0 ? status : pf_client_of(cli, &cluster, &c);
    status = status != 0 ? status : pf_members_resolve(cli, c, &cluster, &at, &n);
    for (uint32_t i = 0; status == 0 && i < n; i++) {
        status = begin(cli, c, &cluster, &at[i]);
    }
    if (status == 0) {
        status = finish(cli, c, &cluster, at, n);
        (void)pf_members_print(cli, at, n);
    }
    pf_client_close(c);
    return status;
}

static const struct pf_cli_option options[] = {
    {.name = "deadline",
     .kind = PF_ARG_DURATION,
     .arg = "TIME",
     .help = "the most that a task gets between SIGTERM and SIGKILL (default: what it asked for)"},
    {.name = "mark-gone",
     .kind = PF_ARG_FLAG,
     .help = "when it is empty, mark it gone: it can never come back"},
    {.name = "wait", .kind = PF_ARG_FLAG, .help = "show what is left until it is empty"},
    {.name = "timeout",
     .kind = PF_ARG_DURATION,
     .arg = "TIME",
     .help = "wait so long at most; the drain goes on"},
};

const struct pf_command pf_cmd_drain = {
    .name = "drain",
    .group = "cluster",
    .summary = "end what runs on agents, before their machines are worked on",
    .operands = "AGENT...",
    .about = "Nothing of the agent is offered from now on, its tasks are killed with their grace, "
             "also those that come back with it. That stays so, whoever leads and whatever "
             "restarts, until 'proffer activate'. An agent is its id (or the beginning of it) or "
             "its hostname.",
    .min_operands = 1,
    .max_operands = PF_ARGV_MAX,
    .complete = PF_COMPLETE_AGENT,
    .sets = PF_SET_CLUSTER | PF_SET_OUTPUT,
    .options = PF_CLI_OPTIONS(options),
    .examples = {{"proffer drain node7 --wait", "and see it through"},
                 {"proffer drain node7 --deadline 30s --wait --timeout 5m", "in bounded time"},
                 {"proffer activate node7", "the machine is back"}},
    .exits = "0 drained (without --wait: begun), 1 not within --timeout, or called off, 2 wrong "
             "usage, 3 no such agent, 4 unreachable",
    .run = run,
};
