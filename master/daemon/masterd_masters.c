/* SPDX-License-Identifier: Apache-2.0 */
/* Links to the other masters of the quorum: one to each that /masters names, tried again with a
 * growing pause; theirs to us; and the probe of a leader whose link broke. */
#include "master/daemon/masterd_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/sys/log.h"
#include "schemas/proffer.h"

enum { BACK_OFF_MIN_MS = 20, BACK_OFF_MAX_MS = 1000, PROBE_TIMEOUT_MS = 100 };

/* --- which masters there are ------------------------------------------------------------------ */

static void other_need(struct masterd *d, const char *address)
{
    struct other_master *unused = NULL;
    for (size_t i = 0; i < PF_ARRAY_LEN(d->other); i++) {
        struct other_master *o = &d->other[i];
        if (strcmp(o->address, address) == 0) {
            o->is_listed = true;
            return;
        }
        if (o->address[0] == '\0' || (!o->is_listed && o->peer == 0)) {
            unused = unused != NULL ? unused : o;
        }
    }
    if (unused != NULL) {
        *unused = (struct other_master){
            .is_listed = true, .retry_ms = pf_loop_now_ms(d->loop), .back_off_ms = BACK_OFF_MIN_MS};
        (void)snprintf(unused->address, sizeof unused->address, "%s", address);
    }
}

static void add_address(struct masterd *d, const char *address)
{
    char *text = d->masters_text[d->n_masters];
    (void)snprintf(text, PF_ADDRESS_MAX, "%s", address);
    d->masters[d->n_masters++] = pf_str(text);
}

static void tell_core(struct masterd *d, const struct pf_quorum_master *v, uint32_t n)
{
    struct pf_master_view view[PF_MASTERS_MAX + 1];
    struct pf_master_event ev = {.type = PF_MASTER_MASTERS, .masters = {view, n}};
    const char *trouble = pf_quorum_trouble(d->quorum);
    bool has_self = false;
    for (uint32_t i = 0; i < n; i++) {
        const struct pf_elect_master *m = v[i].m;
        view[i] = (struct pf_master_view){.instance = m->instance,
                                          .address = m->address,
                                          .http_address = m->http_address,
                                          .hostname = m->hostname,
                                          .version = m->version,
                                          .pid = m->pid,
                                          .started_wall_ms = m->started_wall_ms,
                                          .is_self = v[i].is_self,
                                          .is_leading = v[i].is_leading,
                                          .is_linked = v[i].is_linked,
                                          .epoch = v[i].epoch,
                                          .has_lag = v[i].has_lag,
                                          .lag = v[i].lag,
                                          .trouble = v[i].trouble};
        has_self = has_self || v[i].is_self;
    }
    if (!has_self) { /* not in ZooKeeper, yet or any more: who asks is told why */
        view[ev.masters.n++] = (struct pf_master_view){.instance = d->instance,
                                                       .address = d->native_address,
                                                       .http_address = d->http_address,
                                                       .hostname = d->hostname,
                                                       .version = PF_VERSION,
                                                       .pid = getpid(),
                                                       .is_self = true,
                                                       .is_linked = true,
                                                       .epoch = pf_quorum_epoch(d->quorum),
                                                       .trouble = trouble != NULL ? trouble : ""};
    }
    masterd_step(d, &ev);
}

/* Where many agents listen, each change would cost as many messages from each master, and most come
 * when a leader died and everybody has better things to do: the new leader speaks for itself. */
static void welcome_later(struct masterd *d)
{
    enum { AGENTS_PER_MS = 4, LATER_MAX_MS = 500 };
    if (!d->welcome_is_due) {
        int64_t wait_ms = d->agent_links.len / AGENTS_PER_MS;
        d->welcome_is_due = true;
        pf_timer_set(d->welcome,
                     pf_loop_now_ms(d->loop) + (wait_ms < LATER_MAX_MS ? wait_ms : LATER_MAX_MS));
    }
}

