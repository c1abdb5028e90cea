/* SPDX-License-Identifier: Apache-2.0 */
/* See drill_run.h. Callbacks only note what happened; pf_drill_run() looks at everything after each
 * turn of the loop and decides what comes next. */
#include "framework/cli/drill_run.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "common/base/buf.h"
#include "common/sys/clock.h"
#include "framework/cli/drill_run_internal.h"
#include "framework/cli/drill_stats.h"

enum { LOOK_MS = 20, DWELL_MAX_MS = 300, FINISH_MS = 60000, NEVER = -1 };

/* --- what is heard --------------------------------------------------------------------------- */

static void measure(struct pf_drill_runner *r, enum pf_drill_measure what, int64_t at_us)
{
    int64_t *us = &pf_drill_round_of(r)->us[what];
    if (r->origin_us > 0 && at_us > r->origin_us && *us == NEVER) {
        *us = at_us - r->origin_us;
    }
}

static bool is_striking(const struct pf_drill_runner *r)
{
    return r->phase == PF_DRILL_STRIKING;
}

static void on_leader(void *ctx, const struct pf_seen_master *leader, int64_t at_us)
{
    struct pf_drill_runner *r = ctx;
    if (is_striking(r) && r->origin_us > 0 && leader->epoch > r->origin_epoch) {
        measure(r, PF_MEASURE_LEADER, at_us);
        r->leader_us = r->leader_us == 0 ? at_us : r->leader_us;
    }
}

static void on_change(void *ctx)
{
    (void)ctx; /* looked at after the turn */
}

static void on_census(void *ctx, const struct pf_drill_census *census)
{
    struct pf_drill_runner *r = ctx;
    if (!is_striking(r) || r->origin_us == 0 || census->asked_us <= r->origin_us) {
        return;
    }
    const struct pf_drill *d = pf_drill_round_of(r)->drill;
    if (d->expect == PF_EXPECT_NEW_LEADER && census->epoch <= r->origin_epoch) {
        return;
    }
    int64_t now_us = pf_now_us();
    const struct pf_drill_framework *killed =
        r->killed_framework >= 0 ? pf_drill_load_framework(r->load, (uint32_t)r->killed_framework)
                                 : NULL;
    if (pf_drill_agents_back(r, census)) {
        measure(r, PF_MEASURE_AGENTS, now_us);
    }
    if (pf_drill_frameworks_back(r, census) &&
        (killed == NULL || killed->subscribed_us > r->origin_us)) {
        measure(r, PF_MEASURE_FRAMEWORKS, now_us);
    }
}

static void drill_problem(struct pf_drill_runner *r, const char *text)
{
    if (r->problem == NULL) {
        r->problem = pf_cli_text(r->s->cli, "%s", text);
        pf_cli_note(r->s->cli, "%s", text);
    }
}

static void on_wrong(void *ctx, const char *text)
{
    drill_problem(ctx, text);
}

/* Is what framework `i` does now done under the order of things after the strike? */
static bool is_after(struct pf_drill_runner *r, uint32_t i, int64_t at_us)
{
    const struct pf_drill_framework *f = pf_drill_load_framework(r->load, i);
    const struct pf_drill *d = pf_drill_round_of(r)->drill;
    if (r->origin_us == 0 || at_us <= r->origin_us || f->subscribed_us > at_us) {
        return false;
    }
    if (r->killed_framework >= 0 &&
        ((uint32_t)r->killed_framework != i || f->subscribed_us <= r->origin_us)) {
        return false;
    }
    return d->expect != PF_EXPECT_NEW_LEADER || f->epoch > r->origin_epoch;
}

/* How long a framework that wants something gets no offer: those who waited when the strike came
 * count from then on. */
