/* SPDX-License-Identifier: Apache-2.0 */
/* What every verb gets: its command line, its streams, memory that dies with the command. */
#ifndef PF_FRAMEWORK_CLI_CLI_H
#define PF_FRAMEWORK_CLI_CLI_H

#include <stdbool.h>
#include <stdio.h>
#include "common/base/arena.h"
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "framework/cli/command.h"

struct pf_cli {
    struct pf_args args;
    struct pf_arena arena;    /* of the whole command */
    FILE *out, *err;          /* data; our own words */
    bool out_is_terminal;
    bool err_is_terminal;
    bool in_is_terminal;
    const char *(*env)(const char *name); /* getenv; tests give their own */
    const char *program;      /* argv[0] */
};

/* Runs one command line (argv[0] is the program); returns the exit status. */
int pf_cli_main(struct pf_cli *cli, int argc, char **argv);

/* The two lines of every error: what happened, and what to do about it. Returns `exit_status`. */
int pf_cli_fail(struct pf_cli *cli, int exit_status, const char *what, const char *to_do);
/* The same for wrong usage of the verb, with its own exit status for that. */
int pf_cli_usage(struct pf_cli *cli, const char *what, const char *to_do);
/* One line of ours on stderr ("proffer: ..."). */
void pf_cli_note(struct pf_cli *cli, const char *fmt, ...) PF_PRINTF(2, 3);
/* Text in the command's arena. */
const char *pf_cli_text(struct pf_cli *cli, const char *fmt, ...) PF_PRINTF(2, 3);
/* Asks a yes-or-no question on the terminal; false when there is none, or the answer is not yes. */
bool pf_cli_confirm(struct pf_cli *cli, const char *question);

#endif
