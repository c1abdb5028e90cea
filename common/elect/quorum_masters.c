/* SPDX-License-Identifier: Apache-2.0 */
/* What masters tell each other beside ZooKeeper: that they are there, how far they are, batches of
 * the registry as they are committed, and the hand-over of the lead. */
#include "common/elect/quorum_internal.h"

#include <stdio.h>
#include <string.h>
#include "common/link/envelope.h"

static struct quorum_other *other_get(struct pf_quorum *q, struct pf_str instance)
{
    for (uint32_t i = 0; i < q->n_others; i++) {
        if (pf_str_is(instance, q->other[i].instance)) {
            return &q->other[i];
        }
    }
    return NULL;
}

/* NULL: an instance that is none, or too many. */
static struct quorum_other *other_need(struct pf_quorum *q, struct pf_str instance)
{
    struct quorum_other *o = other_get(q, instance);

    if (o != NULL) {
        return o;
    }
    if (instance.len == 0 || instance.len > PF_UUID_TEXT_LEN || pf_str_is(instance, q->instance)) {
        return NULL;
    }
    for (uint32_t i = 0; o == NULL && i < q->n_others; i++) {
        if (!q->other[i].is_linked) {
            o = &q->other[i]; /* gone for good, or it will say again how it is */
        }
    }
    if (q->n_others < PF_MASTERS_MAX) {
        o = &q->other[q->n_others++];
    }
    if (o != NULL) {
        *o = (struct quorum_other){0};
        (void)snprintf(o->instance, sizeof o->instance, "%.*s", PF_STR_ARG(instance));
    }
    return o;
}

void quorum_master_link(struct pf_quorum *q, struct pf_str instance, bool is_up)
{
    struct quorum_other *o = is_up ? other_need(q, instance) : other_get(q, instance);
    struct pf_elect_event ev = {.type = PF_ELECT_LINK,
                                .boot_ms = q->now_ms,
                                .wall_ms = q->wall_ms,
                                .link = {instance, is_up}};

    if (o != NULL) {
        o->is_linked = is_up;
        o->has_status = o->has_status && is_up;
        o->heard_ms = q->now_ms;
        o->is_silent = false;
        o->grey_since_ms = 0;
    }
    q->view_changed = true;
    q->status_ms = q->now_ms; /* who is new wants to know how we are */
    pf_elect_step(q->elect, &ev);
}

/* --- status ----------------------------------------------------------------------------------- */

static struct pf_bytes envelope(struct pf_quorum *q, uint8_t body_type, struct pf_ref body)
{
    struct pf_uuid incarnation = pf_elect_incarnation(q->elect);
    struct pf_envelope e = {.incarnation = {incarnation.b, sizeof incarnation.b},
                            .epoch = pf_elect_epoch(q->elect),
                            .body_type = body_type};

    return pf_msg_bytes(pf_envelope_finish(&q->builder, &e, body));
}

/* To every master that is linked: there are few. */
static void send_status(struct pf_quorum *q)
{
    struct pf_quorum_effect effect = {.type = PF_QUORUM_STREAM};
    const char *trouble = pf_quorum_trouble(q);

    pf_fb_builder_reset(&q->builder);
    effect.send.message = envelope(
        q, Body_MasterStatus,
        MasterStatus__put(&q->builder, &(struct MasterStatus__args){
                                           .instance = pf_str(q->instance),
                                           .applied = pf_replog_applied(q->log),
                                           .n_agents = q->n_agents,
                                           .epoch = pf_elect_epoch(q->elect),
                                           .leads = q->leads,
                                           .trouble = pf_str(trouble != NULL ? trouble : "")}));
    pf_outbox_put(&q->out, &effect);
}

static void on_status(struct pf_quorum *q, struct MasterStatus s)
{
    struct quorum_other *o = other_get(q, MasterStatus_instance(s));

    if (o == NULL || !o->is_linked) {
        return;
    }
    struct pf_str trouble = MasterStatus_trouble(s);

    trouble.len = trouble.len < sizeof o->trouble ? trouble.len : (uint32_t)sizeof o->trouble - 1;
    q->view_changed = q->view_changed || !o->has_status || o->epoch != MasterStatus_epoch(s) ||
                      o->applied != MasterStatus_applied(s) || o->leads != MasterStatus_leads(s) ||
                      !pf_str_is(trouble, o->trouble);
    (void)snprintf(o->trouble, sizeof o->trouble, "%.*s", PF_STR_ARG(trouble));
    q->view_changed = q->view_changed || o->is_silent;
    o->has_status = true;
    o->heard_ms = q->now_ms;
    o->is_silent = false;
    o->leads = MasterStatus_leads(s);
    o->applied = MasterStatus_applied(s);
    o->n_agents = MasterStatus_n_agents(s);
    o->epoch = MasterStatus_epoch(s);
}

