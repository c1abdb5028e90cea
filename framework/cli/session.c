/* SPDX-License-Identifier: Apache-2.0 */
/* See session.h. */
#include "framework/cli/session.h"

#include <string.h>
#include "common/net/keyfile.h"
#include "common/sys/parse.h"

int pf_session_fail(struct pf_session *s, const struct pf_err *err)
{
    return pf_client_fail(s->cli, &s->cluster, err);
}

void pf_session_note_waiting(struct pf_session *s, int64_t ms, const char *why)
{
    char since[PF_FORMAT_DURATION_MAX];
    pf_format_duration(ms / 1000 * 1000, since);
    pf_cli_note(s->cli, "no master leads since %s: %s; waiting", since, why);
}

int pf_session_open(struct pf_cli *cli, struct pf_session *out)
{
    struct pf_session s = {.cli = cli};
    int status = pf_cluster_of(cli, &s.cluster);
    status = status != 0 ? status : pf_client_check_up(cli, &s.cluster);
    if (status != 0) {
        return status;
    }
    struct pf_err err = {0};
    *out = s;
    if (s.cluster.key_file != NULL) {
        if (pf_keyfile_read(s.cluster.key_file, &out->key_space, &err) == 0) {
            out->key = &out->key_space;
        } else if (s.cluster.key_is_named) {
            return pf_session_fail(out, &err);
        }
        pf_err_clear(&err); /* without the key there is still what everybody may do */
    }
    return pf_loop_create(&out->loop, &err) < 0 ? pf_session_fail(out, &err) : 0;
}

void pf_session_close(struct pf_session *s)
{
    pf_loop_destroy(s->loop);
    s->loop = NULL;
    pf_key_wipe(&s->key_space);
}

int pf_session_entities(struct pf_session *s, struct pf_client *c, struct pf_entities *out)
{
    static const enum EntityKind kinds[] = {EntityKind_FRAMEWORK, EntityKind_TASK};
    const struct pf_args *args = &s->cli->args;
    struct pf_ptrs all = {0};
    int status = 0;
    for (uint32_t i = 0; status == 0 && i < args->n_operands; i++) {
        struct pf_entities found;
        status = pf_ids_resolve(s->cli, c, &s->cluster, args->operand[i], kinds, 2, &found);
        for (uint32_t k = 0; status == 0 && k < found.n; k++) {
            pf_ptrs_push(&all, &found.at[k]);
        }
    }
    struct pf_entities list = {pf_arena_zalloc(&s->cli->arena, (all.len + 1) * sizeof *list.at),
                               all.len};
    for (uint32_t i = 0; i < all.len; i++) {
        list.at[i] = *(const struct pf_entity *)all.at[i];
    }
    pf_ptrs_fini(&all);
    *out = list;
    return status;
}

static uint32_t index_of(struct pf_str id, uint32_t otherwise)
{
    uint32_t at = id.len, index = 0, scale = 1;
    while (at > 0 && id.at[at - 1] >= '0' && id.at[at - 1] <= '9' && scale < 1000000000u) {
        index += scale * (uint32_t)(id.at[--at] - '0');
        scale *= 10;
    }
    return at > 0 && at < id.len && id.at[at - 1] == '.' ? index : otherwise;
}

static bool is_listed(const struct pf_ptrs *list, struct pf_str framework_id, struct pf_str task_id)
{
    for (uint32_t i = 0; i < list->len; i++) {
        const struct pf_named_task *t = list->at[i];
        if (pf_str_eq(t->task_id, task_id) && pf_str_eq(t->framework_id, framework_id)) {
            return true;
        }
    }
    return false;
}

static void add_task(struct pf_session *s, struct Task task, const struct pf_entity *e,
                     struct pf_ptrs *out)
{
    struct pf_arena *a = &s->cli->arena;
    struct pf_str task_id = TaskID_value(Task_task_id(task));
    struct pf_str framework_id = FrameworkID_value(Task_framework_id(task));
    if ((e->kind == EntityKind_TASK && !pf_str_eq(e->id, task_id)) ||
        is_listed(out, framework_id, task_id)) {
        return;
    }
    struct pf_named_task *t = pf_arena_zalloc(a, sizeof *t);
    t->framework_id = pf_arena_strdup(a, framework_id);
    t->task_id = pf_arena_strdup(a, task_id);
    t->agent_address = pf_arena_strdup(a, Task_agent_address(task));
    t->index = index_of(task_id, out->len);
    pf_ptrs_push(out, t);
}

static int named_cmp(const void *a, const void *b)
{
    const struct pf_named_task *x = a, *y = b;
    int by_framework = pf_str_cmp(x->framework_id, y->framework_id);
    return by_framework != 0 ? by_framework : (x->index > y->index) - (x->index < y->index);
}

/* The lists of a page of GET_TASKS, one behind the other. */
static void add_page(struct pf_session *s, struct Master_Response_GetTasks page,
                     const struct pf_entity *e, struct pf_ptrs *out)
{
    for (uint32_t i = 0; i < Master_Response_GetTasks_tasks__len(page); i++) {
        add_task(s, Master_Response_GetTasks_tasks__at(page, i), e, out);
    }
    for (uint32_t i = 0; i < Master_Response_GetTasks_unreachable_tasks__len(page); i++) {
        add_task(s, Master_Response_GetTasks_unreachable_tasks__at(page, i), e, out);
    }
    for (uint32_t i = 0; i < Master_Response_GetTasks_completed_tasks__len(page); i++) {
        add_task(s, Master_Response_GetTasks_completed_tasks__at(page, i), e, out);
    }
}

int pf_session_tasks(struct pf_session *s, struct pf_client *c, struct pf_ptrs *out)
{
    struct pf_entities named;
    int status = pf_session_entities(s, c, &named);
    for (uint32_t i = 0; status == 0 && i < named.n; i++) {
        const struct pf_entity *e = &named.at[i];
        struct pf_pages pages = {.type = Master_Call_Type_GET_TASKS,
                                 .framework_id =
                                     e->kind == EntityKind_FRAMEWORK ? e->id : e->framework_id};
        struct Master_Response page;
        struct pf_err err = {0};
        int rc;
        while ((rc = pf_pages_next(c, &pages, &page, &err)) > 0) {
            add_page(s, Master_Response_get_tasks(page), e, out);
        }
        status = rc < 0 ? pf_session_fail(s, &err) : 0;
    }
    pf_ptrs_sort(out, named_cmp);
    return status;
}
