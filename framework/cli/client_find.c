/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the master that leads: all known addresses at once, again and again while none does. */
#include "framework/cli/client_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "common/link/envelope.h"
#include "common/sys/clock.h"
#include "common/sys/parse.h"

enum { NOTE_AFTER_MS = 1000 };

void pf_client_note(struct pf_client *c, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    if (c->on_note == NULL) {
        return;
    }
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    c->on_note(c->ctx, text);
}

static void candidate_connect(struct pf_client *c, struct pf_candidate *k)
{
    k->peer = pf_net_connect(c->net, k->address, NULL);
    k->is_open = true;
    k->retry_ms = INT64_MAX;
    c->n_open++;
}

void pf_client_add(struct pf_client *c, struct pf_str address)
{
    if (address.len == 0 || address.len >= PF_ADDRESS_MAX ||
        c->n_candidates == PF_CLIENT_MASTERS_MAX) {
        return;
    }
    for (uint32_t i = 0; i < c->n_candidates; i++) {
        if (pf_str_is(address, c->candidate[i].address)) {
            return;
        }
    }
    struct pf_candidate *k = &c->candidate[c->n_candidates++];
    (void)snprintf(k->address, sizeof k->address, "%.*s", PF_STR_ARG(address));
    candidate_connect(c, k);
}

void pf_client_connect(struct pf_client *c, int64_t now_ms)
{
    for (uint32_t i = 0; i < c->n_candidates; i++) {
        struct pf_candidate *k = &c->candidate[i];
        if (!k->is_open && k->retry_ms <= now_ms) {
            candidate_connect(c, k);
        }
    }
}

void pf_client_leave(struct pf_client *c)
{
    if (c->peer != 0) {
        pf_peer_close(c->net, c->peer, false);
        c->peer = 0;
    }
    c->is_stale = false;
}

static struct pf_candidate *candidate_of(struct pf_client *c, uint64_t peer)
{
    for (uint32_t i = 0; i < c->n_candidates; i++) {
        if (c->candidate[i].is_open && c->candidate[i].peer == peer) {
            return &c->candidate[i];
        }
    }
    return NULL;
}

static void take(struct pf_client *c, struct pf_candidate *k, struct Welcome w, bool leads)
{
    c->peer = k->peer;
    c->at = (uint32_t)(k - c->candidate);
    c->epoch = Welcome_epoch(w);
    c->is_stale = !leads;
    c->n_links++;
}

static void on_up(void *ctx, const struct pf_peer_up *up)
{
    struct pf_client *c = ctx;
    struct pf_candidate *k = candidate_of(c, up->peer);
    if (k == NULL) {
        return;
    }
    struct Welcome w = Envelope_body_as_Welcome(Envelope__root(up->greeting));
    bool leads = c->is_agent || Welcome_role(w) == MasterRole_LEADER ||
                 Welcome_role(w) == MasterRole_UNKNOWN;
    pf_err_clear(&k->why);
    k->is_standby = !leads;
    /* the one we talk to may hang, and not know that another leads by now */
    if (c->peer != 0 && leads && Welcome_epoch(w) > c->epoch) {
        pf_client_leave(c);
    }
    if (c->peer == 0 && (leads || c->takes_standby)) {
        take(c, k, w, leads);
        return;
    }
    k->retry_ms = pf_now_ms() + c->retry_ms;
    if (c->peer == 0) {
        pf_client_add(c, Welcome_leader(w));
        for (uint32_t i = 0; i < Welcome_masters__len(w); i++) {
            pf_client_add(c, Welcome_masters__at(w, i));
        }
    }
    pf_peer_close(c->net, up->peer, false);
}

/* The master we talk to says what it has become. */
static void on_welcome_again(struct pf_client *c, struct Welcome w)
{
    bool leads = Welcome_role(w) == MasterRole_LEADER;
    if (!leads && !c->is_stale) {
        c->candidate[c->at].is_standby = true;
        pf_client_leave(c);
    } else if (leads) {
        c->is_stale = false;
        c->epoch = Welcome_epoch(w);
    }
}

static void on_message(void *ctx, uint64_t peer, struct pf_msg envelope)
{
    struct pf_client *c = ctx;
    struct pf_envelope e = pf_envelope_of(envelope);
    if (peer == c->peer && e.body_type == Body_Welcome && !c->is_agent) {
        on_welcome_again(c, Envelope_body_as_Welcome(Envelope__root(envelope)));
        return;
    }
    if (peer == c->peer && e.is_reply && e.request_id == c->request_id && !c->is_answered) {
        pf_buf_clear(&c->reply);
        pf_buf_add(&c->reply, envelope.data, envelope.len);
        c->answer =
            (struct pf_msg){.data = c->reply.data, .len = envelope.len, .desc = envelope.desc};
        c->is_answered = true;
    }
}

static void on_down(void *ctx, uint64_t peer, const struct pf_err *why)
{
    struct pf_client *c = ctx;
    struct pf_candidate *k = candidate_of(c, peer);
    if (k == NULL) {
        return;
    }
    k->is_open = false;
    c->n_open--;
    if (peer == c->peer) {
        c->peer = 0;
        c->is_stale = false;
    }
    if (why->code != PF_ECANCELED) {
        k->is_standby = false;
        k->why = *why;
        k->retry_ms = pf_now_ms() + c->retry_ms;
    } else if (k->retry_ms == INT64_MAX) {
        k->retry_ms = pf_now_ms() + c->retry_ms;
    }
}

const struct pf_net_ops pf_client_net_ops = {
    .on_up = on_up, .on_message = on_message, .on_down = on_down};

