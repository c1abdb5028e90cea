/* SPDX-License-Identifier: Apache-2.0 */
/* The launches: a start is journaled as an intent, then made; an end is seen without reaping, its
 * group is ended, it is journaled, and only then reaped. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/launcher/launcher_internal.h"
#include "common/base/alloc.h"
#include "common/base/limits.h"

#define PENDING_MAX_BYTES  (4u << 20) /* of a journal that cannot be written */
#define ENDING_PASS_MS     1          /* from a KILL to the next look; longer where it takes long */
#define ENDING_PASS_MAX_MS 50

int64_t launcher_wall_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t); /* cannot fail */
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t launcher_now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail */
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct proc *proc_create(struct pf_launcher *l, struct pf_uuid uuid)
{
    struct proc *p = PF_NEW(struct proc);

    p->uuid = uuid;
    p->pid_fd = -1;
    p->stdin_fd = -1;
    p->fd[0] = p->fd[1] = p->fd[2] = -1;
    pf_map_put(&l->by_uuid, &p->uuid, sizeof p->uuid, p);
    return p;
}

static void fd_close(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd); /* pipes, files of others: their errors are not ours */
        *fd = -1;
    }
}

static void proc_drop_start(struct proc *p)
{
    for (int i = 0; i < 3; i++) {
        fd_close(&p->fd[i]);
    }
    pf_free((void *)(uintptr_t)p->start.at);
    p->start = (struct pf_bytes){NULL, 0};
}

/* Closing is not enough to leave epoll: a child that is between its start and the closing of what
 * is close-on-exec holds a copy for a moment (exec lets the parent of a vfork go before it closes),
 * and the event of a forgotten process would come back. */
static void proc_unwatch(struct pf_launcher *l, struct proc *p)
{
    if (p->pid_fd >= 0) {
        (void)epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, p->pid_fd, NULL); /* it is in it */
        fd_close(&p->pid_fd);
    }
}

/* Its number may be another's from now on. */
static void proc_drop_pid(struct pf_launcher *l, struct proc *p)
{
    if (p->pid_key != 0) {
        (void)pf_map_del(&l->by_pid, &p->pid_key, sizeof p->pid_key);
        p->pid_key = 0;
    }
}

void proc_destroy(struct pf_launcher *l, struct proc *p)
{
    (void)pf_map_del(&l->by_uuid, &p->uuid, sizeof p->uuid);
    proc_drop_pid(l, p);
    proc_drop_start(p);
    proc_unwatch(l, p);
    fd_close(&p->stdin_fd);
    pf_free(p);
}

struct proc *proc_find(const struct pf_launcher *l, struct pf_bytes uuid)
{
    return uuid.len == sizeof(struct pf_uuid) ? pf_map_get(&l->by_uuid, uuid.at, uuid.len) : NULL;
}

bool proc_is_live(const struct proc *p)
{
    return p->state == LauncherState_STARTING || p->state == LauncherState_RUNNING;
}

void proc_lose(struct proc *p)
{
    p->state = LauncherState_EXITED;
    p->wait_status = LAUNCHER_STATUS_LOST;
    p->ended_ms = launcher_wall_ms();
}

bool proc_has_ended(const struct proc *p)
{
    return !proc_is_live(p);
}

void proc_watch(struct pf_launcher *l, struct proc *p)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = (uint64_t)(uintptr_t)p};

    p->pid_key = (uint32_t)p->pid;
    pf_map_put(&l->by_pid, &p->pid_key, sizeof p->pid_key, p);
    p->pid_fd = (int)syscall(SYS_pidfd_open, p->pid, 0);
    if (p->pid_fd >= 0 && epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, p->pid_fd, &ev) != 0) {
        fd_close(&p->pid_fd);
    }
    if (p->pid_fd < 0) {
        l->sweep_at_ms = 0; /* it may be gone; else each sweep looks at it */
    }
}

static struct pf_journal_record proc_record(const struct proc *p, enum pf_journal_kind kind)
{
    struct pf_journal_record r = {.kind = (uint8_t)kind, .uuid = p->uuid};

