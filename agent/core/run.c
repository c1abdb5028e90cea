/* SPDX-License-Identifier: Apache-2.0 */
/* Runs: what tasks and executors share from acceptance to end. The launcher knows only runs. A run
 * is stored, then gets its sandbox, then is handed to the launcher; its row names the launcher that
 * is meant to start it, so that after a crash that one's list tells whether it did. */
#include "agent/core/calls_internal.h"
#include "agent/core/executors_internal.h"
#include "agent/core/limits_internal.h"

#include "common/base/alloc.h"

#define SANDBOX_ID_SHOWN 200u /* bytes of the id in the directory's name: 255 in all */

struct task *ag_run_task(struct run *r)
{
    PF_ASSERT(r->kind == RUN_TASK);
    return PF_CONTAINER(r, struct task, run);
}

const struct task *ag_run_task_const(const struct run *r)
{
    PF_ASSERT(r->kind == RUN_TASK);
    return PF_CONTAINER((uintptr_t)r, const struct task, run);
}

struct executor *ag_run_executor(struct run *r)
{
    PF_ASSERT(r->kind == RUN_EXECUTOR);
    return PF_CONTAINER(r, struct executor, run);
}

const struct executor *ag_run_executor_const(const struct run *r)
{
    PF_ASSERT(r->kind == RUN_EXECUTOR);
    return PF_CONTAINER((uintptr_t)r, const struct executor, run);
}

struct pf_str ag_run_framework_id(const struct run *r)
{
    return (struct pf_str){r->name, r->fw_len};
}

struct pf_str ag_run_id(const struct run *r)
{
    return (struct pf_str){r->name + r->fw_len + 1, r->id_len};
}

bool ag_run_is_ended(const struct run *r)
{
    return r->sm.state == RunState_ENDED;
}

void ag_run_init(struct pf_agent *a, struct run *r, enum run_kind kind, struct pf_uuid launch)
{
    r->kind = (uint8_t)kind;
    r->launch = launch;
    r->wait_status = -1;
    r->kill_at = AGENT_NEVER;
    pf_map_put(&a->by_launch, r->launch.b, sizeof r->launch.b, r);
}

void ag_run_fini(struct pf_agent *a, struct run *r)
{
    pf_heap_remove(&a->timers, &r->timer);
    (void)pf_map_del(&a->by_launch, r->launch.b, sizeof r->launch.b);
    ag_run_drop_info(r);
    pf_free(r->user);
    pf_free(r->name);
}

void ag_run_set_name(struct run *r, struct pf_str framework_id, struct pf_str id)
{
    PF_ASSERT(r->name == NULL);
    r->fw_len = framework_id.len;
    r->id_len = id.len;
    r->name = pf_alloc((size_t)framework_id.len + id.len + 2);
    memcpy(r->name, framework_id.at, framework_id.len);
    memcpy(r->name + framework_id.len + 1, id.at, id.len);
}

void ag_run_drop_info(struct run *r)
{
    PF_FREE(r->info);
    r->info_len = 0;
    PF_FREE(r->launcher);
}

struct run *ag_run_by_launch(const struct pf_agent *a, struct pf_bytes launch)
{
    return launch.len == 16 ? pf_map_get(&a->by_launch, launch.at, launch.len) : NULL;
}

void ag_run_init_state(struct pf_agent *a, struct run *r, uint32_t state, const char *why)
{
    pf_sm_init(&r->sm, r->kind == RUN_TASK ? &ag_run_table : &ag_executor_table, state,
               ag_run_id(r).at, why, &a->opt.tracer);
}

void ag_run_move(struct pf_agent *a, struct run *r, uint32_t state, const char *why)
{
    pf_sm_move(&r->sm, state, ag_run_id(r).at, why, &a->opt.tracer);
}

