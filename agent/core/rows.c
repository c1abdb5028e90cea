/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's stored rows as they are written: AgentTable and the keys of schemas/rows.fbs. */
#include "agent/core/calls_internal.h"
#include "agent/core/checks_internal.h"

enum { UPDATE_KEY_BYTES = 20 };

static const char identity_key[] = "agent";

const struct pf_fb_table_desc *pf_agent_row_desc(uint8_t table)
{
    static const struct pf_fb_table_desc *const descs[] = {
        [AgentTable_META] = &Row_AgentIdentity__desc,
        [AgentTable_FRAMEWORKS] = &Row_AgentFramework__desc,
        [AgentTable_TASKS] = &Row_AgentTask__desc,
        [AgentTable_UPDATES] = &Row_AgentUpdate__desc,
        [AgentTable_INFOS] = &Row_AgentTaskInfo__desc,
        [AgentTable_EXECUTORS] = &Row_AgentExecutor__desc,
    };

    return table < PF_ARRAY_LEN(descs) ? descs[table] : NULL;
}

static struct pf_bytes run_key(const struct run *r)
{
    return (struct pf_bytes){r->launch.b, sizeof r->launch.b};
}

static struct pf_bytes launch_key(const struct task *t)
{
    return run_key(&t->run);
}

static struct pf_bytes framework_key(const struct framework *fw)
{
    return (struct pf_bytes){(const uint8_t *)fw->id, (uint32_t)strlen(fw->id)};
}

static struct pf_bytes update_key(const struct update *u, uint8_t out[UPDATE_KEY_BYTES])
{
    memcpy(out, u->task->run.launch.b, 16);
    for (uint32_t i = 0; i < 4; i++) {
        out[16 + i] = (uint8_t)(u->number >> (24 - 8 * i));
    }
    return (struct pf_bytes){out, UPDATE_KEY_BYTES};
}

void ag_row_put_identity(struct pf_agent *a)
{
    struct pf_fb_builder *b = pf_turn_builder(a->turn);
    bool adopted = !pf_uuid_is_nil(a->incarnation);
    struct Row_AgentIdentity__args args = {
        .agent_id = pf_str(a->id),
        .machine_id = pf_str(a->opt.machine_id),
        .boot_id = pf_str(a->opt.boot_id),
        .incarnation = {adopted ? a->incarnation.b : NULL,
                        adopted ? (uint32_t)sizeof a->incarnation.b : 0},
        .epoch = a->epoch,
        .format = AGENT_FORMAT,
    };

    ag_orders_put(a, b, &args);
    struct pf_ref root = Row_AgentIdentity__put(b, &args);

    pf_turn_put(a->turn, AgentTable_META,
                (struct pf_bytes){(const uint8_t *)identity_key, sizeof identity_key - 1},
                pf_msg_bytes(Row_AgentIdentity__finish(b, root)));
}

void ag_row_put_framework(struct pf_agent *a, struct framework *fw)
{
    struct pf_fb_builder *b = pf_turn_builder(a->turn);
    struct pf_ref root = Row_AgentFramework__put(
        b, &(struct Row_AgentFramework__args){.info = {fw->info, fw->info_len}});

    pf_turn_put(a->turn, AgentTable_FRAMEWORKS, framework_key(fw),
                pf_msg_bytes(Row_AgentFramework__finish(b, root)));
    fw->stored = true;
}

void ag_row_del_framework(struct pf_agent *a, struct framework *fw)
{
    pf_turn_del(a->turn, AgentTable_FRAMEWORKS, framework_key(fw));
    fw->stored = false;
}