    r.pid = p->pid;
    r.start_time = p->start_time;
    r.at_ms = kind == PF_JOURNAL_STARTED || kind == PF_JOURNAL_INTENT ? p->started_ms : p->ended_ms;
    if (kind == PF_JOURNAL_INTENT) {
        r.error = p->cgroup_set;
    } else if (kind == PF_JOURNAL_EXITED) {
        r.wait_status = p->wait_status;
        if (p->has_memory) {
            memcpy(r.stage, PF_JOURNAL_MEMORY, sizeof PF_JOURNAL_MEMORY);
            r.error = p->oom_kills;
            r.pid = (int64_t)p->memory_peak_bytes;
            r.start_time = p->memory_limit_bytes;
        }
    } else if (kind == PF_JOURNAL_FAILED) {
        r.error = p->error;
        memcpy(r.stage, p->stage, sizeof r.stage);
    }
    return r;
}

/* A failure keeps what was gathered for the next try; a full disk must not fill the memory. */
static int journal_flush(struct pf_launcher *l)
{
    int sys = pf_journal_flush(&l->journal);

    if (sys != 0 && l->journal.pending.len > PENDING_MAX_BYTES) {
        pf_journal_drop(&l->journal);
    }
    return sys;
}

static void proc_fail(struct pf_launcher *l, struct proc *p, int error, const char *stage)
{
    p->state = LauncherState_FAILED;
    p->error = error;
    if (stage != p->stage) {
        (void)snprintf(p->stage, sizeof p->stage, "%s", stage);
    }
    p->ended_ms = launcher_wall_ms();
    l->n_live--;
    fd_close(&p->stdin_fd);
    proc_drop_start(p);
    pf_journal_add(&l->journal, proc_record(p, PF_JOURNAL_FAILED));
    protocol_send_process(l, p, -1);
}

static void proc_start(struct pf_launcher *l, struct proc *p)
{
    struct LauncherStart s =
        LauncherMessage_body_as_LauncherStart(LauncherMessage__from_bytes(p->start));
    struct pf_spawn_failure failure = {p->error, p->stage};
    pid_t pid = -1;
    uint64_t ticks = pf_proc_ticks_now();

    if (p->error == 0) {
        pid = start_spawn(l, p, s, &failure);
    }
    if (pid < 0) {
        proc_fail(l, p, failure.error, failure.stage);
        return;
    }
    p->pid = pid;
    /* The kernel read the same clock in between: within one tick there is nothing to ask. */
    p->start_time = ticks == pf_proc_ticks_now() ? ticks : pf_proc_start_time(pid);
    p->is_child = true;
    p->state = LauncherState_RUNNING;
    p->started_ms = launcher_wall_ms();
    proc_drop_start(p);
    pf_journal_add(&l->journal, proc_record(p, PF_JOURNAL_STARTED));
    proc_watch(l, p);
    protocol_send_process(l, p, -1);
}

void procs_start(struct pf_launcher *l)
{
    struct proc *p;
    uint32_t n = 0;

    STAILQ_FOREACH(p, &l->queue, link)
    {
        if (n++ == LAUNCHER_STARTS_A_TURN) {
            break;
        }
        p->started_ms = launcher_wall_ms();
        start_prepare(l, p);
        pf_journal_add(&l->journal, proc_record(p, PF_JOURNAL_INTENT));
    }
    if (n == 0) {
        return;
    }
    int sys = journal_flush(l);
    for (n = 0; n < LAUNCHER_STARTS_A_TURN && (p = STAILQ_FIRST(&l->queue)) != NULL; n++) {
        STAILQ_REMOVE_HEAD(&l->queue, link);
        p->is_queued = false;
        l->n_queued--;
        if (sys != 0) {
            proc_fail(l, p, sys, "journal");
        } else {
            proc_start(l, p);
        }
    }
    (void)journal_flush(l); /* kept for the next try; the processes run already */
}

static int32_t status_of(const siginfo_t *si)
{
    if (si->si_code == CLD_EXITED) {
        return (int32_t)((uint32_t)si->si_status << 8);
    }
    return si->si_status | (si->si_code == CLD_DUMPED ? 0x80 : 0);
}