/* Its connection stands even if the process is stopped. */
static void look_for_silent(struct pf_quorum *q)
{
    for (uint32_t i = 0; i < q->n_others; i++) {
        struct quorum_other *o = &q->other[i];

        if (o->is_linked && !o->is_silent && q->now_ms - o->heard_ms >= QUORUM_SILENT_MS) {
            o->is_silent = true;
            q->view_changed = true;
        }
    }
}

/* Why it could not lead, as far as we know; "": it could. */
static const char *trouble_of(const struct quorum_other *o)
{
    return o->is_silent ? "it says nothing, though it is connected: it may hang" : o->trouble;
}

/* A standby that sees over 10 % more agents than we for a while has the better place in the net. */
static void look_for_grey(struct pf_quorum *q)
{
    for (uint32_t i = 0; q->leads && !q->is_frozen && i < q->n_others; i++) {
        struct quorum_other *o = &q->other[i];
        bool sees_more = o->is_linked && o->has_status && trouble_of(o)[0] == '\0' &&
                         (uint64_t)o->n_agents * 10 > (uint64_t)q->n_agents * 11;

        if (!sees_more) {
            o->grey_since_ms = 0;
        } else if (o->grey_since_ms == 0) {
            o->grey_since_ms = q->now_ms;
        } else if (q->now_ms - o->grey_since_ms >= QUORUM_GREY_MS) {
            o->grey_since_ms = 0;
            pf_outbox_say(&q->out, true,
                          "master %s is linked to %u agents, this one to %u: it shall lead",
                          o->instance, o->n_agents, q->n_agents);
            quorum_step_down(q, pf_str(o->instance));
        }
    }
}

/* --- hand-over -------------------------------------------------------------------------------- */

static uint64_t lag_of(const struct pf_quorum *q, const struct quorum_other *o)
{
    uint64_t applied = pf_replog_applied(q->log);

    return applied > o->applied ? applied - o->applied : 0;
}

static const struct quorum_other *best_standby(const struct pf_quorum *q)
{
    const struct quorum_other *best = NULL;

    for (uint32_t i = 0; i < q->n_others; i++) {
        const struct quorum_other *o = &q->other[i];

        if (!o->is_linked || trouble_of(o)[0] != '\0') {
            continue;
        }
        if (best == NULL || (o->has_status && !best->has_status) ||
            lag_of(q, o) < lag_of(q, best) ||
            (lag_of(q, o) == lag_of(q, best) && o->n_agents > best->n_agents)) {
            best = o;
        }
    }
    return best;
}

void quorum_step_down(struct pf_quorum *q, struct pf_str to)
{
    const struct quorum_other *o = to.len > 0 ? other_get(q, to) : best_standby(q);

    if (!q->leads || q->is_frozen) {
        return;
    }
    if (o == NULL || !o->is_linked) {
        pf_outbox_say(&q->out, true, "no hand-over: %s",
                      to.len > 0 ? "that master is not linked"
                                 : "no standby that could lead is linked");
        return;
    }
    if (trouble_of(o)[0] != '\0') {
        pf_outbox_say(&q->out, true, "no hand-over: master %s could not lead: %s", o->instance,
                      trouble_of(o));
        return;
    }
    memcpy(q->target, o->instance, sizeof q->target);
    q->is_frozen = true;
    q->frozen_until_ms = q->now_ms + QUORUM_FREEZE_MS;
}

void quorum_drained(struct pf_quorum *q)
{
    struct pf_quorum_effect effect = {.type = PF_QUORUM_SEND};
    struct pf_elect_event ev = {.type = PF_ELECT_RESIGN,
                                .boot_ms = q->now_ms,
                                .wall_ms = q->wall_ms,
                                .resign = {PF_STR("handed over")}};

    if (!q->leads || !q->is_frozen) {
        return;
    }
    pf_fb_builder_reset(&q->builder);
    effect.send.instance = pf_str(q->target);
    effect.send.message = envelope(
        q, Body_HandOver,
        HandOver__put(&q->builder, &(struct HandOver__args){.epoch = q->led_epoch,
                                                            .to = pf_str(q->target),
                                                            .head = pf_replog_applied(q->log)}));
    /* We stop first: nothing of ours leaves after the target begins. */
    pf_elect_step(q->elect, &ev);
    pf_outbox_put(&q->out, &effect);
}

