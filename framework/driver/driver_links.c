/* SPDX-License-Identifier: Apache-2.0 */
/* Links to the masters: one to each that we heard of, tried again with a growing pause. */
#include <string.h>
#include "common/base/alloc.h"
#include "framework/driver/driver_internal.h"

#define BIT(state) (1u << (state))

static const struct pf_sm_state link_states[LINK_STATE_COUNT] = {
    [LINK_IDLE] = {"idle", PF_SM_INITIAL, BIT(LINK_CONNECTING)},
    [LINK_CONNECTING] = {"connecting", 0, BIT(LINK_UP) | BIT(LINK_WAITING)},
    [LINK_UP] = {"up", 0, BIT(LINK_WAITING)},
    [LINK_WAITING] = {"waiting", 0, BIT(LINK_CONNECTING)},
};
static const struct pf_sm_table link_table = {"link", link_states, LINK_STATE_COUNT};

static void link_move(struct pf_driver *d, struct driver_link *l, enum driver_link_state to,
                      const char *why)
{
    pf_sm_move(&l->sm, to, l->address, why, &d->tracer);
}

static void link_connect(struct pf_driver *d, struct driver_link *l, struct pf_turn *t)
{
    struct pf_driver_connect c = {.master = (uint32_t)(l - d->link),
                                  .address = driver_dup_str(t, pf_str(l->address))};

    link_move(d, l, LINK_CONNECTING, "connect");
    d->stats.connects++;
    driver_act(t, PF_DRIVER_CONNECT, &c, sizeof c);
}

/* The first retry is made at once, the next after 50 ms, doubling to 2 s. */
static void link_wait(struct pf_driver *d, struct driver_link *l, const char *why,
                      struct pf_turn *t)
{
    int64_t pause = DRIVER_BACKOFF_MAX_MS;

    link_move(d, l, LINK_WAITING, why);
    if (l->failures == 0) {
        l->failures++;
        link_connect(d, l, t);
        return;
    }
    if (l->failures < 7) {
        pause = DRIVER_BACKOFF_MIN_MS << (l->failures - 1);
    }
    pause = pause < DRIVER_BACKOFF_MAX_MS ? pause : DRIVER_BACKOFF_MAX_MS;
    l->failures++;
    l->retry_ms = driver_later(d, pause);
}

static void link_init(struct pf_driver *d, struct driver_link *l)
{
    pf_sm_init(&l->sm, &link_table, LINK_IDLE, l->address, "known", &d->tracer);
}

void driver_links_start(struct pf_driver *d, struct pf_turn *t)
{
    for (uint32_t i = 0; i < d->n_links; i++) {
        link_init(d, &d->link[i]);
        link_connect(d, &d->link[i], t);
    }
}

static bool link_is_known(const struct pf_driver *d, struct pf_str address)
{
    for (uint32_t i = 0; i < d->n_links; i++) {
        if (pf_str_is(address, d->link[i].address)) {
            return true;
        }
    }
    return false;
}

/* Masters tell of each other; we keep the union of what we heard. */
static void links_learn(struct pf_driver *d, struct Welcome w, struct pf_turn *t)
{
    for (uint32_t i = 0; i < Welcome_masters__len(w); i++) {
        struct pf_str address = Welcome_masters__at(w, i);

        if (address.len > 0 && d->n_links < PF_MASTERS_MAX && !link_is_known(d, address)) {
            struct driver_link *l = &d->link[d->n_links++];

            l->address = pf_strndup(address.at, address.len);
            link_init(d, l);
            link_connect(d, l, t);
        }
    }
}

/* Notes what the master says of itself. False: it is not of our cluster. */
static bool link_set_role(struct pf_driver *d, struct driver_link *l, struct Welcome w)
{
    struct pf_bytes incarnation = Welcome_incarnation(w);

    if (d->has_incarnation && incarnation.len == sizeof d->incarnation &&
        memcmp(incarnation.at, d->incarnation, sizeof d->incarnation) != 0) {
        pf_err_clear(&d->last_trouble);
        (void)pf_err_set(&d->last_trouble, PF_EINVAL, "%s: the master is of another cluster",
                         l->address);
        return false;
    }
    memset(l->incarnation, 0, sizeof l->incarnation);
    l->has_incarnation = incarnation.len == sizeof l->incarnation;
    if (l->has_incarnation) {
        memcpy(l->incarnation, incarnation.at, sizeof l->incarnation);
    }
    l->role = Welcome_role(w);
    l->epoch = Welcome_epoch(w);
    if (l->epoch < d->epoch) {
        l->role = MasterRole_STANDBY; /* it led once; we follow a newer one */
    }
    return true;
}

