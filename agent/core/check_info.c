/* SPDX-License-Identifier: Apache-2.0 */
/* What HealthCheck and CheckInfo say: whether they are valid, how often to ask, and whether an
 * answer is a good one. Times and defaults are Mesos's. */
#include "agent/core/checks_internal.h"

#include <math.h>

#include "agent/core/calls_internal.h"
#include "agent/core/limits_internal.h"
#include "common/base/alloc.h"

enum {
    HTTP_OK_FIRST = 200,
    HTTP_OK_LAST = 399,
    PORT_MAX = 65535,
    INTERVAL_MIN_MS = 100, /* asking without a pause would be a load of its own */
    COMMAND_SHOWN = 60,    /* bytes of a command in texts */
};
#define NO_TIMEOUT_MS (INT64_C(24) * 3600 * 1000)
#define SECONDS_MAX   (30.0 * 24 * 3600)

/* What the two kinds have in common. */
struct times {
    double delay, interval, timeout;
};

static const char *times_problem(struct times t)
{
    const double all[] = {t.delay, t.interval, t.timeout};

    for (size_t i = 0; i < PF_ARRAY_LEN(all); i++) {
        if (isnan(all[i]) || all[i] < 0 || all[i] > SECONDS_MAX) {
            return "a check has a time that is not within 0 s and 30 days";
        }
    }
    return NULL;
}

static int64_t ms_of(double seconds)
{
    return (int64_t)(seconds * 1000);
}

static struct times health_times(struct HealthCheck h)
{
    return (struct times){HealthCheck_delay_seconds(h), HealthCheck_interval_seconds(h),
                          HealthCheck_timeout_seconds(h)};
}

static struct times check_times(struct CheckInfo c)
{
    return (struct times){CheckInfo_delay_seconds(c), CheckInfo_interval_seconds(c),
                          CheckInfo_timeout_seconds(c)};
}

static const char *command_problem(struct CommandInfo c)
{
    struct Environment env = CommandInfo_environment(c);

    if (CommandInfo_value(c).len == 0 ||
        memchr(CommandInfo_value(c).at, '\0', CommandInfo_value(c).len)) {
        return "the command of a check has no usable value";
    }
    if (CommandInfo_uris__len(c) > 0 || CommandInfo__has_script(c)) {
        return "the command of a check can have neither URIs nor a script";
    }
    for (uint32_t i = 0; i < CommandInfo_arguments__len(c); i++) {
        struct pf_str arg = CommandInfo_arguments__at(c, i);
        if (arg.len > 0 && memchr(arg.at, '\0', arg.len)) {
            return "an argument of a check contains a NUL byte";
        }
    }
    for (uint32_t i = 0; i < Environment_variables__len(env); i++) {
        struct Environment_Variable v = Environment_variables__at(env, i);
        struct pf_str name = Environment_Variable_name(v), value = Environment_Variable_value(v);
        if (Environment_Variable_type(v) == Environment_Variable_Type_SECRET || name.len == 0 ||
            memchr(name.at, '=', name.len) || memchr(name.at, '\0', name.len) ||
            (value.len > 0 && memchr(value.at, '\0', value.len))) {
            return "an environment variable of a check has a bad name or value";
        }
    }
    return NULL;
}

static const char *port_problem(uint32_t port)
{
    return port == 0 || port > PORT_MAX ? "a check needs a port from 1 to 65535" : NULL;
}

static const char *path_problem(struct pf_str path)
{
    if (path.len == 0) {
        return NULL;
    }
    for (uint32_t i = 0; i < path.len; i++) {
        if ((unsigned char)path.at[i] <= ' ' || path.at[i] == 0x7f) {
            return "the path of a check contains a space or a control character";
        }
    }
    return path.at[0] == '/' ? NULL : "the path of a check has to begin with '/'";
}

