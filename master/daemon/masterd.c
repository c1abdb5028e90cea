/* SPDX-License-Identifier: Apache-2.0 */
/* See masterd.h. Alone: registry rows -> core, lead with the next epoch, and only when that is
 * stored listen: so nobody ever hears of an epoch that a crash could undo. In a quorum: listen,
 * join, and lead when elected (masterd_quorum.c). */
#include "master/daemon/masterd_internal.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/engine/ready.h"
#include "common/net/keyfile.h"
#include "common/sys/fd.h"
#include "common/sys/file.h"
#include "common/sys/log.h"
#include "common/sys/random.h"
#include "schemas/proffer.h"

/* --- links ------------------------------------------------------------------------------------ */

static void net_up(void *ctx, const struct pf_peer_up *up)
{
    struct masterd *d = ctx;
    if (d->quorum != NULL && masterd_masters_up(d, up)) {
        return;
    }
    if (up->kind == PeerKind_AGENT && d->quorum != NULL) {
        uint64_t *peer = pf_memdup(&up->peer, sizeof up->peer);
        pf_map_put(&d->agent_links, peer, sizeof *peer, peer);
    }
    struct pf_master_event ev = {.type = PF_MASTER_PEER_UP, .peer = up->peer};
    ev.peer_up.hello = up->greeting;
    ev.peer_up.trusted = up->is_trusted;
    masterd_step(d, &ev);
}

static void net_message(void *ctx, uint64_t peer, struct pf_msg envelope)
{
    struct masterd *d = ctx;
    if (d->quorum != NULL && masterd_masters_message(d, peer, envelope)) {
        return;
    }
    struct pf_master_event ev = {.type = PF_MASTER_MESSAGE, .peer = peer};
    ev.message = envelope;
    masterd_step(d, &ev);
}

static void net_down(void *ctx, uint64_t peer, const struct pf_err *why)
{
    struct masterd *d = ctx;
    pf_log(PF_LOG_DEBUG, "link down", "peer=%" PRIu64 " why=%s", peer, why->msg);
    if (d->quorum != NULL) {
        pf_free(pf_map_del(&d->agent_links, &peer, sizeof peer));
        if (masterd_masters_down(d, peer, why)) {
            return;
        }
    }
    pf_engine_forget_peer(d->engine, peer);
    struct pf_master_event ev = {.type = PF_MASTER_PEER_DOWN, .peer = peer};
    masterd_step(d, &ev);
}

static void net_welcome(void *ctx, struct pf_link_state *out)
{
    struct masterd *d = ctx;
    if (d->quorum != NULL && !d->leads) {
        d->incarnation = pf_quorum_incarnation(d->quorum);
        d->epoch = pf_quorum_epoch(d->quorum);
    }
    out->role = d->leads ? MasterRole_LEADER : MasterRole_STANDBY;
    out->master = d->masters;
    out->n_masters = d->n_masters;
    if (!pf_uuid_is_nil(d->incarnation)) {
        out->incarnation = (struct pf_bytes){d->incarnation.b, sizeof d->incarnation.b};
    }
    out->epoch = d->epoch;
    out->http_address = pf_str(d->http_address);
    out->leader = pf_str(d->leads ? d->native_address : d->leader_address);
}

/* --- HTTP ------------------------------------------------------------------------------------- */

static void api_peer(void *ctx, uint64_t peer, bool is_up, bool is_trusted)
{
    struct masterd *d = ctx;
    if (is_up) {
        masterd_peer_up(d, peer, PeerKind_OPERATOR, "", is_trusted);
        return;
    }
    if (d->engine != NULL) {
        pf_engine_forget_peer(d->engine, peer);
    }
    struct pf_master_event ev = {.type = PF_MASTER_PEER_DOWN, .peer = peer};
    masterd_step(d, &ev);
}

static void api_call(void *ctx, uint64_t peer, struct pf_msg envelope)
{
    struct masterd *d = ctx;
    struct pf_master_event ev = {.type = PF_MASTER_MESSAGE, .peer = peer};
    ev.message = envelope;
    masterd_step(d, &ev);
}

