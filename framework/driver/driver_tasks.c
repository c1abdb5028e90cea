/* SPDX-License-Identifier: Apache-2.0 */
/* What became of each task: statuses told once, acknowledgements, kills that hold over a break,
 * questions for everything that may have been missed. */
#include <string.h>
#include "common/base/alloc.h"
#include "framework/driver/driver_internal.h"

bool pf_driver_state_is_final(enum TaskState state)
{
    switch (state) {
    case TaskState_TASK_FINISHED:
    case TaskState_TASK_FAILED:
    case TaskState_TASK_KILLED:
    case TaskState_TASK_LOST:
    case TaskState_TASK_ERROR:
    case TaskState_TASK_DROPPED:
    case TaskState_TASK_GONE:
    case TaskState_TASK_GONE_BY_OPERATOR:
    case TaskState_TASK_UNKNOWN: return true;
    case TaskState_TASK_STARTING:
    case TaskState_TASK_RUNNING:
    case TaskState_TASK_STAGING:
    case TaskState_TASK_KILLING:
    case TaskState_TASK_UNREACHABLE: break;
    }
    return false;
}

struct driver_task *driver_task_find(const struct pf_driver *d, struct pf_str id)
{
    return pf_map_get_str(&d->tasks, id);
}

static void task_is_known(struct pf_driver *d, struct driver_task *task)
{
    d->n_open_questions -= task->is_question ? 1 : 0;
    task->is_question = false;
}

static void task_forget(struct pf_driver *d, struct driver_task *task)
{
    task_is_known(d, task);
    TAILQ_REMOVE(task->is_ended ? &d->ended : &d->live, task, entry);
    d->n_ended -= task->is_ended ? 1 : 0;
    (void)pf_map_del(&d->tasks, task->id, (uint32_t)strlen(task->id));
    pf_free(task->id);
    pf_free(task->agent_id);
    pf_free(task);
}

void driver_tasks_fini(struct pf_driver *d)
{
    while (!TAILQ_EMPTY(&d->live)) {
        task_forget(d, TAILQ_FIRST(&d->live));
    }
    while (!TAILQ_EMPTY(&d->ended)) {
        task_forget(d, TAILQ_FIRST(&d->ended));
    }
}

static struct driver_task *task_add(struct pf_driver *d, struct pf_str id)
{
    struct driver_task *task = PF_NEW(struct driver_task);

    task->id = pf_strndup(id.at, id.len);
    task->state = TaskState_TASK_STAGING;
    pf_map_put(&d->tasks, task->id, (uint32_t)strlen(task->id), task);
    TAILQ_INSERT_TAIL(&d->live, task, entry);
    return task;
}

static void task_set_agent(struct driver_task *task, struct pf_str agent_id)
{
    if (agent_id.len > 0 && !pf_str_is(agent_id, task->agent_id ? task->agent_id : "")) {
        pf_free(task->agent_id);
        task->agent_id = pf_strndup(agent_id.at, agent_id.len);
    }
}

bool driver_task_launch(struct pf_driver *d, struct pf_str id, struct pf_str agent_id)
{
    struct driver_task *task = driver_task_find(d, id);
    uint32_t n_stale = 0;

    if (task && !task->is_ended && !task->is_question) {
        return false;
    }
    if (task) {
        n_stale = task->asked_in == d->stats.subscriptions ? task->n_asked : 0;
        task_forget(d, task);
    }
    task = task_add(d, id);
    task->n_stale = n_stale;
    task->launched_in = d->stats.subscriptions;
    task_set_agent(task, agent_id);
    return true;
}

static void task_end(struct pf_driver *d, struct driver_task *task)
{
    TAILQ_REMOVE(&d->live, task, entry);
    task->is_ended = true;
    task->is_killing = false;
    TAILQ_INSERT_TAIL(&d->ended, task, entry);
    if (++d->n_ended > DRIVER_ENDED_MAX) {
        task_forget(d, TAILQ_FIRST(&d->ended));
    }
}

