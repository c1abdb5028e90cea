/* SPDX-License-Identifier: Apache-2.0 */
/* The shape of a local cluster: what `up` was asked for, whether a running one is the same, and how
 * a machine is divided between its agents. Pure. */
#ifndef PF_FRAMEWORK_CLI_SHAPE_H
#define PF_FRAMEWORK_CLI_SHAPE_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/arena.h"
#include "common/base/compiler.h"
#include "common/fb/build.h"
#include "framework/cli/local_schema.h"

#define PF_SHAPE_AGENTS_MAX     1024
#define PF_SHAPE_MASTERS_MAX    5
#define PF_SHAPE_ZK_MAX         3
#define PF_SHAPE_ATTRIBUTES_MAX 64

struct pf_shape {
    uint32_t agents, fake_agents;
    uint32_t masters;              /* 0 counts as 1 */
    uint32_t zk_servers;           /* 0: one master alone, with its registry in its directory */
    bool has_relays;               /* everything goes through them, for drills */
    bool has_hosts;                /* each daemon has a network namespace, for drills */
    int64_t cpus_milli, mem_bytes; /* of each agent; -1 = its part of the machine */
    struct pf_str attribute[PF_SHAPE_ATTRIBUTES_MAX]; /* "NAME=VALUE" of each agent */
    uint32_t n_attributes;
    const char *listen, *http;     /* of the first master; NULL = the defaults, or what is free */
};

/* What a machine has. */
struct pf_shape_machine {
    int64_t cpus_milli, mem_bytes, disk_bytes;
    uint32_t port_begin, port_end; /* for tasks, inclusive */
};

struct pf_ref pf_shape_put(struct pf_fb_builder *b, const struct pf_shape *s);
/* What differs between a running cluster and what is asked for ("2 agents, not 1"), in the arena;
 * NULL = nothing. */
const char *pf_shape_difference(struct LocalShape running, const struct pf_shape *asked,
                                struct pf_arena *arena);
/* Whole amounts less what the system itself needs, as Mesos does: memory less 1 GiB (half of it
 * below 2 GiB), disk less 5 GiB (half below 10). */
struct pf_shape_machine pf_shape_machine_of(uint32_t cpus, uint64_t mem_bytes, uint64_t disk_bytes);
/* "cpus:1;mem:512;disk:...;ports:[...]" of agent `i`. */
const char *pf_shape_resources(const struct pf_shape *s, const struct pf_shape_machine *m,
                               uint32_t i, struct pf_arena *arena);
/* The same for each simulated agent: not a part of this machine. */
const char *pf_shape_fake_resources(const struct pf_shape *s, struct pf_arena *arena);
/* "name:value;name:value", NULL if there are none. */
const char *pf_shape_attributes(const struct pf_shape *s, struct pf_arena *arena);

#endif
