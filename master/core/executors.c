/* SPDX-License-Identifier: Apache-2.0 */
/* See executors.h. */
#include "master/core/executors.h"

#include <string.h>
#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "master/core/agents.h"
#include "master/core/convert.h"
#include "master/core/drain.h"
#include "master/core/frameworks.h"
#include "master/core/out.h"

enum { NUMBER_LEN = sizeof(uint64_t) };

struct m_executor *pf_m_executor_get(const struct m_agent *a, const struct m_framework *f,
                                     struct pf_str id)
{
    char key[NUMBER_LEN + PF_ID_MAX];

    if (id.len == 0 || id.len > PF_ID_MAX || a->executors.len == 0) {
        return NULL;
    }
    memcpy(key, &f->number, NUMBER_LEN);
    memcpy(key + NUMBER_LEN, id.at, id.len);
    return pf_map_get(&a->executors, key, NUMBER_LEN + id.len);
}

static struct m_executor *executor_new(struct pf_master *m, struct m_framework *f,
                                       struct m_agent *a, struct pf_bytes info)
{
    struct pf_str id = ExecutorID_value(ExecutorInfo_executor_id(ExecutorInfo__from_bytes(info)));
    struct m_executor *x = pf_alloc(sizeof *x + NUMBER_LEN + id.len + 1);

    memcpy(x->key, &f->number, NUMBER_LEN);
    memcpy(x->key + NUMBER_LEN, id.at, id.len);
    x->key_len = NUMBER_LEN + id.len;
    x->link = pf_m_link_need(a, f);
    x->registration = a->registration;
    x->number = pf_order_add(&m->executors, x);
    pf_m_blob_set(&x->info, info);
    pf_map_put(&a->executors, x->key, x->key_len, x);
    LIST_INSERT_HEAD(&x->link->executors, x, of_link);
    m->stats.n_executors++;
    return x;
}

struct m_executor *pf_m_executor_launch(struct pf_master *m, struct m_framework *f,
                                        struct m_agent *a, struct pf_bytes info,
                                        const struct pf_resources *resources)
{
    struct m_executor *x = executor_new(m, f, a, info);

    x->resources = pf_res_dup(resources);
    return x;
}

/* --- learnt from an agent --- */

static int read_resources(const struct m_framework *f, struct ExecutorInfo info,
                          struct pf_resources *out, struct pf_err *err)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < ExecutorInfo_resources__len(info); i++) {
        rc = pf_m_resource_read(ExecutorInfo_resources__at(info, i), pf_str(f->role), out, err);
    }
    return rc;
}

static int take_resources(struct pf_master *m, struct m_executor *x, struct pf_resources *r,
                          struct pf_err *err)
{
    struct m_link *l = x->link;

    if (!pf_res_contains(pf_al_agent_free(l->agent->al), r)) {
        return pf_err_set(err, PF_ELIMIT, "the agent's tasks use more than it has (executor %s)",
                          m_executor_id(x).at);
    }
    pf_al_use(m->al, l->agent->al, l->framework->al, r);
    pf_res_assign(&x->resources, r);
    return 0;
}

int pf_m_executor_learn(struct pf_master *m, struct m_agent *a, struct AgentExecutor told,
                        struct pf_err *err)
{
    struct m_framework *f = pf_m_framework_get(m, AgentExecutor_framework_id(told));
    struct ExecutorInfo info = AgentExecutor_info(told);
    struct pf_str id = ExecutorID_value(ExecutorInfo_executor_id(info));
    struct pf_resources resources = {0};
    struct m_executor *x;
    int rc;

    if (!f) { /* completed: its teardown is on the way; or never named */
        return 0;
    }
    if (pf_id_problem(id)) {
        return pf_err_set(err, PF_EINVAL, "an executor of the agent is malformed");
    }
    x = pf_m_executor_get(a, f, id);
    if (x) {
        x->registration = a->registration;
        return 0;
    }
    if (a->executors.len >= PF_AGENT_TASKS_MAX) {
        return pf_err_set(err, PF_ELIMIT, "the agent has too many executors");
    }
    rc = read_resources(f, info, &resources, err);
    if (rc == 0) {
        x = executor_new(m, f, a, pf_m_executor_info(m, f, AgentExecutor_info__bytes(told)));
        rc = take_resources(m, x, &resources, err);
    }
    if (rc < 0 && x) {
        pf_m_executor_end(m, x);
    }
    pf_res_fini(&resources);
    return rc;
}

