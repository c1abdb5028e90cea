/* SPDX-License-Identifier: Apache-2.0 */
/* What executors are told: the events of the executor API. A task is stored as sent before its
 * LAUNCH leaves, so that after a crash the executor's own words tell whether it has it. */
#include "agent/core/calls_internal.h"
#include "agent/core/executors_internal.h"

static void say(struct pf_agent *a, uint64_t peer, struct pf_fb_builder *b,
                const struct Executor_Event__args *event)
{
    ag_send(a, peer, b, Body_Executor_Event, Executor_Event__put(b, event), 0);
}

static struct pf_ref put_task_id(struct pf_fb_builder *b, struct pf_str id)
{
    return TaskID__put(b, &(struct TaskID__args){.value = id});
}

/* The framework's info; one that was never told has its id at least. */
static struct pf_bytes framework_info(struct pf_agent *a, const struct framework *fw)
{
    if (fw->info) {
        return (struct pf_bytes){fw->info, fw->info_len};
    }
    struct pf_fb_builder *b = pf_turn_nested_builder(a->turn);
    struct FrameworkInfo__args args = {
        .user = PF_STR(""),
        .name = PF_STR(""),
        .id = FrameworkID__put(b, &(struct FrameworkID__args){.value = pf_str(fw->id)}),
    };

    return pf_msg_bytes(FrameworkInfo__finish(b, FrameworkInfo__put(b, &args)));
}

void ag_executor_say_subscribed(struct pf_agent *a, const struct executor *x)
{
    char uuid[PF_UUID_TEXT_LEN + 1];
    struct pf_bytes fw = framework_info(a, x->run.fw);
    struct pf_fb_builder *b = pf_turn_builder(a->turn);

    pf_uuid_format(x->run.launch, uuid);
    struct Executor_Event_Subscribed__args args = {
        .executor_info = {x->run.info, x->run.info_len},
        .framework_info = fw,
        .agent_info = ag_put_agent_info(a, b),
        .container_id = ContainerID__put(b, &(struct ContainerID__args){.value = pf_str(uuid)}),
    };

    say(a, x->peer, b,
        &(struct Executor_Event__args){
            .type = PF_OPT(Executor_Event_Type_SUBSCRIBED),
            .subscribed = Executor_Event_Subscribed__put(b, &args),
        });
}

static void mark_sent(struct pf_agent *a, struct task *t)
{
    ag_run_move(a, &t->run, RunState_STARTING, "given to its executor");
    ag_row_put_task(a, t);
}

static void say_launch(struct pf_agent *a, const struct executor *x, struct task *t)
{
    struct pf_fb_builder *b = NULL;
    struct Executor_Event_Launch__args args = {.task = {t->run.info, t->run.info_len}};

    mark_sent(a, t);
    b = pf_turn_builder(a->turn);
    say(a, x->peer, b,
        &(struct Executor_Event__args){
            .type = PF_OPT(Executor_Event_Type_LAUNCH),
            .launch = Executor_Event_Launch__put(b, &args),
        });
}

/* All of `first`'s group, which were accepted together. */
static void say_launch_group(struct pf_agent *a, const struct executor *x, struct task *first)
{
    struct task *t = NULL;
    uint32_t n = 0;
    struct pf_uuid group = first->group;

    for (t = first; t; t = TAILQ_NEXT(t, of_executor)) {
        n += pf_uuid_eq(t->group, group) && t->run.sm.state == RunState_ACCEPTED;
    }
    struct pf_ref *refs = pf_arena_alloc(pf_turn_arena(a->turn), n * sizeof *refs);
    struct task **tasks = pf_arena_alloc(pf_turn_arena(a->turn), n * sizeof(struct task *));

    n = 0;
    for (t = first; t; t = TAILQ_NEXT(t, of_executor)) {
        if (pf_uuid_eq(t->group, group) && t->run.sm.state == RunState_ACCEPTED) {
            tasks[n++] = t;
            mark_sent(a, t);
        }
    }
    struct pf_fb_builder *b = pf_turn_builder(a->turn);

    for (uint32_t i = 0; i < n; i++) {
        refs[i] = TaskInfo_Nested__put(
            b,
            &(struct TaskInfo_Nested__args){.info = {tasks[i]->run.info, tasks[i]->run.info_len}});
    }
    struct Executor_Event_LaunchGroup__args args = {
        .task_group = TaskGroupInfo__put(b, &(struct TaskGroupInfo__args){.tasks = {refs, n}}),
    };

    say(a, x->peer, b,
        &(struct Executor_Event__args){
            .type = PF_OPT(Executor_Event_Type_LAUNCH_GROUP),
            .launch_group = Executor_Event_LaunchGroup__put(b, &args),
        });
}

