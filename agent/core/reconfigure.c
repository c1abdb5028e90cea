/* SPDX-License-Identifier: Apache-2.0 */
/* May this start differ from the former one in hostname, resources and attributes? Tasks that run
 * on were placed by what the agent said then. */
#include "agent/core/calls_internal.h"

static struct pf_str attribute_text(struct pf_agent *a, struct Attribute x)
{
    struct pf_buf text = {0};

    if (Attribute_type(x) == Value_Type_SCALAR) {
        int64_t milli = 0;
        if (pf_milli_from_double(Value_Scalar_value(Attribute_scalar(x)), &milli, NULL) == 0) {
            pf_milli_format(milli, &text);
        }
    } else {
        struct pf_str value = Value_Text_value(Attribute_text(x));
        pf_buf_add(&text, value.at ? value.at : "", value.len);
    }
    struct pf_str kept = pf_arena_strdup(pf_turn_arena(a->turn), pf_str(pf_buf_cstr(&text)));

    pf_buf_fini(&text);
    return kept;
}

/* The value of an attribute; absent: there is none. */
static struct pf_str attribute_of(struct pf_agent *a, struct AgentInfo info, struct pf_str name)
{
    for (uint32_t i = 0; i < AgentInfo_attributes__len(info); i++) {
        struct Attribute x = AgentInfo_attributes__at(info, i);
        if (pf_str_eq(Attribute_name(x), name)) {
            return attribute_text(a, x);
        }
    }
    return (struct pf_str){NULL, 0};
}

/* An attribute of `is` that `was` lacks, or has otherwise. */
static const char *attribute_change(struct pf_agent *a, struct AgentInfo was, struct AgentInfo is,
                                    bool is_new)
{
    for (uint32_t i = 0; i < AgentInfo_attributes__len(is); i++) {
        struct Attribute x = AgentInfo_attributes__at(is, i);
        struct pf_str name = Attribute_name(x), value = attribute_text(a, x);
        struct pf_str other = attribute_of(a, was, name);

        if (other.at && pf_str_eq(other, value)) {
            continue;
        }
        struct pf_arena *arena = pf_turn_arena(a->turn);
        if (!other.at) {
            return pf_arena_printf(arena, "the attribute %.*s:%.*s is %s", PF_STR_ARG(name),
                                   PF_STR_ARG(value), is_new ? "new" : "missing")
                .at;
        }
        return pf_arena_printf(arena, "the attribute %.*s was %.*s and is %.*s", PF_STR_ARG(name),
                               PF_STR_ARG(is_new ? other : value),
                               PF_STR_ARG(is_new ? value : other))
            .at;
    }
    return NULL;
}

static const char *amounts(struct pf_agent *a, const char *name, int64_t was, int64_t is)
{
    struct pf_buf old = {0}, new = {0};

    pf_milli_format(was, &old);
    pf_milli_format(is, &new);
    const char *text = pf_arena_printf(pf_turn_arena(a->turn), "%s was %s and is %s", name,
                                       pf_buf_cstr(&old), pf_buf_cstr(&new))
                           .at;

    pf_buf_fini(&old);
    pf_buf_fini(&new);
    return text;
}

static const char *resource_change(struct pf_agent *a, struct AgentInfo was, bool may_grow)
{
    struct pf_resources before = {.n_items = 0};
    const char *text = NULL;

    if (ag_resources_of_agent(was, &before, NULL) < 0 ||
        (may_grow ? pf_res_contains(&a->total, &before) : pf_res_eq(&a->total, &before))) {
        pf_res_fini(&before);
        return NULL;
    }
    for (uint32_t i = 0; !text && i < PF_RES_SCALAR_COUNT; i++) {
        int64_t old = before.scalar_milli[i], new = a->total.scalar_milli[i];
        if (may_grow ? new < old : new != old) {
            text = amounts(a, pf_res_scalar_names[i], old, new);
        }
    }
    for (uint32_t i = 0; !text && i < before.n_items; i++) {
        const struct pf_res_item *item = pf_res_find(&a->total, pf_str(before.item[i].name));
        if (!item) {
            text = pf_arena_printf(pf_turn_arena(a->turn), "%s is missing", before.item[i].name).at;
        }
    }
    pf_res_fini(&before);
    return text ? text : "the resources (ports or items of sets) changed";
}

const char *ag_reconfigure_problem(struct pf_agent *a)
{
    bool may_grow = a->opt.reconfiguration == PF_AGENT_MAY_GROW;
    const struct orders *o = &a->orders;
    const char *change = NULL;

    if (a->opt.reconfiguration == PF_AGENT_MAY_CHANGE || a->opt.cleans_up || !o->info ||
        o->is_leaving || o->is_gone) {
        return NULL;
    }
    struct AgentInfo was = AgentInfo__from_bytes((struct pf_bytes){o->info, o->info_len});
    struct pf_fb_builder *b = pf_turn_builder(a->turn);
    struct pf_bytes now = pf_msg_bytes(AgentInfo__finish(b, ag_put_agent_info(a, b)));
    struct AgentInfo is = AgentInfo__from_bytes(now);
    struct pf_str hostname = AgentInfo_hostname(was);

    if (!pf_str_is(hostname, a->opt.hostname)) {
        change = pf_arena_printf(pf_turn_arena(a->turn), "the hostname was %.*s and is %s",
                                 PF_STR_ARG(hostname), a->opt.hostname)
                     .at;
    }
    change = change ? change : resource_change(a, was, may_grow);
    change = change ? change : attribute_change(a, is, was, false);
    change = change || may_grow ? change : attribute_change(a, was, is, true);
    if (!change) {
        return NULL;
    }
    return pf_arena_printf(pf_turn_arena(a->turn),
                           "%s, against --reconfiguration-policy=%s: give it what it had, or allow "
                           "it (=any), or end its tasks first (--recover=cleanup)",
                           change, may_grow ? "additive" : "equal")
        .at;
}
