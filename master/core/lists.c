/* SPDX-License-Identifier: Apache-2.0 */
/* See lists.h. Where a page ends is told as "PASS.NUMBER.NUMBER": which of the list's arrays, behind
 * which framework and task (or agent, or offer). A list is walked once for each of its arrays, so
 * that the pages one behind the other give the arrays one behind the other. */
#include "master/core/lists.h"

#include <inttypes.h>
#include "common/base/limits.h"
#include "master/core/show.h"

enum { PASS_LIVE, PASS_UNREACHABLE, PASS_ENDED, PASS_COUNT };

struct page {
    struct pf_master *m;
    struct pf_fb_builder *b;
    uint32_t limit;    /* entries */
    uint32_t n_visits; /* left */
    uint64_t pass, outer, inner; /* where it is */
    bool is_full;
    struct pf_str framework_id; /* filter of GET_TASKS; absent: all */
    uint32_t states;            /* bit i: TaskState i is wanted; 0: all */
    struct pf_ref *ref[PASS_COUNT];
    uint32_t n[PASS_COUNT], n_all;
};

static bool number_parse(struct pf_str *s, uint64_t *out)
{
    uint64_t v = 0;
    uint32_t i = 0;
    for (; i < s->len && s->at[i] >= '0' && s->at[i] <= '9'; i++) {
        if (v > UINT64_MAX / 10 - 1) {
            return false;
        }
        v = v * 10 + (uint64_t)(s->at[i] - '0');
    }
    if (i == 0) {
        return false;
    }
    if (i < s->len && s->at[i] == '.') {
        i++;
    }
    s->at += i;
    s->len -= i;
    *out = v;
    return true;
}

static bool page_open(struct page *p, struct Master_Call call, const char **out_problem)
{
    struct Page page = Master_Call_page(call);
    struct pf_str after = Page_after_id(page);
    p->limit = Page_limit(page);
    if (p->limit == 0 || p->limit > PF_PAGE_MAX) {
        p->limit = PF_PAGE_MAX;
    }
    p->n_visits = M_LIST_VISITS;
    if (after.len > 0 &&
        !(number_parse(&after, &p->pass) && number_parse(&after, &p->outer) &&
          number_parse(&after, &p->inner) && after.len == 0 && p->pass < PASS_COUNT)) {
        *out_problem = "page.after_id is not one that a list gave";
        return false;
    }
    p->framework_id = Master_Call_framework_id(call);
    for (uint32_t i = 0; i < Master_Call_states__len(call); i++) {
        int state = (int)Master_Call_states__at(call, i);
        if (state < 0 || state > 31) {
            *out_problem = "states has an unknown state";
            return false;
        }
        p->states |= UINT32_C(1) << state;
    }
    for (int i = 0; i < PASS_COUNT; i++) {
        p->ref[i] = pf_arena_alloc(pf_turn_arena(p->m->turn), p->limit * sizeof *p->ref[i]);
    }
    return true;
}

/* One more entry was looked at; false: the page must end here. */
static bool page_visit(struct page *p)
{
    if (p->n_visits == 0 || p->n_all == p->limit) {
        p->is_full = true;
        return false;
    }
    p->n_visits--;
    return true;
}

static void page_add(struct page *p, struct pf_ref ref)
{
    p->ref[p->pass][p->n[p->pass]++] = ref;
    p->n_all++;
}

static struct pf_refs page_refs(const struct page *p, int pass)
{
    return (struct pf_refs){p->ref[pass], p->n[pass]};
}

/* Where the next page begins, absent at the end. */
static struct pf_str page_next(const struct page *p)
{
    if (!p->is_full) {
        return (struct pf_str){NULL, 0};
    }
    return pf_arena_printf(pf_turn_arena(p->m->turn), "%" PRIu64 ".%" PRIu64 ".%" PRIu64, p->pass,
                           p->outer, p->inner);
}

