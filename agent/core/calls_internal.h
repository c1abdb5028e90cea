/* SPDX-License-Identifier: Apache-2.0 */
/* The calls between the files of the agent's core. All work within a step: rows and effects go to
 * agent.turn. For agent/core/ only. */
#ifndef PF_AGENT_CORE_CALLS_INTERNAL_H
#define PF_AGENT_CORE_CALLS_INTERNAL_H

#include "agent/core/agent_internal.h"

/* tables.c: state tables and texts */
extern const struct pf_sm_table ag_run_table, ag_executor_table, ag_link_table;
struct pf_str ag_errno_text(struct pf_arena *arena, int error);
struct pf_str ag_signal_text(struct pf_arena *arena, int signal);

/* values.c: resources and attributes of messages */
PF_MUST_USE int ag_resources_of(struct TaskInfo info, struct pf_resources *out, struct pf_err *err);
PF_MUST_USE int ag_resources_of_executor(struct ExecutorInfo info, struct pf_resources *out,
                                         struct pf_err *err);
PF_MUST_USE int ag_resources_of_summary(struct Task task, struct pf_resources *out,
                                        struct pf_err *err);
PF_MUST_USE int ag_resources_of_agent(struct AgentInfo info, struct pf_resources *out,
                                      struct pf_err *err);
struct pf_refs ag_put_resources(struct pf_fb_builder *b, struct pf_arena *arena,
                                const struct pf_resources *r);
struct pf_refs ag_put_attributes(struct pf_fb_builder *b, struct pf_arena *arena, const char *text);

/* run.c: what tasks and executors share */
struct task *ag_run_task(struct run *r); /* only of kind RUN_TASK */
const struct task *ag_run_task_const(const struct run *r);
struct executor *ag_run_executor(struct run *r); /* only of kind RUN_EXECUTOR */
const struct executor *ag_run_executor_const(const struct run *r);
struct pf_str ag_run_framework_id(const struct run *r);
struct pf_str ag_run_id(const struct run *r);
bool ag_run_is_ended(const struct run *r);
void ag_run_init(struct pf_agent *a, struct run *r, enum run_kind kind, struct pf_uuid launch);
void ag_run_fini(struct pf_agent *a, struct run *r);
void ag_run_set_name(struct run *r, struct pf_str framework_id, struct pf_str id);
void ag_run_drop_info(struct run *r);
struct run *ag_run_by_launch(const struct pf_agent *a, struct pf_bytes launch);
void ag_run_init_state(struct pf_agent *a, struct run *r, uint32_t state, const char *why);
void ag_run_move(struct pf_agent *a, struct run *r, uint32_t state, const char *why);
struct pf_str ag_run_sandbox(const struct pf_agent *a, const struct run *r);
struct CommandInfo ag_run_command(const struct run *r); /* while its info is there */
void ag_run_put_row(struct pf_agent *a, struct run *r);
void ag_run_rearm(struct pf_agent *a, struct run *r);
/* The start: begin (when the launcher is ready), sandbox, [fetch], start. */
void ag_run_begin(struct pf_agent *a, struct run *r);
void ag_on_sandbox(struct pf_agent *a, const struct pf_agent_event *ev);
void ag_run_prepared(struct pf_agent *a, struct run *r); /* all that it needs is there */
void ag_run_start(struct pf_agent *a, struct run *r);
struct pf_agent_limits ag_run_limits(const struct pf_agent *a, const struct run *r);
void ag_run_act_limit(struct pf_agent *a, const struct run *r);
/* The end, when its rows are to be written. */
struct ending;
void ag_run_end(struct pf_agent *a, struct run *r, const struct ending *e, const char *why);
void ag_run_act_ended(struct pf_agent *a, const struct run *r, bool launcher_knows);
void ag_run_act_remove(struct pf_agent *a, const struct run *r);

/* fetch.c */
bool ag_fetch_is_needed(const struct run *r);
void ag_fetch_start(struct pf_agent *a, struct run *r);
void ag_fetch_kill(struct pf_agent *a, const struct run *r);
/* False: no fetcher that is awaited. */
bool ag_fetch_on_process(struct pf_agent *a, struct pf_uuid uuid, const struct pf_agent_event *ev);

/* states.c: what was told of a task so far */
void ag_states_add(struct pf_agent *a, struct task *t, enum TaskState state,
                   const struct ending *e);
