/* SPDX-License-Identifier: Apache-2.0 */
/* From the small structures of the public header to messages. */
#include <string.h>
#include "common/base/alloc.h"
#include "common/base/id.h"
#include "common/base/resources.h"
#include "common/fb/json.h"
#include "framework/lib/scheduler_internal.h"

enum { RESOURCES_MAX = 5, NS_PER_MS = 1000000 };

/* Amounts as they come from outside. */
struct amounts {
    int64_t cpus_milli, mem_bytes, disk_bytes, gpus_milli;
};

/* Thousandths of 2^20 bytes, rounded up. */
static int64_t milli_of_bytes(int64_t bytes)
{
    int64_t mb = bytes >> 20, rest = bytes & ((1 << 20) - 1);

    return mb * 1000 + (rest * 1000 + (1 << 20) - 1) / (1 << 20);
}

static int put_scalar(struct pf_fb_builder *b, const char *name, int64_t milli, struct pf_ref *res,
                      uint32_t *n, struct pf_err *err)
{
    struct Value_Scalar__args scalar = {.value = PF_OPT(pf_milli_to_double(milli))};

    if (milli < 0 || milli > PF_RES_MILLI_MAX) {
        return pf_err_set(err, PF_EINVAL, "%s: out of range", name);
    }
    if (milli > 0) {
        res[(*n)++] = Resource__put(b, &(struct Resource__args){
            .name = pf_str(name), .type = {true, Value_Type_SCALAR},
            .scalar = Value_Scalar__put(b, &scalar)});
    }
    return 0;
}

static int put_amounts(struct pf_fb_builder *b, const struct amounts *a, struct pf_ref *res,
                       uint32_t *n, struct pf_err *err)
{
    int rc;

    if (a->mem_bytes < 0 || a->disk_bytes < 0) {
        return pf_err_set(err, PF_EINVAL, "%s: out of range", a->mem_bytes < 0 ? "mem" : "disk");
    }
    rc = put_scalar(b, "cpus", a->cpus_milli, res, n, err);
    if (rc == 0) {
        rc = put_scalar(b, "mem", milli_of_bytes(a->mem_bytes), res, n, err);
    }
    if (rc == 0) {
        rc = put_scalar(b, "disk", milli_of_bytes(a->disk_bytes), res, n, err);
    }
    if (rc == 0) {
        rc = put_scalar(b, "gpus", a->gpus_milli, res, n, err);
    }
    return rc;
}

static struct pf_ref put_ranges(struct pf_fb_builder *b, const struct pf_ref *range, uint32_t n)
{
    struct pf_ref ranges =
        Value_Ranges__put(b, &(struct Value_Ranges__args){.range = {range, n}});

