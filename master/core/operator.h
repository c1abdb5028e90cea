/* SPDX-License-Identifier: Apache-2.0 */
/* The operator API: Master_Call. Lists go out in pages; a page costs what is on it. */
#ifndef PF_MASTER_CORE_OPERATOR_H
#define PF_MASTER_CORE_OPERATOR_H

#include "master/core/state.h"

/* A request under way. */
struct m_call {
    struct m_peer *peer;
    uint64_t request_id;
    struct Master_Call call;
};

/* Has the call its part? Else it is answered so, in Mesos's words. */
bool pf_m_call_has(struct pf_master *m, const struct m_call *c, bool has, const char *name);
void pf_m_on_master_call(struct pf_master *m, struct m_peer *p, struct Envelope e);
/* Sends the response; `args->type` and the part are set, the part was put into m->b. */
void pf_m_respond(struct pf_master *m, const struct m_call *c,
                  const struct Master_Response__args *args);

/* masters.c */
void pf_m_on_get_master(struct pf_master *m, const struct m_call *c);
void pf_m_on_get_masters(struct pf_master *m, const struct m_call *c);
void pf_m_on_step_down(struct pf_master *m, const struct m_call *c);

/* operator_registry.c */
void pf_m_on_get_registry(struct pf_master *m, const struct m_call *c);

/* operator_lists.c, operator_tasks.c */
void pf_m_on_get_agents(struct pf_master *m, const struct m_call *c);
void pf_m_on_get_frameworks(struct pf_master *m, const struct m_call *c);
void pf_m_on_get_offers(struct pf_master *m, const struct m_call *c);
void pf_m_on_get_tasks(struct pf_master *m, const struct m_call *c);
/* Entries a page may have, and bytes after which it ends early. */
#define M_PAGE_BYTES (1u << 20)
uint32_t pf_m_page_limit(const struct m_call *c);
/* Reads "12.3.45" into numbers; missing ones are 0. */
void pf_m_page_after(const struct m_call *c, uint64_t *out, uint32_t n);

/* operator_executors.c */
void pf_m_on_get_executors(struct pf_master *m, const struct m_call *c);

/* operator_wait.c */
void pf_m_on_wait_tasks(struct pf_master *m, const struct m_call *c);
/* Answers those who waited for what changed in this step. */
void pf_m_answer_woken(struct pf_master *m);

/* operator_why.c, find.c */
void pf_m_on_why(struct pf_master *m, const struct m_call *c);
void pf_m_on_find(struct pf_master *m, const struct m_call *c);

#endif
