/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of common/zk share. The library's callbacks (they run inside its process, interest
 * and close calls) only append to the inbox and set flags; everything else happens from our own
 * watch and timer callbacks, after the library has returned. */
#ifndef PF_COMMON_ZK_CLIENT_INTERNAL_H
#define PF_COMMON_ZK_CLIENT_INTERNAL_H

#include <sys/queue.h>
#include <zookeeper/zookeeper.h>
#include "common/net/resolve.h"
#include "common/sys/log.h"
#include "common/zk/client.h"
#include "common/zk/url.h"

#define PF_ZK_SERVERS_MAX (PF_ZK_HOSTS_MAX * PF_RESOLVE_MAX)
#define PF_ZK_SERVER_TEXT (PF_HOST_MAX + 8)
#define PF_ZK_CODE_COUNT  (PF_ZK_FAILED + 1)
#define PF_ZK_BUCKETS     8

enum zk_event_kind { ZK_EVENT_SESSION = 1, ZK_EVENT_REPLY, ZK_EVENT_WATCH };

/* Something to be delivered; owns what it points to through `text` and `names`. */
struct zk_event {
    TAILQ_ENTRY(zk_event) link;
    enum zk_event_kind kind;
    union {
        struct pf_zk_session session;
        struct pf_zk_reply reply;
        struct pf_zk_watch watch;
    };
    char *text;
    struct pf_str *names;
};
TAILQ_HEAD(zk_events, zk_event);

/* Asked of the library, which holds a pointer to it until it calls back. */
struct zk_request {
    TAILQ_ENTRY(zk_request) link;
    struct zk_session *s;
    uint64_t id;
    int64_t began_us;
    bool is_setup;  /* ours, from preparing the session: not told */
    bool is_orphan; /* answered UNKNOWN already */
    bool is_local;  /* never sent; FAILED once those before it are answered */
    uint32_t n_results;
    zoo_op_result_t *result; /* one for each operation of a multi, NULL = no multi */
};
TAILQ_HEAD(zk_requests, zk_request);

enum zk_phase {
    ZK_IDLE = 0,   /* no handle: no address yet, or waiting to try again */
    ZK_CONNECTING, /* a handle without a connection */
    ZK_SETUP,      /* connected; the prefix is made and the rights are probed */
    ZK_UP,         /* CONNECTED was told */
    ZK_DEAD,       /* the handle is of no use any more; closed from our own turn */
};

enum zk_setup {
    ZK_SETUP_NONE = 0,
    ZK_SETUP_WANTED,  /* connected: probe */
    ZK_SETUP_PROBED,  /* asked */
    ZK_SETUP_CREATE,  /* the prefix is not there: make it */
    ZK_SETUP_CREATED, /* asked to make it, and probed again */
};

struct zk_stats {
    uint64_t replies[PF_ZK_CODE_COUNT];
    uint64_t bucket[PF_ZK_BUCKETS], latency_us_sum;
    int64_t latency_us_max;
    uint64_t connects, losses, expiries, auth_failures;
};

struct zk_session {
    struct pf_zk *z;
    uint8_t index;
    enum zk_phase phase;
    enum zk_setup setup;
    int setup_rc;        /* the first answer of a probe that is not ZOK */
    bool setup_denied;   /* some part of the prefix could not be made for want of rights */
    bool setup_answered; /* the last answer of what was asked is there */
    bool is_closing;     /* inside zookeeper_close: callbacks say nothing */
    bool needs_reset;    /* it broke without the library's saying so */
    zhandle_t *zh;
    struct pf_watch *watch;
    struct pf_timer *timer;
    int fd; /* -1: no socket */

    struct zk_requests pending; /* in order */
    struct zk_requests orphans;

