/* SPDX-License-Identifier: Apache-2.0 */
/* Asking a master (or an agent) something and waiting for the answer, on a loop of its own. Among
 * several masters the leader is found: those that answer name the others. While none leads it is
 * waited for, and a call whose link broke is made again where another leads. */
#ifndef PF_FRAMEWORK_CLI_CLIENT_H
#define PF_FRAMEWORK_CLI_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/compiler.h"
#include "common/base/err.h"
#include "common/fb/build.h"
#include "common/fb/fb.h"
#include "framework/cli/cli.h"
#include "framework/cli/cluster.h"
#include "schemas/proffer.h"

#define PF_CLIENT_CONNECT_MS 5000
#define PF_CLIENT_REPLY_MS   30000
#define PF_CLIENT_LEADER_MS  10000 /* longer than a session of the masters lasts */

struct pf_client;

struct pf_client_options {
    const char *addresses; /* host:port,... */
    const char *key_file;  /* NULL = none; one that may not be read counts as none */
    bool needs_key_file;   /* ... unless it was named by the user */
    bool is_agent;         /* the address is an agent's: there is no leader to look for */
    int32_t connect_ms;    /* for somebody to answer at all; 0: PF_CLIENT_CONNECT_MS */
    int32_t leader_ms;     /* for one to lead while others answer; 0: PF_CLIENT_LEADER_MS */
    int32_t stale_ms;      /* for that long; then a standby may answer. 0: it must not */
    int32_t retry_ms;      /* how soon those that do not lead are asked again; 0: 50 ms */
    void (*on_note)(void *ctx, const char *text); /* what people should know; may be NULL */
    void *ctx;
    int32_t reply_ms;      /* what pf_client_call's time-out 0 means; 0: PF_CLIENT_REPLY_MS */
};

/* Connects and greets. PF_ECONN (nobody there, or no leader: each address is named with its
 * reason), PF_ETIMEOUT, PF_EAUTH, PF_EVERSION, PF_EACCESS and PF_EINVAL (key file). */
PF_MUST_USE int pf_client_open(const struct pf_client_options *options, struct pf_client **out,
                               struct pf_err *err);
void pf_client_close(struct pf_client *c); /* NULL is fine */
/* The address that answered, borrowed. */
const char *pf_client_address(const struct pf_client *c);

/* How many links were made so far: with a new one, what the last master said of its own life
 * (sequences) is void. */
uint32_t pf_client_links(const struct pf_client *c);
/* The epoch in which the master that we talk to leads. */
uint64_t pf_client_epoch(const struct pf_client *c);
/* Waits until a master leads in an epoch above `epoch`; `*out_gap_ms`: how long, as seen from here,
 * none did. PF_ETIMEOUT: the old one still does; PF_ECONN as pf_client_open(). */
PF_MUST_USE int pf_client_await_epoch(struct pf_client *c, uint64_t epoch, int32_t timeout_ms,
                                      int64_t *out_gap_ms, struct pf_err *err);
/* It is a standby that answers. */
bool pf_client_is_stale(const struct pf_client *c);
/* If so, the next call looks for a leader again. */
void pf_client_refresh(struct pf_client *c);

/* The builder to put the next request's body into; it is reset. */
struct pf_fb_builder *pf_client_builder(struct pf_client *c);
/* Sends the request and waits for its reply; makes it again if the master stopped leading or the
 * link broke (it may have been carried out then). `*out` borrows until the next call. A reply that
 * says no becomes an error with its text: NOT_FOUND PF_ENOENT, AMBIGUOUS PF_EAMBIGUOUS, FORBIDDEN
 * PF_EACCESS, BAD_REQUEST PF_EINVAL, CONFLICT PF_EEXIST, NOT_LEADER and UNAVAILABLE PF_ECONN, too
 * much PF_ELIMIT, UNSUPPORTED PF_EVERSION. `timeout_ms` 0: the usual, -1: for ever. */
PF_MUST_USE int pf_client_call(struct pf_client *c, uint8_t body_type, struct pf_ref body,
                               int32_t timeout_ms, struct pf_msg *out, struct pf_err *err);
/* The same, never made again: PF_ECONN when the link breaks (nobody knows what came of it) or the
 * master does not lead any more. */
PF_MUST_USE int pf_client_call_once(struct pf_client *c, uint8_t body_type, struct pf_ref body,
                                    int32_t timeout_ms, struct pf_msg *out, struct pf_err *err);
/* The same for the operator API: PF_EPROTO if the reply is no Master_Response. */
PF_MUST_USE int pf_client_ask(struct pf_client *c, const struct Master_Call__args *call,
                              struct Master_Response *out, struct pf_err *err);

/* Walks the pages of a list. Set the first four fields; the rest is zero. */
struct pf_pages {
    enum Master_Call_Type type;
    struct pf_str framework_id; /* of tasks, frameworks and offers; absent: all */
    struct pf_str agent_id;     /* of agents and tasks; absent: all */
    struct TaskState__vec states;
    char after_id[600];
    bool has_begun, has_ended;
};
/* 1: `*out` is the next page; 0: there is none; else an error. */
PF_MUST_USE int pf_pages_next(struct pf_client *c, struct pf_pages *p, struct Master_Response *out,
                              struct pf_err *err);

/* For verbs: chooses the cluster and connects to its leader; errors are printed. 0 or the exit
 * status. */
int pf_client_of(struct pf_cli *cli, struct pf_cluster *out_cluster, struct pf_client **out);
/* The same for verbs that only look: a standby will do when none leads for `stale_ms`. */
int pf_client_to_look(struct pf_cli *cli, int32_t stale_ms, struct pf_cluster *out_cluster,
                      struct pf_client **out);
/* The options for a cluster, with notes for people. */
struct pf_client_options pf_client_options_of(struct pf_cli *cli, const struct pf_cluster *cluster);
/* 0; or, for a local cluster that was taken down, the exit status with the error printed. */
int pf_client_check_up(struct pf_cli *cli, const struct pf_cluster *cluster);
/* Prints why a request failed; returns the exit status that stands for it. */
int pf_client_fail(struct pf_cli *cli, const struct pf_cluster *cluster, const struct pf_err *err);

#endif
