/* SPDX-License-Identifier: Apache-2.0 */
/* See elect.h. The door, the state tables, the sessions, and what is told to people. Every step
 * ends the lease if it is over, takes the event in, and then asks for what is wanted now. */
#include "common/elect/elect.h"

#include <stdio.h>
#include "common/base/alloc.h"
#include "common/elect/elect_internal.h"

#define BIT(state) (1u << (state))
#define REFUSAL    "ZooKeeper refuses our user or password"

static const struct pf_sm_state session_states[] = {
    [PF_ZK_CONNECTING] = {"connecting", PF_SM_INITIAL,
                          BIT(PF_ZK_CONNECTED) | BIT(PF_ZK_EXPIRED) | BIT(PF_ZK_AUTH_FAILED)},
    [PF_ZK_CONNECTED] = {"connected", 0,
                         BIT(PF_ZK_CONNECTING) | BIT(PF_ZK_EXPIRED) | BIT(PF_ZK_AUTH_FAILED)},
    [PF_ZK_EXPIRED] = {"expired", 0,
                       BIT(PF_ZK_CONNECTING) | BIT(PF_ZK_CONNECTED) | BIT(PF_ZK_AUTH_FAILED)},
    [PF_ZK_AUTH_FAILED] = {"auth_failed", 0,
                           BIT(PF_ZK_CONNECTING) | BIT(PF_ZK_CONNECTED) | BIT(PF_ZK_EXPIRED)},
};
static const struct pf_sm_state setup_states[SETUP_COUNT] = {
    [SETUP_AWAY] = {"away", PF_SM_INITIAL, BIT(SETUP_TREE)},
    [SETUP_TREE] = {"tree", 0, BIT(SETUP_RIGHTS) | BIT(SETUP_WAIT) | BIT(SETUP_AWAY)},
    [SETUP_RIGHTS] = {"rights", 0, BIT(SETUP_EPOCH) | BIT(SETUP_WAIT) | BIT(SETUP_AWAY)},
    [SETUP_EPOCH] = {"epoch", 0,
                     BIT(SETUP_MAKE) | BIT(SETUP_DONE) | BIT(SETUP_WAIT) | BIT(SETUP_AWAY)},
    [SETUP_MAKE] = {"make", 0, BIT(SETUP_EPOCH) | BIT(SETUP_WAIT) | BIT(SETUP_AWAY)},
    [SETUP_WAIT] = {"wait", 0, BIT(SETUP_TREE) | BIT(SETUP_AWAY)},
    [SETUP_DONE] = {"done", 0, BIT(SETUP_WAIT)},
};
static const struct pf_sm_state place_states[PLACE_COUNT] = {
    [PLACE_ABSENT] = {"absent", PF_SM_INITIAL, BIT(PLACE_CREATING)},
    [PLACE_CREATING] = {"creating", 0,
                        BIT(PLACE_STANDING) | BIT(PLACE_LOOKING) | BIT(PLACE_ABSENT)},
    [PLACE_LOOKING] = {"looking", 0, BIT(PLACE_STANDING) | BIT(PLACE_DROPPING) | BIT(PLACE_ABSENT)},
    [PLACE_DROPPING] = {"dropping", 0, BIT(PLACE_ABSENT)},
    [PLACE_STANDING] = {"standing", 0, BIT(PLACE_ABSENT)},
};
static const struct pf_sm_state role_states[ROLE_COUNT] = {
    [ROLE_STANDBY] = {"standby", PF_SM_INITIAL, BIT(ROLE_TAKING)},
    [ROLE_TAKING] = {"taking", 0, BIT(ROLE_LEADING) | BIT(ROLE_RESOLVING) | BIT(ROLE_STANDBY)},
    [ROLE_RESOLVING] = {"resolving", 0, BIT(ROLE_LEADING) | BIT(ROLE_STANDBY)},
    [ROLE_LEADING] = {"leading", 0, BIT(ROLE_STANDBY) | BIT(ROLE_RESIGNED)},
    [ROLE_RESIGNED] = {"resigned", 0, BIT(ROLE_STANDBY)},
};
static const struct pf_sm_state probe_states[PROBE_COUNT] = {
    [PROBE_IDLE] = {"idle", PF_SM_INITIAL, BIT(PROBE_ASKING)},
    [PROBE_ASKING] = {"asking", 0, BIT(PROBE_PAUSE) | BIT(PROBE_IDLE)},
    [PROBE_PAUSE] = {"pause", 0, BIT(PROBE_ASKING) | BIT(PROBE_IDLE)},
};
const struct pf_sm_table elect_tables[TABLE_COUNT] = {
    [TABLE_SESSION] = {"zk_session", session_states, PF_ARRAY_LEN(session_states)},
    [TABLE_SETUP] = {"elect_setup", setup_states, SETUP_COUNT},
    [TABLE_PLACE] = {"elect_place", place_states, PLACE_COUNT},
    [TABLE_ROLE] = {"elect_role", role_states, ROLE_COUNT},
    [TABLE_PROBE] = {"elect_probe", probe_states, PROBE_COUNT},
};

