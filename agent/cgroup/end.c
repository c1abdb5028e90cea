/* SPDX-License-Identifier: Apache-2.0 */
/* Ending what is in a container, removing and listing containers. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/cgroup/cgroup_internal.h"

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* A walk through the processes of a container. */
struct walk {
    const char *parent, *name; /* for the check of membership */
    bool kills, checks;
    uint32_t n;
};

/* Is the process still in our container? Its number may be another's by now. */
static bool process_is_member(const struct walk *w, pid_t pid)
{
    char path[64];
    char text[CGROUP_TEXT_BYTES];
    char place[CGROUP_PATH_BYTES];
    const char *slash = strrchr(w->parent, '/');

    (void)snprintf(path, sizeof path, "/proc/%ld/cgroup", (long)pid);
    (void)snprintf(place, sizeof place, "%s/%s", slash != NULL ? slash : "", w->name);
    return cgroup_read(path, text) && strstr(text, place) != NULL;
}

static void process_kill(const struct walk *w, pid_t pid)
{
    if (pid <= 1) {
        return; /* 0: of a namespace that we do not see */
    }
    if (!w->checks) {             /* frozen: its number stays its own */
        (void)kill(pid, SIGKILL); /* gone is fine */
        return;
    }
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0) {
        return;
    }
    if (process_is_member(w, pid)) {
        (void)syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0); /* gone is fine */
    }
    (void)close(fd); /* a pidfd */
}

/* The numbers in cgroup.procs of `dir`, which may be many. */
static void procs_walk(struct walk *w, int dir)
{
    char text[4096];
    size_t have = 0;
    ssize_t n;

    int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return;
    }
    while ((n = read(fd, text + have, sizeof text - 1 - have)) > 0) {
        have += (size_t)n;
        text[have] = '\0';
        char *p = text;
        for (char *end; (end = strchr(p, '\n')) != NULL; p = end + 1) {
            w->n++;
            if (w->kills) {
                process_kill(w, (pid_t)strtol(p, NULL, 10));
            }
        }
        have -= (size_t)(p - text);
        memmove(text, p, have);
        if (have == sizeof text - 1) {
            break; /* no list of numbers */
        }
    }
    (void)close(fd); /* only read */
}

/* Opens the next directory of a stream; -1 at the end. */
static int subdir_next(DIR *d, const char **out_name)
{
    struct dirent *e;

    while ((e = readdir(d)) != NULL) {
        if (e->d_name[0] == '.' || (e->d_type != DT_DIR && e->d_type != DT_UNKNOWN)) {
            continue;
        }
        int fd = openat(dirfd(d), e->d_name, DIR_FLAGS);
        if (fd >= 0) {
            *out_name = e->d_name;
            return fd;
        }
    }
    return -1;
}

/* The processes of `dir` (taken) and of the cgroups below. */
static void tree_walk(struct walk *w, int dir, unsigned depth)
{
    struct stat st;
    const char *name;

    procs_walk(w, dir);
    if (depth == PF_CGROUP_DEPTH_MAX || fstat(dir, &st) != 0 || st.st_nlink <= 2) {
        (void)close(dir); /* only read */
        return;
    }
    DIR *d = fdopendir(dir);
    if (d == NULL) {
        (void)close(dir); /* only read */
        return;
    }
    for (int fd; (fd = subdir_next(d, &name)) >= 0;) {
        tree_walk(w, fd, depth + 1);
    }
    (void)closedir(d); /* only read */
}

static uint32_t container_walk(const struct pf_cgroups *c, uint32_t i, const char *name, bool kills,
                               bool checks)
{
    char path[CGROUP_PATH_BYTES];
    struct walk w = {c->dir[i].path, name, kills, checks, 0};

    if (cgroup_path(path, c->dir[i].path, name, NULL, NULL) != 0) {
        return 0;
    }
    int dir = open(path, DIR_FLAGS);
    if (dir < 0) {
        return 0;
    }
    tree_walk(&w, dir, 0);
    return w.n;
}

static int file_write(const struct pf_cgroups *c, uint32_t i, const char *name, const char *file,
                      const char *text)
{
    char path[CGROUP_PATH_BYTES];

    int rc = cgroup_path(path, c->dir[i].path, name, file, NULL);
    return rc == 0 ? cgroup_write(c->is_recorded, path, text, NULL) : rc;
}

/* The hierarchy with controller `bit`, n_dirs if there is none. */
static uint32_t dir_with(const struct pf_cgroups *c, unsigned bit)
{
    uint32_t i = 0;

    while (i < c->n_dirs && (c->dir[i].controllers & bit) == 0) {
        i++;
    }
    return i;
}

/* All processes are in every hierarchy of v1: one is walked. Frozen, none of them forks or escapes
 * the list; without a freezer they are forbidden to fork. */
static uint32_t kill_v1(const struct pf_cgroups *c, const char *name)
{
    uint32_t freezer = dir_with(c, PF_CGROUP_FREEZER);
    uint32_t pids = dir_with(c, PF_CGROUP_PIDS);
    uint32_t at = freezer < c->n_dirs ? freezer : pids < c->n_dirs ? pids : 0;

    uint32_t n = container_walk(c, at, name, false, false);
    if (n == 0) {
        return 0;
    }
    if (pids < c->n_dirs) {
        (void)file_write(c, pids, name, "pids.max", "0"); /* else it takes another pass */
    }
    bool is_frozen =
        freezer < c->n_dirs && file_write(c, freezer, name, "freezer.state", "FROZEN") == 0;
    (void)container_walk(c, at, name, true, !is_frozen);
    if (freezer < c->n_dirs) { /* also one that was frozen before: signals wait for this */
        (void)file_write(c, freezer, name, "freezer.state", "THAWED");
    }
    return n;
}

