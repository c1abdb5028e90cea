/* SPDX-License-Identifier: Apache-2.0 */
/* See masterd.h. Boot: registry rows -> core, lead with the next epoch, and only when that is
 * stored listen: so nobody ever hears of an epoch that a crash could undo. */
#include "master/daemon/masterd.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/limits.h"
#include "common/engine/engine.h"
#include "common/engine/metrics.h"
#include "common/engine/ready.h"
#include "common/fb/build.h"
#include "common/link/envelope.h"
#include "common/net/http.h"
#include "common/net/keyfile.h"
#include "common/sys/clock.h"
#include "common/sys/fd.h"
#include "common/sys/file.h"
#include "common/sys/log.h"
#include "common/sys/random.h"
#include "master/core/master.h"
#include "master/daemon/api.h"
#include "schemas/proffer.h"
#include "schemas/rows.h"

#define REGISTRY_LEVEL 1

struct masterd {
    const struct pf_masterd_options *o;
    struct pf_loop *loop;
    struct pf_store *store; /* the engine's once that stands; kept for metrics */
    struct pf_engine *engine;
    struct pf_net *net;
    struct pf_http *http;
    struct pf_api *api;
    struct pf_master *core;
    struct pf_key key;
    bool has_key, has_registry;
    struct pf_uuid incarnation;
    uint64_t epoch;
    struct pf_fb_builder builder; /* of the greetings of HTTP requests */
    char instance[PF_UUID_TEXT_LEN + 1];
    char native_address[PF_ADDRESS_MAX], http_address[PF_ADDRESS_MAX];
    struct pf_str address; /* native_address, as the list of all masters */
    struct pf_link_self self;
    struct pf_err failure;
};

static void core_step(struct masterd *d, struct pf_master_event *ev)
{
    ev->now_ms = pf_loop_now_ms(d->loop);
    ev->wall_ms = pf_wall_ms();
    pf_master_step(d->core, ev, pf_engine_turn(d->engine));
}

/* --- links ------------------------------------------------------------------------------------ */

static void net_up(void *ctx, const struct pf_peer_up *up)
{
    struct pf_master_event ev = {.type = PF_MASTER_PEER_UP, .peer = up->peer};
    ev.peer_up.hello = up->greeting;
    ev.peer_up.trusted = up->is_trusted;
    core_step(ctx, &ev);
}

static void net_message(void *ctx, uint64_t peer, struct pf_msg envelope)
{
    struct pf_master_event ev = {.type = PF_MASTER_MESSAGE, .peer = peer};
    ev.message = envelope;
    core_step(ctx, &ev);
}

static void net_down(void *ctx, uint64_t peer, const struct pf_err *why)
{
    struct masterd *d = ctx;
    pf_log(PF_LOG_DEBUG, "link down", "peer=%" PRIu64 " why=%s", peer, why->msg);
    pf_engine_forget_peer(d->engine, peer);
    struct pf_master_event ev = {.type = PF_MASTER_PEER_DOWN, .peer = peer};
    core_step(d, &ev);
}

static void net_welcome(void *ctx, struct pf_link_state *out)
{
    struct masterd *d = ctx;
    out->role = MasterRole_LEADER;
    out->master = &d->address;
    out->n_masters = 1;
    out->incarnation = (struct pf_bytes){d->incarnation.b, sizeof d->incarnation.b};
    out->epoch = d->epoch;
    out->http_address = pf_str(d->http_address);
}

/* --- HTTP --------------------------------------------------------------------------------------
 */

static void api_peer(void *ctx, uint64_t peer, bool is_up, bool is_trusted)
{
    struct masterd *d = ctx;
    struct pf_master_event ev = {.type = is_up ? PF_MASTER_PEER_UP : PF_MASTER_PEER_DOWN,
                                 .peer = peer};
    if (is_up) {
        struct pf_fb_builder *b = &d->builder;
        pf_fb_builder_reset(b);
        struct pf_ref hello = Hello__put(
            b, &(struct Hello__args){.protocol = PF_PROTOCOL_VERSION, .kind = PeerKind_OPERATOR});
        ev.peer_up.hello =
            pf_envelope_finish(b, &(struct pf_envelope){.body_type = Body_Hello}, hello);
        ev.peer_up.trusted = is_trusted;
    } else {
        pf_engine_forget_peer(d->engine, peer);
    }
    core_step(d, &ev);
}

static void api_call(void *ctx, uint64_t peer, struct pf_msg envelope)
{
    net_message(ctx, peer, envelope);
}

static const char *api_health(void *ctx)
{
    (void)ctx; /* alone, a master that answers leads */
    return NULL;
}

