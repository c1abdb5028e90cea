/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that change something. */
#include "framework/cli/operate.h"

#include <poll.h>
#include "common/base/map.h"
#include "common/base/buf.h"
#include "common/sys/clock.h"
#include "framework/cli/entity.h"

enum { AGENTS_BACK_MS = 100 };

int pf_operate_teardown(struct pf_client *c, struct pf_str framework_id, struct pf_err *err)
{
    struct pf_fb_builder *b = pf_client_builder(c);
    struct FrameworkID__args id = {.value = framework_id};
    struct Master_Call_Teardown__args teardown = {.framework_id = FrameworkID__put(b, &id)};
    struct Master_Call__args call = {.type = PF_OPT(Master_Call_Type_TEARDOWN),
                                     .teardown = Master_Call_Teardown__put(b, &teardown)};
    struct Master_Response reply;
    struct pf_err why = {0};
    uint32_t links = pf_client_links(c);
    int rc = pf_client_ask(c, &call, &reply, &why);
    /* the master that is gone may have done it before it could say so */
    if (rc == 0 || (rc == PF_ENOENT && pf_client_links(c) != links)) {
        return 0;
    }
    return pf_err_set(err, rc, "%s", why.msg);
}

int pf_operate_kill(struct pf_client *c, struct pf_str framework_id, struct pf_str task_id,
                    int signo, int64_t grace_ms, struct pf_err *err)
{
    struct pf_fb_builder *b = pf_client_builder(c);
    struct Master_Call_KillTask__args kill = {.framework_id = framework_id, .task_id = task_id};
    if (signo > 0) {
        kill.signal.has = true;
        kill.signal.v = signo;
    }
    if (grace_ms >= 0) {
        kill.grace_ms.has = true;
        kill.grace_ms.v = grace_ms;
    }
    struct Master_Call__args call = {.type = PF_OPT(Master_Call_Type_KILL_TASK),
                                     .kill_task = Master_Call_KillTask__put(b, &kill)};
    struct Master_Response reply;
    return pf_client_ask(c, &call, &reply, err);
}

static void collect(struct pf_ptrs *found, struct pf_arena *arena, struct Task t)
{
    if (pf_task_is_ended(Task_state(t))) {
        return;
    }
    const char *state = TaskState__str((int)Task_state(t));
    struct pf_entity *e = pf_arena_zalloc(arena, sizeof *e);
    *e = (struct pf_entity){
        .kind = EntityKind_TASK,
        .id = pf_arena_strdup(arena, TaskID_value(Task_task_id(t))),
        .name = pf_arena_strdup(arena, Task_name(t)),
        .framework_id = pf_arena_strdup(arena, FrameworkID_value(Task_framework_id(t))),
        .state = pf_str(state != NULL ? state : "TASK_UNKNOWN"),
    };
    pf_ptrs_push(found, e);
}

int pf_operate_live_tasks(struct pf_client *c, struct pf_str framework_id, struct pf_arena *arena,
                          struct pf_entities *out, struct pf_err *err)
{
    struct pf_pages pages = {.type = Master_Call_Type_GET_TASKS, .framework_id = framework_id};
    struct Master_Response r;
    struct pf_ptrs found = {0};
    int rc;
    while ((rc = pf_pages_next(c, &pages, &r, err)) == 1) {
        struct Master_Response_GetTasks list = Master_Response_get_tasks(r);
        for (uint32_t i = 0; i < Master_Response_GetTasks_pending_tasks__len(list); i++) {
            collect(&found, arena, Master_Response_GetTasks_pending_tasks__at(list, i));
        }
        for (uint32_t i = 0; i < Master_Response_GetTasks_tasks__len(list); i++) {
            collect(&found, arena, Master_Response_GetTasks_tasks__at(list, i));
        }
        for (uint32_t i = 0; i < Master_Response_GetTasks_unreachable_tasks__len(list); i++) {
            collect(&found, arena, Master_Response_GetTasks_unreachable_tasks__at(list, i));
        }
        for (uint32_t i = 0; i < Master_Response_GetTasks_orphan_tasks__len(list); i++) {
            collect(&found, arena, Master_Response_GetTasks_orphan_tasks__at(list, i));
        }
    }
    if (rc == 0) {
        out->at = pf_arena_zalloc(arena, (found.len + 1) * sizeof *out->at);
        out->n = found.len;
        for (uint32_t i = 0; i < found.len; i++) {
            out->at[i] = *(const struct pf_entity *)found.at[i];
        }
    }
    pf_ptrs_fini(&found);
    return rc;
}

