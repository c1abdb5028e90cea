/* SPDX-License-Identifier: Apache-2.0 */
/* From stored rows back to tables: first the rows in key order (tasks before their updates before
 * their infos), then BOOT decides who this agent is and what became of its tasks as far as that
 * shows without the launcher. */
#include "agent/core/calls_internal.h"
#include "agent/core/checks_internal.h"
#include "agent/core/executors_internal.h"

#include "common/base/alloc.h"
#include "common/base/limits.h"

static void restore_identity(struct pf_agent *a, struct Row_AgentIdentity row)
{
    struct pf_uuid uuid;
    struct pf_str id = Row_AgentIdentity_agent_id(row);

    if (!pf_uuid_parse(id, &uuid)) {
        return;
    }
    pf_uuid_format(uuid, a->id);
    a->row_machine_id =
        pf_strndup(Row_AgentIdentity_machine_id(row).at, Row_AgentIdentity_machine_id(row).len);
    a->row_boot_id =
        pf_strndup(Row_AgentIdentity_boot_id(row).at, Row_AgentIdentity_boot_id(row).len);
    (void)ag_uuid_of(Row_AgentIdentity_incarnation(row), &a->incarnation);
    a->epoch = Row_AgentIdentity_epoch(row);
    ag_orders_restore(a, row);
}

static void restore_framework(struct pf_agent *a, struct pf_bytes key,
                              struct Row_AgentFramework row)
{
    struct pf_str id = {(const char *)key.at, key.len};

    if (pf_id_problem(id)) {
        return;
    }
    struct framework *fw = ag_framework_need(a, id);

    ag_framework_set_info(fw, Row_AgentFramework_info__bytes(row));
    fw->stored = true;
}

static void restore_of_executor(struct task *t, struct Row_AgentTask row)
{
    struct pf_bytes heard = Row_AgentTask_heard(row);
    struct pf_str why = Row_AgentTask_kill_text(row);
    struct pf_uuid update;

    (void)ag_uuid_of(Row_AgentTask_executor_uuid(row), &t->executor_uuid);
    (void)ag_uuid_of(Row_AgentTask_group_uuid(row), &t->group);
    t->kill_text = why.at ? pf_strndup(why.at, why.len) : NULL;
    for (uint32_t i = 0; i + sizeof update.b <= heard.len; i += (uint32_t)sizeof update.b) {
        memcpy(update.b, heard.at + i, sizeof update.b);
        ag_task_hears(t, update);
    }
}

static void restore_task(struct pf_agent *a, struct pf_bytes key, struct Row_AgentTask row)
{
    struct pf_uuid launch;
    struct pf_str user = Row_AgentTask_user(row);
    uint32_t state = Row_AgentTask_state(row);

    if (!ag_uuid_of(key, &launch) || state < RunState_ACCEPTED || state > RunState_ENDED ||
        pf_id_problem(Row_AgentTask_framework_id(row))) {
        return;
    }
    struct task *t = ag_task_create(a, launch);

    t->run.sm.state = state; /* until its info names it */
    t->run.user = pf_strndup(user.at, user.len);
    t->run.pid = Row_AgentTask_pid(row);
    t->run.start_time = Row_AgentTask_start_time(row);
    t->run.old_boot = !pf_str_is(Row_AgentTask_boot_id(row), a->opt.boot_id);
    t->run.accepted_ms = Row_AgentTask_accepted_ms(row);
    t->run.started_ms = Row_AgentTask_started_ms(row);
    t->run.finished_ms = Row_AgentTask_finished_ms(row);
    t->run.kill_reason = (uint8_t)Row_AgentTask_kill_reason(row);
    t->run.kill_wall_ms = Row_AgentTask_kill_deadline_ms(row);
    t->run.kill_signal = (uint8_t)Row_AgentTask_kill_signal(row);
    t->run.has_wait_status = Row_AgentTask__has_wait_status(row);
    t->run.wait_status = Row_AgentTask_wait_status(row);
    if (Row_AgentTask__has_final_state(row)) {
        t->final_state = (int8_t)Row_AgentTask_final_state(row);
    }
    t->next_update = Row_AgentTask_next_update(row);
    t->run.was_fetched = Row_AgentTask_was_fetched(row);
    t->run.memory_peak_bytes = Row_AgentTask_memory_peak_bytes(row);
    t->lost_sandbox = Row_AgentTask_lost_sandbox(row);
    ag_states_restore(t, row);
    if (Row_AgentTask__has_healthy(row)) {
        t->healthy = Row_AgentTask_healthy(row);
    }
    if (Row_AgentTask__has_check_value(row)) {
        ag_checks_restore_value(t, Row_AgentTask_check_value(row));
    }
    if (Row_AgentTask_launcher(row).at) {
        t->run.launcher =
            pf_strndup(Row_AgentTask_launcher(row).at, Row_AgentTask_launcher(row).len);
    }
    restore_of_executor(t, row);
    ag_framework_join(a, &t->run, ag_framework_need(a, Row_AgentTask_framework_id(row)));
}

