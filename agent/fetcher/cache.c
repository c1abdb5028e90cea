/* SPDX-License-Identifier: Apache-2.0 */
/* The shared files of a user. */
#include "agent/fetcher/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/sys/fd.h"

#define DIR_LOCK  "lock"
#define KEY_LEN   64
#define NAME_SIZE (KEY_LEN + 8) /* KEY.lock and its NUL */

struct name {
    char text[NAME_SIZE];
};

static struct name name_of(const char *key, const char *ext)
{
    struct name n;

    (void)snprintf(n.text, sizeof n.text, "%.*s%s", KEY_LEN, key, ext);
    return n;
}

static int sys_failure(struct pf_err *err, const char *what)
{
    return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "%s", what);
}

static int key_of(struct pf_str uri, struct name *out, struct pf_err *err)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    if (EVP_Digest(uri.at, uri.len, hash, &len, EVP_sha256(), NULL) != 1 || len * 2 != KEY_LEN) {
        return pf_err_set(err, PF_EIO, "no SHA-256");
    }
    for (unsigned i = 0; i < len; i++) {
        (void)snprintf(out->text + (size_t)i * 2, 3, "%02x", hash[i]);
    }
    return 0;
}

/* 0: locked, PF_EBUSY: held by another and `how` says not to wait. */
static int lock_fd(int fd, int how, struct pf_err *err)
{
    while (flock(fd, how) != 0) {
        if (errno == EWOULDBLOCK) {
            return PF_EBUSY;
        }
        if (errno != EINTR) {
            return sys_failure(err, "lock the cache");
        }
    }
    return 0;
}

/* Locks the file `name`, made if missing; one that was removed while we waited is made again. */
static int lock_name(struct pf_cache *c, const char *name, int how, int *out_fd, struct pf_err *err)
{
    for (;;) {
        struct stat st;
        int fd = openat(c->dir_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0) {
            return sys_failure(err, "make a lock in the cache");
        }
        int rc = lock_fd(fd, how, err);
        if (rc == 0 && fstat(fd, &st) == 0 && st.st_nlink > 0) {
            *out_fd = fd;
            return 0;
        }
        pf_fd_close(&fd);
        if (rc != 0) {
            return rc;
        }
    }
}

struct found {
    struct name key;
    uint64_t bytes;
    struct timespec used;
};

struct sweep {
    struct pf_cache *c;
    struct pf_ptrs entries; /* struct found, owned */
    uint64_t total_bytes;
};

static bool is_key(const char *name)
{
    return strspn(name, "0123456789abcdef") == KEY_LEN;
}