/* Closes a link of ours; no LINK_DOWN follows. */
static void link_close(struct pf_driver *d, struct driver_link *l, const char *why,
                       struct pf_turn *t)
{
    pf_turn_close(t, l->peer);
    l->failures++; /* not at once: it would only be closed again */
    link_wait(d, l, why, t);
}

void driver_link_up(struct pf_driver *d, const struct pf_driver_event *ev, struct pf_turn *t)
{
    struct driver_link *l = &d->link[ev->master];
    struct Welcome w = Envelope_body_as_Welcome(Envelope__root(ev->up.greeting));

    PF_ASSERT(ev->master < d->n_links);
    link_move(d, l, LINK_UP, "welcome");
    l->peer = ev->up.peer;
    l->since_ms = d->now_ms;
    if (!link_set_role(d, l, w)) {
        link_close(d, l, "another cluster", t);
        return;
    }
    links_learn(d, w, t);
    d->retry_ms = INT64_MAX; /* what it refused before may be different now */
    driver_seek(d, t);
}

void driver_link_role(struct pf_driver *d, uint32_t master, struct Welcome w, struct pf_turn *t)
{
    struct driver_link *l = &d->link[master];

    if (l->sm.state != LINK_UP) {
        return;
    }
    if (!link_set_role(d, l, w)) {
        struct pf_err why = d->last_trouble;

        if (l == d->leader) {
            driver_lose(d, &why, t);
        }
        link_close(d, l, "another cluster", t);
        return;
    }
    links_learn(d, w, t);
    d->retry_ms = INT64_MAX; /* what it refused before may be different now */
    driver_seek(d, t);
}

static bool links_any_up(const struct pf_driver *d)
{
    for (uint32_t i = 0; i < d->n_links; i++) {
        if (d->link[i].sm.state == LINK_UP) {
            return true;
        }
    }
    return false;
}

void driver_link_down(struct pf_driver *d, const struct pf_driver_event *ev, struct pf_turn *t)
{
    struct driver_link *l = &d->link[ev->master];
    bool was_leader = l == d->leader;
    struct pf_err why = ev->down;

    PF_ASSERT(ev->master < d->n_links);
    pf_err_wrap(&why, "%s", l->address);
    d->last_trouble = why;
    if (l->sm.state == LINK_UP && d->now_ms - l->since_ms >= DRIVER_STEADY_MS) {
        l->failures = 0;
    }
    if (was_leader) {
        driver_lose(d, &why, t);
    }
    link_wait(d, l, "down", t);
    if ((why.code == PF_EAUTH || why.code == PF_EVERSION) && !d->was_subscribed &&
        !links_any_up(d)) {
        driver_end(d, PF_DRIVER_ERROR, &why, t); /* trying again changes nothing */
        return;
    }
    driver_seek(d, t);
}

void driver_links_due(struct pf_driver *d, int64_t now_ms, struct pf_turn *t)
{
    for (uint32_t i = 0; i < d->n_links; i++) {
        if (d->link[i].sm.state == LINK_WAITING && d->link[i].retry_ms <= now_ms) {
            link_connect(d, &d->link[i], t);
        }
    }
}

void driver_link_drop(struct pf_driver *d, struct driver_link *l, const char *why,
                      struct pf_turn *t)
{
    link_close(d, l, why, t);
}

void driver_links_close(struct pf_driver *d, struct pf_turn *t)
{
    for (uint32_t i = 0; i < d->n_links; i++) {
        if (d->link[i].sm.table && d->link[i].sm.state == LINK_UP) {
            pf_turn_close(t, d->link[i].peer);
        }
    }
}

struct driver_link *driver_links_leader(struct pf_driver *d)
{
    struct driver_link *best = NULL;

    for (uint32_t i = 0; i < d->n_links; i++) {
        struct driver_link *l = &d->link[i];

        if (l->sm.state == LINK_UP && l->role != MasterRole_STANDBY &&
            (!best || l->epoch > best->epoch)) {
            best = l;
        }
    }
    return best;
}
