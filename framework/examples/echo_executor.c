/* SPDX-License-Identifier: Apache-2.0 */
/* A first executor: has any number of tasks that do nothing but run, and sends each message of the
 * scheduler back. "finish ID" ends a task instead.
 *
 *     cc echo_executor.c -o echo_executor $(pkg-config --cflags --libs proffer)
 *
 * It is not started by hand but by an agent, for a scheduler such as pingpong.c. */
#include <proffer/executor.h>
#include <stdio.h>
#include <string.h>

enum { TASKS_MAX = 64, ID_MAX = 256 };

struct echo {
    char task[TASKS_MAX][ID_MAX]; /* ids of those that run; empty: a free place */
};

static char *find(struct echo *echo, const char *task_id)
{
    for (int i = 0; i < TASKS_MAX; i++) {
        if (strcmp(echo->task[i], task_id) == 0) {
            return echo->task[i];
        }
    }
    return NULL;
}

/* An update is kept by the library until the agent has stored it. */
static void say(struct pf_executor *e, const char *task_id, enum pf_task_state state)
{
    struct pf_task_update update = PF_TASK_UPDATE_INIT;
    struct pf_problem problem;

    update.task_id = task_id;
    update.state = state;
    if (pf_executor_update(e, &update, &problem) < 0) {
        fprintf(stderr, "echo: %s\n", problem.text);
    }
}

static void end(struct echo *echo, struct pf_executor *e, const char *task_id,
                enum pf_task_state state)
{
    char *place = task_id[0] ? find(echo, task_id) : NULL;

    if (place) {
        say(e, task_id, state);
        place[0] = '\0';
    }
}

static void on_launch(void *ctx, struct pf_executor *e, const struct pf_task_view *task)
{
    char *place = find(ctx, "");

    if (!place || strlen(task->task_id) >= ID_MAX) {
        say(e, task->task_id, PF_TASK_FAILED);
        return;
    }
    snprintf(place, ID_MAX, "%s", task->task_id);
    say(e, task->task_id, PF_TASK_RUNNING);
}

static void on_kill(void *ctx, struct pf_executor *e, const char *task_id, int64_t grace_ms)
{
    (void)grace_ms;
    end(ctx, e, task_id, PF_TASK_KILLED);
}

static void on_message(void *ctx, struct pf_executor *e, const void *data, size_t data_bytes)
{
    static const char finish[] = "finish ";
    char text[ID_MAX + sizeof finish] = "";

    if (data_bytes < sizeof text) {
        memcpy(text, data, data_bytes);
    }
    if (strncmp(text, finish, sizeof finish - 1) == 0) {
        end(ctx, e, text + sizeof finish - 1, PF_TASK_FINISHED);
    } else {
        (void)pf_executor_message(e, data, data_bytes, NULL); /* it may get lost as well */
    }
}

/* When everything is said and stored, pf_executor_run() returns. */
static void on_shutdown(void *ctx, struct pf_executor *e, int64_t grace_ms, const char *why)
{
    struct echo *echo = ctx;

    printf("shutting down within %lld ms: %s\n", (long long)grace_ms, why);
    for (int i = 0; i < TASKS_MAX; i++) {
        if (echo->task[i][0]) {
            end(echo, e, echo->task[i], PF_TASK_KILLED);
        }
    }
}

static void on_subscribed(void *ctx, struct pf_executor *e,
                          const struct pf_executor_subscription *sub)
{
    (void)ctx;
    (void)e;
    printf("executor %s subscribed on %s%s\n", sub->executor_id, sub->hostname,
           sub->is_again ? " again" : "");
    fflush(stdout);
}

int main(void)
{
    struct pf_executor_options options = PF_EXECUTOR_OPTIONS_INIT;
    struct pf_executor_callbacks callbacks = PF_EXECUTOR_CALLBACKS_INIT;
    struct pf_executor *executor = NULL;
    struct pf_problem problem;
    static struct echo echo;
    int rc;

    callbacks.on_subscribed = on_subscribed;
    callbacks.on_launch = on_launch;
    callbacks.on_kill = on_kill;
    callbacks.on_message = on_message;
    callbacks.on_shutdown = on_shutdown;
    rc = pf_executor_create(&options, &callbacks, &echo, &executor, &problem);
    if (rc == 0) {
        rc = pf_executor_run(executor, &problem);
    }
    if (rc < 0) {
        fprintf(stderr, "echo: %s\n", problem.text);
    }
    pf_executor_destroy(executor);
    return rc < 0 ? 1 : 0;
}
