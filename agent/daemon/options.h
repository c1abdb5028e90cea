/* SPDX-License-Identifier: Apache-2.0 */
/* The options of proffer-agent. */
#ifndef PF_AGENT_DAEMON_OPTIONS_H
#define PF_AGENT_DAEMON_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/sys/log.h"
#include "common/sys/options.h"

struct pf_agentd_options {
    struct pf_ptrs masters; /* char * */
    char *listen, *http, *work_dir, *resources, *attributes, *hostname, *key_file, *cluster,
        *task_user, *launcher, *log_level_name, *ready_when;
    bool insecure, allow_any_user, stop_launcher;
    bool waits_registered; /* ready_when says so */
    int64_t min_free_bytes, ready_fd, simulate;
    enum pf_log_level log_level;
};

extern const struct pf_options pf_agentd_option_table;

/* See pf_options_parse. */
PF_MUST_USE int pf_agentd_options_parse(int argc, char **argv, struct pf_agentd_options *out,
                                        enum pf_options_verdict *out_verdict, struct pf_err *err);
void pf_agentd_options_fini(struct pf_agentd_options *o);

#endif
