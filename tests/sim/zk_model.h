/* SPDX-License-Identifier: Apache-2.0 */
/* A model of a ZooKeeper ensemble in virtual time: one committed history, servers that apply it
 * with a lag, clients (one session each) that are connected to one server, lose it and find
 * another;
 * sessions that expire; watches that fire late; commits whose answer is lost. It keeps the contract
 * of common/elect/zk_op.h, which tests/unit/test_zk_conformance.c holds it and a real ensemble to.
 * All dice come from one seed. Times are in microseconds.
 *
 * The caller moves time (zkm_run) and takes what clients are told (zkm_take). */
#ifndef PF_TESTS_SIM_ZK_MODEL_H
#define PF_TESTS_SIM_ZK_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include "common/elect/zk_op.h"

struct zkm;

struct zkm_options {
    uint64_t seed;
    uint32_t n_servers;    /* 1 or 3 */
    int32_t tick_ms;       /* sessions expire at a multiple of it */
    int32_t sync_limit_ms; /* so long a server that lost the others goes on answering reads */
};

enum zkm_event_type { ZKM_SESSION = 1, ZKM_REPLY, ZKM_WATCH };

/* Borrowed until the next zkm_take. */
struct zkm_event {
    enum zkm_event_type type;
    uint32_t client;
    struct pf_zk_session session;
    struct pf_zk_reply reply;
    struct pf_zk_watch watch;
};

struct zkm *zkm_create(const struct zkm_options *o);
void zkm_destroy(struct zkm *z);

/* A client begins to connect; `session` is told back in its events, `server` is tried first.
 * Returns its number, never reused. */
uint32_t zkm_open(struct zkm *z, uint8_t session, uint32_t server, int32_t timeout_ms);
void zkm_close(struct zkm *z, uint32_t client);   /* ends the session; no more events */
void zkm_abandon(struct zkm *z, uint32_t client); /* its process died: the session runs out */
void zkm_submit(struct zkm *z, uint32_t client, const struct pf_zk_request *request);

/* When something happens next; INT64_MAX: never. */
int64_t zkm_next_us(const struct zkm *z);
void zkm_run(struct zkm *z, int64_t now_us);
/* The next thing to tell a client at the time of the last zkm_run. False: none. */
bool zkm_take(struct zkm *z, struct zkm_event *out);

/* --- faults --- */
void zkm_server_kill(struct zkm *z, uint32_t server);
void zkm_server_start(struct zkm *z, uint32_t server);
/* A server loses the others (true) or finds them again. */
void zkm_server_cut(struct zkm *z, uint32_t server, bool is_cut);
uint32_t zkm_leader(const struct zkm *z); /* UINT32_MAX: none */
uint32_t zkm_n_servers(const struct zkm *z);
/* Packets of the client are dropped both ways; it notices after 2/3 of its time-out. */
void zkm_client_cut(struct zkm *z, uint32_t client, bool is_cut);
/* The process is stopped: it sends no pings. Its events wait at the caller's. */
void zkm_client_pause(struct zkm *z, uint32_t client, bool is_paused);
/* The connection breaks at the next write: after that was committed, or before. */
void zkm_break_at_write(struct zkm *z, uint32_t client, bool is_committed);
void zkm_expire(struct zkm *z, uint32_t client);
/* Each way between client and server takes up to so long more; 0: as usual. */
void zkm_slow(struct zkm *z, int64_t max_us);
/* What the history holds now; NULL: no such node. Borrowed. For tests. */
const struct pf_bytes *zkm_node(struct zkm *z, struct pf_str path);

#endif
