/* SPDX-License-Identifier: Apache-2.0 */
/* See files.h. Waiting requests hang off their file (for its changes) and their peer (for its
 * end). */
#include "agent/daemon/files.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/daemon/sandbox.h"
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "common/base/map.h"
#include "common/link/envelope.h"
#include "common/sys/fd.h"
#include "schemas/proffer.h"

struct file {
    char *path; /* key of by_path */
    uint32_t path_len;
    int32_t wd; /* key of by_wd; -1 = not there yet */
    TAILQ_HEAD(, waiter) waiters;
};

struct file_peer {
    uint64_t id; /* key of by_peer */
    uint32_t n;
    TAILQ_HEAD(, waiter) waiters;
};

struct waiter {
    struct file *file;
    struct file_peer *peer;
    struct pf_uuid launch; /* of the task that it reads of: several may write to one file */
    uint64_t request_id, offset;
    uint32_t limit;
    TAILQ_ENTRY(waiter) of_file, of_peer;
};

struct pf_files {
    struct pf_watch *watch;
    int inotify_fd;
    pf_files_reply_fn *on_reply;
    void *ctx;
    struct pf_map by_path, by_wd, by_peer;
    struct pf_files_counters counters;
    struct pf_fb_builder builder;
    uint8_t *chunk; /* PF_READ_CHUNK_BYTES */
};

/* --- one answer ------------------------------------------------------------------------------- */

struct answer {
    uint64_t offset, size;
    uint32_t n; /* bytes in f->chunk */
    bool eof;
};

static void reply_data(struct pf_files *f, uint64_t peer, uint64_t request_id,
                       const struct answer *a)
{
    struct pf_fb_builder *b = &f->builder;

    pf_fb_builder_reset(b);
    struct FileData__args args = {
        .offset = a->offset, .data = {f->chunk, a->n}, .size = a->size, .eof = a->eof};
    struct pf_ref body = FileData__put(b, &args);
    const struct pf_envelope e = {
        .request_id = request_id, .is_reply = true, .code = ReplyCode_OK,
        .body_type = Body_FileData};
    f->counters.reads++;
    f->counters.bytes += a->n;
    f->on_reply(f->ctx, peer, pf_envelope_finish(b, &e, body));
}

static void reply_error(struct pf_files *f, uint64_t peer, uint64_t request_id, uint8_t code,
                        const char *text)
{
    pf_fb_builder_reset(&f->builder);
    f->counters.refused++;
    f->on_reply(f->ctx, peer, pf_envelope_reply(&f->builder, request_id, code, pf_str(text)));
}

/* Reads a block at `at`; how much was there, or -1 with errno. */
static ssize_t block_read(int fd, uint8_t *to, size_t bytes, uint64_t at)
{
    size_t have = 0;

    while (have < bytes) {
        ssize_t n = pread(fd, to + have, bytes - have, (off_t)(at + have));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -1;
        }
        if (n == 0) {
            break;
        }
        have += (size_t)n;
    }
    return (ssize_t)have;
}

/* Output that became too much lost its front (logtrim.h): an offset in that hole means the first
 * byte that is still there. A hole that the task itself made further behind stays what it is. */
static uint64_t skip_front(int fd, uint64_t offset, uint64_t size)
{
    if (offset >= size) {
        return offset;
    }
    off_t here = lseek(fd, (off_t)offset, SEEK_DATA);
    if (here < 0 ? errno != ENXIO : (uint64_t)here <= offset) {
        return offset;
    }
    off_t first = offset == 0 ? here : lseek(fd, 0, SEEK_DATA);
    if (first < 0) { /* nothing at all is left */
        return errno == ENXIO ? size : offset;
    }
    return (uint64_t)first > offset ? (uint64_t)first : offset;
}

