/* SPDX-License-Identifier: Apache-2.0 */
/* FIND: what a text may mean. A text means the things whose id begins with it or whose name it is;
 * "FRAMEWORK/TASK" the tasks of that framework; a trailing '*' is only said to the caller, who may
 * then take several. Exact ids are looked up; the rest looks at M_FIND_VISITS things at most and says
 * `more` when there were others. */
#ifndef PF_MASTER_CORE_FIND_H
#define PF_MASTER_CORE_FIND_H

#include "common/fb/build.h"
#include "master/core/state.h"

#define M_FIND_VISITS 20000

/* Puts the Master_Response. */
struct pf_ref pf_m_find(struct pf_master *m, struct Master_Call_Find call, struct pf_fb_builder *b);

#endif
