/* SPDX-License-Identifier: Apache-2.0 */
/* Builds the calls and sends them to the leader. */
#include <string.h>
#include "common/base/alloc.h"
#include "common/link/envelope.h"
#include "framework/driver/driver_internal.h"

static struct pf_ref put_task_id(struct pf_fb_builder *b, struct pf_str id)
{
    return TaskID__put(b, &(struct TaskID__args){.value = id});
}

/* Absent for an absent or empty id. */
static struct pf_ref put_agent_id(struct pf_fb_builder *b, struct pf_str id)
{
    return id.len > 0 ? AgentID__put(b, &(struct AgentID__args){.value = id}) : (struct pf_ref){0};
}

/* Wraps the call and sends it; `request_id` 0: no answer wanted. */
static void call_send(struct pf_driver *d, struct Scheduler_Call__args *call, uint64_t request_id,
                      struct pf_fb_builder *b, struct pf_turn *t)
{
    struct pf_envelope e = {.request_id = request_id, .body_type = Body_Scheduler_Call};
    struct pf_msg msg;

    PF_ASSERT(d->leader >= 0);
    if (d->framework_id) {
        call->framework_id = FrameworkID__put(
            b, &(struct FrameworkID__args){.value = pf_str(d->framework_id)});
    }
    msg = pf_envelope_finish(b, &e, Scheduler_Call__put(b, call));
    pf_turn_send(t, d->peer[d->leader], pf_msg_bytes(msg));
}

/* The roles of the framework, for suppressing all of them. Borrowed from the FrameworkInfo. */
static struct pf_strs framework_roles(const struct pf_driver *d, struct pf_turn *t)
{
    struct FrameworkInfo info = FrameworkInfo__from_bytes(d->framework);
    uint32_t n = FrameworkInfo_roles__len(info);
    struct pf_str *role = pf_arena_alloc(pf_turn_arena(t), (n + 1) * sizeof *role);

    for (uint32_t i = 0; i < n; i++) {
        role[i] = FrameworkInfo_roles__at(info, i);
    }
    if (n == 0) {
        role[n++] = FrameworkInfo_role(info);
    }
    return (struct pf_strs){role, n};
}

/* What is still wanted of the demands: what was launched for them does not come back. */
static struct pf_refs put_demands(const struct pf_driver *d, struct pf_fb_builder *b,
                                  struct pf_turn *t)
{
    struct Scheduler_Call_Demand all = Scheduler_Call_Demand__from_bytes(d->demand);
    uint32_t len = Scheduler_Call_Demand_demands__len(all), n = 0;
    struct pf_ref *ref = pf_arena_alloc(pf_turn_arena(t), (len + 1) * sizeof *ref);

    for (uint32_t i = 0; i < len; i++) {
        struct Demand one = Scheduler_Call_Demand_demands__at(all, i);
        uint32_t count = Demand_count(one);

        if (count > d->demand_placed[i]) {
            ref[n++] = driver_put_demand(b, one, count - d->demand_placed[i], t);
        }
    }
    return (struct pf_refs){ref, n};
}

struct pf_ref driver_put_demand(struct pf_fb_builder *b, struct Demand one, uint32_t count,
                                struct pf_turn *t)
{
    uint32_t n_res = Demand_resources__len(one), n_con = Demand_constraints__len(one);
    struct pf_ref *res = pf_arena_alloc(pf_turn_arena(t), (n_res + n_con + 1) * sizeof *res);
    struct pf_ref *con = res + n_res;

    for (uint32_t i = 0; i < n_res; i++) {
        res[i] = Resource__copy(b, Demand_resources__at(one, i));
    }
    for (uint32_t i = 0; i < n_con; i++) {
        con[i] = Constraint__copy(b, Demand_constraints__at(one, i));
    }
    return Demand__put(b, &(struct Demand__args){
        .id = Demand_id(one), .count = count, .resources = {res, n_res},
        .constraints = {con, n_con}, .id_prefix = Demand_id_prefix(one), .name = Demand_name(one),
        .command = Demand_command(one), .role = Demand_role(one)});
}

void driver_send_subscribe(struct pf_driver *d, struct pf_turn *t)
{
    struct pf_fb_builder *b = pf_turn_builder(t);
    struct Scheduler_Call_Subscribe__args args = {
        .framework_info = d->framework,
        .has_demands = d->has_demand,
        .durable = d->is_durable,
        .instance = pf_str(d->instance),
        .generation = d->generation,
    };
    struct Scheduler_Call__args call = {
        .type = {true, Scheduler_Call_Type_SUBSCRIBE},
    };

    if (d->is_suppressed) {
        args.suppressed_roles = framework_roles(d, t);
    }
    if (d->has_demand) {
        args.demands = put_demands(d, b, t);
    }
    call.subscribe = Scheduler_Call_Subscribe__put(b, &args);
    d->subscribe_request = ++d->next_request;
    call_send(d, &call, d->subscribe_request, b, t);
}