/* Their tasks came before them. */
static bool restore_executor(struct pf_agent *a, struct pf_bytes key, struct Row_AgentExecutor row)
{
    struct pf_uuid uuid;
    uint32_t state = Row_AgentExecutor_state(row);
    struct ExecutorInfo info = Row_AgentExecutor_info(row);
    struct pf_str token = Row_AgentExecutor_token(row);
    struct pf_str launcher = Row_AgentExecutor_launcher(row);

    if (!ag_uuid_of(key, &uuid) || state < RunState_ACCEPTED || state > RunState_ENDED ||
        ag_run_by_launch(a, key) ||
        pf_id_problem(FrameworkID_value(ExecutorInfo_framework_id(info))) ||
        pf_id_problem(ExecutorID_value(ExecutorInfo_executor_id(info)))) {
        return false;
    }
    struct executor *x = ag_executor_restore(a, uuid, state, Row_AgentExecutor_info__bytes(row),
                                             Row_AgentExecutor_user(row));
    struct run *r = &x->run;

    r->pid = Row_AgentExecutor_pid(row);
    r->start_time = Row_AgentExecutor_start_time(row);
    r->old_boot = !pf_str_is(Row_AgentExecutor_boot_id(row), a->opt.boot_id);
    r->accepted_ms = Row_AgentExecutor_accepted_ms(row);
    r->started_ms = Row_AgentExecutor_started_ms(row);
    r->finished_ms = Row_AgentExecutor_finished_ms(row);
    r->kill_reason = (uint8_t)Row_AgentExecutor_kill_reason(row);
    r->kill_wall_ms = Row_AgentExecutor_kill_deadline_ms(row);
    r->has_wait_status = Row_AgentExecutor__has_wait_status(row);
    r->wait_status = Row_AgentExecutor_wait_status(row);
    r->launcher = launcher.at ? pf_strndup(launcher.at, launcher.len) : NULL;
    r->was_fetched = Row_AgentExecutor_was_fetched(row);
    x->is_told = Row_AgentExecutor_is_told(row);
    if (token.len == AGENT_TOKEN_LEN) {
        memcpy(x->token, token.at, token.len);
    }
    if (state != RunState_ENDED) {
        ag_framework_join(a, r, ag_framework_need(a, pf_str(r->name)));
    }
    return true;
}

static bool restore_update(struct pf_agent *a, struct pf_bytes key, struct Row_AgentUpdate row)
{
    struct pf_bytes launch = {key.at, key.len < 16 ? key.len : 16};
    struct task *t = ag_task_by_launch(a, launch);
    uint32_t number = 0;

    if (!t || key.len != 20) {
        return false;
    }
    for (uint32_t i = 16; i < 20; i++) {
        number = number << 8 | key.at[i];
    }
    return ag_update_restore(a, t, number, Row_AgentUpdate_status__bytes(row));
}

static bool restore_info(struct pf_agent *a, struct pf_bytes key, struct Row_AgentTaskInfo row)
{
    struct task *t = ag_task_by_launch(a, key);
    struct pf_str id = TaskID_value(TaskInfo_task_id(Row_AgentTaskInfo_info(row)));

    if (!t || t->run.name || pf_id_problem(id)) {
        return false;
    }
    ag_run_set_name(&t->run, pf_str(t->run.fw->id), id);
    ag_run_init_state(a, &t->run, t->run.sm.state, "recovered");
    ag_task_set_info(a, t, Row_AgentTaskInfo_info__bytes(row));
    return true;
}

