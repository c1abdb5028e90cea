/* SPDX-License-Identifier: Apache-2.0 */
/* proffer tasks (ps): those that wait, those that run, those that ended. */
#include <string.h>
#include "framework/cli/entity.h"
#include "framework/cli/list.h"
#include "framework/cli/table.h"

/* What the master itself can leave out: states without wildcards, one framework. */
struct narrowed {
    enum TaskState state;
    bool has_state, wants_waiting;
    struct pf_str framework_id;
};

static struct narrowed narrow(struct pf_output *o, struct pf_arena *arena)
{
    struct narrowed n = {.wants_waiting = true};
    const char *framework = pf_output_filter(o, "framework_id");
    const char *state = pf_output_filter(o, "state");
    if (framework != NULL && strpbrk(framework, "*?") == NULL) {
        n.framework_id = pf_str(framework);
    }
    if (state != NULL && strpbrk(state, "*?") == NULL) {
        const char *bare = strncmp(state, "TASK_", 5) == 0 ? state + 5 : state;
        char *name = pf_arena_alloc(arena, strlen(bare) + 6);
        memcpy(name, "TASK_", 5);
        size_t i = 0;
        for (; bare[i] != '\0'; i++) {
            char c = bare[i];
            name[i + 5] = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
        }
        name[i + 5] = '\0';
        n.has_state = TaskState__parse(pf_str(name), &n.state);
        n.wants_waiting = strcmp(name, "TASK_WAITING") == 0;
    }
    return n;
}

static int fetch_waiting(struct pf_client *c, struct pf_output *o, struct pf_str framework_id,
                         struct pf_err *err)
{
    struct pf_pages pages = {.type = Master_Call_Type_GET_FRAMEWORKS};
    struct Master_Response r;
    int rc;
    while ((rc = pf_pages_next(c, &pages, &r, err)) == 1) {
        struct Master_Response_GetFrameworks list = Master_Response_get_frameworks(r);
        for (uint32_t i = 0; i < Master_Response_GetFrameworks_frameworks__len(list); i++) {
            struct Master_Response_GetFrameworks_Framework f =
                Master_Response_GetFrameworks_frameworks__at(list, i);
            struct pf_str id = FrameworkID_value(
                FrameworkInfo_id(Master_Response_GetFrameworks_Framework_framework_info(f)));
            uint32_t n = Master_Response_GetFrameworks_Framework_demands__len(f);
            for (uint32_t k = 0; k < n; k++) {
                struct Demand d = Master_Response_GetFrameworks_Framework_demands__at(f, k);
                if (Demand_count(d) > 0 &&
                    (framework_id.at == NULL || pf_str_eq(framework_id, id))) {
                    pf_waiting_row(o, d, f, pf_output_row(o));
                    pf_output_put(o);
                }
            }
        }
    }
    return rc;
}

static void put_task(struct pf_output *o, struct Task t, bool only_live)
{
    if (!only_live || !pf_task_is_ended(Task_state(t))) {
        pf_task_row(o, t, pf_output_row(o));
        pf_output_put(o);
    }
}

static void put_page(struct pf_output *o, struct Master_Response_GetTasks list, bool only_live)
{
    for (uint32_t i = 0; i < Master_Response_GetTasks_pending_tasks__len(list); i++) {
        put_task(o, Master_Response_GetTasks_pending_tasks__at(list, i), only_live);
    }
    for (uint32_t i = 0; i < Master_Response_GetTasks_tasks__len(list); i++) {
        put_task(o, Master_Response_GetTasks_tasks__at(list, i), only_live);
    }
    for (uint32_t i = 0; i < Master_Response_GetTasks_unreachable_tasks__len(list); i++) {
        put_task(o, Master_Response_GetTasks_unreachable_tasks__at(list, i), only_live);
    }
    for (uint32_t i = 0; i < Master_Response_GetTasks_orphan_tasks__len(list); i++) {
        put_task(o, Master_Response_GetTasks_orphan_tasks__at(list, i), only_live);
    }
    for (uint32_t i = 0; i < Master_Response_GetTasks_completed_tasks__len(list); i++) {
        put_task(o, Master_Response_GetTasks_completed_tasks__at(list, i), only_live);
    }
}

static int fetch(struct pf_cli *cli, struct pf_client *c, struct pf_output *o, struct pf_err *err)
{
    struct narrowed n = narrow(o, &cli->arena);
    struct Master_Response r;
    int rc = 0;
    if (n.wants_waiting) {
        rc = fetch_waiting(c, o, n.framework_id, err);
    }
    struct pf_pages pages = {.type = Master_Call_Type_GET_TASKS, .framework_id = n.framework_id};
    if (n.has_state) {
        pages.states = (struct TaskState__vec){&n.state, 1};
    }
    bool only_live = pf_args_has(&cli->args, "live");
    while (rc == 0 && (rc = pf_pages_next(c, &pages, &r, err)) == 1) {
        put_page(o, Master_Response_get_tasks(r), only_live);
        pf_output_flush(o);
        rc = 0;
    }
    return rc;
}

static int run(struct pf_cli *cli)
{
    static const struct pf_list list = {
        .columns = &pf_task_columns, .fetch = fetch, .stale_ms = -1};
    return pf_list_run(cli, &list);
}

static const struct pf_cli_option options[] = {
    {.name = "live", .letter = 'l', .kind = PF_ARG_FLAG, .help = "leave out those that ended"},
};

const struct pf_command pf_cmd_tasks = {
    .name = "tasks",
    .alias = "ps",
    .group = "look",
    .summary = "the tasks: waiting, running, ended",
    .about = "A task that waits stands with the state TASK_WAITING and says why; an id that ends "
             "in * stands for all the tasks of a demand that are not placed yet.",
    .sets = PF_SET_CLUSTER | PF_SET_OUTPUT,
    .options = PF_CLI_OPTIONS(options),
    .examples = {{"proffer ps --filter state=running", "those that run"},
                 {"proffer ps --live -w", "watch what is going on"},
                 {"proffer tasks -o json --columns id,exit_status", "for programs"}},
    .run = run,
};