void driver_send_teardown(struct pf_driver *d, struct pf_turn *t)
{
    struct Scheduler_Call__args call = {.type = {true, Scheduler_Call_Type_TEARDOWN}};

    d->teardown_request = ++d->next_request;
    call_send(d, &call, d->teardown_request, pf_turn_builder(t), t);
}

static struct pf_refs put_offer_ids(struct pf_fb_builder *b, const struct pf_str *offer, uint32_t n,
                                    struct pf_turn *t)
{
    struct pf_ref *ref = pf_arena_alloc(pf_turn_arena(t), (n + 1) * sizeof *ref);

    for (uint32_t i = 0; i < n; i++) {
        ref[i] = OfferID__put(b, &(struct OfferID__args){.value = offer[i]});
    }
    return (struct pf_refs){ref, n};
}

static struct pf_ref put_filters(struct pf_fb_builder *b, int64_t refuse_ms)
{
    if (refuse_ms < 0) {
        return (struct pf_ref){0};
    }
    return Filters__put(b, &(struct Filters__args){
        .refuse_seconds = PF_OPT(pf_milli_to_double(refuse_ms))});
}

/* LAUNCH or LAUNCH_GROUP of all tasks. */
static struct pf_ref put_operation(struct pf_fb_builder *b, const struct pf_driver_event *ev,
                                   struct pf_turn *t)
{
    uint32_t n = ev->accept.n_tasks;
    struct pf_ref *task = pf_arena_alloc(pf_turn_arena(t), (n + 1) * sizeof *task);
    struct Offer_Operation_LaunchGroup__args group = {0};
    struct Offer_Operation__args op = {.type = {true, Offer_Operation_Type_LAUNCH}};

    for (uint32_t i = 0; i < n; i++) {
        task[i] = TaskInfo_Nested__put(
            b, &(struct TaskInfo_Nested__args){.info = pf_msg_bytes(ev->accept.task[i])});
    }
    if (!ev->accept.is_group) {
        op.launch = Offer_Operation_Launch__put(
            b, &(struct Offer_Operation_Launch__args){.task_infos = {task, n}});
        return Offer_Operation__put(b, &op);
    }
    op.type.v = Offer_Operation_Type_LAUNCH_GROUP;
    group.executor = pf_msg_bytes(ev->accept.executor);
    group.task_group = TaskGroupInfo__put(b, &(struct TaskGroupInfo__args){.tasks = {task, n}});
    op.launch_group = Offer_Operation_LaunchGroup__put(b, &group);
    return Offer_Operation__put(b, &op);
}

void driver_send_accept(struct pf_driver *d, const struct pf_driver_event *ev, struct pf_turn *t)
{
    struct pf_fb_builder *b = pf_turn_builder(t);
    struct pf_ref op = put_operation(b, ev, t);
    struct Scheduler_Call__args call = {.type = {true, Scheduler_Call_Type_ACCEPT}};
    struct Scheduler_Call_Accept__args accept = {0};

    accept.operations = (struct pf_refs){&op, 1};
    accept.offer_ids = put_offer_ids(b, ev->accept.offer, ev->accept.n_offers, t);
    accept.filters = put_filters(b, ev->accept.refuse_ms);
    call.accept = Scheduler_Call_Accept__put(b, &accept);
    d->stats.accepts++;
    call_send(d, &call, 0, b, t);
}

void driver_send_decline(struct pf_driver *d, const struct pf_str *offer, uint32_t n,
                         int64_t refuse_ms, struct pf_turn *t)
{
    struct pf_fb_builder *b = pf_turn_builder(t);
    struct Scheduler_Call__args call = {.type = {true, Scheduler_Call_Type_DECLINE}};
    struct Scheduler_Call_Decline__args decline = {
        .offer_ids = put_offer_ids(b, offer, n, t),
        .filters = put_filters(b, refuse_ms),
    };

    call.decline = Scheduler_Call_Decline__put(b, &decline);
    call_send(d, &call, 0, b, t);
}

