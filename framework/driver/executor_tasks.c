/* SPDX-License-Identifier: Apache-2.0 */
/* The tasks of an executor and their updates, from the launch to the last acknowledgement. */
#include <string.h>
#include "common/base/alloc.h"
#include "framework/driver/driver.h"
#include "framework/driver/executor_internal.h"

static struct exdrv_task *task_find(const struct pf_executor_driver *d, struct pf_str id)
{
    return pf_map_get_str(&d->tasks, id);
}

static uint32_t task_listed_bytes(const struct exdrv_task *task)
{
    return (uint32_t)strlen(task->id) * 2 + EXDRV_LISTED_TASK_BYTES;
}

static void task_acked(struct pf_executor_driver *d, struct exdrv_task *task)
{
    if (!task->was_acked) {
        task->was_acked = true;
        d->unacked_id_bytes -= task_listed_bytes(task);
    }
}

static void update_free(struct pf_executor_driver *d, struct exdrv_update *u)
{
    TAILQ_REMOVE(&d->updates, u, entry);
    TAILQ_REMOVE(&u->task->updates, u, of_task);
    d->n_updates--;
    d->update_bytes -= u->status.len;
    pf_free((void *)(uintptr_t)u->status.at);
    pf_free(u);
}

static void task_forget(struct pf_executor_driver *d, struct exdrv_task *task)
{
    while (!TAILQ_EMPTY(&task->updates)) {
        update_free(d, TAILQ_FIRST(&task->updates));
    }
    task_acked(d, task);
    d->n_over -= task->is_over ? 1 : 0;
    (void)pf_map_del(&d->tasks, task->id, (uint32_t)strlen(task->id));
    TAILQ_REMOVE(&d->task_list, task, entry);
    pf_free(task->id);
    pf_free(task);
}

void exdrv_tasks_fini(struct pf_executor_driver *d)
{
    while (!TAILQ_EMPTY(&d->task_list)) {
        task_forget(d, TAILQ_FIRST(&d->task_list));
    }
    pf_map_fini(&d->tasks);
}

/* --- launches --------------------------------------------------------------------------------- */

static void task_add(struct pf_executor_driver *d, struct pf_str id)
{
    struct exdrv_task *task = PF_NEW(struct exdrv_task);

    task->id = pf_strndup(id.at, id.len);
    TAILQ_INIT(&task->updates);
    pf_map_put(&d->tasks, task->id, id.len, task);
    TAILQ_INSERT_TAIL(&d->task_list, task, entry);
    d->unacked_id_bytes += task_listed_bytes(task);
}

/* Too many: said once and not remembered. If that is lost, the agent sees with the next
 * subscription that we do not have the task. */
static void launch_refuse(struct pf_executor_driver *d, struct pf_str id, struct pf_turn *t)
{
    struct pf_executor_update u = {.task_id = id,
                                   .state = TaskState_TASK_FAILED,
                                   .message = PF_STR("the executor has too many tasks")};
    struct pf_uuid uuid;

    d->stats.refused_launches++;
    exdrv_send_update(d, pf_msg_bytes(exdrv_put_status(d, &u, &uuid, t)), t);
}

static bool launch_is_good(struct pf_executor_driver *d, struct pf_str id)
{
    if (id.len == 0 || pf_id_problem(id) || d->is_stopping) {
        d->stats.bad_messages++; /* the agent sees how it ends */
        return false;
    }
    if (task_find(d, id)) {
        d->stats.repeated_launches++;
        return false;
    }
    return true;
}

