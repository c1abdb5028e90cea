/* SPDX-License-Identifier: Apache-2.0 */
/* The end of an agent. It LEAVES: ends its tasks with their grace, waits until that is
 * acknowledged, unregisters, and its identity goes. It is GONE: ends its tasks, tells nobody, and
 * stays out. It CLEANS UP (--recover=cleanup): what a former start left is ended and told, then it
 * ends and comes back as the same agent. The first two are stored before anything else, so that a
 * start after a crash goes on. */
#include "agent/core/calls_internal.h"
#include "agent/core/executors_internal.h"

#include "common/base/alloc.h"

bool ag_orders_are_last(const struct pf_agent *a)
{
    return a->orders.is_leaving || a->orders.is_gone || a->orders.cleans;
}

/* --- stored --- */

void ag_orders_restore(struct pf_agent *a, struct Row_AgentIdentity row)
{
    struct orders *o = &a->orders;
    struct pf_fb_builder *b = pf_turn_builder(a->turn);

    o->is_leaving = Row_AgentIdentity_is_leaving(row);
    o->is_gone = Row_AgentIdentity_is_gone(row);
    o->has_grace = Row_AgentIdentity__has_leave_grace_ms(row);
    o->grace_ms = Row_AgentIdentity_leave_grace_ms(row);
    o->cut_off_ms = Row_AgentIdentity_cut_off_ms(row);
    o->is_cut_stored = o->cut_off_ms > 0;
    o->unreachable_ms = Row_AgentIdentity_unreachable_ms(row);
    if (Row_AgentIdentity__has_info(row)) {
        struct pf_msg info = AgentInfo__finish(b, AgentInfo__copy(b, Row_AgentIdentity_info(row)));
        o->info = pf_memdup(info.data, info.len);
        o->info_len = info.len;
    }
}

void ag_orders_forget(struct pf_agent *a)
{
    ag_orders_fini(a);
    a->orders = (struct orders){.until = AGENT_NEVER};
}

void ag_orders_fini(struct pf_agent *a)
{
    PF_FREE(a->orders.info);
    PF_FREE(a->orders.misfit);
}

void ag_orders_put(struct pf_agent *a, struct pf_fb_builder *b,
                   struct Row_AgentIdentity__args *args)
{
    const struct orders *o = &a->orders;

    args->is_leaving = o->is_leaving;
    args->is_gone = o->is_gone;
    args->leave_grace_ms = (struct pf_opt_i64){o->has_grace, o->grace_ms};
    args->cut_off_ms = o->is_cut_stored ? o->cut_off_ms : 0;
    args->unreachable_ms = o->unreachable_ms;
    args->info = ag_put_agent_info(a, b);
}

/* --- ends --- */

static void shutdown_executors(struct pf_agent *a, enum kill_reason reason)
{
    const struct orders *o = &a->orders;
    struct executor *next = NULL;

    for (struct executor *x = TAILQ_FIRST(&a->executors); x; x = next) {
        bool is_short = o->has_grace && o->grace_ms < x->grace_ms;

        next = TAILQ_NEXT(x, link);
        ag_executor_shutdown(a, x, reason,
                             reason == KILL_CLEANUP ? 0
                             : is_short             ? o->grace_ms
                                                    : -1);
    }
}

static void kill_all(struct pf_agent *a, enum kill_reason reason)
{
    const struct orders *o = &a->orders;
    struct task *next = NULL;
    bool is_last_of_all = reason == KILL_CLEANUP;

    for (struct task *t = TAILQ_FIRST(&a->live); t; t = next) {
        int64_t grace_ms = o->has_grace && o->grace_ms < t->grace_ms ? o->grace_ms : t->grace_ms;

        next = TAILQ_NEXT(t, link);
        if (reason == KILL_TEARDOWN) {
            t->run.fw->torn_down = true;
            ag_updates_drop(a, t);
        }
        if (!ag_run_is_ended(&t->run)) {
            ag_task_kill(a, t, reason, is_last_of_all ? 0 : grace_ms,
                         is_last_of_all ? AGENT_SIGKILL : AGENT_SIGTERM);
        } else if (reason == KILL_TEARDOWN) {
            ag_task_retire(a, t);
        }
    }
    shutdown_executors(a, reason);
}

