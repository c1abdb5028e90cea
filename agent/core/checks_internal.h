/* SPDX-License-Identifier: Apache-2.0 */
/* Health checks and checks of tasks. Only tasks that have one have a `struct checks`. For
 * agent/core/ only. */
#ifndef PF_AGENT_CORE_CHECKS_INTERNAL_H
#define PF_AGENT_CORE_CHECKS_INTERNAL_H

#include "agent/core/agent_internal.h"

/* The numbers of CheckInfo_Type and HealthCheck_Type. */
enum check_type { CHECK_NONE = 0, CHECK_COMMAND = 1, CHECK_HTTP = 2, CHECK_TCP = 3 };

/* OFF: the task does not run, or is being killed. ENDING: a command that took too long; its end is
 * awaited. */
enum check_phase { CHECK_OFF = 0, CHECK_IDLE, CHECK_ASKING, CHECK_ENDING };

struct check {
    struct checks *owner;
    uint8_t type, phase;
    bool is_health;
    uint32_t seen;       /* agent.list_generation of the list that named its command */
    struct pf_uuid uuid; /* of what is asked now: key in agent.by_check */
    int64_t interval_ms, timeout_ms;
    int64_t at; /* IDLE: the next; ASKING: its time-out; ENDING: SIGKILL again */
};

struct checks {
    struct task *task;
    uint8_t *info; /* TaskInfo: what the checks need of it */
    uint32_t info_len;
    struct check health, check;
    int64_t delay_health_ms, delay_check_ms, grace_ms;
    uint32_t failures, failures_max; /* consecutive ones */
    bool has_succeeded;              /* or was told to be unhealthy: grace is over */
    int8_t told_healthy;             /* as told, -1 = never */
    bool has_value, told_has_value;  /* of the check: its exit code, status code or success */
    int32_t value, told_value;
    char *why; /* the last failure of the health check */
};

/* What came of one. */
struct verdict {
    bool is_ok;
    bool has_value;
    int32_t value;
    struct pf_str why; /* if it is not ok */
};

/* check_info.c: what the messages say */
const char *ag_checks_problem(struct TaskInfo info);
struct checks *ag_checks_create(struct task *t);
/* Of a task that lives and has some. */
void ag_checks_set_info(struct pf_agent *a, struct task *t, struct TaskInfo info);
struct TaskInfo ag_checks_info(const struct checks *c);
struct CommandInfo ag_check_command(const struct check *k);
const struct pf_agent_act_check *ag_check_act(struct pf_agent *a, const struct check *k);
struct verdict ag_check_judge_exit(struct pf_agent *a, const struct check *k, int32_t wait_status);
struct verdict ag_check_judge_answer(struct pf_agent *a, const struct check *k, bool is_done,
                                     uint32_t status_code, struct pf_str text);
struct verdict ag_check_judge_late(struct pf_agent *a, const struct check *k);
struct verdict ag_check_judge_unborn(struct pf_agent *a, const struct check *k, int error,
                                     struct pf_str stage);

/* checks.c: when they run, and what follows */
void ag_checks_begin(struct pf_agent *a, struct task *t, bool is_recovered);
void ag_checks_stop(struct pf_agent *a, struct task *t);
void ag_checks_free(struct pf_agent *a, struct task *t);
int64_t ag_checks_next(const struct task *t);
void ag_checks_deadline(struct pf_agent *a, struct task *t);
/* The launcher's list is complete: commands that it does not know are asked again. */
void ag_checks_listed(struct pf_agent *a, struct task *t);
/* False: no check of ours. */
bool ag_check_on_process(struct pf_agent *a, struct pf_uuid uuid, struct LauncherProcess p);
void ag_on_checked(struct pf_agent *a, const struct pf_agent_event *ev);
/* An update is made, which carries the values. */
void ag_checks_told(struct task *t);
struct pf_ref ag_checks_put_status(struct pf_fb_builder *b, const struct task *t);
/* Of the check, for the row. */
struct pf_opt_i32 ag_checks_value(const struct task *t);
void ag_checks_restore_value(struct task *t, int32_t value); /* before its info is known */
/* Returns how many are being asked. */
uint32_t ag_checks_check(const struct pf_agent *a, const struct task *t);

#endif
