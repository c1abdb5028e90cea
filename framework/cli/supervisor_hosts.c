/* SPDX-License-Identifier: Apache-2.0 */
/* The hosts of a local cluster (--hosts): one for each daemon, ZooKeeper's servers included, so
 * that a master can be cut off from any of the others. They are there before anything is started,
 * and gone when all has ended. */
#include "framework/cli/supervisor_internal.h"

#include "common/base/alloc.h"
#include "framework/cli/local.h"

/* Everybody has an address of their own, so everybody can have the usual port. */
enum { MASTER_NATIVE = 5055, MASTER_HTTP = 5050, AGENT_NATIVE = 5056, AGENT_HTTP = 5051 };

/* Agents that outlived a supervisor look for their masters where those were. */
static int former_subnet(struct LocalCluster before)
{
    for (uint32_t i = 0; i < LocalCluster_daemons__len(before); i++) {
        struct LocalDaemon d = LocalCluster_daemons__at(before, i);
        if (pf_local_kind(d) == PF_LOCAL_MASTER && LocalDaemon_native(d).len > 0) {
            return pf_hosts_subnet_of(LocalDaemon_native(d).at);
        }
    }
    return -1;
}

int pf_supervisor_begin_hosts(struct pf_supervisor *s, struct LocalCluster before,
                              struct pf_err *err)
{
    if (!s->options->shape->has_hosts) {
        int rc = pf_hosts_remove(s->options->dir, err);
        if (rc != 0) {
            *s->out_hint = "hosts of the cluster that was here are left; remove them as root";
        }
        return rc;
    }
    int rc = pf_hosts_check(s->out_hint, err);
    return rc != 0 ? rc : pf_hosts_begin(s->options->dir, former_subnet(before), &s->hosts, err);
}

static char *address_of(struct pf_supervisor *s, const struct pf_host *h, unsigned port)
{
    return pf_strdup(pf_arena_printf(s->arena, "%s:%u", h->address, port).at);
}

int pf_supervisor_make_hosts(struct pf_supervisor *s, struct pf_err *err)
{
    struct pf_host host[PF_HOSTS_MAX];
    if (!s->options->shape->has_hosts) {
        return 0;
    }
    PF_ASSERT(s->n <= PF_HOSTS_MAX);
    for (uint32_t i = 0; i < s->n; i++) {
        struct pf_daemon *d = &s->daemon[i];
        enum pf_sup_tier tier = s->child[i].tier;
        enum pf_host_kind kind = tier == PF_SUP_ZOOKEEPER ? PF_HOST_ZK
                                 : tier == PF_SUP_MASTER  ? PF_HOST_MASTER
                                 : d->n_fake > 0          ? PF_HOST_FAKE
                                                          : PF_HOST_AGENT;
        uint32_t number = kind == PF_HOST_ZK       ? d->zk_i
                          : kind == PF_HOST_MASTER ? i - s->n_zk
                          : kind == PF_HOST_AGENT  ? d->agent_i
                                                   : 0;
        host[i] = d->host = pf_hosts_of(&s->hosts, kind, number);
        pf_free(d->native);
        pf_free(d->http);
        d->native =
            kind == PF_HOST_ZK
                ? address_of(s, &d->host, s->zk[number].client)
                : address_of(s, &d->host, tier == PF_SUP_MASTER ? MASTER_NATIVE : AGENT_NATIVE);
        d->http = kind == PF_HOST_ZK
                      ? NULL
                      : address_of(s, &d->host, tier == PF_SUP_MASTER ? MASTER_HTTP : AGENT_HTTP);
    }
    int rc = pf_hosts_make(&s->hosts, host, s->n, err);
    if (rc == 0) {
        *s->out_hint = "look at the directory and its log";
    }
    return rc;
}

void pf_supervisor_end_hosts(struct pf_supervisor *s)
{
    struct pf_err err = {0};
    if (s->options->shape->has_hosts && pf_hosts_remove(s->options->dir, &err) != 0) {
        pf_supervisor_log(s, "cannot remove the hosts: %s", err.msg);
    }
}
