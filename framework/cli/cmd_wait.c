/* SPDX-License-Identifier: Apache-2.0 */
/* proffer wait ID...: until tasks have ended; their exit status is ours. */
#include <stdio.h>

#include "framework/cli/await.h"
#include "framework/cli/table.h"

struct waiting {
    struct pf_session session;
    struct pf_await *await;
    bool timed_out;
    struct pf_err failure;
};

static void on_done(void *ctx, const struct pf_err *err)
{
    struct waiting *w = ctx;
    if (err != NULL) {
        w->failure = *err;
    }
    pf_loop_stop(w->session.loop);
}

static void on_time(void *ctx)
{
    struct waiting *w = ctx;
    w->timed_out = true;
    pf_loop_stop(w->session.loop);
}

static int verdict(struct waiting *w)
{
    struct pf_cli *cli = w->session.cli;
    if (w->failure.code != 0) {
        return pf_session_fail(&w->session, &w->failure);
    }
    if (w->timed_out) {
        return pf_cli_fail(cli, PF_EXIT_TIMEOUT, "not all tasks have ended in the time given",
                           "they go on; proffer ps shows them");
    }
    uint32_t n;
    const struct pf_outcome *outcome = pf_await_outcomes(w->await, &n);
    int status = pf_outcomes_exit(outcome, n);
    if (n > 1 && status != 0) {
        struct pf_buf text = {0};
        pf_outcomes_summary(outcome, n, &text);
        pf_cli_note(cli, "%s", pf_buf_cstr(&text));
        pf_buf_fini(&text);
    } else if (n == 1 && pf_outcome_needs_words(outcome)) {
        struct pf_buf text = {0};
        pf_outcome_describe(outcome, &text);
        pf_cli_note(cli, "%s: %s", outcome->task_id != NULL ? outcome->task_id : "the task",
                    pf_buf_cstr(&text));
        pf_buf_fini(&text);
    }
    return status;
}

static int wait_for(struct waiting *w, const struct pf_entities *what)
{
    static const struct pf_await_ops ops = {NULL, on_done};
    struct pf_err err = {0};
    if (pf_await_create(&w->session, what, &ops, w, &w->await, &err) < 0) {
        return pf_session_fail(&w->session, &err);
    }
    int64_t timeout_ms = pf_args_num(&w->session.cli->args, "timeout", -1);
    struct pf_timer *timer = pf_timer_create(w->session.loop, PF_PRIO_NORMAL, on_time, w);
    if (timeout_ms >= 0) {
        pf_timer_set(timer, pf_loop_now_ms(w->session.loop) + timeout_ms);
    }
    int rc = pf_loop_run(w->session.loop, &err);
    int status = rc < 0 ? pf_session_fail(&w->session, &err) : verdict(w);
    pf_timer_destroy(timer);
    return status;
}

static int run(struct pf_cli *cli)
{
    struct waiting w = {0};
    int status = pf_session_open(cli, &w.session);
    if (status != 0) {
        return status;
    }
    struct pf_client *client = NULL;
    struct pf_entities what = {0};
    status = pf_client_of(cli, &w.session.cluster, &client);
    status = status != 0 ? status : pf_session_entities(&w.session, client, &what);
    pf_client_close(client);
    status = status != 0 ? status : wait_for(&w, &what);
    pf_await_destroy(w.await);
    pf_session_close(&w.session);
    return status;
}

static const struct pf_cli_option options[] = {
    {.name = "timeout",
     .kind = PF_ARG_DURATION,
     .arg = "TIME",
     .help = "give up after this long (exit status 124); the tasks go on"},
};

const struct pf_command pf_cmd_wait = {
    .name = "wait",
    .group = "run",
    .summary = "wait until tasks have ended; their exit status is its own",
    .operands = "ID...",
    .about = "Takes the last update of tasks started with run -d. Several may wait for the same "
             "task, also after it has ended: all get its status.",
    .min_operands = 1,
    .max_operands = PF_ARGV_MAX,
    .complete = PF_COMPLETE_TASK,
    .sets = PF_SET_CLUSTER,
    .options = PF_CLI_OPTIONS(options),
    .examples = {{"proffer wait last", "for the last run"},
                 {"proffer wait --timeout 1m k7m2", "for a minute at most"}},
    .exits = "the task's own (of several the highest), 128+signal, 124 time-out, 125 ours",
    .usage_exit = PF_EXIT_OURS,
    .run = run,
};
