/* SPDX-License-Identifier: Apache-2.0 */
/* The launcher's set-up and its loop. */
#include "agent/launcher/launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/launcher/launcher_internal.h"
#include "common/base/alloc.h"

#define LAUNCHER_SOCKET "launcher.sock"
#define LAUNCHER_LOCK   "launcher.lock"
#define EVENTS_A_TURN   64
#define CLEAR_MS        2000

/* --- set-up ---------------------------------------------------------------------------------- */

/* The pid in the file is for people and for who wants to end us; the lock is what counts. */
static int lock_dir(struct pf_launcher *l, const struct pf_launcher_options *o,
                    struct pf_err *err)
{
    char text[32];

    if (o->instance != NULL) {
        l->lock_fd = o->lock_fd;
        return fcntl(l->lock_fd, F_SETFD, FD_CLOEXEC) == 0
                   ? 0
                   : pf_err_set_sys(err, PF_EINVAL, errno, "the lock of the former launcher");
    }
    l->lock_fd = openat(l->dir_fd, LAUNCHER_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (l->lock_fd < 0) {
        return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "open " LAUNCHER_LOCK);
    }
    if (flock(l->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        return errno == EWOULDBLOCK
                   ? pf_err_set(err, PF_EBUSY, "another launcher holds this directory")
                   : pf_err_set_sys(err, PF_EIO, errno, "lock " LAUNCHER_LOCK);
    }
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(l->lock_fd, 0) != 0 || write(l->lock_fd, text, (size_t)n) != n) {
        return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "write " LAUNCHER_LOCK);
    }
    return 0;
}

/* Dispositions at their defaults, so that children need not reset them; ours are waited for. */
static int take_signals(struct pf_launcher *l, struct pf_err *err)
{
    static const int waited[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP};
    sigset_t set;

    for (int signo = 1; signo <= SIGRTMAX; signo++) {
        (void)signal(signo, SIG_DFL); /* KILL, STOP and libc's own refuse */
    }
    (void)sigemptyset(&set); /* these two cannot fail with these arguments */
    for (size_t i = 0; i < PF_ARRAY_LEN(waited); i++) {
        (void)sigaddset(&set, waited[i]);
    }
    if (sigprocmask(SIG_SETMASK, &set, NULL) != 0) {
        return pf_err_set_sys(err, PF_EIO, errno, "block signals");
    }
    l->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (l->signal_fd < 0) {
        return pf_err_set_sys(err, PF_EIO, errno, "signalfd");
    }
    return 0;
}

static int read_boot_id(struct pf_launcher *l, struct pf_err *err)
{
    char text[PF_UUID_TEXT_LEN];

    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text) : -1;
    if (fd >= 0) {
        (void)close(fd); /* only read */
    }
    if (n != (ssize_t)sizeof text ||
        !pf_uuid_parse((struct pf_str){text, sizeof text}, &l->boot_id)) {
        return pf_err_set(err, PF_EIO, "no boot id in /proc/sys/kernel/random");
    }
    pf_uuid_format(l->boot_id, l->boot_text);
    return 0;
}

static void read_identity(struct pf_launcher *l, const char *instance)
{
    uint64_t seed = (uint64_t)launcher_wall_ms() ^ ((uint64_t)getpid() << 32);
    struct pf_rng rng;

    (void)!getrandom(&seed, sizeof seed, GRND_NONBLOCK); /* else the clock will do */
    pf_rng_seed(&rng, seed);
    pf_uuid_format(pf_uuid_random(&rng), l->instance);
    if (instance != NULL) {
        (void)snprintf(l->instance, sizeof l->instance, "%s", instance);
    }
    l->by_uuid.seed = pf_rng_next(&rng);
    l->by_pid.seed = pf_rng_next(&rng);
}

struct load_ctx {
    struct pf_launcher *l;
    bool is_other_boot;
};

