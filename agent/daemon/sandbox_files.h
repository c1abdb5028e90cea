/* SPDX-License-Identifier: Apache-2.0 */
/* Paths in sandboxes: read, listed, written for peers (`proffer cp`). Nothing outside of the
 * sandbox is reached, whatever links lie in it; what is written belongs to the task's user. */
#ifndef PF_AGENT_DAEMON_SANDBOX_FILES_H
#define PF_AGENT_DAEMON_SANDBOX_FILES_H

#include "agent/core/agent.h"
#include "agent/daemon/users.h"
#include "common/fb/build.h"

/* Does it and builds the reply, an Envelope borrowed from the builder: FileData, FileList, or a
 * Reply whose code and text say how it went. */
struct pf_msg pf_sandbox_files_do(const struct pf_agent_act_files *a, const struct pf_user *owner,
                                  struct pf_fb_builder *b);

#endif
