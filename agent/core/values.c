/* SPDX-License-Identifier: Apache-2.0 */
/* Resources and attributes between Mesos's messages and our own form. */
#include "agent/core/calls_internal.h"

#include "common/base/limits.h"

static int add_resource(struct Resource r, struct pf_resources *to, struct pf_err *err)
{
    struct pf_str name = Resource_name(r);
    int rc = 0;

    switch (Resource_type(r)) {
    case Value_Type_SCALAR: {
        int64_t milli = 0;
        rc = pf_milli_from_double(Value_Scalar_value(Resource_scalar(r)), &milli, err);
        return rc < 0 ? rc : pf_res_add_scalar(to, name, milli, err);
    }
    case Value_Type_RANGES: {
        struct Value_Ranges ranges = Resource_ranges(r);
        for (uint32_t i = 0; rc == 0 && i < Value_Ranges_range__len(ranges); i++) {
            struct Value_Range range = Value_Ranges_range__at(ranges, i);
            rc = pf_res_add_range(to, name, Value_Range_begin(range), Value_Range_end(range), err);
        }
        return rc;
    }
    case Value_Type_SET: {
        struct Value_Set set = Resource_set(r);
        for (uint32_t i = 0; rc == 0 && i < Value_Set_item__len(set); i++) {
            rc = pf_res_add_set_item(to, name, Value_Set_item__at(set, i), err);
        }
        return rc;
    }
    case Value_Type_TEXT: break;
    }
    return pf_err_set(err, PF_EINVAL, "resource %.*s has no amount", PF_STR_ARG(name));
}

int ag_resources_of(struct TaskInfo info, struct pf_resources *out, struct pf_err *err)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < TaskInfo_resources__len(info); i++) {
        rc = add_resource(TaskInfo_resources__at(info, i), out, err);
    }
    if (rc < 0) {
        pf_res_clear(out);
    }
    return rc;
}

int ag_resources_of_executor(struct ExecutorInfo info, struct pf_resources *out, struct pf_err *err)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < ExecutorInfo_resources__len(info); i++) {
        rc = add_resource(ExecutorInfo_resources__at(info, i), out, err);
    }
    if (rc < 0) {
        pf_res_clear(out);
    }
    return rc;
}

int ag_resources_of_summary(struct Task task, struct pf_resources *out, struct pf_err *err)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < Task_resources__len(task); i++) {
        rc = add_resource(Task_resources__at(task, i), out, err);
    }
    if (rc < 0) {
        pf_res_clear(out);
    }
    return rc;
}

int ag_resources_of_agent(struct AgentInfo info, struct pf_resources *out, struct pf_err *err)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < AgentInfo_resources__len(info); i++) {
        rc = add_resource(AgentInfo_resources__at(info, i), out, err);
    }
    if (rc < 0) {
        pf_res_clear(out);
    }
    return rc;
}

static struct pf_ref put_scalar(struct pf_fb_builder *b, struct pf_str name, int64_t milli)
{
    struct pf_ref scalar = Value_Scalar__put(
        b, &(struct Value_Scalar__args){.value = PF_OPT(pf_milli_to_double(milli))});

    return Resource__put(b, &(struct Resource__args){
                                .name = name,
                                .type = PF_OPT(Value_Type_SCALAR),
                                .scalar = scalar,
                            });
}

static struct pf_ref put_ranges(struct pf_fb_builder *b, struct pf_arena *arena,
                                const struct pf_res_item *item)
{
    struct pf_ref *refs = pf_arena_alloc(arena, item->n * sizeof *refs);

    for (uint32_t i = 0; i < item->n; i++) {
        refs[i] = Value_Range__put(b, &(struct Value_Range__args){
                                          .begin = PF_OPT(item->range[i].begin),
                                          .end = PF_OPT(item->range[i].end),
                                      });
    }
    struct pf_ref ranges =
        Value_Ranges__put(b, &(struct Value_Ranges__args){.range = {refs, item->n}});

    return Resource__put(b, &(struct Resource__args){
                                .name = pf_str(item->name),
                                .type = PF_OPT(Value_Type_RANGES),
                                .ranges = ranges,
                            });
}

