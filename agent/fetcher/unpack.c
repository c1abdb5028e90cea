/* SPDX-License-Identifier: Apache-2.0 */
/* Archives by libarchive: one walk over the entries, each looked at before it is made. */
#include "agent/fetcher/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/fetcher/place.h"
#include "common/base/buf.h"
#include "common/base/limits.h"
#include "common/sys/fd.h"

enum { READ_STEP_BYTES = 64 << 10, SHOWN_MAX = 120 };

#define WRITE_FLAGS                                                                                \
    (ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_SECURE_SYMLINKS | ARCHIVE_EXTRACT_SECURE_NODOTDOT |    \
     ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS)

struct unpack {
    struct archive *in, *out;
    uint64_t max_bytes;
    struct pf_unpacked done;
    struct pf_err *err;
};

enum pf_unpack_kind pf_unpack_kind(struct pf_str name)
{
    static const struct {
        const char *end;
        enum pf_unpack_kind kind;
    } ends[] = {
        {".tar", PF_UNPACK_TAR},     {".tar.gz", PF_UNPACK_TAR}, {".tgz", PF_UNPACK_TAR},
        {".tar.bz2", PF_UNPACK_TAR}, {".tbz2", PF_UNPACK_TAR},   {".tar.xz", PF_UNPACK_TAR},
        {".txz", PF_UNPACK_TAR},     {".zip", PF_UNPACK_ZIP},    {".gz", PF_UNPACK_GZIP},
    };

    for (size_t i = 0; i < PF_ARRAY_LEN(ends); i++) {
        size_t len = strlen(ends[i].end);
        if (name.len > len && memcmp(name.at + name.len - len, ends[i].end, len) == 0) {
            return ends[i].kind;
        }
    }
    return PF_UNPACK_NONE;
}

/* The component at `*at` (not empty), which moves behind it; 0 at the end. */
static size_t next_part(const char **at, const char **part)
{
    *part = *at + strspn(*at, "/");
    size_t len = strcspn(*part, "/");
    *at = *part + len;
    return len;
}

static bool is_up(const char *part, size_t len)
{
    return len == 2 && part[0] == '.' && part[1] == '.';
}

int pf_unpack_check_path(const char *path, struct pf_err *err)
{
    const char *part;
    size_t len;

    if (path[0] == '\0') {
        return pf_err_set(err, PF_EINVAL, "an empty name");
    }
    if (path[0] == '/') {
        return pf_err_set(err, PF_EINVAL, "an absolute name");
    }
    while ((len = next_part(&path, &part)) > 0) {
        if (is_up(part, len)) {
            return pf_err_set(err, PF_EINVAL, "its name leads out of the sandbox");
        }
    }
    return 0;
}

/* The directories above the link are no links (SECURE_SYMLINKS), so leading ".." are what they
 * seem. Behind other components they could climb from where another link leads: refused. */
int pf_unpack_check_symlink(const char *path, const char *target, struct pf_err *err)
{
    const char *part;
    size_t len;
    long depth = -1;
    bool has_name = false;

    if (target[0] == '\0' || target[0] == '/') {
        return pf_err_set(err, PF_EINVAL, "a symbolic link to %s",
                          target[0] == '\0' ? "nothing" : "an absolute name");
    }
    while ((len = next_part(&path, &part)) > 0) {
        depth += len == 1 && part[0] == '.' ? 0 : 1;
    }
    while ((len = next_part(&target, &part)) > 0) {
        if (is_up(part, len)) {
            depth--;
        } else if (len != 1 || part[0] != '.') {
            has_name = true;
        }
        if (is_up(part, len) && (has_name || depth < 0)) {
            return pf_err_set(err, PF_EINVAL, "a symbolic link that leads out of the sandbox");
        }
    }
    return 0;
}

/* An error of libarchive; `what` is said where it has no words. */
static int archive_failure(struct unpack *u, struct archive *a, const char *what)
{
    const char *text = archive_error_string(a);
    int sys = archive_errno(a);

    if (sys == ENOSPC || sys == EDQUOT || sys == EFBIG || sys == EIO || sys == EACCES) {
        return pf_err_set_sys(u->err, pf_err_from_errno(sys), sys, "%s", what);
    }
    return pf_err_set(u->err, PF_EPROTO, "%s: %s", what, text != NULL ? text : "damaged");
}

