/* SPDX-License-Identifier: Apache-2.0 */
/* One run under way: a framework of its own whose tasks are all alike. Between run.c (placing
 * tasks, what becomes of them), run_stdin.c and cmd_run.c (the verb). */
#ifndef PF_FRAMEWORK_CLI_RUN_H
#define PF_FRAMEWORK_CLI_RUN_H

#include <proffer/proffer.h>
#include "framework/cli/follow.h"
#include "framework/cli/lines.h"
#include "framework/cli/outcome.h"
#include "framework/cli/run_spec.h"
#include "framework/cli/session.h"

#define PF_RUN_LAUNCH_TRIES 5 /* of a task that its agent never got */

struct pf_run_task {
    char *agent_address; /* owned; where it was launched last */
    char *agent_id;      /* owned */
    uint32_t tries;
    bool is_placed, is_followed;
    uint8_t open_streams;
};

struct pf_run {
    struct pf_session session;
    struct pf_run_spec spec;
    struct pf_scheduler *scheduler;
    struct pf_follow *follow;
    struct pf_lines *lines;
    struct pf_outcome *outcome; /* one for each task */
    struct pf_run_task *task;
    uint32_t n_unplaced, n_ended, n_following;
    uint32_t next; /* no task below it is unplaced */
    char *run_id;  /* owned; NULL before the subscription */
    struct pf_timer *start_timer, *note_timer, *pump_timer, *leader_timer;
    struct pf_watch *pump_watch, *stdin_watch;
    int64_t began_ms, subscribed_ms, settles_until_ms;
    char *waiting; /* owned; the last reason */
    bool was_noted, is_leaving, is_over, stdin_is_open, stdin_is_busy;
    uint32_t n_interrupts;
    int status; /* >= 0: ours, instead of the tasks' */
};

/* Runs to the end; returns the exit status. */
int pf_run_go(struct pf_run *r);
void pf_run_fini(struct pf_run *r);
/* Ends with a status of ours; tasks that run are ended. */
void pf_run_abort(struct pf_run *r, int status);
/* The first task runs: pass our standard input on to it. (run_stdin.c) */
void pf_run_stdin_begin(struct pf_run *r);
void pf_run_stdin_fini(struct pf_run *r);
/* SIGINT, SIGTERM. (run_signal.c) */
int pf_run_signals(struct pf_run *r);

#endif
