/* SPDX-License-Identifier: Apache-2.0 */
/* A request and its answer over a native link. */
#include "framework/cli/client.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/base/limits.h"
#include "common/link/envelope.h"
#include "common/link/key.h"
#include "common/net/keyfile.h"
#include "common/net/loop.h"
#include "common/net/peer.h"
#include "common/sys/random.h"
#include "framework/cli/reply.h"

enum { MASTERS_MAX = 32 };

struct candidate {
    char address[PF_ADDRESS_MAX];
    uint64_t peer;
    bool is_open; /* connecting, or connected */
};

struct pf_client {
    struct pf_loop *loop;
    struct pf_net *net;
    struct pf_timer *timer;
    struct pf_link_self self;
    struct pf_key key;
    char user[64];
    bool is_agent;
    int32_t reply_ms;
    struct candidate candidate[MASTERS_MAX];
    uint32_t n_candidates, n_open;
    uint64_t peer;             /* the one we talk to, 0 = none */
    uint32_t at;               /* its candidate */
    bool timed_out, saw_standby;
    struct pf_err down;        /* why the last one went away */
    struct pf_buf reply;
    struct pf_msg answer;
    uint64_t request_id;
    bool is_answered;
    struct pf_fb_builder builder;
};

static void add_candidate(struct pf_client *c, struct pf_str address)
{
    if (address.len == 0 || address.len >= PF_ADDRESS_MAX || c->n_candidates == MASTERS_MAX) {
        return;
    }
    for (uint32_t i = 0; i < c->n_candidates; i++) {
        if (pf_str_is(address, c->candidate[i].address)) {
            return;
        }
    }
    struct candidate *k = &c->candidate[c->n_candidates++];
    (void)snprintf(k->address, sizeof k->address, "%.*s", PF_STR_ARG(address));
    k->peer = pf_net_connect(c->net, k->address, NULL);
    k->is_open = true;
    c->n_open++;
}

static struct candidate *candidate_of(struct pf_client *c, uint64_t peer)
{
    for (uint32_t i = 0; i < c->n_candidates; i++) {
        if (c->candidate[i].is_open && c->candidate[i].peer == peer) {
            return &c->candidate[i];
        }
    }
    return NULL;
}

static struct pf_msg keep(struct pf_buf *buf, struct pf_msg msg)
{
    pf_buf_clear(buf);
    pf_buf_add(buf, msg.data, msg.len);
    return (struct pf_msg){.data = buf->data, .len = msg.len, .desc = msg.desc};
}

static void on_up(void *ctx, const struct pf_peer_up *up)
{
    struct pf_client *c = ctx;
    struct candidate *k = candidate_of(c, up->peer);
    if (k == NULL || c->peer != 0) {
        return;
    }
    struct Welcome w = Envelope_body_as_Welcome(Envelope__root(up->greeting));
    if (c->is_agent || Welcome_role(w) != MasterRole_STANDBY) {
        c->peer = up->peer;
        c->at = (uint32_t)(k - c->candidate);
        return;
    }
    c->saw_standby = true;
    for (uint32_t i = 0; i < Welcome_masters__len(w); i++) {
        add_candidate(c, Welcome_masters__at(w, i));
    }
    pf_peer_close(c->net, up->peer, false);
}

static void on_message(void *ctx, uint64_t peer, struct pf_msg envelope)
{
    struct pf_client *c = ctx;
    struct pf_envelope e = pf_envelope_of(envelope);
    if (peer == c->peer && e.is_reply && e.request_id == c->request_id && !c->is_answered) {
        c->answer = keep(&c->reply, envelope);
        c->is_answered = true;
    }
}