static int take_bytes(struct unpack *u, uint64_t bytes)
{
    if (bytes > u->max_bytes - u->done.bytes) {
        return pf_err_set(u->err, PF_ELIMIT, "the contents are larger than %" PRIu64 " bytes",
                          u->max_bytes);
    }
    u->done.bytes += bytes;
    return 0;
}

static int check_entry(struct unpack *u, struct archive_entry *entry, const char *path)
{
    const char *hard = archive_entry_hardlink(entry);
    const char *symbolic = archive_entry_symlink(entry);
    int rc = pf_unpack_check_path(path, u->err);

    if (rc != 0) {
        return rc;
    }
    if (hard != NULL) {
        rc = pf_unpack_check_path(hard, u->err);
        if (rc != 0) {
            pf_err_wrap(u->err, "a hard link, to");
        }
        return rc;
    }
    switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
    case AE_IFDIR: return 0;
    case AE_IFLNK: return pf_unpack_check_symlink(path, symbolic != NULL ? symbolic : "", u->err);
    default: return pf_err_set(u->err, PF_EINVAL, "a device, pipe or socket");
    }
}

/* Copies the data of an entry; `to` NULL: to the descriptor. Holes stay holes. */
static int copy_data(struct unpack *u, struct archive *to, int fd, uint64_t counted)
{
    const void *part;
    size_t len;
    la_int64_t at;
    int result;
    int rc = 0;

    while (rc == 0 && (result = archive_read_data_block(u->in, &part, &len, &at)) != ARCHIVE_EOF) {
        uint64_t end = (uint64_t)at + len;
        if (result < ARCHIVE_WARN) {
            return archive_failure(u, u->in, "read");
        }
        if (end > counted) { /* more than the header said, or it said nothing */
            rc = take_bytes(u, end - counted);
            counted = end;
        }
        if (rc == 0 && to != NULL && archive_write_data_block(to, part, len, at) < ARCHIVE_WARN) {
            rc = archive_failure(u, to, "write");
        } else if (rc == 0 && to == NULL) {
            rc = pf_fd_write_all(fd, part, len, u->err);
        }
    }
    return rc;
}

static int make_entry(struct unpack *u, struct archive_entry *entry)
{
    bool is_dir = archive_entry_filetype(entry) == AE_IFDIR;
    la_int64_t size = archive_entry_size_is_set(entry) ? archive_entry_size(entry) : 0;
    mode_t mode = archive_entry_perm(entry) & 0777;

    if (size < 0) {
        return pf_err_set(u->err, PF_EPROTO, "its size is negative");
    }
    archive_entry_set_perm(entry, mode | (is_dir ? 0700 : 0600));
    int rc = take_bytes(u, (uint64_t)size);
    if (rc == 0 && archive_write_header(u->out, entry) < ARCHIVE_WARN) {
        rc = archive_failure(u, u->out, "make");
    }
    if (rc == 0) {
        rc = copy_data(u, u->out, -1, (uint64_t)size);
    }
    if (rc == 0 && archive_write_finish_entry(u->out) < ARCHIVE_WARN) {
        rc = archive_failure(u, u->out, "write");
    }
    return rc;
}

static const char *entry_path(struct archive_entry *entry)
{
    const char *path = archive_entry_pathname(entry);

    if (path == NULL) {
        path = archive_entry_pathname_utf8(entry);
    }
    return path != NULL ? path : "";
}

static int next_header(struct unpack *u, struct archive_entry **entry)
{
    int result = archive_read_next_header(u->in, entry);

    if (result == ARCHIVE_EOF) {
        return 0;
    }
    if (result < ARCHIVE_WARN) {
        return archive_failure(u, u->in, "not an archive of its kind, or damaged");
    }
    if (u->done.n_entries++ == PF_UNPACK_ENTRIES_MAX) {
        return pf_err_set(u->err, PF_ELIMIT, "more than %d entries", PF_UNPACK_ENTRIES_MAX);
    }
    return 1;
}

