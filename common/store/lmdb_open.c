/* SPDX-License-Identifier: Apache-2.0 */
/* Opening the directory of a store: everything that must be refused is refused here, before a page
 * of the map is touched. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/store/lmdb_internal.h"
#include "common/sys/file.h"

enum {
    MAP_MIN_BYTES = 4 << 20,
    SPACE_LEFT_MIN_BYTES = 4 << 20,
    KIND_MAX = 64,
    READERS_BYTES = 8192
};

/* Written once, at creation; the level rises when a newer version opens the store. */
struct stamp {
    uint8_t level[4]; /* little-endian */
    char kind[KIND_MAX];
};

static const char stamp_key[] = {0, 's', 't', 'a', 'm', 'p'};

static char *path_join(const char *dir, const char *name)
{
    struct pf_buf b = {0};
    char *path;

    pf_buf_printf(&b, "%s/%s", dir, name);
    path = pf_strdup(pf_buf_cstr(&b));
    pf_buf_fini(&b);
    return path;
}

/* Locks and mappings are not coherent between machines. */
static int dir_check_filesystem(const struct lmdb_store *s, struct pf_err *err)
{
    const char *name = NULL;
    int rc = pf_fs_network(s->dir, &name, err);

    if (rc == 0 && name) {
        rc = pf_err_set(err, PF_EINVAL, "%s is on a network filesystem (%s); a local one is needed",
                        s->dir, name);
    }
    return rc;
}

/* LMDB maps its table of readers and writes there: without blocks behind it a full disk would be a
 * SIGBUS. READERS_BYTES is the size for LMDB's default of 126 readers. */
static int dir_allocate_readers(const struct lmdb_store *s, struct pf_err *err)
{
    int fd = open(s->readers_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int sys = fd < 0 ? errno : posix_fallocate(fd, 0, READERS_BYTES);

    if (fd >= 0) {
        (void)close(fd);
    }
    return sys ? pf_err_set_sys(err, pf_err_from_errno(sys), sys, "%s", s->readers_path) : 0;
}

/* A name in a directory lasts when the directory is synced. */
static int dir_make(struct lmdb_store *s, struct pf_err *err)
{
    char *parent, *slash;
    int rc;

    if (mkdir(s->dir, 0700) != 0) {
        if (errno == EEXIST) {
            return 0;
        }
        return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "making %s", s->dir);
    }
    parent = pf_strdup(s->dir);
    slash = strrchr(parent, '/');
    if (slash) {
        slash[slash == parent ? 1 : 0] = '\0';
    }
    rc = pf_dir_sync(slash ? parent : ".", err);
    pf_free(parent);
    if (rc == PF_EACCESS) { /* somebody else's directory */
        pf_err_clear(err);
        rc = 0;
    }
    return rc;
}

/* The file must have all pages that its newest commit speaks of. Since the map size is set by
 * lmdb_set_map, the file was as long as the map when those were written. */
int lmdb_check_length(const struct lmdb_store *s, uint64_t *out_bytes, struct pf_err *err)
{
    MDB_envinfo info;
    MDB_stat st;
    struct stat file;
    uint64_t need;
    int rc = mdb_env_info(s->env, &info);

    if (!rc) {
        rc = mdb_env_stat(s->env, &st);
    }
    if (!rc && stat(s->data_path, &file) != 0) {
        rc = errno;
    }
    if (rc) {
        return lmdb_err_set(s, err, rc, "looking at");
    }
    need = ((uint64_t)info.me_last_pgno + 1) * st.ms_psize;
    if ((uint64_t)file.st_size < need) {
        return pf_err_set(err, PF_EPROTO, "%s is cut short: %llu of at least %llu bytes",
                          s->data_path, (unsigned long long)file.st_size,
                          (unsigned long long)need);
    }
    *out_bytes = (uint64_t)file.st_size;
    return 0;
}

