/* SPDX-License-Identifier: Apache-2.0 */
/* A scripted world for elections: a tree of nodes that answers requests in order, up to three
 * elect machines with two sessions each, and a clock that tests move. Nothing happens by itself:
 * ew_run() carries out and delivers what is under way, ew_advance() moves time. */
#ifndef PF_TESTS_SUPPORT_ELECT_WORLD_H
#define PF_TESTS_SUPPORT_ELECT_WORLD_H

#include "common/elect/elect.h"

enum { EW_MACHINES = 3, EW_NODES = 48, EW_QUEUE = 128, EW_WATCHES = 256 };

struct ew_node {
    char path[96];
    uint8_t data[1024];
    uint32_t len;
    int32_t version;
    uint64_t owner;
};

struct ew_op {
    struct pf_zk_op op;
    char path[96];
    uint8_t data[1024];
};

struct ew_request {
    uint64_t id;
    uint32_t n_ops;
    struct ew_op op[4];
};

/* What is on its way to a machine. */
struct ew_item {
    bool is_watch;
    enum pf_zk_watch_type watch;
    char path[96];
    struct pf_zk_reply reply;
    uint8_t data[1024];
    char child[24][64];
    struct pf_str name[24];
};

struct ew_session {
    uint64_t id; /* 0: none */
    bool is_connected, is_hung;
    bool is_gone; /* expired, and not told yet */
    struct ew_request request[EW_QUEUE];
    uint32_t n_requests;
    struct ew_item *item[EW_QUEUE];
    uint32_t n_items;
};

struct ew_watch {
    uint64_t session_id;
    char path[96];
    bool is_children;
};

struct ew_machine {
    struct pf_elect *e;
    struct pf_outbox out;
    char instance[PF_UUID_TEXT_LEN + 1];
    char address[32];
    struct ew_session session[PF_ZK_SESSIONS];
    uint32_t n_probes, n_fatal, n_requests;
    char probed[80];
    char said[8192], trace[16384];
    struct ew_world *w;
};

struct ew_world {
    struct ew_machine m[EW_MACHINES];
    uint32_t n;
    int64_t now_ms, wall_ms;
    uint64_t next_session;
    struct ew_node node[EW_NODES];
    uint32_t n_nodes;
    struct ew_watch watch[EW_WATCHES];
    uint32_t n_watches;
    int32_t timeout_ms;
    char no_auth[96]; /* operations on this path are refused; "" = none */
    enum pf_zk_op_type no_auth_op;
    enum pf_zk_code no_auth_code;
    uint64_t led_epoch[512]; /* who led in which epoch: the instance's number + 1 */
    bool is_trial; /* watches do not fire */
    bool auto_log; /* a wanted log is read at once */
};

struct ew_world *ew_create(uint32_t n);
void ew_destroy(struct ew_world *w);
/* The options that machine i of a world is made with. */
struct pf_elect_options ew_options(struct ew_world *w, uint32_t i);
/* A new process in place of machine i: no session, nothing known. */
void ew_restart(struct ew_world *w, uint32_t i, const char *instance,
                const struct pf_elect_options *options);

void ew_step(struct ew_world *w, uint32_t i, struct pf_elect_event ev);
void ew_connect(struct ew_world *w, uint32_t i, uint8_t s);
/* The connection breaks; what was sent and not carried out is, if `commits`. */
void ew_drop(struct ew_world *w, uint32_t i, uint8_t s, bool commits);
/* The servers end the session; the machine hears of it when it is connected, or connects. */
void ew_expire(struct ew_world *w, uint32_t i, uint8_t s);
void ew_auth_failed(struct ew_world *w, uint32_t i, uint8_t s);
/* One request is carried out; one item is delivered. False: there is none. */
bool ew_carry_out(struct ew_world *w, uint32_t i, uint8_t s);
bool ew_deliver(struct ew_world *w, uint32_t i, uint8_t s);
void ew_run(struct ew_world *w);
void ew_advance(struct ew_world *w, int64_t ms);
void ew_applied(struct ew_world *w, uint32_t i, bool is_ready, int32_t version, uint32_t format);
void ew_link(struct ew_world *w, uint32_t i, uint32_t other, bool is_up);
void ew_probed(struct ew_world *w, uint32_t i, enum pf_elect_probe result, const char *instance);
/* Connects both sessions of all, reads the log, runs. */
void ew_start(struct ew_world *w);

struct ew_node *ew_node(struct ew_world *w, const char *path);
/* Creates, or replaces as another client would. */
void ew_put(struct ew_world *w, const char *path, const void *data, uint32_t len, uint64_t owner);
void ew_set(struct ew_world *w, const char *path, const void *data, uint32_t len);
void ew_delete(struct ew_world *w, const char *where);
/* A /leader or /masters/<instance> as another master would write it, of a live session. */
void ew_put_leader(struct ew_world *w, const char *instance, const char *place, uint64_t epoch,
                   uint64_t owner);
void ew_put_master(struct ew_world *w, const char *instance, const char *place,
                   int64_t suspect_until_ms);
void ew_put_epoch(struct ew_world *w, uint8_t incarnation, uint64_t epoch, const char *cluster);
/* Did machine i say, or go through, that? */
bool ew_said(const struct ew_world *w, uint32_t i, const char *text);
bool ew_traced(const struct ew_world *w, uint32_t i, const char *text);
/* For elect_world.c. */
void ew_parent(const char *path, char out[96]);
void ew_add_watch(struct ew_world *w, uint64_t session_id, const char *path, bool is_children);
/* Which machine leads, -1: none; asserts that no two do in one epoch. */
int ew_leader(struct ew_world *w);

#endif
