/* SPDX-License-Identifier: Apache-2.0 */
/* From the small structures of the public header to messages. */
#include <string.h>
#include "common/base/alloc.h"
#include "common/base/id.h"
#include "common/base/resources.h"
#include "common/fb/json.h"
#include "framework/lib/scheduler_internal.h"

enum { RESOURCES_MAX = SCHEDULER_AMOUNTS + 1 };

static struct pf_ref put_ranges(struct pf_fb_builder *b, const struct pf_ref *range, uint32_t n)
{
    struct pf_ref ranges = Value_Ranges__put(b, &(struct Value_Ranges__args){.range = {range, n}});

    return Resource__put(b, &(struct Resource__args){.name = PF_STR("ports"),
                                                     .type = {true, Value_Type_RANGES},
                                                     .ranges = ranges});
}

static struct pf_ref put_range(struct pf_fb_builder *b, uint64_t begin, uint64_t end)
{
    return Value_Range__put(
        b, &(struct Value_Range__args){.begin = PF_OPT(begin), .end = PF_OPT(end)});
}

/* Takes the lowest `want` ports. */
static int put_ports(struct pf_fb_builder *b, struct pf_arena *scratch, uint32_t want,
                     struct scheduler_ports *ports, struct pf_ref *out, struct pf_err *err)
{
    struct pf_ref *range = pf_arena_alloc(scratch, (ports->n + 1) * sizeof *range);
    uint32_t n = 0;

    while (want > 0 && ports->n > 0) {
        struct pf_range *first = ports->at;
        uint64_t here = first->end - first->begin + 1;
        uint32_t take = here < want ? (uint32_t)here : want;

        range[n++] = put_range(b, first->begin, first->begin + take - 1);
        want -= take;
        if (take == here) {
            ports->at++;
            ports->n--;
        } else {
            first->begin += take;
        }
    }
    if (want > 0) {
        return pf_err_set(err, PF_EINVAL, "n_ports: the offers have %u too few", want);
    }
    *out = put_ranges(b, range, n);
    return 0;
}

static struct scheduler_command command_of(const struct pf_task_spec *s)
{
    return (struct scheduler_command){.command = s->command,
                                      .argv = s->argv,
                                      .env = s->env,
                                      .user = s->user,
                                      .cwd = s->cwd,
                                      .script = s->script,
                                      .script_bytes = s->script_bytes,
                                      .keeps_stdin = s->keeps_stdin,
                                      .uris = s->uris,
                                      .n_uris = s->n_uris};
}

/* A task has a command, or an executor, or (in a group) maybe neither. */
static int spec_check(const struct pf_task_spec *s, bool is_in_group, bool *out_runs,
                      struct pf_err *err)
{
    struct scheduler_command command = command_of(s);
    int rc;

    if (!s->task_id || pf_id_problem(pf_str(s->task_id))) {
        return pf_err_set(err, PF_EINVAL, "task_id: %s",
                          s->task_id ? pf_id_problem(pf_str(s->task_id)) : "missing");
    }
    if (s->json) {
        return 0;
    }
    rc = scheduler_check_command(&command, out_runs, err);
    if (rc < 0) {
        return rc;
    }
    if (*out_runs && s->executor) {
        return pf_err_set(err, PF_EINVAL, "a command and an executor");
    }
    if (!*out_runs && !s->executor && !is_in_group) {
        return pf_err_set(err, PF_EINVAL,
                          "one of command, argv and script (with its argv) must "
                          "say what to run");
    }
    if (s->executor && is_in_group) {
        return pf_err_set(err, PF_EINVAL, "the executor of a group is named once");
    }
    if (s->kill_grace_ms < 0 || s->max_run_ms < 0 || s->kill_grace_ms > PF_RES_MILLI_MAX ||
        s->max_run_ms > PF_RES_MILLI_MAX) {
        return pf_err_set(err, PF_EINVAL, "a negative or far too long time");
    }
    return scheduler_check_pairs(s->labels, "labels", err);
}

static int task_from_json(struct pf_arena *scratch, const struct pf_task_spec *s,
                          struct pf_msg *out, struct pf_err *err)
{
    struct pf_fb_builder b;
    int rc;

