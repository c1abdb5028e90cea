/* SPDX-License-Identifier: Apache-2.0 */
/* The program `proffer`. */
#include <stdlib.h>
#include <unistd.h>
#include "common/sys/fd.h"
#include "framework/cli/cli.h"

static const char *from_environment(const char *name)
{
    return getenv(name);
}

int main(int argc, char **argv)
{
    pf_fd_hold_standard();
    struct pf_cli cli = {
        .out = stdout,
        .err = stderr,
        .out_is_terminal = isatty(STDOUT_FILENO) == 1,
        .err_is_terminal = isatty(STDERR_FILENO) == 1,
        .in_is_terminal = isatty(STDIN_FILENO) == 1,
        .env = from_environment,
    };
    int status = pf_cli_main(&cli, argc, argv);
    pf_arena_fini(&cli.arena);
    return status;
}
