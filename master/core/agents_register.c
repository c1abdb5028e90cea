/* SPDX-License-Identifier: Apache-2.0 */
/* An agent registers: who it is (AgentRegister), which frameworks and tasks it holds (AgentTasks,
 * in batches, asked for unless all is known already), then it is admitted and offered. A refusal is
 * a reply and the end of the link. */
#include "master/core/agents.h"

#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "master/core/convert.h"
#include "master/core/drain.h"
#include "master/core/executors.h"
#include "master/core/frameworks.h"
#include "master/core/out.h"
#include "master/core/removals.h"
#include "master/core/seen.h"
#include "master/core/tasks.h"

PF_PRINTF(5, 6)
static void refuse(struct pf_master *m, struct m_peer *p, uint64_t request_id, enum ReplyCode code,
                   const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    struct pf_str text = pf_arena_vprintf(pf_m_arena(m), fmt, ap);

    va_end(ap);
    pf_m_reply(m, p, request_id, code, "%.*s", PF_STR_ARG(text));
    if (request_id == 0) {
        struct pf_fb_builder *b = pf_m_builder(m);

        pf_m_send(m, p, Body_Goodbye, Goodbye__put(b, &(struct Goodbye__args){.reason = text}));
    }
    m->stats.bad_messages++;
    if (p->agent) {
        pf_m_agent_link_down(m, p->agent);
    }
    pf_m_close(m, p);
}

/* Is the registration about this cluster, this leadership and the peer that sends it? */
static bool identity_is_fine(struct pf_master *m, struct m_peer *p, struct AgentRegister r,
                             struct pf_str id, uint64_t request_id)
{
    struct pf_bytes incarnation = AgentRegister_incarnation(r);
    const char *problem = pf_id_problem(id);

    if (problem || !pf_str_eq(id, pf_str(p->hello_id))) {
        refuse(m, p, request_id, ReplyCode_BAD_REQUEST, "agent id: %s",
               problem ? problem : "differs from the one of the greeting");
        return false;
    }
    if (incarnation.len == sizeof m->incarnation.b &&
        memcmp(incarnation.at, m->incarnation.b, incarnation.len) != 0) {
        struct pf_uuid theirs;
        char text[PF_UUID_TEXT_LEN + 1];

        memcpy(theirs.b, incarnation.at, sizeof theirs.b);
        if (!pf_uuid_is_nil(theirs)) {
            pf_uuid_format(theirs, text);
            refuse(m, p, request_id, ReplyCode_FORBIDDEN,
                   "the agent belongs to another cluster (incarnation %s)", text);
            return false;
        }
    }
    if (AgentRegister_epoch(r) > m->epoch) {
        uint64_t *epoch = pf_arena_alloc(pf_m_arena(m), sizeof *epoch);

        *epoch = AgentRegister_epoch(r);
        pf_turn_act_now(m->turn, PF_MASTER_ACT_EPOCH_SEEN, epoch);
        refuse(m, p, request_id, ReplyCode_CONFLICT, "the agent obeys epoch %llu, this is %llu",
               (unsigned long long)AgentRegister_epoch(r), (unsigned long long)m->epoch);
        return false;
    }
    return true;
}

static int read_total(struct AgentInfo info, struct pf_resources *total, struct pf_err *err)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < AgentInfo_resources__len(info); i++) {
        rc = pf_m_resource_read(AgentInfo_resources__at(info, i), (struct pf_str){NULL, 0}, total,
                                err);
    }
    if (rc == 0 && AgentInfo_attributes__len(info) > PF_ATTRIBUTES_MAX) {
        rc = pf_err_set(err, PF_ELIMIT, "more than %d attributes", PF_ATTRIBUTES_MAX);
    }
    return rc;
}

/* Do the tasks and executors it is known to run fit `total`? */
static bool tasks_fit(const struct m_agent *a, const struct pf_resources *total)
{
    struct pf_resources left = pf_res_dup(total);
    const struct m_executor *x;
    const struct m_task *t;
    const struct m_link *l;
    bool fits = true;

    LIST_FOREACH(l, &a->links, of_agent)
    {
        LIST_FOREACH(x, &l->executors, of_link)
        {
            fits = fits && pf_res_contains(&left, &x->resources);
            if (fits) {
                pf_res_sub(&left, &x->resources);
            }
        }
    }

    TAILQ_FOREACH(t, &a->tasks, of_agent)
    {
        fits = fits && (!t->uses_resources || pf_res_contains(&left, &t->resources));
        if (fits && t->uses_resources) {
            pf_res_sub(&left, &t->resources);
        }
    }
    pf_res_fini(&left);
    return fits;
}

