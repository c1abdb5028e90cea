/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors: flags, whole writes, closing many, the limit of their number. */
#include "common/sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

static int fd_set_flag(int fd, int get, int set, int flag, bool on, struct pf_err *err)
{
    int flags = fcntl(fd, get);

    if (flags >= 0) {
        int wanted = on ? flags | flag : flags & ~flag;

        if (wanted == flags || fcntl(fd, set, wanted) == 0) {
            return 0;
        }
    }
    return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "descriptor %d", fd);
}

int pf_fd_set_cloexec(int fd, bool on, struct pf_err *err)
{
    return fd_set_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on, err);
}

int pf_fd_set_nonblock(int fd, bool on, struct pf_err *err)
{
    return fd_set_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, on, err);
}

void pf_fd_hold_standard(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR); /* the lowest number that is free; none: nothing to hold */
    } while (fd >= 0 && fd <= STDERR_FILENO);
    pf_fd_close(&fd);
}

void pf_fd_close(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd); /* on Linux the descriptor is gone even after an error */
        *fd = -1;
    }
}

void pf_fd_close_from(int lowest)
{
    PF_ASSERT(lowest >= 0);
    if (close_range((unsigned)lowest, ~0u, 0) == 0) {
        return;
    }
    /* a kernel before 5.9, or a filter of system calls */
    struct rlimit limit;
    int end = 65536;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max < 1u << 20) {
        end = (int)limit.rlim_max;
    }
    for (int fd = lowest; fd < end; fd++) {
        (void)close(fd); /* most are not open */
    }
}

int pf_fd_write_all(int fd, const void *p, size_t bytes, struct pf_err *err)
{
    const char *at = p;

    while (bytes > 0) {
        ssize_t n = write(fd, at, bytes);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "write");
        }
        at += n;
        bytes -= (size_t)n;
    }
    return 0;
}

int pf_fd_raise_limit(uint64_t *out_limit, struct pf_err *err)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        return pf_err_set_sys(err, PF_EIO, errno, "read the limit of open files");
    }
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
            return pf_err_set_sys(err, pf_err_from_errno(errno), errno,
                                  "raise the limit of open files to %llu",
                                  (unsigned long long)limit.rlim_max);
        }
    }
    *out_limit = limit.rlim_cur;
    return 0;
}
