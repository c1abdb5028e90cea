/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of tasks: by launch uuid, by name, live ones in the order of acceptance, ended and
 * acknowledged ones as history. A live task keeps a summary of its TaskInfo; the TaskInfo itself is
 * held until the task runs. */
#include "agent/core/calls_internal.h"

#include "common/base/alloc.h"

#define SANDBOX_ID_SHOWN 200u /* bytes of the task id in the directory's name: 255 in all */

struct pf_str ag_task_framework_id(const struct task *t)
{
    return (struct pf_str){t->name, t->fw_len};
}

struct pf_str ag_task_id(const struct task *t)
{
    return (struct pf_str){t->name + t->fw_len + 1, t->id_len};
}

struct Task ag_task_summary(const struct task *t)
{
    return Task__from_bytes((struct pf_bytes){t->summary, t->summary_len});
}

bool ag_task_is_ended(const struct task *t)
{
    return t->run.state == RunState_ENDED;
}

struct task *ag_task_create(struct pf_agent *a, struct pf_uuid launch)
{
    struct task *t = PF_NEW(struct task);

    t->launch = launch;
    t->wait_status = -1;
    t->final_state = -1;
    t->told_state = -1;
    t->completion_ms = AGENT_NEVER;
    t->grace_ms = AGENT_GRACE_MS;
    t->kill_at = t->complete_at = t->resend_at = t->expire_at = AGENT_NEVER;
    t->resend_ms = a->opt.resend_ms;
    TAILQ_INIT(&t->updates);
    pf_map_put(&a->by_launch, t->launch.b, sizeof t->launch.b, t);
    TAILQ_INSERT_TAIL(&a->live, t, link);
    a->n_live++;
    return t;
}

void ag_task_set_name(struct task *t, struct pf_str framework_id, struct pf_str id)
{
    PF_ASSERT(t->name == NULL);
    t->fw_len = framework_id.len;
    t->id_len = id.len;
    t->name = pf_alloc((size_t)framework_id.len + id.len + 2);
    memcpy(t->name, framework_id.at, framework_id.len);
    memcpy(t->name + framework_id.len + 1, id.at, id.len);
}

void ag_task_init_state(struct pf_agent *a, struct task *t, uint32_t state, const char *why)
{
    pf_sm_init(&t->run, &ag_run_table, state, ag_task_id(t).at, why, &a->opt.tracer);
}

void ag_task_move(struct pf_agent *a, struct task *t, uint32_t state, const char *why)
{
    pf_sm_move(&t->run, state, ag_task_id(t).at, why, &a->opt.tracer);
}

static int64_t duration_ms(struct DurationInfo d, int64_t max_ms)
{
    int64_t ms = DurationInfo_nanoseconds(d) / 1000000;

    return ms < 0 ? 0 : ms > max_ms ? max_ms : ms;
}

/* Copies what must be known of a TaskInfo while it lives. */
void ag_task_set_info(struct pf_agent *a, struct task *t, struct pf_bytes bytes)
{
    struct TaskInfo info = TaskInfo__from_bytes(bytes);
    struct pf_msg summary = ag_summary_build(a, info);

    PF_ASSERT(t->summary == NULL);
    t->summary = pf_memdup(summary.data, summary.len);
    t->summary_len = summary.len;
    t->keeps_stdin = CommandInfo_keep_stdin(TaskInfo_command(info));
    if (KillPolicy__has_grace_period(TaskInfo_kill_policy(info))) {
        t->grace_ms =
            duration_ms(KillPolicy_grace_period(TaskInfo_kill_policy(info)), AGENT_GRACE_MAX_MS);
    }
    if (TaskInfo__has_max_completion_time(info)) {
        t->completion_ms = duration_ms(TaskInfo_max_completion_time(info), INT64_MAX / 4);
    }
    if (t->run.state == RunState_ACCEPTED || t->run.state == RunState_STARTING) {
        t->info = pf_memdup(bytes.at, bytes.len);
        t->info_len = bytes.len;
    }
}

void ag_task_drop_info(struct task *t)
{
    PF_FREE(t->info);
    t->info_len = 0;
    PF_FREE(t->launcher);
}

static uint32_t name_len(const struct task *t)
{
    return t->fw_len + 1 + t->id_len;
}

/* At most one task stands under a name: a live one, else the one that came last. */
void ag_task_index_name(struct pf_agent *a, struct task *t)
{
    struct task *old = pf_map_get(&a->by_name, t->name, name_len(t));

    if (old) {
        if (!ag_task_is_ended(old)) {
            return;
        }
        (void)pf_map_del(&a->by_name, old->name, name_len(old));
    }
    pf_map_put(&a->by_name, t->name, name_len(t), t);
}

struct task *ag_task_by_launch(const struct pf_agent *a, struct pf_bytes launch)
{
    return launch.len == 16 ? pf_map_get(&a->by_launch, launch.at, launch.len) : NULL;
}

struct task *ag_task_by_name(struct pf_agent *a, struct pf_str framework_id, struct pf_str id)
{
    uint32_t len = framework_id.len + 1 + id.len;
    char *key = pf_arena_alloc(pf_turn_arena(a->turn), len);

    if (framework_id.len > 0) {
        memcpy(key, framework_id.at, framework_id.len);
    }
    key[framework_id.len] = '\0';
    if (id.len > 0) {
        memcpy(key + framework_id.len + 1, id.at, id.len);
    }
    return pf_map_get(&a->by_name, key, len);
}