static const char *health_problem(struct HealthCheck h)
{
    struct HealthCheck_HTTPCheckInfo http = HealthCheck_http(h);
    struct pf_str scheme = HealthCheck_HTTPCheckInfo_scheme(http);
    const char *problem = times_problem(health_times(h));
    double grace = HealthCheck_grace_period_seconds(h);

    if (problem) {
        return problem;
    }
    if (isnan(grace) || grace < 0 || grace > SECONDS_MAX) {
        return "the grace period of a health check is not within 0 s and 30 days";
    }
    switch (HealthCheck_type(h)) {
    case HealthCheck_Type_COMMAND:
        return HealthCheck__has_command(h) ? command_problem(HealthCheck_command(h))
                                           : "the health check names no command";
    case HealthCheck_Type_HTTP:
        if (scheme.len > 0 && !pf_str_is(scheme, "http") && !pf_str_is(scheme, "https")) {
            return "the scheme of a health check is neither http nor https";
        }
        problem = port_problem(HealthCheck_HTTPCheckInfo_port(http));
        return problem ? problem : path_problem(HealthCheck_HTTPCheckInfo_path(http));
    case HealthCheck_Type_TCP:
        return port_problem(HealthCheck_TCPCheckInfo_port(HealthCheck_tcp(h)));
    case HealthCheck_Type_UNKNOWN: break;
    }
    return "the health check has no type";
}

static const char *check_problem(struct CheckInfo c)
{
    const char *problem = times_problem(check_times(c));

    if (problem) {
        return problem;
    }
    switch (CheckInfo_type(c)) {
    case CheckInfo_Type_COMMAND:
        return CheckInfo__has_command(c)
                   ? command_problem(CheckInfo_Command_command(CheckInfo_command(c)))
                   : "the check names no command";
    case CheckInfo_Type_HTTP:
        problem = port_problem(CheckInfo_Http_port(CheckInfo_http(c)));
        return problem ? problem : path_problem(CheckInfo_Http_path(CheckInfo_http(c)));
    case CheckInfo_Type_TCP: return port_problem(CheckInfo_Tcp_port(CheckInfo_tcp(c)));
    case CheckInfo_Type_UNKNOWN: break;
    }
    return "the check has no type";
}

const char *ag_checks_problem(struct TaskInfo info)
{
    const char *problem = NULL;

    if (TaskInfo__has_health_check(info)) {
        problem = health_problem(TaskInfo_health_check(info));
    }
    if (!problem && TaskInfo__has_check(info)) {
        problem = check_problem(TaskInfo_check(info));
    }
    return problem;
}

static struct pf_refs copy_resources(struct pf_fb_builder *b, struct pf_arena *arena,
                                     struct TaskInfo info)
{
    uint32_t n = TaskInfo_resources__len(info);
    struct pf_ref *refs = pf_arena_alloc(arena, (n + 1) * sizeof *refs);

    for (uint32_t i = 0; i < n; i++) {
        refs[i] = Resource__copy(b, TaskInfo_resources__at(info, i));
    }
    return (struct pf_refs){refs, n};
}

/* The checks, and for a command what its environment is made of. */
static struct pf_msg small_info(struct pf_agent *a, struct TaskInfo info, bool has_command)
{
    struct pf_fb_builder *b = pf_turn_nested_builder(a->turn);
    struct TaskInfo__args args = {
        .health_check = HealthCheck__copy(b, TaskInfo_health_check(info)),
        .check = CheckInfo__copy(b, TaskInfo_check(info)),
    };

    if (has_command) {
        struct CommandInfo c = TaskInfo_command(info);
        args.resources = copy_resources(b, pf_turn_arena(a->turn), info);
        args.command =
            CommandInfo__put(b, &(struct CommandInfo__args){
                                    .environment = Environment__copy(b, CommandInfo_environment(c)),
                                    .cwd = CommandInfo_cwd(c),
                                });
    }
    return TaskInfo__finish(b, TaskInfo__put(b, &args));
}

static void set_times(struct check *k, struct times t)
{
    int64_t interval_ms = ms_of(t.interval), timeout_ms = ms_of(t.timeout);

    k->interval_ms = interval_ms > INTERVAL_MIN_MS ? interval_ms : INTERVAL_MIN_MS;
    k->timeout_ms = timeout_ms > 0 ? timeout_ms : NO_TIMEOUT_MS;
}

struct checks *ag_checks_create(struct task *t)
{
    struct checks *c = PF_NEW(struct checks);

    PF_ASSERT(t->checks == NULL);
    c->task = t;
    c->health.owner = c->check.owner = c;
    c->health.is_health = true;
    c->health.at = c->check.at = AGENT_NEVER;
    t->checks = c;
    return c;
}

