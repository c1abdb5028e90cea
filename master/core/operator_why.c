/* SPDX-License-Identifier: Apache-2.0 */
/* WHY: one sentence on the state of a thing, and for what waits, the reasons. */
#include "master/core/agents.h"
#include "master/core/demand.h"
#include "master/core/drain.h"
#include "master/core/frameworks.h"
#include "master/core/offers.h"
#include "master/core/operator.h"
#include "master/core/out.h"
#include "master/core/peers.h"
#include "master/core/removals.h"
#include "master/core/tasks.h"

struct answer {
    enum EntityKind kind;
    struct pf_str id;
    const char *state;
    struct pf_str text;
    const struct m_demand *demand; /* whose causes to tell, or NULL */
    int64_t since_ms;              /* wall */
};

static void answer(struct pf_master *m, const struct m_call *c, const struct answer *a)
{
    struct pf_fb_builder *b = pf_m_builder(m);
    struct Master_Response_Why__args args = {.kind = a->kind,
                                             .id = a->id,
                                             .state = pf_str(a->state),
                                             .text = a->text,
                                             .since_ms = a->since_ms};

    if (a->demand) {
        args.causes = pf_m_causes_put(m, b, a->demand);
        args.n_agents = pf_m_reason_agents(m, a->demand);
    }
    pf_m_respond(m, c,
                 &(struct Master_Response__args){.type = PF_OPT(Master_Response_Type_WHY),
                                                 .why = Master_Response_Why__put(b, &args)});
}

/* --- demands --- */

void pf_m_whys_answer(struct pf_master *m, struct m_demand *d)
{
    while (!TAILQ_EMPTY(&d->whys)) {
        struct m_wait *w = TAILQ_FIRST(&d->whys);
        struct m_call c = {.peer = w->peer, .request_id = w->request_id};
        struct pf_buf text = {0};

        if (d->is_waiting) {
            pf_m_reason_text(m, d, true, &text);
        } else {
            pf_buf_add_cstr(&text, "offered to its framework, which has not answered yet");
        }
        answer(m, &c,
               &(struct answer){.kind = EntityKind_TASK,
                                .id = pf_str(d->id),
                                .state = d->is_waiting ? "TASK_WAITING" : "TASK_OFFERED",
                                .text = pf_str(pf_buf_cstr(&text)),
                                .demand = d->is_waiting ? d : NULL,
                                .since_ms = d->is_waiting ? d->waiting_since_wall_ms : 0});
        pf_buf_fini(&text);
        pf_m_wait_free(m, w);
    }
}

static void why_demand(struct pf_master *m, const struct m_call *c, struct m_demand *d)
{
    if (!pf_m_wait_add(m, c->peer, c->request_id, &d->whys)) {
        pf_m_reply(m, c->peer, c->request_id, ReplyCode_TOO_MANY, "too much is waited for already");
        return;
    }
    pf_m_demand_scan(m, d);
}

/* The demand of that id, or whose instances' ids begin like it. */
static struct m_demand *demand_like(const struct m_framework *f, struct pf_str id)
{
    struct m_demand *d = pf_m_demand_get(f, id);

    if (d) {
        return d;
    }
    TAILQ_FOREACH(d, &f->demands, of_framework)
    {
        if (d->id_prefix[0] != '\0' && pf_str_has_prefix(id, pf_str(d->id_prefix))) {
            return d;
        }
    }
    return NULL;
}

/* --- tasks --- */

static struct pf_str task_text(struct pf_master *m, const struct m_task *t)
{
    struct TaskStatus last = TaskStatus__from_bytes(m_blob_bytes(&t->status));
    struct pf_str message = TaskStatus_message(last);
    struct pf_arena *arena = pf_m_arena(m);
    const char *host = t->agent->hostname;

    if (t->sm.state == M_TASK_UNREACHABLE) {
        return pf_arena_printf(arena, "its agent %s is unreachable; it may come back", host);
    }
    if (t->is_ended) {
        return pf_arena_printf(arena, "ended on %s%s%.*s%s", host, message.len > 0 ? ": " : "",
                               PF_STR_ARG(message),
                               t->is_pending ? "; its framework has not acknowledged that" : "");
    }
    if (!m_agent_is_registered(t->agent)) {
        return pf_arena_printf(arena, "its agent %s is not connected; the task goes on there",
                               host);
    }
    if (t->sm.state == M_TASK_STAGING) {
        return pf_arena_printf(arena, "sent to %s, which has not started it yet", host);
    }
    return pf_arena_printf(arena, "on %s%s%.*s%s", host, message.len > 0 ? ": " : "",
                           PF_STR_ARG(message), t->has_kill ? "; it is being killed" : "");
}

static void why_task(struct pf_master *m, const struct m_call *c, const struct m_task *t)
{
    answer(m, c,
           &(struct answer){.kind = EntityKind_TASK,
                            .id = m_task_id(t),
                            .state = TaskState__str((int)t->state),
                            .text = task_text(m, t),
                            .since_ms = t->is_ended         ? t->finished_ms
                                        : t->started_ms > 0 ? t->started_ms
                                                            : t->created_ms});
}

