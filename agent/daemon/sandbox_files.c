/* SPDX-License-Identifier: Apache-2.0 */
/* See sandbox_files.h. */
#include "agent/daemon/sandbox_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "common/link/envelope.h"
#include "common/sys/fd.h"
#include "schemas/proffer.h"

enum { NAMES_MAX = 65536, TARGET_MAX = 4096, PERMISSIONS = 0777 };

struct job {
    const struct pf_agent_act_files *a;
    const struct pf_user *owner;
    struct pf_fb_builder *b;
    int root; /* the sandbox */
};

static struct pf_msg reply(const struct job *j, enum ReplyCode code, const char *text)
{
    pf_fb_builder_reset(j->b);
    return pf_envelope_reply(j->b, j->a->request_id, (uint8_t)code, pf_str(text));
}

static struct pf_msg reply_errno(const struct job *j, int error)
{
    switch (error) {
    case ENOENT: return reply(j, ReplyCode_NOT_FOUND, "there is no such file or directory");
    case EXDEV:
    case ELOOP: return reply(j, ReplyCode_FORBIDDEN, "the path leads out of the sandbox");
    case ENOTDIR: return reply(j, ReplyCode_CONFLICT, "a part of the path is no directory");
    case EISDIR: return reply(j, ReplyCode_CONFLICT, "it is a directory");
    case ENOSPC: return reply(j, ReplyCode_UNAVAILABLE, "the agent's disk is full");
    default: return reply(j, ReplyCode_CONFLICT, strerror(error));
    }
}

static struct pf_msg reply_body(const struct job *j, enum Body type, struct pf_ref body)
{
    const struct pf_envelope e = {
        .request_id = j->a->request_id, .is_reply = true, .body_type = (uint8_t)type};

    return pf_envelope_finish(j->b, &e, body);
}

/* Below the sandbox, wherever links lead. -1 with errno. */
static int open_beneath(int root, const char *path, int flags, mode_t mode)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC | O_NONBLOCK),
        .mode = mode,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
    };

    return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

static struct pf_msg file_read(const struct job *j)
{
    static uint8_t data[PF_READ_CHUNK_BYTES];
    struct stat st;

    int fd = open_beneath(j->root, j->a->path.at, O_RDONLY, 0);
    if (fd < 0) {
        return reply_errno(j, errno);
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        pf_fd_close(&fd);
        return reply(j, ReplyCode_CONFLICT,
                     S_ISDIR(st.st_mode) ? "it is a directory" : "it is no regular file");
    }
    ssize_t n = pread(fd, data, j->a->limit, (off_t)j->a->offset);
    int sys = errno;
    pf_fd_close(&fd);
    if (n < 0) {
        return reply_errno(j, sys);
    }
    pf_fb_builder_reset(j->b);
    struct FileData__args args = {
        .offset = j->a->offset,
        .data = {data, (uint32_t)n},
        .size = (uint64_t)st.st_size,
        .eof = n == 0 || j->a->offset + (uint64_t)n >= (uint64_t)st.st_size,
        .mode = st.st_mode,
    };
    return reply_body(j, Body_FileData, FileData__put(j->b, &args));
}

/* --- lists ------------------------------------------------------------------------------------ */

static int cmp_names(const void *x, const void *y)
{
    return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* The names behind `after`; 0 or errno. */
static int names_read(DIR *dir, const char *after, struct pf_ptrs *out)
{
    struct dirent *e;

    for (errno = 0; (e = readdir(dir)) != NULL; errno = 0) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            strcmp(e->d_name, after) <= 0) {
            continue;
        }
        if (out->len == NAMES_MAX) {
            return EFBIG;
        }
        pf_ptrs_push(out, pf_strdup(e->d_name));
    }
    return errno;
}

static struct pf_ref entry_put(struct pf_fb_builder *b, int dir, const char *name)
{
    char target[TARGET_MAX];
    struct stat st = {0};
    ssize_t n = 0;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode)) {
        n = readlinkat(dir, name, target, sizeof target);
    }
    struct FileEntry__args args = {
        .name = pf_str(name),
        .size = (uint64_t)st.st_size,
        .mode = st.st_mode,
        .modified_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000,
        .target = {n > 0 ? target : NULL, n > 0 ? (uint32_t)n : 0},
    };
    return FileEntry__put(b, &args);
}

static struct pf_msg list_build(const struct job *j, int dir, const struct pf_ptrs *names)
{
    uint32_t n = names->len < j->a->limit ? names->len : j->a->limit;
    struct pf_ref *ref = pf_alloc((n + 1) * sizeof *ref);

    pf_fb_builder_reset(j->b);
    for (uint32_t i = 0; i < n; i++) {
        ref[i] = entry_put(j->b, dir, names->at[i]);
    }
    struct FileList__args args = {.entries = {ref, n}, .more = n < names->len};
    struct pf_msg msg = reply_body(j, Body_FileList, FileList__put(j->b, &args));
    pf_free(ref);
    return msg;
}

