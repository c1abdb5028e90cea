/* SPDX-License-Identifier: Apache-2.0 */
/* Frameworks: subscription, fail-over, removal, history. */
#ifndef PF_MASTER_CORE_FRAMEWORKS_H
#define PF_MASTER_CORE_FRAMEWORKS_H

#include "master/core/state.h"

struct m_framework *pf_m_framework_get(const struct pf_master *m, struct pf_str id);
struct m_framework *pf_m_framework_completed(const struct pf_master *m, struct pf_str id);

/* A standby hears of a committed row, or that one is gone. */
void pf_m_framework_row(struct pf_master *m, struct pf_bytes key, struct Row_Framework row);
void pf_m_framework_row_gone(struct pf_master *m, struct pf_bytes key);
/* The framework's row as it is, or has to be, stored. */
struct pf_msg pf_m_framework_row_of(struct pf_fb_builder *b, const struct m_framework *f);
void pf_m_frameworks_elected(struct pf_master *m);
/* Known from an agent's registration: waits for its scheduler at least 30 s. */
struct m_framework *pf_m_framework_learn(struct pf_master *m, struct pf_str id,
                                         struct pf_bytes info);

/* Handler of SUBSCRIBE. */
void pf_m_on_subscribe(struct pf_master *m, struct m_peer *p, struct Scheduler_Call call,
                       uint64_t request_id);

void pf_m_framework_link_down(struct pf_master *m, struct m_framework *f);
void pf_m_framework_deadline(struct pf_master *m, struct m_framework *f);
/* Ends it and its tasks. `error` for its scheduler; NULL: it asked for it itself. */
void pf_m_framework_remove(struct pf_master *m, struct m_framework *f, const char *why,
                           const char *error);
/* A detached framework whose tasks are all over has nothing left to wait for. */
void pf_m_framework_maybe_done(struct pf_master *m, struct m_framework *f);
/* The tasks of the last agent that was awaited are known, or given up. */
void pf_m_frameworks_all_back(struct pf_master *m);
void pf_m_frameworks_fini(struct pf_master *m);

/* framework_info.c: what a FrameworkInfo says, checked. */
PF_MUST_USE int pf_m_framework_info_check(struct FrameworkInfo info, struct pf_err *err);
/* The same info with `id` in it, and with the name that a peer without the key gave (NULL: it has
 * the key); in the turn's memory. */
struct pf_bytes pf_m_framework_info_with_id(struct pf_master *m, struct FrameworkInfo info,
                                            struct pf_str id, const char *owner);
void pf_m_framework_set_info(struct m_framework *f, struct pf_bytes info);
/* Milliseconds of its failover_timeout. */
int64_t pf_m_failover_ms(struct FrameworkInfo info);

#endif
