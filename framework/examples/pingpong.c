/* SPDX-License-Identifier: Apache-2.0 */
/* A scheduler with an executor: runs N tasks under one executor, sends it each line of its standard
 * input and prints what comes back. Shows an event loop of its own around the library.
 *
 *     cc pingpong.c -o pingpong $(pkg-config --cflags --libs proffer)
 *     ./pingpong $PWD/echo_executor 3
 *
 * "kill ID" kills a task instead, "launch ID" launches one more, "end" shuts the executor down. It
 * ends when all tasks are over. */
#include <poll.h>
#include <proffer/proffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TASKS_MAX = 64, ID_MAX = 64, CPUS_MILLI = 100, MEM_BYTES = 32 << 20 };

struct pingpong {
    struct pf_scheduler *scheduler;
    const char *executor_path;
    char task[TASKS_MAX][ID_MAX]; /* n_tasks, of which n_launched were launched */
    unsigned n_tasks, n_launched, n_over;
    char agent_id[256];           /* where the executor is; empty: not yet anywhere */
    char line[1024];              /* of the input, not yet whole */
    size_t n_line;
};

/* Offers of that much and no other; the executor itself takes as much as a task. */
static void demand(struct pingpong *p)
{
    struct pf_demand d = PF_DEMAND_INIT;
    struct pf_problem problem;

    d.id = "pingpong";
    d.count = p->n_tasks > p->n_launched ? 1 : 0;
    d.cpus_milli = CPUS_MILLI * (p->n_tasks - p->n_launched + 1);
    d.mem_bytes = MEM_BYTES * (int64_t)(p->n_tasks - p->n_launched + 1);
    if (pf_scheduler_demand(p->scheduler, &d, d.count, &problem) < 0) {
        fprintf(stderr, "pingpong: %s\n", problem.text);
    }
}

/* All tasks go to the executor of the first one's agent. */
static void launch(struct pingpong *p, const struct pf_offer_view *offer)
{
    struct pf_executor_spec executor = PF_EXECUTOR_SPEC_INIT;
    struct pf_task_spec tasks[TASKS_MAX];
    struct pf_problem problem;
    size_t n = 0;

    executor.executor_id = "echo";
    executor.command = p->executor_path;
    executor.cpus_milli = CPUS_MILLI;
    executor.mem_bytes = MEM_BYTES;
    for (; p->n_launched < p->n_tasks; n++) {
        struct pf_task_spec task = PF_TASK_SPEC_INIT;

        task.task_id = p->task[p->n_launched++];
        task.executor = &executor;
        task.cpus_milli = CPUS_MILLI;
        task.mem_bytes = MEM_BYTES;
        tasks[n] = task;
    }
    if (pf_scheduler_accept(p->scheduler, &offer->id, 1, tasks, n, -1, &problem) < 0) {
        fprintf(stderr, "pingpong: %s\n", problem.text);
    }
    snprintf(p->agent_id, sizeof p->agent_id, "%s", offer->agent_id);
}

static void on_offers(void *ctx, struct pf_scheduler *s, const struct pf_offer_view *offers,
                      size_t n)
{
    struct pingpong *p = ctx;

    for (size_t i = 0; i < n; i++) {
        if (p->n_launched < p->n_tasks &&
            (!p->agent_id[0] || strcmp(p->agent_id, offers[i].agent_id) == 0)) {
            launch(p, &offers[i]);
        } else {
            pf_scheduler_decline(s, &offers[i].id, 1, -1);
        }
    }
}

static void on_status(void *ctx, struct pf_scheduler *s, const struct pf_task_status *status)
{
    struct pingpong *p = ctx;

    printf("%s is %s%s%s\n", status->task_id, pf_task_state_name(status->state),
           status->message ? ": " : "", status->message ? status->message : "");
    p->n_over += status->is_final ? 1 : 0;
    if (p->n_over == p->n_tasks) {
        pf_scheduler_teardown(s);
    }
}

static void on_message(void *ctx, struct pf_scheduler *s, const char *agent_id,
                       const char *executor_id, const void *data, size_t data_bytes)
{
    (void)ctx;
    (void)s;
    (void)agent_id;
    printf("%s says: %.*s\n", executor_id, (int)data_bytes, (const char *)data);
}

