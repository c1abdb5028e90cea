/* SPDX-License-Identifier: Apache-2.0 */
/* The core's life inside the daemon: made with its engine, told rows and peers, ended. */
#include "master/daemon/masterd_internal.h"

#include <string.h>
#include <unistd.h>

#include "common/link/envelope.h"
#include "common/sys/clock.h"
#include "common/sys/random.h"
#include "schemas/proffer.h"
#include "schemas/rows.h"

void masterd_fail(struct masterd *d, const struct pf_err *why)
{
    if (d->failure.code == 0) {
        d->failure = *why;
    }
    pf_loop_stop(d->loop);
}

void masterd_step(struct masterd *d, struct pf_master_event *ev)
{
    if (d->is_stopping || d->core == NULL) {
        return; /* it is about to be forgotten */
    }
    if (d->quorum != NULL && d->leads && !masterd_quorum_may_act(d)) {
        masterd_quorum_gate_shut(d);
        return;
    }
    ev->now_ms = pf_loop_now_ms(d->loop);
    ev->wall_ms = pf_wall_ms();
    pf_master_step(d->core, ev, pf_engine_turn(d->engine));
}

/* --- engine ----------------------------------------------------------------------------------- */

static int64_t engine_deadline(void *ctx)
{
    return pf_master_deadline(((struct masterd *)ctx)->core);
}

static void engine_on_deadline(void *ctx)
{
    struct pf_master_event ev = {.type = PF_MASTER_DEADLINE};
    masterd_step(ctx, &ev);
}

/* Alone: an agent obeys a higher epoch, because the registry is an older one (restored, or its disk
 * was). The core is made anew, above it; not for ever, should an agent not know what it says. */
static void lead_above(struct masterd *d, const void *data)
{
    enum { RETAKES = 3, MINUTE_MS = 60000 };
    uint64_t epoch;
    int64_t now_ms = pf_loop_now_ms(d->loop);
    memcpy(&epoch, data, sizeof epoch);
    if (now_ms - d->retakes_from_ms >= MINUTE_MS) {
        d->retakes_from_ms = now_ms;
        d->n_retakes = 0;
    }
    if (epoch <= d->epoch || epoch >= MASTERD_EPOCH_MAX || d->above != 0 ||
        d->n_retakes == RETAKES) {
        return;
    }
    d->n_retakes++;
    d->above = epoch;
    pf_log(PF_LOG_WARN, "an agent obeys a higher epoch", "epoch=%llu ours=%llu",
           (unsigned long long)epoch, (unsigned long long)d->epoch);
    pf_loop_stop(d->loop);
}

static void engine_on_act(void *ctx, uint32_t act, const void *data)
{
    struct masterd *d = ctx;
    struct pf_quorum_event ev = {0};
    if (d->quorum == NULL) {
        if (act == PF_MASTER_ACT_EPOCH_SEEN) {
            lead_above(d, data);
        }
        return; /* alone there is nobody to hand over to */
    }
    switch ((enum pf_master_act)act) {
    case PF_MASTER_ACT_STEP_DOWN:
        ev.type = PF_QUORUM_EV_STEP_DOWN;
        ev.step_down.to = pf_str(data);
        break;
    case PF_MASTER_ACT_EPOCH_SEEN:
        ev.type = PF_QUORUM_EV_EPOCH_SEEN;
        memcpy(&ev.epoch_seen.epoch, data, sizeof ev.epoch_seen.epoch);
        break;
    }
    masterd_quorum_step(d, &ev);
}

static bool engine_virtual(void *ctx, const struct pf_effect *e)
{
    struct masterd *d = ctx;
    return d->api != NULL && pf_api_effect(d->api, e);
}

static void engine_store_failed(void *ctx, const struct pf_err *why)
{
    struct masterd *d = ctx;
    struct pf_err failure = *why;
    pf_err_wrap(&failure, "cannot store the registry in %s", d->o->work_dir);
    masterd_fail(d, &failure);
}

static bool engine_may_act(void *ctx)
{
    struct masterd *d = ctx;
    return d->quorum == NULL || !d->leads || masterd_quorum_may_act(d);
}

static void engine_gate_shut(void *ctx)
{
    masterd_quorum_gate_shut(ctx);
}

