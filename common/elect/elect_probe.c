/* SPDX-License-Identifier: Apache-2.0 */
/* The fast path: when our link to the leader breaks, its address is probed until it is known to be
 * dead or alive, or a second passed (DESIGN 7, rules 2 and 3). */
#include "common/elect/elect_internal.h"

bool elect_probe_has_evidence(const struct pf_elect *e)
{
    return e->evidence[0] != '\0' && strcmp(e->evidence, e->leader.instance) == 0 &&
           e->now_ms < e->evidence_ms + PF_ELECT_PROBE_MS;
}

void elect_probe_alive(struct pf_elect *e)
{
    uint32_t oldest = 0;

    for (uint32_t i = 1; i < PF_ELECT_FAST_PER_MINUTE; i++) {
        oldest = e->alive_ms[i] < e->alive_ms[oldest] ? i : oldest;
    }
    e->alive_ms[oldest] = e->now_ms;
}

static bool is_limited(const struct pf_elect *e)
{
    for (uint32_t i = 0; i < PF_ELECT_FAST_PER_MINUTE; i++) {
        if (e->alive_ms[i] == 0 || e->now_ms - e->alive_ms[i] >= ELECT_MINUTE_MS) {
            return false;
        }
    }
    return true;
}

static void probe_stop(struct pf_elect *e, const char *why)
{
    if (!elect_is(&e->probe, PROBE_IDLE)) {
        e->probe_is_old = e->probe_is_out;
        elect_move(e, &e->probe, PROBE_IDLE, why);
    }
}

static void probe_send(struct pf_elect *e)
{
    struct pf_quorum_effect effect = {.type = PF_QUORUM_PROBE,
                                      .probe = {pf_str(e->leader.address)}};

    e->probe_is_out = true;
    pf_outbox_put(e->out, &effect);
}

static void probe_ask(struct pf_elect *e, const char *why)
{
    elect_move(e, &e->probe, PROBE_ASKING, why);
    if (!e->probe_is_out) {
        probe_send(e);
    } /* else the answer to an old one, of another master perhaps, comes first */
}

static void probe_begin(struct pf_elect *e)
{
    const struct elect_peer *p = elect_peer_of(e, e->leader.instance);

    if (p != NULL && p->is_known && p->m.suspect_until_wall_ms > e->wall_ms) {
        pf_outbox_say(e->out, false,
                      "link to the leader at %s broke; it was deposed while alive before, so "
                      "ZooKeeper decides",
                      e->leader.address);
        return;
    }
    if (is_limited(e)) {
        elect_say_once(e, "%d leaders were deposed while alive within a minute: ZooKeeper decides",
                       PF_ELECT_FAST_PER_MINUTE);
        return;
    }
    memcpy(e->probed, e->leader.instance, sizeof e->probed);
    e->evidence[0] = '\0';
    e->probe_began_ms = e->now_ms;
    probe_ask(e, "link broke");
}

void elect_probe_link(struct pf_elect *e, struct pf_str instance, bool is_up)
{
    bool is_leader = e->leader.stands && !e->leader.is_bad && !elect_leader_is_own(e) &&
                     pf_str_is(instance, e->leader.instance);
    bool follows = elect_is(&e->role, ROLE_STANDBY) || elect_is(&e->role, ROLE_RESIGNED);

    if (is_up) {
        if (pf_str_is(instance, e->probed)) {
            probe_stop(e, "link is back");
        }
        if (pf_str_is(instance, e->evidence)) {
            e->evidence[0] = '\0';
        }
    } else if (is_leader && follows && elect_is(&e->probe, PROBE_IDLE)) {
        probe_begin(e);
    }
}

static void is_dead(struct pf_elect *e, const char *why)
{
    memcpy(e->evidence, e->probed, sizeof e->evidence);
    e->evidence_ms = e->now_ms;
    probe_stop(e, why);
}

void elect_probe_answer(struct pf_elect *e, enum pf_elect_probe result, struct pf_str instance)
{
    bool counts = e->probe_is_out && !e->probe_is_old && elect_is(&e->probe, PROBE_ASKING);
    struct pf_uuid u;

    e->probe_is_out = e->probe_is_old = false;
    if (!counts) {
        if (elect_is(&e->probe, PROBE_ASKING)) {
            probe_send(e);
        }
        return;
    }
    if (result == PF_PROBE_REFUSED) {
        is_dead(e, "refused");
    } else if (result == PF_PROBE_ANSWERED && pf_str_is(instance, e->probed)) {
        probe_stop(e, "alive");
    } else if (result == PF_PROBE_ANSWERED && pf_uuid_parse(instance, &u)) {
        is_dead(e, "another instance answers");
    } else {
        e->probe_next_ms = e->now_ms + PF_ELECT_PROBE_EVERY_MS;
        elect_move(e, &e->probe, PROBE_PAUSE, "says nothing");
    }
}

void elect_probe_pump(struct pf_elect *e)
{
    if (elect_is(&e->probe, PROBE_IDLE)) {
        return;
    }
    if (!e->leader.stands || strcmp(e->leader.instance, e->probed) != 0) {
        probe_stop(e, "it leads no more");
    } else if (e->now_ms >= e->probe_began_ms + PF_ELECT_PROBE_MS) {
        probe_stop(e, "no evidence");
    } else if (elect_is(&e->probe, PROBE_PAUSE) && e->now_ms >= e->probe_next_ms) {
        probe_ask(e, "again");
    }
}

int64_t elect_probe_deadline(const struct pf_elect *e)
{
    int64_t end = e->probe_began_ms + PF_ELECT_PROBE_MS;

    switch (e->probe.state) {
    case PROBE_ASKING: return end;
    case PROBE_PAUSE: return elect_min(end, e->probe_next_ms);
    default: return INT64_MAX;
    }
}
