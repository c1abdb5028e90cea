/* SPDX-License-Identifier: Apache-2.0 */
/* A master's links: to the other masters, from agents and frameworks. */
#include <stdio.h>
#include <string.h>
#include "common/base/alloc.h"
#include "common/link/envelope.h"
#include "tests/sim/sim_master_internal.h"

enum { TAG_PROBE = 1000 };

static bool is_master_peer(const struct master *m, uint64_t peer)
{
    for (size_t i = 0; i < PF_ARRAY_LEN(m->peer); i++) {
        if (m->peer[i].peer == peer && peer != 0) {
            return true;
        }
    }
    return false;
}

void sim_m_drop_links(struct master *m)
{
    struct sim_link *l;

    LIST_FOREACH(l, &m->n.s->links, next)
    {
        if (l->end[1] == &m->n && l->life[1] == m->n.life && !is_master_peer(m, l->peer[1])) {
            sim_close(&m->n, l->peer[1]);
        }
    }
    pf_map_fini(&m->agents);
    m->agents.seed = pf_rng_next(&m->n.s->rng);
}

/* --- other masters ---------------------------------------------------------------------------- */

void sim_m_connect_others(struct master *m)
{
    for (size_t i = 0; i < PF_ARRAY_LEN(m->other); i++) {
        struct other *o = &m->other[i];

        if (o->is_listed && o->peer == 0 && o->retry_us <= m->n.s->now_us) {
            struct pf_fb_builder b;
            struct pf_msg hello;

            pf_fb_builder_init(&b, NULL);
            sim_put_hello(&b, PeerKind_MASTER, "", m->instance, &hello);
            o->peer = sim_connect(&m->n, pf_str(o->address), pf_msg_bytes(hello), i);
            pf_fb_builder_fini(&b);
        }
    }
}

void sim_m_probe(struct master *m, struct pf_str address)
{
    struct pf_fb_builder b;
    struct pf_msg hello;

    pf_fb_builder_init(&b, NULL);
    sim_put_hello(&b, PeerKind_MASTER, "", m->instance, &hello);
    m->probe = sim_connect(&m->n, address, pf_msg_bytes(hello), TAG_PROBE);
    pf_fb_builder_fini(&b);
}

void sim_m_on_view(struct master *m)
{
    struct pf_quorum_master v[PF_MASTERS_MAX];
    uint32_t n = pf_quorum_view(m->quorum, v);
    char before[80];

    memcpy(before, m->leader, sizeof before);
    m->leader[0] = '\0';
    for (size_t i = 0; i < PF_ARRAY_LEN(m->other); i++) {
        m->other[i].is_listed = false;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (v[i].is_leading) {
            (void)snprintf(m->leader, sizeof m->leader, "%s", v[i].m->address);
        }
        struct other *free_one = NULL, *o = NULL;

        if (strcmp(v[i].m->address, m->n.address) == 0) {
            continue; /* we, or the node of our former life */
        }

        for (size_t k = 0; !v[i].is_self && k < PF_ARRAY_LEN(m->other) && o == NULL; k++) {
            if (strcmp(m->other[k].address, v[i].m->address) == 0) {
                o = &m->other[k];
            } else if (m->other[k].address[0] == '\0' && free_one == NULL) {
                free_one = &m->other[k];
            }
        }
        if (o == NULL && !v[i].is_self && free_one != NULL) {
            o = free_one;
            (void)snprintf(o->address, sizeof o->address, "%s", v[i].m->address);
        }
        if (o != NULL) {
            o->is_listed = true;
        }
    }
    sim_m_tell_view(m);
    if (strcmp(before, m->leader) != 0) {
        sim_welcome_again(&m->n);
    }
    sim_m_connect_others(m);
}

void sim_m_send(struct master *m, struct pf_str instance, struct pf_bytes message)
{
    for (size_t i = 0; i < PF_ARRAY_LEN(m->peer); i++) {
        if (m->peer[i].peer != 0 && m->peer[i].is_client &&
            (instance.at == NULL || pf_str_is(instance, m->peer[i].instance))) {
            sim_send(&m->n, m->peer[i].peer, message);
        }
    }
}

/* --- net -------------------------------------------------------------------------------------- */

static void link_event(struct master *m, enum pf_quorum_event_type type, const char *instance)
{
    struct pf_quorum_event ev = {.type = type};

    ev.master.instance = pf_str(instance);
    sim_m_quorum_step(m, &ev);
}

static void probed(struct master *m, enum pf_elect_probe result, struct pf_str instance)
{
    struct pf_quorum_event ev = {.type = PF_QUORUM_EV_PROBED};

    m->probe = 0;
    ev.probed.result = result;
    ev.probed.instance = instance;
    sim_m_quorum_step(m, &ev);
}

static struct master_peer *peer_of(struct master *m, uint64_t peer)
{
    for (size_t i = 0; i < PF_ARRAY_LEN(m->peer); i++) {
        if (m->peer[i].peer == peer) {
            return &m->peer[i];
        }
    }
    return NULL;
}

