/* SPDX-License-Identifier: Apache-2.0 */
/* A scheduler of a task group: runs all the commands of its command line on one agent, all or none.
 * When one fails, the agent kills the others.
 *
 *     cc group.c -o group $(pkg-config --cflags --libs proffer)
 *     ./group 'sleep 5' 'echo hello' */
#include <proffer/proffer.h>
#include <stdio.h>

enum { TASKS_MAX = 16, CPUS_MILLI = 100, MEM_BYTES = 32 << 20 };
/* As little as the executor of a group may have, beside MEM_BYTES. */
enum { EXECUTOR_CPUS_MILLI = 10, EXECUTOR_DISK_BYTES = 1 << 20 };

struct group {
    char **command;
    unsigned n_tasks;
    unsigned n_over;
    bool is_launched;
    int exit_status;
};

static void launch(struct pf_scheduler *s, struct group *g, const char *offer_id)
{
    struct pf_executor_spec agent = PF_EXECUTOR_SPEC_INIT; /* no command: the agent itself */
    struct pf_task_spec tasks[TASKS_MAX];
    char ids[TASKS_MAX][16];
    struct pf_problem problem;

    agent.executor_id = "group";
    agent.cpus_milli = EXECUTOR_CPUS_MILLI;
    agent.mem_bytes = MEM_BYTES;
    agent.disk_bytes = EXECUTOR_DISK_BYTES;
    for (unsigned i = 0; i < g->n_tasks; i++) {
        struct pf_task_spec task = PF_TASK_SPEC_INIT;

        snprintf(ids[i], sizeof ids[i], "group.%u", i);
        task.task_id = ids[i];
        task.cpus_milli = CPUS_MILLI;
        task.mem_bytes = MEM_BYTES;
        task.command = g->command[i];
        tasks[i] = task;
    }
    g->is_launched = true;
    if (pf_scheduler_launch_group(s, &offer_id, 1, &agent, tasks, g->n_tasks, -1, &problem) < 0) {
        fprintf(stderr, "group: %s\n", problem.text);
        g->exit_status = 1;
        pf_scheduler_teardown(s);
    }
}

/* The demand is for one instance: the first offer holds it. */
static void on_offers(void *ctx, struct pf_scheduler *s, const struct pf_offer_view *offers,
                      size_t n)
{
    struct group *g = ctx;

    for (size_t i = 0; i < n; i++) {
        if (g->is_launched) {
            pf_scheduler_decline(s, &offers[i].id, 1, -1);
        } else {
            launch(s, g, offers[i].id);
        }
    }
}

static void on_status(void *ctx, struct pf_scheduler *s, const struct pf_task_status *status)
{
    struct group *g = ctx;

    printf("%s is %s%s%s\n", status->task_id, pf_task_state_name(status->state),
           status->message ? ": " : "", status->message ? status->message : "");
    if (!status->is_final) {
        return;
    }
    if (status->state != PF_TASK_FINISHED) {
        g->exit_status = 1;
    }
    if (++g->n_over == g->n_tasks) {
        pf_scheduler_teardown(s);
    }
}

int main(int argc, char **argv)
{
    struct pf_scheduler_options options = PF_SCHEDULER_OPTIONS_INIT;
    struct pf_scheduler_callbacks callbacks = PF_SCHEDULER_CALLBACKS_INIT;
    struct pf_demand demand = PF_DEMAND_INIT;
    struct group g = {argv + 1, (unsigned)argc - 1, 0, false, 0};
    struct pf_scheduler *scheduler = NULL;
    struct pf_problem problem;
    int rc;

    if (argc < 2 || argc > 1 + TASKS_MAX) {
        fprintf(stderr, "usage: %s COMMAND...\n", argv[0]);
        return 2;
    }
    options.name = "group";
    options.give_up_ms = 10000;
    callbacks.on_offers = on_offers;
    callbacks.on_status = on_status;
    demand.id = "group"; /* what all tasks need together, of one agent */
    demand.count = 1;
    demand.cpus_milli = CPUS_MILLI * (int64_t)g.n_tasks + EXECUTOR_CPUS_MILLI;
    demand.mem_bytes = MEM_BYTES * ((int64_t)g.n_tasks + 1);
    demand.disk_bytes = EXECUTOR_DISK_BYTES;
    rc = pf_scheduler_create(&options, &callbacks, &g, &scheduler, &problem);
    if (rc == 0) {
        rc = pf_scheduler_demand(scheduler, &demand, 1, &problem);
    }
    if (rc == 0) {
        rc = pf_scheduler_run(scheduler, &problem);
    }
    if (rc < 0) {
        fprintf(stderr, "group: %s\n", problem.text);
    }
    pf_scheduler_destroy(scheduler);
    return rc < 0 ? 1 : g.exit_status;
}