static void on_down(void *ctx, uint64_t peer, const struct pf_err *why)
{
    struct pf_client *c = ctx;
    struct candidate *k = candidate_of(c, peer);
    if (k == NULL) {
        return;
    }
    k->is_open = false;
    c->n_open--;
    if (peer == c->peer) {
        c->peer = 0;
    }
    /* of several reasons one that a human can act upon is the best */
    if (why->code != PF_ECANCELED &&
        (c->down.code == 0 || why->code == PF_EAUTH || why->code == PF_EVERSION)) {
        c->down = *why;
        pf_err_wrap(&c->down, "%s", k->address);
    }
}

static void on_time(void *ctx)
{
    struct pf_client *c = ctx;
    c->timed_out = true;
}

static const struct pf_net_ops ops = {on_up, on_message, on_down, NULL};

static void set_timeout(struct pf_client *c, int32_t timeout_ms)
{
    c->timed_out = false;
    pf_timer_set(c->timer, timeout_ms < 0 ? INT64_MAX : pf_loop_now_ms(c->loop) + timeout_ms);
}

static int read_key(struct pf_client *c, const struct pf_client_options *o, struct pf_err *err)
{
    if (o->key_file == NULL) {
        return 0;
    }
    struct pf_err why = {0};
    int rc = pf_keyfile_read(o->key_file, &c->key, &why);
    if (rc == 0) {
        c->self.key = &c->key;
        return 0;
    }
    return o->needs_key_file ? pf_err_set(err, rc, "%s", why.msg) : 0;
}

static int no_leader(struct pf_client *c, int32_t waited_ms, struct pf_err *err)
{
    if (c->timed_out) {
        return pf_err_set(err, PF_ETIMEOUT, "no answer within %" PRId32 " ms", waited_ms);
    }
    if (c->down.code != 0) {
        return pf_err_set(err, c->down.code, "%s", c->down.msg);
    }
    return pf_err_set(err, PF_ECONN, c->saw_standby ? "there is no leading master"
                                                    : "no address to connect to");
}

static int connect_all(struct pf_client *c, const struct pf_client_options *o, struct pf_err *err)
{
    const char *at = o->addresses;
    while (*at != '\0') {
        uint32_t len = (uint32_t)strcspn(at, ",");
        add_candidate(c, (struct pf_str){at, len});
        at += len + (at[len] == ',' ? 1 : 0);
    }
    int32_t ms = o->connect_ms != 0 ? o->connect_ms : PF_CLIENT_CONNECT_MS;
    set_timeout(c, ms);
    while (c->peer == 0 && c->n_open > 0 && !c->timed_out) {
        int rc = pf_loop_turn(c->loop, true, err);
        if (rc != 0) {
            return rc;
        }
    }
    if (c->peer == 0) {
        return no_leader(c, ms, err);
    }
    for (uint32_t i = 0; i < c->n_candidates; i++) {
        if (c->candidate[i].is_open && i != c->at) {
            pf_peer_close(c->net, c->candidate[i].peer, false);
        }
    }
    pf_err_clear(&c->down);
    return 0;
}

int pf_client_open(const struct pf_client_options *options, struct pf_client **out,
                   struct pf_err *err)
{
    struct pf_client *c = PF_NEW(struct pf_client);
    const struct passwd *me = getpwuid(geteuid());
    (void)snprintf(c->user, sizeof c->user, "%s", me != NULL ? me->pw_name : "");
    c->self = (struct pf_link_self){
        .kind = PeerKind_OPERATOR, .version = PF_VERSION, .user = c->user};
    c->is_agent = options->is_agent;
    c->reply_ms = options->reply_ms != 0 ? options->reply_ms : PF_CLIENT_REPLY_MS;
    pf_fb_builder_init(&c->builder, NULL);
    struct pf_net_options net = {.self = &c->self, .seed = pf_random_u64()};
    int rc = read_key(c, options, err);
    rc = rc != 0 ? rc : pf_loop_create(&c->loop, err);
    rc = rc != 0 ? rc : pf_net_create(c->loop, &net, &ops, c, &c->net, err);
    if (rc == 0) {
        c->timer = pf_timer_create(c->loop, PF_PRIO_NORMAL, on_time, c);
        rc = connect_all(c, options, err);
    }
    if (rc != 0) {
        pf_client_close(c);
        return rc;
    }
    *out = c;
    return 0;
}

