/* SPDX-License-Identifier: Apache-2.0 */
/* What descriptions of tasks and of executors have in common: amounts, commands, labels, files to
 * fetch, health checks, and fields given as JSON. */
#include <string.h>
#include "common/base/alloc.h"
#include "common/base/resources.h"
#include "common/fb/json.h"
#include "framework/lib/scheduler_internal.h"

enum { NS_PER_MS = 1000000 };

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
        res[(*n)++] =
            Resource__put(b, &(struct Resource__args){.name = pf_str(name),
                                                      .type = {true, Value_Type_SCALAR},
                                                      .scalar = Value_Scalar__put(b, &scalar)});
    }
    return 0;
}

int scheduler_put_amounts(struct pf_fb_builder *b, const struct scheduler_amounts *a,
                          struct pf_ref *res, uint32_t *n, struct pf_err *err)
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

        var[i] =
            Environment_Variable__put(b, &(struct Environment_Variable__args){
                                             .name = name, .value = pf_str(env[i] + name.len + 1)});
    }
    return Environment__put(b, &(struct Environment__args){.variables = {var, n}});
}

struct pf_ref scheduler_put_labels(struct pf_fb_builder *b, struct pf_arena *scratch,
                                   const char *const *labels)
{
    uint32_t n = list_len(labels);
    struct pf_ref *label = pf_arena_alloc(scratch, (n + 1) * sizeof *label);

    if (n == 0) {
        return (struct pf_ref){0};
    }
    for (uint32_t i = 0; i < n; i++) {
        struct pf_str key = pair_name(labels[i]);

        label[i] = Label__put(
            b, &(struct Label__args){.key = key, .value = pf_str(labels[i] + key.len + 1)});
    }
    return Labels__put(b, &(struct Labels__args){.labels = {label, n}});
}

struct pf_ref scheduler_put_duration(struct pf_fb_builder *b, int64_t ms)
{
    return DurationInfo__put(b,
                             &(struct DurationInfo__args){.nanoseconds = PF_OPT(ms * NS_PER_MS)});
}

static struct pf_refs put_uris(struct pf_fb_builder *b, struct pf_arena *scratch,
                               const struct pf_uri *uri, size_t n)
{
    struct pf_ref *ref = pf_arena_alloc(scratch, (n + 1) * sizeof *ref);

    for (size_t i = 0; i < n; i++) {
        struct CommandInfo_URI__args args = {.value = pf_str(uri[i].value),
                                             .output_file = pf_str(uri[i].output_file)};

        if (uri[i].is_executable) {
            args.executable = (struct pf_opt_bool)PF_OPT(true);
        }
        if (uri[i].is_kept_packed) {
            args.extract = (struct pf_opt_bool)PF_OPT(false);
        }
        if (uri[i].is_cached) {
            args.cache = (struct pf_opt_bool)PF_OPT(true);
        }
        ref[i] = CommandInfo_URI__put(b, &args);
    }
    return (struct pf_refs){ref, (uint32_t)n};
}

int scheduler_check_command(const struct scheduler_command *c, bool *out_runs, struct pf_err *err)
{
    bool has_argv = c->argv && c->argv[0];
    int n_ways = (c->command ? 1 : 0) + (has_argv && !c->script ? 1 : 0) + (c->script ? 1 : 0);

    if (n_ways > 1) {
        return pf_err_set(err, PF_EINVAL,
                          "only one of command, argv and script (with its argv) "
                          "may say what to run");
    }
    if (c->script_bytes > PF_SCRIPT_MAX_BYTES) {
        return pf_err_set(err, PF_ELIMIT, "script: over %u bytes", PF_SCRIPT_MAX_BYTES);
    }
    if (c->n_uris > PF_URIS_MAX) {
        return pf_err_set(err, PF_ELIMIT, "uris: more than %u", PF_URIS_MAX);
    }
    for (size_t i = 0; i < c->n_uris; i++) {
        if (!c->uris[i].value || !c->uris[i].value[0]) {
            return pf_err_set(err, PF_EINVAL, "uris: an empty one");
        }
    }
    if (scheduler_check_pairs(c->env, "env", err) < 0) {
        return PF_EINVAL;
    }
    *out_runs = n_ways == 1;
    return 0;
}

struct pf_ref scheduler_put_command(struct pf_fb_builder *b, struct pf_arena *scratch,
                                    const struct scheduler_command *c)
{
    uint32_t n = list_len(c->argv);
    struct pf_str *arg = pf_arena_alloc(scratch, (n + 1) * sizeof *arg);
    struct CommandInfo__args args = {
        .shell = PF_OPT(c->command != NULL),
        .value = c->command ? pf_str(c->command) : pf_str(n > 0 ? c->argv[0] : NULL),
        .user = pf_str(c->user),
        .cwd = pf_str(c->cwd),
        .keep_stdin = c->keeps_stdin,
        .environment = put_env(b, scratch, c->env),
        .uris = put_uris(b, scratch, c->uris, c->n_uris),
    };

    for (uint32_t i = 0; i < n; i++) {
        arg[i] = pf_str(c->argv[i]);
    }
    args.arguments = (struct pf_strs){arg, n};
    if (c->script) {
        args.script = (struct pf_bytes){c->script, (uint32_t)c->script_bytes};
    }
    return CommandInfo__put(b, &args);
}

