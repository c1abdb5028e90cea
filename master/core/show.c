/* SPDX-License-Identifier: Apache-2.0 */
/* See show.h. Scratch lives in the turn's arena. */
#include "master/core/show.h"

#include <string.h>
#include "master/core/convert.h"

static const struct pf_str none = {NULL, 0};

static struct pf_ref time_put(struct pf_fb_builder *b, int64_t wall_ms)
{
    if (wall_ms == 0) {
        return (struct pf_ref){0};
    }
    return TimeInfo__put(b, &(struct TimeInfo__args){.nanoseconds = PF_OPT(wall_ms * 1000000)});
}

static enum AgentState agent_state(const struct m_agent *a)
{
    switch ((enum m_agent_state)a->sm.state) {
    case M_AGENT_RECOVERED: return AgentState_RECOVERED;
    case M_AGENT_REGISTERED: return AgentState_REGISTERED;
    case M_AGENT_REGISTERING:
    case M_AGENT_DISCONNECTED: return AgentState_DISCONNECTED;
    case M_AGENT_UNREACHABLE: return AgentState_UNREACHABLE;
    case M_AGENT_INVALID:
    case M_AGENT_COUNT: break;
    }
    return AgentState_UNKNOWN;
}

/* What is in offers, and what is in tasks: total - free - offered. */
static void agent_sums(const struct m_agent *a, struct pf_resources *offered,
                       struct pf_resources *allocated)
{
    for (const struct pf_al_hold *h = pf_al_agent_holds(a->al); h != NULL; h = h->next) {
        pf_res_add(offered, &h->resources);
    }
    pf_res_add(allocated, pf_al_agent_total(a->al));
    pf_res_sub(allocated, pf_al_agent_free(a->al));
    pf_res_sub(allocated, offered);
}

struct pf_ref pf_m_show_agent(struct pf_master *m, struct pf_fb_builder *b, const struct m_agent *a)
{
    struct pf_arena *arena = pf_turn_arena(m->turn);
    struct pf_msg info_msg = {a->info.at, a->info.len, &AgentInfo__desc};
    struct AgentInfo info = AgentInfo__root(info_msg);
    struct pf_resources offered = {0}, allocated = {0};
    struct Master_Response_GetAgents_Agent__args args = {
        .active = PF_OPT(m_agent_is_registered(a)),
        .deactivated = PF_OPT(false),
        .version = pf_str(a->version != NULL ? a->version : ""),
        .address = pf_str(a->address),
        .http_address = pf_str(a->http_address),
        .state = agent_state(a),
        .n_tasks = a->n_tasks,
        .last_seen_ms = m_agent_is_registered(a) ? m->wall_ms : a->seen_ms,
        .isolation = pf_str(a->isolation),
    };
    if (a->address != NULL) {
        args.pid = pf_arena_printf(arena, "agent@%s", a->address);
    }
    if (a->al != NULL) {
        agent_sums(a, &offered, &allocated);
        args.total_resources = pf_m_resources_put(b, arena, pf_al_agent_total(a->al), none);
        args.allocated_resources = pf_m_resources_put(b, arena, &allocated, none);
        args.offered_resources = pf_m_resources_put(b, arena, &offered, none);
    }
    args.registered_time = time_put(b, a->registered_ms);
    args.reregistered_time = time_put(b, a->reregistered_ms);
    args.agent_info = AgentInfo__copy(b, info);
    pf_res_fini(&offered);
    pf_res_fini(&allocated);
    return Master_Response_GetAgents_Agent__put(b, &args);
}

struct pf_ref pf_m_show_demand(struct pf_master *m, struct pf_fb_builder *b, const struct m_demand *d)
{
    struct pf_arena *arena = pf_turn_arena(m->turn);
    struct Demand__args args = {
        .id = pf_str(d->id),
        .count = pf_al_want_count(d->want),
        .id_prefix = pf_str(d->id_prefix),
        .name = pf_str(d->name),
        .command = pf_str(d->command),
        .role = pf_str(d->role),
        .waiting_since_ms = d->is_waiting ? d->waiting_since_wall_ms : 0,
        .waiting_reason = pf_str(d->is_waiting ? d->text : NULL),
    };
    args.resources = pf_m_resources_put(b, arena, pf_al_want_need(d->want), none);
    uint32_t n = 0;
    while (pf_al_want_constraint(d->want, n) != NULL) {
        n++;
    }
    args.constraints = pf_m_constraints_put(b, arena, d->want, n);
    return Demand__put(b, &args);
}