static void api_metrics(void *ctx, struct pf_buf *out)
{
    struct masterd *d = ctx;
    struct pf_master_stats s;
    pf_master_stats(d->core, &s);
    const struct {
        const char *name, *help;
        uint64_t value;
        bool is_gauge;
    } rows[] = {
        {"proffer_master_epoch", "Epoch of this leadership.", s.epoch, true},
        {"proffer_master_agents", "Admitted agents.", s.n_agents, true},
        {"proffer_master_agents_registered", "Agents registered now.", s.n_agents_registered, true},
        {"proffer_master_frameworks", "Frameworks.", s.n_frameworks, true},
        {"proffer_master_frameworks_connected", "Connected frameworks.", s.n_frameworks_connected,
         true},
        {"proffer_master_offers", "Open offers.", s.n_offers, true},
        {"proffer_master_tasks", "Live tasks.", s.n_tasks, true},
        {"proffer_master_watchers", "Requests that wait for a change.", s.n_watchers, true},
        {"proffer_master_offers_made_total", "Offers made.", s.offers_made, false},
        {"proffer_master_offers_declined_total", "Offers declined.", s.offers_declined, false},
        {"proffer_master_offers_rescinded_total", "Offers rescinded.", s.offers_rescinded, false},
        {"proffer_master_offers_expired_total", "Offers timed out.", s.offers_expired, false},
        {"proffer_master_tasks_launched_total", "Tasks sent to agents.", s.tasks_launched, false},
        {"proffer_master_tasks_refused_total", "Launches refused.", s.tasks_refused, false},
        {"proffer_master_tasks_ended_total", "Tasks ended.", s.tasks_ended, false},
        {"proffer_master_updates_total", "Status updates relayed.", s.updates, false},
        {"proffer_master_acknowledgements_total", "Updates acknowledged.", s.acknowledgements,
         false},
        {"proffer_master_bad_messages_total", "Messages refused.", s.bad_messages, false},
        {"proffer_master_allocation_runs_total", "Allocation rounds.", s.allocation_runs, false},
        {"proffer_master_allocation_pairs_total", "Agent-framework pairs looked at.",
         s.allocation_pairs, false},
    };
    for (size_t i = 0; i < PF_ARRAY_LEN(rows); i++) {
        (rows[i].is_gauge ? pf_metric_gauge : pf_metric_counter)(out, rows[i].name, rows[i].help,
                                                                 rows[i].value);
    }
    pf_metrics_common(out, d->loop, d->net, d->http, d->store);
}

/* --- engine ------------------------------------------------------------------------------------
 */

static int64_t engine_deadline(void *ctx)
{
    return pf_master_deadline(((struct masterd *)ctx)->core);
}

static void engine_on_deadline(void *ctx)
{
    struct pf_master_event ev = {.type = PF_MASTER_DEADLINE};
    core_step(ctx, &ev);
}

static bool engine_virtual(void *ctx, const struct pf_effect *e)
{
    struct masterd *d = ctx;
    return d->api != NULL && pf_api_effect(d->api, e);
}

static void engine_store_failed(void *ctx, const struct pf_err *why)
{
    struct masterd *d = ctx;
    d->failure = *why;
    pf_err_wrap(&d->failure, "cannot store the registry in %s", d->o->work_dir);
    pf_loop_stop(d->loop);
}

/* --- boot --------------------------------------------------------------------------------------
 */

static const struct pf_fb_table_desc *row_schema(uint8_t table)
{
    switch (table) {
    case RegistryTable_META: return &Row_Registry__desc;
    case RegistryTable_AGENTS: return &Row_Agent__desc;
    case RegistryTable_FRAMEWORKS: return &Row_Framework__desc;
    default: return NULL;
    }
}

