/* SPDX-License-Identifier: Apache-2.0 */
/* Executors: found or made with their first task, ended by themselves, by a shutdown or because
 * they do not subscribe. What is left of an ended one keeps its sandbox readable as long as a task
 * of it is known. */
#include "agent/core/calls_internal.h"
#include "agent/core/executors_internal.h"

#include "common/base/alloc.h"

static uint32_t name_len(const struct executor *x)
{
    return x->run.fw_len + 1 + x->run.id_len;
}

struct ExecutorInfo ag_executor_info_of(const struct executor *x)
{
    return ExecutorInfo__from_bytes((struct pf_bytes){x->run.info, x->run.info_len});
}

static struct pf_refs copy_resources(struct pf_agent *a, struct pf_fb_builder *b,
                                     struct ExecutorInfo info)
{
    uint32_t n = ExecutorInfo_resources__len(info);
    struct pf_ref *refs = pf_arena_alloc(pf_turn_arena(a->turn), (n + 1) * sizeof *refs);

    for (uint32_t i = 0; i < n; i++) {
        refs[i] = Resource__copy(b, ExecutorInfo_resources__at(info, i));
    }
    return (struct pf_refs){refs, n};
}

/* The one form in which infos are stored and compared. Borrowed from the turn. */
struct pf_msg ag_executor_info(struct pf_agent *a, struct ExecutorInfo info, struct pf_str fw_id)
{
    struct pf_fb_builder *b = pf_turn_nested_builder(a->turn);
    struct ExecutorInfo__args args = {
        .executor_id = ExecutorID__copy(b, ExecutorInfo_executor_id(info)),
        .framework_id = FrameworkID__put(b, &(struct FrameworkID__args){.value = fw_id}),
        .command = CommandInfo__copy(b, ExecutorInfo_command(info)),
        .container = ContainerInfo__copy(b, ExecutorInfo_container(info)),
        .resources = copy_resources(a, b, info),
        .name = ExecutorInfo_name(info),
        .source = ExecutorInfo_source(info),
        .data = ExecutorInfo_data(info),
        .discovery = DiscoveryInfo__copy(b, ExecutorInfo_discovery(info)),
        .shutdown_grace_period = DurationInfo__copy(b, ExecutorInfo_shutdown_grace_period(info)),
        .labels = Labels__copy(b, ExecutorInfo_labels(info)),
    };

    if (ExecutorInfo__has_type(info)) {
        args.type = (struct ExecutorInfo_Type__opt)PF_OPT(ExecutorInfo_type(info));
    }
    return ExecutorInfo__finish(b, ExecutorInfo__put(b, &args));
}

/* Of the live ones. */
struct executor *ag_executor_by_name(struct pf_agent *a, struct pf_str fw_id, struct pf_str id)
{
    struct pf_str key =
        pf_arena_printf(pf_turn_arena(a->turn), "%.*s/%.*s", PF_STR_ARG(fw_id), PF_STR_ARG(id));

    if (pf_id_problem(fw_id) || pf_id_problem(id)) {
        return NULL;
    }
    ((char *)(uintptr_t)key.at)[fw_id.len] = '\0';
    return pf_map_get(&a->executors_by_name, key.at, key.len);
}

static int64_t own_grace_ms(const struct pf_agent *a, struct ExecutorInfo info)
{
    int64_t ms = DurationInfo_nanoseconds(ExecutorInfo_shutdown_grace_period(info)) / 1000000;

    if (!ExecutorInfo__has_shutdown_grace_period(info)) {
        return a->opt.executor_shutdown_ms;
    }
    return ms < 0 ? 0 : ms > AGENT_GRACE_MAX_MS ? AGENT_GRACE_MAX_MS : ms;
}

static struct executor *executor_new(struct pf_agent *a, struct pf_uuid uuid, struct pf_bytes info,
                                     struct pf_str user)
{
    struct executor *x = PF_NEW(struct executor);
    struct ExecutorInfo i = ExecutorInfo__from_bytes(info);

    ag_run_init(a, &x->run, RUN_EXECUTOR, uuid);
    ag_run_set_name(&x->run, FrameworkID_value(ExecutorInfo_framework_id(i)),
                    ExecutorID_value(ExecutorInfo_executor_id(i)));
    x->run.info = pf_memdup(info.at, info.len);
    x->run.info_len = info.len;
    x->run.user = pf_strndup(user.at, user.len);
    x->is_default = ExecutorInfo_type(i) == ExecutorInfo_Type_DEFAULT;
    x->grace_ms = own_grace_ms(a, i);
    x->subscribe_at = x->heartbeat_at = x->expire_at = AGENT_NEVER;
    TAILQ_INIT(&x->tasks);
    TAILQ_INSERT_TAIL(&a->executors, x, link);
    a->n_executors++;
    return x;
}

