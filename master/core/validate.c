/* SPDX-License-Identifier: Apache-2.0 */
/* See validate.h. The order and the wording follow Mesos where it has the check. */
#include "master/core/validate.h"

#include "common/base/limits.h"
#include "master/core/convert.h"
#include "master/core/tasks.h"

void pf_m_refuse(struct m_refusal *why, const char *text)
{
    (void)pf_err_set(&why->err, PF_EINVAL, "%s", text);
}

void pf_m_refuse_amount(struct m_refusal *why, const char *what, const struct pf_resources *r,
                        const char *than, const struct pf_resources *left)
{
    struct pf_buf text = {0};

    pf_buf_printf(&text, "%s ", what);
    pf_res_format(r, &text);
    pf_buf_printf(&text, " %s ", than);
    pf_res_format(left, &text);
    (void)pf_err_set(&why->err, PF_ELIMIT, "%s", pf_buf_cstr(&text));
    pf_buf_fini(&text);
}

static bool refuse_plain(struct m_refusal *why, const char *text)
{
    pf_m_refuse(why, text);
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

/* Without an executor of its own a task is a command. In a group it has one when it is not a custom
 * executor that knows what to do. */
static bool check_command(const struct m_launch *l, struct TaskInfo info, struct m_refusal *why)
{
    bool has_command = TaskInfo__has_command(info);
    struct ExecutorInfo x = ExecutorInfo__from_bytes(l->executor);

    if (!l->is_group && has_command == (l->executor.len > 0)) {
        return refuse_plain(why, "Task should have at least one (but not both) of CommandInfo or "
                                 "ExecutorInfo present");
    }
    if (!has_command && (!l->is_group || ExecutorInfo_type(x) == ExecutorInfo_Type_CUSTOM)) {
        return true;
    }
    return pf_m_command_validate(TaskInfo_command(info), false, why);
}

static bool read_resources(const struct m_framework *f, struct TaskInfo info,
                           struct pf_resources *out, struct m_refusal *why)
{
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
    return true;
}

static bool any_user(const struct pf_master *m, const struct m_framework *f,
                     const struct m_agent *a)
{
    return f->is_trusted || m->o.allow_any_user || a->allows_any_user;
}

/* The user that a task, or its executor, names; empty: none. */
static struct pf_str named_user(const struct m_launch *l, struct TaskInfo info)
{
    struct pf_str user = CommandInfo_user(TaskInfo_command(info));
    struct ExecutorInfo x = ExecutorInfo__from_bytes(l->executor);

    return user.len > 0 ? user : CommandInfo_user(ExecutorInfo_command(x));
}

struct pf_str pf_m_task_user(const struct pf_master *m, const struct m_launch *l,
                             struct TaskInfo info)
{
    struct pf_str user = named_user(l, info);

    if (!any_user(m, l->f, l->a)) {
        return pf_str(l->a->task_user[0] != '\0' ? l->a->task_user : m->o.task_user);
    }
    return user.len > 0 ? user : pf_str(l->f->user);
}

/* What a peer without the key may do on this agent. */
static bool check_access(const struct pf_master *m, const struct m_launch *l, struct TaskInfo info,
                         struct m_refusal *why)
{
    struct ExecutorInfo x = ExecutorInfo__from_bytes(l->executor);
    struct pf_str wanted[] = {CommandInfo_user(TaskInfo_command(info)),
                              CommandInfo_user(ExecutorInfo_command(x))};
    struct pf_str user = pf_m_task_user(m, l, info);

    if (any_user(m, l->f, l->a)) {
        return true;
    }
    why->reason = TaskStatus_Reason_REASON_TASK_UNAUTHORIZED;
    if (!l->a->runs_as_root) {
        return refuse_plain(why, "Without the cluster's key tasks run only on agents that run as "
                                 "root");
    }
    for (size_t i = 0; i < PF_ARRAY_LEN(wanted); i++) {
        if (wanted[i].len > 0 && !pf_str_eq(wanted[i], user)) {
            (void)pf_err_set(&why->err, PF_EACCESS,
                             "Without the cluster's key tasks run as %.*s, not as %.*s",
                             PF_STR_ARG(user), PF_STR_ARG(wanted[i]));
            return false;
        }
    }
    return true;
}

bool pf_m_task_validate(struct pf_master *m, const struct m_launch *l, struct TaskInfo info,
                        struct pf_resources *out, struct m_refusal *why)
{
    *why = (struct m_refusal){.reason = TaskStatus_Reason_REASON_TASK_INVALID};
    return check_ids(l->f, l->a, info, why) && check_command(l, info, why) &&
           pf_m_container_validate(TaskInfo_container(info), why) &&
           pf_m_checks_validate(info, why) && read_resources(l->f, info, out, why) &&
           pf_m_bounds_validate(info, out, why) && check_access(m, l, info, why);
}