int pf_client_turn(struct pf_client *c, int64_t at_ms, struct pf_err *err)
{
    int64_t wait_ms = at_ms == INT64_MAX ? INT64_MAX : at_ms - pf_now_ms();
    pf_timer_set(c->timer, wait_ms == INT64_MAX
                               ? INT64_MAX
                               : pf_loop_now_ms(c->loop) + (wait_ms > 0 ? wait_ms : 0));
    return pf_loop_turn(c->loop, true, err);
}

/* --- giving up ------------------------------------------------------------------------------- */

static const char *reason_of(const struct pf_candidate *k)
{
    return k->is_standby ? "standing by" : k->why.code != 0 ? k->why.msg : "no answer";
}

/* Every address once, those with the same reason together: what fits. */
static void reasons(const struct pf_client *c, struct pf_buf *out)
{
    for (uint32_t i = 0; i < c->n_candidates; i++) {
        const char *reason = reason_of(&c->candidate[i]);
        bool was_told = false;
        for (uint32_t k = 0; k < i && !was_told; k++) {
            was_told = strcmp(reason_of(&c->candidate[k]), reason) == 0;
        }
        if (was_told) {
            continue;
        }
        pf_buf_printf(out, "%s%s", out->len > 0 ? "; " : "", c->candidate[i].address);
        for (uint32_t k = i + 1; k < c->n_candidates; k++) {
            if (strcmp(reason_of(&c->candidate[k]), reason) == 0) {
                pf_buf_printf(out, ", %s", c->candidate[k].address);
            }
        }
        pf_buf_printf(out, ": %s", reason);
    }
}

static int give_up(struct pf_client *c, struct pf_err *err)
{
    struct pf_buf text = {0};
    bool any_standby = false, all_silent = true;
    int code = PF_ECONN;
    for (uint32_t i = 0; i < c->n_candidates; i++) {
        const struct pf_candidate *k = &c->candidate[i];
        any_standby |= k->is_standby;
        all_silent &= !k->is_standby && (k->why.code == 0 || k->why.code == PF_ETIMEOUT);
        /* of several reasons one that a human can act upon is the best */
        if (k->why.code == PF_EAUTH || k->why.code == PF_EVERSION) {
            code = k->why.code;
        }
    }
    reasons(c, &text);
    if (c->n_candidates == 0) {
        pf_buf_add_cstr(&text, "no address to connect to");
    } else if (any_standby) {
        code = PF_ECONN;
    } else if (all_silent) {
        code = PF_ETIMEOUT;
    }
    int rc =
        pf_err_set(err, code, "%s%s", any_standby ? "no master leads; " : "", pf_buf_cstr(&text));
    pf_buf_fini(&text);
    return rc;
}

/* --- looking --------------------------------------------------------------------------------- */

struct search {
    int64_t begin_ms, answer_until_ms, leader_until_ms, stale_at_ms;
    bool had_link;
};

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool any_stands_by(const struct pf_client *c)
{
    bool found = false;
    for (uint32_t i = 0; i < c->n_candidates; i++) {
        found |= c->candidate[i].is_standby;
    }
    return found;
}

/* Until when it makes sense to go on as things are; 0: it does not. */
static int64_t patience(const struct pf_client *c, const struct search *s)
{
    if (any_stands_by(c) || s->had_link) {
        return s->leader_until_ms;
    }
    return c->n_open > 0 ? s->answer_until_ms : 0;
}

static void wait_note(struct pf_client *c, int64_t now_ms, int64_t until_ms)
{
    char text[PF_FORMAT_DURATION_MAX];
    if (!c->noted_wait && until_ms - now_ms >= NOTE_AFTER_MS) {
        c->noted_wait = true;
        pf_format_duration((until_ms - now_ms + 999) / 1000 * 1000, text);
        pf_client_note(c, "no master leads; waiting for one, up to %s more", text);
    }
}

int pf_client_find(struct pf_client *c, bool had_link, int64_t until_ms, struct pf_err *err)
{
    int64_t now_ms = pf_now_ms();
    struct search s = {.begin_ms = now_ms,
                       .answer_until_ms = now_ms + c->connect_ms,
                       .leader_until_ms = until_ms,
                       .stale_at_ms = c->stale_ms > 0 ? now_ms + c->stale_ms : INT64_MAX,
                       .had_link = had_link && !c->is_agent};
    int rc = 0;
    c->takes_standby = false;
    for (uint32_t i = 0; i < c->n_candidates; i++) {
        c->candidate[i].retry_ms = c->candidate[i].is_open ? c->candidate[i].retry_ms : now_ms;
    }
    pf_client_connect(c, now_ms);
    while (c->peer == 0) {
        int64_t limit_ms = patience(c, &s), wake_ms = limit_ms;
        now_ms = pf_now_ms();
        if (limit_ms <= now_ms) {
            return give_up(c, err);
        }
        bool waits = any_stands_by(c) || s.had_link;
        if (waits) {
            if (now_ms - s.begin_ms >= NOTE_AFTER_MS) {
                wait_note(c, now_ms, earlier(limit_ms, s.stale_at_ms));
            }
            c->takes_standby = now_ms >= s.stale_at_ms;
            pf_client_connect(c, now_ms);
            wake_ms = earlier(wake_ms, now_ms + c->retry_ms);
        }
        rc = pf_client_turn(c, wake_ms, err);
        if (rc != 0) {
            return rc;
        }
    }
    for (uint32_t i = 0; i < c->n_candidates; i++) {
        if (c->candidate[i].is_open && i != c->at) {
            pf_peer_close(c->net, c->candidate[i].peer, false);
        }
    }
    return 0;
}
