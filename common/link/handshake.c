/* SPDX-License-Identifier: Apache-2.0 */
/* The server's side of the greetings, and what both sides share. */
#include "common/link/handshake.h"

#include <string.h>
#include "common/base/limits.h"
#include "common/link/envelope.h"
#include "common/link/handshake_internal.h"

void pf_link_mac(const struct pf_key *key, const char *label, const uint8_t *first,
                 const uint8_t *second, uint8_t kind, struct pf_str cluster,
                 uint8_t out[PF_MAC_BYTES])
{
    struct pf_bytes parts[] = {
        {(const uint8_t *)label, (uint32_t)strlen(label)},
        {first, PF_NONCE_BYTES},
        {second, PF_NONCE_BYTES},
        {&kind, 1},
        {(const uint8_t *)cluster.at, cluster.len},
    };
    pf_key_mac(key, parts, PF_ARRAY_LEN(parts), out);
}

struct pf_msg pf_link_wrap(struct pf_fb_builder *b, uint8_t body_type, struct pf_ref body)
{
    return pf_envelope_finish(b, &(struct pf_envelope){.body_type = body_type}, body);
}

bool pf_link_clusters_differ(struct pf_str a, struct pf_str b)
{
    return a.len > 0 && b.len > 0 && !pf_str_eq(a, b);
}

/* Codes that travel in a Goodbye; others become UNAVAILABLE, and that PF_ECONN. */
static const struct {
    int code;
    enum ReplyCode reply;
} goodbye_codes[] = {
    {PF_EAUTH, ReplyCode_FORBIDDEN}, {PF_EVERSION, ReplyCode_UNSUPPORTED},
    {PF_EINVAL, ReplyCode_CONFLICT}, {PF_EPROTO, ReplyCode_BAD_REQUEST},
    {PF_ELIMIT, ReplyCode_TOO_MANY},
};

int pf_link_code_of_reply(uint8_t reply_code)
{
    for (size_t i = 0; i < PF_ARRAY_LEN(goodbye_codes); i++) {
        if ((uint8_t)goodbye_codes[i].reply == reply_code) {
            return goodbye_codes[i].code;
        }
    }
    return PF_ECONN;
}

struct pf_msg pf_link_goodbye(int code, struct pf_str reason, struct pf_fb_builder *b)
{
    enum ReplyCode reply = ReplyCode_UNAVAILABLE;
    for (size_t i = 0; i < PF_ARRAY_LEN(goodbye_codes); i++) {
        if (goodbye_codes[i].code == code) {
            reply = goodbye_codes[i].reply;
        }
    }
    pf_fb_builder_reset(b);
    struct pf_ref body = Goodbye__put(b, &(struct Goodbye__args){.reason = reason});
    return pf_envelope_finish(
        b, &(struct pf_envelope){.code = (uint8_t)reply, .body_type = Body_Goodbye}, body);
}

struct pf_msg pf_link_accept(struct pf_link *l, const struct pf_link_self *self,
                             const uint8_t nonce[PF_NONCE_BYTES], struct pf_fb_builder *b)
{
    memset(l, 0, sizeof *l);
    l->self = self;
    l->phase = PF_LINK_WAIT_HELLO;
    memcpy(l->own_nonce, nonce, PF_NONCE_BYTES);
    pf_fb_builder_reset(b);
    struct pf_ref body = Challenge__put(b, &(struct Challenge__args){
                                               .protocol = PF_PROTOCOL_VERSION,
                                               .nonce = {l->own_nonce, PF_NONCE_BYTES},
                                               .kind = (enum PeerKind)self->kind,
                                           });
    return pf_link_wrap(b, Body_Challenge, body);
}

static int hello_check_key(struct pf_link *l, struct Hello hello, struct pf_err *err)
{
    if (l->self->key == NULL) {
        l->is_trusted = true;
        return 0;
    }
    if (Hello_hmac(hello).at == NULL) {
        enum PeerKind kind = Hello_kind(hello);
        if (kind == PeerKind_AGENT || kind == PeerKind_MASTER) {
            return pf_err_set(err, PF_EAUTH, "%s without the cluster's key (--key-file)",
                              kind == PeerKind_AGENT ? "an agent" : "a master");
        }
        l->is_trusted = false;
        return 0;
    }
    uint8_t mac[PF_MAC_BYTES];
    pf_link_mac(l->self->key, PF_LINK_LABEL_HELLO, l->own_nonce, l->peer_nonce,
                (uint8_t)Hello_kind(hello), Hello_cluster(hello), mac);
    if (!pf_key_mac_eq(Hello_hmac(hello), (struct pf_bytes){mac, sizeof mac})) {
        return pf_err_set(err, PF_EAUTH, "wrong key");
    }
    l->is_trusted = true;
    return 0;
}

