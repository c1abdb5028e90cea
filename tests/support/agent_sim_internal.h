/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of the agent's test world share. */
#ifndef PF_TESTS_SUPPORT_AGENT_SIM_INTERNAL_H
#define PF_TESTS_SUPPORT_AGENT_SIM_INTERNAL_H

#include "tests/support/agent_sim.h"

/* An event on its way to the agent. */
struct sim_event {
    enum pf_agent_event_type type;
    uint64_t peer;
    struct pf_uuid launch;      /* PROCESS, SANDBOX */
    struct sim_process process; /* as it was when it was told */
    int error;
    const char *stage;
    bool is_master, trusted;
    uint8_t *data; /* an Envelope */
    uint32_t len;
};

void sim_event_free(struct sim_event *ev);
void sim_event_deliver(struct agent_sim *s, struct sim_event *ev);
void sim_step(struct agent_sim *s, struct pf_agent_event *ev);
void sim_effect(struct agent_sim *s, const struct pf_effect *e);

#endif
