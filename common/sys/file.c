/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files, directories, locks, file systems. */
#include "common/sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "common/sys/fd.h"
#include "common/sys/random.h"

enum { FILE_READ_STEP = 16 << 10 };

static int file_fail(struct pf_err *err, const char *what, const char *path)
{
    int sys = errno;

    return pf_err_set_sys(err, pf_err_from_errno(sys), sys, "%s %s", what, path);
}

int pf_file_read(const char *path, size_t max_bytes, struct pf_buf *out, struct pf_err *err)
{
    size_t start = out->len;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc = fd < 0 ? file_fail(err, "open", path) : 0;

    while (rc == 0) {
        if (!pf_buf_reserve(out, FILE_READ_STEP)) {
            rc = pf_err_set(err, PF_ELIMIT, "%s is too large", path);
            break;
        }
        ssize_t n = read(fd, out->data + out->len, FILE_READ_STEP);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            rc = file_fail(err, "read", path);
        } else if (n == 0) {
            break;
        } else if ((size_t)n > max_bytes - (out->len - start)) {
            rc = pf_err_set(err, PF_ELIMIT, "%s is larger than %zu bytes", path, max_bytes);
        } else {
            out->len += (size_t)n;
        }
    }
    if (rc < 0) {
        out->len = start;
    }
    pf_fd_close(&fd);
    return rc;
}

/* The directory part of a path, "." if there is none. Owned. */
static char *path_dir(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash) {
        return pf_strdup(".");
    }
    return slash == path ? pf_strdup("/") : pf_strndup(path, (size_t)(slash - path));
}

int pf_dir_sync(const char *path, struct pf_err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = 0;

    if (fd < 0 || (fsync(fd) < 0 && errno != EINVAL)) { /* EINVAL: a kind that cannot */
        rc = file_fail(err, "sync", path);
    }
    pf_fd_close(&fd);
    return rc;
}

/* Fills a new file and makes its contents durable. */
static int file_fill(const char *path, const void *p, size_t bytes, mode_t mode,
                     struct pf_err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode & 0700);
    int rc = fd < 0 ? file_fail(err, "create", path) : 0;

    if (rc == 0) {
        rc = pf_fd_write_all(fd, p, bytes, err);
        if (rc < 0) {
            pf_err_wrap(err, "%s", path);
        }
    }
    if (rc == 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0)) {
        rc = file_fail(err, "sync", path);
    }
    if (rc < 0 && fd >= 0) {
        (void)unlink(path); /* it was ours; the first error is what matters */
    }
    pf_fd_close(&fd);
    return rc;
}

int pf_file_write(const char *path, const void *p, size_t bytes, mode_t mode, struct pf_err *err)
{
    struct pf_buf temporary = {0};
    char *dir = path_dir(path);

    pf_buf_printf(&temporary, "%s.%016llx.tmp", path, (unsigned long long)pf_random_u64());
    int rc = file_fill(pf_buf_cstr(&temporary), p, bytes, mode, err);
    if (rc == 0 && rename(pf_buf_cstr(&temporary), path) < 0) {
        rc = file_fail(err, "replace", path);
        (void)unlink(pf_buf_cstr(&temporary)); /* it was ours; the first error is what matters */
    }
    if (rc == 0) {
        rc = pf_dir_sync(dir, err);
    }
    pf_buf_fini(&temporary);
    pf_free(dir);
    return rc;
}

/* One directory; fine if it is there. */
static int mkdir_one(const char *path, mode_t mode, struct pf_err *err)
{
    struct stat st;

    if (mkdir(path, mode) == 0) {
        return chmod(path, mode) == 0 ? 0 : file_fail(err, "set the mode of", path);
    }
    int sys = errno;
    if (stat(path, &st) == 0) { /* whatever mkdir said: EEXIST, EROFS, EACCES... */
        return S_ISDIR(st.st_mode)
                   ? 0
                   : pf_err_set(err, PF_EEXIST, "%s is there and no directory", path);
    }
    errno = sys;
    return file_fail(err, "make directory", path);
}

int pf_mkdir_p(const char *path, mode_t mode, struct pf_err *err)
{
    size_t len = strlen(path);
    int rc = 0;

    if (len == 0 || len >= PATH_MAX) {
        return pf_err_set(err, PF_EINVAL, "a directory's path must have 1 to %d bytes",
                          PATH_MAX - 1);
    }
    char *part = pf_strdup(path);
    for (size_t i = 1; rc == 0 && i <= len; i++) {
        if ((part[i] == '/' && part[i - 1] != '/') || part[i] == '\0') {
            char was = part[i];

            part[i] = '\0';
            rc = mkdir_one(part, mode, err);
            part[i] = was;
        }
    }
    pf_free(part);
    return rc;
}

/* Who holds the lock, as its file tells. */
static int lock_refuse(int fd, const char *path, struct pf_err *err)
{
    char text[24] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    long pid = n > 0 ? strtol(text, NULL, 10) : 0;

    if (pid > 0) {
        return pf_err_set(err, PF_EBUSY, "%s is locked by process %ld; is it running already?",
                          path, pid);
    }
    return pf_err_set(err, PF_EBUSY, "%s is locked by another process", path);
}

int pf_file_lock(const char *path, int *out_fd, struct pf_err *err)
{
    char pid[24];
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    int rc = 0;

    if (fd < 0) {
        return file_fail(err, "open", path);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        rc = errno == EWOULDBLOCK ? lock_refuse(fd, path, err) : file_fail(err, "lock", path);
    } else {
        int len = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());

        /* The lock is what counts, the number a courtesy: a full disk must not keep us out. */
        (void)!ftruncate(fd, 0);
        (void)!pwrite(fd, pid, (size_t)len, 0);
    }
    if (rc < 0) {
        pf_fd_close(&fd);
        return rc;
    }
    *out_fd = fd;
    return 0;
}

int pf_fs_space(const char *path, uint64_t *out_free_bytes, uint64_t *out_total_bytes,
                struct pf_err *err)
{
    struct statvfs fs;

    if (statvfs(path, &fs) < 0) {
        return file_fail(err, "ask for the space of", path);
    }
    *out_free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    *out_total_bytes = (uint64_t)fs.f_blocks * fs.f_frsize;
    return 0;
}

int pf_fs_network(const char *path, const char **out_name, struct pf_err *err)
{
    static const struct {
        uint32_t magic;
        const char *name;
    } network[] = {
        {0x6969, "nfs"},       {0xff534d42, "cifs"}, {0xfe534d42, "smb2"},   {0x517b, "smb"},
        {0x65735546, "fuse"},  {0x01021997, "9p"},   {0x00c36400, "ceph"},   {0x5346414f, "afs"},
        {0x7461636f, "ocfs2"}, {0x01161970, "gfs2"}, {0x0bd00bd0, "lustre"}, {0x73757245, "coda"},
        {0x564c, "ncp"},       {0x47504653, "gpfs"},
    };
    struct statfs fs;

    if (statfs(path, &fs) < 0) {
        return file_fail(err, "ask for the file system of", path);
    }
    *out_name = NULL;
    for (size_t i = 0; i < PF_ARRAY_LEN(network); i++) {
        if ((uint32_t)fs.f_type == network[i].magic) {
            *out_name = network[i].name;
        }
    }
    return 0;
}
