/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of tasks: by launch uuid, by name, live ones in the order of acceptance, ended and
 * acknowledged ones as history. A live task keeps a summary of its TaskInfo; the TaskInfo itself is
 * held until the task runs. */
#include "agent/core/calls_internal.h"
#include "agent/core/checks_internal.h"
#include "agent/core/executors_internal.h"

#include "common/base/alloc.h"

struct Task ag_task_summary(const struct task *t)
{
    return Task__from_bytes((struct pf_bytes){t->summary, t->summary_len});
}

struct task *ag_task_create(struct pf_agent *a, struct pf_uuid launch)
{
    struct task *t = PF_NEW(struct task);

    ag_run_init(a, &t->run, RUN_TASK, launch);
    t->final_state = -1;
    t->told_state = -1;
    t->healthy = -1;
    t->completion_ms = AGENT_NEVER;
    t->grace_ms = AGENT_GRACE_MS;
    t->complete_at = t->resend_at = t->cut_at = AGENT_NEVER;
    t->resend_ms = a->opt.resend_ms;
    TAILQ_INIT(&t->updates);
    TAILQ_INSERT_TAIL(&a->live, t, link);
    a->n_live++;
    return t;
}

bool ag_task_is_hosted(const struct task *t)
{
    return t->executor && !t->executor->is_default;
}

const struct run *ag_task_home(const struct task *t)
{
    return ag_task_is_hosted(t) ? &t->executor->run : &t->run;
}

bool ag_task_has_heard(const struct task *t, struct pf_uuid update)
{
    for (uint32_t i = 0; i < t->n_heard; i++) {
        if (pf_uuid_eq(t->heard[i], update)) {
            return true;
        }
    }
    return false;
}

/* The oldest makes room. */
void ag_task_hears(struct task *t, struct pf_uuid update)
{
    if (!t->heard) {
        t->heard = pf_alloc(AGENT_HEARD_MAX * sizeof *t->heard);
    }
    if (t->n_heard == AGENT_HEARD_MAX) {
        t->n_heard--;
        memmove(t->heard, t->heard + 1, t->n_heard * sizeof *t->heard);
    }
    t->heard[t->n_heard++] = update;
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
    t->run.keeps_stdin =
        !ag_task_is_hosted(t) && (CommandInfo_keep_stdin(TaskInfo_command(info)) ||
                                  ContainerInfo__has_tty_info(TaskInfo_container(info)));
    if (KillPolicy__has_grace_period(TaskInfo_kill_policy(info))) {
        t->grace_ms =
            duration_ms(KillPolicy_grace_period(TaskInfo_kill_policy(info)), AGENT_GRACE_MAX_MS);
    }
    if (TaskInfo__has_max_completion_time(info)) {
        t->completion_ms = duration_ms(TaskInfo_max_completion_time(info), INT64_MAX / 4);
    }
    if (t->run.sm.state == RunState_ACCEPTED || t->run.sm.state == RunState_STARTING) {
        t->run.info = pf_memdup(bytes.at, bytes.len);
        t->run.info_len = bytes.len;
    }
    ag_checks_set_info(a, t, info);
}

static uint32_t name_len(const struct task *t)
{
    return t->run.fw_len + 1 + t->run.id_len;
}

/* At most one task stands under a name: a live one, else the one that came last. */
void ag_task_index_name(struct pf_agent *a, struct task *t)
{
    struct task *old = pf_map_get(&a->by_name, t->run.name, name_len(t));

    if (old) {
        if (!ag_run_is_ended(&old->run)) {
            return;
        }
        (void)pf_map_del(&a->by_name, old->run.name, name_len(old));
    }
    pf_map_put(&a->by_name, t->run.name, name_len(t), t);
}

struct task *ag_task_by_launch(const struct pf_agent *a, struct pf_bytes launch)
{
    struct run *r = ag_run_by_launch(a, launch);

    return r && r->kind == RUN_TASK ? ag_run_task(r) : NULL;
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

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t ag_task_next(const struct pf_agent *a, const struct task *t)
{
    int64_t at = AGENT_NEVER;

    if (ag_launcher_is_ready(a)) {
        at = least(t->cut_at, least(t->complete_at, ag_checks_next(t)));
    }
    return ag_is_registered(a) ? least(at, t->resend_at) : at;
}

void ag_task_runs(struct pf_agent *a, struct task *t)
{
    struct ending started = {.at_wall_ms = t->run.started_ms};

    ag_run_drop_info(&t->run);
    if (t->run.kill_reason == KILL_TEARDOWN) {
        ag_row_put_task(a, t);
        return;
    }
    ag_update_add(a, t, TaskState_TASK_RUNNING, &started);
    if (t->run.kill_reason == KILL_NONE) {
        ag_checks_begin(a, t, false);
    }
    if (t->completion_ms != AGENT_NEVER && t->run.kill_reason == KILL_NONE) {
        int64_t ran_ms = a->wall_ms - t->run.started_ms;
        t->complete_at = a->now_ms + t->completion_ms - (ran_ms > 0 ? ran_ms : 0);
    }
}

/* Ended and acknowledged: what is left of it is history, so that its output can be read. */
void ag_task_retire(struct pf_agent *a, struct task *t)
{
    PF_ASSERT(ag_run_is_ended(&t->run));
    PF_ASSERT(TAILQ_EMPTY(&t->updates));
    if (a->batch_next == t) {
        a->batch_next = TAILQ_NEXT(t, link);
    }
    ag_told(a, &t->untold);
    ag_framework_leave(a, &t->run);
    ag_run_drop_info(&t->run);
    PF_FREE(t->summary);
    PF_FREE(t->run.user);
    ag_checks_free(a, t);
    ag_states_free(t);
    TAILQ_REMOVE(&a->live, t, link);
    a->n_live--;
    t->in_history = true;
    ag_run_rearm(a, &t->run);
    ag_gc_insert(a, t);
}

/* Its sandbox and its rows go. */
void ag_task_remove(struct pf_agent *a, struct task *t)
{
    PF_ASSERT(t->in_history);
    ag_row_del_task(a, t);
    if (!ag_task_is_hosted(t)) {
        ag_run_act_remove(a, &t->run);
    }
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
    if (t->run.fw) {
        ag_framework_leave(a, &t->run);
    }
    if (t->in_history) {
        TAILQ_REMOVE(&a->history, t, link);
        a->n_history--;
    } else {
        TAILQ_REMOVE(&a->live, t, link);
        a->n_live--;
    }
    ag_told(a, &t->untold);
    if (t->run.name && pf_map_get(&a->by_name, t->run.name, name_len(t)) == t) {
        (void)pf_map_del(&a->by_name, t->run.name, name_len(t));
    }
    ag_checks_free(a, t);
    ag_states_free(t);
    if (t->executor) {
        ag_executor_leave(a, t);
    }
    ag_run_fini(a, &t->run);
    pf_free(t->heard);
    pf_free(t->kill_text);
    pf_free(t->summary);
    pf_free(t);
}

struct pf_uuid pf_agent_process_uuid(struct pf_uuid container, enum pf_agent_role role)
{
    container.b[sizeof container.b - 1] ^= (uint8_t)role;
    return container;
}