    enum pf_zk_state told;
    bool was_told;               /* anything at all */
    bool absence_told;           /* of this outage */
    int64_t outage_ms;           /* when it began */
    uint64_t prepared_id;        /* session whose setup is done, 0 = none */
    int64_t backoff_ms;          /* before the next handle or round of attempts */
    int64_t retry_ms;            /* IDLE: not before */
    uint32_t n_failed;           /* attempts to connect since the last success */
    int64_t attempt_ms;          /* when the current one began, 0 = none */
    int64_t attempt_limit_ms;    /* how long one may take, 0 = not set yet */
    int last_errno;              /* of an attempt, 0 = unknown */
    uint32_t servers_generation; /* the handle knows */
    char server[PF_ZK_SERVER_TEXT];
    char denied[256]; /* why AUTH_FAILED was told last */
    struct zk_stats stats;
};

struct zk_host {
    struct pf_zk *z;
    struct pf_resolve *resolve;
    struct pf_hostport at[PF_RESOLVE_MAX];
    uint32_t n;
    char why[128]; /* the last failure */
};

struct pf_zk {
    struct pf_loop *loop;
    struct pf_zk_url url;
    struct pf_zk_options options; /* its url is not kept */
    struct pf_zk_ops ops;
    void *ctx;
    struct ACL acl[2];
    struct ACL_vector acls; /* of what is created */
    struct zk_session session[PF_ZK_SESSIONS];
    uint32_t n_sessions;

    struct zk_host host[PF_ZK_HOSTS_MAX];
    uint32_t n_resolving;
    struct pf_timer *resolve_timer;
    struct pf_hostport server[PF_ZK_SERVERS_MAX];
    uint32_t n_servers;
    uint32_t servers_generation; /* 0: none known yet */

    struct zk_events inbox;
    struct pf_timer *deliver_timer;
    bool is_delivering, is_destroyed;
};

/* client.c */
void zk_push(struct pf_zk *z, struct zk_event *e);
/* Runs the callbacks for what stands in the inbox. `z` may be gone after it. */
void zk_deliver(struct pf_zk *z);

/* session.c */
void zk_session_init(struct zk_session *s, struct pf_zk *z, uint8_t index);
void zk_session_fini(struct zk_session *s, bool says_goodbye);
/* Addresses have become known, or others. */
void zk_session_servers_changed(struct zk_session *s);
void zk_session_arm_soon(struct zk_session *s);
/* After every call of the library: did it lose its connection? */
void zk_session_look(struct zk_session *s);
void zk_session_lost(struct zk_session *s, enum pf_zk_state state, const char *why);

void zk_session_tell(struct zk_session *s, enum pf_zk_state state, const char *why);

/* setup.c */
void zk_acl_init(struct pf_zk *z);
void zk_setup_step(struct zk_session *s);
void zk_setup_answer(struct zk_session *s, const struct zk_request *r, int rc);
/* The path of an operation with the prefix before it; owned by the caller. */
char *zk_path_join(const struct pf_zk *z, struct pf_str path);

/* request.c */
void zk_request_send(struct zk_session *s, const struct pf_zk_request *q);
struct zk_request *zk_request_new(struct zk_session *s, uint64_t id, uint32_t n_results);
/* The library's answer to the call that sent it: not ZOK means that it was not sent. */
void zk_request_sent(struct zk_request *r, int rc);
void zk_requests_free(struct zk_requests *list);
void zk_requests_orphan(struct zk_session *s); /* all pending ones are answered UNKNOWN */
void zk_request_done_string(int rc, const char *value, const void *ctx);
void zk_request_done_void(int rc, const void *ctx);
void zk_request_done_data(int rc, const char *value, int len, const struct Stat *stat,
                          const void *ctx);

/* servers.c */
void zk_servers_start(struct pf_zk *z);
void zk_servers_stop(struct pf_zk *z);
/* "a:1,b:2", the one that `rotation` points at first. */
void zk_servers_format(const struct pf_zk *z, uint32_t rotation, struct pf_buf *out);
/* The text of one, as the library wants it. */
void zk_server_format(const struct pf_hostport *hp, char out[PF_ZK_SERVER_TEXT]);
/* Is the server that is being tried the one that the other session is at? */
bool zk_servers_is_taken(const struct zk_session *s);

#endif