/* Takes the task's resources out of the free ones; not when the agent was given less since. */
void ag_task_count(struct pf_agent *a, struct task *t)
{
    struct pf_resources used = {.n_items = 0};

    PF_ASSERT(!t->counted);
    if (ag_resources_of_summary(ag_task_summary(t), &used, NULL) == 0 &&
        pf_res_contains(&a->free, &used)) {
        pf_res_sub(&a->free, &used);
        t->counted = true;
    } else {
        a->n_uncounted++;
    }
    pf_res_fini(&used);
    a->n_running++;
}

void ag_task_uncount(struct pf_agent *a, struct task *t)
{
    struct pf_resources used = {.n_items = 0};

    if (!t->counted) {
        a->n_uncounted--;
    } else {
        int rc = ag_resources_of_summary(ag_task_summary(t), &used, NULL);
        PF_ASSERT(rc == 0);
        pf_res_add(&a->free, &used);
        t->counted = false;
    }
    pf_res_fini(&used);
    a->n_running--;
}

struct pf_str ag_task_sandbox(const struct pf_agent *a, const struct task *t)
{
    char uuid[PF_UUID_TEXT_LEN + 1];
    struct pf_str id = ag_task_id(t);

    /* One new directory for each task: file systems make a hundred times fewer of them a second
     * than launches are decided. Mesos's deeper layout would take three. */
    pf_uuid_format(t->launch, uuid);
    id.len = id.len < SANDBOX_ID_SHOWN ? id.len : SANDBOX_ID_SHOWN;
    return pf_arena_printf(pf_turn_arena(a->turn), "%s/sandboxes/%s/%.*s.%s", a->opt.work_dir,
                           t->name, PF_STR_ARG(id), uuid);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* One timer per task: its nearest deadline that can be acted on now. */
void ag_task_rearm(struct pf_agent *a, struct task *t)
{
    int64_t at = t->expire_at;

    if (ag_launcher_is_ready(a)) {
        at = least(at, least(t->kill_at, t->complete_at));
    }
    if (ag_is_registered(a)) {
        at = least(at, t->resend_at);
    }
    if (at == AGENT_NEVER) {
        pf_heap_remove(&a->timers, &t->timer);
    } else {
        pf_heap_set(&a->timers, &t->timer, at);
    }
}

static void remove_sandbox(struct pf_agent *a, const struct task *t)
{
    struct pf_agent_act_sandbox *act = pf_arena_zalloc(pf_turn_arena(a->turn), sizeof *act);

    act->launch = t->launch;
    act->path = ag_task_sandbox(a, t);
    act->user = PF_STR("");
    pf_turn_act(a->turn, PF_AGENT_ACT_REMOVE, act);
}

/* Ended and acknowledged: what is left of it is history, so that its output can be read. */
void ag_task_retire(struct pf_agent *a, struct task *t)
{
    PF_ASSERT(ag_task_is_ended(t));
    PF_ASSERT(TAILQ_EMPTY(&t->updates));
    if (a->batch_next == t) {
        a->batch_next = TAILQ_NEXT(t, link);
    }
    ag_told(a, &t->untold);
    ag_framework_leave(a, t);
    ag_task_drop_info(t);
    PF_FREE(t->summary);
    PF_FREE(t->user);
    TAILQ_REMOVE(&a->live, t, link);
    a->n_live--;
    t->in_history = true;
    TAILQ_INSERT_TAIL(&a->history, t, link);
    a->n_history++;
    int64_t age_ms = a->wall_ms - t->finished_ms;
    t->expire_at = a->now_ms + (age_ms < 0 ? AGENT_HISTORY_MS : AGENT_HISTORY_MS - age_ms);
    ag_task_rearm(a, t);
    while (a->n_history > AGENT_HISTORY_TASKS) {
        ag_task_remove(a, TAILQ_FIRST(&a->history));
    }
}

/* Its sandbox and its rows go. */
void ag_task_remove(struct pf_agent *a, struct task *t)
{
    PF_ASSERT(t->in_history);
    ag_row_del_task(a, t);
    remove_sandbox(a, t);
    ag_task_free(a, t);
}

void ag_task_free(struct pf_agent *a, struct task *t)
{
    struct update *u = NULL;

    if (a->batch_next == t) {
        a->batch_next = TAILQ_NEXT(t, link);
    }
    while ((u = TAILQ_FIRST(&t->updates)) != NULL) {
        TAILQ_REMOVE(&t->updates, u, link);
        (void)pf_map_del(&a->by_update, u->uuid.b, sizeof u->uuid.b);
        a->n_updates--;
        ag_told(a, &u->untold);
        pf_free(u);
    }
    if (t->fw) {
        ag_framework_leave(a, t);
    }
    if (t->in_history) {
        TAILQ_REMOVE(&a->history, t, link);
        a->n_history--;
    } else {
        TAILQ_REMOVE(&a->live, t, link);
        a->n_live--;
    }
    ag_told(a, &t->untold);
    pf_heap_remove(&a->timers, &t->timer);
    (void)pf_map_del(&a->by_launch, t->launch.b, sizeof t->launch.b);
    if (t->name && pf_map_get(&a->by_name, t->name, name_len(t)) == t) {
        (void)pf_map_del(&a->by_name, t->name, name_len(t));
    }
    ag_task_drop_info(t);
    pf_free(t->summary);
    pf_free(t->user);
    pf_free(t->name);
    pf_free(t);
}

struct pf_uuid pf_agent_process_uuid(struct pf_uuid container, enum pf_agent_role role)
{
    container.b[sizeof container.b - 1] ^= (uint8_t)role;
    return container;
}
