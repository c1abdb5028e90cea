/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/launcher/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/map.h"

#define JOURNAL_NAME            "launcher.journal"
#define JOURNAL_NEW_NAME        "launcher.journal.new"
#define JOURNAL_FORMAT          1
#define JOURNAL_MIN_BLOAT_BYTES (1u << 20)
#define JOURNAL_READ_RECORDS    256

static uint32_t record_sum(const struct pf_journal_record *r)
{
    const uint8_t *p = (const uint8_t *)r + sizeof r->sum;

    return (uint32_t)pf_hash(p, sizeof *r - sizeof r->sum, JOURNAL_FORMAT);
}

static bool record_is_whole(const struct pf_journal_record *r)
{
    return r->sum == record_sum(r) && r->kind >= PF_JOURNAL_BEGIN && r->kind < PF_JOURNAL_KIND_END;
}

/* Reads up to `n` records; the number of whole ones, or -1 with errno. */
static ssize_t journal_read(int fd, struct pf_journal_record *at, size_t n)
{
    size_t have = 0;

    while (have < n * sizeof *at) {
        ssize_t got = read(fd, (char *)at + have, n * sizeof *at - have);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -1;
        }
        if (got == 0) {
            break;
        }
        have += (size_t)got;
    }
    return (ssize_t)(have / sizeof *at);
}

int pf_journal_load(int dir_fd, pf_journal_record_fn *on_record, void *ctx, struct pf_err *err)
{
    struct pf_journal_record r[JOURNAL_READ_RECORDS];
    bool is_first = true;
    int rc = 0;

    int fd = openat(dir_fd, JOURNAL_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return errno == ENOENT ? 0 : pf_err_set_sys(err, PF_EIO, errno, "open " JOURNAL_NAME);
    }
    for (;;) {
        ssize_t n = journal_read(fd, r, JOURNAL_READ_RECORDS);
        if (n < 0) {
            rc = pf_err_set_sys(err, PF_EIO, errno, "read " JOURNAL_NAME);
            goto out;
        }
        for (ssize_t i = 0; i < n; i++) {
            if (!record_is_whole(&r[i])) {
                goto out; /* torn: what is behind it was never relied on */
            }
            if (is_first && r[i].kind != PF_JOURNAL_BEGIN) {
                rc = pf_err_set(err, PF_EPROTO, JOURNAL_NAME ": does not begin as a journal");
                goto out;
            }
            if (is_first && r[i].start_time > JOURNAL_FORMAT) {
                rc = pf_err_set(err, PF_EVERSION, JOURNAL_NAME ": format %llu is newer than %d",
                                (unsigned long long)r[i].start_time, JOURNAL_FORMAT);
                goto out;
            }
            is_first = false;
            on_record(ctx, &r[i]);
        }
        if (n < JOURNAL_READ_RECORDS) {
            goto out;
        }
    }
out:
    (void)close(fd); /* only read */
    return rc;
}

int pf_journal_rewrite(struct pf_journal *j, int dir_fd, struct pf_uuid boot_id, int64_t pid,
                       struct pf_err *err)
{
    int fd = openat(dir_fd, JOURNAL_NEW_NAME,
                    O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "create " JOURNAL_NEW_NAME);
    }
    if (j->fd >= 0) {
        (void)close(j->fd); /* every record in it comes again */
    }
    j->fd = fd;
    j->dir_fd = dir_fd;
    j->file_bytes = 0;
    pf_buf_clear(&j->pending);
    j->begin = (struct pf_journal_record){
        .kind = PF_JOURNAL_BEGIN, .uuid = boot_id, .pid = pid, .start_time = JOURNAL_FORMAT};
    pf_journal_add(j, j->begin);
    return 0;
}

int pf_journal_rewritten(struct pf_journal *j, struct pf_err *err)
{
    int sys = pf_journal_flush(j);

    if (sys != 0) {
        return pf_err_set_sys(err, pf_err_from_errno(sys), sys, "write " JOURNAL_NEW_NAME);
    }
    if (renameat(j->dir_fd, JOURNAL_NEW_NAME, j->dir_fd, JOURNAL_NAME) != 0) {
        return pf_err_set_sys(err, pf_err_from_errno(errno), errno, "rename " JOURNAL_NEW_NAME);
    }
    return 0;
}

void pf_journal_close(struct pf_journal *j)
{
    if (j->fd >= 0) {
        (void)close(j->fd); /* nothing is promised beyond the writes */
        j->fd = -1;
    }
    pf_buf_fini(&j->pending);
}

void pf_journal_add(struct pf_journal *j, struct pf_journal_record r)
{
    r.sum = record_sum(&r);
    pf_buf_add(&j->pending, &r, sizeof r);
}

/* A write that stopped in the middle of a record must not leave a torn one before the next. */
static void journal_undo(struct pf_journal *j, size_t written)
{
    if (written > 0 && ftruncate(j->fd, (off_t)j->file_bytes) != 0) {
        j->file_bytes += written; /* a reader stops at the torn record */
    }
}

int pf_journal_flush(struct pf_journal *j)
{
    size_t done = 0;

    while (done < j->pending.len) {
        ssize_t n = write(j->fd, j->pending.data + done, j->pending.len - done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            int sys = errno;
            journal_undo(j, done);
            return sys;
        }
        done += (size_t)n;
    }
    j->file_bytes += done;
    pf_buf_clear(&j->pending);
    return 0;
}

void pf_journal_drop(struct pf_journal *j)
{
    pf_buf_clear(&j->pending);
}

bool pf_journal_is_bloated(const struct pf_journal *j, uint64_t n_live)
{
    return j->file_bytes > JOURNAL_MIN_BLOAT_BYTES &&
           j->file_bytes / sizeof(struct pf_journal_record) > 4 * (n_live + 1);
}
