/* SPDX-License-Identifier: Apache-2.0 */
/* See logtrim.h. */
#include "agent/daemon/logtrim.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/daemon/sandbox.h"
#include "common/base/alloc.h"
#include "common/base/heap.h"
#include "common/base/map.h"
#include "common/sys/fd.h"
#include "common/sys/log.h"

#define FIRST_MS       1000
#define SOONEST_MS     100
#define QUIET_MS       15000 /* 10,000 quiet sandboxes: 700 looks a second, of 5 us each */
#define DISK_MS        500
#define SWEEP_MS       2000 /* between two of them */
#define SWEEP_MIN      (UINT64_C(16) << 20)
#define LOOKS_PER_TURN 128
#define GATHER_MS      50 /* looks that are due soon share a turn */
#define BLOCK_BYTES    4096
#define SLACK_MIN      (UINT64_C(64) << 10)

enum { OUT, ERR, STREAMS };
static const char *const stream_names[STREAMS] = {"stdout", "stderr"};

struct entry {
    struct pf_heap_node due;
    struct pf_uuid launch; /* key of by_launch */
    char *sandbox;
    uint64_t size[STREAMS]; /* at the last look */
    int64_t looked_ms;
    int32_t every_ms;
};

struct pf_logtrim {
    struct pf_loop *loop;
    struct pf_logtrim_options o;
    char *dir;
    struct pf_timer *timer, *disk_timer;
    struct pf_heap due;
    struct pf_map by_launch;
    int64_t fired_ms, swept_ms;
    uint64_t free_bytes; /* the most since the last sweep */
    struct pf_logtrim_counters counters;
};

/* How much a file may hold above what is kept, so that not every write is answered by a cut. */
static uint64_t slack(const struct pf_logtrim *l)
{
    return l->o.max_bytes / 4 > SLACK_MIN ? l->o.max_bytes / 4 : SLACK_MIN;
}

/* --- cutting ---------------------------------------------------------------------------------- */

static void file_empty(struct pf_logtrim *l, int fd, uint64_t held)
{
    char line[160];
    struct pf_err err = {0};

    int n = snprintf(line, sizeof line,
                     "[proffer: %" PRIu64 " bytes of output were removed here: more than the limit "
                     "of %" PRIu64 "]\n",
                     held, l->o.max_bytes);
    if (ftruncate(fd, 0) != 0) {
        return;
    }
    l->counters.emptied++;
    if (pf_fd_write_all(fd, line, (size_t)n, &err) != 0) {
        pf_log_err(PF_LOG_DEBUG, "removed output is not spoken of", &err);
    }
}

/* The file may be somebody's trap by now: only a regular one with this single name is cut. */
static void file_cut(struct pf_logtrim *l, const char *path)
{
    struct stat st;

    int fd = pf_sandbox_open_to_cut(pf_str(path));
    if (fd < 0) {
        return;
    }
    if (fstat(fd, &st) != 0 || st.st_nlink != 1 || (uint64_t)st.st_size <= l->o.max_bytes) {
        pf_fd_close(&fd);
        return;
    }
    uint64_t block = st.st_blksize > BLOCK_BYTES && (st.st_blksize & (st.st_blksize - 1)) == 0
                         ? (uint64_t)st.st_blksize
                         : BLOCK_BYTES;
    uint64_t end = ((uint64_t)st.st_size - l->o.max_bytes) & ~(block - 1);
    uint64_t held = (uint64_t)st.st_blocks * 512;
    if (end == 0) { /* blocks that were reserved behind its end: not output */
        pf_fd_close(&fd);
        return;
    }
    l->counters.cuts++;
    if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)end) != 0 &&
        (errno == EOPNOTSUPP || errno == ENOSYS)) {
        file_empty(l, fd, held);
    }
    if (fstat(fd, &st) == 0 && (uint64_t)st.st_blocks * 512 < held) {
        l->counters.cut_bytes += held - (uint64_t)st.st_blocks * 512;
    }
    pf_fd_close(&fd);
}

/* --- looking ---------------------------------------------------------------------------------- */

