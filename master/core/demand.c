/* SPDX-License-Identifier: Apache-2.0 */
/* See demand.h. A demand is unsettled until an allocation has looked everywhere for it; then it is
 * offered in full, or it waits: told at once, and again when the reason changes. */
#include "master/core/demand.h"

#include <string.h>
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "master/core/convert.h"
#include "master/core/frameworks_internal.h"
#include "master/core/offers.h"
#include "master/core/out.h"
#include "master/core/peers.h"

enum { SCAN_SLICE = 2000, SCAN_EVERY_MS = 1000 };
#define SCAN_AGENTS_PER_S 1000000u /* of all waiting demands together */

struct m_demand *pf_m_demand_get(const struct m_framework *f, struct pf_str id)
{
    struct m_demand *d;

    TAILQ_FOREACH(d, &f->demands, of_framework)
    {
        if (pf_str_is(id, d->id)) {
            return d;
        }
    }
    return NULL;
}

/* --- its state --- */

static void set_waiting(struct pf_master *m, struct m_demand *d, bool is_waiting)
{
    if (d->is_waiting == is_waiting) {
        return;
    }
    d->is_waiting = is_waiting;
    m->n_waiting_demands += is_waiting ? 1 : UINT32_MAX;
    d->waiting_since_ms = m->now_ms;
    d->waiting_since_wall_ms = m->wall_ms;
    PF_FREE(d->text);
    if (!is_waiting && !d->is_scanning) {
        pf_heap_remove(&m->demand_deadlines, &d->deadline);
    }
}

static void set_unsettled(struct pf_master *m, struct m_demand *d, bool is_unsettled)
{
    if (d->is_unsettled != is_unsettled) {
        d->is_unsettled = is_unsettled;
        if (is_unsettled) {
            TAILQ_INSERT_TAIL(&m->unsettled, d, unsettled);
        } else {
            TAILQ_REMOVE(&m->unsettled, d, unsettled);
        }
    }
}

static struct m_offer *newest_offer(const struct m_demand *d)
{
    struct m_offer *o;

    TAILQ_FOREACH_REVERSE(o, &d->framework->offers, m_offers, of_framework)
    {
        if (o->hold->want == d->want) {
            return o;
        }
    }
    return NULL;
}

/* Takes back offers until no more than `count` instances are held. */
static void trim(struct pf_master *m, struct m_demand *d, uint32_t count, const char *why)
{
    d->is_trimming = true;
    while (pf_al_want_held(d->want) > count) {
        pf_m_offer_end(m, newest_offer(d), M_OFFER_RESCINDED, why, true);
    }
    d->is_trimming = false;
}

static void demand_free(struct pf_master *m, struct m_demand *d)
{
    struct m_framework *f = d->framework;

    set_waiting(m, d, false);
    set_unsettled(m, d, false);
    pf_heap_remove(&m->demand_deadlines, &d->deadline);
    while (!TAILQ_EMPTY(&d->whys)) {
        struct m_wait *w = TAILQ_FIRST(&d->whys);

        if (m->turn) {
            pf_m_reply(m, w->peer, w->request_id, ReplyCode_NOT_FOUND, "the demand is gone");
        }
        pf_m_wait_free(m, w);
    }
    pf_al_want_remove(m->al, d->want);
    TAILQ_REMOVE(&f->demands, d, of_framework);
    f->n_demands--;
    pf_m_framework_wake(m, f);
    pf_free(d->id);
    pf_free(d->name);
    pf_free(d->command);
    pf_free(d->id_prefix);
    pf_free(d->role);
    pf_free(d->text);
    pf_free(d);
}

void pf_m_demand_update(struct pf_master *m, struct m_demand *d)
{
    uint32_t count = pf_al_want_count(d->want);

    if (d->is_trimming) {
        return;
    }
    if (pf_al_want_held(d->want) > count) {
        trim(m, d, count, "demand_placed");
    }
    if (count == 0) {
        demand_free(m, d);
        return;
    }
    if (pf_al_want_held(d->want) == count) {
        set_waiting(m, d, false);
        set_unsettled(m, d, false);
    } else if (!d->is_waiting) {
        set_unsettled(m, d, true);
    }
    pf_m_framework_wake(m, d->framework);
}

