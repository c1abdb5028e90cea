/* SPDX-License-Identifier: Apache-2.0 */
/* SUBSCRIBE: a new framework, or the scheduler of a known one comes back, or a new instance of it
 * takes over. What is wrong is told by an ERROR event, as in Mesos; then the link is closed. */
#include <string.h>
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "master/core/demand.h"
#include "master/core/frameworks_internal.h"
#include "master/core/offers.h"
#include "master/core/out.h"
#include "master/core/peers.h"
#include "master/core/tasks.h"

enum { EPOCH_SHIFT = 20 };

struct subscription {
    struct m_peer *peer;
    uint64_t request_id;
    struct Scheduler_Call_Subscribe s;
    struct FrameworkInfo info;
    struct pf_str id; /* empty: a new framework */
};

PF_PRINTF(4, 5)
static void refuse(struct pf_master *m, const struct subscription *x, enum ReplyCode code,
                   const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    struct pf_str text = pf_arena_vprintf(pf_m_arena(m), fmt, ap);

    va_end(ap);
    m->stats.bad_messages++;
    pf_m_send_error(m, x->peer, text);
    pf_m_reply(m, x->peer, x->request_id, code, "%.*s", PF_STR_ARG(text));
    pf_m_close(m, x->peer);
    if (x->peer->framework) {
        pf_m_framework_link_down(m, x->peer->framework);
    }
}

/* False: refused. */
static bool is_well_formed(struct pf_master *m, const struct subscription *x,
                           struct Scheduler_Call call)
{
    struct pf_str call_id = FrameworkID_value(Scheduler_Call_framework_id(call));
    struct pf_err err = {0};
    const char *problem = x->id.len > 0 ? pf_id_problem(x->id) : NULL;

    if (!Scheduler_Call__has_subscribe(call) || x->info.tab.p == NULL) {
        refuse(m, x, ReplyCode_BAD_REQUEST, "SUBSCRIBE without framework_info");
    } else if (call_id.len > 0 && !pf_str_eq(call_id, x->id)) {
        refuse(m, x, ReplyCode_BAD_REQUEST,
               "'framework_id' differs from 'subscribe.framework_info.id'");
    } else if (problem) {
        refuse(m, x, ReplyCode_BAD_REQUEST, "framework id: %s", problem);
    } else if (pf_m_framework_info_check(x->info, &err) < 0) {
        refuse(m, x, ReplyCode_BAD_REQUEST, "%s", err.msg);
    } else if (x->peer->framework && !pf_str_eq(x->id, pf_str(x->peer->framework->id))) {
        refuse(m, x, ReplyCode_CONFLICT, "this link is subscribed as framework %s",
               x->peer->framework->id);
    } else if (Scheduler_Call_Subscribe_framework_info__bytes(x->s).len > PF_ROW_MAX_BYTES / 2) {
        refuse(m, x, ReplyCode_TOO_LARGE, "the framework_info is too large");
    } else {
        return true;
    }
    return false;
}

/* Did another instance take the place of this one? */
static bool is_former(const struct m_framework *f, struct pf_str instance)
{
    for (uint32_t i = 0; i < M_INSTANCES_MAX; i++) {
        if (f->former[i] && instance.len > 0 && pf_str_is(instance, f->former[i])) {
            return true;
        }
    }
    return false;
}

static void remember_former(struct m_framework *f)
{
    if (f->instance[0] == '\0') {
        return;
    }
    pf_free(f->former[M_INSTANCES_MAX - 1]);
    memmove(f->former + 1, f->former, (M_INSTANCES_MAX - 1) * sizeof *f->former);
    f->former[0] = pf_strdup(f->instance);
}

/* The instance that has the framework now; after a takeover it is known by its generation only. */
static bool is_same_instance(const struct subscription *x, const struct m_framework *f)
{
    struct pf_str instance = Scheduler_Call_Subscribe_instance(x->s);
    uint64_t told = Scheduler_Call_Subscribe_generation(x->s);

    if (f->instance[0] == '\0') {
        return told > 0 && told == f->generation;
    }
    return instance.len > 0 && pf_str_is(instance, f->instance);
}

/* Above all that were ever told: where they were not counted here, those of earlier epochs are
 * below what this epoch begins with. */
static uint64_t next_generation(const struct pf_master *m, const struct m_framework *f)
{
    uint64_t first = f->has_count ? 1 : m->epoch << EPOCH_SHIFT;

    return f->generation + 1 > first ? f->generation + 1 : first;
}

/* False: refused. */
static bool may_take_over(struct pf_master *m, const struct subscription *x,
                          const struct m_framework *f)
{
    uint64_t told = Scheduler_Call_Subscribe_generation(x->s);

    if (!pf_m_peer_may_touch(x->peer, f)) {
        refuse(m, x, ReplyCode_FORBIDDEN, "framework %s belongs to others", f->id);
        return false;
    }
    if (is_former(f, Scheduler_Call_Subscribe_instance(x->s)) ||
        (!is_same_instance(x, f) && told > 0 && told < f->generation)) {
        refuse(m, x, ReplyCode_CONFLICT, "Framework failed over");
        return false;
    }
    return true;
}

