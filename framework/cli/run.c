/* SPDX-License-Identifier: Apache-2.0 */
/* See run.h: placing the tasks and following what becomes of them. */
#include "framework/cli/run.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "common/sys/clock.h"
#include "common/sys/parse.h"
#include "framework/lib/scheduler.h"

#define FOLLOW_GIVE_UP_MS 60000
#define GIVE_UP_MS        5000 /* no master at all at the beginning */
#define NOTE_AFTER_MS     1000 /* a task that waits says why */
#define LEADERLESS_MS     5000 /* without a leader: say so */
#define SETTLE_MS         5000 /* a new leader hears of all agents */
#define FOLLOW_REFUSE_MS  0    /* of what an offer has left */

static void note(struct pf_run *r, const char *text)
{
    if (!r->spec.is_quiet) {
        pf_cli_note(r->session.cli, "%s", text);
    }
}

static bool all_ended(const struct pf_run *r)
{
    return r->n_ended == r->spec.count;
}

/* Nothing is left to do: the framework ends, or (detached) stays. */
static void check_over(struct pf_run *r)
{
    if (r->is_over || r->is_leaving) {
        return;
    }
    if (all_ended(r) && r->n_following == 0) {
        r->is_over = true;
        if (r->spec.is_detached) {
            pf_scheduler_stop(r->scheduler); /* the statuses are for `wait` */
        } else {
            pf_scheduler_teardown(r->scheduler);
        }
    }
}

/* Detached: every task is known to its agent, so nobody needs to stay. */
static void check_detached(struct pf_run *r)
{
    if (!r->spec.is_detached || r->is_over || r->n_unplaced > 0) {
        return;
    }
    for (uint32_t i = 0; i < r->spec.count; i++) {
        if (!r->outcome[i].is_known) {
            return;
        }
    }
    r->is_over = true;
    pf_scheduler_stop(r->scheduler);
}

void pf_run_abort(struct pf_run *r, int status)
{
    if (!r->is_over) {
        r->is_over = true;
        r->status = status;
        pf_scheduler_teardown(r->scheduler);
    }
}

/* --- demand and offers -------------------------------------------------------------------------
 */

static void demand(struct pf_run *r)
{
    struct pf_demand d;
    struct pf_problem problem = {0};
    struct pf_arena scratch = {0};
    pf_run_spec_demand(&r->spec, r->run_id, r->n_unplaced, &scratch, &d);
    int rc = pf_scheduler_demand(r->scheduler, &d, r->n_unplaced > 0 ? 1 : 0, &problem);
    pf_arena_fini(&scratch);
    if (rc < 0) {
        (void)pf_cli_fail(r->session.cli, PF_EXIT_OURS, problem.text,
                          "see proffer help run for what may be asked for");
        pf_run_abort(r, PF_EXIT_OURS);
    }
}

static void on_subscribed(void *ctx, struct pf_scheduler *s, const struct pf_subscription *sub)
{
    struct pf_run *r = ctx;
    (void)s;
    pf_timer_set(r->leader_timer, INT64_MAX);
    r->subscribed_ms = pf_loop_now_ms(r->session.loop);
    if (sub->is_again) {
        r->settles_until_ms = pf_loop_now_ms(r->session.loop) + SETTLE_MS;
        if (r->spec.is_verbose) {
            note(r, "connected again");
        }
        return;
    }
    r->run_id = pf_strdup(sub->framework_id);
    pf_last_run_set(r->session.cli, r->run_id);
    if (r->spec.is_detached) {
        fprintf(r->session.cli->out, "%s\n", r->run_id);
        fflush(r->session.cli->out);
    } else if (r->spec.is_verbose) {
        pf_cli_note(r->session.cli, "this is run %s", r->run_id);
    }
    demand(r);
}

static void on_disconnected(void *ctx, struct pf_scheduler *s, const char *why)
{
    struct pf_run *r = ctx;
    (void)s;
    pf_timer_set(r->leader_timer, pf_loop_now_ms(r->session.loop) + LEADERLESS_MS);
    if (r->spec.is_verbose) {
        note(r,
             pf_cli_text(r->session.cli, "the link to the master broke (%s); trying again", why));
    }
}

