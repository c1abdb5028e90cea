/* SPDX-License-Identifier: Apache-2.0 */
/* What an executor's callbacks get to see of messages. Texts of a message end with a NUL, so they
 * are borrowed as they are. */
#include "common/base/resources.h"
#include "framework/lib/executor_internal.h"

static int64_t bytes_of_milli(int64_t milli_mb)
{
    return milli_mb / 1000 * (1 << 20) + milli_mb % 1000 * (1 << 20) / 1000;
}

static void view_resource(struct pf_task_view *v, struct Resource r)
{
    struct pf_str name = Resource_name(r);
    int64_t milli;

    if (Resource_type(r) != Value_Type_SCALAR ||
        pf_milli_from_double(Value_Scalar_value(Resource_scalar(r)), &milli, NULL) < 0) {
        return;
    }
    if (pf_str_is(name, "cpus")) {
        v->cpus_milli += milli;
    } else if (pf_str_is(name, "mem")) {
        v->mem_bytes += bytes_of_milli(milli);
    } else if (pf_str_is(name, "disk")) {
        v->disk_bytes += bytes_of_milli(milli);
    } else if (pf_str_is(name, "gpus")) {
        v->gpus_milli += milli;
    }
}

static void view_task(struct pf_arena *scratch, struct TaskInfo info, struct pf_task_view *v)
{
    struct Labels labels = TaskInfo_labels(info);
    uint32_t n = Labels_labels__len(labels);
    struct pf_label *label = pf_arena_alloc(scratch, (n + 1) * sizeof *label);
    struct pf_bytes data = TaskInfo_data(info);

    for (uint32_t i = 0; i < n; i++) {
        struct Label one = Labels_labels__at(labels, i);

        label[i] = (struct pf_label){Label_key(one).at, Label_value(one).at};
    }
    *v = (struct pf_task_view){
        .task_id = TaskID_value(TaskInfo_task_id(info)).at,
        .name = TaskInfo_name(info).at,
        .data = data.at,
        .data_bytes = data.len,
        .command = CommandInfo_value(TaskInfo_command(info)).at,
        .labels = label,
        .n_labels = n,
        .impl = info.tab.p,
    };
    for (uint32_t i = 0; i < TaskInfo_resources__len(info); i++) {
        view_resource(v, TaskInfo_resources__at(info, i));
    }
}

struct pf_task_view *executor_task_views(struct pf_arena *scratch,
                                         const struct pf_executor_launch *launch)
{
    struct pf_task_view *view = pf_arena_alloc(scratch, launch->n * sizeof *view);

    for (uint32_t i = 0; i < launch->n; i++) {
        view_task(scratch, launch->task[i], &view[i]);
    }
    return view;
}

void executor_subscription_view(const struct pf_executor *e,
                                const struct pf_executor_subscribed *sub,
                                struct pf_executor_subscription *out)
{
    struct AgentInfo agent = Executor_Event_Subscribed_agent_info(sub->event);
    struct pf_bytes data = ExecutorInfo_data(Executor_Event_Subscribed_executor_info(sub->event));

    *out = (struct pf_executor_subscription){
        .framework_id = e->framework_id,
        .executor_id = e->executor_id,
        .agent_id = AgentID_value(AgentInfo_id(agent)).at,
        .hostname = AgentInfo_hostname(agent).at,
        .data = data.at,
        .data_bytes = data.len,
        .is_again = sub->is_again,
    };
    if (!out->hostname) {
        out->hostname = "";
    }
}
