/* SPDX-License-Identifier: Apache-2.0 */
/* Links to the masters: common/link/leader.h says which and who leads, this carries it out. */
#include <string.h>
#include "framework/driver/driver_internal.h"

/* What the links want done. */
static void links_work(struct pf_driver *d, struct pf_turn *t)
{
    enum pf_leader_act act;
    uint32_t i;

    while (pf_leader_next(d->links, &act, &i)) {
        if (act == PF_LEADER_CLOSE) {
            pf_turn_close(t, d->peer[i]);
            d->peer[i] = 0;
            continue;
        }
        struct pf_driver_connect c = {
            .master = i, .address = driver_dup_str(t, pf_str(pf_leader_address(d->links, i)))};

        d->stats.connects++;
        driver_act(t, PF_DRIVER_CONNECT, &c, sizeof c);
    }
}

void driver_links_start(struct pf_driver *d, struct pf_turn *t)
{
    pf_leader_start(d->links, d->now_ms);
    links_work(d, t);
}

/* After a Welcome. */
static void link_welcomed(struct pf_driver *d, uint32_t master, enum pf_leader_link how,
                          struct pf_turn *t)
{
    if (how == PF_LEADER_FOREIGN) {
        pf_err_clear(&d->last_trouble);
        (void)pf_err_set(&d->last_trouble, PF_EINVAL, "%s: the master is of another cluster",
                         pf_leader_address(d->links, master));
    }
    if (how == PF_LEADER_LINKED) {
        d->retry_ms = INT64_MAX; /* what it refused before may be different now */
    }
    driver_seek(d, t);
    links_work(d, t);
}

void driver_link_up(struct pf_driver *d, const struct pf_driver_event *ev, struct pf_turn *t)
{
    struct Welcome w = Envelope_body_as_Welcome(Envelope__root(ev->up.greeting));

    PF_ASSERT(ev->master < pf_leader_count(d->links));
    d->peer[ev->master] = ev->up.peer;
    link_welcomed(d, ev->master, pf_leader_up(d->links, ev->master, w, d->now_ms), t);
}

void driver_link_role(struct pf_driver *d, uint32_t master, struct Welcome w, struct pf_turn *t)
{
    if (pf_leader_is_up(d->links, master)) {
        link_welcomed(d, master, pf_leader_again(d->links, master, w, d->now_ms), t);
    }
}

void driver_link_down(struct pf_driver *d, const struct pf_driver_event *ev, struct pf_turn *t)
{
    bool was_leader = (int32_t)ev->master == d->leader;
    struct pf_err why = ev->down;

    PF_ASSERT(ev->master < pf_leader_count(d->links));
    pf_err_wrap(&why, "%s", pf_leader_address(d->links, ev->master));
    d->last_trouble = why;
    d->peer[ev->master] = 0;
    pf_leader_down(d->links, ev->master, why.code, d->now_ms);
    if (was_leader) {
        driver_lose(d, &why, t);
    }
    links_work(d, t);
    if ((why.code == PF_EAUTH || why.code == PF_EVERSION) && !d->was_subscribed &&
        pf_leader_n_up(d->links) == 0) {
        driver_end(d, PF_DRIVER_ERROR, &why, t); /* trying again changes nothing */
        return;
    }
    driver_seek(d, t);
}

void driver_links_due(struct pf_driver *d, int64_t now_ms, struct pf_turn *t)
{
    pf_leader_tick(d->links, now_ms);
    links_work(d, t);
}

void driver_link_drop(struct pf_driver *d, uint32_t master, struct pf_turn *t)
{
    pf_leader_drop(d->links, master, d->now_ms);
    links_work(d, t);
}

void driver_links_close(struct pf_driver *d, struct pf_turn *t)
{
    for (uint32_t i = 0; i < pf_leader_count(d->links); i++) {
        if (pf_leader_is_up(d->links, i)) {
            pf_turn_close(t, d->peer[i]);
        }
    }
}

const char *driver_leader_address(const struct pf_driver *d)
{
    return pf_leader_address(d->links, (uint32_t)d->leader);
}