/* --- what the framework is told --- */

static void tell(struct pf_master *m, struct m_demand *d, enum DemandState state, const char *text)
{
    struct pf_fb_builder *b = pf_m_builder(m);
    struct Scheduler_Event_DemandStatus__args args = {.demand_id = pf_str(d->id),
                                                      .state = state,
                                                      .waiting = pf_al_want_count(d->want) -
                                                                 pf_al_want_held(d->want),
                                                      .text = pf_str(text),
                                                      .n_agents = pf_m_reason_agents(m, d),
                                                      .waited_ms = m->now_ms - d->waiting_since_ms};

    args.causes = pf_m_causes_put(m, b, d);
    pf_m_send_event(m, d->framework->peer,
                    &(struct Scheduler_Event__args){
                        .type = PF_OPT(Scheduler_Event_Type_DEMAND_STATUS),
                        .demand_status = Scheduler_Event_DemandStatus__put(b, &args)});
}

/* One that never was a demand. */
static void tell_refused(struct pf_master *m, struct m_framework *f, struct pf_str id,
                         const char *text)
{
    struct pf_fb_builder *b = pf_m_builder(m);
    struct Scheduler_Event_DemandStatus__args args = {
        .demand_id = id.at ? id : PF_STR(""), .state = DemandState_REFUSED, .text = pf_str(text)};

    m->stats.bad_messages++;
    pf_turn_fence(m->turn);
    pf_m_send_event(m, f->peer,
                    &(struct Scheduler_Event__args){
                        .type = PF_OPT(Scheduler_Event_Type_DEMAND_STATUS),
                        .demand_status = Scheduler_Event_DemandStatus__put(b, &args)});
}

/* --- stating --- */

static int read_demand(struct Demand x, struct pf_resources *need,
                       struct pf_al_constraint *constraint, uint32_t *n, struct pf_err *err)
{
    int rc = pf_m_constraints_read(x, constraint, n, err);

    for (uint32_t i = 0; rc == 0 && i < Demand_resources__len(x); i++) {
        rc = pf_m_resource_read(Demand_resources__at(x, i), (struct pf_str){NULL, 0}, need, err);
    }
    if (rc == 0 && pf_res_is_empty(need)) {
        rc = pf_err_set(err, PF_EINVAL, "a demand needs resources");
    }
    if (rc == 0 && (Demand_id(x).len == 0 || Demand_id(x).len > PF_ID_MAX)) {
        rc = pf_err_set(err, PF_EINVAL, "a demand's id must have 1 to %d bytes", PF_ID_MAX);
    }
    if (rc == 0 && Demand_count(x) > PF_DEMAND_COUNT_MAX) {
        rc = pf_err_set(err, PF_ELIMIT, "a demand may want %d instances at most",
                        PF_DEMAND_COUNT_MAX);
    }
    return rc;
}

static struct pf_str shortened(struct pf_str s, uint32_t max)
{
    return (struct pf_str){s.at, s.len < max ? s.len : max};
}

static void set_texts(struct m_demand *d, struct Demand x)
{
    pf_m_text_set(&d->name, shortened(Demand_name(x), PF_ID_MAX));
    pf_m_text_set(&d->command, shortened(Demand_command(x), PF_COMMAND_SHOWN_MAX));
    pf_m_text_set(&d->id_prefix, shortened(Demand_id_prefix(x), PF_ID_MAX));
    pf_m_text_set(&d->role, pf_str(d->framework->role));
}