static void on_leaderless(void *ctx)
{
    struct pf_run *r = ctx;
    struct pf_buf why = {0};
    int64_t since_ms = pf_scheduler_leaderless_since(r->scheduler, &why);
    if (since_ms != INT64_MAX && !r->spec.is_quiet && !r->is_over) {
        pf_session_note_waiting(&r->session, pf_now_ms() - since_ms, pf_buf_cstr(&why));
    }
    pf_buf_fini(&why);
}

static void text_set(char **to, const char *text)
{
    pf_free(*to);
    *to = text != NULL ? pf_strdup(text) : NULL;
}

/* So many of the tasks fit the message of one launch: each carries its script and environment. The
 * rest is offered again. */
static uint32_t launch_max(const struct pf_run *r)
{
    size_t bytes = 2048 + r->spec.script.len;
    for (uint32_t i = 0; i < r->spec.env.len; i++) {
        bytes += strlen(r->spec.env.at[i]) + 64;
    }
    for (uint32_t i = 0; i < r->spec.argc; i++) {
        bytes += strlen(r->spec.argv[i]) + 16;
    }
    size_t n = PF_TASK_INFOS_MAX_BYTES / bytes;
    return n < 1 ? 1 : n > PF_TASKS_PER_ACCEPT_MAX ? PF_TASKS_PER_ACCEPT_MAX : (uint32_t)n;
}

/* The next tasks that were not placed, as many as the offer holds. */
static uint32_t take_unplaced(struct pf_run *r, const struct pf_offer_view *offer, uint32_t max,
                              struct pf_arena *scratch, struct pf_task_spec *spec)
{
    uint32_t n = 0;
    for (; r->next < r->spec.count && n < max; r->next++) {
        struct pf_run_task *t = &r->task[r->next];
        if (t->is_placed || pf_outcome_has_ended(&r->outcome[r->next])) {
            continue;
        }
        t->is_placed = true;
        t->tries++;
        text_set(&t->agent_address, offer->agent_address);
        text_set(&t->agent_id, offer->agent_id);
        pf_run_spec_task(&r->spec, r->run_id, r->next, scratch, &spec[n++]);
        if (r->spec.is_verbose) {
            note(r, pf_cli_text(r->session.cli, "%s.%u goes to %s", r->run_id, r->next,
                                offer->hostname));
        }
    }
    r->n_unplaced -= n;
    return n;
}

static void on_offers(void *ctx, struct pf_scheduler *s, const struct pf_offer_view *offers,
                      size_t n)
{
    struct pf_run *r = ctx;
    uint32_t at_once = launch_max(r);
    for (size_t i = 0; i < n; i++) {
        struct pf_arena scratch = {0};
        struct pf_problem problem = {0};
        uint32_t max = offers[i].demand_count < at_once ? offers[i].demand_count : at_once;
        max = max < r->n_unplaced && !r->is_over ? max : r->is_over ? 0 : r->n_unplaced;
        struct pf_task_spec *spec = pf_arena_zalloc(&scratch, (max + 1) * sizeof *spec);
        uint32_t n_tasks = max > 0 ? take_unplaced(r, &offers[i], max, &scratch, spec) : 0;
        if (pf_scheduler_accept(s, &offers[i].id, 1, spec, n_tasks, FOLLOW_REFUSE_MS, &problem) <
            0) {
            (void)pf_cli_fail(r->session.cli, PF_EXIT_OURS, problem.text,
                              "see proffer help run for what may be asked for");
            pf_run_abort(r, PF_EXIT_OURS);
        }
        pf_arena_fini(&scratch);
    }
    if (r->n_unplaced == 0) {
        pf_timer_set(r->start_timer, INT64_MAX);
        pf_timer_set(r->note_timer, INT64_MAX);
    }
}