    pf_fb_builder_init(&b, scratch);
    rc = pf_json_read(pf_str(s->json), &TaskInfo__desc, &b, out, PF_JSON_REFUSE_UNKNOWN, err);
    if (rc < 0) {
        pf_err_wrap(err, "json");
        return rc;
    }
    return 0;
}

/* What is not a resource. */
static int put_parts(struct pf_fb_builder *b, struct pf_arena *scratch,
                     const struct pf_task_spec *s, bool runs, struct TaskInfo__args *args,
                     struct pf_err *err)
{
    struct scheduler_command command = command_of(s);

    if (runs) {
        args->command = scheduler_put_command(b, scratch, &command);
    }
    args->labels = scheduler_put_labels(b, scratch, s->labels);
    args->data = (struct pf_bytes){s->data, (uint32_t)s->data_bytes};
    if (s->kill_grace_ms > 0) {
        args->kill_policy =
            KillPolicy__put(b, &(struct KillPolicy__args){
                                   .grace_period = scheduler_put_duration(b, s->kill_grace_ms)});
    }
    if (s->max_run_ms > 0) {
        args->max_completion_time = scheduler_put_duration(b, s->max_run_ms);
    }
    return s->health_check
               ? scheduler_put_health_check(b, scratch, s->health_check, &args->health_check, err)
               : 0;
}

static int task_from_spec(struct pf_arena *scratch, const struct pf_task_spec *s, bool runs,
                          struct pf_str agent_id, struct scheduler_ports *ports, struct pf_msg *out,
                          struct pf_err *err)
{
    struct scheduler_amounts amounts = {s->cpus_milli, s->mem_bytes, s->disk_bytes, s->gpus_milli};
    struct pf_fb_builder b;
    struct pf_ref res[SCHEDULER_AMOUNTS + 1];
    struct TaskInfo__args args = {.name = pf_str(s->name ? s->name : s->task_id)};
    uint32_t n_res = 0;
    struct pf_msg executor = {0};
    int rc = 0;

    if (s->executor) {
        rc = scheduler_executor_info(scratch, s->executor, &executor, err);
        args.executor = pf_msg_bytes(executor);
    }
    pf_fb_builder_init(&b, scratch);
    if (rc == 0) {
        rc = scheduler_put_amounts(&b, &amounts, res, &n_res, err);
    }
    if (rc == 0 && s->n_ports > 0) {
        rc = put_ports(&b, scratch, s->n_ports, ports, &res[n_res], err);
        n_res++;
    }
    if (rc == 0) {
        rc = put_parts(&b, scratch, s, runs, &args, err);
    }
    if (rc < 0) {
        return rc;
    }
    args.resources = (struct pf_refs){res, n_res};
    args.task_id = TaskID__put(&b, &(struct TaskID__args){.value = pf_str(s->task_id)});
    args.agent_id = AgentID__put(&b, &(struct AgentID__args){.value = agent_id});
    *out = TaskInfo__finish(&b, TaskInfo__put(&b, &args));
    return 0;
}

/* Neither `json` nor `merge_json` may say that it is another task. */
static int check_task_id(const struct pf_task_spec *s, struct pf_msg info, struct pf_err *err)
{
    if (!pf_str_is(TaskID_value(TaskInfo_task_id(TaskInfo__root(info))), s->task_id)) {
        return pf_err_set(err, PF_EINVAL, "json: its task_id is another one");
    }
    return 0;
}

int scheduler_task_info(struct pf_arena *scratch, const struct pf_task_spec *given,
                        bool is_in_group, struct pf_str agent_id, struct scheduler_ports *ports,
                        struct pf_msg *out, struct pf_err *err)
{
    struct pf_task_spec s = {0};
    struct pf_msg info;
    bool runs = false;
    int rc;

