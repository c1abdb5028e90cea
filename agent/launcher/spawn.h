/* SPDX-License-Identifier: Apache-2.0 */
/* Starts one program: a child that shares our memory until it executes (clone VM|VFORK on a stack
 * of its own), so that the cost does not grow with the parent and a failure can tell its stage.
 * Knows no names of users and no protocol. The caller keeps 0, 1 and 2 open, every other descriptor
 * close-on-exec, and all dispositions of signals at their defaults. */
#ifndef PF_AGENT_LAUNCHER_SPAWN_H
#define PF_AGENT_LAUNCHER_SPAWN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>
#include "common/base/compiler.h"
#include "common/base/err.h"

/* As prlimit64 wants it. */
struct pf_spawn_limit {
    uint32_t resource;
    struct {
        uint64_t soft, hard;
    } value;
};

struct pf_spawn {
    const char *path;        /* with '/': as it is; else looked for */
    char **argv;             /* NULL behind the end; argv[-1] is writable (scripts without #!) */
    char **envp;
    const char *search_path; /* "a:b"; "" and an empty part mean the working directory */
    const char *sandbox;     /* entered first, still with our own ids; NULL: none */
    const char *cwd;         /* then this, as the task's user; NULL: stays in the sandbox */
    int fd[3];               /* each >= 3 */
    bool set_ids;
    uint32_t uid, gid;
    const uint32_t *groups;
    uint32_t n_groups;
    const struct rlimit *nofile; /* limit to restore; NULL = leave as it is */
    const struct pf_spawn_limit *limits; /* with our rights: hard ones may be raised */
    uint32_t n_limits;
    const char *const *cgroup_procs; /* files `cgroup.procs` to enter by, still with our own ids */
    uint32_t n_cgroups;
    bool terminal; /* fd[0] is one, and becomes the session's */
};

/* What went wrong: errno and where ("setsid", "limit", "groups", "setgid", "setuid", "chdir",
 * "stdio", "tty", "cgroup", "exec", "clone"; static text). */
struct pf_spawn_failure {
    int error;
    const char *stage;
};

/* The child's stack; one for all spawns of a process. */
struct pf_spawn_stack {
    void *base;
    size_t bytes;
};
PF_MUST_USE int pf_spawn_stack_init(struct pf_spawn_stack *s, struct pf_err *err);
void pf_spawn_stack_fini(struct pf_spawn_stack *s);

/* Returns when the child has executed (its pid, leader of a session of its own) or failed (-1,
 * `*out_failure` set, nothing left to wait for). */
PF_MUST_USE pid_t pf_spawn(const struct pf_spawn_stack *stack, const struct pf_spawn *s,
                           struct pf_spawn_failure *out_failure);

/* Start time of a process in clock ticks since boot, as in /proc/PID/stat; 0 if it does not
 * exist. */
uint64_t pf_proc_start_time(pid_t pid);
/* CLOCK_BOOTTIME in the same unit. */
uint64_t pf_proc_ticks_now(void);

#endif
