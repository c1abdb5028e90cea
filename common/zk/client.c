/* SPDX-License-Identifier: Apache-2.0 */
/* The public door: creation, delivery of what came in, the end. */
#include "common/zk/client.h"

#include "common/base/alloc.h"
#include "common/base/rng.h"
#include "common/zk/client_internal.h"

#define DELIVER_MAX 256 /* events of one call */

void zk_push(struct pf_zk *z, struct zk_event *e)
{
    TAILQ_INSERT_TAIL(&z->inbox, e, link);
    pf_timer_set(z->deliver_timer, pf_loop_now_ms(z->loop));
}

static void event_free(struct zk_event *e)
{
    pf_free(e->names);
    pf_free(e->text);
    pf_free(e);
}

static void zk_free(struct pf_zk *z)
{
    struct zk_event *e;
    while ((e = TAILQ_FIRST(&z->inbox)) != NULL) {
        TAILQ_REMOVE(&z->inbox, e, link);
        event_free(e);
    }
    pf_timer_destroy(z->deliver_timer);
    pf_zk_url_fini(&z->url);
    pf_free(z);
}

static void event_tell(struct pf_zk *z, const struct zk_event *e)
{
    switch (e->kind) {
    case ZK_EVENT_SESSION: z->ops.on_session(z->ctx, &e->session); return;
    case ZK_EVENT_REPLY: z->ops.on_reply(z->ctx, &e->reply); return;
    case ZK_EVENT_WATCH: z->ops.on_watch(z->ctx, &e->watch); return;
    }
}

void zk_deliver(struct pf_zk *z)
{
    struct zk_event *e;
    z->is_delivering = true;
    for (int i = 0; i < DELIVER_MAX && !z->is_destroyed && (e = TAILQ_FIRST(&z->inbox)) != NULL;
         i++) {
        TAILQ_REMOVE(&z->inbox, e, link);
        event_tell(z, e);
        event_free(e);
    }
    z->is_delivering = false;
    if (z->is_destroyed) {
        zk_free(z);
        return;
    }
    pf_timer_set(z->deliver_timer, TAILQ_EMPTY(&z->inbox) ? INT64_MAX : pf_loop_now_ms(z->loop));
}

static void on_deliver_time(void *ctx)
{
    zk_deliver(ctx);
}

int pf_zk_create(struct pf_loop *loop, const struct pf_zk_options *options,
                 const struct pf_zk_ops *ops, void *ctx, struct pf_zk **out, struct pf_err *err)
{
    struct pf_zk_url url;
    int rc = pf_zk_url_parse(options->url, &url, err);
    if (rc != 0) {
        return rc;
    }
    struct pf_zk *z = PF_NEW(struct pf_zk);
    struct pf_rng dice;
    pf_rng_seed(&dice, options->seed);
    z->loop = loop;
    z->url = url;
    z->options = *options;
    z->options.url = NULL;
    z->options.seed = pf_rng_below(&dice, UINT32_MAX / 2);
    z->ops = *ops;
    z->ctx = ctx;
    TAILQ_INIT(&z->inbox);
    z->deliver_timer = pf_timer_create(loop, PF_PRIO_URGENT, on_deliver_time, z);
    z->n_sessions = options->has_spare ? 2 : 1;
    zk_acl_init(z);
    zoo_deterministic_conn_order(1);
    zoo_set_debug_level(pf_log_is_on(PF_LOG_DEBUG) ? ZOO_LOG_LEVEL_INFO : ZOO_LOG_LEVEL_ERROR);
    for (uint32_t i = 0; i < z->n_sessions; i++) {
        zk_session_init(&z->session[i], z, (uint8_t)i);
    }
    zk_servers_start(z);
    *out = z;
    return 0;
}

static void zk_end(struct pf_zk *z, bool says_goodbye)
{
    if (z == NULL) {
        return;
    }
    PF_ASSERT(!z->is_destroyed);
    zk_servers_stop(z);
    for (uint32_t i = 0; i < z->n_sessions; i++) {
        zk_session_fini(&z->session[i], says_goodbye);
    }
    z->is_destroyed = true;
    if (!z->is_delivering) {
        zk_free(z);
    }
}

void pf_zk_destroy(struct pf_zk *z)
{
    zk_end(z, true);
}

void pf_zk_abandon(struct pf_zk *z)
{
    zk_end(z, false);
}

void pf_zk_submit(struct pf_zk *z, const struct pf_zk_request *request)
{
    PF_ASSERT(request->session < z->n_sessions);
    zk_request_send(&z->session[request->session], request);
}

const char *pf_zk_server(const struct pf_zk *z, uint8_t session)
{
    bool is_up = session < z->n_sessions && z->session[session].phase == ZK_UP;
    return is_up ? z->session[session].server : "";
}
