/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent does not accept, although the master sent it, and how it says so. */
#include "agent/core/calls_internal.h"
#include "agent/core/checks_internal.h"
#include "agent/core/executors_internal.h"
#include "agent/core/limits_internal.h"

#include "common/base/limits.h"

static const struct refusal *refuse(struct pf_agent *a, enum TaskState state,
                                    enum TaskStatus_Reason reason, struct pf_str text)
{
    struct refusal *r = pf_arena_zalloc(pf_turn_arena(a->turn), sizeof *r);

    *r = (struct refusal){.state = state, .reason = reason, .text = text};
    return r;
}

static const struct refusal *refuse_invalid(struct pf_agent *a, struct pf_str text)
{
    return refuse(a, TaskState_TASK_ERROR, TaskStatus_Reason_REASON_TASK_INVALID, text);
}

static bool has_nul(struct pf_str s)
{
    return s.len > 0 && memchr(s.at, '\0', s.len) != NULL;
}

/* NULL = fine. */
static const char *environment_problem(struct Environment env, size_t *bytes)
{
    for (uint32_t i = 0; i < Environment_variables__len(env); i++) {
        struct Environment_Variable v = Environment_variables__at(env, i);
        struct pf_str name = Environment_Variable_name(v);
        if (Environment_Variable_type(v) == Environment_Variable_Type_SECRET) {
            return "variables of type SECRET are not supported";
        }
        if (name.len == 0 || memchr(name.at, '=', name.len) || has_nul(name) ||
            has_nul(Environment_Variable_value(v))) {
            return "an environment variable has a bad name or value";
        }
        *bytes += (size_t)name.len + Environment_Variable_value(v).len;
    }
    return NULL;
}

static const char *command_problem(struct CommandInfo c)
{
    uint32_t n_args = CommandInfo_arguments__len(c);
    size_t bytes = CommandInfo_value(c).len;
    bool has_script = CommandInfo__has_script(c);

    for (uint32_t i = 0; i < CommandInfo_uris__len(c); i++) {
        struct pf_str value = CommandInfo_URI_value(CommandInfo_uris__at(c, i));
        if (value.len == 0 || has_nul(value)) {
            return "a URI has no usable value";
        }
    }
    if (!has_script && CommandInfo_value(c).len == 0) {
        return "the command has no value";
    }
    if (CommandInfo_script(c).len > PF_SCRIPT_MAX_BYTES) {
        return "the script is too large";
    }
    if (n_args > PF_ARGS_MAX) {
        return "the command has too many arguments";
    }
    for (uint32_t i = 0; i < n_args; i++) {
        if (has_nul(CommandInfo_arguments__at(c, i))) {
            return "an argument contains a NUL byte";
        }
        bytes += CommandInfo_arguments__at(c, i).len;
    }
    if (has_nul(CommandInfo_value(c)) || has_nul(CommandInfo_cwd(c))) {
        return "the command contains a NUL byte";
    }
    const char *problem = environment_problem(CommandInfo_environment(c), &bytes);
    if (!problem && bytes > PF_ENV_MAX_BYTES) {
        return "arguments and environment are too large";
    }
    return problem;
}

static bool has_image(struct ContainerInfo container)
{
    return ContainerInfo__has_docker(container) ||
           ContainerInfo_MesosInfo__has_image(ContainerInfo_mesos(container));
}

static bool is_default(const struct wanted *w)
{
    return ExecutorInfo_type(w->executor) == ExecutorInfo_Type_DEFAULT;
}

/* The live one, or NULL. */
static struct executor *wanted_executor(struct pf_agent *a, const struct wanted *w)
{
    struct pf_str id = ExecutorID_value(ExecutorInfo_executor_id(w->executor));

    return w->executor_info.at ? ag_executor_by_name(a, w->fw_id, id) : NULL;
}

static const char *info_problem(struct AgentLaunchTask task, bool is_hosted)
{
    struct TaskInfo info = AgentLaunchTask_info(task);

    if (AgentLaunchTask_info__bytes(task).len > PF_TASK_INFO_MAX_BYTES) {
        return "the task is too large";
    }
    if (has_nul(AgentLaunchTask_user(task))) {
        return "the user contains a NUL byte";
    }
    if (has_image(TaskInfo_container(info))) {
        return "this agent does not run container images";
    }
    const char *problem = ag_limits_problem(info);

    if (problem) {
        return problem;
    }
    if (is_hosted) {
        return TaskInfo__has_command(info) ? command_problem(TaskInfo_command(info)) : NULL;
    }
    if (!TaskInfo__has_command(info)) {
        return "the task has no command";
    }
    problem = ag_container_problem(TaskInfo_container(info));
    problem = problem ? problem : ag_checks_problem(info);
    return problem ? problem : command_problem(TaskInfo_command(info));
}

static const char *executor_problem(const struct wanted *w)
{
    enum ExecutorInfo_Type type = ExecutorInfo_type(w->executor);

    if (pf_id_problem(ExecutorID_value(ExecutorInfo_executor_id(w->executor)))) {
        return "the executor has no usable id";
    }
    if (w->executor_info.len > PF_TASK_INFO_MAX_BYTES) {
        return "the executor is too large";
    }
    if (ExecutorInfo__has_type(w->executor) && type != ExecutorInfo_Type_CUSTOM &&
        type != ExecutorInfo_Type_DEFAULT) {
        return "the executor's type is unknown";
    }
    if (has_image(ExecutorInfo_container(w->executor))) {
        return "this agent does not run container images";
    }
    if (is_default(w)) {
        return w->is_group ? NULL : "a default executor takes task groups only";
    }
    if (!ExecutorInfo__has_command(w->executor)) {
        return "the executor has no command";
    }
    const char *problem = ag_container_problem(ExecutorInfo_container(w->executor));

    return problem ? problem : command_problem(ExecutorInfo_command(w->executor));
}

