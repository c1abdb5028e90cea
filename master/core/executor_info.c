/* SPDX-License-Identifier: Apache-2.0 */
/* ExecutorInfos as the master keeps them, and TaskInfos that carry one. */
#include "master/core/executors.h"
#include "master/core/out.h"

static struct pf_ref *refs_for(struct pf_master *m, uint32_t n)
{
    return pf_arena_alloc(pf_m_arena(m), (n + 1) * sizeof(struct pf_ref));
}

struct pf_bytes pf_m_executor_info(struct pf_master *m, const struct m_framework *f,
                                   struct pf_bytes bytes)
{
    struct ExecutorInfo x = ExecutorInfo__from_bytes(bytes);
    struct pf_fb_builder *b = pf_m_builder(m);
    uint32_t n = ExecutorInfo_resources__len(x);
    struct pf_ref *resources = refs_for(m, n);
    struct ExecutorInfo__args args = {.name = ExecutorInfo_name(x),
                                      .source = ExecutorInfo_source(x),
                                      .resources = {resources, n},
                                      .data = ExecutorInfo_data(x)};

    for (uint32_t i = 0; i < n; i++) {
        resources[i] = Resource__copy(b, ExecutorInfo_resources__at(x, i));
    }
    if (ExecutorInfo__has_type(x)) {
        args.type = (struct ExecutorInfo_Type__opt)PF_OPT(ExecutorInfo_type(x));
    }
    if (ExecutorInfo__has_executor_id(x)) {
        args.executor_id = ExecutorID__copy(b, ExecutorInfo_executor_id(x));
    }
    args.framework_id =
        ExecutorInfo__has_framework_id(x)
            ? FrameworkID__copy(b, ExecutorInfo_framework_id(x))
            : FrameworkID__put(b, &(struct FrameworkID__args){.value = pf_str(f->id)});
    if (ExecutorInfo__has_command(x)) {
        args.command = CommandInfo__copy(b, ExecutorInfo_command(x));
    }
    if (ExecutorInfo__has_container(x)) {
        args.container = ContainerInfo__copy(b, ExecutorInfo_container(x));
    }
    if (ExecutorInfo__has_discovery(x)) {
        args.discovery = DiscoveryInfo__copy(b, ExecutorInfo_discovery(x));
    }
    if (ExecutorInfo__has_shutdown_grace_period(x)) {
        args.shutdown_grace_period = DurationInfo__copy(b, ExecutorInfo_shutdown_grace_period(x));
    }
    if (ExecutorInfo__has_labels(x)) {
        args.labels = Labels__copy(b, ExecutorInfo_labels(x));
    }
    return pf_msg_bytes(ExecutorInfo__finish(b, ExecutorInfo__put(b, &args)));
}

/* How it is run, checked and ended. */
static void copy_running(struct pf_fb_builder *b, struct TaskInfo info, struct TaskInfo__args *args)
{
    if (TaskInfo__has_command(info)) {
        args->command = CommandInfo__copy(b, TaskInfo_command(info));
    }
    if (TaskInfo__has_container(info)) {
        args->container = ContainerInfo__copy(b, TaskInfo_container(info));
    }
    if (TaskInfo__has_health_check(info)) {
        args->health_check = HealthCheck__copy(b, TaskInfo_health_check(info));
    }
    if (TaskInfo__has_check(info)) {
        args->check = CheckInfo__copy(b, TaskInfo_check(info));
    }
    if (TaskInfo__has_kill_policy(info)) {
        args->kill_policy = KillPolicy__copy(b, TaskInfo_kill_policy(info));
    }
    if (TaskInfo__has_max_completion_time(info)) {
        args->max_completion_time = DurationInfo__copy(b, TaskInfo_max_completion_time(info));
    }
    if (TaskInfo__has_partition_policy(info)) {
        args->partition_policy = PartitionPolicy__copy(b, TaskInfo_partition_policy(info));
    }
}

struct pf_bytes pf_m_task_info_with(struct pf_master *m, struct TaskInfo info,
                                    struct pf_bytes executor)
{
    struct pf_fb_builder *b = pf_m_builder(m);
    uint32_t n = TaskInfo_resources__len(info), n_limits = TaskInfo_limits__len(info);
    struct pf_ref *resources = refs_for(m, n), *limits = refs_for(m, n_limits);
    struct TaskInfo__args args = {.name = TaskInfo_name(info),
                                  .resources = {resources, n},
                                  .executor = executor,
                                  .data = TaskInfo_data(info),
                                  .limits = {limits, n_limits}};

    for (uint32_t i = 0; i < n; i++) {
        resources[i] = Resource__copy(b, TaskInfo_resources__at(info, i));
    }
    for (uint32_t i = 0; i < n_limits; i++) {
        limits[i] = MapOfValueScalar__copy(b, TaskInfo_limits__at(info, i));
    }

    copy_running(b, info, &args);
    if (TaskInfo__has_labels(info)) {
        args.labels = Labels__copy(b, TaskInfo_labels(info));
    }
    if (TaskInfo__has_discovery(info)) {
        args.discovery = DiscoveryInfo__copy(b, TaskInfo_discovery(info));
    }
    if (TaskInfo__has_task_id(info)) {
        args.task_id = TaskID__copy(b, TaskInfo_task_id(info));
    }
    if (TaskInfo__has_agent_id(info)) {
        args.agent_id = AgentID__copy(b, TaskInfo_agent_id(info));
    }
    return pf_msg_bytes(TaskInfo__finish(b, TaskInfo__put(b, &args)));
}