static struct pf_refs demands_put(struct pf_master *m, struct pf_fb_builder *b,
                                  const struct m_framework *f)
{
    struct pf_ref *refs = pf_arena_alloc(pf_turn_arena(m->turn), (f->n_demands + 1) * sizeof *refs);
    uint32_t n = 0;
    struct m_demand *d;
    TAILQ_FOREACH (d, &f->demands, of_framework) {
        refs[n++] = pf_m_show_demand(m, b, d);
    }
    return (struct pf_refs){refs, n};
}

static struct pf_ref url_put(struct pf_master *m, struct pf_fb_builder *b, const struct m_agent *a)
{
    const char *http = a->http_address != NULL ? a->http_address : "";
    const char *colon = strrchr(http, ':');
    if (colon == NULL) {
        return (struct pf_ref){0};
    }
    int32_t port = 0;
    for (const char *d = colon + 1; *d >= '0' && *d <= '9' && port < 65536; d++) {
        port = port * 10 + (*d - '0');
    }
    struct Address__args address = {
        .hostname = pf_str(a->hostname),
        .ip = pf_arena_printf(pf_turn_arena(m->turn), "%.*s", (int)(colon - http), http),
        .port = PF_OPT(port),
    };
    return URL__put(b, &(struct URL__args){.scheme = PF_STR("http"),
                                           .address = Address__put(b, &address),
                                           .path = PF_STR("/slave(1)")});
}

static struct pf_refs attributes_put(struct pf_master *m, struct pf_fb_builder *b,
                                     struct AgentInfo info)
{
    uint32_t n = AgentInfo_attributes__len(info);
    struct pf_ref *refs = pf_arena_alloc(pf_turn_arena(m->turn), (n + 1) * sizeof *refs);
    for (uint32_t i = 0; i < n; i++) {
        refs[i] = Attribute__copy(b, AgentInfo_attributes__at(info, i));
    }
    return (struct pf_refs){refs, n};
}

struct pf_ref pf_m_show_offer(struct pf_master *m, struct pf_fb_builder *b, const struct m_offer *o)
{
    const struct m_framework *f = o->framework;
    const struct m_agent *a = o->agent;
    struct pf_msg info = {a->info.at, a->info.len, &AgentInfo__desc};
    struct pf_str role = pf_str(f->role);
    struct Offer__args args = {
        .id = OfferID__put(b, &(struct OfferID__args){.value = {o->id, o->id_len}}),
        .framework_id = FrameworkID__put(b, &(struct FrameworkID__args){.value = pf_str(f->id)}),
        .agent_id = AgentID__put(b, &(struct AgentID__args){.value = pf_str(a->id)}),
        .hostname = pf_str(a->hostname),
        .url = url_put(m, b, a),
        .resources = pf_m_resources_put(b, pf_turn_arena(m->turn), &o->hold->resources,
                                        f->is_multi_role ? role : none),
        .attributes = attributes_put(m, b, AgentInfo__root(info)),
        .allocation_info = Resource_AllocationInfo__put(
            b, &(struct Resource_AllocationInfo__args){.role = role}),
        .agent_address = pf_str(a->address),
        .created_ms = o->created_ms,
    };
    if (o->hold->want != NULL) {
        const struct m_demand *d = pf_al_want_owner(o->hold->want);
        args.demand_id = pf_str(d->id);
        args.demand_count = o->hold->count;
    }
    return Offer__put(b, &args);
}

/* Over several agents only scalars add up to something. */
static void framework_sums(const struct m_framework *f, struct pf_resources *offered,
                           struct pf_resources *allocated)
{
    struct m_offer *o;
    TAILQ_FOREACH (o, &f->offers, of_framework) {
        pf_res_add_scalars(offered, &o->hold->resources);
    }
    pf_res_add_scalars(allocated, pf_al_framework_allocated(f->al));
    pf_res_sub_scalars(allocated, offered);
}