void ag_checks_set_info(struct pf_agent *a, struct task *t, struct TaskInfo info)
{
    struct HealthCheck h = TaskInfo_health_check(info);
    struct CheckInfo k = TaskInfo_check(info);
    bool has_any = TaskInfo__has_health_check(info) || TaskInfo__has_check(info);

    if (!has_any || TaskInfo__has_executor(info) || ag_task_is_hosted(t) ||
        ag_run_is_ended(&t->run)) {
        ag_checks_free(a, t); /* nothing to ask any more */
        return;
    }
    struct checks *c = t->checks ? t->checks : ag_checks_create(t);

    c->health.type = TaskInfo__has_health_check(info) ? (uint8_t)HealthCheck_type(h) : CHECK_NONE;
    c->check.type = TaskInfo__has_check(info) ? (uint8_t)CheckInfo_type(k) : CHECK_NONE;
    set_times(&c->health, health_times(h));
    set_times(&c->check, check_times(k));
    c->delay_health_ms = ms_of(HealthCheck_delay_seconds(h));
    c->delay_check_ms = ms_of(CheckInfo_delay_seconds(k));
    c->grace_ms = ms_of(HealthCheck_grace_period_seconds(h));
    c->failures_max = HealthCheck_consecutive_failures(h);
    c->told_healthy = t->healthy;
    struct pf_msg small =
        small_info(a, info, c->health.type == CHECK_COMMAND || c->check.type == CHECK_COMMAND);

    c->info = pf_memdup(small.data, small.len);
    c->info_len = small.len;
}

struct TaskInfo ag_checks_info(const struct checks *c)
{
    return TaskInfo__from_bytes((struct pf_bytes){c->info, c->info_len});
}

struct CommandInfo ag_check_command(const struct check *k)
{
    struct TaskInfo info = ag_checks_info(k->owner);

    return k->is_health ? HealthCheck_command(TaskInfo_health_check(info))
                        : CheckInfo_Command_command(CheckInfo_command(TaskInfo_check(info)));
}

static struct pf_str path_of(const struct check *k)
{
    struct TaskInfo info = ag_checks_info(k->owner);

    return k->is_health
               ? HealthCheck_HTTPCheckInfo_path(HealthCheck_http(TaskInfo_health_check(info)))
               : CheckInfo_Http_path(CheckInfo_http(TaskInfo_check(info)));
}

static uint32_t port_of(const struct check *k)
{
    struct TaskInfo info = ag_checks_info(k->owner);
    struct HealthCheck h = TaskInfo_health_check(info);
    struct CheckInfo c = TaskInfo_check(info);

    if (k->type == CHECK_HTTP) {
        return k->is_health ? HealthCheck_HTTPCheckInfo_port(HealthCheck_http(h))
                            : CheckInfo_Http_port(CheckInfo_http(c));
    }
    return k->is_health ? HealthCheck_TCPCheckInfo_port(HealthCheck_tcp(h))
                        : CheckInfo_Tcp_port(CheckInfo_tcp(c));
}

const struct pf_agent_act_check *ag_check_act(struct pf_agent *a, const struct check *k)
{
    struct pf_arena *arena = pf_turn_arena(a->turn);
    struct pf_agent_act_check *act = pf_arena_zalloc(arena, sizeof *act);
    struct HealthCheck h = TaskInfo_health_check(ag_checks_info(k->owner));
    struct pf_str path = path_of(k);

    act->check = k->uuid;
    act->is_http = k->type == CHECK_HTTP;
    act->port = port_of(k);
    act->path = pf_arena_strdup(arena, path.len > 0 ? path : PF_STR("/"));
    act->timeout_ms = k->timeout_ms;
    if (k->is_health && k->type == CHECK_HTTP) {
        struct HealthCheck_HTTPCheckInfo http = HealthCheck_http(h);
        act->is_tls = pf_str_is(HealthCheck_HTTPCheckInfo_scheme(http), "https");
        act->is_ipv6 = HealthCheck_HTTPCheckInfo_protocol(http) == NetworkInfo_Protocol_IPv6;
    } else if (k->is_health) {
        act->is_ipv6 =
            HealthCheck_TCPCheckInfo_protocol(HealthCheck_tcp(h)) == NetworkInfo_Protocol_IPv6;
    }
    return act;
}