/* Takes its resources out of the free ones; not when the agent was given less since. */
static void executor_count(struct pf_agent *a, struct executor *x)
{
    struct pf_resources used = {.n_items = 0};

    PF_ASSERT(!x->counted);
    if (ag_resources_of_executor(ag_executor_info_of(x), &used, NULL) == 0 &&
        pf_res_contains(&a->free, &used)) {
        pf_res_sub(&a->free, &used);
        x->counted = true;
    } else {
        a->n_uncounted++;
    }
    pf_res_fini(&used);
}

struct executor *ag_executor_create(struct pf_agent *a, struct framework *fw, struct pf_uuid uuid,
                                    struct pf_bytes info, struct pf_str user)
{
    struct executor *x = executor_new(a, uuid, info, user);
    bool is_default = x->is_default;

    ag_run_init_state(a, &x->run, is_default ? RunState_RUNNING : RunState_ACCEPTED, "launch");
    ag_token_make(a, uuid, x->token);
    x->run.accepted_ms = a->wall_ms;
    x->run.started_ms = is_default ? a->wall_ms : 0;
    pf_map_put(&a->executors_by_name, x->run.name, name_len(x), x);
    ag_framework_join(a, &x->run, fw);
    if (!fw->stored) {
        ag_row_put_framework(a, fw);
    }
    executor_count(a, x);
    ag_row_put_executor(a, x);
    return x;
}

struct executor *ag_executor_restore(struct pf_agent *a, struct pf_uuid uuid, uint32_t state,
                                     struct pf_bytes info, struct pf_str user)
{
    struct executor *x = executor_new(a, uuid, info, user);

    ag_run_init_state(a, &x->run, state, "recovered");
    x->resubscribes = state == RunState_RUNNING || state == RunState_KILLING;
    return x;
}

static void executor_uncount(struct pf_agent *a, struct executor *x)
{
    struct pf_resources used = {.n_items = 0};

    if (!x->counted) {
        a->n_uncounted--;
    } else {
        int rc = ag_resources_of_executor(ag_executor_info_of(x), &used, NULL);
        PF_ASSERT(rc == 0);
        pf_res_add(&a->free, &used);
        x->counted = false;
    }
    pf_res_fini(&used);
}

void ag_executor_join(struct executor *x, struct task *t)
{
    PF_ASSERT(t->executor == NULL);
    t->executor = x;
    x->n_tasks++;
    if (!ag_run_is_ended(&t->run)) {
        TAILQ_INSERT_TAIL(&x->tasks, t, of_executor);
    }
}

static bool is_disposable(const struct executor *x)
{
    return ag_run_is_ended(&x->run) && x->is_told && x->n_tasks == 0;
}

/* Its sandbox and its row go. */
static void executor_remove(struct pf_agent *a, struct executor *x)
{
    PF_ASSERT(is_disposable(x));
    ag_row_del_executor(a, x);
    if (!x->is_default) {
        ag_run_act_remove(a, &x->run);
    }
    ag_executor_free(a, x);
}

/* A task is forgotten; with its last one, what is left of an ended executor. */
void ag_executor_leave(struct pf_agent *a, struct task *t)
{
    struct executor *x = t->executor;

    t->executor = NULL;
    if (!ag_run_is_ended(&t->run)) {
        TAILQ_REMOVE(&x->tasks, t, of_executor);
    }
    x->n_tasks--;
    if (a->turn && is_disposable(x)) {
        executor_remove(a, x);
    }
}

void ag_executor_task_ended(struct pf_agent *a, struct task *t)
{
    struct executor *x = t->executor;

    TAILQ_REMOVE(&x->tasks, t, of_executor);
    if (!x->is_default) {
        ag_run_act_limit(a, &x->run);
    }
    if (!x->is_default || ag_run_is_ended(&x->run)) {
        return;
    }
    ag_group_member_ended(a, t);
    if (TAILQ_EMPTY(&x->tasks) && !ag_run_is_ended(&x->run)) {
        x->run.has_wait_status = true;
        x->run.wait_status = 0;
        ag_executor_end(a, x, &(struct ending){.state = TaskState_TASK_FINISHED},
                        "no task is left");
    }
}

