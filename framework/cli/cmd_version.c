/* SPDX-License-Identifier: Apache-2.0 */
/* proffer version */
#include "framework/cli/cli.h"
#include "framework/cli/table.h"

static int run(struct pf_cli *cli)
{
    (void)fprintf(cli->out, "proffer %s\n", PF_VERSION);
    return PF_EXIT_OK;
}

const struct pf_command pf_cmd_version = {
    .name = "version",
    .group = "other",
    .summary = "this program's version",
    .run = run,
};
