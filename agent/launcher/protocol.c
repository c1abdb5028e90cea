/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of schemas/launcher.fbs: what each of them does. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "agent/launcher/launcher_internal.h"
#include "common/base/alloc.h"

void protocol_send_hello(struct pf_launcher *l)
{
    pf_fb_builder_reset(&l->builder);
    struct LauncherHello__args args = {.protocol = LAUNCHER_PROTOCOL,
                                       .pid = getpid(),
                                       .boot_id = pf_str(l->boot_text),
                                       .version = pf_str(PF_VERSION),
                                       .instance = pf_str(l->instance)};
    controller_send(l, LauncherBody_LauncherHello, LauncherHello__put(&l->builder, &args), -1);
}

void protocol_send_process(struct pf_launcher *l, const struct proc *p, int fd)
{
    if (l->ctl.fd < 0) {
        return;
    }
    pf_fb_builder_reset(&l->builder);
    struct LauncherProcess__args args = {
        .uuid = {p->uuid.b, sizeof p->uuid.b},
        .state = (enum LauncherState)p->state,
        .pid = p->pid,
        .start_time = p->start_time,
        .wait_status = p->wait_status,
        .error = p->error,
        .stage = p->stage[0] != '\0' ? pf_str(p->stage) : (struct pf_str){NULL, 0},
        .started_ms = p->started_ms,
        .ended_ms = p->ended_ms,
        .has_stdin = p->stdin_fd >= 0,
        .oom_kills = (uint64_t)p->oom_kills,
        .memory_peak_bytes = p->memory_peak_bytes,
        .memory_limit_bytes = p->memory_limit_bytes,
    };
    controller_send(l, LauncherBody_LauncherProcess, LauncherProcess__put(&l->builder, &args), fd);
}

/* Takes the first `n` descriptors that wait; false if there are fewer. */
static bool take_fds(struct controller *c, int *out, uint32_t n)
{
    if (c->n_in_fds < n) {
        return false;
    }
    memcpy(out, c->in_fd, n * sizeof out[0]);
    c->n_in_fds -= n;
    memmove(c->in_fd, c->in_fd + n, c->n_in_fds * sizeof c->in_fd[0]);
    return true;
}

/* A Start for a launch that is known starts nothing: the agent may ask twice after a crash. */
static bool on_start(struct pf_launcher *l, struct LauncherStart s, struct pf_bytes frame)
{
    struct pf_bytes uuid = LauncherStart_uuid(s);
    uint32_t n_fds = LauncherStart_keeps_stdin(s) ? 4 : 3;
    int fd[4] = {-1, -1, -1, -1};

    if (uuid.len != sizeof(struct pf_uuid) || !take_fds(&l->ctl, fd, n_fds)) {
        return false;
    }
    struct proc *p = proc_find(l, uuid);
    if (p != NULL) {
        for (uint32_t i = 0; i < n_fds; i++) {
            (void)close(fd[i]); /* the first Start brought its own */
        }
        protocol_send_process(l, p, -1);
        return true;
    }
    struct pf_uuid id;
    memcpy(id.b, uuid.at, sizeof id.b);
    p = proc_create(l, id);
    memcpy(p->fd, fd, sizeof p->fd);
    p->stdin_fd = fd[3];
    p->state = LauncherState_STARTING;
    p->start = (struct pf_bytes){pf_memdup(frame.at, frame.len), frame.len};
    p->is_queued = true;
    STAILQ_INSERT_TAIL(&l->queue, p, link);
    l->n_queued++;
    l->n_live++;
    return true;
}

static void on_list(struct pf_launcher *l)
{
    uint32_t cursor = 0;
    const struct proc *p;

    while ((p = pf_map_next(&l->by_uuid, &cursor)) != NULL) {
        protocol_send_process(l, p, -1);
    }
    pf_fb_builder_reset(&l->builder);
    struct LauncherListEnd__args args = {.n = l->by_uuid.len};
    controller_send(l, LauncherBody_LauncherListEnd, LauncherListEnd__put(&l->builder, &args), -1);
}

/* An end is forgotten once the agent stored it; a live process cannot be. */
static void on_forget(struct pf_launcher *l, struct pf_bytes uuid)
{
    struct proc *p = proc_find(l, uuid);

    if (p != NULL && proc_has_ended(p) && !p->is_reaping) {
        struct pf_journal_record r = {
            .kind = PF_JOURNAL_FORGOTTEN, .uuid = p->uuid, .at_ms = launcher_wall_ms()};
        pf_journal_add(&l->journal, r); /* goes out with the next write: to lose it is harmless */
        proc_destroy(l, p);
    }
}

static void on_stdin(struct pf_launcher *l, struct pf_bytes uuid, bool is_close)
{
    struct proc *p = proc_find(l, uuid);

    if (p == NULL) {
        return;
    }
    if (is_close && p->stdin_fd >= 0) {
        (void)close(p->stdin_fd); /* a pipe */
        p->stdin_fd = -1;
    } else if (!is_close) {
        protocol_send_process(l, p, p->stdin_fd);
    }
}

static void on_signal(struct pf_launcher *l, struct LauncherSignal s)
{
    struct proc *p = proc_find(l, LauncherSignal_uuid(s));
    int signo = LauncherSignal_signal(s);

    if (p != NULL && signo > 0 && signo <= SIGRTMAX) {
        proc_signal(l, p, signo);
    }
}

/* At the end of the turn, when nothing is queued any more. */
static void on_upgrade(struct pf_launcher *l, struct pf_str path)
{
    if (path.len > 0 && path.at[0] == '/') {
        pf_free(l->upgrade_path);
        l->upgrade_path = pf_strdup(path.at);
    }
}

bool protocol_on_frame(struct pf_launcher *l, struct pf_bytes frame)
{
    struct pf_msg msg;

    if (pf_fb_verify(frame, &LauncherMessage__desc, &msg, NULL) != 0) {
        return false;
    }
    struct LauncherMessage m = LauncherMessage__root(msg);
    switch (LauncherMessage_body_type(m)) {
    case LauncherBody_LauncherStart:
        return on_start(l, LauncherMessage_body_as_LauncherStart(m), frame);
    case LauncherBody_LauncherSignal:
        on_signal(l, LauncherMessage_body_as_LauncherSignal(m));
        return true;
    case LauncherBody_LauncherForget:
        on_forget(l, LauncherForget_uuid(LauncherMessage_body_as_LauncherForget(m)));
        return true;
    case LauncherBody_LauncherList: on_list(l); return true;
    case LauncherBody_LauncherStdin:
        on_stdin(l, LauncherStdin_uuid(LauncherMessage_body_as_LauncherStdin(m)), false);
        return true;
    case LauncherBody_LauncherStdinClose:
        on_stdin(l, LauncherStdinClose_uuid(LauncherMessage_body_as_LauncherStdinClose(m)), true);
        return true;
    case LauncherBody_LauncherQuit:
        l->is_quitting = true;
        if (LauncherQuit_force(LauncherMessage_body_as_LauncherQuit(m))) {
            l->is_forced = true;
            procs_kill_all(l);
        }
        return true;
    case LauncherBody_LauncherUpgrade:
        on_upgrade(l, LauncherUpgrade_path(LauncherMessage_body_as_LauncherUpgrade(m)));
        return true;
    case LauncherBody_NONE:
    case LauncherBody_LauncherHello:
    case LauncherBody_LauncherProcess:
    case LauncherBody_LauncherListEnd: break;
    }
    return false;
}