void ag_on_row(struct pf_agent *a, const struct pf_agent_event *ev)
{
    struct pf_bytes key = ev->row.key;
    struct pf_msg row = ev->row.row;
    bool is_known = true;

    PF_ASSERT(!a->booted);
    switch ((enum AgentTable)ev->row.table) {
    case AgentTable_META: restore_identity(a, Row_AgentIdentity__root(row)); break;
    case AgentTable_FRAMEWORKS: restore_framework(a, key, Row_AgentFramework__root(row)); break;
    case AgentTable_TASKS: restore_task(a, key, Row_AgentTask__root(row)); break;
    case AgentTable_UPDATES: is_known = restore_update(a, key, Row_AgentUpdate__root(row)); break;
    case AgentTable_INFOS: is_known = restore_info(a, key, Row_AgentTaskInfo__root(row)); break;
    case AgentTable_EXECUTORS:
        is_known = restore_executor(a, key, Row_AgentExecutor__root(row));
        break;
    case AgentTable_NONE: is_known = false; break;
    }
    if (!is_known) {
        a->n_bad++;
        pf_turn_del(a->turn, ev->row.table, key);
    }
}

static int cmp_tasks(int64_t x_ms, const struct task *x, int64_t y_ms, const struct task *y)
{
    if (x_ms != y_ms) {
        return x_ms < y_ms ? -1 : 1;
    }
    return memcmp(x->run.launch.b, y->run.launch.b, sizeof x->run.launch.b);
}

static int cmp_accepted(const void *a, const void *b)
{
    const struct task *x = a, *y = b;

    return cmp_tasks(x->run.accepted_ms, x, y->run.accepted_ms, y);
}

static int cmp_finished(const void *a, const void *b)
{
    const struct task *x = a, *y = b;

    return cmp_tasks(x->run.finished_ms, x, y->run.finished_ms, y);
}

/* Nothing of another machine's agent is ours: neither its tasks nor its name. */
static void forget_all(struct pf_agent *a)
{
    struct task *t = NULL;
    struct executor *x = NULL;
    struct framework *fw = NULL;

    while ((t = TAILQ_FIRST(&a->live)) != NULL) {
        struct update *u = NULL;
        TAILQ_FOREACH(u, &t->updates, link)
        {
            ag_row_del_update(a, u);
        }
        ag_row_del_task(a, t);
        ag_task_free(a, t);
    }
    while ((x = TAILQ_FIRST(&a->executors)) != NULL ||
           (x = TAILQ_FIRST(&a->past_executors)) != NULL) {
        ag_row_del_executor(a, x);
        ag_executor_free(a, x);
    }
    while ((fw = TAILQ_FIRST(&a->idle)) != NULL) {
        if (fw->stored) {
            ag_row_del_framework(a, fw);
        }
        ag_framework_free(a, fw);
    }
    ag_orders_forget(a);
    a->id[0] = '\0';
    a->incarnation = (struct pf_uuid){{0}};
    a->epoch = 0;
}

static void settle_identity(struct pf_agent *a)
{
    char old[PF_UUID_TEXT_LEN + 1];
    bool is_foreign = a->row_machine_id && strcmp(a->row_machine_id, a->opt.machine_id) != 0;

    memcpy(old, a->id, sizeof old);
    if (is_foreign) {
        forget_all(a);
    }
    if (a->id[0] == '\0') {
        pf_uuid_format(pf_uuid_random(&a->rng), a->id);
        if (a->opt.tracer.on_move) {
            a->opt.tracer.on_move(a->opt.tracer.ctx, "identity", a->id,
                                  old[0] != '\0' ? old : "none", a->id,
                                  is_foreign ? "another machine" : "first start");
        }
        ag_row_put_identity(a);
    } else if (!a->row_boot_id || strcmp(a->row_boot_id, a->opt.boot_id) != 0) {
        ag_row_put_identity(a);
    }
    PF_FREE(a->row_machine_id);
    PF_FREE(a->row_boot_id);
}

/* Deadlines are stored by the wall clock; a clock that was set back must not stretch them. */
static int64_t remaining_ms(const struct pf_agent *a, int64_t until_wall_ms, int64_t most_ms)
{
    int64_t ms = until_wall_ms - a->wall_ms;

    return ms < 0 ? 0 : ms > most_ms ? most_ms : ms;
}

