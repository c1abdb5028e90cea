/* SPDX-License-Identifier: Apache-2.0 */
/* What a leader is told of a task when the agent registers: a Task. The part of it that never
 * changes is kept as one small buffer; ids, times and states are added when it is told. */
#include "agent/core/calls_internal.h"

#include "common/base/limits.h"

/* The command line as people know it, cut at PF_COMMAND_SHOWN_MAX. */
static struct pf_str shown_command(struct pf_arena *arena, struct CommandInfo c)
{
    struct pf_buf text = {.limit = 0};
    struct pf_str out;

    if (CommandInfo__has_script(c)) {
        pf_buf_add_cstr(&text, "./script");
        for (uint32_t i = 0; i < CommandInfo_arguments__len(c); i++) {
            pf_buf_add_byte(&text, ' ');
            pf_buf_add_str(&text, CommandInfo_arguments__at(c, i));
        }
    } else if (CommandInfo_shell(c) || CommandInfo_arguments__len(c) == 0) {
        pf_buf_add_str(&text, CommandInfo_value(c));
    } else {
        for (uint32_t i = 0; i < CommandInfo_arguments__len(c); i++) {
            if (text.len > PF_COMMAND_SHOWN_MAX) {
                break;
            }
            pf_buf_add_cstr(&text, i > 0 ? " " : "");
            pf_buf_add_str(&text, CommandInfo_arguments__at(c, i));
        }
    }
    size_t len = text.len;
    if (len > PF_COMMAND_SHOWN_MAX) {
        len = PF_COMMAND_SHOWN_MAX;
        while (len > 0 && (text.data[len] & 0xc0) == 0x80) {
            len--; /* not in the middle of a character */
        }
    }
    out = pf_arena_strdup(arena,
                          (struct pf_str){len > 0 ? (const char *)text.data : "", (uint32_t)len});
    pf_buf_fini(&text);
    return out;
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

static struct pf_refs copy_limits(struct pf_fb_builder *b, struct pf_arena *arena,
                                  struct TaskInfo info)
{
    uint32_t n = TaskInfo_limits__len(info);
    struct pf_ref *refs = pf_arena_alloc(arena, (n + 1) * sizeof *refs);

    for (uint32_t i = 0; i < n; i++) {
        refs[i] = MapOfValueScalar__copy(b, TaskInfo_limits__at(info, i));
    }
    return (struct pf_refs){refs, n};
}

static struct pf_str role_of(struct TaskInfo info)
{
    for (uint32_t i = 0; i < TaskInfo_resources__len(info); i++) {
        struct Resource r = TaskInfo_resources__at(info, i);
        struct pf_str role = Resource_AllocationInfo_role(Resource_allocation_info(r));
        if (role.at != NULL) {
            return role;
        }
    }
    return (struct pf_str){NULL, 0};
}

/* Borrowed from the turn. */
struct pf_msg ag_summary_build(struct pf_agent *a, struct TaskInfo info)
{
    struct pf_arena *arena = pf_turn_arena(a->turn);
    struct pf_fb_builder *b = pf_turn_nested_builder(a->turn);
    struct Task__args args = {
        .name = TaskInfo_name(info),
        .resources = copy_resources(b, arena, info),
        .labels = Labels__copy(b, TaskInfo_labels(info)),
        .discovery = DiscoveryInfo__copy(b, TaskInfo_discovery(info)),
        .container = ContainerInfo__copy(b, TaskInfo_container(info)),
        .health_check = HealthCheck__copy(b, TaskInfo_health_check(info)),
        .kill_policy = KillPolicy__copy(b, TaskInfo_kill_policy(info)),
        .partition_policy = PartitionPolicy__copy(b, TaskInfo_partition_policy(info)),
        .limits = copy_limits(b, arena, info),
        .command = shown_command(arena, TaskInfo_command(info)),
        .role = role_of(info),
    };

    return Task__finish(b, Task__put(b, &args));
}

static enum TaskState latest_state(const struct task *t)
{
    if (ag_task_is_hosted(t) && !ag_run_is_ended(&t->run) && t->told_state >= 0) {
        return (enum TaskState)t->told_state;
    }
    switch ((enum RunState)t->run.sm.state) {
    case RunState_RUNNING: return TaskState_TASK_RUNNING;
    case RunState_KILLING:
        return t->run.fw->wants_killing && ag_kill_is_told((enum kill_reason)t->run.kill_reason)
                   ? TaskState_TASK_KILLING
                   : TaskState_TASK_RUNNING;
    case RunState_ENDED: return (enum TaskState)t->final_state;
    case RunState_NONE:
    case RunState_ACCEPTED:
    case RunState_STARTING: break;
    }
    return TaskState_TASK_STAGING;
}

/* All that was told, the last one whole if it is still there: so the master knows how it ended. */
static struct pf_refs put_statuses(struct pf_agent *a, struct pf_fb_builder *b,
                                   const struct task *t)
{
    const struct update *last = TAILQ_LAST(&t->updates, update_list);
    struct pf_bytes status = {last ? last->status : NULL, last ? last->len : 0};

    return ag_states_put(a, b, t, status);
}

static struct pf_refs copy_summary_resources(struct pf_agent *a, struct pf_fb_builder *b,
                                             struct Task s)
{
    uint32_t n = Task_resources__len(s);
    struct pf_ref *refs = pf_arena_alloc(pf_turn_arena(a->turn), (n + 1) * sizeof *refs);

