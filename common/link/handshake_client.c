/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side of the greetings. */
#include <string.h>
#include "common/link/envelope.h"
#include "common/link/handshake.h"
#include "common/link/handshake_internal.h"

void pf_link_connect(struct pf_link *l, const struct pf_link_self *self,
                     const uint8_t nonce[PF_NONCE_BYTES])
{
    memset(l, 0, sizeof *l);
    l->self = self;
    l->phase = PF_LINK_WAIT_CHALLENGE;
    memcpy(l->own_nonce, nonce, PF_NONCE_BYTES);
}

static struct pf_msg hello_make(const struct pf_link *l, struct pf_fb_builder *b)
{
    const struct pf_link_self *self = l->self;
    uint8_t mac[PF_MAC_BYTES];
    if (self->key != NULL) {
        pf_link_mac(self->key, PF_LINK_LABEL_HELLO, l->peer_nonce, l->own_nonce, self->kind,
                    pf_str(self->cluster), mac);
    }
    pf_fb_builder_reset(b);
    struct pf_ref body = Hello__put(
        b, &(struct Hello__args){
               .protocol = PF_PROTOCOL_VERSION,
               .kind = (enum PeerKind)self->kind,
               .id = pf_str(self->id),
               .cluster = pf_str(self->cluster),
               .nonce = {l->own_nonce, PF_NONCE_BYTES},
               .hmac = {self->key != NULL ? mac : NULL, self->key != NULL ? PF_MAC_BYTES : 0},
               .capabilities = {self->capability, self->n_capabilities},
               .version = pf_str(self->version),
               .instance = pf_str(self->instance),
               .user = pf_str(self->user),
           });
    return pf_link_wrap(b, Body_Hello, body);
}

static int on_challenge(struct pf_link *l, struct pf_msg msg, struct pf_fb_builder *b,
                        struct pf_msg *out_answer, struct pf_err *err)
{
    struct Challenge challenge = Envelope_body_as_Challenge(Envelope__root(msg));
    if (challenge.tab.p == NULL) {
        return pf_err_set(err, PF_EPROTO, "the server's first frame is no Challenge");
    }
    if (Challenge_protocol(challenge) != PF_PROTOCOL_VERSION) {
        return pf_err_set(err, PF_EVERSION, "the server speaks protocol %u, not %u",
                          Challenge_protocol(challenge), PF_PROTOCOL_VERSION);
    }
    if (Challenge_nonce(challenge).len != PF_NONCE_BYTES) {
        return pf_err_set(err, PF_EPROTO, "a nonce of %u bytes", Challenge_nonce(challenge).len);
    }
    memcpy(l->peer_nonce, Challenge_nonce(challenge).at, PF_NONCE_BYTES);
    *out_answer = hello_make(l, b);
    l->phase = PF_LINK_WAIT_WELCOME;
    return 0;
}

static int on_welcome(struct pf_link *l, struct pf_msg msg, struct pf_msg *out_welcome,
                      struct pf_err *err)
{
    struct Welcome welcome = Envelope_body_as_Welcome(Envelope__root(msg));
    if (welcome.tab.p == NULL) {
        return pf_err_set(err, PF_EPROTO, "the server answered the Hello with no Welcome");
    }
    if (pf_link_clusters_differ(Welcome_cluster(welcome), pf_str(l->self->cluster))) {
        return pf_err_set(err, PF_EINVAL, "the server belongs to another cluster");
    }
    if (l->self->key != NULL) {
        uint8_t mac[PF_MAC_BYTES];
        pf_link_mac(l->self->key, PF_LINK_LABEL_WELCOME, l->peer_nonce, l->own_nonce,
                    (uint8_t)Welcome_kind(welcome), Welcome_cluster(welcome), mac);
        if (!pf_key_mac_eq(Welcome_hmac(welcome), (struct pf_bytes){mac, sizeof mac})) {
            return pf_err_set(err, PF_EAUTH, "the server %s",
                              Welcome_hmac(welcome).at == NULL ? "has no key, but we have one"
                                                               : "has another key");
        }
    }
    l->is_trusted = Welcome_trusted(welcome);
    l->phase = PF_LINK_UP;
    *out_welcome = msg;
    return 0;
}

static int on_goodbye(struct pf_msg msg, struct Goodbye goodbye, struct pf_err *err)
{
    struct pf_str reason = Goodbye_reason(goodbye);
    return pf_err_set(err, pf_link_code_of_reply((uint8_t)Envelope_code(Envelope__root(msg))),
                      "refused by the server: %.*s", reason.len < 160 ? (int)reason.len : 160,
                      reason.at != NULL ? reason.at : "");
}

int pf_link_on_greeting(struct pf_link *l, struct pf_bytes frame, struct pf_fb_builder *b,
                        struct pf_msg *out_answer, struct pf_msg *out_welcome, struct pf_err *err)
{
    PF_ASSERT(l->phase == PF_LINK_WAIT_CHALLENGE || l->phase == PF_LINK_WAIT_WELCOME);
    struct pf_msg msg;
    int rc = pf_envelope_parse(frame, &msg, err);
    if (rc == 0) {
        struct Goodbye goodbye = Envelope_body_as_Goodbye(Envelope__root(msg));
        if (goodbye.tab.p != NULL) {
            rc = on_goodbye(msg, goodbye, err);
        } else if (l->phase == PF_LINK_WAIT_CHALLENGE) {
            rc = on_challenge(l, msg, b, out_answer, err);
        } else {
            rc = on_welcome(l, msg, out_welcome, err);
        }
    }
    if (rc != 0) {
        l->phase = PF_LINK_REFUSED;
    }
    return rc;
}
