/* SPDX-License-Identifier: Apache-2.0 */
/* FIND: what a person may have meant by a few letters. Bounded in what it looks at and in what it
 * answers; the order is that of the lists. */
#include "common/base/limits.h"
#include "master/core/drain.h"
#include "master/core/frameworks.h"
#include "master/core/operator.h"
#include "master/core/out.h"
#include "master/core/tasks.h"

enum { FIND_LOOKS_MAX = 50000 };

struct find {
    const struct m_call *call;
    struct pf_str text;      /* without a trailing star */
    struct pf_str framework; /* of "FRAMEWORK/TASK"; else absent */
    bool has_star;
    struct pf_ref *ref;
    uint32_t n, limit, n_looks;
    bool more;
};

static bool is_asked(const struct find *f, enum EntityKind kind)
{
    struct Master_Call_Find x = Master_Call_find(f->call->call);
    uint32_t n = Master_Call_Find_kinds__len(x);

    for (uint32_t i = 0; i < n; i++) {
        if (Master_Call_Find_kinds__at(x, i) == kind) {
            return true;
        }
    }
    return n == 0;
}

/* False: enough. */
static bool look(struct find *f)
{
    if (f->n == f->limit || f->n_looks++ >= FIND_LOOKS_MAX) {
        f->more = true;
        return false;
    }
    return true;
}

/* An id by its beginning; a name as a whole, or by its beginning where a star says so. */
static bool matches(const struct find *f, struct pf_str id, struct pf_str name, struct pf_str text)
{
    return pf_str_has_prefix(id, text) ||
           (name.len > 0 && (f->has_star ? pf_str_has_prefix(name, text) : pf_str_eq(name, text)));
}

static void add(struct pf_master *m, struct find *f, const struct Match__args *args)
{
    f->ref[f->n++] = Match__put(m->b, args);
}

static void find_agents(struct pf_master *m, struct find *f)
{
    struct pf_order_cursor c = {0};

    for (const struct m_agent *a; (a = pf_order_next(&m->agent_order, &c)) && look(f);) {
        bool is_gone = a->sm.state == M_AGENT_GONE; /* another one may be called so now */
        struct pf_str name = is_gone ? PF_STR("") : pf_str(a->hostname);

        if (matches(f, pf_str(a->id), name, f->text)) {
            add(m, f,
                &(struct Match__args){.kind = EntityKind_AGENT,
                                      .id = pf_str(a->id),
                                      .name = pf_str(a->hostname),
                                      .state = pf_str(pf_m_agent_word(a))});
        }
    }
}

static void find_frameworks(struct pf_master *m, struct find *f, const struct pf_order *o)
{
    struct pf_order_cursor c = {0};

    for (const struct m_framework *x; (x = pf_order_next(o, &c)) && look(f);) {
        if (matches(f, pf_str(x->id), pf_str(x->name), f->text)) {
            add(m, f,
                &(struct Match__args){.kind = EntityKind_FRAMEWORK,
                                      .id = pf_str(x->id),
                                      .name = pf_str(x->name),
                                      .framework_id = pf_str(x->id),
                                      .state = pf_str(pf_sm_name(&x->sm))});
        }
    }
}

static void find_in_tasks(struct pf_master *m, struct find *f, const struct m_framework *x,
                          const struct pf_order *o)
{
    struct pf_order_cursor c = {0};

    for (const struct m_task *t; (t = pf_order_next(o, &c)) && look(f);) {
        struct pf_str name = Task_name(Task__from_bytes(m_blob_bytes(&t->summary)));

        if (matches(f, m_task_id(t), name, f->text)) {
            add(m, f,
                &(struct Match__args){.kind = EntityKind_TASK,
                                      .id = m_task_id(t),
                                      .name = name,
                                      .framework_id = pf_str(x->id),
                                      .state = pf_str(TaskState__str((int)t->state))});
        }
    }
}

/* Instances of a demand are tasks to people before they are placed. */
static void find_in_demands(struct pf_master *m, struct find *f, const struct m_framework *x)
{
    const struct m_demand *d;

    TAILQ_FOREACH(d, &x->demands, of_framework)
    {
        struct pf_str prefix = pf_str(d->id_prefix);
        bool is_instance =
            prefix.len > 0 && pf_str_has_prefix(f->text, prefix) && !pf_m_task_find(x, f->text);

        if (!look(f)) {
            return;
        }
        if (is_instance || (matches(f, pf_str(d->id), pf_str(d->name), f->text) &&
                            !pf_m_task_find(x, pf_str(d->id)))) {
            add(m, f,
                &(struct Match__args){.kind = EntityKind_TASK,
                                      .id = is_instance ? f->text : pf_str(d->id),
                                      .name = pf_str(d->name),
                                      .framework_id = pf_str(x->id),
                                      .state = PF_STR("TASK_WAITING")});
        }
    }
}

