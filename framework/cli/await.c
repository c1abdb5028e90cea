/* SPDX-License-Identifier: Apache-2.0 */
/* See await.h. */
#include "framework/cli/await.h"

#include "common/base/alloc.h"
#include "common/base/map.h"
#include "framework/cli/entity.h"
#include "framework/cli/taskwatch.h"

#define GIVE_UP_MS 60000

/* A framework with the tasks of it that are waited for. */
struct group {
    struct pf_await *await;
    struct pf_taskwatch *watch;
    struct pf_str framework_id; /* borrowed from the command's arena */
    struct pf_ptrs ids;         /* struct pf_entity of tasks; none: all of the framework */
    bool is_settled;            /* all there is has ended and is taken */
};

struct pf_await {
    struct pf_session *session;
    struct pf_await_ops ops;
    void *ctx;
    struct pf_ptrs groups; /* owned */
    struct pf_outcome *outcome;
    uint32_t n, cap;
    struct pf_ptrs owners; /* struct group of each outcome */
    struct pf_map by_id;   /* FRAMEWORK/TASK -> place + 1 */
    bool is_done;
};

static void await_done(struct pf_await *a, const struct pf_err *err)
{
    if (!a->is_done) {
        a->is_done = true;
        a->ops.on_done(a->ctx, err);
    }
}

static uint32_t place_of(struct pf_await *a, struct group *g, struct Task task)
{
    struct pf_str id = TaskID_value(Task_task_id(task));
    struct pf_str key = pf_arena_printf(&a->session->cli->arena, "%.*s/%.*s",
                                        PF_STR_ARG(g->framework_id), PF_STR_ARG(id));
    uintptr_t place = (uintptr_t)pf_map_get_str(&a->by_id, key);
    if (place != 0) {
        return (uint32_t)(place - 1);
    }
    if (a->n == a->cap) {
        a->cap = a->cap == 0 ? 16 : a->cap * 2;
        a->outcome = pf_realloc(a->outcome, a->cap * sizeof *a->outcome);
    }
    a->outcome[a->n] = (struct pf_outcome){.index = a->n};
    pf_ptrs_push(&a->owners, g);
    pf_map_put(&a->by_id, key.at, key.len, (void *)((uintptr_t)a->n + 1));
    return a->n++;
}

static bool group_has_ended(struct pf_await *a, const struct group *g,
                            struct Master_Response_WaitTasks tasks)
{
    uint32_t n_seen = 0;
    for (uint32_t i = 0; i < a->n; i++) {
        if (a->owners.at[i] != g) {
            continue;
        }
        if (!pf_outcome_has_ended(&a->outcome[i])) {
            return false;
        }
        n_seen++;
    }
    if (g->ids.len > 0) {
        return n_seen >= g->ids.len;
    }
    if (Master_Response_WaitTasks_framework_removed(tasks)) {
        return true;
    }
    uint32_t waiting = 0;
    for (uint32_t i = 0; i < Master_Response_WaitTasks_waiting__len(tasks); i++) {
        waiting += Demand_count(Master_Response_WaitTasks_waiting__at(tasks, i));
    }
    return n_seen > 0 && waiting == 0;
}

static void check_done(struct pf_await *a)
{
    for (uint32_t i = 0; i < a->groups.len; i++) {
        const struct group *g = a->groups.at[i];
        if (!g->is_settled || pf_taskwatch_pending(g->watch) > 0) {
            return;
        }
    }
    await_done(a, NULL);
}

/* It has ended, but an update from before stands in the way of the one that says how. */
static bool has_more_to_tell(struct Task task)
{
    return pf_task_is_ended(Task_state(task)) && Task_status_update_uuid(task).len > 0 &&
           Task__has_status_update_state(task) &&
           !pf_task_is_ended(Task_status_update_state(task));
}

static void on_tasks(void *ctx, struct Master_Response_WaitTasks tasks)
{
    struct group *g = ctx;
    struct pf_await *a = g->await;
    for (uint32_t i = 0; i < Master_Response_WaitTasks_tasks__len(tasks); i++) {
        struct Task task = Master_Response_WaitTasks_tasks__at(tasks, i);
        uint32_t n_before = a->n;
        uint32_t at = place_of(a, g, task);
        bool had_ended = pf_outcome_has_ended(&a->outcome[at]);
        if (has_more_to_tell(task)) {
            pf_taskwatch_acknowledge(g->watch, TaskID_value(Task_task_id(task)),
                                     Task_status_update_uuid(task));
        } else {
            pf_outcome_set_task(&a->outcome[at], task);
        }
        if (at == n_before && a->ops.on_task != NULL) {
            a->ops.on_task(a->ctx, at, task);
        }
        struct pf_bytes uuid = Task_status_update_uuid(task);
        if (!had_ended && pf_outcome_has_ended(&a->outcome[at]) && uuid.len > 0) {
            pf_taskwatch_acknowledge(g->watch, TaskID_value(Task_task_id(task)), uuid);
        }
    }
    g->is_settled = group_has_ended(a, g, tasks);
    check_done(a);
}