/* NULL, or why the demand is refused. */
static const char *state_one(struct pf_master *m, struct m_framework *f, struct Demand x)
{
    struct pf_resources need = {0};
    struct pf_al_constraint constraint[PF_CONSTRAINTS_MAX];
    uint32_t n = 0;
    struct pf_err err = {0};
    struct m_demand *d = pf_m_demand_get(f, Demand_id(x));

    if (read_demand(x, &need, constraint, &n, &err) < 0) {
        pf_res_fini(&need);
        return pf_arena_printf(pf_m_arena(m), "%s", err.msg).at;
    }
    if (d && d->is_stated) {
        pf_res_fini(&need);
        return "a demand of this id is in the list twice";
    }
    if (d && !pf_al_want_is_same(d->want, &need, constraint, n)) {
        trim(m, d, 0, "demand_changed");
        demand_free(m, d);
        d = NULL;
    }
    if (d) {
        pf_al_want_set_count(m->al, d->want, Demand_count(x));
    } else if (Demand_count(x) > 0) {
        d = PF_NEW(struct m_demand);
        d->framework = f;
        d->id = pf_strndup(Demand_id(x).at, Demand_id(x).len);
        TAILQ_INIT(&d->whys);
        TAILQ_INSERT_TAIL(&f->demands, d, of_framework);
        f->n_demands++;
        d->want = pf_al_want_add(m->al, f->al, &need, constraint, n, Demand_count(x), d);
    }
    pf_res_fini(&need);
    if (d) {
        set_texts(d, x);
        d->is_stated = true;
        pf_m_demand_update(m, d); /* frees one that wants nothing any more */
    }
    return NULL;
}

void pf_m_demands_set(struct pf_master *m, struct m_framework *f, const struct m_demand_list *list)
{
    struct m_demand *d, *next;
    struct m_offer *o, *next_o;

    f->has_demands = true;
    pf_al_framework_set_whole(m->al, f->al, false);
    pf_al_filters_clear(m->al, f->al);
    for (o = TAILQ_FIRST(&f->offers); o; o = next_o) {
        next_o = TAILQ_NEXT(o, of_framework);
        if (!o->hold->want) {
            pf_m_offer_end(m, o, M_OFFER_RESCINDED, "demand_stated", true);
        }
    }
    TAILQ_FOREACH(d, &f->demands, of_framework)
    {
        d->is_stated = false;
    }
    for (uint32_t i = 0; i < list->n; i++) {
        struct Demand x = list->at(list->ctx, i);
        const char *problem =
            i < PF_DEMANDS_MAX ? state_one(m, f, x) : "a framework may have 64 demands at most";

        if (problem) {
            tell_refused(m, f, Demand_id(x), problem);
        }
    }
    for (d = TAILQ_FIRST(&f->demands); d; d = next) {
        next = TAILQ_NEXT(d, of_framework);
        if (!d->is_stated) {
            trim(m, d, 0, "demand_withdrawn");
            demand_free(m, d);
        }
    }
    m->allocates_now = true;
}

void pf_m_demands_unset(struct pf_master *m, struct m_framework *f)
{
    f->has_demands = false;
    while (!TAILQ_EMPTY(&f->demands)) {
        trim(m, TAILQ_FIRST(&f->demands), 0, "demand_withdrawn");
        demand_free(m, TAILQ_FIRST(&f->demands));
    }
    pf_al_framework_set_whole(m->al, f->al, true);
}

void pf_m_demands_drop(struct pf_master *m, struct m_framework *f)
{
    while (!TAILQ_EMPTY(&f->demands)) {
        demand_free(m, TAILQ_FIRST(&f->demands));
    }
}

void pf_m_demands_free(struct pf_master *m, struct m_framework *f)
{
    pf_m_demands_drop(m, f);
}

static struct Demand call_demand_at(const void *ctx, uint32_t i)
{
    const struct Scheduler_Call_Demand *x = ctx;

    return Scheduler_Call_Demand_demands__at(*x, i);
}

void pf_m_on_demand(struct pf_master *m, struct m_peer *p, struct Scheduler_Call call,
                    uint64_t request_id)
{
    struct Scheduler_Call_Demand x = Scheduler_Call_demand(call);
    struct m_demand_list list = {Scheduler_Call_Demand_demands__len(x), call_demand_at, &x};

    pf_m_demands_set(m, p->framework, &list);
    pf_m_reply(m, p, request_id, ReplyCode_ACCEPTED, "%s", "");
}

/* --- waiting --- */

void pf_m_demands_unsettle(struct pf_master *m, struct m_framework *f)
{
    struct m_demand *d;

    TAILQ_FOREACH(d, &f->demands, of_framework)
    {
        if (!d->is_waiting && pf_al_want_count(d->want) > pf_al_want_held(d->want)) {
            set_unsettled(m, d, true);
        }
    }
}

