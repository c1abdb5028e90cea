/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the supervisor share; for supervisor*.c only. */
#ifndef PF_FRAMEWORK_CLI_SUPERVISOR_INTERNAL_H
#define PF_FRAMEWORK_CLI_SUPERVISOR_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "common/base/buf.h"
#include "common/net/loop.h"
#include "framework/cli/spawn.h"
#include "framework/cli/supervise.h"
#include "framework/cli/supervisor.h"

struct pf_supervisor;

struct pf_daemon {
    struct pf_supervisor *owner;
    uint32_t index;
    uint32_t agent_i;       /* which agent */
    uint32_t n_fake;        /* simulated agents in it */
    bool is_master;
    char *name;             /* "master", "agent-0", "fake-agents" */
    char *work_dir, *log;
    char *native, *http;    /* where to listen; where it listens, once it said so */
    char *last_end;
    pid_t pid, cleaner_pid; /* 0 = none */
    int ready_fd;           /* -1 = none */
    struct pf_watch *watch;
    struct pf_buf line;
    int64_t since_ms;       /* of its present state */
};

struct pf_supervisor {
    const struct pf_supervisor_options *options;
    struct pf_arena *arena;
    const char **out_hint;
    struct pf_err *err;
    struct pf_sup sup;
    struct pf_sup_child *child;
    struct pf_daemon *daemon; /* as child */
    uint32_t n;
    struct pf_shape_machine machine;
    struct pf_loop *loop;
    struct pf_timer *timer;
    struct pf_ptrs unstarted, uncleaned;
    int log_fd;
    bool was_up, failed;
    int rc;
    int64_t since_ms;
};

/* Makes directories and the key, chooses addresses, fills the daemons. */
PF_MUST_USE int pf_supervisor_prepare(struct pf_supervisor *s, struct pf_err *err);
void pf_supervisor_release(struct pf_supervisor *s);
/* The command line of a daemon. */
void pf_supervisor_args(struct pf_supervisor *s, struct pf_daemon *d, struct pf_arena *arena,
                        struct pf_spawn_args *out);
void pf_stop_launcher_args(const char *bin_dir, const char *work_dir, struct pf_arena *arena,
                           struct pf_spawn_args *out);
/* A line in the supervisor's log. */
void pf_supervisor_log(struct pf_supervisor *s, const char *fmt, ...) PF_PRINTF(2, 3);

#endif
