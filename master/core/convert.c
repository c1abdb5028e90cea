/* SPDX-License-Identifier: Apache-2.0 */
/* See convert.h. */
#include "master/core/convert.h"

#include <string.h>
#include "common/base/limits.h"

/* --- resources --- */

static int resource_unsupported(struct Resource x, struct pf_str role, struct pf_err *err)
{
    const char *what = NULL;

    if ((Resource__has_role(x) && !pf_str_is(Resource_role(x), "*")) ||
        Resource__has_reservation(x) || Resource_reservations__len(x) > 0) {
        what = "reserved resources";
    } else if (Resource__has_disk(x)) {
        what = "volumes and disk sources";
    } else if (Resource__has_revocable(x)) {
        what = "revocable resources";
    } else if (Resource__has_shared(x)) {
        what = "shared resources";
    } else if (Resource__has_provider_id(x)) {
        what = "resource providers";
    }
    if (what) {
        return pf_err_set(err, PF_EINVAL, "%s are not supported yet (%.*s)", what,
                          PF_STR_ARG(Resource_name(x)));
    }
    struct Resource_AllocationInfo info = Resource_allocation_info(x);
    struct pf_str named = Resource_AllocationInfo_role(info);

    if (role.at && named.at && !pf_str_eq(role, named)) {
        return pf_err_set(err, PF_EINVAL, "resource %.*s is allocated to role %.*s, not %.*s",
                          PF_STR_ARG(Resource_name(x)), PF_STR_ARG(named), PF_STR_ARG(role));
    }
    return 0;
}

int pf_m_resource_read(struct Resource x, struct pf_str role, struct pf_resources *r,
                       struct pf_err *err)
{
    struct pf_str name = Resource_name(x);
    int64_t milli;
    int rc = resource_unsupported(x, role, err);

    if (rc < 0) {
        return rc;
    }
    switch (Resource_type(x)) {
    case Value_Type_SCALAR:
        rc = pf_milli_from_double(Value_Scalar_value(Resource_scalar(x)), &milli, err);
        return rc < 0 ? rc : pf_res_add_scalar(r, name, milli, err);
    case Value_Type_RANGES:
        for (uint32_t i = 0; rc == 0 && i < Value_Ranges_range__len(Resource_ranges(x)); i++) {
            struct Value_Range range = Value_Ranges_range__at(Resource_ranges(x), i);

            rc = pf_res_add_range(r, name, Value_Range_begin(range), Value_Range_end(range), err);
        }
        return rc;
    case Value_Type_SET:
        for (uint32_t i = 0; rc == 0 && i < Value_Set_item__len(Resource_set(x)); i++) {
            rc = pf_res_add_set_item(r, name, Value_Set_item__at(Resource_set(x), i), err);
        }
        return rc;
    case Value_Type_TEXT: break;
    }
    return pf_err_set(err, PF_EINVAL, "resource %.*s has no usable type", PF_STR_ARG(name));
}

static struct pf_ref scalar_put(struct pf_fb_builder *b, int64_t milli)
{
    return Value_Scalar__put(
        b, &(struct Value_Scalar__args){.value = PF_OPT(pf_milli_to_double(milli))});
}

static struct pf_ref item_put(struct pf_fb_builder *b, struct pf_arena *arena,
                              const struct pf_res_item *item, struct pf_ref allocation)
{
    struct Resource__args args = {.name = pf_str(item->name), .allocation_info = allocation};

    if (item->kind == PF_RES_KIND_SCALAR) {
        args.type = (struct Value_Type__opt)PF_OPT(Value_Type_SCALAR);
        args.scalar = scalar_put(b, item->milli);
    } else if (item->kind == PF_RES_KIND_RANGES) {
        struct pf_ref *refs = pf_arena_alloc(arena, item->n * sizeof *refs);

        for (uint32_t i = 0; i < item->n; i++) {
            refs[i] = Value_Range__put(
                b, &(struct Value_Range__args){.begin = PF_OPT(item->range[i].begin),
                                               .end = PF_OPT(item->range[i].end)});
        }
        args.type = (struct Value_Type__opt)PF_OPT(Value_Type_RANGES);
        args.ranges = Value_Ranges__put(b, &(struct Value_Ranges__args){.range = {refs, item->n}});
    } else {
        struct pf_str *texts = pf_arena_alloc(arena, item->n * sizeof *texts);

        for (uint32_t i = 0; i < item->n; i++) {
            texts[i] = pf_str(item->item[i]);
        }
        args.type = (struct Value_Type__opt)PF_OPT(Value_Type_SET);
        args.set = Value_Set__put(b, &(struct Value_Set__args){.item = {texts, item->n}});
    }
    return Resource__put(b, &args);
}

struct pf_refs pf_m_resources_put(struct pf_fb_builder *b, struct pf_arena *arena,
                                  const struct pf_resources *r, struct pf_str alloc_role)
{
    struct pf_ref *refs = pf_arena_alloc(arena, (PF_RES_SCALAR_COUNT + r->n_items) * sizeof *refs);
    struct pf_ref allocation = {0};
    uint32_t n = 0;

    if (alloc_role.at) {
        allocation = Resource_AllocationInfo__put(
            b, &(struct Resource_AllocationInfo__args){.role = alloc_role});
    }
    for (uint32_t i = 0; i < PF_RES_SCALAR_COUNT; i++) {
        if (r->scalar_milli[i] > 0) {
            struct Resource__args args = {.name = pf_str(pf_res_scalar_names[i]),
                                          .type = PF_OPT(Value_Type_SCALAR),
                                          .scalar = scalar_put(b, r->scalar_milli[i]),
                                          .allocation_info = allocation};

            refs[n++] = Resource__put(b, &args);
        }
    }
    for (uint32_t i = 0; i < r->n_items; i++) {
        refs[n++] = item_put(b, arena, &r->item[i], allocation);
    }
    return (struct pf_refs){refs, n};
}