    if (given->size < offsetof(struct pf_task_spec, name)) {
        return pf_err_set(err, PF_EINVAL, "task: size is not set (use PF_TASK_SPEC_INIT)");
    }
    memcpy(&s, given, given->size < sizeof s ? given->size : sizeof s);
    rc = spec_check(&s, is_in_group, &runs, err);
    if (rc == 0) {
        rc = s.json ? task_from_json(scratch, &s, &info, err)
                    : task_from_spec(scratch, &s, runs, agent_id, ports, &info, err);
    }
    if (rc == 0) {
        rc = scheduler_merge(scratch, &TaskInfo__desc, s.merge_json, &info, err);
    }
    if (rc == 0) {
        rc = check_task_id(&s, info, err);
    }
    if (rc < 0) {
        pf_err_wrap(err, "task %s", s.task_id ? s.task_id : "(without id)");
        return rc;
    }
    *out = info;
    return 0;
}

/* --- executors -------------------------------------------------------------------------------- */

static int executor_check(const struct pf_executor_spec *s, const struct scheduler_command *c,
                          bool *out_runs, struct pf_err *err)
{
    if (!s->executor_id || pf_id_problem(pf_str(s->executor_id))) {
        return pf_err_set(err, PF_EINVAL, "executor_id: %s",
                          s->executor_id ? pf_id_problem(pf_str(s->executor_id)) : "missing");
    }
    if (s->shutdown_grace_ms < 0 || s->shutdown_grace_ms > PF_RES_MILLI_MAX) {
        return pf_err_set(err, PF_EINVAL, "a negative or far too long time");
    }
    if (scheduler_check_pairs(s->labels, "labels", err) < 0) {
        return PF_EINVAL;
    }
    return scheduler_check_command(c, out_runs, err);
}

static int executor_from_spec(struct pf_arena *scratch, const struct pf_executor_spec *s,
                              struct pf_msg *out, struct pf_err *err)
{
    struct scheduler_amounts amounts = {s->cpus_milli, s->mem_bytes, s->disk_bytes, 0};
    struct scheduler_command command = {.command = s->command,
                                        .argv = s->argv,
                                        .env = s->env,
                                        .user = s->user,
                                        .uris = s->uris,
                                        .n_uris = s->n_uris};
    struct ExecutorInfo__args args = {
        .type = {true, ExecutorInfo_Type_DEFAULT},
        .name = pf_str(s->name ? s->name : s->executor_id),
        .data = {s->data, (uint32_t)s->data_bytes},
    };
    struct pf_ref res[SCHEDULER_AMOUNTS];
    struct pf_fb_builder b;
    bool runs = false;
    int rc = executor_check(s, &command, &runs, err);

    pf_fb_builder_init(&b, scratch);
    if (rc == 0) {
        rc = scheduler_put_amounts(&b, &amounts, res, &args.resources.n, err);
    }
    if (rc < 0) {
        return rc;
    }
    args.resources.at = res;
    args.executor_id =
        ExecutorID__put(&b, &(struct ExecutorID__args){.value = pf_str(s->executor_id)});
    args.labels = scheduler_put_labels(&b, scratch, s->labels);
    if (runs) {
        args.type.v = ExecutorInfo_Type_CUSTOM;
        args.command = scheduler_put_command(&b, scratch, &command);
    }
    if (s->shutdown_grace_ms > 0) {
        args.shutdown_grace_period = scheduler_put_duration(&b, s->shutdown_grace_ms);
    }
    *out = ExecutorInfo__finish(&b, ExecutorInfo__put(&b, &args));
    return 0;
}

int scheduler_executor_info(struct pf_arena *scratch, const struct pf_executor_spec *given,
                            struct pf_msg *out, struct pf_err *err)
{
    struct pf_executor_spec s = {0};
    struct pf_msg info;
    int rc;

    if (!given || given->size < offsetof(struct pf_executor_spec, name)) {
        return pf_err_set(err, PF_EINVAL, "executor: %s",
                          given ? "size is not set (use "
                                  "PF_EXECUTOR_SPEC_INIT)"
                                : "missing");
    }
    memcpy(&s, given, given->size < sizeof s ? given->size : sizeof s);
    rc = executor_from_spec(scratch, &s, &info, err);
    if (rc == 0) {
        rc = scheduler_merge(scratch, &ExecutorInfo__desc, s.merge_json, &info, err);
    }
    if (rc < 0) {
        pf_err_wrap(err, "executor %s", s.executor_id ? s.executor_id : "(without id)");
        return rc;
    }
    *out = info;
    return 0;
}