static void on_failure(void *ctx, struct pf_scheduler *s, const struct pf_failure *failure)
{
    (void)ctx;
    (void)s;
    if (!failure->executor_id) {
        printf("agent %s is gone\n", failure->agent_id);
    } else if (failure->signal) {
        printf("%s ended by signal %d\n", failure->executor_id, failure->signal);
    } else if (failure->has_exit_status) {
        printf("%s ended with %d\n", failure->executor_id, failure->exit_status);
    } else {
        printf("%s ended, nobody saw how\n", failure->executor_id);
    }
}

/* A line of the input. */
static void obey(struct pingpong *p, const char *line)
{
    struct pf_problem problem;

    if (strncmp(line, "kill ", 5) == 0) {
        pf_scheduler_kill(p->scheduler, line + 5, -1, 0);
    } else if (strncmp(line, "launch ", 7) == 0 && p->n_tasks < TASKS_MAX) {
        snprintf(p->task[p->n_tasks++], ID_MAX, "%s", line + 7);
        demand(p);
    } else if (strcmp(line, "end") == 0) {
        pf_scheduler_shutdown_executor(p->scheduler, p->agent_id, "echo");
    } else if (pf_scheduler_message(p->scheduler, p->agent_id, "echo", line, strlen(line),
                                    &problem) < 0) {
        fprintf(stderr, "pingpong: %s\n", problem.text);
    }
}

/* False at the end of the input. */
static int read_input(struct pingpong *p)
{
    ssize_t n = read(STDIN_FILENO, p->line + p->n_line, sizeof p->line - 1 - p->n_line);
    char *end;

    if (n <= 0) {
        return 0;
    }
    p->n_line += (size_t)n;
    p->line[p->n_line] = '\0';
    while ((end = strchr(p->line, '\n')) || p->n_line == sizeof p->line - 1) {
        size_t used = end ? (size_t)(end - p->line) + 1 : p->n_line;

        p->line[used - 1] = '\0';
        obey(p, p->line);
        p->n_line -= used;
        memmove(p->line, p->line + used, p->n_line + 1);
    }
    return 1;
}

/* Two things to wait for: the input and the library. */
static int loop(struct pingpong *p, struct pf_problem *problem)
{
    struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.events = POLLIN}};
    int rc = pf_scheduler_fd(p->scheduler, &fds[1].fd, problem);

    while (rc == 0) {
        if (poll(fds, 2, pf_scheduler_wait_ms(p->scheduler)) > 0 && fds[0].revents &&
            !read_input(p)) {
            fds[0].fd = -1;
        }
        rc = pf_scheduler_process(p->scheduler, problem);
        fflush(stdout);
    }
    return rc < 0 ? rc : 0;
}

int main(int argc, char **argv)
{
    struct pf_scheduler_options options = PF_SCHEDULER_OPTIONS_INIT;
    struct pf_scheduler_callbacks callbacks = PF_SCHEDULER_CALLBACKS_INIT;
    static struct pingpong p;
    struct pf_problem problem;
    int rc;

    p.n_tasks = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 1;
    if (argc < 2 || argc > 3 || p.n_tasks == 0 || p.n_tasks > TASKS_MAX) {
        fprintf(stderr, "usage: %s EXECUTOR [TASKS]\n", argv[0]);
        return 2;
    }
    p.executor_path = argv[1];
    for (unsigned i = 0; i < p.n_tasks; i++) {
        snprintf(p.task[i], ID_MAX, "ping.%u", i);
    }
    options.name = "pingpong";
    options.failover_ms = 60000; /* the tasks outlive a restart of their agent */
    options.give_up_ms = 10000;
    callbacks.on_offers = on_offers;
    callbacks.on_status = on_status;
    callbacks.on_message = on_message;
    callbacks.on_failure = on_failure;
    rc = pf_scheduler_create(&options, &callbacks, &p, &p.scheduler, &problem);
    if (rc == 0) {
        demand(&p);
        rc = loop(&p, &problem);
    }
    if (rc < 0) {
        fprintf(stderr, "pingpong: %s\n", problem.text);
    }
    pf_scheduler_destroy(p.scheduler);
    return rc < 0 ? 1 : 0;
}