static int env_open(struct lmdb_store *s, struct pf_err *err)
{
    unsigned flags = MDB_NOTLS | (s->no_sync ? MDB_NOSYNC : 0);
    uint64_t file_bytes = 0;
    size_t map_bytes = MAP_MIN_BYTES;
    int n_dead, rc;

    rc = mdb_env_create(&s->env);
    if (!rc) {
        rc = mdb_env_open(s->env, s->dir, flags, 0600);
    }
    if (rc) {
        return lmdb_err_set(s, err, rc, "opening");
    }
    rc = lmdb_check_length(s, &file_bytes, err);
    if (rc < 0) {
        return rc;
    }
    while (map_bytes < file_bytes) {
        map_bytes *= 2;
    }
    rc = lmdb_set_map(s, map_bytes);
    if (!rc) {
        rc = mdb_reader_check(s->env, &n_dead);
    }
    return rc ? lmdb_err_set(s, err, rc, "mapping") : 0;
}

static uint32_t stamp_level(const struct stamp *st)
{
    return (uint32_t)st->level[0] | (uint32_t)st->level[1] << 8 | (uint32_t)st->level[2] << 16 |
           (uint32_t)st->level[3] << 24;
}

static int stamp_compare(const struct lmdb_store *s, const struct stamp *st,
                         const struct pf_store_lmdb_options *o, struct pf_err *err)
{
    if (strcmp(st->kind, o->kind) != 0) {
        return pf_err_set(err, PF_EINVAL, "%s holds the state of another kind: %s instead of %s",
                          s->dir, st->kind, o->kind);
    }
    if (stamp_level(st) > o->level) {
        return pf_err_set(err, PF_EVERSION,
                          "%s was written at level %u by a newer version; this one knows %u",
                          s->dir, stamp_level(st), o->level);
    }
    return 0;
}

/* Reads the stamp; *out_found is false for a store without any entry. */
static int stamp_read(struct lmdb_store *s, struct stamp *out, bool *out_found,
                      struct pf_err *err)
{
    MDB_val key = {sizeof stamp_key, (void *)(uintptr_t)stamp_key}, value;
    MDB_txn *txn = NULL;
    MDB_stat st = {0};
    int rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);

    if (!rc) {
        rc = mdb_dbi_open(txn, NULL, 0, &s->dbi);
    }
    if (!rc) {
        rc = mdb_stat(txn, s->dbi, &st);
    }
    if (!rc) {
        rc = mdb_get(txn, s->dbi, &key, &value);
        *out_found = rc == 0;
        if (rc == 0 && value.mv_size <= sizeof *out && value.mv_size > sizeof out->level) {
            memset(out, 0, sizeof *out);
            memcpy(out, value.mv_data, value.mv_size);
            out->kind[KIND_MAX - 1] = '\0';
        } else if (rc != MDB_NOTFOUND || st.ms_entries > 0) {
            rc = pf_err_set(err, PF_EINVAL, "%s is not a file of Proffer", s->data_path);
            mdb_txn_abort(txn);
            return rc;
        } else {
            rc = 0;
        }
    }
    mdb_txn_abort(txn);
    return rc ? lmdb_err_set(s, err, rc, "reading") : 0;
}

static int stamp_write(struct lmdb_store *s, const struct pf_store_lmdb_options *o,
                       struct pf_err *err)
{
    size_t kind_len = strlen(o->kind);
    struct stamp st = {.level = {(uint8_t)o->level, (uint8_t)(o->level >> 8),
                                 (uint8_t)(o->level >> 16), (uint8_t)(o->level >> 24)}};
    MDB_val key = {sizeof stamp_key, (void *)(uintptr_t)stamp_key};
    MDB_val value = {sizeof st.level + kind_len, &st};
    MDB_txn *txn = NULL;
    int rc;

