/* SPDX-License-Identifier: Apache-2.0 */
/* From a command line to a verb, and the two lines of every error. */
#include "framework/cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "framework/cli/help.h"

const char *pf_cli_text(struct pf_cli *cli, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct pf_str s = pf_arena_vprintf(&cli->arena, fmt, ap);
    va_end(ap);
    return s.at;
}

/* Control characters of ids and messages that come from elsewhere stay off the terminal. */
static void put_line(FILE *to, const char *prefix, const char *text)
{
    (void)fputs(prefix, to);
    for (const char *c = text; *c != '\0'; c++) {
        bool is_control = (unsigned char)*c < 0x20 || *c == 0x7f;
        (void)fputc(is_control ? '?' : *c, to);
    }
    (void)fputc('\n', to);
}

int pf_cli_fail(struct pf_cli *cli, int exit_status, const char *what, const char *to_do)
{
    (void)fflush(cli->out); /* our words come after what was printed */
    put_line(cli->err, "proffer: ", what);
    put_line(cli->err, "  ", to_do);
    return exit_status;
}

int pf_cli_usage(struct pf_cli *cli, const char *what, const char *to_do)
{
    int status = PF_EXIT_USAGE;
    if (cli->args.cmd != NULL && cli->args.cmd->usage_exit != 0) {
        status = cli->args.cmd->usage_exit;
    }
    return pf_cli_fail(cli, status, what, to_do);
}

void pf_cli_note(struct pf_cli *cli, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct pf_str s = pf_arena_vprintf(&cli->arena, fmt, ap);
    va_end(ap);
    (void)fflush(cli->out);
    put_line(cli->err, "proffer: ", s.at);
}

bool pf_cli_confirm(struct pf_cli *cli, const char *question)
{
    if (!cli->in_is_terminal || !cli->err_is_terminal) {
        return false;
    }
    (void)fprintf(cli->err, "%s [y/N] ", question);
    (void)fflush(cli->err);
    char answer[16];
    if (fgets(answer, (int)sizeof answer, stdin) == NULL) {
        return false;
    }
    return strcmp(answer, "y\n") == 0 || strcmp(answer, "yes\n") == 0 || strcmp(answer, "Y\n") == 0;
}

static const struct pf_cli_option global_options[] = {
    {.name = "version", .kind = PF_ARG_FLAG, .help = "this program's version"},
};

/* What may stand before the verb. */
static const struct pf_command global = {
    .name = "",
    .operands = "VERB",
    .max_operands = PF_ARGV_MAX,
    .stops_at_operand = true,
    .sets = PF_SET_CLUSTER,
    .options = PF_CLI_OPTIONS(global_options),
};

static int unknown_verb(struct pf_cli *cli, const char *verb)
{
    const char *meant = pf_command_suggest(verb);
    return pf_cli_fail(cli, PF_EXIT_USAGE, pf_cli_text(cli, "there is no verb '%s'", verb),
                       meant != NULL ? pf_cli_text(cli, "did you mean '%s'?", meant)
                                     : "proffer help lists them all");
}

static int run_verb(struct pf_cli *cli, const struct pf_command *cmd, int argc, char *const *argv)
{
    struct pf_err err = {0};
    const char *hint = NULL;
    cli->args.cmd = cmd;
    if (pf_args_parse(cmd, argc, argv, &cli->arena, &cli->args, &hint, &err) != 0) {
        return pf_cli_usage(cli, err.msg, hint);
    }
    if (cli->args.wants_help) {
        pf_help_verb(cli, cmd);
        return PF_EXIT_OK;
    }
    return cmd->run(cli);
}

static int dispatch(struct pf_cli *cli, int argc, char **argv)
{
    struct pf_err err = {0};
    const char *hint = NULL;
    struct pf_args before = {0};
    if (pf_args_parse(&global, argc - 1, argv + 1, &cli->arena, &before, &hint, &err) != 0) {
        return pf_cli_fail(cli, PF_EXIT_USAGE, err.msg, hint);
    }
    if (before.wants_help) {
        pf_help_all(cli, cli->out);
        return PF_EXIT_OK;
    }
    if (pf_args_has(&before, "version")) {
        return run_verb(cli, pf_command_find("version"), 0, NULL);
    }
    if (before.n_operands == 0) {
        pf_help_all(cli, cli->err);
        return PF_EXIT_USAGE;
    }
    const struct pf_command *cmd = pf_command_find(before.operand[0]);
    if (cmd == NULL) {
        return unknown_verb(cli, before.operand[0]);
    }
    /* what stood before the verb is parsed again as if it stood behind it */
    int n_before = argc - 1 - (int)before.n_operands;
    char **words = pf_arena_alloc(&cli->arena, (size_t)argc * sizeof *words);
    int n = 0;
    for (int i = 1; i < argc; i++) {
        if (i != n_before + 1) {
            words[n++] = argv[i];
        }
    }
    return run_verb(cli, cmd, n, words);
}

int pf_cli_main(struct pf_cli *cli, int argc, char **argv)
{
    cli->program = argc > 0 ? argv[0] : "proffer";
    int status = dispatch(cli, argc, argv);
    if ((fflush(cli->out) != 0 || ferror(cli->out)) && status == PF_EXIT_OK) {
        status = pf_cli_fail(cli, PF_EXIT_FAILED,
                             pf_cli_text(cli, "cannot write the output: %s", strerror(errno)),
                             "what was printed is not complete: look at where it goes");
    }
    return status;
}