static const char *api_health(void *ctx)
{
    struct masterd *d = ctx; /* alone, a master that answers leads */
    const char *trouble = d->quorum != NULL ? pf_quorum_trouble(d->quorum) : NULL;
    if (trouble == NULL && d->quorum != NULL &&
        pf_uuid_is_nil(pf_quorum_incarnation(d->quorum))) {
        trouble = "this master has not read the registry in ZooKeeper yet";
    }
    return trouble;
}

static const char *api_leader(void *ctx)
{
    struct masterd *d = ctx;
    return d->leader_http[0] != '\0' ? d->leader_http : NULL;
}

static void api_metrics(void *ctx, struct pf_buf *out)
{
    masterd_metrics(ctx, out);
}

void masterd_end(struct masterd *d)
{
    d->is_ended = true;
    pf_loop_stop(d->loop);
}

/* --- boot ------------------------------------------------------------------------------------- */

static int boot_row(void *ctx, uint8_t table, struct pf_bytes key, struct pf_bytes bytes)
{
    return masterd_row(ctx, table, false, key, bytes);
}

/* Rows into the core, then the next epoch; returns when that is stored. */
static int boot_lead(struct masterd *d, struct pf_err *err)
{
    int rc = pf_store_load(d->store, boot_row, d, err);
    if (rc < 0) {
        if (d->failure.code != 0) {
            *err = d->failure;
        }
        return rc;
    }
    if (!d->has_registry) {
        d->incarnation = pf_random_uuid();
    }
    d->epoch = (d->above > d->epoch ? d->above : d->epoch) + 1;
    d->above = 0;
    d->leads = true;
    struct pf_master_event ev = {.type = PF_MASTER_ELECTED};
    ev.elected.incarnation = d->incarnation;
    ev.elected.epoch = d->epoch;
    masterd_step(d, &ev);
    bool may_wait = false; /* nothing wakes the first turn, which begins to store */
    do {
        rc = pf_loop_turn(d->loop, may_wait, err);
        may_wait = true;
    } while (rc == 0 && d->failure.code == 0 && !pf_engine_is_idle(d->engine));
    if (rc == 0 && d->failure.code != 0) {
        *err = d->failure;
        rc = d->failure.code;
    }
    return rc;
}

static int boot_alone(struct masterd *d, struct pf_err *err)
{
    struct pf_store *store;
    struct pf_store_lmdb_options so = {
        .dir = d->o->work_dir, .kind = "registry", .level = REGISTRY_LEVEL};
    int rc = pf_store_lmdb_open(&so, &store, err);
    if (rc == 0) {
        rc = masterd_core_begin(d, store, err);
    }
    return rc < 0 ? rc : boot_lead(d, err);
}

/* Alone: serves, and begins anew when it has to lead above an epoch. */
static int run_alone(struct masterd *d, struct pf_err *err)
{
    int rc = pf_loop_run(d->loop, err);
    while (rc == 0 && d->above != 0 && !d->is_ended && d->failure.code == 0) {
        masterd_core_end(d);
        pf_api_drop(d->api);
        pf_net_drop(d->net, PF_NET_DROP_ALL);
        pf_net_pause(d->net, true);
        rc = boot_alone(d, err);
        pf_net_pause(d->net, false);
        rc = rc < 0 ? rc : pf_loop_run(d->loop, err);
    }
    return rc;
}

static int boot_listen(struct masterd *d, struct pf_err *err)
{
    int rc = pf_net_listen(d->net, d->o->listen, d->native_address, err);
    if (rc == 0) {
        rc = pf_http_listen(d->http, d->o->http, d->http_address, err);
    }
    if (rc == 0 && d->o->advertise[0] != '\0') {
        (void)snprintf(d->native_address, sizeof d->native_address, "%s", d->o->advertise);
    }
    if (rc == 0 && d->o->advertise_http[0] != '\0') {
        (void)snprintf(d->http_address, sizeof d->http_address, "%s", d->o->advertise_http);
    }
    d->masters[0] = pf_str(d->native_address);
    d->n_masters = 1;
    return rc;
}

static void on_signal(void *ctx, int signo)
{
    struct masterd *d = ctx;
    bool is_second = d->is_leaving;
    d->is_leaving = true;
    pf_log(PF_LOG_INFO, "ending", "signal=%d", signo);
    if (is_second || !masterd_quorum_leave(d)) {
        masterd_end(d);
    }
}

