/* SPDX-License-Identifier: Apache-2.0 */
/* As a subreaper the launcher inherits processes whose parent died. Those of a running launch stay;
 * those of an ended one are ended. A mark in the environment tells whose they are. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/launcher/launcher_internal.h"

#define MARK              LAUNCHER_ENV_NAME "="
#define MARK_LEN          (sizeof(MARK) - 1)
#define MARK_WHOLE_LEN    (MARK_LEN + PF_UUID_TEXT_LEN)
#define ENVIRON_MAX_BYTES (1u << 20)

/* The mark in `text`; only behind a NUL, or at the start of the environment. */
static bool mark_in(const char *text, size_t len, bool at_start, struct pf_uuid *out)
{
    const char *p = text;

    while (len - (size_t)(p - text) >= MARK_WHOLE_LEN) {
        p = memmem(p, len - (size_t)(p - text), MARK, MARK_LEN);
        if (p == NULL || len - (size_t)(p - text) < MARK_WHOLE_LEN) {
            return false;
        }
        bool is_begin = p == text ? at_start : p[-1] == '\0';
        if (is_begin && pf_uuid_parse((struct pf_str){p + MARK_LEN, PF_UUID_TEXT_LEN}, out)) {
            return true;
        }
        p++;
    }
    return false;
}