void exdrv_on_launch(struct pf_executor_driver *d, struct pf_msg envelope, struct pf_turn *t)
{
    struct pf_executor_launch told = {0};
    struct Executor_Event e;
    struct TaskGroupInfo group;
    struct TaskInfo *task;
    uint32_t n;

    envelope.data = pf_arena_memdup(pf_turn_arena(t), envelope.data, envelope.len);
    e = Envelope_body_as_Executor_Event(Envelope__root(envelope));
    told.is_group = Executor_Event_type(e) == Executor_Event_Type_LAUNCH_GROUP;
    group = Executor_Event_LaunchGroup_task_group(Executor_Event_launch_group(e));
    n = told.is_group ? TaskGroupInfo_tasks__len(group) : 1;
    task = pf_arena_alloc(pf_turn_arena(t), (n + 1) * sizeof *task);
    for (uint32_t i = 0; i < n; i++) {
        struct TaskInfo one = told.is_group
                                  ? TaskInfo_Nested_info(TaskGroupInfo_tasks__at(group, i))
                                  : Executor_Event_Launch_task(Executor_Event_launch(e));
        struct pf_str id = TaskID_value(TaskInfo_task_id(one));

        if (!launch_is_good(d, id)) {
            continue;
        }
        if (d->tasks.len >= EXDRV_TASKS_MAX || d->unacked_id_bytes > EXDRV_LISTED_MAX_BYTES) {
            launch_refuse(d, id, t);
            continue;
        }
        task_add(d, id);
        task[told.n++] = one;
    }
    told.task = task;
    if (told.n > 0) {
        exdrv_act(t, PF_EXECUTOR_LAUNCH, &told, sizeof told);
    }
}

void exdrv_on_kill(struct pf_executor_driver *d, struct Executor_Event_Kill kill, struct pf_turn *t)
{
    struct pf_str id = TaskID_value(Executor_Event_Kill_task_id(kill));
    const struct exdrv_task *task = id.len > 0 ? task_find(d, id) : NULL;
    struct KillPolicy policy = Executor_Event_Kill_kill_policy(kill);
    struct DurationInfo grace = KillPolicy_grace_period(policy);
    struct pf_executor_kill told = {.grace_ms = -1};

    if (!task || task->is_over || d->is_stopping) {
        return; /* its end was said, or is not ours to say */
    }
    told.task_id = pf_arena_strdup(pf_turn_arena(t), id);
    if (DurationInfo__has_nanoseconds(grace) && DurationInfo_nanoseconds(grace) >= 0) {
        told.grace_ms = DurationInfo_nanoseconds(grace) / 1000000;
    }
    exdrv_act(t, PF_EXECUTOR_KILL, &told, sizeof told);
}

/* --- updates ---------------------------------------------------------------------------------- */

static bool state_is_sayable(enum TaskState state)
{
    switch (state) {
    case TaskState_TASK_STARTING:
    case TaskState_TASK_RUNNING:
    case TaskState_TASK_KILLING:
    case TaskState_TASK_FINISHED:
    case TaskState_TASK_FAILED:
    case TaskState_TASK_KILLED:
    case TaskState_TASK_ERROR:
    case TaskState_TASK_LOST:
    case TaskState_TASK_DROPPED:
    case TaskState_TASK_GONE: return true;
    case TaskState_TASK_STAGING:
    case TaskState_TASK_UNREACHABLE:
    case TaskState_TASK_GONE_BY_OPERATOR:
    case TaskState_TASK_UNKNOWN: break;
    }
    return false;
}

int pf_executor_driver_may_update(const struct pf_executor_driver *d,
                                  const struct pf_executor_update *u, struct pf_err *err)
{
    const struct exdrv_task *task = u->task_id.len > 0 ? task_find(d, u->task_id) : NULL;

    if (d->sm.state == EXDRV_ENDED || d->is_stopping) {
        return pf_err_set(err, PF_ECANCELED, "the executor has stopped");
    }
    if (!task) {
        return pf_err_set(err, PF_ENOENT, "there is no task %.*s", PF_STR_ARG(u->task_id));
    }
    if (task->is_over) {
        return pf_err_set(err, PF_EEXIST, "task %s is over", task->id);
    }
    if (!state_is_sayable(u->state)) {
        return pf_err_set(err, PF_EINVAL, "not a state that an executor gives a task");
    }
    if (u->message.len > PF_STATUS_MAX_BYTES || u->data.len > PF_STATUS_MAX_BYTES ||
        u->message.len + u->data.len > PF_STATUS_MAX_BYTES) {
        return pf_err_set(err, PF_ELIMIT, "message and data have over %u bytes",
                          PF_STATUS_MAX_BYTES);
    }
    if (!pf_driver_state_is_final(u->state) &&
        (d->n_updates >= EXDRV_UPDATES_MAX || d->update_bytes >= EXDRV_UPDATES_MAX_BYTES)) {
        return pf_err_set(err, PF_ELIMIT, "too many updates wait for the agent");
    }
    return 0;
}

