/* SPDX-License-Identifier: Apache-2.0 */
/* Either side of a greeting hears any frames. Nobody is trusted who has not proved the key. Lines:
 *   o N        first line only: 1 we are the server, 2 we have a key, 4 we are of a cluster
 *   m 0 text   a frame with this Envelope          b 0 text   a frame with these bytes */
#include "common/link/handshake.h"
#include "schemas/proffer.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/script.h"

struct target {
    struct fuzz_world w;
    struct pf_key key;
    struct pf_link_self self;
    struct pf_link link;
    bool is_server, is_over;
};

static void verified(struct target *x, struct pf_msg msg)
{
    struct pf_msg again;
    int rc = pf_fb_verify(pf_msg_bytes(msg), &Envelope__desc, &again, NULL);
    PF_ASSERT(rc == 0);
    fuzz_mix(&x->w, msg.data, msg.len);
}

static void begin(struct target *x, uint32_t bits)
{
    static const uint8_t nonce[PF_NONCE_BYTES] = {1, 2, 3};
    struct pf_fb_builder b;
    pf_fb_builder_init(&b, &x->w.arena);
    x->is_server = bits & 1;
    x->self = (struct pf_link_self){
        .kind = x->is_server ? PeerKind_MASTER : PeerKind_AGENT,
        .key = bits & 2 ? &x->key : NULL,
        .id = "6a1f0b52-9d3c-4a7e-8f21-0c5d7e9b1a34", .instance = "i",
        .cluster = bits & 4 ? "c" : "", .version = "1", .user = "ann"};
    if (x->is_server) {
        verified(x, pf_link_accept(&x->link, &x->self, nonce, &b));
    } else {
        pf_link_connect(&x->link, &x->self, nonce);
    }
}

static int server_hears(struct target *x, struct pf_bytes frame, struct pf_fb_builder *b,
                        struct pf_err *err)
{
    static const struct pf_link_state state = {.role = MasterRole_LEADER, .epoch = 1};
    struct pf_msg hello;
    int rc = pf_link_on_hello(&x->link, frame, &hello, err);
    if (rc == 0) {
        PF_ASSERT(x->link.phase == PF_LINK_UP);
        PF_ASSERT(Envelope_body_type(Envelope__root(hello)) == Body_Hello);
        PF_ASSERT(!x->link.is_trusted || x->self.key == NULL);
        verified(x, pf_link_welcome(&x->link, &state, b));
    }
    return rc;
}

static int client_hears(struct target *x, struct pf_bytes frame, struct pf_fb_builder *b,
                        struct pf_err *err)
{
    struct pf_msg answer, welcome;
    int rc = pf_link_on_greeting(&x->link, frame, b, &answer, &welcome, err);
    if (rc == 0 && x->link.phase == PF_LINK_UP) {
        PF_ASSERT(Envelope_body_type(Envelope__root(welcome)) == Body_Welcome);
        PF_ASSERT(x->self.key == NULL);
    } else if (rc == 0) {
        PF_ASSERT(x->link.phase == PF_LINK_WAIT_WELCOME);
        verified(x, answer);
    }
    return rc;
}

static void hear(struct target *x, struct pf_bytes frame)
{
    struct pf_fb_builder b;
    struct pf_err err = {0};
    pf_fb_builder_init(&b, &x->w.arena);
    int rc = (x->is_server ? server_hears : client_hears)(x, frame, &b, &err);
    PF_ASSERT((rc == 0) == (err.code == 0));
    if (rc != 0) {
        verified(x, pf_link_goodbye(rc, pf_str(err.msg), &b));
    }
    x->is_over = rc != 0 || x->link.phase == PF_LINK_UP;
    fuzz_mix(&x->w, &rc, sizeof rc);
}

static void on_effect(void *ctx, const struct pf_effect *e, struct pf_msg msg)
{
    (void)ctx;
    (void)e;
    (void)msg;
}

static uint64_t run(struct pf_str script)
{
    struct target x = {.key = {{9}}};
    struct fuzz_line line;
    struct pf_msg msg;
    fuzz_world_init(&x.w, on_effect, &x);
    for (int i = 0; i < FUZZ_LINES_MAX && !x.is_over && fuzz_next_line(&script, &line); i++) {
        if (i == 0) {
            begin(&x, line.op == 'o' ? line.n : 0);
        }
        if (line.op == 'm' && fuzz_message(&x.w, line.text, &Envelope__desc, &msg)) {
            hear(&x, pf_msg_bytes(msg));
        } else if (line.op == 'b') {
            hear(&x, (struct pf_bytes){(const uint8_t *)line.text.at, line.text.len});
        }
        fuzz_world_end_line(&x.w);
    }
    fuzz_world_fini(&x.w);
    return x.w.hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_twice(data, size, run);
}
