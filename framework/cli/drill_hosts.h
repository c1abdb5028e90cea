/* SPDX-License-Identifier: Apache-2.0 */
/* Breaking the network of a local cluster of hosts (hosts.h): whose cable is pulled, who hears whom
 * no more. What is dropped is dropped without a word, as a network does it. */
#ifndef PF_FRAMEWORK_CLI_DRILL_HOSTS_H
#define PF_FRAMEWORK_CLI_DRILL_HOSTS_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "common/base/str.h"
#include "framework/cli/drill_table.h"
#include "framework/cli/hosts.h"

struct pf_drill_host {
    struct pf_host host;
    enum pf_host_kind kind;
    bool is_deaf, is_unplugged; /* by us */
};
/* All zero = none. */
struct pf_drill_hosts {
    struct pf_drill_host at[PF_HOSTS_MAX];
    uint32_t n;
};

/* A daemon on a host of that name listens at `native`. One that is known already, or that is not
 * named as a host, is left out. */
void pf_drill_hosts_add(struct pf_drill_hosts *all, struct pf_str name, struct pf_str native);
/* The one that listens at "address:port"; NULL = none. */
struct pf_drill_host *pf_drill_hosts_at(struct pf_drill_hosts *all, const char *native);
/* LINKS_ALL, LINKS_AGENTS or LINKS_ZK of the master at `native`, in some direction. PF_ENOENT, or
 * what `ip` says. */
PF_MUST_USE int pf_drill_hosts_cut(struct pf_drill_hosts *all, const char *native,
                                   enum pf_drill_target target, enum pf_drill_way way,
                                   struct pf_err *err);
/* Undoes what was cut; `everything`: by whomever, as one that was killed left it. Goes on after a
 * failure and returns the first. */
PF_MUST_USE int pf_drill_hosts_heal(struct pf_drill_hosts *all, bool everything,
                                    struct pf_err *err);

#endif
