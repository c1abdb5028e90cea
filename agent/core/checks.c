/* SPDX-License-Identifier: Apache-2.0 */
/* Health checks and checks of running tasks. One at a time of each; the next begins an interval
 * after the one before. They rest while there is no launcher, end with the first kill, and after a
 * restart of the agent begin at once. Values are told when they change, failures of a health check
 * end the task. */
#include "agent/core/checks_internal.h"

#include "agent/core/calls_internal.h"
#include "common/base/alloc.h"

/* Changes are not told while so many updates wait for their acknowledgements: a check that flaps
 * cannot fill the memory. The latest value is told with whatever comes next. */
enum { CHECKS_BEHIND_MAX = 16 };

static void signal_command(struct pf_agent *a, struct pf_uuid uuid)
{
    struct pf_agent_act_signal *act = pf_arena_zalloc(pf_turn_arena(a->turn), sizeof *act);

    act->launch = uuid;
    act->signal = AGENT_SIGKILL;
    pf_turn_act(a->turn, PF_AGENT_ACT_SIGNAL, act);
}

static void forget_command(struct pf_agent *a, struct pf_uuid uuid)
{
    pf_turn_act(a->turn, PF_AGENT_ACT_FORGET,
                pf_arena_memdup(pf_turn_arena(a->turn), &uuid, sizeof uuid));
}

static void check_unmap(struct pf_agent *a, struct check *k)
{
    if (k->phase == CHECK_ASKING || k->phase == CHECK_ENDING) {
        (void)pf_map_del(&a->by_check, k->uuid.b, sizeof k->uuid.b);
    }
}

static void check_rest(struct pf_agent *a, struct check *k, int64_t ms)
{
    check_unmap(a, k);
    k->phase = CHECK_IDLE;
    k->at = a->now_ms + ms;
}

static void check_ask(struct pf_agent *a, struct check *k)
{
    k->uuid = pf_uuid_random(&a->rng);
    k->phase = CHECK_ASKING;
    k->at = a->now_ms + k->timeout_ms;
    k->seen = a->list_generation;
    pf_map_put(&a->by_check, k->uuid.b, sizeof k->uuid.b, k);
    if (k->type == CHECK_COMMAND) {
        pf_turn_act(a->turn, PF_AGENT_ACT_START,
                    ag_command_start_beside(a, &k->owner->task->run, ag_checks_info(k->owner),
                                            ag_check_command(k), k->uuid));
    } else {
        pf_turn_act(a->turn, PF_AGENT_ACT_CHECK, ag_check_act(a, k));
    }
}

/* --- what follows --- */

static bool is_behind(const struct task *t)
{
    const struct update *u = NULL;
    int n = 0;

    TAILQ_FOREACH(u, &t->updates, link)
    {
        n++;
    }
    return n >= CHECKS_BEHIND_MAX;
}

static void tell(struct pf_agent *a, struct task *t, enum TaskStatus_Reason reason,
                 struct pf_str text)
{
    struct ending e = {.has_reason = true, .reason = reason, .text = text};

    ag_update_add(a, t, TaskState_TASK_RUNNING, &e);
}

static void health_judged(struct pf_agent *a, struct checks *c, struct verdict v)
{
    struct task *t = c->task;
    struct pf_str text = {NULL, 0};
    int64_t ran_ms = a->wall_ms - t->run.started_ms;

    if (v.is_ok) {
        c->failures = 0;
        c->has_succeeded = true;
        PF_FREE(c->why);
        t->healthy = 1;
    } else if (!c->has_succeeded && c->grace_ms > 0 && ran_ms <= c->grace_ms) {
        return;
    } else {
        c->failures++;
        pf_free(c->why);
        c->why = pf_strndup(v.why.at, v.why.len);
        t->healthy = 0;
        text = pf_arena_printf(pf_turn_arena(a->turn), "Health check failed: %s", c->why);
    }
    if (t->healthy != c->told_healthy && !is_behind(t)) {
        tell(a, t, TaskStatus_Reason_REASON_TASK_HEALTH_CHECK_STATUS_UPDATED, text);
    }
    if (c->failures > 0 && c->failures >= c->failures_max) {
        struct pf_str why =
            pf_arena_printf(pf_turn_arena(a->turn), "Health check failed %u %s: %s",
                            (unsigned)c->failures, c->failures == 1 ? "time" : "times", c->why);
        pf_free(t->kill_text);
        t->kill_text = pf_strndup(why.at, why.len);
        ag_task_kill(a, t, KILL_HEALTH, t->grace_ms, AGENT_SIGTERM);
    }
}

