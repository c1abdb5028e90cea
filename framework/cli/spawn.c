/* SPDX-License-Identifier: Apache-2.0 */
/* Starting the programs of a local cluster. fork and not posix_spawn: the child must ask for a
 * signal at our death before it becomes the program. */
#include "framework/cli/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/sys/fd.h"

void pf_spawn_arg(struct pf_spawn_args *a, const char *text)
{
    PF_ASSERT(a->n < PF_SPAWN_ARGS_MAX);
    a->at[a->n++] = text;
    a->at[a->n] = NULL;
}

void pf_spawn_option(struct pf_spawn_args *a, const char *name, const char *value)
{
    if (value != NULL && value[0] != '\0') {
        pf_spawn_arg(a, name);
        pf_spawn_arg(a, value);
    }
}

enum { FD_NULL, FD_LOG, FD_NETNS, FD_COUNT };

/* In the child, between fork and exec: nothing that allocates. Returns errno. */
static int become(char *const *argv, const int fds[FD_COUNT], int ready_fd, pid_t parent)
{
    sigset_t none;
    struct sigaction usual = {.sa_handler = SIG_DFL};
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)sigaction(SIGPIPE, &usual, NULL);
    if (setsid() < 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) != 0) {
        return errno;
    }
    if (getppid() != parent) {
        return ECHILD; /* it died before the wish was known */
    }
    if (fds[FD_NETNS] >= 0 && setns(fds[FD_NETNS], CLONE_NEWNET) != 0) {
        return errno;
    }
    if (dup2(fds[FD_NULL], STDIN_FILENO) < 0 || dup2(fds[FD_LOG], STDOUT_FILENO) < 0 ||
        dup2(fds[FD_LOG], STDERR_FILENO) < 0) {
        return errno;
    }
    if (ready_fd == PF_SPAWN_READY_FD) {
        if (fcntl(ready_fd, F_SETFD, 0) != 0) {
            return errno;
        }
    } else if (ready_fd >= 0 && dup2(ready_fd, PF_SPAWN_READY_FD) < 0) {
        return errno;
    }
    (void)execv(argv[0], argv);
    return errno;
}

/* What the child writes before it ends when it could not become the program: errno. */
static int read_failure(int fd)
{
    int sys = 0;
    ssize_t n;
    do {
        n = read(fd, &sys, sizeof sys);
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof sys ? sys : 0;
}

int pf_spawn(const struct pf_spawn_args *args, const char *log, int ready_fd, pid_t *out_pid,
             struct pf_err *err)
{
    int failure[2] = {-1, -1}, fds[FD_COUNT] = {-1, -1, -1}, rc = 0, sys = 0;
    pid_t self = getpid(), pid = -1;
    fds[FD_NULL] = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fds[FD_NULL] < 0 || pipe2(failure, O_CLOEXEC) != 0) {
        rc = pf_err_set_sys(err, pf_err_from_errno(errno), errno, "cannot start %s", args->at[0]);
        goto out;
    }
    /* the numbers that the child gives a meaning must not hold the pipe of failure */
    while (failure[1] <= PF_SPAWN_READY_FD) {
        int higher = fcntl(failure[1], F_DUPFD_CLOEXEC, PF_SPAWN_READY_FD + 1);
        if (higher < 0) {
            rc = pf_err_set_sys(err, pf_err_from_errno(errno), errno, "cannot start %s",
                                args->at[0]);
            goto out;
        }
        (void)close(failure[1]);
        failure[1] = higher;
    }
    fds[FD_LOG] =
        open(log != NULL ? log : "/dev/null", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fds[FD_LOG] < 0) {
        rc = pf_err_set_sys(err, pf_err_from_errno(errno), errno, "cannot write %s", log);
        goto out;
    }
    fds[FD_NETNS] = args->netns != NULL ? open(args->netns, O_RDONLY | O_CLOEXEC) : -1;
    if (args->netns != NULL && fds[FD_NETNS] < 0) {
        rc = pf_err_set_sys(err, pf_err_from_errno(errno), errno, "cannot enter %s", args->netns);
        goto out;
    }
    pid = fork();
    if (pid == 0) {
        sys = become((char *const *)(uintptr_t)args->at, fds, ready_fd, self);
        (void)!write(failure[1], &sys, sizeof sys);
        _exit(127);
    }
    if (pid < 0) {
        rc = pf_err_set_sys(err, pf_err_from_errno(errno), errno, "cannot start %s", args->at[0]);
        goto out;
    }
    pf_fd_close(&failure[1]);
    sys = read_failure(failure[0]);
    if (sys != 0) {
        (void)waitpid(pid, NULL, 0);
        rc = pf_err_set_sys(err, pf_err_from_errno(sys), sys, "cannot start %s", args->at[0]);
        goto out;
    }
    *out_pid = pid;
out:
    for (int i = 0; i < FD_COUNT; i++) {
        pf_fd_close(&fds[i]);
    }
    pf_fd_close(&failure[0]);
    pf_fd_close(&failure[1]);
    return rc;
}