bool stray_launch_of(pid_t pid, struct pf_uuid *out)
{
    char text[4096];
    char path[64];
    size_t have = 0;
    size_t total = 0;
    bool is_found = false;
    bool at_start = true;

    (void)snprintf(path, sizeof path, "/proc/%ld/environ", (long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    while (!is_found && total < ENVIRON_MAX_BYTES) {
        ssize_t n = read(fd, text + have, sizeof text - have);
        if (n <= 0) {
            break;
        }
        total += (size_t)n;
        have += (size_t)n;
        is_found = mark_in(text, have, at_start, out);
        if (have > MARK_WHOLE_LEN) { /* keep what may be the begin of one, and the byte before */
            size_t keep = MARK_WHOLE_LEN;
            memmove(text, text + have - keep, keep);
            have = keep;
            at_start = false;
        }
    }
    (void)close(fd); /* only read */
    return is_found;
}

/* Is the launch of this child, which is none of our own, over? */
static bool stray_is_left_over(const struct pf_launcher *l, pid_t pid)
{
    struct pf_uuid launch;

    if (stray_launch_of(pid, &launch)) {
        const struct proc *p = pf_map_get(&l->by_uuid, &launch, sizeof launch);
        return p == NULL || proc_has_ended(p);
    }
    pid_t sid = getsid(pid);
    uint32_t key = (uint32_t)sid;
    if (sid > 0 && pf_map_get(&l->by_pid, &key, sizeof key) != NULL) {
        return false;
    }
    return l->n_live == 0; /* whose it is cannot be told */
}

/* true: it has ended, and is no child of ours any more. */
static bool stray_look(struct pf_launcher *l, pid_t pid)
{
    uint32_t key = (uint32_t)pid;
    siginfo_t si = {0};

    if (pf_map_get(&l->by_pid, &key, sizeof key) != NULL) {
        return false;
    }
    /* Ours to reap and not reaped yet: its number cannot mean another process. */
    if (waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG) != 0) {
        return false;
    }
    if (si.si_pid != 0) {
        return true;
    }
    if (stray_is_left_over(l, pid)) {
        (void)kill(pid, SIGKILL); /* its end raises SIGCHLD, which brings the next sweep */
    }
    return false;
}

/* Where pidfds ran out. */
static bool sweep_blind(struct pf_launcher *l)
{
    uint32_t cursor = 0;
    bool is_any = false;
    struct proc *p;

    while ((p = pf_map_next(&l->by_pid, &cursor)) != NULL) {
        if (p->pid_fd < 0 && p->state == LauncherState_RUNNING && !p->is_ending) {
            if (p->is_child || pf_proc_start_time(p->pid) != p->start_time) {
                proc_on_ready(l, p);
            }
            is_any = true;
        }
    }
    return is_any;
}

void strays_sweep(struct pf_launcher *l)
{
    char text[4096];
    size_t have = 0;
    bool is_long = false;
    bool has_reaped = false;

    l->sweep_at_ms = sweep_blind(l) ? launcher_now_ms() + LAUNCHER_SWEEP_MS : INT64_MAX;
    int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    for (;;) {
        ssize_t n = read(fd, text + have, sizeof text - 1 - have);
        if (n <= 0) {
            break;
        }
        is_long = is_long || (size_t)n > sizeof text / 2;
        have += (size_t)n;
        text[have] = '\0';
        char *p = text;
        for (char *end; (end = strchr(p, ' ')) != NULL; p = end + 1) {
            has_reaped = stray_look(l, (pid_t)strtol(p, NULL, 10)) || has_reaped;
        }
        have -= (size_t)(p - text);
        memmove(text, p, have);
    }
    (void)close(fd); /* only read */
    if (is_long && has_reaped) {
        /* Each read goes on by counting the children that are there: it passes over as many as were
         * reaped since the one before. What it has not told is looked at in the next turn. */
        l->sweep_at_ms = launcher_now_ms();
    }
}

/* Calls `look` for every process that carries the mark of a launch we know. */
static void proc_fs_walk(struct pf_launcher *l,
                         void (*look)(struct pf_launcher *l, struct proc *p, pid_t pid))
{
    DIR *dir = opendir("/proc");
    struct dirent *e;
    struct pf_uuid launch;

    if (dir == NULL) {
        return;
    }
    while ((e = readdir(dir)) != NULL) {
        long pid = strtol(e->d_name, NULL, 10);
        if (pid > 0 && pid != getpid() && stray_launch_of((pid_t)pid, &launch)) {
            struct proc *p = pf_map_get(&l->by_uuid, &launch, sizeof launch);
            if (p != NULL) {
                look(l, p, (pid_t)pid);
            }
        }
    }
    (void)closedir(dir); /* only read */
}

/* A dangling intent: its process leads a session of its own, and is none that is known (a mark is
 * what a process makes of its environment). */
static void adopt_dangling(struct pf_launcher *l, struct proc *p, pid_t pid)
{
    uint32_t key = (uint32_t)pid;

    if (p->state == LauncherState_STARTING && getsid(pid) == pid &&
        pf_map_get(&l->by_pid, &key, sizeof key) == NULL) {
        p->state = LauncherState_RUNNING;
        p->pid = pid;
        p->start_time = pf_proc_start_time(pid);
        p->started_ms = p->started_ms > 0 ? p->started_ms : launcher_wall_ms();
        proc_watch(l, p);
    }
}

static void kill_left_over(struct pf_launcher *l, struct proc *p, pid_t pid)
{
    struct pf_uuid launch;

    (void)l;
    if (!proc_has_ended(p) && !p->is_ending) {
        return;
    }
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd >= 0 && stray_launch_of(pid, &launch) && pf_uuid_eq(launch, p->uuid)) {
        (void)syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0); /* gone is fine */
    }
    if (fd >= 0) {
        (void)close(fd); /* a pidfd */
    }
}

void strays_adopt(struct pf_launcher *l)
{
    uint32_t cursor = 0;
    struct proc *p;

    if (l->by_uuid.len == 0) {
        return;
    }
    while ((p = pf_map_next(&l->by_uuid, &cursor)) != NULL) {
        if (p->state == LauncherState_RUNNING && pf_proc_start_time(p->pid) == p->start_time) {
            siginfo_t si;
            p->is_child = waitid(P_PID, (id_t)p->pid, &si, WEXITED | WNOHANG | WNOWAIT) == 0;
            proc_watch(l, p);
        } else if (p->state == LauncherState_RUNNING) {
            proc_lose_later(l, p);
        }
    }
    proc_fs_walk(l, adopt_dangling);
    cursor = 0;
    while ((p = pf_map_next(&l->by_uuid, &cursor)) != NULL) {
        if (p->state == LauncherState_STARTING) {
            proc_lose_later(l, p);
        }
        l->n_live += proc_is_live(p) ? 1 : 0;
    }
    proc_fs_walk(l, kill_left_over);
}
