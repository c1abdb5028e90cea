/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of a TaskInfo or ExecutorInfo that stand for themselves; see validate.h. */
#include <math.h>
#include "common/base/limits.h"
#include "master/core/validate.h"

static bool refuse_plain(struct m_refusal *why, const char *text)
{
    pf_m_refuse(why, text);
    return false;
}

/* --- commands --- */

static bool check_environment(struct CommandInfo c, struct m_refusal *why)
{
    struct Environment env = CommandInfo_environment(c);
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < Environment_variables__len(env); i++) {
        struct Environment_Variable v = Environment_variables__at(env, i);

        if (Environment_Variable_type(v) == Environment_Variable_Type_SECRET ||
            Environment_Variable__has_secret(v)) {
            return refuse_plain(why, "Environment variables of type SECRET are not supported yet");
        }
        if (Environment_Variable_name(v).len == 0 || !Environment_Variable__has_value(v)) {
            return refuse_plain(why, "Environment variable of type VALUE must have a name and a "
                                     "value");
        }
        bytes += Environment_Variable_name(v).len + Environment_Variable_value(v).len + 2;
    }
    if (bytes > PF_ENV_MAX_BYTES) {
        return refuse_plain(why, "The environment is too large");
    }
    return true;
}

bool pf_m_command_validate(struct CommandInfo c, bool may_be_empty, struct m_refusal *why)
{
    if (!may_be_empty && CommandInfo_value(c).len == 0 && CommandInfo_script(c).len == 0) {
        return refuse_plain(why, "The command has neither a value nor a script");
    }
    if (CommandInfo_arguments__len(c) > PF_ARGS_MAX) {
        return refuse_plain(why, "The command has too many arguments");
    }
    if (CommandInfo_script(c).len > PF_SCRIPT_MAX_BYTES) {
        return refuse_plain(why, "The script is too large");
    }
    if (CommandInfo_uris__len(c) > PF_ARGS_MAX) {
        return refuse_plain(why, "The command has too many URIs");
    }
    for (uint32_t i = 0; i < CommandInfo_uris__len(c); i++) {
        if (CommandInfo_URI_value(CommandInfo_uris__at(c, i)).len == 0) {
            return refuse_plain(why, "A URI of the command is empty");
        }
    }
    return check_environment(c, why);
}

bool pf_m_container_validate(struct ContainerInfo c, struct m_refusal *why)
{
    if (ContainerInfo__has_docker(c) || ContainerInfo_volumes__len(c) > 0 ||
        ContainerInfo_network_infos__len(c) > 0 ||
        ContainerInfo_MesosInfo__has_image(ContainerInfo_mesos(c))) {
        return refuse_plain(why, "containers with images, volumes or networks are not supported "
                                 "yet");
    }
    return true;
}

/* --- checks --- */

static bool is_seconds(bool has, double v)
{
    return !has || (v >= 0 && !isinf(v)); /* false for NaN */
}

static bool is_port(uint32_t port)
{
    return port > 0 && port <= UINT16_MAX;
}

static bool check_http_path(struct pf_str path, struct m_refusal *why)
{
    if (path.len > 0 && path.at[0] != '/') {
        return refuse_plain(why, "The path of an HTTP check must start with '/'");
    }
    return true;
}

static bool check_health(struct HealthCheck h, struct m_refusal *why)
{
    struct HealthCheck_HTTPCheckInfo http = HealthCheck_http(h);
    struct pf_str scheme = HealthCheck_HTTPCheckInfo_scheme(http);
    enum HealthCheck_Type type = HealthCheck_type(h);

    if (!HealthCheck__has_type(h)) { /* as Mesos fills it in */
        type = HealthCheck__has_command(h) ? HealthCheck_Type_COMMAND : HealthCheck_Type_HTTP;
    }
    if (!is_seconds(HealthCheck__has_delay_seconds(h), HealthCheck_delay_seconds(h)) ||
        !is_seconds(HealthCheck__has_interval_seconds(h), HealthCheck_interval_seconds(h)) ||
        !is_seconds(HealthCheck__has_timeout_seconds(h), HealthCheck_timeout_seconds(h)) ||
        !is_seconds(HealthCheck__has_grace_period_seconds(h),
                    HealthCheck_grace_period_seconds(h))) {
        return refuse_plain(why, "The times of a health check must be non-negative");
    }
    switch (type) {
    case HealthCheck_Type_COMMAND:
        if (!HealthCheck__has_command(h)) {
            return refuse_plain(why, "Expecting 'command' to be set for COMMAND health check");
        }
        return pf_m_command_validate(HealthCheck_command(h), false, why);
    case HealthCheck_Type_HTTP:
        if (!HealthCheck__has_http(h) || !is_port(HealthCheck_HTTPCheckInfo_port(http))) {
            return refuse_plain(why, "Expecting 'http' with a port to be set for HTTP health "
                                     "check");
        }
        if (scheme.len > 0 && !pf_str_is(scheme, "http") && !pf_str_is(scheme, "https")) {
            return refuse_plain(why, "Unsupported HTTP health check scheme");
        }
        return check_http_path(HealthCheck_HTTPCheckInfo_path(http), why);
    case HealthCheck_Type_TCP:
        if (!HealthCheck__has_tcp(h) ||
            !is_port(HealthCheck_TCPCheckInfo_port(HealthCheck_tcp(h)))) {
            return refuse_plain(why, "Expecting 'tcp' with a port to be set for TCP health check");
        }
        return true;
    case HealthCheck_Type_UNKNOWN: break;
    }
    return refuse_plain(why, "The health check has no valid type");
}

