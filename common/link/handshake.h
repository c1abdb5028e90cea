/* SPDX-License-Identifier: Apache-2.0 */
/* The greetings of a native connection as pure state machines: the server speaks first (Challenge),
 * the client answers (Hello), the server admits (Welcome) or says why not (Goodbye). Frames in,
 * frames out; nonces come from the caller. common/net drives it over sockets, the simulator over
 * its own net. */
#ifndef PF_COMMON_LINK_HANDSHAKE_H
#define PF_COMMON_LINK_HANDSHAKE_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/err.h"
#include "common/base/str.h"
#include "common/fb/build.h"
#include "common/fb/fb.h"
#include "common/link/key.h"

#define PF_NONCE_BYTES 32

/* Who we are: the same for every connection. Everything is borrowed and must outlive its users;
 * texts may be NULL. */
struct pf_link_self {
    uint8_t kind;            /* PeerKind */
    const struct pf_key *key; /* NULL = none */
    const char *id;          /* an agent's uuid text, else empty */
    const char *instance;    /* of this start of the program */
    const char *cluster;     /* empty: any */
    const char *version;
    const char *user;
    const struct pf_str *capability;
    uint32_t n_capabilities;
};

/* What a server tells of itself at the moment of welcoming. Borrowed for the call. */
struct pf_link_state {
    uint8_t role;                /* MasterRole, 0 for others */
    const struct pf_str *master; /* addresses of all masters */
    uint32_t n_masters;
    struct pf_bytes incarnation; /* 16 bytes or absent */
    uint64_t epoch;
    uint32_t heartbeat_ms;       /* 0: the usual */
    struct pf_str http_address;
    struct pf_str leader;        /* native address of who leads, as far as it knows */
};

enum pf_link_phase {
    PF_LINK_INVALID = 0,
    PF_LINK_WAIT_HELLO,     /* server */
    PF_LINK_WAIT_CHALLENGE, /* client */
    PF_LINK_WAIT_WELCOME,   /* client */
    PF_LINK_UP,
    PF_LINK_REFUSED,
};

/* One connection's greetings, either side; a plain value. */
struct pf_link {
    const struct pf_link_self *self;
    enum pf_link_phase phase;
    bool is_trusted; /* server: the peer proved the key, or we have none; client: Welcome.trusted */
    uint8_t own_nonce[PF_NONCE_BYTES];
    uint8_t peer_nonce[PF_NONCE_BYTES];
};

/* Server: starts, and gives the Challenge to send first. Messages that these functions return are
 * built with `b` (reset by them) and borrowed from it. */
struct pf_msg pf_link_accept(struct pf_link *l, const struct pf_link_self *self,
                             const uint8_t nonce[PF_NONCE_BYTES], struct pf_fb_builder *b);
/* Client: starts. `nonce` is ours. */
void pf_link_connect(struct pf_link *l, const struct pf_link_self *self,
                     const uint8_t nonce[PF_NONCE_BYTES]);

/* Server: the first frame of the client. 0: `*out_hello` is the verified envelope with the Hello
 * (borrows `frame`), phase UP, now send pf_link_welcome(). Else the connection must be closed, best
 * after pf_link_goodbye(): PF_EPROTO (no Hello), PF_EVERSION, PF_EINVAL (another cluster),
 * PF_EAUTH (wrong key; or none, from an agent or a master). */
PF_MUST_USE int pf_link_on_hello(struct pf_link *l, struct pf_bytes frame,
                                 struct pf_msg *out_hello, struct pf_err *err);
struct pf_msg pf_link_welcome(const struct pf_link *l, const struct pf_link_state *state,
                              struct pf_fb_builder *b);
/* Server: the Welcome once more, on a link that is up, because role, epoch or masters changed.
 * Without an HMAC, so that it is the same for all who are trusted, and for all who are not. */
struct pf_msg pf_link_welcome_again(const struct pf_link_self *self,
                                    const struct pf_link_state *state, bool is_trusted,
                                    struct pf_fb_builder *b);
/* The last words to a peer that is refused or sent away. `code` is a PF_E*. */
struct pf_msg pf_link_goodbye(int code, struct pf_str reason, struct pf_fb_builder *b);

/* Client: any frame until phase UP. 0 and phase WAIT_WELCOME: send `*out_answer` (the Hello).
 * 0 and phase UP: `*out_welcome` is the verified envelope with the Welcome, borrows `frame`.
 * Else close: PF_EPROTO, PF_EVERSION, PF_EAUTH (the server did not prove our key, or refused
 * ours), PF_ECONN (a Goodbye). */
PF_MUST_USE int pf_link_on_greeting(struct pf_link *l, struct pf_bytes frame,
                                    struct pf_fb_builder *b, struct pf_msg *out_answer,
                                    struct pf_msg *out_welcome, struct pf_err *err);

/* --- heartbeats ------------------------------------------------------------------------------ */

/* Any traffic counts. `next_ms` is where the link must be looked at again. */
struct pf_link_pulse {
    int64_t last_in_ms, last_out_ms;
    int32_t heartbeat_ms, silent_ms;
};

enum pf_link_beat { PF_LINK_BEAT_NONE, PF_LINK_BEAT_SEND, PF_LINK_BEAT_BROKEN };

/* Starts the pulse; `phase` (any number) spreads the first heartbeats of many links. */
void pf_link_pulse_start(struct pf_link_pulse *p, int64_t now_ms, int32_t heartbeat_ms,
                         int32_t silent_ms, uint64_t phase);
/* What is due now. After SEND the caller sends a heartbeat, which sets last_out_ms. */
enum pf_link_beat pf_link_pulse_at(const struct pf_link_pulse *p, int64_t now_ms);
int64_t pf_link_pulse_next_ms(const struct pf_link_pulse *p);
/* An envelope with nothing but a Heartbeat. */
struct pf_msg pf_link_heartbeat(struct pf_fb_builder *b);

#endif