void masterd_masters_view(struct masterd *d)
{
    struct pf_quorum_master v[PF_MASTERS_MAX];
    uint32_t n = pf_quorum_view(d->quorum, v);
    char leader[PF_ADDRESS_MAX], before[PF_MASTERS_MAX][PF_ADDRESS_MAX];
    uint32_t n_before = d->n_masters;
    memcpy(leader, d->leader_address, sizeof leader);
    memcpy(before, d->masters_text, sizeof before);
    memset(d->masters_text, 0, sizeof d->masters_text);
    d->n_masters = 0;
    d->leader_address[0] = d->leader_http[0] = '\0';
    add_address(d, d->native_address);
    for (size_t i = 0; i < PF_ARRAY_LEN(d->other); i++) {
        d->other[i].is_listed = false;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (v[i].is_leading) {
            (void)snprintf(d->leader_address, sizeof d->leader_address, "%s", v[i].m->address);
            (void)snprintf(d->leader_http, sizeof d->leader_http, "%s", v[i].m->http_address);
        }
        /* The node of our former life may still stand. */
        if (!v[i].is_self && strcmp(v[i].m->address, d->native_address) != 0 &&
            d->n_masters < PF_MASTERS_MAX) {
            add_address(d, v[i].m->address);
            other_need(d, v[i].m->address);
        }
    }
    tell_core(d, v, n);
    if (strcmp(leader, d->leader_address) != 0 || n_before != d->n_masters ||
        memcmp(before, d->masters_text, sizeof before) != 0) {
        welcome_later(d);
    }
    masterd_masters_due(d);
}

void masterd_masters_welcome(struct masterd *d)
{
    d->welcome_is_due = false;
    pf_timer_set(d->welcome, INT64_MAX);
    pf_net_welcome_again(d->net);
}

void masterd_masters_due(struct masterd *d)
{
    int64_t now_ms = pf_loop_now_ms(d->loop);
    for (size_t i = 0; i < PF_ARRAY_LEN(d->other); i++) {
        struct other_master *o = &d->other[i];
        if (o->is_listed && o->peer == 0 && o->retry_ms <= now_ms) {
            const struct pf_connect_options how = {.prio = PF_PRIO_URGENT, .timeout_ms = 2000};
            o->peer = pf_net_connect(d->net, o->address, &how);
        }
    }
}

int64_t masterd_masters_next_ms(const struct masterd *d)
{
    int64_t at = INT64_MAX;
    for (size_t i = 0; i < PF_ARRAY_LEN(d->other); i++) {
        const struct other_master *o = &d->other[i];
        if (o->is_listed && o->peer == 0 && o->retry_ms < at) {
            at = o->retry_ms;
        }
    }
    return at;
}

/* --- links ------------------------------------------------------------------------------------ */

static struct other_master *other_of(struct masterd *d, uint64_t peer)
{
    for (size_t i = 0; i < PF_ARRAY_LEN(d->other); i++) {
        if (d->other[i].peer == peer && peer != 0) {
            return &d->other[i];
        }
    }
    return NULL;
}

static struct master_peer *master_peer_of(struct masterd *d, uint64_t peer)
{
    for (size_t i = 0; i < PF_ARRAY_LEN(d->master_peer); i++) {
        if (d->master_peer[i].peer == peer) {
            return &d->master_peer[i];
        }
    }
    return NULL;
}

static void link_event(struct masterd *d, enum pf_quorum_event_type type, const char *instance)
{
    struct pf_quorum_event ev = {.type = type};
    ev.master.instance = pf_str(instance);
    masterd_quorum_step(d, &ev);
}

static void probe_ended(struct masterd *d, enum pf_elect_probe result, struct pf_str instance)
{
    struct pf_quorum_event ev = {.type = PF_QUORUM_EV_PROBED};
    d->probe = 0;
    ev.probed.result = result;
    ev.probed.instance = instance;
    masterd_quorum_step(d, &ev);
}

bool masterd_masters_up(struct masterd *d, const struct pf_peer_up *up)
{
    struct Envelope e = Envelope__root(up->greeting);
    struct pf_str instance;
    if (up->is_client) {
        instance = Welcome_instance(Envelope_body_as_Welcome(e));
    } else if (up->kind == PeerKind_MASTER) {
        instance = Hello_instance(Envelope_body_as_Hello(e));
    } else {
        return false;
    }
    if (up->peer == d->probe) {
        char text[PF_UUID_TEXT_LEN + 1];
        (void)snprintf(text, sizeof text, "%.*s", PF_STR_ARG(instance));
        pf_peer_close(d->net, up->peer, false);
        probe_ended(d, PF_PROBE_ANSWERED, pf_str(text));
        return true;
    }
    struct master_peer *p = master_peer_of(d, 0);
    if (p == NULL || instance.len > PF_UUID_TEXT_LEN || pf_str_is(instance, d->instance)) {
        pf_peer_close(d->net, up->peer, false);
        return true;
    }
    *p = (struct master_peer){
        .peer = up->peer, .is_client = up->is_client, .is_up = true, .is_trusted = up->is_trusted};
    (void)snprintf(p->instance, sizeof p->instance, "%.*s", PF_STR_ARG(instance));
    pf_peer_set_urgent(d->net, up->peer);
    masterd_peer_up(d, up->peer, PeerKind_MASTER, p->instance, up->is_trusted);
    struct other_master *o = other_of(d, up->peer);
    if (o != NULL) {
        o->back_off_ms = BACK_OFF_MIN_MS;
        o->n_failures = 0;
        o->is_told = false;
        pf_log(PF_LOG_INFO, "link to master", "address=%s instance=%s", o->address, p->instance);
        link_event(d, PF_QUORUM_EV_MASTER_UP, p->instance);
    }
    return true;
}