void ag_executor_free(struct pf_agent *a, struct executor *x)
{
    struct client *c = pf_map_get_u64(&a->clients, &x->peer);

    PF_ASSERT(x->n_tasks == 0);
    if (c && c->executor == x) {
        c->executor = NULL;
    }
    if (a->batch_executor == x) {
        a->batch_executor = TAILQ_NEXT(x, link);
    }
    if (ag_run_is_ended(&x->run)) {
        TAILQ_REMOVE(&a->past_executors, x, link);
        a->n_past_executors--;
    } else {
        TAILQ_REMOVE(&a->executors, x, link);
        a->n_executors--;
        (void)pf_map_del(&a->executors_by_name, x->run.name, name_len(x));
        executor_uncount(a, x);
    }
    if (x->run.fw) {
        ag_framework_leave(a, &x->run);
    }
    ag_told(a, &x->untold);
    ag_run_fini(a, &x->run);
    pf_free(x);
}

/* --- its end ---------------------------------------------------------------------------------- */

static void send_exited(struct pf_agent *a, struct pf_str fw_id, struct pf_str id, int32_t status,
                        bool is_silent)
{
    struct pf_fb_builder *b = pf_turn_builder(a->turn);
    struct pf_ref body = AgentExecutorExited__put(b, &(struct AgentExecutorExited__args){
                                                         .framework_id = fw_id,
                                                         .executor_id = id,
                                                         .status = status,
                                                         .sequence = ag_told_number(a),
                                                         .is_silent = is_silent,
                                                     });

    ag_send(a, a->leader, b, Body_AgentExecutorExited, body, 0);
}

static void tell_end(struct pf_agent *a, struct executor *x)
{
    const struct run *r = &x->run;

    ag_told(a, &x->untold);
    send_exited(a, ag_run_framework_id(r), ag_run_id(r), r->has_wait_status ? r->wait_status : -1,
                false);
}

/* That there is none, although a launch was sent that could have made it. */
void ag_executor_tell_none(struct pf_agent *a, struct pf_str fw_id, struct pf_str id)
{
    if (ag_is_registered(a) && !ag_executor_by_name(a, fw_id, id)) {
        send_exited(a, fw_id, id, -1, true);
    }
}

/* The next step may forget those that nobody needs any more. */
void ag_executors_tell_ends(struct pf_agent *a)
{
    struct executor *x = NULL;

    TAILQ_FOREACH(x, &a->past_executors, link)
    {
        if (x->is_told) {
            continue;
        }
        x->is_told = true;
        ag_row_put_executor(a, x);
        tell_end(a, x);
        if (x->is_default) {
            x->expire_at = a->now_ms;
            ag_run_rearm(a, &x->run);
        }
    }
}

/* What its end means for its tasks. */
static struct ending ending_of_tasks(const struct pf_agent *a, const struct executor *x,
                                     const struct ending *e)
{
    struct ending of = {
        .state = TaskState_TASK_FAILED,
        .has_reason = true,
        .reason = TaskStatus_Reason_REASON_EXECUTOR_TERMINATED,
        .by_agent = true,
        .text = e->text,
        .at_wall_ms = e->at_wall_ms,
        .memory_limit_bytes = e->memory_limit_bytes,
    };

    if (x->run.kill_reason == KILL_NOT_SUBSCRIBED) {
        of.reason = TaskStatus_Reason_REASON_EXECUTOR_REGISTRATION_TIMEOUT;
        of.text =
            pf_arena_printf(pf_turn_arena(a->turn), "The executor did not subscribe within %lld s",
                            (long long)(a->opt.executor_subscribe_ms / 1000));
    } else if (x->run.kill_reason == KILL_NOT_RESUBSCRIBED) {
        of.reason = TaskStatus_Reason_REASON_EXECUTOR_REREGISTRATION_TIMEOUT;
        of.text = PF_STR("The executor did not subscribe again in time");
    } else if (e->has_reason) {
        of.reason = e->reason;
    }
    if (of.reason == TaskStatus_Reason_REASON_TASK_KILLED_DURING_LAUNCH) {
        of.state = TaskState_TASK_KILLED;
    }
    return of;
}

static void end_tasks(struct pf_agent *a, struct executor *x, const struct ending *e)
{
    struct task *t = NULL;

    while ((t = TAILQ_FIRST(&x->tasks)) != NULL) {
        struct ending of = ending_of_tasks(a, x, e);
        if (ag_kill_is_wish((enum kill_reason)t->run.kill_reason)) {
            of.state = TaskState_TASK_KILLED;
        }
        if (t->run.kill_reason == KILL_DRAINING) {
            of.reason = TaskStatus_Reason_REASON_AGENT_DRAINING;
        }
        ag_task_end(a, t, &of, "executor ended");
    }
}

