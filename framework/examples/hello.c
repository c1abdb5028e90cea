/* SPDX-License-Identifier: Apache-2.0 */
/* A first scheduler: runs N commands on a Proffer cluster, prints what becomes of each, and ends.
 *
 *     cc hello.c -o hello $(pkg-config --cflags --libs proffer)
 *     ./hello 3 'echo hello from $PROFFER_TASK_ID'
 *
 * It finds the cluster by PROFFER_MASTER (host:port), else on this machine. */
#include <proffer/proffer.h>
#include <stdio.h>
#include <stdlib.h>

struct hello {
    const char *command;
    unsigned n_tasks;    /* to run */
    unsigned n_launched;
    unsigned n_over;
    int exit_status;
};

/* One instance of what we want: half a CPU and 32 MiB. At most BATCH are launched at once. */
enum { CPUS_MILLI = 500, MEM_BYTES = 32 << 20, BATCH = 16 };

/* Demanding says what is wanted, and how often. The master offers exactly that. */
static int demand(struct pf_scheduler *s, unsigned count, struct pf_problem *problem)
{
    struct pf_demand d = PF_DEMAND_INIT;

    d.id = "hello";
    d.count = count;
    d.cpus_milli = CPUS_MILLI;
    d.mem_bytes = MEM_BYTES;
    return pf_scheduler_demand(s, &d, 1, problem);
}

/* An offer may hold several instances of the demand: launch a task on each that is still wanted.
 * What is not used goes back by itself; an accept without tasks is a decline. */
static void on_offers(void *ctx, struct pf_scheduler *s, const struct pf_offer_view *offers,
                      size_t n)
{
    struct hello *h = ctx;

    for (size_t i = 0; i < n; i++) {
        struct pf_task_spec tasks[BATCH];
        char ids[BATCH][32];
        struct pf_problem problem;
        unsigned k;

        for (k = 0; k < BATCH && k < offers[i].demand_count && h->n_launched < h->n_tasks; k++) {
            struct pf_task_spec task = PF_TASK_SPEC_INIT;

            snprintf(ids[k], sizeof ids[k], "hello.%u", h->n_launched++);
            task.task_id = ids[k];
            task.cpus_milli = CPUS_MILLI;
            task.mem_bytes = MEM_BYTES;
            task.command = h->command;
            tasks[k] = task;
            printf("%s launched on %s\n", ids[k], offers[i].hostname);
        }
        if (pf_scheduler_accept(s, &offers[i].id, 1, tasks, k, -1, &problem) < 0) {
            fprintf(stderr, "hello: %s\n", problem.text);
            h->exit_status = 1;
            pf_scheduler_teardown(s);
            return;
        }
    }
}

/* Each task gets statuses until a final one. When all are over, end the framework. */
static void on_status(void *ctx, struct pf_scheduler *s, const struct pf_task_status *status)
{
    struct hello *h = ctx;

    printf("%s is %s", status->task_id, pf_task_state_name(status->state));
    if (status->has_exit_status) {
        printf(", exit status %d", status->exit_status);
    }
    printf("%s%s\n", status->message ? ": " : "", status->message ? status->message : "");
    if (!status->is_final) {
        return;
    }
    if (status->state != PF_TASK_FINISHED) {
        h->exit_status = 1;
    }
    if (++h->n_over == h->n_tasks) {
        pf_scheduler_teardown(s);
    }
}

static void on_subscribed(void *ctx, struct pf_scheduler *s, const struct pf_subscription *sub)
{
    (void)ctx;
    (void)s;
    printf("framework %s at %s\n", sub->framework_id, sub->master);
}

/* Told when the demand waits for longer than a second. */
static void on_demand(void *ctx, struct pf_scheduler *s, const struct pf_demand_status *status)
{
    (void)ctx;
    (void)s;
    printf("%u waiting: %s\n", status->waiting, status->text);
}

int main(int argc, char **argv)
{
    struct pf_scheduler_options options = PF_SCHEDULER_OPTIONS_INIT;
    struct pf_scheduler_callbacks callbacks = PF_SCHEDULER_CALLBACKS_INIT;
    struct pf_scheduler *scheduler = NULL;
    struct pf_problem problem;
    struct hello h = {"echo hello", 1, 0, 0, 0};
    int rc;

    if (argc > 1) {
        h.n_tasks = (unsigned)strtoul(argv[1], NULL, 10);
    }
    if (argc > 2) {
        h.command = argv[2];
    }
    if (h.n_tasks == 0 || argc > 3) {
        fprintf(stderr, "usage: %s [COUNT [COMMAND]]\n", argv[0]);
        return 2;
    }
    options.name = "hello";
    options.give_up_ms = 10000;
    callbacks.on_subscribed = on_subscribed;
    callbacks.on_offers = on_offers;
    callbacks.on_status = on_status;
    callbacks.on_demand = on_demand;
    rc = pf_scheduler_create(&options, &callbacks, &h, &scheduler, &problem);
    if (rc == 0) {
        rc = demand(scheduler, h.n_tasks, &problem);
    }
    if (rc == 0) {
        rc = pf_scheduler_run(scheduler, &problem);
    }
    if (rc < 0) {
        fprintf(stderr, "hello: %s\n", problem.text);
    }
    pf_scheduler_destroy(scheduler);
    return rc < 0 ? 1 : h.exit_status;
}