    return Resource__put(b, &(struct Resource__args){
        .name = PF_STR("ports"), .type = {true, Value_Type_RANGES}, .ranges = ranges});
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

int scheduler_check_pairs(const char *const *pairs, const char *what, struct pf_err *err)
{
    for (; pairs && *pairs; pairs++) {
        if (!strchr(*pairs, '=') || **pairs == '=') {
            return pf_err_set(err, PF_EINVAL, "%s: '%s' is not NAME=VALUE", what, *pairs);
        }
    }
    return 0;
}

static uint32_t list_len(const char *const *list)
{
    uint32_t n = 0;

    while (list && list[n]) {
        n++;
    }
    return n;
}

static struct pf_str pair_name(const char *pair)
{
    return (struct pf_str){pair, (uint32_t)strcspn(pair, "=")};
}

static struct pf_ref put_env(struct pf_fb_builder *b, struct pf_arena *scratch,
                             const char *const *env)
{
    uint32_t n = list_len(env);
    struct pf_ref *var = pf_arena_alloc(scratch, (n + 1) * sizeof *var);

    if (n == 0) {
        return (struct pf_ref){0};
    }
    for (uint32_t i = 0; i < n; i++) {
        struct pf_str name = pair_name(env[i]);

        var[i] = Environment_Variable__put(b, &(struct Environment_Variable__args){
            .name = name, .value = pf_str(env[i] + name.len + 1)});
    }
    return Environment__put(b, &(struct Environment__args){.variables = {var, n}});
}

static struct pf_ref put_labels(struct pf_fb_builder *b, struct pf_arena *scratch,
                                const char *const *labels)
{
    uint32_t n = list_len(labels);
    struct pf_ref *label = pf_arena_alloc(scratch, (n + 1) * sizeof *label);

    if (n == 0) {
        return (struct pf_ref){0};
    }
    for (uint32_t i = 0; i < n; i++) {
        struct pf_str key = pair_name(labels[i]);

        label[i] = Label__put(b, &(struct Label__args){
            .key = key, .value = pf_str(labels[i] + key.len + 1)});
    }
    return Labels__put(b, &(struct Labels__args){.labels = {label, n}});
}

static struct pf_ref put_duration(struct pf_fb_builder *b, int64_t ms)
{
    return DurationInfo__put(
        b, &(struct DurationInfo__args){.nanoseconds = PF_OPT(ms * NS_PER_MS)});
}

static struct pf_ref put_command(struct pf_fb_builder *b, struct pf_arena *scratch,
                                 const struct pf_task_spec *s)
{
    uint32_t n = list_len(s->argv);
    struct pf_str *arg = pf_arena_alloc(scratch, (n + 1) * sizeof *arg);
    struct CommandInfo__args args = {
        .shell = PF_OPT(s->command != NULL),
        .value = s->command ? pf_str(s->command) : pf_str(n > 0 ? s->argv[0] : NULL),
        .user = pf_str(s->user),
        .cwd = pf_str(s->cwd),
        .keep_stdin = s->keeps_stdin,
        .environment = put_env(b, scratch, s->env),
    };

    for (uint32_t i = 0; i < n; i++) {
        arg[i] = pf_str(s->argv[i]);
    }
    args.arguments = (struct pf_strs){arg, n};
    if (s->script) {
        args.script = (struct pf_bytes){s->script, (uint32_t)s->script_bytes};
    }
    return CommandInfo__put(b, &args);
}

static int spec_check(const struct pf_task_spec *s, struct pf_err *err)
{
    bool has_argv = s->argv && s->argv[0];
    int n_ways = (s->command ? 1 : 0) + (has_argv && !s->script ? 1 : 0) + (s->script ? 1 : 0);

    if (!s->task_id || pf_id_problem(pf_str(s->task_id))) {
        return pf_err_set(err, PF_EINVAL, "task_id: %s",
                          s->task_id ? pf_id_problem(pf_str(s->task_id)) : "missing");
    }
    if (s->json) {
        return 0;
    }
    if (n_ways != 1) {
        return pf_err_set(err, PF_EINVAL, "one of command, argv and script (with its argv) must "
                                          "say what to run");
    }
    if (s->script_bytes > PF_SCRIPT_MAX_BYTES) {
        return pf_err_set(err, PF_ELIMIT, "script: over %u bytes", PF_SCRIPT_MAX_BYTES);
    }
    if (s->kill_grace_ms < 0 || s->max_run_ms < 0 || s->kill_grace_ms > PF_RES_MILLI_MAX ||
        s->max_run_ms > PF_RES_MILLI_MAX) {
        return pf_err_set(err, PF_EINVAL, "a negative or far too long time");
    }
    if (scheduler_check_pairs(s->env, "env", err) < 0 ||
        scheduler_check_pairs(s->labels, "labels", err) < 0) {
        return PF_EINVAL;
    }
    return 0;
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
    if (!pf_str_is(TaskID_value(TaskInfo_task_id(TaskInfo__root(*out))), s->task_id)) {
        return pf_err_set(err, PF_EINVAL, "json: its task_id is another one");
    }
    return 0;
}

static int task_from_spec(struct pf_arena *scratch, const struct pf_task_spec *s,
                          struct pf_str agent_id, struct scheduler_ports *ports,
                          struct pf_msg *out, struct pf_err *err)
{
    struct amounts amounts = {s->cpus_milli, s->mem_bytes, s->disk_bytes, s->gpus_milli};
    struct pf_fb_builder b;
    struct pf_ref res[RESOURCES_MAX];
    struct TaskInfo__args args = {.name = pf_str(s->name ? s->name : s->task_id)};
    uint32_t n_res = 0;
    int rc;