/* When the file may have grown by half of its slack, at the rate since the last look. */
static int32_t file_every(const struct pf_logtrim *l, const struct entry *e, uint64_t grew,
                          int64_t now_ms)
{
    uint64_t took_ms = now_ms > e->looked_ms ? (uint64_t)(now_ms - e->looked_ms) : 1;
    uint64_t doubled = (uint64_t)e->every_ms * 2;
    uint64_t every = doubled;

    if (grew > 0 && l->o.max_bytes > 0) {
        double ms = (double)took_ms * (double)(slack(l) / 2) / (double)grew;
        every = ms < (double)doubled ? (uint64_t)ms : doubled;
    }
    return every < SOONEST_MS ? SOONEST_MS : every > QUIET_MS ? QUIET_MS : (int32_t)every;
}

/* One file: cuts it if it holds too much. False: there is none. */
static bool file_look(struct pf_logtrim *l, struct entry *e, int stream, int64_t now_ms,
                      int32_t *every_ms)
{
    char path[PATH_MAX];
    struct stat st;

    int n = snprintf(path, sizeof path, "%s/%s", e->sandbox, stream_names[stream]);
    if (n < 0 || (size_t)n >= sizeof path) {
        return true;
    }
    if (lstat(path, &st) != 0) {
        return errno != ENOENT;
    }
    uint64_t size = (uint64_t)st.st_size;
    uint64_t grew = size > e->size[stream] ? size - e->size[stream] : 0;
    int32_t every = file_every(l, e, grew, now_ms);
    *every_ms = every < *every_ms ? every : *every_ms;
    e->size[stream] = size;
    if (l->o.max_bytes > 0 && S_ISREG(st.st_mode) &&
        (uint64_t)st.st_blocks * 512 > l->o.max_bytes + slack(l)) {
        file_cut(l, path);
    }
    return true;
}

static bool is_gone(const struct entry *e)
{
    struct stat st;

    return lstat(e->sandbox, &st) != 0 ? errno == ENOENT : !S_ISDIR(st.st_mode);
}

/* False: its sandbox is gone. */
static bool entry_look(struct pf_logtrim *l, struct entry *e)
{
    int64_t now_ms = pf_loop_now_ms(l->loop);
    int32_t every_ms = QUIET_MS;
    bool has_all = true;

    l->counters.looks++;
    for (int i = 0; i < STREAMS; i++) {
        has_all = file_look(l, e, i, now_ms, &every_ms) && has_all;
    }
    e->every_ms = every_ms;
    e->looked_ms = now_ms;
    return has_all || !is_gone(e);
}

static void entry_free(struct pf_logtrim *l, struct entry *e)
{
    pf_heap_remove(&l->due, &e->due);
    (void)pf_map_del(&l->by_launch, &e->launch, sizeof e->launch); /* it is this one */
    l->counters.n--;
    pf_free(e->sandbox);
    pf_free(e);
}

/* --- when ------------------------------------------------------------------------------------- */

static void timer_arm(struct pf_logtrim *l)
{
    const struct pf_heap_node *first = pf_heap_first(&l->due);
    int64_t soonest = l->fired_ms + GATHER_MS;

    pf_timer_set(l->timer, first == NULL ? INT64_MAX : first->key > soonest ? first->key : soonest);
}

static void on_time(void *ctx)
{
    struct pf_logtrim *l = ctx;
    int64_t now_ms = pf_loop_now_ms(l->loop);

    for (int i = 0; i < LOOKS_PER_TURN; i++) {
        struct pf_heap_node *first = pf_heap_first(&l->due);
        if (first == NULL || first->key > now_ms) {
            l->fired_ms = now_ms; /* else the rest comes at once */
            break;
        }
        struct entry *e = PF_CONTAINER(first, struct entry, due);
        struct pf_uuid launch = e->launch;
        if (entry_look(l, e)) {
            pf_heap_set(&l->due, &e->due, now_ms + e->every_ms);
        } else {
            entry_free(l, e);
            l->o.on_gone(l->o.ctx, launch);
        }
    }
    timer_arm(l);
}

