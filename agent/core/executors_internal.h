/* SPDX-License-Identifier: Apache-2.0 */
/* Calls about executors and task groups between the files of the agent's core. For agent/core/
 * only. */
#ifndef PF_AGENT_CORE_EXECUTORS_INTERNAL_H
#define PF_AGENT_CORE_EXECUTORS_INTERNAL_H

#include "agent/core/calls_internal.h"

/* executors.c */
struct pf_msg ag_executor_info(struct pf_agent *a, struct ExecutorInfo info, struct pf_str fw_id);
struct ExecutorInfo ag_executor_info_of(const struct executor *x);
struct executor *ag_executor_by_name(struct pf_agent *a, struct pf_str fw_id, struct pf_str id);
/* `info` as ag_executor_info made it; its row is put. */
struct executor *ag_executor_create(struct pf_agent *a, struct framework *fw, struct pf_uuid uuid,
                                    struct pf_bytes info, struct pf_str user);
struct executor *ag_executor_restore(struct pf_agent *a, struct pf_uuid uuid, uint32_t state,
                                     struct pf_bytes info, struct pf_str user);
void ag_executor_sort_in(struct pf_agent *a, struct executor *x); /* BOOT */
void ag_executor_settle(struct pf_agent *a, struct executor *x);  /* BOOT, after its tasks */
void ag_executor_join(struct executor *x, struct task *t);
void ag_executor_task_ended(struct pf_agent *a, struct task *t); /* after its end is stored */
void ag_executor_leave(struct pf_agent *a, struct task *t);      /* the task is forgotten */
void ag_executor_free(struct pf_agent *a, struct executor *x);
int64_t ag_executor_next(const struct pf_agent *a, const struct executor *x);
void ag_executor_fires(struct pf_agent *a, struct executor *x);
void ag_executor_runs(struct pf_agent *a, struct executor *x);
void ag_executor_end(struct pf_agent *a, struct executor *x, const struct ending *e,
                     const char *why);
/* SHUTDOWN, and SIGKILL when the grace has passed (< 0: its own). */
void ag_executor_shutdown(struct pf_agent *a, struct executor *x, enum kill_reason reason,
                          int64_t grace_ms);
void ag_on_shutdown_executor(struct pf_agent *a, struct AgentShutdownExecutor call);
void ag_executors_tell_ends(struct pf_agent *a); /* registered: what was not told yet */
void ag_executor_tell_none(struct pf_agent *a, struct pf_str fw_id, struct pf_str id);

/* executor_events.c: what executors are told */
void ag_executor_say_subscribed(struct pf_agent *a, const struct executor *x);
void ag_executor_say_launches(struct pf_agent *a, struct executor *x); /* all that wait */
void ag_executor_say_kill(struct pf_agent *a, const struct task *t);
void ag_executor_say_acknowledged(struct pf_agent *a, const struct executor *x, struct pf_str id,
                                  struct pf_bytes uuid);
void ag_executor_say_shutdown(struct pf_agent *a, uint64_t peer);
void ag_executor_say_heartbeat(struct pf_agent *a, const struct executor *x);
void ag_executor_say_error(struct pf_agent *a, uint64_t peer, const char *text);
void ag_on_agent_message(struct pf_agent *a, struct AgentMessage message);

/* executor_calls.c: what executors say */
void ag_on_executor_call(struct pf_agent *a, struct Envelope env, struct client *c);
void ag_executor_unsubscribe(struct pf_agent *a, struct executor *x); /* its link is gone */

/* groups.c: tasks that start together and end together, the agent being their executor */
bool ag_group_is_ready(const struct task *t);
void ag_group_start(struct pf_agent *a, struct task *t);
void ag_group_member_ended(struct pf_agent *a, const struct task *t);

/* token.c */
void ag_token_of(const uint64_t key[2], struct pf_uuid id, uint64_t out[2]);
void ag_token_make(const struct pf_agent *a, struct pf_uuid executor,
                   char out[AGENT_TOKEN_LEN + 1]);
bool ag_token_is(const char *token, struct pf_str said);

#endif
