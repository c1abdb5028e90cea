/* SPDX-License-Identifier: Apache-2.0 */
/* See tasks.h. */
#include "master/core/tasks.h"

#include <string.h>
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "master/core/agents.h"
#include "master/core/convert.h"
#include "master/core/drain.h"
#include "master/core/frameworks_internal.h"
#include "master/core/history.h"
#include "master/core/out.h"
#include "master/core/validate.h"

/* The state of the machine for a reported one; INVALID where no task can be in it. */
static enum m_task_state machine_state(enum TaskState s)
{
    switch (s) {
    case TaskState_TASK_STAGING: return M_TASK_STAGING;
    case TaskState_TASK_STARTING: return M_TASK_STARTING;
    case TaskState_TASK_RUNNING: return M_TASK_RUNNING;
    case TaskState_TASK_KILLING: return M_TASK_KILLING;
    case TaskState_TASK_FINISHED: return M_TASK_FINISHED;
    case TaskState_TASK_FAILED: return M_TASK_FAILED;
    case TaskState_TASK_KILLED: return M_TASK_KILLED;
    case TaskState_TASK_ERROR: return M_TASK_ERROR;
    case TaskState_TASK_LOST: return M_TASK_LOST;
    case TaskState_TASK_DROPPED: return M_TASK_DROPPED;
    case TaskState_TASK_GONE:
    case TaskState_TASK_GONE_BY_OPERATOR: return M_TASK_GONE;
    case TaskState_TASK_UNREACHABLE:
    case TaskState_TASK_UNKNOWN: break;
    }
    return M_TASK_INVALID;
}

bool pf_m_state_is_terminal(enum TaskState s)
{
    enum m_task_state state = machine_state(s);

    return state >= M_TASK_FINISHED;
}

struct m_task *pf_m_task_get(const struct m_framework *f, struct pf_str id)
{
    return id.len > 0 ? pf_map_get_str(&f->tasks, id) : NULL;
}

struct m_task *pf_m_task_find(const struct m_framework *f, struct pf_str id)
{
    struct m_task *found = pf_m_task_get(f, id), *t;

    if (!found) {
        TAILQ_FOREACH_REVERSE(t, &f->changes, m_tasks, by_change)
        {
            if (pf_str_eq(m_task_id(t), id)) {
                return t;
            }
        }
    }
    return found;
}

/* --- made --- */

static struct m_task *task_new(struct pf_master *m, struct m_framework *f, struct m_agent *a,
                               struct pf_str id, enum TaskState state, const char *why)
{
    struct m_task *t = pf_alloc(sizeof *t + id.len + 1);

    memcpy(t->id, id.at, id.len);
    t->id_len = id.len;
    t->framework = f;
    t->agent = a;
    t->state = state;
    t->update_state = state;
    t->registration = a->registration;
    t->created_ms = m->wall_ms;
    t->number = pf_order_add(&f->task_order, t);
    pf_map_put(&f->tasks, t->id, t->id_len, t);
    TAILQ_INSERT_TAIL(&a->tasks, t, of_agent);
    t->change = ++f->sequence;
    TAILQ_INSERT_TAIL(&f->changes, t, by_change);
    pf_sm_init(&t->sm, &pf_m_task_table, machine_state(state), t->id, why, &m->o.tracer);
    t->is_ended = pf_m_state_is_terminal(state);
    a->n_tasks += !t->is_ended;
    a->n_known++;
    m->stats.n_tasks++;
    (void)pf_m_link_need(a, f);
    pf_m_framework_wake(m, f);
    return t;
}

struct m_task *pf_m_task_launch(struct pf_master *m, const struct m_launch *l, struct TaskInfo info,
                                const struct pf_resources *resources)
{
    struct m_task *t = task_new(m, l->f, l->a, TaskID_value(TaskInfo_task_id(info)),
                                TaskState_TASK_STAGING, "launch");

    t->launch = pf_uuid_random(&m->rng);
    t->resources = pf_res_dup(resources);
    t->uses_resources = true;
    pf_m_blob_set(&t->summary, pf_m_summary_of_launch(m, l, info));
    m->stats.tasks_launched++;
    return t;
}

/* --- learnt from an agent --- */

static int read_task_resources(const struct m_framework *f, struct Task x, struct pf_resources *out,
                               struct pf_err *err)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < Task_resources__len(x); i++) {
        rc = pf_m_resource_read(Task_resources__at(x, i), pf_str(f->role), out, err);
    }
    return rc;
}

/* The status that came along is the last of the task's stream. Only the first of it can be told and
 * acknowledged now; where they differ, the agent sends the first when it is registered. */
