/* SPDX-License-Identifier: Apache-2.0 */
/* Reading frames. Bytes go straight to the shared scratch area and frames are delivered from there;
 * the connection keeps only the beginning of a frame whose end has not come, or what the turn had
 * no time for. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include "common/base/alloc.h"
#include "common/net/conn_internal.h"

#define FILLS_A_VISIT 4 /* reads; commonly the second finds nothing more */

static uint32_t load_length(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static bool conn_may_read(const struct pf_conn *c)
{
    return c->state == PF_CONN_OPEN &&
           !(c->set->is_paused && c->item.prio == PF_PRIO_NORMAL);
}

/* What a look at the front of some bytes tells. */
enum front { FRONT_PART, FRONT_WHOLE, FRONT_BAD };

static enum front front_of(struct pf_conn *c, const uint8_t *p, size_t n, size_t *out_bytes)
{
    *out_bytes = PF_FRAME_HEADER_BYTES;
    if (n < PF_FRAME_HEADER_BYTES) {
        return FRONT_PART;
    }
    uint32_t len = load_length(p);
    if (len > c->frame_max_bytes) {
        c->set->counters->over_limit++;
        pf_conn_break(c, PF_ELIMIT, 0, "a frame of %u bytes, the limit is %u", len,
                      c->frame_max_bytes);
        return FRONT_BAD;
    }
    *out_bytes = PF_FRAME_HEADER_BYTES + (size_t)len;
    return n < *out_bytes ? FRONT_PART : FRONT_WHOLE;
}

/* Delivers whole frames from the front of [p, p + n), until the visit's `*quota`, the turn's budget
 * or a callback ends it. Returns how many bytes were taken. */
static size_t conn_take(struct pf_conn *c, const uint8_t *p, size_t n, uint32_t *quota)
{
    struct pf_conn_set *set = c->set;
    size_t taken = 0;
    size_t bytes;
    while (*quota > 0 && conn_may_read(c) &&
           front_of(c, p + taken, n - taken, &bytes) == FRONT_WHOLE) {
        struct pf_bytes frame = {p + taken + PF_FRAME_HEADER_BYTES,
                                 (uint32_t)(bytes - PF_FRAME_HEADER_BYTES)};
        --*quota;
        if (!pf_loop_spend(set->loop)) {
            *quota = 0;
        }
        taken += bytes;
        set->counters->frames_in++;
        set->ops->on_frame(c, frame);
        if (set->is_doomed) {
            *quota = 0;
        }
    }
    return taken;
}

/* Delivers from what was kept. */
static void conn_take_kept(struct pf_conn *c, uint32_t *quota)
{
    if (c->in_tail == c->in_head) {
        return;
    }
    c->in_head += (uint32_t)conn_take(c, c->in + c->in_head, c->in_tail - c->in_head, quota);
    if (c->in_head == c->in_tail) {
        PF_FREE(c->in);
        c->in_head = c->in_tail = c->in_cap = 0;
    }
}

static bool conn_grow(struct pf_conn *c, size_t cap)
{
    uint8_t *in = pf_try_realloc(c->in, cap);
    if (in == NULL) {
        pf_conn_break(c, PF_ENOMEM, 0, "no memory for a frame");
        return false;
    }
    c->in = in;
    c->in_cap = (uint32_t)cap;
    return true;
}

/* Room behind the kept bytes for the rest of their frame, not more: what follows goes to the
 * scratch area. Grows with what has come, so that a length alone costs nobody memory. */
static size_t conn_room(struct pf_conn *c)
{
    size_t have = c->in_tail - c->in_head;
    size_t whole;
    if (have == 0 || front_of(c, c->in + c->in_head, have, &whole) != FRONT_PART) {
        return 0;
    }
    if (c->in_head > 0) {
        memmove(c->in, c->in + c->in_head, have);
        c->in_head = 0;
        c->in_tail = (uint32_t)have;
    }
    size_t cap = 2 * have < 4096 ? 4096 : 2 * have;
    cap = cap > whole ? whole : cap;
    if (cap > c->in_cap && !conn_grow(c, cap)) {
        return 0;
    }
    size_t room = c->in_cap - have;
    return room < whole - have ? room : whole - have;
}

static void conn_keep(struct pf_conn *c, const uint8_t *p, size_t n)
{
    if (n == 0 || c->state == PF_CONN_BROKEN) {
        return;
    }
    PF_ASSERT(c->in == NULL);
    c->in = pf_alloc(n);
    memcpy(c->in, p, n);
    c->in_cap = c->in_tail = (uint32_t)n;
    c->in_head = 0;
}

static ssize_t conn_recv(struct pf_conn *c, struct iovec *iov, int n_iov)
{
    ssize_t n = n_iov == 1 ? recv(c->fd, iov->iov_base, iov->iov_len, 0)
                           : readv(c->fd, iov, n_iov);
    if (n > 0) {
        c->last_in_ms = c->set->loop->now_ms;
        c->set->counters->bytes_in += (uint64_t)n;
        return n;
    }
    if (n == 0) {
        pf_conn_break(c, PF_ECONN, 0, "closed by the other side");
    } else if (errno == EAGAIN) {
        c->is_ready = false;
    } else if (errno != EINTR) {
        pf_conn_break(c, PF_ECONN, errno, "reading failed");
    }
    return -1;
}

/* One read. The kept bytes are at most the beginning of a frame now. */
static void conn_fill(struct pf_conn *c, uint32_t *quota)
{
    struct pf_conn_set *set = c->set;
    size_t room = conn_room(c);
    struct iovec iov[2] = {
        {room > 0 ? c->in + c->in_tail : NULL, room},
        {set->scratch, PF_CONN_SCRATCH_BYTES},
    };
    ssize_t got = -1;
    if (c->state == PF_CONN_OPEN) {
        got = room > 0 ? conn_recv(c, iov, 2) : conn_recv(c, &iov[1], 1);
    }
    if (got < 0) {
        return;
    }
    size_t n = (size_t)got;
    size_t kept = n < room ? n : room;
    c->in_tail += (uint32_t)kept;
    n -= kept;
    conn_take_kept(c, quota);
    if (set->is_doomed) {
        return;
    }
    if (c->in != NULL) {
        /* Not whole yet: it must grow before the bytes behind it can be added; or not taken. */
        if (n > 0 && conn_grow(c, c->in_tail + n)) {
            memcpy(c->in + c->in_tail, set->scratch, n);
            c->in_tail += (uint32_t)n;
        }
        return;
    }
    size_t taken = conn_take(c, set->scratch, n, quota);
    if (!set->is_doomed) {
        conn_keep(c, set->scratch + taken, n - taken);
    }
}

static bool conn_has_whole(struct pf_conn *c)
{
    size_t bytes;
    return c->in_tail > c->in_head &&
           front_of(c, c->in + c->in_head, c->in_tail - c->in_head, &bytes) == FRONT_WHOLE;
}

void pf_conn_read(struct pf_conn *c)
{
    uint32_t quota = PF_CONN_FRAMES_A_VISIT;
    struct pf_conn_set *set = c->set;
    if (conn_may_read(c)) {
        conn_take_kept(c, &quota);
    }
    for (int i = 0; i < FILLS_A_VISIT && !set->is_doomed && conn_may_read(c) && c->is_ready &&
                    quota > 0 && !conn_has_whole(c);
         i++) {
        conn_fill(c, &quota);
    }
    if (set->is_doomed || c->state != PF_CONN_OPEN) {
        return;
    }
    if (!conn_may_read(c)) {
        pf_conn_stall(c);
    } else if (c->is_ready || conn_has_whole(c)) {
        pf_loop_queue(&c->item);
    }
}

void pf_conn_discard(struct pf_conn *c)
{
    ssize_t n = recv(c->fd, c->set->scratch, PF_CONN_SCRATCH_BYTES, 0);
    if (n > 0 || (n < 0 && errno == EINTR)) {
        pf_loop_queue(&c->item);
    } else if (n == 0 || errno != EAGAIN) {
        pf_conn_break(c, PF_ECANCELED, 0, "closed by us");
    }
}