    pf_fb_builder_init(&b, scratch);
    rc = put_amounts(&b, &amounts, res, &n_res, err);
    if (rc == 0 && s->n_ports > 0) {
        rc = put_ports(&b, scratch, s->n_ports, ports, &res[n_res], err);
        n_res++;
    }
    if (rc < 0) {
        return rc;
    }
    args.resources = (struct pf_refs){res, n_res};
    args.task_id = TaskID__put(&b, &(struct TaskID__args){.value = pf_str(s->task_id)});
    args.agent_id = AgentID__put(&b, &(struct AgentID__args){.value = agent_id});
    args.command = put_command(&b, scratch, s);
    args.labels = put_labels(&b, scratch, s->labels);
    if (s->kill_grace_ms > 0) {
        args.kill_policy = KillPolicy__put(&b, &(struct KillPolicy__args){
            .grace_period = put_duration(&b, s->kill_grace_ms)});
    }
    if (s->max_run_ms > 0) {
        args.max_completion_time = put_duration(&b, s->max_run_ms);
    }
    *out = TaskInfo__finish(&b, TaskInfo__put(&b, &args));
    return 0;
}

int scheduler_task_info(struct pf_arena *scratch, const struct pf_task_spec *given,
                        struct pf_str agent_id, struct scheduler_ports *ports, struct pf_msg *out,
                        struct pf_err *err)
{
    struct pf_task_spec s = {0};
    int rc;

    if (given->size < offsetof(struct pf_task_spec, name)) {
        return pf_err_set(err, PF_EINVAL, "task: size is not set (use PF_TASK_SPEC_INIT)");
    }
    memcpy(&s, given, given->size < sizeof s ? given->size : sizeof s);
    rc = spec_check(&s, err);
    if (rc == 0) {
        rc = s.json ? task_from_json(scratch, &s, out, err)
                    : task_from_spec(scratch, &s, agent_id, ports, out, err);
    }
    if (rc < 0) {
        pf_err_wrap(err, "task %s", s.task_id ? s.task_id : "(without id)");
    }
    return rc;
}

static int put_constraints(struct pf_fb_builder *b, const struct pf_demand *d, struct pf_ref *out,
                           struct pf_err *err)
{
    for (size_t i = 0; i < d->n_constraints; i++) {
        const struct pf_constraint *c = &d->constraints[i];

        if (!c->attribute || !c->attribute[0] || (unsigned)c->op > PF_CONSTRAINT_GLOB) {
            return pf_err_set(err, PF_EINVAL, "a constraint without attribute or operator");
        }
        out[i] = Constraint__put(b, &(struct Constraint__args){
            .attribute = pf_str(c->attribute), .op = (enum ConstraintOperator)c->op,
            .value = pf_str(c->value)});
    }
    return 0;
}

static int put_demand(struct pf_fb_builder *b, const struct pf_demand *given, struct pf_ref *out,
                      struct pf_err *err)
{
    struct pf_demand d = {0};
    struct pf_ref res[RESOURCES_MAX], constraint[PF_CONSTRAINTS_MAX], range;
    struct amounts amounts;
    uint32_t n_res = 0;
    int rc;

    memcpy(&d, given, given->size < sizeof d ? given->size : sizeof d);
    amounts = (struct amounts){d.cpus_milli, d.mem_bytes, d.disk_bytes, d.gpus_milli};
    if (!d.id || pf_id_problem(pf_str(d.id))) {
        return pf_err_set(err, PF_EINVAL, "id: %s", d.id ? pf_id_problem(pf_str(d.id)) : "missing");
    }
    if (d.count > PF_DEMAND_COUNT_MAX || d.n_constraints > PF_CONSTRAINTS_MAX) {
        return pf_err_set(err, PF_ELIMIT, "too many instances or constraints");
    }
    rc = put_amounts(b, &amounts, res, &n_res, err);
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
    *out = Demand__put(b, &(struct Demand__args){
        .id = pf_str(d.id), .count = d.count, .resources = {res, n_res},
        .constraints = {constraint, (uint32_t)d.n_constraints}, .id_prefix = pf_str(d.id_prefix),
        .name = pf_str(d.name), .command = pf_str(d.command), .role = pf_str(d.role)});
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
