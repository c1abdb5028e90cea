/* SPDX-License-Identifier: Apache-2.0 */
/* See launcher_link.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/daemon/launcher_link_internal.h"
#include "agent/daemon/sandbox.h"
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "common/sys/fault.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"
#include "schemas/launcher.h"

#define LAUNCHER_PROTOCOL 1u
#define BACK_OFF_MIN_MS   20
#define BACK_OFF_MAX_MS   2000
#define GREETING_MS       10000
#define STARTS_AHEAD_FDS  (LINK_OUT_FDS_MAX - 4)

/* --- out -------------------------------------------------------------------------------------- */

static struct pf_bytes uuid_bytes(const struct pf_uuid *u)
{
    return (struct pf_bytes){u->b, sizeof u->b};
}

static void out_add(struct pf_launcher_link *k, enum LauncherBody type, struct pf_ref body,
                    struct pf_buf *out)
{
    struct LauncherMessage__args args = {.body_type = type, .body = body};
    struct pf_msg msg =
        LauncherMessage__finish(&k->builder, LauncherMessage__put(&k->builder, &args));

    pf_buf_add(out, &msg.len, sizeof msg.len);
    pf_buf_add(out, msg.data, msg.len);
}

static void files_close(const int *file)
{
    for (int i = 0; i < 4; i++) {
        int fd = file[i];
        pf_fd_close(&fd);
    }
}

static void start_destroy(struct link_start *s)
{
    if (s->has_files) {
        files_close(s->file);
    }
    pf_free(s->sandbox);
    pf_free((void *)(uintptr_t)s->frame.at);
    pf_free(s);
}

static void starts_clear(struct link_starts *starts)
{
    struct link_start *s;

    while ((s = STAILQ_FIRST(starts)) != NULL) {
        STAILQ_REMOVE_HEAD(starts, link);
        start_destroy(s);
    }
}

/* Its files: stdin is /dev/null or a pipe whose other end both the agent and the launcher hold. */
static bool start_open(struct pf_launcher_link *k, const struct link_start *s, int fd[4],
                       int *out_stdin, struct pf_sandbox_failure *failure)
{
    int pipe_fd[2];

    if (s->has_files) {
        memcpy(fd, s->file, sizeof s->file);
        *out_stdin = -1;
        return true;
    }
    fd[0] = k->null_fd;
    fd[3] = -1;
    *out_stdin = -1;
    if (s->keeps_stdin) {
        if (pipe2(pipe_fd, O_CLOEXEC) != 0) {
            *failure = (struct pf_sandbox_failure){errno, "stdin"};
            return false;
        }
        fd[0] = pipe_fd[0];
        fd[3] = pipe_fd[1];
        *out_stdin = fcntl(pipe_fd[1], F_DUPFD_CLOEXEC, 3);
        *failure = (struct pf_sandbox_failure){errno, "stdin"};
    }
    if ((!s->keeps_stdin || *out_stdin >= 0) &&
        pf_sandbox_open_output(pf_str(s->sandbox), &s->user, fd + 1, failure)) {
        return true;
    }
    if (s->keeps_stdin) {
        pf_fd_close(&fd[0]);
        pf_fd_close(&fd[3]);
        pf_fd_close(out_stdin);
    }
    return false;
}

/* Starts that failed are told in a turn of their own: pumping may happen at the end of one. */
static void start_fail(struct pf_launcher_link *k, struct link_start *s, int error,
                       const char *stage)
{
    s->error = error;
    s->stage = stage;
    k->counters.failed_starts++;
    STAILQ_INSERT_TAIL(&k->failed, s, link);
    pf_timer_set(k->failer, 0);
}