/* Takes what its tasks and executors use out of what is free, or gives it back. */
static void count_used(struct pf_master *m, struct m_agent *a,
                       void (*count)(struct pf_allocator *al, struct pf_al_agent *a,
                                     struct pf_al_framework *f, const struct pf_resources *r))
{
    const struct m_executor *x;
    const struct m_task *t;
    const struct m_link *l;

    TAILQ_FOREACH(t, &a->tasks, of_agent)
    {
        if (t->uses_resources) {
            count(m->al, a->al, t->framework->al, &t->resources);
        }
    }
    LIST_FOREACH(l, &a->links, of_agent)
    {
        LIST_FOREACH(x, &l->executors, of_link)
        {
            count(m->al, a->al, l->framework->al, &x->resources);
        }
    }
}

/* Makes what the allocator knows of it anew, with its tasks in it. */
static void renew_al(struct pf_master *m, struct m_agent *a, const struct pf_resources *total)
{
    struct pf_al_attribute attribute[PF_ATTRIBUTES_MAX * 2];
    struct AgentInfo info = AgentInfo__from_bytes(m_blob_bytes(&a->info));

    if (a->al) {
        count_used(m, a, pf_al_unuse);
        pf_al_agent_remove(m->al, a->al);
    }
    a->al = pf_al_agent_add(m->al, &(struct pf_al_agent_info){
                                       .id = pf_str(a->id),
                                       .hostname = pf_str(a->hostname),
                                       .total = total,
                                       .attribute = attribute,
                                       .n_attributes = pf_m_attributes_read(
                                           info, pf_m_arena(m), attribute, PF_ARRAY_LEN(attribute)),
                                       .traits = a->runs_as_root ? PF_AL_TRAIT_ROOT : 0,
                                       .number = a->number,
                                       .owner = a});
    count_used(m, a, pf_al_use);
}

static void set_particulars(struct m_agent *a, struct AgentRegister r, struct pf_bytes info)
{
    pf_m_agent_set_info(a, info);
    pf_m_text_set(&a->address, AgentRegister_address(r));
    pf_m_text_set(&a->http_address, AgentRegister_http_address(r));
    pf_m_text_set(&a->version, AgentRegister_version(r));
    pf_m_text_set(&a->isolation, AgentRegister_isolation(r));
    pf_m_text_set(&a->task_user, AgentRegister_task_user(r));
    a->pid = AgentRegister_pid(r);
    a->is_leaving = AgentRegister_is_leaving(r);
    a->runs_as_root = AgentRegister_runs_as_root(r);
    a->allows_any_user = AgentRegister_allows_any_user(r);
}

/* The agent of this id with no link; NULL: refused. */
static struct m_agent *agent_for(struct pf_master *m, struct m_peer *p, struct pf_str id,
                                 uint64_t request_id)
{
    struct m_agent *a = pf_m_agent_get(m, id);

    if (a && a->peer && a->peer != p) {
        struct m_peer *old = a->peer;

        if (old->instance[0] == '\0' || strcmp(old->instance, p->instance) != 0) {
            refuse(m, p, request_id, ReplyCode_CONFLICT, "agent %s is registered already, from %s",
                   a->id, a->address);
            return NULL;
        }
        pf_m_agent_link_down(m, a); /* a newer link of the same process */
        pf_m_close(m, old);
    } else if (a && a->peer) {
        pf_m_agent_link_down(m, a);
    } else if (!a && m->agents.len >= PF_AGENTS_MAX) {
        refuse(m, p, request_id, ReplyCode_TOO_MANY, "more than %d agents", PF_AGENTS_MAX);
        return NULL;
    }
    if (!a) {
        a = pf_m_agent_new(m, id, M_AGENT_REGISTERING, "admitted");
        a->admitted_ms = m->wall_ms;
    }
    return a;
}

/* Is all known that the agent could tell? Then it need not list its tasks. */
static bool is_all_known(const struct m_agent *a, struct AgentRegister r)
{
    struct pf_str instance = AgentRegister_instance(r);
    const struct m_task *t;

    if (!a->is_learnt || a->is_listing || a->needs_list || a->sm.state != M_AGENT_DISCONNECTED ||
        instance.len == 0 || !pf_str_is(instance, a->instance) ||
        AgentRegister_sequence(r) != a->sequence) {
        return false;
    }
    TAILQ_FOREACH(t, &a->tasks, of_agent)
    {
        if (t->sm.state == M_TASK_STAGING) {
            return false; /* sent, and never heard of */
        }
    }
    return true;
}

