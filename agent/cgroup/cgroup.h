/* SPDX-License-Identifier: Apache-2.0 */
/* Control groups of containers, v1 and v2 through one interface: found below the cgroup of a given
 * process, made, limited, read, ended, removed. Nothing outside the parents that
 * pf_cgroups_open makes is touched, but for the leaf that v2 wants for the process itself. Knows
 * no containers, only names below the parents. No state besides struct pf_cgroups: whoever holds an
 * equal one may act on the same containers, at the same time too. */
#ifndef PF_AGENT_CGROUP_CGROUP_H
#define PF_AGENT_CGROUP_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/buf.h"
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "common/base/str.h"

#define PF_CGROUP_DIRS_MAX  4
#define PF_CGROUP_DEPTH_MAX 16 /* of cgroups that a container made for itself */

enum pf_cgroup_controller {
    PF_CGROUP_CPU = 1,
    PF_CGROUP_MEMORY = 2,
    PF_CGROUP_PIDS = 4,
    PF_CGROUP_FREEZER = 8, /* v1 only; v2 has it always */
};

/* Parents of containers: one directory for each hierarchy. All zero = none. */
struct pf_cgroups {
    int version; /* 1 or 2, 0 = none */
    bool is_recorded; /* files of a test stand in for the kernel's: made and removed like others */
    uint32_t n_dirs;
    struct {
        char *path;           /* absolute, owned */
        unsigned controllers; /* enum pf_cgroup_controller, or-ed */
    } dir[PF_CGROUP_DIRS_MAX];
};

struct pf_cgroup_options {
    const char *root; /* in front of every path: "" = the machine's own, else a recorded tree */
    int64_t pid;      /* below whose cgroup */
    const char *name; /* the parents are called proffer-NAME */
};

/* Finds the hierarchies that `pid` is in and may write to, and makes the parents there. v2 is taken
 * where it has one of our controllers; there the process moves to a leaf `launcher`, as no cgroup
 * with controllers may hold processes and groups. PF_EACCESS: not permitted, `err` says why;
 * PF_ENOENT: there is none; PF_EIO. `*out` is filled on success only; pf_cgroups_fini frees it. */
PF_MUST_USE int pf_cgroups_open(const struct pf_cgroup_options *o, struct pf_cgroups *out,
                                struct pf_err *err);
/* The same from the paths of parents that were made by another process. PF_ENOENT: no cgroups;
 * PF_EINVAL: not called as parents are, so that nothing else is ever cleared. */
PF_MUST_USE int pf_cgroups_probe(const struct pf_str *path, uint32_t n, struct pf_cgroups *out,
                                 struct pf_err *err);
void pf_cgroups_fini(struct pf_cgroups *c); /* frees; the directories stay */
/* "cgroups v1: cpu memory pids freezer". */
void pf_cgroups_text(const struct pf_cgroups *c, struct pf_buf *out);

/* Kernel units; 0 = no limit. */
struct pf_cgroup_limits {
    uint64_t cpu_shares;   /* 1024 a cpu, as v1 counts; v2 gets 100 a cpu */
    uint64_t cpu_quota_us; /* of each 100 ms */
    uint64_t memory_bytes; /* swap included */
    uint64_t pids;
};

/* Makes container `name` with its limits; one that exists is limited as by pf_cgroup_limit. Errors
 * name the file; err->sys is errno. */
PF_MUST_USE int pf_cgroup_make(const struct pf_cgroups *c, const char *name,
                               const struct pf_cgroup_limits *limits, struct pf_err *err);
/* Changes limits. Memory is only raised: what a container holds already cannot be taken away. */
PF_MUST_USE int pf_cgroup_limit(const struct pf_cgroups *c, const char *name,
                                const struct pf_cgroup_limits *limits, struct pf_err *err);

struct pf_cgroup_usage {
    bool has_memory; /* the kernel counts it */
    uint64_t memory_bytes, memory_peak_bytes;
    uint64_t memory_limit_bytes; /* 0 = none */
    uint64_t oom_kills;          /* processes that the kernel ended for want of memory */
    uint64_t cpu_us;             /* 0 where it is not counted */
};
/* What cannot be read is 0. */
void pf_cgroup_usage(const struct pf_cgroups *c, const char *name, struct pf_cgroup_usage *out);

/* Signals KILL to all that is in container `name` and below it: one pass, which does not wait.
 * Returns how many processes it saw; 0 = it is empty, or is not there. To be repeated until then:
 * what got the signal needs a moment to end. The container starts nothing any more. */
PF_MUST_USE uint32_t pf_cgroup_kill(const struct pf_cgroups *c, const char *name);
/* Removes the empty container, with the cgroups that it made itself. One that is not there is
 * fine. PF_EBUSY: something is in it, or the kernel is not done: kill, and come again. */
PF_MUST_USE int pf_cgroup_remove(const struct pf_cgroups *c, const char *name,
                                 struct pf_err *err);
/* Tells each container once; it must not be removed meanwhile. */
typedef void pf_cgroup_list_fn(void *ctx, const char *name);
void pf_cgroup_list(const struct pf_cgroups *c, pf_cgroup_list_fn *on_name, void *ctx);
/* Removes parents that hold no container; pf_cgroup_make makes them again. */
void pf_cgroups_remove_empty(const struct pf_cgroups *c);
/* One pass of killing and removing all containers, then the parents. How many containers are
 * left. */
uint32_t pf_cgroups_clear(const struct pf_cgroups *c);

#endif