bool elect_is(const struct pf_sm *sm, uint32_t state)
{
    return sm->state == state;
}

void elect_move(struct pf_elect *e, struct pf_sm *sm, uint32_t next, const char *why)
{
    pf_sm_move(sm, next, e->instance, why, &e->tracer);
}

int64_t elect_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* --- requests --------------------------------------------------------------------------------- */

bool elect_usable(const struct pf_elect *e, uint8_t session)
{
    const struct elect_session *s = &e->session[session];

    return elect_is(&s->sm, PF_ZK_CONNECTED) && e->now_ms >= s->pause_until_ms;
}

uint64_t elect_ask(struct pf_elect *e, enum elect_ask what, uint8_t session, uint32_t n_ops,
                   const struct pf_zk_op *op)
{
    struct pf_quorum_effect effect = {.type = PF_QUORUM_ZK};

    e->seq++;
    effect.zk.id = PF_ZK_OWNER_ELECT | (uint64_t)what << 48 | e->seq;
    effect.zk.session = session;
    effect.zk.n_ops = n_ops;
    effect.zk.op = op;
    pf_outbox_put(e->out, &effect);
    return e->seq;
}

void elect_retry_later(struct pf_elect *e)
{
    if (e->retry_ms != 0) {
        return;
    }
    e->retry_gap_ms =
        elect_min(e->retry_gap_ms == 0 ? ELECT_RETRY_MS : e->retry_gap_ms * 2, ELECT_RETRY_MAX_MS);
    e->retry_ms = e->now_ms + e->retry_gap_ms;
}

/* --- what is told to people ------------------------------------------------------------------- */

void elect_set_trouble(struct pf_elect *e, enum elect_trouble t, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(e->trouble[t], sizeof e->trouble[t], fmt, ap);
    va_end(ap);
}

void elect_clear_trouble(struct pf_elect *e, enum elect_trouble t)
{
    e->trouble[t][0] = '\0';
}

/* One outage is said once; but a refusal, and the first reason that is known, are news. */
static bool outage_is_said(const struct pf_elect *e)
{
    const char *said = e->said[TROUBLE_REACH], *now = e->trouble[TROUBLE_REACH];
    bool is_refusal = strncmp(now, REFUSAL, strlen(REFUSAL)) == 0;

    if (said[0] == '\0' || strncmp(said, REFUSAL, strlen(REFUSAL)) == 0) {
        return said[0] != '\0';
    }
    return !is_refusal && (strstr(said, "): ") != NULL || strstr(now, "): ") == NULL);
}

/* Texts come and go with every attempt; each is said once, until all is well. */
static void tell_trouble(struct pf_elect *e)
{
    for (uint32_t t = 0; t < TROUBLE_COUNT; t++) {
        if (e->trouble[t][0] == '\0' || t == TROUBLE_LEASE || t == TROUBLE_FORMAT) {
            continue; /* said when it came */
        }
        bool is_said =
            t == TROUBLE_REACH ? outage_is_said(e) : strcmp(e->said[t], e->trouble[t]) == 0;

        if (!is_said) {
            memcpy(e->said[t], e->trouble[t], sizeof e->said[t]);
            pf_outbox_say(e->out, true, "%s", e->trouble[t]);
        }
    }
    if (pf_elect_trouble(e) == NULL && elect_is(&e->setup, SETUP_DONE)) {
        if (e->said[TROUBLE_REACH][0] != '\0') {
            pf_outbox_say(e->out, false, "ZooKeeper is reached again");
        }
        memset(e->said, 0, sizeof e->said);
        e->retry_gap_ms = e->retry_ms == 0 ? 0 : e->retry_gap_ms;
    }
}

