/* SPDX-License-Identifier: Apache-2.0 */
/* Between clients.c (requests of peers), files.c and sessions.c. For agent/core/ only. */
#ifndef PF_AGENT_CORE_CLIENTS_INTERNAL_H
#define PF_AGENT_CORE_CLIENTS_INTERNAL_H

#include "agent/core/calls_internal.h"

struct request {
    const struct client *client;
    struct Envelope env;
    uint64_t id;
};

void ag_req_refuse(struct pf_agent *a, const struct request *r, enum ReplyCode code,
                   const char *text);
/* False: it was refused. */
bool ag_req_is_trusted(struct pf_agent *a, const struct request *r);
/* NULL: there is none, and the peer was told. */
struct task *ag_req_task(struct pf_agent *a, const struct request *r, struct pf_str framework_id,
                         struct pf_str id);

/* files.c: paths in sandboxes */
void ag_req_read_path(struct pf_agent *a, const struct request *r, struct task *t);
void ag_req_list_files(struct pf_agent *a, const struct request *r);
void ag_req_write_file(struct pf_agent *a, const struct request *r);

/* sessions.c */
void ag_req_session_open(struct pf_agent *a, const struct request *r);
void ag_req_session_input(struct pf_agent *a, const struct request *r);
/* What wants no answer. False: it is no word of a session. */
bool ag_on_session_word(struct pf_agent *a, struct Envelope env, const struct client *c);

#endif
