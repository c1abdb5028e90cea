/* SPDX-License-Identifier: Apache-2.0 */
/* Carries out what supervise.c decides: processes, pipes, signals, timers, cluster.json. */
#include "framework/cli/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "common/fb/json.h"
#include "common/net/keyfile.h"
#include "common/net/loop.h"
#include "common/sys/boot.h"
#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/file.h"
#include "framework/cli/local.h"
#include "framework/cli/spawn.h"
#include "framework/cli/supervise.h"
#include "framework/cli/supervisor_internal.h"

enum { READY_LINE_MAX = 4096, LAST_WORDS_MAX = 160 };

static const char *const phase_names[] = {"starting", "up", "stopping", "down"};
static const char *const state_names[PF_SUP_STATE_COUNT] = {
    "idle", "starting", "ready", "restarting", "stopping", "cleaning", "stopped"};

static void step(struct pf_supervisor *s, enum pf_sup_event event, uint32_t child);

/* --- cluster.json ---------------------------------------------------------------------------- */

static struct pf_msg describe(struct pf_supervisor *s, struct pf_fb_builder *b)
{
    struct pf_ref *refs = pf_alloc(s->n * sizeof *refs);
    for (uint32_t i = 0; i < s->n; i++) {
        const struct pf_daemon *d = &s->daemon[i];
        struct LocalDaemon__args args = {
            .name = pf_str(d->name),
            .pid = d->pid,
            .native = pf_str(d->native),
            .http = pf_str(d->http),
            .work_dir = pf_str(d->work_dir),
            .log = pf_str(d->log),
            .state = pf_str(state_names[s->child[i].state]),
            .since_ms = d->since_ms,
            .restarts = s->child[i].restarts,
            .last_end = pf_str(d->last_end),
            .fake_agents = d->n_fake,
            .host = pf_str(d->host.name),
        };
        refs[i] = LocalDaemon__put(b, &args);
    }
    struct LocalCluster__args args = {
        .format = 1,
        .name = pf_str(s->options->name),
        .state = pf_str(phase_names[s->sup.phase]),
        .supervisor_pid = s->sup.phase == PF_SUP_PHASE_DONE ? 0 : getpid(),
        .since_ms = s->since_ms,
        .shape = pf_shape_put(b, s->options->shape),
        .daemons = {refs, s->n},
    };
    struct pf_msg msg = LocalCluster__finish(b, LocalCluster__put(b, &args));
    pf_free(refs);
    return msg;
}

static void publish(struct pf_supervisor *s)
{
    struct pf_fb_builder b;
    struct pf_err err = {0};
    pf_fb_builder_init(&b, NULL);
    if (pf_local_write(s->options->dir, describe(s, &b), &err) != 0) {
        pf_supervisor_log(s, "cannot write cluster.json: %s", err.msg);
    }
    pf_fb_builder_fini(&b);
}

/* Nothing was started, but `down --purge` has to know the directory as a cluster's. */
static void publish_unstarted(struct pf_supervisor *s)
{
    const uint32_t n = s->n;
    if (access(pf_local_path(s->arena, s->options->dir, "cluster.json"), F_OK) == 0) {
        return; /* where the daemons were before is worth more */
    }
    s->n = 0;
    s->sup.phase = PF_SUP_PHASE_DONE;
    publish(s);
    s->n = n;
}

/* --- children -------------------------------------------------------------------------------- */

static void set_text(char **to, const char *text)
{
    pf_free(*to);
    *to = pf_strdup(text);
}

void pf_supervisor_close_pipe(struct pf_daemon *d)
{
    if (d->watch != NULL) {
        pf_watch_destroy(d->watch);
        d->watch = NULL;
    }
    if (d->probe != NULL) {
        pf_timer_set(d->probe, INT64_MAX);
    }
    pf_fd_close(&d->ready_fd);
    pf_buf_clear(&d->line);
}

void pf_supervisor_daemon_ready(struct pf_daemon *d)
{
    d->since_ms = pf_wall_ms();
    step(d->owner, PF_SUP_EV_READY, d->index);
}

