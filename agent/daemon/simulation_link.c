/* SPDX-License-Identifier: Apache-2.0 */
/* Links of simulated agents to all masters, as common/link/leader.h wants them; and the one place
 * where all of them listen. When a master goes, all its agents come back spread over as much time
 * as their number needs. */
#include "agent/daemon/simulation_internal.h"

#include "common/base/alloc.h"
#include "common/link/envelope.h"
#include "schemas/proffer.h"

enum { RETURNS_PER_MS = 2 }; /* of agents that lost the same master */

static struct sim_link *link_of(const struct pf_simulation *s, uint64_t peer)
{
    return pf_map_get_u64(&s->by_peer, &peer);
}

/* --- to the masters --------------------------------------------------------------------------- */

static void link_connect(struct sim_agent *a, uint32_t master)
{
    struct pf_simulation *s = a->sim;
    const struct pf_connect_options o = {.prio = PF_PRIO_NORMAL, .self = &a->self};
    struct sim_link *k = PF_NEW(struct sim_link);

    PF_ASSERT(a->link[master] == NULL);
    k->agent = a;
    k->master = master;
    k->peer = pf_net_connect(s->net, pf_leader_address(a->links, master), &o);
    a->link[master] = k;
    pf_map_put(&s->by_peer, &k->peer, sizeof k->peer, k);
    s->stats.connects++;
}

/* Carries out what the links want, and sets the time for the next look. */
static void links_work(struct sim_agent *a)
{
    struct pf_simulation *s = a->sim;
    enum pf_leader_act act;
    uint32_t i;

    while (pf_leader_next(a->links, &act, &i)) {
        if (act == PF_LEADER_CONNECT) {
            link_connect(a, i);
            continue;
        }
        a->link[i]->is_closing = true;
        pf_peer_close(s->net, a->link[i]->peer, false);
        a->link[i] = NULL;
    }
    bool is_linked = pf_leader_n_up(a->links) > 0;

    s->stats.n_linked += (is_linked ? 1u : 0) - (a->is_linked ? 1u : 0);
    a->is_linked = is_linked;
    sim_timer_set(s, &a->again, pf_leader_deadline(a->links));
}

void sim_links_due(struct sim_agent *a)
{
    struct pf_simulation *s = a->sim;
    int64_t now_ms = pf_loop_now_ms(s->loop);

    if (a->core != NULL) {
        pf_leader_tick(a->links, now_ms);
        links_work(a);
        return;
    }
    sim_agent_boot(a);
    a->links = pf_leader_create(&(struct pf_leader_options){
        .seed = pf_rng_next(&s->rng), .spread_ms = s->stats.n_agents / RETURNS_PER_MS});
    for (uint32_t i = 0; i < s->n_masters; i++) {
        pf_leader_add(a->links, pf_str(s->master[i]));
    }
    pf_leader_start(a->links, now_ms);
    links_work(a);
}

static void link_up(struct sim_link *k, const struct pf_peer_up *up)
{
    struct sim_agent *a = k->agent;
    struct Welcome w = Envelope_body_as_Welcome(Envelope__root(up->greeting));
    struct pf_agent_event ev = {.type = PF_AGENT_PEER_UP, .peer = up->peer};
    enum pf_leader_link how = pf_leader_up(a->links, k->master, w, pf_loop_now_ms(a->sim->loop));

    links_work(a);
    if (how == PF_LEADER_LINKED) {
        ev.peer_up.hello = up->greeting;
        ev.peer_up.is_master = true;
        ev.peer_up.trusted = up->is_trusted;
        sim_agent_step(a, &ev);
    }
}

static void link_message(struct sim_link *k, struct pf_msg envelope)
{
    struct sim_agent *a = k->agent;
    struct Welcome w = {pf_envelope_body(envelope, Body_Welcome)};
    struct pf_agent_event ev = {.type = PF_AGENT_MESSAGE, .peer = k->peer};

    if (!pf_leader_is_up(a->links, k->master)) {
        return;
    }
    if (w.tab.p != NULL) { /* whom to obey is for the core to say */
        (void)pf_leader_again(a->links, k->master, w, pf_loop_now_ms(a->sim->loop));
        links_work(a);
    }
    ev.message = envelope;
    sim_agent_step(a, &ev);
}

static void link_down(struct sim_link *k, const struct pf_err *why)
{
    struct sim_agent *a = k->agent;
    struct pf_simulation *s = a->sim;
    struct pf_agent_event ev = {.type = PF_AGENT_PEER_DOWN, .peer = k->peer};
    uint32_t master = k->master;
    bool is_closing = k->is_closing;

    (void)pf_map_del(&s->by_peer, &k->peer, sizeof k->peer);
    pf_free(k);
    if (is_closing) {
        return;
    }
    bool was_up = pf_leader_is_up(a->links, master);

    a->link[master] = NULL;
    pf_log_rated(&s->link_rate, PF_LOG_WARN, "no link to a master", "master=%s agent=%s why=%s",
                 pf_leader_address(a->links, master), a->self.id, why->msg);
    pf_leader_down(a->links, master, why->code, pf_loop_now_ms(s->loop));
    links_work(a);
    if (was_up) {
        sim_agent_step(a, &ev);
    }
}

/* --- from readers ----------------------------------------------------------------------------- */

static void reader_message(struct pf_simulation *s, uint64_t peer, struct pf_msg msg)
{
    struct Envelope e = Envelope__root(msg);
    uint64_t request_id = Envelope_request_id(e);

    if (Envelope_body_type(e) == Body_ReadFile && request_id != 0) {
        sim_reply_read(s, peer, request_id);
        return;
    }
    s->stats.bad_messages++;
    if (request_id != 0) {
        sim_reply(s, peer, request_id, ReplyCode_UNSUPPORTED,
                  "a simulated agent does not answer this");
    }
}

/* --- the net ---------------------------------------------------------------------------------- */

static void net_up(void *ctx, const struct pf_peer_up *up)
{
    struct sim_link *k = up->is_client ? link_of(ctx, up->peer) : NULL;

    if (k != NULL && !k->is_closing) {
        link_up(k, up);
    }
}

static void net_message(void *ctx, uint64_t peer, struct pf_msg envelope)
{
    struct sim_link *k = link_of(ctx, peer);

    if (k == NULL) {
        reader_message(ctx, peer, envelope);
    } else if (!k->is_closing) {
        link_message(k, envelope);
    }
}

static void net_down(void *ctx, uint64_t peer, const struct pf_err *why)
{
    struct sim_link *k = link_of(ctx, peer);

    if (k != NULL) {
        link_down(k, why);
    }
}

static void net_welcome(void *ctx, struct pf_link_state *out)
{
    const struct pf_simulation *s = ctx;

    out->http_address = pf_str(s->http_address);
}

int sim_net_create(struct pf_simulation *s, const struct pf_simulation_options *o,
                   struct pf_err *err)
{
    s->self = (struct pf_link_self){
        .kind = PeerKind_AGENT, .key = o->key, .cluster = s->cluster, .version = PF_VERSION};
    const struct pf_net_ops ops = {net_up, net_message, net_down, net_welcome};
    const struct pf_net_options no = {.self = &s->self, .seed = pf_rng_next(&s->rng)};
    int rc = pf_net_create(s->loop, &no, &ops, s, &s->net, err);
    if (rc == 0 && o->listen != NULL && o->listen[0] != '\0') {
        rc = pf_net_listen(s->net, o->listen, s->address, err);
    }
    return rc;
}