static bool is_head_of_stream(struct Task x, struct TaskStatus last)
{
    struct pf_bytes head = Task_status_update_uuid(x), uuid = TaskStatus_uuid(last);

    return uuid.len > 0 &&
           (head.len == 0 || (head.len == uuid.len && memcmp(head.at, uuid.at, uuid.len) == 0));
}

static void learn_status(struct pf_master *m, struct m_task *t, struct Task x)
{
    uint32_t n = Task_statuses__len(x);

    if (n > 0) {
        struct TaskStatus last = Task_statuses__at(x, n - 1);

        pf_m_history_status(m, t, last);
        pf_m_history_learn(m, t, x);
        struct pf_fb_builder *b = pf_m_builder(m);

        pf_m_blob_set(&t->status, pf_msg_bytes(TaskStatus__finish(b, TaskStatus__copy(b, last))));
        t->is_pending = is_head_of_stream(x, last);
    }
    t->update_state = Task__has_status_update_state(x) ? Task_status_update_state(x) : t->state;
    t->started_ms = Task_started_ms(x);
    t->finished_ms = Task_finished_ms(x);
    t->has_exit_status = Task__has_exit_status(x);
    t->exit_status = Task_exit_status(x);
    t->memory_peak_bytes = Task_memory_peak_bytes(x);
    t->has_signal = Task__has_signal(x);
    t->signal = Task_signal(x);
}

/* Counts its resources on the agent. */
static int take_resources(struct pf_master *m, struct m_task *t, struct pf_err *err)
{
    if (t->is_ended || t->uses_resources) {
        return 0;
    }
    if (!pf_res_contains(pf_al_agent_free(t->agent->al), &t->resources)) {
        return pf_err_set(err, PF_ELIMIT, "the agent's tasks use more than it has (task %s)",
                          t->id);
    }
    pf_al_use(m->al, t->agent->al, t->framework->al, &t->resources);
    t->uses_resources = true;
    return 0;
}

/* Its agent was unreachable: whatever the framework was told, this is how it is. */
static void tell_returned(struct pf_master *m, struct m_task *t)
{
    pf_m_history_note(m, t, t->state, TaskStatus_Reason_REASON_AGENT_REREGISTERED);
    pf_m_send_status(m, t->framework,
                     &(struct m_status){.task_id = m_task_id(t),
                                        .agent_id = pf_str(t->agent->id),
                                        .state = t->state,
                                        .has_reason = true,
                                        .reason = TaskStatus_Reason_REASON_AGENT_REREGISTERED,
                                        .message = PF_STR("Agent reregistered"),
                                        .like = t});
}

/* A task that is known already, told by its own agent. */
static int relearn(struct pf_master *m, struct m_task *t, struct Task x, struct pf_err *err)
{
    bool was_unreachable = t->sm.state == M_TASK_UNREACHABLE;
    int rc = 0;

    t->registration = t->agent->registration;
    pf_m_task_set_state(m, t, Task_state(x), was_unreachable ? "returned" : "registration");
    if (was_unreachable) {
        t->unreachable_ms = 0;
        t->agent->n_tasks += !t->is_ended;
        rc = take_resources(m, t, err);
        learn_status(m, t, x);
        tell_returned(m, t);
    }
    return rc;
}

/* Was this very launch ended for good while its agent could not be reached? A leader before this
 * one may have done so: then its framework is told once more. */
static bool was_replaced(struct pf_master *m, struct m_agent *a, struct m_framework *f,
                         struct Task x)
{
    struct pf_bytes launch = Task_launch_uuid(x);
    struct pf_str id = TaskID_value(Task_task_id(x));
    enum TaskState state = f->is_partition_aware ? TaskState_TASK_GONE : TaskState_TASK_LOST;
    const struct m_task *t;

    if (PartitionPolicy_action(Task_partition_policy(x)) != PartitionAction_REPLACE) {
        return false;
    }
    t = pf_m_task_find(f, id);
    if (t && t->is_history && t->is_given_up && memcmp(t->launch.b, launch.at, launch.len) == 0) {
        return true;
    }
    if (!a->is_returning || pf_m_state_is_terminal(Task_state(x))) {
        return false;
    }
    pf_m_send_status(m, f,
                     &(struct m_status){.task_id = id,
                                        .agent_id = pf_str(a->id),
                                        .state = state,
                                        .has_reason = true,
                                        .reason = TaskStatus_Reason_REASON_AGENT_REMOVED,
                                        .message = PF_STR("The agent was unreachable, and the "
                                                          "task is replaced")});
    return true;
}

