/* SPDX-License-Identifier: Apache-2.0 */
/* proffer help [VERB] */
#include "framework/cli/help.h"
#include "framework/cli/table.h"

static int run(struct pf_cli *cli)
{
    if (cli->args.n_operands == 0) {
        pf_help_all(cli, cli->out);
        return PF_EXIT_OK;
    }
    const char *verb = cli->args.operand[0];
    const struct pf_command *cmd = pf_command_find(verb);
    if (cmd == NULL) {
        const char *meant = pf_command_suggest(verb);
        return pf_cli_usage(cli, pf_cli_text(cli, "there is no verb '%s'", verb),
                            meant != NULL ? pf_cli_text(cli, "did you mean '%s'?", meant)
                                          : "proffer help lists them all");
    }
    pf_help_verb(cli, cmd);
    return PF_EXIT_OK;
}

const struct pf_command pf_cmd_help = {
    .name = "help",
    .group = "other",
    .summary = "all verbs, or what one of them does",
    .operands = "[VERB]",
    .max_operands = 1,
    .complete = PF_COMPLETE_VERB,
    .examples = {{"proffer help run", "the options of run"}},
    .run = run,
};