void ag_on_leave(struct pf_agent *a, struct AgentLeave x)
{
    struct orders *o = &a->orders;

    if (o->is_gone) {
        return;
    }
    if (AgentLeave_is_gone(x)) {
        ag_link_leave(a, "gone");
        *o = (struct orders){
            .is_gone = true, .until = AGENT_NEVER, .info = o->info, .info_len = o->info_len};
        ag_row_put_identity(a);
        kill_all(a, KILL_TEARDOWN);
        return;
    }
    o->is_leaving = true;
    o->has_grace = AgentLeave__has_grace_max_ms(x);
    o->grace_ms = AgentLeave_grace_max_ms(x) > 0 ? AgentLeave_grace_max_ms(x) : 0;
    ag_row_put_identity(a);
    kill_all(a, KILL_LEAVING);
}

void ag_orders_boot(struct pf_agent *a)
{
    struct orders *o = &a->orders;
    struct pf_fb_builder *b = pf_turn_builder(a->turn);
    struct pf_bytes info = pf_msg_bytes(AgentInfo__finish(b, ag_put_agent_info(a, b)));
    bool is_same = o->info && o->info_len == info.len && memcmp(o->info, info.at, info.len) == 0;
    const char *misfit = is_same ? NULL : ag_reconfigure_problem(a);

    o->misfit = misfit ? pf_strdup(misfit) : NULL;
    PF_FREE(o->info); /* from now on it is what this start says */
    o->info_len = 0;
    if (misfit) {
        return;
    }
    o->cleans = a->opt.cleans_up && !o->is_leaving && !o->is_gone;
    if (!is_same) {
        ag_row_put_identity(a);
    }
    if (o->is_gone) {
        kill_all(a, KILL_TEARDOWN);
    } else if (o->cleans) {
        kill_all(a, KILL_CLEANUP);
    } else if (o->is_leaving) {
        kill_all(a, KILL_LEAVING);
    } else {
        ag_partition_boot(a);
    }
}

/* --- what follows --- */

static void finish(struct pf_agent *a, bool has_left)
{
    bool *data = pf_arena_zalloc(pf_turn_arena(a->turn), sizeof *data);

    a->orders.is_done = true;
    *data = has_left;
    ag_link_leave(a, "the agent ends");
    pf_turn_act(a->turn, PF_AGENT_ACT_CLOSE_LAUNCHER, NULL);
    pf_turn_act(a->turn, PF_AGENT_ACT_LEFT, data);
}

static void unregister(struct pf_agent *a)
{
    struct pf_fb_builder *b = pf_turn_builder(a->turn);
    struct pf_ref body =
        AgentUnregister__put(b, &(struct AgentUnregister__args){.agent_id = pf_str(a->id)});

    a->orders.request = ++a->register_request;
    ag_send(a, a->leader, b, Body_AgentUnregister, body, a->orders.request);
}

void ag_orders_advance(struct pf_agent *a)
{
    struct orders *o = &a->orders;

    if (!ag_orders_are_last(a) || o->is_done || a->n_running > 0 || a->n_executors > 0 ||
        !ag_launcher_is_ready(a)) {
        return;
    }
    if (o->is_gone) {
        o->is_done = true;
        pf_turn_act(a->turn, PF_AGENT_ACT_CLOSE_LAUNCHER, NULL);
        return;
    }
    if (o->until == AGENT_NEVER) {
        o->until = a->now_ms + AGENT_LAST_WORDS_MS;
    }
    if (!ag_is_registered(a)) {
        o->request = 0;
    }
    if (a->n_live > 0 && a->now_ms < o->until) {
        return;
    }
    if (o->cleans) {
        finish(a, false);
    } else if (ag_is_registered(a) && o->request == 0) {
        unregister(a);
    }
}

int64_t ag_orders_next(const struct pf_agent *a)
{
    bool waits = a->n_live > 0 && a->n_running == 0 && !a->orders.is_done;

    return waits && a->orders.until > a->now_ms ? a->orders.until : AGENT_NEVER;
}

bool ag_on_unregister_answer(struct pf_agent *a, struct Envelope env)
{
    if (a->orders.request == 0 || Envelope_request_id(env) != a->orders.request) {
        return false;
    }
    if (Envelope_code(env) == ReplyCode_OK) {
        finish(a, true);
    } else {
        ag_link_leave(a, "not unregistered"); /* and again */
    }
    return true;
}
