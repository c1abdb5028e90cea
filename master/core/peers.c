/* SPDX-License-Identifier: Apache-2.0 */
/* See peers.h. */
#include "master/core/peers.h"

#include <string.h>
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "master/core/agents.h"
#include "master/core/frameworks.h"
#include "master/core/out.h"
#include "master/core/seen.h"

/* --- which agents are linked, whether they register here or not --- */

static void linked_up(struct pf_master *m, struct m_peer *p)
{
    struct m_linked *l = pf_map_get_str(&m->linked, pf_str(p->hello_id));

    if (!l) {
        l = PF_NEW(struct m_linked);
        l->id = pf_strdup(p->hello_id);
        pf_map_put(&m->linked, l->id, (uint32_t)strlen(l->id), l);
    }
    l->n++;
    p->linked = l;
}

static void linked_down(struct pf_master *m, struct m_linked *l)
{
    if (--l->n == 0) {
        pf_map_del(&m->linked, l->id, (uint32_t)strlen(l->id));
        pf_free(l->id);
        pf_free(l);
    }
}

bool pf_m_agent_is_linked(const struct pf_master *m, struct pf_str id)
{
    return id.len > 0 && pf_map_get_str(&m->linked, id) != NULL;
}

/* --- peers --- */

void pf_m_peer_up(struct pf_master *m, uint64_t id, struct pf_msg hello, bool is_trusted)
{
    struct Hello h = Envelope_body_as_Hello(Envelope__root(hello));
    struct m_peer *p = PF_NEW(struct m_peer);

    p->id = id;
    p->kind = Hello_kind(h);
    p->is_trusted = is_trusted;
    pf_m_text_set(&p->hello_id, Hello_id(h));
    pf_m_text_set(&p->instance, Hello_instance(h));
    pf_m_text_set(&p->user, Hello_user(h));
    TAILQ_INIT(&p->waits);
    pf_map_put(&m->peers, &p->id, sizeof p->id, p);
    if (p->kind == PeerKind_MASTER) {
        TAILQ_INSERT_TAIL(&m->masters, p, of_masters);
    }
    if (p->kind == PeerKind_AGENT && p->is_trusted && p->hello_id[0] != '\0') {
        linked_up(m, p);
    }
}

static void peer_free(struct pf_master *m, struct m_peer *p)
{
    while (!TAILQ_EMPTY(&p->waits)) {
        pf_m_wait_free(m, TAILQ_FIRST(&p->waits));
    }
    if (p->kind == PeerKind_MASTER) {
        TAILQ_REMOVE(&m->masters, p, of_masters);
    }
    if (p->linked) {
        linked_down(m, p->linked);
    }
    pf_free(p->hello_id);
    pf_free(p->instance);
    pf_free(p->user);
    pf_free(p);
}

void pf_m_peer_down(struct pf_master *m, uint64_t id)
{
    struct m_peer *p = pf_map_del(&m->peers, &id, sizeof id);

    if (!p) {
        return;
    }
    p->is_closed = true;
    pf_m_seen_peer_down(m, p);
    if (p->agent) {
        pf_m_agent_link_down(m, p->agent);
    }
    if (p->framework) {
        pf_m_framework_link_down(m, p->framework);
    }
    peer_free(m, p);
}

struct m_peer *pf_m_peer_get(struct pf_master *m, uint64_t id)
{
    struct m_peer *p = pf_map_get_u64(&m->peers, &id);

    return p && !p->is_closed ? p : NULL;
}

void pf_m_peers_fini(struct pf_master *m)
{
    uint32_t cursor = 0;

    for (struct m_peer *p; (p = pf_map_next(&m->peers, &cursor));) {
        peer_free(m, p);
    }
    pf_map_fini(&m->peers);
    pf_map_fini(&m->linked);
}

bool pf_m_peer_may_touch(const struct m_peer *p, const struct m_framework *f)
{
    return p->is_trusted || p->framework == f ||
           (!f->is_trusted && p->user[0] != '\0' && strcmp(p->user, f->owner) == 0);
}

struct m_wait *pf_m_wait_add(struct pf_master *m, struct m_peer *p, uint64_t request_id,
                             struct m_waits *target)
{
    struct m_wait *w;

    if (m->n_waits >= PF_WATCHERS_MAX) {
        return NULL;
    }
    w = PF_NEW(struct m_wait);
    w->peer = p;
    w->request_id = request_id;
    w->target = target;
    TAILQ_INSERT_TAIL(&p->waits, w, of_peer);
    TAILQ_INSERT_TAIL(target, w, of_target);
    m->n_waits++;
    return w;
}

void pf_m_wait_free(struct pf_master *m, struct m_wait *w)
{
    TAILQ_REMOVE(&w->peer->waits, w, of_peer);
    TAILQ_REMOVE(w->target, w, of_target);
    m->n_waits--;
    for (uint32_t i = 0; i < w->n_task_ids; i++) {
        pf_free(w->task_id[i]);
    }
    pf_free(w->task_id);
    pf_free(w);
}