static void proc_apply(struct pf_launcher *l, struct proc *p, const struct pf_journal_record *r)
{
    switch ((enum pf_journal_kind)r->kind) {
    case PF_JOURNAL_INTENT:
        p->state = LauncherState_STARTING;
        p->started_ms = r->at_ms;
        if (r->error > 0 && (uint32_t)r->error <= l->cgroups.n) {
            p->cgroup_set = (uint8_t)r->error;
        }
        break;
    case PF_JOURNAL_STARTED:
        p->state = LauncherState_RUNNING;
        p->pid = (pid_t)r->pid;
        p->start_time = r->start_time;
        p->started_ms = r->at_ms;
        break;
    case PF_JOURNAL_FAILED:
        p->state = LauncherState_FAILED;
        p->error = r->error;
        memcpy(p->stage, r->stage, sizeof p->stage - 1);
        p->ended_ms = r->at_ms;
        break;
    case PF_JOURNAL_EXITED:
        p->state = LauncherState_EXITED;
        p->wait_status = r->wait_status;
        p->ended_ms = r->at_ms;
        p->has_memory = memcmp(r->stage, PF_JOURNAL_MEMORY, sizeof PF_JOURNAL_MEMORY) == 0;
        if (p->has_memory) {
            p->oom_kills = r->error;
            p->memory_peak_bytes = (uint64_t)r->pid;
            p->memory_limit_bytes = r->start_time;
        }
        break;
    case PF_JOURNAL_BEGIN:
    case PF_JOURNAL_FORGOTTEN:
    case PF_JOURNAL_KIND_END: break;
    }
}

static void on_record(void *ctx, const struct pf_journal_record *r)
{
    struct load_ctx *c = ctx;

    if (r->kind == PF_JOURNAL_BEGIN) {
        c->is_other_boot = !pf_uuid_eq(r->uuid, c->l->boot_id);
        return;
    }
    struct proc *p = pf_map_get(&c->l->by_uuid, &r->uuid, sizeof r->uuid);
    if (r->kind == PF_JOURNAL_FORGOTTEN) {
        if (p != NULL) {
            proc_destroy(c->l, p);
        }
        return;
    }
    proc_apply(c->l, p != NULL ? p : proc_create(c->l, r->uuid), r);
}

static int recover(struct pf_launcher *l, struct pf_err *err)
{
    struct load_ctx c = {.l = l};
    uint32_t cursor = 0;
    struct proc *p;

    int rc = pf_cgroup_sets_load(l->dir_fd, &l->cgroups, err);
    if (rc == 0) {
        rc = pf_journal_load(l->dir_fd, on_record, &c, err);
    }
    if (rc != 0) {
        return rc;
    }
    while (c.is_other_boot && (p = pf_map_next(&l->by_uuid, &cursor)) != NULL) {
        if (proc_is_live(p)) { /* nothing outlives a boot */
            proc_lose(p);
        }
    }
    strays_adopt(l);
    return procs_rewrite_journal(l, err);
}

/* Bound by its short name in the working directory: no path is too long. */
static int listen_here(struct pf_launcher *l, struct pf_err *err)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = LAUNCHER_SOCKET};

    l->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->listen_fd < 0) {
        return pf_err_set_sys(err, PF_EIO, errno, "socket");
    }
    if (unlink(LAUNCHER_SOCKET) != 0 && errno != ENOENT) {
        return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "remove " LAUNCHER_SOCKET);
    }
    mode_t mask = umask(0177);
    int rc = bind(l->listen_fd, (const struct sockaddr *)&at, sizeof at);
    int sys = errno;
    (void)umask(mask); /* cannot fail */
    if (rc != 0 || listen(l->listen_fd, 16) != 0) {
        return pf_err_set_sys(err, pf_err_from_errno(rc != 0 ? sys : errno), rc != 0 ? sys : errno,
                              "listen on " LAUNCHER_SOCKET);
    }
    l->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (l->inotify_fd < 0 || inotify_add_watch(l->inotify_fd, ".", IN_DELETE | IN_MOVED_FROM) < 0) {
        return pf_err_set_sys(err, PF_EIO, errno, "watch the directory");
    }
    return 0;
}

/* A descriptor for each process: as many as we may. Children get the old limit back. */
static void raise_nofile(struct pf_launcher *l, uint64_t soft_of_children)
{
    if (getrlimit(RLIMIT_NOFILE, &l->nofile) != 0) {
        return;
    }
    struct rlimit most = {l->nofile.rlim_max, l->nofile.rlim_max};
    if (l->nofile.rlim_cur < most.rlim_cur) {
        l->is_nofile_raised = setrlimit(RLIMIT_NOFILE, &most) == 0;
    }
    if (soft_of_children > 0 && soft_of_children < l->nofile.rlim_cur) {
        l->nofile.rlim_cur = soft_of_children;
        l->is_nofile_raised = true;
    }
}

