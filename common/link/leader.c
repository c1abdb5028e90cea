/* SPDX-License-Identifier: Apache-2.0 */
/* See leader.h. */
#include "common/link/leader.h"

#include <string.h>
#include "common/base/alloc.h"
#include "common/base/err.h"
#include "common/base/rng.h"
#include "common/link/backoff.h"

#define STEADY_MS   2000 /* a link that stood so long is tried again at once */
#define ADDRESS_MAX 300  /* a host's name and a port */

enum link_state { LINK_IDLE, LINK_CONNECTING, LINK_UP, LINK_WAITING, LINK_PARKED };

#define MAY(state) (1u << (state))

static const struct pf_sm_state link_states[] = {
    [LINK_IDLE] = {"idle", PF_SM_INITIAL, MAY(LINK_CONNECTING)},
    [LINK_CONNECTING] = {"connecting", 0, MAY(LINK_UP) | MAY(LINK_WAITING) | MAY(LINK_PARKED)},
    [LINK_UP] = {"up", 0, MAY(LINK_WAITING)},
    [LINK_WAITING] = {"waiting", 0, MAY(LINK_CONNECTING)},
    [LINK_PARKED] = {"parked", 0, MAY(LINK_CONNECTING)},
};
static const struct pf_sm_table link_table = {"link", link_states, PF_ARRAY_LEN(link_states)};

/* To one address. */
struct link {
    char *address;
    char *instance; /* UP and PARKED; NULL: it says none */
    struct pf_sm sm;
    struct pf_backoff backoff;
    bool wants_connect, wants_close;
    enum MasterRole role; /* UP, and what follows */
    struct pf_uuid incarnation;
    uint64_t epoch;
    int64_t since_ms; /* UP */
    int64_t retry_ms; /* WAITING */
    int why;          /* it is not UP, PF_E* */
};

struct pf_leader {
    struct pf_rng dice;
    int64_t spread_ms;
    struct pf_sm_tracer tracer;
    bool has_begun;
    struct link *link;
    uint32_t n_links;
    struct pf_uuid incarnation; /* accepted; nil = any */
    uint64_t epoch;
    int32_t accepted; /* last; -1 = none */
    int64_t none_since_ms;
};

static void link_move(struct pf_leader *l, struct link *k, enum link_state to, const char *why)
{
    pf_sm_move(&k->sm, to, k->address, why, &l->tracer);
}

static void link_connect(struct pf_leader *l, struct link *k, const char *why)
{
    link_move(l, k, LINK_CONNECTING, why);
    k->wants_connect = true;
}

static void link_wait_ms(struct pf_leader *l, struct link *k, int64_t ms, int64_t now_ms)
{
    if (l->spread_ms > 0) {
        ms += (int64_t)pf_rng_below(&l->dice, (uint64_t)l->spread_ms);
    }
    k->retry_ms = now_ms + ms;
    if (ms == 0) {
        link_connect(l, k, "at once");
    }
}

static void set_none_since(struct pf_leader *l, int64_t now_ms)
{
    if (pf_leader_index(l) >= 0) {
        l->none_since_ms = INT64_MAX;
    } else if (l->none_since_ms == INT64_MAX) {
        l->none_since_ms = now_ms;
    }
}

struct pf_leader *pf_leader_create(const struct pf_leader_options *options)
{
    struct pf_leader *l = PF_NEW(struct pf_leader);

    pf_rng_seed(&l->dice, options->seed);
    l->spread_ms = options->spread_ms;
    l->tracer = options->tracer;
    l->none_since_ms = INT64_MAX;
    l->accepted = -1;
    return l;
}

void pf_leader_destroy(struct pf_leader *l)
{
    if (l == NULL) {
        return;
    }
    for (uint32_t i = 0; i < l->n_links; i++) {
        pf_free(l->link[i].address);
        pf_free(l->link[i].instance);
    }
    pf_free(l->link);
    pf_free(l);
}

static struct link *link_find(const struct pf_leader *l, struct pf_str address)
{
    for (uint32_t i = 0; i < l->n_links; i++) {
        if (pf_str_is(address, l->link[i].address)) {
            return &l->link[i];
        }
    }
    return NULL;
}

