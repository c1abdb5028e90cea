/* SPDX-License-Identifier: Apache-2.0 */
/* From a LauncherStart to a child: what the message holds, as the child wants it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/launcher/launcher_internal.h"
#include "common/base/alloc.h"
#include "common/base/limits.h"

#define PROCS_FILE  "/cgroup.procs"
#define GROUPS_MAX  65536u /* the kernel's */
#define SEARCH_PATH "/usr/local/bin:/usr/bin:/bin"

static bool start_is_valid(struct LauncherStart s)
{
    return LauncherStart_path(s).len > 0 && LauncherStart_args__len(s) > 0 &&
           LauncherStart_args__len(s) <= PF_ARGS_MAX &&
           LauncherStart_groups__len(s) <= GROUPS_MAX &&
           LauncherStart_cgroups__len(s) <= PF_CGROUP_DIRS_MAX &&
           LauncherStart_rlimits__len(s) <= LAUNCHER_RLIMITS_MAX;
}

/* The parents of the container that it owns: each path is "PARENT/<its uuid>". 0 or errno. */
static int start_own(struct pf_launcher *l, struct proc *p, struct LauncherStart s)
{
    struct pf_str parent[PF_CGROUP_DIRS_MAX];
    uint32_t n = LauncherStart_cgroups__len(s);
    char uuid[PF_UUID_TEXT_LEN + 1];
    struct pf_err err = {0};

    pf_uuid_format(p->uuid, uuid);
    for (uint32_t i = 0; i < n; i++) {
        struct pf_str path = LauncherStart_cgroups__at(s, i);
        if (path.len <= PF_UUID_TEXT_LEN + 1 || path.at[path.len - PF_UUID_TEXT_LEN - 1] != '/' ||
            memcmp(path.at + path.len - PF_UUID_TEXT_LEN, uuid, PF_UUID_TEXT_LEN) != 0) {
            return EINVAL;
        }
        parent[i] = (struct pf_str){path.at, path.len - PF_UUID_TEXT_LEN - 1};
    }
    int rc = pf_cgroup_sets_find(l->dir_fd, &l->cgroups, parent, n, &p->cgroup_set, &err);
    return rc == 0 ? 0 : err.sys != 0 ? err.sys : rc == PF_ENOENT ? ENOENT : EINVAL;
}

void start_prepare(struct pf_launcher *l, struct proc *p)
{
    struct LauncherStart s =
        LauncherMessage_body_as_LauncherStart(LauncherMessage__from_bytes(p->start));
    const char *stage = "request";

    p->error = start_is_valid(s) ? 0 : EINVAL;
    if (p->error == 0 && LauncherStart_owns_cgroups(s) && LauncherStart_cgroups__len(s) > 0) {
        p->error = start_own(l, p, s);
        stage = "cgroup";
    }
    if (p->error != 0) {
        (void)snprintf(p->stage, sizeof p->stage, "%s", stage);
    }
}

/* What pf_spawn gets pointers to. */
struct vectors {
    char mark[sizeof LAUNCHER_ENV_NAME + 1 + PF_UUID_TEXT_LEN];
    char **argv; /* with a slot in front */
    char **envp;
    uint32_t *groups;
    struct pf_spawn_limit limit[LAUNCHER_RLIMITS_MAX];
    char *cgroup[PF_CGROUP_DIRS_MAX];
};

/* The texts of a vector as a NULL-ended array in one block, with `n_before` slots in front. */
static char **strings_before(uint32_t n_before, uint32_t n)
{
    char **at = pf_alloc(((size_t)n_before + n + 1) * sizeof *at);

    return at + n_before;
}

static void vectors_init(struct vectors *v, const struct proc *p, struct LauncherStart s)
{
    char uuid[PF_UUID_TEXT_LEN + 1];
    uint32_t n_env = LauncherStart_env__len(s);
    uint32_t n_args = LauncherStart_args__len(s);
    uint32_t n_groups = LauncherStart_groups__len(s);

    pf_uuid_format(p->uuid, uuid);
    (void)snprintf(v->mark, sizeof v->mark, "%s=%s", LAUNCHER_ENV_NAME, uuid);
    v->argv = strings_before(1, n_args);
    v->envp = strings_before(0, n_env + 1);
    v->groups = pf_alloc((n_groups + 1u) * sizeof *v->groups);
    v->envp[0] = v->mark;
    for (uint32_t i = 0; i < n_args; i++) {
        v->argv[i] = (char *)(uintptr_t)LauncherStart_args__at(s, i).at;
    }
    for (uint32_t i = 0; i < n_env; i++) {
        v->envp[i + 1] = (char *)(uintptr_t)LauncherStart_env__at(s, i).at;
    }
    for (uint32_t i = 0; i < n_groups; i++) {
        v->groups[i] = LauncherStart_groups__at(s, i);
    }
    for (uint32_t i = 0; i < LauncherStart_rlimits__len(s); i++) {
        struct LauncherRlimit r = LauncherStart_rlimits__at(s, i);
        v->limit[i] = (struct pf_spawn_limit){LauncherRlimit_resource(r),
                                              {LauncherRlimit_soft(r), LauncherRlimit_hard(r)}};
    }
    for (uint32_t i = 0; i < LauncherStart_cgroups__len(s); i++) {
        struct pf_str path = LauncherStart_cgroups__at(s, i);
        v->cgroup[i] = pf_alloc(path.len + sizeof PROCS_FILE);
        memcpy(v->cgroup[i], path.at, path.len);
        memcpy(v->cgroup[i] + path.len, PROCS_FILE, sizeof PROCS_FILE);
    }
}

static void vectors_fini(struct vectors *v)
{
    pf_free(v->argv - 1);
    pf_free(v->envp);
    pf_free(v->groups);
    for (size_t i = 0; i < PF_ARRAY_LEN(v->cgroup); i++) {
        pf_free(v->cgroup[i]);
    }
}

pid_t start_spawn(struct pf_launcher *l, const struct proc *p, struct LauncherStart s,
                  struct pf_spawn_failure *failure)
{
    struct vectors v = {.argv = NULL};
    struct pf_str search = LauncherStart_search_path(s);
    struct pf_str cwd = LauncherStart_cwd(s), sandbox = LauncherStart_sandbox(s);

    vectors_init(&v, p, s);
    const struct pf_spawn spawn = {
        .path = LauncherStart_path(s).at,
        .argv = v.argv,
        .envp = v.envp,
        .search_path = search.at != NULL ? search.at : SEARCH_PATH,
        .sandbox = sandbox.len > 0 ? sandbox.at : NULL,
        .cwd = cwd.len > 0       ? cwd.at
               : sandbox.len > 0 ? NULL
                                 : "/",
        .fd = {p->fd[0], p->fd[1], p->fd[2]},
        .set_ids = LauncherStart_set_ids(s),
        .uid = LauncherStart_uid(s),
        .gid = LauncherStart_gid(s),
        .groups = v.groups,
        .n_groups = LauncherStart_groups__len(s),
        .nofile = l->is_nofile_raised ? &l->nofile : NULL,
        .limits = v.limit,
        .n_limits = LauncherStart_rlimits__len(s),
        .cgroup_procs = (const char *const *)v.cgroup,
        .n_cgroups = LauncherStart_cgroups__len(s),
        .terminal = LauncherStart_terminal(s),
    };
    pid_t pid = pf_spawn(&l->stack, &spawn, failure);
    vectors_fini(&v);
    return pid;
}
