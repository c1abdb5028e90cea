/* SPDX-License-Identifier: Apache-2.0 */
/* Writing and reading envelopes. */
#include "common/link/envelope.h"

#include "schemas/proffer.h"

enum { BODY_SLOT = 4 + 2 * 8 }; /* the vtable place of Envelope.body (id 8) */

struct pf_msg pf_envelope_finish(struct pf_fb_builder *b, const struct pf_envelope *e,
                                 struct pf_ref body)
{
    return Envelope__finish(b, Envelope__put(b, &(struct Envelope__args){
                                                    .incarnation = e->incarnation,
                                                    .epoch = e->epoch,
                                                    .sequence = e->sequence,
                                                    .request_id = e->request_id,
                                                    .is_reply = e->is_reply,
                                                    .code = (enum ReplyCode)e->code,
                                                    .text = e->text,
                                                    .body_type = (enum Body)e->body_type,
                                                    .body = body,
                                                }));
}

struct pf_msg pf_envelope_reply(struct pf_fb_builder *b, uint64_t request_id, uint8_t code,
                                struct pf_str text)
{
    struct pf_ref body = Reply__put(b, &(struct Reply__args){0});
    return pf_envelope_finish(b,
                              &(struct pf_envelope){.request_id = request_id,
                                                    .is_reply = true,
                                                    .code = code,
                                                    .text = text,
                                                    .body_type = Body_Reply},
                              body);
}

int pf_envelope_parse(struct pf_bytes frame, struct pf_msg *out, struct pf_err *err)
{
    return pf_fb_verify(frame, &Envelope__desc, out, err);
}

struct pf_envelope pf_envelope_of(struct pf_msg msg)
{
    struct Envelope e = Envelope__root(msg);
    return (struct pf_envelope){
        .incarnation = Envelope_incarnation(e),
        .epoch = Envelope_epoch(e),
        .sequence = Envelope_sequence(e),
        .request_id = Envelope_request_id(e),
        .is_reply = Envelope_is_reply(e),
        .code = (uint8_t)Envelope_code(e),
        .text = Envelope_text(e),
        .body_type = (uint8_t)Envelope_body_type(e),
    };
}

struct pf_tab pf_envelope_body(struct pf_msg msg, uint8_t body_type)
{
    return pf_fb_get_member(Envelope__root(msg).tab, BODY_SLOT, body_type);
}
