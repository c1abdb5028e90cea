/* SPDX-License-Identifier: Apache-2.0 */
/* Taking over: one multi that only one candidate can win (DESIGN 7, rules 1, 2, 5 and 10), and how
 * its outcome is found out when the answer is lost. */
#include "common/elect/elect_internal.h"

bool elect_leader_is_own(const struct pf_elect *e)
{
    return e->leader.stands && !e->leader.is_bad && strcmp(e->leader.instance, e->instance) == 0;
}

/* --- may we, and why -------------------------------------------------------------------------- */

static bool is_able(const struct pf_elect *e)
{
    return elect_is(&e->setup, SETUP_DONE) && e->knows_epoch &&
           e->trouble[TROUBLE_EPOCH][0] == '\0' && !e->is_fatal && !e->epoch_look.blocked &&
           !e->leader_look.blocked && !e->leader.is_bad && elect_is(&e->role, ROLE_STANDBY);
}

/* /leader as we know it belongs to the epoch as we know it: else a deletion could hit its
 * successor. */
static bool is_matched(const struct pf_elect *e)
{
    return e->leader.stands && e->leader.epoch == e->epoch;
}

static enum elect_why reason(const struct pf_elect *e)
{
    bool is_other = is_matched(e) && !elect_leader_is_own(e);

    if (!is_able(e)) {
        return WHY_COUNT;
    }
    if (!e->leader.stands) {
        return WHY_VACANT;
    }
    if (is_matched(e) && elect_leader_is_own(e)) {
        return WHY_OWN;
    }
    if (is_other && e->place_id[0] != '\0' && strcmp(e->leader.place, e->place_id) == 0) {
        return WHY_PLACE;
    }
    if (is_other && e->take_epoch == e->epoch && e->now_ms < e->take_until_ms) {
        return WHY_HANDOVER;
    }
    return is_other && elect_probe_has_evidence(e) ? WHY_FAST : WHY_COUNT;
}

/* -1: none is free. */
static int take_session(const struct pf_elect *e)
{
    if (e->home >= 0 && !e->take[e->home].is_under_way) {
        return e->home;
    }
    for (uint8_t s = 0; s < PF_ZK_SESSIONS; s++) {
        if (elect_usable(e, s) && !e->take[s].is_under_way) {
            return s;
        }
    }
    return -1;
}

/* --- the multi -------------------------------------------------------------------------------- */

static void take_send(struct pf_elect *e, uint8_t session)
{
    const struct elect_attempt *a = &e->attempt;
    struct elect_take *t = &e->take[session];
    struct pf_zk_op op[4];
    uint32_t n = 0;
    uint8_t epoch[512];
    struct pf_bytes node = elect_epoch_put(
        e, e->incarnation, a->epoch, e->epoch_cluster[0] != '\0' ? e->epoch_cluster : e->cluster);

    PF_ASSERT(!t->is_under_way && node.len <= sizeof epoch);
    memcpy(epoch, node.at, node.len);
    op[n++] = (struct pf_zk_op){.type = PF_ZK_SET,
                                .path = PF_STR("/epoch"),
                                .data = {epoch, node.len},
                                .version = a->epoch_version};
    if (a->has_head) {
        op[n++] = (struct pf_zk_op){
            .type = PF_ZK_CHECK, .path = PF_STR("/registry/head"), .version = a->head_version};
    }
    if (a->has_leader) {
        op[n++] = (struct pf_zk_op){
            .type = PF_ZK_DELETE, .path = PF_STR("/leader"), .version = a->leader_version};
    }
    op[n++] = (struct pf_zk_op){.type = PF_ZK_CREATE,
                                .path = PF_STR("/leader"),
                                .data = elect_leader_put(e, a->epoch),
                                .is_ephemeral = true};
    *t = (struct elect_take){.is_under_way = true,
                             .attempt = a->number,
                             .session_id = e->session[session].id,
                             .sent_ms = e->now_ms};
    t->seq = elect_ask(e, ASK_TAKE, session, n, op);
}

static void take_begin(struct pf_elect *e, enum elect_why why, uint8_t session)
{
    static const char *const text[WHY_COUNT] = {
        [WHY_VACANT] = "nobody leads",     [WHY_OWN] = "our own node stands",
        [WHY_PLACE] = "our former self",   [WHY_HANDOVER] = "handed over",
        [WHY_FAST] = "the leader is dead",
    };
    uint64_t above = e->above > e->epoch ? e->above : e->epoch;

    e->attempt = (struct elect_attempt){.number = ++e->n_attempts,
                                        .why = why,
                                        .epoch = above + 1,
                                        .epoch_version = e->epoch_version,
                                        .has_head = e->head_version >= 0,
                                        .head_version = e->head_version,
                                        .has_leader = e->leader.stands,
                                        .leader_version = e->leader.version,
                                        .began_ms = e->now_ms};
    elect_move(e, &e->role, ROLE_TAKING, text[why]);
    take_send(e, session);
}

