/* SPDX-License-Identifier: Apache-2.0 */
/* Help made from the command table. */
#ifndef PF_FRAMEWORK_CLI_HELP_H
#define PF_FRAMEWORK_CLI_HELP_H

#include <stdio.h>
#include "framework/cli/cli.h"

/* Every verb with its summary, by group. */
void pf_help_all(struct pf_cli *cli, FILE *to);
/* One verb: usage, options, examples, exit statuses, on stdout. */
void pf_help_verb(struct pf_cli *cli, const struct pf_command *cmd);

#endif