static void list_begin(struct pf_master *m, struct m_agent *a, struct AgentRegister r)
{
    struct pf_fb_builder *b;
    struct m_link *l, *next;

    pf_m_text_set(&a->instance, AgentRegister_instance(r));
    a->sequence = AgentRegister_sequence(r);
    a->is_listing = true;
    a->needs_list = false;
    a->registration++;
    pf_m_doomed_drop(a);
    for (l = LIST_FIRST(&a->links); l; l = next) {
        next = LIST_NEXT(l, of_agent);
        if (LIST_EMPTY(&l->executors)) {
            pf_m_link_free(l);
        }
    }
    b = pf_m_builder(m);
    struct pf_ref body = AgentTasksWanted__put(b, &(struct AgentTasksWanted__args){0});

    if (a->request_id > 0) {
        pf_m_reply_body(m, a->peer, a->request_id, Body_AgentTasksWanted, body);
    } else {
        pf_m_send(m, a->peer, Body_AgentTasksWanted, body);
    }
}

static void register_finish(struct pf_master *m, struct m_agent *a);

/* The agent is who it says and may register: it is REGISTERING from now on. */
static void register_begin(struct pf_master *m, struct m_peer *p, struct m_agent *a,
                           struct AgentRegister r, struct pf_bytes info,
                           const struct pf_resources *total)
{
    bool is_new = a->sm.state == M_AGENT_REGISTERING;
    bool was_unreachable = a->sm.state == M_AGENT_UNREACHABLE;
    bool has_list = !is_all_known(a, r);
    struct m_blob before = a->info;

    if (!is_new) {
        pf_m_agent_move(m, a, M_AGENT_REGISTERING, "register");
    }
    a->is_returning = a->is_returning || was_unreachable;
    pf_heap_remove(&m->agent_deadlines, &a->deadline);
    pf_m_seen_forget(m, a);
    pf_m_removal_forget(m, a);
    a->info = (struct m_blob){0};
    set_particulars(a, r, info);
    renew_al(m, a, total);
    a->peer = p;
    p->agent = a;
    if (is_new || was_unreachable || before.len != a->info.len ||
        memcmp(before.at, a->info.at, before.len) != 0) {
        pf_m_agent_put_row(m, a);
    }
    pf_m_blob_fini(&before);
    if (has_list) {
        list_begin(m, a, r);
    } else {
        register_finish(m, a);
    }
}

void pf_m_on_agent_register(struct pf_master *m, struct m_peer *p, struct Envelope e)
{
    struct AgentRegister r = Envelope_body_as_AgentRegister(e);
    struct AgentInfo info = AgentRegister_info(r);
    struct pf_str id = AgentID_value(AgentInfo_id(info));
    uint64_t request_id = Envelope_request_id(e);
    struct pf_resources total = {0};
    struct pf_err err = {0};
    struct m_agent *a = NULL;
    struct pf_bytes copy;
    uint32_t max_bytes = m->o.row_max_bytes - PF_M_ROW_EXTRA_BYTES;

    max_bytes = max_bytes < PF_AGENT_INFO_MAX_BYTES ? max_bytes : PF_AGENT_INFO_MAX_BYTES;
    if (!identity_is_fine(m, p, r, id, request_id)) {
        return;
    }
    copy = pf_m_agent_info_copy(m, info);
    if (pf_m_agent_is_gone(m, id)) {
        pf_m_send_leave(m, p, true, NULL, PF_STR("an operator marked this agent gone"));
        refuse(m, p, request_id, ReplyCode_FORBIDDEN,
               "an operator marked agent %.*s gone: it cannot come back; start it with a new "
               "--work-dir",
               PF_STR_ARG(id));
    } else if (p->agent && !pf_str_eq(id, pf_str(p->agent->id))) {
        refuse(m, p, request_id, ReplyCode_BAD_REQUEST, "this link registered another agent");
    } else if (copy.len > max_bytes) {
        refuse(m, p, request_id, ReplyCode_TOO_LARGE, "the agent's info has more than %u bytes",
               max_bytes);
    } else if (read_total(info, &total, &err) < 0) {
        refuse(m, p, request_id, ReplyCode_BAD_REQUEST, "agent resources: %s", err.msg);
    } else {
        a = agent_for(m, p, id, request_id);
    }
    if (a && !tasks_fit(a, &total)) {
        refuse(m, p, request_id, ReplyCode_CONFLICT,
               "the agent's resources are less than its tasks use");
        a = NULL;
    }
    if (a) {
        a->request_id = request_id;
        register_begin(m, p, a, r, copy, &total);
    }
    pf_res_fini(&total);
}