/* It was called lost, and is there after all. */
static void task_revive(struct pf_driver *d, struct driver_task *task)
{
    TAILQ_REMOVE(&d->ended, task, entry);
    d->n_ended--;
    task->is_ended = task->never_started = false;
    TAILQ_INSERT_TAIL(&d->live, task, entry);
}

static bool status_has_uuid(struct TaskStatus s)
{
    return TaskStatus_uuid(s).len == DRIVER_UUID_BYTES;
}

static bool task_is_repeat(const struct driver_task *task, struct TaskStatus s)
{
    return task->has_uuid && status_has_uuid(s) &&
           memcmp(task->uuid, TaskStatus_uuid(s).at, DRIVER_UUID_BYTES) == 0;
}

static uint64_t uuid_beginning(const uint8_t *uuid)
{
    uint64_t n;

    memcpy(&n, uuid, sizeof n);
    return n;
}

/* One before the last: an agent that dies sends again what was acknowledged while the row of that
 * was on its way to the disk. */
static bool task_is_past(const struct driver_task *task, struct TaskStatus s)
{
    for (size_t i = 0; status_has_uuid(s) && i < DRIVER_PAST; i++) {
        if (task->past[i] != 0 && task->past[i] == uuid_beginning(TaskStatus_uuid(s).at)) {
            return true;
        }
    }
    return false;
}

/* Told before: our acknowledgement got lost, or its turn has not come. */
static void update_repeated(struct pf_driver *d, const struct driver_task *task,
                            struct TaskStatus s, struct pf_turn *t)
{
    d->stats.duplicates++;
    if (task->is_acked) {
        driver_send_ack(d, pf_str(task->id), AgentID_value(TaskStatus_agent_id(s)), task->uuid, t);
    }
}

/* The master knows of the task: now it can be killed. */
static void task_heard_of(struct pf_driver *d, struct driver_task *task, bool is_final,
                          struct pf_turn *t)
{
    if (task->is_asked && task->is_killing && !is_final) {
        driver_send_kill(d, pf_str(task->id), pf_str(task->agent_id), &task->kill, t);
    }
    task->is_asked = false;
}

static void ask_soon(struct pf_driver *d)
{
    if (d->ask_ms == INT64_MAX) {
        d->ask_pause_ms = DRIVER_ASK_MIN_MS;
        d->ask_ms = driver_later(d, d->ask_pause_ms);
    }
}

void driver_task_is_asked(struct pf_driver *d, struct pf_str id)
{
    struct driver_task *task = driver_task_find(d, id);

    if (task) {
        task->n_asked = task->asked_in == d->stats.subscriptions ? task->n_asked + 1 : 1;
        task->asked_in = d->stats.subscriptions;
    }
}

/* An answer to our own question that says what we know. */
static bool update_is_no_news(struct driver_task *task, struct TaskStatus s)
{
    if (status_has_uuid(s) || TaskStatus_reason(s) != TaskStatus_Reason_REASON_RECONCILIATION ||
        task->n_questions == 0) {
        return false;
    }
    task->n_questions--;
    return TaskStatus_state(s) == task->state && task->state != TaskState_TASK_STAGING;
}

/* The master says that it does not know the task (a known one's status is told as it is). */
static bool update_is_unknown(struct TaskStatus s)
{
    return !status_has_uuid(s) && pf_driver_state_is_final(TaskStatus_state(s)) &&
           TaskStatus_reason(s) == TaskStatus_Reason_REASON_RECONCILIATION;
}

/* The answer to a question from before this launch of the id: a master that was asked after the
 * ACCEPT, on the same link, knows it. It may as well be its word that the launch did not arrive,
 * which looks the same: so it is asked about the launch. */
static bool update_is_of_earlier_launch(struct pf_driver *d, struct driver_task *task,
                                        struct TaskStatus s)
{
    bool is_fresh = !task->is_ended && !task->was_heard_of && task->launched_in > 0 &&
                    task->launched_in == d->stats.subscriptions;

