/* SPDX-License-Identifier: Apache-2.0 */
/* The masters of the quorum: what is known of them, who leads, what a standby says instead of an
 * answer. */
#ifndef PF_MASTER_CORE_MASTERS_H
#define PF_MASTER_CORE_MASTERS_H

#include "master/core/state.h"

enum { PF_M_FORMAT = 1 }; /* of the registry's rows */

/* Replaces what is known; copied. */
void pf_m_masters_set(struct pf_master *m, const struct pf_master_view *at, uint32_t n);
void pf_m_masters_fini(struct pf_master *m);
void pf_m_masters_check(const struct pf_master *m);

/* What the daemon says is wrong here; "": nothing. */
const char *pf_m_own_trouble(const struct pf_master *m);

/* NOT_LEADER and who leads, or UNAVAILABLE and why nobody does. */
void pf_m_reply_not_leader(struct pf_master *m, struct m_peer *p, uint64_t request_id);
/* How far a standby may be behind; into m->b. */
struct pf_ref pf_m_stale_put(struct pf_master *m);

/* The row of the registry itself: incarnation, epoch, format. */
struct pf_msg pf_m_registry_row_of(struct pf_fb_builder *b, const struct pf_master *m);

#endif
