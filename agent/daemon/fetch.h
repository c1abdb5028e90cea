/* SPDX-License-Identifier: Apache-2.0 */
/* Starts proffer-fetcher for the URIs of a task, as its user and in its container, and keeps what
 * it said on its standard output: a report file of ours for each, until its end is stored. */
#ifndef PF_AGENT_DAEMON_FETCH_H
#define PF_AGENT_DAEMON_FETCH_H

#include "agent/core/agent.h"
#include "agent/daemon/launcher_link.h"
#include "agent/daemon/users.h"
#include "common/base/err.h"

#define PF_FETCH_REPORT_MAX_BYTES 1024

struct pf_fetches;

struct pf_fetches_options {
    const char *run_dir;   /* reports go to `fetch` in it */
    const char *cache_dir; /* holds a directory for each user; made when first needed */
    const char *program;   /* path of proffer-fetcher */
    const char *base;      /* put before relative paths; NULL or "" = they are refused */
    uint32_t stall_ms;     /* a transfer without progress fails after this */
};

/* Finds the reports of a former life. Options are copied. */
PF_MUST_USE int pf_fetches_create(const struct pf_fetches_options *o, struct pf_fetches **out,
                                  struct pf_err *err);
void pf_fetches_destroy(struct pf_fetches *f);
/* From now on no file, and no archive's contents, may be larger; 0 = any, as at first. */
void pf_fetches_set_max(struct pf_fetches *f, uint64_t file_max_bytes);

/* Hands it to the launcher. 0, or errno with the stage that failed (static text). */
int pf_fetches_start(struct pf_fetches *f, struct pf_launcher_link *k,
                     const struct pf_agent_act_fetch *act, const struct pf_user *user,
                     const char **out_stage);
/* What fetcher `launch` said, in printable UTF-8; absent if it is none or said nothing. Borrowed
 * until the next call. */
struct pf_str pf_fetches_report(struct pf_fetches *f, struct pf_uuid launch);
/* Its end is stored: the report goes. */
void pf_fetches_forget(struct pf_fetches *f, struct pf_uuid launch);
/* The launcher's list: reports of a former life that it does not speak of go at its end. */
void pf_fetches_listed(struct pf_fetches *f, struct pf_uuid launch);
void pf_fetches_list_end(struct pf_fetches *f);

#endif