/* One that is restarted is away for a moment; one of another key or version stays away. */
static void other_failed(struct other_master *o, const struct pf_err *why)
{
    enum { FAILURES_SAID = 5 };
    bool is_lasting = why->code == PF_EAUTH || why->code == PF_EVERSION || why->code == PF_EINVAL ||
                      why->code == PF_EPROTO;
    o->n_failures++;
    if (!o->is_told && (is_lasting || o->n_failures >= FAILURES_SAID)) {
        o->is_told = true;
        pf_log(PF_LOG_WARN, "no link to master", "address=%s why=%s", o->address, why->msg);
    }
}

bool masterd_masters_down(struct masterd *d, uint64_t peer, const struct pf_err *why)
{
    if (peer == d->probe) {
        probe_ended(d, why->code == PF_EREFUSED ? PF_PROBE_REFUSED : PF_PROBE_FAILED,
                    (struct pf_str){NULL, 0});
        return true;
    }
    struct other_master *o = other_of(d, peer);
    struct master_peer *p = master_peer_of(d, peer);
    if (o != NULL) {
        o->peer = 0;
        o->retry_ms = pf_loop_now_ms(d->loop) + o->back_off_ms;
        o->back_off_ms =
            o->back_off_ms * 2 < BACK_OFF_MAX_MS ? o->back_off_ms * 2 : BACK_OFF_MAX_MS;
    }
    if (p == NULL) {
        if (o != NULL) {
            other_failed(o, why);
        }
        return o != NULL;
    }
    char instance[PF_UUID_TEXT_LEN + 1];
    memcpy(instance, p->instance, sizeof instance);
    *p = (struct master_peer){0};
    pf_engine_forget_peer(d->engine, peer);
    struct pf_master_event ev = {.type = PF_MASTER_PEER_DOWN, .peer = peer};
    masterd_step(d, &ev);
    if (o != NULL) {
        pf_log(PF_LOG_INFO, "link to master lost", "address=%s instance=%s why=%s", o->address,
               instance, why->msg);
        link_event(d, PF_QUORUM_EV_MASTER_DOWN, instance);
    }
    return true;
}

bool masterd_masters_message(struct masterd *d, uint64_t peer, struct pf_msg envelope)
{
    struct master_peer *p = peer != 0 ? master_peer_of(d, peer) : NULL;
    enum Body body = Envelope_body_type(Envelope__root(envelope));
    if (p == NULL) {
        return peer == d->probe && peer != 0;
    }
    if (body == Body_MasterStatus || body == Body_HandOver || body == Body_RegistryBatch) {
        if (p->is_trusted) {
            struct pf_quorum_event ev = {.type = PF_QUORUM_EV_MASTER_MESSAGE};
            ev.master.instance = pf_str(p->instance);
            ev.master.message = envelope;
            masterd_quorum_step(d, &ev);
        }
    } else if (body != Body_Welcome) { /* who leads is ZooKeeper's word among masters */
        struct pf_master_event ev = {.type = PF_MASTER_MESSAGE, .peer = peer, .message = envelope};
        masterd_step(d, &ev);
    }
    return true;
}

/* `instance` absent: to every master. By our own links, which are the ones that they watch. */
void masterd_masters_send(struct masterd *d, struct pf_str instance, struct pf_bytes message)
{
    for (size_t i = 0; i < PF_ARRAY_LEN(d->master_peer); i++) {
        const struct master_peer *p = &d->master_peer[i];
        if (p->peer != 0 && p->is_client &&
            (instance.at == NULL || pf_str_is(instance, p->instance))) {
            pf_peer_send(d->net, p->peer, message);
        }
    }
}

/* A core made anew hears of the links that stayed. */
void masterd_masters_tell_core(struct masterd *d)
{
    for (size_t i = 0; i < PF_ARRAY_LEN(d->master_peer); i++) {
        const struct master_peer *p = &d->master_peer[i];
        if (p->peer != 0) {
            masterd_peer_up(d, p->peer, PeerKind_MASTER, p->instance, p->is_trusted);
        }
    }
}

void masterd_probe(struct masterd *d, struct pf_str address)
{
    const struct pf_connect_options how = {.prio = PF_PRIO_URGENT, .timeout_ms = PROBE_TIMEOUT_MS};
    PF_ASSERT(d->probe == 0);
    d->probe = pf_net_connect(d->net, address.at, &how);
}
