/* SPDX-License-Identifier: Apache-2.0 */
/* The states of agents, frameworks, tasks and offers, and which may follow which. */
#include "master/core/state.h"

#define BIT(state) (1u << (state))

static const struct pf_sm_state agent_states[M_AGENT_COUNT] = {
    [M_AGENT_INVALID] = {"invalid", 0, 0},
    [M_AGENT_RECOVERED] = {"recovered", PF_SM_INITIAL,
                           BIT(M_AGENT_REGISTERING) | BIT(M_AGENT_UNREACHABLE) | BIT(M_AGENT_GONE)},
    [M_AGENT_REGISTERING] = {"registering", PF_SM_INITIAL,
                             BIT(M_AGENT_REGISTERED) | BIT(M_AGENT_DISCONNECTED) |
                                 BIT(M_AGENT_GONE)},
    [M_AGENT_REGISTERED] = {"registered", 0,
                            BIT(M_AGENT_DISCONNECTED) | BIT(M_AGENT_GONE) | BIT(M_AGENT_LEFT)},
    [M_AGENT_DISCONNECTED] = {"disconnected", 0,
                              BIT(M_AGENT_REGISTERING) | BIT(M_AGENT_UNREACHABLE) |
                                  BIT(M_AGENT_GONE)},
    [M_AGENT_UNREACHABLE] = {"unreachable", PF_SM_INITIAL,
                             BIT(M_AGENT_REGISTERING) | BIT(M_AGENT_RECOVERED) |
                                 BIT(M_AGENT_GONE)},
    [M_AGENT_GONE] = {"gone", PF_SM_INITIAL | PF_SM_FINAL, 0},
    [M_AGENT_LEFT] = {"left", PF_SM_FINAL, 0},
};

static const struct pf_sm_state framework_states[M_FRAMEWORK_COUNT] = {
    [M_FRAMEWORK_INVALID] = {"invalid", 0, 0},
    [M_FRAMEWORK_RECOVERED] = {"recovered", PF_SM_INITIAL,
                               BIT(M_FRAMEWORK_ACTIVE) | BIT(M_FRAMEWORK_COMPLETED)},
    [M_FRAMEWORK_ACTIVE] = {"active", PF_SM_INITIAL,
                            BIT(M_FRAMEWORK_DISCONNECTED) | BIT(M_FRAMEWORK_COMPLETED)},
    [M_FRAMEWORK_DISCONNECTED] = {"disconnected", 0,
                                  BIT(M_FRAMEWORK_ACTIVE) | BIT(M_FRAMEWORK_COMPLETED)},
    [M_FRAMEWORK_COMPLETED] = {"completed", PF_SM_FINAL, 0},
};

#define TASK_ENDS                                                                                  \
    (BIT(M_TASK_FINISHED) | BIT(M_TASK_FAILED) | BIT(M_TASK_KILLED) | BIT(M_TASK_ERROR) |          \
     BIT(M_TASK_LOST) | BIT(M_TASK_DROPPED) | BIT(M_TASK_GONE))
#define TASK_LIVES                                                                                 \
    (BIT(M_TASK_STAGING) | BIT(M_TASK_STARTING) | BIT(M_TASK_RUNNING) | BIT(M_TASK_KILLING))

/* Every state but `unreachable` may be what an agent tells of a task that nobody knew. */
static const struct pf_sm_state task_states[M_TASK_COUNT] = {
    [M_TASK_INVALID] = {"invalid", 0, 0},
    [M_TASK_STAGING] = {"staging", PF_SM_INITIAL,
                        (TASK_LIVES & ~BIT(M_TASK_STAGING)) | BIT(M_TASK_UNREACHABLE) | TASK_ENDS},
    [M_TASK_STARTING] = {"starting", PF_SM_INITIAL,
                         BIT(M_TASK_RUNNING) | BIT(M_TASK_KILLING) | BIT(M_TASK_UNREACHABLE) |
                             TASK_ENDS},
    [M_TASK_RUNNING] = {"running", PF_SM_INITIAL,
                        BIT(M_TASK_KILLING) | BIT(M_TASK_UNREACHABLE) | TASK_ENDS},
    [M_TASK_KILLING] = {"killing", PF_SM_INITIAL, BIT(M_TASK_UNREACHABLE) | TASK_ENDS},
    [M_TASK_UNREACHABLE] = {"unreachable", 0, TASK_LIVES | TASK_ENDS},
    [M_TASK_FINISHED] = {"finished", PF_SM_INITIAL | PF_SM_FINAL, 0},
    [M_TASK_FAILED] = {"failed", PF_SM_INITIAL | PF_SM_FINAL, 0},
    [M_TASK_KILLED] = {"killed", PF_SM_INITIAL | PF_SM_FINAL, 0},
    [M_TASK_ERROR] = {"error", PF_SM_INITIAL | PF_SM_FINAL, 0},
    [M_TASK_LOST] = {"lost", PF_SM_INITIAL | PF_SM_FINAL, 0},
    [M_TASK_DROPPED] = {"dropped", PF_SM_INITIAL | PF_SM_FINAL, 0},
    [M_TASK_GONE] = {"gone", PF_SM_INITIAL | PF_SM_FINAL, 0},
};

static const struct pf_sm_state offer_states[M_OFFER_COUNT] = {
    [M_OFFER_INVALID] = {"invalid", 0, 0},
    [M_OFFER_OPEN] = {"open", PF_SM_INITIAL,
                      BIT(M_OFFER_ACCEPTED) | BIT(M_OFFER_DECLINED) | BIT(M_OFFER_RESCINDED) |
                          BIT(M_OFFER_EXPIRED)},
    [M_OFFER_ACCEPTED] = {"accepted", PF_SM_FINAL, 0},
    [M_OFFER_DECLINED] = {"declined", PF_SM_FINAL, 0},
    [M_OFFER_RESCINDED] = {"rescinded", PF_SM_FINAL, 0},
    [M_OFFER_EXPIRED] = {"expired", PF_SM_FINAL, 0},
};

const struct pf_sm_table pf_m_agent_table = {"agent", agent_states, M_AGENT_COUNT};
const struct pf_sm_table pf_m_framework_table = {"framework", framework_states, M_FRAMEWORK_COUNT};
const struct pf_sm_table pf_m_task_table = {"task", task_states, M_TASK_COUNT};
const struct pf_sm_table pf_m_offer_table = {"offer", offer_states, M_OFFER_COUNT};