static void hedge(struct pf_elect *e)
{
    for (uint8_t s = 0; s < PF_ZK_SESSIONS; s++) {
        if (elect_usable(e, s) && !e->take[s].is_under_way && !e->attempt.is_hedged) {
            e->attempt.is_hedged = true;
            e->stats.hedges++;
            take_send(e, s);
        }
    }
}

/* --- how it went ------------------------------------------------------------------------------ */

static bool is_current(const struct pf_elect *e, const struct elect_take *t)
{
    return t->attempt == e->attempt.number &&
           (elect_is(&e->role, ROLE_TAKING) || elect_is(&e->role, ROLE_RESOLVING));
}

static void read_back(struct pf_elect *e)
{
    elect_look_again(&e->epoch_look, true);
    elect_look_again(&e->leader_look, true);
}

static void take_won(struct pf_elect *e, uint8_t session)
{
    const struct elect_take *t = &e->take[session];

    switch (e->attempt.why) {
    case WHY_FAST: e->stats.takeovers_fast++; break;
    case WHY_HANDOVER: e->stats.handovers++; break;
    default: e->stats.takeovers_slow++; break;
    }
    elect_clear_trouble(e, TROUBLE_TAKE);
    e->n_failed = 0;
    e->take_epoch = 0;
    e->above = 0;
    e->evidence[0] = '\0';
    elect_lead(e, session, t->session_id, t->sent_ms);
}

static void take_later(struct pf_elect *e)
{
    uint32_t n = e->n_failed++;
    int64_t gap = n < 2 ? 0 : ELECT_AGAIN_MAX_MS;

    if (n >= 2 && n < 8) {
        gap = (int64_t)ELECT_AGAIN_MS << (n - 2);
    }
    e->take_after_ms = e->now_ms + gap;
}

/* Refused as a whole: by which operation tells why. */
static void take_lost(struct pf_elect *e, const struct pf_zk_reply *r)
{
    bool is_head = e->attempt.has_head && r->failed_op == 1;

    if (r->code == PF_ZK_NO_AUTH || r->code == PF_ZK_FAILED || r->code == PF_ZK_NOT_EMPTY) {
        elect_set_trouble(e, TROUBLE_TAKE, "cannot take over the lead in ZooKeeper: %s (%s)",
                          pf_zk_code_str(r->code),
                          r->failed_op == 0 ? "changing /epoch" : "replacing /leader");
        e->n_failed = e->n_failed < 8 ? 8 : e->n_failed;
    } else if (is_head && e->head_version == e->attempt.head_version) {
        e->wants_log = true;
        e->wanted_head = e->head_version;
    }
    take_later(e);
    if (!is_head) {
        read_back(e);
    }
    elect_move(e, &e->role, ROLE_STANDBY, is_head ? "the log went on" : pf_zk_code_str(r->code));
}

static void resolve(struct pf_elect *e, const char *why)
{
    if (elect_is(&e->role, ROLE_TAKING)) {
        elect_move(e, &e->role, ROLE_RESOLVING, why);
        read_back(e);
    }
}

void elect_take_reply(struct pf_elect *e, uint64_t seq, const struct pf_zk_reply *r)
{
    struct elect_take *t = &e->take[r->session], *other = &e->take[r->session ^ 1];

    if (!t->is_under_way || t->seq != seq) {
        return;
    }
    t->is_under_way = false;
    e->stats.unknown_outcomes += r->code == PF_ZK_UNKNOWN;
    if (!is_current(e, t)) {
        read_back(e); /* of an earlier attempt: it may have changed what stands */
        return;
    }
    bool is_other_out = other->is_under_way && other->attempt == t->attempt;
    /* Asked when we had not heard yet that the session is another one: whose node is it? */
    bool is_moved = r->code == PF_ZK_OK && t->session_id != e->session[r->session].id;

    e->attempt.is_unknown = e->attempt.is_unknown || r->code == PF_ZK_UNKNOWN || is_moved;
    if (is_moved) {
        resolve(e, "by a session that we had not heard of");
    } else if (r->code == PF_ZK_OK) {
        take_won(e, r->session);
    } else if (r->code == PF_ZK_NOT_SENT && is_other_out) {
        return;
    } else if (r->code == PF_ZK_UNKNOWN || is_other_out || e->attempt.is_unknown) {
        resolve(e, pf_zk_code_str(r->code));
    } else if (elect_is(&e->role, ROLE_TAKING)) {
        if (r->code == PF_ZK_NOT_SENT) {
            elect_move(e, &e->role, ROLE_STANDBY, "no connection");
        } else {
            take_lost(e, r);
        }
    }
}