static int hello_check(struct pf_link *l, struct pf_bytes frame, struct pf_msg *out_msg,
                       struct pf_err *err)
{
    struct pf_msg msg;
    int rc = pf_envelope_parse(frame, &msg, err);
    if (rc != 0) {
        return rc;
    }
    struct Hello hello = Envelope_body_as_Hello(Envelope__root(msg));
    if (hello.tab.p == NULL) {
        return pf_err_set(err, PF_EPROTO, "the first frame is no Hello");
    }
    if (Hello_protocol(hello) != PF_PROTOCOL_VERSION) {
        return pf_err_set(err, PF_EVERSION, "protocol %u is spoken here, not %u",
                          PF_PROTOCOL_VERSION, Hello_protocol(hello));
    }
    if (Hello_nonce(hello).len != PF_NONCE_BYTES) {
        return pf_err_set(err, PF_EPROTO, "a nonce of %u bytes", Hello_nonce(hello).len);
    }
    if (Hello_id(hello).len > PF_ID_MAX || Hello_cluster(hello).len > PF_NAME_MAX) {
        return pf_err_set(err, PF_EPROTO, "an id or a cluster's name is too long");
    }
    if (pf_link_clusters_differ(Hello_cluster(hello), pf_str(l->self->cluster))) {
        return pf_err_set(err, PF_EINVAL, "this is cluster %.60s, not %.*s", l->self->cluster,
                          Hello_cluster(hello).len < 60 ? (int)Hello_cluster(hello).len : 60,
                          Hello_cluster(hello).at);
    }
    memcpy(l->peer_nonce, Hello_nonce(hello).at, PF_NONCE_BYTES);
    rc = hello_check_key(l, hello, err);
    if (rc == 0) {
        *out_msg = msg;
    }
    return rc;
}

int pf_link_on_hello(struct pf_link *l, struct pf_bytes frame, struct pf_msg *out_hello,
                     struct pf_err *err)
{
    PF_ASSERT(l->phase == PF_LINK_WAIT_HELLO);
    int rc = hello_check(l, frame, out_hello, err);
    l->phase = rc == 0 ? PF_LINK_UP : PF_LINK_REFUSED;
    return rc;
}

static struct pf_msg welcome_put(const struct pf_link_self *self, const struct pf_link_state *state,
                                 bool is_trusted, struct pf_bytes hmac, struct pf_fb_builder *b)
{
    pf_fb_builder_reset(b);
    struct pf_ref body = Welcome__put(
        b, &(struct Welcome__args){
               .hmac = hmac,
               .kind = (enum PeerKind)self->kind,
               .id = pf_str(self->id),
               .instance = pf_str(self->instance),
               .role = (enum MasterRole)state->role,
               .cluster = pf_str(self->cluster),
               .masters = {state->master, state->n_masters},
               .incarnation = state->incarnation,
               .epoch = state->epoch,
               .frame_max_bytes = PF_FRAME_MAX_BYTES,
               .heartbeat_ms = state->heartbeat_ms != 0 ? state->heartbeat_ms : PF_HEARTBEAT_MS,
               .version = pf_str(self->version),
               .trusted = is_trusted,
               .http_address = state->http_address,
               .leader = state->leader,
           });
    return pf_link_wrap(b, Body_Welcome, body);
}

struct pf_msg pf_link_welcome(const struct pf_link *l, const struct pf_link_state *state,
                              struct pf_fb_builder *b)
{
    const struct pf_link_self *self = l->self;
    PF_ASSERT(l->phase == PF_LINK_UP);
    uint8_t mac[PF_MAC_BYTES];
    struct pf_bytes hmac = {NULL, 0};
    if (self->key != NULL) {
        pf_link_mac(self->key, PF_LINK_LABEL_WELCOME, l->own_nonce, l->peer_nonce, self->kind,
                    pf_str(self->cluster), mac);
        hmac = (struct pf_bytes){mac, sizeof mac};
    }
    return welcome_put(self, state, l->is_trusted, hmac, b);
}

struct pf_msg pf_link_welcome_again(const struct pf_link_self *self,
                                    const struct pf_link_state *state, bool is_trusted,
                                    struct pf_fb_builder *b)
{
    return welcome_put(self, state, is_trusted, (struct pf_bytes){NULL, 0}, b);
}