    if (!update_is_unknown(s) || !(task->never_started || (is_fresh && task->n_stale > 0))) {
        return false;
    }
    if (is_fresh && !task->never_started) {
        task->n_stale--;
        task->is_asked = true;
        ask_soon(d);
    }
    return true;
}

/* Nothing was ever heard of the launch, and the master, asked after the agent was back, does not
 * know the task: it never reached the agent, and no older leader can bring it there any more. */
static bool update_is_never_started(const struct driver_task *task, struct TaskStatus s)
{
    return !task->is_ended && !task->was_heard_of && !task->is_question && update_is_unknown(s) &&
           TaskStatus_state(s) == TaskState_TASK_GONE;
}

static void task_never_started(struct pf_driver *d, struct driver_task *task, struct pf_turn *t)
{
    task->never_started = true;
    task->state = task->is_killing ? TaskState_TASK_KILLED : TaskState_TASK_DROPPED;
    task_end(d, task);
    driver_tell_dropped(d, driver_dup_str(t, pf_str(task->id)), task->state,
                        TaskStatus_Reason_REASON_RECONCILIATION,
                        "the launch did not reach the agent", t);
}

static void update_note(struct driver_task *task, struct TaskStatus s, bool is_acked)
{
    task->state = TaskStatus_state(s);
    task->was_heard_of = true;
    task_set_agent(task, AgentID_value(TaskStatus_agent_id(s)));
    if (status_has_uuid(s)) {
        if (task->has_uuid) {
            memmove(&task->past[1], &task->past[0], sizeof task->past - sizeof task->past[0]);
            task->past[0] = uuid_beginning(task->uuid);
        }
        memcpy(task->uuid, TaskStatus_uuid(s).at, DRIVER_UUID_BYTES);
        task->has_uuid = true;
        task->is_acked = is_acked;
    }
}

void driver_on_update(struct pf_driver *d, struct TaskStatus s, struct pf_turn *t)
{
    struct pf_str id = TaskID_value(TaskStatus_task_id(s));
    struct driver_task *task = driver_task_find(d, id);
    struct pf_driver_update told = {.status = s,
                                    .wants_ack = d->explicit_acks && status_has_uuid(s)};
    bool is_final = pf_driver_state_is_final(TaskStatus_state(s));

    if (id.len == 0 || strlen(id.at) != id.len) {
        d->stats.bad_messages++;
        return;
    }
    if (task) {
        task_heard_of(d, task, is_final, t);
    }
    if (task && task_is_repeat(task, s)) {
        update_repeated(d, task, s, t);
        return;
    }
    if (task && task_is_past(task, s)) {
        d->stats.duplicates++;
        driver_send_ack(d, id, AgentID_value(TaskStatus_agent_id(s)), TaskStatus_uuid(s).at, t);
        return;
    }
    if (task && update_is_no_news(task, s)) {
        return;
    }
    if (task && update_is_of_earlier_launch(d, task, s)) {
        return;
    }
    if (task && update_is_never_started(task, s)) {
        task_never_started(d, task, t);
        return;
    }
    if (task && task->is_question) {
        if (is_final && !status_has_uuid(s)) {
            task_forget(d, task); /* the answer, and there is nothing to remember */
            task = NULL;
        } else {
            task_is_known(d, task);
        }
    }
    if (!task && !(is_final && !status_has_uuid(s))) {
        task = task_add(d, id); /* of an earlier instance of this framework */
    }
    if (task) {
        update_note(task, s, !d->explicit_acks);
        if (is_final && !task->is_ended) {
            task_end(d, task);
        } else if (!is_final && task->is_ended) {
            task_revive(d, task);
        }
    }
    d->stats.updates++;
    driver_act(t, PF_DRIVER_UPDATE, &told, sizeof told);
    if (status_has_uuid(s) && !d->explicit_acks) {
        driver_send_ack(d, id, AgentID_value(TaskStatus_agent_id(s)), TaskStatus_uuid(s).at, t);
    }
}