void pf_leader_add(struct pf_leader *l, struct pf_str address)
{
    if (address.len == 0 || address.len >= ADDRESS_MAX || l->n_links == PF_MASTERS_MAX ||
        link_find(l, address)) {
        return;
    }
    struct link *bigger = pf_alloc((l->n_links + 1) * sizeof *bigger);

    if (l->n_links > 0) {
        memcpy(bigger, l->link, l->n_links * sizeof *bigger);
    }
    pf_free(l->link);
    l->link = bigger;
    struct link *k = &l->link[l->n_links++];

    k->address = pf_strndup(address.at, address.len);
    pf_sm_init(&k->sm, &link_table, LINK_IDLE, k->address, "known", &l->tracer);
    if (l->has_begun) {
        link_connect(l, k, "heard of");
    }
}

void pf_leader_start(struct pf_leader *l, int64_t now_ms)
{
    PF_ASSERT(!l->has_begun);
    l->has_begun = true;
    l->none_since_ms = now_ms;
    for (uint32_t i = 0; i < l->n_links; i++) {
        link_connect(l, &l->link[i], "start");
    }
}

/* --- greetings -------------------------------------------------------------------------------- */

static struct pf_uuid welcome_incarnation(struct Welcome w)
{
    struct pf_bytes bytes = Welcome_incarnation(w);
    struct pf_uuid uuid = {{0}};

    if (bytes.len == sizeof uuid.b) {
        memcpy(uuid.b, bytes.at, sizeof uuid.b);
    }
    return uuid;
}

static bool is_foreign(const struct pf_leader *l, struct pf_uuid incarnation)
{
    return !pf_uuid_is_nil(l->incarnation) && !pf_uuid_is_nil(incarnation) &&
           !pf_uuid_eq(l->incarnation, incarnation);
}

static bool is_linked(const struct pf_leader *l, struct pf_str instance)
{
    for (uint32_t i = 0; i < l->n_links; i++) {
        const struct link *k = &l->link[i];
        if (k->sm.state == LINK_UP && k->instance != NULL && pf_str_is(instance, k->instance)) {
            return true;
        }
    }
    return false;
}

enum { WHY_FOREIGN = 1 }; /* beside the PF_E* */

static void close_foreign(struct pf_leader *l, struct link *k, int64_t now_ms)
{
    k->wants_close = true;
    k->why = WHY_FOREIGN;
    link_move(l, k, LINK_WAITING, "another registry");
    link_wait_ms(l, k, pf_backoff_pause(&k->backoff, &l->dice), now_ms);
}

/* Somebody says who leads: that is looked at now. */
static void take_hint(struct pf_leader *l, struct pf_str leader)
{
    struct link *k = link_find(l, leader);

    if (k == NULL) {
        pf_leader_add(l, leader);
    } else if (k->sm.state == LINK_WAITING) {
        link_connect(l, k, "said to lead");
    }
}

/* Notes what the master says of itself and of others. */
static void link_learn(struct pf_leader *l, uint32_t master, struct Welcome w, int64_t now_ms)
{
    struct link *k = &l->link[master];

    k->role = Welcome_role(w);
    k->epoch = Welcome_epoch(w);
    k->incarnation = welcome_incarnation(w);
    for (uint32_t i = 0; i < Welcome_masters__len(w); i++) {
        pf_leader_add(l, Welcome_masters__at(w, i)); /* moves the links */
    }
    if (Welcome_role(w) != MasterRole_LEADER && Welcome_leader(w).len > 0) {
        take_hint(l, Welcome_leader(w));
    }
    set_none_since(l, now_ms);
}

enum pf_leader_link pf_leader_up(struct pf_leader *l, uint32_t master, struct Welcome w,
                                 int64_t now_ms)
{
    PF_ASSERT(master < l->n_links);
    struct link *k = &l->link[master];
    struct pf_str instance = Welcome_instance(w);

    if (is_foreign(l, welcome_incarnation(w))) {
        close_foreign(l, k, now_ms);
        return PF_LEADER_FOREIGN;
    }
    bool is_double = instance.len > 0 && is_linked(l, instance);

    pf_free(k->instance);
    k->instance = instance.len > 0 ? pf_strndup(instance.at, instance.len) : NULL;
    if (is_double) {
        k->wants_close = true;
        link_move(l, k, LINK_PARKED, "linked under another address");
        return PF_LEADER_DUPLICATE;
    }
    link_move(l, k, LINK_UP, "welcome");
    k->since_ms = now_ms;
    k->why = 0;
    link_learn(l, master, w, now_ms);
    return PF_LEADER_LINKED;
}