/* Walks one order, adding what `show` makes of each thing. */
typedef struct pf_ref show_fn(struct pf_master *m, struct pf_fb_builder *b, const void *thing);

static bool walk_order(struct page *p, const struct pf_order *order, show_fn *show)
{
    struct pf_order_cursor c = {.number = p->outer};
    for (;;) {
        struct pf_order_cursor here = c;
        const void *thing = pf_order_next(order, &c);
        if (thing == NULL) {
            return true;
        }
        if (!page_visit(p)) {
            p->outer = here.number;
            return false;
        }
        page_add(p, show(p->m, p->b, thing));
    }
}

static struct pf_ref show_agent(struct pf_master *m, struct pf_fb_builder *b, const void *thing)
{
    return pf_m_show_agent(m, b, thing);
}

static struct pf_ref show_framework(struct pf_master *m, struct pf_fb_builder *b, const void *thing)
{
    return pf_m_show_framework(m, b, thing);
}

static struct pf_ref show_offer(struct pf_master *m, struct pf_fb_builder *b, const void *thing)
{
    return pf_m_show_offer(m, b, thing);
}

static struct pf_ref list_agents(struct page *p)
{
    (void)walk_order(p, &p->m->agent_order, show_agent);
    struct pf_ref body = Master_Response_GetAgents__put(
        p->b, &(struct Master_Response_GetAgents__args){.agents = page_refs(p, PASS_LIVE)});
    return Master_Response__put(p->b, &(struct Master_Response__args){
                                          .type = PF_OPT(Master_Response_Type_GET_AGENTS),
                                          .get_agents = body,
                                          .next_after_id = page_next(p),
                                      });
}

static struct pf_ref list_frameworks(struct page *p)
{
    if (p->pass == PASS_LIVE && walk_order(p, &p->m->framework_order, show_framework)) {
        p->pass = PASS_ENDED;
        p->outer = 0;
    }
    if (p->pass == PASS_ENDED) {
        (void)walk_order(p, &p->m->completed, show_framework);
    }
    struct pf_ref body = Master_Response_GetFrameworks__put(
        p->b, &(struct Master_Response_GetFrameworks__args){
                  .frameworks = page_refs(p, PASS_LIVE),
                  .completed_frameworks = page_refs(p, PASS_ENDED),
              });
    return Master_Response__put(p->b, &(struct Master_Response__args){
                                          .type = PF_OPT(Master_Response_Type_GET_FRAMEWORKS),
                                          .get_frameworks = body,
                                          .next_after_id = page_next(p),
                                      });
}

static struct pf_ref list_offers(struct page *p)
{
    (void)walk_order(p, &p->m->offer_order, show_offer);
    struct pf_ref body = Master_Response_GetOffers__put(
        p->b, &(struct Master_Response_GetOffers__args){.offers = page_refs(p, PASS_LIVE)});
    return Master_Response__put(p->b, &(struct Master_Response__args){
                                          .type = PF_OPT(Master_Response_Type_GET_OFFERS),
                                          .get_offers = body,
                                          .next_after_id = page_next(p),
                                      });
}

static bool task_is_wanted(const struct page *p, const struct m_task *t)
{
    bool is_unreachable = t->sm.state == M_TASK_UNREACHABLE;
    if (p->pass != PASS_ENDED && is_unreachable != (p->pass == PASS_UNREACHABLE)) {
        return false;
    }
    return p->states == 0 || (p->states & (UINT32_C(1) << t->state)) != 0;
}

/* The tasks of one framework in this pass; false: the page ends within. */
static bool walk_tasks(struct page *p, const struct m_framework *f)
{
    const struct pf_order *order = p->pass == PASS_ENDED ? &f->ended : &f->task_order;
    struct pf_order_cursor c = {.number = p->inner};
    for (;;) {
        struct pf_order_cursor here = c;
        const struct m_task *t = pf_order_next(order, &c);
        if (t == NULL) {
            p->inner = 0;
            return true;
        }
        if (!page_visit(p)) {
            p->inner = here.number;
            return false;
        }
        if (task_is_wanted(p, t)) {
            page_add(p, pf_m_show_task(p->m, p->b, t));
        }
    }
}