void ag_states_free(struct task *t);
struct pf_refs ag_states_put_rows(struct pf_agent *a, struct pf_fb_builder *b,
                                  const struct task *t);
void ag_states_restore(struct task *t, struct Row_AgentTask row);
/* As statuses; the last one as `last` says it, if that is there. */
struct pf_refs ag_states_put(struct pf_agent *a, struct pf_fb_builder *b, const struct task *t,
                             struct pf_bytes last);

/* gc.c: sandboxes of ended tasks */
void ag_gc_insert(struct pf_agent *a, struct task *t);
void ag_gc_deadline(struct pf_agent *a);
void ag_on_disk(struct pf_agent *a, uint64_t free_bytes);
void ag_on_sandbox_gone(struct pf_agent *a, struct pf_uuid launch);

/* tasks.c */
struct Task ag_task_summary(const struct task *t);
struct task *ag_task_create(struct pf_agent *a, struct pf_uuid launch);
void ag_task_set_info(struct pf_agent *a, struct task *t, struct pf_bytes info);
void ag_task_index_name(struct pf_agent *a, struct task *t);
void ag_task_count(struct pf_agent *a, struct task *t);
void ag_task_uncount(struct pf_agent *a, struct task *t);
void ag_task_retire(struct pf_agent *a, struct task *t);
void ag_task_remove(struct pf_agent *a, struct task *t);
void ag_task_free(struct pf_agent *a, struct task *t);
struct task *ag_task_by_launch(const struct pf_agent *a, struct pf_bytes launch);
struct task *ag_task_by_name(struct pf_agent *a, struct pf_str framework_id, struct pf_str id);
int64_t ag_task_next(const struct pf_agent *a, const struct task *t); /* its nearest deadline */
void ag_task_runs(struct pf_agent *a, struct task *t);                /* it was stored so */

/* Its executor has the process, and tells what becomes of it. */
bool ag_task_is_hosted(const struct task *t);
/* In whose sandbox it runs. */
const struct run *ag_task_home(const struct task *t);
void ag_task_hears(struct task *t, struct pf_uuid update);
bool ag_task_has_heard(const struct task *t, struct pf_uuid update);

/* frameworks.c */
struct framework *ag_framework_need(struct pf_agent *a, struct pf_str id);
void ag_framework_set_info(struct framework *fw, struct pf_bytes info);
void ag_framework_join(struct pf_agent *a, struct run *r, struct framework *fw);
void ag_framework_leave(struct pf_agent *a, struct run *r);
void ag_framework_hold(struct pf_agent *a, struct framework *fw); /* keeps it over an iteration */
void ag_framework_release(struct pf_agent *a, struct framework *fw);
void ag_framework_free(struct pf_agent *a, struct framework *fw);

/* rows.c */
void ag_row_put_identity(struct pf_agent *a);
void ag_row_put_framework(struct pf_agent *a, struct framework *fw);
void ag_row_del_framework(struct pf_agent *a, struct framework *fw);
void ag_row_put_task(struct pf_agent *a, const struct task *t);
void ag_row_put_info(struct pf_agent *a, const struct task *t, struct pf_bytes info);
void ag_row_put_update(struct pf_agent *a, const struct update *u);
void ag_row_del_update(struct pf_agent *a, const struct update *u);
void ag_row_del_task(struct pf_agent *a, const struct task *t);
void ag_row_put_executor(struct pf_agent *a, const struct executor *x);
void ag_row_del_executor(struct pf_agent *a, const struct executor *x);

/* recover.c */
void ag_on_row(struct pf_agent *a, const struct pf_agent_event *ev);
void ag_on_boot(struct pf_agent *a);

/* summary.c: the part of a TaskInfo that is told to masters */
struct pf_msg ag_summary_build(struct pf_agent *a, struct TaskInfo info);
struct pf_ref ag_summary_put(struct pf_agent *a, struct pf_fb_builder *b, const struct task *t);

/* launch.c */
void ag_on_launch(struct pf_agent *a, struct AgentLaunch launch);