int masterd_core_begin(struct masterd *d, struct pf_store *store, struct pf_err *err)
{
    const struct pf_engine_ops ops = {.next_deadline = engine_deadline,
                                      .on_deadline = engine_on_deadline,
                                      .on_act = engine_on_act,
                                      .on_virtual = engine_virtual,
                                      .on_store_failed = engine_store_failed,
                                      .may_act = engine_may_act,
                                      .on_gate_shut = engine_gate_shut};
    bool in_quorum = d->o->zk[0] != '\0';
    struct pf_engine_options eo = {.loop = d->loop,
                                   .net = d->net,
                                   .store = store,
                                   .batch_max_bytes = in_quorum ? PF_REPLOG_BATCH_BYTES : 0};
    int rc = pf_engine_create(&eo, &ops, d, &d->engine, err);
    if (rc < 0) {
        pf_store_destroy(store);
        return rc;
    }
    d->store = store;
    const struct pf_master_options mo = {
        .seed = pf_random_u64(),
        .instance = d->instance,
        .cluster = d->o->cluster,
        .address = d->native_address,
        .http_address = d->http_address,
        .hostname = d->hostname,
        .pid = getpid(),
        .offer_timeout_ms = d->o->offer_timeout_ms,
        .agent_unreachable_ms = d->o->agent_unreachable_ms,
        .recovery_ms = d->o->recovery_ms,
        .removals = d->o->removals,
        .removals_ms = d->o->removals_ms,
        .recovery_removals_percent = (uint32_t)d->o->recovery_removals_percent,
        .row_max_bytes = in_quorum ? PF_REPLOG_ROW_BYTES : 0,
        .task_user = d->o->task_user,
        .allow_any_user = d->o->allow_any_user,
    };
    d->core = pf_master_create(&mo);
    d->leads = false;
    return 0;
}

void masterd_core_end(struct masterd *d)
{
    pf_engine_destroy(d->engine);
    pf_master_destroy(d->core);
    d->engine = NULL;
    d->core = NULL;
    d->store = NULL;
    d->leads = false;
}

/* --- rows and peers --------------------------------------------------------------------------- */

const struct pf_fb_table_desc *masterd_row_schema(uint8_t table)
{
    switch (table) {
    case RegistryTable_META: return &Row_Registry__desc;
    case RegistryTable_AGENTS: return &Row_Agent__desc;
    case RegistryTable_FRAMEWORKS: return &Row_Framework__desc;
    default: return NULL;
    }
}

static int read_meta(struct masterd *d, struct Row_Registry meta, struct pf_err *err)
{
    struct pf_bytes uuid = Row_Registry_incarnation(meta);
    if (uuid.len != sizeof d->incarnation.b) {
        return pf_err_set(err, PF_EPROTO, "the registry's incarnation is malformed");
    }
    memcpy(d->incarnation.b, uuid.at, uuid.len);
    d->epoch = Row_Registry_epoch(meta);
    d->has_registry = true;
    if (Row_Registry_exported_to(meta).len > 0) {
        return pf_err_set(err, PF_EBUSY, "the registry in %s went to %.*s: proffer-master %s",
                          d->o->work_dir, PF_STR_ARG(Row_Registry_exported_to(meta)),
                          Row_Registry_is_exporting(meta)
                              ? "--import-registry was broken off, give it again"
                              : "--export-registry NEW-DIR brings it back");
    }
    if (Row_Registry_arriving_from(meta).len > 0) {
        return pf_err_set(err, PF_EBUSY,
                          "the registry of %.*s is not all in %s yet: proffer-master "
                          "--export-registry was broken off, give it again",
                          PF_STR_ARG(Row_Registry_arriving_from(meta)), d->o->work_dir);
    }
    return 0;
}

int masterd_row(struct masterd *d, uint8_t table, bool is_del, struct pf_bytes key,
                struct pf_bytes row)
{
    const struct pf_fb_table_desc *schema = masterd_row_schema(table);
    struct pf_master_event ev = {.type = PF_MASTER_ROW, .row = {.table = table, .key = key}};
    struct pf_err err = {0};
    int rc = 0;
    ev.row.is_del = is_del;
    if (schema == NULL) {
        rc = pf_err_set(&err, PF_EVERSION, "the registry has an unknown table %u", table);
    } else if (!is_del) {
        rc = pf_fb_verify(row, schema, &ev.row.row, &err);
        if (rc < 0) {
            pf_err_wrap(&err, "row %.*s of registry table %u", (int)key.len, (const char *)key.at,
                        table);
        } else if (table == RegistryTable_META && d->quorum == NULL) {
            rc = read_meta(d, Row_Registry__root(ev.row.row), &err);
        }
    }
    if (rc < 0) {
        masterd_fail(d, &err);
        return rc;
    }
    masterd_step(d, &ev);
    return 0;
}

void masterd_peer_up(struct masterd *d, uint64_t peer, uint8_t kind, const char *instance,
                     bool is_trusted)
{
    struct pf_master_event ev = {.type = PF_MASTER_PEER_UP, .peer = peer};
    struct pf_fb_builder *b = &d->builder;
    pf_fb_builder_reset(b);
    struct pf_ref hello = Hello__put(b, &(struct Hello__args){.protocol = PF_PROTOCOL_VERSION,
                                                              .kind = (enum PeerKind)kind,
                                                              .instance = pf_str(instance)});
    ev.peer_up.hello = pf_envelope_finish(b, &(struct pf_envelope){.body_type = Body_Hello}, hello);
    ev.peer_up.trusted = is_trusted;
    masterd_step(d, &ev);
}
