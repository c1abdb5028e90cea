/* SPDX-License-Identifier: Apache-2.0 */
/* LAUNCH: each task for itself. LAUNCH_GROUP: all tasks under one executor, or none. */
#include <string.h>
#include "common/base/limits.h"
#include "common/base/map.h"
#include "master/core/accept_internal.h"
#include "master/core/agents.h"
#include "master/core/executors.h"
#include "master/core/out.h"
#include "master/core/tasks.h"
#include "master/core/validate.h"

enum { LAUNCH_BYTES_MAX = 1 << 20 }; /* of TaskInfos in one AgentLaunch of single tasks */

struct item {
    struct pf_bytes info;
    struct pf_str user;
    struct pf_uuid uuid;
    bool joins_executor;
};

/* An AgentLaunch being gathered. */
struct gathering {
    struct item *item;
    uint32_t n, bytes;
    bool is_group;
    struct pf_uuid group;
    struct pf_bytes executor; /* of the group */
};

static struct gathering gather(struct pf_master *m, uint32_t n)
{
    return (struct gathering){.item = pf_arena_alloc(pf_m_arena(m), (n + 1) * sizeof(struct item))};
}

/* Sends what was gathered so far to the agent. */
static void flush(struct pf_master *m, const struct acceptance *c, struct gathering *g)
{
    struct m_link *l = pf_m_link_need(c->agent, c->f);
    struct pf_ref *refs = pf_arena_alloc(pf_m_arena(m), (g->n + 1) * sizeof *refs);
    struct AgentLaunch__args args = {.framework_id = pf_str(c->f->id), .tasks = {refs, g->n}};
    struct pf_fb_builder *b;

    if (g->n == 0) {
        return;
    }
    b = pf_m_builder(m);
    for (uint32_t i = 0; i < g->n; i++) {
        const struct item *x = &g->item[i];

        refs[i] = AgentLaunchTask__put(
            b, &(struct AgentLaunchTask__args){.info = x->info,
                                               .launch_uuid = {x->uuid.b, sizeof x->uuid.b},
                                               .user = x->user,
                                               .joins_executor = x->joins_executor});
    }
    if (g->is_group) {
        args.group_uuid = (struct pf_bytes){g->group.b, sizeof g->group.b};
        args.executor = g->executor;
    }
    if (!l->info_sent) {
        args.framework_info = m_blob_bytes(&c->f->info);
        l->info_sent = true;
    }
    pf_m_send(m, c->agent->peer, Body_AgentLaunch, AgentLaunch__put(b, &args));
    g->n = 0;
    g->bytes = 0;
}

/* Moves `r` from what is left to what is used; false: there is not so much. */
static bool take(struct acceptance *c, const struct pf_resources *r)
{
    if (!pf_res_contains(&c->left, r)) {
        return false;
    }
    pf_res_sub(&c->left, r);
    pf_res_add(&c->used, r);
    return true;
}

static void give_back(struct acceptance *c, const struct pf_resources *r)
{
    pf_res_sub(&c->used, r);
    pf_res_add(&c->left, r);
}

/* Starts the executor if it does not live; true: it does. */
static bool begin_executor(struct pf_master *m, const struct m_launch *l,
                           const struct pf_resources *extra)
{
    struct ExecutorInfo x = ExecutorInfo__from_bytes(l->executor);

    if (l->executor.len == 0) {
        return false;
    }
    if (pf_m_executor_get(l->a, l->f, ExecutorID_value(ExecutorInfo_executor_id(x)))) {
        return true;
    }
    (void)pf_m_executor_launch(m, l->f, l->a, l->executor, extra);
    return false;
}

static void begin_task(struct pf_master *m, struct acceptance *c, const struct m_launch *l,
                       struct gathering *g, struct pf_bytes bytes, const struct pf_resources *needs,
                       bool joins_executor)
{
    struct TaskInfo info = TaskInfo__from_bytes(bytes);
    struct m_task *t = pf_m_task_launch(m, l, info, needs);

    g->item[g->n++] = (struct item){bytes, pf_m_task_user(m, l, info), t->launch, joins_executor};
    g->bytes += bytes.len;
    c->n_launched++;
}

/* --- single tasks --- */

/* What the executor takes beside the task that starts it; nothing if it runs already. */
static bool take_executor(struct pf_master *m, struct acceptance *c, const struct m_launch *l,
                          const struct pf_resources *needs, struct pf_resources *extra,
                          struct m_refusal *why)
{
    struct pf_resources total;

