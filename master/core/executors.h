/* SPDX-License-Identifier: Apache-2.0 */
/* Executors: made with the first task that names them, kept with their resources until their agent
 * says that they are gone, does not list them when it registers, or is lost itself. */
#ifndef PF_MASTER_CORE_EXECUTORS_H
#define PF_MASTER_CORE_EXECUTORS_H

#include "master/core/state.h"

/* NULL: none that lives. */
struct m_executor *pf_m_executor_get(const struct m_agent *a, const struct m_framework *f,
                                     struct pf_str id);
/* One that starts now. `info`: as pf_m_executor_info gives it; copied, as `resources` are, which
 * the allocator counts already. */
struct m_executor *pf_m_executor_launch(struct pf_master *m, struct m_framework *f,
                                        struct m_agent *a, struct pf_bytes info,
                                        const struct pf_resources *resources);
/* One that an agent tells of in its registration. PF_EINVAL, PF_ELIMIT: it cannot be; the
 * registration fails. */
PF_MUST_USE int pf_m_executor_learn(struct pf_master *m, struct m_agent *a, struct AgentExecutor x,
                                    struct pf_err *err);

/* Its resources are free again. */
void pf_m_executor_end(struct pf_master *m, struct m_executor *x);
/* Those that the agent did not name in its registration; all of an agent that is lost, or of a
 * framework there. */
void pf_m_executors_missing(struct pf_master *m, struct m_agent *a);
void pf_m_agent_end_executors(struct pf_master *m, struct m_agent *a);
void pf_m_link_end_executors(struct pf_master *m, struct m_link *l);
/* The agent is registered: tells it again what it may not have heard. */
void pf_m_executors_resend(struct pf_master *m, struct m_agent *a);
void pf_m_executors_fini(struct pf_master *m);
void pf_m_executors_check(const struct pf_master *m);

/* Ids of the framework's executors on the agent, for an offer; memory is the turn's. */
struct pf_refs pf_m_executor_ids_put(struct pf_master *m, struct pf_fb_builder *b,
                                     const struct m_agent *a, const struct m_framework *f);

static inline struct pf_str m_executor_id(const struct m_executor *x)
{
    return (struct pf_str){x->key + sizeof(uint64_t), x->key_len - (uint32_t)sizeof(uint64_t)};
}

/* executor_info.c: in the turn's memory. `bytes` with the framework's id in it and in one order, so
 * that equal infos are equal bytes. */
struct pf_bytes pf_m_executor_info(struct pf_master *m, const struct m_framework *f,
                                   struct pf_bytes bytes);
/* The same TaskInfo with this executor, or (absent) with none. */
struct pf_bytes pf_m_task_info_with(struct pf_master *m, struct TaskInfo info,
                                    struct pf_bytes executor);

/* messages.c: handlers of MESSAGE and SHUTDOWN, AgentMessage and AgentExecutorExited. */
void pf_m_on_message_call(struct pf_master *m, struct m_peer *p, struct Scheduler_Call call,
                          uint64_t request_id);
void pf_m_on_shutdown_call(struct pf_master *m, struct m_peer *p, struct Scheduler_Call call,
                           uint64_t request_id);
void pf_m_on_agent_message(struct pf_master *m, struct m_peer *p, struct Envelope e);
void pf_m_on_executor_exited(struct pf_master *m, struct m_peer *p, struct Envelope e);
void pf_m_send_shutdown(struct pf_master *m, const struct m_executor *x);

#endif