/* All of it has ended: the end can be told. */
static void proc_ended(struct pf_launcher *l, struct proc *p)
{
    const struct pf_cgroups *c = pf_cgroup_sets_at(&l->cgroups, p->cgroup_set);
    char name[PF_UUID_TEXT_LEN + 1];

    if (c != NULL) {
        struct pf_cgroup_usage u;
        pf_uuid_format(p->uuid, name);
        pf_cgroup_usage(c, name, &u);
        p->has_memory = u.has_memory;
        p->oom_kills = u.oom_kills < INT32_MAX ? (int32_t)u.oom_kills : INT32_MAX;
        p->memory_peak_bytes = u.memory_peak_bytes;
        p->memory_limit_bytes = u.memory_limit_bytes;
    }
    p->state = LauncherState_EXITED;
    p->is_reaping = true;
    STAILQ_INSERT_TAIL(&l->reaping, p, link);
    pf_journal_add(&l->journal, proc_record(p, PF_JOURNAL_EXITED));
}

/* One pass of KILL over what is left in its container. True: it is empty, or there is none. */
static bool container_end(const struct pf_launcher *l, const struct proc *p)
{
    const struct pf_cgroups *c = pf_cgroup_sets_at(&l->cgroups, p->cgroup_set);
    char name[PF_UUID_TEXT_LEN + 1];

    if (c == NULL) {
        return true;
    }
    pf_uuid_format(p->uuid, name);
    return pf_cgroup_kill(c, name) == 0;
}

static void proc_end_later(struct pf_launcher *l, struct proc *p)
{
    p->is_ending = true;
    p->ending_since_ms = launcher_now_ms();
    STAILQ_INSERT_TAIL(&l->ending, p, link);
    if (l->ending_at_ms > p->ending_since_ms + ENDING_PASS_MS) {
        l->ending_at_ms = p->ending_since_ms + ENDING_PASS_MS;
    }
}

void proc_lose_later(struct pf_launcher *l, struct proc *p)
{
    if (p->cgroup_set == 0) {
        proc_lose(p);
        return;
    }
    p->wait_status = LAUNCHER_STATUS_LOST;
    p->ended_ms = launcher_wall_ms();
    proc_end_later(l, p);
}

void procs_end_containers(struct pf_launcher *l)
{
    struct proc_list ending = STAILQ_HEAD_INITIALIZER(ending);
    int64_t now_ms = launcher_now_ms();
    struct proc *p;

    l->ending_at_ms = INT64_MAX;
    STAILQ_CONCAT(&ending, &l->ending);
    while ((p = STAILQ_FIRST(&ending)) != NULL) {
        int64_t since_ms = now_ms - p->ending_since_ms;
        int64_t pause_ms = since_ms / 4;
        bool is_empty = container_end(l, p);
        STAILQ_REMOVE_HEAD(&ending, link);
        if (is_empty || since_ms >= LAUNCHER_ENDING_MS) {
            if (!is_empty) {
                (void)fprintf(stderr, "warn container does not end pid=%ld\n", (long)p->pid);
            }
            p->is_ending = false;
            proc_ended(l, p);
            continue;
        }
        STAILQ_INSERT_TAIL(&l->ending, p, link);
        pause_ms = pause_ms < ENDING_PASS_MS ? ENDING_PASS_MS : pause_ms;
        pause_ms = pause_ms < ENDING_PASS_MAX_MS ? pause_ms : ENDING_PASS_MAX_MS;
        l->ending_at_ms = l->ending_at_ms < now_ms + pause_ms ? l->ending_at_ms : now_ms + pause_ms;
    }
}

/* As long as our child is not reaped, the group's number is not given to others. Another's child
 * may be reaped, and its number another process's by now. */
static bool group_is_own(const struct proc *p)
{
    uint64_t start_time = p->is_child ? p->start_time : pf_proc_start_time(p->pid);

    return start_time == 0 || start_time == p->start_time;
}

