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
    int32_t status_code; /* CHECKED; -1 = refused */
    bool is_master, trusted;
    uint8_t *data; /* an Envelope */
    uint32_t len;
};

void sim_event_free(struct sim_event *ev);
void sim_event_deliver(struct agent_sim *s, struct sim_event *ev);
void sim_step(struct agent_sim *s, struct pf_agent_event *ev);
void sim_effect(struct agent_sim *s, const struct pf_effect *e);
struct sim_event *sim_event_push(struct agent_sim *s, enum pf_agent_event_type type);
struct sim_process *sim_process_of(struct agent_sim *s, struct pf_uuid launch);
void sim_process_tell(struct agent_sim *s, const struct sim_process *p);
void sim_process_exit(struct agent_sim *s, struct sim_process *p, int32_t wait_status);
void sim_process_start(struct agent_sim *s, const struct pf_agent_act_start *act);
void sim_process_signal(struct agent_sim *s, const struct pf_agent_act_signal *act);
struct pf_msg sim_process_msg(struct agent_sim *s, struct pf_fb_builder *b,
                              const struct sim_process *p);

/* `fields`: more members of the envelope, or "". */
void sim_push_envelope(struct agent_sim *s, enum pf_agent_event_type type, uint64_t peer,
                       const char *fields, uint64_t epoch, const char *body);
struct pf_uuid sim_uuid_all(uint8_t n);
void sim_base64_uuid(struct pf_uuid uuid, char out[25]);

/* agent_sim_executors.c */
void sim_executor_start(struct agent_sim *s, const struct pf_agent_act_start *act, int64_t pid);
void sim_executors_cut(struct agent_sim *s);
void sim_executors_return(struct agent_sim *s);
void sim_executor_exited(struct agent_sim *s, const struct sim_process *p);
void sim_executor_closed(struct agent_sim *s, uint64_t peer);
void sim_executor_hears(struct agent_sim *s, uint64_t peer, struct Envelope env);
void sim_task_json(struct agent_sim *s, const struct sim_group_task *t, const char *executor,
                   struct pf_buf *out);

/* agent_sim_care.c */
void sim_act_fetch(struct agent_sim *s, const struct pf_agent_act_fetch *act);
void sim_act_check(struct agent_sim *s, const struct pf_agent_act_check *act);
void sim_act_limit(struct agent_sim *s, const struct pf_agent_act_limit *act);
void sim_act_files(struct agent_sim *s, const struct pf_agent_act_files *act);
void sim_act_session_input(struct agent_sim *s, const struct pf_agent_act_session_input *act);
void sim_act_session_end(struct agent_sim *s, const struct pf_agent_act_session_end *act);
void sim_act_terminal(struct agent_sim *s, const struct pf_agent_act_terminal *act);
void sim_log_limits(struct agent_sim *s, const struct pf_agent_limits *limits);

#endif