static void waited(struct pf_drill_runner *r, const struct pf_drill_framework *f, int64_t since_us,
                   int64_t until_us)
{
    int64_t *us = &pf_drill_round_of(r)->us[PF_MEASURE_WAIT];
    since_us = since_us > r->origin_us ? since_us : r->origin_us;
    if (r->origin_us > 0 && f->subscribed_us > 0 && until_us - since_us > *us) {
        *us = until_us - since_us;
    }
}

static void on_word(void *ctx, uint32_t i, bool was_accept)
{
    struct pf_drill_runner *r = ctx;
    const struct pf_drill_framework *f = pf_drill_load_framework(r->load, i);
    if (!is_striking(r)) {
        return;
    }
    if (was_accept && r->accept_us == 0) {
        r->accept_us = f->accept_us;
    }
    if (f->waited_us > 0) {
        waited(r, f, f->offers_us - f->waited_us, f->offers_us);
    }
    if (is_after(r, i, f->offers_us)) {
        measure(r, PF_MEASURE_OFFER, f->offers_us);
    }
    if (was_accept && r->first_accept[i] == 0 && is_after(r, i, f->accept_us)) {
        r->first_accept[i] = (int64_t)f->accept_seq + 1;
    }
    if (r->first_accept[i] > 0 && (int64_t)f->running_seq + 1 >= r->first_accept[i] &&
        is_after(r, i, f->running_us)) {
        measure(r, PF_MEASURE_TASK, f->running_us);
    }
}

static void on_signal(void *ctx, int signo)
{
    struct pf_drill_runner *r = ctx;
    (void)signo;
    r->is_interrupted = true;
    drill_problem(r, "interrupted");
}

/* --- rounds ---------------------------------------------------------------------------------- */

static void phase_set(struct pf_drill_runner *r, enum pf_drill_phase phase, int64_t within_ms)
{
    r->phase = phase;
    r->phase_us = pf_now_us();
    r->deadline_ms = pf_now_ms() + within_ms;
    r->missing[0] = '\0';
}

static bool is_back(struct pf_drill_runner *r)
{
    const struct pf_drill_round *round = pf_drill_round_of(r);
    bool needs_leader = round->drill->expect == PF_EXPECT_NEW_LEADER;
    for (int m = 0; m < PF_MEASURE_COUNT; m++) {
        if (round->us[m] == NEVER && m != PF_MEASURE_WAIT &&
            (m != PF_MEASURE_LEADER || needs_leader)) {
            return false;
        }
    }
    return r->origin_us > 0;
}

static void origin_set(struct pf_drill_runner *r)
{
    struct pf_drill_round *round = pf_drill_round_of(r);
    for (int m = 0; m < PF_MEASURE_COUNT; m++) {
        round->us[m] = NEVER;
    }
    memset(r->first_accept, 0, sizeof r->first_accept);
    r->origin_epoch = pf_drill_view_epoch(r->view);
    r->leader_us = r->service_us = 0;
    r->origin_us = pf_now_us();
}

/* When the next step is due, as pf_now_us(); INT64_MAX: something must happen first. */
static int64_t step_due_us(const struct pf_drill_runner *r, const struct pf_drill_round *round)
{
    const struct pf_drill_step *s = &round->drill->step[r->step];
    int64_t ms_us = (int64_t)s->ms * 1000;
    int32_t for_ms = r->plan->for_ms > 0 ? r->plan->for_ms : round->drill->for_ms;
    switch (s->when) {
    case PF_WHEN_THEN: return r->step_us + ms_us;
    case PF_WHEN_LEADER: return r->leader_us > 0 ? r->leader_us + ms_us : INT64_MAX;
    case PF_WHEN_SERVICE: return r->service_us > 0 ? r->service_us + ms_us : INT64_MAX;
    case PF_WHEN_FOR: return r->step_us + (int64_t)for_ms * 1000;
    case PF_WHEN_ACCEPT: return r->accept_us > 0 ? r->accept_us + round->sweep_us : INT64_MAX;
    }
    return INT64_MAX;
}