static bool check_check(struct CheckInfo c, struct m_refusal *why)
{
    struct CheckInfo_Command command = CheckInfo_command(c);

    if (!is_seconds(CheckInfo__has_delay_seconds(c), CheckInfo_delay_seconds(c)) ||
        !is_seconds(CheckInfo__has_interval_seconds(c), CheckInfo_interval_seconds(c)) ||
        !is_seconds(CheckInfo__has_timeout_seconds(c), CheckInfo_timeout_seconds(c))) {
        return refuse_plain(why, "The times of a check must be non-negative");
    }
    switch (CheckInfo_type(c)) {
    case CheckInfo_Type_COMMAND:
        if (!CheckInfo__has_command(c)) {
            return refuse_plain(why, "Expecting 'command' to be set for COMMAND check");
        }
        return pf_m_command_validate(CheckInfo_Command_command(command), false, why);
    case CheckInfo_Type_HTTP:
        if (!CheckInfo__has_http(c) || !is_port(CheckInfo_Http_port(CheckInfo_http(c)))) {
            return refuse_plain(why, "Expecting 'http' with a port to be set for HTTP check");
        }
        return check_http_path(CheckInfo_Http_path(CheckInfo_http(c)), why);
    case CheckInfo_Type_TCP:
        if (!CheckInfo__has_tcp(c) || !is_port(CheckInfo_Tcp_port(CheckInfo_tcp(c)))) {
            return refuse_plain(why, "Expecting 'tcp' with a port to be set for TCP check");
        }
        return true;
    case CheckInfo_Type_UNKNOWN: break;
    }
    return refuse_plain(why, "CheckInfo must specify a valid 'type'");
}

bool pf_m_checks_validate(struct TaskInfo info, struct m_refusal *why)
{
    if (TaskInfo__has_health_check(info) && !check_health(TaskInfo_health_check(info), why)) {
        return false;
    }
    return !TaskInfo__has_check(info) || check_check(TaskInfo_check(info), why);
}

/* --- bounds --- */

static bool check_limit(struct MapOfValueScalar x, const struct pf_resources *r,
                        struct m_refusal *why)
{
    struct pf_str name = MapOfValueScalar_key(x);
    double limit = Value_Scalar_value(MapOfValueScalar_value(x));

    if (!pf_str_is(name, "cpus") && !pf_str_is(name, "mem")) {
        return refuse_plain(why, "TaskInfo.limits may only hold cpus and mem");
    }
    if (!(limit >= pf_milli_to_double(pf_res_scalar(r, name)))) { /* true for NaN */
        (void)pf_err_set(&why->err, PF_EINVAL, "The %.*s limit must be at least the %.*s request",
                         PF_STR_ARG(name), PF_STR_ARG(name));
        return false;
    }
    return true;
}

bool pf_m_bounds_validate(struct TaskInfo info, const struct pf_resources *r, struct m_refusal *why)
{
    if (DurationInfo_nanoseconds(TaskInfo_max_completion_time(info)) < 0) {
        return refuse_plain(why, "Task's `max_completion_time` must be non-negative");
    }
    if (DurationInfo_nanoseconds(KillPolicy_grace_period(TaskInfo_kill_policy(info))) < 0) {
        return refuse_plain(why, "Task's 'kill_policy.grace_period' must be non-negative");
    }
    for (uint32_t i = 0; i < TaskInfo_limits__len(info); i++) {
        if (!check_limit(TaskInfo_limits__at(info, i), r, why)) {
            return false;
        }
    }
    return true;
}
