/* SPDX-License-Identifier: Apache-2.0 */
/* What `proffer status` found out of a cluster; for cmd_status.c and status_ask.c. */
#ifndef PF_FRAMEWORK_CLI_STATUS_H
#define PF_FRAMEWORK_CLI_STATUS_H

#include "framework/cli/client.h"
#include "framework/cli/local.h"
#include "framework/cli/output.h"

#define PF_STATUS_MASTERS_MAX 64

/* What a master is, as the one that was asked sees it. */
struct pf_status_master {
    struct pf_str id, address, http_address, state, trouble;
    int64_t pid, started_ms, lag;
    uint64_t epoch;
    bool leads, has_lag;
};

/* What was found; `missing` is the first thing that is not as it should be. */
struct pf_status {
    struct pf_cli *cli;
    struct pf_cluster cluster;
    struct pf_output *o;
    struct LocalCluster local;
    bool has_local, has_supervisor, is_stale;
    struct pf_status_master master[PF_STATUS_MASTERS_MAX];
    uint32_t n_masters_seen, n_masters_up, n_masters, n_zk_up, n_zk;
    uint32_t n_agents, n_registered, n_parts;
    int64_t elected_ms; /* when the leader began to lead, 0 = not known */
    const char *missing, *to_do;
};

/* Notes something that is not as it should be, unless something was noted before. */
void pf_status_miss(struct pf_status *s, const char *what, const char *to_do);
/* " for 5s"; "" if the time is not known. */
const char *pf_status_for(struct pf_cli *cli, int64_t since_ms);
/* Asks the masters of themselves and of their agents; errors are printed. 0 or the exit status. */
int pf_status_ask(struct pf_status *s);

#endif