/* `wanted` empty: any. */
static bool any_lives(const struct pf_entities *live, const struct pf_map *wanted)
{
    for (uint32_t i = 0; i < live->n; i++) {
        if (wanted->len == 0 || pf_map_get_str(wanted, live->at[i].id) != NULL) {
            return true;
        }
    }
    return false;
}

/* One WAIT_TASKS: the master answers when something changed after *sequence. A master that went
 * away counts as a change: its numbers mean nothing to the next one. */
static int wait_change(struct pf_client *c, struct pf_str framework_id, uint64_t *sequence,
                       bool *out_removed, int32_t timeout_ms, struct pf_err *err)
{
    struct pf_fb_builder *b = pf_client_builder(c);
    struct Master_Call_WaitTasks__args wait = {.framework_id = framework_id, .sequence = *sequence};
    struct Master_Call__args call = {.type = PF_OPT(Master_Call_Type_WAIT_TASKS),
                                     .wait_tasks = Master_Call_WaitTasks__put(b, &wait)};
    struct pf_ref body = Master_Call__put(b, &call);
    struct pf_msg reply;
    struct pf_err why = {0};
    int rc = pf_client_call_once(c, Body_Master_Call, body, timeout_ms, &reply, &why);
    if (rc == PF_ECONN) {
        *sequence = 0;
        return 0;
    }
    if (rc != 0) {
        return pf_err_set(err, rc, "%s", why.msg);
    }
    struct Master_Response_WaitTasks w =
        Master_Response_wait_tasks(Envelope_body_as_Master_Response(Envelope__root(reply)));
    *sequence = Master_Response_WaitTasks_sequence(w);
    *out_removed = Master_Response_WaitTasks_framework_removed(w);
    return 0;
}

/* Is every agent back that the last leader knew? Before that a new one does not know all tasks. */
static int agents_are_back(struct pf_client *c, bool *out, struct pf_err *err)
{
    struct pf_pages pages = {.type = Master_Call_Type_GET_AGENTS};
    struct Master_Response r;
    int rc;
    *out = true;
    while ((rc = pf_pages_next(c, &pages, &r, err)) == 1) {
        struct Master_Response_GetAgents list = Master_Response_get_agents(r);
        *out = *out && Master_Response_GetAgents_recovered_agents__len(list) == 0;
    }
    return rc;
}

int pf_operate_wait_ended(struct pf_client *c, struct pf_str framework_id, const struct pf_str *ids,
                          uint32_t n, int64_t timeout_ms, struct pf_err *err)
{
    struct pf_arena arena = {0};
    struct pf_map wanted = {0};
    uint64_t sequence = 0;
    uint32_t links = pf_client_links(c);
    bool was_removed = false;
    int64_t until_ms = timeout_ms >= 0 ? pf_now_ms() + timeout_ms : INT64_MAX;
    int rc = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (pf_map_get_str(&wanted, ids[i]) == NULL) {
            pf_map_put(&wanted, ids[i].at, ids[i].len, &wanted);
        }
    }
    while (rc == 0) {
        struct pf_entities live = {0};
        pf_arena_reset(&arena);
        rc = pf_operate_live_tasks(c, framework_id, &arena, &live, err);
        if (rc == PF_ENOENT) {
            pf_err_clear(err);
            rc = 0; /* the framework is gone, and its tasks with it */
            break;
        }
        bool any = rc == 0 && any_lives(&live, &wanted), all_back = true;
        if (rc == 0 && !any && !was_removed && pf_client_links(c) != links) {
            rc = agents_are_back(c, &all_back, err);
        }
        if (rc != 0 || was_removed || (!any && all_back)) {
            break;
        }
        int64_t left_ms = until_ms == INT64_MAX ? -1 : until_ms - pf_now_ms();
        if (until_ms != INT64_MAX && left_ms <= 0) {
            rc = pf_err_set(err, PF_ETIMEOUT, "some tasks have not ended");
            break;
        }
        if (!all_back) {
            (void)poll(NULL, 0, AGENTS_BACK_MS); /* nothing tells when the last one is there */
            continue;
        }
        rc = wait_change(c, framework_id, &sequence, &was_removed,
                         left_ms > INT32_MAX ? INT32_MAX : (int32_t)left_ms, err);
    }
    pf_map_fini(&wanted);
    pf_arena_fini(&arena);
    return rc;
}
