/* SPDX-License-Identifier: Apache-2.0 */
/* See masters.h. Which links there shall be is for common/link/leader.h to say; here it is done. */
#include "agent/daemon/masters.h"

#include "common/base/alloc.h"
#include "common/link/envelope.h"
#include "common/link/leader.h"
#include "common/sys/log.h"
#include "schemas/proffer.h"

#define CLOSING_MAX 64

struct pf_masters {
    struct pf_loop *loop;
    struct pf_net *net;
    struct pf_masters_options o;
    struct pf_leader *links;
    struct pf_timer *timer;
    uint64_t peer[PF_MASTERS_MAX]; /* connecting or up, 0 = none */
    bool was_told[PF_MASTERS_MAX]; /* that it cannot be reached: once until it can */
    uint64_t closing[CLOSING_MAX]; /* closed by us: their end is nobody's business */
    uint32_t n_closing;
};

static int64_t now(const struct pf_masters *ms)
{
    return pf_loop_now_ms(ms->loop);
}

/* Carries out what the links want, and sets the time for the next look. */
static void masters_work(struct pf_masters *ms)
{
    enum pf_leader_act act;
    uint32_t i;

    while (pf_leader_next(ms->links, &act, &i)) {
        if (act == PF_LEADER_CLOSE) {
            pf_peer_close(ms->net, ms->peer[i], false);
            if (ms->n_closing < CLOSING_MAX) {
                ms->closing[ms->n_closing++] = ms->peer[i];
            }
            ms->peer[i] = 0;
            continue;
        }
        ms->peer[i] = pf_net_connect(ms->net, pf_leader_address(ms->links, i), &ms->o.how);
        if (ms->o.on_connect != NULL) {
            ms->o.on_connect(ms->o.ctx, ms->peer[i]);
        }
    }
    pf_timer_set(ms->timer, pf_leader_deadline(ms->links));
}

static void masters_on_time(void *ctx)
{
    struct pf_masters *ms = ctx;

    pf_leader_tick(ms->links, now(ms));
    masters_work(ms);
}

struct pf_masters *pf_masters_create(struct pf_loop *loop, struct pf_net *net,
                                     const struct pf_masters_options *options)
{
    struct pf_masters *ms = PF_NEW(struct pf_masters);

    ms->loop = loop;
    ms->net = net;
    ms->o = *options;
    ms->o.addresses = NULL;
    ms->links = pf_leader_create(&(struct pf_leader_options){.seed = options->seed});
    ms->timer = pf_timer_create(loop, options->how.prio, masters_on_time, ms);
    for (uint32_t i = 0; i < options->addresses->len; i++) {
        pf_leader_add(ms->links, pf_str(options->addresses->at[i]));
    }
    return ms;
}

void pf_masters_destroy(struct pf_masters *ms)
{
    if (ms == NULL) {
        return;
    }
    pf_timer_destroy(ms->timer);
    pf_leader_destroy(ms->links);
    pf_free(ms);
}

void pf_masters_begin(struct pf_masters *ms)
{
    pf_leader_start(ms->links, now(ms));
    masters_work(ms);
}

static bool master_find(const struct pf_masters *ms, uint64_t peer, uint32_t *out)
{
    for (uint32_t i = 0; i < PF_MASTERS_MAX && peer != 0; i++) {
        if (ms->peer[i] == peer) {
            *out = i;
            return true;
        }
    }
    return false;
}

enum pf_master_up pf_masters_on_up(struct pf_masters *ms, const struct pf_peer_up *up)
{
    uint32_t i;

    if (!up->is_client || !master_find(ms, up->peer, &i)) {
        return PF_MASTER_NOT_OURS;
    }
    struct Welcome w = {pf_envelope_body(up->greeting, Body_Welcome)};
    enum pf_leader_link how = pf_leader_up(ms->links, i, w, now(ms));

    if (how == PF_LEADER_LINKED) {
        ms->was_told[i] = false;
        pf_log(PF_LOG_INFO, "link to master", "address=%s", pf_leader_address(ms->links, i));
    }
    masters_work(ms);
    return how == PF_LEADER_LINKED ? PF_MASTER_UP : PF_MASTER_DUPLICATE;
}

void pf_masters_on_message(struct pf_masters *ms, uint64_t peer, struct pf_msg envelope)
{
    struct Welcome w = {pf_envelope_body(envelope, Body_Welcome)};
    uint32_t i;

    if (w.tab.p != NULL && master_find(ms, peer, &i)) {
        (void)pf_leader_again(ms->links, i, w, now(ms)); /* whom to obey is for the core to say */
        masters_work(ms);
    }
}

/* An end that nobody needs to hear of. */
static bool closing_take(struct pf_masters *ms, uint64_t peer)
{
    for (uint32_t i = 0; i < ms->n_closing; i++) {
        if (ms->closing[i] == peer) {
            ms->closing[i] = ms->closing[--ms->n_closing];
            return true;
        }
    }
    return false;
}

bool pf_masters_on_down(struct pf_masters *ms, uint64_t peer, const struct pf_err *why,
                        bool *out_was_up)
{
    uint32_t i;

    if (!master_find(ms, peer, &i)) {
        *out_was_up = !closing_take(ms, peer);
        return !*out_was_up;
    }
    const char *address = pf_leader_address(ms->links, i);

    *out_was_up = pf_leader_is_up(ms->links, i);
    ms->peer[i] = 0;
    if (*out_was_up) {
        pf_log(PF_LOG_WARN, "link to master lost", "address=%s why=%s", address, why->msg);
    } else if (!ms->was_told[i]) {
        pf_log(PF_LOG_WARN, "master cannot be reached", "address=%s why=%s", address, why->msg);
        ms->was_told[i] = true;
    }
    pf_leader_down(ms->links, i, why->code, now(ms));
    masters_work(ms);
    return true;
}

uint32_t pf_masters_addresses(const struct pf_masters *ms, struct pf_str out[PF_MASTERS_MAX])
{
    uint32_t n = pf_leader_count(ms->links);

    for (uint32_t i = 0; i < n; i++) {
        out[i] = pf_str(pf_leader_address(ms->links, i));
    }
    return n;
}

uint32_t pf_masters_n_up(const struct pf_masters *ms)
{
    return pf_leader_n_up(ms->links);
}