static int unpack_all(struct unpack *u)
{
    struct archive_entry *entry;
    int rc;

    while ((rc = next_header(u, &entry)) > 0) {
        const char *path = entry_path(entry);
        rc = check_entry(u, entry, path);
        if (rc == 0) {
            rc = make_entry(u, entry);
        }
        if (rc != 0) {
            pf_err_wrap(u->err, "entry %.*s", SHOWN_MAX, entry_path(entry));
            return rc;
        }
    }
    if (rc == 0 && archive_write_close(u->out) < ARCHIVE_WARN) {
        rc = archive_failure(u, u->out, "write");
    }
    return rc;
}

/* A file that was compressed alone. */
static int unpack_gzip(struct unpack *u, struct pf_str name)
{
    struct archive_entry *entry;
    struct pf_place place = PF_PLACE_NONE;
    int rc = next_header(u, &entry);

    if (rc == 1 && archive_filter_code(u->in, 0) != ARCHIVE_FILTER_GZIP) {
        return pf_err_set(u->err, PF_EPROTO, "not compressed by gzip");
    }
    if (rc <= 0) {
        return rc == 0 ? pf_err_set(u->err, PF_EPROTO, "the archive is empty") : rc;
    }
    name.len -= 3;
    int dir_fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0) {
        return pf_err_set_sys(u->err, pf_err_from_errno(errno), errno, "open the sandbox");
    }
    rc = pf_place_open(dir_fd, name, &place, u->err);
    if (rc == 0) {
        rc = copy_data(u, NULL, place.fd, 0);
    }
    if (rc == 0) {
        rc = pf_place_commit(&place, u->err);
    }
    pf_place_fini(&place);
    pf_fd_close(&dir_fd);
    return rc;
}

static int set_up(struct unpack *u, int fd, enum pf_unpack_kind kind)
{
    bool is_fine = u->in != NULL && u->out != NULL;

    if (is_fine && kind == PF_UNPACK_ZIP) {
        is_fine = archive_read_support_format_zip(u->in) == ARCHIVE_OK;
    } else if (is_fine) {
        is_fine = archive_read_support_filter_gzip(u->in) == ARCHIVE_OK &&
                  archive_read_support_filter_bzip2(u->in) == ARCHIVE_OK &&
                  archive_read_support_filter_xz(u->in) == ARCHIVE_OK &&
                  (kind == PF_UNPACK_GZIP ? archive_read_support_format_raw(u->in)
                                          : archive_read_support_format_tar(u->in)) == ARCHIVE_OK;
    }
    if (!is_fine || archive_write_disk_set_options(u->out, WRITE_FLAGS) != ARCHIVE_OK) {
        return pf_err_set(u->err, PF_ENOMEM, "libarchive lacks gzip, bzip2, xz, tar or zip");
    }
    if (archive_read_open_fd(u->in, fd, READ_STEP_BYTES) != ARCHIVE_OK) {
        return archive_failure(u, u->in, "not an archive of its kind, or damaged");
    }
    return 0;
}

static uint64_t limit_of(uint64_t archive_bytes)
{
    uint64_t most =
        archive_bytes < UINT64_MAX / PF_UNPACK_RATIO ? archive_bytes * PF_UNPACK_RATIO : UINT64_MAX;

    return most > PF_UNPACK_FREE_BYTES ? most : PF_UNPACK_FREE_BYTES;
}

int pf_unpack(int fd, struct pf_str name, uint64_t max_bytes, struct pf_unpacked *out,
              struct pf_err *err)
{
    enum pf_unpack_kind kind = pf_unpack_kind(name);
    struct unpack u = {.max_bytes = max_bytes, .err = err};
    struct stat st;

    PF_ASSERT(kind != PF_UNPACK_NONE);
    if (fstat(fd, &st) != 0 || lseek(fd, 0, SEEK_SET) != 0) {
        return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "unpack");
    }
    if (max_bytes == 0) {
        u.max_bytes = limit_of((uint64_t)st.st_size);
    }
    u.in = archive_read_new();
    u.out = archive_write_disk_new();
    int rc = set_up(&u, fd, kind);
    if (rc == 0) {
        rc = kind == PF_UNPACK_GZIP ? unpack_gzip(&u, name) : unpack_all(&u);
    }
    if (rc != 0) {
        pf_err_wrap(err, "unpack");
    } else {
        *out = u.done;
    }
    (void)archive_read_free(u.in); /* NULL is fine; what matters was said before */
    (void)archive_write_free(u.out);
    return rc;
}
