/* SPDX-License-Identifier: Apache-2.0 */
/* See stop.h. A new controller takes over, says quit, and reads until the launcher closes; then it
 * waits for the process, so that nothing is left when we return. */
#include "agent/daemon/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/launcher/cgroup_sets.h"
#include "common/base/buf.h"
#include "common/fb/build.h"
#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "schemas/launcher.h"

#define GONE_MS  15000
#define CLEAR_MS 2000

/* By way of the directory's descriptor, so that its path may be long. -1 with errno. */
static int launcher_socket(const char *work_dir)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int dir = open(work_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        return -1;
    }
    (void)snprintf(at.sun_path, sizeof at.sun_path, "/proc/self/fd/%d/run/launcher.sock", dir);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof at) != 0) {
        int sys = errno;
        pf_fd_close(&fd);
        errno = sys;
    }
    int sys = errno;
    pf_fd_close(&dir);
    errno = sys;
    return fd;
}

static int say_quit(int fd, struct pf_err *err)
{
    struct pf_fb_builder b;
    struct pf_buf frame = {0};
    pf_fb_builder_init(&b, NULL);
    struct pf_ref quit = LauncherQuit__put(&b, &(struct LauncherQuit__args){.force = true});
    struct pf_msg m = LauncherMessage__finish(
        &b, LauncherMessage__put(&b, &(struct LauncherMessage__args){
                                         .body_type = LauncherBody_LauncherQuit, .body = quit}));
    pf_buf_add(&frame, &m.len, sizeof m.len);
    pf_buf_add(&frame, m.data, m.len);
    int rc = pf_fd_write_all(fd, frame.data, frame.len, err);
    pf_buf_fini(&frame);
    pf_fb_builder_fini(&b);
    return rc;
}

/* A descriptor of the process that listens, -1: it cannot be told. */
static int launcher_process(int fd)
{
    struct ucred who = {0};
    socklen_t len = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0 || who.pid <= 0) {
        return -1;
    }
    return pidfd_open(who.pid, 0);
}

static int wait_closed(int fd, int64_t end_ms, struct pf_err *err)
{
    char rest[4096];
    for (;;) {
        int64_t left_ms = end_ms - pf_now_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int n = left_ms > 0 ? poll(&p, 1, (int)left_ms) : 0;
        if (n == 0) {
            return pf_err_set(err, PF_ETIMEOUT, "the launcher still waits for a task to die");
        }
        ssize_t got = n < 0 ? -1 : read(fd, rest, sizeof rest);
        if (got == 0 || (got < 0 && errno == ECONNRESET)) {
            return 0;
        }
        if (got < 0 && errno != EINTR) {
            return pf_err_set_sys(err, PF_EIO, errno, "reading from the launcher");
        }
    }
}

static int wait_gone(int pidfd, int64_t end_ms, struct pf_err *err)
{
    int n = 0;
    while (pidfd >= 0 && n <= 0) {
        int64_t left_ms = end_ms - pf_now_ms();
        struct pollfd p = {.fd = pidfd, .events = POLLIN};
        n = left_ms > 0 ? poll(&p, 1, (int)left_ms) : 0;
        if (n == 0) {
            return pf_err_set(err, PF_ETIMEOUT, "the launcher does not end");
        }
        if (n < 0 && errno != EINTR) {
            return pf_err_set_sys(err, PF_EIO, errno, "waiting for the launcher");
        }
    }
    return 0;
}

/* Containers of a launcher that was killed: what runs in them is nobody's. */
static int clear_left_over(const char *work_dir, struct pf_err *err)
{
    struct pf_cgroup_sets sets = {0};
    char path[PATH_MAX];

    (void)snprintf(path, sizeof path, "%s/run", work_dir);
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        return 0; /* there was never a launcher */
    }
    int lock = openat(dir, "launcher.lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    bool is_held = lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) != 0;
    int rc = is_held ? 0 : pf_cgroup_sets_load(dir, &sets, err); /* held: it just begins */
    if (rc == 0 && !is_held) {
        uint32_t n = pf_cgroup_sets_clear(dir, &sets, CLEAR_MS);
        rc = n > 0 ? pf_err_set(err, PF_ETIMEOUT, "%u containers of a dead launcher do not end", n)
                   : 0;
    }
    pf_cgroup_sets_fini(&sets);
    pf_fd_close(&lock);
    pf_fd_close(&dir);
    return rc;
}

int pf_stop_launcher(const char *work_dir, struct pf_err *err)
{
    int64_t end_ms = pf_now_ms() + GONE_MS;
    int fd = launcher_socket(work_dir);
    if (fd < 0) {
        return errno == ENOENT || errno == ECONNREFUSED
                   ? clear_left_over(work_dir, err)
                   : pf_err_set_sys(err, pf_err_from_errno(errno), errno, "launcher of %s",
                                    work_dir);
    }
    int pidfd = launcher_process(fd);
    int rc = say_quit(fd, err);
    rc = rc != 0 ? rc : wait_closed(fd, end_ms, err);
    rc = rc != 0 ? rc : wait_gone(pidfd, end_ms, err);
    pf_fd_close(&pidfd);
    pf_fd_close(&fd);
    return rc;
}
