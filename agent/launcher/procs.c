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

#define PENDING_MAX_BYTES (4u << 20) /* of a journal that cannot be written */

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

void proc_destroy(struct pf_launcher *l, struct proc *p)
{
    (void)pf_map_del(&l->by_uuid, &p->uuid, sizeof p->uuid);
    if (p->pid_key != 0) {
        (void)pf_map_del(&l->by_pid, &p->pid_key, sizeof p->pid_key);
    }
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
    if (kind == PF_JOURNAL_EXITED) {
        r.wait_status = p->wait_status;
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
    (void)snprintf(p->stage, sizeof p->stage, "%s", stage);
    p->ended_ms = launcher_wall_ms();
    l->n_live--;
    fd_close(&p->stdin_fd);
    proc_drop_start(p);
    pf_journal_add(&l->journal, proc_record(p, PF_JOURNAL_FAILED));
    protocol_send_process(l, p, -1);
}

/* The texts of a vector as a NULL-ended array in one block, with `n_before` slots in front. */
static char **strings_before(uint32_t n_before, uint32_t n)
{
    char **at = pf_alloc(((size_t)n_before + n + 1) * sizeof *at);

    return at + n_before;
}

static bool start_is_valid(struct LauncherStart s)
{
    return LauncherStart_path(s).len > 0 && LauncherStart_args__len(s) > 0 &&
           LauncherStart_args__len(s) <= PF_ARGS_MAX && LauncherStart_groups__len(s) <= 65536;
}

static pid_t proc_spawn(struct pf_launcher *l, const struct proc *p, struct LauncherStart s,
                        struct pf_spawn_failure *failure)
{
    uint32_t n_args = LauncherStart_args__len(s);
    uint32_t n_env = LauncherStart_env__len(s);
    uint32_t n_groups = LauncherStart_groups__len(s);
    char uuid[PF_UUID_TEXT_LEN + 1];
    char mark[sizeof LAUNCHER_ENV_NAME + 1 + PF_UUID_TEXT_LEN];
    char **argv = strings_before(1, n_args);
    char **envp = strings_before(0, n_env + 1);
    uint32_t *groups = pf_alloc((n_groups + 1u) * sizeof *groups);

    pf_uuid_format(p->uuid, uuid);
    (void)snprintf(mark, sizeof mark, "%s=%s", LAUNCHER_ENV_NAME, uuid);
    envp[0] = mark;
    for (uint32_t i = 0; i < n_args; i++) {
        argv[i] = (char *)(uintptr_t)LauncherStart_args__at(s, i).at;
    }
    for (uint32_t i = 0; i < n_env; i++) {
        envp[i + 1] = (char *)(uintptr_t)LauncherStart_env__at(s, i).at;
    }
    for (uint32_t i = 0; i < n_groups; i++) {
        groups[i] = LauncherStart_groups__at(s, i);
    }
    struct pf_str search = LauncherStart_search_path(s);
    struct pf_str cwd = LauncherStart_cwd(s), sandbox = LauncherStart_sandbox(s);
    const struct pf_spawn spawn = {
        .path = LauncherStart_path(s).at,
        .argv = argv,
        .envp = envp,
        .search_path = search.at != NULL ? search.at : "/usr/local/bin:/usr/bin:/bin",
        .sandbox = sandbox.len > 0 ? sandbox.at : NULL,
        .cwd = cwd.len > 0 ? cwd.at : sandbox.len > 0 ? NULL : "/",
        .fd = {p->fd[0], p->fd[1], p->fd[2]},
        .set_ids = LauncherStart_set_ids(s),
        .uid = LauncherStart_uid(s),
        .gid = LauncherStart_gid(s),
        .groups = groups,
        .n_groups = n_groups,
        .nofile = l->is_nofile_raised ? &l->nofile : NULL,
    };
    pid_t pid = pf_spawn(&l->stack, &spawn, failure);
    pf_free(groups);
    pf_free(envp);
    pf_free(argv - 1);
    return pid;
}

static void proc_start(struct pf_launcher *l, struct proc *p)
{
    struct LauncherStart s = LauncherMessage_body_as_LauncherStart(
        LauncherMessage__from_bytes(p->start));
    struct pf_spawn_failure failure = {EINVAL, "request"};
    pid_t pid = -1;
    uint64_t ticks = pf_proc_ticks_now();

    if (start_is_valid(s)) {
        pid = proc_spawn(l, p, s, &failure);
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

    STAILQ_FOREACH(p, &l->queue, link) {
        if (n++ == LAUNCHER_STARTS_A_TURN) {
            break;
        }
        p->started_ms = launcher_wall_ms();
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

void proc_on_ready(struct pf_launcher *l, struct proc *p)
{
    siginfo_t si = {0};

    if (p->is_reaping || p->state != LauncherState_RUNNING) {
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
    p->state = LauncherState_EXITED;
    p->is_reaping = true;
    p->ended_ms = launcher_wall_ms();
    STAILQ_INSERT_TAIL(&l->reaping, p, link);
    /* As long as it is not reaped, the group's number is not given to others. */
    (void)kill(-p->pid, SIGKILL); /* nobody left is fine */
    pf_journal_add(&l->journal, proc_record(p, PF_JOURNAL_EXITED));
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
        (void)pf_map_del(&l->by_pid, &p->pid_key, sizeof p->pid_key);
        p->pid_key = 0;
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
    } else if (p->state == LauncherState_RUNNING) {
        (void)kill(-p->pid, signo); /* it ends on its own account, or has */
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