/* Removes a file of an entry that nobody uses, and its lock with it. */
static bool remove_unused(struct pf_cache *c, const char *key, const char *ext)
{
    struct name lock = name_of(key, ".lock");
    struct name file = name_of(key, ext);
    struct stat st;
    int fd = -1;

    if (lock_name(c, lock.text, LOCK_EX | LOCK_NB, &fd, NULL) != 0) {
        return false;
    }
    bool is_gone = unlinkat(c->dir_fd, file.text, 0) == 0 || errno == ENOENT;
    struct name content = name_of(key, "");
    if (fstatat(c->dir_fd, content.text, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        (void)unlinkat(c->dir_fd, lock.text, 0); /* stays for the next sweep */
    }
    pf_fd_close(&fd);
    return is_gone;
}

static void sweep_name(struct sweep *s, const char *name)
{
    struct stat st;

    if (!is_key(name) || fstatat(s->c->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return;
    }
    if (name[KEY_LEN] == '\0') {
        struct found *f = PF_NEW(struct found);
        *f = (struct found){name_of(name, ""), (uint64_t)st.st_size, st.st_mtim};
        pf_ptrs_push(&s->entries, f);
        s->total_bytes += f->bytes;
    } else if (strcmp(name + KEY_LEN, ".tmp") == 0) {
        (void)remove_unused(s->c, name, ".tmp"); /* in use, or gone */
    } else if (strcmp(name + KEY_LEN, ".lock") == 0) {
        struct name content = name_of(name, "");
        if (fstatat(s->c->dir_fd, content.text, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            (void)remove_unused(s->c, name, ".tmp"); /* in use, or gone */
        }
    }
}

static int by_use(const void *a, const void *b)
{
    const struct found *x = a;
    const struct found *y = b;

    if (x->used.tv_sec != y->used.tv_sec) {
        return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    }
    return x->used.tv_nsec < y->used.tv_nsec ? -1 : x->used.tv_nsec > y->used.tv_nsec;
}

/* Clears what was left over and makes room for `need_bytes`; the directory is locked. False: what
 * is in use takes too much. */
static bool make_room(struct pf_cache *c, uint64_t need_bytes)
{
    struct sweep s = {.c = c};
    int fd = openat(c->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *e;

    if (dir == NULL) {
        pf_fd_close(&fd);
        return false;
    }
    while ((e = readdir(dir)) != NULL) {
        sweep_name(&s, e->d_name);
    }
    (void)closedir(dir); /* only read */
    pf_ptrs_sort(&s.entries, by_use);
    for (uint32_t i = 0; i < s.entries.len; i++) {
        struct found *f = s.entries.at[i];
        if ((need_bytes > c->max_bytes || s.total_bytes > c->max_bytes - need_bytes) &&
            remove_unused(c, f->key.text, "")) {
            s.total_bytes -= f->bytes;
        }
        pf_free(f);
    }
    pf_ptrs_fini(&s.entries);
    return need_bytes <= c->max_bytes && s.total_bytes <= c->max_bytes - need_bytes;
}

int pf_cache_open(const char *dir, uint64_t max_bytes, struct pf_cache *out, struct pf_err *err)
{
    struct pf_cache c = {.dir_fd = -1, .max_bytes = max_bytes};
    struct stat st;
    int fd = -1;

    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        return sys_failure(err, "make the cache");
    }
    c.dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (c.dir_fd < 0 || fstat(c.dir_fd, &st) != 0) {
        int rc = sys_failure(err, "open the cache");
        pf_fd_close(&c.dir_fd);
        return rc;
    }
    int rc = 0;
    if (st.st_uid != geteuid() || (st.st_mode & 022) != 0) {
        rc = pf_err_set(err, PF_EACCESS, "the cache is not the user's alone");
    }
    if (rc == 0) {
        rc = lock_name(&c, DIR_LOCK, LOCK_EX, &fd, err);
    }
    if (rc != 0) {
        pf_fd_close(&c.dir_fd);
        return rc;
    }
    (void)make_room(&c, 0); /* what does not fit is in use */
    pf_fd_close(&fd);
    *out = c;
    return 0;
}

void pf_cache_close(struct pf_cache *c)
{
    pf_fd_close(&c->dir_fd);
}

/* 1: the content is there and open, and was used now. */
static int open_content(struct pf_cache *c, const char *key, int *out_fd, struct pf_err *err)
{
    int fd = openat(c->dir_fd, key, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0) {
        return errno == ENOENT ? 0 : sys_failure(err, "open an entry of the cache");
    }
    (void)futimens(fd, NULL); /* then it counts as older than it is */
    *out_fd = fd;
    return 1;
}

/* Adds what was filled. Without room it is only removed: its descriptor stays good. */
static int keep(struct pf_cache *c, const char *key, int fd, struct pf_err *err)
{
    struct name temp = name_of(key, ".tmp");
    struct stat st;
    int lock = -1;

    if (fdatasync(fd) != 0 || fstat(fd, &st) != 0) { /* after a crash a name has its content */
        return sys_failure(err, "write an entry of the cache");
    }
    int rc = lock_name(c, DIR_LOCK, LOCK_EX, &lock, err);
    if (rc != 0) {
        return rc;
    }
    if (!make_room(c, (uint64_t)st.st_size)) {
        (void)unlinkat(c->dir_fd, temp.text, 0); /* the next sweep will */
    } else if (renameat(c->dir_fd, temp.text, c->dir_fd, key) != 0) {
        rc = sys_failure(err, "name an entry of the cache");
    }
    pf_fd_close(&lock);
    return rc;
}

/* The entry is locked for us alone. */
static int fill_entry(struct pf_cache *c, const char *key, pf_cache_fill *fill, void *ctx,
                      int *out_fd, struct pf_err *err)
{
    struct name temp = name_of(key, ".tmp");

    (void)unlinkat(c->dir_fd, temp.text, 0); /* of one who was killed */
    int fd = openat(c->dir_fd, temp.text, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int rc = fd < 0 ? sys_failure(err, "make an entry of the cache") : 0;
    if (rc == 0) {
        rc = fill(ctx, fd, c->max_bytes, err);
    }
    if (rc == 0) {
        rc = keep(c, key, fd, err);
    }
    if (rc != 0) {
        if (fd >= 0) {
            (void)unlinkat(c->dir_fd, temp.text, 0); /* the next sweep will */
        }
        pf_fd_close(&fd);
        return rc;
    }
    *out_fd = fd;
    return 0;
}

int pf_cache_get(struct pf_cache *c, struct pf_str uri, pf_cache_fill *fill, void *ctx,
                 struct pf_cache_entry *out, struct pf_err *err)
{
    struct pf_cache_entry e = PF_CACHE_ENTRY_NONE;
    struct name key;
    int rc = key_of(uri, &key, err);

    if (rc != 0) {
        return rc;
    }
    struct name lock = name_of(key.text, ".lock");
    rc = lock_name(c, lock.text, LOCK_SH, &e.lock_fd, err); /* waits for who fills it */
    if (rc == 0) {
        rc = open_content(c, key.text, &e.fd, err);
    }
    if (rc == 0 && e.fd < 0) {
        pf_fd_close(&e.lock_fd);
        rc = lock_name(c, lock.text, LOCK_EX, &e.lock_fd, err);
    }
    if (rc == 0 && e.fd < 0) {
        rc = open_content(c, key.text, &e.fd, err); /* filled while we waited */
    }
    e.is_hit = rc == 1;
    if (rc == 0) {
        rc = fill_entry(c, key.text, fill, ctx, &e.fd, err);
    }
    if (rc >= 0) {
        rc = lock_fd(e.lock_fd, LOCK_SH, err); /* an eviction in between takes only the name */
    }
    if (rc != 0) {
        pf_cache_release(&e);
        return rc;
    }
    *out = e;
    return 0;
}

void pf_cache_release(struct pf_cache_entry *e)
{
    pf_fd_close(&e->fd);
    pf_fd_close(&e->lock_fd);
}