/* The line {"native":..,"http":..,"pid":..}. False: something else. */
static bool take_ready(struct pf_daemon *d)
{
    struct pf_fb_builder b;
    struct pf_msg msg;
    struct pf_str text = {(const char *)d->line.data, (uint32_t)d->line.len};
    pf_fb_builder_init(&b, NULL);
    int rc = pf_json_read(text, &DaemonReady__desc, &b, &msg, 0, NULL);
    if (rc == 0) {
        struct DaemonReady r = DaemonReady__root(msg);
        if (DaemonReady_native(r).len > 0) {
            set_text(&d->native, DaemonReady_native(r).at);
        }
        if (DaemonReady_http(r).len > 0) {
            set_text(&d->http, DaemonReady_http(r).at);
        }
    }
    pf_fb_builder_fini(&b);
    return rc == 0;
}

static void on_ready_pipe(void *ctx, unsigned ready)
{
    struct pf_daemon *d = ctx;
    (void)ready;
    if (!pf_buf_reserve(&d->line, READY_LINE_MAX)) {
        pf_supervisor_close_pipe(d);
        return;
    }
    ssize_t n = read(d->ready_fd, d->line.data + d->line.len, READY_LINE_MAX - 1);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n > 0) {
        d->line.len += (size_t)n;
    }
    if (d->line.len > 0 && memchr(d->line.data, '\n', d->line.len) != NULL) {
        bool is_ready = take_ready(d);
        pf_supervisor_close_pipe(d);
        if (is_ready) {
            pf_supervisor_daemon_ready(d);
        }
    } else if (n <= 0 || d->line.len > READY_LINE_MAX) {
        pf_supervisor_close_pipe(d); /* its end is told by SIGCHLD */
    }
}

static int start(struct pf_supervisor *s, struct pf_daemon *d, struct pf_err *err)
{
    int fds[2] = {-1, -1};
    char netns[64];
    struct pf_spawn_args args = {0};
    struct pf_arena arena = {0};
    bool is_zk = s->child[d->index].tier == PF_SUP_ZOOKEEPER && !d->is_relay;
    pf_supervisor_close_pipe(d);
    if (!is_zk && pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0) {
        return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "cannot start %s", d->name);
    }
    pf_supervisor_args(s, d, &arena, &args);
    if (d->host.name[0] != '\0') {
        pf_host_file(d->host.name, netns, sizeof netns);
        args.netns = netns;
    }
    /* the daemon's end is an ordinary, blocking one */
    int rc = is_zk ? 0 : pf_fd_set_nonblock(fds[1], false, err);
    rc = rc != 0 ? rc : pf_spawn(&args, d->log, fds[1], &d->pid, err);
    pf_fd_close(&fds[1]);
    d->ready_fd = fds[0];
    if (rc == 0 && is_zk) {
        pf_supervisor_probe(d);
    } else if (rc == 0) {
        rc = pf_watch_create(s->loop, d->ready_fd, PF_WATCH_READ, PF_PRIO_NORMAL, on_ready_pipe, d,
                             &d->watch, err);
    }
    pf_arena_fini(&arena);
    if (rc != 0) {
        pf_supervisor_close_pipe(d);
    }
    return rc;
}

static void spawn_child(struct pf_supervisor *s, uint32_t i)
{
    struct pf_daemon *d = &s->daemon[i];
    struct pf_err err = {0};
    d->since_ms = pf_wall_ms();
    if (start(s, d, &err) == 0) {
        pf_supervisor_log(s, "%s started, pid %ld", d->name, (long)d->pid);
        return;
    }
    pf_supervisor_log(s, "%s", err.msg);
    set_text(&d->last_end, err.msg);
    d->pid = 0;
    pf_ptrs_push(&s->unstarted, d); /* told after this step */
}

static void clean_child(struct pf_supervisor *s, uint32_t i)
{
    struct pf_daemon *d = &s->daemon[i];
    struct pf_spawn_args args = {0};
    struct pf_arena arena = {0};
    struct pf_err err = {0};
    pf_stop_launcher_args(s->options->bin_dir, d->work_dir, &arena, &args);
    if (pf_spawn(&args, d->log, -1, &d->cleaner_pid, &err) != 0) {
        pf_supervisor_log(s, "%s: %s", d->name, err.msg);
        d->cleaner_pid = 0;
        pf_ptrs_push(&s->uncleaned, d);
    }
    pf_arena_fini(&arena);
}