static void note_waiting(struct pf_run *r)
{
    char waited[PF_FORMAT_DURATION_MAX];
    pf_format_duration((pf_loop_now_ms(r->session.loop) - r->began_ms) / 1000 * 1000, waited);
    r->was_noted = true;
    note(r, pf_cli_text(r->session.cli, "%s waiting %s: %s", r->run_id, waited, r->waiting));
}

static void on_demand(void *ctx, struct pf_scheduler *s, const struct pf_demand_status *status)
{
    struct pf_run *r = ctx;
    (void)s;
    if (status->state == PF_DEMAND_REFUSED) {
        (void)pf_cli_fail(
            r->session.cli, PF_EXIT_OURS,
            pf_cli_text(r->session.cli, "%s cannot run here: %s", r->run_id, status->text),
            "ask for less, or see proffer agents for what there is");
        pf_run_abort(r, PF_EXIT_OURS);
        return;
    }
    if (status->state != PF_DEMAND_WAITING || r->n_unplaced == 0) {
        return;
    }
    bool is_new = r->waiting == NULL || strcmp(r->waiting, status->text) != 0;
    text_set(&r->waiting, status->text);
    if (r->spec.start_timeout_ms == 0 && pf_loop_now_ms(r->session.loop) < r->settles_until_ms) {
        pf_timer_set(r->start_timer, r->settles_until_ms); /* not all agents are back */
    } else if (r->spec.start_timeout_ms == 0) {
        (void)pf_cli_fail(
            r->session.cli, PF_EXIT_OURS,
            pf_cli_text(r->session.cli, "%s cannot start now: %s", r->run_id, r->waiting),
            "leave out --start-timeout 0 to wait, or ask for less");
        pf_run_abort(r, PF_EXIT_OURS);
        return;
    }
    /* what a leader says that has just begun is soon out of date */
    int64_t note_ms = r->subscribed_ms + NOTE_AFTER_MS;
    if (pf_loop_now_ms(r->session.loop) < note_ms) {
        r->was_noted = false;
        pf_timer_set(r->note_timer, note_ms);
    } else if (is_new) {
        note_waiting(r);
    }
}

static void on_note_time(void *ctx)
{
    struct pf_run *r = ctx;
    if (r->n_unplaced > 0 && r->waiting != NULL && !r->was_noted) {
        note_waiting(r);
    }
}

static void on_start_time(void *ctx)
{
    struct pf_run *r = ctx;
    if (r->n_unplaced > 0) {
        (void)pf_cli_fail(r->session.cli, PF_EXIT_OURS,
                          pf_cli_text(r->session.cli,
                                      "%u of %u tasks could not start in the time given%s%s",
                                      r->n_unplaced, r->spec.count, r->waiting != NULL ? ": " : "",
                                      r->waiting != NULL ? r->waiting : ""),
                          "give --start-timeout more time, or ask for less");
        pf_run_abort(r, PF_EXIT_OURS);
    }
}

/* --- statuses and output -----------------------------------------------------------------------
 */

static void follow(struct pf_run *r, uint32_t i)
{
    struct pf_run_task *t = &r->task[i];
    if (t->is_followed || r->spec.is_detached || t->agent_address == NULL) {
        return;
    }
    t->is_followed = true;
    t->open_streams = PF_STREAM_COUNT;
    r->n_following++;
    pf_follow_add(r->follow, &(struct pf_follow_task){
                                 .agent_address = pf_str(t->agent_address),
                                 .framework_id = pf_str(r->run_id),
                                 .task_id = pf_str(r->outcome[i].task_id),
                                 .user = i,
                                 .streams = {true, true},
                                 .follow = true,
                             });
}

/* A reader that left ends the run, as it would end the command here. A full disk does not: the
 * tasks' work counts, and their output is still with the agents. */
static void check_output(struct pf_run *r)
{
    int error = pf_lines_error(r->lines);
    if (error == EPIPE) {
        pf_run_abort(r, 128 + SIGPIPE);
    } else if (error != 0 && r->status < 0) {
        r->status = pf_lines_fail(r->lines, r->session.cli, PF_EXIT_OURS);
    }
}