void sim_m_on_up(struct sim_node *n, uint64_t peer, bool is_client, struct pf_msg greeting,
                 uint64_t tag)
{
    struct master *m = sim_m_of(n);
    struct Envelope e = Envelope__root(greeting);
    struct Hello hello = Envelope_body_as_Hello(e);
    struct pf_str instance =
        is_client ? Welcome_instance(Envelope_body_as_Welcome(e)) : Hello_instance(hello);

    if (is_client && tag == TAG_PROBE) {
        sim_close(n, peer);
        probed(m, PF_PROBE_ANSWERED, instance);
        return;
    }
    if (is_client || Hello_kind(hello) == PeerKind_MASTER) {
        struct master_peer *p = peer_of(m, 0);

        *p = (struct master_peer){.peer = peer, .is_client = is_client};
        (void)snprintf(p->instance, sizeof p->instance, "%.*s", PF_STR_ARG(instance));
        sim_m_tell_peer(m, peer, PeerKind_MASTER, p->instance);
        if (is_client) {
            link_event(m, PF_QUORUM_EV_MASTER_UP, p->instance);
        }
        return;
    }
    struct pf_master_event ev = {.type = PF_MASTER_PEER_UP, .peer = peer};

    if (Hello_kind(hello) == PeerKind_AGENT) {
        struct sim_link *l = pf_map_get_u64(&n->s->peers, &peer);

        pf_map_put(&m->agents, &l->peer[1], sizeof l->peer[1], l);
    }
    ev.peer_up.hello = greeting;
    ev.peer_up.trusted = true;
    sim_m_core_step(m, &ev);
}

void sim_m_on_message(struct sim_node *n, uint64_t peer, struct pf_msg envelope)
{
    struct master *m = sim_m_of(n);
    enum Body body = Envelope_body_type(Envelope__root(envelope));

    if (peer == m->probe) {
        return;
    }
    if (body == Body_MasterStatus || body == Body_HandOver || body == Body_RegistryBatch) {
        struct pf_quorum_event ev = {.type = PF_QUORUM_EV_MASTER_MESSAGE};

        ev.master.message = envelope;
        sim_m_quorum_step(m, &ev);
        return;
    }
    if (body == Body_Welcome) {
        return;
    }
    struct pf_master_event ev = {.type = PF_MASTER_MESSAGE, .peer = peer, .message = envelope};

    sim_m_core_step(m, &ev);
}

void sim_m_on_down(struct sim_node *n, uint64_t peer, int code, uint64_t tag)
{
    struct master *m = sim_m_of(n);
    struct master_peer *p = peer_of(m, peer);
    bool is_client = tag != 0 || (p != NULL && p->is_client);
    char instance[PF_UUID_TEXT_LEN + 1] = "";

    if (peer == m->probe) {
        probed(m, code == PF_EREFUSED ? PF_PROBE_REFUSED : PF_PROBE_FAILED,
               (struct pf_str){NULL, 0});
        return;
    }
    for (size_t i = 0; i < PF_ARRAY_LEN(m->other); i++) {
        if (m->other[i].peer == peer) {
            m->other[i].peer = 0;
            m->other[i].retry_us = n->s->now_us + 20 * SIM_MS + (int64_t)sim_dice(n->s, 500000);
            is_client = true;
        }
    }
    (void)pf_map_del(&m->agents, &peer, sizeof peer);
    if (p != NULL) {
        memcpy(instance, p->instance, sizeof instance);
        *p = (struct master_peer){0};
    }
    if (!m->is_stopping) {
        struct pf_master_event ev = {.type = PF_MASTER_PEER_DOWN, .peer = peer};

        pf_turns_forget_peer(m->turns, peer);
        sim_m_core_step(m, &ev);
    }
    if (p != NULL && is_client) {
        link_event(m, PF_QUORUM_EV_MASTER_DOWN, instance);
    }
}

struct pf_msg sim_m_welcome(struct sim_node *n, struct pf_fb_builder *b)
{
    struct master *m = sim_m_of(n);
    struct pf_uuid incarnation = pf_quorum_incarnation(m->quorum);
    struct pf_bytes bytes = {incarnation.b, sizeof incarnation.b};
    struct Welcome__args w = {.kind = PeerKind_MASTER,
                              .instance = pf_str(m->instance),
                              .role = m->leads ? MasterRole_LEADER : MasterRole_STANDBY,
                              .masters = {n->s->masters, n->s->o.n_masters},
                              .incarnation =
                                  pf_uuid_is_nil(incarnation) ? (struct pf_bytes){NULL, 0} : bytes,
                              .epoch = pf_quorum_epoch(m->quorum),
                              .trusted = true,
                              .leader = pf_str(m->leads ? n->address : m->leader)};

    return pf_envelope_finish(b, &(struct pf_envelope){.body_type = Body_Welcome},
                              Welcome__put(b, &w));
}
