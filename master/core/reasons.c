/* SPDX-License-Identifier: Apache-2.0 */
/* Why a demand waits, in words and as data. */
#include <string.h>
#include "common/base/limits.h"
#include "master/core/convert.h"
#include "master/core/demand.h"
#include "master/core/out.h"

/* What people call a resource. */
static const char *shown_name(const char *resource)
{
    static const char *const names[][2] = {{"cpus", "cpu"}, {"mem", "memory"}, {"gpus", "gpu"}};

    for (size_t i = 0; i < PF_ARRAY_LEN(names); i++) {
        if (strcmp(resource, names[i][0]) == 0) {
            return names[i][1];
        }
    }
    return resource;
}

/* "0.5", "128 MB", "2" (numbers of a range). */
static void amount(const struct m_demand *d, const char *resource, int64_t n, struct pf_buf *out)
{
    const struct pf_res_item *item = pf_res_find(pf_al_want_need(d->want), pf_str(resource));

    if (item && item->kind != PF_RES_KIND_SCALAR) {
        pf_buf_printf(out, "%lld", (long long)n);
        return;
    }
    pf_milli_format(n, out);
    if (strcmp(resource, "mem") == 0 || strcmp(resource, "disk") == 0) {
        pf_buf_add_cstr(out, " MB");
    }
}

static const struct m_framework *framework_of(const struct pf_master *m, uint64_t number)
{
    return pf_order_get(&m->framework_order, number);
}

static void age(int64_t ms, struct pf_buf *out)
{
    int64_t s = ms / 1000;

    if (s < 120) {
        pf_buf_printf(out, " %llds", (long long)s);
    } else if (s < 7200) {
        pf_buf_printf(out, " %lldm", (long long)(s / 60));
    } else {
        pf_buf_printf(out, " %lldh", (long long)(s / 3600));
    }
}

static void held_text(const struct pf_master *m, const struct pf_al_cause *cause, bool has_ages,
                      struct pf_buf *out)
{
    const struct m_framework *f = framework_of(m, cause->holder);

    pf_buf_add_cstr(out, "held by ");
    pf_buf_add_cstr(out, f ? f->id : "a framework that left");
    if (f && f->name[0] != '\0') {
        pf_buf_printf(out, " %s", f->name);
    }
    if (has_ages) {
        age(m->now_ms - cause->since_ms, out);
    }
}

static void constraint_text(const struct m_demand *d, const struct pf_al_cause *cause,
                            struct pf_buf *out)
{
    if (cause->constraint >= pf_al_want_n_constraints(d->want)) {
        pf_buf_add_cstr(out, "not running as root");
        return;
    }
    pf_buf_add_cstr(out, "not ");
    pf_m_constraint_format(pf_al_want_constraint(d->want, cause->constraint), out);
}

static void cause_text(const struct pf_master *m, const struct m_demand *d,
                       const struct pf_al_cause *cause, bool has_ages, struct pf_buf *out)
{
    pf_buf_printf(out, "%u ", cause->n_agents);
    switch (cause->reason) {
    case PF_AL_TOO_LITTLE:
    case PF_AL_IN_USE:
        pf_buf_printf(out, "%s %s (short ",
                      cause->reason == PF_AL_IN_USE ? "in use: too little free" : "too little",
                      shown_name(cause->resource));
        amount(d, cause->resource, cause->short_milli, out);
        pf_buf_add_byte(out, ')');
        return;
    case PF_AL_CONSTRAINT: constraint_text(d, cause, out); return;
    case PF_AL_HELD: held_text(m, cause, has_ages, out); return;
    case PF_AL_FILTERED: pf_buf_add_cstr(out, "declined a moment ago"); return;
    case PF_AL_CLOSED: pf_buf_add_cstr(out, "not connected"); return;
    case PF_AL_DEACTIVATED: pf_buf_add_cstr(out, "deactivated"); return;
    case PF_AL_DRAINING: pf_buf_add_cstr(out, "draining"); return;
    case PF_AL_FAIR_SHARE: pf_buf_add_cstr(out, "others come first"); return;
    case PF_AL_NONE: break;
    }
    pf_buf_add_cstr(out, "free");
}

