/* SPDX-License-Identifier: Apache-2.0 */
/* Removing a tree that others made, perhaps with malice: symbolic links are never followed, and a
 * directory deeper than STACK_MAX is renamed to the top first, so that neither depth nor paths cost
 * descriptors or stack. */
#include "common/sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "common/sys/fd.h"
#include "common/sys/random.h"

enum { STACK_MAX = 32, ROUNDS_MAX = 1000000 };

struct level {
    DIR *dir;                /* owned, also owns its descriptor */
    char name[NAME_MAX + 1]; /* in the level above */
};

struct removal {
    struct level level[STACK_MAX];
    uint32_t depth; /* open levels; level 0 is the top */
    uint64_t mount; /* of the top */
    bool has_moved; /* a deep directory waits at the top */
    int first_sys;  /* errno of the first failure, 0 = none */
    char first_name[NAME_MAX + 1];
};

static void removal_note(struct removal *r, int sys, const char *name)
{
    if (r->first_sys == 0) {
        r->first_sys = sys;
        (void)snprintf(r->first_name, sizeof r->first_name, "%s", name);
    }
}

/* A number that differs between mounts. */
static bool mount_of(int fd, uint64_t *out)
{
    struct statx st;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) < 0) {
        return false;
    }
    *out = (st.stx_mask & STATX_MNT_ID) != 0
               ? st.stx_mnt_id
               : (uint64_t)st.stx_dev_major << 32 | st.stx_dev_minor;
    return true;
}

/* Gives the owner all rights on a directory, where he took them from himself. */
static bool dir_lend_rights(int at, const char *name)
{
    char path[64];
    int fd = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0) {
        return false;
    }
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd); /* of the opened one, no other */
    int rc = chmod(path, 0700);
    int sys = errno;
    pf_fd_close(&fd);
    errno = sys;
    return rc == 0;
}

/* Opens a directory for reading its entries. */
static int dir_open(int at, const char *name)
{
    int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(at, name, flags);

    if (fd < 0 && errno == EACCES && dir_lend_rights(at, name)) {
        fd = openat(at, name, flags);
    }
    return fd;
}

/* Opens `name` of the level below the last as a new level. */
static bool level_push(struct removal *r, int at, const char *name)
{
    int fd = dir_open(at, name);
    uint64_t mount = 0;

    if (fd < 0 || !mount_of(fd, &mount)) {
        removal_note(r, errno, name);
        pf_fd_close(&fd);
        return false;
    }
    if (r->depth == 0) {
        r->mount = mount;
    } else if (mount != r->mount) {
        removal_note(r, EBUSY, name);
        pf_fd_close(&fd);
        return false;
    }
    /* rights to remove entries, where the owner took them from himself; removal tells if not */
    (void)fchmod(fd, 0700);
    struct level *l = &r->level[r->depth];
    l->dir = fdopendir(fd);
    if (!l->dir) {
        removal_note(r, errno, name);
        pf_fd_close(&fd);
        return false;
    }
    (void)snprintf(l->name, sizeof l->name, "%s", name);
    r->depth++;
    return true;
}

static void level_pop(struct removal *r)
{
    (void)closedir(r->level[--r->depth].dir); /* read only */
}

/* Moves a directory that is too deep to the top, under a name of its own. */
static void move_to_top(struct removal *r, int at, const char *name)
{
    char moved[48];

    (void)snprintf(moved, sizeof moved, ".removed-%016llx%016llx",
                   (unsigned long long)pf_random_u64(), (unsigned long long)pf_random_u64());
    int top = dirfd(r->level[0].dir);
    if (renameat(at, name, top, moved) == 0 ||
        (errno == EACCES && dir_lend_rights(at, name) && renameat(at, name, top, moved) == 0)) {
        r->has_moved = true;
    } else {
        removal_note(r, errno, name);
    }
}

/* Removes an entry of the last level, or opens it as the next one. */
static void remove_entry(struct removal *r, const struct dirent *entry)
{
    int at = dirfd(r->level[r->depth - 1].dir);

    if (entry->d_type != DT_DIR) {
        if (unlinkat(at, entry->d_name, 0) == 0 || errno == ENOENT) {
            return;
        }
        if (errno != EISDIR) {
            removal_note(r, errno, entry->d_name);
            return;
        }
    }
    if (unlinkat(at, entry->d_name, AT_REMOVEDIR) == 0 || errno == ENOENT) {
        return;
    }
    if (errno != ENOTEMPTY && errno != EEXIST) {
        removal_note(r, errno, entry->d_name);
    } else if (r->depth == STACK_MAX) {
        move_to_top(r, at, entry->d_name);
    } else {
        (void)level_push(r, at, entry->d_name); /* a failure is noted */
    }
}

/* Empties the directory that is level 0; what was moved there needs another round. */
static void remove_contents(struct removal *r)
{
    while (r->depth > 0) {
        struct level *l = &r->level[r->depth - 1];
        const struct dirent *entry = readdir(l->dir);

        if (entry) {
            if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
                remove_entry(r, entry);
            }
            continue;
        }
        if (r->depth == 1) {
            return;
        }
        level_pop(r);
        int at = dirfd(r->level[r->depth - 1].dir);

        if (unlinkat(at, l->name, AT_REMOVEDIR) < 0 && errno != ENOENT) {
            removal_note(r, errno, l->name);
        }
    }
}

int pf_remove_tree(const char *path, struct pf_err *err)
{
    struct stat st;
    int sys = 0;

    if (lstat(path, &st) < 0) {
        sys = errno;
        goto out;
    }
    if (!S_ISDIR(st.st_mode)) {
        sys = unlink(path) < 0 ? errno : 0;
        goto out;
    }
    struct removal *r = PF_NEW(struct removal);

    if (level_push(r, AT_FDCWD, path)) {
        for (int round = 0; round < ROUNDS_MAX; round++) {
            r->has_moved = false;
            remove_contents(r);
            if (!r->has_moved) {
                break;
            }
            rewinddir(r->level[0].dir);
        }
        while (r->depth > 0) {
            level_pop(r);
        }
        if (rmdir(path) < 0 && errno != ENOENT) {
            removal_note(r, errno, ".");
        }
    }
    sys = r->first_sys;
    if (sys != 0) {
        (void)pf_err_set_sys(err, pf_err_from_errno(sys), sys, "remove %.100s of %.100s",
                             r->first_name, path);
    }
    pf_free(r);
    return sys == 0 ? 0 : pf_err_from_errno(sys);
out:
    if (sys != 0 && sys != ENOENT) {
        return pf_err_set_sys(err, pf_err_from_errno(sys), sys, "remove %s", path);
    }
    return 0;
}