static void round_begin(struct pf_drill_runner *r)
{
    struct pf_drill_round *round = pf_drill_round_of(r);
    const struct pf_seen_master *leader = pf_drill_view_leader(r->view);
    round->begin_us = pf_now_us();
    round->epoch_before = pf_drill_view_epoch(r->view);
    r->step = 0;
    r->step_us = round->begin_us;
    r->origin_us = r->accept_us = r->leader_us = r->service_us = 0;
    r->killed_agent_pid = 0;
    r->killed_framework = -1;
    if (leader != NULL) {
        r->old_pid = leader->pid;
        (void)snprintf(r->old_host, sizeof r->old_host, "%s", leader->hostname);
        (void)snprintf(r->old_address, sizeof r->old_address, "%s", leader->address);
        (void)snprintf(r->old_instance, sizeof r->old_instance, "%s", leader->instance);
        (void)snprintf(round->leader_before, sizeof round->leader_before, "%s", leader->address);
    }
    int32_t for_ms = r->plan->for_ms > 0 ? r->plan->for_ms : round->drill->for_ms;
    phase_set(r, PF_DRILL_STRIKING, (int64_t)r->plan->deadline_ms + for_ms);
}

static void round_tell(struct pf_drill_runner *r, const struct pf_drill_round *round)
{
    struct pf_buf text = {0};
    static const char *const words[PF_MEASURE_COUNT] = {"new leader", "offer",      "task",
                                                        "agents",     "frameworks", "wait"};
    pf_buf_printf(&text, "%" PRIu32 "/%" PRIu32 " %s:", r->i + 1, r->plan->n, round->drill->name);
    for (int m = 0; m < PF_MEASURE_COUNT; m++) {
        if (round->us[m] != NEVER) {
            pf_buf_printf(&text, " %s ", words[m]);
            pf_samples_show(round->us[m], &text);
        }
    }
    pf_buf_printf(&text, "%s%s", round->problem[0] != '\0' ? ": " : "", round->problem);
    pf_cli_note(r->s->cli, "%s", pf_buf_cstr(&text));
    pf_buf_fini(&text);
}

/* The strike is over; what it left is undone, and the cluster has to become whole again. */
static void round_end(struct pf_drill_runner *r)
{
    struct pf_drill_round *round = pf_drill_round_of(r);
    const struct pf_seen_master *leader = pf_drill_view_leader(r->view);
    pf_drill_heal(r);
    round->end_us = pf_now_us();
    for (uint32_t i = 0; i < pf_drill_load_count(r->load); i++) {
        const struct pf_drill_framework *f = pf_drill_load_framework(r->load, i);
        if (f->want_us > 0) {
            waited(r, f, f->want_us, round->end_us);
        }
    }
    round->epoch_after = pf_drill_view_epoch(r->view);
    (void)snprintf(round->leader_after, sizeof round->leader_after, "%s",
                   leader != NULL ? leader->address : "");
    round_tell(r, round);
    r->killed_agent_pid = 0;
    phase_set(r, PF_DRILL_GATHERING, r->plan->deadline_ms);
}

static void round_miss(struct pf_drill_runner *r)
{
    static const char *const words[PF_MEASURE_WAIT] = {"no new leader", "no offer", "no task ran",
                                                       "not all agents came back",
                                                       "not all frameworks came back"};
    struct pf_drill_round *round = pf_drill_round_of(r);
    const char *what = "the strike never came";
    for (int m = PF_MEASURE_WAIT - 1; m >= 0 && r->origin_us > 0; m--) {
        if (round->us[m] == NEVER &&
            (m != PF_MEASURE_LEADER || round->drill->expect == PF_EXPECT_NEW_LEADER)) {
            what = words[m];
        }
    }
    (void)snprintf(round->problem, sizeof round->problem, "%s within %" PRId32 " s", what,
                   r->plan->deadline_ms / 1000);
}

