/* SPDX-License-Identifier: Apache-2.0 */
/* What callbacks get to see of messages. Texts of a message end with a NUL, so they are borrowed as
 * they are. */
#include <string.h>
#include <sys/wait.h>
#include "common/base/resources.h"
#include "framework/lib/scheduler_internal.h"

static int64_t bytes_of_milli(int64_t milli_mb)
{
    return milli_mb / 1000 * (1 << 20) + milli_mb % 1000 * (1 << 20) / 1000;
}

static void view_scalar(struct pf_offer_view *v, struct pf_str name, int64_t milli)
{
    if (pf_str_is(name, "cpus")) {
        v->cpus_milli += milli;
    } else if (pf_str_is(name, "mem")) {
        v->mem_bytes += bytes_of_milli(milli);
    } else if (pf_str_is(name, "disk")) {
        v->disk_bytes += bytes_of_milli(milli);
    } else if (pf_str_is(name, "gpus")) {
        v->gpus_milli += milli;
    }
}

static void view_resources(struct pf_arena *scratch, struct Offer offer, struct pf_offer_view *v)
{
    uint32_t n_ranges = 0;
    struct pf_port_range *port;

    for (uint32_t i = 0; i < Offer_resources__len(offer); i++) {
        struct Resource r = Offer_resources__at(offer, i);
        int64_t milli;

        n_ranges += Value_Ranges_range__len(Resource_ranges(r));
        if (Resource_type(r) == Value_Type_SCALAR &&
            pf_milli_from_double(Value_Scalar_value(Resource_scalar(r)), &milli, NULL) == 0) {
            view_scalar(v, Resource_name(r), milli);
        }
    }
    port = pf_arena_alloc(scratch, (n_ranges + 1) * sizeof *port);
    for (uint32_t i = 0; i < Offer_resources__len(offer); i++) {
        struct Resource r = Offer_resources__at(offer, i);
        struct Value_Ranges ranges = Resource_ranges(r);

        for (uint32_t k = 0; k < Value_Ranges_range__len(ranges); k++) {
            if (pf_str_is(Resource_name(r), "ports")) {
                port[v->n_ports++] = (struct pf_port_range){
                    Value_Range_begin(Value_Ranges_range__at(ranges, k)),
                    Value_Range_end(Value_Ranges_range__at(ranges, k))};
            }
        }
    }
    v->ports = port;
}

/* "1.5", "[1-5,7-9]", "{a,b}", or the text itself. */
static const char *attribute_text(struct pf_arena *scratch, struct Attribute a)
{
    struct Value_Ranges ranges = Attribute_ranges(a);
    struct Value_Set set = Attribute_set(a);
    struct pf_buf b = {0};
    const char *text;
    int64_t milli;

    if (Attribute__has_text(a)) {
        return Value_Text_value(Attribute_text(a)).at;
    }
    if (Attribute__has_scalar(a) &&
        pf_milli_from_double(Value_Scalar_value(Attribute_scalar(a)), &milli, NULL) == 0) {
        pf_milli_format(milli, &b);
    } else if (Attribute__has_set(a)) {
        for (uint32_t i = 0; i < Value_Set_item__len(set); i++) {
            pf_buf_add_byte(&b, i ? ',' : '{');
            pf_buf_add_str(&b, Value_Set_item__at(set, i));
        }
        pf_buf_add_byte(&b, '}');
    } else {
        for (uint32_t i = 0; i < Value_Ranges_range__len(ranges); i++) {
            struct Value_Range r = Value_Ranges_range__at(ranges, i);

            pf_buf_printf(&b, "%s%llu-%llu", i ? "," : "[",
                          (unsigned long long)Value_Range_begin(r),
                          (unsigned long long)Value_Range_end(r));
        }
        pf_buf_add_byte(&b, ']');
    }
    text = pf_arena_strdup(scratch, pf_str(pf_buf_cstr(&b))).at;
    pf_buf_fini(&b);
    return text;
}