enum pf_leader_link pf_leader_again(struct pf_leader *l, uint32_t master, struct Welcome w,
                                    int64_t now_ms)
{
    PF_ASSERT(master < l->n_links && l->link[master].sm.state == LINK_UP);
    if (is_foreign(l, welcome_incarnation(w))) {
        close_foreign(l, &l->link[master], now_ms);
        set_none_since(l, now_ms);
        return PF_LEADER_FOREIGN;
    }
    link_learn(l, master, w, now_ms);
    return PF_LEADER_LINKED;
}

/* --- ends and tries --------------------------------------------------------------------------- */

/* Its other addresses may serve now. */
static void unpark(struct pf_leader *l, const struct link *gone)
{
    for (uint32_t i = 0; i < l->n_links && gone->instance != NULL; i++) {
        struct link *k = &l->link[i];
        if (k->sm.state == LINK_PARKED && strcmp(k->instance, gone->instance) == 0) {
            link_connect(l, k, "the other address is down");
        }
    }
}

/* The leader went: whoever could not be reached may be the next, so it is asked now. */
static void hurry(struct pf_leader *l, const struct link *gone, int64_t now_ms)
{
    for (uint32_t i = 0; i < l->n_links; i++) {
        struct link *k = &l->link[i];
        if (k != gone && k->sm.state == LINK_WAITING) {
            k->backoff.failures = 0;
            link_wait_ms(l, k, pf_backoff_next(&k->backoff, &l->dice), now_ms);
        }
    }
}

static void link_end(struct pf_leader *l, struct link *k, int64_t now_ms)
{
    bool was_up = k->sm.state == LINK_UP;
    bool has_led = pf_leader_index(l) == (int32_t)(k - l->link);

    if (was_up && now_ms - k->since_ms >= STEADY_MS) {
        k->backoff.failures = 0;
    }
    link_move(l, k, LINK_WAITING, "down");
    if (was_up) {
        unpark(l, k);
    }
    if (has_led) {
        hurry(l, k, now_ms);
    }
}

void pf_leader_down(struct pf_leader *l, uint32_t master, int why, int64_t now_ms)
{
    PF_ASSERT(master < l->n_links);
    struct link *k = &l->link[master];
    bool was_up = k->sm.state == LINK_UP;

    k->why = why;
    link_end(l, k, now_ms);
    int64_t wait_ms = pf_backoff_next(&k->backoff, &l->dice);
    if (was_up && pf_leader_n_up(l) > 0) {
        wait_ms += l->spread_ms; /* many of us register with the next leader first */
    }
    link_wait_ms(l, k, wait_ms, now_ms);
    set_none_since(l, now_ms);
}

void pf_leader_drop(struct pf_leader *l, uint32_t master, int64_t now_ms)
{
    PF_ASSERT(master < l->n_links && l->link[master].sm.state == LINK_UP);
    struct link *k = &l->link[master];

    k->why = PF_ECANCELED;
    k->wants_close = true;
    link_end(l, k, now_ms);
    link_wait_ms(l, k, pf_backoff_pause(&k->backoff, &l->dice), now_ms);
    set_none_since(l, now_ms);
}

void pf_leader_accept(struct pf_leader *l, uint32_t master, struct pf_uuid incarnation,
                      uint64_t epoch)
{
    PF_ASSERT(master < l->n_links);
    struct link *k = &l->link[master];

    if (!pf_uuid_is_nil(incarnation)) {
        l->incarnation = incarnation;
    }
    l->epoch = l->epoch > epoch ? l->epoch : epoch;
    k->epoch = k->epoch > epoch ? k->epoch : epoch;
    k->backoff.failures = 0;
    l->accepted = (int32_t)master;
}

void pf_leader_tick(struct pf_leader *l, int64_t now_ms)
{
    for (uint32_t i = 0; i < l->n_links; i++) {
        struct link *k = &l->link[i];
        if (k->sm.state == LINK_WAITING && k->retry_ms <= now_ms) {
            link_connect(l, k, "again");
        }
    }
}

bool pf_leader_next(struct pf_leader *l, enum pf_leader_act *out_act, uint32_t *out_master)
{
    for (uint32_t i = 0; i < l->n_links; i++) {
        struct link *k = &l->link[i];
        if (k->wants_close || k->wants_connect) {
            *out_act = k->wants_close ? PF_LEADER_CLOSE : PF_LEADER_CONNECT;
            *out_master = i;
            k->wants_connect = k->wants_connect && k->wants_close;
            k->wants_close = false;
            return true;
        }
    }
    return false;
}