static void on_end(void *ctx, const struct pf_err *err)
{
    struct group *g = ctx;
    await_done(g->await, err);
}

/* Another may have taken the update before us, or its framework is there and does: all fine. */
static void on_reply(void *ctx, const struct pf_err *err)
{
    struct group *g = ctx;
    (void)err;
    check_done(g->await);
}

/* One word of it, however many are watched. */
static void on_waiting(void *ctx, int64_t ms, const char *why)
{
    struct group *g = ctx;
    if (g == g->await->groups.at[0]) {
        pf_session_note_waiting(g->await->session, ms, why);
    }
}

static struct group *group_get(struct pf_await *a, struct pf_str framework_id)
{
    for (uint32_t i = 0; i < a->groups.len; i++) {
        struct group *g = a->groups.at[i];
        if (pf_str_eq(g->framework_id, framework_id)) {
            return g;
        }
    }
    struct group *g = PF_NEW(struct group);
    g->await = a;
    g->framework_id = framework_id;
    pf_ptrs_push(&a->groups, g);
    return g;
}

static int group_watch(struct pf_await *a, struct group *g, struct pf_err *err)
{
    static const struct pf_taskwatch_ops ops = {on_tasks, on_end, on_reply, on_waiting};
    struct pf_arena *arena = &a->session->cli->arena;
    struct pf_str *ids = pf_arena_alloc(arena, (g->ids.len + 1) * sizeof *ids);
    for (uint32_t i = 0; i < g->ids.len; i++) {
        ids[i] = ((const struct pf_entity *)g->ids.at[i])->id;
    }
    const struct pf_taskwatch_options o = {
        .masters = a->session->cluster.masters,
        .key = a->session->key,
        .framework_id = g->framework_id,
        .task_id = ids,
        .n_task_ids = g->ids.len,
        .give_up_ms = GIVE_UP_MS,
    };
    return pf_taskwatch_create(a->session->loop, &o, &ops, g, &g->watch, err);
}

int pf_await_create(struct pf_session *s, const struct pf_entities *what,
                    const struct pf_await_ops *ops, void *ctx, struct pf_await **out,
                    struct pf_err *err)
{
    struct pf_await *a = PF_NEW(struct pf_await);
    a->session = s;
    a->ops = *ops;
    a->ctx = ctx;
    for (uint32_t i = 0; i < what->n; i++) { /* a whole framework beats single tasks of it */
        struct pf_entity *e = &what->at[i];
        bool is_task = e->kind == EntityKind_TASK;
        struct group *g = group_get(a, is_task ? e->framework_id : e->id);
        bool is_whole = false;
        for (uint32_t k = 0; k < what->n && is_task; k++) {
            is_whole |= what->at[k].kind == EntityKind_FRAMEWORK &&
                        pf_str_eq(what->at[k].id, e->framework_id);
        }
        if (is_task && !is_whole) {
            pf_ptrs_push(&g->ids, e);
        }
    }
    for (uint32_t i = 0; i < a->groups.len; i++) {
        int rc = group_watch(a, a->groups.at[i], err);
        if (rc < 0) {
            pf_await_destroy(a);
            return rc;
        }
    }
    *out = a;
    return 0;
}

void pf_await_destroy(struct pf_await *a)
{
    if (a == NULL) {
        return;
    }
    for (uint32_t i = 0; i < a->groups.len; i++) {
        struct group *g = a->groups.at[i];
        pf_taskwatch_destroy(g->watch);
        pf_ptrs_fini(&g->ids);
        pf_free(g);
    }
    pf_ptrs_fini(&a->groups);
    for (uint32_t i = 0; i < a->n; i++) {
        pf_outcome_fini(&a->outcome[i]);
    }
    pf_free(a->outcome);
    pf_ptrs_fini(&a->owners);
    pf_map_fini(&a->by_id);
    pf_free(a);
}

const struct pf_outcome *pf_await_outcomes(const struct pf_await *a, uint32_t *out_n)
{
    *out_n = a->n;
    return a->outcome;
}