/* Moves starts from the line into the output, as many as have room for their descriptors. */
static void link_pump(struct pf_launcher_link *k)
{
    struct pf_sandbox_failure failure;
    struct link_start *s;
    int fd[4];
    int stdin_fd;

    while (k->n_out_fds <= STARTS_AHEAD_FDS && (s = STAILQ_FIRST(&k->waiting)) != NULL) {
        STAILQ_REMOVE_HEAD(&k->waiting, link);
        k->counters.n_waiting--;
        if (!start_open(k, s, fd, &stdin_fd, &failure)) {
            start_fail(k, s, failure.error, failure.stage);
            continue;
        }
        uint32_t n = fd[3] >= 0 ? 4 : 3;
        memcpy(k->out_fd + k->n_out_fds, fd, n * sizeof fd[0]);
        k->n_out_fds += n;
        pf_buf_add(&k->out, s->frame.at, s->frame.len);
        k->counters.starts++;
        if (s->has_files) {
            s->has_files = false; /* they are in out_fd now */
        } else {
            k->ops.on_made(k->ctx, s->launch, pf_str(s->sandbox), stdin_fd);
        }
        start_destroy(s);
    }
}

static void out_drop(struct pf_launcher_link *k)
{
    for (uint32_t i = 0; i < k->n_out_fds; i++) {
        if (k->out_fd[i] != k->null_fd) {
            pf_fd_close(&k->out_fd[i]);
        }
    }
    k->n_out_fds = 0;
    k->sent = 0;
    pf_buf_fini(&k->out);
    starts_clear(&k->waiting);
    k->counters.n_waiting = 0;
}

/* --- connecting ------------------------------------------------------------------------------- */

static void link_on_ready(void *ctx, unsigned ready);

static void link_retry_later(struct pf_launcher_link *k)
{
    pf_timer_set(k->timer, pf_loop_now_ms(k->loop) + k->back_off_ms);
    k->back_off_ms = k->back_off_ms * 2 < BACK_OFF_MAX_MS ? k->back_off_ms * 2 : BACK_OFF_MAX_MS;
}

static void link_drop(struct pf_launcher_link *k)
{
    bool was_up = k->is_up;

    pf_watch_destroy(k->watch);
    k->watch = NULL;
    pf_fd_close(&k->fd);
    for (uint32_t i = 0; i < k->n_in_fds; i++) {
        pf_fd_close(&k->in_fd[i]);
    }
    k->n_in_fds = 0;
    k->n_asked = 0;
    k->is_up = false;
    k->pid = 0;
    pf_buf_fini(&k->in);
    out_drop(k);
    if (was_up) {
        k->ops.on_down(k->ctx);
    }
}

static void link_broken(struct pf_launcher_link *k, const char *why)
{
    if (k->is_quitting) {
        pf_log(PF_LOG_INFO, "launcher ended", "why=asked");
        link_drop(k);
        return;
    }
    pf_log(PF_LOG_WARN, "launcher link broken", "why=%s", why);
    link_drop(k);
    link_retry_later(k);
}

static void link_try(struct pf_launcher_link *k)
{
    struct pf_err err = {0};

    k->fd = launcher_connect(k, &err);
    if (k->fd >= 0 && pf_watch_create(k->loop, k->fd, PF_WATCH_READ, PF_PRIO_NORMAL, link_on_ready,
                                      k, &k->watch, &err) != 0) {
        pf_fd_close(&k->fd);
    }
    if (k->fd < 0) {
        pf_log_err(PF_LOG_ERROR, "no launcher", &err);
        link_retry_later(k);
        return;
    }
    pf_timer_set(k->timer, pf_loop_now_ms(k->loop) + GREETING_MS);
}

static void link_on_time(void *ctx)
{
    struct pf_launcher_link *k = ctx;

    pf_timer_set(k->timer, INT64_MAX);
    if (k->fd < 0) {
        link_try(k);
    } else if (!k->is_up) {
        link_broken(k, "it does not greet");
    }
}

/* --- in --------------------------------------------------------------------------------------- */

/* A launcher outlives upgrades of the agent. In the new program it is the same process, and we find
 * it again as after any broken link. */
static void upgrade(struct pf_launcher_link *k, struct pf_str its_version)
{
    char path[PATH_MAX];

    if (k->has_upgraded || k->program == NULL || realpath(k->program, path) == NULL) {
        return;
    }
    k->has_upgraded = true;
    pf_log(PF_LOG_INFO, "launcher is upgraded", "from=%.*s to=%s", PF_STR_ARG(its_version),
           k->version);
    pf_fb_builder_reset(&k->builder);
    struct LauncherUpgrade__args args = {.path = pf_str(path)};
    out_add(k, LauncherBody_LauncherUpgrade, LauncherUpgrade__put(&k->builder, &args), &k->out);
}