static void on_data(void *ctx, uint32_t user, int stream, struct pf_bytes data)
{
    struct pf_run *r = ctx;
    pf_lines_add(r->lines, user, stream, data);
    check_output(r);
}

static void on_stream_end(void *ctx, uint32_t user, int stream, const struct pf_err *err)
{
    struct pf_run *r = ctx;
    pf_lines_end(r->lines, user, stream);
    check_output(r);
    if (err != NULL && stream == PF_STREAM_STDOUT) {
        note(r,
             pf_cli_text(r->session.cli, "output of %s: %s", r->outcome[user].task_id, err->msg));
    }
    if (--r->task[user].open_streams == 0) {
        r->n_following--;
        check_over(r);
    }
}

static void outcome_set(struct pf_outcome *o, const struct pf_run_task *t,
                        const struct pf_task_status *status)
{
    o->is_known = true;
    o->state = (enum TaskState)status->state;
    text_set(&o->message, status->message);
    text_set(&o->agent_id, status->agent_id != NULL ? status->agent_id : t->agent_id);
    o->has_exit_status = status->has_exit_status;
    o->exit_status = status->exit_status;
    o->has_signal = status->signal != 0;
    o->signal = status->signal;
    o->is_unwell = status->has_healthy && !status->is_healthy;
    o->has_reason =
        status->reason != NULL && TaskStatus_Reason__parse(pf_str(status->reason), &o->reason);
    if (o->started_ms == 0 && status->state == PF_TASK_RUNNING) {
        o->started_ms = status->time_ms;
    }
    o->finished_ms = status->is_final ? status->time_ms : 0;
}

/* Which of our tasks, spec.count for none. */
static uint32_t index_of(const struct pf_run *r, const char *task_id)
{
    size_t len = r->run_id != NULL ? strlen(r->run_id) : 0;
    if (len == 0 || strncmp(task_id, r->run_id, len) != 0 || task_id[len] != '.') {
        return r->spec.count;
    }
    char *end;
    unsigned long i = strtoul(task_id + len + 1, &end, 10);
    return *end == '\0' && i < r->spec.count ? (uint32_t)i : r->spec.count;
}

/* Its agent never got it: it is placed again. */
static bool launch_again(struct pf_run *r, uint32_t i, const struct pf_task_status *status)
{
    struct pf_run_task *t = &r->task[i];
    if (status->state != PF_TASK_DROPPED || t->is_followed || r->is_over || r->n_interrupts > 0) {
        return false;
    }
    if (status->reason != NULL && strcmp(status->reason, "REASON_RECONCILIATION") == 0) {
        t->tries--; /* the leader changed: nobody refused it */
    }
    if (t->tries >= PF_RUN_LAUNCH_TRIES) {
        return false;
    }
    t->is_placed = false;
    r->next = i < r->next ? i : r->next;
    r->n_unplaced++;
    demand(r);
    return true;
}

static void on_status(void *ctx, struct pf_scheduler *s, const struct pf_task_status *status)
{
    struct pf_run *r = ctx;
    uint32_t i = index_of(r, status->task_id);
    bool is_ours = i < r->spec.count;
    if (status->wants_ack && !(is_ours && status->is_final)) {
        pf_scheduler_acknowledge(s, status->task_id, status->agent_id, status->uuid);
    }
    if (!is_ours || pf_outcome_has_ended(&r->outcome[i])) {
        return;
    }
    struct pf_outcome *o = &r->outcome[i];
    text_set(&o->task_id, status->task_id);
    if (r->spec.is_verbose) {
        note(r, pf_cli_text(r->session.cli, "%s %s%s%s", status->task_id,
                            pf_task_state_name(status->state), status->message != NULL ? ": " : "",
                            status->message != NULL ? status->message : ""));
    }
    if (status->is_final && launch_again(r, i, status)) {
        return;
    }
    outcome_set(o, &r->task[i], status);
    bool has_run = status->state == PF_TASK_RUNNING || status->state == PF_TASK_KILLING ||
                   (status->is_final && (status->has_exit_status || status->signal != 0));
    if (has_run) {
        follow(r, i);
    }
    if (status->state == PF_TASK_RUNNING && r->spec.has_stdin) {
        pf_run_stdin_begin(r);
    }
    if (status->is_final) {
        r->n_ended++;
    }
    check_detached(r);
    check_over(r);
}