static void check_judged(struct pf_agent *a, struct check *k, struct verdict v)
{
    struct checks *c = k->owner;

    if (k->is_health) {
        health_judged(a, c, v);
        return;
    }
    c->has_value = v.has_value;
    c->value = v.value;
    if ((c->has_value != c->told_has_value || (c->has_value && c->value != c->told_value)) &&
        !is_behind(c->task)) {
        tell(a, c->task, TaskStatus_Reason_REASON_TASK_CHECK_STATUS_UPDATED, v.why);
    }
}

/* --- when --- */

static void check_begin(struct pf_agent *a, struct check *k, int64_t delay_ms)
{
    if (k->type != CHECK_NONE && k->phase == CHECK_OFF) {
        k->phase = CHECK_IDLE;
        k->at = a->now_ms + delay_ms;
    }
}

void ag_checks_begin(struct pf_agent *a, struct task *t, bool is_recovered)
{
    struct checks *c = t->checks;

    if (!c || t->run.sm.state != RunState_RUNNING || ag_task_is_hosted(t)) {
        return;
    }
    if (is_recovered && t->healthy >= 0) {
        c->has_succeeded = true;
    }
    check_begin(a, &c->health, is_recovered ? 0 : c->delay_health_ms);
    check_begin(a, &c->check, is_recovered ? 0 : c->delay_check_ms);
}

static void check_stop(struct pf_agent *a, struct check *k)
{
    if (k->type == CHECK_COMMAND && (k->phase == CHECK_ASKING || k->phase == CHECK_ENDING)) {
        signal_command(a, k->uuid); /* its end is a stray's: forgotten */
    }
    check_unmap(a, k);
    k->phase = CHECK_OFF;
    k->at = AGENT_NEVER;
}

void ag_checks_stop(struct pf_agent *a, struct task *t)
{
    if (t->checks) {
        check_stop(a, &t->checks->health);
        check_stop(a, &t->checks->check);
    }
}

void ag_checks_free(struct pf_agent *a, struct task *t)
{
    struct checks *c = t->checks;

    if (!c) {
        return;
    }
    check_unmap(a, &c->health);
    check_unmap(a, &c->check);
    pf_free(c->info);
    pf_free(c->why);
    PF_FREE(t->checks);
}

int64_t ag_checks_next(const struct task *t)
{
    const struct checks *c = t->checks;

    if (!c) {
        return AGENT_NEVER;
    }
    return c->health.at < c->check.at ? c->health.at : c->check.at;
}

static void check_deadline(struct pf_agent *a, struct check *k)
{
    if (k->at > a->now_ms) {
        return;
    }
    switch ((enum check_phase)k->phase) {
    case CHECK_OFF: break;
    case CHECK_IDLE: check_ask(a, k); break;
    case CHECK_ASKING:
        if (k->type == CHECK_COMMAND) {
            signal_command(a, k->uuid);
            k->phase = CHECK_ENDING;
            k->at = a->now_ms + AGENT_REKILL_MS;
        } else {
            check_rest(a, k, k->interval_ms);
        }
        check_judged(a, k, ag_check_judge_late(a, k));
        break;
    case CHECK_ENDING:
        signal_command(a, k->uuid);
        k->at = a->now_ms + AGENT_REKILL_MS;
        break;
    }
}

void ag_checks_deadline(struct pf_agent *a, struct task *t)
{
    if (t->checks) {
        check_deadline(a, &t->checks->health);
        check_deadline(a, &t->checks->check);
    }
}

static void check_listed(struct pf_agent *a, struct check *k)
{
    if (k->type == CHECK_COMMAND && (k->phase == CHECK_ASKING || k->phase == CHECK_ENDING) &&
        k->seen != a->list_generation) {
        check_rest(a, k, 0);
    }
}

void ag_checks_listed(struct pf_agent *a, struct task *t)
{
    if (t->checks) {
        check_listed(a, &t->checks->health);
        check_listed(a, &t->checks->check);
    }
}

/* --- answers --- */

