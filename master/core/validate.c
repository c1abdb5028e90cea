/* SPDX-License-Identifier: Apache-2.0 */
/* See validate.h. The order and the wording follow Mesos where it has the check. */
#include "master/core/validate.h"

#include "common/base/limits.h"
#include "master/core/convert.h"
#include "master/core/tasks.h"

static bool refuse_plain(struct m_refusal *why, const char *text)
{
    (void)pf_err_set(&why->err, PF_EINVAL, "%s", text);
    return false;
}

static bool check_ids(const struct m_framework *f, const struct m_agent *a, struct TaskInfo info,
                      struct m_refusal *why)
{
    struct pf_str id = TaskID_value(TaskInfo_task_id(info));
    struct pf_str agent_id = AgentID_value(TaskInfo_agent_id(info));
    const char *problem = pf_id_problem(id);

    if (problem) {
        (void)pf_err_set(&why->err, PF_EINVAL, "Task id: %s", problem);
        return false;
    }
    if (pf_m_task_get(f, id)) {
        (void)pf_err_set(&why->err, PF_EEXIST, "Task has duplicate ID: %.*s", PF_STR_ARG(id));
        return false;
    }
    if (!pf_str_is(agent_id, a->id)) {
        (void)pf_err_set(&why->err, PF_EINVAL,
                         "Task uses invalid agent %.*s while agent %s is "
                         "expected",
                         PF_STR_ARG(agent_id), a->id);
        return false;
    }
    if (f->tasks.len >= PF_FRAMEWORK_TASKS_MAX) {
        (void)pf_err_set(&why->err, PF_ELIMIT, "The framework has %u tasks, the most it may have",
                         f->tasks.len);
        return false;
    }
    return true;
}

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

static bool check_command(struct TaskInfo info, struct m_refusal *why)
{
    struct CommandInfo c = TaskInfo_command(info);

    if (TaskInfo__has_command(info) == (TaskInfo_executor__bytes(info).len > 0)) {
        return refuse_plain(why, "Task should have at least one (but not both) of CommandInfo or "
                                 "ExecutorInfo present");
    }
    if (!TaskInfo__has_command(info)) {
        return refuse_plain(why, "custom executors are not supported yet");
    }
    if (CommandInfo_value(c).len == 0 && CommandInfo_script(c).len == 0) {
        return refuse_plain(why, "The command has neither a value nor a script");
    }
    if (CommandInfo_arguments__len(c) > PF_ARGS_MAX) {
        return refuse_plain(why, "The command has too many arguments");
    }
    if (CommandInfo_script(c).len > PF_SCRIPT_MAX_BYTES) {
        return refuse_plain(why, "The script is too large");
    }
    if (CommandInfo_uris__len(c) > 0) {
        return refuse_plain(why, "URIs to fetch are not supported yet");
    }
    return check_environment(c, why);
}

static bool check_unsupported(struct TaskInfo info, struct m_refusal *why)
{
    struct ContainerInfo c = TaskInfo_container(info);
    const char *what = NULL;

    if (TaskInfo__has_health_check(info)) {
        what = "health checks";
    } else if (TaskInfo__has_check(info)) {
        what = "checks";
    } else if (TaskInfo_limits__len(info) > 0) {
        what = "resource limits";
    } else if (ContainerInfo__has_docker(c) || ContainerInfo_volumes__len(c) > 0 ||
               ContainerInfo_network_infos__len(c) > 0 || ContainerInfo__has_mesos(c)) {
        what = "containers with images, volumes or networks";
    }
    if (what) {
        (void)pf_err_set(&why->err, PF_EINVAL, "%s are not supported yet", what);
        return false;
    }
    return true;
}

static bool check_resources(const struct m_framework *f, struct TaskInfo info,
                            const struct pf_resources *left, struct pf_resources *out,
                            struct m_refusal *why)
{
    struct pf_buf text = {0};

    if (TaskInfo_resources__len(info) == 0) {
        return refuse_plain(why, "Task uses no resources");
    }
    for (uint32_t i = 0; i < TaskInfo_resources__len(info); i++) {
        struct pf_err err = {0};

        if (pf_m_resource_read(TaskInfo_resources__at(info, i), pf_str(f->role), out, &err) < 0) {
            (void)pf_err_set(&why->err, err.code, "Task uses invalid resources: %s", err.msg);
            return false;
        }
    }
    if (pf_res_is_empty(out)) {
        return refuse_plain(why, "Task uses no resources");
    }
    if (out->scalar_milli[PF_RES_GPUS] % 1000 != 0) {
        return refuse_plain(why, "The 'gpus' resource must be an unsigned integer");
    }
    if (pf_res_contains(left, out)) {
        return true;
    }
    pf_buf_add_cstr(&text, "Task uses more resources ");
    pf_res_format(out, &text);
    pf_buf_add_cstr(&text, " than available ");
    pf_res_format(left, &text);
    (void)pf_err_set(&why->err, PF_ELIMIT, "%s", pf_buf_cstr(&text));
    pf_buf_fini(&text);
    return false;
}

static bool any_user(const struct pf_master *m, const struct m_framework *f,
                     const struct m_agent *a)
{
    return f->is_trusted || m->o.allow_any_user || a->allows_any_user;
}

struct pf_str pf_m_task_user(const struct pf_master *m, const struct m_framework *f,
                             const struct m_agent *a, struct TaskInfo info)
{
    struct pf_str user = CommandInfo_user(TaskInfo_command(info));

    if (!any_user(m, f, a)) {
        return pf_str(a->task_user[0] != '\0' ? a->task_user : m->o.task_user);
    }
    return user.len > 0 ? user : pf_str(f->user);
}

/* What a peer without the key may do on this agent. */
static bool check_access(const struct pf_master *m, const struct m_framework *f,
                         const struct m_agent *a, struct TaskInfo info, struct m_refusal *why)
{
    struct pf_str wanted = CommandInfo_user(TaskInfo_command(info));
    struct pf_str user = pf_m_task_user(m, f, a, info);

    if (any_user(m, f, a)) {
        return true;
    }
    why->reason = TaskStatus_Reason_REASON_TASK_UNAUTHORIZED;
    if (!a->runs_as_root) {
        return refuse_plain(why, "Without the cluster's key tasks run only on agents that run as "
                                 "root");
    }
    if (wanted.len > 0 && !pf_str_eq(wanted, user)) {
        (void)pf_err_set(&why->err, PF_EACCESS,
                         "Without the cluster's key tasks run as %.*s, not as %.*s",
                         PF_STR_ARG(user), PF_STR_ARG(wanted));
        return false;
    }
    return true;
}

bool pf_m_task_validate(struct pf_master *m, const struct m_framework *f, const struct m_agent *a,
                        struct TaskInfo info, const struct pf_resources *left,
                        struct pf_resources *out, struct m_refusal *why)
{
    *why = (struct m_refusal){.reason = TaskStatus_Reason_REASON_TASK_INVALID};
    if (!check_ids(f, a, info, why) || !check_command(info, why) || !check_unsupported(info, why) ||
        !check_resources(f, info, left, out, why)) {
        return false;
    }
    return check_access(m, f, a, info, why);
}