static void signal_child(struct pf_supervisor *s, uint32_t i, int signo)
{
    struct pf_daemon *d = &s->daemon[i];
    pid_t pid = d->cleaner_pid > 0 ? d->cleaner_pid : d->pid;
    if (pid > 0 && kill(pid, signo) != 0) {
        pf_supervisor_log(s, "cannot signal %s: %s", d->name, strerror(errno));
    }
}

static void on_child_end(struct pf_supervisor *s, pid_t pid, int status)
{
    for (uint32_t i = 0; i < s->n; i++) {
        struct pf_daemon *d = &s->daemon[i];
        if (d->cleaner_pid == pid) {
            d->cleaner_pid = 0;
            if (status != 0) {
                pf_supervisor_log(s, "%s: its launcher may still run (status %#x)", d->name,
                                  (unsigned)status);
            }
            step(s, PF_SUP_EV_CLEANED, i);
            return;
        }
        if (d->pid == pid) {
            char text[64];
            if (WIFSIGNALED(status)) {
                (void)snprintf(text, sizeof text, "killed by SIG%s",
                               sigabbrev_np(WTERMSIG(status)));
            } else {
                (void)snprintf(text, sizeof text, "exited with status %d", WEXITSTATUS(status));
            }
            set_text(&d->last_end, text);
            d->pid = 0;
            d->since_ms = pf_wall_ms();
            pf_supervisor_close_pipe(d);
            pf_supervisor_log(s, "%s %s", d->name, text);
            step(s, PF_SUP_EV_EXITED, i);
            return;
        }
    }
}

static void on_sigchld(void *ctx, int signo)
{
    int status;
    pid_t pid;
    (void)signo;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        on_child_end(ctx, pid, status);
    }
}

/* --- orders ---------------------------------------------------------------------------------- */

/* The last line of a daemon's log: usually why it ended. */
static const char *last_words(struct pf_supervisor *s, const struct pf_daemon *d)
{
    char tail[4096];
    int fd = open(d->log, O_RDONLY | O_CLOEXEC);
    off_t end = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
    off_t from = end > (off_t)sizeof tail - 1 ? end - (off_t)sizeof tail + 1 : 0;
    ssize_t n = fd >= 0 ? pread(fd, tail, sizeof tail - 1, from) : 0;
    pf_fd_close(&fd);
    while (n > 0 && tail[n - 1] == '\n') {
        n--;
    }
    ssize_t begin = n;
    while (begin > 0 && tail[begin - 1] != '\n') {
        begin--;
    }
    uint32_t len = (uint32_t)(n > begin ? n - begin : 0);
    len = len > LAST_WORDS_MAX ? LAST_WORDS_MAX : len;
    return pf_arena_strdup(s->arena, (struct pf_str){tail + begin, len}).at;
}

static void tell_failed(struct pf_supervisor *s, uint32_t i)
{
    const struct pf_daemon *d = &s->daemon[i];
    const char *words = last_words(s, d);
    bool is_late = d->pid > 0;
    s->failed = true;
    s->rc = pf_err_set(s->err, PF_EIO, "%s %s%s%s", d->name,
                       is_late ? "was not ready in time" : d->last_end,
                       words[0] != '\0' ? ": " : "", words);
    *s->out_hint = pf_arena_printf(s->arena, "its log: %s", d->log).at;
}

static void tell_ready(struct pf_supervisor *s)
{
    struct pf_fb_builder b;
    publish(s);
    pf_fb_builder_init(&b, NULL);
    s->was_up = true;
    s->options->on_ready(s->options->ctx, LocalCluster__root(describe(s, &b)));
    pf_fb_builder_fini(&b);
}

static void carry_out(struct pf_supervisor *s, struct pf_sup_effect e)
{
    switch (e.order) {
    case PF_SUP_SPAWN: spawn_child(s, e.child); break;
    case PF_SUP_TERM: signal_child(s, e.child, SIGTERM); break;
    case PF_SUP_KILL: signal_child(s, e.child, SIGKILL); break;
    case PF_SUP_CLEAN: clean_child(s, e.child); break;
    case PF_SUP_TELL_READY: tell_ready(s); break;
    case PF_SUP_TELL_FAILED: tell_failed(s, e.child); break;
    case PF_SUP_DONE: pf_loop_stop(s->loop); break;
    }
}

