/* SPDX-License-Identifier: Apache-2.0 */
/* The hosts of a local cluster: a network namespace for each daemon, all of them on one bridge with
 * addresses 10.213.N.x, so that drills can cut what a real network would. Outside is the machine
 * itself, at 10.213.N.1. A host's namespace and the outer end of its cable have the same name.
 *
 * One way is cut where packets arrive, by a rule that drops those of an address: connections that
 * stand fall silent, new ones get no answer, and nothing is told to anybody. (A route that drops
 * them where they begin would let connect() fail at once.) It needs no packet filter. */
#ifndef PF_FRAMEWORK_CLI_HOSTS_H
#define PF_FRAMEWORK_CLI_HOSTS_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/buf.h"
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "framework/cli/shape.h"

#define PF_HOSTS_SUBNETS    256 /* 10.213.N.0/24 */
#define PF_HOSTS_AGENTS_MAX 230
#define PF_HOSTS_MAX        (PF_HOSTS_AGENTS_MAX + PF_SHAPE_ZK_MAX + PF_SHAPE_MASTERS_MAX + 1)
#define PF_HOST_NAME_BYTES  16 /* of an interface, with its NUL */

enum pf_host_kind {
    PF_HOST_ZK,
    PF_HOST_MASTER,
    PF_HOST_FAKE, /* of all simulated agents */
    PF_HOST_AGENT,
};
struct pf_host {
    char name[PF_HOST_NAME_BYTES];
    char address[16];
};
struct pf_hosts_net {
    char bridge[PF_HOST_NAME_BYTES];
    uint8_t subnet;
};

/* --- pure ------------------------------------------------------------------------------------ */

/* "pf1a2b3c4d" by the cluster's directory: hosts are that and "-m1", "-z1", "-f0" or "-a0". */
void pf_hosts_bridge(const char *real_dir, char out[PF_HOST_NAME_BYTES]);
/* Does the interface or the namespace belong to that bridge? */
bool pf_hosts_owns(const char *bridge, const char *name);
struct pf_host pf_hosts_of(const struct pf_hosts_net *net, enum pf_host_kind kind, uint32_t i);
/* Of "10.213.N.x" or "10.213.N.x:port"; -1: another one. */
int pf_hosts_subnet_of(const char *address);
/* Notes which subnets something overlaps; in the byte order of the host. */
void pf_hosts_note(bool taken[PF_HOSTS_SUBNETS], uint32_t address, uint32_t mask);
/* The former one (-1 = none) if it is free, else the next that is; -1: none is. */
int pf_hosts_pick(const bool taken[PF_HOSTS_SUBNETS], int former, const char *bridge);
/* "CAP_NET_ADMIN and CAP_SYS_ADMIN" by the bits of CapEff; NULL = nothing is missing. */
const char *pf_hosts_lacks(uint64_t cap_eff);

/* Lines for `ip -batch`. Outside: the bridge; a cable into a new namespace; plugging it in. */
void pf_hosts_put_bridge(const struct pf_hosts_net *net, struct pf_buf *out);
void pf_hosts_put_cable(const struct pf_host *h, struct pf_buf *out);
void pf_hosts_put_plug(const struct pf_hosts_net *net, const struct pf_host *h, struct pf_buf *out);
/* Inside: an address, and rules among which one that drops can come before what is our own. */
void pf_hosts_put_inside(const struct pf_host *h, struct pf_buf *out);
/* Inside: packets from that address are dropped without a word; NULL: from nobody any more. */
void pf_hosts_put_deaf(const char *from, struct pf_buf *out);

/* --- on this machine (hosts_net.c); each blocks for some milliseconds ------------------------- */

/* PF_ENOENT: iproute2 is not installed; PF_EACCESS: what we lack. `*out_hint` says what to do. */
PF_MUST_USE int pf_hosts_check(const char **out_hint, struct pf_err *err);
/* Makes the bridge, or finds the one that a killed supervisor left. `former`: see pick. */
PF_MUST_USE int pf_hosts_begin(const char *dir, int former, struct pf_hosts_net *out,
                               struct pf_err *err);
/* Makes the hosts that are not there, heals those that are, removes all others of that bridge. */
PF_MUST_USE int pf_hosts_make(const struct pf_hosts_net *net, const struct pf_host *h, uint32_t n,
                              struct pf_err *err);
/* Removes everything that belongs to a cluster in that directory; nothing there is fine. */
PF_MUST_USE int pf_hosts_remove(const char *dir, struct pf_err *err);
/* Pulls the cable of a host, or plugs it in again. */
PF_MUST_USE int pf_host_plug(const char *name, bool in, struct pf_err *err);
/* The host hears no packet from these addresses any more. */
PF_MUST_USE int pf_host_deafen(const char *name, const char *const *from, uint32_t n,
                               struct pf_err *err);
/* The host hears everybody again. */
PF_MUST_USE int pf_host_hear(const char *name, struct pf_err *err);
/* The file by which a process enters the host. */
void pf_host_file(const char *name, char *out, size_t size);

#endif
