/* SPDX-License-Identifier: Apache-2.0 */
/* Entities as the operator API shows them: each function puts one message into the builder. */
#ifndef PF_MASTER_CORE_SHOW_H
#define PF_MASTER_CORE_SHOW_H

#include "common/fb/build.h"
#include "master/core/state.h"

/* Master_Response_GetAgents_Agent. */
struct pf_ref pf_m_show_agent(struct pf_master *m, struct pf_fb_builder *b, const struct m_agent *a);
/* Master_Response_GetFrameworks_Framework; without its offers, which have a list of their own. */
struct pf_ref pf_m_show_framework(struct pf_master *m, struct pf_fb_builder *b,
                               const struct m_framework *f);
/* Task. */
struct pf_ref pf_m_show_task(struct pf_master *m, struct pf_fb_builder *b, const struct m_task *t);
/* Offer, as its framework is told it. */
struct pf_ref pf_m_show_offer(struct pf_master *m, struct pf_fb_builder *b,
                              const struct m_offer *o);
/* Demand, with why and how long it waits. */
struct pf_ref pf_m_show_demand(struct pf_master *m, struct pf_fb_builder *b, const struct m_demand *d);

#endif
