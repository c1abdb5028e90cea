/* SPDX-License-Identifier: Apache-2.0 */
/* The Task that lists show: what does not change is kept as one small buffer per task, made of the
 * TaskInfo of its launch or of what its agent tells; the rest is in struct m_task. */
#include <string.h>
#include "common/base/buf.h"
#include "common/base/limits.h"
#include "master/core/convert.h"
#include "master/core/history.h"
#include "master/core/out.h"
#include "master/core/tasks.h"
#include "master/core/validate.h"

/* The command line as people read it, shortened. */
static struct pf_str shown_command(struct pf_master *m, struct CommandInfo c)
{
    char text[PF_COMMAND_SHOWN_MAX];
    struct pf_buf out = {.limit = sizeof text};
    struct pf_str value = CommandInfo_value(c);
    bool is_shell = CommandInfo_shell(c);
    struct pf_str s;

    if (is_shell || CommandInfo_arguments__len(c) == 0) {
        s = value;
        s.len = s.len < PF_COMMAND_SHOWN_MAX ? s.len : PF_COMMAND_SHOWN_MAX;
        return s;
    }
    for (uint32_t i = 0; i < CommandInfo_arguments__len(c) && !out.failed; i++) {
        struct pf_str arg = CommandInfo_arguments__at(c, i);
        size_t room = sizeof text - out.len;

        if (room <= 1) {
            break;
        }
        if (i > 0) {
            pf_buf_add_byte(&out, ' ');
            room--;
        }
        pf_buf_add(&out, arg.at, arg.len < room ? arg.len : room);
    }
    s = pf_arena_strdup(pf_m_arena(m),
                        (struct pf_str){out.data ? (const char *)out.data : "", (uint32_t)out.len});
    pf_buf_fini(&out);
    return s;
}

/* A shortened text may end inside a UTF-8 character: cut that off. */
static struct pf_str utf8_whole(struct pf_str s)
{
    uint32_t n = s.len, tail = 0;

    while (n > 0 && tail < 3 && ((unsigned char)s.at[n - 1] & 0xc0) == 0x80) {
        n--;
        tail++;
    }
    if (n > 0 && (unsigned char)s.at[n - 1] >= 0xc0) {
        unsigned char lead = (unsigned char)s.at[n - 1];
        uint32_t follows = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;

        if (tail < follows) {
            s.len = n - 1;
        }
    }
    return s;
}

static struct pf_refs limits_put(struct pf_master *m, struct pf_fb_builder *b, uint32_t n,
                                 const struct MapOfValueScalar *limits)
{
    struct pf_ref *refs = pf_arena_alloc(pf_m_arena(m), (n + 1) * sizeof *refs);

    for (uint32_t i = 0; i < n; i++) {
        refs[i] = MapOfValueScalar__copy(b, limits[i]);
    }
    return (struct pf_refs){refs, n};
}

/* What the launch says beyond the task itself. */
static void put_launch(struct pf_master *m, struct pf_fb_builder *b, const struct m_launch *l,
                       struct TaskInfo info, struct Task__args *args)
{
    struct ExecutorInfo x = ExecutorInfo__from_bytes(l->executor);
    struct MapOfValueScalar limits[2] = {{{NULL}}};
    uint32_t n = TaskInfo_limits__len(info);

    for (uint32_t i = 0; i < n && i < PF_ARRAY_LEN(limits); i++) {
        limits[i] = TaskInfo_limits__at(info, i);
    }
    args->limits = limits_put(m, b, n < PF_ARRAY_LEN(limits) ? n : PF_ARRAY_LEN(limits), limits);
    if (x.tab.p) {
        args->executor_id = ExecutorID__copy(b, ExecutorInfo_executor_id(x));
    }
    if (l->is_group) {
        args->group_uuid = (struct pf_bytes){l->group.b, sizeof l->group.b};
    }
}

struct pf_bytes pf_m_summary_of_launch(struct pf_master *m, const struct m_launch *l,
                                       struct TaskInfo info)
{
    struct pf_fb_builder *b = pf_m_builder(m);
    struct ExecutorInfo x = ExecutorInfo__from_bytes(l->executor);
    struct CommandInfo command =
        TaskInfo__has_command(info) ? TaskInfo_command(info) : ExecutorInfo_command(x);
    struct pf_str user = CommandInfo_user(command);
    struct Task__args args = {.name = TaskInfo_name(info),
                              .user = user.len > 0 ? user : pf_str(l->f->user),
                              .command = utf8_whole(shown_command(m, command))};