static void find_in_framework(struct pf_master *m, struct find *f, const struct m_framework *x)
{
    find_in_tasks(m, f, x, &x->task_order);
    find_in_demands(m, f, x);
    find_in_tasks(m, f, x, &x->ended);
}

/* The tasks of a run are called RUN.N: then one framework is enough to look at. */
static const struct m_framework *framework_of_run(const struct pf_master *m, const struct find *f)
{
    const struct m_framework *x = NULL;

    for (uint32_t i = 0; i < f->text.len && !x && !f->framework.at; i++) {
        if (f->text.at[i] == '.') {
            x = pf_m_framework_get(m, (struct pf_str){f->text.at, i});
        }
    }
    return x;
}

static void find_tasks(struct pf_master *m, struct find *f, const struct pf_order *frameworks)
{
    struct pf_order_cursor c = {0};

    for (const struct m_framework *x; (x = pf_order_next(frameworks, &c)) && look(f);) {
        if (!f->framework.at || matches(f, pf_str(x->id), pf_str(x->name), f->framework)) {
            find_in_framework(m, f, x);
        }
    }
}

static void find_offers(struct pf_master *m, struct find *f)
{
    struct pf_order_cursor c = {0};

    for (const struct m_offer *o; (o = pf_order_next(&m->offer_order, &c)) && look(f);) {
        struct pf_str id = {o->id, o->id_len};

        if (pf_str_has_prefix(id, f->text)) {
            add(m, f,
                &(struct Match__args){.kind = EntityKind_OFFER,
                                      .id = id,
                                      .framework_id = pf_str(o->framework->id),
                                      .state = pf_str(pf_sm_name(&o->sm))});
        }
    }
}

/* "f1/web*" -> framework "f1", text "web". */
static void parse_text(struct pf_master *m, struct find *f, struct pf_str text)
{
    if (text.len > 0 && text.at[text.len - 1] == '*') {
        text = pf_arena_strdup(pf_m_arena(m), (struct pf_str){text.at, text.len - 1});
        f->has_star = true;
    }
    f->text = text;
    for (uint32_t i = 0; i < text.len; i++) {
        if (text.at[i] == '/') {
            f->framework = (struct pf_str){text.at, i};
            f->text = (struct pf_str){text.at + i + 1, text.len - i - 1};
            return;
        }
    }
}

void pf_m_on_find(struct pf_master *m, const struct m_call *c)
{
    struct Master_Call_Find x = Master_Call_find(c->call);
    uint32_t limit = Master_Call_Find_limit(x);
    struct find f = {.call = c, .limit = limit > 0 && limit < PF_PAGE_MAX ? limit : PF_PAGE_MAX};
    bool is_task_only;

    parse_text(m, &f, Master_Call_Find_text(x));
    is_task_only = f.framework.at != NULL;
    f.ref = pf_arena_alloc(pf_m_arena(m), f.limit * sizeof *f.ref);
    (void)pf_m_builder(m);
    if (is_asked(&f, EntityKind_FRAMEWORK) && !is_task_only) {
        find_frameworks(m, &f, &m->framework_order);
    }
    if (is_asked(&f, EntityKind_AGENT) && !is_task_only) {
        find_agents(m, &f);
    }
    if (is_asked(&f, EntityKind_OFFER) && !is_task_only) {
        find_offers(m, &f);
    }
    if (is_asked(&f, EntityKind_TASK)) {
        const struct m_framework *run = framework_of_run(m, &f);

        if (run) {
            find_in_framework(m, &f, run);
        } else {
            find_tasks(m, &f, &m->framework_order);
            find_tasks(m, &f, &m->completed);
        }
    }
    if (is_asked(&f, EntityKind_FRAMEWORK) && !is_task_only) {
        find_frameworks(m, &f, &m->completed);
    }
    struct Master_Response_Find__args args = {.matches = {f.ref, f.n}, .more = f.more};

    pf_m_respond(m, c,
                 &(struct Master_Response__args){.type = PF_OPT(Master_Response_Type_FIND),
                                                 .find = Master_Response_Find__put(m->b, &args)});
}