static void on_error(void *ctx, struct pf_scheduler *s, const struct pf_problem *problem)
{
    struct pf_run *r = ctx;
    (void)s;
    /* all is done, and the framework ends by itself when nobody confirms that it shall */
    bool is_late = r->is_over && all_ended(r) && problem->code == PF_ERROR_TIMEOUT;
    r->is_over = true;
    if (r->status < 0 && !is_late) {
        struct pf_err err = {0};
        (void)pf_err_set(&err, problem->code, "%s", problem->text);
        (void)pf_session_fail(&r->session, &err);
        r->status = PF_EXIT_OURS;
    }
}

/* --- the loop ----------------------------------------------------------------------------------
 */

/* The library works whenever something of ours did, or its descriptor or time says so. */
static bool pump(void *ctx)
{
    struct pf_run *r = ctx;
    struct pf_problem problem = {0};
    int rc = pf_scheduler_process(r->scheduler, &problem);
    if (rc != 0) {
        pf_loop_stop(r->session.loop);
        return false;
    }
    int wait_ms = pf_scheduler_wait_ms(r->scheduler);
    if (wait_ms == 0) {
        return true;
    }
    pf_timer_set(r->pump_timer,
                 wait_ms < 0 ? INT64_MAX : pf_loop_now_ms(r->session.loop) + wait_ms);
    return false;
}

static void on_pump_time(void *ctx)
{
    (void)ctx; /* the end of this turn pumps */
}

static void on_pump_ready(void *ctx, unsigned ready)
{
    (void)ctx;
    (void)ready;
}

static int start(struct pf_run *r, struct pf_problem *problem)
{
    struct pf_scheduler_options o = PF_SCHEDULER_OPTIONS_INIT;
    o.masters = r->session.cluster.masters;
    o.key_file = r->session.key != NULL ? r->session.cluster.key_file : "";
    o.name = r->spec.name;
    o.user = r->spec.user;
    o.role = r->spec.role;
    o.failover_ms = r->spec.orphan_ms;
    o.is_durable = r->spec.is_detached;
    o.explicit_acks = r->spec.is_detached;
    o.is_partition_aware = true;
    o.give_up_ms = GIVE_UP_MS;
    struct pf_scheduler_callbacks c = PF_SCHEDULER_CALLBACKS_INIT;
    c.on_subscribed = on_subscribed;
    c.on_disconnected = on_disconnected;
    c.on_offers = on_offers;
    c.on_status = on_status;
    c.on_demand = on_demand;
    c.on_error = on_error;
    return pf_scheduler_create(&o, &c, r, &r->scheduler, problem);
}

