/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of the registry's rows, each as it has to be stored now: the registry itself, agents,
 * durable frameworks. A page begins at "table.number". */
#include "common/base/buf.h"
#include "common/base/limits.h"
#include "common/fb/json.h"
#include "master/core/agents.h"
#include "master/core/frameworks.h"
#include "master/core/masters.h"
#include "master/core/operator.h"
#include "master/core/out.h"

struct rows {
    struct pf_ref *ref;
    uint32_t n, limit;
    struct pf_str next; /* where the next page begins; absent: the list ends here */
};

static struct pf_fb_builder *row_builder(struct pf_master *m)
{
    return pf_turn_nested_builder(m->turn);
}

static void add(struct pf_master *m, struct rows *r, enum RegistryTable table, const char *key,
                struct pf_msg row, const struct pf_fb_table_desc *desc)
{
    struct pf_buf json = {0};
    int rc = pf_json_write(&json, pf_msg_root(row, desc), desc, PF_JSON_NO_DEFAULTS, NULL);

    PF_ASSERT(rc == 0); /* it was verified, and has no limit */
    r->ref[r->n++] = RegistryRow__put(
        m->b, &(struct RegistryRow__args){.table = pf_str(RegistryTable__str((int)table)),
                                          .key = pf_str(key),
                                          .json = pf_str(pf_buf_cstr(&json))});
    pf_buf_fini(&json);
}

/* True: the page is full and goes on behind `number`. */
static bool is_full(struct pf_master *m, struct rows *r, enum RegistryTable table, uint64_t number)
{
    if (r->n < r->limit && (r->n == 0 || m->b->used <= M_PAGE_BYTES)) {
        return false;
    }
    r->next = pf_arena_printf(pf_m_arena(m), "%d.%llu", (int)table, (unsigned long long)number);
    return true;
}

static void add_agents(struct pf_master *m, struct rows *r, uint64_t after)
{
    struct pf_order_cursor c = {.number = after};
    const struct m_agent *a;

    for (uint64_t before = after; (a = pf_order_next(&m->agent_order, &c)); before = a->number) {
        if (is_full(m, r, RegistryTable_AGENTS, before)) {
            return;
        }
        add(m, r, RegistryTable_AGENTS, a->id, pf_m_agent_row_of(row_builder(m), a),
            &Row_Agent__desc);
    }
}

static void add_frameworks(struct pf_master *m, struct rows *r, uint64_t after)
{
    struct pf_order_cursor c = {.number = after};
    const struct m_framework *f;

    for (uint64_t before = after; (f = pf_order_next(&m->framework_order, &c));
         before = f->number) {
        if (!f->is_durable) {
            continue;
        }
        if (is_full(m, r, RegistryTable_FRAMEWORKS, before)) {
            return;
        }
        add(m, r, RegistryTable_FRAMEWORKS, f->id, pf_m_framework_row_of(row_builder(m), f),
            &Row_Framework__desc);
    }
}

void pf_m_on_get_registry(struct pf_master *m, const struct m_call *c)
{
    uint64_t after[2];
    struct rows r = {.limit = pf_m_page_limit(c)};
    char incarnation[PF_UUID_TEXT_LEN + 1];
    struct Master_Response__args response = {.type = PF_OPT(Master_Response_Type_GET_REGISTRY)};

    pf_m_page_after(c, after, 2);
    r.ref = pf_arena_alloc(pf_m_arena(m), r.limit * sizeof *r.ref);
    (void)pf_m_builder(m);
    if (after[0] <= RegistryTable_META && m->has_meta_row) {
        add(m, &r, RegistryTable_META, "registry", pf_m_registry_row_of(row_builder(m), m),
            &Row_Registry__desc);
    }
    if (after[0] <= RegistryTable_AGENTS) {
        add_agents(m, &r, after[0] == RegistryTable_AGENTS ? after[1] : 0);
    }
    if (!r.next.at) {
        add_frameworks(m, &r, after[0] == RegistryTable_FRAMEWORKS ? after[1] : 0);
    }
    pf_uuid_format(m->incarnation, incarnation);
    response.get_registry = Master_Response_GetRegistry__put(
        m->b, &(struct Master_Response_GetRegistry__args){.rows = {r.ref, r.n},
                                                          .incarnation = pf_str(incarnation),
                                                          .epoch = m->epoch,
                                                          .format = PF_M_FORMAT});
    response.next_after_id = r.next;
    pf_m_respond(m, c, &response);
}
