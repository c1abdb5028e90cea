/* SPDX-License-Identifier: Apache-2.0 */
/* See find.h. */
#include "master/core/find.h"

#include "common/base/limits.h"

struct search {
    struct pf_master *m;
    struct pf_fb_builder *b;
    struct pf_str text;      /* without the '*', for tasks without "FRAMEWORK/" */
    struct pf_str framework; /* the part before '/', or absent */
    bool has_star;
    uint32_t kinds, limit, n_visits;
    struct pf_ref *ref;
    uint32_t n;
    bool has_more;
};

static bool search_visit(struct search *s)
{
    if (s->n == s->limit || s->n_visits == 0) {
        s->has_more = true;
        return false;
    }
    s->n_visits--;
    return true;
}

static bool is_meant(const struct search *s, struct pf_str id, struct pf_str name)
{
    return pf_str_has_prefix(id, s->text) ||
           (s->has_star ? name.len > 0 && pf_str_has_prefix(name, s->text)
                        : name.len > 0 && pf_str_eq(name, s->text));
}

static void match_add(struct search *s, enum EntityKind kind, struct pf_str id, struct pf_str name,
                      const struct m_framework *f, const char *state)
{
    struct Match__args args = {.kind = kind, .id = id, .name = name, .state = pf_str(state)};
    if (f != NULL) {
        args.framework_id = pf_str(f->id);
    }
    s->ref[s->n++] = Match__put(s->b, &args);
}

static void find_agents(struct search *s)
{
    struct pf_order_cursor c = {0};
    const struct m_agent *a;
    while ((a = pf_order_next(&s->m->agent_order, &c)) != NULL && search_visit(s)) {
        if (is_meant(s, pf_str(a->id), pf_str(a->hostname))) {
            match_add(s, EntityKind_AGENT, pf_str(a->id), pf_str(a->hostname), NULL,
                      pf_sm_name(&a->sm));
        }
    }
}

static void find_frameworks(struct search *s, const struct pf_order *order)
{
    struct pf_order_cursor c = {0};
    const struct m_framework *f;
    while ((f = pf_order_next(order, &c)) != NULL && search_visit(s)) {
        if (is_meant(s, pf_str(f->id), pf_str(f->name))) {
            match_add(s, EntityKind_FRAMEWORK, pf_str(f->id), pf_str(f->name), f,
                      pf_sm_name(&f->sm));
        }
    }
}

static void find_offers(struct search *s)
{
    struct pf_order_cursor c = {0};
    const struct m_offer *o;
    while ((o = pf_order_next(&s->m->offer_order, &c)) != NULL && search_visit(s)) {
        struct pf_str id = {o->id, o->id_len};
        if (pf_str_has_prefix(id, s->text)) {
            match_add(s, EntityKind_OFFER, id, (struct pf_str){NULL, 0}, o->framework,
                      pf_sm_name(&o->sm));
        }
    }
}

static void task_add(struct search *s, const struct m_task *t)
{
    struct pf_msg summary = {t->summary.at, t->summary.len, &Task__desc};
    match_add(s, EntityKind_TASK, (struct pf_str){t->id, t->id_len},
              Task_name(Task__root(summary)), t->framework, TaskState__str((int)t->state));
}

static bool task_is_meant(const struct search *s, const struct m_task *t)
{
    struct pf_msg summary = {t->summary.at, t->summary.len, &Task__desc};
    return is_meant(s, (struct pf_str){t->id, t->id_len}, Task_name(Task__root(summary)));
}

static void find_tasks_in(struct search *s, const struct m_framework *f)
{
    const struct pf_order *orders[] = {&f->task_order, &f->ended};
    for (size_t i = 0; i < PF_ARRAY_LEN(orders); i++) {
        struct pf_order_cursor c = {0};
        const struct m_task *t;
        while ((t = pf_order_next(orders[i], &c)) != NULL && search_visit(s)) {
            if (task_is_meant(s, t)) {
                task_add(s, t);
            }
        }
    }
}

