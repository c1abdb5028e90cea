/* SPDX-License-Identifier: Apache-2.0 */
/* See sandbox.h. */
#include "agent/daemon/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/sys/fd.h"
#include "common/sys/file.h"

#define PARENT_MODE  0755
#define SANDBOX_MODE 0750
#define OUTPUT_MODE  0640
#define SCRIPT_MODE  0750
#define DIR_FLAGS    (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

static bool fail(struct pf_sandbox_failure *out, int error, const char *stage)
{
    *out = (struct pf_sandbox_failure){error, stage};
    return false;
}

static int dir_make_one(const char *path, mode_t mode)
{
    return mkdir(path, mode) == 0 || errno == EEXIST ? 0 : errno;
}

/* Where the last '/' before `at` is; 0 at the root. */
static size_t slash_before(const char *path, size_t at)
{
    while (at > 0 && path[--at] != '/') {
    }
    return at;
}

/* The directory of the sandbox itself, after its parents: from below, because most of them are
 * there. 0 or errno. */
static int dir_make(struct pf_str path)
{
    char text[PATH_MAX];
    size_t at = path.len;

    if (path.len >= sizeof text) {
        return ENAMETOOLONG;
    }
    memcpy(text, path.at, path.len + 1);
    int sys = dir_make_one(text, SANDBOX_MODE);
    while (sys == ENOENT && (at = slash_before(text, at)) > 0) {
        text[at] = '\0';
        sys = dir_make_one(text, PARENT_MODE);
    }
    while (sys == 0 && at < path.len) { /* down again */
        text[at] = '/';
        at += strlen(text + at);
        sys = dir_make_one(text, at == path.len ? SANDBOX_MODE : PARENT_MODE);
    }
    return sys;
}

static int fd_give(int fd, const struct pf_user *owner)
{
    return owner->is_own || fchown(fd, owner->uid, owner->gid) == 0 ? 0 : errno;
}

/* A script of an earlier try is replaced, never written through. */
static int script_write(int dir, const struct pf_user *owner, struct pf_bytes script)
{
    struct pf_err err = {0};

    if (unlinkat(dir, "script", 0) != 0 && errno != ENOENT) {
        return errno;
    }
    int fd = openat(dir, "script", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                    SCRIPT_MODE);
    if (fd < 0) {
        return errno;
    }
    int sys = 0;
    if (pf_fd_write_all(fd, script.at, script.len, &err) != 0) {
        sys = err.sys != 0 ? err.sys : EIO;
    }
    if (sys == 0) {
        sys = fchmod(fd, SCRIPT_MODE) == 0 ? fd_give(fd, owner) : errno;
    }
    if (close(fd) != 0 && sys == 0) {
        sys = errno;
    }
    return sys;
}

bool pf_sandbox_make(struct pf_str path, const struct pf_user *owner, struct pf_bytes script,
                     struct pf_sandbox_failure *out)
{
    int sys = dir_make(path);
    if (sys != 0) {
        return fail(out, sys, "mkdir");
    }
    if (owner->is_own && script.at == NULL) {
        return true;
    }
    int dir = open(path.at, DIR_FLAGS);
    if (dir < 0) {
        return fail(out, errno, "mkdir");
    }
    const char *stage = "script";
    if (script.at != NULL) {
        sys = script_write(dir, owner, script);
    }
    if (sys == 0) {
        stage = "chown";
        sys = fd_give(dir, owner);
    }
    pf_fd_close(&dir);
    return sys == 0 ? true : fail(out, sys, stage);
}

/* What its owner put there may be another's file by a second name. */
static bool output_is_own(const struct stat *st, const struct pf_user *owner)
{
    return S_ISREG(st->st_mode) && st->st_nlink == 1 &&
           (owner->is_own || st->st_uid == owner->uid || st->st_uid == geteuid());
}

/* One output file: fresh in almost every case; else what is there must be the user's regular
 * file, or ours from before a crash. */
static int output_open(int dir, const char *name, const struct pf_user *owner)
{
    const int flags = O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC;
    struct stat st;

    int fd = openat(dir, name, flags | O_CREAT | O_EXCL, OUTPUT_MODE);
    if (fd >= 0) {
        int sys = fd_give(fd, owner);
        if (sys != 0) {
            pf_fd_close(&fd);
            errno = sys;
        }
        return fd;
    }
    if (errno != EEXIST) {
        return -1;
    }
    fd = openat(dir, name, flags | O_NONBLOCK); /* a pipe must not make us wait */
    if (fd < 0) {
        return -1;
    }
    if (fstat(fd, &st) != 0 || !output_is_own(&st, owner) || fcntl(fd, F_SETFL, O_APPEND) != 0) {
        pf_fd_close(&fd);
        errno = EINVAL;
    }
    return fd;
}

bool pf_sandbox_open_output(struct pf_str path, const struct pf_user *owner, int out_fd[2],
                            struct pf_sandbox_failure *out)
{
    int dir = open(path.at, DIR_FLAGS);
    if (dir < 0) {
        return fail(out, errno, "stdout");
    }
    out_fd[0] = output_open(dir, "stdout", owner);
    if (out_fd[0] < 0) {
        int sys = errno;
        pf_fd_close(&dir);
        return fail(out, sys, "stdout");
    }
    out_fd[1] = output_open(dir, "stderr", owner);
    int sys = errno;
    pf_fd_close(&dir);
    if (out_fd[1] < 0) {
        pf_fd_close(&out_fd[0]);
        return fail(out, sys, "stderr");
    }
    return true;
}

static int file_open(struct pf_str path, int flags)
{
    char dir_path[PATH_MAX];
    struct stat st;

    const char *slash = strrchr(path.at, '/');
    if (slash == NULL || slash == path.at || (size_t)(slash - path.at) >= sizeof dir_path) {
        errno = EINVAL;
        return -1;
    }
    memcpy(dir_path, path.at, (size_t)(slash - path.at));
    dir_path[slash - path.at] = '\0';
    int dir = open(dir_path, DIR_FLAGS);
    if (dir < 0) {
        return -1;
    }
    int fd = openat(dir, slash + 1, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int sys = errno;
    pf_fd_close(&dir);
    if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))) {
        pf_fd_close(&fd);
        sys = EINVAL;
    }
    errno = sys;
    return fd;
}

int pf_sandbox_open_file(struct pf_str path)
{
    return file_open(path, O_RDONLY);
}

int pf_sandbox_open_to_cut(struct pf_str path)
{
    return file_open(path, O_WRONLY | O_APPEND);
}