/* The frameworks of an order, each with its tasks. `outer` stays before the one that is within. */
static bool walk_frameworks(struct page *p, const struct pf_order *order)
{
    struct pf_order_cursor c = {.number = p->outer};
    for (;;) {
        p->outer = c.number;
        const struct m_framework *f = pf_order_next(order, &c);
        if (f == NULL) {
            p->outer = 0;
            return true;
        }
        if (!page_visit(p) || !walk_tasks(p, f)) {
            return false;
        }
    }
}

static void walk_one_framework(struct page *p)
{
    const struct m_framework *f = pf_map_get_str(&p->m->frameworks, p->framework_id);
    if (f == NULL) {
        f = pf_map_get_str(&p->m->completed_by_id, p->framework_id);
    }
    for (; f != NULL && p->pass < PASS_COUNT; p->pass++) {
        if (!walk_tasks(p, f)) {
            return;
        }
    }
}

/* Ended tasks stand with live frameworks and with ended ones; these come last, told by the highest
 * bit of `outer`. */
#define OUTER_COMPLETED (UINT64_C(1) << 62)

static void walk_all_frameworks(struct page *p)
{
    for (; p->pass < PASS_COUNT; p->pass++) {
        if (p->outer < OUTER_COMPLETED && !walk_frameworks(p, &p->m->framework_order)) {
            return;
        }
        if (p->pass == PASS_ENDED) {
            p->outer = p->outer >= OUTER_COMPLETED ? p->outer - OUTER_COMPLETED : 0;
            if (!walk_frameworks(p, &p->m->completed)) {
                p->outer += OUTER_COMPLETED;
                return;
            }
        }
    }
}

static struct pf_ref list_tasks(struct page *p)
{
    if (p->framework_id.len > 0) {
        walk_one_framework(p);
    } else {
        walk_all_frameworks(p);
    }
    struct pf_ref body = Master_Response_GetTasks__put(
        p->b, &(struct Master_Response_GetTasks__args){
                  .tasks = page_refs(p, PASS_LIVE),
                  .unreachable_tasks = page_refs(p, PASS_UNREACHABLE),
                  .completed_tasks = page_refs(p, PASS_ENDED),
              });
    return Master_Response__put(p->b, &(struct Master_Response__args){
                                          .type = PF_OPT(Master_Response_Type_GET_TASKS),
                                          .get_tasks = body,
                                          .next_after_id = page_next(p),
                                      });
}

static const struct {
    enum Master_Call_Type type;
    struct pf_ref (*list)(struct page *p);
} lists[] = {
    {Master_Call_Type_GET_AGENTS, list_agents},
    {Master_Call_Type_GET_FRAMEWORKS, list_frameworks},
    {Master_Call_Type_GET_TASKS, list_tasks},
    {Master_Call_Type_GET_OFFERS, list_offers},
};

bool pf_m_list_is(enum Master_Call_Type type)
{
    for (size_t i = 0; i < PF_ARRAY_LEN(lists); i++) {
        if (lists[i].type == type) {
            return true;
        }
    }
    return false;
}

struct pf_ref pf_m_list(struct pf_master *m, struct Master_Call call, struct pf_fb_builder *b,
                     const char **out_problem)
{
    struct page p = {.m = m, .b = b};
    if (!page_open(&p, call, out_problem)) {
        return (struct pf_ref){0};
    }
    for (size_t i = 0; i < PF_ARRAY_LEN(lists); i++) {
        if (lists[i].type == Master_Call_type(call)) {
            return lists[i].list(&p);
        }
    }
    PF_ASSERT(!"the call is a list");
    return (struct pf_ref){0};
}