void elect_say_once(struct pf_elect *e, const char *fmt, ...)
{
    char text[ELECT_TEXT];
    uint64_t hash = UINT64_C(14695981039346656037);
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    for (const char *c = text; *c != '\0'; c++) {
        hash = (hash ^ (uint8_t)*c) * UINT64_C(1099511628211);
    }
    for (uint32_t i = 0; i < e->n_told; i++) {
        if (e->told[i] == hash) {
            return;
        }
    }
    if (e->n_told < ELECT_TOLD_MAX) {
        e->told[e->n_told++] = hash;
        pf_outbox_say(e->out, true, "%s", text);
    }
}

/* --- sessions --------------------------------------------------------------------------------- */

static void reach_trouble(struct pf_elect *e)
{
    const struct elect_session *s = &e->session[0];

    for (uint8_t i = 0; i < PF_ZK_SESSIONS; i++) {
        if (elect_is(&e->session[i].sm, PF_ZK_CONNECTED)) {
            elect_clear_trouble(e, TROUBLE_REACH);
            return;
        }
    }
    if (elect_is(&s->sm, PF_ZK_AUTH_FAILED)) {
        elect_set_trouble(e, TROUBLE_REACH, REFUSAL "%s%s", e->why[0] != '\0' ? ": " : "", e->why);
    } else {
        elect_set_trouble(e, TROUBLE_REACH, "cannot reach ZooKeeper (%s)%s%s",
                          pf_zk_state_str((enum pf_zk_state)s->sm.state),
                          e->why[0] != '\0' ? ": " : "", e->why);
    }
}

/* The session is over: its ephemeral nodes and watches are gone. */
static void session_ended(struct pf_elect *e, uint8_t i, const char *why)
{
    struct elect_session *s = &e->session[i];
    uint64_t id = s->id;

    s->id = 0;
    if (id == 0) {
        return;
    }
    e->stats.expiries++;
    if (e->place_owner == id) {
        elect_place_gone(e, why);
    }
    if (elect_is(&e->role, ROLE_LEADING) && e->owner_id == id) {
        elect_step_down(e, "its ZooKeeper session ended", false);
    }
}

static void session_move(struct pf_elect *e, uint8_t i, enum pf_zk_state state)
{
    struct pf_sm *sm = &e->session[i].sm;

    if (!elect_is(sm, state)) {
        pf_sm_move(sm, state, i == 0 ? "main" : "spare", pf_zk_state_str(state), &e->tracer);
    }
}

static void on_session(struct pf_elect *e, const struct pf_elect_event *ev)
{
    const struct pf_zk_session *n = &ev->session;
    uint32_t len = n->why.len < sizeof e->why ? n->why.len : (uint32_t)sizeof e->why - 1;

    PF_ASSERT(n->session < PF_ZK_SESSIONS);
    struct elect_session *s = &e->session[n->session];

    if (n->session == 0 && (len > 0 || n->state == PF_ZK_CONNECTED)) {
        (void)snprintf(e->why, sizeof e->why, "%.*s", (int)len, len > 0 ? n->why.at : "");
    }
    session_move(e, n->session, n->state);
    switch (n->state) {
    case PF_ZK_CONNECTED:
        if (s->id != n->session_id) {
            session_ended(e, n->session, "another session");
        }
        s->id = n->session_id;
        s->timeout_ms = n->timeout_ms;
        s->pause_until_ms = 0;
        if (e->home == n->session) {
            e->home = -1; /* it reads anew */
        }
        break;
    case PF_ZK_CONNECTING: elect_setup_lost(e, n->session); break;
    case PF_ZK_EXPIRED:
    case PF_ZK_AUTH_FAILED:
        elect_setup_lost(e, n->session);
        session_ended(e, n->session, pf_zk_state_str(n->state));
        break;
    }
    elect_read_session(e, n->session);
    reach_trouble(e);
}

/* Which session reads: the main one while it can. Another than before knows of no watches. */
static void choose_home(struct pf_elect *e)
{
    int home = elect_usable(e, 0) ? 0 : elect_usable(e, 1) ? 1 : -1;

    if (home != e->home && home >= 0) {
        elect_read_all(e, true);
    }
    e->home = home;
}

/* --- events ----------------------------------------------------------------------------------- */