int pf_m_task_learn(struct pf_master *m, struct m_agent *a, struct Task x, struct pf_err *err)
{
    struct pf_str id = TaskID_value(Task_task_id(x));
    struct m_framework *f = pf_m_framework_get(m, FrameworkID_value(Task_framework_id(x)));
    struct pf_bytes launch = Task_launch_uuid(x);
    struct pf_resources resources = {0};
    struct m_task *t;

    if (!f) { /* completed: its teardown is on the way; or never named */
        return 0;
    }
    if (pf_id_problem(id) || launch.len != sizeof t->launch.b || !Task__has_state(x) ||
        machine_state(Task_state(x)) == M_TASK_INVALID) {
        return pf_err_set(err, PF_EINVAL, "a task of the agent is malformed");
    }
    t = pf_m_task_get(f, id);
    if (t) {
        if (t->agent == a && memcmp(t->launch.b, launch.at, launch.len) == 0) {
            return relearn(m, t, x, err);
        }
        pf_m_doom(a, x, false); /* the id is taken by another launch */
        return 0;
    }
    if (was_replaced(m, a, f, x)) {
        pf_m_doom(a, x, true);
        return 0;
    }
    if (f->tasks.len >= PF_FRAMEWORK_TASKS_MAX) {
        return pf_err_set(err, PF_ELIMIT, "framework %s has too many tasks", f->id);
    }
    int rc = read_task_resources(f, x, &resources, err);

    if (rc < 0) {
        pf_res_fini(&resources);
        return rc;
    }
    t = task_new(m, f, a, id, Task_state(x), "registration");
    memcpy(t->launch.b, launch.at, launch.len);
    t->resources = resources;
    t->created_ms = Task_created_ms(x);
    pf_m_blob_set(&t->summary, pf_m_summary_of_task(m, x));
    learn_status(m, t, x);
    if (a->is_returning) {
        tell_returned(m, t);
    }
    return take_resources(m, t, err);
}

void pf_m_task_missing(struct pf_master *m, struct m_task *t)
{
    struct m_framework *f = t->framework;
    enum TaskState state = f->is_partition_aware ? TaskState_TASK_DROPPED : TaskState_TASK_LOST;

    if (t->is_ended) {
        pf_m_task_to_history(m, t);
        pf_m_framework_maybe_done(m, f);
        return;
    }
    pf_m_task_set_state(m, t, state, "missing");
    t->update_state = state;
    pf_m_history_note(m, t, state, TaskStatus_Reason_REASON_RECONCILIATION);
    pf_m_send_status(
        m, f,
        &(struct m_status){.task_id = m_task_id(t),
                           .agent_id = pf_str(t->agent->id),
                           .state = state,
                           .has_reason = true,
                           .reason = TaskStatus_Reason_REASON_RECONCILIATION,
                           .message = PF_STR("Reconciliation: Task is unknown to the agent")});
    pf_m_task_to_history(m, t);
    pf_m_framework_maybe_done(m, f);
}

/* --- changes --- */

void pf_m_task_changed(struct pf_master *m, struct m_task *t)
{
    struct m_framework *f = t->framework;

    pf_m_drain_touch(m, t->agent);
    t->change = ++f->sequence;
    if (TAILQ_NEXT(t, by_change)) {
        TAILQ_REMOVE(&f->changes, t, by_change);
        TAILQ_INSERT_TAIL(&f->changes, t, by_change);
    }
    pf_m_framework_wake(m, f);
}

static void free_resources(struct pf_master *m, struct m_task *t)
{
    if (t->uses_resources) {
        pf_al_unuse(m->al, t->agent->al, t->framework->al, &t->resources);
        t->uses_resources = false;
    }
}

void pf_m_task_set_state(struct pf_master *m, struct m_task *t, enum TaskState state,
                         const char *why)
{
    enum m_task_state next = machine_state(state);
    bool was_unreachable = t->sm.state == M_TASK_UNREACHABLE;

    if (next != t->sm.state && pf_sm_may(&t->sm, next)) {
        pf_sm_move(&t->sm, next, t->id, why, &m->o.tracer);
        t->state = state;
        if (next >= M_TASK_FINISHED) {
            t->is_ended = true;
            t->agent->n_tasks -= !was_unreachable;
            t->finished_ms = t->finished_ms > 0 ? t->finished_ms : m->wall_ms;
            free_resources(m, t);
            m->stats.tasks_ended++;
        }
    }
    pf_m_task_changed(m, t);
}

