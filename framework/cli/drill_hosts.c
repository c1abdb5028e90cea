/* SPDX-License-Identifier: Apache-2.0 */
/* See drill_hosts.h. */
#include "framework/cli/drill_hosts.h"

#include <stdio.h>
#include <string.h>

static bool kind_of(struct pf_str name, enum pf_host_kind *out)
{
    static const char letters[] = {
        [PF_HOST_ZK] = 'z', [PF_HOST_MASTER] = 'm', [PF_HOST_FAKE] = 'f', [PF_HOST_AGENT] = 'a'};
    const char *dash = name.len > 0 ? memchr(name.at, '-', name.len) : NULL;
    const char *letter = dash != NULL && dash + 1 < name.at + name.len
                             ? memchr(letters, dash[1], sizeof letters)
                             : NULL;
    if (letter != NULL) {
        *out = (enum pf_host_kind)(letter - letters);
    }
    return letter != NULL && name.len < PF_HOST_NAME_BYTES;
}

void pf_drill_hosts_add(struct pf_drill_hosts *all, struct pf_str name, struct pf_str native)
{
    enum pf_host_kind kind;
    const char *colon = native.len > 0 ? memchr(native.at, ':', native.len) : NULL;
    if (colon == NULL || !kind_of(name, &kind) || all->n == PF_HOSTS_MAX) {
        return;
    }
    for (uint32_t i = 0; i < all->n; i++) {
        if (pf_str_is(name, all->at[i].host.name)) {
            return;
        }
    }
    struct pf_drill_host *h = &all->at[all->n++];
    *h = (struct pf_drill_host){.kind = kind};
    (void)snprintf(h->host.name, sizeof h->host.name, "%.*s", PF_STR_ARG(name));
    (void)snprintf(h->host.address, sizeof h->host.address, "%.*s", (int)(colon - native.at),
                   native.at);
}

struct pf_drill_host *pf_drill_hosts_at(struct pf_drill_hosts *all, const char *native)
{
    size_t len = strcspn(native, ":");
    for (uint32_t i = 0; i < all->n; i++) {
        const char *address = all->at[i].host.address;
        if (strlen(address) == len && strncmp(address, native, len) == 0) {
            return &all->at[i];
        }
    }
    return NULL;
}

static int deafen(struct pf_drill_host *h, const char *const *from, uint32_t n, struct pf_err *err)
{
    h->is_deaf = true;
    return pf_host_deafen(h->host.name, from, n, err);
}

int pf_drill_hosts_cut(struct pf_drill_hosts *all, const char *native, enum pf_drill_target target,
                       enum pf_drill_way way, struct pf_err *err)
{
    struct pf_drill_host *leader = pf_drill_hosts_at(all, native);
    const char *others[PF_HOSTS_MAX], *self = leader != NULL ? leader->host.address : NULL;
    uint32_t n = 0;
    int rc = 0;
    if (leader == NULL) {
        return pf_err_set(err, PF_ENOENT, "no host of this cluster has the address %s", native);
    }
    if (target == PF_TARGET_LINKS_ALL) {
        leader->is_unplugged = true;
        return pf_host_plug(leader->host.name, false, err);
    }
    for (uint32_t i = 0; rc == 0 && i < all->n; i++) {
        struct pf_drill_host *h = &all->at[i];
        bool is_zk = h->kind == PF_HOST_ZK, is_agent = h->kind >= PF_HOST_FAKE;
        if (target == PF_TARGET_LINKS_ZK ? is_zk : is_agent) {
            others[n++] = h->host.address;
            rc = way != PF_WAY_IN ? deafen(h, &self, 1, err) : 0;
        }
    }
    return rc == 0 && way != PF_WAY_OUT && n > 0 ? deafen(leader, others, n, err) : rc;
}

int pf_drill_hosts_heal(struct pf_drill_hosts *all, bool everything, struct pf_err *err)
{
    struct pf_err why = {0};
    for (uint32_t i = 0; i < all->n; i++) {
        struct pf_drill_host *h = &all->at[i];
        if ((h->is_unplugged || everything) && pf_host_plug(h->host.name, true, &why) == 0) {
            h->is_unplugged = false;
        }
        if ((h->is_deaf || everything) && pf_host_hear(h->host.name, &why) == 0) {
            h->is_deaf = false;
        }
        if (why.code != 0 && err != NULL && err->code == 0) {
            *err = why;
        }
    }
    return why.code;
}