static void on_reply(struct pf_elect *e, const struct pf_elect_event *ev)
{
    static void (*const take[])(struct pf_elect *, uint64_t, const struct pf_zk_reply *) = {
        [ASK_SETUP] = elect_setup_reply,     [ASK_EPOCH] = elect_epoch_reply,
        [ASK_LEADER] = elect_leader_reply,   [ASK_MASTERS] = elect_masters_reply,
        [ASK_MASTER] = elect_master_reply,   [ASK_PLACE] = elect_place_reply,
        [ASK_TAKE] = elect_take_reply,       [ASK_PLACE_SET] = elect_place_set_reply,
        [ASK_RELEASE] = elect_release_reply, [ASK_RENEW] = elect_renew_reply,
    };
    const struct pf_zk_reply *r = ev->reply;
    uint64_t what = r->id >> 48 & 0xff, seq = r->id & ((UINT64_C(1) << 48) - 1);

    PF_ASSERT(r->session < PF_ZK_SESSIONS);
    if (r->code == PF_ZK_UNKNOWN || r->code == PF_ZK_NOT_SENT) {
        e->session[r->session].pause_until_ms = e->now_ms + ELECT_PAUSE_MS;
    }
    if (what < PF_ARRAY_LEN(take) && take[what] != NULL) {
        take[what](e, seq, r);
    }
}

static void on_applied(struct pf_elect *e, const struct pf_elect_event *ev)
{
    e->log_ready = ev->applied.is_ready;
    if (!e->log_ready) {
        return;
    }
    e->head_version = ev->applied.head_version;
    e->format = ev->applied.format;
    if (e->wants_log && e->head_version == e->wanted_head) {
        e->take_after_ms = e->now_ms + ELECT_AGAIN_MS; /* the servers did not agree yet */
    }
    e->wants_log = false;
    if (elect_is(&e->role, ROLE_LEADING) && !e->is_open) {
        e->is_open = true;
        e->view_number++;
    }
    if (e->format != 0 && (e->format < e->format_min || e->format > e->format_max) &&
        !e->is_fatal) {
        struct pf_quorum_effect effect = {.type = PF_QUORUM_FATAL};

        e->is_fatal = true;
        elect_set_trouble(e, TROUBLE_FORMAT,
                          "the registry has format %u, this binary (version %s) reads and writes "
                          "formats %u to %u: use a matching one",
                          e->format, e->version, e->format_min, e->format_max);
        effect.say.is_warning = true;
        effect.say.text = pf_str(e->trouble[TROUBLE_FORMAT]);
        pf_outbox_put(e->out, &effect);
    }
}

static void on_resign(struct pf_elect *e, const struct pf_elect_event *ev)
{
    char why[128];

    if (!elect_is(&e->role, ROLE_LEADING)) {
        return;
    }
    (void)snprintf(why, sizeof why, "%.*s", PF_STR_ARG(ev->resign.why));
    elect_move(e, &e->role, ROLE_RESIGNED, why);
    e->is_open = false;
    e->was_fenced = false;
    e->away_until_ms = e->now_ms + ELECT_AWAY_MS;
    e->take_until_ms = 0;
    e->view_number++;
}

static void on_take(struct pf_elect *e, const struct pf_elect_event *ev)
{
    if (elect_is(&e->role, ROLE_LEADING) || ev->take.epoch < e->epoch) {
        return;
    }
    e->take_epoch = ev->take.epoch;
    e->take_until_ms = e->now_ms + ELECT_AWAY_MS;
    if (e->take_epoch != e->epoch || !e->leader.stands) {
        elect_look_again(&e->epoch_look, true);
        elect_look_again(&e->leader_look, true);
    }
}

static void on_epoch_seen(struct pf_elect *e, const struct pf_elect_event *ev)
{
    uint32_t oldest = 0;

    if (!elect_is(&e->role, ROLE_LEADING) || ev->epoch_seen.epoch <= e->epoch) {
        return;
    }
    if (ev->epoch_seen.epoch >= ELECT_EPOCH_MAX) {
        elect_say_once(e, "an agent says that it obeys epoch %llu: that is out of range",
                       (unsigned long long)ev->epoch_seen.epoch);
        return;
    }
    for (uint32_t i = 1; i < PF_ELECT_EPOCH_RETRIES; i++) {
        oldest = e->retakes_ms[i] < e->retakes_ms[oldest] ? i : oldest;
    }
    if (e->retakes_ms[oldest] != 0 && e->now_ms - e->retakes_ms[oldest] < ELECT_MINUTE_MS) {
        elect_say_once(e, "an agent obeys epoch %llu, higher than ours: not again within a minute",
                       (unsigned long long)ev->epoch_seen.epoch);
        return;
    }
    e->retakes_ms[oldest] = e->now_ms;
    e->above = ev->epoch_seen.epoch;
    elect_step_down(e, "an agent obeys a higher epoch", false);
}