static void sandbox_print(const struct pf_agent *a, const struct run *r, struct pf_buf *out)
{
    char uuid[PF_UUID_TEXT_LEN + 1];
    struct pf_str id = ag_run_id(r);

    /* One new directory for each run: file systems make a hundred times fewer of them a second
     * than launches are decided. Mesos's deeper layout would take three. */
    pf_uuid_format(r->launch, uuid);
    id.len = id.len < SANDBOX_ID_SHOWN ? id.len : SANDBOX_ID_SHOWN;
    pf_buf_printf(out, "%s/sandboxes/%s/%.*s.%s", a->opt.work_dir, r->name, PF_STR_ARG(id), uuid);
}

struct pf_str ag_run_sandbox(const struct pf_agent *a, const struct run *r)
{
    struct pf_buf text = {0};

    sandbox_print(a, r, &text);
    struct pf_str kept = pf_arena_strdup(pf_turn_arena(a->turn), pf_str(pf_buf_cstr(&text)));

    pf_buf_fini(&text);
    return kept;
}

bool pf_agent_sandbox(const struct pf_agent *a, struct pf_uuid launch, struct pf_buf *out)
{
    const struct run *r = pf_map_get(&a->by_launch, &launch, sizeof launch);

    if (r && r->kind == RUN_TASK) {
        r = ag_task_home(ag_run_task_const(r));
    }
    if (r) {
        sandbox_print(a, r, out);
    }
    return r != NULL;
}

struct CommandInfo ag_run_command(const struct run *r)
{
    struct pf_bytes info = {r->info, r->info_len};

    return r->kind == RUN_TASK ? TaskInfo_command(TaskInfo__from_bytes(info))
                               : ExecutorInfo_command(ExecutorInfo__from_bytes(info));
}

void ag_run_put_row(struct pf_agent *a, struct run *r)
{
    if (r->kind == RUN_TASK) {
        ag_row_put_task(a, ag_run_task(r));
    } else {
        ag_row_put_executor(a, ag_run_executor(r));
    }
}

/* One timer per run: its nearest deadline that can be acted on now. */
void ag_run_rearm(struct pf_agent *a, struct run *r)
{
    int64_t at = r->kind == RUN_TASK ? ag_task_next(a, ag_run_task(r))
                                     : ag_executor_next(a, ag_run_executor(r));

    if (ag_launcher_is_ready(a) && r->kill_at < at) {
        at = r->kill_at;
    }
    if (at == AGENT_NEVER) {
        pf_heap_remove(&a->timers, &r->timer);
    } else {
        pf_heap_set(&a->timers, &r->timer, at);
    }
}

void ag_run_end(struct pf_agent *a, struct run *r, const struct ending *e, const char *why)
{
    if (r->kind == RUN_TASK) {
        ag_task_end(a, ag_run_task(r), e, why);
    } else {
        ag_executor_end(a, ag_run_executor(r), e, why);
    }
}

void ag_run_act_ended(struct pf_agent *a, const struct run *r, bool launcher_knows)
{
    struct pf_arena *arena = pf_turn_arena(a->turn);
    struct pf_agent_act_ended *ended = pf_arena_zalloc(arena, sizeof *ended);

    if (launcher_knows) {
        pf_turn_act(a->turn, PF_AGENT_ACT_FORGET,
                    pf_arena_memdup(arena, &r->launch, sizeof r->launch));
    }
    ended->launch = r->launch;
    ended->sandbox = r->kind == RUN_TASK ? ag_run_sandbox(a, ag_task_home(ag_run_task_const(r)))
                                         : ag_run_sandbox(a, r);
    pf_turn_act(a->turn, PF_AGENT_ACT_ENDED, ended);
}

void ag_run_act_remove(struct pf_agent *a, const struct run *r)
{
    struct pf_agent_act_sandbox *act = pf_arena_zalloc(pf_turn_arena(a->turn), sizeof *act);

    act->launch = r->launch;
    act->path = ag_run_sandbox(a, r);
    act->user = PF_STR("");
    pf_turn_act(a->turn, PF_AGENT_ACT_REMOVE, act);
}

