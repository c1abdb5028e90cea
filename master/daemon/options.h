/* SPDX-License-Identifier: Apache-2.0 */
/* The options of proffer-master. */
#ifndef PF_MASTER_DAEMON_OPTIONS_H
#define PF_MASTER_DAEMON_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/err.h"
#include "common/sys/log.h"
#include "common/sys/options.h"

struct pf_masterd_options {
    char *listen, *http, *work_dir, *key_file, *cluster, *task_user, *log_level_name;
    char *import_registry, *export_registry, *restore_registry; /* "": not wanted */
    char *zk, *advertise, *advertise_http, *removal_rate;
    bool insecure, allow_any_user;
    int64_t ready_fd;
    int64_t offer_timeout_ms, agent_unreachable_ms, recovery_ms, zk_session_ms;
    int64_t recovery_removals_percent;
    uint32_t removals; /* read from removal_rate: so many in removals_ms; 0 = no limit */
    int64_t removals_ms;
    enum pf_log_level log_level;
};

extern const struct pf_options pf_masterd_option_table;

/* See pf_options_parse. */
PF_MUST_USE int pf_masterd_options_parse(int argc, char **argv, struct pf_masterd_options *out,
                                         enum pf_options_verdict *out_verdict, struct pf_err *err);
void pf_masterd_options_fini(struct pf_masterd_options *o);

#endif
