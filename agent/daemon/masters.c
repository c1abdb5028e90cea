/* SPDX-License-Identifier: Apache-2.0 */
/* See masters.h. */
#include "agent/daemon/masters.h"

#include "common/base/alloc.h"
#include "common/base/rng.h"
#include "common/link/envelope.h"
#include "common/sys/log.h"
#include "schemas/proffer.h"

#define BACK_OFF_MIN_MS 50
#define BACK_OFF_MAX_MS 2000
#define STEADY_MS       2000 /* a link that stood so long begins again with the least back-off */

struct master {
    struct pf_masters *owner;
    char *address;
    uint64_t peer; /* 0: waits for its next try */
    char *instance; /* while up */
    bool is_up;
    bool is_duplicate; /* of one that is up: not tried until that is down */
    int64_t up_ms, back_off_ms;
    struct pf_timer *timer;
    bool was_told; /* that it cannot be reached: once until it can */
};

struct pf_masters {
    struct pf_loop *loop;
    struct pf_net *net;
    struct pf_masters_options o;
    struct pf_rng rng;
    bool has_begun;
    struct pf_ptrs all; /* struct master * */
};

static void master_try(struct master *m)
{
    struct pf_masters *ms = m->owner;

    m->peer = pf_net_connect(ms->net, m->address, &ms->o.how);
    if (ms->o.on_connect != NULL) {
        ms->o.on_connect(ms->o.ctx, m->peer);
    }
}

static void master_on_time(void *ctx)
{
    struct master *m = ctx;

    pf_timer_set(m->timer, INT64_MAX);
    if (m->peer == 0) {
        master_try(m);
    }
}

static void master_later(struct master *m)
{
    uint64_t spread = pf_rng_below(&m->owner->rng, (uint64_t)m->back_off_ms / 2 + 1);
    int64_t wait_ms = m->back_off_ms * 3 / 4 + (int64_t)spread;

    pf_timer_set(m->timer, pf_loop_now_ms(m->owner->loop) + wait_ms);
    m->back_off_ms = m->back_off_ms * 2 < BACK_OFF_MAX_MS ? m->back_off_ms * 2 : BACK_OFF_MAX_MS;
}

static bool is_known(const struct pf_masters *ms, struct pf_str address)
{
    for (uint32_t i = 0; i < ms->all.len; i++) {
        const struct master *m = ms->all.at[i];
        if (pf_str_is(address, m->address)) {
            return true;
        }
    }
    return false;
}

static void masters_add(struct pf_masters *ms, struct pf_str address)
{
    if (ms->all.len >= PF_MASTERS_MAX || address.len == 0 || address.len >= PF_ADDRESS_MAX ||
        is_known(ms, address)) {
        return;
    }
    struct master *m = PF_NEW(struct master);
    m->owner = ms;
    m->address = pf_strndup(address.at, address.len);
    m->back_off_ms = BACK_OFF_MIN_MS;
    m->timer = pf_timer_create(ms->loop, ms->o.how.prio, master_on_time, m);
    pf_ptrs_push(&ms->all, m);
    if (ms->has_begun) {
        master_try(m);
    }
}

static struct master *master_find(struct pf_masters *ms, uint64_t peer)
{
    for (uint32_t i = 0; i < ms->all.len; i++) {
        struct master *m = ms->all.at[i];
        if (m->peer == peer) {
            return m;
        }
    }
    return NULL;
}

struct pf_masters *pf_masters_create(struct pf_loop *loop, struct pf_net *net,
                                     const struct pf_masters_options *options)
{
    struct pf_masters *ms = PF_NEW(struct pf_masters);

    ms->loop = loop;
    ms->net = net;
    ms->o = *options;
    ms->o.addresses = NULL;
    pf_rng_seed(&ms->rng, options->seed);
    for (uint32_t i = 0; i < options->addresses->len; i++) {
        masters_add(ms, pf_str(options->addresses->at[i]));
    }
    return ms;
}