    put_launch(m, b, l, info, &args);
    if (TaskInfo__has_labels(info)) {
        args.labels = Labels__copy(b, TaskInfo_labels(info));
    }
    if (TaskInfo__has_discovery(info)) {
        args.discovery = DiscoveryInfo__copy(b, TaskInfo_discovery(info));
    }
    if (TaskInfo__has_container(info)) {
        args.container = ContainerInfo__copy(b, TaskInfo_container(info));
    }
    if (TaskInfo__has_health_check(info)) {
        args.health_check = HealthCheck__copy(b, TaskInfo_health_check(info));
    }
    if (TaskInfo__has_partition_policy(info)) {
        args.partition_policy = PartitionPolicy__copy(b, TaskInfo_partition_policy(info));
    }
    if (TaskInfo__has_kill_policy(info)) {
        args.kill_policy = KillPolicy__copy(b, TaskInfo_kill_policy(info));
    }
    return pf_msg_bytes(Task__finish(b, Task__put(b, &args)));
}

/* The parts of `x` that a summary holds. */
static void copy_summary(struct pf_master *m, struct pf_fb_builder *b, struct Task x,
                         struct Task__args *args)
{
    struct MapOfValueScalar limits[2] = {{{NULL}}};
    uint32_t n = Task_limits__len(x);

    for (uint32_t i = 0; i < n && i < PF_ARRAY_LEN(limits); i++) {
        limits[i] = Task_limits__at(x, i);
    }
    if (n > 0) {
        args->limits =
            limits_put(m, b, n < PF_ARRAY_LEN(limits) ? n : PF_ARRAY_LEN(limits), limits);
    }
    args->group_uuid = Task_group_uuid(x);
    if (Task__has_executor_id(x)) {
        args->executor_id = ExecutorID__copy(b, Task_executor_id(x));
    }
    args->name = Task_name(x);
    args->user = Task_user(x);
    args->command = Task_command(x);
    args->sandbox = Task_sandbox(x);
    args->grace_ms = Task_grace_ms(x);
    if (Task__has_labels(x)) {
        args->labels = Labels__copy(b, Task_labels(x));
    }
    if (Task__has_discovery(x)) {
        args->discovery = DiscoveryInfo__copy(b, Task_discovery(x));
    }
    if (Task__has_container(x)) {
        args->container = ContainerInfo__copy(b, Task_container(x));
    }
    if (Task__has_health_check(x)) {
        args->health_check = HealthCheck__copy(b, Task_health_check(x));
    }
    if (Task__has_partition_policy(x)) {
        args->partition_policy = PartitionPolicy__copy(b, Task_partition_policy(x));
    }
    if (Task__has_kill_policy(x)) {
        args->kill_policy = KillPolicy__copy(b, Task_kill_policy(x));
    }
}

struct pf_bytes pf_m_summary_of_task(struct pf_master *m, struct Task x)
{
    struct pf_fb_builder *b = pf_m_builder(m);
    struct Task__args args = {0};

    copy_summary(m, b, x, &args);
    args.command.len =
        args.command.len < PF_COMMAND_SHOWN_MAX ? args.command.len : PF_COMMAND_SHOWN_MAX;
    args.command = utf8_whole(args.command);
    return pf_msg_bytes(Task__finish(b, Task__put(b, &args)));
}

struct pf_ref pf_m_task_put(struct pf_master *m, struct pf_fb_builder *b, const struct m_task *t)
{
    struct TaskStatus last = TaskStatus__from_bytes(m_blob_bytes(&t->status));
    struct Task__args args = {
        .state = PF_OPT(t->state),
        .status_update_state = PF_OPT(t->update_state),
        .role = pf_str(t->framework->role),
        .created_ms = t->created_ms,
        .started_ms = t->started_ms,
        .finished_ms = t->finished_ms,
        .launch_uuid = {t->launch.b, sizeof t->launch.b},
        .agent_address = pf_str(t->agent->address),
        .kill_deadline_ms = t->is_ended ? 0 : t->kill_deadline_ms,
    };

    copy_summary(m, b, Task__from_bytes(m_blob_bytes(&t->summary)), &args);
    if (t->is_pending) {
        args.status_update_uuid = TaskStatus_uuid(last);
    }
    if (t->memory_peak_bytes > 0) {
        args.memory_peak_bytes = (struct pf_opt_u64)PF_OPT(t->memory_peak_bytes);
    }
    if (t->has_exit_status) {
        args.exit_status = (struct pf_opt_i32)PF_OPT(t->exit_status);
    }
    if (t->has_signal) {
        args.signal = (struct pf_opt_i32)PF_OPT(t->signal);
    }
    args.resources = pf_m_resources_put(b, pf_m_arena(m), &t->resources,
                                        t->framework->is_multi_role ? pf_str(t->framework->role)
                                                                    : (struct pf_str){NULL, 0});
    args.task_id = TaskID__put(b, &(struct TaskID__args){.value = m_task_id(t)});
    args.framework_id =
        FrameworkID__put(b, &(struct FrameworkID__args){.value = pf_str(t->framework->id)});
    args.agent_id = AgentID__put(b, &(struct AgentID__args){.value = pf_str(t->agent->id)});
    args.statuses = pf_m_history_put(m, b, t, &args);
    return Task__put(b, &args);
}