/* --- demands ---------------------------------------------------------------------------------- */

static int put_constraints(struct pf_fb_builder *b, const struct pf_demand *d, struct pf_ref *out,
                           struct pf_err *err)
{
    for (size_t i = 0; i < d->n_constraints; i++) {
        const struct pf_constraint *c = &d->constraints[i];

        if (!c->attribute || !c->attribute[0] || (unsigned)c->op > PF_CONSTRAINT_GLOB) {
            return pf_err_set(err, PF_EINVAL, "a constraint without attribute or operator");
        }
        out[i] = Constraint__put(b, &(struct Constraint__args){.attribute = pf_str(c->attribute),
                                                               .op = (enum ConstraintOperator)c->op,
                                                               .value = pf_str(c->value)});
    }
    return 0;
}

static int put_demand(struct pf_fb_builder *b, const struct pf_demand *given, struct pf_ref *out,
                      struct pf_err *err)
{
    struct pf_demand d = {0};
    struct pf_ref res[RESOURCES_MAX], constraint[PF_CONSTRAINTS_MAX], range;
    struct scheduler_amounts amounts;
    uint32_t n_res = 0;
    int rc;

    memcpy(&d, given, given->size < sizeof d ? given->size : sizeof d);
    amounts = (struct scheduler_amounts){d.cpus_milli, d.mem_bytes, d.disk_bytes, d.gpus_milli};
    if (!d.id || pf_id_problem(pf_str(d.id))) {
        return pf_err_set(err, PF_EINVAL, "id: %s", d.id ? pf_id_problem(pf_str(d.id)) : "missing");
    }
    if (d.count > PF_DEMAND_COUNT_MAX || d.n_constraints > PF_CONSTRAINTS_MAX) {
        return pf_err_set(err, PF_ELIMIT, "too many instances or constraints");
    }
    rc = scheduler_put_amounts(b, &amounts, res, &n_res, err);
    if (rc == 0) {
        rc = put_constraints(b, &d, constraint, err);
    }
    if (rc < 0) {
        return rc;
    }
    if (d.n_ports > 0) { /* any numbers will do: their count is what matters */
        range = put_range(b, 1, d.n_ports);
        res[n_res++] = put_ranges(b, &range, 1);
    }
    if (n_res == 0) {
        return pf_err_set(err, PF_EINVAL, "it wants no resources");
    }
    *out = Demand__put(
        b, &(struct Demand__args){.id = pf_str(d.id),
                                  .count = d.count,
                                  .resources = {res, n_res},
                                  .constraints = {constraint, (uint32_t)d.n_constraints},
                                  .id_prefix = pf_str(d.id_prefix),
                                  .name = pf_str(d.name),
                                  .command = pf_str(d.command),
                                  .role = pf_str(d.role)});
    return 0;
}

int scheduler_demand_msg(struct pf_arena *scratch, const struct pf_demand *given, size_t n,
                         struct pf_msg *out, struct pf_err *err)
{
    struct pf_fb_builder b;
    struct pf_ref ref[PF_DEMANDS_MAX];
    size_t stride = n > 0 ? given[0].size : 0;

    if (n > PF_DEMANDS_MAX) {
        return pf_err_set(err, PF_ELIMIT, "more than %u demands", PF_DEMANDS_MAX);
    }
    if (n > 0 && stride < offsetof(struct pf_demand, count)) {
        return pf_err_set(err, PF_EINVAL, "demand: size is not set (use PF_DEMAND_INIT)");
    }
    pf_fb_builder_init(&b, scratch);
    for (size_t i = 0; i < n; i++) {
        const struct pf_demand *one = (const void *)((const char *)given + i * stride);
        int rc = one->size == stride
                     ? put_demand(&b, one, &ref[i], err)
                     : pf_err_set(err, PF_EINVAL, "size differs from the first one's");

        if (rc < 0) {
            pf_err_wrap(err, "demand %zu", i);
            return rc;
        }
    }
    *out = Scheduler_Call_Demand__finish(
        &b, Scheduler_Call_Demand__put(
                &b, &(struct Scheduler_Call_Demand__args){.demands = {ref, (uint32_t)n}}));
    return 0;
}
