/* SPDX-License-Identifier: Apache-2.0 */
/* For masterd*.c only: the process around the core, alone or as a part of a quorum. */
#ifndef PF_MASTER_DAEMON_MASTERD_INTERNAL_H
#define PF_MASTER_DAEMON_MASTERD_INTERNAL_H

#include "common/base/limits.h"
#include "common/base/map.h"
#include "common/elect/quorum.h"
#include "common/engine/engine.h"
#include "common/fb/build.h"
#include "common/net/http.h"
#include "common/store/store.h"
#include "common/zk/client.h"
#include "master/core/master.h"
#include "master/daemon/api.h"
#include "master/daemon/masterd.h"

#define REGISTRY_FORMAT   1 /* of the rows; what this binary reads and writes */
#define REGISTRY_LEVEL    1 /* of the directory they are in, when alone */
#define MASTERD_EPOCH_MAX (UINT64_C(1) << 62)

/* A link between two masters, whoever made it; the core hears of both as peers of kind MASTER. */
struct master_peer {
    uint64_t peer; /* 0: free */
    bool is_client, is_up, is_trusted;
    char instance[PF_UUID_TEXT_LEN + 1];
};

/* Another master that we connect to as long as /masters names it. */
struct other_master {
    char address[PF_ADDRESS_MAX];
    uint64_t peer; /* of the try or the link; 0: waits for its next try */
    int64_t retry_ms, back_off_ms;
    uint32_t n_failures; /* since the last link */
    bool is_listed, is_told;
};

struct masterd {
    const struct pf_masterd_options *o;
    struct pf_loop *loop;
    struct pf_net *net;
    struct pf_http *http;
    struct pf_api *api;
    struct pf_key key;
    bool has_key;
    char instance[PF_UUID_TEXT_LEN + 1];
    char native_address[PF_ADDRESS_MAX], http_address[PF_ADDRESS_MAX]; /* as told to others */
    char hostname[256];
    int lock_fd;
    bool is_leaving; /* a signal came: hands over first if it can */
    bool is_ended;
    struct pf_link_self self;
    struct pf_err failure;        /* ends the process */
    struct pf_fb_builder builder; /* of the greetings of peers that did not greet */

    /* The core and what it runs on: made anew whenever a leadership ends. */
    struct pf_master *core;
    struct pf_engine *engine;
    struct pf_store *store; /* the engine's */
    bool leads;
    struct pf_uuid incarnation;
    uint64_t epoch;
    bool has_registry; /* alone: a META row was there */
    uint64_t above;    /* alone: lead above this epoch, which an agent obeys; 0: no need */
    int64_t retakes_from_ms;
    uint32_t n_retakes; /* since then, because of that */

    /* Of a quorum; NULL and zero when alone. */
    struct pf_quorum *quorum;
    struct pf_zk *zk;
    char place[PF_UUID_TEXT_LEN + 1];
    struct pf_timer *tick;    /* the quorum's deadline, and links to try again */
    struct pf_timer *late;    /* leaving, and nobody leads yet */
    struct pf_timer *restart; /* the core is to be made anew */
    struct pf_timer *welcome; /* peers are to hear of other masters */
    bool welcome_is_due;      /* it is set */
    bool is_stopping;         /* until then nothing is told to the old one */
    bool lead_pending;        /* lead once it is new */
    bool is_draining;         /* carrying out effects: do not begin inside */
    uint64_t probe; /* peer, 0 = none */
    struct pf_map agent_links;
    struct master_peer master_peer[PF_MASTERS_MAX * 2];
    struct other_master other[PF_MASTERS_MAX];
    struct pf_str masters[PF_MASTERS_MAX]; /* addresses of all, ours first */
    char masters_text[PF_MASTERS_MAX][PF_ADDRESS_MAX];
    uint32_t n_masters;
    char leader_address[PF_ADDRESS_MAX], leader_http[PF_ADDRESS_MAX];
};

/* masterd.c */
void masterd_end(struct masterd *d); /* the process, after this turn */

/* masterd_core.c */
void masterd_step(struct masterd *d, struct pf_master_event *ev);
PF_MUST_USE int masterd_core_begin(struct masterd *d, struct pf_store *store, struct pf_err *err);
void masterd_core_end(struct masterd *d);
/* NULL: no such table. */
const struct pf_fb_table_desc *masterd_row_schema(uint8_t table);
/* Verifies a row and tells it to the core. A malformed one sets d->failure. */
PF_MUST_USE int masterd_row(struct masterd *d, uint8_t table, bool is_del, struct pf_bytes key,
                            struct pf_bytes row);
/* Tells the core of a peer that said no Hello of its own. */
void masterd_peer_up(struct masterd *d, uint64_t peer, uint8_t kind, const char *instance,
                     bool is_trusted);
void masterd_fail(struct masterd *d, const struct pf_err *why);

/* masterd_quorum.c */
PF_MUST_USE int masterd_quorum_begin(struct masterd *d, struct pf_err *err);
void masterd_quorum_end(struct masterd *d);
/* Begins to hand over, and ends the process when another leads, or none took it in time. False:
 * there is nothing to hand over, or nobody to take it. */
PF_MUST_USE bool masterd_quorum_leave(struct masterd *d);
/* Feeds the quorum and carries out what it wants. */
void masterd_quorum_step(struct masterd *d, struct pf_quorum_event *ev);
void masterd_quorum_submit(void *ctx, const struct pf_batch *batch);
bool masterd_quorum_may_act(struct masterd *d);
void masterd_quorum_gate_shut(struct masterd *d);

/* masterd_masters.c: links to the other masters, and the probe. */
void masterd_masters_view(struct masterd *d);
void masterd_masters_due(struct masterd *d);
/* Tells peers anew what we are and who else there is. */
void masterd_masters_welcome(struct masterd *d);
int64_t masterd_masters_next_ms(const struct masterd *d);
/* True: the peer was a master's or the probe. */
bool masterd_masters_up(struct masterd *d, const struct pf_peer_up *up);
bool masterd_masters_down(struct masterd *d, uint64_t peer, const struct pf_err *why);
bool masterd_masters_message(struct masterd *d, uint64_t peer, struct pf_msg envelope);
void masterd_masters_send(struct masterd *d, struct pf_str instance, struct pf_bytes message);
void masterd_masters_tell_core(struct masterd *d);
void masterd_probe(struct masterd *d, struct pf_str address);

/* masterd_metrics.c */
void masterd_metrics(struct masterd *d, struct pf_buf *out);

#endif
