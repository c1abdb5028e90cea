/* SPDX-License-Identifier: Apache-2.0 */
/* The options of proffer-agent. */
#ifndef PF_AGENT_DAEMON_OPTIONS_H
#define PF_AGENT_DAEMON_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include "agent/daemon/containers.h"
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/sys/log.h"
#include "common/sys/options.h"

struct pf_agentd_options {
    struct pf_ptrs masters; /* char * */
    char *listen, *http, *work_dir, *resources, *attributes, *hostname, *key_file, *cluster,
        *task_user, *launcher, *fetcher, *log_level_name, *ready_when, *recover, *reconfiguration,
        *isolation_name, *frameworks_home;
    bool insecure, allow_any_user, stop_launcher, authenticates_executors, limits_cpu_hard;
    bool waits_registered; /* ready_when says so */
    bool cleans_up;        /* recover says so */
    enum pf_isolation isolation; /* isolation_name says so */
    int policy;            /* pf_agent_reconfiguration */
    int64_t min_free_bytes, ready_fd, simulate, task_pids_max;
    int64_t executor_subscribe_ms, executor_resubscribe_ms, executor_shutdown_ms;
    int64_t gc_delay_ms, log_max_bytes, fetch_cache_bytes, fetch_stall_ms, fetch_max_bytes;
    enum pf_log_level log_level;
};

extern const struct pf_options pf_agentd_option_table;

/* See pf_options_parse. */
PF_MUST_USE int pf_agentd_options_parse(int argc, char **argv, struct pf_agentd_options *out,
                                        enum pf_options_verdict *out_verdict, struct pf_err *err);
void pf_agentd_options_fini(struct pf_agentd_options *o);

#endif