static void view_offer(struct pf_arena *scratch, struct Offer offer, struct pf_offer_view *v)
{
    uint32_t n = Offer_attributes__len(offer);
    struct pf_attribute *attribute = pf_arena_alloc(scratch, (n + 1) * sizeof *attribute);

    *v = (struct pf_offer_view){
        .id = OfferID_value(Offer_id(offer)).at,
        .agent_id = AgentID_value(Offer_agent_id(offer)).at,
        .hostname = Offer_hostname(offer).at,
        .agent_address = Offer_agent_address(offer).at,
        .demand_count = Offer_demand_count(offer),
        .attributes = attribute,
        .n_attributes = n,
        .impl = offer.tab.p,
    };
    if (Offer_demand_id(offer).len > 0) {
        v->demand_id = Offer_demand_id(offer).at;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct Attribute a = Offer_attributes__at(offer, i);

        attribute[i] = (struct pf_attribute){Attribute_name(a).at, attribute_text(scratch, a)};
    }
    view_resources(scratch, offer, v);
}

struct pf_offer_view *scheduler_offer_views(struct pf_arena *scratch,
                                            struct Scheduler_Event_Offers offers, size_t *out_n)
{
    uint32_t n = Scheduler_Event_Offers_offers__len(offers);
    struct pf_offer_view *view = pf_arena_alloc(scratch, (n + 1) * sizeof *view);

    for (uint32_t i = 0; i < n; i++) {
        view_offer(scratch, Scheduler_Event_Offers_offers__at(offers, i), &view[i]);
    }
    *out_n = n;
    return view;
}

void scheduler_status_view(const struct pf_driver_update *update, struct pf_task_status *out)
{
    struct TaskStatus s = update->status;
    struct pf_bytes uuid = TaskStatus_uuid(s), data = TaskStatus_data(s);
    double seconds = TaskStatus_timestamp(s);

    *out = (struct pf_task_status){
        .task_id = TaskID_value(TaskStatus_task_id(s)).at,
        .agent_id = AgentID_value(TaskStatus_agent_id(s)).at,
        .state = (enum pf_task_state)TaskStatus_state(s),
        .is_final = pf_driver_state_is_final(TaskStatus_state(s)),
        .message = TaskStatus_message(s).at,
        .has_exit_status = TaskStatus__has_exit_status(s),
        .exit_status = TaskStatus_exit_status(s),
        .signal = TaskStatus_signal(s),
        .wants_ack = update->wants_ack,
        .impl = s.tab.p,
        .executor_id = ExecutorID_value(TaskStatus_executor_id(s)).at,
        .data = data.at,
        .data_bytes = data.len,
        .has_healthy = TaskStatus__has_healthy(s),
        .is_healthy = TaskStatus_healthy(s),
    };
    if (TaskStatus__has_reason(s)) {
        out->reason = TaskStatus_Reason__str((int)TaskStatus_reason(s));
    }
    if (seconds > 0 && seconds < 1e12) {
        out->time_ms = (int64_t)(seconds * 1000 + 0.5);
    }
    if (uuid.len == sizeof out->uuid) {
        memcpy(out->uuid, uuid.at, sizeof out->uuid);
    }
}

void scheduler_failure_view(struct Scheduler_Event_Failure f, struct pf_failure *out)
{
    int status = Scheduler_Event_Failure_status(f);

    *out = (struct pf_failure){
        .agent_id = AgentID_value(Scheduler_Event_Failure_agent_id(f)).at,
        .executor_id = ExecutorID_value(Scheduler_Event_Failure_executor_id(f)).at,
    };
    if (Scheduler_Event_Failure__has_status(f) && status >= 0) { /* negative: nobody saw it */
        out->has_exit_status = WIFEXITED(status);
        out->exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
        out->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    }
}

void scheduler_demand_view(struct Scheduler_Event_DemandStatus s, struct pf_demand_status *out)
{
    struct pf_str text = Scheduler_Event_DemandStatus_text(s);

    *out = (struct pf_demand_status){
        .demand_id = Scheduler_Event_DemandStatus_demand_id(s).at,
        .state = (enum pf_demand_state)Scheduler_Event_DemandStatus_state(s),
        .waiting = Scheduler_Event_DemandStatus_waiting(s),
        .text = text.at ? text.at : "",
        .waited_ms = Scheduler_Event_DemandStatus_waited_ms(s),
        .impl = s.tab.p,
    };
}
