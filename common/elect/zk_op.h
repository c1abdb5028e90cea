/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of ZooKeeper and what it answers, as plain values: the pure machines of this folder
 * make requests, common/zk sends them to real servers, tests/sim/zk_model.h answers them in virtual
 * time. Paths are relative to the cluster's prefix and begin with '/'. */
#ifndef PF_COMMON_ELECT_ZK_OP_H
#define PF_COMMON_ELECT_ZK_OP_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/str.h"

#define PF_ZK_SESSIONS 2 /* the main one and a spare on another server */

enum pf_zk_op_type {
    PF_ZK_INVALID = 0,
    PF_ZK_CREATE, /* with the cluster's ACL */
    PF_ZK_DELETE,
    PF_ZK_SET,
    PF_ZK_CHECK, /* the version is that */
    PF_ZK_GET,
    PF_ZK_EXISTS,
    PF_ZK_CHILDREN,
    PF_ZK_SYNC, /* later reads of this session see what was committed before */
};

struct pf_zk_op {
    enum pf_zk_op_type type;
    struct pf_str path;   /* "/epoch"; "" is the prefix itself */
    struct pf_bytes data; /* CREATE, SET */
    int32_t version;      /* DELETE, SET, CHECK; -1: any */
    bool is_ephemeral;    /* CREATE */
    bool watch;           /* GET, EXISTS (also of what is not there), CHILDREN: one shot */
};

/* Several operations are one multi: all or nothing; only CREATE, DELETE, SET and CHECK may be in
 * one. A lone CHECK is a multi too. Requests of a session are carried out in their order. */
struct pf_zk_request {
    uint64_t id; /* comes back with the reply */
    uint8_t session;
    uint32_t n_ops;
    const struct pf_zk_op *op;
};

enum pf_zk_code {
    PF_ZK_OK = 0,
    PF_ZK_NO_NODE,
    PF_ZK_NODE_EXISTS,
    PF_ZK_BAD_VERSION,
    PF_ZK_NOT_EMPTY,
    PF_ZK_NO_AUTH,
    PF_ZK_NOT_SENT, /* there is no connection: nothing happened */
    PF_ZK_UNKNOWN,  /* connection lost or session ended meanwhile: it happened, will, or not */
    PF_ZK_FAILED,   /* anything else: the server refused it as malformed, too large, ... */
};
const char *pf_zk_code_str(enum pf_zk_code code); /* "no such node"; for messages to people */

struct pf_zk_stat {
    int32_t version;
    uint64_t ephemeral_owner; /* session id, 0 = none */
    int64_t czxid, mzxid;
    uint32_t n_children;
};

/* Replies of a session come in the order of its requests; each request gets exactly one. Borrowed
 * for the call. */
struct pf_zk_reply {
    uint64_t id;
    uint8_t session;
    enum pf_zk_code code;
    uint32_t failed_op;         /* of a multi that failed: the operation it failed at */
    struct pf_bytes data;       /* GET */
    struct pf_zk_stat stat;     /* GET, EXISTS, CHILDREN, single SET */
    const struct pf_str *child; /* CHILDREN: names, unordered */
    uint32_t n_children;
};

enum pf_zk_state {
    PF_ZK_CONNECTING = 0, /* at first, or after a loss; the session may still be alive */
    PF_ZK_CONNECTED,      /* `session_id`, `timeout_ms` are valid; the same id as before or a new */
    PF_ZK_EXPIRED,        /* its ephemeral nodes and watches are gone; a new one follows */
    PF_ZK_AUTH_FAILED,    /* the same; tried again later */
};
const char *pf_zk_state_str(enum pf_zk_state state);

/* All outstanding requests of the session are answered (UNKNOWN) before CONNECTING, EXPIRED or
 * AUTH_FAILED is told. */
struct pf_zk_session {
    uint8_t session;
    enum pf_zk_state state;
    uint64_t session_id;
    int32_t timeout_ms; /* as the servers granted it */
    struct pf_str why;  /* for people; may be empty */
};

enum pf_zk_watch_type {
    PF_ZK_WATCH_INVALID = 0,
    PF_ZK_NODE_CREATED,
    PF_ZK_NODE_DELETED,
    PF_ZK_NODE_CHANGED,
    PF_ZK_CHILDREN_CHANGED,
};

/* A watch fired. It survives a lost connection (and is then late) but not its session. */
struct pf_zk_watch {
    uint8_t session;
    enum pf_zk_watch_type type;
    struct pf_str path;
};

#endif
