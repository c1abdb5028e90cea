/* SPDX-License-Identifier: Apache-2.0 */
/* Short ways to write and read the Envelope that every native frame is (schemas/proffer.fbs). The
 * generated Envelope__* serve for everything else. */
#ifndef PF_COMMON_LINK_ENVELOPE_H
#define PF_COMMON_LINK_ENVELOPE_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/err.h"
#include "common/base/str.h"
#include "common/fb/build.h"
#include "common/fb/fb.h"

#define PF_PROTOCOL_VERSION 1u

/* What surrounds a body; all zero = nothing of note. */
struct pf_envelope {
    struct pf_bytes incarnation; /* 16 bytes, or absent */
    uint64_t epoch;
    uint64_t sequence;
    uint64_t request_id; /* > 0: one reply is wanted, or (is_reply) this is it */
    bool is_reply;
    uint8_t code;        /* ReplyCode */
    struct pf_str text;  /* for people; absent = none */
    uint8_t body_type;   /* Body */
};

/* Puts the envelope around `body` (a table put into `b` before; its type is e->body_type) and
 * finishes the message. Borrowed from the builder as pf_fb_finish() says. */
struct pf_msg pf_envelope_finish(struct pf_fb_builder *b, const struct pf_envelope *e,
                                 struct pf_ref body);
/* The reply to request `request_id` that has a code and a text, and an empty Reply as its body. */
struct pf_msg pf_envelope_reply(struct pf_fb_builder *b, uint64_t request_id, uint8_t code,
                                struct pf_str text);
/* Verifies a frame's bytes as an Envelope. PF_EPROTO, PF_ELIMIT; `*out` borrows `frame`. */
PF_MUST_USE int pf_envelope_parse(struct pf_bytes frame, struct pf_msg *out, struct pf_err *err);
/* The fields of a verified envelope, borrowed from it. */
struct pf_envelope pf_envelope_of(struct pf_msg msg);
/* The body if it is of type `body_type` (Body), else absent. */
struct pf_tab pf_envelope_body(struct pf_msg msg, uint8_t body_type);

#endif