void pf_m_task_unreachable(struct pf_master *m, struct m_task *t)
{
    enum TaskState state =
        t->framework->is_partition_aware ? TaskState_TASK_UNREACHABLE : TaskState_TASK_LOST;

    if (t->is_ended || t->sm.state == M_TASK_UNREACHABLE) { /* it came back for a moment only */
        return;
    }
    if (m_task_policy(t) == PartitionAction_REPLACE) {
        pf_m_task_give_up(m, t,
                          &(struct m_loss){.aware = TaskState_TASK_GONE,
                                           .reason = TaskStatus_Reason_REASON_AGENT_REMOVED,
                                           .why = "replaced",
                                           .message = "is unreachable, and the task is replaced"});
        return;
    }
    free_resources(m, t);
    t->agent->n_tasks--;
    pf_sm_move(&t->sm, M_TASK_UNREACHABLE, t->id, "agent_unreachable", &m->o.tracer);
    t->state = state;
    t->update_state = state;
    t->is_pending = false; /* the agent tells it again when it is back */
    t->unreachable_ms = m->wall_ms;
    pf_m_history_note(m, t, state, TaskStatus_Reason_REASON_AGENT_REMOVED);
    pf_m_task_changed(m, t);
    pf_m_send_status(
        m, t->framework,
        &(struct m_status){.task_id = m_task_id(t),
                           .agent_id = pf_str(t->agent->id),
                           .state = state,
                           .has_reason = true,
                           .reason = TaskStatus_Reason_REASON_AGENT_REMOVED,
                           .unreachable_ms = t->unreachable_ms,
                           .message = pf_arena_printf(pf_m_arena(m), "Agent %s is unreachable",
                                                      t->agent->hostname)});
}

void pf_m_task_give_up(struct pf_master *m, struct m_task *t, const struct m_loss *loss)
{
    struct m_framework *f = t->framework;
    bool is_told = t->sm.state == M_TASK_UNREACHABLE && !f->is_partition_aware;
    enum TaskState state = f->is_partition_aware ? loss->aware : TaskState_TASK_LOST;

    if (!t->is_ended) {
        t->is_given_up = true;
        pf_m_task_set_state(m, t, state, loss->why);
        pf_m_history_note(m, t, state, loss->reason);
        t->update_state = state;
        t->is_pending = false;
        if (!is_told) {
            pf_m_send_status(
                m, f,
                &(struct m_status){.task_id = m_task_id(t),
                                   .agent_id = pf_str(t->agent->id),
                                   .state = state,
                                   .has_reason = true,
                                   .reason = loss->reason,
                                   .message = pf_arena_printf(pf_m_arena(m), "Agent %s %s",
                                                              t->agent->hostname, loss->message)});
        }
    }
    pf_m_task_to_history(m, t);
    pf_m_framework_maybe_done(m, f);
}

void pf_m_task_drop(struct pf_master *m, struct m_task *t)
{
    if (!t->is_ended) {
        pf_m_task_set_state(m, t, TaskState_TASK_KILLED, "framework_removed");
        t->update_state = TaskState_TASK_KILLED;
        pf_m_history_note(m, t, TaskState_TASK_KILLED, TaskStatus_Reason_REASON_FRAMEWORK_REMOVED);
    }
    pf_m_task_to_history(m, t);
}

void pf_m_task_to_history(struct pf_master *m, struct m_task *t)
{
    struct m_framework *f = t->framework;

    PF_ASSERT(t->is_ended);
    pf_map_del(&f->tasks, t->id, t->id_len);
    pf_order_del(&f->task_order, t->number);
    TAILQ_REMOVE(&t->agent->tasks, t, of_agent);
    m->stats.n_tasks--;
    t->is_history = true;
    t->is_pending = false;
    t->number = pf_order_add(&f->ended, t);
    pf_m_task_changed(m, t);
    if (f->ended.n_live > PF_HISTORY_TASKS) {
        struct pf_order_cursor c = {0};
        struct m_task *oldest = pf_order_next(&f->ended, &c);

        pf_order_del(&f->ended, oldest->number);
        TAILQ_REMOVE(&f->changes, oldest, by_change);
        pf_m_task_free(oldest);
    }
}

void pf_m_task_free(struct m_task *t)
{
    pf_m_agent_unknown(t->agent);
    pf_res_fini(&t->resources);
    pf_m_history_fini(t);
    pf_m_blob_fini(&t->status);
    pf_m_blob_fini(&t->summary);
    pf_free(t);
}

void pf_m_task_kill(struct pf_master *m, struct m_task *t, const int64_t *grace_ms,
                    const int32_t *signal)
{
    t->has_kill = true;
    t->has_kill_grace = grace_ms != NULL;
    t->kill_grace_ms = grace_ms ? *grace_ms : 0;
    t->has_kill_signal = signal != NULL;
    t->kill_signal = signal ? *signal : 0;
    if (m_agent_is_registered(t->agent)) {
        pf_m_send_kill(m, t);
    }
}
