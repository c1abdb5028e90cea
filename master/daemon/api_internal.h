/* SPDX-License-Identifier: Apache-2.0 */
/* Between api.c (routes, one call, one answer) and api_walk.c (lists in pages). */
#ifndef PF_MASTER_DAEMON_API_INTERNAL_H
#define PF_MASTER_DAEMON_API_INTERNAL_H

#include "common/base/arena.h"
#include "common/base/map.h"
#include "common/fb/build.h"
#include "common/fb/json_writer.h"
#include "master/daemon/api.h"
#include "schemas/proffer.h"

#define API_PAGE_LIMIT 200u /* entries of a page: a chunk stays around 100 KiB */

struct pf_api {
    struct pf_http *http;
    const struct pf_key *key;
    struct pf_api_ops ops;
    void *ctx;
    struct pf_map calls; /* by_peer: struct api_call */
    uint64_t next_peer;
    struct pf_fb_builder builder;
};

/* One request that waits for the core. */
struct api_call {
    struct pf_api *api;
    struct pf_http_req *req;
    uint64_t peer;
    uint64_t request_id;
    int type;        /* Master_Call_Type */
    bool shows_ours; /* Proffer's own fields go into the JSON */
    /* a walk through pages */
    uint32_t part;    /* which list of the walk */
    uint32_t section; /* which array of the list */
    bool is_marked; /* as the answer of a standby */
    bool is_streaming, is_section_open;
    struct pf_str after; /* owned copy */
    struct pf_buf out;
    struct pf_json_writer json;
};

/* Sends the core a call of `type` for the page after `after`. */
void pf_api_send_page(struct api_call *c, int type, struct pf_str after, uint32_t limit);
/* The reply is answered and the call forgotten. */
void pf_api_end(struct api_call *c);
/* Is this call answered by a walk, and does the walk need a stream from the start? */
bool pf_api_walk_is(int type);
void pf_api_walk_begin(struct api_call *c);
void pf_api_walk_reply(struct api_call *c, struct Master_Response response);
void pf_api_walk_fini(struct api_call *c);

#endif