void exdrv_update(struct pf_executor_driver *d, const struct pf_executor_update *u,
                  struct pf_turn *t)
{
    struct exdrv_task *task;
    struct exdrv_update *made;
    struct pf_msg status;

    if (pf_executor_driver_may_update(d, u, NULL) < 0) {
        return;
    }
    task = task_find(d, u->task_id);
    made = PF_NEW(struct exdrv_update);
    status = exdrv_put_status(d, u, &made->uuid, t);
    made->task = task;
    made->status = (struct pf_bytes){pf_memdup(status.data, status.len), status.len};
    TAILQ_INSERT_TAIL(&d->updates, made, entry);
    TAILQ_INSERT_TAIL(&task->updates, made, of_task);
    d->n_updates++;
    d->update_bytes += status.len;
    d->stats.updates++;
    if (pf_driver_state_is_final(u->state)) {
        task->is_over = true;
        d->n_over++;
    }
    if (d->sm.state == EXDRV_SUBSCRIBED) {
        made->sent_in = d->stats.subscriptions;
        exdrv_send_update(d, pf_msg_bytes(status), t);
    }
}

void exdrv_on_acknowledged(struct pf_executor_driver *d, struct Executor_Event_Acknowledged a)
{
    struct pf_str id = TaskID_value(Executor_Event_Acknowledged_task_id(a));
    struct pf_bytes uuid = Executor_Event_Acknowledged_uuid(a);
    struct exdrv_task *task = id.len > 0 ? task_find(d, id) : NULL;
    struct exdrv_update *u = task ? TAILQ_FIRST(&task->updates) : NULL;

    while (u && (uuid.len != sizeof u->uuid || memcmp(uuid.at, u->uuid.b, uuid.len) != 0)) {
        u = TAILQ_NEXT(u, of_task);
    }
    if (!u) {
        return; /* acknowledged before, over another link */
    }
    update_free(d, u);
    task_acked(d, task);
    if (task->is_over && TAILQ_EMPTY(&task->updates)) {
        task_forget(d, task);
    }
}

void exdrv_tasks_check(const struct pf_executor_driver *d)
{
    const struct exdrv_task *task;
    const struct exdrv_update *u;
    uint32_t n_over = 0, n_tasks = 0, n = 0, listed = 0;
    uint64_t bytes = 0;

    TAILQ_FOREACH(task, &d->task_list, entry)
    {
        PF_ASSERT(task_find(d, pf_str(task->id)) == task);
        PF_ASSERT(!task->is_over || !TAILQ_EMPTY(&task->updates));
        n_tasks++;
        n_over += task->is_over ? 1 : 0;
        listed += task->was_acked ? 0 : task_listed_bytes(task);
        TAILQ_FOREACH(u, &task->updates, of_task)
        {
            PF_ASSERT(u->task == task);
            n++;
        }
    }
    PF_ASSERT(n == d->n_updates);
    TAILQ_FOREACH(u, &d->updates, entry)
    {
        n--;
        bytes += u->status.len;
    }
    PF_ASSERT(n == 0 && bytes == d->update_bytes);
    PF_ASSERT(n_tasks == d->tasks.len && n_over == d->n_over && listed == d->unacked_id_bytes);
    PF_ASSERT(n_tasks <= EXDRV_TASKS_MAX);
}