/* The known framework gets this scheduler. */
static void take_over(struct pf_master *m, const struct subscription *x, struct m_framework *f)
{
    struct pf_str instance = Scheduler_Call_Subscribe_instance(x->s);
    uint64_t told = Scheduler_Call_Subscribe_generation(x->s);
    bool is_same = is_same_instance(x, f);
    struct m_peer *old = f->peer;

    if (old && old != x->peer) {
        if (!is_same) {
            pf_m_send_error(m, old, PF_STR("Framework failed over"));
        }
        old->framework = NULL;
        pf_m_close(m, old);
    }
    if (!is_same) {
        remember_former(f);
        f->generation = told > f->generation ? told : next_generation(m, f);
    }
    pf_m_text_set(&f->instance, instance);
    pf_m_framework_end_offers(m, f, "framework_failed_over", false);
    pf_heap_remove(&m->framework_deadlines, &f->deadline);
    if (f->sm.state != M_FRAMEWORK_ACTIVE) {
        pf_m_framework_move(m, f, M_FRAMEWORK_ACTIVE, "subscribe");
    }
    f->reregistered_ms = m->wall_ms;
}

static struct m_framework *make(struct pf_master *m, const struct subscription *x,
                                struct pf_bytes info, bool is_new)
{
    struct m_framework *f = pf_m_framework_new(m, x->id, info, M_FRAMEWORK_ACTIVE, "subscribe");
    uint64_t told = Scheduler_Call_Subscribe_generation(x->s);

    pf_m_text_set(&f->instance, Scheduler_Call_Subscribe_instance(x->s));
    f->has_count = is_new;
    f->generation = is_new ? 1 : told > 0 ? told : next_generation(m, f);
    f->registered_ms = m->wall_ms;
    return f;
}

static bool is_suppressed(const struct m_framework *f, struct Scheduler_Call_Subscribe s)
{
    for (uint32_t i = 0; i < Scheduler_Call_Subscribe_suppressed_roles__len(s); i++) {
        if (pf_str_is(Scheduler_Call_Subscribe_suppressed_roles__at(s, i), f->role)) {
            return true;
        }
    }
    return false;
}

static struct Demand demand_at(const void *ctx, uint32_t i)
{
    const struct subscription *x = ctx;

    return Scheduler_Call_Subscribe_demands__at(x->s, i);
}

static void set_wishes(struct pf_master *m, const struct subscription *x, struct m_framework *f)
{
    bool any_user = m->o.allow_any_user || f->is_trusted;

    f->is_suppressed = is_suppressed(f, x->s);
    pf_al_framework_set_needs(m->al, f->al, any_user ? 0 : PF_AL_TRAIT_ROOT);
    pf_al_filters_clear(m->al, f->al);
    if (Scheduler_Call_Subscribe_has_demands(x->s) ||
        Scheduler_Call_Subscribe_demands__len(x->s) > 0) {
        struct m_demand_list list = {Scheduler_Call_Subscribe_demands__len(x->s), demand_at, x};

        pf_m_demands_set(m, f, &list);
    } else {
        pf_m_demands_unset(m, f);
    }
    pf_al_framework_set_active(m->al, f->al, !f->is_suppressed);
}

void pf_m_on_subscribe(struct pf_master *m, struct m_peer *p, struct Scheduler_Call call,
                       uint64_t request_id)
{
    struct subscription x = {
        .peer = p, .request_id = request_id, .s = Scheduler_Call_subscribe(call)};
    struct m_framework *f;
    char new_id[PF_SHORT_ID_MAX];
    bool is_new;

    x.info = Scheduler_Call_Subscribe_framework_info(x.s);
    x.id = FrameworkID_value(FrameworkInfo_id(x.info));
    if (!is_well_formed(m, &x, call)) {
        return;
    }
    f = pf_m_framework_get(m, x.id);
    if (!f && pf_m_framework_completed(m, x.id)) {
        refuse(m, &x, ReplyCode_CONFLICT, "Framework has been removed");
        return;
    }
    if (!f && m->frameworks.len >= PF_FRAMEWORKS_MAX) {
        refuse(m, &x, ReplyCode_TOO_MANY, "more than %d frameworks", PF_FRAMEWORKS_MAX);
        return;
    }
    if (f && !may_take_over(m, &x, f)) {
        return;
    }
    is_new = x.id.len == 0;
    if (is_new) {
        pf_short_id('f', m->epoch, ++m->next_framework, new_id);
        x.id = pf_str(new_id);
    }
    struct pf_bytes info =
        pf_m_framework_info_with_id(m, x.info, x.id, p->is_trusted ? NULL : p->user);

    bool is_durable = Scheduler_Call_Subscribe_durable(x.s) || (f && f->is_durable);

    if (is_durable && info.len > m->o.row_max_bytes - PF_M_ROW_EXTRA_BYTES) {
        refuse(m, &x, ReplyCode_TOO_LARGE, "the framework_info has more than %u bytes",
               m->o.row_max_bytes - PF_M_ROW_EXTRA_BYTES);
        return;
    }
    if (f) {
        take_over(m, &x, f);
        pf_m_framework_set_info(f, info);
    } else {
        f = make(m, &x, info, is_new);
    }
    f->peer = p;
    p->framework = f;
    if (is_durable) {
        f->is_durable = true;
        pf_m_framework_put_row(m, f);
    }
    pf_m_reply(m, p, request_id, ReplyCode_ACCEPTED, "%s", "");
    pf_m_send_subscribed(m, f);
    pf_m_updates_resend(m, f);
    set_wishes(m, &x, f);
    m->allocates_now = true;
}