/* --- the end --- */

static void executor_free(struct pf_master *m, struct m_executor *x)
{
    pf_map_del(&x->link->agent->executors, x->key, x->key_len);
    pf_order_del(&m->executors, x->number);
    LIST_REMOVE(x, of_link);
    m->stats.n_executors--;
    pf_res_fini(&x->resources);
    pf_m_blob_fini(&x->info);
    pf_free(x);
}

void pf_m_executor_end(struct pf_master *m, struct m_executor *x)
{
    struct m_link *l = x->link;

    pf_al_unuse(m->al, l->agent->al, l->framework->al, &x->resources);
    executor_free(m, x);
    pf_m_drain_touch(m, l->agent);
}

void pf_m_link_end_executors(struct pf_master *m, struct m_link *l)
{
    while (!LIST_EMPTY(&l->executors)) {
        pf_m_executor_end(m, LIST_FIRST(&l->executors));
    }
}

void pf_m_agent_end_executors(struct pf_master *m, struct m_agent *a)
{
    struct m_link *l;

    LIST_FOREACH(l, &a->links, of_agent)
    {
        pf_m_link_end_executors(m, l);
    }
}

void pf_m_executors_missing(struct pf_master *m, struct m_agent *a)
{
    struct m_executor *x, *next;
    struct m_link *l;

    LIST_FOREACH(l, &a->links, of_agent)
    {
        for (x = LIST_FIRST(&l->executors); x; x = next) {
            next = LIST_NEXT(x, of_link);
            if (x->registration != a->registration) {
                pf_m_executor_end(m, x);
            }
        }
    }
}

void pf_m_executors_resend(struct pf_master *m, struct m_agent *a)
{
    struct m_executor *x;
    struct m_link *l;

    LIST_FOREACH(l, &a->links, of_agent)
    {
        LIST_FOREACH(x, &l->executors, of_link)
        {
            if (x->is_shut_down) {
                pf_m_send_shutdown(m, x);
            }
        }
    }
}

void pf_m_executors_fini(struct pf_master *m)
{
    struct pf_order_cursor c = {0};

    for (struct m_executor *x; (x = pf_order_next(&m->executors, &c));) {
        executor_free(m, x);
    }
    pf_order_fini(&m->executors);
}

/* --- shown --- */

struct pf_refs pf_m_executor_ids_put(struct pf_master *m, struct pf_fb_builder *b,
                                     const struct m_agent *a, const struct m_framework *f)
{
    const struct m_link *l = pf_map_get_u64(&a->links_by_framework, &f->number);
    const struct m_executor *x;
    struct pf_ref *refs;
    uint32_t n = 0, i = 0;

    if (!l || LIST_EMPTY(&l->executors)) {
        return (struct pf_refs){NULL, 0};
    }
    LIST_FOREACH(x, &l->executors, of_link)
    {
        n++;
    }
    n = n < PF_PAGE_MAX ? n : PF_PAGE_MAX;
    refs = pf_arena_alloc(pf_m_arena(m), n * sizeof *refs);
    LIST_FOREACH(x, &l->executors, of_link)
    {
        if (i < n) {
            refs[i++] = ExecutorID__put(b, &(struct ExecutorID__args){.value = m_executor_id(x)});
        }
    }
    return (struct pf_refs){refs, n};
}

void pf_m_executors_check(const struct pf_master *m)
{
    struct pf_order_cursor c = {0};

    pf_order_check(&m->executors);
    PF_ASSERT(m->executors.n_live == m->stats.n_executors);
    for (const struct m_executor *x; (x = pf_order_next(&m->executors, &c));) {
        const struct m_link *l = x->link;

        PF_ASSERT(pf_map_get(&l->agent->executors, x->key, x->key_len) == x);
        PF_ASSERT(pf_m_executor_get(l->agent, l->framework, m_executor_id(x)) == x);
        PF_ASSERT(l->agent->al && l->framework->al);
        PF_ASSERT(x->info.len > 0);
        pf_res_check(&x->resources);
    }
}