void proc_on_ready(struct pf_launcher *l, struct proc *p)
{
    siginfo_t si = {0};

    if (p->is_reaping || p->is_ending || p->state != LauncherState_RUNNING) {
        return;
    }
    if (p->is_child) {
        if (waitid(P_PID, (id_t)p->pid, &si, WEXITED | WNOHANG | WNOWAIT) != 0 || si.si_pid == 0) {
            return;
        }
        p->wait_status = status_of(&si);
    } else {
        p->wait_status = LAUNCHER_STATUS_LOST; /* another launcher's child */
    }
    p->ended_ms = launcher_wall_ms();
    if (group_is_own(p)) {
        (void)kill(-p->pid, SIGKILL); /* nobody left is fine */
    }
    if (container_end(l, p)) {
        proc_ended(l, p);
    } else {
        proc_unwatch(l, p); /* what is ready stays ready until it is reaped */
        if (!p->is_child) {
            proc_drop_pid(l, p);
        }
        proc_end_later(l, p);
    }
}

void procs_reap(struct pf_launcher *l)
{
    struct proc *p;

    if (STAILQ_EMPTY(&l->reaping)) {
        return;
    }
    (void)journal_flush(l); /* kept for the next try; the agent is told in any case */
    while ((p = STAILQ_FIRST(&l->reaping)) != NULL) {
        STAILQ_REMOVE_HEAD(&l->reaping, link);
        p->is_reaping = false;
        if (p->is_child) {
            siginfo_t si;
            (void)waitid(P_PID, (id_t)p->pid, &si, WEXITED | WNOHANG); /* it is a zombie */
        }
        proc_unwatch(l, p);
        fd_close(&p->stdin_fd);
        proc_drop_pid(l, p);
        l->n_live--;
        protocol_send_process(l, p, -1);
    }
    if (l->sweep_at_ms == INT64_MAX) {
        l->sweep_at_ms = launcher_now_ms() + LAUNCHER_SWEEP_MS;
    }
}

void proc_signal(struct pf_launcher *l, struct proc *p, int signo)
{
    if (p->is_queued && (signo == SIGKILL || signo == SIGTERM)) {
        STAILQ_REMOVE(&l->queue, p, proc, link);
        p->is_queued = false;
        l->n_queued--;
        proc_fail(l, p, ECANCELED, "killed");
    } else if (p->is_ending) {
        return; /* it has ended, its number may be another's; what it left is being killed */
    } else if (p->state == LauncherState_RUNNING) {
        (void)kill(-p->pid, signo); /* it ends on its own account, or has */
        if (signo == SIGKILL) {
            (void)container_end(l, p); /* its end looks again */
        }
    }
}

void procs_kill_all(struct pf_launcher *l)
{
    uint32_t cursor = 0;
    struct proc *p;

    while ((p = pf_map_next(&l->by_uuid, &cursor)) != NULL) {
        proc_signal(l, p, SIGKILL);
    }
}

int procs_rewrite_journal(struct pf_launcher *l, struct pf_err *err)
{
    struct pf_journal fresh = {.fd = -1};
    uint32_t cursor = 0;
    struct proc *p;

    int rc = pf_journal_rewrite(&fresh, l->dir_fd, l->boot_id, getpid(), err);
    if (rc != 0) {
        return rc;
    }
    while ((p = pf_map_next(&l->by_uuid, &cursor)) != NULL) {
        pf_journal_add(&fresh, proc_record(p, PF_JOURNAL_INTENT));
        if (p->pid > 0) {
            pf_journal_add(&fresh, proc_record(p, PF_JOURNAL_STARTED));
        }
        if (p->state == LauncherState_FAILED) {
            pf_journal_add(&fresh, proc_record(p, PF_JOURNAL_FAILED));
        } else if (proc_has_ended(p)) {
            pf_journal_add(&fresh, proc_record(p, PF_JOURNAL_EXITED));
        }
    }
    rc = pf_journal_rewritten(&fresh, err);
    if (rc != 0) {
        pf_journal_close(&fresh);
        return rc;
    }
    pf_journal_close(&l->journal);
    l->journal = fresh;
    return 0;
}

void procs_compact(struct pf_launcher *l)
{
    struct pf_err err = {0};

    if (pf_journal_is_bloated(&l->journal, 3 * (uint64_t)l->by_uuid.len) &&
        procs_rewrite_journal(l, &err) != 0) {
        (void)fprintf(stderr, "warn journal not rewritten error=\"%s\"\n", err.msg);
    }
}