static bool on_hello(struct pf_launcher_link *k, struct LauncherHello h)
{
    if (LauncherHello_protocol(h) != LAUNCHER_PROTOCOL) {
        pf_log(PF_LOG_ERROR, "launcher speaks another protocol", "its=%u ours=%u",
               LauncherHello_protocol(h), LAUNCHER_PROTOCOL);
        return false;
    }
    k->is_up = true;
    k->pid = LauncherHello_pid(h);
    k->back_off_ms = BACK_OFF_MIN_MS;
    k->counters.connected++;
    pf_timer_set(k->timer, INT64_MAX);
    pf_fb_builder_reset(&k->builder);
    struct LauncherList__args args = {0};
    out_add(k, LauncherBody_LauncherList, LauncherList__put(&k->builder, &args), &k->out);
    if (!pf_str_is(LauncherHello_version(h), k->version)) {
        upgrade(k, LauncherHello_version(h));
    }
    pf_fb_builder_reset(&k->body_builder);
    k->ops.on_up(k->ctx, LauncherHello__finish(&k->body_builder,
                                               LauncherHello__copy(&k->body_builder, h)));
    return true;
}

static void asked_remove(struct pf_launcher_link *k, uint32_t i)
{
    k->asked[i] = k->asked[--k->n_asked];
}

/* Is this report the answer to a question for its write end? */
static void match_stdin(struct pf_launcher_link *k, struct LauncherProcess p)
{
    struct pf_bytes uuid = LauncherProcess_uuid(p);

    for (uint32_t i = 0; i < k->n_asked; i++) {
        struct pf_uuid launch = k->asked[i];
        if (memcmp(launch.b, uuid.at, sizeof launch.b) != 0) {
            continue;
        }
        if (!LauncherProcess_has_stdin(p)) {
            asked_remove(k, i);
            k->ops.on_stdin(k->ctx, launch, -1);
        } else if (k->n_in_fds > 0) {
            int fd = k->in_fd[0];
            k->n_in_fds--;
            memmove(k->in_fd, k->in_fd + 1, k->n_in_fds * sizeof k->in_fd[0]);
            asked_remove(k, i);
            k->ops.on_stdin(k->ctx, launch, fd);
        }
        return;
    }
}

static void on_process(struct pf_launcher_link *k, struct LauncherProcess p)
{
    if (LauncherProcess_uuid(p).len != sizeof(struct pf_uuid)) {
        return;
    }
    match_stdin(k, p);
    pf_fb_builder_reset(&k->body_builder);
    k->ops.on_process(k->ctx, LauncherProcess__finish(&k->body_builder,
                                                      LauncherProcess__copy(&k->body_builder, p)));
}

/* False: the link must end. */
static bool on_frame(struct pf_launcher_link *k, struct pf_bytes frame)
{
    struct pf_err err = {0};
    struct pf_msg msg;

    if (pf_fb_verify(frame, &LauncherMessage__desc, &msg, &err) != 0) {
        pf_log_err(PF_LOG_ERROR, "malformed message of the launcher", &err);
        return false;
    }
    struct LauncherMessage m = LauncherMessage__root(msg);
    enum LauncherBody type = LauncherMessage_body_type(m);
    if (!k->is_up) {
        return type == LauncherBody_LauncherHello &&
               on_hello(k, LauncherMessage_body_as_LauncherHello(m));
    }
    if (type == LauncherBody_LauncherProcess) {
        on_process(k, LauncherMessage_body_as_LauncherProcess(m));
    } else if (type == LauncherBody_LauncherListEnd) {
        k->ops.on_list_end(k->ctx);
    }
    return true; /* what a newer launcher may say besides is not for us */
}