    PF_ASSERT(kind_len >= 1 && kind_len < KIND_MAX);
    memcpy(st.kind, o->kind, kind_len);
    rc = mdb_txn_begin(s->env, NULL, 0, &txn);
    if (!rc) {
        rc = mdb_put(txn, s->dbi, &key, &value, 0);
        if (rc) {
            mdb_txn_abort(txn);
        } else {
            rc = mdb_txn_commit(txn);
        }
    }
    return rc ? lmdb_err_set(s, err, rc, "stamping") : 0;
}

static int stamp_settle(struct lmdb_store *s, const struct pf_store_lmdb_options *o,
                        struct pf_err *err)
{
    struct stamp st = {0};
    bool found = false;
    int rc = stamp_read(s, &st, &found, err);

    if (rc < 0) {
        return rc;
    }
    if (found) {
        rc = stamp_compare(s, &st, o, err);
        if (rc < 0 || stamp_level(&st) == o->level) {
            return rc;
        }
    }
    rc = stamp_write(s, o, err);
    return rc < 0 || s->no_sync ? rc : pf_dir_sync(s->dir, err);
}

/* Makes the ballast when it is missing and there is room. Without it the store works, and says so
 * by `ballast_spent`. */
static void ballast_make(struct lmdb_store *s)
{
    struct statvfs fs;
    struct stat st;
    int fd;

    if (stat(s->ballast_path, &st) == 0 && (uint64_t)st.st_blocks * 512 >= LMDB_BALLAST_BYTES) {
        s->has_ballast = true;
        return;
    }
    if (statvfs(s->dir, &fs) == 0 &&
        (uint64_t)fs.f_bavail * fs.f_frsize >= LMDB_BALLAST_BYTES + SPACE_LEFT_MIN_BYTES) {
        fd = open(s->ballast_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd >= 0) {
            s->has_ballast = posix_fallocate(fd, 0, LMDB_BALLAST_BYTES) == 0;
            (void)close(fd);
        }
    }
    if (!s->has_ballast) {
        (void)unlink(s->ballast_path); /* what was made of it only takes room */
    }
}

int lmdb_set_map(struct lmdb_store *s, size_t bytes)
{
    int rc;

    if (truncate(s->data_path, (off_t)bytes) != 0) {
        return errno;
    }
    rc = mdb_env_set_mapsize(s->env, bytes);
    if (!rc) {
        s->map_bytes = bytes;
    }
    return rc;
}

int lmdb_dir_open(struct lmdb_store *s, const struct pf_store_lmdb_options *o, struct pf_err *err)
{
    int rc;

    s->dir = pf_strdup(o->dir);
    s->data_path = path_join(o->dir, "data.mdb");
    s->lock_path = path_join(o->dir, "store.lock");
    s->readers_path = path_join(o->dir, "lock.mdb");
    s->ballast_path = path_join(o->dir, "ballast");
    s->no_sync = o->no_sync;
    rc = dir_make(s, err);
    if (rc == 0) {
        rc = dir_check_filesystem(s, err);
    }
    if (rc == 0) {
        rc = pf_file_lock(s->lock_path, &s->lock_fd, err);
    }
    if (rc == 0) {
        rc = dir_allocate_readers(s, err);
    }
    if (rc == 0) {
        rc = lmdb_verify(s, err);
    }
    if (rc == 0) {
        rc = env_open(s, err);
    }
    if (rc == 0) {
        rc = stamp_settle(s, o, err);
    }
    if (rc == 0 && !s->no_sync) {
        ballast_make(s);
        s->stats.ballast_spent = !s->has_ballast;
    }
    s->stats.map_bytes = s->map_bytes;
    return rc;
}

void lmdb_dir_close(struct lmdb_store *s)
{
    if (s->env) {
        mdb_env_close(s->env);
        s->env = NULL;
    }
    if (s->lock_fd >= 0) {
        (void)close(s->lock_fd); /* releases the lock */
        s->lock_fd = -1;
    }
    PF_FREE(s->dir);
    PF_FREE(s->data_path);
    PF_FREE(s->lock_path);
    PF_FREE(s->readers_path);
    PF_FREE(s->ballast_path);
}