void driver_tell_dropped(struct pf_driver *d, struct pf_str task_id, enum TaskState state,
                         enum TaskStatus_Reason reason, const char *why, struct pf_turn *t)
{
    struct pf_fb_builder *b = pf_turn_builder(t);
    struct TaskStatus__args args = {
        .task_id = TaskID__put(b, &(struct TaskID__args){.value = task_id}),
        .state = {true, state},
        .message = pf_str(why),
        .source = {true, TaskStatus_Source_SOURCE_MASTER},
        .reason = {true, reason},
        .timestamp = PF_OPT(pf_milli_to_double(d->wall_ms)),
    };
    struct pf_driver_update told = {
        .status = TaskStatus__root(TaskStatus__finish(b, TaskStatus__put(b, &args))),
        .is_local = true,
    };

    d->stats.dropped_tasks++;
    driver_act(t, PF_DRIVER_UPDATE, &told, sizeof told);
}

void driver_kill(struct pf_driver *d, const struct pf_driver_kill *k, struct pf_turn *t)
{
    struct driver_task *task = driver_task_find(d, k->task_id);

    if (k->task_id.len == 0 || (task && task->is_ended)) {
        return; /* no such task; or it is over, and its owner was told */
    }
    if (task) {
        task->is_killing = true;
        task->kill = *k;
        task->kill.task_id = (struct pf_str){NULL, 0};
    }
    if (d->sm.state == DRIVER_SUBSCRIBED) {
        driver_send_kill(d, k->task_id, pf_str(task ? task->agent_id : NULL), k, t);
    } else if (!task) {
        struct driver_waiting w = {.type = Scheduler_Call_Type_KILL,
                                   .task_id = pf_strndup(k->task_id.at, k->task_id.len),
                                   .kill = *k};

        w.kill.task_id = (struct pf_str){NULL, 0};
        driver_wait_add(d, &w);
    }
}

void driver_acknowledge(struct pf_driver *d, struct pf_str task_id, struct pf_str agent_id,
                        struct pf_bytes uuid, struct pf_turn *t)
{
    struct driver_task *task = driver_task_find(d, task_id);

    if (uuid.len != DRIVER_UUID_BYTES || task_id.len == 0) {
        return; /* of a status that wants none */
    }
    if (task && task->has_uuid && memcmp(task->uuid, uuid.at, DRIVER_UUID_BYTES) == 0) {
        task->is_acked = true;
    }
    if (d->sm.state == DRIVER_SUBSCRIBED) {
        driver_send_ack(d, task_id, agent_id, uuid.at, t);
    } else {
        struct driver_waiting w = {.type = Scheduler_Call_Type_ACKNOWLEDGE,
                                   .task_id = pf_strndup(task_id.at, task_id.len),
                                   .agent_id =
                                       pf_strndup(agent_id.at ? agent_id.at : "", agent_id.len)};

        memcpy(w.uuid, uuid.at, DRIVER_UUID_BYTES);
        driver_wait_add(d, &w);
    }
}

static void reconcile_wait(struct pf_driver *d, struct pf_str id, const struct driver_task *task)
{
    struct driver_waiting w = {
        .type = Scheduler_Call_Type_RECONCILE,
        .task_id = id.at ? pf_strndup(id.at, id.len) : NULL,
        .agent_id = task && task->agent_id ? pf_strdup(task->agent_id) : NULL,
    };

    driver_wait_add(d, &w);
}

/* The owner asks about a task that we do not know, as a new instance does with what stands in its
 * database. The master gives no answer while the agent is not back, and a question is lost with its
 * link: it stands until there is an answer. */
static struct driver_task *task_ask_for_owner(struct pf_driver *d, struct pf_str id)
{
    struct driver_task *task = NULL;

    if (id.len > 0 && strlen(id.at) == id.len && d->n_open_questions < DRIVER_QUESTIONS_MAX) {
        task = task_add(d, id);
        task->is_question = task->is_asked = true;
        d->n_open_questions++;
    }
    return task;
}