/* "FRAMEWORK/TASK": the framework by its id, or every one whose id or name this part is. */
static bool framework_is_meant(const struct search *s, const struct m_framework *f)
{
    return s->framework.at == NULL || pf_str_has_prefix(pf_str(f->id), s->framework) ||
           pf_str_eq(pf_str(f->name), s->framework);
}

static void find_tasks(struct search *s)
{
    /* The tasks of a run are called RUN.N: then one framework is enough to look at. */
    const char *dot = s->framework.at == NULL && s->text.len > 0
                          ? memchr(s->text.at, '.', s->text.len)
                          : NULL;
    if (dot != NULL) {
        struct pf_str run = {s->text.at, (uint32_t)(dot - s->text.at)};
        const struct m_framework *f = pf_map_get_str(&s->m->frameworks, run);
        f = f != NULL ? f : pf_map_get_str(&s->m->completed_by_id, run);
        const struct m_task *t = f != NULL ? pf_map_get_str(&f->tasks, s->text) : NULL;
        if (t != NULL && !s->has_star) {
            task_add(s, t);
            return;
        }
        if (f != NULL) {
            find_tasks_in(s, f);
            return;
        }
    }
    const struct pf_order *orders[] = {&s->m->framework_order, &s->m->completed};
    for (size_t i = 0; i < PF_ARRAY_LEN(orders); i++) {
        struct pf_order_cursor c = {0};
        const struct m_framework *f;
        while ((f = pf_order_next(orders[i], &c)) != NULL && search_visit(s)) {
            if (framework_is_meant(s, f)) {
                find_tasks_in(s, f);
            }
        }
    }
}

static bool wants(const struct search *s, enum EntityKind kind)
{
    return s->kinds == 0 || (s->kinds & (UINT32_C(1) << kind)) != 0;
}

static void text_split(struct search *s, struct pf_str text)
{
    if (text.len > 0 && text.at[text.len - 1] == '*') {
        s->has_star = true;
        text.len--;
    }
    const char *slash = text.len > 0 ? memchr(text.at, '/', text.len) : NULL;
    if (slash != NULL) {
        s->framework = (struct pf_str){text.at, (uint32_t)(slash - text.at)};
        text.len -= s->framework.len + 1;
        text.at = slash + 1;
    }
    s->text = text;
}

struct pf_ref pf_m_find(struct pf_master *m, struct Master_Call_Find call, struct pf_fb_builder *b)
{
    struct search s = {.m = m, .b = b, .n_visits = M_FIND_VISITS};
    s.limit = Master_Call_Find_limit(call);
    if (s.limit == 0 || s.limit > PF_PAGE_MAX) {
        s.limit = PF_PAGE_MAX;
    }
    for (uint32_t i = 0; i < Master_Call_Find_kinds__len(call); i++) {
        s.kinds |= UINT32_C(1) << ((unsigned)Master_Call_Find_kinds__at(call, i) & 31u);
    }
    s.ref = pf_arena_alloc(pf_turn_arena(m->turn), (s.limit + 1) * sizeof *s.ref);
    text_split(&s, Master_Call_Find_text(call));
    bool is_plain = s.framework.at == NULL;
    if (is_plain && wants(&s, EntityKind_FRAMEWORK)) {
        find_frameworks(&s, &m->framework_order);
        find_frameworks(&s, &m->completed);
    }
    if (is_plain && wants(&s, EntityKind_AGENT)) {
        find_agents(&s);
    }
    if (wants(&s, EntityKind_TASK)) {
        find_tasks(&s);
    }
    if (is_plain && wants(&s, EntityKind_OFFER)) {
        find_offers(&s);
    }
    struct pf_ref found = Master_Response_Find__put(
        b, &(struct Master_Response_Find__args){.matches = {s.ref, s.n}, .more = s.has_more});
    return Master_Response__put(b, &(struct Master_Response__args){
                                       .type = PF_OPT(Master_Response_Type_FIND), .find = found});
}
