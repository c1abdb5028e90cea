/* SPDX-License-Identifier: Apache-2.0 */
/* Leading: the lease, counted from the sending of the last fenced multi that was acknowledged, its
 * renewal, and how leading ends (DESIGN 7, rules 3 to 5). */
#include "common/elect/elect_internal.h"

static int64_t session_ms(const struct pf_elect *e)
{
    int32_t ms = e->session[e->owner].timeout_ms;

    return ms > 0 ? ms : ELECT_SESSION_MS;
}

int64_t elect_lease_end(const struct pf_elect *e)
{
    return e->lease_from_ms + session_ms(e) * 2 / 3;
}

static int64_t renew_gap(const struct pf_elect *e)
{
    int64_t gap = session_ms(e) / 6;

    return gap > 0 ? gap : 1;
}

void elect_lead(struct pf_elect *e, uint8_t session, uint64_t session_id, int64_t sent_ms)
{
    elect_move(e, &e->role, ROLE_LEADING, "took over");
    e->owner = session;
    e->owner_id = session_id;
    e->lease_from_ms = sent_ms;
    e->next_renew_ms = sent_ms + renew_gap(e);
    e->was_fenced = false;
    e->is_open = e->log_ready;
    e->epoch = e->attempt.epoch;
    e->epoch_version = e->attempt.epoch_version + 1;
    e->leader =
        (struct elect_leader){.stands = true, .epoch = e->epoch, .owner = session_id, .version = 0};
    memcpy(e->leader.instance, e->instance, sizeof e->leader.instance);
    memcpy(e->leader.place, e->place_id, sizeof e->leader.place);
    e->view_number++;
    for (uint32_t s = 0; s < PF_ZK_SESSIONS; s++) {
        e->renewal[s].seq = 0;
    }
    /* For their watches; what is under way tells of the time before. */
    elect_look_again(&e->epoch_look, true);
    elect_look_again(&e->leader_look, true);
    elect_lease_check(e);
}

void elect_step_down(struct pf_elect *e, const char *why, bool is_fenced)
{
    elect_move(e, &e->role, ROLE_STANDBY, why);
    pf_outbox_say(e->out, true, "stopped leading epoch %llu: %s", (unsigned long long)e->epoch,
                  why);
    e->is_open = false;
    e->was_fenced = is_fenced;
    e->stats.depositions += is_fenced;
    e->own_since_ms = e->now_ms;
    /* Not in the same step: the log has to hear of it first. */
    e->take_after_ms = e->now_ms + 1;
    e->view_number++;
    elect_look_again(&e->epoch_look, true);
    elect_look_again(&e->leader_look, true);
}

void elect_lease_check(struct pf_elect *e)
{
    if (!elect_is(&e->role, ROLE_LEADING) || e->now_ms < elect_lease_end(e)) {
        return;
    }
    elect_set_trouble(e, TROUBLE_LEASE,
                      "ZooKeeper has acknowledged nothing for %lld ms, so the lease ended",
                      (long long)(e->now_ms - e->lease_from_ms));
    elect_step_down(e, "its lease ended", false);
}

void elect_lease_renewed(struct pf_elect *e, int64_t sent_ms)
{
    if (!elect_is(&e->role, ROLE_LEADING) || sent_ms > e->now_ms) {
        return;
    }
    e->lease_from_ms = sent_ms > e->lease_from_ms ? sent_ms : e->lease_from_ms;
    if (sent_ms + renew_gap(e) > e->next_renew_ms) {
        e->next_renew_ms = sent_ms + renew_gap(e);
    }
}

static int renew_session(const struct pf_elect *e)
{
    uint8_t other = e->owner ^ 1;

    if (elect_usable(e, e->owner) && e->renewal[e->owner].seq == 0) {
        return e->owner;
    }
    return elect_usable(e, other) && e->renewal[other].seq == 0 ? other : -1;
}

void elect_lease_pump(struct pf_elect *e)
{
    if (!elect_is(&e->role, ROLE_LEADING) || e->now_ms < e->next_renew_ms) {
        return;
    }
    int s = renew_session(e);

    if (s < 0) {
        return;
    }
    struct pf_zk_op op[2] = {
        {.type = PF_ZK_CHECK, .path = PF_STR("/epoch"), .version = e->epoch_version},
        {.type = PF_ZK_CHECK, .path = PF_STR("/leader"), .version = e->leader.version},
    };

    e->renewal[s].sent_ms = e->now_ms;
    e->renewal[s].seq = elect_ask(e, ASK_RENEW, (uint8_t)s, 2, op);
    e->next_renew_ms = e->now_ms + renew_gap(e);
}

int64_t elect_lease_deadline(const struct pf_elect *e)
{
    if (!elect_is(&e->role, ROLE_LEADING)) {
        return INT64_MAX;
    }
    return renew_session(e) < 0 ? elect_lease_end(e)
                                : elect_min(elect_lease_end(e), e->next_renew_ms);
}

void elect_renew_reply(struct pf_elect *e, uint64_t seq, const struct pf_zk_reply *r)
{
    struct elect_renewal *n = &e->renewal[r->session];

    if (n->seq != seq) {
        return;
    }
    n->seq = 0;
    e->stats.unknown_outcomes += r->code == PF_ZK_UNKNOWN;
    if (!elect_is(&e->role, ROLE_LEADING)) {
        return;
    }
    switch (r->code) {
    case PF_ZK_OK:
        e->stats.renewals++;
        e->stats.renew_ms_last = e->now_ms - n->sent_ms;
        if (e->stats.renew_ms_last > e->stats.renew_ms_max) {
            e->stats.renew_ms_max = e->stats.renew_ms_last;
        }
        elect_lease_renewed(e, n->sent_ms);
        break;
    case PF_ZK_BAD_VERSION:
    case PF_ZK_NO_NODE: elect_step_down(e, "a renewal met another epoch", true); break;
    case PF_ZK_UNKNOWN:
    case PF_ZK_NOT_SENT: e->next_renew_ms = e->now_ms; break;
    default:
        elect_say_once(e, "ZooKeeper refuses to renew the lease: %s", pf_zk_code_str(r->code));
        break;
    }
}

void elect_lease_deposed(struct pf_elect *e)
{
    const struct elect_session *s = &e->session[e->owner];
    bool lives = e->owner_id != 0 && s->id == e->owner_id;

    if (!e->was_fenced || (lives && !elect_is(&s->sm, PF_ZK_CONNECTED))) {
        return; /* that session may have ended: asked again when it is known */
    }
    e->was_fenced = false;
    if (!lives) {
        return;
    }
    if (e->wall_ms > e->suspect_until_ms + ELECT_SUSPECT_MAX_MS || e->suspect_gap_ms == 0) {
        e->suspect_gap_ms = PF_ELECT_SUSPECT_MS;
    } else {
        e->suspect_gap_ms = elect_min(e->suspect_gap_ms * 2, ELECT_SUSPECT_MAX_MS);
    }
    e->suspect_until_ms = e->wall_ms + e->suspect_gap_ms;
    e->place_dirty = true;
    pf_outbox_say(e->out, true,
                  "deposed while alive: for %lld s nobody takes over from us just because a "
                  "connect is refused",
                  (long long)(e->suspect_gap_ms / 1000));
}