struct pf_ref pf_m_show_framework(struct pf_master *m, struct pf_fb_builder *b,
                               const struct m_framework *f)
{
    struct pf_arena *arena = pf_turn_arena(m->turn);
    struct pf_resources offered = {0}, allocated = {0};
    bool is_active = m_framework_is_active(f);
    struct Master_Response_GetFrameworks_Framework__args args = {
        .framework_info = m_blob_bytes(&f->info),
        .active = PF_OPT(is_active),
        .connected = PF_OPT(is_active),
        .recovered = PF_OPT(f->sm.state == M_FRAMEWORK_RECOVERED),
        .n_tasks = f->task_order.n_live,
        .n_offers = f->n_offers,
        .role = pf_str(f->role),
        .has_demands = f->has_demands,
    };
    if (f->al != NULL) {
        framework_sums(f, &offered, &allocated);
        args.allocated_resources = pf_m_resources_put(b, arena, &allocated, none);
        args.offered_resources = pf_m_resources_put(b, arena, &offered, none);
        args.demands = demands_put(m, b, f);
    }
    args.registered_time = time_put(b, f->registered_ms);
    args.reregistered_time = time_put(b, f->reregistered_ms);
    args.unregistered_time = time_put(b, f->unregistered_ms);
    pf_res_fini(&offered);
    pf_res_fini(&allocated);
    return Master_Response_GetFrameworks_Framework__put(b, &args);
}

/* The parts of a task that do not change, from what was kept of its TaskInfo. */
static void task_summary_put(struct pf_fb_builder *b, struct pf_arena *arena, struct Task s,
                             struct Task__args *out)
{
    uint32_t n = Task_limits__len(s);
    struct pf_ref *limits = pf_arena_alloc(arena, (n + 1) * sizeof *limits);
    for (uint32_t i = 0; i < n; i++) {
        limits[i] = MapOfValueScalar__copy(b, Task_limits__at(s, i));
    }
    out->name = Task_name(s);
    out->task_id = TaskID__copy(b, Task_task_id(s));
    out->framework_id = FrameworkID__copy(b, Task_framework_id(s));
    out->executor_id = ExecutorID__copy(b, Task_executor_id(s));
    out->agent_id = AgentID__copy(b, Task_agent_id(s));
    out->labels = Labels__copy(b, Task_labels(s));
    out->discovery = DiscoveryInfo__copy(b, Task_discovery(s));
    out->container = ContainerInfo__copy(b, Task_container(s));
    out->health_check = HealthCheck__copy(b, Task_health_check(s));
    out->kill_policy = KillPolicy__copy(b, Task_kill_policy(s));
    out->user = Task_user(s);
    out->limits = (struct pf_refs){limits, n};
    out->command = Task_command(s);
    out->role = Task_role(s);
    out->sandbox = Task_sandbox(s);
    out->grace_ms = Task_grace_ms(s);
}

struct pf_ref pf_m_show_task(struct pf_master *m, struct pf_fb_builder *b, const struct m_task *t)
{
    struct pf_arena *arena = pf_turn_arena(m->turn);
    struct pf_msg summary = {t->summary.at, t->summary.len, &Task__desc};
    struct Task__args args = {0};
    task_summary_put(b, arena, Task__root(summary), &args);
    args.state.has = true;
    args.state.v = t->state;
    args.status_update_state.has = true;
    args.status_update_state.v = t->update_state;
    struct pf_ref status = {0};
    if (t->status.at != NULL) {
        struct pf_msg msg = {t->status.at, t->status.len, &TaskStatus__desc};
        struct TaskStatus last = TaskStatus__root(msg);
        status = TaskStatus__copy(b, last);
        args.statuses = (struct pf_refs){&status, 1};
        if (t->is_pending) {
            args.status_update_uuid = TaskStatus_uuid(last);
        }
    }
    args.resources = pf_m_resources_put(b, arena, &t->resources, pf_str(t->framework->role));
    args.exit_status.has = t->has_exit_status;
    args.exit_status.v = t->exit_status;
    args.signal.has = t->has_signal;
    args.signal.v = t->signal;
    args.created_ms = t->created_ms;
    args.started_ms = t->started_ms;
    args.finished_ms = t->finished_ms;
    args.launch_uuid = (struct pf_bytes){t->launch.b, sizeof t->launch.b};
    if (t->agent != NULL) {
        args.agent_address = pf_str(t->agent->address);
    }
    return Task__put(b, &args);
}
