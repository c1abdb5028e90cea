/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of files. */
#include "agent/fetcher/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/sys/fd.h"

enum { COPY_STEP_BYTES = 64 << 20, READ_STEP_BYTES = 64 << 10 };

int pf_copy_source(const char *path, int *out_fd, struct pf_err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    int rc = 0;

    if (fd < 0) {
        return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "open");
    }
    if (fstat(fd, &st) != 0) {
        rc = pf_err_set_sys(err, pf_err_from_errno(errno), errno, "look at it");
    } else if (!S_ISREG(st.st_mode)) {
        rc = pf_err_set(err, PF_EINVAL, "%s, not a file",
                        S_ISDIR(st.st_mode) ? "a directory" : "a device, pipe or socket");
    }
    if (rc != 0) {
        pf_fd_close(&fd);
        return rc;
    }
    *out_fd = fd;
    return 0;
}

static int too_large(uint64_t max_bytes, struct pf_err *err)
{
    return pf_err_set(err, PF_ELIMIT, "larger than %" PRIu64 " bytes", max_bytes);
}

/* One step inside the kernel. 1: go on, 0: the end, PF_EVERSION: this pair of files cannot. */
static int copy_inside(int from, int to, uint64_t *done, struct pf_err *err)
{
    ssize_t n = copy_file_range(from, NULL, to, NULL, COPY_STEP_BYTES, 0);

    if (n > 0) {
        *done += (uint64_t)n;
        return 1;
    }
    if (n == 0) {
        return *done > 0 ? 0 : PF_EVERSION; /* files of /proc have no size, but content */
    }
    if (errno == EINTR) {
        return 1;
    }
    if (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP ||
        errno == EPERM || errno == EBADF || errno == ETXTBSY) {
        return PF_EVERSION;
    }
    return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "copy");
}

static int copy_through(int from, int to, uint64_t *done, struct pf_err *err)
{
    uint8_t part[READ_STEP_BYTES];
    ssize_t n = read(from, part, sizeof part);

    if (n < 0) {
        return errno == EINTR ? 1 : pf_err_set_sys(err, pf_err_from_errno(errno), errno, "read");
    }
    *done += (uint64_t)n;
    int rc = pf_fd_write_all(to, part, (size_t)n, err);
    return rc != 0 ? rc : n > 0;
}

int pf_copy_file(int from, int to, uint64_t max_bytes, uint64_t *out_bytes, struct pf_err *err)
{
    struct stat st;
    uint64_t done = 0;
    bool is_inside = true;
    int rc = 1;

    if (fstat(from, &st) != 0 || lseek(from, 0, SEEK_SET) != 0) {
        return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "look at it");
    }
    if (max_bytes != 0 && (uint64_t)st.st_size > max_bytes) {
        return too_large(max_bytes, err);
    }
    while (rc > 0) {
        if (is_inside) {
            rc = copy_inside(from, to, &done, err);
            if (rc == PF_EVERSION) {
                is_inside = false;
                rc = 1;
            }
        } else {
            rc = copy_through(from, to, &done, err);
        }
        if (rc >= 0 && max_bytes != 0 && done > max_bytes) { /* it grows */
            rc = too_large(max_bytes, err);
        }
    }
    if (rc == 0) {
        *out_bytes = done;
    }
    return rc;
}