/* --- its frameworks and tasks --- */

/* False: the registration was refused. */
static bool learn_framework(struct pf_master *m, struct m_agent *a, struct AgentFramework x)
{
    struct pf_str id = AgentFramework_framework_id(x);
    struct m_framework *f = pf_m_framework_get(m, id);

    if (!f && pf_m_framework_completed(m, id)) {
        pf_m_send_teardown(m, a, id);
        return true;
    }
    if (!f && (pf_id_problem(id) || AgentFramework_info__bytes(x).len == 0 ||
               m->frameworks.len >= PF_FRAMEWORKS_MAX)) {
        refuse(m, a->peer, a->request_id, ReplyCode_BAD_REQUEST,
               "framework \"%.*s\" of the agent cannot be taken over", PF_STR_ARG(id));
        return false;
    }
    if (!f) {
        f = pf_m_framework_learn(m, id, AgentFramework_info__bytes(x));
    }
    (void)pf_m_link_need(a, f);
    return true;
}

static void register_finish(struct pf_master *m, struct m_agent *a)
{
    struct m_task *next;
    struct m_link *l;
    struct pf_fb_builder *b;
    bool was_awaited = m_agent_is_awaited(a);

    for (struct m_task *t = TAILQ_FIRST(&a->tasks); t && a->is_listing; t = next) {
        next = TAILQ_NEXT(t, of_agent);
        if (t->registration != a->registration) {
            pf_m_task_missing(m, t);
        }
    }
    if (a->is_listing) {
        pf_m_executors_missing(m, a);
    }
    LIST_FOREACH(l, &a->links, of_agent)
    {
        l->info_sent = false;
    }
    a->is_listing = false;
    a->is_returning = false;
    if (a->registered_ms == 0) {
        a->registered_ms = m->wall_ms;
    } else {
        a->reregistered_ms = m->wall_ms;
    }
    a->seen_ms = m->wall_ms;
    pf_m_agent_move(m, a, M_AGENT_REGISTERED, "tasks");
    b = pf_m_builder(m);
    struct pf_ref body = AgentRegistered__put(
        b, &(struct AgentRegistered__args){.agent_id = pf_str(a->id),
                                           .unreachable_ms = m->o.agent_unreachable_ms,
                                           .is_deactivated = a->is_deactivated,
                                           .drain = pf_m_drain_put(b, a)});

    if (a->request_id > 0) {
        pf_m_reply_body(m, a->peer, a->request_id, Body_AgentRegistered, body);
        a->request_id = 0;
    } else {
        pf_m_send(m, a->peer, Body_AgentRegistered, body);
    }
    for (struct m_task *t = TAILQ_FIRST(&a->tasks); t; t = TAILQ_NEXT(t, of_agent)) {
        if (t->has_kill && !t->is_ended) {
            pf_m_send_kill(m, t);
        }
    }
    pf_m_executors_resend(m, a);
    pf_m_doomed_kill(m, a);
    pf_m_drain_go_on(m, a);
    pf_m_agent_set_open(m, a);
    if (was_awaited && m->n_awaited == 0) {
        pf_m_frameworks_all_back(m);
    }
}

void pf_m_on_agent_tasks(struct pf_master *m, struct m_peer *p, struct Envelope e)
{
    struct AgentTasks x = Envelope_body_as_AgentTasks(e);
    struct m_agent *a = p->agent;
    uint64_t request_id = Envelope_request_id(e);
    struct pf_err err = {0};

    if (!a || a->sm.state != M_AGENT_REGISTERING) {
        m->stats.bad_messages++;
        pf_m_reply(m, p, request_id, ReplyCode_CONFLICT, "the agent is not registering");
        return;
    }
    for (uint32_t i = 0; i < AgentTasks_frameworks__len(x); i++) {
        if (!learn_framework(m, a, AgentTasks_frameworks__at(x, i))) {
            return;
        }
    }
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < AgentTasks_executors__len(x); i++) {
        rc = pf_m_executor_learn(m, a, AgentTasks_executors__at(x, i), &err);
    }
    for (uint32_t i = 0; rc == 0 && i < AgentTasks_tasks__len(x); i++) {
        rc = pf_m_task_learn(m, a, AgentTasks_tasks__at(x, i), &err);
    }
    if (rc < 0) {
        refuse(m, p, a->request_id > 0 ? a->request_id : request_id, ReplyCode_BAD_REQUEST, "%s",
               err.msg);
        return;
    }
    if (AgentTasks_last(x)) {
        register_finish(m, a);
    }
    pf_m_reply(m, p, request_id, ReplyCode_OK, "%s", "");
}