static int boot_row(void *ctx, uint8_t table, struct pf_bytes key, struct pf_bytes bytes)
{
    struct masterd *d = ctx;
    const struct pf_fb_table_desc *schema = row_schema(table);
    struct pf_msg row;
    if (schema == NULL) {
        return pf_err_set(&d->failure, PF_EVERSION, "the registry has an unknown table %u", table);
    }
    int rc = pf_fb_verify(bytes, schema, &row, &d->failure);
    if (rc < 0) {
        pf_err_wrap(&d->failure, "row %.*s of registry table %u", (int)key.len,
                    (const char *)key.at, table);
        return rc;
    }
    if (table == RegistryTable_META) {
        struct Row_Registry meta = Row_Registry__root(row);
        struct pf_bytes uuid = Row_Registry_incarnation(meta);
        if (uuid.len != sizeof d->incarnation.b) {
            return pf_err_set(&d->failure, PF_EPROTO, "the registry's incarnation is malformed");
        }
        memcpy(d->incarnation.b, uuid.at, uuid.len);
        d->epoch = Row_Registry_epoch(meta);
        d->has_registry = true;
    }
    struct pf_master_event ev = {.type = PF_MASTER_ROW, .row = {table, key, row}};
    core_step(d, &ev);
    return 0;
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
    d->epoch++;
    struct pf_master_event ev = {.type = PF_MASTER_ELECTED};
    ev.elected.incarnation = d->incarnation;
    ev.elected.epoch = d->epoch;
    core_step(d, &ev);
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

static int boot_core(struct masterd *d, struct pf_err *err)
{
    struct pf_store_lmdb_options so = {
        .dir = d->o->work_dir, .kind = "registry", .level = REGISTRY_LEVEL};
    int rc = pf_store_lmdb_open(&so, &d->store, err);
    if (rc < 0) {
        return rc;
    }
    const struct pf_engine_ops ops = {.next_deadline = engine_deadline,
                                      .on_deadline = engine_on_deadline,
                                      .on_virtual = engine_virtual,
                                      .on_store_failed = engine_store_failed};
    struct pf_engine_options eo = {.loop = d->loop, .net = d->net, .store = d->store};
    rc = pf_engine_create(&eo, &ops, d, &d->engine, err);
    if (rc < 0) {
        pf_store_destroy(d->store);
        return rc;
    }
    char hostname[256] = "localhost";
    (void)gethostname(hostname, sizeof hostname - 1); /* a name for people; the default will do */
    const struct pf_master_options mo = {
        .seed = pf_random_u64(),
        .instance = d->instance,
        .cluster = d->o->cluster,
        .address = d->native_address,
        .http_address = d->http_address,
        .hostname = hostname,
        .pid = getpid(),
        .offer_timeout_ms = d->o->offer_timeout_ms,
        .agent_unreachable_ms = d->o->agent_unreachable_ms,
        .recovery_ms = d->o->recovery_ms,
        .recovery_removals_percent = 100,
        .task_user = d->o->task_user,
        .allow_any_user = d->o->allow_any_user,
    };
    d->core = pf_master_create(&mo);
    return boot_lead(d, err);
}

static int boot_listen(struct masterd *d, struct pf_err *err)
{
    int rc = pf_net_listen(d->net, d->o->listen, d->native_address, err);
    if (rc == 0) {
        d->address = pf_str(d->native_address);
        rc = pf_http_listen(d->http, d->o->http, d->http_address, err);
    }
    return rc;
}

static void on_signal(void *ctx, int signo)
{
    struct masterd *d = ctx;
    pf_log(PF_LOG_INFO, "ending", "signal=%d", signo);
    pf_loop_stop(d->loop);
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
    const struct pf_net_options no = {.self = &d->self, .seed = pf_random_u64()};
    int rc = pf_net_create(d->loop, &no, &ops, d, &d->net, err);
    if (rc == 0) {
        rc = pf_http_create(d->loop, NULL, &d->http, err);
    }
    if (rc < 0) {
        return rc;
    }
    const struct pf_api_ops aops = {api_peer, api_call, api_health, api_metrics};
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
    /* Bound before the core is made, because it tells its addresses; who connects that early is
     * not heard before the epoch is stored. */
    if (rc == 0) {
        pf_net_pause(d->net, true);
        rc = boot_listen(d, err);
    }
    if (rc == 0) {
        rc = boot_core(d, err);
        pf_net_pause(d->net, false);
    }
    return rc;
}

static void masterd_fini(struct masterd *d)
{
    pf_engine_destroy(d->engine);
    pf_net_destroy(d->net);
    pf_http_destroy(d->http);
    pf_api_destroy(d->api);
    pf_master_destroy(d->core);
    pf_loop_destroy(d->loop);
    pf_fb_builder_fini(&d->builder);
    pf_key_wipe(&d->key);
}

int pf_masterd_run(const struct pf_masterd_options *options, struct pf_err *err)
{
    struct masterd d = {.o = options};
    pf_uuid_format(pf_random_uuid(), d.instance);
    pf_fb_builder_init(&d.builder, NULL);

    int rc = boot(&d, err);
    if (rc == 0) {
        pf_log(PF_LOG_INFO, "leading", "native=%s http=%s epoch=%" PRIu64, d.native_address,
               d.http_address, d.epoch);
        pf_ready_tell((int)options->ready_fd, d.native_address, d.http_address);
        rc = pf_loop_run(d.loop, err);
    }
    if (rc == 0 && d.failure.code != 0) {
        *err = d.failure;
        rc = d.failure.code;
    }
    masterd_fini(&d);
    return rc;
}