static void step(struct pf_supervisor *s, enum pf_sup_event event, uint32_t child)
{
    struct pf_sup_effects *fx = PF_NEW(struct pf_sup_effects);
    enum pf_sup_phase before = s->sup.phase;
    pf_sup_step(&s->sup, event, child, pf_now_ms(), fx);
    pf_sup_check(&s->sup);
    if (s->sup.phase != before) {
        s->since_ms = pf_wall_ms();
    }
    for (uint32_t i = 0; i < fx->n; i++) {
        carry_out(s, fx->at[i]);
    }
    pf_free(fx);
    /* while it comes up only the beginning and the end are of interest to others */
    if (s->sup.phase != PF_SUP_PHASE_STARTING || s->sup.phase != before) {
        publish(s);
    }
    while (s->unstarted.len > 0) {
        struct pf_daemon *d = s->unstarted.at[0];
        pf_ptrs_remove(&s->unstarted, 0);
        step(s, PF_SUP_EV_EXITED, d->index);
    }
    while (s->uncleaned.len > 0) {
        struct pf_daemon *d = s->uncleaned.at[0];
        pf_ptrs_remove(&s->uncleaned, 0);
        step(s, PF_SUP_EV_CLEANED, d->index);
    }
    int64_t deadline = pf_sup_deadline(&s->sup);
    int64_t wait_ms = deadline - pf_now_ms();
    pf_timer_set(s->timer, deadline == INT64_MAX
                               ? INT64_MAX
                               : pf_loop_now_ms(s->loop) + (wait_ms > 0 ? wait_ms : 0));
}

static void on_time(void *ctx)
{
    step(ctx, PF_SUP_EV_DEADLINE, 0);
}

static void on_stop_signal(void *ctx, int signo)
{
    struct pf_supervisor *s = ctx;
    pf_supervisor_log(s, "stopping: SIG%s", sigabbrev_np(signo));
    if (!s->was_up && !s->failed) {
        s->failed = true;
        s->rc = pf_err_set(s->err, PF_ECANCELED, "stopped before it was up");
        *s->out_hint = "start it again: proffer up";
    }
    step(s, PF_SUP_EV_STOP, 0);
}

static int run(struct pf_supervisor *s, struct pf_err *err)
{
    int rc = pf_loop_create(&s->loop, err);
    if (rc != 0) {
        return rc;
    }
    s->timer = pf_timer_create(s->loop, PF_PRIO_NORMAL, on_time, s);
    rc = pf_loop_on_signal(s->loop, SIGCHLD, on_sigchld, s, err);
    rc = rc != 0 ? rc : pf_loop_on_signal(s->loop, SIGTERM, on_stop_signal, s, err);
    rc = rc != 0 ? rc : pf_loop_on_signal(s->loop, SIGINT, on_stop_signal, s, err);
    rc = rc != 0 ? rc : pf_loop_on_signal(s->loop, SIGHUP, on_stop_signal, s, err);
    if (rc == 0) {
        publish(s);
        step(s, PF_SUP_BEGIN, 0);
    }
    /* nothing could be started: there is nothing to wait for */
    if (rc == 0 && s->sup.phase != PF_SUP_PHASE_DONE) {
        rc = pf_loop_run(s->loop, err);
    }
    for (uint32_t i = 0; i < s->n; i++) {
        pf_supervisor_close_pipe(&s->daemon[i]);
        if (s->daemon[i].probe != NULL) {
            pf_timer_destroy(s->daemon[i].probe);
        }
    }
    pf_timer_destroy(s->timer);
    pf_loop_destroy(s->loop);
    return rc;
}

int pf_supervise(const struct pf_supervisor_options *options, struct pf_arena *arena,
                 const char **out_hint, struct pf_err *err)
{
    struct pf_supervisor s = {.options = options,
                              .arena = arena,
                              .out_hint = out_hint,
                              .err = err,
                              .since_ms = pf_wall_ms()};
    int lock_fd = -1;
    *out_hint = "look at the directory and its log";
    int rc = pf_file_lock(pf_local_path(arena, options->dir, "lock"), &lock_fd, err);
    if (rc != 0) {
        return rc;
    }
    rc = pf_supervisor_prepare(&s, err);
    if (rc == 0) {
        rc = run(&s, err);
        rc = rc != 0 ? rc : s.rc;
    } else {
        publish_unstarted(&s);
    }
    pf_supervisor_end_hosts(&s);
    pf_supervisor_release(&s);
    pf_fd_close(&lock_fd);
    return rc;
}
