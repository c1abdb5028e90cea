/* SPDX-License-Identifier: Apache-2.0 */
/* Framed connections: each frame is a 4-byte little-endian length and its bytes. No greetings, no
 * clock: those are peer.h's. Only for common/net.
 *
 * Nothing is read or written but in the loop's delivery and flush, so an idle connection has no
 * buffers: reads go to a scratch area shared by all, and only what is left of a frame, or did not
 * fit into the turn, is kept by the connection. */
#ifndef PF_COMMON_NET_CONN_H
#define PF_COMMON_NET_CONN_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "common/base/str.h"
#include "common/net/address.h"
#include "common/net/loop_internal.h"
#include "common/net/peer.h"

#define PF_FRAME_HEADER_BYTES   4
#define PF_CONN_SCRATCH_BYTES   (64u << 10)
#define PF_CONN_FRAMES_A_VISIT  32 /* then the next connection has its chance */

struct pf_conn;

/* All of them run in the delivery part of a turn. */
struct pf_conn_ops {
    void (*on_connected)(struct pf_conn *c);
    void (*on_frame)(struct pf_conn *c, struct pf_bytes frame); /* borrowed for the call */
    /* The last word: the owner frees the connection now or later. */
    void (*on_broken)(struct pf_conn *c, const struct pf_err *why);
};

enum pf_conn_state {
    PF_CONN_NEW = 0,    /* no descriptor yet */
    PF_CONN_CONNECTING,
    PF_CONN_OPEN,
    PF_CONN_DRAINING,   /* writes what it has, reads nothing */
    PF_CONN_LINGERING,  /* has said all; waits for the other side to close, drops what it says */
    PF_CONN_BROKEN,     /* no descriptor any more; on_broken comes, or has come */
};

TAILQ_HEAD(pf_conn_list, pf_conn);

/* What the connections of one net share. */
struct pf_conn_set {
    struct pf_loop *loop;
    const struct pf_conn_ops *ops;
    struct pf_net_counters *counters;
    struct pf_loop_flusher flusher;
    struct pf_conn_list dirty;   /* have something to write that the kernel may take */
    struct pf_conn_list stalled; /* were not read because of the pause */
    uint8_t *scratch;
    uint32_t out_max_bytes;
    bool is_paused;
    bool is_visiting; /* a connection is being delivered */
    bool is_doomed;   /* to be destroyed by its owner when the visit ends */
    void (*on_doomed)(struct pf_conn_set *set);
};

struct pf_conn_chunk;

struct pf_conn {
    struct pf_loop_item item;
    struct event ev;
    struct pf_conn_set *set;
    TAILQ_ENTRY(pf_conn) dirty_link, stalled_link;
    uint8_t *in;                    /* what was read and not delivered: [in_head, in_tail) */
    struct pf_conn_chunk *out, *out_last;
    struct pf_err *why;             /* of BROKEN, until it is told */
    int64_t last_in_ms, last_out_ms; /* of the loop's clock: something was read, queued */
    uint32_t in_cap, in_head, in_tail;
    uint32_t out_bytes;
    uint32_t frame_max_bytes;
    int fd;
    uint8_t state;                  /* enum pf_conn_state */
    bool is_watched;                /* `ev` is added, edge triggered, for reading and writing */
    bool is_ready;                  /* the kernel may have something to read; cleared by EAGAIN */
    bool is_blocked;                /* the kernel takes no more bytes for now */
    bool is_dirty, is_stalled;
};

void pf_conn_set_init(struct pf_conn_set *set, struct pf_loop *loop,
                      const struct pf_conn_ops *ops, struct pf_net_counters *counters,
                      uint32_t out_max_bytes);
void pf_conn_set_fini(struct pf_conn_set *set); /* its connections are gone */
void pf_conn_set_pause(struct pf_conn_set *set, bool is_paused);

void pf_conn_init(struct pf_conn *c, struct pf_conn_set *set, enum pf_prio prio,
                  uint32_t frame_max_bytes);
/* Closes and frees what it holds, without a callback. */
void pf_conn_fini(struct pf_conn *c);
/* Takes a connected non-blocking socket. */
void pf_conn_open(struct pf_conn *c, int fd);
/* Begins to connect; on_connected or on_broken follows. */
void pf_conn_connect(struct pf_conn *c, const struct pf_address *to);
/* Gives up an attempt to connect, so that another address can be tried; no callback. */
void pf_conn_reset(struct pf_conn *c);
/* Queues one frame (copied). Dropped unless OPEN. Over the limit the connection breaks. */
void pf_conn_send(struct pf_conn *c, struct pf_bytes frame);
/* Writes what is queued, says end of file, waits for the other side's, then breaks with
 * PF_ECANCELED. The owner bounds the time. */
void pf_conn_drain(struct pf_conn *c);
/* Ends it: closed at once, on_broken follows. The first reason wins. */
void pf_conn_break(struct pf_conn *c, int code, int sys, const char *fmt, ...) PF_PRINTF(4, 5);
void pf_conn_set_prio(struct pf_conn *c, enum pf_prio prio);
void pf_conn_to_top(struct pf_conn *c); /* to the reserved descriptors */

#endif
