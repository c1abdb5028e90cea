/* SPDX-License-Identifier: Apache-2.0 */
/* What the hosts of a local cluster are called, which addresses they have, and what `ip` is told.
 * Pure. */
#include "framework/cli/hosts.h"

#include <stdio.h>
#include <string.h>
#include "common/base/crc32c.h"

#define NET_PREFIX "10.213."
#define NET        UINT32_C(0x0ad50000)
#define NET_MASK   UINT32_C(0xffff0000)
#define SUB_MASK   UINT32_C(0xffffff00)

enum {
    OUTSIDE = 1, /* last byte of the bridge's address */
    CAP_NET_ADMIN_BIT = 12,
    CAP_SYS_ADMIN_BIT = 21,
    PREF_DEAF = 10,
    PREF_LOCAL = 100,
};

/* Last bytes of the addresses of each kind, and the letters of their names. */
static const struct {
    char letter;
    uint8_t first;
    uint32_t n, base; /* counted from `base` */
} kinds[] = {
    [PF_HOST_ZK] = {'z', 2, PF_SHAPE_ZK_MAX, 1},
    [PF_HOST_MASTER] = {'m', 11, PF_SHAPE_MASTERS_MAX, 1},
    [PF_HOST_FAKE] = {'f', 10, 1, 0},
    [PF_HOST_AGENT] = {'a', 20, PF_HOSTS_AGENTS_MAX, 0},
};

static uint32_t number_of(const char *text)
{
    return pf_crc32c(0, text, strlen(text));
}

void pf_hosts_bridge(const char *real_dir, char out[PF_HOST_NAME_BYTES])
{
    (void)snprintf(out, PF_HOST_NAME_BYTES, "pf%08x", (unsigned)number_of(real_dir));
}

bool pf_hosts_owns(const char *bridge, const char *name)
{
    size_t len = strlen(bridge);
    return strncmp(name, bridge, len) == 0 && (name[len] == '\0' || name[len] == '-');
}

struct pf_host pf_hosts_of(const struct pf_hosts_net *net, enum pf_host_kind kind, uint32_t i)
{
    struct pf_host h;
    PF_ASSERT(i < kinds[kind].n && strlen(net->bridge) == 10);
    (void)snprintf(h.name, sizeof h.name, "%.10s-%c%u", net->bridge, kinds[kind].letter,
                   (unsigned)((i + kinds[kind].base) & 0xff));
    (void)snprintf(h.address, sizeof h.address, NET_PREFIX "%u.%u", (unsigned)net->subnet,
                   (unsigned)((kinds[kind].first + i) & 0xff));
    return h;
}

int pf_hosts_subnet_of(const char *address)
{
    uint32_t n = 0;
    const size_t len = sizeof NET_PREFIX - 1;
    if (strncmp(address, NET_PREFIX, len) != 0) {
        return -1;
    }
    size_t digits = strspn(address + len, "0123456789");
    for (size_t i = 0; i < digits && i < 3; i++) {
        n = n * 10 + (uint32_t)(address[len + i] - '0');
    }
    bool is_one = digits >= 1 && digits <= 3 && address[len + digits] == '.';
    return is_one && n < PF_HOSTS_SUBNETS ? (int)n : -1;
}

void pf_hosts_note(bool taken[PF_HOSTS_SUBNETS], uint32_t address, uint32_t mask)
{
    /* a route to much more than ours (the default one above all) takes none of it */
    if ((mask & NET_MASK) != NET_MASK) {
        return;
    }
    for (uint32_t i = 0; i < PF_HOSTS_SUBNETS; i++) {
        uint32_t subnet = NET | i << 8;
        if ((subnet & mask & SUB_MASK) == (address & mask & SUB_MASK)) {
            taken[i] = true;
        }
    }
}

int pf_hosts_pick(const bool taken[PF_HOSTS_SUBNETS], int former, const char *bridge)
{
    if (former >= 0 && former < PF_HOSTS_SUBNETS && !taken[former]) {
        return former;
    }
    for (uint32_t i = 0; i < PF_HOSTS_SUBNETS; i++) {
        uint32_t at = (number_of(bridge) + i) % PF_HOSTS_SUBNETS;
        if (!taken[at]) {
            return (int)at;
        }
    }
    return -1;
}

const char *pf_hosts_lacks(uint64_t cap_eff)
{
    bool may_net = (cap_eff >> CAP_NET_ADMIN_BIT & 1) != 0;
    bool may_sys = (cap_eff >> CAP_SYS_ADMIN_BIT & 1) != 0;
    return may_net && may_sys ? NULL
           : may_sys          ? "CAP_NET_ADMIN"
           : may_net          ? "CAP_SYS_ADMIN"
                              : "CAP_NET_ADMIN and CAP_SYS_ADMIN";
}

void pf_hosts_put_bridge(const struct pf_hosts_net *net, struct pf_buf *out)
{
    uint32_t n = number_of(net->bridge);
    /* an address of its own: else it changes with every cable, and neighbours look in vain */
    pf_buf_printf(out, "link add %s address 02:d5:%02x:%02x:%02x:%02x type bridge\n", net->bridge,
                  (unsigned)(n >> 24), (unsigned)(n >> 16 & 0xff), (unsigned)(n >> 8 & 0xff),
                  (unsigned)(n & 0xff));
    pf_buf_printf(out, "addr add " NET_PREFIX "%u.%d/24 dev %s\nlink set %s up\n",
                  (unsigned)net->subnet, OUTSIDE, net->bridge, net->bridge);
}

void pf_hosts_put_cable(const struct pf_host *h, struct pf_buf *out)
{
    pf_buf_printf(out, "netns add %s\nlink add %s type veth peer name eth0 netns %s\n", h->name,
                  h->name, h->name);
}

void pf_hosts_put_plug(const struct pf_hosts_net *net, const struct pf_host *h, struct pf_buf *out)
{
    pf_buf_printf(out, "link set %s master %s up\n", h->name, net->bridge);
}

void pf_hosts_put_inside(const struct pf_host *h, struct pf_buf *out)
{
    pf_buf_printf(out, "link set lo up\naddr add %s/24 dev eth0\nlink set eth0 up\n", h->address);
    pf_buf_printf(out, "rule add pref %d lookup local\nrule del pref 0\n", PREF_LOCAL);
}

void pf_hosts_put_deaf(const char *from, struct pf_buf *out)
{
    if (from != NULL) {
        pf_buf_printf(out, "rule add pref %d from %s blackhole\n", PREF_DEAF, from);
    } else {
        pf_buf_printf(out, "rule flush pref %d\n", PREF_DEAF);
    }
}