    for (uint32_t i = 0; i < n; i++) {
        refs[i] = Resource__copy(b, Task_resources__at(s, i));
    }
    return (struct pf_refs){refs, n};
}

static struct pf_refs copy_summary_limits(struct pf_agent *a, struct pf_fb_builder *b,
                                          struct Task s)
{
    uint32_t n = Task_limits__len(s);
    struct pf_ref *refs = pf_arena_alloc(pf_turn_arena(a->turn), (n + 1) * sizeof *refs);

    for (uint32_t i = 0; i < n; i++) {
        refs[i] = MapOfValueScalar__copy(b, Task_limits__at(s, i));
    }
    return (struct pf_refs){refs, n};
}

static void add_states(struct Task__args *args, const struct task *t)
{
    const struct update *head = TAILQ_FIRST(&t->updates);

    args->state = (struct TaskState__opt)PF_OPT(latest_state(t));
    if (head) {
        args->status_update_state = (struct TaskState__opt)PF_OPT((enum TaskState)head->state);
        args->status_update_uuid = (struct pf_bytes){head->uuid.b, sizeof head->uuid.b};
    } else if (t->told_state >= 0) {
        args->status_update_state = (struct TaskState__opt)PF_OPT((enum TaskState)t->told_state);
    }
    if (t->run.memory_peak_bytes > 0) {
        args->memory_peak_bytes = (struct pf_opt_u64)PF_OPT(t->run.memory_peak_bytes);
    }
    if (t->run.has_wait_status && t->run.wait_status >= 0) {
        int32_t signal = t->run.wait_status & 0x7f;
        if (signal != 0) {
            args->signal = (struct pf_opt_i32)PF_OPT(signal);
        } else {
            args->exit_status = (struct pf_opt_i32)PF_OPT((t->run.wait_status >> 8) & 0xff);
        }
    }
}

struct pf_ref ag_summary_put(struct pf_agent *a, struct pf_fb_builder *b, const struct task *t)
{
    struct Task s = ag_task_summary(t);
    struct Task__args args = {
        .name = Task_name(s),
        .task_id = TaskID__put(b, &(struct TaskID__args){.value = ag_run_id(&t->run)}),
        .framework_id =
            FrameworkID__put(b, &(struct FrameworkID__args){.value = ag_run_framework_id(&t->run)}),
        .agent_id = AgentID__put(b, &(struct AgentID__args){.value = pf_str(a->id)}),
        .resources = copy_summary_resources(a, b, s),
        .statuses = put_statuses(a, b, t),
        .labels = Labels__copy(b, Task_labels(s)),
        .discovery = DiscoveryInfo__copy(b, Task_discovery(s)),
        .container = ContainerInfo__copy(b, Task_container(s)),
        .health_check = HealthCheck__copy(b, Task_health_check(s)),
        .kill_policy = KillPolicy__copy(b, Task_kill_policy(s)),
        .partition_policy = PartitionPolicy__copy(b, Task_partition_policy(s)),
        .user = pf_str(t->run.user),
        .limits = copy_summary_limits(a, b, s),
        .command = Task_command(s),
        .role = Task_role(s),
        .created_ms = t->run.accepted_ms,
        .started_ms = t->run.started_ms,
        .finished_ms = t->run.finished_ms,
        .sandbox = ag_run_sandbox(a, ag_task_home(t)),
        .launch_uuid = {t->run.launch.b, sizeof t->run.launch.b},
        .grace_ms = t->grace_ms,
    };

    if (t->executor) {
        struct ExecutorID__args id = {.value = ag_run_id(&t->executor->run)};
        args.executor_id = ExecutorID__put(b, &id);
    }
    if (!pf_uuid_is_nil(t->group)) {
        args.group_uuid = (struct pf_bytes){t->group.b, sizeof t->group.b};
    }
    add_states(&args, t);
    return Task__put(b, &args);
}