void driver_reconcile(struct pf_driver *d, const struct pf_driver_event *ev, struct pf_turn *t)
{
    bool is_subscribed = d->sm.state == DRIVER_SUBSCRIBED;
    uint32_t n_tasks = ev->reconcile.n_tasks, n = 0;
    struct driver_question *q = pf_arena_alloc(pf_turn_arena(t), PF_PAGE_MAX * sizeof *q);

    if (n_tasks == 0 && is_subscribed) {
        driver_send_reconcile(d, NULL, 0, t);
    } else if (n_tasks == 0) {
        reconcile_wait(d, (struct pf_str){NULL, 0}, NULL);
    }
    for (uint32_t i = 0; i < n_tasks; i++) {
        struct driver_task *task = driver_task_find(d, ev->reconcile.task[i]);

        if (task) {
            task->n_questions = 0; /* the answer is for the owner */
        } else {
            task = task_ask_for_owner(d, ev->reconcile.task[i]);
        }
        if (!is_subscribed && task && task->is_question) {
            continue; /* asked with all others */
        }
        if (!is_subscribed) {
            reconcile_wait(d, ev->reconcile.task[i], task);
            continue;
        }
        q[n++] = (struct driver_question){.task_id = ev->reconcile.task[i],
                                          .agent_id = pf_str(task ? task->agent_id : NULL)};
        if (n == PF_PAGE_MAX || i + 1 == n_tasks) {
            driver_send_reconcile(d, q, n, t);
            n = 0;
        }
    }
    if (is_subscribed && d->n_open_questions > 0) {
        ask_soon(d);
    }
}

/* Asks about all that are not heard of, in the order of their launch. */
static void tasks_ask(struct pf_driver *d, struct pf_turn *t)
{
    struct driver_question *q = pf_arena_alloc(pf_turn_arena(t), PF_PAGE_MAX * sizeof *q);
    struct driver_task *task;
    uint32_t n = 0;

    d->ask_ms = INT64_MAX;
    TAILQ_FOREACH(task, &d->live, entry)
    {
        if (!task->is_asked) {
            continue;
        }
        if (n == PF_PAGE_MAX) {
            driver_send_reconcile(d, q, n, t);
            n = 0;
        }
        task->n_questions++;
        q[n++] = (struct driver_question){.task_id = pf_str(task->id),
                                          .agent_id = pf_str(task->agent_id)};
    }
    if (n > 0) {
        driver_send_reconcile(d, q, n, t);
        d->ask_ms = driver_later(d, d->ask_pause_ms);
        d->ask_pause_ms *= 2;
        d->ask_pause_ms = d->ask_pause_ms < DRIVER_ASK_MAX_MS ? d->ask_pause_ms : DRIVER_ASK_MAX_MS;
    }
}

void driver_tasks_resume(struct pf_driver *d, struct pf_turn *t)
{
    struct driver_task *task;
    int64_t n = 0;

    if (d->takes_over) {
        d->takes_over = false;
        driver_send_reconcile(d, NULL, 0, t);
    }
    TAILQ_FOREACH(task, &d->ended, entry)
    {
        task->n_questions = 0; /* answers of the former subscription do not come any more */
    }
    TAILQ_FOREACH(task, &d->live, entry)
    {
        task->is_asked = true;
        task->n_questions = 0;
        n++;
    }
    d->ask_pause_ms = DRIVER_ASK_MIN_MS;
    /* The agents of many tasks need their time to come back to a new leader, and thousands of
     * answers would go before what is launched now. */
    int64_t wait_ms = n / DRIVER_ASKED_PER_MS;
    if (wait_ms == 0) {
        tasks_ask(d, t);
    } else {
        d->ask_ms = driver_later(d, wait_ms < DRIVER_ASK_LATER_MS ? wait_ms : DRIVER_ASK_LATER_MS);
    }
}

void driver_tasks_due(struct pf_driver *d, struct pf_turn *t)
{
    tasks_ask(d, t);
}
