/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of executors, in the order in which they were heard of. */
#include "common/base/limits.h"
#include "master/core/executors.h"
#include "master/core/operator.h"
#include "master/core/out.h"

enum { SCAN_MAX = 20000 }; /* executors that a page looks at */

static struct pf_ref executor_put(struct pf_fb_builder *b, const struct m_executor *x)
{
    struct pf_ref agent_id =
        AgentID__put(b, &(struct AgentID__args){.value = pf_str(x->link->agent->id)});

    return Master_Response_GetExecutors_Executor__put(
        b, &(struct Master_Response_GetExecutors_Executor__args){
               .executor_info = m_blob_bytes(&x->info), .agent_id = agent_id});
}

void pf_m_on_get_executors(struct pf_master *m, const struct m_call *c)
{
    struct Master_Response__args response = {.type = PF_OPT(Master_Response_Type_GET_EXECUTORS)};
    struct pf_str only = Master_Call_framework_id(c->call);
    struct pf_order_cursor at = {0}, before;
    uint32_t limit = pf_m_page_limit(c), n = 0, n_seen = 0;
    struct pf_ref *refs = pf_arena_alloc(pf_m_arena(m), limit * sizeof *refs);
    const struct m_executor *x;

    pf_m_page_after(c, &at.number, 1);
    before = at;
    (void)pf_m_builder(m);
    while (!response.next_after_id.at && (x = pf_order_next(&m->executors, &at)) != NULL) {
        if (n == limit || (n > 0 && m->b->used > M_PAGE_BYTES) || ++n_seen > SCAN_MAX) {
            response.next_after_id =
                pf_arena_printf(pf_m_arena(m), "%llu", (unsigned long long)before.number);
        } else if (only.len == 0 || pf_str_is(only, x->link->framework->id)) {
            refs[n++] = executor_put(m->b, x);
        }
        before = at;
    }
    response.get_executors = Master_Response_GetExecutors__put(
        m->b, &(struct Master_Response_GetExecutors__args){.executors = {refs, n}});
    pf_m_respond(m, c, &response);
}
