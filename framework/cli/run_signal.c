/* SPDX-License-Identifier: Apache-2.0 */
/* Ctrl-C and TERM: the first kills with grace, the second at once, the third leaves. */
#include "framework/cli/run.h"

#include <signal.h>
#include "framework/cli/tty.h"

/* What was not placed never will be. */
static void give_up_unplaced(struct pf_run *r)
{
    (void)pf_scheduler_demand(r->scheduler, NULL, 0, NULL);
    for (uint32_t i = 0; i < r->spec.count; i++) {
        if (!r->task[i].is_placed && !pf_outcome_has_ended(&r->outcome[i])) {
            r->task[i].is_placed = true;
            r->outcome[i].is_known = true;
            r->outcome[i].state = TaskState_TASK_KILLED;
            r->n_ended++;
        }
    }
    r->n_unplaced = 0;
}

static uint32_t kill_all(struct pf_run *r, int64_t grace_ms)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->spec.count; i++) {
        if (!pf_outcome_has_ended(&r->outcome[i])) {
            struct pf_str id = pf_arena_printf(&r->session.cli->arena, "%s.%u", r->run_id, i);
            pf_scheduler_kill(r->scheduler, id.at, grace_ms, 0);
            n++;
        }
    }
    return n;
}

static void leave(struct pf_run *r)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->spec.count; i++) {
        n += pf_outcome_has_ended(&r->outcome[i]) ? 0 : 1;
    }
    pf_cli_note(r->session.cli,
                "left; %u task%s of %s may still run: proffer ps, proffer kill '%s.*'", n,
                n == 1 ? "" : "s", r->run_id, r->run_id);
    r->is_leaving = true;
    r->is_over = true;
    pf_scheduler_stop(r->scheduler);
}

static void on_resize(struct pf_run *r)
{
    pf_tty_size(&r->spec.rows, &r->spec.columns);
    if (r->spec.has_terminal && r->task[0].is_followed) {
        pf_follow_resize(r->follow, pf_str(r->task[0].agent_address), pf_str(r->run_id),
                         pf_str(r->outcome[0].task_id), r->spec.rows, r->spec.columns);
    }
}

static void on_signal(void *ctx, int signo)
{
    struct pf_run *r = ctx;
    if (signo == SIGWINCH) {
        on_resize(r);
        return;
    }
    if (r->run_id == NULL) { /* nothing has begun */
        r->status = 128 + signo;
        r->is_over = true;
        pf_scheduler_stop(r->scheduler);
        return;
    }
    r->n_interrupts++;
    if (r->n_interrupts == 1) {
        give_up_unplaced(r);
        uint32_t n = kill_all(r, -1);
        if (n > 0) {
            pf_cli_note(r->session.cli, "cluster %s: killing %s; again to force",
                        r->session.cluster.name, r->run_id);
        } else if (r->n_following == 0) {
            r->status = 128 + signo; /* none ever ran */
            r->is_over = true;
            pf_scheduler_teardown(r->scheduler);
        }
    } else if (r->n_interrupts == 2) {
        (void)kill_all(r, 0);
        pf_cli_note(r->session.cli, "killing %s at once; again to leave", r->run_id);
    } else {
        r->status = 128 + signo;
        leave(r);
    }
}

int pf_run_signals(struct pf_run *r)
{
    struct pf_err err = {0};
    static const int signals[] = {SIGINT, SIGTERM, SIGWINCH};
    for (size_t i = 0; i < PF_ARRAY_LEN(signals); i++) {
        if (pf_loop_on_signal(r->session.loop, signals[i], on_signal, r, &err) < 0) {
            return pf_session_fail(&r->session, &err);
        }
    }
    return 0;
}
