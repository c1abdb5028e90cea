/* SPDX-License-Identifier: Apache-2.0 */
/* proffer gone AGENT...: agents that will never come back. */
#include "framework/cli/member.h"
#include "framework/cli/table.h"

/* 0, or the exit status. */
static int ask_user(struct pf_cli *cli, const struct pf_cluster *cluster, struct pf_member *at,
                    uint32_t n)
{
    uint32_t n_tasks = 0;
    for (uint32_t i = 0; i < n; i++) {
        n_tasks += at[i].n_tasks;
    }
    const char *question =
        n == 1
            ? pf_cli_text(cli, "cluster %s: mark agent %.*s (%.8s) gone for ever, with %u task%s?",
                          cluster->name, PF_STR_ARG(at[0].hostname), at[0].id.at, n_tasks,
                          n_tasks == 1 ? "" : "s")
            : pf_cli_text(cli, "cluster %s: mark %u agents gone for ever, with %u task%s?",
                          cluster->name, n, n_tasks, n_tasks == 1 ? "" : "s");
    if (pf_args_has(&cli->args, "yes") || pf_cli_confirm(cli, question)) {
        return 0;
    }
    if (cli->in_is_terminal && cli->err_is_terminal) {
        pf_cli_note(cli, "nothing was done");
        return PF_EXIT_FAILED;
    }
    return pf_cli_fail(cli, PF_EXIT_FAILED, "this cannot be taken back, and nobody can be asked",
                       "say --yes");
}

static int run(struct pf_cli *cli)
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
        if (pf_member_look(c, &at[i], &cli->arena, &err) != 0) {
            status = pf_client_fail(cli, &cluster, &err);
        }
    }
    status = status != 0 ? status : ask_user(cli, &cluster, at, n);
    for (uint32_t i = 0; status == 0 && i < n; i++) {
        if (pf_member_ask(c, PF_MEMBER_GONE, at[i].id, -1, &err) != 0) {
            status = pf_client_fail(cli, &cluster, &err);
            break;
        }
        pf_cli_note(cli, "cluster %s: agent %.*s (%.8s) is gone, with %u task%s", cluster.name,
                    PF_STR_ARG(at[i].hostname), at[i].id.at, at[i].n_tasks,
                    at[i].n_tasks == 1 ? "" : "s");
        at[i].state = PF_MEMBER_IS_GONE;
        at[i].n_tasks = 0;
    }
    if (status == 0) {
        (void)pf_members_print(cli, at, n);
    }
    pf_client_close(c);
    return status;
}

static const struct pf_cli_option options[] = {
    {.name = "yes", .letter = 'y', .kind = PF_ARG_FLAG, .help = "do not ask"},
};

const struct pf_command pf_cmd_gone = {
    .name = "gone",
    .group = "cluster",
    .summary = "give agents up for ever, with their tasks",
    .operands = "AGENT...",
    .about = "For machines that are lost. Frameworks hear at once that the tasks are gone. An "
             "agent that is marked gone ends its tasks when it hears of it, and is refused; the "
             "machine may come back with a new --work-dir, as another agent. This cannot be taken "
             "back. An agent that still runs is better told to leave.",
    .min_operands = 1,
    .max_operands = PF_ARGV_MAX,
    .complete = PF_COMPLETE_AGENT,
    .sets = PF_SET_CLUSTER | PF_SET_OUTPUT,
    .options = PF_CLI_OPTIONS(options),
    .examples = {{"proffer gone node7", "asks first"}, {"proffer gone 3f2a --yes", "for scripts"}},
    .exits = "0 gone, 1 not confirmed, 2 wrong usage, 3 no such agent, 4 unreachable",
    .run = run,
};
