/* SPDX-License-Identifier: Apache-2.0 */
/* Is the data file sound? LMDB trusts its pages: a damaged one ends the process by an assertion, a
 * wild pointer or a division by zero, now or at the next write. So before it is opened, a child
 * process reads all of it, and whatever becomes of the child, we can say in a line. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/limits.h"
#include "common/store/lmdb_internal.h"
#include "common/sys/fd.h"

enum {
    CHILD_SECONDS_MAX = 120,
    PAGE_HEADER_BYTES = 16, /* of LMDB's format 1: pgno 8, pad 2, flags 2, lower 2 and upper 2 */
    FLAG_LEAF = 0x02,
    FLAG_OVERFLOW = 0x04,
};

struct page_header {
    uint64_t pgno;
    uint16_t pad, flags;
    union {
        struct {
            uint16_t lower, upper;
        } room;
        uint32_t n_pages; /* of an overflow page */
    } u;
};

/* --- in the child ----------------------------------------------------------------------------- */

static int damaged(const struct lmdb_store *s, struct pf_err *err, const char *what)
{
    return pf_err_set(err, PF_EPROTO, "%s is damaged: %s", s->data_path, what);
}

/* The page that holds the value: its header is read again when the row is changed. */
static const char *page_problem(MDB_val value, const MDB_stat *st, const MDB_envinfo *info)
{
    uintptr_t at = (uintptr_t)value.mv_data;
    uintptr_t begin = at - at % st->ms_psize;
    struct page_header h;

    memcpy(&h, (const void *)begin, sizeof h);
    if (at - begin == PAGE_HEADER_BYTES) {
        uint64_t need = (PAGE_HEADER_BYTES + value.mv_size + st->ms_psize - 1) / st->ms_psize;
        return h.flags != FLAG_OVERFLOW || h.u.n_pages != need ||
                       h.pgno + need - 1 > info->me_last_pgno
                   ? "the pages of a long row"
                   : NULL;
    }
    return (h.flags & ~0x4000u) != FLAG_LEAF || h.u.room.lower < PAGE_HEADER_BYTES ||
                   h.u.room.lower > h.u.room.upper || h.u.room.upper > st->ms_psize ||
                   at + value.mv_size > begin + st->ms_psize
               ? "a page of rows"
               : NULL;
}

/* Reads all of a value, so that what is not there is noticed. */
static uint8_t touch(MDB_val v)
{
    const uint8_t *at = v.mv_data;
    uint8_t sum = 0;

    for (size_t i = 0; i < v.mv_size; i += 512) {
        sum = (uint8_t)(sum + at[i]);
    }
    return (uint8_t)(sum + (v.mv_size > 0 ? at[v.mv_size - 1] : 0));
}

/* Every row, in order, is also found by its key. */
static int verify_rows(struct lmdb_store *s, MDB_txn *txn, struct pf_err *err)
{
    MDB_cursor *cursor = NULL;
    MDB_envinfo info;
    MDB_stat st;
    MDB_val key, value, again;
    volatile uint8_t sum = 0;
    size_t n = 0;
    int rc = mdb_stat(txn, s->dbi, &st);

    (void)mdb_env_info(s->env, &info); /* fails for no environment only */
    if (!rc) {
        rc = mdb_cursor_open(txn, s->dbi, &cursor);
    }
    while (!rc && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        const char *problem = key.mv_size == 0 || key.mv_size > PF_STORE_KEY_MAX_BYTES + 1
                                  ? "the key of a row"
                                  : page_problem(value, &st, &info);
        if (problem) {
            return damaged(s, err, problem);
        }
        sum = (uint8_t)(sum + touch(value));
        rc = mdb_get(txn, s->dbi, &key, &again);
        if (rc == MDB_NOTFOUND || (rc == 0 && again.mv_data != value.mv_data) ||
            ++n > st.ms_entries) {
            return damaged(s, err, "the order of rows");
        }
    }
    if (rc != MDB_NOTFOUND) {
        return lmdb_err_set(s, err, rc, "reading");
    }
    return n == st.ms_entries ? 0 : damaged(s, err, "rows are missing");
}

static size_t number_at(MDB_val value, size_t i)
{
    size_t number;

    memcpy(&number, (const uint8_t *)value.mv_data + i * sizeof number, sizeof number);
    return number;
}

/* Page numbers, falling, behind their count. */
static bool list_is_fine(MDB_val value, size_t last)
{
    size_t room = value.mv_size / sizeof(size_t);

    if (room == 0 || value.mv_size % sizeof(size_t) != 0 || number_at(value, 0) >= room) {
        return false;
    }
    for (size_t i = 1; i <= number_at(value, 0); i++) {
        size_t id = number_at(value, i);
        if (id < 2 || id > last || (i > 1 && id >= number_at(value, i - 1))) {
            return false;
        }
    }
    return true;
}