    if (l->executor.len == 0) {
        return true;
    }
    if (!pf_m_executor_validate(m, l, extra, why)) {
        return false;
    }
    if (take(c, extra)) {
        return true;
    }
    total = pf_res_dup(needs);
    pf_res_add(&total, extra);
    pf_res_add(&c->left, needs); /* as it is shown */
    pf_m_refuse_amount(why, "Total resources", &total,
                       "required by task and its executor is more "
                       "than available",
                       &c->left);
    pf_res_sub(&c->left, needs);
    pf_res_fini(&total);
    return false;
}

static void launch_one(struct pf_master *m, struct acceptance *c, struct pf_bytes bytes,
                       struct gathering *g)
{
    struct TaskInfo info = TaskInfo__from_bytes(bytes);
    struct m_launch l = {.f = c->f, .a = c->agent};
    struct pf_resources needs = {0}, extra = {0};
    struct m_refusal why = {.reason = TaskStatus_Reason_REASON_TASK_INVALID};
    bool is_fine = true;

    if (TaskInfo_executor__bytes(info).len > 0) {
        l.executor = pf_m_executor_info(m, c->f, TaskInfo_executor__bytes(info));
        if (!ExecutorInfo__has_framework_id(TaskInfo_executor(info))) {
            bytes = pf_m_task_info_with(m, info, l.executor);
            info = TaskInfo__from_bytes(bytes);
        }
    }
    if (bytes.len > PF_TASK_INFO_MAX_BYTES) {
        (void)pf_err_set(&why.err, PF_ELIMIT, "The task's description is too large");
        is_fine = false;
    } else if (!pf_m_task_validate(m, &l, info, &needs, &why)) {
        is_fine = false;
    } else if (!take(c, &needs)) {
        pf_m_refuse_amount(&why, "Task uses more resources", &needs, "than available", &c->left);
        is_fine = false;
    } else if (!take_executor(m, c, &l, &needs, &extra, &why)) {
        give_back(c, &needs);
        is_fine = false;
    }
    if (!is_fine) {
        pf_m_accept_refuse(m, c, info, TaskState_TASK_ERROR, why.reason, why.err.msg);
    } else {
        bool joins = begin_executor(m, &l, &extra);

        begin_task(m, c, &l, g, bytes, &needs, joins);
    }
    pf_res_fini(&needs);
    pf_res_fini(&extra);
    if (g->bytes >= LAUNCH_BYTES_MAX) {
        flush(m, c, g);
    }
}

void pf_m_launch_tasks(struct pf_master *m, struct acceptance *c,
                       struct Offer_Operation_Launch launch)
{
    uint32_t n = Offer_Operation_Launch_task_infos__len(launch);
    struct gathering g = gather(m, n);

    for (uint32_t i = 0; i < n; i++) {
        struct TaskInfo_Nested x = Offer_Operation_Launch_task_infos__at(launch, i);

        launch_one(m, c, TaskInfo_Nested_info__bytes(x), &g);
    }
    flush(m, c, &g);
}

/* --- groups --- */

struct group {
    struct m_launch l;
    struct TaskGroupInfo x;
    uint32_t n;
    struct pf_bytes *info;      /* each without an executor of its own */
    struct pf_resources *needs; /* of each; valid up to n_taken */
    struct pf_resources extra;  /* of the executor */
    uint32_t n_taken;
    bool has_extra;
};

/* Nothing of the group is too large, and its tasks say nothing else of the executor. */
static bool read_group(struct pf_master *m, struct group *g, struct m_refusal *why)
{
    uint64_t bytes = g->l.executor.len;

    for (uint32_t i = 0; i < g->n; i++) {
        struct TaskInfo_Nested x = TaskGroupInfo_tasks__at(g->x, i);
        struct TaskInfo info = TaskInfo_Nested_info(x);
        struct pf_bytes own = TaskInfo_executor__bytes(info);

        g->info[i] = TaskInfo_Nested_info__bytes(x);
        if (own.len > 0) {
            own = pf_m_executor_info(m, g->l.f, own);
            if (own.len != g->l.executor.len || memcmp(own.at, g->l.executor.at, own.len) != 0) {
                pf_m_refuse(why, "The `ExecutorInfo` of task is different from the group's "
                                 "executor");
                return false;
            }
            g->info[i] = pf_m_task_info_with(m, info, (struct pf_bytes){NULL, 0});
        }
        bytes += g->info[i].len;
        if (g->info[i].len > PF_TASK_INFO_MAX_BYTES) {
            pf_m_refuse(why, "The task's description is too large");
            return false;
        }
    }
    if (bytes > PF_TASK_INFOS_MAX_BYTES || g->l.executor.len > PF_TASK_INFO_MAX_BYTES) {
        pf_m_refuse(why, "The group's descriptions are too large");
        return false;
    }
    return true;
}