static void settle_task(struct pf_agent *a, struct task *t)
{
    if (!t->run.name) { /* its info is missing: nobody could be told of it */
        a->n_bad++;
        struct update *u = NULL;
        TAILQ_FOREACH(u, &t->updates, link)
        {
            ag_row_del_update(a, u);
        }
        ag_row_del_task(a, t);
        ag_task_free(a, t);
        return;
    }
    ag_task_index_name(a, t);
    if (ag_run_is_ended(&t->run)) {
        return;
    }
    ag_task_count(a, t);
    if (ag_task_is_hosted(t)) {
        return; /* its executor's end is its end */
    }
    if (t->run.kill_reason != KILL_NONE) {
        t->run.kill_at = a->now_ms + remaining_ms(a, t->run.kill_wall_ms, AGENT_GRACE_MAX_MS);
    } else if (t->completion_ms != AGENT_NEVER && t->run.started_ms > 0) {
        t->complete_at =
            a->now_ms + remaining_ms(a, t->run.started_ms + t->completion_ms, t->completion_ms);
    }
    if (!t->executor && !pf_uuid_is_nil(t->executor_uuid)) {
        a->n_bad++;
        ag_run_end_unknown(a, &t->run, "The executor is unknown to the agent");
    } else if (t->run.old_boot && t->run.sm.state != RunState_ACCEPTED) {
        ag_run_end_unknown(a, &t->run, "The machine rebooted, exit status unknown");
    }
}

/* Ends of tasks that were acknowledged, oldest first. */
static void settle_history(struct pf_agent *a, struct pf_ptrs *tasks)
{
    pf_ptrs_sort(tasks, cmp_finished);
    for (uint32_t i = 0; i < tasks->len; i++) {
        struct task *t = tasks->at[i];
        if (ag_run_is_ended(&t->run) && !t->in_history && TAILQ_EMPTY(&t->updates)) {
            ag_task_retire(a, t);
        }
    }
}

static int cmp_executors(const void *a, const void *b)
{
    const struct executor *x = a, *y = b;

    if (x->run.accepted_ms != y->run.accepted_ms) {
        return x->run.accepted_ms < y->run.accepted_ms ? -1 : 1;
    }
    return memcmp(x->run.launch.b, y->run.launch.b, sizeof x->run.launch.b);
}

/* In the order of acceptance, like tasks; ended ones apart. */
static void sort_executors(struct pf_agent *a)
{
    struct pf_ptrs all = {0};
    struct executor *x = NULL;

    TAILQ_FOREACH(x, &a->executors, link)
    {
        pf_ptrs_push(&all, x);
    }
    pf_ptrs_sort(&all, cmp_executors);
    TAILQ_INIT(&a->executors);
    a->n_executors = 0;
    for (uint32_t i = 0; i < all.len; i++) {
        ag_executor_sort_in(a, all.at[i]);
    }
    pf_ptrs_fini(&all);
}

static void link_executors(struct pf_agent *a)
{
    struct task *t = NULL;

    TAILQ_FOREACH(t, &a->live, link)
    {
        struct run *r =
            ag_run_by_launch(a, (struct pf_bytes){t->executor_uuid.b, sizeof t->executor_uuid.b});
        if (r && r->kind == RUN_EXECUTOR && (ag_run_is_ended(&t->run) || !ag_run_is_ended(r))) {
            ag_executor_join(ag_run_executor(r), t);
        }
    }
}

static void settle_executors(struct pf_agent *a)
{
    struct executor *x = TAILQ_FIRST(&a->executors), *next = NULL;

    for (; x; x = next) {
        next = TAILQ_NEXT(x, link);
        ag_executor_settle(a, x);
    }
}

void ag_on_boot(struct pf_agent *a)
{
    struct pf_ptrs tasks = {0};
    struct task *t = NULL;
    struct framework *fw = NULL, *next = NULL;

    PF_ASSERT(!a->booted);
    a->booted = true;
    sort_executors(a);
    settle_identity(a);
    TAILQ_FOREACH(t, &a->live, link)
    {
        pf_ptrs_push(&tasks, t);
    }
    pf_ptrs_sort(&tasks, cmp_accepted);
    TAILQ_INIT(&a->live);
    for (uint32_t i = 0; i < tasks.len; i++) {
        t = tasks.at[i];
        TAILQ_INSERT_TAIL(&a->live, t, link);
    }
    link_executors(a);
    for (uint32_t i = 0; i < tasks.len; i++) {
        settle_task(a, tasks.at[i]);
    }
    settle_executors(a);
    tasks.len = 0;
    TAILQ_FOREACH(t, &a->live, link)
    {
        pf_ptrs_push(&tasks, t);
    }
    settle_history(a, &tasks);
    pf_ptrs_fini(&tasks);
    for (fw = TAILQ_FIRST(&a->idle); fw; fw = next) {
        next = TAILQ_NEXT(fw, link);
        if (fw->stored) {
            ag_row_del_framework(a, fw);
        }
        ag_framework_free(a, fw);
    }
    ag_orders_boot(a);
}