bool ag_check_on_process(struct pf_agent *a, struct pf_uuid uuid, struct LauncherProcess p)
{
    struct check *k = pf_map_get(&a->by_check, uuid.b, sizeof uuid.b);
    enum LauncherState state = LauncherProcess_state(p);

    if (!k) {
        return false;
    }
    k->seen = a->list_generation;
    if (state == LauncherState_EXITED || state == LauncherState_FAILED) {
        bool is_awaited = k->phase == CHECK_ASKING;
        forget_command(a, uuid);
        check_rest(a, k, k->interval_ms);
        if (is_awaited) {
            check_judged(a, k,
                         state == LauncherState_EXITED
                             ? ag_check_judge_exit(a, k, LauncherProcess_wait_status(p))
                             : ag_check_judge_unborn(a, k, LauncherProcess_error(p),
                                                     LauncherProcess_stage(p)));
        }
        ag_run_rearm(a, &k->owner->task->run);
    } else if (k->phase == CHECK_ENDING && a->listing) {
        signal_command(a, uuid); /* the first one may not have arrived */
    }
    return true;
}

void ag_on_checked(struct pf_agent *a, const struct pf_agent_event *ev)
{
    struct pf_uuid uuid = ev->checked.check;
    struct check *k = pf_map_get(&a->by_check, uuid.b, sizeof uuid.b);

    if (!k || k->type == CHECK_COMMAND) {
        return; /* too late, or its task is being ended */
    }
    check_rest(a, k, k->interval_ms);
    check_judged(a, k,
                 ag_check_judge_answer(a, k, ev->checked.is_done, ev->checked.status_code,
                                       ev->checked.text));
    ag_run_rearm(a, &k->owner->task->run);
}

/* --- what is told --- */

void ag_checks_told(struct task *t)
{
    struct checks *c = t->checks;

    if (c) {
        c->told_healthy = t->healthy;
        c->told_has_value = c->has_value;
        c->told_value = c->value;
    }
}

struct pf_ref ag_checks_put_status(struct pf_fb_builder *b, const struct task *t)
{
    const struct checks *c = t->checks;
    struct CheckStatusInfo__args args = {.type = {.has = false}};

    if (!c || c->check.type == CHECK_NONE) {
        return (struct pf_ref){0};
    }
    args.type = (struct CheckInfo_Type__opt)PF_OPT((enum CheckInfo_Type)c->check.type);
    switch ((enum check_type)c->check.type) {
    case CHECK_NONE: break;
    case CHECK_COMMAND:
        args.command = CheckStatusInfo_Command__put(
            b, &(struct CheckStatusInfo_Command__args){.exit_code = {c->has_value, c->value}});
        break;
    case CHECK_HTTP:
        args.http =
            CheckStatusInfo_Http__put(b, &(struct CheckStatusInfo_Http__args){
                                             .status_code = {c->has_value, (uint32_t)c->value}});
        break;
    case CHECK_TCP:
        args.tcp = CheckStatusInfo_Tcp__put(
            b, &(struct CheckStatusInfo_Tcp__args){.succeeded = {c->has_value, c->value != 0}});
        break;
    }
    return CheckStatusInfo__put(b, &args);
}

struct pf_opt_i32 ag_checks_value(const struct task *t)
{
    const struct checks *c = t->checks;

    return (struct pf_opt_i32){c && c->has_value, c ? c->value : 0};
}

void ag_checks_restore_value(struct task *t, int32_t value)
{
    struct checks *c = ag_checks_create(t);

    c->has_value = c->told_has_value = true;
    c->value = c->told_value = value;
}

static void check_check(const struct pf_agent *a, const struct check *k, bool is_running)
{
    bool is_asked = k->phase == CHECK_ASKING || k->phase == CHECK_ENDING;

    PF_ASSERT(is_running || k->phase == CHECK_OFF);
    PF_ASSERT((k->phase == CHECK_OFF) == (k->at == AGENT_NEVER));
    PF_ASSERT(is_asked == (pf_map_get(&a->by_check, k->uuid.b, sizeof k->uuid.b) == k));
    PF_ASSERT(k->type != CHECK_NONE || k->phase == CHECK_OFF);
}

uint32_t ag_checks_check(const struct pf_agent *a, const struct task *t)
{
    const struct checks *c = t->checks;
    bool is_running = t->run.sm.state == RunState_RUNNING;

    if (!c) {
        return 0;
    }
    PF_ASSERT(c->task == t);
    check_check(a, &c->health, is_running);
    check_check(a, &c->check, is_running);
    return (uint32_t)(c->health.phase > CHECK_IDLE) + (uint32_t)(c->check.phase > CHECK_IDLE);
}