void driver_send_demand(struct pf_driver *d, struct pf_turn *t)
{
    struct pf_fb_builder *b = pf_turn_builder(t);
    struct Scheduler_Call__args call = {.type = {true, Scheduler_Call_Type_DEMAND}};

    call.demand = Scheduler_Call_Demand__put(
        b, &(struct Scheduler_Call_Demand__args){.demands = put_demands(d, b, t)});
    call_send(d, &call, 0, b, t);
}

void driver_send_suppress(struct pf_driver *d, struct pf_turn *t)
{
    struct pf_fb_builder *b = pf_turn_builder(t);
    struct Scheduler_Call__args call = {.type = {true, Scheduler_Call_Type_SUPPRESS}};

    call.suppress = Scheduler_Call_Suppress__put(b, &(struct Scheduler_Call_Suppress__args){0});
    call_send(d, &call, 0, b, t);
}

void driver_send_revive(struct pf_driver *d, struct pf_turn *t)
{
    struct pf_fb_builder *b = pf_turn_builder(t);
    struct Scheduler_Call__args call = {.type = {true, Scheduler_Call_Type_REVIVE}};

    call.revive = Scheduler_Call_Revive__put(b, &(struct Scheduler_Call_Revive__args){0});
    call_send(d, &call, 0, b, t);
}

void driver_send_kill(struct pf_driver *d, struct pf_str task_id, struct pf_str agent_id,
                      const struct pf_driver_kill *k, struct pf_turn *t)
{
    struct pf_fb_builder *b = pf_turn_builder(t);
    struct Scheduler_Call__args call = {.type = {true, Scheduler_Call_Type_KILL}};
    struct Scheduler_Call_Kill__args kill = {.task_id = put_task_id(b, task_id),
                                             .agent_id = put_agent_id(b, agent_id)};

    if (k->grace_ms >= 0) {
        struct DurationInfo__args grace = {.nanoseconds = PF_OPT(k->grace_ms * 1000000)};

        kill.kill_policy = KillPolicy__put(
            b, &(struct KillPolicy__args){.grace_period = DurationInfo__put(b, &grace)});
    }
    if (k->signal > 0) {
        kill.signal = (struct pf_opt_i32)PF_OPT(k->signal);
    }
    call.kill = Scheduler_Call_Kill__put(b, &kill);
    call_send(d, &call, 0, b, t);
}

void driver_send_ack(struct pf_driver *d, struct pf_str task_id, struct pf_str agent_id,
                     const uint8_t uuid[DRIVER_UUID_BYTES], struct pf_turn *t)
{
    struct pf_fb_builder *b = pf_turn_builder(t);
    struct Scheduler_Call__args call = {.type = {true, Scheduler_Call_Type_ACKNOWLEDGE}};
    struct Scheduler_Call_Acknowledge__args ack = {
        .agent_id = AgentID__put(b, &(struct AgentID__args){
            .value = agent_id.at ? agent_id : PF_STR("")}),
        .task_id = put_task_id(b, task_id),
        .uuid = {uuid, DRIVER_UUID_BYTES},
    };

    d->stats.acks++;
    call.acknowledge = Scheduler_Call_Acknowledge__put(b, &ack);
    call_send(d, &call, 0, b, t);
}

void driver_send_reconcile(struct pf_driver *d, const struct driver_question *q, uint32_t n,
                           struct pf_turn *t)
{
    struct pf_fb_builder *b = pf_turn_builder(t);
    struct pf_ref *ref = pf_arena_alloc(pf_turn_arena(t), (n + 1) * sizeof *ref);
    struct Scheduler_Call__args call = {.type = {true, Scheduler_Call_Type_RECONCILE}};

    PF_ASSERT(n <= PF_PAGE_MAX);
    for (uint32_t i = 0; i < n; i++) {
        struct Scheduler_Call_Reconcile_Task__args one = {
            .task_id = put_task_id(b, q[i].task_id),
            .agent_id = put_agent_id(b, q[i].agent_id),
        };

        driver_task_is_asked(d, q[i].task_id);
        ref[i] = Scheduler_Call_Reconcile_Task__put(b, &one);
    }
    call.reconcile = Scheduler_Call_Reconcile__put(
        b, &(struct Scheduler_Call_Reconcile__args){.tasks = {ref, n}});
    d->stats.reconciled_tasks += n;
    call_send(d, &call, 0, b, t);
}