/* --- health checks ---------------------------------------------------------------------------- */

/* 0: not said; negative: none. */
static struct pf_opt_f64 seconds(int64_t ms)
{
    struct pf_opt_f64 s = {.has = ms != 0, .v = pf_milli_to_double(ms < 0 ? 0 : ms)};

    return s;
}

static int health_check_test(const struct pf_health_check *h, struct pf_err *err)
{
    int n_ways = (h->command ? 1 : 0) + (h->http_port ? 1 : 0) + (h->tcp_port ? 1 : 0);

    if (n_ways != 1) {
        return pf_err_set(err, PF_EINVAL,
                          "health_check: exactly one of command, http_port and "
                          "tcp_port");
    }
    if (h->interval_ms < 0 || h->timeout_ms < 0 || h->delay_ms > PF_RES_MILLI_MAX ||
        h->interval_ms > PF_RES_MILLI_MAX || h->timeout_ms > PF_RES_MILLI_MAX ||
        h->grace_ms > PF_RES_MILLI_MAX) {
        return pf_err_set(err, PF_EINVAL, "health_check: a negative or far too long time");
    }
    return 0;
}

int scheduler_put_health_check(struct pf_fb_builder *b, struct pf_arena *scratch,
                               const struct pf_health_check *given, struct pf_ref *out,
                               struct pf_err *err)
{
    struct pf_health_check h = {0};
    struct scheduler_command command = {0};
    struct HealthCheck__args args = {.type = {true, HealthCheck_Type_TCP}};

    memcpy(&h, given, given->size < sizeof h ? given->size : sizeof h);
    if (health_check_test(&h, err) < 0) {
        return PF_EINVAL;
    }
    if (h.command) {
        command.command = h.command;
        args.type.v = HealthCheck_Type_COMMAND;
        args.command = scheduler_put_command(b, scratch, &command);
    } else if (h.http_port) {
        args.type.v = HealthCheck_Type_HTTP;
        args.http = HealthCheck_HTTPCheckInfo__put(
            b, &(struct HealthCheck_HTTPCheckInfo__args){.port = PF_OPT(h.http_port),
                                                         .path = pf_str(h.http_path)});
    } else {
        args.tcp = HealthCheck_TCPCheckInfo__put(
            b, &(struct HealthCheck_TCPCheckInfo__args){.port = PF_OPT(h.tcp_port)});
    }
    args.delay_seconds = seconds(h.delay_ms);
    args.interval_seconds = seconds(h.interval_ms);
    args.timeout_seconds = seconds(h.timeout_ms);
    args.grace_period_seconds = seconds(h.grace_ms);
    if (h.max_failures > 0) {
        args.consecutive_failures = (struct pf_opt_u32)PF_OPT(h.max_failures);
    }
    *out = HealthCheck__put(b, &args);
    return 0;
}

/* --- JSON ------------------------------------------------------------------------------------- */

/* The text of an object without its braces; PF_EINVAL if it has none. */
static int object_inside(struct pf_str *text, struct pf_err *err)
{
    static const char blank[] = " \t\r\n";

    while (text->len > 0 && strchr(blank, text->at[0])) {
        text->at++;
        text->len--;
    }
    while (text->len > 0 && strchr(blank, text->at[text->len - 1])) {
        text->len--;
    }
    if (text->len < 2 || text->at[0] != '{' || text->at[text->len - 1] != '}') {
        return pf_err_set(err, PF_EINVAL, "merge_json: not an object");
    }
    text->at++;
    text->len -= 2;
    return 0;
}

/* As one text: of equal keys the last counts. */
int scheduler_merge(struct pf_arena *scratch, const struct pf_fb_table_desc *desc, const char *json,
                    struct pf_msg *message, struct pf_err *err)
{
    struct pf_str inside = pf_str(json);
    struct pf_buf text = {.limit = PF_JSON_OUT_MAX_BYTES};
    struct pf_fb_builder b;
    struct pf_msg given;
    int rc;

    if (!json) {
        return 0;
    }
    rc = object_inside(&inside, err);
    if (rc < 0) {
        return rc;
    }
    rc = pf_json_write(&text, pf_msg_root(*message, desc), desc, PF_JSON_NO_DEFAULTS, err);
    if (rc == 0) {
        text.len--; /* the closing brace */
        pf_buf_printf(&text, "%s%.*s}", strspn(inside.at, " \t\r\n") < inside.len ? "," : "",
                      PF_STR_ARG(inside));
        pf_fb_builder_init(&b, scratch);
        rc =
            pf_json_read(pf_str(pf_buf_cstr(&text)), desc, &b, &given, PF_JSON_REFUSE_UNKNOWN, err);
    }
    pf_buf_fini(&text);
    if (rc < 0) {
        pf_err_wrap(err, "merge_json");
        return rc;
    }
    *message = given;
    return 0;
}