static void strike(struct pf_drill_runner *r)
{
    struct pf_drill_round *round = pf_drill_round_of(r);
    if (r->service_us == 0 && is_back(r)) {
        r->service_us = pf_now_us();
    }
    while (r->step < round->drill->n_steps) {
        const struct pf_drill_step *s = &round->drill->step[r->step];
        int64_t due_us = step_due_us(r, round);
        if (due_us > pf_now_us()) {
            r->due_ms = due_us < INT64_MAX ? due_us / 1000 : INT64_MAX;
            break;
        }
        if (s->is_origin) {
            origin_set(r);
        }
        r->step_us = pf_now_us();
        if (pf_drill_step_run(r, s) != 0) {
            round_end(r);
            return;
        }
        r->step++;
    }
    if (r->step == round->drill->n_steps && is_back(r)) {
        round_end(r);
    } else if (pf_now_ms() >= r->deadline_ms) {
        round_miss(r);
        round_end(r);
    }
}

/* The cluster is whole after a round: is it as it must be? */
static void round_check(struct pf_drill_runner *r, struct pf_drill_round *round)
{
    uint64_t epoch = pf_drill_view_epoch(r->view);
    const struct pf_drill *d = round->drill;
    bool undoes = d->n_steps > 1 && d->step[d->n_steps - 1].op == PF_DRILL_NOTHING;
    if (round->problem[0] != '\0') {
        return;
    }
    if (d->expect == PF_EXPECT_SAME_LEADER && epoch != round->epoch_before) {
        (void)snprintf(round->problem, sizeof round->problem,
                       "the leadership changed (epoch %" PRIu64 " to %" PRIu64
                       ") although nothing had happened to the leader",
                       round->epoch_before, epoch);
    } else if (d->expect == PF_EXPECT_NEW_LEADER && undoes && epoch != r->origin_epoch + 1) {
        (void)snprintf(round->problem, sizeof round->problem,
                       "the leadership changed more than once (epoch %" PRIu64 " to %" PRIu64
                       "): the former leader did more than to step down",
                       r->origin_epoch, epoch);
    }
    if (round->problem[0] != '\0') {
        pf_cli_note(r->s->cli, "%s: %s", d->name, round->problem);
    }
}

static void finish(struct pf_drill_runner *r)
{
    struct pf_err err = {0};
    phase_set(r, PF_DRILL_FINISHING, FINISH_MS);
    pf_drill_view_rest(r->view);
    if (pf_drill_load_finish(r->load, &err) != 0) {
        drill_problem(r, err.msg);
    }
}

static void gather(struct pf_drill_runner *r)
{
    uint32_t n_masters;
    if (!pf_drill_is_whole(r)) {
        if (pf_now_ms() >= r->deadline_ms) {
            drill_problem(r,
                          pf_cli_text(r->s->cli, "the cluster is not whole after %" PRId32 " s: %s",
                                      r->plan->deadline_ms / 1000, r->missing));
            finish(r);
        }
        return;
    }
    (void)pf_drill_view_masters(r->view, &n_masters);
    r->n_masters = n_masters;
    struct pf_drill_round *round = pf_drill_round_of(r);
    if (round->end_us > 0) {
        round_check(r, round);
        r->i++;
    }
    if (r->i == r->plan->n || r->is_interrupted) {
        r->i = r->i < r->plan->n ? r->i : r->plan->n - 1;
        finish(r);
        return;
    }
    phase_set(r, PF_DRILL_DWELLING, 0);
    r->due_ms = pf_now_ms() + r->plan->rest_ms + (int64_t)pf_rng_below(&r->rng, DWELL_MAX_MS);
}