static int watch(struct pf_launcher *l, int fd, enum source source, struct pf_err *err)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = source};

    if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) != 0) {
        return pf_err_set_sys(err, PF_EIO, errno, "epoll");
    }
    return 0;
}

static int launcher_init(struct pf_launcher *l, const struct pf_launcher_options *o,
                         struct pf_err *err)
{
    int rc;

    if (chdir(o->dir) != 0) {
        return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "%s", o->dir);
    }
    l->dir_fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (l->dir_fd < 0) {
        return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "%s", o->dir);
    }
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll_fd < 0) {
        return pf_err_set_sys(err, PF_EIO, errno, "epoll");
    }
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
        return pf_err_set_sys(err, PF_EIO, errno, "become a subreaper");
    }
    read_identity(l, o->instance);
    raise_nofile(l, o->nofile);
    if ((rc = lock_dir(l, o, err)) != 0 || (rc = take_signals(l, err)) != 0 ||
        (rc = pf_spawn_stack_init(&l->stack, err)) != 0 || (rc = read_boot_id(l, err)) != 0 ||
        (rc = recover(l, err)) != 0 || (rc = listen_here(l, err)) != 0 ||
        (rc = watch(l, l->listen_fd, SOURCE_LISTEN, err)) != 0 ||
        (rc = watch(l, l->signal_fd, SOURCE_SIGNAL, err)) != 0 ||
        (rc = watch(l, l->inotify_fd, SOURCE_INOTIFY, err)) != 0) {
        return rc;
    }
    if (o->instance != NULL) {
        upgrade_take(l, o->kept_fd);
    }
    if (o->controller_fd >= 0) {
        controller_set(l, o->controller_fd);
    }
    return 0;
}

int pf_launcher_create(const struct pf_launcher_options *o, struct pf_launcher **out,
                       struct pf_err *err)
{
    struct pf_launcher *l = PF_NEW(struct pf_launcher);

    l->epoll_fd = l->dir_fd = l->lock_fd = l->listen_fd = l->signal_fd = l->inotify_fd = -1;
    l->journal.fd = -1;
    l->ctl.fd = -1;
    l->sweep_at_ms = INT64_MAX;
    l->ending_at_ms = INT64_MAX;
    STAILQ_INIT(&l->queue);
    STAILQ_INIT(&l->ending);
    STAILQ_INIT(&l->reaping);
    pf_fb_builder_init(&l->builder, NULL);
    int rc = launcher_init(l, o, err);
    if (rc != 0) {
        pf_launcher_destroy(l);
        return rc;
    }
    *out = l;
    return 0;
}

void pf_launcher_destroy(struct pf_launcher *l)
{
    struct pf_ptrs all = {0};
    uint32_t cursor = 0;
    struct proc *p;

    if (l == NULL) {
        return;
    }
    controller_close(l);
    while ((p = pf_map_next(&l->by_uuid, &cursor)) != NULL) {
        pf_ptrs_push(&all, p); /* the map must not change during the walk */
    }
    for (uint32_t i = 0; i < all.len; i++) {
        proc_destroy(l, all.at[i]);
    }
    pf_ptrs_fini(&all);
    const int fds[] = {l->epoll_fd,  l->dir_fd,    l->lock_fd,
                       l->listen_fd, l->signal_fd, l->inotify_fd};
    for (size_t i = 0; i < PF_ARRAY_LEN(fds); i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]); /* nothing to lose */
        }
    }
    pf_map_fini(&l->by_uuid);
    pf_map_fini(&l->by_pid);
    pf_journal_close(&l->journal);
    pf_free(l->upgrade_path);
    pf_cgroup_sets_fini(&l->cgroups);
    pf_spawn_stack_fini(&l->stack);
    pf_fb_builder_fini(&l->builder);
    pf_free(l);
}

/* --- the loop --------------------------------------------------------------------------------- */

/* Whoever may end our processes anyway: ourselves and root. */
static void on_connect(struct pf_launcher *l)
{
    struct ucred who = {0};
    socklen_t len = sizeof who;

    int fd = accept4(l->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        return; /* gone again, or out of descriptors: the agent tries again */
    }
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0 ||
        (who.uid != 0 && who.uid != geteuid())) {
        (void)close(fd); /* a stranger */
        return;
    }
    controller_set(l, fd);
}