static bool in_frames(struct pf_launcher_link *k)
{
    size_t at = 0;
    bool is_fine = true;

    while (is_fine && k->in.len - at >= sizeof(uint32_t)) {
        uint32_t len;
        memcpy(&len, k->in.data + at, sizeof len);
        if (len == 0 || len > PF_FRAME_MAX_BYTES) {
            return false;
        }
        if (k->in.len - at < sizeof len + len) {
            break;
        }
        is_fine = on_frame(k, (struct pf_bytes){k->in.data + at + sizeof len, len});
        at += sizeof len + len;
    }
    pf_buf_drop_front(&k->in, at);
    return is_fine;
}

static void link_on_ready(void *ctx, unsigned ready)
{
    struct pf_launcher_link *k = ctx;

    if ((ready & PF_WATCH_READ) != 0) {
        bool is_open = link_recv(k);
        /* What it said before its end still counts. */
        if (!in_frames(k) || !is_open) {
            link_broken(k, is_open ? "malformed message" : "closed");
            return;
        }
    }
    pf_launcher_link_flush(k);
}

static void tell_failed(void *ctx)
{
    struct pf_launcher_link *k = ctx;
    struct link_starts failed = STAILQ_HEAD_INITIALIZER(failed);
    struct link_start *s;

    pf_timer_set(k->failer, INT64_MAX);
    STAILQ_CONCAT(&failed, &k->failed);
    while ((s = STAILQ_FIRST(&failed)) != NULL) {
        STAILQ_REMOVE_HEAD(&failed, link);
        if (k->is_up) { /* else the core says them again */
            k->ops.on_process(k->ctx, pf_launcher_failed(&k->body_builder, s->launch, s->error,
                                                         s->stage));
        }
        start_destroy(s);
    }
}

/* --- the doors -------------------------------------------------------------------------------- */

struct pf_msg pf_launcher_failed(struct pf_fb_builder *b, struct pf_uuid launch, int error,
                                 const char *stage)
{
    pf_fb_builder_reset(b);
    struct LauncherProcess__args args = {.uuid = uuid_bytes(&launch),
                                         .state = LauncherState_FAILED,
                                         .error = error,
                                         .stage = pf_str(stage)};
    return LauncherProcess__finish(b, LauncherProcess__put(b, &args));
}

int pf_launcher_link_create(struct pf_loop *loop, const struct pf_launcher_link_options *o,
                            const struct pf_launcher_link_ops *ops, void *ctx,
                            struct pf_launcher_link **out, struct pf_err *err)
{
    struct pf_launcher_link *k = PF_NEW(struct pf_launcher_link);
    int rc = 0;

    k->loop = loop;
    k->ops = *ops;
    k->ctx = ctx;
    k->program = o->program != NULL ? pf_strdup(o->program) : NULL;
    k->dir = pf_strdup(o->dir);
    k->nofile = o->nofile;
    k->containers = o->containers;
    k->version = pf_strdup(o->version != NULL ? o->version : PF_VERSION);
    k->fd = -1;
    k->back_off_ms = BACK_OFF_MIN_MS;
    STAILQ_INIT(&k->waiting);
    STAILQ_INIT(&k->failed);
    pf_fb_builder_init(&k->builder, NULL);
    pf_fb_builder_init(&k->body_builder, NULL);
    k->timer = pf_timer_create(loop, PF_PRIO_NORMAL, link_on_time, k);
    k->failer = pf_timer_create(loop, PF_PRIO_NORMAL, tell_failed, k);
    k->dir_fd = open(o->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    k->null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (k->dir_fd < 0) {
        rc = pf_err_set_sys(err, pf_err_from_errno(errno), errno, "%s", o->dir);
    } else if (k->null_fd < 0) {
        rc = pf_err_set_sys(err, PF_EIO, errno, "/dev/null");
    } else if (o->program != NULL && access(o->program, X_OK) != 0) {
        rc = pf_err_set_sys(err, PF_ENOENT, errno,
                            "the launcher %s cannot be executed (say --launcher PATH)", o->program);
    }
    if (rc != 0) {
        pf_launcher_link_destroy(k);
        return rc;
    }
    link_try(k);
    *out = k;
    return 0;
}

void pf_launcher_link_destroy(struct pf_launcher_link *k)
{
    if (k == NULL) {
        return;
    }
    k->is_up = false; /* nobody is told any more */
    if (k->fd >= 0) {
        link_drop(k);
    }
    starts_clear(&k->failed);
    pf_timer_destroy(k->timer);
    pf_timer_destroy(k->failer);
    pf_fd_close(&k->dir_fd);
    pf_fd_close(&k->null_fd);
    pf_fb_builder_fini(&k->builder);
    pf_fb_builder_fini(&k->body_builder);
    pf_free(k->version);
    pf_free(k->program);
    pf_free(k->dir);
    pf_free(k);
}

bool pf_launcher_link_is_up(const struct pf_launcher_link *k)
{
    return k->is_up;
}

int64_t pf_launcher_link_pid(const struct pf_launcher_link *k)
{
    return k->pid;
}

const struct pf_launcher_link_counters *
pf_launcher_link_counters(const struct pf_launcher_link *k)
{
    return &k->counters;
}

static struct pf_str path_of_env(const struct pf_agent_act_start *s)
{
    static const char name[] = "PATH=";