static void on_hand_over(struct pf_quorum *q, struct HandOver h)
{
    struct pf_elect_event ev = {.type = PF_ELECT_TAKE, .boot_ms = q->now_ms, .wall_ms = q->wall_ms};

    if (q->leads || !pf_str_is(HandOver_to(h), q->instance)) {
        return;
    }
    ev.take.epoch = HandOver_epoch(h);
    pf_elect_step(q->elect, &ev);
}

static void on_batch(struct pf_quorum *q, struct RegistryBatch b)
{
    struct pf_replog_event ev = {.type = PF_REPLOG_STREAMED, .boot_ms = q->now_ms};

    if (q->leads) {
        return; /* of the time before */
    }
    ev.streamed.number = RegistryBatch_number(b);
    ev.streamed.node = RegistryBatch_node(b);
    pf_replog_step(q->log, &ev);
}

/* Who knew another registry, or none, has nothing to give. */
static bool is_of_our_registry(const struct pf_quorum *q, struct Envelope e)
{
    struct pf_uuid ours = pf_elect_incarnation(q->elect);
    struct pf_bytes theirs = Envelope_incarnation(e);

    return !pf_uuid_is_nil(ours) && theirs.len == sizeof ours.b &&
           memcmp(theirs.at, ours.b, sizeof ours.b) == 0;
}

void quorum_master_message(struct pf_quorum *q, struct pf_msg message)
{
    struct Envelope e = Envelope__root(message);

    if (Envelope_body_type(e) != Body_MasterStatus && !is_of_our_registry(q, e)) {
        return;
    }

    switch (Envelope_body_type(e)) {
    case Body_MasterStatus: on_status(q, Envelope_body_as_MasterStatus(e)); break;
    case Body_HandOver: on_hand_over(q, Envelope_body_as_HandOver(e)); break;
    case Body_RegistryBatch: on_batch(q, Envelope_body_as_RegistryBatch(e)); break;
    default: break; /* the core's, or of a newer version */
    }
}

/* --- time and view ---------------------------------------------------------------------------- */

void quorum_masters_tick(struct pf_quorum *q)
{
    if (q->is_frozen && q->now_ms >= q->frozen_until_ms) {
        q->is_frozen = false;
        pf_outbox_say(&q->out, true, "no hand-over: the registry did not come to rest in time");
    }
    if (q->now_ms < q->status_ms) {
        return;
    }
    q->status_ms = q->now_ms + QUORUM_STATUS_MS;
    send_status(q);
    look_for_silent(q);
    look_for_grey(q);
}

int64_t quorum_masters_deadline(const struct pf_quorum *q)
{
    return q->is_frozen && q->frozen_until_ms < q->status_ms ? q->frozen_until_ms : q->status_ms;
}

uint32_t pf_quorum_view(const struct pf_quorum *q, struct pf_quorum_master out[PF_MASTERS_MAX])
{
    const struct pf_elect_master *m;
    const char *leader = pf_elect_leader(q->elect), *trouble = pf_quorum_trouble(q);
    uint32_t n = pf_elect_masters(q->elect, &m);
    uint64_t newest = pf_replog_applied(q->log);

    for (uint32_t i = 0; i < q->n_others; i++) {
        newest =
            q->other[i].has_status && q->other[i].applied > newest ? q->other[i].applied : newest;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct pf_quorum_master *v = &out[i];

        *v = (struct pf_quorum_master){.m = &m[i]};
        v->is_self = strcmp(m[i].instance, q->instance) == 0;
        v->trouble = "";
        v->is_leading = v->is_self ? q->leads : strcmp(m[i].instance, leader) == 0;
        if (v->is_self) {
            v->is_linked = v->has_lag = true;
            v->trouble = trouble != NULL ? trouble : "";
            v->epoch = pf_elect_epoch(q->elect);
            v->lag = newest - pf_replog_applied(q->log);
            continue;
        }
        for (uint32_t k = 0; k < q->n_others; k++) {
            const struct quorum_other *o = &q->other[k];

            if (strcmp(o->instance, m[i].instance) == 0) {
                v->is_linked = o->is_linked;
                /* It may have stopped, with no ZooKeeper at hand to say so. */
                v->is_leading = v->is_leading && (!o->has_status || o->leads ||
                                                  o->epoch != pf_elect_epoch(q->elect));
                v->has_lag = o->has_status;
                v->epoch = o->epoch;
                v->trouble = o->is_linked ? trouble_of(o) : "";
                v->lag = o->has_status ? newest - o->applied : 0;
            }
        }
    }
    return n;
}