/* Where the last `lines` lines begin. A newline at the very end ends the last one. */
static uint64_t tail_offset(struct pf_files *f, int fd, uint64_t size, uint32_t lines)
{
    uint64_t end = size;
    uint64_t lowest = size > PF_FILES_TAIL_MAX_BYTES ? size - PF_FILES_TAIL_MAX_BYTES : 0;
    uint32_t seen = 0;

    lowest = skip_front(fd, lowest, size);

    while (end > lowest) {
        size_t n = end - lowest < PF_READ_CHUNK_BYTES ? (size_t)(end - lowest)
                                                      : PF_READ_CHUNK_BYTES;
        if (block_read(fd, f->chunk, n, end - n) != (ssize_t)n) {
            return end;
        }
        for (size_t i = n; i > 0; i--) {
            uint64_t at = end - n + i - 1;
            if (f->chunk[i - 1] == '\n' && at + 1 < size && ++seen == lines) {
                return at + 1;
            }
        }
        end -= n;
    }
    return end;
}

static uint64_t begin_offset(struct pf_files *f, int fd, const struct stat *st,
                             const struct pf_agent_act_read *r)
{
    uint64_t size = (uint64_t)st->st_size;
    int64_t written_ms = (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000;

    if (r->since_ms > 0 && written_ms < r->since_ms) {
        return size;
    }
    return r->tail_lines > 0 ? tail_offset(f, fd, size, r->tail_lines) : r->offset;
}

/* Fills `*a` with what there is from offset on. False: errno. */
static bool answer_read(struct pf_files *f, int fd, uint64_t offset, uint32_t limit, bool ended,
                        struct answer *a)
{
    struct stat st;

    if (fstat(fd, &st) != 0) {
        return false;
    }
    a->size = (uint64_t)st.st_size;
    a->offset = offset < a->size ? offset : a->size; /* the task may have cut it short */
    a->offset = skip_front(fd, a->offset, a->size);
    uint64_t left = a->size - a->offset;
    uint32_t want = left < limit ? (uint32_t)left : limit;
    ssize_t n = want > 0 ? block_read(fd, f->chunk, want, a->offset) : 0;
    if (n < 0) {
        return false;
    }
    a->n = (uint32_t)n;
    a->eof = ended && a->offset + a->n >= a->size;
    return true;
}

/* --- waiting ---------------------------------------------------------------------------------- */

static void file_unwatch(struct pf_files *f, struct file *file)
{
    if (file->wd >= 0) {
        (void)pf_map_del(&f->by_wd, &file->wd, sizeof file->wd);
        (void)inotify_rm_watch(f->inotify_fd, file->wd); /* gone with its file: fine */
        file->wd = -1;
    }
}

static void file_release(struct pf_files *f, struct file *file)
{
    if (!TAILQ_EMPTY(&file->waiters)) {
        return;
    }
    file_unwatch(f, file);
    (void)pf_map_del(&f->by_path, file->path, file->path_len);
    pf_free(file->path);
    pf_free(file);
}

static void waiter_destroy(struct pf_files *f, struct waiter *w)
{
    struct file_peer *p = w->peer;

    TAILQ_REMOVE(&w->file->waiters, w, of_file);
    TAILQ_REMOVE(&p->waiters, w, of_peer);
    f->counters.n_waiting--;
    if (--p->n == 0) {
        (void)pf_map_del(&f->by_peer, &p->id, sizeof p->id);
        pf_free(p);
    }
    pf_free(w);
}

static struct file *file_get(struct pf_files *f, struct pf_str path)
{
    struct file *file = pf_map_get_str(&f->by_path, path);

    if (file == NULL) {
        file = PF_NEW(struct file);
        file->path = pf_strndup(path.at, path.len);
        file->path_len = path.len;
        file->wd = -1;
        TAILQ_INIT(&file->waiters);
        pf_map_put(&f->by_path, file->path, file->path_len, file);
    }
    return file;
}

/* Watches what has the name now; the task may have put another file there. False: the kernel gives
 * no more watches, or it is a second name of a file that is watched under its first. */
static bool file_watch(struct pf_files *f, struct file *file, int fd)
{
    char path[64];

    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int32_t wd = inotify_add_watch(f->inotify_fd, path, IN_MODIFY);
    if (wd >= 0 && wd == file->wd) {
        return true;
    }
    if (wd < 0 || pf_map_get(&f->by_wd, &wd, sizeof wd) != NULL) {
        return false;
    }
    file_unwatch(f, file);
    file->wd = wd;
    pf_map_put(&f->by_wd, &file->wd, sizeof file->wd, file);
    return true;
}

static struct file_peer *peer_get(struct pf_files *f, uint64_t id)
{
    struct file_peer *p = pf_map_get_u64(&f->by_peer, &id);

    if (p == NULL) {
        p = PF_NEW(struct file_peer);
        p->id = id;
        TAILQ_INIT(&p->waiters);
        pf_map_put(&f->by_peer, &p->id, sizeof p->id, p);
    }
    return p;
}

static bool peer_is_full(struct pf_files *f, uint64_t id)
{
    const struct file_peer *p = pf_map_get_u64(&f->by_peer, &id);

    return p != NULL && p->n >= PF_READS_PER_PEER_MAX;
}

static void wait_for_more(struct pf_files *f, struct file *file,
                          const struct pf_agent_act_read *r, uint64_t offset, uint32_t limit)
{
    struct waiter *w = PF_NEW(struct waiter);

    w->file = file;
    w->peer = peer_get(f, r->peer);
    w->request_id = r->request_id;
    w->launch = r->launch;
    w->offset = offset;
    w->limit = limit;
    w->peer->n++;
    f->counters.n_waiting++;
    TAILQ_INSERT_TAIL(&file->waiters, w, of_file);
    TAILQ_INSERT_TAIL(&w->peer->waiters, w, of_peer);
}

enum advance {
    ADVANCE_CHANGED, /* who finds something new is answered */
    ADVANCE_ENDED,   /* for readers of a task nothing will change any more: they are answered */
    ADVANCE_BLIND,   /* it cannot be watched: all are answered, and ask again */
};

/* `launch`: of the task that ended, else NULL. */
static void file_advance(struct pf_files *f, struct file *file, enum advance how,
                         const struct pf_uuid *launch)
{
    bool ended = how == ADVANCE_ENDED;
    struct pf_str path = {file->path, file->path_len};
    struct waiter *w;
    struct waiter *next;

    int fd = pf_sandbox_open_file(path);
    for (w = TAILQ_FIRST(&file->waiters); w != NULL; w = next) {
        struct answer a = {.offset = w->offset, .eof = ended};
        uint64_t peer = w->peer->id;
        uint64_t request_id = w->request_id;
        next = TAILQ_NEXT(w, of_file);
        if (ended && !pf_uuid_eq(w->launch, *launch)) {
            continue;
        }
        if (fd >= 0 && !answer_read(f, fd, w->offset, w->limit, ended, &a)) {
            waiter_destroy(f, w);
            reply_error(f, peer, request_id, ReplyCode_UNAVAILABLE, "the file cannot be read");
        } else if (how != ADVANCE_CHANGED || a.n > 0 || a.offset < w->offset) {
            waiter_destroy(f, w);
            reply_data(f, peer, request_id, &a);
        }
    }
    pf_fd_close(&fd);
    file_release(f, file);
}

/* The name has a file now, or another one. */
static void file_made(struct pf_files *f, struct file *file, const struct pf_uuid *launch)
{
    struct pf_str path = {file->path, file->path_len};

    (void)launch; /* all readers want to know */
    int fd = pf_sandbox_open_file(path);
    if (fd >= 0 && !file_watch(f, file, fd)) {
        file_advance(f, file, ADVANCE_BLIND, NULL);
    } else if (fd >= 0) {
        file_advance(f, file, ADVANCE_CHANGED, NULL);
    }
    pf_fd_close(&fd);
}

/* Changes were lost: every watched file is looked at. */
static void all_advance(struct pf_files *f)
{
    struct pf_ptrs all = {0};
    uint32_t cursor = 0;
    struct file *file;

    while ((file = pf_map_next(&f->by_wd, &cursor)) != NULL) {
        pf_ptrs_push(&all, file);
    }
    for (uint32_t i = 0; i < all.len; i++) {
        file_advance(f, all.at[i], ADVANCE_CHANGED, NULL);
    }
    pf_ptrs_fini(&all);
}

static void on_inotify(void *ctx, unsigned ready)
{
    struct pf_files *f = ctx;
    union {
        struct inotify_event align;
        char bytes[16384];
    } buf;

    (void)ready;
    /* One read a turn: what is left wakes us again. */
    ssize_t n = read(f->inotify_fd, buf.bytes, sizeof buf.bytes);
    for (size_t at = 0; n > 0 && at + sizeof(struct inotify_event) <= (size_t)n;) {
        struct inotify_event ev;
        memcpy(&ev, buf.bytes + at, sizeof ev);
        at += sizeof ev + ev.len;
        if ((ev.mask & IN_Q_OVERFLOW) != 0) {
            all_advance(f);
            continue;
        }
        struct file *file = pf_map_get(&f->by_wd, &ev.wd, sizeof ev.wd);
        if (file != NULL && (ev.mask & IN_IGNORED) != 0) { /* removed, and closed by its writers */
            (void)pf_map_del(&f->by_wd, &file->wd, sizeof file->wd);
            file->wd = -1;
            file_made(f, file, NULL);
        } else if (file != NULL) {
            file_advance(f, file, ADVANCE_CHANGED, NULL);
        }
    }
}

/* --- the doors -------------------------------------------------------------------------------- */

static void read_missing(struct pf_files *f, const struct pf_agent_act_read *r, uint32_t limit,
                         int sys)
{
    const struct answer empty = {.eof = r->ended};

    if (sys != ENOENT) {
        reply_error(f, r->peer, r->request_id, ReplyCode_UNAVAILABLE,
                    sys == EINVAL || sys == ELOOP ? "the file is not a regular file"
                                                  : "the file cannot be opened");
    } else if (!r->follow || r->ended) {
        reply_data(f, r->peer, r->request_id, &empty);
    } else {
        wait_for_more(f, file_get(f, r->path), r, r->offset, limit);
    }
}

/* Nothing is there yet. The watch comes before the last look, so nothing is missed. */
static void read_later(struct pf_files *f, const struct pf_agent_act_read *r, int fd,
                       uint64_t offset, uint32_t limit)
{
    struct file *file = file_get(f, r->path);

    if (!file_watch(f, file, fd)) {
        file_release(f, file);
        reply_error(f, r->peer, r->request_id, ReplyCode_UNAVAILABLE,
                    "too many watched files (fs.inotify.max_user_watches)");
        return;
    }
    wait_for_more(f, file, r, offset, limit);
    file_advance(f, file, ADVANCE_CHANGED, NULL);
}

void pf_files_read(struct pf_files *f, const struct pf_agent_act_read *r)
{
    uint32_t limit = r->limit == 0 || r->limit > PF_READ_CHUNK_BYTES ? PF_READ_CHUNK_BYTES
                                                                     : r->limit;
    struct answer a = {0};
    struct stat st;

    if (r->follow && !r->ended && peer_is_full(f, r->peer)) {
        reply_error(f, r->peer, r->request_id, ReplyCode_TOO_MANY, "too many waiting reads");
        return;
    }
    int fd = pf_sandbox_open_file(r->path);
    if (fd < 0) {
        read_missing(f, r, limit, errno);
        return;
    }
    if (fstat(fd, &st) != 0) {
        reply_error(f, r->peer, r->request_id, ReplyCode_UNAVAILABLE, "the file cannot be read");
        goto out;
    }
    uint64_t offset = begin_offset(f, fd, &st, r);
    if (!answer_read(f, fd, offset, limit, r->ended, &a)) {
        reply_error(f, r->peer, r->request_id, ReplyCode_UNAVAILABLE, "the file cannot be read");
    } else if (a.n > 0 || !r->follow || r->ended || a.offset < offset) {
        reply_data(f, r->peer, r->request_id, &a);
    } else {
        read_later(f, r, fd, offset, limit);
    }
out:
    pf_fd_close(&fd);
}

/* Calls `act` for the two output files of a sandbox, where somebody waits for them. */
static void sandbox_files(struct pf_files *f, struct pf_str sandbox,
                          void (*act)(struct pf_files *f, struct file *file,
                                      const struct pf_uuid *launch),
                          const struct pf_uuid *launch)
{
    static const char *const names[] = {"stdout", "stderr"};
    struct pf_buf path = {0};

    if (f->by_path.len == 0) {
        return;
    }
    for (size_t i = 0; i < PF_ARRAY_LEN(names); i++) {
        pf_buf_clear(&path);
        pf_buf_add_str(&path, sandbox);
        pf_buf_printf(&path, "/%s", names[i]);
        struct file *file = pf_map_get(&f->by_path, path.data, (uint32_t)path.len);
        if (file != NULL) {
            act(f, file, launch);
        }
    }
    pf_buf_fini(&path);
}

static void file_ended(struct pf_files *f, struct file *file, const struct pf_uuid *launch)
{
    file_advance(f, file, ADVANCE_ENDED, launch);
}

void pf_files_made(struct pf_files *f, struct pf_str sandbox)
{
    sandbox_files(f, sandbox, file_made, NULL);
}

void pf_files_ended(struct pf_files *f, struct pf_uuid launch, struct pf_str sandbox)
{
    sandbox_files(f, sandbox, file_ended, &launch);
}

void pf_files_forget_peer(struct pf_files *f, uint64_t peer)
{
    struct file_peer *p = pf_map_get_u64(&f->by_peer, &peer);

    for (uint32_t n = p != NULL ? p->n : 0; n > 0; n--) {
        struct waiter *w = TAILQ_FIRST(&p->waiters);
        struct file *file = w->file;
        waiter_destroy(f, w); /* the last one takes the peer along */
        file_release(f, file);
    }
}

const struct pf_files_counters *pf_files_counters(const struct pf_files *f)
{
    return &f->counters;
}

int pf_files_create(struct pf_loop *loop, pf_files_reply_fn *on_reply, void *ctx,
                    struct pf_files **out, struct pf_err *err)
{
    struct pf_files *f = PF_NEW(struct pf_files);

    f->on_reply = on_reply;
    f->ctx = ctx;
    f->chunk = pf_alloc(PF_READ_CHUNK_BYTES);
    pf_fb_builder_init(&f->builder, NULL);
    f->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    int rc = f->inotify_fd >= 0 ? pf_watch_create(loop, f->inotify_fd, PF_WATCH_READ,
                                                  PF_PRIO_NORMAL, on_inotify, f, &f->watch, err)
                                : pf_err_set_sys(err, PF_EIO, errno, "cannot watch files, see "
                                                 "fs.inotify.max_user_instances");
    if (rc != 0) {
        pf_files_destroy(f);
        return rc;
    }
    *out = f;
    return 0;
}

void pf_files_destroy(struct pf_files *f)
{
    uint32_t cursor = 0;
    struct file_peer *p;

    if (f == NULL) {
        return;
    }
    while ((p = pf_map_next(&f->by_peer, &cursor)) != NULL) {
        pf_files_forget_peer(f, p->id);
        cursor = 0;
    }
    pf_watch_destroy(f->watch);
    pf_fd_close(&f->inotify_fd);
    pf_map_fini(&f->by_path);
    pf_map_fini(&f->by_wd);
    pf_map_fini(&f->by_peer);
    pf_fb_builder_fini(&f->builder);
    pf_free(f->chunk);
    pf_free(f);
}

void pf_files_check(const struct pf_files *f)
{
    uint32_t cursor = 0;
    uint32_t n_by_peer = 0;
    uint32_t n_by_file = 0;
    uint32_t n_watched = 0;
    const struct file_peer *p;
    const struct file *file;
    const struct waiter *w;

    while ((p = pf_map_next(&f->by_peer, &cursor)) != NULL) {
        PF_ASSERT(p->n > 0 && p->n <= PF_READS_PER_PEER_MAX);
        n_by_peer += p->n;
    }
    cursor = 0;
    while ((file = pf_map_next(&f->by_path, &cursor)) != NULL) {
        PF_ASSERT(!TAILQ_EMPTY(&file->waiters));
        n_watched += file->wd >= 0 ? 1 : 0;
        TAILQ_FOREACH(w, &file->waiters, of_file) {
            PF_ASSERT(w->file == file);
            n_by_file++;
        }
    }
    PF_ASSERT(n_by_peer == n_by_file);
    PF_ASSERT(n_by_peer == f->counters.n_waiting);
    PF_ASSERT(n_watched == f->by_wd.len);
}
