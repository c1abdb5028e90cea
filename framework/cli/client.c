/* SPDX-License-Identifier: Apache-2.0 */
/* A request and its answer over a native link. */
#include "framework/cli/client_internal.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "common/link/envelope.h"
#include "common/net/keyfile.h"
#include "common/sys/clock.h"
#include "common/sys/random.h"
#include "framework/cli/reply.h"

enum { LOOK_AROUND_MS = 1000 }; /* while a reply is awaited: does another lead by now? */

static void on_time(void *ctx)
{
    (void)ctx; /* it ends the wait of a turn */
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

static int32_t or_default(int32_t ms, int32_t otherwise)
{
    return ms != 0 ? ms : otherwise;
}

static int find_first(struct pf_client *c, const char *addresses, struct pf_err *err)
{
    for (const char *at = addresses; *at != '\0';) {
        uint32_t len = (uint32_t)strcspn(at, ",");
        pf_client_add(c, (struct pf_str){at, len});
        at += len + (at[len] == ',' ? 1 : 0);
    }
    return pf_client_find(c, false, pf_now_ms() + c->leader_ms, err);
}

int pf_client_open(const struct pf_client_options *options, struct pf_client **out,
                   struct pf_err *err)
{
    struct pf_client *c = PF_NEW(struct pf_client);
    const struct passwd *me = getpwuid(geteuid());
    (void)snprintf(c->user, sizeof c->user, "%s", me != NULL ? me->pw_name : "");
    c->self =
        (struct pf_link_self){.kind = PeerKind_OPERATOR, .version = PF_VERSION, .user = c->user};
    c->is_agent = options->is_agent;
    c->reply_ms = or_default(options->reply_ms, PF_CLIENT_REPLY_MS);
    c->connect_ms = or_default(options->connect_ms, PF_CLIENT_CONNECT_MS);
    c->leader_ms = or_default(options->leader_ms, PF_CLIENT_LEADER_MS);
    c->stale_ms = options->stale_ms;
    c->retry_ms = or_default(options->retry_ms, PF_CLIENT_RETRY_MS);
    c->on_note = options->on_note;
    c->ctx = options->ctx;
    pf_fb_builder_init(&c->builder, NULL);
    struct pf_net_options net = {.self = &c->self, .seed = pf_random_u64()};
    int rc = read_key(c, options, err);
    rc = rc != 0 ? rc : pf_loop_create(&c->loop, err);
    rc = rc != 0 ? rc : pf_net_create(c->loop, &net, &pf_client_net_ops, c, &c->net, err);
    if (rc == 0) {
        c->timer = pf_timer_create(c->loop, PF_PRIO_NORMAL, on_time, c);
        rc = find_first(c, options->addresses, err);
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

uint32_t pf_client_links(const struct pf_client *c)
{
    return c->n_links;
}

bool pf_client_is_stale(const struct pf_client *c)
{
    return c->is_stale;
}

uint64_t pf_client_epoch(const struct pf_client *c)
{
    return c->epoch;
}

void pf_client_refresh(struct pf_client *c)
{
    if (c->is_stale) {
        pf_client_leave(c);
    }
}

struct pf_fb_builder *pf_client_builder(struct pf_client *c)
{
    pf_fb_builder_reset(&c->builder);
    return &c->builder;
}

static void look_around(struct pf_client *c, int64_t now_ms)
{
    for (uint32_t i = 0; i < c->n_candidates; i++) {
        if (i != c->at && !c->candidate[i].is_open) {
            c->candidate[i].retry_ms = now_ms;
        }
    }
    pf_client_connect(c, now_ms);
}

/* One request to the peer we have, and its reply in c->answer. PF_ECONN: the link broke, or another
 * leads by now. */
static int exchange(struct pf_client *c, struct pf_msg msg, int32_t timeout_ms, struct pf_err *err)
{
    uint32_t link = c->n_links, at = c->at;
    int64_t now_ms = pf_now_ms();
    int64_t end_ms = timeout_ms < 0 ? INT64_MAX : now_ms + timeout_ms;
    int64_t look_ms = c->is_agent ? INT64_MAX : now_ms + LOOK_AROUND_MS;
    c->is_answered = false;
    pf_peer_send(c->net, c->peer, pf_msg_bytes(msg));
    /* what is sent between two turns is written at the end of the next one: that must not wait */
    int rc = pf_loop_turn(c->loop, false, err);
    while (rc == 0 && !c->is_answered && c->peer != 0 && c->n_links == link) {
        now_ms = pf_now_ms();
        if (now_ms >= end_ms) {
            return pf_err_set(err, PF_ETIMEOUT, "%s did not answer", pf_client_address(c));
        }
        if (now_ms >= look_ms) {
            look_around(c, now_ms);
            look_ms = now_ms + LOOK_AROUND_MS;
        }
        rc = pf_client_turn(c, end_ms < look_ms ? end_ms : look_ms, err);
    }
    if (rc != 0 || (c->is_answered && c->n_links == link)) {
        return rc;
    }
    const struct pf_err *why = &c->candidate[at].why;
    return pf_err_set(err, PF_ECONN, "%s: %s", c->candidate[at].address,
                      why->code != 0 ? why->msg : "it does not lead any more");
}

int pf_client_await_epoch(struct pf_client *c, uint64_t epoch, int32_t timeout_ms,
                          int64_t *out_gap_ms, struct pf_err *err)
{
    int64_t now_ms = pf_now_ms(), end_ms = now_ms + timeout_ms, look_ms = now_ms;
    int rc = 0;
    /* as long as the old one does not say or show that it stopped, it leads */
    while (rc == 0 && c->peer != 0 && c->epoch <= epoch) {
        now_ms = pf_now_ms();
        if (now_ms >= end_ms) {
            return pf_err_set(err, PF_ETIMEOUT, "%s still leads", pf_client_address(c));
        }
        if (now_ms >= look_ms) {
            look_around(c, now_ms);
            look_ms = now_ms + LOOK_AROUND_MS;
        }
        rc = pf_client_turn(c, end_ms < look_ms ? end_ms : look_ms, err);
    }
    int64_t stopped_ms = pf_now_ms();
    while (rc == 0 && (c->peer == 0 || c->epoch <= epoch)) {
        pf_client_leave(c); /* it has yet to notice that it does not lead any more */
        rc = pf_client_find(c, true, end_ms, err);
    }
    if (rc == 0) {
        *out_gap_ms = pf_now_ms() - stopped_ms;
    }
    return rc;
}

/* It was not carried out: this master does not lead. */
static bool is_turned_away(const struct pf_client *c, const struct pf_envelope *reply)
{
    return !c->is_agent && (reply->code == ReplyCode_NOT_LEADER ||
                            (c->is_stale && reply->code == ReplyCode_UNAVAILABLE));
}

static int call(struct pf_client *c, uint8_t body_type, struct pf_ref body, int32_t timeout_ms,
                bool is_repeated, struct pf_msg *out, struct pf_err *err)
{
    struct pf_envelope e = {.request_id = ++c->request_id, .body_type = body_type};
    struct pf_msg msg = pf_envelope_finish(&c->builder, &e, body);
    int64_t until_ms = 0;
    for (;;) {
        struct pf_err why = {0};
        int rc = 0;
        if (c->peer == 0) {
            until_ms = until_ms != 0 ? until_ms : pf_now_ms() + c->leader_ms;
            rc = pf_client_find(c, c->n_links > 0, until_ms, &why);
        }
        if (rc != 0) {
            return pf_err_set(err, rc, "%s", why.msg);
        }
        rc = exchange(c, msg, timeout_ms == 0 ? c->reply_ms : timeout_ms, &why);
        if (rc == 0) {
            struct pf_envelope reply = pf_envelope_of(c->answer);
            if (!is_repeated || !is_turned_away(c, &reply) ||
                (until_ms != 0 && pf_now_ms() >= until_ms)) {
                rc = pf_reply_error(&reply, err);
                *out = rc == 0 ? c->answer : *out;
                return rc;
            }
            if (c->is_stale) {
                return pf_err_set(err, PF_ECONN, "no master leads; %s stands by, and does not know",
                                  pf_client_address(c));
            }
            c->candidate[c->at].is_standby = true;
            pf_client_leave(c);
            until_ms = until_ms != 0 ? until_ms : pf_now_ms() + c->leader_ms;
        } else if (rc != PF_ECONN || !is_repeated || c->is_agent) {
            return pf_err_set(err, rc, "%s", why.msg);
        }
    }
}

int pf_client_call(struct pf_client *c, uint8_t body_type, struct pf_ref body, int32_t timeout_ms,
                   struct pf_msg *out, struct pf_err *err)
{
    return call(c, body_type, body, timeout_ms, true, out, err);
}

int pf_client_call_once(struct pf_client *c, uint8_t body_type, struct pf_ref body,
                        int32_t timeout_ms, struct pf_msg *out, struct pf_err *err)
{
    return call(c, body_type, body, timeout_ms, false, out, err);
}

static void note_stale(struct pf_client *c, struct Master_Response r)
{
    struct Stale stale = Master_Response_stale(r);
    if (stale.tab.p == NULL || c->noted_stale) {
        return;
    }
    c->noted_stale = true;
    if (Stale__has_lag(stale)) {
        pf_client_note(c, "no master leads; answered by a standby, %" PRIu64 " batch%s behind",
                       Stale_lag(stale), Stale_lag(stale) == 1 ? "" : "es");
    } else {
        pf_client_note(c, "no master leads; answered by a standby, nobody knows how far behind");
    }
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
    note_stale(c, *out);
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
                                     .agent_id = p->agent_id,
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