void pf_client_close(struct pf_client *c)
{
    if (c == NULL) {
        return;
    }
    if (c->timer != NULL) {
        pf_timer_destroy(c->timer);
    }
    pf_net_destroy(c->net);
    pf_loop_destroy(c->loop);
    pf_fb_builder_fini(&c->builder);
    pf_buf_fini(&c->reply);
    pf_key_wipe(&c->key);
    pf_free(c);
}

const char *pf_client_address(const struct pf_client *c)
{
    return c->candidate[c->at].address;
}

struct pf_fb_builder *pf_client_builder(struct pf_client *c)
{
    pf_fb_builder_reset(&c->builder);
    return &c->builder;
}

int pf_client_call(struct pf_client *c, uint8_t body_type, struct pf_ref body,
                   int32_t timeout_ms, struct pf_msg *out, struct pf_err *err)
{
    if (c->peer == 0) {
        return pf_err_set(err, PF_ECONN, "the link to %s is broken", pf_client_address(c));
    }
    struct pf_envelope e = {.request_id = ++c->request_id, .body_type = body_type};
    struct pf_msg msg = pf_envelope_finish(&c->builder, &e, body);
    c->is_answered = false;
    pf_peer_send(c->net, c->peer, pf_msg_bytes(msg));
    set_timeout(c, timeout_ms == 0 ? c->reply_ms : timeout_ms);
    /* what is sent between two turns is written at the end of the next one: that must not wait */
    bool may_wait = false;
    while (!c->is_answered && c->peer != 0 && !c->timed_out) {
        int rc = pf_loop_turn(c->loop, may_wait, err);
        may_wait = true;
        if (rc != 0) {
            return rc;
        }
    }
    if (!c->is_answered) {
        if (c->peer != 0) {
            return pf_err_set(err, PF_ETIMEOUT, "%s did not answer", pf_client_address(c));
        }
        return pf_err_set(err, c->down.code != 0 ? c->down.code : PF_ECONN, "%s",
                          c->down.code != 0 ? c->down.msg : "the link broke");
    }
    struct pf_envelope reply = pf_envelope_of(c->answer);
    int rc = pf_reply_error(&reply, err);
    if (rc == 0) {
        *out = c->answer;
    }
    return rc;
}

int pf_client_ask(struct pf_client *c, const struct Master_Call__args *call,
                  struct Master_Response *out, struct pf_err *err)
{
    struct pf_msg reply;
    struct pf_ref body = Master_Call__put(&c->builder, call);
    int rc = pf_client_call(c, Body_Master_Call, body, 0, &reply, err);
    if (rc != 0) {
        return rc;
    }
    *out = Envelope_body_as_Master_Response(Envelope__root(reply));
    return 0;
}

int pf_pages_next(struct pf_client *c, struct pf_pages *p, struct Master_Response *out,
                  struct pf_err *err)
{
    if (p->has_ended) {
        return 0;
    }
    struct pf_fb_builder *b = pf_client_builder(c);
    struct Page__args page = {.limit = PF_PAGE_MAX};
    if (p->has_begun) {
        page.after_id = pf_str(p->after_id);
    }
    struct Master_Call__args call = {.type = PF_OPT(p->type),
                                     .page = Page__put(b, &page),
                                     .framework_id = p->framework_id,
                                     .states = p->states};
    int rc = pf_client_ask(c, &call, out, err);
    if (rc != 0) {
        return rc;
    }
    struct pf_str next = Master_Response_next_after_id(*out);
    if (next.len >= sizeof p->after_id) {
        return pf_err_set(err, PF_EPROTO, "the master sent a page with an endless id");
    }
    p->has_begun = true;
    p->has_ended = next.len == 0;
    (void)snprintf(p->after_id, sizeof p->after_id, "%.*s", PF_STR_ARG(next));
    return 1;
}
