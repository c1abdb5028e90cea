/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for what the supervisor writes: it replaces cluster.json whenever something changes. */
#include <errno.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "framework/cli/local.h"

bool pf_local_is_whole(struct LocalCluster c)
{
    uint32_t n = LocalCluster_daemons__len(c);
    for (uint32_t i = 0; i < n; i++) {
        if (!pf_str_is(LocalDaemon_state(LocalCluster_daemons__at(c, i)), "ready")) {
            return false;
        }
    }
    return n > 0 && pf_str_is(LocalCluster_state(c), "up");
}

/* Is one of the daemons that the file calls ready dead already, and its supervisor yet to say so?
 */
static bool is_stale(struct LocalCluster c)
{
    for (uint32_t i = 0; i < LocalCluster_daemons__len(c); i++) {
        pid_t pid = (pid_t)LocalDaemon_pid(LocalCluster_daemons__at(c, i));
        int pidfd = pid > 0 ? pidfd_open(pid, 0) : -1;
        /* one that its supervisor has yet to bury is dead as well */
        bool is_dead = pidfd >= 0 ? pf_local_wait_gone(pidfd, 0) : pid > 0 && errno == ESRCH;
        pf_fd_close(&pidfd);
        if (is_dead) {
            return true;
        }
    }
    return false;
}

/* One change of the directory, or the end of the time. */
static int change_wait(int fd, int64_t end_ms, struct pf_err *err)
{
    char events[4096];
    int64_t left_ms = end_ms - pf_now_ms();
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n = left_ms > 0 ? poll(&p, 1, (int)left_ms) : 0;
    if (n == 0) {
        return pf_err_set(err, PF_ETIMEOUT, "not all daemons became ready in time");
    }
    if (n > 0 && read(fd, events, sizeof events) < 0 && errno != EAGAIN) {
        return pf_err_set_sys(err, PF_EIO, errno, "watching the cluster's directory");
    }
    return 0;
}

int pf_local_wait_whole(const char *dir, int64_t timeout_ms, struct pf_arena *arena,
                        struct LocalCluster *out, struct pf_err *err)
{
    int64_t end_ms = pf_now_ms() + timeout_ms;
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0 || inotify_add_watch(fd, dir, IN_MOVED_TO | IN_DELETE) < 0) {
        int sys = errno;
        pf_fd_close(&fd);
        return pf_err_set_sys(err, pf_err_from_errno(sys), sys, "watching %s", dir);
    }
    int rc;
    for (;;) {
        struct pf_err why = {0};
        rc = pf_local_read(dir, arena, out, &why);
        if (rc == 0 && pf_local_is_whole(*out) && !is_stale(*out)) {
            break;
        }
        if (rc < 0 && rc != PF_ENOENT) {
            rc = pf_err_set(err, rc, "%s", why.msg);
            break;
        }
        rc = change_wait(fd, end_ms, err);
        if (rc < 0) {
            break;
        }
    }
    pf_fd_close(&fd);
    return rc;
}