static void on_signals(struct pf_launcher *l)
{
    struct signalfd_siginfo si[8];
    ssize_t n;

    while ((n = read(l->signal_fd, si, sizeof si)) > 0) {
        for (size_t i = 0; i < (size_t)n / sizeof si[0]; i++) {
            if (si[i].ssi_signo == SIGTERM || si[i].ssi_signo == SIGINT) {
                l->is_quitting = true;
                l->is_forced = true;
                procs_kill_all(l);
            } else if (si[i].ssi_signo == SIGHUP) {
                upgrade_to_own_file(l);
            } else if (si[i].ssi_signo == SIGCHLD && l->sweep_at_ms == INT64_MAX) {
                l->sweep_at_ms = launcher_now_ms() + LAUNCHER_SWEEP_MS;
            }
        }
        if ((size_t)n < sizeof si) {
            break;
        }
    }
}

static void on_dir_change(struct pf_launcher *l)
{
    char buf[4096];

    while (read(l->inotify_fd, buf, sizeof buf) > 0) {
        /* what changed is asked below */
    }
}

/* Nobody could reach us any more: what runs is ended, like everything else in a removed place. */
static bool is_out_of_reach(const struct pf_launcher *l)
{
    return l->ctl.fd < 0 && access(LAUNCHER_SOCKET, F_OK) != 0 && errno == ENOENT;
}

static void on_event(struct pf_launcher *l, const struct epoll_event *ev)
{
    uint64_t source = ev->data.u64;

    if (source == SOURCE_LISTEN) {
        on_connect(l);
    } else if (source == SOURCE_SIGNAL) {
        on_signals(l);
    } else if (source == SOURCE_INOTIFY) {
        on_dir_change(l);
    } else if (source == SOURCE_CONTROLLER + l->ctl.generation) {
        if (l->ctl.fd >= 0) {
            controller_on_ready(l, ev->events);
        }
    } else if (source > SOURCE_CONTROLLER + l->ctl.generation) {
        proc_on_ready(l, (struct proc *)(uintptr_t)source);
    }
}

static int timeout_ms(const struct pf_launcher *l)
{
    if (l->n_queued > 0) {
        return 0;
    }
    int64_t at_ms = l->sweep_at_ms < l->ending_at_ms ? l->sweep_at_ms : l->ending_at_ms;
    if (at_ms == INT64_MAX) {
        return -1;
    }
    int64_t left = at_ms - launcher_now_ms();
    return left <= 0 ? 0 : (int)(left < LAUNCHER_SWEEP_MS ? left : LAUNCHER_SWEEP_MS);
}

static void turn(struct pf_launcher *l, const struct epoll_event *ev, int n)
{
    bool has_dir_changed = false;
    bool had_controller = l->ctl.fd >= 0;

    for (int i = 0; i < n; i++) {
        has_dir_changed = has_dir_changed || ev[i].data.u64 == SOURCE_INOTIFY;
        on_event(l, &ev[i]);
    }
    if (l->sweep_at_ms != INT64_MAX && launcher_now_ms() >= l->sweep_at_ms) {
        strays_sweep(l);
    }
    if (l->ending_at_ms != INT64_MAX && launcher_now_ms() >= l->ending_at_ms) {
        procs_end_containers(l);
    }
    procs_reap(l);
    procs_start(l);
    controller_flush(l);
    procs_compact(l);
    if (l->upgrade_path != NULL && l->n_queued == 0 && !l->is_quitting) {
        upgrade_exec(l);
    }
    if ((has_dir_changed || (had_controller && l->ctl.fd < 0)) && is_out_of_reach(l)) {
        l->is_quitting = true;
        l->is_forced = true;
        procs_kill_all(l);
    }
}

int pf_launcher_run(struct pf_launcher *l, struct pf_err *err)
{
    struct epoll_event ev[EVENTS_A_TURN];

    controller_flush(l);
    while (!l->is_quitting || l->n_live > 0) {
        int n = epoll_wait(l->epoll_fd, ev, EVENTS_A_TURN, timeout_ms(l));
        if (n < 0 && errno != EINTR) {
            return pf_err_set_sys(err, PF_EIO, errno, "epoll_wait");
        }
        turn(l, ev, n);
        if (l->is_forced && l->n_queued > 0) {
            procs_kill_all(l); /* whoever was quicker than the end */
        }
    }
    strays_sweep(l); /* nothing is live: what is left is left over */
    (void)pf_cgroup_sets_clear(l->dir_fd, &l->cgroups, CLEAR_MS); /* the next agent tries again */
    (void)unlink(LAUNCHER_SOCKET); /* the next launcher would replace it */
    return 0;
}