/* Of one that runs already, this task's must be the same. */
static const struct refusal *executor_refusal(struct pf_agent *a, const struct wanted *w)
{
    const char *problem = executor_problem(w);
    const struct executor *x = wanted_executor(a, w);

    if (problem) {
        return refuse_invalid(a, pf_str(problem));
    }
    if (!x) {
        return NULL;
    }
    if (x->run.kill_reason != KILL_NONE) {
        return refuse(a, TaskState_TASK_DROPPED, TaskStatus_Reason_REASON_EXECUTOR_TERMINATED,
                      PF_STR("The executor is being ended"));
    }
    if (x->run.info_len != w->executor_info.len ||
        memcmp(x->run.info, w->executor_info.at, x->run.info_len) != 0) {
        return refuse_invalid(a, PF_STR("An executor with this id but another ExecutorInfo runs "
                                        "on the agent"));
    }
    return NULL;
}

static const struct refusal *shortage(struct pf_agent *a, const struct pf_resources *want)
{
    int64_t lacks = 0;
    const char *name = NULL;

    if (a->n_uncounted > 0) {
        return refuse(a, TaskState_TASK_DROPPED, TaskStatus_Reason_REASON_RESOURCES_UNKNOWN,
                      PF_STR("The agent was given less resources than its running tasks hold"));
    }
    if (pf_res_contains(&a->free, want)) {
        return NULL;
    }
    name = pf_res_shortage(&a->free, want, &lacks);
    return refuse(a, TaskState_TASK_DROPPED, TaskStatus_Reason_REASON_RESOURCES_UNKNOWN,
                  pf_arena_printf(pf_turn_arena(a->turn),
                                  "The agent does not have the resources: %s is short",
                                  name ? name : "a range or set"));
}

/* `n` tasks together, and their executor if it does not run yet. */
const struct refusal *ag_resources_refusal(struct pf_agent *a, struct AgentLaunch launch,
                                           uint32_t first, uint32_t n, const struct wanted *w)
{
    struct pf_resources want = {.n_items = 0}, one = {.n_items = 0};
    struct pf_err err = {0};
    const struct refusal *r = NULL;
    int rc = 0;

    if (w->executor_info.at && !wanted_executor(a, w)) {
        rc = ag_resources_of_executor(w->executor, &want, &err);
    }
    for (uint32_t i = first; rc == 0 && i < first + n; i++) {
        rc = ag_resources_of(AgentLaunchTask_info(AgentLaunch_tasks__at(launch, i)), &one, &err);
        pf_res_add(&want, &one);
        pf_res_clear(&one);
    }
    r = rc < 0 ? refuse_invalid(a, pf_arena_strdup(pf_turn_arena(a->turn), pf_str(err.msg)))
               : shortage(a, &want);
    pf_res_fini(&one);
    pf_res_fini(&want);
    return r;
}

/* `twin`: the live task of the same name, or NULL. */
const struct refusal *ag_launch_refusal(struct pf_agent *a, struct AgentLaunchTask task,
                                        const struct wanted *w, const struct task *twin)
{
    struct TaskInfo info = AgentLaunchTask_info(task);
    struct pf_str agent_id = AgentID_value(TaskInfo_agent_id(info));

    if (twin) {
        return refuse(a, TaskState_TASK_DROPPED, TaskStatus_Reason_REASON_TASK_INVALID,
                      PF_STR("A task with this id is alive on the agent"));
    }
    if (agent_id.len > 0 && !pf_str_is(agent_id, a->id)) {
        return refuse(a, TaskState_TASK_DROPPED, TaskStatus_Reason_REASON_AGENT_UNKNOWN,
                      PF_STR("The launch was meant for another agent"));
    }
    const struct refusal *r = w->executor_info.at ? executor_refusal(a, w) : NULL;
    if (r) {
        return r;
    }
    const char *problem = info_problem(task, w->executor_info.at && !is_default(w));
    if (problem) {
        return refuse_invalid(a, pf_str(problem));
    }
    if (ag_orders_are_last(a)) {
        return refuse(a, TaskState_TASK_DROPPED, TaskStatus_Reason_REASON_AGENT_UNKNOWN,
                      PF_STR("The agent leaves the cluster"));
    }
    struct pf_str executor_id = ExecutorID_value(ExecutorInfo_executor_id(w->executor));
    if (w->executor_info.at && AgentLaunchTask_joins_executor(task) &&
        !ag_executor_by_name(a, w->fw_id, executor_id)) {
        return refuse(a, TaskState_TASK_DROPPED, TaskStatus_Reason_REASON_EXECUTOR_TERMINATED,
                      PF_STR("The task's executor has ended"));
    }
    if (a->n_live >= PF_AGENT_TASKS_MAX) {
        return refuse(a, TaskState_TASK_DROPPED, TaskStatus_Reason_REASON_RESOURCES_UNKNOWN,
                      PF_STR("The agent holds as many tasks as it can"));
    }
    if (a->has_free_bytes && a->free_bytes < a->opt.min_free_bytes) {
        return refuse(a, TaskState_TASK_DROPPED, TaskStatus_Reason_REASON_CONTAINER_LIMITATION_DISK,
                      PF_STR("The agent's disk is nearly full (less than --min-free)"));
    }
    return NULL;
}
