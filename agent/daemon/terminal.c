/* SPDX-License-Identifier: Apache-2.0 */
/* See terminal.h. */
#include "agent/daemon/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent/daemon/sandbox.h"
#include "agent/daemon/session.h"
#include "common/base/alloc.h"
#include "common/base/map.h"
#include "common/sys/fd.h"

enum { CHUNK_BYTES = 32 << 10, LAST_CHUNKS = 64 };

struct terminal {
    struct pf_uuid launch; /* key of by_launch */
    int near, log;         /* -1: over */
    struct pf_watch *watch;
    char *sandbox, *user; /* expected: the launcher was asked for it */
};

struct pf_terminals {
    struct pf_loop *loop;
    struct pf_map by_launch;
};

static void terminal_close(struct terminal *x)
{
    if (x->watch != NULL) {
        pf_watch_destroy(x->watch);
        x->watch = NULL;
    }
    pf_fd_close(&x->near);
    pf_fd_close(&x->log);
}

/* Once: true if there may be more. A full disk loses output, never the task. */
static bool copy(struct terminal *x)
{
    char data[CHUNK_BYTES];

    ssize_t n = x->near >= 0 ? read(x->near, data, sizeof data) : 0;
    if (n > 0) {
        (void)!pf_fd_write_all(x->log, data, (size_t)n, NULL);
        return true;
    }
    if (n < 0 && errno == EINTR) {
        return true;
    }
    if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) {
        terminal_close(x); /* EIO: nobody has its far side any more */
    }
    return false;
}

static void on_readable(void *ctx, unsigned ready)
{
    (void)ready;
    (void)copy(ctx);
}

static struct terminal *find(const struct pf_terminals *t, struct pf_uuid launch)
{
    return pf_map_get(&t->by_launch, &launch, sizeof launch);
}

struct pf_terminals *pf_terminals_create(struct pf_loop *loop)
{
    struct pf_terminals *t = PF_NEW(struct pf_terminals);

    t->loop = loop;
    return t;
}

static void terminal_destroy(struct pf_terminals *t, struct terminal *x)
{
    terminal_close(x);
    pf_free(x->sandbox);
    pf_free(x->user);
    (void)pf_map_del(&t->by_launch, &x->launch, sizeof x->launch);
    pf_free(x);
}

void pf_terminals_destroy(struct pf_terminals *t)
{
    uint32_t cursor = 0;
    struct terminal *x;

    if (t == NULL) {
        return;
    }
    while ((x = pf_map_next(&t->by_launch, &cursor)) != NULL) {
        terminal_destroy(t, x);
        cursor = 0;
    }
    pf_map_fini(&t->by_launch);
    pf_free(t);
}

static struct terminal *terminal_new(struct pf_terminals *t, struct pf_uuid launch)
{
    struct terminal *x = PF_NEW(struct terminal);

    x->launch = launch;
    x->near = x->log = -1;
    pf_map_put(&t->by_launch, &x->launch, sizeof x->launch, x);
    return x;
}

int pf_terminals_adopt(struct pf_terminals *t, struct pf_uuid launch, struct pf_str sandbox,
                       const struct pf_user *owner, int near)
{
    struct pf_sandbox_failure failure = {0, NULL};
    struct pf_err err = {0};
    int log[2];

    struct terminal *x = find(t, launch);
    if (x != NULL && x->sandbox == NULL) { /* copied already */
        pf_fd_close(&near);
        return 0;
    }
    if (!pf_sandbox_open_output(sandbox, owner, log, &failure)) {
        pf_fd_close(&near);
        return failure.error;
    }
    pf_fd_close(&log[1]);
    if (x == NULL) {
        x = terminal_new(t, launch);
    }
    PF_FREE(x->sandbox);
    PF_FREE(x->user);
    x->near = near;
    x->log = log[0];
    if (pf_fd_set_nonblock(near, true, &err) != 0 ||
        pf_watch_create(t->loop, near, PF_WATCH_READ, PF_PRIO_NORMAL, on_readable, x, &x->watch,
                        &err) != 0) {
        terminal_destroy(t, x);
        return err.sys != 0 ? err.sys : EIO;
    }
    return 0;
}

int pf_terminals_open(struct pf_terminals *t, const struct pf_agent_act_start *a,
                      const struct pf_user *owner, int out_file[4], const char **out_stage)
{
    int near = -1;

    *out_stage = "terminal";
    out_file[1] = out_file[2] = out_file[3] = -1;
    int sys = pf_terminal_open(a->rows, a->columns, &near, &out_file[0]);
    for (int i = 1; i < 4 && sys == 0; i++) {
        out_file[i] = fcntl(i < 3 ? out_file[0] : near, F_DUPFD_CLOEXEC, 3);
        sys = out_file[i] < 0 ? errno : 0;
    }
    if (sys == 0 && !owner->is_own && fchown(out_file[0], owner->uid, (gid_t)-1) != 0) {
        sys = errno; /* it may open /dev/tty and its own terminal by name */
    }
    if (sys == 0) {
        *out_stage = "stdout";
        sys = pf_terminals_adopt(t, a->launch, a->sandbox, owner, near);
    } else {
        pf_fd_close(&near);
    }
    for (int i = 0; i < 4 && sys != 0; i++) {
        pf_fd_close(&out_file[i]);
    }
    return sys;
}

void pf_terminals_expect(struct pf_terminals *t, struct pf_uuid launch, struct pf_str sandbox,
                         struct pf_str user)
{
    struct terminal *x = terminal_new(t, launch);

    x->sandbox = pf_strndup(sandbox.at, sandbox.len);
    x->user = pf_strndup(user.at, user.len);
}

bool pf_terminals_expected(const struct pf_terminals *t, struct pf_uuid launch,
                           struct pf_str *out_sandbox, struct pf_str *out_user)
{
    const struct terminal *x = find(t, launch);

    if (x == NULL || x->sandbox == NULL) {
        return false;
    }
    *out_sandbox = pf_str(x->sandbox);
    *out_user = pf_str(x->user);
    return true;
}

bool pf_terminals_has(const struct pf_terminals *t, struct pf_uuid launch)
{
    return find(t, launch) != NULL;
}

void pf_terminals_resize(struct pf_terminals *t, struct pf_uuid launch, uint32_t rows,
                         uint32_t columns)
{
    struct terminal *x = find(t, launch);
    struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};

    if (x != NULL && x->near >= 0) {
        (void)ioctl(x->near, TIOCSWINSZ, &size); /* cannot fail on a terminal */
    }
}

void pf_terminals_ended(struct pf_terminals *t, struct pf_uuid launch)
{
    struct terminal *x = find(t, launch);

    if (x == NULL) {
        return;
    }
    for (int i = 0; i < LAST_CHUNKS && copy(x); i++) {
    }
    terminal_destroy(t, x);
}