static bool free_space(const struct pf_logtrim *l, uint64_t *out)
{
    struct statvfs fs;

    if (statvfs(l->dir, &fs) != 0) {
        return false;
    }
    *out = (uint64_t)fs.f_bfree * fs.f_frsize;
    return true;
}

static void sweep(struct pf_logtrim *l)
{
    int64_t now_ms = pf_loop_now_ms(l->loop);
    uint32_t cursor = 0;
    struct entry *e;

    l->counters.sweeps++;
    l->swept_ms = now_ms;
    l->fired_ms = 0;
    while ((e = pf_map_next(&l->by_launch, &cursor)) != NULL) {
        pf_heap_set(&l->due, &e->due, now_ms);
    }
    timer_arm(l);
}

static void on_disk_time(void *ctx)
{
    struct pf_logtrim *l = ctx;
    int64_t now_ms = pf_loop_now_ms(l->loop);
    uint64_t most = l->o.max_bytes / 2 > SWEEP_MIN ? l->o.max_bytes / 2 : SWEEP_MIN;
    uint64_t now_free;

    if (free_space(l, &now_free)) {
        l->free_bytes = now_free > l->free_bytes ? now_free : l->free_bytes;
        if (l->free_bytes - now_free >= most && now_ms - l->swept_ms >= SWEEP_MS) {
            l->free_bytes = now_free;
            sweep(l);
        }
    }
    pf_timer_set(l->disk_timer, l->by_launch.len > 0 ? now_ms + DISK_MS : INT64_MAX);
}

/* --- the doors -------------------------------------------------------------------------------- */

struct pf_logtrim *pf_logtrim_create(struct pf_loop *loop, const struct pf_logtrim_options *o)
{
    struct pf_logtrim *l = PF_NEW(struct pf_logtrim);

    l->loop = loop;
    l->o = *o;
    l->dir = pf_strdup(o->dir);
    l->timer = pf_timer_create(loop, PF_PRIO_NORMAL, on_time, l);
    l->disk_timer = pf_timer_create(loop, PF_PRIO_NORMAL, on_disk_time, l);
    return l;
}

void pf_logtrim_destroy(struct pf_logtrim *l)
{
    uint32_t cursor = 0;
    struct entry *e;

    if (l == NULL) {
        return;
    }
    while ((e = pf_map_next(&l->by_launch, &cursor)) != NULL) {
        entry_free(l, e);
        cursor = 0;
    }
    pf_timer_destroy(l->timer);
    pf_timer_destroy(l->disk_timer);
    pf_map_fini(&l->by_launch);
    pf_heap_fini(&l->due);
    pf_free(l->dir);
    pf_free(l);
}

void pf_logtrim_add(struct pf_logtrim *l, struct pf_uuid launch, struct pf_str sandbox)
{
    int64_t now_ms = pf_loop_now_ms(l->loop);

    if (pf_map_get(&l->by_launch, &launch, sizeof launch) != NULL) {
        return;
    }
    struct entry *e = PF_NEW(struct entry);
    e->launch = launch;
    e->sandbox = pf_strndup(sandbox.at, sandbox.len);
    e->looked_ms = now_ms;
    e->every_ms = FIRST_MS;
    pf_map_put(&l->by_launch, &e->launch, sizeof e->launch, e);
    pf_heap_set(&l->due, &e->due, now_ms + FIRST_MS);
    timer_arm(l);
    if (l->counters.n++ == 0 && l->o.max_bytes > 0) {
        l->free_bytes = 0;
        (void)free_space(l, &l->free_bytes); /* else the first measured later counts */
        pf_timer_set(l->disk_timer, now_ms + DISK_MS);
    }
}

void pf_logtrim_ended(struct pf_logtrim *l, struct pf_uuid launch)
{
    struct entry *e = pf_map_get(&l->by_launch, &launch, sizeof launch);

    if (e != NULL) {
        (void)entry_look(l, e); /* an ended task needs its sandbox no more */
        entry_free(l, e);
    }
}

const struct pf_logtrim_counters *pf_logtrim_counters(const struct pf_logtrim *l)
{
    return &l->counters;
}