/* The launcher is ready: the first step of the start, or the first again after a crash. */
void ag_run_begin(struct pf_agent *a, struct run *r)
{
    struct pf_arena *arena = pf_turn_arena(a->turn);
    struct pf_agent_act_sandbox *act = pf_arena_zalloc(arena, sizeof *act);

    if (r->kill_reason != KILL_NONE) {
        ag_run_end_killed_early(a, r);
        return;
    }
    if (r->sm.state == RunState_ACCEPTED) {
        ag_run_move(a, r, RunState_STARTING, "launcher ready");
    }
    r->start_generation = a->launcher_generation;
    r->phase = START_SANDBOX;
    ag_run_put_row(a, r);
    act->launch = r->launch;
    act->path = ag_run_sandbox(a, r);
    act->user = pf_arena_strdup(arena, pf_str(r->user));
    act->script = CommandInfo_script(ag_run_command(r));
    if (act->script.at) {
        act->script.at = pf_arena_memdup(arena, act->script.at, act->script.len);
    }
    act->limits = ag_run_limits(a, r);
    pf_turn_act(a->turn, PF_AGENT_ACT_SANDBOX, act);
}

/* Of an executor, what its tasks ask for counts as well. */
struct pf_agent_limits ag_run_limits(const struct pf_agent *a, const struct run *r)
{
    struct need need = {.cpus = 0};
    const struct task *t = NULL;

    if (r->kind == RUN_TASK) {
        ag_need_add_task(&need, ag_task_summary(ag_run_task_const(r)));
        return ag_need_limits(a, &need);
    }
    const struct executor *x = ag_run_executor_const(r);

    ag_need_add_executor(&need, ag_executor_info_of(x));
    TAILQ_FOREACH(t, &x->tasks, of_executor)
    {
        ag_need_add_task(&need, ag_task_summary(t));
    }
    return ag_need_limits(a, &need);
}

/* What it holds has changed. */
void ag_run_act_limit(struct pf_agent *a, const struct run *r)
{
    struct pf_agent_act_limit *act = NULL;

    if (r->sm.state == RunState_ACCEPTED || ag_run_is_ended(r)) {
        return; /* its sandbox is not made, or made no more */
    }
    act = pf_arena_zalloc(pf_turn_arena(a->turn), sizeof *act);
    act->container = r->launch;
    act->limits = ag_run_limits(a, r);
    pf_turn_act(a->turn, PF_AGENT_ACT_LIMIT, act);
}

/* All that its process needs is there. */
void ag_run_prepared(struct pf_agent *a, struct run *r)
{
    struct task *t = r->kind == RUN_TASK ? ag_run_task(r) : NULL;

    r->phase = START_READY;
    if (!ag_launcher_is_ready(a)) {
        return;
    }
    if (!t || pf_uuid_is_nil(t->group)) {
        ag_run_start(a, r);
    } else if (ag_group_is_ready(t)) {
        ag_group_start(a, t);
    }
}

void ag_on_sandbox(struct pf_agent *a, const struct pf_agent_event *ev)
{
    struct pf_uuid launch = ev->sandbox.launch;
    struct run *r = ag_run_by_launch(a, (struct pf_bytes){launch.b, sizeof launch.b});

    if (!r || r->sm.state != RunState_STARTING || r->phase != START_SANDBOX) {
        return; /* killed meanwhile, or made twice */
    }
    if (ev->sandbox.error != 0) {
        ag_run_end_unborn(a, r, ev->sandbox.error, pf_str(ev->sandbox.stage));
        return;
    }
    if (!ag_fetch_is_needed(r)) {
        ag_run_prepared(a, r);
    } else if (ag_launcher_is_ready(a)) {
        ag_fetch_start(a, r);
    } else {
        r->phase = START_FETCH; /* begins when the launcher is back */
    }
}

void ag_run_start(struct pf_agent *a, struct run *r)
{
    if (r->start_generation != a->launcher_generation) {
        r->start_generation = a->launcher_generation;
        ag_run_put_row(a, r);
    }
    r->phase = START_SENT;
    pf_turn_act(a->turn, PF_AGENT_ACT_START, ag_command_start(a, r));
}