static int prepare(struct pf_run *r, struct pf_err *err)
{
    static const struct pf_follow_ops follow_ops = {on_data, on_stream_end};
    static const int fds[] = {STDOUT_FILENO, STDERR_FILENO};
    struct pf_problem problem = {0};
    struct pf_loop *loop = r->session.loop;
    uint32_t n = r->spec.count;
    r->outcome = pf_alloc(n * sizeof *r->outcome);
    r->task = pf_alloc(n * sizeof *r->task);
    for (uint32_t i = 0; i < n; i++) {
        r->outcome[i].index = i;
    }
    r->n_unplaced = n;
    r->began_ms = pf_loop_now_ms(loop);
    r->lines = pf_lines_create(fds, n > 1);
    r->start_timer = pf_timer_create(loop, PF_PRIO_NORMAL, on_start_time, r);
    r->note_timer = pf_timer_create(loop, PF_PRIO_NORMAL, on_note_time, r);
    r->leader_timer = pf_timer_create(loop, PF_PRIO_NORMAL, on_leaderless, r);
    pf_timer_set(r->leader_timer, r->began_ms + LEADERLESS_MS + GIVE_UP_MS / 10);
    r->pump_timer = pf_timer_create(loop, PF_PRIO_NORMAL, on_pump_time, r);
    if (r->spec.start_timeout_ms > 0) {
        pf_timer_set(r->start_timer, r->began_ms + r->spec.start_timeout_ms);
    }
    int rc =
        pf_follow_create(loop, r->session.key, FOLLOW_GIVE_UP_MS, &follow_ops, r, &r->follow, err);
    if (rc < 0) {
        return rc;
    }
    int fd;
    if (start(r, &problem) < 0 || pf_scheduler_fd(r->scheduler, &fd, &problem) < 0) {
        return pf_err_set(err, problem.code, "%s", problem.text);
    }
    rc = pf_watch_create(loop, fd, PF_WATCH_READ, PF_PRIO_NORMAL, on_pump_ready, r, &r->pump_watch,
                         err);
    if (rc == 0) {
        pf_loop_set_on_turn(loop, pump, r);
        pf_timer_set(r->pump_timer, r->began_ms); /* the first turn begins to connect */
    }
    return rc;
}

/* The last words: what failed, the report. */
static int verdict(struct pf_run *r)
{
    struct pf_err err = {0};
    if (r->spec.report != NULL &&
        pf_outcomes_report(r->outcome, r->spec.count, r->spec.report, &err) < 0) {
        (void)pf_cli_fail(r->session.cli, PF_EXIT_OURS, err.msg, "the tasks ended all the same");
        return PF_EXIT_OURS;
    }
    if (r->status >= 0) {
        return r->status;
    }
    if (r->spec.is_detached && r->n_interrupts == 0) {
        return PF_EXIT_OK;
    }
    struct pf_buf text = {0};
    const struct pf_outcome *first = &r->outcome[0];
    int status = pf_outcomes_exit(r->outcome, r->spec.count);
    if (r->spec.count > 1) {
        pf_buf_printf(&text, "%s: ", r->run_id);
        pf_outcomes_summary(r->outcome, r->spec.count, &text);
        note(r, pf_buf_cstr(&text));
    } else if (pf_outcome_needs_words(first)) {
        pf_buf_printf(&text, "%s: ", first->task_id != NULL ? first->task_id : r->run_id);
        pf_outcome_describe(first, &text);
        note(r, pf_buf_cstr(&text));
    }
    pf_buf_fini(&text);
    return status;
}

int pf_run_go(struct pf_run *r)
{
    struct pf_err err = {0};
    r->status = -1;
    (void)signal(SIGPIPE, SIG_IGN); /* a reader that leaves is told by write() */
    int rc = prepare(r, &err);
    if (rc == 0) {
        int status = pf_run_signals(r);
        if (status != 0) {
            return status;
        }
        rc = pf_loop_run(r->session.loop, &err);
        pf_run_stdin_fini(r);
    }
    return rc < 0 ? pf_session_fail(&r->session, &err) : verdict(r);
}

void pf_run_fini(struct pf_run *r)
{
    if (r->session.loop != NULL) {
        pf_loop_set_on_turn(r->session.loop, NULL, NULL);
    }
    pf_watch_destroy(r->pump_watch);
    pf_run_stdin_fini(r);
    pf_scheduler_destroy(r->scheduler);
    pf_follow_destroy(r->follow);
    pf_lines_destroy(r->lines);
    pf_timer_destroy(r->start_timer);
    pf_timer_destroy(r->note_timer);
    pf_timer_destroy(r->leader_timer);
    pf_timer_destroy(r->pump_timer);
    for (uint32_t i = 0; i < r->spec.count && r->task != NULL; i++) {
        pf_outcome_fini(&r->outcome[i]);
        pf_free(r->task[i].agent_address);
        pf_free(r->task[i].agent_id);
    }
    pf_free(r->outcome);
    pf_free(r->task);
    pf_free(r->waiting);
    pf_free(r->run_id);
    pf_run_spec_fini(&r->spec);
    pf_session_close(&r->session);
}
