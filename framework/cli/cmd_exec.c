/* SPDX-License-Identifier: Apache-2.0 */
/* proffer exec TASK -- COMMAND...: a command beside a task that runs, on its machine, in its
 * sandbox, with its user, its environment and its limits. */
#include <stdlib.h>
#include "framework/cli/remote.h"
#include "framework/cli/session.h"
#include "framework/cli/table.h"
#include "framework/cli/tty.h"

#define ENV_MAX 1024

struct exec {
    struct pf_session session;
    struct pf_remote_spec spec;
    struct pf_str env[ENV_MAX + 1];
};

/* -e NAME takes our own value, -e NAME=VALUE this one. */
static int add_env(struct exec *e)
{
    struct pf_cli *cli = e->session.cli;
    uint32_t cursor = 0, n = 0;
    const char *text;

    while ((text = pf_args_next(&cli->args, "env", &cursor)) != NULL && n < ENV_MAX) {
        const char *value = strchr(text, '=') == NULL ? cli->env(text) : NULL;
        if (text[0] == '\0' || text[0] == '=') {
            return pf_cli_usage(cli, pf_cli_text(cli, "'-e %s' names no variable", text),
                                "-e NAME=VALUE, or -e NAME for the value that it has here");
        }
        if (strchr(text, '=') != NULL) {
            e->env[n++] = pf_str(text);
        } else if (value != NULL) {
            e->env[n++] = pf_str(pf_cli_text(cli, "%s=%s", text, value));
        }
    }
    if (e->spec.has_terminal) {
        e->env[n++] = pf_str(pf_cli_text(cli, "TERM=%s", pf_tty_term()));
    }
    e->spec.env = e->env;
    e->spec.n_env = n;
    return 0;
}

static int find_task(struct exec *e)
{
    struct pf_cli *cli = e->session.cli;
    struct pf_client *client = NULL;
    struct pf_ptrs tasks = {0};
    struct pf_args whole = cli->args;
    int status = pf_client_of(cli, &e->session.cluster, &client);

    cli->args.n_operands = 1; /* the rest is the command */
    status = status != 0 ? status : pf_session_tasks(&e->session, client, &tasks);
    cli->args = whole;
    pf_client_close(client);
    if (status == 0 && tasks.len != 1) {
        status = pf_cli_fail(cli, PF_EXIT_OURS,
                             tasks.len == 0 ? "it has no task that runs"
                                            : pf_cli_text(cli,
                                                          "'%s' has %u tasks, and a command runs "
                                                          "beside one",
                                                          whole.operand[0], (unsigned)tasks.len),
                             "proffer ps lists them; a task of a run is called RUN.0, RUN.1, ...");
    }
    if (status == 0) {
        const struct pf_named_task *t = tasks.at[0];
        e->spec.agent_address = t->agent_address;
        e->spec.framework_id = t->framework_id;
        e->spec.task_id = t->task_id;
        if (t->agent_address.len == 0) {
            status = pf_cli_fail(cli, PF_EXIT_OURS, "its agent is not known at the moment",
                                 "proffer agents shows whether it is back");
        }
    }
    pf_ptrs_fini(&tasks);
    return status;
}

static int run(struct pf_cli *cli)
{
    struct exec *e = pf_arena_zalloc(&cli->arena, sizeof *e);
    bool wants_terminal = pf_args_has(&cli->args, "tty");

    if (cli->args.n_operands < 2) {
        return pf_cli_usage(cli, "there is no command to run",
                            "proffer exec TASK -- COMMAND [ARGUMENT...]");
    }
    if (wants_terminal && !pf_tty_is_here()) {
        return pf_cli_usage(cli, "-t needs a terminal, and standard input or output is none",
                            "leave out -t; -i passes standard input on");
    }
    e->spec = (struct pf_remote_spec){
        .args = cli->args.operand + 1,
        .n_args = cli->args.n_operands - 1,
        .cwd = pf_args_text(&cli->args, "cwd"),
        .sends_stdin = wants_terminal || pf_args_has(&cli->args, "interactive"),
        .has_terminal = wants_terminal,
    };
    int status = pf_session_open(cli, &e->session), exit_status = 0;
    if (status != 0) {
        return status;
    }
    status = add_env(e);
    status = status != 0 ? status : find_task(e);
    struct pf_err err = {0};
    if (status == 0) {
        fflush(cli->out);
        status = pf_remote_run(&e->session, &e->spec, &exit_status, &err) != 0
                     ? pf_session_fail(&e->session, &err)
                     : exit_status;
    }
    pf_session_close(&e->session);
    return status;
}

static const struct pf_cli_option options[] = {
    {.name = "interactive", .letter = 'i', .kind = PF_ARG_FLAG, .help = "pass standard input on"},
    {.name = "tty",
     .letter = 't',
     .kind = PF_ARG_FLAG,
     .help = "with a terminal of its own, shown in this one (implies -i)"},
    {.name = "env",
     .letter = 'e',
     .is_repeated = true,
     .kind = PF_ARG_TEXT,
     .arg = "NAME[=VALUE]",
     .help = "a variable on top of the task's"},
    {.name = "cwd", .kind = PF_ARG_TEXT, .arg = "PATH", .help = "instead of the sandbox"},
};

const struct pf_command pf_cmd_exec = {
    .name = "exec",
    .group = "run",
    .summary = "run a command beside a task",
    .operands = "TASK -- COMMAND...",
    .about = "The command runs on the task's machine, in its sandbox, as its user, with its "
             "environment and within its limits. It ends with the task, and when this command is "
             "interrupted or its link breaks.",
    .min_operands = 1,
    .max_operands = PF_ARGV_MAX,
    .complete = PF_COMPLETE_TASK,
    .sets = PF_SET_CLUSTER,
    .options = PF_CLI_OPTIONS(options),
    .examples = {{"proffer exec last -- ls -l", "what lies in its sandbox"},
                 {"proffer exec -t k7m2.0 -- sh", "a shell there"},
                 {"proffer exec -i k7m2.0 -- tar x <data.tar", "with our standard input"}},
    .exits = "the command's own; 126, 127 not executable, not found; 128 + signal; 125 ours",
    .usage_exit = PF_EXIT_OURS,
    .run = run,
};