/* validate.c: NULL = fine, else a state, a reason and a text */
struct refusal {
    enum TaskState state;
    enum TaskStatus_Reason reason;
    struct pf_str text;
};
/* What a launch wants: `executor` absent = a command task; `group`: of several. */
struct wanted {
    struct pf_str fw_id;
    struct ExecutorInfo executor;
    struct pf_bytes executor_info; /* as ag_executor_info made it; .at NULL = none */
    bool is_group;
};
const struct refusal *ag_launch_refusal(struct pf_agent *a, struct AgentLaunchTask task,
                                        const struct wanted *w, const struct task *twin);
/* Of all together, after each was found fine by itself. */
const struct refusal *ag_resources_refusal(struct pf_agent *a, struct AgentLaunch launch,
                                           uint32_t first, uint32_t n, const struct wanted *w);

/* command.c */
const struct pf_agent_act_start *ag_command_start(struct pf_agent *a, const struct run *r);
/* A process beside that of a task, in its container: its environment, then that of `c`. `info`:
 * what is still known of the task. */
const struct pf_agent_act_start *ag_command_start_beside(struct pf_agent *a, const struct run *r,
                                                         struct TaskInfo info, struct CommandInfo c,
                                                         struct pf_uuid launch);

/* process.c */
bool ag_launcher_is_ready(const struct pf_agent *a); /* connected, and its list is complete */
void ag_on_launcher_up(struct pf_agent *a, const struct pf_agent_event *ev);
void ag_on_launcher_down(struct pf_agent *a);
void ag_on_process(struct pf_agent *a, const struct pf_agent_event *ev);
void ag_on_processes_end(struct pf_agent *a);

/* end.c */
struct ending {
    enum TaskState state;
    bool has_reason;
    enum TaskStatus_Reason reason;
    bool by_agent; /* source */
    struct pf_str text;
    bool has_exit;
    int32_t exit_status;
    bool has_signal;
    int32_t signal;
    int64_t at_wall_ms;          /* 0 = now */
    uint64_t memory_limit_bytes; /* the one that ended it, 0 = none */
    struct pf_bytes status; /* of its executor: TaskStatus that is told instead; .at NULL = none */
    struct pf_str executor_id; /* that a refused task wanted; .at NULL = none */
};
void ag_task_end(struct pf_agent *a, struct task *t, const struct ending *e, const char *why);
void ag_run_end_status(struct pf_agent *a, struct run *r, int32_t wait_status, int64_t at_wall_ms);
void ag_run_end_unknown(struct pf_agent *a, struct run *r, const char *text);
void ag_run_end_killed_early(struct pf_agent *a, struct run *r);
void ag_run_end_unborn(struct pf_agent *a, struct run *r, int error, struct pf_str stage);

/* kill.c */
void ag_on_kill(struct pf_agent *a, struct AgentKill kill);
void ag_on_teardown(struct pf_agent *a, struct AgentTeardown teardown);
void ag_task_kill(struct pf_agent *a, struct task *t, enum kill_reason reason, int64_t grace_ms,
                  int signal);
bool ag_run_record_kill(struct pf_agent *a, struct run *r, enum kill_reason reason,
                        int64_t grace_ms, int signal);
bool ag_kill_is_wish(enum kill_reason reason); /* whatever comes of the process, it was killed */
bool ag_kill_is_told(enum kill_reason reason); /* by TASK_KILLING */
bool ag_run_may_run(const struct run *r);      /* its process may have been started */
void ag_run_kill_advance(struct pf_agent *a, struct run *r);


/* leave.c: the agent leaves, is gone, or cleans up */
void ag_orders_restore(struct pf_agent *a, struct Row_AgentIdentity row);
void ag_orders_forget(struct pf_agent *a); /* they were another agent's */
void ag_orders_fini(struct pf_agent *a);
void ag_orders_put(struct pf_agent *a, struct pf_fb_builder *b,
                   struct Row_AgentIdentity__args *args);
void ag_orders_boot(struct pf_agent *a);
bool ag_orders_are_last(const struct pf_agent *a); /* no more launches */
void ag_on_leave(struct pf_agent *a, struct AgentLeave x);
void ag_orders_advance(struct pf_agent *a); /* at the end of each step */
/* False: it answers something else. */
bool ag_on_unregister_answer(struct pf_agent *a, struct Envelope env);
int64_t ag_orders_next(const struct pf_agent *a);

/* reconfigure.c: NULL = this start fits the former one; else why not, in the turn's memory */
const char *ag_reconfigure_problem(struct pf_agent *a);