static void dispatch(struct pf_elect *e, const struct pf_elect_event *ev)
{
    switch (ev->type) {
    case PF_ELECT_SESSION: on_session(e, ev); break;
    case PF_ELECT_REPLY: on_reply(e, ev); break;
    case PF_ELECT_WATCH: elect_read_watch(e, &ev->watch); break;
    case PF_ELECT_LINK: elect_probe_link(e, ev->link.instance, ev->link.is_up); break;
    case PF_ELECT_PROBED: elect_probe_answer(e, ev->probed.result, ev->probed.instance); break;
    case PF_ELECT_APPLIED: on_applied(e, ev); break;
    case PF_ELECT_RENEWED: elect_lease_renewed(e, ev->renewed.sent_ms); break;
    case PF_ELECT_FENCED:
        if (elect_is(&e->role, ROLE_LEADING)) {
            elect_step_down(e, "a write met another epoch", true);
        }
        break;
    case PF_ELECT_RESIGN: on_resign(e, ev); break;
    case PF_ELECT_TAKE: on_take(e, ev); break;
    case PF_ELECT_EPOCH_SEEN: on_epoch_seen(e, ev); break;
    case PF_ELECT_TICK: break;
    }
}

void pf_elect_step(struct pf_elect *e, const struct pf_elect_event *ev)
{
    e->now_ms = ev->boot_ms > e->now_ms ? ev->boot_ms : e->now_ms;
    e->wall_ms = ev->wall_ms;
    elect_lease_check(e);
    dispatch(e, ev);
    choose_home(e);
    elect_setup_pump(e);
    elect_probe_pump(e);
    elect_take_pump(e);
    elect_lease_pump(e);
    elect_read_pump(e);
    elect_place_pump(e);
    tell_trouble(e);
}

/* --- life ------------------------------------------------------------------------------------- */

static char *keep(const char *s)
{
    return pf_strdup(s != NULL ? s : "");
}

struct pf_elect *pf_elect_create(const struct pf_elect_options *options, struct pf_outbox *out)
{
    struct pf_elect *e = PF_NEW(struct pf_elect);
    struct pf_sm *sm[] = {&e->setup, &e->place, &e->role, &e->probe};
    static const enum elect_table table[] = {TABLE_SETUP, TABLE_PLACE, TABLE_ROLE, TABLE_PROBE};
    struct pf_uuid u;

    PF_ASSERT(pf_uuid_parse(pf_str(options->instance), &u));
    e->out = out;
    e->tracer = options->tracer;
    pf_rng_seed(&e->rng, options->seed);
    pf_fb_builder_init(&e->builder, NULL);
    e->cluster = keep(options->cluster);
    e->address = keep(options->address);
    e->http_address = keep(options->http_address);
    e->hostname = keep(options->hostname);
    e->version = keep(options->version);
    memcpy(e->instance, options->instance, PF_UUID_TEXT_LEN + 1);
    if (options->place != NULL && pf_uuid_parse(pf_str(options->place), &u)) {
        memcpy(e->place_id, options->place, PF_UUID_TEXT_LEN + 1);
    }
    e->pid = options->pid;
    e->started_wall_ms = options->started_wall_ms;
    e->format_min = options->format_min;
    e->format_max = options->format_max;
    e->home = -1;
    e->head_version = -1;
    for (uint32_t i = 0; i < PF_ZK_SESSIONS; i++) {
        pf_sm_init(&e->session[i].sm, &elect_tables[TABLE_SESSION], PF_ZK_CONNECTING,
                   i == 0 ? "main" : "spare", "start", &e->tracer);
    }
    for (uint32_t i = 0; i < PF_ARRAY_LEN(sm); i++) {
        pf_sm_init(sm[i], &elect_tables[table[i]], 0, e->instance, "start", &e->tracer);
    }
    reach_trouble(e);
    return e;
}

void pf_elect_destroy(struct pf_elect *e)
{
    if (e == NULL) {
        return;
    }
    pf_fb_builder_fini(&e->builder);
    pf_free(e->cluster);
    pf_free(e->address);
    pf_free(e->http_address);
    pf_free(e->hostname);
    pf_free(e->version);
    pf_free(e);
}