static int verify_free(struct lmdb_store *s, MDB_txn *txn, struct pf_err *err)
{
    MDB_cursor *cursor = NULL;
    MDB_envinfo info;
    MDB_stat st;
    MDB_val key, value;
    int rc = mdb_cursor_open(txn, 0, &cursor);

    (void)mdb_env_info(s->env, &info); /* fail for no environment only */
    (void)mdb_env_stat(s->env, &st);
    while (!rc && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        if (key.mv_size != sizeof(size_t) || page_problem(value, &st, &info) != NULL ||
            !list_is_fine(value, info.me_last_pgno)) {
            return damaged(s, err, "the list of free pages");
        }
    }
    return rc == MDB_NOTFOUND ? 0 : lmdb_err_set(s, err, rc, "reading");
}

static int verify_all(struct lmdb_store *s, struct pf_err *err)
{
    uint64_t file_bytes;
    MDB_txn *txn = NULL;
    int rc = mdb_env_create(&s->env);

    if (!rc) {
        rc = mdb_env_open(s->env, s->dir, MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS, 0600);
    }
    if (rc) {
        return lmdb_err_set(s, err, rc, "opening");
    }
    rc = lmdb_check_length(s, &file_bytes, err);
    if (rc < 0) {
        return rc;
    }
    rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
    if (!rc) {
        rc = mdb_dbi_open(txn, NULL, 0, &s->dbi);
    }
    if (rc) {
        return lmdb_err_set(s, err, rc, "reading");
    }
    rc = verify_rows(s, txn, err);
    return rc < 0 ? rc : verify_free(s, txn, err);
}

/* Says nothing, leaves no core, ends in any case. It must not keep what its parent holds: locks and
 * listeners would outlive a parent that is killed now. */
static void child_run(struct lmdb_store *s, int report)
{
    static const int deaths[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM, SIGTERM};
    const struct rlimit none = {0, 0};
    struct pf_err err = {0};
    int null_fd = open("/dev/null", O_RDWR);

    for (size_t i = 0; i < PF_ARRAY_LEN(deaths); i++) {
        (void)signal(deaths[i], SIG_DFL); /* cannot fail for these */
    }
    (void)setrlimit(RLIMIT_CORE, &none); /* else there is a core file, no more */
    if (null_fd < 0 || dup2(report, STDOUT_FILENO) < 0 || dup2(null_fd, STDERR_FILENO) < 0) {
        _exit(1);
    }
    pf_fd_close_from(STDERR_FILENO + 1);
    (void)alarm(CHILD_SECONDS_MAX);
    (void)verify_all(s, &err); /* it is told in `err` */
    _exit(write(STDOUT_FILENO, &err, sizeof err) == (ssize_t)sizeof err ? 0 : 1);
}

/* --- in the parent ---------------------------------------------------------------------------- */

/* What it reported; false: it died before. */
static bool child_report(int fd, struct pf_err *out)
{
    size_t have = 0;
    ssize_t n;

    do {
        n = read(fd, (uint8_t *)out + have, sizeof *out - have);
        have += n > 0 ? (size_t)n : 0;
    } while (have < sizeof *out && (n > 0 || (n < 0 && errno == EINTR)));
    return have == sizeof *out;
}

int lmdb_verify(struct lmdb_store *s, struct pf_err *err)
{
    struct pf_err said = {0};
    struct stat st;
    int pair[2];

    if (stat(s->data_path, &st) != 0 || st.st_size == 0) {
        return 0; /* nothing was stored yet, or opening will say why not */
    }
    if (pipe2(pair, O_CLOEXEC) != 0) {
        return pf_err_set_sys(err, PF_EIO, errno, "cannot verify %s", s->data_path);
    }
    pid_t child = fork();
    if (child == 0) {
        child_run(s, pair[1]);
    }
    int sys = errno;
    (void)close(pair[1]);
    bool has_said = child > 0 && child_report(pair[0], &said);
    (void)close(pair[0]);
    if (child < 0) {
        return pf_err_set_sys(err, PF_EIO, sys, "cannot verify %s", s->data_path);
    }
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) { /* ECHILD where SIGCHLD is ignored */
    }
    if (!has_said) {
        return damaged(s, err, "its pages make no sense");
    }
    if (said.code != 0 && err != NULL) {
        *err = said;
    }
    return said.code;
}