/* /epoch and /leader were read after the outcome became unknown. */
static void resolve_pump(struct pf_elect *e)
{
    if (e->epoch_look.blocked || e->leader_look.blocked) {
        return;
    }
    bool is_ours = elect_leader_is_own(e) && e->leader.epoch == e->attempt.epoch &&
                   e->epoch == e->attempt.epoch && e->trouble[TROUBLE_EPOCH][0] == '\0';

    for (uint8_t s = 0; is_ours && s < PF_ZK_SESSIONS; s++) {
        const struct elect_take *t = &e->take[s];

        if (t->attempt == e->attempt.number && t->session_id == e->session[s].id &&
            t->session_id == e->leader.owner) {
            take_won(e, s);
            return;
        }
    }
    take_later(e);
    elect_move(e, &e->role, ROLE_STANDBY, is_ours ? "by a session that ended" : "not taken over");
}

/* --- our own node, when we cannot lead -------------------------------------------------------- */

static bool must_release(const struct pf_elect *e)
{
    return is_able(e) && is_matched(e) && elect_leader_is_own(e) && e->release_seq == 0;
}

static void release(struct pf_elect *e)
{
    struct pf_zk_op op[2] = {
        {.type = PF_ZK_CHECK, .path = PF_STR("/epoch"), .version = e->epoch_version},
        {.type = PF_ZK_DELETE, .path = PF_STR("/leader"), .version = e->leader.version},
    };

    e->release_seq = elect_ask(e, ASK_RELEASE, (uint8_t)e->home, 2, op);
    e->own_since_ms = e->now_ms;
}

void elect_release_reply(struct pf_elect *e, uint64_t seq, const struct pf_zk_reply *r)
{
    (void)r; /* what stands now is read */
    if (seq == e->release_seq) {
        e->release_seq = 0;
        if (elect_is(&e->role, ROLE_STANDBY)) {
            read_back(e);
        }
    }
}

/* --- when ------------------------------------------------------------------------------------- */

static void resigned_pump(struct pf_elect *e)
{
    bool is_taken = e->leader.stands && !e->leader.is_bad && !elect_leader_is_own(e);

    if (is_taken || e->now_ms >= e->away_until_ms || e->now_ms < e->take_until_ms) {
        elect_move(e, &e->role, ROLE_STANDBY, is_taken ? "another leads" : "long enough away");
    }
}

static void standby_pump(struct pf_elect *e)
{
    enum elect_why why = reason(e);
    int session = take_session(e);

    if (why == WHY_COUNT || session < 0 || e->now_ms < e->take_after_ms) {
        return;
    }
    if (e->log_ready && !e->wants_log) {
        take_begin(e, why, (uint8_t)session);
    } else if (must_release(e) && e->home >= 0 && e->now_ms >= e->own_since_ms + ELECT_OWN_MS) {
        release(e);
    }
}

void elect_take_pump(struct pf_elect *e)
{
    if (elect_is(&e->role, ROLE_RESIGNED)) {
        resigned_pump(e);
    }
    if (elect_is(&e->role, ROLE_RESOLVING)) {
        resolve_pump(e);
    }
    if (elect_is(&e->role, ROLE_STANDBY)) {
        standby_pump(e);
    }
    if (elect_is(&e->role, ROLE_TAKING) && e->now_ms >= e->attempt.began_ms + PF_ELECT_HEDGE_MS) {
        hedge(e);
    }
}

int64_t elect_take_deadline(const struct pf_elect *e)
{
    if (elect_is(&e->role, ROLE_RESIGNED)) {
        return e->away_until_ms;
    }
    if (elect_is(&e->role, ROLE_TAKING)) {
        return e->attempt.is_hedged || take_session(e) < 0
                   ? INT64_MAX
                   : e->attempt.began_ms + PF_ELECT_HEDGE_MS;
    }
    if (!elect_is(&e->role, ROLE_STANDBY) || reason(e) == WHY_COUNT || take_session(e) < 0) {
        return INT64_MAX;
    }
    if (e->log_ready && !e->wants_log) {
        return e->take_after_ms;
    }
    if (!must_release(e) || e->home < 0) {
        return INT64_MAX;
    }
    int64_t at = e->own_since_ms + ELECT_OWN_MS;

    return at > e->take_after_ms ? at : e->take_after_ms;
}
