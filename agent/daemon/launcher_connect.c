/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets to the launcher: finding or starting it, bytes and descriptors in both directions. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/daemon/launcher_link_internal.h"
#include "common/base/limits.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"

#define CHILD_CONTROLLER_FD 3

extern char **environ;

/* By way of the directory's descriptor, so that its path may be long. -1 with errno. */
static int socket_connect(struct pf_launcher_link *k)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    (void)snprintf(at.sun_path, sizeof at.sun_path, "/proc/self/fd/%d/launcher.sock", k->dir_fd);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof at) != 0) {
        int sys = errno;
        pf_fd_close(&fd);
        errno = sys;
    }
    return fd;
}

/* A session of its own, no signal blocked or ignored, one descriptor besides the standard ones. */
static int spawn_attributes(posix_spawnattr_t *attr)
{
    sigset_t none;
    sigset_t all;

    (void)sigemptyset(&none); /* these two cannot fail */
    (void)sigfillset(&all);
    int sys = posix_spawnattr_setsigmask(attr, &none);
    if (sys == 0) {
        sys = posix_spawnattr_setsigdefault(attr, &all);
    }
    return sys != 0 ? sys
                    : posix_spawnattr_setflags(attr, (short)(POSIX_SPAWN_SETSID |
                                                             POSIX_SPAWN_SETSIGMASK |
                                                             POSIX_SPAWN_SETSIGDEF));
}

static int spawn_program(struct pf_launcher_link *k, int socket_fd)
{
    char number[16];
    char nofile[24];
    char *argv[] = {k->program,
                    (char *)(uintptr_t)"--dir", k->dir,
                    (char *)(uintptr_t)"--controller-fd", number,
                    (char *)(uintptr_t)"--nofile", nofile,
                    NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    pid_t pid;

    (void)snprintf(number, sizeof number, "%d", CHILD_CONTROLLER_FD);
    (void)snprintf(nofile, sizeof nofile, "%" PRIu64, k->nofile);
    int sys = posix_spawn_file_actions_init(&actions);
    if (sys != 0) {
        return sys;
    }
    sys = posix_spawnattr_init(&attr);
    if (sys != 0) {
        (void)posix_spawn_file_actions_destroy(&actions); /* cannot fail */
        return sys;
    }
    sys = spawn_attributes(&attr);
    if (sys == 0) {
        sys = posix_spawn_file_actions_adddup2(&actions, socket_fd, CHILD_CONTROLLER_FD);
    }
    if (sys == 0) {
        sys = posix_spawn(&pid, k->program, &actions, &attr, argv, environ);
    }
    (void)posix_spawnattr_destroy(&attr); /* these cannot fail */
    (void)posix_spawn_file_actions_destroy(&actions);
    if (sys == 0) {
        pf_log(PF_LOG_INFO, "launcher started", "pid=%ld", (long)pid);
    }
    return sys;
}

/* Nobody waits for it: SIGCHLD is ignored in the agent. */
static int launcher_spawn(struct pf_launcher_link *k, struct pf_err *err)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        pf_err_set_sys(err, PF_EIO, errno, "socket to the launcher");
        return -1;
    }
    int sys = spawn_program(k, pair[1]);
    pf_fd_close(&pair[1]);
    if (sys != 0) {
        pf_fd_close(&pair[0]);
        pf_err_set_sys(err, pf_err_from_errno(sys), sys, "start %s", k->program);
        return -1;
    }
    k->counters.spawned++;
    return pair[0];
}

int launcher_connect(struct pf_launcher_link *k, struct pf_err *err)
{
    int fd = socket_connect(k);

    if (fd < 0 && errno != ENOENT && errno != ECONNREFUSED) {
        pf_err_set_sys(err, PF_ECONN, errno, "connect to the launcher");
        return -1;
    }
    if (fd < 0 && k->program == NULL) {
        pf_err_set_sys(err, PF_ECONN, errno, "the launcher that somebody else starts");
        return -1;
    }
    if (fd < 0) {
        fd = launcher_spawn(k, err);
    }
    if (fd >= 0 && pf_fd_set_nonblock(fd, true, err) != 0) {
        pf_fd_close(&fd);
    }
    return fd;
}

/* Descriptors go with the first byte; the launcher takes them in order as their frames come. */
static ssize_t send_once(struct pf_launcher_link *k)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(LINK_OUT_FDS_MAX * sizeof(int))];
    } room;
    struct iovec iov = {k->out.data + k->sent, k->out.len - k->sent};
    struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

    if (k->n_out_fds > 0) {
        memset(&room, 0, CMSG_SPACE(k->n_out_fds * sizeof(int)));
        mh.msg_control = room.bytes;
        mh.msg_controllen = CMSG_SPACE(k->n_out_fds * sizeof(int));
        struct cmsghdr *cm = CMSG_FIRSTHDR(&mh);
        cm->cmsg_level = SOL_SOCKET;
        cm->cmsg_type = SCM_RIGHTS;
        cm->cmsg_len = CMSG_LEN(k->n_out_fds * sizeof(int));
        memcpy(CMSG_DATA(cm), k->out_fd, k->n_out_fds * sizeof(int));
    }
    return sendmsg(k->fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int link_send(struct pf_launcher_link *k)
{
    while (k->sent < k->out.len) {
        ssize_t n = send_once(k);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            /* TOOMANYREFS: the launcher has not taken the last descriptors yet. */
            return errno == EAGAIN || errno == EWOULDBLOCK || errno == ETOOMANYREFS ? 0 : -1;
        }
        for (uint32_t i = 0; i < k->n_out_fds; i++) {
            if (k->out_fd[i] != k->null_fd) {
                pf_fd_close(&k->out_fd[i]);
            }
        }
        k->n_out_fds = 0;
        k->sent += (size_t)n;
    }
    pf_buf_clear(&k->out);
    k->sent = 0;
    return 1;
}

static bool take_fds(struct pf_launcher_link *k, struct msghdr *mh)
{
    bool is_fine = (mh->msg_flags & MSG_CTRUNC) == 0;

    for (struct cmsghdr *cm = CMSG_FIRSTHDR(mh); cm != NULL; cm = CMSG_NXTHDR(mh, cm)) {
        size_t n = cm->cmsg_level == SOL_SOCKET && cm->cmsg_type == SCM_RIGHTS
                       ? (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int)
                       : 0;
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(cm) + i * sizeof fd, sizeof fd);
            if (k->n_in_fds < LINK_IN_FDS_MAX) {
                k->in_fd[k->n_in_fds++] = fd;
            } else {
                pf_fd_close(&fd);
                is_fine = false;
            }
        }
    }
    return is_fine;
}

bool link_recv(struct pf_launcher_link *k)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(LINK_IN_FDS_MAX * sizeof(int))];
    } room;

    if (!pf_buf_reserve(&k->in, PF_STDIN_CHUNK_BYTES)) {
        return false;
    }
    struct iovec iov = {k->in.data + k->in.len, PF_STDIN_CHUNK_BYTES};
    struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = room.bytes,
                        .msg_controllen = sizeof room.bytes};
    ssize_t n = recvmsg(k->fd, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0) {
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    }
    k->in.len += (size_t)n;
    return take_fds(k, &mh) && n > 0;
}
