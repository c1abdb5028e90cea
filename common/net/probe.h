/* SPDX-License-Identifier: Apache-2.0 */
/* Does something on this machine answer? A probe connects to a port of the loopback address, asks
 * by HTTP(S) if that is wanted, and tells how it went; nothing of an answer is read but its status.
 * Certificates are not checked. Needs SIGPIPE to be ignored. */
#ifndef PF_COMMON_NET_PROBE_H
#define PF_COMMON_NET_PROBE_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/str.h"
#include "common/net/loop.h"

struct pf_probes; /* those of a process */
struct pf_probe;

struct pf_probe_options {
    bool is_ipv6; /* ::1 instead of 127.0.0.1 */
    bool is_http; /* GET `path`; else connecting is all */
    bool is_tls;  /* with is_http */
    uint32_t port;
    struct pf_str path; /* "" = "/"; one without a '/' in front gets it; copied */
    int64_t timeout_ms; /* for all of it */
};

struct pf_probe_result {
    bool is_done;         /* connected, and (HTTP) answered with a status */
    uint32_t status_code; /* HTTP; redirections are not followed */
    const char *text;     /* why not; borrowed for the call */
};

/* In the delivery part of a turn, never inside of pf_probe_start. The probe is gone then. */
typedef void pf_probe_fn(void *ctx, const struct pf_probe_result *result);

/* At most `max` run at a time; those above fail, and say why. */
struct pf_probes *pf_probes_create(struct pf_loop *loop, uint32_t max);
/* Cancels those that run. NULL is fine. */
void pf_probes_destroy(struct pf_probes *all);
/* Borrowed until its callback, or its cancellation. */
struct pf_probe *pf_probe_start(struct pf_probes *all, const struct pf_probe_options *options,
                                pf_probe_fn *on_done, void *ctx);
/* Ends it without its callback. */
void pf_probe_cancel(struct pf_probe *p);
uint32_t pf_probes_n(const struct pf_probes *all); /* that run now */

#endif
