/* SPDX-License-Identifier: Apache-2.0 */
/* proffer kill ID...: ends tasks, whoever owns them. */
#include "common/base/buf.h"
#include "framework/cli/entity.h"
#include "framework/cli/ids.h"
#include "framework/cli/operate.h"
#include "framework/cli/table.h"

struct targets {
    struct pf_cli *cli;
    struct pf_client *client;
    struct pf_cluster cluster;
    struct pf_ptrs tasks; /* struct pf_entity */
};

static void add_task(struct targets *t, struct pf_entity *e)
{
    for (uint32_t i = 0; i < t->tasks.len; i++) {
        const struct pf_entity *known = t->tasks.at[i];
        if (pf_str_eq(known->id, e->id) && pf_str_eq(known->framework_id, e->framework_id)) {
            return;
        }
    }
    pf_ptrs_push(&t->tasks, e);
}

static int add_framework(struct targets *t, struct pf_str id)
{
    struct pf_entities live = {0};
    struct pf_err err = {0};
    if (pf_operate_live_tasks(t->client, id, &t->cli->arena, &live, &err) != 0) {
        return pf_client_fail(t->cli, &t->cluster, &err);
    }
    for (uint32_t i = 0; i < live.n; i++) {
        add_task(t, &live.at[i]);
    }
    return 0;
}

static int add_named(struct targets *t, const char *text, const enum EntityKind *kinds, uint32_t n)
{
    struct pf_entities found = {0};
    int status = pf_ids_resolve(t->cli, t->client, &t->cluster, text, kinds, n, &found);
    for (uint32_t i = 0; status == 0 && i < found.n; i++) {
        enum TaskState state;
        bool has_ended = TaskState__parse(found.at[i].state, &state) && pf_task_is_ended(state);
        if (found.at[i].kind == EntityKind_FRAMEWORK) {
            status = add_framework(t, found.at[i].id);
        } else if (found.n == 1 || !has_ended) { /* of several only those that can be killed */
            add_task(t, &found.at[i]);
        }
    }
    return status;
}

static int collect(struct targets *t)
{
    static const enum EntityKind both[] = {EntityKind_TASK, EntityKind_FRAMEWORK};
    const struct pf_args *args = &t->cli->args;
    int status = 0;
    for (uint32_t i = 0; status == 0 && i < args->n_operands; i++) {
        status = add_named(t, args->operand[i], both, 2);
    }
    uint32_t cursor = 0;
    const char *framework;
    while (status == 0 && (framework = pf_args_next(args, "framework", &cursor)) != NULL) {
        status = add_named(t, framework, &both[1], 1);
    }
    return status;
}

static int kill_all(struct targets *t)
{
    const struct pf_args *args = &t->cli->args;
    int signo = (int)pf_args_num(args, "signal", 0);
    int64_t grace_ms = pf_args_num(args, "grace", -1);
    int status = PF_EXIT_OK;
    for (uint32_t i = 0; i < t->tasks.len; i++) {
        const struct pf_entity *e = t->tasks.at[i];
        struct pf_err err = {0};
        if (pf_operate_kill(t->client, e->framework_id, e->id, signo, grace_ms, &err) != 0) {
            pf_err_wrap(&err, "%.*s", PF_STR_ARG(e->id));
            status = pf_client_fail(t->cli, &t->cluster, &err);
        }
    }
    return status;
}

/* One wait for each framework's tasks that stand together. */
static int wait_all(struct targets *t)
{
    struct pf_str *ids = pf_arena_alloc(&t->cli->arena, (t->tasks.len + 1) * sizeof *ids);
    for (uint32_t i = 0; i < t->tasks.len;) {
        struct pf_str framework_id = ((const struct pf_entity *)t->tasks.at[i])->framework_id;
        struct pf_err err = {0};
        uint32_t n = 0;
        for (; i < t->tasks.len; i++) {
            const struct pf_entity *e = t->tasks.at[i];
            if (!pf_str_eq(e->framework_id, framework_id)) {
                break;
            }
            ids[n++] = e->id;
        }
        if (pf_operate_wait_ended(t->client, framework_id, ids, n, -1, &err) != 0) {
            return pf_client_fail(t->cli, &t->cluster, &err);
        }
    }
    return PF_EXIT_OK;
}

static int run(struct pf_cli *cli)
{
    struct targets t = {.cli = cli};
    if (cli->args.n_operands == 0 && !pf_args_has(&cli->args, "framework")) {
        return pf_cli_usage(cli, "no task is named", "usage: proffer kill ID... (see proffer ps)");
    }
    int status = pf_client_of(cli, &t.cluster, &t.client);
    status = status != 0 ? status : collect(&t);
    if (status == 0 && t.tasks.len == 0) {
        pf_cli_note(cli, "cluster %s: no such task runs", t.cluster.name);
    } else if (status == 0) {
        pf_cli_note(cli, "cluster %s: killing %u task%s; the owner may start %s again",
                    t.cluster.name, t.tasks.len, t.tasks.len == 1 ? "" : "s",
                    t.tasks.len == 1 ? "it" : "them");
        status = kill_all(&t);
        if (status == 0 && pf_args_has(&cli->args, "wait")) {
            status = wait_all(&t);
        }
    }
    pf_ptrs_fini(&t.tasks);
    pf_client_close(t.client);
    return status;
}

static const struct pf_cli_option options[] = {
    {.name = "framework", .is_repeated = true, .kind = PF_ARG_TEXT, .arg = "ID",
     .complete = PF_COMPLETE_FRAMEWORK, .help = "all tasks of a framework"},
    {.name = "signal", .kind = PF_ARG_SIGNAL, .arg = "SIGNAL",
     .help = "only send this signal (default: TERM, and KILL after the grace)"},
    {.name = "grace", .kind = PF_ARG_DURATION, .arg = "TIME",
     .help = "how long between TERM and KILL (default: as the task says)"},
    {.name = "wait", .kind = PF_ARG_FLAG, .help = "return when they have ended"},
};

const struct pf_command pf_cmd_kill = {
    .name = "kill",
    .group = "run",
    .summary = "end tasks, whoever owns them",
    .operands = "ID...",
    .about = "The owner is told that its task was killed and may start it again; to end a "
             "framework with its tasks use teardown.",
    .max_operands = PF_ARGV_MAX,
    .complete = PF_COMPLETE_TASK,
    .sets = PF_SET_CLUSTER,
    .options = PF_CLI_OPTIONS(options),
    .examples = {{"proffer kill k7m2.0", "one task"},
                 {"proffer kill 'k7m2.*' --wait", "all of a run, until they are gone"},
                 {"proffer kill --signal HUP k7m2.1", "just a signal"}},
    .run = run,
};