/* partition.c: what the agent does while no leader knows it */
void ag_partition_begin(struct pf_agent *a);
void ag_partition_over(struct pf_agent *a, int64_t unreachable_ms);
void ag_partition_boot(struct pf_agent *a);
void ag_partition_fires(struct pf_agent *a, struct task *t);
struct pf_str ag_partition_text(struct pf_agent *a, const struct task *t);

/* updates.c */
void ag_update_add(struct pf_agent *a, struct task *t, enum TaskState state,
                   const struct ending *e);
/* One that its executor made: `status` with what the agent says better. Borrowed from the turn. */
struct pf_bytes ag_update_of_executor(struct pf_agent *a, const struct task *t,
                                      struct TaskStatus status);
bool ag_update_restore(struct pf_agent *a, struct task *t, uint32_t number, struct pf_bytes status);
void ag_update_send_head(struct pf_agent *a, struct task *t);
void ag_updates_drop(struct pf_agent *a, struct task *t);
void ag_on_acknowledge(struct pf_agent *a, struct AgentAcknowledge ack);
void ag_updates_tell_gone(struct pf_agent *a, struct AgentKill kill, const struct task *past);

/* told.c: numbers of what masters must hear of */
void ag_told_count(struct pf_agent *a, struct untold *u);
void ag_told(struct pf_agent *a, struct untold *u);
void ag_told_until(struct pf_agent *a, uint64_t sequence);
uint64_t ag_told_number(const struct pf_agent *a);
void ag_told_check(const struct pf_agent *a);

/* master.c: links to masters, whom to obey */
void ag_on_master_up(struct pf_agent *a, const struct pf_agent_event *ev);
bool ag_on_link_down(struct pf_agent *a, uint64_t peer);
bool ag_on_link_message(struct pf_agent *a, struct Envelope env, uint64_t peer);
const char *ag_link_leader(const struct pf_agent *a);
/* No leader is to be obeyed any more. */
void ag_link_leave(struct pf_agent *a, const char *why);
/* NULL: done; else why not. */
const char *ag_adopt(struct pf_agent *a, struct pf_uuid incarnation);

/* register.c */
bool ag_is_registered(const struct pf_agent *a);
void ag_register(struct pf_agent *a, const char *why);
struct pf_ref ag_put_agent_info(struct pf_agent *a, struct pf_fb_builder *b);
/* To a leader below the epoch that we obey. */
void ag_register_tell_epoch(struct pf_agent *a, uint64_t peer);
void ag_register_stop(struct pf_agent *a, const char *why);
struct pf_ref ag_put_agent_info(struct pf_agent *a, struct pf_fb_builder *b);
void ag_on_register_answer(struct pf_agent *a, struct Envelope env);
void ag_link_deadline(struct pf_agent *a);
int64_t ag_link_next(const struct pf_agent *a);

/* clients.c */
void ag_on_client_message(struct pf_agent *a, struct Envelope env, struct client *c);

/* sessions.c: processes beside tasks, terminals of tasks */
void ag_sessions_fini(struct pf_agent *a);
void ag_on_session(struct pf_agent *a, const struct pf_agent_event *ev);
/* False: it is none of a session. */
bool ag_session_on_process(struct pf_agent *a, struct LauncherProcess p);
void ag_sessions_list_end(struct pf_agent *a);
void ag_sessions_peer_down(struct pf_agent *a, uint64_t peer);
void ag_sessions_task_ended(struct pf_agent *a, const struct run *task);
void ag_sessions_deadline(struct pf_agent *a);
bool ag_task_has_terminal(const struct task *t);
/* rows > 0: its window has that size now. */
void ag_act_terminal(struct pf_agent *a, const struct task *t, uint32_t rows, uint32_t columns);

/* message.c: envelopes */
void ag_send(struct pf_agent *a, uint64_t peer, struct pf_fb_builder *b, enum Body type,
             struct pf_ref body, uint64_t request_id);
void ag_reply(struct pf_agent *a, uint64_t peer, uint64_t request_id, enum ReplyCode code,
              struct pf_str text);
void ag_reply_body(struct pf_agent *a, uint64_t peer, uint64_t request_id, struct pf_fb_builder *b,
                   enum Body type, struct pf_ref body);
bool ag_uuid_of(struct pf_bytes bytes, struct pf_uuid *out);

#endif
