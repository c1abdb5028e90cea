/* SPDX-License-Identifier: Apache-2.0 */
/* Envelopes of what the agent sends. Each names the incarnation and epoch that it obeys. */
#include "agent/core/calls_internal.h"

static struct pf_bytes held_incarnation(const struct pf_agent *a)
{
    if (pf_uuid_is_nil(a->incarnation)) {
        return (struct pf_bytes){NULL, 0};
    }
    return (struct pf_bytes){a->incarnation.b, sizeof a->incarnation.b};
}

void ag_send(struct pf_agent *a, uint64_t peer, struct pf_fb_builder *b, enum Body type,
             struct pf_ref body, uint64_t request_id)
{
    struct pf_ref root = Envelope__put(b, &(struct Envelope__args){
                                              .incarnation = held_incarnation(a),
                                              .epoch = a->epoch,
                                              .request_id = request_id,
                                              .body_type = type,
                                              .body = body,
                                          });

    pf_turn_send(a->turn, peer, pf_msg_bytes(Envelope__finish(b, root)));
}

static void send_reply(struct pf_agent *a, uint64_t peer, struct pf_fb_builder *b,
                       const struct Envelope__args *args)
{
    struct pf_ref root = Envelope__put(b, args);

    pf_turn_send(a->turn, peer, pf_msg_bytes(Envelope__finish(b, root)));
}

void ag_reply(struct pf_agent *a, uint64_t peer, uint64_t request_id, enum ReplyCode code,
              struct pf_str text)
{
    if (request_id == 0) {
        return;
    }
    struct pf_fb_builder *b = pf_turn_builder(a->turn);

    send_reply(a, peer, b,
               &(struct Envelope__args){
                   .incarnation = held_incarnation(a),
                   .epoch = a->epoch,
                   .request_id = request_id,
                   .is_reply = true,
                   .code = code,
                   .text = text,
                   .body_type = Body_Reply,
                   .body = Reply__put(b, &(struct Reply__args){0}),
               });
}

void ag_reply_body(struct pf_agent *a, uint64_t peer, uint64_t request_id, struct pf_fb_builder *b,
                   enum Body type, struct pf_ref body)
{
    send_reply(a, peer, b,
               &(struct Envelope__args){
                   .incarnation = held_incarnation(a),
                   .epoch = a->epoch,
                   .request_id = request_id,
                   .is_reply = true,
                   .body_type = type,
                   .body = body,
               });
}

bool ag_uuid_of(struct pf_bytes bytes, struct pf_uuid *out)
{
    if (bytes.at == NULL || bytes.len != sizeof out->b) {
        return false;
    }
    memcpy(out->b, bytes.at, sizeof out->b);
    return true;
}