uint32_t pf_m_reason_agents(const struct pf_master *m, const struct m_demand *d)
{
    return d->scan.n_agents + m->n_awaited;
}

void pf_m_reason_text(const struct pf_master *m, const struct m_demand *d, bool has_ages,
                      struct pf_buf *out)
{
    uint32_t n = pf_m_reason_agents(m, d);

    if (n == 0) {
        pf_buf_add_cstr(out, "no agents");
        return;
    }
    pf_buf_printf(out, "%u agent%s;", n, n == 1 ? "" : "s");
    for (uint32_t i = 0; i < d->scan.n_causes; i++) {
        pf_buf_add_cstr(out, i > 0 ? ", " : " ");
        cause_text(m, d, &d->scan.cause[i], has_ages, out);
    }
    if (m->n_awaited > 0) {
        pf_buf_printf(out, "%s %u not back yet", d->scan.n_causes > 0 ? "," : "", m->n_awaited);
    }
}

bool pf_m_demand_is_hopeless(const struct pf_master *m, const struct m_demand *d)
{
    uint32_t n_too_little = 0;

    for (uint32_t i = 0; i < d->scan.n_causes; i++) {
        if (d->scan.cause[i].reason == PF_AL_TOO_LITTLE) {
            n_too_little += d->scan.cause[i].n_agents;
        }
    }
    return m->n_awaited == 0 && d->scan.n_agents > 0 && n_too_little == d->scan.n_agents;
}

void pf_m_nearest_miss_text(const struct pf_master *m, const struct m_demand *d, struct pf_buf *out)
{
    const char *resource = d->scan.largest_resource;
    const struct m_agent *a = pf_order_get(&m->agent_order, d->scan.largest);
    const struct pf_resources *need = pf_al_want_need(d->want);
    const struct pf_res_item *item = pf_res_find(need, pf_str(resource));
    bool is_counted = item && item->kind != PF_RES_KIND_SCALAR;
    int64_t wants = is_counted ? (int64_t)pf_res_range_count(need, pf_str(resource))
                               : pf_res_scalar(need, pf_str(resource));

    pf_buf_add_cstr(out, "needs ");
    if (item && item->kind == PF_RES_KIND_SET) {
        pf_buf_printf(out, "items of %s that no agent has", resource);
        return;
    }
    amount(d, resource, wants, out);
    pf_buf_printf(out, " %s; the largest agent (%s) has ", resource, a ? a->hostname : "?");
    amount(d, resource, is_counted ? d->scan.largest_milli / 1000 : d->scan.largest_milli, out);
}

struct pf_refs pf_m_causes_put(struct pf_master *m, struct pf_fb_builder *b,
                               const struct m_demand *d)
{
    struct pf_ref *refs = pf_arena_alloc(pf_m_arena(m), (PF_AL_CAUSES_MAX + 1) * sizeof *refs);
    uint32_t n = 0;

    for (; n < d->scan.n_causes; n++) {
        const struct pf_al_cause *cause = &d->scan.cause[n];
        const struct m_framework *f = framework_of(m, cause->holder);
        struct pf_buf text = {0};
        struct WaitCause__args args = {
            .reason = cause->reason == PF_AL_CLOSED ? WaitReason_AGENT_DISCONNECTED
                                                    : (enum WaitReason)cause->reason,
            .n_agents = cause->n_agents,
            .resource = pf_str(cause->resource),
            .short_milli = cause->short_milli,
            .framework_id = pf_str(f ? f->id : NULL),
            .framework_name = pf_str(f ? f->name : NULL),
            .for_ms = cause->reason == PF_AL_HELD ? m->now_ms - cause->since_ms : 0};

        if (cause->reason == PF_AL_CONSTRAINT) {
            constraint_text(d, cause, &text);
            args.constraint = pf_str(pf_buf_cstr(&text));
        }
        refs[n] = WaitCause__put(b, &args);
        pf_buf_fini(&text);
    }
    if (m->n_awaited > 0) {
        refs[n++] = WaitCause__put(b, &(struct WaitCause__args){.reason = WaitReason_RECOVERING,
                                                                .n_agents = m->n_awaited});
    }
    return (struct pf_refs){refs, n};
}
