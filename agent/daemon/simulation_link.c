/* SPDX-License-Identifier: Apache-2.0 */
/* Links of simulated agents to the leading master, made again after a while when they break; and
 * the one place where all of them listen. When a master goes, all its agents come back spread over
 * as much time as their number needs. */
#include "agent/daemon/simulation_internal.h"

#include <inttypes.h>

#include "common/base/alloc.h"
#include "common/link/envelope.h"
#include "schemas/proffer.h"

enum {
    RETRY_MIN_MS = 100,
    RETRY_MAX_MS = 10000,
    RETRY_DOUBLINGS = 7,
    RETURNS_PER_MS = 2, /* of agents that lost the same master */
};

static struct sim_agent *agent_of(const struct pf_simulation *s, uint64_t peer)
{
    return pf_map_get_u64(&s->by_peer, &peer);
}

/* --- to a master ------------------------------------------------------------------------------ */

static void masters_learn(struct pf_simulation *s, struct pf_str address)
{
    for (uint32_t i = 0; i < s->n_masters; i++) {
        if (pf_str_is(address, s->master[i])) {
            return;
        }
    }
    if (address.len > 0 && s->n_masters < PF_MASTERS_MAX) {
        s->master[s->n_masters++] = pf_strndup(address.at, address.len);
    }
}

void sim_link_connect(struct sim_agent *a)
{
    struct pf_simulation *s = a->sim;

    PF_ASSERT(a->peer == 0);
    if (a->core == NULL) {
        sim_agent_boot(a);
    }
    if (s->has_leader) {
        a->master_i = s->leader_i;
    }
    const struct pf_connect_options o = {.prio = PF_PRIO_NORMAL, .self = &a->self};
    s->stats.connects++;
    a->peer = pf_net_connect(s->net, s->master[a->master_i], &o);
    pf_map_put(&s->by_peer, &a->peer, sizeof a->peer, a);
}

static void link_up(struct sim_agent *a, const struct pf_peer_up *up)
{
    struct pf_simulation *s = a->sim;
    struct Welcome w = Envelope_body_as_Welcome(Envelope__root(up->greeting));
    struct pf_agent_event ev = {.type = PF_AGENT_PEER_UP, .peer = up->peer};

    for (uint32_t i = 0; i < Welcome_masters__len(w); i++) {
        masters_learn(s, Welcome_masters__at(w, i));
    }
    if (Welcome_role(w) != MasterRole_LEADER) {
        pf_peer_close(s->net, up->peer, false); /* another one, after a while */
        return;
    }
    s->has_leader = true;
    s->leader_i = a->master_i;
    a->failures = 0;
    a->is_linked = true;
    s->stats.n_linked++;
    ev.peer_up.hello = up->greeting;
    ev.peer_up.is_master = true;
    ev.peer_up.trusted = up->is_trusted;
    sim_agent_step(a, &ev);
}

static void link_retry(struct sim_agent *a)
{
    struct pf_simulation *s = a->sim;
    uint32_t doublings = a->failures < RETRY_DOUBLINGS ? a->failures : RETRY_DOUBLINGS;
    int64_t delay_ms = (int64_t)RETRY_MIN_MS << doublings;

    if (delay_ms > RETRY_MAX_MS) {
        delay_ms = RETRY_MAX_MS;
    }
    delay_ms += (int64_t)pf_rng_below(&s->rng, (uint64_t)delay_ms);
    delay_ms += (int64_t)pf_rng_below(&s->rng, s->stats.n_agents / RETURNS_PER_MS + 1);
    sim_timer_set(s, &a->link, pf_loop_now_ms(s->loop) + delay_ms);
}

static void link_down(struct sim_agent *a, const struct pf_err *why)
{
    struct pf_simulation *s = a->sim;
    struct pf_agent_event ev = {.type = PF_AGENT_PEER_DOWN, .peer = a->peer};

    (void)pf_map_del(&s->by_peer, &a->peer, sizeof a->peer); /* it is this agent */
    a->peer = 0;
    if (a->is_linked) {
        a->is_linked = false;
        s->stats.n_linked--;
        sim_agent_step(a, &ev);
    } else {
        s->has_leader = s->has_leader && s->leader_i != a->master_i;
        a->failures++;
    }
    if (why->code != PF_ECANCELED) { /* then it does not lead, or we are told to leave */
        pf_log_rated(&s->link_rate, PF_LOG_WARN, "no link to a master",
                     "master=%s agent=%s why=%s", s->master[a->master_i], a->self.id, why->msg);
    }
    if (a->failures > 0) {
        a->master_i = (a->master_i + 1) % s->n_masters;
    }
    link_retry(a);
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
    struct sim_agent *a = up->is_client ? agent_of(ctx, up->peer) : NULL;

    if (a != NULL) {
        link_up(a, up);
    }
}

static void net_message(void *ctx, uint64_t peer, struct pf_msg envelope)
{
    struct sim_agent *a = agent_of(ctx, peer);
    struct pf_agent_event ev = {.type = PF_AGENT_MESSAGE, .peer = peer};

    if (a == NULL) {
        reader_message(ctx, peer, envelope);
    } else if (a->is_linked) {
        ev.message = envelope;
        sim_agent_step(a, &ev);
    }
}

static void net_down(void *ctx, uint64_t peer, const struct pf_err *why)
{
    struct sim_agent *a = agent_of(ctx, peer);

    if (a != NULL) {
        link_down(a, why);
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