static void advance(struct pf_drill_runner *r)
{
    r->due_ms = r->phase == PF_DRILL_DWELLING ? r->due_ms : INT64_MAX;
    switch (r->phase) {
    case PF_DRILL_GATHERING: gather(r); break;
    case PF_DRILL_DWELLING:
        if (pf_now_ms() >= r->due_ms) {
            round_begin(r);
            strike(r);
        }
        break;
    case PF_DRILL_STRIKING: strike(r); break;
    case PF_DRILL_FINISHING:
        if (pf_drill_load_is_over(r->load)) {
            r->phase = PF_DRILL_DONE;
        } else if (pf_now_ms() >= r->deadline_ms) {
            drill_problem(r, "not all tasks were told to have ended: see what is lost");
            r->phase = PF_DRILL_DONE;
        }
        break;
    case PF_DRILL_DONE: break;
    }
    int64_t look_ms = pf_now_ms() + LOOK_MS;
    pf_timer_set(r->timer, r->due_ms < look_ms ? r->due_ms : look_ms);
}

static void on_time(void *ctx)
{
    (void)ctx; /* it ended the waiting: advance() does the rest */
}

/* --- the whole ------------------------------------------------------------------------------- */

static int open_all(struct pf_drill_runner *r, const char *program, struct pf_err *err)
{
    static const struct pf_drill_view_ops view_ops = {on_leader, on_change, on_census, on_wrong};
    static const struct pf_drill_load_ops load_ops = {on_word, on_wrong};
    const struct pf_drill_plan *p = r->plan;
    const struct pf_drill_load_options load = {
        .program = program,
        .masters = r->s->cluster.masters,
        .key_file = r->s->key != NULL ? r->s->cluster.key_file : NULL,
        .files = p->files,
        .n_frameworks = p->n_frameworks,
        .n_tasks = p->n_tasks,
        .n_sim_tasks = p->n_sim_tasks,
        .every_ms = p->every_ms,
    };
    r->timer = pf_timer_create(r->s->loop, PF_PRIO_NORMAL, on_time, r);
    int rc = pf_loop_on_signal(r->s->loop, SIGINT, on_signal, r, err);
    rc = rc != 0 ? rc : pf_loop_on_signal(r->s->loop, SIGTERM, on_signal, r, err);
    rc = rc != 0 ? rc
                 : pf_drill_view_create(r->s->loop, r->s->cluster.masters, r->s->key, &view_ops, r,
                                        &r->view, err);
    return rc != 0 ? rc : pf_drill_load_create(r->s->loop, &load, &load_ops, r, &r->load, err);
}

int pf_drill_run(struct pf_session *s, struct pf_drill_field *field, struct pf_drill_plan *plan,
                 struct pf_oracle *oracle, const struct pf_oracle_verdict **out_verdict,
                 const char **out_problem, struct pf_err *err)
{
    struct pf_drill_runner *r = pf_arena_zalloc(&s->cli->arena, sizeof *r);
    r->s = s;
    r->field = field;
    r->plan = plan;
    r->killed_framework = -1;
    pf_rng_seed(&r->rng, plan->seed);
    for (uint32_t i = 0; i < plan->n; i++) {
        for (int m = 0; m < PF_MEASURE_COUNT; m++) {
            plan->round[i].us[m] = NEVER;
        }
    }
    (void)signal(SIGPIPE, SIG_IGN); /* a framework that died is told by its pipe */
    int rc = open_all(r, "/proc/self/exe", err);
    if (rc == 0) {
        phase_set(r, PF_DRILL_GATHERING, plan->deadline_ms);
        pf_drill_view_ask(r->view);
        advance(r);
    }
    while (rc == 0 && r->phase != PF_DRILL_DONE) {
        rc = pf_loop_turn(s->loop, true, err);
        if (rc == 0) {
            advance(r);
        }
    }
    if (r->load != NULL) {
        pf_drill_heal(r);
    }
    rc = rc != 0 ? rc : pf_drill_load_read(r->load, oracle, err);
    *out_verdict = rc == 0 ? pf_oracle_judge(oracle) : NULL;
    *out_problem = r->problem;
    pf_drill_load_destroy(r->load);
    pf_drill_view_destroy(r->view);
    if (r->timer != NULL) {
        pf_timer_destroy(r->timer);
    }
    return rc;
}