/* --- attributes --- */

static struct pf_str ranges_text(struct pf_arena *arena, struct Value_Ranges ranges)
{
    struct pf_buf text = {0};
    struct pf_str s;

    pf_buf_add_byte(&text, '[');
    for (uint32_t i = 0; i < Value_Ranges_range__len(ranges); i++) {
        struct Value_Range r = Value_Ranges_range__at(ranges, i);

        pf_buf_printf(&text, "%s%llu-%llu", i > 0 ? "," : "",
                      (unsigned long long)Value_Range_begin(r),
                      (unsigned long long)Value_Range_end(r));
    }
    pf_buf_add_byte(&text, ']');
    s = pf_arena_strdup(arena, (struct pf_str){(const char *)text.data, (uint32_t)text.len});
    pf_buf_fini(&text);
    return s;
}

static struct pf_str scalar_text(struct pf_arena *arena, double value)
{
    struct pf_buf text = {0};
    struct pf_str s = {NULL, 0};
    int64_t milli;

    if (pf_milli_from_double(value, &milli, NULL) == 0) {
        pf_milli_format(milli, &text);
        s = pf_arena_strdup(arena, (struct pf_str){(const char *)text.data, (uint32_t)text.len});
    }
    pf_buf_fini(&text);
    return s;
}

uint32_t pf_m_attributes_read(struct AgentInfo info, struct pf_arena *arena,
                              struct pf_al_attribute *out, uint32_t max)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < AgentInfo_attributes__len(info) && n < max; i++) {
        struct Attribute a = AgentInfo_attributes__at(info, i);
        struct Value_Set set = Attribute_set(a);

        out[n].name = Attribute_name(a);
        switch (Attribute_type(a)) {
        case Value_Type_TEXT: out[n++].value = Value_Text_value(Attribute_text(a)); break;
        case Value_Type_SCALAR:
            out[n++].value = scalar_text(arena, Value_Scalar_value(Attribute_scalar(a)));
            break;
        case Value_Type_RANGES: out[n++].value = ranges_text(arena, Attribute_ranges(a)); break;
        case Value_Type_SET:
            for (uint32_t k = 0; k < Value_Set_item__len(set) && n < max; k++) {
                out[n].name = Attribute_name(a);
                out[n++].value = Value_Set_item__at(set, k);
            }
            break;
        }
    }
    return n;
}

/* --- constraints --- */

int pf_m_constraints_read(struct Demand d, struct pf_al_constraint *out, uint32_t *out_n,
                          struct pf_err *err)
{
    uint32_t n = Demand_constraints__len(d);

    if (n > PF_CONSTRAINTS_MAX) {
        return pf_err_set(err, PF_ELIMIT, "more than %d constraints", PF_CONSTRAINTS_MAX);
    }
    for (uint32_t i = 0; i < n; i++) {
        struct Constraint c = Demand_constraints__at(d, i);

        out[i].attribute = Constraint_attribute(c);
        out[i].value = Constraint_value(c);
        if (out[i].attribute.len == 0 || out[i].attribute.len > PF_ID_MAX ||
            out[i].value.len > PF_NAME_MAX) {
            return pf_err_set(err, PF_EINVAL, "a constraint's attribute is empty, or too long");
        }
        switch (Constraint_op(c)) {
        case ConstraintOperator_EQUALS: out[i].op = PF_AL_EQUALS; break;
        case ConstraintOperator_NOT_EQUALS: out[i].op = PF_AL_NOT_EQUALS; break;
        case ConstraintOperator_EXISTS: out[i].op = PF_AL_EXISTS; break;
        case ConstraintOperator_NOT_EXISTS: out[i].op = PF_AL_NOT_EXISTS; break;
        case ConstraintOperator_GLOB: out[i].op = PF_AL_GLOB; break;
        default: return pf_err_set(err, PF_EINVAL, "a constraint has an unknown operator");
        }
    }
    *out_n = n;
    return 0;
}

struct pf_refs pf_m_constraints_put(struct pf_fb_builder *b, struct pf_arena *arena,
                                    const struct pf_al_want *w, uint32_t n)
{
    struct pf_ref *refs = n > 0 ? pf_arena_alloc(arena, n * sizeof *refs) : NULL;

    for (uint32_t i = 0; i < n; i++) {
        const struct pf_al_constraint *c = pf_al_want_constraint(w, i);

        refs[i] =
            Constraint__put(b, &(struct Constraint__args){.attribute = c->attribute,
                                                          .op = (enum ConstraintOperator)c->op,
                                                          .value = c->value});
    }
    return (struct pf_refs){refs, n};
}

void pf_m_constraint_format(const struct pf_al_constraint *c, struct pf_buf *out)
{
    static const char *const between[] = {[PF_AL_EQUALS] = "=",
                                          [PF_AL_NOT_EQUALS] = "!=",
                                          [PF_AL_EXISTS] = "",
                                          [PF_AL_NOT_EXISTS] = "",
                                          [PF_AL_GLOB] = "~"};
    bool has_value = c->op != PF_AL_EXISTS && c->op != PF_AL_NOT_EXISTS;

    if (c->op == PF_AL_NOT_EXISTS) {
        pf_buf_add_byte(out, '!');
    }
    pf_buf_add_str(out, c->attribute);
    pf_buf_add_cstr(out, between[c->op]);
    if (has_value) {
        pf_buf_add_str(out, c->value);
    }
}
