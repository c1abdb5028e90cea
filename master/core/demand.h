/* SPDX-License-Identifier: Apache-2.0 */
/* Demands: what frameworks say they want, what they are told while it waits (reasons.c). */
#ifndef PF_MASTER_CORE_DEMAND_H
#define PF_MASTER_CORE_DEMAND_H

#include "common/base/buf.h"
#include "master/core/state.h"

struct m_demand *pf_m_demand_get(const struct m_framework *f, struct pf_str id);

/* Where the stated list is: reads element `i` of `n`. */
struct m_demand_list {
    uint32_t n;
    struct Demand (*at)(const void *ctx, uint32_t i);
    const void *ctx;
};
/* Replaces the framework's list. Those that cannot be are refused by DEMAND_STATUS. */
void pf_m_demands_set(struct pf_master *m, struct m_framework *f, const struct m_demand_list *list);
/* The framework states nothing any more: as in Mesos. */
void pf_m_demands_unset(struct pf_master *m, struct m_framework *f);
/* All of them go, silently; what they hold is ended by the caller before. */
void pf_m_demands_drop(struct pf_master *m, struct m_framework *f);
void pf_m_demands_free(struct pf_master *m, struct m_framework *f); /* at the very end */
void pf_m_on_demand(struct pf_master *m, struct m_peer *p, struct Scheduler_Call call,
                    uint64_t request_id);
/* Its count or its offers changed. A demand without instances left is gone after this. */
void pf_m_demand_update(struct pf_master *m, struct m_demand *d);

/* After an allocation: demands that found nothing begin to wait and are told so. */
void pf_m_demands_settle(struct pf_master *m);
void pf_m_demand_deadline(struct pf_master *m, struct m_demand *d);

/* A Demand for a list. */
struct pf_ref pf_m_demand_put(struct pf_master *m, struct pf_fb_builder *b,
                              const struct m_demand *d);

/* reasons.c */
/* "2 agents; 1 too little cpu (short 0.5), 1 held by f3 spark 4s"; the ages are optional. */
void pf_m_reason_text(const struct pf_master *m, const struct m_demand *d, bool has_ages,
                      struct pf_buf *out);
/* "needs 64 cpus; the largest agent (host1) has 8" */
void pf_m_nearest_miss_text(const struct pf_master *m, const struct m_demand *d,
                            struct pf_buf *out);
/* Agents that were counted: scanned ones and those that are not back. */
uint32_t pf_m_reason_agents(const struct pf_master *m, const struct m_demand *d);
struct pf_refs pf_m_causes_put(struct pf_master *m, struct pf_fb_builder *b,
                               const struct m_demand *d);
/* No agent is large enough, and all that were admitted are back. */
bool pf_m_demand_is_hopeless(const struct pf_master *m, const struct m_demand *d);

/* Begins a scan if none is under way, looks at some agents, and answers when it is done. */
void pf_m_demand_scan(struct pf_master *m, struct m_demand *d);
/* Answers the requests that wait for the scan that is done now (operator.c). */
void pf_m_whys_answer(struct pf_master *m, struct m_demand *d);
/* The framework may be offered again: its demands are looked at again. */
void pf_m_demands_unsettle(struct pf_master *m, struct m_framework *f);

#endif