static void past_add(struct pf_agent *a, struct executor *x)
{
    int64_t age_ms = a->wall_ms - x->run.finished_ms;

    TAILQ_INSERT_TAIL(&a->past_executors, x, link);
    a->n_past_executors++;
    x->expire_at = a->now_ms + (age_ms < 0 ? a->opt.gc_delay_ms : a->opt.gc_delay_ms - age_ms);
}

static void move_to_past(struct pf_agent *a, struct executor *x)
{
    if (a->batch_executor == x) {
        a->batch_executor = TAILQ_NEXT(x, link);
    }
    TAILQ_REMOVE(&a->executors, x, link);
    a->n_executors--;
    (void)pf_map_del(&a->executors_by_name, x->run.name, name_len(x));
    past_add(a, x);
}

/* Those whose tasks are all forgotten are few. */
static void bound_past(struct pf_agent *a)
{
    struct executor *x = TAILQ_FIRST(&a->past_executors), *next = NULL;

    for (; x && a->n_past_executors > AGENT_HISTORY_TASKS; x = next) {
        next = TAILQ_NEXT(x, link);
        if (is_disposable(x)) {
            executor_remove(a, x);
        }
    }
}

void ag_executor_end(struct pf_agent *a, struct executor *x, const struct ending *e,
                     const char *why)
{
    struct run *r = &x->run;
    bool launcher_knows = !x->is_default && (r->phase == START_SENT || r->pid > 0);
    bool is_torn_down = r->kill_reason == KILL_TEARDOWN;

    ag_run_move(a, r, RunState_ENDED, why);
    r->finished_ms = e->at_wall_ms > 0 ? e->at_wall_ms : a->wall_ms;
    r->kill_at = x->subscribe_at = x->heartbeat_at = AGENT_NEVER;
    executor_uncount(a, x);
    x->is_told = is_torn_down || ag_is_registered(a);
    ag_row_put_executor(a, x);
    if (x->peer != 0) {
        pf_turn_close(a->turn, x->peer);
        ag_executor_unsubscribe(a, x);
    }
    move_to_past(a, x);
    x->n_tasks++; /* its last task may be forgotten with its end: not the executor before us */
    end_tasks(a, x, e);
    x->n_tasks--;
    if (!is_torn_down) {
        ag_told_count(a, &x->untold);
    }
    if (!is_torn_down && x->is_told) {
        tell_end(a, x);
    }
    if (!x->is_default) {
        ag_run_act_ended(a, r, launcher_knows);
    }
    ag_framework_leave(a, r);
    ag_run_rearm(a, r);
    bound_past(a);
}

/* --- kills and deadlines ---------------------------------------------------------------------- */

static void kill_own_tasks(struct pf_agent *a, struct executor *x, enum kill_reason reason)
{
    uint32_t n = 0;
    struct task *t = NULL;

    TAILQ_FOREACH(t, &x->tasks, of_executor)
    {
        n++;
    }
    struct pf_uuid *launches = pf_arena_alloc(pf_turn_arena(a->turn), (n + 1) * sizeof *launches);

    n = 0;
    TAILQ_FOREACH(t, &x->tasks, of_executor)
    {
        launches[n++] = t->run.launch;
    }
    for (uint32_t i = 0; i < n; i++) { /* each may end others */
        t = ag_task_by_launch(a, (struct pf_bytes){launches[i].b, sizeof launches[i].b});
        if (t) {
            ag_task_kill(a, t, reason, t->grace_ms, AGENT_SIGTERM);
        }
    }
}

static void executor_kill(struct pf_agent *a, struct executor *x, enum kill_reason reason,
                          int64_t grace_ms, int signal)
{
    struct run *r = &x->run;

    if (!ag_run_record_kill(a, r, reason, grace_ms, signal)) {
        return;
    }
    x->subscribe_at = AGENT_NEVER;
    switch ((enum RunState)r->sm.state) {
    case RunState_ACCEPTED:
    case RunState_STARTING:
        if (!ag_run_may_run(r) && r->phase != START_FETCH) {
            ag_run_end_killed_early(a, r);
            return;
        }
        ag_row_put_executor(a, x);
        if (r->phase == START_FETCH) {
            ag_fetch_kill(a, r);
        }
        break;
    case RunState_RUNNING: ag_run_move(a, r, RunState_KILLING, "kill"); /* fall through */
    case RunState_KILLING:
        ag_row_put_executor(a, x);
        if (!x->is_default) {
            ag_run_kill_advance(a, r);
        }
        break;
    case RunState_NONE:
    case RunState_ENDED: break;
    }
    if (x->peer != 0 && signal == 0) {
        ag_executor_say_shutdown(a, x->peer);
    }
    ag_run_rearm(a, r);
    if (x->is_default) {
        r->kill_at = AGENT_NEVER;
        kill_own_tasks(a, x, reason);
    }
}

