/* SPDX-License-Identifier: Apache-2.0 */
/* See masters.h. */
#include "master/core/masters.h"

#include <string.h>
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "master/core/operator.h"
#include "master/core/out.h"
#include "master/core/removals.h"
#include "schemas/rows.h"

static const char *own(const char *text)
{
    return pf_strdup(text ? text : "");
}

static void disown(const char *text)
{
    pf_free((char *)(uintptr_t)text);
}

void pf_m_masters_fini(struct pf_master *m)
{
    for (uint32_t i = 0; i < m->n_views; i++) {
        disown(m->views[i].instance);
        disown(m->views[i].address);
        disown(m->views[i].http_address);
        disown(m->views[i].hostname);
        disown(m->views[i].version);
        disown(m->views[i].trouble);
    }
    PF_FREE(m->views);
    m->n_views = 0;
}

void pf_m_masters_set(struct pf_master *m, const struct pf_master_view *at, uint32_t n)
{
    pf_m_masters_fini(m);
    m->views = n > 0 ? pf_alloc(n * sizeof *m->views) : NULL;
    m->n_views = n;
    for (uint32_t i = 0; i < n; i++) {
        struct pf_master_view *v = &m->views[i];

        *v = at[i];
        v->instance = own(at[i].instance);
        v->address = own(at[i].address);
        v->http_address = own(at[i].http_address);
        v->hostname = own(at[i].hostname);
        v->version = own(at[i].version);
        v->trouble = own(at[i].trouble);
    }
}

void pf_m_masters_check(const struct pf_master *m)
{
    uint32_t n_self = 0;

    PF_ASSERT((m->views != NULL) == (m->n_views > 0));
    for (uint32_t i = 0; i < m->n_views; i++) {
        n_self += m->views[i].is_self;
    }
    PF_ASSERT(n_self <= 1);
}

static bool leads(const struct pf_master *m, const struct pf_master_view *v)
{
    return v->is_self ? m->is_leading : v->is_leading && !m->is_leading;
}

static const struct pf_master_view *leader_view(const struct pf_master *m)
{
    for (uint32_t i = 0; i < m->n_views; i++) {
        if (leads(m, &m->views[i])) {
            return &m->views[i];
        }
    }
    return NULL;
}

static const struct pf_master_view *self_view(const struct pf_master *m)
{
    for (uint32_t i = 0; i < m->n_views; i++) {
        if (m->views[i].is_self) {
            return &m->views[i];
        }
    }
    return NULL;
}

const char *pf_m_own_trouble(const struct pf_master *m)
{
    const struct pf_master_view *self = self_view(m);

    return self ? self->trouble : "";
}

/* --- for those who ask a standby --- */

void pf_m_reply_not_leader(struct pf_master *m, struct m_peer *p, uint64_t request_id)
{
    const struct pf_master_view *leader = leader_view(m);
    const char *trouble = pf_m_own_trouble(m);

    if (leader) {
        pf_m_reply(m, p, request_id, ReplyCode_NOT_LEADER, "%s leads", leader->address);
    } else {
        pf_m_reply(m, p, request_id, ReplyCode_UNAVAILABLE, "no master leads at the moment%s%s",
                   trouble[0] ? ": " : "", trouble);
    }
}

struct pf_ref pf_m_stale_put(struct pf_master *m)
{
    const struct pf_master_view *leader = leader_view(m), *self = self_view(m);
    struct Stale__args args = {.leader = pf_str(leader ? leader->address : NULL)};

    if (self && self->has_lag) {
        args.lag = (struct pf_opt_u64)PF_OPT(self->lag);
    }
    return Stale__put(m->b, &args);
}

/* --- lists --- */

struct pf_msg pf_m_registry_row_of(struct pf_fb_builder *b, const struct pf_master *m)
{
    return Row_Registry__finish(
        b, Row_Registry__put(b, &(struct Row_Registry__args){
                                    .incarnation = {m->incarnation.b, sizeof m->incarnation.b},
                                    .epoch = m->epoch,
                                    .format = PF_M_FORMAT,
                                    .cluster = pf_str(m->o.cluster)}));
}

void pf_m_on_get_master(struct pf_master *m, const struct m_call *c)
{
    struct pf_fb_builder *b = pf_m_builder(m);
    const struct pf_master_view *leader = leader_view(m);
    struct Master_Response_GetMaster__args args = {.trouble = pf_m_trouble(m)};
    struct MasterInfo__args info = {.id = pf_str(m->o.instance),
                                    .pid = pf_str(m->o.address),
                                    .hostname = pf_str(m->o.hostname),
                                    .version = PF_STR(PF_VERSION)};

    if (m->is_leading) {
        args.start_time = (struct pf_opt_f64)PF_OPT(pf_milli_to_double(m->started_wall_ms));
        args.elected_time = (struct pf_opt_f64)PF_OPT(pf_milli_to_double(m->elected_wall_ms));
        args.master_info = MasterInfo__put(b, &info);
    } else if (leader) {
        info = (struct MasterInfo__args){.id = pf_str(leader->instance),
                                         .pid = pf_str(leader->address),
                                         .hostname = pf_str(leader->hostname),
                                         .version = pf_str(leader->version)};
        args.start_time = (struct pf_opt_f64)PF_OPT(pf_milli_to_double(leader->started_wall_ms));
        args.master_info = MasterInfo__put(b, &info);
    }
    pf_m_respond(
        m, c,
        &(struct Master_Response__args){.type = PF_OPT(Master_Response_Type_GET_MASTER),
                                        .get_master = Master_Response_GetMaster__put(b, &args)});
}