void pf_m_demands_settle(struct pf_master *m)
{
    struct m_demand *d, *next;

    for (d = TAILQ_FIRST(&m->unsettled); d; d = next) {
        next = TAILQ_NEXT(d, unsettled);
        if (d->framework->is_suppressed || !d->framework->peer) {
            set_unsettled(m, d, false);
        } else if (pf_al_want_is_unplaced(m->al, d->want)) {
            set_unsettled(m, d, false);
            set_waiting(m, d, true);
            pf_m_demand_scan(m, d); /* may free it: hopeless */
        }
    }
}

/* When the next look at the reasons is due: the more there is to look at, the rarer. */
static int64_t scan_interval_ms(const struct pf_master *m)
{
    uint64_t agents = (uint64_t)m->n_waiting_demands * (m->stats.n_agents + 1);

    return SCAN_EVERY_MS * (int64_t)(1 + agents / SCAN_AGENTS_PER_S);
}

/* The scan is complete: answers, refuses or tells what is new. */
static void scan_finish(struct pf_master *m, struct m_demand *d)
{
    struct pf_buf text = {0};

    pf_m_whys_answer(m, d);
    if (!d->is_waiting) {
        pf_heap_remove(&m->demand_deadlines, &d->deadline);
        return;
    }
    if (pf_m_demand_is_hopeless(m, d)) {
        pf_m_nearest_miss_text(m, d, &text);
        pf_turn_fence(m->turn);
        tell(m, d, DemandState_REFUSED, pf_buf_cstr(&text));
        pf_buf_fini(&text);
        trim(m, d, 0, "demand_refused");
        demand_free(m, d);
        return;
    }
    pf_m_reason_text(m, d, false, &text);
    if (!d->text || strcmp(d->text, pf_buf_cstr(&text)) != 0) {
        pf_m_text_set(&d->text, pf_str(pf_buf_cstr(&text)));
        pf_buf_clear(&text);
        pf_m_reason_text(m, d, true, &text);
        tell(m, d, DemandState_WAITING, pf_buf_cstr(&text));
        pf_m_framework_wake(m, d->framework);
    }
    pf_buf_fini(&text);
    pf_heap_set(&m->demand_deadlines, &d->deadline, m->now_ms + scan_interval_ms(m));
}

void pf_m_demand_scan(struct pf_master *m, struct m_demand *d)
{
    if (!d->is_scanning) {
        d->scan = (struct pf_al_scan){0};
        d->is_scanning = true;
    }
    pf_al_explain(m->al, d->want, m->now_ms, SCAN_SLICE, &d->scan);
    if (d->scan.is_done) {
        d->is_scanning = false;
        scan_finish(m, d);
    } else {
        pf_heap_set(&m->demand_deadlines, &d->deadline, m->now_ms);
    }
}

void pf_m_demand_deadline(struct pf_master *m, struct m_demand *d)
{
    if (d->is_waiting && !d->is_scanning) {
        pf_al_want_retry(m->al, d->want);
    }
    pf_m_demand_scan(m, d);
}

struct pf_ref pf_m_demand_put(struct pf_master *m, struct pf_fb_builder *b,
                              const struct m_demand *d)
{
    struct pf_buf text = {0};
    struct Demand__args args = {.id = pf_str(d->id),
                                .count = pf_al_want_count(d->want),
                                .id_prefix = pf_str(d->id_prefix),
                                .name = pf_str(d->name),
                                .command = pf_str(d->command),
                                .role = pf_str(d->role)};

    if (d->is_waiting) {
        args.waiting_since_ms = d->waiting_since_wall_ms;
        if (!d->is_scanning) {
            pf_m_reason_text(m, d, true, &text);
            args.waiting_reason = pf_str(pf_buf_cstr(&text));
        }
    }
    args.constraints =
        pf_m_constraints_put(b, pf_m_arena(m), d->want, pf_al_want_n_constraints(d->want));
    args.resources =
        pf_m_resources_put(b, pf_m_arena(m), pf_al_want_need(d->want), (struct pf_str){NULL, 0});
    struct pf_ref ref = Demand__put(b, &args);

    pf_buf_fini(&text);
    return ref;
}
