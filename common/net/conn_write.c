/* SPDX-License-Identifier: Apache-2.0 */
/* Writing frames: gathered in chunks during a turn, written at its end. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include "common/base/alloc.h"
#include "common/net/conn_internal.h"

#define CHUNK_MIN_BYTES 1008
#define CHUNK_MAX_BYTES (64u << 10) /* larger only for a larger frame */
#define EARLY_BYTES     (1u << 20)  /* written before the turn's end, to bound memory */
#define IOV_MAX_USED    16

struct pf_conn_chunk {
    struct pf_conn_chunk *next;
    uint32_t head, tail, cap; /* unsent: [head, tail) */
    uint8_t data[];
};

void pf_conn_mark_dirty(struct pf_conn *c)
{
    if (!c->is_dirty) {
        c->is_dirty = true;
        TAILQ_INSERT_TAIL(&c->set->dirty, c, dirty_link);
    }
}

void pf_conn_drop_output(struct pf_conn *c)
{
    while (c->out != NULL) {
        struct pf_conn_chunk *chunk = c->out;
        c->out = chunk->next;
        pf_free(chunk);
    }
    c->out_last = NULL;
    c->out_bytes = 0;
}

static struct pf_conn_chunk *out_chunk(struct pf_conn *c, uint32_t bytes)
{
    struct pf_conn_chunk *last = c->out_last;
    if (last != NULL && last->cap - last->tail >= bytes) {
        return last;
    }
    uint32_t cap = last == NULL ? CHUNK_MIN_BYTES : 2 * last->cap;
    cap = cap > CHUNK_MAX_BYTES ? CHUNK_MAX_BYTES : cap;
    cap = cap < bytes ? bytes : cap;
    struct pf_conn_chunk *chunk = pf_realloc(NULL, sizeof *chunk + cap); /* not zeroed */
    chunk->next = NULL;
    chunk->head = chunk->tail = 0;
    chunk->cap = cap;
    if (last == NULL) {
        c->out = chunk;
    } else {
        last->next = chunk;
    }
    c->out_last = chunk;
    return chunk;
}

void pf_conn_send(struct pf_conn *c, struct pf_bytes frame)
{
    if (c->state != PF_CONN_OPEN) {
        return;
    }
    uint32_t bytes = PF_FRAME_HEADER_BYTES + frame.len;
    PF_ASSERT(frame.len <= UINT32_MAX - PF_FRAME_HEADER_BYTES);
    if (bytes > c->set->out_max_bytes || c->out_bytes > c->set->out_max_bytes - bytes) {
        c->set->counters->slow_readers++;
        pf_conn_break(c, PF_ELIMIT, 0, "reads too slowly: %u bytes wait for it", c->out_bytes);
        return;
    }
    struct pf_conn_chunk *chunk = out_chunk(c, bytes);
    uint8_t *p = chunk->data + chunk->tail;
    p[0] = (uint8_t)frame.len;
    p[1] = (uint8_t)(frame.len >> 8);
    p[2] = (uint8_t)(frame.len >> 16);
    p[3] = (uint8_t)(frame.len >> 24);
    memcpy(p + PF_FRAME_HEADER_BYTES, frame.at, frame.len);
    chunk->tail += bytes;
    c->out_bytes += bytes;
    c->last_out_ms = c->set->loop->now_ms;
    c->set->counters->frames_out++;
    if (c->is_blocked) {
        return;
    }
    if (c->out_bytes >= EARLY_BYTES) {
        pf_conn_flush(c);
    } else {
        pf_conn_mark_dirty(c);
    }
}

/* Forgets `n` bytes that the kernel took. */
static void out_advance(struct pf_conn *c, size_t n)
{
    c->out_bytes -= (uint32_t)n;
    c->set->counters->bytes_out += n;
    while (n > 0) {
        struct pf_conn_chunk *chunk = c->out;
        size_t here = chunk->tail - chunk->head;
        if (n < here) {
            chunk->head += (uint32_t)n;
            return;
        }
        n -= here;
        c->out = chunk->next;
        if (c->out == NULL) {
            c->out_last = NULL;
        }
        pf_free(chunk);
    }
}

static void conn_said_all(struct pf_conn *c)
{
    if (c->state == PF_CONN_DRAINING) {
        /* A close now could turn bytes on their way into a reset; the other side's end comes. */
        (void)shutdown(c->fd, SHUT_WR); /* if it is gone, reading tells */
        c->state = PF_CONN_LINGERING;
        pf_loop_queue(&c->item);
    }
}

void pf_conn_flush(struct pf_conn *c)
{
    if (c->is_blocked || c->fd < 0) {
        return;
    }
    while (c->out != NULL) {
        struct iovec iov[IOV_MAX_USED];
        size_t n_iov = 0;
        size_t want = 0;
        for (struct pf_conn_chunk *k = c->out; k != NULL && n_iov < IOV_MAX_USED; k = k->next) {
            iov[n_iov].iov_base = k->data + k->head;
            iov[n_iov].iov_len = k->tail - k->head;
            want += iov[n_iov++].iov_len;
        }
        struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n_iov};
        ssize_t n = n_iov == 1 ? send(c->fd, iov[0].iov_base, want, MSG_NOSIGNAL)
                               : sendmsg(c->fd, &msg, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno != EAGAIN) {
            pf_conn_break(c, PF_ECONN, errno, "writing failed");
            return;
        }
        if (n > 0) {
            out_advance(c, (size_t)n);
        }
        if (n < 0 || (size_t)n < want) {
            c->is_blocked = true;
            return;
        }
    }
    conn_said_all(c);
}