/* "HTTP port 8080 /health", "TCP port 8080", "command `curl ...`" */
static struct pf_str name_of(struct pf_agent *a, const struct check *k)
{
    struct pf_arena *arena = pf_turn_arena(a->turn);

    if (k->type == CHECK_COMMAND) {
        struct pf_str value = CommandInfo_value(ag_check_command(k));
        bool is_cut = value.len > COMMAND_SHOWN;
        value.len = is_cut ? COMMAND_SHOWN : value.len;
        while (is_cut && value.len > 0 && ((unsigned char)value.at[value.len] & 0xc0) == 0x80) {
            value.len--; /* not in the middle of a character */
        }
        return pf_arena_printf(arena, "command `%.*s%s`", PF_STR_ARG(value), is_cut ? "..." : "");
    }
    if (k->type == CHECK_HTTP) {
        struct pf_str path = path_of(k);
        return pf_arena_printf(arena, "HTTP port %u %.*s", (unsigned)port_of(k),
                               PF_STR_ARG(path.len > 0 ? path : PF_STR("/")));
    }
    return pf_arena_printf(arena, "TCP port %u", (unsigned)port_of(k));
}

struct verdict ag_check_judge_exit(struct pf_agent *a, const struct check *k, int32_t wait_status)
{
    struct pf_arena *arena = pf_turn_arena(a->turn);
    int signal = wait_status & 0x7f;
    struct verdict v = {.is_ok = wait_status == 0};

    if (wait_status < 0) {
        v.why = pf_arena_printf(arena, "%s: nobody saw how it ended", name_of(a, k).at);
    } else if (signal != 0) {
        v.why = pf_arena_printf(arena, "%s was ended by signal %s", name_of(a, k).at,
                                ag_signal_text(arena, signal).at);
    } else {
        v.has_value = true;
        v.value = (wait_status >> 8) & 0xff;
        v.why = pf_arena_printf(arena, "%s exited with status %d", name_of(a, k).at, (int)v.value);
    }
    return v;
}

static bool status_is_good(const struct check *k, uint32_t status)
{
    struct HealthCheck_HTTPCheckInfo http =
        HealthCheck_http(TaskInfo_health_check(ag_checks_info(k->owner)));
    uint32_t n = k->is_health ? HealthCheck_HTTPCheckInfo_statuses__len(http) : 0;

    for (uint32_t i = 0; i < n; i++) {
        if (HealthCheck_HTTPCheckInfo_statuses__at(http, i) == status) {
            return true;
        }
    }
    return n == 0 && status >= HTTP_OK_FIRST && status <= HTTP_OK_LAST;
}

struct verdict ag_check_judge_answer(struct pf_agent *a, const struct check *k, bool is_done,
                                     uint32_t status_code, struct pf_str text)
{
    struct pf_arena *arena = pf_turn_arena(a->turn);
    struct verdict v = {.has_value = is_done};

    if (k->type == CHECK_TCP) {
        v.is_ok = is_done;
        v.has_value = true;
        v.value = is_done;
    } else if (is_done) {
        v.is_ok = status_is_good(k, status_code);
        v.value = (int32_t)status_code;
    }
    if (!is_done) {
        v.why = pf_arena_printf(arena, "%s: %.*s", name_of(a, k).at, PF_STR_ARG(text));
    } else if (!v.is_ok) {
        v.why = pf_arena_printf(arena, "%s answered %u", name_of(a, k).at, (unsigned)status_code);
    }
    return v;
}

struct verdict ag_check_judge_late(struct pf_agent *a, const struct check *k)
{
    struct pf_arena *arena = pf_turn_arena(a->turn);
    struct verdict v = {.has_value = k->type == CHECK_TCP};

    v.why = pf_arena_printf(arena, "%s: nothing within %s", name_of(a, k).at,
                            ag_time_text(arena, k->timeout_ms).at);
    return v;
}

struct verdict ag_check_judge_unborn(struct pf_agent *a, const struct check *k, int error,
                                     struct pf_str stage)
{
    struct pf_arena *arena = pf_turn_arena(a->turn);
    struct verdict v = {.is_ok = false};

    v.why = pf_arena_printf(arena, "%s could not be started (%.*s): %s", name_of(a, k).at,
                            PF_STR_ARG(stage), ag_errno_text(arena, error).at);
    return v;
}
