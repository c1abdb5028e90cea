/* SPDX-License-Identifier: Apache-2.0 */
/* proffer logs ID...: the output of tasks, from their agents. */
#include <unistd.h>

#include "common/sys/clock.h"
#include "framework/cli/follow.h"
#include "framework/cli/lines.h"
#include "framework/cli/session.h"
#include "framework/cli/table.h"

#define GIVE_UP_MS 30000

struct logs {
    struct pf_session session;
    struct pf_follow *follow;
    struct pf_lines *lines;
    uint32_t n_open; /* streams */
    struct pf_err failure;
};

static void on_data(void *ctx, uint32_t user, int stream, struct pf_bytes data)
{
    struct logs *l = ctx;
    pf_lines_add(l->lines, user, stream, data);
    if (pf_lines_error(l->lines) != 0) {
        pf_loop_stop(l->session.loop);
    }
}

static void on_end(void *ctx, uint32_t user, int stream, const struct pf_err *err)
{
    struct logs *l = ctx;
    pf_lines_end(l->lines, user, stream);
    if (err != NULL && l->failure.code == 0) {
        l->failure = *err;
    }
    if (--l->n_open == 0) {
        pf_loop_stop(l->session.loop);
    }
}

static void add(struct logs *l, const struct pf_named_task *t)
{
    const struct pf_args *args = &l->session.cli->args;
    bool out = pf_args_has(args, "stdout"), err = pf_args_has(args, "stderr");
    int64_t since_ms = pf_args_num(args, "since", 0);
    struct pf_follow_task f = {
        .agent_address = t->agent_address,
        .framework_id = t->framework_id,
        .task_id = t->task_id,
        .user = t->index,
        .streams = {out || !err, err || !out},
        .follow = pf_args_has(args, "follow"),
        .tail_lines = (uint32_t)pf_args_num(args, "lines", 0),
        .since_ms = since_ms > 0 ? pf_wall_ms() - since_ms : 0,
    };
    l->n_open += (f.streams[0] ? 1u : 0) + (f.streams[1] ? 1u : 0);
    pf_follow_add(l->follow, &f);
}

static int read_all(struct logs *l, const struct pf_ptrs *tasks)
{
    static const struct pf_follow_ops ops = {on_data, on_end};
    static const int fds[] = {STDOUT_FILENO, STDERR_FILENO};
    struct pf_err err = {0};
    if (pf_follow_create(l->session.loop, l->session.key, GIVE_UP_MS, &ops, l, &l->follow, &err) <
        0) {
        return pf_session_fail(&l->session, &err);
    }
    l->lines = pf_lines_create(fds, tasks->len > 1);
    for (uint32_t i = 0; i < tasks->len; i++) {
        add(l, tasks->at[i]);
    }
    if (pf_loop_run(l->session.loop, &err) < 0) {
        return pf_session_fail(&l->session, &err);
    }
    if (pf_lines_error(l->lines) != 0) {
        return pf_lines_fail(l->lines, l->session.cli, PF_EXIT_FAILED);
    }
    return l->failure.code != 0 ? pf_session_fail(&l->session, &l->failure) : PF_EXIT_OK;
}

static int run(struct pf_cli *cli)
{
    struct logs l = {0};
    int status = pf_session_open(cli, &l.session);
    if (status != 0) {
        return status;
    }
    struct pf_client *client = NULL;
    struct pf_ptrs tasks = {0};
    status = pf_client_of(cli, &l.session.cluster, &client);
    status = status != 0 ? status : pf_session_tasks(&l.session, client, &tasks);
    pf_client_close(client);
    if (status == 0 && tasks.len == 0) {
        status = pf_cli_fail(cli, PF_EXIT_FAILED, "it has no task that ran, so there is no output",
                             "proffer why tells what a task waits for");
    }
    if (status == 0) {
        fflush(cli->out);
        status = read_all(&l, &tasks);
    }
    pf_follow_destroy(l.follow);
    pf_lines_destroy(l.lines);
    pf_ptrs_fini(&tasks);
    pf_session_close(&l.session);
    return status;
}

static const struct pf_cli_option options[] = {
    {.name = "follow",
     .letter = 'f',
     .kind = PF_ARG_FLAG,
     .help = "go on until the tasks have ended"},
    {.name = "lines",
     .letter = 'n',
     .kind = PF_ARG_COUNT,
     .arg = "LINES",
     .help = "begin with the last lines of each stream"},
    {.name = "since",
     .kind = PF_ARG_DURATION,
     .arg = "TIME",
     .help = "leave out streams that were last written to longer ago"},
    {.name = "stdout", .kind = PF_ARG_FLAG, .help = "standard output only"},
    {.name = "stderr", .kind = PF_ARG_FLAG, .help = "standard error only"},
};

const struct pf_command pf_cmd_logs = {
    .name = "logs",
    .group = "run",
    .summary = "show the output of tasks, also of ended ones",
    .operands = "ID...",
    .about = "Both streams come out where they went in: standard output on ours, standard error on "
             "ours. Of several tasks each line begins with the task's number.",
    .min_operands = 1,
    .max_operands = PF_ARGV_MAX,
    .complete = PF_COMPLETE_TASK,
    .sets = PF_SET_CLUSTER,
    .options = PF_CLI_OPTIONS(options),
    .examples = {{"proffer logs last", "of all tasks of the last run"},
                 {"proffer logs -f -n 10 k7m2.0", "the last ten lines, and what follows"}},
    .run = run,
};