void pf_masters_destroy(struct pf_masters *ms)
{
    if (ms == NULL) {
        return;
    }
    for (uint32_t i = 0; i < ms->all.len; i++) {
        struct master *m = ms->all.at[i];
        pf_timer_destroy(m->timer);
        pf_free(m->instance);
        pf_free(m->address);
        pf_free(m);
    }
    pf_ptrs_fini(&ms->all);
    pf_free(ms);
}

void pf_masters_begin(struct pf_masters *ms)
{
    ms->has_begun = true;
    for (uint32_t i = 0; i < ms->all.len; i++) {
        master_try(ms->all.at[i]);
    }
}

static bool is_other_up(const struct pf_masters *ms, struct pf_str instance)
{
    for (uint32_t i = 0; i < ms->all.len; i++) {
        const struct master *m = ms->all.at[i];
        if (m->is_up && instance.len > 0 && pf_str_is(instance, m->instance)) {
            return true;
        }
    }
    return false;
}

enum pf_master_up pf_masters_on_up(struct pf_masters *ms, const struct pf_peer_up *up)
{
    struct master *m = up->is_client ? master_find(ms, up->peer) : NULL;

    if (m == NULL) {
        return PF_MASTER_NOT_OURS;
    }
    struct Welcome w = {pf_envelope_body(up->greeting, Body_Welcome)};
    struct pf_str instance = Welcome_instance(w);
    if (is_other_up(ms, instance)) {
        m->is_duplicate = true;
        pf_peer_close(ms->net, m->peer, false);
        return PF_MASTER_DUPLICATE;
    }
    m->is_up = true;
    m->was_told = false;
    m->instance = pf_strndup(instance.at, instance.len);
    m->up_ms = pf_loop_now_ms(ms->loop);
    pf_log(PF_LOG_INFO, "link to master", "address=%s", m->address);
    for (uint32_t i = 0; i < Welcome_masters__len(w); i++) {
        masters_add(ms, Welcome_masters__at(w, i));
    }
    return PF_MASTER_UP;
}

static void master_lost(struct master *m, const struct pf_err *why)
{
    struct pf_masters *ms = m->owner;

    if (pf_loop_now_ms(ms->loop) - m->up_ms >= STEADY_MS) {
        m->back_off_ms = BACK_OFF_MIN_MS;
    }
    m->is_up = false;
    PF_FREE(m->instance);
    pf_log(PF_LOG_WARN, "link to master lost", "address=%s why=%s", m->address, why->msg);
    for (uint32_t i = 0; i < ms->all.len; i++) {
        struct master *other = ms->all.at[i];
        if (other->is_duplicate && other->peer == 0) {
            master_later(other);
        }
        other->is_duplicate = false;
    }
}

bool pf_masters_on_down(struct pf_masters *ms, uint64_t peer, const struct pf_err *why,
                        bool *out_was_up)
{
    struct master *m = master_find(ms, peer);

    if (m == NULL) {
        return false;
    }
    *out_was_up = m->is_up;
    m->peer = 0;
    if (m->is_up) {
        master_lost(m, why);
    } else if (!m->was_told && !m->is_duplicate) {
        pf_log(PF_LOG_WARN, "master cannot be reached", "address=%s why=%s", m->address, why->msg);
        m->was_told = true;
    }
    if (!m->is_duplicate) {
        master_later(m);
    }
    return true;
}

uint32_t pf_masters_addresses(const struct pf_masters *ms, struct pf_str out[PF_MASTERS_MAX])
{
    for (uint32_t i = 0; i < ms->all.len; i++) {
        const struct master *m = ms->all.at[i];
        out[i] = pf_str(m->address);
    }
    return ms->all.len;
}

uint32_t pf_masters_n_up(const struct pf_masters *ms)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < ms->all.len; i++) {
        const struct master *m = ms->all.at[i];
        n += m->is_up ? 1 : 0;
    }
    return n;
}
