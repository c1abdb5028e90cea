/* SPDX-License-Identifier: Apache-2.0 */
/* Native peers: framed TCP connections that have greeted each other (common/link) and keep a
 * heartbeat. The server side listens, the client side connects; one pf_net does both. A peer is
 * known by a number that is never reused. All callbacks run in the delivery part of a turn
 * (loop.h), never inside a call of these functions. */
#ifndef PF_COMMON_NET_PEER_H
#define PF_COMMON_NET_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "common/base/str.h"
#include "common/fb/fb.h"
#include "common/link/handshake.h"
#include "common/net/loop.h"

struct pf_net;

/* Valid for the call of on_up. */
struct pf_peer_up {
    uint64_t peer;
    bool is_client;       /* we connected to it */
    uint8_t kind;         /* PeerKind of the peer, as it said */
    bool is_trusted;      /* server: it proved the key, or we have none; client: we did there */
    struct pf_msg greeting; /* the Envelope: with Hello (server side), with Welcome (client side) */
    struct pf_str address; /* "10.0.0.7:40312" of the peer */
};

struct pf_net_ops {
    /* The peer may be sent to from now on. */
    void (*on_up)(void *ctx, const struct pf_peer_up *up);
    /* A verified Envelope that is not one of ours (greetings, heartbeats and goodbyes are kept
     * here; but a Welcome that a server repeats is told). Borrowed for the call. */
    void (*on_message)(void *ctx, uint64_t peer, struct pf_msg envelope);
    /* Exactly once for every peer that was up and for every number that pf_net_connect gave,
     * whoever ended it; nothing comes from it afterwards. Codes: PF_EREFUSED (nobody listens
     * there), PF_ECONN (unreachable, reset, closed by the other side, its goodbye), PF_ETIMEOUT
     * (connecting, greeting, silent), PF_EPROTO (bad frame), PF_ELIMIT (frame too long, slow
     * reader), PF_EAUTH, PF_EVERSION, PF_ECANCELED (closed by us). */
    void (*on_down)(void *ctx, uint64_t peer, const struct pf_err *why);
    /* Server side: what a Welcome is to say, asked for at that moment. NULL: nothing. */
    void (*on_welcome)(void *ctx, struct pf_link_state *out);
};

/* Zero = default. Copied, but for what `self` points to (borrowed while the net lives; may be
 * changed by its owner between turns, e.g. a master list). */
struct pf_net_options {
    const struct pf_link_self *self;
    uint32_t frame_max_bytes;    /* PF_FRAME_MAX_BYTES */
    uint32_t out_max_bytes;      /* PF_PEER_OUT_MAX_BYTES */
    int32_t handshake_ms;        /* PF_HANDSHAKE_MS; also connecting */
    int32_t heartbeat_ms;        /* PF_HEARTBEAT_MS */
    int32_t silent_ms;           /* PF_LINK_SILENT_MS */
    uint64_t seed;               /* spreads heartbeats */
    bool has_top_fds;            /* listeners and urgent peers live on the highest descriptors:
                                  * a dying process closes them first */
};

struct pf_net_counters {
    uint64_t accepted, connected;
    uint64_t accept_errors;      /* EMFILE and the like; each pauses accepting for 100 ms */
    uint64_t refused_accepts;    /* such pauses because no descriptor was to spare */
    uint64_t auth_failures, bad_frames, over_limit, slow_readers, timeouts;
    uint64_t frames_in, frames_out, bytes_in, bytes_out;
    uint64_t dropped_sends;      /* to peers that were not up (any more) */
    uint32_t n_conns, n_up;      /* now */
};

PF_MUST_USE int pf_net_create(struct pf_loop *loop, const struct pf_net_options *options,
                              const struct pf_net_ops *ops, void *ctx, struct pf_net **out,
                              struct pf_err *err);
/* Closes everything at once, without callbacks. NULL is fine. */
void pf_net_destroy(struct pf_net *net);

/* Listens on "host:port" (numeric host, "localhost", "[::1]:0", or "*:port" for all); port 0 picks
 * one. `out_address` (may be NULL) gets the bound "host:port" (PF_ADDRESS_MAX bytes). The caller
 * asked pf_listen_check() first. PF_EBUSY (in use), PF_EINVAL, PF_EACCESS, PF_EIO. */
PF_MUST_USE int pf_net_listen(struct pf_net *net, const char *address, char *out_address,
                              struct pf_err *err);
/* Stops accepting; the peers stay. */
void pf_net_unlisten(struct pf_net *net);

struct pf_connect_options {
    enum pf_prio prio;       /* zero is PF_PRIO_URGENT: say PF_PRIO_NORMAL for all but masters */
    int32_t timeout_ms;      /* connecting and greeting; 0: handshake_ms */
    const struct pf_link_self *self; /* who we are there; NULL: as the net's options say. Borrowed
                                      * until on_up or on_down */
};
/* Begins to connect to "host:port"; names are looked up without blocking. Never fails at once:
 * on_up or on_down follows. `options` NULL: normal priority. */
uint64_t pf_net_connect(struct pf_net *net, const char *address,
                        const struct pf_connect_options *options);

/* Queues a whole Envelope (copied); written at the end of the turn. To a peer that is not up it is
 * dropped. A peer whose unsent bytes exceed the limit is cut off (on_down in a later turn). */
void pf_peer_send(struct pf_net *net, uint64_t peer, struct pf_bytes envelope);
/* Ends the peer; on_down follows with PF_ECANCELED. `after_flush`: what was sent before still goes
 * out (for at most handshake_ms); nothing is read from it any more. */
void pf_peer_close(struct pf_net *net, uint64_t peer, bool after_flush);
/* The same after the last words Goodbye{reason}. */
void pf_peer_goodbye(struct pf_net *net, uint64_t peer, int code, const char *reason);
bool pf_peer_is_up(const struct pf_net *net, uint64_t peer);
size_t pf_peer_unsent_bytes(const struct pf_net *net, uint64_t peer);
/* Moves it to the urgent class: delivered first, on a reserved high descriptor. Masters that
 * connect to us are there from their Hello on. */
void pf_peer_set_urgent(struct pf_net *net, uint64_t peer);

/* Asks on_welcome anew and tells every peer that we welcomed: what we are has changed. Each gets it
 * before anything that is sent to it later; those that are sent nothing, in this turn, and
 * agents little by little within half a second: what they answer is much. */
void pf_net_welcome_again(struct pf_net *net);

enum pf_net_drop { PF_NET_DROP_ALL, PF_NET_DROP_ALL_BUT_URGENT };
/* Ends those peers at once, whoever connected, unsent messages with them; on_down follows for each
 * with PF_ECANCELED. Listening goes on. */
void pf_net_drop(struct pf_net *net, enum pf_net_drop which);

/* Back-pressure: while paused nothing is read from peers of normal priority, and they are not
 * called silent. */
void pf_net_pause(struct pf_net *net, bool is_paused);
const struct pf_net_counters *pf_net_counters(const struct pf_net *net);

/* May a daemon listen there? Off loopback without a key it needs `insecure`. PF_EUSAGE with a text
 * that names --key-file and --insecure; PF_EINVAL for what is no address. */
PF_MUST_USE int pf_listen_check(const char *address, bool has_key, bool insecure,
                                struct pf_err *err);

#endif