static bool has_twins(struct pf_master *m, const struct group *g, struct m_refusal *why)
{
    struct pf_map ids = {.seed = m->agents.seed};
    bool found = false;

    for (uint32_t i = 0; i < g->n && !found; i++) {
        struct pf_str id = TaskID_value(TaskInfo_task_id(TaskInfo__from_bytes(g->info[i])));

        found = pf_map_get_str(&ids, id) != NULL;
        if (found) {
            (void)pf_err_set(&why->err, PF_EEXIST, "Task has duplicate ID: %.*s", PF_STR_ARG(id));
        } else {
            pf_map_put(&ids, id.at, id.len, (void *)(uintptr_t)g->info[i].at);
        }
    }
    pf_map_fini(&ids);
    return found;
}

/* Takes what the executor and every task need; false: something is wrong, or there is not so
 * much. */
static bool take_group(struct pf_master *m, struct acceptance *c, struct group *g,
                       struct m_refusal *why)
{
    if (!pf_m_executor_validate(m, &g->l, &g->extra, why)) {
        return false;
    }
    g->has_extra = take(c, &g->extra);
    for (uint32_t i = 0; i < g->n && g->has_extra; i++) {
        struct pf_resources *needs = &g->needs[i];

        *needs = (struct pf_resources){0};
        if (!pf_m_task_validate(m, &g->l, TaskInfo__from_bytes(g->info[i]), needs, why)) {
            pf_res_fini(needs);
            return false;
        }
        if (!take(c, needs)) {
            pf_res_fini(needs);
            break;
        }
        g->n_taken++;
    }
    if (g->n_taken == g->n && g->has_extra) {
        return !has_twins(m, g, why);
    }
    (void)pf_err_set(&why->err, PF_ELIMIT,
                     "Total resources required by task group and its executor are more than "
                     "available");
    return false;
}

static void launch_group(struct pf_master *m, struct acceptance *c, struct group *g)
{
    struct gathering all = gather(m, g->n);

    all.is_group = true;
    all.group = g->l.group;
    all.executor = g->l.executor;
    bool joins = begin_executor(m, &g->l, &g->extra);

    for (uint32_t i = 0; i < g->n; i++) {
        begin_task(m, c, &g->l, &all, g->info[i], &g->needs[i], joins);
    }
    flush(m, c, &all);
}

static void refuse_group(struct pf_master *m, struct acceptance *c, struct group *g,
                         const struct m_refusal *why)
{
    enum TaskStatus_Reason reason = why->reason == TaskStatus_Reason_REASON_TASK_UNAUTHORIZED
                                        ? TaskStatus_Reason_REASON_TASK_GROUP_UNAUTHORIZED
                                        : TaskStatus_Reason_REASON_TASK_GROUP_INVALID;

    if (g->has_extra) {
        give_back(c, &g->extra);
    }
    for (uint32_t i = 0; i < g->n_taken; i++) {
        give_back(c, &g->needs[i]);
    }
    for (uint32_t i = 0; i < g->n; i++) {
        struct TaskInfo info = TaskInfo_Nested_info(TaskGroupInfo_tasks__at(g->x, i));

        pf_m_accept_refuse(m, c, info, TaskState_TASK_ERROR, reason, why->err.msg);
    }
}

void pf_m_launch_group(struct pf_master *m, struct acceptance *c,
                       struct Offer_Operation_LaunchGroup launch)
{
    struct group g = {.l = {.f = c->f, .a = c->agent, .is_group = true},
                      .x = Offer_Operation_LaunchGroup_task_group(launch)};
    struct m_refusal why = {.reason = TaskStatus_Reason_REASON_TASK_INVALID};
    struct pf_bytes executor = Offer_Operation_LaunchGroup_executor__bytes(launch);

    g.n = TaskGroupInfo_tasks__len(g.x);
    if (g.n == 0) { /* nobody to tell */
        m->stats.bad_messages++;
        return;
    }
    g.info = pf_arena_alloc(pf_m_arena(m), (g.n + 1) * sizeof *g.info);
    g.needs = pf_arena_alloc(pf_m_arena(m), (g.n + 1) * sizeof *g.needs);
    g.l.group = pf_uuid_random(&m->rng);
    if (executor.len > 0) {
        g.l.executor = pf_m_executor_info(m, c->f, executor);
    }
    if (read_group(m, &g, &why) && take_group(m, c, &g, &why)) {
        launch_group(m, c, &g);
    } else {
        refuse_group(m, c, &g, &why);
    }
    for (uint32_t i = 0; i < g.n_taken; i++) {
        pf_res_fini(&g.needs[i]);
    }
    pf_res_fini(&g.extra);
}