void driver_send_message(struct pf_driver *d, struct pf_str agent_id, struct pf_str executor_id,
                         struct pf_bytes data, struct pf_turn *t)
{
    struct pf_fb_builder *b = pf_turn_builder(t);
    struct Scheduler_Call__args call = {.type = {true, Scheduler_Call_Type_MESSAGE}};
    struct Scheduler_Call_Message__args args = {
        .agent_id = put_agent_id(b, agent_id),
        .executor_id = ExecutorID__put(b, &(struct ExecutorID__args){.value = executor_id}),
        .data = {data.at ? data.at : (const uint8_t *)"", data.len},
    };

    call.message = Scheduler_Call_Message__put(b, &args);
    call_send(d, &call, 0, b, t);
}

void driver_send_shutdown(struct pf_driver *d, struct pf_str agent_id, struct pf_str executor_id,
                          struct pf_turn *t)
{
    struct pf_fb_builder *b = pf_turn_builder(t);
    struct Scheduler_Call__args call = {.type = {true, Scheduler_Call_Type_SHUTDOWN}};
    struct Scheduler_Call_Shutdown__args args = {
        .agent_id = put_agent_id(b, agent_id),
        .executor_id = ExecutorID__put(b, &(struct ExecutorID__args){.value = executor_id}),
    };

    call.shutdown = Scheduler_Call_Shutdown__put(b, &args);
    call_send(d, &call, 0, b, t);
}

/* All of `info` but the id, which is `id`. */
static struct pf_ref put_framework(struct pf_fb_builder *b, struct FrameworkInfo info,
                                   struct pf_str id, struct pf_arena *arena)
{
    uint32_t n_roles = FrameworkInfo_roles__len(info);
    uint32_t n_caps = FrameworkInfo_capabilities__len(info);
    uint32_t n_filters = FrameworkInfo_offer_filters__len(info);
    struct pf_str *role = pf_arena_alloc(arena, (n_roles + 1) * sizeof *role);
    struct pf_ref *cap = pf_arena_alloc(arena, (n_caps + 1) * sizeof *cap);
    struct pf_ref *filter = pf_arena_alloc(arena, (n_filters + 1) * sizeof *filter);
    struct FrameworkInfo__args args = {
        .user = FrameworkInfo_user(info),
        .name = FrameworkInfo_name(info),
        .hostname = FrameworkInfo_hostname(info),
        .principal = FrameworkInfo_principal(info),
        .webui_url = FrameworkInfo_webui_url(info),
    };

    for (uint32_t i = 0; i < n_roles; i++) {
        role[i] = FrameworkInfo_roles__at(info, i);
    }
    for (uint32_t i = 0; i < n_caps; i++) {
        cap[i] = FrameworkInfo_Capability__copy(b, FrameworkInfo_capabilities__at(info, i));
    }
    for (uint32_t i = 0; i < n_filters; i++) {
        filter[i] = MapOfOfferFilters__copy(b, FrameworkInfo_offer_filters__at(info, i));
    }
    args.roles = (struct pf_strs){role, n_roles};
    args.capabilities = (struct pf_refs){cap, n_caps};
    args.offer_filters = (struct pf_refs){filter, n_filters};
    if (FrameworkInfo__has_role(info)) {
        args.role = FrameworkInfo_role(info);
    }
    if (FrameworkInfo__has_failover_timeout(info)) {
        args.failover_timeout =
            (struct pf_opt_f64)PF_OPT(FrameworkInfo_failover_timeout(info));
    }
    if (FrameworkInfo__has_checkpoint(info)) {
        args.checkpoint = (struct pf_opt_bool)PF_OPT(FrameworkInfo_checkpoint(info));
    }
    if (FrameworkInfo__has_labels(info)) {
        args.labels = Labels__copy(b, FrameworkInfo_labels(info));
    }
    args.id = FrameworkID__put(b, &(struct FrameworkID__args){.value = id});
    return FrameworkInfo__put(b, &args);
}

void driver_framework_set_id(struct pf_driver *d, struct pf_str id)
{
    struct FrameworkInfo info = FrameworkInfo__from_bytes(d->framework);
    struct pf_arena arena = {0};
    struct pf_fb_builder b;
    struct pf_msg msg;

    if (id.len == 0 || (d->framework_id && pf_str_is(id, d->framework_id))) {
        return;
    }
    PF_FREE(d->framework_id);
    d->framework_id = pf_strndup(id.at, id.len);
    pf_fb_builder_init(&b, &arena);
    msg = FrameworkInfo__finish(&b, put_framework(&b, info, id, &arena));
    pf_free((void *)(uintptr_t)d->framework.at);
    d->framework = (struct pf_bytes){pf_memdup(msg.data, msg.len), msg.len};
    pf_arena_fini(&arena);
}