void ag_row_put_task(struct pf_agent *a, const struct task *t)
{
    struct pf_fb_builder *b = pf_turn_builder(a->turn);
    bool is_new_start = t->run.sm.state == RunState_STARTING && a->launcher;
    struct Row_AgentTask__args args = {
        .framework_id = ag_run_framework_id(&t->run),
        .launch_uuid = launch_key(t),
        .user = pf_str(t->run.user),
        .state = (enum RunState)t->run.sm.state,
        .pid = t->run.pid,
        .start_time = t->run.start_time,
        .boot_id = pf_str(a->opt.boot_id),
        .accepted_ms = t->run.accepted_ms,
        .started_ms = t->run.started_ms,
        .finished_ms = t->run.finished_ms,
        .kill_reason = t->run.kill_reason,
        .kill_deadline_ms = t->run.kill_wall_ms,
        .kill_signal = t->run.kill_signal,
        .next_update = t->next_update,
        .launcher = pf_str(is_new_start ? a->launcher : NULL),
        .was_fetched = t->run.was_fetched,
        .healthy = {t->healthy >= 0, t->healthy > 0},
        .check_value = ag_checks_value(t),
        .states = ag_states_put_rows(a, b, t),
        .memory_peak_bytes = t->run.memory_peak_bytes,
        .lost_sandbox = t->lost_sandbox,
        .kill_text = pf_str(t->kill_text),
    };

    if (t->executor) {
        args.executor_id = ag_run_id(&t->executor->run);
        args.executor_uuid = run_key(&t->executor->run);
    }
    if (!pf_uuid_is_nil(t->group)) {
        args.group_uuid = (struct pf_bytes){t->group.b, sizeof t->group.b};
    }
    if (t->n_heard > 0) {
        args.heard = (struct pf_bytes){t->heard[0].b, t->n_heard * (uint32_t)sizeof *t->heard};
    }
    if (t->run.has_wait_status) {
        args.wait_status = (struct pf_opt_i32)PF_OPT(t->run.wait_status);
    }
    if (t->final_state >= 0) {
        args.final_state = (struct TaskState__opt)PF_OPT((enum TaskState)t->final_state);
    }
    struct pf_ref root = Row_AgentTask__put(b, &args);

    pf_turn_put(a->turn, AgentTable_TASKS, launch_key(t),
                pf_msg_bytes(Row_AgentTask__finish(b, root)));
}

void ag_row_put_executor(struct pf_agent *a, const struct executor *x)
{
    struct pf_fb_builder *b = pf_turn_builder(a->turn);
    const struct run *r = &x->run;
    bool is_new_start = r->sm.state == RunState_STARTING && a->launcher;
    struct Row_AgentExecutor__args args = {
        .framework_id = ag_run_framework_id(r),
        .info = {r->info, r->info_len},
        .user = pf_str(r->user),
        .state = (enum RunState)r->sm.state,
        .pid = r->pid,
        .start_time = r->start_time,
        .boot_id = pf_str(a->opt.boot_id),
        .launcher = pf_str(is_new_start ? a->launcher : NULL),
        .accepted_ms = r->accepted_ms,
        .started_ms = r->started_ms,
        .finished_ms = r->finished_ms,
        .kill_reason = r->kill_reason,
        .kill_deadline_ms = r->kill_wall_ms,
        .token = pf_str(x->token),
        .was_fetched = r->was_fetched,
        .is_told = x->is_told,
    };

    if (r->has_wait_status) {
        args.wait_status = (struct pf_opt_i32)PF_OPT(r->wait_status);
    }
    struct pf_ref root = Row_AgentExecutor__put(b, &args);

    pf_turn_put(a->turn, AgentTable_EXECUTORS, run_key(r),
                pf_msg_bytes(Row_AgentExecutor__finish(b, root)));
}

void ag_row_del_executor(struct pf_agent *a, const struct executor *x)
{
    pf_turn_del(a->turn, AgentTable_EXECUTORS, run_key(&x->run));
}

void ag_row_put_info(struct pf_agent *a, const struct task *t, struct pf_bytes info)
{
    struct pf_fb_builder *b = pf_turn_builder(a->turn);
    struct pf_ref root = Row_AgentTaskInfo__put(b, &(struct Row_AgentTaskInfo__args){.info = info});

    pf_turn_put(a->turn, AgentTable_INFOS, launch_key(t),
                pf_msg_bytes(Row_AgentTaskInfo__finish(b, root)));
}

void ag_row_del_task(struct pf_agent *a, const struct task *t)
{
    pf_turn_del(a->turn, AgentTable_TASKS, launch_key(t));
    pf_turn_del(a->turn, AgentTable_INFOS, launch_key(t));
}

void ag_row_put_update(struct pf_agent *a, const struct update *u)
{
    struct pf_fb_builder *b = pf_turn_builder(a->turn);
    uint8_t key[UPDATE_KEY_BYTES];
    struct pf_ref root =
        Row_AgentUpdate__put(b, &(struct Row_AgentUpdate__args){
                                    .framework_id = ag_run_framework_id(&u->task->run),
                                    .status = {u->status, u->len},
                                });

    pf_turn_put(a->turn, AgentTable_UPDATES, update_key(u, key),
                pf_msg_bytes(Row_AgentUpdate__finish(b, root)));
}

void ag_row_del_update(struct pf_agent *a, const struct update *u)
{
    uint8_t key[UPDATE_KEY_BYTES];

    pf_turn_del(a->turn, AgentTable_UPDATES, update_key(u, key));
}
