/* SPDX-License-Identifier: Apache-2.0 */
/* Offers: made of the allocator's holds, ended by the framework, by time, or taken back. */
#ifndef PF_MASTER_CORE_OFFERS_H
#define PF_MASTER_CORE_OFFERS_H

#include "master/core/state.h"

struct m_offer *pf_m_offer_get(const struct pf_master *m, struct pf_str id);
/* Ends it with all its resources free again and tells the framework where `tells`. */
void pf_m_offer_end(struct pf_master *m, struct m_offer *o, enum m_offer_state state,
                    const char *why, bool tells);
/* The same, when the caller has ended the hold. */
void pf_m_offer_free(struct pf_master *m, struct m_offer *o, enum m_offer_state state,
                     const char *why);
void pf_m_agent_rescind_offers(struct pf_master *m, struct m_agent *a);
void pf_m_framework_end_offers(struct pf_master *m, struct m_framework *f, const char *why,
                               bool tells);
void pf_m_offer_deadline(struct pf_master *m, struct m_offer *o);

/* Lets the allocator decide, makes offers of it and sends them. */
void pf_m_allocate(struct pf_master *m);

/* One Offer for an event or a list. */
struct pf_ref pf_m_offer_put(struct pf_master *m, struct pf_fb_builder *b, const struct m_offer *o);

/* Milliseconds of a filter: 5 s where absent or invalid, at most 365 days. */
int64_t pf_m_filter_ms(struct Filters filters, bool has_filters);

/* Handlers. */
void pf_m_on_accept(struct pf_master *m, struct m_peer *p, struct Scheduler_Call call,
                    uint64_t request_id);
void pf_m_on_decline(struct pf_master *m, struct m_peer *p, struct Scheduler_Call call,
                     uint64_t request_id);
void pf_m_on_revive(struct pf_master *m, struct m_peer *p, struct Scheduler_Call call,
                    uint64_t request_id);
void pf_m_on_suppress(struct pf_master *m, struct m_peer *p, struct Scheduler_Call call,
                      uint64_t request_id);

#endif