static uint32_t kill_v2(const struct pf_cgroups *c, const char *name)
{
    uint32_t n = container_walk(c, 0, name, false, false);

    if (n == 0) {
        return 0;
    }
    if (file_write(c, 0, name, "cgroup.kill", "1") != 0) { /* a kernel before 5.14 */
        (void)file_write(c, 0, name, "pids.max", "0");
        (void)file_write(c, 0, name, "cgroup.freeze", "1");
        (void)container_walk(c, 0, name, true, true);
        (void)file_write(c, 0, name, "cgroup.freeze", "0");
    }
    return n;
}

uint32_t pf_cgroup_kill(const struct pf_cgroups *c, const char *name)
{
    return c->n_dirs == 0 ? 0 : c->version == 2 ? kill_v2(c, name) : kill_v1(c, name);
}

/* --- removal ---------------------------------------------------------------------------------- */

/* Recorded trees have plain files, which the kernel's directories do not count. */
static void files_remove(DIR *d)
{
    struct dirent *e;

    while ((e = readdir(d)) != NULL) {
        if (e->d_type == DT_REG) {
            (void)unlinkat(dirfd(d), e->d_name, 0); /* what stays is told by the directory */
        }
    }
    rewinddir(d);
}

/* What is in directory `dir` (taken), as far as it can be removed. */
static void children_remove(bool is_recorded, int dir, unsigned depth)
{
    const char *name;

    DIR *d = fdopendir(dir);
    if (d == NULL) {
        (void)close(dir); /* only read */
        return;
    }
    if (is_recorded) {
        files_remove(d);
    }
    for (int fd; (fd = subdir_next(d, &name)) >= 0;) {
        if (depth < PF_CGROUP_DEPTH_MAX) {
            children_remove(is_recorded, fd, depth + 1);
        } else {
            (void)close(fd); /* only looked at */
        }
        (void)unlinkat(dirfd(d), name, AT_REMOVEDIR); /* its parent tells when it stayed */
    }
    (void)closedir(d); /* only read */
}

/* 0 or errno. */
static int dir_remove(const struct pf_cgroups *c, const char *path)
{
    if (rmdir(path) == 0 || errno == ENOENT) {
        return 0;
    }
    if (errno != EBUSY && errno != ENOTEMPTY) {
        return errno;
    }
    int dir = open(path, DIR_FLAGS);
    if (dir >= 0) {
        children_remove(c->is_recorded, dir, 0);
    }
    return rmdir(path) == 0 || errno == ENOENT ? 0 : errno;
}

int pf_cgroup_remove(const struct pf_cgroups *c, const char *name, struct pf_err *err)
{
    char path[CGROUP_PATH_BYTES];
    int first = 0;

    for (uint32_t i = 0; i < c->n_dirs; i++) {
        int rc = cgroup_path(path, c->dir[i].path, name, NULL, err);
        if (rc != 0) {
            return rc;
        }
        int sys = dir_remove(c, path);
        first = first != 0 ? first : sys;
    }
    if (first == 0) {
        return 0;
    }
    bool is_busy = first == EBUSY || first == ENOTEMPTY;
    return pf_err_set_sys(err, is_busy ? PF_EBUSY : pf_err_from_errno(first), first,
                          "remove cgroup %s", name);
}

void pf_cgroup_list(const struct pf_cgroups *c, pf_cgroup_list_fn *on_name, void *ctx)
{
    char path[CGROUP_PATH_BYTES];
    const char *name;

    for (uint32_t i = 0; i < c->n_dirs; i++) {
        DIR *d = opendir(c->dir[i].path);
        if (d == NULL) {
            continue;
        }
        for (int fd; (fd = subdir_next(d, &name)) >= 0;) {
            bool was_told = false;
            (void)close(fd); /* only looked at */
            for (uint32_t k = 0; k < i && !was_told; k++) {
                was_told = cgroup_path(path, c->dir[k].path, name, NULL, NULL) == 0 &&
                           access(path, F_OK) == 0;
            }
            if (!was_told) {
                on_name(ctx, name);
            }
        }
        (void)closedir(d); /* only read */
    }
}

void pf_cgroups_remove_empty(const struct pf_cgroups *c)
{
    for (uint32_t i = 0; i < c->n_dirs; i++) {
        (void)rmdir(c->dir[i].path); /* in use is fine */
    }
}

struct clearing {
    const struct pf_cgroups *c;
    struct pf_buf names; /* each with its NUL */
};

static void clearing_add(void *ctx, const char *name)
{
    struct clearing *x = ctx;

    pf_buf_add(&x->names, name, strlen(name) + 1);
}

uint32_t pf_cgroups_clear(const struct pf_cgroups *c)
{
    struct clearing x = {.c = c};
    uint32_t n_left = 0;

    pf_cgroup_list(c, clearing_add, &x);
    for (size_t at = 0; at < x.names.len;) {
        const char *name = (const char *)x.names.data + at;
        at += strlen(name) + 1;
        uint32_t n = pf_cgroup_kill(c, name);
        n_left += n > 0 || pf_cgroup_remove(c, name, NULL) != 0 ? 1 : 0;
    }
    pf_buf_fini(&x.names);
    for (uint32_t i = 0; n_left == 0 && i < c->n_dirs; i++) {
        (void)dir_remove(c, c->dir[i].path); /* it may be in use again */
    }
    return n_left;
}