int64_t pf_leader_deadline(const struct pf_leader *l)
{
    int64_t at_ms = INT64_MAX;

    for (uint32_t i = 0; i < l->n_links; i++) {
        const struct link *k = &l->link[i];
        if (k->sm.state == LINK_WAITING && k->retry_ms < at_ms) {
            at_ms = k->retry_ms;
        }
    }
    return at_ms;
}

/* --- looking ---------------------------------------------------------------------------------- */

static bool link_leads(const struct pf_leader *l, const struct link *k)
{
    return k->sm.state == LINK_UP && k->role == MasterRole_LEADER && k->epoch >= l->epoch &&
           !is_foreign(l, k->incarnation);
}

int32_t pf_leader_index(const struct pf_leader *l)
{
    int32_t best = -1;

    for (uint32_t i = 0; i < l->n_links; i++) {
        const struct link *k = &l->link[i];
        bool is_accepted = (int32_t)i == l->accepted;

        if (link_leads(l, k) && (best < 0 || k->epoch > l->link[best].epoch ||
                                 (is_accepted && k->epoch == l->link[best].epoch))) {
            best = (int32_t)i;
        }
    }
    return best;
}

uint32_t pf_leader_count(const struct pf_leader *l)
{
    return l->n_links;
}

uint32_t pf_leader_n_up(const struct pf_leader *l)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < l->n_links; i++) {
        n += l->link[i].sm.state == LINK_UP;
    }
    return n;
}

bool pf_leader_is_up(const struct pf_leader *l, uint32_t master)
{
    return master < l->n_links && l->link[master].sm.state == LINK_UP;
}

const char *pf_leader_address(const struct pf_leader *l, uint32_t master)
{
    PF_ASSERT(master < l->n_links);
    return l->link[master].address;
}

uint64_t pf_leader_epoch(const struct pf_leader *l, uint32_t master)
{
    PF_ASSERT(master < l->n_links);
    return l->link[master].epoch;
}

struct pf_uuid pf_leader_incarnation(const struct pf_leader *l, uint32_t master)
{
    PF_ASSERT(master < l->n_links);
    return l->link[master].incarnation;
}

int64_t pf_leader_none_since(const struct pf_leader *l)
{
    return l->none_since_ms;
}

static const char *link_says(const struct pf_leader *l, const struct link *k)
{
    switch (k->role) {
    case MasterRole_LEADER: return link_leads(l, k) ? " leads" : " led once";
    case MasterRole_STANDBY: return " stands by";
    case MasterRole_RECOVERING: return " is recovering";
    case MasterRole_UNKNOWN: break;
    }
    return " does not say its role";
}

void pf_leader_describe(const struct pf_leader *l, struct pf_buf *out)
{
    const char *between = "";

    for (uint32_t i = 0; i < l->n_links; i++) {
        const struct link *k = &l->link[i];
        if (k->sm.state == LINK_PARKED) {
            continue;
        }
        pf_buf_printf(out, "%s%s", between, k->address);
        if (k->sm.state == LINK_UP) {
            pf_buf_add_cstr(out, link_says(l, k));
        } else if (k->why == WHY_FOREIGN) {
            pf_buf_add_cstr(out, " serves another registry than before");
        } else {
            pf_buf_printf(out, ": %s", k->why != 0 ? pf_err_str(k->why) : "not reached yet");
        }
        between = ", ";
    }
}

void pf_leader_check(const struct pf_leader *l)
{
    PF_ASSERT(l->n_links <= PF_MASTERS_MAX);
    PF_ASSERT(!l->has_begun || (pf_leader_index(l) >= 0) == (l->none_since_ms == INT64_MAX));
    for (uint32_t i = 0; i < l->n_links; i++) {
        const struct link *k = &l->link[i];
        PF_ASSERT(l->has_begun == (k->sm.state != LINK_IDLE));
        PF_ASSERT(!k->wants_connect || k->sm.state == LINK_CONNECTING);
        PF_ASSERT(k->sm.state != LINK_PARKED ||
                  (k->instance != NULL && is_linked(l, pf_str(k->instance))));
    }
}