    for (uint32_t i = 0; i < s->n_env; i++) {
        if (pf_str_has_prefix(s->env[i], PF_STR("PATH="))) {
            return (struct pf_str){s->env[i].at + sizeof name - 1,
                                   s->env[i].len - (uint32_t)(sizeof name - 1)};
        }
    }
    return (struct pf_str){NULL, 0};
}

static struct link_start *line_up(struct pf_launcher_link *k, const struct pf_agent_act_start *a,
                                  const struct pf_user *user, bool keeps_stdin)
{
    struct pf_buf frame = {0};
    struct pf_str cgroups[PF_CGROUP_DIRS_MAX];
    struct pf_ref rlimits[LINK_RLIMITS_MAX];
    uint32_t n_rlimits = a->n_rlimits < LINK_RLIMITS_MAX ? a->n_rlimits : LINK_RLIMITS_MAX;
    uint32_t n_cgroups =
        k->containers != NULL ? pf_containers_dirs(k->containers, a->container, cgroups) : 0;

    pf_fb_builder_reset(&k->builder);
    for (uint32_t i = 0; i < n_rlimits; i++) {
        const struct LauncherRlimit__args limit = {.resource = a->rlimits[i].resource,
                                                   .soft = a->rlimits[i].soft,
                                                   .hard = a->rlimits[i].hard};
        rlimits[i] = LauncherRlimit__put(&k->builder, &limit);
    }
    struct LauncherStart__args args = {
        .uuid = uuid_bytes(&a->launch),
        .cgroups = {cgroups, n_cgroups},
        .owns_cgroups = a->owns_container,
        .rlimits = {rlimits, n_rlimits},
        .path = a->path,
        .args = {a->args, a->n_args},
        .env = {a->env, a->n_env},
        .cwd = a->cwd, /* absolute, or "": the sandbox */
        .sandbox = a->sandbox,
        .set_ids = !user->is_own,
        .uid = user->uid,
        .gid = user->gid,
        .groups = {user->groups, user->is_own ? 0 : user->n_groups},
        .keeps_stdin = keeps_stdin,
        .terminal = a->is_terminal,
        .search_path = path_of_env(a),
    };
    out_add(k, LauncherBody_LauncherStart, LauncherStart__put(&k->builder, &args), &frame);
    struct link_start *s = PF_NEW(struct link_start);
    s->launch = a->launch;
    s->sandbox = pf_strndup(a->sandbox.at, a->sandbox.len);
    s->user = *user;
    s->user.groups = NULL;
    s->keeps_stdin = keeps_stdin;
    s->frame = (struct pf_bytes){frame.data, (uint32_t)frame.len};
    STAILQ_INSERT_TAIL(&k->waiting, s, link);
    k->counters.n_waiting++;
    return s;
}

void pf_launcher_link_start(struct pf_launcher_link *k, const struct pf_agent_act_start *a,
                            const struct pf_user *user)
{
    if (k->is_up) {
        (void)line_up(k, a, user, a->keeps_stdin);
    }
}

void pf_launcher_link_start_with(struct pf_launcher_link *k, const struct pf_agent_act_start *a,
                                 const struct pf_user *user, const int file[4])
{
    if (!k->is_up) {
        files_close(file);
        return;
    }
    struct link_start *s = line_up(k, a, user, file[3] >= 0);
    s->has_files = true;
    memcpy(s->file, file, sizeof s->file);
}

/* What is said of a launch must not overtake its start. */
static bool in_line(const struct pf_launcher_link *k, struct pf_uuid launch)
{
    const struct link_start *s;

    STAILQ_FOREACH(s, &k->waiting, link) {
        if (pf_uuid_eq(s->launch, launch)) {
            return true;
        }
    }
    return false;
}

void pf_launcher_link_signal(struct pf_launcher_link *k, struct pf_uuid launch, int signo)
{
    struct link_start *s;

    if (!k->is_up) {
        return;
    }
    STAILQ_FOREACH(s, &k->waiting, link) {
        if (pf_uuid_eq(s->launch, launch) && (signo == SIGKILL || signo == SIGTERM)) {
            STAILQ_REMOVE(&k->waiting, s, link_start, link);
            k->counters.n_waiting--;
            start_fail(k, s, ECANCELED, "killed");
            return;
        }
    }
    if (in_line(k, launch)) {
        return; /* a signal for what has not begun is lost, as for any process */
    }
    pf_fb_builder_reset(&k->builder);
    struct LauncherSignal__args args = {.uuid = uuid_bytes(&launch), .signal = signo};
    out_add(k, LauncherBody_LauncherSignal, LauncherSignal__put(&k->builder, &args), &k->out);
}

void pf_launcher_link_forget(struct pf_launcher_link *k, struct pf_uuid launch)
{
    if (k->is_up) {
        pf_fb_builder_reset(&k->builder);
        struct LauncherForget__args args = {.uuid = uuid_bytes(&launch)};
        out_add(k, LauncherBody_LauncherForget, LauncherForget__put(&k->builder, &args), &k->out);
    }
}

bool pf_launcher_link_ask_stdin(struct pf_launcher_link *k, struct pf_uuid launch)
{
    if (!k->is_up || k->n_asked == LINK_ASKS_MAX) {
        return false;
    }
    k->asked[k->n_asked++] = launch;
    pf_fb_builder_reset(&k->builder);
    struct LauncherStdin__args args = {.uuid = uuid_bytes(&launch)};
    out_add(k, LauncherBody_LauncherStdin, LauncherStdin__put(&k->builder, &args), &k->out);
    return true;
}

bool pf_launcher_link_close_stdin(struct pf_launcher_link *k, struct pf_uuid launch)
{
    if (!k->is_up) {
        return false;
    }
    pf_fb_builder_reset(&k->builder);
    struct LauncherStdinClose__args args = {.uuid = uuid_bytes(&launch)};
    out_add(k, LauncherBody_LauncherStdinClose, LauncherStdinClose__put(&k->builder, &args),
            &k->out);
    return true;
}

void pf_launcher_link_quit(struct pf_launcher_link *k)
{
    k->is_quitting = true;
    if (k->is_up) {
        pf_fb_builder_reset(&k->builder);
        struct LauncherQuit__args args = {0};
        out_add(k, LauncherBody_LauncherQuit, LauncherQuit__put(&k->builder, &args), &k->out);
    }
}

void pf_launcher_link_flush(struct pf_launcher_link *k)
{
    int did = 1;

    while (k->fd >= 0 && did == 1 && (k->out.len > 0 || !STAILQ_EMPTY(&k->waiting))) {
        link_pump(k);
        did = link_send(k);
        pf_fault_point("told the launcher");
    }
    if (k->fd >= 0) {
        /* A broken socket is readable: its end is handled there, in a turn of its own. */
        pf_watch_set(k->watch, PF_WATCH_READ | (did == 0 ? (unsigned)PF_WATCH_WRITE : 0u));
    }
}
