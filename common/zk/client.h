/* SPDX-License-Identifier: Apache-2.0 */
/* ZooKeeper on the loop: two sessions to one ensemble, each preferring another server. It only
 * translates the values of common/elect/zk_op.h; the single-threaded client library is driven by
 * libevent through common/net/loop.h. Names are looked up without blocking, again every 30 s. The
 * traps are told in the README. One thread; callbacks run in the delivery part of a turn. */
#ifndef PF_COMMON_ZK_CLIENT_H
#define PF_COMMON_ZK_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/elect/zk_op.h"
#include "common/net/loop.h"

struct pf_zk;

struct pf_zk_ops {
    void (*on_session)(void *ctx, const struct pf_zk_session *s);
    void (*on_reply)(void *ctx, const struct pf_zk_reply *r);
    void (*on_watch)(void *ctx, const struct pf_zk_watch *w);
};

struct pf_zk_options {
    const char *url;    /* zk://[user:password@]host1:port1,host2/path; the path must not be "/" */
    int32_t session_ms; /* 6000; the servers may grant another */
    bool has_spare;     /* a second session; else only session 0 */
    uint64_t seed;      /* which server first */
};

/* Is it a URL of that form? PF_EINVAL with the reason and an example. */
PF_MUST_USE int pf_zk_url_check(const char *url, struct pf_err *err);
/* Appends the URL without user and password: for people, logs and files. PF_EINVAL as above. */
PF_MUST_USE int pf_zk_url_show(const char *url, struct pf_buf *out, struct pf_err *err);
/* Never fails because servers are away: on_session tells. PF_EINVAL (the URL), PF_ENOMEM. */
PF_MUST_USE int pf_zk_create(struct pf_loop *loop, const struct pf_zk_options *options,
                             const struct pf_zk_ops *ops, void *ctx, struct pf_zk **out,
                             struct pf_err *err);
/* Ends the sessions (their ephemeral nodes go) if they are connected. NULL is fine. */
void pf_zk_destroy(struct pf_zk *z);
/* Leaves without a word, as a crash would: for tests. */
void pf_zk_abandon(struct pf_zk *z);
/* Copied. Answered by on_reply, never inside the call. */
void pf_zk_submit(struct pf_zk *z, const struct pf_zk_request *request);
/* "127.0.0.1:2181" of the server that session `s` is connected to, "" = none. Valid until the next
 * turn. */
const char *pf_zk_server(const struct pf_zk *z, uint8_t session);
/* Prometheus text: states, latencies, requests, reconnects. */
void pf_zk_metrics(const struct pf_zk *z, struct pf_buf *out);

#endif