int64_t pf_elect_deadline(const struct pf_elect *e)
{
    int64_t at = elect_min(elect_take_deadline(e), elect_lease_deadline(e));

    at = elect_min(at, elect_min(elect_probe_deadline(e), elect_read_deadline(e)));
    for (uint32_t i = 0; i < PF_ZK_SESSIONS; i++) {
        const struct elect_session *s = &e->session[i];

        if (elect_is(&s->sm, PF_ZK_CONNECTED) && s->pause_until_ms > e->now_ms) {
            at = elect_min(at, s->pause_until_ms);
        }
    }
    if (e->home >= 0) {
        at = e->retry_ms != 0 ? elect_min(at, e->retry_ms) : at;
        at = e->place_after_ms > e->now_ms ? elect_min(at, e->place_after_ms) : at;
    }
    return at;
}

void pf_elect_check(const struct pf_elect *e)
{
    bool leads = elect_is(&e->role, ROLE_LEADING);
    uint32_t n_out = 0;

    PF_ASSERT(!leads || (e->knows_epoch && e->epoch > 0 && e->owner_id != 0));
    PF_ASSERT(!leads || e->session[e->owner].id == e->owner_id);
    PF_ASSERT(!leads || e->now_ms < elect_lease_end(e));
    PF_ASSERT(!leads || (e->leader.stands && elect_leader_is_own(e)));
    PF_ASSERT(!e->is_open || leads);
    for (uint32_t i = 0; i < PF_ZK_SESSIONS; i++) {
        const struct elect_take *t = &e->take[i];

        n_out += t->is_under_way && t->attempt == e->attempt.number;
        PF_ASSERT(!t->is_under_way || (t->attempt <= e->attempt.number && t->session_id != 0));
        PF_ASSERT(!elect_is(&e->session[i].sm, PF_ZK_CONNECTED) || e->session[i].id != 0);
        PF_ASSERT(e->renewal[i].seq <= e->seq);
    }
    PF_ASSERT(!elect_is(&e->role, ROLE_TAKING) || n_out > 0);
    PF_ASSERT(e->home < 0 || elect_usable(e, (uint8_t)e->home));
    PF_ASSERT(e->n_peers <= PF_MASTERS_MAX && e->n_view <= e->n_peers);
    for (uint32_t i = 1; i < e->n_view; i++) {
        PF_ASSERT(strcmp(e->view[i - 1].instance, e->view[i].instance) < 0);
    }
    PF_ASSERT(!elect_is(&e->place, PLACE_STANDING) || e->place_owner != 0);
    PF_ASSERT(!elect_is(&e->setup, SETUP_DONE) || e->knows_epoch);
    PF_ASSERT(e->n_told <= ELECT_TOLD_MAX);
}

/* --- what is known ---------------------------------------------------------------------------- */

bool pf_elect_is_leading(const struct pf_elect *e)
{
    return elect_is(&e->role, ROLE_LEADING) && e->is_open;
}

bool pf_elect_may_act(const struct pf_elect *e, int64_t boot_ms)
{
    return pf_elect_is_leading(e) && boot_ms < elect_lease_end(e);
}

int64_t pf_elect_lease_ms(const struct pf_elect *e)
{
    return elect_lease_end(e);
}

bool pf_elect_wants_log(const struct pf_elect *e)
{
    return e->wants_log;
}

uint64_t pf_elect_epoch(const struct pf_elect *e)
{
    return e->epoch;
}

struct pf_uuid pf_elect_incarnation(const struct pf_elect *e)
{
    return e->incarnation;
}

int32_t pf_elect_epoch_version(const struct pf_elect *e)
{
    return e->epoch_version;
}

uint8_t pf_elect_session(const struct pf_elect *e)
{
    return e->owner;
}

const char *pf_elect_leader(const struct pf_elect *e)
{
    bool is_known = e->leader.stands && !e->leader.is_bad && e->trouble[TROUBLE_EPOCH][0] == '\0';

    /* Our own node leads nobody while we do not. */
    return is_known && (pf_elect_is_leading(e) || !elect_leader_is_own(e)) ? e->leader.instance
                                                                           : "";
}

uint32_t pf_elect_masters(const struct pf_elect *e, const struct pf_elect_master **out)
{
    *out = e->view;
    return e->n_view;
}

uint64_t pf_elect_view_number(const struct pf_elect *e)
{
    return e->view_number;
}

const char *pf_elect_trouble(const struct pf_elect *e)
{
    for (uint32_t t = 0; t < TROUBLE_COUNT; t++) {
        if (e->trouble[t][0] != '\0') {
            return e->trouble[t];
        }
    }
    return NULL;
}

void pf_elect_stats(const struct pf_elect *e, struct pf_elect_stats *out)
{
    *out = e->stats;
}