static int boot_net(struct masterd *d, struct pf_err *err)
{
    d->self = (struct pf_link_self){.kind = PeerKind_MASTER,
                                    .key = d->has_key ? &d->key : NULL,
                                    .id = d->instance,
                                    .instance = d->instance,
                                    .cluster = d->o->cluster,
                                    .version = PF_VERSION};
    const struct pf_net_ops ops = {net_up, net_message, net_down, net_welcome};
    const struct pf_net_options no = {
        .self = &d->self, .seed = pf_random_u64(), .has_top_fds = true};
    int rc = pf_net_create(d->loop, &no, &ops, d, &d->net, err);
    if (rc == 0) {
        rc = pf_http_create(d->loop, NULL, &d->http, err);
    }
    if (rc < 0) {
        return rc;
    }
    const struct pf_api_ops aops = {api_peer, api_call, api_health, api_leader, api_metrics};
    d->api = pf_api_create(d->http, d->has_key ? &d->key : NULL, &aops, d);
    rc = pf_loop_on_signal(d->loop, SIGTERM, on_signal, d, err);
    return rc < 0 ? rc : pf_loop_on_signal(d->loop, SIGINT, on_signal, d, err);
}

static int boot(struct masterd *d, struct pf_err *err)
{
    int rc;
    if (d->o->key_file[0] != '\0') {
        rc = pf_keyfile_read(d->o->key_file, &d->key, err);
        if (rc < 0) {
            return rc;
        }
        d->has_key = true;
    }
    rc = pf_listen_check(d->o->listen, d->has_key, d->o->insecure, err);
    if (rc == 0) {
        rc = pf_listen_check(d->o->http, d->has_key, d->o->insecure, err);
    }
    if (rc == 0) {
        rc = pf_mkdir_p(d->o->work_dir, 0700, err);
    }
    if (rc == 0) {
        rc = pf_loop_create(&d->loop, err);
    }
    if (rc == 0) {
        rc = boot_net(d, err);
    }
    /* Bound before the core is made, because it tells its addresses. Alone, who connects that early
     * is not heard before the epoch is stored; in a quorum it is told that we are a standby. */
    bool is_alone = d->o->zk[0] == '\0';
    if (rc == 0) {
        pf_net_pause(d->net, is_alone);
        rc = boot_listen(d, err);
    }
    if (rc == 0) {
        rc = is_alone ? boot_alone(d, err) : masterd_quorum_begin(d, err);
        pf_net_pause(d->net, false);
    }
    return rc;
}

static void masterd_fini(struct masterd *d)
{
    masterd_quorum_end(d);
    pf_engine_destroy(d->engine);
    pf_net_destroy(d->net);
    pf_http_destroy(d->http);
    pf_api_destroy(d->api);
    pf_master_destroy(d->core);
    pf_loop_destroy(d->loop);
    pf_fd_close(&d->lock_fd);
    pf_fb_builder_fini(&d->builder);
    pf_key_wipe(&d->key);
}

int pf_masterd_run(const struct pf_masterd_options *options, struct pf_err *err)
{
    struct masterd d = {.o = options, .lock_fd = -1};
    pf_uuid_format(pf_random_uuid(), d.instance);
    pf_fb_builder_init(&d.builder, NULL);
    (void)snprintf(d.hostname, sizeof d.hostname,
                   "localhost"); /* for people; the default will do */
    (void)gethostname(d.hostname, sizeof d.hostname - 1);

    int rc = boot(&d, err);
    if (rc == 0 && !d.is_ended) {
        pf_log(PF_LOG_INFO, d.quorum == NULL ? "leading" : "joined the quorum",
               "native=%s http=%s epoch=%" PRIu64, d.native_address, d.http_address, d.epoch);
        pf_ready_tell((int)options->ready_fd, d.native_address, d.http_address);
        rc = d.quorum == NULL ? run_alone(&d, err) : pf_loop_run(d.loop, err);
    }
    if (rc == 0 && d.failure.code != 0) {
        *err = d.failure;
        rc = d.failure.code;
    }
    masterd_fini(&d);
    return rc;
}