/* True: answered. */
static bool try_task(struct pf_master *m, const struct m_call *c, const struct m_framework *f,
                     struct pf_str id)
{
    const struct m_task *t = f ? pf_m_task_find(f, id) : NULL;
    struct m_demand *d = f && !t ? demand_like(f, id) : NULL;

    if (t) {
        why_task(m, c, t);
    } else if (d) {
        why_demand(m, c, d);
    }
    return t || d;
}

/* --- agents, frameworks, offers --- */

static bool try_agent(struct pf_master *m, const struct m_call *c, struct pf_str id)
{
    const struct m_agent *a = pf_m_agent_get(m, id);
    struct pf_buf text = {0};

    if (!a) {
        return false;
    }
    if (m_agent_is_registered(a)) {
        pf_m_drain_text(a, &text);
        pf_buf_add_cstr(&text, text.len > 0 ? "; " : "");
        pf_buf_printf(&text, "%u task%s; free ", a->n_tasks, a->n_tasks == 1 ? "" : "s");
        pf_res_format(pf_al_agent_free(a->al), &text);
        if (pf_res_is_empty(pf_al_agent_free(a->al))) {
            pf_buf_add_cstr(&text, "nothing");
        }
    } else {
        pf_m_agent_text(m, a, &text);
    }
    answer(m, c,
           &(struct answer){.kind = EntityKind_AGENT,
                            .id = pf_str(a->id),
                            .state = pf_m_agent_word(a),
                            .text = pf_str(pf_buf_cstr(&text)),
                            .since_ms = a->gone_ms > 0 ? a->gone_ms : a->seen_ms});
    pf_buf_fini(&text);
    return true;
}

static struct pf_str framework_text(struct pf_master *m, const struct m_framework *f)
{
    struct pf_arena *arena = pf_m_arena(m);

    switch ((enum m_framework_state)f->sm.state) {
    case M_FRAMEWORK_ACTIVE:
        return pf_arena_printf(arena, "%u tasks, holds %u offers; %s", f->tasks.len, f->n_offers,
                               f->is_suppressed   ? "wants no offers (suppressed)"
                               : !f->has_demands  ? "is offered whole agents (it stated no demand)"
                               : f->n_demands > 0 ? "waits for its demands"
                                                  : "wants nothing now");
    case M_FRAMEWORK_RECOVERED:
    case M_FRAMEWORK_DISCONNECTED:
        return pf_arena_printf(arena,
                               "%u tasks; its scheduler is away; removed in %lld s unless "
                               "it comes back",
                               f->tasks.len, (long long)((f->deadline.key - m->now_ms) / 1000));
    case M_FRAMEWORK_COMPLETED:
    case M_FRAMEWORK_INVALID:
    case M_FRAMEWORK_COUNT: break;
    }
    return pf_arena_printf(arena, "has ended");
}

static bool try_framework(struct pf_master *m, const struct m_call *c, struct pf_str id)
{
    struct m_framework *f = pf_m_framework_get(m, id);
    struct m_demand *d;

    if (!f) {
        f = pf_m_framework_completed(m, id);
    }
    if (!f) {
        return false;
    }
    TAILQ_FOREACH(d, &f->demands, of_framework)
    {
        if (d->is_waiting) {
            why_demand(m, c, d);
            return true;
        }
    }
    answer(m, c,
           &(struct answer){.kind = EntityKind_FRAMEWORK,
                            .id = pf_str(f->id),
                            .state = pf_sm_name(&f->sm),
                            .text = framework_text(m, f),
                            .since_ms = f->peer ? f->registered_ms : f->unregistered_ms});
    return true;
}

static bool try_offer(struct pf_master *m, const struct m_call *c, struct pf_str id)
{
    const struct m_offer *o = pf_m_offer_get(m, id);

    if (!o) {
        return false;
    }
    answer(m, c,
           &(struct answer){
               .kind = EntityKind_OFFER,
               .id = {o->id, o->id_len},
               .state = pf_sm_name(&o->sm),
               .text = pf_arena_printf(pf_m_arena(m), "held by framework %s (%s), agent %s",
                                       o->framework->id, o->framework->name, o->agent->hostname),
               .since_ms = o->created_ms});
    return true;
}

void pf_m_on_why(struct pf_master *m, const struct m_call *c)
{
    struct Master_Call_Why x = Master_Call_why(c->call);
    struct pf_str id = Master_Call_Why_id(x);
    struct pf_str framework_id = Master_Call_Why_framework_id(x);
    struct m_framework *f = pf_m_framework_get(m, framework_id);
    enum EntityKind kind = Master_Call_Why_kind(x);
    bool any = kind == EntityKind_UNKNOWN, found = false;

    if (!f) {
        f = pf_m_framework_completed(m, framework_id);
    }
    if (kind == EntityKind_TASK || any) {
        found = try_task(m, c, f, id);
    }
    if (!found && (kind == EntityKind_FRAMEWORK || any)) {
        found = try_framework(m, c, id);
    }
    if (!found && (kind == EntityKind_AGENT || any)) {
        found = try_agent(m, c, id);
    }
    if (!found && (kind == EntityKind_OFFER || any)) {
        found = try_offer(m, c, id);
    }
    if (!found) {
        pf_m_reply(m, c->peer, c->request_id, ReplyCode_NOT_FOUND, "%.*s does not exist",
                   PF_STR_ARG(id));
    }
}