void ag_executor_say_launches(struct pf_agent *a, struct executor *x)
{
    struct task *t = NULL;

    if (x->peer == 0 || x->run.kill_reason != KILL_NONE) {
        return;
    }
    TAILQ_FOREACH(t, &x->tasks, of_executor)
    {
        if (t->run.sm.state != RunState_ACCEPTED) {
            continue;
        }
        if (pf_uuid_is_nil(t->group)) {
            say_launch(a, x, t);
        } else {
            say_launch_group(a, x, t);
        }
    }
}

void ag_executor_say_kill(struct pf_agent *a, const struct task *t)
{
    const struct executor *x = t->executor;
    int64_t left_ms = t->run.kill_wall_ms - a->wall_ms;

    if (x->peer == 0) {
        return;
    }
    struct pf_fb_builder *b = pf_turn_builder(a->turn);
    struct DurationInfo__args grace = {.nanoseconds =
                                           PF_OPT((left_ms > 0 ? left_ms : 0) * 1000000)};
    struct Executor_Event_Kill__args args = {
        .task_id = put_task_id(b, ag_run_id(&t->run)),
        .kill_policy = KillPolicy__put(
            b, &(struct KillPolicy__args){.grace_period = DurationInfo__put(b, &grace)}),
    };

    say(a, x->peer, b,
        &(struct Executor_Event__args){
            .type = PF_OPT(Executor_Event_Type_KILL),
            .kill = Executor_Event_Kill__put(b, &args),
        });
}

void ag_executor_say_acknowledged(struct pf_agent *a, const struct executor *x, struct pf_str id,
                                  struct pf_bytes uuid)
{
    if (x->peer == 0) {
        return;
    }
    struct pf_fb_builder *b = pf_turn_builder(a->turn);
    struct Executor_Event_Acknowledged__args args = {.task_id = put_task_id(b, id), .uuid = uuid};

    say(a, x->peer, b,
        &(struct Executor_Event__args){
            .type = PF_OPT(Executor_Event_Type_ACKNOWLEDGED),
            .acknowledged = Executor_Event_Acknowledged__put(b, &args),
        });
}

void ag_executor_say_shutdown(struct pf_agent *a, uint64_t peer)
{
    struct pf_fb_builder *b = pf_turn_builder(a->turn);

    say(a, peer, b, &(struct Executor_Event__args){.type = PF_OPT(Executor_Event_Type_SHUTDOWN)});
}

void ag_executor_say_heartbeat(struct pf_agent *a, const struct executor *x)
{
    if (x->peer != 0) {
        struct pf_fb_builder *b = pf_turn_builder(a->turn);
        say(a, x->peer, b,
            &(struct Executor_Event__args){.type = PF_OPT(Executor_Event_Type_HEARTBEAT)});
    }
}

void ag_executor_say_error(struct pf_agent *a, uint64_t peer, const char *text)
{
    struct pf_fb_builder *b = pf_turn_builder(a->turn);
    struct Executor_Event_Error__args args = {.message = pf_str(text)};

    say(a, peer, b,
        &(struct Executor_Event__args){
            .type = PF_OPT(Executor_Event_Type_ERROR),
            .error = Executor_Event_Error__put(b, &args),
        });
}

/* From its scheduler, at most once: nothing is kept for one that is not there. */
void ag_on_agent_message(struct pf_agent *a, struct AgentMessage message)
{
    const struct executor *x = ag_executor_by_name(a, AgentMessage_framework_id(message),
                                                   AgentMessage_executor_id(message));

    if (!x || x->peer == 0) {
        return;
    }
    struct pf_fb_builder *b = pf_turn_builder(a->turn);
    struct Executor_Event_Message__args args = {.data = AgentMessage_data(message)};

    say(a, x->peer, b,
        &(struct Executor_Event__args){
            .type = PF_OPT(Executor_Event_Type_MESSAGE),
            .message = Executor_Event_Message__put(b, &args),
        });
}
