/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of lists. A page costs what it shows and at most M_LIST_VISITS entries looked at, so that a
 * step stays short however long the list; what remains is behind next_after_id, an opaque text. */
#ifndef PF_MASTER_CORE_LISTS_H
#define PF_MASTER_CORE_LISTS_H

#include "common/fb/build.h"
#include "master/core/state.h"

#define M_LIST_VISITS 5000

/* GET_AGENTS, GET_FRAMEWORKS, GET_TASKS, GET_OFFERS: puts the Master_Response of the page that the
 * call asks for. Absent: the call's page or filter is malformed (`*out_problem` says how). */
struct pf_ref pf_m_list(struct pf_master *m, struct Master_Call call, struct pf_fb_builder *b,
                     const char **out_problem);
/* Is it one of those? */
bool pf_m_list_is(enum Master_Call_Type type);

#endif