static struct pf_ref put_set(struct pf_fb_builder *b, struct pf_arena *arena,
                             const struct pf_res_item *item)
{
    struct pf_str *texts = pf_arena_alloc(arena, item->n * sizeof *texts);

    for (uint32_t i = 0; i < item->n; i++) {
        texts[i] = pf_str(item->item[i]);
    }
    struct pf_ref set = Value_Set__put(b, &(struct Value_Set__args){.item = {texts, item->n}});

    return Resource__put(b, &(struct Resource__args){
                                .name = pf_str(item->name),
                                .type = PF_OPT(Value_Type_SET),
                                .set = set,
                            });
}

struct pf_refs ag_put_resources(struct pf_fb_builder *b, struct pf_arena *arena,
                                const struct pf_resources *r)
{
    struct pf_ref *refs = pf_arena_alloc(arena, (PF_RES_SCALAR_COUNT + r->n_items) * sizeof *refs);
    uint32_t n = 0;

    for (uint32_t i = 0; i < PF_RES_SCALAR_COUNT; i++) {
        if (r->scalar_milli[i] > 0) {
            refs[n++] = put_scalar(b, pf_str(pf_res_scalar_names[i]), r->scalar_milli[i]);
        }
    }
    for (uint32_t i = 0; i < r->n_items; i++) {
        const struct pf_res_item *item = &r->item[i];
        switch (item->kind) {
        case PF_RES_KIND_SCALAR: refs[n++] = put_scalar(b, pf_str(item->name), item->milli); break;
        case PF_RES_KIND_RANGES: refs[n++] = put_ranges(b, arena, item); break;
        case PF_RES_KIND_SET: refs[n++] = put_set(b, arena, item); break;
        }
    }
    return (struct pf_refs){refs, n};
}

static struct pf_ref put_attribute(struct pf_fb_builder *b, struct pf_str name, struct pf_str value)
{
    int64_t milli = 0;

    if (value.len > 0 && pf_milli_parse(value, &milli, NULL) == 0) {
        struct pf_ref scalar = Value_Scalar__put(
            b, &(struct Value_Scalar__args){.value = PF_OPT(pf_milli_to_double(milli))});
        return Attribute__put(b, &(struct Attribute__args){
                                     .name = name,
                                     .type = PF_OPT(Value_Type_SCALAR),
                                     .scalar = scalar,
                                 });
    }
    struct pf_ref text = Value_Text__put(b, &(struct Value_Text__args){.value = value});

    return Attribute__put(b, &(struct Attribute__args){
                                 .name = name,
                                 .type = PF_OPT(Value_Type_TEXT),
                                 .text = text,
                             });
}

/* A number is a SCALAR, all else TEXT; parts without a name are left out (the daemon refuses them
 * at its start). */
struct pf_refs ag_put_attributes(struct pf_fb_builder *b, struct pf_arena *arena, const char *text)
{
    struct pf_ref *refs = pf_arena_alloc(arena, PF_ATTRIBUTES_MAX * sizeof *refs);
    uint32_t n = 0;
    const char *p = text ? text : "";

    while (*p != '\0' && n < PF_ATTRIBUTES_MAX) {
        size_t len = strcspn(p, ";");
        const char *colon = memchr(p, ':', len);
        if (colon && colon > p) {
            struct pf_str name = {p, (uint32_t)(colon - p)};
            struct pf_str value = {colon + 1, (uint32_t)(len - name.len - 1)};
            refs[n++] =
                put_attribute(b, pf_arena_strdup(arena, name), pf_arena_strdup(arena, value));
        }
        p += len + (p[len] == ';');
    }
    return (struct pf_refs){refs, n};
}