void ag_executor_shutdown(struct pf_agent *a, struct executor *x, enum kill_reason reason,
                          int64_t grace_ms)
{
    if (!ag_run_is_ended(&x->run)) {
        executor_kill(a, x, reason, grace_ms < 0 ? x->grace_ms : grace_ms, 0);
    }
}

void ag_on_shutdown_executor(struct pf_agent *a, struct AgentShutdownExecutor call)
{
    struct pf_str fw_id = AgentShutdownExecutor_framework_id(call);
    struct pf_str id = AgentShutdownExecutor_executor_id(call);
    struct executor *x = ag_executor_by_name(a, fw_id, id);

    if (x) {
        ag_executor_shutdown(a, x, KILL_REQUEST, -1);
    } else {
        ag_executor_tell_none(a, fw_id, id);
    }
}

/* It is known to run, and was stored so if that is news. */
void ag_executor_runs(struct pf_agent *a, struct executor *x)
{
    PF_FREE(x->run.launcher);
    ag_row_put_executor(a, x);
    if (x->peer == 0 && x->run.kill_reason == KILL_NONE) {
        x->subscribe_at = a->now_ms + a->opt.executor_subscribe_ms;
    }
}

int64_t ag_executor_next(const struct pf_agent *a, const struct executor *x)
{
    int64_t at = x->heartbeat_at < x->expire_at ? x->heartbeat_at : x->expire_at;

    return ag_launcher_is_ready(a) && x->subscribe_at < at ? x->subscribe_at : at;
}

void ag_executor_fires(struct pf_agent *a, struct executor *x)
{
    if (x->expire_at <= a->now_ms) {
        if (is_disposable(x)) {
            executor_remove(a, x);
            return;
        }
        x->expire_at = a->now_ms + AGENT_RECOVERY_MS; /* a task of it is known still */
    }
    if (x->heartbeat_at <= a->now_ms) {
        x->heartbeat_at = a->now_ms + AGENT_HEARTBEAT_MS;
        ag_executor_say_heartbeat(a, x);
    }
    if (ag_launcher_is_ready(a) && x->subscribe_at <= a->now_ms) {
        executor_kill(a, x, x->resubscribes ? KILL_NOT_RESUBSCRIBED : KILL_NOT_SUBSCRIBED, 0,
                      AGENT_SIGKILL);
    } else {
        ag_run_rearm(a, &x->run);
    }
}

/* A recovered one, which is in no list yet. */
void ag_executor_sort_in(struct pf_agent *a, struct executor *x)
{
    if (ag_run_is_ended(&x->run)) {
        past_add(a, x);
        if (x->is_default) {
            x->expire_at = a->now_ms;
        }
        ag_run_rearm(a, &x->run);
        return;
    }
    TAILQ_INSERT_TAIL(&a->executors, x, link);
    a->n_executors++;
    pf_map_put(&a->executors_by_name, x->run.name, name_len(x), x);
    executor_count(a, x);
    if (x->run.kill_reason != KILL_NONE && !x->is_default) {
        int64_t left_ms = x->run.kill_wall_ms - a->wall_ms;
        int64_t most_ms = left_ms < AGENT_GRACE_MAX_MS ? left_ms : AGENT_GRACE_MAX_MS;
        x->run.kill_at = a->now_ms + (left_ms < 0 ? 0 : most_ms);
    }
}

void ag_executor_settle(struct pf_agent *a, struct executor *x)
{
    struct run *r = &x->run;

    if (ag_run_is_ended(r)) {
        return;
    }
    if (x->is_default) {
        if (TAILQ_EMPTY(&x->tasks)) {
            r->has_wait_status = true;
            r->wait_status = 0;
            ag_executor_end(a, x, &(struct ending){.state = TaskState_TASK_FINISHED},
                            "no task is left");
        }
        return;
    }
    if (r->old_boot && r->sm.state != RunState_ACCEPTED) {
        ag_run_end_unknown(a, r, "The machine rebooted, exit status unknown");
    } else if (r->sm.state == RunState_RUNNING) {
        x->subscribe_at = a->now_ms + a->opt.executor_resubscribe_ms;
    }
}