static struct pf_ref view_put(struct pf_master *m, const struct pf_master_view *v)
{
    bool is_leader = leads(m, v);
    bool is_up = is_leader || v->is_self || v->is_linked;
    struct MasterView__args args = {.id = pf_str(v->instance),
                                    .address = pf_str(v->address),
                                    .http_address = pf_str(v->http_address),
                                    .pid = v->pid,
                                    .leading = is_leader,
                                    .epoch = v->is_self && m->is_leading ? m->epoch : v->epoch,
                                    .state = is_leader ? PF_STR("leading")
                                             : is_up   ? PF_STR("standby")
                                                       : PF_STR("unreachable"),
                                    .version = pf_str(v->version),
                                    .started_ms = v->started_wall_ms,
                                    .hostname = pf_str(v->hostname)};

    if (v->trouble[0] != '\0') {
        args.trouble = pf_str(v->trouble);
    }
    if (v->has_lag) {
        args.lag = (struct pf_opt_i64)PF_OPT((int64_t)v->lag);
    }
    return MasterView__put(m->b, &args);
}

void pf_m_on_get_masters(struct pf_master *m, const struct m_call *c)
{
    const struct pf_master_view alone = {.instance = m->o.instance,
                                         .address = m->o.address,
                                         .http_address = m->o.http_address,
                                         .hostname = m->o.hostname,
                                         .version = PF_VERSION,
                                         .pid = m->o.pid,
                                         .started_wall_ms = m->started_wall_ms,
                                         .is_self = true,
                                         .trouble = ""};
    const struct pf_master_view *at = m->n_views > 0 ? m->views : &alone;
    uint32_t n = m->n_views > 0 ? m->n_views : 1;
    struct pf_ref *refs = pf_arena_alloc(pf_m_arena(m), n * sizeof *refs);
    struct pf_fb_builder *b = pf_m_builder(m);

    for (uint32_t i = 0; i < n; i++) {
        refs[i] = view_put(m, &at[i]);
    }
    pf_m_respond(m, c,
                 &(struct Master_Response__args){
                     .type = PF_OPT(Master_Response_Type_GET_MASTERS),
                     .get_masters = Master_Response_GetMasters__put(
                         b, &(struct Master_Response_GetMasters__args){.masters = {refs, n}})});
}

/* --- handing over --- */

/* Who `to` means, NULL: answered why not. */
static const struct pf_master_view *successor(struct pf_master *m, const struct m_call *c,
                                              struct pf_str to)
{
    const struct pf_master_view *found = NULL;
    uint32_t n = 0;

    for (uint32_t i = 0; i < m->n_views; i++) {
        if (pf_str_has_prefix(pf_str(m->views[i].instance), to)) {
            found = &m->views[i];
            n++;
        }
    }
    if (n == 0) {
        pf_m_reply(m, c->peer, c->request_id, ReplyCode_NOT_FOUND, "no master is called %.*s",
                   PF_STR_ARG(to));
    } else if (n > 1) {
        pf_m_reply(m, c->peer, c->request_id, ReplyCode_AMBIGUOUS, "%u masters begin with %.*s", n,
                   PF_STR_ARG(to));
    } else if (found->is_self) {
        pf_m_reply(m, c->peer, c->request_id, ReplyCode_CONFLICT, "master %s leads already",
                   found->instance);
    } else if (!found->is_linked) {
        pf_m_reply(m, c->peer, c->request_id, ReplyCode_CONFLICT,
                   "master %s is not linked to the leader", found->instance);
    } else if (found->trouble[0] != '\0') {
        pf_m_reply(m, c->peer, c->request_id, ReplyCode_CONFLICT, "master %s could not lead: %s",
                   found->instance, found->trouble);
    } else {
        return found;
    }
    return NULL;
}

void pf_m_on_step_down(struct pf_master *m, const struct m_call *c)
{
    struct pf_str to = Master_Call_StepDown_to(Master_Call_step_down(c->call));
    const char *instance = "";
    bool has_standby = false;

    for (uint32_t i = 0; i < m->n_views; i++) {
        has_standby = has_standby || (!m->views[i].is_self && m->views[i].is_linked &&
                                      m->views[i].trouble[0] == '\0');
    }
    if (!c->peer->is_trusted) {
        pf_m_reply(m, c->peer, c->request_id, ReplyCode_FORBIDDEN, "that needs the cluster's key");
        return;
    }
    if (to.len > 0) {
        const struct pf_master_view *v = successor(m, c, to);

        if (!v) {
            return;
        }
        instance = v->instance;
    } else if (!has_standby) {
        pf_m_reply(m, c->peer, c->request_id, ReplyCode_CONFLICT,
                   "no standby that could lead is linked");
        return;
    }
    pf_m_reply(m, c->peer, c->request_id, ReplyCode_ACCEPTED, "%s", "");
    pf_turn_act(m->turn, PF_MASTER_ACT_STEP_DOWN,
                pf_arena_strdup(pf_m_arena(m), pf_str(instance)).at);
}
