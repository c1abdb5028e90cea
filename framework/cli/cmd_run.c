/* SPDX-License-Identifier: Apache-2.0 */
/* proffer run: a command on the cluster as if it ran here. */
#include "framework/cli/run.h"
#include "framework/cli/table.h"

static int run(struct pf_cli *cli)
{
    struct pf_run r = {0};
    int status = pf_run_spec_read(cli, &r.spec);
    status = status != 0 ? status : pf_session_open(cli, &r.session);
    status = status != 0 ? status : pf_run_go(&r);
    pf_run_fini(&r);
    return status;
}

static const struct pf_cli_option options[] = {
    {.name = "cpus", .kind = PF_ARG_MILLI, .arg = "N", .help = "of each task (default 1)"},
    {.name = "mem", .kind = PF_ARG_SIZE, .arg = "SIZE", .help = "of each task (default 128M)"},
    {.name = "disk", .kind = PF_ARG_SIZE, .arg = "SIZE", .help = "of each task (default 0)"},
    {.name = "ports",
     .kind = PF_ARG_COUNT,
     .arg = "N",
     .help = "so many port numbers, in PROFFER_PORT_0, PROFFER_PORT_1, ..."},
    {.name = "count",
     .letter = 'n',
     .kind = PF_ARG_COUNT,
     .arg = "COUNT",
     .help = "so many tasks; PROFFER_TASK_INDEX tells them apart"},
    {.name = "name",
     .kind = PF_ARG_TEXT,
     .arg = "NAME",
     .help = "for people (default: the command)"},
    {.name = "role", .kind = PF_ARG_TEXT, .arg = "ROLE", .help = "default run/USER"},
    {.name = "constraint",
     .is_repeated = true,
     .kind = PF_ARG_TEXT,
     .arg = "ATTR=VALUE",
     .help = "only agents with this attribute; also !=, ~PATTERN, ATTR, !ATTR; hostname is one"},
    {.name = "env",
     .letter = 'e',
     .is_repeated = true,
     .kind = PF_ARG_TEXT,
     .arg = "NAME[=VALUE]",
     .help = "in the environment of the tasks; without VALUE our own one"},
    {.name = "env-file",
     .is_repeated = true,
     .kind = PF_ARG_TEXT,
     .arg = "FILE",
     .complete = PF_COMPLETE_FILE,
     .help = "lines NAME=VALUE"},
    {.name = "cwd",
     .kind = PF_ARG_TEXT,
     .arg = "PATH",
     .help = "working directory on the agent (default: the task's sandbox)"},
    {.name = "script",
     .kind = PF_ARG_TEXT,
     .arg = "FILE",
     .complete = PF_COMPLETE_FILE,
     .help = "run a copy of this file, made now (at most 256K), with the arguments given"},
    {.name = "uri",
     .is_repeated = true,
     .kind = PF_ARG_TEXT,
     .arg = "'URI [WORD]...'",
     .help = "bring this file to the sandbox first, unpacked if it is an archive; words: exec, "
             "packed, cache, as=PATH"},
    {.name = "user", .kind = PF_ARG_TEXT, .arg = "USER", .help = "run the tasks as this user"},
    {.name = "stdin",
     .letter = 'i',
     .kind = PF_ARG_FLAG,
     .help = "pass standard input on to the task (one task only)"},
    {.name = "tty",
     .letter = 't',
     .kind = PF_ARG_FLAG,
     .help = "with a terminal of its own, shown in this one (one task only; implies -i)"},
    {.name = "detach",
     .letter = 'd',
     .kind = PF_ARG_FLAG,
     .help = "print the id, return when all tasks are placed; see wait, attach, logs"},
    {.name = "timeout",
     .kind = PF_ARG_DURATION,
     .arg = "TIME",
     .help = "end a task that runs longer (exit status 124)"},
    {.name = "start-timeout",
     .kind = PF_ARG_DURATION,
     .arg = "TIME",
     .help = "give up if not all tasks could start by then; 0 = now or never"},
    {.name = "grace",
     .kind = PF_ARG_DURATION,
     .arg = "TIME",
     .help = "between TERM and KILL when a task is ended (default 10s)"},
    {.name = "orphan-after",
     .kind = PF_ARG_DURATION,
     .arg = "TIME",
     .help = "tasks end this long after this command was lost (default 5m; with -d 24h)"},
    {.name = "report",
     .kind = PF_ARG_TEXT,
     .arg = "FILE",
     .complete = PF_COMPLETE_FILE,
     .help = "write how each task ended, as JSON"},
    {.name = "quiet", .letter = 'q', .kind = PF_ARG_FLAG, .help = "say nothing but errors"},
    {.name = "verbose", .letter = 'v', .kind = PF_ARG_FLAG, .help = "say what happens"},
};

const struct pf_command pf_cmd_run = {
    .name = "run",
    .group = "run",
    .summary = "run a command on the cluster; its output and exit status are ours",
    .operands = "COMMAND [ARGUMENT]...",
    .about = "Output of one task comes out unchanged; of several, each line begins with the task's "
             "number. A task that waits says why. Ctrl-C ends the tasks with grace, again at once, "
             "again leaves them. Standard input is empty without -i.",
    .max_operands = PF_ARGV_MAX,
    .stops_at_operand = true,
    .complete = PF_COMPLETE_COMMAND,
    .sets = PF_SET_CLUSTER,
    .options = PF_CLI_OPTIONS(options),
    .examples = {{"proffer run -- uname -a", "one task"},
                 {"proffer run -n 20 --cpus 0.5 -- ./work.sh", "twenty of half a cpu"},
                 {"proffer run -i -- sort <in >out", "in a pipeline"},
                 {"proffer run -d --name web --ports 1 -- sh -c 'serve $PROFFER_PORT_0'",
                  "in the background"}},
    .exits =
        "the task's own (of several the highest), 126 not executable, 127 not found, 128+signal, "
        "124 time-out, 125 ours",
    .usage_exit = PF_EXIT_OURS,
    .run = run,
};
