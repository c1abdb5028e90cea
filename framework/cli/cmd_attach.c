/* SPDX-License-Identifier: Apache-2.0 */
/* proffer attach ID...: output and exit status of tasks that run already. */
#include <signal.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "framework/cli/await.h"
#include "framework/cli/follow.h"
#include "framework/cli/lines.h"
#include "framework/cli/table.h"

#define GIVE_UP_MS 30000

struct attached {
    struct pf_session session;
    struct pf_await *await;
    struct pf_follow *follow;
    struct pf_lines *lines;
    uint32_t n_open; /* streams */
    bool is_done, has_left;
    struct pf_err failure;
};

static void check_end(struct attached *a)
{
    if (a->failure.code != 0 || (a->is_done && a->n_open == 0)) {
        pf_loop_stop(a->session.loop);
    }
}

static void on_data(void *ctx, uint32_t user, int stream, struct pf_bytes data)
{
    struct attached *a = ctx;
    pf_lines_add(a->lines, user, stream, data);
    if (pf_lines_error(a->lines) != 0) {
        pf_loop_stop(a->session.loop);
    }
}

static void on_stream_end(void *ctx, uint32_t user, int stream, const struct pf_err *err)
{
    struct attached *a = ctx;
    pf_lines_end(a->lines, user, stream);
    if (err != NULL) {
        pf_cli_note(a->session.cli, "output of task %u: %s", user, err->msg);
    }
    a->n_open--;
    check_end(a);
}

static void on_done(void *ctx, const struct pf_err *err)
{
    struct attached *a = ctx;
    if (err != NULL) {
        a->failure = *err;
    }
    a->is_done = true;
    check_end(a);
}

static void on_signal(void *ctx, int signo)
{
    struct attached *a = ctx;
    (void)signo;
    a->has_left = true;
    pf_loop_stop(a->session.loop);
}

static int verdict(struct attached *a)
{
    if (a->failure.code != 0) {
        return pf_session_fail(&a->session, &a->failure);
    }
    if (pf_lines_error(a->lines) != 0) {
        return pf_lines_fail(a->lines, a->session.cli, PF_EXIT_OURS);
    }
    if (a->has_left) {
        return pf_cli_fail(a->session.cli, PF_EXIT_OURS, "left; the tasks go on",
                           "proffer attach shows them again, proffer kill ends them");
    }
    uint32_t n;
    const struct pf_outcome *outcome = pf_await_outcomes(a->await, &n);
    return pf_outcomes_exit(outcome, n);
}

static int attach_all(struct attached *a, const struct pf_entities *what,
                      const struct pf_ptrs *tasks)
{
    static const struct pf_follow_ops follow_ops = {on_data, on_stream_end};
    static const struct pf_await_ops await_ops = {NULL, on_done};
    static const int fds[] = {STDOUT_FILENO, STDERR_FILENO};
    struct pf_err err = {0};
    int rc = pf_follow_create(a->session.loop, a->session.key, GIVE_UP_MS, &follow_ops, a,
                              &a->follow, &err);
    rc = rc < 0 ? rc : pf_await_create(&a->session, what, &await_ops, a, &a->await, &err);
    rc = rc < 0 ? rc : pf_loop_on_signal(a->session.loop, SIGINT, on_signal, a, &err);
    rc = rc < 0 ? rc : pf_loop_on_signal(a->session.loop, SIGTERM, on_signal, a, &err);
    if (rc < 0) {
        return pf_session_fail(&a->session, &err);
    }
    a->lines = pf_lines_create(fds, tasks->len > 1);
    for (uint32_t i = 0; i < tasks->len; i++) {
        const struct pf_named_task *t = tasks->at[i];
        a->n_open += 2;
        pf_follow_add(a->follow, &(struct pf_follow_task){.agent_address = t->agent_address,
                                                          .framework_id = t->framework_id,
                                                          .task_id = t->task_id,
                                                          .user = t->index,
                                                          .streams = {true, true},
                                                          .follow = true});
    }
    rc = pf_loop_run(a->session.loop, &err);
    return rc < 0 ? pf_session_fail(&a->session, &err) : verdict(a);
}

static int run(struct pf_cli *cli)
{
    struct attached a = {0};
    int status = pf_session_open(cli, &a.session);
    if (status != 0) {
        return status;
    }
    struct pf_client *client = NULL;
    struct pf_entities what = {0};
    struct pf_ptrs tasks = {0};
    status = pf_client_of(cli, &a.session.cluster, &client);
    status = status != 0 ? status : pf_session_entities(&a.session, client, &what);
    status = status != 0 ? status : pf_session_tasks(&a.session, client, &tasks);
    pf_client_close(client);
    fflush(cli->out);
    status = status != 0 ? status : attach_all(&a, &what, &tasks);
    pf_await_destroy(a.await);
    pf_follow_destroy(a.follow);
    pf_lines_destroy(a.lines);
    pf_ptrs_fini(&tasks);
    pf_session_close(&a.session);
    return status;
}

const struct pf_command pf_cmd_attach = {
    .name = "attach",
    .group = "run",
    .summary = "show the output of running tasks from the start, then end as they do",
    .operands = "ID...",
    .about = "As if `run` had stayed. Ctrl-C leaves; the tasks go on.",
    .min_operands = 1,
    .max_operands = PF_ARGV_MAX,
    .complete = PF_COMPLETE_TASK,
    .sets = PF_SET_CLUSTER,
    .examples = {{"proffer attach last", "the last run"}},
    .exits = "the task's own (of several the highest), 128+signal, 124 time-out, 125 ours",
    .usage_exit = PF_EXIT_OURS,
    .run = run,
};
