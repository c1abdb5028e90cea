/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte of an input says which message it is to be. */
#ifndef PF_TESTS_FUZZ_FUZZ_MSG_H
#define PF_TESTS_FUZZ_FUZZ_MSG_H

#include "common/base/buf.h"
#include "common/fb/json.h"
#include "schemas/launcher.h"
#include "schemas/operator.h"
#include "schemas/proffer.h"
#include "schemas/rows.h"
#include "schemas/scheduler.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/testmsg.h"

static const struct pf_fb_table_desc *const fuzz_types[] = {
    &TestMsg__desc,       &Envelope__desc,    &Scheduler_Call__desc, &Scheduler_Event__desc,
    &Master_Call__desc,   &TaskInfo__desc,    &LauncherMessage__desc, &Row_AgentTask__desc,
    &Master_Response__desc};

static inline const struct pf_fb_table_desc *fuzz_type(uint8_t byte)
{
    return fuzz_types[byte % PF_ARRAY_LEN(fuzz_types)];
}

static inline void fuzz_verified(struct pf_msg msg)
{
    struct pf_msg again;
    int rc = pf_fb_verify(pf_msg_bytes(msg), msg.desc, &again, NULL);
    PF_ASSERT(rc == 0);
}

#endif