static struct pf_msg file_list(const struct job *j)
{
    struct pf_ptrs names = {0};
    struct pf_msg msg;

    int fd = open_beneath(j->root, j->a->path.at, O_RDONLY | O_DIRECTORY, 0);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        int sys = errno;
        pf_fd_close(&fd);
        return reply_errno(j, sys);
    }
    int sys = names_read(dir, j->a->after.at != NULL ? j->a->after.at : "", &names);
    if (sys == 0) {
        qsort(names.at, names.len, sizeof *names.at, cmp_names);
        msg = list_build(j, fd, &names);
    } else {
        msg = sys == EFBIG ? reply(j, ReplyCode_TOO_LARGE, "the directory has too many entries")
                           : reply_errno(j, sys);
    }
    for (uint32_t i = 0; i < names.len; i++) {
        pf_free(names.at[i]);
    }
    pf_ptrs_fini(&names);
    (void)closedir(dir); /* only read */
    return msg;
}

/* --- writing ---------------------------------------------------------------------------------- */

static int give(int fd, const struct job *j)
{
    return j->owner->is_own || fchown(fd, j->owner->uid, j->owner->gid) == 0 ? 0 : errno;
}

/* The directory that holds the last part of the path; `*out_name` is that part. */
static int open_parent(const struct job *j, const char **out_name)
{
    char *path = pf_strdup(j->a->path.at);
    char *slash = strrchr(path, '/');

    *out_name = slash != NULL ? j->a->path.at + (slash - path) + 1 : j->a->path.at;
    if (slash != NULL) {
        *slash = '\0';
    }
    int fd = open_beneath(j->root, slash != NULL ? path : ".", O_RDONLY | O_DIRECTORY, 0);
    int sys = errno;
    pf_free(path);
    errno = sys;
    return fd;
}

/* A new file in the place of whatever was there: never through a link into somebody else's. */
static int file_create(const struct job *j, int parent, const char *name)
{
    if (unlinkat(parent, name, 0) != 0 && errno != ENOENT) {
        return -1;
    }
    int fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0) {
        int sys = fchmod(fd, j->a->mode & PERMISSIONS) == 0 ? give(fd, j) : errno;
        if (sys != 0) {
            pf_fd_close(&fd);
            errno = sys;
        }
    }
    return fd;
}

/* One that an earlier part made. */
static int file_continue(const struct job *j, int parent, const char *name)
{
    struct stat st;

    int fd = openat(parent, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1 ||
                    (!j->owner->is_own && st.st_uid != j->owner->uid))) {
        pf_fd_close(&fd);
        errno = EPERM;
    }
    return fd;
}

static int write_at(int fd, struct pf_bytes data, uint64_t offset)
{
    uint32_t done = 0;

    while (done < data.len) {
        ssize_t n = pwrite(fd, data.at + done, data.len - done, (off_t)(offset + done));
        if (n < 0 && errno != EINTR) {
            return errno;
        }
        done += n > 0 ? (uint32_t)n : 0;
    }
    return 0;
}

static int dir_create(const struct job *j, int parent, const char *name)
{
    if (mkdirat(parent, name, 0700) != 0) {
        return errno == EEXIST ? 0 : errno;
    }
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return errno;
    }
    int sys = fchmod(fd, j->a->mode & PERMISSIONS) == 0 ? give(fd, j) : errno;
    pf_fd_close(&fd);
    return sys;
}

static struct pf_msg file_write(const struct job *j)
{
    const char *name;
    int sys = 0;

    int parent = open_parent(j, &name);
    if (parent < 0) {
        return reply_errno(j, errno);
    }
    if (*name == '\0' || strcmp(name, ".") == 0) {
        sys = S_ISDIR(j->a->mode) ? 0 : EISDIR;
    } else if (S_ISDIR(j->a->mode)) {
        sys = dir_create(j, parent, name);
    } else {
        int fd = j->a->offset == 0 ? file_create(j, parent, name) : file_continue(j, parent, name);
        sys = fd < 0 ? errno : write_at(fd, j->a->data, j->a->offset);
        if (fd >= 0 && close(fd) != 0 && sys == 0) {
            sys = errno;
        }
    }
    pf_fd_close(&parent);
    return sys != 0 ? reply_errno(j, sys) : reply(j, ReplyCode_OK, NULL);
}

struct pf_msg pf_sandbox_files_do(const struct pf_agent_act_files *a, const struct pf_user *owner,
                                  struct pf_fb_builder *b)
{
    struct job j = {a, owner, b, -1};
    struct pf_msg msg;

    j.root = open(a->sandbox.at, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (j.root < 0) {
        return reply(&j, ReplyCode_NOT_FOUND,
                     errno == ENOENT ? "the sandbox is not there any more" : strerror(errno));
    }
    msg = a->op == PF_AGENT_FILE_READ   ? file_read(&j)
          : a->op == PF_AGENT_FILE_LIST ? file_list(&j)
                                        : file_write(&j);
    pf_fd_close(&j.root);
    return msg;
}
